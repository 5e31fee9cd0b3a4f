"""P(success) of a config on a task of uncertain difficulty: one-parameter IRT (Rasch), DECISION.md 4.

As good as two parameters on 25 models x 500 tasks (held-out AUC .926, log-loss .349; model means alone .659, .638).
"""

from __future__ import annotations

from math import exp, pi, sqrt

from pointsman.core.types import Belief

TASKS = 1.8
"""Mean difficulty of the tasks people bring, on the scale of the abilities: midway between the mean SWE-bench Verified task of
2025 (0) and the mean DeepSWE task of 2026 (3.6; data/abilities.toml). A belief's mean counts from here: 0 is an ordinary task."""

NOBODY = 0.13
"""Share of tasks that no model solves as they are stated, whatever their difficulty (wrong tests, missing words).

Without it two models' failures would be too independent, and the next try too hopeful. Fitted to the rates at which one model
solves what another failed, over 72 pairs of nine models on SWE-bench Verified (swebench.com; none of them in a pool of ``bench
outcomes``): root mean square error .078 at 0, .033 at .12 to .15. 14 % of the 327 tasks were solved by none of 19 models.
"""

HANDOVER = 0.3
"""Logits lost when a model takes over work that another began (kappa; prior .3 +- .3, the most important unmeasured number)."""


def sigmoid(x: float) -> float:
    """1 / (1 + e^-x), safe for large magnitudes."""
    if x >= 0:
        return 1.0 / (1.0 + exp(-x))
    e = exp(x)
    return e / (1.0 + e)


def p_success(belief: Belief, theta: float, theta_sd: float, handover: bool = False) -> float:
    """P(success) = (1 - nobody) sigmoid((theta - kappa - tasks - mu) / sqrt(1 + pi/8 (v + v_theta))), the latter in logits."""
    kappa = HANDOVER if handover else 0.0
    return (1.0 - NOBODY) * sigmoid((theta - kappa - TASKS - belief.mu) / spread_of(belief.sd, theta_sd))


def spread_of(sd: float, theta_sd: float) -> float:
    """How much uncertainty flattens the curve: sqrt(1 + pi/8 (v + v_theta))."""
    return sqrt(1.0 + pi / 8.0 * (sd * sd + theta_sd * theta_sd))
