"""What is wrong with a settings file, in sentences: the place, the mistake, the near match or what is wanted instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from pointsman.core.policy import Mode, Profile, Then
from pointsman.settings.sections import Advisor, Budget, Check, Deployment, Kind, Price, Protect

TABLES: dict[str, type[BaseModel]] = {
    "prices": Price, "check": Check, "advisor": Advisor, "deployments": Deployment, "protect": Protect, "kinds": Kind,
    "budget": Budget,
}  # fmt: skip
"""The tables of the file, by key."""

FORMS = {
    "protect": "true, false, a list of globs, or a table [protect]", "check": "true, false, a command, or a table [check]",
    "kinds": "MODEL, MODEL:effort, or a table with a model", "advisor": "a model, or a table [advisor]",
}  # fmt: skip
"""Keys that may be written in several forms."""

CHOICES = {"profile": get_args(Profile), "mode": get_args(Mode), "budget.then": get_args(Then)}

MISFITS = {
    "tuple_type": 'a list is wanted, such as ["opus"]', "model_type": "a table is wanted", "dict_type": "a table is wanted",
    "int_parsing": "a whole number is wanted", "int_type": "a whole number is wanted",
    "int_from_float": "a whole number is wanted", "float_parsing": "a number is wanted",
    "float_type": "a number is wanted", "string_type": "a text is wanted",
    "bool_parsing": "true or false is wanted", "bool_type": "true or false is wanted", "string_too_short": "must not be empty",
    "finite_number": "a finite number is wanted",
}  # fmt: skip
"""What is wanted, by pydantic's name for a value that is of another kind."""


def sentence(error: ValidationError, where: Callable[[Sequence[str]], str], keys: Sequence[str]) -> str:
    """Every complaint as ``place: what is wrong; what to do``. ``where``: the place of a path; ``keys``: all that there are."""
    said: dict[str, None] = {}
    for path, item in _items(error):
        place, complaint = where(path), _complaint(path, item, keys)
        if path and place == f"--{path[0].replace('_', '-')}":  # a flag says its own name
            complaint = complaint.removeprefix(f"{path[0]}: ")
        said[f"{place}: {complaint}"] = None
    return "; ".join(said)


def _items(error: ValidationError) -> Iterator[tuple[list[str], Any]]:
    """The errors with the path of each. Of a value that may have several forms: what is wrong in the form that it has."""
    found: dict[str, list[tuple[list[str], Any]]] = {}
    for item in error.errors():
        path = [str(part) for part in item["loc"]]
        forms = (2 if path[0] == "kinds" else 1) if path and path[0] in FORMS and len(path) > 1 else 0
        if not forms or len(path) == forms:
            yield path, item
        else:  # the part after the key names the form, in pydantic's words
            found.setdefault(".".join(path[:forms]), []).append((path[:forms] + path[forms + 1 :], item))
    for key, items in found.items():
        own = [(path, item) for path, item in items if not _misfit(item["type"]) or len(path) > key.count(".") + 1]
        yield from own or [(items[0][0], {**items[0][1], "type": "no_form"})]


def _misfit(kind: str) -> bool:
    return kind.endswith("_type") or kind == "bool_parsing"


def _complaint(path: list[str], item: Any, keys: Sequence[str]) -> str:
    kind, value, key = item["type"], item["input"], ".".join(path)
    if kind == "extra_forbidden":
        known = list(TABLES[path[0]].model_fields) if len(path) > 1 and path[0] in TABLES else keys
        return f"unknown setting {key!r}{_near(path[-1], known)}"
    if kind == "literal_error" and key in CHOICES:
        return f"{key} is {value!r}{_near(str(value), CHOICES[key])}; it can be {', '.join(CHOICES[key])}"
    if kind == "missing":
        return f"{key} is missing"
    if kind == "no_form":
        return f"{key}: {FORMS[path[0]]} is wanted, not {value!r}"
    text = MISFITS.get(kind) or item["msg"].removeprefix("Value error, ")
    text = text[:1].lower() + text[1:]
    if not key:
        return str(text)
    return f"{key}: {text.removeprefix(f'{key}: ')}" + ("" if kind == "value_error" else f", not {value!r}")


def _near(word: str, known: Sequence[str]) -> str:
    close = get_close_matches(word.replace("-", "_"), known, 1, 0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""
