"""Reading a provider's answer, as an agent does: events, content, model, usage.

Used by the scripted agent and by recordings; written apart from the product's wire layer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pointsman.sandbox.incoming import Protocol
from pointsman.sandbox.reply import Call, Part, Reply, Text, Thinking


def events(text: str) -> Iterator[dict[str, Any]]:
    """The JSON values of the events of a stream; a whole JSON body is one value."""
    if text.lstrip().startswith(("{", "[")):
        try:
            whole = json.loads(text)
        except ValueError:
            return
        yield from whole if isinstance(whole, list) else [whole]
        return
    for block in text.replace("\r\n", "\n").split("\n\n"):
        data = "\n".join(line[5:].lstrip() for line in block.split("\n") if line.startswith("data:"))
        if data and data != "[DONE]":
            try:
                value = json.loads(data)
            except ValueError:
                continue
            if isinstance(value, dict):
                yield value


def usage_of(protocol: str, text: str) -> dict[str, Any] | None:
    """The last usage the answer states, in the protocol's own shape; fields stated earlier are kept."""
    found: dict[str, Any] = {}
    for value in events(text):
        inner = value.get("response") if protocol == "responses" else value.get("message")
        for holder in (value, inner if isinstance(inner, dict) else {}):
            used = holder.get("usageMetadata" if protocol == "gemini" else "usage")
            if isinstance(used, dict):
                found |= used
    return found or None


def model_of(protocol: str, text: str) -> str | None:
    """The model the answer names."""
    for value in events(text):
        inner = value.get("response") or value.get("message") or {}
        name = (
            value.get("modelVersion")
            if protocol == "gemini"
            else value.get("model") or (inner.get("model") if isinstance(inner, dict) else None)
        )
        if name:
            return str(name)
    return None


def ended(protocol: str, text: str) -> bool:
    """Did the answer reach its proper end?"""
    match protocol:
        case "messages":
            return any(v.get("type") in ("message_stop", "message") for v in events(text))
        case "responses":
            return any(
                v.get("type") in ("response.completed", "response.incomplete") or v.get("object") == "response"
                for v in events(text)
            )
        case "gemini":
            return any(c.get("finishReason") for v in events(text) for c in v.get("candidates", ()))
    return "data: [DONE]" in text or any(v.get("object") == "chat.completion" for v in events(text))


def content_of(text: str) -> list[dict[str, Any]]:
    """The content blocks of a Messages answer, as a client puts them into its history."""
    blocks: dict[int, dict[str, Any]] = {}
    arguments: dict[int, str] = {}
    for value in events(text):
        match value.get("type"):
            case "message":
                return list(value.get("content", ()))
            case "content_block_start":
                blocks[value["index"]] = dict(value["content_block"])
            case "content_block_delta":
                _grow(blocks[value["index"]], arguments, value["index"], value["delta"])
    for n, given in arguments.items():
        blocks[n]["input"] = json.loads(given or "{}")
    return [blocks[n] for n in sorted(blocks)]


def _grow(block: dict[str, Any], arguments: dict[int, str], n: int, delta: dict[str, Any]) -> None:
    """Add one delta to its block; a tool's JSON is gathered apart until it is whole."""
    match delta.get("type"):
        case "text_delta":
            block["text"] += delta["text"]
        case "thinking_delta":
            block["thinking"] += delta["thinking"]
        case "signature_delta":
            block["signature"] = delta["signature"]
        case "input_json_delta":
            arguments[n] = arguments.get(n, "") + delta["partial_json"]


def reply_of(protocol: Protocol, text: str) -> Reply | None:
    """A recorded answer as a reply to give again; None when it holds nothing readable."""
    match protocol:
        case "messages":
            parts = [_messages_part(block) for block in content_of(text)]
        case "responses":
            done = [v["item"] for v in events(text) if v.get("type") == "response.output_item.done"]
            whole = [item for v in events(text) if v.get("object") == "response" for item in v.get("output", ())]
            parts = [_responses_part(item) for item in done or whole]
        case "chat":
            parts = list(_chat_parts(text))
        case _:
            parts = [
                part
                for v in events(text)
                for c in v.get("candidates", ())
                for part in map(_gemini_part, c["content"].get("parts", ()))
            ]
    kept = tuple(part for part in parts if part is not None)
    return Reply(kept) if kept else None


def _messages_part(block: dict[str, Any]) -> Part | None:
    match block.get("type"):
        case "text":
            return Text(block["text"])
        case "thinking":
            return Thinking(block["thinking"])
        case "tool_use":
            return Call(block["name"], block["input"], block["id"])
    return None


def _responses_part(item: dict[str, Any]) -> Part | None:
    match item.get("type"):
        case "message":
            return Text("".join(part.get("text", "") for part in item.get("content", ())))
        case "reasoning":
            return Thinking("".join(part.get("text", "") for part in item.get("summary", ())))
        case "function_call":
            return Call(item["name"], json.loads(item["arguments"] or "{}"), item["call_id"], item.get("namespace"))
        case "custom_tool_call":
            return Call(item["name"], item["input"], item["call_id"], item.get("namespace"))
    return None


def _gemini_part(part: dict[str, Any]) -> Part | None:
    if "functionCall" in part:
        return Call(part["functionCall"]["name"], part["functionCall"].get("args", {}))
    if part.get("text"):
        return Thinking(part["text"]) if part.get("thought") else Text(part["text"])
    return None


def _chat_parts(text: str) -> Iterator[Part]:
    """Reasoning, words and tool calls, gathered over the chunks (or from the whole message)."""
    words, thoughts, calls = "", "", dict[int, dict[str, Any]]()
    for value in events(text):
        for choice in value.get("choices", ()):
            delta = choice.get("delta") or choice.get("message") or {}
            words += delta.get("content") or ""
            thoughts += delta.get("reasoning_content") or ""
            for k, call in enumerate(delta.get("tool_calls") or ()):
                held = calls.setdefault(call.get("index", k), {"id": None, "name": "", "arguments": ""})
                held["id"] = call.get("id") or held["id"]
                held["name"] += (call.get("function") or {}).get("name") or ""
                held["arguments"] += (call.get("function") or {}).get("arguments") or ""
    if thoughts:
        yield Thinking(thoughts)
    if words:
        yield Text(words)
    for _, held in sorted(calls.items()):
        yield Call(held["name"], json.loads(held["arguments"] or "{}"), held["id"])
