"""Another vendor's model in the middle of a session, and the way back: through LiteLLM in its worker, over real HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pointsman.core.events import Finished, Noted, Routed
from pointsman.sandbox import Incoming, Provider, Reply, Script, Thinking, faults, say, use
from pointsman.sandbox.log import redacted
from pointsman.settings import Settings
from pointsman.shell import control
from pointsman.shell.gateway import Gateway
from shell.speaking import Speaking
from shell.support import PATHS, client, events, until

KEYS = {"anthropic": "key-a", "openai": "key-o", "google": "key-g", "deepseek": "key-d"}
NAMES = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY", "google": "GEMINI_API_KEY", "deepseek": "DEEPSEEK_API_KEY"}


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for vendor, name in NAMES.items():
        monkeypatch.setenv(name, KEYS[vendor])
    yield


def script(request: Incoming) -> Reply:
    """One round of two calls at once, each after some thinking, then an answer."""
    if request.step < 1:
        calls = (use(request, "run", command=f"echo {request.turn} {n}") for n in range(2))
        return say(Thinking(f"think {request.turn}"), "I run it.", *[call for call in calls if call is not None])
    return say(Thinking("done"), f"Turn {request.turn} is done.")


def talking(request: Incoming) -> Reply:
    """Words only."""
    return say(f"Turn {request.turn}: " + "words of an answer that takes its time, " * 20)


@asynccontextmanager
async def both(
    tmp_path: Path, answering: Script = script, **settings: Any
) -> AsyncIterator[tuple[Provider, Gateway, aiohttp.ClientSession]]:
    """A provider, each vendor under a path of its own, and a gateway before it."""
    async with Provider(script=answering) as provider, client() as http:
        bases = {vendor: f"{provider.url}/{vendor}" for vendor in KEYS}
        gateway = Gateway(Settings(upstreams=bases, **settings), ledger=tmp_path / "ledger.db", say=lambda sentence: None)
        async with gateway:
            yield provider, gateway, http


async def pin(gateway: Gateway, session: str, model: str | None) -> None:
    action, given = ("pin", {"session": session, "model": model}) if model else ("unpin", {"session": session})
    await asyncio.to_thread(control.call, gateway.found, action, given)


WAYS = [
    ("messages", "gpt-6-luna", True), ("messages", "gpt-6-luna", False), ("messages", "deepseek-v4-pro", True),
    ("messages", "gemini-4-argon", True), ("messages", "gemini-4-argon", False), ("messages", "claude-haiku-5-5", True),
    ("responses", "claude-haiku-5-5", True), ("responses", "claude-haiku-4-5", False), ("responses", "deepseek-v4-pro", True),
    ("responses", "gemini-4-argon", True), ("responses", "gpt-6-luna", True),
    ("chat", "claude-haiku-5-5", True), ("chat", "claude-sonnet-4-5", False), ("chat", "deepseek-v4-pro", True),
    ("chat", "gemini-4-argon", True), ("gemini", "claude-haiku-5-5", True), ("gemini", "gpt-6-luna", False),
    ("gemini", "deepseek-v4-pro", True),
]  # fmt: skip


async def test_every_way_there_and_back_is_valid_and_finds_its_cache(tmp_path: Path) -> None:
    """A to B and back to A: no request is refused, A reads all it had, B reads its own, keys and secrets stay at home."""
    async with both(tmp_path) as (provider, gateway, http):
        for n, (protocol, detour, stream) in enumerate(WAYS):
            before = len(provider.requests)
            session = f"5b1a7c9e-0000-4000-8000-0000000001{n:02}"
            talk = Speaking(http, gateway.url, protocol, stream=stream, session=session)
            await talk.turn(f"first of {n}")
            session = gateway.sessions()[-1]["session"]  # Gemini's client sends no id
            await pin(gateway, session, detour)
            assert await talk.turn("second") == "Turn 2 is done."
            await pin(gateway, session, None)
            await talk.turn("third")
            asked = provider.requests[before:]
            way = f"{protocol} to {detour}, {'stream' if stream else 'json'}"
            assert [r.status for r in asked] == [200] * 6, (way, [r.json for r in asked if r.status != 200][:1])
            assert [r.model for r in asked] == [talk.model] * 2 + [detour] * 2 + [talk.model] * 2, way
            assert talk.status == [200] * 6 and talk.calls == 6, way
            bills = [r.bill for r in asked]
            step = 128 if protocol == "gemini" else 0  # Google reports whole blocks
            assert bills[4].read >= 0.99 * bills[1].prompt - step, (way, bills)
            if detour not in ("gemini-4-argon", "claude-haiku-4-5"):  # those cache from 4,096 tokens on
                assert bills[3].read >= 0.99 * bills[2].prompt, (way, bills)
            _nothing_leaked(asked, detour, talk)
        served = [e for e in events(tmp_path / "ledger.db", Finished)]
        assert [e.usage.prompt for e in served] == [r.bill.prompt for r in provider.requests]
        assert [e.usage.cache_read for e in served] == [r.bill.read for r in provider.requests]
        codes = {e.code for e in events(tmp_path / "ledger.db", Noted)}
        assert not codes & {"not_translated", "refused_change", "fail_open", "answer_unread", "usage_unreadable"}, codes


def _nothing_leaked(asked: list[Any], detour: str, talk: Speaking) -> None:
    home = asked[0]
    for record in asked:
        text, own = json.dumps(record.json), record.model == talk.model
        vendor = record.path.split("/")[1]
        sent = {value for name, value in record.headers.items() if name in ("authorization", "x-api-key", "x-goog-api-key")}
        if own or vendor == home.path.split("/")[1]:
            assert sent <= {redacted("sk-test"), redacted("Bearer sk-test")}
            continue
        assert sent <= {redacted(KEYS[vendor]), redacted(f"Bearer {KEYS[vendor]}")}, (vendor, sent)
        assert talk.session not in text and "user-17" not in text and "example.com" not in text, text[:300]
        assert "billing-header" not in text and "web_search" not in text
        if not detour.startswith("claude"):
            assert "cache_control" not in text and '"signature"' not in text and '"thinking":' not in text
        if detour.startswith("gpt"):
            assert record.json["prompt_cache_key"].startswith("pm-") and record.json["store"] is False
    if detour.partition("-")[0] != talk.model.partition("-")[0]:
        assert "think 2" not in json.dumps(talk.history), "another vendor's reasoning never reaches the client's history"


async def test_what_it_thought_is_given_back_to_it_alone(tmp_path: Path) -> None:
    async with both(tmp_path) as (provider, gateway, http):
        talk = Speaking(http, gateway.url, "messages")
        await talk.turn("first")
        await pin(gateway, talk.session, "gpt-6-luna")
        await talk.turn("second")
        await pin(gateway, talk.session, "deepseek-v4-pro")
        await talk.turn("third")
        luna = [r.json["input"] for r in provider.requests if r.model == "gpt-6-luna"]
        kinds = [item["type"] for item in luna[-1]]
        assert kinds.count("reasoning") == 1 and kinds[kinds.index("reasoning") + 1] == "function_call"
        deep = [r.json["messages"] for r in provider.requests if r.model == "deepseek-v4-pro"]
        said = [m["reasoning_content"] for m in deep[-1] if m["role"] == "assistant"]
        assert said == [" ", " ", " ", " ", "think 3"]


async def test_another_vendors_error_is_never_the_clients(tmp_path: Path) -> None:
    async with both(tmp_path, schedule="1:gpt-6-luna") as (provider, gateway, http):
        for status in (400, 401, 429, 500, 529, 404):
            before = len(provider.requests)
            provider.fault(faults.status(status), when=lambda request: request.model == "gpt-6-luna")
            talk = Speaking(http, gateway.url, "messages", session=f"5b1a7c9e-0000-4000-8000-000000000{status}")
            await talk.ask_prompt("first")
            assert talk.status == [200] and [r.model for r in provider.requests[before:]] == ["gpt-6-luna", "claude-opus-5-5"]
            assert provider.requests[-1].raw == json.dumps(talk.body_of(1)).encode(), "the client's own bytes"
            done = events(tmp_path / "ledger.db", Finished)[-1]
            assert done.served.model == "claude-opus-5-5" and done.status == 200


async def test_what_breaks_goes_to_the_asked_model_until_something_was_said_and_is_dropped_after(tmp_path: Path) -> None:
    async with both(tmp_path, talking, schedule="1:gpt-6-luna") as (provider, gateway, http):

        def talk(n: int) -> Speaking:
            return Speaking(http, gateway.url, "messages", session=f"5b1a7c9e-0000-4000-8000-00000000030{n}")

        def ended() -> list[tuple[str, str]]:
            return [(e.served.model, e.stop) for e in events(tmp_path / "ledger.db", Finished)][1:]

        await talk(0).turn("prime")  # a first translation imports more of LiteLLM, which takes its time
        provider.fault(faults.cut("headers", times=2))  # no answer at all: the second is our own repeat
        first = talk(1)
        await first.ask_prompt("first")
        assert first.status == [200] and ended() == [("claude-opus-5-5", "final")]
        provider.fault(faults.hang("text", seconds=3.0))
        with pytest.raises(aiohttp.ClientError):
            await talk(2).ask_prompt("second")
        await until(lambda: ended()[1:] == [("gpt-6-luna", "cut")])
        worker = gateway.foreign.translator.pid
        assert worker is not None
        provider.fault(faults.hang("text"))
        third = talk(3)
        third.history.append(third._prompt("third"))
        url, sent = gateway.url + PATHS["messages"], json.dumps(third.body())
        async with http.post(url, data=sent, headers=third._headers()) as answer:
            assert await answer.content.readany()  # something was said
            os.kill(worker, signal.SIGKILL)
            with pytest.raises(aiohttp.ClientError):
                await answer.read()
        await until(lambda: ended()[2:] == [("gpt-6-luna", "cut")])
        last = talk(4)
        await last.ask_prompt("fourth")
        assert last.decided == ["gpt-6-luna:high"] and gateway.foreign.translator.pid not in (None, worker)


async def test_a_subscription_login_goes_nowhere_else(tmp_path: Path) -> None:
    async with both(tmp_path, schedule="1:gpt-6-luna") as (provider, gateway, http):
        sent = {"authorization": "Bearer sk-ant-oat01-x", "anthropic-beta": "oauth-2025-04-20", "x-api-key": ""}
        talk = Speaking(http, gateway.url, "messages", sent=sent)
        await talk.ask_prompt("first")
        assert [r.model for r in provider.requests] == ["claude-opus-5-5"]
        decision = events(tmp_path / "ledger.db", Routed)[0].decision
        assert decision.notices == ("the schedule cannot be kept at request 1: gpt-6-luna:high: "
                                    "your subscription login stays with anthropic",)


async def test_without_a_key_of_its_own_a_vendor_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    async with both(tmp_path, schedule="1:gpt-6-luna") as (provider, gateway, http):
        talk = Speaking(http, gateway.url, "messages")
        await talk.ask_prompt("first")
        assert [r.model for r in provider.requests] == ["claude-opus-5-5"]
        assert gateway.foreign.translator.pid is None, "a worker is started only where it may be needed"
        notices = events(tmp_path / "ledger.db", Routed)[0].decision.notices
        assert "no upstream with a key of its own is set for openai" in notices[0]


async def test_blocks_that_nobody_else_knows_are_forwarded_at_home_and_go_nowhere_else(tmp_path: Path) -> None:
    async with both(tmp_path, talking, schedule="2:gpt-6-luna,3:claude-haiku-5-5") as (provider, gateway, http):
        talk = Speaking(http, gateway.url, "messages")
        await talk.ask_prompt("first")
        talk.history[0]["content"].append({"type": "hologram_20270101", "data": "x"})
        await talk.ask_prompt("second")
        await talk.ask_prompt("third")
        assert [r.model for r in provider.requests] == ["claude-opus-5-5", "claude-opus-5-5", "claude-haiku-5-5"]
        assert all("hologram_20270101" in r.raw.decode() for r in provider.requests[1:])
        assert "only its own vendor understands" in events(tmp_path / "ledger.db", Routed)[1].decision.notices[0]


async def test_a_token_count_answers_for_the_model_that_will_run(tmp_path: Path) -> None:
    """Also between a pin and the next request, and by our estimate where another vendor's model is pinned."""
    async with both(tmp_path, talking) as (provider, gateway, http):
        talk = Speaking(http, gateway.url, "messages")
        await talk.ask_prompt("first")

        async def count() -> int:
            url, sent = f"{gateway.url}/v1/messages/count_tokens?beta=true", json.dumps(talk.body())
            async with http.post(url, data=sent, headers=talk._headers()) as answer:
                assert answer.status == 200
                return int((await answer.json())["input_tokens"])

        talk.history.append(talk._prompt("second"))
        opus = await count()
        await pin(gateway, talk.session, "claude-haiku-4-5")
        assert [r.model for r in provider.log if r.counting] == ["claude-opus-5-5"]
        haiku = await count()
        assert [r.model for r in provider.log if r.counting] == ["claude-opus-5-5", "claude-haiku-4-5"]
        assert haiku < opus, "its tokenizer makes fewer tokens of the same text"
        await pin(gateway, talk.session, "gpt-6-luna")
        luna, asked = await count(), len(provider.log)
        await talk.ask()
        assert len(provider.log) == asked + 1 and provider.requests[-1].model == "gpt-6-luna"
        assert luna == pytest.approx(provider.requests[-1].bill.prompt, rel=0.35)


async def test_grok_is_told_which_conversation_it_is_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cache is one server's: a header keeps a conversation there."""
    monkeypatch.setenv("XAI_API_KEY", "key-x")
    async with Provider(script=script) as provider, client() as http:
        bases = {vendor: f"{provider.url}/{vendor}" for vendor in ("anthropic", "xai")}
        given = Settings(upstreams=bases, schedule="1:grok-4.3")
        async with Gateway(given, ledger=tmp_path / "ledger.db", say=lambda sentence: None) as gateway:
            talk = Speaking(http, gateway.url, "messages")
            await talk.turn("first")
        assert [(r.model, r.status) for r in provider.requests] == [("grok-4.3", 200)] * 2
        ids = {r.headers["x-grok-conv-id"] for r in provider.requests}
        assert len(ids) == 1 and next(iter(ids)).startswith("pm-")
        assert talk.session not in json.dumps(provider.requests[0].headers)


async def test_a_fallback_model_of_another_vendor_gets_a_key_of_its_own(tmp_path: Path) -> None:
    """The asked model's provider fails: the next model is another vendor's, told in its own format; no key leaves its home."""
    async with both(tmp_path, talking, fallbacks={"claude-opus-5-5": ["gpt-6-luna"]}) as (provider, gateway, http):
        provider.fault(faults.status(529), when=lambda request: request.model == "claude-opus-5-5")
        talk = Speaking(http, gateway.url, "messages")
        await talk.ask_prompt("first")
        assert talk.status == [200] and talk.said.startswith("Turn 1")
        assert [(r.model, r.status) for r in provider.requests] == [("claude-opus-5-5", 529), ("gpt-6-luna", 200)]
        assert redacted("sk-test") not in provider.requests[-1].headers.values()
        assert provider.requests[-1].headers["authorization"] == redacted(f"Bearer {KEYS['openai']}")
        assert events(tmp_path / "ledger.db", Finished)[-1].served.model == "gpt-6-luna"
