"""Woven answers in OpenAI's two forms: chunks of Chat Completions, and numbered events of the Responses API."""

from __future__ import annotations

from typing import Any

from pointsman.wire.consulting import NAME
from pointsman.wire.weave import Called, Weave, sse

CALLED = ("tool_calls", "stop")
"""Finish reasons of an answer that calls tools; some servers end every whole answer with the second."""


class ChatWeave(Weave):
    """Chat Completions: deltas of one choice; the finish reason, the usage chunk and ``[DONE]`` are the ending."""

    protocol = "chat"

    def __init__(self) -> None:
        super().__init__()
        self._words = self._thoughts = 0
        self._own: list[str] = []  # text and reasoning of the present answer
        self._reasoned: list[str] = []
        self._calls: dict[int, dict[str, Any]] = {}
        self._hidden: set[int] = set()
        self._head: dict[str, Any] = {}
        self._ended = False
        self._text, self._thought = "", ""

    def _resumed(self) -> None:
        self._own, self._reasoned, self._calls, self._hidden, self._ended = [], [], {}, set(), False

    def _other(self, raw: bytes, data: bytes) -> bytes:
        return b"" if self.asking and data else raw

    def _event(self, raw: bytes, name: str, value: dict[str, Any]) -> bytes:
        self._head = self._head or {key: value.get(key) for key in ("id", "created", "model") if key in value}
        choices = value.get("choices")
        if not choices:
            return self._usage(raw, value)
        changed, out = self.answers > 1, []
        for choice in choices:
            new = self._choice(choice)
            changed = changed or new != choice
            if new is not None:
                out.append(new)
        if value.get("usage"):
            changed = changed or bool(self._usages) or self.asking
            value = self._used(value)
        if not out:
            return b""
        return sse("", {**value, **self._head, "choices": out}) if changed else raw

    def _usage(self, raw: bytes, value: dict[str, Any]) -> bytes:
        if not value.get("usage"):
            return raw
        value = self._used(value)
        if self.asking:
            return b""
        return sse("", {**value, **self._head}) if self._usages else raw

    def _used(self, value: dict[str, Any]) -> dict[str, Any]:
        """The value with the sum of all answers' usage; where the answer goes on, its own is put aside instead."""
        if self.asking:
            self._usages.append(dict(value["usage"]))
            return {**value, "usage": None}
        return {**value, "usage": self._told(value["usage"])}

    def _choice(self, choice: dict[str, Any]) -> dict[str, Any] | None:
        """One choice of a chunk as the client gets it; None: nothing is left of it."""
        delta = choice.get("delta") or {}
        if isinstance(delta.get("content"), str):
            self._own.append(delta["content"])
        if isinstance(delta.get("reasoning_content"), str):
            self._reasoned.append(delta["reasoning_content"])
        shown = [call for call in map(self._tool, delta.get("tool_calls") or ()) if call is not None]
        out = {key: item for key, item in delta.items() if key != "tool_calls"}
        if shown:
            out["tool_calls"] = shown
        if self.answers > 1:
            out.pop("role", None)
        reason = choice.get("finish_reason")
        if reason and self._hidden:
            return self._finished({**choice, "delta": out}, str(reason))
        if delta and not out and not reason:
            return None
        return {**choice, "delta": out} if out != delta else choice

    def _tool(self, call: dict[str, Any]) -> dict[str, Any] | None:
        index = int(call.get("index", 0))
        held = self._calls.setdefault(index, {"id": "", "name": "", "arguments": []})
        function = call.get("function") or {}
        held["id"] = call.get("id") or held["id"]
        if index not in self._hidden:  # some servers repeat the name with every piece
            held["name"] += function.get("name") or ""
        held["arguments"].append(function.get("arguments") or "")
        if held["name"] == NAME:
            self._hidden.add(index)
            return None
        before = sum(n < index for n in self._hidden)
        return {**call, "index": index - before} if before else call

    def _finished(self, choice: dict[str, Any], reason: str) -> dict[str, Any] | None:
        visible = [n for n in self._calls if n not in self._hidden]
        if reason in CALLED:
            first = min(self._hidden)
            self.called = self._call(first, self._calls[first]["id"], "".join(self._calls[first]["arguments"]), bool(visible))
            if not self.called.joined:
                return None
        return choice

    def _call(self, index: int, id: str, arguments: str, joined: bool) -> Called:
        """The call, with the text and reasoning of this answer before it; ``words`` counts from the start of the woven one."""
        text, thought = "".join(self._own), "".join(self._reasoned)
        self._words, self._thoughts = self._words + len(text), self._thoughts + len(thought)
        before: dict[str, Any] = {"role": "assistant", "content": text or None}
        if thought:
            before["reasoning_content"] = thought
        ahead = ("tool_call",) * sum(n < index and n not in self._hidden for n in self._calls)
        return Called(id, arguments, [before], ahead, self._words, self._thoughts, joined)

    def _whole(self, value: Any) -> Any:
        choice = (value.get("choices") or [{}])[0]
        message = choice.get("message") or {}
        calls = list(message.get("tool_calls") or ())
        ours = [n for n, call in enumerate(calls) if (call.get("function") or {}).get("name") == NAME]
        self._own, self._reasoned = [message.get("content") or ""], [message.get("reasoning_content") or ""]
        if ours:
            function = calls[ours[0]]["function"]
            self._calls, self._hidden = dict.fromkeys(range(len(calls)), {}), set(ours)
            self.called = self._call(
                ours[0], str(calls[ours[0]].get("id")), str(function.get("arguments") or "{}"), len(ours) < len(calls)
            )
        if self.asking:
            self._head = self._head or {key: value.get(key) for key in ("id", "created")}
            self._text, self._thought = self._text + self._own[0], self._thought + self._reasoned[0]
            self._usages.append(dict(value.get("usage") or {}))
            return None
        if self.answers == 1 and not ours:
            return value
        whole = {**message, "content": (self._text + self._own[0]) or None}
        if self._thought or self._reasoned[0]:
            whole["reasoning_content"] = self._thought + self._reasoned[0]
        if calls:
            whole["tool_calls"] = [call for n, call in enumerate(calls) if n not in ours]
        out = {**value, **self._head, "choices": [{**choice, "message": whole}]}
        return {**out, "usage": self._told(value["usage"])} if self._usages and value.get("usage") else out


class ResponsesWeave(Weave):
    """Responses: output items with an index; ``response.completed`` (or ``incomplete``, ``failed``) is the ending."""

    protocol = "responses"
    ENDINGS = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")

    def __init__(self) -> None:
        super().__init__()
        self._number = 0
        self._base = 0
        self._hidden: dict[int, dict[str, Any]] = {}
        self._items: dict[int, dict[str, Any]] = {}
        self._output: list[dict[str, Any]] = []  # what the client has been shown, over all answers
        self._response: dict[str, Any] = {}

    def _resumed(self) -> None:
        self._base = len(self._output)
        self._hidden, self._items = {}, {}

    def _event(self, raw: bytes, name: str, value: dict[str, Any]) -> bytes:
        kind = str(value.get("type") or name)
        if kind in ("response.created", "response.in_progress", "response.queued"):
            if self.answers > 1:
                return b""
            self._response = value.get("response") or {}
            return self._numbered(raw, name, value)
        if kind in self.ENDINGS:
            return self._ending(raw, name, value)
        if "output_index" not in value:
            return self._numbered(raw, name, value)
        index = int(value["output_index"])
        item = value.get("item") if isinstance(value.get("item"), dict) else None
        if item is not None and item.get("type") == "function_call" and item.get("name") == NAME:
            self._hidden[index] = item
            return b""
        if index in self._hidden:
            return b""
        if item is not None and kind == "response.output_item.done":
            self._items[index] = item
        place = self._base + index - sum(n < index for n in self._hidden)
        return self._numbered(raw, name, value if place == index else {**value, "output_index": place})

    def _numbered(self, raw: bytes, name: str, value: dict[str, Any]) -> bytes:
        """The event with its place in the sequence that the client sees."""
        if "sequence_number" not in value:
            return raw
        number, self._number = self._number, self._number + 1
        if value["sequence_number"] == number and self.answers == 1 and not self._hidden:
            return raw
        return sse(name, {**value, "sequence_number": number})

    def _ending(self, raw: bytes, name: str, value: dict[str, Any]) -> bytes:
        response = value.get("response") or {}
        found = self._taken(str(response.get("status")), list(response.get("output") or self._items.values()), response)
        if found is None:
            return b""
        return self._numbered(raw, name, value) if found is response else self._numbered(raw, name, {**value, "response": found})

    def _whole(self, value: Any) -> Any:
        return self._taken(str(value.get("status")), list(value.get("output") or ()), value)

    def _taken(self, status: str, items: list[dict[str, Any]], response: dict[str, Any]) -> dict[str, Any] | None:
        """A finished answer taken in: None where it must go on, else what the client gets of it."""
        ours = [n for n, item in enumerate(items) if item.get("type") == "function_call" and item.get("name") == NAME]
        shown = [item for n, item in enumerate(items) if n not in ours]
        if ours and status == "completed":
            call, before = items[ours[0]], items[: ours[0]]
            joined = any(str(item.get("type", "")).endswith("_call") for item in shown)
            kinds = tuple(str(item.get("type")) for item in (*self._output, *before))
            self.called = Called(str(call.get("call_id")), str(call.get("arguments") or "{}"), before, kinds, joined=joined)
        self._output += shown
        if self.asking:
            self._response = self._response or response
            self._usages.append(dict(response.get("usage") or {}))
            return None
        if self.answers == 1 and not ours:
            return response
        out = {**response, "output": list(self._output)}
        if self.answers > 1:
            out["id"] = self._response.get("id", response.get("id"))
        return {**out, "usage": self._told(response["usage"])} if self._usages and response.get("usage") else out
