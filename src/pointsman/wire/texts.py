"""What kind of text a message holds (code, JSON, logs, prose), told from a sample: kinds differ in characters per token."""

from __future__ import annotations

from typing import Literal

TextKind = Literal["prose", "code", "json", "logs"]

SAMPLE = 800
"""Characters looked at from the start and from the middle of a text: a listing's head often differs from its body."""

MANY_DIGITS, MANY_MARKS = 0.14, 0.05
"""Share of digits from which a text counts as a log (times, sizes, hashes), and of brackets and operators as code. Files of a
Linux machine: logs and listings have 15 to 40 % digits, sources with line numbers under 12; sources 5 to 12 % marks, prose
under 3."""


def kind_of(text: str) -> TextKind:
    """The kind of ``text``; a few microseconds whatever its length."""
    sample = text[:SAMPLE]
    if len(text) > 4 * SAMPLE:
        middle = len(text) // 2
        sample += text[middle : middle + SAMPLE]
    start, size = sample.lstrip()[:1], max(1, len(sample))
    if start and start in "{[" and sample.count('":') + sample.count('" :') > size / 200:
        return "json"
    if sum(map(sample.count, "0123456789")) > MANY_DIGITS * size:
        return "logs"
    if sum(map(sample.count, "(){};=<>")) > MANY_MARKS * size:
        return "code"
    return "prose"


class Mix:
    """Characters of one message that are code, JSON and logs; the rest is prose."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: dict[TextKind, int] = {}

    def add(self, text: str) -> None:
        """Count ``text`` under its kind."""
        if text:
            kind = kind_of(text)
            self.counts[kind] = self.counts.get(kind, 0) + len(text)

    def split(self) -> tuple[int, int, int] | tuple[()]:
        """Code, JSON and log characters; empty where all is prose."""
        found = self.counts
        if not found or (len(found) == 1 and "prose" in found):
            return ()
        return (found.get("code", 0), found.get("json", 0), found.get("logs", 0))
