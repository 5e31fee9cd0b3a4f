"""Who is speaking: which session, lane, turn and task a request belongs to.

Theory of operation. Clients that send ids are believed (WIRE.md 1). For the others a session is found by fingerprint
(client and first user message), and within a session a lane is the one whose message hashes the request continues:
longest common prefix first, then equal system prompt and tools. Hashes ignore cache marks, which move every turn.
A request then *continues*, *forks* (shares a start, then differs: rewind or edit), *resumes* (another process or a long
pause), is *compacted* (begins from a summary), or is a *retry* (the same request again), which is no new turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pointsman.core import boundaries
from pointsman.core.boundaries import TASK_GAP_S
from pointsman.core.cache import common
from pointsman.core.events import HUNG_UP
from pointsman.core.messages import Message
from pointsman.core.session import Lane, Session
from pointsman.core.types import ClientMove, LaneKind, Place, Relation, Request

FALLBACK_S = 60.0
"""Seconds within which the same messages with another model, after an error, are the client's own fallback retry."""

REWRITTEN_TAIL = 2
"""Messages at the end of the last request that a client may rewrite and still continue (reminders move, text is merged)."""


class Index:
    """Finds the session of a request whose client sends no session id. Filled from routed requests, oldest first."""

    def __init__(self) -> None:
        self._by_start: dict[tuple[str, int], list[str]] = {}

    def add(self, request: Request, session: str) -> None:
        """Remember that ``session`` began with this request's first user message."""
        start = fingerprint(request)
        if start is not None:
            known = self._by_start.setdefault(start, [])
            if session not in known:
                known.append(session)

    def find(self, request: Request, sessions: Mapping[str, Session], now: float | None = None) -> str | None:
        """The newest session that this request's messages continue, or None; ``now`` in epoch seconds."""
        start = fingerprint(request)
        best: tuple[int, float, str] | None = None
        for name in self._by_start.get(start, ()) if start is not None else ():
            session = sessions.get(name)
            if session is None:
                continue
            lanes = session.lanes.values()
            length = max((_alike(lane.messages, request.messages) for lane in lanes), default=0)
            known = any(_goes_on(request, lane, now) for lane in lanes)
            if known and (best is None or (length, session.seen) > best[:2]):
                best = (length, session.seen, name)
        return best[2] if best else None


def fingerprint(request: Request) -> tuple[str, int] | None:
    """Client and identity of the first words of the user; None for a request that has none."""
    for message in request.messages:
        if message.kind == "prompt":
            return request.client, _words(message)
    return None


def _words(message: Message) -> int:
    """What tells a prompt's words from others: their hash, or, where the words are not known, the message's.

    aider adds its rules to the newest prompt and takes them away in the next request; the user's words stay.
    """
    return message.own or message.hash


def _goes_on(request: Request, lane: Lane, now: float | None) -> bool:
    """Whether a request without ids goes on where ``lane`` is, and does not only begin with the same words.

    Two conversations may both begin with "hi": a shared start counts once an answer is in it. Before that the request
    has to bring the lane's first answer, or be its first request again within moments or after an error.
    """
    if _follows(request, lane):
        return True
    length = _alike(lane.messages, request.messages)
    if not _spoken(request.messages[:length]):
        return False
    if length < len(lane.messages) or length < len(request.messages):
        return length == len(lane.messages) or _summarised(request.messages[length:], lane)
    return now is None or lane.last_status >= 400 or lane.last_end <= lane.last_start or now - lane.last_end < FALLBACK_S


def _follows(request: Request, lane: Lane) -> bool:
    """Whether a request holds an answer that ``lane`` has had, or, with aider, its last prompt."""
    shared = request.messages[: _alike(lane.messages, request.messages)]
    return any(message.kind in ("assistant", "tool_result") for message in shared) or _carries(request, lane)


def _alike(before: tuple[Message, ...], after: tuple[Message, ...]) -> int:
    """How many leading messages are the same to their user: clients renew their own part of a prompt in a resumed session."""
    count = 0
    for one, two in zip(before, after, strict=False):
        if one.hash != two.hash and not (one.kind == two.kind == "prompt" and _words(one) == _words(two)):
            break
        count += 1
    return count


def find(request: Request, index: Index, sessions: Mapping[str, Session], now: float | None = None) -> str:
    """The id of the session a request belongs to, a new one where it begins one; ``now`` in epoch seconds.

    Order: the client's own id; the sessions its messages continue; the one whose model gave a sub-agent these words; for
    housekeeping, and for what follows a summary, the newest session of the client, of the same run where there is one; the run
    it came through; the fingerprint itself.
    """
    if request.session:
        return request.session
    known = index.find(request, sessions, now) or _handed_by(request, sessions.values(), now)
    if known is not None:
        return known
    if request.purpose != "turn" or _after_summary(request):
        same = (s for s in sessions.values() if s.client == request.client and _beside(request, s))
        newest = max(same, key=lambda s: s.seen, default=None)
        if newest is not None:
            return newest.id
    if request.run:
        return f"run-{request.run}"  # one run holds one session; housekeeping, sub-agents and a new start are lanes of it
    return _unused(f"{request.client}-{_opening(request):016x}", sessions)


def _handed_by(request: Request, sessions: Iterable[Session], now: float | None) -> str | None:
    """The newest session in which a model handed these first words to a sub-agent, which its client does not mark; or None.

    A person who begins a session of the same client with the same words brings the tools of its main loop; a sub-agent has
    others. One whose system prompt was written by the model is of no client that we know: it counts while its giver waits.
    """
    words = _handed_words(request)
    if not words or request.purpose != "turn":
        return None
    found = (
        session for session in sessions
        if request.client in (session.client, "unknown") and (not request.run or request.run == session.run)
        and (None in (request.cwd, session.cwd) or request.cwd == session.cwd)
        and any(
            _gave(lane, request, words, now) and (request.client == session.client or lane.last_stop == "tool")
            for lane in session.lanes.values()
        )
    )  # fmt: skip
    newest = max(found, key=lambda session: session.seen, default=None)
    return newest.id if newest else None


def _gave(lane: Lane, request: Request, words: int, now: float | None) -> bool:
    """Whether ``lane`` handed ``words`` to a sub-agent that ``request`` can be of."""
    late = now is not None and now - max(lane.last_start, lane.last_end) > TASK_GAP_S
    return words in lane.handed and lane.tools != request.tools and lane.system != request.system and not late


def _handed_words(request: Request) -> int:
    """The hash of the words a conversation opens with, while it holds no answer yet; 0 for any other."""
    opening = 0
    for message in request.messages:
        if message.kind in ("assistant", "tool_result"):
            return 0
        if message.kind == "prompt":
            opening = opening or message.own
    return opening


def _after_summary(request: Request) -> bool:
    """Whether a request begins from a summary: the words that its session began with are gone."""
    return any("continued" in message.facts for message in request.messages[:1])


def _beside(request: Request, session: Session) -> bool:
    """Whether a request can belong to ``session`` by where it comes from: the same run, else the same folder."""
    if request.run and session.run == request.run:
        return True
    if _after_summary(request):
        return request.cwd is not None and request.cwd == session.cwd
    return not request.run


def _opening(request: Request) -> int:
    """What a new session of a client without ids is named after: its first prompt."""
    return next((message.hash for message in request.messages if message.kind == "prompt"), request.body_hash)


def _unused(name: str, sessions: Mapping[str, Session]) -> str:
    if name not in sessions:
        return name
    n = 2
    while f"{name}-{n}" in sessions:
        n += 1
    return f"{name}-{n}"


def locate(request: Request, session: Session | None, now: float) -> Place:
    """The lane, turn and task of ``request`` within ``session`` (None: its first request); ``now`` in epoch seconds."""
    name = session.id if session else (request.session or "")
    lane_id, kind, parent = _lane_of(request, session)
    lane = session.lanes.get(lane_id) if session else None
    in_loop = bool(request.messages) and request.messages[-1].kind == "tool_result"
    if lane is None or lane.requests == 0:
        return _first(request, session, name, lane_id, kind, parent, in_loop)
    assert session is not None
    kept = common(lane.messages, request.messages)
    relation = _relation(request, session, lane, kept, now)
    new_turn = kind == "main" and _new_turn(request, lane, kept, relation)
    gap = now - lane.last_start
    new_task = new_turn and relation != "compacted" and (
        relation == "new" or boundaries.begins(session, lane, request.messages[kept:], gap)
    )  # fmt: skip
    return Place(
        session=name, lane=lane_id, kind=kind, relation=relation, kept=kept,
        turn=session.turn + 1 if new_turn else session.turn, task=session.task + 1 if new_task else session.task,
        new_turn=new_turn, new_task=new_task, in_loop=in_loop, gap_s=max(0.0, gap), parent=lane.parent,
        retry_of=lane.last_id if relation == "retry" else None,
        client_move=_client_move(request, session, lane, relation, now) if kind == "main" else None,
    )  # fmt: skip


def _first(
    request: Request,
    session: Session | None,
    name: str,
    lane_id: str,
    kind: LaneKind,
    parent: str | None,
    in_loop: bool,
) -> Place:
    """The place of a lane's first request. A main lane opens the first turn and task; others run inside the current ones."""
    opens = kind == "main" and request.purpose == "turn"
    turn, task = (session.turn, session.task) if session else (0, 0)
    return Place(
        session=name, lane=lane_id, kind=kind, relation="new", turn=turn + 1 if opens else turn,
        task=task + 1 if opens else task, new_turn=opens, new_task=opens, in_loop=in_loop, parent=parent,
    )  # fmt: skip


def _spoken(messages: Iterable[Message]) -> bool:
    """Whether a shared start holds more than the client's own opening (system text, reminders)."""
    return any(message.kind in ("prompt", "assistant", "tool_result") for message in messages)


def _lane_of(request: Request, session: Session | None) -> tuple[str, LaneKind, str | None]:
    if request.purpose == "side":
        return "side", "side", None
    if request.agent:
        return request.agent, "subagent", request.parent or "main"
    if request.session or session is None or "main" not in session.lanes:
        return "main", "main", None
    return _lane_by_history(request, session)


def _lane_by_history(request: Request, session: Session) -> tuple[str, LaneKind, str | None]:
    """The lane an unmarked request continues: longest shared history, then equal system and tools; else a new sub-agent.

    A token count joins the lane it resembles and never opens one.
    """
    lanes = [lane for lane in session.lanes.values() if lane.kind != "side"]
    best, length = None, 0
    for lane in lanes:
        n = common(lane.messages, request.messages)
        if n > length and _spoken(request.messages[:n]):
            best, length = lane, n
    words = _handed_words(request) if best is None else 0
    giver = next((lane for lane in lanes if _gave(lane, request, words, None)), None) if words else None
    if giver is not None:
        return f"sub-{words:016x}", "subagent", giver.id
    if best is None:
        best = next((lane for lane in lanes if _carries(request, lane)), None)
    if best is None:
        best = next((lane for lane in lanes if (lane.system, lane.tools) == (request.system, request.tools)), None)
    if best is None and request.purpose == "count":
        best = session.lanes["main"]
    if best is not None:
        return best.id, best.kind, best.parent
    return f"sub-{request.system ^ request.tools:016x}", "subagent", "main"


def _relation(request: Request, session: Session, lane: Lane, kept: int, now: float) -> Relation:
    if request.body_hash and request.body_hash == lane.last_body and kept == len(lane.messages) == len(request.messages):
        return "retry"
    if _summarised(request.messages[kept:], lane):
        return "compacted"
    if not _spoken(request.messages[:kept]):
        return "fork" if _follows(request, lane) else "new"
    if kept < len(lane.messages) - REWRITTEN_TAIL:
        return "fork"
    if _another_run(request, session) or now - lane.last_start > TASK_GAP_S:
        return "resume"
    return "continue"


def _another_run(request: Request, session: Session) -> bool:
    return bool(request.run and session.run and request.run != session.run)


def _summarised(added: tuple[Message, ...], lane: Lane) -> bool:
    """Whether the added messages hold a summary of the history that the lane has not seen."""
    summaries = {message.hash for message in added if "continued" in message.facts}
    return bool(summaries) and not summaries <= {message.hash for message in lane.messages}


def _carries(request: Request, lane: Lane) -> bool:
    """Whether a request repeats the lane's last prompt somewhere: aider moves its history in front of its file messages."""
    if request.client != "aider":
        return False
    last = next((_words(message) for message in reversed(lane.messages) if message.kind == "prompt"), None)
    prompts = [_words(message) for message in request.messages if message.kind == "prompt"]
    return last is not None and last in prompts and len(request.messages) > len(lane.messages)


def _new_turn(request: Request, lane: Lane, kept: int, relation: Relation) -> bool:
    """Whether a person spoke since the last request. Words slipped into a running tool loop steer it and open no turn."""
    if request.purpose != "turn" or relation == "retry":
        return False
    if request.turn_id is not None and lane.turn_id is not None:
        return request.turn_id != lane.turn_id
    added = request.messages[kept:]
    if not any(message.kind == "prompt" for message in added):
        return False
    if relation == "compacted" and lane.last_stop == "tool":
        return False  # compaction inside a turn: the summary stands where the user's words stood
    steering = lane.last_stop == "tool" and not any("interrupt" in message.facts for message in added)
    return not steering


def _client_move(request: Request, session: Session, lane: Lane, relation: Relation, now: float) -> ClientMove | None:
    """Whose move a changed model is, where it is not a person's (WIRE.md 1, behaviours to honour)."""
    if request.purpose != "turn" or request.model == lane.asked.model:
        return None
    failed = lane.last_status >= 400 and lane.last_status != HUNG_UP
    if failed and relation == "retry" and now - lane.last_start < FALLBACK_S:
        return "limit" if lane.last_status == 429 else "fallback"
    if request.model == lane.moved_to:
        return lane.moved_by  # it goes on where it went by itself
    if lane.last_status == 429:
        return "limit"
    if request.model == lane.current.model and (relation == "resume" or _another_run(request, session)):
        return "resumed"
    if request.speed != lane.speed:
        return "fast"
    if any("plan_mode" in message.facts for message in request.messages[-REWRITTEN_TAIL * 4 :]) or lane.plan:
        return "opusplan"
    return None
