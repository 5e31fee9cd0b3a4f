"""Bytes of a request to a ``Request``: what was asked, by whom, with which history. The text stays behind.

Theory of operation
    The body is split twice by msgspec into raw values (top level, then the history), never decoded whole. Each message,
    the system prompt and the tools are looked up by the hash of their bytes; only what was not seen before is decoded.
    At 800 kB that is a fraction of a millisecond, where ``json.loads`` alone takes several.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import xxhash

from pointsman.core.globs import Watch
from pointsman.core.messages import Message
from pointsman.core.types import Need, Protocol, Purpose, Request
from pointsman.wire import blocks, digest
from pointsman.wire.clients import Identity, Sight, auth_of, client_of, identify, key_of
from pointsman.wire.dialects import AIDER_EXAMPLES_END, Dialect, dialect_of
from pointsman.wire.digest import Head, Memo
from pointsman.wire.fields import Fields, named
from pointsman.wire.heads import no_head, system_head, tools_head
from pointsman.wire.layouts import Layout, layout_of
from pointsman.wire.protocols import is_count
from pointsman.wire.splice import open_body

TITLE_CHARS = 60

FOLDER_ENDS = (b"\\", b'"', b"<")
"""What can follow a path in raw JSON text: an escaped line feed, the end of the string, a closing tag."""


def read(
    protocol: Protocol,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    run: str | None = None,
    memo: Memo | None = None,
    titles: bool = False,
    watch: Watch | None = None,
) -> Request:
    """The request in ``body``; ``headers`` have lower-case keys, ``path`` may carry a query.

    ``run`` is the id of the wrapped run it came through. ``memo`` keeps digests between calls. ``titles`` allows the
    first words of the first prompt to be kept. ``watch``: the user's rules, whose names go into the messages that they match.
    Raises WireError, one sentence, when the body cannot be read.
    """
    memo = memo if memo is not None else Memo(messages=1_000)
    layout = layout_of(protocol, path, Fields(open_body(body)))
    system = system_head(protocol, layout.system, memo)
    tools = tools_head(layout.tools, memo) if layout.tools is not None else no_head()
    client = client_of(headers, system)
    dialect = dialect_of(client)
    messages = _digests(protocol, dialect, layout, memo, watch)
    sight = Sight(
        protocol, path, headers, system, tools, messages, layout.metadata, layout.cache_key,
        "json_schema" in layout.needs, layout.max_output,
    )  # fmt: skip
    who = identify(client, sight)
    auth = auth_of(headers, path)
    purpose: Purpose = "count" if is_count(path) else who.purpose
    return Request(
        protocol=protocol, path=path, model=layout.model, client=client, purpose=purpose, effort=_effort(layout, messages, memo),
        stream=layout.stream, session=who.session, agent=who.agent, parent=who.parent, turn_id=who.turn_id, run=run,
        interactive=who.interactive, cwd=_cwd(dialect, layout, who, memo), auth=auth, key=key_of(headers, path, auth),
        tools=tools.hash, system=system.hash, head_chars=tools.chars + system.chars, messages=messages,
        needs=_needs(protocol, layout, tools, messages), ttl_s=_ttl(layout, system, tools, messages),
        head_ttl_s=system.mark_s or tools.mark_s,
        max_output=layout.max_output, speed=layout.speed, tier=layout.tier, region=layout.region,
        mode=_mode(protocol, layout, messages),
        body_hash=_body_hash(protocol, path, layout, system, tools, messages), size=len(body),
        title=_title(protocol, dialect, layout, messages, memo) if titles and purpose != "side" else "",
    )  # fmt: skip


def _digests(
    protocol: Protocol, dialect: Dialect, layout: Layout, memo: Memo, watch: Watch | None
) -> tuple[Message, ...]:  # fmt: skip
    """The digest of every message; those whose bytes are known are not decoded, unless other rules looked at them."""
    seed = digest.seed_of(protocol, dialect.client, watch.version if watch else "")
    known, xxh3 = memo.messages, xxhash.xxh3_64_intdigest
    out = []
    for index, raw in enumerate(layout.history):
        key = xxh3(raw, seed)
        message = known.get(key)
        if message is None:
            message = digest.message_of(protocol, dialect, raw, f"{layout.history_name}[{index + layout.skipped}]", watch)
            known.put(key, message)
        out.append(message)
    if dialect.client == "aider":
        out = _without_examples(layout, out)
    return tuple(out)


def _without_examples(layout: Layout, messages: list[Message]) -> list[Message]:
    """aider's example conversation is the client's: its messages are reminders, up to the one that ends it."""
    for index, raw in enumerate(layout.history[:24]):
        if messages[index].kind == "reminder" and AIDER_EXAMPLES_END.encode() in bytes(memoryview(raw)[:120]):
            return [replace(message, kind="reminder") for message in messages[: index + 1]] + messages[index + 1 :]
    return messages


def _effort(layout: Layout, messages: tuple[Message, ...], memo: Memo) -> str | None:
    """The effort that holds: the last one set inside the history overrules the field (measured: design notes, cache.md 7)."""
    for raw, message in zip(reversed(layout.history), reversed(messages), strict=True):
        if "effort" not in message.facts:
            continue
        key = digest.raw_hash(raw, seed=2)
        known = memo.notes.get(key)
        if known is None:
            item = digest.decode(raw, "an effort message")
            config = item.get("output_config") or item.get("reasoning")
            value = config.get("effort") if isinstance(config, dict) else None
            known = named(value, "an effort in the history") if isinstance(value, str) else ""
            memo.notes.put(key, known)
        if known:
            return known
    return layout.effort


def _needs(protocol: Protocol, layout: Layout, tools: Head, messages: tuple[Message, ...]) -> frozenset[Need]:
    """What the request uses that some models refuse: from its fields, then from its history."""
    needs = set(layout.needs)
    facts = {fact for message in messages for fact in message.facts}
    if tools.client_tools:
        needs.add("tools")
    if tools.server_tools:
        needs.add("server_tools")
    if "unknown_block" in facts:
        needs.add("unknown_blocks")
    if tools.tool_reference or "tool_reference" in facts:
        needs.add("tool_reference")
    if "image" in facts:
        needs.add("vision")
    if "effort" in facts:
        needs.add("effort_messages")
    if protocol == "messages":
        if any(message.role == "system" for message in messages):
            needs.add("system_messages")
        if messages and messages[-1].role == "assistant":
            needs.add("prefill")
    return frozenset(needs)


def _ttl(layout: Layout, system: Head, tools: Head, messages: tuple[Message, ...]) -> int | None:
    """The lifetime asked for: the mark nearest the end of the prompt counts, since it covers the conversation."""
    for message in reversed(messages):
        if message.mark_s is not None:
            return message.mark_s
    return layout.ttl_s or system.mark_s or tools.mark_s


def _mode(protocol: Protocol, layout: Layout, messages: tuple[Message, ...]) -> int:
    """What besides the texts is in the vendor's cache key; Anthropic's also has whether there are images (WIRE.md 2)."""
    images = protocol == "messages" and any("image" in message.facts for message in messages)
    return xxhash.xxh3_64_intdigest(msgspec.json.encode([*layout.keyed, images], order="sorted"))


def _body_hash(protocol: Protocol, path: str, layout: Layout, system: Head, tools: Head, messages: tuple[Message, ...]) -> int:
    """Equal for retries: what is asked counts; model, effort, limits, stream, marks, ids and key order do not."""
    parts: list[Any] = [is_count(path), system.hash, tools.hash, [message.hash for message in messages], layout.shape]
    return xxhash.xxh3_64_intdigest(msgspec.json.encode(parts, order="sorted"))


def _title(protocol: Protocol, dialect: Dialect, layout: Layout, messages: tuple[Message, ...], memo: Memo) -> str:
    """The first words of the first prompt, on one line, without control characters."""
    index = next((i for i, message in enumerate(messages) if message.kind == "prompt"), None)
    if index is None:
        return ""
    key = messages[index].hash
    known = memo.notes.get(key)
    if known is None:
        notes = blocks.look(protocol, dialect, digest.decode(layout.history[index], "the first prompt"))
        printable = "".join(char if char.isprintable() else " " for char in notes.own[: TITLE_CHARS * 4])
        known = " ".join(printable.split())[:TITLE_CHARS].rstrip()
        memo.notes.put(key, known)
    return known


def _cwd(dialect: Dialect, layout: Layout, who: Identity, memo: Memo) -> str | None:
    """The working folder: named with the turn or in the system prompt, else in the client's own text near the start."""
    if who.cwd is not None or not dialect.folders:
        return who.cwd
    for raw in layout.history[:4]:
        key = digest.raw_hash(raw, seed=1)
        known = memo.notes.get(key)
        if known is None:
            known = folder_in(bytes(raw), dialect.folders)
            memo.notes.put(key, known)
        if known:
            return known
    return None


def folder_in(raw: bytes, markers: tuple[str, ...]) -> str:
    """The absolute path that follows one of ``markers`` inside a raw JSON text, up to the end of its line; "" for none."""
    for marker in markers:
        _, found, rest = raw.partition(marker.encode())
        if found and rest.startswith((b"/", b"~")):
            ends = [end for end in (rest.find(mark, 0, 1_024) for mark in FOLDER_ENDS) if end >= 0]
            return rest[: min(ends, default=0)].decode("utf-8", "replace").strip()
    return ""
