"""The agents that ``pointsman run`` knows: how each is pointed at the gateway without editing any of its files.

Theory of operation. Every client has one row in ``CLIENTS`` and one function from ``Launch`` (what the user typed, their
environment, our base URL) to ``Wrapped`` (the command and environment to start). Only arguments and environment variables
of the started process change. A base URL that the user had set already becomes the upstream of that run. The facts were
measured on real clients, November 2026 (claude-code 2.1.330, codex 0.169, opencode 1.18.33, aider 0.86.2, qwen-code
0.24.4, gemini-cli 0.61, mini-swe-agent 2.4.6, cline 3.0.65).
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pointsman.errors import SettingsError
from pointsman.shell.client import claude as client_claude
from pointsman.shell.client import cline as client_cline
from pointsman.shell.client import codex as client_codex
from pointsman.shell.client import gemini as client_gemini
from pointsman.shell.client import opencode as client_opencode
from pointsman.shell.client import qwen as client_qwen
from pointsman.shell.launching import Launch, Wrapped, dotenv, endpoint, option, without

Wrap = Callable[[Launch], Wrapped]

_BASES = ("OPENAI_API_BASE", "OPENAI_BASE_URL", "ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL")


@dataclass(frozen=True, slots=True)
class Client:
    """One agent: its commands, the arguments that make it headless, and how it is wrapped.

    ``headless_words``: sub-commands (first word) and ``headless_flags``: options after which it asks nobody anything.
    """

    name: str
    commands: tuple[str, ...]
    wrap: Wrap
    headless_flags: tuple[str, ...] = ()
    headless_words: tuple[str, ...] = ()

    def headless(self, argv: Sequence[str]) -> bool:
        """Whether this command line runs without asking a person."""
        words = [word for word in argv[1:] if not word.startswith("-")]
        flags = {word.split("=", 1)[0] for word in argv[1:] if word.startswith("-")}
        return bool(flags.intersection(self.headless_flags)) or any(word in self.headless_words for word in words[:1])


def _litellm(launch: Launch) -> Wrapped:
    """aider and mini-swe-agent: litellm's variables; what the user had there becomes the upstream."""
    env = dict(launch.env)
    found: list[tuple[str, str]] = []
    theirs = endpoint(option(launch.argv, "--openai-api-base") or env.get("OPENAI_API_BASE")
                      or env.get("OPENAI_BASE_URL"), "/v1")
    env["OPENAI_API_BASE"] = env["OPENAI_BASE_URL"] = launch.base + theirs.path
    found += theirs.upstream("openai")
    anthropic = endpoint(env.get("ANTHROPIC_API_BASE") or env.get("ANTHROPIC_BASE_URL"), "")
    env["ANTHROPIC_API_BASE"] = env["ANTHROPIC_BASE_URL"] = launch.base + anthropic.path
    found += anthropic.upstream("anthropic")
    return Wrapped(tuple(without(launch.argv, "--openai-api-base")), env, tuple(found))


def _aider(launch: Launch) -> Wrapped:
    """aider: as litellm; its ``.env`` files win over the environment, so they are read, and ``--set-env`` over both."""
    filed = _dotenv(launch)
    wrapped = _litellm(replace(launch, env={**launch.env, **filed}))
    for name in sorted(filed):  # aider lets .env win over the environment, and --set-env over .env
        wrapped = replace(wrapped, argv=(*wrapped.argv, "--set-env", f"{name}={wrapped.env[name]}"))
    return wrapped


def _dotenv(launch: Launch) -> dict[str, str]:
    """Base URLs in the .env files that aider reads: home, project, --env-file; later files win."""
    files = [launch.home / ".env", launch.cwd / ".env", Path(option(launch.argv, "--env-file") or ".env")]
    return {name: value for name, value in dotenv(files, launch.cwd).items() if name in _BASES}


def _openai(launch: Launch) -> Wrapped:
    """Any client of OpenAI's SDK."""
    env = dict(launch.env)
    theirs = endpoint(env.get("OPENAI_BASE_URL") or env.get("OPENAI_API_BASE"), "/v1")
    env["OPENAI_BASE_URL"] = env["OPENAI_API_BASE"] = launch.base + theirs.path
    return Wrapped(launch.argv, env, tuple(theirs.upstream("openai")))


def _anthropic(launch: Launch) -> Wrapped:
    """Any client of Anthropic's SDK."""
    env = dict(launch.env)
    theirs = endpoint(env.get("ANTHROPIC_BASE_URL") or env.get("ANTHROPIC_API_BASE"), "")
    env["ANTHROPIC_BASE_URL"] = env["ANTHROPIC_API_BASE"] = launch.base + theirs.path
    return Wrapped(launch.argv, env, tuple(theirs.upstream("anthropic")))


CLIENTS: Mapping[str, Client] = {
    client.name: client
    for client in (
        Client("claude", ("claude",), client_claude.wrap, ("-p", "--print", "-v", "--version", "-h", "--help"),
               client_claude.SUBCOMMANDS),
        Client("codex", ("codex",), client_codex.wrap, ("-V", "--version", "-h", "--help"),
               ("exec", "e", "review", *client_codex.SUBCOMMANDS)),
        Client("opencode", ("opencode",), client_opencode.wrap, ("-v", "--version", "-h", "--help"),
               ("run", *client_opencode.SUBCOMMANDS)),
        Client("aider", ("aider",), _aider, ("-m", "--message", "--msg", "-f", "--message-file", "--commit", "--lint",
                                             "--test", "--version", "-h", "--help", "--exit")),
        Client("mini", ("mini", "mini-extra"), _litellm, ("-y", "--yolo", "--help")),
        Client("qwen", ("qwen",), client_qwen.wrap, ("-p", "--prompt", "-v", "--version", "-h", "--help"),
               client_qwen.SUBCOMMANDS),
        Client("gemini", ("gemini",), client_gemini.wrap, ("-p", "--prompt", "-v", "--version", "-h", "--help"),
               client_gemini.SUBCOMMANDS),
        Client("cline", ("cline",), client_cline.wrap, ("--json", "--acp", "-V", "--version", "-h", "--help"),
               client_cline.SUBCOMMANDS),
        Client("claude-sdk", (), client_claude.wrap_sdk),
        Client("openai", (), _openai),
        Client("anthropic", (), _anthropic),
    )
}
"""Every client by name; ``claude-sdk`` is for programs that use the Claude Agent SDK, ``openai`` and ``anthropic`` for others
that use those vendors' SDKs."""


def identify(argv: Sequence[str], name: str | None = None) -> Client:
    """The client that ``argv`` starts, or the one named. Raises SettingsError that says which are known."""
    if name is not None:
        if name in CLIENTS:
            return CLIENTS[name]
        near = difflib.get_close_matches(name, CLIENTS, 1)
        hint = f"; did you mean {near[0]}" if near else ""
        raise SettingsError(f"--client {name} is not known{hint}: it is one of {', '.join(CLIENTS)}")
    command = Path(argv[0]).name if argv else ""
    for client in CLIENTS.values():
        if command in client.commands:
            return client
    known = ", ".join(name for name, client in CLIENTS.items() if client.commands)
    raise SettingsError(
        f"{command or 'an empty command'!r} is no agent that we know how to wrap: known are {known}. For another one say "
        f"which SDK it uses: `pointsman run --client openai -- ...` sets OPENAI_BASE_URL and OPENAI_API_BASE, "
        f"`--client anthropic` sets ANTHROPIC_BASE_URL and ANTHROPIC_API_BASE, `--client claude-sdk` is for the Claude Agent SDK"
    )


def wrap(client: str, base_url: str, argv: Sequence[str], env: Mapping[str, str], *, cwd: Path | None = None,
         interactive: bool = False, upstream: str | None = None) -> Wrapped:
    """The command and environment that make ``client`` talk to ``base_url``, and the upstreams the user had set.

    ``base_url`` is the gateway with its run path and no trailing slash. ``upstream``: the gateway's own single upstream,
    when it has one. Raises SettingsError when this client cannot be wrapped from outside.
    """
    launch = Launch(base_url.rstrip("/"), tuple(argv), env, cwd or Path.cwd(), interactive, upstream)
    wrapped = identify(argv, client).wrap(launch)
    return replace(wrapped, env=_direct(wrapped.env))


def _direct(env: Mapping[str, str]) -> dict[str, str]:
    """An environment in which a proxy of the user's is not asked for this machine; the gateway asks it for the rest."""
    found = dict(env)
    if any(found.get(name) for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")):
        for name in ("NO_PROXY", "no_proxy"):
            hosts = [host.strip() for host in found.get(name, "").split(",") if host.strip()]
            found[name] = ",".join([*hosts, *(host for host in ("127.0.0.1", "localhost") if host not in hosts)])
    return found


def environment(client: str, base_url: str, argv: Sequence[str], env: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """The command and the environment that make ``client`` talk to ``base_url``."""
    wrapped = wrap(client, base_url, argv, env)
    return list(wrapped.argv), dict(wrapped.env)


def version(argv: Sequence[str], env: Mapping[str, str] | None = None) -> str:
    """What the command says to ``--version``: its first word with a digit; empty when it says nothing within 20 s."""
    import subprocess

    try:
        said = subprocess.run([argv[0], "--version"], capture_output=True, text=True, timeout=20, check=False,
                              stdin=subprocess.DEVNULL, env=dict(env or os.environ))
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return next((word for word in said.stdout.split() if word[:1].isdigit()), "")
