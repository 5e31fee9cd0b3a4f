"""``pointsman run``: an agent wrapped from start to end. The gateway is found or started, the agent's code is returned.

The agent shares the terminal: Ctrl-C and window changes reach it from there, and nothing of ours is written while it
runs in a terminal of its own making. At the end one line says what was spent, against the asked model, signed.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from pointsman.core.codec import encode
from pointsman.core.policies import own_fields
from pointsman.errors import LedgerError, SettingsError
from pointsman.shell import answers
from pointsman.shell.check import guarding
from pointsman.shell.check.checks import ENV
from pointsman.shell.client import table as clients
from pointsman.shell.keeper import Keeper
from pointsman.shell.reading import here, ledger_path
from pointsman.shell.vendors import VENDORS

if TYPE_CHECKING:
    from pointsman.core.rows import Totals
    from pointsman.settings import Settings
    from pointsman.shell.check.guarding import RunGuard
    from pointsman.shell.control import Found

UNREACHED = 502
"""Status of our own answer where no provider gave one; then the row has an ``error``, which a provider's 502 has not."""


def say_on_stderr(sentence: str) -> None:
    """One line on standard error."""
    print(f"pointsman: {sentence}", file=sys.stderr, flush=True)


def run(
    argv: Sequence[str], *, settings: Settings, client: str | None = None, upstream: str | None = None,
    serve: Sequence[str] = (), env: Mapping[str, str] | None = None, say: Callable[[str], None] = say_on_stderr,
    check: str | None = None, figures: Callable[[Settings], Mapping[str, str]] = lambda settings: {},
) -> int:  # fmt: skip
    """Start ``argv`` wrapped and return its exit code (128 + n when signal n ended it).

    ``client``: which client it is, when its command does not say so. ``upstream``: where this run's requests go,
    whatever the user's environment names. ``serve``: flags for a gateway that has to be started. ``check``: the command
    that guards "done" ("": none; None: as the settings or the person say). ``figures``: by profile, what it would have meant
    on the person's own sessions, for the question which one to use. Raises SettingsError
    for an agent that is not known or not there, UpstreamError when no gateway can be started.
    """
    known = clients.identify(argv, client)
    environment = dict(os.environ if env is None else env)
    if shutil.which(argv[0], path=environment.get("PATH")) is None:
        raise SettingsError(f"{argv[0]} is not in your PATH: install it, or give its full path after --")
    interactive = sys.stdin.isatty() and sys.stdout.isatty() and not known.headless(argv)
    later: list[str] = []
    name = secrets.token_hex(4)
    guard = guarding.choose(settings, name, known.name, interactive=interactive, flag=check, say=say)
    if guard is not None and interactive:
        settings = answers.asked(settings, lambda: figures(settings))
    environment.pop(ENV, None)
    keeper = Keeper(settings.port, serve, later.append if interactive else say, environment)
    wrapped = None
    code = 1
    try:
        found = keeper.open()
        if guard is not None:
            say(guarding.sentence(guard, settings))
            environment |= guard.open()
        wrapped = clients.wrap(known.name, f"{found.url}/run/{name}", argv, environment, interactive=interactive,
                               upstream=upstream or settings.upstream or settings.upstreams.get("anthropic"))
        for note in wrapped.notes:
            say(note)
        upstreams = dict.fromkeys(VENDORS, upstream) if upstream else dict(wrapped.upstreams)
        keeper.register({"run": name, "client": known.name, "cwd": here(), "interactive": interactive,
                         "upstreams": upstreams, **own_rules(settings), **(guard.registration() if guard else {})})
        code = _guarded(wrapped.argv, dict(wrapped.env), guard, lambda: keeper.found, later.append if interactive else say)
    finally:
        if wrapped is not None and wrapped.after is not None:
            wrapped.after()
        keeper.close(code)
        if guard is not None:
            guard.close()
        for sentence in later:
            say(sentence)
        if keeper.trouble:
            say(f"{keeper.trouble}; what could not be written is missing below")
    with suppress(LedgerError):
        for sentence in notes(name):
            say(sentence)
        say(closing(name, whole=not keeper.trouble))
    return code


def own_rules(settings: Settings) -> dict[str, Any]:
    """What a run tells the gateway of its own settings: whatever is written somewhere holds for its requests."""
    own = own_fields(frozenset(settings.written))
    return {"policy": encode(settings.policy()), "own": list(own)} if own else {}


def closing(run: str, path: Path | None = None, *, whole: bool = True) -> str:
    """One line on what a run cost, against what was asked. ``whole``: everything could be written. Raises LedgerError."""
    totals, subscription, unreached = _totals(run, path or ledger_path())
    refused = totals.errors - unreached
    if not totals.requests:
        return "no model request came through in this run" if whole else "no request of this run is in the ledger"
    mark = "≈" if totals.modelled else ""
    count = f"{totals.requests} request{'s' if totals.requests > 1 else ''}"
    parts = [f"{count}, {_usd(totals.spent)} {'at list prices (a subscription pays)' if subscription else 'billed'}"
             + (" at least" if totals.bounded else "")]
    parts.append(f"as asked {mark}{_usd(totals.asked)}")
    if totals.modelled:
        parts.append(f"net {mark}{'-' if totals.net < 0 else '+'}{_usd(abs(totals.net))}")
    elif totals.errors < totals.requests:
        parts.append("every request ran on the model that was asked for")
    if totals.unknown:
        parts.append(f"{totals.unknown} without a bill")
    if refused:
        parts.append(f"{refused} refused by the provider")
    if unreached:
        parts.append(f"{unreached} without an answer: the provider could not be reached")
    return " · ".join(parts)


def notes(run: str, path: Path | None = None) -> list[str]:
    """What the gateway had to tell a person since this run began; its own words went to a log. Raises LedgerError."""
    from pointsman.shell.reading import reader

    began = "(SELECT min(ts) FROM event WHERE kind = 'RunStarted' AND json_extract(body, '$.run') = ?)"
    query = f"SELECT DISTINCT json_extract(body, '$.text') FROM event WHERE kind = 'Noted' AND ts >= {began}"
    with reader(path or ledger_path()) as connection:
        return [str(row[0]) for row in connection.execute(query, (run,)).fetchall()]


def _totals(run: str, path: Path) -> tuple[Totals, bool, int]:
    """The money of all sessions of a run, whether a subscription pays, and how many requests reached no provider."""
    from pointsman.core.events import Routed
    from pointsman.core.rows import Totals
    from pointsman.core.timeline import Timeline
    from pointsman.shell.reading import read_events

    timeline = Timeline()
    ours: list[str] = []
    subscription = False
    for session in _sessions(run, path):
        for _, event in read_events(path, session=session):
            timeline.apply(event)
            if isinstance(event, Routed) and event.request.run == run:
                ours.append(event.id)
                subscription = subscription or event.request.auth == "subscription"
    totals = Totals()
    unreached = 0
    for id in ours:
        row = timeline.request(id)
        if row is not None and row.purpose != "count":
            totals.add(row)
            unreached += row.failed and row.status == UNREACHED and row.error is not None
    return totals, subscription, unreached


def _sessions(run: str, path: Path) -> list[str]:
    """The sessions that took requests of this run (a resumed one has others too)."""
    from pointsman.shell.reading import reader

    query = "SELECT DISTINCT session FROM event WHERE kind = 'Routed' AND json_extract(body, '$.request.run') = ?"
    with reader(path) as connection:
        return [str(row[0]) for row in connection.execute(query, (run,)).fetchall()]


def _usd(amount: float) -> str:
    """Dollars with cents; below a dollar with four figures behind the point, below a tenth of a cent with six."""
    return f"${amount:.{2 if amount >= 1 else 4 if amount >= 0.001 or not amount else 6}f}"


def _guarded(
    argv: Sequence[str], env: Mapping[str, str], guard: RunGuard | None, found: Callable[[], Found | None],
    say: Callable[[str], None],
) -> int:  # fmt: skip
    """Run the agent; where its check fails and it can be started again with the failure as its task, do that."""
    while True:
        if guard is None:
            return _attended(argv, env)
        guard.begin(found)
        code = _attended(argv, env)
        more = guard.after(code, argv, say)
        if more is None:
            return code
        argv = more


def _attended(argv: Sequence[str], env: Mapping[str, str]) -> int:
    """Run the agent in this terminal; signals sent to us go to it. Returns its exit code as a shell would."""
    with _signals() as forward:
        try:
            agent = subprocess.Popen(argv, env=dict(env))
        except FileNotFoundError as error:
            raise SettingsError(f"{argv[0]} cannot be started: {error.strerror}") from error
        except PermissionError as error:
            raise SettingsError(f"{argv[0]} cannot be started: {error.strerror}; is it executable?") from error
        forward(agent)
        code = agent.wait()
    return 128 - code if code < 0 else code


@contextmanager
def _signals() -> Iterator[Callable[[subprocess.Popen[bytes]], None]]:
    """Hand SIGTERM and SIGHUP to the agent, and SIGINT unless the terminal has sent it to the agent already."""
    agent: list[subprocess.Popen[bytes]] = []
    waiting: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if not agent:
            waiting.append(number)
        elif number != signal.SIGINT or not _from_terminal():
            with suppress(ProcessLookupError):
                agent[0].send_signal(number)

    def forward(process: subprocess.Popen[bytes]) -> None:
        agent.append(process)
        for number in waiting:
            handle(number, None)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield forward
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _from_terminal() -> bool:
    """Whether we are in a terminal's foreground group: then Ctrl-C reached the agent too, and once is enough."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False
