"""``bench tokens``: what a tokenizer would mend in the estimate of a first request, on recorded sessions.

Theory of operation. Later prompts are what was billed before and what is new; only a session's first request goes by characters
alone, or by the count of the translation worker where that runs (``shell.translation.counting``). Here both stand side by side.
Recordings whose texts were replaced by filler say nothing about real texts: filler is split finer (2.8 characters a token instead
of 3.7). On real ones, new blocks of public transcripts that were not cut (each at least 300 tokens, November 2026): 36 of Codex,
where the tokenizer is the model's own, were counted to the token in 31 cases, and characters were off by 7 % at the median and
20 % at the 90th percentile; 104 of Claude Code were off by 28 and 70 % counted, by 16 and 62 % by characters, both too low, as
thinking is billed and not shown. So another tokenizer's count is used only once a bill has shown its factor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import process_time

from pointsman.core import sizes
from pointsman.core.book import Book
from pointsman.core.images import pictured
from pointsman.core.learned import COUNTED_FOR
from pointsman.errors import WireError
from pointsman.shell.recording import load
from pointsman.shell.translation.counting import Counter
from pointsman.wire import protocol_of, read


@dataclass(frozen=True, slots=True)
class First:
    """A session's first request: tokens by our characters, by the tokenizer, and milliseconds that counting took."""

    file: str
    model: str
    ours: int
    counted: int
    millis: float


def firsts(files: Iterable[Path], book: Book) -> Iterator[First]:
    """The first model request of each recording in ``files``. Raises SettingsError where litellm's files are missing."""
    counter = Counter()
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
            believed, images = sizes.prior(book.chars_per_token(request.model)), book.images(request.model)
            ours = sizes.prompt_tokens(request, 0, None, None, request.model, {}, believed=believed, images=images)
            began = process_time()
            tokens = counter.tokens(protocol, exchange.body) * book.token_factor(COUNTED_FOR, request.model)
            spent = (process_time() - began) * 1_000
            yield First(path.name, request.model, ours, round(tokens + pictured(request.messages, images)), spent)
            break
