"""Forms that only real clients showed: Codex's newest models, its agents' messages, summaries of Qwen Code and Gemini CLI."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pointsman.shell import recording
from pointsman.wire import read

CODEX = {"session-id": "s", "thread-id": "s", "originator": "codex_exec"}
QWEN = {"user-agent": "QwenCode/0.24.4 (linux; x64)"}
GEMINI = {"user-agent": "GeminiCLI-tui/0.61.0/gemini-2.5-pro (linux; x64; terminal)"}
SESSIONS = Path(__file__).parents[2] / "sessions"


def message(role: str, text: str) -> dict[str, Any]:
    """One message of the Responses API."""
    return {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}


def responses(*items: dict[str, Any]) -> Any:
    """A Codex request with this input."""
    body = {"model": "gpt-6-astra", "input": list(items), "stream": True}
    return read("responses", "/v1/responses", CODEX, json.dumps(body).encode())


def test_tools_in_an_item_of_the_history_are_tools() -> None:
    tools = {"type": "additional_tools", "role": "developer", "tools": [{"type": "custom", "name": "exec"}]}
    rest = (message("developer", "You are Codex, an agent."), message("user", "fix it"))
    carried, without = responses(tools, *rest), responses(*rest)
    assert carried.tools and not without.tools and carried.system == without.system
    assert "tools" in carried.needs and "tools" not in without.needs
    assert [m.kind for m in carried.messages] == ["prompt"]


@pytest.mark.parametrize("tools", ["none", {}, None, []])
def test_an_item_of_tools_that_holds_none_harms_nobody(tools: Any) -> None:
    request = responses({"type": "additional_tools", "role": "developer", "tools": tools}, message("user", "fix it"))
    assert request.model == "gpt-6-astra" and len(request.messages) == 1


def test_a_message_of_another_agent_is_no_prompt_of_the_users() -> None:
    told = {"type": "agent_message", "author": "/root", "recipient": "/home/x", "content": [{"type": "input_text", "text": "go"}]}
    assert [m.kind for m in responses(message("user", "fix it"), told).messages] == ["prompt", "reminder"]


SUMMARIES = {
    "qwen": ("You are the component that summarizes a conversation when its context window is about to overflow.",
             "First, reason in your <analysis> block. Then, produce the <state_snapshot> XML."),
    "gemini": ("Generate a new <state_snapshot> based on the provided history.",
               "Critically evaluate the <state_snapshot> you just generated."),
}  # fmt: skip


@pytest.mark.parametrize("text", SUMMARIES["qwen"])
def test_qwen_asks_for_a_summary(text: str) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "fix it"}, {"role": "user", "content": text}]}
    assert read("chat", "/v1/chat/completions", QWEN, json.dumps(body).encode()).purpose == "compaction"


@pytest.mark.parametrize("text", SUMMARIES["gemini"])
def test_gemini_asks_for_a_summary(text: str) -> None:
    body = {"contents": [{"role": "user", "parts": [{"text": "fix it"}]}, {"role": "user", "parts": [{"text": text}]}]}
    path = "/v1beta/models/gemini-2.5-pro:generateContent"
    assert read("gemini", path, GEMINI, json.dumps(body).encode()).purpose == "compaction"


def test_qwens_report_of_an_agent_in_the_background_is_no_prompt() -> None:
    note = "<task-notification>\n<status>completed</status>\n</task-notification>"
    body = {"model": "m", "messages": [{"role": "user", "content": "fix it"}, {"role": "user", "content": note}]}
    request = read("chat", "/v1/chat/completions", QWEN, json.dumps(body).encode())
    assert [m.kind for m in request.messages] == ["prompt", "reminder"]


@pytest.mark.parametrize(("name", "client"), [("gemini-4-argon-plain", "gemini"), ("qwen-gpt-4-1-resume", "qwen")])
def test_the_working_folder_is_found_where_these_clients_write_it(name: str, client: str) -> None:
    exchange = recording.load(SESSIONS / f"{name}.jsonl").exchanges[0]
    protocol: Any = "gemini" if client == "gemini" else "chat"
    request = read(protocol, exchange.path, exchange.headers, exchange.body)
    assert request.client == client and request.cwd is not None and request.cwd.startswith("/") and "\n" not in request.cwd


def test_aiders_rules_behind_a_prompt_are_not_the_users_words() -> None:
    found = recording.load(SESSIONS / "aider-sonnet-4-5-plain.jsonl").exchanges
    first, third = (read("messages", e.path, e.headers, e.body) for e in (found[0], found[2]))
    asked = next(m for m in first.messages if m.kind == "prompt")
    again = next(m for m in third.messages if m.kind == "prompt")
    assert (asked.said, asked.sketch) == (again.said, again.sketch) and asked.hash != again.hash


RED = "===== 1 failed, 1 passed in 0.12s ====="
FRAMES = {
    "cline": ("ai-sdk/openai-compatible/3.0", "You are Cline, an AI coding agent.",
              json.dumps([{"query": "pytest", "result": f"\n{RED}\n", "error": "Command failed", "success": False}])),
    "mini": ("OpenAI/Python 2.54.0", "You are a helpful assistant that can interact with a computer.",
             json.dumps({"returncode": 1, "output": f"\n{RED}\n"}, indent=2)),
    "qwen": ("QwenCode/0.24.4 (linux; x64)", "You are Qwen Code, an agent.",
             f"Command: pytest\nDirectory: (root)\nOutput: {RED}\nError: (none)\nExit Code: 1\nSignal: (none)"),
}  # fmt: skip


@pytest.mark.parametrize("client", FRAMES)
def test_a_failing_test_is_seen_in_the_frame_that_its_client_puts_around_it(client: str) -> None:
    agent, system, output = FRAMES[client]
    call = {"id": "c", "type": "function", "function": {"name": "run", "arguments": "{}"}}
    talk = [{"role": "system", "content": system}, {"role": "user", "content": "fix it"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": output}]  # fmt: skip
    body = json.dumps({"model": "m", "messages": talk}).encode()
    request = read("chat", "/v1/chat/completions", {"user-agent": agent}, body)
    assert request.client == client and {"tests_failed", "tool_error"} <= set(request.messages[-1].facts)


@pytest.mark.parametrize("output", ["{not json", "[1, 2]", "{}", '["x"]', "[" * 5_000, "\udcff"[:0] + "plain"])
def test_what_is_no_frame_is_read_as_it_is(output: str) -> None:
    from pointsman.wire.sensors import unwrapped

    assert unwrapped(output, "cline") == output
