"""Reads Claude Code's own transcripts (``~/.claude/projects/*/*.jsonl``).

Theory of operation. One model message spans several lines that share ``message.id`` and repeat its usage; the output count is
final only on a line with a ``stop_reason`` or where it grew. Lines with ``isSidechain`` belong to a sub-agent's lane. A
request began at the last prompt or tool result before its answer. A compaction's own request is not recorded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pointsman.core.events import Stop
from pointsman.core.messages import Fact
from pointsman.core.types import FIVE_MINUTES, HOUR, Usage
from pointsman.shell.history.transcript import (
    UNREADABLE,
    Call,
    Piece,
    Transcript,
    digest,
    estimate_output,
    length,
    objects,
    seconds,
    tokens,
    word,
)

SYNTHETIC = "<synthetic>"
"""The model name of messages that the client made itself (API errors shown as answers): nobody billed them."""

OWN_WORDS = (
    "<system-reminder", "<local-command", "<task-notification", "<bash-stdout", "<bash-stderr", "<user-memory", "Caveat:",
    "<command-name>/clear", "<command-name>/compact", "<command-name>/model", "<command-name>/cost", "<command-name>/config",
    "<command-name>/exit", "<command-name>/resume", "<command-name>/context", "<command-name>/status",
)
"""How texts begin that the client put into the user's mouth: no prompt."""

COMMAND = "<command-message>"
"""How a slash command begins that sends a prompt (local ones begin with their name)."""

INTERRUPT = "[Request interrupted by user"
STOPS: dict[str, Stop] = {"tool_use": "tool", "end_turn": "final", "stop_sequence": "final", "max_tokens": "length",
                          "refusal": "refusal", "pause_turn": "tool"}


@dataclass(slots=True)
class _Lane:
    """One lane while it is read: its conversation so far, and where each line's uuid stood in it."""

    name: str
    talk: list[Piece] = field(default_factory=list)
    sent: int = 0
    kept: int | None = None
    asked_at: float | None = None
    open: str | None = None
    places: dict[str, int] = field(default_factory=dict)
    ttl_s: int | None = None


@dataclass(slots=True)
class _Reader:
    out: Transcript
    lanes: dict[str, _Lane] = field(default_factory=dict)
    roots: dict[str, str] = field(default_factory=dict)
    calls: dict[str, Call] = field(default_factory=dict)
    counts: dict[str, list[int]] = field(default_factory=dict)

    def lane(self, row: dict[str, Any]) -> _Lane:
        """The lane of a line: the main one, or a sub-agent's by its id, or by the line its side chain began with."""
        name = "main"
        if row.get("isSidechain"):
            uuid, parent = str(row.get("uuid")), row.get("parentUuid")
            root = self.roots.get(str(parent)) or uuid
            self.roots[uuid] = root
            name = str(row.get("agentId") or f"sidechain-{root[:8]}")
        return self.lanes.setdefault(name, _Lane(name))


def read(path: Path) -> Transcript:
    """The session in a Claude Code transcript; what cannot be read is in ``troubles``."""
    out = Transcript(str(path), "claude", "messages", path.name.split(".")[0])
    reader = _Reader(out)
    first = True
    for number, row in objects(path, out.troubles):
        try:
            if first and row.get("sessionId"):
                out.session, out.cwd, first = str(row["sessionId"]), word(row.get("cwd")), False
            _line(reader, row)
        except UNREADABLE as error:
            out.troubles.append(f"{path}:{number}: skipped, not a line of a Claude Code transcript: {error!r}")
    for call in reader.calls.values():
        _settle(call, reader.counts.get(call.id, []))
    out.calls.sort(key=lambda call: call.start)
    return out


def _line(reader: _Reader, row: dict[str, Any]) -> None:
    kind = row.get("type")
    if kind not in ("user", "assistant", "system"):
        return
    lane = reader.lane(row)
    if kind == "assistant":
        _answer(reader, lane, row)
    elif kind == "user":
        _input(reader, lane, row)
    elif row.get("subtype") == "compact_boundary":
        _compacted(reader, lane, row)
    if row.get("uuid"):
        lane.places[str(row["uuid"])] = len(lane.talk)


def _input(reader: _Reader, lane: _Lane, row: dict[str, Any]) -> None:
    content = row["message"].get("content")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    pieces = [_piece(block, row) for block in blocks if isinstance(block, dict)]
    if any(piece.kind == "prompt" for piece in pieces):
        _rewind(lane, row.get("parentUuid"))
        if not reader.out.title and lane.name == "main":
            reader.out.title = _text(blocks)[:60]
    lane.talk += pieces
    stamp = seconds(row.get("timestamp"))
    if stamp is not None and pieces:
        lane.asked_at = stamp
    lane.open = None


def _rewind(lane: _Lane, parent: str | None) -> None:
    """A prompt whose parent stands before an earlier answer goes on from there: what came after it is no longer sent."""
    at = lane.places.get(str(parent))
    if at is not None and any(piece.role == "assistant" for piece in lane.talk[at:]):
        del lane.talk[at:]
        lane.kept = min(at, lane.sent if lane.kept is None else lane.kept)


def _piece(block: dict[str, Any], row: dict[str, Any]) -> Piece:
    kind = block.get("type")
    chars = _chars(block)
    own = digest(row.get("uuid"), block)
    facts: tuple[Fact, ...] = ()
    if kind == "tool_result":
        return Piece("tool_result", "user", chars, own).showing("messages", "claude", {"role": "user", "content": [block]})
    text = str(block.get("text", "")).lstrip()
    if kind == "image":
        facts = ("image",)
    if row.get("isCompactSummary"):
        return Piece("prompt", "user", chars, own, ("continued",))
    if text.startswith(INTERRUPT):
        return Piece("reminder", "user", chars, own, ("interrupt",))
    if text.startswith(COMMAND):
        facts = ("command",)
    if row.get("isMeta") or text.startswith(OWN_WORDS):
        return Piece("reminder", "user", chars, own, facts)
    return Piece("prompt", "user", chars, own, facts).showing("messages", "claude", {"role": "user", "content": [block]})


def _answer(reader: _Reader, lane: _Lane, row: dict[str, Any]) -> None:
    """One line of an answer. The first line of a message opens the call; later ones add to it."""
    message = row["message"]
    model, own = str(message.get("model")), str(message.get("id"))
    if model == SYNTHETIC or row.get("isApiErrorMessage"):
        return
    stamp = seconds(row.get("timestamp"))
    call = reader.calls.get(own)
    if call is None:
        start = lane.asked_at if lane.asked_at is not None else stamp or 0.0
        at = lane.sent if lane.kept is None else lane.kept
        call = Call(own, min(start, stamp or start), stamp or start, model, lane.name, "main" if lane.name != "main" else None,
                    kept=at, new=lane.talk[at:], stop="final")
        lane.talk.append(Piece("assistant", "assistant", 0, digest(own)))
        lane.sent, lane.kept = len(lane.talk), None
        reader.calls[own] = call
        reader.out.calls.append(call)
    content = message.get("content")
    blocks = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
    before = call.answer or Piece("assistant", "assistant", 0, digest(own))
    answer = replace(before, chars=before.chars + sum(_chars(b) for b in blocks))
    call.answer = answer.showing("messages", "claude", {"role": "assistant", "content": blocks})
    if lane.talk and lane.talk[-1].hash == answer.hash:
        lane.talk[-1] = call.answer
    if any(block.get("type") == "tool_use" for block in blocks):
        call.stop = "tool"
    call.stop = STOPS.get(str(message.get("stop_reason")), call.stop)
    call.end = max(call.end, stamp or call.end)
    _usage(reader, lane, call, message)


def _usage(reader: _Reader, lane: _Lane, call: Call, message: dict[str, Any]) -> None:
    """Take the usage of the latest line: it repeats, or its output grows. Null means the client did not know."""
    usage = message.get("usage")
    if not isinstance(usage, dict):
        return
    split = usage.get("cache_creation") or {}
    hour, five = tokens(split, "ephemeral_1h_input_tokens"), tokens(split, "ephemeral_5m_input_tokens")
    written = tokens(usage, "cache_creation_input_tokens")
    if hour + five < written:
        five = written - hour
    writes = tuple((ttl, n) for ttl, n in ((FIVE_MINUTES, five), (HOUR, hour)) if n)
    if writes:
        lane.ttl_s = HOUR if hour else FIVE_MINUTES
    output = tokens(usage, "output_tokens")
    call.ttl_s = lane.ttl_s
    served = usage.get("server_tool_use")
    searches = tokens(served, "web_search_requests") if isinstance(served, dict) else 0
    call.usage = Usage(tokens(usage, "input_tokens"), tokens(usage, "cache_read_input_tokens"), writes, output, searches=searches)
    counts = reader.counts.setdefault(call.id, [])
    counts.append(output)
    if message.get("stop_reason"):
        counts.append(-1)


def _settle(call: Call, counts: list[int]) -> None:
    """Decide whether the logged output is final; if not, estimate it from what can be seen."""
    if call.usage is None or not call.answer or -1 in counts or len(set(counts)) > 1:
        return
    guess = estimate_output(call.usage.output, call.answer.chars)
    call.estimated = True
    call.usage = replace(call.usage, output=guess, complete=False)


def _compacted(reader: _Reader, lane: _Lane, row: dict[str, Any]) -> None:
    """The history becomes a summary. Its own request was billed and is not in the transcript: a call without usage."""
    stamp = seconds(row.get("timestamp")) or lane.asked_at or 0.0
    last = next((call for call in reversed(reader.out.calls) if call.lane == lane.name), None)
    if last is not None:
        start = max(last.end, lane.asked_at or 0.0)
        marker = Piece("prompt", "user", 1, digest(row.get("uuid")), ("summarise",))
        reader.out.calls.append(Call(
            f"compaction-{row.get('uuid')}", min(start, stamp), stamp, last.model, lane.name, last.parent,
            purpose="compaction", kept=lane.sent, new=[*lane.talk[lane.sent:], marker], ttl_s=lane.ttl_s,
        ))
    lane.talk, lane.sent, lane.kept = [], 0, 0
    lane.places.clear()


def _chars(block: dict[str, Any]) -> int:
    """Visible characters of a content block; an image or a signature counts nothing."""
    kind = block.get("type")
    if kind == "tool_use":
        return len(str(block.get("name"))) + length(json.dumps(block.get("input"), ensure_ascii=False))
    if kind == "tool_result":
        content = block.get("content")
        if isinstance(content, list):
            return sum(_chars(item) for item in content if isinstance(item, dict))
        return length(str(content or ""))
    return length(str(block.get("text") or block.get("thinking") or ""))


def _text(blocks: Iterable[Any]) -> str:
    return " ".join(" ".join(str(b.get("text", "")) for b in blocks if isinstance(b, dict)).split())
