"""A request whose provider fails before its first content byte: what was said, and who is asked next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pointsman.errors import UpstreamError
from pointsman.shell.fallbacks import Fallback, Fallbacks
from pointsman.shell.streams import Listener
from pointsman.shell.upstream import Headers
from pointsman.wire import auth_of

if TYPE_CHECKING:
    from pointsman.engine import Route
    from pointsman.shell.desk import Desk

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

    ``client``: its headers (lower-case keys); ``gone``: it has left the provider it was meant for.
    """

    def __init__(
        self, fallbacks: Fallbacks, model: str, vendor: str, base: str, client: Mapping[str, str], started: float
    ) -> None:
        self._fallbacks = fallbacks
        self._client = client
        self._until = started + fallbacks.deadline_s
        self._ways: Iterator[Fallback] = fallbacks.after(model, vendor, base, subscription=auth_of(client, "") == "subscription")
        self._ahead: Fallback | None = next(self._ways, None)
        self.gone = False

    @property
    def more(self) -> bool:
        """Whether there is anybody left to ask."""
        return self._ahead is not None

    def next(
        self, desk: Desk, route: Route, base: str, why: str, status: int | None, retry_after: float | None
    ) -> tuple[Route, Fallback] | None:
        """The route to whoever takes over after ``base`` failed with ``why``; None: nobody does, or the time is over."""
        self._fallbacks.breaker.failed(base, retry_after)
        while (to := self._ahead) is not None and desk.clock() < self._until:
            self._ahead = next(self._ways, None)
            found = desk.failed_over(route, to, why, status)
            if found is not None:
                self.gone = True
                return found, to
        return None

    def worked(self, base: str) -> None:
        """``base`` has answered."""
        self._fallbacks.breaker.worked(base)

    def credentialed(self, headers: Headers, to: Fallback) -> Headers:
        """``headers`` with the credentials that belong to ``to``."""
        return self._fallbacks.credentialed(headers, to, self._client)


async def held_back(
    parts: AsyncIterator[Part], heard: Listener, hold_s: float = HOLD_S
) -> tuple[list[Part], asyncio.Future[Part | None] | None]:
    """The parts of an answer up to its first content, and the read under way where that takes too long to wait for.

    Raises UpstreamError where the answer ends, or brings an error, before any content.
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
            return held, reading
        part = reading.result()
        if part is None:
            raise UpstreamError("the provider ended its answer before any content")
        held.append(part)
    if heard.refused:
        raise UpstreamError("the provider sent an error before any content")
    return held, None


async def _next(parts: AsyncIterator[Part]) -> Part | None:
    return await anext(parts, None)
