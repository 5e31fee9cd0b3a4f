"""What recorded tasks say of a policy that did not run: SNIPS with its effective sample size, and no verdict under 30.

A task counts where the policy would have done what was done; its weight is one over the probability with which that was chosen
then (one factor per task: we explore per task, DECISION.md 7). Tasks without a known outcome, and those on which the policy would
have done something else, are unknown: they are counted and never filled in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

ENOUGH = 30
"""Effective sample size under which there is a range and no verdict (DECISION.md 7)."""

Z = 1.96
"""Standard deviations of a two-sided 95 % interval."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share: its value, its 95 % interval, and the effective number of tasks behind it. ``value`` None: nothing is known."""

    value: float | None
    low: float
    high: float
    ess: float

    @property
    def verdict(self) -> bool:
        """Whether there is enough to go by."""
        return self.ess >= ENOUGH


def effective(weights: Sequence[float]) -> float:
    """Kish's effective sample size: (sum w)^2 / sum w^2; 0 of nothing."""
    squares = sum(w * w for w in weights)
    return sum(weights) ** 2 / squares if squares else 0.0


def snips(known: Sequence[tuple[bool, float]]) -> Estimate:
    """The share of True among (outcome, weight) pairs, self-normalised; Wilson's interval at the effective sample size."""
    weights = [w for _, w in known]
    n = effective(weights)
    if not n:
        return Estimate(None, 0.0, 1.0, 0.0)
    p = sum(w for good, w in known if good) / sum(weights)
    middle, half = p + Z * Z / (2 * n), Z * sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    scale = 1 + Z * Z / n
    return Estimate(p, max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale), n)


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of the mean of ``values`` (normal approximation); None under 30 of them."""
    n = len(values)
    if n < ENOUGH:
        return None
    mean = sum(values) / n
    sd = sqrt(sum((x - mean) ** 2 for x in values) / (n - 1))
    return mean - Z * sd / sqrt(n), mean + Z * sd / sqrt(n)
