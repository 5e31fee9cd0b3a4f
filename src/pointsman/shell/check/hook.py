"""What an agent's own hook does when the agent says it is done: run the check, and send the agent on where it failed.

Silent and quick wherever there is nothing to do; whatever goes wrong here, the agent ends its turn as it would without us.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import FrameType
from typing import Any

from pointsman.shell.check import checks


def stop(session: str, *, active: bool = False) -> dict[str, Any]:
    """The hook's answer to "done": empty: end; ``decision`` block with a ``reason``: go on; ``systemMessage`` for the person.

    ``active``: the agent goes on because of a hook already (Claude Code's and Codex's own guard against loops).
    """
    guarded = checks.found(os.environ)
    if guarded is None or not session:
        return {}
    due = guarded.due(session)
    if due is None:
        still = guarded.standing(session)
        return {"systemMessage": f"pointsman: {still}"} if still else {}
    from pointsman.shell import control

    gateway = control.find_gateway()
    if gateway is None:
        return {}  # nobody would decide differently, and nobody would remember: the agent is left alone
    may = not active or guarded.spec.retries > 1
    with _interruptible() as cancel:
        said = guarded.check(session, *due, cancel=cancel, hooked=may) or _of_run(guarded, session, cancel, may)
    if said is None:
        return {"systemMessage": f"pointsman: {guarded.elsewhere}"}
    event = report(gateway, said, guarded.spec.retries)
    if event.get("sent_back"):
        guarded.sent_back(session)
        return {"decision": "block", "reason": said.reason()}
    return {"systemMessage": sentence(said, str(event.get("stopped", "")))} if said.verdict != "check_passed" else {}


def _of_run(guarded: checks.Guarded, session: str, cancel: threading.Event, may: bool) -> checks.Said | None:
    """The result of the check that ``run`` has begun in this hook's place, as this hook's own."""
    from pointsman.shell.check.handover import taken_over

    said = taken_over(guarded, session, cancel)
    return None if said is None else replace(said, event=replace(said.event, sent_back=may))


def report(gateway: Any, said: checks.Said, retries: int) -> dict[str, Any]:
    """Tell the gateway, so that the next request is decided with it; the event as it was written."""
    from pointsman.core.codec import encode
    from pointsman.shell import control

    answer = control.call(gateway, "check", {"event": encode(said.event), "retries": retries})
    event = answer.get("event")
    return event if isinstance(event, dict) else {}


def sentence(said: checks.Said, stopped: str = "") -> str:
    """One sentence for the person: verdict, reason, seconds; for a failure the tests and the end of the output.

    ``stopped``: why the agent is not sent on although it might be.
    """
    event = said.event
    word = {"check_passed": "passed", "check_failed": "failed", "check_unsure": "is not clear"}[event.verdict]
    text = f"pointsman: the check `{event.label}` {word} after {event.seconds:.1f} s: {event.why}"
    if event.verdict != "check_failed":
        return text
    names = "".join(f"\n  {name}" for name in event.new_failures)
    more = f"\nThe agent is not sent on: {stopped}." if stopped else ""
    return text + names + "\n" + "\n".join(said.tail.strip().splitlines()[-8:]) + more


class _Interrupt(threading.Event):
    """Raised by a signal, or by the end of the process that called this hook: then nobody waits for the answer."""

    def __init__(self) -> None:
        super().__init__()
        self._parent = os.getppid()

    def is_set(self) -> bool:
        """Whether nobody waits any more."""
        return super().is_set() or os.getppid() != self._parent


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """A flag that the agent's (or the person's) interrupt of this hook raises."""
    cancel = _Interrupt()
    before: dict[int, Any] = {}

    def stopped(number: int, frame: FrameType | None) -> None:
        cancel.set()

    with suppress(ValueError):  # not in the main thread: nobody can interrupt there
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            before[number] = signal.signal(number, stopped)
    try:
        yield cancel
    finally:
        for held, handler in before.items():
            signal.signal(held, handler)
