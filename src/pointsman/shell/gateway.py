"""The gateway: one loopback port between a coding agent and its providers.

    agent --> Gateway._handle --> Desk.decide (engine) --> Exchange (send, relay, record) --> provider

Messages, Chat Completions, Responses and generateContent are decided; everything else passes through untouched and is counted. In
process: ``async with Gateway(settings, upstream=..., ledger=..., clock=...) as g: g.url``. As a program: ``shell.serving``.
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from pointsman import __version__
from pointsman.core.events import Event, Pinned, RunEnded, RunStarted
from pointsman.errors import LedgerError, PointsmanError, SettingsError
from pointsman.shell import control, controlled
from pointsman.shell.advising import Advising
from pointsman.shell.bodies import BODY_LIMIT, LARGE, Upload, collect, plain, readable
from pointsman.shell.desk import Desk
from pointsman.shell.exchange import COMMIT_WAIT_S, Exchange
from pointsman.shell.failover.fallbacks import Fallbacks
from pointsman.shell.failover.onward import go_around, onward_of
from pointsman.shell.incoming import careful_logger
from pointsman.shell.ledger import Ledger, ledger_path, read_events, recent_events, say_on_stderr
from pointsman.shell.ports import LOOPBACK, PortInUse, free_port
from pointsman.shell.served import Served
from pointsman.shell.translation.foreign import ForeignRoutes
from pointsman.shell.upstream import HEADER_LIMIT, HEADERS_AT_MOST, Outbound, by_name, forwardable, replaced
from pointsman.shell.vendors import Upstreams, vendor_of
from pointsman.wire import protocol_of

if TYPE_CHECKING:
    from pointsman.engine import Router
    from pointsman.settings import Settings

ADVICE_SHOWN = 50
"""Texts of advice that a screen gets: the newest."""

RUN_PATH = re.compile(r"/run/([A-Za-z0-9_-]+)(/.*)?$", re.DOTALL)
GRACE_S = 10.0
"""Seconds that requests under way get when the gateway is asked to stop; then they are recorded as cut."""


class Gateway:
    """A gateway on a loopback port.

    ``upstream``: one base URL for everything, ``upstreams``: vendor to base URL; both before the settings' own.
    ``ledger``: a Ledger (left open), a file, or None for the default one. ``router``: bring your own.
    ``clock`` gives epoch seconds, ``dice`` a number in [0, 1). ``announced``: write ``gateway.json`` for the commands.
    """

    def __init__(
        self, settings: Settings | Served | None = None, *, upstream: str | None = None,
        upstreams: Mapping[str, str] | None = None, ledger: Ledger | Path | str | None = None,
        router: Router | None = None, host: str = LOOPBACK, port: int = 0, clock: Callable[[], float] = time.time,
        dice: Callable[[], float] = random.random, announced: bool = False,
        say: Callable[[str], None] = say_on_stderr, body_limit: int = BODY_LIMIT,
    ) -> None:  # fmt: skip
        if host not in (LOOPBACK, "localhost"):
            raise SettingsError(f"the gateway listens on {LOOPBACK} only, not on {host}: its port spends your keys")
        self.settings = settings or defaults()
        own = {} if upstream else self.settings.upstreams
        self.upstreams = Upstreams(upstream or self.settings.upstream, {**own, **(upstreams or {})})
        self.port = port
        self.token = secrets.token_urlsafe(24)
        self.runs: dict[str, RunStarted] = {}
        self._registered: set[str] = set()  # with this process: a run killed earlier never says that it ended
        self.started = clock()
        self._ledger, self._router = ledger, router
        self._clock, self._dice, self._say = clock, dice, say
        self.foreign = ForeignRoutes(self.upstreams, self.settings.keys)
        self._announced = announced
        self._body_limit = body_limit
        self._active: set[asyncio.Task[Any]] = set()
        self._own_ledger = not isinstance(ledger, Ledger)

    @property
    def url(self) -> str:
        """The base URL for clients."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def found(self) -> control.Found:
        """What ``gateway.json`` says about this gateway."""
        return control.Found(self.port, os.getpid(), self.token, __version__, self.started)

    # -- life --------------------------------------------------------------------------------------------------------

    async def start(self) -> Gateway:
        """Open the ledger, rebuild the sessions, listen. Raises PortInUse, SettingsError."""
        if self.port:
            self._refuse_loops(self.upstreams.every())
        self.ledger = self._opened_ledger()
        try:
            router = self._router or self._made_router()
            self.fallbacks = self._made_fallbacks(router)
        except PointsmanError:
            self._close_ledger()
            raise
        self.desk = Desk(router, self.ledger, self._clock, self._dice, self._say)
        self.out = Outbound()
        self.advising = Advising(self.desk, self.out, self.foreign)
        self.foreign.attach(router, self.out)
        server = web.Server(
            self._tracked, handler_cancellation=True, auto_decompress=False, max_line_size=HEADER_LIMIT,
            max_field_size=HEADER_LIMIT, max_headers=HEADERS_AT_MOST, access_log=None, logger=careful_logger(),
        )  # fmt: skip
        self._runner = web.ServerRunner(server, shutdown_timeout=0.5)
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, LOOPBACK, self.port)
        try:
            await self._site.start()
        except OSError as error:
            await self._close_all()
            if error.errno == errno.EADDRINUSE:
                raise PortInUse(self.port) from error
            raise SettingsError(
                f"cannot listen on port {self.port}: {error.strerror}; port {free_port()} is free"
            ) from error
        self.port = self._site.port
        self.foreign.prepare()
        if self._announced:
            try:
                control.announce(self.found)
            except PointsmanError:
                await self._close_all()
                raise
        return self

    async def close(self, grace: float = GRACE_S) -> None:
        """Stop listening, let requests under way finish for ``grace`` seconds, record the rest, close the ledger."""
        self.desk.closing = True
        if self._announced:
            control.withdraw(self.found)
        await self._site.stop()
        if self._active:
            await asyncio.wait(set(self._active), timeout=grace)
        await self._close_all()

    def abort(self) -> None:
        """End the requests under way now; they are recorded as cut."""
        for task in self._active:
            task.cancel()

    async def _close_all(self) -> None:
        await self._runner.cleanup()
        await self.advising.close()
        await self.foreign.translator.close()
        await self.out.close()
        self.desk.flush()
        await asyncio.to_thread(self._close_ledger)

    def _close_ledger(self) -> None:
        if self._own_ledger:
            try:
                self.ledger.close()
            except LedgerError as error:
                self._say(str(error))

    async def __aenter__(self) -> Gateway:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _opened_ledger(self) -> Ledger:
        if isinstance(self._ledger, Ledger):
            return self._ledger
        return Ledger(self._ledger or ledger_path(), patient=True, say=self._say)

    def _made_router(self) -> Router:
        """The engine with the sessions of the last days, rebuilt from the ledger; without them if it cannot be read."""
        from pointsman.engine import Router
        from pointsman.shell.prices import load_book

        past = []
        if self.ledger.path.is_file():
            try:
                past = recent_events(self.ledger.path, self._clock() - control.REMEMBERED_S)
            except LedgerError as error:
                self._say(f"{error}; earlier sessions are not known")
        for event in past:
            if isinstance(event, RunStarted):
                self.runs[event.run] = event
            elif isinstance(event, RunEnded):
                self.runs.pop(event.run, None)
        book = load_book(self.settings.prices)
        if not isinstance(self.settings, Served):  # those were verified before they were made plain
            from pointsman.settings import verify

            verify(self.settings, book)
        policy = replace(self.settings.policy(), vendors=self.foreign.vendors, one_upstream=self.foreign.one_upstream)
        return Router(policy, book, past, titles=self.settings.titles, recall=self._recalled)

    def _made_fallbacks(self, router: Router) -> Fallbacks | None:
        """Who takes over when a provider fails; None where the settings name nobody."""
        if not self.settings.fallbacks:
            return None
        return Fallbacks(self.settings, self.upstreams, self._clock, router.book.vendor, resolve=router.book.resolve)

    def _recalled(self, session: str) -> Iterator[Event]:
        """The past of a session that spoke before those kept in memory; nothing where the ledger cannot be read."""
        if not self.ledger.path.is_file():
            return
        try:
            yield from (event for _, event in read_events(self.ledger.path, session=session))
        except LedgerError as error:
            self._say(f"{error}; the past of session {session} is not known")

    def _refuse_loops(self, urls: list[str]) -> None:
        own = {f"http://{name}:{self.port}" for name in ("127.0.0.1", "localhost", "[::1]")}
        for url in urls:
            if url in own or url.startswith(tuple(f"{base}/" for base in own)):
                raise SettingsError(f"the upstream {url} is this gateway itself: name the provider")

    # -- requests ----------------------------------------------------------------------------------------------------

    async def _tracked(self, request: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._active.add(task)
        try:
            return await self._handle(request)
        finally:
            self._active.discard(task)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Control, WebSocket, or an exchange with a provider."""
        target = request.raw_path
        headers = by_name(request.headers.items())
        if target.startswith(control.PREFIX):
            return await self._control(request, target, headers)
        run, target = split_run(target)
        if not target.startswith("/") or request.method == "CONNECT":
            return web.Response(status=400, text="this is a gateway for model requests, not a general proxy\n")
        if headers.get("sec-fetch-site", "none") != "none":  # sent by browsers only: this port may spend the user's keys
            self.desk.count(request.method, target, 403, "a web page asked: refused")
            return web.Response(status=403, text="this gateway serves coding agents, not web pages\n")
        if headers.get("upgrade", "").lower() == "websocket":
            return self._no_websocket(request, target)
        if headers.get("expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            exchange = await self._prepared(request, target, headers, run)
        except web.RequestPayloadError as error:
            return web.Response(status=400, text=f"the request body cannot be read: {error}\n")
        return await exchange.run()

    async def _prepared(
        self, request: web.BaseRequest, target: str, headers: Mapping[str, str], run: str | None
    ) -> Exchange:
        """The exchange for a request: its body read as far as needed, decided when it is ours to decide."""
        path = target.partition("?")[0]
        protocol = protocol_of(request.method, path)
        ours = protocol is not None
        known = self.runs.get(run) if run else None
        vendor, places = vendor_of(path, headers), dict(known.upstreams) if known else None
        base = self.upstreams.base(vendor, places)
        body = await self._body(request, self._body_limit if ours else LARGE)
        exchange = Exchange(
            request, base, target, forwardable(request.raw_headers, ("host", "expect")), headers, body,
            out=self.out, desk=self.desk, protocol=protocol, started=self._clock(),
            silence_s=self.settings.silence_s,
        )  # fmt: skip
        if ours:
            try:
                if self.fallbacks is not None:
                    go_around(self.fallbacks, exchange, self.desk, vendor)
                await self._decide(exchange, path, run)
                if self.fallbacks is not None:
                    exchange.onward = onward_of(self.fallbacks, exchange, vendor, places)
            except Exception as error:  # what was decided by then is sent, else the original
                exchange.why = self.desk.contain("fail_open", error)
        return exchange

    async def _body(self, request: web.BaseRequest, limit: int) -> Upload:
        if not request.body_exists:
            return Upload(b"")
        return await collect(request.content, request.content_length, limit)

    async def _decide(self, exchange: Exchange, path: str, run: str | None) -> None:
        """Ask the desk; on any error the exchange stays as it is, and goes through undecided."""
        headers = exchange.given
        if not exchange.body.whole:
            exchange.why = f"larger than {self._body_limit >> 20} MiB: streamed through undecided"
            return
        if accepted := headers.get("accept-encoding"):
            exchange.headers = replaced(exchange.headers, "accept-encoding", readable(accepted))
        try:
            body = await plain(exchange.body.head, headers.get("content-encoding", ""), self._body_limit)
        except PointsmanError as error:
            exchange.why = self.desk.contain("unreadable_request", error)
            return
        counted = await self.foreign.counted(self.desk, exchange, path, body, run)
        found = self.desk.decide(path, headers, body, exchange.started, run, exchange.base, counted)
        if isinstance(found, str):
            exchange.why = found
        else:
            exchange.route = found
            exchange.base = found.upstream or exchange.base
            self.foreign.prepare(found.model, found.decision.place.session)
            known = self.runs.get(run) if run else None
            places = dict(known.upstreams) if known else {}
            exchange.adviser = self.advising.of(places)
            exchange.foreign = partial(self.foreign.answer, places, exchange.base)

    def _no_websocket(self, request: web.BaseRequest, target: str) -> web.StreamResponse:
        """426: Codex falls back to HTTP at once (a 404 costs it 6.8 s, WIRE.md 1)."""
        self.desk.count(request.method, target, 426, "WebSocket: answered 426, the client falls back to HTTP")
        headers = {"Upgrade": "HTTP/1.1", "Connection": "Upgrade"}
        return web.Response(status=426, headers=headers, text="WebSocket is not offered here: use HTTP\n")

    # -- control -----------------------------------------------------------------------------------------------------

    async def _control(self, request: web.BaseRequest, target: str, headers: Mapping[str, str]) -> web.StreamResponse:
        action = target.removeprefix(control.PREFIX).partition("?")[0]
        refused = controlled.refusal(headers, action, self.token)
        if refused is not None:
            return web.json_response({"error": refused[1]}, status=refused[0])
        try:
            if request.method == "GET" and action in ("health", "sessions", "advice"):
                return web.json_response(self._shown(action))
            if request.method != "POST" or action not in controlled.ALLOWED:
                return web.json_response({"error": f"there is no {request.method} {action} here"}, status=404)
            body = await self._body(request, LARGE)
            return web.json_response(await self._act(action, controlled.parsed(body.head)))
        except (PointsmanError, ValueError, TypeError) as error:
            return web.json_response({"error": str(error)}, status=400)

    async def _act(self, action: str, given: dict[str, Any]) -> dict[str, Any]:
        """Do it and wait until it is on disk, like every other fact."""
        now = self._clock()
        event: Event | None
        if action == "run":
            event = self._run(controlled.run_event(given, now))
            self.desk.router.note(event)
        else:
            event = controlled.apply(self.desk.router, action, given, now)
            if isinstance(event, Pinned):
                self.foreign.prepare(event.config.model, event.session)
        written = asyncio.wrap_future(self.desk.flush())
        await asyncio.wait((written,), timeout=0.0 if self.ledger.trouble else COMMIT_WAIT_S)
        return {"event": controlled.described(event), "ledger": self.ledger.trouble}

    def _run(self, event: RunStarted | RunEnded) -> Event:
        if isinstance(event, RunEnded):
            self.runs.pop(event.run, None)
            self._registered.discard(event.run)
            return event
        checked = Upstreams(by_vendor=dict(event.upstreams))
        self._refuse_loops(list(checked.by_vendor.values()))
        self.runs[event.run] = event
        self._registered.add(event.run)
        return event

    def _shown(self, action: str) -> dict[str, Any]:
        if action == "advice":
            said = self.desk.router.additions.said
            return {"advice": {id: advice.text for id, advice in list(said.items())[-ADVICE_SHOWN:]}}
        return self.health() if action == "health" else {"sessions": self.sessions()}

    def health(self) -> dict[str, Any]:
        """Who runs here, what it counted, and whether its ledger can be written."""
        return {
            "pointsman": True, "version": __version__, "pid": os.getpid(), "port": self.port, "started": self.started,
            "decided": self.desk.decided, "passed": self.desk.passed, "in_flight": len(self._active),
            "sessions": len(self.desk.router.sessions), "runs": len(self._registered), "ledger": str(self.ledger.path),
            "trouble": self.ledger.trouble, "notes": self.desk.notes,
        }  # fmt: skip

    def sessions(self) -> list[dict[str, Any]]:
        """The sessions in memory, the one seen last at the end."""
        return controlled.listed(self.desk.router.sessions.values())


def defaults() -> Settings:
    """The settings where nobody has said anything."""
    from pointsman.settings import Settings

    return Settings()


def split_run(target: str) -> tuple[str | None, str]:
    """Run id and target of ``/run/ID/...``; the target itself, and None, for any other."""
    found = RUN_PATH.match(target)
    return (found.group(1), found.group(2) or "/") if found else (None, target)
