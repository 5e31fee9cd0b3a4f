"""The cost to go of a config as one try at the task, against the same requests added up one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.test_shortcuts import BOOK, MODEL, message, request
from core.test_shortcuts import at as setting_of
from pointsman.core.candidates import GROWTH_PER_TURN, GROWTH_TOKENS, OUTPUT_TOKENS, odds_of, price, rows_of, work_of
from pointsman.core.capability import Outlook
from pointsman.core.costing import costed, tries_of
from pointsman.core.decisions import Candidate
from pointsman.core.policy import MINUTE_USD, REQUESTS_AHEAD, Policy
from pointsman.core.setting import Setting
from pointsman.core.tries import weights
from pointsman.core.types import Belief, Config

HAIKU, SONNET, OPUS = "claude-haiku-5-5", "claude-sonnet-5-5", MODEL
LOW, HIGH, HERE = Config(OPUS, "low"), Config(OPUS, "high"), Config(OPUS)


def setting(policy: Policy | None = None) -> Setting:
    """A lane on Opus, a hundred thousand tokens warm, and one more prompt."""
    held = request(tuple([message(i) for i in range(90)]))
    at = setting_of(held, request((*held.messages, message(90, 6_000))))
    return replace(at, policy=policy or Policy(profile="saver", failure_usd=1.0), outlook=Outlook(slope=1.3, handover=0.4))


def added_up(row: Candidate, context: float, requests: float, answer: int) -> float:
    """``requests`` warm requests one by one from a context of so many tokens; a part of one costs its part."""
    assert row.rates is not None
    usd, unread, left = 0.0, 0, requests
    while left > 1e-9:
        share, new = min(1.0, left), GROWTH_TOKENS - OUTPUT_TOKENS
        once = row.rates.cache_read * (context - unread) + row.rates.write(300) * (new + unread) + row.rates.output * answer
        usd, left, unread = usd + share * once, left - share, answer
        context += new + answer
    return usd


@pytest.mark.parametrize("config", [HERE, Config(SONNET), Config(HAIKU)])
def test_a_try_costs_what_its_requests_cost_one_by_one(config: Config) -> None:
    at = setting()
    (row,) = rows_of([config], at)
    (found,) = tries_of((row,), at, odds_of(at.policy), Belief())
    n = REQUESTS_AHEAD * BOOK.steps(config.model)
    assert row.rates is not None and row.input_usd is not None and row.output_usd is not None
    rest = added_up(row, row.prompt, n - 1.0, OUTPUT_TOKENS)
    assert found.usd == pytest.approx(row.input_usd + row.output_usd + rest, rel=0.005)
    grown = row.prompt + REQUESTS_AHEAD * GROWTH_TOKENS
    after = row.output_usd + added_up(row, grown, n - 1.0, OUTPUT_TOKENS)
    assert found.later == pytest.approx(row.rates.write(300) * grown + after, rel=0.005), "cold, after another one's try"
    assert found.again == pytest.approx(row.rates.cache_read * grown + after, rel=0.005), "warm, after its own"


def test_the_lifetime_that_a_client_pays_for_is_no_price_of_a_provider_that_sells_its_own() -> None:
    """An hour's marks on a model that caches for half an hour by itself: that is what it bills, and what lapses."""
    at = setting()
    sol = Config("gpt-6.1-sol")
    hour = replace(at, request=replace(at.request, ttl_s=3_600))
    (row,) = rows_of([sol], replace(at, request=replace(at.request, ttl_s=None)))
    row = replace(row, veto=None)  # as where it can be reached
    assert row.rates is not None and row.rates.write(1_800) < row.rates.write(3_600), "else this shows nothing"
    for known in (at, hour):
        (found,) = tries_of((row,), known, odds_of(at.policy), Belief())
        (again,) = tries_of((row,), replace(at, request=replace(at.request, ttl_s=None)), odds_of(at.policy), Belief())
        assert (found.usd, found.later, found.again) == (again.usd, again.later, again.again)
    on_sol = replace(hour, current=sol)
    (back,) = [r for r in rows_of([HERE, sol], on_sol) if r.config == HERE]
    lapses = 0.26 * row.prompt + GROWTH_PER_TURN
    assert back.way_back_usd == pytest.approx((row.rates.write(1_800) - row.rates.cache_read) * lapses, rel=0.02)


def test_more_effort_is_more_requests_and_longer_answers_and_waiting_costs_where_time_is_money() -> None:
    at = replace(setting(), asked=HIGH)
    (requests, longer), low = work_of(LOW, at), price(LOW, at)
    assert requests < 1.0 and longer < 1.0
    (row,) = costed((low,), at)
    assert row.steps == pytest.approx(BOOK.steps(OPUS) * requests)
    (found,) = tries_of((low,), at, odds_of(at.policy), Belief())
    said = round(OUTPUT_TOKENS * longer)
    rest = added_up(low, low.prompt, REQUESTS_AHEAD * requests - 1.0, said)
    assert found.usd == pytest.approx((low.input_usd or 0.0) + (low.output_usd or 0.0) + rest, rel=0.01)
    quick = replace(at, policy=Policy(profile="fast"))
    (waited,) = tries_of((low,), quick, odds_of(quick.policy), Belief())
    minutes = REQUESTS_AHEAD * requests * (low.wait_s or 0.0) / 60.0
    assert waited.usd - found.usd == pytest.approx(MINUTE_USD * minutes) and minutes > 0.0
    (slow,), (free,) = costed((low,), quick), costed((low,), at)
    assert (slow.risk_usd or 0.0) - (free.risk_usd or 0.0) > 0.0


def test_the_chances_of_a_try_are_those_of_its_row() -> None:
    at = setting()
    for row in rows_of([Config(HAIKU), Config(SONNET), HERE], at):
        (found,) = tries_of((row,), at, odds_of(at.policy, at.outlook), at.belief)
        p = sum(w * x for w, x in zip(weights(at.outlook.nobody), found.p, strict=True))
        assert row.fail is not None and p == pytest.approx(1.0 - row.fail, abs=0.012)


def test_what_is_vetoed_or_has_no_price_is_no_try() -> None:
    at = setting(Policy(profile="saver", deny=(SONNET,)))
    rows = rows_of([Config("a-model-nobody-knows"), Config(SONNET), HERE], at)
    assert [t.config for t in tries_of(rows, at, odds_of(at.policy), at.belief)] == [HERE]
    assert [row.total_usd is None for row in costed(rows, at)] == [True, True, False]
