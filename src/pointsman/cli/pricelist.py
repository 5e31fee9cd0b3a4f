"""The lines that ``prices`` prints: a model's card with the source of each figure, and the vendors' ladders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pointsman.cli.files import own_book
from pointsman.core.book import Book
from pointsman.core.images import ImageRule
from pointsman.core.pricing import Hours, PriceCard
from pointsman.core.types import Rates
from pointsman.errors import SettingsError

MILLION = 1e6
REFERENCE = "claude-sonnet-4-5"
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
IMAGES = ((1_024, 1_024), (2_560, 1_440))
"""Sizes of images whose tokens are shown: a square one, and a large screen."""


def card_of(name: str) -> tuple[Book, PriceCard]:
    """The book and the card of a model or tier. Raises SettingsError with near names."""
    book = own_book()
    model = book.resolve(name)
    if model is None:
        near = book.near(name)
        hint = f"; did you mean {' or '.join(near)}?" if near else "; add its price under [prices] in the settings"
        raise SettingsError(f"no price is known for {name!r}{hint}")
    return book, book.card(model)


def card_lines(book: Book, card: PriceCard) -> Iterator[str]:
    """Prices in USD per million tokens, then the cache rule, the limits and the ladder."""
    rule, target = book.rule(card.model), book.target(card.model)
    gone = f", deprecated from {card.deprecated}" if card.deprecated else ""
    yield f"{card.model} · {book.vendor(card.model) or card.provider}{gone} · USD per million tokens"
    yield _rates("up to any size" if not card.steps else f"up to {card.steps[0][0]:,} prompt tokens", card.base)
    for above, rates in card.steps:
        yield _rates(f"above {above:,}, the whole prompt", rates)
    for name, service in card.services.items():
        yield _rates(f"service {name}", service.base)
        for above, rates in service.steps:
            yield _rates(f"service {name} above {above:,}", rates)
    if card.off_peak is not None:
        yield _rates(f"off-peak, {', '.join(map(_hours, card.off_peak[0]))} UTC", card.off_peak[1].base)
    if card.search_usd:
        yield f"  search    ${card.search_usd:g} for each search of the web that the provider makes"
    if card.quota_weight != 1.0:
        yield f"  under a subscription a dollar counts {card.quota_weight:g} of its quota (settings: quota_weight)"
    kept = ", ".join(_span(ttl) for ttl in rule.ttls)
    how = "by marks" if rule.explicit else "automatic"
    yield f"  cache     {how}, from {rule.min_tokens:,} tokens, kept {kept}; {rule.source}"
    window, answer = (f"{n:,}" if n else "not known" for n in (target.window, target.max_output))
    yield f"  limits    window {window}, answer {answer} tokens; efforts {', '.join(target.efforts) or 'none'}"
    theta, sd, source = book.ability(card.model)
    yield f"  ability   {theta:+.2f} ± {sd:.2f} logits (prior); {source}"
    yield f"  ladder    {' < '.join(book.ladder(card.model)) or 'none known'}"
    yield f"  prices    {card.source}"
    for kind, source in card.sources:
        yield f"    {kind:<15} {source}"
    yield f"    {'images':<15} {_images(book.images(card.model))}"
    factor = book.token_factor(REFERENCE, card.model)
    yield f"    {'tokenizer':<15} {factor:.2f} x the tokens of Claude up to 4.6 (prior, until billed here)"
    speed = book.speed(card.model)
    yield (f"  speed     first token {speed.ttft_s_warm:g} s warm, +{speed.ttft_s_per_ktoken_cold:g} s per 1,000 cold tokens, "
           f"{speed.output_tps:g} tokens/s (prior, until timed here)")


def _rates(label: str, rates: Rates) -> str:
    writes = ", ".join(f"write {_span(ttl)} {price * MILLION:g}" for ttl, price in rates.cache_write) or "write as input"
    thought = f", reasoning {rates.reasoning * MILLION:g}" if rates.reasoning != rates.output else ""
    return (f"  {label:<34} input {rates.fresh * MILLION:g}, read {rates.cache_read * MILLION:g}, {writes}, "
            f"output {rates.output * MILLION:g}{thought}")


def _hours(hours: Hours) -> str:
    listed = sorted(hours.weekdays)
    names = [DAYS[day - 1] for day in listed]
    row = len(listed) > 1 and listed[-1] - listed[0] == len(listed) - 1
    days = f"{names[0]}-{names[-1]} " if row else "".join(f"{name} " for name in names)
    return f"{days}{hours.start // 60:02}:{hours.start % 60:02}-{hours.end // 60:02}:{hours.end % 60:02}"


def _images(rule: ImageRule) -> str:
    shown = ", ".join(f"{width:,} x {height:,} pixels {rule.tokens(width, height):,}" for width, height in IMAGES)
    return f"{shown}, a page {rule.page:,} tokens; {rule.source}"


def _span(seconds: int) -> str:
    return f"{seconds // 3600} h" if seconds >= 3600 else f"{seconds // 60} min"


def ladders() -> dict[str, Any]:
    """The ladders of the vendors we know, cheap to strong, and the version of the prices they are ordered by."""
    from pointsman.shell.prices import tables

    book = own_book()
    found: dict[str, tuple[str, ...]] = {}
    for vendor, table in tables()["ladders"].items():
        offered = (name for tier in table["tiers"] for name in tier["members"] if book.ladder(name))
        model = next((name for name in offered if not book.card(name).is_deprecated(book.today)), None)
        if model is not None:
            found[vendor] = book.ladder(model)
    return {"ladders": found, "version": book.version}


def ladder_lines() -> list[str]:
    """The same for people."""
    known = ladders()
    width = max(map(len, known["ladders"]), default=0)
    lines = [f"{vendor:<{width}}  {' < '.join(rungs)}" for vendor, rungs in known["ladders"].items()]
    return [*lines, f"(newest offered model per tier, list price ascending; {known['version']})"]
