"""Which blocks of a history can be put into another vendor's words; what is not listed is known to its own vendor only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pointsman.core.types import Protocol
from pointsman.wire import shelling

SERVER_BLOCKS = ("server_tool_use", "mcp_tool_use", "mcp_tool_result", "container_upload", "search_result", "compaction")
"""Messages blocks of what the vendor ran itself: they become text."""

RESPONSES_GONE = ("reasoning", "configuration_update", "compaction_trigger", "additional_tools")
"""Responses items that another vendor's model is not told."""

RESPONSES_TOLD = ("web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call", "mcp_call",
                  "mcp_list_tools", "tool_search_call", "tool_search_output")  # fmt: skip
"""Responses items of what the vendor ran itself: they become text."""

_TOLD: dict[str, frozenset[str]] = {
    "messages": frozenset(("text", "image", "document", "thinking", "redacted_thinking", "tool_use", "tool_result",
                           "tool_reference", *SERVER_BLOCKS)),
    "chat": frozenset(("text", "image_url", "file", "refusal")),
    "responses": frozenset(("input_text", "output_text", "text", "refusal", "summary_text", "input_image", "input_file")),
}  # fmt: skip
_GEMINI = frozenset(("text", "functionCall", "functionResponse", "inlineData", "thought"))
# OpenAI's compaction items are not among them: what they stand for is encrypted, and nobody else could go on without it.
_ITEMS = frozenset(("message", "agent_message", "function_call", "custom_tool_call", "function_call_output",
                    "custom_tool_call_output", shelling.CALL, shelling.OUTPUT,
                    *RESPONSES_GONE, *RESPONSES_TOLD))  # fmt: skip


def is_kept_elsewhere(block: Mapping[str, Any]) -> bool:
    """Whether a block only names a file that was uploaded to its vendor: nobody else has it."""
    places = [block, *(inner for name in ("source", "file") if isinstance(inner := block.get(name), dict))]
    return any(place.get("file_id") and not (place.get("file_data") or place.get("image_url")) for place in places)


def tellable(protocol: Protocol, item: Mapping[str, Any]) -> bool:
    """Whether a message holds only what ``for_other_vendor`` can put into another vendor's words."""
    if protocol == "gemini":
        parts = item.get("parts")
        return all(_GEMINI & set(part) for part in parts if isinstance(part, dict)) if isinstance(parts, list) else True
    known = _TOLD[protocol]
    if protocol == "responses" and str(item.get("type") or "message") not in _ITEMS:
        return False
    content = item.get("content")
    for block in content if isinstance(content, list) else ():
        kind = str(block.get("type")) if isinstance(block, dict) else ""
        if isinstance(block, dict) and is_kept_elsewhere(block):
            return False
        if kind not in known and not (protocol == "messages" and kind.endswith("_tool_result")):
            return False
    return True
