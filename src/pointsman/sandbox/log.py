"""The provider's log: every request it saw, and what became of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from multidict import CIMultiDictProxy

from pointsman.sandbox.incoming import Incoming, Protocol
from pointsman.sandbox.reply import Bill

SECRETS = ("authorization", "x-api-key", "x-goog-api-key", "api-key", "cookie", "proxy-authorization")
"""Headers whose values are replaced by their length and a short hash."""


@dataclass(slots=True)
class Record:
    """One HTTP request. Times are epoch seconds on the provider's clock; ``usage`` has the protocol's own shape.

    ``json`` is the decoded body; ``raw`` its bytes as they came. ``counting``: a token count. ``sent`` counts bytes of the
    answer. ``hung_up``: the client closed the connection before the end. ``fault``: the kind that struck, or None.
    ``effort``: the one that held, changes inside the history included.
    """

    n: int
    method: str
    path: str
    headers: dict[str, str]
    started: float
    raw: bytes = b""
    json: Any = None
    protocol: Protocol | None = None
    counting: bool = False
    model: str | None = None
    session: str | None = None
    client: str | None = None
    purpose: str | None = None
    nth: int = 0
    stream: bool = False
    credential: str = ""
    status: int = 0
    usage: dict[str, Any] | None = None
    bill: Bill | None = None
    first_byte: float | None = None
    ended: float | None = None
    sent: int = 0
    hung_up: bool = False
    fault: str | None = None
    effort: str | None = None

    def take(self, request: Incoming) -> None:
        """Note what the request says of itself."""
        self.json, self.model, self.stream = request.body, request.model, request.stream
        self.session, self.client, self.purpose = request.session, request.client, request.purpose
        self.nth, self.credential = request.nth, request.credential

    @property
    def body(self) -> Any:
        """The decoded body (another name for ``json``)."""
        return self.json


class Log(list[Record]):
    """The records in the order in which the requests came; only the newest ``bodies`` of them keep their bodies."""

    def __init__(self, bodies: int) -> None:
        super().__init__()
        self._bodies = bodies

    def add(self, record: Record) -> None:
        """Append a record; the one that falls out of the window loses its body, so that long runs stay small."""
        self.append(record)
        if len(self) > self._bodies:
            old = self[-1 - self._bodies]
            old.raw, old.json = b"", None

    def at(self, ending: str) -> list[Record]:
        """The records whose path (query left out) ends in ``ending``."""
        return [record for record in self if record.path.split("?", 1)[0].endswith(ending)]

    def of(self, purpose: str) -> list[Record]:
        """The records made for one purpose: main, subagent, title, compaction, side, prewarm."""
        return [record for record in self if record.purpose == purpose]


def headers_of(headers: CIMultiDictProxy[str] | Mapping[str, str]) -> dict[str, str]:
    """The headers with lower-case names, credentials redacted."""
    return {name.lower(): redacted(value) if name.lower() in SECRETS else value for name, value in headers.items()}


def redacted(value: str) -> str:
    """A secret's length and a short hash, enough to see that two are equal."""
    scheme = "Bearer " if value.startswith("Bearer ") else ""
    return f"{scheme}({len(value)} characters, {hashlib.blake2b(value.encode(), digest_size=4).hexdigest()})"
