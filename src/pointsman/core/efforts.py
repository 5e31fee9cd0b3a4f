"""Other efforts of the asked model as candidates: the first lever, because inside the history it moves without a toll. Pure.

A weaker effort counts as weaker: it is a candidate only where the policy would admit one. A stronger one is a candidate for the
next try after a failed check, by the same consent as a stronger model. Rows are added only where they can be chosen.
"""

from __future__ import annotations

from pointsman.core.costing import allowed
from pointsman.core.decisions import Candidate
from pointsman.core.policy import choose
from pointsman.core.setting import Setting
from pointsman.core.types import Config, FreePoint


def neighbours(at: Setting) -> list[Config]:
    """The asked model's next weaker and next stronger effort, each only where it could be chosen for this request."""
    target, policy = at.book.target(at.asked.model), at.policy
    effort = at.asked.effort  # where the client names none, what it gets by default is not ours to lower or raise
    if effort not in target.efforts or at.place.kind != "main" or at.request.purpose != "turn" or policy.mode != "auto":
        return []
    if at.session.pin is not None or policy.schedule or not policy.efforts:
        return []
    place, found = target.efforts.index(effort), []
    moved = at.current.model == at.asked.model and at.current != at.asked
    if place and (at.place.new_turn or moved):
        less = Config(at.asked.model, target.efforts[place - 1])
        certified = policy.profile != "quality" and less in at.ruling.certified
        if certified or policy.profile == "saver" or (policy.profile == "balanced" and policy.guarded):
            found.append(less)
    if policy.consent_up and at.session.failed and not at.place.new_task and place + 1 < len(target.efforts):
        found.append(Config(at.asked.model, target.efforts[place + 1]))
    return found


def chosen(at: Setting, rows: tuple[Candidate, ...], free: FreePoint | None) -> tuple[Config | None, str]:
    """The effort to work at from here on, None where nothing is to be said; and why in words.

    At the start of a turn the one that costs least to the end of the task; inside a turn it stays. At free points and at new
    tasks all candidates are compared, efforts among them.
    """
    here = at.current
    mine = [row for row in rows if row.model == at.asked.model and row.veto is None]
    if len(mine) < 2 or here.model != at.asked.model or at.place.kind != "main" or at.request.purpose != "turn":
        return None, "one effort to choose from"
    if free is not None or at.place.new_task:
        return None, "a free point: every candidate is compared"
    may = allowed(rows, at)
    order = [row.config for row in rows]
    if here not in order or order.index(at.asked) < order.index(here):
        return None, f"{here} was escalated to"
    if not at.place.new_turn:
        own = at.lane is not None and at.lane.asked == at.asked and any(row.config == here for row in mine)
        held = here if here != at.asked and may.get(here) and own else None
        return held, "inside a turn the effort stays"
    weaker = {row.config: bool(may.get(row.config)) and order.index(row.config) <= order.index(at.asked) for row in mine}
    best = choose(tuple(mine), at.asked, weaker, here)
    if best is not None:
        return best, f"{best} costs less to the end of the task, and changing costs nothing"
    return (at.asked if here != at.asked else None), "no other effort costs less"
