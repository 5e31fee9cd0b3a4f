"""What checking came to: failures caught first, false alarms, minutes and dollars, and what was resolved by which config.

A task is *resolved* when a person marked it good, else when the last word of a check on it was that it passes, else when it was
committed and not reverted, or an embedder's own check passed; *unresolved* when the last word was the opposite; else it is
*unknown*, a column of its own, never imputed (DECISION.md 7).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pointsman.core.checks import USER_USD_PER_MINUTE
from pointsman.core.events import Checked
from pointsman.core.pricing import cost
from pointsman.core.rows import RequestRow, SessionRow, TurnRow
from pointsman.core.types import Config, TaskKind


@dataclass(slots=True, eq=False)
class Solved:
    """Tasks that began on one config, with or without escalation."""

    resolved: int = 0
    unresolved: int = 0
    unknown: int = 0

    @property
    def tasks(self) -> int:
        """All of them."""
        return self.resolved + self.unresolved + self.unknown


@dataclass(slots=True, eq=False)
class Asked:
    """Consults of one advisor: asked and ``given``, USD billed for them, seconds they took; ``capped`` were not asked."""

    asked: int = 0
    given: int = 0
    capped: int = 0
    usd: float = 0.0
    seconds: float = 0.0


@dataclass(slots=True, eq=False)
class Tally:
    """``runs``: checks that ran, by verdict in ``passed``, ``failed``, ``unsure``. ``caught``: failures that went back to the
    agent before the person saw "done"; ``shown``: those the person was told with the answer. ``false_alarms``: failures of
    work that a person marked good. ``flaky``: runs that disagreed with themselves. ``seconds`` of checking; ``repair_usd``
    billed from a failure to the next word of the check. ``solved``: by (first config, escalated). ``kinds``: turns, requests
    and USD billed by what the turns were about. ``advice``: consults by (advisor, push or pull).
    """

    runs: int = 0
    passed: int = 0
    failed: int = 0
    unsure: int = 0
    caught: int = 0
    shown: int = 0
    repaired: int = 0
    false_alarms: int = 0
    flaky: int = 0
    seconds: float = 0.0
    repair_usd: float = 0.0
    solved: dict[tuple[Config, bool], Solved] = field(default_factory=dict)
    kinds: dict[TaskKind, tuple[int, int, float]] = field(default_factory=dict)
    advice: dict[tuple[str, str], Asked] = field(default_factory=dict)

    @property
    def waiting_usd(self) -> float:
        """What the waiting costs the person, modelled: $60 an hour."""
        return self.seconds / 60.0 * USER_USD_PER_MINUTE


def tally(sessions: Iterable[SessionRow]) -> Tally:
    """Count over whole sessions."""
    found = Tally()
    for session in sessions:
        tasks: dict[int, list[TurnRow]] = {}
        for turn in session.turns:
            tasks.setdefault(turn.task, []).append(turn)
            for row in turn.requests:
                _advice(found, row)
            if turn.kind is not None:
                turns, requests, usd = found.kinds.get(turn.kind, (0, 0, 0.0))
                found.kinds[turn.kind] = turns + 1, requests + turn.totals.requests, usd + turn.totals.spent
        for task in tasks.values():
            _task(found, task)
    return found


def _advice(found: Tally, row: RequestRow) -> None:
    for event in row.advice:
        asked = found.advice.setdefault((event.config.model, event.how), Asked())
        asked.asked += event.asked
        asked.given += event.outcome == "given"
        asked.capped += not event.asked
        asked.seconds += event.seconds
        if event.usage is not None and event.rates is not None:
            asked.usd += cost(event.usage, event.rates)


def _task(found: Tally, turns: list[TurnRow]) -> None:
    checks = [check for turn in turns for check in turn.checks]
    for i, check in enumerate(checks):
        later = checks[i + 1] if i + 1 < len(checks) else None
        _check(found, check, later, turns)
    first = next((row for turn in turns for row in turn.main if row.purpose == "turn"), None)
    if first is None:
        return
    escalated = any(row.reason in ("escalate", "hand_down", "sticky") for turn in turns for row in turn.main)
    row = found.solved.setdefault((first.ran, escalated), Solved())
    match _outcome(turns, checks):
        case True:
            row.resolved += 1
        case False:
            row.unresolved += 1
        case None:
            row.unknown += 1


def _check(found: Tally, check: Checked, later: Checked | None, turns: list[TurnRow]) -> None:
    found.runs += 1
    found.seconds += check.seconds
    found.flaky += check.flake
    found.passed += check.verdict == "check_passed"
    found.unsure += check.verdict == "check_unsure"
    if check.verdict != "check_failed":
        return
    found.failed += 1
    found.caught += check.sent_back
    found.shown += not check.sent_back
    found.repaired += later is not None and later.verdict == "check_passed"
    found.false_alarms += any(turn.n == check.turn and turn.mark == "good" for turn in turns)
    until = later.ts if later is not None else check.ts
    rows = (row for turn in turns for row in turn.requests if check.ts <= row.ts <= until)
    found.repair_usd += sum(row.billed or 0.0 for row in rows)


def _outcome(turns: list[TurnRow], checks: list[Checked]) -> bool | None:
    """Whether the task was resolved, by its last mark, else its check's last clear word, else its last signal; None: unknown."""
    mark = next((turn.mark for turn in reversed(turns) if turn.mark is not None), None)
    if mark is not None:
        return mark != "bad"
    last = next((check.verdict for check in reversed(checks) if check.verdict != "check_unsure"), None)
    if last is not None:
        return last == "check_passed"
    label = next((turn.label for turn in reversed(turns) if turn.label in ("good", "bad")), None)
    return None if label is None else label == "good"
