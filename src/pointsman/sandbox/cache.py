"""Prefix caches as the vendors have them. Every figure of the bill follows from here.

Theory of operation. A cache is a map from the hash of a prefix to the time until which it is held. Reading is finding the
longest prefix of the prompt that is there; writing is adding the prefixes that the vendor's rule names. Three rules:

* ``marks`` (Anthropic): prefixes end at blocks that the client marked, at most four; a mark looks back over 20 positions;
  the tokens between what is read and the last mark are written, at the lifetime each mark asks for; what follows is fresh.
* ``ends`` (OpenAI from 5.6, DeepSeek): prefixes end where messages end; everything not read is written.
* ``steps`` (older OpenAI and most others): prefixes end every ``step`` tokens; writes are not billed apart.

Lifetimes count from the start of the request that wrote or last read the entry. An entry is readable once its writer has
begun to answer. Expired entries are swept now and then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from pointsman.sandbox.incoming import Incoming
from pointsman.sandbox.models import Model
from pointsman.sandbox.prompt import Piece, Segment, lookback, salts, segments
from pointsman.sandbox.reply import Bill

LOOK_BACK = 20
"""Positions that a mark or a message end looks back (Anthropic prompt-caching guide; OpenAI implicit mode)."""

SWEEP = 4_096
"""Entries at which the expired are swept for the first time."""


@dataclass(slots=True)
class Entry:
    """A held prefix: its lifetime and the time until which it is held, epoch seconds."""

    ttl_s: int
    until: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What one request reads, and what it will hold once its answer has begun."""

    bill: Bill
    started: float
    touched: tuple[tuple[bytes, int], ...] = ()


@dataclass(slots=True)
class Cache:
    """All prefixes a provider holds, over all models and credentials (both are part of the hash)."""

    entries: dict[bytes, Entry] = field(default_factory=dict)
    _full: int = SWEEP

    def plan(self, request: Incoming, row: Model, pieces: list[Piece], now: float) -> Plan:
        """Read the prompt against the cache; nothing is held until ``hold``."""
        found = segments(pieces, salts(request, row), row)
        total = found[-1].tokens if found else 0
        match row.cache:
            case "marks":
                return self._marks(found, row, now, total)
            case "ends":
                return self._ends(request, found, row, now, total)
            case "steps":
                return self._steps(request, pieces, row, now, total)
        return Plan(Bill(fresh=total), now)

    def hold(self, plan: Plan) -> None:
        """The answer has begun: what the plan wrote and read is held from the request's start on."""
        for key, ttl_s in plan.touched:
            old = self.entries.get(key)
            if old is None:
                self.entries[key] = Entry(ttl_s, plan.started + ttl_s)
            else:
                old.until = max(old.until, plan.started + old.ttl_s)
        if len(self.entries) >= self._full:
            self.sweep(plan.started)
            self._full = 2 * len(self.entries) + SWEEP

    def sweep(self, now: float) -> None:
        """Forget what has lapsed."""
        self.entries = {key: entry for key, entry in self.entries.items() if entry.until > now}

    def clear(self) -> None:
        """Forget everything, as an eviction would."""
        self.entries.clear()

    def held(self, key: bytes, now: float) -> bool:
        """Is this prefix held now?"""
        entry = self.entries.get(key)
        if entry is not None and entry.until <= now:
            del self.entries[key]
            return False
        return entry is not None

    def _marks(self, found: list[Segment], row: Model, now: float, total: int) -> Plan:
        marked = [n for n, s in enumerate(found) if s.mark_s is not None and s.tokens >= row.min_tokens]
        hits = {n: self._hit(found, (k for k in lookback(found, n, LOOK_BACK)), row, now) for n in marked}
        best = max((hit for hit in hits.values() if hit is not None), default=None)
        read = found[best].tokens if best is not None else 0
        touched = [(found[hit].hash, found[n].mark_s or 300) for n, hit in hits.items() if hit is not None]
        written: dict[int, int] = {}
        at = read
        for n in marked:
            segment = found[n]
            ttl_s = segment.mark_s or 300
            touched.append((segment.hash, ttl_s))
            if segment.tokens > at:
                written[ttl_s] = written.get(ttl_s, 0) + segment.tokens - at
                at = segment.tokens
        return Plan(Bill(total - at, read, tuple(sorted(written.items()))), now, tuple(dict.fromkeys(touched)))

    def _hit(self, found: list[Segment], where: Iterable[int], row: Model, now: float) -> int | None:
        """The first of ``where`` whose prefix is long enough and held."""
        return next((n for n in where if found[n].tokens >= row.min_tokens and self.held(found[n].hash, now)), None)

    def _ends(self, request: Incoming, found: list[Segment], row: Model, now: float, total: int) -> Plan:
        if not found or total < row.min_tokens:
            return Plan(Bill(fresh=total), now)
        ends = [n for n, s in enumerate(found) if s.end]
        near = ends if row.vendor == "deepseek" else ends[-LOOK_BACK - 1 :]
        best = self._hit(found, reversed(near), row, now)
        read = found[best].tokens if best is not None else 0
        ttl_s = _ttl(request, row)
        touched = [(found[n].hash, ttl_s) for n in (ends if row.vendor == "deepseek" else ends[-1:])]
        touched += [(found[best].hash, ttl_s)] if best is not None else []
        if row.vendor == "deepseek":
            return Plan(Bill(total - read, read), now, tuple(touched))
        rest = total - read
        return Plan(Bill(0, read, ((ttl_s, rest),) if rest else ()), now, tuple(touched))

    def _steps(self, request: Incoming, pieces: list[Piece], row: Model, now: float, total: int) -> Plan:
        keys = step_hashes(request, pieces, row)
        count = next((n for n in range(len(keys), 0, -1) if self.held(keys[n - 1], now)), 0)
        read = count * row.step
        read = read - (read + row.less) % row.report if read >= row.min_tokens else 0
        ttl_s = _ttl(request, row)
        return Plan(Bill(total - read, read), now, tuple((key, ttl_s) for key in keys if total >= row.min_tokens))


def step_hashes(request: Incoming, pieces: list[Piece], row: Model) -> list[bytes]:
    """A hash at every ``step`` tokens of the prompt, each of everything before it."""
    levels = salts(request, row)
    counted = "".join(piece.counted for piece in pieces)
    size = int(row.step * 4 / row.factor)
    chain, keys = hashlib.blake2b(repr(levels).encode(), digest_size=16).digest(), []
    for end in range(size, len(counted) + 1, size):
        chain = hashlib.blake2b(chain + counted[end - size : end].encode("utf-8", "surrogatepass"), digest_size=16).digest()
        keys.append(chain)
    return keys


def _ttl(request: Incoming, row: Model) -> int:
    """The lifetime this request asks for among those the model offers; the model's default otherwise."""
    options = request.body.get("prompt_cache_options") or {}
    asked = {"5m": 300, "30m": 1_800, "1h": 3_600, "12h": 43_200, "24h": 86_400}.get(
        str(options.get("ttl") or request.body.get("prompt_cache_retention")), 0
    )
    return asked if asked in row.ttl_s else row.ttl_s[0]
