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
from pointsman.tui.figures import UNKNOWN, Line, Style, line_of, money, signed, wrap
from pointsman.tui.reasons import fail_interval

STOPS = (0.0, 0.6, 2.0, 5.0, 10.0, 20.0)
"""USD that a failure costs the user: the sweep of every evaluation here (DECISION.md 9)."""


@dataclass(slots=True)
class Way:
    """A way through the same requests: USD spent and spent on refills, expected failures (low, high), by turn."""

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


def slider(stop: int, width: int) -> str:
    """``cheaper ───●─── safer``: where the price of a failure stands among the stops."""
    room = max(len(STOPS), min(40, width - 46))
    at = round(stop * (room - 1) / (len(STOPS) - 1))
    return f"cheaper {'─' * at}●{'─' * (room - 1 - at)} safer"


def lines_of(found: WhatIf, stop: int, width: int) -> list[Line]:
    """The what-if panel: the slider, both ways side by side, what differs, and how far to trust it."""
    run, instead = found.run, found.instead
    saved = signed(run.spent - instead.spent, modelled=True)
    style: Style = "good" if run.spent - instead.spent > 0.0005 else "bad" if instead.spent - run.spent > 0.0005 else ""
    out = [
        line_of((slider(stop, width), "accent"), "  a failure costs you ", (f"${found.failure_usd:.2f}", "bold")),
        line_of((f"{'main lane':<11}{'spent':>10}{'refills':>11}{'failures':>11}", "dim")),
        line_of(f"{'as run':<11}{money(run.spent):>10}{money(run.refills, modelled=True):>11}{_failures(run):>11}"),
        line_of(f"{'what if':<11}{money(instead.spent, modelled=True):>10}", f"{money(instead.refills, modelled=True):>11}",
                f"{_failures(instead):>11}"),
        line_of(f"{'saved':<11}", (f"{saved:>10}", style), f"{signed(run.refills - instead.refills, modelled=True):>11}"),
    ]  # fmt: skip
    differs = sorted(found.differs)
    named = " ".join(str(turn) for turn in differs[:12]) + (" …" if len(differs) > 12 else "")
    said = f"Runs something else on turns {named} (marked ≠)." if differs else "Runs the same on every turn."
    same = len(found.turns) - len(differs)
    hint = (
        f"Every model admitted, pins left out; the recorded requests and output, with the caches that way would have had. "
        f"Failures are modelled, not observed: effective sample {same} of {len(found.turns)} turns, so treat it as a hint."
    )
    out += [line_of(part) for part in wrap(said, width)]
    return out + [line_of((part, "dim")) for part in wrap(hint, width)]


def _failures(way: Way) -> str:
    """Expected failures as an interval; ``–`` where no turn has an estimate."""
    low, high = way.failures
    return f"{low:.1f}–{high:.1f}" if way.fails else UNKNOWN
