"""The digest a stronger model is asked with: task, plan, recent failures, changes, last steps. Plain code, no model.

Theory of operation. The history is read once, only when a consult is made. Each section has a share of the budget and takes
what is newest first; what a section leaves over goes to the next. Long outputs keep their beginning and, mostly, their end,
where test runners put their summaries. The advisor never sees the system prompt, and the working model's reasoning stays
out: it may belong to another vendor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from pointsman.core.types import Protocol
from pointsman.wire import blocks
from pointsman.wire.dialects import dialect_of
from pointsman.wire.digest import decode
from pointsman.wire.protocols import HISTORY
from pointsman.wire.touching import calls

CHARS_PER_TOKEN = 3.0
"""Characters a digest is reckoned with per token: code and logs have fewer than prose (2.3 to 4.2 in real sessions, sizes.py)."""

SHARES = (("task", 0.22), ("question", 0.10), ("plan", 0.08), ("failures", 0.30), ("changes", 0.20), ("steps", 0.10))
"""Share of the budget that each section may take before it gets what the ones before it left over (chosen, not fitted)."""

PLANS = ("todowrite", "update_plan", "todo_write", "write_todos", "exitplanmode", "todo")
EDITS = (
    "edit", "write", "multiedit", "notebookedit", "apply_patch", "str_replace", "replace", "write_file", "edit_file",
    "create_file", "write_to_file", "replace_in_file", "patch", "str_replace_editor", "str_replace_based_edit_tool",
)  # fmt: skip
"""Tools that hold a plan, or change files, in the clients we know; lower case, punctuation kept."""

FAILURES, STEPS = 6, 14
ARGUMENT_CHARS = 240


@dataclass(slots=True)
class Step:
    """One thing that happened: the user's words, the model's, a call, or its result. ``name``: the tool's."""

    kind: Literal["user", "words", "call", "result"]
    text: str
    name: str = ""
    failed: bool = False


def digest(protocol: Protocol, body: bytes, client: str, *, tokens: int, question: str = "", focus: str = "") -> str:
    """What the advisor is asked, at most about ``tokens`` tokens. Raises WireError when the body cannot be read."""
    value = decode(body, "the body")
    found = steps(protocol, client, value.get(HISTORY[protocol]) if isinstance(value, dict) else None)
    asked = "\n".join(filter(None, (question.strip(), f"Look at: {focus.strip()}" if focus.strip() else "")))
    texts = {
        "task": _task(found), "question": asked, "plan": _plan(found), "failures": _failures(found), "changes": _changes(found),
        "steps": _last(found),
    }  # fmt: skip
    heads = {
        "task": "What the user wants", "question": "What the working model asks", "plan": "Its plan",
        "failures": "Recent failures, newest first", "changes": "Changes so far, newest first", "steps": "Its last steps",
    }  # fmt: skip
    left, parts, room = tokens * CHARS_PER_TOKEN, [], 0.0
    for name, share in SHARES:
        room += share * tokens * CHARS_PER_TOKEN
        text = clipped(texts[name], int(min(room, left)))
        if text:
            parts.append(f"# {heads[name]}\n{text}")
            room, left = room - len(text), left - len(text)
    return "\n\n".join(parts)


def steps(protocol: Protocol, client: str, history: Any) -> list[Step]:
    """What happened, oldest first; messages of a form the protocol does not have are left out."""
    found: list[Step] = []
    dialect = dialect_of(client)
    for item in history if isinstance(history, list) else ():
        if not isinstance(item, dict):
            continue
        try:
            found += _in_message(protocol, item, blocks.look(protocol, dialect, item))
        except (ValueError, TypeError, AttributeError):
            continue
    return found


def _in_message(protocol: Protocol, item: dict[str, Any], notes: blocks.Notes) -> list[Step]:
    """What happened in one message."""
    results = list(_results(protocol, item))
    failed = bool({"tool_error", "tests_failed", "type_error"} & set(notes.facts))
    found = [Step("result", text, failed=failed or error) for text, error in results]
    if notes.fixed == "assistant" or notes.role == "assistant":
        found += [Step("words", text) for text in _words(protocol, item) if text.strip()]
        found += [Step("call", _argued(given), name) for name, given in calls(protocol, item)]
    elif not results or notes.words:
        found += [Step("user", text) for text in notes.texts if text.strip()]
    return found


def clipped(text: str, room: int) -> str:
    """``text`` in ``room`` characters: its beginning and its end, the end getting two thirds."""
    text = text.strip()
    if len(text) <= room:
        return text
    if room < 40:
        return ""
    head = room // 3
    return f"{text[:head].rstrip()}\n[...]\n{text[-(room - head - 7) :].lstrip()}"


def _results(protocol: Protocol, item: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Text of every tool result in a message, and whether it is marked as an error."""
    if protocol == "messages":
        for block in item["content"] if isinstance(item.get("content"), list) else ():
            if block.get("type") == "tool_result":
                yield _text(block.get("content")), bool(block.get("is_error"))
    elif protocol == "chat" and item.get("role") == "tool":
        yield _text(item.get("content")), False
    elif protocol == "responses" and str(item.get("type", "")).endswith("_output"):
        yield _text(item.get("output")), item.get("success") is False
    elif protocol == "gemini":
        for part in item.get("parts") or ():
            answer = (part.get("functionResponse") or {}).get("response") or {}
            if answer:
                yield str(answer.get("output") or answer.get("error") or ""), bool(answer.get("error"))


def _words(protocol: Protocol, item: dict[str, Any]) -> list[str]:
    """The model's own words in an answer, reasoning left out."""
    if protocol == "gemini":
        return [part["text"] for part in item.get("parts") or () if "text" in part and not part.get("thought")]
    return [_text(item.get("content"))] if item.get("type") in (None, "message") else []


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    rows = content if isinstance(content, list) else ()
    return "\n".join(str(part["text"]) for part in rows if isinstance(part, dict) and isinstance(part.get("text"), str))


def _argued(given: Any) -> str:
    return given if isinstance(given, str) else msgspec.json.encode(given).decode()


def _task(found: Sequence[Step]) -> str:
    """The first words of the user, which open the session, and the last ones."""
    said = [step.text for step in found if step.kind == "user"]
    if not said:
        return ""
    return said[-1] if len(said) == 1 else f"{said[-1]}\n\nAt the start of the session:\n{clipped(said[0], 4_000)}"


def _plan(found: Sequence[Step]) -> str:
    """The newest plan or list of tasks that the working model wrote down."""
    return next((s.text for s in reversed(found) if s.kind == "call" and s.name.lower() in PLANS), "")


def _failures(found: Sequence[Step]) -> str:
    """The newest failing results with the call before each."""
    out, count = [], 0
    for index in range(len(found) - 1, -1, -1):
        step = found[index]
        if step.kind != "result" or not step.failed:
            continue
        before = next((s for s in reversed(found[:index]) if s.kind == "call"), None)
        called = f"{before.name} {clipped(before.text, ARGUMENT_CHARS)}" if before else "a call"
        out.append(f"## {called}\n{clipped(step.text, 6_000 if not count else 2_000)}")
        count += 1
        if count == FAILURES:
            break
    return "\n\n".join(out)


def _changes(found: Sequence[Step]) -> str:
    """The calls that changed files, newest first, each cut short, and how often each file was changed."""
    changed = [step for step in found if step.kind == "call" and step.name.lower().rsplit(".", 1)[-1] in EDITS]
    changed += [step for step in found if step.kind == "call" and step.name not in EDITS and "*** Begin Patch" in step.text[:400]]
    if not changed:
        return ""
    shown = [f"- {step.name} {clipped(step.text, 1_500 if n < 4 else 300)}" for n, step in enumerate(reversed(changed))]
    return f"{len(changed)} edits in all.\n" + "\n".join(shown)


def _last(found: Sequence[Step]) -> str:
    """The last steps in a line each, and the working model's last words."""
    rows = []
    for step in found[-3 * STEPS :]:
        if step.kind == "call":
            rows.append(f"- {step.name} {clipped(' '.join(step.text.split()), ARGUMENT_CHARS)}")
        elif step.kind == "result" and rows:
            rows[-1] += " -> failed" if step.failed else " -> ok"
    words = next((step.text for step in reversed(found) if step.kind == "words"), "")
    return "\n".join([*rows[-STEPS:], *([f"Its last words: {clipped(words, 1_200)}"] if words else [])])
