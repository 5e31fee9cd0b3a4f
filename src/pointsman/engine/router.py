"""``Router``: route a request, resend it elsewhere where that must be, and record how it ended."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pointsman import wire
from pointsman.core import accounting, edits, lineage, pins
from pointsman.core.contenders import asked_of
from pointsman.core.counting import counted_for
from pointsman.core.decide import decide
from pointsman.core.decisions import Decision, Gate
from pointsman.core.events import (
    Finished,
    Noted,
    Passed,
    Pinned,
    Routed,
    Stop,
)
from pointsman.core.policies import watched
from pointsman.core.session import Session
from pointsman.core.sessions import LOST_S
from pointsman.core.types import Config, Protocol, Request, Told, Usage
from pointsman.core.userrecord import kind_now
from pointsman.engine.advising import Advising
from pointsman.engine.failing import Failing
from pointsman.engine.route import Open, Route
from pointsman.engine.steering import Steering
from pointsman.errors import DecisionError, WireError


class Router(Steering, Advising, Failing):
    """Decides model requests and keeps the sessions they belong to; see ``State`` for what it is made from."""

    def route(
        self, *, path: str, headers: Mapping[str, str], body: bytes, now: float, dice: float,
        run: str | None = None, upstream: str = "", counted: int = 0,
    ) -> Route:  # fmt: skip
        """Decide one request. ``headers`` in any case; ``body`` decoded; ``now`` epoch seconds; ``dice`` in [0, 1).

        ``counted``: tokens of its text by OpenAI's o200k, where somebody counted them (``uncounted``). Raises WireError when the
        path is none of ours or the body cannot be read, DecisionError for dice out of range: send the original bytes then.
        """
        if not 0.0 <= dice < 1.0:
            raise DecisionError(f"dice is {dice}: it must be at least 0 and below 1, as random.random() gives it")
        request, session = self._read(path, headers, body, now, run, upstream)
        if counted > 0:
            request = replace(request, counted=counted)
        self._give_up(now)
        if request.purpose == "count":
            return self._route_count(request, session, path, headers, body, upstream, now)
        place = lineage.locate(request, session, now)
        by_person = place.client_move is None and place.relation != "new"
        if by_person and self._client_pin(request, session, place.lane, now):
            session = self._known.laid_under(self.sessions[session.id], request, upstream)
        session = self._with_texts(session, place, request, body)
        decision = decide(request, session, self.book, self._policy_in(request.run), now, dice)
        ends = pins.ends_with_request(session.pin, decision)
        if ends:
            decision = replace(decision, notices=(*decision.notices, ends))
        self._count += 1
        decision = replace(decision, id=f"{int(now * 1000):x}-{self._count:x}")
        route = self._written(decision, request, path, headers, body, upstream)
        self._open[route.id] = Open(route, request, body, path, now, upstream, session, headers)
        self._routed(route, request, upstream, now)
        if ends and session.pin is not None:
            self._unpinned(session, session.pin, ends, now)
        return route

    def uncounted(
        self, *, path: str, headers: Mapping[str, str], body: bytes, now: float, run: str | None = None, upstream: str = ""
    ) -> bool:
        """Whether only its text tells how long this request is: the first of its lane, or one whose lane nobody billed yet.

        Raises WireError as ``route`` does.
        """
        request, session = self._read(path, headers, body, now, run, upstream)
        lane = session.lanes.get(lineage.locate(request, session, now).lane)
        return request.purpose in ("turn", "count") and (lane is None or lane.last_usage is None)

    def _read(
        self, path: str, headers: Mapping[str, str], body: bytes, now: float, run: str | None, upstream: str
    ) -> tuple[Request, Session]:
        """The request in ``body``, and its session, ready to be decided upon."""
        if not isinstance(body, bytes):
            raise WireError(f"the body is a {type(body).__name__}, not bytes")
        protocol = wire.protocol_of("POST", path)
        if protocol is None:
            raise WireError(f"{path} is not a path that Pointsman decides")
        lower = {key.lower(): value for key, value in headers.items()}
        watch = watched(self._policy_in(run))
        request = wire.read(protocol, path, lower, body, run=run, memo=self._memo, titles=self._titles, watch=watch)
        request = self._in_run(request)
        if upstream and request.region is None:
            request = replace(request, region=wire.region_of(upstream))
        return request, self._known.of(request, upstream, now)

    def refuse(self, id: str, status: int, now: float) -> Route:
        """The upstream refused our change with ``status``: the original request, for the asked model.

        Raises DecisionError for an unknown or finished ``id``.
        """
        opened = self._opened(id)
        route = opened.route
        if self._diagnoses(route.decision.chosen, opened.request, opened.upstream) and not route.decision.moved:
            self._undiagnosed.add(opened.upstream)
        asked = replace(
            route, model=opened.request.model, effort=opened.request.effort, body=opened.original,
            path=opened.original_path, headers=opened.headers, changed=False, native=None,
        )  # fmt: skip
        text = f"{route.upstream or 'the provider'} refused {route.decision.chosen} with {status}: sent as asked to {asked.model}"
        self._emit(Noted(now, "refused_change", text, route.decision.place.session))
        opened.route = asked
        opened.refused = status
        return asked

    def unchange(self, id: str, why: str, now: float) -> Route:
        """The original request for the asked model, because of an error of ours: nothing is held against what was chosen.

        Raises DecisionError for an unknown or finished ``id``.
        """
        opened = self._opened(id)
        route, request = opened.route, opened.request
        text = f"{route.decision.chosen} was not reached ({why}): sent as asked to {request.model}"
        back = Config(request.model, request.effort)
        decision = replace(route.decision, chosen=back, action="stay", reason="fail_open", sentence=text + ".")
        opened.route = replace(
            route, model=back.model, effort=back.effort, body=opened.original, path=opened.original_path,
            headers=opened.headers, changed=False, native=None, decision=decision,
        )  # fmt: skip
        self._emit(Noted(now, "not_translated", text, decision.place.session))
        return opened.route

    def finish(
        self, id: str, *, usage: Mapping[str, Any] | Usage | None, status: int, started: float,
        first_byte: float | None = None, ended: float, stop: Stop | None = None, model: str | None = None,
        resent: bool = False, error: str | None = None, told: Told | None = None,
    ) -> None:  # fmt: skip
        """What became of a routed request. ``usage`` in the protocol's own shape (or normalised); times in epoch seconds.

        ``told``: what the answer says of itself, its id and the provider's cache diagnosis.
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
        resent = resent or opened.refused is not None
        back = resent and decision.reason != "failover"  # whoever took over since was sent what its decision says
        served = Config(opened.request.model, opened.request.effort) if back else decision.chosen
        session = self.sessions.get(decision.place.session)
        account = accounting.account(
            session, opened.request, decision, served, billed, self.book, opened.started, told.service if told else ""
        )
        how: Stop = stop or ("final" if status < 400 else "error")
        self._emit(
            Finished(
                ts=ended, session=decision.place.session, id=id, status=status, stop=how, started=started, ended=ended,
                first_byte=first_byte, usage=billed, served=served, reported_model=model, rates=account.rates,
                asked_usage=account.asked_usage, asked_rates=account.asked_rates, card_version=self.book.version,
                ttl_s=account.ttl_s, resent=resent, refused=opened.refused, error=error, other_rates=account.others,
                unseen=accounting.unseen(billed, served, self.book, first_byte, ended),
                answer_id=told.id if told is not None and self._policy_in(opened.request.run).diagnose else "",
                diagnosis=told.diagnosis if told is not None else None,
                handed=told.handed if told is not None and not opened.request.session else (),
            )  # fmt: skip
        )
        if opened.request.purpose == "turn":
            self._pin_after(decision, how, ended)

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
        if not known.asked.model or request.model == known.asked.model or self._policy_in(request.run).asked:
            return False
        self._emit(Pinned(now, session.id, Config(request.model), "session", "the client's model menu", None, kind_now(session)))
        return True

    def _route_count(
        self, request: Request, session: Session, path: str, headers: Mapping[str, str], body: bytes, upstream: str, now: float
    ) -> Route:  # fmt: skip
        """A token count answers for the model that will run."""
        place = lineage.locate(request, session, now)
        lane = session.lanes.get(place.lane)
        policy = self._policy_in(request.run)
        asked = asked_of(request, place, self.book, policy)
        chosen, row = counted_for(request, session, self.book, policy, now)
        gate = Gate("count", True, "a token count answers for the model that will run")
        self._count += 1
        known = self.additions.known(lane, request, body, place.kept) if lane is not None and lane.edits else None
        ours = edits.standing(known.edits, request.messages, place.kept) if known is not None else ()
        decision = Decision(
            f"count-{self._count:x}", place, asked, chosen, "stay", "count", f"Counted for {chosen.model}.",
            candidates=(row,), gates=(gate,), edits=ours,
        )  # fmt: skip
        route = self._written(decision, request, path, headers, body, upstream)
        self._open[route.id] = Open(route, request, body, path, now, upstream, session, headers)
        return route

    def _routed(self, route: Route, request: Request, upstream: str, now: float) -> None:
        place = route.decision.place
        lane = self.sessions[place.session].lanes.get(place.lane) if place.session in self.sessions else None
        kept = place.kept if lane else 0
        delta = replace(request, messages=request.messages[kept:])
        self._emit(Routed(now, place.session, route.id, delta, kept, route.decision, upstream, route.rewritten))

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

    def _give_up(self, now: float) -> None:
        """Forget requests that were never finished: each holds its body."""
        for id, opened in list(itertools.islice(self._open.items(), 2)):  # oldest first; two for each new one
            if opened.started < now - LOST_S:
                del self._open[id]
