"""Gemini's own protocol through the gateway: decided, priced, switched by its path, and byte for byte otherwise."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pointsman.core.events import Finished, Routed
from pointsman.sandbox.clock import Clock
from pointsman.sandbox.provider import Provider
from pointsman.sandbox.reply import Call, say
from pointsman.settings import Settings
from pointsman.shell.gateway import Gateway
from shell.support import events, only, until

KEY = {"x-goog-api-key": "k", "content-type": "application/json", "user-agent": "GeminiCLI/0.61.0/gemini-2.5-pro (linux; x64)"}
STREAM, WHOLE = "streamGenerateContent?alt=sse", "generateContent"
LONG = "Mend the test. " * 2_000


def body(*talk: dict[str, Any]) -> bytes:
    """A request as Gemini CLI writes it."""
    first = {"role": "user", "parts": [{"text": LONG}]}
    tool = {"name": "read_file", "parametersJsonSchema": {"type": "object", "properties": {"file_path": {"type": "string"}}}}
    return json.dumps({"contents": [first, *talk], "tools": [{"functionDeclarations": [tool]}],
                       "generationConfig": {"temperature": 1, "topP": 0.95}}).encode()  # fmt: skip


@asynccontextmanager
async def served(tmp_path: Path, **settings: Any) -> AsyncIterator[tuple[Provider, str, Path]]:
    """A provider whose model calls a tool, and a gateway in front of it."""
    ledger = tmp_path / "ledger.db"
    async with (
        Provider(script=lambda request: say("I read it.", Call("read_file", {"file_path": "x"})), clock=Clock(0.0)) as provider,
        Gateway(settings=Settings(**settings), upstream=provider.url, ledger=ledger, port=0) as gateway,
    ):
        yield provider, gateway.url, ledger


async def ask(url: str, model: str, how: str, data: bytes) -> tuple[int, bytes, str]:
    """One request; status, body and content type of its answer."""
    to = f"{url}/v1beta/models/{model}:{how}"
    async with aiohttp.ClientSession() as client, client.post(to, data=data, headers=KEY) as done:
        return done.status, await done.read(), done.content_type


@pytest.mark.parametrize("how", [STREAM, "streamGenerateContent", WHOLE])
async def test_a_request_is_decided_priced_and_left_as_it_is(tmp_path: Path, how: str) -> None:
    async with served(tmp_path) as (provider, url, ledger):
        await ask(url, "gemini-2.5-pro", how, body())
        status, text, _ = await ask(url, "gemini-2.5-pro", how, body())
        bare = await ask(provider.url, "gemini-2.5-pro", how, body())
        first, second = provider.requests[:2]
        assert status == 200 and first.raw == second.raw == body() and first.path == f"/v1beta/models/gemini-2.5-pro:{how}"
        assert len(text) == len(bare[1])
    routed, finished = events(ledger, Routed), events(ledger, Finished)
    assert [event.request.protocol for event in routed] == ["gemini"] * 2 and routed[0].request.client == "gemini"
    assert finished[1].usage.cache_read == second.bill.read > 0, "cachedContentTokenCount is read"
    assert finished[1].usage.prompt == second.bill.prompt and finished[1].stop == "tool"


async def test_another_model_is_another_path_and_the_signatures_come_back(tmp_path: Path) -> None:
    async with served(tmp_path, schedule="2:gemini-3.8-flash,3:asked") as (provider, url, ledger):
        talk: list[dict[str, Any]] = []
        for _ in range(3):
            status, text, _ = await ask(url, "gemini-4-argon", WHOLE, body(*talk))
            assert status == 200, text
            answer = json.loads(text)["candidates"][0]["content"]
            response = {"functionResponse": {"name": "read_file", "response": {"output": "x"}}}
            talk += [answer, {"role": "user", "parts": [response]}]
        assert [record.model for record in provider.requests] == ["gemini-4-argon", "gemini-3.8-flash", "gemini-4-argon"]
        assert provider.requests[2].body["contents"][1] == talk[0] and "thoughtSignature" in talk[0]["parts"][1]
        before, back = provider.requests[0].bill, provider.requests[2].bill
        assert before is not None and back is not None and back.read >= 0.99 * (before.prompt // 128 * 128)
    assert [event.decision.reason for event in events(ledger, Routed)][1] == "schedule"


async def test_a_client_that_hangs_up_stops_the_provider(tmp_path: Path) -> None:
    async with served(tmp_path) as (provider, url, ledger):
        provider.clock, provider.speed = Clock(), 1.0
        provider.script = lambda request: say("word " * 4_000, seconds=30.0)
        async with aiohttp.ClientSession() as client:
            async with client.post(f"{url}/v1beta/models/gemini-2.5-pro:{STREAM}", data=body(), headers=KEY) as done:
                await done.content.readany()
        await until(lambda: events(ledger, Finished))
        await until(lambda: provider.cancelled == 1)
    assert only(events(ledger, Finished)).stop == "hangup"


async def test_a_token_count_answers_for_the_asked_model_and_is_no_turn(tmp_path: Path) -> None:
    async with served(tmp_path) as (provider, url, ledger):
        status, text, _ = await ask(url, "gemini-2.5-pro", "countTokens", body())
        assert status == 200 and json.loads(text)["totalTokens"] > 1_000
    assert all(event.request.purpose == "count" for event in events(ledger, Routed))
