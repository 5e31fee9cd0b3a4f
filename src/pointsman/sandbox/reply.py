"""What the scripted model says, before it is put into a protocol's words.

A ``Reply`` is a sequence of parts; each protocol module turns it into one JSON body or into ``Frame``s, the events of a
stream with a note of what each one carries, so that a fault can cut "in the middle of the text".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

Stop = Literal["end", "tool", "length", "refusal"]


@dataclass(frozen=True, slots=True)
class Text:
    """Words for the user."""

    text: str


@dataclass(frozen=True, slots=True)
class Thinking:
    """Reasoning; ``text`` may be empty where a provider hides it. ``tokens`` is what is billed (None: from the text)."""

    text: str
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call by the client's own tool name. ``arguments`` is a JSON object, or a string for a free-form tool.

    ``namespace``: the group of tools that the Responses API has the tool in, which its call must name.
    """

    name: str
    arguments: dict[str, Any] | str
    id: str | None = None
    namespace: str | None = None

    @property
    def text(self) -> str:
        """The arguments as they stand on the wire."""
        return self.arguments if isinstance(self.arguments, str) else compact(self.arguments)


@dataclass(frozen=True, slots=True)
class Consult:
    """Anthropic's own advisor tool is called, and its server runs it: ``advice`` is what the advisor says.

    ``asked``: the call itself; the result is the part that follows it (``consult`` makes both).
    """

    advice: str
    asked: bool = False

    @property
    def text(self) -> str:
        """No words of the executor's own."""
        return ""


def consult(advice: str) -> tuple[Consult, Consult]:
    """The call of the server's advisor and its result, as two parts of a reply."""
    return Consult(advice, asked=True), Consult(advice)


Part = Text | Thinking | Call | Consult


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. ``output_tokens`` overrides the counted output; ``seconds``: how long it takes at speed 1 (None: by tokens)."""

    parts: tuple[Part, ...]
    stop: Stop | None = None
    output_tokens: int | None = None
    seconds: float | None = None

    @property
    def stopped(self) -> Stop:
        """Why the answer ends: as given, else a tool call if there is one, else the end of the turn."""
        return self.stop or ("tool" if any(isinstance(p, Call) for p in self.parts) else "end")


def say(*parts: Part | str, stop: Stop | None = None, seconds: float | None = None) -> Reply:
    """A reply from texts and parts: ``say("On it.", Call("Bash", {"command": "ls"}))``."""
    return Reply(tuple(Text(p) if isinstance(p, str) else p for p in parts), stop=stop, seconds=seconds)


@dataclass(frozen=True, slots=True)
class Bill:
    """Tokens of one request as the provider counts them: the prompt in three disjoint buckets, and the output.

    ``written`` holds (TTL in seconds, tokens) pairs. ``output`` includes ``reasoning``. ``advisor``: model, input and output
    tokens of what the server's advisor was asked, in none of the other figures.
    """

    fresh: int = 0
    read: int = 0
    written: tuple[tuple[int, int], ...] = ()
    output: int = 0
    reasoning: int = 0
    advisor: tuple[str, int, int] | None = None

    @property
    def write(self) -> int:
        """Tokens written, over all lifetimes."""
        return sum(tokens for _, tokens in self.written)

    @property
    def prompt(self) -> int:
        """All tokens of the prompt."""
        return self.fresh + self.read + self.write


Kind = Literal["start", "ping", "block", "text", "thinking", "json", "end", "terminal"]
"""What a frame carries. ``end`` holds the stop reason or the usage; ``terminal`` closes the stream."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One event of a stream: its bytes, blank line included, and what it carries."""

    data: bytes
    kind: Kind


@dataclass(frozen=True, slots=True)
class Answer:
    """Everything a protocol module needs to speak: the reply, the bill, the model's name, ids and the time.

    ``echo`` holds request fields that a protocol repeats in its answers (the Responses API returns tools and settings);
    ``diagnosis`` the field with the cache diagnostics, where they were asked for.
    """

    reply: Reply
    bill: Bill
    model: str
    vendor: str
    seed: str
    created: int
    include_usage: bool = True
    hide_thinking: bool = False
    echo: dict[str, Any] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    diagnosis: dict[str, Any] = field(default_factory=dict)

    def id(self, prefix: str, n: int = 0, length: int = 24) -> str:
        """A stable id: equal seeds and numbers give equal ids."""
        return prefix + token(f"{self.seed}/{prefix}/{n}", length)


def token(seed: str, length: int) -> str:
    """``length`` letters and digits that follow from ``seed``."""
    digest = hashlib.blake2b(seed.encode(), digest_size=32).hexdigest()
    return (digest * (length // 64 + 1))[:length]


def compact(value: Any) -> str:
    """JSON without spaces, non-ASCII kept."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def sse(data: dict[str, Any] | str, event: str | None = None) -> bytes:
    """One server-sent event."""
    text = data if isinstance(data, str) else compact(data)
    return (f"event: {event}\n" if event else "").encode() + f"data: {text}\n\n".encode()


MAX_DELTAS = 40
"""At most this many deltas a block: enough to look live, few enough for ten thousand turns."""


def pieces(text: str, size: int = 24) -> Iterator[str]:
    """``text`` in the pieces a stream would bring: about ``size`` characters, at most ``MAX_DELTAS`` of them."""
    size = max(size, -(-len(text) // MAX_DELTAS))
    for start in range(0, len(text), size):
        yield text[start : start + size]
