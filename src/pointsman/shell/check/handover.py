"""How a hook that was only slow takes over the check that ``run`` has begun in its place.

``run`` stands in for a hook that stays silent. On a loaded machine the hook was only slow to start: then two processes want the
same check. The later one waits for the earlier one's result and answers the agent with it; nothing runs twice.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from pointsman.core.codec import decode, encode
from pointsman.core.events import Checked
from pointsman.shell.check import lock
from pointsman.shell.check.checks import Guarded, Said

LOOK_S = 0.02
"""Seconds between two looks of whoever waits."""

HANDED_S = 10.0
"""Seconds after the end of the other's check within which its result has been handed over: milliseconds, unless the machine is
busy."""


def taken_over(guarded: Guarded, session: str, cancel: threading.Event) -> Said | None:
    """The result of the check that this run has begun already, once it is there; None where another run's is under way."""
    if lock.busy(guarded.lock) != guarded.run:
        return None
    with guarded.session(session) as row:
        row["waiting"] = True
        row.pop("handed", None)
    found = None
    try:
        found = _handed(guarded, session, cancel)
    finally:
        with guarded.session(session) as row:
            row.pop("waiting", None)
            late = row.pop("handed", None)  # handed over while we gave up: nobody else will tell of it
    return found or (_said(late) if late is not None else None)


def _handed(guarded: Guarded, session: str, cancel: threading.Event) -> Said | None:
    ended = 0.0
    while not cancel.is_set():
        found = _take(guarded, session)
        if found is not None:
            return found
        if lock.busy(guarded.lock) == guarded.run:
            ended = 0.0
        elif not ended:
            ended = time.monotonic()
        elif time.monotonic() - ended > HANDED_S:
            return None
        time.sleep(LOOK_S)
    return None


def _take(guarded: Guarded, session: str) -> Said | None:
    with guarded.session(session) as row:
        handed: dict[str, Any] | None = row.pop("handed", None)
    return _said(handed) if handed is not None else None


def _said(handed: dict[str, Any]) -> Said:
    event = decode("Checked", handed["event"])
    assert isinstance(event, Checked)
    return Said(event, str(handed["tail"]), float(handed["overhead_s"]))


def hand_over(guarded: Guarded, session: str, said: Said) -> bool:
    """Leave a result to the hook that waits for it; whether one does. It then tells the gateway, and answers the agent."""
    with guarded.session(session) as row:
        if not row.get("waiting"):
            return False
        row["handed"] = {"event": encode(said.event), "tail": said.tail, "overhead_s": said.overhead_s}
    return True
