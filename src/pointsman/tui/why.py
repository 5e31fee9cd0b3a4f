"""The why panel: the decision of the turn under the cursor, priced and explained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual.binding import Binding, BindingType

from pointsman.core.rows import SessionRow, TurnRow
from pointsman.core.userrecord import UserRecord
from pointsman.tui.certified import more
from pointsman.tui.figures import line_of
from pointsman.tui.lines import Text
from pointsman.tui.view import why


class Why(Text, can_focus=True):
    """Explains one turn; scrolls when there is more than fits."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "scroll_down", "Down", show=False),
        Binding("k,up", "scroll_up", "Up", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._given: tuple[SessionRow | None, TurnRow | None, int, float] = (None, None, 0, 0.0)
        self._user = UserRecord()
        self.advice: Mapping[str, str] = {}
        """Texts of advice that the gateway has in memory, by id."""

    def explain(
        self, session: SessionRow | None, turn: TurnRow | None, outcomes: int, now: float, user: UserRecord
    ) -> None:  # fmt: skip
        """Explain ``turn`` of ``session``; ``now`` tells how long caches stay warm, ``user`` what outcomes certify."""
        if turn is not self._given[1]:
            self.scroll_home(animate=False)
        self._given, self._user = (session, turn, outcomes, now), user
        self._lay_out()

    def on_resize(self) -> None:
        """Lay the lines out for the new width."""
        self._lay_out()

    def _lay_out(self) -> None:
        session, turn, outcomes, now = self._given
        if session is None or turn is None or turn.decision is None:
            self.border_title = "Why"
            self.show([line_of(("No turn is selected.", "dim"))] if session else [])
            return
        self.border_title = f"Why · turn {turn.n}"
        at = session.turns.index(turn) if turn in session.turns else len(session.turns) - 1
        history = session.turns[max(0, at - 13) : at + 1]
        decision, below = turn.decision, more(self._user, turn.decision)
        scrolls = self.fit(lambda width: why(decision, width, turn=turn, history=history, outcomes=outcomes, now=now, more=below,
                                             advice=self.advice))
        self.border_subtitle = "tab, then j/k: more" if scrolls else ""
