"""Claude Code: a base URL, tool search kept on, and in interactive use our line under the user's own status line.

Settings that Claude Code reads, weakest first: the user's ``settings.json``, the project's, its ``settings.local.json``,
``--settings``. Their ``env`` wins over the process environment, so a base URL found there is answered by ``--settings``.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pointsman.shell import resources
from pointsman.shell.launching import Launch, Wrapped, as_object, endpoint, merged, option, own_command, read_json, without

SUBCOMMANDS = ("agents", "auth", "auto-mode", "config", "doctor", "gateway", "install", "mcp", "plugin", "plugins",
               "setup-token", "update", "upgrade")
"""Sub-commands that start no session: nothing is added to them but the environment."""

USER_LINE = "POINTSMAN_USER_STATUSLINE"
"""Environment variable with the user's own status line command, for ``pointsman line --client claude``."""

OUR_COMMAND = "POINTSMAN_COMMAND"
"""Environment variable with the command that the plugin's hook calls."""

CHECK = "POINTSMAN_CHECK"
"""Environment variable that is there when a check guards "done" in this run: then the plugin's Stop hook is needed."""

_ELSEWHERE = {"CLAUDE_CODE_USE_BEDROCK": "Amazon Bedrock", "CLAUDE_CODE_USE_VERTEX": "Google Vertex AI",
              "CLAUDE_CODE_USE_FOUNDRY": "Microsoft Foundry"}


def wrap(launch: Launch) -> Wrapped:
    """Point Claude Code at us; the user's files, statusline and --settings stay in force."""
    env = dict(launch.env)
    given = _given(launch)
    filed = _filed(launch)
    theirs = merged(filed, given)
    in_settings = theirs.get("env", {}).get("ANTHROPIC_BASE_URL") if isinstance(theirs.get("env"), dict) else None
    place = endpoint(in_settings or env.get("ANTHROPIC_BASE_URL"), "")
    ours: dict[str, Any] = {"ANTHROPIC_BASE_URL": launch.base + place.path}
    if _anthropic(place.url or launch.upstream):
        ours["ENABLE_TOOL_SEARCH"] = str(_setting(theirs, "ENABLE_TOOL_SEARCH") or env.get("ENABLE_TOOL_SEARCH") or "true")
    env.update(ours)
    env[OUR_COMMAND] = shlex.join(own_command())
    notes = tuple(
        f"Claude Code is set to use {host} ({name}): those requests do not come through Pointsman"
        for name, host in _ELSEWHERE.items() if _setting(theirs, name) or env.get(name)
    )
    argv = launch.argv
    starts_session = not any(word in SUBCOMMANDS for word in argv[1:2])
    settings: dict[str, Any] = {"env": ours} if in_settings else {}
    extra: list[str] = []
    if launch.interactive and starts_session:
        settings["statusLine"] = _line(theirs.get("statusLine"), env)
    if starts_session and (launch.interactive or env.get(CHECK)):
        extra = ["--plugin-dir", str(resources.folder("plugins") / "claude_code")]
    if starts_session and settings:
        text = json.dumps(merged(given, settings), separators=(",", ":"))
        argv = (argv[0], "--settings", text, *extra, *without(argv[1:], "--settings"))
    elif extra:
        argv = (argv[0], *extra, *argv[1:])
    return Wrapped(argv, env, tuple(place.upstream("anthropic")), notes)


def wrap_sdk(launch: Launch) -> Wrapped:
    """A program that uses the Claude Agent SDK: it starts a Claude Code of its own, which inherits the environment.

    Its command line is the program's, so nothing is added there; ``ClaudeAgentOptions(env=...)`` of the program wins.
    """
    place = endpoint(launch.env.get("ANTHROPIC_BASE_URL"), "")
    env = {**launch.env, "ANTHROPIC_BASE_URL": launch.base + place.path}
    if _anthropic(place.url or launch.upstream):
        env["ENABLE_TOOL_SEARCH"] = launch.env.get("ENABLE_TOOL_SEARCH") or "true"
    return Wrapped(launch.argv, env, tuple(place.upstream("anthropic")))


def _given(launch: Launch) -> dict[str, Any]:
    """What the user passed as --settings: a file or a JSON text."""
    text = option(launch.argv, "--settings")
    if not text:
        return {}
    return as_object(text) if text.lstrip().startswith("{") else read_json(launch.cwd / text)


def _filed(launch: Launch) -> dict[str, Any]:
    """The user's, the project's and the local settings, merged as Claude Code merges them."""
    config = Path(launch.env.get("CLAUDE_CONFIG_DIR") or launch.home / ".claude")
    project = launch.cwd / ".claude"
    found: dict[str, Any] = {}
    for path in (config / "settings.json", project / "settings.json", project / "settings.local.json"):
        found = merged(found, read_json(path))
    return found


def _setting(settings: dict[str, Any], name: str) -> Any:
    env = settings.get("env")
    return env.get(name) if isinstance(env, dict) else None


def _anthropic(upstream: str | None) -> bool:
    """Whether requests end at Anthropic itself, where deferred tools work."""
    host = urlsplit(upstream).hostname or "" if upstream else "api.anthropic.com"
    return host == "anthropic.com" or host.endswith(".anthropic.com")


def _line(theirs: Any, env: dict[str, str]) -> dict[str, Any]:
    """Our status line, which runs the user's own command first; its other keys (padding ...) stay."""
    line = dict(theirs) if isinstance(theirs, dict) else {}
    command = line.get("command")
    if isinstance(command, str) and command:
        env[USER_LINE] = command
    else:
        env.pop(USER_LINE, None)
    return line | {"type": "command", "command": shlex.join([*own_command(), "line", "--client", "claude"])}
