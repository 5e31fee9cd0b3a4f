"""The text of a request that a tokenizer has to count: what its model reads, without ids, marks, signatures and images. Pure.

Images and pages count by their provider's rule (``core.images``). Tools count as the JSON they are; how a provider writes them
for its model is not published, and the bills of a user's own first requests say what that comes to (``core.learned``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from pointsman.core.types import Protocol
from pointsman.wire.protocols import HISTORY

HEADS: dict[Protocol, tuple[str, ...]] = {
    "messages": ("system",), "chat": (), "responses": ("instructions",), "gemini": ("systemInstruction", "system_instruction"),
}  # fmt: skip

READ = frozenset({
    "text", "content", "input", "output", "arguments", "args", "thinking", "name", "parts", "function", "functionCall",
    "functionResponse", "response", "tool_calls", "summary", "title",
})  # fmt: skip
"""Fields of a message that hold words for the model, or parts with such fields."""

AS_JSON = frozenset({"input", "args", "response"})
"""Fields whose objects a model reads as JSON: the arguments of a call, the answer of a Gemini function."""

MESSAGE_TOKENS, RESULT_TOKENS = 4, 9
"""Tokens around a message (start, role, message and end, as OpenAI's harmony format is published) and around a tool result: in
31 of 36 requests of real Codex sessions (EntityProcess/agentv, MIT) the bill was to the token o200k's count of the results, 9 for
each, and 2; three of the others hold much that is not shown."""


def countable(protocol: Protocol, body: dict[str, Any]) -> tuple[list[str], int]:
    """The texts of a request's tools, system text and history, and the tokens that frame its messages."""
    texts = [msgspec.json.encode(_plain(tool)).decode() for tool in _list(body.get("tools"))]
    for name in HEADS[protocol]:
        texts += _words(body.get(name))
    history, frames = body.get(HISTORY[protocol]), 0
    for item in _list(history):
        texts += _words(item)
        results = _results(item)
        frames += RESULT_TOKENS * results if results else MESSAGE_TOKENS
    if isinstance(history, str):  # the Responses protocol allows a plain prompt
        texts.append(history)
        frames += MESSAGE_TOKENS
    return texts, frames


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _plain(tool: Any) -> Any:
    return {key: value for key, value in tool.items() if key != "cache_control"} if isinstance(tool, dict) else tool


def _words(value: Any) -> Iterator[str]:
    """Every text that a model reads in ``value``."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value:
            yield from _words(part)
    elif isinstance(value, dict):
        for key, part in value.items():
            if key in AS_JSON and isinstance(part, dict):
                yield msgspec.json.encode(part).decode()
            elif key in READ:
                yield from _words(part)


def _results(item: Any) -> int:
    """How many tool results a message of the history is or holds."""
    if not isinstance(item, dict):
        return 0
    if item.get("role") == "tool" or str(item.get("type", "")).endswith("_call_output"):
        return 1
    parts = [part for part in (*_list(item.get("content")), *_list(item.get("parts"))) if isinstance(part, dict)]
    return sum(part.get("type") == "tool_result" or "functionResponse" in part for part in parts)
