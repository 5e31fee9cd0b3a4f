"""After a failed check: the ways to go on with the task, and whether any is worth its price."""

from __future__ import annotations

from dataclasses import replace

from pointsman.core import outcomes
from pointsman.core.book import Book
from pointsman.core.candidates import check_odds, rows_of, setting
from pointsman.core.contenders import configs_of, pinned_for
from pointsman.core.costing import price_of, tries_of
from pointsman.core.decisions import Candidate
from pointsman.core.policy import Odds, Policy
from pointsman.core.session import Lane, Session, heard
from pointsman.core.setting import Setting
from pointsman.core.tries import Next, after_failure
from pointsman.core.types import Config


def check_failed(at: Setting, lane: Lane) -> bool:
    """Whether a check has refused this task's work since the lane's last request."""
    return heard(at.session, lane, "check_failed") and not at.place.new_task and bool(at.session.failed)


def next_tries(
    at: Setting, rows: tuple[Candidate, ...], lane: Lane, failed: tuple[Config, ...], odds: Odds
) -> tuple[list[Next], Next | None]:
    """The ways to go on after a failed check, and the asked model's where it is owed the next try (``outcomes.owed_to``)."""
    before = lane.belief  # as it was before this check: the check's own evidence is in the sum
    tries = tries_of(rows, at, odds, before)
    order, here = [row.config for row in rows], at.current
    weaker = here in order and at.asked in order and order.index(here) < order.index(at.asked)
    found = after_failure(tries, here, failed, odds, price_of(tries, odds, before))
    return found, outcomes.owed_to(at.asked, found, odds) if weaker and at.asked not in failed else None


def retry(session: Session, book: Book, policy: Policy, now: float) -> tuple[bool, str]:
    """Whether another try at the task is worth its price now that a check has refused the work, and why in words.

    Priced as the lane's last request would be now; where nothing was priced yet, it is. Profiles ``quality`` and ``fast`` promise
    no less than the asked model's work: there the number of retries that the user has set stands.
    """
    if policy.profile in ("quality", "fast"):
        return True, f"profile {policy.profile} makes the tries you have set"
    lane = session.lanes.get("main")
    if lane is None or lane.last_decision is None or lane.last_request is None:
        return True, "nothing here has a price"
    last = lane.last_decision
    place = replace(last.place, relation="continue", kept=len(lane.messages), new_task=False, new_turn=False, in_loop=True)
    at = setting(lane.last_request, session, place, book, policy, last.asked, now, lane.belief)
    rows, odds = rows_of(configs_of(at), at), check_odds(at.policy, at.usual)
    if any(row.config == at.current and row.rates is None for row in rows):
        return True, "what runs now has no price"
    pinned = pinned_for(at)
    found, owed = next_tries(at, rows, lane, (*session.failed, at.current), odds)
    if pinned is not None:
        found, owed = [row for row in found if row.config in (None, pinned)], None
    return outcomes.worth(found, owed)
