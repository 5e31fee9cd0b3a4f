"""A question to an advisor as a request of its own, in the protocol of whoever serves it; and the answer as it streams in."""

from __future__ import annotations

from typing import Any

import msgspec

from pointsman.core.targets import Target
from pointsman.core.types import Protocol, Usage
from pointsman.wire.digest import decode
from pointsman.wire.protocols import gemini_span
from pointsman.wire.sse import Tap, parse

ROLE = (
    "A coding agent is at work on a task, and you are asked for advice: by the agent, or by the router that serves it. You see a"
    " summary made by plain code, cut where it was long; you have no tools and speak once. Say what is most likely wrong or"
    " missing, then what to do next, in order, naming files, functions and commands. Where the evidence contradicts the agent's"
    " course, say so. Where the task itself is unclear or cannot be done as stated, say what to ask the user. No preamble, no"
    " repetition of the summary, no code beyond a few lines; at most 400 words."
)

PATHS: dict[Protocol, str] = {"messages": "/v1/messages", "responses": "/v1/responses", "chat": "/v1/chat/completions"}
"""Where a vendor's own API takes a request, for advisors of another vendor than the client's."""

HEAD = 2
"""System blocks that a Claude login keeps at the head of every request: its billing line and who it says it is (WIRE.md 1)."""


def question(
    protocol: Protocol, model: str, target: Target, digest: str, max_tokens: int, *, like: bytes | None = None
) -> bytes:  # fmt: skip
    """The body of the request. ``like``: the client's own body, for a subscription login, which wants to be recognised."""
    own = decode(like, "the body") if like else None
    value: dict[str, Any]
    if protocol == "messages":
        system = [*_head(own), {"type": "text", "text": ROLE}]
        value = {"model": model, "max_tokens": max_tokens, "stream": True, "system": system}
        value["messages"] = [{"role": "user", "content": [{"type": "text", "text": digest}]}]
        if own is not None and "metadata" in own:
            value["metadata"] = own["metadata"]
    elif protocol == "responses":
        value = {"model": model, "stream": True, "store": False, "instructions": ROLE, "input": [_said("user", digest)]}
        if own is None:
            value["max_output_tokens"] = max_tokens
        else:
            value |= {"instructions": own.get("instructions"), "input": [_said("developer", ROLE), *value["input"]]}
        if target.efforts:
            value["reasoning"] = {"effort": target.nearest_effort("low")}
    elif protocol == "chat":
        limit = "max_completion_tokens" if target.vendor == "openai" else "max_tokens"
        effort = {"reasoning_effort": target.nearest_effort("low")} if target.vendor == "openai" and target.efforts else {}
        value = {"model": model, "stream": True, "stream_options": {"include_usage": True}, limit: max_tokens, **effort}
        value["messages"] = [{"role": "system", "content": ROLE}, {"role": "user", "content": digest}]
    else:
        value = {"systemInstruction": {"parts": [{"text": ROLE}]}, "contents": [{"role": "user", "parts": [{"text": digest}]}]}
        value["generationConfig"] = {"maxOutputTokens": max_tokens}
        if target.efforts:  # thoughts count towards the limit
            value["generationConfig"]["thinkingConfig"] = {"thinkingLevel": target.nearest_effort("low")}
    return msgspec.json.encode(value)


def path(protocol: Protocol, model: str, own: str | None) -> str:
    """Where the request goes: the client's own path (raw, with its query) in the same protocol, else the vendor's public one.

    A Gemini client may send its key in the query: that goes along.
    """
    if protocol == "gemini":
        span = gemini_span(own) if own else None
        head = own[: span[0]] if own and span else "/v1beta/models/"
        given = own.partition("?")[2].split("&") if own and span else []
        key = next((f"&{pair}" for pair in given if pair.startswith("key=")), "")
        return f"{head}{model}:streamGenerateContent?alt=sse{key}"
    return own or PATHS[protocol]


class Hearing:
    """An advisor's streamed answer: its text so far, and what was billed."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self._tap = Tap(protocol)
        self._text: list[str] = []

    def feed(self, chunk: bytes) -> None:
        """Take in a chunk."""
        for event in self._tap.feed(chunk):
            self._hear(event)

    def end(self) -> None:
        """The answer is over."""
        self._hear(self._tap.rest())

    @property
    def text(self) -> str:
        """What was said."""
        return "".join(self._text).strip()

    @property
    def usage(self) -> Usage | None:
        """What was billed, a lower bound where the answer broke off."""
        return self._tap.usage

    @property
    def whole(self) -> bool:
        """Whether the answer reached its end, without an error."""
        return self._tap.complete and self._tap.stop != "error"

    @property
    def error(self) -> str | None:
        """What an error inside the stream said."""
        return self._tap.error

    def _hear(self, event: bytes) -> None:
        _, data = parse(event)
        if b'"' not in data:
            return
        try:
            value = msgspec.json.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return
        if isinstance(value, dict):
            self._text += [text for text in _texts(self.protocol, value) if isinstance(text, str)]


def _texts(protocol: Protocol, value: dict[str, Any]) -> list[Any]:
    """The words in one event."""
    if protocol == "messages":
        delta = value.get("delta")
        return [delta.get("text")] if isinstance(delta, dict) and delta.get("type") == "text_delta" else []
    if protocol == "responses":
        return [value.get("delta")] if value.get("type") == "response.output_text.delta" else []
    if protocol == "chat":
        return [(choice.get("delta") or {}).get("content") for choice in value.get("choices") or ()]
    candidates = value.get("candidates") or ()
    parts = [part for candidate in candidates for part in (candidate.get("content") or {}).get("parts") or ()]
    return [part.get("text") for part in parts if not part.get("thought")]


def _head(own: Any) -> list[Any]:
    """The system blocks by which a login is recognised, without cache marks."""
    system = own.get("system") if isinstance(own, dict) else None
    blocks = system[:HEAD] if isinstance(system, list) else []
    return [{"type": "text", "text": block.get("text")} for block in blocks if isinstance(block, dict)]


def _said(role: str, text: str) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}
