"""A provider that takes a request and says nothing, and one that asks for a moment: who is asked next, after how long, and at
what price."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pointsman.core.decisions import Decision
from pointsman.core.events import FailedOver, Finished, Noted, Routed
from pointsman.core.rows import RequestRow
from pointsman.core.timeline import Timeline
from pointsman.core.types import Config, Place
from pointsman.engine import Route
from pointsman.errors import SettingsError
from pointsman.sandbox import Provider, faults, say
from pointsman.settings import Settings, load
from pointsman.shell.failover.onward import patience
from pointsman.shell.gateway import Gateway
from pointsman.tui.reasons import why
from shell.speaking import Speaking
from shell.support import PATHS, body, client, events, headers, only, serving, until

MODEL, OTHER = "claude-sonnet-4-5", "claude-haiku-4-5"
SILENCE_S = 0.4
"""Seconds of silence where the provider says nothing at all: however slow the machine is, it is left."""

PATIENT_S = 60.0
"""The same where somebody answers: a busy machine must not pass for a silent provider."""


def spare_for(vendor: str, url: str) -> dict[str, Any]:
    return {"deployments": {"spare": {"url": url, "vendor": vendor}}, "fallbacks": {vendor: ["spare"]}}


@asynccontextmanager
async def two(
    tmp_path: Path, vendor: str = "anthropic", silence_s: float = PATIENT_S, **more: Any
) -> AsyncIterator[tuple[Provider, Provider, Gateway, aiohttp.ClientSession]]:
    """A provider and its spare, whose answers are words, the gateway between, and a client."""
    async with Provider(script=lambda _: say("All is well.")) as first, Provider(script=lambda _: say("Here.")) as spare:
        settings = Settings(**{"silence_s": silence_s, **spare_for(vendor, spare.url), **more})
        async with Gateway(settings, upstream=first.url, ledger=tmp_path / "l.db", say=lambda said: None) as gateway:
            async with client() as http:
                yield first, spare, gateway, http


def explained(ledger: Path) -> tuple[RequestRow, str]:
    """The last request as the screens know it, and its `why` in one line."""
    timeline = Timeline(keep=True)
    for event in events(ledger):
        timeline.apply(event)
    turn = [turn for session in timeline.sessions.values() for turn in session.turns][-1]
    row = turn.requests[-1]
    assert row.decision is not None
    lines = why(row.decision, 110, turn=turn, request=row)
    return row, " ".join(" ".join("".join(part.text for part in line) for line in lines).split())


async def ask(http: aiohttp.ClientSession, gateway: Gateway, **more: Any) -> tuple[int, bytes]:
    async with http.post(gateway.url + PATHS["messages"], data=body("messages", **more), headers=headers("messages")) as answer:
        return answer.status, await answer.read()


@pytest.mark.parametrize("protocol", ["messages", "chat", "responses", "gemini"])
@pytest.mark.parametrize("at", ["headers", "start"])
async def test_a_provider_that_says_nothing_is_left_for_its_spare(tmp_path: Path, protocol: str, at: Any) -> None:
    vendor = {"messages": "anthropic", "gemini": "google"}.get(protocol, "openai")
    async with two(tmp_path, vendor, SILENCE_S) as (first, spare, gateway, http):
        first.fault(faults.hang(at))
        talk = Speaking(http, gateway.url, protocol)
        begins_with_content = protocol == "gemini" and at == "start"  # its first chunk holds words: nobody may take over then
        if begins_with_content:
            return
        assert await talk.turn("Mend it.") == "Here."
        assert talk.status == [200] and len(spare.requests) == 1
        await until(lambda: first.cancelled == 1)  # it was told that nobody listens any more
        assert gateway.fallbacks is not None and not gateway.fallbacks.breaker.open()
        assert gateway.fallbacks.breaker._circuits[first.url].failures == 1
    moved, done = only(events(tmp_path / "l.db", FailedOver)), only(events(tmp_path / "l.db", Finished))
    assert (moved.upstream, moved.to_upstream, moved.status) == (first.url, spare.url, None)
    assert "said nothing for" in moved.why and moved.at_most_usd > 0.0
    assert done.status == 200 and done.usage.prompt > 0


async def test_what_the_silent_one_may_bill_is_an_interval_on_screen_and_not_part_of_the_bill(tmp_path: Path) -> None:
    async with two(tmp_path, silence_s=SILENCE_S) as (first, spare, gateway, http):
        first.fault(faults.hang())
        assert (await ask(http, gateway, stream=True))[0] == 200
    row, shown = explained(tmp_path / "l.db")
    moved = only(events(tmp_path / "l.db", FailedOver))
    assert row.at_most == pytest.approx(row.billed + moved.at_most_usd) and row.billed > 0
    assert "failed (it said nothing for 0.4 s): on to sonnet-4-5 at http" in shown, shown
    assert "left without an answer: at most ≈$0.0" in shown, shown


async def test_a_refusal_and_a_connection_that_was_never_made_cost_nothing(tmp_path: Path) -> None:
    async with two(tmp_path) as (first, spare, gateway, http):
        first.fault(faults.status(529))
        await ask(http, gateway)
        await first.stop()
        assert (await ask(http, gateway, turns=2))[0] == 200
    assert [moved.at_most_usd for moved in events(tmp_path / "l.db", FailedOver)] == [0.0, 0.0]


async def test_an_answer_that_is_no_stream_may_take_its_time(tmp_path: Path) -> None:
    async with two(tmp_path, silence_s=SILENCE_S) as (first, spare, gateway, http):
        first.fault(faults.slow(3 * SILENCE_S))
        status, got = await ask(http, gateway, stream=False)
        assert status == 200 and b"All is well." in got and not spare.requests


async def test_where_nobody_can_take_over_a_slow_one_is_waited_for(tmp_path: Path) -> None:
    """A pinned model is not left for another one: then the answer that is still to come is the best there is."""
    async with two(tmp_path, deployments={}, fallbacks={MODEL: [OTHER]}) as (first, spare, gateway, http):
        await ask(http, gateway)
        session = next(iter(gateway.desk.router.sessions))
        gateway.desk.router.pin(MODEL, session=session, now=gateway.desk.clock())
        gateway.settings = gateway.settings.model_copy(update={"silence_s": SILENCE_S})
        first.fault(faults.slow(3 * SILENCE_S))
        status, got = await ask(http, gateway, stream=True)
        assert status == 200 and b"All is well." in got and [r.model for r in first.requests] == [MODEL, MODEL]
    assert "pinned" in events(tmp_path / "l.db", Noted)[-1].text


async def test_a_provider_that_pings_is_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aiohttp import web

    from shell.support import answer_events

    async def pinging(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        start, *rest = answer_events()
        await response.write(start)
        for _ in range(12):
            await asyncio.sleep(0.25)
            await response.write(b'event: ping\ndata: {"type": "ping"}\n\n')
        await response.write(b"".join(rest))
        await response.write_eof()
        return response

    async with serving(pinging) as url, Provider() as spare, client() as http:
        settings = Settings(silence_s=2.5, **spare_for("anthropic", spare.url))
        async with Gateway(settings, upstream=url, ledger=tmp_path / "l.db", say=lambda said: None) as gateway:
            status, got = await ask(http, gateway, stream=True)
        assert status == 200 and got.count(b"event: ping") == 12 and b"message_stop" in got and not spare.requests


async def test_a_silent_model_of_another_vendor_is_left_for_the_asked_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-openai")
    async with Provider(script=lambda request: say("I do it.")) as one, client() as http:
        bases = {vendor: f"{one.url}/{vendor}" for vendor in ("anthropic", "openai")}
        settings = Settings(silence_s=PATIENT_S, upstreams=bases, schedule="1:gpt-6-luna")
        async with Gateway(settings, ledger=tmp_path / "l.db", say=lambda said: None) as gateway:
            first = Speaking(http, gateway.url, "messages", session="5b1a7c9e-0000-4000-8000-000000000887")
            await first.turn("Mend it.")  # the worker's start and its first translation are not the provider's silence
            gateway.settings = settings.model_copy(update={"silence_s": 2.0})
            for n, at in enumerate(("headers", "start")):
                one.fault(faults.hang(at))
                talk = Speaking(http, gateway.url, "messages", session=f"5b1a7c9e-0000-4000-8000-00000000088{n}")
                assert await talk.turn("Mend it.") == "I do it."
                assert [r.model for r in one.requests[-2:]] == ["gpt-6-luna", "claude-opus-5-5"], at
    assert [done.served.model for done in events(tmp_path / "l.db", Finished)] == ["gpt-6-luna", *["claude-opus-5-5"] * 2]


def route(protocol: Any, *, stream: bool = True) -> Route:
    decision = Decision("d", Place("s", "main", "main", "new"), Config(MODEL), Config(MODEL), "stay", "asked", "")
    return Route("r", MODEL, None, b"", {}, decision, "", "/", protocol, False, stream=stream)


def test_a_model_that_thinks_in_silence_gets_longer_and_a_whole_answer_all_the_time() -> None:
    assert patience(route("messages"), 120.0) == patience(route("responses"), 120.0) == 120.0
    assert patience(route("chat"), 120.0) == patience(route("gemini"), 120.0) == 240.0
    assert patience(route("messages", stream=False), 120.0) is None


def test_a_project_may_not_say_how_soon_a_request_is_paid_for_twice(tmp_path: Path) -> None:
    (tmp_path / ".pointsman.toml").write_text("silence_s = 0.001\n")
    with pytest.raises(SettingsError, match="silence_s"):
        load(cwd=tmp_path)


# ---- retry-after: a short wait against a cold cache

def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]}


LONG = [user("Mend the test. " * 4_000)]
MORE = [*LONG, {"role": "assistant", "content": "Done."}, user("Go on.")]


@pytest.mark.parametrize("status", [503, 529])
async def test_a_short_wait_is_cheaper_than_a_long_warm_prompt_written_anew(tmp_path: Path, status: int) -> None:
    async with two(tmp_path) as (first, spare, gateway, http):
        assert (await ask(http, gateway, messages=LONG))[0] == 200
        first.fault(faults.status(status, retry_after=0.5))
        began = time.monotonic()
        assert (await ask(http, gateway, messages=MORE))[0] == 200
        assert time.monotonic() - began >= 0.5 and not spare.requests
        assert first.requests[-1].bill.read > 10_000
    waited, done = only(events(tmp_path / "l.db", FailedOver)), events(tmp_path / "l.db", Finished)[-1]
    assert waited.waited_s == 0.5 and waited.upstream == waited.to_upstream == first.url and waited.at_most_usd == 0.0
    assert f"answered {status}; it asks for 0.5 s: waiting costs ≈$0.0083 of your time" in waited.why, waited.why
    assert done.status == 200 and done.usage.cache_read > 10_000
    assert "of your time, going to sonnet-4-5" in (shown := explained(tmp_path / "l.db")[1]) and "asked again" in shown, shown


async def test_with_nothing_warm_to_lose_nobody_waits(tmp_path: Path) -> None:
    async with two(tmp_path) as (first, spare, gateway, http):
        first.fault(faults.status(529, retry_after=0.5))
        assert (await ask(http, gateway, messages=LONG))[0] == 200
        assert len(spare.requests) == 1 and len(first.requests) == 1
    assert only(events(tmp_path / "l.db", FailedOver)).to_upstream == spare.url


async def test_who_fails_again_after_the_wait_is_left(tmp_path: Path) -> None:
    async with two(tmp_path) as (first, spare, gateway, http):
        await ask(http, gateway, messages=LONG)
        first.fault(faults.status(529, retry_after=0.3, times=2))
        assert (await ask(http, gateway, messages=MORE))[0] == 200
        assert len(first.requests) == 3 and len(spare.requests) == 1
        assert gateway.fallbacks is not None and first.url in gateway.fallbacks.breaker.open()
    assert [moved.waited_s for moved in events(tmp_path / "l.db", FailedOver)] == [0.3, 0.0]


async def test_a_wait_that_the_deadline_does_not_leave_room_for_is_not_begun(tmp_path: Path) -> None:
    async with two(tmp_path, deadline_s=2.0) as (first, spare, gateway, http):
        await ask(http, gateway, messages=LONG)
        first.fault(faults.status(529, retry_after=9))
        assert (await ask(http, gateway, messages=MORE))[0] == 200
        assert len(spare.requests) == 1


async def test_another_models_failures_count_against_leaving(tmp_path: Path) -> None:
    """A weaker model is cheaper to ask, and dearer for the task: two seconds are not worth it."""
    async with two(tmp_path, deployments={}, fallbacks={MODEL: [OTHER]}) as (first, spare, gateway, http):
        await ask(http, gateway, messages=LONG)
        first.fault(faults.status(529, retry_after=0.4))
        assert (await ask(http, gateway, messages=MORE))[0] == 200
        assert [r.model for r in first.requests] == [MODEL] * 3
    routed, waited = events(tmp_path / "l.db", Routed)[-1], only(events(tmp_path / "l.db", FailedOver))
    assert routed.decision.chosen.model == MODEL and waited.config == waited.to and "haiku-4-5" in waited.why
