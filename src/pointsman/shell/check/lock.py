"""One check at a time in a tree."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK_S = 0.2
"""Seconds to wait for a lock that somebody may only be looking at."""

LOOKED_S = 10.0
"""Seconds to wait for those who are seen to be only looking: a look takes microseconds, unless the machine is busy."""

LOOK_S = 0.01
"""Seconds between two looks of whoever waits."""


@contextmanager
def alone(lock: Path, run: str) -> Iterator[bool]:
    """Whether nobody else checks this tree; the lock is given back even when the process is killed."""
    lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with lock.open("a+") as file:
        if not _taken(file.fileno()):
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


def _taken(file: int) -> bool:
    """Take the lock for oneself: whoever only looks is waited for, whoever checks is not."""
    deadline = time.monotonic() + LOOKED_S
    while not _locked(file, fcntl.LOCK_EX, LOCK_S):
        if not _locked(file, fcntl.LOCK_SH, 0.0):
            return False  # somebody has it for himself
        fcntl.flock(file, fcntl.LOCK_UN)
        if time.monotonic() >= deadline:
            return False
    return True


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
            time.sleep(LOOK_S)
