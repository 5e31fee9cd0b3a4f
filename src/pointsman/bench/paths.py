"""Policies as paths over a recorded lane: which of the admitted configs serves each request. For ``bench policies``.

None looks ahead but hindsight. All are billed alike (core.plan): a cache per config, its lifetime, what the provider really lost.
Quality is equal by construction: these are prices only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from pointsman.core import envelope, plan
from pointsman.core.candidates import GROWTH_PER_TURN
from pointsman.core.hindsight import Recorded
from pointsman.core.learned import NOTHING
from pointsman.core.plan import Step, Way
from pointsman.core.policy import REQUESTS_PER_TURN
from pointsman.core.speeds import Speed
from pointsman.core.types import Config

STALLED = round(1.5 * REQUESTS_PER_TURN)
"""Requests of one turn after which the stall rule goes to the asked config."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One recorded main lane over the admitted configs, weak to strong, the asked one last.

    ``free``: the own cache is cold at this step, or there is none. ``first``: tokens that the first prompt added.
    """

    session: str
    configs: tuple[Config, ...]
    ttls: tuple[float, ...]
    steps: tuple[Step, ...]
    free: tuple[bool, ...]
    first: int

    @property
    def asked(self) -> int:
        """The number of the asked config."""
        return len(self.configs) - 1

    def bill(self, path: Sequence[int]) -> Way:
        """What a path costs."""
        return plan.bill(self.steps, self.ttls, path)

    def minutes(self, path: Sequence[int], speeds: Sequence[Speed]) -> float:
        """Minutes that somebody waits for the models: first tokens, colder prompts longer, and answers."""
        read = plan.reads(self.steps, self.ttls, path)
        rows = zip(self.steps, path, read, strict=True)
        return sum(speeds[j].wait(step.prompt - warm, step.output) for step, j, warm in rows) / 60.0

    def running(self, i: int) -> tuple[float, ...]:
        """USD of step ``i`` on each config, its history warm there."""
        step, tokens = self.steps[i], self.context(i)
        return tuple([cold - gain * tokens for cold, gain in zip(step.cold, step.gain, strict=True)])

    def context(self, i: int) -> int:
        """Tokens of step ``i`` that are not new."""
        step = self.steps[i]
        return min(step.kept, self.steps[i - 1].prompt) if i else step.head


def lane_of(recorded: Recorded, configs: Sequence[Config]) -> Lane | None:
    """The lane over ``configs`` only; None where one of them has no price in it or nothing was billed."""
    if not recorded.steps or any(config not in recorded.configs for config in configs):
        return None
    at = [recorded.configs.index(config) for config in configs]
    steps = tuple(
        step._replace(cold=tuple(step.cold[j] for j in at), gain=tuple(step.gain[j] for j in at)) for step in recorded.steps
    )
    ttls = tuple(recorded.ttls[j] for j in at)
    free = tuple(i == 0 or step.moves and _cold(steps, i, ttls[-1]) for i, step in enumerate(steps))
    return Lane(recorded.session, tuple(configs), ttls, steps, free, steps[0].prompt - steps[0].head)


def _cold(steps: Sequence[Step], i: int, ttl_s: float) -> bool:
    """Whether what ran has lost its prefix before step ``i``: its lifetime is over, or the history was replaced."""
    step, before = steps[i], steps[i - 1]
    gone = step.at - before.at >= ttl_s if step.alive is None else not step.alive
    return gone or 2 * step.kept < before.prompt


Path = Callable[[Lane, Random], Sequence[int]]


def always(place: int) -> Path:
    """The same config throughout: 0 is the weakest, -1 the asked one."""
    return lambda lane, dice: [place % len(lane.configs)] * len(lane.steps)


def anew(at: Callable[[Lane, int], bool], choose: Callable[[Lane, int, Random], int]) -> Path:
    """Choose at the steps that ``at`` names and keep to it until the next one."""

    def path(lane: Lane, dice: Random) -> Sequence[int]:
        found: list[int] = []
        for i in range(len(lane.steps)):
            found.append(choose(lane, i, dice) if i == 0 or at(lane, i) else found[-1])
        return found

    return path


def coin(lane: Lane, i: int, dice: Random) -> int:
    """A classifier without information: one of the ends, evenly."""
    return lane.asked if dice.random() < 0.5 else 0


def never(lane: Lane, i: int) -> bool:
    """At no step but the first."""
    return False


def every_request(lane: Lane, i: int) -> bool:
    """At each request."""
    return True


def every_turn(lane: Lane, i: int) -> bool:
    """Where a turn begins."""
    return lane.steps[i].moves


def when_cold(lane: Lane, i: int) -> bool:
    """Where the affinity of a proxy has lapsed: the cache is cold."""
    return lane.free[i]


def by_first_prompt(cut: float) -> Path:
    """Long first prompts to the asked config, short ones to the weakest, for the whole session."""
    return lambda lane, dice: [lane.asked if lane.first > cut else 0] * len(lane.steps)


def probe(lane: Lane, dice: Random) -> Sequence[int]:
    """The first turn on the weakest config, the rest as asked."""
    turns = 0
    path = []
    for step in lane.steps:
        turns += step.moves
        path.append(0 if turns <= 1 else lane.asked)
    return path


def stall(lane: Lane, dice: Random) -> Sequence[int]:
    """The weakest config until a turn is much longer than usual, then as asked for good; it changes inside the turn."""
    length, gone, path = 0, False, []
    for step in lane.steps:
        length = 1 if step.moves else length + 1
        gone = gone or length > STALLED
        path.append(lane.asked if gone else 0)
    return path


def planner(lane: Lane, dice: Random) -> Sequence[int]:
    """Three turns ahead at warm prices, without a write premium and without a way back, at every turn start."""
    path: list[int] = []
    spent: list[tuple[float, ...]] = []
    for i, step in enumerate(lane.steps):
        if i == 0 or step.moves:
            recent = spent[-round(3 * REQUESTS_PER_TURN) :] or [lane.running(0)]
            sums = [sum(column) for column in zip(*recent, strict=True)]
            path.append(sums.index(min(sums)))
        else:
            path.append(path[-1])
        spent.append(lane.running(i))
    return path


def hindsight(lane: Lane, dice: Random) -> Sequence[int]:
    """The best path with changes where turns begin."""
    return plan.best(lane.steps, lane.ttls).path


def anywhere(lane: Lane, dice: Random) -> Sequence[int]:
    """The cheapest prices there are: changes at any request."""
    return plan.best(lane.steps, lane.ttls, anywhere=True).path


BASELINES: Mapping[str, Path] = {
    "always asked": always(-1),
    "always cheap": always(0),
    "hindsight": hindsight,
    "cheapest price, any request": anywhere,
    "coin per session (sticky first turn)": anew(never, coin),
    "classifier per request": anew(every_request, coin),
    "classifier per turn": anew(every_turn, coin),
    "proxy affinity until cold": anew(when_cold, coin),
    "probe of one turn": probe,
    "stall rule": stall,
    "EV planner, 3 turns": planner,
}
"""Every baseline of DECISION.md 9 that says something about prices; kNN and strong-twice need outcomes or are a factor of two."""


@dataclass(frozen=True, slots=True)
class Bounded:
    """The envelope's path over a lane, and what its bound needs, in USD.

    ``widest``: D, the largest cost difference that built up between two moments at which it might have moved; ``trip``: R, the
    smallest round trip at such a moment; ``last``: the final one; ``turns``: D/R of every such stretch. ``free``: free points.
    """

    path: tuple[int, ...]
    widest: float
    trip: float
    last: float
    free: int
    turns: tuple[float, ...]

    @property
    def d_over_r(self) -> float:
        """The session's D/R: its widest stretch over its smallest round trip."""
        return self.widest / self.trip if self.trip else 0.0

    def ratio(self, configs: int) -> float:
        """3 + 2 D/R for two configs, 2N - 1 with the D term for more."""
        return 2 * configs - 1 + 2 * (configs - 1) * self.d_over_r

    def bound(self, best: float, configs: int) -> float:
        """USD at most: the ratio x the best path, and a constant x R at the start and after each free point."""
        return self.ratio(configs) * best + 2.0 * (self.last + self.widest) * (1 + self.free)


def enveloped(lane: Lane, *, early: float = 1.0, late: float = 1.0, advised: bool = True) -> Bounded:
    """The product's envelope over a lane. ``advised``: at free points it goes where running was cheapest so far, or it stays."""
    on, sums = lane.asked, {j: 0.0 for j in range(len(lane.configs)) if j != lane.asked}
    path: list[int] = []
    built, free = dict(sums), 0
    stretches: list[tuple[float, float]] = []
    totals, held = [0.0] * len(lane.configs), plan.start(lane.steps)
    for i, step in enumerate(lane.steps):
        tolls = _tolls(lane, i, held)
        if step.moves or lane.free[i]:
            back = _back(lane, i, on)
            stretches.append((max(abs(usd) for usd in built.values()), min(tolls[j] + back for j in sums)))
        if lane.free[i]:
            free += i > 0
            on = min(range(len(totals)), key=lambda j: (totals[j] or lane.running(0)[j], j)) if advised else on
            sums = {j: 0.0 for j in range(len(lane.configs)) if j != on}
        elif step.moves:
            to = envelope.leave(sums, {j: tolls[j] + back for j in sums}, tolls, None, early, late)
            if to is not None:
                sums, on = envelope.moved(sums, on, to, tolls), to
        if step.moves or lane.free[i]:
            built = {j: 0.0 for j in sums}
        path.append(on)
        costs = lane.running(i)
        sums = envelope.add(sums, costs[on], {j: costs[j] for j in sums}, tolls)
        built = {j: usd + costs[on] - costs[j] for j, usd in built.items()}
        totals = [total + usd for total, usd in zip(totals, costs, strict=True)]
        held = plan.after(step, i, held, on)
    stretches.append((max(abs(usd) for usd in built.values()), _back(lane, len(lane.steps) - 1, on)))
    trips = [trip for _, trip in stretches if trip > 0.0]
    return Bounded(
        tuple(path), max(d for d, _ in stretches), min(trips, default=0.0), trips[-1] if trips else 0.0, free,
        tuple(d / trip for d, trip in stretches[1:] if trip > 0.0),
    )  # fmt: skip


def _tolls(lane: Lane, i: int, held: plan.Caches) -> dict[int, float]:
    """USD of entering each config at step ``i``: its context, less what its cache still holds, written instead of read."""
    step, context = lane.steps[i], lane.context(i)
    found: dict[int, float] = {}
    for j, gain in enumerate(step.gain):
        tokens, last = held[j]
        alive = step.at - lane.steps[max(0, last)].at < lane.ttls[j]
        found[j] = gain * max(0, context - min(tokens, step.kept if alive else step.head))
    return found


def _back(lane: Lane, i: int, on: int) -> float:
    """USD of coming back to what runs: what the conversation gains while away, and all of it where the lifetime lapses."""
    p_lapse = NOTHING.lapse(round(lane.ttls[on]))
    return lane.steps[i].gain[on] * (GROWTH_PER_TURN + p_lapse * lane.steps[i].prompt)
