"""One request on its way: sent, resent when our change was refused, relayed, and recorded exactly once.

The rules of WIRE.md section 1, in the order in which they matter here:
* an error of the provider is relayed verbatim; a refusal of *our change* never is: the original goes out at once;
* an error of ours: as long as nothing has reached the client, its own bytes go out, once;
* nothing answered: 502 in the protocol's own error form; broken off before the first byte: asked again, once;
  broken off later: the client's connection is dropped, because a clean end would pass for a whole answer;
* a provider that takes a request for a stream and then says nothing is left for whoever may take over, and else waited for;
* a client that hangs up cancels the provider's request at once, and the row is written all the same;
* the last event waits for its row to be committed, at most ``COMMIT_WAIT_S``, and not for a ledger that is in trouble.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NoReturn

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from pointsman.core.events import HUNG_UP, Stop
from pointsman.core.policy import SILENCE_S
from pointsman.errors import PointsmanError, TranslationError, UpstreamError
from pointsman.shell.advising import Adviser, offered
from pointsman.shell.bodies import Upload
from pointsman.shell.desk import Desk, count_body, error_body, header
from pointsman.shell.failover.failures import Failed, Failure, broke, failure_of, unread
from pointsman.shell.failover.onward import Onward, held_back, patience
from pointsman.shell.pending import Pending
from pointsman.shell.relayed import DECISION_HEADER, Relayed
from pointsman.shell.streams import Guarded, Part, Through, listener
from pointsman.shell.translation.translator import Billed, Refused, Spoken
from pointsman.shell.upstream import REFUSALS, Answer, Headers, Outbound, edited, forwardable, received, replaced, resized
from pointsman.shell.vendors import join
from pointsman.wire import response_headers, unreasoned

if TYPE_CHECKING:
    from pointsman.engine import Route

COMMIT_WAIT_S = 2.0
"""Seconds the last event waits for its row: a commit takes well under a millisecond, on a busy machine many times that."""

COMMIT_LOOK_S = 0.2
"""Seconds between two looks whether the ledger is in trouble: then nobody waits on."""


@dataclass(slots=True)
class Exchange(Pending):
    """A request with everything needed to send it, twice if need be. ``desk``: decides and records.

    ``onward``: who takes over when the provider fails. ``adviser``: asks a stronger model for advice. ``silence_s``: seconds for
    which a provider may say nothing at the start of a stream, where another one could be asked.
    """

    out: Outbound = field(kw_only=True)
    desk: Desk = field(kw_only=True)
    onward: Onward | None = None
    silence_s: float = SILENCE_S
    adviser: Adviser | None = None
    _foreign_asked: bool = False
    _lost: str = ""
    _again: bool = False
    _bare: bool = False
    _plain: bool = False
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
            if self.route is not None and not (self._begun or self._plain) and self.body.whole:
                return await self._without_us(self.route, error)
            why = self.desk.contain("gateway_error", error)
            if self._begun:
                self._drop(why)
            return await self._unreachable(why)

    async def _without_us(self, route: Route, error: Exception) -> web.StreamResponse:
        """After an error of ours, before anything reached the client: its own bytes go out, once, and we have no part in it."""
        self.route = self.desk.unchanged(route, error, "fail_open") or replace(route, native=None, changed=False)
        self.adviser = self.onward = self.foreign = None
        self.heard, self.resent, self._bare, self._plain = Through(), False, False, True
        return await self.run()

    async def _answered(self) -> web.StreamResponse:
        if self.adviser is not None:
            await self.adviser.before(self)
        if self.route is not None and self.route.native is not None and self.route.decision.reason == "count":
            return await self._counted(self.route)
        words: Failure | None = None  # what the first provider said, should nobody else answer either
        self._again = self.body.whole
        while True:
            try:
                answer = await self._in_time(self._sent())
            except UpstreamError as error:
                if self._goes_on(broke(error)):
                    continue
                return await (self._unreachable(str(error)) if words is None else self._said(words))
            if answer is None:
                continue
            self.status = answer.status
            try:
                failure = await self._failure(answer)
                if failure is not None:
                    words = words or failure
                    if await self._without_reasoning(failure):
                        continue
                    if failure.final or (not await self._waited(failure) and not self._goes_on(failure.failed)):
                        return await self._said(words)
                elif (response := await self._relay(answer)) is not None:
                    return response
            except UpstreamError as error:
                if self._begun or not self._goes_on(broke(error)):
                    if words is not None and not self._begun:
                        return await self._said(words)
                    if self._begun or not self._again or answer.status >= 400:
                        self._drop(str(error))
                    self._again, self._lost = False, str(error)
            finally:
                answer.close()

    async def _in_time(self, asked: Coroutine[Any, Any, Answer]) -> Answer | None:
        """The provider's answer; None: it was silent too long, and somebody else is asked. With nobody left it is waited for."""
        silence_s = self._patience()
        if silence_s is None or self._from_elsewhere:
            return await asked
        task = asyncio.ensure_future(asked)
        try:
            await asyncio.wait((task,), timeout=silence_s)
            if not task.done() and self._goes_on(Failed(f"it said nothing for {silence_s:g} s")):
                return None
            return await task
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait((task,))
                task.cancelled() or task.exception()  # whatever it was, somebody else is asked

    def _patience(self) -> float | None:
        """Seconds for which the provider may say nothing; None: nobody could be asked instead, or it may take its time."""
        if self.route is None or not (self._from_elsewhere or (self.onward is not None and self.onward.more)):
            return None
        return patience(self.route, self.silence_s)

    @property
    def _from_elsewhere(self) -> bool:
        """Whether another vendor's model was chosen, and what fails it goes to the asked one."""
        chosen = self.route is not None and self.route.native is not None
        return chosen and self._again and not (self.onward is not None and self.onward.gone)

    async def _without_reasoning(self, failure: Failure) -> bool:
        """Whether a provider cannot read what a model thought for another organization, and is asked again without, once."""
        route = self.route
        if self._bare or route is None or route.native is not None or not await unread(failure):
            return False
        self._bare = True
        body = unreasoned(route.protocol, route.body)
        if body is route.body:
            return False
        self.route = replace(route, body=body, changed=True)
        return True

    async def _waited(self, failure: Failure) -> bool:
        """Whether the provider got the seconds it asked for, and is asked again now."""
        if self.onward is None or self.route is None or not self.body.whole:
            return False
        seconds = self.onward.wait(self.desk, self.route, failure.failed)
        await asyncio.sleep(seconds)
        return seconds > 0.0

    async def _failure(self, answer: Answer) -> Failure | None:
        """The answer as a failure that somebody else may make good; None: it is relayed as it comes."""
        if self.onward is None or self.route is None:
            return None
        return await failure_of(answer, self.onward.gone, self.desk.clock(), self.route.protocol)

    def _goes_on(self, failed: Failed) -> bool:
        """Whether the request now goes to somebody else: the next deployment or model that can take it."""
        if self.onward is None or self.route is None or not self.body.whole:
            return False
        if self.route.native is not None and not self.onward.gone:
            return False  # a model of another vendor was chosen: the asked one is next
        found = self.onward.next(self.desk, self.route, failed)
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
                async with asyncio.timeout(self._patience() if self._from_elsewhere else None):
                    return await self.foreign(self, route)
            except TimeoutError:
                error = UpstreamError(f"{route.model} said nothing for too long")
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
        if route is None or not route.changed or (self.resent and not self._bare):
            return await self._send(self.target, self.headers, self.body)
        path, mark, query = self.target.partition("?")
        headers = resized(edited(self.headers, self.given, route.headers), len(route.body))
        if self.adviser is not None and offered(route):  # what is woven must be readable
            headers = replaced(headers, "accept-encoding", "identity")
        answer = await self._send(route.path + mark + query, headers, Upload(route.body))
        if answer.status not in REFUSALS or self._bare or (self.onward is not None and self.onward.gone):
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
        self.first_byte = None  # what an answer before this one brought was not the first byte of this
        kind, encoding = answer.headers.get("Content-Type", ""), answer.headers.get("Content-Encoding", "")
        inner = listener(self.protocol, answer.status, kind, encoding)
        if isinstance(answer, Spoken):
            inner = Billed(inner, answer.billed)
        inner = self.adviser.listening(self, answer, inner) if self.adviser is not None else inner
        self.heard = Guarded(inner, self._contain)
        parts = self._parts(answer)
        held, waiting, failed = await self._beginning(parts)
        if failed and self._from_elsewhere:
            if waiting is not None:
                waiting.cancel()
            raise UpstreamError(f"{answer.url.host}: {failed}")
        if failed and self._goes_on(Failed(failed)):
            if waiting is not None:
                waiting.cancel()
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

    async def _beginning(self, parts: AsyncIterator[Part]) -> tuple[list[Part], asyncio.Future[Part | None] | None, str]:
        """What is held back while somebody else could still take over, as ``held_back`` says it; else the first part."""
        if self._from_elsewhere or (self.onward is not None and self.onward.more):
            return await held_back(parts, self.heard, self._patience())
        first = await anext(parts, None)
        return ([first] if first is not None else []), None, ""

    async def _parts(self, answer: Answer) -> AsyncIterator[Part]:
        while chunk := await received(answer):
            self.first_byte = self.first_byte or self.desk.clock()
            yield self.heard.feed(chunk)
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
        response = web.json_response(count_body(route.protocol, tokens), headers={DECISION_HEADER: header(route, self.resent)})
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
        if written is None:
            return
        for _ in range(round(COMMIT_WAIT_S / COMMIT_LOOK_S)):
            await asyncio.wait((written,), timeout=COMMIT_LOOK_S)
            if written.done() or self.desk.ledger.trouble:
                return

    def _finish(self, stop: Stop, status: int, error: str | None = None) -> asyncio.Future[None] | None:
        """Record the end of the request, once. What the provider's stream had already ended stays ended."""
        if self._done:
            return None
        self._done = True
        ended = self.heard.stop
        if ended not in (None, "cut") and stop in ("hangup", "cut"):
            stop, error = ended, None
        return self.desk.finished(self, stop, status, error)
