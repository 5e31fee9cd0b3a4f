"""The points at which a decision would flip: in requests still to come, in difficulty, in the user's minutes per failure."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pointsman.core.candidates import odds_of
from pointsman.core.capability import Outlook
from pointsman.core.costing import Weighed, weigh
from pointsman.core.decisions import BreakEven, Candidate
from pointsman.core.later import Later
from pointsman.core.policy import Odds, Policy
from pointsman.core.setting import Setting
from pointsman.core.tries import by_difficulty, resolved_usd, weights
from pointsman.core.types import Belief, Config

Points = tuple[BreakEven, ...] | Later[BreakEven]


def breakevens(
    at: Setting, rows: tuple[Candidate, ...], chosen: Config, weighed: Weighed | None = None
) -> Points:  # fmt: skip
    """Where the answer flips to each alternative: in requests still to come, in difficulty, in the user's minutes per failure.

    ``weighed``: what ``rows`` were costed from for this request; None where their cost to go is that of the request before, and
    with it the last two points. They decide nothing and take longer than the rest, so they are worked out when read.
    """
    known = _known(at, chosen) if weighed is None else None
    weighed = weighed or (weigh(rows, at) if known is None else None)
    return Later(partial(_points, rows, chosen, at.policy, at.outlook, at.belief, known, weighed))


def _points(
    rows: tuple[Candidate, ...], chosen: Config, policy: Policy, outlook: Outlook, belief: Belief, known: Points | None,
    weighed: Weighed | None,
) -> tuple[BreakEven, ...]:  # fmt: skip
    """All points of the other rows. ``known``: those of the request before, where they hold, else they come of ``weighed``."""
    mine = next((row for row in rows if row.config == chosen), None)
    if mine is None or mine.run_usd is None or mine.fail is None or mine.veto is not None:
        return ()
    odds = odds_of(policy, outlook)
    if known is None:
        known = tuple(_flips(weighed, chosen, belief, policy.stakes)) if weighed is not None else ()
    found: list[BreakEven] = []
    for row in rows:
        if row is not mine and row.veto is None and row.run_usd is not None and row.fail is not None:
            found.append(_requests(mine, row, odds))
            found += [p for p in known if p.axis != "requests" and p.model == row.model and p.effort == row.effort]
    return tuple(found)


def _known(at: Setting, chosen: Config) -> Points | None:
    """The points of the lane's last decision where they still hold: the same turn, task and choice."""
    last = at.lane.last_decision if at.lane else None
    if last is None or not at.place.in_loop or at.place.new_turn or last.chosen != chosen or not last.breakevens:
        return None
    return last.breakevens


def _requests(mine: Candidate, row: Candidate, odds: Odds) -> BreakEven:
    """Requests until a lasting switch has repaid its toll; none where the other model, which may need more requests for the same
    work, is no cheaper to run warm."""
    gain = (mine.run_usd or 0.0) - (row.run_usd or 0.0) * row.steps / mine.steps
    toll = (row.toll_usd or 0.0) - (mine.toll_usd or 0.0)
    at = max(0.0, toll / gain) if gain > 0 else None
    return BreakEven(row.model, row.effort, "requests", at, odds.requests)


USD_PER_MINUTE = 1.0
"""The user's time at $60 an hour (DECISION.md 1)."""

FAILURE_GRID = (0.0, 5.0, 60.0)
"""USD per failure between which the flip is looked for; the cost to go is nearly linear in them."""

JUST_BELOW = 1.0 - 1e-6
"""Share of a price at which the next try of the asked model is not owed yet."""

LOOKS, NEAR = 3, 0.02
"""Looks between two points of a curve, along the straight line between them, until its span is this share of its place."""

GRID = (-6.0, -2.0, 2.0, 6.0)
"""Difficulties between which the flip is looked for, beside where we stand; in logits beside an ordinary task."""

Curve = list[tuple[float, list[float]]]
"""Points of an axis, and the cost to go of each try there."""


def _flips(weighed: Weighed, chosen: Config, belief: Belief, stakes: float) -> list[BreakEven]:
    """The flips in minutes and in difficulty; both models' failure moves with the difficulty.

    ``stakes``: by how much a failure costs more on this task; the minutes are those that the user sets, before it.
    """
    odds, names, minute = weighed.odds, [t.config for t in weighed.tries], USD_PER_MINUTE * stakes
    if chosen not in names:
        return []
    harder, mine = by_difficulty(weighed.tries, odds, belief.sd, weighed.resolved), names.index(chosen)

    def dearer(usd: float) -> list[float]:
        resolved = resolved_usd(weighed.ordinary, usd)
        return [plan.total(usd, resolved) for plan in weighed.plans]

    edges = {plan.owed_usd for plan in weighed.plans if 0.0 < plan.owed_usd < FAILURE_GRID[-1]}  # there the cost to go jumps
    places = sorted((*FAILURE_GRID, *edges, *[JUST_BELOW * edge for edge in edges]))
    usd: Curve = [(x, weighed.totals if x == odds.failure_usd else dearer(x)) for x in places]
    hard: Curve = sorted([*[(x, harder(x)) for x in GRID], (belief.mu, weighed.totals)])
    found = []
    for i, other in enumerate(names):
        if i != mine:
            dollars = _flip(usd, dearer, mine, i, odds.failure_usd)
            mu = _flip(hard, harder, mine, i, belief.mu)
            minutes = None if dollars is None else dollars / minute
            found.append(BreakEven(other.model, other.effort, "minutes", minutes, odds.failure_usd / minute))
            found.append(_difficulty(weighed, mine, i, belief, mu))
    return found


def _difficulty(weighed: Weighed, mine: int, other: int, belief: Belief, mu: float | None) -> BreakEven:
    """The flip at the difficulty ``mu`` (None: there is none), with the uplift that it takes beside what there is now."""
    config = weighed.tries[other].config
    if mu is None:
        return BreakEven(config.model, config.effort, "difficulty", None, belief.hard)
    w = weights(weighed.odds.nobody)

    def uplift(at: Belief) -> float:
        better, chosen = [sum([x * p for x, p in zip(w, weighed.tries[i].under(at).p, strict=True)]) for i in (other, mine)]
        return better - chosen

    there = Belief(mu, belief.sd)
    return BreakEven(config.model, config.effort, "difficulty", there.hard, belief.hard, uplift(there), uplift(belief))


def _flip(
    curve: Curve, usd_at: Callable[[float], list[float]], mine: int, other: int, now: float
) -> float | None:  # fmt: skip
    """The point nearest to ``now`` at which the cheaper of two changes; a few looks between the curve's points sharpen it."""
    gaps = [(x, usd[mine] - usd[other]) for x, usd in curve]
    spans = [(a, b) for a, b in zip(gaps, gaps[1:], strict=False) if (a[1] > 0) != (b[1] > 0)]
    if not spans:
        return None
    low, high = min(spans, key=lambda span: abs(_between(*span) - now))
    for _ in range(LOOKS):
        middle = _between(low, high)
        if high[0] - low[0] <= NEAR * abs(middle):
            break
        usd = usd_at(middle)
        here = (middle, usd[mine] - usd[other])
        low, high = (low, here) if (low[1] > 0) != (here[1] > 0) else (here, high)
    return _between(low, high)


def _between(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Where the straight line through two points of opposite sign is zero."""
    return a[0] + (b[0] - a[0]) * a[1] / (a[1] - b[1])
