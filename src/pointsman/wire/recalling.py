"""A cache mark where an older entry ends, so that a provider finds it again after a detour.

Theory of operation. Anthropic looks back over 20 positions from every mark. A conversation that was elsewhere for longer comes
back with its marks at its new end, out of reach of the prefix that is still held; one more mark, where that prefix ended, finds
it. Marks are no part of a prefix: nothing else changes, and later requests do not need it, because the newest end is held then.
A request has four marks at most. Where the client uses all of them, one gives way that says nothing which a later one does not:
of several in the history the last but one, else the first of several before it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import msgspec

from pointsman.wire.digest import decode
from pointsman.wire.layouts import leading_system
from pointsman.wire.splice import Opened, Span, drop, elements, open_body, open_object, put, splice

MARKS = 4
"""Marks that a request may carry (Anthropic prompt-caching guide)."""

NEAR = 5
"""Messages back from a mark within which no mark of ours is needed: each is one to a few of the 20 positions."""

FIELD = "cache_control"
UNMARKABLE = ("thinking", "redacted_thinking", "image_url")
"""Blocks that may not carry a mark (Anthropic prompt-caching guide; of a Chat message only texts may: OpenRouter's)."""

MARK = b'{"type":"ephemeral"}'


@dataclass(frozen=True, slots=True)
class _Mark:
    """A block with a mark: the message it stands in (-1: before the history), the block itself, the raw value of its mark."""

    message: int
    block: Opened
    value: bytes


def recalled(body: bytes, at: int) -> bytes:
    """A Messages body with a mark at the end of its first ``at`` messages; the same object where none is needed, or can be.

    Raises WireError where the body cannot be taken apart.
    """
    opened = open_body(body)
    items = elements(body, opened.spans["messages"][0], opened.fields["messages"], "`messages`")
    marks = [mark for name in ("tools", "system") for mark in _head(opened, name)]
    marks += [mark for index, (raw, span) in enumerate(items) for mark in _in_message(body, index, raw, span)]
    later = [mark.value for mark in marks if mark.message >= at]
    later += [bytes(opened.fields[FIELD])] if FIELD in opened.fields else []
    if not 0 < at < len(items) or not later or any(at - 1 <= mark.message < at + NEAR for mark in marks):
        return body
    added = _marked(body, *items[at - 1], later[0])
    if added is None:
        return body
    edits = [added]
    if len(marks) + (FIELD in opened.fields) >= MARKS:
        spare = _spare(marks)
        if spare is None:
            return body
        edits += drop(spare.block, [FIELD])
    return splice(body, edits)


def chat_marks(opened: Opened) -> list[tuple[Span, bytes]]:
    """Edits that mark a Chat request for a Claude model behind one upstream for everything: the end of the system text and of the
    newest message, as OpenRouter and LiteLLM's proxy pass them on. Nothing where the client marks by itself.
    """
    raw = opened.fields.get("messages")
    if raw is None or b'"cache_control"' in bytes(raw):
        return []
    items = elements(opened.data, opened.spans["messages"][0], raw, "`messages`")
    system = leading_system([item for item, _ in items])
    places = dict.fromkeys([system - 1, len(items) - 1])
    found = [_marked(opened.data, *items[place], MARK) for place in places if place >= 0]
    return [edit for edit in found if edit is not None]


def _spare(marks: list[_Mark]) -> _Mark | None:
    """The mark that can best be done without, or None."""
    inside = [mark for mark in marks if mark.message >= 0]
    before = [mark for mark in marks if mark.message < 0]
    return inside[-2] if len(inside) > 1 else before[0] if len(before) > 1 else None


def _head(opened: Opened, name: str) -> Iterator[_Mark]:
    raw = opened.fields.get(name)
    if raw is not None and bytes(memoryview(raw)[:1]) == b"[":
        yield from _blocks(opened.data, -1, opened.spans[name][0], raw)


def _in_message(data: bytes, index: int, raw: msgspec.Raw, span: Span) -> Iterator[_Mark]:
    if FIELD.encode() not in data[span[0] : span[1]]:  # most messages carry none
        return
    message = open_object(data, span[0], raw, f"messages[{index}]")
    content = message.fields.get("content")
    if content is not None and bytes(memoryview(content)[:1]) == b"[":
        yield from _blocks(data, index, message.spans["content"][0], content)


def _blocks(data: bytes, index: int, start: int, raw: Any) -> Iterator[_Mark]:
    """The marks on the blocks of an array, those on blocks inside them too."""
    for item, (at, _) in elements(data, start, raw, "an array of blocks"):
        if FIELD.encode() not in bytes(item):
            continue
        block = open_object(data, at, item, "a block")
        value = block.fields.get(FIELD)
        if value is not None and bytes(value) != b"null":
            yield _Mark(index, block, bytes(value))
        inner = block.fields.get("content") if bytes(block.fields.get("type", b"")) == b'"tool_result"' else None
        if inner is not None and bytes(memoryview(inner)[:1]) == b"[":
            yield from _blocks(data, index, block.spans["content"][0], inner)


def _marked(data: bytes, raw: msgspec.Raw, span: Span, mark: bytes) -> tuple[Span, bytes] | None:
    """The edit that marks the end of a message; None where nothing of it may carry a mark."""
    message = open_object(data, span[0], raw, "a message")
    content, where = message.fields.get("content"), message.spans.get("content")
    if content is None or where is None:
        return None
    first = bytes(memoryview(content)[:1])
    if first == b'"' and bytes(content) != b'""':
        return where, b'[{"type":"text","text":' + bytes(content) + b',"cache_control":' + mark + b"}]"
    for item, (at, _) in reversed(elements(data, where[0], content, "`content`") if first == b"[" else []):
        block = decode(item, "a block")
        if isinstance(block, dict) and block.get("type") not in UNMARKABLE and block.get("text") != "":
            return put(open_object(data, at, item, "a block"), FIELD, mark)
    return None


# ---- translated bodies

KEPT = 8
"""Ends of one conversation that are remembered: the newest."""

CONVERSATIONS = 2_000


class Ends:
    """Where the requests of each conversation ended that went to a marked cache: digests of their prefixes, in this process.

    What is lost (a restarted worker, an old conversation) costs a cold prefix and no more.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], list[bytes]] = OrderedDict()

    def mark(self, body: dict[str, Any], key: str, model: str, value: Mapping[str, Any]) -> dict[str, Any]:
        """``body`` with a mark where an earlier request of the conversation ``key`` to ``model`` ended, should its newest mark be
        too far from there; and its own end remembered."""
        messages = body.get("messages") or []
        if not messages:
            return body
        prefixes = list(_prefixes(body))
        known = self._known.setdefault((key, model), [])
        self._known.move_to_end((key, model))
        last = next((n for n in range(len(prefixes) - 2, -1, -1) if prefixes[n] in known), None)
        if last is not None and len(prefixes) - 1 - last >= NEAR:
            messages[last] = _with_mark(messages[last], value)
        if prefixes[-1] not in known:
            known.append(prefixes[-1])
            del known[:-KEPT]
        while len(self._known) > CONVERSATIONS:
            self._known.popitem(last=False)
        return body


def _prefixes(body: dict[str, Any]) -> Iterator[bytes]:
    """A digest at the end of every message, of it and everything before, marks left out."""
    chain = blake2b(msgspec.json.encode([body.get("tools"), _bare(body.get("system"))]), digest_size=16).digest()
    for message in body["messages"]:
        bare = {**message, "content": _bare(message.get("content"))}
        chain = blake2b(chain + msgspec.json.encode(bare), digest_size=16).digest()
        yield chain


def _bare(content: Any) -> Any:
    if not isinstance(content, list):
        return [{"type": "text", "text": content}] if isinstance(content, str) else content
    return [{k: v for k, v in block.items() if k != FIELD} if isinstance(block, dict) else block for block in content]


def _with_mark(message: dict[str, Any], value: Mapping[str, Any]) -> dict[str, Any]:
    content = _bare(message.get("content"))
    for n in range(len(content) - 1, -1, -1):
        block = content[n]
        if isinstance(block, dict) and block.get("type") not in UNMARKABLE and block.get("text") != "":
            return {**message, "content": [*content[:n], {**block, FIELD: value}, *content[n + 1 :]]}
    return message
