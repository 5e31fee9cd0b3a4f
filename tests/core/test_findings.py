"""What breaks prompt caches: one small session per cause, and the texts of recordings."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from pointsman.core.book import Book
from pointsman.core.decisions import Decision
from pointsman.core.events import Event, Finished, Routed
from pointsman.core.findings import Finding, findings
from pointsman.core.types import FIVE_MINUTES, HALF_DAY, HALF_HOUR, HOUR, Config, Place, Rates, Request, Usage
from pointsman.core.volatile import Sent, volatile
from pointsman.shell.prices import load_book

MODEL = "claude-sonnet-4-5"
RATES = Rates(3e-6, 0.3e-6, 15e-6, 15e-6, ((FIVE_MINUTES, 3.75e-6), (HOUR, 6e-6)))
START = 1_790_000_000.0


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book(today=date(2026, 11, 22))


class Log:
    """The events of one session; every request is 10,000 tokens longer than the one before it."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.now, self.prompt = START, 20_000
        self.request = Request(
            "messages", "/v1/messages", MODEL, "claude", session="s", tools=1, system=2, ttl_s=FIVE_MINUTES, key=7
        )  # fmt: skip

    def ask(self, *, warm: bool = True, gap: float = 20.0, life: int = FIVE_MINUTES, upstream: str = "",
            usage: Usage | None = None, **fields: Any) -> Log:  # fmt: skip
        self.now += gap
        self.request = replace(self.request, **fields)
        n = len(self.events) // 2
        read = self.prompt if warm and n else 0
        self.prompt += 10_000 if n else 0
        config = Config(MODEL)
        place = Place("s", "main", "main", "continue" if n else "new")
        decision = Decision(str(n), place, config, config, "stay", "asked", "")
        self.events.append(Routed(self.now, "s", str(n), self.request, 0, decision, upstream))
        bill = usage or Usage(cache_read=read, cache_write=((life, self.prompt - read),))
        end = self.now + 5
        self.events.append(
            Finished(end, "s", str(n), 200, "tool", self.now, end, usage=bill, served=config, rates=RATES, ttl_s=life)
        )
        return self

    def found(self, book: Book) -> list[Finding]:
        return findings(self.events, book)


def test_a_sound_session_has_no_findings(book: Book) -> None:
    log = Log()
    for _ in range(20):
        log.ask()
    assert log.found(book) == []


def test_nothing_comes_of_nothing(book: Book) -> None:
    assert findings([], book) == []
    assert findings([replace(Log().ask().events[1], usage=None)], book) == []  # type: ignore[arg-type]  # a Finished


@pytest.mark.parametrize(
    ("cause", "change"),
    [
        ("tools", {"tools": 9}), ("system", {"system": 9}), ("marks", {"ttl_s": None}), ("upstream", {"upstream": "https://other"}),
        ("effort", {"effort": "high"}), ("speed", {"speed": "fast"}), ("key", {"key": 9}),
    ],
)  # fmt: skip
def test_a_cold_prefix_is_blamed_on_what_changed(book: Book, cause: str, change: dict[str, Any]) -> None:
    """30,000 tokens written at 3.75 instead of read at .3 a million: $0.1035."""
    log = Log().ask().ask()
    log.ask(warm=False, **change)
    (found,) = log.found(book)
    assert (found.cause, found.requests, found.of) == (cause, 1, 2)
    assert found.usd == pytest.approx(30_000 * 3.45e-6)


def test_reading_nothing_at_all_points_at_another_workspace_or_deployment(book: Book) -> None:
    log = Log().ask().ask(warm=False).ask(warm=False).ask()
    assert [f.cause for f in log.found(book)] == ["hop"]
    rare = Log().ask().ask(warm=False)
    for _ in range(60):
        rare.ask()
    assert rare.found(book) == [], "one in sixty is how providers are"


def test_an_hour_that_would_have_paid_is_priced(book: Book) -> None:
    """Eleven pauses of ten minutes: each writes the whole prompt again. With an hour only what is new would have been written,
    for 2.25 a million more; both are billed here request by request."""
    log = Log().ask()
    for _ in range(11):
        log.ask(warm=False, gap=600)
    (found,) = log.found(book)
    lost = sum(20_000 + 10_000 * n for n in range(11)) * 3.45e-6
    dearer = 11 * 10_000 * 2.25e-6
    short = sum(30_000 + 10_000 * n for n in range(11)) * 3.75e-6
    long = sum((20_000 + 10_000 * n) * 0.3e-6 + 10_000 * 6e-6 for n in range(11))
    assert found.cause == "lifetime" and found.usd == pytest.approx(lost - dearer) == pytest.approx(short - long)
    assert f"≈${lost:.2f}" in found.said and f"≈${dearer:.2f}" in found.said


def test_twelve_hours_that_would_have_paid_are_priced_too(book: Book) -> None:
    """OpenAI sells 30 minutes and 12 hours: eleven pauses of two hours, for 2.50 a million more written."""
    rates = Rates(2e-6, 0.1e-6, 10e-6, 10e-6, ((HALF_HOUR, 2.5e-6), (HALF_DAY, 5e-6)))
    log = Log().ask(life=HALF_HOUR)
    for _ in range(11):
        log.ask(warm=False, gap=7_200, life=HALF_HOUR)
    sol = Config("gpt-6.1-sol")
    log.events = [replace(e, served=sol, rates=rates) if isinstance(e, Finished) else e for e in log.events]
    found = {f.cause: f for f in log.found(book)}["lifetime"]
    lost, dearer = sum(20_000 + 10_000 * n for n in range(11)) * 2.4e-6, 11 * 10_000 * 2.5e-6
    assert found.usd == pytest.approx(lost - dearer) and "pauses of 30 minutes to 12 hours outlast the cache" in found.said


def test_an_hour_that_nobody_needs_is_priced(book: Book) -> None:
    log = Log().ask(life=HOUR)
    for _ in range(10):
        log.ask(life=HOUR)
    (found,) = log.found(book)
    assert found.cause == "lifetime" and found.usd == pytest.approx(10 * 10_000 * 2.25e-6)
    kept = Log().ask(life=HOUR)
    for _ in range(10):
        kept.ask(life=HOUR, gap=600)
    assert kept.found(book) == []


def test_a_mark_far_before_the_end_is_found(book: Book) -> None:
    log = Log().ask()
    for _ in range(3):
        log.ask(usage=Usage(fresh=15_000, cache_read=20_000))
    found = {f.cause: f for f in log.found(book)}
    assert found["tail"].usd == pytest.approx(3 * 15_000 * 2.7e-6)


def test_missing_session_ids_are_counted(book: Book) -> None:
    found = Log().ask(session=None, client="aider").ask().found(book)
    assert [(f.cause, f.requests, f.usd) for f in found] == [("sessions", 2, None)] and "aider" in found[0].said


# ---- texts of recordings


def body(n: int, system: str = "be brief", tools: tuple[str, ...] = ("read", "write"), **more: Any) -> dict[str, Any]:
    talk = [{"role": "user" if i % 2 == 0 else "assistant", "content": f"text {i}"} for i in range(n)]
    return {"model": MODEL, "system": system, "tools": [{"name": name} for name in tools], "messages": talk, **more}


def test_a_line_that_changes_is_named_with_its_place() -> None:
    said = volatile([Sent(1, body(1, "a\nit is 10:00\nb")), Sent(2, body(3, "a\nit is 10:01\nb"))])
    assert said == ["request 1 to 2: the system text changes from line 2 of 3 (1 new lines): 'it is 10:01'"]


def test_tools_that_change_are_told_apart() -> None:
    first = Sent(1, body(1))
    swapped = Sent(2, body(3, tools=("write", "read")))
    assert volatile([first, swapped]) == ["request 1 to 2: the same tools come in another order"]
    assert volatile([first, Sent(2, body(3, tools=("read", "run")))]) == ["request 1 to 2: tools added: run, tools gone: write"]
    other = body(3)
    other["tools"][0]["description"] = "reads"
    assert volatile([first, Sent(2, other)]) == ["request 1 to 2: descriptions of tools change: read"]


def test_moved_marks_sub_agents_and_other_models_are_no_findings() -> None:
    marked = body(3)
    marked["tools"][1]["cache_control"] = {"type": "ephemeral"}
    sub = {**body(1, "another"), "messages": [{"role": "user", "content": "sub task"}]}
    assert volatile([Sent(1, body(1)), Sent(2, sub), Sent(3, marked), Sent(4, {**body(5, "x"), "model": "other"})]) == []


def test_a_count_that_differs_from_the_bill_is_drift() -> None:
    counted, billed = Sent(1, body(1), 1_000, counted=True), Sent(2, body(1), 1_300)
    assert volatile([counted, billed]) == ["request 2: counted 1,000 tokens in request 1, billed 1,300"]
    assert volatile([counted, replace(billed, prompt=1_010)]) == []


def test_chat_and_responses_bodies_are_read_too() -> None:
    chat = [{"role": "system", "content": "one"}, {"role": "user", "content": "hi"}]
    later = [{"role": "system", "content": "two"}, *chat[1:], {"role": "assistant", "content": "yes"}]
    assert len(volatile([Sent(1, {"model": "m", "messages": chat}), Sent(2, {"model": "m", "messages": later})])) == 1
    items = [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]
    old, new = ({"model": "m", "instructions": text, "input": items} for text in ("one", "two"))
    assert len(volatile([Sent(1, old), Sent(2, new)])) == 1
    assert volatile([Sent(1, {}), Sent(2, {"messages": "odd", "tools": 3})]) == []
