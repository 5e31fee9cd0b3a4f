"""Budgets: what a session and a day may cost, what they have cost so far, and what up-moves have cost a task. USD.

What up-moves cost is the bill less what the asked model would have been billed, which is modelled. Spent is a fold of the
ledger: every finished request, and every consult of ours, adds what its usage costs at the rates then in force. Requests that
nobody billed visibly are not in it, so that the sum is a lower bound. A budget never fails a request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pointsman.core.decisions import Decision
from pointsman.core.events import Advised, Finished
from pointsman.core.policy import Policy
from pointsman.core.pricing import cost
from pointsman.core.types import DAY, Place, Rates, Usage

if TYPE_CHECKING:
    from pointsman.core.session import Session


def billed(event: Finished | Advised) -> float:
    """USD of one finished request, its sub-requests included, or of a consult; 0 where the provider said nothing."""
    if event.usage is None or event.rates is None:
        return 0.0
    others = event.other_rates if isinstance(event, Finished) else ()
    return _of(event.usage, event.rates, dict(others) if others else {})


def _of(usage: Usage, rates: Rates, others: dict[str, Rates]) -> float:
    total = cost(usage, rates)
    for model, part in usage.extra:
        own = others.get(model)
        if own is not None:
            total += _of(part, own, others)
    return total


def extra(event: Finished, decision: Decision) -> float:
    """USD by which a request cost more than the asked model would have; 0 where it cost less or nobody knows, or where a person's
    own word (a pin, a rule, a schedule) put it there."""
    if event.usage is None or event.rates is None or event.asked_usage is None or event.asked_rates is None:
        return 0.0
    if decision.reason in ("pin", "rule", "schedule") or decision.would is not None:
        return 0.0
    return max(0.0, billed(event) - cost(event.asked_usage, event.asked_rates))


def day_of(ts: float, offset_s: int) -> int:
    """The number of the user's day in which ``ts`` (epoch seconds) falls; ``offset_s``: seconds of their clock ahead of UTC."""
    return int((ts + offset_s) // DAY)


def over(policy: Policy, session: Session, now: float) -> tuple[str, ...]:
    """The budgets that are spent at ``now``, each as a sentence."""
    found = []
    day, usd = session.day
    today = usd if day == day_of(now, policy.day_offset_s) else 0.0
    if policy.budget_session is not None and session.spent >= policy.budget_session:
        found.append(f"the session's budget of ${policy.budget_session:.2f} is spent (${session.spent:.2f})")
    if policy.budget_day is not None and today >= policy.budget_day:
        found.append(f"the day's budget of ${policy.budget_day:.2f} is spent (${today:.2f})")
    return tuple(found)


def extra_of(session: Session, place: Place) -> float:
    """USD that up-moves have cost the task of this request so far."""
    return 0.0 if place.new_task else session.extra
