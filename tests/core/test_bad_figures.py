"""Figures that cannot be true, or are missing: a precise error or an honest "unknown", never a silent zero."""

from __future__ import annotations

import gzip
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pointsman import wire
from pointsman.bench.price import measure
from pointsman.core import cache, learned
from pointsman.core.audit import audit
from pointsman.core.book import Book
from pointsman.core.cards import read_card
from pointsman.core.decisions import Candidate, Decision
from pointsman.core.events import Finished, Routed
from pointsman.core.messages import Message
from pointsman.core.policy import Policy
from pointsman.core.types import Config, Place, Rates, Request, Usage
from pointsman.engine import Router
from pointsman.errors import Unpriced, WireError
from pointsman.shell.history.traces import read
from pointsman.shell.prices import load_book


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book(today=date(2026, 11, 22))


@pytest.mark.parametrize(("protocol", "payload", "said"), [
    ("messages", {"input_tokens": -1, "output_tokens": 1}, "input_tokens is -1"),
    ("messages", {"input_tokens": 1, "cache_creation_input_tokens": 5, "output_tokens": 1,
                  "cache_creation": {"ephemeral_5m_input_tokens": 9}}, "adds up to 9, more than cache_creation_input_tokens 5"),
    ("chat", {"prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 11}}, "11 cached"),
    ("responses", {"input_tokens": 10, "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 6}},
     "reasoning_tokens is 6"),
    ("gemini", {"promptTokenCount": 10, "cachedContentTokenCount": 11, "candidatesTokenCount": 1},
     "cachedContentTokenCount is 11"),
])  # fmt: skip
def test_contradictory_usage_names_its_field(protocol: Any, payload: dict[str, Any], said: str) -> None:
    with pytest.raises(WireError, match=said):
        wire.usage(protocol, payload)


def test_a_provider_without_cache_fields_says_nothing_about_its_cache(book: Book) -> None:
    """Nothing read is nothing known: no cold prefix is counted, and no other machine is suspected."""
    silent = wire.usage("chat", {"prompt_tokens": 20_000, "completion_tokens": 100})
    told = wire.usage("chat", {"prompt_tokens": 20_000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 0}})
    assert not silent.cache_reported and told.cache_reported and silent.prompt == told.prompt == 20_000
    said = tuple(Message(i, "user" if i % 2 == 0 else "assistant", "tool_result", 400) for i in range(5))

    def asked(n: int) -> Request:
        return Request("chat", "/v1/chat/completions", "gpt-5.4", head_chars=4_000, tools=1, system=1, messages=said[:n])

    first = cache.touch(None, asked(3), told, 0.0, 300)
    place, config = Place("s", "main", "main", "continue", kept=3), Config("gpt-5.4")
    for usage, counted in ((silent, False), (told, True)):
        done = Finished(1.0, "s", "1", 200, "final", 10.0, 12.0, usage=usage, served=config, ttl_s=300)
        found = learned.after(learned.Learned(), asked(5), place, first, done, book)
        assert bool(found.seen) == counted
        assert cache.touch(first, asked(5), usage, 10.0, 300).other_machine == (20_000 if counted else 0)


def test_an_unknown_model_is_unpriced_with_near_names(book: Book) -> None:
    assert not book.has("claude-opos-5-5")
    with pytest.raises(Unpriced, match="claude-opus-5-5"):
        book.card("claude-opos-5-5")


def test_an_image_for_a_model_that_nobody_knows_is_counted_all_the_same(book: Book) -> None:
    """A visible size and no rule: a plain figure, and a decision; no division by nothing."""
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": pixel}}
    body = {"model": "nobody-knows-9", "max_tokens": 9, "messages": [{"role": "user", "content": [picture]}]}
    route = Router(Policy(), book).route(path="/v1/messages", headers={}, body=json.dumps(body).encode(), now=1.0, dice=0.5)
    assert route.model == "nobody-knows-9" and book.images("nobody-knows-9").tokens(1, 1) == 1_600


@pytest.mark.parametrize("row", [
    {}, {"input_cost_per_token": None, "output_cost_per_token": 1e-6},
    {"input_cost_per_token": "cheap", "output_cost_per_token": 1},
    {"input_cost_per_token": float("nan"), "output_cost_per_token": 1e-6},
    {"input_cost_per_token": -1e-6, "output_cost_per_token": 1},
    {"input_cost_per_token": True, "output_cost_per_token": True}, {"prices_v2": {"in": 1e-6, "out": 1e-6}},
])  # fmt: skip
def test_a_map_of_another_version_gives_no_card_rather_than_a_free_one(row: dict[str, Any]) -> None:
    assert read_card("m", row) is None


def test_prices_as_strings_and_nulls_are_read_for_what_they_say() -> None:
    card = read_card("m", {
        "input_cost_per_token": "2e-6", "output_cost_per_token": "1e-5", "cache_read_input_token_cost": None,
        "cache_creation_input_token_cost": "", "input_cost_per_token_above_200k_tokens": "4e-6", "max_input_tokens": "many",
    })  # fmt: skip
    assert card is not None and card.window is None
    assert (card.base.fresh, card.base.cache_read, card.base.write(300)) == (2e-6, 2e-6, 2e-6), "no cache price: the fresh one"
    assert card.at(200_001, 0.0).fresh == 4e-6


def test_a_clock_that_jumps_back_times_nothing_and_keeps_the_cache(book: Book) -> None:
    usage = Usage(cache_read=20_000, fresh=100, output=50)
    back = Finished(0.0, "s", "1", 200, "final", 100.0, 40.0, first_byte=90.0, usage=usage, served=Config("claude-opus-5-5"))
    assert learned.timed({}, "claude-opus-5-5", back, usage) == {}


def test_a_trace_that_is_cut_off_is_named_and_its_whole_lines_are_scored(tmp_path: Path, book: Book) -> None:
    event = {"k": "req", "t": 1, "m": "claude-opus-4-5", "i": 5, "cr": 0, "cw5": 20_000, "o": 10, "oc": 40, "stop": "end_turn"}
    more = {**event, "t": 9, "cr": 20_000, "cw5": 500}
    line = json.dumps({"session": "one", "t0": 0, "events": [{"k": "prompt", "t": 0, "text": "hi"}, event, more]})
    path = tmp_path / "traces.jsonl.gz"
    whole = gzip.compress((line + "\n").encode() * 1 + b"".join(json.dumps({"n": i}).encode() + b"\n" for i in range(20_000)))
    path.write_bytes(whole[: len(whole) - 2_000])
    found = list(read(path))
    troubles = [trouble for transcript in found for trouble in transcript.troubles]
    assert any("cut off or damaged" in trouble for trouble in troubles)
    assert measure(found, book, estimate=False).ours.figures()["requests"] == 1


def test_an_audit_of_nothing_is_unknown_and_of_something_is_plain() -> None:
    """Two requests billed $1.00 and predicted $1.10 and $0.95: sum off by +2.5 %; a third was answered by another model."""
    rates = Rates(1e-6, 1e-7, 1e-5, 1e-5)
    events: list[Routed | Finished] = []
    for n, guess in enumerate((9.0, 1.1, 0.95, 5.0)):
        chosen = Config("m")
        row = Candidate("m", None, input_usd=guess, rates=rates)
        decision = Decision(f"d{n}", Place("s", "main", "main", "continue"), chosen, chosen, "stay", "asked", "", (row,))
        events.append(Routed(float(n), "s", f"{n}", Request("chat", "/v1/chat/completions", "m"), 0, decision))
        served = chosen if n < 3 else Config("other")
        usage = Usage(fresh=1_000_000, output=100)
        events.append(Finished(n + 0.5, "s", f"{n}", 200, "final", n, n + 0.5, usage=usage, served=served, rates=rates))
    found = audit(events)
    assert found is not None and (found.requests, found.bias) == (2, pytest.approx(0.025))
    assert (found.p50, found.p90) == (pytest.approx(0.1), pytest.approx(0.1)) and audit([]) is None
