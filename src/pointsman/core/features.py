"""Sensors: what the request about to be sent shows of how the work is going. Facts only, no text, first form.

Only the messages that are new since the lane's last request count, so that no evidence is used twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from pointsman.core.types import Fact, Place, Request


@dataclass(frozen=True, slots=True)
class Sensor:
    """How one kind of evidence depends on difficulty: P(seen | b, model) = sigmoid(alpha (b - theta) + beta).

    ``alpha`` in 1/logits, ``beta`` in logits. Priors until outcomes move them: test results carry the signal, counts of
    generic errors hardly any (DECISION.md 1, "in the loop only test results carry signal").
    """

    fact: Fact
    alpha: float
    beta: float


SENSORS: tuple[Sensor, ...] = (
    Sensor("tests_failed", 0.7, 0.0),
    Sensor("tests_passed", -0.7, 0.0),
    Sensor("tool_error", 0.15, -1.5),
    Sensor("interrupt", 0.3, -3.0),
)


def observe(request: Request, place: Place) -> tuple[Sensor, ...]:
    """The sensors that fired in the messages this request adds, each at most once, in table order."""
    if request.purpose != "turn" or place.relation in ("retry", "compacted", "fork"):
        return ()
    seen = {fact for message in request.messages[place.kept :] for fact in message.facts}
    return tuple(sensor for sensor in SENSORS if sensor.fact in seen) if seen else ()
