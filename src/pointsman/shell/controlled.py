"""What the control routes of a running gateway take and do: pins, marks, signals, answers to rules, runs.

The routes are under ``/_pointsman/`` on the gateway's own port; ``shell.control`` is the commands' side of them.

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

import hmac
import json
import typing
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pointsman.core.codec import build, decode, encode
from pointsman.core.events import Answer, Checked, Event, Guard, Mark, PinScope, RunEnded, RunStarted, Verdict
from pointsman.core.policy import Policy
from pointsman.errors import LedgerError, SettingsError

if TYPE_CHECKING:
    from pointsman.core.session import Session
    from pointsman.engine import Router

LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})

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


def listed(sessions: Iterable[Session]) -> list[dict[str, Any]]:
    """Sessions as JSON, the one seen last at the end."""
    return [
        {
            "session": s.id, "client": s.client, "run": s.run, "cwd": s.cwd, "title": s.title, "turn": s.turn,
            "opened": s.opened, "seen": s.seen, "pin": str(s.pin.config) if s.pin else None,
            "scope": s.pin.scope if s.pin else None,
        }
        for s in sorted(sessions, key=lambda session: session.seen)
    ]  # fmt: skip


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


