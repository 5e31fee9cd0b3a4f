"""What a finished request is charged, and what the asked model would have been charged: facts for the ledger, no money yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pointsman.core import cache, edits
from pointsman.core.book import Book
from pointsman.core.decisions import Decision
from pointsman.core.pricing import rates_for
from pointsman.core.session import Lane, Session
from pointsman.core.types import Config, Rates, Request, Usage


@dataclass(frozen=True, slots=True)
class Account:
    """Prices in force (USD per token) and the asked model's modelled usage (None: it is the usage that was billed).

    ``others``: the prices of the models that the provider ran sub-requests on (advisor, compaction), as far as known.
    """

    rates: Rates | None
    asked_usage: Usage | None
    asked_rates: Rates | None
    ttl_s: int
    others: tuple[tuple[str, Rates], ...] = ()


def account(
    session: Session | None,
    request: Request,
    decision: Decision,
    served: Config,
    billed: Usage | None,
    book: Book,
    now: float,
    service: str = "",
) -> Account:
    """The facts beside a bill: ``now`` is the start of the request, in epoch seconds.

    ``service``: the tier or speed that the provider says it used, whatever was asked for: that is what it bills.
    """
    if service:
        request = replace(request, tier=service, speed=None)
    lane = session.lanes.get(decision.place.lane) if session else None
    ttl_s = _ttl(request, billed, served.model, book)
    rates = _rates(served.model, billed, book, request, now)
    others = tuple(_others(billed, served.model, book, request, now)) if billed is not None and billed.extra else ()
    ours = edits.carried(decision.edits, served.model)
    if billed is None or lane is None or (not ours and _same_path(lane, served, decision.asked)):
        return Account(rates, None, rates if served == decision.asked else None, ttl_s, others)
    usage = _as_asked(lane, request, decision, served, billed, book, now)
    return Account(rates, usage, _rates(decision.asked.model, usage, book, request, now), ttl_s, others)


def unseen(billed: Usage | None, served: Config, book: Book, first_byte: float | None, ended: float) -> int:
    """Output tokens that a broken-off answer may have been billed for beyond what was counted: a bound, modelled.

    What the model writes at its speed in the time it streamed, less what is known; 0 for a complete bill. Providers bill what
    was generated until they noticed, so the truth lies between the bill and this.
    """
    if billed is None or billed.complete or first_byte is None:
        return 0
    written = round(max(0.0, ended - first_byte) * book.speed(served.model).output_tps)
    return max(0, written - billed.output - billed.reasoning)


def _others(billed: Usage, served: str, book: Book, request: Request, now: float) -> Iterator[tuple[str, Rates]]:
    """The rates of every model that a sub-request ran on, ``""`` for the one that answered, as the request asked for it; one
    without a price is left out, its bill a lower bound.
    """
    for model, part in billed.extra:
        own = None if model else _rates(served, part, book, request, now)
        if own is not None:
            yield model, own
        elif book.has(model):
            yield model, book.card(model).at(part.prompt, now)
        yield from _others(part, served, book, request, now)


def _same_path(lane: Lane, served: Config, asked: Config) -> bool:
    """Whether the asked model ran and its cache is what it would be had nothing else ever run in this lane."""
    return served == asked and (lane.shadow is None or lane.shadow == lane.warm.get(asked))


def _rates(model: str, usage: Usage | None, book: Book, request: Request, now: float) -> Rates | None:
    if not book.has(model):
        return None
    card = book.card(model)
    rates = rates_for(card, request, usage.prompt if usage else 0, now)
    return replace(rates, search=card.search_usd) if usage and usage.searches else rates


def _ttl(request: Request, billed: Usage | None, model: str, book: Book) -> int:
    """How long the provider keeps this prefix, in seconds: what was billed, else what was asked, else its default."""
    written = [ttl for ttl, tokens in billed.cache_write if tokens] if billed else []
    if written:
        return request.ttl_s if request.ttl_s in written else min(written)
    return cache.lifetime(request, book.rule(model))


def _as_asked(lane: Lane, request: Request, decision: Decision, served: Config, billed: Usage, book: Book, now: float) -> Usage:
    """The asked model's buckets, modelled: the same prompt in its own tokens against the cache it would have kept."""
    model = decision.asked.model
    factor = book.token_factor(served.model, model)
    prompt, output, reasoning = _without_ours(lane, decision, served, billed, book)
    prompt, rule = round(prompt * factor), book.rule(model)
    ttl_s = cache.lifetime(request, rule)
    moment = cache.moment_of(request.messages[decision.place.kept :], decision.place.new_turn)
    warm = cache.predict(lane.shadow, request, prompt, rule, now, moment)
    read = min(prompt, warm.likely)
    caches = request.ttl_s is not None if rule.explicit else True
    rest = prompt - read
    priced = book.has(model) and (rule.explicit or bool(book.card(model).at(prompt, now).cache_write))
    written = rest if caches and priced and prompt >= rule.min_tokens else 0
    return Usage(
        fresh=rest - written, cache_read=read, cache_write=((ttl_s, written),) if written else (),
        output=round(output * factor), reasoning=round(reasoning * factor), complete=billed.complete,
        searches=billed.searches,
    )  # fmt: skip


def _without_ours(
    lane: Lane, decision: Decision, served: Config, billed: Usage, book: Book
) -> tuple[int, int, int]:  # fmt: skip
    """Prompt, output and reasoning tokens that the request would have had without our edits and consults.

    Where the model asked for advice in its answer it was billed for several requests: the first had the client's prompt, and
    what all of them answered belongs to the work.
    """
    parts = [part for model, part in billed.extra if model == served.model]
    prompt = parts[0].prompt if parts else billed.prompt
    known = lane.ratios.get(served.model)
    ratio = known.chars_per_token if known is not None else book.chars_per_token(served.model)
    prompt -= round(edits.chars((e for e in decision.edits if e.into or e.kind != "consult"), served.model) / ratio)
    return max(1, prompt), sum(p.output for p in parts) + billed.output, sum(p.reasoning for p in parts) + billed.reasoning
