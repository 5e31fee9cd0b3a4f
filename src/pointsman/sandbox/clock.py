"""A clock that tests and demos move by hand.

``Clock`` is called like ``time.time``. With ``auto`` (the default) sleeping moves the clock to the sleeper's waking time
at once, so that a ten-minute pause costs nothing; without it sleepers wait until somebody advances the clock.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable

START = 1_795_000_000.0
"""Where virtual time begins, epoch seconds (18 November 2026): any fixed date would do."""


class Clock:
    """Virtual time in epoch seconds: ``clock()`` reads it, ``advance`` moves it, ``sleep`` waits on it."""

    def __init__(self, start: float = START, *, auto: bool = True) -> None:
        self._now = start
        self._auto = auto
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def __call__(self) -> float:
        """The time now, in epoch seconds."""
        return self._now

    def advance(self, seconds: float) -> float:
        """Move the clock on by ``seconds`` and wake whoever's time has come; returns the new time."""
        if seconds < 0:
            raise ValueError(f"a clock does not run backwards: advance({seconds})")
        return self.advance_to(self._now + seconds)

    def advance_to(self, when: float) -> float:
        """Move the clock to ``when`` unless it is past that already; returns the new time."""
        self._now = max(self._now, when)
        while self._sleepers and self._sleepers[0][0] <= self._now:
            _, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Wait ``seconds`` of virtual time. Sleepers of one moment wake at one moment: their times do not add up."""
        wake = self._now + max(0.0, seconds)
        if self._auto:
            await asyncio.sleep(0)
            self.advance_to(wake)
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (wake, next(self._order), future))
        await future


class WallClock(Clock):
    """The machine's own time behind the same three methods; advancing it is an error."""

    def __call__(self) -> float:
        """The time now, in epoch seconds."""
        return time.time()

    def advance_to(self, when: float) -> float:
        """Refuse: nobody moves real time."""
        raise ValueError("real time cannot be advanced; give the provider a Clock() of its own")

    async def sleep(self, seconds: float) -> None:
        """Wait ``seconds`` of real time."""
        await asyncio.sleep(max(0.0, seconds))


def as_clock(clock: Callable[[], float] | None) -> Clock:
    """The given clock, with ``sleep``; None or a plain function such as ``time.time`` sleeps in real time."""
    if isinstance(clock, Clock):
        return clock
    if clock is None or clock is time.time:
        return WallClock()
    return _Read(clock)


class _Read(WallClock):
    """Reads another clock; sleeps in real time."""

    def __init__(self, read: Callable[[], float]) -> None:
        super().__init__()
        self._read = read

    def __call__(self) -> float:
        """The time now, in epoch seconds."""
        return self._read()
