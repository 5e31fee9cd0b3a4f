"""The nouns of a prompt cache: how a provider keeps prefixes, what it holds for a lane, and the hit to expect of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pointsman.core.messages import Message
from pointsman.core.record import record
from pointsman.core.types import FIVE_MINUTES

MATERIAL = 0.02
"""A chance below this is left out of the forecast of a turn's first request (``Warm.reckoned``); any other is priced in."""

RARE = 0.01
"""Inside tool loops on a marked cache a chance below this is left out: it is cold there once in 400 requests."""

LOOPS = ("loop", "loop new", "loop settled")
"""The cells of requests inside tool loops: nine requests in ten."""

ROOM = ((0.05, 0.037), (0.25, 0.088))
"""Inside tool loops: below this chance of the less likely case, a forecast bears at most this share of its likely dollars for it;
a larger chance is priced in. A cold prefix costs up to twenty times as much: wholly priced in, a rare one would put nearly every
forecast off by 3 to 100 %, not at all, sums would be too low by up to 8 %. The shares are what the errors that we promise with
sizes estimated (5 % at the median, 20 % at the 90th percentile) leave beside those of the sizes (1.3 and 11.2 %, Claude Code
sessions). Codex sessions had no part in them: there they give a bias of -3.5 %, a median error of 4.1 % and 17 % at the 90th
percentile. Shares fitted to those gave -2.9, 4.3 and 18.8 %; fitted to all sessions but the measured one, -3.0, 5.0 and 21.4 %.
"""

WARM_SHARE = 0.8
"""A request found its prefix warm when it read at least this share of the shorter of the previous and this prompt."""


@dataclass(frozen=True, slots=True)
class CacheRule:
    """How one provider caches prompts. Times in seconds, lengths in tokens.

    ``ttl_s`` is the default lifetime and ``ttls`` all that are sold; ``writes`` holds (lifetime, multiple of the fresh
    price). ``explicit``: only marked prefixes are kept, and surely gone after the lifetime; otherwise the provider
    decides, and once ``ttl_s`` has passed warmth halves every ``half_life_s``. ``p_hit``: chance that an automatic cache
    is used at all. ``lookback``: how many messages before its mark a request finds an older entry (0: no limit).
    ``block``: prefixes count in whole blocks, less ``margin`` tokens. ``refresh``: a read restarts the lifetime. ``cold``: per
    cell (see ``cache.cell``) the chance that a prefix is cold although it should be there, and the number of observations that
    figure is worth; ``p_head``: chance that its head is still read then. ``keeps_reasoning`` False: the reasoning of a turn
    leaves the prompt at the next words of the user, and with it the prefix behind it.
    """

    provider: str
    ttl_s: int = FIVE_MINUTES
    ttls: tuple[int, ...] = (FIVE_MINUTES,)
    min_tokens: int = 1_024
    block: int = 1
    margin: int = 0
    refresh: bool = True
    explicit: bool = True
    writes: tuple[tuple[int, float], ...] = ()
    lookback: int = 0
    p_hit: float = 1.0
    half_life_s: float = 0.0
    cold: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    p_head: float = 0.0
    keeps_reasoning: bool = True
    source: str = ""


@record(frozen=True, slots=True)
class Warmth:
    """What a provider holds for one config in one lane, as last billed.

    ``cached``: tokens that the last request read or wrote, ``written`` those it wrote; ``prompt``: all its input tokens;
    ``chars``: its size on the wire, ``head_chars`` that of tools and system; ``touched``: epoch seconds at which it
    *started*; ``ttl_s``: how long the provider keeps it from then on. ``head``: tokens that a request of this lane read when
    its history was cold (0: not seen yet). ``reasoning``: reasoning tokens of the last answer, ``carried`` those of earlier
    answers that are in the prompt, ``settled``: tokens of the prompt before the first of them. ``other_machine``: tokens of it
    that another machine of the provider held when it last served this lane (0: one machine has served it so far); ``steady``:
    requests since one found a colder cache than the one before it had left. ``marks``: (messages covered, lifetime) of a prompt
    marked with several lifetimes, of which ``ttl_s`` is the last; ``branch``: what it held of the branch that was left last.
    ``mode``, ``speed`` and ``key`` as the request's; ``keys_share``: what one key wrote was read under another.
    """

    messages: tuple[Message, ...]
    tools: int
    system: int
    head_chars: int
    chars: int
    prompt: int
    cached: int
    written: int
    touched: float
    ttl_s: int
    head: int = 0
    reasoning: int = 0
    carried: int = 0
    settled: int = 0
    other_machine: int = 0
    steady: int = 0
    marks: tuple[tuple[int, int], ...] = ()
    branch: Warmth | None = None
    mode: int = 0
    speed: str | None = None
    key: int = 0
    keys_share: bool = False


@record(frozen=True, slots=True)
class Head:
    """Tools and system text as a provider holds them for every session of a client: tokens, last touch, lifetime."""

    tokens: int
    touched: float
    ttl_s: int


@record(frozen=True, slots=True)
class Warm:
    """The hit to expect: ``tokens`` of prefix with probability ``p``, else ``head`` tokens with probability ``p_head``.

    ``until``: cold for sure afterwards (epoch seconds). ``cell``: where ``p`` comes from, None where it was not learned.
    ``settled``: ``tokens`` end where reasoning that was dropped began.
    """

    tokens: int = 0
    p: float = 0.0
    until: float | None = None
    head: int = 0
    p_head: float = 0.0
    cell: str | None = None
    settled: bool = False

    @property
    def likely(self) -> int:
        """Tokens read in the likelier case."""
        return self.tokens if self.p >= 0.5 else self.head if self.p_head >= 0.5 else 0

    @property
    def expected(self) -> float:
        """Tokens read on average."""
        return self.p * self.tokens + (1.0 - self.p) * self.p_head * self.head

    def chance(self, tokens: float) -> float:
        """Probability that at least this many tokens are read."""
        head = self.p_head if self.head >= tokens else 0.0
        return self.p + (1.0 - self.p) * head if self.tokens >= tokens else head

    @property
    def rare(self) -> float:
        """Chance of the less likely case."""
        return min(self.p, 1.0 - self.p) if self.tokens else 0.0

    @property
    def reckoned(self) -> float:
        """Tokens to reckon with: the average, where chances that are not material count as none and their opposites as sure.

        So a turn start, cold once in six to thirty times, is priced by its average, which keeps the sum of all forecasts right.
        """
        p, p_head = _settled(self.p), _settled(self.p_head)
        return p * self.tokens + (1.0 - p) * p_head * self.head

    def rare_share(self) -> float | None:
        """The share of its likely dollars that a forecast bears at most for the less likely case; None: it is the average."""
        if self.cell not in LOOPS:
            return None
        rare = self.rare
        if rare < RARE and self.cell == "loop":
            return 0.0
        for below, share in ROOM:
            if rare < below:
                return share
        return None


def _settled(p: float) -> float:
    return 0.0 if p < MATERIAL else 1.0 if p > 1.0 - MATERIAL else p


COLD = Warm()
NOTHING_SEEN: Mapping[str, tuple[int, int]] = {}


def read_cache_rule(row: Mapping[str, Any] | None, prior: Mapping[str, Any]) -> CacheRule:
    """The rule of a row of data/cache_rules.toml (None: an unknown provider), with the ``prior`` chances of a cold cache."""
    row = row or {"source": "unknown provider"}
    writes = tuple((int(ttl), float(times)) for ttl, times in row.get("writes", ()))
    ttl_s, provider = int(row.get("ttl_s", 300)), str(row.get("provider", ""))
    cold = {**prior["cold"], **prior["providers"].get(provider, {})}
    return CacheRule(
        provider=provider,
        ttl_s=ttl_s,
        ttls=tuple(ttl for ttl, _ in writes) or (ttl_s,),
        min_tokens=row.get("min_tokens", 1024),
        block=row.get("block", 1),
        margin=row.get("margin", 0),
        refresh=row.get("refresh", True),
        explicit=row.get("explicit", False),
        writes=writes,
        lookback=row.get("lookback", 0),
        p_hit=row.get("p_hit", 1.0),
        half_life_s=row.get("half_life_s", 0.0),
        cold={name: (float(p), float(weight)) for name, (p, weight) in cold.items()},
        p_head=float(prior["p_head"]),
        keeps_reasoning=row.get("keeps_reasoning", True),
        source=row.get("source", ""),
    )
