"""A request whose provider fails before its first content byte: what was said, and who is asked next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pointsman.core.types import Protocol
from pointsman.errors import PointsmanError, Unreached, UpstreamError
from pointsman.shell.bodies import BODY_LIMIT, plain
from pointsman.shell.failover.fallbacks import PATIENCE_S, Fallback, Fallbacks, hops, seconds, without_key
from pointsman.shell.streams import Listener
from pointsman.shell.upstream import REFUSALS, Answer, Headers, forwardable, received
from pointsman.wire import auth_of

if TYPE_CHECKING:
    from pointsman.engine import Route
    from pointsman.shell.desk import Desk
    from pointsman.shell.exchange import Exchange

HOLD_S = 20.0
"""Seconds after which a provider that speaks, without content as yet, is taken to be at work: what was held back goes out."""

SILENT_THINKERS: frozenset[Protocol] = frozenset({"chat", "gemini"})
"""Formats in which a model that thinks may say nothing meanwhile. Messages and Responses tell that thinking has begun."""

LONGER = 2.0
"""Such a model gets so many times the silence that others get: still less than clients wait for."""

WORDS_S = 10.0
"""Seconds that a provider which failed gets to say why."""

Part = tuple[bytes, bytes]
"""Bytes to forward now, and bytes to forward after the commit."""


@dataclass(frozen=True, slots=True)
class Failed:
    """How a provider failed before its first content byte: in words, with its ``status`` (None: no answer came).

    ``retry_after``: seconds that it asked for. ``reached`` False: there was no connection.
    """

    why: str
    status: int | None = None
    retry_after: float | None = None
    reached: bool = True


@dataclass(frozen=True, slots=True)
class Failure:
    """A provider's answer that says it failed, kept to be relayed verbatim. ``retry_after`` in seconds.

    ``final``: the client's own request was wrong, and nobody else is asked.
    """

    status: int
    reason: str | None
    headers: Headers
    body: bytes
    retry_after: float | None
    final: bool = False

    @property
    def failed(self) -> Failed:
        """The same for the ledger."""
        return Failed(f"answered {self.status}", self.status, self.retry_after)


def broke(error: UpstreamError) -> Failed:
    """A connection that failed, or was never made."""
    return Failed(str(error), reached=not isinstance(error, Unreached))


async def failure_of(answer: Answer, gone: bool, now: float, protocol: Protocol) -> Failure | None:
    """An answer as a failure that somebody else, or another form of the request, may make good; None: it is relayed as it comes.

    Whoever took over (``gone``) and refuses the request fails it: its client did not ask there. Raises UpstreamError.
    """
    retry_after = seconds(answer.headers.get("Retry-After"), now)
    refused = gone and answer.status in REFUSALS | {401, 402}
    final = not refused and not hops(answer.status, retry_after)
    if final and not (protocol == "responses" and answer.status == 400):  # those may be about reasoning that we sent elsewhere
        return None
    pieces = []
    try:
        async with asyncio.timeout(WORDS_S):
            while chunk := await received(answer):
                pieces.append(chunk)
    except TimeoutError:
        raise UpstreamError(f"{answer.url.host} answered {answer.status} and said no more") from None
    return Failure(answer.status, answer.reason, forwardable(answer.raw_headers), b"".join(pieces), retry_after, final)


async def unread(failure: Failure) -> bool:
    """Whether a provider of OpenAI's models says that it cannot read encrypted reasoning: it is bound to an organization."""
    if failure.status != 400:
        return False
    encoding = next((value for name, value in failure.headers if name.lower() == "content-encoding"), "")
    try:
        return b"invalid_encrypted_content" in await plain(failure.body, encoding, BODY_LIMIT)
    except PointsmanError:
        return False


class Onward:
    """The way of one request through the fallbacks.

    ``target``: its raw path and query; ``client``: its headers (lower-case keys); ``run``: vendor to base URL, of its run.
    ``gone``: it has left the provider it was meant for.
    """

    def __init__(
        self, fallbacks: Fallbacks, model: str, vendor: str, base: str, target: str, client: Mapping[str, str],
        run: Mapping[str, str] | None, started: float,
    ) -> None:  # fmt: skip
        self._fallbacks = fallbacks
        self._client, self._target = client, target
        self._until = started + fallbacks.deadline_s
        subscription = auth_of(client, target) == "subscription"
        self._ways = list(fallbacks.after(model, vendor, base, subscription=subscription, run=run))
        self._at = base
        self._has_waited = False
        self.gone = False

    @property
    def more(self) -> bool:
        """Whether there is anybody left to ask."""
        return bool(self._ways)

    def next(self, desk: Desk, route: Route, failed: Failed) -> tuple[Route, Fallback] | None:
        """The route to whoever takes over after this provider failed; None: nobody does, or the time is over."""
        breaker = self._fallbacks.breaker
        breaker.failed(self._at, failed.retry_after)
        while self._ways and desk.clock() < self._until:
            to = self._ways.pop(0)
            if not self._usable(to):
                continue
            found = desk.failed_over(route, to, failed)
            if found is not None:
                breaker.enter(to.base)
                self.gone, self._at = True, to.base
                return found, to
        return None

    def wait(self, desk: Desk, route: Route, failed: Failed) -> float:
        """Seconds to wait before this provider is asked again, once: it asks for few, and leaving it costs more. 0: do not."""
        seconds = failed.retry_after or 0.0
        if self._has_waited or not 0.0 < seconds <= PATIENCE_S or desk.clock() + seconds >= self._until:
            return 0.0
        to = next((way for way in self._ways if self._usable(way)), None)
        if to is None or not desk.waits(route, to, failed):
            return 0.0
        self._has_waited = True
        self._fallbacks.breaker.failed(self._at)
        return seconds

    def _usable(self, to: Fallback) -> bool:
        return to.base == self._at or self._fallbacks.breaker.usable(to.base)

    def worked(self) -> None:
        """The provider that was asked last has answered."""
        self._fallbacks.breaker.worked(self._at)

    def addressed(self, headers: Headers, to: Fallback) -> tuple[str, Headers]:
        """The target and ``headers`` of a request to ``to``, with the credentials that belong there and no others."""
        target = without_key(self._target) if to.key_env else self._target
        return target, self._fallbacks.credentialed(headers, to, self._client)


def patience(route: Route, silence_s: float) -> float | None:
    """Seconds for which a provider may say nothing at the start of its answer to ``route``; None: for as long as it takes.

    An answer that is no stream comes whole, after minutes of work, and clients give up before one could be asked for again.
    """
    if not route.stream:
        return None
    return silence_s * (LONGER if (route.native or route.protocol) in SILENT_THINKERS else 1.0)


def go_around(fallbacks: Fallbacks, exchange: Exchange, vendor: str) -> None:
    """Send a request to the deployment that stands in while the vendor's own is left alone."""
    subscription = auth_of(exchange.given, exchange.target) == "subscription"
    to = fallbacks.instead(vendor, exchange.base, subscription=subscription)
    if to is None:
        return
    said = f"{exchange.base} keeps failing: requests go to the deployment {to.place} meanwhile"
    exchange.desk.note(f"left_alone {exchange.base}", said)
    exchange.base = to.base
    exchange.headers = fallbacks.credentialed(exchange.headers, to, exchange.given)
    exchange.target = without_key(exchange.target) if to.key_env else exchange.target


def lay_out(fallbacks: Fallbacks, exchange: Exchange, vendor: str, run: Mapping[str, str] | None) -> None:
    """Lay out who takes over from the client's own provider; another vendor's model is first left for the asked one.

    ``run``: vendor to base URL, of the client's run.
    """
    route = exchange.route
    if route is not None and route.decision.reason != "count":
        model = route.model if route.native is None else route.decision.asked.model
        exchange.onward = Onward(
            fallbacks, model, vendor, exchange.base, exchange.target, exchange.given, run, exchange.started
        )


async def held_back(
    parts: AsyncIterator[Part], heard: Listener, silence_s: float | None, hold_s: float = HOLD_S
) -> tuple[list[Part], asyncio.Future[Part | None] | None, str]:
    """The parts of an answer up to its first content; the read under way where there was silence for too long; what failed.

    The last is empty unless the answer ends, brings an error, or says nothing for ``silence_s`` before any content. A provider
    that says something, but no content, after ``hold_s`` is at work: no more is held. Raises UpstreamError where it breaks off.
    """
    held: list[Part] = []
    loop = asyncio.get_running_loop()
    until = loop.time() + hold_s
    while not held or not heard.begun:
        reading = asyncio.ensure_future(_next(parts))
        try:
            done, _ = await asyncio.wait((reading,), timeout=silence_s)
        except asyncio.CancelledError:
            reading.cancel()
            raise
        if not done:
            return held, reading, f"it said nothing for {silence_s:g} s"
        part = reading.result()
        if part is None:
            return held, None, "" if heard.begun else "the provider ended its answer before any content"
        held.append(part)
        if loop.time() > until:
            break
    return held, None, "the provider sent an error before any content" if heard.refused else ""


async def _next(parts: AsyncIterator[Part]) -> Part | None:
    return await anext(parts, None)
