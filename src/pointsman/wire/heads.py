"""Digests of what stands before the conversation: the system prompt and the tools."""

from __future__ import annotations

from typing import Any
from unicodedata import category

import msgspec
import xxhash

from pointsman.core.types import Protocol
from pointsman.errors import WireError
from pointsman.wire import digest
from pointsman.wire.blocks import kind_of, lifetime
from pointsman.wire.digest import Head, Memo

BILLING = "x-anthropic-billing-header"
"""Claude Code's first system block. It differs with every start of a conversation, so it is left out of the hash, and
read for its marks; what is sent keeps it (WIRE.md 1)."""

OPENING_CHARS = 120

FOLDERS = ("Primary working directory: ", "Working directory: ", "working in the directory: ")
"""How system prompts name the working folder (Claude Code, OpenCode, Qwen and Gemini)."""

FOLDER_CHARS = 1_024
"""Characters of the longest path that is believed (macOS allows no longer one)."""

PLACEHOLDER = "DeferredToolPlaceholder"
"""A deferred tool that Claude Code 2.1.330 sends when it has nothing to defer; a model without tool search can do without."""


def no_head() -> Head:
    """A request without tools, or without a system prompt."""
    return _NONE


def system_head(protocol: Protocol, raws: list[msgspec.Raw], memo: Memo) -> Head:
    """The digest of a system prompt: a string, a list of blocks, or the leading system messages of a history."""
    if not raws:
        return _NONE
    key = digest.seed_of(protocol, "system")
    for raw in raws:
        key = digest.raw_hash(raw, key)
    known = memo.heads.get(key)
    if known is None:
        known = _system(protocol, [digest.decode(raw, "`system`") for raw in raws], sum(_size(raw) for raw in raws))
        memo.heads.put(key, known)
    return known


def tools_head(raw: msgspec.Raw, memo: Memo) -> Head:
    """The digest of the tools; an empty list is none."""
    key = digest.raw_hash(raw, digest.seed_of("tools"))
    known = memo.heads.get(key)
    if known is None:
        known = _tools(digest.decode(raw, "`tools`"), _size(raw))
        memo.heads.put(key, known)
    return known


_NONE = Head()


def _system(protocol: Protocol, values: list[Any], size: int) -> Head:
    blocks = [block for value in values for block in _blocks(value)]
    texts = [block["text"] for block in blocks if isinstance(block.get("text"), str)]
    billing = next((text for text in texts[:1] if text.startswith(BILLING)), "")
    own = [block for block in blocks if not (billing and block.get("text") == billing)]
    prose = [text for text in texts if text is not billing]
    if not own:
        return Head(chars=size, billing=billing)
    return Head(
        hash=digest.canonical_hash(protocol, own),
        chars=size,
        mark_s=_mark(blocks),
        billing=billing,
        opening=prose[0].lstrip()[:OPENING_CHARS] if prose else "",
        cwd=next((folder for text in prose if (folder := _folder(text))), None),
    )


def _blocks(value: Any) -> list[dict[str, Any]]:
    """Text blocks of a system prompt in any form: string, list of blocks, message, Gemini content."""
    if isinstance(value, str):
        return [{"type": "text", "text": value}]
    if isinstance(value, dict):
        return _blocks(value.get("content", value.get("parts", [])))
    if isinstance(value, list):
        found = []
        for block in value:
            if isinstance(block, str):
                block = {"type": "text", "text": block}
            if not isinstance(block, dict):
                raise WireError(f"`system` holds a block that is {kind_of(block)}, not an object")
            found.append(block)
        return found
    raise WireError(f"`system` is {kind_of(value)}, not a string or a list of blocks")


def _tools(value: Any, size: int) -> Head:
    if not isinstance(value, list):
        raise WireError(f"`tools` is {kind_of(value)}, not an array")
    if not value:
        return _NONE
    tools = [tool if isinstance(tool, dict) else {} for tool in value]
    server = [_runs_at_provider(tool) for tool in tools]
    return Head(
        hash=xxhash.xxh3_64_intdigest(msgspec.json.encode([_plain(tool) for tool in tools], order="sorted")),
        chars=size,
        mark_s=_mark(tools),
        server_tools=any(server),
        client_tools=not all(server),
        tool_reference=any(tool.get("defer_loading") is True and tool.get("name") != PLACEHOLDER for tool in tools),
    )


def _runs_at_provider(tool: dict[str, Any]) -> bool:
    """Tools with a dated or vendor type and no schema of the client's own run at the provider."""
    kind = tool.get("type")
    if not isinstance(kind, str) or kind in ("custom", "function", "local_shell", "shell", "apply_patch", "namespace"):
        return False
    return not kind.startswith(("bash_", "text_editor_", "computer", "memory_"))


def _plain(tool: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in tool.items() if name != "cache_control"}


def _mark(blocks: list[dict[str, Any]]) -> int | None:
    marks = [lifetime(block.get("cache_control")) for block in blocks]
    return max((mark for mark in marks if mark is not None), default=None)


def _folder(text: str) -> str | None:
    for marker in FOLDERS:
        _, found, rest = text.partition(marker)
        line = rest.partition("\n")[0].strip().rstrip(".")
        if found and line.startswith(("/", "~")) and is_folder(line):
            return line
    return None


def is_folder(text: str) -> bool:
    """Whether ``text`` can be the name of a folder: it is kept and shown, where a sentence of a prompt may not be.

    Spaces of any script are part of names; what is not printable beside them (escape sequences, line ends) is not.
    """
    return len(text) <= FOLDER_CHARS and all(char.isprintable() or category(char) == "Zs" for char in text)


def _size(raw: msgspec.Raw) -> int:
    return memoryview(raw).nbytes
