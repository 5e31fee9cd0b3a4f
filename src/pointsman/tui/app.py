"""The terminal screens: what was decided, what it cost, what else was possible, and the wheel back in your hands.

Theory of operation. The app runs in its own process and only reads. A ``Feed`` folds the source into a read model; a
timer polls it; widgets place the lines that ``view`` makes. Pins and marks go through ``Actions`` in worker threads and
come back as events, like everything else: the screen never assumes that something happened.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import ClassVar

from textual import work
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.widgets import Footer, Input

from pointsman.core.rows import SessionRow
from pointsman.core.tally import tally
from pointsman.core.timeline import Timeline
from pointsman.errors import LedgerError, PointsmanError
from pointsman.settings import Settings
from pointsman.shell.prices import load_book
from pointsman.tui import view
from pointsman.tui.actions import Actions, Reading
from pointsman.tui.dialogs import ChecksDialog, HelpDialog
from pointsman.tui.feed import Feed, Source
from pointsman.tui.guide import PALETTE, empty_lines, trouble_lines, turns_title
from pointsman.tui.lines import Text
from pointsman.tui.replayed import WhatIf, what_if
from pointsman.tui.sessions import Sessions
from pointsman.tui.steering import Steering
from pointsman.tui.timeline import Turns
from pointsman.tui.whatif import WhatIfPanel
from pointsman.tui.why import Why

POLL_S = 0.1
"""Seconds between two looks at the ledger: a new decision is on screen within 0.25 s."""

TICK_S = 1.0
"""Seconds between two redraws of what changes by itself: the time a cache stays warm, what is running."""

LOOK_S = 2.0
"""Seconds between two looks for the gateway."""

QUIET_S = 60.0
"""Seconds without a request after which a newer session may take the screen over while it follows."""

TITLES = (("sessions", "Sessions"), ("turns", "Turns"), ("why", "Why"), ("whatif", "What-if"), ("trend", "Cost per turn"))


class Screens(Steering):
    """Sessions, turns, why; pins and marks. ``status`` says what the header tells of the gateway; it may block.

    ``settings``: prices and policy for the what-if (None: the defaults).
    """

    CSS_PATH = "live.tcss"
    TITLE = "pointsman"
    NOTIFICATION_TIMEOUT = 4
    ENABLE_COMMAND_PALETTE = True
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (90, "-normal"), (130, "-wide")]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pin", "Pin"),
        Binding("u", "unpin", "Unpin", show=False),
        Binding("e", "escalate", "Escalate"),
        Binding("w", "whatif", "What-if"),
        Binding("g", "mark('good')", "Good"),
        Binding("b", "mark('bad')", "Bad"),
        Binding("o", "mark('overkill')", "Overkill"),
        Binding("z", "unmark", "Undo", show=False),
        Binding("r", "rule", "Rules", show=False),  # the notice that proposes one names it
        Binding("c", "checks", "Checks", show=False),
        Binding("f", "follow", "Follow", show=False),  # the panel's lower edge names it when it is off
        Binding("slash", "filter", "Filter", key_display="/", show=False),
        Binding("left_square_bracket", "session(-1)", "Previous session", show=False),
        Binding("right_square_bracket", "session(1)", "Next session", show=False),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("q", "quit", "Quit"),
    ]

    def __init__(
        self, source: Source, actions: Actions | None = None, *, follow: bool = True, session: str | None = None,
        status: Callable[[], view.Status] | None = None, clock: Callable[[], float] = time.time,
        settings: Settings | None = None,
    ) -> None:  # fmt: skip
        super().__init__(Feed(source), actions if actions is not None else Reading(source.name or "this recording"), clock)
        self._follow = follow
        self._wanted = session
        self._chosen = session is not None
        self._current: str | None = session
        self._status = status
        self._settings = settings or Settings()
        self._known: view.Status | None = None
        self._missed = False
        self._looking = False
        self._notes = 0
        self._opened = clock()
        self._trouble = ""
        self._told: tuple[str, tuple[str, ...]] = ("", ())

    # -- drawing ---------------------------------------------------------------------------------------------------

    @property
    def _root(self) -> Screen[object] | None:
        """The screen under every dialog; None while the app is leaving: messages still come in then, and find no widgets."""
        return self.screen_stack[0] if self.is_running and len(self.screen_stack) else None

    def compose(self) -> ComposeResult:
        """Header, sessions and turns side by side, why under the turns, cost per turn, footer."""
        yield Text(id="header")
        with Horizontal(id="body"):
            with Vertical(id="left"):
                yield Sessions(id="sessions")
            with Vertical(id="right"):
                yield Turns(follow=self._follow, id="turns")
                yield Why(id="why")
                yield WhatIfPanel(id="whatif")
        yield Text(id="trend")
        yield Input(placeholder="words: cold, moved, bad, opus, #7 …", id="filter", compact=True)
        yield Footer(compact=True)

    def on_mount(self) -> None:
        """First frame from the newest events; the rest in a worker; then follow."""
        if not self.is_headless and not (os.environ.get("COLORTERM") or "256color" in os.environ.get("TERM", "")):
            self.theme = "ansi-dark"  # a terminal that claims no more than sixteen colours keeps its own
        for name, title in TITLES:
            panel = self.query_one(f"#{name}")
            panel.border_title = title
            panel.add_class("panel")
        self.query_one("#turns").focus()
        self._guarded(self._feed.preview)
        self._draw()
        if not self._feed.complete and not self._trouble:
            self._read_all()
        self.set_interval(POLL_S, self._poll)
        self.set_interval(TICK_S, self._tick)
        if self._status is not None:
            self._look()
            self.set_interval(LOOK_S, self._look)

    def on_unmount(self) -> None:
        """Let go of the ledger."""
        self._feed.source.close()

    def _guarded(self, step: Callable[[], object]) -> bool:
        """Run a step that reads the source; trouble becomes a screen with a sentence. Whether there is something new."""
        try:
            changed = step()
        except LedgerError as error:
            changed = str(error) != self._trouble
            self._trouble = str(error)
            return changed
        recovered, self._trouble = bool(self._trouble), ""
        return bool(changed) or recovered

    def _poll(self) -> None:
        if self._root is not None and self._guarded(self._feed.poll):  # an app that is leaving has let go of the ledger
            self._draw()

    def _tick(self) -> None:
        self._draw()

    def _look(self) -> None:
        """Look for the gateway, unless the answer to the look before is still awaited: a thread cannot be stopped."""
        if self._status is not None and not self._looking:
            self._looking = True
            self._ask_status(self._status)

    @work(thread=True, exit_on_error=False, group="look")
    def _ask_status(self, status: Callable[[], view.Status]) -> None:
        """Ask for the gateway's status off the screen's thread: it may have to wait for an answer."""
        try:
            self.call_from_thread(self._looked, status())
        finally:
            self._looking = False

    def _looked(self, status: view.Status) -> None:
        """One missed answer of a busy gateway is no news; two are."""
        missed = not status.live and self._known is not None and self._known.live and not self._missed
        self._missed = missed
        root = self._root
        if not missed and root is not None:
            self._known = status
            root.query_one("#why", Why).advice = status.advice
            self._draw()

    @work(thread=True, exit_on_error=False, exclusive=True, group="read")
    def _read_all(self) -> None:
        try:
            timeline, seq = self._feed.whole()
        except LedgerError:
            return  # the poll meets the same trouble and shows it
        self.call_from_thread(self._loaded, timeline, seq)

    def _loaded(self, timeline: Timeline, seq: int) -> None:
        if self._root is not None:
            self._guarded(lambda: self._feed.take(timeline, seq))
            self._draw()

    def _draw(self) -> None:
        """Hand every panel its lines."""
        root = self._root
        if root is None:
            return
        now, timeline = self._clock(), self._timeline
        rows = timeline.newest()
        self._pick(rows, now)
        session = self._session
        header = view.header(timeline, now, self._state(), max(1, self.size.width - 1))
        root.query_one("#header", Text).show([header])
        root.query_one("#sessions", Sessions).show(rows, self._current, now)
        turns = root.query_one("#turns", Turns)
        turns.border_title = turns_title(session, view.names(rows), turns.size.width)
        turns.show(session, timeline.outcomes)
        self._explain(root)
        self._draw_trend(root, session)
        self._announce(session)

    def _announce(self, session: SessionRow | None) -> None:
        """What must be said before the next request (a pin that ended), and what went wrong: once, as it comes up."""
        told = (session.id, tuple(session.notices)) if session else ("", ())
        if told[0] == self._told[0]:
            for notice in told[1]:
                if notice not in self._told[1]:
                    self.notify(notice, severity="warning", timeout=8)
        self._told = told
        for note in self._timeline.notes[self._notes :]:
            if note.session is None and self._feed.complete and note.ts > self._opened:
                self.notify(note.text, severity="warning", timeout=8)
        self._notes = len(self._timeline.notes)

    def _state(self) -> view.Status:
        source = self._feed.source
        status = self._known or view.Status(where="" if source.live else source.name, past=not source.live)
        return status if self._feed.complete or self._trouble else replace(status, note="reading …")

    def _pick(self, rows: list[SessionRow], now: float) -> None:
        """Which session is shown: the one asked for, else the newest; a new one takes over when the old one is over."""
        if self._chosen and self._current in self._timeline.sessions or not rows:
            return
        if self._chosen and self._wanted:
            self._current = next((row.id for row in rows if row.id.startswith(self._wanted)), self._wanted)
            return
        session = self._session
        quiet = session is None or session.ended or (view.light_of(session, now)[0] != "●" and now - session.seen > QUIET_S)
        if quiet and (session is None or self.query_one("#turns", Turns).following):
            self._current = rows[0].id

    def _explain(self, root: Screen[object]) -> None:
        why, turns = root.query_one("#why", Why), root.query_one("#turns", Turns)
        width = max(20, why.scrollable_content_region.width)
        if self._trouble:
            why.border_title = "Trouble"
            why.show(trouble_lines(self._trouble, width))
        elif self._session is None and self._feed.complete:
            why.border_title = "Start"
            missing = self._wanted if self._timeline.sessions else None
            why.show(empty_lines(self._feed.source.name or "the ledger", width, missing))
        else:
            why.explain(self._session, turns.turn, self._timeline.outcomes, self._clock(), self._timeline.user)

    def _draw_trend(self, root: Screen[object], session: SessionRow | None) -> None:
        trend = root.query_one("#trend", Text)
        width = trend.scrollable_content_region.width
        if session is None or not session.turns:
            trend.show([])
            return
        trend.show(view.trend(session.turns, width))
        trend.border_title = f"Cost per turn · {view.scale(session.turns, width)}"
        trend.border_subtitle = f"net so far {view.net(session.totals)[0]}"

    def on_turns_moved(self, message: Turns.Moved) -> None:
        """Another turn: explain it."""
        if (root := self._root) is not None:
            self._explain(root)

    def on_sessions_chosen(self, message: Sessions.Chosen) -> None:
        """Another session."""
        self._current, self._chosen = message.session, True
        if self._root is not None and self.query_one("#whatif").display:
            self._show_whatif(False)
        self._draw()

    def on_resize(self) -> None:
        """The header and the trend depend on the width."""
        self.call_after_refresh(self._draw)

    # -- what a person can do --------------------------------------------------------------------------------------

    def action_session(self, by: int) -> None:
        """The previous or next session."""
        self.query_one("#sessions", Sessions).step(by)

    def action_follow(self) -> None:
        """Follow the newest turn, or stop."""
        turns = self.query_one("#turns", Turns)
        turns.follow(not turns.following)
        self.notify("Following the newest turn." if turns.following else "Staying on this turn; f follows again.")

    def action_help(self) -> None:
        """Keys and glyphs."""
        self.clear_notifications()
        self.push_screen(HelpDialog())

    def action_checks(self) -> None:
        """What checking came to, as ``pointsman report`` says it."""
        self.clear_notifications()
        self.push_screen(ChecksDialog(tally(self._timeline.sessions.values()), self._settings.failure_usd))

    def action_filter(self) -> None:
        """Open the filter line."""
        line = self.query_one("#filter", Input)
        line.add_class("open")
        line.value = self.query_one("#turns", Turns).words
        line.focus()

    def on_input_changed(self, message: Input.Changed) -> None:
        """Filter while typing."""
        if self._root is not None:
            self.query_one("#turns", Turns).filter(message.value)

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """Keep the filter and go back to the turns."""
        if self._root is None:
            return
        self._close_filter()
        count = self.query_one("#turns", Turns).filter(message.value)
        if message.value:
            found = "1 turn matches" if count == 1 else f"{count} turns match"
            self.notify(f"{found} {message.value!r}; / and an empty line show all.")

    def key_escape(self) -> None:
        """Leave the filter line; the filter ends."""
        line = self.query_one("#filter", Input)
        if line.has_class("open") or self.query_one("#turns", Turns).words:
            line.value = ""
            self.query_one("#turns", Turns).filter("")
            self._close_filter()

    def _close_filter(self) -> None:
        self.query_one("#filter", Input).remove_class("open")
        self.query_one("#turns", Turns).focus()

    def action_whatif(self) -> None:
        """Replay this session with every model admitted; the panel takes the place of why."""
        session = self._session
        if session is None or not session.turns:
            self._say_no("There is no session to replay.")
            return
        self._show_whatif(True)
        panel = self.query_one("#whatif", WhatIfPanel)
        panel.border_title = f"What-if · replay of {view.names([session])[session.id]}"
        panel.ask()

    def _show_whatif(self, on: bool) -> None:
        self.query_one("#why").display = not on
        self.query_one("#whatif").display = on
        self.query_one("#whatif" if on else "#turns").focus()
        if not on:
            self.query_one("#turns", Turns).differ(frozenset())

    def on_what_if_panel_closed(self) -> None:
        """Back to why."""
        if self._root is not None:
            self._show_whatif(False)

    @work(thread=True, exit_on_error=False, group="whatif")
    def on_what_if_panel_wanted(self, message: WhatIfPanel.Wanted) -> None:
        """Replay off the screen's thread."""
        session = self._session
        if session is None:
            return
        try:
            events = [event for _, event in self._feed.source.read(0, session.id)]
            book, policy = load_book(self._settings.prices), self._settings.policy()
            found = what_if(events, book, policy, message.failure_usd, message.policy)
        except PointsmanError as error:
            self.call_from_thread(self._say_no, f"This session cannot be replayed: {error}")
            return
        self.call_from_thread(self._replayed, found, session.id)

    def _replayed(self, found: WhatIf, session: str) -> None:
        """Show a replay, unless the app is leaving or another session, price or policy is looked at by now."""
        if self._root is not None and session == self._current and self.query_one("#whatif", WhatIfPanel).present(found):
            self.query_one("#turns", Turns).differ(frozenset(found.differs))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette: every action by name, then Textual's own."""
        for title, text, action in PALETTE:
            yield SystemCommand(title, text, partial(self.run_action, action))
        yield from super().get_system_commands(screen)
