"""``bench outcomes``: the router against every simpler policy, in a world of real outcomes. Bills are USD per resolved task.

*Bill* = dollars + v x failures that the user sees, over resolved tasks, failed runs included. A task that ends unresolved is a
failure that the user sees, whether the check missed it or reported it after the last retry. Intervals: paired bootstrap over
sessions, all seeds together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from statistics import quantiles

from pointsman.bench.baselines import Fixed, fixed, strong_twice, valued
from pointsman.bench.playing import Result, play
from pointsman.bench.routed import RouterChooser, settings_for
from pointsman.bench.worlds import MODES, POOLS, Mode, Outcomes, Pool, Rules, World
from pointsman.core.book import Book

VALUES = (0.0, 0.6, 2.0, 5.0, 10.0, 20.0)
SEEDS = 3
RESAMPLES = 400
ROUTER, ASKED, CHECKED, ONCE = "pointsman", "asked, no check", "asked, failure shown", "asked"
"""Always-asked without a check; with one whose failure the person is shown at once; with one that sends it back, as ours."""
FAST = "pointsman, fast"
TWICE, MIX = "strong twice", "random mix, equal cost"
BEST_OF = ("cheap, no check", "cheap, failed check: strong", "mid, failed check: strong", ASKED, CHECKED, ONCE)
"""The fixed policies whose best the router is held against at every v (issue 5)."""

DEARER_USD = 0.10


@dataclass(frozen=True, slots=True)
class Row:
    """One policy at one v. Per task: ``usd``, ``visible`` failures; ``bill`` in USD and ``minutes`` per resolved task."""

    name: str
    usd: float
    resolved: float
    visible: float
    bill: float
    minutes: float
    p50: float
    p95: float
    switches: float
    dearer: float = 0.0


@dataclass(frozen=True, slots=True)
class Ratio:
    """The router over another policy, with a 95 % interval."""

    name: str
    bill: float
    low: float
    high: float
    usd: float
    resolved: float
    minutes: float


@dataclass(frozen=True, slots=True)
class Block:
    """One pool in one mode, with or without a check, at one v."""

    pool: str
    mode: Mode
    check: bool
    v: float
    tasks: int
    rows: tuple[Row, ...]
    ratios: tuple[Ratio, ...]
    best: str
    over_best: float


@dataclass(slots=True)
class Plan:
    """What is played."""

    pools: Sequence[Pool] = POOLS
    modes: Sequence[Mode] = MODES
    values: Sequence[float] = VALUES
    checks: Sequence[bool] = (True, False)
    seeds: Sequence[int] = tuple(range(1, SEEDS + 1))
    rules: Rules = field(default_factory=Rules)
    per_session: int = 3
    settings: Mapping[str, object] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Progress steps of the whole."""
        return len(self.pools) * len(self.modes) * len(self.checks) * len(self.values) * len(self.seeds)


def measure(outcomes: Outcomes, book: Book, plan: Plan, step: Callable[[str], None] = lambda said: None) -> Iterator[Block]:
    """Every block of the plan, one after another."""
    for mode in plan.modes:
        for pool in plan.pools:
            for check in plan.checks:
                rules = replace(plan.rules, check=check)
                worlds = [
                    World(outcomes, pool, book, seed=seed, mode=mode, rules=rules, per_session=plan.per_session)
                    for seed in plan.seeds
                ]
                yield from _blocks(worlds, rules, plan, step)


def _blocks(worlds: Sequence[World], rules: Rules, plan: Plan, step: Callable[[str], None]) -> Iterator[Block]:
    """One pool, mode and check at every v; what does not depend on v is played once."""
    first = worlds[0]
    always = [_always(world, rules) for world in worlds]
    for v in plan.values:
        played: list[dict[str, list[Result]]] = []
        for world, same in zip(worlds, always, strict=True):
            step(f"{first.pool.name}, {first.mode}, {'check' if rules.check else 'no check'}, v = {v:g}")
            models = [rung.model for rung in world.pool.rungs]
            settings = settings_for(models, v, rules, **plan.settings)
            found = {ROUTER: play(world, RouterChooser(settings, world.book, retries=rules.retries)), **same}
            quick = settings_for(models, v, rules, **{**plan.settings, "profile": "fast"})
            found[FAST] = play(world, RouterChooser(quick, world.book, FAST, rules.retries))
            found |= {chooser.name: play(world, chooser) for chooser in valued(world, v)}
            played.append(found)
        yield _block(first, rules.check, v, played, plan.per_session)


def _always(world: World, rules: Rules) -> dict[str, list[Result]]:
    """The policies that do not look at v, with the check where there is one; and asked and cheap without it."""
    found = {chooser.name: play(world, chooser) for chooser in fixed(world)}
    bare = world.under(replace(rules, check=False))
    top = world.pool.top
    found[ASKED] = play(bare, Fixed(ASKED, top))
    found["cheap, no check"] = play(bare, Fixed("cheap, no check", 0))
    found[TWICE] = strong_twice(world, found[ASKED])
    return found


def _block(world: World, check: bool, v: float, played: Sequence[Mapping[str, list[Result]]], per_session: int) -> Block:
    sums = {name: [r for one in played for r in one[name]] for name in played[0]}
    cuts = _sessions([len(one[ROUTER]) for one in played], per_session)
    rows = [_row(name, results, v, sums[ONCE], cuts) for name, results in sums.items()]
    rows.append(_mix(rows, v))
    best = min((row for row in rows if row.name in BEST_OF), key=lambda row: row.bill)
    ratios = tuple(_ratio(name, sums[ROUTER], sums[name], v, cuts) for name in (ONCE, CHECKED, ASKED))
    mine = next(row for row in rows if row.name == ROUTER)
    over = mine.bill / best.bill if best.bill else 1.0
    return Block(world.pool.name, world.mode, check, v, len(sums[ROUTER]), tuple(rows), ratios, best.name, over)


def _sessions(lengths: Sequence[int], per_session: int) -> list[slice]:
    cuts, start = [], 0
    for length in lengths:
        cuts += [slice(i, min(i + per_session, start + length)) for i in range(start, start + length, per_session)]
        start += length
    return cuts


def _bill(usd: float, failures: float, resolved: float, v: float) -> float:
    return (usd + v * failures) / resolved if resolved else float("inf")


def _row(name: str, results: Sequence[Result], v: float, asked: Sequence[Result], cuts: Sequence[slice]) -> Row:
    n, solved = len(results), sum(r.resolved for r in results)
    usd, minutes = sum(r.usd for r in results), [r.minutes for r in results]
    spread = quantiles(minutes, n=20, method="inclusive") if n > 1 else [minutes[0]] * 19
    dearer = sum(sum(r.usd for r in results[c]) > sum(r.usd for r in asked[c]) + DEARER_USD for c in cuts)
    return Row(
        name, usd / n, solved / n, 1 - solved / n, _bill(usd, n - solved, solved, v), sum(minutes) / max(1, solved),
        spread[9], spread[18], sum(r.switches for r in results) / len(cuts), dearer / len(cuts),
    )  # fmt: skip


def _mix(rows: Sequence[Row], v: float) -> Row:
    """Cheap and asked at random, as often asked as costs what the router cost."""
    by_name = {row.name: row for row in rows}
    low, high, mine = by_name["cheap"], by_name[ONCE], by_name[ROUTER]
    q = max(0.0, min(1.0, (mine.usd - low.usd) / (high.usd - low.usd))) if high.usd != low.usd else 0.0

    def mixed(key: str) -> float:
        return q * float(getattr(high, key)) + (1 - q) * float(getattr(low, key))

    usd, solved = mixed("usd"), mixed("resolved")
    per_task = q * high.minutes * high.resolved + (1 - q) * low.minutes * low.resolved
    return Row(
        MIX, usd, solved, 1 - solved, _bill(usd, 1 - solved, solved, v), per_task / solved if solved else 0.0, mixed("p50"),
        mixed("p95"), mixed("switches"), mixed("dearer"),
    )  # fmt: skip


def _ratio(name: str, mine: Sequence[Result], other: Sequence[Result], v: float, cuts: Sequence[slice]) -> Ratio:
    """Router over ``other``: bills, dollars, resolved (difference) and minutes; the interval by resampling sessions in pairs."""
    pairs = [(_sum(mine[c]), _sum(other[c])) for c in cuts]
    dice, drawn = Random(f"{name} {v}"), []
    for _ in range(RESAMPLES):
        drawn.append(_over([pairs[dice.randrange(len(pairs))] for _ in pairs], v))
    drawn.sort()
    a, b = _total([p[0] for p in pairs]), _total([p[1] for p in pairs])
    return Ratio(
        name, _over(pairs, v), drawn[int(0.025 * RESAMPLES)], drawn[int(0.975 * RESAMPLES) - 1], a[0] / b[0] if b[0] else 1.0,
        (a[1] - b[1]) / len(mine), (a[2] / max(1.0, a[1])) / (b[2] / max(1.0, b[1])) if b[2] else 1.0,
    )  # fmt: skip


_Sum = tuple[float, float, float, float]


def _sum(results: Sequence[Result]) -> _Sum:
    usd, minutes = sum(r.usd for r in results), sum(r.minutes for r in results)
    return usd, float(sum(r.resolved for r in results)), minutes, float(len(results))


def _total(sums: Sequence[_Sum]) -> _Sum:
    usd, solved, minutes, n = (sum(column) for column in zip(*sums, strict=True))
    return usd, solved, minutes, n


def _over(pairs: Sequence[tuple[_Sum, _Sum]], v: float) -> float:
    a, b = _total([p[0] for p in pairs]), _total([p[1] for p in pairs])
    theirs = _bill(b[0], b[3] - b[1], b[1], v)
    return _bill(a[0], a[3] - a[1], a[1], v) / theirs if theirs else 1.0
