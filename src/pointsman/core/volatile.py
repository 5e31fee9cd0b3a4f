"""What changes between the requests of a recorded session although it should stay: lines of the system text, tools, counts.

Pure functions over request bodies as JSON values; they need the texts, so only recordings have them, never a ledger.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

SHOWN = 60
"""Characters of a volatile line that are shown."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One recorded request: its number, its body, and the prompt tokens it was billed or counted (None: unknown)."""

    n: int
    body: Mapping[str, Any]
    prompt: int | None = None
    counted: bool = False


def volatile(sent: Iterable[Sent]) -> list[str]:
    """Sentences about what changed between requests of one conversation: same model, same first message, and it goes on."""
    said: list[str] = []
    last: dict[tuple[str, str], Sent] = {}
    counts: dict[str, tuple[int, int]] = {}
    for one in sent:
        said += _drift(one, counts)
        key = (str(one.body.get("model")), _start(one.body))
        before = last.get(key)
        if one.counted:
            continue
        if before is not None and _goes_on(before.body, one.body):
            said += [f"request {before.n} to {one.n}: {what}" for what in (*_lines(before, one), *_tools(before, one))]
        last[key] = one
    return said


def _goes_on(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether the conversation is longer than it was: more messages, and no fewer than before."""
    return len(_talk(new)) >= len(_talk(old)) > 0


def _start(body: Mapping[str, Any]) -> str:
    """The first message after the system text, without cache marks; a string stands for one block of text."""
    for item in _talk(body):
        if isinstance(item, dict) and item.get("role") not in ("system", "developer"):
            return f"{item.get('role')} {_flat(item.get('content') or item.get('parts') or '')}"
    return ""


def _talk(body: Mapping[str, Any]) -> list[Any]:
    found = body.get("messages") or body.get("input") or body.get("contents")
    return found if isinstance(found, list) else []


def system_text(body: Mapping[str, Any]) -> str:
    """The system text of a request of any protocol."""
    parts = [body.get("system"), body.get("instructions"), body.get("systemInstruction")]
    first = _talk(body)[:1]
    parts += [i.get("content") for i in first if isinstance(i, dict) and i.get("role") in ("system", "developer")]
    return "\n".join(_flat(part) for part in parts if part)


def _flat(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(_flat(item) for item in value)
    if isinstance(value, dict):
        return _flat(value.get("text") or value.get("parts") or "")
    return ""


def _lines(before: Sent, now: Sent) -> list[str]:
    old, new = system_text(before.body).splitlines(), system_text(now.body).splitlines()
    if old == new:
        return []
    kept = set(old)
    at = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    line = next((text for text in new if text not in kept), new[at] if at < len(new) else "")
    changed = sum(text not in kept for text in new)
    return [f"the system text changes from line {at + 1} of {len(new)} ({changed} new lines): {line.strip()[:SHOWN]!r}"]


def _tools(before: Sent, now: Sent) -> list[str]:
    old, new = _named(before.body), _named(now.body)
    if list(old) != list(new) and set(old) == set(new):
        return ["the same tools come in another order"]
    if set(old) != set(new):
        added, gone = sorted(set(new) - set(old)), sorted(set(old) - set(new))
        return [", ".join(f"tools {what}: {', '.join(names[:5])}" for what, names in (("added", added), ("gone", gone)) if names)]
    other = [name for name, text in new.items() if old[name] != text]
    return [f"descriptions of tools change: {', '.join(other[:5])}"] if other else []


def _named(body: Mapping[str, Any]) -> dict[str, str]:
    """Tools by name in their order, each as canonical text without cache marks."""
    tools, out = body.get("tools"), {}
    for i, tool in enumerate(tools if isinstance(tools, list) else []):
        if isinstance(tool, dict):
            function = tool.get("function")
            inner = function if isinstance(function, dict) else tool
            plain = {key: value for key, value in tool.items() if key != "cache_control"}
            out[str(inner.get("name") or tool.get("type") or i)] = json.dumps(plain, sort_keys=True)
    return out


def _drift(one: Sent, counts: dict[str, tuple[int, int]]) -> list[str]:
    """A token count that differs from what the same prompt was billed by more than 2 %."""
    if one.prompt is None:
        return []
    same = json.dumps([one.body.get(key) for key in ("model", "system", "tools")] + _talk(one.body), sort_keys=True)
    if one.counted:
        counts[same] = (one.n, one.prompt)
        return []
    asked = counts.get(same)
    if asked is None or abs(asked[1] - one.prompt) <= 0.02 * one.prompt:
        return []
    return [f"request {one.n}: counted {asked[1]:,} tokens in request {asked[0]}, billed {one.prompt:,}"]
