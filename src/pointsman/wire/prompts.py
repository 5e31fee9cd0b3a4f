"""What a person's own words show in any language: their form, what was pasted into them, and which words they share.

No word of any language is looked for. A list of words such as "no" or "wrong" hears those who write it natively and misses
the others; where its recall differs by more than ten points its weight has to be zero (DECISION.md 7), so there is none.
"""

from __future__ import annotations

import re

import xxhash

from pointsman.core.messages import Fact
from pointsman.wire import reports

BITS = 1_024
"""Bits of a sketch. With 64 words at most, 3 % of two unrelated texts' words fall together."""

WORDS, CHARS = 64, 2_400
"""How many different words of a text are sketched, and how much of it is read; of an answer the end, of a prompt the start."""

_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_SIGNS = r"\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0900-\u0dff"
"""Marks and vowel signs inside words (Hebrew, Arabic, the scripts of India), which Python's ``\\w`` does not hold."""

_WORD = re.compile(rf"[{_UNSPACED}]{{2,}}|[^\W\d_{_UNSPACED}](?:[^\W{_UNSPACED}]|[{_SIGNS}]){{2,}}")
_PAIRS = re.compile(rf"[{_UNSPACED}]")
_DENSE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
DENSE = 2.5
"""Alphabetic characters that one of these scripts stands for: between Korean (about 2) and Chinese (about 3), by the length of
translations."""

_ASKS = ("?", "？", "؟", "՞", "፧")
_QUOTES = re.compile(r"^ *(?:>|❯|│|⏺|└)", re.MULTILINE)
_APPROVES = re.compile(
    r"[\s!]*(?:(?:👍|👌|🎉|🚀|❤|💯|🙏|✅|😍|👏|🥳|🙌|✨|\+1|:\)|:-\)|:\+1:)[\ufe0f\U0001f3fb-\U0001f3ff\s!]*)+$"
)


def facts_of(text: str) -> tuple[Fact, ...]:
    """The facts of the user's own words."""
    found: list[Fact] = []
    if reports.pasted(text[:8_000]):
        found.append("pasted_failure")
    if text.rstrip(" \n\t\"')»”").endswith(_ASKS):
        found.append("question")
    if _QUOTES.search(text):
        found.append("quotes")
    if len(text) < 40 and _APPROVES.match(text):
        found.append("praise")
    return tuple(found)


def length_of(text: str) -> int:
    """How much a text says, in characters of an alphabet: one of Chinese, Japanese or Korean stands for ``DENSE`` of them."""
    return len(text) + round((DENSE - 1.0) * len(_DENSE.findall(text))) if not text.isascii() else len(text)


def sketch_of(text: str, *, end: bool = False) -> str:
    """The bits of the words in ``text``, in hexadecimal digits; empty for a text without words. ``end``: of its end.

    Scripts that set no spaces between words, and Korean, give pairs of characters instead (Chinese, Japanese, Thai, Lao, Burmese,
    Khmer).
    """
    words: dict[str, None] = {}
    for word in _WORD.findall((text[-CHARS:] if end else text[:CHARS]).lower()):
        if _PAIRS.match(word):
            words.update(dict.fromkeys(map("".join, zip(word, word[1:], strict=False))))
        else:
            words[word] = None
    bits = 0
    for word in list(words)[:WORDS]:
        bits |= 1 << (xxhash.xxh32_intdigest(word.encode()) % BITS)
    return f"{bits:x}" if bits else ""
