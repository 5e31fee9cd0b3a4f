"""The commands' side of a running gateway's control routes: find it, ask it, or write into the ledger where none runs.

Standard library only, so that ``pin``, ``mark`` and hooks start fast. Two locks: the Host header must name this machine (a web
page cannot rebind its name to us), and everything but ``health`` needs the bearer token from ``gateway.json`` (mode 0600) in the
home folder. What each route takes and does: ``shell.controlled``.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointsman.errors import LedgerError, SettingsError, UpstreamError
from pointsman.shell.controlled import apply, described
from pointsman.shell.ports import HEALTH_S, LOOPBACK, health
from pointsman.shell.reading import home, unusable

if TYPE_CHECKING:
    from pointsman.core.events import Event
    from pointsman.settings import Settings

PREFIX = "/_pointsman/"
GATEWAY_FILE = "gateway.json"
WAIT_S = 5.0

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


def announced(folder: Path | None = None) -> Found | None:
    """What the home folder says about a gateway, whether it still answers or not."""
    return _announced((folder or home()) / GATEWAY_FILE)


def find_gateway(folder: Path | None = None, timeout: float = HEALTH_S) -> Found | None:
    """The gateway announced in the home folder, if its process lives and answers under its own name; else None."""
    found = announced(folder)
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
    from pointsman.shell.ledger import Ledger, read_events, recent_events
    from pointsman.shell.prices import load_book

    path = ledger or (folder or home()) / "ledger.db"
    past = recent_events(path, now - REMEMBERED_S) if path.is_file() else []

    def recall(session: str) -> Iterator[Event]:
        """One that spoke longer ago."""
        return (event for _, event in read_events(path, session=session)) if path.is_file() else iter(())

    router = Router(settings.policy(), load_book(settings.prices), past, titles=settings.titles, recall=recall)
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
