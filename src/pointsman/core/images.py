"""How many tokens an image or a page of a document is billed as, by its provider's rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Any

from pointsman.core.messages import Message


@dataclass(frozen=True, slots=True)
class ImageRule:
    """One provider's rule; lengths in pixels.

    An image is first scaled down to fit ``long_edge`` and ``short_edge`` (0: no limit). Then it counts ``base`` tokens, and
    either one token per ``area`` pixels, or ``each`` per square of ``side`` pixels; at most ``most``. ``unknown``: an image
    whose size cannot be seen. ``page``: one page of a document.
    """

    long_edge: int = 0
    short_edge: int = 0
    area: float = 0.0
    side: int = 0
    each: float = 1.0
    base: int = 0
    most: int = 0
    unknown: int = 1_600
    page: int = 2_000
    source: str = ""

    def tokens(self, width: int, height: int) -> int:
        """Tokens of an image of this size."""
        if width <= 0 or height <= 0:
            return self.unknown
        fit = min(
            1.0, self.long_edge / max(width, height) if self.long_edge else 1.0,
            self.short_edge / min(width, height) if self.short_edge else 1.0,
        )  # fmt: skip
        if self.area:
            found = width * height * fit * fit / self.area
        else:
            found = self._squares(width * fit, height * fit) * self.each
        found += self.base
        return max(1, round(min(found, self.most) if self.most else found))

    def _squares(self, width: float, height: float) -> int:
        """Squares that cover the image; one with too many is scaled down until they fit."""
        squares = ceil(width / self.side - 1e-9) * ceil(height / self.side - 1e-9)
        limit = (self.most - self.base) / self.each if self.most else 0.0
        if limit and squares > limit:
            shrink = sqrt(limit * self.side * self.side / (width * height))
            squares = int(width * shrink / self.side) * int(height * shrink / self.side)
        return max(1, squares)


def pictured(messages: Iterable[Message], rule: ImageRule) -> int:
    """Tokens of all images and pages in ``messages``."""
    total = 0
    for message in messages:
        if message.images:
            total += sum([rule.tokens(*size) for size in message.images])
        total += message.pages * rule.page
    return total


def read_rule(row: Mapping[str, Any] | None) -> ImageRule:
    """The rule of a row of data/targets.toml; a plain 1,600 tokens an image where no row fits."""
    values = {key: value for key, value in (row or {}).items() if key != "models"}
    return ImageRule(**values) if values else ImageRule(source="no rule is known: as the largest standard image of Anthropic")
