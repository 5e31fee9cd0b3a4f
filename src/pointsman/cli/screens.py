"""Opens the screens on a ledger, live, or on anything that is over; or takes one picture of them."""

from __future__ import annotations

import asyncio
import sys
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
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise SettingsError("the screens need a terminal; `--screenshot now.svg` writes a picture, `pointsman why` prints")
        app.run()
        return OK
    draw(app, picture, _size(size))
    print(f"wrote {picture}")
    return OK


def live(
    session: str | None = None, clock: Callable[[], float] = time.time, settings: Settings | None = None,
    answers: Path | None = None,
) -> Screens:  # fmt: skip
    """The screens on the ledger of this home, following it, with pins, marks and rules (kept in ``answers`` when accepted)."""
    from pointsman.settings import load
    from pointsman.tui.actions import Wheel, gateway_status
    from pointsman.tui.app import Screens
    from pointsman.tui.feed import LedgerSource

    chosen, path = settings or load(), ledger_path()
    session = choose(session).id if session is not None else None
    status = gateway_status(home(), chosen)
    return Screens(LedgerSource(path), Wheel(path, chosen, clock, answers), session=session, status=status, clock=clock)


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

    svg = asyncio.run(picture(app, size, keys))
    try:
        path.write_text(svg, encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from error


def _size(text: str) -> tuple[int, int]:
    columns, _, rows = text.partition("x")
    if not (columns.isdigit() and rows.isdigit()):
        raise SettingsError(f"--size is {text!r}; it is COLSxROWS such as 140x40")
    if not (20 <= int(columns) <= 1_000 and 10 <= int(rows) <= 1_000):
        raise SettingsError(f"--size is {text!r}; the screens take 20x10 to 1000x1000")
    return int(columns), int(rows)
