"""Ready-made dialogues that call the tools which the client itself offers: write a file, read it back, finish.

Every client names its tools and their arguments differently; ``use`` finds the tool for a purpose among the request's
own tools and fills in its schema, so that one dialogue serves all clients.
"""

from __future__ import annotations

import json
import shlex
from pathlib import PurePosixPath
from typing import Any, Literal

from pointsman.sandbox.incoming import Incoming
from pointsman.sandbox.reply import Call, Part, Reply, Thinking, say
from pointsman.sandbox.script import Housekeeping, Script, Steps, instance

Purpose = Literal["run", "write", "read", "agent", "wait"]

TOOLS: dict[Purpose, tuple[str, ...]] = {
    "run": (
        "Bash",
        "bash",
        "exec_command",
        "shell_command",
        "shell",
        "local_shell",
        "run_shell_command",
        "execute_command",
        "run_commands",
        "exec",
    ),
    "write": ("Write", "write", "write_file", "write_to_file"),
    "read": ("Read", "read", "read_file"),
    "agent": ("Agent", "Task", "task", "agent", "spawn_agent", "invoke_agent"),
    "wait": ("wait_agent",),
}
"""Tool names of Claude Code, OpenCode, Codex, Qwen, Gemini, Cline and mini-swe-agent, by purpose."""

ARGUMENTS: dict[str, str] = {
    "command": "command",
    "cmd": "command",
    "commands": "commands",
    "file_path": "path",
    "filePath": "path",
    "path": "path",
    "absolute_path": "path",
    "content": "text",
    "file_text": "text",
    "description": "description",
    "prompt": "prompt",
    "message": "prompt",
    "task_name": "task",
    "subagent_type": "kind",
    "agent_type": "kind",
    "agent_name": "named",
    "workdir": "folder",
    "timeout": "timeout",
    "timeout_ms": "timeout",
    "yield_time_ms": "wait",
    "is_background": "background",
    "requires_approval": "approval",
    "fork_turns": "fork",
}
"""Argument name to the value it wants."""


def find(request: Incoming, purpose: Purpose) -> str | None:
    """The client's tool for ``purpose``, or None."""
    return next((name for name in TOOLS[purpose] if name in request.tools), None)


def call(request: Incoming, tool: str, **values: Any) -> Call:
    """A call of ``tool`` with its schema's required arguments, and the known optional ones, filled from ``values``."""
    schema = request.tools.get(tool, {})
    if tool == "exec" and "command" in values:  # Codex: code that calls the tool, free-form, or in one field once translated
        command = json.dumps({"cmd": values["command"]})
        code = f"const done = await tools.exec_command({command});\ntext(done);"
        given = code if schema.get("custom") else {name: code for name in list(schema.get("properties", {}))[:1]}
        return Call(tool, given, namespace=request.namespaces.get(tool))
    properties: dict[str, Any] = schema.get("properties", {})
    required = list(schema.get("required", properties))
    known = {
        name: _shaped(values[ARGUMENTS[name]], properties.get(name, {})) for name in properties if ARGUMENTS.get(name) in values
    }
    optional = {
        name: value
        for name, value in known.items()
        if name in required or ARGUMENTS[name] in ("command", "path", "text", "prompt")
    }
    arguments = instance({"type": "object", "properties": properties, "required": required}, known) | optional
    return Call(tool, arguments, namespace=request.namespaces.get(tool))


def _shaped(value: Any, schema: dict[str, Any]) -> Any:
    """A command as the list of words that some tools want; everything else as it is."""
    if schema.get("type") == "array" and isinstance(value, str):
        return ["bash", "-lc", value] if "command" not in str(schema.get("items", "")) else [value]
    return value


def use(
    request: Incoming, purpose: Purpose, *, path: str = "", text: str = "", command: str = "", prompt: str = ""
) -> Call | None:
    """A call that serves ``purpose`` with the tools at hand, falling back on the shell; None when there are no tools."""
    where = path if path.startswith("/") or not request.folder else str(PurePosixPath(request.folder) / path)
    tool = find(request, purpose)
    if tool is None and purpose in ("write", "read"):
        tool, purpose = find(request, "run"), "run"
        command = f"printf %s {shlex.quote(text)} > {shlex.quote(path)}" if text else f"cat {shlex.quote(path)}"
    if tool is None:
        return None
    values: dict[str, Any] = {
        "path": where,
        "text": text,
        "command": command,
        "commands": [command],
        "prompt": prompt,
        "task": "look_around",
        "description": {"run": "Run a command", "agent": "Look around"}.get(purpose, "File task"),
        "kind": "general-purpose",
        "named": "generalist",
        "folder": request.folder or ".",
        "timeout": 10_000,
        "wait": 1_000,
        "background": False,
        "approval": False,
        "fork": "none",
    }
    kinds = str(request.tools[tool].get("properties", {}).get("subagent_type", {}))
    if "general-purpose" not in kinds and purpose == "agent" and "general" in str(request.body)[:400_000]:
        values["kind"] = "general"
    return call(request, tool, **values)


def thinking_wanted(request: Incoming) -> bool:
    """Does this request ask for visible reasoning?"""
    body = request.body
    if request.protocol == "messages":
        return str((body.get("thinking") or {}).get("type", "disabled")) != "disabled"
    return bool(body.get("reasoning")) if request.protocol == "responses" else False


def with_thinking(request: Incoming, thought: str, *parts: Part | str) -> Reply:
    """A reply that thinks first where the request asks for it."""
    return say(*([Thinking(thought)] if thinking_wanted(request) else []), *parts)


def tool_task(path: str = "note.txt", text: str = "the points are set\n", *, subagent: bool = False) -> Script:
    """Three requests: write ``path``, read it back, say so; with ``subagent`` a sub-agent reads it first.

    Clients without tools (aider) get the file as an edit block in one answer.
    """
    done = f"Done: {path} holds {text.strip()!r}."

    def write(request: Incoming) -> Reply:
        found = use(request, "write", path=path, text=text)
        if found is None:
            return say(edit_block(request, path, text))
        return with_thinking(request, f"First write {path}, then read it back.", f"I will write {path}.", found)

    def read(request: Incoming) -> Reply:
        found = use(request, "read", path=path)
        return say("Now I read it back.", found) if found else say(done)

    def hand_over(request: Incoming) -> Reply:
        found = use(request, "agent", prompt=f"Read {path} and report what it says.")
        return say("A sub-agent checks it.", found) if found else read(request)

    inner = Steps(read, f"{path} says: {text.strip()}")
    steps = (write, hand_over, read, done) if subagent else (write, read, done)
    return Housekeeping(Steps(*steps, subagent=inner))


def edit_block(request: Incoming, path: str, text: str) -> str:
    """A new file in the edit format that the client's system prompt asks for (aider: diff or whole)."""
    whole = text if text.endswith("\n") else text + "\n"
    if "SEARCH/REPLACE" in request.system:
        return f"Here is the new file.\n\n{path}\n```text\n<<<<<<< SEARCH\n=======\n{whole}>>>>>>> REPLACE\n```\n"
    return f"Here is the new file.\n\n{path}\n```\n{whole}```\n"
