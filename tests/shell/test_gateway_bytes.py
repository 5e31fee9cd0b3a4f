"""What goes through the gateway arrives as it was sent: bytes, headers, paths, packed and large bodies."""

from __future__ import annotations

import asyncio
import gzip
import json
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pointsman.core.decisions import Decision
from pointsman.core.events import Finished, Passed, Routed
from pointsman.core.types import Config, Place
from pointsman.engine import Route
from pointsman.errors import WireError
from pointsman.sandbox import Clock, Provider, faults
from pointsman.shell.bodies import MIB, Decoder, plain, readable, zstd
from pointsman.shell.desk import header
from pointsman.shell.streams import listener
from pointsman.shell.vendors import join, vendor_of
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
)

CHEAPER = (b'"claude-sonnet-4-5"', b'"claude-haiku-4-5"')


def frozen() -> Provider:
    """A provider whose answers depend on nothing but the request."""
    return Provider(seed=3, clock=Clock())


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("protocol", PATHS)
async def test_requests_and_answers_are_byte_identical(tmp_path: Path, protocol: str, stream: bool) -> None:
    sent = body(protocol, stream=stream)
    async with frozen() as twin, frozen() as provider, gateway(tmp_path, provider.url) as g, client() as c:
        answers = []
        for base in (twin.url, g.url):
            async with c.post(base + PATHS[protocol], data=sent, headers=headers(protocol)) as answer:
                answers.append((answer.status, await answer.read()))
        assert answers[0] == answers[1]
        assert provider.log[0].raw == twin.log[0].raw == sent
    done = only(events(tmp_path / "ledger.db", Finished))
    assert done.stop == "final" and done.usage.prompt > 0 and done.usage.complete


@pytest.mark.parametrize("size", [1, 7])
async def test_chunks_split_anywhere_change_nothing(tmp_path: Path, size: int) -> None:
    async with Provider() as provider, gateway(tmp_path, provider.url) as g, client() as c:
        for protocol in PATHS:
            provider.fault(faults.chop(size))
            async with c.post(g.url + PATHS[protocol], data=body(protocol), headers=headers(protocol)) as answer:
                raw = await answer.read()
            assert len(raw) == provider.log[-1].sent and raw.endswith(b"\n\n")
    assert [done.stop for done in events(tmp_path / "ledger.db", Finished)] == ["final"] * 3


async def test_headers_path_and_query_are_the_clients_own(tmp_path: Path) -> None:
    heads: list[bytes] = []
    answer = b'{"ok": true}'

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, _ = await request_head(reader)
        heads.append(head)
        writer.write(
            b"HTTP/1.1 200 Fine Indeed\r\nX-Odd-CASE: a\r\nset-cookie: a=1\r\nset-cookie: b=2\r\nKeep-Alive: timeout=5\r\n"
            b"X-Hop: gone\r\nConnection: close, X-Hop\r\nrequest-id: req_1\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer
        )
        await writer.drain()

    async with talking(script) as upstream, gateway(tmp_path, upstream + "/corp") as g:
        reader, writer = await asyncio.open_connection("127.0.0.1", g.port)
        writer.write(
            b"GET /v1/models/a%2Fb?beta=true&q=%20%C3%BC+x HTTP/1.1\r\nHost: 127.0.0.1\r\nX-First: 1\r\nx-api-KEY: sk\r\n"
            b"Connection: close\r\nTE: trailers\r\nuser-agent: me\r\nX-First: 2\r\n\r\n"
        )
        got = await reader.read()
        writer.close()
    line, *lines = heads[0].decode().split("\r\n")
    assert line == "GET /corp/v1/models/a%2Fb?beta=true&q=%20%C3%BC+x HTTP/1.1"
    assert [item for item in lines if item and not item.startswith("Host:")] == [
        "X-First: 1", "x-api-KEY: sk", "user-agent: me", "X-First: 2"
    ]  # fmt: skip
    head, _, got_body = got.partition(b"\r\n\r\n")
    assert got_body == answer
    assert head.decode().split("\r\n") == [
        "HTTP/1.1 200 Fine Indeed", "X-Odd-CASE: a", "set-cookie: a=1", "set-cookie: b=2", "request-id: req_1",
        "Content-Length: 12", "x-pointsman-decision: passed", "Connection: close",
    ]  # fmt: skip
    passed = only(events(tmp_path / "ledger.db", Passed))
    assert (passed.method, passed.path, passed.status) == ("GET", "/v1/models/a%2Fb", 200)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
async def test_packed_bodies_are_read_in_a_copy_and_forwarded_as_they_are(tmp_path: Path, coding: str) -> None:
    clear = body("messages")
    packed = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstd.compress}[coding](clear)
    router = StandIn()
    async with Provider() as provider, gateway(tmp_path, provider.url, router) as g, client() as c:
        for change in (None, lambda sent: sent.replace(*CHEAPER)):
            router.change = change
            sent = {**headers("messages"), "content-encoding": coding}
            async with c.post(g.url + PATHS["messages"], data=packed, headers=sent) as answer:
                assert answer.status == 200, await answer.read()
                await answer.read()
        same, moved = provider.requests
    assert router.bodies == [clear, clear]
    assert same.raw == packed and same.headers["content-encoding"] == coding
    assert moved.raw == clear.replace(*CHEAPER) and "content-encoding" not in moved.headers
    assert moved.headers["content-length"] == str(len(moved.raw)) and moved.model == "claude-haiku-4-5"


async def test_a_body_that_unpacks_to_gigabytes_goes_through_undecided(tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(30_000_000))
    seen: list[bytes] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(await request.read())
        return web.Response(status=400, text="what?")

    async with serving(handler) as upstream, gateway(tmp_path, upstream, body_limit=1_000_000) as g, client() as c:
        sent = {**headers("messages"), "content-encoding": "gzip"}
        async with c.post(g.url + PATHS["messages"], data=bomb, headers=sent) as answer:
            assert (answer.status, await answer.text()) == (400, "what?")
    assert seen == [bomb]
    assert "unpacks to more than" in only(events(tmp_path / "ledger.db", Passed)).why


@pytest.mark.parametrize("coding", ["gzip", "zstd", "br"])
async def test_packed_streams_pass_untouched_while_usage_is_read(tmp_path: Path, coding: str) -> None:
    packer = zlib.compressobj(wbits=31)
    zstd_packer = zstd.ZstdCompressor()
    chunks = []
    for event in answer_events():
        if coding == "gzip":
            chunks.append(packer.compress(event) + packer.flush(zlib.Z_SYNC_FLUSH))
        else:
            chunks.append(zstd_packer.compress(event, zstd.ZstdCompressor.FLUSH_BLOCK))
    chunks.append(packer.flush() if coding == "gzip" else zstd_packer.flush())

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream", "content-encoding": coding})
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
            await asyncio.sleep(0)
        return response

    async with serving(handler) as upstream, gateway(tmp_path, upstream) as g, client() as c:
        async with c.post(g.url + PATHS["messages"], data=body("messages"), headers=headers("messages")) as answer:
            assert answer.headers["content-encoding"] == coding
            assert await answer.read() == b"".join(chunks)
    done = only(events(tmp_path / "ledger.db", Finished))
    if coding == "br":  # cannot be read: said, not guessed
        assert done.usage is None
    else:
        assert (done.stop, done.usage.fresh, done.usage.output) == ("final", 7, 5)


async def test_codings_we_cannot_read_are_not_asked_for_where_usage_is_read(tmp_path: Path) -> None:
    async with Provider() as provider, gateway(tmp_path, provider.url) as g, client() as c:
        accept = {"accept-encoding": "gzip, deflate, br, zstd"}
        async with c.post(g.url + PATHS["chat"], data=body("chat"), headers={**headers("chat"), **accept}) as answer:
            await answer.read()
        async with c.get(g.url + "/v1/models", headers={**headers("chat"), **accept}) as answer:
            await answer.read()
        asked, passed = provider.log
    assert asked.headers["accept-encoding"] == "gzip, deflate, zstd"
    assert passed.headers["accept-encoding"] == "gzip, deflate, br, zstd"
    assert (readable("br"), readable("gzip;q=1, *"), readable("br;q=1, gzip")) == ("identity", "gzip;q=1, *", "gzip")


async def test_fifty_megabytes_and_long_headers_go_through(tmp_path: Path) -> None:
    sent = body("messages", stream=False, text="x" * 50_000_000)
    long = "y" * 64_000
    seen: list[tuple[int, str]] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        size = 0
        async for chunk in request.content.iter_any():
            size += len(chunk)
        seen.append((size, request.headers["x-long"]))
        return web.json_response({"big": "z" * 3_000_000}, headers={"x-long": long})

    router = StandIn(lambda clear: clear)
    async with serving(handler) as upstream, gateway(tmp_path, upstream, router) as g, client() as c:
        given = {**headers("messages"), "x-long": long}
        async with c.post(g.url + PATHS["messages"], data=pieces(sent), headers=given) as answer:
            assert answer.headers["x-long"] == long and len(await answer.read()) > 3_000_000
    assert seen == [(len(sent), long)]
    assert len(events(tmp_path / "ledger.db", Routed)) == 1


async def pieces(sent: bytes):  # type: ignore[no-untyped-def]
    """A body in pieces, so that the test's own client does not block."""
    for start in range(0, len(sent), 1 << 20):
        yield sent[start : start + (1 << 20)]


@pytest.mark.parametrize("announced", [True, False])
async def test_beyond_the_limit_bodies_are_streamed_through_undecided(tmp_path: Path, announced: bool) -> None:
    sent = body("messages", stream=False, text="x" * 300_000)
    async with Provider() as provider, gateway(tmp_path, provider.url, body_limit=100_000) as g, client() as c:
        data = sent if announced else pieces(sent)
        async with c.post(g.url + PATHS["messages"], data=data, headers=headers("messages")) as answer:
            assert answer.status == 200 and json.loads(await answer.read())["usage"]
        assert provider.log[0].raw == sent
    assert "streamed through undecided" in only(events(tmp_path / "ledger.db", Passed)).why


@pytest.mark.parametrize(
    "spoilt", [b"", b"{", b'{"model": "claude-son', b'\xff\xfe{"model"', b"[1]", b"null", b'"' + b"[" * 100_000]
)
async def test_bodies_nobody_can_read_reach_the_provider_whose_words_come_back(tmp_path: Path, spoilt: bytes) -> None:
    seen: list[bytes] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(await request.read())
        return web.Response(status=400, body=b'{"type":"error"}')

    from pointsman.engine import Router
    from pointsman.shell.prices import load_book

    router = Router(__import__("pointsman").Settings().policy(), load_book())
    async with serving(handler) as upstream, gateway(tmp_path, upstream, router) as g, client() as c:
        async with c.post(g.url + PATHS["messages"], data=spoilt, headers=headers("messages")) as answer:
            assert (answer.status, await answer.read()) == (400, b'{"type":"error"}')
    assert seen == [spoilt]
    passed = only(events(tmp_path / "ledger.db", Passed))
    assert passed.why.startswith("unreadable_request"), passed


@pytest.mark.parametrize("coding", ["gzip", "zstd", "frames"])
def test_a_stream_that_unpacks_to_gigabytes_is_passed_on_unread(coding: str) -> None:
    """zstd packs 128 kB of one byte into four: 64 kB of a stream could take all memory before its event was found too long."""
    made = {"gzip": lambda: gzip.compress(bytes(40 * MIB)), "zstd": lambda: zstd.compress(bytes(40 * MIB))}
    bomb = made[coding]() if coding in made else zstd.compress(bytes(MIB)) * 40
    heard = listener("messages", 200, "text/event-stream", "gzip" if coding == "gzip" else "zstd")
    tracemalloc.start()
    assert heard.feed(bomb) == (bomb, b"") and heard.feed(b"more") == (b"more", b"")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert heard.problem is not None and heard.problem.endswith("unpacks to more than 16 MiB") and peak < 36 * MIB


async def test_decoding_has_limits_and_says_what_is_wrong() -> None:
    twice = gzip.compress(b"one ") + gzip.compress(b"two") + b"\0" * 8
    assert await plain(twice, "gzip") == b"one two"
    assert await plain(zstd.compress(b"a") + zstd.compress(b"b"), "zstd") == b"ab"
    assert await plain(zlib.compress(b"x")[2:-4], "deflate") == b"x"
    assert await plain(zstd.compress(gzip.compress(b"x")), "gzip, zstd") == b"x"
    assert await plain(b"x", "identity") == b"x"
    large = gzip.compress(b"abc" * 1_000_000, 0)
    assert len(await plain(large, "gzip")) == 3_000_000
    for packed, coding, what in (
        (b"x", "br", "not one we can read"), (gzip.compress(b"x")[:-9], "gzip", "ends early"),
        (b"no", "gzip", "damaged"), (b"no", "zstd", "damaged"), (zstd.compress(bytes(9 << 20)), "zstd", "more than 1 MiB"),
    ):  # fmt: skip
        with pytest.raises(WireError, match=what):
            await plain(packed, coding, 1 << 20)
    decoder = Decoder("gzip")
    assert b"".join(decoder.feed(bytes([byte])) for byte in twice) == b"one two" and decoder.done


async def test_headers_that_the_engine_edits_are_edited_in_place(tmp_path: Path) -> None:
    class Editing(StandIn):
        def route(self, **given: Any) -> Route:
            routed = super().route(**given)
            kept = {name: value for name, value in given["headers"].items() if name != "x-drop"}
            return replace(routed, headers={**kept, "anthropic-beta": "b", "x-new": "n"})

    router = Editing(lambda sent: sent.replace(*CHEAPER))
    sent = {**headers("messages"), "anthropic-beta": "a,b", "x-drop": "1", "x-keep": "2"}
    async with Provider() as provider, gateway(tmp_path, provider.url, router) as g, client() as c:
        async with c.post(g.url + PATHS["messages"], data=body("messages"), headers=sent) as answer:
            assert answer.status == 200
        seen = provider.log[0].headers
    assert (seen["anthropic-beta"], seen["x-new"], seen["x-keep"]) == ("b", "n", "2") and "x-drop" not in seen


async def test_a_header_on_several_lines_is_one_list(tmp_path: Path) -> None:
    class Editing(StandIn):
        def route(self, **given: Any) -> Route:
            assert given["headers"]["anthropic-beta"] == "a-1, b-2"
            routed = super().route(**given)
            return replace(routed, headers={**given["headers"], "anthropic-beta": given["headers"]["anthropic-beta"] + ",ours"})

    sent = body("messages")
    lines = ["Host: x", "Anthropic-Beta: a-1", "X-Api-Key: k", "anthropic-beta: b-2", f"Content-Length: {len(sent)}"]
    lines.append("Connection: close")
    seen: list[list[str]] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(request.headers.getall("anthropic-beta"))
        return web.Response(body=b"".join(answer_events()), content_type="text/event-stream")

    async with serving(handler) as upstream:
        for router in (Editing(), Editing(lambda sent: sent.replace(*CHEAPER))):
            async with gateway(tmp_path, upstream, router) as g:
                reader, writer = await asyncio.open_connection("127.0.0.1", g.port)
                writer.write("\r\n".join(["POST /v1/messages HTTP/1.1", *lines, "", ""]).encode() + sent)
                assert (await reader.read()).startswith(b"HTTP/1.1 200")
                writer.close()
    assert seen == [["a-1", "b-2"], ["a-1, b-2,ours"]]


def test_our_header_stays_short_enough_for_every_client() -> None:
    place = Place("s1", "main", "main", "continue", turn=1)
    decision = Decision("r1", place, Config("m"), Config("m"), "stay", "asked", "So it was said. " * 5_000)
    route = Route("r1", "m" * 9_000, None, b"", {}, decision, "", "/v1/messages", "messages", False)
    assert len(header(route, False)) == len(header(route, True)) == 1_000


def test_base_urls_and_paths_meet_once() -> None:
    assert join("https://a.example", "/v1/messages?beta=true") == "https://a.example/v1/messages?beta=true"
    assert join("https://a.example/api/v1", "/v1/messages") == "https://a.example/api/v1/messages"
    assert join("https://a.example/anthropic", "/v1/messages") == "https://a.example/anthropic/v1/messages"
    assert join("https://a.example/v1beta", "/v1beta/models/x:y?z=/v1/") == "https://a.example/v1beta/models/x:y?z=/v1/"


def test_vendors_are_told_by_path_and_headers() -> None:
    assert vendor_of("/v1/messages", {}) == "anthropic"
    assert vendor_of("/v1/models", {"anthropic-version": "2023-06-01"}) == "anthropic"
    assert vendor_of("/v1/models", {"authorization": "Bearer x"}) == "openai"
    assert vendor_of("/v1/chat/completions", {"authorization": "Bearer x"}) == "openai"
    assert vendor_of("/v1beta/models/gemini:generateContent", {}) == "google"
    assert vendor_of("/backend-api/codex/responses", {}) == "chatgpt"
    corporate = {"x-api-key": "k", "user-agent": "claude-bridge/1"}  # a proxy of OpenAI's kind: the key is not Anthropic's
    for path in ("/v1/chat/completions", "/v1/responses", "/api/v3/chat/completions", "/v1/embeddings"):
        assert vendor_of(path, corporate) == "openai"
    assert vendor_of("/v1beta/openai/chat/completions", {}) == "google"
    assert vendor_of("/api/hello", {}) == "anthropic"
    assert vendor_of("/", {"user-agent": "claude-cli/2.1"}) == "anthropic"
