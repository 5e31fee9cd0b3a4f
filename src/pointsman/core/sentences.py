"""The decision in words: one sentence first; every figure modelled carries ``≈``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from pointsman.core.decisions import Action, Candidate, Gate, Reason
from pointsman.core.rules import globbed
from pointsman.core.setting import Setting
from pointsman.core.types import Config, FreePoint


def usd(amount: float) -> str:
    """Modelled dollars for a sentence: ``≈$0.041``, three significant decimals below a dollar."""
    return f"≈${amount:.2f}" if abs(amount) >= 1 else f"≈${amount:.4f}" if abs(amount) < 0.01 else f"≈${amount:.3f}"


@lru_cache(maxsize=256)
def short(model: str) -> str:
    """A model's name for people: the vendor word and a date suffix left out."""
    name = model.rsplit("/", 1)[-1].removeprefix("claude-")
    head, _, tail = name.rpartition("-")
    return head if head and tail.isdigit() and len(tail) == 8 else name


def named(config: Config, at: Setting) -> str:
    """A config for people: its model, and its effort where that is what differs from what was asked."""
    if config.effort and config.effort != at.asked.effort and config.model == at.asked.model:
        return f"{short(config.model)} at effort {config.effort}"
    return short(config.model)


def sentence(
    at: Setting,
    rows: tuple[Candidate, ...],
    action: Action,
    reason: Reason,
    chosen: Config,
    free: FreePoint | None,
    notices: Sequence[str],
    gates: Sequence[Gate],
) -> str:
    """One plain sentence: what happens, why, and what the nearest alternative would have cost. ``gates``: the last decided."""
    if action == "hold":
        meter = _meter(at, rows, chosen, free)
        return f"Hold {named(at.current, at)} until a free point: {_why(gates)}." + (f" {meter}" if meter else "")
    if reason in _BY_RULE:
        said = _BY_RULE[reason](at, chosen, _why(gates))
    else:
        said = _due(at, rows, chosen) if reason == "envelope" else _SAID[reason](at, chosen, free)
    if notices:
        return f"{said}." if notices[0] in said else f"{said}: {notices[0]}."
    beside = _meter(at, rows, chosen, free) or _beside(at, rows, chosen)
    return f"{said}. {beside}" if beside else f"{said}."


def _why(gates: Sequence[Gate]) -> str:
    """What the gate said that decided."""
    return next((gate.said for gate in reversed(gates) if gate.ran), "")


def _ruled(at: Setting, chosen: Config, why: str) -> str:
    return f"{'Stay on' if chosen == at.current else 'Go to'} {named(chosen, at)}: {why}"


_BY_RULE: dict[str, Callable[[Setting, Config, str], str]] = {"rule": _ruled, "budget": _ruled}
"""Reasons whose words are the rule's own."""


def _stay(at: Setting, chosen: Config) -> str:
    """That the asked model serves: it goes on, or it comes back. Where the client has gone to it by itself, it stays there."""
    back = at.lane is not None and at.lane.asked == at.asked and chosen != at.current
    return f"{'Back to' if back else 'Stay on'} {named(chosen, at)}"


def _asked(at: Setting, chosen: Config, free: FreePoint | None) -> str:
    ruled = at.ruling
    since = f", since this task touches {globbed(ruled.touched[0])}" if ruled.touched else ""
    if not since and ruled.unchecked is not None:
        since = f", since no check sees {ruled.unchecked}"
    return f"{_stay(at, chosen)}, the model you asked for{since}"


def _due(at: Setting, rows: tuple[Candidate, ...], chosen: Config) -> str:
    """Where the envelope moves: what it would have saved has paid for the switch, or, with the advice, for half of it."""
    trip = next((row.round_trip_usd or 0.0 for row in rows if row.config == chosen), 0.0)
    paid = at.lane is not None and at.lane.sums.usd.get(chosen, 0.0) >= trip
    why = "which has paid for the switch" if paid else "which is cheaper to go on with and has paid for half of the switch"
    return f"{named(chosen, at)} from here, {why}"


def _since_when(at: Setting, chosen: Config, free: FreePoint | None) -> str:
    """Where the advice was followed: now, or earlier, and nothing better is to be had."""
    if chosen == at.current or not (free or at.place.new_task):
        return ", moved earlier"
    return f" from this free point ({free})" if free else " for this new task"


_SAID = {
    "asked": _asked,
    "no_ladder": lambda at, chosen, free: f"{_stay(at, chosen)}: we know no model to compare it with",
    "unpriced": lambda at, chosen, free: f"{_stay(at, chosen)}: it has no price, so nothing can be compared",
    "pin": lambda at, chosen, free: f"{named(chosen, at)}, pinned by you",
    "pin_refused": lambda at, chosen, free: _stay(at, chosen),
    "side": lambda at, chosen, free: f"Housekeeping on {named(chosen, at)}",
    "compaction": lambda at, chosen, free: (
        f"Summarise on {named(chosen, at)}" + (", which holds the cache" if chosen == at.current else ", the model you asked for")
    ),
    "retry": _asked,
    "retry_asked": _asked,
    "subagent": lambda at, chosen, free: (
        f"Sub-agent {'on' if chosen == at.current else 'back on'} {named(chosen, at)}, as its client chose"
    ),
    "sticky": lambda at, chosen, free: f"Stay on {named(chosen, at)}, which took this task over when a check had failed",
    "hand_down": lambda at, chosen, free: (
        f"The next try goes to {named(chosen, at)}: {named(at.current, at)} failed the check"
        + (" too" if len(at.session.failed) > 1 else "")
    ),
    "escalate": lambda at, chosen, free: f"Escalate to {named(chosen, at)} for the rest of the task",
    "free_point": lambda at, chosen, free: named(chosen, at) + _since_when(at, chosen, free),
    "count": lambda at, chosen, free: f"Counted for {named(chosen, at)}",
    "schedule": lambda at, chosen, free: f"{named(chosen, at)}, as scheduled",
    "advisor": lambda at, chosen, free: f"Stay on {named(chosen, at)}, with advice asked first",
    "effort": lambda at, chosen, free: f"{short(chosen.model)} at effort {chosen.effort or 'as asked'}",
    "failover": lambda at, chosen, free: f"{named(chosen, at)}, since the provider of what was chosen failed",
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
    name, saved = named(config, at), usd(sums.usd[config])
    return f"{name} would have saved {saved} in the last {minutes} min; the switch and the way back cost {usd(trip)}."


def _beside(at: Setting, rows: tuple[Candidate, ...], chosen: Config) -> str:
    """The alternative a person would ask about first: the cheapest other one, with what it saves and what moving costs.

    Per request of what was chosen: the requests that the other one needs more of, or fewer, are in it.
    """
    mine = next((row for row in rows if row.config == chosen), None)
    others = [row for row in rows if row.config != chosen and row.veto is None and row.run_usd is not None]
    if mine is None or mine.run_usd is None or not others:
        return ""
    other = min(others, key=lambda row: (row.run_usd or 0.0) * row.steps)
    saves = mine.run_usd - (other.run_usd or 0.0) * other.steps / mine.steps
    name = named(other.config, at)
    if name == named(chosen, at):  # one model at two efforts, neither of which was asked for
        name = f"{name} at effort {other.effort or 'of its own'}"
    if saves <= 0:
        return f"{name} would cost {usd(abs(saves))} more a request."
    trip = (other.round_trip_usd or 0.0) - (mine.round_trip_usd or 0.0)  # both leave what runs now
    if trip <= 0:
        return f"{name} would save {usd(saves)} a request."
    if chosen != at.current:
        return f"{name} would save {usd(saves)} a request; going there instead costs {usd(trip)} more."
    moving = "the switch and the way back cost" if (other.toll_usd or 0.0) > 0 else "the way back costs"
    return f"{name} would save {usd(saves)} a request; {moving} {usd(trip)}."
