"""What the fields of a price-map row mean: steps, services, lifetimes, off-peak hours, the user's own prices."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.core import pricing
from pointsman.core.book import Book
from pointsman.core.cards import number, read_card, read_prices
from pointsman.core.pricing import Hours, PriceCard
from pointsman.core.types import FIVE_MINUTES, HALF_DAY, HALF_HOUR, HOUR, Usage
from pointsman.shell.prices import load_book

ANTHROPIC = ((FIVE_MINUTES, 1.25), (HOUR, 2.0))
NOON = datetime(2026, 11, 23, 8, 0, tzinfo=UTC).timestamp()  # a Monday, 08:00 UTC: peak everywhere
NIGHT = datetime(2026, 11, 23, 16, 30, tzinfo=UTC).timestamp()
TOKENS = st.integers(0, 2_000_000)


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book(today=date(2026, 11, 22))


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
    assert (long.fresh, long.cache_read, long.output) == pytest.approx(
        (short.fresh * 2, short.cache_read * 2, short.output * 1.5)
    )


def test_tiered_prices_are_steps(book: Book) -> None:
    found = book.card("dashscope/qwen3-coder-plus")
    assert [round(found.at(n, NOON).fresh * 1e6, 3) for n in (1, 32_000, 32_001, 128_001, 256_001, 2_000_000)] == [
        1,
        1,
        1.8,
        3,
        6,
        6,
    ]


@pytest.mark.parametrize(
    ("tier", "times"), [("priority", 2), ("fast", 2), ("flex", 0.5), ("ultrafast", 6), ("auto", 1), (None, 1), ("us", 1.1)]
)
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


@given(
    st.lists(st.tuples(st.sampled_from((128, 200, 272, 512)), st.floats(2e-6, 1e-4)), max_size=4, unique_by=lambda x: x[0]),
    TOKENS,
    TOKENS,
)
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
    assert [listed.at(1, t).fresh for t in (at(5, 0, 21), at(5, 0, 22), at(1), at(2), at(1, 0, 24))] == [
        1e-6,
        1e-6,
        1e-6,
        2e-6,
        2e-6,
    ]


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
    for block in (
        "night",
        {"windows": "all"},
        {"input_cost_per_token": 1e-6},
        {"hours_utc": "25:99-1:00", "input_cost_per_token": 1e-6},
    ):
        assert card(off_peak_pricing=block).at(1, NIGHT).fresh == 2e-6


# ---- the user's own prices


def test_overrides_scale_steps_and_services_in_proportion() -> None:
    fields = {"input_cost_per_token_above_100k_tokens": 1e-5, "input_cost_per_token_priority": 4e-6}
    found = card(override={"input": 1.0, "cache_write_1h": 7.0, "window": 5_000}, writes=ANTHROPIC, **fields)
    assert (found.base.fresh, found.at(100_001, NOON).fresh, found.at(1, NOON, tier="priority").fresh) == pytest.approx(
        (1e-6, 5e-6, 2e-6)
    )
    assert found.base.write(HOUR) == pytest.approx(7e-6) and found.window == 5_000
    assert ("input", "settings.input") in found.sources


def test_a_lifetime_that_only_the_user_prices_is_kept() -> None:
    found = card(
        override={"cache_write_1h": 9.0}, writes=((HALF_HOUR, 1.25), (HALF_DAY, 2.5)), cache_creation_input_token_cost=2.5e-6
    )
    assert [found.base.write(ttl) for ttl in (HALF_HOUR, HOUR, HALF_DAY)] == pytest.approx([2.5e-6, 9e-6, 5e-6])


def test_a_discount_factor_multiplies_every_price() -> None:
    found = card(override={"discount_factor": 0.85}, cache_read_input_token_cost=2e-7)
    assert (found.base.fresh, found.base.cache_read, found.base.output) == pytest.approx((1.7e-6, 1.7e-7, 8.5e-6))


def test_the_version_changes_with_the_row_and_with_the_override() -> None:
    versions = {card().version, card(override={"input": 2.0}).version, card(mode="chat").version}
    assert len(versions) == 3


def test_every_field_of_the_map_is_understood_or_another_product(book: Book) -> None:
    prices = read_prices(
        {
            "cache_creation_input_token_cost_above_1hr_above_100k_tokens": 1e-6,
            "input_cost_per_token_above_272k_tokens_priority": 8e-6,
            "input_cost_per_token_batches": 1e-6,
            "input_cost_per_audio_token": 1.0,
        }
    )
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
