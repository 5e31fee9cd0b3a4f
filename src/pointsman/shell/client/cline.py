"""Cline: its providers' addresses in a copy of its own settings, which it reads for this run only.

Cline takes base URLs from ``providers.json`` and nowhere else, and ``CLINE_PROVIDER_SETTINGS_PATH`` names that file. The
copy lies in a private folder that goes when the run ends; what Cline wrote into it by then (another model, a refreshed
login) is written to the user's file with the user's own addresses. A background hub would keep the addresses it was
started with, so the run keeps its work in its own process. Seen with cline 3.0.65, whose providers below take a base URL.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from typing import Any

from pointsman.shell.launching import Launch, Wrapped, endpoint, option, read_json

SUBCOMMANDS = ("auth", "config", "plugin", "skill", "connect", "mcp", "doctor", "history", "h", "hook", "schedule", "hub",
               "dashboard", "update", "version", "kanban")
"""Sub-commands that start no session."""

PROVIDERS = {"anthropic": ("anthropic", "/v1"), "openai-native": ("openai", "/v1"), "openai-compatible": ("openai", "/v1"),
             "gemini": ("google", "")}
"""Cline's provider to the vendor whose API it speaks and the path behind that vendor's base URL."""

ALIASES = {"openai": "openai-compatible"}
"""Names that Cline's command line takes for a provider."""

WRITTEN = "2026-11-22T00:00:00.000Z"
"""When a provider was set up that the user only names on the command line: Cline drops a row without a date."""

COPY = "CLINE_PROVIDER_SETTINGS_PATH"
"""Environment variable with the path of the providers' settings."""

BACKEND = "CLINE_SESSION_BACKEND_MODE"
"""Environment variable: ``local`` keeps the work in the started process, ``hub`` hands it to one that may run already."""


def wrap(launch: Launch) -> Wrapped:
    """Point Cline's providers at us for this run."""
    if any(word in SUBCOMMANDS for word in launch.argv[1:2]):
        return Wrapped(launch.argv, dict(launch.env))
    theirs = _settings_path(launch)
    settings = read_json(theirs)
    ours, found, notes = _moved(launch, settings)
    if "-z" in launch.argv or "--zen" in launch.argv:
        notes.append("cline --zen works in a background hub: it does not come through Pointsman")
    folder = Path(tempfile.mkdtemp(prefix="pointsman-cline-"))
    copy = folder / "providers.json"
    text = json.dumps(ours, indent=2)
    with open(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)

    def after() -> None:
        _give_back(copy, text, settings, theirs)
        rmtree(folder, ignore_errors=True)

    env = {**launch.env, COPY: str(copy), BACKEND: "local"}
    return Wrapped(launch.argv, env, found, tuple(notes), after)


def _settings_path(launch: Launch) -> Path:
    """The user's own providers' settings, in Cline's order of places."""
    named = launch.env.get(COPY)
    if named:
        return launch.cwd / named
    data = option(launch.argv, "--data-dir") or launch.env.get("CLINE_DATA_DIR")
    if data is None:
        base = option(launch.argv, "--config") or launch.env.get("CLINE_DIR")
        data = str((launch.cwd / base if base else launch.home / ".cline") / "data")
    return launch.cwd / data / "settings" / "providers.json"


def _moved(launch: Launch, settings: dict[str, Any]) -> tuple[dict[str, Any], tuple[tuple[str, str], ...], list[str]]:
    """The settings with our addresses, the upstreams that they had, and what a person should know."""
    chosen = _chosen(launch, settings)
    rows = _rows(settings)
    if chosen in PROVIDERS and chosen != "openai-compatible":
        rows.setdefault(chosen, {"settings": {"provider": chosen}, "updatedAt": WRITTEN, "tokenSource": "manual"})
    known: dict[str, str | None] = {}
    notes = []
    for name in sorted(rows, key=lambda name: name != chosen):
        row = rows[name].get("settings")
        if name not in PROVIDERS or not isinstance(row, dict):
            continue
        vendor, path = PROVIDERS[name]
        place = endpoint(row.get("baseUrl"), path)
        if vendor in known and known[vendor] != place.url:
            notes.append(f"Cline's provider {name} has an address of its own: in this run it does not come through Pointsman")
            continue
        known[vendor] = place.url
        rows[name] = {**rows[name], "settings": {**row, "baseUrl": launch.base + place.path}}
    if chosen and chosen not in PROVIDERS:
        notes.append(f"Cline's provider {chosen} does not come through Pointsman: set its address up as an "
                     f"OpenAI-compatible provider (cline auth -p openai -b URL) to route it")
    if not chosen:
        notes.append("Cline has no provider set up (cline auth): nothing comes through Pointsman")
    found = tuple((vendor, url) for vendor, url in known.items() if url)
    return {"version": 1, "modes": {}, **settings, "providers": rows}, found, notes


def _chosen(launch: Launch, settings: dict[str, Any]) -> str:
    """The provider of this run: named on the command line, else the one last used."""
    name = str(option(launch.argv, "-P", "--provider") or settings.get("lastUsedProvider") or "")
    return ALIASES.get(name, name)


def _rows(settings: dict[str, Any]) -> dict[str, dict[str, Any]]:
    providers = settings.get("providers")
    found = providers if isinstance(providers, dict) else {}
    return {name: row for name, row in found.items() if isinstance(row, dict)}


def _give_back(copy: Path, written: str, settings: dict[str, Any], theirs: Path) -> None:
    """What Cline wrote into the copy, to the user's file with the addresses that it had; nothing where nothing was written."""
    with suppress(OSError, UnicodeDecodeError):
        if copy.read_text(encoding="utf-8") == written:
            return
    now = read_json(copy)
    before = _rows(settings)
    ours = _rows(json.loads(written))
    for name, row in _rows(now).items():
        values, given = row.get("settings"), ours.get(name, {}).get("settings", {})
        if not isinstance(values, dict) or values.get("baseUrl") != given.get("baseUrl") or name not in PROVIDERS:
            continue
        url = before.get(name, {}).get("settings", {}).get("baseUrl")
        values.pop("baseUrl", None)
        if url:
            values["baseUrl"] = url
    if now:
        with suppress(OSError):
            theirs.parent.mkdir(parents=True, exist_ok=True)
            beside = theirs.with_name(theirs.name + ".pointsman")
            with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                file.write(json.dumps(now, indent=2))
            beside.replace(theirs)
