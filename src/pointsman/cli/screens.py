"""Opens the screens on a ledger, live, or on anything that is over; or takes one picture of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pointsman.cli import OK
from pointsman.cli.sessions import choose
from pointsman.errors import SettingsError
from pointsman.shell.reading import home, ledger_path

if TYPE_CHECKING:
    from pointsman.settings import Settings
    from pointsman.tui.app import Screens


def show(source: Path | None, session: str | None, picture: Path | None, size: str) -> int:
    """Run the screens on ``source`` (None: this home's ledger, live) until the user leaves, or write one picture."""
    app = live(session) if source is None else past(source, session)
    if picture is None:
        app.run()
        return OK
    draw(app, picture, _size(size))
    print(f"wrote {picture}")
    return OK


def live(session: str | None = None, clock: Callable[[], float] = time.time, settings: Settings | None = None) -> Screens:
    """The screens on the ledger of this home, following it, with pins and marks."""
    from pointsman.settings import load
    from pointsman.tui.actions import Wheel, gateway_status
    from pointsman.tui.app import Screens
    from pointsman.tui.feed import LedgerSource

    chosen, path = settings or load(), ledger_path()
    session = choose(session).id if session is not None else None
    status = gateway_status(home(), chosen)
    return Screens(LedgerSource(path), Wheel(path, chosen, clock), session=session, status=status, clock=clock)


def past(source: Path, session: str | None) -> Screens:
    """The screens on a file that no longer grows: another ledger, a recording, a transcript."""
    from pointsman.cli.files import events_in, is_ledger
    from pointsman.tui.app import Screens
    from pointsman.tui.feed import EventSource, LedgerSource

    if is_ledger(source):
        return Screens(LedgerSource(source, live=False), session=session, follow=False)
    events = list(events_in(source))
    last = max((event.ts for event in events), default=0.0)
    return Screens(EventSource(events, source.name), session=session, follow=False, clock=lambda: last)


def draw(app: Screens, path: Path, size: tuple[int, int], keys: tuple[str, ...] = ()) -> None:
    """Write the screens as an SVG, drawn without a terminal; ``keys`` are pressed first."""
    from pointsman.tui.run import picture

    path.write_text(asyncio.run(picture(app, size, keys)), encoding="utf-8")


def _size(text: str) -> tuple[int, int]:
    columns, _, rows = text.partition("x")
    if not (columns.isdigit() and rows.isdigit()):
        raise SettingsError(f"--size is {text!r}; it is COLSxROWS such as 140x40")
    return int(columns), int(rows)
