"""The gateway as a program: it runs until a signal ends it, and lets requests under way finish."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pointsman.shell.gateway import Gateway, defaults
from pointsman.shell.ledger import Ledger, say_on_stderr
from pointsman.shell.ports import LOOPBACK
from pointsman.shell.served import Served

if TYPE_CHECKING:
    from pointsman.settings import Settings


def serve(
    settings: Settings | Served | None = None, *, host: str = LOOPBACK, port: int | None = None, upstream: str | None = None,
    upstreams: Mapping[str, str] | None = None, ledger: Ledger | Path | str | None = None,
    clock: Callable[[], float] = time.time, dice: Callable[[], float] = random.random,
    say: Callable[[str], None] = say_on_stderr, ready: Callable[[Gateway], None] | None = None,
) -> None:  # fmt: skip
    """Run a gateway until SIGINT, SIGTERM or SIGHUP; a second signal does not wait. ``ready`` is told once it listens.

    Raises PortInUse (its ``free`` is a port to offer) and SettingsError before anything is served.
    """
    chosen = settings or defaults()
    gateway = Gateway(
        chosen, host=host, port=chosen.port if port is None else port, upstream=upstream, upstreams=upstreams,
        ledger=ledger, clock=clock, dice=dice, say=say, announced=True,
    )  # fmt: skip
    with asyncio.Runner(loop_factory=_loop) as runner:
        runner.run(_until_signalled(gateway, ready))


async def _until_signalled(gateway: Gateway, ready: Callable[[Gateway], None] | None) -> None:
    stop, hurry = asyncio.Event(), asyncio.Event()

    def asked() -> None:
        (hurry if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, asked)
    await gateway.start()
    gc.freeze()  # modules and the price book live as long as we do: a full collection over them costs a request 4 ms
    if ready is not None:
        ready(gateway)
    await stop.wait()
    closing = asyncio.ensure_future(gateway.close())
    hurrying = asyncio.ensure_future(hurry.wait())
    await asyncio.wait((closing, hurrying), return_when=asyncio.FIRST_COMPLETED)
    if not closing.done():
        gateway.abort()
    await closing
    hurrying.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await hurrying


def _loop() -> asyncio.AbstractEventLoop:
    """uvloop where it is installed (everywhere but Windows)."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
