"""``tui``, ``why`` and ``line``: views of one ledger. ``why`` and ``line`` must be quick: standard library only."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pointsman.cli import OK, Command
from pointsman.cli.regrets import regret_lines
from pointsman.cli.sessions import add_session, choose
from pointsman.core.codec import encode
from pointsman.core.events import Event
from pointsman.core.rows import SessionRow, TurnRow
from pointsman.core.timeline import Timeline
from pointsman.errors import SettingsError
from pointsman.shell.reading import ledger_path, read_events
from pointsman.shell.userdata import user_record
from pointsman.tui.certified import more
from pointsman.tui.figures import ansi, plain


def _why_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("turn", nargs="?", default="last", help="number of the turn, or `last` (default)")
    parser.add_argument("--from", dest="source", metavar="FILE", type=Path, help="a ledger, recording or transcript")
    parser.add_argument("--json", action="store_true", help="the decision and its bill as JSON")
    add_session(parser)


def _why(args: Namespace) -> int:
    from pointsman.tui.reasons import why

    session = _session(args.source, args.session)
    turn = _turn(session, args.turn)
    if turn.decision is None:
        raise SettingsError(f"turn {turn.n} has no decision: it was passed through undecided")
    if args.json:
        print(json.dumps(_turn_json(session, turn), indent=2, ensure_ascii=False))
        return OK
    decided = next((row for row in turn.requests if row.decision is turn.decision), None)
    lines = why(turn.decision, _width(), turn=turn, request=decided, history=session.turns, now=time.time(),
                more=more(user_record(), turn.decision) if args.source is None else (),
                advice=_in_memory(turn) if args.source is None else None)
    print(f"{session.id} · turn {turn.n} of {session.turns[-1].n}")
    _show([*lines, *regret_lines(_events_of(args.source, session.id), turn.n, _width())])
    return OK


def _in_memory(turn: TurnRow) -> dict[str, str]:
    """What advisors said in this turn, as far as a running gateway still has it."""
    if not any(row.advice for row in turn.requests):
        return {}
    from pointsman.shell import control

    found = control.find_gateway()
    return control.advice(found) if found is not None else {}


def _session(source: Path | None, given: str | None) -> SessionRow:
    """The session meant, folded from the ledger or from a file."""
    if source is None:
        timeline = Timeline(event for _, event in read_events(ledger_path(), session=choose(given).id))
    else:
        from pointsman.cli.files import events_in

        timeline = Timeline(events_in(source))
    rows = [row for row in timeline.sessions.values() if given is None or row.id.startswith(given)]
    if not rows:
        raise SettingsError(f"there is no session {given or ''} in {source or ledger_path()}".replace("  ", " "))
    return max(rows, key=lambda row: row.seen)


def _events_of(source: Path | None, session: str) -> list[Event]:
    """The events of one session, from the ledger or from a file."""
    if source is None:
        return [event for _, event in read_events(ledger_path(), session=session)]
    from pointsman.cli.files import events_in

    return [event for event in events_in(source) if getattr(event, "session", None) == session]


def _turn(session: SessionRow, wanted: str) -> TurnRow:
    if not session.turns:
        raise SettingsError(f"session {session.id} has no turn yet: only housekeeping came through")
    if wanted == "last":
        return session.turns[-1]
    if not wanted.isdigit():
        raise SettingsError(f"{wanted!r} is no turn: give its number, or `last`")
    turn = session.by_turn.get(int(wanted))
    if turn is None:
        raise SettingsError(f"session {session.id} has no turn {wanted}: it has {session.turns[0].n} to {session.turns[-1].n}")
    return turn


def _turn_json(session: SessionRow, turn: TurnRow) -> dict[str, Any]:
    totals = turn.totals
    return {
        "session": session.id, "turn": turn.n, "outcome": turn.outcome, "kind": turn.kind, "requests": totals.requests,
        "billed_usd": totals.spent, "billed_at_least": bool(totals.bounded or totals.unknown), "as_asked_usd": totals.asked,
        "net_usd": totals.net, "modelled": totals.modelled, "unknown_requests": totals.unknown,
        "decision": encode(turn.decision),
    }  # fmt: skip


def _show(lines: Iterable[Any]) -> None:
    print(ansi(lines) if sys.stdout.isatty() and "NO_COLOR" not in os.environ else plain(lines))


def _width() -> int:
    return min(140, max(40, shutil.get_terminal_size((100, 24)).columns))


def _line_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--client", choices=("claude",), help="read its status JSON on stdin, and run the user's own line first")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    add_session(parser)


def _line(args: Namespace) -> int:
    """Print the line. As a client's status line it never fails and never hides the user's own line."""
    if args.client:
        from pointsman.shell.hooks import status_line

        print(status_line(sys.stdin.read(), lambda session: _line_text(session or args.session, args.json)))
    else:
        print(_line_text(args.session, args.json))
    return OK


def _line_text(wanted: str | None, as_json: bool) -> str:
    from pointsman.tui.view import line

    chosen = choose(wanted)
    row = Timeline(event for _, event in read_events(ledger_path(), session=chosen.id)).sessions.get(chosen.id)
    if row is None:
        raise SettingsError(f"session {chosen.id} has no request yet")
    if as_json:
        totals = row.totals
        return json.dumps({
            "session": row.id, "model": str(row.newest.ran) if row.newest else None, "spent_usd": totals.spent,
            "as_asked_usd": totals.asked, "net_usd": totals.net, "modelled": totals.modelled, "pinned": bool(row.pin),
        })  # fmt: skip
    return plain([line(row, time.time())])


def _tui_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("source", nargs="?", type=Path, metavar="FILE",
                        help="a ledger, one of our recordings, or a client's own transcript (default: your ledger, live)")
    parser.add_argument("--screenshot", type=Path, metavar="SVG", help="write one picture and end")
    parser.add_argument("--size", default="140x40", metavar="COLSxROWS", help="size of that picture (default 140x40)")
    add_session(parser)


def _tui(args: Namespace) -> int:
    from pointsman.cli import screens

    return screens.show(args.source, args.session, args.screenshot, args.size)


COMMANDS = {
    "why": Command(
        "Explain one turn: the decision, what it was billed, every alternative with its price, what would have flipped it,\n"
        "which rules and gates took part. ≈ marks modelled figures.",
        "  pointsman why                     the last turn of the newest session in this folder\n"
        "  pointsman why 5                   its turn 5\n"
        "  pointsman why 5 --from run.jsonl  a recording, a ledger, or a client's own transcript\n"
        "  pointsman why --json | jq .decision.candidates",
        _why_arguments, _why,
    ),
    "line": Command(
        "One line about the newest session: model, difficulty, cache, dollars spent, and the same as asked.",
        "  pointsman line                    in a shell prompt or tmux status\n"
        "  pointsman line --session 5f0c     of one session\n"
        "  pointsman line --client claude    as Claude Code's statusLine command (`pointsman run` sets this up)",
        _line_arguments, _line,
    ),
    "tui": Command(
        "Watch sessions live, or look at any ledger, recording or transcript afterwards. `?` inside shows the keys.",
        "  pointsman tui                     your ledger, live\n"
        "  pointsman tui old-ledger.db       another ledger\n"
        "  pointsman tui ~/.claude/projects/x/SESSION.jsonl\n"
        "  pointsman tui --screenshot now.svg",
        _tui_arguments, _tui,
    ),
}  # fmt: skip
