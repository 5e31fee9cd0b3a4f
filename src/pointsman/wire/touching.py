"""What an agent touches: the paths, commands and tools of its calls, held against the user's rules. Only names come out.

Read where a message is decoded anyway, once per message. A user's prompt counts with the paths that it names, so that a rule
holds from the first request of a task and not only after the first call. Fields: the vendors' API references (see
``wire.layouts``) and the tools of Claude Code 2.1, Codex 0.169, OpenCode 1.18, qwen-code 0.24 and gemini-cli 0.61.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from pointsman.core.globs import Watch
from pointsman.core.types import Protocol

COMMAND_KEYS = frozenset({"command", "cmd", "commands", "script"})
PATH_WORDS = ("path", "file", "notebook", "dir")
"""An argument whose name holds one of these words names files: file_path, filePath, notebook_path, directory, ..."""

PROMPT_CHARS, DEPTH = 4_000, 4
"""How far into a prompt paths are looked for, and how deep into the arguments of a call."""

_PATCH = re.compile(r"^\*\*\* (?:Update|Add|Delete) File: (.+)$|^(?:\+\+\+|---) (?:[ab]/)?(\S+)", re.MULTILINE)
_NAMED = re.compile(r"(?<![\w/:.@~+-])(?:[\w.@~-]*(?:/[\w.@+-]+)+|[\w-]+\.[A-Za-z]\w{0,7}\b)")
_BEFORE_FENCE = re.compile(r"^(\S++)\n(?:```|<<<<<<<)", re.MULTILINE)


def touched(protocol: Protocol, item: Any, own: str, watch: Watch) -> tuple[str, ...]:
    """The names of the rules that the calls in one message match. ``own``: the user's own words in it."""
    paths: list[str] = []
    commands: list[str] = []
    tools: list[str] = []
    for name, given in calls(protocol, item):
        tools.append(name)
        _look(given, "", paths, commands, 0)
    if own:
        paths += _NAMED.findall(own[:PROMPT_CHARS])
    elif not tools and item.get("role") == "assistant":
        before = _BEFORE_FENCE.findall(_text(item))  # agents without tools write the path before a block
        paths += [word for word in before if "/" in word[:-1] or "." in word[:-1]]
    return watch.names(paths, commands, tools) if paths or commands or tools else ()


def calls(protocol: Protocol, item: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Name and arguments of every tool call in a message."""
    if protocol == "messages":
        for block in _list(item.get("content")):
            if block.get("type") in ("tool_use", "server_tool_use", "mcp_tool_use"):
                yield _word(block.get("name")), block.get("input")
    elif protocol == "chat":
        old = item.get("function_call")
        for call in (*_list(item.get("tool_calls")), *([{"function": old}] if old else [])):
            function = call.get("function") or call.get("custom")
            if isinstance(function, dict):
                yield _word(function.get("name")), function.get("arguments", function.get("input"))
    elif protocol == "responses":
        kind = item.get("type")
        if isinstance(kind, str) and kind.endswith("_call"):
            field = next((key for key in ("arguments", "input", "action", "operation") if key in item), "")
            yield _word(item.get("name") or kind), item.get(field)
    else:
        for part in _list(item.get("parts")):
            given = part.get("functionCall")
            if isinstance(given, dict):
                yield _word(given.get("name")), given.get("args")


def _look(value: Any, key: str, paths: list[str], commands: list[str], depth: int) -> None:
    """Gather paths and commands from the arguments of a call; ``key``: the name under which ``value`` stands."""
    if isinstance(value, str):
        if depth == 0 and value[:1] == "{":  # arguments as JSON text
            try:
                _look(msgspec.json.decode(value.encode()), key, paths, commands, 1)
            except (msgspec.DecodeError, RecursionError):
                commands.append(value)
        elif key in COMMAND_KEYS:
            commands.append(value)
            paths += _patched(value)
        elif any(word in key for word in PATH_WORDS):
            paths.append(value)
        elif depth <= 1:
            paths += _patched(value)
    elif isinstance(value, list) and depth < DEPTH:
        if key in COMMAND_KEYS and all(isinstance(word, str) for word in value):
            commands.append(" ".join(value))
            paths += [path for word in value for path in _patched(word)]
        else:
            for part in value:
                _look(part, key, paths, commands, depth + 1)
    elif isinstance(value, dict) and depth < DEPTH:
        for name, part in value.items():
            _look(part, name.lower(), paths, commands, depth + 1)


def _patched(text: str) -> list[str]:
    """The files that a patch changes."""
    if "*** " not in text and "+++ " not in text:
        return []
    return [first or second for first, second in _PATCH.findall(text)]


def _text(item: dict[str, Any]) -> str:
    content = item.get("content")
    if isinstance(content, str):
        return content
    return "\n".join(str(block.get("text", "")) for block in _list(content))


def _list(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""
