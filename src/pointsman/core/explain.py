"""The decision in words, and the points at which it would flip. One sentence first; every figure modelled carries ``≈``."""

from __future__ import annotations

from collections.abc import Callable

from pointsman.core.candidates import Setting, odds_of, price_of, tries_of
from pointsman.core.difficulty import PRIOR
from pointsman.core.policy import Odds
from pointsman.core.tries import plans, resolved_usd, totals
from pointsman.core.types import Belief, BreakEven, Candidate, Config, FreePoint, Reason


def usd(amount: float) -> str:
    """Modelled dollars for a sentence: ``≈$0.041``, three significant decimals below a dollar."""
    return f"≈${amount:.2f}" if abs(amount) >= 1 else f"≈${amount:.4f}" if abs(amount) < 0.01 else f"≈${amount:.3f}"


def short(model: str) -> str:
    """A model's name for people: the vendor word and a date suffix left out."""
    name = model.rsplit("/", 1)[-1].removeprefix("claude-")
    head, _, tail = name.rpartition("-")
    return head if head and tail.isdigit() and len(tail) == 8 else name


def sentence(
    at: Setting,
    rows: tuple[Candidate, ...],
    reason: Reason,
    chosen: Config,
    free: FreePoint | None,
    notices: tuple[str, ...],
) -> str:
    """One plain sentence: what happens, why, and what the nearest alternative would have cost."""
    said = _SAID[reason](at, chosen, free)
    meter = _meter(at, rows, chosen, free)
    if notices:
        return f"{said}: {notices[0]}."
    beside = meter or _beside(at, rows, chosen)
    return f"{said}. {beside}" if beside else f"{said}."


def _asked(at: Setting, chosen: Config, free: FreePoint | None) -> str:
    back = at.lane is not None and at.lane.asked == at.asked and chosen != at.current
    return f"{'Back to' if back else 'Stay on'} {short(chosen.model)}, the model you asked for"


_SAID = {
    "asked": _asked,
    "no_ladder": lambda at, chosen, free: f"Stay on {short(chosen.model)}: we know no model to compare it with",
    "unpriced": lambda at, chosen, free: f"Stay on {short(chosen.model)}: it has no price, so nothing can be compared",
    "pin": lambda at, chosen, free: f"{short(chosen.model)}, pinned by you",
    "pin_refused": lambda at, chosen, free: f"Stay on {short(chosen.model)}",
    "side": lambda at, chosen, free: f"Housekeeping on {short(chosen.model)}",
    "compaction": lambda at, chosen, free: f"Summarise on {short(chosen.model)}, which holds the cache",
    "retry": _asked,
    "retry_asked": _asked,
    "subagent": lambda at, chosen, free: f"Sub-agent on {short(chosen.model)}, as its client chose",
    "sticky": lambda at, chosen, free: f"Stay on {short(chosen.model)}: escalated until the task ends",
    "hand_down": lambda at, chosen, free: f"The next try goes to {short(chosen.model)}: the stronger model failed the check too",
    "escalate": lambda at, chosen, free: f"Escalate to {short(chosen.model)} for the rest of the task",
    "free_point": lambda at, chosen, free: (
        short(chosen.model)
        + (f" from this free point ({free})" if free else " for this new task" if at.place.new_task else ", moved earlier")
    ),
    "count": lambda at, chosen, free: f"Counted for {short(chosen.model)}",
    "schedule": lambda at, chosen, free: f"{short(chosen.model)}, as scheduled",
    "envelope": lambda at, chosen, free: f"{short(chosen.model)} from here, which has paid for the switch",
    "advisor": lambda at, chosen, free: f"Stay on {short(chosen.model)}, with advice asked first",
    "effort": lambda at, chosen, free: f"{short(chosen.model)} at effort {chosen.effort or 'as asked'}",
    "fail_open": _asked,
}


WORTH_SAYING = 0.1
"""Share of the switch below which what was saved so far is left out of the sentence (the screens show it all the same)."""


def _meter(at: Setting, rows: tuple[Candidate, ...], chosen: Config, free: FreePoint | None) -> str:
    """What the envelope's fullest sum has come to, beside what the switch costs; empty where none has."""
    sums = at.lane.sums if at.lane is not None and free is None else None
    if sums is None or not any(sums.usd.values()):
        return ""
    config = chosen if chosen in sums.usd else max(sums.usd, key=lambda c: sums.usd[c])
    trip = next((row.round_trip_usd for row in rows if row.config == config), None)
    if trip is None or trip <= 0.0 or sums.usd[config] < WORTH_SAYING * trip:
        return ""
    minutes = max(1, round((at.now - sums.since[config]) / 60.0))
    name, saved = short(config.model), usd(sums.usd[config])
    return f"{name} would have saved {saved} in the last {minutes} min; the switch and the way back cost {usd(trip)}."


def _beside(at: Setting, rows: tuple[Candidate, ...], chosen: Config) -> str:
    """The alternative a person would ask about first: the cheapest other one, with what it saves and what moving costs."""
    mine = next((row for row in rows if row.config == chosen), None)
    others = [row for row in rows if row.model != chosen.model and row.veto is None and row.run_usd is not None]
    if mine is None or mine.run_usd is None or not others:
        return ""
    other = min(others, key=lambda row: row.run_usd or 0.0)
    saves = mine.run_usd - (other.run_usd or 0.0)
    name = short(other.model)
    if saves <= 0:
        return f"{name} would cost {usd(abs(saves))} more a request."
    trip = other.round_trip_usd
    if trip is None or trip <= 0:
        return f"{name} would save {usd(saves)} a request."
    moving = "the switch and the way back cost" if (other.toll_usd or 0.0) > 0 else "the way back costs"
    return f"{name} would save {usd(saves)} a request; {moving} {usd(trip)}."


def breakevens(at: Setting, rows: tuple[Candidate, ...], chosen: Config) -> tuple[BreakEven, ...]:
    """Where the answer flips to each alternative: in requests still to come, in difficulty, in the user's minutes per failure.

    Inside a tool loop, where nothing moves, the last two are those of the request before.
    """
    mine = next((row for row in rows if row.config == chosen), None)
    if mine is None or mine.run_usd is None or mine.fail is None or mine.veto is not None:
        return ()
    odds = odds_of(at.policy, at.outlook)
    others = [row for row in rows if row is not mine and row.veto is None and row.run_usd is not None and row.fail is not None]
    known = _known(at, chosen)
    if known is None:
        known = _flips(at, rows, chosen, odds)
    found: list[BreakEven] = []
    for row in others:
        found.append(_requests(mine, row, odds))
        found += [point for point in known if point.model == row.model and point.effort == row.effort]
    return tuple(found)


def _known(at: Setting, chosen: Config) -> list[BreakEven] | None:
    """The points of the lane's last decision where they still hold: the same turn, task and choice."""
    last = at.lane.last_decision if at.lane else None
    if last is None or not at.place.in_loop or at.place.new_turn or last.chosen != chosen or not last.breakevens:
        return None
    return [point for point in last.breakevens if point.axis != "requests"]


def _requests(mine: Candidate, row: Candidate, odds: Odds) -> BreakEven:
    """Requests until a lasting switch has repaid its toll; none where the other model is no cheaper to run warm."""
    gain = (mine.run_usd or 0.0) - (row.run_usd or 0.0)
    toll = (row.toll_usd or 0.0) - (mine.toll_usd or 0.0)
    at = max(0.0, toll / gain) if gain > 0 else None
    return BreakEven(row.model, row.effort, "requests", at, odds.requests)


USD_PER_MINUTE = 1.0
"""The user's time at $60 an hour (DECISION.md 1)."""

FAILURE_GRID = (0.0, 5.0, 60.0)
"""USD per failure between which the flip is looked for; the cost to go is nearly linear in them."""

GRID = (-6.0, -3.0, 0.0, 3.0, 6.0)
"""Difficulties between which the flip is looked for, in logits beside an ordinary task."""

Curve = list[tuple[float, dict[Config, float]]]
"""Points of an axis, and each config's cost to go there."""


def _flips(at: Setting, rows: tuple[Candidate, ...], chosen: Config, odds: Odds) -> list[BreakEven]:
    """The flips in minutes and in difficulty; both models' failure moves with the difficulty."""
    tries = tries_of(rows, at, odds, at.belief)
    names, price = [t.config for t in tries], price_of(tries, odds, at.belief)
    here, ordinary = plans(tries, odds), plans([t.under(PRIOR) for t in tries], odds)

    def by_failure(usd: float) -> dict[Config, float]:
        resolved = resolved_usd(ordinary, usd)
        return {plan.config: plan.total(usd, resolved) for plan in here}

    def by_difficulty(mu: float) -> dict[Config, float]:
        there = Belief(mu, at.belief.sd, at.belief.n)
        return dict(zip(names, totals([t.under(there) for t in tries], odds, price), strict=True))

    usd: Curve = [(x, by_failure(x)) for x in FAILURE_GRID]
    hard: Curve = [(x, by_difficulty(x)) for x in GRID]
    found = []
    for other in names:
        if other != chosen:
            dollars = _flip(usd, by_failure, chosen, other, odds.failure_usd)
            mu = _flip(hard, by_difficulty, chosen, other, at.belief.mu)
            minutes = None if dollars is None else dollars / USD_PER_MINUTE
            difficulty = None if mu is None else Belief(mu).hard
            found.append(BreakEven(other.model, other.effort, "minutes", minutes, odds.failure_usd / USD_PER_MINUTE))
            found.append(BreakEven(other.model, other.effort, "difficulty", difficulty, at.belief.hard))
    return found


def _flip(
    curve: Curve, usd_at: Callable[[float], dict[Config, float]], mine: Config, other: Config, now: float
) -> float | None:  # fmt: skip
    """The point nearest to ``now`` at which the cheaper of two changes; one more look between the curve's points sharpens it."""
    gaps = [(x, usd[mine] - usd[other]) for x, usd in curve]
    spans = [(a, b) for a, b in zip(gaps, gaps[1:], strict=False) if (a[1] > 0) != (b[1] > 0)]
    if not spans:
        return None
    low, high = min(spans, key=lambda span: abs(_between(*span) - now))
    middle = _between(low, high)
    usd = usd_at(middle)
    here = (middle, usd[mine] - usd[other])
    if here[1] == 0.0:
        return middle
    return _between(low, here) if (low[1] > 0) != (here[1] > 0) else _between(here, high)


def _between(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Where the straight line through two points of opposite sign is zero."""
    return a[0] + (b[0] - a[0]) * a[1] / (a[1] - b[1])
