"""The engine's state: policy, book, sessions, requests under way, and the events since the caller last drained them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pointsman import wire
from pointsman.core.book import Book
from pointsman.core.events import (
    Event,
    Marked,
    Pinned,
    Routed,
    Signalled,
    Unpinned,
)
from pointsman.core.learned import Learned
from pointsman.core.policies import RunPolicies, named
from pointsman.core.policy import Policy
from pointsman.core.session import SCOPE, Lane, Pin, Session
from pointsman.core.sessions import Sessions
from pointsman.core.types import Place
from pointsman.core.userrecord import follows
from pointsman.engine.route import Open
from pointsman.errors import DecisionError, SettingsError


class State:
    """What all parts of the Router share. Events are its only way to change: each is folded as it is emitted.

    ``policy``: what is allowed. ``book``: prices, ladders, cache rules. ``events``: a ledger's past events, oldest first,
    from which sessions are rebuilt; ``recall`` gives those of a session that spoke longer ago. ``titles``: keep the start
    of a session's first prompt for people to recognise it.
    """

    def __init__(
        self,
        policy: Policy,
        book: Book,
        events: Iterable[Event] = (),
        *,
        titles: bool = True,
        recall: Callable[[str], Iterable[Event]] | None = None,
    ) -> None:
        self.policy = named(policy, book)
        self.book = book
        self._titles = titles
        self.additions = wire.Additions()
        self._known = Sessions(book, self.additions.hearing(recall) if recall else None)
        self._known.user.under(self.policy)
        self._policies = RunPolicies(book)
        self._open: dict[str, Open] = {}
        self._memo = wire.Memo()
        self._new: list[Event] = []
        self._count = 0
        self._undiagnosed: set[str] = set()
        past = list(events)
        for event in past:
            self.additions.heard(event)
        self._known.read(past)

    @property
    def sessions(self) -> Mapping[str, Session]:
        """The sessions in memory, by id."""
        return self._known.held

    @property
    def learned(self) -> Learned:
        """What bills and outcomes have taught, over all sessions."""
        return self._known.learned

    def events(self) -> list[Event]:
        """The events since the last call, oldest first; the caller owns them now."""
        drained, self._new = self._new, []
        return drained

    def note(self, event: Event) -> None:
        """Record an event that the shell saw: a run that began or ended, something passed through, something to say."""
        self._emit(event)

    def _opened(self, id: str) -> Open:
        """The request ``id``, which is under way. Raises DecisionError for an unknown or finished one."""
        opened = self._open.get(id)
        if opened is None:
            raise DecisionError(f"no request {id!r} is under way: it was finished, or never routed here")
        return opened

    def _policy_in(self, run: str | None) -> Policy:
        """The policy of a run: with its own rules, its check's learned rates where one guards "done" in it, and its upstream."""
        return self._policies.of(self.policy, self._known.runs.get(run) if run else None)

    def _lane(self, place: Place) -> Lane | None:
        session = self.sessions.get(place.session)
        return session.lanes.get(place.lane) if session else None

    def _target_session(self, session: str | None, cwd: str | None) -> Session | None:
        """The named session, or the newest in ``cwd`` (None: anywhere)."""
        if session is not None:
            found = self._known.known(session)
            if found is None:
                raise SettingsError(f"no session {session!r}; `pointsman tui` lists them")
            return found
        return self._known.newest(cwd)

    def _unpinned(self, session: Session, pin: Pin, why: str, now: float, origin: str = SCOPE) -> Unpinned:
        event = Unpinned(now, session.id, pin.scope, origin, why)
        self._emit(event)
        return event

    def _emit(self, event: Event) -> None:
        self._new.append(event)
        graded = self._known.graded(event)
        self._known.apply(event)
        if graded is not None:
            self._emit(graded)
        if isinstance(event, (Signalled, Marked, Pinned, Routed)):
            for more in follows(self._known.user, self.sessions.get(event.session or ""), event, self.policy):
                self._emit(more)
