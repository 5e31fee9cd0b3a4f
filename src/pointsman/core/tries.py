"""What each config costs to the end of the task, its failure and the next try included (DECISION.md 5, Q_j).

Theory of operation. Difficulty is a Gaussian belief, read at seven Gauss-Hermite nodes; an eighth stands for the tasks that
nobody solves. At each node a config succeeds with its own probability, independently of the others, so that what one failure
says about the next config is a dot product: the belief *after* j's failure, without approximation. One further try is looked
ahead, the cheapest in the same sum; what is still wrong after it costs the user a failure and the task done anew.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import tanh
from operator import mul

from pointsman.core.capability import HANDOVER, NOBODY
from pointsman.core.policy import Odds
from pointsman.core.types import Belief, Config

NODES = (-3.7504397, -2.3667594, -1.1544054, 0.0, 1.1544054, 2.3667594, 3.7504397)
WEIGHTS = (
    *[w * (1.0 - NOBODY) for w in (0.00054827, 0.03075712, 0.24012318, 0.45714286, 0.24012318, 0.03075712, 0.00054827)], NOBODY
)  # fmt: skip
"""Gauss-Hermite rule of seven points for the standard normal; the last weight is that of the tasks nobody solves."""

REPEAT = 0.13
"""P(success) of a config that already failed this task: 9 to 17 % measured for the strong model (DECISION.md 1)."""

SURE = 0.05
"""Least P(success) that a task done anew is reckoned with: below it the honest advice is to re-scope, not to repeat."""


@dataclass(frozen=True, slots=True)
class Try:
    """One config as a try at the task, in USD.

    ``usd``: begun now, its cache as it is; ``later``: begun cold after another config's try; ``again``: repeated right after
    its own. ``allowed``: the policy lets it have user-visible work. ``edge``: ability less an ordinary task's difficulty, in
    logits, and ``flat`` how much its uncertainty flattens the curve; ``own``: it takes over nobody's work.
    ``p``: P(success) at each node; ``over``: the same when it takes over another's work.
    """

    config: Config
    usd: float
    later: float
    again: float
    allowed: bool
    edge: float
    flat: float
    own: bool
    p: tuple[float, ...] = ()
    over: tuple[float, ...] = ()

    def under(self, belief: Belief) -> Try:
        """The same try with its chances under ``belief``."""
        half, slope = 0.5 * self.flat * (self.edge - belief.mu), 0.5 * self.flat * belief.sd
        shift = 0.5 * self.flat * HANDOVER
        over = (*[0.5 + 0.5 * tanh(half - shift - slope * z) for z in NODES], 0.0)
        p = (*[0.5 + 0.5 * tanh(half - slope * z) for z in NODES], 0.0) if self.own else over
        return Try(
            self.config, self.usd, self.later, self.again, self.allowed, self.edge, self.flat, self.own, p, over
        )  # fmt: skip


def lost_usd(tries: Sequence[Try], fails: Sequence[float], odds: Odds) -> float:
    """USD of a task that ends wrong: what the failure costs the user, and the task solved anew by whoever does that cheapest.

    Bills are per *resolved* task: an unresolved one is paid for, and has to be resolved all the same.
    """
    bills = [(t.usd + f * odds.failure_usd) / max(SURE, 1.0 - f) for t, f in zip(tries, fails, strict=True) if t.allowed]
    return odds.failure_usd + min(bills, default=0.0)


def totals(tries: Sequence[Try], odds: Odds) -> list[float]:
    """Cost to go of each try as the first one, in USD."""
    wrong = [[w - w * p for w, p in zip(WEIGHTS, t.p)] for t in tries]  # noqa: B905 - lengths are equal by construction
    fails = [sum(row) for row in wrong]
    lost = lost_usd(tries, fails, odds)
    recall, alarm = odds.recall, odds.false_alarm
    if not recall and not alarm:
        return [t.usd + fail * lost for t, fail in zip(tries, fails, strict=True)]
    found = []
    for t, row, fail in zip(tries, wrong, fails, strict=True):
        refused = alarm * (1.0 - fail) + recall * fail
        after = refused * t.again + recall * fail * (1.0 - REPEAT) * lost
        for k in tries:
            if k.allowed and k is not t:
                left = fail - sum(map(mul, row, k.over))
                usd = refused * k.later + recall * left * lost
                if usd < after:
                    after = usd
        found.append(t.usd + odds.check_usd + (1.0 - recall) * fail * lost + after)
    return found


@dataclass(frozen=True, slots=True)
class Next:
    """One config as the next try after a failed check: ``usd`` to the end, ``own`` of the try itself; ``p``: P(it solves what
    is wrong)."""

    config: Config
    usd: float
    own: float
    p: float


def after_failure(tries: Sequence[Try], here: Config, failed: Collection[Config], odds: Odds) -> list[Next]:
    """The allowed next tries after a check refused the work of ``here``, whose chances are those *before* that check.

    The check may have been wrong: then the work is right already, and whoever goes over it keeps it right.
    """
    judged = next((t for t in tries if t.config == here), None)
    own = judged.p if judged is not None else tuple([0.5] * len(WEIGHTS))
    bad = [w * (1.0 - p) * odds.recall for w, p in zip(WEIGHTS, own, strict=True)]
    good = odds.false_alarm * sum([w * p for w, p in zip(WEIGHTS, own, strict=True)])
    mass = (sum(bad) + good) or 1.0
    wrong = sum(bad) / mass
    lost = lost_usd(tries, [1.0 - sum(w * p for w, p in zip(WEIGHTS, t.p, strict=True)) for t in tries], odds)
    found = []
    for t in tries:
        if t.allowed or t.config == here:
            solved = wrong * REPEAT if t.config in failed else sum([x * p for x, p in zip(bad, t.over, strict=True)]) / mass
            found.append(Next(t.config, t.usd + (wrong - solved) * lost, t.usd, solved / wrong if wrong else 1.0))
    return found
