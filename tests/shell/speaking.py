"""A small client of each protocol: it asks through the gateway, runs no tool but answers every call, and keeps its history as
real clients do, reasoning and signatures included."""

from __future__ import annotations

import json
from typing import Any

import aiohttp

from pointsman.sandbox.answers import content_of, events
from shell.support import PATHS, headers

SESSION = "5b1a7c9e-0000-4000-8000-000000000021"
MANUAL = "Work in small steps, keep the tests green, and say what you did. " * 120
SCHEMA = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
MODELS = {"messages": "claude-opus-5-5", "chat": "gpt-6.1-sol", "responses": "gpt-6.1-sol", "gemini": "gemini-4-argon"}
MARK = {"type": "ephemeral"}


class Speaking:
    """One conversation. ``status``: of every answer; ``said``: the text of the last one; ``raw``: its bytes."""

    def __init__(
        self, http: aiohttp.ClientSession, url: str, protocol: str, *, model: str | None = None, stream: bool = True,
        session: str = SESSION, more: dict[str, Any] | None = None, sent: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.http, self.url, self.protocol, self.stream = http, url, protocol, stream
        self.model, self.session, self.more = model or MODELS[protocol], session, more or {}
        self.sent = sent or {}
        self.history: list[dict[str, Any]] = []
        self.status: list[int] = []
        self.decided: list[str] = []
        self.said, self.raw, self.calls = "", b"", 0

    async def turn(self, text: str, *, steps: int = 8) -> str:
        """A prompt, and the tool loop that follows, to its final answer."""
        self.history.append(self._prompt(text))
        for _ in range(steps):
            results = await self.ask()
            if not results:
                return self.said
            self.history += results
        return self.said

    async def ask_prompt(self, text: str) -> list[dict[str, Any]]:
        """One prompt and its first answer; calls in it stay open, as after an interrupt."""
        self.history.append(self._prompt(text))
        return await self.ask()

    def body_of(self, length: int) -> dict[str, Any]:
        """The body that was sent when the history had ``length`` messages."""
        whole, self.history = self.history, self.history[:length]
        try:
            return self.body()
        finally:
            self.history = whole

    async def ask(self) -> list[dict[str, Any]]:
        """One request; the answer goes into the history. Returns the results of its calls."""
        action = "streamGenerateContent?alt=sse" if self.stream else "generateContent"
        url = self.url + PATHS.get(self.protocol, f"/v1beta/models/{self.model}:{action}")
        sent = json.dumps(self.body())
        async with self.http.post(url, data=sent, headers=self._headers()) as answer:
            self.raw = await answer.read()
            self.status.append(answer.status)
            self.decided.append(answer.headers.get("x-pointsman-decision", "").partition(";")[0])
            if answer.status != 200:
                return []
        hear = {"messages": self._messages, "chat": self._chat, "responses": self._responses, "gemini": self._gemini}
        return hear[self.protocol](self.raw.decode())

    def _headers(self) -> dict[str, str]:
        if self.protocol == "gemini":
            return {"x-goog-api-key": "sk-test", "content-type": "application/json", "user-agent": "GeminiCLI/0.61", **self.sent}
        ids = {"messages": "x-claude-code-session-id", "chat": "x-session-id", "responses": "session-id"}
        agents = {"messages": "claude-cli/2.1.330 (external, cli)", "chat": "opencode/1.18.33", "responses": "codex_exec/0.169.0"}
        return {**headers(self.protocol), ids[self.protocol]: self.session, "user-agent": agents[self.protocol], **self.sent}

    def body(self) -> dict[str, Any]:
        """The request as this protocol's usual client makes it."""
        if self.protocol == "messages":
            last = self.history[-1]
            marked = {**last, "content": [*last["content"][:-1], {**last["content"][-1], "cache_control": MARK}]}
            system = [{"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.330.fe5; cc_entrypoint=cli;"},
                      {"type": "text", "text": MANUAL, "cache_control": MARK}]
            return {"model": self.model, "max_tokens": 32_000, "stream": self.stream, "system": system,
                    "thinking": {"type": "adaptive"}, "output_config": {"effort": "high"},
                    "metadata": {"user_id": json.dumps({"session_id": self.session, "account": "a@example.com"})},
                    "tools": [{"name": "Bash", "description": "Runs a command.", "input_schema": SCHEMA}],
                    "messages": [*self.history[:-1], marked], **self.more}  # fmt: skip
        if self.protocol == "gemini":
            tool = {"name": "run_shell_command", "description": "Runs a command.", "parametersJsonSchema": SCHEMA}
            return {"systemInstruction": {"parts": [{"text": MANUAL * 3}]}, "contents": self.history,
                    "tools": [{"functionDeclarations": [tool]}], "generationConfig": {"temperature": 1}, **self.more}
        if self.protocol == "chat":
            tools = [{"type": "function", "function": {"name": "bash", "description": "Runs a command.", "parameters": SCHEMA}}]
            return {"model": self.model, "stream": self.stream, "tools": tools, "user": "user-17",
                    **({"stream_options": {"include_usage": True}} if self.stream else {}),
                    "messages": [{"role": "system", "content": MANUAL}, *self.history], **self.more}
        tools = [{"type": "function", "name": "exec_command", "description": "Runs it.", "parameters": SCHEMA, "strict": False},
                 {"type": "custom", "name": "apply_patch", "description": "Edits files.", "format": {"type": "text"}},
                 {"type": "web_search"}]  # fmt: skip
        return {"model": self.model, "stream": self.stream, "instructions": MANUAL, "input": self.history, "tools": tools,
                "tool_choice": "auto", "parallel_tool_calls": True, "reasoning": {"effort": "medium"}, "store": False,
                "include": ["reasoning.encrypted_content"], "prompt_cache_key": self.session, **self.more}

    def _prompt(self, text: str) -> dict[str, Any]:
        if self.protocol == "messages":
            return {"role": "user", "content": [{"type": "text", "text": text}]}
        if self.protocol == "chat":
            return {"role": "user", "content": text}
        if self.protocol == "gemini":
            return {"role": "user", "parts": [{"text": text}]}
        return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}

    # ---- answers

    def _messages(self, text: str) -> list[dict[str, Any]]:
        content = content_of(text)
        assert any(e.get("type") in ("message_stop", "message") for e in events(text)), text[-300:]
        self.history.append({"role": "assistant", "content": content})
        self.said = "".join(block.get("text", "") for block in content)
        calls = [block for block in content if block["type"] == "tool_use"]
        self.calls += len(calls)
        results = [{"type": "tool_result", "tool_use_id": c["id"], "content": f"done {c['input']}"} for c in calls]
        return [{"role": "user", "content": results}] if results else []

    def _chat(self, text: str) -> list[dict[str, Any]]:
        message: dict[str, Any] = {"role": "assistant", "content": ""}
        calls: dict[int, dict[str, Any]] = {}
        for event in events(text):
            for choice in event.get("choices", ()):
                part = choice.get("delta") or choice.get("message") or {}
                message["content"] += part.get("content") or ""
                if part.get("reasoning_content"):
                    message["reasoning_content"] = message.get("reasoning_content", "") + part["reasoning_content"]
                for n, call in enumerate(part.get("tool_calls") or ()):
                    held = calls.setdefault(call.get("index", n), {"type": "function", "function": {"name": "", "arguments": ""}})
                    held["id"] = call.get("id") or held.get("id")
                    held["function"]["name"] += call["function"].get("name") or ""
                    held["function"]["arguments"] += call["function"].get("arguments") or ""
        if self.stream:
            assert text.rstrip().endswith("[DONE]"), text[-300:]
        if calls:
            message["tool_calls"] = [calls[n] for n in sorted(calls)]
        self.history.append(message)
        self.said, self.calls = message["content"], self.calls + len(calls)
        return [{"role": "tool", "tool_call_id": call["id"], "content": f"done {json.loads(call['function']['arguments'])}"}
                for call in message.get("tool_calls", ())]

    def _gemini(self, text: str) -> list[dict[str, Any]]:
        parts = [p for e in events(text) for c in e.get("candidates", ()) for p in c["content"].get("parts", ())]
        assert any(c.get("finishReason") for e in events(text) for c in e.get("candidates", ())), text[-300:]
        self.history.append({"role": "model", "parts": [p for p in parts if p.get("text") != ""]})
        self.said = "".join(p.get("text", "") for p in parts if not p.get("thought"))
        calls = [p["functionCall"] for p in parts if "functionCall" in p]
        self.calls += len(calls)
        named = [{name: call[name] for name in ("id", "name") if name in call} for call in calls]
        results = [{"functionResponse": {**who, "response": {"output": f"done {call['args']}"}}}
                   for who, call in zip(named, calls, strict=True)]  # fmt: skip
        return [{"role": "user", "parts": results}] if results else []

    def _responses(self, text: str) -> list[dict[str, Any]]:
        found = list(events(text))
        items = [e["item"] for e in found if e.get("type") == "response.output_item.done"]
        items = items or [item for e in found for item in e.get("output", ())]
        assert any(e.get("type") == "response.completed" or e.get("object") == "response" for e in found), text[-300:]
        self.history += items
        said = [part.get("text", "") for item in items if item["type"] == "message" for part in item["content"]]
        self.said = "".join(said)
        calls = [item for item in items if item["type"] in ("function_call", "custom_tool_call")]
        self.calls += len(calls)
        return [{"type": f"{c['type']}_output", "call_id": c["call_id"], "output": f"done {c.get('arguments') or c.get('input')}"}
                for c in calls]
