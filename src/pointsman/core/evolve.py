"""``evolve``: a session after an event. The one place where state changes; pure.

A session is a fold of its ledger events, so any process can rebuild one it has not seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pointsman.core import cache, edits, envelope, sizes
from pointsman.core.book import Book
from pointsman.core.boundaries import sent_on
from pointsman.core.budgets import billed, extra
from pointsman.core.certificate import disowned, working
from pointsman.core.decisions import Decision
from pointsman.core.events import (
    Advised,
    Checked,
    Event,
    FailedOver,
    Finished,
    Marked,
    Pinned,
    Routed,
    Signalled,
    Unpinned,
)
from pointsman.core.learned import Learned, after, learned_count, learned_factor
from pointsman.core.machines import spoken
from pointsman.core.progress import after as progressed
from pointsman.core.session import SCOPE, Lane, Pending, Pin, Session, heard
from pointsman.core.types import FIVE_MINUTES, Config, Request, Usage

SIGNALS_KEPT = 32
"""Signals remembered per session: more than any rule looks at."""

HANDED_KEPT = 32
"""Texts handed to sub-agents that a lane remembers: more than any client runs at a time."""


def evolve(session: Session | None, event: Event) -> Session | None:
    """The session after ``event``: the only way state changes. None stays None for events that belong to no session."""
    if isinstance(event, Routed):
        return _routed(session, event)
    if session is None:
        return None
    if isinstance(event, Finished):
        return _finished(session, event)
    if isinstance(event, Pinned):
        return replace(session, pin=Pin(event.config, event.scope, event.origin, event.ts))
    if isinstance(event, Unpinned):
        return replace(session, pin=None, released=session.released if event.origin == SCOPE else event.ts)
    if isinstance(event, Marked):
        return _marked(session, event)
    if isinstance(event, FailedOver):
        return _failed_over(session, event)
    if isinstance(event, Advised):
        return _advised(session, event)
    if isinstance(event, Signalled):
        return _signalled(session, event)
    if isinstance(event, Checked):
        at = event.ts if event.sent_back else session.sent_at
        return replace(session, sent_back=session.sent_back + event.sent_back, sent_at=at)
    return session


def _signalled(session: Session, event: Signalled) -> Session:
    """A check that failed speaks against the config that did the work: the main lane's current one, and once for one work."""
    failed = session.failed
    main = session.lanes.get("main")
    if event.kind == "check_failed" and main is not None and main.requests and not heard(session, main, event.kind):
        failed = (*failed, main.current)
    kind = event.kind
    if kind == "post_tool_use":  # a hook says what a tool's run came to: it counts under that name
        kind = dict(event.detail).get("outcome", kind)
    return replace(session, signals=(*session.signals, (event.ts, kind))[-SIGNALS_KEPT:], failed=failed)


def _marked(session: Session, event: Marked) -> Session:
    """A mark of the newest turn is also evidence about the task at hand; taken back, it is none."""
    marks = {turn: mark for turn, mark in session.marks.items() if turn != event.turn}
    signals = session.signals
    if event.turn == session.turn:
        signals = tuple(pair for pair in signals if not pair[1].startswith("mark_") or pair[0] < session.turn_began)
        if not event.undo:
            signals = (*signals, (event.ts, f"mark_{event.mark}"))[-SIGNALS_KEPT:]
    return replace(session, marks=marks if event.undo else {**marks, event.turn: event.mark}, signals=signals)


def fold(events: Iterable[Event], session: Session | None = None) -> Session | None:
    """The session after all ``events``, oldest first."""
    for event in events:
        session = evolve(session, event)
    return session


def _routed(session: Session | None, event: Routed) -> Session:
    request, place = event.request, event.decision.place
    if session is None:
        session = Session(
            id=event.session, client=request.client, run=request.run, cwd=request.cwd,
            interactive=request.interactive, opened=event.ts,
        )  # fmt: skip
    old = (session.lanes.get(place.lane) or Lane(place.lane, place.kind, place.parent)).at(event.upstream)
    messages = old.messages[: event.kept] + request.messages
    full = replace(request, messages=messages)
    pending = Pending(place.lane, full, event.decision, event.ts, event.upstream, len(old.messages))
    pin = session.pin
    if pin is not None and pin.turn is None and place.kind == "main" and request.purpose == "turn":
        pin = replace(pin, turn=place.turn, task=place.task)
    signals, sent_at = session.signals, session.sent_at
    if place.kind == "main" and (sent_at > event.ts or any(ts > event.ts for ts, _ in signals)):
        # the clock has jumped back: what was said before this request stays before it
        signals, sent_at = tuple([(min(ts, event.ts), kind) for ts, kind in signals]), min(sent_at, event.ts)
    return replace(
        session, signals=signals, sent_at=sent_at, seen=event.ts, turn=place.turn,
        turn_began=_turn_began(session, event), task=place.task, pin=pin,
        run=request.run or session.run, cwd=request.cwd or session.cwd,
        client=request.client if session.client == "unknown" else session.client,
        interactive=session.interactive if request.interactive is None else request.interactive,
        title=session.title or (request.title if place.kind == "main" else ""), failed=() if place.new_task else session.failed,
        sent_back=0 if place.new_task else session.sent_back, extra=0.0 if place.new_task else session.extra,
        weaker=working(session.weaker, event.decision) if request.purpose == "turn" else session.weaker,
        lanes=_lanes_after(session, event, _lane_after(old, event, full, sent_on(session, old, place.gap_s or 0.0))),
        pending={**session.pending, event.id: pending},
    )  # fmt: skip


def _turn_began(session: Session, event: Routed) -> float:
    place, lane = event.decision.place, session.lanes.get("main")
    back = lane is not None and any(ts > lane.last_start and kind == "check_failed" for ts, kind in session.signals[-1:])
    return event.ts if place.kind == "main" and place.new_turn and (place.new_task or not back) else session.turn_began


def _lane_after(lane: Lane, event: Routed, request: Request, sent_back: bool) -> Lane:
    decision, place = event.decision, event.decision.place
    asked = lane.asked if place.client_move and lane.requests else decision.asked
    turn_purpose = request.purpose == "turn"
    spent = decision.reason == "budget" and decision.chosen != lane.sticky  # what the cap ended does not go on by itself
    sticky = None if place.new_task or spent else lane.sticky
    if decision.reason in ("escalate", "hand_down"):
        sticky = decision.chosen
    return replace(
        lane, messages=request.messages, tools=request.tools, system=request.system, turn=place.turn, task=place.task,
        requests=lane.requests + 1, touched=_touched(() if place.new_task else lane.touched, event),
        worked=lane.worked + (turn_purpose and place.relation != "retry"), last_start=event.ts,
        asked=asked if turn_purpose or not lane.requests else lane.asked,
        current=decision.chosen, sticky=sticky, last_id=event.id, last_body=request.body_hash, last_status=0,
        moved_to=request.model if place.client_move else lane.moved_to if not turn_purpose else None,
        moved_by=place.client_move if place.client_move or turn_purpose else lane.moved_by,
        last_stop="", last_decision=decision, last_request=request, turn_id=request.turn_id or lane.turn_id, speed=request.speed,
        plan=any("plan_mode" in m.facts for m in request.messages[place.kept :]) if place.new_turn else lane.plan,
        opened_as=decision.kind if place.new_task else lane.opened_as, belief=decision.belief,
        progress=progressed(lane.progress, request, place, lane.last_stop, sent_back)[0],
        rewritten=event.rewritten or lane.rewritten and event.kept > 0,
        sums=_sums_after(lane, decision) if turn_purpose else lane.sums, edits=decision.edits,
    )  # fmt: skip


def _touched(before: tuple[str, ...], event: Routed) -> tuple[str, ...]:
    """The names of the user's rules that a task has touched: those ``before`` this request, and its own."""
    new = [name for message in event.request.messages for name in message.rules]
    return tuple(dict.fromkeys((*before, *new))) if new else before


def _lanes_after(session: Session, event: Routed, lane: Lane) -> dict[str, Lane]:
    """All lanes, with ``lane`` as the request leaves it. What a sub-agent touches, the main lane's task touches."""
    lanes, main = {**session.lanes, lane.id: lane}, session.lanes.get("main")
    if lane.kind == "subagent" and main is not None:
        touched = _touched(main.touched, event)
        if touched is not main.touched:
            lanes["main"] = replace(main, touched=touched)
    return lanes


def _sums_after(lane: Lane, decision: Decision) -> envelope.Sums:
    """The envelope's sums after a decision; a retry of the same is no new one."""
    if decision.place.relation == "retry" and decision.chosen == lane.current:
        return lane.sums
    return envelope.routed(lane.sums, decision, lane.current if lane.requests else decision.asked)


def _failed_over(session: Session, event: FailedOver) -> Session:
    """The request goes on at another deployment, whose caches are its own, and which is asked only now, or after a wait."""
    pending = session.pending.get(event.id)
    if pending is None:
        return session
    lane = session.lanes[pending.lane].at(event.to_upstream)
    pending = replace(pending, upstream=event.to_upstream, failed_over=event.ts + event.waited_s)
    return replace(session, pending={**session.pending, event.id: pending}, lanes={**session.lanes, lane.id: lane})


def _advised(session: Session, event: Advised) -> Session:
    """Count the consult and its price, and remember what it added: for the requests to come, and for the one under way."""
    session = replace(session, spent=session.spent + billed(event))
    lane = session.lanes.get(event.lane)
    if lane is None:
        return session
    added = (event.edit,) if event.edit is not None and not lane.unedited else ()
    lane = replace(lane, consults=lane.consults + event.asked, edits=lane.edits + added)
    pending = session.pending.get(event.id)
    under_way = session.pending
    if pending is not None and added:
        decision = replace(pending.decision, edits=pending.decision.edits + added)
        under_way = {**under_way, event.id: replace(pending, decision=decision)}
    return replace(session, pending=under_way, lanes={**session.lanes, lane.id: lane})


def _finished(session: Session, event: Finished) -> Session:
    pending = session.pending.get(event.id)
    if pending is None:
        return session
    rest = {key: value for key, value in session.pending.items() if key != event.id}
    lane = session.lanes[pending.lane]
    lane = _lane_finished(lane, pending, event)
    weaker = session.weaker
    if weaker and event.served is not None and event.served != pending.decision.chosen:
        weaker = disowned(weaker, pending.decision)  # something else answered
    return replace(
        session, pending=rest, lanes={**session.lanes, lane.id: lane}, seen=max(session.seen, event.ts),
        spent=session.spent + billed(event), extra=session.extra + extra(event, pending.decision), weaker=weaker,
    )  # fmt: skip


def taught(learned: Learned, session: Session, event: Finished, book: Book) -> Learned:
    """``learned`` after ``event``, which ``session`` has not seen yet."""
    pending = session.pending.get(event.id)
    if pending is None:
        return learned
    lane = session.lanes[pending.lane]
    event = replace(event, started=pending.failed_over) if pending.failed_over else event  # how long others failed is no speed
    held = lane.warm.get(event.served) if event.served else None
    text = _text_seen(lane, pending, event.served, event.usage) if event.served and event.usage else None
    learned = after(learned, _as_sent(pending, event), pending.decision.place, held, event, book, text)
    kept = pending.decision.place.kept
    if pending.request.counted and not pending.decision.edits:  # with our own words it was not counted
        learned = learned_count(learned, pending.request, event, book)
    return learned_factor(learned, lane.last_model, lane.last_usage, pending.request, kept, pending.before, event, book)


def _as_sent(pending: Pending, event: Finished) -> Request:
    """The request as the provider that billed it saw it: with our edits, unless the client's original went out instead."""
    if event.resent or not pending.decision.edits:
        return pending.request
    return edits.sent(pending.request, pending.decision.edits, (event.served or pending.decision.chosen).model)


def _lane_finished(lane: Lane, pending: Pending, event: Finished) -> Lane:
    """Warmth and ratios re-anchor on what was billed; a refused change is remembered against its config."""
    served = event.served or pending.decision.chosen
    newest = lane.last_id == event.id
    refused = lane.refused
    if event.resent and not pending.decision.moved:
        lane = replace(lane, rewritten=False)  # a repair that the provider refused is not tried again
    elif event.resent:
        refused = {**refused, pending.decision.chosen: f"the provider refused it ({event.refused or event.status})"}
    if newest:
        lane = replace(lane, last_status=event.status, last_stop=event.stop, last_end=event.ended, current=served)
    lane = replace(lane, refused=refused, handed=(*lane.handed, *event.handed)[-HANDED_KEPT:] if event.handed else lane.handed)
    if event.resent and pending.decision.edits:
        gone = [edit for edit in edits.withdrawn(pending.decision.edits) if edit.value == edits.WITHDRAWN]
        lane = replace(lane, edits=tuple(gone), unedited=True)
    usage = event.usage
    if usage is not None and (own := edits.provider_advisor(pending.decision.edits)) is not None:
        lane = replace(lane, consults=lane.consults + sum(model == own for model, _ in usage.extra))
    if usage is None or usage.prompt <= 0 or event.status >= 400:
        return lane
    request, started, ttl_s = pending.request, pending.failed_over or event.started, event.ttl_s or FIVE_MINUTES
    touched = cache.touch(lane.warm.get(served), _as_sent(pending, event), usage, started, ttl_s)
    if event.asked_usage is None:
        shadow = touched
    else:
        shadow = cache.touch(lane.shadow, request, event.asked_usage, started, ttl_s)
    ratio = _ratio(lane, pending, served, usage)
    return replace(
        lane, warm={**lane.warm, served: touched}, shadow=shadow,
        answer_id=event.answer_id if newest else lane.answer_id,
        last_usage=usage if newest else lane.last_usage, last_model=served.model if newest else lane.last_model,
        ratios={**lane.ratios, served.model: ratio},
        sums=_sums_finished(lane, pending, event) if newest and lane.sums.usd else lane.sums,
    )  # fmt: skip


def _sums_finished(lane: Lane, pending: Pending, event: Finished) -> envelope.Sums:
    """The envelope's sums after a bill for agent work."""
    decision, usage = pending.decision, event.usage
    if usage is None or pending.request.purpose != "turn":
        return lane.sums
    served = event.served or decision.chosen
    before = lane.last_usage if lane.last_model == served.model else None
    return envelope.finished(lane.sums, decision, served, usage, before, event.ttl_s or FIVE_MINUTES, event.ended)


def _ratio(lane: Lane, pending: Pending, served: Config, usage: Usage) -> sizes.Ratios:
    """The lane's tokens per character on the served model after a bill: this session's own evidence."""
    old = lane.ratios.get(served.model) or sizes.prior()
    found = _text_seen(lane, pending, served, usage)
    return sizes.learn(old, *found) if found is not None else old


def _text_seen(lane: Lane, pending: Pending, served: Config, usage: Usage) -> tuple[sizes.Chars, int] | None:
    """Characters that were billed as so many tokens: what was added, or the whole prompt at the start; None: not told apart."""
    request, kept = pending.request, pending.decision.place.kept
    added = any(edit.at > kept for edit in pending.decision.edits)  # our own words were billed with it
    if lane.last_model == served.model and not added:
        held = lane.warm.get(served)
        if held is not None and held.carried + held.reasoning and spoken(request.messages[kept:]):
            return None  # reasoning may have left the prompt
        found = sizes.new_text(request, kept, lane.last_usage, pending.before, usage)
        if found is not None:
            return found
    if any(message.images or message.pages for message in request.messages):
        return None
    whole = sizes.chars_of(request.messages, request.head_chars)
    return (whole, usage.prompt) if served.model not in lane.ratios and not added else None
