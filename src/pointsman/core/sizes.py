"""How many tokens a prompt has, without a tokenizer: what was billed last, and the characters added since over learned ratios.

Theory of operation. Text comes in five kinds (prose, code, JSON, logs, and the head of tools and system text), each with its own
tokens per character on a model. They are learned from bills as one Gaussian: a bill of text says how far the model's scale is
off, which all kinds share, and how far each kind is. A lane learns its own, from its own bills alone, so that it stays a fold of
its events; a user's models are learned over all sessions (``core.learned``); ``together`` weighs both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

from pointsman.core.images import ImageRule, pictured, read_rule
from pointsman.core.messages import Message
from pointsman.core.types import Request, Usage

PLAIN_IMAGES = read_rule(None)

CHARS_PER_TOKEN = 3.3
"""Characters of JSON on the wire per token of Claude up to 4.6, before anything was learned.

Median over 839 requests of 24 real Claude Code sessions (entireio/cli, MIT; 80 % lie between 2.3 and 4.2), November 2026.
``Book.chars_per_token`` gives it for other tokenizers.
"""

KINDS = ("prose", "code", "json", "logs", "head")
RELATIVE = (1.03, 1.0, 1.06, 0.65, 1.0)
"""Characters per token of each kind beside that of code: o200k gives 3.98, 3.87, 4.12 and 2.48 on the texts of a Linux machine
(manuals, Python and JavaScript sources, JSON files, logs and listings; 165 files), November 2026."""

SCALE_SD, KIND_SD, SESSION_SD = 0.2, 0.15, 0.08
"""Relative standard deviations before anything was learned: of a model's scale (80 % of the ratios above within 2.3 to 4.2), of
a kind beside it (80 % of the files of a kind lie within 15 to 25 % of it), and of a session around its user's average."""

TEXT_SD, FLOOR_TOKENS, DRIFT = 0.12, 80.0, 0.02
"""How far one bill is off by the text itself (relative, and a few tokens of framing), and how far ratios drift per bill."""

Chars = tuple[int, int, int, int, int]
"""Characters by kind, in the order of ``KINDS``."""

NO_CHARS: Chars = (0, 0, 0, 0, 0)
Vector = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Ratios:
    """Tokens per character by kind, as believed: ``mean``, and its covariance as rows."""

    mean: Vector
    cov: tuple[Vector, ...]

    def __hash__(self) -> int:
        """Quick: what is believed of a model is looked up at every request (``together``)."""
        return hash(self.mean)

    def tokens(self, chars: Chars) -> float:
        """Tokens that text of these kinds is expected to have."""
        mean = self.mean
        return sum([c * m for c, m in zip(chars, mean, strict=True) if c])

    @property
    def chars_per_token(self) -> float:
        """Characters of code per token: the scale of the model, for people."""
        return 1.0 / self.mean[1]


@lru_cache(maxsize=256)
def prior(chars_per_token: float = CHARS_PER_TOKEN) -> Ratios:
    """What is believed of a model whose text has ``chars_per_token`` characters a token."""
    mean = tuple([1.0 / (chars_per_token * relative) for relative in RELATIVE])
    return Ratios(mean, _spread(mean, SCALE_SD, KIND_SD))


@lru_cache(maxsize=256)
def together(session: Ratios | None, user: Ratios | None) -> Ratios | None:
    """What a session's bills and those of all the user's sessions say together, each kind weighed by how sure they are.

    Sessions differ by ``SESSION_SD`` from their user's average. None where neither is known. The same until the next bill.
    """
    if session is None or user is None:
        return session or user
    means = []
    for i, (own, all_) in enumerate(zip(session.mean, user.mean, strict=True)):
        own_sure = 1.0 / max(session.cov[i][i], 1e-12)
        all_sure = 1.0 / (max(user.cov[i][i], 0.0) + (SESSION_SD * all_) ** 2)
        means.append((own * own_sure + all_ * all_sure) / (own_sure + all_sure))
    return Ratios(tuple(means), session.cov)


def _spread(mean: Vector, scale: float, kind: float) -> tuple[Vector, ...]:
    return tuple(
        tuple(a * b * (scale * scale + (kind * kind if i == j else 0.0)) for j, b in enumerate(mean)) for i, a in enumerate(mean)
    )


def learn(ratios: Ratios, chars: Chars, tokens: int) -> Ratios:
    """``ratios`` after text of these kinds was billed as ``tokens``: one step of a Kalman filter.

    A bill that three standard deviations cannot explain (an image, a redacted block) moves as far as three would; ratios stay
    within 1 to 12 characters a token. A bill of no tokens, or of no text, teaches nothing.
    """
    if tokens <= 0 or not any(chars):
        return ratios
    mean, cov = ratios.mean, ratios.cov
    seen = [sum([row[j] * c for j, c in enumerate(chars) if c]) for row in cov]
    expected = ratios.tokens(chars)
    noise = FLOOR_TOKENS + TEXT_SD * max(expected, tokens)
    variance = sum([s * c for s, c in zip(seen, chars, strict=True)]) + noise * noise
    most = 3.0 * sqrt(variance)
    off = min(most, max(-most, tokens - expected))
    gain = [s / variance for s in seen]
    moved = tuple([min(1.0, max(1.0 / 12.0, m + g * off)) for m, g in zip(mean, gain, strict=True)])
    left = tuple(
        tuple(cov[i][j] - gain[i] * seen[j] + ((DRIFT * mean[i]) ** 2 if i == j else 0.0) for j in range(len(KINDS)))
        for i in range(len(KINDS))
    )
    return Ratios(moved, left)


def chars_of(messages: Iterable[Message], head: int = 0) -> Chars:
    """Characters of ``messages`` by kind, with ``head`` characters of tools and system text."""
    prose = code = json = logs = 0
    for message in messages:
        mix = message.mix
        if mix:
            code, json, logs = code + mix[0], json + mix[1], logs + mix[2]
            prose += message.chars - mix[0] - mix[1] - mix[2]
        else:
            prose += message.chars
    return (max(0, prose), code, json, logs, head)


def prompt_tokens(
    request: Request,
    kept: int,
    last: Usage | None,
    last_model: str | None,
    model: str,
    ratios: Mapping[str, Ratios],
    factor: float = 1.0,
    *,
    believed: Ratios | None = None,
    before: int | None = None,
    dropped: int | None = None,
    images: ImageRule = PLAIN_IMAGES,
) -> int:
    """Prompt tokens of ``request`` on ``model``: what was billed last plus the new characters; never a tokenizer.

    ``kept``: leading messages shared with the lane's last request, which had ``before`` messages and was billed ``last``
    on ``last_model``. ``ratios``: learned per model; ``believed`` of ``model`` where they have none. ``factor``: tokens of
    ``model`` per token of ``last_model``. The answer that was billed last is the first run of new assistant messages: its
    output tokens count, not its characters, unless they are only a lower bound. A fork (fewer kept than ``before``) and a first
    request go by characters alone. ``dropped``: reasoning tokens of the last prompt that the provider takes out now, together
    with those of the last answer; None: it keeps them. ``images``: how the model counts images and pages.
    """
    believed = believed or prior()
    if last is None or last_model is None or not kept or not last.prompt:
        text = ratios.get(model, believed).tokens(chars_of(request.messages, request.head_chars))
        return max(1, round(text + pictured(request.messages, images)))
    known = ratios.get(last_model)
    if known is None:
        known, factor = (believed, factor) if last_model == model else (_times(believed, 1.0 / factor), factor)
    new = request.messages[kept:]
    if before is not None and kept < before:
        held = request.messages[:kept]
        tokens = min(float(last.prompt), known.tokens(chars_of(held, request.head_chars)) + pictured(held, images))
        tokens += known.tokens(chars_of(new))
    else:
        said, heard = answer_of(new) if before is not None and last.complete else (0, new)
        thought = last.reasoning
        if thought and (dropped is not None or not any("thinking" in m.facts for m in new[:said])):
            thought = 0
        tokens = last.prompt - (dropped or 0) + (last.output + thought if said else 0) + known.tokens(chars_of(heard))
    return max(1, round(tokens * (factor if last_model != model else 1.0) + pictured(new, images)))


def _times(ratios: Ratios, factor: float) -> Ratios:
    return ratios if factor == 1.0 else Ratios(tuple([m * factor for m in ratios.mean]), ratios.cov)


def answer_of(new: tuple[Message, ...]) -> tuple[int, tuple[Message, ...]]:
    """How many leading ``new`` messages are the answer that was billed last, and the messages after it.

    An answer is one message, or in the Responses protocol a run of items: reasoning, text, calls.
    """
    count = 0
    while count < len(new) and new[count].role == "assistant":
        count += 1
    return count, new[count:]


def new_text(
    request: Request, kept: int, last: Usage | None, before: int, usage: Usage
) -> tuple[Chars, int] | None:
    """Characters and tokens that ``request`` added to what was billed last; None where the bills do not tell them apart.

    ``kept``, ``before``, ``last`` as for ``prompt_tokens``; ``usage``: what this request was billed. The answer
    between them is left out where its tokens are known.
    """
    if last is None or not last.prompt or not kept or kept < before:
        return None
    new = request.messages[kept:]
    said, heard = answer_of(new) if last.complete else (0, new)
    thought = last.reasoning if any("thinking" in m.facts for m in new[:said]) else 0
    tokens = usage.prompt - last.prompt - (last.output + thought if said else 0)
    if any(message.images or message.pages for message in heard):
        return None  # billed by its pixels
    chars = chars_of(heard)
    return (chars, tokens) if any(chars) and tokens > 0 else None
