"""What a person can do from the screens: pin, unpin, mark. Each answers with a sentence, or raises one."""

from __future__ import annotations

from typing import Protocol

from pointsman.core.events import Mark, PinScope
from pointsman.core.types import Config
from pointsman.errors import PointsmanError


class Actions(Protocol):
    """Carries out what the user decides. Methods may block (they run in a worker) and raise PointsmanError."""

    def pin(self, config: Config, scope: PinScope, session: str) -> str:
        """Pin ``config``; returns what to tell the user."""

    def unpin(self, session: str) -> str:
        """End the session's pin; returns what to tell the user."""

    def mark(self, session: str, turn: int, mark: Mark, undo: bool) -> str:
        """Judge a turn, or take that back; returns what to tell the user."""


class Reading:
    """For events without a session behind them: says why nothing can be done."""

    def __init__(self, what: str) -> None:
        self._what = what

    def _refuse(self) -> PointsmanError:
        return PointsmanError(f"{self._what} is only read here: to pin or mark, start a session with `pointsman run -- claude`")

    def pin(self, config: Config, scope: PinScope, session: str) -> str:
        """Raises PointsmanError: there is nothing to pin."""
        raise self._refuse()

    def unpin(self, session: str) -> str:
        """Raises PointsmanError: there is nothing to unpin."""
        raise self._refuse()

    def mark(self, session: str, turn: int, mark: Mark, undo: bool) -> str:
        """Raises PointsmanError: marks go into a ledger."""
        raise self._refuse()
