"""What a foreign model thought before its tool calls: kept apart from the client's history, given back to that model only.

Theory of operation
    A client would send another vendor's reasoning and signatures back to its own vendor, which refuses them; so they never
    reach it. They are listened for in the foreign answer, kept under the id of the call they led to, and put back in front of
    that call whenever the same model is asked again. What is lost (a restarted process, an old conversation) is left out:
    vendors that insist get the least they accept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from pointsman.core.types import Protocol
from pointsman.wire.pairing import call_id

Json = dict[str, Any]

LEAST = " "
"""DeepSeek in thinking mode refuses an assistant message without ``reasoning_content``; this is the least it accepts
(LiteLLM 1.106.2, llms/deepseek)."""

INSIST = ("deepseek", "moonshot")
"""Vendors that refuse an assistant message of a thinking model without its reasoning."""

BYTES_KEPT = 32 << 20


class Thoughts:
    """Reasoning by model and call id, the oldest forgotten beyond ``BYTES_KEPT``."""

    def __init__(self, limit: int = BYTES_KEPT) -> None:
        self._kept: OrderedDict[tuple[str, str], Any] = OrderedDict()
        self._size = 0
        self._limit = limit

    def keep(self, model: str, id: str, thought: Any) -> None:
        """Remember what led ``model`` to the call ``id``."""
        if thought and (model, id) not in self._kept:
            self._kept[model, id] = thought
            self._size += _size(thought)
            while self._size > self._limit:
                self._size -= _size(self._kept.popitem(last=False)[1])

    def of(self, model: str, id: Any) -> Any:
        """What led ``model`` to the call ``id``, or None."""
        return self._kept.get((model, str(id)))


def _size(thought: Any) -> int:
    return len(msgspec.json.encode(thought)) + 200


def given_back(native: Protocol, body: Json, model: str, vendor: str, thoughts: Thoughts) -> Json:
    """``body`` with what ``model`` thought put back before its calls."""
    if native == "responses":
        body["input"] = _before_calls(body.get("input") or [], model, thoughts)
    elif native == "chat":
        for message in body.get("messages") or ():
            if message.get("role") != "assistant":
                continue
            found = next((t for call in message.get("tool_calls") or () if (t := thoughts.of(model, call.get("id")))), None)
            if found or vendor in INSIST:
                message["reasoning_content"] = found or LEAST
    elif native == "messages":
        for message in body.get("messages") or ():
            content = message.get("content")
            if message.get("role") == "assistant" and isinstance(content, list):
                found = next((t for b in content if b.get("type") == "tool_use" and (t := thoughts.of(model, b.get("id")))), None)
                message["content"] = [*(found or ()), *content]
    return body


def _before_calls(items: list[Json], model: str, thoughts: Thoughts) -> list[Json]:
    """Reasoning items stand before everything that was said in the same answer."""
    out: list[Json] = []
    start = 0
    for item in items:
        answered = str(item.get("type", "")).endswith("_output") or item.get("role") not in (None, "assistant")
        if str(item.get("type", "")).endswith("_call"):
            out[start:start] = thoughts.of(model, item.get("call_id")) or []
        out.append(item)
        if answered:
            start = len(out)
    return out


class Overheard:
    """Listens to one foreign answer, event by event (or whole), and keeps its reasoning."""

    def __init__(self, native: Protocol, model: str, thoughts: Thoughts) -> None:
        self._model, self._thoughts = model, thoughts
        self._hear: Callable[[Json], None] = {
            "responses": self._responses, "chat": self._chat, "messages": self._messages, "gemini": lambda event: None,
        }[native]  # fmt: skip
        self._open: list[Json] = []
        self._text: list[str] = []
        self._pieces: dict[str, list[str]] = {}  # of the newest thought, by field

    def event(self, event: Json) -> None:
        """One event of the stream, or the whole answer."""
        self._hear(event)

    def _responses(self, event: Json) -> None:
        items = [event["item"]] if event.get("type") == "response.output_item.done" else event.get("output") or ()
        for item in items:
            if item.get("type") == "reasoning" and item.get("encrypted_content"):
                self._open.append({name: item[name] for name in ("type", "summary", "encrypted_content") if name in item})
            elif str(item.get("type", "")).endswith("_call"):
                self._thoughts.keep(self._model, call_id(item.get("call_id")), self._open)
                self._open = []

    def _chat(self, event: Json) -> None:
        for choice in event.get("choices") or ():
            said: Mapping[str, Any] = choice.get("delta") or choice.get("message") or {}
            self._text.append(said.get("reasoning_content") or "")
            for call in said.get("tool_calls") or ():
                if call.get("id"):
                    self._text = ["".join(self._text)]
                    self._thoughts.keep(self._model, call_id(call["id"]), self._text[0])

    def _messages(self, event: Json) -> None:
        kind = event.get("type")
        if kind == "message":
            for block in event.get("content") or ():
                self._block(block)
        elif kind == "content_block_start":
            self._block(dict(event.get("content_block") or {}))
        elif kind == "content_block_delta" and self._open:
            delta = event.get("delta") or {}
            for name, part in (("thinking", "thinking_delta"), ("signature", "signature_delta")):
                if delta.get("type") == part:
                    self._pieces.setdefault(name, []).append(str(delta.get(name) or ""))

    def _block(self, block: Json) -> None:
        for name, pieces in self._pieces.items():  # the thought before this block is whole
            self._open[-1][name] = str(self._open[-1].get(name) or "") + "".join(pieces)
        self._pieces = {}
        if block.get("type") in ("thinking", "redacted_thinking"):
            self._open.append(block)
        elif block.get("type") == "tool_use":
            self._thoughts.keep(self._model, call_id(block.get("id")), self._open)
            self._open = []
