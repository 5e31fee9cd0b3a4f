"""The alternatives of one request, each priced for its own prefix. Everything here is modelled, in USD, tokens and seconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from pointsman.core import cache, pricing
from pointsman.core.book import Book
from pointsman.core.capability import p_success
from pointsman.core.guardrails import veto
from pointsman.core.policy import CHECK_FALSE_ALARM, CHECK_RECALL, REQUESTS_PER_TURN, Odds, Policy, cost_to_go
from pointsman.core.session import Lane, Session
from pointsman.core.targets import Target
from pointsman.core.types import FIVE_MINUTES, HOUR, Belief, Candidate, Config, Place, Request

NEW_TOKENS, OUTPUT_TOKENS = 1_500, 500
"""New prompt tokens and output tokens of a typical later request (notes/cache.md 5.2), until the lane shows its own."""

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


def price(config: Config, at: Setting, prompt: int | None = None) -> Candidate:
    """One candidate row; a config without a price comes back vetoed as unpriced, never as free.

    ``prompt``: its prompt tokens where they are known (a replay), else they are estimated.
    """
    book, model = at.book, config.model
    if not book.has(model):
        return Candidate(model, config.effort, veto="no price is known")
    request, rule, target = at.request, book.rule(model), book.target(model)
    prompt = _prompt(model, at) if prompt is None else prompt
    rates = book.card(model).at(prompt, at.now, request.speed, request.tier)
    ttl_s = request.ttl_s if rule.explicit and request.ttl_s else rule.ttl_s
    caches = prompt >= rule.min_tokens and (request.ttl_s is not None or not rule.explicit)
    warm = warmth(config, at, prompt)
    read = warm.likely
    writes = prompt - read if caches and (rule.explicit or rates.cache_write) else 0
    context = round(prompt * (1.0 - at.new_share))
    speed = at.session.learned.speed(model, book.speed(model))
    theta, theta_sd, _ = book.ability(model)
    output = rates.output * OUTPUT_TOKENS
    return Candidate(
        model, config.effort, prompt, prompt - read - writes, read, writes, warm.p,
        input_usd=pricing.expected_input(rates, ttl_s, prompt, warm.reckoned, 1.0, caches),
        output_usd=output,
        run_usd=rates.cache_read * prompt + rates.write(ttl_s) * NEW_TOKENS + output,
        toll_usd=pricing.toll(rates, ttl_s, context, min(context, round(warm.expected))) if caches else 0.0,
        fail=1.0 - p_success(at.belief, theta, theta_sd, handover=model != at.current.model and bool(at.lane)),
        wait_s=speed.wait(prompt - read, OUTPUT_TOKENS),
        warm_until=warm.until,
        veto=veto(config, at.asked, request, target, book.vendor(model), at.refused, at.policy, prompt),
        rates=rates,
    )  # fmt: skip


def warmth(config: Config, at: Setting, prompt: int) -> cache.Warm:
    """What ``config``'s provider will read of this request's ``prompt`` tokens; prefix and head, each with its chance."""
    learned, rule = at.session.learned, at.book.rule(config.model)
    return cache.predict(
        held(at.lane, config, at.book.target(config.model)), at.request, prompt, rule, at.now, at.moment,
        seen=learned.seen.get(rule.provider, cache.NOTHING_SEEN), elsewhere=learned.head(at.request, config.model),
    )  # fmt: skip


def held(lane: Lane | None, config: Config, target: Target) -> cache.Warmth | None:
    """What the provider holds for ``config``: where effort changes inside the history, every effort shares one cache."""
    if lane is None:
        return None
    found = lane.warm.get(config)
    if target.effort_messages and len(lane.warm) > (found is not None):
        same = (warmth for other, warmth in lane.warm.items() if other.model == config.model)
        return max(same, key=lambda warmth: warmth.touched, default=None)
    return found


def _prompt(model: str, at: Setting) -> int:
    lane = at.lane
    last = lane.last_usage if lane else None
    last_model = lane.last_model if lane else None
    factor = at.book.token_factor(last_model, model) if last_model else 1.0
    ratios = lane.chars_per_token if lane else {}
    before = len(lane.messages) if lane else None
    return cache.prompt_tokens(
        at.request, at.place.kept, last, last_model, model, ratios, factor,
        prior=at.book.chars_per_token(model), before=before, chars=at.chars,
    )  # fmt: skip


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
