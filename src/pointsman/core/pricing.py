"""Prices of tokens, and the closed forms of what a request, a switch and a way back cost. USD and tokens throughout.

Theory of operation. A ``PriceCard`` holds one *schedule* per service (standard, priority, flex, fast ...): rates, and
steps that re-price the whole prompt once it passes a size. ``at`` picks the rates that hold for one request; everything
else multiplies disjoint token buckets by them. ``core.cards`` reads cards from rows of the price map.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from math import ceil, fsum, sqrt

from pointsman.core.types import DAY, Rates, Request, Usage
from pointsman.core.warmth import Warm

SERVICE_ALIASES = {"fast": "priority"}
"""OpenAI sells its priority tier as "fast" too; used where a card has no tier of the asked name. ``speed`` is Anthropic's."""


@dataclass(frozen=True, slots=True)
class Hours:
    """Minutes of the UTC day, ``start`` up to but without ``end``; wraps past midnight, and start = end is the whole day.

    ``weekdays`` are ISO (Monday is 1), empty for all, read on a calendar ``offset_s`` seconds east of UTC.
    """

    start: int
    end: int
    weekdays: frozenset[int] = frozenset()
    offset_s: int = 0

    def hold(self, now: float) -> bool:
        """Whether ``now`` (epoch seconds) lies in these hours."""
        if self.weekdays and (int((now + self.offset_s) // DAY) + 3) % 7 + 1 not in self.weekdays:
            return False
        minute = int(now % DAY) // 60
        if self.start < self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end


@dataclass(frozen=True, slots=True)
class Schedule:
    """The rates of one service: ``base``, and ``steps`` of (above this many prompt tokens, rates), ascending."""

    base: Rates
    steps: tuple[tuple[int, Rates], ...] = ()

    def at(self, prompt_tokens: int) -> Rates:
        """The rates for a prompt of this many tokens; a step re-prices the *whole* prompt and its output."""
        rates = self.base
        for above, step in self.steps:
            if prompt_tokens <= above:
                break
            rates = step
        return rates


@dataclass(frozen=True, slots=True)
class PriceCard:
    """The prices of one model, each with its source. Lengths in tokens, rates in USD per token.

    ``services`` maps a service tier or speed to its own schedule; ``off_peak`` replaces the standard schedule during
    its hours. ``window`` is the longest prompt, ``max_output`` the longest answer, ``min_cache_tokens`` the shortest
    prefix its provider caches (None: the map does not say). ``deprecated``: the day from which it is no longer offered.
    ``version``: map version and digest of the row, so that a ledger row names the prices it was billed at.
    ``sources``: (price, where it is from) pairs; ``source`` says it in one line. ``quota_weight``: what a list dollar counts of
    a subscription's quota: plans meter by model, in weights that their vendors do not publish, so 1 until the user says.
    ``search_usd``: USD of one search of the web by the provider (0: the map does not say).
    """

    model: str
    provider: str
    base: Rates
    steps: tuple[tuple[int, Rates], ...] = ()
    services: Mapping[str, Schedule] = field(default_factory=dict)
    off_peak: tuple[tuple[Hours, ...], Schedule] | None = None
    window: int | None = None
    max_output: int | None = None
    min_cache_tokens: int | None = None
    version: str = ""
    source: str = ""
    sources: tuple[tuple[str, str], ...] = ()
    deprecated: date | None = None
    quota_weight: float = 1.0
    search_usd: float = 0.0

    def at(self, prompt_tokens: int, now: float, speed: str | None = None, tier: str | None = None) -> Rates:
        """The rates for a prompt of this many tokens at ``now`` (epoch seconds).

        ``tier`` and ``speed`` name a service as the client asked for it; one without a price of its own (``auto``,
        ``default``, ``standard`` ...) is billed at the standard rates.
        """
        if self.services and (tier or speed):
            found = self._service(tier) or (self.services.get(speed) if speed is not None else None)
            if found is not None:
                return found.at(prompt_tokens)
        if self.off_peak is not None and any(hours.hold(now) for hours in self.off_peak[0]):
            return self.off_peak[1].at(prompt_tokens)
        rates = self.base
        for above, step in self.steps:
            if prompt_tokens <= above:
                break
            rates = step
        return rates

    def _service(self, name: str | None) -> Schedule | None:
        if name is None:
            return None
        return self.services.get(name) or self.services.get(SERVICE_ALIASES.get(name, ""))

    def is_deprecated(self, today: date) -> bool:
        """Whether the model is no longer offered on ``today``."""
        return self.deprecated is not None and self.deprecated <= today


def times(rates: Rates, x: float) -> Rates:
    """Every rate of tokens ``x`` times."""
    pairs = tuple((ttl, price * x) for ttl, price in rates.cache_write)
    return Rates(rates.fresh * x, rates.cache_read * x, rates.output * x, rates.reasoning * x, pairs, rates.search)


def rates_for(card: PriceCard, request: Request, prompt: int, now: float) -> Rates:
    """The rates of one request of ``prompt`` tokens at ``now``: USD per token, or quota weights under a subscription login.

    A region's surcharge comes on top of any service.
    """
    rates = card.at(prompt, now, request.speed, request.tier)
    region = card.services.get(request.region) if request.region is not None else None
    if region is not None and card.base.fresh > 0.0:
        rates = times(rates, region.base.fresh / card.base.fresh)
    return times(rates, card.quota_weight) if request.auth == "subscription" and card.quota_weight != 1.0 else rates


def cost(usage: Usage, rates: Rates) -> float:
    """USD of ``usage`` at ``rates``, summed exactly over its disjoint buckets.

    ``usage.extra`` (advisor, compaction) belongs to other models and is not in it: see ``Book.bill``.
    """
    return fsum(
        (
            usage.fresh * rates.fresh,
            usage.cache_read * rates.cache_read,
            *(tokens * rates.write(ttl) for ttl, tokens in usage.cache_write),
            usage.output * rates.output,
            usage.reasoning * rates.reasoning,
            usage.searches * rates.search,
        )
    )


def billed_usd(usage: Usage, rates: Rates, others: Mapping[str, Rates]) -> tuple[float, bool]:
    """USD of ``usage``, and whether that is only a lower bound (a cut stream, or a sub-request or search without a known price).

    ``others``: rates by model, for server-side sub-requests that are billed at their own model's price.
    """
    at_least = not usage.complete or (usage.searches > 0 and rates.search == 0.0)
    total = cost(usage, rates)
    for model, extra in usage.extra:
        own = others.get(model)
        if own is None:
            at_least = True
            continue
        more, lower = billed_usd(extra, own, others)
        total, at_least = total + more, at_least or lower
    return total, at_least


def toll(rates: Rates, ttl_s: int, context: int, warm: int) -> float:
    """USD that a (partly) cold context costs above a warm one: (write - read) x (context - warm), never negative.

    ``context``: prompt tokens without this request's new blocks; ``warm``: those that the model's cache still holds. A change of
    effort pays it too: in-band everything stays warm, at the top level what that change does not invalidate.
    """
    return max(0.0, rates.write(ttl_s) - rates.cache_read) * max(0, context - warm)


def way_back(rates_a: Rates, ttl_s: int, p_return: float, growth: int, p_lapse: float, prompt: int) -> float:
    """Expected USD of returning to the config left behind: P(return) (write - read) (growth + P(lapse) prompt).

    ``growth``: tokens that the conversation gains while away, missing in the old cache; ``p_lapse``: chance that the
    cache's lifetime ends while away, after which all of ``prompt`` is written again.
    """
    missing = max(0, growth) + p_lapse * max(0, prompt)
    return p_return * max(0.0, rates_a.write(ttl_s) - rates_a.cache_read) * missing


def round_trip(toll_there: float, toll_here: float, back: float) -> float:
    """USD of going and coming back: toll there - the toll of staying + way back; negative when staying is what costs."""
    return toll_there - toll_here + back


def expected_input(rates: Rates, ttl_s: int, prompt: int, warm: float, p_warm: float, caches: bool) -> float:
    """Expected USD of the prompt: its warm prefix is read with probability ``p_warm``, the rest written (or fresh).

    ``warm`` tokens with ``p_warm`` 1 may be an average already (``Warm.reckoned``).

    ``caches``: whether this request writes a cache at all (a mark, or a provider that caches by itself).
    """
    new = rates.write(ttl_s) if caches else rates.fresh
    return prompt * new - p_warm * min(warm, prompt) * (new - rates.cache_read)


def forecast(rates: Rates, ttl_s: int, prompt: int, warm: Warm, caches: bool) -> float:
    """USD of the prompt to tell a person: its average, near the likely case where the other is rare (``Warm.rare_share``)."""
    if not warm.tokens and not warm.head:
        return prompt * (rates.write(ttl_s) if caches else rates.fresh)
    share = warm.rare_share()
    if share is None:
        return expected_input(rates, ttl_s, prompt, warm.reckoned, 1.0, caches)
    likely = expected_input(rates, ttl_s, prompt, warm.likely, 1.0, caches)
    if share == 0.0:
        return likely
    average = expected_input(rates, ttl_s, prompt, warm.expected, 1.0, caches)
    return min(max(average, likely * (1.0 - share)), likely * (1.0 + share))


def running_cost(rates: Rates, ttl_s: int, context: int, new: int, output: int, requests: float) -> float:
    """USD of ``requests`` warm requests in a row (1: read the context, write what is new, answer); each adds its new blocks and
    its answer to the context of the next.

    From the second request on, the answer before it is written, not read (notes/cache.md 5a).
    """
    n, write, growth = requests, rates.write(ttl_s), new + output
    read = rates.cache_read * (n * context + growth * n * (n - 1) / 2 - output * (n - 1))
    return read + write * (new * n + output * (n - 1)) + rates.output * output * n


def break_even_requests(
    current: Rates,
    other: Rates,
    *,
    ttl_s: int,
    context: int,
    warm: int = 0,
    new: int = 1_500,
    output: int = 500,
    factor: float = 1.0,
    other_output: int | None = None,
    other_ttl_s: int | None = None,
    more: float = 1.0,
) -> float | None:
    """Requests of ``current`` until a lasting switch from it (warm) to ``other`` is repaid; 0: at once, None: never.

    ``factor``: tokens of ``other`` per token of ``current`` for the same text; ``warm``: tokens (its own) that ``other``
    still holds; ``more``: requests that it needs for the work of one. Solves running_cost(current) - more running_cost(other) =
    toll in closed form: both are quadratic in the number of requests, because the context grows.
    """
    o, o2 = output, round((output if other_output is None else other_output) * factor)
    c2, d2, ttl2 = round(context * factor), round(new * factor), ttl_s if other_ttl_s is None else other_ttl_s
    owed = toll(other, ttl2, c2, warm)
    if owed <= 0.0:
        return 0.0
    w, r, w2, r2 = current.write(ttl_s), current.cache_read, more * other.write(ttl2), more * other.cache_read
    square = (r * (new + o) - r2 * (d2 + o2)) / 2
    linear = (
        r * (context - (new + o) / 2 - o) + w * (new + o) + current.output * o
        - r2 * (c2 - (d2 + o2) / 2 - o2) - w2 * (d2 + o2) - more * other.output * o2
    )  # fmt: skip
    fixed = (r - w) * o - (r2 - w2) * o2 - owed
    return _smallest_root(square, linear, fixed)


def whole_requests(n: float | None) -> int | None:
    """A break-even point as people count it: the first request at which the switch has paid, at least 1."""
    return None if n is None else max(1, ceil(n - 1e-9))


def _smallest_root(square: float, linear: float, fixed: float) -> float | None:
    """The smallest positive n with square n^2 + linear n + fixed >= 0, or None; ``fixed`` is negative."""
    if fixed >= 0.0:
        return 0.0
    if abs(square) < 1e-18:
        return -fixed / linear if linear > 0.0 else None
    inside = linear * linear - 4.0 * square * fixed
    if inside < 0.0:
        return None
    root = sqrt(inside)
    found = [n for n in ((-linear + root) / (2 * square), (-linear - root) / (2 * square)) if n > 0.0]
    return min(found, default=None)


def excursion(
    home: Rates,
    away: Rates,
    *,
    ttl_s: int,
    context: int,
    requests: int,
    of: int,
    p_lapse: float,
    new: int = 1_500,
    output: int = 500,
    warm: int = 0,
) -> float:
    """USD that ``requests`` of ``of`` requests on ``away`` and the return cost above staying at ``home`` for all of them.

    Negative: it saves. ``p_lapse``: chance that the cache at home is gone on return; ``warm``: tokens that ``away`` holds. No
    return where nothing is left to do.
    """
    growth = requests * (new + output)
    there = toll(away, ttl_s, context, warm) + running_cost(away, ttl_s, context, new, output, requests)
    stay = running_cost(home, ttl_s, context, new, output, of)
    if requests >= of:
        return there - stay
    back = way_back(home, ttl_s, 1.0, growth, p_lapse, context)
    return there + back + running_cost(home, ttl_s, context + growth, new, output, of - requests) - stay


def longest_excursion(
    home: Rates, away: Rates, *, ttl_s: int, context: int, of: int, p_lapse: float, new: int = 1_500, output: int = 500,
    warm: int = 0,
) -> int:  # fmt: skip
    """After how many of ``of`` requests on ``away`` coming back is still cheaper than staying there for the rest; 0: never."""

    def cost(requests: int) -> float:
        return excursion(
            home, away, ttl_s=ttl_s, context=context, requests=requests, of=of, p_lapse=p_lapse, new=new, output=output, warm=warm
        )  # fmt: skip

    for_good = cost(of)
    return next((k for k in range(of - 1, 0, -1) if cost(k) < for_good), 0)


def compaction_toll(current: Rates, other: Rates, ttl_s: int, head: int, summary: int) -> float:
    """USD that moving right after a compaction costs above staying: the context drops out, ``head`` and ``summary`` remain.

    ``head``: tokens of tools and system text that ``current`` still reads. Negative: staying is what costs.
    """
    write = other.write(ttl_s)
    return (write - current.cache_read) * head + (write - current.write(ttl_s)) * summary


def keep_alive(rates: Rates, prompt: int, lifetimes: int) -> float:
    """USD of reading a prompt once per lifetime to keep it."""
    return rates.cache_read * prompt * lifetimes


def advice(advisor: Rates, executor: Rates, ttl_s: int, digest: int, answer: int, carried: int, requests: int) -> float:
    """USD of one consult: send ``digest`` tokens uncached, get ``answer`` tokens, carry ``carried`` of them from then on."""
    carry = executor.write(ttl_s) * carried + executor.cache_read * carried * max(0, requests - 1)
    return advisor.fresh * digest + advisor.output * answer + carry


def keep_alive_pays(rates: Rates, ttl_s: int, p_return: float) -> bool:
    """Whether reading a prefix once to keep it alive costs less than writing it again: P(return) > read / (write - read)."""
    saved = rates.write(ttl_s) - rates.cache_read
    return saved > 0.0 and p_return > rates.cache_read / saved
