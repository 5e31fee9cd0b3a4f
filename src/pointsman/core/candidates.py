"""The alternatives of one request, each priced for its own prefix. Everything here is modelled, in USD, tokens and seconds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pointsman.core import cache, edits, pricing, rules, sizes
from pointsman.core.book import Book, Facts
from pointsman.core.capability import ORDINARY, Outlook, after_failures, p_success
from pointsman.core.decisions import Candidate
from pointsman.core.foreign import is_foreign, marked_for
from pointsman.core.guardrails import veto
from pointsman.core.images import pictured
from pointsman.core.messages import Message
from pointsman.core.policy import (
    CHECK_FALSE_ALARM,
    CHECK_RECALL,
    CHECK_S,
    MINUTE_USD,
    REQUESTS_AHEAD,
    REQUESTS_PER_TURN,
    Odds,
    Policy,
)
from pointsman.core.record import record
from pointsman.core.session import Lane, Session
from pointsman.core.setting import Setting
from pointsman.core.targets import Target
from pointsman.core.types import Belief, Config, Place, Rates, Request, TaskKind
from pointsman.core.warmth import NOTHING_SEEN, Warm, Warmth

NEW_TOKENS, OUTPUT_TOKENS = 1_500, 500
"""New prompt tokens and output tokens of a typical later request (notes/cache.md 5.2)."""

GROWTH_TOKENS = 1_300
"""Tokens by which a prompt grows from one request to the next: mean 1,302 over 16,990 real pairs (entireio/cli, MIT)."""

GROWTH_PER_TURN = round(REQUESTS_PER_TURN * GROWTH_TOKENS)
"""Tokens by which the conversation grows in a turn away."""

CHUNK = 64
"""Messages that are compared at once."""

def setting(
    request: Request,
    session: Session,
    place: Place,
    book: Book,
    policy: Policy,
    asked: Config,
    now: float,
    belief: Belief,
    kind: TaskKind | None = None,
    unchecked: str | None = None,
) -> Setting:
    """Gather the shared facts once per request. ``kind``: what the turn is about; ``unchecked``: what of it no check sees."""
    lane = session.lanes.get(place.lane)
    ruled = rules.ruling(policy, session, lane, request, place, asked, kind, now, unchecked)
    if ruled.touched:
        policy = replace(policy, stakes=policy.stakes_usd)
    new = request.messages[place.kept :]
    chars = _chars(request, lane, place.kept)
    share = sum([message.chars for message in new]) / max(1, chars) if lane and lane.requests and place.kept else 1.0
    moment = cache.moment_of(new, place.new_turn)
    current = lane.current if lane and lane.requests else asked
    refused = {**session.refused, **lane.refused} if lane else session.refused
    ours = edits.standing(lane.edits, request.messages, place.kept) if lane and lane.edits else ()
    opened_as = kind if place.new_task or lane is None else lane.opened_as
    usual = outlook = session.learned.abilities.outlook(session.cwd or "", opened_as)
    if session.failed and place.kind == "main" and not place.new_task:
        known, odds = session.learned.abilities, check_odds(policy, usual)
        skills = [known.skill(config.model, *book.skill(config)) for config in session.failed]
        outlook = after_failures(usual, skills, odds.recall, odds.false_alarm)
    return Setting(
        request, session, lane, place, book, policy, asked, now, belief, share, chars, moment, current, refused, ours, ruled,
        outlook, _base(lane, request, place, _dropped(lane, new, book), session, book), usual,
        book.facts(asked.model).vendor,
    )  # fmt: skip


def _chars(request: Request, lane: Lane | None, kept: int) -> int:
    """``request.chars``: where it goes on from the last bill, whose size is known, only what has changed since is counted.

    Messages that are the same may differ in size, by a cache mark that has moved.
    """
    held = lane.warm.get(lane.current) if lane is not None else None
    if held is None or lane is None or held.messages is not lane.messages or kept != len(held.messages):
        return request.chars
    chars, old, new = held.chars - held.head_chars + request.head_chars, held.messages, request.messages
    for at in range(0, kept, CHUNK):
        before, now = old[at : min(at + CHUNK, kept)], new[at : min(at + CHUNK, kept)]
        if before != now:
            chars += sum([message.chars for message in now]) - sum([message.chars for message in before])
    return chars + sum([message.chars for message in new[kept:]])


def _base(lane: Lane | None, request: Request, place: Place, dropped: int | None, session: Session, book: Book) -> float | None:
    """The prompt in tokens of the model that ran last: what it was billed and what is new; None where that is not known.

    ``dropped``: reasoning tokens that leave the prompt now (None: they stay).
    """
    if lane is None or lane.last_model is None or lane.last_usage is None or not place.kept or not lane.last_usage.prompt:
        return None
    model = lane.last_model
    facts, user = book.facts(model), session.learned.ratios.get(model)
    known = sizes.together(lane.ratios.get(model), user) or sizes.prior(facts.chars_per_token)
    return sizes.prompt_tokens(
        request, place.kept, lane.last_usage, model, model, {model: known}, before=len(lane.messages), dropped=dropped,
        images=facts.images,
    )  # fmt: skip


def _dropped(lane: Lane | None, new: tuple[Message, ...], book: Book) -> int | None:
    """Reasoning tokens that the provider which ran last takes out of the prompt now; None: it keeps what there is."""
    held = lane.warm.get(lane.current) if lane else None
    if lane is None or held is None or not held.carried + held.reasoning:
        return None
    return cache.dropped(held, new, book.rule(lane.current.model))


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


def work_of(config: Config, at: Setting) -> tuple[float, float]:
    """Requests and output tokens of ``config`` beside those of the same model at the asked effort."""
    if config.effort == at.asked.effort or config.effort is None:
        return 1.0, 1.0
    target = at.book.target(config.model)
    usual = target.nearest_effort(at.asked.effort) if at.asked.effort else target.default_effort
    return at.book.effort_work(config.effort, usual)


@record(frozen=True, slots=True)
class Home:
    """What the other rows are compared with: the config that runs now, the toll of staying and the way back, in USD."""

    config: Config
    toll: float
    back: float


def price(
    config: Config, at: Setting, prompt: int | None = None, home: Home | None = None, before: Candidate | None = None
) -> Candidate:  # fmt: skip
    """One candidate row; a config without a price comes back vetoed as unpriced, never as free.

    ``prompt``: its prompt tokens where they are known (a replay), else they are estimated. ``home``: for the round trip.
    ``before``: its row of the decision before, whose cost to go still stands.
    """
    model = config.model
    facts = at.book.facts(model)
    if facts.card is None:
        return Candidate(model, config.effort, veto="no price is known")
    rule = facts.rule
    if is_foreign(at.request, at.vendor, facts.vendor, at.policy):
        at = replace(at, request=marked_for(at.request, rule))
    elif rule.explicit and at.request.protocol == "chat" and at.request.ttl_s is None and model != at.asked.model:
        at = replace(at, request=marked_for(at.request, rule))  # another model is sent marks of ours (wire.writing)
    request = at.request
    prompt = _prompt(facts, at) if prompt is None else prompt
    rates = pricing.rates_for(facts.card, request, prompt, at.now)
    ttl_s = cache.lifetime(request, rule)
    write = rates.write(ttl_s)
    caches = prompt >= rule.min_tokens and (request.ttl_s is not None or not rule.explicit)
    warm = _warmth(config, at, prompt, facts)
    read = warm.likely
    writes = prompt - read if caches and (rule.explicit or rates.cache_write) else 0
    context = round(prompt * (1.0 - at.new_share))
    learned = at.session.learned
    speed = learned.speed(model, facts.speed) if learned.times else facts.speed
    longer = _longer_usd(request, rates, ttl_s, prompt, read) if request.head_ttl_s is not None else 0.0
    answer = OUTPUT_TOKENS * work_of(config, at)[1]
    output = rates.output * answer
    toll = pricing.toll(rates, ttl_s, context, min(context, round(warm.expected))) if caches else 0.0
    away = home is not None and home.config != config
    back = 0.0 if home is None or home.config.model == model and edits.in_band(request, facts.target) else home.back
    moved = model != at.current.model and not at.place.new_task
    barred = veto(config, at.asked, request, facts.target, facts.vendor, at.refused, at.policy, prompt, at.vendor)
    stands = before if barred is None else None
    return Candidate(
        model, config.effort, prompt, prompt - read - writes, read, writes, warm.p,
        pricing.forecast(rates, ttl_s, prompt, warm, caches) + longer,
        output,
        rates.cache_read * prompt + write * NEW_TOKENS + output,
        toll,
        back if home and away else None,
        pricing.round_trip(toll, home.toll, back) if home and away else None,
        1.0 - p_success(at.belief, *at.skill(config), moved, at.outlook),
        speed.wait(prompt - read, round(answer)),
        stands.total_usd if stands else None,
        warm.until,
        barred,
        rates,
        stands.steps if stands else 1.0,
        stands.risk_usd if stands else None,
        ttl_s,
    )  # fmt: skip


def _longer_usd(request: Request, rates: Rates, ttl_s: int, prompt: int, read: int) -> float:
    """USD that writing the part of the prompt under a longer lifetime costs above its last mark's price."""
    tokens, longer_s = cache.outliving(request, prompt)
    return max(0, tokens - read) * (rates.write(longer_s) - rates.write(ttl_s)) if longer_s > ttl_s else 0.0


def warmth(config: Config, at: Setting, prompt: int) -> Warm:
    """What ``config``'s provider will read of this request's ``prompt`` tokens; prefix and head, each with its chance."""
    return _warmth(config, at, prompt, at.book.facts(config.model))


def _warmth(config: Config, at: Setting, prompt: int, facts: Facts) -> Warm:
    learned, rule, lane = at.session.learned, facts.rule, at.lane
    request = edits.sent(at.request, at.edits, config.model) if at.edits else at.request
    found = held(lane, config, facts.target, at.request)
    if found is not None and 0 < rule.lookback < len(request.messages) - len(found.messages) and was_away(lane, config, at.place):
        proxied = at.request.protocol == "chat" and at.policy.one_upstream
        rule = rule if proxied else replace(rule, lookback=0)  # a mark of ours stands where its cache ends (wire.recalling)
    known = found is not None and lane is not None and found.messages is lane.messages and not at.edits
    return cache.predict(
        found, request, prompt, rule, at.now, at.moment, seen=learned.seen.get(rule.provider, NOTHING_SEEN),
        elsewhere=learned.head(request, config.model), same=at.place.kept if known else None,
    )  # fmt: skip


def was_away(lane: Lane | None, config: Config, place: Place) -> bool:
    """Whether this lane was on another model last: then a mark of ours stands where the cache of ``config`` ends (not in Chat
    Completions that need no translation, where it keeps to the two marks that every request has)."""
    return lane is not None and (lane.current.model != config.model or place.relation == "retry")


def held(lane: Lane | None, config: Config, target: Target, request: Request) -> Warmth | None:
    """What the provider holds for ``config``. An effort set inside the history, the client's or ours, shares its model's cache.

    A change of the client's own field, and any where the model takes none inside the history, loses the messages (WIRE.md 2).
    """
    if lane is None:
        return None
    found = lane.warm.get(config)
    same = [warmth for other, warmth in lane.warm.items() if other.model == config.model]
    if len(same) <= (found is not None) or not edits.in_band(request, target):
        return found
    if "effort_messages" in request.needs or lane.last_request is None or lane.last_request.effort == request.effort:
        return max(same, key=lambda warmth: warmth.touched)
    return found


def _prompt(facts: Facts, at: Setting) -> int:
    """Prompt tokens on a model: those of the model that ran last times a factor, else counted, else by characters."""
    lane, model, learned = at.lane, facts.model, at.session.learned
    if at.base is not None and lane is not None and lane.last_model is not None:
        factor = 1.0 if model == lane.last_model else learned.factor(lane.last_model, model, at.book)
        return max(1, round(at.base * factor))
    counted = learned.counted(at.request, model, at.book) if at.request.counted else None
    if counted is not None:
        return max(1, round(counted + pictured(at.request.messages, facts.images)))
    known = learned.ratios.get(model) or sizes.prior(facts.chars_per_token)
    if lane is not None:
        known = sizes.together(lane.ratios.get(model), known) or known
    return sizes.prompt_tokens(at.request, 0, None, None, model, {model: known}, images=facts.images)


def rows_of(configs: Iterable[Config], at: Setting, last: Iterable[Candidate] = ()) -> tuple[Candidate, ...]:
    """All rows priced, with the round trip from the config that runs now; without their cost to go.

    ``last``: rows of the decision before, whose cost to go stands as it was when the turn began.
    """
    known = {row.config: row for row in last}
    wanted = dict.fromkeys(configs)
    here = price(at.current, at, None, None, known.get(at.current)) if at.current in wanted else None
    home = _home(here, at) if here is not None else None
    return tuple([
        here if here and config == at.current else price(config, at, None, home, known.get(config)) for config in wanted
    ])  # fmt: skip


def odds_of(policy: Policy, outlook: Outlook = ORDINARY) -> Odds:
    """The user's stakes: a policy without a check that can tell sees no failure first."""
    minute, owed = MINUTE_USD if policy.profile == "fast" else 0.0, policy.profile != "saver"
    check = (policy.check_recall, policy.check_false_alarm) if policy.guarded else (0.0, 0.0)
    seconds, stake = policy.check_s if policy.guarded else 0.0, policy.failure_usd * policy.stakes
    return Odds(REQUESTS_AHEAD, stake, *check, minute, seconds, outlook.nobody, outlook.repeat, owed)


def check_odds(policy: Policy, outlook: Outlook = ORDINARY) -> Odds:
    """The stakes after a check has run, whether or not the settings announced one: its stated rates, or the priors; one that is
    known to tell nothing says nothing."""
    odds = odds_of(policy, outlook)
    return odds if policy.check else replace(odds, recall=CHECK_RECALL, false_alarm=CHECK_FALSE_ALARM, check_s=CHECK_S)


def _home(here: Candidate, at: Setting) -> Home | None:
    """The way back to what runs now, and the toll of staying on it; None where it has no price."""
    if here.rates is None:
        return None
    ttl_s = cache.lifetime(at.request, at.book.facts(here.model).rule)
    back = pricing.way_back(here.rates, ttl_s, 1.0, GROWTH_PER_TURN, at.session.learned.lapse(ttl_s), here.prompt)
    return Home(here.config, here.toll_usd or 0.0, back)
