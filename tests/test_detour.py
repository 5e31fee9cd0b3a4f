"""A detour to a model that needs the history in another form, and the way back: no answer may be a 400 (WIRE.md 3)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from pointsman.core.events import Routed
from pointsman.sandbox import Provider
from pointsman.sandbox.provider import Incoming, Reply
from pointsman.sandbox.reply import Thinking, say
from pointsman.settings import Settings
from pointsman.shell import control
from pointsman.shell.gateway import Gateway
from pointsman.wire import rewritten, unbound
from pointsman.wire.binding import BETA
from shell.support import PATHS, client, events, headers

SESSION = {"x-claude-code-session-id": "5b1a7c9e-0000-4000-8000-000000000007"}
TOOLS = [
    {"name": "Write", "description": "Write a file", "input_schema": {"type": "object", "properties": {}}},
    {"name": "DeferredToolPlaceholder", "description": "", "input_schema": {"type": "object"}, "defer_loading": True},
]


def think(request: Incoming) -> Reply:
    """An answer with a thinking block, sealed to the history it was written after."""
    return say(Thinking(f"thought {request.turn}"), f"answer {request.turn}")


class Talk:
    """Asks through the gateway and keeps the history as a client does."""

    def __init__(self, http: Any, gateway: Gateway, model: str, sent: dict[str, str] | None = None) -> None:
        self._http, self._gateway, self._model, self._sent = http, gateway, model, sent or {}
        self._messages: list[dict[str, Any]] = []

    async def ask(self, text: str) -> int:
        """Status of one more turn; the answer goes into the history."""
        self._messages.append({"role": "user", "content": text})
        if len(self._messages) == 1:
            self._messages.append({"role": "system", "content": "Today is Sunday."})
        given = {
            "model": self._model, "max_tokens": 32_000, "thinking": {"type": "adaptive"}, "tools": TOOLS, "stream": False,
            "messages": self._messages,
        }
        sent = {**headers("messages"), **SESSION, **self._sent}
        async with self._http.post(self._gateway.url + PATHS["messages"], data=json.dumps(given), headers=sent) as answer:
            if answer.status == 200:
                self._messages.append({"role": "assistant", "content": (await answer.json())["content"]})
            return int(answer.status)

    async def pin(self, model: str | None) -> None:
        """Pin, or unpin with None."""
        session = {"session": SESSION["x-claude-code-session-id"]}
        action, given = ("pin", {**session, "model": model}) if model else ("unpin", session)
        await asyncio.to_thread(control.call, self._gateway.found, action, given)


@pytest.mark.parametrize("detour", ["claude-haiku-5-5", "claude-sonnet-4-5", "claude-haiku-4-5", "claude-sonnet-5-5"])
async def test_every_answer_of_a_detour_and_of_the_way_back_is_a_200(detour: str, tmp_path: Path) -> None:
    async with Provider(script=think) as provider, client() as http:
        gateway = Gateway(Settings(), upstream=provider.url, ledger=tmp_path / "ledger.db", say=lambda sentence: None)
        async with gateway:
            talk = Talk(http, gateway, "claude-opus-5-5")
            assert await talk.ask("one") == 200
            await talk.pin(detour)
            assert [await talk.ask("two"), await talk.ask("three")] == [200, 200]
            await talk.pin(None)
            assert [await talk.ask("four"), await talk.ask("five")] == [200, 200]
        assert [record.status for record in provider.requests] == [200] * 5
        assert [record.model for record in provider.requests] == ["claude-opus-5-5", detour, detour] + ["claude-opus-5-5"] * 2
        back = provider.requests[-1]
    moved = [event.rewritten for event in events(tmp_path / "ledger.db", Routed)]
    assert moved == [False, *[detour != "claude-sonnet-5-5"] * 2, False, False]
    assert ("block_binding" in back.json["thinking"]) is moved[1]
    assert (BETA in back.headers.get("anthropic-beta", "")) is moved[1]


async def test_a_beta_that_the_other_model_refuses_stays_behind_and_comes_back(tmp_path: Path) -> None:
    betas = "claude-code-20250219,effort-2025-11-24,per-turn-control-2026-07-01"
    async with Provider(script=think) as provider, client() as http:
        gateway = Gateway(Settings(), upstream=provider.url, ledger=tmp_path / "ledger.db", say=lambda sentence: None)
        async with gateway:
            talk = Talk(http, gateway, "claude-opus-5-5", {"anthropic-beta": betas})
            assert await talk.ask("one") == 200
            await talk.pin("claude-haiku-4-5")
            assert await talk.ask("two") == 200
            await talk.pin(None)
            assert await talk.ask("three") == 200
        assert [record.model for record in provider.requests] == ["claude-opus-5-5", "claude-haiku-4-5", "claude-opus-5-5"]
        first, away, back = [record.headers["anthropic-beta"] for record in provider.requests]
        assert first == betas and away == "claude-code-20250219,per-turn-control-2026-07-01" and back.startswith(betas)


def test_only_the_binding_is_added_and_the_clients_own_word_stays() -> None:
    body = b'{"model":"m", "thinking": {"type":"adaptive"},"messages":[]}'
    new, sent = unbound(body, {"Anthropic-Beta": "a-1, b-2", "x": "y"})
    assert new == body.replace(b'"adaptive"', b'"adaptive","block_binding":{"prefix_mismatch_behavior":"drop_block"}')
    assert sent == {"Anthropic-Beta": f"a-1, b-2,{BETA}", "x": "y"}
    given = {"x": "y"}
    assert unbound(new, given) == (new, given)
    assert unbound(b'{"model":"m"}', given) == (b'{"model":"m"}', given)


def test_a_changed_model_or_effort_is_no_other_history() -> None:
    body = b'{"model":"m","system":"s","messages":[{"role":"user","content":"hi"}]}'
    assert not rewritten(body, body.replace(b'"m"', b'"n"'))
    assert rewritten(body, body.replace(b'"s"', b'"t"')) and rewritten(body, body.replace(b"hi", b"ho"))
