"""``run`` and ``serve``: the gateway, with an agent wrapped around it or by itself."""

from __future__ import annotations

import os
import sys
from argparse import REMAINDER, ArgumentParser, Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pointsman.cli import OK, Command
from pointsman.errors import SettingsError

if TYPE_CHECKING:
    from pointsman.settings import Settings


NAMING = ("pool", "allow", "deny", "floor", "ceiling", "schedule")
"""Settings of a project or a flag that name models: looked up before the agent starts."""


def _shared(parser: ArgumentParser) -> None:
    """Options of every command that may start a gateway."""
    parser.add_argument("--port", type=int, metavar="N", help="port of the gateway (default 4141; 0: any free one)")
    parser.add_argument("--upstream", action="append", metavar="[VENDOR=]URL",
                        help="where requests go: one base URL for all, or vendor=URL (repeatable)")
    parser.add_argument("--prefer", "--profile", dest="profile", choices=("quality", "balanced", "fast", "saver"),
                        help="quality: the model you ask for, or better (default); balanced: also weaker ones where a check "
                             "guards or your own tasks certify; fast: fewer minutes, never a lower bound on quality; saver: also "
                             "unguarded")
    parser.add_argument("--mode", choices=("auto", "observe"), help="observe: price and record, change nothing")
    parser.add_argument("--schedule", metavar="N:MODEL,...", help="this model from request N of a session on, for tests and "
                        "demonstrations: 2:cheaper,4:asked,6:gpt-6-luna:low")
    parser.add_argument("--config", metavar="FILE", help="another settings file than your own")
    parser.add_argument("--home", metavar="DIR", help="where ledger and gateway file are (default: POINTSMAN_HOME)")


def settings_of(args: Namespace) -> Settings:
    """The settings with these flags on top. Raises SettingsError for a value that cannot be meant."""
    from pathlib import Path

    from pointsman.settings import load

    if args.home:
        os.environ["POINTSMAN_HOME"] = str(Path(args.home).expanduser().absolute())
    alone, by_vendor = upstreams(args.upstream or [])
    flags: dict[str, Any] = {"port": args.port, "profile": args.profile, "mode": args.mode, "upstream": alone,
                             "schedule": args.schedule}
    if by_vendor:
        flags["upstreams"] = by_vendor
    return load(Path(args.config) if args.config else None, flags=flags, projects=not getattr(args, "no_project", False))


def upstreams(given: list[str]) -> tuple[str | None, dict[str, str]]:
    """``--upstream`` values as one URL for all and vendor URLs. Raises SettingsError when two claim the same place."""
    alone: str | None = None
    by_vendor: dict[str, str] = {}
    for value in given:
        vendor, equals, url = value.partition("=")
        named = bool(equals) and "/" not in vendor and ":" not in vendor
        if named and vendor in by_vendor or not named and alone is not None:
            raise SettingsError(f"--upstream {value}: {vendor if named else 'one URL for all'} was given already")
        if named:
            by_vendor[vendor] = url
        else:
            alone = value
    return alone, by_vendor


def _serve_arguments(parser: ArgumentParser) -> None:
    _shared(parser)
    parser.add_argument("--no-project", action="store_true", help="leave .pointsman.toml aside: runs bring their own project's")
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="only loopback: the port spends your keys")


def _serve(args: Namespace) -> int:
    from pointsman import cli
    from pointsman.settings import verify
    from pointsman.shell.control import find_gateway
    from pointsman.shell.prices import load_book
    from pointsman.shell.served import announce, become
    from pointsman.shell.serving import serve

    settings = settings_of(args)
    verify(settings, load_book(settings.prices))
    other = find_gateway()
    if other is not None and other.port != settings.port:
        print(f"pointsman serve: a gateway runs already at {other.url} (process {other.pid}) with the same ledger; pins and "
              "marks go to the newer one only: stop one of them, or give this one a folder of its own with --home",
              file=sys.stderr)
    if cli.alone:
        become(settings, args.host)
    serve(settings, host=args.host, ready=lambda gateway: announce(settings, gateway.url))
    return OK


def _run_arguments(parser: ArgumentParser) -> None:
    _shared(parser)
    guard = parser.add_mutually_exclusive_group()
    guard.add_argument("--check", metavar="COMMAND", help="run it when the agent says it is done and files have changed")
    guard.add_argument("--no-check", dest="check", action="store_const", const="", help="no check in this run, and no offer")
    parser.add_argument("--client", metavar="NAME", help="how to wrap the command, where its name does not say it")
    parser.add_argument("command", nargs=REMAINDER, metavar="-- COMMAND ...", help="the agent and its own arguments")


def _run(args: Namespace) -> int:
    from pointsman.settings import verify
    from pointsman.shell.launch import run
    from pointsman.shell.prices import load_book

    words = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not words:
        raise SettingsError("which agent? for example `pointsman run -- claude`")
    settings = settings_of(args)
    if any(settings.shared(key) or settings.origin(key).startswith("--") for key in NAMING):
        verify(settings, load_book(settings.prices))
    alone, _ = upstreams(args.upstream or [])
    return run(words, settings=settings, client=args.client, upstream=alone, serve=_serve_flags(args), check=args.check,
               figures=_figures)


def _figures(settings: Settings) -> Mapping[str, str]:
    from pointsman.cli.profiles import figures

    return figures(settings)


def _serve_flags(args: Namespace) -> list[str]:
    """The flags for a gateway that ``run`` has to start; what they choose goes with the run's registration."""
    single = {"--config": args.config}
    flags = [word for flag, value in single.items() if value is not None for word in (flag, str(value))]
    _, by_vendor = upstreams(args.upstream or [])  # one URL for all is this run's own and goes with its registration
    return flags + [word for vendor, url in by_vendor.items() for word in ("--upstream", f"{vendor}={url}")]


COMMANDS = {
    "run": Command(
        "Start a coding agent as always, with every model request decided, priced and remembered. Your files are not edited,\n"
        "your keys and logins pass through. At the end it says what was spent, against what you asked for, signed.\n"
        "Starts the gateway, or uses the one that runs.",
        "  pointsman run -- claude\n"
        "  pointsman run --check 'pytest -q' -- claude      a failure is seen before you see \"done\"\n"
        "  pointsman run -- codex exec 'fix the failing test'\n"
        "  pointsman run --upstream https://llm.example.com -- aider\n"
        "  pointsman run --client openai -- ./my-agent      any program that uses that vendor's SDK",
        _run_arguments, _run,
    ),
    "serve": Command(
        "Run the gateway by itself: Anthropic Messages, OpenAI Chat Completions and Responses, and Gemini's generateContent are\n"
        "decided, every other path passes through untouched. Listens on 127.0.0.1 only.",
        "  pointsman serve\n"
        "  pointsman serve --port 4200 --upstream https://llm.example.com\n"
        "  pointsman serve --schedule 2:cheaper,4:asked     a switch down and back, for a test or a demonstration\n"
        "  pointsman serve --upstream anthropic=https://a.example --upstream openai=https://b.example/v1",
        _serve_arguments, _serve,
    ),
}  # fmt: skip
