"""OpenAI's ``local_shell`` told to another vendor's model as a function, and its calls told back.

The client runs the command itself, so it is a tool like any other; only its wire form is OpenAI's own: the tool has no name
and no schema, and a call carries an ``action`` instead of arguments. Codex answers such calls with ``function_call_output``,
the API's own form is ``local_shell_call_output`` (openai SDK types; codex-rs ``ResponseItem``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

Json = dict[str, Any]

NAME = "local_shell"
CALL, OUTPUT = "local_shell_call", "local_shell_call_output"

TOOL: Json = {
    "type": "function", "name": NAME, "description": "Runs a command on the user's machine and returns what it prints.",
    "parameters": {
        "type": "object", "additionalProperties": False, "required": ["command"],
        "properties": {
            "command": {"type": "array", "items": {"type": "string"}, "description": "The program and its arguments."},
            "working_directory": {"type": "string", "description": "Where to run it."},
            "timeout_ms": {"type": "integer", "description": "Milliseconds after which it is stopped."},
        },
    },
}  # fmt: skip
"""The tool as a function: the fields of its action, less the environment and the user, which no model needs to set."""


def is_offered(tools: Any) -> bool:
    """Whether a Responses client offers its shell this way."""
    return any(isinstance(tool, dict) and tool.get("type") == NAME for tool in (tools if isinstance(tools, list) else ()))


def as_function(item: Mapping[str, Any], id: str) -> Json:
    """A call of the shell as the call of a function, under the call id ``id``."""
    action = item.get("action")
    given = {k: v for k, v in action.items() if k != "type" and v not in (None, {})} if isinstance(action, dict) else {}
    return {"type": "function_call", "name": NAME, "arguments": msgspec.json.encode(given).decode(), "call_id": id}


def as_shell(item: Mapping[str, Any]) -> Json:
    """The call of that function as a call of the shell, in the form that OpenAI takes back."""
    try:
        given = msgspec.json.decode(str(item.get("arguments") or "{}"))
    except msgspec.DecodeError:
        given = {}
    given = given if isinstance(given, dict) else {}
    command = given.get("command")
    if isinstance(command, str):
        command = ["bash", "-lc", command]
    action = {"type": "exec", "command": [str(word) for word in command or ()], "env": {}}
    action.update({name: given[name] for name in ("working_directory", "timeout_ms") if given.get(name) is not None})
    digest = hashlib.blake2b(str(item.get("id")).encode(), digest_size=20).hexdigest()
    return {
        "type": CALL, "id": f"lsh_{digest}", "call_id": item.get("call_id"), "status": item.get("status") or "completed",
        "action": action,
    }  # fmt: skip
