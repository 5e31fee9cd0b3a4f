"""One request on its way: sent, resent when our change was refused, relayed, and recorded exactly once.

The rules of WIRE.md section 1, in the order in which they matter here:
* an error of the provider is relayed verbatim; a refusal of *our change* never is: the original goes out at once;
* nothing answered: 502 in the protocol's own error form; broken off before the first byte: asked again, once;
  broken off later: the client's connection is dropped, because a clean end would pass for a whole answer;
* a client that hangs up cancels the provider's request at once, and the row is written all the same;
* the last event waits for its row to be committed, at most ``COMMIT_WAIT_S``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from pointsman.core.events import Stop
from pointsman.core.types import Protocol
from pointsman.errors import UpstreamError
from pointsman.shell.bodies import Upload
from pointsman.shell.desk import error_body, header
from pointsman.shell.streams import Guarded, Listener, Through, listener
from pointsman.shell.upstream import Headers, Outbound, edited, forwardable, received, replaced
from pointsman.shell.vendors import join
from pointsman.wire import response_headers

if TYPE_CHECKING:
    from pointsman.engine import Route
    from pointsman.shell.desk import Desk

COMMIT_WAIT_S = 0.2
REFUSALS = frozenset({400, 403, 404, 413, 422})
"""Answers that, to a request we changed, mean that our change was wrong (WIRE.md 1)."""

HUNG_UP = 499
"""nginx's status for a client that closed the connection before the answer; never sent to anybody."""

DECISION_HEADER = "x-pointsman-decision"


class Relayed(web.StreamResponse):
    """A response that carries the provider's headers and none of aiohttp's own."""

    async def _prepare_headers(self) -> None:
        given = {name.lower() for name in self.headers}
        await super()._prepare_headers()
        for name in ("Content-Type", "Date", "Server"):
            if name.lower() not in given and name in self.headers:
                del self.headers[name]


@dataclass(slots=True)
class Exchange:
    """A request with everything needed to send it, twice if need be.

    ``target``: raw path and query under the upstream ``base``. ``body``: the client's own bytes. ``headers``: ready to
    be forwarded with those bytes; ``given``: the same as the engine saw them. ``desk``: decides and records. ``route``
    None: it goes through undecided, and ``why`` says so in the ledger.
    """

    request: web.BaseRequest
    out: Outbound
    desk: Desk
    base: str
    target: str
    headers: Headers
    given: Mapping[str, str]
    body: Upload
    protocol: Protocol | None = None
    route: Route | None = None
    why: str = "not a path we decide"
    started: float = 0.0
    first_byte: float | None = None
    resent: bool = False
    status: int = 0
    heard: Listener = field(default_factory=Through)
    _begun: bool = False
    _done: bool = False

    async def run(self) -> web.StreamResponse:
        """Send, relay and record; returns the finished response."""
        try:
            return await self._answered()
        except asyncio.CancelledError:
            if self.desk.closing:
                self._finish("cut", self.status or HUNG_UP, "the gateway was stopped")
            else:
                self._finish("hangup", self.status or HUNG_UP)
            raise
        except ConnectionError:  # the client's side: a provider's own errors are UpstreamErrors
            self._finish("hangup", self.status or HUNG_UP)
            raise asyncio.CancelledError from None
        except Exception as error:  # ours, or headers that aiohttp will not write
            why = self.desk.contain("gateway_error", error)
            if self._begun:
                self._drop(why)
            return await self._unreachable(why)

    async def _answered(self) -> web.StreamResponse:
        for attempt in (1, 2):
            try:
                answer = await self._sent()
            except UpstreamError as error:
                return await self._unreachable(str(error))
            self.status = answer.status
            try:
                return await self._relay(answer)
            except UpstreamError as error:
                again = attempt == 1 and self.first_byte is None and self.body.whole
                if not again or answer.status >= 400:
                    self._drop(str(error))
            finally:
                answer.close()
        raise AssertionError("the second attempt either returns or drops")

    async def _sent(self) -> aiohttp.ClientResponse:
        """The provider's answer; where it refused our change, its answer to the original."""
        route = self.route
        if route is None or not route.changed or self.resent:
            return await self._send(self.target, self.headers, self.body)
        path, mark, query = self.target.partition("?")
        headers = edited(self.headers, self.given, route.headers)
        headers = replaced(replaced(headers, "content-encoding", None), "content-length", str(len(route.body)))
        answer = await self._send(route.path + mark + query, headers, Upload(route.body))
        if answer.status not in REFUSALS:
            return answer
        answer.close()
        self.resent = True
        self.route = self.desk.refused(route, answer.status) or route
        return await self._send(self.target, self.headers, self.body)

    async def _send(self, target: str, headers: Headers, body: Upload) -> aiohttp.ClientResponse:
        return await self.out.send(self.request.method, join(self.base, target), headers, body)

    async def _relay(self, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        """Forward the answer as it arrives. Ours begins with its first byte: a loss before that can be repaired."""
        kind, encoding = answer.headers.get("Content-Type", ""), answer.headers.get("Content-Encoding", "")
        self.heard = Guarded(listener(self.protocol, answer.status, kind, encoding), self._contain)
        chunk = await received(answer)
        if chunk:
            self.first_byte = self.desk.clock()
        response = self._response(answer)
        await response.prepare(self.request)
        self._begun = True
        while chunk:
            now, last = self.heard.feed(chunk)
            if now:
                await response.write(now)
            if last:
                await self._committed()
                await response.write(last)
            chunk = await received(answer)
        rest = self.heard.rest()
        if self.heard.cut:
            raise UpstreamError(f"{answer.url.host} ended its answer in the middle")
        await self._committed()
        if rest:
            await response.write(rest)
        await response.write_eof()
        return response

    def _contain(self, error: Exception) -> str:
        return self.desk.contain("answer_unread", error)

    def _response(self, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        headers = forwardable(answer.raw_headers)
        if self.route is not None:
            asked = self.route.decision.asked.model
            headers = response_headers(self.route.protocol, headers, asked, self.route.model)
        headers.append((DECISION_HEADER, header(self.route, self.resent)))
        return Relayed(status=answer.status, reason=answer.reason, headers=CIMultiDict(headers))

    async def _unreachable(self, sentence: str) -> web.StreamResponse:
        """No answer can be given: 502 in the protocol's own error form, which every client retries."""
        self._finish("error", 502, sentence)
        body = error_body(self.protocol, sentence)
        response = web.Response(status=502, body=body, content_type="application/json")
        await response.prepare(self.request)
        await response.write_eof()
        return response

    def _drop(self, sentence: str) -> NoReturn:
        """Break the client's connection, so that it asks again instead of taking a part for the whole.

        Ends like a hang-up does: aiohttp logs any other exception, and nothing unexpected has happened here.
        """
        self._finish("cut", self.status, sentence)
        transport = self.request.transport
        if transport is not None:
            transport.abort()
        raise asyncio.CancelledError

    async def _committed(self) -> None:
        """Record the end of the request and wait, not for long, until it is on disk."""
        written = self._finish(self.heard.stop or ("error" if self.status >= 400 else "final"), self.status)
        if written is not None:
            await asyncio.wait((written,), timeout=COMMIT_WAIT_S)

    def _finish(self, stop: Stop, status: int, error: str | None = None) -> asyncio.Future[None] | None:
        """Record the end of the request, once. What the provider's stream had already ended stays ended."""
        if self._done:
            return None
        self._done = True
        ended = self.heard.stop
        if ended not in (None, "cut") and stop in ("hangup", "cut"):
            stop, error = ended, None
        return self.desk.finished(self, stop, status, error)
