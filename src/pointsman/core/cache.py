"""Which part of a prompt a provider still holds, and how many tokens the prompt has.

Theory of operation. A provider keeps the prefix of a prompt for a while after the *start* of the request that wrote or
read it. For each config of a lane we keep one ``Warmth``: the messages of its last request, the tokens its provider
billed, and when. ``predict`` compares it with a new request: what is common from the start, inside the lifetime and above
the provider's minimum, is warm with some probability; the rest must be written again. ``touch`` re-anchors on the billed
figures, so that estimates never build on estimates. Nothing here tokenizes: a prompt is what the provider billed last
plus the characters that were added since, over a ratio learned per model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pointsman.core.types import FIVE_MINUTES, Message, Request, Usage

CHARS_PER_TOKEN = 3.3
"""Characters of JSON on the wire per token of Claude up to 4.6, before anything was learned.

Median over 839 requests of 24 real Claude Code sessions (entireio/cli, MIT; 80 % lie between 2.3 and 4.2), November 2026.
``Book.chars_per_token`` gives it for other tokenizers.
"""

COLD_TURN_START, COLD_IN_TURN = 0.10, 0.007
"""Share of requests that were cold although the lifetime had not passed (DECISION.md 2: 1,576 real turns)."""

_CHUNK = 64


@dataclass(frozen=True, slots=True)
class CacheRule:
    """How one provider caches prompts. Times in seconds, lengths in tokens.

    ``ttl_s`` is the default lifetime and ``ttls`` all that are sold; ``writes`` holds (lifetime, multiple of the fresh
    price). ``explicit``: only marked prefixes are kept, and surely gone after the lifetime; otherwise the provider
    decides, and once ``ttl_s`` has passed warmth halves every ``half_life_s``. ``p_hit``: chance that an automatic cache
    is used at all. ``lookback``: how many messages before its mark a request finds an older entry (0: no limit).
    ``block``: prefixes count in whole blocks. ``refresh``: a read restarts the lifetime.
    """

    provider: str
    ttl_s: int = FIVE_MINUTES
    ttls: tuple[int, ...] = (FIVE_MINUTES,)
    min_tokens: int = 1_024
    block: int = 1
    refresh: bool = True
    explicit: bool = True
    writes: tuple[tuple[int, float], ...] = ()
    lookback: int = 0
    p_hit: float = 1.0
    half_life_s: float = 0.0
    p_cold_turn_start: float = COLD_TURN_START
    p_cold_in_turn: float = COLD_IN_TURN
    source: str = ""


@dataclass(frozen=True, slots=True)
class Warmth:
    """What a provider holds for one config in one lane, as last billed.

    ``cached``: tokens that the last request read or wrote, ``written`` those it wrote; ``prompt``: all its input tokens;
    ``chars``: its size on the wire, ``head_chars`` that of tools and system; ``touched``: epoch seconds at which it
    *started*; ``ttl_s``: how long the provider keeps it from then on.
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


@dataclass(frozen=True, slots=True)
class Warm:
    """The expected hit: ``tokens`` of warm prefix with probability ``p``; cold for sure after ``until`` (epoch seconds)."""

    tokens: int = 0
    p: float = 0.0
    until: float | None = None


COLD = Warm()


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


def touch(old: Warmth | None, request: Request, usage: Usage, started: float, ttl_s: int) -> Warmth:
    """What the provider holds after it billed ``usage`` for ``request``, which started at ``started``.

    The billed figures replace every estimate. A Messages request without a cache mark leaves what was there before.
    """
    cached = usage.cache_read + usage.written
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
    )


def predict(warmth: Warmth | None, request: Request, prompt: int, rule: CacheRule, now: float, new_turn: bool) -> Warm:
    """The prefix of ``request`` (``prompt`` tokens of this model) that its provider will read from the cache.

    ``new_turn``: the request begins a turn; those are cold more often. A clock that jumped back counts as no time passed.
    A request without a mark reads nothing from a marked cache.
    """
    if warmth is None or prompt < rule.min_tokens or (rule.explicit and request.ttl_s is None):
        return COLD
    age = max(0.0, now - warmth.touched)
    p = _alive(age, warmth.ttl_s, rule)
    if p <= 0.0:
        return COLD
    tokens = min(_shared(warmth, request, rule), prompt)
    tokens -= tokens % rule.block
    if tokens < rule.min_tokens or tokens <= 0:
        return COLD
    p *= rule.p_hit * (1.0 - (rule.p_cold_turn_start if new_turn else rule.p_cold_in_turn))
    until = min(now, warmth.touched) + warmth.ttl_s if rule.explicit else None
    return Warm(tokens, p, until)


def _alive(age: float, ttl_s: int, rule: CacheRule) -> float:
    """Probability that an entry last used ``age`` seconds ago still exists."""
    if age < ttl_s:
        return 1.0
    if rule.explicit or rule.half_life_s <= 0:
        return 0.0
    return float(0.5 ** ((age - ttl_s) / rule.half_life_s))


def _shared(warmth: Warmth, request: Request, rule: CacheRule) -> int:
    """Tokens of the common prefix that the provider can find again.

    Other tools lose everything. So does another system text: what tools alone hold is unknown, and clients put their
    marks after both. Where the history differs, billed tokens are shared out by characters. Past the look-back of a
    marked cache only the mark on the system text is found.
    """
    if warmth.tools != request.tools or warmth.system != request.system:
        return 0
    held = warmth.cached if rule.explicit or warmth.written else warmth.prompt
    same = common(warmth.messages, request.messages)
    if rule.lookback and len(request.messages) - same > rule.lookback:
        same = 0
    if same == len(warmth.messages) or not warmth.chars:
        return held
    chars = warmth.head_chars + sum(message.chars for message in warmth.messages[:same])
    return min(held, warmth.prompt * chars // warmth.chars)


def prompt_tokens(
    request: Request,
    kept: int,
    last: Usage | None,
    last_model: str | None,
    model: str,
    chars_per_token: Mapping[str, float],
    factor: float = 1.0,
    *,
    prior: float = CHARS_PER_TOKEN,
    before: int | None = None,
) -> int:
    """Prompt tokens of ``request`` on ``model``: what was billed last plus the new characters; never a tokenizer.

    ``kept``: leading messages shared with the lane's last request, which had ``before`` messages and was billed ``last``
    on ``last_model``. ``chars_per_token``: learned per model; ``prior`` where it has none. ``factor``: tokens of ``model``
    per token of ``last_model``. The answer that was billed last is the first new assistant message: its output tokens
    count, not its characters. A fork (fewer kept than ``before``) and a first request go by characters alone.
    """
    if last is None or last_model is None or not kept or not last.prompt:
        return max(1, round(request.chars / chars_per_token.get(model, prior)))
    ratio = chars_per_token.get(last_model, prior * factor if last_model != model else prior)
    new = request.messages[kept:]
    if before is not None and kept < before:
        tokens = min(float(last.prompt), (request.chars - sum(m.chars for m in new)) / ratio)
    else:
        tokens = float(last.prompt)
    answered = before is not None and kept < before
    for message in new:
        if message.role == "assistant" and not answered:
            answered = True
            tokens += last.output + (last.reasoning if "thinking" in message.facts else 0)
        else:
            tokens += message.chars / ratio
    return max(1, round(tokens * (factor if last_model != model else 1.0)))


def learn_ratio(ratio: float | None, chars: int, tokens: int, prior: float = CHARS_PER_TOKEN) -> float:
    """Characters per token after seeing ``chars`` billed as ``tokens``.

    The first whole prompt replaces the prior; later ones move it by half. Kept within 1 to 12, so that one odd bill (an
    image, a redacted block) cannot spoil it; a bill of no tokens teaches nothing.
    """
    if chars <= 0 or tokens <= 0:
        return prior if ratio is None else ratio
    seen = min(12.0, max(1.0, chars / tokens))
    return seen if ratio is None else ratio + 0.5 * (seen - ratio)
