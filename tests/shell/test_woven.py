"""Woven answers, whatever chunks the provider's bytes come in: the same client stream, the same bill."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from pointsman.core.types import Protocol
from pointsman.sandbox.answering import SPEAKERS
from pointsman.sandbox.answers import events
from pointsman.sandbox.reply import Answer, Bill, Call, Reply, Text, Thinking
from pointsman.shell.woven import WovenEvents, WovenWhole
from pointsman.wire import Tap
from pointsman.wire.consulting import continued
from pointsman.wire.gemini import BYPASS
from pointsman.wire.splice import open_body

ASK = Call("consult_advisor", {"question": "which way, and why? ünï"})
WORK = Call("shell", {"command": "ls"})
PROTOCOLS: tuple[Protocol, ...] = ("messages", "chat", "responses", "gemini")


def answer(protocol: Protocol, *parts: Any, seed: str = "s") -> Answer:
    vendor = {"messages": "anthropic", "gemini": "google"}.get(protocol, "deepseek")
    return Answer(Reply(parts), Bill(fresh=10, read=100, output=20), "m", vendor, seed, 1)


def stream(protocol: Protocol, *parts: Any, seed: str = "s") -> bytes:
    return b"".join(frame.data for frame in SPEAKERS[protocol].frames(answer(protocol, *parts, seed=seed)))


def fed(listener: WovenEvents, data: bytes, dice: random.Random | None = None) -> bytes:
    out, at = b"", 0
    while at < len(data):
        end = len(data) if dice is None else at + dice.randint(1, 90)
        now, last = listener.feed(data[at:end])
        out, at = out + now + last, end
    return out


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("parts", [(Text("Words."), WORK), (Thinking("hm"), Text("a"), WORK, WORK), (Text("only words"),), ()])
def test_without_a_call_every_byte_passes(protocol: Protocol, parts: tuple[Any, ...]) -> None:
    data = stream(protocol, *parts)
    for seed in range(20):
        listener = WovenEvents(protocol, "m")
        assert fed(listener, data, random.Random(seed)) + listener.rest() == data
        assert not listener.asking and listener.joined is None and not listener.cut


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("before", [(), (Text("I ask."),), (Thinking("hm"), Text("I ask. ünï"))])
def test_chunks_do_not_matter(protocol: Protocol, before: tuple[Any, ...]) -> None:
    first, second = stream(protocol, *before, ASK), stream(protocol, Thinking("so"), Text("Now."), WORK, seed="t")
    found = set()
    for seed in range(20):
        dice, listener = random.Random(seed), WovenEvents(protocol, "m")
        out = fed(listener, first, dice)
        assert listener.asking and listener.cut and listener.stop is None
        called = listener.resume()
        assert json.loads(called.arguments) == ASK.arguments and not called.joined
        out += fed(listener, second, dice) + listener.rest()
        assert not listener.asking and not listener.cut and listener.stop == "tool"
        usage = listener.usage
        assert usage is not None and usage.cache_read == 100 and [part.cache_read for _, part in usage.extra] == [100]
        found.add(out)
    assert len(found) == 1
    assert b"consult_advisor" not in next(iter(found))


def test_indexes_and_numbers_run_through() -> None:
    listener = WovenEvents("responses", "m")
    out = fed(listener, stream("responses", Text("a"), ASK))
    listener.resume()
    out += fed(listener, stream("responses", Text("b"), WORK, seed="t"))
    values = list(events(out.decode()))
    assert [value["sequence_number"] for value in values] == list(range(len(values)))
    assert [v["output_index"] for v in values if v["type"] == "response.output_item.done"] == [0, 1, 2]
    done = values[-1]["response"]
    assert [item["type"] for item in done["output"]] == ["message", "message", "function_call"]
    assert done["usage"]["input_tokens"] == 110 and done["usage"]["output_tokens"] == 40
    assert done["id"] == values[0]["response"]["id"]


def test_a_call_between_tools_of_the_client_is_taken_out() -> None:
    listener = WovenEvents("chat", "m")
    out = fed(listener, stream("chat", Text("a"), WORK, ASK, Call("read", {"path": "x"})))
    deltas = [choice["delta"] for value in events(out.decode()) for choice in value["choices"]]
    calls = [call for delta in deltas for call in delta.get("tool_calls", ()) if call.get("id")]
    assert [(c["index"], c["function"]["name"]) for c in calls] == [(0, "shell"), (1, "read")]
    assert listener.joined is not None and listener.joined.parts == ("tool_call",)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_answer_that_is_no_stream(protocol: Protocol) -> None:
    def body(*parts: Any, seed: str = "s") -> bytes:
        return json.dumps(SPEAKERS[protocol].body(answer(protocol, *parts, seed=seed))).encode()

    plain = WovenWhole(protocol, "m")
    plain.feed(body(Text("a"), WORK))
    plain.ended()
    assert plain.rest() == body(Text("a"), WORK)
    asking = WovenWhole(protocol, "m")
    asking.feed(body(Text("I ask."), ASK))
    asking.ended()
    assert asking.asking
    asking.resume()
    asking.feed(body(Text("Now."), WORK, seed="t"))
    asking.ended()
    text = asking.rest().decode()
    assert "consult_advisor" not in text and "I ask." in text and "Now." in text and "shell" in text


def test_a_name_that_comes_with_every_piece_is_one_call() -> None:
    """Chat Completions tells a function's name once; some servers repeat it with every piece of its arguments."""
    named = [{"name": "consult_advisor", "arguments": part} for part in ('{"question"', ': "q"}')]
    deltas = [({"tool_calls": [{"index": 0, "id": "c1", "function": piece}]}, None) for piece in named] + [({}, "tool_calls")]
    chunks = [{"id": "x", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]} for delta, reason in deltas]
    listener = WovenEvents("chat", "m")
    assert fed(listener, b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)) == b""
    assert listener.asking and listener.weave.called is not None and listener.weave.called.arguments == '{"question": "q"}'


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_cannot_be_read_passes(protocol: Protocol) -> None:
    listener = WovenEvents(protocol, "m")
    data = b': comment\n\ndata: not json\n\nevent: odd\ndata: [1,2]\n\ndata: {"type":5}\n\n'
    assert fed(listener, data) + listener.rest() == data
    whole = WovenWhole(protocol, "m")
    whole.feed(b"<html>")
    whole.ended()
    assert whole.rest() == b"<html>" and whole.problem


def test_the_request_that_goes_on_repeats_the_answer_and_marks_the_result() -> None:
    mark = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    said = [{"role": "user", "content": [{"type": "text", "text": "a", **mark}]}]
    body = json.dumps({"messages": said, "max_tokens": 5}).encode()
    listener = WovenEvents("messages", "m")
    fed(listener, stream("messages", Thinking("hm"), Text("I ask."), ASK))
    called = listener.resume()
    out = continued("messages", body, called.before, called.advice("Do X."))
    sent = json.loads(out)["messages"]
    assert [b["type"] for b in sent[1]["content"]] == ["thinking", "text", "tool_use"] and sent[1]["content"][0]["signature"]
    assert sent[2]["content"][0]["content"] == "Do X." and sent[2]["content"][0]["cache_control"] == mark["cache_control"]
    assert open_body(out).fields["max_tokens"] == open_body(body).fields["max_tokens"]
    full = body.replace(b'"max_tokens"', b'"x": ["cache_control", "cache_control", "cache_control"], "max_tokens"')
    sent = json.loads(continued("messages", full, called.before, called.advice("Do X.")))["messages"]
    assert "cache_control" not in json.dumps(sent[1:]), "four marks are all that a request may carry"


def gemini(*parts: dict[str, Any], finish: str | None = None, prompt: int = 100, out: int = 5) -> dict[str, Any]:
    """A chunk of Google's, or a whole answer."""
    candidate = {"content": {"role": "model", "parts": list(parts)}, **({"finishReason": finish} if finish else {})}
    used = {"promptTokenCount": prompt, "candidatesTokenCount": out, "thoughtsTokenCount": 2, "totalTokenCount": prompt + out + 2}
    return {"candidates": [candidate], "usageMetadata": used, "modelVersion": "m"}


OURS = {"functionCall": {"name": "consult_advisor", "args": {"question": "?"}}, "thoughtSignature": "c2ln"}
THEIRS = {"functionCall": {"name": "shell", "args": {"command": "ls"}}}


def lines(*chunks: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n" for chunk in chunks)


def test_gemini_ends_and_calls_in_one_chunk_and_its_words_are_not_held_back() -> None:
    listener = WovenEvents("gemini", "m")
    now, last = listener.feed(lines(gemini({"text": "I ask."}, OURS, finish="STOP")))
    (shown,) = events(now.decode())
    assert shown["candidates"] == [{"content": {"role": "model", "parts": [{"text": "I ask."}]}}] and last == b""
    called = listener.resume()
    assert (called.before, called.words, called.signature) == ([{"text": "I ask."}], 6, "c2ln")
    out = b"".join(listener.feed(lines(gemini({"text": "Now."}, finish="STOP", prompt=150, out=7))))
    used = list(events(out.decode()))[0]["usageMetadata"]
    assert used == {"promptTokenCount": 150, "candidatesTokenCount": 12, "thoughtsTokenCount": 4, "totalTokenCount": 166}


def test_gemini_the_clients_call_keeps_a_seal_where_ours_had_it() -> None:
    listener = WovenEvents("gemini", "m")
    out = b"".join(listener.feed(lines(gemini(OURS, THEIRS, finish="STOP"))))
    (part,) = list(events(out.decode()))[0]["candidates"][0]["content"]["parts"]
    assert part["thoughtSignature"] == BYPASS and listener.joined is not None and listener.joined.parts == ()
    other = WovenEvents("gemini", "m")
    out = b"".join(other.feed(lines(gemini({**THEIRS, "thoughtSignature": "eA=="}, OURS, finish="STOP"))))
    (part,) = list(events(out.decode()))[0]["candidates"][0]["content"]["parts"]
    assert part["thoughtSignature"] == "eA==" and other.joined is not None and other.joined.parts == ("functionCall",)


def test_gemini_an_array_of_chunks_is_woven_too() -> None:
    def body(*chunks: dict[str, Any]) -> bytes:
        return json.dumps(chunks).encode()

    plain = WovenWhole("gemini", "m")
    plain.feed(body(gemini({"text": "a"}), gemini(THEIRS, finish="STOP")))
    plain.ended()
    assert plain.rest() == body(gemini({"text": "a"}), gemini(THEIRS, finish="STOP"))
    asking = WovenWhole("gemini", "m")
    asking.feed(body(gemini({"text": "I ask."}), gemini(OURS, finish="STOP")))
    asking.ended()
    assert asking.asking
    asking.resume()
    asking.feed(body(gemini({"text": "Now."}), gemini(THEIRS, finish="STOP")))
    asking.ended()
    found = json.loads(asking.rest())
    parts = [part for chunk in found for part in chunk["candidates"][0]["content"]["parts"]]
    assert parts == [{"text": "I ask."}, {"text": "Now."}, THEIRS]
    assert [chunk["candidates"][0].get("finishReason") for chunk in found] == [None, None, "STOP"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_client_is_told_the_prompt_of_the_last_answer_and_the_output_of_all(protocol: Protocol) -> None:
    """A client takes the prompt it is told for its context: two answers' prompts would have it compact its history early."""
    listener = WovenEvents(protocol, "m", client="opencode")
    fed(listener, stream(protocol, Text("I ask."), ASK))
    listener.resume()
    tap = Tap(protocol)
    tap.feed(fed(listener, stream(protocol, Text("Now."), WORK, seed="t")))
    assert tap.usage is not None and (tap.usage.prompt, tap.usage.output) == (110, 40)
    assert listener.usage is not None and [part.prompt for _, part in listener.usage.extra] == [110], "the ledger has both"


def test_claude_code_is_told_the_sum_and_each_part() -> None:
    """It reckons its context from the last part, and its costs from their sum where that is the figure at the top."""
    listener = WovenEvents("messages", "m", client="claude")
    out = fed(listener, stream("messages", Text("I ask."), ASK))
    listener.resume()
    out += fed(listener, stream("messages", Text("Now."), WORK, seed="t"))
    usage = [e["usage"] for e in events(out.decode()) if e["type"] == "message_delta"][0]
    parts = usage["iterations"]
    for name in ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"):
        assert usage[name] == sum(part[name] for part in parts) and len(parts) == 2


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_events_of_an_unexpected_shape_pass_and_stop_nothing(protocol: Protocol) -> None:
    odd = [
        {"type": "content_block_start", "index": None, "content_block": 5}, {"choices": [5]}, {"choices": {"a": 1}},
        {"type": "response.output_item.done", "output_index": "x", "item": []}, {"candidates": [7]}, {"candidates": {"a": 1}},
        {"candidates": [{"content": {"parts": [{"functionCall": 5}]}}]}, {"type": "message_delta", "delta": 4, "usage": 3},
    ]  # fmt: skip
    data = b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in odd)
    listener = WovenEvents(protocol, "m")
    assert fed(listener, data) == data
    whole = WovenWhole(protocol, "m")
    whole.feed(json.dumps({"choices": [4], "candidates": [3], "output": [2], "content": 1, "status": "completed"}).encode())
    whole.ended()
    assert whole.rest()
