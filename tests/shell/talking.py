"""A client that keeps its history as real ones do, in each protocol, over real HTTP: say, run the tools it is asked to, go on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from pointsman.core.types import Protocol
from pointsman.sandbox import Clock
from pointsman.sandbox.answers import content_of, events
from shell.support import PATHS, headers

SESSION = "5b1a7c9e-0000-4000-8000-00000000000a"
SHELL = {"type": "object", "properties": {"command": {"type": "string"}}}


@dataclass
class Heard:
    """One answer: its status, raw bytes, the tools it called (name, id), and its words."""

    status: int
    data: bytes
    calls: list[tuple[str, str]] = field(default_factory=list)
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The JSON values of the stream."""
        return list(events(self.data.decode()))


class Client:
    """Talks through ``url`` in ``protocol``; ``history`` is what it believes was said."""

    def __init__(
        self, http: aiohttp.ClientSession, url: str, protocol: Protocol, model: str, *, stream: bool = True,
        session: str = SESSION, system: str = "You are an agent. " * 400, clock: Clock | None = None, **more: Any,
    ) -> None:  # fmt: skip
        self._http, self._url, self.protocol, self.model, self.stream = http, url, protocol, model, stream
        self.history: list[dict[str, Any]] = []
        self.session, self.system, self.more, self.clock = session, system, more, clock

    @property
    def headers(self) -> dict[str, str]:
        """Those of a client of this protocol that names its session."""
        if self.protocol == "messages":
            return {
                **headers("messages"),
                "x-claude-code-session-id": self.session,
                "user-agent": "claude-cli/2.1.330 (external, cli)",
            }
        if self.protocol == "responses":
            return {**headers("responses"), "session-id": self.session, "user-agent": "codex_exec/0.169.0"}
        if self.protocol == "gemini":  # sends no ids at all
            return {**headers("gemini"), "user-agent": "GeminiCLI/0.61.0", "x-goog-api-key": "sk-test"}
        return {**headers("chat"), "x-session-id": self.session, "user-agent": "opencode/1.18.33"}

    @property
    def path(self) -> str:
        """Where requests go; Gemini names model and form there."""
        if self.protocol == "gemini":
            return f"/v1beta/models/{self.model}:" + ("streamGenerateContent?alt=sse" if self.stream else "generateContent")
        return PATHS[self.protocol]

    def body(self) -> dict[str, Any]:
        """The request as it would go out now."""
        if self.protocol == "messages":
            mark = {"cache_control": {"type": "ephemeral"}}
            *before, last = self.history
            *blocks, end = last["content"]
            marked = [*before, {**last, "content": [*blocks, {**end, **mark}]}]
            tools = [{"name": "Bash", "description": "Run a command", "input_schema": SHELL}]
            return {"model": self.model, "max_tokens": 32_000, "stream": self.stream, "tools": tools, "messages": marked,
                    "system": [{"type": "text", "text": self.system, **mark}], **self.more}  # fmt: skip
        function = {"name": "shell", "description": "Run a command", "parameters": SHELL}
        if self.protocol == "responses":
            return {"model": self.model, "stream": self.stream, "instructions": self.system, "input": self.history,
                    "store": False, "tools": [{"type": "function", **function}], "prompt_cache_key": self.session,
                    **self.more}  # fmt: skip
        if self.protocol == "gemini":
            declared = {"name": "shell", "description": "Run a command", "parametersJsonSchema": SHELL}
            return {"contents": self.history, "systemInstruction": {"parts": [{"text": self.system}]},
                    "tools": [{"functionDeclarations": [declared]}], **self.more}  # fmt: skip
        said = [{"role": "system", "content": self.system}, *self.history]
        options = {"stream_options": {"include_usage": True}} if self.stream else {}
        tools = [{"type": "function", "function": function}]
        return {"model": self.model, "stream": self.stream, "messages": said, "tools": tools,
                **options, **self.more}  # fmt: skip

    def says(self, text: str) -> None:
        """The user's words into the history."""
        if self.protocol == "messages":
            self.history.append({"role": "user", "content": [{"type": "text", "text": text}]})
        elif self.protocol == "responses":
            self.history.append({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]})
        elif self.protocol == "gemini":
            self.history.append({"role": "user", "parts": [{"text": text}]})
        else:
            self.history.append({"role": "user", "content": text})

    def returns(self, calls: list[tuple[str, str]], text: str = "ok") -> None:
        """The tools' results into the history."""
        if self.protocol == "messages":
            results = [{"type": "tool_result", "tool_use_id": id, "content": text} for _, id in calls]
            self.history.append({"role": "user", "content": results})
        elif self.protocol == "gemini":
            results = [{"functionResponse": {"name": name, "response": {"output": text}, "id": id}} for name, id in calls]
            self.history.append({"role": "user", "parts": results})
        for _, id in calls if self.protocol == "responses" else ():
            self.history.append({"type": "function_call_output", "call_id": id, "output": text})
        for _, id in calls if self.protocol == "chat" else ():
            self.history.append({"role": "tool", "tool_call_id": id, "content": text})

    async def send(self) -> Heard:
        """The request as it stands; its answer goes into the history."""
        if self.clock is not None:
            self.clock.advance(2.0)
        data = json.dumps(self.body()).encode()
        async with self._http.post(self._url + self.path, data=data, headers=self.headers) as answer:
            heard = Heard(answer.status, await answer.read(), headers=dict(answer.headers))
        if heard.status == 200:
            self._take(heard)
        return heard

    async def ask(self, text: str, *, result: str = "ok", rounds: int = 20) -> list[Heard]:
        """One turn: the user's words, then tool results until there are no more calls."""
        self.says(text)
        found = [await self.send()]
        while found[-1].calls and len(found) < rounds:
            self.returns(found[-1].calls, result)
            found.append(await self.send())
        return found

    def _take(self, heard: Heard) -> None:
        """Put an answer into the history as this protocol's clients do."""
        if self.protocol == "messages":
            blocks = content_of(heard.data.decode())
            self.history.append({"role": "assistant", "content": blocks})
            heard.calls = [(b["name"], b["id"]) for b in blocks if b["type"] == "tool_use"]
            heard.text = "".join(b["text"] for b in blocks if b["type"] == "text")
        elif self.protocol == "responses":
            values = heard.events
            items = (
                [v["item"] for v in values if v.get("type") == "response.output_item.done"]
                if self.stream
                else values[0]["output"]
            )
            self.history += items
            heard.calls = [(i["name"], i["call_id"]) for i in items if i["type"] == "function_call"]
            heard.text = "".join(p["text"] for i in items if i["type"] == "message" for p in i["content"])
        elif self.protocol == "gemini":
            self._take_gemini(heard)
        else:
            self._take_chat(heard)

    def _take_gemini(self, heard: Heard) -> None:
        """As gemini-cli keeps it: thoughts and empty texts left out, neighbouring texts joined, calls given an id."""
        kept: list[dict[str, Any]] = []
        for value in heard.events:
            for part in value["candidates"][0]["content"].get("parts", ()) if value.get("candidates") else ():
                if part.get("thought") or part.get("text") == "":
                    continue
                if "text" in part and kept and "text" in kept[-1]:
                    kept[-1] = {**kept[-1], "text": kept[-1]["text"] + part["text"]}
                elif "functionCall" in part:
                    call = part["functionCall"]
                    kept.append({**part, "functionCall": {"id": f"{call['name']}_{len(self.history)}_{len(kept)}", **call}})
                else:
                    kept.append(part)
        self.history.append({"role": "model", "parts": kept})
        heard.calls = [(p["functionCall"]["name"], p["functionCall"]["id"]) for p in kept if "functionCall" in p]
        heard.text = "".join(part.get("text", "") for part in kept)

    def _take_chat(self, heard: Heard) -> None:
        words, thoughts, calls = "", "", dict[int, dict[str, Any]]()
        for value in heard.events:
            for choice in value.get("choices", ()):
                delta = choice.get("delta") or choice.get("message") or {}
                words += delta.get("content") or ""
                thoughts += delta.get("reasoning_content") or ""
                for k, call in enumerate(delta.get("tool_calls") or ()):
                    held = calls.setdefault(
                        call.get("index", k), {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
                    )
                    held["id"] = call.get("id") or held["id"]
                    for key in ("name", "arguments"):
                        held["function"][key] += (call.get("function") or {}).get(key) or ""
        message: dict[str, Any] = {"role": "assistant", "content": words or None}
        if thoughts:
            message["reasoning_content"] = thoughts
        if calls:
            message["tool_calls"] = [calls[n] for n in sorted(calls)]
        self.history.append(message)
        heard.calls = [(c["function"]["name"], c["id"]) for c in message.get("tool_calls", ())]
        heard.text = words
