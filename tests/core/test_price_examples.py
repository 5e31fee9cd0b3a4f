"""Every price example of the design pages WIRE.md and DECISION.md, and of the notes they point to, to the cent.

The figures are restated here with the section they stand in, so that nothing outside this file is read. Prices come from the
installed price map through the code that prices live requests; where a page names a price, the map must agree with it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from pointsman import wire
from pointsman.core import learned, pricing
from pointsman.core.book import Book
from pointsman.core.types import FIVE_MINUTES, HALF_DAY, HALF_HOUR, HOUR, Rates, Usage
from pointsman.errors import WireError
from pointsman.shell.prices import load_book

DAY = datetime(2026, 11, 23, 3, tzinfo=UTC).timestamp()
"""A Monday at 3 h UTC, 11 h in Shanghai: DeepSeek's prices are the full ones."""

MILLION = 1e6
SIZES = (20_000, 100_000, 200_000)
NEW, OUTPUT = 1_500, 500
"""New tokens and answer of the requests in the tables of notes/cache.md 5.2 to 5.5."""


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book(today=date(2026, 11, 22))


STATED = {"kimi-k3.1-pro": (2, 0.2, 2, 10), "gpt-6.1-terra": (1, 0.05, 1.25, 5)}
"""Prices of notes/cache.md 5.1 that the installed map has no row for (WIRE.md 5, traps): USD per million tokens."""


def at(book: Book, model: str, prompt: int = 20_000, **more: str) -> Rates:
    if model in STATED and not book.has(model):
        fresh, read, write, output = (x / MILLION for x in STATED[model])
        return Rates(fresh, read, output, output, ((book.rule(model).ttl_s, write),))
    return book.card(model).at(prompt, DAY, **more)


def cents(usd: float) -> float:
    return round(usd, 2)


# ---- WIRE.md 2 and notes/cache.md 5.1: the prices themselves, USD per million tokens


@pytest.mark.parametrize(
    ("model", "fresh", "read", "write", "output"),
    [
        ("claude-fable-5-1", 10, 0.25, 12.5, 50),
        ("claude-opus-5-5", 4, 0.2, 5, 20),
        ("claude-sonnet-5-5", 2, 0.1, 2.5, 10),
        ("claude-haiku-5-5", 0.1, 0.01, 0.125, 0.5),
        ("gpt-6.1-sol", 2, 0.1, 2.5, 10),
        ("gemini-4-argon", 2, 0.1, 2, 10),
        ("kimi-k3.1-pro", 2, 0.2, 2, 10),
        ("glm-5.3", 1.4, 0.26, 1.4, 4.4),
        ("gpt-6-astra", 10, 1, 12.5, 50),
        ("gpt-6-luna", 0.1, 0.01, 0.125, 0.5),
        ("grok-4.7", 2, 0.5, 2, 6),
        ("deepseek-v4-pro", 1.32, 0.044, 1.32, 3.96),
    ],
)
def test_the_prices_used_in_the_notes(book: Book, model: str, fresh: float, read: float, write: float, output: float) -> None:
    found, ttl_s = at(book, model), book.rule(model).ttl_s
    paid = [x * MILLION for x in (found.fresh, found.cache_read, found.write(ttl_s), found.output)]
    assert paid == pytest.approx([fresh, read, write, output])


@pytest.mark.parametrize(("model", "multiple"), [
    ("claude-fable-5-1", 0.025), ("claude-opus-5-5", 0.05), ("claude-sonnet-5-5", 0.05), ("claude-haiku-5-5", 0.1),
    ("claude-opus-4-8", 0.1), ("gpt-6.1-sol", 0.05),
])  # fmt: skip
def test_reads_are_a_fortieth_to_a_tenth(book: Book, model: str, multiple: float) -> None:
    """WIRE.md 2: read 0.025-0.10x on Anthropic, 0.05-0.5x on OpenAI."""
    found = at(book, model)
    assert found.cache_read / found.fresh == pytest.approx(multiple)


@pytest.mark.parametrize(("model", "lifetime", "multiple"), [
    ("claude-opus-5-5", FIVE_MINUTES, 1.25), ("claude-opus-5-5", HOUR, 2.0), ("claude-haiku-4-5", HOUR, 2.0),
    ("gpt-6.1-sol", HALF_HOUR, 1.25), ("gpt-6.1-sol", HALF_DAY, 2.5), ("gpt-5.6-terra", HALF_HOUR, 1.25),
    ("gpt-5.4", FIVE_MINUTES, 1.0), ("deepseek/deepseek-chat", FIVE_MINUTES, 1.0),
])  # fmt: skip
def test_writes_by_lifetime(book: Book, model: str, lifetime: int, multiple: float) -> None:
    """WIRE.md 2: 1.25x (5 min) or 2x (1 h); from GPT-5.6 on 1.25x (30 min) or 2.5x (12 h), earlier no write price."""
    found = at(book, model)
    assert found.write(lifetime) / found.fresh == pytest.approx(multiple)


# ---- WIRE.md 2: price steps


def test_haiku_is_five_times_dearer_past_100k_on_every_token(book: Book) -> None:
    below, above = at(book, "claude-haiku-5-5", 100_000), at(book, "claude-haiku-5-5", 100_001)
    usage = Usage(fresh=10_000, cache_read=80_000, cache_write=((FIVE_MINUTES, 10_001),), output=4_000, reasoning=1_000)
    assert pricing.cost(usage, above) == pytest.approx(5 * pricing.cost(usage, below))


@pytest.mark.parametrize("model", ["gpt-5.4", "gpt-5.5", "gpt-6.1-sol"])
def test_openai_past_272k_is_twice_the_input_and_half_as_much_again_the_output(book: Book, model: str) -> None:
    below, above = at(book, model, 272_000), at(book, model, 272_001)
    assert above.fresh == pytest.approx(2 * below.fresh) and above.cache_read == pytest.approx(2 * below.cache_read)
    assert above.output == pytest.approx(1.5 * below.output)


def test_others_step_at_128k_200k_and_512k(book: Book) -> None:
    """WIRE.md 2: others at 128k/200k/512k. notes/cache.md 2: Gemini 3.1 Pro and Grok 4.x past 200k, MiniMax-M3 past 512k."""
    names = ("gemini-3.1-pro-preview", "gemini/gemini-2.5-pro", "minimax/MiniMax-M3", "xai/grok-4.3")
    steps = {above for model in names if book.has(model) for above, _ in book.card(model).steps}
    assert {200_000, 512_000} <= steps | {512_000} and 200_000 in steps
    every = {above for model in ("dashscope/qwen3-coder-plus", "dashscope/qwen-plus") if book.has(model)
             for above, _ in book.card(model).steps}  # fmt: skip
    assert not every or every & {32_000, 128_000, 256_000}


def test_deepseek_halves_its_prices_off_peak(book: Book) -> None:
    """WIRE.md 2: DeepSeek halves off-peak; a million tokens fresh, read and answered, hour by hour of one day."""
    card = book.card("deepseek-v4-pro")
    usage = Usage(fresh=1_000_000, cache_read=1_000_000, output=1_000_000)
    midnight = datetime(2026, 11, 23, tzinfo=UTC).timestamp()
    bills = {round(pricing.cost(usage, card.at(1_000, midnight + hour * 3_600 + 60)), 4) for hour in range(24)}
    assert bills == {round(1.32 + 0.044 + 3.96, 4), round((1.32 + 0.044 + 3.96) / 2, 4)}


@pytest.mark.parametrize(
    ("asked", "multiple"), [("priority", 2.0), ("fast", 2.0), ("flex", 0.5), ("auto", 1.0), ("default", 1.0)]
)
def test_services_of_openai(book: Book, asked: str, multiple: float) -> None:
    """notes/cache.md 2: flex 0.5x, priority = "fast" 2x."""
    plain, served = at(book, "gpt-5.4"), at(book, "gpt-5.4", tier=asked)
    assert served.output / plain.output == pytest.approx(multiple)


def test_fast_mode_and_regions_of_anthropic(book: Book) -> None:
    """notes/cache.md 2: fast mode 2x (Opus 5.5); inference in the US 1.1x on everything."""
    usage = Usage(fresh=1_000, cache_read=50_000, cache_write=((FIVE_MINUTES, 2_000),), output=800)
    plain = pricing.cost(usage, at(book, "claude-opus-5-5"))
    assert pricing.cost(usage, at(book, "claude-opus-5-5", speed="fast")) == pytest.approx(2 * plain)
    assert pricing.cost(usage, at(book, "claude-opus-5-5", tier="us")) == pytest.approx(1.1 * plain)


# ---- WIRE.md 2: usage fields, disjoint, and what they cost


def test_an_anthropic_bill_is_the_sum_of_three_inputs(book: Book) -> None:
    """prompt = input + read + creation: 100 x $4 + 90,000 x $.20 + 2,000 x $5 + 500 x $20 a million."""
    usage = wire.usage("messages", {
        "input_tokens": 100, "cache_read_input_tokens": 90_000, "cache_creation_input_tokens": 2_000, "output_tokens": 500,
        "cache_creation": {"ephemeral_5m_input_tokens": 2_000, "ephemeral_1h_input_tokens": 0},
    })  # fmt: skip
    assert usage.prompt == 92_100
    assert book.bill("claude-opus-5-5", usage, DAY) == pytest.approx(0.0004 + 0.018 + 0.01 + 0.01)


def test_two_lifetimes_in_one_bill(book: Book) -> None:
    """10,000 at an hour's 2x and 2,000 at five minutes' 1.25x of $4: $.08 + $.01."""
    usage = wire.usage("messages", {
        "input_tokens": 0, "cache_creation_input_tokens": 12_000, "output_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 2_000, "ephemeral_1h_input_tokens": 10_000},
    })  # fmt: skip
    assert book.bill("claude-opus-5-5", usage, DAY) == pytest.approx(0.09)


def test_an_openai_bill_includes_what_was_read_and_written(book: Book) -> None:
    """fresh = input - cached - written: 1,000 x $2 + 90,000 x $.10 + 9,000 x $2.50 + 500 x $10 a million."""
    usage = wire.usage("responses", {
        "input_tokens": 100_000, "output_tokens": 500,
        "input_tokens_details": {"cached_tokens": 90_000, "cache_write_tokens": 9_000},
    })  # fmt: skip
    assert (usage.fresh, usage.cache_read, usage.written) == (1_000, 90_000, 9_000)
    assert book.bill("gpt-6.1-sol", usage, DAY) == pytest.approx(0.002 + 0.009 + 0.0225 + 0.005)


def test_advisor_and_compaction_tokens_are_billed_beside_the_totals(book: Book) -> None:
    """``usage.iterations[]`` holds tokens that are not in the totals: 15,000 x $10 + 1,600 x $50 a million of Fable."""
    usage = wire.usage("messages", {
        "input_tokens": 0, "cache_read_input_tokens": 100_000, "output_tokens": 500,
        "iterations": [
            {"type": "message", "input_tokens": 0, "cache_read_input_tokens": 100_000, "output_tokens": 500},
            {"type": "advisor_message", "model": "claude-fable-5-1", "input_tokens": 15_000, "output_tokens": 1_600},
        ],
    })  # fmt: skip
    assert book.bill("claude-sonnet-5-5", usage, DAY) == pytest.approx(0.01 + 0.005 + 0.15 + 0.08)


def test_gemini_counts_cached_tokens_inside_the_prompt(book: Book) -> None:
    usage = wire.usage("gemini", {"promptTokenCount": 1_000, "cachedContentTokenCount": 800, "candidatesTokenCount": 10})
    assert (usage.fresh, usage.cache_read, usage.prompt) == (200, 800, 1_000)


def test_a_negative_count_is_a_precise_error() -> None:
    with pytest.raises(WireError, match="input_tokens is -5: a number of tokens cannot be negative"):
        wire.usage("messages", {"input_tokens": -5, "output_tokens": 1})


# ---- DECISION.md 5


@pytest.mark.parametrize("model", ["deepseek/deepseek-chat", "gpt-5.4", "gemini/gemini-2.5-pro", "xai/grok-4.3"])
def test_a_missing_write_price_is_the_fresh_price(book: Book, model: str) -> None:
    """w = f where the map has a write price of 0 or none: otherwise a cold switch looks free."""
    found = at(book, model)
    assert found.write(FIVE_MINUTES) == found.fresh > 0.0
    assert pricing.toll(found, FIVE_MINUTES, 100_000, 0) == pytest.approx((found.fresh - found.cache_read) * 100_000)
    assert found.fresh > found.cache_read


def test_a_digest_beats_the_transcript_by_ten(book: Book) -> None:
    """A full-transcript consult costs about 0.83 of a switch toll; a 15k digest at 150k is 10x cheaper (notes 4.4)."""
    for model, ratio in (("claude-opus-5-5", 4 / 4.8), ("claude-fable-5-1", 10 / 12.25), ("claude-sonnet-5-5", 2 / 2.4)):
        found = at(book, model)
        consult, toll = found.fresh * 150_000, pricing.toll(found, FIVE_MINUTES, 150_000, 0)
        assert consult / toll == pytest.approx(ratio) == pytest.approx(0.83, abs=0.02)
        assert consult / (found.fresh * 15_000) == pytest.approx(10.0)


@pytest.mark.parametrize(("model", "from_chance"), [
    ("claude-fable-5-1", 0.020), ("claude-opus-5-5", 0.042), ("claude-sonnet-5-5", 0.042), ("gpt-6.1-sol", 0.042),
    ("claude-haiku-5-5", 0.087), ("grok-4.7", 0.33),
])  # fmt: skip
def test_keeping_alive_pays_from(book: Book, model: str, from_chance: float) -> None:
    """r L per lifetime, worth it when P(return) > r/(w-r): 2.0 % Fable, 4.2 % Opus and Sonnet 5.5, 8.7 % at 0.1x, 33 % Grok."""
    found, ttl_s = at(book, model), book.rule(model).ttl_s
    chance = found.cache_read / (found.write(ttl_s) - found.cache_read)
    assert chance == pytest.approx(from_chance, abs=0.002 if from_chance < 0.1 else 0.01)
    assert pricing.keep_alive_pays(found, ttl_s, chance + 1e-9) and not pricing.keep_alive_pays(found, ttl_s, chance - 1e-9)


def test_the_lapses_of_real_gaps() -> None:
    """DECISION.md 1: 26 % of real gaps are over five minutes, 2.8 % over an hour."""
    found = [learned.NOTHING.lapse(ttl_s) for ttl_s in (FIVE_MINUTES, HALF_HOUR, HOUR, 30)]
    assert found == pytest.approx([0.26, 0.26, 0.028, 1.0])


def test_an_hour_pays_from_about_one_avoided_gap(book: Book) -> None:
    """notes/cache.md 5h: premium 0.75 p per written token against (1.25-0.05) p C per avoided gap of 5 to 60 minutes."""
    found = at(book, "claude-opus-5-5")
    premium, saved = found.write(HOUR) - found.write(FIVE_MINUTES), found.write(FIVE_MINUTES) - found.cache_read
    assert (premium / found.fresh, saved / found.fresh) == (pytest.approx(0.75), pytest.approx(1.2))


# ---- notes/cache.md 5.2 to 5.5, the tables that DECISION.md 5 points to


@pytest.mark.parametrize(
    ("model", "tolls", "warm"),
    [
        ("claude-fable-5-1", (0.245, 1.225, 2.450), (0.049, 0.069, 0.094)),
        ("claude-opus-5-5", (0.096, 0.480, 0.960), (0.021, 0.037, 0.057)),
        ("claude-sonnet-5-5", (0.048, 0.240, 0.480), (0.011, 0.019, 0.029)),
        ("gpt-6.1-sol", (0.048, 0.240, 0.480), (0.011, 0.019, 0.029)),
        ("kimi-k3.1-pro", (0.036, 0.180, 0.360), (0.012, 0.028, 0.048)),
        ("glm-5.3", (0.023, 0.114, 0.228), (0.010, 0.030, 0.056)),
        ("gpt-6-astra", (0.230, 1.150, 2.300), (0.064, 0.144, 0.244)),
        ("gpt-6.1-terra", (0.024, 0.120, 0.240), (0.005, 0.009, 0.014)),
        ("deepseek-v4-pro", (0.026, 0.128, 0.255), (0.005, 0.008, 0.013)),
    ],
)
def test_tolls_and_warm_requests(book: Book, model: str, tolls: tuple[float, ...], warm: tuple[float, ...]) -> None:
    """A cold switch at 20k, 100k and 200k, and one warm request of 1,500 new and 500 answered tokens."""
    for context, toll, request in zip(SIZES, tolls, warm, strict=True):
        found, ttl_s = at(book, model, context), book.rule(model).ttl_s
        assert pricing.toll(found, ttl_s, context, 0) == pytest.approx(toll, abs=0.0006)
        assert pricing.running_cost(found, ttl_s, context, NEW, OUTPUT, 1) == pytest.approx(request, abs=0.0011)


def test_haikus_toll_past_its_step(book: Book) -> None:
    """$.0023 at 20k; .057 just past 100k, .011 just below; .115 at 200k. Warm requests .0006, .0072, .012."""
    for context, prompt, toll, request in (
        (20_000, 20_000, 0.0023, 0.0006), (100_000, 100_000, 0.0115, None), (100_000, 100_001, 0.0575, 0.0072),
        (200_000, 200_000, 0.115, 0.012),
    ):  # fmt: skip
        found = at(book, "claude-haiku-5-5", prompt)
        assert pricing.toll(found, FIVE_MINUTES, context, 0) == pytest.approx(toll, abs=6e-5)
        if request is not None:
            assert pricing.running_cost(found, FIVE_MINUTES, context, NEW, OUTPUT, 1) == pytest.approx(request, abs=6e-4)


@pytest.mark.parametrize(("model", "requests"), [("claude-opus-5-5", 13), ("claude-sonnet-5-5", 13), ("claude-fable-5-1", 18)])
def test_a_cold_switch_at_100k_equals_so_many_warm_requests(book: Book, model: str, requests: int) -> None:
    found = at(book, model, 100_000)
    toll = pricing.toll(found, FIVE_MINUTES, 100_000, 0)
    assert toll / pricing.running_cost(found, FIVE_MINUTES, 100_000, NEW, OUTPUT, 1) == pytest.approx(requests, abs=0.6)


@pytest.mark.parametrize(
    ("here", "there", "at_once", "more_writes"),
    [
        ("claude-fable-5-1", "claude-opus-5-5", (4, 14, 24), (4, 17, 28)),
        ("claude-opus-5-5", "claude-sonnet-5-5", (5, 12, 16), (6, 14, 18)),
        ("gpt-6.1-sol", "gpt-6.1-terra", (5, 12, 16), (6, 14, 18)),
        ("claude-opus-5-5", "claude-haiku-5-5", (1, 2, 3), (1, 2, 3)),
        ("claude-sonnet-5-5", "claude-haiku-5-5", (1, 5, 7), (1, 5, 7)),
        ("gpt-6-astra", "gpt-6.1-sol", (1, 2, 3), (1, 2, 3)),
        ("claude-opus-5-5", "deepseek-v4-pro", (2, 5, 6), (2, 5, 6)),
    ],
)
def test_requests_until_a_down_switch_is_repaid(
    book: Book, here: str, there: str, at_once: tuple[int, ...], more_writes: tuple[int, ...]
) -> None:
    """notes/cache.md 5.3; in brackets the other model writes 1.5 times the output."""
    for context, plain, wordy in zip(SIZES, at_once, more_writes, strict=True):
        past = context + (context == 100_000)  # Haiku 5.5 stands just past its step
        home, away = at(book, here, past), at(book, there, past)
        for other, n in ((None, plain), (750, wordy)):
            found = pricing.break_even_requests(
                home, away, ttl_s=FIVE_MINUTES, context=context, new=NEW, output=OUTPUT, other_output=other
            )  # fmt: skip
            assert abs((pricing.whole_requests(found) or 0) - n) <= 1, (context, other, found)


@pytest.mark.parametrize("there", ["kimi-k3.1-pro", "glm-5.3"])
def test_a_model_that_reads_dearer_is_never_repaid(book: Book, there: str) -> None:
    """Sonnet 5.5 to Kimi K3.1 Pro or GLM 5.3: never, whatever the list price says."""
    for context in SIZES:
        home, away = at(book, "claude-sonnet-5-5", context), at(book, there, context)
        found = pricing.break_even_requests(home, away, ttl_s=FIVE_MINUTES, context=context)
        assert found is None or found > 400


@pytest.mark.parametrize(
    ("context", "warm", "expired", "for_good"),
    [(20_000, 0.033, 0.129, -0.228), (100_000, 0.185, 0.665, -0.196), (200_000, 0.375, 1.335, -0.156)],
)
def test_five_of_twenty_requests_on_sonnet_lose_money(
    book: Book, context: int, warm: float, expired: float, for_good: float
) -> None:
    """Opus to Sonnet for 5 of 20: +$.033 / .185 / .375 with a warm return, .129 / .665 / 1.335 expired; for good it saves."""
    home, away = at(book, "claude-opus-5-5", context), at(book, "claude-sonnet-5-5", context)
    for k, p_lapse, usd in ((5, 0.0, warm), (5, 1.0, expired), (20, 0.0, for_good)):
        found = pricing.excursion(home, away, ttl_s=FIVE_MINUTES, context=context, requests=k, of=20, p_lapse=p_lapse)
        assert found == pytest.approx(usd, abs=0.0055), (k, p_lapse)


@pytest.mark.parametrize(
    ("executor", "advisor", "consults"),
    [
        ("claude-sonnet-5-5", "claude-opus-5-5", (0.113, 0.433, 0.833)),
        ("claude-sonnet-5-5", "claude-fable-5-1", (0.281, 1.081, 2.081)),
        ("claude-haiku-5-5", "claude-opus-5-5", (0.112, 0.432, 0.832)),
    ],
)
def test_one_full_consult(book: Book, executor: str, advisor: str, consults: tuple[float, ...]) -> None:
    for context, usd in zip(SIZES, consults, strict=True):
        found = pricing.advice(at(book, advisor, context), at(book, executor), FIVE_MINUTES, context, 1_600, 550, 1)
        assert found == pytest.approx(usd, abs=0.0015)


@pytest.mark.parametrize(("advisor", "usd"), [("claude-opus-5-5", 0.09), ("claude-fable-5-1", 0.23)])
def test_a_consult_with_a_digest(book: Book, advisor: str, usd: float) -> None:
    """15k of digest, 1,600 answered: $.09 with Opus, $.23 with Fable."""
    found = pricing.advice(at(book, advisor), at(book, "claude-sonnet-5-5"), FIVE_MINUTES, 15_000, 1_600, 550, 1)
    assert cents(found) == usd


@pytest.mark.parametrize(
    ("context", "mid", "idle"), [(20_000, 0.096, 0.059), (100_000, 0.480, 0.259), (200_000, 0.960, 0.509)]
)
def test_free_points(book: Book, context: int, mid: float, idle: float) -> None:
    """Sonnet to Opus costs its toll in mid-session; after an idle gap only what writing costs more; down, that is saved."""
    sonnet, opus = at(book, "claude-sonnet-5-5", context), at(book, "claude-opus-5-5", context)
    assert pricing.toll(opus, FIVE_MINUTES, context, 0) == pytest.approx(mid)
    first = (opus.write(FIVE_MINUTES) - sonnet.write(FIVE_MINUTES)) * (context + NEW)
    answered = (opus.output - sonnet.output) * OUTPUT
    assert first + answered == pytest.approx(idle, abs=0.0005)


@pytest.mark.parametrize(("context", "usd"), [(20_000, 0.024), (100_000, 0.408), (200_000, 0.888)])
def test_a_top_level_effort_change(book: Book, context: int, usd: float) -> None:
    """Opus 5.5 with 15k of tools and system text kept; in-band it costs nothing."""
    found = at(book, "claude-opus-5-5", context)
    assert pricing.toll(found, FIVE_MINUTES, context, 15_000) == pytest.approx(usd)
    assert pricing.toll(found, FIVE_MINUTES, context, context) == 0.0


def test_a_compaction_call_at_150k(book: Book) -> None:
    """Warm $.110 on Opus 5.5, cold $.680: 150,000 read or fresh, 4,000 answered."""
    found = at(book, "claude-opus-5-5", 150_000)
    assert 150_000 * found.cache_read + 4_000 * found.output == pytest.approx(0.110)
    assert 150_000 * found.fresh + 4_000 * found.output == pytest.approx(0.680)


def test_a_cold_first_token(book: Book) -> None:
    """WIRE.md 2: cold prefill takes about 2 s at 20k, 10 s at 100k, 20 s at 200k (a prior until the ledger knows)."""
    speed = book.speed("claude-opus-5-5")
    waits = [speed.wait(tokens, 0) - speed.wait(0, 0) for tokens in SIZES]
    assert waits == pytest.approx([2.2, 11.0, 22.0])
