"""The decision in words, and the points at which it would flip. One sentence first; every figure modelled carries ``≈``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pointsman.core.candidates import Setting, odds_of
from pointsman.core.capability import sigmoid, spread_of
from pointsman.core.policy import Odds, cost_to_go
from pointsman.core.types import Belief, BreakEven, Candidate, Config, FreePoint, Reason

GRID = tuple(float(mu) for mu in range(-6, 7))
"""Difficulties at which the flip is looked for, in logits: beyond +-6 every current model always fails or always solves."""

HALVINGS = 8
"""Bisection steps after the grid: to 1/256 of a logit."""


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
    if notices:
        return f"{said}: {notices[0]}."
    beside = _beside(at, rows, chosen)
    return f"{said}. {beside}" if beside else f"{said}."


def _asked(at: Setting, chosen: Config, free: FreePoint | None) -> str:
    return f"Stay on {short(chosen.model)}, the model you asked for"


_SAID = {
    "asked": _asked,
    "no_ladder": lambda at, chosen, free: f"Stay on {short(chosen.model)}: its name is on no ladder we know",
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
        f"{short(chosen.model)}" + (f" from this free point ({free})" if free else ", moved earlier")
    ),
    "schedule": lambda at, chosen, free: f"{short(chosen.model)}, as scheduled",
    "count": lambda at, chosen, free: f"Counted for {short(chosen.model)}",
    "fail_open": _asked,
}


def _beside(at: Setting, rows: tuple[Candidate, ...], chosen: Config) -> str:
    """The alternative a person would ask about first: the cheapest other one, with what it saves and what moving costs."""
    mine = next((row for row in rows if row.config == chosen), None)
    others = [row for row in rows if row.config != chosen and row.veto is None and row.run_usd is not None]
    if mine is None or mine.run_usd is None or not others:
        return ""
    other = min(others, key=lambda row: row.run_usd or 0.0)
    saves = mine.run_usd - (other.run_usd or 0.0)
    name = short(other.model)
    if saves <= 0:
        return f"{name} would cost {usd(-saves)} more a request."
    trip = other.round_trip_usd
    if trip is None or trip <= 0:
        return f"{name} would save {usd(saves)} a request."
    return f"{name} would save {usd(saves)} a request; the switch and the way back cost {usd(trip)}."


def breakevens(at: Setting, rows: tuple[Candidate, ...], chosen: Config) -> tuple[BreakEven, ...]:
    """Where the answer flips to each alternative: in requests still to come, in difficulty, in the user's minutes per failure."""
    mine = next((row for row in rows if row.config == chosen), None)
    if mine is None or mine.run_usd is None or mine.fail is None:
        return ()
    found: list[BreakEven] = []
    odds = odds_of(at.policy)
    for row in rows:
        if row.config == chosen or row.veto is not None or row.run_usd is None or row.fail is None:
            continue
        found.append(_requests(mine, row, odds))
        found.append(_minutes(mine, row, odds))
        found.append(_difficulty(mine, row, at, odds))
    return tuple(found)


def _requests(mine: Candidate, row: Candidate, odds: Odds) -> BreakEven:
    """Requests until a lasting switch has repaid its toll; none where the other model is no cheaper to run warm."""
    gain = (mine.run_usd or 0.0) - (row.run_usd or 0.0)
    toll = (row.toll_usd or 0.0) - (mine.toll_usd or 0.0)
    at = max(0.0, toll / gain) if gain > 0 else None
    return BreakEven(row.model, row.effort, "requests", at, odds.requests)


USD_PER_MINUTE = 1.0
"""The user's time at $60 an hour (DECISION.md 1)."""


def _minutes(mine: Candidate, row: Candidate, odds: Odds) -> BreakEven:
    """Minutes of the user per visible failure at which both cost the same: the cost to go is linear in them."""
    now = odds.failure_usd / USD_PER_MINUTE
    free, dear = _gap(mine, row, replace(odds, failure_usd=0.0)), _gap(mine, row, replace(odds, failure_usd=1.0))
    slope = dear - free
    at = -free / slope / USD_PER_MINUTE if slope else None
    return BreakEven(row.model, row.effort, "minutes", at if at is not None and at >= 0 else None, now)


def _gap(mine: Candidate, row: Candidate, odds: Odds) -> float:
    """Cost to go of ``mine`` minus that of ``row`` with the failure rates of the rows, in USD."""
    return cost_to_go(mine, mine.fail or 0.0, _repair(mine, row, odds), odds) - cost_to_go(
        row, row.fail or 0.0, _repair(mine, row, odds), odds
    )


def _repair(mine: Candidate, row: Candidate, odds: Odds) -> float:
    dear = max(mine, row, key=lambda r: r.run_usd or 0.0)
    return odds.requests * (dear.run_usd or 0.0) + (dear.toll_usd or 0.0)


def _difficulty(mine: Candidate, row: Candidate, at: Setting, odds: Odds) -> BreakEven:
    """The difficulty at which the cheaper one to go on with changes; both models' failure moves with it. None: at none."""
    fails_mine, fails_row = _fails(mine.model, at), _fails(row.model, at)
    repair = _repair(mine, row, odds)

    def gap(mu: float) -> float:
        return cost_to_go(mine, fails_mine(mu), repair, odds) - cost_to_go(row, fails_row(mu), repair, odds)

    mu = at.belief.mu
    cheaper = gap(mu) > 0
    flips = [point for point in GRID if (gap(point) > 0) != cheaper]
    if not flips:
        return BreakEven(row.model, row.effort, "difficulty", None, at.belief.hard)
    low, high = mu, min(flips, key=lambda point: abs(point - mu))
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if (gap(middle) > 0) != cheaper else (middle, high)
    return BreakEven(row.model, row.effort, "difficulty", Belief(high).hard, at.belief.hard)


def _fails(model: str, at: Setting) -> Callable[[float], float]:
    """P(failure) of ``model`` as a function of the difficulty in logits, at the spread of the present belief."""
    theta, theta_sd, _ = at.book.ability(model)
    spread = spread_of(at.belief.sd, theta_sd)
    return lambda mu: sigmoid((mu - theta) / spread)
