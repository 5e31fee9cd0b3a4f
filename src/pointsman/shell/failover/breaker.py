"""Which base URLs are left alone for a while: a circuit breaker per upstream, with the provider's own retry-after.

Three failures in a row open it for half a minute, each further one for twice as long, five minutes at most; then one request is
let through, and its success closes it. Where there is nowhere else to go, nobody asks it: a request is never refused by us.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

IN_A_ROW = 3
COOL_S, COOL_MOST_S = 30.0, 300.0
"""Seconds of the first and of the longest cool-down (common defaults of circuit breakers: 3 to 5 failures, 30 to 60 s)."""

DOUBLINGS = 8
"""Times a cool-down is doubled at most: by then it is the longest, and a power of a larger count would overflow."""

TRIAL_S = 10.0
"""Seconds after which another request may try, where the first one after a cool-down has not answered."""


@dataclass(slots=True)
class _Circuit:
    """``failures`` since the last success; ``until``: epoch seconds before which it is left alone."""

    failures: int = 0
    until: float = 0.0


class Breaker:
    """The state of every upstream that failed. ``clock`` gives epoch seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._circuits: dict[str, _Circuit] = {}

    def usable(self, base: str) -> bool:
        """Whether ``base`` is not left alone now; asking changes nothing."""
        circuit = self._circuits.get(base)
        return circuit is None or not 0.0 < circuit.until - self._clock() <= COOL_MOST_S  # longer: the clock was set back

    def enter(self, base: str) -> bool:
        """Whether a request goes to ``base`` now. After a cool-down the first one does, the others once that is answered."""
        if not self.usable(base):
            return False
        circuit = self._circuits.get(base)
        if circuit is not None and circuit.until > 0.0:
            circuit.until = self._clock() + TRIAL_S
        return True

    def failed(self, base: str, retry_after: float | None = None) -> None:
        """A request to ``base`` failed before its first content byte; ``retry_after``: seconds the provider asked for."""
        circuit = self._circuits.setdefault(base, _Circuit())
        circuit.failures += 1
        over = circuit.failures - IN_A_ROW
        cool = min(COOL_MOST_S, COOL_S * 2.0 ** min(over, DOUBLINGS)) if over >= 0 else 0.0
        asked = min(COOL_MOST_S, retry_after) if retry_after is not None else 0.0
        if cool or asked:
            circuit.until = max(circuit.until, self._clock() + max(cool, asked))

    def worked(self, base: str) -> None:
        """A request to ``base`` was answered: all is well there."""
        self._circuits.pop(base, None)

    def open(self) -> dict[str, float]:
        """The upstreams that are left alone, with the epoch second until which."""
        return {base: circuit.until for base, circuit in self._circuits.items() if not self.usable(base)}
