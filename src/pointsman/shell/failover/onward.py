"""A request whose provider fails before its first content byte: what was said, and who is asked next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pointsman.shell.failover.fallbacks import Fallback, Fallbacks, without_key
from pointsman.shell.streams import Listener
from pointsman.shell.upstream import Headers
from pointsman.wire import auth_of

if TYPE_CHECKING:
    from pointsman.engine import Route
    from pointsman.shell.desk import Desk
    from pointsman.shell.exchange import Exchange

HOLD_S = 20.0
"""Seconds for which the beginning of a stream is held back while somebody else could still take over."""

Part = tuple[bytes, bytes]
"""Bytes to forward now, and bytes to forward after the commit."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A provider's answer that says it failed, kept to be relayed verbatim. ``retry_after`` in seconds."""

    status: int
    reason: str | None
    headers: Headers
    body: bytes
    retry_after: float | None


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
        self._ways: Iterator[Fallback] = fallbacks.after(
            model, vendor, base, subscription=auth_of(client, target) == "subscription", run=run
        )
        self._ahead: Fallback | None = next(self._ways, None)
        self._at = base
        self.gone = False

    @property
    def more(self) -> bool:
        """Whether there is anybody left to ask."""
        return self._ahead is not None

    def next(
        self, desk: Desk, route: Route, why: str, status: int | None, retry_after: float | None
    ) -> tuple[Route, Fallback] | None:
        """The route to whoever takes over after this provider failed with ``why``; None: nobody does, or the time is over."""
        breaker = self._fallbacks.breaker
        breaker.failed(self._at, retry_after)
        while (to := self._ahead) is not None and desk.clock() < self._until:
            self._ahead = next(self._ways, None)
            if to.base != self._at and not breaker.usable(to.base):
                continue
            found = desk.failed_over(route, to, why, status)
            if found is not None:
                breaker.enter(to.base)
                self.gone, self._at = True, to.base
                return found, to
        return None

    def worked(self) -> None:
        """The provider that was asked last has answered."""
        self._fallbacks.breaker.worked(self._at)

    def addressed(self, headers: Headers, to: Fallback) -> tuple[str, Headers]:
        """The target and ``headers`` of a request to ``to``, with the credentials that belong there and no others."""
        target = without_key(self._target) if to.key_env else self._target
        return target, self._fallbacks.credentialed(headers, to, self._client)


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
    parts: AsyncIterator[Part], heard: Listener, hold_s: float = HOLD_S
) -> tuple[list[Part], asyncio.Future[Part | None] | None, str]:
    """The parts of an answer up to its first content; the read under way where that takes too long to wait for; what failed.

    The last is empty unless the answer ends, or brings an error, before any content. Raises UpstreamError where it breaks off.
    """
    held: list[Part] = []
    loop = asyncio.get_running_loop()
    until = loop.time() + hold_s
    while not heard.begun:
        reading = asyncio.ensure_future(_next(parts))
        try:
            done, _ = await asyncio.wait((reading,), timeout=max(0.0, until - loop.time()))
        except asyncio.CancelledError:
            reading.cancel()
            raise
        if not done:
            return held, reading, ""
        part = reading.result()
        if part is None:
            return held, None, "the provider ended its answer before any content"
        held.append(part)
    return held, None, "the provider sent an error before any content" if heard.refused else ""


async def _next(parts: AsyncIterator[Part]) -> Part | None:
    return await anext(parts, None)
