"""Answers in the words of OpenAI's Responses API, with numbered events."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from pointsman.sandbox.reply import Answer, Bill, Call, Consult, Frame, Part, Text, Thinking, pieces, sse, token
from pointsman.sandbox.speak_chat import service_tier

HALF_HOUR, HALF_DAY = 1_800, 43_200

ECHOED: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": False,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
}
"""Settings that the API repeats in its answers, with their defaults."""


def usage(bill: Bill) -> dict[str, Any]:
    """The usage block: ``input_tokens`` includes what was read and written."""
    details: dict[str, Any] = {"cached_tokens": bill.read}
    if bill.written:
        by_ttl = dict(bill.written)
        details["cache_write_tokens"] = bill.write
        details["cache_write_tokens_details"] = {
            "ttl_30m_tokens": by_ttl.get(HALF_HOUR, 0),
            "ttl_12h_tokens": by_ttl.get(HALF_DAY, 0),
        }
    return {
        "input_tokens": bill.prompt,
        "input_tokens_details": details,
        "output_tokens": bill.output,
        "output_tokens_details": {"reasoning_tokens": bill.reasoning},
        "total_tokens": bill.prompt + bill.output,
    }


def encrypted(answer: Answer, n: int) -> str:
    """The encrypted reasoning of item ``n``: bound to the organisation, here the credential's hash."""
    plain = "|".join(("pme1", answer.model, str(answer.echo.get("organisation", "")), token(f"{answer.seed}/r{n}", 48)))
    return base64.b64encode(plain.encode()).decode()


def items(answer: Answer) -> list[dict[str, Any]]:
    """The finished output items."""
    return [_item(answer, n, part, "completed") for n, part in enumerate(answer.reply.parts)]


def _item(answer: Answer, n: int, part: Part, status: str) -> dict[str, Any]:
    done = status == "completed"
    match part:
        case Text(text):
            content = [{"type": "output_text", "annotations": [], "logprobs": [], "text": text}] if done else []
            return {"id": answer.id("msg_", n, 48), "type": "message", "status": status, "content": content, "role": "assistant"}
        case Thinking(text):
            summary = [{"type": "summary_text", "text": text}] if done and text else []
            item: dict[str, Any] = {"id": answer.id("rs_", n, 48), "type": "reasoning", "summary": summary}
            return item | {"encrypted_content": encrypted(answer, n)}
        case Call(name, str() as given):
            return {
                "id": answer.id("ctc_", n, 48),
                "type": "custom_tool_call",
                "status": status,
                "name": name,
                "call_id": part.id or answer.id("call_", n),
                "input": given if done else "",
            } | ({"namespace": part.namespace} if part.namespace else {})
        case Call(name):
            return {
                "id": answer.id("fc_", n, 48),
                "type": "function_call",
                "status": status,
                "name": name,
                "call_id": part.id or answer.id("call_", n),
                "arguments": part.text if done else "",
            } | ({"namespace": part.namespace} if part.namespace else {})
        case Consult():
            raise ValueError("only the Messages API has an advisor of its own")


def _response(answer: Answer, status: str) -> dict[str, Any]:
    """The response object; the request's own settings are repeated in it, as the vendor does."""
    echoed = ECHOED | {key: value for key, value in answer.echo.items() if key in ECHOED and value is not None}
    return {
        "id": answer.id("resp_", 0, 48),
        "object": "response",
        "created_at": answer.created,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": answer.model,
        "output": [],
        "service_tier": service_tier(answer),
        "usage": None,
        "user": None,
    } | echoed | answer.diagnosis


def body(answer: Answer) -> dict[str, Any]:
    """The whole response, not streamed (also the payload of the last event)."""
    status = "incomplete" if answer.reply.stopped == "length" else "completed"
    whole = _response(answer, status) | {"output": items(answer), "usage": usage(answer.bill)}
    if status == "incomplete":
        whole["incomplete_details"] = {"reason": "max_output_tokens"}
    return whole


def frames(answer: Answer) -> Iterator[Frame]:
    """The stream: created, in_progress, each item with its parts and deltas, completed."""
    number = 0

    def event(kind: str, carries: Any, **fields: Any) -> Frame:
        nonlocal number
        data = {"type": kind, "sequence_number": number, **fields}
        number += 1
        return Frame(sse(data, kind), carries)

    yield event("response.created", "start", response=_response(answer, "in_progress"))
    yield event("response.in_progress", "start", response=_response(answer, "in_progress"))
    for n, part in enumerate(answer.reply.parts):
        opened, done = _item(answer, n, part, "in_progress"), _item(answer, n, part, "completed")
        at = {"item_id": opened["id"], "output_index": n}
        yield event("response.output_item.added", "block", output_index=n, item=opened)
        match part:
            case Text(text):
                yield from _text(event, at, text)
            case Thinking(text) if text:
                yield from _summary(event, at, text)
            case Call(_, str() as given):
                for piece in pieces(given):
                    yield event("response.custom_tool_call_input.delta", "json", **at, delta=piece)
                yield event("response.custom_tool_call_input.done", "block", **at, input=given)
            case Call():
                for piece in pieces(part.text):
                    yield event("response.function_call_arguments.delta", "json", **at, delta=piece)
                yield event("response.function_call_arguments.done", "block", **at, arguments=part.text, name=part.name)
        yield event("response.output_item.done", "block", output_index=n, item=done)
    whole = body(answer)
    yield event(f"response.{whole['status']}", "terminal", response=whole)


def _text(event: Any, at: dict[str, Any], text: str) -> Iterator[Frame]:
    """The events of one message item between its opening and its end."""
    empty = {"type": "output_text", "annotations": [], "logprobs": [], "text": ""}
    yield event("response.content_part.added", "block", **at, content_index=0, part=empty)
    for piece in pieces(text):
        yield event("response.output_text.delta", "text", **at, content_index=0, delta=piece, logprobs=[])
    yield event("response.output_text.done", "block", **at, content_index=0, text=text, logprobs=[])
    yield event("response.content_part.done", "block", **at, content_index=0, part=empty | {"text": text})


def _summary(event: Any, at: dict[str, Any], text: str) -> Iterator[Frame]:
    """The events of one reasoning summary."""
    yield event(
        "response.reasoning_summary_part.added", "block", **at, summary_index=0, part={"type": "summary_text", "text": ""}
    )
    for piece in pieces(text):
        yield event("response.reasoning_summary_text.delta", "thinking", **at, summary_index=0, delta=piece)
    yield event("response.reasoning_summary_text.done", "block", **at, summary_index=0, text=text)
    yield event(
        "response.reasoning_summary_part.done", "block", **at, summary_index=0, part={"type": "summary_text", "text": text}
    )
