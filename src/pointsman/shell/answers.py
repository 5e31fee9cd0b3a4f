"""What a person has answered: which profile, may a stronger model be used, which proposed rules hold. Kept beside their settings.

``answers.toml`` is written by Pointsman and read as the lowest layer of the settings: whatever a person writes in their own
file has the last word. Each question is asked once, in an interactive run whose work a check guards: without one nothing but
the model they asked for could run in the profiles that need no more consent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pointsman.core.events import Answer
from pointsman.core.types import Config
from pointsman.errors import SettingsError
from pointsman.settings import answers_file
from pointsman.settings.layers import read
from pointsman.shell.control import Done, perform

if TYPE_CHECKING:
    from pointsman.settings import Settings

HEAD = "# What you have answered to Pointsman's questions. Written by Pointsman; config.toml beside it has the last word.\n"

PROFILES = (
    ("quality", "the model you ask for, or better"),
    ("balanced", "also weaker ones, on work that the check guards or that your own tasks certify"),
    ("fast", "fewer minutes; never a lower bound on quality"),
    ("saver", "also weaker ones on work that nothing guards"),
)


def remember(values: Mapping[str, Any], path: Path | None = None) -> Path:
    """Keep answers: scalars by key, tables merged entry by entry; None takes one back. Returns the file. Raises SettingsError."""
    path = path or answers_file()
    known = _known(path)
    for key, value in values.items():
        if isinstance(value, dict):
            table = {**known.get(key, {}), **value}
            known[key] = {name: entry for name, entry in table.items() if entry is not None}
        else:
            known[key] = value
    kept = {key: value for key, value in known.items() if value is not None and value != {}}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".new")
        draft.write_text(_toml(kept), encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror or error}; nothing was remembered") from error
    return path


class Settled(NamedTuple):
    """A proposed rule that was answered: the ``config`` it names, the file it is kept in, and who took the answer."""

    config: Config
    path: Path
    done: Done


def settle(
    kind: str, answer: Answer, settings: Settings, now: float, *, folder: Path | None = None, ledger: Path | None = None,
    path: Path | None = None,
) -> Settled:  # fmt: skip
    """Answer the rule proposed for ``kind``, at the gateway that runs or in the ledger, and keep an accepted one in ``path``.

    ``path`` None: beside the user's settings. Raises SettingsError, and LedgerError where the ledger cannot be written;
    a rule that could not be kept is not in force.
    """
    path = path or answers_file()

    def said(word: Answer) -> Done:
        return perform("rule", {"kind": kind, "answer": word}, settings, now, folder=folder, ledger=ledger)

    _known(path)  # one that cannot be read would forget the other answers
    done = said(answer)
    config = Config(**(done.event or {})["config"])
    try:
        if answer == "accepted" or path.is_file():
            remember({"kinds": {kind: str(config) if answer == "accepted" else None}}, path)
    except SettingsError:
        if answer == "accepted":
            said("undone")
        raise
    return Settled(config, path, done)


def _known(path: Path) -> dict[str, Any]:
    try:
        return read(path)[0]
    except SettingsError as error:
        raise SettingsError(f"{error}; mend it, or move it away") from error


def _toml(values: Mapping[str, Any]) -> str:
    """Scalars first, then tables: a TOML key after a table would belong to it."""
    lines = [HEAD, *[f"{key} = {_scalar(value)}\n" for key, value in values.items() if not isinstance(value, dict)]]
    for key, table in values.items():
        if isinstance(table, dict):
            lines += [f"\n[{key}]\n", *[f"{name} = {_scalar(value)}\n" for name, value in table.items()]]
    return "".join(lines)


def _scalar(value: Any) -> str:
    return "true" if value is True else "false" if value is False else json.dumps(value)


def asked(
    settings: Settings, figures: Callable[[], Mapping[str, str]] = dict, *, read: Callable[[str], str] = input,
    path: Path | None = None,
) -> Settings:  # fmt: skip
    """The settings with what the person answers now to the questions that are open; each answer is remembered.

    ``figures``: by profile, what it would have meant on the person's own sessions. No answer (end of input, interrupt): nothing
    changes, and it is asked another time.
    """
    if settings.mode != "auto":
        return settings
    given: dict[str, Any] = {}
    try:
        if settings.origin("profile") == "default":
            given["profile"] = _profile(figures(), read)
        if settings.consent_up is None:
            given["consent_up"] = _consent(settings, read)
    except (EOFError, KeyboardInterrupt):
        return settings
    if not given:
        return settings
    path = remember(given, path)
    changed = settings.model_copy(update=given)
    changed._origins = {**settings._origins, **{key: str(path) for key in given}}
    return changed


def _profile(figures: Mapping[str, str], read: Callable[[str], str]) -> str:
    lines = ["Which models may take your work? Asked once; `profile` in your settings and --prefer change it."]
    for n, (name, about) in enumerate(PROFILES, 1):
        lines.append(f"  {n} {name:<10}{about}{'; ' + figures[name] if name in figures else ''}")
    names = [name for name, _ in PROFILES]
    while True:
        said = read("\n".join([*lines, "1 to 4, or enter for quality: "])).strip().lower()
        if not said or said in names:
            return said or "quality"
        if said.isdigit() and 1 <= int(said) <= len(names):
            return names[int(said) - 1]
        lines = [f"{said!r} is none of them."]


def _consent(settings: Settings, read: Callable[[str], str]) -> bool:
    cap = "" if settings.up_cap_usd is None else f", at most ${settings.up_cap_usd:.2f} a task beyond what you asked for"
    said = read(
        f"When the check fails and a stronger model is likelier to mend it, may it be used? It costs you more{cap}.\n"
        "Asked once; `consent_up` in your settings changes it. [y/N] "
    )
    return said.strip().lower() in ("y", "yes")


def open_questions(settings: Settings) -> Sequence[str]:
    """The questions that have no answer yet, by key."""
    return [key for key, is_open in (("profile", settings.origin("profile") == "default"),
                                     ("consent_up", settings.consent_up is None)) if is_open]  # fmt: skip
