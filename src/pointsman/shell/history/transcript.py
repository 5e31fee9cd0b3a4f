"""What every importer produces: a transcript's model calls, in the order they began, with what each one added.

Theory of operation. Transcripts keep texts, a ledger keeps digests; and transcripts are often redacted or cut, while their
token counts are what the provider billed. So a piece of conversation carries the characters that could be seen, and
``history.events`` scales them to the billed tokens. A line that cannot be read is named and skipped, never fatal.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from io import BufferedReader
from pathlib import Path
from typing import Any

import xxhash

from pointsman.core.events import Stop
from pointsman.core.messages import Call as Tool
from pointsman.core.messages import Fact, MessageKind
from pointsman.core.types import Protocol, Purpose, Usage
from pointsman.wire import blocks
from pointsman.wire import digest as digests
from pointsman.wire.dialects import dialect_of
from pointsman.wire.usage import MOST

OUTPUT_CHARS_PER_TOKEN = 2.5
"""Visible characters per billed output token: 169,919 / 68,557 over the 224 messages of 24 Claude Code transcripts whose
final count was logged. Below the usual 3 to 4, since reasoning is billed and mostly not shown."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One message of the conversation: its kind, its visible characters, a digest, and what it shows (as in ``Message``)."""

    kind: MessageKind
    role: str
    chars: int
    hash: int
    facts: tuple[Fact, ...] = ()
    calls: tuple[Tool, ...] = ()
    said: int = 0
    sketch: str = ""
    mix: tuple[int, ...] = ()
    images: tuple[tuple[int, int], ...] = ()
    pages: int = 0

    def showing(self, protocol: Protocol, client: str, *items: Any) -> Piece:
        """The piece with what ``items`` show, each in the form of ``protocol``: the same facts that a request would.

        What has not that form shows nothing: transcripts are cut and redacted.
        """
        facts, calls, said, sketch = dict.fromkeys(self.facts), list(self.calls), self.said, self.sketch
        kinds: dict[str, int] = {}
        images, pages = list(self.images), self.pages
        for item in items:
            try:
                notes = blocks.look(protocol, dialect_of(client), item)
            except ValueError:
                continue
            seen = digests.digested(notes, 0, 0)
            images, pages = images + notes.images, pages + notes.pages
            for kind, count in notes.mix.counts.items():
                kinds[kind] = kinds.get(kind, 0) + count
            facts.update(dict.fromkeys(seen.facts))
            calls += seen.calls
            said, sketch = said + seen.said, seen.sketch or sketch
        mix = self.mix
        if kinds and set(kinds) != {"prose"}:  # what was cut is of the kind of what can be seen
            visible = sum(kinds.values())
            mix = tuple(self.chars * kinds.get(kind, 0) // visible for kind in ("code", "json", "logs"))
        return Piece(
            self.kind, self.role, self.chars, self.hash, tuple(facts), tuple(calls), said, "" if calls else sketch, mix,
            tuple(images), pages,
        )  # fmt: skip


@dataclass(slots=True)
class Call:
    """One model call. ``new``: the messages it added to its lane after keeping the first ``kept`` (None: all of them).

    ``answer``: what it said. ``usage`` None: the transcript does not say. ``estimated``: the output tokens are ours, from
    visible characters. Times are epoch seconds; ``start`` is the last input before the answer.
    """

    id: str
    start: float
    end: float
    model: str
    lane: str = "main"
    parent: str | None = None
    effort: str | None = None
    turn_id: str | None = None
    purpose: Purpose = "turn"
    kept: int | None = None
    new: list[Piece] = field(default_factory=list)
    answer: Piece | None = None
    usage: Usage | None = None
    estimated: bool = False
    stop: Stop = "final"
    ttl_s: int | None = None


@dataclass(slots=True)
class Transcript:
    """One session read from a file. ``troubles``: sentences about lines that were skipped, each with file and line."""

    path: str
    client: str
    protocol: Protocol
    session: str
    cwd: str | None = None
    title: str = ""
    calls: list[Call] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    @property
    def estimated(self) -> int:
        """Calls whose output tokens are estimates."""
        return sum(call.estimated for call in self.calls)


UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
"""What a line of the wrong shape raises while it is read; such a line is named and skipped."""


def digest(*parts: Any) -> int:
    """A 64-bit digest of JSON values."""
    return xxhash.xxh3_64_intdigest(json.dumps(parts, sort_keys=True, default=str).encode())


_CUT = re.compile(r"\[truncated (\d+) chars\]")


def length(text: str) -> int:
    """Characters of a text, with those that a published transcript says it has cut."""
    return len(text) + (sum(map(int, _CUT.findall(text))) if "[truncated " in text else 0)


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The numbered lines of a plain or gzip'd file, empty ones left out. A cut-off gzip ends with a ValueError."""
    with opened(path) as file:
        number = 0
        try:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line
        except (EOFError, gzip.BadGzipFile, OSError) as error:
            raise ValueError(f"{path}:{number + 1}: the compressed file is cut off or damaged ({error})") from error


def opened(path: Path) -> gzip.GzipFile | BufferedReader:
    """``path`` opened for reading bytes, unpacked when it is gzip'd, whatever its name says."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else path.open("rb")


def objects(path: Path, troubles: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a JSON Lines file; lines that are none are described in ``troubles`` and skipped."""
    try:
        for number, line in lines(path):
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                troubles.append(f"{path}:{number}: skipped, not JSON: {error}")
                continue
            if isinstance(value, dict):
                yield number, value
            else:
                troubles.append(f"{path}:{number}: skipped, not a JSON object")
    except ValueError as error:
        troubles.append(str(error))


def seconds(stamp: Any) -> float | None:
    """Epoch seconds of an ISO 8601 time stamp, None where there is none."""
    if not isinstance(stamp, str):
        return None
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def tokens(usage: dict[str, Any], key: str) -> int:
    """A token count, where null and missing mean 0. Raises ValueError for one that is negative, absurd or no number."""
    value = usage.get(key)
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MOST:
        raise ValueError(f"{key} is {value!r}, not a token count")
    return int(value)


def word(value: Any) -> str | None:
    """``value`` where it is a text with something in it, else None."""
    return value if isinstance(value, str) and value else None


def estimate_output(logged: int, chars: int) -> int:
    """Output tokens from visible characters where only a stream-start placeholder was logged."""
    return max(logged, round(chars / OUTPUT_CHARS_PER_TOKEN))
