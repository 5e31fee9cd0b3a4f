"""What if every model were admitted, and a failure cost you this much? ``decide`` over the recorded requests. Pure.

Theory of operation. The session is folded twice: as it was, and as it would have been. Each request of the main lane is
decided anew against the second fold, with the caches that path would have had; its usage is then what the candidate row
predicts, with the recorded output. Until the paths part, the bill itself is used. Pins are left out; sub-agents and
housekeeping stay as they were. Answers that never came and failures are not re-lived: the figures are a hint.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from pointsman.core.book import Book
from pointsman.core.decide import decide
from pointsman.core.events import Event, Finished, Pinned, Routed, Unpinned
from pointsman.core.policy import Policy
from pointsman.core.pricing import cost
from pointsman.core.session import Session, evolve
from pointsman.core.types import Decision, Usage
from pointsman.tui.reasons import fail_interval

STOPS = (0.0, 0.6, 2.0, 5.0, 10.0, 20.0)
"""USD that a failure costs the user: the sweep of every evaluation here (DECISION.md 9)."""


@dataclass(slots=True)
class Way:
    """One way through the same requests: USD spent and spent on refills, expected failures (low, high), by turn."""

    spent: float = 0.0
    refills: float = 0.0
    fails: dict[int, tuple[float, float]] = field(default_factory=dict)

    @property
    def failures(self) -> tuple[float, float]:
        """Failures expected over all turns, low and high."""
        return sum(low for low, _ in self.fails.values()), sum(high for _, high in self.fails.values())

    def add(self, decision: Decision, usd: float) -> None:
        """Count one request."""
        self.spent += usd
        row = decision.row(decision.chosen)
        if row is not None:
            self.refills += row.toll_usd or 0.0
            if row.fail is not None:
                self.fails[decision.place.turn] = fail_interval(row.fail, decision.belief)


@dataclass(slots=True)
class WhatIf:
    """Both paths over the ``requests`` that were billed, and the turns on which they run something else."""

    failure_usd: float
    run: Way = field(default_factory=Way)
    instead: Way = field(default_factory=Way)
    requests: int = 0
    turns: set[int] = field(default_factory=set)
    differs: set[int] = field(default_factory=set)


def what_if(events: Iterable[Event], book: Book, policy: Policy, failure_usd: float) -> WhatIf:
    """Replay one session's events under ``policy`` with everything admitted and ``failure_usd`` per visible failure."""
    free = replace(policy, profile="saver", mode="auto", consent_up=True, failure_usd=failure_usd)
    return _Replay(book, free, WhatIf(failure_usd)).over(events)


class _Replay:
    """The two folds of one replay."""

    def __init__(self, book: Book, policy: Policy, found: WhatIf) -> None:
        self._book, self._policy, self._found = book, policy, found
        self._real: Session | None = None
        self._other: Session | None = None
        self._open: dict[str, tuple[Decision, Decision]] = {}
        self._parted = False

    def over(self, events: Iterable[Event]) -> WhatIf:
        """Fold every event; the result."""
        for event in events:
            if isinstance(event, Routed):
                self._routed(event)
            elif isinstance(event, Finished):
                self._finished(event)
            else:
                self._real = evolve(self._real, event)
                if not isinstance(event, (Pinned, Unpinned)):
                    self._other = evolve(self._other, event)
        return self._found

    def _routed(self, event: Routed) -> None:
        self._real = evolve(self._real, event)
        place = event.decision.place
        if self._real is None or place.kind != "main" or event.request.purpose == "count":
            self._other = evolve(self._other, event)
            return
        request = replace(event.request, messages=self._real.lanes[place.lane].messages)
        session = self._other or Session(id=event.session, client=request.client, cwd=request.cwd, run=request.run)
        decision = replace(decide(request, session, self._book, self._policy, event.ts, 0.0), id=event.id)
        self._other = evolve(session, replace(event, decision=decision))
        self._open[event.id] = (event.decision, decision)

    def _finished(self, event: Finished) -> None:
        self._real = evolve(self._real, event)
        decided = self._open.pop(event.id, None)
        usage, rates = event.usage, event.rates
        if decided is None or usage is None or rates is None:
            self._other = evolve(self._other, event)
            return
        was, now = decided
        differs = now.chosen != (event.served or was.chosen)
        self._parted = self._parted or differs
        row = now.row(now.chosen)
        billed = cost(usage, rates)
        if self._parted and row is not None and row.rates is not None:
            ttl_s = event.ttl_s or 300
            usage = Usage(row.fresh, row.cache_read, ((ttl_s, row.cache_write),), usage.output, usage.reasoning)
            rates = row.rates
        self._other = evolve(self._other, replace(event, usage=usage, rates=rates, served=now.chosen, asked_usage=None))
        found, turn = self._found, was.place.turn
        found.requests += 1
        found.turns.add(turn)
        found.run.add(was, billed)
        found.instead.add(now, cost(usage, rates))
        if differs:
            found.differs.add(turn)
