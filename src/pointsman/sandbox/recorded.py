"""Recorded sessions as the sandbox reads them, and a script that answers with a recording's replies.

The file format is described in ``sessions/README.md``; this reader is written apart from the product's own, so that the
two check each other.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointsman.sandbox.answers import reply_of
from pointsman.sandbox.incoming import Incoming, Protocol, unmarked
from pointsman.sandbox.reading import route
from pointsman.sandbox.reply import Reply
from pointsman.sandbox.script import Script

JSON_STYLES: dict[str, dict[str, Any]] = {
    "compact": {"separators": (",", ":"), "ensure_ascii": False},
    "ascii": {"separators": (",", ":")},
    "spaced": {"ensure_ascii": False},
    "spaced-ascii": {},
}
"""How the client wrote its JSON, by the name in the file."""


@dataclass(frozen=True, slots=True)
class Played:
    """One recorded request and what came back. Times are seconds from the session's start; ``stop``: end, hangup or cut."""

    n: int
    t: float
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    value: Any
    status: int | None
    t_first: float | None
    t_end: float | None
    events: tuple[str, ...]
    text: str
    stop: str
    answer_headers: Mapping[str, str]

    @property
    def protocol(self) -> Protocol | None:
        """The protocol of a model request; None for anything else, token counts included."""
        protocol, counting = route(self.method, self.path.split("?", 1)[0])
        return None if counting else protocol


@dataclass(frozen=True, slots=True)
class RecordedSession:
    """A recording: its first line, and its requests in the order in which they were sent."""

    head: Mapping[str, Any]
    played: tuple[Played, ...]


def load(path: Path | str) -> RecordedSession:
    """Read a recording; raises ValueError with file and line for what is not one."""
    head: dict[str, Any] = {}
    requests: dict[int, dict[str, Any]] = {}
    answers: dict[int, dict[str, Any]] = {}
    values: dict[int, Any] = {}
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            match row["kind"]:
                case "session":
                    head = row
                case "request":
                    requests[row["n"]] = row
                    values[row["n"]] = _value(row, values)
                case "response":
                    answers[row["n"]] = row
        except (KeyError, ValueError) as error:
            raise ValueError(f"{path}:{number}: not a line of a recorded session: {error}") from error
    if head.get("format") != 1:
        raise ValueError(f"{path}: not a recorded session of format 1")
    ordered = sorted(requests, key=lambda n: (requests[n]["t"], n))
    return RecordedSession(head, tuple(_played(requests[n], values[n], answers.get(n)) for n in ordered))


def _value(row: dict[str, Any], values: dict[int, Any]) -> Any:
    """The body of a request line: whole, or its changes applied to an earlier request's body."""
    if "base" not in row:
        return row.get("body")
    base = values[row["base"]]
    value = {key: item for key, item in base.items() if key not in row.get("drop", ())} | row.get("set", {})
    if "keep" in row:
        talk = next(name for name in ("messages", "input", "contents") if name in base)
        value[talk] = base[talk][: row["keep"]] + row["add"]
    return {key: value[key] for key in row.get("keys", value)}


def _played(row: dict[str, Any], value: Any, answer: dict[str, Any] | None) -> Played:
    answer = answer or {}
    body = (
        row["text"].encode()
        if "text" in row
        else b""
        if value is None
        else json.dumps(value, **JSON_STYLES[row.get("style", "compact")]).encode()
    )
    events = tuple(answer.get("events", ()))
    whole = answer.get("body")
    text = "".join(events) if whole is None else whole if isinstance(whole, str) else json.dumps(whole)
    return Played(
        row["n"],
        row["t"],
        row["method"],
        row["path"],
        row["headers"],
        body,
        value,
        answer.get("status"),
        answer.get("t_first"),
        answer.get("t_end"),
        events,
        text,
        answer.get("stop", "end"),
        answer.get("headers", {}),
    )


class Replies:
    """A script that answers as the recordings did: by equal history first, else in their order.

    ``otherwise`` answers when a recording has nothing (left) to say.
    """

    def __init__(self, *sessions: RecordedSession, otherwise: Script) -> None:
        self._by_history: dict[str, Reply] = {}
        self._in_order: dict[str, list[Reply]] = defaultdict(list)
        self._otherwise = otherwise
        for session in sessions:
            for protocol, played in _answered(session):
                reply = reply_of(protocol, played.text)
                if reply is not None:
                    self._by_history.setdefault(history(protocol, played.value), reply)
                    self._in_order[protocol].append(reply)

    def __call__(self, request: Incoming) -> Reply:
        """The recorded reply to this history; else the next one of its protocol; else ``otherwise``."""
        reply = self._by_history.get(history(request.protocol, request.body))
        if reply is not None:
            return reply
        rows = self._in_order[request.protocol]
        if request.purpose == "main" and 0 < request.nth <= len(rows):
            return rows[request.nth - 1]
        return self._otherwise(request)


def _answered(session: RecordedSession) -> Iterator[tuple[Protocol, Played]]:
    for played in session.played:
        if played.protocol is not None and played.status == 200 and played.stop == "end":
            yield played.protocol, played


def history(protocol: str, body: Any) -> str:
    """A name for what was said so far: the history without cache marks, and whether tools were offered."""
    rows = body.get({"responses": "input", "gemini": "contents"}.get(protocol, "messages")) if isinstance(body, dict) else None
    plain = json.dumps([unmarked(rows), bool(body.get("tools")) if isinstance(body, dict) else False], sort_keys=True)
    return hashlib.blake2b(plain.encode(), digest_size=12).hexdigest()
