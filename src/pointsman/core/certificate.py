"""Whether the user's own outcomes certify a weaker config, or speak against it. Pure, and valid whenever it is looked at.

Theory of operation. A *failed route* is a task that a weaker config than asked really served and that failed; whether the asked
model would have failed too is not known, so it counts at its upper bound. Tasks on which we stayed count for nothing, and so do
pinned ones: people pin what they believe to be easy.

*Certificate*, per (asked, served, kind of task): a bet against "it fails at least the share m of its tasks". Before each task
the bettor names the share q < m that it expects, from the tasks so far; its capital is multiplied by (1-q)/(1-m) where the task
succeeds and by q/m where it fails. Where the claim is true, capital is a supermartingale whatever q was, and by Ville's
inequality it ever reaches 20 with probability 5 % at most, so that the bound may be read after every task (Waudby-Smith and
Ramdas 2024, "Estimating means of bounded random variables by betting"). With q = 0 throughout, n clean tasks certify m where
(1-m)^-n >= 20: 59 for 5 %, 29 for 10 %, and no bettor can do with fewer. *Shrinkage* is in q: tasks of the pair's other kinds
count half, which makes the bet bolder where the pair is known to be good, and leaves the guarantee as it is.

*Labels see less than all*: a check of recall r passes a share 1 - r of the failures, so the bet is against "at least m r is seen
to fail"; what a check blames wrongly counts against the config all the same. 59 and 29 hold for labels that see everything.

*Veto*, per (asked, served, kind), and per pair and project: the bet the other way, that it fails more often than was predicted
of each task (or than the certificate promises, whichever is more). Capital of 20 sends the slice to the asked model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, log

from pointsman.core.decisions import Decision
from pointsman.core.policy import CHECK_RECALL, RISK
from pointsman.core.types import Config

ALPHA = 0.05
"""Chance of a false certificate, and of a false alarm, at most: over all looks together."""

ALARM = 1.0 / ALPHA
"""Capital at which a bet is won: 20 (DECISION.md 7)."""

OTHERS = 0.5
"""What a task of another kind of the same pair counts for the expected share (assumed)."""

BEGIN_FAILED, BEGIN_TASKS = 0.25, 10.0
"""What the bettor expects before the first task: a quarter of a failure in ten tasks (assumed; it costs or saves a few tasks)."""

WORSE = (1.5, 2.5, 5.0)
"""By how much the odds of failure may have been underestimated: the alarm bets on each alike (assumed)."""

GRID = (0.01, 0.02, 0.03, 0.05, 0.075, 0.10, 0.15, 0.20, 0.30, 0.40, 0.50)
"""Shares that ``bound`` looks at."""

ANY = ""
"""The kind of a task that no visible rule names."""


@dataclass(frozen=True, slots=True)
class Served:
    """One task that a weaker config than asked really served, and what became of it. ``predicted``: P(failure) when chosen.

    ``recall``, ``false_alarm``: of what judged it; ``by``: what that was.
    """

    asked: Config
    served: Config
    kind: str
    failed: bool
    predicted: float = 0.5
    project: str = ""
    recall: float = 1.0
    false_alarm: float = 0.0
    by: str = ""


Judgement = tuple[bool, float, float, float]
"""One task of a slice, in order: failed; failures of the pair's other kinds so far; tasks of them so far; recall of its label."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one slice: ``tasks`` served, ``failed`` of them, the failed share that 95 % bound now (None: above half),
    and how many clean tasks more would certify ``risk`` (0: certified). ``alarm``: capital of the bet against it.
    """

    tasks: int
    failed: int
    bound: float | None
    missing: int
    alarm: float
    risk: float

    @property
    def certified(self) -> bool:
        """Whether the bound is at or below what was asked for."""
        return self.missing == 0

    @property
    def vetoed(self) -> bool:
        """Whether it fails more often than was predicted."""
        return self.alarm >= ALARM


def expected(failures: float, tasks: float, others_failed: float, others: float, m: float) -> float:
    """The share of failures that the bettor expects of the next task: below ``m``, and above 0, so that no failure ruins it."""
    share = (failures + OTHERS * others_failed + BEGIN_FAILED * min(1.0, m / RISK)) / (tasks + OTHERS * others + BEGIN_TASKS)
    return min(share, 0.9 * m)


KEPT = 64
"""Turns on a weaker config that a person may still judge."""


@dataclass(frozen=True, slots=True)
class Weaker:
    """A weaker config than asked worked in ``turn`` of ``task``, by our choice; ``predicted``: its P(failure) then.

    ``helper``: it worked as a sub-agent, so that the main lane's config is not the only one that a verdict is about.
    """

    turn: int
    task: int
    asked: Config
    served: Config
    kind: str
    predicted: float
    helper: bool = False


def working(known: tuple[Weaker, ...], decision: Decision) -> tuple[Weaker, ...]:
    """``known`` with the turn of ``decision``, where a weaker config works and no pin put it there.

    A retry replays its decision: what put the config there was counted then, or was a pin.
    """
    place, chosen, asked = decision.place, decision.chosen, decision.asked
    if chosen == asked or place.kind == "side" or decision.reason in ("pin", "schedule", "failover", "retry"):
        return known
    order = [row.config for row in decision.candidates]
    if chosen not in order or asked not in order or order.index(chosen) > order.index(asked):
        return known
    helper = place.kind == "subagent"
    for w in reversed(known):
        if w.turn != place.turn:
            break
        if w.served == chosen and w.helper == helper:
            return known
    row = decision.row(chosen)
    predicted = row.fail if row is not None and row.fail is not None else 0.5
    return (*known, Weaker(place.turn, place.task, asked, chosen, decision.kind or ANY, predicted, helper))[-KEPT:]


def disowned(known: tuple[Weaker, ...], decision: Decision) -> tuple[Weaker, ...]:
    """``known`` without the turn of ``decision``, whose chosen config did not answer."""
    work = (decision.place.turn, decision.chosen, decision.place.kind == "subagent")
    return tuple(w for w in known if (w.turn, w.served, w.helper) != work)


def won(tasks: Sequence[Judgement], m: float) -> bool:
    """Whether ``m`` is certified: now, or at an earlier look, which holds."""
    return missing(tasks, m, 1) == 0


def missing(
    tasks: Sequence[Judgement], m: float, at_most: int = 2_000, recall: float = 1.0, elsewhere: tuple[int, int] | None = None
) -> int:  # fmt: skip
    """How many clean tasks more certify ``m``, up to ``at_most``; 0: it is certified, or was at an earlier look.

    ``recall``: of the labels to come. ``elsewhere``: failures and tasks of the pair's other kinds by now (None: as the last of
    ``tasks`` knew them).
    """
    total, failures, seen, best = 0.0, 0, 0, 0.0
    others_failed = others = 0.0
    for failed, others_failed, others, label in tasks:
        total += _step(failed, expected(failures, seen, others_failed, others, m * label), m * label)
        failures, seen, best = failures + failed, seen + 1, max(best, total)
    if best >= log(ALARM):
        return 0
    others_failed, others = elsewhere or (others_failed, others)
    for more in range(1, at_most + 1):
        total += _step(False, expected(failures, seen, others_failed, others, m * recall), m * recall)
        seen += 1
        if total >= log(ALARM):
            return more
    return at_most


def _step(failed: bool, q: float, m: float) -> float:
    """What one task adds to the log of the capital of a bet on ``q`` against ``m``; nothing where no label can show a failure."""
    if m <= 0.0:
        return 0.0
    return log(q / m) if failed else log((1.0 - q) / (1.0 - m))


def bound(tasks: Sequence[Judgement]) -> float | None:
    """The smallest share of ``GRID`` below which the failures are, with 95 %, at all looks; None: above half is not excluded.

    Every larger share must be excluded as well: a false bound then needs a false exclusion of one share, the one next below the
    true one, and not of any of many.
    """
    found = None
    for m in reversed(GRID):
        if not won(tasks, m):
            break
        found = m
    return found


def alarm(tasks: Iterable[tuple[bool, float]]) -> float:
    """The most that the bet "it fails more often than predicted" ever held. ``tasks``: (seen to fail, chance of that)."""
    bets, worst = [0.0] * len(WORSE), 0.0
    for failed, chance in tasks:
        p = min(0.95, chance)
        odds = p / (1.0 - p)
        for i, factor in enumerate(WORSE):
            bets[i] += _step(failed, odds * factor / (1.0 + odds * factor), p)
        worst = max(worst, sum(exp(bet) for bet in bets) / len(WORSE))
    return worst


def _seen(task: Served, risk: float) -> tuple[bool, float]:
    """Whether a task was seen to fail, and how likely that was: as predicted, or as promised where that is more."""
    p = max(risk, task.predicted)
    return task.failed, task.recall * p + task.false_alarm * (1.0 - p)


@dataclass(frozen=True, slots=True)
class Record:
    """The judged tasks of weaker configs, oldest first, and what they come to. ``told``: by (session, task, served)."""

    risk: float = RISK
    told: Mapping[tuple[str, int, Config], Served] = field(default_factory=dict)
    certified: Mapping[tuple[Config, str], frozenset[Config]] = field(default_factory=dict)
    vetoed: Mapping[tuple[Config, str, str], Mapping[Config, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, told: Mapping[tuple[str, int, Config], Served], risk: float) -> Record:
        """What the tasks in ``told``, in their order, come to where ``risk`` is promised."""
        return cls(risk, dict(told), *_standings(tuple(told.values()), risk))

    def standing(
        self, asked: Config, kind: str | None, project: str | None
    ) -> tuple[frozenset[Config], Mapping[Config, str]]:  # fmt: skip
        """The certified configs for this asked model and kind of task, and those that are vetoed here, each with its reason."""
        if not self.told:
            return _NONE, {}
        name = kind or ANY
        found = dict(self.vetoed.get((asked, name, ""), {}))
        if project:  # without one the key would be that of tasks of no kind
            found = {**self.vetoed.get((asked, "", project), {}), **found}
        return self.certified.get((asked, name), _NONE), found

    def slices(self) -> dict[tuple[Config, Config, str], Standing]:
        """Every (asked, served, kind) that has a judged task, with how far it is."""
        keys = dict.fromkeys((t.asked, t.served, t.kind) for t in self.told.values())
        return {key: self.slice(*key) for key in keys}

    def slice(self, asked: Config, served: Config, kind: str) -> Standing:
        """How far one slice is; where it has no task yet, what its pair's other kinds already do for it."""
        tasks = tuple(self.told.values())
        own = _with_others(tasks, asked, served, kind)
        pair = [t for t in tasks if (t.asked, t.served) == (asked, served)]
        mine = [_seen(t, self.risk) for t in pair if t.kind == kind]
        rest = [t.failed for t in pair if t.kind != kind]
        failed, recall = sum(task[0] for task in own), own[-1][3] if own else CHECK_RECALL
        more = missing(own, self.risk, recall=recall, elsewhere=(sum(rest), len(rest)))
        return Standing(len(own), failed, bound(own), more, alarm(mine), self.risk)


_NONE: frozenset[Config] = frozenset()
EMPTY = Record()


def _with_others(tasks: Sequence[Served], asked: Config, served: Config, kind: str) -> list[Judgement]:
    """The tasks of one slice, each with what was known of the pair's other kinds before it."""
    found: list[Judgement] = []
    failed = seen = 0
    for task in tasks:
        if (task.asked, task.served) != (asked, served):
            continue
        if task.kind == kind:
            found.append((task.failed, float(failed), float(seen), task.recall))
        else:
            failed, seen = failed + task.failed, seen + 1
    return found


_Certified = dict[tuple[Config, str], frozenset[Config]]
_Vetoed = dict[tuple[Config, str, str], dict[Config, str]]


def _standings(tasks: Sequence[Served], risk: float) -> tuple[_Certified, _Vetoed]:
    """Which slices are certified, and which are vetoed: by kind, and by project."""
    certified: _Certified = {}
    vetoed: _Vetoed = {}
    for asked, served, kind in dict.fromkeys((t.asked, t.served, t.kind) for t in tasks):
        if won(_with_others(tasks, asked, served, kind), risk):
            certified[(asked, kind)] = certified.get((asked, kind), _NONE) | {served}
    slices: dict[tuple[Config, Config, str, str], list[Served]] = {}
    for task in tasks:
        slices.setdefault((task.asked, task.served, task.kind, ""), []).append(task)
        if task.project:
            slices.setdefault((task.asked, task.served, "", task.project), []).append(task)
    for (asked, served, kind, project), own in slices.items():
        if alarm(_seen(task, risk) for task in own) >= ALARM:
            failed = sum(t.failed for t in own)
            where = "in this folder" if project else f"on {kind} tasks" if kind else "on tasks of no kind"
            said = f"vetoed: {failed} of the {len(own)} tasks it served {where} failed, more than predicted"
            vetoed.setdefault((asked, kind, project), {})[served] = said
    return certified, vetoed
