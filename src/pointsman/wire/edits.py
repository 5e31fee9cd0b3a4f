"""Additions to a history, put into a body by splice: every other byte stays as the client sent it.

Theory of operation. An edit stands after so many messages of the client's (``core.edits`` says which are in force). Its bytes
are a pure function of the edit and its text, and of the one message that it divides, so that every later request carries them
unchanged. What a model called of the advisor while it answered (a *consult*) never reached the client: there the answer that
the client holds is divided again as the provider saw it, the call and its result between the halves. ``bind`` finds that
place in the first request that shows the answer; where the client shows it otherwise, the consult is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from pointsman.core.decisions import Advice, Edit
from pointsman.core.edits import WITHDRAWN
from pointsman.core.messages import Message
from pointsman.core.types import Protocol
from pointsman.errors import WireError
from pointsman.wire import consulting
from pointsman.wire.converting import peek
from pointsman.wire.digest import decode
from pointsman.wire.layouts import leading_system
from pointsman.wire.protocols import HISTORY
from pointsman.wire.splice import Opened, Span, elements, open_body, open_object, splice, split_array

EFFORT_BETA = "mid-conversation-output-config-2026-07-01"
"""The beta under which a message may carry an effort (effort-per-message page, November 2026)."""

ADVISOR_BETA = "advisor-tool-2026-03-01"
"""The beta of Anthropic's own advisor tool (advisor-tool page, August 2026)."""

DECLARED = "functionDeclarations"
"""Where a group of Gemini's tools holds the client's own; other groups are tools that Google runs."""

Item = tuple[msgspec.Raw, Span]


def apply(
    protocol: Protocol, body: bytes, headers: Mapping[str, str], edits: Sequence[Edit], said: Mapping[str, Advice],
    tools: Mapping[str, bytes],
) -> tuple[bytes, Mapping[str, str]]:  # fmt: skip
    """Body and headers with ``edits`` in their places; both are the same objects when there are none.

    ``said``: advice by id; ``tools``: the JSON of each tool form. An edit whose text is not there is an error of the caller's.
    Raises WireError when the history is no array or is shorter than an edit's place.
    """
    if not edits:
        return body, headers
    opened = open_body(body)
    items, skipped = _items(protocol, opened)
    changes: list[tuple[Span, bytes]] = []
    inserted: dict[int, list[bytes]] = {}
    divided: dict[int, list[Advice]] = {}
    for edit in edits:
        if edit.kind == "tool":
            gone = edit.value == WITHDRAWN
            changes += _without_advisor(items) if gone else _tool(protocol, opened, tools[edit.value])
            continue
        place = edit.at + edit.skip + skipped
        if place > len(items):
            raise WireError(f"an edit stands after message {place}, and the history has {len(items)}")
        if edit.kind == "consult" and protocol != "responses":
            divided.setdefault(place, []).append(said[edit.value])
        elif edit.kind == "consult" and said[edit.value].joined:  # Responses: the call among the calls, its result behind them
            call, result = map(_json, consulting.between(said[edit.value]))
            inserted.setdefault(place, []).append(call)
            inserted.setdefault(_behind_calls(items, place), []).append(result)
        else:
            inserted.setdefault(place, []).extend(_inserted(protocol, edit, said))
    for place, consults in divided.items():
        changes += consulting.divided(protocol, opened.data, items, place, consults)
    changes += [_insertion(items, place, values) for place, values in inserted.items()]
    return splice(body, changes), with_betas(protocol, headers, edits)


def bind(
    protocol: Protocol, body: bytes, edit: Edit, advice: Advice, messages: tuple[Message, ...], kept: int
) -> Edit | None:  # fmt: skip
    """The place of a consult in the first request that shows the answer it happened in; None: it is not shown as it was.

    ``kept``: leading messages that are those of the request which was being answered. An edit that is bound already, or is no
    consult, comes back as it is.
    """
    if edit.kind != "consult" or edit.into or not edit.at < len(messages):
        return edit
    if edit.at > kept or messages[edit.at - 1].hash != edit.after:
        return None
    opened = open_body(body)
    items, skipped = _items(protocol, opened)
    if protocol == "responses":
        length = consulting.shown_items([decode(raw, "an item") for raw, _ in items[edit.at + skipped :][:64]], advice)
        if length is None:
            return None
        at = edit.at + length
        return replace(edit, skip=length, into=messages[at].hash) if at < len(messages) else None
    if not consulting.fits(protocol, opened.data, items, edit.at + skipped, advice):
        return None
    return replace(edit, into=messages[edit.at].hash)


def size(protocol: Protocol, edit: Edit, advice: Advice) -> int:
    """Characters of an advice or a consult on the wire."""
    if edit.kind == "consult":
        return len(advice.text) + len(advice.arguments) + consulting.FRAME_CHARS
    return len(_inserted(protocol, edit, {edit.value: advice})[0])


def framed(advice: str, model: str) -> str:
    """Advice that nobody asked for, as it stands in the history: who says it, and that it is no order of the user's."""
    return (
        f'<advice from="{model}">\nA second model read a summary of this session and advises the following. It has not seen your'
        f" tools' output in full: check before you act, and do not answer it.\n\n{advice.strip()}\n</advice>"
    )


def _items(protocol: Protocol, opened: Opened) -> tuple[list[Item], int]:
    """The history's elements with their addresses, and how many of the first are the system prompt."""
    name = HISTORY[protocol]
    raw = opened.fields.get(name)
    if raw is None or bytes(memoryview(raw)[:1]) != b"[":
        raise WireError(f"`{name}` is no array: nothing can be added to it")
    items = elements(opened.data, opened.spans[name][0], raw, f"`{name}`")
    led = protocol == "chat" or (protocol == "responses" and not _has(opened, "instructions"))
    return items, leading_system([item for item, _ in items]) if led else 0


def _behind_calls(items: Sequence[Item], place: int) -> int:
    """The first place from ``place`` on that no call of a tool stands at."""
    while place < len(items) and peek(items[place][0]).type.endswith("_call"):
        place += 1
    return place


def _has(opened: Opened, name: str) -> bool:
    raw = opened.fields.get(name)
    return raw is not None and bytes(memoryview(raw)[:4]) != b"null"


def _insertion(items: Sequence[Item], place: int, values: Iterable[bytes]) -> tuple[Span, bytes]:
    end = items[place - 1][1][1]
    return (end, end), b"".join(b"," + value for value in values)


def _inserted(protocol: Protocol, edit: Edit, said: Mapping[str, Advice]) -> list[bytes]:
    """The elements that an edit adds between two messages."""
    if edit.kind == "effort":
        return [_json(_effort(protocol, edit.value))]
    advice = said[edit.value]
    if edit.kind == "consult":
        return [_json(item) for item in consulting.between(advice)]
    text = framed(advice.text, _adviser(edit))
    if protocol == "gemini":
        return [_json({"role": "user", "parts": [{"text": text}]})]
    if protocol == "responses":
        return [_json({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]})]
    if protocol == "chat":
        return [_json({"role": "user", "content": text})]
    return [_json({"role": "user", "content": [{"type": "text", "text": text}]})]


def _effort(protocol: Protocol, effort: str) -> dict[str, Any]:
    if protocol == "responses":
        return {"type": "configuration_update", "reasoning": {"effort": effort}}
    return {"role": "system", "content": [], "output_config": {"effort": effort}}


def _adviser(edit: Edit) -> str:
    """The advisor's name, which the id of a pushed advice ends with."""
    return edit.value.partition("@")[2] or "a stronger model"


def _tool(protocol: Protocol, opened: Opened, tool: bytes) -> list[tuple[Span, bytes]]:
    """The tool behind the client's own; nothing where the client sends none (Codex asks for its summaries that way)."""
    raw = opened.fields.get("tools")
    if raw is None or bytes(memoryview(raw)[:1]) != b"[" or not split_array(raw, "`tools`"):
        return []
    end = opened.spans["tools"][1] - 1
    if protocol != "gemini":
        return [((end, end), b"," + tool)]
    for item, (start, _) in elements(opened.data, opened.spans["tools"][0], raw, "`tools`"):
        group = open_object(opened.data, start, item, "a tool")
        declared = group.fields.get(DECLARED)
        if declared is not None and split_array(declared, f"`{DECLARED}`"):
            end = group.spans[DECLARED][1] - 1
            return [((end, end), b"," + tool)]
    return []


def _without_advisor(items: Sequence[Item]) -> list[tuple[Span, bytes]]:
    """The messages without what Anthropic's own advisor left in them: its calls and their results."""
    changes = []
    for raw, span in items:
        if b"advisor" not in bytes(raw):
            continue
        message = decode(raw, "a message")
        content = message.get("content")
        if not isinstance(content, list):
            continue
        kept = [block for block in content if not _of_advisor(block)]
        if len(kept) < len(content):
            changes.append((span, _json({**message, "content": kept or [{"type": "text", "text": consulting.SILENCE}]})))
    return changes


def _of_advisor(block: Any) -> bool:
    if not isinstance(block, dict):
        return False
    called = block.get("type") == "server_tool_use" and block.get("name") == "advisor"
    return called or block.get("type") == "advisor_tool_result"


def with_betas(protocol: Protocol, headers: Mapping[str, str], edits: Sequence[Edit]) -> Mapping[str, str]:
    """Headers with the betas that ``edits`` need; the same object where nothing is missing."""
    if protocol != "messages":
        return headers
    wanted = [EFFORT_BETA] if any(edit.kind == "effort" for edit in edits) else []
    if any(edit.kind == "tool" and edit.value.startswith("advisor_") for edit in edits):
        wanted.append(ADVISOR_BETA)
    name = next((key for key in headers if key.lower() == "anthropic-beta"), "anthropic-beta")
    given = [beta.strip() for beta in headers.get(name, "").split(",") if beta.strip()]
    missing = [beta for beta in wanted if beta not in given]
    return {**headers, name: ",".join([*given, *missing])} if missing else headers


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value)
