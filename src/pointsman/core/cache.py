"""Which part of a prompt a provider still holds.

Theory of operation. A provider keeps the prefix of a prompt for a while after the *start* of the request that wrote or
read it. For each config of a lane we keep one ``Warmth``: the messages of its last request, the tokens its provider
billed, and when. ``predict`` compares it with a new request: what is common from the start, inside the lifetime and above
the provider's minimum, is warm with some probability; the rest must be written again. ``touch`` re-anchors on the billed
figures, so that estimates never build on estimates. A request whose prefix turns out cold still reads a *head* as a rule:
tools and system text, which other sessions of the same client keep warm, and which survive a compaction. So a prediction is
a mixture: the whole prefix with probability ``p``, else the head with probability ``p_head``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pointsman.core.types import FIVE_MINUTES, HOUR, Message, Request, Usage

MATERIAL = 0.02
"""A chance below this is left out of the forecast of a turn's first request (``Warm.reckoned``); any other is priced in."""

BEARS = ((0.01, 0.0), (0.05, 0.03), (0.25, 0.15))
"""Inside tool loops: below this chance of the less likely case, a forecast bears at most this share of its dollars for it; a
larger chance is priced in. There 0.25 to 13 % of prefixes are cold, at up to twenty times the price: wholly priced in, that would
put nearly every forecast off by 3 to 100 %; not at all, it would leave the sum of a session too low by up to 8 %."""

WARM_SHARE = 0.8
"""A request found its prefix warm when it read at least this share of the shorter of the previous and this prompt."""

MOVED_TOKENS, MOVED_SHARE = 1_024, 0.05
"""An automatic cache that lacks more than both of the last prompt is another machine's: one that is only a block behind is not."""

STEADY = 10
"""Requests after which a session has settled on a machine: of 374 loop requests of real Codex sessions that were nearer to a move or
to the session's start, 13 % found a colder cache, of 666 others 2 %."""

IDLE_S = 300.0
"""An hour's entry that lay idle for longer is cold more often (16 against 9 % of turn starts, real sessions)."""

Moment = Literal["loop", "turn", "command"]
"""When a request is made: inside a tool loop, at the start of a turn, or by a slash command (which changes the prompt)."""

_CHUNK = 64


@dataclass(frozen=True, slots=True)
class CacheRule:
    """How one provider caches prompts. Times in seconds, lengths in tokens.

    ``ttl_s`` is the default lifetime and ``ttls`` all that are sold; ``writes`` holds (lifetime, multiple of the fresh
    price). ``explicit``: only marked prefixes are kept, and surely gone after the lifetime; otherwise the provider
    decides, and once ``ttl_s`` has passed warmth halves every ``half_life_s``. ``p_hit``: chance that an automatic cache
    is used at all. ``lookback``: how many messages before its mark a request finds an older entry (0: no limit).
    ``block``: prefixes count in whole blocks, less ``margin`` tokens. ``refresh``: a read restarts the lifetime. ``cold``: per cell (see ``cell``)
    the chance that a prefix is cold although it should be there, and the number of observations that figure is worth;
    ``p_head``: chance that its head is still read then. ``keeps_reasoning`` False: the reasoning of a turn leaves the prompt
    at the next words of the user, and with it the prefix behind it.
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


@dataclass(frozen=True, slots=True)
class Warmth:
    """What a provider holds for one config in one lane, as last billed.

    ``cached``: tokens that the last request read or wrote, ``written`` those it wrote; ``prompt``: all its input tokens;
    ``chars``: its size on the wire, ``head_chars`` that of tools and system; ``touched``: epoch seconds at which it
    *started*; ``ttl_s``: how long the provider keeps it from then on. ``head``: tokens that a request of this lane read when
    its history was cold (0: not seen yet). ``reasoning``: reasoning tokens of the last answer, ``carried`` those of earlier
    answers that are in the prompt, ``settled``: tokens of the prompt before the first of them. ``aside``: tokens of the prompt
    that another machine of the provider held when it last served this lane (0: one machine has served it so far); ``steady``:
    requests since one found a colder cache than the one before it had left.
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
    aside: int = 0
    steady: int = 0


@dataclass(frozen=True, slots=True)
class Head:
    """Tools and system text as a provider holds them for every session of a client: tokens, last touch, lifetime."""

    tokens: int
    touched: float
    ttl_s: int


@dataclass(frozen=True, slots=True)
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

    def bears(self) -> float | None:
        """The share of its likely dollars that a forecast bears for the less likely case; None: it is the average."""
        if self.cell not in ("loop", "loop new"):
            return None
        return next((share for below, share in BEARS if self.rare < below), None)


def _settled(p: float) -> float:
    return 0.0 if p < MATERIAL else 1.0 if p > 1.0 - MATERIAL else p


COLD = Warm()
NOTHING_SEEN: Mapping[str, tuple[int, int]] = {}


def common(old: tuple[Message, ...], new: tuple[Message, ...]) -> int:
    """How many leading messages are the same text; cache marks may have moved.

    Whole chunks of the very same objects are compared in C (600 messages in 5 microseconds), others hash by hash (13).
    """
    limit = min(len(old), len(new))
    for at in range(0, limit, _CHUNK):
        end = min(at + _CHUNK, limit)
        if old[at] is new[at] and old[at:end] == new[at:end]:
            continue
        for index in range(at, end):
            if old[index].hash != new[index].hash:
                return index
    return limit


def moment_of(new: Iterable[Message], new_turn: bool) -> Moment:
    """When a request is made, by the messages it adds."""
    if not new_turn:
        return "loop"
    return "command" if any("command" in message.facts for message in new) else "turn"


def cell(moment: Moment, age: float, ttl_s: int, steady: int = STEADY) -> str | None:
    """The observations that a prefix idle for ``age`` seconds is counted with; None when it is gone.

    Few and wide, so that each is seen often. ``late``: a short lifetime is over by less than its own length, and one in six
    is read all the same (120 real requests). ``steady``: requests on the machine that served last, where that is the provider's
    choice.
    """
    if age < ttl_s:
        if moment == "loop" and steady < STEADY:
            return "loop new"
        if moment != "turn":
            return moment if age < HOUR else "turn day idle"
        if ttl_s < HOUR:
            return "turn"
        return "turn 1h" if age < IDLE_S else "turn 1h idle" if age < HOUR else "turn day idle"
    return "late" if ttl_s < HOUR and age < 2 * ttl_s else None


def touch(old: Warmth | None, request: Request, usage: Usage, started: float, ttl_s: int) -> Warmth:
    """What the provider holds after it billed ``usage`` for ``request``, which started at ``started``.

    The billed figures replace every estimate. A Messages request without a cache mark leaves what was there before.
    """
    cached = usage.cache_read + usage.written
    carried, settled = _reasoned(old, request, usage)
    moved = old is not None and _moved(old, request, usage)
    unmarked = request.protocol == "messages" and request.ttl_s is None
    if old is not None and unmarked and not cached and 0 <= started - old.touched < old.ttl_s:
        return old
    return Warmth(
        messages=request.messages,
        tools=request.tools,
        system=request.system,
        head_chars=request.head_chars,
        chars=request.chars,
        prompt=usage.prompt,
        cached=cached,
        written=usage.written,
        touched=started,
        ttl_s=ttl_s,
        head=head_read(old, request, usage),
        reasoning=usage.reasoning,
        carried=carried,
        settled=settled,
        aside=_aside(old, request, usage, moved),
        steady=0 if moved or old is None else old.steady + 1,
    )


def spoken(new: Iterable[Message]) -> bool:
    """Whether ``new`` messages hold words in the user's name: reasoning before them is over."""
    return any(message.role == "user" and message.kind in ("prompt", "reminder") for message in new)


def _goes_on(old: Warmth, request: Request) -> bool:
    """Whether ``request`` holds all that ``old`` saw."""
    same_head = (old.tools, old.system) == (request.tools, request.system)
    return same_head and common(old.messages, request.messages) == len(old.messages)


def _reasoned(old: Warmth | None, request: Request, usage: Usage) -> tuple[int, int]:
    """Reasoning tokens that ``request`` carries from earlier answers of its turn, and the prompt's tokens before the first.

    Clients of the Responses protocol send reasoning back; whether a provider then drops it is the rule's matter.
    """
    if old is None or not _goes_on(old, request):
        return 0, usage.prompt
    new = request.messages[len(old.messages) :]
    if spoken(new):
        return 0, usage.prompt
    sent_back = old.reasoning if any("thinking" in message.facts for message in new) else 0
    if not old.carried and not sent_back:
        return 0, usage.prompt
    return old.carried + sent_back, old.settled if old.carried else old.prompt


def _moved(old: Warmth, request: Request, usage: Usage) -> bool:
    """Whether ``request`` found a colder cache than the one before it had left, although it goes on."""
    least = old.settled if old.carried and spoken(request.messages[len(old.messages) :]) else old.prompt
    return _goes_on(old, request) and least - usage.cache_read > max(MOVED_TOKENS, MOVED_SHARE * least)


def _aside(old: Warmth | None, request: Request, usage: Usage, moved: bool) -> int:
    """What the machine that served this lane before holds, once another one has answered with a colder cache.

    Automatic caches live on the machine that served a request (cache_rules.toml, scope). A session that overflows to a second
    one comes back to what each had seen last: 40 of 43 such requests in 11 real Codex sessions read one of these.
    """
    if old is None or not _goes_on(old, request):
        return 0
    if spoken(request.messages[len(old.messages) :]) and old.carried:
        return min(old.aside, old.settled)
    return old.prompt if moved else old.aside


def dropped(warmth: Warmth | None, new: Iterable[Message], rule: CacheRule) -> int | None:
    """Reasoning tokens of the last prompt that ``new`` messages make the provider drop; None: it keeps them."""
    return None if warmth is None or rule.keeps_reasoning or not spoken(new) else warmth.carried


def head_read(old: Warmth | None, request: Request, usage: Usage) -> int:
    """Tokens of the head after a bill: what a first request, or one whose history was cold, read; else what was known.

    ``old``: what was held before it. 0: unknown.
    """
    known = old.head if old is not None and (old.tools, old.system) == (request.tools, request.system) else 0
    if not usage.cache_read:
        return known
    if old is None or not common(old.messages, request.messages):
        return usage.cache_read
    shared = min(_shared(old, request, None), usage.prompt)
    if usage.cache_read >= WARM_SHARE * shared:
        return known
    return min(known, usage.cache_read) if known and old.aside else usage.cache_read


def predict(
    warmth: Warmth | None,
    request: Request,
    prompt: int,
    rule: CacheRule,
    now: float,
    moment: Moment = "loop",
    *,
    seen: Mapping[str, tuple[int, int]] = NOTHING_SEEN,
    elsewhere: Head | None = None,
) -> Warm:
    """The prefix of ``request`` (``prompt`` tokens of this model) that its provider will read from the cache.

    ``seen``: (warm, cold) counts of this provider per cell; ``elsewhere``: the head as other lanes and sessions of the
    client have left it. A clock that jumped back counts as no time passed. A request without a mark reads nothing from a
    marked cache.
    """
    if prompt < rule.min_tokens or (rule.explicit and request.ttl_s is None):
        return COLD
    head, p_head, lasts = _head(warmth, request, rule, now, elsewhere)
    head = _held(head, prompt, rule) if p_head else 0
    if not head:
        p_head, lasts = 0.0, None
    if warmth is None:
        return Warm(0, 0.0, lasts, head, p_head)
    shared = _shared(warmth, request, rule)
    settled = shared and bool(dropped(warmth, request.messages[len(warmth.messages) :], rule))
    if settled:
        shared = min(shared, warmth.settled)
    if warmth.aside and not rule.explicit and shared:
        head, p_head = max(head, _held(min(warmth.aside, shared), prompt, rule)), rule.p_head
    age = max(0.0, now - warmth.touched)
    alive, where = _alive(age, warmth.ttl_s, rule), cell(moment, age, warmth.ttl_s, STEADY if rule.explicit else warmth.steady)
    if where is not None and (rule.explicit or age < warmth.ttl_s):
        alive = 1.0 - p_cold(rule, where, seen)
    tokens = _held(shared, prompt, rule) if alive > 0.0 else 0
    if not tokens or alive <= 0.0:
        return Warm(0, 0.0, lasts, head, p_head)
    until = min(now, warmth.touched) + warmth.ttl_s if rule.explicit else None
    return Warm(tokens, alive, until, min(head, tokens), p_head, where, bool(settled))


def p_cold(rule: CacheRule, where: str, seen: Mapping[str, tuple[int, int]] = NOTHING_SEEN) -> float:
    """Chance that a prefix is cold although it should be there: the prior of its cell, moved by what was seen."""
    prior, weight = rule.cold.get(where, (0.0, 1.0))
    prior = 1.0 - rule.p_hit * (1.0 - prior)
    warm, cold = seen.get(where, (0, 0))
    return (prior * weight + cold) / (weight + warm + cold)


def was_warm(warm: Warm, before: int, usage: Usage) -> bool | None:
    """Whether the prefix that ``warm`` predicted was read; None where the bill says nothing about a cell.

    ``before``: prompt tokens of the request before it. Only a prefix that should have been read whole teaches.
    """
    least = WARM_SHARE * (warm.tokens if warm.settled else min(before, usage.prompt))
    if warm.cell is None or not usage.prompt or warm.tokens < least:
        return None
    return usage.cache_read >= least


def _held(tokens: int, prompt: int, rule: CacheRule) -> int:
    """``tokens`` as the provider counts a cached prefix of ``prompt``: whole blocks above its minimum."""
    tokens = min(tokens, prompt)
    tokens -= (tokens + rule.margin) % rule.block
    return tokens if tokens >= max(1, rule.min_tokens) else 0


def _head(
    warmth: Warmth | None, request: Request, rule: CacheRule, now: float, elsewhere: Head | None
) -> tuple[int, float, float | None]:
    """Tokens of the head, the chance that it is warm, and until when.

    Its size is what a cold request of this lane read, else one elsewhere, else the share of tools and system in the
    characters. It is as fresh as its latest touch anywhere.
    """
    own = warmth if warmth is not None and (warmth.tools, warmth.system) == (request.tools, request.system) else None
    tokens = own.head if own is not None else 0
    if not tokens and elsewhere is not None:
        tokens = elsewhere.tokens
    if not tokens and own is not None and own.chars:
        tokens = min(_kept(own, rule), own.prompt * own.head_chars // own.chars)
    touches = [(t.touched, t.ttl_s) for t in (own, elsewhere) if t is not None]
    if not tokens or not touches:
        return 0, 0.0, None
    p, until = max((_alive(max(0.0, now - touched), ttl_s, rule), touched + ttl_s) for touched, ttl_s in touches)
    return tokens, p * rule.p_head, until if rule.explicit and p > 0.0 else None


def _kept(warmth: Warmth, rule: CacheRule) -> int:
    """Tokens that the provider kept: those it billed as read or written, or all, where it caches without billing writes."""
    return warmth.cached if rule.explicit or warmth.written else warmth.prompt


def _alive(age: float, ttl_s: int, rule: CacheRule) -> float:
    """Probability that an entry last used ``age`` seconds ago still exists."""
    if age < ttl_s:
        return 1.0
    if rule.explicit or rule.half_life_s <= 0:
        return 0.0
    return rule.p_hit * float(0.5 ** ((age - ttl_s) / rule.half_life_s))


def _shared(warmth: Warmth, request: Request, rule: CacheRule | None) -> int:
    """Tokens of the common prefix that the provider can find again (``rule`` None: without its limits).

    Other tools lose everything. So does another system text: what tools alone hold is unknown, and clients put their
    marks after both. Where the history differs, billed tokens are shared out by characters. 0 where only the head is left:
    nothing in common, or what is common lies past the look-back of a marked cache.
    """
    if warmth.tools != request.tools or warmth.system != request.system:
        return 0
    same = common(warmth.messages, request.messages)
    if rule is not None and rule.lookback and len(request.messages) - same > rule.lookback:
        return 0
    held = warmth.cached if rule is None else _kept(warmth, rule)
    if same == len(warmth.messages):
        return held
    if not same or not warmth.chars:
        return 0
    chars = warmth.head_chars + sum(message.chars for message in warmth.messages[:same])
    return min(held, warmth.prompt * chars // warmth.chars)
