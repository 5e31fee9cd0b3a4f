"""The policies that the router is measured against. All meet the same tasks, luck and check; none reads an outcome but hindsight.

What a baseline fits (base rates, thresholds, neighbours) it fits on other repositories than the task's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from statistics import median

from pointsman.bench.playing import Part, Result, View
from pointsman.bench.worlds import REPEAT, START, Job, World, luck, repository

NOISE_SD = 2.0
"""Logits by which a classifier's reading of the difficulty is off: knowing the true one closes 19 % of the gap at most."""

PROBE_CALLS, STALL_SHARE = 5, 1.5
"""Calls of a probe; a run longer than this multiple of its config's median has stalled."""

HORIZON = 3.0
"""Turns that the fixed-horizon planner looks ahead."""


@dataclass(slots=True)
class Fixed:
    """Always the same config first; after a failed check ``then`` (None: stop), at most ``retries`` times."""

    name: str
    first: int
    then: int | None = None
    retries: int = 9

    def choose(self, view: View) -> int | None:
        """The first config until a check fails."""
        if view.point == "loop":
            return view.current
        if len(view.tried) > self.retries:
            return None
        return self.then if view.point == "retry" else self.first

    def billed(self, view: View, part: Part, final: bool) -> None:
        """Nothing to learn."""

    def checked(self, view: View, passed: bool) -> None:
        """Nothing to learn."""

    def points(self, calls: int) -> tuple[int, ...]:
        """Never asked inside a run."""
        return ()


@dataclass(slots=True)
class Coin(Fixed):
    """A fair coin between cheapest and asked, before every run."""

    sides: tuple[int, int] = (0, 1)

    def choose(self, view: View) -> int | None:
        """Heads or tails."""
        if view.point == "loop":
            return view.current
        return self.sides[luck(view.job.key, "coin", len(view.tried)) < 0.5]


@dataclass(slots=True)
class Hindsight(Fixed):
    """The cheapest config that solves the task, known beforehand; nothing is spent on one that nobody solves but the cheapest."""

    def choose(self, view: View) -> int | None:
        """It has seen the outcomes."""
        if view.point == "loop":
            return view.current
        if view.point == "retry":
            return None
        return next((i for i, solved in enumerate(view.job.solves) if solved), 0)


@dataclass(slots=True)
class Classifier(Fixed):
    """Reads the difficulty with noise before every request it is shown, and goes strong above the training median."""

    cuts: Mapping[str, float] = field(default_factory=dict)
    top: int = 1

    def choose(self, view: View) -> int | None:
        """Strong where the reading is above the cut."""
        return self.top if reading(view.job, view.call) > self.cuts[repository(view.job.task)] else 0

    def points(self, calls: int) -> tuple[int, ...]:
        """Three looks a run."""
        return tuple(sorted({calls // 3, 2 * calls // 3} - {0}))


@dataclass(slots=True)
class FirstTurn(Classifier):
    """Reads the difficulty of a session's first task and keeps to that choice for the whole session."""

    kept: dict[int, int] = field(default_factory=dict)

    def choose(self, view: View) -> int | None:
        """What the session's first task looked like."""
        if view.session not in self.kept:
            self.kept[view.session] = self.top if reading(view.job, 0) > self.cuts[repository(view.job.task)] else 0
        return self.kept[view.session]

    def points(self, calls: int) -> tuple[int, ...]:
        """Never asked inside a run."""
        return ()


@dataclass(slots=True)
class Probe(Classifier):
    """Begins cheap; after a few calls reads the difficulty once and decides for the rest."""

    def choose(self, view: View) -> int | None:
        """Cheap for the probe, then as read."""
        if view.point == "start":
            return 0
        if view.point == "retry":
            return self.top
        return self.top if reading(view.job, view.call) > self.cuts[repository(view.job.task)] else 0

    def points(self, calls: int) -> tuple[int, ...]:
        """Once, after the probe."""
        return (PROBE_CALLS,) if calls > PROBE_CALLS else ()


@dataclass(slots=True)
class Stall(Fixed):
    """Begins cheap; a run much longer than usual goes to the asked config, as does a failed check."""

    limits: Mapping[str, int] = field(default_factory=dict)
    top: int = 1

    def choose(self, view: View) -> int | None:
        """Cheap until it stalls or fails."""
        if view.point == "start":
            return 0
        if view.point == "retry":
            return self.top
        return self.top if view.call >= self.limits[repository(view.job.task)] else 0

    def points(self, calls: int) -> tuple[int, ...]:
        """At the limit of any fold."""
        return tuple(sorted({limit for limit in self.limits.values() if limit < calls}))


@dataclass(slots=True)
class Neighbours(Fixed):
    """The mean result of the 15 training tasks whose (noisy) difficulty is nearest; the cheapest expected bill wins."""

    v: float = 0.0
    seen: Mapping[str, Sequence[tuple[float, tuple[bool, ...], tuple[float, ...]]]] = field(default_factory=dict)
    top: int = 1

    def choose(self, view: View) -> int | None:
        """Vote of the neighbours; strong after a failed check."""
        if view.point != "start":
            return view.current if view.point == "loop" else self.top
        here = reading(view.job, 0)
        near = sorted(self.seen[repository(view.job.task)], key=lambda row: abs(row[0] - here))[:15]
        bills = [
            sum(usd[j] + self.v * (not solved[j]) for _, solved, usd in near) / max(1, len(near)) for j in range(self.top + 1)
        ]
        return bills.index(min(bills))


def reading(job: Job, call: int) -> float:
    """The difficulty as a classifier reads it at this call: off by ``NOISE_SD``, anew each time."""
    return job.difficulty + Random(f"{job.key} reading {call}").gauss(0.0, NOISE_SD)


def fixed(world: World) -> list[Fixed]:
    """The policies that do not depend on the user's time. Names are those of the report."""
    top, jobs = world.pool.top, world.jobs
    repos = sorted({repository(job.task) for job in jobs})
    others = {repo: [job for job in jobs if repository(job.task) != repo] for repo in repos}
    cuts = {repo: median(job.difficulty for job in rest) if rest else 0.0 for repo, rest in others.items()}
    limits = {repo: round(STALL_SHARE * median(job.calls[0] for job in rest)) if rest else 50 for repo, rest in others.items()}
    found: list[Fixed] = [
        Fixed("asked", top, top), Fixed("asked, failure shown", top, retries=0), Fixed("cheap", 0, 0),
        Fixed("cheap, failed check: strong", 0, top),
        Coin("coin", 0, sides=(0, top)), Hindsight("hindsight", 0), Classifier("classifier per request", 0, cuts=cuts, top=top),
        FirstTurn("sticky first turn", 0, cuts=cuts, top=top),
        Stall("stall rule", 0, limits=limits, top=top), Probe("probe of 5 calls", 0, cuts=cuts, top=top),
    ]  # fmt: skip
    if top > 1:
        found.insert(3, Fixed("mid, failed check: strong", 1, top))
    return found


def valued(world: World, v: float) -> list[Fixed]:
    """The policies that weigh a failure at ``v`` USD: kNN, and the planner with a horizon of three turns."""
    top, jobs = world.pool.top, world.jobs
    usd = {job.key: tuple(list_usd(world, job, j) for j in range(top + 1)) for job in jobs}
    repos = sorted({repository(job.task) for job in jobs})
    rows = [(repository(job.task), (reading(job, 0), job.solves, usd[job.key])) for job in jobs]
    seen = {repo: [row for name, row in rows if name != repo] for repo in repos}
    ahead = [HORIZON * sum(usd[job.key][j] / job.calls[j] for job in jobs) / len(jobs) for j in range(top + 1)]
    fails = [sum(not job.solves[j] for job in jobs) / len(jobs) for j in range(top + 1)]
    plan = [ahead[j] + v * fails[j] for j in range(top + 1)]
    best = plan.index(min(plan))
    return [Neighbours("kNN", 0, v=v, seen=seen, top=top), Fixed("EV planner, 3 turns", best, best)]


def list_usd(world: World, job: Job, rung: int) -> float:
    """What planners without a cache model take a run to cost: every token read at the cached price, none written."""
    rates = world.book.card(world.pool.rungs[rung].model).base
    n, (growth, out) = job.calls[rung], job.sizes[rung]
    return n * (rates.cache_read * (START + growth * n / 2) + rates.output * out + rates.fresh * growth)


def strong_twice(world: World, asked: Sequence[Result]) -> list[Result]:
    """The asked config run twice on every task and the better result kept, as if somebody knew: what luck alone gives."""
    low, high = REPEAT
    again = [
        result.resolved or luck(job.key, "twice") < low + (high - low) * luck(job.key, "repeat")
        for job, result in zip(world.jobs, asked, strict=True)
    ]
    return [replace(r, usd=2 * r.usd, minutes=2 * r.minutes, resolved=ok) for r, ok in zip(asked, again, strict=True)]
