"""Reads Codex's own rollouts (``~/.codex/sessions/**/rollout-*.jsonl``).

Theory of operation. A rollout is a list of items; a ``token_count`` event closes a model call with ``last_token_usage``. The same
event is repeated (rate limits, resume) with an unchanged total: that is no call. ``input_tokens`` include the cached ones and
``output_tokens`` the reasoning. A rollout without such events still shows its calls; what they cost is unknown.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pointsman.core.events import Stop
from pointsman.core.types import Usage
from pointsman.shell.history.transcript import UNREADABLE, Call, Piece, Transcript, digest, length, objects, seconds, tokens, word

SAID = frozenset({"reasoning", "function_call", "custom_tool_call", "local_shell_call", "web_search_call", "tool_search_call"})
HEARD = frozenset({"function_call_output", "custom_tool_call_output", "tool_search_output", "local_shell_call_output"})
OWN_WORDS = (
    "<environment_context", "<user_instructions", "<permissions", "# AGENTS.md", "<turn_aborted", "<skill", "<INSTRUCTIONS",
)
"""How user messages begin that Codex itself wrote."""


@dataclass(slots=True)
class _Reader:
    """The rollout while it is read: what was heard since the last call, and the call that is being answered."""

    out: Transcript
    billed: bool
    model: str = ""
    effort: str | None = None
    turn_id: str | None = None
    lane: str = "main"
    heard: list[Piece] = field(default_factory=list)
    heard_at: float | None = None
    later: bool = False
    kept: int | None = None
    talk: int = 0
    call: Call | None = None
    total: Any = None
    stamp: float = 0.0


def read(path: Path) -> Transcript:
    """The session in a Codex rollout; what cannot be read is in ``troubles``."""
    out = Transcript(str(path), "codex", "responses", path.name.split(".")[0])
    rows = list(objects(path, out.troubles))
    reader = _Reader(out, any(_info(row) for _, row in rows))
    for number, row in rows:
        try:
            reader.stamp = seconds(row.get("timestamp")) or reader.stamp
            _line(reader, str(row.get("type")), row.get("payload") or {})
        except UNREADABLE as error:
            out.troubles.append(f"{path}:{number}: skipped, not a line of a Codex rollout: {error!r}")
    _close(reader, None, "cut" if reader.billed else None)
    return out


def _info(row: dict[str, Any]) -> Any:
    payload = row.get("payload")
    return payload.get("info") if isinstance(payload, dict) and payload.get("type") == "token_count" else None


def _line(reader: _Reader, kind: str, payload: dict[str, Any]) -> None:
    what = payload.get("type")
    if kind == "session_meta":
        _meta(reader, payload)
    elif kind == "turn_context":
        reader.model = str(payload.get("model") or reader.model)
        settings = (payload.get("collaboration_mode") or {}).get("settings") or {}
        reader.effort = word(payload.get("effort")) or word(settings.get("reasoning_effort")) or reader.effort
        reader.turn_id = word(payload.get("turn_id")) or reader.turn_id
    elif kind == "compacted":
        _compacted(reader, payload)
    elif kind == "response_item":
        _item(reader, payload)
    elif what == "token_count":
        _counted(reader, payload.get("info"))
    elif what == "task_started":
        reader.turn_id = word(payload.get("turn_id")) or reader.turn_id
    elif what == "turn_aborted":
        _close(reader, None, "hangup")
        reader.heard.append(Piece("reminder", "user", 1, digest(reader.stamp, "interrupt"), ("interrupt",)))


def _meta(reader: _Reader, payload: dict[str, Any]) -> None:
    """The head: ids, folder; a sub-agent's rollout names the thread that spawned it."""
    own = str(payload.get("id") or reader.out.session)
    source = payload.get("source")
    spawn = source.get("subagent") if isinstance(source, dict) else None
    parent = _find(spawn, "parent_thread_id") if spawn is not None else None
    reader.out.session = str(parent or own)
    reader.lane = own if spawn is not None else "main"
    reader.out.cwd = word(payload.get("cwd"))
    reader.model = str(payload.get("model") or reader.model)


def _find(value: Any, key: str) -> Any:
    """The first value under ``key`` in nested objects."""
    if not isinstance(value, dict):
        return None
    return value.get(key) or next((found for item in value.values() if (found := _find(item, key))), None)


def _item(reader: _Reader, item: dict[str, Any]) -> None:
    what = item.get("type")
    if what in SAID or (what == "message" and item.get("role") == "assistant"):
        _said(reader, item)
    elif what in HEARD or what == "message":
        reader.heard.append(_piece(reader, item))
        reader.heard_at = reader.stamp
        reader.later = True


def _said(reader: _Reader, item: dict[str, Any]) -> None:
    """Output of the model. Where calls are not counted, output after a tool result is the next call's."""
    if reader.call is not None and reader.later and not reader.billed:
        _close(reader, None)
    call = reader.call or _open(reader)
    before = call.answer or Piece("assistant", "assistant", 0, digest(call.id))
    call.answer = replace(before, chars=before.chars + _chars(item)).showing("responses", "codex", item)
    call.end = reader.stamp
    if item.get("type") in ("function_call", "custom_tool_call", "local_shell_call"):
        call.stop = "tool"


def _open(reader: _Reader) -> Call:
    start = reader.heard_at if reader.heard_at is not None else reader.stamp
    at = reader.talk if reader.kept is None else reader.kept
    call = Call(
        f"{reader.out.session[:13]}-{reader.lane[:4]}-{len(reader.out.calls) + 1}", min(start, reader.stamp), reader.stamp,
        reader.model or "unknown", reader.lane, "main" if reader.lane != "main" else None, reader.effort, reader.turn_id,
        kept=at, new=reader.heard,
    )
    reader.out.calls.append(call)
    reader.talk, reader.kept = at + len(reader.heard) + 1, None
    reader.call, reader.heard, reader.later = call, [], False
    return call


def _counted(reader: _Reader, info: Any) -> None:
    """A bill. Unchanged totals repeat an old one; a first event may only carry rate limits."""
    if not isinstance(info, dict) or not isinstance(info.get("last_token_usage"), dict):
        return
    total = info.get("total_token_usage")
    if total == reader.total:
        return
    reader.total = total
    last = info["last_token_usage"]
    prompt, cached = tokens(last, "input_tokens"), tokens(last, "cached_input_tokens")
    output, thought = tokens(last, "output_tokens"), tokens(last, "reasoning_output_tokens")
    if cached > prompt or thought > output:
        raise ValueError(f"{cached} cached of {prompt} input tokens, {thought} reasoning of {output} output tokens")
    _close(reader, Usage(prompt - cached, cached, (), output - thought, thought))


def _close(reader: _Reader, usage: Usage | None, stop: Stop | None = None) -> None:
    call = reader.call
    if call is None:
        if usage is None:
            return
        call = _open(reader)
    call.usage = usage
    call.end = max(call.end, call.start)
    if stop is not None:
        call.stop = stop
    reader.call = None


def _compacted(reader: _Reader, payload: dict[str, Any]) -> None:
    """The history becomes a summary; the call that wrote it is closed by its own token count, if it has one."""
    _close(reader, None)
    text, history = str(payload.get("message") or ""), payload.get("replacement_history")
    reader.heard = [Piece("prompt", "user", max(1, len(text)), digest(reader.stamp, text), ("continued",))]
    reader.heard += [_piece(reader, item) for item in (history if isinstance(history, list) else ()) if isinstance(item, dict)]
    reader.heard_at, reader.kept = reader.stamp, 0


def _piece(reader: _Reader, item: dict[str, Any]) -> Piece:
    what, chars = item.get("type"), _chars(item)
    own = digest(reader.stamp, len(reader.heard), item.get("call_id"), chars)
    if what in HEARD:
        return Piece("tool_result", "user", chars, own).showing("responses", "codex", item)
    text = _text(item)
    if item.get("role") != "user":
        return Piece("system", str(item.get("role")), chars, own)
    if text.lstrip().startswith(OWN_WORDS):
        return Piece("reminder", "user", chars, own)
    if not reader.out.title:
        reader.out.title = " ".join(text.split())[:60]
    return Piece("prompt", "user", chars, own).showing("responses", "codex", item)


def _text(item: dict[str, Any]) -> str:
    content = item.get("content")
    if isinstance(content, list):
        return " ".join(str(block.get("text", "")) for block in content if isinstance(block, dict))
    return str(content or "")


def _chars(item: dict[str, Any]) -> int:
    """Visible characters of an item: its text, arguments, input or output."""
    if item.get("type") == "message":
        return max(1, length(_text(item)))
    output = item.get("output")
    if isinstance(output, list):  # texts and images; an image counts by its size, not by its characters
        return max(1, sum(length(str(part.get("text", ""))) for part in output if isinstance(part, dict)))
    found = next((item[key] for key in ("arguments", "input", "output", "action") if item.get(key) is not None), "")
    return max(1, length(found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)))
