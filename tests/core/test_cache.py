"""What a provider still holds: lifetimes, minimums, prefixes, clocks; and how many tokens a prompt has."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.core import cache
from pointsman.core.book import Book
from pointsman.core.cache import CacheRule, Warm, Warmth
from pointsman.core.types import FIVE_MINUTES, HOUR, Message, Request, Usage
from pointsman.shell.prices import load_book

CLAUDE = CacheRule("anthropic", min_tokens=512, lookback=20)
OLD_OPENAI = CacheRule("openai", min_tokens=1_024, block=128, explicit=False, half_life_s=900)
NEW_OPENAI = CacheRule("openai", ttl_s=1_800, explicit=False, writes=((1_800, 1.25), (43_200, 2.5)), half_life_s=1_800)
START = 1_000_000.0


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book(today=date(2026, 11, 22))


def history(n: int, chars: int = 1_000, seed: int = 0) -> tuple[Message, ...]:
    """``n`` messages in turn by the user and the assistant."""
    return tuple(
        Message(hash((seed, i)), "user" if i % 2 == 0 else "assistant", "prompt" if i % 2 == 0 else "assistant", chars)
        for i in range(n)
    )


def request(messages: tuple[Message, ...], **fields: object) -> Request:
    values: dict[str, object] = {
        "protocol": "messages", "path": "/v1/messages", "model": "claude-opus-5-5", "tools": 7, "system": 8,
        "head_chars": 40_000, "messages": messages, "ttl_s": FIVE_MINUTES, **fields,
    }  # fmt: skip
    return Request(**values)  # type: ignore[arg-type]  # a test's short hand


FIRST = request(history(3))
USAGE = Usage(fresh=10, cache_write=((FIVE_MINUTES, 19_990),), output=300)
HELD = cache.touch(None, FIRST, USAGE, START, FIVE_MINUTES)
NEXT = request(history(5))


def after(
    seconds: float, asked: Request = NEXT, rule: CacheRule = CLAUDE, held: Warmth | None = HELD, new_turn: bool = False
) -> Warm:
    return cache.predict(held, asked, 21_000, rule, START + seconds, new_turn)


# ---- lifetime


def test_what_was_billed_as_read_or_written_is_warm_until_the_lifetime_ends() -> None:
    assert after(200) == Warm(19_990, pytest.approx(0.993), START + FIVE_MINUTES)
    assert after(299.9).tokens == 19_990
    assert after(300) == Warm()


def test_the_lifetime_counts_from_the_start_of_the_request_and_a_hit_restarts_it() -> None:
    again = cache.touch(HELD, NEXT, Usage(cache_read=19_990, cache_write=((FIVE_MINUTES, 1_000),)), START + 250, FIVE_MINUTES)
    assert again.touched == START + 250
    assert cache.predict(again, NEXT, 21_000, CLAUDE, START + 540, False).tokens == 20_990


def test_an_hour_holds_an_hour() -> None:
    held = cache.touch(None, FIRST, USAGE, START, HOUR)
    assert after(3_599, held=held).until == START + HOUR
    assert after(3_600, held=held) == Warm()


def test_a_turn_start_is_cold_more_often_than_a_request_inside_a_turn() -> None:
    assert after(10, new_turn=True).p == pytest.approx(0.90)
    assert after(10, new_turn=False).p == pytest.approx(0.993)


def test_a_clock_that_jumps_back_neither_fails_nor_prolongs() -> None:
    jumped = after(-5_000)
    assert jumped.tokens == 19_990 and jumped.until is not None
    assert jumped.until <= START - 5_000 + FIVE_MINUTES
    assert cache.touch(HELD, NEXT, USAGE, START - 5_000, FIVE_MINUTES).touched == START - 5_000


def test_an_automatic_cache_fades_instead_of_ending() -> None:
    held = cache.touch(None, FIRST, Usage(fresh=20_000), START, FIVE_MINUTES)
    inside, later, much = (after(s, rule=OLD_OPENAI, held=held) for s in (100, 300 + 900, 300 + 9_000))
    assert inside.until is None
    assert (later.p, much.p) == (pytest.approx(inside.p / 2), pytest.approx(inside.p / 1_024))


# ---- what is held


def test_nothing_is_warm_before_the_first_request_or_below_the_minimum() -> None:
    assert after(1, held=None) == Warm()
    assert cache.predict(HELD, NEXT, 500, CLAUDE, START, False) == Warm()
    small = cache.touch(None, FIRST, Usage(cache_write=((FIVE_MINUTES, 400),)), START, FIVE_MINUTES)
    assert after(1, held=small) == Warm()


def test_automatic_caches_hold_the_whole_prompt_in_blocks() -> None:
    held = cache.touch(None, FIRST, Usage(fresh=20_000), START, FIVE_MINUTES)
    assert after(1, rule=OLD_OPENAI, held=held).tokens == 20_000 - 20_000 % 128


def test_billed_writes_say_what_is_held() -> None:
    held = cache.touch(None, FIRST, Usage(fresh=600, cache_write=((1_800, 19_400),)), START, 1_800)
    assert after(1, rule=NEW_OPENAI, held=held).tokens == 19_400


def test_a_marked_cache_is_read_only_by_a_marked_request() -> None:
    assert after(1, replace(NEXT, ttl_s=None)) == Warm()
    assert after(1, replace(NEXT, ttl_s=None), rule=OLD_OPENAI).tokens > 0


def test_a_request_without_a_mark_leaves_what_was_there() -> None:
    unmarked = replace(NEXT, ttl_s=None)
    assert cache.touch(HELD, unmarked, Usage(fresh=21_000), START + 60, FIVE_MINUTES) is HELD
    assert cache.touch(HELD, unmarked, Usage(fresh=21_000), START + 600, FIVE_MINUTES).cached == 0


# ---- prefixes


def test_other_tools_or_another_system_text_lose_everything() -> None:
    assert after(1, replace(NEXT, tools=1)) == Warm()
    assert after(1, replace(NEXT, system=1)) == Warm()


def test_a_moved_mark_keeps_the_prefix() -> None:
    moved = tuple(replace(m, mark_s=FIVE_MINUTES if m is NEXT.messages[-1] else None) for m in NEXT.messages)
    marked = cache.touch(
        None, replace(FIRST, messages=tuple(replace(m, mark_s=HOUR) for m in FIRST.messages)), USAGE, START, FIVE_MINUTES
    )
    assert after(1, replace(NEXT, messages=moved), held=marked).tokens == 19_990


def test_a_history_that_differs_earlier_keeps_its_share_by_characters() -> None:
    """40,000 characters of head and 1 of 3 messages of 1,000 are common: 41/43 of 20,000 billed tokens."""
    edited = NEXT.messages[:1] + history(4, seed=1)
    assert after(1, request(edited)).tokens == 20_000 * 41 // 43


def test_a_longer_prefix_than_the_prompt_is_not_claimed() -> None:
    assert cache.predict(HELD, FIRST, 15_000, CLAUDE, START, False).tokens == 15_000


def test_beyond_the_look_back_only_the_head_is_found() -> None:
    near, far = request(history(3 + 20)), request(history(3 + 21))
    assert after(1, near).tokens == 19_990
    assert after(1, far).tokens == 20_000 * 40 // 43
    assert after(1, far, rule=replace(CLAUDE, lookback=0)).tokens == 19_990


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 200))
def test_common_is_the_longest_shared_start(a: int, b: int, same: int) -> None:
    same = min(a, b, same)
    shared = history(same)
    old, new = shared + history(a - same, seed=1), tuple(replace(m, mark_s=HOUR) for m in shared) + history(b - same, seed=2)
    assert cache.common(old, new) == same
    assert cache.common(new, old) == same


@given(
    st.integers(0, 400_000),
    st.integers(1, 400_000),
    st.floats(-1e6, 1e6),
    st.booleans(),
    st.sampled_from((CLAUDE, OLD_OPENAI, NEW_OPENAI)),
)
def test_a_prediction_is_within_the_prompt_and_is_a_probability(
    written: int, prompt: int, age: float, new_turn: bool, rule: CacheRule
) -> None:
    held = cache.touch(None, FIRST, Usage(fresh=100, cache_write=((FIVE_MINUTES, written),)), START, FIVE_MINUTES)
    warm = cache.predict(held, NEXT, prompt, rule, START + age, new_turn)
    assert 0 <= warm.tokens <= prompt and 0.0 <= warm.p <= 1.0
    assert (warm.tokens == 0) == (warm.p == 0.0)
    assert warm.tokens % rule.block == 0


# ---- tokens


def test_a_later_prompt_is_what_was_billed_and_what_is_new() -> None:
    """20,000 billed, 300 answered, and one message of 1,000 characters at 2.5 each."""
    found = cache.prompt_tokens(NEXT, 3, USAGE, "claude-opus-5-5", "claude-opus-5-5", {"claude-opus-5-5": 2.5}, before=3)
    assert found == 20_000 + 300 + 400


def test_thinking_counts_only_where_it_is_sent_back() -> None:
    usage = replace(USAGE, reasoning=700)
    thought = NEXT.messages[:3] + (replace(NEXT.messages[3], facts=("thinking",)),) + NEXT.messages[4:]
    ratios = {"m": 2.5}
    assert cache.prompt_tokens(NEXT, 3, usage, "m", "m", ratios) == 20_700
    assert cache.prompt_tokens(replace(NEXT, messages=thought), 3, usage, "m", "m", ratios) == 21_400


def test_another_tokenizer_counts_otherwise(book: Book) -> None:
    factor = book.token_factor("claude-haiku-4-5", "claude-opus-5-5")
    assert factor == pytest.approx(1.3)
    assert book.token_factor("claude-opus-5-5", "claude-haiku-4-5") == pytest.approx(1 / 1.3)
    assert book.token_factor("claude-opus-5-5", "claude-sonnet-5-5") == 1.0
    same = cache.prompt_tokens(NEXT, 3, USAGE, "claude-haiku-4-5", "claude-haiku-4-5", {}, factor)
    assert cache.prompt_tokens(NEXT, 3, USAGE, "claude-haiku-4-5", "claude-opus-5-5", {}, factor, prior=3.3 / 1.3) == round(
        same * 1.3
    )


def test_a_first_prompt_goes_by_its_characters(book: Book) -> None:
    assert cache.prompt_tokens(FIRST, 0, None, None, "claude-opus-5-5", {}) == round(43_000 / cache.CHARS_PER_TOKEN)
    prior = book.chars_per_token("claude-opus-5-5")
    assert cache.prompt_tokens(FIRST, 0, None, None, "claude-opus-5-5", {}, prior=prior) == round(
        1.3 * 43_000 / cache.CHARS_PER_TOKEN
    )
    assert cache.prompt_tokens(request((), head_chars=0), 0, None, None, "m", {}) == 1


def test_a_fork_goes_by_the_characters_it_keeps() -> None:
    fork = request(history(1) + history(1, seed=3))
    found = cache.prompt_tokens(fork, 1, USAGE, "m", "m", {"m": 2.15}, before=3)
    assert found == round(41_000 / 2.15 + 1_000 / 2.15)
    assert cache.prompt_tokens(fork, 1, USAGE, "m", "m", {"m": 1.0}, before=3) == 20_000 + 1_000, "never more than was billed"


def test_a_retry_has_the_tokens_it_had() -> None:
    assert cache.prompt_tokens(FIRST, 3, USAGE, "m", "m", {}, before=3) == 20_000


def test_the_ratio_is_learned_from_bills_and_stays_sane() -> None:
    assert cache.learn_ratio(None, 30_000, 10_000) == 3.0
    assert cache.learn_ratio(3.0, 40_000, 10_000) == 3.5
    assert cache.learn_ratio(3.0, 0, 10_000) == cache.learn_ratio(3.0, 10, 0) == 3.0
    assert cache.learn_ratio(None, 0, 0) == cache.CHARS_PER_TOKEN
    assert cache.learn_ratio(None, 10**9, 1) == 12.0 and cache.learn_ratio(None, 1, 10**9) == 1.0


# ---- the shipped rules


@pytest.mark.parametrize(
    ("model", "least", "lifetimes", "explicit"),
    [
        ("claude-fable-5-1", 512, (300, 3_600), True),
        ("claude-haiku-5-5", 512, (300, 3_600), True),
        ("claude-opus-4-7", 2_048, (300, 3_600), True),
        ("claude-sonnet-4-5", 1_024, (300, 3_600), True),
        ("claude-haiku-4-5", 4_096, (300, 3_600), True),
        ("bedrock/us.anthropic.claude-opus-4-5-20251101-v1:0", 4_096, (300, 3_600), True),
        ("gpt-6.1-sol", 1_024, (1_800, 43_200), False),
        ("gpt-5.5", 1_024, (86_400,), False),
        ("gpt-5.4", 1_024, (300,), False),
        ("gemini/gemini-3.8-flash", 4_096, (300,), False),
        ("kimi-k3", 256, (300, 3_600), False),
        ("a-model-of-nobody", 1_024, (300,), False),
    ],
)
def test_every_model_has_its_providers_rule(
    book: Book, model: str, least: int, lifetimes: tuple[int, ...], explicit: bool
) -> None:
    rule = book.rule(model)
    assert (rule.min_tokens, rule.ttls, rule.explicit) == (least, lifetimes, explicit)
    assert rule.ttl_s == lifetimes[0] and rule.source
    assert (rule.p_cold_turn_start, rule.p_cold_in_turn) == (0.10, 0.007)


def test_automatic_hits_are_not_promised(book: Book) -> None:
    assert book.rule("gemini-4-argon").p_hit < 1.0
    held = cache.touch(None, replace(FIRST, protocol="gemini"), Usage(fresh=20_000), START, FIVE_MINUTES)
    assert after(1, rule=book.rule("gemini-4-argon"), held=held).p == pytest.approx(0.8 * 0.993)
