"""The real clients: where they are, how they are installed, started headless, and kept away from the user's own files.

Looked for in ``POINTSMAN_CLIENTS`` (a list of folders like PATH), then in the user's cache, where ``find`` installs the
pinned versions when npm or pip can, then in PATH. A client that cannot be had is a reason to skip, never a failure.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import platformdirs

VERSIONS = {"claude": "2.1.330", "codex": "0.169.0", "opencode": "1.18.33", "aider": "0.86.2"}
"""The versions that sessions/ was recorded with and WIRE.md's facts were measured on."""

_NPM = {"claude": "@anthropic-ai/claude-code", "codex": "@openai/codex", "opencode": "opencode-ai"}
_CACHE = Path(platformdirs.user_cache_dir("pointsman")) / "clients"


def find(client: str) -> tuple[Path | None, str]:
    """The client's executable, or None with the reason why it cannot be had."""
    listed = os.environ.get("POINTSMAN_CLIENTS", "").split(os.pathsep)
    folders = [Path(folder) for folder in listed if folder]
    folders += [_folder(client) / "node_modules" / ".bin", _folder(client) / "bin"]
    for folder in folders:
        if (folder / client).exists():
            return folder / client, ""
    found, why = _installed(client)
    on_path = None if found else shutil.which(client)
    return (Path(on_path), "") if on_path else (found, why)


def _folder(client: str) -> Path:
    return _CACHE / f"{client}-{VERSIONS[client]}"


def _installed(client: str) -> tuple[Path | None, str]:
    """Install the pinned version under the user's cache."""
    folder = _folder(client)
    if client == "aider":
        venv.create(folder, with_pip=True)
        command = [str(folder / "bin" / "pip"), "install", "-q", f"aider-chat=={VERSIONS[client]}"]
        found = folder / "bin" / client
    else:
        if shutil.which("npm") is None:
            return None, f"{client} is not installed, and there is no npm to install {_NPM[client]}@{VERSIONS[client]} with"
        folder.mkdir(parents=True, exist_ok=True)
        allowed = {"private": True, "allowScripts": {_NPM[client]: True}}  # npm 11 runs no install script unasked
        (folder / "package.json").write_text(json.dumps(allowed))
        command = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", f"{_NPM[client]}@{VERSIONS[client]}"]
        found = folder / "node_modules" / ".bin" / client
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=600)
    except (OSError, subprocess.SubprocessError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        return None, f"{client} {VERSIONS[client]} is not installed and could not be: {error}"
    return (found, "") if found.exists() else (None, f"{command[0]} installed no {client}")


def environment(home: Path, *, quiet: bool = True) -> dict[str, str]:
    """An environment with a home of its own, fake keys and no telemetry."""
    home.mkdir(parents=True, exist_ok=True)
    env = {
        "HOME": str(home), "PATH": os.environ.get("PATH", "/usr/bin:/bin"), "TERM": "xterm-256color", "LANG": "C.UTF-8",
        "USER": "dev", "SHELL": "/bin/bash", "ANTHROPIC_API_KEY": "fake-key", "OPENAI_API_KEY": "fake-key",
        "DISABLE_TELEMETRY": "1", "DISABLE_ERROR_REPORTING": "1", "DISABLE_AUTOUPDATER": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1", "OPENCODE_DISABLE_AUTOUPDATE": "1", "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "PYTHONDONTWRITEBYTECODE": "1", "GIT_CONFIG_GLOBAL": os.devnull,
    }
    if quiet:
        env["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"] = "1"
    return env


def headless(client: str, executable: Path, model: str, prompt: str, *, resume: bool = False) -> list[str]:
    """The command line that has ``client`` do ``prompt`` and exit; ``resume`` continues the folder's last session."""
    command = str(executable)
    if client == "claude":
        return [command, "-p", prompt, "--model", model, "--permission-mode", "acceptEdits",
                "--allowedTools", "Bash,Read,Edit,Write,Agent", *(["--continue"] if resume else [])]
    if client == "codex":
        return [command, "-c", 'sandbox_mode="danger-full-access"', "exec", *(["resume", "--last"] if resume else []),
                "--skip-git-repo-check", "--json", "-m", model, prompt]
    if client == "opencode":
        return [command, "run", "-m", model, *(["--continue"] if resume else []), prompt]
    name = f"anthropic/{model}" if model.startswith("claude") else f"openai/{model}"
    return [command, "--model", name, "--message", prompt, "--yes-always", "--no-git", "--no-check-update",
            "--analytics-disable", "--no-show-model-warnings", "--map-tokens", "0"]


def python() -> str:
    """This interpreter, for small agents in tests."""
    return sys.executable
