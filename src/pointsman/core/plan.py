"""The best path in hindsight: which config should have served each request, with the caches that path would have had.

Theory of operation. A lane is a row of steps; each says what every config would bill for it with a cold prompt and what each
warm token takes off. A path through the graph of (step, config) holds a cache per config it has been on: the tokens of its last
visit, while its lifetime lasts. ``best`` walks that graph forward and keeps, per config, the paths that no other one can undercut:
path A makes path B pointless where A is cheaper by more than all that B's fresher caches could ever take off. So it is exact. A
provider that lost or kept a prefix against its rule did so for every path alike; the path that ran is billed as it was.

All figures are modelled USD for the *same requests and answers*: whether another model would have solved the task, or needed more
requests, is not in them. ``graph`` is the same as a networkx graph, for explanations and as the oracle of the tests; networkx is
imported there only, never in the gateway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import networkx

WIDTH = 32
"""Paths kept per config and step; more are never seen in real sessions, and cutting the dearest bounds the work."""


class Step(NamedTuple):
    """One request as every config would bill it.

    ``at``: epoch seconds; ``prompt``: its tokens, ``kept`` of them shared with the step before, ``head`` read even when cold.
    ``alive``: whether the cache of the step before was still there (None: its lifetime says). ``moves``: a change was allowed.
    ``cold``: USD per config with nothing warm, answer included; ``gain``: USD that each warm token takes off.
    """

    at: float
    prompt: int
    kept: int
    head: int
    alive: bool | None
    moves: bool
    cold: tuple[float, ...]
    gain: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Way:
    """A path: the config of each step, by number, and its USD."""

    path: tuple[int, ...]
    usd: tuple[float, ...]

    @property
    def total(self) -> float:
        """USD of all steps."""
        return sum(self.usd)

    @property
    def moves(self) -> int:
        """How often it changes config."""
        return sum(a != b for a, b in zip(self.path, self.path[1:], strict=False))


Caches = tuple[tuple[int, int], ...]
"""Per config: tokens held, and the step of the last visit (-1: before the first)."""


def warm(step: Step, i: int, caches: Caches, j: int, ttl_s: float, since: float) -> int:
    """Tokens that config ``j`` reads at step ``i``; ``since``: when it was last visited."""
    held, last = caches[j]
    known = step.alive if last == i - 1 else None
    alive = step.at - since < ttl_s if known is None else known
    return min(held, step.kept if alive else step.head)


def after(step: Step, i: int, caches: Caches, j: int) -> Caches:
    """The caches once config ``j`` has served step ``i``: what the history no longer shares is of no use to anybody."""
    kept = step.kept
    return tuple([(step.prompt, i) if k == j else (held if held < kept else kept, at) for k, (held, at) in enumerate(caches)])


def start(steps: Sequence[Step]) -> Caches:
    """Before the first step every config holds the head, as the one that ran did: other sessions keep it."""
    return tuple([(steps[0].head, -1)] * len(steps[0].cold))


def bill(steps: Sequence[Step], ttls: Sequence[float], path: Sequence[int]) -> Way:
    """What ``path`` costs, step by step. ``ttls``: seconds that each config's provider keeps a prefix."""
    if not steps:
        return Way((), ())
    caches, usd = start(steps), []
    for i, (step, j) in enumerate(zip(steps, path, strict=True)):
        since = steps[max(0, caches[j][1])].at
        usd.append(step.cold[j] - step.gain[j] * warm(step, i, caches, j, ttls[j], since))
        caches = after(step, i, caches, j)
    return Way(tuple(path), tuple(usd))


class _Path(NamedTuple):
    """A path so far: its USD, the caches it left, its last step and how it got there."""

    usd: float
    caches: Caches
    on: int
    before: _Path | None


def best(
    steps: Sequence[Step],
    ttls: Sequence[float],
    allowed: Callable[[int, int], bool] | None = None,
    *,
    anywhere: bool = False,
    first: int | None = None,
) -> Way:
    """The cheapest path. ``allowed(step, config)``: which nodes there are (None: all; a step without any takes all).

    ``anywhere``: changes inside turns as well; ``first``: the config that serves the first step, where it was not free.
    """
    if not steps:
        return Way((), ())
    worth = _worth(steps)
    front, gone = [_Path(0.0, start(steps), -1, None)], _gone(steps, -1, ttls)
    for i, step in enumerate(steps):
        free = anywhere or step.moves or i == 0
        targets = [j for j in range(len(step.cold)) if allowed is None or allowed(i, j)] or list(range(len(step.cold)))
        if i == 0 and first is not None:
            targets = [first]
        if free and i:
            front = _undercut(front, worth[i - 1], gone)  # where all may go anywhere, what they are on is a cache like the others
        gone = _gone(steps, i, ttls)
        found: list[_Path] = []
        for j in targets:
            found += _undercut([_served(steps, i, j, ttls[j], p) for p in front if free or p.on == j], worth[i], gone)
        front = found or [_served(steps, i, p.on, ttls[p.on], p) for p in front]
    cheapest: _Path | None = min(front, key=lambda p: p.usd)
    path: list[int] = []
    while cheapest is not None and cheapest.on >= 0:
        path.append(cheapest.on)
        cheapest = cheapest.before
    return bill(steps, ttls, path[::-1])


def _served(steps: Sequence[Step], i: int, j: int, ttl_s: float, path: _Path) -> _Path:
    step, caches = steps[i], path.caches
    usd = step.cold[j] - step.gain[j] * warm(step, i, caches, j, ttl_s, steps[max(0, caches[j][1])].at)
    return _Path(path.usd + usd, after(step, i, caches, j), j, path)


def _worth(steps: Sequence[Step]) -> list[tuple[float, ...]]:
    """Per step and config: the most that one warm token can take off at any later step."""
    worth: list[tuple[float, ...]] = [(0.0,) * len(steps[0].cold)] * len(steps)
    for i in range(len(steps) - 2, -1, -1):
        worth[i] = tuple(map(max, worth[i + 1], steps[i + 1].gain))
    return worth


def _gone(steps: Sequence[Step], i: int, ttls: Sequence[float]) -> list[int]:
    """Per config: the last visit whose lifetime is over when the step after ``i`` begins; nothing of it is ever read again."""
    if i + 1 >= len(steps):
        return [i] * len(ttls)
    now, found = steps[i + 1].at, []
    for ttl_s in ttls:
        last = i - 1
        while last >= 0 and now - steps[last].at < ttl_s:
            last -= 1
        found.append(last)
    return found


def _undercut(paths: list[_Path], worth: tuple[float, ...], gone: Sequence[int]) -> list[_Path]:
    """The paths that no cheaper one makes pointless, cheapest first."""
    if len(paths) < 2:
        return paths
    paths.sort(key=_usd)
    kept = [paths[0]]
    for p in paths[1:]:
        if all(p.usd < q.usd + _lead(p.caches, q.caches, worth, gone) for q in kept):
            kept.append(p)
            if len(kept) >= WIDTH:
                break
    return kept


def _usd(path: _Path) -> float:
    return path.usd


def _lead(mine: Caches, other: Caches, worth: tuple[float, ...], gone: Sequence[int]) -> float:
    """The most USD that the caches of ``mine`` can take off more than those of ``other``."""
    lead = 0.0
    for (held, at), (held_there, at_there), usd, over in zip(mine, other, worth, gone, strict=True):
        if at <= over:
            continue
        if at > at_there:
            lead += usd * held
        elif held > held_there:
            lead += usd * (held - held_there)
    return lead


def graph(steps: Sequence[Step], ttls: Sequence[float], *, anywhere: bool = False) -> networkx.DiGraph:
    """The same graph for networkx: nodes (step, config, caches), edges with ``weight`` in USD, from ``"start"`` to ``"end"``.

    Every set of caches is a node of its own: for short lanes and few configs.
    """
    import networkx

    out = networkx.DiGraph()
    nodes: dict[tuple[int, int, Caches], None] = {}
    for j in range(len(steps[0].cold)):
        p = _served(steps, 0, j, ttls[j], _Path(0.0, start(steps), -1, None))
        node = (0, j, p.caches)
        out.add_edge("start", node, weight=p.usd)
        nodes[node] = None
    for i in range(1, len(steps)):
        reached: dict[tuple[int, int, Caches], None] = {}
        for node in nodes:
            for j in range(len(steps[i].cold)) if anywhere or steps[i].moves else (node[1],):
                p = _served(steps, i, j, ttls[j], _Path(0.0, node[2], node[1], None))
                out.add_edge(node, (i, j, p.caches), weight=p.usd)
                reached[(i, j, p.caches)] = None
        nodes = reached
    for node in nodes:
        out.add_edge(node, "end", weight=0.0)
    return out


def runners_up(steps: Sequence[Step], ttls: Sequence[float], most: int = 3) -> Iterator[Way]:
    """The cheapest paths in order, by networkx: what else would have been nearly as good."""
    import networkx

    for n, path in enumerate(networkx.shortest_simple_paths(graph(steps, ttls), "start", "end", weight="weight")):
        if n >= most:
            return
        yield bill(steps, ttls, [node[1] for node in path[1:-1]])


def by_turn(turns: Sequence[int], usd: Sequence[float]) -> Mapping[int, float]:
    """USD per turn."""
    found: dict[int, float] = {}
    for turn, amount in zip(turns, usd, strict=True):
        found[turn] = found.get(turn, 0.0) + amount
    return found
