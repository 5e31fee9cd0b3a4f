"""A translated answer as the client gets it: in its own protocol, without another vendor's reasoning, ids it can send back.

Streams come in as the events that the translation made, and go out as bytes. Reasoning is left out and what follows is
numbered anew, so that the history which the client keeps is always one that its own vendor accepts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from pointsman.core.types import Protocol
from pointsman.wire import shelling
from pointsman.wire.pairing import call_id

Json = dict[str, Any]

REASONING = ("thinking", "redacted_thinking")


def speaker(
    protocol: Protocol, model: str, prompt: int, read: int = 0, usage_wanted: bool = False,
    spaces: Mapping[str, str] | None = None, shell: bool = False,
) -> Speaker:  # fmt: skip
    """Who words the answer for a client of ``protocol``. ``prompt``: its estimated tokens, ``read`` those of them that its cache
    holds: usage is said at the start, before anything is billed.

    ``usage_wanted``: a Chat client asked for usage in the stream. ``spaces``: tool to namespace, ``shell``: the client has
    OpenAI's own shell tool (Responses).
    """
    if protocol == "messages":
        return _Messages(model, prompt, read)
    return _Chat(model, usage_wanted) if protocol == "chat" else _Responses(model, spaces or {}, shell)


def sse(event: Json, *, named: bool) -> bytes:
    """An event as server-sent bytes, ``named`` with its type."""
    data = b"data: " + msgspec.json.encode(event) + b"\n\n"
    return b"event: " + str(event.get("type")).encode() + b"\n" + data if named else data


class Speaker:
    """Words one answer. ``calls``: the ids given to the client, with those that the model gave."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.calls: dict[str, str] = {}

    def event(self, event: Json) -> bytes:
        """What the client gets for one event of the stream."""
        raise NotImplementedError

    def end(self) -> bytes:
        """What ends the stream."""
        return b""

    def whole(self, answer: Json) -> bytes:
        """The answer that is not a stream."""
        raise NotImplementedError

    def id(self, given: Any) -> str:
        """The id that the client gets for a call."""
        sent = call_id(given)
        self.calls[sent] = str(given)
        return sent


class _Messages(Speaker):
    def __init__(self, model: str, prompt: int, read: int) -> None:
        super().__init__(model)
        self._estimate = {**_empty(), "input_tokens": prompt - read, "cache_read_input_tokens": read}
        self._hidden: set[int] = set()
        self._places: dict[int, int] = {}

    def event(self, event: Json) -> bytes:
        kind = event.get("type")
        if kind == "message_start":  # nothing is billed yet: the estimate, which the last event replaces
            message = {**event["message"], "model": self.model, "usage": self._estimate}
            return sse({**event, "message": message}, named=True)
        if kind == "message_delta":
            return sse({**event, "usage": {**_empty(), **_counts(event.get("usage"))}}, named=True)
        if "index" not in event:
            return sse(event, named=True)
        index = event["index"]
        if kind == "content_block_start":
            block = event["content_block"]
            if block.get("type") in REASONING:
                self._hidden.add(index)
            else:
                self._places[index] = len(self._places)
            if block.get("type") == "tool_use":
                event = {**event, "content_block": {**block, "id": self.id(block.get("id"))}}
        if index in self._hidden or index not in self._places:
            return b""
        return sse({**event, "index": self._places[index]}, named=True)

    def whole(self, answer: Json) -> bytes:
        content = [block for block in answer.get("content") or () if block.get("type") not in REASONING]
        content = [{**block, "id": self.id(block.get("id"))} if block.get("type") == "tool_use" else block for block in content]
        usage = {**_empty(), **_counts(answer.get("usage"))}
        return msgspec.json.encode({**answer, "model": self.model, "content": content, "usage": usage})


def _empty() -> Json:
    return {"input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 0}


def _counts(usage: Any) -> Json:
    """The four counters; what was written counts as input, so that no counter of the start is left standing."""
    given = usage if isinstance(usage, dict) else {}
    found = {name: int(given.get(name) or 0) for name in _empty()}
    found["input_tokens"] += found.pop("cache_creation_input_tokens")
    return found


class _Chat(Speaker):
    def __init__(self, model: str, usage_wanted: bool) -> None:
        super().__init__(model)
        self._usage_wanted = usage_wanted

    def event(self, event: Json) -> bytes:
        choices = [self._choice(choice, "delta") for choice in event.get("choices") or ()]
        usage = _chat_usage(event.get("usage"))
        if usage is not None:
            return sse({**self._head(event), "choices": [], "usage": usage}, named=False) if self._usage_wanted else b""
        if not any(choice["delta"] or choice.get("finish_reason") for choice in choices):
            return b""
        return sse({**self._head(event), "choices": choices}, named=False)

    def end(self) -> bytes:
        return b"data: [DONE]\n\n"

    def whole(self, answer: Json) -> bytes:
        choices = [self._choice(choice, "message") for choice in answer.get("choices") or ()]
        usage = _chat_usage(answer.get("usage"))
        return msgspec.json.encode({**self._head(answer), "choices": choices, "usage": usage})

    def _head(self, event: Json) -> Json:
        return {**{name: event[name] for name in ("id", "object", "created") if name in event}, "model": self.model}

    def _choice(self, choice: Json, name: str) -> Json:
        given = choice.get(name) or {}
        said = {key: given[key] for key in ("role", "content", "refusal") if given.get(key) is not None}
        calls = []
        for place, call in enumerate(given.get("tool_calls") or ()):
            made = {key: value for key, value in call.items() if key != "index" and value is not None}
            if "id" in made:
                made["id"] = self.id(made["id"])
            calls.append({"index": call.get("index", place), **made} if name == "delta" else made)
        if calls:
            said["tool_calls"] = calls
            if not said.get("content"):
                said.pop("content", None)
        if name == "message":
            said = {"role": "assistant", "content": None, **said}
        return {"index": choice.get("index", 0), name: said, "finish_reason": choice.get("finish_reason")}


def _chat_usage(usage: Any) -> Json | None:
    if not isinstance(usage, dict):
        return None
    inner = {"prompt_tokens_details": ("cached_tokens",), "completion_tokens_details": ("reasoning_tokens",)}
    details = {name: {key: int((usage.get(name) or {}).get(key) or 0) for key in keys} for name, keys in inner.items()}
    return {**{name: int(usage.get(name) or 0) for name in ("prompt_tokens", "completion_tokens", "total_tokens")}, **details}


class _Responses(Speaker):
    """Items are told one after the other, each to its end: events of a later one wait."""

    def __init__(self, model: str, spaces: Mapping[str, str], shell: bool) -> None:
        super().__init__(model)
        self._spaces, self._shell = spaces, shell
        self._shells: set[Any] = set()
        self._number = 0
        self._places: dict[Any, int] = {}
        self._hidden: set[Any] = set()
        self._open: Any = None
        self._waiting: list[Json] = []

    def event(self, event: Json) -> bytes:
        return b"".join(self._told(event))

    def _told(self, event: Json) -> Iterator[bytes]:
        kind, place = str(event.get("type")), event.get("output_index")
        if kind.startswith("response.reasoning") or place in self._hidden:
            return
        if kind == "response.output_item.added" and (event.get("item") or {}).get("type") == "reasoning":
            self._hidden.add(place)
            return
        if place is not None and self._open not in (None, place):
            self._waiting.append(event)
            return
        if place is None and self._waiting:
            self._open = None
            yield from self._released()
        if place is not None:
            self._open = place
        if self._is_shell(event.get("item")):
            self._shells.add(place)
        if place not in self._shells or kind.startswith("response.output_item."):  # a shell's action is told whole
            yield self._sent(event)
        if kind == "response.output_item.done":
            self._open = None
            yield from self._released()

    def _released(self) -> Iterator[bytes]:
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            yield from self._told(event)

    def _sent(self, event: Json) -> bytes:
        out = {**event, "sequence_number": self._number}
        self._number += 1
        place = event.get("output_index")
        if place is not None:
            out["output_index"] = self._places.setdefault(place, len(self._places))
        if "item_id" in event:
            out["item_id"] = _item_id(event["item_id"])
        if isinstance(event.get("item"), dict):
            out["item"] = self._item(event["item"])
        if isinstance(event.get("response"), dict):
            out["response"] = self._response(event["response"])
        return sse(out, named=True)

    def whole(self, answer: Json) -> bytes:
        return msgspec.json.encode(self._response(answer))

    def _response(self, response: Json) -> Json:
        items = [self._item(item) for item in response.get("output") or () if item.get("type") != "reasoning"]
        quiet: Json = {"instructions": None, "tools": [], "store": False}  # what was asked can be most of an answer's bytes
        out = {**response, "id": _item_id(response.get("id")), "model": self.model, "output": items, **quiet}
        out.pop("provider_specific_fields", None)
        usage = response.get("usage")
        if isinstance(usage, dict):
            out["usage"] = _responses_usage(usage)
        return out

    def _is_shell(self, item: Any) -> bool:
        return self._shell and isinstance(item, dict) and (item.get("type"), item.get("name")) == ("function_call", shelling.NAME)

    def _item(self, item: Json) -> Json:
        if self._is_shell(item):
            return shelling.as_shell({**item, "call_id": self.id(item.get("call_id"))})
        if "id" in item:
            item = {**item, "id": _item_id(item["id"])}
        if item.get("call_id") is None:
            return item
        space = self._spaces.get(str(item.get("name")))
        return {**item, "call_id": self.id(item["call_id"]), **({"namespace": space} if space else {})}


def _item_id(given: Any) -> str:
    """An item's id as OpenAI makes them: its kind, and a digest; the client may send it back there."""
    return str(given).partition("_")[0] + "_" + hashlib.blake2b(str(given).encode(), digest_size=20).hexdigest()


def _responses_usage(usage: Json) -> Json:
    details = {"input_tokens_details": "cached_tokens", "output_tokens_details": "reasoning_tokens"}
    counts = {name: int(usage.get(name) or 0) for name in ("input_tokens", "output_tokens", "total_tokens")}
    return {**counts, **{name: {key: int((usage.get(name) or {}).get(key) or 0)} for name, key in details.items()}}
