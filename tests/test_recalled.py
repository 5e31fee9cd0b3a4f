"""Back after a detour longer than a provider's look-back: one more mark finds the prefix that it still holds (WIRE.md 2, 3)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pointsman.core.events import Finished, Routed
from pointsman.sandbox import Incoming, Provider, Reply, say, use
from pointsman.settings import Settings
from pointsman.shell.gateway import Gateway
from pointsman.wire import recalled
from pointsman.wire.natives import MARK
from pointsman.wire.recalling import Ends
from shell.speaking import Speaking
from shell.support import client, events
from shell.test_translate import both, keys, pin

__all__ = ["keys"]

MARKED = {"type": "ephemeral"}
LONG = "words of the work to do " * 2_000
STEPS = 15
"""Rounds of tool calls in the detour's turn: each adds an answer with words and a call, and its result."""


def busy(request: Incoming) -> Reply:
    """The second turn is long: fifteen rounds of one call each; the others take one round."""
    if request.step < (STEPS if request.turn == 2 else 1):
        call = use(request, "run", command=f"echo {request.turn} {request.step}")
        assert call is not None
        return say(f"Round {request.step} of turn {request.turn}.", call)
    return say(f"Turn {request.turn} is done.")


class Marking(Speaking):
    """A Messages client that marks as another client does. ``how``: "code": system text and the last message; "open": two
    blocks of system text and the last two messages, all the four there are."""

    how = "code"

    def body(self) -> dict[str, Any]:
        made = super().body()
        if self.how == "open" and len(self.history) > 1:
            system = made["system"]
            made["system"] = [*system[:-1], {"type": "text", "text": "Be brief. " * 40, "cache_control": MARKED}, system[-1]]
            last = made["messages"][-2]
            made["messages"][-2] = {**last, "content": [*last["content"][:-1], {**last["content"][-1], "cache_control": MARKED}]}
        return made


@pytest.mark.parametrize("how", ["code", "open"])
@pytest.mark.parametrize("detour", ["claude-sonnet-5-5", "claude-haiku-5-5", "claude-haiku-4-5", "gpt-6-luna"])
async def test_after_forty_positions_elsewhere_the_first_models_cache_is_found(tmp_path: Path, detour: str, how: str) -> None:
    async with both(tmp_path, busy) as (provider, gateway, http):
        talk = Marking(http, gateway.url, "messages")
        talk.how = how
        await talk.turn("first " + LONG)
        await pin(gateway, talk.session, detour)
        await talk.turn("second", steps=STEPS + 1)
        await pin(gateway, talk.session, None)
        before = len(provider.requests)
        await talk.turn("third")
        asked = provider.requests
        assert [r.status for r in asked] == [200] * len(asked)
        assert [r.model for r in asked] == [talk.model] * 2 + [detour] * (STEPS + 1) + [talk.model] * 2
        left, back, after = asked[1], asked[before], asked[before + 1]
        assert len(back.json["messages"]) - len(left.json["messages"]) >= 30
        assert left.bill.prompt > 12_000 and back.bill.read >= 0.99 * left.bill.prompt, (left.bill, back.bill)
        assert after.bill.read >= 0.99 * back.bill.prompt
        assert json.dumps(back.json).count('"cache_control"') <= 4
        assert after.raw == json.dumps(talk.body_of(len(talk.history) - 1)).encode(), "later requests are the client's own bytes"
        routed = [event for event in events(tmp_path / "ledger.db", Routed) if event.id][before]
        row = routed.decision.row(routed.decision.chosen)
        assert row is not None and abs(row.cache_read - back.bill.read) < 0.02 * back.bill.prompt, (row, back.bill)
    done = events(tmp_path / "ledger.db", Finished)
    assert not any(event.resent for event in done)


@pytest.mark.parametrize("protocol", ["chat", "responses", "gemini"])
async def test_a_long_stay_on_claude_and_a_second_visit_read_its_cache(tmp_path: Path, protocol: str) -> None:
    """A client of another format: the translation marks for Claude, also where its last visit ended."""
    async with both(tmp_path, busy) as (provider, gateway, http):
        talk = Speaking(http, gateway.url, protocol)
        await talk.turn("first")
        session = gateway.sessions()[-1]["session"]
        await pin(gateway, session, "claude-haiku-5-5")
        await talk.turn("second " + LONG, steps=STEPS + 1)  # a long stay
        there = provider.requests[2:]
        assert [r.model for r in there] == ["claude-haiku-5-5"] * (STEPS + 1) and {r.status for r in there} == {200}
        for earlier, later in zip(there, there[1:], strict=False):
            assert later.bill.read >= 0.99 * earlier.bill.prompt
        await pin(gateway, session, None)
        for text in ("third", "fourth", "fifth", "sixth", "seventh", "eighth"):
            await talk.turn(text)
        await pin(gateway, session, "claude-haiku-5-5")
        before = len(provider.requests)
        await talk.turn("ninth")
        back = provider.requests[before]
        assert back.model == "claude-haiku-5-5" and len(back.json["messages"]) - len(there[-1].json["messages"]) >= 20
        assert back.bill.read >= 0.99 * there[-1].bill.prompt, (there[-1].bill, back.bill)
        assert json.dumps(back.json).count('"cache_control"') <= 4


def history(length: int) -> list[dict[str, Any]]:
    roles = ("user", "assistant")
    return [{"role": roles[n % 2], "content": [{"type": "text", "text": f"words {n}"}]} for n in range(length)]


def marked(message: dict[str, Any], mark: dict[str, Any] = MARKED) -> dict[str, Any]:
    *rest, last = message["content"]
    return {**message, "content": [*rest, {**last, "cache_control": mark}]}


def body(messages: list[dict[str, Any]], **more: Any) -> bytes:
    return json.dumps({"model": "m", **more, "messages": messages}, indent=1).encode()


def where(raw: bytes) -> Iterator[Any]:
    """The places of all marks."""
    made = msgspec.json.decode(raw)
    for name in ("tools", "system"):
        yield from (f"{name}{n}" for n, block in enumerate(made.get(name) or ()) if block.get("cache_control"))
    for n, message in enumerate(made["messages"]):
        if isinstance(message["content"], list):
            yield from (n for block in message["content"] if block.get("cache_control"))


SYSTEM = [{"type": "text", "text": "a", "cache_control": MARKED}, {"type": "text", "text": "b", "cache_control": MARKED}]


def test_a_mark_is_added_where_there_is_room_and_nothing_else_changes() -> None:
    talk = history(31)
    talk[30] = marked(talk[30], {"type": "ephemeral", "ttl": "1h"})
    given = body(talk, system=SYSTEM)
    new = recalled(given, 7)
    assert list(where(new)) == ["system0", "system1", 6, 30]
    talk[6] = marked(talk[6], {"type": "ephemeral", "ttl": "1h"})  # the lifetime of the mark behind it: longer ones come first
    assert msgspec.json.decode(new) == msgspec.json.decode(body(talk, system=SYSTEM))
    assert recalled(given, 28) is given and recalled(given, 0) is given and recalled(given, 31) is given
    unmarked = body(history(31), system=SYSTEM)
    assert recalled(unmarked, 7) is unmarked, "a client that marks nothing behind it has not asked for a cache there"


def test_with_four_marks_the_one_that_says_least_gives_way() -> None:
    talk = history(31)
    talk[28], talk[30] = marked(talk[28]), marked(talk[30])
    assert list(where(recalled(body(talk, system=SYSTEM), 7))) == ["system0", "system1", 6, 30]
    talk[28] = history(31)[28]
    tools = [{"name": "f", "input_schema": {}, "cache_control": MARKED}]
    assert list(where(recalled(body(talk, system=SYSTEM, tools=tools), 7))) == ["system0", "system1", 6, 30]
    given = body(talk, system=SYSTEM[:1], tools=tools, cache_control=MARKED)
    assert list(where(recalled(given, 7))) == ["system0", 6, 30]


def test_a_text_becomes_a_block_and_thinking_is_never_marked() -> None:
    talk = history(31)
    talk[30] = marked(talk[30])
    talk[6]["content"] = 'say "cache_control": {} and \\ more'
    new = msgspec.json.decode(recalled(body(talk), 7))
    assert new["messages"][6]["content"] == [{"type": "text", "text": talk[6]["content"], "cache_control": MARKED}]
    thought = {"type": "thinking", "thinking": "t", "signature": "s"}
    talk[7]["content"] = [{"type": "text", "text": "x"}, thought]
    assert msgspec.json.decode(recalled(body(talk), 8))["messages"][7]["content"] == [
        {"type": "text", "text": "x", "cache_control": MARKED}, thought,
    ]  # fmt: skip
    talk[7]["content"] = [thought]
    given = body(talk)
    assert recalled(given, 8) is given


def test_a_translated_body_is_marked_where_it_ended_before_and_only_then() -> None:
    ends = Ends()

    def sent(length: int, key: str = "k", model: str = "m") -> list[Any]:
        talk = history(length)
        talk[-1] = marked(talk[-1])
        return list(where(msgspec.json.encode(ends.mark({"system": SYSTEM, "messages": talk}, key, model, MARK))))

    assert sent(3)[2:] == [2] and sent(5)[2:] == [4]
    assert sent(35)[2:] == [4, 34] and sent(37)[2:] == [36]
    assert sent(35, key="other")[2:] == [34] and sent(35, model="other")[2:] == [34]


async def test_a_client_that_was_nowhere_else_gets_its_own_bytes(tmp_path: Path) -> None:
    """Many messages at once are the client's own doing."""
    async with Provider() as provider, client() as http:
        async with Gateway(Settings(), upstream=provider.url, ledger=tmp_path / "l.db", say=lambda said: None) as gateway:
            talk = Speaking(http, gateway.url, "messages")
            await talk.turn("first")
            talk.history += history(30)
            await talk.ask_prompt("second")
            assert provider.requests[-1].raw == json.dumps(talk.body_of(len(talk.history) - 1)).encode()


@pytest.mark.parametrize("stream", [True, False])
async def test_a_chat_client_behind_one_proxy_gets_marks_with_claude(tmp_path: Path, stream: bool) -> None:
    """Chat Completions at one base URL for every vendor need no translation, and Claude caches only what is marked."""
    async with Provider(script=busy) as provider, client() as http:
        given = Settings(schedule="3:claude-haiku-5-5,19:asked,21:claude-haiku-5-5")
        async with Gateway(given, upstream=provider.url, ledger=tmp_path / "l.db", say=lambda said: None) as gateway:
            talk = Speaking(http, gateway.url, "chat", stream=stream)
            for text in ("first", "second " + LONG, "third", "fourth"):
                await talk.turn(text, steps=STEPS + 1)
        asked = provider.requests
        assert {r.status for r in asked} == {200} and {r.path for r in asked} == {"/v1/chat/completions"}
        there = [r for r in asked if r.model == "claude-haiku-5-5"]
        assert len(there) == STEPS + 1 + 2 and there[0].bill.prompt > 12_000
        for earlier, later in zip(there, there[1:], strict=False):
            assert later.bill.read >= 0.99 * earlier.bill.prompt
        assert all(r.raw.count(b"cache_control") == 2 for r in there)
        assert not any(b"cache_control" in r.raw for r in asked if r.model != "claude-haiku-5-5")
        rows = [event.decision.row(event.decision.chosen) for event in events(tmp_path / "l.db", Routed)]
        assert abs(rows[5].cache_read - there[3].bill.read) < 0.05 * there[3].bill.read
