"""``demo``: a provider, the gateway and scripted agents in one process, on a clock of their own; nothing leaves the machine."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pointsman.cli import OK, Command

if TYPE_CHECKING:
    from pointsman.sandbox.clock import Clock
    from pointsman.sandbox.recorded import RecordedSession

RECORDED = ("claude_code-sonnet-4-5-subagent.jsonl", "codex-gpt-5-5-plain.jsonl")
"""Sessions of real clients that the demo plays before its own."""

PAUSE_S = 0.35
"""Real seconds between two requests when somebody watches."""


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--no-tui", action="store_true", help="print timelines and the signed total, open no screens")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="another seed gives other texts and sizes (default 0)")
    parser.add_argument("--keep", action="store_true", help="keep the demo's ledger and say where it is")


def _run(args: Namespace) -> int:
    from pointsman.sandbox.clock import Clock

    with _orderly(), _home(args.keep) as home:
        clock = Clock()
        if args.no_tui or not (sys.stdin.isatty() and sys.stdout.isatty()):
            asyncio.run(_play(clock, args.seed, 0.0, threading.Event()))
            _print(clock())
        else:
            _watch(clock, args.seed)
        if args.keep:
            print(f"kept: POINTSMAN_HOME={home} pointsman tui", file=sys.stderr)
    return OK


@contextmanager
def _orderly() -> Iterator[None]:
    """Being ended or left without a terminal goes like Ctrl-C: nothing of the demo stays behind."""
    own = threading.current_thread() is threading.main_thread()
    numbers = [n for n in (signal.SIGTERM, signal.SIGHUP) if own and signal.getsignal(n) == signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def _home(keep: bool) -> Iterator[Path]:
    """A folder of the demo's own as POINTSMAN_HOME, so that the user's ledger and gateway are not touched."""
    folder = Path(tempfile.mkdtemp(prefix="pointsman-demo-"))
    before = os.environ.get("POINTSMAN_HOME")
    os.environ["POINTSMAN_HOME"] = str(folder)
    try:
        yield folder
    finally:
        if before is None:
            del os.environ["POINTSMAN_HOME"]
        else:
            os.environ["POINTSMAN_HOME"] = before
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


async def _play(clock: Clock, seed: int, pause: float, over: threading.Event) -> None:
    """Start provider and gateway, play the recorded sessions and the demo's own; then keep serving until ``over``."""
    from pointsman.cli import demo_check, demo_session
    from pointsman.sandbox.incoming import Incoming
    from pointsman.sandbox.provider import Provider
    from pointsman.sandbox.recorded import Replies, load
    from pointsman.sandbox.reply import Reply
    from pointsman.sandbox.tasks import tool_task
    from pointsman.settings import Settings
    from pointsman.shell.gateway import Gateway
    from pointsman.shell.resources import folder

    recorded = [load(folder("sessions") / name) for name in RECORDED]
    replies = Replies(*recorded, otherwise=tool_task())

    def script(request: Incoming) -> Reply:
        if request.session == demo_check.SESSION:
            return demo_check.script(request)
        return demo_session.script(request) if request.session == demo_session.SESSION else replies(request)

    dice = random.Random(seed)
    guarded = Settings(profile="balanced", failure_usd=2.0)  # a task that a check guards may begin on a weaker model
    async with Provider(clock=clock, script=script, seed=seed, speed=1.0) as provider:
        async with Gateway(guarded, upstream=provider.url, clock=clock, dice=dice.random, announced=True) as gateway:
            await demo_check.play(gateway.url, clock, pause, over)
        clock.advance(600)
        async with Gateway(Settings(), upstream=provider.url, clock=clock, dice=dice.random, announced=True) as gateway:
            for session in recorded:
                await _requests(session, gateway.url, clock, pause, over)
                clock.advance(600)
            await _own_session(gateway.url, clock, seed, pause, over)
            while pause and not over.is_set():
                await asyncio.sleep(0.1)


async def _own_session(url: str, clock: Clock, seed: int, pause: float, over: threading.Event) -> None:
    """The demo's session, with its pins and marks at the right moments."""
    from pointsman.cli import demo_session
    from pointsman.sandbox.recorded import RecordedSession

    for number, (turn, rows) in enumerate(demo_session.played(seed), 1):
        if over.is_set():  # what was not played can be neither pinned nor marked
            return
        if turn.pin is not None:
            pin = {"model": turn.pin, "scope": "session"} if turn.pin else {}
            await asyncio.to_thread(_control, "pin" if turn.pin else "unpin", {"session": demo_session.SESSION, **pin})
        for row in rows:
            await _requests(RecordedSession({}, (row,)), url, clock, pause, over)
        if turn.mark is not None and not over.is_set():
            await asyncio.to_thread(_control, "mark", {"session": demo_session.SESSION, "turn": number, "mark": turn.mark})


def _control(action: str, arguments: dict[str, object]) -> None:
    from pointsman.shell import control

    found = control.find_gateway()
    if found is not None:
        control.call(found, action, arguments)


async def _requests(session: RecordedSession, url: str, clock: Clock, pause: float, over: threading.Event) -> None:
    """Play a recording one request at a time, so that somebody can watch and leave."""
    from pointsman.sandbox.agent import play
    from pointsman.sandbox.recorded import RecordedSession

    before = 0.0
    for row in session.played:
        if over.is_set():
            return
        shift = before if len(session.played) > 1 else 0.0
        end = row.t_end if row.t_end is not None else row.t
        single = replace(row, t=max(0.0, row.t - shift), t_end=max(0.0, end - shift), stop="end")  # Codex hangs up as it exits
        await play(RecordedSession(session.head, (single,)), url, clock)
        before = end
        if pause:
            await asyncio.sleep(pause)


def _watch(clock: Clock, seed: int) -> None:
    """The screens in front, everything else in a thread behind them; what fails there is raised here."""
    from pointsman.cli import screens
    from pointsman.settings import ANSWERS_FILE, Settings
    from pointsman.shell.reading import home

    over = threading.Event()
    failed: list[BaseException] = []

    def behind() -> None:
        try:
            asyncio.run(_play(clock, seed, PAUSE_S, over))
        except BaseException as error:  # shown in front once the screens are closed
            failed.append(error)

    thread = threading.Thread(target=behind, name="demo", daemon=True)
    thread.start()
    try:
        screens.live(clock=clock, settings=Settings(), answers=home() / ANSWERS_FILE).run()
    finally:
        over.set()
        thread.join(20)
    if failed:
        raise failed[0]


def _print(now: float) -> None:
    """Every session's timeline and sum, then the total, signed."""
    from pointsman.core.timeline import Timeline
    from pointsman.shell.reading import ledger_path, read_events
    from pointsman.tui import view
    from pointsman.tui.figures import plain

    timeline = Timeline(event for _, event in read_events(ledger_path()))
    for session in timeline.sessions.values():
        print(f"{session.title or session.id} · {session.client}")
        print(plain(view.timeline(session, 100)))
        print(plain([view.closing(session.totals, session.interrupted)]), end="\n\n")
    print("total: " + plain([view.closing(timeline.totals)]))
    print("bills of the demo's own provider, at list prices; ≈ is modelled; net: + saved against what was asked, − spent on top")


COMMANDS = {
    "demo": Command(
        "Watch a routed session without a key: a provider, the gateway and scripted agents run in this process on a clock of\n"
        "their own. In a terminal it opens the screens, live: try p (pin), w/j/k, g/b/o (marks), ?.",
        "  pointsman demo\n"
        "  pointsman demo --no-tui           print the timeline and the signed total\n"
        "  pointsman demo --keep             then look around: pointsman why, pointsman replay ...",
        _arguments, _run,
    ),
}  # fmt: skip
