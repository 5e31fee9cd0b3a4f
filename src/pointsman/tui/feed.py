"""Where the screens read from: a ledger that grows, or events that are complete; and the fold that follows them.

Theory of operation. A ledger is polled with ``PRAGMA data_version``, which costs microseconds and changes whenever
another connection has committed. The first frame is folded from the newest events only; the whole ledger is folded in a
worker thread and takes the preview's place when it is done, so that 10,000 turns do not delay the first paint.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from pointsman.core.events import Event
from pointsman.core.timeline import Timeline
from pointsman.errors import LedgerError
from pointsman.shell.reading import read_events, reader

PREVIEW = 400
"""Newest events folded before the first paint: a screenful of turns, read and folded in some 50 ms."""

SLICE = 200
"""Events folded in the worker between two pauses that let the screen breathe."""


class Source(Protocol):
    """Numbered events to show. ``live``: more may come."""

    @property
    def name(self) -> str:
        """What is read, for the header."""

    @property
    def live(self) -> bool:
        """Whether more events may come."""

    def version(self) -> int:
        """A number that changes when there may be new events; cheap. 0: nothing is there yet. Raises LedgerError."""

    def newest(self) -> int:
        """The number of the newest event, 0 when there is none. Raises LedgerError."""

    def read(self, after: int, session: str | None = None) -> Iterator[tuple[int, Event]]:
        """Numbered events after number ``after``, of one session or all; from any thread. Raises LedgerError."""

    def close(self) -> None:
        """Let go of whatever is open."""


class EventSource:
    """Events that are all there: a recording, a replay, an export."""

    def __init__(self, events: Sequence[Event], name: str = "") -> None:
        self._events = tuple(events)
        self.name = name
        self.live = False

    def version(self) -> int:
        """1: it never changes."""
        return 1

    def newest(self) -> int:
        """How many events there are."""
        return len(self._events)

    def read(self, after: int, session: str | None = None) -> Iterator[tuple[int, Event]]:
        """The events after number ``after``, counted from 1."""
        numbered = enumerate(self._events[after:], after + 1)
        return ((n, event) for n, event in numbered if session is None or getattr(event, "session", None) == session)

    def close(self) -> None:
        """Nothing is open."""


class LedgerSource:
    """A ledger file, followed while its gateway writes. It need not exist yet."""

    def __init__(self, path: Path, *, live: bool = True) -> None:
        self.path = path
        self.name = path.name
        self.live = live
        self._held = ExitStack()
        self._connection: sqlite3.Connection | None = None

    def version(self) -> int:
        """SQLite's data_version, from one connection that is kept open; 0 while there is no file."""
        connection = self._connected()
        if connection is None:
            return 0
        try:
            return int(connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error as error:
            self.close()
            raise LedgerError(f"cannot read the ledger {self.path}: {error}") from error

    def newest(self) -> int:
        """The largest sequence number."""
        connection = self._connected()
        if connection is None:
            return 0
        try:
            row = connection.execute("SELECT max(seq) FROM event").fetchone()
        except sqlite3.OperationalError:
            return 0  # created, but its first migration has not run yet
        return int(row[0] or 0)

    def read(self, after: int, session: str | None = None) -> Iterator[tuple[int, Event]]:
        """Events after sequence number ``after``; nothing while there is no file."""
        return read_events(self.path, session=session, after=after) if self.path.is_file() else iter(())

    def close(self) -> None:
        """Let go of the file."""
        self._held.close()
        self._connection = None

    def _connected(self) -> sqlite3.Connection | None:
        if self._connection is None and self.path.is_file():
            self._connection = self._held.enter_context(reader(self.path))
        return self._connection


def local_day(ts: float) -> int:
    """The day number of an epoch second where the user is."""
    here = time.localtime(ts)
    return here.tm_year * 1_000 + here.tm_yday


class Feed:
    """A timeline that follows a source. ``complete``: everything is folded in; before that it holds the newest part."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.timeline = Timeline(day=local_day)
        self.complete = False
        self.seq = 0
        self.total = 0
        self._version = 0

    def preview(self) -> None:
        """Fold the newest events, or all where they are few. Raises LedgerError."""
        self._version = self.source.version()
        self.total = self.source.newest()
        start = max(0, self.total - PREVIEW)
        self.seq = start
        self._fold()
        self.complete = start == 0

    def poll(self) -> bool:
        """Fold what is new; whether there was anything. Raises LedgerError."""
        version = self.source.version()
        if version == self._version:
            return False
        self._version = version
        return self._fold()

    def _fold(self) -> bool:
        before = self.seq
        for seq, event in self.source.read(self.seq):
            self.timeline.apply(event)
            self.seq = seq
        return self.seq != before

    def whole(self) -> tuple[Timeline, int]:
        """Everything folded from the start, and the number of the last event. For a worker thread; changes nothing here."""
        timeline, last = Timeline(day=local_day), 0
        for count, (seq, event) in enumerate(self.source.read(0), 1):
            timeline.apply(event)
            last = seq
            if count % SLICE == 0:
                time.sleep(0.001)  # a worker that never sleeps makes the keys lag
        return timeline, last

    def take(self, timeline: Timeline, seq: int) -> None:
        """Let the whole timeline replace the preview, and catch up with what came meanwhile. Raises LedgerError."""
        self.timeline, self.seq, self.complete = timeline, seq, True
        self._fold()
