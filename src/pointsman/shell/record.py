"""The recorder: a proxy between a real client and a provider that writes one file for ``sessions/``.

The traffic is kept in memory, scrubbed when the session is over (``shell.scrub``) and written in one go, so that nothing
unscrubbed ever reaches the disk. ``pointsman record --help`` shows how to use it.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import os
import shlex
import signal
import sys
import time
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web

from pointsman.shell import clients, recording, scrub
from pointsman.shell.recording import Exchange, Recording, Response, Stop

_DROPPED = frozenset({"host", "content-length", "connection", "accept-encoding", "transfer-encoding", "content-encoding",
                      "keep-alive", "proxy-connection", "expect"})
"""Headers that belong to one connection, or name the encoding that the recorder undoes."""

_LIMIT = 64 * 1024
"""Bytes of one header field: clients send long lists of betas and metadata."""


@dataclass
class Recorder:
    """A running recorder. Use it as an async context manager; ``url`` is the base URL for the client."""

    upstream: str
    port: int = 0
    exchanges: list[Exchange] = field(default_factory=list)
    url: str = ""

    async def __aenter__(self) -> Self:
        """Listen on 127.0.0.1, on a free port when ``port`` is 0."""
        self._start = time.monotonic()
        self._count = 0
        self._session = aiohttp.ClientSession(
            auto_decompress=False, timeout=aiohttp.ClientTimeout(total=None),
            connector=aiohttp.TCPConnector(limit=0), max_field_size=_LIMIT, max_line_size=_LIMIT,
        )
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, handler_cancellation=True, auto_decompress=False, shutdown_timeout=1.0,
                                     max_field_size=_LIMIT, max_line_size=_LIMIT, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        """Stop listening; requests still under way are recorded as hung up."""
        await self._runner.cleanup()
        await self._session.close()

    def _now(self) -> float:
        return round(time.monotonic() - self._start, 4)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self._count += 1
        n, began = self._count, self._now()
        raw = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items() if name.lower() not in _DROPPED}
        body = _decoded(raw, request.headers.get("Content-Encoding", ""))
        self.exchanges.append(Exchange(n, began, request.method, request.raw_path, headers, body))
        place = len(self.exchanges) - 1
        if request.headers.get("Upgrade", "").lower() == "websocket":
            refusal = web.Response(status=426, headers={"Upgrade": "HTTP/1.1", "Connection": "Upgrade"})
            self._keep(place, Response(self._now(), self._now(), 426, {}, body=""))
            return refusal
        sent = {**headers, "accept-encoding": "identity"}
        from yarl import URL

        try:
            async with self._session.request(
                request.method, URL(self.upstream.rstrip("/") + request.raw_path, encoded=True), data=body or None,
                headers=sent, allow_redirects=False, skip_auto_headers=("user-agent", "content-type", "accept"),
            ) as answer:
                return await self._relay(request, answer, place)
        except aiohttp.ClientConnectionError as error:
            text = f"pointsman record cannot reach {self.upstream}: {error}"
            self._keep(place, Response(self._now(), self._now(), 502, {}, body=text))
            return web.Response(status=502, text=text)

    async def _relay(self, request: web.Request, answer: aiohttp.ClientResponse, place: int) -> web.StreamResponse:
        """Stream the answer to the client and keep a copy; how it ended is kept in any case."""
        headers = {name.lower(): value for name, value in answer.headers.items() if name.lower() not in _DROPPED}
        out = web.StreamResponse(status=answer.status, headers=headers)
        await out.prepare(request)
        first, parts, stop = self._now(), list[bytes](), "end"
        try:
            async for chunk in answer.content.iter_any():
                parts.append(chunk)
                await out.write(chunk)
            await out.write_eof()
        except aiohttp.ClientPayloadError:
            stop = "cut"
            if request.transport is not None:
                request.transport.abort()
        except (asyncio.CancelledError, ConnectionError):
            stop = "hangup"
            raise
        finally:
            self._keep(place, _response(first, self._now(), answer.status, headers, b"".join(parts), stop))
        return out

    def _keep(self, place: int, response: Response) -> None:
        asked = self.exchanges[place]
        self.exchanges[place] = Exchange(asked.n, asked.t, asked.method, asked.path, asked.headers, asked.body, response)


def _response(first: float, end: float, status: int, headers: Mapping[str, str], body: bytes, stop: str) -> Response:
    text = body.decode("utf-8", "replace")
    kept: Stop = "hangup" if stop == "hangup" else "cut" if stop == "cut" else "end"
    if "event-stream" in headers.get("content-type", ""):
        parts = text.split("\n\n")
        events = [part + "\n\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])
        return Response(first, end, status, headers, tuple(events), None, kept)
    return Response(first, end, status, headers, (), text, kept)


def _decoded(raw: bytes, encoding: str) -> bytes:
    """The request body with its content encoding undone: gzip, deflate and zstd are what clients use."""
    if encoding == "gzip":
        return gzip.decompress(raw)
    if encoding == "deflate":
        return zlib.decompress(raw)
    if encoding == "zstd":
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
        return bytes(zstd.decompress(raw))
    return raw
