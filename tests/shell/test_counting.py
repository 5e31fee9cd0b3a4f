"""A session's first request counted by the translation worker's tokenizer: in time, or not at all."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from pointsman.core.events import Finished, Routed
from pointsman.core.learned import COUNTED_FOR
from pointsman.core.sessions import Sessions
from pointsman.core.types import Protocol
from pointsman.shell.gateway import Gateway
from pointsman.shell.ledger import read_events
from pointsman.shell.translation.counting import Counter
from pointsman.wire.countable import MESSAGE_TOKENS, RESULT_TOKENS
from shell.speaking import Speaking
from shell.support import events
from shell.test_translate import both, keys, talking

__all__ = ["keys"]

TIMES = 40
TEXT = "The quick brown fox jumps over the lazy dog. " * TIMES
"""Ten tokens each in o200k, and one for the last space; long enough to be counted once."""

PATIENT_S = 20.0
"""Longer than the product waits: these tests are about the count, not about a busy machine."""


async def counting(gateway: Gateway) -> None:
    """Wait until the worker has loaded its tokenizer."""
    gateway.foreign.count_s = PATIENT_S
    gateway.foreign.translator.warm({"messages", "responses"})
    for _ in range(1_200):
        if gateway.foreign.translator.counts:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the worker never loaded its tokenizer")


async def test_a_sessions_first_request_is_counted_by_the_worker_and_no_later_one(tmp_path: Path) -> None:
    """A pool of two vendors' models has the worker started with the gateway, as for its translations."""
    async with both(tmp_path, talking, pool=[COUNTED_FOR, "claude-opus-5-5"]) as (_, gateway, http):
        assert gateway.foreign.translator.started
        await counting(gateway)
        talk = Speaking(http, gateway.url, "responses", model=COUNTED_FOR)
        await talk.turn("first")
        sent = json.dumps(talk.body_of(1)).encode()
        await talk.turn("second")
        first, second = events(tmp_path / "ledger.db", Routed)[:2]
        expected = Counter().tokens("responses", sent)
        row = first.decision.row(first.decision.chosen)
        assert first.request.counted == expected > 1_000 and row is not None
        assert row.prompt == expected, "the model whose tokenizer it is reads as many"
        assert second.request.counted == 0, "later prompts go by the bill"
        router = gateway.desk.router
        assert router.learned.counted(first.request, "claude-opus-5-5", router.book) is None, "no bill has shown its factor yet"
        assert router.learned.counts[COUNTED_FOR][0] == 1


async def test_what_bills_say_of_counts_is_the_same_when_the_ledger_is_read_again(tmp_path: Path) -> None:
    async with both(tmp_path, talking) as (_, gateway, http):
        await counting(gateway)
        for n in range(2):
            await Speaking(http, gateway.url, "messages", session=f"5b1a7c9e-0000-4000-8000-00000000{n:04}").turn("first")
        live, book, sessions = gateway.desk.router.learned, gateway.desk.router.book, dict(gateway.desk.router.sessions)
    one, two = events(tmp_path / "ledger.db", Routed)
    done = events(tmp_path / "ledger.db", Finished)[0]
    again = Sessions(book)
    again.read(event for _, event in read_events(tmp_path / "ledger.db"))
    assert again.learned == live and live.counts["claude-opus-5-5"][0] == 2
    assert again.held == sessions
    guesses = [event.decision.row(event.decision.chosen) for event in (one, two)]
    assert guesses[0] is not None and guesses[1] is not None
    off = [abs(row.prompt - done.usage.prompt) / done.usage.prompt for row in guesses if row is not None]
    assert one.request.counted and off[1] < 0.03 and off[1] < off[0] / 2, "the first bill has shown the factor"


async def test_a_worker_that_is_late_or_not_there_holds_nothing_up(tmp_path: Path) -> None:
    async with both(tmp_path, talking) as (_, gateway, http):
        assert not gateway.foreign.translator.started, "counting alone is no reason to start one"
        await Speaking(http, gateway.url, "messages", session="5b1a7c9e-0000-4000-8000-000000000031").turn("first")
        assert not gateway.foreign.translator.counts
        await counting(gateway)
        gateway.foreign.count_s = 0.0
        await Speaking(http, gateway.url, "messages", session="5b1a7c9e-0000-4000-8000-000000000032").turn("first")
        routed = events(tmp_path / "ledger.db", Routed)
        assert [event.request.counted for event in routed] == [0, 0]
        assert all(event.decision.row(event.decision.chosen).prompt > 100 for event in routed), "characters stand"


BODIES: list[tuple[Protocol, dict[str, object], int]] = [
    ("messages", {"system": [{"type": "text", "text": TEXT, "cache_control": {"type": "ephemeral"}}],
                  "messages": [{"role": "user", "content": [{"type": "text", "text": TEXT}]}]}, MESSAGE_TOKENS),
    ("chat", {"messages": [{"role": "system", "content": TEXT}, {"role": "user", "content": TEXT}]}, 2 * MESSAGE_TOKENS),
    ("responses", {"instructions": TEXT, "input": TEXT}, MESSAGE_TOKENS),
    ("responses", {"instructions": TEXT, "input": [{"type": "function_call_output", "call_id": "c", "output": TEXT}]},
     RESULT_TOKENS),
    ("gemini", {"systemInstruction": {"parts": [{"text": TEXT}]}, "contents": [{"role": "user", "parts": [{"text": TEXT}]}]},
     MESSAGE_TOKENS),
    ("messages", {"system": TEXT, "messages": [{"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": "toolu_01", "content": [{"type": "text", "text": TEXT}]},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo" * 500}}]}]},
     RESULT_TOKENS),
]  # fmt: skip


@pytest.mark.parametrize(("protocol", "value", "frames"), BODIES)
def test_words_are_counted_and_ids_marks_and_pictures_are_not(
    protocol: Protocol, value: dict[str, object], frames: int
) -> None:
    counter, body = Counter(), json.dumps(value).encode()
    assert counter.tokens(protocol, body) == counter.tokens(protocol, body) == 2 * 10 * TIMES + 2 + frames


@pytest.mark.parametrize("body", [b"", b"[1, 2]", b"{", b"null"])
def test_what_is_no_request_counts_as_nothing(body: bytes) -> None:
    assert Counter().tokens("messages", body) == 0
