"""Woven answers of Anthropic's Messages API: content blocks with an index, one start and one ending."""

from __future__ import annotations

from typing import Any

import msgspec

from pointsman.wire.consulting import NAME
from pointsman.wire.weave import Called, Weave, added, sse

EMPTY = {"type": "text", "text": ""}
"""A block that the API gives and does not take."""

WORDS = (("text_delta", "text"), ("thinking_delta", "thinking"))
"""Deltas of words, and the field of a block that they fill."""


class MessagesWeave(Weave):
    """Anthropic Messages: content blocks with an index; ``message_delta`` and ``message_stop`` are the ending.

    ``parts``: the client reckons its context from the last of ``usage.iterations`` and its costs from their sum, as Claude Code
    2.1.330 does (read in its program); others know only the figures at the top.
    """

    protocol = "messages"
    keep_alive = b'event: ping\ndata: {"type": "ping"}\n\n'

    def __init__(self, *, parts: bool = False) -> None:
        super().__init__()
        self._parts = parts
        self._shown: list[str] = []  # kinds of the blocks that the client has seen, over all answers
        self._blocks: dict[int, dict[str, Any]] = {}
        self._json: dict[int, list[str]] = {}
        self._words: dict[int, list[str]] = {}  # text or thinking of a block, in the pieces it came in
        self._places: dict[int, int] = {}
        self._calls: list[tuple[int, int]] = []  # (index of a hidden call, blocks shown before it)
        self._start: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}

    def _resumed(self) -> None:
        self._blocks, self._json, self._words, self._places, self._calls, self._usage = {}, {}, {}, {}, [], {}

    def _event(self, raw: bytes, name: str, value: dict[str, Any]) -> bytes:
        kind = value.get("type")
        if kind == "message_start":
            message = value.get("message") or {}
            self._usage = dict(message.get("usage") or {})
            self._start = self._start or message
            return raw if self.answers == 1 else b""
        if kind in ("content_block_start", "content_block_delta", "content_block_stop"):
            return self._block(raw, name, value, int(value.get("index", 0)))
        if kind == "message_delta":
            return self._ending(raw, name, value)
        if kind == "message_stop":
            return b"" if self.asking else raw
        return raw

    def _block(self, raw: bytes, name: str, value: dict[str, Any], index: int) -> bytes:
        """A block's event: gathered, hidden when it is a call of ours, else renumbered."""
        if value["type"] == "content_block_start":
            block = dict(value.get("content_block") or {})
            self._blocks[index] = block
            if block.get("type") == "tool_use" and block.get("name") == NAME:
                self._calls.append((index, len(self._shown)))
                return b""
            self._places[index] = len(self._shown)
            self._shown.append(str(block.get("type")))
        elif value["type"] == "content_block_delta":
            self._grow(index, value.get("delta") or {})
        if index not in self._places:
            return b""
        place = self._places[index]
        return raw if place == index else sse(name, {**value, "index": place})

    def _grow(self, index: int, delta: dict[str, Any]) -> None:
        block = self._blocks.get(index)
        if block is None:
            return
        for kind, key in WORDS:
            if delta.get("type") == kind:
                self._words.setdefault(index, [str(block.get(key, ""))]).append(str(delta.get(key, "")))
        if delta.get("type") == "signature_delta":
            block["signature"] = delta.get("signature")
        elif delta.get("type") == "input_json_delta":
            self._json.setdefault(index, []).append(str(delta.get("partial_json", "")))
        elif delta.get("type") == "citations_delta":
            block.setdefault("citations", []).append(delta.get("citation"))

    def _ending(self, raw: bytes, name: str, value: dict[str, Any]) -> bytes:
        self._usage.update({key: item for key, item in (value.get("usage") or {}).items() if item is not None})
        reason = (value.get("delta") or {}).get("stop_reason")
        if self._calls and reason == "tool_use":
            self.called = self._call()
            if not self.called.joined:
                self._usages.append(self._usage)
                return b""
        return sse(name, {**value, "usage": self._told(self._usage)}) if self._usages else raw

    def _told(self, usage: dict[str, Any]) -> dict[str, Any]:
        """The prompt of the last answer and the output of all; to a client that reads parts, the sum and each answer's own."""
        if not self._parts:
            return super()._told(usage)
        told: dict[str, Any] = usage
        for before in self._usages:
            told = added(told, before)
        return {**told, "iterations": [_iteration(part) for part in (*self._usages, usage)]}

    def _seen(self) -> list[dict[str, Any]]:
        return [self._finished(index) for index in sorted(self._blocks) if index in self._places]

    def _finished(self, index: int) -> dict[str, Any]:
        block = self._blocks[index]
        if index in self._words:
            key = "thinking" if block.get("type") == "thinking" else "text"
            return {**block, key: "".join(self._words[index])}
        if block.get("type") in ("tool_use", "server_tool_use", "mcp_tool_use") and index in self._json:
            text = "".join(self._json[index])
            try:
                return {**block, "input": msgspec.json.decode(text) if text else block.get("input", {})}
            except (msgspec.MsgspecError, RecursionError):
                return block
        return block

    def _call(self) -> Called:
        index, before = self._calls[0]
        text = "".join(self._json.get(index, ())) or msgspec.json.encode(self._blocks[index].get("input") or {}).decode()
        joined = any(block.get("type") == "tool_use" for block in self._seen())
        earlier = [self._finished(n) for n in sorted(self._blocks) if n in self._places and n < index]
        own = [block for block in (earlier if not joined else self._seen()) if block != EMPTY]
        return Called(str(self._blocks[index].get("id")), text, own, tuple(self._shown[:before]), joined=joined)

    def _whole(self, value: Any) -> Any:
        content = [block for block in value.get("content") or () if isinstance(block, dict)]
        index = next((n for n, b in enumerate(content) if b.get("type") == "tool_use" and b.get("name") == NAME), None)
        kept = [b for b in content if not (b.get("type") == "tool_use" and b.get("name") == NAME)]
        if index is not None:
            joined = any(b.get("type") == "tool_use" for b in kept)
            before = [b for b in content[:index] if b.get("name") != NAME]
            shown = tuple([*self._shown, *(str(b.get("type")) for b in before)])
            arguments = msgspec.json.encode(content[index].get("input") or {}).decode()
            self.called = Called(str(content[index].get("id")), arguments, before, shown, joined=joined)
        self._shown += [str(b.get("type")) for b in (self.called.before if self.called and not self.called.joined else kept)]
        if self.asking:
            self._start = self._start or {**value, "content": []}
            self._start["content"] = [*self._start["content"], *(self.called.before if self.called else [])]
            self._usages.append(dict(value.get("usage") or {}))
            return None
        if self.answers == 1 and index is None:
            return value
        earlier = self._start.get("content", [])
        out = {**value, "content": [*earlier, *kept]}
        if self.answers > 1:
            out |= {"id": self._start.get("id", value.get("id")), "usage": self._told(dict(value.get("usage") or {}))}
        return out


def _iteration(usage: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", **{key: value for key, value in usage.items() if key not in ("iterations", "service_tier")}}
