"""What people and checks tell the Router: pins, marks, answers to proposed rules, verdicts and other downstream evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pointsman.core import pins, verdicts
from pointsman.core.events import (
    Answer,
    Checked,
    Mark,
    Marked,
    Noted,
    Pinned,
    PinScope,
    Proposed,
    Signalled,
    Unpinned,
)
from pointsman.core.retries import retry
from pointsman.core.userrecord import answered, kind_now
from pointsman.engine.state import State
from pointsman.errors import SettingsError


class Steering(State):
    """The Router's ears for people, hooks and checks."""

    def signal(self, *, session: str, kind: str, now: float, detail: Mapping[str, str] | None = None) -> None:
        """Downstream evidence about ``session``; ``now`` in epoch seconds.

        ``check_failed``, ``check_passed``: the check's verdict. ``commit``, ``revert``, ``tests_failed``, ``tests_passed``,
        ``type_error``, ``lint_error``, ``tool_error``, ``interrupt``: what a hook saw; it counts for more than the same seen in
        texts (``core.features``). ``post_tool_use`` with the detail ``outcome`` counts as that outcome. Others are recorded.

        A session that never spoke is not judged by it: the event is recorded, and for a check a note says so.
        """
        known, said = self._known.known(session), dict(detail or {})
        if kind.startswith("check_"):
            if known is None:
                text = f"{kind} came for session {session!r}, which has made no request: recorded, but it moves nothing"
                self._emit(Noted(now, "unknown_session", text))
            said = {**verdicts.rates(self._policy_in(known.run if known else None)), **said}
        self._emit(Signalled(now, session, kind, tuple(sorted(said.items()))))

    def checked(self, event: Checked, retries: int = 0) -> Checked:
        """Record what a check said of the work; the event with turn, task and config filled in.

        ``retries``: how often a failed check may send the agent on by itself in one task; ``sent_back`` of the result
        says whether it does this time: a try that is not worth its price is not made (``stopped`` says why), and the person
        sees the failure. Raises SettingsError for a session that is not known.
        """
        session = self._target_session(event.session, None)
        assert session is not None
        main = session.lanes.get("main")
        back, stopped = event.sent_back and event.verdict == "check_failed" and session.sent_back < retries, ""
        policy = self._policy_in(event.run or session.run)
        if back and event.ts > session.turn_began + policy.deadline_s:
            back, stopped = False, f"this turn's {policy.deadline_s:.0f} seconds are over"
        if back:
            last = main.last_request if main else None
            laid = self._known.laid_under(session, last, main.upstream) if main and last else session
            back, said = retry(laid, self.book, policy, event.ts)
            stopped = "" if back else said
        event = replace(
            event, turn=session.turn, task=session.task, run=event.run or session.run, sent_back=back, stopped=stopped,
            config=main.current if main and main.requests else None,
        )  # fmt: skip
        self.signal(session=event.session, kind=event.verdict, now=event.ts, detail={"by": event.label})
        self._emit(event)
        return event

    def pin(
        self, name: str, *, scope: PinScope = "session", session: str | None = None, cwd: str | None = None,
        origin: str = "pointsman pin", now: float,
    ) -> Pinned:  # fmt: skip
        """Pin ``MODEL[:effort]`` (a name or a tier such as ``opus``). Raises SettingsError for what cannot be meant or run."""
        target = self._target_session(session, cwd) if scope != "always" or session else None
        config = pins.parse(name, target, self.book, self._policy_in(target.run if target else None))
        holder = None if scope == "always" else (target.id if target else None)
        if holder is None and scope != "always":
            raise SettingsError(f"no session to pin{f' in {cwd}' if cwd else ''}: start one, or use --scope always")
        event = Pinned(now, holder, config, scope, origin, cwd if scope == "always" else None, kind_now(target))
        self._emit(event)
        return event

    def unpin(
        self, *, session: str | None = None, cwd: str | None = None, origin: str = "pointsman unpin", now: float
    ) -> Unpinned | None:
        """End the pin of ``session`` (else of the newest in ``cwd``), or the one that always holds there; None: no pin."""
        target = self._target_session(session, cwd)
        if target is not None and target.pin is not None:
            return self._unpinned(target, target.pin, "unpinned by you", now, origin)
        key = cwd if cwd in self._known.always else None
        pin = self._known.always.get(key)
        if pin is None:
            return None
        event = Unpinned(now, None, "always", origin, "unpinned by you", key)
        self._emit(event)
        return event

    def mark(
        self, *, session: str, turn: int, mark: Mark, now: float, origin: str = "pointsman mark", undo: bool = False
    ) -> Marked:
        """A judgement of a turn. Raises SettingsError for a session or turn that does not exist."""
        known = self._known.known(session)
        if known is None or not 1 <= turn <= known.turn:
            raise SettingsError(f"no turn {turn} in session {session!r}" + (f": it has {known.turn}" if known else ""))
        event = Marked(now, session, turn, mark, origin, undo)
        self._emit(event)
        return event

    def answer(self, kind: str, answer: Answer, now: float) -> Proposed:
        """What the user says to the rule proposed for ``kind``; an accepted one holds at once. Raises SettingsError."""
        event, self.policy = answered(self._known.user, self.policy, kind, answer, now)
        self._known.user.under(self.policy)
        self._emit(event)
        return event
