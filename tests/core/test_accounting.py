"""Facts beside a bill: prices of sub-requests, and the bound on what a broken-off answer was billed."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from pointsman import wire
from pointsman.core import accounting, budgets
from pointsman.core.book import Book
from pointsman.core.codec import build, encode
from pointsman.core.decisions import Decision
from pointsman.core.events import Event, Finished, Routed
from pointsman.core.pricing import cost
from pointsman.core.timeline import Timeline
from pointsman.core.types import Config, Place, Request, Usage
from pointsman.shell.prices import load_book

SONNET, START = Config("claude-sonnet-5-5"), 1_790_000_000.0
REQUEST = Request("messages", "/v1/messages", SONNET.model, "claude", session="s", ttl_s=300)
DECISION = Decision("1", Place("s", "main", "main", "new", turn=1, task=1, new_turn=True), SONNET, SONNET, "stay", "asked", "")


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book(today=date(2026, 11, 22))


def finished(usage: Usage, book: Book, **fields: object) -> list[Event]:
    found = accounting.account(None, REQUEST, DECISION, SONNET, usage, book, START)
    end = Finished(
        START + 20, "s", "1", 200, "final", START, START + 20, START + 10, usage, SONNET, rates=found.rates,
        ttl_s=found.ttl_s, other_rates=found.others,
        unseen=accounting.unseen(usage, SONNET, book, START + 10, START + 20),
    )  # fmt: skip
    return [Routed(START, "s", "1", REQUEST, 0, DECISION), replace(end, **fields)]  # type: ignore[arg-type]  # short hand


def test_an_advisor_is_billed_at_its_own_models_price(book: Book) -> None:
    """A million fresh tokens on Sonnet 5.5 at 2, an advisor on Opus 5.5 that wrote 100,000 at 20 a million: $2 and $2."""
    usage = Usage(fresh=1_000_000, extra=(("claude-opus-5-5", Usage(output=100_000)),))
    events = finished(usage, book)
    row = Timeline(events).request("1")
    assert row is not None and row.billed == pytest.approx(4.0) and not row.at_least
    assert row.billed == pytest.approx(book.bill(SONNET.model, usage, START))
    assert build(Finished, encode(events[1])) == events[1]


def test_a_compaction_by_the_provider_is_billed_at_the_model_that_answered(book: Book) -> None:
    """Anthropic names no model in a compaction's iteration: it ran on the one asked, here a million fresh tokens at 2 and 100,000
    written at 10 a million beside an answer of 100,000."""
    told = {"input_tokens": 0, "output_tokens": 100_000, "iterations": [
        {"type": "compaction", "input_tokens": 1_000_000, "output_tokens": 100_000},
        {"type": "message", "input_tokens": 0, "output_tokens": 100_000},
    ]}  # fmt: skip
    usage = wire.usage("messages", told)
    events = finished(usage, book)
    row, end = Timeline(events).request("1"), events[1]
    assert row is not None and row.billed == pytest.approx(1.0 + 2.0 + 1.0) and not row.at_least
    assert isinstance(end, Finished) and row.billed == pytest.approx(book.bill(SONNET.model, usage, START))
    assert budgets.billed(end) == pytest.approx(row.billed)


@pytest.mark.parametrize(("asked", "told", "usd"), [
    ("priority", "default", 2.0), ("priority", "priority", 4.0), ("auto", "flex", 1.0), ("flex", "", 1.0), (None, "", 2.0),
])
def test_the_service_that_ran_is_billed_and_not_the_one_that_was_asked_for(
    asked: str | None, told: str, usd: float, book: Book
) -> None:  # fmt: skip
    """OpenAI serves a priority request at the default tier where too many come at once, and a project has a tier of its own."""
    request, sol = replace(REQUEST, protocol="responses", model="gpt-6.1-sol", tier=asked), Config("gpt-6.1-sol")
    decision, usage = replace(DECISION, asked=sol, chosen=sol), Usage(fresh=100_000)
    found = accounting.account(None, request, decision, sol, usage, book, START, told)
    assert found.rates is not None and cost(usage, found.rates) == pytest.approx(usd / 10)


def test_searches_of_the_web_are_billed_each(book: Book) -> None:
    """Three searches at a cent beside a million fresh tokens at 2: $2.03; what the asked model would have cost has them too."""
    told = {"input_tokens": 1_000_000, "output_tokens": 0, "server_tool_use": {"web_search_requests": 3}}
    usage = wire.usage("messages", told)
    events = finished(usage, book)
    row, end = Timeline(events).request("1"), events[1]
    assert row is not None and row.billed == pytest.approx(2.03) == row.asked_usd and not row.at_least
    assert isinstance(end, Finished) and budgets.billed(end) == pytest.approx(book.bill(SONNET.model, usage, START))
    assert build(Finished, encode(end)) == end
    assert book.card(SONNET.model).base.search == 0.0, "prices of requests without a search stay as short as they were"
    unpriced = Timeline(finished(usage, book, rates=book.card(SONNET.model).base)).request("1")
    assert unpriced is not None and unpriced.at_least and unpriced.billed == pytest.approx(2.0), "unknown, never free"


def test_an_advisor_without_a_price_makes_the_bill_a_lower_bound(book: Book) -> None:
    row = Timeline(finished(Usage(fresh=1_000_000, extra=(("nobodys-model", Usage(output=9)),)), book)).request("1")
    assert row is not None and row.at_least and row.billed == pytest.approx(2.0)


def test_a_broken_off_answer_is_an_interval(book: Book) -> None:
    """Ten seconds of streaming at the model's speed, of which 100 tokens are known."""
    tps = book.speed(SONNET.model).output_tps
    row = Timeline(finished(Usage(fresh=1_000, output=100, complete=False), book)).request("1")
    assert row is not None and row.billed is not None and row.at_least and row.at_most is not None
    assert row.billed == pytest.approx((1_000 * 2 + 100 * 10) / 1e6)
    assert row.at_most == pytest.approx((1_000 * 2 + 10 * tps * 10) / 1e6)


def test_a_complete_answer_is_no_interval(book: Book) -> None:
    row = Timeline(finished(Usage(fresh=1_000, output=100), book)).request("1")
    assert row is not None and row.at_most is None and not row.at_least
    cut = Usage(output=5, complete=False)
    assert accounting.unseen(None, SONNET, book, START, START + 9) == 0
    assert accounting.unseen(cut, SONNET, book, None, START + 9) == 0
    assert accounting.unseen(cut, SONNET, book, START + 9, START) == 0, "a clock that jumped back"
