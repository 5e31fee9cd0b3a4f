"""The alternatives of one request, each priced for its own prefix. Everything here is modelled, in USD, tokens and seconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from pointsman.core import cache, pricing, sizes
from pointsman.core.book import Book, Facts
from pointsman.core.capability import TASKS, p_success, spread_of
from pointsman.core.guardrails import veto
from pointsman.core.policy import (
    CHECK_FALSE_ALARM,
    CHECK_RECALL,
    CHECK_S,
    MINUTE_USD,
    REQUESTS_AHEAD,
    REQUESTS_PER_TURN,
    Odds,
    Policy,
    admitted,
)
from pointsman.core.session import Lane, Session
from pointsman.core.targets import Target
from pointsman.core.tries import Try, totals
from pointsman.core.types import FIVE_MINUTES, HOUR, Belief, Candidate, Config, Place, Request

NEW_TOKENS, OUTPUT_TOKENS = 1_500, 500
"""New prompt tokens and output tokens of a typical later request (notes/cache.md 5.2), until the lane shows its own."""

GROWTH_TOKENS = 1_300
"""Tokens by which a prompt grows from one request to the next: mean 1,302 over 16,990 real pairs (entireio/cli, MIT)."""

LAPSE = ((FIVE_MINUTES, 0.26), (HOUR, 0.028))
"""P(a gap between turns outlasts the TTL): 26 % over 5 min, 2.8 % over 1 h in real sessions (DECISION.md 1)."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What all candidates of one request share.

    ``new_share``: share of the prompt that this request adds, by characters; ``chars``: its size; ``moment``: when it is made.
    ``current``: the config that holds the lane's cache: what ran last, or the asked one at the start.
    ``refused``: configs that this upstream refused, for this lane's history or altogether.
    """

    request: Request
    session: Session
    lane: Lane | None
    place: Place
    book: Book
    policy: Policy
    asked: Config
    now: float
    belief: Belief
    new_share: float
    chars: int
    moment: cache.Moment
    current: Config
    refused: Mapping[Config, str]


def setting(
    request: Request,
    session: Session,
    place: Place,
    book: Book,
    policy: Policy,
    asked: Config,
    now: float,
    belief: Belief,
) -> Setting:
    """Gather the shared facts once per request."""
    lane = session.lanes.get(place.lane)
    new = request.messages[place.kept :]
    chars = request.chars
    share = sum(message.chars for message in new) / max(1, chars) if lane and lane.requests and place.kept else 1.0
    moment = cache.moment_of(new, place.new_turn)
    current = lane.current if lane and lane.requests else asked
    refused = {**session.refused, **lane.refused} if lane else session.refused
    return Setting(request, session, lane, place, book, policy, asked, now, belief, share, chars, moment, current, refused)


def rungs(asked: str, book: Book, policy: Policy) -> tuple[str, ...]:
    """The models to compare, cheap to strong: the user's pool, or the ladder's neighbours of the asked model (one each way)."""
    if policy.pool:
        return policy.pool if asked in policy.pool else (*policy.pool, asked)
    ladder = book.ladder(asked)
    if asked not in ladder:
        return ()
    i = ladder.index(asked)
    return ladder[max(0, i - 1) : i + 2]


def with_effort(model: str, effort: str | None, book: Book) -> Config:
    """The config of ``model`` at the asked effort, else the nearest lower one it knows, else its lowest."""
    return Config(model, book.target(model).nearest_effort(effort))


@dataclass(frozen=True, slots=True)
class Home:
    """What the other rows are compared with: the config that runs now, the toll of staying and the way back, in USD."""

    config: Config
    toll: float
    back: float


def price(config: Config, at: Setting, prompt: int | None = None, home: Home | None = None) -> Candidate:
    """One candidate row; a config without a price comes back vetoed as unpriced, never as free.

    ``prompt``: its prompt tokens where they are known (a replay), else they are estimated. ``home``: for the round trip.
    """
    model = config.model
    facts = at.book.facts(model)
    if facts.card is None:
        return Candidate(model, config.effort, veto="no price is known")
    request, rule = at.request, facts.rule
    prompt = _prompt(facts, at) if prompt is None else prompt
    rates = facts.card.at(prompt, at.now, request.speed, request.tier)
    ttl_s = request.ttl_s if rule.explicit and request.ttl_s else rule.ttl_s
    write = rates.write(ttl_s)
    caches = prompt >= rule.min_tokens and (request.ttl_s is not None or not rule.explicit)
    warm = _warmth(config, at, prompt, facts)
    read = warm.likely
    writes = prompt - read if caches and (rule.explicit or rates.cache_write) else 0
    context = round(prompt * (1.0 - at.new_share))
    learned = at.session.learned
    speed = learned.speed(model, facts.speed) if learned.times else facts.speed
    output = rates.output * OUTPUT_TOKENS
    toll = pricing.toll(rates, ttl_s, context, min(context, round(warm.expected))) if caches else 0.0
    away = home is not None and home.config != config
    moved = model != at.current.model and not at.place.new_task
    return Candidate(
        model, config.effort, prompt, prompt - read - writes, read, writes, warm.p,
        pricing.expected_input(rates, ttl_s, prompt, warm.reckoned, 1.0, caches),
        output,
        rates.cache_read * prompt + write * NEW_TOKENS + output,
        toll,
        home.back if home and away else None,
        pricing.round_trip(toll, home.toll, home.back) if home and away else None,
        1.0 - p_success(at.belief, facts.theta, facts.theta_sd, handover=moved),
        speed.wait(prompt - read, OUTPUT_TOKENS),
        warm_until=warm.until,
        veto=veto(config, at.asked, request, facts.target, facts.vendor, at.refused, at.policy, prompt),
        rates=rates,
    )  # fmt: skip


def warmth(config: Config, at: Setting, prompt: int) -> cache.Warm:
    """What ``config``'s provider will read of this request's ``prompt`` tokens; prefix and head, each with its chance."""
    return _warmth(config, at, prompt, at.book.facts(config.model))


def _warmth(config: Config, at: Setting, prompt: int, facts: Facts) -> cache.Warm:
    learned, rule = at.session.learned, facts.rule
    return cache.predict(
        held(at.lane, config, facts.target, at.request), at.request, prompt, rule, at.now, at.moment,
        seen=learned.seen.get(rule.provider, cache.NOTHING_SEEN), elsewhere=learned.head(at.request, config.model),
    )  # fmt: skip


def held(lane: Lane | None, config: Config, target: Target, request: Request) -> cache.Warmth | None:
    """What the provider holds for ``config``. An effort that the client set inside the history shares its model's cache.

    One that we would set is a top-level change, which loses the messages (WIRE.md 2).
    """
    if lane is None:
        return None
    found = lane.warm.get(config)
    in_history = target.effort_messages and "effort_messages" in request.needs and config.effort == request.effort
    if in_history and len(lane.warm) > (found is not None):
        same = (warmth for other, warmth in lane.warm.items() if other.model == config.model)
        return max(same, key=lambda warmth: warmth.touched, default=None)
    return found


def _prompt(facts: Facts, at: Setting) -> int:
    lane, model = at.lane, facts.model
    if lane is None:
        return sizes.prompt_tokens(at.request, 0, None, None, model, {}, prior=facts.chars_per_token, chars=at.chars)
    factor = at.book.token_factor(lane.last_model, model) if lane.last_model else 1.0
    return sizes.prompt_tokens(
        at.request, at.place.kept, lane.last_usage, lane.last_model, model, lane.chars_per_token, factor,
        prior=facts.chars_per_token, before=len(lane.messages), chars=at.chars,
    )  # fmt: skip


def compare(configs: Iterable[Config], at: Setting) -> tuple[Candidate, ...]:
    """All rows, with what needs the others: way back, round trip and cost to go."""
    return costed(rows_of(configs, at), at)


def costed(rows: tuple[Candidate, ...], at: Setting) -> tuple[Candidate, ...]:
    """The rows with their cost to go from here."""
    odds = odds_of(at.policy)
    tries = tries_of(rows, at, odds, at.belief)
    found = dict(zip([t.config for t in tries], totals(tries, odds), strict=True))
    return tuple([_with_total(row, found.get(row.config)) for row in rows])


def carried(rows: tuple[Candidate, ...], last: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
    """The rows with the cost to go of the decision before: inside a tool loop it stands as it was when the turn began."""
    known = {row.config: row.total_usd for row in last}
    return tuple([_with_total(row, known.get(row.config) if row.veto is None else None) for row in rows])


def _with_total(row: Candidate, usd: float | None) -> Candidate:
    """``row`` with its cost to go; ``dataclasses.replace`` takes three times as long."""
    return Candidate(
        row.model, row.effort, row.prompt, row.fresh, row.cache_read, row.cache_write, row.p_warm, row.input_usd,
        row.output_usd, row.run_usd, row.toll_usd, row.way_back_usd, row.round_trip_usd, row.fail, row.wait_s, usd,
        row.warm_until, row.veto, row.rates,
    )  # fmt: skip


def rows_of(configs: Iterable[Config], at: Setting) -> tuple[Candidate, ...]:
    """All rows priced, with the round trip from the config that runs now; without their cost to go."""
    wanted = dict.fromkeys(configs)
    here = price(at.current, at) if at.current in wanted else None
    home = _home(here, at) if here is not None else None
    return tuple([here if here and config == at.current else price(config, at, None, home) for config in wanted])


def tries_of(rows: tuple[Candidate, ...], at: Setting, odds: Odds, belief: Belief) -> list[Try]:
    """The rows that can serve, each as a try at the task under ``belief``."""
    free = allowed(rows, at)
    return [
        _as_try(row, at, odds, belief, free[row.config])
        for row in rows
        if row.veto is None and row.rates is not None and row.input_usd is not None
    ]


def _as_try(row: Candidate, at: Setting, odds: Odds, belief: Belief, free: bool) -> Try:
    """USD of this request as it is now and of those still to come; later tries find the context grown by the first."""
    rates, ttl_s, prompt = row.rates, at.request.ttl_s or at.book.rule(row.model).ttl_s, row.prompt
    assert rates is not None
    n, write = odds.requests * at.book.steps(row.model), rates.write(ttl_s)
    grown = prompt + round(odds.requests * GROWTH_TOKENS)
    wait = odds.minute_usd * n * (row.wait_s or 0.0) / 60.0 if odds.minute_usd else 0.0
    own = (row.output_usd or 0.0) + wait
    rest = pricing.running_cost(rates, ttl_s, prompt, GROWTH_TOKENS - OUTPUT_TOKENS, OUTPUT_TOKENS, n - 1.0) + own
    after = pricing.running_cost(rates, ttl_s, grown, GROWTH_TOKENS - OUTPUT_TOKENS, OUTPUT_TOKENS, n - 1.0) + own
    theta, theta_sd, _ = at.book.ability(row.model)
    return Try(
        row.config, (row.input_usd or 0.0) + rest, write * grown + after, rates.cache_read * grown + after, free,
        theta - TASKS, 1.0 / spread_of(0.0, theta_sd), row.model == at.current.model or at.place.new_task,
    ).under(belief)  # fmt: skip


def allowed(rows: tuple[Candidate, ...], at: Setting) -> dict[Config, bool]:
    """Which rows the policy admits to user-visible work."""
    order = [row.config for row in rows]
    base = order.index(at.asked) if at.asked in order else 0
    return {row.config: admitted(row, at.asked, i - base, at.policy) is None for i, row in enumerate(rows)}


def odds_of(policy: Policy) -> Odds:
    """The user's stakes: a policy without a check sees no failure first."""
    minute = MINUTE_USD if policy.profile == "fast" else 0.0
    if not policy.check:
        return Odds(REQUESTS_AHEAD, policy.failure_usd, minute_usd=minute)
    return Odds(REQUESTS_AHEAD, policy.failure_usd, policy.check_recall, policy.check_false_alarm, minute, CHECK_S)


def check_odds(policy: Policy) -> Odds:
    """The stakes after a check has run, whether or not the settings announced one: its stated rates, or the priors."""
    odds = odds_of(policy)
    return odds if policy.check else replace(odds, recall=CHECK_RECALL, false_alarm=CHECK_FALSE_ALARM, check_s=CHECK_S)


def _home(here: Candidate, at: Setting) -> Home | None:
    """The way back to what runs now, and the toll of staying on it; None where it has no price."""
    if here.rates is None:
        return None
    ttl_s = at.request.ttl_s or at.book.rule(here.model).ttl_s
    growth = round(REQUESTS_PER_TURN * (NEW_TOKENS + OUTPUT_TOKENS))
    back = pricing.way_back(here.rates, ttl_s, 1.0, growth, lapse(ttl_s), here.prompt)
    return Home(here.config, here.toll_usd or 0.0, back)


def lapse(ttl_s: int) -> float:
    """P(the next gap between turns outlasts ``ttl_s``): the figure of the longest listed TTL that is not longer."""
    return next((p for ttl, p in reversed(LAPSE) if ttl_s >= ttl), 1.0)
