"""The digest an advisor gets: what matters first, inside its budget, from any protocol; the question, and the answer heard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pointsman.core.targets import Target
from pointsman.shell import recording
from pointsman.wire import protocol_of
from pointsman.wire.advice import CHARS_PER_TOKEN, clipped, digest, steps
from pointsman.wire.asking import Hearing, path, question

FILES = sorted((Path(__file__).parents[2] / "sessions").glob("*.jsonl"))
FAILING = (
    "============ short test summary info ============\nFAILED tests/test_sum.py::test_add\n==== 1 failed, 3 passed in 0.1s ===="
)


def claude() -> bytes:
    history: list[dict[str, Any]] = [
        {"role": "user", "content": [{"type": "text", "text": "<system-reminder>\nnoise\n</system-reminder>"},
                                     {"type": "text", "text": "Make add() right."}]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "SECRET REASONING", "signature": "c2ln"},
            {"type": "text", "text": "First a plan."},
            {"type": "tool_use", "id": "t1", "name": "TodoWrite", "input": {"todos": [{"content": "mend add"}]}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "ok"}]},
        {"role": "assistant", "content": [
            {"type": "tool_use", "id": "t2", "name": "Edit",
             "input": {"file_path": "sum.py", "old_string": "a-b", "new_string": "a+b"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t2", "content": "done"}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t3", "name": "Bash", "input": {"command": "pytest -q"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t3", "content": FAILING, "is_error": True}]},
    ]  # fmt: skip
    return json.dumps({"model": "m", "system": "NEVER SHOWN", "messages": history}).encode()


def test_it_holds_task_plan_failures_changes_and_the_question() -> None:
    text = digest("messages", claude(), "claude", tokens=15_000, question="Why red?", focus="sum.py")
    for words in ("Make add() right.", "mend add", "test_add", "a+b", "pytest -q", "Why red?", "Look at: sum.py", "-> failed"):
        assert words in text, words
    for words in ("NEVER SHOWN", "SECRET REASONING", "noise"):
        assert words not in text
    heads = [line for line in text.splitlines() if line.startswith("# ")]
    assert heads == ["# What the user wants", "# What the working model asks", "# Its plan", "# Recent failures, newest first",
                     "# Changes so far, newest first", "# Its last steps"]  # fmt: skip


@pytest.mark.parametrize("tokens", [500, 2_000, 15_000])
def test_it_keeps_its_budget_and_the_ends_of_long_outputs(tokens: int) -> None:
    value = json.loads(claude())
    value["messages"][0]["content"][1]["text"] = "Make add() right. " + "word " * 60_000
    value["messages"][-1]["content"][0]["content"] = "line\n" * 40_000 + FAILING
    text = digest("messages", json.dumps(value).encode(), "claude", tokens=tokens)
    assert len(text) <= tokens * CHARS_PER_TOKEN * 1.02 + 300
    assert "Make add() right." in text and "1 failed, 3 passed" in text


def test_the_same_work_in_the_other_protocols() -> None:
    call = {"name": "shell", "arguments": '{"command":"pytest -q"}'}
    chat = [{"role": "system", "content": "s"}, {"role": "user", "content": "Make add() right."},
            {"role": "assistant", "content": "I run it.", "tool_calls": [{"id": "c", "type": "function", "function": call}]},
            {"role": "tool", "tool_call_id": "c", "content": FAILING}]  # fmt: skip
    responses = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Make add() right."}]},
                 {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I run it."}]},
                 {"type": "function_call", "call_id": "c", **call},
                 {"type": "function_call_output", "call_id": "c", "output": FAILING}]  # fmt: skip
    gemini = [{"role": "user", "parts": [{"text": "Make add() right."}]},
              {"role": "model", "parts": [{"text": "I run it."},
                                          {"functionCall": {"name": "shell", "args": {"command": "pytest -q"}}}]},
              {"role": "user", "parts": [{"functionResponse": {"name": "shell", "response": {"output": FAILING}}}]}]  # fmt: skip
    for protocol, body in (("chat", {"messages": chat}), ("responses", {"input": responses}), ("gemini", {"contents": gemini})):
        text = digest(protocol, json.dumps(body).encode(), "other", tokens=4_000)  # type: ignore[arg-type]
        assert all(words in text for words in ("Make add() right.", "test_add", "pytest -q", "I run it.")), (protocol, text)


@pytest.mark.parametrize("history", [None, "text", [None, 3], [{"role": 5}], [{"role": "user", "content": {"a": 1}}]])
def test_what_it_cannot_read_is_left_out(history: Any) -> None:
    assert steps("messages", "claude", history) == []
    assert digest("messages", json.dumps({"messages": history}).encode(), "claude", tokens=1_000) == ""


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_recorded_session_gives_one(file: Path) -> None:
    bodies = []
    for exchange in recording.load(file).exchanges:
        protocol = protocol_of(exchange.method, exchange.path)
        if protocol is not None and exchange.body is not None:
            bodies.append((protocol, exchange.body if isinstance(exchange.body, bytes) else exchange.body.encode()))
    protocol, body = max(bodies, key=lambda pair: len(pair[1]))
    text = digest(protocol, body, file.stem.partition("_")[0].partition("-")[0], tokens=15_000)
    assert 20 < len(text) <= 15_000 * CHARS_PER_TOKEN * 1.02 + 300


def test_cutting_keeps_both_ends() -> None:
    text = clipped("begin " + "x" * 1_000 + " end", 100)
    assert text.startswith("begin") and text.endswith("end") and len(text) <= 100
    assert clipped("short", 100) == "short" and clipped("x" * 100, 20) == ""


@pytest.mark.parametrize("protocol", ["messages", "responses", "chat", "gemini"])
def test_the_question_in_each_protocol(protocol: Any) -> None:
    value = json.loads(question(protocol, "adviser", Target("adviser", efforts=("low", "high")), "DIGEST", 2_048))
    assert "DIGEST" in json.dumps(value) and "asked for advice" in json.dumps(value) and 2_048 in _numbers(value)
    assert ":streamGenerateContent" in path(protocol, "adviser", None) if protocol == "gemini" else value["stream"] is True
    assert path("messages", "m", "/v1/messages?beta=true") == "/v1/messages?beta=true"


def _numbers(value: Any) -> list[int]:
    rows = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [n for row in rows for n in ([row] if isinstance(row, int) else _numbers(row))]


def test_a_login_is_recognised_by_what_its_client_says_of_itself() -> None:
    own = json.dumps({"system": [{"type": "text", "text": "billing", "cache_control": {}}, {"type": "text", "text": "who"},
                                 {"type": "text", "text": "manual"}],
                      "metadata": {"user_id": "u"}, "messages": []}).encode()  # fmt: skip
    value = json.loads(question("messages", "adviser", Target("adviser"), "D", 100, like=own))
    assert [block["text"] for block in value["system"]][:2] == ["billing", "who"] and "manual" not in json.dumps(value)
    assert value["metadata"] == {"user_id": "u"} and "cache_control" not in json.dumps(value)
    codex = json.dumps({"instructions": "codex", "input": []}).encode()
    value = json.loads(question("responses", "adviser", Target("adviser"), "D", 100, like=codex))
    assert value["instructions"] == "codex" and "max_output_tokens" not in value and value["input"][0]["role"] == "developer"


def test_an_answer_is_heard_whatever_chunks_it_comes_in() -> None:
    events = [
        {"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 9, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "no"}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Look "}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "here."}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}},
        {"type": "message_stop"},
    ]
    data = b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events)
    for size in (1, 7, len(data)):
        heard = Hearing("messages")
        for start in range(0, len(data), size):
            heard.feed(data[start : start + size])
        heard.end()
        assert heard.text == "Look here." and heard.whole and heard.usage is not None and heard.usage.output == 7
    half = Hearing("messages")
    half.feed(data[: len(data) // 2])
    half.end()
    assert not half.whole and half.usage is not None and not half.usage.complete


@pytest.mark.parametrize("protocol", ["messages", "chat", "responses", "gemini"])
def test_messages_of_odd_shapes_are_left_out_of_the_digest(protocol: Any) -> None:
    odd: list[Any] = [
        5, None, {}, {"role": "model", "parts": [{"text": None}]}, {"role": "model", "parts": {"text": "x"}},
        {"role": "user", "parts": [{"functionResponse": {"response": "text"}}]},
        {"role": "assistant", "content": [{"type": "text", "text": 5}]}, {"role": "assistant", "tool_calls": [{"function": 4}]},
        {"role": "user", "content": [{"type": "tool_result", "content": {"a": 1}}, 4]},
        {"type": "function_call_output", "output": 7}, {"type": "function_call", "name": None, "arguments": 5},
    ]  # fmt: skip
    name = {"responses": "input", "gemini": "contents"}.get(protocol, "messages")
    whole = (
        {"role": "user", "parts": [{"text": "Mend add."}]} if protocol == "gemini" else {"role": "user", "content": "Mend add."}
    )
    body = json.dumps({name: [*odd, whole]}).encode()
    assert "Mend add." in digest(protocol, body, "opencode", tokens=500)
    assert digest(protocol, json.dumps({name: {"a": 1}}).encode(), "gemini", tokens=500) == ""
