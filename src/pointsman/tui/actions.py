"""What a person can do from the screens: pin, unpin, mark. Each answers with a sentence, or raises one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pointsman.core.events import Answer, Mark, PinScope
from pointsman.core.rows import SessionRow
from pointsman.core.types import Config
from pointsman.errors import PointsmanError
from pointsman.shell import control
from pointsman.shell.answers import settle
from pointsman.tui.figures import config_name
from pointsman.tui.view import Status

if TYPE_CHECKING:
    from pointsman.settings import Settings

ORIGIN = "pointsman tui"
SCOPE_WORDS: Mapping[PinScope, str] = {
    "turn": "for this turn", "task": "for this task", "session": "for this session", "always": "always, in this folder",
}  # fmt: skip


class Actions(Protocol):
    """Carries out what the user decides. Methods may block (they run in a worker) and raise PointsmanError."""

    def pin(self, config: Config, scope: PinScope, session: SessionRow) -> str:
        """Pin ``config``; returns what to tell the user."""

    def unpin(self, session: SessionRow) -> str:
        """End the session's pin; returns what to tell the user."""

    def mark(self, session: SessionRow, turn: int, mark: Mark, undo: bool) -> str:
        """Judge a turn, or take that back; returns what to tell the user."""


    def rule(self, kind: str, answer: Answer) -> str:
        """Accept, decline or undo the rule proposed for a kind of task; returns what to tell the user."""


class Reading:
    """For events without a session behind them: says why nothing can be done."""

    def __init__(self, what: str) -> None:
        self._what = what

    def _refuse(self) -> PointsmanError:
        return PointsmanError(
            f"{self._what} is only read here: to pin, mark or answer, start a session with `pointsman run -- claude`"
        )

    def pin(self, config: Config, scope: PinScope, session: SessionRow) -> str:
        """Raises PointsmanError: there is nothing to pin."""
        raise self._refuse()

    def unpin(self, session: SessionRow) -> str:
        """Raises PointsmanError: there is nothing to unpin."""
        raise self._refuse()

    def mark(self, session: SessionRow, turn: int, mark: Mark, undo: bool) -> str:
        """Raises PointsmanError: marks go into a ledger."""
        raise self._refuse()

    def rule(self, kind: str, answer: Answer) -> str:
        """Raises PointsmanError: answers go into a ledger."""
        raise self._refuse()


class Wheel:
    """The control route of the running gateway, or the ledger where none runs.

    ``path``: the ledger that is shown; ``answers``: where accepted rules are kept (None: beside the user's settings).
    """

    def __init__(
        self, path: Path, settings: Settings, clock: Callable[[], float] = time.time, answers: Path | None = None
    ) -> None:  # fmt: skip
        self._path, self._settings, self._clock, self._answers = path, settings, clock, answers

    def _perform(self, action: str, **arguments: Any) -> control.Done:
        return control.perform(
            action, {**arguments, "origin": ORIGIN}, self._settings, self._clock(), folder=self._path.parent, ledger=self._path
        )

    def pin(self, config: Config, scope: PinScope, session: SessionRow) -> str:
        """Pin through the gateway. Raises PointsmanError in its words."""
        done = self._perform("pin", model=str(config), scope=scope, session=session.id, cwd=session.cwd)
        return f"Pinned {config_name(config)} {SCOPE_WORDS[scope]}: {done.said}. u unpins."

    def unpin(self, session: SessionRow) -> str:
        """Unpin through the gateway. Raises PointsmanError in its words."""
        done = self._perform("unpin", session=session.id, cwd=session.cwd)
        return f"Unpinned: {done.said}." if done.event else "Nothing was pinned any more."

    def mark(self, session: SessionRow, turn: int, mark: Mark, undo: bool) -> str:
        """Mark through the gateway. Raises PointsmanError in its words."""
        self._perform("mark", session=session.id, turn=turn, mark=mark, undo=undo)
        return f"Turn {turn}: mark taken back." if undo else f"Turn {turn} marked {mark}."

    def rule(self, kind: str, answer: Answer) -> str:
        """Answer through the gateway; an accepted rule is kept in a file. Raises PointsmanError in its words."""
        settled = settle(
            kind, answer, self._settings, self._clock(), folder=self._path.parent, ledger=self._path, path=self._answers
        )
        said = f"{config_name(settled.config)} for {kind} tasks"
        if answer == "accepted":
            return f"{said} is a rule from the next turn on, kept in {settled.path}: {settled.done.said}."
        if answer == "declined":
            return f"{said} stays a pin of yours and is not proposed again: {settled.done.said}."
        return f"{said} is no rule any more: {settled.done.said}."


def gateway_status(folder: Path, settings: Settings) -> Callable[[], Status]:
    """A function that says what the header tells of the gateway announced in ``folder``. It waits 0.2 s at most."""

    def status() -> Status:
        found = control.find_gateway(folder, timeout=0.2)
        where = f":{found.port}" if found else "no gateway"
        return Status(found is not None, where, settings.mode, settings.profile, advice=control.advice(found) if found else {})

    return status
