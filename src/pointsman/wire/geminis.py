"""Gemini clients told in Chat Completions, and answered in their own words again.

LiteLLM's way from this format gives two calls of one tool the same id, and drops one of them (1.106.2, google_genai/adapters);
so the request becomes a Chat request here, and is translated from there on like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from pointsman.errors import WireError
from pointsman.wire.gemini import BYPASS
from pointsman.wire.spoken import Speaker, sse

Json = dict[str, Any]

MODES = {"ANY": "required", "NONE": "none", "AUTO": "auto"}
STOPS = {"stop": "STOP", "tool_calls": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}


def as_chat(body: Json, stream: bool) -> Json:
    """A generateContent body as a Chat body. Raises WireError for parts that only Gemini understands."""
    config = _object(body.get("generationConfig"))
    out: Json = {"messages": list(_messages(body)), "stream": stream}
    if stream:
        out["stream_options"] = {"include_usage": True}
    for theirs, ours in (("maxOutputTokens", "max_tokens"), ("temperature", "temperature"), ("topP", "top_p"),
                         ("stopSequences", "stop")):  # fmt: skip
        if config.get(theirs) is not None:
            out[ours] = config[theirs]
    schema = config.get("responseJsonSchema") or _lowered(config.get("responseSchema"))
    if schema:
        out["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    tools = [tool for given in body.get("tools") or () for tool in _object(given).get("functionDeclarations") or ()]
    if tools:
        out["tools"] = [{"type": "function", "function": _function(tool)} for tool in tools]
        mode = _object(_object(body.get("toolConfig")).get("functionCallingConfig")).get("mode")
        if mode in MODES:
            out["tool_choice"] = MODES[mode]
    return out


def _function(tool: Json) -> Json:
    schema = tool.get("parametersJsonSchema") or _lowered(tool.get("parameters")) or {"type": "object", "properties": {}}
    return {"name": tool.get("name"), "description": tool.get("description") or "", "parameters": schema}


def _lowered(schema: Any) -> Any:
    """A schema with its types as JSON Schema writes them; Gemini's own are in capitals."""
    if isinstance(schema, dict):
        return {k: v.lower() if k == "type" and isinstance(v, str) else _lowered(v) for k, v in schema.items()}
    return [_lowered(part) for part in schema] if isinstance(schema, list) else schema


def _messages(body: Json) -> Iterator[Json]:
    system = "\n".join(str(part["text"]) for part in _parts(_object(body.get("systemInstruction"))) if "text" in part)
    if system:
        yield {"role": "system", "content": system}
    waiting: list[tuple[str, str]] = []  # (name, id) of calls without a result
    count = 0
    for content in body.get("contents") or ():
        parts = _parts(content)
        if content.get("role") == "model":
            calls = []
            for call in (part["functionCall"] for part in parts if "functionCall" in part):
                count += 1
                id = str(call.get("id") or f"call_{count}")
                waiting.append((str(call.get("name")), id))
                arguments = msgspec.json.encode(call.get("args") or {}).decode()
                calls.append({"id": id, "type": "function", "function": {"name": call.get("name"), "arguments": arguments}})
            text = "".join(str(part["text"]) for part in parts if "text" in part and not part.get("thought"))
            yield {"role": "assistant", "content": text or None, **({"tool_calls": calls} if calls else {})}
            continue
        said: list[Json] = []
        for part in parts:
            if "functionResponse" in part:
                yield _result(part["functionResponse"], waiting)
            else:
                said += _said(part)
        if said:
            yield {"role": "user", "content": said}


def _result(given: Json, waiting: list[tuple[str, str]]) -> Json:
    """A tool's result for the first open call that it can belong to: by id, else by name."""
    place = next((n for n, (_, id) in enumerate(waiting) if id == given.get("id")), None)
    if place is None:
        place = next((n for n, (name, _) in enumerate(waiting) if name == given.get("name")), None)
    id = waiting.pop(place)[1] if place is not None else str(given.get("id") or "lost")
    response = given.get("response")
    plain = response.get("output") if isinstance(response, dict) and set(response) == {"output"} else None
    text = plain if isinstance(plain, str) else msgspec.json.encode(response).decode()
    return {"role": "tool", "tool_call_id": id, "content": text}


def _said(part: Json) -> Iterator[Json]:
    if part.get("thought"):
        return
    if "text" in part:
        yield {"type": "text", "text": part["text"]}
    elif "inlineData" in part:
        data = part["inlineData"]
        yield {"type": "image_url", "image_url": {"url": f"data:{data.get('mimeType')};base64,{data.get('data')}"}}
    else:
        raise WireError(f"a part with {', '.join(sorted(part))} cannot be told to another vendor's model")


def _parts(content: Mapping[str, Any]) -> list[Json]:
    parts = content.get("parts")
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


class Geminis(Speaker):
    """Words a Chat answer for a Gemini client; the last event waits for the usage, which Chat tells apart."""

    def __init__(self, model: str) -> None:
        super().__init__(model)
        self._calls: dict[int, Json] = {}
        self._finish = "STOP"
        self._usage: Json = {}

    def event(self, event: Json) -> bytes:
        """Text at once; calls are gathered until they are whole."""
        self._usage = _counts(event.get("usage")) or self._usage
        text = ""
        for choice in event.get("choices") or ():
            delta = choice.get("delta") or {}
            text += delta.get("content") or ""
            self._gather(delta.get("tool_calls") or ())
            self._finish = STOPS.get(str(choice.get("finish_reason")), self._finish)
        return sse(self._chunk([{"text": text}], None), named=False) if text else b""

    def end(self) -> bytes:
        """The calls, how it ended, and what it used."""
        return sse(self._chunk(self._made() or [{"text": ""}], self._finish), named=False)

    def whole(self, answer: Json) -> bytes:
        """The answer that is not a stream."""
        parts: list[Json] = []
        for choice in answer.get("choices") or ():
            message = choice.get("message") or {}
            if message.get("content"):
                parts.append({"text": message["content"]})
            self._gather([{**call, "index": n} for n, call in enumerate(message.get("tool_calls") or ())])
            self._finish = STOPS.get(str(choice.get("finish_reason")), self._finish)
        self._usage = _counts(answer.get("usage"))
        return msgspec.json.encode(self._chunk([*parts, *self._made()], self._finish))

    def _gather(self, calls: Any) -> None:
        for place, call in enumerate(calls):
            held = self._calls.setdefault(call.get("index", place), {"id": None, "name": "", "arguments": ""})
            function = call.get("function") or {}
            held["id"] = held["id"] or call.get("id")
            held["name"] += function.get("name") or ""
            held["arguments"] += function.get("arguments") or ""

    def _made(self) -> list[Json]:
        made = []
        for held in (self._calls[n] for n in sorted(self._calls)):
            call = {"id": self.id(held["id"]), "name": held["name"], "args": _arguments(held["arguments"])}
            made.append({"functionCall": call, "thoughtSignature": BYPASS})
        return made

    def _chunk(self, parts: list[Json], finish: str | None) -> Json:
        candidate: Json = {"content": {"role": "model", "parts": parts}, "index": 0}
        if finish:
            candidate["finishReason"] = finish
        return {"candidates": [candidate], "modelVersion": self.model, **({"usageMetadata": self._usage} if finish else {})}


def _arguments(text: str) -> Json:
    try:
        return _object(msgspec.json.decode(text or "{}"))
    except msgspec.DecodeError:
        return {}


def _counts(usage: Any) -> Json:
    if not isinstance(usage, dict):
        return {}
    inside, reasoning = _object(usage.get("prompt_tokens_details")), _object(usage.get("completion_tokens_details"))
    thought = int(reasoning.get("reasoning_tokens") or 0)
    return {
        "promptTokenCount": int(usage.get("prompt_tokens") or 0),
        "cachedContentTokenCount": int(inside.get("cached_tokens") or 0),
        "candidatesTokenCount": int(usage.get("completion_tokens") or 0) - thought, "thoughtsTokenCount": thought,
        "totalTokenCount": int(usage.get("total_tokens") or 0),
    }  # fmt: skip
