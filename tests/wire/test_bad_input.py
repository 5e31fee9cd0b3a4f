"""Bodies that cannot be read: one precise sentence each, and never anything but a WireError."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.core.globs import DEFAULTS, Watch
from pointsman.core.types import Protocol
from pointsman.errors import WireError
from pointsman.wire import is_count, protocol_of, read

GOOD = b'{"model":"claude-opus-5-5","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}'


@pytest.mark.parametrize(
    ("protocol", "body", "words"),
    [
        ("messages", {"messages": []}, "no `model`"),
        ("messages", {"model": "", "messages": []}, "`model` is empty"),
        ("messages", {"model": 7, "messages": []}, "`model` is a number, not a string"),
        ("chat", {"model": "m\x1b[2J", "messages": []}, "cannot be printed"),
        ("messages", {"model": "m" * 400, "messages": []}, "`model` has 400 characters"),
        ("chat", {"model": "m", "messages": [], "reasoning_effort": "h" * 400}, "`reasoning_effort` has 400 characters"),
        ("responses", {"model": "m", "input": [], "reasoning": {"effort": "\x1b[2J"}}, "`reasoning.effort` holds char"),
        ("messages", {"model": "m", "messages": [], "service_tier": "\x07"}, "`service_tier` holds characters that cannot be"),
        ("messages", {"model": "m", "messages": [{"role": "u" * 41, "content": "a"}]}, r"messages\[0\] has a role of 41"),
        ("messages", {"model": "m", "messages": [{"role": "system", "content": [], "output_config": {"effort": "\n"}}]},
         "an effort in the history holds characters"),
        ("messages", {"model": "m"}, "no `messages`"),
        ("messages", {"model": "m", "messages": {}}, "`messages` is not an array"),
        ("messages", {"model": "m", "messages": ["hi"]}, r"messages\[0\] is a string, not an object"),
        ("messages", {"model": "m", "messages": [{"content": "x"}]}, r"messages\[0\] has no role"),
        (
            "messages",
            {"model": "m", "messages": [{"role": "user", "content": 1}]},
            r"messages\[0\] has a content that is a number",
        ),
        ("messages", {"model": "m", "messages": [{"role": "user", "content": [[]]}]}, "content block that is an array"),
        ("messages", {"model": "m", "messages": [], "max_tokens": "9"}, "`max_tokens` is a string, not a whole number"),
        ("messages", {"model": "m", "messages": [], "max_tokens": -1}, "`max_tokens` is -1"),
        ("messages", {"model": "m", "messages": [], "stream": 1}, "`stream` is a number, not a boolean"),
        ("messages", {"model": "m", "messages": [], "tools": {}}, "`tools` is an object, not an array"),
        ("messages", {"model": "m", "messages": [], "system": 3}, "`system` is a number"),
        ("messages", {"model": "m", "messages": [], "output_config": {"effort": 3}}, "`output_config.effort` is not a string"),
        ("chat", {"model": "m", "messages": [{"role": "system", "content": "s"}, 4]}, r"messages\[1\] is a number"),
        ("responses", {"model": "m"}, "no `input`"),
        ("responses", {"model": "m", "input": 4}, "`input` is not an array"),
        ("gemini", {"contents": [{"parts": [4]}]}, r"contents\[0\] holds a part that is a number, not an object"),
    ],
)
def test_a_wrong_field_is_named(protocol: Protocol, body: dict[str, Any], words: str) -> None:
    path = "/v1beta/models/gemini-2.5-pro:generateContent"
    with pytest.raises(WireError, match=words):
        read(protocol, path, {}, json.dumps(body).encode())


@pytest.mark.parametrize("cut", range(0, len(GOOD)))
def test_a_truncated_body_is_refused(cut: int) -> None:
    with pytest.raises(WireError):
        read("messages", "/v1/messages", {}, GOOD[:cut])


def test_a_body_that_is_not_utf8_is_refused_wherever_it_matters() -> None:
    for body in (GOOD.replace(b"hi", b"h\xff"), GOOD.replace(b"opus", b"\xe9"), b"\xff\xfe" + GOOD):
        with pytest.raises(WireError, match="UTF-8|JSON"):
            read("messages", "/v1/messages", {}, body)


def test_a_body_nested_too_deep_is_refused() -> None:
    deep = b"[" * 200_000 + b"]" * 200_000
    with pytest.raises(WireError):
        read("messages", "/v1/messages", {}, GOOD.replace(b'"hi"', deep))


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for protocol in ("messages", "chat", "responses", "gemini"):
        with pytest.raises(WireError):
            read(protocol, "/v1beta/models/m:generateContent", {}, body)  # type: ignore[arg-type]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "role", "content", "text", "source", "parts", "output"]), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(st.lists(VALUES, max_size=3), VALUES, st.sampled_from(["messages", "chat", "responses", "gemini"]))
def test_any_json_is_read_or_refused(history: list[Any], other: Any, protocol: Protocol) -> None:
    body = {"model": "m", "messages": history, "input": history, "contents": history, "system": other, "thinking": other,
            "systemInstruction": other, "instructions": other, "metadata": other, "generationConfig": other}  # fmt: skip
    try:
        read(
            protocol, "/v1beta/models/m:generateContent", {"x-codex-turn-metadata": json.dumps(other)}, json.dumps(body).encode()
        )
    except WireError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("method", "path", "protocol", "count"),
    [
        ("POST", "/v1/messages?beta=true", "messages", False),
        ("POST", "/run/r7/v1/messages", "messages", False),
        ("POST", "/v1/messages/count_tokens?beta=true", "messages", True),
        ("POST", "/v1/messages/batches", None, False),
        ("GET", "/v1/models?limit=1000", None, False),
        ("HEAD", "/api/hello", None, False),
        ("POST", "/v1/chat/completions", "chat", False),
        ("POST", "/api/paas/v4/chat/completions", "chat", False),
        ("POST", "/v1/completions", None, False),
        ("POST", "/v1/embeddings", None, False),
        ("POST", "/v1/responses", "responses", False),
        ("GET", "/v1/responses", None, False),
        ("POST", "/v1/responses/resp_1/cancel", None, False),
        ("POST", "/v1/responses/input_tokens", "responses", True),
        ("POST", "/backend-api/codex/responses", "responses", False),
        ("POST", "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse", "gemini", False),
        ("POST", "/v1beta/models/gemini-2.5-pro:countTokens", "gemini", True),
        ("POST", "/v1beta/models/gemini-2.5-pro:embedContent", None, False),
    ],
)
def test_the_protocol_is_told_by_the_path(method: str, path: str, protocol: str | None, count: bool) -> None:
    assert protocol_of(method, path) == protocol
    assert is_count(path) is count


def test_an_id_with_terminal_escapes_is_shown_without_them() -> None:
    user = json.dumps({"session_id": "s-1\x1b[31m\x07\u202e\r\n"})
    body = json.dumps({**json.loads(GOOD), "metadata": {"user_id": user}}).encode()
    options: dict[str, Any] = {"run": None, "memo": None, "titles": True}
    assert read("messages", "/v1/messages", {"user-agent": "claude-cli/2.1"}, body, **options).session == "s-1?[31m????"
    headers = {"x-claude-code-session-id": "s-\udc9b", "user-agent": "claude-cli/2.1"}
    assert read("messages", "/v1/messages", headers, GOOD, **options).session == "s-?"


def test_a_model_in_a_path_is_a_name_too() -> None:
    with pytest.raises(WireError, match="the model in the path has 500 characters"):
        read("gemini", f"/v1beta/models/{'m' * 500}:generateContent", {}, b'{"contents":[]}')


@pytest.mark.parametrize("folder", ["/home/x/" + "and then do as follows: " * 60, "/home/\x1b[2J"])
def test_a_sentence_behind_a_folders_marker_is_no_folder(folder: str) -> None:
    """The folder of a session is kept, and shown in terminals; prompt text is neither."""
    body = {**json.loads(GOOD), "system": f"You help.\nWorking directory: {folder}"}
    assert read("messages", "/v1/messages", {}, json.dumps(body).encode()).cwd is None
    wide = {**json.loads(GOOD), "system": "You help.\nWorking directory: /home/企画\u3000書"}
    assert read("messages", "/v1/messages", {}, json.dumps(wide).encode()).cwd == "/home/企画\u3000書"


def test_arguments_nested_deeper_than_anybody_can_read_are_passed_over() -> None:
    """They are a text inside the body: the body itself can be read, and with it every later request of the session."""
    call = {"id": "c1", "type": "function", "function": {"name": "bash", "arguments": '{"a":' * 5_000 + "1" + "}" * 5_000}}
    body = {"model": "m", "messages": [{"role": "assistant", "content": None, "tool_calls": [call]}]}
    assert read("chat", "/v1/chat/completions", {}, json.dumps(body).encode(), watch=Watch(DEFAULTS)).messages
