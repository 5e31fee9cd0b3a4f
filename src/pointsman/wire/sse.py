"""Listen to an answer while it passes, without changing a byte.

Theory of operation
    A stream of server-sent events arrives in chunks that respect nothing: an event may span many, a chunk may end inside
    a character. ``Tap.feed`` returns whole events (up to and including their blank line) and keeps the rest, so that
    everything returned, plus ``rest()``, is exactly what came in. On the way it reads the few events that carry facts:
    the model, the usage, how the answer ended, whether content has begun. An event it cannot read is passed on like any
    other, and ``problem`` says what was wrong; only one without end raises. A provider that reports no usage leaves
    ``usage`` None: unknown is not zero.

The blank line may be LF LF, CRLF CRLF or CR CR (the HTML standard allows all three); comments and pings are events
without data. Nothing here looks at text deltas beyond their name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from pointsman.core.events import Stop
from pointsman.core.types import Protocol, Told, Usage
from pointsman.errors import WireError
from pointsman.wire.answers import Answer, answer_of, read_json

BLANK_LINE = re.compile(rb"\n\n|\n\r\n|\r\r")
"""Ends an event. ``\\r\\n\\r\\n`` is found by its middle."""

LARGEST = 64 << 20
"""Bytes of one event: what is longer is no event, and is not gathered."""

QUIET = (b"event: content_block_delta", b"event: ping", b"event: response.output_text.delta")
"""Beginnings of events that carry no fact we need once content has begun: skipped without decoding."""

COMMENT = re.compile(rb"(?::[^\r\n]*[\r\n]+)+")
"""An event of comments alone; behind a comment the fields of an event may follow."""


class Tap:
    """Splits one SSE answer into events and remembers its facts: ``usage``, ``model``, ``stop``, ``complete``.

    ``content_started``: a content event has been seen, so the request cannot quietly be sent elsewhere any more.
    ``complete``: the stream reached its protocol's own end (an error event is one). ``error``: what an in-stream error
    said. ``problem``: why a usage report could not be believed, else None.
    """

    def __init__(self, protocol: Protocol) -> None:
        self._answer: Answer = answer_of(protocol)
        self._buffer = bytearray()
        self._searched = 0
        self._first = True

    def feed(self, chunk: bytes) -> list[bytes]:
        """The events that ``chunk`` completes, byte-exact and in order. Raises WireError for an event without end."""
        buffer = self._buffer
        buffer += chunk
        events: list[bytes] = []
        start = 0
        for blank in BLANK_LINE.finditer(buffer, max(0, self._searched - 2)):
            if blank.start() < start:
                continue
            end = blank.end()
            events.append(bytes(buffer[start:end]))
            start = end
        del buffer[:start]
        self._searched = len(buffer)
        if len(buffer) > LARGEST:
            raise WireError(f"an event of the answer is larger than {LARGEST >> 20} MiB")
        for event in events:
            self._listen(event)
        return events

    def rest(self) -> bytes:
        """What is left when the stream has ended: an event without its blank line, or nothing. Empties the buffer."""
        left = bytes(self._buffer)
        self._buffer.clear()
        self._searched = 0
        if left.strip():
            self._listen(left)
        return left

    def terminal(self, event: bytes) -> bool:
        """True when ``event`` is the last one its protocol sends; looks at this event alone."""
        if self._quiet(event):
            return False
        name, data = parse(event)
        return self._answer.ends(name, data)

    @property
    def usage(self) -> Usage | None:
        """What the provider reported so far, or None when it reported nothing that can be believed."""
        found = self._answer.usage()
        if found is None:
            return None
        return found if self.complete and self.stop != "error" else replace(found, complete=False)

    @property
    def model(self) -> str | None:
        """The model that the answer names."""
        return self._answer.model

    @property
    def told(self) -> Told:
        """The answer's id, the cache diagnosis in it, and what its calls hand to sub-agents."""
        return replace(self._answer.told, handed=self._answer.handing.texts)

    @property
    def stop(self) -> Stop | None:
        """How the answer ended, None while it has not."""
        return self._answer.stop

    @property
    def content_started(self) -> bool:
        """True once a content event has been seen."""
        return self._answer.content_started

    @property
    def complete(self) -> bool:
        """True once the protocol's own last event has been seen."""
        return self._answer.complete

    @property
    def error(self) -> str | None:
        """The words of an error event inside the stream, shortened."""
        return self._answer.error

    @property
    def problem(self) -> str | None:
        """Why the reported usage could not be believed, as one sentence."""
        self._answer.usage()
        return self._answer.problem

    def _quiet(self, event: bytes) -> bool:
        if event.startswith(b":"):
            return COMMENT.fullmatch(event) is not None
        return event.startswith(QUIET) and not self._answer.gathering

    def _listen(self, event: bytes) -> None:
        if self._first:
            self._first = False
            event = event.removeprefix(b"\xef\xbb\xbf")
        if self._quiet(event) and (self._answer.content_started or not event.startswith(b"event: ") or b"ping" in event[:16]):
            return
        name, data = parse(event)
        if data:
            self._answer.hear(name, data)


def parse(event: bytes) -> tuple[str, bytes]:
    """The name and the data of one event; several data lines are joined by line feeds, comments are left out."""
    name, data = "", []
    for line in event.splitlines():
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value[1:] if value.startswith(b" ") else value)
        elif field == b"event":
            name = value.strip().decode("ascii", "replace")
    return name, b"\n".join(data)


def told_by(protocol: Protocol, body: bytes) -> Told:
    """What an answer that is not a stream says of itself; nothing where it cannot be read."""
    answer = answer_of(protocol)
    try:
        answer.whole(read_json(body, f"the {protocol} answer"))
    except WireError:
        return Told()
    return replace(answer.told, handed=answer.handing.texts)


def read_json_response(protocol: Protocol, body: bytes) -> tuple[Usage | None, str | None, Stop]:
    """Usage, model and ending of an answer that is not a stream. Raises WireError when it is not what the protocol promises.

    Usage is None when the provider reported none. An error object ends as ``error``.
    """
    answer = answer_of(protocol)
    answer.whole(read_json(body, f"the {protocol} answer"))
    found = answer.usage()
    if answer.problem:
        raise WireError(answer.problem)
    return found, answer.model, answer.stop or "final"


def response_headers(protocol: Protocol, headers: Iterable[tuple[str, str]], asked: str, served: str) -> list[tuple[str, str]]:
    """The response headers that may be passed on when ``served`` ran instead of ``asked``; order and case are kept.

    Codex warns of a "model rerouted (HighRiskCyberActivity)" when ``openai-model`` is not the model it requested, so
    that header is left out when it differs (WIRE.md 1, behaviours to honour; seen with codex 0.169).
    """
    kept = []
    for name, value in headers:
        if protocol in ("responses", "chat") and name.lower() == "openai-model" and value.strip() != asked:
            continue
        kept.append((name, value))
    return kept
