"""Listeners: what passes on its way to the client, told apart into "now" and "after the commit".

A listener gets the chunks of an answer and gives back ``(now, last)``: bytes to forward at once and bytes to hold until
the request's row is committed. Everything it gives back, plus ``rest()`` at the end, is exactly what it was fed.

    Events   a stream of server-sent events: forwarded event by event; the last event is held
    Packed   the same under a content coding: chunks are forwarded untouched while a decoded copy is read
    Whole    an answer that is not a stream: each chunk is held until the next one shows that it was not the last
    Guarded  around any of them: an error of ours does not touch the stream
    Through  an answer that we do not or cannot read: forwarded as it is
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn, TypeVar
from typing import Protocol as Shape

from pointsman.core.events import Stop
from pointsman.core.types import Protocol, Told, Usage
from pointsman.errors import UpstreamError, WireError
from pointsman.shell.bodies import BODY_LIMIT, MIB, Decoder, codings
from pointsman.wire import Tap, read_json_response, told_by

UNPACKED_LIMIT, UNPACKED_AT_ONCE = 4096 * MIB, 16 * MIB
"""Bytes that one packed stream may unpack to, and 64 kB of it (events shrink to a tenth or so); nothing of it is kept."""


Part = tuple[bytes, bytes]
"""Bytes to forward now, and bytes to forward after the commit."""

T = TypeVar("T")


class Listener(Shape):
    """What the relay asks of a listener."""

    @property
    def problem(self) -> str | None:
        """Why the answer or its usage could not be read, as one sentence."""

    def feed(self, chunk: bytes) -> tuple[bytes, bytes]:
        """Bytes to forward now, and bytes to hold until the row is committed."""

    def rest(self) -> bytes:
        """What is left when the provider has ended its answer."""

    @property
    def cut(self) -> bool:
        """True when the answer so far is a part of one: ending here quietly would pass it off as whole."""

    @property
    def begun(self) -> bool:
        """True once content has come, or the answer has ended: until then the request can quietly be sent elsewhere."""

    @property
    def refused(self) -> bool:
        """True when the stream brought an error before any content."""

    @property
    def usage(self) -> Usage | None:
        """What the provider billed, as far as it said."""

    @property
    def model(self) -> str | None:
        """The model that the answer names."""

    @property
    def stop(self) -> Stop | None:
        """How the answer ended, None while it has not."""


class Events:
    """A stream of server-sent events, forwarded event by event."""

    def __init__(self, protocol: Protocol) -> None:
        self.tap = Tap(protocol)
        self._ended = False
        self._closed = False

    @property
    def problem(self) -> str | None:
        """Why the reported usage could not be believed."""
        return self.tap.problem

    def feed(self, chunk: bytes) -> tuple[bytes, bytes]:
        """Whole events now; the last one, and whatever follows it in the chunk, after the commit."""
        events = self.tap.feed(chunk)
        if not self._ended:
            for place, event in enumerate(events):
                if self.tap.terminal(event):
                    self._ended = True
                    return b"".join(events[:place]), b"".join(events[place:])
        return b"".join(events), b""

    def rest(self) -> bytes:
        """An event without its blank line, or nothing."""
        self._closed = True
        return self.tap.rest()

    @property
    def cut(self) -> bool:
        """True when content has begun and no ending was seen."""
        return self.tap.content_started and not self.tap.complete and self.tap.stop is None

    @property
    def begun(self) -> bool:
        """True once content has come, or the stream has ended."""
        return self.tap.content_started or self.tap.complete or self._closed

    @property
    def refused(self) -> bool:
        """True when an error event came before any content."""
        return self.tap.stop == "error" and not self.tap.content_started

    @property
    def told(self) -> Told:
        """What the answer says of itself."""
        return self.tap.told

    @property
    def usage(self) -> Usage | None:
        """What the provider billed, as far as it said."""
        return self.tap.usage

    @property
    def model(self) -> str | None:
        """The model that the answer names."""
        return self.tap.model

    @property
    def stop(self) -> Stop | None:
        """How the answer ended; None before its end. A stream that closes without a word about its end was cut."""
        if self.tap.complete or self._closed:
            return self.tap.stop or "cut"
        return None


class Packed(Events):
    """A stream of server-sent events under a content coding: read in a copy, forwarded as it is."""

    def __init__(self, protocol: Protocol, coding: str) -> None:
        super().__init__(protocol)
        self._decoder = Decoder(coding, UNPACKED_LIMIT, UNPACKED_AT_ONCE)
        self._damage: str | None = None

    @property
    def problem(self) -> str | None:
        """Why the stream or its usage could not be read."""
        return self._damage or self.tap.problem

    def feed(self, chunk: bytes) -> tuple[bytes, bytes]:
        """The chunk now, or after the commit when the last event is in it."""
        if self._damage is None:
            try:
                _, last = super().feed(self._decoder.feed(chunk))
            except WireError as error:
                self._damage = str(error)
            else:
                if last:
                    return b"", chunk
        return chunk, b""

    @property
    def begun(self) -> bool:
        """True also once it can no longer be read: what then comes may be content."""
        return self._damage is not None or super().begun

    def rest(self) -> bytes:
        """Nothing: every chunk was given back already."""
        super().rest()
        return b""


class Whole:
    """An answer that is not a stream: one JSON value."""

    def __init__(self, protocol: Protocol, encoding: str = "") -> None:
        self._protocol = protocol
        self._encoding = encoding
        self._held = b""
        self._copy: list[bytes] = []
        self._size = 0
        self._facts: tuple[Usage | None, str | None, Stop | None] | None = None
        self._told = Told()
        self._problem: str | None = None

    @property
    def problem(self) -> str | None:
        """Why the answer could not be read."""
        return self._problem

    def feed(self, chunk: bytes) -> tuple[bytes, bytes]:
        """The chunk before this one; blanks sent to keep the connection alive pass at once."""
        self._size += len(chunk)
        if self._size <= BODY_LIMIT:
            self._copy.append(chunk)
        now, self._held = self._held, chunk
        if not self._held.strip():
            now, self._held = now + self._held, b""
        return now, b""

    def rest(self) -> bytes:
        """The last chunk."""
        last, self._held = self._held, b""
        return last

    @property
    def cut(self) -> bool:
        """False: HTTP itself tells the end of such an answer."""
        return False

    @property
    def begun(self) -> bool:
        """True: what has come of such an answer is content."""
        return True

    @property
    def refused(self) -> bool:
        """False: such an error has a status of its own."""
        return False

    @property
    def told(self) -> Told:
        """What the answer says of itself."""
        self._read()
        return self._told

    @property
    def usage(self) -> Usage | None:
        """What the provider billed."""
        return self._read()[0]

    @property
    def model(self) -> str | None:
        """The model that the answer names."""
        return self._read()[1]

    @property
    def stop(self) -> Stop | None:
        """How the answer ended."""
        return self._read()[2]

    def _read(self) -> tuple[Usage | None, str | None, Stop | None]:
        if self._facts is None:
            self._facts = (None, None, None)
            try:
                body = self._unpacked()
                self._facts = read_json_response(self._protocol, body)
                self._told = told_by(self._protocol, body)
            except WireError as error:
                self._problem = str(error)
            self._copy.clear()
        return self._facts

    def _unpacked(self) -> bytes:
        if self._size > BODY_LIMIT:
            raise WireError(f"the answer is larger than {BODY_LIMIT // MIB} MiB")
        body = b"".join(self._copy)
        for coding in reversed(codings(self._encoding)):
            body = Decoder(coding).feed(body)
        return body


class Through:
    """An answer that is forwarded untouched; ``problem`` says why it could not be read, None where nobody wants to."""

    usage: Usage | None = None
    model: str | None = None
    stop: Stop | None = None
    cut = False
    begun = True
    refused = False

    def __init__(self, problem: str | None = None) -> None:
        self.problem = problem

    def feed(self, chunk: bytes) -> tuple[bytes, bytes]:
        """The chunk, now."""
        return chunk, b""

    def rest(self) -> bytes:
        """Nothing is ever held."""
        return b""


class Guarded:
    """A listener around another one whose errors never reach the stream: from then on everything is forwarded as it is.

    ``contain`` is told what went wrong. What the other one had been fed and had not given back is not lost; where it gives
    back anything but what it was fed (a woven answer), nothing can be put in its place: UpstreamError, and the client asks again.
    """

    def __init__(self, inner: Listener, contain: Callable[[Exception], str]) -> None:
        self._inner = inner
        self._contain = contain
        self._owed = bytearray()
        self._same = True

    def feed(self, chunk: bytes) -> tuple[bytes, bytes]:
        """What the inner listener gives; after an error, everything owed at once."""
        if not self._same:
            return self._try(lambda inner: inner.feed(chunk), self._lost)
        self._owed += chunk
        now, last = self._try(lambda inner: inner.feed(chunk), lambda: (bytes(self._owed), b""))
        self._same = self._owed.startswith(now) and self._owed.startswith(last, len(now))
        del self._owed[: len(now) + len(last) if self._same else None]
        return now, last

    def rest(self) -> bytes:
        """What is left."""
        return self._try(lambda inner: inner.rest(), (lambda: bytes(self._owed)) if self._same else self._lost)

    def _lost(self) -> NoReturn:
        raise UpstreamError("what the model said could not be woven into one answer")

    @property
    def problem(self) -> str | None:
        """Why the answer or its usage could not be read."""
        return self._try(lambda inner: inner.problem, lambda: None)

    @property
    def cut(self) -> bool:
        """True when the answer so far is a part of one."""
        return self._try(lambda inner: inner.cut, lambda: False)

    @property
    def begun(self) -> bool:
        """True once content has come, or the answer has ended."""
        return self._try(lambda inner: inner.begun, lambda: True)

    @property
    def refused(self) -> bool:
        """True when the stream brought an error before any content."""
        return self._try(lambda inner: inner.refused, lambda: False)

    @property
    def told(self) -> Told:
        """What the answer says of itself."""
        return self._try(told_of, Told)

    @property
    def usage(self) -> Usage | None:
        """What the provider billed, as far as it said."""
        return self._try(lambda inner: inner.usage, lambda: None)

    @property
    def model(self) -> str | None:
        """The model that the answer names."""
        return self._try(lambda inner: inner.model, lambda: None)

    @property
    def stop(self) -> Stop | None:
        """How the answer ended, None while it has not."""
        return self._try(lambda inner: inner.stop, lambda: None)

    def _try(self, ask: Callable[[Listener], T], instead: Callable[[], T]) -> T:
        try:
            return ask(self._inner)
        except Exception as error:  # the answer is under way to the agent: it must arrive
            self._inner = Through(self._contain(error))
            return instead()


def told_of(heard: object) -> Told:
    """What an answer says of itself; nothing where its listener does not hear it (translated and woven answers)."""
    found = getattr(heard, "told", None)
    return found if isinstance(found, Told) else Told()


def listener(protocol: Protocol | None, status: int, kind: str, encoding: str) -> Listener:
    """The listener for an answer with this status, Content-Type and Content-Encoding; ``protocol`` None: not ours."""
    if protocol is None or status >= 400:
        return Through()
    if not kind.strip().lower().startswith("text/event-stream"):
        return Whole(protocol, encoding)
    try:
        applied = codings(encoding)
    except WireError as error:
        return Through(str(error))
    if len(applied) > 1:
        return Through(f"the answer is packed more than once ({encoding})")
    return Packed(protocol, applied[0]) if applied else Events(protocol)
