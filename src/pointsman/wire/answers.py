"""What the answers of the four protocols say: usage, model, ending. One listener per protocol, fed event by event.

``hear`` takes one stream event, ``whole`` an answer that is not a stream, ``ends`` tells a last event. Only ``whole``
raises; a stream event that cannot be read is left alone, since it has been paid for and belongs to the client.

Sources: vendors' SDK types (anthropic 2.12, openai 2.54) and API references, November 2026; design notes, cache.md 1.1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import msgspec

from pointsman.core.events import Stop
from pointsman.core.types import Protocol, Told, Usage
from pointsman.errors import WireError
from pointsman.wire import usage as usages
from pointsman.wire.blocks import RESPONSES_CALLS
from pointsman.wire.diagnosing import messages_diagnosis, responses_diagnosis
from pointsman.wire.handing import Handing

ERROR_CHARS = 200
"""How much of a provider's error text is kept for people."""

NAME_CHARS = 300
"""How much of a model's name is kept; a longer id of an answer is no id."""


def read_json(data: bytes, what: str) -> Any:
    """The JSON value in ``data``; ``what`` names it in the WireError that a malformed one raises."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"{what} is not valid JSON: {error}") from error


class _Typed(msgspec.Struct):
    type: str = ""


class Answer(ABC):
    """What one answer has said so far. ``gathering``: it wants to hear events that carry no fact else."""

    protocol: ClassVar[Protocol]

    def __init__(self) -> None:
        self.model: str | None = None
        self.stop: Stop | None = None
        self.content_started = False
        self.complete = False
        self.error: str | None = None
        self.problem: str | None = None
        self.gathering = False
        self.told = Told()
        self.handing = Handing()
        self._reported: dict[str, Any] = {}

    def hear(self, name: str, data: bytes) -> None:
        """Take in one stream event. Never raises."""
        try:
            self._hear(name, data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return

    def whole(self, payload: Any) -> None:
        """Take in an answer that is not a stream. Raises WireError when it is no object."""
        if not isinstance(payload, dict):
            raise WireError(f"the {self.protocol} answer is {_kind(payload)}, not an object")
        if isinstance(payload.get("error"), (dict, str)) and not usages.reports(self.protocol, payload.get("usage")):
            self._fail(payload["error"])
        else:
            self._whole(payload)
        self.complete = True

    @abstractmethod
    def ends(self, name: str, data: bytes) -> bool:
        """Whether this event is the last one of a stream."""

    def usage(self) -> Usage | None:
        """What was reported, None when nothing was; sets ``problem`` when it contradicts itself."""
        if not usages.reports(self.protocol, self._reported):
            return None
        try:
            return usages.usage(self.protocol, self._reported)
        except WireError as error:
            self.problem = str(error)
            return None

    @abstractmethod
    def _hear(self, name: str, data: bytes) -> None: ...

    @abstractmethod
    def _whole(self, payload: Mapping[str, Any]) -> None: ...

    def _report(self, payload: object) -> None:
        if isinstance(payload, dict):
            _merge(self._reported, payload)

    def _named(self, model: object) -> None:
        if isinstance(model, str) and model:
            self.model = _printable(model[:NAME_CHARS])

    def _fail(self, error: object) -> None:
        words = error
        if isinstance(error, dict):
            words = error.get("message") or error.get("type") or error.get("code") or "unknown error"
        self.error = _printable(" ".join(str(words)[: ERROR_CHARS * 4].split())[:ERROR_CHARS])
        self.stop = "error"
        self.complete = True


class MessagesAnswer(Answer):
    """Anthropic: usage in ``message_start``, then cumulative in ``message_delta``; ``message_stop`` ends."""

    protocol = "messages"
    _STOPS: ClassVar[Mapping[str, Stop]] = {
        "end_turn": "final", "stop_sequence": "final", "tool_use": "tool", "pause_turn": "tool", "compaction": "tool",
        "max_tokens": "length", "model_context_window_exceeded": "length", "refusal": "refusal",
    }  # fmt: skip
    """``pause_turn`` and ``compaction`` are not the end of the work: the client sends the conversation again."""

    def ends(self, name: str, data: bytes) -> bool:
        return (name or _type(data)) in ("message_stop", "error")

    def _hear(self, name: str, data: bytes) -> None:
        kind = name or _type(data)
        if kind.startswith("content_block_"):
            self.content_started = True
            if kind == "content_block_start" and b'"tool_use"' in data:
                event = _object(msgspec.json.decode(data))
                self.gathering = self.handing.begun(event.get("index"), _object(event.get("content_block")).get("name"))
            elif kind == "content_block_delta" and self.gathering:
                event = _object(msgspec.json.decode(data))
                self.handing.goes_on(event.get("index"), _object(event.get("delta")).get("partial_json"))
            elif kind == "content_block_stop":
                self.gathering = False
        elif kind == "message_stop":
            self.complete = True
        elif kind in ("message_start", "message_delta", "error"):
            event = _object(msgspec.json.decode(data))
            if kind == "message_start":
                message = _object(event.get("message"))
                self._named(message.get("model"))
                self._report(message.get("usage"))
                self._tell(message)
            elif kind == "message_delta":
                self._report(event.get("usage"))
                self._stopped(_object(event.get("delta")).get("stop_reason"))
            else:
                self._fail(event.get("error"))

    def _whole(self, payload: Mapping[str, Any]) -> None:
        self._named(payload.get("model"))
        self._report(payload.get("usage"))
        self._tell(payload)
        self._stopped(payload.get("stop_reason"))
        for block in map(_object, _list(payload.get("content"))):
            if block.get("type") == "tool_use":
                self.handing.whole(block.get("name"), block.get("input"))

    def _tell(self, message: Mapping[str, Any]) -> None:
        speed = _id(_object(message.get("usage")).get("speed"))
        self.told = Told(_id(message.get("id")), messages_diagnosis(message), service=speed)

    def _stopped(self, reason: object) -> None:
        if isinstance(reason, str):
            self.stop = self._STOPS.get(reason, "final")


class ResponsesAnswer(Answer):
    """OpenAI Responses: everything is in the last event; output items seen before tell whether tools were called."""

    protocol = "responses"
    _LAST = ("response.completed", "response.incomplete", "response.failed", "response.cancelled", "error")

    def __init__(self) -> None:
        super().__init__()
        self._tools = False
        self._refused = False

    def ends(self, name: str, data: bytes) -> bool:
        return (name or _type(data)) in self._LAST

    def _hear(self, name: str, data: bytes) -> None:
        kind = name or _type(data)
        if kind in self._LAST:
            event = _object(msgspec.json.decode(data))
            if kind == "error":
                self._fail(event.get("error") or event)
            else:
                self._whole(_object(event.get("response")))
                self.complete = True
        elif kind == "response.created":
            self._named(_object(_object(msgspec.json.decode(data)).get("response")).get("model"))
        elif kind.startswith(("response.output_item.", "response.content_part.")) or kind.endswith(".delta"):
            self.content_started = True
            self._refused = self._refused or kind.startswith("response.refusal")
            if kind.startswith("response.output_item."):
                item = _object(_object(msgspec.json.decode(data)).get("item"))
                self._tools = self._tools or str(item.get("type")) in RESPONSES_CALLS
                self._call(item)

    def _whole(self, payload: Mapping[str, Any]) -> None:
        self._named(payload.get("model"))
        self._report(payload.get("usage"))
        self.told = Told(_id(payload.get("id")), responses_diagnosis(payload), service=_id(payload.get("service_tier")))
        for item in _list(payload.get("output")):
            kind = str(_object(item).get("type"))
            self._tools = self._tools or kind in RESPONSES_CALLS
            self._call(_object(item))
            parts = _object(item).get("content") if kind == "message" else None
            self._refused = self._refused or any(_object(part).get("type") == "refusal" for part in _list(parts))
        status = payload.get("status")
        if status in ("failed", "cancelled"):
            self._fail(payload.get("error") or f"response {status}")
        elif status == "incomplete":
            reason = _object(payload.get("incomplete_details")).get("reason")
            self.stop = "refusal" if reason == "content_filter" else "length"
        else:
            self.stop = "refusal" if self._refused else "tool" if self._tools else "final"

    def _call(self, item: Mapping[str, Any]) -> None:
        if item.get("type") == "function_call":
            self.handing.whole(item.get("name"), item.get("arguments"))


class ChatAnswer(Answer):
    """OpenAI Chat Completions: the usage comes in a last chunk, if asked for or by habit; ``[DONE]`` ends."""

    protocol = "chat"
    _STOPS: ClassVar[Mapping[str, Stop]] = {
        "stop": "final", "tool_calls": "tool", "function_call": "tool", "length": "length", "content_filter": "refusal",
        "insufficient_system_resource": "error", "error": "error",
    }  # fmt: skip

    def ends(self, name: str, data: bytes) -> bool:
        return data.strip() == b"[DONE]" or (b'"error"' in data[:64] and bool(_object(_try(data)).get("error")))

    def _hear(self, name: str, data: bytes) -> None:
        if data.strip() == b"[DONE]":
            self.complete = True
            return
        chunk = _object(msgspec.json.decode(data))
        if chunk.get("error"):
            self._fail(chunk["error"])
            return
        self._whole(chunk)
        if self.stop is not None:  # some servers never send [DONE]: a finish reason is an end as well
            self.complete = True

    def _whole(self, payload: Mapping[str, Any]) -> None:
        self._named(payload.get("model"))
        self._report(payload.get("usage"))
        service = payload.get("service_tier")
        if service and service != self.told.service:  # every chunk repeats it
            self.told = replace(self.told, service=_id(service))
        for choice in _list(payload.get("choices")):
            choice = _object(choice)
            self._report(choice.get("usage"))  # Kimi puts it there
            said = _object(choice.get("delta") or choice.get("message"))
            if any(said.get(name) for name in ("content", "tool_calls", "reasoning_content", "reasoning", "refusal")):
                self.content_started = True
            for place, call in enumerate(map(_object, _list(said.get("tool_calls")))):
                function, index = _object(call.get("function")), call.get("index", place)
                if function.get("name"):
                    self.handing.begun(index, function["name"])
                self.handing.goes_on(index, function.get("arguments"))
            reason = choice.get("finish_reason")
            if isinstance(reason, str) and reason:
                self.stop = self._STOPS.get(reason, "final")
            if said.get("refusal") and self.stop in (None, "final"):
                self.stop = "refusal"


class GeminiAnswer(Answer):
    """Gemini: every chunk repeats cumulative usage; the chunk with a finish reason is the last."""

    protocol = "gemini"
    _REFUSALS = frozenset({"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "LANGUAGE"})
    _ERRORS = frozenset({"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "OTHER", "TOO_MANY_TOOL_CALLS"})

    def __init__(self) -> None:
        super().__init__()
        self._tools = False

    def ends(self, name: str, data: bytes) -> bool:
        chunk = _object(_try(data)) if b"finishReason" in data or b"error" in data or b"blockReason" in data else {}
        told = any(_object(candidate).get("finishReason") for candidate in _list(chunk.get("candidates")))
        return told or bool(chunk.get("error")) or bool(_object(chunk.get("promptFeedback")).get("blockReason"))

    def whole(self, payload: Any) -> None:
        """A stream without ``alt=sse`` is one JSON array of chunks."""
        for chunk in payload if isinstance(payload, list) else [payload]:
            super().whole(chunk)

    def _hear(self, name: str, data: bytes) -> None:
        chunk = _object(msgspec.json.decode(data))
        if chunk.get("error"):
            self._fail(chunk["error"])
        else:
            self._whole(chunk)
            self.complete = self.complete or self.stop is not None

    def _whole(self, payload: Mapping[str, Any]) -> None:
        self._named(payload.get("modelVersion"))
        self._report(payload.get("usageMetadata"))
        if _object(payload.get("promptFeedback")).get("blockReason"):
            self.stop = "refusal"
        for candidate in _list(payload.get("candidates")):
            candidate = _object(candidate)
            for part in _list(_object(candidate.get("content")).get("parts")):
                self.content_started = True
                call = _object(_object(part).get("functionCall"))
                self._tools = self._tools or "functionCall" in _object(part)
                self.handing.whole(call.get("name"), call.get("args"))
            reason = candidate.get("finishReason")
            if isinstance(reason, str) and reason != "FINISH_REASON_UNSPECIFIED":
                self.stop = self._ending(reason)

    def _ending(self, reason: str) -> Stop:
        if reason in self._REFUSALS:
            return "refusal"
        if reason in self._ERRORS:
            return "error"
        if reason == "MAX_TOKENS":
            return "length"
        return "tool" if self._tools else "final"


def answer_of(protocol: Protocol) -> Answer:
    """A fresh listener for ``protocol``."""
    return _ANSWERS[protocol]()


_ANSWERS: Mapping[Protocol, type[Answer]] = {
    "messages": MessagesAnswer,
    "chat": ChatAnswer,
    "responses": ResponsesAnswer,
    "gemini": GeminiAnswer,
}


def _merge(known: dict[str, Any], new: Mapping[str, Any]) -> None:
    """Counters only grow: keep the larger figure. Some servers open with zeros and report at the end, some the reverse."""
    for name, value in new.items():
        old = known.get(name)
        if value is None:
            continue
        if isinstance(value, dict) and isinstance(old, dict):
            _merge(old, value)
        elif isinstance(value, dict):
            known[name] = dict(value)
        elif isinstance(value, (int, float)) and isinstance(old, (int, float)) and value >= 0:
            known[name] = max(old, value)
        else:
            known[name] = value


def _type(data: bytes) -> str:
    """The ``type`` inside an event that has no name."""
    try:
        return msgspec.json.decode(data, type=_Typed).type
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""


def _try(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _printable(text: str) -> str:
    """A provider's words as a terminal may show them."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _id(value: object) -> str:
    """The id of an answer, which a later request may have to repeat exactly; empty where it is none."""
    return value if isinstance(value, str) and len(value) <= NAME_CHARS and value.isprintable() else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _kind(value: Any) -> str:
    return {list: "an array", str: "a string", type(None): "null", bool: "a boolean"}.get(type(value), "a number")
