"""The demo's own session: an agent that mends a date parser, written as the requests a Claude Code client would send.

Everything is made here: prompts, files and answers are ours, the filler follows from the seed. It shows what a day shows:
a title request, tool loops, a failing test, a correction, a pin and its end, and a pause that outlasts the cache.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pointsman.sandbox.incoming import Incoming
from pointsman.sandbox.recorded import Played
from pointsman.sandbox.reply import Call, Reply, Text

SESSION = "demo-api-fix"
MODEL = "claude-sonnet-5-5"
HEADERS = {
    "content-type": "application/json", "anthropic-version": "2023-06-01", "x-api-key": "sandbox",
    "user-agent": "claude-cli/2.1.330 (external, cli)", "x-claude-code-session-id": SESSION,
}
WORDS = ("date", "parse", "token", "offset", "zone", "leap", "year", "month", "field", "value", "return", "result", "error",
         "index", "buffer", "match", "range", "assert", "expect", "module", "import", "def", "self", "None", "True")
MARK = {"type": "ephemeral"}


@dataclass(frozen=True, slots=True)
class Step:
    """One tool call and its result: ``size`` characters of filler after ``says``."""

    tool: str
    argument: str
    size: int
    says: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn: ``pause`` seconds before the prompt, tool steps, a final answer. ``pin``: pinned just before; "" unpins."""

    pause: float
    prompt: str
    steps: tuple[Step, ...]
    answer: str
    pin: str | None = None
    mark: str | None = None


TURNS = (
    Turn(0, "Which century does the date parser pick for a two-digit year, and where?",
         (Step("Grep", "century", 2_400), Step("Read", "src/dates.py", 14_000)), "It picks 2000 below 69, in pivot_year()."),
    Turn(95, "test_parse_leap fails since yesterday. Find out why.",
         (Step("Bash", "pytest tests/test_dates.py -q", 1_800, "1 failed, 41 passed in 0.61s", True),
          Step("Read", "tests/test_dates.py", 11_000), Step("Bash", "git log -p -3 src/dates.py", 9_000)),
         "The leap check divides by 4 before the century rule."),
    Turn(140, "Mend it.",
         (Step("Edit", "src/dates.py", 600),
          Step("Bash", "pytest tests/test_dates.py -q", 1_900, "2 failed, 40 passed in 0.64s", True)),
         "The century rule is in place; two tests about time zones fail now."),
    Turn(60, "No, that is not it: you broke the zone offsets. Look at the whole path first.",
         (Step("Read", "src/zones.py", 16_000), Step("Edit", "src/zones.py", 700), Step("Edit", "src/dates.py", 500),
          Step("Bash", "pytest -q", 2_200, "212 passed in 3.10s")), "Offsets are applied after the leap rule; all tests pass.",
         pin="opus"),
    Turn(45, "Good. Add a test for 29 February 1900.",
         (Step("Edit", "tests/test_dates.py", 500), Step("Bash", "pytest -q", 2_200, "213 passed in 3.12s")), "Added; it passes.",
         pin="", mark="good"),
    Turn(2_700, "One line for the changelog, please.", (Step("Edit", "CHANGELOG.md", 300),), "Done."),
    Turn(30, "Commit it.", (Step("Bash", "git commit -am 'Apply the century rule before zone offsets'", 400),), "Committed."),
)


def played(seed: int) -> Iterator[tuple[Turn, list[Played]]]:
    """Each turn with its requests, times in seconds from the end of what came before. The first turn begins with a title."""
    dice = random.Random(seed)
    talk: list[dict[str, Any]] = []
    head = _head(dice)
    count = 0
    for number, turn in enumerate(TURNS):
        rows = [_played(1, _title(turn.prompt), 0.0)] if number == 0 else []
        talk.append({"role": "user", "content": [{"type": "text", "text": turn.prompt}]})
        for place, step in enumerate((*turn.steps, None)):
            count += 1
            rows.append(_played(count + 1, head | {"messages": _marked(talk)}, turn.pause if place == 0 else 1.5))
            talk.append({"role": "assistant", "content": _said(turn, step, count)})
            if step is not None:
                talk.append({"role": "user", "content": [_result(step, count, dice)]})
        yield turn, rows


def replies() -> dict[int, Reply]:
    """What the model says, by the number of messages in the request."""
    found: dict[int, Reply] = {}
    messages = 0
    for turn in TURNS:
        messages += 1
        for step in turn.steps:
            found[messages] = Reply((Text(f"Next: {step.tool}."), Call(step.tool, {"input": step.argument})), output_tokens=260)
            messages += 2
        found[messages] = Reply((Text(turn.answer),), output_tokens=420)
        messages += 1
    return found


def script(request: Incoming) -> Reply:
    """The provider's part in this session."""
    if not request.tools:
        return Reply((Text(json.dumps({"title": "Mend the date parser"})),), output_tokens=12)
    return replies().get(len(request.messages), Reply((Text("Done."),), output_tokens=20))


def _head(dice: random.Random) -> dict[str, Any]:
    tools = [{"name": name, "description": _filler(dice, 2_600), "input_schema": {
        "type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}}
        for name in ("Bash", "Edit", "Glob", "Grep", "Read", "Task", "Write")]
    system = [{"type": "text", "text": "You are Claude Code, in a demo of Pointsman.", "cache_control": MARK},
              {"type": "text", "text": _filler(dice, 22_000), "cache_control": MARK}]
    return {"model": MODEL, "max_tokens": 32_000, "stream": True, "system": system, "tools": tools}


def _title(prompt: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"], "additionalProperties": False}
    return {
        "model": MODEL, "max_tokens": 512, "stream": True, "system": [{"type": "text", "text": "Name this conversation."}],
        "messages": [{"role": "user", "content": prompt}],
        "output_config": {"format": {"type": "json_schema", "schema": schema}},
    }


def _said(turn: Turn, step: Step | None, count: int) -> list[dict[str, Any]]:
    if step is None:
        return [{"type": "text", "text": turn.answer}]
    call = {"type": "tool_use", "id": f"toolu_demo{count:04}", "name": step.tool, "input": {"input": step.argument}}
    return [{"type": "text", "text": f"Next: {step.tool}."}, call]


def _result(step: Step, count: int, dice: random.Random) -> dict[str, Any]:
    text = f"{_filler(dice, step.size)}\n{step.says}".strip()
    row: dict[str, Any] = {"type": "tool_result", "tool_use_id": f"toolu_demo{count:04}", "content": text}
    return row | {"is_error": True} if step.failed else row


def _marked(talk: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The conversation with a cache mark on its last block, as the client sets it."""
    last = dict(talk[-1])
    last["content"] = [*last["content"][:-1], {**last["content"][-1], "cache_control": MARK}]
    return [*talk[:-1], last]


def _played(n: int, body: dict[str, Any], t: float) -> Played:
    raw = json.dumps(body, separators=(",", ":")).encode()
    return Played(
        n=n, t=t, method="POST", path="/v1/messages?beta=true", headers=HEADERS, body=raw, value=body, status=None, t_first=None,
        t_end=t + 6.0, answer_headers={}, events=(), text="", stop="end",
    )  # fmt: skip


def _filler(dice: random.Random, size: int) -> str:
    words: list[str] = []
    length = 0
    while length < size:
        words.append(dice.choice(WORDS))
        length += len(words[-1]) + 1
    return " ".join(words)
