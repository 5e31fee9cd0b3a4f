"""The timeline panel: one line per turn, newest at the bottom, following until the user moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from pointsman.core.rows import SessionRow, TurnRow
from pointsman.tui.figures import Line
from pointsman.tui.lines import Lines
from pointsman.tui.view import Columns, columns, matching, timeline_head, timeline_row


class Turns(Lines, can_focus=True):
    """The turns of one session, drawn by lines. Posts ``Moved`` when another turn is under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", "Turn", show=False),
        Binding("k,up", "move(-1)", "Turn", show=False),
        Binding("pagedown,ctrl+d", "page(1)", "Page", show=False),
        Binding("pageup,ctrl+u", "page(-1)", "Page", show=False),
        Binding("home", "first", "First turn", show=False),
        Binding("end,G", "last", "Newest turn", show=False),
    ]
    head = 1

    @dataclass
    class Moved(Message):
        """Another turn is under the cursor, or the same one has changed."""

        turn: TurnRow | None

        def can_replace(self, message: Message) -> bool:
            """Only the newest matters."""
            return isinstance(message, Turns.Moved)

    def __init__(self, *, follow: bool = True, id: str | None = None) -> None:
        super().__init__(id=id)
        self.following = follow
        self.words = ""
        self._session: SessionRow | None = None
        self._shown: list[TurnRow] = []
        self._seen = 0
        self._at = 0
        self._outcomes = 0
        self._columns: tuple[int, Columns] | None = None
        self._differs: frozenset[int] = frozenset()

    @property
    def turn(self) -> TurnRow | None:
        """The turn under the cursor."""
        return self._shown[self._at] if self._shown else None

    def show(self, session: SessionRow | None, outcomes: int) -> None:
        """Show a session, or the same one after a change."""
        held = self.turn
        other = session is not self._session
        same = session is not None and self._session is not None and session.id == self._session.id
        self._session, self._outcomes, self._columns = session, outcomes, None
        self._select(other)
        if self.following or not self._shown or (other and not same):
            self._at = max(0, len(self._shown) - 1)
        elif held is not None and other:
            self._at = next((i for i, turn in enumerate(self._shown) if turn.n == held.n), len(self._shown) - 1)
        self._at = min(self._at, max(0, len(self._shown) - 1))
        self.refit()
        self._say()
        if self.following and self._shown:
            self.call_after_refresh(self.reveal, self._at)
        self.post_message(self.Moved(self.turn))

    def filter(self, words: str) -> int:
        """Show only turns that match ``words``; how many do."""
        self.words = words
        held = self.turn
        self._select(afresh=True)
        self._at = next((i for i, turn in enumerate(self._shown) if turn is held), max(0, len(self._shown) - 1))
        self.show(self._session, self._outcomes)
        return len(self._shown)

    def _select(self, afresh: bool) -> None:
        """The turns that are shown: all, or those that match; only new turns are looked at unless ``afresh``."""
        turns = self._session.turns if self._session else []
        if not self.words:
            self._shown = turns
        elif afresh:
            self._shown = matching(turns, self.words)
        else:
            self._shown = self._shown + matching(turns[self._seen :], self.words)
        self._seen = len(turns)

    def differ(self, turns: frozenset[int]) -> None:
        """Mark these turns with ``≠``: the what-if runs something else on them."""
        if turns != self._differs:
            self._differs, self._columns = turns, None
            self.refresh()

    def follow(self, on: bool) -> None:
        """Follow the newest turn, or stay where the cursor is."""
        self.following = on
        if on and self._shown:
            self._goto(len(self._shown) - 1)
        self._say()

    def rows(self) -> int:
        """How many turns are shown."""
        return len(self._shown)

    def row(self, index: int, width: int) -> Line:
        """The head line, or a turn."""
        if self._session is None:
            return ()
        if self._columns is None or self._columns[0] != width:
            self._columns = (width, columns(self._session, width, self._outcomes, self._differs))
        cols = self._columns[1]
        return timeline_head(cols) if index < 0 else timeline_row(self._shown[index], cols)

    def cursor(self) -> int | None:
        """The row of the selected turn."""
        return self._at if self._shown else None

    def _say(self) -> None:
        """What the panel's lower edge says: filter, and whether we follow."""
        count = len(self._shown)
        parts = [f"/{self.words}: {count} turn{'' if count == 1 else 's'}"] if self.words else []
        parts.append("following" if self.following else f"turn {self.turn.n} · f follows" if self.turn else "")
        self.border_subtitle = " · ".join(part for part in parts if part)

    def _goto(self, index: int) -> None:
        index = max(0, min(index, len(self._shown) - 1))
        if not self._shown or index == self._at:
            return
        self._at = index
        self._say()
        self.reveal(index)
        self.refresh()
        self.post_message(self.Moved(self.turn))

    def action_move(self, by: int) -> None:
        """Move the cursor; moving ends following."""
        if not self._shown:
            return
        self.following = False
        self._goto(self._at + by)
        self._say()

    def action_page(self, by: int) -> None:
        """Move the cursor by a panel's height."""
        self.action_move(by * max(1, self.scrollable_content_region.height - self.head))

    def action_first(self) -> None:
        """Move to the first turn."""
        self.action_move(-len(self._shown))

    def action_last(self) -> None:
        """Move to the newest turn and follow it."""
        self.follow(True)

    def on_click(self, event: events.Click) -> None:
        """Select the turn under the mouse."""
        spot = event.get_content_offset(self)
        if spot is not None and spot.y >= self.head:
            self.action_move(self.scroll_offset.y + spot.y - self.head - self._at)

    def on_mouse_scroll_up(self) -> None:
        """Scrolling back ends following."""
        self.following = False
        self._say()
