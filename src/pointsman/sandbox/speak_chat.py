"""Answers in the words of OpenAI's Chat Completions API and of those who copy it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pointsman.sandbox.reply import Answer, Bill, Call, Frame, Text, Thinking, pieces, sse

STOPS = {"end": "stop", "tool": "tool_calls", "length": "length", "refusal": "content_filter"}


def usage(bill: Bill, vendor: str) -> dict[str, Any]:
    """The usage block: ``prompt_tokens`` includes what was read and written."""
    details: dict[str, Any] = {"cached_tokens": bill.read, "audio_tokens": 0}
    if vendor == "openai" and bill.written:
        details["cache_write_tokens"] = bill.write
    used: dict[str, Any] = {
        "prompt_tokens": bill.prompt,
        "completion_tokens": bill.output,
        "total_tokens": bill.prompt + bill.output,
        "prompt_tokens_details": details,
        "completion_tokens_details": {"reasoning_tokens": bill.reasoning, "audio_tokens": 0},
    }
    if vendor == "deepseek":
        used |= {"prompt_cache_hit_tokens": bill.read, "prompt_cache_miss_tokens": bill.prompt - bill.read}
    return used


def _calls(answer: Answer) -> list[Call]:
    return [part for part in answer.reply.parts if isinstance(part, Call)]


def _call(answer: Answer, n: int, call: Call) -> dict[str, Any]:
    """Tool call ``n`` as it stands in a message."""
    name = call.id or answer.id("call_", n)
    if isinstance(call.arguments, str):
        return {"id": name, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    return {"id": name, "type": "function", "function": {"name": call.name, "arguments": call.text}}


def _joined(answer: Answer, kind: type[Text] | type[Thinking]) -> str:
    return "".join(part.text for part in answer.reply.parts if isinstance(part, kind))


def body(answer: Answer) -> dict[str, Any]:
    """The whole completion, not streamed."""
    message: dict[str, Any] = {"role": "assistant", "content": _joined(answer, Text) or None, "refusal": None, "annotations": []}
    if answer.vendor != "openai" and _joined(answer, Thinking):
        message["reasoning_content"] = _joined(answer, Thinking)
    if calls := _calls(answer):
        message["tool_calls"] = [_call(answer, n, call) for n, call in enumerate(calls)]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": STOPS[answer.reply.stopped]}
    return _head(answer, "chat.completion") | {"choices": [choice], "usage": usage(answer.bill, answer.vendor)}


def service_tier(answer: Answer) -> str:
    """The tier that served the request: what was asked for, as OpenAI names it."""
    asked = answer.echo.get("service_tier")
    return {"fast": "priority"}.get(asked, asked) if asked and asked != "auto" else "default"


def _head(answer: Answer, kind: str) -> dict[str, Any]:
    return {
        "id": answer.id("chatcmpl-", 0, 29),
        "object": kind,
        "created": answer.created,
        "model": answer.model,
        "service_tier": service_tier(answer),
        "system_fingerprint": answer.id("fp_", 0, 10),
    }


def frames(answer: Answer) -> Iterator[Frame]:
    """The stream: chunks, a last chunk with the finish reason, a usage chunk if asked for, then [DONE]."""
    head = _head(answer, "chat.completion.chunk")

    def chunk(delta: dict[str, Any], kind: Any, finish: str | None = None) -> Frame:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        extra: dict[str, Any] = {"usage": None} if answer.include_usage else {}
        return Frame(sse(head | {"choices": [choice]} | extra), kind)

    yield chunk({"role": "assistant", "content": "", "refusal": None}, "start")
    for part in answer.reply.parts:
        match part:
            case Text(text):
                for piece in pieces(text):
                    yield chunk({"content": piece}, "text")
            case Thinking(text) if answer.vendor != "openai":
                for piece in pieces(text):
                    yield chunk({"reasoning_content": piece}, "thinking")
    for n, call in enumerate(_calls(answer)):
        whole = _call(answer, n, call)
        inner, field = ("custom", "input") if whole["type"] == "custom" else ("function", "arguments")
        opened = {"index": n, "id": whole["id"], "type": whole["type"], inner: {"name": call.name, field: ""}}
        yield chunk({"tool_calls": [opened]}, "block")
        for piece in pieces(call.text):
            yield chunk({"tool_calls": [{"index": n, inner: {field: piece}}]}, "json")
    yield chunk({}, "end", STOPS[answer.reply.stopped])
    if answer.include_usage:
        yield Frame(sse(head | {"choices": [], "usage": usage(answer.bill, answer.vendor)}), "end")
    yield Frame(sse("[DONE]"), "terminal")
