"""A request as the provider reads it, with what scripts ask about: who speaks, why, and where the dialogue stands.

Scripts are functions of the request, not of the server's memory: ``turn`` and ``step`` are counted in the history that
the client sent, so a retry gets the same answer and a resumed session goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

Protocol = Literal["messages", "chat", "responses", "gemini"]
Purpose = Literal["main", "subagent", "title", "compaction", "side", "prewarm"]

COMPACTION = (
    "critical: respond with text only",
    "your task is to create a detailed summary",
    "context checkpoint compaction",
    "provide a detailed prompt for continuing our conversation",
    "create a new anchored summary",
    "update the anchored summary",
    "you are the component that summarizes a conversation",
    "produce the <state_snapshot>",
    "generate a new <state_snapshot>",
    "critically evaluate the <state_snapshot>",
)
"""Words by which real clients ask for a summary of the history (Claude Code 2.1, Codex 0.169, OpenCode 1.18, Qwen Code 0.24,
Gemini CLI 0.61), lower case."""

REMINDERS = (
    "<system-reminder>",
    "<advice from=",
    "<session_context>",
    "<task-notification>",
    "<environment_context>",
    "<user_instructions>",
    "# AGENTS.md",
    "<permissions",
    "<recommended_",
    "<skills_",
)
"""How text that the client itself, or a gateway, puts into a user message begins."""


SUBMIT = "COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"
"""What mini-swe-agent 2.4 wants echoed by its shell at the end of a task."""


@dataclass(frozen=True)
class Incoming:
    """One model request. ``headers`` have lower-case names; ``body`` is the decoded JSON object."""

    protocol: Protocol
    path: str
    model: str
    stream: bool
    headers: Mapping[str, str]
    body: dict[str, Any]
    credential: str = ""
    nth: int = 0
    """How many main requests this session has made, this one included; equal bodies count once."""

    extra: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def messages(self) -> list[dict[str, Any]]:
        """The history's items as the client sent them, without leading system or developer items."""
        match self.protocol:
            case "responses":
                given = self.body.get("input", [])
                rows = [{"type": "message", "role": "user", "content": given}] if isinstance(given, str) else given
            case "gemini":
                rows = self.body.get("contents", [])
            case _:
                rows = self.body.get("messages", [])
        return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []

    @cached_property
    def system(self) -> str:
        """The text of system, developer and instruction parts."""
        given = self.body.get("system") or self.body.get("instructions") or self.body.get("systemInstruction") or ""
        rows = [row.get("content") for row in self.messages if row.get("role") in ("system", "developer")]
        return "\n".join(filter(None, (texts(given), *(texts(row) for row in rows))))

    @cached_property
    def tools(self) -> dict[str, dict[str, Any]]:
        """The client's tools: name to JSON schema of its arguments; a free-form tool has the schema ``{"custom": True}``."""
        return dict(_tools(self._given_tools))

    @cached_property
    def namespaces(self) -> dict[str, str]:
        """The namespace of every tool that the Responses API has in one."""
        rows = [row for row in self._given_tools if isinstance(row, dict) and row.get("type") == "namespace"]
        return {name: str(row.get("name")) for row in rows for name, _ in _tools(row.get("tools") or [])}

    @cached_property
    def _given_tools(self) -> list[Any]:
        """The tools as they were given: in their field, or, by Codex to its newest models, in an item of the history."""
        carried = [tool for row in self.messages if row.get("type") == "additional_tools" for tool in row.get("tools") or []]
        return [*(self.body.get("tools") or []), *carried]

    @property
    def submits(self) -> bool:
        """Whether this client takes a command for the end of a task, and any answer without a tool call for a mistake."""
        return SUBMIT in self.system or any(SUBMIT in text for _, text in self.users[:1])

    @cached_property
    def users(self) -> list[tuple[int, str]]:
        """(index, text) of the messages that hold words of the user: no tool results, no reminders of the client's own.

        A sub-agent's task, which Codex sends as a message of another agent, counts as its user's words.
        """
        found = []
        for n, row in enumerate(self.messages):
            if (row.get("role") == "user" or (self.agent and row.get("type") == "agent_message")) and not is_result(row):
                text = "\n".join(t for t in text_blocks(row) if not t.lstrip().startswith(REMINDERS)).strip()
                if text:
                    found.append((n, text))
        return found

    @property
    def prompt(self) -> str:
        """The newest words of the user."""
        return self.users[-1][1] if self.users else ""

    @property
    def turn(self) -> int:
        """Which prompt of the visible history is being answered, from 1."""
        return len(self.users)

    @cached_property
    def step(self) -> int:
        """How many rounds of tool calls were answered since the newest prompt: 0 right after it."""
        start = self.users[-1][0] if self.users else -1
        rounds, inside = 0, False
        for row in self.messages[start + 1 :]:
            result = is_result(row)
            rounds += result and not inside
            inside = result
        return rounds

    @cached_property
    def client(self) -> str:
        """Which client speaks, by its own headers: claude, codex, opencode, qwen, gemini, cline, aider or other."""
        agent = self.headers.get("user-agent", "").lower()
        if "x-claude-code-session-id" in self.headers or agent.startswith("claude-cli"):
            return "claude"
        for name in ("codex", "opencode", "qwen", "gemini", "cline"):
            if name in agent or (name == "codex" and "x-codex-turn-metadata" in self.headers):
                return name
        return "aider" if "*SEARCH/REPLACE*" in self.system or "file listing" in self.system else "other"

    @cached_property
    def session(self) -> str:
        """The client's own session id; where it sends none, a hash of its system head and first prompt."""
        for name in ("x-claude-code-session-id", "session-id", "session_id", "x-session-id"):
            if name in self.headers:
                return self.headers[name]
        named = re.search(r'"session_id":\s*"([^"]+)"', str((self.body.get("metadata") or {}).get("user_id", "")))
        if named:
            return named.group(1)
        first = self.users[0][1] if self.users else ""
        return hashlib.blake2b((self.system[:500] + first).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()

    @cached_property
    def agent(self) -> str | None:
        """The id of the sub-agent that speaks, or None."""
        for name in ("x-claude-code-agent-id", "x-openai-subagent", "x-codex-parent-thread-id", "x-parent-session-id"):
            if name in self.headers:
                return (
                    self.headers.get("thread-id", self.headers[name])
                    if "codex" in name or "openai" in name
                    else self.headers[name]
                )
        return "subagent" if "cc_is_subagent=true" in self.system[:400] else None

    @cached_property
    def purpose(self) -> Purpose:
        """Why the request is made."""
        metadata = self.headers.get("x-codex-turn-metadata", "")
        if '"prewarm"' in metadata or self.body.get("generate") is False:
            return "prewarm"
        if "compaction" in metadata or any(words in self._last_words for words in COMPACTION):
            return "compaction"
        if not self.tools:
            if "title" in (self.schema or {}).get("properties", {}) or "title generator" in self.system[:300]:
                return "title"
            if self.schema or "commit message" in self.system.lower()[:600]:
                return "side"
        return "subagent" if self.agent else "main"

    @property
    def wants_snapshot(self) -> bool:
        """Whether a summary is only taken in the element that Qwen Code and Gemini CLI ask for."""
        return "<state_snapshot>" in self._last_words

    @property
    def _last_words(self) -> str:
        """The lower-case text of the last message, its head and its end."""
        text = "\n".join(text_blocks(self.messages[-1])).lower() if self.messages else ""
        return text[:3000] + text[-3000:]

    @cached_property
    def schema(self) -> dict[str, Any] | None:
        """The JSON schema the answer must follow, or None."""
        output = self.body.get("output_config") or {}
        found = (
            output.get("format", {}).get("schema")
            or (self.body.get("output_format") or {}).get("schema")
            or ((self.body.get("response_format") or {}).get("json_schema") or {}).get("schema")
            or ((self.body.get("text") or {}).get("format") or {}).get("schema")
            or (self.body.get("generationConfig") or {}).get("responseSchema")
        )
        return found if isinstance(found, dict) else None

    @cached_property
    def folder(self) -> str | None:
        """The working folder the client names in its prompt, to the end of its line, or None."""
        head = self.system + "\n" + "\n".join("\n".join(text_blocks(row)) for row in self.messages[:4])
        found = re.search(r"(?:(?:[Ww]orking|[Cc]urrent) directory:|<cwd>|working in the directory:)\s*(/[^\n<\"'`]+)", head)
        return found.group(1).rstrip(" .") if found else None

    @cached_property
    def digest(self) -> str:
        """Equal for retries: key order, ``stream``, output limits and cache marks ignored."""
        kept = {k: v for k, v in self.body.items() if k not in ("stream", "max_tokens", "max_output_tokens", "stream_options")}
        plain = re.sub(r'"cache_control": \{[^{}]*\}(, )?', "", json.dumps(kept, sort_keys=True, ensure_ascii=False))
        return hashlib.blake2b((self.path + plain).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def unmarked(value: Any) -> Any:
    """``value`` without cache marks, at any depth."""
    if isinstance(value, dict):
        return {k: unmarked(v) for k, v in value.items() if k != "cache_control"}
    return [unmarked(v) for v in value] if isinstance(value, list) else value


def text_blocks(row: dict[str, Any]) -> Iterator[str]:
    """The texts of one message, tool results left out."""
    content = row.get("content", row.get("parts"))
    if isinstance(content, str):
        yield content
    for block in content if isinstance(content, list) else ():
        if isinstance(block, dict) and isinstance(block.get("text"), str) and block.get("type") != "tool_result":
            yield block["text"]


def texts(value: Any) -> str:
    """All text of a system value: a string, a block, or a list of blocks."""
    if isinstance(value, str):
        return value
    return "\n".join(text_blocks({"content": value} if isinstance(value, list) else value if isinstance(value, dict) else {}))


def is_result(row: dict[str, Any]) -> bool:
    """Does this history item bring tool results?"""
    if row.get("role") == "tool" or str(row.get("type", "")).endswith("_call_output"):
        return True
    content = row.get("content", row.get("parts"))
    return isinstance(content, list) and any(
        isinstance(block, dict) and (block.get("type") == "tool_result" or "functionResponse" in block) for block in content
    )


def _tools(rows: list[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, schema) of every tool in any protocol's list, namespaces opened."""
    for row in rows:
        if not isinstance(row, dict):
            continue
        if row.get("type") == "namespace":
            yield from _tools(row.get("tools") or [])
        elif "functionDeclarations" in row:
            for tool in row["functionDeclarations"]:
                yield tool["name"], tool.get("parametersJsonSchema") or tool.get("parameters") or {}
        elif isinstance(row.get("function"), dict):
            yield row["function"].get("name", ""), row["function"].get("parameters") or {}
        elif row.get("type") == "custom":
            yield row.get("name") or row.get("custom", {}).get("name", ""), row.get("input_schema") or {"custom": True}
        elif "name" in row:
            yield row["name"], row.get("input_schema") or row.get("parameters") or {}
