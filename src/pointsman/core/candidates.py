"""The alternatives of one request, each priced for its own prefix. Everything here is modelled, in USD, tokens and seconds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pointsman.core import cache, pricing
from pointsman.core.book import Book, Speed
from pointsman.core.capability import p_success
from pointsman.core.guardrails import veto
from pointsman.core.policy import CHECK_FALSE_ALARM, CHECK_RECALL, REQUESTS_PER_TURN, Odds, Policy, cost_to_go
from pointsman.core.session import Lane, Session
from pointsman.core.types import FIVE_MINUTES, HOUR, Belief, Candidate, Config, Place, Request

NEW_TOKENS, OUTPUT_TOKENS = 1_500, 500
"""New prompt tokens and output tokens of a typical later request (notes/cache.md 5.2), until the lane shows its own."""

LAPSE = ((FIVE_MINUTES, 0.26), (HOUR, 0.028))
"""P(a gap between turns outlasts the TTL): 26 % over 5 min, 2.8 % over 1 h in real sessions (DECISION.md 1)."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What all candidates of one request share. ``new_share``: share of the prompt that this request adds, by characters."""

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

    @property
    def current(self) -> Config:
        """The config that holds the lane's cache: what ran last, or the asked one at the start."""
        return self.lane.current if self.lane and self.lane.requests else self.asked


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
    added = sum(message.chars for message in request.messages[place.kept :])
    share = added / max(1, request.chars) if lane and lane.requests and place.kept else 1.0
    return Setting(request, session, lane, place, book, policy, asked, now, belief, share)


def rungs(asked: str, book: Book, policy: Policy) -> tuple[str, ...]:
    """The models to compare, cheap to strong: the user's pool, or the ladder's neighbours of the asked model (one each way)."""
    if policy.pool:
        return policy.pool if asked in policy.pool else (*policy.pool, asked)
    ladder = book.ladder(asked)
    if asked not in ladder:
        return ()
    i = ladder.index(asked)
    return ladder[max(0, i - 1) : i + 2]


EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""Effort names of all vendors, weakest first (notes/cache.md 3.1, 3.2)."""


def with_effort(model: str, effort: str | None, book: Book) -> Config:
    """The config of ``model`` at the asked effort, else the nearest lower one it knows, else its lowest."""
    known = book.target(model).efforts
    if effort is None or not known:
        return Config(model)
    if effort in known or effort not in EFFORTS:
        return Config(model, effort if effort in known else None)
    lower = [name for name in EFFORTS[: EFFORTS.index(effort)] if name in known]
    return Config(model, lower[-1] if lower else min(known, key=_effort_rank))


def _effort_rank(name: str) -> int:
    return EFFORTS.index(name) if name in EFFORTS else len(EFFORTS)


def wait_s(speed: Speed, cold_tokens: int, output_tokens: int) -> float:
    """Seconds to the end of an answer: first token, cold prefill, output (priors until the ledger knows better)."""
    return speed.ttft_s_warm + speed.ttft_s_per_ktoken_cold * cold_tokens / 1000.0 + output_tokens / speed.output_tps


def price(config: Config, at: Setting) -> Candidate:
    """One candidate row; a config without a price comes back vetoed as unpriced, never as free."""
    if not at.book.has(config.model):
        return Candidate(config.model, config.effort, veto="no price is known")
    lane, request, book = at.lane, at.request, at.book
    card, rule = book.card(config.model), book.rule(config.model)
    prompt = _prompt(config.model, at)
    rates = card.at(prompt, at.now, speed=request.speed, tier=request.tier)
    ttl_s = request.ttl_s if rule.explicit and request.ttl_s else rule.ttl_s
    caches = request.ttl_s is not None if rule.explicit else True
    held = lane.warm.get(config) if lane else None
    warm = cache.predict(held, request, prompt, rule, at.now, at.place.new_turn)
    read = warm.tokens if warm.p >= 0.5 else 0
    writes = prompt - read if caches and (rule.explicit or rates.cache_write) and prompt >= rule.min_tokens else 0
    context = round(prompt * (1.0 - at.new_share))
    speed = book.speed(config.model)
    theta, theta_sd, _ = book.ability(config.model)
    run = rates.cache_read * prompt + rates.write(ttl_s) * NEW_TOKENS + rates.output * OUTPUT_TOKENS
    return Candidate(
        model=config.model, effort=config.effort, prompt=prompt, fresh=prompt - read - writes, cache_read=read,
        cache_write=writes, p_warm=warm.p, warm_until=warm.until, rates=rates, run_usd=run,
        input_usd=pricing.expected_input(rates, ttl_s, prompt, warm.tokens, warm.p, caches),
        output_usd=rates.output * OUTPUT_TOKENS,
        toll_usd=pricing.toll(rates, ttl_s, context, min(context, round(warm.tokens * warm.p))) if caches else 0.0,
        fail=1.0 - p_success(at.belief, theta, theta_sd, handover=config.model != at.current.model and bool(lane)),
        wait_s=wait_s(speed, prompt - read, OUTPUT_TOKENS),
        veto=veto(
            config, at.asked, request, book.target(config.model), book.vendor(config.model), lane, at.policy, prompt
        ),
    )  # fmt: skip


def _prompt(model: str, at: Setting) -> int:
    lane = at.lane
    last = lane.last_usage if lane else None
    last_model = lane.last_model if lane else None
    factor = at.book.token_factor(last_model, model) if last_model else 1.0
    ratios = lane.chars_per_token if lane else {}
    before = len(lane.messages) if lane else None
    return cache.prompt_tokens(at.request, at.place.kept, last, last_model, model, ratios, factor, before=before)


def compare(configs: Iterable[Config], at: Setting) -> tuple[Candidate, ...]:
    """All rows, with what needs the others: way back, round trip and cost to go."""
    rows = [price(config, at) for config in dict.fromkeys(configs)]
    here = next((row for row in rows if row.config == at.current), None)
    odds = odds_of(at.policy)
    strongest = next((row for row in reversed(rows) if row.veto is None and row.run_usd is not None), None)
    done = [_against(row, here, at) for row in rows]
    return tuple(replace(row, total_usd=total(row, strongest, odds)) for row in done)


def odds_of(policy: Policy) -> Odds:
    """The user's stakes: a policy without a check sees no failure first."""
    if not policy.check:
        return Odds(REQUESTS_PER_TURN, policy.failure_usd)
    return Odds(REQUESTS_PER_TURN, policy.failure_usd, policy.check_recall, policy.check_false_alarm)


def check_odds(policy: Policy) -> Odds:
    """The stakes after a check has run, whether or not the settings announced one: its stated rates, or the priors."""
    recall, alarm = policy.check_recall or CHECK_RECALL, policy.check_false_alarm or CHECK_FALSE_ALARM
    return Odds(REQUESTS_PER_TURN, policy.failure_usd, recall, alarm)


def total(row: Candidate, strongest: Candidate | None, odds: Odds) -> float | None:
    """Cost to go of one row, in USD; None where it has no price."""
    if row.run_usd is None or row.fail is None:
        return None
    repair = odds.requests * (strongest.run_usd or 0.0) + (strongest.toll_usd or 0.0) if strongest else 0.0
    return cost_to_go(row, row.fail, repair, odds)


def _against(row: Candidate, here: Candidate | None, at: Setting) -> Candidate:
    """Way back to, and round trip from, the config that runs now."""
    if here is None or here.rates is None or row.config == here.config or row.toll_usd is None:
        return row
    ttl_s = at.request.ttl_s or at.book.rule(here.model).ttl_s
    growth = round(REQUESTS_PER_TURN * (NEW_TOKENS + OUTPUT_TOKENS))
    back = pricing.way_back(here.rates, ttl_s, 1.0, growth, lapse(ttl_s), here.prompt)
    return replace(row, way_back_usd=back, round_trip_usd=row.toll_usd - (here.toll_usd or 0.0) + back)


def lapse(ttl_s: int) -> float:
    """P(the next gap between turns outlasts ``ttl_s``): the figure of the longest listed TTL that is not longer."""
    return next((p for ttl, p in reversed(LAPSE) if ttl_s >= ttl), 1.0)
