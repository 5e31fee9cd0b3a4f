"""Faults on cue, as a client meets them."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from pointsman.sandbox import Call, faults, say
from pointsman.sandbox.answers import content_of, ended, events, reply_of
from pointsman.sandbox.reply import Text

ASK: dict[str, Any] = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 500,
    "stream": True,
    "messages": [{"role": "user", "content": "hi"}],
}
PATHS = {"messages": "/v1/messages", "chat": "/v1/chat/completions", "responses": "/v1/responses"}
BODIES: dict[str, dict[str, Any]] = {
    "messages": ASK,
    "chat": {"model": "gpt-5.4", "stream": True, "messages": ASK["messages"]},
    "responses": {"model": "gpt-5.4", "stream": True, "input": "hi"},
}
LONG = say("A sentence with 🚂 and Zürich in it. " * 30, Call("Write", {"content": "x" * 900}))


async def read(wire: Any, protocol: str = "messages") -> tuple[int, bytes, bool]:
    """(status, bytes, did the connection break?) of one streamed request."""
    data = b""
    async with wire.http.post(wire.provider.url + PATHS[protocol], json=BODIES[protocol]) as answer:
        try:
            async for chunk in answer.content.iter_any():
                data += chunk
        except aiohttp.ClientError:
            return answer.status, data, True
        return answer.status, data, False


@pytest.mark.parametrize("code", [429, 500, 529])
async def test_a_status_with_its_body_and_retry_after(wire: Any, code: int) -> None:
    """In the protocol's own form, once; then all is well."""
    wire.provider.fault(faults.status(code, retry_after=3))
    async with wire.http.post(wire.provider.url + "/v1/messages", json=ASK) as answer:
        assert (answer.status, answer.headers["retry-after"]) == (code, "3")
        assert (await answer.json())["type"] == "error"
    assert (await read(wire))[0] == 200


async def test_faults_are_queued_by_number_and_by_condition(wire: Any) -> None:
    """The third request, and requests for one model only."""
    wire.provider.fault(faults.status(500), nth=3)
    assert [(await read(wire))[0] for _ in range(4)] == [200, 200, 500, 200]
    wire.provider.fault(faults.status(503, body="<html>down</html>", times=2), when=lambda request: request.model == "gpt-5.4")
    assert [(await read(wire, kind))[0] for kind in ("messages", "chat", "messages", "chat", "chat")] == [200, 503, 200, 503, 200]


@pytest.mark.parametrize("protocol", list(PATHS))
@pytest.mark.parametrize("at", ["text", "json", "headers", "end"])
async def test_a_cut_breaks_the_connection(wire: Any, protocol: str, at: Any) -> None:
    """In the middle of what was named; the client sees a broken connection, never an ending."""
    wire.script(lambda request: LONG)
    wire.provider.fault(faults.cut(at))
    if at == "headers":
        with pytest.raises(aiohttp.ClientError):
            await read(wire, protocol)
        return
    status, data, broken = await read(wire, protocol)
    assert (status, broken, ended(protocol, data.decode("utf-8", "replace"))) == (200, True, False)
    assert (b"xxxx" in data) is (at in ("json", "end"))


@pytest.mark.parametrize("protocol", list(PATHS))
async def test_a_quiet_end_lacks_only_the_terminal_event(wire: Any, protocol: str) -> None:
    """A clean end of file, without the event that closes the answer."""
    wire.provider.fault(faults.quiet_end())
    status, data, broken = await read(wire, protocol)
    assert (status, broken, ended(protocol, data.decode())) == (200, False, False)
    assert b"ok" in data


@pytest.mark.parametrize("protocol", list(PATHS))
async def test_an_error_event_ends_the_stream(wire: Any, protocol: str) -> None:
    """The protocol's own error event, after half of the text."""
    wire.script(lambda request: LONG)
    wire.provider.fault(faults.error_event())
    _, data, broken = await read(wire, protocol)
    assert not broken and b"verloaded" in data and not ended(protocol, data.decode())


@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.parametrize("protocol", list(PATHS))
async def test_chopped_answers_are_whole(wire: Any, protocol: str, size: int) -> None:
    """One byte at a time, through the middle of characters and events, the answer is the same."""
    wire.script(lambda request: LONG)
    _, plain, _ = await read(wire, protocol)
    wire.provider.fault(faults.chop(size))
    _, chopped, broken = await read(wire, protocol)
    assert not broken and reply_of(protocol, chopped.decode()) is not None  # type: ignore[arg-type]  # a protocol's name
    assert [event.get("type") for event in events(chopped.decode())] == [event.get("type") for event in events(plain.decode())]


async def test_a_huge_event(wire: Any) -> None:
    """One delta of two million characters."""
    wire.provider.fault(faults.huge(2_000_000))
    _, data, _ = await read(wire)
    assert len(content_of(data.decode())[0]["text"]) >= 2_000_000


@pytest.mark.parametrize("at", ["headers", "start", "text"])
async def test_a_hang_is_noticed_when_the_client_leaves(wire: Any, at: Any) -> None:
    """The provider counts the hang-up at once, and lets the connection go."""
    wire.provider.fault(faults.hang(at))
    task = asyncio.create_task(read(wire))
    while not wire.provider.requests or (at != "headers" and not wire.provider.requests[0].sent):
        await asyncio.sleep(0.005)
    task.cancel()
    while not wire.provider.cancelled:
        await asyncio.sleep(0.005)
    assert wire.provider.cancelled == 1 and wire.provider.requests[0].hung_up


async def test_slow_first_byte_takes_virtual_time_only(wire: Any) -> None:
    """Ten minutes pass on the clock."""
    before = wire.clock()
    wire.provider.fault(faults.slow(600))
    assert (await read(wire))[0] == 200
    assert wire.clock() - before == 600
    record = wire.provider.requests[0]
    assert record.first_byte - record.started == 600


async def test_stopped_means_refused_and_started_means_back(wire: Any) -> None:
    """A dead upstream refuses connections; it comes back on its port with its caches."""
    await wire.provider.stop()
    with pytest.raises(aiohttp.ClientConnectorError):
        await read(wire)
    await wire.provider.start()
    assert (await read(wire))[0] == 200


async def test_latency_is_priced_by_tokens_when_speed_is_on(wire: Any) -> None:
    """At speed 1: 0.4 s + 100,000 cold tokens at 0.11 ms + 1 s of output; warm a tenth of the prefill."""
    wire.provider.speed = 1.0
    wire.script(lambda request: say(Text("ok"), seconds=1.0))
    ask = ASK | {"system": [{"type": "text", "text": "x" * 400_000, "cache_control": {"type": "ephemeral"}}], "stream": False}
    ask["messages"] = [{"role": "user", "content": ""}]
    for seconds in (0.4 + 11.0 + 1.0, 0.4 + 1.0 + 1.0):
        before = wire.clock()
        await wire.post("/v1/messages", ask)
        assert wire.clock() - before == pytest.approx(seconds, abs=0.01)
