"""What finished requests have taught about providers: how often a prefix is cold, which heads are warm, how fast models answer.

Theory of operation. One frozen value for all sessions of a user, folded from ``Finished`` events beside the sessions
themselves, so that a ledger rebuilds it. Counts are kept per provider and cell (``cache.cell``), heads per client, model
and tools, times per model. Nothing here is a rule: priors stay in data/ and weigh as much as they say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from pointsman.core import cache, sizes
from pointsman.core.abilities import NOTHING as UNSEEN
from pointsman.core.abilities import Abilities
from pointsman.core.book import Book
from pointsman.core.events import Finished
from pointsman.core.images import pictured
from pointsman.core.messages import Message
from pointsman.core.speeds import Speed
from pointsman.core.types import FIVE_MINUTES, HOUR, Place, Request, Usage
from pointsman.core.warmth import Head, Warmth

HEADS_KEPT = 64
"""Heads remembered, the latest touched: a user's clients, models and tool sets."""

WARM_KTOKENS, COLD_KTOKENS = 2.0, 10.0
"""A first token after at most this many thousand cold tokens times a warm prefix; after at least that many, a cold one."""

PRIOR_REQUESTS = 5.0
"""Requests that the prior of a time is worth."""

PRIOR_SWITCHES = 0.25
"""Switches, or counted bills, that the table's factor between two tokenizers is worth: it is good to 15 %, they show it to a few
per cent."""

COUNTED_FOR = "gpt-5.5"
"""A model whose own tokenizer (o200k) counts first requests; its counts are turned into others' by the factor between the two."""

HeadKey = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Times:
    """Sums over the timed requests of one model: seconds and how many of them, per part of an answer."""

    warm_n: int = 0
    warm_s: float = 0.0
    cold_n: int = 0
    cold_s: float = 0.0
    cold_ktokens: float = 0.0
    output_n: int = 0
    output_s: float = 0.0
    output_tokens: int = 0


LAPSE = ((HOUR, 0.028), (FIVE_MINUTES, 0.26))
"""P(a gap between turns outlasts the TTL): 2.8 % over 1 h, 26 % over 5 min in real sessions (DECISION.md 1), longest first."""

PRIOR_GAPS = 20.0
"""Gaps of the user's own that weigh as much as those figures (assumed)."""


@dataclass(frozen=True, slots=True)
class Learned:
    """``seen``: (warm, cold) counts per provider and cell; ``heads`` per (client, model, tools); ``times`` per model.

    ``abilities``: what outcomes have taught (``core.verdicts``). ``ratios`` of characters to tokens per model; ``factors``: per
    pair of models in alphabetical order, how often a switch has shown the tokens of the second per token of the first, and the
    sum of what was seen. ``counts`` per model: how often a first request that was counted has been billed, and the sum of its
    tokens per counted token. ``gaps``: the user's own, from the start of one turn's last request to the next turn's first: how
    many, and how many of them outlasted each TTL of ``LAPSE``.
    """

    seen: Mapping[str, Mapping[str, tuple[int, int]]] = field(default_factory=dict)
    heads: Mapping[HeadKey, Head] = field(default_factory=dict)
    times: Mapping[str, Times] = field(default_factory=dict)
    abilities: Abilities = UNSEEN
    ratios: Mapping[str, sizes.Ratios] = field(default_factory=dict)
    factors: Mapping[tuple[str, str], tuple[int, float]] = field(default_factory=dict)
    counts: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    gaps: tuple[int, ...] = (0,) * (1 + len(LAPSE))

    def lapse(self, ttl_s: int) -> float:
        """P(the next gap between turns outlasts ``ttl_s``): of the longest listed TTL that is not longer, and the user's own."""
        for (listed, prior), over in zip(LAPSE, self.gaps[1:], strict=True):
            if ttl_s >= listed:
                return (prior * PRIOR_GAPS + over) / (PRIOR_GAPS + self.gaps[0])
        return 1.0

    def factor(self, from_model: str, to_model: str, book: Book) -> float:
        """Tokens on ``to_model`` per token on ``from_model`` for the same text: the table's, moved by switches between them."""
        table = book.token_factor(from_model, to_model)
        if from_model == to_model or not self.factors:
            return table
        turned = from_model > to_model
        n, total = self.factors.get((to_model, from_model) if turned else (from_model, to_model), (0, 0.0))
        if not n:
            return table
        found = ((1.0 / table if turned else table) * PRIOR_SWITCHES + total) / (PRIOR_SWITCHES + n)
        return 1.0 / found if turned else found

    def counted(self, request: Request, model: str, book: Book) -> float | None:
        """Text tokens of a counted request on ``model``; None where it was not counted, or characters tell as much.

        Where the tokenizer is the model's own the count is exact for texts. For another model it is good to 15 % by the table,
        which is no better than characters (``bench tokens``), until one counted request has been billed there.
        """
        if not request.counted:
            return None
        table = book.token_factor(COUNTED_FOR, model)
        n, total = self.counts.get(model, (0, 0.0))
        if not n and table != 1.0:
            return None
        return request.counted * (table * PRIOR_SWITCHES + total) / (PRIOR_SWITCHES + n)

    def head(self, request: Request, model: str) -> Head | None:
        """The head that other lanes and sessions of this client have left warm on ``model``, or None."""
        return self.heads.get(_head_key(request, model))

    def speed(self, model: str, prior: Speed) -> Speed:
        """How fast ``model`` answers: ``prior``, moved by what was timed; the source says how often."""
        times = self.times.get(model)
        return prior if times is None else _speed(times, prior)


NOTHING = Learned()


@lru_cache(maxsize=256)
def _speed(times: Times, prior: Speed) -> Speed:
    """``prior`` moved by ``times``: the same at every request until the next answer is timed."""
    warm = _mean(prior.ttft_s_warm, times.warm_s, times.warm_n)
    extra = max(0.0, times.cold_s - warm * times.cold_n)
    mean_k = times.cold_ktokens / times.cold_n if times.cold_n else 0.0
    cold = (
        (prior.ttft_s_per_ktoken_cold * PRIOR_REQUESTS * mean_k + extra) / (PRIOR_REQUESTS * mean_k + times.cold_ktokens)
        if mean_k else prior.ttft_s_per_ktoken_cold
    )  # fmt: skip
    mean_tokens = times.output_tokens / times.output_n if times.output_n else 0.0
    tokens = PRIOR_REQUESTS * mean_tokens + times.output_tokens
    seconds = PRIOR_REQUESTS * mean_tokens / prior.output_tps + times.output_s
    said = f"{times.warm_n + times.cold_n} first tokens and {times.output_n} answers timed here; prior: {prior.source}"
    return Speed(warm, cold, tokens / seconds if seconds > 0 else prior.output_tps, said)


def _mean(prior: float, total: float, n: int) -> float:
    return (prior * PRIOR_REQUESTS + total) / (PRIOR_REQUESTS + n)


def after(
    learned: Learned, request: Request, place: Place, held: Warmth | None, event: Finished, book: Book,
    text: tuple[sizes.Chars, int] | None = None,
) -> Learned:  # fmt: skip
    """``learned`` after ``event`` ended ``request``, whose config held ``held`` when it was decided.

    ``request.messages`` is the full list; ``text``: characters by kind that the bill showed to be so many tokens. Errors and
    bills of nothing teach nothing.
    """
    usage, served = event.usage, event.served
    if usage is None or served is None or usage.prompt <= 0 or event.status >= 400:
        return learned
    learned = replace(
        learned,
        heads=_heads(learned.heads, request, served.model, held, event, usage),
        times=timed(learned.times, served.model, event, usage), gaps=_gaps(learned.gaps, place),
    )
    if text is not None:
        known = learned.ratios.get(served.model) or sizes.prior(book.chars_per_token(served.model))
        learned = replace(learned, ratios={**learned.ratios, served.model: sizes.learn(known, *text)})
    if held is None:
        return learned
    rule = book.rule(served.model)
    moment = cache.moment_of(_new(request, place), place.new_turn)
    warm = cache.predict(held, request, usage.prompt, rule, event.started, moment)
    hit = cache.was_warm(warm, held.prompt, usage)
    if hit is None or warm.cell is None:
        return learned
    return replace(learned, seen=_counted(learned.seen, rule.provider, warm.cell, hit))


def _gaps(gaps: tuple[int, ...], place: Place) -> tuple[int, ...]:
    """``gaps`` with the pause before a turn of a person's: between turns of the main lane that went on from each other."""
    pause = place.gap_s
    if place.kind != "main" or not place.new_turn or pause is None or place.relation not in ("continue", "resume"):
        return gaps
    return (gaps[0] + 1, *[n + (pause >= ttl_s) for n, (ttl_s, _) in zip(gaps[1:], LAPSE, strict=True)])


def learned_factor(
    learned: Learned, old: str | None, last: Usage | None, request: Request, kept: int, before: int, event: Finished, book: Book
) -> Learned:
    """``learned`` after a bill that may be the first since a switch from ``old``, billed ``last``: the same text, new tokens."""
    usage, served = event.usage, event.served
    if usage is None or last is None or served is None or not last.complete or event.status >= 400 or not kept or kept < before:
        return learned
    new = served.model
    said, heard = sizes.answer_of(request.messages[kept:])
    if old is None or old == new or not said or any("thinking" in m.facts for m in request.messages):
        return learned  # reasoning of another model is not read, and not billed
    known = learned.ratios.get(new) or sizes.prior(book.chars_per_token(new))
    seen = (usage.prompt - known.tokens(sizes.chars_of(heard))) / (last.prompt + last.output)
    if not 0.5 < seen < 2.0:
        return learned  # something else changed with the model: its tools, or its history
    key, value = ((old, new), seen) if old < new else ((new, old), 1.0 / seen)
    n, total = learned.factors.get(key, (0, 0.0))
    return replace(learned, factors={**learned.factors, key: (n + 1, total + value)})


def learned_count(learned: Learned, request: Request, event: Finished, book: Book) -> Learned:
    """``learned`` after the bill of a first request that was counted: how many tokens its model has for a counted one."""
    usage, served = event.usage, event.served
    if not request.counted or usage is None or served is None or usage.prompt <= 0 or event.status >= 400:
        return learned
    seen = (usage.prompt - pictured(request.messages, book.images(served.model))) / request.counted
    if not 0.5 < seen < 2.0:
        return learned  # something else was billed with it
    n, total = learned.counts.get(served.model, (0, 0.0))
    return replace(learned, counts={**learned.counts, served.model: (n + 1, total + seen)})


def _new(request: Request, place: Place) -> tuple[Message, ...]:
    return request.messages[place.kept :]


def _counted(
    seen: Mapping[str, Mapping[str, tuple[int, int]]], provider: str, where: str, hit: bool
) -> Mapping[str, Mapping[str, tuple[int, int]]]:
    mine = seen.get(provider, {})
    warm, cold = mine.get(where, (0, 0))
    return {**seen, provider: {**mine, where: (warm + hit, cold + (not hit))}}


def _head_key(request: Request, model: str) -> HeadKey:
    """Heads are shared by a client's sessions with the same tools, on the same model at the same speed."""
    return (request.client, f"{model} {request.speed}" if request.speed else model, request.tools)


def _heads(
    heads: Mapping[HeadKey, Head], request: Request, model: str, held: Warmth | None, event: Finished, usage: Usage
) -> Mapping[HeadKey, Head]:
    """A request that read or wrote touches its head; a first or cold one says how long the head is."""
    key = _head_key(request, model)
    old = heads.get(key)
    ttl_s = event.ttl_s or FIVE_MINUTES
    tokens = cache.head_read(held, request, usage) or (old.tokens if old else 0)
    if not tokens or not usage.cache_read + usage.written:
        return heads
    if old is not None and old.touched + old.ttl_s > event.started + ttl_s:
        return heads
    kept = heads
    if old is None and len(heads) >= HEADS_KEPT:
        oldest = min(heads, key=lambda name: heads[name].touched)
        kept = {name: head for name, head in heads.items() if name != oldest}
    return {**kept, key: Head(tokens, event.started, ttl_s)}


def timed(times: Mapping[str, Times], model: str, event: Finished, usage: Usage) -> Mapping[str, Times]:
    """Time a finished answer; one without a first byte, that was cut, or whose clock jumped back teaches nothing."""
    first = event.first_byte
    if first is None or first < event.started or event.ended < first or not usage.complete:
        return times
    old = times.get(model, Times())
    waited, cold = first - event.started, (usage.prompt - usage.cache_read) / 1000.0
    if cold <= WARM_KTOKENS:
        old = replace(old, warm_n=old.warm_n + 1, warm_s=old.warm_s + waited)
    elif cold >= COLD_KTOKENS:
        old = replace(
            old, cold_n=old.cold_n + 1, cold_s=old.cold_s + waited, cold_ktokens=old.cold_ktokens + cold
        )  # fmt: skip
    said = usage.output + usage.reasoning
    if event.ended > first and said >= 20:
        old = replace(
            old, output_n=old.output_n + 1, output_s=old.output_s + event.ended - first, output_tokens=old.output_tokens + said
        )  # fmt: skip
    return {**times, model: old}
