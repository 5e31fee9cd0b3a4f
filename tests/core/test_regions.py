"""Where a request has to be processed: read off its body or its base URL, priced on top of any service, kept in the ledger."""

from __future__ import annotations

import json

import pytest

from pointsman import wire
from pointsman.core.book import Book
from pointsman.core.events import Finished, Routed
from pointsman.core.policy import Policy
from pointsman.core.pricing import cost, rates_for
from pointsman.core.types import Request, Told
from pointsman.engine import Router
from pointsman.shell.prices import load_book

NOW = 1_795_000_000.0
OPUS, SOL = "claude-opus-5-5", "gpt-6.1-sol"


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book()


@pytest.mark.parametrize(
    ("base", "region"),
    [
        ("https://eu.api.openai.com/v1", "eu"), ("https://us.api.openai.com", "us"), ("https://api.openai.com/v1", None),
        ("https://eu.example.com", None), ("http://127.0.0.1:4000", None), ("", None),
    ],
)  # fmt: skip
def test_a_base_url_names_its_region(base: str, region: str | None) -> None:
    assert wire.region_of(base) == region


@pytest.mark.parametrize(
    ("model", "fields", "multiple"),
    [
        (OPUS, {"region": "us"}, 1.1), (OPUS, {"region": "global"}, 1.0), (OPUS, {"region": "us", "speed": "fast"}, 2.2),
        (SOL, {"region": "eu"}, 1.1), (SOL, {"region": "eu", "tier": "priority"}, 2.2),
        (SOL, {"region": "us", "tier": "flex"}, 0.55), (SOL, {"tier": "fast"}, 2.0), (SOL, {"speed": "fast"}, 1.0),
        ("deepseek-v4-pro", {"region": "us"}, 1.0),
    ],
)  # fmt: skip
def test_a_region_costs_a_tenth_more_on_top_of_any_service(
    book: Book, model: str, fields: dict[str, str], multiple: float
) -> None:
    plain, there = (rates_for(book.card(model), Request("messages", "", model, **more), 50_000, NOW) for more in ({}, fields))
    assert there.fresh == pytest.approx(multiple * plain.fresh) and there.output == pytest.approx(multiple * plain.output)
    assert there.cache_read == pytest.approx(multiple * plain.cache_read)
    assert there.write(300) == pytest.approx(multiple * plain.write(300))


def test_the_ledgers_row_holds_the_regions_prices(book: Book) -> None:
    """The body of a Messages request says it, elsewhere the base URL; on top of the service that the provider says it used."""
    router = Router(Policy(mode="observe"), book)
    body = {"model": OPUS, "max_tokens": 9, "inference_geo": "us", "messages": [{"role": "user", "content": "hello"}]}
    route = router.route(path="/v1/messages", headers={}, body=json.dumps(body).encode(), now=NOW, dice=0.0)
    usage = {"input_tokens": 1_000_000, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0, "output_tokens": 0}
    router.finish(route.id, usage=usage, status=200, started=NOW, ended=NOW + 1, told=Told(service="fast"))
    other = {"model": SOL, "input": "hello"}
    there = router.route(
        path="/v1/responses", headers={}, body=json.dumps(other).encode(), now=NOW, dice=0.0, upstream="https://eu.api.openai.com"
    )
    events = router.events()
    done = next(event for event in events if isinstance(event, Finished))
    assert done.usage is not None and done.rates is not None and done.card_version == book.version
    assert cost(done.usage, done.rates) == pytest.approx(2.2 * 1_000_000 * book.card(OPUS).at(1_000_000, NOW).fresh)
    asked = [event.request.region for event in events if isinstance(event, Routed)]
    row = there.decision.row(there.decision.chosen)
    assert asked == ["us", "eu"] and row is not None and row.rates is not None
    assert row.rates.fresh == pytest.approx(1.1 * book.card(SOL).at(row.prompt, NOW).fresh)
