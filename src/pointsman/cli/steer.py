"""``pin``, ``unpin`` and ``mark``: the wheel in the user's hands, with the price of obeying said at once."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

from pointsman.cli import OK, Command
from pointsman.cli.sessions import Chosen, add_session, choose
from pointsman.core.codec import build
from pointsman.core.events import Mark, Pinned, PinScope
from pointsman.core.timeline import Timeline
from pointsman.errors import LedgerError, PointsmanError, SettingsError
from pointsman.shell.reading import here, latest_session, ledger_path, read_events

if TYPE_CHECKING:
    from pointsman.settings import Settings

SCOPES = get_args(PinScope)
HOLDS = {"turn": "this turn", "task": "this task", "session": "this session", "always": "every session in this folder"}


def _pin_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL[:EFFORT]", help="a model, a tier such as opus, or `asked`")
    parser.add_argument("--scope", choices=SCOPES, default="session", help="how long it holds (default: session)")
    parser.add_argument("--json", action="store_true", help="the pin as JSON")
    add_session(parser)


def _pin(args: Namespace) -> int:
    from pointsman.settings import load
    from pointsman.shell.control import perform

    always = args.scope == "always"
    settings = load()
    try:
        chosen = None if always else choose(args.session)
    except PointsmanError:
        _known(args.model, settings)  # a mistyped model is the nearer mistake
        raise
    given = {"model": args.model, "scope": args.scope, "session": chosen.id if chosen else None,
             "cwd": here() if always else None, "origin": "pointsman pin"}
    price = _price(chosen, args.model, settings) if chosen else ""
    done = perform("pin", given, settings, time.time())
    event = dict(done.event or {})
    if args.json:
        print(json.dumps({**event, "live": done.live}, ensure_ascii=False))
        return OK
    pinned = _pinned(event)
    where = f" ({chosen.id}, {chosen.why})" if chosen else f" ({here()})"
    print(f"pinned {pinned.config} for {HOLDS[args.scope]}{where}; {done.said}.{price}")
    return OK


def _pinned(event: dict[str, Any]) -> Pinned:
    found: Pinned = build(Pinned, {key: value for key, value in event.items() if key != "kind"})
    return found


def _known(name: str, settings: Settings) -> None:
    """Raise SettingsError for a model that nobody knows, with near matches; `asked` needs a session to mean anything."""
    from pointsman.core.pins import parse
    from pointsman.shell.prices import load_book

    if name != "asked":
        parse(name, None, load_book(settings.prices), settings.policy())


def _price(chosen: Chosen, name: str, settings: Settings) -> str:
    """What obeying costs on the next request, and what would be converted; nothing where the session has no request yet.

    Raises SettingsError for a name that cannot be meant or run here, before anything is written.
    """
    from pointsman.cli.obeying import said
    from pointsman.core.evolve import fold
    from pointsman.shell.prices import load_book

    try:
        session = fold(event for _, event in read_events(ledger_path(), session=chosen.id))
    except LedgerError:
        return ""
    if session is None:
        return ""
    policy = replace(settings.policy(), mode="auto")
    text = said(session, name, load_book(settings.prices), policy, time.time())
    return f"\n{text}" if text else ""


def _unpin_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the event as JSON")
    add_session(parser)


def _unpin(args: Namespace) -> int:
    from pointsman.settings import load
    from pointsman.shell.control import perform

    given = {"cwd": here(), "origin": "pointsman unpin"}
    strange = args.session is None and latest_session(ledger_path(), here()) is None
    done = perform("unpin", given, load(), time.time()) if strange else None  # this folder's pin before another folder's session
    chosen = None
    if done is None or done.event is None:
        chosen = choose(args.session)
        done = perform("unpin", {**given, "session": chosen.id}, load(), time.time())
    if args.json:
        print(json.dumps({"event": done.event, "live": done.live}, ensure_ascii=False))
    elif chosen is not None and done.event is None:
        print(f"there was no pin on {chosen.id} ({chosen.why}) or in this folder")
    else:
        ended = chosen is not None and done.event is not None and done.event.get("session") is not None
        held = f"on {chosen.id} ({chosen.why})" if chosen is not None and ended else "always in this folder"
        print(f"unpinned: the pin {held} is gone; {done.said}")
    return OK


def _mark_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("mark", choices=get_args(Mark), help="good; bad; overkill: a weaker model could have done it")
    parser.add_argument("turn", nargs="?", default="last", help="number of the turn, or `last` (default)")
    parser.add_argument("--undo", action="store_true", help="take the mark back")
    parser.add_argument("--json", action="store_true", help="the event as JSON")
    add_session(parser)


def _mark(args: Namespace) -> int:
    from pointsman.settings import load
    from pointsman.shell.control import perform

    chosen = choose(args.session)
    turn = _turn(chosen.id, args.turn)
    if args.undo:
        _held(chosen.id, turn, args.mark)
    given = {"session": chosen.id, "turn": turn, "mark": args.mark, "undo": args.undo, "origin": "pointsman mark"}
    done = perform("mark", given, load(), time.time())
    if args.json:
        print(json.dumps({**(done.event or {}), "live": done.live}, ensure_ascii=False))
    else:
        verb = "took back" if args.undo else "marked"
        print(f"{verb} turn {turn} of {chosen.id} ({chosen.why}): {args.mark}; {done.said}")
    return OK


def _held(session: str, n: int, mark: Mark) -> None:
    """Raise SettingsError where turn ``n`` does not have the ``mark`` that is to be taken back."""
    row = Timeline(event for _, event in read_events(ledger_path(), session=session)).sessions.get(session)
    turn = row.by_turn.get(n) if row is not None else None
    if turn is not None and turn.mark is None:
        raise SettingsError(f"turn {n} of {session} has no mark of yours, so nothing was taken back")
    if turn is not None and turn.mark != mark:
        raise SettingsError(f"turn {n} of {session} is marked {turn.mark}, not {mark}: `pointsman mark {turn.mark} {n} --undo`")


def _turn(session: str, wanted: str) -> int:
    if wanted.isdigit():
        return int(wanted)
    if wanted != "last":
        raise SettingsError(f"{wanted!r} is no turn: give its number, or `last`")
    row = Timeline(event for _, event in read_events(ledger_path(), session=session)).sessions.get(session)
    if row is None or not row.turns:
        raise SettingsError(f"session {session} has no turn yet")
    return row.turns[-1].n


COMMANDS = {
    "pin": Command(
        "Take the wheel. The pin beats every rule, is never dropped silently, and ends only with its scope.\n"
        "An unknown model is refused with near matches; a model that cannot run here is refused with the reason.",
        "  pointsman pin opus                    the newest session in this folder, until it ends\n"
        "  pointsman pin sonnet:high --scope turn\n"
        "  pointsman pin haiku --scope always    every session in this folder\n"
        "  pointsman pin asked                   what the agent asks for, whatever the policy says",
        _pin_arguments, _pin,
    ),
    "unpin": Command(
        "Give the wheel back: ends the session's pin, else the one that always holds in this folder.",
        "  pointsman unpin\n  pointsman unpin --session 5f0c",
        _unpin_arguments, _unpin,
    ),
    "mark": Command(
        "Judge a turn. Marks are evidence for later decisions and never change a bill.",
        "  pointsman mark good              the last turn of the newest session in this folder\n"
        "  pointsman mark overkill 7        a weaker model could have done turn 7\n"
        "  pointsman mark bad 7 --undo",
        _mark_arguments, _mark,
    ),
}  # fmt: skip
