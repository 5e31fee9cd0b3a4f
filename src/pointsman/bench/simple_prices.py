"""Simple predictors of a request's input bill, to stand beside ours: everything warm; a lifetime rule; all of it cacheable.

Each takes what is known before the request and returns the buckets it expects and its chance that the prefix is warm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from pointsman.core.types import Usage


class Known(NamedTuple):
    """``prompt`` and ``previous`` prompt tokens; seconds since the previous request began; the lifetime; characters."""

    prompt: int
    previous: int
    age_s: float
    ttl_s: int
    chars: int


def all_warm(known: Known) -> tuple[Usage, float]:
    """The previous prompt is read, whatever the clock says; the rest is written."""
    return _reading(known, min(known.previous, known.prompt)), 1.0


def ttl_rule(known: Known) -> tuple[Usage, float]:
    """The previous prompt is read within its lifetime, and nothing after it."""
    if known.age_s < known.ttl_s:
        return all_warm(known)
    return _reading(known, 0), 0.0


def whole_len4(known: Known) -> tuple[Usage, float]:
    """All of the prompt is read, at four characters a token and without any write: a published router's planner."""
    return Usage(cache_read=known.chars // 4), 1.0


def _reading(known: Known, read: int) -> Usage:
    rest = known.prompt - read
    return Usage(cache_read=read, cache_write=((known.ttl_s, rest),) if rest else ())


SIMPLE: Mapping[str, Callable[[Known], tuple[Usage, float]]] = {
    "all_warm": all_warm, "ttl_rule": ttl_rule, "whole_len4": whole_len4,
}  # fmt: skip
