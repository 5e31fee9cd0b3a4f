"""Closed forms of cost: worked by hand, and against a request-by-request simulation."""

from __future__ import annotations

from datetime import UTC, date, datetime
from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.core import pricing
from pointsman.core.book import Book
from pointsman.core.types import FIVE_MINUTES, HALF_DAY, HALF_HOUR, HOUR, Rates, Usage
from pointsman.shell.prices import load_book

NOON = datetime(2026, 11, 23, 8, 0, tzinfo=UTC).timestamp()  # a Monday, 08:00 UTC: peak everywhere


def rates(fresh: float, read: float, write: float, output: float) -> Rates:
    """Rates in USD per million tokens, as price lists print them."""
    pairs = ((FIVE_MINUTES, write / 1e6),) if write else ()
    return Rates(fresh / 1e6, read / 1e6, output / 1e6, output / 1e6, pairs)


FABLE, OPUS, SONNET = rates(10, 0.25, 12.5, 50), rates(4, 0.2, 5, 20), rates(2, 0.1, 2.5, 10)
HAIKU, HAIKU_LONG = rates(0.1, 0.01, 0.125, 0.5), rates(0.5, 0.05, 0.625, 2.5)
ASTRA, SOL, TERRA, LUNA = rates(10, 1, 12.5, 50), rates(2, 0.1, 2.5, 10), rates(1, 0.05, 1.25, 5), rates(0.1, 0.01, 0.125, 0.5)
DEEPSEEK, KIMI, GLM = rates(1.32, 0.044, 0, 3.96), rates(2, 0.2, 0, 10), rates(1.4, 0.26, 0, 4.4)


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book(today=date(2026, 11, 22))


# ---- cost


def test_cost_adds_every_bucket_once() -> None:
    """100 fresh at 4, 20,000 read at .2, 1,000 written for 5 min at 5, 300 out and 200 thought at 20: .0004+.004+.005+.01."""
    usage = Usage(fresh=100, cache_read=20_000, cache_write=((FIVE_MINUTES, 1_000),), output=300, reasoning=200)
    assert isclose(pricing.cost(usage, OPUS), 0.0194, abs_tol=1e-12)


def test_each_lifetime_is_written_at_its_own_price(book: Book) -> None:
    usage = Usage(cache_write=((FIVE_MINUTES, 1_000_000), (HOUR, 1_000_000)))
    assert isclose(pricing.cost(usage, book.card("claude-opus-4-5").at(10_000, NOON)), 6.25 + 10.0)


def test_sub_requests_are_billed_at_their_own_model(book: Book) -> None:
    usage = Usage(fresh=1_000_000, extra=(("claude-opus-5-5", Usage(output=1_000_000)),))
    assert isclose(book.bill("claude-sonnet-5-5", usage, NOON), 2.0 + 20.0)


TOKENS = st.integers(0, 2_000_000)
PRICE = st.floats(0, 1e-4, allow_nan=False)
USAGE = st.builds(
    Usage, fresh=TOKENS, cache_read=TOKENS, output=TOKENS, reasoning=TOKENS,
    cache_write=st.lists(st.tuples(st.sampled_from((FIVE_MINUTES, HALF_HOUR, HOUR, HALF_DAY)), TOKENS), max_size=3).map(tuple),
)  # fmt: skip
WRITES = st.lists(st.tuples(st.sampled_from((FIVE_MINUTES, HOUR)), PRICE), max_size=2, unique_by=lambda pair: pair[0])
RATES = st.builds(Rates, PRICE, PRICE, PRICE, PRICE, WRITES.map(lambda pairs: tuple(sorted(pairs))))


@given(USAGE, RATES)
def test_cost_is_the_sum_over_disjoint_buckets(usage: Usage, prices: Rates) -> None:
    parts = [
        Usage(fresh=usage.fresh), Usage(cache_read=usage.cache_read), Usage(output=usage.output),
        Usage(reasoning=usage.reasoning), *(Usage(cache_write=(pair,)) for pair in usage.cache_write),
    ]  # fmt: skip
    assert isclose(pricing.cost(usage, prices), sum(pricing.cost(part, prices) for part in parts), rel_tol=1e-9, abs_tol=1e-12)
    assert pricing.cost(usage, prices) >= 0.0


@given(RATES, TOKENS, TOKENS)
def test_a_toll_is_never_negative_and_shrinks_with_warmth(prices: Rates, context: int, warm: int) -> None:
    toll = pricing.toll(prices, FIVE_MINUTES, context, warm)
    assert 0.0 <= toll <= pricing.toll(prices, FIVE_MINUTES, context, 0)
    assert pricing.toll(prices, FIVE_MINUTES, context, context) == 0.0


@given(RATES, TOKENS, TOKENS, st.floats(0, 1))
def test_expected_input_lies_between_all_warm_and_all_cold(prices: Rates, prompt: int, warm: int, p: float) -> None:
    for caches in (True, False):
        cold, hot = (pricing.expected_input(prices, FIVE_MINUTES, prompt, warm, at, caches) for at in (0.0, 1.0))
        expected = pricing.expected_input(prices, FIVE_MINUTES, prompt, warm, p, caches)
        assert min(cold, hot) - 1e-9 <= expected <= max(cold, hot) + 1e-9


# ---- the tables of the design notes


@pytest.mark.parametrize(
    ("model", "tolls", "requests"),
    [
        (FABLE, (0.245, 1.225, 2.450), (0.049, 0.069, 0.094)),
        (OPUS, (0.096, 0.480, 0.960), (0.021, 0.037, 0.057)),
        (SONNET, (0.048, 0.240, 0.480), (0.011, 0.019, 0.029)),
        (SOL, (0.048, 0.240, 0.480), (0.011, 0.019, 0.029)),
        (ASTRA, (0.230, 1.150, 2.300), (0.064, 0.144, 0.244)),
        (TERRA, (0.024, 0.120, 0.240), (0.005, 0.009, 0.014)),
        (DEEPSEEK, (0.026, 0.128, 0.255), (0.005, 0.008, 0.013)),
        (KIMI, (0.036, 0.180, 0.360), (0.012, 0.028, 0.048)),
        (GLM, (0.023, 0.114, 0.228), (0.010, 0.030, 0.056)),
    ],
)
def test_toll_and_warm_request(model: Rates, tolls: tuple[float, ...], requests: tuple[float, ...]) -> None:
    """The table of a cold context at 20k, 100k, 200k and of a warm request with 1,500 new and 500 output tokens."""
    for context, toll, request in zip((20_000, 100_000, 200_000), tolls, requests, strict=True):
        assert pricing.toll(model, FIVE_MINUTES, context, 0) == pytest.approx(toll, abs=5.1e-4)
        assert pricing.running_cost(model, FIVE_MINUTES, context, 1_500, 500, 1) == pytest.approx(request, abs=5.6e-4)


def test_haiku_costs_five_times_as_much_past_its_step(book: Book) -> None:
    """Every token of the request, output included, once the prompt passes 100k: $0.011 of toll just below, $0.057 just past."""
    card = book.card("claude-haiku-5-5")
    below, past = card.at(100_000, NOON), card.at(100_001, NOON)
    assert (past.fresh, past.cache_read, past.output) == pytest.approx((below.fresh * 5, below.cache_read * 5, below.output * 5))
    assert past.write(HOUR) == pytest.approx(5 * below.write(HOUR))
    assert pricing.toll(below, FIVE_MINUTES, 100_000, 0) == pytest.approx(0.0115)
    assert pricing.toll(past, FIVE_MINUTES, 100_001, 0) == pytest.approx(0.0575, abs=1e-6)


BREAK_EVEN = [
    (FABLE, (OPUS, OPUS, OPUS), (4, 14, 24)),
    (OPUS, (SONNET, SONNET, SONNET), (5, 12, 16)),
    (OPUS, (HAIKU, HAIKU_LONG, HAIKU_LONG), (1, 2, 3)),
    (SONNET, (HAIKU, HAIKU_LONG, HAIKU_LONG), (1, 5, 7)),
    (ASTRA, (SOL, SOL, SOL), (1, 2, 3)),
    (SOL, (TERRA, TERRA, TERRA), (5, 12, 16)),
    (OPUS, (DEEPSEEK, DEEPSEEK, DEEPSEEK), (2, 5, 6)),
    (SONNET, (KIMI, KIMI, KIMI), (None, None, None)),
    (SONNET, (GLM, GLM, GLM), (None, None, None)),
]


@pytest.mark.parametrize(("current", "others", "expected"), BREAK_EVEN)
def test_requests_until_a_down_switch_is_repaid(
    current: Rates, others: tuple[Rates, ...], expected: tuple[int | None, ...]
) -> None:
    for context, other, requests in zip((20_000, 100_000, 200_000), others, expected, strict=True):
        found = pricing.break_even_requests(current, other, ttl_s=FIVE_MINUTES, context=context)
        assert pricing.whole_requests(found) == requests


def test_a_model_that_writes_more_is_repaid_later() -> None:
    """The bracketed column: the cheaper model writes 1.5 times the tokens."""
    for current, other, expected in ((FABLE, OPUS, (4, 17, 28)), (OPUS, SONNET, (6, 14, 18))):
        for context, requests in zip((20_000, 100_000, 200_000), expected, strict=True):
            found = pricing.break_even_requests(current, other, ttl_s=FIVE_MINUTES, context=context, other_output=750)
            assert pricing.whole_requests(found) == requests


def simulate(prices: Rates, context: int, new: int, output: int, requests: int) -> float:
    """Bill request by request: read what is cached, write the rest, answer; the answer is written by the next request."""
    total, cached, prompt = 0.0, context, context
    for _ in range(requests):
        prompt += new
        usage = Usage(cache_read=cached, cache_write=((FIVE_MINUTES, prompt - cached),), output=output)
        total += pricing.cost(usage, prices)
        cached, prompt = prompt, prompt + output
    return total


@given(RATES, st.integers(0, 300_000), st.integers(0, 5_000), st.integers(0, 2_000), st.integers(1, 30))
def test_running_cost_is_the_simulated_bill(prices: Rates, context: int, new: int, output: int, requests: int) -> None:
    expected = simulate(prices, context, new, output, requests)
    found = pricing.running_cost(prices, FIVE_MINUTES, context, new, output, requests)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(
    st.sampled_from((FABLE, OPUS, SONNET, ASTRA, SOL)),
    st.sampled_from((HAIKU, TERRA, LUNA, DEEPSEEK, KIMI)),
    st.integers(1_000, 250_000),
)
def test_the_break_even_is_where_the_simulated_bills_meet(current: Rates, other: Rates, context: int) -> None:
    found = pricing.whole_requests(pricing.break_even_requests(current, other, ttl_s=FIVE_MINUTES, context=context))
    owed = pricing.toll(other, FIVE_MINUTES, context, 0)
    saved = [0.0] + [
        simulate(current, context, 1_500, 500, n) - simulate(other, context, 1_500, 500, n) for n in (1, 2, 5, 20, 60)
    ]
    if found is None:
        assert max(saved) < owed
    else:
        assert simulate(current, context, 1_500, 500, found) - simulate(other, context, 1_500, 500, found) >= owed - 1e-9
        before = found - 1
        gain = simulate(current, context, 1_500, 500, before) - simulate(other, context, 1_500, 500, before) if before else 0.0
        assert gain < owed


def test_a_switch_that_costs_nothing_is_repaid_at_once() -> None:
    assert pricing.break_even_requests(OPUS, SONNET, ttl_s=FIVE_MINUTES, context=50_000, warm=50_000) == 0.0
    assert pricing.whole_requests(0.0) == 1 and pricing.whole_requests(None) is None


def excursion(there: Rates, back: Rates, context: int, k: int, n: int, expired: bool) -> float:
    """Extra USD of k requests on ``there`` and n - k more on ``back``, against all n on ``back``."""
    growth = k * 2_000
    away = pricing.toll(there, FIVE_MINUTES, context, 0) + pricing.running_cost(there, FIVE_MINUTES, context, 1_500, 500, k)
    home = pricing.running_cost(back, FIVE_MINUTES, context + growth, 1_500, 500, n - k)
    returned = pricing.way_back(back, FIVE_MINUTES, 1.0, growth, float(expired), context)
    return away + returned + home - pricing.running_cost(back, FIVE_MINUTES, context, 1_500, 500, n)


def test_an_excursion_pays_its_way_back() -> None:
    """Five of twenty requests on Sonnet 5.5 and back to Opus 5.5 loses money always, warm or expired."""
    for context, warm, expired in ((20_000, 0.033, 0.129), (100_000, 0.185, 0.665), (200_000, 0.375, 1.335)):
        assert excursion(SONNET, OPUS, context, 5, 20, False) == pytest.approx(warm, abs=0.0025)
        assert excursion(SONNET, OPUS, context, 5, 20, True) == pytest.approx(expired, abs=0.0025)
        for_good = pricing.toll(SONNET, FIVE_MINUTES, context, 0) - (
            pricing.running_cost(OPUS, FIVE_MINUTES, context, 1_500, 500, 20)
            - pricing.running_cost(SONNET, FIVE_MINUTES, context, 1_500, 500, 20)
        )
        assert for_good == pytest.approx({20_000: -0.228, 100_000: -0.196, 200_000: -0.156}[context], abs=0.0025)


@pytest.mark.parametrize(
    ("current", "other", "saved", "one_way", "with_way_back"),
    [
        (OPUS, SONNET, 0.025, 9.6, 28.8),
        (OPUS, SOL, 0.025, 9.6, 28.8),
        (rates(5, 0.5, 6.25, 25), rates(2, 0.2, 2.5, 10), 0.0525, 4.4, 15.3),
        (OPUS, DEEPSEEK, 0.039, 3.3, 15.6),
        (OPUS, HAIKU_LONG, 0.041, 1.4, 13.0),
        (OPUS, LUNA, 0.048, 0.2, 10.2),
    ],
)
def test_the_way_back_dominates(current: Rates, other: Rates, saved: float, one_way: float, with_way_back: float) -> None:
    """100k cached, 2k new and 1k output per turn, the old cache expired on return (design notes, litellm.md 4)."""
    per_turn = pricing.running_cost(current, FIVE_MINUTES, 100_000, 2_000, 1_000, 1)
    per_turn -= pricing.running_cost(other, FIVE_MINUTES, 100_000, 2_000, 1_000, 1)
    toll = pricing.toll(other, FIVE_MINUTES, 100_000, 0)
    back = pricing.way_back(current, FIVE_MINUTES, 1.0, 0, 1.0, 100_000)
    assert per_turn == pytest.approx(saved, abs=5e-4)
    assert toll / per_turn == pytest.approx(one_way, abs=0.05)
    assert pricing.round_trip(toll, 0.0, back) / per_turn == pytest.approx(with_way_back, abs=0.06)


def test_a_cold_cache_of_ones_own_makes_going_down_cheaper_than_staying() -> None:
    """After an idle gap Opus must write its context too: Sonnet is $0.25 cheaper at 100k before a token is answered."""
    there, here = (pricing.toll(model, FIVE_MINUTES, 100_000, 0) for model in (SONNET, OPUS))
    assert pricing.round_trip(there, here, 0.0) == pytest.approx(-0.24)
    cold = [pricing.expected_input(model, FIVE_MINUTES, 101_500, 0, 0.0, True) + model.output * 500 for model in (SONNET, OPUS)]
    assert cold[0] - cold[1] == pytest.approx(-0.259, abs=5e-4)


@pytest.mark.parametrize(("context", "dollars"), [(20_000, 0.024), (100_000, 0.408), (200_000, 0.888)])
def test_an_effort_change_pays_for_what_it_invalidates(context: int, dollars: float) -> None:
    """A top-level change on Opus 5.5 keeps 15k of tools and system; in-band it is free."""
    assert pricing.toll(OPUS, FIVE_MINUTES, context, 15_000) == pytest.approx(dollars)
    assert pricing.toll(OPUS, FIVE_MINUTES, context, context) == 0.0


@pytest.mark.parametrize(
    ("executor", "advisor", "dollars"),
    [
        (SONNET, OPUS, (0.113, 0.433, 0.833)),
        (HAIKU, OPUS, (0.112, 0.432, 0.832)),
        (SONNET, FABLE, (0.281, 1.081, 2.081)),
        (SOL, ASTRA, (0.281, 1.081, 2.081)),
    ],
)
def test_a_full_transcript_consult(executor: Rates, advisor: Rates, dollars: tuple[float, ...]) -> None:
    """1,600 tokens of answer, 550 carried on; a 15k digest costs $0.09 on Opus 5.5."""
    for context, expected in zip((20_000, 100_000, 200_000), dollars, strict=True):
        found = pricing.advice(advisor, executor, FIVE_MINUTES, context, 1_600, 550, 1)
        assert found == pytest.approx(expected, abs=0.0011)
    assert pricing.advice(OPUS, SONNET, FIVE_MINUTES, 15_000, 1_600, 0, 1) == pytest.approx(0.092, abs=1e-4)


def test_a_full_transcript_consult_is_most_of_a_toll() -> None:
    context = 100_000
    consult = pricing.advice(OPUS, SONNET, FIVE_MINUTES, context, 0, 0, 1)
    assert consult / pricing.toll(OPUS, FIVE_MINUTES, context, 0) == pytest.approx(0.83, abs=0.005)


@pytest.mark.parametrize(
    ("model", "least"), [(FABLE, 0.020), (OPUS, 0.042), (SOL, 0.042), (ASTRA, 0.087), (rates(2, 0.5, 0, 6), 0.333)]
)
def test_keep_alive_pays_above_a_chance_of_return(model: Rates, least: float) -> None:
    """r / (w - r): 2.0 % on Fable 5.1, 4.2 % on Opus 5.5 and GPT-6.1, 8.7 % at a tenth, 33 % on Grok."""
    assert not pricing.keep_alive_pays(model, FIVE_MINUTES, least - 0.001)
    assert pricing.keep_alive_pays(model, FIVE_MINUTES, least + 0.001)


def test_a_compaction_belongs_on_the_model_that_holds_the_cache() -> None:
    """150k and a 4k summary on Opus 5.5: $0.110 warm, $0.680 where nothing is cached."""
    answer = OPUS.output * 4_000
    assert pricing.expected_input(OPUS, FIVE_MINUTES, 150_000, 150_000, 1.0, True) + answer == pytest.approx(0.110)
    assert pricing.expected_input(OPUS, FIVE_MINUTES, 150_000, 0, 0.0, False) + answer == pytest.approx(0.680)
