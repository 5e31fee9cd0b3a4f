"""``bench tokens``: what a tokenizer would mend in the estimate of a first request, on recorded sessions.

Theory of operation. Later prompts are what was billed before and what is new; only a session's first request goes by characters
alone. Beside that estimate stands the count of tiktoken's o200k, from the files that litellm ships (nothing is downloaded): exact
for OpenAI's models, times the factor between the tokenizers for others. A tokenizer is loaded in this command alone: in the
gateway it would cost 75 MB and 20 ms for a request whose own bill corrects the ratio a few seconds later. Recordings whose texts
were replaced by filler say nothing about real texts: filler is split finer (2.8 characters a token instead of 3.7).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import process_time
from typing import Any

from pointsman.core import sizes
from pointsman.core.book import Book
from pointsman.errors import SettingsError, WireError
from pointsman.shell.recording import load
from pointsman.wire import protocol_of, read

ENCODING, MODEL = "o200k_base", "gpt-5.5"
TEXTS = ("tools", "functions", "system", "instructions", "systemInstruction", "messages", "input", "contents")


@dataclass(frozen=True, slots=True)
class First:
    """A session's first request: tokens of its text by our characters, by the tokenizer, and milliseconds that counting took."""

    file: str
    model: str
    ours: int
    counted: int
    millis: float


def firsts(files: Iterable[Path], book: Book) -> Iterator[First]:
    """The first model request of each recording in ``files``. Raises SettingsError where litellm's files are missing."""
    encoding = _encoding()
    for path in files:
        for exchange in load(path).exchanges:
            protocol = protocol_of(exchange.method, exchange.path)
            if protocol is None or "count_tokens" in exchange.path:
                continue
            try:
                request = read(protocol, exchange.path, exchange.headers, exchange.body)
            except WireError:
                continue
            if request.purpose != "turn":
                continue
            believed = sizes.prior(book.chars_per_token(request.model))
            ours = sizes.prompt_tokens(
                request, 0, None, None, request.model, {}, believed=believed, images=book.images(request.model)
            )  # fmt: skip
            text, began = _text(json.loads(exchange.body)), process_time()
            tokens = len(encoding.encode(text, disallowed_special=()))
            spent = (process_time() - began) * 1_000
            yield First(path.name, request.model, ours, round(tokens * book.token_factor(MODEL, request.model)), spent)
            break


def _text(body: dict[str, Any]) -> str:
    """What a provider counts of a body, about as it stands on the wire."""
    return "\n".join(json.dumps(body[name], ensure_ascii=False, separators=(",", ":")) for name in TEXTS if name in body)


def _encoding() -> Any:
    spec = find_spec("litellm")
    folder = Path(spec.origin).parent / "litellm_core_utils" / "tokenizers" if spec and spec.origin else None
    if folder is None or not folder.is_dir():
        raise SettingsError("litellm's tokenizer files are not installed beside pointsman; run: pip install litellm")
    os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
    import tiktoken

    return tiktoken.get_encoding(ENCODING)
