"""A Gemini client's request as a Chat request, and the answer in its own words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pointsman.errors import WireError
from pointsman.wire.geminis import BYPASS, Geminis, as_chat
from pointsman.wire.sse import Tap
from pointsman.wire.tellable import tellable


def call(name: str, id: str | None = None, **args: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": args, **({"id": id} if id else {})}, "thoughtSignature": "S"}


def result(name: str, output: Any, id: str | None = None) -> dict[str, Any]:
    return {"functionResponse": {"name": name, "response": output, **({"id": id} if id else {})}}


def test_calls_without_ids_are_paired_with_their_results_in_order() -> None:
    out = as_chat({
        "systemInstruction": {"parts": [{"text": "be good"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "go"}, {"inlineData": {"mimeType": "image/png", "data": "aGk="}}]},
            {"role": "model", "parts": [{"text": "hm", "thought": True}, {"text": "ok"}, call("f", a=1), call("f", a=2),
                                        call("g", "x")]},
            {"role": "user", "parts": [result("f", {"output": "one"}), result("g", {"n": 1}, "x"), result("f", {"output": "two"}),
                                       {"text": "on"}]},
        ],
        "tools": [{"googleSearch": {}}, {"functionDeclarations": [
            {"name": "f", "parameters": {"type": "OBJECT", "properties": {"a": {"type": "INTEGER"}}}}]}],
        "generationConfig": {"maxOutputTokens": 9, "temperature": 0, "thinkingConfig": {"thinkingBudget": 5}},
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
    }, True)  # fmt: skip
    system, user, model, *rest = out.pop("messages")
    assert system == {"role": "system", "content": "be good"}
    assert [part["type"] for part in user["content"]] == ["text", "image_url"]
    assert model["content"] == "ok" and [c["id"] for c in model["tool_calls"]] == ["call_1", "call_2", "x"]
    assert [(m["tool_call_id"], m["content"]) for m in rest[:3]] == [("call_1", "one"), ("x", '{"n":1}'), ("call_2", "two")]
    assert rest[3] == {"role": "user", "content": [{"type": "text", "text": "on"}]}
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    assert out == {
        "stream": True, "stream_options": {"include_usage": True}, "max_tokens": 9, "temperature": 0, "tool_choice": "required",
        "tools": [{"type": "function", "function": {"name": "f", "description": "", "parameters": schema}}],
    }  # fmt: skip


def test_what_only_gemini_understands_cannot_be_told() -> None:
    content = {"role": "user", "parts": [{"fileData": {"fileUri": "gs://x"}}]}
    with pytest.raises(WireError, match="fileData cannot be told"):
        as_chat({"contents": [content]}, False)
    assert not tellable("gemini", content) and tellable("gemini", {"parts": [{"text": "x"}, call("f")]})


def calling(call: dict[str, Any]) -> dict[str, Any]:
    return {"choices": [{"delta": {"tool_calls": [call]}}]}


def test_the_answer_has_whole_calls_with_the_stand_in_signature_and_the_usage_at_its_end() -> None:
    out = Geminis("claude-haiku-5-5")
    usage = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14, "prompt_tokens_details": {"cached_tokens": 6},
             "completion_tokens_details": {"reasoning_tokens": 1}}  # fmt: skip
    made = b"".join([
        out.event({"choices": [{"delta": {"content": "I "}}]}), out.event({"choices": [{"delta": {"reasoning_content": "hm"}}]}),
        out.event(calling({"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x"'}})),
        out.event(calling({"index": 0, "function": {"arguments": ":1}"}})),
        out.event({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}),
        out.event({"choices": [], "usage": usage}), out.end(),
    ])  # fmt: skip
    events = [json.loads(line[6:]) for line in made.split(b"\n") if line]
    assert [e["candidates"][0]["content"]["parts"] for e in events] == [
        [{"text": "I "}],
        [{"functionCall": {"id": "a", "name": "f", "args": {"x": 1}}, "thoughtSignature": BYPASS}],
    ]
    assert events[-1]["candidates"][0]["finishReason"] == "STOP" and "usageMetadata" not in events[0]
    assert events[-1]["usageMetadata"] == {
        "promptTokenCount": 10, "cachedContentTokenCount": 6, "candidatesTokenCount": 3, "thoughtsTokenCount": 1,
        "totalTokenCount": 14,
    }  # fmt: skip
    tap = Tap("gemini")
    tap.feed(made)
    assert tap.complete and tap.usage is not None and (tap.usage.prompt, tap.usage.cache_read) == (10, 6)


def test_an_answer_that_is_no_stream() -> None:
    message = {"content": "ok", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]}
    made = json.loads(Geminis("m").whole({"choices": [{"message": message, "finish_reason": "length"}]}))
    assert made["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert [list(part)[0] for part in made["candidates"][0]["content"]["parts"]] == ["text", "functionCall"]
