"""The best path in hindsight: which config should have served each request, with the caches that path would have had.

Theory of operation. A lane is a row of steps; each says what every config would bill for it with a cold prompt and what each
warm token takes off. A path through the graph of (step, config) holds a cache per config it has been on: the tokens of its last
visit, while its lifetime lasts. ``best`` walks that graph forward and keeps, per config, the paths that no other can undercut:
path A makes path B pointless where A is cheaper by more than all that B's fresher caches could ever take off. So it is exact. A
provider that lost or kept a prefix against its rule did so for every path alike; the path that ran is billed as it was.

All figures are modelled USD for the *same requests and answers*: whether another model would have solved the task, or needed more
requests, is not in them. ``graph`` gives what is left as a networkx graph, for explanations; networkx is imported there only,
never in the gateway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

WIDTH = 32
"""Paths kept per config and step; more are never seen in real sessions, and cutting the dearest bounds the work."""


class Step(NamedTuple):
    """One request as every config would bill it.

    ``at``: epoch seconds; ``prompt``: its tokens, ``kept`` of them shared with the step before, ``head`` read even when cold.
    ``alive``: whether the cache of the step before was still there (None: its lifetime says). ``moves``: a change was allowed.
    ``cold``: USD per config with nothing warm, answer included; ``gain``: USD that each warm token takes off. ``output``: tokens
    of the answer.
    """

    at: float
    prompt: int
    kept: int
    head: int
    alive: bool | None
    moves: bool
    cold: tuple[float, ...]
    gain: tuple[float, ...]
    output: int = 0


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


def reads(steps: Sequence[Step], ttls: Sequence[float], path: Sequence[int]) -> list[int]:
    """Tokens that each step of ``path`` reads warm. ``ttls``: seconds that each config's provider keeps a prefix."""
    if not steps:
        return []
    caches, found = start(steps), []
    for i, (step, j) in enumerate(zip(steps, path, strict=True)):
        found.append(warm(step, i, caches, j, ttls[j], steps[max(0, caches[j][1])].at))
        caches = after(step, i, caches, j)
    return found


def bill(steps: Sequence[Step], ttls: Sequence[float], path: Sequence[int]) -> Way:
    """What ``path`` costs, step by step."""
    read = reads(steps, ttls, path)
    return Way(tuple(path), tuple([s.cold[j] - s.gain[j] * n for s, j, n in zip(steps, path, read, strict=True)]))


class _Path(NamedTuple):
    """A path so far: its USD, the caches it left, what it is on and how it got there."""

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
    """The cheapest path. ``allowed(step, config)``: where it may go at a step at which it may move (None: anywhere; where nothing
    is allowed, everything is). ``anywhere``: it may move at each step; ``first``: the config that serves the first one.
    """
    ends: list[tuple[int, int]] = []
    front: list[_Path] = []
    for begin, end, front in _fronts(steps, ttls, allowed, anywhere, first):  # noqa: B007 - the last one is the answer
        ends.append((begin, end))
    cheapest: _Path | None = min(front, key=_usd, default=None)
    path: list[int] = []
    for begin, end in reversed(ends):
        assert cheapest is not None
        path += [cheapest.on] * (end - begin)
        cheapest = cheapest.before
    return bill(steps, ttls, path[::-1])


def _fronts(
    steps: Sequence[Step],
    ttls: Sequence[float],
    allowed: Callable[[int, int], bool] | None,
    anywhere: bool,
    first: int | None,
) -> Iterator[tuple[int, int, list[_Path]]]:
    """For each stretch between two allowed moves, [begin, end): the paths worth going on with after it."""
    if not steps:
        return
    configs = range(len(ttls))
    begins = [i for i, step in enumerate(steps) if not i or anywhere or step.moves]
    worth, front, gone = _worth(steps), [_Path(0.0, start(steps), -1, None)], list[int]()
    for begin, end in zip(begins, [*begins[1:], len(steps)], strict=True):
        if begin:
            front = _undercut(front, worth[begin - 1], gone)  # what a path is on is a cache like its others here
        gone = _gone(steps, end - 1, ttls)
        targets = [j for j in configs if allowed is None or allowed(begin, j)] or configs
        if not begin and first is not None:
            targets = [first]
        found: list[_Path] = []
        for j in targets:
            rest = _rest(steps, begin, end, j, ttls[j])
            found += _undercut([_along(steps, begin, end, j, ttls[j], p, rest) for p in front], worth[end - 1], gone)
        front = found
        yield begin, end, front


def _rest(steps: Sequence[Step], begin: int, end: int, j: int, ttl_s: float) -> float:
    """USD of all but the first step of a stretch on config ``j``: each finds the cache of the step before it."""
    usd = 0.0
    for i in range(begin + 1, end):
        step, before = steps[i], steps[i - 1]
        alive = step.at - before.at < ttl_s if step.alive is None else step.alive
        held, limit = before.prompt, step.kept if alive else step.head
        usd += step.cold[j] - step.gain[j] * (held if held < limit else limit)
    return usd


def _along(steps: Sequence[Step], begin: int, end: int, j: int, ttl_s: float, path: _Path, rest: float) -> _Path:
    """``path`` with a stretch on config ``j``."""
    step, caches = steps[begin], path.caches
    usd = step.cold[j] - step.gain[j] * warm(step, begin, caches, j, ttl_s, steps[max(0, caches[j][1])].at)
    kept = min([s.kept for s in steps[begin:end]])
    held = [(tokens if tokens < kept else kept, at) for tokens, at in caches]
    held[j] = (steps[end - 1].prompt, end - 1)
    return _Path(path.usd + usd + rest, tuple(held), j, path)


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
    now = steps[i + 1].at
    found: dict[float, int] = {}
    for ttl_s in set(ttls):
        last = i - 1
        while last >= 0 and now - steps[last].at < ttl_s:
            last -= 1
        found[ttl_s] = last
    return [found[ttl_s] for ttl_s in ttls]


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


def graph(steps: Sequence[Step], ttls: Sequence[float]) -> Any:
    """The paths worth going on with as a ``networkx.DiGraph``, for explanations: one node per stretch between allowed moves.

    Nodes are (first step of the stretch, config, number), from ``"start"`` to ``"end"``; ``weight``: USD of the stretch.
    """
    import networkx  # type: ignore[import-untyped]  # it ships no types

    out = networkx.DiGraph()
    known: dict[int, object] = {}
    for begin, _, front in _fronts(steps, ttls, None, False, None):
        reached: dict[int, object] = {}
        for n, path in enumerate(front):
            back, node = path.before, (begin, path.on, n)
            assert back is not None
            out.add_edge(known.get(id(back), "start"), node, weight=path.usd - back.usd)
            reached[id(path)] = node
        known = reached
    for last in known.values():
        out.add_edge(last, "end", weight=0.0)
    return out


def runners_up(steps: Sequence[Step], ttls: Sequence[float], most: int = 3) -> Iterator[Way]:
    """The best path and those next to it, by networkx: how near another way would have been."""
    import networkx

    if not steps:
        return
    known: set[tuple[int, ...]] = set()
    for nodes in networkx.shortest_simple_paths(graph(steps, ttls), "start", "end", weight="weight"):
        path: list[int] = []
        stretches = nodes[1:-1]
        for n, (begins, on, _) in enumerate(stretches):
            ends = stretches[n + 1][0] if n + 1 < len(stretches) else len(steps)
            path += [on] * (ends - begins)
        if tuple(path) in known:
            continue
        known.add(tuple(path))
        yield bill(steps, ttls, path)
        if len(known) >= most:
            return


def by_turn(turns: Sequence[int], usd: Sequence[float]) -> Mapping[int, float]:
    """USD per turn."""
    found: dict[int, float] = {}
    for turn, amount in zip(turns, usd, strict=True):
        found[turn] = found.get(turn, 0.0) + amount
    return found
