"""Recorded sessions: the JSON Lines files in ``sessions/``, read and written by one small module (standard library only).

Theory of operation. A file holds one ``session`` line, then ``request`` and ``response`` lines in the order they happened;
``sessions/README.md`` documents every field. Agents repeat nearly the whole body with each request, so a request may be
stored as a difference to an earlier one: ``base`` names that request, ``set`` and ``drop`` its changed top-level keys,
``keep`` and ``add`` its conversation (``messages``, ``input`` or ``contents``). ``load`` undoes all of it: every request has
the very bytes that the client sent (after scrubbing).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

FORMAT = 1

Stop = Literal["end", "hangup", "cut"]
"""How a response ended: completely; the client hung up; the provider broke off."""

CONVERSATION = ("messages", "input", "contents")
"""Top-level keys that hold the conversation: Messages and Chat Completions, Responses, Gemini."""

STYLES: Mapping[str, dict[str, Any]] = {
    "compact": {"separators": (",", ":"), "ensure_ascii": False},
    "ascii": {"separators": (",", ":"), "ensure_ascii": True},
    "spaced": {"ensure_ascii": False},
    "spaced-ascii": {"ensure_ascii": True},
}
"""How clients write JSON: ``json.dumps`` arguments by name."""


@dataclass(frozen=True, slots=True)
class Response:
    """What came back: ``events`` are raw SSE events (blank line included), else ``body``; times in seconds from the start."""

    t_first: float
    t_end: float
    status: int
    headers: Mapping[str, str]
    events: tuple[str, ...] = ()
    body: str | None = None
    stop: Stop = "end"

    @property
    def text(self) -> str:
        """The whole response body."""
        return "".join(self.events) if self.body is None else self.body


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its response. ``body`` is what the client sent, decoded; ``t`` in seconds from the start."""

    n: int
    t: float
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    response: Response | None = None

    def json(self) -> Any:
        """The request body as JSON values, None when there is none."""
        return json.loads(self.body) if self.body else None


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded session. ``recorded``: ISO date. ``own``: our own texts, which scrubbing left as they were."""

    client: str
    version: str
    protocol: str
    model: str
    scenario: str
    recorded: str
    exchanges: tuple[Exchange, ...] = ()
    own: tuple[str, ...] = field(default=())


def load(path: Path) -> Recording:
    """The recording in ``path``. Raises ValueError, naming file and line, when it is not one."""
    head: dict[str, Any] | None = None
    requests: dict[int, tuple[dict[str, Any], Any, bytes]] = {}
    responses: dict[int, Response] = {}
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                kind = row["kind"]
                if kind == "session":
                    head = _head(row)
                elif kind == "request":
                    value, body = _body(row, requests)
                    requests[row["n"]] = (row, value, body)
                elif kind == "response":
                    responses[row["n"]] = _response(row)
                else:
                    raise ValueError(f"unknown kind {kind!r}")
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{path}:{number}: not a recorded session line: {error}") from error
    if head is None:
        raise ValueError(f"{path}: not a recorded session: it has no session line")
    exchanges = tuple(
        Exchange(n, row["t"], row["method"], row["path"], row["headers"], body, responses.get(n))
        for n, (row, _, body) in requests.items()
    )
    return Recording(**head, exchanges=exchanges)


def dump(recording: Recording) -> Iterator[str]:
    """The lines of a recording's file, each request as the smallest difference to an earlier one, in the order of time."""
    yield _line(
        {
            "kind": "session", "format": FORMAT, "client": recording.client, "version": recording.version,
            "protocol": recording.protocol, "model": recording.model, "scenario": recording.scenario,
            "recorded": recording.recorded, "own": list(recording.own),
        }
    )
    rows: list[tuple[float, int, dict[str, Any]]] = []
    seen: dict[int, Any] = {}
    for exchange in recording.exchanges:
        row = {"kind": "request", "n": exchange.n, "t": exchange.t, "method": exchange.method, "path": exchange.path,
               "headers": dict(exchange.headers)}
        row |= _stored(exchange, seen)
        rows.append((exchange.t, exchange.n, row))
        if exchange.response is not None:
            rows.append((exchange.response.t_end, exchange.n, _response_row(exchange.n, exchange.response)))
    for _, _, row in sorted(rows, key=lambda item: item[:2]):
        yield _line(row)


def style_of(body: bytes, value: Any) -> str | None:
    """The name of the JSON style that turns ``value`` back into exactly ``body``, or None."""
    return next((name for name, options in STYLES.items() if json.dumps(value, **options).encode() == body), None)


def _head(row: dict[str, Any]) -> dict[str, Any]:
    if row["format"] != FORMAT:
        raise ValueError(f"format {row['format']}: written by a newer pointsman; upgrade to read it")
    fields = ("client", "version", "protocol", "model", "scenario", "recorded")
    return {name: row[name] for name in fields} | {"own": tuple(row.get("own", ()))}


def _body(row: dict[str, Any], earlier: Mapping[int, tuple[dict[str, Any], Any, bytes]]) -> tuple[Any, bytes]:
    """The JSON value and the bytes of a request line's body."""
    if "text" in row:
        return None, row["text"].encode()
    if "base" in row:
        value = _patched(row, earlier[row["base"]][1])
    elif "body" in row:
        value = row["body"]
    else:
        return None, b""
    return value, json.dumps(value, **STYLES[row.get("style", "compact")]).encode()


def _patched(row: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """A body from its base: keys in the base's order unless ``keys`` gives another one."""
    value = {key: item for key, item in base.items() if key not in row.get("drop", ())}
    value.update(row.get("set", {}))
    if "keep" in row:
        key = next(key for key in CONVERSATION if key in base)
        value[key] = base[key][: row["keep"]] + row["add"]
    return {key: value[key] for key in row["keys"]} if "keys" in row else value


def _stored(exchange: Exchange, seen: dict[int, Any]) -> dict[str, Any]:
    """The body fields of a request line; remembers the body in ``seen``."""
    if not exchange.body:
        return {}
    try:
        value = json.loads(exchange.body)
        style = style_of(exchange.body, value)
    except ValueError:
        style = None
    if style is None:
        return {"text": exchange.body.decode("utf-8", "replace")}
    named = {} if style == "compact" else {"style": style}
    found: dict[str, Any] = {"body": value}
    if isinstance(value, dict):
        options = [found] + [_difference(n, base, value) for n, base in seen.items()]
        found = min(options, key=lambda option: len(_line(option)))
        seen[exchange.n] = value
    return named | found


def _difference(n: int, base: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """``value`` as a difference to request ``n``'s body ``base``."""
    row: dict[str, Any] = {"base": n}
    talk = next((k for k in CONVERSATION if isinstance(base.get(k), list) and isinstance(value.get(k), list)), None)
    changed = {key: item for key, item in value.items() if key != talk and (key not in base or base[key] != item)}
    if dropped := [key for key in base if key not in value]:
        row["drop"] = dropped
    if changed:
        row["set"] = changed
    if talk is not None:
        keep = _shared(base[talk], value[talk])
        row |= {"keep": keep, "add": value[talk][keep:]}
    patched = _patched(row, base)
    if list(patched) != list(value):
        row["keys"] = list(value)
    same = json.dumps(_patched(row, base)) == json.dumps(value)
    return row if same else {"body": value}  # equal values may differ in inner key order: then store it whole


def _shared(before: list[Any], after: list[Any]) -> int:
    """How many leading items are written equally (key order included)."""
    count = 0
    for old, new in zip(before, after, strict=False):
        if json.dumps(old) != json.dumps(new):
            break
        count += 1
    return count


def _response(row: dict[str, Any]) -> Response:
    return Response(row["t_first"], row["t_end"], row["status"], row["headers"], tuple(row.get("events", ())),
                    row.get("body"), row["stop"])


def _response_row(n: int, response: Response) -> dict[str, Any]:
    row: dict[str, Any] = {"kind": "response", "n": n, "t_first": response.t_first, "t_end": response.t_end,
                           "status": response.status, "headers": dict(response.headers)}
    if response.body is None:
        row["events"] = list(response.events)
    else:
        row["body"] = response.body
    return row | {"stop": response.stop}


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"


def save(recording: Recording, path: Path) -> None:
    """Write the recording's file; a file that was there is replaced."""
    lines: Iterable[str] = dump(recording)
    path.write_text("".join(lines), encoding="utf-8")
