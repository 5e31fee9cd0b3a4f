"""Sensors: how each kind of evidence depends on difficulty. What a request shows is in ``core.progress``.

Order of trust: what a hook or a person says (``SIGNALS``), what tests report after an edit, what the person did next, the
form of the work; counts of generic errors hardly at all ("in the loop only test results carry signal", DECISION.md 1). No
sensor reads words, so that none hears one language better than another; a correction in words alone weighs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import log

from pointsman.core import progress
from pointsman.core.boundaries import sent_on
from pointsman.core.progress import Evidence, Progress
from pointsman.core.record import record
from pointsman.core.session import Lane, Session
from pointsman.core.types import Place, Request

SURVIVED = (3, 6, 12, 24, 48)
"""Requests of one turn after which it counts as surviving, each about twice the last."""


@record(frozen=True, slots=True)
class Sensor:
    """How one kind of evidence depends on difficulty: P(seen | b, model) = sigmoid(alpha (b - theta) + beta).

    ``alpha`` in 1/logits: negative where easy tasks show it. ``beta`` in logits: how common it is. ``weight``: share of the
    full Bayesian step that is taken; sensors that see the same thing from several sides are correlated (DECISION.md 3).
    """

    name: str
    alpha: float
    beta: float
    weight: float = 0.4


def _logit(p: float) -> float:
    return log(p / (1.0 - p))


_TABLE: Mapping[Evidence, tuple[float, float]] = {
    "tests_failed": (0.70, 0.50), "tests_passed": (-0.70, 0.50), "tests_red": (0.15, 0.30), "tests_green": (-0.10, 0.50),
    "type_error": (0.15, 0.20), "lint_error": (0.06, 0.20), "tool_error": (0.06, 0.18),
    "repeated": (0.15, 0.05), "alternating": (0.20, 0.02), "reverted": (0.20, 0.04), "grown": (0.08, 0.15),
    "todo": (0.25, 0.15), "planning": (0.15, 0.10),
    "corrected": (0.30, 0.12), "reasked": (0.30, 0.04), "rewound": (0.25, 0.04), "interrupt": (0.25, 0.07),
    "unrun": (0.08, 0.15), "ended_red": (0.25, 0.05), "accepted": (-0.30, 0.75), "committed": (-0.20, 0.30),
    "question": (-0.12, 0.40), "praise": (-0.15, 0.05),
}  # fmt: skip
"""Slope in 1/logits and how often the evidence is seen where it can be. What is rare weighs by its rarity besides.

Priors: the signs and the order of the slopes follow DECISION.md 1 and notes/science.md 1.3 (test results first; a correction is
noisy: 44 % of real turns carry push-back; step counts and generic errors weak: no such sensor moves the belief further than a
failing test does). Shares: how often each was seen in 284 real sessions (entireio/cli and EntityProcess/agentv, MIT), rounded;
where it was hardly ever seen there, a guess. The slopes of the in-loop sensors were halved once, together, on those sessions.
"""

SENSORS: Mapping[Evidence, Sensor] = {name: Sensor(name, alpha, _logit(p)) for name, (alpha, p) in _TABLE.items()}

LASTS = Sensor("lasts", 0.07, _logit(0.55))
"""A turn that survives twice as long: near a constant share does at any length, as heavy tails have it (Weibull shape below 1,
notes/science.md 1.3). Weak on purpose: step counts predict failure with AUC .55 to .72."""
ENDS = Sensor("ends", -0.07, _logit(0.45))

SIGNALS: Mapping[str, Sensor] = {
    name: Sensor(name, alpha, _logit(p), weight)
    for name, alpha, p, weight in (
        ("commit", -0.5, 0.5, 1.0), ("revert", 0.4, 0.2, 1.0), ("mark_good", -0.8, 0.6, 1.0), ("mark_bad", 0.8, 0.3, 1.0),
        ("mark_overkill", -1.0, 0.2, 1.0), ("tests_failed", 0.9, 0.5, 0.8), ("tests_passed", -0.9, 0.5, 0.8),
        ("type_error", 0.15, 0.2, 0.8), ("lint_error", 0.06, 0.2, 0.8), ("tool_error", 0.05, 0.18, 0.8),
        ("interrupt", 0.25, 0.07, 0.8),
    )
}  # fmt: skip
"""What hooks, plugins and people say (``router.signal``, ``pointsman mark``): no guess from texts, so it counts in full. Checks
are not here: their own recall and false-alarm rate are in ``core.outcomes``."""


SAME: Mapping[Evidence, str] = {"tests_red": "tests_failed", "tests_green": "tests_passed"}
"""Evidence that a signal of another name tells of as well."""

OF_NOW: frozenset[Evidence] = frozenset(("question", "planning"))
"""Evidence in a new prompt that tells of the turn it begins; all other evidence in it tells of the turn that ended."""


@record(frozen=True, slots=True)
class Seen:
    """What a request shows: sensors of the turn that ``past``, of what is going on ``now``, and the lane's progress with it."""

    progress: Progress
    now: tuple[Sensor, ...] = ()
    past: tuple[Sensor, ...] = ()


def observe(request: Request, place: Place, lane: Lane | None, session: Session, steps: float) -> Seen:
    """The sensors that fire for ``request``. ``steps``: requests that the lane's model takes for a task, relative to others.

    Hooks and people speak of the main lane. A request that shows nothing new (a retry, housekeeping) fires none.
    """
    before = lane.progress if lane else progress.NOTHING
    back = place.new_turn and lane is not None and sent_on(session, lane, place.gap_s or 0.0)
    after, evidence = progress.after(before, request, place, lane.last_stop if lane else "", back)
    if after is before:
        return Seen(before)
    signals = _signals(session, lane) if lane is not None and lane.kind == "main" and lane.requests else ()
    lasting = survival(before, after, steps, place.new_turn)
    if back:
        return Seen(after, sensors_of((), signals))
    fired = sensors_of(evidence, signals) if evidence or signals else ()
    if not place.new_turn:
        return Seen(after, fired if lasting is None else (*fired, lasting))
    past = tuple([sensor for sensor in fired if sensor.name not in OF_NOW])
    return Seen(after, tuple([s for s in fired if s.name in OF_NOW]), past if lasting is None else (*past, lasting))


def _signals(session: Session, lane: Lane) -> tuple[str, ...]:
    """What hooks and people said since the lane's last request began, each once."""
    if not session.signals or session.signals[-1][0] <= lane.last_start:
        return ()
    return tuple(dict.fromkeys(kind for ts, kind in session.signals if ts > lane.last_start))


def sensors_of(evidence: Iterable[Evidence], signals: Iterable[str] = ()) -> tuple[Sensor, ...]:
    """The sensors of what was seen; a signal of a hook replaces what the text showed of the same thing."""
    told = [SIGNALS[name] for name in signals if name in SIGNALS]
    names = {sensor.name for sensor in told}
    return (*told, *[SENSORS[name] for name in evidence if name not in names and SAME.get(name) not in names])


def survival(before: Progress, now: Progress, steps: float, new_turn: bool) -> Sensor | None:
    """What the number of requests says: the turn survives another doubling, or the turn before ended short of the next one.

    ``steps``: requests that the model takes for a task, relative to others, so that a chatty model is not called stuck.
    """
    if new_turn:
        return ENDS if before.calls else None
    done = now.requests / max(0.25, steps)
    passed = before.requests / max(0.25, steps)
    return LASTS if any(passed < level <= done for level in SURVIVED) else None
