"""A call of the advisor inside an answer, as each protocol's history has it: the tool, the call, its result, the division.

The provider saw: answer up to the call, the call, its result, the rest of the answer. The client was shown one answer without
call and result. Messages, Chat Completions and Gemini hold that answer as one message, which is divided; the Responses API holds
its items one by one, and call and result go between two of them. Where the model called tools of the client's in the same breath
(``Advice.joined``) nothing was divided: the call goes back among the calls, its result among the results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pointsman.core.decisions import Advice
from pointsman.core.edits import PROVIDER_TOOL, TOOL
from pointsman.core.types import Protocol
from pointsman.errors import WireError
from pointsman.wire.digest import decode
from pointsman.wire.protocols import HISTORY
from pointsman.wire.recalling import MARKS
from pointsman.wire.splice import Span, elements, open_body, open_object, splice

NAME = TOOL
FRAME_CHARS = 220
"""Characters of a call and its result beside their texts."""

_DESCRIPTION = (
    "Ask a stronger model for advice. It reads a summary of this session (task, plan, recent failures, changes) and answers"
    " once, in a few paragraphs; it runs no tools. Use it before committing to an approach that is hard to undo, when the"
    " same failure has come back twice, or when you do not know how to go on; not for routine steps. Go on with the work"
    " when it has answered."
)
_SCHEMA = {
    "type": "object",
    "properties": {
        "question": {"type": "string", "description": "What you need to know, with the facts it takes to answer."},
        "focus": {"type": "string", "description": "Files, functions or failures to look at; may be empty."},
    },
    "required": ["question"],
}

Item = tuple[msgspec.Raw, Span]


def tool(protocol: Protocol) -> bytes:
    """The function tool in the protocol's form: the same bytes in every request."""
    if protocol == "messages":
        return _json({"name": NAME, "description": _DESCRIPTION, "input_schema": _SCHEMA})
    function = {"name": NAME, "description": _DESCRIPTION, "parameters": _SCHEMA}
    if protocol == "gemini":
        return _json(function)
    if protocol == "responses":
        return _json({"type": "function", **function, "strict": False})
    return _json({"type": "function", "function": function})


def provider_tool(model: str, max_uses: int, max_tokens: int) -> bytes:
    """Anthropic's own advisor tool, which its server runs."""
    value = {"type": PROVIDER_TOOL, "name": "advisor", "model": model, "max_uses": max_uses, "max_tokens": max_tokens}
    return _json(value)


def asked(arguments: str) -> tuple[str, str]:
    """Question and focus of a call; what is not readable counts as the question itself."""
    try:
        value = msgspec.json.decode(arguments or "{}")
    except (msgspec.MsgspecError, RecursionError):
        return arguments, ""
    given = value if isinstance(value, dict) else {}
    return str(given.get("question") or ""), str(given.get("focus") or "")


# -- going on after the call -------------------------------------------------------------------------------------------


def continuation(
    protocol: Protocol, parts: Sequence[Any], advice: Advice, *, mark: Mapping[str, Any] | None = None
) -> list[bytes]:  # fmt: skip
    """What is appended to the history so that the model goes on: its answer so far, its call, and the result.

    ``parts``: the answer so far in the protocol's own form, call left out. ``mark``: a cache mark for the result (Messages).
    """
    if protocol == "responses":
        return [_json(part) for part in parts] + [_json(item) for item in between(advice)]
    if protocol == "gemini":
        return [_json({"role": "model", "parts": [*parts, _gemini_call(advice)]}), _json(_gemini_result([advice]))]
    if protocol == "chat":
        first = {**(parts[0] if parts else {"role": "assistant", "content": None}), "tool_calls": [_chat_call(advice)]}
        return [_json(first), _json(_chat_result(advice))]
    result = {**_result(advice), **({"cache_control": dict(mark)} if mark else {})}
    return [
        _json({"role": "assistant", "content": [*parts, _call(advice)]}), _json({"role": "user", "content": [result]})
    ]  # fmt: skip


def continued(protocol: Protocol, body: bytes, parts: Sequence[Any], advice: Advice) -> bytes:
    """``body`` with the answer so far, the call and its result appended to its history.

    A cache mark goes on the result where the request has room for one more: the client's own stands on its last message.
    Reasoning that the provider neither stores nor sealed (Responses) is left out: it would be refused. Raises WireError when
    the history is no array.
    """
    opened = open_body(body)
    name = HISTORY[protocol]
    raw = opened.fields.get(name)
    if raw is None or bytes(memoryview(raw)[:1]) != b"[":
        raise WireError(f"`{name}` is no array: nothing can be appended to it")
    end = opened.spans[name][1] - 1
    mark = None
    if protocol == "messages" and 0 < body.count(b'"cache_control"') < MARKS:
        mark = {"type": "ephemeral", **({"ttl": "1h"} if b'"ttl":"1h"' in body.replace(b" ", b"") else {})}
    if protocol == "responses" and bytes(opened.fields.get("store", b"")) == b"false":
        parts = [part for part in parts if part.get("type") != "reasoning" or part.get("encrypted_content")]
    added = b"".join(b"," + item for item in continuation(protocol, parts, advice, mark=mark))
    return splice(body, [((end, end), added)])


def between(advice: Advice) -> list[dict[str, Any]]:
    """Call and result as items of a Responses input."""
    return [
        {"type": "function_call", "call_id": advice.call, "name": NAME, "arguments": advice.arguments},
        {"type": "function_call_output", "call_id": advice.call, "output": advice.text},
    ]


# -- dividing the client's answer again --------------------------------------------------------------------------------


def fits(protocol: Protocol, data: bytes, items: Sequence[Item], place: int, advice: Advice) -> bool:
    """Whether the message at ``place`` is the answer in which the call was made, shown as it was streamed."""
    try:
        return bool(divided(protocol, data, items, place, [advice]))
    except (WireError, KeyError, TypeError, AttributeError):
        return False


def divided(
    protocol: Protocol, data: bytes, items: Sequence[Item], place: int, consults: Sequence[Advice]
) -> list[tuple[Span, bytes]]:  # fmt: skip
    """The changes of the body ``data`` that put calls and results, in their order, back into the answer at ``place``.

    None while the answer is not shown. Raises WireError where another message stands there.
    """
    if place >= len(items):
        return []
    if protocol == "messages":
        return _messages_divided(data, items, place, consults)
    return (_gemini_divided if protocol == "gemini" else _chat_divided)(items, place, consults)


def shown_items(items: Sequence[Mapping[str, Any]], advice: Advice) -> int | None:
    """How many items of a Responses input belong to the answer before the call; clients may leave reasoning out."""
    at = 0
    for kind in advice.parts:
        if at < len(items) and str(items[at].get("type") or "message") == kind:
            at += 1
        elif kind != "reasoning":
            return None
    return at


def _messages_divided(
    data: bytes, items: Sequence[Item], place: int, consults: Sequence[Advice]
) -> list[tuple[Span, bytes]]:  # fmt: skip
    blocks, _ = _blocks(data, items[place], "assistant")
    kinds = [_kind(raw) for raw, _ in blocks]
    if any(list(advice.parts) != kinds[: len(advice.parts)] for advice in consults):
        raise WireError("the answer is not shown as it was streamed")
    changes = []
    for count in sorted({len(advice.parts) for advice in consults}):
        here = [advice for advice in consults if len(advice.parts) == count]
        changes.append((_gap(blocks, count), _filling(here, count, count == len(blocks))))
    joined = [advice for advice in consults if advice.joined]
    if joined and place + 1 < len(items):
        results, _ = _blocks(data, items[place + 1], "user")
        start = results[0][1][0]
        changes.append(((start, start), b"".join(_json(_result(advice)) + b"," for advice in joined)))
    return changes


def _gap(blocks: Sequence[Item], count: int) -> Span:
    """What stands between the ``count``-th block and the next: nothing before the first and after the last."""
    start = blocks[count - 1][1][1] if count else blocks[0][1][0]
    return start, blocks[count][1][0] if 0 < count < len(blocks) else start


def _filling(consults: Sequence[Advice], count: int, last: bool) -> bytes:
    """What goes into a gap: calls, each closed and answered unless it is joined, and the next message begun."""
    pieces, filled = [], bool(count)
    for advice in consults:
        pieces.append((b"," if filled else b"") + _json(_call(advice)))
        filled = True
        if not advice.joined:
            pieces.append(b']},{"role":"user","content":[' + _json(_result(advice)) + b']},{"role":"assistant","content":[')
            filled = False
    if last and not filled:
        pieces.append(_json({"type": "text", "text": SILENCE}))
    elif filled and not last:
        pieces.append(b",")
    return b"".join(pieces)


SILENCE = "(no further words)"
"""An assistant message must hold something: stands for a second half that was empty."""


def _blocks(data: bytes, item: Item, role: str) -> tuple[list[Item], Span]:
    """The content blocks of a message by ``role``, with their addresses and the message's own.

    Raises WireError unless the message is just a role and then a list of blocks: only that can be divided by splice.
    """
    raw, span = item
    opened = open_object(data, span[0], raw, "a message")
    if list(opened.fields) != ["role", "content"] or _plain(opened.fields["role"]) != role:
        raise WireError(f"the message is not one of the {role}'s that can be divided")
    content = opened.fields["content"]
    if bytes(memoryview(content)[:1]) != b"[":
        raise WireError("the message is a text, not a list of blocks")
    blocks = elements(data, opened.spans["content"][0], content, "content")
    if not blocks:
        raise WireError("the message is empty")
    return blocks, span


def _plain(raw: msgspec.Raw) -> str:
    """A JSON string without escapes."""
    return bytes(memoryview(raw)[1:-1]).decode("utf-8", "replace")


def _kind(raw: msgspec.Raw) -> str:
    return str(decode(raw, "a block").get("type"))


def _chat_divided(items: Sequence[Item], place: int, consults: Sequence[Advice]) -> list[tuple[Span, bytes]]:
    raw, span = items[place]
    message = decode(raw, "an answer")
    words, thoughts = message.get("content") or "", message.get("reasoning_content") or ""
    if message.get("role") != "assistant" or not isinstance(words, str):
        raise WireError("the message is no answer in words")
    out: list[dict[str, Any]] = []
    at = thought = 0
    for advice in consults:
        if advice.joined:
            continue
        if not (at <= advice.words <= len(words) and thought <= advice.thoughts <= len(thoughts)):
            raise WireError("the answer is not shown as it was streamed")
        first: dict[str, Any] = {"role": "assistant", "content": words[at : advice.words] or None}
        if advice.thoughts > thought:
            first["reasoning_content"] = thoughts[thought : advice.thoughts]
        out += [{**first, "tool_calls": [_chat_call(advice)]}, _chat_result(advice)]
        at, thought = advice.words, advice.thoughts
    rest = {**message, "content": words[at:] or (None if message.get("tool_calls") else "")} if out else dict(message)
    if out and "reasoning_content" in message:
        rest["reasoning_content"] = thoughts[thought:]
    joined = [advice for advice in consults if advice.joined]
    if joined and place + 1 < len(items):
        calls = list(rest.get("tool_calls") or ())
        for advice in joined:
            calls.insert(advice.parts.count("tool_call"), _chat_call(advice))
        rest["tool_calls"] = calls
        return [(span, b",".join(_json(m) for m in (*out, rest, *map(_chat_result, joined))))]
    return [(span, b",".join(_json(m) for m in (*out, rest)))] if out else []


def _gemini_divided(items: Sequence[Item], place: int, consults: Sequence[Advice]) -> list[tuple[Span, bytes]]:
    raw, span = items[place]
    content = decode(raw, "an answer")
    rest = content.get("parts")
    if content.get("role") != "model" or not isinstance(rest, list):
        raise WireError("the message is no answer in parts")
    out: list[dict[str, Any]] = []
    words = kinds = 0
    for advice in consults:
        if not advice.joined:
            head, rest = _parted(rest, advice.words - words, len(advice.parts) - kinds)
            out += [{"role": "model", "parts": [*head, _gemini_call(advice)]}, _gemini_result([advice])]
            words, kinds = advice.words, len(advice.parts)
    joined = [advice for advice in consults if advice.joined]
    changes: list[tuple[Span, bytes]] = []
    if joined and place + 1 < len(items):
        rest = list(rest)
        for advice in joined:
            rest.insert(_behind_calls(rest, len(advice.parts)), _gemini_call(advice))
        answer, where = items[place + 1]
        result = decode(answer, "the results")
        changes.append((where, _json({**result, "parts": [*_gemini_result(joined)["parts"], *result["parts"]]})))
    if out or changes:
        own = {**content, "parts": rest or [{"text": SILENCE}]}
        changes.append((span, b",".join(_json(message) for message in (*out, own))))
    return changes


def _parted(parts: Sequence[Any], words: int, kinds: int) -> tuple[list[Any], list[Any]]:
    """Parts of an answer in two: up to so many characters of text and so many parts that are none, and what follows.

    Thoughts in the first half are left out, as they were when it was repeated to the provider. Raises WireError where the
    answer is not shown as it was streamed.
    """
    head: list[Any] = []
    for n, part in enumerate(parts):
        if not words and not kinds:
            return head, list(parts[n:])
        text = part.get("text")
        if part.get("thought"):
            continue
        if not isinstance(text, str):
            kinds -= 1
            head.append(part)
        elif len(text) <= words:
            words -= len(text)
            head.append(part)
        else:
            if kinds or not words:
                break
            after = {key: value for key, value in part.items() if key != "thoughtSignature"}
            return [*head, {**part, "text": text[:words]}], [{**after, "text": text[words:]}, *parts[n + 1 :]]
        if kinds < 0:
            break
    if words or kinds:
        raise WireError("the answer is not shown as it was streamed")
    return head, []


def _behind_calls(parts: Sequence[Any], calls: int) -> int:
    """Where a call goes that so many others stand before."""
    places = [n for n, part in enumerate(parts) if "functionCall" in part]
    if calls > len(places) or not places:
        raise WireError("the answer is not shown as it was streamed")
    return places[calls] if calls < len(places) else places[-1] + 1


def _given(advice: Advice) -> dict[str, Any]:
    """The arguments of a call, empty where the model wrote none that can be read."""
    try:
        given = msgspec.json.decode(advice.arguments or "{}")
    except (msgspec.MsgspecError, RecursionError):
        return {}
    return given if isinstance(given, dict) else {}


def _gemini_call(advice: Advice) -> dict[str, Any]:
    named = {"id": advice.call} if advice.call else {}
    sealed = {"thoughtSignature": advice.signature} if advice.signature else {}
    return {"functionCall": {**named, "name": NAME, "args": _given(advice)}, **sealed}


def _gemini_result(consults: Sequence[Advice]) -> dict[str, Any]:
    named = [({"id": advice.call} if advice.call else {}, advice.text) for advice in consults]
    return {
        "role": "user",
        "parts": [{"functionResponse": {**id, "name": NAME, "response": {"output": text}}} for id, text in named],
    }


def _call(advice: Advice) -> dict[str, Any]:
    return {"type": "tool_use", "id": advice.call, "name": NAME, "input": _given(advice)}


def _result(advice: Advice) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": advice.call, "content": advice.text}


def _chat_call(advice: Advice) -> dict[str, Any]:
    return {"id": advice.call, "type": "function", "function": {"name": NAME, "arguments": advice.arguments or "{}"}}


def _chat_result(advice: Advice) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": advice.call, "content": advice.text}


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value)
