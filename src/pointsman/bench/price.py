"""How good our prices are: real requests, what we predict before each, and what was billed after it.

Theory of operation. Every request goes through the functions that price live traffic (``lineage.locate``,
``candidates.price``, ``evolve``, ``learned.after``), in the order of time over all sessions, so that nothing is known before
it happened. Compact traces carry no texts: there the prompt's size is given, and only warmth and price are predicted.
Native transcripts carry the texts: there the size is estimated as well. All errors are fractions of the billed input
dollars. Three simple predictors run beside ours on the same requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from math import fsum, log

from pointsman.bench.simple_prices import SIMPLE, Known
from pointsman.core import candidates
from pointsman.core.book import Book
from pointsman.core.decisions import Decision
from pointsman.core.difficulty import PRIOR
from pointsman.core.events import Finished, Routed
from pointsman.core.evolve import evolve, taught
from pointsman.core.learned import Learned
from pointsman.core.lineage import locate
from pointsman.core.messages import Message, MessageKind
from pointsman.core.policy import Policy
from pointsman.core.pricing import cost
from pointsman.core.session import Session
from pointsman.core.setting import Setting
from pointsman.core.sizes import CHARS_PER_TOKEN, chars_of, prior
from pointsman.core.types import Config, Place, Request, Usage
from pointsman.core.warmth import WARM_SHARE
from pointsman.shell.history.transcript import Call, Piece, Transcript

REWRITTEN = 0.1
"""A prompt that is shorter than the one before it by more than this share has a rewritten history (cleared tool results, a
rewind). By less, the provider has dropped reasoning of an earlier turn, and its prefix is still found (60 of 62 real ones)."""

CERTAIN = 1e-3
"""Probabilities are kept this far from 0 and 1 in the log-loss, where a rule that is sure and wrong would count without end."""

FRAME = 60
"""Characters of JSON around a block on the wire, which a transcript's texts leave out: its type, ids and quotes."""

OBSERVER = Policy(mode="observe")


@dataclass(frozen=True, slots=True)
class Guess:
    """A prediction: USD of the input, tokens read from the cache, and the chance that the prefix is warm."""

    usd: float
    read: int
    p_warm: float


@dataclass(slots=True)
class Score:
    """What a predictor's guesses came to. Errors are fractions of the billed input USD."""

    billed: list[float] = field(default_factory=list)
    guessed: list[float] = field(default_factory=list)
    within: int = 0
    brier: float = 0.0
    log_loss: float = 0.0
    bands: dict[int, tuple[int, float, int]] = field(default_factory=dict)

    def add(self, guess: Guess, usd: float, read: int, warm: bool) -> None:
        """Count one request that was billed ``usd`` for its input and ``read`` tokens from the cache."""
        self.billed.append(usd)
        self.guessed.append(guess.usd)
        self.within += abs(guess.read - read) <= 0.05 * read
        self.brier += (guess.p_warm - warm) ** 2
        p = min(max(guess.p_warm, CERTAIN), 1.0 - CERTAIN)
        self.log_loss -= log(p if warm else 1.0 - p)
        band = min(int(guess.p_warm * 10), 9)
        n, total, hits = self.bands.get(band, (0, 0.0, 0))
        self.bands[band] = (n + 1, total + guess.p_warm, hits + warm)

    @property
    def errors(self) -> list[float]:
        """Absolute error per request, ascending; requests that were billed nothing have none."""
        pairs = zip(self.guessed, self.billed, strict=True)
        return sorted(abs(guess - usd) / usd for guess, usd in pairs if usd > 0.0)

    def figures(self) -> dict[str, float | int | None]:
        """The figures by name, as ``--json`` prints them; None where there is nothing to divide by."""
        n, errors, total = len(self.billed), self.errors, fsum(self.billed)
        return {
            "requests": n,
            "bias": (fsum(self.guessed) - total) / total if total else None,
            "abs_error_p50": quantile(errors, 0.5),
            "abs_error_p90": quantile(errors, 0.9),
            "cache_read_within_5pct": self.within / n if n else None,
            "brier_warm": self.brier / n if n else None,
            "log_loss_warm": self.log_loss / n if n else None,
        }


def quantile(ascending: list[float], q: float) -> float | None:
    """The ``q`` quantile, interpolated; None of nothing."""
    if not ascending:
        return None
    at = q * (len(ascending) - 1)
    low = int(at)
    high = min(low + 1, len(ascending) - 1)
    return ascending[low] + (at - low) * (ascending[high] - ascending[low])


@dataclass(slots=True)
class Report:
    """Ours and the baselines, and what could not be scored. ``mean_abs_error`` weighs requests by their dollars."""

    ours: Score = field(default_factory=Score)
    baselines: dict[str, Score] = field(default_factory=lambda: {name: Score() for name in SIMPLE})
    sessions: int = 0
    first: int = 0
    unbilled: int = 0
    unpriced: dict[str, int] = field(default_factory=dict)
    estimated: bool = False

    @property
    def mean_abs_error(self) -> float | None:
        """Sum of absolute errors over the sum of the bills."""
        total = fsum(self.ours.billed)
        return fsum(abs(a - b) for a, b in zip(self.ours.guessed, self.ours.billed, strict=True)) / total if total else None

    def as_json(self) -> dict[str, object]:
        """Exactly the figures of the benchmark, and the same for each baseline."""
        return {**self.ours.figures(), "baselines": {name: score.figures() for name, score in self.baselines.items()}}


def measure(
    transcripts: Iterable[Transcript], book: Book, *, estimate: bool, step: Callable[[int, int], None] | None = None
) -> Report:
    """Predict and score every request. ``estimate``: sizes are ours, from the texts; else they are given.

    ``step`` is told (done, of) now and then.
    """
    report = Report(estimated=estimate)
    runs = [_Run(transcript, estimate) for transcript in transcripts if transcript.calls]
    report.sessions = len(runs)
    todo = sorted(
        ((call.start, n, i) for n, run in enumerate(runs) for i, call in enumerate(run.calls)), key=lambda item: item
    )  # fmt: skip
    learned = Learned()
    for done, (_, n, i) in enumerate(todo):
        if step is not None and done % 500 == 0:
            step(done, len(todo))
        learned = runs[n].request(runs[n].calls[i], learned, book, report)
    return report


class _Run:
    """One session under way: its state, and the conversation of each lane."""

    def __init__(self, transcript: Transcript, estimate: bool) -> None:
        self.transcript, self.estimate = transcript, estimate
        self.calls = sorted(transcript.calls, key=lambda call: call.start)
        self.session = Session(id=transcript.session)
        self._talks: dict[str, _Talk] = {}
        self._count = 0

    def request(self, call: Call, learned: Learned, book: Book, report: Report) -> Learned:
        """Predict one call, score it, and fold its bill in."""
        usage = call.usage
        if usage is None or usage.prompt <= 0:
            report.unbilled += 1
            return learned
        if not book.has(call.model):
            report.unpriced[call.model] = report.unpriced.get(call.model, 0) + 1
            return learned
        talk = self._talks.setdefault(call.lane, _Talk(self.estimate))
        request = self._request(call, talk.messages(call, usage, book), talk.head_chars)
        session = replace(self.session, learned=learned)
        place = locate(request, session, call.start)
        config = Config(call.model, call.effort)
        at = candidates.setting(request, session, place, book, OBSERVER, config, call.start, PRIOR)
        row = candidates.price(config, at, None if self.estimate else usage.prompt)
        if talk.previous is None:
            report.first += 1
        else:
            self._score(at, config, row.input_usd or 0.0, row.prompt, talk, call, report)
        talk.answered(call, usage)
        return self._fold(call, request, place, config, learned, book)

    def _score(
        self, at: Setting, config: Config, usd: float, prompt: int, talk: _Talk, call: Call, report: Report
    ) -> None:
        usage, book = call.usage or Usage(), at.book
        billed = cost(_input(usage), book.card(call.model).at(usage.prompt, call.start))
        previous, since = talk.previous or 0, talk.since
        least = WARM_SHARE * min(previous, usage.prompt)
        warm = usage.cache_read >= least
        hit = candidates.warmth(config, at, prompt)
        chance = hit.chance(WARM_SHARE * min(previous, prompt))
        report.ours.add(Guess(usd, hit.likely, chance), billed, usage.cache_read, warm)
        rule = book.rule(call.model)
        ttl_s = call.ttl_s or rule.ttl_s
        known = Known(
            usage.prompt if not self.estimate else prompt, previous, call.start - since, ttl_s,
            at.chars if self.estimate else round(usage.prompt * CHARS_PER_TOKEN),
        )  # fmt: skip
        for name, rule_of in SIMPLE.items():
            guessed, p = rule_of(known)
            rates = book.card(call.model).at(guessed.prompt, call.start)
            report.baselines[name].add(Guess(cost(guessed, rates), guessed.cache_read, p), billed, usage.cache_read, warm)

    def _request(self, call: Call, messages: tuple[Message, ...], head_chars: int) -> Request:
        out = self.transcript
        return Request(
            protocol=out.protocol, path="", model=call.model, client=out.client, purpose=call.purpose, effort=call.effort,
            session=out.session, agent=None if call.lane == "main" else call.lane, parent=call.parent, turn_id=call.turn_id,
            tools=1, system=1, head_chars=head_chars, messages=messages, ttl_s=call.ttl_s,
        )  # fmt: skip

    def _fold(
        self, call: Call, request: Request, place: Place, config: Config, learned: Learned, book: Book
    ) -> Learned:
        self._count += 1
        name = f"{self._count}"
        decision = Decision(name, place, config, config, "stay", "asked", "")
        kept = place.kept if place.lane in self.session.lanes else 0
        delta = replace(request, messages=request.messages[kept:])
        session = evolve(self.session, Routed(call.start, self.session.id, name, delta, kept, decision)) or self.session
        ttl_s = call.ttl_s or book.rule(call.model).ttl_s
        event = Finished(
            call.end, session.id, name, 200, call.stop, call.start, call.end, usage=call.usage, served=config, ttl_s=ttl_s
        )  # fmt: skip
        learned = taught(learned, session, event, book)
        self.session = evolve(session, event) or session
        return learned


def _input(usage: Usage) -> Usage:
    """The buckets of the prompt alone."""
    return Usage(fresh=usage.fresh, cache_read=usage.cache_read, cache_write=usage.cache_write)


class _Talk:
    """The conversation of one lane as digests: one message of the user per request, as it is on the wire."""

    def __init__(self, estimate: bool) -> None:
        self.previous: int | None = None
        self.since = 0.0
        self.head_chars = 0
        self._estimate = estimate
        self._sent: list[Message] = []
        self._pieces: list[int] = []

    def messages(self, call: Call, usage: Usage, book: Book) -> tuple[Message, ...]:
        """All messages of ``call``. A rewritten history shares nothing but tools and system text with what was sent."""
        if self._rewritten(call, usage):
            self._sent.clear()
            self._pieces.clear()
        elif self._estimate and call.kept is not None:
            while self._pieces and self._pieces[-1] >= call.kept:
                self._pieces.pop()
                self._sent.pop()
        heard = _heard(call)
        if self.previous is None and self._estimate:  # tools and system text are in the bill and not in the transcript
            believed = prior(book.chars_per_token(call.model))
            head = usage.prompt - believed.tokens(chars_of((heard,)))
            self.head_chars = max(0, round(head / believed.mean[-1]))
        self._add(heard, call.kept or 0)
        return tuple(self._sent)

    def _rewritten(self, call: Call, usage: Usage) -> bool:
        if call.kept == 0 or any("continued" in piece.facts for piece in call.new):
            return True
        shrunk = self.previous is not None and usage.prompt < (1.0 - REWRITTEN) * self.previous
        return shrunk and not self._estimate

    def answered(self, call: Call, usage: Usage) -> None:
        """Add what the model said, and remember the bill."""
        if call.answer is not None and call.purpose != "compaction":
            self._add(_message(call.answer), (call.kept or 0) + len(call.new))
        self.previous, self.since = usage.prompt, call.start

    def _add(self, message: Message, place: int) -> None:
        self._sent.append(message)
        self._pieces.append(place)


KINDS: tuple[MessageKind, ...] = ("prompt", "tool_result", "reminder", "system", "assistant")


def _heard(call: Call) -> Message:
    """Everything a request adds, as one message of the user."""
    pieces = [piece for piece in call.new if piece.role != "assistant"]
    found = {piece.kind for piece in pieces}
    kind: MessageKind = next((kind for kind in KINDS if kind in found), "reminder")
    facts = tuple(dict.fromkeys(fact for piece in pieces for fact in piece.facts))
    own = hash((call.id, *(piece.hash for piece in pieces)))
    mixes = [piece.mix for piece in pieces if piece.mix]
    mix = tuple(map(sum, zip(*mixes, strict=True))) if mixes else ()
    return Message(
        own, "user", kind, sum(piece.chars + FRAME for piece in pieces) or 1, None, facts, mix=mix,
        images=tuple(size for piece in pieces for size in piece.images), pages=sum(piece.pages for piece in pieces),
    )  # fmt: skip


def _message(piece: Piece) -> Message:
    return Message(piece.hash, piece.role, piece.kind, piece.chars + FRAME, None, piece.facts)
