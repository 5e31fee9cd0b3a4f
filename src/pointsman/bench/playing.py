"""Plays a world's sessions under one policy and bills every call: the same luck for everybody.

A *chooser* is asked at the start of each task, at points inside the run, and after a failed check. A run is billed call by call
in closed form, with a prefix cache of five minutes per model. A change inside a run leaves the other model's work to the new one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from pointsman.bench.worlds import CHECK_S, START, TOOL_S, TTL_S, Job, World
from pointsman.core.types import Usage

Point = Literal["start", "loop", "retry"]
T0 = 1_800_000_000.0


@dataclass(frozen=True, slots=True)
class View:
    """What a chooser may look at. ``number``: of the task; ``call``: calls of this run so far; ``cleared``: the history was."""

    session: int
    number: int
    job: Job
    point: Point
    now: float
    tried: tuple[int, ...]
    current: int | None
    call: int = 0
    cleared: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """Calls of one model in a row: the USD and seconds of all, and the usage and start of the last."""

    usd: float
    seconds: float
    usage: Usage
    started: float


class Chooser(Protocol):
    """A policy under test."""

    name: str

    def choose(self, view: View) -> int | None:
        """The config for what comes next (None after a failed check: stop and show the person)."""

    def billed(self, view: View, part: Part, final: bool) -> None:
        """What became of the calls since the last choice."""

    def checked(self, view: View, passed: bool) -> None:
        """What the check said."""

    def points(self, calls: int) -> tuple[int, ...]:
        """The calls inside a run of ``calls`` before which it is asked again."""


@dataclass(frozen=True, slots=True)
class Result:
    """One task: USD of all its runs, whether it ended right, minutes to the end with checks, model changes, runs."""

    usd: float
    resolved: bool
    minutes: float
    switches: int
    runs: int


@dataclass(slots=True)
class _Table:
    """One session under way: the clock, the context, what each config's cache holds, and what ran last."""

    world: World
    chooser: Chooser
    session: int
    now: float
    context: float = START
    held: dict[int, tuple[float, float]] = field(default_factory=dict)
    current: int | None = None
    usd: float = 0.0
    switches: int = 0
    failed: bool = False

    def clear(self) -> None:
        """The person takes a failed task over and begins the next one with an empty history: only the head stays warm."""
        self.context = START
        self.held = {rung: (min(tokens, START), touched) for rung, (tokens, touched) in self.held.items()}


def play(world: World, chooser: Chooser) -> list[Result]:
    """Every task of the world in order; results align with ``world.jobs``."""
    results, number = [], 0
    for index, jobs in enumerate(world.sessions):
        table = _Table(world, chooser, index, T0 + index * 100_000.0)
        for job in jobs:
            cleared, table.failed = table.failed, False
            if cleared:
                table.clear()
            results.append(_task(table, job, number, cleared))
            table.now += job.gap_s
            number += 1
    return results


def _task(table: _Table, job: Job, number: int, cleared: bool) -> Result:
    """One task: a run, the check, and as many retries as the rules allow."""
    world, usd, switches, begun = table.world, table.usd, table.switches, table.now
    right, runs = False, 0
    tried: list[int] = []
    for attempt in range(1 + (world.rules.retries if world.rules.check else 0)):
        view = View(table.session, number, job, "retry" if attempt else "start", table.now, tuple(tried), table.current)
        view = replace(view, cleared=cleared and not attempt)
        rung = table.chooser.choose(view)
        if rung is None:
            break
        rung = _run(table, view, rung, tried)
        right = world.succeeds(job, rung, tried, right)
        tried.append(rung)
        runs += 1
        if not world.rules.check:
            break
        table.now += CHECK_S
        fails = world.check_fails(job, rung, attempt, right)
        table.chooser.checked(View(table.session, number, job, "retry", table.now, tuple(tried), rung), not fails)
        table.failed = fails
        if not fails:
            break
    return Result(table.usd - usd, right, (table.now - begun) / 60.0, table.switches - switches, runs)


def _run(table: _Table, view: View, rung: int, tried: list[int]) -> int:
    """The calls of one run, asked again inside where the chooser wants; the config that ended it."""
    job = view.job
    calls, done = job.calls[rung], 0
    for stop in (*table.chooser.points(calls), calls):
        if stop <= done or stop > calls:
            continue
        part = _calls(table, rung, stop - done, job.sizes[rung])
        table.chooser.billed(view, part, stop == calls)
        done = stop
        if done >= calls:
            break
        view = View(view.session, view.number, job, "loop", table.now, view.tried, rung, done)
        other = table.chooser.choose(view)
        if other is not None and other != rung:
            tried.append(rung)
            left = max(1, round(job.calls[other] * (1.0 - done / calls)))
            table.chooser.billed(view, _calls(table, other, left, job.sizes[other]), True)
            return other
    return rung


def _calls(table: _Table, rung: int, n: int, sizes: tuple[float, float]) -> Part:
    """``n`` calls on one config: the first finds what its cache still holds, the others read what the one before left."""
    model = table.world.pool.rungs[rung].model
    book = table.world.book
    if table.current is not None and table.current != rung:
        table.switches += 1
    table.current = rung
    prompt, (growth, out) = table.context, sizes
    tokens, touched = table.held.get(rung, (0.0, -1e9))
    warm = min(tokens, prompt) if table.now - touched < TTL_S else 0.0
    last = prompt + growth * (n - 1)
    rates = book.card(model).at(round(last), table.now)
    write, speed = rates.write(int(TTL_S)), book.speed(model)
    usd = warm * rates.cache_read + (prompt - warm) * write + n * out * rates.output
    usd += rates.cache_read * (prompt * (n - 1) + growth * (n - 1) * (n - 2) / 2) + write * growth * (n - 1)
    each = speed.wait(round(growth), round(out)) + TOOL_S
    seconds = n * each + speed.wait(round(prompt - warm), 0) - speed.wait(round(growth), 0)
    table.usd += usd
    table.now += seconds
    started = table.now - each
    table.context = last + growth
    table.held[rung] = (last, started)
    read = warm if n == 1 else last - growth
    written = max(1, round(last - read))
    usage = Usage(cache_read=round(read), cache_write=((int(TTL_S), written),), output=max(1, round(out)))
    return Part(usd, seconds, usage, started)
