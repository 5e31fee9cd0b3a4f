"""Claude Code's hooks and status line: our commands without a model request, our line under the user's own.

Standard library only, and silent on any trouble of ours: a hook must never stand in the agent's way. The hook gives the
session id that Claude Code also sends with each request, so a pin set here is the pin of that very session.
"""

from __future__ import annotations

import io
import json
import os
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from pointsman.shell.client.claude import USER_LINE

PREFIX = "/pointsman:"

CHECK = "POINTSMAN_CHECK"
"""Environment variable that is there when a check guards "done" in this run."""

COMMANDS: Mapping[str, tuple[str, ...]] = {
    "pin": ("pin",), "unpin": ("unpin",), "why": ("why",), "line": ("line",),
    "good": ("mark", "good"), "bad": ("mark", "bad"), "overkill": ("mark", "overkill"),
}
"""What may follow the prefix, and the ``pointsman`` command it stands for."""

USER_LINE_TIMEOUT_S = 5.0
"""Seconds the user's own status line command may take before ours is shown alone."""

Main = Callable[[list[str]], int | None]
"""``pointsman.cli.main``: takes arguments, prints, returns an exit code. Handed in, because nobody imports the CLI."""


def claude(text: str, main: Main) -> str:
    """The answer to one Claude Code hook call with ``text`` on its standard input; empty: nothing to say, go on."""
    payload = _object(text)
    event, session = payload.get("hook_event_name"), str(payload.get("session_id") or "")
    if event == "UserPromptSubmit":
        return _prompt(str(payload.get("prompt") or ""), session, main)
    if event == "Stop" and os.environ.get(CHECK):
        return _stopped(session, payload)
    if event == "SessionEnd" and session:
        _signal(session, str(payload.get("reason") or ""))
    return ""


def _stopped(session: str, payload: Mapping[str, Any]) -> str:
    """The agent says it is done: the check's answer, or nothing."""
    try:
        from pointsman.shell.check import hook as check_hook

        answer = check_hook.stop(session, active=payload.get("stop_hook_active") is True)
    except Exception:  # a hook never stands in the agent's way
        return ""
    return json.dumps(answer) if answer else ""


def other(text: str) -> str:
    """The answer to Codex's Stop hook, or to our OpenCode plugin, which speaks the same form; empty: end the turn."""
    payload = _object(text)
    if payload.get("hook_event_name") != "Stop" or not os.environ.get(CHECK):
        return ""
    return _stopped(str(payload.get("session_id") or ""), payload)


def _prompt(prompt: str, session: str, main: Main) -> str:
    """Block one of our own commands with its result as the reason; let everything else through."""
    words = prompt.strip()
    if not words.startswith(PREFIX):
        return ""
    name, _, rest = words[len(PREFIX) :].partition(" ")
    command = COMMANDS.get(name)
    if command is None:
        return _block(f"{PREFIX}{name} is not known: it is one of {', '.join(PREFIX + known for known in COMMANDS)}")
    try:
        arguments = [*command, *shlex.split(rest)]
    except ValueError as error:
        return _block(f"{words}: {error}")
    return _block(_said(main, [*arguments, "--session", session] if session else arguments))


def _block(reason: str) -> str:
    """Claude Code shows the reason to the user and sends no request."""
    return json.dumps({"decision": "block", "reason": reason})


def _said(main: Main, arguments: list[str]) -> str:
    """What a command prints; an error of ours becomes a sentence, since the prompt must not reach the model."""
    out = io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(out):
            main(arguments)
    except SystemExit:
        pass  # argparse says what was wrong, then exits
    except Exception as error:  # an error of ours must not fall through to the model as a prompt
        out.write(f"pointsman {shlex.join(arguments)}: {error}")
    return out.getvalue().strip() or f"pointsman {shlex.join(arguments)}: done"


def _signal(session: str, reason: str) -> None:
    """Tell the gateway that the client closed the session; without a gateway nobody needs to know."""
    try:
        from pointsman.shell import control

        gateway = control.find_gateway()
        if gateway is not None:
            control.call(gateway, "signal", {"session": session, "kind": "session_end", "detail": {"reason": reason}})
    except Exception:  # a hook never stands in the agent's way
        return


def status_line(text: str, ours: Callable[[str], str], env: Mapping[str, str] | None = None) -> str:
    """The user's own status line, if there is one, and ours under it.

    ``text``: what Claude Code wrote to standard input; ``ours``: session id -> our line. Either may fail: the other stays.
    """
    environment = os.environ if env is None else env
    lines = [_users_line(environment.get(USER_LINE, ""), text, environment)]
    try:
        session = str(_object(text).get("session_id") or "")
        lines.append(ours(session))
    except Exception:  # an error of ours must not empty the user's own line
        lines.append("")
    return "\n".join(line for line in lines if line)


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _users_line(command: str, text: str, env: Mapping[str, str]) -> str:
    """What the user's own command prints for the same input; empty when it fails."""
    if not command:
        return ""
    arguments: Sequence[str] = ("sh", "-c", command)
    try:
        said = subprocess.run(arguments, input=text, capture_output=True, text=True, timeout=USER_LINE_TIMEOUT_S,
                              check=False, env={k: v for k, v in env.items() if k != USER_LINE})
    except (OSError, subprocess.SubprocessError):
        return ""
    return said.stdout.rstrip("\n")
