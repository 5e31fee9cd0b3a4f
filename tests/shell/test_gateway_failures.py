"""What goes wrong on the way: the agent gets the provider's own words or a dropped line, never a false end."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from pointsman.core.events import Finished, Noted, Passed, Routed
from pointsman.engine import Route
from pointsman.sandbox import Provider, faults
from pointsman.shell.ledger import Ledger
from pointsman.shell.ports import free_port
from shell.support import (
    PATHS,
    StandIn,
    answer_events,
    body,
    client,
    events,
    gateway,
    headers,
    only,
    request_head,
    serving,
    talking,
    until,
)

MESSAGES = PATHS["messages"]
LOST = (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)


async def ask(c: aiohttp.ClientSession, base: str, protocol: str = "messages", **more: Any) -> tuple[int, bytes, Any]:
    """Status, body and headers of one answer."""
    async with c.post(base + PATHS[protocol], data=body(protocol, **more), headers=headers(protocol)) as answer:
        return answer.status, await answer.read(), answer.headers


def cheaper(sent: bytes) -> bytes:
    return sent.replace(b"sonnet", b"haiku")


@pytest.mark.parametrize("protocol", PATHS)
@pytest.mark.parametrize("code", [401, 429, 500, 529])
async def test_errors_of_the_provider_come_back_verbatim(tmp_path: Path, protocol: str, code: int) -> None:
    async with Provider() as provider, gateway(tmp_path, provider.url) as g, client() as c:
        said = {"type": "error", "error": {"type": "custom", "message": "in the provider's own words — ≈"}}
        provider.fault(faults.status(code, retry_after=7, body=said))
        status, got, head = await ask(c, g.url, protocol)
        assert (status, json.loads(got), head["retry-after"]) == (code, said, "7")
        assert len(provider.requests) == 1
    done = only(events(tmp_path / "ledger.db", Finished))
    assert (done.status, done.stop, done.usage) == (code, "error", None)


@pytest.mark.parametrize("code", [400, 403, 404, 413, 422])
async def test_a_refusal_of_our_change_never_reaches_the_agent(tmp_path: Path, code: int) -> None:
    router = StandIn(cheaper)
    async with Provider() as provider, gateway(tmp_path, provider.url, router) as g, client() as c:
        provider.fault(faults.status(code))
        status, got, head = await ask(c, g.url)
        assert status == 200 and got.endswith(b"\n\n")
        assert [record.model for record in provider.requests] == ["claude-haiku-4-5", "claude-sonnet-4-5"]
        assert provider.requests[1].raw == body("messages")
        assert head["x-pointsman-decision"].startswith("claude-sonnet-4-5; stay; retry_asked")
    done = only(events(tmp_path / "ledger.db", Finished))
    assert done.resent and done.status == 200 and done.usage.prompt > 0
    assert len(events(tmp_path / "ledger.db", Noted)) == 1


async def test_a_refusal_of_the_agents_own_request_is_relayed(tmp_path: Path) -> None:
    async with Provider() as provider, gateway(tmp_path, provider.url) as g, client() as c:
        provider.fault(faults.status(400))
        assert (await ask(c, g.url))[0] == 400
        assert len(provider.requests) == 1


@pytest.mark.parametrize("protocol", PATHS)
async def test_a_provider_that_dies_in_the_middle_drops_the_agents_line(tmp_path: Path, protocol: str) -> None:
    async with Provider() as provider, gateway(tmp_path, provider.url) as g, client() as c:
        provider.fault(faults.cut("text"))
        with pytest.raises(LOST):
            await ask(c, g.url, protocol)
        assert len(provider.requests) == 1
    done = only(events(tmp_path / "ledger.db", Finished))
    assert (done.status, done.stop) == (200, "cut") and "broke off" in done.error
    assert done.usage is None or not done.usage.complete


@pytest.mark.parametrize("protocol", ["messages", "responses"])
async def test_a_clean_end_in_the_middle_is_not_passed_off_as_the_whole(tmp_path: Path, protocol: str) -> None:
    async with Provider() as provider, gateway(tmp_path, provider.url) as g, client() as c:
        provider.fault(faults.quiet_end("text"))
        with pytest.raises(LOST):
            await ask(c, g.url, protocol)
    done = only(events(tmp_path / "ledger.db", Finished))
    assert done.stop == "cut" and "in the middle" in done.error


async def test_an_error_event_inside_a_stream_is_relayed_and_known(tmp_path: Path) -> None:
    async with Provider() as provider, gateway(tmp_path, provider.url) as g, client() as c:
        provider.fault(faults.error_event("overloaded_error"))
        status, got, _ = await ask(c, g.url)
        assert status == 200 and b"overloaded_error" in got.split(b"\n\n")[-2]
    assert only(events(tmp_path / "ledger.db", Finished)).stop == "error"


async def test_a_provider_lost_before_its_first_byte_is_asked_again_once(tmp_path: Path) -> None:
    async with Provider() as provider, gateway(tmp_path, provider.url) as g, client() as c:
        provider.fault(faults.cut("headers"))
        assert (await ask(c, g.url))[0] == 200
        assert len(provider.requests) == 2
        provider.fault(faults.cut("headers", times=5))
        status, got, _ = await ask(c, g.url)
        assert (status, json.loads(got)["error"]["type"]) == (502, "api_error")
        assert len(provider.requests) == 4
    assert [done.status for done in events(tmp_path / "ledger.db", Finished)] == [200, 502]


async def test_headers_without_a_body_are_not_an_answer(tmp_path: Path) -> None:
    asked = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await request_head(reader)
        asked += 1
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 9999\r\n\r\n")
        await writer.drain()

    async with talking(script) as upstream, gateway(tmp_path, upstream) as g, client() as c:
        with pytest.raises(LOST):
            await ask(c, g.url)
    assert asked == 2
    assert only(events(tmp_path / "ledger.db", Finished)).stop == "cut"


async def test_a_stale_connection_is_replaced_without_the_agent_noticing(tmp_path: Path) -> None:
    connections = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await request_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()
        await reader.readuntil(b"\r\n\r\n")  # the next request on this connection gets no answer

    async with talking(script) as upstream, gateway(tmp_path, upstream) as g, client() as c:
        for _ in range(3):
            status, got, _ = await ask(c, g.url, stream=False)
            assert (status, got) == (200, b"{}")
    assert connections == 3


@pytest.mark.parametrize("protocol", PATHS)
async def test_no_provider_at_all_is_a_502_in_the_protocols_own_form(tmp_path: Path, protocol: str) -> None:
    async with gateway(tmp_path, f"http://127.0.0.1:{free_port()}") as g, client() as c:
        status, got, head = await ask(c, g.url, protocol)
        assert status == 502 and head["content-type"].startswith("application/json")
        said = json.loads(got)["error"]
        assert "cannot be reached" in said["message"]
        assert said["type"] == ("api_error" if protocol == "messages" else "server_error")
        async with c.get(g.url + "/v1/models", headers=headers(protocol)) as answer:
            assert answer.status == 502
    done = only(events(tmp_path / "ledger.db", Finished))
    assert (done.status, done.stop, done.usage) == (502, "error", None)
    assert only(events(tmp_path / "ledger.db", Passed)).status == 502


@pytest.mark.parametrize("part", ["headers", "text"])
async def test_a_client_that_hangs_up_cancels_the_providers_request_at_once(tmp_path: Path, part: Any) -> None:
    async with Provider() as provider, gateway(tmp_path, provider.url) as g, client() as c:
        provider.fault(faults.hang(part))
        request = asyncio.ensure_future(ask(c, g.url))
        await until(lambda: provider.requests and provider.requests[0].fault)
        if part == "text":
            await until(lambda: provider.requests[0].sent)
        request.cancel()
        await until(lambda: provider.cancelled)
        done = await until(lambda: events(tmp_path / "ledger.db", Finished))
        assert only(done).stop == "hangup"
        assert not g.health()["in_flight"]
    assert (done[0].usage is None) == (part == "headers")


async def test_an_answer_that_cannot_be_passed_on_is_a_502_and_recorded(tmp_path: Path) -> None:
    class Odd(StandIn):
        def refuse(self, id: str, status: int, now: float) -> Any:
            raise LookupError

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_head(reader)
        writer.write(b"HTTP/1.1 9999 What\r\n\r\n")
        await writer.drain()

    async with talking(script) as upstream, gateway(tmp_path, upstream) as g, client() as c:
        assert (await ask(c, g.url))[0] == 502
    async with Provider() as provider, gateway(tmp_path, provider.url, Odd(cheaper)) as g, client() as c:
        provider.fault(faults.status(400))
        assert (await ask(c, g.url))[0] == 200
        assert [record.model for record in provider.requests] == ["claude-haiku-4-5", "claude-sonnet-4-5"]
    assert [done.status for done in events(tmp_path / "ledger.db", Finished)] == [502, 200]


async def test_a_hang_up_on_something_undecided_is_counted_too(tmp_path: Path) -> None:
    came, gone = asyncio.Event(), asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        came.set()
        try:
            await asyncio.sleep(60)
        finally:
            gone.set()
        return web.Response()

    async with serving(handler) as upstream, gateway(tmp_path, upstream) as g, client() as c:
        request = asyncio.ensure_future(c.get(g.url + "/v1/models"))
        await asyncio.wait_for(came.wait(), 30)
        assert g.health()["in_flight"]
        request.cancel()
        await asyncio.wait_for(gone.wait(), 30)
        await until(lambda: g.health()["passed"])
    passed = only(events(tmp_path / "ledger.db", Passed))
    assert passed.status == 499 and passed.why.endswith("the client hung up")


async def test_our_own_error_never_stops_the_agent(tmp_path: Path) -> None:
    said: list[str] = []
    router = StandIn(error=KeyError("a prompt nobody should read"))
    async with Provider() as provider, gateway(tmp_path, provider.url, router, say=said.append) as g, client() as c:
        for _ in range(3):
            status, _, head = await ask(c, g.url)
            assert (status, head["x-pointsman-decision"]) == (200, "passed")
        assert [record.raw for record in provider.requests] == [body("messages")] * 3
    assert len(events(tmp_path / "ledger.db", Passed)) == 3
    note = only(events(tmp_path / "ledger.db", Noted))
    assert said == [note.text] and "KeyError at support.py" in note.text and "prompt" not in note.text


async def test_an_error_on_the_way_to_the_decision_or_after_it_never_stops_the_agent(tmp_path: Path) -> None:
    class Bookless(StandIn):
        @property
        def book(self) -> Any:
            raise KeyError("a prompt nobody should read") if self.bodies else AttributeError

    async with Provider() as provider, gateway(tmp_path, provider.url, Bookless()) as g, client() as c:
        assert (await ask(c, g.url))[0] == 200
        assert [record.raw for record in provider.requests] == [body("messages")]
    assert len(events(tmp_path / "ledger.db", Finished)) == 1
    assert "KeyError at" in only(events(tmp_path / "ledger.db", Noted)).text


async def test_a_proxy_that_cannot_be_used_is_named_without_its_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "socks5://user:secret@proxy.example:1080")
    async with gateway(tmp_path, "http://behind-socks.example") as g, client() as c:
        status, said, _ = await ask(c, g.url)
    assert status == 502 and b"names a socks5 proxy" in said and b"secret" not in said
    assert "names a socks5 proxy" in only(events(tmp_path / "ledger.db", Finished)).error


async def test_a_proxy_may_be_named_without_its_scheme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await request_head(reader))[0])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()

    async with talking(script) as proxy, gateway(tmp_path, "http://behind-a-proxy.example") as g, client() as c:
        monkeypatch.setenv("http_proxy", proxy.removeprefix("http://"))
        assert (await ask(c, g.url))[0] == 200
    assert heads[0].startswith(b"POST http://behind-a-proxy.example/v1/messages ")


async def test_what_we_cannot_send_goes_out_as_the_agent_wrote_it(tmp_path: Path) -> None:
    """An error of ours on the way to the provider: nothing has reached the agent, so its own bytes can still go, once."""

    class Odd(StandIn):
        def route(self, **given: Any) -> Route:
            return replace(super().route(**given), headers={**given["headers"], "x-new": "no\nheader"})

    async with Provider() as provider, gateway(tmp_path, provider.url, Odd(cheaper)) as g, client() as c:
        status, _, head = await ask(c, g.url)
        assert status == 200
        assert [record.raw for record in provider.requests] == [body("messages")]
    assert only(events(tmp_path / "ledger.db", Finished)).status == 200
    assert only(events(tmp_path / "ledger.db", Noted)).text.startswith("fail_open: ValueError at ")


async def test_what_a_provider_breaks_is_not_quoted(tmp_path: Path) -> None:
    """aiohttp's errors show the bytes they stumble over, which are a model's words or a key."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nmy secret words\r\n")
        await writer.drain()

    async with talking(script) as upstream, gateway(tmp_path, upstream) as g, client() as c:
        status, said, _ = await ask(c, g.url)
        assert status == 502 and b"gave no answer: Invalid character in chunk size" in said and b"secret" not in said
    assert "secret" not in str(events(tmp_path / "ledger.db"))


async def test_what_is_no_http_is_refused_and_not_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with gateway(tmp_path, "http://127.0.0.1:9") as g:
        for spoilt in (b"?key=sk-secret\xe9 HTTP/1.1\r\n\r\n", b" HTTP/1.1\r\nx-api-key: sk-secret\x01\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", g.port)
            writer.write(b"GET /v1/models" + spoilt)
            assert b" 400 " in await reader.readline()
            writer.close()
    assert "a request that is not HTTP was refused: Invalid" in caplog.text and "secret" not in caplog.text


async def test_a_web_page_cannot_spend_the_users_keys(tmp_path: Path) -> None:
    """A page may post to this port unseen; what only browsers send tells. Node's own fetch names a mode, and no site."""
    async with Provider() as provider, gateway(tmp_path, provider.url) as g, client() as c:
        for site in ("cross-site", "same-origin"):
            more = {"sec-fetch-site": site, "content-type": "text/plain"}
            async with c.post(g.url + "/v1/messages", data=body("messages"), headers=more) as answer:
                assert answer.status == 403
        assert not provider.requests
        more = {**headers("messages"), "sec-fetch-mode": "cors"}
        async with c.post(g.url + "/v1/messages", data=body("messages"), headers=more) as answer:
            assert answer.status == 200
    assert [passed.status for passed in events(tmp_path / "ledger.db", Passed)] == [403, 403]


async def test_a_key_in_the_url_is_in_no_error_message(tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_head(reader)
        writer.write(b"HTTP/1.1 9999 What\r\n\r\n")
        await writer.drain()

    path = "/v1beta/models/gemini-4-argon:generateContent?key=sk-secret"
    sent = json.dumps({"model": "m", "contents": [{"role": "user", "parts": [{"text": "hi"}]}]}).encode()
    said: list[str] = []
    async with talking(script) as upstream, gateway(tmp_path, upstream, say=said.append) as g, client() as c:
        async with c.post(g.url + path, data=sent, headers={"content-type": "application/json"}) as answer:
            assert answer.status == 502 and b"sk-secret" not in await answer.read()
    assert "sk-secret" not in repr([*events(tmp_path / "ledger.db"), *said])


async def test_an_error_while_recording_does_not_touch_the_answer(tmp_path: Path) -> None:
    class Broken(StandIn):
        def finish(self, id: str, **facts: Any) -> None:
            raise ZeroDivisionError

    async with Provider() as provider, gateway(tmp_path, provider.url, Broken()) as g, client() as c:
        assert (await ask(c, g.url))[0] == 200
    passed = only(events(tmp_path / "ledger.db", Passed))
    assert "ZeroDivisionError" in passed.why and passed.session == "s1"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("protocol", PATHS)
async def test_whoever_has_seen_the_end_finds_the_row(tmp_path: Path, protocol: str, stream: bool) -> None:
    async with Provider() as provider, gateway(tmp_path, provider.url) as g, client() as c:
        for number in range(1, 6):
            await ask(c, g.url, protocol, stream=stream)
            assert len(events(tmp_path / "ledger.db", Finished)) == number


async def test_a_disk_that_is_only_slow_is_waited_for(tmp_path: Path) -> None:
    class Slow(Ledger):
        def _write(self) -> None:
            time.sleep(0.4)
            super()._write()

    with Slow(tmp_path / "ledger.db") as ledger:
        async with Provider() as provider, gateway(tmp_path, provider.url, ledger=ledger) as g, client() as c:
            for number in range(1, 3):
                await ask(c, g.url)
                assert len(events(tmp_path / "ledger.db", Finished)) == number


async def test_a_locked_ledger_delays_the_last_event_a_moment_and_loses_nothing(tmp_path: Path) -> None:
    path, said = tmp_path / "ledger.db", []
    async with Provider() as provider, gateway(tmp_path, provider.url, say=said.append) as g, client() as c:
        await ask(c, g.url)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        for _ in range(3):
            assert (await ask(c, g.url))[0] == 200
        await until(lambda: g.ledger.trouble)
        assert "locked" in g.health()["trouble"]
        assert len(events(path, Finished)) == 1
        other.execute("ROLLBACK")
        other.close()
        await until(lambda: len(events(path, Finished)) == 4)
    assert len(said) == 2 and "locked" in said[0]
    assert [type(event) for event in events(path)] == [Routed, Finished] * 4


async def test_a_ledger_that_cannot_be_opened_stops_nobody(tmp_path: Path) -> None:
    path, said = tmp_path / "ledger.db", []
    path.write_text("this is not a database, " * 50)
    async with Provider() as provider:
        async with gateway(tmp_path, provider.url, say=said.append) as g, client() as c:
            assert (await ask(c, g.url))[0] == 200
            await until(lambda: said)
            assert "not a ledger" in said[0]
            path.unlink()
            await until(lambda: g.ledger.trouble is None)
    assert [type(event) for event in events(path)] == [Routed, Finished]


async def test_a_ledger_given_from_outside_stays_open(tmp_path: Path) -> None:
    with Ledger(tmp_path / "mine.db") as ledger:
        async with Provider() as provider, gateway(tmp_path, provider.url, ledger=ledger) as g, client() as c:
            await ask(c, g.url)
        ledger.append([Noted(1, "still", "open")]).result(60)
    assert len(events(tmp_path / "mine.db")) == 3


async def test_events_are_forwarded_as_they_arrive(tmp_path: Path) -> None:
    go = asyncio.Queue[None]()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for event in answer_events():
            half = len(event) // 2
            await response.write(event[:half])
            await response.write(event[half:])
            await go.get()
        return response

    async with serving(handler) as upstream, gateway(tmp_path, upstream) as g, client() as c:
        async with c.post(g.url + MESSAGES, data=body("messages"), headers=headers("messages")) as answer:
            for event in answer_events():
                assert await answer.content.readexactly(len(event)) == event
                assert bool(events(tmp_path / "ledger.db", Finished)) == (b"message_stop" in event)
                go.put_nowait(None)
            assert await answer.read() == b""
    done = only(events(tmp_path / "ledger.db", Finished))
    assert done.started <= done.first_byte <= done.ended
