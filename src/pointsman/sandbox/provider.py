"""The embedded provider: a real HTTP server on loopback that answers as Anthropic, OpenAI and Google would.

    async with Provider(clock=Clock(), script=tool_task(), seed=1) as p:
        ...  # talk to p.url, look at p.log, queue p.fault(cut("text"))

Theory of operation. A request is read (``reading``), checked against its model's row (``rules``), planned against the
prefix cache (``cache``), answered by the script, and spoken in its protocol's words (``speak_*``). Usage follows from the
cache; nothing is written down twice. Faults strike while the answer is being sent (``sending``).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Self

from aiohttp import web

from pointsman.sandbox import catalog, reading, rules
from pointsman.sandbox.answering import answer_for, seals_of, speaker
from pointsman.sandbox.cache import Cache, Plan
from pointsman.sandbox.clock import as_clock
from pointsman.sandbox.diagnosis import Diagnostics
from pointsman.sandbox.effort import effort_of
from pointsman.sandbox.errors import Refused, error_body
from pointsman.sandbox.faults import Fault, Faults
from pointsman.sandbox.incoming import Incoming
from pointsman.sandbox.log import Log, Record, headers_of
from pointsman.sandbox.models import Model, find, find_or_default
from pointsman.sandbox.reply import Reply, token
from pointsman.sandbox.script import Script
from pointsman.sandbox.sending import Sender
from pointsman.sandbox.tasks import tool_task

HEADER_LIMIT = 65_536
"""Bytes of one header field that are accepted."""

BODY_LIMIT = 64 * 1024 * 1024
"""Bytes of a request body that are accepted, as sent and unpacked."""


class Provider:
    """All vendors behind one port.

    ``clock``: epoch seconds (default: real time). ``script``: what it answers (default: the three-request tool task).
    ``seed``: ids and signatures follow from it. ``strict``: unknown models are a 404 and each model's own rules a 400.
    ``speed``: factor on all latencies, 0 for none. ``bodies``: how many of the newest records keep the request's body.
    Requests may come under any path prefix.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] | None = None,
        script: Script | None = None,
        seed: int = 0,
        strict: bool = True,
        speed: float = 0.0,
        host: str = "127.0.0.1",
        port: int = 0,
        bodies: int = 5_000,
    ) -> None:
        self.clock = as_clock(clock)
        self.script: Script = script or tool_task()
        self.seed, self.strict, self.speed = seed, strict, speed
        self.cache, self.faults, self.log = Cache(), Faults(), Log(bodies)
        self.cancelled = 0
        self.prefix_read: Counter[str] = Counter()
        self._host, self._port = host, port
        self._runner: web.AppRunner | None = None
        self._seen: dict[str, dict[str, int]] = {}
        self._issued: set[str] = set()
        self._diagnostics = Diagnostics()

    # ---- life
    async def __aenter__(self) -> Self:
        """Start serving; the port is chosen by the system unless given."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop serving."""
        await self.stop()

    async def start(self) -> None:
        """Listen, on the same port as before if it was stopped."""
        app = web.Application(
            client_max_size=BODY_LIMIT,
            handler_args={
                "auto_decompress": False,
                "max_line_size": HEADER_LIMIT,
                "max_field_size": HEADER_LIMIT,
                "keepalive_timeout": 75.0,
            },
        )
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening and drop open connections: what follows is refused, as by a dead upstream."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def url(self) -> str:
        """The base URL, without a trailing slash and without /v1."""
        return f"http://{self._host}:{self._port}"

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def requests(self) -> list[Record]:
        """The model requests of the log (counts, lists and probes left out)."""
        return [record for record in self.log if record.protocol is not None and not record.counting]

    def fault(self, fault: Fault, *, nth: int | None = None, when: Callable[[Incoming], bool] | None = None) -> None:
        """Queue a fault for the ``nth`` model request from now (None: the next), or the nth for which ``when`` holds."""
        self.faults.add(fault, nth=nth, when=when)

    # ---- requests
    async def _handle(self, http: web.Request) -> web.StreamResponse:
        """Serve one HTTP request; whatever it was, it is in the log."""
        record = Record(
            n=len(self.log) + 1, method=http.method, path=http.raw_path, headers=headers_of(http.headers), started=self.clock()
        )
        self.log.add(record)
        try:
            response = await self._serve(http, record)
        except asyncio.CancelledError:
            record.hung_up = True
            self.cancelled += 1
            raise
        except Refused as refused:
            response = self._refuse(record, refused)
        finally:
            record.ended = self.clock()
        record.status = response.status
        return response

    async def _serve(self, http: web.Request, record: Record) -> web.StreamResponse:
        record.raw = await http.read()
        protocol, counting = reading.route(http.method, http.path)
        record.protocol, record.counting = protocol, counting
        if protocol is None:
            return catalog.serve(http, record)
        request = reading.read(http, protocol, record.raw, BODY_LIMIT)
        request = self._numbered(request)
        record.take(request)
        if counting:
            return self._count(request)
        fault = self.faults.take(request)
        if fault is not None:
            record.fault = fault.kind
            if fault.kind == "status":
                return self._faulty(record, fault)
        return await self._answer(http, request, record, fault)

    async def _answer(self, http: web.Request, request: Incoming, record: Record, fault: Fault | None) -> web.StreamResponse:
        """Check, plan, ask the script and send."""
        row = self._row(request)
        if self.strict:
            rules.check(request, row, self._issued)
        skipped = rules.unreadable(request, row)
        plan = self.cache.plan(request, row, reading.pieces(request, skipped), record.started)
        rules.fits(request, row, plan.bill.prompt)
        reply: Reply = self.script(request)
        answer = answer_for(request, row, reply, plan.bill, seed=f"{self.seed}/{record.n}", now=self.clock(), skipped=skipped)
        answer = replace(answer, diagnosis=self._diagnostics.compare(request, row))
        own = answer.id("msg_01", 0, 22) if request.protocol == "messages" else answer.id("resp_", 0, 48)
        self._diagnostics.remember(request, own)
        self._issued.update(seals_of(request.protocol, answer))
        record.bill, record.model, record.effort = answer.bill, answer.model, effort_of(request, row)
        record.usage = speaker(request.protocol).used(answer)
        sender = Sender(
            http, request, answer, record, fault, clock=self.clock, speed=self.speed, begun=lambda: self._begun(plan, record)
        )
        return await sender.send()

    def _begun(self, plan: Plan, record: Record) -> None:
        """The first byte goes out: the cache holds what was planned, the counters move."""
        record.first_byte = self.clock()
        self.cache.hold(plan)
        self.prefix_read[record.model or ""] += plan.bill.read

    def _row(self, request: Incoming) -> Model:
        """The model's row; an unknown name is refused, or served as a permissive one when not strict."""
        row = find(request.model)
        if row is None and self.strict:
            raise rules.unknown_model(request)
        return row or find_or_default(request.model, request.protocol)

    def _count(self, request: Incoming) -> web.Response:
        """Count tokens without answering."""
        row = self._row(request)
        total = row.tokens(sum(len(piece.counted) for piece in reading.pieces(request, frozenset())))
        return web.json_response({"totalTokens": total} if request.protocol == "gemini" else {"input_tokens": total})

    def _numbered(self, request: Incoming) -> Incoming:
        """The request with its number among the main requests of its session; a retry keeps its number."""
        if request.purpose != "main":
            return request
        seen = self._seen.setdefault(request.session, {})
        return reading.numbered(request, seen.setdefault(request.digest, len(seen) + 1))

    # ---- refusals
    def _refuse(self, record: Record, refused: Refused) -> web.Response:
        request_id = "req_" + token(f"{self.seed}/{record.n}", 20)
        return web.json_response(
            error_body(record.protocol or "chat", refused, request_id), status=refused.status, headers={"request-id": request_id}
        )

    def _faulty(self, record: Record, fault: Fault) -> web.Response:
        """The queued status, in the protocol's form unless a body was given."""
        if isinstance(fault.body, str):
            return web.Response(text=fault.body, status=fault.status, headers=dict(fault.headers), content_type="text/html")
        refused = Refused(fault.status, reading.words(fault.status))
        body = fault.body or error_body(record.protocol or "chat", refused, "req_" + token(f"{self.seed}/{record.n}", 20))
        return web.json_response(body, status=fault.status, headers=dict(fault.headers))
