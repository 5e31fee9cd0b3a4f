"""Typed access to the small top-level fields of a request, with errors that say which field is wrong and how."""

from __future__ import annotations

from typing import Any

import msgspec

from pointsman.errors import WireError
from pointsman.wire.blocks import kind_of
from pointsman.wire.digest import decode
from pointsman.wire.splice import Opened, split_array

NAME_CHARS = 300
"""Characters of the longest name that is believed: those of cloud resources (ARNs) are the longest, with 100 to 200."""


class Fields:
    """The fields of an opened body; null counts as absent."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened

    def raw(self, name: str) -> msgspec.Raw | None:
        """The raw value of ``name``, None when it is absent or null."""
        found = self.opened.fields.get(name)
        return None if found is None or bytes(memoryview(found)[:4]) == b"null" else found

    def value(self, name: str) -> Any:
        """The decoded value of ``name``, or None."""
        found = self.raw(name)
        return None if found is None else decode(found, f"`{name}`")

    def text(self, name: str) -> str | None:
        """A string field."""
        return self._typed(name, str, "a string")  # type: ignore[no-any-return]  # checked by _typed

    def number(self, name: str) -> int | None:
        """A whole number from 0 up."""
        value = self._typed(name, int, "a whole number")
        if value is not None and value < 0:
            raise WireError(f"`{name}` is {value}: it cannot be negative")
        return value  # type: ignore[no-any-return]  # checked by _typed

    def flag(self, name: str) -> bool:
        """A boolean field; absent is false."""
        return bool(self._typed(name, bool, "a boolean"))

    def object(self, name: str) -> dict[str, Any]:
        """An object field; absent is empty."""
        return self._typed(name, dict, "an object") or {}

    def items(self, name: str) -> list[msgspec.Raw]:
        """The raw elements of an array field that must be there."""
        found = self.raw(name)
        if found is None:
            raise WireError(f"the body has no `{name}`")
        return split_array(found, f"`{name}`")

    def model(self) -> str:
        """The requested model, which must be there."""
        name = self.text("model")
        if not name:
            raise WireError("the body has no `model`" if name is None else "`model` is empty")
        return named(name, "`model`")

    def word(self, name: str) -> str | None:
        """A string field that is a name: short, and printable."""
        value = self.text(name)
        return None if value is None else named(value, f"`{name}`")

    def _typed(self, name: str, kind: type[Any], words: str) -> Any:
        value = self.value(name)
        wrong = not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)
        if value is not None and wrong:
            raise WireError(f"`{name}` is {kind_of(value)}, not {words}")
        return value


def named(value: str, what: str) -> str:
    """``value``, which names a model, an effort, a tier, and is kept and shown in terminals. Raises WireError for no name."""
    if len(value) > NAME_CHARS:
        raise WireError(f"{what} has {len(value)} characters: no provider has so long a name")
    if not value.isprintable():
        raise WireError(f"{what} holds characters that cannot be printed")
    return value
