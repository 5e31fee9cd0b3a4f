"""All sessions at once: a fold of the ledger's events, with what outlasts a single session beside them.

Theory of operation. Every event, live or read from a ledger, goes through ``apply``. Sessions that have been silent for
longest are dropped from memory and folded again from their own events (``recall``) when they speak, are pinned or judged.
Pins that always hold, what an upstream does not serve, runs and what bills have taught belong to no session: ``of`` lays
them under the session for one decision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from pointsman.core import lineage, verdicts
from pointsman.core.book import Book
from pointsman.core.events import Event, Finished, Graded, Marked, Pinned, Routed, RunStarted, Signalled, Unpinned
from pointsman.core.evolve import evolve, taught
from pointsman.core.learned import Learned
from pointsman.core.session import Pin, Session
from pointsman.core.types import Config, Request
from pointsman.core.userrecord import UserRecord

SESSIONS_KEPT = 400
"""Sessions held in memory; older idle ones are rebuilt from the ledger when they speak again."""

LOST_S = 7_200.0
"""Seconds after which a request that was never finished is given up: no provider answers for longer than an hour."""

ALIKE = 16
"""Sessions that began with the same words and are recalled at most, to find the one that a request without ids continues."""


class Sessions:
    """The sessions in memory. ``recall`` gives the events of one that spoke longer ago, oldest first; empty: it never spoke."""

    def __init__(self, book: Book, recall: Callable[[str], Iterable[Event]] | None = None) -> None:
        self.book = book
        self.held: dict[str, Session] = {}
        self.learned = Learned()
        self.runs: dict[str, RunStarted] = {}
        self.always: dict[str | None, Pin] = {}
        self._recall = recall
        self._released = 0.0
        self._unserved: dict[str, dict[Config, str]] = {}
        self._index = lineage.Index()
        self.user = UserRecord()
        self._reading = False

    def read(self, events: Iterable[Event]) -> None:
        """Fold a ledger's past. Sessions are dropped only once all is read: half of one would not be recalled."""
        self._reading = True
        for event in events:
            self.apply(event)
        self._reading = False
        if len(self.held) > SESSIONS_KEPT:
            self._forget(None)

    def apply(self, event: Event) -> None:
        """Fold one event into the state; the same path for live events and for a ledger being read."""
        if isinstance(event, RunStarted):
            self.runs[event.run] = event
            return
        name = getattr(event, "session", None)
        if name is None:
            self.user.apply(event, None)
            self._apply_always(event)
            return
        self.user.apply(event, self.held.get(name))
        if isinstance(event, Finished):
            self._not_served(event)
            self._learn(event)
        elif isinstance(event, (Signalled, Marked)):
            abilities = verdicts.learned(self.learned.abilities, self.held.get(name), event, self.book)
            self.learned = replace(self.learned, abilities=abilities)
        elif isinstance(event, Graded) and name not in self.held:  # else its signal or mark has taught it
            self.learned = replace(self.learned, abilities=self.learned.abilities.after(event.verdict))
        self._fold(name, event)

    def graded(self, event: Event) -> Graded | None:
        """What ``event``, not folded yet, teaches of models and tasks, as it is kept for when its session is forgotten."""
        if not isinstance(event, (Signalled, Marked)):
            return None
        verdict = verdicts.verdict_of(self.learned.abilities, self.held.get(event.session), event, self.book)
        return None if verdict is None else Graded(event.ts, event.session, verdict)

    def known(self, name: str) -> Session | None:
        """The session ``name``, recalled where it spoke long ago; None where it never spoke."""
        if name not in self.held and self._recall is not None:
            for event in self._recall(name):  # what its bills taught was learned when they came
                self._fold(name, event)
        return self.held.get(name)

    def newest(self, cwd: str | None) -> Session | None:
        """The session in ``cwd`` (None: anywhere) that spoke last."""
        here = [s for s in self.held.values() if cwd is None or s.cwd == cwd]
        return max(here, key=lambda s: s.seen, default=None)

    def of(self, request: Request, upstream: str, now: float | None = None) -> Session:
        """The session of ``request``, recalled where it spoke long ago, new where it begins; ready to be decided upon."""
        name = lineage.find(request, self._index, self.held, now)
        for _ in range(ALIKE):
            if name in self.held or self.known(name) is None:
                break
            name = lineage.find(request, self._index, self.held, now)  # what was recalled may only have begun alike
        session = self.held.get(name) or Session(id=name, cwd=request.cwd)
        return self.laid_under(session, request, upstream)

    def laid_under(self, session: Session, request: Request, upstream: str) -> Session:
        """``session`` with what outlasts it: a pin that always holds in its folder, and what this upstream does not serve."""
        refused = self._unserved.get(upstream)
        if refused or session.refused:
            session = replace(session, refused=refused or {})
        if session.pin is None and self.always:
            pin = self.always.get(session.cwd or request.cwd) or self.always.get(None)
            session = replace(session, pin=pin)
        if any(lane.upstream != upstream for lane in session.lanes.values()):
            session = replace(session, lanes={id: lane.at(upstream) for id, lane in session.lanes.items()})
        if self._released > session.released:
            session = replace(session, released=self._released)
        return self.user.laid_in(replace(session, learned=self.learned))

    def _fold(self, name: str, event: Event) -> None:
        session = evolve(self.held.get(name), event)
        if session is None:
            return
        self.held[name] = session
        if isinstance(event, Routed) and event.kept == 0:
            self._index.add(event.request, name)
        if len(self.held) > SESSIONS_KEPT and not self._reading:
            self._forget(name)

    def _not_served(self, event: Finished) -> None:
        """An upstream that forbids or does not know a model does so for every session; other refusals may be the history's."""
        session = self.held.get(event.session)
        pending = session.pending.get(event.id) if session else None
        if event.resent and pending is not None and event.refused in (403, 404):
            unserved = self._unserved.setdefault(pending.upstream, {})
            unserved[pending.decision.chosen] = f"this upstream does not serve it ({event.refused})"

    def _learn(self, event: Finished) -> None:
        """Count what the bill says about the prediction, before ``evolve`` re-anchors the lane on it."""
        session = self.held.get(event.session)
        if session is not None:
            self.learned = taught(self.learned, session, event, self.book)

    def _apply_always(self, event: Event) -> None:
        if isinstance(event, Pinned):
            self.always[event.cwd] = Pin(event.config, event.scope, event.origin, event.ts)
        elif isinstance(event, Unpinned):
            self.always.pop(event.cwd, None)
            self._released = event.ts

    def _forget(self, spoke: str | None) -> None:
        """Drop the quarter of the sessions that spoke longest ago and have nothing under way, or gave up on it; not ``spoke``."""
        newest = max(s.seen for s in self.held.values())
        idle = [s for s in self.held.values() if s.id != spoke and (not s.pending or s.seen < newest - LOST_S)]
        for session in sorted(idle, key=lambda s: s.seen)[: max(SESSIONS_KEPT // 4, len(self.held) - SESSIONS_KEPT)]:
            del self.held[session.id]
