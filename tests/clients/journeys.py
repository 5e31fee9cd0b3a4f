"""One client on one journey, bare or through Pointsman: the same folder, the same provider, the same words."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from clients import real, scenarios
from pointsman.core.events import Event, Finished, Routed
from pointsman.sandbox.clock import Clock
from pointsman.sandbox.log import Record
from pointsman.sandbox.provider import Provider
from pointsman.sandbox.reply import Bill
from pointsman.sandbox.script import Script
from pointsman.shell import ports
from pointsman.shell.client import table as clients
from pointsman.shell.launching import own_command
from pointsman.shell.reading import read_events

Way = Literal["bare", "serve", "run"]
"""How a client reaches the provider: itself, through ``pointsman serve``, or started by ``pointsman run``."""

PROCESS_S = 300.0
"""Seconds one process of a client may take: clients wait out what a provider tells them."""


@dataclass
class Result:
    """What a journey came to. ``prompts``: (model, prompt tokens, cache read) of each main request that was answered."""

    client: str
    codes: list[int]
    files: dict[str, str]
    prompts: list[tuple[str, int, int]]
    log: list[Record]
    output: str
    events: list[Event] = field(default_factory=list)

    @property
    def refused(self) -> Counter[int]:
        """How often the provider answered with each status of 4xx, its own faults left out."""
        return Counter(record.status for record in self.log if 400 <= record.status < 500 and record.fault is None)

    @property
    def routed(self) -> list[Routed]:
        """The decisions in the ledger."""
        return [event for event in self.events if isinstance(event, Routed)]

    @property
    def finished(self) -> list[Finished]:
        """What became of them."""
        return [event for event in self.events if isinstance(event, Finished)]

    @property
    def bodies(self) -> list[Any]:
        """The bodies of the main requests, as the provider got them."""
        return [record.body for record in self.log if record.purpose == "main" and not record.counting]


@dataclass
class Trip:
    """A journey under way."""

    client: str
    model: str
    way: Way
    work: Path
    home: Path
    url: str
    provider: Provider
    env: dict[str, str]
    serve: tuple[str, ...] = ()
    codes: list[int] = field(default_factory=list)
    output: str = ""

    async def say(self, prompt: str, *flags: str, resume: bool = False, effort: str | None = None) -> None:
        """One headless process with this prompt."""
        process, after = await self.start(prompt, *flags, resume=resume, effort=effort)
        await self.end(process, after)

    async def start(self, prompt: str, *flags: str, resume: bool = False, effort: str | None = None,
                    ) -> tuple[asyncio.subprocess.Process, Callable[[], None] | None]:  # fmt: skip
        """Start the client; ``flags`` go in front of its own arguments."""
        command = executable(self.client)
        argv = real.headless(self.client, command, self.model, prompt, resume=resume, effort=effort, home=self.home)
        argv = [argv[0], *flags, *argv[1:]]
        if self.way == "run":
            named = () if self.client != "claude-sdk" else ("--client", "claude-sdk")
            argv = [*own_command(), "run", "--port", "0", "--upstream", self.provider.url, *self.serve, *named, "--", *argv]
            wrapped = clients.Wrapped(tuple(argv), {**self.env, "PYTHONPATH": os.environ.get("PYTHONPATH", "")})
        else:
            wrapped = clients.wrap(self.client, self.url, argv, self.env, cwd=self.work)
        process = await asyncio.create_subprocess_exec(
            *wrapped.argv, cwd=self.work, env=dict(wrapped.env), stdin=asyncio.subprocess.DEVNULL, start_new_session=True,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )
        return process, wrapped.after

    async def end(self, process: asyncio.subprocess.Process, after: Callable[[], None] | None) -> None:
        """Wait for the client's end; one that does not end is killed, and that is its result."""
        try:
            output, _ = await asyncio.wait_for(process.communicate(), PROCESS_S)
            self.output += output.decode("utf-8", "replace")
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            self.output += f"\n(killed after {PROCESS_S:g} s)\n"
        finally:
            if after is not None:
                after()
        self.codes.append(process.returncode if process.returncode is not None else -9)

    async def until(self, ready: Callable[[], bool], seconds: float = 120.0) -> None:
        """Wait until the provider has seen what ``ready`` says."""
        async with asyncio.timeout(seconds):
            while not ready():
                await asyncio.sleep(0.05)


Play = Callable[[Trip], Awaitable[None]]


def executable(client: str) -> Path:
    """The client, or a skip that says why it cannot be had."""
    found, why = real.find(client)
    if found is None:
        pytest.skip(why)
    return found


async def journey(client: str, model: str, play: Play, folder: Path, way: Way = "serve", *, serve: Sequence[str] = (),
                  script: Script | None = None, settings: str = "", slow: bool = False) -> Result:  # fmt: skip
    """Play it in a fixed folder (its path is in the prompts) and tell what came of it.

    ``slow``: the provider keeps real time, and answers as slowly as the trip sets its speed.
    """
    executable(client)
    shutil.rmtree(folder, ignore_errors=True)
    work, home = folder / "work", folder / "home"
    scenarios.lay_out(work)
    env = real.environment(home)
    real.settle(client, model, home)
    config = folder / "config.toml"
    config.write_text(settings)
    env |= {"POINTSMAN_HOME": str(folder / "pointsman"), "POINTSMAN_CONFIG": str(config)}
    async with Provider(script=script or scenarios.script(), clock=None if slow else Clock(0.0)) as provider:
        async with gateway(provider.url, env, serve) if way == "serve" else bare(provider.url) as url:
            trip = Trip(client, model, way, work, home, url, provider, env, tuple(serve))
            await play(trip)
        prompts = [figures(record) for record in provider.requests if record.purpose == "main" and record.status == 200]
        files = {name: (work / name).read_text() for name in scenarios.FILES if (work / name).exists()}
        ledger = folder / "pointsman" / "ledger.db"
        events = [event for _, event in read_events(ledger)] if ledger.exists() else []
        return Result(client, trip.codes, files, prompts, list(provider.log), trip.output, events)


def figures(record: Record) -> tuple[str, int, int]:
    """Model, prompt tokens and cache read of one request, as the provider billed it."""
    bill = record.bill or Bill()
    return record.model or "", bill.prompt, bill.read


@asynccontextmanager
async def bare(url: str) -> AsyncIterator[str]:
    """No gateway: the provider itself."""
    yield url


@asynccontextmanager
async def gateway(upstream: str, env: dict[str, str], flags: Sequence[str] = ()) -> AsyncIterator[str]:
    """``pointsman serve --port P --upstream URL`` as a process of its own."""
    port = ports.free_port()
    ours = {name: env[name] for name in ("POINTSMAN_HOME", "POINTSMAN_CONFIG") if name in env}
    process = await asyncio.create_subprocess_exec(
        *own_command(), "serve", "--port", str(port), "--upstream", upstream, *flags, env={**os.environ, **ours},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 120)
        assert b"listens on" in line, line
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()
