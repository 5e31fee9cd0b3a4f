"""Which outcome an event of the ledger is, for ``core.abilities``: who did the work, on what, and how far it can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pointsman.core.abilities import Abilities, Verdict
from pointsman.core.book import Book
from pointsman.core.difficulty import PRIOR
from pointsman.core.events import Marked, Signalled
from pointsman.core.policy import CHECK_FALSE_ALARM, CHECK_RECALL, Policy
from pointsman.core.session import Lane, Session, heard
from pointsman.core.types import Config

MARK_RECALL, MARK_FALSE_ALARM = 0.9, 0.05
"""Share of wrong work that a person who marks a turn marks bad, and of right work (assumed: people look first, and may err)."""

RATES = ("recall", "false_alarm")
"""Keys in a signal's detail under which the check's rates at that time stand."""


def learned(abilities: Abilities, session: Session | None, event: Signalled | Marked, book: Book) -> Abilities:
    """``abilities`` after ``event``, which ``session`` has not seen yet; most signals are no outcome and teach nothing."""
    found = verdict_of(abilities, session, event, book)
    return abilities if found is None else abilities.after(found)


def verdict_of(abilities: Abilities, session: Session | None, event: Signalled | Marked, book: Book) -> Verdict | None:
    """The outcome that ``event`` is for the main lane of ``session``; None where it is none, or nobody known did the work."""
    lane = session.lanes.get("main") if session is not None else None
    if session is None or lane is None or not lane.requests or not book.has(lane.current.model):
        return None
    if any(w.helper and w.task == session.task and w.served != lane.current for w in session.weaker):
        return None  # a weaker sub-agent took part: whose work it was that passed or failed is not known
    if isinstance(event, Marked):
        if event.undo or event.turn != session.turn or _checked(session, lane):
            return None
        return _verdict(abilities, session, lane, event.mark != "bad", MARK_RECALL, MARK_FALSE_ALARM, (), book)
    if event.kind not in ("check_failed", "check_passed") or heard(session, lane, event.kind):
        return None
    told = dict(event.detail)
    recall, alarm = (_number(told.get(name), prior) for name, prior in zip(RATES, (CHECK_RECALL, CHECK_FALSE_ALARM), strict=True))
    return _verdict(abilities, session, lane, event.kind == "check_passed", recall, alarm, session.failed, book)


def _verdict(
    abilities: Abilities, session: Session, lane: Lane, passed: bool, recall: float, alarm: float, failed: Sequence[Config],
    book: Book,
) -> Verdict:  # fmt: skip
    theta, theta_sd = book.skill(lane.current)
    found = Verdict(
        lane.current.model, theta, theta_sd, passed, lane.belief, recall, alarm, tuple([config.model for config in failed]),
        0.0, session.cwd or "", lane.opened_as,
    )  # fmt: skip
    if not failed:
        return found
    before, before_sd = book.skill(failed[-1])
    first = replace(found, model=failed[-1].model, theta=before, theta_sd=before_sd, before=(), belief=PRIOR)
    return replace(found, first=abilities.chance(first))


def rates(policy: Policy) -> dict[str, str]:
    """What a check's signal says of itself in the ledger, so that it teaches the same when it is read again."""
    if not policy.check:
        return {}
    return dict(zip(RATES, (f"{policy.check_recall:.4g}", f"{policy.check_false_alarm:.4g}"), strict=True))


def rates_of(event: Signalled) -> tuple[float, float]:
    """Recall and false-alarm rate of what ``event`` comes from: as it says of itself, else those of a check nobody knows."""
    told = dict(event.detail)
    return _number(told.get(RATES[0]), CHECK_RECALL), _number(told.get(RATES[1]), CHECK_FALSE_ALARM)


def _checked(session: Session, lane: Lane) -> bool:
    """Whether a check has judged the lane's latest work already."""
    return any(ts > lane.last_start and kind.startswith("check_") for ts, kind in session.signals)


def _number(text: str | None, prior: float) -> float:
    """A rate as it stands in a ledger; the prior where it does not, or is none."""
    try:
        value = float(text) if text else prior
    except ValueError:
        return prior
    return value if 0.0 <= value <= 1.0 else prior
