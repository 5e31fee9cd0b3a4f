"""What the wrappers of all clients share: the launch to change, the result, and the user's own base URLs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Launch:
    """A command about to be started. ``base``: our URL with its run path; ``upstream``: the gateway's single upstream, if any."""

    base: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    interactive: bool = False
    upstream: str | None = None

    @property
    def home(self) -> Path:
        """The user's home folder as the client will see it."""
        return Path(self.env.get("HOME") or Path.home())


@dataclass(frozen=True, slots=True)
class Wrapped:
    """The command to start instead. ``upstreams``: vendor to base URL the user had set; ``notes``: sentences to say once.

    ``after``: to be called when the client has ended, where a private copy of its settings was made for this run.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    upstreams: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    after: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A base URL of the user's own (``url`` None: the vendor's) and the ``path`` that the client is given behind ours."""

    url: str | None
    path: str

    def upstream(self, vendor: str) -> list[tuple[str, str]]:
        """The entry for RunStarted.upstreams; none for the vendor's own address."""
        return [(vendor, self.url)] if self.url else []


def endpoint(url: str | None, default_path: str) -> Endpoint:
    """The user's own base URL as an upstream.

    A version segment at its end is repeated behind ours, and the gateway writes it once: ``https://host/api/v4`` gives
    the client ``.../run/ID/v4``. A URL of a gateway of ours (a run inside a run) is no upstream: that would be a loop.
    """
    if not url:
        return Endpoint(None, default_path)
    parts = urlsplit(url)
    if not parts.scheme or not parts.netloc:
        return Endpoint(None, default_path)
    if parts.hostname in ("127.0.0.1", "localhost") and parts.path.startswith("/run/"):
        return Endpoint(None, "".join("/" + part for part in parts.path.split("/")[3:] if part))
    last = parts.path.rstrip("/").rpartition("/")[2]
    return Endpoint(url.rstrip("/"), f"/{last}" if last[:1] == "v" and last[1:2].isdigit() else "")


def option(argv: Sequence[str], *names: str) -> str | None:
    """The value of the last ``--name value`` or ``--name=value`` in a command line, before a bare ``--``."""
    found = None
    for place, word in enumerate(argv):
        if word == "--":
            break
        if word in names and place + 1 < len(argv):
            found = argv[place + 1]
        for name in names:
            if word.startswith(name + "="):
                found = word[len(name) + 1 :]
    return found


def options(argv: Sequence[str], *names: str) -> list[str]:
    """All values of a repeated option, in order."""
    found: list[str] = []
    for place, word in enumerate(argv):
        if word == "--":
            break
        if word in names and place + 1 < len(argv):
            found.append(argv[place + 1])
        found += [word[len(name) + 1 :] for name in names if word.startswith(name + "=")]
    return found


def without(argv: Sequence[str], *names: str) -> list[str]:
    """The command line without an option and its value."""
    kept: list[str] = []
    words = iter(argv)
    for word in words:
        if word == "--":
            kept += [word, *words]
        elif word in names:
            next(words, None)
        elif not any(word.startswith(name + "=") for name in names):
            kept.append(word)
    return kept


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file with an object in it (comments allowed), else an empty one: a client's broken settings are its own affair."""
    try:
        return as_object(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return {}


def as_object(text: str) -> dict[str, Any]:
    """The JSON object in ``text``, with ``//`` and ``/* */`` comments and trailing commas allowed; else an empty one."""
    for candidate in (text, _plain(text)):
        try:
            value = json.loads(candidate)
        except ValueError:
            continue
        return value if isinstance(value, dict) else {}
    return {}


def _plain(text: str) -> str:
    """JSON with comments as JSON: strings are skipped over, comments and trailing commas left out."""
    import re

    token = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.S)
    bare = token.sub(lambda match: match[1] or "", text)
    return re.sub(r'("(?:\\.|[^"\\])*")|,(?=\s*[}\]])', lambda match: match[1] or "", bare, flags=re.S)


def dotenv(files: Iterable[Path], cwd: Path) -> dict[str, str]:
    """The variables in a client's .env files; later files win, a file that cannot be read is its own affair."""
    found: dict[str, str] = {}
    for path in files:
        try:
            lines = (cwd / path).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            continue
        for line in lines:
            name, _, value = line.strip().removeprefix("export ").partition("=")
            if name.strip() and not name.startswith("#"):
                found[name.strip()] = value.strip().strip("\"'")
    return found


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two settings objects, deeply; ``above`` wins."""
    out = dict(below)
    for key, value in above.items():
        old = out.get(key)
        out[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return out


def own_command() -> list[str]:
    """How another process starts this very Pointsman, whatever is first in its PATH or in its working folder."""
    return [sys.executable, "-P", "-m", "pointsman"]
