"""Recorded sessions as lanes of steps, and what is regretted in hindsight: in USD, per turn, signed and net.

Theory of operation. Four paths through the same requests are priced alike, each with the caches it would have had (core.plan):
what ran, what was asked, the advice of the moment, and the best path inside what was admitted. *Knowable then* is what ran less
the advice: our error, or the price of a rule. *Only afterwards* is the advice less the best path: luck. Their sum is the regret.
Against the asked model is the headline everywhere; this split belongs to ``report`` and ``why``. Failures are not in it.

Prices are those that stood in the decisions, so that a ledger explains itself without a price book; a book is needed for configs
that stood in none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pointsman.core.book import Book
from pointsman.core.decisions import Candidate
from pointsman.core.events import HUNG_UP, Event, Finished, Marked, Pinned, Routed, Signalled, paired
from pointsman.core.plan import Step, Way, best, bill, by_turn
from pointsman.core.pricing import billed_usd, rates_for
from pointsman.core.progress import rewound
from pointsman.core.types import FIVE_MINUTES, Config, LaneKind, Rates
from pointsman.core.warmth import WARM_SHARE, CacheRule


@dataclass(frozen=True, slots=True)
class Recorded:
    """One lane's billed requests as steps, and four paths by number of ``configs``; everything else aligns with ``steps``.

    ``configs`` are models: with the same requests and answers, efforts cost the same. ``served``: what really ran.
    ``admitted``: what the user allowed at each step; ``billed``: USD as billed. ``unknown``: requests left out, without a bill
    or a price.
    """

    session: str
    lane: str
    kind: LaneKind
    configs: tuple[Config, ...]
    ttls: tuple[float, ...]
    steps: tuple[Step, ...]
    ids: tuple[str, ...]
    turns: tuple[int, ...]
    tasks: tuple[int, ...]
    served: tuple[Config, ...]
    ran: tuple[int, ...]
    asked: tuple[int, ...]
    advised: tuple[int, ...]
    admitted: tuple[frozenset[int], ...]
    billed: tuple[float, ...]
    unknown: int = 0

    def way(self, path: Sequence[int]) -> Way:
        """What ``path`` costs."""
        return bill(self.steps, self.ttls, path)

    def best(self, *, everything: bool = False) -> Way:
        """The cheapest path inside what was admitted; ``everything``: among all configs, whether or not they were."""
        if everything:
            return best(self.steps, self.ttls)
        return best(self.steps, self.ttls, lambda i, j: j in self.admitted[i])


def recorded(events: Iterable[Event], book: Book | None = None, more: Sequence[Config] = ()) -> list[Recorded]:
    """The lanes of one session's events; ``more``: configs to price, by ``book``, beside those that stood in the decisions."""
    routed, finished = paired(events)
    lanes: dict[str, list[Routed]] = {}
    for event in routed:
        if event.request.purpose in ("turn", "compaction"):
            lanes.setdefault(event.decision.place.lane, []).append(event)
    return [_Lane(book, events_of, finished, more).recorded() for events_of in lanes.values()]


def _configs(routed: Sequence[Routed], finished: Mapping[str, Finished], more: Sequence[Config]) -> tuple[Config, ...]:
    """Every model that could have served and has a price: of a row, or of a bill."""
    found: dict[str, None] = {}
    for event in routed:
        done = finished.get(event.id)
        if done is not None and done.rates is not None:
            found.setdefault((done.served or event.decision.chosen).model)
        found.update(dict.fromkeys(row.model for row in event.decision.candidates if row.veto is None and row.rates is not None))
    return tuple([Config(model) for model in dict.fromkeys((*found, *(config.model for config in more)))])


@dataclass(slots=True)
class _Lane:
    """One lane under way: what its last step left, and the steps so far."""

    book: Book | None
    routed: Sequence[Routed]
    finished: Mapping[str, Finished]
    more: Sequence[Config]
    configs: tuple[Config, ...] = ()
    chars: list[int] = field(default_factory=list)
    heads: tuple[int, int] = (0, 0)
    head: int = 0
    on: str | None = None
    before: Step | None = None
    advised: int = 0
    rates: dict[str, Rates] = field(default_factory=dict)

    def recorded(self) -> Recorded:
        """Every billed request as a step."""
        self.configs = _configs(self.routed, self.finished, self.more)
        for event in reversed(self.routed):
            self.rates |= {row.model: row.rates for row in event.decision.candidates if row.rates is not None}
        number = {config.model: j for j, config in enumerate(self.configs)}
        kept: list[tuple[Routed, Finished, Step, int]] = []
        advised: list[int] = []
        unknown = 0
        for event in self.routed:
            share, done = self._share(event), self.finished.get(event.id)
            served = (done.served if done else None) or event.decision.chosen
            if done is None or done.usage is None or done.rates is None or done.usage.prompt <= 0 or served.model not in number:
                unknown += done is None or done.status < 400 or done.status == HUNG_UP
                continue
            step = self._step(event, done, served, share)
            kept.append((event, done, step, number[served.model]))
            advised.append(self._advice(event, number, step.moves or not advised))
            self.before, self.on = step, served.model
        first = self.routed[0]
        return Recorded(
            first.session, first.decision.place.lane, first.decision.place.kind, self.configs, self._ttls(kept),
            tuple(step for _, _, step, _ in kept), tuple(event.id for event, *_ in kept),
            tuple(event.decision.place.turn for event, *_ in kept), tuple(event.decision.place.task for event, *_ in kept),
            tuple(done.served or event.decision.chosen for event, done, *_ in kept), tuple(j for *_, j in kept),
            tuple(number.get(event.decision.asked.model, j) for event, _, _, j in kept),
            tuple(advised), tuple(_admitted(event, number, j) for event, _, _, j in kept),
            tuple(_billed(event, done) for event, done, *_ in kept), unknown,
        )  # fmt: skip

    def _share(self, event: Routed) -> float:
        """Share of the prompt's characters that the request before it had as well."""
        request = event.request
        new = [message.chars for message in request.messages]
        same = self.heads == (request.tools, request.system) or not self.chars
        common = request.head_chars + sum(self.chars[: event.kept]) if same else 0
        self.chars[event.kept :] = new
        self.heads = (request.tools, request.system)
        whole = request.head_chars + sum(self.chars)
        return common / whole if whole else 1.0

    def _step(self, event: Routed, done: Finished, served: Config, share: float) -> Step:
        """The request as a step, in the tokens of the lane's first config; what was billed says what was warm."""
        usage, request = done.usage, event.request
        assert usage is not None
        unit = self._factor(event, served, self.configs[0])
        prompt, read = round(usage.prompt * unit), round(usage.cache_read * unit)
        kept, alive = min(prompt, round(prompt * share)), None
        before = self.before
        if before is None:
            self.head = read
        elif self.on == served.model:
            expected = min(before.prompt, kept)
            alive = read >= WARM_SHARE * expected > 0
            if alive:
                kept = read
            else:
                self.head = read
        place = event.decision.place
        cold, gain = self._prices(event, done, served, prompt)
        moved = self.on is not None and self.on != served.model
        moves = place.new_turn or event.decision.free_point is not None or before is None or moved
        turn = request.purpose == "turn"
        output = usage.output + usage.reasoning
        return Step(event.ts, prompt, kept, min(self.head, prompt), alive, moves and turn, cold, gain, output)

    def _factor(self, event: Routed, of: Config, to: Config) -> float:
        """Tokens of ``to`` per token of ``of`` for the same text: as the rows saw it, else as the book knows it."""
        if of.model == to.model:
            return 1.0
        a, b = _row(event, of.model), _row(event, to.model)
        if a is not None and b is not None and a.prompt and b.prompt:
            return b.prompt / a.prompt
        return self.book.token_factor(of.model, to.model) if self.book is not None else 1.0

    def _rates(self, event: Routed, config: Config, prompt: int) -> Rates | None:
        """The prices of ``config`` at this request: its row's, else the book's, else those of another request's row."""
        row = _row(event, config.model)
        if row is not None and row.rates is not None:
            return row.rates
        if self.book is not None and self.book.has(config.model):
            return rates_for(self.book.card(config.model), event.request, prompt, event.ts)
        return self.rates.get(config.model)

    def _prices(
        self, event: Routed, done: Finished, served: Config, prompt: int
    ) -> tuple[tuple[float, ...], tuple[float, ...]]:
        usage, request = done.usage, event.request
        assert usage is not None and done.rates is not None
        seen, searched = usage.cache_read + usage.written > 0, usage.searches * done.rates.search  # by whichever model
        cold, gain = [], []
        for config in self.configs:
            factor, text = self._factor(event, self.configs[0], config), self._factor(event, served, config)
            found = done.rates if config.model == served.model else self._rates(event, config, round(prompt * factor))
            rates, rule = found or done.rates, self.book.rule(config.model) if self.book is not None else None
            caches = request.ttl_s is not None or seen or (rule is not None and not rule.explicit)
            new = rates.write(_ttl(request.ttl_s, done.ttl_s, rule)) if caches else rates.fresh
            answer = text * (rates.output * usage.output + rates.reasoning * usage.reasoning)
            cold.append(new * factor * prompt + answer + searched)
            gain.append((new - rates.cache_read) * factor if caches else 0.0)
        return tuple(cold), tuple(gain)

    def _ttls(self, kept: Sequence[tuple[Routed, Finished, Step, int]]) -> tuple[float, ...]:
        """Seconds that each config keeps a prefix: what the client mostly paid for, else the provider's own."""
        sold = [done.ttl_s for event, done, *_ in kept if done.ttl_s is not None]
        mostly = max(set(sold), key=sold.count) if sold else None
        rules = [self.book.rule(config.model) if self.book is not None else None for config in self.configs]
        return tuple(float(_ttl(None, mostly, rule)) for rule in rules)

    def _advice(self, event: Routed, number: Mapping[str, int], asks: bool) -> int:
        """The admitted config with the least cost to go when a move was allowed; until the next such moment it holds."""
        if asks:
            decision = event.decision
            open_to = {meter.config for meter in decision.envelope} | {decision.asked, decision.chosen}
            rows = [r for r in decision.candidates if r.config in open_to and r.veto is None and r.total_usd is not None]
            best_row = min(rows, key=lambda r: r.total_usd or 0.0, default=None)
            config = best_row.config if best_row is not None else decision.asked
            self.advised = number.get(config.model, self.advised)
        return self.advised


def _ttl(asked: int | None, billed: int | None, rule: CacheRule | None) -> int:
    """Seconds: what was billed or asked for where the provider sells lifetimes, else its own."""
    return billed or asked or (rule.ttl_s if rule else FIVE_MINUTES) if rule is None or rule.explicit else rule.ttl_s


def _row(event: Routed, model: str) -> Candidate | None:
    """A priced row of ``model``, whatever its effort."""
    return next((row for row in event.decision.candidates if row.model == model and row.rates is not None), None)


def _admitted(event: Routed, number: Mapping[str, int], ran: int) -> frozenset[int]:
    decision = event.decision
    configs = (decision.asked, decision.chosen, *(meter.config for meter in decision.envelope))
    return frozenset({number[c.model] for c in configs if c.model in number} | {ran})


def _billed(event: Routed, done: Finished) -> float:
    assert done.usage is not None and done.rates is not None
    others = {row.model: row.rates for row in event.decision.candidates if row.rates} | dict(done.other_rates)
    return billed_usd(done.usage, done.rates, others)[0]


@dataclass(frozen=True, slots=True)
class Regret:
    """USD by turn of the four paths, and the whole cheapest-price path's. Signed: minus is better than the comparison."""

    ran: Mapping[int, float]
    asked: Mapping[int, float]
    advised: Mapping[int, float]
    best: Mapping[int, float]
    cheapest: float
    unknown: int = 0

    @property
    def knowable(self) -> float:
        """USD that following the advice of the moment would have saved: our error."""
        return sum(self.ran.values()) - sum(self.advised.values())

    @property
    def afterwards(self) -> float:
        """USD between the advice and the best admitted path: nobody could know."""
        return sum(self.advised.values()) - sum(self.best.values())

    @property
    def total(self) -> float:
        """USD between what ran and the best admitted path: never negative but for rounding."""
        return self.knowable + self.afterwards

    def cumulative(self) -> list[tuple[int, float, float]]:
        """(turn, regret of the turn, sum so far), in order. A turn's own may be negative: what it cost earlier pays off there."""
        found, so_far = [], 0.0
        for turn in sorted(self.ran):
            own = self.ran[turn] - self.best.get(turn, 0.0)
            so_far += own
            found.append((turn, own, so_far))
        return found


def regret(lanes: Sequence[Recorded]) -> Regret:
    """The regret of one session: its lanes added up."""
    sums: dict[str, dict[int, float]] = {name: {} for name in ("ran", "asked", "advised", "best")}
    cheapest = 0.0
    for lane in lanes:
        ways = {"ran": lane.way(lane.ran), "asked": lane.way(lane.asked), "advised": lane.way(lane.advised), "best": lane.best()}
        cheapest += lane.best(everything=True).total
        for name, way in ways.items():
            for turn, usd in by_turn(lane.turns, way.usd).items():
                sums[name][turn] = sums[name].get(turn, 0.0) + usd
    return Regret(**sums, cheapest=cheapest, unknown=sum(lane.unknown for lane in lanes))


def second_thoughts(events: Iterable[Event]) -> tuple[int, int]:
    """(Moves of ours on the main lane, those that a person overruled within two turns).

    Overruled: a pin, a bad or overkill mark, work that was undone (a revert, or the conversation rewound). Regret as people show
    it; it is said per 100 moves (DECISION.md 8).
    """
    moves: list[int] = []
    overruled: set[int] = set()
    turn = 0
    for event in events:
        at = _overruling(event, turn)
        if at is not None:
            overruled |= {i for i, moved in enumerate(moves) if 0 <= at - moved <= 2}
        if isinstance(event, Routed) and event.decision.place.kind == "main":
            turn = event.decision.place.turn
            if event.decision.action in ("switch", "escalate", "effort") and event.decision.reason not in OTHERS:
                moves.append(turn)
    return len(moves), len(overruled)


def _overruling(event: Event, turn: int) -> int | None:
    """The turn at which a person overruled us with ``event``, ``turn`` being the latest; None where nobody did."""
    if isinstance(event, Marked):
        return event.turn if event.mark != "good" and not event.undo else None
    if isinstance(event, Routed):
        place = event.decision.place
        return turn if place.kind == "main" and place.new_turn and rewound(event.request.messages, place) else None
    return turn if isinstance(event, Pinned) or (isinstance(event, Signalled) and event.kind == "revert") else None


OTHERS = ("pin", "retry", "retry_asked", "schedule", "failover", "fail_open", "side")
"""Reasons of moves that are a person's or a provider's, not ours."""
