"""Answers in the words of Google's generateContent API."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from pointsman.sandbox.reply import Answer, Bill, Call, Consult, Frame, Part, Text, Thinking, pieces, sse, token

STOPS = {"end": "STOP", "tool": "STOP", "length": "MAX_TOKENS", "refusal": "SAFETY"}


def usage(bill: Bill) -> dict[str, Any]:
    """The usage block: ``promptTokenCount`` includes what was read; thoughts are counted apart from candidates."""
    used = {
        "promptTokenCount": bill.prompt,
        "candidatesTokenCount": bill.output - bill.reasoning,
        "totalTokenCount": bill.prompt + bill.output,
    }
    if bill.read:
        used["cachedContentTokenCount"] = bill.read
    if bill.reasoning:
        used["thoughtsTokenCount"] = bill.reasoning
    return used


def thought_signature(answer: Answer, n: int) -> str:
    """The signature of part ``n``; opaque to clients."""
    return base64.b64encode(f"pmg1|{answer.model}|{token(f'{answer.seed}/g{n}', 24)}".encode()).decode()


def _part(answer: Answer, n: int, part: Part) -> dict[str, Any]:
    match part:
        case Text(text):
            return {"text": text}
        case Thinking(text):
            return {"text": text, "thought": True}
        case Call():
            arguments = part.arguments if isinstance(part.arguments, dict) else {"input": part.arguments}
            return {"functionCall": {"name": part.name, "args": arguments}, "thoughtSignature": thought_signature(answer, n)}
        case Consult():
            raise ValueError("only the Messages API has an advisor of its own")


def _chunk(answer: Answer, parts: list[dict[str, Any]], finish: str | None, used: dict[str, Any]) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "usageMetadata": used, "modelVersion": answer.model, "responseId": answer.id("", 0, 22)}


def body(answer: Answer) -> dict[str, Any]:
    """The whole response, not streamed."""
    parts = [_part(answer, n, part) for n, part in enumerate(answer.reply.parts)]
    return _chunk(answer, parts, STOPS[answer.reply.stopped], usage(answer.bill))


def chunks(answer: Answer) -> Iterator[tuple[dict[str, Any], Any]]:
    """The stream's chunks with what each carries; the last one holds the finish reason and the whole usage."""
    early = {"promptTokenCount": answer.bill.prompt, "totalTokenCount": answer.bill.prompt}
    for n, part in enumerate(answer.reply.parts):
        if isinstance(part, Call):
            yield _chunk(answer, [_part(answer, n, part)], None, early), "json"
            continue
        carries, extra = ("thinking", {"thought": True}) if isinstance(part, Thinking) else ("text", {})
        for piece in pieces(part.text, 60):
            yield _chunk(answer, [{"text": piece, **extra}], None, early), carries
    yield _chunk(answer, [{"text": ""}], STOPS[answer.reply.stopped], usage(answer.bill)), "terminal"


def frames(answer: Answer) -> Iterator[Frame]:
    """The stream with ``alt=sse``."""
    for chunk, kind in chunks(answer):
        yield Frame(sse(chunk), kind)
