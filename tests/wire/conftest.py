"""Conversations as clients send them: say, call, answer, then read the request that would go out next."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pointsman.core.types import Protocol, Request
from pointsman.wire import Memo, read

BILLING = "x-anthropic-billing-header: cc_version=2.1.330.fe5; cc_entrypoint=cli;"
MARK = {"type": "ephemeral"}


class Talk:
    """A growing request body of one client; ``body`` may be edited freely between steps."""

    protocol: Protocol = "messages"
    path = "/v1/messages"
    history = "messages"

    def __init__(self, **fields: Any) -> None:
        self.headers: dict[str, str] = {"x-api-key": "fake-key"}
        self.body: dict[str, Any] = {self.history: [], **fields}
        self.memo = Memo()

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The history so far."""
        messages: list[dict[str, Any]] = self.body[self.history]
        return messages

    def says(self, *texts: str) -> Talk:
        """A user message of one or more text blocks."""
        self.messages.append({"role": "user", "content": [{"type": "text", "text": text} for text in texts]})
        return self

    def bytes(self) -> bytes:
        """The body on the wire."""
        return json.dumps(self.body).encode()

    def read(self, **options: Any) -> Request:
        """What Pointsman reads off the wire."""
        return read(self.protocol, self.path, self.headers, self.bytes(), memo=self.memo, **options)


class Claude(Talk):
    """Claude Code on the Messages protocol."""

    path = "/v1/messages?beta=true"

    def __init__(self, **fields: Any) -> None:
        super().__init__(
            model="claude-opus-5-5",
            system=[
                {"type": "text", "text": BILLING},
                {"type": "text", "text": "You are Claude Code, Anthropic's official CLI for Claude.", "cache_control": MARK},
                {"type": "text", "text": "# Environment\n - Primary working directory: /home/dev/calc\n", "cache_control": MARK},
            ],
            tools=[{"name": "Bash", "description": "Run a command.", "input_schema": {"type": "object"}}],
            max_tokens=64_000,
            thinking={"type": "adaptive"},
            output_config={"effort": "high"},
            stream=True,
            metadata={"user_id": json.dumps({"device_id": "d", "session_id": "session-1"})},
        )
        self.body.update(fields)
        self.headers |= {"user-agent": "claude-cli/2.1.330 (external, cli)", "x-claude-code-session-id": "session-1"}

    def calls(self, command: str = "pytest -q", *, thinking: bool = True) -> Claude:
        """An answer that calls the shell tool."""
        blocks: list[dict[str, Any]] = [{"type": "thinking", "thinking": "hm", "signature": "c2ln"}] if thinking else []
        blocks.append({"type": "tool_use", "id": f"t{len(self.messages)}", "name": "Bash", "input": {"command": command}})
        self.messages.append({"role": "assistant", "content": blocks})
        return self

    def returns(self, text: str, *texts: str, error: bool = False) -> Claude:
        """The tool's result, with any further text blocks in the same message."""
        result: dict[str, Any] = {"type": "tool_result", "tool_use_id": f"t{len(self.messages) - 1}", "content": text}
        if error:
            result["is_error"] = True
        blocks = [result, *({"type": "text", "text": more} for more in texts)]
        self.messages.append({"role": "user", "content": blocks})
        return self

    def answers(self, text: str) -> Claude:
        """A final answer."""
        self.messages.append({"role": "assistant", "content": [{"type": "text", "text": text}]})
        return self

    def notes(self, text: str = "Today is Sunday.", effort: str | None = None) -> Claude:
        """A system message inside the history, as the newest models get it."""
        message: dict[str, Any] = {"role": "system", "content": text}
        if effort:
            message["output_config"] = {"effort": effort}
        self.messages.append(message)
        return self

    def marks_last(self, ttl: str | None = None) -> Claude:
        """Move the cache mark to the last block of the last message, as Claude Code does with every request."""
        for message in self.messages:
            for block in message["content"] if isinstance(message["content"], list) else ():
                block.pop("cache_control", None)
        last = self.messages[-1]
        if isinstance(last["content"], str):
            last["content"] = [{"type": "text", "text": last["content"]}]
        last["content"][-1]["cache_control"] = {"type": "ephemeral", **({"ttl": ttl} if ttl else {})}
        return self


class Chat(Talk):
    """Any client of Chat Completions."""

    protocol: Protocol = "chat"
    path = "/v1/chat/completions"

    def __init__(self, system: str = "You are a coding agent.", **fields: Any) -> None:
        tool = {"type": "function", "function": {"name": "shell", "parameters": {"type": "object"}}}
        super().__init__(model="gpt-5.5", tools=[tool], stream=True)
        self.headers = {"authorization": "Bearer fake-key"}
        self.messages.append({"role": "system", "content": system})
        self.body.update(fields)

    def says(self, *texts: str) -> Chat:
        """A user message; a single text goes as a string, as most clients send it."""
        content: Any = texts[0] if len(texts) == 1 else [{"type": "text", "text": text} for text in texts]
        self.messages.append({"role": "user", "content": content})
        return self

    def calls(self, command: str = "pytest -q") -> Chat:
        """An answer that calls the shell tool."""
        call = {"id": "c1", "type": "function", "function": {"name": "shell", "arguments": json.dumps({"command": command})}}
        self.messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        return self

    def returns(self, text: str) -> Chat:
        """The tool's result."""
        self.messages.append({"role": "tool", "tool_call_id": "c1", "content": text})
        return self


class Codex(Talk):
    """Codex on the Responses protocol."""

    protocol: Protocol = "responses"
    path = "/v1/responses"
    history = "input"

    def __init__(self, **fields: Any) -> None:
        tool = {"type": "function", "name": "exec_command", "parameters": {"type": "object"}, "strict": False}
        super().__init__(
            model="gpt-5.5", instructions="You are Codex, a coding agent.", tools=[tool], tool_choice="auto", stream=True,
            store=False, reasoning={"effort": "medium", "summary": "auto"}, prompt_cache_key="thread-1",
        )  # fmt: skip
        self.body.update(fields)
        self.headers = {
            "authorization": "Bearer fake-key", "originator": "codex_exec", "session-id": "thread-1", "thread-id": "thread-1",
            "user-agent": "codex_exec/0.169.0 (Linux)",
        }  # fmt: skip
        self.turn("turn-1")
        self.item("message", role="developer", content=[_input("<permissions instructions>ask</permissions instructions>")])
        self.item(
            "message", role="user", content=[_input("<environment_context><cwd>/home/dev/calc</cwd></environment_context>")]
        )

    def turn(self, turn_id: str, **more: str) -> Codex:
        """The metadata header that names the turn."""
        self.headers["x-codex-turn-metadata"] = json.dumps({"turn_id": turn_id, "request_kind": "turn", **more})
        return self

    def item(self, kind: str, **fields: Any) -> Codex:
        """Any input item."""
        self.messages.append({"type": kind, **fields})
        return self

    def says(self, *texts: str) -> Codex:
        """A user message."""
        return self.item("message", role="user", content=[_input(text) for text in texts])

    def calls(self, command: str = "pytest -q") -> Codex:
        """Reasoning and a tool call."""
        self.item("reasoning", summary=[], encrypted_content="gAAAA")
        return self.item("function_call", name="exec_command", call_id="c1", arguments=json.dumps({"cmd": command}))

    def returns(self, text: str) -> Codex:
        """The output of that call."""
        return self.item("function_call_output", call_id="c1", output=text)


def _input(text: str) -> dict[str, str]:
    return {"type": "input_text", "text": text}


@pytest.fixture
def claude() -> Claude:
    """An empty Claude Code conversation."""
    return Claude()


@pytest.fixture
def chat() -> Chat:
    """An empty Chat Completions conversation of an unknown client."""
    return Chat()


@pytest.fixture
def codex() -> Codex:
    """A Codex conversation with its opening context."""
    return Codex()
