"""Neutral filler for the scripted world: a small project, its chores and what its tools say. All texts are our own."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

MODULES = ("signals", "timetable", "platform", "depot", "ledger", "freight", "junction", "shunter", "bulletin", "gauge")
CHORES = (
    "Add a {thing} to {module}.py and cover it with a test.",
    "The test of {module} fails on Mondays; find out why and mend it.",
    "Rename the {thing} in {module}.py and update its callers.",
    "Make {module} read its settings from a file.",
    "Speed up the {thing} in {module}; it takes seconds on large inputs.",
    "Write down in the README how {module} works.",
)
THINGS = ("retry limit", "parser", "report", "time window", "queue", "index", "checksum", "summary line")
QUESTIONS = ("What does {module}.py do when the {thing} is empty?", "Where is the {thing} of {module} set?")
CORRECTIONS = (
    "No, that is not what I meant: the {thing} must stay as it was. Please put it back.",
    "That still fails. The {thing} in {module} is wrong.",
)
WORDS = (
    "signal track switch lever yard wagon engine line stop crossing gate bell lamp post route block train siding "
    "carriage brake axle rail plate wire key frame lock board watch table shift crew note order time"
).split()


@dataclass(frozen=True, slots=True)
class ToolUse:
    """One round of the agent's tool loop: the call, and what the tool will say."""

    name: str
    arguments: dict[str, Any]
    result: str
    error: bool = False


@dataclass(frozen=True, slots=True)
class Chore:
    """One turn: the prompt, the rounds, and the final words."""

    prompt: str
    rounds: tuple[ToolUse, ...]
    final: str
    thought: str


def prose(dice: random.Random, characters: int) -> str:
    """Sentences of filler, about ``characters`` long."""
    parts: list[str] = []
    size = 0
    while size < characters:
        sentence = " ".join(dice.choices(WORDS, k=dice.randint(6, 14))).capitalize() + "."
        parts.append(sentence)
        size += len(sentence) + 1
    return " ".join(parts)[:characters]


def code(dice: random.Random, lines: int) -> str:
    """A numbered listing of a source file, as a read tool shows it."""
    names = dice.choices(WORDS, k=lines)
    return "\n".join(
        f"{n:>5}\t    {name}_{n} = {name}({dice.randint(1, 99)}, {dice.choice(WORDS)!r})" for n, name in enumerate(names, 1)
    )


def chore(dice: random.Random, n: int, *, kind: str = "work") -> Chore:
    """Turn ``n``: ``kind`` is work, question or correction."""
    module, thing = dice.choice(MODULES), dice.choice(THINGS)
    prompts = {"work": CHORES, "question": QUESTIONS, "correction": CORRECTIONS}[kind]
    prompt = f"{dice.choice(prompts).format(module=module, thing=thing)} (item {n})"
    rounds = (_read(dice, module),) if kind == "question" else _work(dice, module)
    final = f"Item {n}: the {thing} of {module} is done. {prose(dice, 240)}"
    return Chore(prompt, rounds, final, prose(dice, 160))


def _read(dice: random.Random, module: str) -> ToolUse:
    return ToolUse("Read", {"file_path": f"/project/{module}.py"}, code(dice, dice.randint(30, 160)))


def _edit(dice: random.Random, module: str) -> ToolUse:
    old, new = dice.choice(WORDS), dice.choice(WORDS)
    arguments = {"file_path": f"/project/{module}.py", "old_string": f"{old} = 1", "new_string": f"{new} = {dice.randint(2, 9)}"}
    return ToolUse("Edit", arguments, f"The file /project/{module}.py has been updated.\n{code(dice, 8)}")


def _tests(dice: random.Random, module: str, *, red: bool) -> ToolUse:
    passed = dice.randint(4, 40)
    if red:
        said = (
            f"FAILED tests/test_{module}.py::test_{dice.choice(WORDS)} - AssertionError: assert {dice.randint(1, 9)} == 0\n"
            f"=================== 1 failed, {passed} passed in 0.{dice.randint(10, 99)}s ==================="
        )
        return ToolUse("Bash", {"command": "pytest -q", "description": "Run the tests"}, f"Exit code 1\n{said}", error=True)
    said = f"=================== {passed + 1} passed in 0.{dice.randint(10, 99)}s ==================="
    return ToolUse("Bash", {"command": "pytest -q", "description": "Run the tests"}, said)


def _work(dice: random.Random, module: str) -> tuple[ToolUse, ...]:
    """Look, change, test; now and then the tests fail first."""
    rounds = [_read(dice, module), _edit(dice, module)]
    for _ in range(dice.choice((0, 0, 0, 1, 1, 2))):
        rounds += [_tests(dice, module, red=True), _edit(dice, module)]
    return (*rounds, _tests(dice, module, red=False))


def tools(dice: random.Random) -> list[dict[str, Any]]:
    """The tools an agent of this world offers, with descriptions of a usual length."""
    shapes: dict[str, tuple[str, ...]] = {
        "Read": ("file_path",),
        "Edit": ("file_path", "old_string", "new_string"),
        "Write": ("file_path", "content"),
        "Bash": ("command", "description"),
        "Agent": ("description", "prompt", "subagent_type"),
        "Glob": ("pattern",),
        "Grep": ("pattern", "path"),
    }
    return [
        {
            "name": name,
            "description": prose(dice, 1_500),
            "input_schema": {
                "type": "object",
                "properties": {field: {"type": "string", "description": prose(dice, 80)} for field in fields},
                "required": list(fields),
                "additionalProperties": False,
            },
        }
        for name, fields in shapes.items()
    ]
