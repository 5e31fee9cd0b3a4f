"""How long people take to put a bad turn right: what a failure they notice costs them, measured (DECISION.md 5).

A turn is bad where a person marked it so, or the last word of a check or a revert spoke against it. It is put right by the first
later turn of its session that is good; bad turns in a row are one trouble. What is said beside the setting ``failure_usd``
changes nothing by itself: the person says what their time is worth.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from pointsman.core.rows import SessionRow, TurnRow
from pointsman.core.types import HOUR


@dataclass(frozen=True, slots=True)
class Recoveries:
    """``minutes`` that each trouble took; ``never``: how many were not put right."""

    minutes: tuple[float, ...] = ()
    never: int = 0

    @property
    def median(self) -> float | None:
        """Minutes in the middle; None where no trouble has ended."""
        return median(self.minutes) if self.minutes else None


def recoveries(sessions: Iterable[SessionRow]) -> Recoveries:
    """Every trouble in ``sessions``."""
    minutes, never = [], 0
    for session in sessions:
        began: int | None = None
        for i, turn in enumerate(session.turns):
            if began is None:
                began = i if turn.outcome == "bad" else None
            elif turn.outcome in ("good", "overkill"):
                minutes.append(_minutes(session.turns[began : i + 1]))
                began = None
        never += began is not None
    return Recoveries(tuple(minutes), never)


def _minutes(turns: Sequence[TurnRow]) -> float:
    """From the last request of the bad turn to the last of the good one, without pauses of more than an hour."""
    times = [*[row.ts for row in turns[0].main[-1:]], *[row.ts for turn in turns[1:] for row in turn.main]]
    return sum([gap for one, two in pairwise(times) if (gap := two - one) <= HOUR]) / 60.0
