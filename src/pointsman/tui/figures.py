"""Figures and coloured text for people: money, tokens, seconds, and lines made of styled segments. Standard library only.

Every figure on screen is billed (plain) or modelled (``≈``); ``–`` is unknown, never 0. A signed net is plus when it was
saved against the asked model and minus when it was spent on top. Style names mean the same in the terminal screens and
in plain ANSI output, and only sixteen colours are used; colour repeats what glyph and position already say.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from pointsman.core.types import Config

UNKNOWN = "–"
BARS = "▁▂▃▄▅▆▇█"

Style = Literal["", "dim", "bold", "good", "bad", "warn", "accent", "title", "asked", "ran", "pinned"]

ANSI: Mapping[Style, str] = {
    "dim": "2", "bold": "1", "good": "32", "bad": "31", "warn": "33", "accent": "36", "title": "1;36", "asked": "2",
    "ran": "1;32", "pinned": "1;35",
}  # fmt: skip
"""SGR parameters of each style: the sixteen colours that every terminal theme defines."""


class Segment(NamedTuple):
    """A piece of text in one style."""

    text: str
    style: Style = ""


Line = tuple[Segment, ...]


def many(n: int, what: str) -> str:
    """A count and its noun: ``1 run``, ``2,821 requests``."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def line_of(*parts: str | Segment | tuple[str, Style]) -> Line:
    """A line from strings (unstyled), segments and (text, style) pairs; empty pieces are left out."""
    made = (Segment(part) if isinstance(part, str) else Segment(*part) for part in parts)
    return tuple(segment for segment in made if segment.text)


def plain(lines: Iterable[Line]) -> str:
    """The lines as text without colour; trailing spaces are cut."""
    return "\n".join("".join(segment.text for segment in line).rstrip() for line in lines)


def ansi(lines: Iterable[Line]) -> str:
    """The lines as text with ANSI colours. The caller decides whether colour is wanted (NO_COLOR, not a terminal)."""
    return "\n".join("".join(_ansi(segment) for segment in line).rstrip() for line in lines)


def _ansi(segment: Segment) -> str:
    code = ANSI.get(segment.style)
    return f"\x1b[{code}m{segment.text}\x1b[0m" if code else segment.text


def cells(text: str) -> int:
    """Terminal columns that ``text`` takes: wide characters two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )  # fmt: skip


def fit(text: str, width: int, align: Literal["left", "right"] = "left") -> str:
    """``text`` in exactly ``width`` columns: padded, or cut with an ellipsis; control characters become spaces."""
    if width <= 0:
        return ""
    clean = "".join(c if c.isprintable() else " " for c in text) if not text.isprintable() else text
    size = cells(clean)
    if size > width:
        while clean and cells(clean) > width - 1:
            clean = clean[:-1]
        clean = clean.rstrip() + "…"
        size = cells(clean)
    pad = " " * (width - size)
    return pad + clean if align == "right" else clean + pad


def width_of(line: Line) -> int:
    """Terminal columns of a line."""
    return sum(cells(segment.text) for segment in line)


def crop(line: Line, width: int) -> Line:
    """The line in at most ``width`` columns; what is cut ends in an ellipsis."""
    if width_of(line) <= width:
        return line
    out: list[Segment] = []
    left = width
    for segment in line:
        size = cells(segment.text)
        if size >= left:
            out.append(Segment(fit(segment.text + ("" if size > left else "…"), left).rstrip(), segment.style))
            break
        out.append(segment)
        left -= size
    return tuple(out)


def wrap(text: str, width: int, indent: str = "", first: str = "") -> list[str]:
    """``text`` broken at spaces into lines of at most ``width`` columns; they begin with ``first``, then with ``indent``."""
    lines: list[str] = []
    current = first
    for word in text.split():
        joined = f"{current}{word}" if current in (first, indent) else f"{current} {word}"
        if cells(joined) > width and current not in (first, indent):
            lines.append(current)
            joined = indent + word
        current = joined
    return [*lines, current] if current.strip() and current not in (first, indent) else lines


def number(usd: float) -> str:
    """A dollar amount without its sign: three decimals below a dollar, two below a hundred, none above."""
    size = abs(usd)
    if size == 0:
        return "0.00"
    if size < 0.0005:
        return "<.001"
    if size < 0.9995:
        return f"{size:.3f}"
    return f"{size:.2f}" if size < 99.995 else f"{size:,.0f}"


def money(usd: float | None, *, modelled: bool = False, at_least: bool = False) -> str:
    """``$0.041``; ``≈`` in front where modelled, ``≥`` where it is a lower bound; ``–`` where unknown."""
    if usd is None:
        return UNKNOWN
    sign = "−" if usd < 0 else ""
    amount = number(usd)
    body = f"<{sign}$0.001" if amount.startswith("<") else f"{sign}${amount}"
    return ("≈" if modelled else "≥" if at_least else "") + body


def signed(usd: float | None, *, modelled: bool = False) -> str:
    """A difference with its sign: ``+$0.51`` was saved against the asked model, ``−$0.12`` was spent on top."""
    if usd is None:
        return UNKNOWN
    if abs(usd) < 0.0005:
        return "≈$0.00" if modelled else "$0.00"
    return f"{'≈' if modelled else ''}{'+' if usd > 0 else '−'}${number(usd)}"


def change(usd: float | None) -> str:
    """A difference for a table column, without the dollar sign: ``+0.207``."""
    if usd is None:
        return UNKNOWN
    return "0" if abs(usd) < 0.0005 else f"{'+' if usd > 0 else '−'}{number(usd)}"


def cell(usd: float | None, *, at_least: bool = False) -> str:
    """A dollar amount for a table column, without the dollar sign."""
    if usd is None:
        return UNKNOWN
    return f"{'≥' if at_least else ''}{'−' if usd < 0 else ''}{number(usd)}"


def share(part: float | None) -> str:
    """A share 0..1 in per cent; ``–`` where unknown. Never rounded up to 100%."""
    if part is None:
        return UNKNOWN
    return f"{min(99, round(part * 100)) if part < 1 else 100}%"


def span(seconds: float | None) -> str:
    """A duration: ``0.8s``, ``9s``, ``1m48s``, ``2h05m``, ``3d04h``; ``–`` where unknown."""
    if seconds is None:
        return UNKNOWN
    if seconds < 0.95:
        return f"{max(0.0, seconds):.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3_600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86_400:
        return f"{whole // 3_600}h{whole % 3_600 // 60:02d}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3_600:02d}h"


def ago(seconds: float) -> str:
    """How long ago, in one unit: ``12s``, ``4m``, ``3h``, ``9d``."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


def tokens(count: int | None) -> str:
    """A token count: ``830``, ``12.4k``, ``1.20M``."""
    if count is None:
        return UNKNOWN
    if count < 1_000:
        return str(count)
    return f"{count / 1_000:.1f}k" if count < 999_950 else f"{count / 1_000_000:.2f}M"


def fraction(value: float | None) -> str:
    """A value 0..1 as ``.31``; ``–`` where unknown."""
    if value is None:
        return UNKNOWN
    return "1.0" if value >= 0.995 else f"{value:.2f}"[1:]


def bar(value: float, top: float) -> str:
    """One cell of a bar chart: ``value`` on a scale from 0 to ``top``."""
    if top <= 0 or value <= 0:
        return BARS[0]
    return BARS[min(len(BARS) - 1, int(value / top * len(BARS) * 0.999))]


EFFORTS = {"medium": "med", "minimal": "min"}


def short(model: str) -> str:
    """A model's name for people: the vendor word and a date suffix left out."""
    name = model.rsplit("/", 1)[-1].removeprefix("claude-")
    head, _, tail = name.rpartition("-")
    return head if head and tail.isdigit() and len(tail) == 8 else name


def nickname(model: str) -> str:
    """The shortest name that still says which model: the tier word of a Claude (``haiku``), else the short name."""
    name = short(model)
    word = name.partition("-")[0]
    return word if "claude" in model and word.isalpha() else name


def config_name(config: Config) -> str:
    """A config for people: ``sonnet-4-5·med``."""
    effort = EFFORTS.get(config.effort or "", config.effort)
    return f"{short(config.model)}·{effort}" if effort else short(config.model)
