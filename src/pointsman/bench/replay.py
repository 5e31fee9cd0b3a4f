"""Replay: what a recorded session cost, where leaving would have been free, and what a switch would have cost.

Theory of operation. The events already hold, for every request, each candidate priced for its own prefix by ``decide``. Replay
only adds them up: tolls and round trips at free points and elsewhere, and a *same-tokens* bill on each neighbour: the tokens
that were billed, in the neighbour's own tokens and prices, with the caches it would have kept. It says nothing about whether
the neighbour would have solved the task, nor about the steps it would have taken; that is why it is modelled (``≈``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from statistics import median

from pointsman.core.book import Book
from pointsman.core.decisions import Candidate
from pointsman.core.events import Event, Finished, Routed, paired
from pointsman.core.pricing import billed_usd, cost
from pointsman.core.types import Usage


@dataclass(frozen=True, slots=True)
class Point:
    """A request at which a switch was priced, in USD. ``rest``: what staying there to the end would have saved, toll paid."""

    free: str | None
    toll: float
    own_toll: float
    way_back: float
    round_trip: float
    rest: float | None = None


@dataclass(slots=True)
class Neighbour:
    """One model beside the one that ran. ``billed``, ``there``: USD of the same requests as billed, and on this model."""

    model: str
    billed: float = 0.0
    there: float = 0.0
    points: list[Point] = field(default_factory=list)

    @property
    def net(self) -> float:
        """USD that the same tokens would have saved there (negative: they would have cost more)."""
        return self.billed - self.there

    def some(self, free: bool) -> list[Point]:
        """The points that were free, or those that were not."""
        return [point for point in self.points if (point.free is not None) == free]


@dataclass(slots=True)
class Report:
    """One session added up. ``unknown``: requests whose bill nobody recorded; ``estimated``: bills with estimated output."""

    session: str
    client: str
    title: str = ""
    models: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    turns: int = 0
    billed: float = 0.0
    unknown: int = 0
    unpriced: int = 0
    estimated: int = 0
    prompt: int = 0
    cache_read: int = 0
    free: Counter[str] = field(default_factory=Counter)
    neighbours: dict[str, Neighbour] = field(default_factory=dict)

    @property
    def cached(self) -> float | None:
        """Share of the input that was read from the cache, 0..1; None without a bill."""
        return self.cache_read / self.prompt if self.prompt else None


def report(events: Iterable[Event], book: Book) -> Report:
    """Add up one session's events (others are not looked at)."""
    routed, finished = paired(events)
    first = routed[0].request if routed else None
    out = Report(routed[0].session if routed else "", first.client if first else "unknown", first.title if first else "")
    for event in routed:
        _count(out, event, finished.get(event.id))
    later: dict[str, float] = {}
    for event in reversed(routed):
        _compare(out, event, finished.get(event.id), book, later)
    for neighbour in out.neighbours.values():
        neighbour.points.reverse()
    return out


def _count(out: Report, event: Routed, done: Finished | None) -> None:
    decision, place = event.decision, event.decision.place
    out.requests += 1
    out.turns = max(out.turns, place.turn)
    served = (done.served if done else None) or decision.chosen
    out.models[served.model] += 1
    if decision.free_point is not None and place.kind == "main":
        out.free[decision.free_point] += 1
    if done is None or done.usage is None:
        out.unknown += 0 if done is not None and done.status >= 400 else 1
        return
    out.prompt += done.usage.prompt
    out.cache_read += done.usage.cache_read
    out.estimated += not done.usage.complete
    if done.rates is None:
        out.unpriced += 1
        return
    others = {row.model: row.rates for row in decision.candidates if row.rates} | dict(done.other_rates)
    out.billed += billed_usd(done.usage, done.rates, others)[0]


def _compare(out: Report, event: Routed, done: Finished | None, book: Book, later: dict[str, float]) -> None:
    """Price the switch at this request. ``later``: per model, what it would have saved from the next request on."""
    decision = event.decision
    if decision.place.kind != "main" or done is None or done.usage is None or done.rates is None:
        return
    served = done.served or decision.chosen
    own = decision.row(served)
    bill = cost(replace(done.usage, extra=()), done.rates)
    for row in decision.candidates:
        if row.model == served.model or row.veto is not None or not book.has(row.model):
            continue
        there = on(done.usage, served.model, row.model, book, event.ts)
        neighbour = out.neighbours.setdefault(row.model, Neighbour(row.model))
        neighbour.billed += bill
        neighbour.there += there
        rest = later.get(row.model, 0.0) + bill - there
        later[row.model] = rest
        if own is not None and event.request.purpose == "turn":
            neighbour.points.append(_point(row, own, decision.free_point, rest))


def _point(row: Candidate, own: Candidate, free: str | None, rest: float) -> Point:
    toll, staying = row.toll_usd or 0.0, own.toll_usd or 0.0
    way_back = row.way_back_usd or 0.0
    trip = row.round_trip_usd if row.round_trip_usd is not None else toll - staying + way_back
    return Point(free, toll, staying, way_back, trip, rest - (toll - staying))


def on(usage: Usage, ran: str, model: str, book: Book, now: float) -> float:
    """USD of ``usage``, billed by ``ran``, as the same text with the same cache hits on ``model``."""
    factor = book.token_factor(ran, model)
    there = Usage(
        fresh=round(usage.fresh * factor), cache_read=round(usage.cache_read * factor),
        cache_write=tuple((ttl, round(n * factor)) for ttl, n in usage.cache_write),
        output=round(usage.output * factor), reasoning=round(usage.reasoning * factor),
    )  # fmt: skip
    return cost(there, book.card(model).at(there.prompt, now))


def middle(values: Iterable[float]) -> float | None:
    """The median, None of nothing."""
    found = list(values)
    return median(found) if found else None


def as_json(out: Report) -> dict[str, object]:
    """The report as plain JSON values; USD unrounded, modelled figures under ``neighbours``."""
    return {
        "session": out.session, "client": out.client, "models": dict(out.models), "requests": out.requests, "turns": out.turns,
        "billed_usd": out.billed, "unknown_requests": out.unknown, "unpriced_requests": out.unpriced,
        "estimated_outputs": out.estimated, "cached": out.cached, "free_points": dict(out.free),
        "neighbours": {name: _neighbour(found) for name, found in out.neighbours.items()},
    }  # fmt: skip


def _neighbour(found: Neighbour) -> Mapping[str, object]:
    return {
        "billed_usd": found.billed, "same_tokens_usd": found.there, "net_usd": found.net,
        **{name: _points(found.some(free)) for name, free in (("at_free_points", True), ("elsewhere", False))},
    }


def _points(points: list[Point]) -> Mapping[str, object]:
    pays = [point for point in points if point.rest is not None and point.rest > 0]
    return {
        "n": len(points), "toll_usd": middle(p.toll for p in points), "own_toll_usd": middle(p.own_toll for p in points),
        "way_back_usd": middle(p.way_back for p in points), "round_trip_usd": middle(p.round_trip for p in points),
        "rest_of_session_usd": middle(p.rest for p in points if p.rest is not None), "pays": len(pays),
    }
