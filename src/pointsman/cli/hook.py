"""``hook``: what an agent's plugin calls. Standard library only; it answers in milliseconds and never stands in the way."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from pointsman.cli import OK, Command, main


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("client", nargs="?", default="claude", choices=("claude", "codex", "opencode"), help="whose hook calls")


def _run(args: Namespace) -> int:
    from pointsman.shell import hooks

    text = sys.stdin.read()
    answer = hooks.claude(text, main) if args.client == "claude" else hooks.other(text)
    if answer:
        print(answer)
    return OK


COMMANDS = {
    "hook": Command(
        "Called by an agent's plugin with one hook event on standard input; answers on standard output.",
        "  echo '{\"hook_event_name\": \"SessionEnd\"}' | pointsman hook claude",
        _arguments, _run,
    ),
}  # fmt: skip
