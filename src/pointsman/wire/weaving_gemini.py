"""Woven answers of Google's generateContent: chunks of parts, one of which holds a whole call.

The client's history joins the texts of an answer and may leave its thoughts out (gemini-cli 0.61 does both), so that a call is
placed by the characters of text before it. What is repeated to the provider is told in the same form: texts joined, thoughts
left out, the call with its signature.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pointsman.wire.consulting import NAME
from pointsman.wire.gemini import BYPASS
from pointsman.wire.weave import Called, Weave, sse

FINISHED = "STOP"
"""How a whole answer ends, with calls or without."""


class GeminiWeave(Weave):
    """Every chunk is an answer of its own form; the one with a finish reason is the ending, and may hold parts too."""

    protocol = "gemini"
    keep_alive = b"\n\n"  # gemini-cli 0.61 reads no comments: blank lines are all that it lets pass

    def __init__(self) -> None:
        super().__init__()
        self._own: list[dict[str, Any]] = []  # what the client was shown of the present answer, thoughts left out
        self._hidden: list[tuple[int, dict[str, Any]]] = []  # (shown parts before it, a part with a call of ours)
        self._words, self._kinds = 0, 0  # characters of text and other parts shown in the answers before
        self._before: list[Any] = []  # the answers before: parts of one, or chunks of an array

    def _resumed(self) -> None:
        self._own, self._hidden = [], []

    def _event(self, raw: bytes, name: str, value: dict[str, Any]) -> bytes:
        found = self._chunk(value)
        if found is value:
            return raw
        return sse(name, found) if found is not None else b""

    def _whole(self, value: Any) -> Any:
        """One answer; or, from a stream without ``alt=sse``, an array of chunks."""
        if isinstance(value, list):
            chunks = [chunk for chunk in map(self._chunk, value) if chunk is not None]
            self._before += chunks if self.asking else []
            same = len(chunks) == len(value) and all(a is b for a, b in zip(chunks, value, strict=True))
            return None if self.asking else value if same and not self._before else [*self._before, *chunks]
        found = self._chunk(value)
        if self.asking:
            self._before += _parts(found)
            return None
        if found is None or not self._before:
            return found if found is not None else value
        return _with_parts(found, [*self._before, *_parts(found)])

    def _chunk(self, value: dict[str, Any]) -> dict[str, Any] | None:
        """A chunk as the client gets it; the same object where nothing changes, None where nothing is left."""
        candidates = value.get("candidates")
        if not candidates:
            return value
        parts = _parts(value)
        kept = [shown for shown in map(self._part, parts) if shown is not None]
        changed = len(kept) != len(parts) or any(a is not b for a, b in zip(kept, parts, strict=False))
        out = _with_parts(value, kept) if changed else value
        reason = candidates[0].get("finishReason")
        if not reason:
            return out if kept or not parts else None
        if reason == FINISHED and self._hidden:
            self.called = self._call()
        usage = value.get("usageMetadata")
        if self.asking:
            self._usages.append(dict(usage or {}))
            return _unfinished(out) if kept else None
        return {**out, "usageMetadata": self._told(usage)} if usage and self._usages else out

    def _part(self, part: dict[str, Any]) -> dict[str, Any] | None:
        """A part as the client gets it: a call of ours is taken out.

        Where that leaves a call of the client's without the signature that the first of a step must have, it gets the documented
        stand-in: should the advice never be given, the provider would refuse the history.
        """
        if part.get("thought"):
            return part
        call = part.get("functionCall")
        if call and call.get("name") == NAME:
            self._hidden.append((len(self._own), part))
            return None
        if call and "thoughtSignature" not in part and not any("functionCall" in shown for shown in self._own):
            part = {**part, "thoughtSignature": BYPASS} if any("thoughtSignature" in own for _, own in self._hidden) else part
        self._own.append(part)
        return part

    def _call(self) -> Called:
        """The first call of ours; ``parts`` holds the calls shown before it where it is joined, else all that is no text."""
        before, part = self._hidden[0]
        call, ahead = part["functionCall"], self._own[:before]
        joined = any("functionCall" in shown for shown in self._own)
        words = sum(len(shown["text"]) for shown in ahead if "text" in shown)
        kinds = [shown for shown in ahead if "text" not in shown]
        if joined:
            names = ("functionCall",) * sum("functionCall" in shown for shown in kinds)
        else:
            names = ("part",) * (self._kinds + len(kinds))
            self._words, self._kinds = self._words + words, self._kinds + len(kinds)
        arguments = msgspec.json.encode(call.get("args") or {}).decode()
        return Called(
            str(call.get("id") or ""), arguments, _merged(ahead), names, self._words, joined=joined,
            signature=str(part.get("thoughtSignature") or ""),
        )  # fmt: skip


def _parts(value: Any) -> list[dict[str, Any]]:
    found = ((value or {}).get("candidates") or [{}])[0].get("content") or {}
    return [part for part in found.get("parts") or () if isinstance(part, dict)]


def _with_parts(value: dict[str, Any], parts: list[dict[str, Any]]) -> dict[str, Any]:
    first, *others = value["candidates"]
    content = {**(first.get("content") or {"role": "model"}), "parts": parts}
    return {**value, "candidates": [{**first, "content": content}, *others]}


def _unfinished(value: dict[str, Any]) -> dict[str, Any]:
    """A chunk after which the answer goes on."""
    first, *others = value["candidates"]
    plain = {key: item for key, item in first.items() if key not in ("finishReason", "finishMessage")}
    return {**{key: item for key, item in value.items() if key != "usageMetadata"}, "candidates": [plain, *others]}


def _merged(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Parts with neighbouring texts as one and empty ones left out, as clients keep them."""
    found: list[dict[str, Any]] = []
    for part in parts:
        if found and "text" in part and "text" in found[-1]:
            found[-1] = {**found[-1], "text": found[-1]["text"] + part["text"]}
        elif part.get("text") != "":
            found.append(part)
    return found
