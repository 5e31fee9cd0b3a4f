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

from pointsman.core.types import Message, Request, Usage

CHARS_PER_TOKEN = 3.6
"""Characters on the wire per token before anything was learned: JSON with code, o200k and Claude up to 4.6."""

COLD_TURN_START, COLD_IN_TURN = 0.10, 0.007
"""Share of requests that were cold although the lifetime had not passed (DECISION.md 2: 1,576 real turns)."""

_CHUNK = 64


@dataclass(frozen=True, slots=True)
class CacheRule:
    """How one provider caches prompts. Times in seconds, lengths in tokens.

    ``ttl_s`` is the default lifetime and ``ttls`` all that are sold; ``writes`` holds (lifetime, multiple of the fresh
    price). ``explicit``: only marked prefixes are kept, and surely gone after the lifetime; otherwise the provider
    decides and warmth fades with ``half_life_s`` once ``ttl_s`` has passed. ``p_hit`` is the chance that an automatic
    cache is used at all. ``lookback``: how many messages before its mark a request finds an older entry (0: no limit).
    ``block``: prefixes count in whole blocks. ``refresh``: a read restarts the lifetime.
    """

    provider: str
    ttl_s: int = 300
    ttls: tuple[int, ...] = (300,)
    min_tokens: int = 1024
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

    ``cached``: tokens read or written by the last request; ``prompt``: all its input tokens; ``chars``: its size on the
    wire; ``touched``: epoch seconds at which it started; ``ttl_s``: how long the provider keeps it from then on.
    """

    messages: tuple[Message, ...]
    tools: int
    system: int
    head_chars: int
    chars: int
    prompt: int
    cached: int
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
    """How many leading messages are the same text; cache marks may have moved."""
    limit = min(len(old), len(new))
    at = 0
    while at < limit:
        end = min(at + _CHUNK, limit)
        if old[at] is new[at] and old[at:end] == new[at:end]:
            at = end
            continue
        for index in range(at, end):
            if old[index] is not new[index] and old[index].hash != new[index].hash:
                return index
        at = end
    return limit


def touch(old: Warmth | None, request: Request, usage: Usage, started: float, ttl_s: int) -> Warmth:
    """What the provider holds after it billed ``usage`` for ``request``, which started at ``started``.

    A request that cached nothing (below the minimum, no mark) leaves what was there before.
    """
    cached = usage.cache_read + usage.written
    if old is not None and not cached and old.cached and started < old.touched + old.ttl_s:
        return old
    return Warmth(
        messages=request.messages,
        tools=request.tools,
        system=request.system,
        head_chars=request.head_chars,
        chars=request.chars,
        prompt=usage.prompt,
        cached=cached,
        touched=started,
        ttl_s=ttl_s,
    )


def predict(
    warmth: Warmth | None, request: Request, prompt: int, rule: CacheRule, now: float, new_turn: bool
) -> Warm:
    """The prefix of ``request`` (``prompt`` tokens) that the provider will read from its cache."""
    if warmth is None or prompt < rule.min_tokens:
        return COLD
    tokens = min(_shared(warmth, request, rule), prompt)
    tokens -= tokens % rule.block
    if tokens < rule.min_tokens or tokens <= 0:
        return COLD
    age = max(0.0, now - warmth.touched)
    p = _alive(age, warmth.ttl_s, rule)
    if p <= 0.0:
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

    Other tools or another system text lose everything: their own share is unknown, and clients put no mark between.
    """
    if warmth.tools != request.tools or warmth.system != request.system:
        return 0
    held = warmth.cached if rule.explicit or rule.writes else warmth.prompt
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
    """Prompt tokens of ``request`` on ``model``: what was billed last plus the new characters, never a tokenizer."""
    if last is None or last_model is None or not kept:
        return max(1, round(request.chars / chars_per_token.get(model, prior)))
    ratio = chars_per_token.get(last_model, prior)
    new = request.messages[kept:]
    tokens = float(last.prompt)
    answered = False
    for message in new:
        if message.role == "assistant" and not answered:
            answered = True
            tokens += last.output + last.reasoning
        else:
            tokens += message.chars / ratio
    return max(1, round(tokens * (factor if last_model != model else 1.0)))


def learn_ratio(ratio: float | None, chars: int, tokens: int, prior: float = CHARS_PER_TOKEN) -> float:
    """Characters per token after seeing ``chars`` billed as ``tokens``; moves by half, stays within 1 to 12."""
    old = prior if ratio is None else ratio
    if chars <= 0 or tokens <= 0:
        return old
    seen = min(12.0, max(1.0, chars / tokens))
    return old + 0.5 * (seen - old)
