"""Histories that nobody meant: of a third tool, with signatures of others, with ids twice or of nobody (issue 6, bad input)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pointsman.core.events import FailedOver, Finished, Noted
from pointsman.sandbox import Incoming, Provider, Reply, Thinking, faults, say, use
from pointsman.settings import Settings
from pointsman.shell.gateway import Gateway
from shell.speaking import Speaking
from shell.support import client, events, only, serving
from shell.test_translate import both, keys, pin

__all__ = ["keys"]

CODES = {"not_translated", "refused_change", "fail_open", "answer_unread", "usage_unreadable"}


def words(request: Incoming) -> Reply:
    return say("Here.")


def said(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def call(id: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": "Bash", "input": {"command": "ls"}}


def result(id: str) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id, "content": "a.py"}


def thought(signature: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": "hm", "signature": signature}


THIRD = [
    user(text("go")), said(call("functions.Bash:0")), user(result("functions.Bash:0")),
    said(call("functions.Bash:0"), call("x" * 90)), user(result("functions.Bash:0"), result("x" * 90)),
    said(text("")), user(result("nobody"), text("on")), said(call("left-open")), said(text("interrupted")), user(),
]  # fmt: skip
"""Ids that Claude would not take, one of them twice; a result of nobody's call, a call that was never answered, empty turns."""

CHAT = [
    {"role": "user", "content": "go"},
    {"role": "assistant", "content": "", "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "bash", "arguments": "{}"}},
        {"id": "call_1", "type": "function", "function": {"name": "bash", "arguments": "{}"}}]},
    {"role": "tool", "tool_call_id": "call_1", "content": "one"}, {"role": "tool", "tool_call_id": "call_9", "content": "lost"},
    {"role": "assistant", "content": None}, {"role": "user", "content": "on"},
]  # fmt: skip

ITEMS = [
    {"type": "message", "role": "user", "content": "go"},
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "of-another-organization"},
    {"type": "function_call", "call_id": "a", "name": "exec_command", "arguments": "{}"},
    {"type": "function_call", "call_id": "a", "name": "exec_command", "arguments": "not json"},
    {"type": "function_call_output", "call_id": "a", "output": "one"},
    {"type": "function_call_output", "call_id": "nobody", "output": "lost"},
]  # fmt: skip


@pytest.mark.parametrize(("protocol", "history", "model"), [
    ("messages", THIRD, "gpt-6-luna"), ("messages", THIRD, "gemini-4-argon"), ("messages", THIRD, "deepseek-v4-pro"),
    ("chat", CHAT, "claude-haiku-5-5"), ("responses", ITEMS, "claude-haiku-5-5"), ("responses", ITEMS, "deepseek-v4-pro"),
])  # fmt: skip
async def test_another_vendor_takes_the_history_of_a_third_tool(
    tmp_path: Path, protocol: str, history: list[dict[str, Any]], model: str
) -> None:
    async with both(tmp_path, words, schedule=f"1:{model}") as (provider, gateway, http):
        talk = Speaking(http, gateway.url, protocol)
        talk.history += json.loads(json.dumps(history))
        assert await talk.turn("What is there?") == "Here."
        assert [(r.model, r.status) for r in provider.requests] == [(model, 200)] and talk.status == [200]
    assert not {event.code for event in events(tmp_path / "ledger.db", Noted)} & CODES


@pytest.mark.parametrize("signature", ["", "c2lnbmF0dXJl", "of another vendor", "truncat"])
async def test_a_foreign_or_truncated_signature_goes_nowhere_else_and_its_own_vendors_word_on_it_is_the_clients(
    tmp_path: Path, signature: str
) -> None:
    async with both(tmp_path, words) as (provider, gateway, http):
        talk = Speaking(http, gateway.url, "messages")
        talk.history += [user(text("go")), said(thought(signature), text("so"))]
        await talk.ask_prompt("first")
        assert talk.status == [400] and b"Invalid `signature`" in talk.raw  # the provider's words on the client's own history
        assert len(provider.requests) == 1
        await pin(gateway, talk.session, "gpt-6-luna")
        talk.history = talk.history[:2]
        assert await talk.turn("second") == "Here."
        assert provider.requests[-1].model == "gpt-6-luna" and "hm" not in json.dumps(provider.requests[-1].json["input"])


async def test_a_deployment_of_another_organization_is_asked_without_the_reasoning_it_cannot_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Encrypted reasoning is bound to who paid for it: once more without, and the way home has it again."""
    monkeypatch.setenv("SPARE_KEY", "key-of-the-spare")

    def script(request: Incoming) -> Reply:
        run = use(request, "run", command="ls")
        return say(Thinking("hm"), run) if request.step < 1 and run is not None else say(f"Turn {request.turn}.")

    async with Provider(script=script) as provider, client() as http:
        spare = {"url": f"{provider.url}/spare", "vendor": "openai", "key_env": "SPARE_KEY"}
        given = Settings(deployments={"spare": spare}, fallbacks={"openai": ["spare"]})
        async with Gateway(given, upstream=provider.url, ledger=tmp_path / "l.db", say=lambda said: None) as gateway:
            talk = Speaking(http, gateway.url, "responses")
            await talk.turn("first")
            before = len(provider.requests)
            provider.fault(faults.status(503))
            assert not await talk.ask_prompt("second") or talk.status[-1] == 200
            asked = provider.requests[before:]
            assert [(r.path.split("/")[1], r.status) for r in asked] == [("v1", 503), ("spare", 400), ("spare", 200)]
            kinds = [[item["type"] for item in r.json["input"]] for r in asked]
            assert "reasoning" in kinds[1] and kinds[2] == [kind for kind in kinds[1] if kind != "reasoning"]
            talk.history = talk.history[:-1]
            await talk.ask()
            home = provider.requests[before + 3 :]  # the client's history holds the spare's reasoning now
            assert [(r.path, r.status) for r in home] == [("/v1/responses", 400), ("/v1/responses", 200)]
            assert talk.status == [200] * 4
            talk.history.append({"type": "function_call_output", "call_id": "of nobody", "output": "x"})
            await talk.ask()
            assert talk.status[-1] == 400 and b"No tool call found" in talk.raw, "any other refusal is the provider's word"
    assert only(events(tmp_path / "l.db", FailedOver)).status == 503
    assert [done.status for done in events(tmp_path / "l.db", Finished)] == [200] * 4 + [400]


async def test_reasoning_that_cannot_be_read_is_left_out_after_a_refused_change_too(tmp_path: Path) -> None:
    asked: list[tuple[str, bool]] = []

    async def home(request: web.BaseRequest) -> web.StreamResponse:
        value = json.loads(await request.read())
        asked.append((value["model"], any(item["type"] == "reasoning" for item in value["input"])))
        if asked[-1][1]:
            return web.json_response({"error": {"code": "invalid_encrypted_content", "message": "no"}}, status=400)
        return web.json_response({"id": "r", "object": "response", "status": "completed", "model": asked[-1][0], "output": [],
                                  "usage": {"input_tokens": 9, "output_tokens": 1, "total_tokens": 10}})  # fmt: skip

    async with serving(home) as url, client() as http:
        given = Settings(deployments={"spare": {"url": f"{url}/spare", "vendor": "openai"}}, fallbacks={"openai": ["spare"]},
                         schedule="1:gpt-6-luna")  # fmt: skip
        async with Gateway(given, upstream=url, ledger=tmp_path / "l.db", say=lambda said: None) as gateway:
            talk = Speaking(http, gateway.url, "responses", stream=False)
            talk.history += json.loads(json.dumps([*ITEMS[:3], ITEMS[4]]))
            await talk.ask_prompt("on")
    model = talk.model
    assert asked == [("gpt-6-luna", True), (model, True), (model, False)] and talk.status == [200]
