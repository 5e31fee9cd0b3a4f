"""``pointsman run``'s side of the check: it sees its agent's turns in the ledger, and checks where no hook does.

A thread looks at the ledger every few hundredths of a second (one pragma; rows are read only when something was written).
A person's prompt: the files as they are now are where the work begins. A final answer of the main lane: the check, at once
where the agent has no hook, after a pause where it has one that stayed silent. The agent works again: the check is stopped.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pointsman.errors import PointsmanError
from pointsman.shell.check import handover, lock
from pointsman.shell.check import hook as check_hook
from pointsman.shell.check.checks import Guarded, Said
from pointsman.shell.control import Found

LOOK_S = 0.02
"""Seconds between two looks: the files must be seen before the agent's first tool runs."""

HOOK_S = 3.0
"""Seconds an agent's own hook has to begin after a final answer; then it is taken for switched off. One that was only slow takes
over what has begun (``handover``)."""

QUERY = """
    SELECT seq, kind, session, request, json_extract(body, '$.request.run'), json_extract(body, '$.decision.place.kind'),
        coalesce(json_extract(body, '$.decision.place.new_turn'), 0), coalesce(json_extract(body, '$.decision.place.turn'), 0),
        coalesce(json_extract(body, '$.request.purpose'), 'turn'), json_extract(body, '$.stop'),
        coalesce(json_extract(body, '$.sent_back'), 0), coalesce(json_extract(body, '$.run'), '')
    FROM event WHERE seq > ? AND kind IN ('Routed', 'Finished', 'Checked') ORDER BY seq"""


class Watch:
    """The turns of one run. ``found``: the gateway that serves it; ``hooked``: the agent calls a hook when it is done;
    ``retries``: how often per task a failed check may send it on, where we can start it again.
    """

    def __init__(self, guarded: Guarded, ledger: Path, found: Callable[[], Found | None], *, hooked: bool,
                 retries: int = 0) -> None:  # fmt: skip
        self._guarded = guarded
        self._ledger = ledger
        self._found = found
        self._hooked = hooked
        self._retries = retries
        self._over = threading.Event()
        self._cancel = threading.Event()
        self._turns: dict[str, str] = {}
        self._done: dict[str, float] = {}
        self._began: set[tuple[str, int]] = set()
        self._check: threading.Thread | None = None
        self._thread = threading.Thread(target=self._watch, name="check-watch", daemon=True)
        self._connection: sqlite3.Connection | None = None
        self._after = 0
        self.said: Said | None = None
        self._judged: str | None = None
        self.standing: str | None = None
        self.event: dict[str, object] = {}

    def start(self, *, measure: bool = False) -> None:
        """Begin to watch what is written from now on. ``measure``: learn what fails already while the agent waits for words."""
        self._after = self._last()
        if measure:
            self._check = threading.Thread(target=self._guarded.measure, args=(self._cancel,), name="baseline", daemon=True)
            self._check.start()
        self._thread.start()

    def finish(self) -> Said | None:
        """The agent has exited: see what it wrote last, check what nobody checked; the last check that ran here."""
        self._over.set()
        self._thread.join()  # bounded: a look at the ledger, or at the files by git
        with suppress(sqlite3.Error, PointsmanError, OSError):
            self._read()
        self._close()
        if self._check is not None and self._check.name == "baseline":
            self._cancel.set()
        if self._check is not None:
            try:
                self._check.join()
            except KeyboardInterrupt:
                self._cancel.set()
                self._check.join()
        for session in list(self._done):
            try:
                self._run(session)
            except KeyboardInterrupt:
                self._cancel.set()
        if self.standing is None and self._judged is not None:
            self.standing = self._guarded.standing(self._judged)
        return self.said

    def _watch(self) -> None:
        version = -1
        while not self._over.wait(LOOK_S):
            try:
                now = self._version()
                if now != version:
                    version = now
                    self._read()
                self._begin_due()
            except (sqlite3.Error, PointsmanError, OSError):
                self._close()  # the ledger is not there yet, or locked: the next look will tell
        self._close()  # a connection belongs to the thread that opened it

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = sqlite3.connect(f"{self._ledger.absolute().as_uri()}?mode=ro", uri=True, timeout=1.0)
        return self._connection

    def _version(self) -> int:
        return int(self._open().execute("PRAGMA data_version").fetchone()[0])

    def _last(self) -> int:
        try:
            return int(self._open().execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()[0])
        except sqlite3.Error:
            return 0
        finally:
            self._close()

    def _read(self) -> None:
        """Take in what was written since the last look."""
        rows = self._open().execute(QUERY, (self._after,)).fetchall()
        for seq, kind, session, request, run, lane, new_turn, turn, purpose, stop, sent_back, by in rows:
            self._after = seq
            if kind == "Routed" and run == self._guarded.run and lane == "main" and purpose == "turn":
                self._routed(session, request, bool(new_turn), turn)
            elif kind == "Finished" and request in self._turns:
                self._finished(self._turns.pop(request), stop)
            elif kind == "Checked" and by == self._guarded.run:
                self._done.pop(session, None)
                self._judged = session
                if not sent_back:
                    self._began = {known for known in self._began if known[0] != session}

    def _routed(self, session: str, request: str, new_turn: bool, turn: int) -> None:
        self._turns[request] = session
        self._done.pop(session, None)
        self._cancel.set()  # whoever checks now would see files that the agent is about to change
        if new_turn and (session, turn) not in self._began:
            self._began.add((session, turn))
            self._guarded.turn_began(session, turn, late=lambda: self._answered(request))

    def _answered(self, request: str) -> bool:
        """Whether the first answer of the turn is out. Its row is written before its end goes to the agent: until then no
        tool has run.
        """
        query = "SELECT 1 FROM event WHERE request = ? AND kind = 'Finished' LIMIT 1"
        return self._open().execute(query, (request,)).fetchone() is not None

    def _finished(self, session: str, stop: str | None) -> None:
        if stop == "final":
            self._done[session] = time.monotonic()

    def _begin_due(self) -> None:
        """Start the check of a turn that has ended, one at a time."""
        if self._check is not None and self._check.is_alive():
            return
        for session, since in list(self._done.items()):
            if (self._hooked and time.monotonic() - since < HOOK_S) or lock.busy(self._guarded.lock) is not None:
                continue
            self._check = threading.Thread(target=self._run, args=(session,), name="check", daemon=True)
            self._check.start()
            return

    def _run(self, session: str) -> None:
        """Check one session's work and tell the gateway; nothing where no file changed."""
        self._done.pop(session, None)
        self._cancel = cancel = threading.Event()
        with suppress(PointsmanError, OSError):
            due = self._guarded.due(session)
            if due is None:
                self.standing = self._guarded.standing(session)
                return
            said = self._guarded.check(session, *due, cancel=cancel, hooked=self._retries > 0)
            if said is None:
                self.standing = self._guarded.elsewhere
                return
            if self._hooked and handover.hand_over(self._guarded, session, said):
                return
            found = self._found()
            if found is not None:
                self.said = said
                self.event = check_hook.report(found, said, self._retries)
                if self.event.get("sent_back"):
                    self._guarded.sent_back(session)
