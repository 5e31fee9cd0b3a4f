"""A stronger model is asked for advice: before a request goes out (push), or because the working model calls for it (pull).

The rules of WIRE.md section 4, in the order in which they matter here:
* an advisor that fails, times out or is capped never stops the executor: it goes on, and what it cost is recorded;
* the client is kept alive while the advisor thinks, and sees one answer;
* the advisor of the client's own vendor is asked with the client's own credential, at the place where the request goes; any
  other with its vendor's key (``shell.translation.foreign``): no credential ever goes to another vendor;
* where the model called tools of the client's in the same breath, the advisor is asked while those run.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import aiohttp

from pointsman.core.decisions import Advice
from pointsman.core.events import AdviceHow, AdviceOutcome
from pointsman.core.foreign import native_of
from pointsman.core.types import Config, Place, Protocol
from pointsman.errors import PointsmanError, UpstreamError
from pointsman.shell.bodies import Upload
from pointsman.shell.desk import Desk, Said
from pointsman.shell.streams import Listener, Part
from pointsman.shell.translation.translator import Spoken
from pointsman.shell.upstream import REFUSALS, Answer, Headers, edited, received, replaced, resized
from pointsman.shell.vendors import join
from pointsman.shell.woven import WovenEvents, WovenWhole
from pointsman.wire import asking, consulting, taken
from pointsman.wire.advice import digest
from pointsman.wire.weaving import Called

if TYPE_CHECKING:
    from pointsman.engine import Route, UnderWay
    from pointsman.shell.pending import Pending
    from pointsman.shell.translation.foreign import ForeignRoutes
    from pointsman.shell.upstream import Outbound

PING_S = 10.0
"""Seconds of silence after which a client that waits for an advisor is told that we are still there."""

WAITS_S = 900.0
"""Seconds for which an advice waits for the results that it joins; then its cost is recorded without it."""

LOST_KEPT = 64
"""Advice that is remembered after its answer broke off; the oldest is forgotten first."""

CLIENT_ONLY = ("content-length", "content-encoding", "accept-encoding", "accept", "transfer-encoding")
"""Headers of the client's request that say nothing about a question of ours."""

ANSWERS = 8
"""Answers that are woven into one at most: a model that goes on asking after its consults are used up is cut off."""


@dataclass(slots=True)
class Waiting:
    """An advice that joins the next request of its lane: the call, the messages it stands after, and who is asked.

    ``id`` and ``place``: of the request whose answer made the call.
    """

    called: Called
    after: tuple[int, int]
    id: str
    place: Place
    task: asyncio.Task[Said]


class Advising:
    """The advisors of one gateway. By session and lane: ``waiting``: calls whose advice joins a later request; ``lost``: advice
    that was given in an answer which then broke off, with the messages it stands after."""

    def __init__(self, desk: Desk, out: Outbound, foreign: ForeignRoutes) -> None:
        self.desk, self.out, self.foreign = desk, out, foreign
        self.waiting: dict[tuple[str, str], Waiting] = {}
        self.lost: dict[tuple[str, str], tuple[tuple[int, int], Said]] = {}

    def await_later(self, waiting: Waiting) -> None:
        """Keep an advice for the results that it joins; where none come, or it is called for anew, its cost is recorded."""
        key = (waiting.place.session, waiting.place.lane)
        if (old := self.waiting.pop(key, None)) is not None:
            self.unheard(old)
        self.waiting[key] = waiting

        def given_up() -> None:
            if self.waiting.get(key) is waiting:
                del self.waiting[key]
                self.unheard(waiting)

        asyncio.get_running_loop().call_later(WAITS_S, given_up)

    def keep(self, key: tuple[str, str], end: tuple[int, int], said: Said) -> None:
        """Remember advice whose answer broke off: the client asks for the same answer again."""
        self.lost[key] = (end, said)
        if len(self.lost) > LOST_KEPT:
            del self.lost[next(iter(self.lost))]

    def unheard(self, waiting: Waiting) -> None:
        """The advice joins nothing: what it cost is recorded all the same."""

        def asked(task: asyncio.Task[Said]) -> None:
            if not task.cancelled():
                self.desk.advised(waiting.id, waiting.place, None, task.result(), "pull")

        waiting.task.add_done_callback(asked)

    def of(self, run: Mapping[str, str] | None) -> Adviser:
        """The advisor for one request; ``run``: the base URLs of its run."""
        return Adviser(self, run)

    async def close(self) -> None:
        """Ask for nothing more; what was asked until now is recorded when this returns."""
        tasks = [waiting.task for waiting in self.waiting.values()]
        self.waiting.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(slots=True)
class Adviser:
    """The advisor for one request under way: ``woven`` listens to its answer; ``sent``: what went out last to have it go on."""

    advising: Advising
    run: Mapping[str, str] | None
    woven: WovenEvents | WovenWhole | None = field(default=None)
    about: UnderWay | None = None
    sent: bytes = b""

    # -- before the request goes out ---------------------------------------------------------------------------------

    async def before(self, pending: Pending) -> None:
        """Put advice that is due into the request: what an earlier call waits for, and what the decision asks for."""
        try:
            await self._joined(pending)
            route = pending.route
            if route is not None and route.decision.consult is not None:
                self.about = self.advising.desk.router.under_way(route.id)
                said = await self._asked(pending, route, "push", "", "")
                given = Advice(said.text) if said.outcome == "given" else None
                self._record(pending, given, said, "push")
        except Exception as error:  # the request goes out without advice
            self.advising.desk.contain("fail_open", error)

    async def _joined(self, pending: Pending) -> None:
        route = pending.route
        if route is None or route.decision.reason == "count":
            return
        key, advising = key_of(route), self.advising
        waiting = advising.waiting.pop(key, None)
        if waiting is None:
            return
        if advising.desk.router.under_way(route.id).end[0] <= waiting.after[0]:
            advising.unheard(waiting)  # the answer with the call is asked for anew
            return
        try:
            said = await asyncio.shield(waiting.task)
        except asyncio.CancelledError:
            if not waiting.task.cancelled():  # the client left, and will ask again: the advice still joins its results
                advising.waiting.setdefault(key, waiting)
            raise
        self._record(pending, waiting.called.advice(said.text), said, "pull", waiting.after)

    # -- while the answer comes --------------------------------------------------------------------------------------

    def listening(self, pending: Pending, answer: Answer, inner: Listener) -> Listener:
        """The listener for this answer: a weaving one where the tool was offered and the answer can be read."""
        route, kind = pending.route, answer.headers.get("Content-Type", "").strip().lower()
        self.woven, self.sent = None, b""  # an answer that failed before its content may have been listened to
        encoded = answer.headers.get("Content-Encoding", "").strip().lower() not in ("", "identity")
        if route is None or pending.resent or answer.status >= 400 or encoded or not offered(route):
            return inner
        self.about = self.advising.desk.router.under_way(route.id)  # it may have ended when the advisor is asked
        billed = answer.billed if isinstance(answer, Spoken) else None
        stream = kind.startswith("text/event-stream")
        self.woven = (WovenEvents if stream else WovenWhole)(route.protocol, route.model, billed, self.about.request.client)
        return self.woven

    async def went_on(self, pending: Pending) -> AsyncIterator[Part]:
        """What follows the provider's answer: nothing, or a consult and the answer that goes on after it, again and again."""
        woven = self.woven
        if woven is None:
            return
        if isinstance(woven, WovenWhole):
            woven.ended()
        while woven.asking and woven.weave.called is not None:
            called = woven.weave.called
            task = asyncio.ensure_future(self._answered(pending, called))
            try:
                while not (await asyncio.wait((task,), timeout=PING_S))[0]:
                    yield woven.weave.keep_alive if isinstance(woven, WovenEvents) else b"", b""
                said = task.result()
            finally:
                task.cancel()
            self._record(pending, called.advice(said.text), said, "pull")
            try:
                async for part in self._next(pending, woven, called, said):
                    yield part
            except UpstreamError:
                if said.outcome == "given" and pending.route is not None and self.about is not None:
                    self.advising.keep(key_of(pending.route), self.about.end, said)
                raise
        if woven.joined is not None:
            self._later(pending, woven.joined)

    async def _next(
        self, pending: Pending, woven: WovenEvents | WovenWhole, called: Called, said: Said
    ) -> AsyncIterator[Part]:  # fmt: skip
        """The answer that goes on after a call. Raises UpstreamError where there is none, or it breaks off."""
        answer = await self._continued(pending, called, called.advice(said.text))
        try:
            woven.resume(answer.billed if isinstance(answer, Spoken) else None)
            while chunk := await received(answer):
                yield pending.heard.feed(chunk)
            if isinstance(woven, WovenWhole):
                woven.ended()
        finally:
            answer.close()

    async def _answered(self, pending: Pending, called: Called) -> Said:
        """What the advisor says; what it said in an answer that was lost counts for the one that is given instead."""
        route = pending.route
        assert route is not None
        end, said = self.advising.lost.pop(key_of(route), (None, None))
        if said is not None and self.about is not None and self.about.end == end:
            return replace(said, usage=None, seconds=0.0, why="asked before the answer was lost")
        question, focus = consulting.asked(called.arguments)
        return await self._asked(pending, route, "pull", question, focus)

    async def _continued(self, pending: Pending, called: Called, advice: Advice) -> Answer:
        """The provider's answer to the request with the call and its result appended. Raises UpstreamError."""
        route = pending.route
        assert route is not None
        if self.woven is not None and self.woven.weave.answers > ANSWERS:
            self._refuse(pending, route, 400)
            raise UpstreamError(f"{route.model} asks for advice without end")
        body = self.sent = consulting.continued(route.protocol, self.sent or route.body, called.before, advice)
        if route.native is not None and pending.foreign is not None:
            return await pending.foreign(pending, replace(route, body=body))
        path, mark, query = pending.target.partition("?")
        headers = resized(edited(pending.headers, pending.given, route.headers), len(body))
        headers = replaced(headers, "accept-encoding", "identity")
        answer = await self.advising.out.send("POST", join(pending.base, route.path + mark + query), headers, Upload(body))
        if answer.status >= 400:
            answer.close()
            if answer.status in REFUSALS:
                self._refuse(pending, route, answer.status)
            raise UpstreamError(f"{route.model} did not go on after advice: status {answer.status}")
        return answer

    def _refuse(self, pending: Pending, route: Route, status: int) -> None:
        """Our doing: the answer is dropped, the client asks again, and is served as it asked."""
        pending.resent = True
        pending.route = self.advising.desk.refused(route, status) or route

    def _later(self, pending: Pending, called: Called) -> None:
        """Ask while the client's tools run; the advice joins their results."""
        route, about = pending.route, self.about
        if route is None or about is None:
            return
        task = asyncio.ensure_future(self._answered(pending, called))
        self.advising.await_later(Waiting(called, about.end, route.id, route.decision.place, task))

    # -- asking ------------------------------------------------------------------------------------------------------

    def _record(
        self, pending: Pending, advice: Advice | None, said: Said, how: AdviceHow, after: tuple[int, int] | None = None
    ) -> None:  # fmt: skip
        """Write down what was asked, and what it adds to the history from now on."""
        route = pending.route
        if route is None:
            return
        pending.route = self.advising.desk.advised(route.id, route.decision.place, advice, said, how, after) or route

    async def _asked(self, pending: Pending, route: Route, how: AdviceHow, question: str, focus: str) -> Said:
        """Ask, within the caps and the time that the user allows."""
        desk, about = self.advising.desk, self.about
        began = desk.clock()
        if about is None or about.advisor is None:
            return Said(route.decision.consult or Config(""), "capped", "No advice can be had now.", why="no advisor is set")
        advisor = about.advisor
        config = Config(advisor.model)
        shut = desk.router.no_advice(route.decision, advisor, began)
        if shut is not None:
            return Said(config, "capped", f"No advice can be had now: {shut}. Go on without, and do not ask again.", why=shut)
        hearing = asking.Hearing(route.protocol)
        outcome: AdviceOutcome = "failed"
        why = ""
        try:
            async with asyncio.timeout(advisor.timeout_s):
                hearing, url, headers, body = await asyncio.to_thread(self._question, pending, route, about, question, focus)
                await self._hear(hearing, url, headers, body)
            outcome = "given" if hearing.text and hearing.whole else "failed"
            why = "" if outcome == "given" else hearing.error or ("it broke off" if hearing.text else "it said nothing")
        except TimeoutError:
            outcome, why = "timeout", f"no answer in {advisor.timeout_s:g} s"
        except asyncio.CancelledError:
            why = "the gateway was stopped" if desk.closing else "the client hung up"
            cut = Said(config, "failed", "", hearing.usage, desk.clock() - began, why)
            desk.advised(route.id, route.decision.place, None, cut, how)
            raise
        except (PointsmanError, aiohttp.ClientError, OSError) as error:
            why = str(error)
        except Exception as error:  # an error of ours must not cost the executor its answer
            why = desk.contain("no_advice", error)
        text = hearing.text if outcome == "given" else f"The advisor did not answer ({why}). Go on without."
        return Said(config, outcome, text, hearing.usage, desk.clock() - began, why)

    def _question(
        self, pending: Pending, route: Route, about: UnderWay, question: str, focus: str
    ) -> tuple[asking.Hearing, str, Headers, bytes]:  # fmt: skip
        """Everything of the question: who listens to the answer, where it goes, with which headers and body."""
        router, request, own, advisor = self.advising.desk.router, about.request, about.body, about.advisor
        assert advisor is not None
        target = router.book.target(advisor.model)
        text = digest(route.protocol, own, request.client, tokens=advisor.digest_tokens, question=question, focus=focus)
        home = route.native is None and router.book.vendor(advisor.model) == router.book.vendor(request.model)
        if home:
            protocol: Protocol = route.protocol
            like = own if request.auth == "subscription" else None
            url = join(pending.base, asking.path(protocol, advisor.model, pending.target))
            headers = edited(pending.headers, pending.given, taken(pending.given, target.refuses))
            headers = [(name, value) for name, value in headers if name.lower() not in CLIENT_ONLY]
            headers.append(("accept-encoding", "identity"))
        else:
            protocol, like = native_of(target.vendor), None
            url, headers = self.advising.foreign.door(
                target.vendor, advisor.model, self.run, home=pending.base, given=pending.given
            )
        body = asking.question(protocol, advisor.model, target, text, advisor.max_tokens, like=like)
        return asking.Hearing(protocol), url, headers, body

    async def _hear(self, heard: asking.Hearing, url: str, headers: Headers, body: bytes) -> None:
        headers = [*replaced(headers, "content-length", None), ("content-length", str(len(body)))]
        answer = await self.advising.out.send("POST", url, headers, Upload(body))
        try:
            if answer.status >= 400:
                raise UpstreamError(f"the advisor's provider answered {answer.status}")
            while chunk := await received(answer):
                heard.feed(chunk)
            heard.end()
        finally:
            answer.close()


def key_of(route: Route) -> tuple[str, str]:
    """Session and lane of a request."""
    return route.decision.place.session, route.decision.place.lane


def offered(route: Route) -> bool:
    """Whether the request offered our tool: only then can its answer hold a call of it."""
    return any(edit.kind == "tool" and edit.value == consulting.NAME for edit in route.decision.edits)
