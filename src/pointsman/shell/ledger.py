"""The append-only store of events: SQLite in WAL mode, written by one thread, readable by anybody at any time.

Theory of operation. ``append`` puts events on a queue (under a microsecond) and returns a future; one writer thread
encodes, inserts and commits them in batches and then resolves the futures. With ``synchronous=NORMAL`` a commit is in
the operating system's hands (about 0.02 ms): it survives ``kill -9``, though not a power cut. The gateway holds the
last event of a stream until that future resolves, so a request whose end the agent has seen is always on disk.

Whatever keeps the file from being written (locked, read-only, full disk) is said once; the rows stay in memory, in
order, and are tried again until they are in. A folder that cannot be used at all is treated the same.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from pointsman.core.codec import encode
from pointsman.core.events import Event
from pointsman.errors import LedgerError
from pointsman.shell.reading import home, latest_session, ledger_path, read_events, recent_events
from pointsman.shell.schema import migrate

__all__ = ["Ledger", "home", "latest_session", "ledger_path", "read_events", "recent_events"]

BACKOFF_S = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
"""Seconds between attempts while the file cannot be written; the last one repeats."""

BUSY_S = 0.1
"""How long SQLite itself waits for another writer before we count the ledger as locked."""

Row = tuple[float, str, str | None, str | None, str]


@dataclass(slots=True)
class _Batch:
    """Events of one ``append`` and the future that tells when they are committed."""

    events: Sequence[Event]
    done: Future[None]


def say_on_stderr(sentence: str) -> None:
    """Tell the person at the terminal."""
    print(f"pointsman: {sentence}", file=sys.stderr, flush=True)


class Ledger:
    """One open ledger file. ``trouble`` says why rows cannot be written now, or is None.

    With ``patient`` a file that cannot be opened (newer, foreign, no permission) does not stop anything: rows are kept
    and tried again. Without it LedgerError is raised. ``say`` gets each trouble once, and its end.
    """

    def __init__(self, path: Path | str, *, patient: bool = False, say: Callable[[str], None] = say_on_stderr) -> None:
        self.path = Path(path).expanduser()
        self.trouble: str | None = None
        self._say = say
        self._said: set[str] = set()
        self._queue: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._kept: list[tuple[list[Row], Future[None]]] = []
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None
        self._closed = False
        self._gate = threading.Lock()  # nothing may be queued behind the end mark
        if not patient:
            try:
                self._connect().close()
            except sqlite3.OperationalError:
                pass  # locked or read-only now: the writer tries again
            except OSError as error:
                raise LedgerError(f"cannot open the ledger {self.path}: {error}") from error
        self._thread = threading.Thread(target=self._run, name="pointsman-ledger", daemon=True)
        self._thread.start()

    def append(self, events: Iterable[Event]) -> Future[None]:
        """Queue events; the future resolves once they are committed. Never blocks."""
        batch = _Batch(tuple(events), Future())
        if not batch.events:
            batch.done.set_result(None)
            return batch.done
        with self._gate:
            if not self._closed:
                self._queue.put(batch)
                return batch.done
        batch.done.set_exception(LedgerError(f"the ledger {self.path} is closed"))
        return batch.done

    def close(self, timeout: float = 5.0) -> None:
        """Write what is queued and close the file; LedgerError when rows could not be written in ``timeout`` s."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join(timeout)
        if self._thread.is_alive():
            self._stop.set()
            self._thread.join(BUSY_S + 1.0)
            self._collect(wait=False)
        left = sum(len(rows) for rows, _ in self._kept)
        if left:
            what = f"{left} events" if left > 1 else "an event"
            raise LedgerError(f"{what} could not be written to {self.path}: {self.trouble}")

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the writer thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        ending = False
        attempt = 0
        while not self._stop.is_set():
            ending = self._collect(wait=not ending and not self._kept) or ending
            if not self._kept:
                if ending:
                    break
                continue
            try:
                self._write()
            except (sqlite3.Error, OSError, LedgerError) as error:
                self._fail(error)
                self._stop.wait(BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)])
                attempt += 1
            else:
                attempt = 0
        self._disconnect()

    def _collect(self, wait: bool) -> bool:
        """Move what is queued into ``_kept``; ``wait``: block for the first item. True: the end mark was among it."""
        ending = False
        while True:
            try:
                item = self._queue.get(block=wait)
            except queue.Empty:
                return ending
            wait = False
            if item is None:
                ending = True
                continue
            self._keep(item)

    def _keep(self, batch: _Batch) -> None:
        """Keep the rows of a batch; an event that cannot be made into one is said and left out, the others are written."""
        rows, wrong = [], ""
        for event in batch.events:
            try:
                rows.append(_row(event))
            except Exception as error:  # what is worked out here (core.later) may raise anything, and this thread must live on
                wrong = f"a {type(event).__name__} event cannot be written: {type(error).__name__}"
        self._kept.append((rows, Future() if wrong else batch.done))
        if wrong:
            batch.done.set_exception(LedgerError(wrong))
            if wrong not in self._said:
                self._said.add(wrong)
                self._say(f"{wrong}; it is left out, everything else is written")

    def _write(self) -> None:
        """One transaction with everything kept; on success resolve its futures."""
        if self._connection is not None and self._file() != self._opened:
            self._disconnect()  # somebody moved or removed the file: go on in a new one, not in the dark
        connection = self._connection = self._connection or self._connect()
        rows = [row for batch, _ in self._kept for row in batch]
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO event(ts, kind, session, request, body) VALUES (?, ?, ?, ?, ?)", rows)
        done = [future for _, future in self._kept]
        self._kept = []
        if self.trouble is not None:
            self.trouble = None
            self._say(f"the ledger {self.path} can be written again; nothing was lost")
        for future in done:
            future.set_result(None)

    def _fail(self, error: Exception) -> None:
        """Keep the rows, say it once per cause, and start over with a new connection unless it is only locked."""
        text = str(error) if isinstance(error, LedgerError) else f"cannot write the ledger {self.path}: {error}"
        locked = isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
        if not locked:
            self._disconnect()
        self.trouble = text
        if text not in self._said:
            self._said.add(text)
            self._say(f"{text}; the agent keeps working, the rows are kept in memory and tried again")

    def _connect(self) -> sqlite3.Connection:
        """Open the file privately (folder 0700, file 0600), migrate it, and set WAL."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.path.exists():
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)
        try:
            migrate(connection, self.path)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            connection.close()
            raise
        self._opened = self._file()
        return connection

    def _file(self) -> tuple[int, int] | None:
        """Which file the path names now (device and inode), or None."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):  # a full disk may refuse the checkpoint; the log has every row
                connection.close()


def _row(event: Event) -> Row:
    """An event as a row: its key columns for queries, and all of it as JSON."""
    session = getattr(event, "session", None)
    request = getattr(event, "id", None)
    body = json.dumps(encode(event), separators=(",", ":"), ensure_ascii=False)
    return event.ts, type(event).__name__, _text(session), _text(request), _text(body) or ""


def _text(given: str | None) -> str | None:
    """A text that SQLite takes: what is no UTF-8 (half of a surrogate pair) becomes a question mark."""
    return given if given is None else given.encode("utf-8", "replace").decode()
