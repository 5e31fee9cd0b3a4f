"""Router: the sans-I/O engine. Bytes of a request in, bytes and a decision out; usage in, events out.

Theory of operation. ``route`` reads the request (wire), finds its session (core.lineage), decides (core.decide) and writes
the decided fields back into the body. ``finish`` takes what the provider billed. Both append events and fold them into
the sessions with ``evolve``; the caller drains ``events()`` into a ledger. Nothing here reads a clock, draws a random
number or does I/O, so the gateway, a LiteLLM plugin, replay and a test run the same code. One thread at a time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pointsman import wire
from pointsman.core import accounting, lineage, pins
from pointsman.core.book import Book
from pointsman.core.decide import asked_of, decide
from pointsman.core.events import (
    Checked,
    Event,
    Finished,
    Mark,
    Marked,
    Noted,
    Passed,
    Pinned,
    PinScope,
    Routed,
    Signalled,
    Stop,
    Unpinned,
)
from pointsman.core.policy import Policy
from pointsman.core.session import SCOPE, Pin, Session
from pointsman.core.sessions import LOST_S, Sessions
from pointsman.core.types import Config, Decision, Gate, Protocol, Request, Usage
from pointsman.errors import DecisionError, SettingsError, WireError


@dataclass(frozen=True, slots=True)
class Route:
    """What to send: ``body`` and ``headers`` to ``path`` of the base URL ``upstream``, answered by ``model``.

    ``body`` is the very object that came in where nothing was decided. ``changed``: the body or path differ from it.
    """

    id: str
    model: str
    effort: str | None
    body: bytes
    headers: Mapping[str, str]
    decision: Decision
    upstream: str
    path: str
    protocol: Protocol
    changed: bool


@dataclass(slots=True)
class _Open:
    """A request under way: what is needed to resend or finish it."""

    route: Route
    request: Request
    original: bytes
    original_path: str
    started: float
    refused: int | None = None


class Router:
    """Decides model requests and keeps the sessions they belong to.

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
        self.policy = _named(policy, book)
        self.book = book
        self._titles = titles
        self._known = Sessions(book, recall)
        self._open: dict[str, _Open] = {}
        self._memo = wire.Memo()
        self._new: list[Event] = []
        self._count = 0
        for event in events:
            self._known.apply(event)

    @property
    def sessions(self) -> Mapping[str, Session]:
        """The sessions in memory, by id."""
        return self._known.held

    def events(self) -> list[Event]:
        """The events since the last call, oldest first; the caller owns them now."""
        drained, self._new = self._new, []
        return drained

    def route(
        self, *, path: str, headers: Mapping[str, str], body: bytes, now: float, dice: float,
        run: str | None = None, upstream: str = "",
    ) -> Route:  # fmt: skip
        """Decide one request. ``headers`` in any case; ``body`` decoded; ``now`` epoch seconds; ``dice`` in [0, 1).

        Raises WireError when the path is none of ours or the body cannot be read, DecisionError for dice out of range:
        send the original bytes then.
        """
        if not 0.0 <= dice < 1.0:
            raise DecisionError(f"dice is {dice}: it must be at least 0 and below 1, as random.random() gives it")
        if not isinstance(body, bytes):
            raise WireError(f"the body is a {type(body).__name__}, not bytes")
        protocol = wire.protocol_of("POST", path)
        if protocol is None:
            raise WireError(f"{path} is not a path that Pointsman decides")
        lower = {key.lower(): value for key, value in headers.items()}
        request = wire.read(protocol, path, lower, body, run=run, memo=self._memo, titles=self._titles)
        request = self._in_run(request)
        session = self._known.of(request, upstream)
        self._give_up(now)
        if request.purpose == "count":
            return self._route_count(request, session, path, headers, body, upstream, now)
        place = lineage.locate(request, session, now)
        by_person = place.client_move is None and place.relation != "new"
        if by_person and self._client_pin(request, session, place.lane, now):
            session = self._known.laid_under(self.sessions[session.id], request, upstream)
        decision = decide(request, session, self.book, self._policy_in(request.run), now, dice)
        ends = pins.ends_with_request(session.pin, decision)
        if ends:
            decision = replace(decision, notices=(*decision.notices, ends))
        self._count += 1
        decision = replace(decision, id=f"{int(now * 1000):x}-{self._count:x}")
        route = self._written(decision, request, path, headers, body, upstream)
        self._open[route.id] = _Open(route, request, body, path, now)
        self._routed(route, request, upstream, now)
        if ends and session.pin is not None:
            self._unpinned(session, session.pin, ends, now)
        return route

    def refuse(self, id: str, status: int, now: float) -> Route:
        """The upstream refused our change with ``status``: the original request, for the asked model.

        Raises DecisionError for an unknown or finished ``id``.
        """
        opened = self._open.get(id)
        if opened is None:
            raise DecisionError(f"no request {id!r} is under way: it was finished, or never routed here")
        route = opened.route
        asked = replace(
            route, model=opened.request.model, effort=opened.request.effort, body=opened.original,
            path=opened.original_path, changed=False,
        )  # fmt: skip
        text = f"{route.upstream or 'the provider'} refused {route.decision.chosen} with {status}: sent as asked to {asked.model}"
        self._emit(Noted(now, "refused_change", text, route.decision.place.session))
        opened.route = asked
        opened.refused = status
        return asked

    def finish(
        self, id: str, *, usage: Mapping[str, Any] | Usage | None, status: int, started: float,
        first_byte: float | None = None, ended: float, stop: Stop | None = None, model: str | None = None,
        resent: bool = False, error: str | None = None,
    ) -> None:  # fmt: skip
        """What became of a routed request. ``usage`` in the protocol's own shape (or normalised); times in epoch seconds.

        An unknown or already finished ``id`` is ignored; contradictory usage counts as unknown and is noted.
        """
        opened = self._open.pop(id, None)
        if opened is None:
            return
        route, decision = opened.route, opened.route.decision
        billed = self._usage(route.protocol, usage, decision.place.session, ended)
        if opened.request.purpose == "count":
            self._emit(Passed(ended, "POST", route.path, status, "token count", decision.place.session))
            return
        back = resent or opened.refused is not None
        served = Config(opened.request.model, opened.request.effort) if back else decision.chosen
        session = self.sessions.get(decision.place.session)
        account = accounting.account(session, opened.request, decision, served, billed, self.book, opened.started)
        how: Stop = stop or ("final" if status < 400 else "error")
        self._emit(
            Finished(
                ts=ended, session=decision.place.session, id=id, status=status, stop=how, started=started, ended=ended,
                first_byte=first_byte, usage=billed, served=served, reported_model=model, rates=account.rates,
                asked_usage=account.asked_usage, asked_rates=account.asked_rates, card_version=self.book.version,
                ttl_s=account.ttl_s, resent=resent, refused=opened.refused, error=error, other_rates=account.others,
                unseen=accounting.unseen(billed, served, self.book, first_byte, ended),
            )  # fmt: skip
        )
        if opened.request.purpose == "turn":
            self._pin_after(decision, how, ended)

    def signal(self, *, session: str, kind: str, now: float, detail: Mapping[str, str] | None = None) -> None:
        """Downstream evidence about ``session``: ``check_failed``, ``check_passed``, ``commit``, ... ``now`` in epoch seconds.

        A session that never spoke is not judged by it: the event is recorded, and for a check a note says so.
        """
        if self._known.known(session) is None and kind.startswith("check_"):
            text = f"{kind} came for session {session!r}, which has made no request: recorded, but it moves nothing"
            self._emit(Noted(now, "unknown_session", text))
        self._emit(Signalled(now, session, kind, tuple(sorted((detail or {}).items()))))

    def checked(self, event: Checked, retries: int = 0) -> Checked:
        """Record what a check said of the work; the event with turn, task and config filled in.

        ``retries``: how often a failed check may send the agent on by itself in one task; ``sent_back`` of the result
        says whether it does this time. Raises SettingsError for a session that is not known.
        """
        session = self._target_session(event.session, None)
        assert session is not None
        main = session.lanes.get("main")
        back = event.sent_back and event.verdict == "check_failed" and session.sent_back < retries
        event = replace(
            event, turn=session.turn, task=session.task, run=event.run or session.run, sent_back=back,
            config=main.current if main and main.requests else None,
        )  # fmt: skip
        self.signal(session=event.session, kind=event.verdict, now=event.ts, detail={"by": event.label})
        self._emit(event)
        return event

    def pin(
        self, name: str, *, scope: PinScope = "session", session: str | None = None, cwd: str | None = None,
        origin: str = "pointsman pin", now: float,
    ) -> Pinned:  # fmt: skip
        """Pin ``MODEL[:effort]`` (a name or a tier such as ``opus``). Raises SettingsError for what cannot be meant or run."""
        target = self._target_session(session, cwd) if scope != "always" or session else None
        config = pins.parse(name, target, self.book, self.policy)
        holder = None if scope == "always" else (target.id if target else None)
        if holder is None and scope != "always":
            raise SettingsError(f"no session to pin{f' in {cwd}' if cwd else ''}: start one, or use --scope always")
        event = Pinned(now, holder, config, scope, origin, cwd if scope == "always" else None)
        self._emit(event)
        return event

    def unpin(
        self, *, session: str | None = None, cwd: str | None = None, origin: str = "pointsman unpin", now: float
    ) -> Unpinned | None:
        """End the pin of ``session`` (else of the newest in ``cwd``), or the one that always holds there; None: no pin."""
        target = self._target_session(session, cwd)
        if target is not None and target.pin is not None:
            return self._unpinned(target, target.pin, "unpinned by you", now, origin)
        key = cwd if cwd in self._known.always else None
        pin = self._known.always.get(key)
        if pin is None:
            return None
        event = Unpinned(now, None, "always", origin, "unpinned by you", key)
        self._emit(event)
        return event

    def mark(
        self, *, session: str, turn: int, mark: Mark, now: float, origin: str = "pointsman mark", undo: bool = False
    ) -> Marked:
        """A judgement of a turn. Raises SettingsError for a session or turn that does not exist."""
        known = self._known.known(session)
        if known is None or not 1 <= turn <= known.turn:
            raise SettingsError(f"no turn {turn} in session {session!r}" + (f": it has {known.turn}" if known else ""))
        event = Marked(now, session, turn, mark, origin, undo)
        self._emit(event)
        return event

    def note(self, event: Event) -> None:
        """Record an event that the shell saw: a run that began or ended, something passed through, something to say."""
        self._emit(event)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _policy_in(self, run: str | None) -> Policy:
        """The policy of a run: with its own check's learned rates where one guards "done" in it."""
        known = self._known.runs.get(run) if run else None
        if known is None or known.guard is None:
            return self.policy
        guard = known.guard
        return replace(self.policy, check=True, check_recall=guard.recall, check_false_alarm=guard.false_alarm)

    def _in_run(self, request: Request) -> Request:
        run = self._known.runs.get(request.run) if request.run else None
        if run is None:
            return request
        seen = run.interactive if request.interactive is None else request.interactive
        return replace(request, cwd=request.cwd or run.cwd, interactive=seen)

    def _client_pin(self, request: Request, session: Session, lane: str, now: float) -> bool:
        """A changed model in the client is a pin of the person who changed it; True when this request is one."""
        known = session.lanes.get(lane)
        if known is None or known.kind != "main" or not known.requests or request.purpose != "turn":
            return False
        if not known.asked.model or request.model == known.asked.model or self.policy.asked:
            return False
        self._emit(Pinned(now, session.id, Config(request.model), "session", "the client's model menu"))
        return True

    def _route_count(
        self, request: Request, session: Session, path: str, headers: Mapping[str, str], body: bytes, upstream: str, now: float
    ) -> Route:  # fmt: skip
        """A token count answers for the model that will run: the one that serves the lane now."""
        place = lineage.locate(request, session, now)
        lane = session.lanes.get(place.lane)
        asked = asked_of(request, place, self.book, self.policy)
        chosen = asked
        if lane is not None and lane.asked.model == asked.model and lane.current.model and self.book.has(lane.current.model):
            chosen = Config(lane.current.model, request.effort and lane.current.effort)
        gate = Gate("count", True, "a token count answers for the model that will run")
        self._count += 1
        decision = Decision(
            f"count-{self._count:x}", place, asked, chosen, "stay", "count", f"Counted for {chosen.model}.", gates=(gate,)
        )
        route = self._written(decision, request, path, headers, body, upstream)
        self._open[route.id] = _Open(route, request, body, path, now)
        return route

    def _written(
        self, decision: Decision, request: Request, path: str, headers: Mapping[str, str], body: bytes, upstream: str
    ) -> Route:
        """The route with the decision written into the body; what cannot be written stays as asked, and says so."""
        chosen = decision.chosen
        new_body, new_path = body, path
        if chosen != Config(request.model, request.effort):
            try:
                new_body, new_path = wire.write(request.protocol, path, body, request, chosen, self.book.target(chosen.model))
            except WireError as error:
                said = f"{chosen} could not be written into this request ({error}): sent as asked"
                asked = Config(request.model, request.effort)
                decision = replace(
                    decision, chosen=asked, action="stay", reason="fail_open", sentence=said + ".",
                    notices=(*decision.notices, said),
                )  # fmt: skip
                chosen = asked
        if request.protocol == "messages" and self._after_detour(decision, request, body, new_body):
            new_body, headers = wire.unbound(new_body, headers)
        changed = new_body is not body or new_path != path
        return Route(
            decision.id, chosen.model, chosen.effort, new_body, headers, decision, upstream, new_path, request.protocol, changed
        )  # fmt: skip

    def _after_detour(self, decision: Decision, request: Request, body: bytes, new_body: bytes) -> bool:
        """Whether thinking blocks of the history were written after another form of it than the chosen model will see."""
        session = self.sessions.get(decision.place.session)
        lane = session.lanes.get(decision.place.lane) if session else None
        if lane is None or not any("thinking" in message.facts for message in request.messages):
            return False
        return self.book.target(decision.chosen.model).binds and (lane.rewritten or wire.rewritten(body, new_body))

    def _routed(self, route: Route, request: Request, upstream: str, now: float) -> None:
        place = route.decision.place
        lane = self.sessions[place.session].lanes.get(place.lane) if place.session in self.sessions else None
        kept = place.kept if lane else 0
        delta = replace(request, messages=request.messages[kept:])
        rewritten = request.protocol == "messages" and wire.rewritten(self._open[route.id].original, route.body)
        self._emit(Routed(now, place.session, route.id, delta, kept, route.decision, upstream, rewritten))

    def _usage(self, protocol: Protocol, usage: Mapping[str, Any] | Usage | None, session: str, now: float) -> Usage | None:
        if usage is None or isinstance(usage, Usage):
            return usage
        try:
            return wire.usage(protocol, dict(usage))
        except WireError as error:
            self._emit(Noted(now, "usage_unreadable", f"the provider's usage contradicts itself: {error}", session))
            return None

    def _pin_after(self, decision: Decision, stop: Stop, now: float) -> None:
        session = self.sessions.get(decision.place.session)
        if session is None or session.pin is None or decision.place.kind != "main":
            return
        why = pins.ends_after(session.pin, decision, stop)
        if why:
            self._unpinned(session, session.pin, why, now)

    def _unpinned(self, session: Session, pin: Pin, why: str, now: float, origin: str = SCOPE) -> Unpinned:
        event = Unpinned(now, session.id, pin.scope, origin, why)
        self._emit(event)
        return event

    def _target_session(self, session: str | None, cwd: str | None) -> Session | None:
        """The named session, or the newest in ``cwd`` (None: anywhere)."""
        if session is not None:
            found = self._known.known(session)
            if found is None:
                raise SettingsError(f"no session {session!r}; `pointsman tui` lists them")
            return found
        return self._known.newest(cwd)

    def _emit(self, event: Event) -> None:
        self._new.append(event)
        self._known.apply(event)

    def _give_up(self, now: float) -> None:
        """Forget requests that were never finished: each holds its body."""
        for id, opened in list(itertools.islice(self._open.items(), 2)):  # oldest first; two for each new one
            if opened.started < now - LOST_S:
                del self._open[id]


def _named(policy: Policy, book: Book) -> Policy:
    """``policy`` with tier names such as ``opus`` read as the models they mean; unknown names stay as they are."""
    asked = book.resolve(policy.asked) or policy.asked if policy.asked else None

    def read(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(book.resolve(name, asked) or name for name in names))

    return replace(policy, asked=asked, pool=read(policy.pool), allow=read(policy.allow), deny=read(policy.deny))
