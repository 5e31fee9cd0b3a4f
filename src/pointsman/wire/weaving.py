"""One answer to the client made of several of the provider's, with the calls of the advisor between them left out.

Theory of operation. An executor that calls ``consult_advisor`` is answered by us: the call is taken out of the stream, the rest
goes on live with its blocks renumbered, the provider's ending is held back, and the answer to the request with the result
appended goes on where the first one stopped: one start, one ending, the usage of all of them summed. Where the model called
tools of the client's in the same breath, the answer ends as it is, and the result joins theirs in the next request. As long as
nothing is called, every event passes as the very bytes that came.

``Weave.event`` takes one event and gives what the client gets for it; ``Weave.called`` is the call once the provider's answer has
ended; ``Weave.resume`` goes on with the next answer; ``Weave.whole`` does all this for an answer that is not a stream.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import msgspec

from pointsman.core.decisions import Advice
from pointsman.core.types import Protocol
from pointsman.errors import WireError
from pointsman.wire.consulting import NAME
from pointsman.wire.sse import parse


@dataclass(slots=True)
class Called:
    """A call of the advisor: its id and arguments, the answer before it in the provider's form, and what the client saw of it.

    ``joined``: tools of the client's were called in the same breath. ``words``/``thoughts``: characters of text and reasoning.
    """

    id: str
    arguments: str
    before: list[Any] = field(default_factory=list)
    parts: tuple[str, ...] = ()
    words: int = 0
    thoughts: int = 0
    joined: bool = False

    def advice(self, text: str) -> Advice:
        """What the advisor said, with what must stand around it."""
        return Advice(text, self.id, self.arguments, self.parts, self.words, self.thoughts, self.joined)


class Weave(ABC):
    """The state of one woven answer; ``called`` None: the model has asked for nothing (yet)."""

    protocol: ClassVar[Protocol]
    keep_alive: ClassVar[bytes] = b": keep-alive\n\n"

    def __init__(self) -> None:
        self.called: Called | None = None
        self.answers = 1
        self._usages: list[dict[str, Any]] = []

    def event(self, raw: bytes) -> bytes:
        """What the client gets for one event of the provider's; what cannot be read passes as it is."""
        name, data = parse(raw)
        if not data or data.strip() == b"[DONE]":
            return self._other(raw, data)
        try:
            value = msgspec.json.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return raw
        return self._event(raw, name, value) if isinstance(value, dict) else raw

    @property
    def asking(self) -> bool:
        """Whether the answer must go on after a call that was the only one."""
        return self.called is not None and not self.called.joined

    def resume(self) -> Called:
        """The call that is being answered; from now on events are those of the answer that goes on after it."""
        called = self.called
        assert called is not None
        self.called = None
        self.answers += 1
        self._resumed()
        return called

    def whole(self, payload: bytes) -> bytes | None:
        """What the client gets for an answer that is no stream; None: it must go on after a call. Raises WireError."""
        try:
            value = msgspec.json.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise WireError(f"the answer is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise WireError("the answer is no object")
        found = self._whole(value)
        if found is None:
            return None
        return payload if found is value and self.answers == 1 else msgspec.json.encode(found)

    def _other(self, raw: bytes, data: bytes) -> bytes:
        """A comment, a ping without data, or the end mark."""
        return raw

    @abstractmethod
    def _event(self, raw: bytes, name: str, value: dict[str, Any]) -> bytes: ...

    @abstractmethod
    def _whole(self, value: dict[str, Any]) -> dict[str, Any] | None: ...

    def _resumed(self) -> None:
        return None

    def _summed(self, usage: Any) -> Any:
        """``usage`` with that of the answers before added: numbers add up, whatever their depth."""
        for before in self._usages:
            usage = _added(usage, before)
        return usage


def weave_of(protocol: Protocol) -> Weave | None:
    """A fresh weave for ``protocol``; None where advice is not offered as a tool."""
    from pointsman.wire.weaving_openai import ChatWeave, ResponsesWeave

    kinds: dict[Protocol, type[Weave]] = {"messages": MessagesWeave, "chat": ChatWeave, "responses": ResponsesWeave}
    return kinds[protocol]() if protocol in kinds else None


def sse(name: str, value: Any) -> bytes:
    """One server-sent event."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + msgspec.json.encode(value) + b"\n\n"


def _added(usage: Any, more: Any) -> Any:
    if isinstance(usage, dict) and isinstance(more, dict):
        return {**more, **{key: _added(value, more[key]) if key in more else value for key, value in usage.items()}}
    if isinstance(usage, (int, float)) and isinstance(more, (int, float)) and not isinstance(usage, bool):
        return usage + more
    return usage if usage is not None else more


class MessagesWeave(Weave):
    """Anthropic Messages: content blocks with an index; ``message_delta`` and ``message_stop`` are the ending."""

    protocol = "messages"
    keep_alive = b'event: ping\ndata: {"type": "ping"}\n\n'

    def __init__(self) -> None:
        super().__init__()
        self._shown: list[str] = []  # kinds of the blocks that the client has seen, over all answers
        self._blocks: dict[int, dict[str, Any]] = {}
        self._json: dict[int, list[str]] = {}
        self._places: dict[int, int] = {}
        self._calls: list[tuple[int, int]] = []  # (index of a hidden call, blocks shown before it)
        self._start: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}

    def _resumed(self) -> None:
        self._blocks, self._json, self._places, self._calls, self._usage = {}, {}, {}, [], {}

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
        for kind, key in (("text_delta", "text"), ("thinking_delta", "thinking")):
            if delta.get("type") == kind:
                block[key] = str(block.get(key, "")) + str(delta.get(key, ""))
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
        if not self._usages and not self._calls:
            return raw
        if self._calls and self.called is None and not any(b.get("type") == "tool_use" for b in self._seen()):
            reason = reason if reason != "tool_use" else "end_turn"
        value = {**value, "delta": {**(value.get("delta") or {}), "stop_reason": reason}}
        return sse(name, {**value, "usage": self._totals(self._usage)} if self._usages else value)

    def _totals(self, usage: dict[str, Any]) -> dict[str, Any]:
        """The usage of all answers, and each one's own as Anthropic lists what it ran itself: a client that reckons its context
        from the last iteration is not misled by the sum."""
        parts = [_iteration(part) for part in (*self._usages, usage)]
        return {**self._summed(usage), "iterations": parts}

    def _seen(self) -> list[dict[str, Any]]:
        return [self._finished(index) for index in sorted(self._blocks) if index in self._places]

    def _finished(self, index: int) -> dict[str, Any]:
        block = self._blocks[index]
        if block.get("type") in ("tool_use", "server_tool_use") and index in self._json:
            text = "".join(self._json[index])
            try:
                return {**block, "input": msgspec.json.decode(text) if text else block.get("input", {})}
            except msgspec.MsgspecError:
                return block
        return block

    def _call(self) -> Called:
        index, before = self._calls[0]
        text = "".join(self._json.get(index, ())) or msgspec.json.encode(self._blocks[index].get("input") or {}).decode()
        joined = any(block.get("type") == "tool_use" for block in self._seen())
        earlier = [self._finished(n) for n in sorted(self._blocks) if n in self._places and n < index]
        own = earlier if not joined else self._seen()
        return Called(str(self._blocks[index].get("id")), text, own, tuple(self._shown[:before]), joined=joined)

    def _whole(self, value: dict[str, Any]) -> dict[str, Any] | None:
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
            out |= {"id": self._start.get("id", value.get("id")), "usage": self._totals(dict(value.get("usage") or {}))}
        return out


def _iteration(usage: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", **{key: value for key, value in usage.items() if key not in ("iterations", "service_tier")}}
