"""What a run of the check says, what this check has been worth so far, and what checking came to. Pure.

Theory of operation. A test that fails is blamed on the agent only if it did not fail before: the *baseline* is the set of
tests that failed on the tree at the turn's start. Names that an earlier failed check already blamed on this agent stay
blamed. A run that cannot be trusted (it hung, ran no test, disagreed with itself, files moved under it) is ``check_unsure``
and moves nothing. Recall and false-alarm rate of one user's check are Beta means around the priors of DECISION.md 1.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from pointsman.core.documents import is_document
from pointsman.core.events import Checked, Event, Guard, Marked, Signalled, Verdict
from pointsman.core.policy import CHECK_FALSE_ALARM, CHECK_RECALL

PRIOR_RUNS = 10.0
"""How many observed runs the priors weigh: after ten of a user's own, both count the same."""

ALWAYS_FAILED = 6
"""Failed runs on different trees, and never one that passed: the check says nothing about the work."""

NEVER_FAILED = 60
"""Passed runs on different trees, and never one that failed: at a 5 % failure rate of the work that happens to 1 in 20."""

NAMES_KEPT = 20
"""Names of new failures kept in an event."""

SIGNALS = 64
"""Signals that a shell tells of by an exit code of 128 and their number; above that a program has chosen its code itself."""

USER_USD_PER_MINUTE = 1.0
"""USD that a minute of waiting costs: $60 an hour (DECISION.md 1)."""

_CANNOT_FAIL = re.compile(r"(?:^\s*(?:true|:|echo\b.*|exit 0)\s*$)|(?:(?:\|\||;)\s*(?:true|:|exit 0)\s*$)")


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of the command. ``failed``: names of failing tests; ``tests``: how many ran, None when it did not say.

    ``code``: exit code, negative for a signal, None when it was stopped. ``limit_s``: its time limit.
    """

    code: int | None
    seconds: float
    failed: frozenset[str] = frozenset()
    tests: int | None = None
    timed_out: bool = False
    cancelled: bool = False
    limit_s: float = 0.0

    @property
    def names(self) -> frozenset[str]:
        """What failed, by name; by exit code where the runner names nothing."""
        if self.code == 0:
            return frozenset()
        return self.failed or frozenset({f"exit code {self.code}"})


@dataclass(frozen=True, slots=True)
class Judged:
    """What a run means. ``new``: failures blamed on this turn's work. ``known``: whether a baseline was there."""

    verdict: Verdict
    why: str
    new: tuple[str, ...] = ()
    known: bool = True
    flake: bool = False


def cannot_fail(command: str) -> bool:
    """Whether the exit code of a shell command is 0 whatever happens: ``pytest || true``, ``true``."""
    return bool(_CANNOT_FAIL.search(command))


def judge(
    first: Trial, again: Trial | None, baseline: frozenset[str] | None, *, blamed: Collection[str] = (),
    flaky: Collection[str] = (), moved: Collection[str] = (), work: Collection[str] = (), distrust: str | None = None,
) -> Judged:  # fmt: skip
    """The verdict of a run. ``again``: a second run on the unchanged tree after a failure, None where there was none.

    ``baseline``: what failed before the work, None: not known. ``blamed``: what an earlier check blamed on this work.
    ``flaky``: tests that have disagreed with themselves. ``moved``: files that changed while it ran; ``work``: those
    that the agent changed.
    """
    known = baseline is not None
    trouble = _unusable(first)
    if trouble is None and moved:
        some = ", ".join(sorted(moved)[:3])
        trouble = f"files changed while it ran ({some}): by the check itself or by somebody else"
    if trouble is None:
        trouble = distrust
    if trouble is not None:
        return Judged("check_unsure", trouble, (), known)
    if first.code == 0 and work and all(map(is_document, work)):
        return Judged("check_unsure", "it passed, but only documents were changed: it says nothing of them", (), known)
    if first.code == 0:
        ran = f"{first.tests} tests" if first.tests is not None else "it"
        return Judged("check_passed", f"{ran} passed", (), known)
    if again is not None and again.code is not None and not again.timed_out and again.names != first.names:
        steady = first.names & again.names
        if not steady:
            return Judged("check_unsure", "two runs on the same tree disagree: flaky", (), known, flake=True)
        first, flake = Trial(first.code, first.seconds, steady, first.tests), True
    else:
        flake = False
    return _blame(first, baseline, frozenset(blamed), frozenset(flaky), flake)


def _blame(
    run: Trial, baseline: frozenset[str] | None, blamed: frozenset[str], flaky: frozenset[str], flake: bool
) -> Judged:  # fmt: skip
    known = baseline is not None
    excused = (baseline or frozenset()) - blamed
    new = run.names - excused - flaky
    if new:
        count = f"{len(new)} newly failing" if known else f"{len(new)} failing, and whether before too is not known"
        return Judged("check_failed", count, tuple(sorted(new)), known, flake)
    if run.names & flaky:
        return Judged("check_unsure", "only tests failed that have disagreed with themselves before", (), known, True)
    return Judged("check_unsure", f"{len(run.names)} failing as before the turn, none newly", (), known, flake)


def _unusable(run: Trial) -> str | None:
    """Why a run says nothing about the work, or None."""
    if run.cancelled:
        return "stopped, because the agent went on working or it was interrupted"
    if run.timed_out:
        return f"it did not end within {run.limit_s:g} s and was stopped"
    if run.code in (126, 127):
        return "the command cannot be run: it is not there, or not executable"
    if run.code is not None and run.code < 0 and not run.failed:
        return f"it was ended by signal {-run.code}"
    if run.code is not None and 128 < run.code <= 128 + SIGNALS and not run.failed:
        return f"it was ended by signal {run.code - 128}"
    if run.tests == 0:
        return "it ran no test"
    if run.code == 0 and run.failed:
        return f"it reports {len(run.failed)} failing and exits with 0 all the same: it cannot fail"
    return None


@dataclass(frozen=True, slots=True)
class Learned:
    """What one check has been worth. ``recall`` and ``false_alarm``: Beta means; ``flake``: share of runs that disagreed
    with themselves; ``seconds``: median duration, None without a run. ``distrust``: why it is not believed, or None.
    """

    runs: int = 0
    recall: float = CHECK_RECALL
    false_alarm: float = CHECK_FALSE_ALARM
    flake: float = 0.0
    seconds: float | None = None
    distrust: str | None = None

    def guard(self, label: str) -> Guard:
        """These rates as the fact that a wrapped run begins with."""
        return Guard(label, self.recall, self.false_alarm, self.runs, self.seconds)


def learned(events: Iterable[Event], label: str) -> Learned:
    """What the ledger's ``events``, oldest first, say about the check ``label``.

    Caught: it failed, and passed later in the task after more work. Missed: it passed, and the turn was then marked bad or
    the work reverted. False alarm: it failed and the turn was marked good, or it disagreed with itself. Clean: it passed
    and nobody complained.
    """
    ours: list[Checked] = []
    verdicts: dict[tuple[str, int], str] = {}
    last_turn: dict[str, int] = {}
    for event in events:
        if isinstance(event, Checked) and event.label == label:
            ours.append(event)
            last_turn[event.session] = event.turn
        elif isinstance(event, Marked):
            verdicts[(event.session, event.turn)] = "" if event.undo else event.mark
        elif isinstance(event, Signalled) and event.kind == "revert" and event.session in last_turn:
            verdicts[(event.session, last_turn[event.session])] = "bad"
    caught = missed = wrong = clean = 0
    next_of: dict[tuple[str, int], Checked] = {}
    for event in reversed(ours):
        said = verdicts.get((event.session, event.turn), "")
        later, next_of[event.session, event.task] = next_of.get((event.session, event.task)), event
        if event.verdict == "check_failed":
            wrong += said == "good" or (later is not None and later.flake)
            caught += said == "bad" or (later is not None and later.verdict == "check_passed" and later.tree != event.tree)
        elif event.verdict == "check_passed":
            missed += said == "bad"
            clean += said != "bad"
        wrong += event.flake
    return Learned(
        runs=len(ours),
        recall=(CHECK_RECALL * PRIOR_RUNS + caught) / (PRIOR_RUNS + caught + missed),
        false_alarm=(CHECK_FALSE_ALARM * PRIOR_RUNS + wrong) / (PRIOR_RUNS + wrong + clean),
        flake=sum(e.flake for e in ours) / len(ours) if ours else 0.0,
        seconds=sorted(e.seconds for e in ours)[len(ours) // 2] if ours else None,
        distrust=_distrust(ours),
    )  # fmt: skip


def _distrust(runs: list[Checked]) -> str | None:
    """Why a check with this record is not believed: its exit code has only ever been one thing.

    Where the failing tests have names and others pass, a newly failing one is seen all the same.
    """
    told = {(run.tree, run.exit == 0) for run in runs if run.exit is not None}
    trees = len({tree for tree, _ in told})
    named = any(run.tests is not None and run.tests > run.failed for run in runs)
    if trees >= ALWAYS_FAILED and not named and not any(good for _, good in told):
        return f"it has failed on every one of {trees} trees: it says nothing about the work"
    if trees >= NEVER_FAILED and all(good for _, good in told):
        return f"it has passed on every one of {trees} trees: it may not be able to fail"
    return None
