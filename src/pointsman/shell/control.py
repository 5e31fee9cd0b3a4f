"""Control of a running gateway: pins, marks, signals and runs over loopback, and the commands' side of it.

Standard library only, so that ``pin``, ``mark`` and hooks start fast. The routes are under ``/_pointsman/`` on the
gateway's own port. Two locks: the Host header must name this machine (a web page cannot rebind its name to us), and
everything but ``health`` needs the bearer token from ``gateway.json`` (mode 0600) in the home folder.

    GET  health                                     who runs, what it counted, whether its ledger can be written
    GET  sessions                                   sessions in memory, newest last
    GET  advice                                     what advisors said, by id, as long as it is in memory
    POST pin     {model, scope, session, cwd, origin}
    POST unpin   {session, cwd, origin}
    POST mark    {session, turn, mark, undo, origin}
    POST signal  {session, kind, detail}
    POST check   {event, retries}                   what a check said of a session's work
    POST rule    {kind, answer}                     the answer to a rule that was proposed
    POST run     {run, client, cwd, interactive, upstreams, guard, policy, own} begins a wrapped run; {run, code} ends it
"""

from __future__ import annotations

import contextlib
import hmac
import http.client
import json
import os
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pointsman.core.codec import build, decode, encode
from pointsman.core.events import Answer, Checked, Event, Guard, Mark, PinScope, RunEnded, RunStarted, Verdict
from pointsman.core.policy import Policy
from pointsman.errors import LedgerError, SettingsError, UpstreamError
from pointsman.shell.ports import LOOPBACK, health
from pointsman.shell.reading import home, unusable

if TYPE_CHECKING:
    from pointsman.engine import Router
    from pointsman.settings import Settings

PREFIX = "/_pointsman/"
GATEWAY_FILE = "gateway.json"
LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
WAIT_S = 5.0

ALLOWED: Mapping[str, frozenset[str]] = {
    "pin": frozenset({"model", "scope", "session", "cwd", "origin"}),
    "unpin": frozenset({"session", "cwd", "origin"}),
    "mark": frozenset({"session", "turn", "mark", "undo", "origin"}),
    "signal": frozenset({"session", "kind", "detail"}),
    "check": frozenset({"event", "retries"}),
    "rule": frozenset({"kind", "answer"}),
    "run": frozenset({"run", "client", "cwd", "interactive", "upstreams", "guard", "policy", "own", "code"}),
}
"""What each action takes; anything else is refused by name."""


@dataclass(frozen=True, slots=True)
class Found:
    """A gateway that answers. ``started``: epoch seconds."""

    port: int
    pid: int
    token: str
    version: str
    started: float

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://{LOOPBACK}:{self.port}"


@dataclass(frozen=True, slots=True)
class Done:
    """What an action came to: the event it wrote (None: there was nothing to do). ``live``: a gateway took it."""

    event: dict[str, Any] | None
    live: bool

    @property
    def said(self) -> str:
        """Where it was written, for the person who asked."""
        if self.live:
            return "the running gateway has it"
        return "no gateway is running: it is in the ledger and holds from the next start"


# -- the client side ---------------------------------------------------------------------------------------------------


def announce(found: Found, folder: Path | None = None) -> Path:
    """Write ``gateway.json`` for the commands to find, readable by its owner only; returns its path. Raises LedgerError."""
    folder = folder or home()
    path, draft = folder / GATEWAY_FILE, folder / f"{GATEWAY_FILE}.{os.getpid()}"
    values = {name: getattr(found, name) for name in Found.__dataclass_fields__}
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w") as file:
            json.dump(values, file)
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise unusable(folder, error) from error
    return path


def withdraw(found: Found, folder: Path | None = None) -> None:
    """Remove ``gateway.json`` if it is still about this gateway."""
    path = (folder or home()) / GATEWAY_FILE
    if _announced(path) == found:
        path.unlink(missing_ok=True)


def find_gateway(folder: Path | None = None, timeout: float = 1.0) -> Found | None:
    """The gateway announced in the home folder, if its process lives and answers under its own name; else None."""
    found = _announced((folder or home()) / GATEWAY_FILE)
    if found is None or not _alive(found.pid):
        return None
    said = health(found.port, timeout)
    return found if said is not None and said.get("pid") == found.pid else None


def call(
    found: Found, action: str, arguments: Mapping[str, Any] | None = None, *, timeout: float = WAIT_S
) -> dict[str, Any]:
    """The gateway's answer to an action; without arguments a GET. SettingsError in its words, or UpstreamError."""
    body = None if arguments is None else json.dumps(arguments).encode()
    connection = http.client.HTTPConnection(LOOPBACK, found.port, timeout=timeout)
    try:
        connection.request("POST" if body else "GET", PREFIX + action, body, {"Authorization": f"Bearer {found.token}"})
        answer = connection.getresponse()
        status, said = answer.status, json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UpstreamError(f"the gateway on port {found.port} does not answer ({error}): restart it") from error
    finally:
        connection.close()
    if status != 200 or not isinstance(said, dict):
        raise SettingsError(str(said.get("error", said)) if isinstance(said, dict) else f"status {status}")
    return said


def advice(found: Found, timeout: float = 0.2) -> dict[str, str]:
    """What advisors said, by id, as far as the gateway has it in memory; where no texts are kept, nothing else can show it."""
    try:
        said = call(found, "advice", timeout=timeout).get("advice")
    except (SettingsError, UpstreamError):
        return {}
    return {str(id): str(text) for id, text in said.items()} if isinstance(said, dict) else {}


def perform(
    action: str, arguments: Mapping[str, Any], settings: Settings, now: float,
    *, folder: Path | None = None, ledger: Path | None = None,
) -> Done:  # fmt: skip
    """Pin, unpin, mark or signal: through the running gateway, else straight into the ledger. ``now``: epoch seconds.

    Raises SettingsError for what cannot be meant, LedgerError when nothing runs and the ledger cannot be written.
    """
    given = {key: value for key, value in arguments.items() if value is not None}
    found = find_gateway(folder)
    if found is not None:
        return Done(call(found, action, given).get("event"), live=True)
    from pointsman.engine import Router
    from pointsman.shell.ledger import Ledger, recent_events
    from pointsman.shell.prices import load_book

    path = ledger or (folder or home()) / "ledger.db"
    past = recent_events(path, now - REMEMBERED_S) if path.is_file() else []
    router = Router(settings.policy(), load_book(settings.prices), past, titles=settings.titles)
    event = apply(router, action, given, now)
    store = Ledger(path, say=lambda sentence: None)
    store.append(router.events())
    try:
        store.close(WAIT_S)
    except LedgerError as error:
        raise LedgerError(f"{error}; nothing was changed") from error
    return Done(described(event), live=False)


REMEMBERED_S = 7 * 86_400.0
"""How far back sessions are rebuilt at start, in seconds: one resumed after a week begins anew (26 us per event)."""


def _announced(path: Path) -> Found | None:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        port, pid, started = int(said["port"]), int(said["pid"]), float(said["started"])
        return Found(port, pid, str(said["token"]), str(said["version"]), started)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


# -- what an action does -----------------------------------------------------------------------------------------------


def apply(router: Router, action: str, given: Mapping[str, Any], now: float) -> Event | None:
    """Let the router do it; None: there was nothing to do. Raises SettingsError in a sentence."""
    _known(action, given)
    session, cwd = _text(given, "session"), _text(given, "cwd")
    origin = _text(given, "origin") or f"pointsman {action}"
    if action == "pin":
        scope: PinScope = _one_of(given, "scope", PinScope, "session")
        return router.pin(_needed(given, "model"), scope=scope, session=session, cwd=cwd, origin=origin, now=now)
    if action == "unpin":
        return router.unpin(session=session, cwd=cwd, origin=origin, now=now)
    if action == "mark":
        turn, mark = given.get("turn"), _one_of(given, "mark", Mark, None)
        if not isinstance(turn, int) or isinstance(turn, bool):
            raise SettingsError(f"turn is {turn!r}; it is the number of a turn, from 1")
        undo = given.get("undo", False) is True
        return router.mark(session=_needed(given, "session"), turn=turn, mark=mark, now=now, origin=origin, undo=undo)
    if action == "check":
        return _checked(router, given, now)
    if action == "rule":
        return router.answer(_needed(given, "kind"), _one_of(given, "answer", Answer, None), now)
    detail = given.get("detail") or {}
    if not isinstance(detail, dict):
        raise SettingsError("detail is an object of names and texts")
    texts = {str(key): str(value) for key, value in detail.items()}
    router.signal(session=_needed(given, "session"), kind=_needed(given, "kind"), now=now, detail=texts)
    return None


def _checked(router: Router, given: Mapping[str, Any], now: float) -> Event:
    """Record the run of a check as the gateway's clock sees it."""
    said, retries = given.get("event"), given.get("retries", 0)
    if not isinstance(said, dict) or not isinstance(retries, int) or isinstance(retries, bool):
        raise SettingsError("check takes an event object and a number of retries")
    try:
        event = decode("Checked", {**said, "ts": now})
    except LedgerError as error:
        raise SettingsError(str(error)) from error
    assert isinstance(event, Checked)
    if event.verdict not in typing.get_args(Verdict):
        raise SettingsError(f"verdict is {event.verdict!r}; it can be {', '.join(typing.get_args(Verdict))}")
    return router.checked(event, retries)


def run_event(given: Mapping[str, Any], now: float) -> RunStarted | RunEnded:
    """The event of a wrapped run that begins or ends. Raises SettingsError."""
    _known("run", given)
    run = _needed(given, "run")
    if not run.replace("-", "").replace("_", "").isalnum():
        raise SettingsError(f"run is {run!r}; letters, digits, - and _ only, because it stands in a URL")
    if "code" in given:
        return RunEnded(now, run, int(given["code"]))
    upstreams = given.get("upstreams") or {}
    if not isinstance(upstreams, dict):
        raise SettingsError("upstreams is an object of vendors and base URLs")
    pairs = tuple(sorted((str(vendor), str(url)) for vendor, url in upstreams.items()))
    interactive = given.get("interactive", True) is True
    guard = given.get("guard")
    try:
        checked = None if guard is None else Guard(**guard)
    except TypeError as error:
        raise SettingsError(f"guard is not a check's label and rates: {error}") from error
    try:
        policy = None if given.get("policy") is None else build(Policy, given["policy"])
        own = tuple(str(name) for name in given.get("own") or ())
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise SettingsError(f"policy is not one that this gateway knows: {error}; restart it") from error
    client, cwd = _text(given, "client") or "unknown", _text(given, "cwd") or ""
    return RunStarted(now, run, client, cwd, interactive, pairs, checked, policy, own)


def described(event: Event | None) -> dict[str, Any] | None:
    """An event as JSON, its kind included."""
    return None if event is None else {"kind": type(event).__name__, **encode(event)}


def refusal(headers: Mapping[str, str], action: str, token: str) -> tuple[int, str] | None:
    """Status and sentence for a caller who may not do this, or None. ``headers``: lower-case keys."""
    host = urlsplit(f"//{headers.get('host', '')}").hostname
    if host not in LOCAL_NAMES:
        return 403, "the control routes answer to this machine only"
    if action == "health":
        return None
    given = headers.get("authorization", "")
    if not hmac.compare_digest(given.encode("utf-8", "replace"), f"Bearer {token}".encode()):
        return 401, "the control routes need the token from gateway.json in the Pointsman home folder"
    return None


def parsed(body: bytes) -> dict[str, Any]:
    """The arguments of an action. Raises SettingsError when they are no JSON object."""
    try:
        value = json.loads(body or b"{}")
    except ValueError as error:
        raise SettingsError(f"the arguments are not JSON: {error}") from error
    if not isinstance(value, dict):
        raise SettingsError("the arguments are a JSON object")
    return value


def _known(action: str, given: Mapping[str, Any]) -> None:
    unknown = sorted(set(given) - ALLOWED[action])
    if unknown:
        raise SettingsError(f"{action} does not take {unknown[0]!r}; it takes {', '.join(sorted(ALLOWED[action]))}")


def _text(given: Mapping[str, Any], key: str) -> str | None:
    value = given.get(key)
    if value is not None and not isinstance(value, str):
        raise SettingsError(f"{key} is {value!r}; it is a text")
    return value or None


def _needed(given: Mapping[str, Any], key: str) -> str:
    value = _text(given, key)
    if value is None:
        raise SettingsError(f"{key} is missing")
    return value


def _one_of(given: Mapping[str, Any], key: str, choices: Any, default: str | None) -> Any:
    value, known = given.get(key, default), typing.get_args(choices)
    if value not in known:
        raise SettingsError(f"{key} is {value!r}; it can be {', '.join(known)}")
    return value


