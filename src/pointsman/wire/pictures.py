"""How large an image is, and how many pages a document has: read from the first bytes of its base64, never decoded to pixels."""

from __future__ import annotations

import base64
import binascii
import re
from math import sqrt

HEAD = 64 * 1024
"""Base64 characters looked at for an image's size: JPEG files may carry a preview before it."""

HIGH_SQUARES = 2_500
"""Squares of 32 pixels that an image has at most at high detail."""

UNKNOWN = (0, 0)
"""The size of an image that cannot be seen: a link, a file id, a form we do not know."""

_PAGES = re.compile(rb"/Type\s*/Page[^s]")
_COUNT = re.compile(rb"/Count\s+(\d{1,5})\b")
_START_OF_FRAME = frozenset({*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)})


def payload(data: str) -> str:
    """The base64 part of ``data``, which may be a data URL; empty for a link."""
    if data.startswith("data:"):
        return data.partition(",")[2]
    return "" if data.startswith(("http:", "https:", "file:", "gs:")) else data


def size(data: str) -> tuple[int, int]:
    """Width and height in pixels of a PNG, GIF, JPEG or WebP image in base64; ``UNKNOWN`` for anything else."""
    raw = _decoded(payload(data)[:HEAD])
    if raw[:8] == b"\x89PNG\r\n\x1a\n" and len(raw) >= 24:
        return int.from_bytes(raw[16:20]), int.from_bytes(raw[20:24])
    if raw[:4] == b"GIF8" and len(raw) >= 10:
        return int.from_bytes(raw[6:8], "little"), int.from_bytes(raw[8:10], "little")
    if raw[:2] == b"\xff\xd8":
        return _jpeg(raw)
    if raw[:4] == b"RIFF" and raw[8:12] == b"WEBP":
        return _webp(raw)
    return UNKNOWN


def shown(size: tuple[int, int], detail: str) -> tuple[int, int]:
    """``size`` as a model is shown an image for which OpenAI's ``detail`` asks (images-vision guide, 2026).

    ``low`` fits into 512 pixels, ``high`` into 2,048 and ``HIGH_SQUARES``; anything else is left to the model.
    """
    width, height = size
    longest = max(size)
    if detail not in ("low", "high") or not longest:
        return size
    fit = min(1.0, (512 if detail == "low" else 2_048) / longest)
    if detail == "high":
        fit = min(fit, sqrt(HIGH_SQUARES * 32 * 32 / max(1, width * height)))
    return max(1, int(width * fit)), max(1, int(height * fit))


def pages(data: str) -> int:
    """Pages of a PDF in base64, at least 1: its page objects, or the largest count it names."""
    raw = _decoded(payload(data))
    counted = [int(n) for n in _COUNT.findall(raw)]
    return max(1, len(_PAGES.findall(raw)), *counted) if counted else max(1, len(_PAGES.findall(raw)))


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text[: len(text) // 4 * 4])
    except (binascii.Error, ValueError):
        return b""


def _jpeg(raw: bytes) -> tuple[int, int]:
    """The size in the frame header, after skipping the segments before it."""
    at = 2
    while at + 9 <= len(raw) and raw[at] == 0xFF:
        if raw[at + 1] in _START_OF_FRAME:
            return int.from_bytes(raw[at + 7 : at + 9]), int.from_bytes(raw[at + 5 : at + 7])
        at += 2 + int.from_bytes(raw[at + 2 : at + 4])
    return UNKNOWN


def _webp(raw: bytes) -> tuple[int, int]:
    """The size in the first chunk: extended, lossless or lossy."""
    kind = raw[12:16]
    if kind == b"VP8X" and len(raw) >= 30:
        return int.from_bytes(raw[24:27], "little") + 1, int.from_bytes(raw[27:30], "little") + 1
    if kind == b"VP8L" and len(raw) >= 25:
        bits = int.from_bytes(raw[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and len(raw) >= 30:
        return int.from_bytes(raw[26:28], "little") & 0x3FFF, int.from_bytes(raw[28:30], "little") & 0x3FFF
    return UNKNOWN
