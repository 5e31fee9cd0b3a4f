"""What the requests of the other clients mean: Codex, OpenCode, aider, mini, qwen, gemini, cline, and strangers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pointsman.wire import read


def kinds(request: Any) -> list[str]:
    return [message.kind for message in request.messages]


# --- Codex -------------------------------------------------------------------------------------------------------------


def test_codex_tells_its_context_in_reminders(codex: Any) -> None:
    codex.says("# AGENTS.md instructions for /home/dev/calc\n\n<INSTRUCTIONS>Be brief.</INSTRUCTIONS>")
    codex.says("fix the flaky test").calls().returns("Chunk ID: 1\nProcess exited with code 1\nOutput:\n1 failed in 0.02s")
    request = codex.read(titles=True)
    assert (request.client, request.purpose, request.interactive, request.auth) == ("codex", "turn", False, "key")
    assert (request.session, request.agent, request.parent, request.turn_id) == ("thread-1", None, None, "turn-1")
    assert kinds(request) == ["reminder", "reminder", "reminder", "prompt", "assistant", "assistant", "tool_result"]
    assert request.messages[4].facts == ("thinking",)
    assert set(request.messages[-1].facts) == {"tool_error", "tests_failed"}
    assert request.effort == "medium" and request.needs == {"effort", "tools"}
    assert request.cwd == "/home/dev/calc" and request.title == "fix the flaky test"


def test_codex_outputs_that_succeed_are_no_errors(codex: Any) -> None:
    last = codex.says("go").calls().returns("Process exited with code 0\nOutput:\n3 passed in 0.02s").read().messages[-1]
    assert last.facts == ("tests_passed",)


def test_a_codex_sub_agent_shares_the_session(codex: Any) -> None:
    codex.headers |= {"x-openai-subagent": "collab_spawn", "x-codex-parent-thread-id": "thread-1", "thread-id": "thread-2"}
    request = codex.says("read calc.py").read()
    assert (request.session, request.agent, request.parent) == ("thread-1", "thread-2", None)
    codex.headers |= {"x-codex-parent-thread-id": "thread-2", "thread-id": "thread-3"}
    assert (codex.read().agent, codex.read().parent) == ("thread-3", "thread-2")


@pytest.mark.parametrize(
    ("kind", "purpose"), [("turn", "turn"), ("compaction", "compaction"), ("prewarm", "side"), ("memory", "side")]
)
def test_codex_says_what_a_request_is_for(codex: Any, kind: str, purpose: str) -> None:
    assert codex.turn("turn-2", request_kind=kind).says("hi").read().purpose == purpose


def test_codex_asks_for_titles_in_a_thread_that_is_no_session(codex: Any) -> None:
    request = codex.turn("turn-2", request_kind="turn", thread_source="thread_title").says("Generate a title.").read()
    assert (request.purpose, request.session) == ("side", None)
    assert codex.turn("turn-3", request_kind="turn", thread_source="user").says("hi").read().purpose == "turn"


def test_codex_metadata_is_read_from_the_body_too(codex: Any) -> None:
    metadata = codex.headers.pop("x-codex-turn-metadata")
    del codex.headers["session-id"]
    codex.body["client_metadata"] = {"x-codex-turn-metadata": metadata}
    request = codex.says("hi").read()
    assert (request.turn_id, request.session) == ("turn-1", "thread-1")


def test_codex_compaction_interrupt_and_plan_show_in_the_history(codex: Any) -> None:
    codex.says("Another language model started to solve this problem and produced a summary: ...")
    codex.says("<turn_aborted>The user interrupted the previous turn.</turn_aborted>")
    codex.item("message", role="developer", content=[{"type": "input_text", "text": "<collaboration_mode># Plan Mode\n"}])
    *_, summary, aborted, mode = codex.read().messages
    assert (summary.kind, summary.facts) == ("reminder", ("continued",))
    assert (aborted.kind, aborted.facts) == ("reminder", ("interrupt",))
    assert (mode.kind, mode.facts) == ("reminder", ("plan_mode",))
    codex.says("You are performing a CONTEXT CHECKPOINT COMPACTION. Create a handoff summary.")
    assert codex.read().purpose == "compaction"


def test_a_chatgpt_login_is_a_subscription(codex: Any) -> None:
    codex.path = "/backend-api/codex/responses"
    codex.headers["chatgpt-account-id"] = "account"
    codex.headers["originator"] = "codex-tui"
    request = codex.says("hi").read()
    assert request.auth == "subscription" and request.interactive is True


def test_codex_retries_may_change_key_order(codex: Any) -> None:
    first = codex.says("hi").read()
    codex.body = dict(reversed(codex.body.items()))
    codex.body["input"] = [dict(reversed(item.items())) for item in codex.body["input"]]
    again = codex.read()
    assert again.body_hash == first.body_hash
    assert [m.hash for m in again.messages] == [m.hash for m in first.messages]


def test_responses_take_a_string_as_input(codex: Any) -> None:
    codex.body["input"] = "hello"
    said = codex.read().messages
    codex.body["input"] = [{"role": "user", "content": [{"type": "input_text", "text": "hello"}]}]
    assert [m.kind for m in said] == ["prompt"]
    assert said[0].hash == codex.read().messages[0].hash


def test_responses_items_of_the_provider_are_no_results(codex: Any) -> None:
    codex.item("web_search_call", status="completed").item("compaction", encrypted_content="x")
    codex.item("configuration_update", reasoning={"effort": "high"}).item("custom_tool_call_output", call_id="c", output="ok")
    search, compaction, effort, result = codex.read().messages[2:]
    assert codex.read().effort == "high"
    assert (search.kind, search.facts) == ("assistant", ("server_tool",))
    assert (compaction.kind, compaction.facts) == ("reminder", ("continued", "unknown_block"))
    assert (effort.kind, effort.facts) == ("system", ("effort",))
    assert result.kind == "tool_result"


@pytest.mark.parametrize(("option", "ttl"), [({"ttl": "12h"}, 43_200), ({"ttl": "30m"}, 1_800), ({}, None)])
def test_openai_lifetimes_are_read(codex: Any, option: dict[str, str], ttl: int | None) -> None:
    codex.body["prompt_cache_options"] = option
    assert codex.says("hi").read().ttl_s == ttl


# --- OpenCode ----------------------------------------------------------------------------------------------------------


def opencode(talk: Any) -> Any:
    talk.headers |= {"user-agent": "opencode/1.18.33 ai-sdk/5", "x-session-affinity": "ses_1", "x-session-id": "ses_1"}
    return talk


def test_opencode_sends_its_title_request_first_and_it_is_side_traffic(chat: Any) -> None:
    talk = opencode(type(chat)(system="You are a title generator. You output ONLY a thread title.", tools=[]))
    request = talk.says("Generate a title for this conversation:").says("fix it").read()
    assert (request.client, request.session, request.purpose) == ("opencode", "ses_1", "side")


def test_opencode_sub_agents_name_their_session(chat: Any) -> None:
    opencode(chat).headers |= {"x-session-id": "ses_2", "x-parent-session-id": "ses_1"}
    request = chat.says("look around").read()
    assert (request.session, request.agent) == ("ses_1", "ses_2")


def test_opencode_keeps_its_system_prompt_out_of_the_history(chat: Any) -> None:
    request = opencode(chat).says("fix it").calls().returns("ok").read()
    assert kinds(request) == ["prompt", "assistant", "tool_result"] and request.system and request.head_chars > 0
    assert request.chars > request.head_chars


def test_opencode_summaries_are_known(chat: Any) -> None:
    asks = opencode(chat).says(
        "Here is the conversation so far:\n<conversation>...</conversation>\nCreate a new anchored summary"
    )
    assert asks.read().purpose == "compaction"
    after = opencode(type(chat)()).says("What did we do so far?").read()
    assert (after.messages[0].kind, after.messages[0].facts) == ("reminder", ("continued",))


# --- clients without ids -------------------------------------------------------------------------------------------------


def test_aiders_example_conversation_is_not_the_users(chat: Any) -> None:
    talk = type(chat)(system="Act as an expert software developer.\nAlways use best practices.", tools=[])
    talk.says("Change get_factorial() to use math.factorial")
    talk.messages.append({"role": "assistant", "content": "To make this change ..."})
    talk.says("I switched to a new code base. Please don't consider the above files.")
    talk.messages.append({"role": "assistant", "content": "Ok."})
    talk.says("I have *added these files to the chat* so you can go ahead and edit them.\n\ncalc.py")
    talk.messages.append({"role": "assistant", "content": "Ok."})
    request = talk.says("fix add()").read(titles=True)
    assert request.client == "aider" and request.purpose == "turn" and request.title == "fix add()"
    assert kinds(request) == ["reminder", "reminder", "reminder", "assistant", "reminder", "assistant", "prompt"]


def test_aiders_weak_model_does_the_housekeeping(chat: Any) -> None:
    commit = type(chat)(system="You are an expert software engineer that generates concise, one-line Git commit messages")
    assert commit.says("diff --git a b").read().purpose == "side"
    summary = type(chat)(system="*Briefly* summarize this partial conversation about programming.")
    assert summary.says("# USER\nfix it").read().purpose == "compaction"


def test_mini_sends_outputs_as_user_text(chat: Any) -> None:
    talk = type(chat)(system="You are a helpful assistant that can interact with a computer.", tools=[])
    talk.says("Please solve this issue: ...").says("<returncode>1</returncode>\n<output>\n1 failed in 0.2s\n</output>")
    request = talk.read()
    assert request.client == "mini" and kinds(request) == ["prompt", "tool_result"]
    assert set(request.messages[1].facts) == {"tool_error", "tests_failed"}


def test_qwen_and_cline_context_messages_are_reminders(chat: Any) -> None:
    chat.headers["user-agent"] = "QwenCode/0.24.4 (linux; x64)"
    chat.says("This is the Qwen Code. We are setting up the context for our chat.\nI'm working in the directory: /home/dev/x\n")
    request = chat.says("fix it").read()
    assert request.client == "qwen" and kinds(request) == ["reminder", "prompt"] and request.cwd == "/home/dev/x"
    cline = type(chat)(system="You are Cline, a highly skilled software engineer")
    cline.says("<task>\nfix it\n</task>", "<environment_details>\n# Current Mode\nPLAN MODE\n</environment_details>")
    cline.says("[execute_command for 'ls'] Result:\nok").says("[TODO] is what I typed")
    request = cline.read()
    assert request.client == "cline" and kinds(request) == ["prompt", "tool_result", "prompt"]
    assert "plan_mode" in request.messages[0].facts


def test_gemini_is_read_so_that_it_can_be_counted() -> None:
    body = {
        "systemInstruction": {"parts": [{"text": "You are Gemini CLI, an agent."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "This is the Gemini CLI. We are setting up the context for our chat."}]},
            {"role": "user", "parts": [{"text": "run the tests"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "shell", "args": {}}, "thoughtSignature": "c2ln"}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "shell", "response": {"output": "2 passed in 0.1s"}}}]},
        ],
        "tools": [{"functionDeclarations": [{"name": "shell"}]}],
        "generationConfig": {"maxOutputTokens": 8_192},
    }
    path = "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse"
    headers = {"user-agent": "GeminiCLI/0.61.0/gemini-2.5-pro (linux; x64)", "x-goog-api-key": "fake"}
    request = read("gemini", path, headers, json.dumps(body).encode())
    assert (request.model, request.client, request.stream, request.max_output) == ("gemini-2.5-pro", "gemini", True, 8_192)
    assert kinds(request) == ["reminder", "prompt", "assistant", "tool_result"]
    assert request.messages[2].facts == ("thinking",) and request.messages[3].facts == ("tests_passed",)
    assert request.auth == "key"


def test_a_stranger_is_read_with_care(chat: Any) -> None:
    request = chat.says("<system-reminder>x</system-reminder>").says("fix it").calls().returns("Exit code: 2").read()
    assert (request.client, request.session, request.purpose, request.interactive) == ("unknown", None, "turn", None)
    assert kinds(request) == ["reminder", "prompt", "assistant", "tool_result"]
    assert request.messages[3].facts == ("tool_error",)


def test_a_key_probe_is_side_traffic(chat: Any) -> None:
    chat.body.update(max_completion_tokens=1, tools=[])
    assert chat.says("hi").read().purpose == "side"


def test_no_key_means_no_auth(chat: Any) -> None:
    chat.headers.clear()
    assert chat.says("hi").read().auth == "none"
