"""Our prices beside the bills: how far the predicted input dollars were off, over a ledger's requests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import fsum

from pointsman.core.decisions import Candidate, Decision
from pointsman.core.events import Event, FailedOver, Finished, paired
from pointsman.core.pricing import cost
from pointsman.core.types import Usage


@dataclass(frozen=True, slots=True)
class Audit:
    """Errors as fractions of the billed input USD: of the sum, of half and of nine tenths of the requests."""

    requests: int
    bias: float
    p50: float
    p90: float


def input_usd(event: Finished) -> float | None:
    """USD that the prompt of a finished request was billed; None where the provider or the prices say nothing."""
    usage = event.usage
    if usage is None or event.rates is None or usage.prompt <= 0 or event.status >= 400:
        return None
    return cost(Usage(fresh=usage.fresh, cache_read=usage.cache_read, cache_write=usage.cache_write), event.rates)


def predicted(decision: Decision | None, done: Finished, over: FailedOver | None = None) -> Candidate | None:
    """The row that was priced for what really answered; None where there is none.

    ``over``: the last hop of a request whose provider failed. What answers then has caches of its own, and was priced anew. A
    request whose change was refused went to the asked model, whose row stood beside the chosen one's.
    """
    if over is not None and over.row is not None:
        return over.row if over.row.config == done.served else None
    return decision.row(done.served) if decision is not None and done.served is not None else None


def audit(events: Iterable[Event]) -> Audit | None:
    """How good the predictions of ``events`` were; None of nothing. Token counts and a session's first request are left out."""
    events = list(events)
    routed, finished = paired(events)
    hops = {event.id: event for event in events if isinstance(event, FailedOver) and event.row is not None}
    begun: set[tuple[str, str]] = set()
    pairs: list[tuple[float, float]] = []
    for event in routed:
        place, done = event.decision.place, finished.get(event.id)
        billed = input_usd(done) if done is not None else None
        if done is None or billed is None or event.request.purpose == "count":
            continue
        row = predicted(event.decision, done, hops.get(event.id))
        if (place.session, place.lane) in begun and row is not None and row.input_usd is not None and billed > 0.0:
            pairs.append((row.input_usd, billed))
        begun.add((place.session, place.lane))
    if not pairs:
        return None
    total = fsum(billed for _, billed in pairs)
    errors = sorted(abs(guess - billed) / billed for guess, billed in pairs)
    return Audit(len(pairs), (fsum(guess for guess, _ in pairs) - total) / total, _at(errors, 0.5), _at(errors, 0.9))


def _at(ascending: list[float], q: float) -> float:
    return ascending[min(len(ascending) - 1, int(q * len(ascending)))]
