"""The decision of a request that is sent again: the same, unless something has been said since."""

from __future__ import annotations

from pointsman.core import difficulty
from pointsman.core.book import Book
from pointsman.core.decisions import Decision, Gate
from pointsman.core.events import HUNG_UP
from pointsman.core.session import Lane, Session
from pointsman.core.types import Belief, Config, Place


def replayed(session: Session, lane: Lane | None, place: Place, asked: Config, book: Book) -> Decision | None:
    """A retry replays its decision, unless the upstream refused what we had changed: then the asked model (WIRE.md 1).

    So it does where the client gave up on what we had changed before anything came; a pin is a person's word, and holds then. One
    set or taken off since is heard first.
    """
    if place.relation != "retry" or lane is None or lane.last_decision is None or lane.last_decision.asked != asked:
        return None
    last = lane.last_decision
    if place.kind == "main" and _steered(session, lane, last):
        return None
    left = lane.last_status == HUNG_UP
    refused = lane.last_status >= 400 and last.moved and not (left and last.would is not None)
    chosen = asked if refused else last.chosen
    text, notices = "Retry: the same decision again.", last.notices
    if refused and left:
        text = f"Retry: nothing had come from {last.chosen} when your client left, so the model you asked for."
    elif refused:
        text = f"Retry: the provider refused {last.chosen} with {lane.last_status}, so the model you asked for."
        notices = (f"your pin on {last.chosen} cannot be honoured now: {lane.last_status}",) if last.would is not None else ()
    return Decision(
        id="", place=place, asked=asked, chosen=chosen, action="stay" if chosen == lane.current else "switch",
        reason="retry_asked" if refused else "retry", sentence=text, candidates=last.candidates,
        gates=(Gate("retry", True, text),), rules=last.rules, breakevens=last.breakevens,
        belief=_belief(session, lane, last, book),
        would=last.would, propensity=last.propensity, policy_version=last.policy_version, card_version=last.card_version,
        notices=notices, kind=last.kind, envelope=last.envelope,
    )  # fmt: skip


def _belief(session: Session, lane: Lane, last: Decision, book: Book) -> Belief:
    """The belief of the decision before; where its answer had come whole, no client asks again for it, but a person."""
    if lane.kind != "main" or last.kind is None or lane.last_stop != "final" or lane.last_status >= 400:
        return last.belief
    return difficulty.asked_again(last.belief, difficulty.ability(lane.current.model, session, book))


def _steered(session: Session, lane: Lane, last: Decision) -> bool:
    """Whether a person set or took off a pin since the lane's last request."""
    pin = session.pin
    if pin is None:
        return last.would is not None and session.released >= lane.last_start
    return pin.since > lane.last_start if pin.scope == "always" else pin.turn is None
