"""Scripts: where a dialogue stands, which tool a client has for a purpose, housekeeping, the clock."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from pointsman.sandbox import Call, Clock, Housekeeping, Incoming, Rules, Steps, Text, Turns, say, tool_task, use
from pointsman.sandbox.reply import Reply
from pointsman.sandbox.script import instance

STRING = {"type": "string"}


def schema(*names: str, **more: Any) -> dict[str, Any]:
    """A JSON schema of required strings."""
    return {"type": "object", "properties": dict.fromkeys(names, STRING) | more, "required": [*names, *more]}


def anthropic(messages: list[dict[str, Any]], **more: Any) -> Incoming:
    """A Messages request with Claude Code's tools."""
    tools = [
        {"name": "Write", "input_schema": schema("file_path", "content")},
        {"name": "Read", "input_schema": schema("file_path")},
    ]
    body = {"model": "m", "messages": messages, "tools": tools, "system": "Primary working directory: /w"} | more
    return Incoming("messages", "/v1/messages", "m", True, {"x-claude-code-session-id": "s"}, body)


def codex(items: list[dict[str, Any]], **properties: Any) -> Incoming:
    """A Responses request with Codex's shell tool."""
    tools = [{"type": "function", "name": "exec_command", "parameters": schema("cmd", **properties)}]
    return Incoming("responses", "/v1/responses", "m", True, {"session-id": "s"}, {"model": "m", "input": items, "tools": tools})


def only_call(reply: Reply) -> Call:
    """The tool call of a reply."""
    return next(part for part in reply.parts if isinstance(part, Call))


def test_the_task_walks_write_read_done_by_the_history_alone() -> None:
    """Rounds are counted since the newest prompt, so a retry gets the same answer."""
    script = tool_task()
    history: list[dict[str, Any]] = [{"role": "user", "content": "Do it."}]
    assert only_call(script(anthropic(history))) == Call("Write", {"file_path": "/w/note.txt", "content": "the points are set\n"})
    for n in range(2):
        history += [
            {"role": "assistant", "content": [{"type": "tool_use", "id": f"t{n}", "name": "x", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": f"t{n}", "content": "r"}]},
        ]
        reply = script(anthropic(history))
        assert reply == script(anthropic(history))
        assert (only_call(reply).name == "Read") if n == 0 else isinstance(reply.parts[0], Text)
    history += [{"role": "assistant", "content": "Done."}, {"role": "user", "content": "Again."}]
    assert (anthropic(history).turn, anthropic(history).step) == (2, 0)


def test_a_folder_with_spaces_and_umlauts_is_read_to_the_end_of_its_line() -> None:
    """Half a name would send the agent's file beside its project."""
    prompts = ("Primary working directory: /Größe/mein Projekt\n - git: no", "<cwd>/Größe/mein Projekt</cwd>",
               "I'm currently working in the directory: /Größe/mein Projekt.\nNext")
    for prompt in prompts:
        asked = anthropic([{"role": "user", "content": "Do it."}], system=prompt)
        assert only_call(tool_task()(asked)).arguments["file_path"] == "/Größe/mein Projekt/note.txt"


def test_codex_gets_a_shell_command() -> None:
    """No write tool: the shell does it, with the argument names of its schema."""
    asked = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Do it."}]}]
    found = use(codex(asked, workdir=STRING), "write", path="note.txt", text="it's")
    assert found == Call("exec_command", {"cmd": "printf %s 'it'\"'\"'s' > note.txt", "workdir": "."})


def test_clients_without_tools_get_an_edit_block() -> None:
    """In the format their system prompt asks for."""
    for words, expected in (
        ("Use *SEARCH/REPLACE* blocks", "<<<<<<< SEARCH"),
        ("return the entire file listing", "note.txt\n```\nthe"),
    ):
        body = {"model": "m", "messages": [{"role": "system", "content": words}, {"role": "user", "content": "Do it."}]}
        reply = tool_task()(Incoming("chat", "/v1/chat/completions", "m", False, {}, body))
        assert isinstance(reply.parts[0], Text) and expected in reply.parts[0].text


@pytest.mark.parametrize(
    ("body", "purpose", "answers"),
    [
        (
            {"tools": [], "output_config": {"format": {"type": "json_schema", "schema": schema("title")}}},
            "title",
            '{"title":"T"}',
        ),
        ({"tools": [], "system": "You are a title generator. Be brief."}, "title", "T"),
        ({"tools": [], "output_config": {"format": {"schema": schema("verdict")}}}, "side", '{"verdict":"ok"}'),
        (
            {"messages": [{"role": "user", "content": "Your task is to create a detailed summary of it all."}]},
            "compaction",
            "<summary>",
        ),
        ({}, "main", "work"),
    ],
)
def test_housekeeping_is_answered_properly(body: dict[str, Any], purpose: str, answers: str) -> None:
    """Titles, schema-bound side requests and summaries do not reach the script."""
    request = anthropic(**({"messages": [{"role": "user", "content": "hi"}]} | body))
    reply = Housekeeping(lambda request: say("work"), title="T")(request)
    assert request.purpose == purpose
    assert isinstance(reply.parts[0], Text) and answers in reply.parts[0].text


def test_turns_steps_and_rules() -> None:
    """Each prompt its own steps; the first rule that holds."""
    script = Rules([(lambda r: "stop" in r.prompt, "stopped")], Turns("one", Steps("two", "two more")))
    said = []
    for history in (["a"], ["a", "b"], ["a", "b", "stop"]):
        messages = [row for text in history for row in ({"role": "user", "content": text}, {"role": "assistant", "content": "x"})]
        reply = script(anthropic(messages[:-1]))
        said.append(reply.parts[0])
    assert said == [Text("one"), Text("two"), Text("stopped")]


def test_reminders_are_not_the_users_words() -> None:
    """A reminder block beside the prompt is left out; a reminder alone is no turn."""
    reminder = {"type": "text", "text": "<system-reminder>\nbe kind\n</system-reminder>"}
    request = anthropic(
        [
            {"role": "user", "content": [reminder, {"type": "text", "text": "Go."}]},
            {"role": "assistant", "content": "x"},
            {"role": "user", "content": [reminder]},
        ]
    )
    assert (request.prompt, request.turn) == ("Go.", 1)


def test_sub_agents_are_recognised() -> None:
    """By each client's own header."""
    for headers in (
        {"x-claude-code-agent-id": "a"},
        {"x-openai-subagent": "collab_spawn", "thread-id": "t"},
        {"x-parent-session-id": "p"},
    ):
        request = Incoming("messages", "/v1/messages", "m", True, headers, {"messages": [], "tools": [{"name": "x"}]})
        assert request.purpose == "subagent"


async def test_numbers_count_main_requests_and_not_retries(wire: Any) -> None:
    """The second time the same body comes it keeps its number, though ``stream`` and key order differ."""
    seen = []
    wire.script(lambda request: seen.append(request.nth) or say("ok"))
    for text in ("a", "a", "b"):
        await wire.messages(
            messages=[
                {"role": "user", "content": "start"},
                {"role": "assistant", "content": "x"},
                {"role": "user", "content": text},
            ]
        )
    assert seen == [1, 1, 2]


def test_schema_instances_follow_their_schema() -> None:
    """Required properties only, enums by their first value."""
    made = instance(
        {
            "type": "object",
            "required": ["a", "b", "c"],
            "properties": {
                "a": {"enum": ["x", "y"]},
                "b": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
                "c": {"type": ["string", "null"]},
                "d": STRING,
            },
        }
    )
    assert json.dumps(made) == '{"a": "x", "b": [1], "c": "ok"}'


async def test_the_clock_by_hand_and_by_itself() -> None:
    """By hand, sleepers wait for their time; by itself, sleeping moves the clock and equal sleeps do not add up."""
    clock = Clock(100.0, auto=False)
    sleeper = asyncio.create_task(clock.sleep(10))
    await asyncio.sleep(0)
    clock.advance(9)
    await asyncio.sleep(0)
    assert not sleeper.done()
    clock.advance(1)
    await sleeper
    auto = Clock(0.0)
    await asyncio.gather(*(auto.sleep(30) for _ in range(5)))
    assert auto() == 30
    with pytest.raises(ValueError, match="backwards"):
        auto.advance(-1)
