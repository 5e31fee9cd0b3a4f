"""What a check at "done" says about the task, and where the next try should go (DECISION.md 1, 5, 6).

A failed check is the best sensor there is, but not a perfect one: its recall and false-alarm rate are in the formula.
Of a weak model's failures the strong one also fails 57 to 71 %, so the next try goes where *uplift* pays, not where P(fail)
is high; once the strong model itself has failed, its repeat succeeds in 9 to 17 %, and the next try is often a weaker one.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, sqrt

from pointsman.core.capability import sigmoid, spread_of
from pointsman.core.policy import MARGIN, Odds
from pointsman.core.types import Belief, Candidate, Config

REPEAT = 0.13
"""P(success) of a config that already failed this task: 9 to 17 % measured for the strong model (DECISION.md 1)."""

UNLIKELY = 0.10
"""Below this P(success) of every config the honest advice is to re-scope or ask, not to spend more."""

POINTS, REACH = 41, 4.0
"""Grid of the moment match: points, and standard deviations to each side."""


def after_check(belief: Belief, theta: float, theta_sd: float, passed: bool, odds: Odds) -> Belief:
    """The belief after a check of a model of ability ``theta`` (logits), by matching the moments of the posterior.

    P(fails | b) = recall (1 - p(b)) + false alarm p(b), with p(b) the model's P(success) at difficulty b. A check that
    cannot tell (recall equal to its false alarm) moves nothing.
    """
    scale = spread_of(0.0, theta_sd)
    total = first = second = 0.0
    for i in range(POINTS):
        z = REACH * (2.0 * i / (POINTS - 1) - 1.0)
        b = belief.mu + belief.sd * z
        p = sigmoid((theta - b) / scale)
        fails = odds.recall * (1.0 - p) + odds.false_alarm * p
        weight = exp(-0.5 * z * z) * ((1.0 - fails) if passed else fails)
        total += weight
        first += weight * b
        second += weight * b * b
    if total <= 0.0:
        return belief
    mu = first / total
    return Belief(mu, sqrt(max(1e-6, second / total - mu * mu)), belief.n + 1)


def next_try(
    rows: tuple[Candidate, ...], current: Config, p: Mapping[Config, float], allowed: Mapping[Config, bool], odds: Odds
) -> tuple[Config, str]:
    """Where the next try goes after a failed check, and why in words. ``p``: P(success) of each config now.

    Each try costs its toll, its requests, and, where it fails too, what a failure costs the user. It stays on ``current``
    unless another config is cheaper in that sum by the margin; where nobody is likely, it stays and says so.
    """
    open_rows = [
        row for row in rows if row.veto is None and row.run_usd is not None and (allowed.get(row.config) or row.config == current)
    ]
    here = next((row for row in open_rows if row.config == current), None)
    if here is None or max(p[row.config] for row in open_rows) < UNLIKELY:
        return current, "no model here is likely to solve it: re-scope or ask" if here else "what runs now has no price"
    costs = {row.config: _try_usd(row, p[row.config], odds) for row in open_rows}
    best = min(open_rows, key=lambda row: costs[row.config])
    if costs[best.config] >= costs[current] * (1.0 - MARGIN):
        return current, f"the check failed, and no other try pays: {p[current]:.0%} likely here"
    lift = p[best.config] - p[current]
    return (
        best.config,
        f"the check failed: {lift:+.0%} likelier for ≈${costs[best.config] - (1 - p[best.config]) * odds.failure_usd:.3f}",
    )


def _try_usd(row: Candidate, p: float, odds: Odds) -> float:
    return (row.toll_usd or 0.0) + odds.requests * (row.run_usd or 0.0) + (1.0 - p) * odds.failure_usd
