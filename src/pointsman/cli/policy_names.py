"""The policies that ``replay --policy`` takes by name, and what each name means for a session."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointsman.core.book import Book
from pointsman.core.events import Event
from pointsman.core.policies import named as read_names
from pointsman.core.policy import Policy
from pointsman.core.schedule import WORDS, Step, config_of, parse, taken_apart
from pointsman.core.types import Config
from pointsman.errors import SettingsError

if TYPE_CHECKING:
    from pointsman.core.whatif import Replayed

HELP = (
    "asked, cheap, strong: one model throughout; cheaper, stronger: one rung from asked; quality, balanced, saver, fast: a "
    "profile; MODEL[:effort]: a pin; 2:MODEL,5:asked: a schedule; key=value,..: settings on top of yours; settings: yours; "
    "hindsight; or a settings file"
)
"""What ``--policy`` takes."""

ASKED, CHEAP, STRONG = ("asked", "always-asked"), ("cheap", "always-cheap"), ("strong", "always-strong")
PROFILES = ("quality", "balanced", "saver", "fast")
ENDS = ("cheapest", "strongest")
"""Steps of a schedule that mean an end of each session's own ladder."""


@dataclass(frozen=True, slots=True)
class Named:
    """A policy as it was named on the command line. ``policy`` None: the best path in hindsight."""

    name: str
    policy: Policy | None

    def of(self, events: Sequence[Event], book: Book) -> Replayed:
        """One session under it."""
        from pointsman.core.whatif import end_of_ladder, replay, replay_best

        if self.policy is None:
            return replay_best(events, book)
        policy = self.policy
        end = policy.schedule[0].name if policy.schedule else ""
        if end in ENDS:
            policy = replace(policy, schedule=(Step(1, end_of_ladder(events, book, strongest=end == "strongest")),))
        return replay(events, book, policy)


def named(text: str, book: Book) -> Named:
    """The policy that ``text`` means. Raises SettingsError with what may be said."""
    if text == "hindsight":
        return Named(text, None)
    policy = _policy(text, book)
    for step in policy.schedule:
        _known(text, step, book)
    return Named(text, read_names(policy, book))


def _known(text: str, step: Step, book: Book) -> None:
    """Raise SettingsError for a step that names a model nobody knows, or an effort that the model does not take."""
    model, _ = taken_apart(step.name, book.has(step.name))
    if model == "asked" or model in WORDS or model in ENDS:
        return
    known = book.resolve(model)
    found = config_of(step, Config(known or model), book)
    if isinstance(found, str):
        near = book.near(model) if known is None else ()
        raise SettingsError(f"--policy {text!r}: {found}" + (f"; did you mean {' or '.join(near[:3])}?" if near else ""))


def _policy(text: str, book: Book) -> Policy:
    own = _loaded(text, book)
    fixed = replace(own, mode="auto")
    if text == "settings":
        return own
    if text in ASKED or text in ("cheaper", "stronger"):
        return replace(fixed, schedule=(Step(1, "asked" if text in ASKED else text),))
    if text in CHEAP or text in STRONG:
        return replace(fixed, schedule=(Step(1, "cheapest" if text in CHEAP else "strongest"),))
    if text in PROFILES:
        return _loaded(text, book, {"profile": text, "mode": "auto"})
    if re.match(r"\d+:", text):
        return replace(fixed, schedule=parse(text))
    if "=" in text:
        return _loaded(text, book, {"mode": "auto", **_flags(text)})
    if text.endswith(".toml") or Path(text).is_file():
        return _loaded(text, book, file=Path(text))
    model, _, _ = text.partition(":")
    if book.resolve(text) is None and book.resolve(model) is None:
        raise SettingsError(f"--policy {text!r} is no policy, model or settings file; {HELP}")
    return replace(fixed, schedule=(Step(1, text),))


def _loaded(text: str, book: Book, flags: Mapping[str, Any] | None = None, file: Path | None = None) -> Policy:
    """The policy of your settings under ``flags``, or of ``file`` alone. Raises SettingsError; names are looked up as well."""
    from pointsman.settings import load, verify

    try:
        settings = load(file, flags=flags, projects=file is None)
        verify(settings, book)
    except SettingsError as error:
        said = str(error)
        for key in flags or ():
            flag = f"--{key.replace('_', '-')}: "
            said = said.replace(flag + key, key).replace(f"{flag}unknown", "unknown").replace(flag, f"{key}: ")
        raise SettingsError(said if file else f"--policy {text!r}: {said}") from error
    return settings.policy()


def _flags(text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in text.split(","):
        key, _, value = part.partition("=")
        found[key.strip()] = _value(value.strip())
    return found


def _value(word: str) -> bool | int | float | str:
    """A value as it is written in a settings file; what is neither true, false nor a number is a text."""
    if word in ("true", "false"):
        return word == "true"
    for kind in (int, float):
        with suppress(ValueError):
            return kind(word)
    return word
