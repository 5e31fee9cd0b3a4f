"""A request as another vendor may see it, what is fitted to its model, and the answer in the client's own words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.core.targets import Target
from pointsman.errors import WireError
from pointsman.wire.foreign import for_other_vendor
from pointsman.wire.natives import fit
from pointsman.wire.pairing import MISSING, call_id
from pointsman.wire.reasoning import LEAST, Overheard, Thoughts, given_back
from pointsman.wire.spoken import speaker
from pointsman.wire.tellable import tellable

MARK = {"cache_control": {"type": "ephemeral"}}


def messages(*history: dict[str, Any], **more: Any) -> dict[str, Any]:
    return for_other_vendor("messages", {"model": "m", "max_tokens": 9, "messages": list(history), **more})


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def said(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def use(id: str, **input: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": "Bash", "input": input}


def result(id: str, content: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id, "content": content}


def test_what_only_the_clients_vendor_understands_is_left_out() -> None:
    system = [{"type": "text", "text": "x-anthropic-billing-header: cc_version=2"}, {**text("be good"), **MARK}]
    tools = [{"name": "Bash", "input_schema": {"type": "object"}, **MARK}, {"type": "web_search_20250305", "name": "web_search"},
             {"name": "DeferredToolPlaceholder", "input_schema": {}, "defer_loading": True}]  # fmt: skip
    out = messages(
        user({**text("go"), **MARK}),
        said({"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "redacted_thinking", "data": "x"}, text("ok")),
        {"role": "system", "content": "Today is Sunday."}, user(text("on")),
        system=system, tools=tools, metadata={"user_id": "u"}, thinking={"type": "adaptive"}, service_tier="auto",
        context_management={"edits": []}, output_config={"effort": "high"}, brand_new_field=1,
    )  # fmt: skip
    assert out == {
        "model": "m", "max_tokens": 9, "system": [text("be good")],
        "tools": [{"name": "Bash", "input_schema": {"type": "object"}}],
        "messages": [user(text("go")), said(text("ok")),
                     user(text("<system-reminder>\nToday is Sunday.\n</system-reminder>")), user(text("on"))],
    }  # fmt: skip


def test_results_stand_first_and_in_the_order_of_their_calls() -> None:
    out = messages(user(text("go")), said(use("a"), use("b")), user(text("by the way"), result("b", "two"), result("a", "one")))
    assert out["messages"][2] == user(result("a", [text("one")]), result("b", [text("two")]), text("by the way"))


def test_duplicate_orphan_and_unanswered_calls_are_paired() -> None:
    out = messages(
        user(text("go")), said(use("a", n=1)), user(result("a", "one")), said(use("a", n=2), use("c")), user(result("a", "two")),
        user(result("nobody", "lost")), said(use("d")), said(text("interrupted")), user(text("on")),
    )["messages"]  # fmt: skip
    calls = [block["id"] for message in out for block in message["content"] if block["type"] == "tool_use"]
    results = [block["tool_use_id"] for message in out for block in message["content"] if block["type"] == "tool_result"]
    assert len(set(calls)) == len(calls) == 4 and results == calls
    assert [text("[Result of an earlier tool call]"), text("lost")] in [m["content"] for m in out]
    assert [result(calls[2], [text(MISSING)])[key] for key in ("tool_use_id",)] == [calls[2]]


def test_server_tools_become_text_without_what_is_encrypted() -> None:
    out = messages(user(text("go")), said(
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "points"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1",
         "content": [{"type": "web_search_result", "url": "https://a.example", "title": "A", "encrypted_content": "SECRET"}]},
    ))  # fmt: skip
    words = "\n".join(block["text"] for block in out["messages"][1]["content"])
    assert '"query":"points"' in words and "https://a.example" in words and "SECRET" not in words


def test_an_unknown_block_cannot_be_told() -> None:
    hologram = user({"type": "hologram", "data": "x"})
    with pytest.raises(WireError, match="'hologram' cannot be told"):
        messages(hologram)
    assert not tellable("messages", hologram) and tellable("messages", user(text("x")))
    assert not tellable("responses", {"type": "computer_call", "action": {}})
    assert not tellable("responses", {"type": "compaction", "encrypted_content": "x"}), "nobody else can read what it stands for"
    assert tellable("responses", {"type": "reasoning", "encrypted_content": "x"})
    assert not tellable("chat", {"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]})


FILE = {"type": "file", "file_id": "file_1"}


@pytest.mark.parametrize(("protocol", "body"), [
    ("messages", {"messages": [user({"type": "document", "source": FILE})]}),
    ("messages", {"messages": [user(result("a", [{"type": "image", "source": FILE}]))]}),
    ("chat", {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file_1"}}]}]}),
    ("responses", {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "file_1"}]}]}),
    ("responses", {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file_1"}]}]}),
])  # fmt: skip
def test_a_file_that_its_vendor_keeps_cannot_be_told(protocol: Any, body: dict[str, Any]) -> None:
    with pytest.raises(WireError, match="keeps cannot be told"):
        for_other_vendor(protocol, {"model": "m", **body})
    item = next(iter(body.values()))[0]
    inside = protocol == "messages" and item["content"][0]["type"] == "tool_result"
    assert tellable(protocol, item) == inside, "it is vetoed before it is chosen; inside a result it is found when it is told"
    whole = {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="}
    assert tellable("responses", {"role": "user", "content": [whole]})


def test_a_choice_among_tools_of_the_vendors_own_is_nobody_elses() -> None:
    tools = [{"type": "web_search"}, {"type": "function", "name": "f", "parameters": {}}]
    for choice, left in (("required", "required"), ({"type": "web_search"}, None),
                         ({"type": "function", "name": "f"}, {"type": "function", "name": "f"})):  # fmt: skip
        out = for_other_vendor("responses", {"model": "m", "input": "x", "tools": tools, "tool_choice": choice})
        assert out.get("tool_choice") == left
    with pytest.raises(WireError, match="before 2024"):
        for_other_vendor("chat", {"model": "m", "messages": [{"role": "function", "name": "f", "content": "x"}]})


def test_an_id_made_for_a_duplicate_is_nobody_elses_either() -> None:
    answers = user(*[result("a", str(n)) for n in range(3)])
    out = messages(user(text("go")), said(use("a"), use("a"), use("a_2"), use("a")), answers)
    calls = [block["id"] for block in out["messages"][1]["content"]]
    results = out["messages"][2]["content"]
    assert calls == ["a", "a_2", "a_2_2", "a_3"] and [block["tool_use_id"] for block in results] == calls
    assert [block["content"][0]["text"] if isinstance(block["content"], list) else block["content"] for block in results] == [
        "0", "1", MISSING, "2",
    ]  # fmt: skip


@pytest.mark.parametrize("given", ["not json", "[1]", '{"a": 1', "null"])
def test_arguments_that_broke_off_are_the_value_of_an_object(given: str) -> None:
    items = [{"type": "function_call", "call_id": "a", "name": "f", "arguments": given}]
    told = for_other_vendor("responses", {"model": "m", "input": items})["input"][0]["arguments"]
    assert json.loads(told) == {"arguments": given}
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": given}}
    chat = for_other_vendor("chat", {"model": "m", "messages": [{"role": "assistant", "tool_calls": [call]}]})
    assert json.loads(chat["messages"][0]["tool_calls"][0]["function"]["arguments"]) == {"arguments": given}
    block = said({"type": "tool_use", "id": "a", "name": "f", "input": given})
    assert messages(user(text("go")), block)["messages"][1]["content"][0]["input"] == {"arguments": given}


def test_ids_are_canonical_and_the_same_everywhere() -> None:
    assert call_id("toolu_01AbC") == "toolu_01AbC" and call_id("call_9-x_Y") == "call_9-x_Y"
    odd = call_id("functions.Bash:0")
    assert odd.startswith("call_") and odd == call_id("functions.Bash:0") != call_id("functions.Bash:1")
    assert len(call_id("x" * 65)) <= 64 and len(call_id("call_1__thought__" + "q/+=" * 200)) <= 64


def test_chat_and_responses_lose_what_is_their_vendors_own() -> None:
    chat = for_other_vendor("chat", {
        "model": "m", "user": "u", "metadata": {"a": "b"}, "store": True, "reasoning_effort": "high", "messages": [
            {"role": "developer", "content": "rules"}, {"role": "user", "content": [{**text("go"), **MARK}]},
            {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}, "index": 0}]},
            {"role": "tool", "tool_call_id": "z", "content": "lost"}, {"role": "user", "content": "on"},
        ],
    })  # fmt: skip
    assert chat == {"model": "m", "messages": [
        {"role": "system", "content": "rules"}, {"role": "user", "content": "go"},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "a", "content": MISSING},
        {"role": "user", "content": "[Result of an earlier tool call]\nlost"}, {"role": "user", "content": "on"},
    ]}  # fmt: skip
    out = for_other_vendor("responses", {
        "model": "m", "store": False, "include": ["x"], "prompt_cache_key": "k", "client_metadata": {"a": "b"},
        "reasoning": {"effort": "high"}, "tools": [{"type": "web_search"}, {"type": "function", "name": "f", "parameters": {}}],
        "tool_choice": "auto", "input": [
            {"type": "message", "role": "user", "id": "msg_1", "content": [{"type": "input_text", "text": "go"}]},
            {"type": "reasoning", "encrypted_content": "x"}, {"type": "configuration_update", "reasoning": {"effort": "low"}},
            {"type": "function_call", "id": "fc_1", "call_id": "a", "name": "f", "arguments": "{}"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "so"}]},
            {"type": "function_call_output", "call_id": "a", "output": [{"type": "input_text", "text": "done"}]},
        ],
    })  # fmt: skip
    assert out == {
        "model": "m", "tools": [{"type": "function", "name": "f", "parameters": {}}], "tool_choice": "auto", "input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "go"}]},
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "so"}]},
            {"type": "function_call_output", "call_id": "a", "output": "done"},
        ],
    }  # fmt: skip
    with pytest.raises(WireError, match="kept by the client's own vendor"):
        for_other_vendor("responses", {"model": "m", "input": [], "previous_response_id": "resp_1"})


BLOCKS = st.sampled_from([text("a"), text("b"), use("x"), use("y"), result("x", "1"), result("y", "2"), result("z", "3")])
HISTORY = st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.lists(BLOCKS, max_size=4)), max_size=8)


@given(HISTORY)
def test_whatever_a_third_tool_left_behind_calls_are_paired_and_a_longer_history_begins_as_the_shorter(
    history: list[tuple[str, list[dict[str, Any]]]],
) -> None:
    """Append-only: what was sent of a history stays as it was, message by message, when the client adds to it."""
    turns = [{"role": role, "content": [b for b in blocks if role == "user" or b["type"] != "tool_result"]}
             for role, blocks in history]  # fmt: skip
    turns = [{**t, "content": [b for b in t["content"] if t["role"] == "assistant" or b["type"] != "tool_use"]} for t in turns]
    whole = messages(*turns)["messages"]
    waiting: set[str] = set()
    for message in whole:
        for block in message["content"]:
            if block["type"] == "tool_use":
                assert block["id"] not in waiting
                waiting.add(block["id"])
            elif block["type"] == "tool_result":
                waiting.remove(block["tool_use_id"])
    for n in range(len(turns)):
        if turns[n]["role"] == "user":
            part = messages(*turns[: n + 1])["messages"]
            assert whole[: len(part)] == part


CHAT_CALLS = [{"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}} for id in "xy"]
CHAT = st.sampled_from([
    {"role": "user", "content": "on"}, {"role": "assistant", "content": "so"},
    {"role": "assistant", "content": None, "tool_calls": CHAT_CALLS},
    {"role": "assistant", "content": "", "tool_calls": CHAT_CALLS[:1]},
    *({"role": "tool", "tool_call_id": id, "content": id} for id in "xyz"),
])  # fmt: skip


@given(st.lists(CHAT, max_size=9))
def test_so_it_is_in_chat_completions(history: list[dict[str, Any]]) -> None:
    """A request ends where the model speaks next: what it had been told then it is told ever after."""
    whole = for_other_vendor("chat", {"model": "m", "messages": history})["messages"]
    for n in range(1, len(history)):
        if history[n]["role"] == "assistant" and history[n - 1]["role"] != "assistant":
            part = for_other_vendor("chat", {"model": "m", "messages": history[:n]})["messages"]
            assert whole[: len(part)] == part
            opened = [call["id"] for message in part for call in message.get("tool_calls", ())]
            assert sorted(opened) == sorted(message["tool_call_id"] for message in part if message["role"] == "tool")


# ---- fitted to its model

CLAUDE = Target("claude-haiku-5-5", "anthropic", True, thinking=("adaptive", "none"), efforts=("low", "high"), sampling=False,
                max_output=64_000)  # fmt: skip
LUNA = Target("gpt-6-luna", "openai", True, efforts=("low", "high"), sampling=False, max_output=1_000)


def test_an_openai_model_gets_its_effort_its_limit_and_a_cache_key_and_no_user() -> None:
    body = {"model": "x", "input": [], "user": "u", "max_output_tokens": 5_000, "temperature": 0.5,
            "reasoning": {"effort": "max"}}  # fmt: skip
    assert fit("responses", body, LUNA, "high", "pm-1", True) == {
        "model": "gpt-6-luna", "input": [], "max_output_tokens": 1_000, "store": False, "stream": True,
        "include": ["reasoning.encrypted_content"], "prompt_cache_key": "pm-1", "reasoning": {"effort": "high"},
    }  # fmt: skip


def test_a_claude_model_gets_its_thinking_and_cache_marks() -> None:
    body = {"model": "x", "system": [text("s")], "messages": [user(text("a"), text("b"))], "temperature": 0.5,
            "tool_choice": {"type": "auto"}}  # fmt: skip
    assert fit("messages", body, CLAUDE, "low", "pm-1", False) == {
        "model": "claude-haiku-5-5", "max_tokens": 32_000, "system": [{**text("s"), **MARK}],
        "messages": [user(text("a"), {**text("b"), **MARK})], "thinking": {"type": "adaptive"},
        "output_config": {"effort": "low"},
    }  # fmt: skip
    old = Target("claude-haiku-4-5", "anthropic", True, thinking=("enabled", "none"), max_output=64_000)
    first = fit("messages", {"max_tokens": 5_000, "messages": [user(text("a"))]}, old, None, "k", False)
    assert first["thinking"] == {"type": "enabled", "budget_tokens": 4_999}
    loop = [user(text("a")), said(use("x")), user(result("x", "1"))]
    assert "thinking" not in fit("messages", {"max_tokens": 5_000, "messages": loop}, old, None, "k", False)
    loop[1] = said({"type": "thinking", "thinking": "", "signature": "s"}, use("x"))
    assert "thinking" in fit("messages", {"max_tokens": 5_000, "messages": loop}, old, None, "k", False)


def test_gemini_gets_the_documented_spelling_but_keeps_the_tools_own_words() -> None:
    target = Target("gemini-4-argon", "google", True, efforts=("low", "medium", "high"), max_output=100)
    body = {
        "contents": [{"role": "model", "parts": [{"function_call": {"name": "f", "args": {"function_call": 1}}}]}],
        "system_instruction": {"parts": []}, "tools": [{"function_declarations": [{"parameters": {"top_p": {}}}]}],
        "generationConfig": {"max_output_tokens": 900},
    }  # fmt: skip
    assert fit("gemini", body, target, "xhigh", "k", True) == {
        "contents": [{"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"function_call": 1}}}]}],
        "systemInstruction": {"parts": []}, "tools": [{"functionDeclarations": [{"parameters": {"top_p": {}}}]}],
        "generationConfig": {"maxOutputTokens": 100, "thinkingConfig": {"thinkingLevel": "high"}},
    }  # fmt: skip


# ---- reasoning kept apart


def test_reasoning_is_overheard_and_given_back_before_its_call() -> None:
    thoughts = Thoughts()
    heard = Overheard("responses", "gpt-6-luna", thoughts)
    for item in ({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "E"}, {"type": "message"},
                 {"type": "function_call", "call_id": "a"}, {"type": "function_call", "call_id": "b"}):  # fmt: skip
        heard.event({"type": "response.output_item.done", "item": item})
    items = [{"type": "message", "role": "user"}, {"type": "message", "role": "assistant"},
             {"type": "function_call", "call_id": "a"}, {"type": "function_call", "call_id": "b"},
             {"type": "function_call_output", "call_id": "a"}]  # fmt: skip
    back = given_back("responses", {"input": list(items)}, "gpt-6-luna", "openai", thoughts)["input"]
    assert [item["type"] for item in back][:3] == ["message", "reasoning", "message"] and len(back) == len(items) + 1
    other = given_back("responses", {"input": list(items)}, "gpt-6.1-sol", "openai", thoughts)["input"]
    assert other == items, "another model's reasoning is not given to this one"


def test_a_vendor_that_insists_gets_the_least_it_accepts() -> None:
    thoughts = Thoughts()
    heard = Overheard("chat", "deepseek-v4-pro", thoughts)
    for delta in ({"reasoning_content": "so "}, {"reasoning_content": "then"}, {"tool_calls": [{"index": 0, "id": "a"}]}):
        heard.event({"choices": [{"delta": delta}]})
    history = [{"role": "assistant", "content": "x"}, {"role": "assistant", "tool_calls": [{"id": "a"}]}]
    back = given_back("chat", {"messages": history}, "deepseek-v4-pro", "deepseek", thoughts)["messages"]
    assert [m["reasoning_content"] for m in back] == [LEAST, "so then"]
    plain = given_back("chat", {"messages": [{"role": "assistant", "content": "x"}]}, "glm-5.3", "zai", thoughts)["messages"]
    assert "reasoning_content" not in plain[0]


def test_claudes_thinking_comes_back_whole_and_signed() -> None:
    thoughts = Thoughts()
    heard = Overheard("messages", "claude-haiku-5-5", thoughts)
    for event in (
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "SIG"}},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "toolu_1"}},
    ):
        heard.event(event)
    back = given_back("messages", {"messages": [said(use("toolu_1"))]}, "claude-haiku-5-5", "anthropic", thoughts)["messages"]
    assert back[0]["content"][0] == {"type": "thinking", "thinking": "hm", "signature": "SIG"}


def test_thoughts_are_forgotten_from_the_oldest_on() -> None:
    thoughts = Thoughts(limit=1_000)
    for n in range(10):
        thoughts.keep("m", f"c{n}", "x" * 200)
    assert thoughts.of("m", "c0") is None and thoughts.of("m", "c9") == "x" * 200


# ---- spoken in the client's words


def lines(*parts: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for part in parts for line in part.split(b"\n") if line.startswith(b"data: {")]


def test_a_messages_stream_has_no_foreign_thinking_and_the_estimate_at_its_start() -> None:
    out = speaker("messages", "gpt-6-luna", 1_234, 1_200)
    made = [out.event(event) for event in (
        {"type": "message_start", "message": {"id": "m", "model": "x", "usage": {"input_tokens": 0}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "functions.f:0", "name": "f"}},
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"},
         "usage": {"input_tokens": 3, "cache_creation_input_tokens": 7, "cache_read_input_tokens": 1_220, "output_tokens": 5}},
        {"type": "message_stop"},
    )]  # fmt: skip
    events = lines(*made)
    assert [e["type"] for e in events] == [
        "message_start", "content_block_start", "content_block_stop", "message_delta", "message_stop"]
    assert events[0]["message"]["usage"]["input_tokens"] == 34 and events[0]["message"]["model"] == "gpt-6-luna"
    assert events[0]["message"]["usage"]["cache_read_input_tokens"] == 1_200
    assert events[1]["index"] == events[2]["index"] == 0
    assert events[1]["content_block"]["id"] == call_id("functions.f:0")
    assert events[3]["usage"] == {"input_tokens": 10, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 1_220,
                                  "output_tokens": 5}  # fmt: skip


def test_a_responses_stream_tells_one_item_after_the_other() -> None:
    out = speaker("responses", "claude-haiku-5-5", 0)

    def event(kind: str, place: int | None = None, **more: Any) -> bytes:
        return out.event({"type": f"response.{kind}", **({"output_index": place} if place is not None else {}), **more})

    made = [
        event("created", response={"id": "r", "output": []}),
        event("output_item.added", 0, item={"type": "reasoning"}), event("reasoning_summary_text.delta", 0, delta="hm"),
        event("output_item.done", 0, item={"type": "reasoning"}),
        event("output_item.added", 1, item={"type": "message"}), event("output_text.delta", 1, delta="I run it."),
        event("output_item.added", 2, item={"type": "function_call", "call_id": "toolu:1"}),
        event("output_item.done", 2, item={"type": "function_call", "call_id": "toolu:1"}),
        event("output_item.done", 1, item={"type": "message"}),
        event("completed", response={"output": [{"type": "reasoning"}, {"type": "message"}], "usage": {"input_tokens": 2}}),
    ]
    events = lines(*made)
    assert [(e["type"].removeprefix("response."), e.get("output_index")) for e in events] == [
        ("created", None), ("output_item.added", 0), ("output_text.delta", 0), ("output_item.done", 0),
        ("output_item.added", 1), ("output_item.done", 1), ("completed", None),
    ]  # fmt: skip
    assert [e["sequence_number"] for e in events] == list(range(7))
    assert events[-1]["response"]["output"] == [{"type": "message"}] and events[-2]["item"]["call_id"] == call_id("toolu:1")


def test_a_chat_stream_says_usage_only_where_it_was_asked_for() -> None:
    counts = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "cost": 1}
    usage = {"choices": [{"index": 0, "delta": {}}], "usage": counts}
    thinking = {"id": "c", "choices": [{"index": 0, "delta": {"reasoning_content": "hm", "thinking_blocks": []}}]}
    quiet, asked = speaker("chat", "m", 0), speaker("chat", "m", 0, usage_wanted=True)
    assert quiet.event(usage) == b"" and quiet.event(thinking) == b"" and quiet.end() == b"data: [DONE]\n\n"
    assert lines(asked.event(usage))[0]["usage"] == {
        "prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0},
    }  # fmt: skip


def test_tools_in_namespaces_are_offered_by_name_and_their_calls_name_the_namespace_again() -> None:
    body = {"model": "m", "tools": [{"type": "function", "name": "f"}], "input": [
        {"type": "additional_tools", "tools": [
            {"type": "namespace", "name": "functions", "tools": [{"type": "custom", "name": "exec"}]}]},
        {"type": "message", "role": "user", "content": "go"},
        {"type": "custom_tool_call", "call_id": "a", "name": "exec", "namespace": "functions", "input": "ls"},
        {"type": "custom_tool_call_output", "call_id": "a", "output": "x"},
        {"type": "agent_message", "author": "/a", "recipient": "/b", "content": [{"type": "input_text", "text": "done"}]},
    ]}  # fmt: skip
    out = for_other_vendor("responses", body)
    assert [tool["name"] for tool in out["tools"]] == ["f", "exec"]
    assert [item["type"] for item in out["input"]] == ["message", "custom_tool_call", "custom_tool_call_output", "message"]
    assert "namespace" not in out["input"][1] and out["input"][3]["role"] == "user"
    spoken = speaker("responses", "m", 0, spaces={"exec": "functions"})
    item = {"type": "custom_tool_call", "call_id": "b", "name": "exec", "input": "ls"}
    made = lines(spoken.event({"type": "response.output_item.done", "output_index": 0, "item": item}))
    assert made[0]["item"]["namespace"] == "functions"
    secret = {"type": "agent_message", "content": [{"type": "encrypted_content", "encrypted_content": "x"}]}
    assert not tellable("responses", secret)
