"""The sessions panel: every conversation in the ledger, the most recent first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from pointsman.core.rows import SessionRow
from pointsman.tui.figures import Line
from pointsman.tui.lines import Lines
from pointsman.tui.view import sessions


class Sessions(Lines, can_focus=True):
    """One line per session. Posts ``Chosen`` when the user wants another one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", "Session", show=False),
        Binding("k,up", "move(-1)", "Session", show=False),
    ]

    @dataclass
    class Chosen(Message):
        """The user chose a session."""

        session: str

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._rows: list[SessionRow] = []
        self._lines: tuple[int, list[Line]] | None = None
        self._current: str | None = None
        self._now = 0.0

    def show(self, rows: list[SessionRow], current: str | None, now: float) -> None:
        """Show these sessions, ``current`` marked."""
        moved = current != self._current
        self._rows, self._current, self._now, self._lines = rows, current, now, None
        self.border_subtitle = str(len(rows)) if len(rows) > 1 else ""
        self.refit()
        at = self.cursor()
        if moved and at is not None:
            self.call_after_refresh(self.reveal, at)

    def rows(self) -> int:
        """How many sessions there are."""
        return len(self._rows)

    def row(self, index: int, width: int) -> Line:
        """One session's line."""
        if self._lines is None or self._lines[0] != width:
            self._lines = (width, sessions(self._rows, self._current, self._now, width))
        return self._lines[1][index]

    def cursor(self) -> int | None:
        """The current session's row."""
        return next((i for i, row in enumerate(self._rows) if row.id == self._current), None)

    def step(self, by: int) -> None:
        """Choose the next or previous session."""
        at = self.cursor()
        if self._rows:
            self._choose(0 if at is None else max(0, min(at + by, len(self._rows) - 1)))

    def _choose(self, index: int) -> None:
        self.post_message(self.Chosen(self._rows[index].id))

    def action_move(self, by: int) -> None:
        """Move among the sessions."""
        self.step(by)

    def on_click(self, event: events.Click) -> None:
        """Choose the session under the mouse."""
        spot = event.get_content_offset(self)
        if spot is not None and 0 <= self.scroll_offset.y + spot.y < len(self._rows):
            self._choose(self.scroll_offset.y + spot.y)
