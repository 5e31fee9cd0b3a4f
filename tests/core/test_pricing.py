"""Prices and closed forms: worked by hand, against a request-by-request simulation, and against two other price sources."""

from __future__ import annotations

from datetime import UTC, date, datetime
from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.core import pricing
from pointsman.core.book import Book
from pointsman.core.cards import number, read_card, read_prices
from pointsman.core.pricing import Hours, PriceCard
from pointsman.core.types import FIVE_MINUTES, HALF_DAY, HALF_HOUR, HOUR, Rates, Usage
from pointsman.shell.prices import load_book

ANTHROPIC = ((FIVE_MINUTES, 1.25), (HOUR, 2.0))
NOON = datetime(2026, 11, 23, 8, 0, tzinfo=UTC).timestamp()  # a Monday, 08:00 UTC: peak everywhere
NIGHT = datetime(2026, 11, 23, 16, 30, tzinfo=UTC).timestamp()


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
RATES = st.builds(
    Rates, PRICE, PRICE, PRICE, PRICE,
    st.lists(st.tuples(st.sampled_from((FIVE_MINUTES, HOUR)), PRICE), max_size=2, unique_by=lambda x: x[0]).map(lambda x: tuple(sorted(x))),
)  # fmt: skip


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
        assert pricing.warm_request(model, FIVE_MINUTES, context, 1_500, 500) == pytest.approx(request, abs=5.6e-4)


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
def test_requests_until_a_down_switch_is_repaid(current: Rates, others: tuple[Rates, ...], expected: tuple[int | None, ...]) -> None:
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


@given(st.sampled_from((FABLE, OPUS, SONNET, ASTRA, SOL)), st.sampled_from((HAIKU, TERRA, LUNA, DEEPSEEK, KIMI)), st.integers(1_000, 250_000))
def test_the_break_even_is_where_the_simulated_bills_meet(current: Rates, other: Rates, context: int) -> None:
    found = pricing.whole_requests(pricing.break_even_requests(current, other, ttl_s=FIVE_MINUTES, context=context))
    owed = pricing.toll(other, FIVE_MINUTES, context, 0)
    saved = [0.0] + [simulate(current, context, 1_500, 500, n) - simulate(other, context, 1_500, 500, n) for n in (1, 2, 5, 20, 60)]
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
    per_turn = pricing.warm_request(current, FIVE_MINUTES, 100_000, 2_000, 1_000)
    per_turn -= pricing.warm_request(other, FIVE_MINUTES, 100_000, 2_000, 1_000)
    toll = pricing.toll(other, FIVE_MINUTES, 100_000, 0)
    back = pricing.way_back(current, FIVE_MINUTES, 1.0, 0, 1.0, 100_000)
    assert per_turn == pytest.approx(saved, abs=5e-4)
    assert toll / per_turn == pytest.approx(one_way, abs=0.05)
    assert pricing.round_trip(toll, 0.0, back) / per_turn == pytest.approx(with_way_back, abs=0.06)


def test_a_cold_cache_of_ones_own_makes_going_down_cheaper_than_staying() -> None:
    """After an idle gap Opus must write its context too: Sonnet is $0.25 cheaper at 100k before a token is answered."""
    there, here = (pricing.toll(model, FIVE_MINUTES, 100_000, 0) for model in (SONNET, OPUS))
    assert pricing.round_trip(there, here, 0.0) == pytest.approx(-0.24)
    cold = [
        pricing.expected_input(model, FIVE_MINUTES, 101_500, 0, 0.0, True) + model.output * 500 for model in (SONNET, OPUS)
    ]
    assert cold[0] - cold[1] == pytest.approx(-0.259, abs=5e-4)


@pytest.mark.parametrize(("context", "dollars"), [(20_000, 0.024), (100_000, 0.408), (200_000, 0.888)])
def test_an_effort_change_pays_for_what_it_invalidates(context: int, dollars: float) -> None:
    """A top-level change on Opus 5.5 keeps 15k of tools and system; in-band it is free."""
    assert pricing.effort_change(OPUS, FIVE_MINUTES, context, 15_000, in_band=False) == pytest.approx(dollars)
    assert pricing.effort_change(OPUS, FIVE_MINUTES, context, 15_000, in_band=True) == 0.0


@pytest.mark.parametrize(
    ("executor", "advisor", "dollars"),
    [(SONNET, OPUS, (0.113, 0.433, 0.833)), (HAIKU, OPUS, (0.112, 0.432, 0.832)), (SONNET, FABLE, (0.281, 1.081, 2.081)), (SOL, ASTRA, (0.281, 1.081, 2.081))],
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


@pytest.mark.parametrize(("model", "least"), [(FABLE, 0.020), (OPUS, 0.042), (SOL, 0.042), (ASTRA, 0.087), (rates(2, 0.5, 0, 6), 0.333)])
def test_keep_alive_pays_above_a_chance_of_return(model: Rates, least: float) -> None:
    """r / (w - r): 2.0 % on Fable 5.1, 4.2 % on Opus 5.5 and GPT-6.1, 8.7 % at a tenth, 33 % on Grok."""
    assert not pricing.keep_alive_pays(model, FIVE_MINUTES, least - 0.001)
    assert pricing.keep_alive_pays(model, FIVE_MINUTES, least + 0.001)


def test_a_compaction_belongs_on_the_model_that_holds_the_cache() -> None:
    """150k and a 4k summary on Opus 5.5: $0.110 warm, $0.680 where nothing is cached."""
    answer = OPUS.output * 4_000
    assert pricing.expected_input(OPUS, FIVE_MINUTES, 150_000, 150_000, 1.0, True) + answer == pytest.approx(0.110)
    assert pricing.expected_input(OPUS, FIVE_MINUTES, 150_000, 0, 0.0, False) + answer == pytest.approx(0.680)


# ---- cards: what the map's fields mean


def row(**fields: object) -> dict[str, object]:
    return {"input_cost_per_token": 2e-6, "output_cost_per_token": 1e-5, **fields}


def card(writes: tuple[tuple[int, float], ...] = (), override: dict[str, object] | None = None, **fields: object) -> PriceCard:
    found = read_card("m", row(**fields), writes, override=override)
    assert found is not None
    return found


def test_a_missing_or_zero_write_price_is_the_fresh_price() -> None:
    for fields in ({}, {"cache_creation_input_token_cost": 0}, {"cache_creation_input_token_cost": None}):
        found = card(cache_read_input_token_cost=1e-7, **fields).base
        assert found.write(FIVE_MINUTES) == found.write(HOUR) == found.fresh == 2e-6
        assert pricing.toll(found, FIVE_MINUTES, 100_000, 0) == pytest.approx(0.19)


@given(st.one_of(st.none(), st.floats(allow_nan=True), st.text(max_size=5), st.integers(-5, 5), st.booleans()))
def test_no_write_price_is_ever_free(write: object) -> None:
    for writes in ((), ANTHROPIC, ((HALF_HOUR, 1.25), (HALF_DAY, 2.5))):
        found = read_card("m", row(cache_creation_input_token_cost=write), writes)
        assert found is not None
        assert all(found.base.write(ttl) >= found.base.fresh for ttl in (FIVE_MINUTES, HALF_HOUR, HOUR, HALF_DAY))


def test_a_price_that_is_no_number_is_not_given() -> None:
    for value in (None, True, "", "free", float("nan"), float("inf"), -1e-6, [1e-6], {}):
        assert number(value) is None
        assert read_card("m", row(output_cost_per_token=value)) is None
    assert number("2e-06") == 2e-6
    assert card(input_cost_per_token="2e-06").base.fresh == 2e-6


def test_free_is_a_price_and_missing_is_not() -> None:
    assert card(input_cost_per_token=0, output_cost_per_token=0).base.fresh == 0.0
    assert read_card("m", {"input_cost_per_token": 1e-6}) is None


def test_openai_writes_for_thirty_minutes_and_for_half_a_day(book: Book) -> None:
    """2.5 x the fresh price for 12 h is in no map: it comes from the cache rules, and the card says so."""
    found = book.card("gpt-6.1-sol")
    prices = found.at(1_000, NOON)
    assert (prices.write(HALF_HOUR), prices.write(HALF_DAY)) == pytest.approx((2.5e-6, 5e-6))
    assert ("cache_write_12h", "data/cache_rules.toml: 2.5 x the fresh price") in found.sources
    assert book.card("gpt-5.5").at(1_000, NOON).cache_write == ()


def test_a_long_prompt_is_priced_whole(book: Book) -> None:
    found = book.card("gpt-6.1-sol")
    short, long = found.at(272_000, NOON), found.at(272_001, NOON)
    assert (long.fresh, long.cache_read, long.output) == pytest.approx((short.fresh * 2, short.cache_read * 2, short.output * 1.5))


def test_tiered_prices_are_steps(book: Book) -> None:
    found = book.card("dashscope/qwen3-coder-plus")
    assert [round(found.at(n, NOON).fresh * 1e6, 3) for n in (1, 32_000, 32_001, 128_001, 256_001, 2_000_000)] == [1, 1, 1.8, 3, 6, 6]


@pytest.mark.parametrize(("tier", "times"), [("priority", 2), ("fast", 2), ("flex", 0.5), ("ultrafast", 6), ("auto", 1), (None, 1), ("us", 1.1)])
def test_services_have_their_own_prices(book: Book, tier: str | None, times: float) -> None:
    found = book.card("gpt-6.1-sol")
    for prompt in (1_000, 300_000):
        asked, standard = found.at(prompt, NOON, tier=tier), found.at(prompt, NOON)
        assert (asked.fresh, asked.output, asked.write(HALF_DAY)) == pytest.approx(
            (standard.fresh * times, standard.output * times, standard.write(HALF_DAY) * times)
        )


def test_fast_mode_costs_double_where_it_is_sold(book: Book) -> None:
    opus, sonnet = book.card("claude-opus-5-5"), book.card("claude-sonnet-5-5")
    assert opus.at(1_000, NOON, speed="fast").write(HOUR) == pytest.approx(2 * opus.at(1_000, NOON).write(HOUR))
    assert sonnet.at(1_000, NOON, speed="fast") == sonnet.at(1_000, NOON)


def test_a_service_without_a_figure_follows_its_input_price() -> None:
    found = card(cache_read_input_token_cost=2e-7, input_cost_per_token_flex=1e-6, input_cost_per_token_above_200k_tokens=4e-6)
    assert found.at(1, NOON, tier="flex").cache_read == pytest.approx(1e-7)
    assert found.at(200_001, NOON).cache_read == pytest.approx(4e-7)
    assert found.at(200_001, NOON, tier="flex").fresh == pytest.approx(2e-6)


@given(st.lists(st.tuples(st.sampled_from((128, 200, 272, 512)), st.floats(2e-6, 1e-4)), max_size=4, unique_by=lambda x: x[0]), TOKENS, TOKENS)
def test_dearer_steps_never_make_a_longer_prompt_cheaper(steps: list[tuple[int, float]], a: int, b: int) -> None:
    prices = sorted(price for _, price in steps)
    fields = {f"input_cost_per_token_above_{k}k_tokens": p for (k, _), p in zip(sorted(steps), prices, strict=True)}
    found = card(**fields)
    low, high = sorted((a, b))
    assert found.at(low, NOON).fresh <= found.at(high, NOON).fresh


def test_reasoning_has_its_own_price_where_the_map_names_one() -> None:
    assert card(output_cost_per_reasoning_token=3e-5).base.reasoning == 3e-5
    assert card().base.reasoning == card().base.output


# ---- off-peak hours


def test_deepseek_halves_outside_its_peak_hours(book: Book) -> None:
    found = book.card("deepseek/deepseek-v4-pro")
    peak, quiet = found.at(1_000, NOON), found.at(1_000, NIGHT)
    assert (quiet.fresh, quiet.cache_read, quiet.output) == pytest.approx((peak.fresh / 2, peak.cache_read / 2, peak.output / 2))
    sunday = datetime(2026, 11, 22, 8, 0, tzinfo=UTC).timestamp()
    assert found.at(1_000, sunday) == quiet


def test_off_peak_hours_wrap_past_midnight_and_read_weekdays() -> None:
    def at(hour: int, minute: int = 0, day: int = 23) -> float:
        return datetime(2026, 11, day, hour, minute, tzinfo=UTC).timestamp()

    block = {"input_cost_per_token": 1e-6, "hours_utc": "16:30-00:30"}
    found = card(off_peak_pricing=block)
    assert [found.at(1, at(*t)).fresh for t in ((16, 29), (16, 30), (23, 59), (0, 29), (0, 30))] == [2e-6, 1e-6, 1e-6, 1e-6, 2e-6]
    assert found.at(1, at(17)).output == 1e-5, "what is not listed keeps its standard price"
    rules = [{"hours_utc": ["00:00-00:00"], "weekdays": ["Sat", 7]}, {"hours_utc": ["1:00-2:00", "nonsense"], "weekdays": [1]}]
    listed = card(off_peak_pricing={"input_cost_per_token": 1e-6, "windows": rules})
    assert [listed.at(1, t).fresh for t in (at(5, 0, 21), at(5, 0, 22), at(1), at(2), at(1, 0, 24))] == [1e-6, 1e-6, 1e-6, 2e-6, 2e-6]


def test_weekdays_are_read_on_the_vendors_calendar() -> None:
    """17:00 UTC on a Friday is Saturday in Shanghai."""
    friday = datetime(2026, 11, 20, 17, 0, tzinfo=UTC).timestamp()
    assert Hours(0, 0, frozenset({6}), 8 * HOUR).hold(friday)
    assert not Hours(0, 0, frozenset({6})).hold(friday)


@given(st.floats(0, 4e9), st.integers(0, 1439), st.integers(0, 1439))
def test_hours_agree_with_the_calendar(now: float, start: int, end: int) -> None:
    moment = datetime.fromtimestamp(now, UTC)
    minute = moment.hour * 60 + moment.minute
    inside = start <= minute < end if start < end else minute >= start or minute < end
    for weekday in range(1, 8):
        assert Hours(start, end, frozenset({weekday})).hold(now) == (inside and moment.isoweekday() == weekday)


def test_an_off_peak_block_that_cannot_be_read_is_no_discount() -> None:
    for block in ("night", {"windows": "all"}, {"input_cost_per_token": 1e-6}, {"hours_utc": "25:99-1:00", "input_cost_per_token": 1e-6}):
        assert card(off_peak_pricing=block).at(1, NIGHT).fresh == 2e-6


# ---- the user's own prices


def test_overrides_scale_steps_and_services_in_proportion() -> None:
    fields = {"input_cost_per_token_above_100k_tokens": 1e-5, "input_cost_per_token_priority": 4e-6}
    found = card(override={"input": 1.0, "cache_write_1h": 7.0, "window": 5_000}, writes=ANTHROPIC, **fields)
    assert (found.base.fresh, found.at(100_001, NOON).fresh, found.at(1, NOON, tier="priority").fresh) == pytest.approx((1e-6, 5e-6, 2e-6))
    assert found.base.write(HOUR) == pytest.approx(7e-6) and found.window == 5_000
    assert ("input", "settings.input") in found.sources


def test_a_discount_factor_multiplies_every_price() -> None:
    found = card(override={"discount_factor": 0.85}, cache_read_input_token_cost=2e-7)
    assert (found.base.fresh, found.base.cache_read, found.base.output) == pytest.approx((1.7e-6, 1.7e-7, 8.5e-6))


def test_the_version_changes_with_the_row_and_with_the_override() -> None:
    versions = {card().version, card(override={"input": 2.0}).version, card(mode="chat").version}
    assert len(versions) == 3


def test_every_field_of_the_map_is_understood_or_another_product(book: Book) -> None:
    prices = read_prices({"cache_creation_input_token_cost_above_1hr_above_100k_tokens": 1e-6, "input_cost_per_token_above_272k_tokens_priority": 8e-6, "input_cost_per_token_batches": 1e-6, "input_cost_per_audio_token": 1.0})
    assert prices == {("", 100_000): {"cache_write_1h": 1e-6}, ("priority", 272_000): {"input": 8e-6}}


# ---- against a second source


@pytest.mark.parametrize(
    ("model", "ours", "vendor"),
    [
        ("claude-haiku-4-5", "claude-haiku-4-5", "anthropic"),
        ("claude-opus-5-5", "claude-opus-5-5", "anthropic"),
        ("claude-sonnet-5-5", "claude-sonnet-5-5", "anthropic"),
        ("claude-fable-5-1", "claude-fable-5-1", "anthropic"),
        ("claude-haiku-5-5", "claude-haiku-5-5", "anthropic"),
        ("gpt-6.1-sol", "gpt-6.1-sol", "openai"),
        ("gpt-5.6-terra", "gpt-5.6-terra", "openai"),
        ("gpt-5.4", "gpt-5.4", "openai"),
        ("gemini-4-argon", "gemini/gemini-4-argon", "google"),
        ("deepseek-v4-pro", "deepseek/deepseek-v4-pro", "deepseek"),
        ("grok-4.7", "xai/grok-4.7", "x-ai"),
    ],
)
@pytest.mark.parametrize("read", [50_000, 280_000])
def test_genai_prices_agrees(book: Book, model: str, ours: str, vendor: str, read: int) -> None:
    import genai_prices

    written = 20_000 if book.card(ours).base.cache_write else 0
    usage = Usage(fresh=3_000, cache_read=read, cache_write=((book.rule(ours).ttl_s, written),) if written else (), output=1_200)
    theirs = genai_prices.calc_price(
        genai_prices.Usage(
            input_tokens=usage.prompt, cache_read_tokens=read, cache_write_tokens=written or None, output_tokens=1_200
        ),
        model, provider_id=vendor, genai_request_timestamp=datetime.fromtimestamp(NOON, UTC),
    )  # fmt: skip
    assert book.bill(ours, usage, NOON) == pytest.approx(float(theirs.total_price), abs=5e-5)
