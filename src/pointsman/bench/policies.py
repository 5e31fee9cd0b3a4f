"""``bench policies``: what each policy is billed on real session traces, at equal quality, and whether our bounds hold there.

Theory of operation. Every session's main lane becomes steps (core.hindsight) priced for a pool of admitted configs. Policies are
paths over them (bench.paths); the router's own path comes from ``decide`` itself, replayed with the caches that path would have
had, on a book in which all models are equally able and need equally many requests. So what is left is prices, caches and the
moves. It says nothing about failures: ``bench outcomes`` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import median, quantiles
from typing import Any

from pointsman.bench.paths import BASELINES, Bounded, Lane, by_first_prompt, enveloped, lane_of
from pointsman.core.book import Book
from pointsman.core.events import Event
from pointsman.core.hindsight import Recorded, recorded
from pointsman.core.policy import Policy
from pointsman.core.types import Config
from pointsman.core.whatif import replay

RESAMPLES = 400
DEARER_USD = 0.10
ROUTER, ENVELOPE, ALONE = "pointsman", "envelope with advice, 1 and 1", "envelope alone, 1 and 1"
ASKED, BEST, PRICE = "always asked", "hindsight", "cheapest price, any request"
CROSSING = ("glm-5.2", "claude-sonnet-5-5")
"""Two models of two makers whose prices cross: one reads cheaper, the other writes and answers cheaper (list prices of 2026)."""


ROUTED = (
    (ROUTER, Policy(profile="saver", failure_usd=0.0, efforts=False), True),
    (f"{ROUTER}, saver as installed", Policy(profile="saver", efforts=False), False),
    (f"{ROUTER}, as installed", Policy(), False),
)
"""The router at equal quality, everything weaker admitted; and as it is installed, with its own beliefs about quality. One
effort throughout: others are other requests, whose answers nobody recorded."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A set of admitted configs: ``of`` gives them weak to strong, the asked one last, or None where the session has none."""

    name: str
    of: Callable[[str, Book], Sequence[str] | None]
    routed: bool = True


def _neighbour(asked: str, book: Book) -> Sequence[str] | None:
    ladder = book.ladder(asked)
    return (ladder[ladder.index(asked) - 1], asked) if asked in ladder[1:] else None


def _wide(asked: str, book: Book) -> Sequence[str] | None:
    ladder = book.ladder(asked)
    return (ladder[0], asked) if asked in ladder[2:] else None


def _three(asked: str, book: Book) -> Sequence[str] | None:
    ladder = book.ladder(asked)
    return (*ladder[: ladder.index(asked)][-2:], asked) if asked in ladder[2:] else None


def _crossing(asked: str, book: Book) -> Sequence[str] | None:
    return CROSSING if all(book.has(model) for model in CROSSING) else None


POOLS = (Pool("neighbour", _neighbour), Pool("wide", _wide), Pool("three", _three), Pool("crossing", _crossing, routed=False))


@dataclass(frozen=True, slots=True)
class Row:
    """One policy over all sessions (and seeds): USD a session; its ratio to always asked with a 95 % interval, and to hindsight
    (total; per session: median, 90 %, largest); moves a session; share of sessions more than 10 cents dearer than asked; minutes
    of waiting for the models in a session (median, 95 %), modelled."""

    name: str
    usd: float
    over_asked: float
    low: float
    high: float
    over_best: float
    p50: float
    p90: float
    worst: float
    moves: float
    dearer: float
    minutes: float
    minutes_p95: float


@dataclass(frozen=True, slots=True)
class Bound:
    """The envelope against its bound: sessions, those within it, those within the ratio alone (without its constants).

    ``turns``: D/R of single turns (median, 99 %); ``d_over_r``: of sessions, widest turn over smallest round trip (median,
    largest). ``p50``, ``worst``: ratio to the best admitted path in hindsight; ``price``: median ratio to the cheapest price.
    """

    name: str
    sessions: int
    within: int
    within_ratio: int
    turns: tuple[float, float]
    d_over_r: tuple[float, float]
    p50: float
    worst: float
    price: float


@dataclass(frozen=True, slots=True)
class Worst:
    """No session dearer than asked plus a round trip per move: sessions that kept to it; the closest one's USD above asked and
    its allowance."""

    name: str
    sessions: int
    kept: int
    above: float
    allowed: float


@dataclass(slots=True)
class Block:
    """One pool: the admitted sets that occurred, its rows, bounds and worst sessions. ``mix``: share of asked in the random mix
    that costs what the router costs."""

    pool: str
    admitted: Mapping[tuple[str, ...], int]
    sessions: int
    requests: int
    rows: list[Row] = field(default_factory=list)
    bounds: list[Bound] = field(default_factory=list)
    worst: list[Worst] = field(default_factory=list)
    mix: float | None = None
    check: float = 0.0


def equal_quality(book: Book) -> Book:
    """A book in which every model is as able as every other and needs as many requests."""
    source = {"equal": "equal by construction"}
    table = {**book.table("abilities"), "sources": source, "steps": []}
    table["abilities"] = [{"models": ["*"], "theta": 3.0, "sd": 0.5, "from": "equal"}]
    return book.with_tables(abilities=table)


@dataclass(slots=True)
class _Session:
    """One session: its events, its main lane, and what it was billed."""

    events: list[Event]
    main: Recorded
    asked: str


def sessions_of(all_events: Iterable[list[Event]], book: Book) -> list[_Session]:
    """The sessions with a billed and priced main lane, priced for every pool."""
    found = []
    for events in all_events:
        main = next((lane for lane in recorded(events, book) if lane.kind == "main" and lane.steps), None)
        if main is None:
            continue
        asked = main.configs[main.asked[0]].model
        more = [Config(m) for pool in POOLS for m in pool.of(asked, book) or ()]
        again = next(lane for lane in recorded(events, book, more) if lane.kind == "main")
        found.append(_Session(events, again, asked))
    return found


def measure(
    sessions: Sequence[_Session], book: Book, pools: Sequence[Pool], seeds: int, step: Callable[[str], None] = lambda said: None
) -> list[Block]:
    """Every pool, one block each."""
    twin = equal_quality(book)
    blocks = []
    for pool in pools:
        lanes: list[tuple[_Session, Lane]] = []
        for session in sessions:
            models = pool.of(session.asked, book)
            lane = lane_of(session.main, [Config(model) for model in models]) if models else None
            if lane is not None:
                lanes.append((session, lane))
        step(f"{pool.name}: {len(lanes)} sessions")
        if lanes:
            blocks.append(_block(pool, lanes, book, twin, seeds, step))
    return blocks


def _block(
    pool: Pool, lanes: Sequence[tuple[_Session, Lane]], book: Book, twin: Book, seeds: int, step: Callable[[str], None]
) -> Block:
    admitted: dict[tuple[str, ...], int] = {}
    for _, lane in lanes:
        names = tuple(config.model for config in lane.configs)
        admitted[names] = admitted.get(names, 0) + 1
    block = Block(pool.name, admitted, len(lanes), sum(len(lane.steps) for _, lane in lanes))
    billed = sum(sum(session.main.billed) for session, _ in lanes)
    block.check = sum(session.main.way(session.main.ran).total for session, _ in lanes) / billed - 1.0 if billed else 0.0
    bills: dict[str, list[list[float]]] = {}
    moves: dict[str, float] = {}
    waits: dict[str, list[float]] = {}
    speeds = [[book.speed(config.model) for config in lane.configs] for _, lane in lanes]

    def count(name: str, paths: Sequence[Sequence[int]]) -> None:
        """One set of paths, one per lane, under ``name``."""
        ways = [lane.bill(path) for path, (_, lane) in zip(paths, lanes, strict=True)]
        bills.setdefault(name, []).append([way.total for way in ways])
        moves[name] = moves.get(name, 0.0) + sum(way.moves for way in ways)
        rows = zip(paths, lanes, speeds, strict=True)
        waits.setdefault(name, []).extend(lane.minutes(path, each) for path, (_, lane), each in rows)

    cut = median(lane.first for _, lane in lanes)
    for name, path in {**BASELINES, "first prompt's length": by_first_prompt(cut)}.items():
        for seed in range(1, seeds + 1):
            count(name, [path(lane, Random(f"{seed} {name} {lane.session}")) for _, lane in lanes])
    step(f"{pool.name}: baselines")
    for name, advised in ((ENVELOPE, True), (ALONE, False)):
        found = [enveloped(lane, advised=advised) for _, lane in lanes]
        count(name, [one.path for one in found])
        block.bounds.append(_bound(name, found, bills, len(lanes[0][1].configs)))
        step(f"{pool.name}: {name}")
    for name, policy, quality in ROUTED if pool.routed else ():
        routed = [_routed(session, lane, twin if quality else book, policy) for session, lane in lanes]
        count(name, [one.path for one in routed])
        block.worst.append(_worst(name, [one.trips for one in routed], bills[name][0], bills[ASKED][0]))
        step(f"{pool.name}: {name}")
    block.rows = [_row(name, sums, bills, moves[name] / len(lanes) / len(sums), waits[name]) for name, sums in bills.items()]
    if pool.routed:
        low, high, mine = (sum(bills[name][0]) for name in ("always cheap", ASKED, ROUTER))
        block.mix = max(0.0, min(1.0, (mine - low) / (high - low))) if high != low else 0.0
    return block


@dataclass(frozen=True, slots=True)
class _Routed:
    """The router's own path over one session, and USD of the round trips of its moves as it priced them."""

    path: tuple[int, ...]
    trips: float


def _routed(session: _Session, lane: Lane, book: Book, policy: Policy) -> _Routed:
    models = tuple(config.model for config in lane.configs)
    mine = Policy(**{**_values(policy), "pool": models, "asked": models[-1]})
    found = replay(session.events, book, mine)
    path = tuple(models.index(request.now.chosen.model) for request in found.requests)
    trips = 0.0
    for request, before, on in zip(found.requests[1:], path, path[1:], strict=False):
        if on != before:
            row = request.now.row(request.now.chosen)
            trips += max(0.0, (row.round_trip_usd if row else None) or 0.0)
    return _Routed(path, trips)


def _values(policy: Policy) -> dict[str, Any]:
    return {name: getattr(policy, name) for name in policy.__dataclass_fields__}


def _bound(name: str, found: Sequence[Bounded], bills: Mapping[str, Sequence[Sequence[float]]], configs: int) -> Bound:
    mine, best, price = bills[name][0], bills[BEST][0], bills[PRICE][0]
    ratios = [a / b for a, b in zip(mine, best, strict=True) if b > 0.0]
    turns = sorted(share for one in found for share in one.turns) or [0.0]
    sessions = sorted(one.d_over_r for one in found)
    return Bound(
        name, len(found), sum(a <= one.bound(b, configs) + 1e-9 for one, a, b in zip(found, mine, best, strict=True)),
        sum(a <= one.ratio(configs) * b + 1e-9 for one, a, b in zip(found, mine, best, strict=True)),
        (median(turns), turns[int(0.99 * (len(turns) - 1))]), (median(sessions), sessions[-1]), median(ratios), max(ratios),
        median(a / b for a, b in zip(mine, price, strict=True) if b > 0.0),
    )  # fmt: skip


def _worst(name: str, trips: Sequence[float], mine: Sequence[float], asked: Sequence[float]) -> Worst:
    gaps = [(a - b - trip, a - b, trip) for a, b, trip in zip(mine, asked, trips, strict=True)]
    nearest = max(gaps)
    return Worst(name, len(gaps), sum(gap[0] <= 1e-9 for gap in gaps), nearest[1], nearest[2])


def _row(
    name: str,
    sums: Sequence[Sequence[float]],
    bills: Mapping[str, Sequence[Sequence[float]]],
    moves: float,
    waits: Sequence[float],
) -> Row:
    """One policy's figures; the interval by resampling sessions in pairs with always asked."""
    n, asked, best = len(sums[0]), bills[ASKED][0], bills[BEST][0]
    mine = [sum(one[i] for one in sums) / len(sums) for i in range(n)]
    dice, drawn = Random(name), list[float]()
    for _ in range(RESAMPLES):
        picked = [dice.randrange(n) for _ in range(n)]
        drawn.append(sum(mine[i] for i in picked) / sum(asked[i] for i in picked))
    drawn.sort()
    ratios = [one[i] / best[i] for one in sums for i in range(n) if best[i] > 0.0]
    spread = quantiles(ratios, n=10, method="inclusive") if len(ratios) > 1 else [ratios[0]] * 9
    dearer = sum(one[i] > asked[i] + DEARER_USD for one in sums for i in range(n)) / (n * len(sums))
    return Row(
        name, sum(mine) / n, sum(mine) / sum(asked), drawn[int(0.025 * RESAMPLES)], drawn[int(0.975 * RESAMPLES) - 1],
        sum(mine) / sum(best), median(ratios), spread[8], max(ratios), moves, dearer, median(waits),
        sorted(waits)[int(0.95 * (len(waits) - 1))],
    )  # fmt: skip
