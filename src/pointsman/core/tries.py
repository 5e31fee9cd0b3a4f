"""What each config costs to the end of the task, its failure and the next try included (DECISION.md 5, Q_j).

Theory of operation. Difficulty is a Gaussian belief, read at seven Gauss-Hermite nodes; an eighth stands for the tasks that
nobody solves. At each node a config succeeds with its own probability, independently of the others, so that what one failure
says about the next config is a dot product: the belief *after* j's failure, without approximation. After a check that refuses
the work there is one further try, or none: the person is shown the failure where no try is worth its price.

What the user wants least of is *dollars and failures per resolved task*. Such a ratio is least where dollars + failures -
price x resolved is (Dinkelbach 1967), with the price of a resolved task being the ratio itself: ``resolved_usd`` finds it on an
ordinary task, and an unresolved task then costs what its failure costs the user and the price of a resolved one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from math import exp, sqrt, tanh
from operator import mul

from pointsman.core.policy import Odds
from pointsman.core.record import record
from pointsman.core.types import Belief, Config

NODES = (-3.7504397, -2.3667594, -1.1544054, 0.0, 1.1544054, 2.3667594, 3.7504397)
MASSES = (0.00054827, 0.03075712, 0.24012318, 0.45714286, 0.24012318, 0.03075712, 0.00054827)
"""Gauss-Hermite rule of seven points for the standard normal."""

SURE = 0.05
"""Least P(resolved) that the price of a resolved task is reckoned with: below it the honest advice is to re-scope."""

ROUNDS = 3
"""Steps towards the price of a resolved task: each is exact for the plan it found best, and there are few plans."""


@lru_cache(maxsize=256)
def weights(nobody: float) -> tuple[float, ...]:
    """The weight of each node; the last is that of the tasks nobody solves."""
    return (*[mass * (1.0 - nobody) for mass in MASSES], nobody)


def chances(
    edge: float, over_edge: float, flat: float, common: float, own: bool, belief: Belief
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """``p`` and ``over`` of a ``Try`` under ``belief``."""
    half = 0.5 * flat
    slope, mu = half * sqrt(belief.sd * belief.sd + common * common), belief.mu
    over = _chances(half * (over_edge - mu), slope)
    return (_chances(half * (edge - mu), slope) if own else over), over


@lru_cache(maxsize=1024)
def _chances(at: float, slope: float) -> tuple[float, ...]:
    """P(success) at each node; the same for every request of a turn, and under the prior for every request."""
    return (*[0.5 + 0.5 * tanh(at - slope * z) for z in NODES], 0.0)


@record(frozen=True, slots=True)
class Try:
    """One config as a try at the task, in USD.

    ``usd``: begun now, its cache as it is; ``later``: begun cold after another config's try; ``again``: repeated right after
    its own. ``allowed``: the policy lets it have user-visible work; ``rank``: below 0 weaker than the asked one, 0 itself.
    ``edge``: ability less an ordinary task's difficulty, in logits; ``flat``: how much its uncertainty flattens the curve;
    ``common``: standard deviation, in logits, that it shares with every other config; ``over_edge``: the same when it takes
    over another's work; ``own``: it takes over nobody's. ``p``: P(success) at each node; ``over``: when it takes over.
    """

    config: Config
    usd: float
    later: float
    again: float
    allowed: bool
    rank: int
    edge: float
    over_edge: float
    flat: float
    common: float
    own: bool
    p: tuple[float, ...] = ()
    over: tuple[float, ...] = ()

    def under(self, belief: Belief) -> Try:
        """The same try with its chances under ``belief``."""
        p, over = chances(self.edge, self.over_edge, self.flat, self.common, self.own, belief)
        return Try(
            self.config, self.usd, self.later, self.again, self.allowed, self.rank, self.edge, self.over_edge, self.flat,
            self.common, self.own, p, over,
        )  # fmt: skip


Way = tuple[float, float]
"""How to go on after a refusal: its expected USD, and P(the check saw a failure, and it is still wrong)."""


@record(frozen=True, slots=True)
class Plan:
    """A first try, and what can follow where the check refuses it.

    ``usd`` of the try and its check; ``missed``: P(wrong, and the check does not see it); ``ways``: every way to go on;
    ``owed``: those left where a failure costs at least ``owed_usd``.
    """

    config: Config
    allowed: bool
    usd: float
    missed: float
    ways: tuple[Way, ...]
    owed: tuple[Way, ...]
    owed_usd: float

    def best(self, failure_usd: float, resolved: float) -> tuple[float, float]:
        """USD and P(unresolved), going on in the way that is cheapest where a resolved task costs ``resolved`` USD."""
        lost, ways = failure_usd + resolved, self.owed if failure_usd >= self.owed_usd else self.ways
        usd, left = min(ways, key=lambda way: way[0] + way[1] * lost)
        return self.usd + usd, self.missed + left

    def total(self, failure_usd: float, resolved: float) -> float:
        """USD to the end: an unresolved task costs its failure, and ``resolved`` USD to be resolved all the same."""
        lost, ways = failure_usd + resolved, self.owed if failure_usd >= self.owed_usd else self.ways
        return self.usd + self.missed * lost + min([usd + left * lost for usd, left in ways])


NEVER = float("inf")
DONE: tuple[Way, ...] = ((0.0, 0.0),)


_Branch = tuple[float, float, tuple[Way, ...], tuple[Way, ...], float]
"""What a ``Plan`` holds behind its config and whether it is allowed."""


def plans(tries: Sequence[Try], odds: Odds) -> list[Plan]:
    """Each try as the first one, with every way to go on after a refusal: nobody, itself again, another one.

    A weaker config was admitted because a check guards the task: where the check has spoken, the asked model is *owed* the next
    try, unless that costs more than a failure does.
    """
    branches = _branches(tries, [t.p for t in tries], [t.over for t in tries], odds)
    return [Plan(t.config, t.allowed, *branch) for t, branch in zip(tries, branches, strict=True)]


def _branches(
    tries: Sequence[Try], right: Sequence[Sequence[float]], over: Sequence[Sequence[float]], odds: Odds
) -> list[_Branch]:  # fmt: skip
    """The plans of ``tries`` with these chances at each node: as the first one, and when it takes over another's work.

    Chances may end before the node of the tasks that nobody solves: they are 0 there.
    """
    w, recall, alarm = weights(odds.nobody), odds.recall, odds.false_alarm
    fails = [1.0 - sum(map(mul, w, p)) for p in right]
    if not recall and not alarm:
        return [(t.usd, fail, DONE, DONE, NEVER) for t, fail in zip(tries, fails, strict=True)]
    takers = [(t, sum(q), q) for t, q in zip(tries, [list(map(mul, w, q)) for q in over], strict=True) if t.allowed]
    found = []
    for t, p, fail in zip(tries, right, fails, strict=True):
        seen = recall * fail
        refused = alarm * (1.0 - fail) + seen
        ways, owed, owed_usd, least = [(0.0, seen), (refused * t.again, seen * (1.0 - odds.repeat))], DONE, NEVER, 0.0
        for other, solved, q in takers:
            if other is not t:
                left = recall * (fail - solved + sum(map(mul, p, q)))
                ways.append((refused * other.later, left))
                if odds.owed and other.rank == 0 and t.rank < 0:
                    owed_usd, least = other.later, left
        if owed_usd < NEVER:
            owed = tuple([way for way in ways if way[1] <= least])
        found.append((t.usd + odds.check_usd, (1.0 - recall) * fail, tuple(ways), owed, owed_usd))
    return found


def by_difficulty(tries: Sequence[Try], odds: Odds, sd: float, resolved: float) -> Callable[[float], list[float]]:
    """The cost to go of each try as a function of the belief's mean, its spread ``sd`` and the price of a resolved task fixed.

    The odds of failure at a node are a product of what the node and what the mean make of them, so that a mean costs no more
    than one exponential per try.
    """
    lost, starts = odds.failure_usd + resolved, []
    for t in tries:
        spread = t.flat * sqrt(sd * sd + t.common * t.common)
        starts.append(([exp(spread * z - t.flat * t.edge) for z in NODES], exp(t.flat * (t.edge - t.over_edge))))

    def at(mu: float) -> list[float]:
        right, over = [], []
        for t, (against, taken) in zip(tries, starts, strict=True):
            harder = exp(t.flat * mu)
            over.append([1.0 / (1.0 + x * harder * taken) for x in against])
            right.append([1.0 / (1.0 + x * harder) for x in against] if t.own else over[-1])
        branches = _branches(tries, right, over, odds)
        return [
            usd + missed * lost + min([a + b * lost for a, b in (owed if odds.failure_usd >= owed_usd else ways)])
            for usd, missed, ways, owed, owed_usd in branches
        ]

    return at


def resolved_usd(found: Sequence[Plan], failure_usd: float) -> float:
    """USD that a resolved task costs under the best of ``found``, its failures at ``failure_usd`` each included."""
    usable = [plan for plan in found if plan.allowed]
    if not usable:
        return 0.0
    price = min([_ratio(plan.usd, plan.missed + plan.ways[0][1], failure_usd) for plan in usable])  # nobody goes on
    for _ in range(ROUNDS):
        _, chosen = min([(plan.total(failure_usd, price), i) for i, plan in enumerate(usable)])
        now = _ratio(*usable[chosen].best(failure_usd, price), failure_usd)
        if now >= price:
            break
        price = now
    return price


def _ratio(usd: float, fails: float, failure_usd: float) -> float:
    return (usd + fails * failure_usd) / max(SURE, 1.0 - fails)


@record(frozen=True, slots=True)
class Next:
    """One config as the next try after a failed check: ``usd`` to the end, ``own`` of the try itself; ``p``: P(it solves what
    is wrong). ``config`` None: no further try, the person sees the failure."""

    config: Config | None
    usd: float
    own: float
    p: float


def _solved(
    t: Try, tries: Sequence[Try], failed: Collection[Config], bad: Sequence[float], mass: float, repeated: float
) -> float:  # fmt: skip
    """P(``t`` solves what is wrong): ``repeated`` where it has failed already. Another effort of a model that has failed is no
    independent try: it solves what a repeat would, and as much more as its own ability exceeds the failed one's."""
    if t.config in failed:
        return repeated
    alike = next((f for f in tries if f.config in failed and f.config.model == t.config.model), None)
    solved = sum([x * p for x, p in zip(bad, t.over, strict=True)]) / mass
    if alike is None:
        return solved
    before = sum([x * p for x, p in zip(bad, alike.over, strict=True)]) / mass
    return repeated + max(0.0, solved - before)


def after_failure(tries: Sequence[Try], here: Config, failed: Collection[Config], odds: Odds, resolved: float) -> list[Next]:
    """The allowed next tries after a check refused the work of ``here``, whose chances are those *before* that check; and none.

    The check may have been wrong: then the work is right already, and whoever goes over it keeps it right.
    """
    w = weights(odds.nobody)
    judged = next((t for t in tries if t.config == here), None)
    own = judged.p if judged is not None else tuple([0.5] * len(w))
    bad = [x * (1.0 - p) * odds.recall for x, p in zip(w, own, strict=True)]
    good = odds.false_alarm * sum([x * p for x, p in zip(w, own, strict=True)])
    mass = (sum(bad) + good) or 1.0
    wrong, lost = sum(bad) / mass, odds.failure_usd + resolved
    found = [Next(None, wrong * lost, 0.0, 0.0)]
    for t in tries:
        if t.allowed or t.config == here:
            solved = _solved(t, tries, failed, bad, mass, wrong * odds.repeat)
            found.append(Next(t.config, t.usd + (wrong - solved) * lost, t.usd, solved / wrong if wrong else 1.0))
    return found
