"""What Claude Code's requests mean: session, turns, sub-agents, summaries, side traffic."""

from __future__ import annotations

import json
from typing import Any

import pytest


def kinds(request: Any) -> list[str]:
    return [message.kind for message in request.messages]


def test_a_tool_task_is_read_with_its_session_and_its_turn(claude: Any) -> None:
    claude.says("<system-reminder>\nDate.\n</system-reminder>", "fix the flaky test").calls().returns(
        "2 failed in 0.31s", error=True
    )
    request = claude.marks_last().read(titles=True)
    assert (request.client, request.purpose, request.session, request.agent) == ("claude", "turn", "session-1", None)
    assert (request.model, request.effort, request.stream, request.max_output) == ("claude-opus-5-5", "high", True, 64_000)
    assert kinds(request) == ["prompt", "assistant", "tool_result"]
    assert request.messages[1].facts == ("thinking",)
    assert set(request.messages[2].facts) == {"tool_error", "tests_failed"}
    assert request.ttl_s == 300 and request.messages[2].mark_s == 300
    assert request.title == "fix the flaky test" and request.cwd == "/home/dev/calc" and request.interactive is True
    assert request.needs == {"thinking_adaptive", "effort", "tools"}
    assert request.auth == "key" and request.size == len(claude.bytes())


def test_reminders_alone_are_no_prompt(claude: Any) -> None:
    claude.says("fix it").answers("Done.").says("<system-reminder>\nThe task list is empty.\n</system-reminder>")
    claude.says("<task-notification>\nagent done\n</task-notification>").says("<local-command-stdout>ok</local-command-stdout>")
    claude.says("<command-name>/clear</command-name>\n<command-message>clear</command-message>\n<command-args></command-args>")
    assert kinds(claude.read()) == ["prompt", "assistant", *["reminder"] * 4]


def test_words_of_the_user_beside_reminders_and_results_are_a_prompt(claude: Any) -> None:
    claude.says("<system-reminder>a</system-reminder>\nplease continue").calls()
    claude.returns("ok", "[Request interrupted by user for tool use]", "no, use the other file")
    request = claude.read()
    assert kinds(request) == ["prompt", "assistant", "prompt"]
    assert "interrupt" in request.messages[2].facts


def test_a_failed_command_does_not_pass_tests(claude: Any) -> None:
    claude.says("go").calls().returns("ok  \tcalc\t0.2s\n... truncated", error=True).calls().returns("3 passed in 0.1s")
    assert [message.facts for message in claude.read().messages[2::2]] == [("tool_error",), ("tests_passed",)]


def test_an_interrupt_without_words_stays_a_tool_result(claude: Any) -> None:
    claude.says("go").calls().returns("partial", "[Request interrupted by user for tool use]")
    last = claude.read().messages[-1]
    assert last.kind == "tool_result" and "interrupt" in last.facts


def test_an_unclosed_reminder_is_still_the_clients(claude: Any) -> None:
    assert kinds(claude.says("<system-reminder>cut off").read()) == ["reminder"]


def test_a_users_own_markup_is_the_users(claude: Any) -> None:
    assert kinds(claude.says("<div>why does this not render?</div>").read()) == ["prompt"]


def test_plan_mode_shows_in_a_reminder_but_not_in_the_users_words(claude: Any) -> None:
    claude.says("<system-reminder>\nPlan mode is active. Do not edit.\n</system-reminder>", "plan the change")
    claude.says("why does it say Plan mode is active?")
    first, second = claude.read().messages
    assert "plan_mode" in first.facts and "plan_mode" not in second.facts


def test_compaction_is_a_purpose_of_its_own_and_its_result_is_no_prompt(claude: Any) -> None:
    claude.says("fix it").calls().returns("ok", "CRITICAL: Respond with TEXT ONLY. Do NOT call any tools.\n\nSummarise.")
    request = claude.read()
    assert request.purpose == "compaction"
    assert request.messages[-1].kind == "tool_result" and "summarise" in request.messages[-1].facts
    after = type(claude)().says("This session is being continued from a previous conversation that ran out of context.\nSummary")
    request = after.read()
    assert request.purpose == "turn" and kinds(request) == ["reminder"] and request.messages[0].facts == ("continued",)


def test_a_sub_agent_is_known_by_header_or_by_the_billing_line(claude: Any) -> None:
    claude.says("Read calc.py")
    claude.headers["x-claude-code-agent-id"] = "a1"
    claude.headers["x-claude-code-parent-agent-id"] = "a0"
    request = claude.read()
    assert (request.session, request.agent, request.parent) == ("session-1", "a1", "a0")
    del claude.headers["x-claude-code-agent-id"]
    claude.body["system"][0]["text"] += " cc_is_subagent=true;"
    first = claude.read()
    second = claude.calls().returns("text").read()
    assert first.agent and first.agent == second.agent


def test_a_title_request_is_side_traffic(claude: Any) -> None:
    schema = {"type": "json_schema", "schema": {"type": "object", "properties": {"title": {"type": "string"}}}}
    claude.body.update(tools=[], thinking={"type": "disabled"}, output_config={"format": schema})
    request = claude.says("<session>\nfix the flaky test\n</session>").read()
    assert request.purpose == "side" and request.needs == {"json_schema", "thinking_disabled"}


def test_a_prompt_without_tools_and_marks_is_its_users_work(claude: Any) -> None:
    """``claude -p --tools ""`` with caching switched off looks like this: it must never go to a cheaper model as housekeeping."""
    claude.body.update(tools=[], system=[{"type": "text", "text": "You are Claude Code, Anthropic's official CLI for Claude."}])
    request = claude.says("explain the flaky test").read()
    assert (request.purpose, request.ttl_s) == ("turn", None)


def test_a_search_that_only_the_provider_runs_is_side_traffic(claude: Any) -> None:
    claude.body["tools"] = [{"type": "web_search_20260318", "name": "web_search"}]
    request = claude.says("Perform a web search for: aiohttp").read()
    assert request.purpose == "side" and "server_tools" in request.needs and "tools" not in request.needs


def test_a_token_count_is_a_count(claude: Any) -> None:
    claude.path = "/v1/messages/count_tokens?beta=true"
    del claude.body["max_tokens"], claude.body["stream"]
    assert claude.says("hello").read().purpose == "count"


def test_the_session_is_found_in_the_metadata_too(claude: Any) -> None:
    del claude.headers["x-claude-code-session-id"]
    assert claude.says("hi").read().session == "session-1"
    claude.body["metadata"] = {"user_id": "user_ab_account__session_0b1c"}
    assert claude.read().session == "0b1c"


@pytest.mark.parametrize(("entrypoint", "interactive"), [("cli", True), ("sdk-cli", False), ("sdk-py", False)])
def test_headless_runs_are_told_by_the_entrypoint(claude: Any, entrypoint: str, interactive: bool) -> None:
    claude.body["system"][0]["text"] = f"x-anthropic-billing-header: cc_version=2.1.330.e83; cc_entrypoint={entrypoint};"
    assert claude.says("hi").read().interactive is interactive
    del claude.body["system"][0]
    claude.headers["user-agent"] = f"claude-cli/2.1.330 (external, {entrypoint})"
    assert claude.read().interactive is interactive


@pytest.mark.parametrize(
    "headers", [{"authorization": "Bearer sk-ant-oat01-x"}, {"anthropic-beta": "claude-code-20250219, oauth-2025-04-20"}]
)
def test_a_subscription_login_is_recognised(claude: Any, headers: dict[str, str]) -> None:
    claude.headers.pop("x-api-key")
    claude.headers |= headers
    assert claude.says("hi").read().auth == "subscription"


def test_one_key_is_told_from_another_and_a_login_stays_the_same_while_its_tokens_rotate(claude: Any) -> None:
    claude.says("hi")
    claude.headers["x-api-key"] = "sk-ant-api03-first"
    first = claude.read().key
    claude.headers["x-api-key"] = "sk-ant-api03-second"
    second = claude.read().key
    assert len({0, 1, first, second}) == 4 and max(first, second) < 1 << 16, "sixteen bits and no more"
    claude.headers.pop("x-api-key")
    logins = []
    for token in ("sk-ant-oat01-x", "sk-ant-oat01-y"):
        claude.headers["authorization"] = f"Bearer {token}"
        logins.append(claude.read().key)
    assert logins == [1, 1]


def test_the_lifetime_is_read_off_the_marks(claude: Any) -> None:
    assert claude.says("hi").marks_last("1h").read().ttl_s == 3_600
    assert claude.marks_last().read().ttl_s == 300
    for block in [*claude.body["system"], *claude.messages[0]["content"]]:
        block.pop("cache_control", None)
    assert claude.read().ttl_s is None
    claude.body["cache_control"] = {"type": "ephemeral", "ttl": "1h"}
    assert claude.read().ttl_s == 3_600


def test_the_billing_line_does_not_change_the_system_hash(claude: Any) -> None:
    before = claude.says("hi").read()
    claude.body["system"][0]["text"] = "x-anthropic-billing-header: cc_version=2.1.330.232; cc_entrypoint=cli;"
    assert claude.read().system == before.system
    claude.body["system"][1]["text"] += " Changed."
    assert claude.read().system != before.system


def test_what_only_some_models_take_is_noted(claude: Any) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 400_000}}
    claude.says("look").messages[0]["content"].append(image)
    claude.notes(effort="max").calls()
    claude.messages[-1]["content"].append({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}})
    claude.returns("x").messages[-1]["content"][0]["content"] = [{"type": "tool_reference", "tool_name": "mcp__x"}]
    claude.body.update(speed="fast", temperature=0.2, tool_choice={"type": "any"})
    request = claude.read()
    assert request.needs == {
        "vision", "effort_messages", "system_messages", "tool_reference", "fast", "sampling", "forced_tool",
        "thinking_adaptive", "effort", "tools",
    }  # fmt: skip
    assert request.messages[0].chars < 10_000, "an image counts by what it costs, not by its encoding"
    assert claude.answers("The answer is").read().needs >= {"prefill"}


def test_an_empty_deferred_placeholder_needs_nothing(claude: Any) -> None:
    placeholder = {"name": "DeferredToolPlaceholder", "input_schema": {"type": "object"}, "defer_loading": True}
    claude.body["tools"].append(placeholder)
    assert "tool_reference" not in claude.says("hi").read().needs
    claude.body["tools"].append({**placeholder, "name": "mcp__github__search"})
    assert "tool_reference" in claude.read().needs


def test_titles_are_off_by_default_short_and_clean(claude: Any) -> None:
    claude.says("line one\x07\x1b[31m\nline two " + "x" * 200)
    assert claude.read().title == ""
    title = claude.read(titles=True).title
    assert title.startswith("line one") and len(title) <= 60 and title.isprintable()


def test_the_run_is_kept(claude: Any) -> None:
    assert claude.says("hi").read(run="r7").run == "r7"


def test_retries_have_one_body_hash(claude: Any) -> None:
    first = claude.says("hi").marks_last("1h").read()
    claude.body = dict(reversed(json.loads(claude.bytes()).items()))
    claude.body.update(stream=False, max_tokens=1_000, model="claude-haiku-4-5")
    again = claude.marks_last().read()
    assert again.body_hash == first.body_hash
    assert claude.answers("x").says("more").read().body_hash != first.body_hash


def test_sub_agents_known_by_the_billing_line_alone_are_told_apart_by_their_first_message(claude: Any) -> None:
    claude.body["system"][0]["text"] += " cc_is_subagent=true;"
    one = claude.says("read the tests").read().agent
    assert one == claude.calls().returns("ok").read().agent
    claude.body[claude.history] = []
    assert claude.says("read the docs").read().agent not in (None, one)
