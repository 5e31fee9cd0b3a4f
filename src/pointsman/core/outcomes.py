"""What a check at "done" says about the task, and where the next try should go (DECISION.md 1, 5, 6).

A failed check is the best sensor there is, but not a perfect one: its recall and false-alarm rate are in the formula.
Of a weak model's failures the strong one also fails 57 to 71 %, so the next try goes where *uplift* pays, not where P(fail)
is high; once the strong model itself has failed, its repeat succeeds in 9 to 17 %, and the next try is often a weaker one.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, sqrt

from pointsman.core.capability import ORDINARY, SQUEEZE, Outlook, sigmoid
from pointsman.core.policy import MARGIN, Odds
from pointsman.core.tries import Next
from pointsman.core.types import Belief, Config

UNLIKELY = 0.10
"""Below this P(success) of every config the honest advice is to re-scope or ask, not to spend more."""

RESCOPE = "no model here is likely to solve it: re-scope or ask"

POINTS, REACH = 41, 4.0
"""Grid of the moment match: points, and standard deviations to each side."""


def after_check(
    belief: Belief, theta: float, theta_sd: float, passed: bool, odds: Odds, look: Outlook = ORDINARY
) -> Belief:  # fmt: skip
    """The belief after a check of a model of ability ``theta`` (logits), by matching the moments of the posterior.

    P(fails | b) = recall (1 - p(b)) + false alarm p(b), with p(b) the model's P(success) at difficulty b. A check that
    cannot tell (recall equal to its false alarm) moves nothing.
    """
    steep = look.slope / sqrt(1.0 + SQUEEZE * look.slope * look.slope * (theta_sd * theta_sd + look.common * look.common))
    total = first = second = 0.0
    for i in range(POINTS):
        z = REACH * (2.0 * i / (POINTS - 1) - 1.0)
        b = belief.mu + belief.sd * z
        p = (1.0 - odds.nobody) * sigmoid(steep * (theta - look.tasks - b))
        fails = odds.recall * (1.0 - p) + odds.false_alarm * p
        weight = exp(-0.5 * z * z) * ((1.0 - fails) if passed else fails)
        total += weight
        first += weight * b
        second += weight * b * b
    if total <= 0.0:
        return belief
    mu = first / total
    return Belief(mu, sqrt(max(1e-6, second / total - mu * mu)), belief.n + 1, belief.pushed)


def next_try(found: Sequence[Next], here: Config, owed: Next | None, odds: Odds) -> tuple[Config, str]:
    """Where the next try goes after a failed check, and why in words.

    It stays on ``here`` unless another config is cheaper to the end by the margin; where nobody is likely, it stays and says so.
    ``owed``: the asked model's try where it is owed one (``owed_to``): that goes first unless somebody else is likelier.
    """
    tries = [row for row in found if row.config is not None]
    mine = next((row for row in tries if row.config == here), None)
    if mine is None or max(row.p for row in tries) < UNLIKELY:
        return here, RESCOPE if mine else "what runs now has no price"
    best = min(tries, key=lambda row: row.usd)
    if owed is not None and best.p <= owed.p:
        said = f"the check failed: the model you asked for, {owed.p - mine.p:+.0%} likelier, for ≈${owed.own:.3f}"
        return owed.config or here, said
    if best.usd >= mine.usd * (1.0 - MARGIN):
        if max(row.p for row in tries) <= max(UNLIKELY, odds.repeat):  # nobody is likelier than a repeat
            return here, RESCOPE
        return here, f"the check failed, and no other try pays: {mine.p:.0%} likely here"
    sums = f"≈${best.usd:.3f} to the end against ≈${mine.usd:.3f} here"
    return best.config or here, f"the check failed: {best.p - mine.p:+.0%} likelier, {sums}"


def worth(found: Sequence[Next], owed: Next | None) -> tuple[bool, str]:
    """Whether any further try after a failed check is worth its price, and why in words; ``owed`` as for ``next_try``.

    A try that does not pay spends money on a failure that the user can be shown now: uplift x what a resolved task is
    worth stays below its price. Where nobody is likely the person is asked, however little a try costs: the agent, sent on all
    the same, would stay where it is (``next_try``), often on the dearest.
    """
    none = next((row for row in found if row.config is None), None)
    tries = [row for row in found if row.config is not None]
    if none is None or not tries or owed is not None:
        return True, "the model you asked for is owed the next try" if tries else "nothing here has a price"
    if max(row.p for row in tries) < UNLIKELY:
        return False, RESCOPE
    best = min(tries, key=lambda row: row.usd)
    if best.usd <= none.usd:
        return True, f"{best.config} is {best.p:.0%} likely to mend it, for ≈${best.own:.3f}"
    gain = max(0.0, none.usd - best.usd + best.own)
    return False, f"the best next try, {best.config}, {best.p:.0%} likely, costs ≈${best.own:.3f} and is worth ≈${gain:.3f}"


def owed_to(asked: Config, found: Sequence[Next], odds: Odds) -> Next | None:
    """The asked model's try where a weaker config's work was refused: owed, unless it costs more than a failure does.

    The weaker one was admitted because a check guards the task, and the check has spoken.
    """
    if not odds.owed:
        return None
    return next((row for row in found if row.config == asked and row.own <= odds.failure_usd), None)
