"""What the calls of an answer hand to sub-agents, as hashes of the texts: some clients do not mark the conversation that follows.

qwen-code, gemini-cli and cline open it with the very text that the model gave as an argument (recordings of 0.24, 0.61 and 3.0),
and it may begin before the call stands in any request. Only calls that start an agent are looked at, and no text is kept.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pointsman.wire.calls import hash_of, kind_of

LARGEST = 200_000
"""Characters of arguments that are gathered for one call; what is longer is no prompt."""


class Handing:
    """Gathers the arguments of an answer's calls that start an agent; ``index``: the call's place in the answer."""

    def __init__(self) -> None:
        self._pieces: dict[int, list[str]] = {}
        self._room: dict[int, int] = {}  # characters that may still come, 0 after a piece that was too much
        self._whole: list[Any] = []

    def begun(self, index: object, name: Any) -> bool:
        """A call of the tool ``name`` begins; whether its arguments are wanted."""
        if not isinstance(index, int) or not isinstance(name, str) or kind_of(name) != "agent":
            return False
        self._pieces.setdefault(index, [])
        self._room.setdefault(index, LARGEST)
        return True

    def goes_on(self, index: object, piece: Any) -> None:
        """A piece of a call's arguments, as JSON text."""
        if not isinstance(index, int) or not isinstance(piece, str) or index not in self._pieces:
            return
        if len(piece) <= self._room[index]:
            self._room[index] -= len(piece)
            self._pieces[index].append(piece)
        else:
            self._room[index] = 0

    def whole(self, name: Any, arguments: Any) -> None:
        """A call that came in one piece, its arguments as an object or as JSON text."""
        if isinstance(name, str) and kind_of(name) == "agent":
            self._whole.append(arguments)

    @property
    def texts(self) -> tuple[int, ...]:
        """Hashes of the texts that were handed over, each once, as ``Message.own`` has them."""
        given = [*self._whole, *map("".join, self._pieces.values())]
        found = (hash_of(text.strip()) for arguments in given for text in _texts(arguments))
        return tuple(dict.fromkeys(hash for hash in found if hash))


def _texts(arguments: Any) -> list[str]:
    """The texts among the arguments of a call."""
    if isinstance(arguments, str):
        try:
            arguments = msgspec.json.decode(arguments or "{}")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return []
    given = arguments.values() if isinstance(arguments, dict) else ()
    return [text for text in given if isinstance(text, str)]
