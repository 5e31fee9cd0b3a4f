"""Files of past sessions as the commands name them: ledgers, recordings, transcripts, compact traces."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pointsman.core.events import Event, Routed
from pointsman.errors import SettingsError

if TYPE_CHECKING:
    from pointsman.core.book import Book

SQLITE_HEAD = b"SQLite format 3\x00"


def is_ledger(path: Path) -> bool:
    """Whether ``path`` is an SQLite file. Raises SettingsError when there is no such file."""
    try:
        with path.open("rb") as file:
            return file.read(16) == SQLITE_HEAD
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror or error}") from error


def measured(named: Sequence[Path], default: Path) -> list[Path]:
    """The files or folders that a measurement was given, else its measuring data. Raises SettingsError for what is not there."""
    for path in named:
        if not path.exists():
            raise SettingsError(f"there is no file or folder {path}")
    if not named and not default.exists():
        raise SettingsError(f"there is no measuring data at {default}: name files, or its folder in POINTSMAN_DATA")
    return list(named) or [default]


def events_in(path: Path) -> Iterator[Event]:
    """The events of a ledger, a recording, a client's transcript or compact traces."""
    if is_ledger(path):
        from pointsman.shell.reading import read_events

        yield from (event for _, event in read_events(path))
    else:
        from pointsman.shell.history import readers as history

        troubles: list[str] = []
        for events in history.sessions([path], own_book(), troubles):
            yield from events
        for trouble in troubles:
            print(f"pointsman: {trouble}", file=sys.stderr)


def own_book() -> Book:
    """The price book under your settings."""
    from pointsman.settings import load
    from pointsman.shell.prices import load_book

    return load_book(load().prices)


def by_session(path: Path, wanted: str | None) -> Iterator[list[Event]]:
    """A ledger's events, a session at a time, sessions in the order of their first request."""
    from pointsman.shell.reading import read_events

    found: dict[str, list[Event]] = {}
    for _, event in read_events(path):
        name = getattr(event, "session", None)
        if name is not None and (wanted is None or name.startswith(wanted)):
            found.setdefault(name, []).append(event)
    yield from (events for events in found.values() if any(isinstance(event, Routed) for event in events))
