"""Which session a command means: the one named, else the newest in this folder, else the newest. Standard library only."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import NamedTuple

from pointsman.cli import near
from pointsman.errors import SettingsError
from pointsman.shell.reading import here, latest_session, ledger_path, reader


class Chosen(NamedTuple):
    """A session's id, and in words why it was taken."""

    id: str
    why: str


def add_session(parser: ArgumentParser) -> None:
    """The ``--session`` option that several commands share."""
    parser.add_argument("--session", metavar="ID", help="a session, by id or its beginning (default: the newest in this folder)")


def choose(given: str | None, path: Path | None = None) -> Chosen:
    """The session meant by ``given``. Raises SettingsError naming near ids, LedgerError when there is no ledger."""
    path = path or ledger_path()
    if given is None:
        own = latest_session(path, here())
        if own is not None:
            return Chosen(own, "newest in this folder")
        newest = latest_session(path)
        if newest is None:
            raise SettingsError("no session has been routed yet: start one with `pointsman run -- claude`, or `pointsman demo`")
        return Chosen(newest, "newest of all; none ran in this folder")
    with reader(path) as connection:
        rows = connection.execute("SELECT session FROM event WHERE session IS NOT NULL GROUP BY session ORDER BY max(seq) DESC")
        known = [str(row[0]) for row in rows.fetchall()]
    if given in known:
        return Chosen(given, "named")
    found = [name for name in known if name.startswith(given)]
    if len(found) == 1:
        return Chosen(found[0], "named")
    if found:
        named = ", ".join(found[:3]) + (" ..." if len(found) > 3 else "")
        raise SettingsError(f"{given!r} begins {len(found)} sessions ({named}): give more of the id")
    raise SettingsError(f"there is no session {given!r}{near(given, known)}; `pointsman tui` lists them")
