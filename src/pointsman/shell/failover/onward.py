"""A request whose provider fails before its first content byte: who is asked next, and how long the first one may be silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING

from pointsman.core.types import Protocol
from pointsman.shell.failover.failures import PATIENCE_S, Failed
from pointsman.shell.failover.fallbacks import Fallback, Fallbacks, without_key
from pointsman.shell.streams import Listener, Part
from pointsman.shell.upstream import Headers
from pointsman.wire import auth_of

if TYPE_CHECKING:
    from pointsman.engine import Route
    from pointsman.shell.desk import Desk
    from pointsman.shell.pending import Pending

HOLD_S = 20.0
"""Seconds after which a provider that speaks, without content as yet, is taken to be at work: what was held back goes out."""

SILENT_THINKERS: frozenset[Protocol] = frozenset({"chat", "gemini"})
"""Formats in which a model that thinks may say nothing meanwhile. Messages and Responses tell that thinking has begun."""

LONGER = 2.0
"""Such a model gets so many times the silence that others get: still less than clients wait for."""

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


def go_around(fallbacks: Fallbacks, pending: Pending, desk: Desk, vendor: str) -> None:
    """Send a request to the deployment that stands in while the vendor's own is left alone."""
    subscription = auth_of(pending.given, pending.target) == "subscription"
    to = fallbacks.instead(vendor, pending.base, subscription=subscription)
    if to is None:
        return
    said = f"{pending.base} keeps failing: requests go to the deployment {to.place} meanwhile"
    desk.note(f"left_alone {pending.base}", said)
    pending.base = to.base
    pending.headers = fallbacks.credentialed(pending.headers, to, pending.given)
    pending.target = without_key(pending.target) if to.key_env else pending.target


def onward_of(fallbacks: Fallbacks, pending: Pending, vendor: str, run: Mapping[str, str] | None) -> Onward | None:
    """Who takes over from the client's own provider; another vendor's model is first left for the asked one.

    ``run``: vendor to base URL, of the client's run. None: the request is not decided, or counts tokens.
    """
    route = pending.route
    if route is None or route.decision.reason == "count":
        return None
    model = route.model if route.native is None else route.decision.asked.model
    return Onward(fallbacks, model, vendor, pending.base, pending.target, pending.given, run, pending.started)


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
