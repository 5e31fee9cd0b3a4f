"""What the user's own outcomes say of models and tasks: abilities, how hard the tasks are, hand-overs, repeats. Pure.

Theory of operation. P(success) is (1 - nobody) sigmoid(slope (theta + offset - kappa - tasks - project - kind - b)): a Rasch
curve whose every part is a Gaussian prior that the verdicts of checks (and marks, where no check spoke) move. A verdict is
noisy, so its recall and false-alarm rate stand in the likelihood, and so does the chance that work which a check had refused
was right all along. Each verdict is taken in by matching moments on the one sum it depends on, and what the sum learned is
shared among its parts by their variances (assumed-density filtering, as in TrueSkill). Intercept (``tasks``) and ``slope`` are
the user's two-parameter calibration, shrunk to identity. One frozen value for all sessions of a user, folded from the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import exp, sqrt

from pointsman.core.capability import HANDOVER, NOBODY, REPEAT, TASKS, TASKS_SD, Outlook, p_success, sigmoid
from pointsman.core.types import Belief, TaskKind

PLACE_SD = 0.5
"""How far one project's or one kind's mean may lie from the user's own, in logits (assumed: a fifth of the tasks' spread)."""

HANDOVER_SD = 0.3
"""kappa is .3 +- .3 (DECISION.md 4)."""

SLOPE_SD, STEEPEST = 0.15, 1.6
"""How far the curve may be flatter or steeper than the fitted one (assumed); it stays between 1 / STEEPEST and STEEPEST."""

PRIOR_TASKS = 20.0
"""Tasks that the priors of ``nobody`` and ``repeat`` weigh (assumed: both were measured elsewhere, on many)."""

TEMPER = 0.5
"""Weight of one verdict: a check errs in the same way again and again, so its verdicts are not independent (DECISION.md 3)."""

FORGET = 1.0 / 200.0
"""Share of what was learned that each verdict takes back: tasks and models change, and no model must stay written off because it
is not asked any more (assumed: a few months of one person's tasks)."""

POINTS, REACH = 21, 3.5
"""Grid of the moment match: points, and standard deviations to each side."""

SLOPES = ((-sqrt(3.0), 1.0 / 6.0), (0.0, 2.0 / 3.0), (sqrt(3.0), 1.0 / 6.0))
"""Gauss-Hermite rule of three points for the standard normal."""


UNSEEN_KIND = "chat"
"""The kind of a turn that has used no tool yet: nothing is known of it."""


@dataclass(frozen=True, slots=True)
class Gauss:
    """A Gaussian in logits. ``prior``: its standard deviation before anything was seen, where that is its own."""

    mean: float = 0.0
    sd: float = 0.0
    prior: float = 0.0

    def moved(self, share: float, shift: float, narrowed: float) -> Gauss:
        """This part of a sum after the sum moved by ``shift`` and its variance fell by ``narrowed``; ``share`` of it is ours."""
        return Gauss(self.mean + share * shift, sqrt(max(0.0, self.sd * self.sd - share * share * narrowed)), self.prior)

    def faded(self, mean: float, sd: float) -> Gauss:
        """A little nearer to its prior ``mean`` +- ``sd``."""
        var = self.sd * self.sd
        return Gauss(self.mean + FORGET * (mean - self.mean), sqrt(var + FORGET * (sd * sd - var)), self.prior)


@dataclass(frozen=True, slots=True)
class Rate:
    """A Beta mean: ``hits`` of ``n``, the prior's weight included."""

    hits: float
    n: float

    @property
    def p(self) -> float:
        """The mean."""
        return self.hits / self.n


@dataclass(frozen=True, slots=True)
class Verdict:
    """One outcome: the ``model`` with prior ability ``theta`` +- ``theta_sd`` did the work, and it was ``passed`` or not.

    ``belief``: of the task's difficulty before the verdict. ``before``: models whose work a check refused in this task, oldest
    first; ``first``: P(the last of them was right), before its verdict. ``recall`` and ``false_alarm``: how far a verdict can be
    believed.
    """

    model: str
    theta: float
    theta_sd: float
    passed: bool
    belief: Belief
    recall: float
    false_alarm: float
    before: tuple[str, ...] = ()
    first: float = 0.0
    project: str = ""
    kind: TaskKind | None = None

    def chance(self, right: bool) -> float:
        """P(this verdict) of work that is ``right`` or not."""
        fails = self.false_alarm if right else self.recall
        return 1.0 - fails if self.passed else fails

    @property
    def wrong(self) -> float:
        """P(the work was wrong when this try began): surely where it is the first; a check that refused it may have erred."""
        bad, good = self.recall * (1.0 - self.first), self.false_alarm * self.first
        return bad / (bad + good) if self.before and bad > 0.0 else 1.0


@dataclass(frozen=True, slots=True)
class Abilities:
    """``models``: offsets from the priors of data/abilities.toml; ``tasks`` from ``capability.TASKS``; ``seen`` verdicts."""

    models: Mapping[str, Gauss] = field(default_factory=dict)
    tasks: Gauss = Gauss(0.0, TASKS_SD)
    projects: Mapping[str, Gauss] = field(default_factory=dict)
    kinds: Mapping[str, Gauss] = field(default_factory=dict)
    handover: Gauss = Gauss(HANDOVER, HANDOVER_SD)
    slope: Gauss = Gauss(1.0, SLOPE_SD)
    nobody: Rate = Rate(NOBODY * PRIOR_TASKS, PRIOR_TASKS)
    repeat: Rate = Rate(REPEAT * PRIOR_TASKS, PRIOR_TASKS)
    seen: int = 0

    def skill(self, model: str, theta: float, theta_sd: float) -> tuple[float, float]:
        """Ability of ``model`` and its standard deviation, from its prior and what was seen here."""
        offset = self.models.get(model)
        return (theta, theta_sd) if offset is None else (theta + offset.mean, offset.sd)

    def outlook(self, project: str, kind: str | None) -> Outlook:
        """How this user's tasks of ``project`` and ``kind`` are."""
        tasks, there, such = self.tasks, self._of(self.projects, project), self._of(self.kinds, kind)
        common = sqrt(tasks.sd * tasks.sd + there.sd * there.sd + such.sd * such.sd)
        mean = TASKS + (tasks.mean + there.mean + such.mean)
        return Outlook(mean, common, self.slope.mean, self.handover.mean, self.nobody.p, self.repeat.p)

    def after(self, verdict: Verdict) -> Abilities:
        """What is known after one more outcome."""
        if verdict.recall <= verdict.false_alarm:
            return self  # a verdict that cannot tell teaches nothing
        if verdict.model in verdict.before:
            return replace(self, repeat=self._repeated(verdict), seen=self.seen + 1)
        return self._tried(verdict)

    def chance(self, verdict: Verdict) -> float:
        """P(the work is right) before its verdict is known, where nobody worked on the task before."""
        skill, look = self.skill(verdict.model, verdict.theta, verdict.theta_sd), self.outlook(verdict.project, verdict.kind)
        return p_success(verdict.belief, *skill, False, look)

    @staticmethod
    def _of(places: Mapping[str, Gauss], name: str | None) -> Gauss:
        """One project's or kind's part; none where it is not known which."""
        return places.get(name, ELSEWHERE) if name and name != UNSEEN_KIND else NOWHERE

    # -- inside ------------------------------------------------------------------------------------------------------

    def _parts(self, verdict: Verdict) -> list[tuple[str, Gauss, float]]:
        """The parts of the sum that a verdict depends on, each with its sign; the task's own difficulty is not kept here."""
        offset = self.models.get(verdict.model, Gauss(0.0, verdict.theta_sd, verdict.theta_sd))
        parts = [
            ("models", offset, 1.0), ("tasks", self.tasks, -1.0), ("projects", self._of(self.projects, verdict.project), -1.0),
            ("kinds", self._of(self.kinds, verdict.kind), -1.0),
        ]  # fmt: skip
        return [*parts, ("handover", self.handover, -1.0)] if verdict.before else parts

    def _tried(self, verdict: Verdict) -> Abilities:
        parts = self._parts(verdict)
        var = verdict.belief.sd**2 + sum([part.sd**2 for _, part, _ in parts])
        _, unsolved, (shift, narrowed), slope = self._moments(verdict)
        moved = {name: part.moved(sign * part.sd**2 / var, shift, narrowed) for name, part, sign in parts if part.sd}
        known = self._faded()
        return replace(
            known, models={**known.models, verdict.model: moved["models"]}, tasks=moved["tasks"],
            projects={**known.projects, verdict.project: moved["projects"]} if "projects" in moved else known.projects,
            kinds={**known.kinds, verdict.kind or "": moved["kinds"]} if "kinds" in moved else known.kinds,
            handover=moved.get("handover", known.handover), slope=slope,
            nobody=self.nobody if verdict.before else Rate(self.nobody.hits + TEMPER * unsolved, self.nobody.n + TEMPER),
            seen=self.seen + 1,
        )  # fmt: skip

    def _faded(self) -> Abilities:
        """The same, a little nearer to the priors."""
        return replace(
            self, models={name: part.faded(0.0, part.prior) for name, part in self.models.items()},
            tasks=self.tasks.faded(0.0, TASKS_SD), projects={k: part.faded(0.0, PLACE_SD) for k, part in self.projects.items()},
            kinds={k: part.faded(0.0, PLACE_SD) for k, part in self.kinds.items()},
            handover=self.handover.faded(HANDOVER, HANDOVER_SD), slope=self.slope.faded(1.0, SLOPE_SD),
        )  # fmt: skip

    def _moments(self, verdict: Verdict) -> tuple[float, float, tuple[float, float], Gauss]:
        """P(verdict); P(nobody solves it | it); shift of the sum's mean and fall of its variance, tempered; the slope after."""
        parts = self._parts(verdict)
        var = verdict.belief.sd**2 + sum([part.sd**2 for _, part, _ in parts])
        mean = verdict.theta + sum([sign * part.mean for _, part, sign in parts]) - TASKS - verdict.belief.mu
        was_right = 1.0 - verdict.wrong
        good, bad = verdict.chance(True), verdict.chance(False)
        sd, total, first, second, tilt, tilt2, mass = sqrt(var), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(POINTS):
            z = REACH * (2.0 * i / (POINTS - 1) - 1.0)
            density, x = exp(-0.5 * z * z), mean + sd * z
            mass += density
            for at, share in SLOPES:
                steep = self.slope.mean + self.slope.sd * at
                p = was_right + (1.0 - was_right) * sigmoid(steep * x)
                weight = density * share * (good * p + bad * (1.0 - p))
                total, first, second = total + weight, first + weight * z, second + weight * z * z
                tilt, tilt2 = tilt + weight * at, tilt2 + weight * at * at
        hopeless = min(0.9, self.nobody.p / (1.0 - verdict.first)) if verdict.before else self.nobody.p
        solvable = (1.0 - hopeless) * total / mass
        never = hopeless * (good * was_right + bad * (1.0 - was_right))
        likely = solvable + never
        if likely <= 0.0:
            return likely, 0.0, (0.0, 0.0), self.slope
        held = solvable / likely  # the rest is the share in which nothing was learned about the sum
        shift = held * first / total
        spread = held * second / total + (1.0 - held) - shift * shift
        lean = held * tilt / total
        sure = held * tilt2 / total + (1.0 - held) - lean * lean
        now = min(STEEPEST, max(1.0 / STEEPEST, self.slope.mean + TEMPER * self.slope.sd * lean))
        slope = Gauss(now, self.slope.sd * sqrt(1.0 - TEMPER * (1.0 - min(1.0, max(0.25, sure)))))
        return likely, never / likely, (TEMPER * sd * shift, TEMPER * var * (1.0 - min(1.0, spread))), slope

    def _repeated(self, verdict: Verdict) -> Rate:
        """The rate at which a config mends its own failure, after one more that is only probably known."""
        wrong, p = verdict.wrong, self.repeat.p
        mended = wrong * p * verdict.chance(True)
        still = wrong * (1.0 - p) * verdict.chance(False)
        total = mended + still + (1.0 - wrong) * verdict.chance(True)
        return Rate(self.repeat.hits + mended / total, self.repeat.n + (mended + still) / total) if total > 0.0 else self.repeat


ELSEWHERE, NOWHERE = Gauss(0.0, PLACE_SD), Gauss(0.0, 0.0)
NOTHING = Abilities()
