"""A provider's usage object as ``Usage``: disjoint buckets, every token in exactly one.

Theory of operation
    The vendors disagree on what "input" means. Anthropic's ``input_tokens`` is only what follows the last cache mark, so
    the prompt is the sum of three fields. OpenAI's and Gemini's totals include what was read from and written to a
    cache, so fresh tokens are what remains after subtraction. The same holds for reasoning within output, but for xAI:
    only its total holds reasoning (docs.x.ai, consumption and rate limits). All of that is settled here, once; nobody
    downstream adds or subtracts a bucket again. A figure that cannot be true (negative, or a part larger than its whole)
    is a WireError that names the field: a wrong bill is worse than none.

Sources: the vendors' API references and SDK types as gathered in November 2026 (design notes, cache.md 1.1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pointsman.core.types import FIVE_MINUTES, HALF_DAY, HALF_HOUR, HOUR, Protocol, Usage
from pointsman.errors import WireError

EXTRA_KINDS = frozenset({"advisor_message", "compaction"})
"""Iterations that Anthropic bills beside the totals (SDK type docs: not included in the top-level fields).

``message`` and ``fallback_message`` iterations describe the answer that the totals already count.
"""


MOST = 1_000_000_000_000
"""Above this a count is broken, not large: windows end at a few million tokens; sums of such figures overflow."""


def usage(protocol: Protocol, payload: Mapping[str, Any]) -> Usage:
    """The usage object of ``protocol`` as disjoint token counts. Raises WireError naming a field that cannot be true."""
    if not isinstance(payload, Mapping):
        raise WireError(f"the usage of a {protocol} answer is {type(payload).__name__}, not an object")
    return _READERS[protocol](payload)


def reports(protocol: Protocol, payload: object) -> bool:
    """True when ``payload`` says anything about tokens: an absent usage, or one of zeros alone, is unknown, not free."""
    return isinstance(payload, Mapping) and any(payload.get(name) for name in _TOTALS[protocol])


def _messages(payload: Mapping[str, Any]) -> Usage:
    """Anthropic Messages: three disjoint input fields; lifetimes of writes in ``cache_creation`` when given."""
    iterations = payload.get("iterations")
    extra = []
    if isinstance(iterations, list):
        for item in iterations:
            if isinstance(item, Mapping) and str(item.get("type")) in EXTRA_KINDS:
                extra.append((str(item.get("model") or ""), _anthropic_buckets(item)))
    searches = _count(_details(payload, "server_tool_use"), "web_search_requests")
    return replace(_anthropic_buckets(payload), extra=tuple(extra), searches=searches)


def _anthropic_buckets(payload: Mapping[str, Any]) -> Usage:
    split = _details(payload, "cache_creation")
    five, hour = _count(split, "ephemeral_5m_input_tokens"), _count(split, "ephemeral_1h_input_tokens")
    written = _total(payload, "cache_creation_input_tokens", five + hour)
    if written < five + hour:
        raise WireError(f"usage.cache_creation adds up to {five + hour}, more than cache_creation_input_tokens {written}")
    if written > five + hour:  # a sum without its lifetimes: the default lifetime
        five = written - hour
    output = _count(payload, "output_tokens")
    thinking = _part(_details(payload, "output_tokens_details"), "thinking_tokens", output, "output_tokens")
    return Usage(
        fresh=_count(payload, "input_tokens"),
        cache_read=_count(payload, "cache_read_input_tokens"),
        cache_write=_writes((FIVE_MINUTES, five), (HOUR, hour)),
        output=output - thinking,
        reasoning=thinking,
    )


def _chat(payload: Mapping[str, Any]) -> Usage:
    """OpenAI Chat Completions and its many compatible servers.

    What was read stands in the details, or beside the totals: DeepSeek's ``prompt_cache_hit_tokens``, Kimi's ``cached_tokens``
    (platform.kimi.ai, chat).
    """
    details = _details(payload, "prompt_tokens_details")
    places = ((details, "cached_tokens"), (payload, "prompt_cache_hit_tokens"), (payload, "cached_tokens"))
    read = next(((place, name) for place, name in places if place.get(name) is not None), None)
    cached = _count(*read) if read is not None else 0
    found = _inclusive(payload, "prompt_tokens", "completion_tokens", details, cached, "completion_tokens_details")
    told = read is not None or "cached_tokens" in details or bool(found.cache_write)
    return found if told else replace(found, cache_reported=False)


def _responses(payload: Mapping[str, Any]) -> Usage:
    """OpenAI Responses: ``input_tokens`` includes what was read and written."""
    details = _details(payload, "input_tokens_details")
    cached = _count(details, "cached_tokens")
    found = _inclusive(payload, "input_tokens", "output_tokens", details, cached, "output_tokens_details")
    return found if "cached_tokens" in details or found.cache_write else replace(found, cache_reported=False)


def _inclusive(
    payload: Mapping[str, Any], prompt_name: str, output_name: str, details: Mapping[str, Any], cached: int, output_details: str
) -> Usage:
    """Buckets from totals that include their parts."""
    prompt, output = _count(payload, prompt_name), _count(payload, output_name)
    writes = _openai_writes(details)
    written = sum(tokens for _, tokens in writes)
    if cached + written > prompt:
        raise WireError(f"usage says {cached} cached and {written} written tokens of only {prompt} {prompt_name}")
    thinking = _details(payload, output_details)
    beside = _count(thinking, "reasoning_tokens")
    if beside and payload.get("total_tokens") == prompt + output + beside:  # xAI: the sum says that output leaves it out
        output += beside
    reasoning = _part(thinking, "reasoning_tokens", output, output_name)
    return Usage(prompt - cached - written, cached, writes, output - reasoning, reasoning)


def _openai_writes(details: Mapping[str, Any]) -> tuple[tuple[int, int], ...]:
    """Cache writes by lifetime: 30 minutes or 12 hours; a sum alone is the default, 30 minutes."""
    split = _details(details, "cache_write_tokens_details")
    half_hour, half_day = _count(split, "ttl_30m_tokens"), _count(split, "ttl_12h_tokens")
    written = _total(details, "cache_write_tokens", half_hour + half_day)
    if written < half_hour + half_day:
        raise WireError(
            f"usage.cache_write_tokens_details adds up to {half_hour + half_day}, more than cache_write_tokens {written}"
        )
    if written > half_hour + half_day:
        half_hour = written - half_day
    return _writes((HALF_HOUR, half_hour), (HALF_DAY, half_day))


def _gemini(payload: Mapping[str, Any]) -> Usage:
    """Gemini: the prompt includes cached content; thoughts come beside the candidates, not inside them."""
    prompt = _count(payload, "promptTokenCount") + _count(payload, "toolUsePromptTokenCount")
    cached = _part(payload, "cachedContentTokenCount", prompt, "promptTokenCount")
    output, thoughts = _count(payload, "candidatesTokenCount"), _count(payload, "thoughtsTokenCount")
    return Usage(fresh=prompt - cached, cache_read=cached, output=output, reasoning=thoughts)


def _count(payload: Mapping[str, Any], name: str) -> int:
    """A token count: absent and null are 0; anything but a whole number from 0 up is a WireError."""
    value = payload.get(name)
    if value is None:
        return 0
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise WireError(f"usage.{name} is {value!r}, not a number of tokens")
    if value < 0:
        raise WireError(f"usage.{name} is {value}: a number of tokens cannot be negative")
    if value > MOST:
        raise WireError(f"usage.{name} is over {MOST:,}: no request has so many tokens")
    return value


def _total(payload: Mapping[str, Any], name: str, parts: int) -> int:
    """A total, or the sum of its parts where the total itself is not given."""
    return parts if payload.get(name) is None else _count(payload, name)


def _part(payload: Mapping[str, Any], name: str, whole: int, whole_name: str) -> int:
    value = _count(payload, name)
    if value > whole:
        raise WireError(f"usage.{name} is {value}, more than {whole_name} {whole} that should include it")
    return value


def _details(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = payload.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise WireError(f"usage.{name} is {type(value).__name__}, not an object")
    return value


def _writes(*pairs: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    return tuple((ttl, tokens) for ttl, tokens in pairs if tokens)


_READERS: Mapping[Protocol, Callable[[Mapping[str, Any]], Usage]] = {
    "messages": _messages,
    "chat": _chat,
    "responses": _responses,
    "gemini": _gemini,
}

_TOTALS: Mapping[Protocol, tuple[str, ...]] = {
    "messages": ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"),
    "chat": ("prompt_tokens", "completion_tokens"),
    "responses": ("input_tokens", "output_tokens"),
    "gemini": ("promptTokenCount", "candidatesTokenCount", "totalTokenCount"),
}
