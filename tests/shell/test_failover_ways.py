"""Failover on every wire format, across vendors, and where it meets refusals, pins, hang-ups, packed streams and bad keys."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from pointsman.core.events import Checked, FailedOver, Finished, Noted, Routed
from pointsman.sandbox import Provider, faults, say
from pointsman.settings import Settings
from pointsman.shell.failover.breaker import Breaker
from pointsman.shell.failover.fallbacks import Fallback, Fallbacks, without_key
from pointsman.shell.failover.onward import held_back
from pointsman.shell.gateway import Gateway
from pointsman.shell.streams import Events
from pointsman.shell.vendors import Upstreams
from shell.speaking import Speaking
from shell.support import PATHS, body, client, events, headers, only, serving, sse, until

MODEL, OTHER = "claude-sonnet-4-5", "claude-haiku-4-5"
VENDOR = {"messages": "anthropic", "chat": "openai", "responses": "openai", "gemini": "google"}


def made(**values: Any) -> Settings:
    return Settings(**values)


def spare_for(vendor: str, url: str, **more: Any) -> dict[str, Any]:
    return {"deployments": {"spare": {"url": url, "vendor": vendor, **more}}, "fallbacks": {vendor: ["spare"]}}


@asynccontextmanager
async def before(url: str, ledger: Path, **settings: Any) -> AsyncIterator[tuple[Gateway, aiohttp.ClientSession]]:
    """A gateway in front of the provider at ``url``, and a client."""
    async with client() as http:
        async with Gateway(Settings(**settings), upstream=url, ledger=ledger, say=lambda said: None) as gateway:
            yield gateway, http


async def ask(http: aiohttp.ClientSession, gateway: Gateway, **more: Any) -> tuple[int, bytes]:
    async with http.post(gateway.url + PATHS["messages"], data=body("messages", **more), headers=headers("messages")) as answer:
        return answer.status, await answer.read()


@pytest.mark.parametrize("protocol", ["messages", "chat", "responses", "gemini"])
@pytest.mark.parametrize(("stream", "fault"), [
    (True, faults.status(503)), (True, faults.error_event(at="start")), (True, faults.cut("start")),
    (True, faults.quiet_end("start")), (True, faults.cut("headers", times=2)),
    (False, faults.status(503)), (False, faults.cut("headers", times=2)),
], ids=lambda value: value.kind + value.at if isinstance(value, faults.Fault) else "stream" if value else "whole")  # fmt: skip
async def test_every_protocol_goes_to_the_other_deployment(
    tmp_path: Path, protocol: str, fault: faults.Fault, stream: bool
) -> None:
    if protocol == "gemini" and fault.at == "start":
        fault = replace(fault, at="headers", times=2 if fault.kind == "cut" else 1)  # its first event is content
    words = lambda request: say("All is well.")  # noqa: E731
    async with Provider(script=words) as first, Provider(script=words) as spare:
        async with before(first.url, tmp_path / "l.db", **spare_for(VENDOR[protocol], spare.url)) as (gateway, http):
            first.fault(fault)
            talk = Speaking(http, gateway.url, protocol, stream=stream)
            assert await talk.turn("Mend it.") == "All is well."
            assert talk.status == [200] and len(spare.requests) == 1
            assert await talk.turn("And now?") == "All is well."
            assert len(spare.requests) == 1  # the next request is the first one's again
    moved, done = only(events(tmp_path / "l.db", FailedOver)), events(tmp_path / "l.db", Finished)
    assert (moved.upstream, moved.to_upstream, moved.to) == (first.url, spare.url, moved.config)
    assert [one.status for one in done] == [200, 200] and done[0].usage.prompt > 0


async def test_another_model_of_gemini_is_asked_by_its_own_path(tmp_path: Path) -> None:
    async with Provider(script=lambda request: say("Here.")) as first:
        graph = {"gemini-4-argon": ["gemini-3.6-flash"]}
        async with before(first.url, tmp_path / "l.db", fallbacks=graph) as (gateway, http):
            first.fault(faults.status(503))
            assert await Speaking(http, gateway.url, "gemini").turn("Mend it.") == "Here."
        assert [record.model for record in first.requests] == ["gemini-4-argon", "gemini-3.6-flash"]
    assert only(events(tmp_path / "l.db", Finished)).served.model == "gemini-3.6-flash"


async def test_a_model_of_another_vendor_takes_over_in_translation_with_its_own_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-openai")
    async with Provider(script=lambda request: say("Over here.")) as one:
        bases = {vendor: f"{one.url}/{vendor}" for vendor in ("anthropic", "openai", "google")}
        given = made(upstreams=bases, fallbacks={"claude-opus-5-5": ["gpt-6-luna"]})
        async with Gateway(given, ledger=tmp_path / "l.db", say=lambda said: None) as gateway, client() as http:
            one.fault(faults.status(529))
            talk = Speaking(http, gateway.url, "messages")
            assert await talk.turn("Mend it.") == "Over here."
        assert [(record.protocol, record.model) for record in one.requests] == [
            ("messages", "claude-opus-5-5"), ("responses", "gpt-6-luna"),
        ]  # fmt: skip
        sent = {name.lower() for name in one.requests[1].headers}
        assert "x-api-key" not in sent and "authorization" in sent
    done = only(events(tmp_path / "l.db", Finished))
    assert done.served.model == "gpt-6-luna" and done.usage.prompt > 0 and not done.resent


async def test_another_vendor_without_a_key_is_not_asked_and_the_note_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    async with Provider() as one, Provider() as two:
        given = made(upstreams={"anthropic": one.url, "openai": two.url}, fallbacks={"claude-opus-5-5": ["gpt-6-luna"]})
        async with Gateway(given, ledger=tmp_path / "l.db", say=lambda said: None) as gateway, client() as http:
            one.fault(faults.status(529))
            talk = Speaking(http, gateway.url, "messages")
            await talk.turn("Mend it.", steps=1)
            assert talk.status == [529] and not two.requests
    assert "no upstream with a key of its own is set for openai" in only(events(tmp_path / "l.db", Noted)).text


async def test_a_chat_clients_key_goes_to_no_other_vendor(tmp_path: Path) -> None:
    """A model that nobody knows has no vendor: nothing says that its key fits the vendor of the fallback."""
    async with Provider(strict=False) as one, Provider(strict=False) as two:
        prices = {"our-own": {"input": 1.0, "output": 2.0}}
        given = made(
            upstreams={"openai": one.url, "anthropic": two.url}, fallbacks={"our-own": [OTHER]}, prices=prices,
        )  # fmt: skip
        async with Gateway(given, ledger=tmp_path / "l.db", say=lambda said: None) as gateway, client() as http:
            one.fault(faults.status(503))
            sent = body("chat", model="our-own")
            async with http.post(gateway.url + PATHS["chat"], data=sent, headers=headers("chat")) as answer:
                assert answer.status == 503
        assert not two.requests


async def test_after_a_refused_change_the_original_goes_on_elsewhere(tmp_path: Path) -> None:
    asked: list[str] = []

    async def home(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(json.loads(await request.read())["model"])
        return web.json_response({"type": "error"}, status=400 if asked[-1] == OTHER else 529)

    async with serving(home) as url, Provider() as spare:
        more = {**spare_for("anthropic", spare.url), "schedule": f"1:{OTHER}"}
        async with before(url, tmp_path / "l.db", **more) as (gateway, http):
            assert (await ask(http, gateway))[0] == 200
        assert asked == [OTHER, MODEL] and [record.model for record in spare.requests] == [MODEL]
        assert spare.requests[0].raw == body("messages")
    moved, done = only(events(tmp_path / "l.db", FailedOver)), only(events(tmp_path / "l.db", Finished))
    assert (moved.config.model, moved.to.model) == (MODEL, MODEL)
    assert done.served.model == MODEL and done.refused == 400 and done.resent


async def test_after_a_refused_change_another_model_really_is_asked(tmp_path: Path) -> None:
    asked: list[str] = []

    async def home(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(json.loads(await request.read())["model"])
        if asked[-1] == "claude-opus-4-5":
            return web.json_response({"type": "message", "model": asked[-1], "content": [], "stop_reason": "end_turn",
                                      "usage": {"input_tokens": 9, "output_tokens": 1}})  # fmt: skip
        return web.json_response({"type": "error"}, status=400 if asked[-1] == OTHER else 529)

    async with serving(home) as url:
        more = {"fallbacks": {MODEL: ["claude-opus-4-5"], OTHER: ["claude-opus-4-5"]}, "schedule": f"1:{OTHER}"}
        async with before(url, tmp_path / "l.db", **more) as (gateway, http):
            assert (await ask(http, gateway, stream=False))[0] == 200
    assert asked == [OTHER, MODEL, "claude-opus-4-5"]
    assert only(events(tmp_path / "l.db", Finished)).served.model == "claude-opus-4-5"


async def test_whoever_takes_over_and_refuses_is_not_the_clients_business(tmp_path: Path) -> None:
    async with Provider() as first, Provider() as spare:
        async with before(first.url, tmp_path / "l.db", **spare_for("anthropic", spare.url)) as (gateway, http):
            first.fault(faults.status(529))
            spare.fault(faults.status(401))
            assert (await ask(http, gateway))[0] == 529
        assert len(spare.requests) == 1


async def test_a_pin_holds_on_the_second_hop_too(tmp_path: Path) -> None:
    async with Provider() as first, Provider() as spare:
        more = spare_for("anthropic", spare.url)
        more["fallbacks"][MODEL] = [OTHER]
        async with before(first.url, tmp_path / "l.db", **more) as (gateway, http):
            await ask(http, gateway)
            session = next(iter(gateway.desk.router.sessions))
            gateway.desk.router.pin(MODEL, session=session, now=gateway.desk.clock())
            first.fault(faults.status(529))
            spare.fault(faults.status(500))
            assert (await ask(http, gateway))[0] == 529
        assert {record.model for record in (*first.requests, *spare.requests)} == {MODEL}


async def test_an_error_in_the_stream_that_nobody_makes_good_reaches_the_client(tmp_path: Path) -> None:
    async with Provider() as first:
        async with before(first.url, tmp_path / "l.db", fallbacks={MODEL: [OTHER]}) as (gateway, http):
            await ask(http, gateway)
            session = next(iter(gateway.desk.router.sessions))
            gateway.desk.router.pin(MODEL, session=session, now=gateway.desk.clock())
            first.fault(faults.error_event(at="start"))
            status, got = await ask(http, gateway)
            assert status == 200 and b"event: error" in got and b"message_start" in got
    assert events(tmp_path / "l.db", Finished)[-1].stop == "error"


async def test_a_client_that_hangs_up_while_the_beginning_is_held_back(tmp_path: Path) -> None:
    async with Provider() as first, Provider() as spare:
        async with before(first.url, tmp_path / "l.db", **spare_for("anthropic", spare.url)) as (gateway, http):
            first.fault(faults.hang("start"))
            asking = asyncio.ensure_future(ask(http, gateway))
            await until(lambda: first.requests)
            await asyncio.sleep(0.1)
            asking.cancel()
            await until(lambda: first.cancelled)
            await until(lambda: events(tmp_path / "l.db", Finished))
        assert not spare.requests
    assert only(events(tmp_path / "l.db", Finished)).stop == "hangup" and not events(tmp_path / "l.db", FailedOver)


START = {"type": "message_start", "message": {"model": MODEL, "usage": {"input_tokens": 9, "output_tokens": 1}}}
FAILED = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}


@pytest.mark.parametrize(("said", "helped"), [(gzip.compress(b"".join(sse(START, FAILED))), True), (b"no gzip at all", False)])
async def test_a_packed_stream_that_fails_is_made_good_and_one_that_cannot_be_read_is_relayed(
    tmp_path: Path, said: bytes, helped: bool
) -> None:
    async def home(request: web.BaseRequest) -> web.StreamResponse:
        kind = {"content-type": "text/event-stream", "content-encoding": "gzip"}
        return web.Response(body=said, headers=kind)

    async with serving(home) as url, Provider() as spare, aiohttp.ClientSession(auto_decompress=False) as http:
        more = spare_for("anthropic", spare.url)
        async with Gateway(Settings(**more), upstream=url, ledger=tmp_path / "l.db", say=lambda said: None) as gateway:
            sent = {**headers("messages"), "accept-encoding": "gzip"}
            async with http.post(gateway.url + PATHS["messages"], data=body("messages"), headers=sent) as answer:
                got = await answer.read()
        assert bool(spare.requests) == helped and (got == said) != helped


async def test_a_cold_deployment_costs_more_and_a_warm_one_does_not(tmp_path: Path) -> None:
    text = "Mend the test. " * 3_000
    async with Provider() as first, Provider() as spare:
        async with before(first.url, tmp_path / "l.db", **spare_for("anthropic", spare.url)) as (gateway, http):
            mark = [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]
            talk = [{"role": "user", "content": mark}]
            await ask(http, gateway, messages=talk)
            for n in range(2):
                first.fault(faults.status(500))
                talk += [{"role": "assistant", "content": f"Done {n}."}, {"role": "user", "content": f"Go on, {n}."}]
                talk[-1]["content"] = [{"type": "text", "text": f"Go on, {n}.", "cache_control": {"type": "ephemeral"}}]
                assert (await ask(http, gateway, messages=talk))[0] == 200
    cold, warm = events(tmp_path / "l.db", FailedOver)
    assert cold.extra_usd > 0.01 and warm.extra_usd is not None and warm.extra_usd < cold.extra_usd / 4


async def test_the_wait_for_a_first_word_ends_and_what_was_held_goes_out() -> None:
    async def parts() -> AsyncIterator[tuple[bytes, bytes]]:
        yield b"event: ping\n\n", b""
        await asyncio.sleep(60)

    held, waiting, failed = await held_back(parts(), Events("messages"), 0.01)
    assert held == [(b"event: ping\n\n", b"")] and waiting is not None and failed == "it said nothing for 0.01 s"
    waiting.cancel()
    held, waiting, failed = await held_back(parts(), Events("messages"), 0.01, hold_s=0.0)
    assert held == [(b"event: ping\n\n", b"")] and waiting is None and not failed


def test_a_run_with_its_own_upstream_keeps_its_key_there() -> None:
    settings = made(fallbacks={MODEL: [OTHER]})
    ways = Fallbacks(settings, Upstreams(), lambda: 0.0, lambda model: "anthropic", {})
    run = {"anthropic": "http://127.0.0.1:7"}
    found = only(list(ways.after(MODEL, "anthropic", run["anthropic"], subscription=False, run=run)))
    assert (found.model, found.base) == (OTHER, run["anthropic"])


def test_no_credential_and_no_account_goes_to_a_deployment_with_a_key_of_its_own() -> None:
    ways = Fallbacks(Settings(), Upstreams(), lambda: 0.0, lambda model: "", {"SPARE": "sk-spare"})
    mine = {"authorization": "Bearer mine", "openai-organization": "org-mine", "cookie": "c=1", "api-key": "mine"}
    sent = [*((name.title(), value) for name, value in mine.items()), ("accept", "*/*")]
    there = ways.credentialed(sent, Fallback(None, "spare", "http://127.0.0.1:8", "openai", "SPARE"), mine)
    assert there == [("accept", "*/*"), ("authorization", "Bearer sk-spare")]
    back = ways.credentialed(there, Fallback(OTHER, "", "http://127.0.0.1:9", "openai"), mine)
    assert dict(back) == {**mine, "accept": "*/*"}
    assert without_key("/v1beta/models/m:generateContent?key=mine&alt=sse") == "/v1beta/models/m:generateContent?alt=sse"
    assert without_key("/v1/messages?key=mine") == "/v1/messages" and without_key("/v1/messages") == "/v1/messages"


def test_looking_at_a_deployment_does_not_take_its_trial_from_who_needs_it() -> None:
    now = [0.0]
    breaker = Breaker(lambda: now[0])
    for _ in range(3):
        breaker.failed("u")
    now[0] = 31.0
    assert breaker.usable("u") and breaker.usable("u")
    assert breaker.enter("u") and not breaker.enter("u") and not breaker.usable("u")
    for _ in range(2_000):
        breaker.failed("u")
    assert breaker.open() == {"u": 331.0}


async def test_what_the_failed_provider_took_is_not_the_other_models_time(tmp_path: Path) -> None:
    async with Provider() as first:
        async with before(first.url, tmp_path / "l.db", fallbacks={MODEL: [OTHER]}) as (gateway, http):
            first.fault(faults.hang("headers", seconds=1.0, times=2))
            assert (await ask(http, gateway))[0] == 200
            times = gateway.desk.router.learned.times[OTHER]
    done, routed = only(events(tmp_path / "l.db", Finished)), only(events(tmp_path / "l.db", Routed))
    assert (times.warm_n, times.cold_n) != (0, 0) and times.warm_s + times.cold_s <= done.ended - routed.ts - 2.0


async def test_the_deadline_of_a_turn_that_a_check_sent_on_holds_for_failover_too(tmp_path: Path) -> None:
    async with Provider() as first, Provider() as spare:
        more = {**spare_for("anthropic", spare.url), "deadline_s": 900}
        async with before(first.url, tmp_path / "l.db", **more) as (gateway, http):
            await ask(http, gateway)
            router, now = gateway.desk.router, gateway.desk.clock()
            session = next(iter(router.sessions))
            router.checked(Checked(now, session, "test", "check_failed", "1 failed", 1.0, sent_back=True), 1)
            routed = router.route(path=PATHS["messages"], headers=headers("messages"), body=body("messages"), now=now, dice=0.5)
            assert router.fail_over(routed.id, now + 800, upstream=spare.url, why="answered 500") is not None
            assert router.fail_over(routed.id, now + 1_000, upstream=spare.url, why="answered 500") is None
    assert "900 seconds are over" in events(tmp_path / "l.db", Noted)[-1].text
