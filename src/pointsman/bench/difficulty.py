"""``bench difficulty``: what the belief held before each request says of how the turn will go, on real sessions.

Theory of operation. Every request of a session's main lane is one point: the belief that was held when it was sent, the number of
requests the turn had made, and whether the newest tool result was an error. Two things are predicted: (a) that the turn ends in
a correction or an interrupt, (b) that more than 20 further requests of this turn are to come. Step count and last error each go
through a logistic link of their own, fitted on *other* sessions (folds by session), and so does the believed difficulty for (b);
the constant predicts the other sessions' rate. For (a) the belief gives a probability, which is taken as it stands. Its sensors
are fixed in the code and not fitted here.

A turn's end counts as corrected by hand labels where there are any, else by what the person did and not by what they wrote:
they interrupted, went back, asked nearly the same again, or pasted a failure. Turns after which nothing came are left out of (a).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import exp, log, log1p

from pointsman.core import progress
from pointsman.core.events import Event, Finished, Routed
from pointsman.core.evolve import evolve
from pointsman.core.messages import Message
from pointsman.core.session import Session
from pointsman.core.types import Belief, Request

MANY = 20
FOLDS, SEED, RESAMPLES = 5, 1, 400


@dataclass(slots=True)
class Point:
    """One request of a main lane: what was held before it, and what came after."""

    session: str
    turn: int
    belief: Belief
    step: int
    error: bool
    corrected: bool | None = None
    many: bool = False


@dataclass(slots=True)
class Labels:
    """What a person says of one session: the turns that begin a task, and those whose end was corrected or interrupted."""

    tasks: frozenset[int]
    corrected: frozenset[int] | None


@dataclass(slots=True)
class Reading:
    """Sessions read: the points, and task boundaries found and labelled. ``inside``: without each session's first turn."""

    points: list[Point] = field(default_factory=list)
    sessions: int = 0
    turns: int = 0
    tasks: int = 0
    labelled: int = 0
    hit: int = 0
    found: int = 0
    wanted: int = 0


def parse_labels(value: object) -> dict[str, Labels]:
    """Labels from JSON: {session id or the start of it: {"tasks": [turn, ...], "corrected": [turn, ...]}}. Raises ValueError."""
    if not isinstance(value, dict):
        raise ValueError("labels are an object: session to {\"tasks\": [turns], \"corrected\": [turns]}")
    out = {}
    for name, row in value.items():
        if not isinstance(row, dict) or not all(isinstance(row.get(key, []), list) for key in ("tasks", "corrected")):
            raise ValueError(f"the labels of {name!r} are not {{\"tasks\": [turns], \"corrected\": [turns]}}")
        corrected = frozenset(map(int, row["corrected"])) if "corrected" in row else None
        out[str(name)] = Labels(frozenset(map(int, row.get("tasks", []))), corrected)
    return out


def read(reading: Reading, events: Sequence[Event], labels: Mapping[str, Labels]) -> None:
    """Add one session's events to ``reading``."""
    session: Session | None = None
    turns: dict[int, list[Point]] = {}
    tasks: set[int] = set()
    pushed: dict[int, bool] = {}
    for event in events:
        if isinstance(event, Routed) and event.decision.place.kind == "main" and event.request.purpose == "turn":
            _request(event, session, turns, tasks, pushed)
        if isinstance(event, Finished) and event.stop == "hangup" and turns:
            pushed[max(turns)] = True
        session = evolve(session, event)
    if session is None or not turns:
        return
    known = next((found for name, found in labels.items() if session.id.startswith(name)), None)
    for turn, points in turns.items():
        by_hand = known.corrected if known else None
        corrected = turn in by_hand if by_hand is not None else pushed.get(turn)
        for n, point in enumerate(points, 1):
            point.corrected, point.many = corrected, len(points) - n > MANY
        reading.points += points
    reading.sessions, reading.turns, reading.tasks = reading.sessions + 1, reading.turns + len(turns), reading.tasks + len(tasks)
    if known is not None:
        first = min(turns)
        inside = tasks - {first}
        reading.labelled += 1
        reading.hit += len(inside & known.tasks)
        reading.found += len(inside)
        reading.wanted += len(known.tasks - {first})


def _request(
    event: Routed, session: Session | None, turns: dict[int, list[Point]], tasks: set[int], pushed: dict[int, bool]
) -> None:
    """One request: its point; and where it opens a turn, how the turn before ended."""
    place, decision = event.decision.place, event.decision
    if place.relation == "retry":
        return
    lane = session.lanes.get(place.lane) if session else None
    new = event.request.messages
    if place.new_turn and lane is not None and lane.requests and turns:
        shown = progress.after(lane.progress, _whole(event, lane.messages), place, lane.last_stop)[1]
        pushed.setdefault(max(turns), bool(progress.PUSHED_BACK & set(shown)))
    if place.new_task:
        tasks.add(place.turn)
    points = turns.setdefault(place.turn, [])
    results = [message.facts for message in new if message.kind == "tool_result"]
    error = bool(results) and ("tool_error" in results[-1] or "tests_failed" in results[-1])
    points.append(Point(decision.place.session, place.turn, decision.belief, len(points), error))


def _whole(event: Routed, before: tuple[Message, ...]) -> Request:
    """The request with the messages that the event leaves out because the lane has them."""
    return replace(event.request, messages=(*before[: event.kept], *event.request.messages))


# -- links and scores ----------------------------------------------------------------------------------------------------

PREDICTORS = ("constant", "step count", "last error", "belief")

Chance = Callable[[Belief], float]
"""The probability that a belief itself gives; what it gives is taken as it stands."""


def features(point: Point, name: str) -> tuple[float, ...]:
    """What a predictor sees of a point, before its link."""
    if name == "belief":
        return (point.belief.hard,)
    if name == "step count":
        return (log1p(point.step),)
    return (float(point.error),) if name == "last error" else ()


def fitted(rows: Sequence[tuple[float, ...]], said: Sequence[bool], rounds: int = 12) -> tuple[float, ...]:
    """A logistic link by Newton's method with a slight pull to zero: the intercept, then one weight per feature."""
    k = len(rows[0]) + 1 if rows else 1
    weights = [0.0] * k
    for _ in range(rounds):
        slope, bend = [0.0] * k, [[0.0] * k for _ in range(k)]
        for row, yes in zip(rows, said, strict=True):
            x = (1.0, *row)
            p = _sigmoid(sum(w * v for w, v in zip(weights, x, strict=True)))
            for i in range(k):
                slope[i] += (yes - p) * x[i]
                for j in range(k):
                    bend[i][j] += p * (1.0 - p) * x[i] * x[j]
        for i in range(1, k):
            slope[i] -= weights[i]
            bend[i][i] += 1.0
        bend[0][0] += 1e-6
        step = _solved(bend, slope)
        weights = [w + s for w, s in zip(weights, step, strict=True)]
    return tuple(weights)


def _solved(matrix: list[list[float]], right: list[float]) -> list[float]:
    """The solution of a small symmetric positive system, by elimination."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    n = len(rows)
    for i in range(n):
        for j in range(i + 1, n):
            share = rows[j][i] / rows[i][i]
            rows[j] = [a - share * b for a, b in zip(rows[j], rows[i], strict=True)]
    out = [0.0] * n
    for i in reversed(range(n)):
        out[i] = (rows[i][n] - sum(rows[i][j] * out[j] for j in range(i + 1, n))) / rows[i][i]
    return out


def _sigmoid(x: float) -> float:
    return 1.0 / (1.0 + exp(-max(-30.0, min(30.0, x))))


def auc(scores: Sequence[float], said: Sequence[bool]) -> float | None:
    """P(a case scores above a non-case), ties half; None where one kind is missing."""
    yes = sum(said)
    if not yes or yes == len(said):
        return None
    order = sorted(range(len(scores)), key=scores.__getitem__)
    ranks, i = 0.0, 0
    while i < len(order):
        j = i
        while j + 1 < len(order) and scores[order[j + 1]] == scores[order[i]]:
            j += 1
        ranks += (i + j + 2) / 2.0 * sum(said[k] for k in order[i : j + 1])
        i = j + 1
    return (ranks - yes * (yes + 1) / 2.0) / (yes * (len(said) - yes))


def ece(chances: Sequence[float], said: Sequence[bool]) -> float:
    """Mean gap between predicted and observed shares over ten bands of prediction, weighed by their size."""
    bands: dict[int, list[int]] = {}
    for i, p in enumerate(chances):
        bands.setdefault(min(9, int(p * 10)), []).append(i)
    gaps = [abs(sum(chances[i] for i in band) - sum(said[i] for i in band)) for band in bands.values()]
    return sum(gaps) / len(chances)


@dataclass(slots=True)
class Score:
    """One predictor on one question, on sessions its link was not fitted on. ``better``: 95 % interval of the log-loss that the
    belief saves against it (positive: the belief is better), resampled by session."""

    log_loss: float
    auc: float | None
    ece: float
    better: tuple[float, float] | None = None


def scores(
    points: Sequence[Point], said: Sequence[bool], folds: int = FOLDS, chance: Chance | None = None
) -> dict[str, Score]:  # fmt: skip
    """Every predictor's score on one question. ``chance``: the belief's own answer to it; None: it goes through a link as well.

    Raises ValueError for too few sessions.
    """
    names = sorted({point.session for point in points})
    if len(names) < 2 or not any(said) or all(said):
        raise ValueError("needs two sessions at least, with and without the event")
    random.Random(SEED).shuffle(names)
    fold_of = {name: n % min(folds, len(names)) for n, name in enumerate(names)}
    chances = {name: _held_out(points, said, fold_of, name) for name in PREDICTORS}
    if chance is not None:
        chances["belief"] = [min(0.999, max(0.001, chance(point.belief))) for point in points]
    losses = {name: [-log(p if yes else 1.0 - p) for p, yes in zip(found, said, strict=True)] for name, found in chances.items()}
    out = {}
    for name, found in chances.items():
        better = None if name == "belief" else _interval(points, losses[name], losses["belief"])
        out[name] = Score(sum(losses[name]) / len(said), _fold_auc(points, found, said, fold_of), ece(found, said), better)
    return out


def _held_out(points: Sequence[Point], said: Sequence[bool], fold_of: Mapping[str, int], name: str) -> list[float]:
    """Each point's chance by the link fitted on the other folds."""
    rows, out = [features(point, name) for point in points], [0.0] * len(points)
    for fold in set(fold_of.values()):
        rest = [i for i, point in enumerate(points) if fold_of[point.session] != fold]
        weights = fitted([rows[i] for i in rest], [said[i] for i in rest])
        for i, point in enumerate(points):
            if fold_of[point.session] == fold:
                sum_ = weights[0] + sum(w * v for w, v in zip(weights[1:], rows[i], strict=True))
                out[i] = min(0.999, max(0.001, _sigmoid(sum_)))
    return out


def _fold_auc(points: Sequence[Point], found: Sequence[float], said: Sequence[bool], fold_of: Mapping[str, int]) -> float | None:
    """The mean over folds, by their pairs: chances of different links are not compared."""
    total = weight = 0.0
    for fold in set(fold_of.values()):
        at = [i for i, point in enumerate(points) if fold_of[point.session] == fold]
        inside = auc([found[i] for i in at], [said[i] for i in at])
        if inside is not None:
            yes = sum(said[i] for i in at)
            pairs = yes * (len(at) - yes)
            total, weight = total + pairs * inside, weight + pairs
    return total / weight if weight else None


def _interval(points: Sequence[Point], theirs: Sequence[float], ours: Sequence[float]) -> tuple[float, float]:
    """2.5 and 97.5 % of the mean log-loss saved, sessions drawn with replacement."""
    saved: dict[str, list[float]] = {}
    for point, a, b in zip(points, theirs, ours, strict=True):
        row = saved.setdefault(point.session, [0.0, 0.0])
        row[0], row[1] = row[0] + a - b, row[1] + 1.0
    rows, dice = list(saved.values()), random.Random(SEED)
    means = []
    for _ in range(RESAMPLES):
        drawn = dice.choices(rows, k=len(rows))
        means.append(sum(row[0] for row in drawn) / sum(row[1] for row in drawn))
    means.sort()
    return means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES)]


# -- report --------------------------------------------------------------------------------------------------------------

QUESTIONS = {
    "corrected": "correction or interrupt at the end of the turn",
    "many": f"more than {MANY} requests of the turn to come",
}  # fmt: skip


def _pushed(belief: Belief) -> float:
    return belief.pushed


def report(reading: Reading, folds: int = FOLDS) -> dict[str, object]:
    """Everything measured, as plain values."""
    out: dict[str, object] = {
        "sessions": reading.sessions, "turns": reading.turns, "requests": len(reading.points), "tasks": reading.tasks,
        "folds": folds,
    }  # fmt: skip
    known = [point for point in reading.points if point.corrected is not None]
    for name, points, said, chance in (
        ("corrected", known, [bool(p.corrected) for p in known], _pushed),
        ("many", reading.points, [p.many for p in reading.points], None),
    ):
        try:
            found = scores(points, said, folds, chance)
        except ValueError as error:
            out[name] = {"trouble": str(error)}
            continue
        out[name] = {
            "rate": sum(said) / len(said), "requests": len(said),
            **{who: {"log_loss": s.log_loss, "auc": s.auc, "ece": s.ece, "belief_saves": s.better} for who, s in found.items()},
        }  # fmt: skip
    if reading.labelled:
        out["boundaries"] = boundaries(reading)
    return out


def boundaries(reading: Reading) -> dict[str, object]:
    """Task beginnings against hand labels: those after a session's first prompt, and all of them."""
    missed, extra = reading.wanted - reading.hit, reading.found - reading.hit
    starts = reading.labelled
    return {
        "sessions": reading.labelled, "labelled": reading.wanted, "found": reading.found, "hit": reading.hit,
        "f1_after_first": _f1(reading.hit, missed, extra), "f1": _f1(reading.hit + starts, missed, extra),
    }  # fmt: skip


def _f1(hit: int, missed: int, extra: int) -> float | None:
    return 2.0 * hit / (2.0 * hit + missed + extra) if hit + missed + extra else None


def unique(found: Iterable[Sequence[Event]], seen: set[str]) -> Iterable[Sequence[Event]]:
    """Sessions that were not read before: compact traces often hold the same ones as transcripts."""
    for events in found:
        name = next((event.session for event in events if isinstance(event, Routed)), None)
        if name is not None and name not in seen:
            seen.add(name)
            yield events
