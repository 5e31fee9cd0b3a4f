"""What outlasts sessions and is the user's own: judged tasks of weaker configs, money spent today, repeated pins.

Theory of operation. ``UserRecord.apply`` folds events of the ledger; ``follows`` says which events come of one that has just been
folded: a judgement (``Judged``) of a signal or a mark, a proposed rule (``Proposed``) of a pin that was repeated. They are
written to the ledger like any other, so that a fold of it, however long after, needs no session to know them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from pointsman.core.boundaries import AT_ONCE_S
from pointsman.core.budgets import billed, day_of
from pointsman.core.certificate import ANY, EMPTY, Record, Served
from pointsman.core.events import Advised, Answer, Event, Finished, Judged, Marked, Noted, Pinned, Proposed, Routed, Signalled
from pointsman.core.policy import Policy
from pointsman.core.session import Lane, Session
from pointsman.core.types import Config
from pointsman.core.verdicts import MARK_FALSE_ALARM, MARK_RECALL, rates_of
from pointsman.errors import SettingsError

REPEATED = 3
"""Pins of one config for one kind of task after which it is proposed as a rule."""

FAILED, GOOD = ("check_failed", "revert"), ("check_passed", "commit")
"""Signals that judge the work done so far. A correction is a noisy sensor and judges nothing (DECISION.md 7); it only takes back
what a commit alone had said."""

REVERTED_WITHIN = 3
"""Turns after a weaker config's work within which a revert is of that work, where the task since has edited nothing (assumed)."""


class UserRecord:
    """The fold. ``policy`` gives the day's beginning; ``risk``: what certificates promise by it, None where it is not known."""

    def __init__(self) -> None:
        self.told: dict[tuple[str, int, Config], Served] = {}
        self.pins: dict[tuple[str, Config], set[tuple[str, int]]] = {}
        self.proposed: dict[tuple[str, Config], Proposed] = {}
        self.day: tuple[int, float] = (0, 0.0)
        self.policy = Policy()
        self.risk: float | None = None
        self._record: Record | None = EMPTY

    def apply(self, event: Event, session: Session | None) -> None:
        """Fold one event in; ``session`` has seen it."""
        if isinstance(event, (Advised, Finished)):
            self._spend(event)
        elif isinstance(event, Judged):
            key = (event.session, event.task, event.served)
            if event.void:
                self.told.pop(key, None)
            else:
                self.told[key] = Served(
                    event.asked, event.served, event.about, event.failed, event.predicted, event.project, event.recall,
                    event.false_alarm, event.by,
                )  # fmt: skip
            if self.risk is None:
                self.policy = replace(self.policy, risk=event.risk)  # no policy is known here: the one that held then
            self._record = None
        elif isinstance(event, Pinned) and event.about is not None and event.session is not None:
            turn = session.turn if session is not None else 0
            self.pins.setdefault((event.about, event.config), set()).add((event.session, turn))
        elif isinstance(event, Proposed):
            self.proposed[(event.about, event.config)] = event

    def _spend(self, event: Advised | Finished) -> None:
        day, usd = self.day
        today = day_of(event.started if isinstance(event, Finished) else event.ts, self.policy.day_offset_s)
        if today >= day:
            self.day = (today, (usd if today == day else 0.0) + billed(event))

    def record(self) -> Record:
        """What the judged tasks come to, under what the policy promises."""
        if self._record is None:
            self._record = Record.of(self.told, self.policy.risk)
        return self._record

    def under(self, policy: Policy) -> None:
        """Let ``policy`` set the day's beginning and the promise."""
        if policy.risk != self.policy.risk:
            self._record = None
        self.policy, self.risk = policy, policy.risk

    def laid_in(self, session: Session) -> Session:
        """``session`` with what all sessions have spent today and what outcomes say."""
        return replace(session, day=self.day, record=self.record())


def kind_now(session: Session | None) -> str | None:
    """The kind of task that the main lane is at; None where that is not known."""
    lane = session.lanes.get("main") if session is not None else None
    return lane.last_decision.kind if lane is not None and lane.last_decision is not None else None


def follows(user: UserRecord, session: Session | None, event: Event, policy: Policy) -> Iterator[Event]:
    """The events that come of ``event``, which ``user`` and ``session`` have seen."""
    if isinstance(event, (Signalled, Marked)) and session is not None and session.weaker:
        yield from _judged(user.told, session, event, policy.risk)
    elif isinstance(event, Routed) and session is not None and session.weaker:
        yield from _taken_back(user.told, session, event)
    elif isinstance(event, Pinned):
        yield from _proposed(user, event, policy)


def _judged(
    told: Mapping[tuple[str, int, Config], Served], session: Session, event: Signalled | Marked, risk: float
) -> Iterator[Judged]:  # fmt: skip
    """What a signal says of the work that runs now, and a mark of the turn that it names."""
    if isinstance(event, Marked):
        work = [w for w in session.weaker if w.turn == event.turn]
        failed, final, by, rates = event.mark == "bad", True, f"mark {event.mark}", (MARK_RECALL, MARK_FALSE_ALARM)
    elif event.kind in FAILED or event.kind in GOOD:
        main = session.lanes.get("main")
        here = main.current if main is not None and main.requests else None
        last = event.kind == "revert" or event.kind == "commit"
        task = _reverted(session, main) if event.kind == "revert" else session.task
        work = [w for w in session.weaker if w.task == task and (last or w.served == here or w.helper)]
        failed, final, by, rates = event.kind in FAILED, event.kind == "revert", event.kind, rates_of(event)
    else:
        return
    for weaker in {(w.task, w.served): w for w in work}.values():
        before = told.get((session.id, weaker.task, weaker.served))
        void = isinstance(event, Marked) and event.undo
        if before is None and void:
            continue
        if before is not None and not void and (before.failed == failed or before.failed and not final):
            continue  # said already; and what a check refused stays refused until a person says otherwise
        yield Judged(
            event.ts, session.id, weaker.task, weaker.asked, weaker.served, weaker.kind or ANY, failed,
            round(weaker.predicted, 4), session.cwd or "", by, void, risk, *rates,
        )  # fmt: skip


def _reverted(session: Session, main: Lane | None) -> int:
    """The task whose work a revert undoes: this one; where it has edited nothing, one of a weaker config just before it."""
    if main is None or main.progress.edited:
        return session.task
    return max((w.task for w in session.weaker if w.turn >= session.turn - REVERTED_WITHIN), default=session.task)


def _taken_back(told: Mapping[tuple[str, int, Config], Served], session: Session, event: Routed) -> Iterator[Judged]:
    """A person who complains of a task's work, once it is committed, takes back what the commit alone had said for it."""
    place, prompt = event.decision.place, next((m for m in reversed(event.request.messages) if m.kind == "prompt"), None)
    if prompt is None or not place.new_turn or event.ts - session.sent_at < AT_ONCE_S:
        return
    if "pasted_failure" not in prompt.facts and "quotes" not in prompt.facts:
        return
    for weaker in {w.served: w for w in session.weaker if w.task == session.task}.values():
        before = told.get((session.id, weaker.task, weaker.served))
        if before is not None and before.by == "commit" and not before.failed:
            yield Judged(
                event.ts, session.id, weaker.task, weaker.asked, weaker.served, weaker.kind or ANY, False,
                round(weaker.predicted, 4), session.cwd or "", "complaint", True,
            )  # fmt: skip


def _proposed(user: UserRecord, event: Pinned, policy: Policy) -> Iterator[Event]:
    """A pin repeated for a kind of task becomes a proposed rule: said once, and never applied by itself."""
    if event.about is None:
        return
    key, times = (event.about, event.config), len(user.pins.get((event.about, event.config), ()))
    if times < REPEATED or key in user.proposed or any(kind == event.about for kind, _ in policy.kinds):
        return
    yield Proposed(event.ts, event.session, event.about, event.config, times)
    yield Noted(event.ts, f"proposal {event.about}", proposal(event.about, event.config, times), event.session)


def answered(
    user: UserRecord, policy: Policy, kind: str, answer: Answer, now: float
) -> tuple[Proposed, Policy]:  # fmt: skip
    """The user's answer to the rule proposed for ``kind``, and the policy with it. Raises SettingsError where there is none."""
    known = [p for p in user.proposed.values() if p.about == kind]
    if not known:
        open_ones = sorted({p.about for p in user.proposed.values() if not p.answer})
        hint = f"proposed are rules for {', '.join(open_ones)}" if open_ones else f"a rule is proposed after {REPEATED} pins"
        raise SettingsError(f"no rule is proposed for {kind!r}: {hint}")
    latest = max(known, key=lambda p: p.ts)
    if answer == "undone" and latest.answer != "accepted":
        raise SettingsError(f"the rule for {kind} was not accepted, so there is nothing to undo")
    kinds = tuple((name, model) for name, model in policy.kinds if name != kind)
    origins = {key: where for key, where in policy.origins if key != f"kinds.{kind}"}
    if answer == "accepted":
        kinds, origins[f"kinds.{kind}"] = (*kinds, (kind, str(latest.config))), "pointsman config accept"
    moves = answer == "accepted" or latest.answer == "accepted"  # an accepted rule ends when it is declined, too
    changed = replace(policy, kinds=kinds, origins=tuple(sorted(origins.items()))) if moves else policy
    return replace(latest, ts=now, answer=answer), changed


def proposal(kind: str, config: Config, times: int) -> str:
    """What is proposed, with the exact lines it would add."""
    return (
        f"you pinned {config} {times} times for {kind} tasks: `pointsman config accept {kind}` makes it a rule "
        f"([kinds] {kind} = \"{config}\"), `pointsman config decline {kind}` ends the question; r in the screens does both"
    )
