"""Router: the sans-I/O engine. Bytes of a request in, bytes and a decision out; usage in, events out.

Theory of operation. ``route`` reads the request (wire), finds its session (core.lineage), decides (core.decide) and writes
the decided fields back into the body. ``finish`` takes what the provider billed. Both append events and fold them into
the sessions with ``evolve``; the caller drains ``events()`` into a ledger. Nothing here reads a clock, draws a random
number or does I/O, so the gateway, a LiteLLM plugin, replay and a test run the same code. One thread at a time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pointsman import wire
from pointsman.core import accounting, advisor, edits, failover, lineage, pins, verdicts
from pointsman.core.book import Book
from pointsman.core.contenders import asked_of
from pointsman.core.counting import counted_for
from pointsman.core.decide import decide
from pointsman.core.decisions import Advice, Advisor, Decision, Gate
from pointsman.core.events import (
    AdviceHow,
    AdviceOutcome,
    Advised,
    Answer,
    Checked,
    Event,
    FailedOver,
    Finished,
    Mark,
    Marked,
    Noted,
    Passed,
    Pinned,
    PinScope,
    Proposed,
    Routed,
    Signalled,
    Stop,
    Unpinned,
)
from pointsman.core.foreign import is_foreign, native_of
from pointsman.core.learned import Learned
from pointsman.core.policies import RunPolicies, named, watched
from pointsman.core.policy import Policy
from pointsman.core.retries import retry
from pointsman.core.session import SCOPE, Lane, Pin, Session
from pointsman.core.sessions import LOST_S, Sessions
from pointsman.core.types import Config, Place, Protocol, Request, Told, Usage
from pointsman.core.userrecord import answered, follows, kind_now
from pointsman.errors import DecisionError, SettingsError, WireError


@dataclass(frozen=True, slots=True)
class Route:
    """What to send: ``body`` and ``headers`` to ``path`` of the base URL ``upstream``, answered by ``model``.

    ``body`` is the very object that came in where nothing was decided. ``changed``: the body or path differ from it.
    ``rewritten``: its history went out in another form than before, our own lasting additions aside. ``native``: the format in
    which another vendor's model must be asked: ``body`` is still the client's and has to be translated; None: it is ready.
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
    rewritten: bool = False
    native: Protocol | None = None
    stream: bool = False


@dataclass(slots=True)
class _Open:
    """A request under way: what is needed to resend or finish it."""

    route: Route
    request: Request
    original: bytes
    original_path: str
    started: float
    upstream: str
    session: Session
    headers: Mapping[str, str] = field(default_factory=dict)
    refused: int | None = None


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A request under way: as it was read, the client's own ``body``, what the user allows of advice (None: nothing), and its
    end: how many messages it has, and the hash of the last."""

    request: Request
    body: bytes
    advisor: Advisor | None
    end: tuple[int, int]


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
        self.policy = named(policy, book)
        self.book = book
        self._titles = titles
        self.additions = wire.Additions()
        self._known = Sessions(book, self.additions.hearing(recall) if recall else None)
        self._known.user.under(self.policy)
        self._policies = RunPolicies(book)
        self._open: dict[str, _Open] = {}
        self._memo = wire.Memo()
        self._new: list[Event] = []
        self._count = 0
        self._undiagnosed: set[str] = set()
        for event in events:
            self.additions.heard(event)
            self._known.apply(event)

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
        watch = watched(self._policy_in(run))
        request = wire.read(protocol, path, lower, body, run=run, memo=self._memo, titles=self._titles, watch=watch)
        request = self._in_run(request)
        session = self._known.of(request, upstream, now)
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
        self._open[route.id] = _Open(route, request, body, path, now, upstream, session, headers)
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
        if self._diagnoses(route.decision.chosen, opened.request, opened.upstream) and not route.decision.moved:
            self._undiagnosed.add(opened.upstream)
        asked = replace(
            route, model=opened.request.model, effort=opened.request.effort, body=opened.original,
            path=opened.original_path, changed=False, native=None,
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
        opened = self._open.get(id)
        if opened is None:
            raise DecisionError(f"no request {id!r} is under way: it was finished, or never routed here")
        route, request = opened.route, opened.request
        text = f"{route.decision.chosen} was not reached ({why}): sent as asked to {request.model}"
        back = Config(request.model, request.effort)
        decision = replace(route.decision, chosen=back, action="stay", reason="fail_open", sentence=text + ".")
        opened.route = replace(
            route, model=back.model, effort=back.effort, body=opened.original, path=opened.original_path, changed=False,
            native=None, decision=decision,
        )  # fmt: skip
        self._emit(Noted(now, "not_translated", text, decision.place.session))
        return opened.route

    def fail_over(
        self, id: str, now: float, *, upstream: str, why: str, status: int | None = None, model: str | None = None,
        place: str = "",
    ) -> Route | None:  # fmt: skip
        """The provider failed before its first content byte: the same request for ``model`` (None: the same) at ``upstream``.

        ``place``: the deployment's name, for people; ``status`` None: no answer came. None: it cannot go there, and a note
        says why. Raises DecisionError for an unknown or finished ``id``.
        """
        opened = self._open.get(id)
        if opened is None:
            raise DecisionError(f"no request {id!r} is under way: it was finished, or never routed here")
        request, decision = opened.request, opened.route.decision
        if opened.refused is not None:  # what failed is the client's own request
            asked = Config(request.model, request.effort)
            decision = replace(decision, chosen=asked, action="stay", reason="retry_asked", edits=(), consult=None)
        there = self._known.laid_under(opened.session, request, upstream) if upstream != opened.upstream else opened.session
        found = failover.hop(
            decision, request, opened.session, there, self.book, self._policy_in(request.run), now, model, place, why
        )
        if found.decision is None:
            self._emit(Noted(now, "no_failover", found.why, decision.place.session))
            return None
        onward = self._written(found.decision, request, opened.original_path, opened.headers, opened.original, upstream)
        if onward.decision.chosen != found.decision.chosen:
            self._emit(Noted(now, "no_failover", onward.decision.sentence, decision.place.session))
            return None
        self._emit(
            FailedOver(
                now, decision.place.session, id, decision.chosen, onward.decision.chosen, opened.upstream, upstream, why, status,
                found.extra_usd,
            )  # fmt: skip
        )
        opened.route, opened.upstream = onward, upstream
        return onward

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
        account = accounting.account(session, opened.request, decision, served, billed, self.book, opened.started)
        how: Stop = stop or ("final" if status < 400 else "error")
        self._emit(
            Finished(
                ts=ended, session=decision.place.session, id=id, status=status, stop=how, started=started, ended=ended,
                first_byte=first_byte, usage=billed, served=served, reported_model=model, rates=account.rates,
                asked_usage=account.asked_usage, asked_rates=account.asked_rates, card_version=self.book.version,
                ttl_s=account.ttl_s, resent=resent, refused=opened.refused, error=error, other_rates=account.others,
                unseen=accounting.unseen(billed, served, self.book, first_byte, ended),
                answer_id=told.id if told is not None and self.policy.diagnose else "",
                diagnosis=told.diagnosis if told is not None else None,
            )  # fmt: skip
        )
        if opened.request.purpose == "turn":
            self._pin_after(decision, how, ended)

    def signal(self, *, session: str, kind: str, now: float, detail: Mapping[str, str] | None = None) -> None:
        """Downstream evidence about ``session``; ``now`` in epoch seconds.

        ``check_failed``, ``check_passed``: the check's verdict. ``commit``, ``revert``, ``tests_failed``, ``tests_passed``,
        ``type_error``, ``lint_error``, ``tool_error``, ``interrupt``: what a hook saw; it counts for more than the same seen in
        texts (``core.features``). ``post_tool_use`` with the detail ``outcome`` counts as that outcome. Others are recorded.

        A session that never spoke is not judged by it: the event is recorded, and for a check a note says so.
        """
        known, said = self._known.known(session), dict(detail or {})
        if kind.startswith("check_"):
            if known is None:
                text = f"{kind} came for session {session!r}, which has made no request: recorded, but it moves nothing"
                self._emit(Noted(now, "unknown_session", text))
            said = {**verdicts.rates(self._policy_in(known.run if known else None)), **said}
        self._emit(Signalled(now, session, kind, tuple(sorted(said.items()))))

    def checked(self, event: Checked, retries: int = 0) -> Checked:
        """Record what a check said of the work; the event with turn, task and config filled in.

        ``retries``: how often a failed check may send the agent on by itself in one task; ``sent_back`` of the result
        says whether it does this time: a try that is not worth its price is not made (``stopped`` says why), and the person
        sees the failure. Raises SettingsError for a session that is not known.
        """
        session = self._target_session(event.session, None)
        assert session is not None
        main = session.lanes.get("main")
        back, stopped = event.sent_back and event.verdict == "check_failed" and session.sent_back < retries, ""
        if back and event.ts > session.turn_began + self.policy.deadline_s:
            back, stopped = False, f"this turn's {self.policy.deadline_s:.0f} seconds are over"
        if back:
            last = main.last_request if main else None
            laid = self._known.laid_under(session, last, main.upstream) if main and last else session
            back, said = retry(laid, self.book, self._policy_in(event.run or session.run), event.ts)
            stopped = "" if back else said
        event = replace(
            event, turn=session.turn, task=session.task, run=event.run or session.run, sent_back=back, stopped=stopped,
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
        config = pins.parse(name, target, self.book, self._policy_in(target.run if target else None))
        holder = None if scope == "always" else (target.id if target else None)
        if holder is None and scope != "always":
            raise SettingsError(f"no session to pin{f' in {cwd}' if cwd else ''}: start one, or use --scope always")
        event = Pinned(now, holder, config, scope, origin, cwd if scope == "always" else None, kind_now(target))
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

    def answer(self, kind: str, answer: Answer, now: float) -> Proposed:
        """What the user says to the rule proposed for ``kind``; an accepted one holds at once. Raises SettingsError."""
        event, self.policy = answered(self._known.user, self.policy, kind, answer, now)
        self._known.user.under(self.policy)
        self._emit(event)
        return event

    def note(self, event: Event) -> None:
        """Record an event that the shell saw: a run that began or ended, something passed through, something to say."""
        self._emit(event)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _policy_in(self, run: str | None) -> Policy:
        """The policy of a run: with its own rules, its check's learned rates where one guards "done" in it, and its upstream."""
        return self._policies.of(self.policy, self._known.runs.get(run) if run else None)

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
        self._emit(Pinned(now, session.id, Config(request.model), "session", "the client's model menu", None, kind_now(session)))
        return True

    def _route_count(
        self, request: Request, session: Session, path: str, headers: Mapping[str, str], body: bytes, upstream: str, now: float
    ) -> Route:  # fmt: skip
        """A token count answers for the model that will run."""
        place = lineage.locate(request, session, now)
        lane = session.lanes.get(place.lane)
        asked = asked_of(request, place, self.book, self.policy)
        chosen, row = counted_for(request, session, self.book, self._policy_in(request.run), now)
        gate = Gate("count", True, "a token count answers for the model that will run")
        self._count += 1
        known = self.additions.known(lane, request, body, place.kept) if lane is not None and lane.edits else None
        ours = edits.standing(known.edits, request.messages, place.kept) if known is not None else ()
        decision = Decision(
            f"count-{self._count:x}", place, asked, chosen, "stay", "count", f"Counted for {chosen.model}.",
            candidates=(row,), gates=(gate,), edits=ours,
        )  # fmt: skip
        route = self._written(decision, request, path, headers, body, upstream)
        self._open[route.id] = _Open(route, request, body, path, now, upstream, session)
        return route

    def _with_texts(self, session: Session, place: Place, request: Request, body: bytes) -> Session:
        """``session`` without the edits whose words are lost, and with new ones bound to the answer they happened in."""
        lane = session.lanes.get(place.lane)
        if lane is None or not lane.edits:
            return session
        known = self.additions.known(lane, request, body, place.kept)
        return session if known is lane else replace(session, lanes={**session.lanes, lane.id: known})

    def advised(
        self, id: str, advice: Advice | None, *, config: Config, how: AdviceHow, outcome: AdviceOutcome, now: float,
        place: Place | None = None, seconds: float = 0.0, usage: Usage | None = None, after: tuple[int, int] | None = None,
        why: str = "",
    ) -> Route | None:  # fmt: skip
        """An advisor was asked for the request ``id``: what it said goes into the history from now on, what it cost is ours.

        ``advice`` None: nothing is added. ``after``: the place of a call that was made in an earlier answer of the lane, as
        (messages, hash of the last). ``place``: of a request that may have ended by now; then only the cost is recorded, and the
        result is None. Raises DecisionError for an unknown ``id`` without a place.
        """
        opened = self._open.get(id)
        rates = self.book.card(config.model).at(usage.prompt, now) if usage and self.book.has(config.model) else None
        if opened is None:
            if place is None:
                raise DecisionError(f"no request {id!r} is under way: it was finished, or never routed here")
            self._emit(Advised(now, place.session, id, place.lane, config, how, outcome, seconds, usage, rates, why=why))
            return None
        route, request = opened.route, opened.request
        place = route.decision.place
        edit = None
        if advice is not None:
            self._count += 1
            name = f"{id}-{self._count:x}@{config.model}"
            edit = self.additions.edit(name, advice, request, place.kept, push=how == "push", after=after)
        allowed = self._policy_in(request.run).advisor
        kept = advice if edit is not None and allowed is not None and allowed.keep_text else None
        self._emit(
            Advised(
                now, place.session, id, place.lane, config, how, outcome, seconds, usage, rates,
                route.decision.propensity, edit, kept, why,
            )  # fmt: skip
        )
        if edit is None:
            return route
        decision = replace(route.decision, edits=(*route.decision.edits, edit))
        if how == "pull" and after is None:  # the answer is under way: the request is what it was
            opened.route = replace(route, decision=decision)
        else:
            session = self._with_texts(self.sessions[place.session], place, request, opened.original)
            lane = session.lanes[place.lane]
            decision = replace(decision, edits=edits.standing(lane.edits, request.messages, len(request.messages)))
            opened.route = self._written(decision, request, opened.original_path, route.headers, opened.original, opened.upstream)
        return opened.route

    def under_way(self, id: str) -> UnderWay:
        """What an advisor's question about a request is made of. Raises DecisionError for an unknown or finished ``id``."""
        opened = self._open.get(id)
        if opened is None:
            raise DecisionError(f"no request {id!r} is under way: it was finished, or never routed here")
        messages = opened.request.messages
        end = (len(messages), messages[-1].hash) if messages else (0, 0)
        return UnderWay(opened.request, opened.original, self._policy_in(opened.request.run).advisor, end)

    def no_advice(self, decision: Decision, allowed: Advisor, now: float, share: float | None = None) -> str | None:
        """Why no advisor is asked for the request of ``decision``, in words; None: it may be. ``share``: see ``advisor.shut``."""
        return advisor.shut(decision, self._lane(decision.place), allowed, self.book, now, share)

    def _written(
        self, decision: Decision, request: Request, path: str, headers: Mapping[str, str], body: bytes, upstream: str
    ) -> Route:
        """The route with the decision written into the body; what cannot be written stays as asked, and says so."""
        chosen = decision.chosen
        added = new_body = body
        new_path, target = path, self.book.target(chosen.model)
        native = self._native(decision, request)
        try:
            if decision.edits:
                added, headers = self.additions.put(request.protocol, body, headers, decision.edits, chosen.model)
                new_body = added
            said = edits.written(request, chosen, target)
            if native is None and said != Config(request.model, request.effort):
                new_body, new_path = wire.write(request.protocol, path, added, request, said, target)
        except WireError as error:
            why = f"{chosen} could not be written into this request ({error}): sent as asked"
            chosen, added, new_body, new_path, native = Config(request.model, request.effort), body, body, path, None
            decision = replace(
                decision, chosen=chosen, action="stay", reason="fail_open", sentence=why + ".", edits=(), consult=None,
                notices=(*decision.notices, why),
            )  # fmt: skip
        rewritten = request.protocol == "messages" and (wire.rewritten(added, new_body) or self._left_out(decision))
        if request.protocol == "messages" and self._after_detour(decision, request, rewritten):
            new_body, headers = wire.unbound(new_body, headers)
        if native is None and self._diagnoses(chosen, request, upstream):
            lane = self._lane(decision.place)
            new_body, headers = wire.diagnosed(request.protocol, new_body, headers, lane.answer_id if lane else "")
        changed = native is not None or new_body is not body or new_path != path
        return Route(
            decision.id, chosen.model, chosen.effort, new_body, headers, decision, upstream, new_path, request.protocol, changed,
            rewritten, native, request.stream,
        )  # fmt: skip

    def _diagnoses(self, chosen: Config, request: Request, upstream: str) -> bool:
        """Whether to ask the provider for its cache diagnostics: where the user allows it, on vendors' models that have them."""
        if not self.policy.diagnose or upstream in self._undiagnosed or request.purpose == "count":
            return False
        rule = self.book.rule(chosen.model)
        known = {"messages": rule.provider == "anthropic", "responses": rule.provider == "openai" and bool(rule.writes)}
        return known.get(request.protocol, False)

    def _native(self, decision: Decision, request: Request) -> Protocol | None:
        """The format of the chosen model's vendor where it is reached by translation only; None: the client's own."""
        vendor = self.book.vendor(decision.chosen.model)
        home = self.book.vendor(decision.asked.model)
        foreign = decision.moved and is_foreign(request, home, vendor, self._policy_in(request.run))
        return native_of(vendor) if foreign else None

    def _lane(self, place: Place) -> Lane | None:
        session = self.sessions.get(place.session)
        return session.lanes.get(place.lane) if session else None

    def _left_out(self, decision: Decision) -> bool:
        """Whether an edit that stood in this history is no longer sent: its words are lost, or it no longer fits."""
        lane, place = self._lane(decision.place), decision.place
        carried = {(edit.kind, edit.value) for edit in decision.edits}
        mine = edits.carried(lane.edits, decision.chosen.model) if lane is not None else ()
        return any(edit.at <= place.kept and (edit.kind, edit.value) not in carried for edit in mine)

    def _after_detour(self, decision: Decision, request: Request, rewritten: bool) -> bool:
        """Whether thinking blocks of the history were written after another form of it than the chosen model will see."""
        lane = self._lane(decision.place)
        if lane is None or not any("thinking" in message.facts for message in request.messages):
            return False
        return self.book.target(decision.chosen.model).binds and (lane.rewritten or rewritten)

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
        if isinstance(event, (Signalled, Marked, Pinned)):
            for more in follows(self._known.user, self.sessions.get(event.session or ""), event, self.policy):
                self._emit(more)

    def _give_up(self, now: float) -> None:
        """Forget requests that were never finished: each holds its body."""
        for id, opened in list(itertools.islice(self._open.items(), 2)):  # oldest first; two for each new one
            if opened.started < now - LOST_S:
                del self._open[id]


