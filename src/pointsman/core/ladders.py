"""Whose model a name belongs to, and the tiers of each vendor from cheap to strong (data/ladders.toml)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

_DATED = re.compile(r"(?:-\d{8}|-\d{4}-\d{2}-\d{2}|-latest)$")
_CONTEXT = re.compile(r"\[\d+[km]\]$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Tier:
    """One rung: ``members`` are offered, newest first; ``also`` and ``pattern`` only belong to it. Names in lower case."""

    name: str
    alias: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    pattern: tuple[str, ...] = ()

    def holds(self, plain: str, known: bool) -> bool:
        """Whether the undated lower-case name belongs here; patterns count only for models the price map knows."""
        if plain in self.also or any(plain == member.lower() for member in self.members):
            return True
        return known and any(fnmatchcase(plain, pattern) for pattern in self.pattern)


@dataclass(frozen=True, slots=True)
class Vendor:
    """A maker of models: how its names begin, how gateways prefix them, and where its rows are in the price map."""

    name: str
    names: tuple[str, ...]
    prefix: tuple[str, ...]
    rows: tuple[str, ...]
    tiers: tuple[Tier, ...]
    source: str = ""

    def tier(self, plain: str, known: bool) -> int | None:
        """The place of a name on this vendor's ladder, 0 being the cheapest; None when it has none."""
        listed = (i for i, tier in enumerate(self.tiers) if tier.holds(plain, False))
        return next(listed, next((i for i, tier in enumerate(self.tiers) if tier.holds(plain, known)), None))

    def named(self, word: str) -> int | None:
        """The place of the tier that is called ``word``, or None."""
        return next((i for i, tier in enumerate(self.tiers) if word == tier.name or word in tier.alias), None)


@dataclass(frozen=True, slots=True)
class Name:
    """A model name taken apart: ``prefix`` as written, ``bare`` without prefix and context mark, ``plain`` also
    without date and in lower case, for look-ups.
    """

    given: str
    prefix: str
    bare: str
    plain: str
    vendor: Vendor | None

    @property
    def tail(self) -> str:
        """``plain`` after its last slash: what patterns are matched against."""
        return self.plain.rsplit("/", 1)[-1]


def read_vendors(table: Mapping[str, Any]) -> tuple[Vendor, ...]:
    """The vendors of data/ladders.toml, in its order."""
    return tuple(
        Vendor(
            name=name,
            names=tuple(row["names"]),
            prefix=tuple(row["prefix"]),
            rows=tuple(row["map"]),
            tiers=tuple(
                Tier(
                    t["name"],
                    tuple(t.get("alias", ())),
                    tuple(t["members"]),
                    tuple(x.lower() for x in t.get("also", ())),
                    tuple(t.get("pattern", ())),
                )
                for t in row["tiers"]
            ),  # fmt: skip
            source=row["source"],
        )
        for name, row in table.items()
    )


def take_apart(given: str, vendors: tuple[Vendor, ...]) -> Name:
    """Recognise ``claude-opus-4-5-20251101``, ``anthropic/claude-...``, ``claude-opus-5-5[1m]`` and the like."""
    base = _CONTEXT.sub("", given.strip())
    lower = base.lower()
    for vendor in vendors:
        for prefix in vendor.prefix:
            if lower.startswith(prefix):
                return Name(given, base[: len(prefix)], base[len(prefix) :], _plain(lower[len(prefix) :]), vendor)
    owner = next((v for v in vendors if lower.startswith(v.names)), None)
    return Name(given, "", base, _plain(lower), owner)


def row_keys(name: Name) -> tuple[str, ...]:
    """Where the price map may keep this model's row, best first: as given, the vendor's own row, the undated one."""
    keys = [name.given] if "/" in name.given else []
    if name.vendor is not None:
        spelled = {member.lower(): member for tier in name.vendor.tiers for member in tier.members}
        forms = dict.fromkeys((name.bare, spelled.get(name.plain, name.plain)))
        keys += [prefix + form for form in forms for prefix in name.vendor.rows]
    return tuple(dict.fromkeys([*keys, name.given, name.bare]))


def _plain(lower: str) -> str:
    return _DATED.sub("", lower)
