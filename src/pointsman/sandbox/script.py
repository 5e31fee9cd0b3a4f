"""What the provider answers: functions from a request to a reply, and the ready-made dialogues.

A script is any callable ``(Incoming) -> Reply``. ``Steps`` walks through a turn by counting tool rounds in the history;
``Turns`` gives each prompt its own steps; ``Rules`` tries conditions in order; ``Housekeeping`` answers titles,
summaries and schema-bound side requests properly and leaves the rest to the script it wraps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from pointsman.sandbox.incoming import SUBMIT, Incoming
from pointsman.sandbox.reply import Call, Reply, Text, compact, say

FINISH = "complete_task"
"""The tool by which an agent that Gemini CLI has started ends its task."""

Script = Callable[[Incoming], Reply]
Step = Reply | str | Script


def answer(step: Step, request: Incoming) -> Reply:
    """The reply of one step: given, a plain text, or worked out from the request."""
    if isinstance(step, Reply):
        return step
    return say(step) if isinstance(step, str) else step(request)


class Steps:
    """One reply per tool round of a turn: the first right after the prompt; the last one also answers all later rounds."""

    def __init__(self, *steps: Step, subagent: Step | None = None) -> None:
        if not steps:
            raise ValueError("Steps() needs at least one reply")
        self._steps = steps
        self._subagent = subagent

    def __call__(self, request: Incoming) -> Reply:
        """The reply that is due at this round."""
        if request.agent and self._subagent is not None:
            return answer(self._subagent, request)
        return answer(self._steps[min(request.step, len(self._steps) - 1)], request)


class Turns:
    """One step per prompt of the visible history; the last one also answers all later prompts."""

    def __init__(self, *turns: Step) -> None:
        if not turns:
            raise ValueError("Turns() needs at least one turn")
        self._turns = turns

    def __call__(self, request: Incoming) -> Reply:
        """The reply to the newest prompt."""
        return answer(self._turns[min(max(request.turn, 1), len(self._turns)) - 1], request)


class Rules:
    """The first rule whose condition holds answers; ``otherwise`` answers the rest."""

    def __init__(self, rules: Sequence[tuple[Callable[[Incoming], bool], Step]], otherwise: Step) -> None:
        self._rules = tuple(rules)
        self._otherwise = otherwise

    def __call__(self, request: Incoming) -> Reply:
        """The reply of the first rule that holds."""
        for holds, step in self._rules:
            if holds(request):
                return answer(step, request)
        return answer(self._otherwise, request)


SUMMARY = (
    "<analysis>\nThe user asked for a small file task; the work so far is listed below.\n</analysis>\n\n<summary>\n"
    "1. Primary request: write a file, read it back and report.\n2. Files: the file named in the request.\n"
    "3. Done so far: the steps shown in the conversation.\n4. Pending: what the user asks next.\n</summary>"
)
"""A summary in the form that Claude Code accepts; other clients take any text."""


class Housekeeping:
    """Answers titles, summaries, prewarms and side requests; agent work goes to ``script``."""

    def __init__(self, script: Script, *, title: str = "Write and read a file", summary: str = SUMMARY) -> None:
        self._script = script
        self._title = title
        self._summary = summary

    def __call__(self, request: Incoming) -> Reply:
        """The proper answer for what the request is for."""
        match request.purpose:
            case "compaction":
                return say(f"<state_snapshot>\n{self._summary}\n</state_snapshot>" if request.wants_snapshot else self._summary)
            case "title" if request.schema is None:
                return say(self._title)
            case "title" | "side" if request.schema is not None:
                return say(compact(instance(request.schema, {"title": self._title})))
            case "side":
                return say("feat: write the requested file")
            case "prewarm":
                return say("")
        return submitted(request, self._script(request))


def submitted(request: Incoming, reply: Reply) -> Reply:
    """The reply, with the call that ends a task where the client wants one in place of plain words."""
    tool = FINISH if FINISH in request.tools else next(iter(request.tools), None) if request.submits else None
    if tool is None or any(isinstance(part, Call) for part in reply.parts):
        return reply
    words = "\n".join(part.text for part in reply.parts if isinstance(part, Text))
    known = {"command": f"echo {SUBMIT}", "response": words}
    return replace(reply, parts=(*reply.parts, Call(tool, instance({**request.tools[tool], "type": "object"}, known))))


def instance(schema: dict[str, Any], known: dict[str, Any] | None = None, name: str = "") -> Any:
    """A value that follows a JSON schema: ``known`` values by property name, else the simplest of the type."""
    known = known or {}
    if name in known:
        return known[name]
    if "enum" in schema:
        return schema["enum"][0]
    for joined in ("anyOf", "oneOf", "allOf"):
        if schema.get(joined):
            return instance(schema[joined][0], known, name)
    kind = schema.get("type")
    match (kind[0] if isinstance(kind, list) else kind or ("object" if "properties" in schema else "string")).lower():
        case "object":
            wanted = schema.get("required") or list(schema.get("properties", {}))
            return {key: instance(schema.get("properties", {}).get(key, {}), known, key) for key in wanted}
        case "array":
            return [instance(schema.get("items", {}), known)] if schema.get("minItems") else []
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return False
    return "ok"
