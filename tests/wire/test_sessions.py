"""Every recorded session of a real client: each request is read, passes unchanged byte for byte, and moves by a splice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pointsman.core.targets import Target
from pointsman.core.types import Config, Request
from pointsman.shell import recording
from pointsman.wire import Memo, Tap, protocol_of, read, read_json_response, write

FOLDER = Path(__file__).parents[2] / "sessions"
FILES = sorted(FOLDER.glob("*.jsonl"))
CLIENTS = {
    "claude_code": "claude", "claude_sdk": "claude", "codex": "codex", "opencode": "opencode", "aider": "aider", "qwen": "qwen",
    "gemini": "gemini", "cline": "cline", "mini": "mini",
}  # fmt: skip

UNMARKED = "cline-gpt-4-1-subagent"
"""Its agent has a system prompt that the model wrote: only the run it came through tells whose it is."""

pytestmark = pytest.mark.skipif(not FILES, reason="no recorded sessions in sessions/")


def exchanges(file: Path) -> list[tuple[recording.Exchange, bytes, Request]]:
    """The requests of a recording that we read, through one memo."""
    memo, found = Memo(), []
    for exchange in recording.load(file).exchanges:
        protocol = protocol_of(exchange.method, exchange.path)
        if protocol is not None and exchange.body is not None:
            body = exchange.body if isinstance(exchange.body, bytes) else exchange.body.encode()
            headers = {name.lower(): value for name, value in exchange.headers.items()}
            found.append((exchange, body, read(protocol, exchange.path, headers, body, memo=memo)))
    return found


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def file(request: pytest.FixtureRequest) -> Path:
    """One recorded session."""
    path: Path = request.param
    return path


def test_every_request_is_read_as_its_client_meant_it(file: Path) -> None:
    found = exchanges(file)
    assert found
    client = next((name for prefix, name in CLIENTS.items() if file.name.startswith(prefix)), None)
    for _, body, request in found:
        ours = request.client == client or file.stem == UNMARKED and request.client == "unknown"
        assert client is None or ours
        assert request.size == len(body) and request.chars <= len(body) and request.body_hash
    turns = [request for _, _, request in found if request.purpose == "turn"]
    assert turns and any(message.kind == "prompt" for message in turns[0].messages)
    sessions = {request.session for request in turns}
    assert len(sessions) == 1, f"one conversation, but {sessions}"


def test_histories_grow_from_request_to_request(file: Path) -> None:
    """Within a lane, what was sent is the start of what is sent next, until a summary replaces it."""
    lanes: dict[tuple[str | None, int, int], Request] = {}
    shared = 0
    for _, _, request in exchanges(file):
        if request.purpose != "turn":
            continue
        lane = (request.agent, request.system, request.tools)
        before = lanes.get(lane)
        if before is not None and before.messages[0].hash == request.messages[0].hash:
            kept = sum(a.hash == b.hash for a, b in zip(before.messages, request.messages, strict=False))
            shared += kept
        lanes[lane] = request
    assert shared > 0


def test_undecided_requests_go_on_as_the_same_object(file: Path) -> None:
    for exchange, body, request in exchanges(file):
        out, path = write(
            request.protocol, exchange.path, body, request, Config(request.model, request.effort), Target(request.model)
        )
        assert out is body and path is exchange.path


def test_only_the_model_differs_where_a_like_model_is_chosen(file: Path) -> None:
    like = Target(
        "another-model",
        known=True,
        thinking=("adaptive", "enabled", "none"),
        tools=True,
        system_messages=True,
        effort_messages=True,
        tool_reference=True,
        fast=True,
        efforts=("none", "low", "medium", "high", "xhigh", "max"),
    )
    for exchange, body, request in exchanges(file):
        out, path = write(request.protocol, exchange.path, body, request, Config("another-model"), like)
        if request.protocol == "gemini":
            assert out is body and path == exchange.path.replace(f"/models/{request.model}:", "/models/another-model:")
            continue
        assert json.loads(out) == {**json.loads(body), "model": "another-model"}
        assert len(out) - len(body) == len("another-model") - len(request.model)


def test_an_older_model_gets_a_body_it_takes(file: Path) -> None:
    older = Target("older-model", known=True, thinking=("enabled", "none"), tools=True, max_output=64_000)
    for exchange, body, request in exchanges(file):
        out, _ = write(request.protocol, exchange.path, body, request, Config("older-model"), older)
        sent = json.loads(out)
        if request.protocol != "messages":
            continue
        assert all(message["role"] != "system" and "output_config" not in message for message in sent["messages"])
        assert "effort" not in sent.get("output_config", {}) and sent.get("max_tokens", 0) <= 64_000
        assert sent.get("thinking", {}).get("budget_tokens", 0) < sent.get("max_tokens", 1)
        assert sent["system"] == json.loads(body)["system"] if "system" in sent else True


def test_every_answer_is_tapped_byte_for_byte(file: Path) -> None:
    for exchange, _, request in exchanges(file):
        response = exchange.response
        if response is None or response.status != 200:
            continue
        if response.body is not None:
            usage, _, stop = read_json_response(request.protocol, response.body.encode())
            assert stop != "error" and (usage is None) == (request.purpose == "count")
            continue
        stream = "".join(response.events).encode()
        tap = Tap(request.protocol)
        events = [event for start in range(0, len(stream), 997) for event in tap.feed(stream[start : start + 997])]
        assert b"".join(events) + tap.rest() == stream
        assert tap.problem is None and tap.model == request.model
        assert tap.complete == (response.stop == "end")
        if tap.complete:
            assert tap.usage is not None and tap.usage.prompt > 0 and tap.stop is not None
            assert [tap.terminal(event) for event in events].index(True) == len(events) - 1
