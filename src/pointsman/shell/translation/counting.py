"""Token counts of first requests, by tiktoken's o200k from the files that litellm ships: nothing is downloaded.

Only the translation worker and ``bench tokens`` come here: the tokenizer takes 77 MB, which the gateway does not have. The worker
runs where models of several vendors are compared, and there a count is worth most: at the start of a session, when leaving is
free, prompts are compared across tokenizers. No worker is started for counting alone: 250 MB for one estimate a session, which
its own bill corrects seconds later, and which decides nothing where one vendor's models are compared among themselves.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import xxhash

from pointsman.core.types import Protocol
from pointsman.errors import SettingsError
from pointsman.wire.countable import countable

ENCODING = "o200k_base"

COUNT_S = 0.03
"""Seconds that a session's first request may wait for its count; then it goes by characters. A count of 25,000 tokens takes 3 to
7 milliseconds on two idle cores, 10 to 25 on busy ones (November 2026), next to nothing where tools and system text are known."""

LONG, KEPT = 1_000, 1_000
"""Texts of so many characters are counted once, and so many counts are kept: a client's tools and system text hardly change."""

COUNT_AT_MOST = 400_000
"""Bytes of a body that could be counted within that time; a longer one is not sent to be counted."""


class Counter:
    """A tokenizer. Raises SettingsError where litellm's files are missing."""

    def __init__(self) -> None:
        spec = find_spec("litellm")
        folder = Path(spec.origin).parent / "litellm_core_utils" / "tokenizers" if spec and spec.origin else None
        if folder is None or not folder.is_dir():
            raise SettingsError("litellm's tokenizer files are not installed beside pointsman; run: pip install litellm")
        os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
        import tiktoken

        self._encoding = tiktoken.get_encoding(ENCODING)
        self._known: dict[int, int] = {}

    def tokens(self, protocol: Protocol, body: bytes) -> int:
        """Tokens of a request's text with what frames it; 0 for a body that is no JSON object."""
        try:
            value: Any = msgspec.json.decode(body)
        except msgspec.DecodeError:
            return 0
        if not isinstance(value, dict):
            return 0
        texts, frames = countable(protocol, value)
        return sum(map(self._count, texts)) + frames

    def _count(self, text: str) -> int:
        if len(text) < LONG:
            return len(self._encoding.encode(text, disallowed_special=()))
        key = xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"))
        if key not in self._known:
            if len(self._known) >= KEPT:
                self._known.clear()
            self._known[key] = len(self._encoding.encode(text, disallowed_special=()))
        return self._known[key]
