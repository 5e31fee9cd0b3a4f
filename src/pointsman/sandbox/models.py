"""The provider's model table: ``models.toml`` as frozen rows."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from math import ceil
from typing import Any, Literal

When = Literal["always", "thinking_off", "never"]


@dataclass(frozen=True, slots=True)
class Model:
    """One row: cache, tokenizer and what the model refuses; the fields are explained at the head of ``models.toml``."""

    names: tuple[str, ...]
    vendor: str
    factor: float
    cache: Literal["marks", "ends", "steps", "none"]
    min_tokens: int
    ttl_s: tuple[int, ...]
    effort_drops: Literal["messages", "all", "none"]
    thinking: tuple[str, ...]
    efforts: tuple[str, ...]
    sampling: When
    forced_tool: When
    prefill: When
    system_messages: bool
    effort_messages: bool
    max_output: int
    window: int
    overflow: Literal["refuse", "stop"]
    source: tuple[str, ...]
    step: int = 128
    report: int = 128
    less: int = 0
    default_effort: str | None = None
    up_to: tuple[tuple[str, str], ...] = ()
    reads: tuple[str, ...] = ()
    binds: bool = False
    signed_calls: bool = False
    vision: bool = True
    tool_search: bool = True
    fast: bool = False
    long_beta: bool = False

    def tokens(self, chars: int) -> int:
        """Tokens of ``chars`` characters: a quarter of them times the tokenizer's factor, rounded up."""
        return ceil(chars * self.factor / 4 - 1e-9)

    def reads_blocks_of(self, writer: str, own: str) -> bool:
        """Can this model, named ``own``, read thinking blocks that ``writer`` wrote?"""
        return bare(writer) == bare(own) or any(fnmatchcase(bare(writer), pattern) for pattern in self.reads)

    def thinks(self, kind: str | None) -> bool:
        """Is thinking on under ``kind`` (a thinking.type value, None for the default)?"""
        return bool(self.thinking) and (kind or self.thinking[0]) != "disabled"


def bare(name: str) -> str:
    """``name`` without a vendor prefix, a window suffix such as ``[1m]`` and a date."""
    name = name.rsplit("/", 1)[-1].removeprefix("models/")
    return re.sub(r"-(\d{8}|\d{4}-\d{2}-\d{2}|latest)$", "", re.sub(r"\[.*\]$", "", name))


@cache
def table() -> tuple[Model, ...]:
    """All rows, in the order in which they are matched."""
    data = tomllib.loads((files(__package__) / "models.toml").read_text(encoding="utf-8"))
    return tuple(_row(row, data["sources"]) for row in data["model"])


def _row(row: dict[str, object], sources: dict[str, str]) -> Model:
    """One TOML table as a row: lists become tuples, source names become their sentences."""
    fixed: dict[str, object] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
    fixed["source"] = tuple(sources[name] for name in row["source"])  # type: ignore[attr-defined]  # a list in the file
    limits = row.get("up_to", {})
    assert isinstance(limits, dict)
    fixed["up_to"] = tuple(limits.items())
    return Model(**fixed)  # type: ignore[arg-type]  # the table's own test checks every field's type


@cache
def find(name: str) -> Model | None:
    """The row of the model called ``name``; None when the table has none."""
    plain = bare(name)
    row = next((row for row in table() if any(fnmatchcase(plain, pattern) for pattern in row.names)), None)
    own = next((fields for names, fields in _narrower() if any(fnmatchcase(plain, pattern) for pattern in names)), {})
    return replace(row, **own) if row is not None and own else row


@cache
def _narrower() -> tuple[tuple[tuple[str, ...], dict[str, Any]], ...]:
    """What single models take beside their row, by patterns, in the order in which they are matched."""
    data = tomllib.loads((files(__package__) / "models.toml").read_text(encoding="utf-8"))
    return tuple(
        (tuple(given["names"]), {name: _fixed(value) for name, value in given.items() if name not in ("names", "source")})
        for given in data["narrower"]
    )


def _fixed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@cache
def find_or_default(name: str, protocol: str) -> Model:
    """The row of ``name``, or that of its protocol's usual vendor, permissive: what an unknown model is served as."""
    row = find(name)
    if row is not None:
        return row
    usual = {"messages": "claude-sonnet-5-5", "gemini": "gemini-2.5-pro"}.get(protocol, "gpt-4.1")
    like = find(usual)
    assert like is not None, usual
    return replace(
        like,
        names=(name,),
        thinking=("adaptive", "enabled", "disabled", "between_tools"),
        up_to=(),
        sampling="always",
        efforts=("none", "minimal", "low", "medium", "high", "xhigh", "max"),
        forced_tool="always",
        prefill="always",
        system_messages=True,
        effort_messages=True,
        reads=("*",),
        binds=False,
    )


def listed() -> tuple[str, ...]:
    """The exact names in the table, for the model lists."""
    return tuple(name for row in table() for name in row.names if "*" not in name)
