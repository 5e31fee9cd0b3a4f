"""Reads a ledger without disturbing its writer: standard library only, read-only files and folders included."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pointsman.core.codec import decode
from pointsman.core.events import Event
from pointsman.errors import LedgerError
from pointsman.shell.schema import check

PAGE = 2_000
"""Rows fetched at a time: a reader holds no transaction open while its caller works on what it got."""


def home() -> Path:
    """The folder of ledger, gateway file and settings: POINTSMAN_HOME, else the platform's user data folder."""
    if chosen := os.environ.get("POINTSMAN_HOME"):
        return Path(chosen).expanduser()
    from platformdirs import user_data_dir

    return Path(user_data_dir("pointsman", appauthor=False))


def made_home() -> Path:
    """``home()``, made where it is missing and readable by its owner only. Raises LedgerError with the mend."""
    folder = home()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(folder, error) from error
    return folder


def unusable(folder: Path, error: OSError) -> LedgerError:
    """What to say about a home folder in which nothing can be written."""
    return LedgerError(f"cannot write in the folder {folder}: {error.strerror}; mend that, or name another in POINTSMAN_HOME")


def here() -> str:
    """The current folder as the ledger names it: bytes that are no UTF-8 are question marks."""
    return os.getcwd().encode("utf-8", "replace").decode()


def ledger_path() -> Path:
    """The default ledger file."""
    return home() / "ledger.db"


@contextmanager
def reader(path: Path | str) -> Iterator[sqlite3.Connection]:
    """A read-only connection that works while a writer runs. Raises LedgerError with the mend.

    In a folder that cannot be written SQLite cannot open a WAL file's index; then the file is read as it is, or a
    private copy of file and log where rows are still in the log.
    """
    path = Path(path)
    if path.is_dir():
        raise LedgerError(f"{path} is a folder and no ledger: move it away, and a ledger is begun there")
    if not path.is_file():
        raise LedgerError(
            f"there is no ledger at {path}: `pointsman run -- claude` begins one, and `pointsman demo` shows one without a key"
        )
    with ExitStack() as stack:
        try:
            try:
                connection = _open(path, "mode=ro", stack)
            except sqlite3.OperationalError:
                log = path.with_name(path.name + "-wal")
                if log.is_file() and log.stat().st_size:
                    path = _copied(path, Path(stack.enter_context(TemporaryDirectory(prefix="pointsman-"))))
                    connection = _open(path, "mode=ro", stack)
                else:
                    connection = _open(path, "immutable=1", stack)
            yield connection
        except (sqlite3.Error, OSError) as error:
            row = str(error).startswith(("Could not decode", "malformed JSON"))  # of the first SQLite quotes all: not said on
            damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
            mend = "; move it away, and a new one is begun" if damaged or row else ""
            raise LedgerError(f"cannot read the ledger {path}: {'a row is malformed' if row else error}{mend}") from error


def _open(path: Path, how: str, stack: ExitStack) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=5.0)
    stack.callback(connection.close)
    check(connection, path)
    return connection


def _copied(path: Path, folder: Path) -> Path:
    """A copy of the ledger and its write-ahead log."""
    for suffix in ("", "-wal"):
        shutil.copyfile(path.with_name(path.name + suffix), folder / (path.name + suffix))
    return folder / path.name


def read_events(
    path: Path | str, *, session: str | None = None, after: int = 0, limit: int | None = None
) -> Iterator[tuple[int, Event]]:
    """(sequence number, event) pairs in order, those after number ``after``; of one session, or of all (None).

    Raises LedgerError for a missing, foreign or newer file.
    """
    where = "seq > ?" if session is None else "session = ? AND seq > ?"
    query = f"SELECT seq, kind, body FROM event WHERE {where} ORDER BY seq LIMIT ?"
    left = limit
    with reader(path) as connection:
        while left is None or left > 0:
            page = PAGE if left is None else min(PAGE, left)
            values = (after, page) if session is None else (session, after, page)
            rows = connection.execute(query, values).fetchall() if _has_events(connection) else []
            for seq, kind, body in rows:
                yield seq, decode(kind, json.loads(body))
            if len(rows) < page:
                return
            after = rows[-1][0]
            left = None if left is None else left - len(rows)


def recent_events(path: Path | str, since: float) -> list[Event]:
    """What a router needs to go on: events of sessions seen after ``since`` (epoch seconds), runs, lasting pins, judgements,
    and the newest grades: what they teach fades, so that earlier ones hardly count (``core.abilities.FORGET``).
    """
    query = """
        SELECT kind, body FROM event
        WHERE (session IS NULL AND kind IN ('Pinned', 'Unpinned', 'RunStarted', 'RunEnded'))
           OR kind IN ('Judged', 'Proposed')
           OR seq IN (SELECT seq FROM event WHERE kind = 'Graded' ORDER BY seq DESC LIMIT 1000)
           OR session IN (SELECT DISTINCT session FROM event WHERE ts > ? AND session IS NOT NULL)
        ORDER BY seq"""
    with reader(path) as connection:
        rows = connection.execute(query, (since,)).fetchall() if _has_events(connection) else []
    return [decode(kind, json.loads(body)) for kind, body in rows]


def latest_session(path: Path | str, cwd: str | None = None) -> str | None:
    """The session of the newest request, or of the newest in folder ``cwd``; None when there is none."""
    where = "" if cwd is None else """
        AND (json_extract(body, '$.request.cwd') = ?1 OR json_extract(body, '$.request.run') IN (
            SELECT json_extract(r.body, '$.run') FROM event r
            WHERE r.kind = 'RunStarted' AND json_extract(r.body, '$.cwd') = ?1))"""
    query = f"""
        SELECT session FROM event WHERE kind = 'Routed'
        AND coalesce(json_extract(body, '$.decision.place.kind'), 'main') <> 'side' {where}
        ORDER BY seq DESC LIMIT 1"""
    with reader(path) as connection:
        row = connection.execute(query, () if cwd is None else (cwd,)).fetchone() if _has_events(connection) else None
    return None if row is None else str(row[0])


def _has_events(connection: sqlite3.Connection) -> bool:
    """False for a file that was created but has no schema yet."""
    return bool(connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'event'").fetchone()[0])
