"""What a person can do from the screens: pin, escalate, unpin, mark, answer. Each answers with a toast, or says why not."""

from __future__ import annotations

from collections.abc import Callable

from textual import work
from textual.app import App
from textual.worker import Worker, WorkerState

from pointsman.core.events import Answer, Mark, PinScope
from pointsman.core.rows import SessionRow
from pointsman.core.timeline import Timeline
from pointsman.core.types import Config
from pointsman.core.userrecord import REPEATED
from pointsman.errors import PointsmanError
from pointsman.tui import pinning
from pointsman.tui.actions import Actions
from pointsman.tui.certified import answerable
from pointsman.tui.dialogs import Choice, PinDialog, RuleDialog
from pointsman.tui.feed import Feed
from pointsman.tui.figures import config_name
from pointsman.tui.timeline import Turns

DIALOG_WIDTH = 66


class Steering(App[None]):
    """The half of the app that acts. What it did comes back as an event: it never assumes that something happened."""

    def __init__(self, feed: Feed, actions: Actions, clock: Callable[[], float]) -> None:
        super().__init__()
        self._feed = feed
        self._actions = actions
        self._clock = clock
        self._current: str | None = None

    @property
    def _timeline(self) -> Timeline:
        return self._feed.timeline

    @property
    def _session(self) -> SessionRow | None:
        return self._timeline.sessions.get(self._current) if self._current else None

    def action_pin(self) -> None:
        """Choose a model, with the price of obeying."""
        session = self._session
        rows = pinning.pin_rows(session, self._timeline.outcomes, DIALOG_WIDTH) if session else []
        if session is None or not rows:
            always = "`pointsman pin MODEL --scope always` holds from the first one on"
            self._say_no(f"Nothing can be pinned yet: no request has been decided. {always}.")
            return
        self._ask("Pin a model", session, rows, session.newest.ran if session.newest else None, "session")

    def action_escalate(self) -> None:
        """One rung up for this task, priced first."""
        session = self._session
        if session is None:
            self._say_no("There is no session to escalate.")
            return
        target, reason = pinning.escalation(session)
        if target is None:
            self._say_no(f"Cannot escalate: {reason}.")
            return
        rows = pinning.pin_rows(session, self._timeline.outcomes, DIALOG_WIDTH)
        self._ask(f"Escalate to {config_name(target)}", session, rows, target, "task")

    def _ask(self, title: str, session: SessionRow, rows: list[pinning.PinRow], at: Config | None, scope: PinScope) -> None:
        note = pinning.warm_note(session, self._clock(), DIALOG_WIDTH)

        def chosen(choice: Choice | None) -> None:
            if choice is None:
                self.notify("Nothing was pinned.", timeout=2)
                return
            self._do(lambda: self._actions.pin(choice.config, choice.scope, session))

        self.clear_notifications()  # they would lie over the prices
        self.push_screen(PinDialog(title, rows, note, at=at, scope=scope), chosen)

    def action_unpin(self) -> None:
        """End the pin."""
        session = self._session
        if session is None or session.pin is None:
            self._say_no("Nothing is pinned in this session; p pins a model.")
            return
        self._do(lambda: self._actions.unpin(session))

    def action_rule(self) -> None:
        """Accept, decline or undo a rule that is proposed from repeated pins."""
        rules = answerable(self._timeline.user)
        if not rules:
            self._say_no(f"No rule is proposed: one is when a model was pinned {REPEATED} times for one kind of task.")
            return

        def answered(given: tuple[str, Answer] | None) -> None:
            if given is not None:
                kind, answer = given
                hint = " r, then u takes it back." if answer == "accepted" else ""
                self._do(lambda: self._actions.rule(kind, answer), hint)

        self.clear_notifications()
        self.push_screen(RuleDialog(rules), answered)

    def action_mark(self, mark: Mark) -> None:
        """Judge the turn under the cursor."""
        session, turn = self._session, self.query_one("#turns", Turns).turn
        if session is None or turn is None:
            self._say_no("There is no turn to mark.")
            return
        self._do(lambda: self._actions.mark(session, turn.n, mark, False), " z takes it back.")

    def action_unmark(self) -> None:
        """Take the mark of this turn back."""
        session, turn = self._session, self.query_one("#turns", Turns).turn
        held = turn.mark if turn else None
        if session is None or turn is None or held is None:
            self._say_no("This turn has no mark of yours; g, b and o set one.")
            return
        self._do(lambda: self._actions.mark(session, turn.n, held, True))

    def on_worker_state_changed(self, message: Worker.StateChanged) -> None:
        """An error nobody foresaw, in a worker: it is said, and the screens stay."""
        error = message.worker.error
        if message.state is WorkerState.ERROR and error is not None:
            self.notify(f"An error of ours ({type(error).__name__}): {error}", severity="error", timeout=8)

    def _say_no(self, text: str) -> None:
        self.notify(text, severity="warning")

    @work(thread=True, exit_on_error=False, group="do")
    def _do(self, step: Callable[[], str], hint: str = "") -> None:
        """Carry out an action off the screen's thread; its answer, or its refusal, is a toast."""
        try:
            said = step()
        except PointsmanError as error:
            self.call_from_thread(self.notify, str(error), severity="error", timeout=8)
            return
        self.call_from_thread(self.notify, said + hint)
