"""What the envelope weighs for one request: the admitted alternatives, what each would have saved, and whether one is due."""

from __future__ import annotations

from pointsman.core import envelope
from pointsman.core.costing import allowed
from pointsman.core.decisions import Candidate, Meter
from pointsman.core.policy import choose
from pointsman.core.session import Lane
from pointsman.core.setting import Setting
from pointsman.core.types import Config, FreePoint


def weighed(at: Setting, rows: tuple[Candidate, ...], free: FreePoint | None) -> tuple[Meter, ...]:
    """The admitted alternatives to what runs now, each with its meter; none under a pin, a schedule or an escalation.

    At a free point they begin anew: there the advice is followed, and no sum from before it counts.
    """
    lane = at.lane
    if at.place.kind != "main" or at.request.purpose != "turn" or at.policy.mode != "auto":
        return ()
    if at.session.pin is not None or at.policy.schedule or (lane and lane.sticky is not None and not at.place.new_task):
        return ()
    if lane is not None and free is None and at.place.in_loop and not at.place.new_turn:
        return _standing(lane, rows, at)
    others = _admitted(at, rows)
    if not others:
        return ()
    sums = lane.sums if lane is not None and free is None else envelope.NOTHING
    return envelope.meters(sums, rows, others, at.now)


def _standing(lane: Lane, rows: tuple[Candidate, ...], at: Setting) -> tuple[Meter, ...]:
    """Inside a tool loop nothing moves: the meters of the decision before stand as they were, the sums go on in the lane."""
    last = lane.last_decision
    if last is None or not last.envelope or last.chosen != at.current:
        return ()
    if all(meter.config != at.current for meter in last.envelope):
        return last.envelope
    return envelope.meters(lane.sums, rows, list(lane.sums.usd), at.now)  # the envelope has just moved there


def _admitted(at: Setting, rows: tuple[Candidate, ...]) -> list[Config]:
    """The asked config and the weaker ones that the user admits, without the one that runs.

    Rows go from weak to strong: consent to spend more than asked covers failures, not money saved. Where what runs is not
    admitted any more (a pin has ended), nothing is weighed: it goes back to what was asked.
    """
    may, found = allowed(rows, at), []
    if at.current != at.asked and not may.get(at.current):
        return []
    for row in rows:
        if row.config != at.current and row.veto is None and row.total_usd is not None and may.get(row.config):
            found.append(row.config)
        if row.config == at.asked:
            break
    return found


def due(at: Setting, rows: tuple[Candidate, ...], free: FreePoint | None) -> tuple[Meter | None, str]:
    """The alternative that has paid for its switch, if any, and what is said of it. Only at the start of a turn."""
    if free is not None or not at.place.new_turn:
        return None, "a free point: the advice decides" if free is not None else "nothing moves inside a turn"
    found = weighed(at, rows, free)
    if not found:
        return None, "nothing admitted to weigh"
    best = envelope.ripe(found, rows, choose(rows, at.current, {meter.config: True for meter in found}))
    if best is None:
        most = max(found, key=lambda meter: meter.saved_usd)
        return None, f"{most.config}: ≈${most.saved_usd:.2f} of ≈${most.switch_usd:.2f}"
    return best, f"{best.config}: ≈${best.saved_usd:.2f} of ≈${best.switch_usd:.2f}, so it is due"
