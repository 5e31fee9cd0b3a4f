"""The recorder: a proxy between a real client and a provider that writes one file for ``sessions/``.

The traffic is kept in memory, scrubbed when the session is over (``shell.scrub``) and written in one go, so that nothing
unscrubbed ever reaches the disk. ``pointsman record --help`` shows how to use it.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from yarl import URL

from pointsman.errors import PointsmanError, SettingsError
from pointsman.shell import recording, scrub
from pointsman.shell.client import table as clients
from pointsman.shell.recording import Exchange, Recording, Response, Stop

_DROPPED = frozenset({"host", "content-length", "connection", "accept-encoding", "transfer-encoding", "content-encoding",
                      "keep-alive", "proxy-connection", "expect"})
"""Headers that belong to one connection, or name the encoding that the recorder undoes."""

_TERMINAL = ("event: message_stop", "event: response.completed", "data: [DONE]")
"""How the last event of a complete stream begins, by protocol; some clients hang up as soon as they have it."""

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
        except ConnectionError:  # the client closed its end, perhaps right after the last event
            stop = "hangup"
        except asyncio.CancelledError:
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
    parts = text.split("\n\n")
    events = [part + "\n\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])
    over = bool(events) and events[-1].startswith(_TERMINAL) and events[-1].endswith("\n\n")
    kept: Stop = "cut" if stop == "cut" else "hangup" if stop == "hangup" and not over else "end"
    if "event-stream" in headers.get("content-type", ""):
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


def session(exchanges: Iterable[Exchange], *, client: str, version: str, scenario: str, own: Sequence[str],
            private: Sequence[str]) -> Recording:
    """A scrubbed recording of what a client sent. ``own``: our texts, kept; ``private``: strings that must not survive."""
    found = tuple(exchanges)
    first = next((e for e in found if e.body and _protocol(e.path)), None)
    model = _model(first) if first else ""
    raw = Recording(client, version, _protocol(first.path) if first else "", model, scenario,
                    datetime.now(UTC).date().isoformat(), found)
    return scrub.scrub(raw, own, private)


def private_strings(cwd: Path) -> list[str]:
    """What names this person or machine: home and working folder, user and host name, git name and mail address."""
    found = [str(Path.home()), str(cwd), socket.gethostname(), os.environ.get("USER", "")]
    for key in ("user.name", "user.email"):
        with suppress(OSError, subprocess.SubprocessError):
            said = subprocess.run(["git", "config", key], capture_output=True, text=True, timeout=5, check=False, cwd=cwd)
            found.append(said.stdout.strip())
    return [text for text in found if len(text) > 2 and text not in ("root", "user", "localhost")]


def own_texts(paths: Iterable[Path]) -> list[str]:
    """The texts of files, and of all files in folders. Raises SettingsError for one that cannot be read."""
    texts: list[str] = []
    for path in paths:
        files = sorted(p for p in path.rglob("*") if p.is_file() and ".git" not in p.parts) if path.is_dir() else [path]
        for file in files:
            try:
                texts.append(file.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError(f"--own {file}: cannot be read as text: {error}") from error
    return texts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``pointsman record``."""
    parser.add_argument("--upstream", required=True, metavar="URL", help="the provider that answers (no /v1)")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the .jsonl file to write")
    parser.add_argument("--scenario", default="plain", help="one word that says what happens (default: plain)")
    parser.add_argument("--client", help="which client this is, when its command does not say so")
    parser.add_argument("--own", type=Path, action="append", default=[], metavar="PATH",
                        help="a file or folder with our own texts (prompts, scenario files), which are kept; repeatable")
    parser.add_argument("--private", action="append", default=[], metavar="TEXT",
                        help="a string that must not survive, besides paths, user, host and git identity; repeatable")
    parser.add_argument("--port", type=int, default=0, help="listen here (default: a free port)")
    parser.add_argument("command", nargs="*", help="the client to start, after --; without one, record until Ctrl-C")


def command(arguments: argparse.Namespace) -> int:
    """Run ``pointsman record``: returns the client's exit code. Raises SettingsError for arguments that cannot work."""
    return asyncio.run(_record(arguments))


def main(argv: Sequence[str] | None = None) -> int:
    """``pointsman record`` as a program of its own."""
    parser = argparse.ArgumentParser(
        prog="pointsman record",
        description="Record a real client's session for sessions/: vendors' prompt texts and private facts are replaced "
                    "by filler of the same length before anything is written.",
        epilog="example: pointsman record --upstream http://127.0.0.1:8080 --out sessions/x.jsonl -- claude -p 'fix it'",
    )
    add_arguments(parser)
    try:
        return command(parser.parse_args(argv))
    except PointsmanError as error:
        print(f"pointsman record: {error}", file=sys.stderr)
        return 2


async def _record(arguments: argparse.Namespace) -> int:
    words: list[str] = list(arguments.command)
    parts = urlsplit(arguments.upstream)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(f"--upstream is {arguments.upstream!r}; it is a base URL such as https://api.anthropic.com")
    if not arguments.out.parent.is_dir():
        raise SettingsError(f"--out is {str(arguments.out)!r}: there is no folder {arguments.out.parent}")
    client = clients.identify(words, arguments.client).name if words or arguments.client else "unknown"
    own = own_texts(arguments.own) + [word for word in words[1:] if " " in word]
    code = 0
    async with Recorder(arguments.upstream, arguments.port) as recorder:
        if words:
            env = {**os.environ}
            version = clients.version(words, env)
            wrapped = clients.wrap(client, recorder.url, words, env)
            try:
                code = await (await asyncio.create_subprocess_exec(*wrapped.argv, env=dict(wrapped.env))).wait()
            finally:
                if wrapped.after is not None:
                    wrapped.after()
        else:
            version = ""
            print(f"pointsman record listens on {recorder.url}; Ctrl-C ends the session", file=sys.stderr)
            await _interrupted()
    done = session(recorder.exchanges, client=client, version=version, scenario=arguments.scenario, own=own,
                   private=[*private_strings(Path.cwd()), *arguments.private])
    recording.save(done, arguments.out)
    print(f"{len(done.exchanges)} requests written to {arguments.out}", file=sys.stderr)
    return code


async def _interrupted() -> None:
    """Wait for SIGINT or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()


def _protocol(path: str) -> str:
    """The protocol that a path speaks, in the words of the recording; empty when it is none of the four."""
    plain = path.partition("?")[0]
    ends = {"/messages": "messages", "/chat/completions": "chat", "/responses": "responses", ":generateContent": "gemini",
            ":streamGenerateContent": "gemini"}
    return next((name for end, name in ends.items() if plain.endswith(end)), "")


def _model(exchange: Exchange) -> str:
    """The model that a request asks for: in its body, or in a Gemini path."""
    if _protocol(exchange.path) == "gemini":
        return exchange.path.partition("?")[0].rpartition("/")[2].partition(":")[0]
    try:
        return str(json.loads(exchange.body).get("model", ""))
    except ValueError:
        return ""
