"""``replay`` and ``record``: sessions that are over."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointsman.cli import FAILED, OK, USAGE, Command
from pointsman.cli.files import by_session, is_ledger, own_book
from pointsman.cli.policy_names import HELP
from pointsman.core.events import Event, Routed

if TYPE_CHECKING:
    from pointsman.bench.replay import Report
    from pointsman.core.book import Book

def _replay_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE",
                        help="transcripts, recordings, ledgers (default: your own ledger); plain or gzip'd")
    parser.add_argument("--session", metavar="ID", help="only the session whose id begins so")
    parser.add_argument("--policy", action="append", metavar="NAME", help=f"what it would have done instead; repeatable. {HELP}")
    parser.add_argument("--json", action="store_true", help="one JSON object per session and line")
    parser.add_argument("--brief", action="store_true", help="only the totals")


def _replay(args: Namespace) -> int:
    from pointsman.bench.replay import as_json
    from pointsman.cli.replaying import lines_of, total_lines

    if args.policy:
        return _instead(args)
    book, reports = own_book(), []
    troubles: list[str] = []
    for report in _reports(args.files, book, troubles, args.session):
        reports.append(report)
        if args.json:
            print(json.dumps(as_json(report), ensure_ascii=False))
        elif not args.brief:
            print(*lines_of(report), "", sep="\n")
    for trouble in troubles:
        print(f"pointsman replay: {trouble}", file=sys.stderr)
    if not reports:
        named = f" whose id begins with {args.session!r}" if args.session else ""
        print(f"pointsman replay: no session{named} with a request in there", file=sys.stderr)
        return FAILED
    if not args.json:
        print(*total_lines(reports), sep="\n")
    return OK


def _instead(args: Namespace) -> int:
    """The same sessions under other policies."""
    from pointsman.cli.instead import run

    book = own_book()
    troubles: list[str] = []
    count = run(_sessions(args.files, book, troubles, args.session), args.policy, book, as_json=args.json, brief=args.brief)
    for trouble in troubles:
        print(f"pointsman replay: {trouble}", file=sys.stderr)
    if not count:
        print("pointsman replay: no session with a request in there", file=sys.stderr)
    return OK if count else FAILED


def _reports(files: list[Path], book: Book, troubles: list[str], wanted: str | None) -> Iterator[Report]:
    from pointsman.bench.replay import report

    for events in _sessions(files, book, troubles, wanted):
        yield report(events, book)


def _sessions(files: list[Path], book: Book, troubles: list[str], wanted: str | None) -> Iterator[list[Event]]:
    """The events of every session in ``files`` (none: your own ledger) whose id begins with ``wanted``."""
    from pointsman.shell.history import readers as history
    from pointsman.shell.reading import ledger_path

    ledgers = [path for path in files if is_ledger(path)] if files else [ledger_path()]
    for path in ledgers:
        yield from by_session(path, wanted)
    for events in history.sessions([path for path in files if path not in ledgers], book, troubles):
        name = next((event.session for event in events if isinstance(event, Routed)), None)
        if name is not None and (wanted is None or name.startswith(wanted)):
            yield events


def _record_arguments(parser: ArgumentParser) -> None:
    from pointsman.shell.record import add_arguments

    add_arguments(parser)


def _record(args: Namespace) -> int:
    from pointsman.shell.record import command

    code: Any = command(args)
    return int(code) if code is not None else USAGE


COMMANDS = {
    "replay": Command(
        "What past sessions cost, where they could have switched freely, and what a switch to each neighbour on the ladder\n"
        "would have cost there and elsewhere: toll, way back, and the rest of the session there. ≈ marks modelled figures:\n"
        "the same tokens at the other model's prices; whether it would have solved the task is another question.",
        "  pointsman replay                                     your own ledger\n"
        "  pointsman replay ~/.claude/projects/*/*.jsonl        what you ran before Pointsman\n"
        "  pointsman replay ~/.codex/sessions/2026/*/*/*.jsonl --brief\n"
        "  pointsman replay --session 5f0c --json\n"
        "  pointsman replay --policy always-cheap --policy balanced --policy 5:haiku --brief",
        _replay_arguments, _replay,
    ),
    "record": Command(
        "Record a real agent's traffic against a provider as a session file that demo, replay and the tests can play.\n"
        "Texts are replaced by filler of the same length before anything is written.",
        "  pointsman record --upstream https://api.anthropic.com --out mine.jsonl -- claude -p 'fix the failing test'\n"
        "  pointsman record --upstream http://127.0.0.1:8080 --out mine.jsonl --port 4300      until Ctrl-C",
        _record_arguments, _record,
    ),
}  # fmt: skip
