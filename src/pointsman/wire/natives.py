"""A translated body made fit for its model: what the translation cannot know, in the model's own wire format.

The model's table row (``core.targets``) says what it takes; the decision says at which effort. Nothing of the client's own
vendor, and no id of its user, is left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pointsman.core.targets import Target
from pointsman.core.types import Protocol
from pointsman.wire.converting import BUDGETS, LARGEST_BUDGET, SMALLEST_BUDGET

Json = dict[str, Any]

ANSWER = 32_000
"""Tokens of answer asked of a Claude model where the client named no limit: Claude Code's own default for Sonnet 4.5."""

LEVELS = {"minimal": "low", "none": "low", "medium": "medium", "xhigh": "high", "max": "high"}
"""Effort names that Gemini's ``thinkingLevel`` does not have, and the nearest that it has."""

_DROPPED = ("user", "metadata", "safety_identifier", "store", "service_tier", "cache_control", "stream",
            "reasoning", "reasoning_effort", "thinking", "output_config")  # fmt: skip
"""What is nobody's business there, and what is set anew for the target."""


def fit(native: Protocol, body: Json, target: Target, effort: str | None, cache_key: str, stream: bool) -> Json:
    """``body`` as ``target`` takes it at ``effort``. ``cache_key``: an opaque name of the session's prefix for its cache."""
    for name in _DROPPED:
        body.pop(name, None)
    if not target.sampling:
        for name in ("temperature", "top_p", "top_k"):
            body.pop(name, None)
    _FIT[native](body, target, effort, cache_key)
    if stream and native != "gemini":
        body["stream"] = True
    return body


def _limited(body: Json, name: str, target: Target) -> None:
    limit = target.clamped(body[name]) if isinstance(body.get(name), int) else None
    if limit is not None:
        body[name] = limit


def _responses(body: Json, target: Target, effort: str | None, cache_key: str) -> None:
    _limited(body, "max_output_tokens", target)
    body.update(model=target.model, store=False, include=["reasoning.encrypted_content"], prompt_cache_key=cache_key)
    if effort is not None and target.efforts:
        body["reasoning"] = {"effort": effort}


def _chat(body: Json, target: Target, effort: str | None, cache_key: str) -> None:
    if "max_completion_tokens" in body:
        body["max_tokens"] = body.pop("max_completion_tokens")
    _limited(body, "max_tokens", target)
    body["model"] = target.model
    if effort is not None and target.efforts:
        body["reasoning_effort"] = effort
    if body.get("stream_options") is None:
        body.pop("stream_options", None)
    for message in body.get("messages") or ():
        for call in message.get("tool_calls") or ():
            call.pop("index", None)


def _gemini(body: Json, target: Target, effort: str | None, cache_key: str) -> None:
    """In the API's documented spelling; the arguments and results of tools are not touched."""
    body.pop("model", None)
    config = {CAMEL.get(name, name): value for name, value in (body.get("generationConfig") or {}).items()}
    limit = config.get("maxOutputTokens")
    if isinstance(limit, int):
        config["maxOutputTokens"] = target.clamped(limit)
    for sampled in ("temperature", "topP", "topK") if not target.sampling else ():
        config.pop(sampled, None)
    config.pop("thinkingConfig", None)
    if effort is not None and target.efforts:
        level = effort if effort in target.efforts else LEVELS.get(effort, "high")
        config["thinkingConfig"] = {"thinkingLevel": level}
    rest = {name: body.pop(name) for name in list(body)}
    body.update(_spelled({name: value for name, value in rest.items() if name != "generationConfig"}))
    body["generationConfig"] = config


CAMEL = {
    "function_call": "functionCall", "function_response": "functionResponse", "inline_data": "inlineData",
    "mime_type": "mimeType", "file_data": "fileData", "file_uri": "fileUri", "system_instruction": "systemInstruction",
    "tool_config": "toolConfig",
    "function_declarations": "functionDeclarations", "function_calling_config": "functionCallingConfig",
    "max_output_tokens": "maxOutputTokens", "stop_sequences": "stopSequences", "top_p": "topP", "top_k": "topK",
    "thought_signature": "thoughtSignature", "response_mime_type": "responseMimeType", "response_schema": "responseSchema",
}  # fmt: skip
FREE = ("args", "response", "parameters", "parametersJsonSchema")
"""Fields that hold values of the client's: their keys are its own."""


def _spelled(value: Any) -> Any:
    if isinstance(value, dict):
        return {CAMEL.get(name, name): part if name in FREE else _spelled(part) for name, part in value.items()}
    return [_spelled(part) for part in value] if isinstance(value, list) else value


def _messages(body: Json, target: Target, effort: str | None, cache_key: str) -> None:
    body["model"] = target.model
    body["max_tokens"] = target.clamped(body["max_tokens"]) if isinstance(body.get("max_tokens"), int) else ANSWER
    form = target.thinking_for("adaptive", effort)
    if form == "adaptive":
        body["thinking"] = {"type": "adaptive"}
    elif form == "enabled" and not _unthinking(body):
        budget = min(BUDGETS.get(effort or "", LARGEST_BUDGET), body["max_tokens"] - 1)
        if budget >= SMALLEST_BUDGET:
            body["thinking"] = {"type": "enabled", "budget_tokens": budget}
    if effort is not None and target.efforts:
        body["output_config"] = {"effort": effort}
    if "thinking" in body:
        body.pop("temperature", None)
        body.pop("top_p", None)
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "auto" and not choice.get("disable_parallel_tool_use"):
        body.pop("tool_choice")
    _mark(body)


def _unthinking(body: Json) -> bool:
    """Whether the last answer calls tools without thinking before them, or a tool is forced: budgets are refused there."""
    if (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
        return True
    said = next((message for message in reversed(body.get("messages") or ()) if message.get("role") == "assistant"), None)
    content = said.get("content") if said else None
    kinds = [block.get("type") for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    return "tool_use" in kinds and "thinking" not in kinds


MARK = {"type": "ephemeral"}


def _mark(body: Json) -> None:
    """Cache marks as Claude Code sets them: the last block of the system prompt and of the newest message."""
    for holder, name in ((body, "system"), ((body.get("messages") or [{}])[-1], "content")):
        given = holder.get(name)
        blocks = [{"type": "text", "text": given}] if isinstance(given, str) and given else given
        if isinstance(blocks, list) and blocks and isinstance(blocks[-1], dict):
            holder[name] = [*blocks[:-1], {**blocks[-1], "cache_control": MARK}]


_FIT: Mapping[str, Callable[[Json, Target, str | None, str], None]] = {
    "responses": _responses, "chat": _chat, "gemini": _gemini, "messages": _messages,
}  # fmt: skip
