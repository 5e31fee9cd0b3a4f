"""Belief about how hard the task is now: a scalar Gaussian filter with a jump hypothesis (DECISION.md 3).

Theory of operation. Difficulty b is latent. Between requests it drifts a little or jumps back to the prior with a small
hazard: small inside a tool loop, larger on a new user prompt, near one on a new task. Each sensor that fires multiplies in
sigmoid(alpha (b - theta) + beta) by assumed-density filtering, tempered because sensors are correlated. Negative evidence is
evidence seen: passing tests, a turn that ends soon, a prompt that goes on without complaint. Silence inside a tool loop is
the normal case and moves nothing; nor does a first message without content ("hi"), whatever its language.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt

from pointsman.core.book import Book
from pointsman.core.capability import TASKS, sigmoid
from pointsman.core.features import SENSORS, Sensor
from pointsman.core.progress import Progress
from pointsman.core.session import Session
from pointsman.core.types import Belief, Config, Place

PRIOR = Belief(mu=0.0, sd=2.5, n=0)
"""Spread of task difficulty in logits: measured pool standard deviation 2.5 (notes/science.md 2)."""

DRIFT_SD = 0.05
HAZARD_LOOP, HAZARD_TURN, HAZARD_TASK = 0.02, 0.3, 0.95
"""Probability that the task changed: inside a tool loop, on a new prompt, on a detected new task (notes/science.md 2)."""


TURNS = 10.0
"""Turns that the usual share of pushed-back turns weighs against those seen in the session (assumed)."""


def pushed_back(progress: Progress) -> float:
    """P(the person breaks this turn off, or corrects it at its end), from what they did before and what failed in the turn.

    The odds are those of a Beta prior after the turns of this session that the person has answered, times the root of one plus
    the requests of the turn before which something failed. In 284 real sessions (entireio/cli, EntityProcess/agentv, MIT) 9.5 %
    of turns were pushed back: AUC .63, log-loss .350 against a constant's .368. Neither the prompt's form nor what was edited,
    nor forty signs together in boosted trees, said more on sessions that they were not fitted on.
    """
    if not progress.answered and not progress.failures:
        return PRIOR.pushed
    hits = progress.pushed + TURNS * PRIOR.pushed
    odds = hits / (progress.answered + TURNS - hits) * sqrt(1.0 + progress.failures)
    return odds / (1.0 + odds)


def update(
    belief: Belief, sensors: Iterable[Sensor], theta: float, place: Place, past: Iterable[Sensor] = (),
    pushed: float | None = None,
) -> Belief:  # fmt: skip
    """The belief after the transition to this request and the evidence it shows; ``theta``: ability of the model that worked.

    ``past``: evidence of the turn that ended, which the transition to the next one weakens like all that was known.
    ``pushed``: what ``pushed_back`` says now; None leaves it.
    """
    for sensor in past:
        mu, var = weighed(belief.mu, belief.sd * belief.sd, sensor, theta)
        belief = Belief(mu, sqrt(var), belief.n + 1, belief.pushed)
    mu, var = _transition(belief, place)
    n = belief.n if not place.new_task else 0
    for sensor in sensors:
        mu, var = weighed(mu, var, sensor, theta)
        n += 1
    return Belief(mu, sqrt(var), n, belief.pushed if pushed is None else pushed)


def ability(worker: str, session: Session, book: Book) -> float:
    """Ability of the model that worked, on the scale on which ``TASKS`` is an ordinary task of this user's."""
    known = session.learned.abilities
    theta, _ = known.skill(worker, *book.skill(Config(worker)))
    return theta - known.tasks.mean


def asked_again(belief: Belief, theta: float) -> Belief:
    """The belief where a person has the same request answered anew; ``theta``: ability of the model whose answer did not do."""
    mu, var = weighed(belief.mu, belief.sd * belief.sd, SENSORS["reasked"], theta)
    return Belief(mu, sqrt(var), belief.n + 1, belief.pushed)


def weighed(mu: float, var: float, sensor: Sensor, theta: float) -> tuple[float, float]:
    """Mean and variance after one sensor fired: one tempered step of assumed-density filtering (notes/science.md 2)."""
    p = sigmoid(sensor.alpha * (mu + TASKS - theta) + sensor.beta)
    curvature = sensor.alpha * sensor.alpha * p * (1.0 - p)
    mu += sensor.weight * var * sensor.alpha * (1.0 - p) / (1.0 + var * curvature)
    return mu, var / (1.0 + sensor.weight * var * curvature)


def _transition(belief: Belief, place: Place) -> tuple[float, float]:
    """Two hypotheses (same task with drift; a new draw from the prior), collapsed by moments."""
    if place.relation == "retry":
        return belief.mu, belief.sd * belief.sd
    h = HAZARD_TASK if place.new_task else HAZARD_TURN if place.new_turn else HAZARD_LOOP
    if belief.n == 0:
        return PRIOR.mu, PRIOR.sd * PRIOR.sd  # nothing was learned yet: a content-free opener moves nothing
    same_var = belief.sd * belief.sd + DRIFT_SD * DRIFT_SD
    mu = (1.0 - h) * belief.mu + h * PRIOR.mu
    spread = (1.0 - h) * (belief.mu - mu) ** 2 + h * (PRIOR.mu - mu) ** 2
    return mu, (1.0 - h) * same_var + h * PRIOR.sd * PRIOR.sd + spread
