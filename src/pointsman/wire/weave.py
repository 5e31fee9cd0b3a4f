"""One answer to the client made of several of the provider's, with the calls of the advisor between them left out.

Theory of operation. An executor that calls ``consult_advisor`` is answered by us: the call is taken out of the stream, the rest
goes on live with its blocks renumbered, the provider's ending is held back, and the answer to the request with the result
appended goes on where the first one stopped: one start, one ending. Where the model called tools of the client's in the same
breath, the answer ends as it is, and the result joins theirs in the next request. As long as nothing is called, every event
passes as the very bytes that came.

The usage that the client is told has the output of all answers, and the prompt of the last: that is the context as it stands,
by which clients decide when to compact their history; the sum of the prompts would look like twice of it. What each answer
cost is in the ledger. Claude Code is told the sum, as Anthropic's API sums its own, and each answer's part, from which it
takes the last for its context (``weaving_messages``).

``Weave.event`` takes one event and gives what the client gets for it; ``Weave.called`` is the call once the provider's answer has
ended; ``Weave.resume`` goes on with the next answer; ``Weave.whole`` does all this for an answer that is not a stream.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import msgspec

from pointsman.core.decisions import Advice
from pointsman.core.types import Protocol
from pointsman.errors import WireError
from pointsman.wire.sse import parse

OUTPUTS = (
    "output_tokens", "completion_tokens", "candidatesTokenCount", "thoughtsTokenCount", "output_tokens_details",
    "completion_tokens_details",
)  # fmt: skip
"""What usage reports say of output, in any protocol; ``TOTALS`` hold prompt and output together."""

TOTALS = ("total_tokens", "totalTokenCount")

SHAPES = (KeyError, IndexError, TypeError, ValueError, AttributeError)
"""What an answer of another shape than its protocol's raises: it passes as it is."""


@dataclass(slots=True)
class Called:
    """A call of the advisor: its id and arguments, the answer before it in the provider's form, and what the client saw of it.

    ``joined``: tools of the client's were called in the same breath. ``words``/``thoughts``: characters of text and reasoning.
    ``signature``: what the provider seals the call with (Gemini).
    """

    id: str
    arguments: str
    before: list[Any] = field(default_factory=list)
    parts: tuple[str, ...] = ()
    words: int = 0
    thoughts: int = 0
    joined: bool = False
    signature: str = ""

    def advice(self, text: str) -> Advice:
        """What the advisor said, with what must stand around it."""
        return Advice(text, self.id, self.arguments, self.parts, self.words, self.thoughts, self.joined, self.signature)


class Weave(ABC):
    """The state of one woven answer; ``called`` None: the model has asked for nothing (yet)."""

    protocol: ClassVar[Protocol]
    keep_alive: ClassVar[bytes] = b": keep-alive\n\n"

    def __init__(self) -> None:
        self.called: Called | None = None
        self.answers = 1
        self._usages: list[dict[str, Any]] = []

    def event(self, raw: bytes) -> bytes:
        """What the client gets for one event of the provider's; what cannot be read passes as it is."""
        name, data = parse(raw)
        if not data or data.strip() == b"[DONE]":
            return self._other(raw, data)
        try:
            value = msgspec.json.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return raw
        try:
            return self._event(raw, name, value) if isinstance(value, dict) else raw
        except SHAPES:
            return raw

    @property
    def asking(self) -> bool:
        """Whether the answer must go on after a call that was the only one."""
        return self.called is not None and not self.called.joined

    def resume(self) -> Called:
        """The call that is being answered; from now on events are those of the answer that goes on after it."""
        called = self.called
        assert called is not None
        self.called = None
        self.answers += 1
        self._resumed()
        return called

    def whole(self, payload: bytes) -> bytes | None:
        """What the client gets for an answer that is no stream; None: it must go on after a call. Raises WireError."""
        try:
            value = msgspec.json.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise WireError(f"the answer is not JSON: {error}") from error
        try:
            found = self._whole(value)
        except SHAPES as error:
            raise WireError(f"the answer has an unexpected form: {error!r}") from error
        if found is None:
            return None
        return payload if found is value and self.answers == 1 else msgspec.json.encode(found)

    def _other(self, raw: bytes, data: bytes) -> bytes:
        """A comment, a ping without data, or the end mark."""
        return raw

    @abstractmethod
    def _event(self, raw: bytes, name: str, value: dict[str, Any]) -> bytes: ...

    @abstractmethod
    def _whole(self, value: Any) -> Any: ...

    def _resumed(self) -> None:
        return None

    def _told(self, usage: dict[str, Any]) -> dict[str, Any]:
        """What the client is told for all answers: ``usage``, that of the last, with the output of those before."""
        told = dict(usage)
        for before in self._usages:
            for name in OUTPUTS:
                if name in before:
                    told[name] = added(told.get(name), before[name])
            for name in TOTALS:
                if isinstance(told.get(name), int):
                    told[name] += sum(before[output] for output in OUTPUTS if isinstance(before.get(output), int))
        return told


def sse(name: str, value: Any) -> bytes:
    """One server-sent event."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + msgspec.json.encode(value) + b"\n\n"


def added(usage: Any, more: Any) -> Any:
    """Two reports of usage as one: numbers add up, whatever their depth."""
    if isinstance(usage, dict) and isinstance(more, dict):
        return {**more, **{key: added(value, more[key]) if key in more else value for key, value in usage.items()}}
    if isinstance(usage, (int, float)) and isinstance(more, (int, float)) and not isinstance(usage, bool):
        return usage + more
    return usage if usage is not None else more
