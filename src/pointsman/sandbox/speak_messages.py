"""Answers in the words of Anthropic's Messages API, as its streams look."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from pointsman.sandbox.reply import Answer, Bill, Call, Consult, Frame, Part, Text, Thinking, compact, pieces, sse, token

STOPS = {
    "end": "end_turn",
    "tool": "tool_use",
    "length": "max_tokens",
    "refusal": "refusal",
    "window": "model_context_window_exceeded",
}


def usage(bill: Bill, output: int | None = None) -> dict[str, Any]:
    """The usage block: ``input_tokens`` is only what was neither read nor written."""
    by_ttl = {ttl: tokens for ttl, tokens in bill.written}
    said: dict[str, Any] = {
        "input_tokens": bill.fresh,
        "cache_creation_input_tokens": bill.write,
        "cache_read_input_tokens": bill.read,
        "cache_creation": {"ephemeral_5m_input_tokens": by_ttl.get(300, 0), "ephemeral_1h_input_tokens": by_ttl.get(3600, 0)},
        "output_tokens": bill.output if output is None else output,
        "service_tier": "standard",
    }
    if bill.advisor is not None and output is None:
        model, asked, answered = bill.advisor
        own = {name: value for name, value in said.items() if name != "service_tier"}
        advisor = {"type": "advisor_message", "model": model, "input_tokens": asked, "output_tokens": answered}
        said["iterations"] = [{"type": "message", **own}, advisor]
    return said


def blocks(answer: Answer) -> list[dict[str, Any]]:
    """The content blocks of the finished message."""
    return [_block(answer, n, part) for n, part in enumerate(answer.reply.parts)]


def _block(answer: Answer, n: int, part: Part) -> dict[str, Any]:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Thinking(text):
            return {"type": "thinking", "thinking": "" if answer.hide_thinking else text, "signature": signature(answer, n)}
        case Consult(advice, asked):
            name = answer.id("srvtoolu_01", n if asked else n - 1, 22)
            if asked:
                return {"type": "server_tool_use", "id": name, "name": "advisor", "input": {}}
            return {"type": "advisor_tool_result", "tool_use_id": name, "content": {"type": "advisor_result", "text": advice}}
        case Call():
            given = part.arguments if isinstance(part.arguments, dict) else {"input": part.arguments}
            return {"type": "tool_use", "id": part.id or answer.id("toolu_01", n, 22), "name": part.name, "input": given}


def signature(answer: Answer, n: int) -> str:
    """The signature of thinking block ``n``: who wrote it, after which prefix, and after which earlier block.

    Opaque to clients, as the vendor's are; ``sandbox.thinking`` reads it back.
    """
    link = (
        signature_id(signature(answer, n - 1))
        if n and isinstance(answer.reply.parts[n - 1], Thinking)
        else answer.echo.get("link", "")
    )
    plain = "|".join(("pms1", answer.model, str(answer.echo.get("prefix", "")), link, token(f"{answer.seed}/{n}", 32)))
    return base64.b64encode(plain.encode()).decode()


def signature_id(sig: str) -> str:
    """A short name for a signature, to link the next one to it."""
    return token(sig, 12)


def body(answer: Answer) -> dict[str, Any]:
    """The whole message, not streamed."""
    message = _message(answer, usage(answer.bill))
    message["content"] = blocks(answer)
    message["stop_reason"] = _stop(answer)
    if answer.dropped:
        message["input_transformations"] = _transformations(answer)
    return message


def _message(answer: Answer, used: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": answer.id("msg_01", 0, 22),
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": used,
    } | answer.diagnosis


def _stop(answer: Answer) -> str:
    return STOPS[answer.echo.get("stop") or answer.reply.stopped]


def _transformations(answer: Answer) -> list[dict[str, str]]:
    return [{"type": "thinking_dropped", "path": path, "reason": "model_binding_mismatch"} for path in answer.dropped]


def frames(answer: Answer) -> Iterator[Frame]:
    """The stream: message_start, blocks with their deltas, message_delta, message_stop."""
    start = {"type": "message_start", "message": _message(answer, usage(answer.bill, output=min(1, answer.bill.output)))}
    yield Frame(sse(start, "message_start"), "start")
    for n, part in enumerate(answer.reply.parts):
        yield from _block_frames(answer, n, part)
        if n == 0:
            yield Frame(sse({"type": "ping"}, "ping"), "ping")
    delta: dict[str, Any] = {"type": "message_delta", "delta": {"stop_reason": _stop(answer), "stop_sequence": None}}
    delta["usage"] = {k: v for k, v in usage(answer.bill).items() if k not in ("service_tier", "cache_creation")}
    if answer.dropped:
        delta["input_transformations"] = _transformations(answer)
    yield Frame(sse(delta, "message_delta"), "end")
    yield Frame(sse({"type": "message_stop"}, "message_stop"), "terminal")


def _block_frames(answer: Answer, n: int, part: Part) -> Iterator[Frame]:
    """content_block_start, the deltas and content_block_stop of one part."""
    block = _block(answer, n, part)
    match part:
        case Text(text):
            yield _start(n, {"type": "text", "text": ""})
            for piece in pieces(text):
                yield _delta(n, {"type": "text_delta", "text": piece}, "text")
        case Thinking():
            yield _start(n, {"type": "thinking", "thinking": "", "signature": ""})
            for piece in pieces(block["thinking"]):
                yield _delta(n, {"type": "thinking_delta", "thinking": piece}, "thinking")
            yield _delta(n, {"type": "signature_delta", "signature": block["signature"]}, "thinking")
        case Consult():
            yield _start(n, block)
        case Call():
            yield _start(n, block | {"input": {}})
            yield _delta(n, {"type": "input_json_delta", "partial_json": ""}, "block")
            for piece in pieces(compact(block["input"])):
                yield _delta(n, {"type": "input_json_delta", "partial_json": piece}, "json")
    yield Frame(sse({"type": "content_block_stop", "index": n}, "content_block_stop"), "block")


def _start(n: int, block: dict[str, Any]) -> Frame:
    return Frame(sse({"type": "content_block_start", "index": n, "content_block": block}, "content_block_start"), "block")


def _delta(n: int, delta: dict[str, Any], kind: Any) -> Frame:
    return Frame(sse({"type": "content_block_delta", "index": n, "delta": delta}, "content_block_delta"), kind)
