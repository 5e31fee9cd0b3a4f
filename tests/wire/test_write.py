"""Decisions into bytes: the same object where nothing was decided, and only what the chosen model needs where it was."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pointsman.core.targets import Target
from pointsman.core.types import Config
from pointsman.wire import read, write

EFFORTS = ("low", "medium", "high", "xhigh", "max")
OPUS = Target(
    "claude-opus-5-5", "anthropic", True, thinking=("adaptive", "always_on"), efforts=EFFORTS, sampling=False, forced_tool=False,
    system_messages=True, effort_messages=True, tool_reference=True, tools=True, fast=True, max_output=128_000,
)  # fmt: skip
SONNET45 = Target("claude-sonnet-4-5", "anthropic", True, thinking=("enabled", "none"), tools=True, max_output=64_000)
OLD = Target("claude-haiku-3", "anthropic", True, thinking=("none",), tools=True, max_output=4_096)
GPT = Target("gpt-6.1-sol", "openai", True, efforts=("low", "medium", "high"), sampling=False, tools=True, max_output=32_000)


def sent(talk: Any, model: str, target: Target, effort: str | None = None) -> dict[str, Any]:
    """The body that goes upstream, checked to have come from the client's by a splice."""
    body = talk.bytes()
    out, path = write(talk.protocol, talk.path, body, talk.read(), Config(model, effort), target)
    assert path == talk.path
    result: dict[str, Any] = json.loads(out)
    return result


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """The top-level fields that differ."""
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def test_nothing_decided_means_the_same_object(claude: Any) -> None:
    body = claude.says("hi").bytes()
    request = claude.read()
    for chosen in (Config("claude-opus-5-5"), Config("claude-opus-5-5", "high")):
        out, path = write("messages", claude.path, body, request, chosen, OPUS)
        assert out is body and path is claude.path


def test_newest_to_older_converts_what_the_older_refuses(claude: Any) -> None:
    claude.body.update(max_tokens=128_000, temperature=0.4, speed="fast")
    claude.body["tools"].append({"name": "DeferredToolPlaceholder", "input_schema": {}, "defer_loading": True})
    after = sent(claude.says("fix it").notes("Today is Sunday.", effort="high").says("go"), "claude-sonnet-4-5", SONNET45)
    gone = {"output_config", "speed", "temperature"}  # a budget of thinking and sampling exclude each other
    assert changed(claude.body, after) == {"model", "thinking", "max_tokens", "messages", "tools"} | gone
    assert after["thinking"] == {"type": "enabled", "budget_tokens": 31_999} and after["max_tokens"] == 64_000
    assert not gone & set(after)
    assert after["messages"][1] == {
        "role": "user",
        "content": [{"type": "text", "text": "<system-reminder>\nToday is Sunday.\n</system-reminder>"}],
    }
    assert [tool["name"] for tool in after["tools"]] == ["Bash"]


def test_older_to_newest_converts_back(claude: Any) -> None:
    claude.body.update(
        model="claude-sonnet-4-5", thinking={"type": "enabled", "budget_tokens": 9_000, "display": "omitted"}, top_p=0.9
    )
    del claude.body["output_config"]
    after = sent(claude.says("fix it"), "claude-opus-5-5", OPUS, "max")
    assert after["thinking"] == {"type": "adaptive", "display": "omitted"}
    assert after["output_config"] == {"effort": "max"} and "top_p" not in after
    assert changed(claude.body, after) == {"model", "thinking", "output_config", "top_p"}


def test_thinking_off_becomes_what_the_target_can_do(claude: Any) -> None:
    claude.body.update(model="claude-sonnet-4-5", thinking={"type": "disabled"})
    assert sent(claude.says("hi"), "claude-opus-5-5", OPUS)["thinking"] == {"type": "adaptive"}
    after = sent(claude, "claude-haiku-3", OLD)
    assert after["thinking"] == {"type": "disabled"} and after["max_tokens"] == 4_096


def test_a_model_that_cannot_think_is_not_asked_to_nor_to_clear_it(claude: Any) -> None:
    clear, other = {"type": "clear_thinking_20251015", "keep": "all"}, {"type": "clear_tool_uses_20250919"}
    claude.body["context_management"] = {"edits": [clear]}
    after = sent(claude.says("hi"), "claude-haiku-3", OLD)
    assert "thinking" not in after and "context_management" not in after
    claude.body["context_management"] = {"edits": [clear, other]}
    assert sent(claude, "claude-haiku-3", OLD)["context_management"] == {"edits": [other]}


@pytest.mark.parametrize(("limit", "effort", "budget"), [(32_000, "high", 31_999), (8_000, "low", 4_096), (2_000, "max", 1_999)])
def test_a_budget_stays_below_the_answer_limit(claude: Any, limit: int, effort: str, budget: int) -> None:
    claude.body.update(max_tokens=limit, output_config={"effort": effort})
    after = sent(claude.says("hi"), "claude-sonnet-4-5", SONNET45)
    assert after["thinking"]["budget_tokens"] == budget < after["max_tokens"]


def test_no_room_for_thinking_means_none(claude: Any) -> None:
    claude.body["max_tokens"] = 900
    assert "thinking" not in sent(claude.says("hi"), "claude-sonnet-4-5", SONNET45)


def test_a_tool_loop_without_thinking_goes_on_without(claude: Any) -> None:
    claude.says("hi").calls(thinking=False).returns("ok")
    assert "thinking" not in sent(claude, "claude-sonnet-4-5", SONNET45)
    claude.messages[1]["content"].insert(0, {"type": "thinking", "thinking": "", "signature": "s"})
    assert sent(claude, "claude-sonnet-4-5", SONNET45)["thinking"]["type"] == "enabled"


def test_thinking_blocks_are_never_edited(claude: Any) -> None:
    claude.says("hi").calls().returns("ok").notes().says("more")
    after = sent(claude, "claude-sonnet-4-5", SONNET45)
    assert after["messages"][:3] == claude.messages[:3] and after["messages"][4] == claude.messages[4]


def test_efforts_are_mapped_to_the_nearest_weaker(claude: Any) -> None:
    weaker = Target("claude-x", "anthropic", True, thinking=("adaptive",), efforts=("low", "medium"), system_messages=True,
                    effort_messages=True, tools=True, tool_reference=True)  # fmt: skip
    claude.body["output_config"] = {"effort": "max", "format": {"type": "text"}}
    after = sent(claude.says("hi").notes(effort="max"), "claude-x", weaker)
    assert after["output_config"] == {"effort": "medium", "format": {"type": "text"}}
    assert after["messages"][1]["output_config"] == {"effort": "medium"} and after["messages"][1]["role"] == "system"


def test_a_decided_effort_reaches_the_message_that_overrules_the_field(claude: Any) -> None:
    after = sent(claude.says("hi").notes("Env.", effort="high"), "claude-opus-5-5", OPUS, "low")
    assert after["output_config"] == {"effort": "low"}
    assert after["messages"][1] == {"role": "system", "content": "Env.", "output_config": {"effort": "low"}}
    assert changed(claude.body, after) == {"output_config", "messages"}


def test_the_last_effort_in_the_history_holds(claude: Any) -> None:
    claude.body["output_config"] = {"effort": "max"}
    claude.says("a").notes("Env.", effort="high").says("b").notes("Slower.", effort="low").says("c")
    assert claude.read().effort == "low"
    less = Target("claude-x", "anthropic", True, thinking=("adaptive",), efforts=("low", "medium"), system_messages=True,
                  effort_messages=True, tools=True, tool_reference=True)  # fmt: skip
    after = sent(claude, "claude-x", less)
    assert after["output_config"] == {"effort": "medium"}
    assert [m["output_config"]["effort"] for m in after["messages"] if m["role"] == "system"] == ["medium", "low"]


def test_effort_only_messages_go_where_they_are_refused(claude: Any) -> None:
    claude.says("a").messages.append({"role": "system", "output_config": {"effort": "low"}})
    claude.says("b").messages.append({"role": "system", "content": [], "output_config": {"effort": "high"}})
    after = sent(claude, "claude-sonnet-4-5", SONNET45)
    assert after["messages"] == [claude.messages[0], claude.messages[2]]


def test_a_rewritten_history_is_a_prefix_of_the_next_one(claude: Any) -> None:
    """Otherwise the rewriting would destroy the cache that the switch has paid for."""
    claude.says("hi").notes("One.", effort="high").calls().returns("ok").says("more").notes("Two.")
    first = write("messages", claude.path, claude.bytes(), claude.read(), Config("claude-sonnet-4-5"), SONNET45)[0]
    claude.answers("done").says("again").notes("Three.", effort="max")
    second = write("messages", claude.path, claude.bytes(), claude.read(), Config("claude-sonnet-4-5"), SONNET45)[0]
    start = first.index(b'"messages": [')
    end = first.index(b'], "model"', start)
    assert second.startswith(first[start:end], second.index(b'"messages": ['))


def test_cache_marks_survive_the_rewriting(claude: Any) -> None:
    after = sent(claude.says("hi").notes("One.").marks_last("1h"), "claude-sonnet-4-5", SONNET45)
    assert after["messages"][1]["content"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}


def test_token_counts_are_spliced_the_same_way(claude: Any) -> None:
    claude.path = "/v1/messages/count_tokens?beta=true"
    for name in ("max_tokens", "stream", "metadata"):
        del claude.body[name]
    after = sent(claude.says("hi").notes(), "claude-sonnet-4-5", SONNET45)
    assert after["model"] == "claude-sonnet-4-5" and after["messages"][1]["role"] == "user" and "max_tokens" not in after


def test_responses_effort_and_limits(codex: Any) -> None:
    codex.body.update(reasoning={"effort": "xhigh", "summary": "auto"}, max_output_tokens=100_000, temperature=0.1)
    codex.says("hi").item("configuration_update", reasoning={"effort": "low"}).says("go")
    after = sent(codex, "gpt-6.1-sol", GPT)
    assert after["reasoning"] == {"effort": "high", "summary": "auto"} and after["max_output_tokens"] == 32_000
    assert "temperature" not in after and [i["type"] for i in after["input"]] == ["message"] * 4
    assert changed(codex.body, after) == {"model", "reasoning", "max_output_tokens", "temperature", "input"}


def test_an_effort_update_in_the_input_overrules_the_field(codex: Any) -> None:
    codex.says("hi").item("configuration_update", reasoning={"effort": "medium"}).says("go")
    after = sent(codex, "gpt-5.5", GPT, "low")
    assert after["reasoning"]["effort"] == "low" and after["input"][3]["reasoning"] == {"effort": "low"}
    assert len(after["input"]) == 5


def test_only_an_effort_moves(codex: Any) -> None:
    after = sent(codex.says("hi"), "gpt-5.5", GPT, "low")
    assert after == {**codex.body, "reasoning": {"effort": "low", "summary": "auto"}}
    no_effort = Target("gpt-4.1", "openai", True, tools=True)
    assert sent(codex, "gpt-4.1", no_effort)["reasoning"] == {"summary": "auto"}
    del codex.body["reasoning"]
    assert sent(codex, "gpt-5.5", GPT, "low")["reasoning"] == {"effort": "low"}


def test_chat_has_an_effort_field_of_its_own(chat: Any) -> None:
    chat.body.update(reasoning_effort="high", max_completion_tokens=90_000)
    after = sent(chat.says("hi"), "gpt-6.1-sol", GPT, "low")
    assert after == {**chat.body, "model": "gpt-6.1-sol", "reasoning_effort": "low", "max_completion_tokens": 32_000}
    del chat.body["reasoning_effort"]
    assert sent(chat, "gpt-6.1-sol", GPT, "low")["reasoning_effort"] == "low"
    chat.body["reasoning"] = {"effort": "high"}
    assert sent(chat, "gpt-6.1-sol", GPT, "low")["reasoning"] == {"effort": "low"}


def test_gemini_has_its_model_in_the_path(chat: Any) -> None:
    body = b'{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}'
    path = "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse"
    chat.protocol, chat.path, chat.body = "gemini", path, json.loads(body)
    out, moved = write("gemini", path, body, chat.read(), Config("gemini-2.5-flash"), Target("gemini-2.5-flash"))
    assert out is body and moved == "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"


@pytest.mark.parametrize(("body", "limit"), [
    (b'{"model":"gpt-4.1","max_tokens":16384,"messages":[{"role":"user","content":"x"}]}', 16_384),
    (b'{"model":"gpt-4.1","messages":[{"role":"user","content":"x"}],"temperature":0.5,"max_tokens":999999}', 128_000),
    (b'{"max_tokens":5,"model":"gpt-4.1","messages":[{"role":"user","content":"x"}]}', 5),
])
def test_the_limit_of_a_chat_gets_the_name_that_a_reasoning_model_knows(body: bytes, limit: int) -> None:
    """Qwen Code sends ``max_tokens``, and gpt-6-luna refuses it."""
    request = read("chat", "/v1/chat/completions", {}, body)
    luna = Target("gpt-6-luna", "openai", known=True, sampling=False, max_output=128_000)
    sent = json.loads(write("chat", "/v1/chat/completions", body, request, Config("gpt-6-luna"), luna)[0])
    assert sent["max_completion_tokens"] == limit and "max_tokens" not in sent and "temperature" not in sent
    other = Target("gpt-4.1-mini", "openai", known=True, sampling=True)
    sent = json.loads(write("chat", "/v1/chat/completions", body, request, Config("gpt-4.1-mini"), other)[0])
    assert "max_tokens" in sent and "max_completion_tokens" not in sent


def test_what_becomes_of_a_system_message_does_not_depend_on_the_others(claude: Any) -> None:
    """An effort that is set later on may not change the bytes before it: they are in the provider's cache."""
    claude.body["messages"] += [{"role": "user", "content": "hi"}, {"role": "system", "content": []}]
    before = sent(claude, "claude-sonnet-5-5", OPUS)["messages"]
    claude.body["messages"] += [{"role": "system", "content": [], "output_config": {"effort": "low"}}]
    assert sent(claude, "claude-sonnet-5-5", OPUS)["messages"][:2] == before == claude.body["messages"][:2]
