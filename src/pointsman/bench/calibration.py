"""How far P(success) can be believed: learned on a user's first tasks, measured on many later ones (DECISION.md 4, issue 5).

A session after the other is played through the router, whose only teacher is the check with its errors. What it had learned
after the first tasks is then held fixed, and every later task is predicted for every config of the pool at its start, and for
the config that takes over after a failed check. Truth is the world's; neither the filter nor the abilities ever see it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pointsman.bench.playing import View, play
from pointsman.bench.routed import RouterChooser, settings_for
from pointsman.bench.worlds import Mode, Outcomes, Pool, Rules, World
from pointsman.core.abilities import NOTHING, Abilities
from pointsman.core.book import Book
from pointsman.core.capability import after_failures, p_success
from pointsman.core.types import Belief, Config

LEARNED, MEASURED, BINS = 50, 2_000, 10
"""Tasks to learn on, tasks to measure on (issue 5), and bins of equal width."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Predictions between two tenths: their mean, the share that came true, and how many."""

    predicted: float
    true: float
    n: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """``ece``: mean distance of prediction and truth over the bins, weighted; ``before``: the same of the bare priors."""

    pool: str
    mode: Mode
    seed: int
    learned: int
    measured: int
    ece: float
    before: float
    brier: float
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A moment at which the router was asked: its belief, the config whose success is predicted, and the models before it."""

    belief: Belief
    rung: int
    right: bool
    failed: tuple[str, ...] = ()


class _Watched(RouterChooser):
    """Plays like the router and keeps its beliefs; ``known``: what it had learned after the first tasks."""

    def __init__(self, world: World, v: float, learned: int) -> None:
        super().__init__(settings_for([rung.model for rung in world.pool.rungs], v, world.rules), world.book)
        self._world, self._first = world, learned
        self.known: Abilities = NOTHING
        self.asked: list[_Asked] = []

    def choose(self, view: View) -> int | None:
        """The router's choice."""
        if view.point == "start" and view.number == self._first:
            self.known = self._router.learned.abilities
        chosen = super().choose(view)
        if chosen is not None and view.number >= self._first and view.point != "loop" and self._open is not None:
            belief = self._open.decision.belief
            if view.point == "start":
                self.asked += [_Asked(belief, rung, right) for rung, right in enumerate(view.job.solves)]
            elif chosen not in view.tried and not any(view.job.solves[rung] for rung in view.tried):
                right = self._world.succeeds(view.job, chosen, view.tried, False)
                self.asked.append(_Asked(belief, chosen, right, tuple([self._models[rung] for rung in view.tried])))
        return chosen


def calibrate(
    outcomes: Outcomes, pools: Sequence[Pool], book: Book, seeds: Sequence[int], rules: Rules, *, mode: Mode = "real",
    v: float = 2.0, learned: int = LEARNED, measured: int = MEASURED, step: Callable[[str], None] = lambda said: None,
) -> Iterator[Calibration]:  # fmt: skip
    """One measurement per pool and seed."""
    for pool in pools:
        for seed in seeds:
            step(f"{pool.name}, {mode}, P(success) after {learned} tasks")
            world = World(outcomes, pool, book, seed=seed, mode=mode, rules=rules, count=learned + measured)
            watched = _Watched(world, v, learned)
            play(world, watched)
            pairs = [(_chance(world, watched.known, a), a.right) for a in watched.asked]
            bare = [(_chance(world, NOTHING, a), a.right) for a in watched.asked]
            bins = _bins(pairs)
            brier = sum((p - right) ** 2 for p, right in pairs) / max(1, len(pairs))
            yield Calibration(pool.name, mode, seed, learned, measured, ece(bins), ece(_bins(bare)), brier, tuple(bins))


def _chance(world: World, known: Abilities, asked: _Asked) -> float:
    model = world.pool.rungs[asked.rung].model
    skill = known.skill(model, *world.book.skill(Config(model)))
    look, rules = known.outlook("", None), world.rules
    failed = [known.skill(name, *world.book.skill(Config(name))) for name in asked.failed]
    return p_success(asked.belief, *skill, bool(failed), after_failures(look, failed, rules.recall, rules.alarm))


def _bins(pairs: Sequence[tuple[float, bool]]) -> list[Bin]:
    found: list[list[tuple[float, bool]]] = [[] for _ in range(BINS)]
    for p, right in pairs:
        found[min(BINS - 1, int(p * BINS))].append((p, right))
    return [Bin(sum(p for p, _ in part) / len(part), sum(r for _, r in part) / len(part), len(part)) for part in found if part]


def ece(bins: Sequence[Bin]) -> float:
    """Expected calibration error: mean |predicted - true| over the bins, weighted by their size."""
    return sum(abs(b.predicted - b.true) * b.n for b in bins) / max(1, sum(b.n for b in bins))
