"""Helpers of the gateway tests: bodies of each protocol, a raw HTTP provider, waiting for what must become true."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from pointsman.core.decisions import Decision
from pointsman.core.events import Event, Finished, Noted, Routed
from pointsman.core.types import Config, Place, Request
from pointsman.engine import Route
from pointsman.settings import Settings
from pointsman.shell.gateway import Gateway
from pointsman.shell.ledger import read_events
from pointsman.wire import protocol_of

ANTHROPIC = {"x-api-key": "sk-test", "anthropic-version": "2023-06-01", "content-type": "application/json"}
OPENAI = {"authorization": "Bearer sk-test", "content-type": "application/json"}
PATHS = {"messages": "/v1/messages", "chat": "/v1/chat/completions", "responses": "/v1/responses"}
PROMPT = "Write the numbers 1 to 3 into numbers.txt, then read the file back."


def headers(protocol: str) -> dict[str, str]:
    """The headers a client of ``protocol`` sends."""
    return dict(ANTHROPIC if protocol == "messages" else OPENAI)


def body(protocol: str, *, stream: bool = True, text: str = PROMPT, **more: Any) -> bytes:
    """A request of ``protocol`` for a model that the sandbox knows."""
    value: dict[str, Any]
    if protocol == "messages":
        value = {"model": "claude-sonnet-4-5", "max_tokens": 256, "messages": [{"role": "user", "content": text}]}
    elif protocol == "chat":
        value = {"model": "gpt-5.5", "messages": [{"role": "user", "content": text}]}
        if stream:
            value["stream_options"] = {"include_usage": True}
    else:
        value = {"model": "gpt-5.5", "input": [{"type": "message", "role": "user", "content": text}]}
    return json.dumps({**value, "stream": stream, **more}).encode()


def events(path: Path, *kinds: type[Any]) -> list[Any]:
    """The ledger's events of these kinds (all: none given); none while it has not been opened yet."""
    if not path.is_file():
        return []
    return [event for _, event in read_events(path) if not kinds or isinstance(event, kinds)]


def only(found: list[Any]) -> Any:
    """The one element of a list."""
    assert len(found) == 1, found
    return found[0]


async def until(true: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Wait until ``true`` gives something; returns it. The limit is for a test that fails: a busy machine takes its time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := true():
            return value
        await asyncio.sleep(0.01)
    raise AssertionError(f"still not true after {seconds} s")


Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler, **options: Any) -> AsyncIterator[str]:
    """A provider that does exactly what ``handler`` says; yields its base URL."""
    values = {"auto_decompress": False, "max_field_size": 1 << 20, "max_line_size": 1 << 20, **options}
    server = web.Server(handler, handler_cancellation=True, access_log=None, **values)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site.port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def talking(script: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
    """A provider below HTTP: ``script`` gets each connection's streams; yields its base URL."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await script(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def request_head(reader: asyncio.StreamReader) -> tuple[bytes, Mapping[str, str]]:
    """The raw head of one HTTP request and its headers (lower case); its body is read and dropped."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")[1:-2]
    found = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if length := int(found.get("content-length", "0")):
        await reader.readexactly(length)
    return head, found


def sse(*values: Mapping[str, Any]) -> list[bytes]:
    """Server-sent events in Anthropic's form."""
    return [f"event: {value['type']}\ndata: {json.dumps(value)}\n\n".encode() for value in values]


def answer_events(model: str = "claude-sonnet-4-5") -> list[bytes]:
    """A short Messages answer as events."""
    usage = {"input_tokens": 7, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0, "output_tokens": 1}
    start = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [], "usage": usage}
    return sse(
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Grüß dich"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    )


class StandIn:
    """A router that does what the test says: ``change`` edits bodies, ``error`` is raised instead of deciding."""

    def __init__(self, change: Callable[[bytes], bytes] | None = None, error: Exception | None = None) -> None:
        self.change, self.error = change, error
        self.sessions: dict[str, Any] = {}
        self.bodies: list[bytes] = []
        self.finishes: list[dict[str, Any]] = []
        self._open: dict[str, tuple[bytes, Route]] = {}
        self._new: list[Event] = []

    def uncounted(self, **request: Any) -> bool:
        """Nobody needs to count."""
        return False

    def route(self, *, path: str, headers: Mapping[str, str], body: bytes, now: float, dice: float,
              run: str | None = None, upstream: str = "", counted: int = 0) -> Route:  # fmt: skip
        """The body as it is, or as ``change`` makes it."""
        if self.error is not None:
            raise self.error
        self.bodies.append(body)
        protocol = protocol_of("POST", path)
        assert protocol is not None
        id = f"r{len(self.bodies)}"
        model = json.loads(body)["model"]
        sent = self.change(body) if self.change else body
        chosen = json.loads(sent)["model"]
        action = "stay" if chosen == model else "switch"
        place = Place("s1", "main", "main", "continue", turn=1)
        decision = Decision(id, place, Config(model), Config(chosen), action, "asked", "As asked.")  # type: ignore[arg-type]
        route = Route(id, chosen, None, sent, headers, decision, upstream, path, protocol, sent is not body)
        self._open[id] = body, route
        request = Request(protocol, path, model, run=run, session="s1")
        self._new.append(Routed(now, "s1", id, request, 0, decision, upstream))
        return route

    def refuse(self, id: str, status: int, now: float) -> Route:
        """The original."""
        body, route = self._open[id]
        self._new.append(Noted(now, "refused_change", f"refused with {status}", "s1"))
        return replace(route, body=body, model=route.decision.asked.model, changed=False)

    def finish(self, id: str, **facts: Any) -> None:
        """Remember it, and emit its event."""
        self.finishes.append({"id": id, **facts})
        values = {key: facts[key] for key in ("status", "stop", "started", "ended", "first_byte", "usage", "resent", "error")}
        self._new.append(Finished(facts["ended"], "s1", id, served=Config(facts["model"] or "?"), **values))

    def note(self, event: Event) -> None:
        """Take it."""
        self._new.append(event)

    def events(self) -> list[Event]:
        """The new events."""
        drained, self._new = self._new, []
        return drained


def gateway(tmp_path: Path, upstream: str, router: Any = None, **options: Any) -> Gateway:
    """A gateway with its ledger in ``tmp_path`` and, unless given, a router that changes nothing."""
    options.setdefault("ledger", tmp_path / "ledger.db")
    options.setdefault("say", lambda sentence: None)
    return Gateway(Settings(), upstream=upstream, router=router or StandIn(), **options)


@asynccontextmanager
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP client that adds and undoes nothing."""
    async with aiohttp.ClientSession(
        auto_decompress=False, skip_auto_headers=("accept", "accept-encoding", "user-agent", "content-type"),
        max_field_size=1 << 20, max_line_size=1 << 20,
    ) as session:  # fmt: skip
        yield session
