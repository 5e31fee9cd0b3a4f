"""Calls and results of a history as every vendor takes them: each id once, each call answered, arguments that are an object."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

MISSING = "[no result was recorded]"
"""Stands for the result of a call that was never answered: most vendors refuse a call without one."""

ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""A call id that every vendor accepts (Anthropic's pattern; OpenAI's limit of 64 characters)."""


def call_id(given: Any) -> str:
    """A call id in the canonical form: the same where every vendor accepts it, else a digest of it."""
    text = given if isinstance(given, str) else msgspec.json.encode(given).decode()
    return text if ID.fullmatch(text) else "call_" + hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


class Pairs:
    """Calls and results of a history: every id once, every call answered, every result after its call."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self._open: list[tuple[str, str]] = []  # calls without a result: the client's id, and the id that is sent

    def call(self, given: Any) -> str:
        """The id to send for a new call; one that was used before is numbered."""
        sent = own = call_id(given)
        while sent in self._seen:
            self._seen[own] += 1
            sent = call_id(f"{own}_{self._seen[own]}")
        self._seen[sent] = 1
        self._open.append((str(given), sent))
        return sent

    def result(self, given: Any) -> str | None:
        """The id to send for a result, or None where no open call has it; of two that have, the first is answered first."""
        place = next((n for n, (own, _) in enumerate(self._open) if own == str(given)), None)
        return self._open.pop(place)[1] if place is not None else None

    @property
    def open(self) -> list[str]:
        """The ids of calls without a result, in the order of the calls."""
        return [sent for _, sent in self._open]

    def unanswered(self) -> list[str]:
        """The ids of calls that nothing answered, once each."""
        found, self._open = self.open, []
        return found


def arguments(given: Any) -> str:
    """The arguments of a call as the JSON object that every vendor wants: what broke off becomes the value of one."""
    text = given if isinstance(given, str) else msgspec.json.encode(given).decode()
    try:
        msgspec.json.decode(text or "{}", type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, RecursionError):
        return msgspec.json.encode({"arguments": text}).decode()
    return text or "{}"
