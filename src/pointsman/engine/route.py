"""What the engine hands out: the route of a request, and what it keeps while the request is under way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pointsman.core.decisions import Advisor, Decision
from pointsman.core.session import Session
from pointsman.core.types import Protocol, Request


@dataclass(frozen=True, slots=True)
class Route:
    """What to send: ``body`` and ``headers`` to ``path`` of the base URL ``upstream``, answered by ``model``.

    ``body`` is the very object that came in where nothing was decided. ``changed``: the body or path differ from it.
    ``rewritten``: its history went out in another form than before, our own lasting additions aside. ``native``: the format in
    which another vendor's model must be asked: ``body`` is still the client's and has to be translated; None: it is ready.
    """

    id: str
    model: str
    effort: str | None
    body: bytes
    headers: Mapping[str, str]
    decision: Decision
    upstream: str
    path: str
    protocol: Protocol
    changed: bool
    rewritten: bool = False
    native: Protocol | None = None
    stream: bool = False


@dataclass(slots=True)
class Open:
    """A request under way: what is needed to resend or finish it."""

    route: Route
    request: Request
    original: bytes
    original_path: str
    started: float
    upstream: str
    session: Session
    headers: Mapping[str, str] = field(default_factory=dict)
    refused: int | None = None


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A request under way: as it was read, the client's own ``body``, what the user allows of advice (None: nothing), and its
    end: how many messages it has, and the hash of the last."""

    request: Request
    body: bytes
    advisor: Advisor | None
    end: tuple[int, int]
