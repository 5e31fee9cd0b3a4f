"""The what-if panel: one slider, two ways through the session side by side. Replaces the why panel while it is open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from pointsman.tui.figures import line_of
from pointsman.tui.lines import Text
from pointsman.tui.replayed import POLICIES, STOPS, WhatIf, lines_of

MIDDLE = 3
"""The stop it opens on: $5.00 per failure, the default of the settings."""


class WhatIfPanel(Text, can_focus=True):
    """Shows a replay; asks for another one when the slider moves."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "move(-1)", "Cheaper", show=False),
        Binding("right,l", "move(1)", "Safer", show=False),
        Binding("n", "next_policy", "Policy", show=False),
        Binding("j,down", "scroll_down", "Down", show=False),
        Binding("k,up", "scroll_up", "Up", show=False),
        Binding("escape,w", "close", "Back", show=False),
    ]

    @dataclass
    class Wanted(Message):
        """A replay with this price of a failure in USD, under this policy, is wanted."""

        failure_usd: float
        policy: str

    @dataclass
    class Closed(Message):
        """The user has seen enough."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._stop = MIDDLE
        self._policy = 0
        self._found: WhatIf | None = None
        self.border_subtitle = "←→ move · n policy · esc back"

    def ask(self) -> None:
        """Ask for the replay of the present stop."""
        self._found = None
        self.show([line_of(("replaying …", "dim"))])
        self.post_message(self.Wanted(STOPS[self._stop], POLICIES[self._policy]))

    def present(self, found: WhatIf) -> bool:
        """Show a replay, unless the panel was closed or has moved on; whether it is shown."""
        moved = (found.failure_usd, found.policy) != (STOPS[self._stop], POLICIES[self._policy])
        wanted = bool(self.display) and not moved
        if wanted:
            self._found = found
            self._lay_out()
        return wanted

    def on_resize(self) -> None:
        """Lay the lines out for the new width."""
        self._lay_out()

    def _lay_out(self) -> None:
        found = self._found
        if found is not None:
            self.fit(lambda width: lines_of(found, self._stop, width))

    def action_move(self, by: int) -> None:
        """Make a failure cheaper or dearer."""
        stop = max(0, min(self._stop + by, len(STOPS) - 1))
        if stop != self._stop:
            self._stop = stop
            self.ask()

    def action_next_policy(self) -> None:
        """Replay the next policy."""
        self._policy = (self._policy + 1) % len(POLICIES)
        self.ask()

    def action_close(self) -> None:
        """Back to why."""
        self.post_message(self.Closed())
