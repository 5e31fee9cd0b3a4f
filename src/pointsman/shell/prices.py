"""Reads the price map that litellm ships, without importing litellm, and builds the Book.

Importing litellm costs 3 s and 170 MB; its map is one JSON file in its package folder. Each row of a chat or responses
model is kept as its own JSON bytes (about 3 MB) and decoded when its model is first priced, so that the gateway does not
hold four thousand parsed rows.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from difflib import get_close_matches
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from typing import Any

import msgspec

from pointsman.core.book import Book, Override
from pointsman.core.cards import OVERRIDE_KEYS
from pointsman.errors import SettingsError

MAP_FILE = "model_prices_and_context_window_backup.json"
MODES = frozenset({"chat", "responses", "completion"})
TABLES = ("ladders", "cache_rules", "targets", "abilities")
PRICE = "a price in USD per million tokens, 0 or more"
MEANINGS = {
    "window": "a whole number of tokens",
    "max_output": "a whole number of tokens",
    "discount_factor": "a factor on every price, such as 0.85 for 15 % off",
    "quota_weight": "a weight of 0 or more: what a list dollar counts of a subscription's quota",
}
DATA = Path(__file__).resolve().parents[1] / "data"


class _Mode(msgspec.Struct):
    mode: Any = None


class Rows(Mapping[str, Mapping[str, Any]]):
    """Rows of the price map, each decoded when it is asked for."""

    def __init__(self, raw: Mapping[str, bytes]) -> None:
        self._raw = raw

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        row: dict[str, Any] = msgspec.json.decode(self._raw[name])
        return row

    def __contains__(self, name: object) -> bool:
        return name in self._raw

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)


def load_book(
    overrides: Mapping[str, Any] | None = None,
    *,
    origin: str = "settings",
    today: date | None = None,
    map_file: Path | None = None,
) -> Book:
    """The Book of the installed price map with the user's ``[prices]`` on top.

    ``overrides``: model name to a table (or settings model) of ``core.cards.OVERRIDE_KEYS``, prices in USD per million
    tokens. ``origin``: the settings file, for messages. ``today``: the day that deprecation dates are read against
    (default: today, UTC). Raises SettingsError when the map is missing or unreadable, or a price cannot be used.
    """
    file, name = (map_file, map_file.name) if map_file else _installed()
    return Book(
        read_map(file),
        tables(),
        read_overrides(overrides or {}, origin),
        map_name=name,
        today=today or datetime.now(UTC).date(),
    )


def read_map(file: Path) -> Rows:
    """The chat and responses rows of a price map. Raises SettingsError when the file cannot be read."""
    try:
        decoded = msgspec.json.decode(file.read_bytes(), type=dict[str, msgspec.Raw])
    except OSError as error:
        raise SettingsError(f"the price map {file} cannot be read: {error.strerror}; reinstall litellm") from error
    except msgspec.MsgspecError as error:
        raise SettingsError(f"the price map {file} is not a table of models: {error}; reinstall litellm") from error
    decoder = msgspec.json.Decoder(_Mode)
    rows: dict[str, bytes] = {}
    for name, raw in decoded.items():
        try:
            mode = decoder.decode(raw).mode
        except msgspec.MsgspecError:
            continue  # not an object: a comment of the map's authors
        if isinstance(mode, str) and mode in MODES:
            rows[name] = bytes(raw)
    if not rows:
        raise SettingsError(f"the price map {file} holds no model; reinstall litellm")
    return Rows(rows)


def _installed() -> tuple[Path, str]:
    """The file of the installed price map and its name with version; finding it does not import litellm."""
    spec = find_spec("litellm")
    if spec is None or spec.origin is None:
        raise SettingsError("litellm is not installed beside pointsman, so no price is known; run: pip install litellm")
    try:
        name = f"litellm {version('litellm')}"
    except PackageNotFoundError:
        name = "litellm"
    return Path(spec.origin).with_name(MAP_FILE), name


@lru_cache(maxsize=1)
def tables() -> Mapping[str, Mapping[str, Any]]:
    """The parsed files of data/ by name."""
    return {name: tomllib.loads((DATA / f"{name}.toml").read_text(encoding="utf-8")) for name in TABLES}


def read_overrides(given: Mapping[str, Any], origin: str) -> dict[str, Override]:
    """The user's own prices, checked: known keys, finite numbers of at least 0. Raises SettingsError."""
    out = {}
    for model, table in given.items():
        values = table.model_dump(exclude_none=True) if hasattr(table, "model_dump") else table
        where = f"{origin}: [prices.{json.dumps(model)}]"
        if not isinstance(values, Mapping):
            raise SettingsError(f"{where} must be a table such as {{ input = 2.0, output = 10.0 }}, in USD per million tokens")
        for key, value in values.items():
            _check(where, key, value)
        out[model] = Override(dict(values), where)
    return out


def _check(where: str, key: str, value: Any) -> None:
    if key not in OVERRIDE_KEYS:
        close = get_close_matches(key, OVERRIDE_KEYS, 1, 0.5)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise SettingsError(f"{where}: unknown key {key!r}{hint} (known: {', '.join(OVERRIDE_KEYS)})")
    if key == "provider":
        if not isinstance(value, str):
            raise SettingsError(f'{where}.provider is {value!r}; it must be a name such as "anthropic"')
        return
    whole = key in ("window", "max_output")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value) or value < 0:
        raise SettingsError(f"{where}.{key} is {value!r}; it must be {MEANINGS.get(key, PRICE)}")
    if whole and (value != int(value) or value == 0):
        raise SettingsError(f"{where}.{key} is {value!r}; it must be {MEANINGS[key]}")
