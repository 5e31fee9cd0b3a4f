"""Qwen Code: base URLs in its environment, which win over its settings.

In qwen-code 0.24.4 a base URL is taken from ``modelProviders`` of the settings, then ``--openai-base-url``, then the
environment, then ``security.auth.baseUrl``. The first cannot be answered from outside, and a person is told so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pointsman.shell.launching import Launch, Wrapped, dotenv, endpoint, merged, option, read_json, without

SUBCOMMANDS = ("auth", "board", "channel", "extensions", "hooks", "mcp", "review", "sandbox", "serve", "sessions", "update")
"""Sub-commands; those that start a session inherit the environment."""

FLAG = "--openai-base-url"


def wrap(launch: Launch) -> Wrapped:
    """Point Qwen Code at us, whichever of its wires it uses."""
    settings = merged(read_json(_home(launch) / "settings.json"), read_json(launch.cwd / ".qwen" / "settings.json"))
    auth = _object(_object(settings.get("security")).get("auth"))
    login = option(launch.argv, "--auth-type") or auth.get("selectedType") or "openai"
    seen = {**dotenv(_dotenvs(launch), launch.cwd), **launch.env}  # Qwen Code lets the environment win over its .env files
    filed = auth.get("baseUrl")
    openai = endpoint(option(launch.argv, FLAG) or seen.get("OPENAI_BASE_URL") or (filed if "openai" in login else None), "/v1")
    anthropic = endpoint(seen.get("ANTHROPIC_BASE_URL") or (filed if login == "anthropic" else None), "")
    google = endpoint(seen.get("GOOGLE_GEMINI_BASE_URL") or (filed if login == "gemini" else None), "")
    env = {**launch.env, "OPENAI_BASE_URL": launch.base + openai.path, "ANTHROPIC_BASE_URL": launch.base + anthropic.path,
           "GOOGLE_GEMINI_BASE_URL": launch.base + google.path}
    found = (*openai.upstream("openai"), *anthropic.upstream("anthropic"), *google.upstream("google"))
    return Wrapped(tuple(without(launch.argv, FLAG)), env, found, tuple(_notes(login, settings)))


def _notes(login: str, settings: dict[str, Any]) -> list[str]:
    """What does not come through Pointsman, one sentence each."""
    notes = []
    if login in ("qwen-oauth", "vertex-ai"):
        notes.append(f"Qwen Code is set to use {login}: its requests do not come through Pointsman, an API key's do")
    for rows in _object(settings.get("modelProviders")).values():
        named = [str(row.get("id")) for row in (rows if isinstance(rows, list) else ()) if _object(row).get("baseUrl")]
        if named:
            notes.append(f"Qwen Code's settings give {', '.join(named[:3])} an address of its own (modelProviders): its requests "
                         f"do not come through Pointsman")
    return notes


def _home(launch: Launch) -> Path:
    return Path(launch.env.get("QWEN_HOME") or launch.home / ".qwen")


def _dotenvs(launch: Launch) -> list[Path]:
    """The .env files that Qwen Code reads, weakest first: home, then project."""
    return [launch.home / ".env", _home(launch) / ".env", launch.cwd / ".env", launch.cwd / ".qwen" / ".env"]


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
