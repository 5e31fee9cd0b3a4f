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
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NoReturn

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from pointsman.core.events import Stop
from pointsman.core.types import Protocol
from pointsman.errors import PointsmanError, TranslationError, UpstreamError
from pointsman.shell.advising import Adviser, offered
from pointsman.shell.bodies import Upload
from pointsman.shell.desk import error_body, header
from pointsman.shell.failover.fallbacks import hops, seconds
from pointsman.shell.failover.onward import Failure, Onward, Part, held_back
from pointsman.shell.streams import Guarded, Listener, Through, listener
from pointsman.shell.translation.translator import Billed, Refused, Spoken
from pointsman.shell.upstream import REFUSALS, Answer, Headers, Outbound, edited, forwardable, received, replaced, resized
from pointsman.shell.vendors import join
from pointsman.wire import response_headers

if TYPE_CHECKING:
    from pointsman.engine import Route
    from pointsman.shell.desk import Desk

COMMIT_WAIT_S = 0.2
HUNG_UP = 499
"""nginx's status for a client that closed the connection before the answer; never sent to anybody."""

WORDS_S = 10.0
"""Seconds that a provider which failed gets to say why."""

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
    None: it goes through undecided, and ``why`` says so in the ledger. ``onward``: who takes over when the provider fails.
    ``foreign``: asks another vendor's model where the route needs translation. ``adviser``: asks a stronger one for advice.
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
    onward: Onward | None = None
    started: float = 0.0
    first_byte: float | None = None
    resent: bool = False
    status: int = 0
    heard: Listener = field(default_factory=Through)
    foreign: Callable[[Exchange, Route], Awaitable[Spoken]] | None = None
    adviser: Adviser | None = None
    _foreign_asked: bool = False
    _lost: str = ""
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
        if self.adviser is not None:
            await self.adviser.before(self)
        if self.route is not None and self.route.native is not None and self.route.decision.reason == "count":
            return await self._counted(self.route)
        words: Failure | None = None  # what the first provider said, should nobody else answer either
        again = self.body.whole
        while True:
            try:
                answer = await self._sent()
            except UpstreamError as error:
                if self._goes_on(str(error)):
                    continue
                return await (self._unreachable(str(error)) if words is None else self._said(words))
            self.status = answer.status
            try:
                failure = await self._failure(answer)
                if failure is not None:
                    words = words or failure
                    if not self._goes_on(f"answered {failure.status}", failure.status, failure.retry_after):
                        return await self._said(words)
                elif (response := await self._relay(answer)) is not None:
                    return response
            except UpstreamError as error:
                if self._begun or not self._goes_on(str(error)):
                    if words is not None and not self._begun:
                        return await self._said(words)
                    if self.first_byte is not None or not again or answer.status >= 400:
                        self._drop(str(error))
                    again, self._lost = False, str(error)
            finally:
                answer.close()

    async def _failure(self, answer: Answer) -> Failure | None:
        """The answer as a failure that somebody else may make good; None: it is relayed as it comes.

        Whoever took over and refuses the request fails it: its client did not ask there.
        """
        retry_after = seconds(answer.headers.get("Retry-After"), self.desk.clock())
        if self.onward is None or self.route is None:
            return None
        refused = self.onward.gone and answer.status in REFUSALS | {401, 402}
        if not refused and not hops(answer.status, retry_after):
            return None
        pieces = []
        try:
            async with asyncio.timeout(WORDS_S):
                while chunk := await received(answer):
                    pieces.append(chunk)
        except TimeoutError:
            raise UpstreamError(f"{answer.url.host} answered {answer.status} and said no more") from None
        return Failure(answer.status, answer.reason, forwardable(answer.raw_headers), b"".join(pieces), retry_after)

    def _goes_on(self, why: str, status: int | None = None, retry_after: float | None = None) -> bool:
        """Whether the request now goes to somebody else: the next deployment or model that can take it."""
        if self.onward is None or self.route is None or not self.body.whole:
            return False
        if self.route.native is not None and not self.onward.gone:
            return False  # a model of another vendor was chosen: the asked one is next
        found = self.onward.next(self.desk, self.route, why, status, retry_after)
        if found is None:
            return False
        self.route, to = found
        self.resent = self._foreign_asked = False  # what was refused was refused elsewhere; the ledger knows of it
        if self.route.native is None:  # another vendor is reached by translation, with a key of its own: nothing of ours moves
            self.base = to.base
            self.target, self.headers = self.onward.addressed(self.headers, to)
        return True

    async def _from_foreign(self, route: Route) -> Spoken | None:
        """The answer of another vendor's model; None: the original goes to the asked one, whatever went wrong with it."""
        error: PointsmanError = TranslationError(f"its answer was lost before it began: {self._lost}")
        if self.foreign is not None and not self._foreign_asked:
            self._foreign_asked = True
            try:
                return await self.foreign(self, route)
            except PointsmanError as failure:
                if self.onward is not None and self.onward.gone:  # it was to take over: the next one may
                    raise UpstreamError(f"{route.model} could not take over: {failure}") from failure
                error = failure
            if isinstance(error, Refused):
                if error.status in REFUSALS | {401}:
                    self.resent = True
                    self.route = self.desk.refused(route, error.status) or route
                    return None
        self.route = self.desk.unchanged(route, error) or replace(route, native=None, changed=False)
        return None

    async def _sent(self) -> Answer:
        """The provider's answer; where it refused our change, its answer to the original."""
        route = self.route
        if route is not None and route.native is not None and not self.resent:
            spoken = await self._from_foreign(route)
            if spoken is not None:
                return spoken
            route = self.route
        if route is None or not route.changed or self.resent:
            return await self._send(self.target, self.headers, self.body)
        path, mark, query = self.target.partition("?")
        headers = resized(edited(self.headers, self.given, route.headers), len(route.body))
        if self.adviser is not None and offered(route):  # what is woven must be readable
            headers = replaced(headers, "accept-encoding", "identity")
        answer = await self._send(route.path + mark + query, headers, Upload(route.body))
        if answer.status not in REFUSALS or (self.onward is not None and self.onward.gone):
            return answer
        answer.close()
        self.resent = True
        self.route = self.desk.refused(route, answer.status) or route
        return await self._send(self.target, self.headers, self.body)

    async def _send(self, target: str, headers: Headers, body: Upload) -> aiohttp.ClientResponse:
        return await self.out.send(self.request.method, join(self.base, target), headers, body)

    async def _relay(self, answer: Answer) -> web.StreamResponse | None:
        """Forward the answer as it arrives. Ours begins with its first byte: a loss before that can be repaired.

        Where somebody else could take over, ours begins with the first content instead; None: it failed before, and one does.
        """
        kind, encoding = answer.headers.get("Content-Type", ""), answer.headers.get("Content-Encoding", "")
        inner = listener(self.protocol, answer.status, kind, encoding)
        if isinstance(answer, Spoken):
            inner = Billed(inner, answer.billed)
        inner = self.adviser.listening(self, answer, inner) if self.adviser is not None else inner
        self.heard = Guarded(inner, self._contain)
        chunk = await received(answer)
        if chunk:
            self.first_byte = self.desk.clock()
        parts = self._parts(answer, chunk)
        held, waiting, failed = await held_back(parts, self.heard) if self.onward and self.onward.more else ([], None, "")
        if failed and self._goes_on(failed):
            return None
        response = self._response(answer)
        try:
            if self.onward is not None and not failed and (self.onward.gone or not isinstance(answer, Spoken)):
                self.onward.worked()
            await response.prepare(self.request)
            self._begun = True
            for part in held:
                await self._write(response, *part)
            if waiting is not None and (late := await waiting) is not None:
                await self._write(response, *late)
            async for part in parts:
                await self._write(response, *part)
        finally:
            if waiting is not None:
                waiting.cancel()  # the client left in the meantime
        rest = self.heard.rest()
        if self.heard.cut:
            raise UpstreamError(f"{answer.url.host} ended its answer in the middle")
        await self._committed()
        if rest:
            await response.write(rest)
        await response.write_eof()
        return response

    async def _parts(self, answer: Answer, chunk: bytes) -> AsyncIterator[Part]:
        while chunk:
            yield self.heard.feed(chunk)
            chunk = await received(answer)
        if self.adviser is not None:
            async for part in self.adviser.went_on(self):
                yield part

    async def _write(self, response: web.StreamResponse, now: bytes, last: bytes) -> None:
        if now:
            await response.write(now)
        if last:
            await self._committed()
            await response.write(last)

    def _contain(self, error: Exception) -> str:
        return self.desk.contain("answer_unread", error)

    def _response(self, answer: Answer) -> web.StreamResponse:
        headers = forwardable(answer.raw_headers)
        if self.adviser is not None and self.adviser.woven is not None:  # it may become longer than the provider's
            headers = replaced(headers, "content-length", None)
        if self.route is not None:
            asked = self.route.decision.asked.model
            headers = response_headers(self.route.protocol, headers, asked, self.route.model)
        headers.append((DECISION_HEADER, header(self.route, self.resent)))
        return Relayed(status=answer.status, reason=answer.reason, headers=CIMultiDict(headers))

    async def _counted(self, route: Route) -> web.StreamResponse:
        """How many tokens another vendor's model would read: our estimate, since the client's own vendor cannot know."""
        row = route.decision.row(route.decision.chosen)
        tokens = row.prompt if row is not None else 0
        self._finish("final", 200)
        values: dict[Protocol, dict[str, object]] = {
            "responses": {"object": "response.input_tokens", "input_tokens": tokens}, "gemini": {"totalTokens": tokens},
        }  # fmt: skip
        value = values.get(route.protocol, {"input_tokens": tokens})
        response = web.json_response(value, headers={DECISION_HEADER: header(route, self.resent)})
        await response.prepare(self.request)
        await response.write_eof()
        return response

    async def _said(self, words: Failure) -> web.StreamResponse:
        """The provider's own words, after nobody else could help."""
        self.status = words.status
        self._finish("error", words.status)
        response = Relayed(status=words.status, reason=words.reason, headers=CIMultiDict(words.headers))
        response.headers[DECISION_HEADER] = header(self.route, self.resent)
        await response.prepare(self.request)
        await response.write(words.body)
        await response.write_eof()
        return response

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
