"""Change values inside a JSON body by their address; every other byte stays as it was.

Theory of operation
    A body is taken apart one level at a time. msgspec splits an object or an array into raw values without decoding
    them; walking the keys of that level, each raw value's length leads to the next key, so every value's address is
    known. A key named ``model`` deep inside a tool's arguments is therefore never met: it lies inside the raw value of
    ``messages``, which the walk steps over. No pattern is ever searched for in the body. A key that is written with
    escapes or twice makes addresses ambiguous: that is a WireError, and the caller passes the body on unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from pointsman.errors import WireError

Span = tuple[int, int]
"""Start and end of a value, in bytes from the beginning of the body."""

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
COMPARED = 65_536
"""Values up to this many bytes are compared whole with what stands at their address."""
_SPACE = b" \t\n\r"
_SPACES = re.compile(rb"[ \t\n\r]*")


@dataclass(frozen=True, slots=True)
class Opened:
    """An object of the body taken apart: its raw values and their addresses, in order of appearance."""

    data: bytes
    start: int
    fields: Mapping[str, msgspec.Raw]
    spans: Mapping[str, Span]


def open_body(data: bytes) -> Opened:
    """The top level of a request body. Raises WireError for anything but one well-formed JSON object.

    Whether texts are UTF-8 is checked where they are decoded, once per message: over the whole body it would double the
    cost of a read.
    """
    if not data:
        raise WireError("the body is empty, not a JSON object")
    return open_object(data, _skip(data, 0), data, "the body")


def open_object(data: bytes, start: int, raw: Any, what: str) -> Opened:
    """The object ``raw`` that stands at ``start`` in ``data``. Raises WireError when it is none or is ambiguous."""
    try:
        fields = _OBJECT.decode(raw)
    except msgspec.ValidationError as error:
        raise WireError(f"{what} is not a JSON object: {error}") from error
    except UnicodeDecodeError as error:
        raise WireError(f"{what} is not UTF-8: {error}") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise WireError(f"{what} is not valid JSON: {error}") from error
    return Opened(data, start, fields, _object_spans(data, start, fields, what))


def elements(data: bytes, start: int, raw: Any, what: str) -> list[tuple[msgspec.Raw, Span]]:
    """The elements of the array ``raw`` that stands at ``start``, each with its address."""
    found = []
    at = start + 1
    for item in split_array(raw, what):
        at = _skip(data, at)
        end = at + _length(item)
        found.append((item, (at, end)))
        at = _skip(data, end) + 1
    return found


def split_array(raw: Any, what: str) -> list[msgspec.Raw]:
    """The raw elements of an array. Raises WireError when it is none."""
    try:
        return _ARRAY.decode(raw)
    except msgspec.ValidationError as error:
        raise WireError(f"{what} is not an array: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"{what} is not valid JSON: {error}") from error


def splice(data: bytes, edits: Iterable[tuple[Span, bytes]]) -> bytes:
    """``data`` with each addressed span replaced. Spans must not overlap; the same object comes back when there are none."""
    ordered = sorted(edits, key=lambda edit: edit[0])
    if not ordered:
        return data
    pieces: list[bytes] = []
    at = 0
    for (start, end), new in ordered:
        if start < at:
            raise WireError(f"two changes of the body overlap at byte {start}")
        pieces += (data[at:start], new)
        at = end
    pieces.append(data[at:])
    return b"".join(pieces)


def put(opened: Opened, name: str, value: bytes) -> tuple[Span, bytes]:
    """The edit that gives ``name`` this raw value: in its place, or as a new last field of the object."""
    if name in opened.spans:
        return opened.spans[name], value
    end = max((span[1] for span in opened.spans.values()), default=opened.start + 1)
    comma = b"," if opened.spans else b""
    return (end, end), comma + b'"' + name.encode() + b'":' + value


def drop(opened: Opened, names: Iterable[str]) -> list[tuple[Span, bytes]]:
    """Edits that take fields out of the object, each with one comma of its own."""
    order = list(opened.spans)
    gone = [name for name in order if name in set(names)]
    if not gone:
        return []
    kept = [name for name in order if name not in gone]
    edits: list[tuple[Span, bytes]] = []
    for index, name in enumerate(order):
        if name not in gone:
            continue
        start, end = _key_start(opened, order, index), opened.spans[name][1]
        if any(other in kept for other in order[:index]):  # take the comma before it
            edits.append(((opened.spans[order[index - 1]][1], end), b""))
        else:  # nothing kept comes before: take the comma after it
            after = _key_start(opened, order, index + 1) if index + 1 < len(order) else end
            edits.append(((start, after), b""))
    return edits


class Change:
    """The changes of one body, gathered field by field so that commas come out right.

    ``gone``: top-level fields to leave out. ``inner``: finished edits inside other fields' values.
    """

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.gone: list[str] = []
        self.inner: list[tuple[Span, bytes]] = []
        self._values: dict[str, bytes] = {}

    def set(self, name: str, value: bytes) -> None:
        """Give a top-level field this raw value; a new field is appended."""
        self._values[name] = value

    def put(self, name: str, value: bytes | None) -> None:
        """``set``, or leave the field out when ``value`` is None."""
        if value is None:
            self.gone.append(name)
        else:
            self.set(name, value)

    def edits(self) -> list[tuple[Span, bytes]]:
        """All changes as edits for ``splice``."""
        values = [put(self.opened, name, value) for name, value in self._values.items()]
        return [*values, *drop(self.opened, self.gone), *self.inner]


def _key_start(opened: Opened, order: list[str], index: int) -> int:
    """Where the key of the ``index``-th field begins."""
    before = opened.spans[order[index - 1]][1] if index else opened.start
    at = _skip(opened.data, before + 1 if index == 0 else before)
    if index and opened.data[at : at + 1] == b",":
        at = _skip(opened.data, at + 1)
    return at


def _object_spans(data: bytes, start: int, fields: Mapping[str, msgspec.Raw], what: str) -> dict[str, Span]:
    """The address of every value of one object, found by stepping from key to key."""
    spans: dict[str, Span] = {}
    at = _skip(data, start + 1)
    while data[at : at + 1] == b'"':
        close = data.find(b'"', at + 1)
        key = data[at + 1 : close]
        if b"\\" in key:
            raise WireError(f"{what} writes the name of a field with escapes: {key[:40].decode(errors='replace')!r}")
        name = key.decode()
        at = _skip(data, _skip(data, close + 1) + 1)
        raw = fields.get(name)
        if name in spans or raw is None or not _stands(data, at, raw):  # of two equal names, msgspec keeps the last
            raise WireError(f"{what} has the field {name!r} twice")
        end = at + _length(raw)
        spans[name] = (at, end)
        at = _skip(data, end)
        if data[at : at + 1] == b",":
            at = _skip(data, at + 1)
    if len(spans) != len(fields):
        raise WireError(f"{what} cannot be walked: {len(fields)} fields, {len(spans)} found")
    return spans


def _stands(data: bytes, at: int, raw: msgspec.Raw) -> bool:
    """Whether ``raw`` stands at ``at``. Of a long value only the ends are compared: it costs a copy, and the walk goes wrong
    anyway when a length does not fit."""
    if _length(raw) <= COMPARED:
        return data.startswith(bytes(raw), at)
    view, end = memoryview(raw), at + _length(raw)
    return data[at : at + 64] == view[:64] and data[end - 64 : end] == view[-64:]


def _skip(data: bytes, at: int) -> int:
    if at < len(data) and data[at] in _SPACE:
        found = _SPACES.match(data, at)
        assert found is not None  # it matches nothing as well
        return found.end()
    return at


def _length(raw: msgspec.Raw) -> int:
    return memoryview(raw).nbytes
