"""OpenCode: base URLs of the user's providers in ``OPENCODE_CONFIG_CONTENT``, merged with what the user has there.

OpenCode merges that variable over its files, so only addresses go in. A provider is touched when it can be used (it is
configured, logged in, or has its key in the environment): naming another would add it to the model picker. A run has one
upstream per vendor; where several providers of one kind have different addresses, the one of the chosen model is wrapped.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pointsman.shell import resources
from pointsman.shell.launching import Launch, Wrapped, as_object, endpoint, merged, option, own_command, read_json

SUBCOMMANDS = ("auth", "agent", "completion", "debug", "export", "import", "mcp", "models", "providers", "session", "stats",
               "uninstall", "upgrade", "github", "pr", "db", "plugin")
"""Sub-commands that start no session."""

CHECK = "POINTSMAN_CHECK"
"""Environment variable that is there when a check guards "done" in this run: then the plugin is loaded for this run."""

OUR_COMMAND = "POINTSMAN_COMMAND"
"""Environment variable with the command that the plugin calls."""

_BUILT_IN = {"anthropic": ("anthropic", "ANTHROPIC_API_KEY"), "openai": ("openai", "OPENAI_API_KEY")}
_PACKAGES = {"@ai-sdk/anthropic": "anthropic", "@ai-sdk/openai": "openai", "@ai-sdk/openai-compatible": "openai"}


def wrap(launch: Launch) -> Wrapped:
    """Point OpenCode's providers at us for this run."""
    config = _config(launch)
    given = as_object(launch.env.get("OPENCODE_CONFIG_CONTENT", ""))
    chosen = str(option(launch.argv, "-m", "--model") or config.get("model") or "").partition("/")[0]
    known: dict[str, str | None] = {}
    ours: dict[str, Any] = {}
    notes: list[str] = []
    for name, vendor, url in sorted(_providers(launch, config), key=lambda row: row[0] != chosen):
        place = endpoint(url, "/v1")
        if vendor in known and known[vendor] != place.url:
            notes.append(f"OpenCode's provider {name} has an address of its own: in this run it does not come through "
                         f"Pointsman; choose its model with -m to route it")
            continue
        known[vendor] = place.url
        ours[name] = {"options": {"baseURL": launch.base + place.path}}
    if not ours:
        notes.append("OpenCode has no Anthropic, OpenAI or OpenAI-compatible provider set up: nothing comes through Pointsman")
    env = dict(launch.env)
    content = merged(given, {"provider": ours} if ours else {})
    if launch.interactive and env.get(CHECK):
        plugin = (resources.folder("plugins") / "opencode" / "pointsman.js").as_uri()
        env[OUR_COMMAND] = shlex.join(own_command())
        content["plugin"] = [*(content.get("plugin") or ()), plugin]
    env["OPENCODE_CONFIG_CONTENT"] = json.dumps(content, separators=(",", ":"))
    found = tuple((vendor, theirs) for vendor, theirs in known.items() if theirs)
    return Wrapped(launch.argv, env, found, tuple(notes))


VALUED = ("-m", "--model", "--agent", "--format", "--variant", "--port", "--dir", "-f", "--file", "--log-level", "--attach")
"""Options of ``opencode run`` with a value, which hold for its continuation too."""


def again(argv: Sequence[str], session: str, words: str) -> list[str] | None:
    """The command that has a headless OpenCode go on in ``session`` with ``words``; None for another command line."""
    if list(argv[1:2]) != ["run"]:
        return None
    kept: list[str] = []
    rest = iter(argv[2:])
    for word in rest:
        if word == "--":
            break
        if word in VALUED:
            kept += [word, next(rest, "")]
        elif word in ("-s", "--session", "--title", "--command"):
            next(rest, None)
        elif word.startswith("--") and not word.startswith(("--session=", "--title=", "--command=", "--continue", "--fork")):
            kept.append(word)
    return [argv[0], "run", *kept, "--session", session, words]


def _providers(launch: Launch, config: dict[str, Any]) -> Iterable[tuple[str, str, str | None]]:
    """(name, vendor, the user's base URL) of each provider that can be used and that we can stand in for."""
    configured = config.get("provider")
    rows: dict[str, Any] = configured if isinstance(configured, dict) else {}
    data = Path(launch.env.get("XDG_DATA_HOME") or launch.home / ".local" / "share")
    logins = read_json(data / "opencode" / "auth.json")
    for name, (vendor, key) in _BUILT_IN.items():
        if name not in rows and (launch.env.get(key) or name in logins):
            yield name, vendor, None
    for name, row in rows.items():
        if not isinstance(row, dict):
            continue
        vendor = _PACKAGES.get(str(row.get("npm", "")), _BUILT_IN.get(name, ("", ""))[0])
        options = row.get("options")
        url = options.get("baseURL") if isinstance(options, dict) else None
        if vendor and (url or name in _BUILT_IN):
            yield name, vendor, url if isinstance(url, str) else None


def _config(launch: Launch) -> dict[str, Any]:
    """OpenCode's settings in its own order: global files, OPENCODE_CONFIG, project files from the top down, the variable."""
    base = Path(launch.env.get("XDG_CONFIG_HOME") or launch.home / ".config") / "opencode"
    files = [base / name for name in ("config.json", "opencode.json", "opencode.jsonc")]
    if launch.env.get("OPENCODE_CONFIG"):
        files.append(launch.cwd / launch.env["OPENCODE_CONFIG"])
    for folder in reversed((launch.cwd, *launch.cwd.parents)):
        files += [folder / "opencode.json", folder / "opencode.jsonc", folder / ".opencode" / "opencode.json"]
    found: dict[str, Any] = {}
    for path in files:
        found = merged(found, read_json(path))
    return merged(found, as_object(launch.env.get("OPENCODE_CONFIG_CONTENT", "")))
