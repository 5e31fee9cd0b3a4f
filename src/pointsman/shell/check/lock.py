"""One check at a time in a tree: who holds it, and how a slow hook takes over what ``run`` has begun in its place.

``run`` stands in for a hook that stays silent. On a loaded machine the hook was only slow to start: then two processes want the
same check. The later one waits for the earlier one's result and answers the agent with it; nothing runs twice.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a hook that has nothing to do must not pay for what a check needs
    from pointsman.shell.check.checks import Guarded, Said

LOCK_S = 0.2
"""Seconds to wait for a lock that somebody may only be looking at."""

LOOK_S = 0.02
"""Seconds between two looks of whoever waits."""

HANDED_S = 2.0
"""Seconds after the end of the other's check within which its result has been handed over."""


@contextmanager
def alone(lock: Path, run: str) -> Iterator[bool]:
    """Whether nobody else checks this tree; the lock is given back even when the process is killed."""
    lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with lock.open("a+") as file:
        if not _locked(file.fileno(), fcntl.LOCK_EX, LOCK_S):
            yield False
            return
        file.truncate(0)
        file.write(f"{os.getpid()} {run}\n")
        file.flush()
        yield True


def busy(lock: Path) -> str | None:
    """The run whose check runs in this tree now ("": not known), or None."""
    with suppress(FileNotFoundError), lock.open() as file:
        if not _locked(file.fileno(), fcntl.LOCK_SH, 0.0):
            return next(iter(file.read().split()[1:2]), "")
    return None


def _locked(file: int, how: int, wait_s: float) -> bool:
    """Take a lock, waiting at most ``wait_s`` seconds for it; whether it was had."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
            return True
        except OSError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(LOOK_S / 2)


def taken_over(guarded: Guarded, session: str, cancel: threading.Event) -> Said | None:
    """The result of the check that this run has begun already, once it is there; None where another run's is under way."""
    if busy(guarded.lock) != guarded.run:
        return None
    with guarded.session(session) as row:
        row["waiting"] = True
    try:
        return _handed(guarded, session, cancel)
    finally:
        with guarded.session(session) as row:
            row.pop("waiting", None)


def _handed(guarded: Guarded, session: str, cancel: threading.Event) -> Said | None:
    ended = 0.0
    while not cancel.is_set():
        found = _take(guarded, session)
        if found is not None:
            return found
        if busy(guarded.lock) == guarded.run:
            ended = 0.0
        elif not ended:
            ended = time.monotonic()
        elif time.monotonic() - ended > HANDED_S:
            return None
        time.sleep(LOOK_S)
    return None


def _take(guarded: Guarded, session: str) -> Said | None:
    from pointsman.core.codec import decode
    from pointsman.core.events import Checked
    from pointsman.shell.check.checks import Said

    with guarded.session(session) as row:
        handed: dict[str, Any] | None = row.pop("handed", None)
    if handed is None:
        return None
    event = decode("Checked", handed["event"])
    assert isinstance(event, Checked)
    return Said(event, str(handed["tail"]), float(handed["overhead_s"]))


def hand_over(guarded: Guarded, session: str, said: Said) -> bool:
    """Leave a result to the hook that waits for it; whether one does. It then tells the gateway, and answers the agent."""
    from pointsman.core.codec import encode

    with guarded.session(session) as row:
        if not row.get("waiting"):
            return False
        row["handed"] = {"event": encode(said.event), "tail": said.tail, "overhead_s": said.overhead_s}
    return True
