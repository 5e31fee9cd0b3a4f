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
    ``each`` per square of ``side`` pixels (0: none), at most ``most``. ``unknown``: an image whose size cannot be seen.
    ``page``: one page of a document. Every rule is in data/targets.toml, with the page of its vendor that it was read from.
    """

    long_edge: int = 0
    short_edge: int = 0
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
        found = self.base + (self._squares(width * fit, height * fit) * self.each if self.side else 0.0)
        return max(1, round(min(found, self.most) if self.most else found))

    def _squares(self, width: float, height: float) -> int:
        """Squares that cover the image; one with too many is scaled down until they fit, by the formula of OpenAI's guide."""
        wide, high = width / self.side, height / self.side
        squares = _covering(wide, high)
        limit = (self.most - self.base) / self.each if self.most else 0.0
        if limit and squares > limit:
            shrink = sqrt(limit / (wide * high))
            wide, high = wide * shrink, high * shrink
            whole = min(int(wide + 1e-9) / wide, int(high + 1e-9) / high) or 1.0  # a strip one square high stays as it is
            squares = _covering(wide * whole, high * whole)
        return max(1, squares)


def _covering(wide: float, high: float) -> int:
    return ceil(wide - 1e-9) * ceil(high - 1e-9)


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
    if values:
        return ImageRule(**values)
    return ImageRule(base=ImageRule().unknown, source="no rule is known: about the largest standard image of Anthropic")
