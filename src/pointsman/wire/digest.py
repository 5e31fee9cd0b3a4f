"""A message as a digest: a hash that survives what clients vary, and the facts that show in it. No text is kept.

Theory of operation
    Agents send the whole history with each request, so a message is decoded once and then known by the hash of its
    bytes: ``Memo`` maps raw bytes to the finished ``Message``. The hash in the ``Message`` is another one, over a
    canonical form: keys sorted, a string content written as one text block, and ``cache_control`` left out wherever it
    may stand, because clients move that mark with every request and the provider's prefix does not depend on it. The
    arguments of a tool call are the model's own words and are hashed as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec
import xxhash

from pointsman.core.globs import Watch
from pointsman.core.messages import Message, MessageKind
from pointsman.core.types import Protocol
from pointsman.errors import WireError
from pointsman.wire import blocks, prompts
from pointsman.wire.calls import hash_of
from pointsman.wire.dialects import Dialect
from pointsman.wire.tellable import tellable
from pointsman.wire.touching import touched

V = TypeVar("V")


class Generations(Generic[V]):
    """A bounded map: when the younger half is full, the older half is forgotten; what is used moves to the younger."""

    def __init__(self, size: int) -> None:
        self._half = max(1, size // 2)
        self._young: dict[int, V] = {}
        self._old: dict[int, V] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, key: int) -> V | None:
        """The value of ``key``, or None."""
        found = self._young.get(key)
        if found is None:
            found = self._old.pop(key, None)
            if found is not None:
                self.put(key, found)
        return found

    def put(self, key: int, value: V) -> None:
        """Remember ``value``."""
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[key] = value


@dataclass(frozen=True, slots=True)
class Head:
    """The digest of tools or system: hash (0: none), size on the wire, TTL of its mark, and what the reader saw in it."""

    hash: int = 0
    chars: int = 0
    mark_s: int | None = None
    server_tools: bool = False
    client_tools: bool = False
    tool_reference: bool = False
    billing: str = ""
    opening: str = ""
    cwd: str | None = None


class Memo:
    """Digests already made, by hash of the raw bytes: in the steady state only new messages are decoded.

    Holds at most ``messages`` message digests (about 350 bytes each, 600 with a tool call), and a tenth as many heads and
    notes. It holds no text but a title of 60 characters per session, and that only where titles are allowed.
    """

    def __init__(self, messages: int = 60_000) -> None:
        self.messages: Generations[Message] = Generations(messages)
        self.heads: Generations[Head] = Generations(max(16, messages // 10))
        self.notes: Generations[str] = Generations(max(16, messages // 10))


def raw_hash(raw: Any, seed: int) -> int:
    """xxh3-64 of bytes as they are on the wire."""
    return xxhash.xxh3_64_intdigest(raw, seed)


def seed_of(*names: str) -> int:
    """A seed that keeps equal bytes of different protocols or clients apart."""
    return xxhash.xxh3_64_intdigest("/".join(names).encode())


def message_of(protocol: Protocol, dialect: Dialect, raw: Any, at: str, watch: Watch | None = None) -> Message:
    """The digest of one raw message; ``at`` names its place for errors (``messages[3]``); ``watch``: the user's rules."""
    item = decode(raw, at)
    if not isinstance(item, dict):
        raise WireError(f"{at} is {blocks.kind_of(item)}, not an object")
    try:
        notes = blocks.look(protocol, dialect, item)
    except ValueError as error:
        raise WireError(f"{at} {error}") from error
    if not tellable(protocol, item):
        notes.fact("unknown_block")
    rules = touched(protocol, item, notes.own, watch) if watch is not None else ()
    return digested(notes, canonical_hash(protocol, item), len(memoryview(raw)) - notes.data_chars, rules)


def digested(notes: blocks.Notes, hash: int, chars: int, rules: tuple[str, ...] = ()) -> Message:
    """The digest of what was seen in a message of ``chars`` characters."""
    kind, said, sketch, words = _kind(notes), 0, "", 0
    if kind == "prompt":
        own = "\n".join(notes.texts)
        said, sketch, words = prompts.length_of(own), prompts.sketch_of(own), hash_of(own.strip())
        for fact in prompts.facts_of(own):
            notes.fact(fact)
    elif kind == "assistant" and notes.texts and not notes.calls:
        sketch = prompts.sketch_of(notes.texts[-1], end=True)
    return Message(
        hash, notes.role, kind, chars, notes.mark_s, tuple(notes.facts), rules, tuple(notes.calls), said, sketch,
        notes.mix.split(), tuple(notes.images), notes.pages, words,
    )  # fmt: skip


def canonical_hash(protocol: Protocol, item: Any) -> int:
    """xxh3-64 of the canonical form of a message, a system prompt or a list of tools."""
    return xxhash.xxh3_64_intdigest(msgspec.json.encode(_canonical(protocol, item), order="sorted"))


def decode(raw: Any, at: str) -> Any:
    """The JSON value in ``raw``. Raises WireError naming its place."""
    try:
        return msgspec.json.decode(raw)
    except UnicodeDecodeError as error:
        raise WireError(f"{at} is not UTF-8: {error}") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise WireError(f"{at} cannot be read: {error}") from error


def _canonical(protocol: Protocol, item: Any) -> Any:
    if not isinstance(item, dict):
        return _unmarked(item)
    plain = _unmarked(item)
    content = plain.get("content")
    if isinstance(content, str) and "role" in plain:
        plain["content"] = [{"type": _text_type(protocol, plain["role"]), "text": content}]
    if protocol == "responses" and "role" in plain:
        plain.setdefault("type", "message")
    return plain


def _unmarked(value: Any) -> Any:
    """``value`` without cache marks; arguments of tool calls and schemas of tools are left as they are."""
    if isinstance(value, list):
        return [_unmarked(item) for item in value]
    if not isinstance(value, dict):
        return value
    plain = {}
    for name, item in value.items():
        if name == "cache_control":
            continue
        plain[name] = _unmarked(item) if name in ("content", "source", "parts", "output") else item
    if plain.get("type") == "tool_result" and isinstance(plain.get("content"), str):
        plain["content"] = [{"type": "text", "text": plain["content"]}]
    return plain


def _text_type(protocol: Protocol, role: Any) -> str:
    if protocol == "responses":
        return "output_text" if role == "assistant" else "input_text"
    return "text"


def _kind(notes: blocks.Notes) -> MessageKind:
    if notes.fixed is not None:
        return notes.fixed
    if notes.words:
        return "prompt"
    return "tool_result" if notes.result else "reminder"
