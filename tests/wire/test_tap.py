"""Listening to answers: byte-exact whatever the chunks, usage and endings of every protocol, never an exception."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.core.types import Protocol, Usage
from pointsman.errors import WireError
from pointsman.wire import Tap, read_json_response, response_headers


def event(name: str, **data: Any) -> bytes:
    """A named event, as Anthropic and Responses send them."""
    return f"event: {name}\ndata: {json.dumps({'type': name, **data}, ensure_ascii=False)}\n\n".encode()


def chunk(**data: Any) -> bytes:
    """An unnamed event, as Chat Completions and Gemini send them."""
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"


START = event(
    "message_start",
    message={
        "model": "claude-opus-5-5",
        "usage": {
            "input_tokens": 3,
            "cache_read_input_tokens": 900,
            "cache_creation_input_tokens": 40,
            "output_tokens": 1,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 40},
        },
    },
)
BLOCK = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
TEXT = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "naïve → 🎈"})
PING = event("ping")
DELTA = event("message_delta", delta={"stop_reason": "tool_use"}, usage={"input_tokens": 3, "output_tokens": 25})
STOP = event("message_stop")
ANTHROPIC = [START, PING, BLOCK, TEXT, b": keep-alive\n\n", DELTA, STOP]


def heard(protocol: Protocol, *chunks: bytes) -> Tap:
    """A tap that has heard these chunks, checked to have returned every byte."""
    tap = Tap(protocol)
    events = [event for piece in chunks for event in tap.feed(piece)]
    assert b"".join(events) + tap.rest() == b"".join(chunks)
    return tap


def test_anthropic_streams_tell_usage_model_and_ending() -> None:
    tap = heard("messages", *ANTHROPIC)
    assert tap.usage == Usage(fresh=3, cache_read=900, cache_write=((3_600, 40),), output=25)
    assert (tap.model, tap.stop, tap.complete, tap.error, tap.problem) == ("claude-opus-5-5", "tool", True, None, None)
    assert [tap.terminal(each) for each in ANTHROPIC] == [False] * 6 + [True]


def test_content_begins_with_the_first_block() -> None:
    tap = Tap("messages")
    started = []
    for each in ANTHROPIC:
        tap.feed(each)
        started.append(tap.content_started)
    assert started == [False, False, True, True, True, True, True]


@given(st.lists(st.integers(0, 2_000), max_size=30), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_any_chunking_gives_the_same_events_and_facts(cuts: list[int], newline: bytes) -> None:
    parts = [each.replace(b"\n", newline) for each in ANTHROPIC]
    stream = b"".join(parts)
    places = sorted({0, len(stream), *(cut % len(stream) for cut in cuts)})
    tap = Tap("messages")
    events = [each for start, end in pairwise(places) for each in tap.feed(stream[start:end])]
    assert events == parts and tap.rest() == b""
    assert (tap.usage, tap.stop, tap.complete) == (heard("messages", *ANTHROPIC).usage, "tool", True)


@given(st.lists(st.binary(max_size=40), max_size=12), st.sampled_from(["messages", "chat", "responses", "gemini"]))
def test_any_bytes_pass_unharmed(chunks: list[bytes], protocol: Protocol) -> None:
    tap = heard(protocol, *chunks)
    for piece in chunks:
        tap.terminal(piece)
    assert tap.usage is None


@given(
    st.sampled_from(["messages", "chat", "responses", "gemini"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "type",
                        "usage",
                        "choices",
                        "delta",
                        "response",
                        "output",
                        "message",
                        "error",
                        "candidates",
                        "content",
                        "parts",
                        "item",
                        "input_tokens",
                        "prompt_tokens",
                        "usageMetadata",
                        "promptTokenCount",
                        "iterations",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    ),
    st.sampled_from(["message_start", "message_delta", "error", "response.completed", "response.output_item.done", ""]),
)
def test_any_json_passes_unharmed(protocol: Protocol, value: Any, name: str) -> None:
    head = f"event: {name}\n" if name else ""
    tap = heard(protocol, f"{head}data: {json.dumps(value)}\n\n".encode())
    assert tap.usage is None or tap.usage.prompt >= 0
    assert tap.problem is None or tap.problem.endswith(".") is False


def test_an_event_of_more_than_a_megabyte_arrives_whole() -> None:
    big = event(
        "response.completed",
        response={
            "model": "gpt-5.5",
            "output": [{"type": "message", "text": "é" * 1_500_000}],
            "status": "completed",
            "usage": {"input_tokens": 5, "output_tokens": 2},
        },
    )
    pieces = [big[i : i + 65_536] for i in range(0, len(big), 65_536)]
    tap = Tap("responses")
    assert [e for piece in pieces for e in tap.feed(piece)] == [big]
    assert tap.usage == Usage(fresh=5, output=2, cache_reported=False) and tap.stop == "final" and tap.terminal(big)


def test_a_cut_stream_is_incomplete_and_its_usage_a_lower_bound() -> None:
    tap = heard("messages", START, BLOCK, TEXT[:40])
    assert (tap.complete, tap.stop) == (False, None)
    assert tap.usage == Usage(fresh=3, cache_read=900, cache_write=((3_600, 40),), output=1, complete=False)


def test_an_error_inside_the_stream_ends_it() -> None:
    oops = event("error", error={"type": "overloaded_error", "message": "Overloaded\nplease wait"})
    tap = heard("messages", START, oops)
    assert (tap.stop, tap.complete, tap.error) == ("error", True, "Overloaded please wait")
    assert tap.usage is not None and tap.usage.complete is False and tap.terminal(oops)
    assert heard("chat", chunk(error={"message": "bad gateway", "code": 502})).stop == "error"
    failed = event("response.failed", response={"status": "failed", "error": {"code": "server_is_overloaded", "message": "busy"}})
    assert (heard("responses", failed).error, heard("responses", failed).stop) == ("busy", "error")


def test_a_provider_that_reports_nothing_is_unknown_not_free() -> None:
    done = [chunk(model="m", choices=[{"delta": {"content": "hi"}, "finish_reason": "stop"}]), b"data: [DONE]\n\n"]
    assert heard("chat", *done).usage is None and heard("chat", *done).complete
    zeros = event("message_start", message={"model": "m", "usage": {"input_tokens": 0, "output_tokens": 0}})
    assert heard("messages", zeros, BLOCK, STOP).usage is None


def test_servers_that_open_with_zeros_report_at_the_end() -> None:
    zeros = event("message_start", message={"model": "glm-5.3", "usage": {"input_tokens": 0, "output_tokens": 0}})
    late = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"input_tokens": 70, "output_tokens": 9})
    assert heard("messages", zeros, BLOCK, late, STOP).usage == Usage(fresh=70, output=9)
    reverse = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"input_tokens": 0, "output_tokens": 9})
    assert heard("messages", START, BLOCK, reverse, STOP).usage == Usage(3, 900, ((3_600, 40),), 9)


def test_usage_that_contradicts_itself_is_a_problem_not_a_bill() -> None:
    tap = heard("messages", event("message_start", message={"model": "m", "usage": {"input_tokens": -5}}), STOP)
    assert tap.usage is None and tap.problem == "usage.input_tokens is -5: a number of tokens cannot be negative"


def test_chat_streams() -> None:
    events = [
        chunk(model="gpt-5.5", choices=[{"delta": {"role": "assistant", "content": ""}, "finish_reason": None}]),
        chunk(model="gpt-5.5", choices=[{"delta": {"tool_calls": [{"index": 0}]}, "finish_reason": None}]),
        chunk(model="gpt-5.5", choices=[{"delta": {}, "finish_reason": "tool_calls"}]),
        chunk(model="gpt-5.5", choices=[], usage={"prompt_tokens": 90, "completion_tokens": 4}),
        b"data: [DONE]\n\n",
    ]
    tap, started = Tap("chat"), []
    for each in events:
        tap.feed(each)
        started.append(tap.content_started)
    assert started == [False, True, True, True, True]
    bill = Usage(fresh=90, output=4, cache_reported=False)
    assert (tap.usage, tap.stop, tap.model, tap.complete) == (bill, "tool", "gpt-5.5", True)
    assert [tap.terminal(each) for each in events] == [False] * 4 + [True]


@pytest.mark.parametrize(
    ("status", "extra", "stop"),
    [
        ("completed", {"output": [{"type": "function_call"}]}, "tool"),
        ("completed", {"output": [{"type": "message", "content": [{"type": "refusal"}]}]}, "refusal"),
        ("completed", {"output": [{"type": "message", "content": [{"type": "output_text"}]}]}, "final"),
        ("incomplete", {"incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ("incomplete", {"incomplete_details": {"reason": "content_filter"}}, "refusal"),
    ],
)
def test_responses_endings(status: str, extra: dict[str, Any], stop: str) -> None:
    body = {"model": "gpt-5.5", "status": status, "usage": {"input_tokens": 8, "output_tokens": 2}, **extra}
    last = event(f"response.{status}", response=body)
    tap = heard("responses", event("response.created", response={"model": "gpt-5.5"}), last)
    bill = Usage(fresh=8, output=2, cache_reported=False)
    assert (tap.stop, tap.complete, tap.usage, tap.terminal(last)) == (stop, True, bill, True)
    assert read_json_response("responses", json.dumps(body).encode()) == (bill, "gpt-5.5", stop)


def test_tool_calls_seen_only_in_the_stream_count() -> None:
    item = event("response.output_item.done", item={"type": "custom_tool_call"})
    last = event("response.completed", response={"model": "m", "status": "completed", "output": []})
    tap = heard("responses", item, last)
    assert tap.stop == "tool" and tap.content_started and tap.usage is None


def test_gemini_streams_and_arrays() -> None:
    usage = {"promptTokenCount": 30, "candidatesTokenCount": 2}
    first = chunk(candidates=[{"content": {"parts": [{"functionCall": {"name": "x"}}]}}], modelVersion="gemini-2.5-pro")
    last = chunk(candidates=[{"content": {"parts": []}, "finishReason": "STOP"}], usageMetadata=usage)
    tap = heard("gemini", first, last)
    assert (tap.stop, tap.usage, tap.model, tap.complete) == ("tool", Usage(fresh=30, output=2), "gemini-2.5-pro", True)
    assert [tap.terminal(first), tap.terminal(last)] == [False, True]
    array = b"[" + first[6:].strip() + b"," + last[6:].strip() + b"]"
    assert read_json_response("gemini", array) == (Usage(fresh=30, output=2), "gemini-2.5-pro", "tool")


@pytest.mark.parametrize(("protocol", "events", "service"), [
    ("chat", [{"choices": [], "service_tier": "flex"}, {"choices": [], "service_tier": "flex"}], "flex"),
    ("chat", [{"choices": []}], ""), ("chat", [{"choices": [], "service_tier": 5}], ""),
    ("responses", [{"type": "response.completed", "response": {"status": "completed", "service_tier": "default"}}], "default"),
    ("messages", [{"type": "message_start", "message": {"usage": {"speed": "standard", "service_tier": "x"}}}], "standard"),
])
def test_the_service_that_ran_is_what_the_answer_says(protocol: Protocol, events: list[dict[str, Any]], service: str) -> None:
    tap = Tap(protocol)
    for event in events:
        tap.feed(b"data: " + json.dumps(event).encode() + b"\n\n")
    assert tap.told.service == service


def test_answers_that_are_no_stream() -> None:
    body = {"model": "claude-haiku-4-5", "stop_reason": "max_tokens", "usage": {"input_tokens": 4, "output_tokens": 8}}
    assert read_json_response("messages", json.dumps(body).encode()) == (Usage(fresh=4, output=8), "claude-haiku-4-5", "length")
    assert read_json_response("messages", b'{"input_tokens": 812}') == (None, None, "final"), "a token count bills nothing"
    error = b'{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long"}}'
    assert read_json_response("messages", error) == (None, None, "error")
    chat = {"model": "m", "choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 3}}
    assert read_json_response("chat", json.dumps(chat).encode()) == (Usage(fresh=3, cache_reported=False), "m", "final")


@pytest.mark.parametrize(
    ("body", "words"),
    [(b"<html>", "is not valid JSON"), (b"[]", "is an array"), (b'{"usage":{"input_tokens":-1}}', "cannot be negative")],
)
def test_a_broken_answer_is_one_sentence(body: bytes, words: str) -> None:
    with pytest.raises(WireError, match=words):
        read_json_response("messages", body)


def test_codex_is_not_frightened_by_a_header() -> None:
    headers = [("X-Request-Id", "r"), ("OpenAI-Model", "gpt-5.5-mini"), ("Retry-After", "3"), ("retry-after", "4")]
    kept = response_headers("responses", headers, "gpt-5.5", "gpt-5.5-mini")
    assert kept == [("X-Request-Id", "r"), ("Retry-After", "3"), ("retry-after", "4")]
    same = [("openai-model", "gpt-5.5")]
    assert response_headers("responses", same, "gpt-5.5", "gpt-5.5") == same


@pytest.mark.parametrize("protocol", ["chat", "gemini"])
def test_an_error_of_nothing_ends_nothing(protocol: Protocol) -> None:
    event = chunk(error=None, choices=[], candidates=[])
    tap = Tap(protocol)
    tap.feed(event)
    assert (tap.terminal(event), tap.stop) == (False, None)


def test_fields_behind_a_comment_are_an_event() -> None:
    """Some servers put their heartbeat into the event that follows it (the HTML standard allows comments on any line)."""
    tap = heard("messages", START, b": beat\n" + BLOCK, TEXT, b": beat\n: beat\n" + DELTA, b":\r\n\r\n", b": beat\n" + STOP)
    assert (tap.stop, tap.complete, tap.usage and tap.usage.output) == ("tool", True, 25)
    assert tap.terminal(b": beat\n" + STOP) and not tap.terminal(b": beat\n\n")


def test_what_a_provider_calls_itself_is_kept_short_and_printable() -> None:
    model = "m\x1b[2J" + "x" * 9_000
    tap = heard("chat", chunk(id="c", model=model, choices=[{"delta": {"content": "hi"}}]))
    assert tap.model is not None and tap.model.startswith("m?[2J") and len(tap.model) <= 300
    tap = heard("messages", event("error", error={"message": "no\x1b[2J\n" * 900}))
    assert tap.error is not None and tap.error.startswith("no?[2J no?") and len(tap.error) <= 200
