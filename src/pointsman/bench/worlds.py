"""A world made of real outcomes: which model solved which task, in how many calls, at what cost, under today's prices.

Theory of operation. Every task was run once by every model (SWE-bench Verified, one scaffold). A *pool* gives the outcomes of
some of those models the prices of current ones. A run costs tokens: a start, growth per call and output, sized so that the run
at its own model's list price costs what it did cost; the same tokens are then billed at the pool's prices with a prefix cache
of five minutes. Draws depend only on (seed, task, config, attempt), so every policy meets the same luck. Modes: ``real`` (the
recorded outcomes, tasks resampled), ``irt`` (drawn from a one-parameter fit), ``adversarial`` (weak configs solve nothing that
the asked one does not, it solves all that they do, they take twice the calls, and the check sees half of their failures).
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from math import exp
from pathlib import Path
from random import Random
from typing import Literal

from pointsman.core.book import Book
from pointsman.errors import PointsmanError

Mode = Literal["real", "irt", "adversarial"]
MODES: tuple[Mode, ...] = ("real", "irt", "adversarial")

START = 8_000
"""Prompt tokens before a session's first call; smaller than a real client's 40,000, so that costs fit the recorded scaffold."""

GROWTH, VISIBLE = 650.0, 0.24
"""Tokens that a call adds to the prompt (with START, what makes Opus 4.5 cost what it cost), and the share of them that the model
itself wrote: 307 of 1,302 in 17,453 real requests. Output above it is reasoning: billed, not kept."""

TOOL_S, CHECK_S = 5.0, 30.0
"""Seconds of a tool call, and of one run of the check (assumed)."""

TTL_S = 300.0
HAND_OVER = 0.075
"""Chance that work taken over from another model fails where this one's own would not have: middle of 0-15 % (DECISION.md 1)."""

REPEAT = (0.09, 0.17)
"""Success of a config that has failed this task, low and high: measured for the strong model (DECISION.md 1)."""

KEEPS = 0.95
"""Chance that right work stays right when a false alarm sends the agent over it again (assumed)."""

GAPS = ((0.10, 24.0), (0.25, 56.0), (0.50, 126.0), (0.75, 317.0), (0.90, 971.0), (0.972, 3_600.0), (1.0, 32_000.0))
"""Seconds between a turn's end and the next prompt: quantiles of 1,447 real gaps (entireio/cli, MIT)."""

RIDGE_SD = 2.5
"""Spread of task difficulty in logits that the fit assumes (notes/science.md 2)."""


@dataclass(frozen=True, slots=True)
class Run:
    """One recorded run: whether it solved the task, its model calls, its USD at list price then."""

    resolved: bool
    calls: int
    usd: float


Outcomes = Mapping[str, Mapping[str, Run]]
"""Model name to task to run."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One config of a pool: the ``model`` whose prices are paid, and whose outcomes (``source``) at which old ``card``."""

    model: str
    source: str
    card: str


@dataclass(frozen=True, slots=True)
class Pool:
    """Configs from cheap to strong; the last one is asked."""

    name: str
    rungs: tuple[Rung, ...]

    @property
    def top(self) -> int:
        """The asked config."""
        return len(self.rungs) - 1


MINI = Rung("claude-haiku-5-5", "GPT-5 mini", "gpt-5-mini")
DEEPSEEK = Rung("claude-haiku-5-5", "DeepSeek V3.2", "deepseek-reasoner")
SONNET = Rung("claude-sonnet-5-5", "Claude 4.5 Sonnet", "claude-sonnet-4-5")
OPUS = Rung("claude-opus-5-5", "Claude 4.5 Opus", "claude-opus-4-5")
POOLS = (Pool("ladder", (MINI, SONNET, OPUS)), Pool("wide", (DEEPSEEK, OPUS)), Pool("near", (SONNET, OPUS)))


def read(path: Path) -> Outcomes:
    """The recorded runs in ``path`` (CSV, gzip or not). Raises PointsmanError for a file without the columns."""
    opened = gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")
    found: dict[str, dict[str, Run]] = {}
    with opened as lines:
        for row in csv.DictReader(lines):
            try:
                if row.get("outcome_valid", "1") != "1":
                    continue
                run = Run(row["resolved"] == "1", max(1, int(float(row["api_calls"] or 1))), float(row["cost_usd"] or 0.0))
                found.setdefault(row["model"], {})[row["task_id"]] = run
            except (KeyError, ValueError) as error:
                need = "model, task_id, resolved, cost_usd and api_calls"
                raise PointsmanError(f"{path}: a row has no usable {error}; every row needs {need}") from error
    if not found:
        raise PointsmanError(f"{path} holds no outcomes")
    return found


def repository(task: str) -> str:
    """The repository a task is from: held out together."""
    return task.split("__")[0]


def fit(outcomes: Outcomes, rounds: int = 40) -> tuple[dict[str, float], dict[str, float]]:
    """Abilities per model and difficulties per task in logits: one-parameter fit by alternating Newton steps with a ridge."""
    tasks = sorted({task for runs in outcomes.values() for task in runs})
    theta, b = dict.fromkeys(outcomes, 0.0), dict.fromkeys(tasks, 0.0)
    by_task = {task: [(m, runs[task].resolved) for m, runs in outcomes.items() if task in runs] for task in tasks}
    for _ in range(rounds):
        for task, seen in by_task.items():
            grad, bend = b[task] / RIDGE_SD**2, 1.0 / RIDGE_SD**2
            for model, solved in seen:
                p = sigmoid(theta[model] - b[task])
                grad, bend = grad + solved - p, bend + p * (1.0 - p)
            b[task] -= grad / bend
        middle = sum(b.values()) / len(b)
        for model, runs in outcomes.items():
            grad = bend = 1e-9
            for task, run in runs.items():
                p = sigmoid(theta[model] - b[task])
                grad, bend = grad + run.resolved - p, bend + p * (1.0 - p)
            theta[model] += max(-1.0, min(1.0, grad / bend)) - middle / rounds
    return theta, b


def sigmoid(x: float) -> float:
    """1 / (1 + e^-x)."""
    return 1.0 / (1.0 + exp(-max(-40.0, min(40.0, x))))


@dataclass(frozen=True, slots=True)
class Job:
    """One task as every policy meets it. Per config: whether its first try solves it, its calls, and per call the prompt's
    growth and the output in tokens."""

    task: str
    key: str
    solves: tuple[bool, ...]
    calls: tuple[int, ...]
    sizes: tuple[tuple[float, float], ...]
    difficulty: float
    gap_s: float


@dataclass(frozen=True, slots=True)
class Rules:
    """What a world assumes beside outcomes. ``recall``, ``alarm``: the check's rates (None: no check)."""

    check: bool = True
    recall: float = 0.8
    alarm: float = 0.1
    retries: int = 1
    hand_over: float = HAND_OVER


class World:
    """The jobs of one pool, seed and mode, in sessions; and the luck of each attempt. ``count``: jobs (as many as tasks)."""

    def __init__(
        self, outcomes: Outcomes, pool: Pool, book: Book, *, seed: int, mode: Mode, rules: Rules, per_session: int = 3,
        count: int | None = None,
    ) -> None:  # fmt: skip
        self.pool, self.book, self.seed, self.mode, self.rules = pool, book, seed, mode, rules
        self.sources = [_named(outcomes, rung.source) for rung in pool.rungs]
        tables = [outcomes[name] for name in self.sources]
        theta, b = fit(outcomes)
        tasks = sorted(task for task in tables[0] if all(task in table for table in tables))
        dice = Random(f"{seed} {pool.name} tasks")
        self.jobs = [
            self._job(i, task, tables, [theta[n] for n in self.sources], b[task])
            for i, task in enumerate(dice.choices(tasks, k=count or len(tasks)))
        ]
        self.sessions = [self.jobs[i : i + per_session] for i in range(0, len(self.jobs), per_session)]

    def _job(self, i: int, task: str, tables: Sequence[Mapping[str, Run]], theta: Sequence[float], b: float) -> Job:
        runs, top, key = [table[task] for table in tables], self.pool.top, f"{self.seed} {self.pool.name} {i}"
        solves = [run.resolved for run in runs]
        calls = [run.calls for run in runs]
        if self.mode == "irt":
            solves = [luck(key, "irt", j) < sigmoid(theta[j] - b) for j in range(len(runs))]
        elif self.mode == "adversarial":
            solves = [s and (solves[top] if j < top else True) for j, s in enumerate(solves)]
            calls = [n * 2 if j < top else n for j, n in enumerate(calls)]
        sizes = tuple(self._sizes(rung, run) for rung, run in zip(self.pool.rungs, runs, strict=True))
        return Job(task, key, tuple(solves), tuple(calls), sizes, b, quantile(luck(key, "gap"), GAPS))

    def _sizes(self, rung: Rung, run: Run) -> tuple[float, float]:
        """Growth and output per call, in tokens, that make the run cost what it cost at its own model's list price."""
        rates, n = self.book.card(rung.card).base, run.calls
        write, read = rates.write(int(TTL_S)), rates.cache_read
        start = START * (write + read * (n - 1))
        grown = read * (n - 1) * (n - 2) / 2 + write * (n - 1)
        output = (run.usd - start - GROWTH * grown) / (n * rates.output)
        if output >= VISIBLE * GROWTH:
            return GROWTH, min(output, 8_000.0)
        growth = max(100.0, (run.usd - start) / (grown + VISIBLE * n * rates.output))
        return growth, VISIBLE * growth

    def under(self, rules: Rules) -> World:
        """The same jobs and luck under other rules."""
        other = copy(self)
        other.rules = rules
        return other

    def succeeds(self, job: Job, rung: int, tried: Sequence[int], right: bool) -> bool:
        """Whether the work is right after this attempt. ``tried``: the configs before it; ``right``: it was right already."""
        chance = luck(job.key, "try", rung, len(tried))
        if right:
            return chance < KEEPS
        if rung in tried:
            low, high = REPEAT
            return chance < low + (high - low) * luck(job.key, "repeat")
        return job.solves[rung] and (not tried or chance >= self.rules.hand_over)

    def check_fails(self, job: Job, rung: int, attempt: int, right: bool) -> bool:
        """What the check says of this attempt."""
        recall = self.rules.recall / 2 if self.mode == "adversarial" and rung < self.pool.top else self.rules.recall
        return luck(job.key, "check", attempt) < (self.rules.alarm if right else recall)


def luck(key: str, *what: object) -> float:
    """A number in [0, 1) that depends on nothing but its arguments."""
    return Random(f"{key} {what}").random()


def quantile(u: float, points: Sequence[tuple[float, float]]) -> float:
    """The value at probability ``u`` of a distribution given by (probability, value) points, straight lines between."""
    below = (0.0, points[0][1] / 2)
    for point in points:
        if u <= point[0]:
            share = (u - below[0]) / (point[0] - below[0])
            return below[1] + share * (point[1] - below[1])
        below = point
    return points[-1][1]


def _named(outcomes: Outcomes, start: str) -> str:
    found = next((name for name in outcomes if name.startswith(start)), None)
    if found is None:
        raise PointsmanError(f"the outcomes hold no model whose name begins with {start!r}")
    return found

