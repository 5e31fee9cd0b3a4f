"""Codex: a provider of ours by ``-c`` flags; the user's model, profile and login stay.

Codex's built-in ``openai`` provider cannot be redefined and tries a WebSocket first, so a provider named ``pointsman``
takes its place. A provider of the user's own keeps its definition; only its ``base_url`` changes for this run.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from pointsman.shell.launching import Launch, Wrapped, endpoint, merged, option, options, own_command, read_json

SUBCOMMANDS = ("login", "logout", "mcp", "mcp-server", "completion", "sandbox", "debug", "apply", "features", "help",
               "update", "doctor", "plugin")
"""Sub-commands that start no session."""

PROVIDER = "pointsman"
CHECK = "POINTSMAN_CHECK"
"""Environment variable that is there when a check guards "done" in this run."""

HOOK_S = 3_700
"""Seconds Codex waits for our hook: longer than the longest check."""

HOOK_KEY = "/<session-flags>/config.toml:stop:0:0"
"""How Codex 0.169 names the first Stop hook that is given by ``-c``."""


def wrap(launch: Launch) -> Wrapped:
    """Point Codex at us by ``-c`` flags in front of the user's own arguments."""
    if any(word in SUBCOMMANDS for word in launch.argv[1:2]):
        return Wrapped(launch.argv, dict(launch.env))
    if "--oss" in launch.argv:
        return Wrapped(launch.argv, dict(launch.env), (), ("codex --oss runs a local model: it does not come through Pointsman",))
    config = _config(launch)
    launch = _hooked(launch)
    name = config.get("model_provider", "openai")
    providers = config.get("model_providers")
    custom = providers.get(name) if isinstance(providers, dict) else None
    if name != "openai" and isinstance(custom, dict) and name != PROVIDER:
        return _theirs(launch, str(name), custom)
    return _builtin(launch, config)


def _theirs(launch: Launch, name: str, provider: dict[str, Any]) -> Wrapped:
    """The user's own provider: everything but its address stays."""
    place = endpoint(provider.get("base_url"), "/v1")
    flags = _flag(f"model_providers.{name}.base_url", launch.base + place.path)
    return Wrapped((launch.argv[0], *flags, *launch.argv[1:]), dict(launch.env), tuple(place.upstream("openai")), _said(launch))


def _builtin(launch: Launch, config: dict[str, Any]) -> Wrapped:
    """In place of OpenAI: by ChatGPT login, by a key stored at login, or by the key in the environment."""
    env = launch.env
    stored = read_json(_home(launch) / "auth.json")
    chatgpt = bool(stored.get("tokens")) and not env.get("CODEX_API_KEY") and stored.get("auth_mode") != "apikey"
    known = config.get("openai_base_url") or env.get("OPENAI_BASE_URL")
    place = endpoint(known, "/backend-api/codex" if chatgpt else "/v1")
    flags = [
        *_flag("model_provider", PROVIDER), *_flag(f"model_providers.{PROVIDER}.name", PROVIDER),
        *_flag(f"model_providers.{PROVIDER}.base_url", launch.base + place.path),
        *_flag(f"model_providers.{PROVIDER}.wire_api", "responses"),
    ]
    found = place.upstream("openai")
    if stored and not env.get("CODEX_API_KEY"):
        flags += _flag(f"model_providers.{PROVIDER}.requires_openai_auth", True)
        if chatgpt:
            flags += _flag("chatgpt_base_url", f"{launch.base}/backend-api/")
            theirs = str(config.get("chatgpt_base_url") or "").rstrip("/").removesuffix("/backend-api")
            found += [("chatgpt", theirs)] if theirs and "/run/" not in theirs else []
    else:
        key = "CODEX_API_KEY" if env.get("CODEX_API_KEY") else "OPENAI_API_KEY"
        flags += _flag(f"model_providers.{PROVIDER}.env_key", key)
    return Wrapped((launch.argv[0], *flags, *launch.argv[1:]), dict(env), tuple(found), _said(launch))


def _hooked(launch: Launch) -> Launch:
    """With our Stop hook where a check guards "done" in this run, trusted for this run; the user's own hooks stay as they are.

    Codex runs a hook only when its exact definition is trusted: the hash is the one it shows for it (``hooks/list``, 0.169).
    """
    if not launch.env.get(CHECK):
        return launch
    hook = {"type": "command", "command": shlex.join([*own_command(), "hook", "codex"]), "timeout": HOOK_S, "async": False}
    identity = json.dumps({"event_name": "stop", "hooks": [hook]}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    trusted = hashlib.sha256(identity.encode()).hexdigest()
    flags = [
        "-c", f"hooks.Stop=[{{hooks=[{{type=\"command\",command={json.dumps(hook['command'])},timeout={HOOK_S}}}]}}]",
        "-c", f'hooks.state={{"{HOOK_KEY}"={{trusted_hash="sha256:{trusted}"}}}}',
    ]  # fmt: skip
    return replace(launch, argv=(launch.argv[0], *flags, *launch.argv[1:]))


def _said(launch: Launch) -> tuple[str, ...]:
    """What a person should know of the hook: we marked it as trusted on their behalf."""
    if not launch.env.get(CHECK):
        return ()
    return ('for this run Codex is told to trust one hook, our own check at "done"; your own hooks stay as they are',)


def _flag(key: str, value: object) -> list[str]:
    """``-c key=value``; a JSON string is a TOML string."""
    return ["-c", f"{key}={json.dumps(value)}"]


def _home(launch: Launch) -> Path:
    return Path(launch.env.get("CODEX_HOME") or launch.home / ".codex")


def _config(launch: Launch) -> dict[str, Any]:
    """The settings in force: config.toml, then the profile, then ``-c`` overrides."""
    home = _home(launch)
    config = _toml(home / "config.toml")
    profile = option(launch.argv, "-p", "--profile") or config.get("profile")
    if isinstance(profile, str):
        profiles = config.get("profiles")
        inline = profiles.get(profile) if isinstance(profiles, dict) else None
        config = merged(config, inline if isinstance(inline, dict) else {})
        config = merged(config, _toml(home / f"{profile}.config.toml"))
    for override in options(launch.argv, "-c", "--config"):
        config = merged(config, _override(override))
    return config


def _override(text: str) -> dict[str, Any]:
    """One ``-c`` override as settings; a value that is no TOML is a plain string, as Codex takes it."""
    key, _, raw = text.partition("=")
    try:
        value: Any = tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        value = raw
    for name in reversed(key.strip().split(".")):
        value = {name: value}
    return value if isinstance(value, dict) else {}


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return {}
