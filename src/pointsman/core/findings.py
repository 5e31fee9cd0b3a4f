"""What breaks prompt caches: causes found in a ledger's events, each with how often it happened and what it cost.

Theory of operation. Requests of one lane on one model are looked at in pairs. A request that goes on where the one before it
stopped should read that prompt from the cache; where it did not, the first cause that the events show is blamed: other tools,
another system text, no cache mark, a lifetime that was over, another upstream, another key, a changed effort or speed; nothing
read at all points at another workspace or deployment behind the upstream. The dollars are what the same tokens would have cost
less, had they been read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pointsman.core.book import Book
from pointsman.core.events import Event, Finished, Routed, paired
from pointsman.core.pricing import keep_alive, keep_alive_pays
from pointsman.core.types import FIVE_MINUTES, HALF_DAY, HALF_HOUR, HOUR, Rates, Usage
from pointsman.core.warmth import WARM_SHARE

Cause = Literal[
    "tools", "system", "marks", "lifetime", "upstream", "effort", "speed", "mode", "key", "hop", "unexplained", "tail",
    "sessions", "keep", "provider",
]  # fmt: skip

LEFT_TOKENS, LEFT_SHARE = 2_000, 0.1
"""A request whose tokens after the last mark pass both has its mark too early."""

LIFETIMES = {FIVE_MINUTES: "5 minutes", HALF_HOUR: "30 minutes", HOUR: "an hour", HALF_DAY: "12 hours"}
"""Lifetimes that are sold, in words."""

RARE = 0.02
"""Prefixes that are cold without any cause in fewer requests than this are how providers are (0.25 to 3.5 % on real traffic)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One cause: in how many of ``of`` requests, and the USD it cost (None: unknown, or not a matter of dollars)."""

    cause: Cause
    requests: int
    of: int
    usd: float | None
    said: str


@dataclass(frozen=True, slots=True)
class Step:
    """Two requests of a lane on one model, one after the other, both billed. ``lost``: tokens that should have been read."""

    before: Routed
    after: Routed
    old: Finished
    new: Finished
    was: Usage
    now: Usage

    @property
    def age_s(self) -> float:
        """Seconds from the start of the one to the start of the other."""
        return self.new.started - self.old.started

    @property
    def ttl_s(self) -> int:
        """The lifetime of what the first one wrote."""
        return self.old.ttl_s or FIVE_MINUTES

    @property
    def lost(self) -> int:
        """Tokens of the old prompt that were not read, 0 where the prefix was warm."""
        if not self.now.cache_reported:
            return 0
        shared = min(self.was.prompt, self.now.prompt)
        return shared - self.now.cache_read if self.now.cache_read < WARM_SHARE * shared else 0

    @property
    def usd(self) -> float:
        """What they cost above reading them."""
        rates = self.new.rates
        return 0.0 if rates is None else self.lost * max(0.0, rates.write(self.new.ttl_s or FIVE_MINUTES) - rates.cache_read)


@dataclass(slots=True)
class _Sum:
    requests: int = 0
    usd: float = 0.0
    priced: bool = False


def findings(events: Iterable[Event], book: Book) -> list[Finding]:
    """Everything that costs prompt cache in ``events`` (any number of sessions), the dearest first."""
    routed, finished = paired(events)
    steps = list(_steps(routed, finished))
    found = [*_broken(steps, book), *_lifetimes(steps, book), *_tails(routed, finished), *_sessions(routed)]
    found += [*_keeping(steps), *_diagnosed(finished)]
    return sorted(found, key=lambda finding: -(finding.usd or 0.0))


def _steps(routed: Iterable[Routed], finished: Mapping[str, Finished]) -> Iterator[Step]:
    """Pairs that go on from each other: forks, summaries and fresh starts have reasons of their own."""
    last: dict[tuple[str, str, str], tuple[Routed, Finished, Usage]] = {}
    for event in routed:
        done = finished.get(event.id)
        if done is None or done.usage is None or not done.usage.prompt or done.served is None:
            continue
        place = event.decision.place
        key = (event.session, place.lane, done.served.model)
        before = last.get(key)
        if before is not None and place.relation in ("continue", "resume") and event.request.purpose == "turn":
            yield Step(before[0], event, before[1], done, before[2], done.usage)
        last[key] = (event, done, done.usage)


def _cause(step: Step, book: Book) -> Cause:
    """The first reason that the events show for a cold prefix."""
    old, new = step.before.request, step.after.request
    model = step.new.served.model if step.new.served else new.model
    if old.tools != new.tools:
        return "tools"
    if old.system != new.system:
        return "system"
    if book.rule(model).explicit and (old.ttl_s is None or new.ttl_s is None):
        return "marks"
    if step.age_s >= step.ttl_s:
        return "lifetime"
    if step.before.upstream != step.after.upstream:
        return "upstream"
    if old.key and new.key and old.key != new.key:
        return "key"
    if old.effort != new.effort:
        return "effort"
    if (old.speed, old.tier) != (new.speed, new.tier):
        return "speed"
    if old.mode and new.mode and old.mode != new.mode:
        return "mode"
    return "hop" if not step.now.cache_read else "unexplained"


_SAID: dict[Cause, str] = {
    "tools": "the tools changed inside a session, which loses the whole prefix: load them at the start, in a fixed order",
    "system": "the system text changed inside a session (a date, a status line?): keep what changes out of it",
    "marks": "requests without a cache mark, which this provider needs",
    "upstream": "another upstream served the session: caches are not shared between them",
    "effort": "the effort changed at the top level of the request",
    "speed": "speed or service tier changed: they do not share prefixes",
    "mode": "tool choice, thinking, the first image or the prompt_cache_key changed: the history is kept under them",
    "key": "another API key or login took the session over: caches are not shared between organisations or workspaces",
    "hop": "within the lifetime nothing at all was read: do several keys, workspaces or deployments take turns?",
    "unexplained": "cold within the lifetime without a reason in the request: something early in the history may change",
}


def _broken(steps: list[Step], book: Book) -> Iterator[Finding]:
    sums: dict[Cause, _Sum] = {}
    for step in steps:
        if step.lost:
            cause = _cause(step, book)
            one = sums.setdefault(cause, _Sum())
            one.requests, one.usd, one.priced = one.requests + 1, one.usd + step.usd, one.priced or step.new.rates is not None
    for cause, one in sums.items():
        rare = cause in ("hop", "unexplained") and one.requests < max(2, RARE * len(steps))
        if cause in _SAID and not rare:
            yield Finding(cause, one.requests, len(steps), one.usd if one.priced else None, _SAID[cause])


def _lifetimes(steps: list[Step], book: Book) -> Iterator[Finding]:
    """Whether the longer lifetime that a provider sells would have been cheaper than its short one, from the user's own gaps;
    and the other way round.

    What the longer one keeps over a gap is not written at all; the rest is, at its price.
    """
    sold: dict[tuple[int, int], list[Step]] = {}
    for step in steps:
        if (pair := _sold(step, book)) is not None:
            sold.setdefault(pair, []).append(step)
    for (short_s, long_s), ours in sold.items():
        yield from _too_short(ours, short_s, long_s)
        yield from _too_long(ours, short_s, long_s)


def _too_short(steps: list[Step], short_s: int, long_s: int) -> Iterator[Finding]:
    short = [s for s in steps if s.ttl_s == short_s]
    again = [s.lost if short_s <= s.age_s < long_s else 0 for s in short]
    gaps = [s for s, lost in zip(short, again, strict=True) if lost]
    saved = sum(s.usd for s in gaps)
    new = [s.now.written - lost for s, lost in zip(short, again, strict=True)]
    dearer = sum(n * _premium(s.new.rates, short_s, long_s) for s, n in zip(short, new, strict=True))
    if gaps and saved > dearer:
        yield Finding(
            "lifetime", len(gaps), len(short), saved - dearer,
            f"pauses of {LIFETIMES[short_s]} to {LIFETIMES[long_s]} outlast the cache: a lifetime of {LIFETIMES[long_s]} would "
            f"have saved ≈${saved:.2f} of rewriting for ≈${dearer:.2f} of dearer writes",
        )  # fmt: skip


def _too_long(steps: list[Step], short_s: int, long_s: int) -> Iterator[Finding]:
    long = [s for s in steps if s.ttl_s == long_s]
    kept = sum(s.was.prompt * _gap(s.new.rates, short_s) for s in long if short_s <= s.age_s < long_s and not s.lost)
    less = sum(s.now.written * _premium(s.new.rates, short_s, long_s) for s in long)
    if long and less > kept and less > 0.0:
        yield Finding(
            "lifetime", len(long), len(long), less - kept,
            f"a lifetime of {LIFETIMES[long_s]} is paid and hardly used: {LIFETIMES[short_s]} would have saved ≈${less:.2f} of "
            f"writes and cost ≈${kept:.2f} of rewriting",
        )  # fmt: skip


def _keeping(steps: list[Step]) -> Iterator[Finding]:
    """Whether reading a prefix once more before it lapses would have paid, from the user's own returns."""
    lapsed = [s for s in steps if s.new.rates is not None and s.age_s >= s.ttl_s and s.lost]
    back = [s for s in lapsed if s.age_s < 2 * s.ttl_s]
    if len(lapsed) < 2 or not back or back[0].new.rates is None:
        return
    p_return = len(back) / len(lapsed)
    spent = sum(keep_alive(s.new.rates, s.was.prompt, 1) for s in lapsed if s.new.rates is not None)
    saved = sum(s.usd for s in back)
    if keep_alive_pays(back[0].new.rates, back[0].ttl_s, p_return) and saved > spent:
        yield Finding(
            "keep", len(back), len(lapsed), saved - spent,
            f"after {p_return:.0%} of the pauses that outlast the cache you come back within one more lifetime: reading the "
            f"prompt once before it lapses would have cost ≈${spent:.2f} and saved ≈${saved:.2f}",
        )  # fmt: skip


def _diagnosed(finished: Mapping[str, Finished]) -> Iterator[Finding]:
    """What the providers themselves say of cold prefixes, where they were asked (settings: cache_diagnostics)."""
    told = [(done, done.diagnosis) for done in finished.values() if done.diagnosis is not None]
    reasons: dict[str, list[tuple[int, float]]] = {}
    for done, diagnosis in told:
        if diagnosis.reason != "no_difference":
            gap = _gap(done.rates)
            reasons.setdefault(diagnosis.reason, []).append((diagnosis.missed or 0, (diagnosis.missed or 0) * gap))
    for reason, found in reasons.items():
        words, missed = reason.replace("_", " "), sum(tokens for tokens, _ in found)
        said = f"the provider's own diagnosis: {words}, about {missed:,} tokens missed"
        yield Finding("provider", len(found), len(told), sum(usd for _, usd in found), said)


def _sold(step: Step, book: Book) -> tuple[int, int] | None:
    """The two lifetimes, short and long, that the provider of the model sells; None where it does not."""
    ttls = sorted(ttl_s for ttl_s in book.rule(step.new.served.model).ttls if ttl_s in LIFETIMES) if step.new.served else []
    return (ttls[0], ttls[1]) if len(ttls) > 1 else None


def _premium(rates: Rates | None, short_s: int, long_s: int) -> float:
    return 0.0 if rates is None else max(0.0, rates.write(long_s) - rates.write(short_s))


def _gap(rates: Rates | None, ttl_s: int = FIVE_MINUTES) -> float:
    return 0.0 if rates is None else max(0.0, rates.write(ttl_s) - rates.cache_read)


def _tails(routed: list[Routed], finished: Mapping[str, Finished]) -> Iterator[Finding]:
    """Requests whose last mark stands far before their end: what comes after it is paid in full each time."""
    marked, late, usd = 0, 0, 0.0
    for event in routed:
        done = finished.get(event.id)
        if done is None or done.usage is None or event.request.ttl_s is None:
            continue
        marked += 1
        left, rates = done.usage.fresh, done.rates
        if left >= LEFT_TOKENS and left >= LEFT_SHARE * done.usage.prompt and done.usage.cache_read + done.usage.written:
            late += 1
            usd += left * max(0.0, rates.fresh - rates.cache_read) if rates else 0.0
    if late >= max(2, RARE * marked):
        said = "the last cache mark stands far before the end of the request: put one on the last block"
        yield Finding("tail", late, marked, usd, said)


def _sessions(routed: list[Routed]) -> Iterator[Finding]:
    missing = [event for event in routed if event.request.session is None]
    if missing:
        clients = ", ".join(sorted({event.request.client for event in missing}))
        said = f"no session id ({clients}): sessions are told apart by their history, so two equal starts may be mixed up"
        yield Finding("sessions", len(missing), len(routed), None, said)
