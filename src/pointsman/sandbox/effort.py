"""Which effort a request works at, with changes inside the history, and where such a change may stand.

Anthropic: a system message with an effort acts on the answer to a user turn with new input that it stands right behind;
anywhere else from the next such turn on; a turn of tool results alone is no new input (effort-per-message page, read
2026-11-22). OpenAI: a ``configuration_update`` acts from where it stands. The last one set holds.
"""

from __future__ import annotations

from typing import Any

from pointsman.sandbox.incoming import Incoming
from pointsman.sandbox.models import Model
from pointsman.sandbox.prompt import as_blocks


def effort_of(request: Incoming, row: Model) -> str | None:
    """The effort at which ``row`` answers ``request``: the one set last that acts by now; None where it has none."""
    if not row.efforts:
        return None
    body = request.body
    if request.protocol == "messages":
        return _messages(request, (body.get("output_config") or {}).get("effort") or row.default_effort)
    effort = (body.get("reasoning") or {}).get("effort") or body.get("reasoning_effort") or row.default_effort
    for item in request.messages:
        if item.get("type") == "configuration_update":
            effort = (item.get("reasoning") or {}).get("effort") or effort
    return str(effort) if effort else None


def _messages(request: Incoming, effort: str | None) -> str | None:
    waiting: str | None = None
    fresh = False  # right behind a user turn with new input
    for message in request.messages:
        if message.get("role") == "system":
            told = (message.get("output_config") or {}).get("effort")
            if told and fresh:
                effort, waiting = told, None
            elif told:
                waiting = told
        elif message.get("role") == "user" and new_input(message):
            effort, waiting, fresh = waiting or effort, None, True
        elif message.get("role") != "user" or not fresh:  # further words behind new input are of the same turn
            fresh = False
    return effort


def new_input(message: dict[str, Any]) -> bool:
    """Does a user message bring more than tool results?"""
    return any(block.get("type") != "tool_result" for block in as_blocks(message.get("content")))


def misplaced(messages: list[dict[str, Any]]) -> int | None:
    """The index of the first system message with content that does not stand behind a user turn, at the end or before an answer.

    Adjacent system messages count as one; one that only sets an effort may stand anywhere by itself.
    """
    n = 0
    while n < len(messages):
        end = n
        while end < len(messages) and messages[end].get("role") == "system":
            end += 1
        if end > n:
            told = any(as_blocks(message.get("content")) for message in messages[n:end])
            before = messages[n - 1].get("role") if n else None
            after = messages[end].get("role") if end < len(messages) else "assistant"
            if told and (before != "user" or after != "assistant"):
                return n
        n = end + 1
    return None
