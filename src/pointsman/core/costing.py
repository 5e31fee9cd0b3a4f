"""The cost to go of every candidate: each as a try at the task, its failure and the next try included (DECISION.md 5)."""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt

from pointsman.core import cache, pricing, rules
from pointsman.core.candidates import GROWTH_TOKENS, OUTPUT_TOKENS, odds_of, rows_of, work_of
from pointsman.core.capability import SQUEEZE
from pointsman.core.decisions import Candidate
from pointsman.core.difficulty import PRIOR
from pointsman.core.policy import Odds
from pointsman.core.record import record
from pointsman.core.setting import Setting
from pointsman.core.tries import Plan, Try, chances, plans, resolved_usd
from pointsman.core.types import Belief, Config


def compare(configs: Iterable[Config], at: Setting) -> tuple[Candidate, ...]:
    """All rows, with what needs the others: way back, round trip and cost to go."""
    return costed(rows_of(configs, at), at)


@record(frozen=True, slots=True)
class Weighed:
    """The rows that can serve as tries at the task, with their plans now and on an ordinary task; USD of a resolved one.

    ``totals``: the cost to go of each.
    """

    odds: Odds
    tries: list[Try]
    plans: list[Plan]
    ordinary: list[Plan]
    resolved: float
    totals: list[float]


def weigh(rows: tuple[Candidate, ...], at: Setting) -> Weighed:
    """What ``costed`` and the break-even points need of ``rows``."""
    odds = odds_of(at.policy, at.outlook)
    tries = tries_of(rows, at, odds, at.belief)
    here = plans(tries, odds)
    ordinary = here if at.belief == PRIOR else plans([t.under(PRIOR) for t in tries], odds)
    resolved = resolved_usd(ordinary, odds.failure_usd)
    return Weighed(odds, tries, here, ordinary, resolved, [plan.total(odds.failure_usd, resolved) for plan in here])


def costed(rows: tuple[Candidate, ...], at: Setting, found: Weighed | None = None) -> tuple[Candidate, ...]:
    """The rows with their cost to go from here, and what each request bears of failures and waiting in it."""
    found = found or weigh(rows, at)
    odds = found.odds
    tried = iter([(usd, (usd - t.usd) / odds.requests) for t, usd in zip(found.tries, found.totals, strict=True)])
    out = []
    for row in rows:
        usd, risk = next(tried) if _can_serve(row) else (None, None)
        steps = at.book.steps(row.model) * work_of(row.config, at)[0]
        if risk is not None and odds.minute_usd:
            risk += odds.minute_usd * steps * (row.wait_s or 0.0) / 60.0
        out.append(_with_total(row, usd, steps, risk))
    return tuple(out)


def _with_total(row: Candidate, usd: float | None, steps: float, risk: float | None) -> Candidate:
    """``row`` with its cost to go; ``dataclasses.replace`` takes three times as long."""
    return Candidate(
        row.model, row.effort, row.prompt, row.fresh, row.cache_read, row.cache_write, row.p_warm, row.input_usd,
        row.output_usd, row.run_usd, row.toll_usd, row.way_back_usd, row.round_trip_usd, row.fail, row.wait_s, usd,
        row.warm_until, row.veto, row.rates, steps, risk, row.ttl_s,
    )  # fmt: skip


def price_of(tries: list[Try], odds: Odds, belief: Belief) -> float:
    """USD of a resolved task of ordinary difficulty with these ``tries``, whose chances are those under ``belief``."""
    ordinary = tries if belief == PRIOR else [t.under(PRIOR) for t in tries]
    return resolved_usd(plans(ordinary, odds), odds.failure_usd)


def tries_of(rows: tuple[Candidate, ...], at: Setting, odds: Odds, belief: Belief) -> list[Try]:
    """The rows that can serve, each as a try at the task under ``belief``."""
    return [
        _as_try(row, row.config, at, odds, belief, why is None, rank)
        for row, rank, why in rules.refusals(rows, at)
        if _can_serve(row)
    ]


def _can_serve(row: Candidate) -> bool:
    return row.veto is None and row.rates is not None and row.input_usd is not None


def _as_try(row: Candidate, config: Config, at: Setting, odds: Odds, belief: Belief, free: bool, rank: int) -> Try:
    """USD of this request as it is now and of those still to come; later tries find the context grown by the first."""
    rates, ttl_s, prompt = row.rates, cache.lifetime(at.request, at.book.facts(row.model).rule), row.prompt
    assert rates is not None
    steps, longer = work_of(config, at)
    n, write = odds.requests * at.book.steps(row.model) * steps, rates.write(ttl_s)
    said = round(OUTPUT_TOKENS * longer)
    grown = prompt + round(odds.requests * GROWTH_TOKENS)
    wait = odds.minute_usd * n * (row.wait_s or 0.0) / 60.0 if odds.minute_usd else 0.0
    own = (row.output_usd or 0.0) + wait
    rest = pricing.running_cost(rates, ttl_s, prompt, GROWTH_TOKENS - OUTPUT_TOKENS, said, n - 1.0) + own
    after = pricing.running_cost(rates, ttl_s, grown, GROWTH_TOKENS - OUTPUT_TOKENS, said, n - 1.0) + own
    (theta, theta_sd), look = at.skill(config), at.outlook
    edge, mine = theta - look.tasks, row.model == at.current.model or at.place.new_task
    flat = look.slope / sqrt(1.0 + SQUEEZE * look.slope * look.slope * theta_sd * theta_sd)
    p, over = chances(edge, edge - look.handover, flat, look.common, mine, belief)
    return Try(
        config, (row.input_usd or 0.0) + rest, write * grown + after, rates.cache_read * grown + after, free, rank,
        edge, edge - look.handover, flat, look.common, mine, p, over,
    )  # fmt: skip


def allowed(rows: tuple[Candidate, ...], at: Setting) -> dict[Config, bool]:
    """Which rows the policy admits to user-visible work."""
    return {row.config: why is None for row, _, why in rules.refusals(rows, at)}
