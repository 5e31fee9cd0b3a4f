"""Opens the screens on a ledger, live, or on anything that is over; or takes one picture of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointsman.cli import OK
from pointsman.core.events import Mark, PinScope
from pointsman.core.types import Config
from pointsman.errors import SettingsError
from pointsman.shell import control
from pointsman.shell.reading import ledger_path

if TYPE_CHECKING:
    from pointsman.settings import Settings
    from pointsman.tui.app import Screens
    from pointsman.tui.view import Status


class Wheel:
    """Pins and marks from the screens, by the same way as the commands: the gateway, else the ledger."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._settings, self._clock = settings, clock

    def _do(self, action: str, **arguments: object) -> control.Done:
        return control.perform(action, {**arguments, "origin": "tui"}, self._settings, self._clock())

    def pin(self, config: Config, scope: PinScope, session: str) -> str:
        """Pin ``config``; raises SettingsError when it cannot run here."""
        done = self._do("pin", model=str(config), scope=scope, session=session)
        return f"pinned {config} for this {scope}; {done.said}" if scope != "always" else f"pinned {config}; {done.said}"

    def unpin(self, session: str) -> str:
        """End the session's pin."""
        done = self._do("unpin", session=session)
        return f"unpinned; {done.said}" if done.event else "there was no pin"

    def mark(self, session: str, turn: int, mark: Mark, undo: bool) -> str:
        """Judge a turn, or take that back."""
        done = self._do("mark", session=session, turn=turn, mark=mark, undo=undo)
        return f"{'took back' if undo else 'marked'} turn {turn}: {mark}; {done.said}"


def live(session: str | None = None, clock: Callable[[], float] = time.time, settings: Settings | None = None) -> Screens:
    """The screens on the ledger of this home, following it."""
    from pointsman.settings import load
    from pointsman.tui.app import Screens
    from pointsman.tui.feed import LedgerSource

    chosen = settings or load()
    return Screens(LedgerSource(ledger_path()), Wheel(chosen, clock), session=session, status=_status(chosen), clock=clock)


def _status(settings: Settings) -> Callable[[], Status]:
    """What the header says of the gateway; asked about once a second, in milliseconds."""
    from pointsman.tui.view import Status

    def status() -> Status:
        found = control.find_gateway(timeout=0.2)
        where = f":{found.port}" if found else "no gateway"
        return Status(live=found is not None, where=where, mode=settings.mode, profile=settings.profile)

    return status


def past(source: Path, session: str | None) -> Screens:
    """The screens on a file that no longer grows: another ledger, a recording, a transcript."""
    from pointsman.cli.past import events_in, is_ledger
    from pointsman.tui.app import Screens
    from pointsman.tui.feed import EventSource, LedgerSource

    if is_ledger(source):
        return Screens(LedgerSource(source, live=False), session=session, follow=False)
    events = list(events_in(source))
    last = max((event.ts for event in events), default=0.0)
    return Screens(EventSource(events, source.name), session=session, follow=False, clock=lambda: last)


def show(source: Path | None, session: str | None, screenshot: Path | None, size: str) -> int:
    """Run the screens until the user leaves, or take one picture."""
    app = live(session) if source is None else past(source, session)
    if screenshot is not None:
        picture(app, screenshot, _size(size))
        print(f"wrote {screenshot}")
        return OK
    app.run()
    return OK


def _size(text: str) -> tuple[int, int]:
    columns, _, rows = text.partition("x")
    if not (columns.isdigit() and rows.isdigit()):
        raise SettingsError(f"--size is {text!r}; it is COLSxROWS such as 140x40")
    return int(columns), int(rows)


def picture(app: Screens, path: Path, size: tuple[int, int], keys: Sequence[str] = ()) -> None:
    """Draw the screens without a terminal, press ``keys``, and write an SVG."""
    import asyncio

    async def draw() -> str:
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await app.workers.wait_for_complete()
            await pilot.press(*keys)
            await pilot.pause()
            svg: Any = app.export_screenshot()
            return str(svg)

    path.write_text(asyncio.run(draw()), encoding="utf-8")
