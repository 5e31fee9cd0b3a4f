"""Listeners for requests whose model may ask for advice: what passes is woven into one answer (``wire.weaving``).

As long as the model asks for nothing they behave like ``streams.Events`` and ``streams.Whole``, byte for byte. When a provider's
answer has ended with a call of the advisor, ``asking`` is true; ``resume`` goes on with the next answer. The bill of the last
answer is the usage; those before it are parts of it (``Usage.extra``), at the same model's prices.
"""

from __future__ import annotations

from dataclasses import replace

from pointsman.core.events import Stop
from pointsman.core.types import Protocol, Told, Usage
from pointsman.errors import WireError
from pointsman.shell.bodies import BODY_LIMIT, MIB
from pointsman.shell.streams import Listener
from pointsman.wire import Tap, read_json_response, told_by
from pointsman.wire.weaving import Called, Weave, weave_of


class Woven:
    """What both listeners share.

    ``model``: who answers; ``billed``: a listener on the provider's own words, where translated; ``client``: who asks.
    """

    def __init__(self, protocol: Protocol, model: str, billed: Listener | None = None, client: str = "") -> None:
        self.weave: Weave = weave_of(protocol, client)
        self._protocol, self._served, self._billed = protocol, model, billed
        self._parts: list[Usage] = []
        self._fresh()

    def _fresh(self) -> None:
        raise NotImplementedError

    def _own(self) -> Usage | None:
        raise NotImplementedError

    @property
    def asking(self) -> bool:
        """Whether the provider has ended its answer with a call that we must answer now."""
        return self.weave.asking

    @property
    def joined(self) -> Called | None:
        """A call whose answer goes out with the results of the client's own tools."""
        called = self.weave.called
        return called if called is not None and called.joined else None

    def resume(self, billed: Listener | None = None) -> Called:
        """Go on with the provider's next answer; the call that it follows."""
        used = self._now()
        if used is not None:
            self._parts.append(used)
        self._billed = billed
        called = self.weave.resume()
        self._fresh()
        return called

    def _now(self) -> Usage | None:
        return self._billed.usage if self._billed is not None else self._own()

    @property
    def usage(self) -> Usage | None:
        """What was billed for all answers."""
        now, parts = self._now(), list(self._parts)
        if now is None and parts:
            now = replace(parts.pop(), complete=False)
        if now is None or not parts:
            return now
        return replace(now, extra=(*now.extra, *((self._served, part) for part in parts)))


class WovenEvents(Woven):
    """A stream of server-sent events."""

    def _fresh(self) -> None:
        self._tap = Tap(self._protocol)
        self._ended = self._closed = False

    def _own(self) -> Usage | None:
        return self._tap.usage

    @property
    def problem(self) -> str | None:
        """Why the reported usage could not be believed."""
        return self._tap.problem

    def feed(self, chunk: bytes) -> tuple[bytes, bytes]:
        """Whole events now; the last one, and whatever follows it in the chunk, after the commit."""
        now: list[bytes] = []
        last: list[bytes] = []
        for event in self._tap.feed(chunk):
            self._ended = self._ended or self._tap.terminal(event)
            piece = self.weave.event(event)
            (last if self._ended and not self.asking else now).append(piece)  # what must go on has not ended
        return b"".join(now), b"".join(last)

    def rest(self) -> bytes:
        """An event without its blank line, or nothing."""
        self._closed = True
        left = self._tap.rest()
        return self.weave.event(left) if left.strip() else left

    @property
    def cut(self) -> bool:
        """True when the answer so far is a part of one."""
        begun = self._tap.content_started or self.weave.answers > 1
        return self.asking or (begun and not self._tap.complete and self._tap.stop is None)

    @property
    def begun(self) -> bool:
        """True once content has come, or the answer has ended."""
        return self._tap.content_started or self._tap.complete or self.weave.answers > 1

    @property
    def refused(self) -> bool:
        """True when the stream brought an error before any content."""
        return self._tap.stop == "error" and not self._tap.content_started and self.weave.answers == 1

    @property
    def model(self) -> str | None:
        """The model that the answer names."""
        return self._tap.model

    @property
    def told(self) -> Told:
        """What the answer says of itself."""
        return self._tap.told

    @property
    def stop(self) -> Stop | None:
        """How the answer ended; None before its end, and while it must still go on."""
        if self.asking:
            return None
        return (self._tap.stop or "cut") if self._tap.complete or self._closed else None


class WovenWhole(Woven):
    """An answer that is not a stream: nothing goes out before it is whole."""

    def _fresh(self) -> None:
        self._copy: list[bytes] = []
        self._size = 0
        self._facts: tuple[Usage | None, str | None, Stop | None] = (None, None, None)
        self._problem: str | None = None
        self._out: bytes | None = None
        self._told = Told()

    def _own(self) -> Usage | None:
        return self._facts[0]

    @property
    def problem(self) -> str | None:
        """Why the answer could not be read."""
        return self._problem

    def feed(self, chunk: bytes) -> tuple[bytes, bytes]:
        """Nothing yet. Raises WireError for an answer that is too large to be held: it goes out as it is."""
        self._size += len(chunk)
        if self._size > BODY_LIMIT:
            raise WireError(f"the answer is larger than {BODY_LIMIT // MIB} MiB")
        self._copy.append(chunk)
        return b"", b""

    def ended(self) -> None:
        """The provider's answer is whole."""
        body = b"".join(self._copy)
        try:
            self._facts, self._told = read_json_response(self._protocol, body), told_by(self._protocol, body)
            self._out = self.weave.whole(body)
        except WireError as error:
            self._problem, self._out = str(error), body

    def rest(self) -> bytes:
        """The whole answer."""
        return self._out if self._out is not None else b"".join(self._copy)

    @property
    def cut(self) -> bool:
        """True while it must still go on."""
        return self.asking

    @property
    def begun(self) -> bool:
        """True once anything has come: there is no first content to wait for."""
        return bool(self._copy) or self._out is not None

    @property
    def refused(self) -> bool:
        """An answer that is no stream says so by its status."""
        return False

    @property
    def model(self) -> str | None:
        """The model that the answer names."""
        return self._facts[1]

    @property
    def told(self) -> Told:
        """What the answer says of itself."""
        return self._told

    @property
    def stop(self) -> Stop | None:
        """How the answer ended."""
        return None if self.asking else self._facts[2]
