"""The envelope: when what a move would have saved has paid for it, whatever the advice says (DECISION.md 6).

Theory of operation. For each admitted alternative j a reflected sum counts what j would have saved since leaving for it last was
a bad idea: ``y_j <- max(0, y_j + cost of what runs now on this request - cost of j on it)``. All costs are *warm* running costs
in the dollars of the cost to go (failures, waiting and extra requests included); what a move costs stands beside the sum, as the
round trip R. The sum leaves for j at ``early`` x R where the advice agrees, at ``late`` x R where it does not. With early = late
= 1 and two configs that is the two-state work-function algorithm (Borodin, Linial, Saks 1992): at most 3 + 2 D/R times the best
schedule in hindsight, plus a constant times R after each free point, D being the largest cost difference that no move could
answer. Three and more configs need one work function each, or the ratio is unbounded: a sum is then also held up by the others'
(``y_j >= y_k - toll of k``: who could have been at k could have gone on from k to j), and after a move the sums are seen from
the new config. That is a work function per config with tolls that depend on the target only, and its bound is 2N - 1.

The sums are facts folded from events: ``routed`` and ``finished`` are called by ``core.session``; ``decide`` reads them.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pointsman.core.decisions import Candidate, Decision, Meter
from pointsman.core.types import Config, Rates, Usage

EARLY, LATE = 0.5, 1.5
"""Shares of the round trip at which it leaves with and without the advice: within 2 of the advised path and 6 of hindsight."""

K = TypeVar("K", bound=Hashable)


def add(sums: Mapping[K, float], here: float, there: Mapping[K, float], tolls: Mapping[K, float]) -> dict[K, float]:
    """The sums after a request that cost ``here`` and would have cost ``there``; ``tolls``: of going to each. All in USD."""
    found = {j: max(0.0, sums.get(j, 0.0) + here - usd) for j, usd in there.items()}
    if len(found) > 1:
        held = max(found[j] - tolls[j] for j in found)
        found = {j: max(usd, held) for j, usd in found.items()}
    return found


def leave(
    sums: Mapping[K, float],
    trips: Mapping[K, float],
    tolls: Mapping[K, float],
    advice: K | None,
    early: float = EARLY,
    late: float = LATE,
) -> K | None:
    """Where to go now, or None to stay. ``trips``: USD of each round trip; one that costs nothing is a free point, not ours."""
    ripe = [j for j, usd in sums.items() if trips[j] > 0.0 and usd >= (early if j == advice else late) * trips[j]]
    return max(ripe, key=lambda j: sums[j] - tolls[j], default=None)


def moved(sums: Mapping[K, float], left: K, to: K, tolls: Mapping[K, float]) -> dict[K, float]:
    """The sums as seen from ``to``, for which ``left`` was left: the way back begins at zero, the others keep their lead."""
    lead = sums[to] - tolls[to]
    return {left: 0.0, **{j: max(0.0, usd - lead) for j, usd in sums.items() if j != to}}


@dataclass(frozen=True, slots=True)
class Sums:
    """One lane's sums: USD that each alternative would have saved, and the epoch second since when it has been saving."""

    usd: Mapping[Config, float] = field(default_factory=dict)
    since: Mapping[Config, float] = field(default_factory=dict)


NOTHING = Sums()


def meters(sums: Sums, rows: Sequence[Candidate], others: Sequence[Config], now: float) -> tuple[Meter, ...]:
    """What a person reads of each admitted alternative: saved so far, since when, and what the switch costs."""
    trip = {row.config: row.round_trip_usd for row in rows}
    return tuple(
        [
            Meter(c.model, c.effort, sums.usd.get(c, 0.0), max(0.0, trip[c] or 0.0), sums.since.get(c, now))
            for c in others
            if trip.get(c) is not None
        ]
    )


def ripe(found: Sequence[Meter], rows: Sequence[Candidate], advice: Config | None) -> Meter | None:
    """The meter whose alternative should be taken now, or None."""
    if all(meter.saved_usd < EARLY * meter.switch_usd for meter in found):
        return None
    by_config = {meter.config: meter for meter in found}
    sums = {config: meter.saved_usd for config, meter in by_config.items()}
    trips = {config: meter.switch_usd for config, meter in by_config.items()}
    best = leave(sums, trips, _tolls(rows, by_config), advice)
    return by_config[best] if best is not None else None


def routed(sums: Sums, decision: Decision, current: Config) -> Sums:
    """The sums after a decision; ``current``: what ran before it. Any move but the envelope's own begins them anew."""
    found, place = decision.envelope, decision.place
    if not found or (decision.chosen != current and decision.reason != "envelope"):
        return NOTHING
    if decision.chosen == current and place.in_loop and not place.new_turn and decision.free_point is None and sums.usd:
        return sums
    usd = {meter.config: meter.saved_usd for meter in found}
    since = {meter.config: meter.since for meter in found}
    if decision.chosen == current:
        return Sums(usd, since)
    if decision.chosen not in usd:
        return NOTHING
    return Sums(moved(usd, current, decision.chosen, _tolls(decision.candidates, usd)), since)


def finished(
    sums: Sums, decision: Decision, served: Config, usage: Usage, before: Usage | None, ttl_s: int, ended: float
) -> Sums:
    """The sums after a bill: what it would have cost, all warm, on each alternative. ``before``: the lane's bill before it."""
    if not sums.usd or served != decision.chosen:
        return NOTHING
    rows = {row.config: row for row in decision.candidates}
    mine = rows.get(served)
    if mine is None or mine.rates is None or not mine.prompt:
        return NOTHING
    there = {
        config: _warm_usd(row, mine, usage, before, ttl_s)
        for config in sums.usd
        if (row := rows.get(config)) is not None and row.rates is not None
    }
    usd = add(sums.usd, _warm_usd(mine, mine, usage, before, ttl_s), there, _tolls(decision.candidates, there))
    since = {config: sums.since.get(config, ended) if usd[config] > 0.0 else ended for config in usd}
    return Sums(usd, since)


def _warm_usd(row: Candidate, mine: Candidate, usage: Usage, before: Usage | None, ttl_s: int) -> float:
    """USD of the billed request on ``row``, its history warm, with that model's extra requests and its share of failures."""
    assert row.rates is not None
    each = warm_usd(row.rates, usage, before, ttl_s, row.prompt / mine.prompt)
    return (row.steps * each + (row.risk_usd or 0.0)) / mine.steps


def warm_usd(rates: Rates, usage: Usage, before: Usage | None, ttl_s: int, factor: float = 1.0) -> float:
    """USD of ``usage`` had its history been warm; ``factor``: the model's tokens per token billed.

    New is what the prompt has grown by since ``before``, or what was not read, where that is less or nothing was before.
    """
    unread = usage.prompt - usage.cache_read
    growth = usage.prompt - before.prompt if before is not None else unread
    new = min(unread, growth) if growth > 0 else unread
    read = rates.cache_read * (usage.prompt - new) + rates.write(ttl_s) * new
    return factor * (read + rates.output * usage.output + rates.reasoning * usage.reasoning)


def _tolls(rows: Sequence[Candidate], wanted: Mapping[Config, object]) -> dict[Config, float]:
    return {row.config: row.toll_usd or 0.0 for row in rows if row.config in wanted}
