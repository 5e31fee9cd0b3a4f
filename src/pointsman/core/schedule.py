"""A schedule: which config serves from the given request of the main lane on. For tests and demonstrations.

``2:claude-haiku-5-5,4:asked,6:gpt-6-luna`` means: from the second request on Haiku, from the fourth the asked model, and
so on. Requests for agent work count, from 1; retries, summaries and housekeeping do not. ``cheaper`` and ``stronger`` are
the neighbours of the asked model on its ladder; ``MODEL:effort`` sets an effort as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pointsman.core.types import Config
from pointsman.errors import SettingsError

if TYPE_CHECKING:
    from pointsman.core.book import Book

WORDS = {"cheaper": -1, "stronger": 1}
"""Rungs of the asked model's ladder, relative to it."""


@dataclass(frozen=True, slots=True)
class Step:
    """``name`` (a model, a tier, a word, each with ``:effort`` or without) serves from request ``first`` on."""

    first: int
    name: str


def parse(text: str) -> tuple[Step, ...]:
    """The steps of ``N:NAME,N:NAME``, the first one first. Raises SettingsError for what is no schedule."""
    steps = []
    for part in text.split(","):
        number, colon, name = part.strip().partition(":")
        if not colon or not name.strip() or not number.strip().isdigit() or int(number) < 1:
            raise SettingsError(f"schedule: {part.strip()!r} is not of the form 2:claude-haiku-5-5 (request, colon, model)")
        steps.append(Step(int(number), name.strip()))
    firsts = [step.first for step in steps]
    if firsts != sorted(set(firsts)):
        raise SettingsError(f"schedule: the requests {', '.join(map(str, firsts))} must ascend, each named once")
    return tuple(steps)


def step_at(steps: tuple[Step, ...], number: int) -> Step | None:
    """The step in force at request ``number`` (from 1), or None before the first."""
    return next((step for step in reversed(steps) if step.first <= number), None)


def taken_apart(name: str, known: bool) -> tuple[str, str | None]:
    """Model and effort of ``MODEL[:effort]``. ``known``: the whole is a model's name, as some hold a colon."""
    model, colon, effort = (name, "", "") if known else name.rpartition(":")
    return (model, effort) if colon else (name, None)


def config_of(step: Step, asked: Config, book: Book) -> Config | str:
    """The config that ``step`` means beside ``asked``, or why there is none, as one sentence."""
    model, effort = taken_apart(step.name, book.has(step.name))
    if model == "asked":
        found: str | None = asked.model
    elif model in WORDS:
        ladder = book.ladder(asked.model)
        place = ladder.index(asked.model) + WORDS[model] if asked.model in ladder else -1
        found = ladder[place] if 0 <= place < len(ladder) else None
        if found is None:
            return f"there is nothing {model} than {asked.model} on its ladder"
    else:
        found = book.resolve(model, asked.model)
    if not found:
        return f"unknown model {model!r}"
    target = book.target(found)
    if effort is None:
        return asked if found == asked.model else Config(found, target.nearest_effort(asked.effort))
    if effort not in target.efforts:
        takes = f"it takes {', '.join(target.efforts)}" if target.efforts else "it takes no effort setting"
        return f"{found} has no effort {effort!r}: {takes}"
    return Config(found, effort)
