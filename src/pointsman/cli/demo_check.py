"""The demo's guarded session: a small agent edits a scratch repository, its tests run for real, the failure is caught."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pointsman.sandbox.clock import Clock
from pointsman.sandbox.incoming import Incoming
from pointsman.sandbox.reply import Reply

if TYPE_CHECKING:
    from pointsman.shell.control import Found

Done = Callable[[], Awaitable[str | None]]

SESSION, RUN = "slugs-guarded", "slugs-guarded"
MODEL = "claude-sonnet-5-5"
GAP_S = 4.0
"""Seconds between two requests on the demo's clock."""


def script(request: Incoming) -> Reply:
    """The provider's part: wrong on a weaker model than the one asked for, right on that one."""
    from pointsman.sandbox import repairs

    return repairs.script("caught", ("sonnet", "opus"))(request)


async def play(url: str, clock: Clock, pause: float, over: threading.Event) -> None:
    """One task whose check is a real test run. ``pause``: real seconds before each request; ``over``: nobody watches."""
    from pointsman.sandbox import repairs
    from pointsman.shell import control

    found = await asyncio.to_thread(control.find_gateway)
    if found is None:
        return
    with tempfile.TemporaryDirectory(prefix="pointsman-slugs-") as name:
        folder = Path(name).resolve()
        repairs.lay_out(folder, git=False)
        done = await asyncio.to_thread(_begin, found, folder)

        async def tick() -> None:
            clock.advance(GAP_S)
            await asyncio.sleep(0.0 if over.is_set() else pause)

        await repairs.work(f"{url}/run/{RUN}", folder, SESSION, MODEL, done, tick=tick)
        await asyncio.to_thread(control.call, found, "run", {"run": RUN, "code": 0})


def _begin(found: Found, folder: Path) -> Done:
    """Register the run with its check, learn what fails already; what the agent asks when it says that it is done."""
    from pointsman.core.checks import Learned
    from pointsman.core.codec import encode
    from pointsman.shell import control
    from pointsman.shell.check import hook as check_hook
    from pointsman.shell.check.checks import Guarded, Spec

    runner = "pytest -q -p no:cacheprovider" if find_spec("pytest") else "unittest"
    spec = Spec(f"python3 -m {runner}", str(folder), 60.0, env=(("PATH", _path()), ("PYTHONDONTWRITEBYTECODE", "1")))
    guarded = Guarded(spec, RUN)
    control.call(found, "run", {
        "run": RUN, "client": "claude", "cwd": str(folder), "interactive": False, "guard": encode(Learned().guard(spec.label)),
    })  # fmt: skip
    guarded.open()
    guarded.measure()

    def ask() -> str | None:
        due = guarded.due(SESSION)
        said = guarded.check(SESSION, *due, hooked=True) if due else None
        if said is None:
            return None
        event = check_hook.report(found, replace(said, event=replace(said.event, seconds=round(said.event.seconds))), 1)
        if not event.get("sent_back"):
            return None
        guarded.sent_back(SESSION)
        return said.reason()

    async def done() -> str | None:
        return await asyncio.to_thread(ask)

    return done


def _path() -> str:
    """A PATH that begins with this interpreter's folder."""
    return os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
