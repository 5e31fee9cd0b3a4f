"""P(success) of a config on a task of uncertain difficulty: one-parameter IRT (Rasch), DECISION.md 4.

As good as two parameters on 25 models x 500 tasks (held-out AUC .926, log-loss .349; model means alone .659, .638).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import exp, pi, sqrt

from pointsman.core.record import record
from pointsman.core.types import Belief

TASKS = 1.8
"""Mean difficulty of the tasks people bring, on the scale of the abilities: midway between the mean SWE-bench Verified task of
2025 (0) and the mean DeepSWE task of 2026 (3.6; data/abilities.toml). A belief's mean counts from here: 0 is an ordinary task."""

TASKS_SD = 0.6
"""How far a user's mean task may lie from ``TASKS``, in logits: the shift that links the two benchmarks' scales is as uncertain
(data/abilities.toml)."""

NOBODY = 0.13
"""Share of tasks that no model solves as they are stated, whatever their difficulty (wrong tests, missing words).

Without it two models' failures would be too independent, and the next try too hopeful. Fitted to the rates at which one model
solves what another failed, over 72 pairs of nine models on SWE-bench Verified (swebench.com; none of them in a pool of ``bench
outcomes``): root mean square error .078 at 0, .033 at .12 to .15. 14 % of the 327 tasks were solved by none of 19 models.
"""

REPEAT = 0.13
"""P(success) of a config that already failed this task: 9 to 17 % measured for the strong model (DECISION.md 1)."""

HANDOVER = 0.3
"""Logits lost when a model takes over work that another began (kappa; prior .3 +- .3, the most important unmeasured number)."""


@record(frozen=True, slots=True)
class Outlook:
    """What holds for one user's tasks of one project and kind, ready for pricing; everything in logits but the two rates.

    ``tasks``: mean difficulty on the scale of the abilities; ``common``: its standard deviation, which all configs share.
    """

    tasks: float = TASKS
    common: float = TASKS_SD
    slope: float = 1.0
    handover: float = HANDOVER
    nobody: float = NOBODY
    repeat: float = REPEAT


ORDINARY = Outlook()
"""Before anything was seen here."""


def sigmoid(x: float) -> float:
    """1 / (1 + e^-x), safe for large magnitudes."""
    if x >= 0:
        return 1.0 / (1.0 + exp(-x))
    e = exp(x)
    return e / (1.0 + e)


def p_success(
    belief: Belief, theta: float, theta_sd: float, handover: bool = False, outlook: Outlook = ORDINARY
) -> float:  # fmt: skip
    """P(success) = (1 - nobody) sigmoid(slope (theta - kappa - tasks - mu) / sqrt(1 + pi/8 slope^2 (v + v_theta + common^2)))."""
    kappa, common, slope = outlook.handover if handover else 0.0, outlook.common, outlook.slope
    spread = sqrt(1.0 + SQUEEZE * slope * slope * (belief.sd * belief.sd + theta_sd * theta_sd + common * common))
    return (1.0 - outlook.nobody) * sigmoid(slope * (theta - kappa - outlook.tasks - belief.mu) / spread)


def after_failures(look: Outlook, skills: Iterable[tuple[float, float]], recall: float, false_alarm: float) -> Outlook:
    """``look`` for a task on which a check refused the work of configs with these ``skills``: nobody may be able to solve it."""
    nobody = look.nobody
    for theta, theta_sd in skills:
        p = p_success(Belief(), theta, theta_sd, False, look) / (1.0 - look.nobody)
        seen, fails = nobody * recall, (1.0 - nobody) * (recall * (1.0 - p) + false_alarm * p)
        nobody = seen / (seen + fails) if seen + fails > 0.0 else nobody
    return replace(look, nobody=nobody)


SQUEEZE = pi / 8.0
"""A logistic curve averaged over a Gaussian is a flatter logistic curve, by this share of the variance (MacKay 1992)."""
