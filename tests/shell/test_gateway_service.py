"""The gateway as a service: what it refuses, what it counts, how it starts, stops and is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pointsman.core.events import Finished, Passed, Routed, RunStarted
from pointsman.errors import SettingsError
from pointsman.sandbox import Provider, faults
from pointsman.shell import control, ports
from pointsman.shell.gateway import Gateway, split_run
from pointsman.shell.vendors import Upstreams
from shell.support import (
    PATHS,
    StandIn,
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


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.4", "::"])
def test_it_listens_on_this_machine_only(host: str) -> None:
    with pytest.raises(SettingsError, match=r"listens on 127\.0\.0\.1 only.*keys"):
        Gateway(host=host)


async def test_a_port_in_use_is_named_with_its_holder_and_a_free_one(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(ports.PortInUse, match=rf"port {port} is in use by .*process {os.getpid()}") as caught:
            await gateway(tmp_path, "http://127.0.0.1:1", port=port).start()
    assert str(caught.value.free) in str(caught.value) and caught.value.free != port
    async with gateway(tmp_path, "http://127.0.0.1:1") as g:
        said = await asyncio.to_thread(ports.holder, g.port)
        assert said.startswith("pointsman 0.1") and str(os.getpid()) in said and "used as it is" in said


async def test_an_upstream_that_is_the_gateway_itself_is_refused(tmp_path: Path) -> None:
    port = ports.free_port()
    with pytest.raises(SettingsError, match="this gateway itself"):
        await gateway(tmp_path, f"http://localhost:{port}/v1", port=port).start()
    for wrong in ("ftp://x", "api.anthropic.com", "http://h/?q=1"):
        with pytest.raises(SettingsError, match="not a base URL"):
            Upstreams(wrong)
    with pytest.raises(SettingsError, match="carries a password"):
        Upstreams("https://me:secret@example.com")
    with pytest.raises(SettingsError, match="'antropic'"):
        Upstreams(by_vendor={"antropic": "https://example.com"})


async def test_a_websocket_is_answered_426_and_the_connection_lives_on(tmp_path: Path) -> None:
    async with Provider() as provider, gateway(tmp_path, provider.url) as g:
        reader, writer = await asyncio.open_connection("127.0.0.1", g.port)
        writer.write(
            b"GET /v1/responses HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert head.startswith("http/1.1 426") and "upgrade: http/1.1" in head and "connection: upgrade" in head
        writer.close()
        assert not provider.log
    assert only(events(tmp_path / "ledger.db", Passed)).status == 426


async def test_everything_else_passes_through_and_is_counted(tmp_path: Path) -> None:
    calls = [
        ("HEAD", "/api/hello"), ("GET", "/v1/models?limit=1000"), ("GET", "/"), ("POST", "/v1/embeddings"),
        ("POST", "/v1/completions"), ("POST", "/v1beta/models/gemini-3-pro:streamGenerateContent?alt=sse&key=AIzaSecret"),
        ("POST", "/backend-api/wham/usage"), ("DELETE", "/v1/files/x"), ("OPTIONS", "/v1/messages"),
    ]  # fmt: skip
    async with Provider() as provider, gateway(tmp_path, provider.url) as g, client() as c:
        for method, path in calls:
            data = b'{"contents": [{"parts": [{"text": "hi"}]}]}' if method == "POST" else None
            async with c.request(method, g.url + path, data=data, headers={"content-type": "application/json"}) as answer:
                await answer.read()
                assert answer.headers["x-pointsman-decision"] == "passed"
        assert [(record.method, record.path) for record in provider.log] == calls
        assert g.health()["passed"] == len(calls)
    passed = events(tmp_path / "ledger.db", Passed)
    assert [event.method for event in passed] == [method for method, _ in calls]
    assert all(event.status for event in passed)
    assert b"AIzaSecret" not in (tmp_path / "ledger.db").read_bytes()


async def test_nothing_secret_or_said_is_in_the_ledger(tmp_path: Path) -> None:
    async with Provider() as provider, gateway(tmp_path, provider.url) as g, client() as c:
        for protocol in PATHS:
            data = body(protocol, text="my secret prompt")
            async with c.post(f"{g.url}{PATHS[protocol]}?key=hidden", data=data, headers=headers(protocol)) as answer:
                await answer.read()
    raw = b"".join(path.read_bytes() for path in tmp_path.glob("ledger.db*"))
    assert b"Routed" in raw
    for secret in (b"sk-test", b"secret prompt", b"hidden"):
        assert secret not in raw


async def test_sixty_four_streams_at_once(tmp_path: Path) -> None:
    async with Provider() as provider, gateway(tmp_path, provider.url) as g, client() as c:

        async def one(number: int) -> int:
            protocol = list(PATHS)[number % 3]
            async with c.post(g.url + PATHS[protocol], data=body(protocol), headers=headers(protocol)) as answer:
                return len(await answer.read())

        sizes = await asyncio.gather(*(one(number) for number in range(192)))
        assert all(sizes) and sum(sizes) == sum(record.sent for record in provider.log)
    done = events(tmp_path / "ledger.db", Finished)
    assert len(done) == 192 and {event.stop for event in done} == {"final"}


async def test_a_run_brings_its_own_upstreams_and_its_prefix_is_stripped(tmp_path: Path) -> None:
    router = StandIn()
    async with Provider() as common, Provider() as own, gateway(tmp_path, common.url, router) as g, client() as c:
        started = {"run": "abc-1", "client": "codex", "cwd": "/code", "upstreams": {"openai": own.url + "/v1"}}
        await asyncio.to_thread(control.call, g.found, "run", started)
        for protocol in PATHS:
            base = f"{g.url}/run/abc-1"
            async with c.post(base + PATHS[protocol] + "?x=1", data=body(protocol), headers=headers(protocol)) as answer:
                assert answer.status == 200
                await answer.read()
        assert [record.path for record in own.log] == ["/v1/chat/completions?x=1", "/v1/responses?x=1"]
        assert [record.path for record in common.log] == ["/v1/messages?x=1"]
        with pytest.raises(SettingsError, match="this gateway itself"):
            loop = {"run": "x", "upstreams": {"openai": g.url}}
            await asyncio.to_thread(control.call, g.found, "run", loop)
        await asyncio.to_thread(control.call, g.found, "run", {"run": "abc-1", "code": 0})
        assert not g.runs
    assert {event.request.run for event in events(tmp_path / "ledger.db", Routed)} == {"abc-1"}
    assert only(events(tmp_path / "ledger.db", RunStarted)).cwd == "/code"
    assert split_run("/run/a_b-1/v1/x?y") == ("a_b-1", "/v1/x?y")
    assert split_run("/run/abc") == ("abc", "/")
    assert split_run("/running/x") == (None, "/running/x")


async def test_stopping_lets_requests_finish_and_records_the_rest(tmp_path: Path) -> None:
    async with Provider() as provider, client() as c:
        g = await gateway(tmp_path, provider.url).start()
        provider.fault(faults.slow(0.3))
        provider.fault(faults.hang("text"))

        async def one() -> Any:
            async with c.post(g.url + PATHS["messages"], data=body("messages"), headers=headers("messages")) as answer:
                return await answer.read()

        soon, never = asyncio.ensure_future(one()), asyncio.ensure_future(one())
        await until(lambda: len([record for record in provider.requests if record.fault]) == 2)
        await until(lambda: any(record.sent for record in provider.requests))
        await g.close(grace=5.0)
        results = await asyncio.gather(soon, never, return_exceptions=True)
        assert {type(result) for result in results} == {bytes, aiohttp.ClientPayloadError}
        await until(lambda: provider.cancelled)
    done = events(tmp_path / "ledger.db", Finished)
    assert sorted(event.stop for event in done) == ["cut", "final"]
    assert "stopped" in next(event.error for event in done if event.stop == "cut")


async def test_an_endless_upload_and_a_general_proxy_are_no_business_of_ours(tmp_path: Path) -> None:
    async with gateway(tmp_path, "http://127.0.0.1:1") as g:
        for line in (b"GET http://example.com/ HTTP/1.1", b"CONNECT example.com:443 HTTP/1.1"):
            reader, writer = await asyncio.open_connection("127.0.0.1", g.port)
            writer.write(line + b"\r\nHost: example.com\r\nConnection: close\r\n\r\n")
            assert b" 400 " in await reader.readline()
            writer.close()


async def test_the_environments_proxy_is_used_but_never_for_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, _ = await request_head(reader)
        asked.append(head.partition(b"\r\n")[0])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()

    async with talking(script) as proxy, Provider() as provider, client() as c:
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        for upstream in ("http://provider.invalid", provider.url):
            async with gateway(tmp_path, upstream) as g, c.get(g.url + "/v1/models") as answer:
                assert answer.status == 200
                await answer.read()
    assert asked == [b"GET http://provider.invalid/v1/models HTTP/1.1"]
    assert len(provider.log) == 1


async def test_no_clock_of_ours_cuts_a_long_answer(tmp_path: Path) -> None:
    async with gateway(tmp_path, "http://127.0.0.1:1") as g:
        limits = g.out._session.timeout
        assert (limits.total, limits.sock_read, limits.sock_connect) == (None, None, 30.0)


async def test_expect_100_continue_is_answered_here(tmp_path: Path) -> None:
    seen: list[dict[str, str]] = []

    async def handler(request: Any) -> Any:
        seen.append(dict(request.headers))
        await request.read()
        return aiohttp.web.json_response({"ok": 1})

    async with serving(handler) as upstream, gateway(tmp_path, upstream) as g:
        sent = body("messages", stream=False)
        reader, writer = await asyncio.open_connection("127.0.0.1", g.port)
        writer.write(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(sent))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(sent)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()
    assert "Expect" not in seen[0]


SERVING = """
    import sys
    from pathlib import Path
    from pointsman.settings import Settings
    from pointsman.shell.serving import serve
    serve(Settings(), port=0, upstream=sys.argv[1], ledger=Path(sys.argv[2]), ready=lambda g: print(g.port, flush=True))
    print("stopped", flush=True)
"""


def served(tmp_path: Path, upstream: str) -> subprocess.Popen[str]:
    """A gateway in a process of its own; its first line of output is its port."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SERVING), upstream, str(tmp_path / "ledger.db")], stdout=subprocess.PIPE,
        text=True, env={**os.environ, "POINTSMAN_HOME": str(tmp_path / "home")},
    )  # fmt: skip


async def port_of(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(await asyncio.to_thread(process.stdout.readline))


@pytest.mark.parametrize("protocol", PATHS)
async def test_a_killed_gateway_loses_no_finished_request(tmp_path: Path, protocol: str) -> None:
    last = {"messages": b"message_stop", "chat": b"[DONE]", "responses": b"response.completed"}[protocol]
    async with Provider() as provider:
        process = served(tmp_path, provider.url)
        try:
            url = f"http://127.0.0.1:{await port_of(process)}"
            async with client() as c:
                for number in range(3):
                    request = c.post(url + PATHS[protocol], data=body(protocol), headers=headers(protocol))
                    async with request as answer:
                        seen = b""
                        while last not in seen:
                            seen += await answer.content.readany()
                        if number == 2:
                            process.send_signal(signal.SIGKILL)
                provider.fault(faults.hang("text"))
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        found = connection.execute("SELECT status, stop, fresh + cache_read + cache_write > 0 FROM requests").fetchall()
    connection.close()
    assert found == [(200, "final", 1)] * 3


async def test_serve_announces_itself_and_stops_on_a_signal(tmp_path: Path) -> None:
    async with Provider() as provider:
        process = served(tmp_path, provider.url)
        try:
            port = await port_of(process)
            found = await asyncio.to_thread(control.find_gateway, tmp_path / "home")
            assert found is not None and (found.port, found.pid) == (port, process.pid)
            assert (tmp_path / "home" / control.GATEWAY_FILE).stat().st_mode & 0o777 == 0o600
            process.send_signal(signal.SIGTERM)
            out, _ = await asyncio.to_thread(process.communicate, timeout=60)
            assert (out, process.returncode) == ("stopped\n", 0)
        finally:
            process.kill()
            process.wait()
    assert not (tmp_path / "home" / control.GATEWAY_FILE).exists()
    assert control.find_gateway(tmp_path / "home") is None


async def test_a_second_signal_does_not_wait_for_requests_under_way(tmp_path: Path) -> None:
    async with Provider() as provider, client() as c:
        process = served(tmp_path, provider.url)
        try:
            url = f"http://127.0.0.1:{await port_of(process)}"
            provider.fault(faults.hang("text"))
            async with c.post(url + PATHS["messages"], data=body("messages"), headers=headers("messages")) as answer:
                await answer.content.readany()
                process.send_signal(signal.SIGTERM)
                await until(lambda: not (tmp_path / "home" / control.GATEWAY_FILE).exists())  # two signals at once are one
                assert process.poll() is None
                process.send_signal(signal.SIGTERM)
                out, _ = await asyncio.to_thread(process.communicate, timeout=60)
                assert (out, process.returncode) == ("stopped\n", 0)
        finally:
            process.kill()
            process.wait()
    assert only(events(tmp_path / "ledger.db", Finished)).stop == "cut"
