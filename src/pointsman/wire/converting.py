"""What one Claude model takes and another refuses: thinking, and system messages inside the history.

Each rule is a documented or measured difference between models of one vendor (design notes, cache.md 3.1; the table
itself is data behind ``core.targets``). Thinking blocks of the history are never touched: a model that cannot read
another's drops them unbilled, and reads its own again on the way back.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pointsman.core.targets import Target
from pointsman.core.types import Request
from pointsman.errors import WireError
from pointsman.wire.digest import decode
from pointsman.wire.heads import PLACEHOLDER
from pointsman.wire.splice import Change, Opened, Span, elements

BUDGETS = {"minimal": 1_024, "low": 4_096, "medium": 10_000}
LARGEST_BUDGET = 31_999
"""Tokens of thinking for models that want a budget. Claude Code 2.1.330 itself asks Sonnet 4.5 for 31,999; lower efforts
get less (our choice: nothing is documented)."""

SMALLEST_BUDGET = 1_024
"""The API's own minimum."""


class _Peek(msgspec.Struct):
    role: str = ""
    type: str = ""
    name: str = ""


_PEEK = msgspec.json.Decoder(_Peek)


def peek(raw: msgspec.Raw) -> _Peek:
    """Role, type and name of an element, without decoding the rest."""
    try:
        return _PEEK.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"an element of the body cannot be read: {error}") from error


def thinking(change: Change, request: Request, target: Target, effort: str | None, limit: int | None) -> bool:
    """Turn the client's form of thinking into one that ``target`` takes at ``effort``; whether it asks for thinking then.

    ``limit`` is the answer limit that will be sent: a budget must stay below it.
    """
    raw = change.opened.fields.get("thinking")
    field = decode(raw, "`thinking`") if raw is not None else None
    if not isinstance(field, dict):
        return False
    wanted = {"disabled": "none", "between_tools": "adaptive"}.get(str(field.get("type")), str(field.get("type")))
    form = target.thinking_for(wanted, effort)
    rest = {name: value for name, value in field.items() if name not in ("type", "budget_tokens")}
    new: dict[str, Any] | None = {"type": form, **rest}
    if form == "enabled":
        asked = field.get("budget_tokens")
        new = _budgeted(request, effort, limit, asked if isinstance(asked, int) else None, rest)
    elif form == "none":
        new = field
    elif not form:
        new = None
    if new is None:
        change.gone.append("thinking")
        _without_clearing(change)
    elif new != field:
        change.set("thinking", msgspec.json.encode(new))
    return new is not None and new.get("type") != "disabled"


def _budgeted(
    request: Request, effort: str | None, limit: int | None, asked: int | None, rest: dict[str, Any]
) -> dict[str, Any] | None:
    """Thinking with a budget below the answer limit; None where it would be refused here.

    ``asked`` is the client's own budget, None when it asked for adaptive thinking. Where we turn thinking on, it is refused
    together with a forced tool, and inside a tool loop whose last answer began without thinking.
    """
    room = (limit - 1) if limit is not None else LARGEST_BUDGET
    wanted = request.effort if effort is None else effort
    budget = min(asked if asked is not None else BUDGETS.get(wanted or "", LARGEST_BUDGET), room)
    refused = asked is None and ("forced_tool" in request.needs or _unthinking_loop(request))
    if budget < SMALLEST_BUDGET or refused:
        return None
    return {"type": "enabled", "budget_tokens": budget, **rest}


def _unthinking_loop(request: Request) -> bool:
    """Whether the request answers tool calls of a message that holds no thinking."""
    if not request.messages or request.messages[-1].kind != "tool_result":
        return False
    last = next((message for message in reversed(request.messages) if message.role == "assistant"), None)
    return last is not None and "thinking" not in last.facts


def _without_clearing(change: Change) -> None:
    """Clearing old thinking from the context is refused where thinking is off: that edit goes, others stay."""
    raw = change.opened.fields.get("context_management")
    field = decode(raw, "`context_management`") if raw is not None else None
    edits = field.get("edits") if isinstance(field, dict) else None
    if not isinstance(field, dict) or not isinstance(edits, list):
        return
    kept = [edit for edit in edits if not _clears_thinking(edit)]
    if not kept:
        change.gone.append("context_management")
    elif len(kept) < len(edits):
        change.set("context_management", msgspec.json.encode({**field, "edits": kept}))


def _clears_thinking(edit: Any) -> bool:
    return isinstance(edit, dict) and str(edit.get("type", "")).startswith("clear_thinking")


def history(
    opened: Opened, request: Request, target: Target, effort: str | None, *, same_model: bool = False
) -> list[tuple[Span, bytes]]:
    """Edits for system messages inside the history: reminders in the user's name where ``target`` refuses them.

    ``effort`` is a decided effort (None: the client's). An effort message overrules the top-level field, so each one is
    set to the decided effort, or to the nearest that the target takes, or left out.
    """
    as_user = "system_messages" in request.needs and not target.system_messages and not same_model
    if not as_user and "effort_messages" not in request.needs:
        return []
    items = elements(opened.data, opened.spans["messages"][0], opened.fields["messages"], "`messages`")
    spans, gone, edits = [span for _, span in items], [False] * len(items), []
    for index, (raw, span) in enumerate(items):
        if peek(raw).role != "system":
            continue
        message = decode(raw, f"messages[{index}]")
        if not as_user and "output_config" not in message:
            continue  # whatever it is: what becomes of it may not depend on the others
        new = reminder(with_effort(message, target, effort, same_model), as_user=as_user)
        if new is None:
            gone[index] = True
        elif new != message:
            edits.append((span, msgspec.json.encode(new)))
    return edits + without(spans, gone)


def updates(
    opened: Opened, request: Request, target: Target, effort: str | None, *, same_model: bool = False
) -> list[tuple[Span, bytes]]:
    """The same for the ``configuration_update`` items of a Responses input, which overrule ``reasoning.effort``."""
    if "effort_messages" not in request.needs or "input" not in opened.spans:
        return []
    items = elements(opened.data, opened.spans["input"][0], opened.fields["input"], "`input`")
    spans, gone, edits = [span for _, span in items], [False] * len(items), []
    for index, (raw, span) in enumerate(items):
        if peek(raw).type != "configuration_update":
            continue
        item = decode(raw, f"input[{index}]")
        reasoning = item.get("reasoning")
        wanted = effort if effort is not None else reasoning.get("effort") if isinstance(reasoning, dict) else None
        taken = target.nearest_effort(wanted) if isinstance(wanted, str) else None
        if not target.effort_messages and not same_model:
            gone[index] = True
        elif taken and isinstance(reasoning, dict) and taken != reasoning.get("effort"):
            edits.append((span, msgspec.json.encode({**item, "reasoning": {**reasoning, "effort": taken}})))
    return edits + without(spans, gone)


def with_effort(message: dict[str, Any], target: Target, effort: str | None, same_model: bool) -> dict[str, Any]:
    """A system message with its effort as ``target`` takes it; without, where the target takes none inside the history."""
    config = message.get("output_config")
    if not isinstance(config, dict):
        return message
    if not target.effort_messages and not same_model:
        return {name: value for name, value in message.items() if name != "output_config"}
    wanted = effort if effort is not None else config.get("effort")
    taken = target.nearest_effort(wanted) if isinstance(wanted, str) else None
    return {**message, "output_config": {**config, "effort": taken}} if taken else message


def reminder(message: dict[str, Any], *, as_user: bool) -> dict[str, Any] | None:
    """A system message in a form an older model takes; None when nothing of it is left.

    ``as_user``: its text becomes ``<system-reminder>`` blocks of a user message, cache marks kept. A pure function of the
    message: the same message gives the same bytes in every later request.
    """
    content = message.get("content")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else list(content or ())
    if not blocks and ("output_config" not in message or as_user):
        return None
    if not as_user:
        return message
    kept = {name: value for name, value in message.items() if name != "output_config"}
    return {**kept, "role": "user", "content": [_reminded(block) for block in blocks]}


def placeholder(opened: Opened, target: Target) -> list[tuple[Span, bytes]]:
    """Edits that take Claude Code's empty deferred tool out for a target without tool search."""
    raw = opened.fields.get("tools")
    if target.tool_reference or raw is None or bytes(memoryview(raw)[:1]) != b"[":
        return []
    items = elements(opened.data, opened.spans["tools"][0], raw, "`tools`")
    return without([span for _, span in items], [peek(item).name == PLACEHOLDER for item, _ in items])


def _reminded(block: Any) -> Any:
    if not isinstance(block, dict) or not isinstance(block.get("text"), str):
        return block
    text = block["text"]
    if not text.lstrip().startswith("<system-reminder>"):
        text = f"<system-reminder>\n{text}\n</system-reminder>"
    return {**block, "text": text}


def without(spans: list[Span], gone: list[bool]) -> list[tuple[Span, bytes]]:
    """Edits that take elements out of an array, each with one comma."""
    edits: list[tuple[Span, bytes]] = []
    kept_before = False
    for index, (start, end) in enumerate(spans):
        if not gone[index]:
            kept_before = True
        elif kept_before:
            edits.append(((spans[index - 1][1], end), b""))
        else:
            after = spans[index + 1][0] if index + 1 < len(spans) else end
            edits.append(((start, after), b""))
    return edits
