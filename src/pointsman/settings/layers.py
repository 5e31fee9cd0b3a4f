"""How the layers of settings become one: later ones win, but a project's file only tightens.

Order: what you have answered (``answers.toml``), your own file, the project's ``.pointsman.toml``, the command line. A
project's file comes with somebody's repository, so of what it says the stricter of its word and yours holds, and where you say
nothing, of its word and the default: protected work, denied models, floors and ceilings add up, allowed models are those that
both allow, the lower budget, the shorter deadline and the higher price of a failure count, and the stricter profile.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pointsman.core.policy import DEADLINE_S, FAILURE_USD, STAKES
from pointsman.errors import SettingsError

STRICT = ("quality", "fast", "balanced", "saver")
"""The profiles, the strictest first."""

THEN = ("warn", "hold", "cheapest")
"""What a spent budget does, the mildest first."""

WHATS = ("paths", "commands", "tools")

UNSAID: Mapping[str, Any] = {
    "profile": "quality", "mode": "auto", "side": True, "titles": True, "efforts": True, "cache_diagnostics": False,
    "failure_usd": FAILURE_USD, "deadline_s": DEADLINE_S,
}  # fmt: skip
"""What holds of these keys where you have said nothing: a project may be stricter than that, and never laxer."""


@dataclass(slots=True)
class Layers:
    """The values so far, and where each is written: ``file:line`` by key, by table entry (``kinds.frontend``), by glob."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)

    def add(self, file: Path, found: Mapping[str, Any], text: str, shared: bool) -> None:
        """Lay the values ``found`` in ``file`` on top. ``shared``: it is a project's. Raises SettingsError in a sentence."""
        lines = lines_of(text)
        for key, value in found.items():
            if shared and key in UNSAID and key not in self.values:
                self.values[key], self.origins[key] = UNSAID[key], "default"
            before = self.values.get(key)
            here = f"{file}:{lines.get(key, 1)}"
            if key == "protect":
                self._protect(file, value, text, lines.get(key, 1), shared)
            elif key == "kinds" and isinstance(value, dict):
                self.values[key] = {**self.values.get(key, {}), **value}
                self.origins.update({f"kinds.{name}": f"{file}:{line_of(text, name, lines.get(key, 1))}" for name in value})
            else:
                self.values[key] = self._tighter(key, value, here) if shared and key in self.values else value
            after, where = self.values[key], self.origins.get(key)
            if where is None or after == value:
                self.origins[key] = here
            elif after != before:
                self.origins[key] = f"{where} and {here}"

    def _tighter(self, key: str, value: Any, here: str) -> Any:
        """The stricter of a project's word and what was said before; anything malformed is left to be complained about."""
        own = self.values[key]
        try:
            if key in ("deny", "floor", "ceiling"):
                return list(dict.fromkeys((*_names(own), *_names(value))))
            if key == "allow":
                if not own or not value:
                    return own or value
                both = [name for name in _names(own) if name in _names(value)]
                if not both:
                    raise SettingsError(f"{here}: this project allows none of the models that {self.origins[key]} allows")
                return both
            if key == "profile":
                return min(own, value, key=STRICT.index)
            if key == "mode":
                return "observe" if "observe" in (own, value) else value
            if key in ("side", "titles", "efforts", "cache_diagnostics"):
                return own and value
            if key == "check":  # a project may bring its own, which is asked about; it may not take yours off
                return value or own
            if key == "failure_usd":
                return max(own, value)
            if key == "deadline_s":
                return min(own, value)
            if key == "budget":
                return _tighter_budget(own, value)
        except (TypeError, ValueError, AttributeError):
            return value
        return value

    def _protect(self, file: Path, value: Any, text: str, begin: int, shared: bool) -> None:
        """Protected work adds up over the layers; only your own file can leave the default list out, or everything."""
        before = self.values.get("protect")
        table = as_table(value)
        if table is None:  # not of a form we know: the validation says so
            self.values["protect"] = value
            return
        if shared and table.get("defaults", True) is False:
            raise SettingsError(f"{file}:{begin}: a project may not take the default protection off; put it in your own file")
        known = before if isinstance(before, dict) else {}
        merged: dict[str, Any] = {**known, **{k: v for k, v in table.items() if k not in WHATS}}
        if shared and "stakes" in table:
            merged["stakes"] = max(known.get("stakes", STAKES), table["stakes"])
        for what in WHATS:
            globs = table.get(what, ())
            merged[what] = list(dict.fromkeys((*known.get(what, ()), *globs)))
            for glob in globs:
                self.origins.setdefault(f"{what[:-1]} {glob}", f"{file}:{line_of(text, str(glob), begin)}")
        self.values["protect"] = merged


def as_table(value: Any) -> dict[str, Any] | None:
    """``protect`` in its long form: a list means each glob for paths, commands and tools alike; false takes everything off."""
    if isinstance(value, bool):
        return {} if value else {"defaults": False}
    if isinstance(value, (list, tuple)):
        return {what: list(value) for what in WHATS}
    return dict(value) if isinstance(value, dict) else None


def _tighter_budget(own: Mapping[str, Any], value: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**own, **value}
    for key in ("session", "day"):
        if key in own and key in value:
            merged[key] = min(own[key], value[key])
    if "then" in own and "then" in value:
        merged["then"] = max(own["then"], value["then"], key=THEN.index)
    return merged


def _names(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def read(file: Path) -> tuple[dict[str, Any], str]:
    """The values and the text of a TOML file; nothing where there is no such file. Raises SettingsError."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}, ""
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        line, byte = error.object[: error.start].count(b"\n") + 1, error.object[error.start]
        raise SettingsError(f"{file}:{line}: byte {byte:#04x} is not UTF-8: save the file as UTF-8") from error
    try:
        return tomllib.loads(text), text
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file} is not valid TOML: {error}") from error


def lines_of(text: str) -> dict[str, int]:
    """The line on which each top-level key or table of a TOML text begins; tomllib does not tell."""
    found: dict[str, int] = {}
    in_table = False
    for number, line in enumerate(text.splitlines(), 1):
        if table := re.match(r"\s*\[\[?\s*[\"']?([\w-]+)", line):
            in_table = True
            found.setdefault(table.group(1), number)
        elif not in_table and (key := re.match(r"\s*[\"']?([\w-]+)[\"']?\s*[.=]", line)):
            found.setdefault(key.group(1), number)
    return found


def line_of(text: str, word: str, begin: int) -> int:
    """The first line from ``begin`` on that names ``word``, as a key or a string; ``begin`` where none does."""
    named = re.compile(rf"(?<![\w-])[\"']?{re.escape(word)}[\"']?(?![\w-])")
    lines = text.splitlines()
    return next((n for n in range(begin, len(lines) + 1) if named.search(lines[n - 1].partition("#")[0])), begin)


def place_of(text: str, lines: Mapping[str, int], path: Sequence[str]) -> int:
    """The line of the key at ``path``: of its last part that is written below its table; ``lines``: where the tables begin."""
    line = lines.get(path[0], 1) if path else 1
    for part in path[1:]:
        line = line_of(text, part, line)
    return line
