"""What a provider still holds: lifetimes, minimums, prefixes, branches, marks, machines, clocks."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.core import cache
from pointsman.core.book import Book
from pointsman.core.cache import Moment
from pointsman.core.messages import Message
from pointsman.core.types import FIVE_MINUTES, HOUR, Request, Usage
from pointsman.core.warmth import MATERIAL, CacheRule, Head, Warm, Warmth
from pointsman.shell.prices import load_book

SEEN_COLD = {"loop": (0.0025, 1_000.0), "loop new": (0.01, 20.0), "loop settled": (0.0025, 100.0), "turn": (0.035, 100.0),
             "turn 1h": (0.09, 50.0), "turn 1h idle": (0.16, 20.0), "turn day idle": (0.5, 4.0), "command": (0.7, 5.0),
             "late": (0.83, 20.0)}  # fmt: skip
CLAUDE = CacheRule("anthropic", min_tokens=512, lookback=20, cold=SEEN_COLD, p_head=0.93)
OLD_OPENAI = CacheRule("openai", min_tokens=1_024, block=128, explicit=False, half_life_s=900, cold=SEEN_COLD, p_head=0.93)
NEW_OPENAI = CacheRule(
    "openai", ttl_s=1_800, explicit=False, writes=((1_800, 1.25), (43_200, 2.5)), half_life_s=1_800, cold=SEEN_COLD, p_head=0.93
)
HEAD_OF_FIRST = 20_000 * 40 // 43
"""The head by characters: 40,000 of the 43,000 that were billed as 20,000 tokens."""
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
    seconds: float, asked: Request = NEXT, rule: CacheRule = CLAUDE, held: Warmth | None = HELD, moment: Moment = "loop"
) -> Warm:
    return cache.predict(held, asked, 21_000, rule, START + seconds, moment)


# ---- lifetime


def test_what_was_billed_as_read_or_written_is_warm_until_the_lifetime_ends() -> None:
    assert after(200) == Warm(19_990, pytest.approx(0.9975), START + FIVE_MINUTES, HEAD_OF_FIRST, 0.93, "loop")
    assert after(299.9).likely == 19_990
    assert after(300).likely == 0 and after(600) == Warm(), "certain only after twice the lifetime"


def test_a_short_lifetime_that_is_just_over_is_sometimes_read_all_the_same() -> None:
    """17 % of 120 real requests between one and two lifetimes of 5 minutes; an hour ends when it ends."""
    assert (after(300).tokens, after(599).p) == (19_990, pytest.approx(0.17))
    assert cache.predict(replace(HELD, ttl_s=HOUR), NEXT, 21_000, CLAUDE, START + HOUR, "turn") == Warm()


def test_the_lifetime_counts_from_the_start_of_the_request_and_a_hit_restarts_it() -> None:
    again = cache.touch(HELD, NEXT, Usage(cache_read=19_990, cache_write=((FIVE_MINUTES, 1_000),)), START + 250, FIVE_MINUTES)
    assert again.touched == START + 250
    assert cache.predict(again, NEXT, 21_000, CLAUDE, START + 540).tokens == 20_990


def test_an_hour_holds_an_hour() -> None:
    held = cache.touch(None, FIRST, USAGE, START, HOUR)
    assert after(3_599, held=held).until == START + HOUR
    assert after(3_600, held=held) == Warm()


def test_another_api_key_finds_nothing_until_a_bill_shows_that_the_keys_share_a_cache() -> None:
    """Two keys of one workspace read what either wrote; keys of two workspaces or organisations never do (WIRE.md 2)."""
    held = cache.touch(None, replace(FIRST, key=11), USAGE, START, FIVE_MINUTES)
    other = replace(NEXT, key=12)
    assert after(20, replace(NEXT, key=11), held=held).tokens == 19_990
    assert after(20, other, held=held).tokens == 0
    apart = cache.touch(held, other, Usage(cache_write=((FIVE_MINUTES, 20_990),)), START + 20, FIVE_MINUTES)
    assert after(40, replace(request(history(7)), key=11), held=apart).tokens == 0
    shared = cache.touch(held, other, Usage(cache_read=19_990, fresh=1_000), START + 20, FIVE_MINUTES)
    assert after(40, replace(request(history(7)), key=11), held=shared).tokens == 19_990
    assert after(20, NEXT, held=held).tokens == 19_990, "no key seen: nothing is known of a change"


def test_a_turn_start_is_cold_more_often_than_a_request_inside_a_turn() -> None:
    hour = replace(HELD, ttl_s=HOUR)
    assert [after(10, moment=moment).p for moment in ("loop", "turn", "command")] == pytest.approx([0.9975, 0.965, 0.3])
    assert [after(s, held=hour, moment="turn").p for s in (10, 301)] == pytest.approx([0.91, 0.84])


def test_chances_are_learned_from_what_was_seen_and_shrunk_to_the_prior() -> None:
    """The prior of a turn start weighs 100: after 100 turns that were all cold, (3.5 + 100) / 200."""
    assert cache.p_cold(CLAUDE, "turn", {"turn": (0, 100)}) == pytest.approx(0.5175)
    assert cache.p_cold(CLAUDE, "turn", {"turn": (900, 0)}) == pytest.approx(0.0035)
    assert cache.p_cold(CLAUDE, "turn") == pytest.approx(0.035)
    assert cache.p_cold(replace(CLAUDE, p_hit=0.8), "turn") == pytest.approx(0.228)


# ---- the point forecast


def test_a_forecast_prices_in_what_is_material_and_leaves_out_what_is_not() -> None:
    """In a loop 0.25 % is left out; at a turn start 3.5 % of 19,990 tokens count as the head's 18,604, read with .93."""
    assert after(10).reckoned == 19_990
    assert after(10, moment="turn").reckoned == pytest.approx(0.965 * 19_990 + 0.035 * 0.93 * HEAD_OF_FIRST)
    assert after(10, moment="command").likely == HEAD_OF_FIRST


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 100_000), st.integers(0, 100_000))
def test_forecasts_stay_between_nothing_and_the_whole_prefix(p: float, p_head: float, tokens: int, head: int) -> None:
    warm = Warm(tokens, p, None, min(head, tokens), p_head)
    assert 0 <= warm.reckoned <= tokens + 1e-6 and 0 <= warm.expected <= tokens + 1e-6
    assert abs(warm.reckoned - warm.expected) <= 2 * MATERIAL * tokens + 1e-6
    share = replace(warm, cell="loop").rare_share()
    assert share is None or 0.0 <= share < 0.1, "a chance of a quarter or more is priced in"
    assert warm.likely in (0, warm.head, warm.tokens)


def test_a_clock_that_jumps_back_neither_fails_nor_prolongs() -> None:
    jumped = after(-5_000)
    assert jumped.likely == 19_990 and jumped.until is not None
    assert jumped.until <= START - 5_000 + FIVE_MINUTES
    assert cache.touch(HELD, NEXT, USAGE, START - 5_000, FIVE_MINUTES).touched == START - 5_000


def test_an_automatic_cache_fades_instead_of_ending() -> None:
    held = cache.touch(None, FIRST, Usage(fresh=20_000), START, FIVE_MINUTES)
    inside, later, much = (after(s, rule=OLD_OPENAI, held=held) for s in (100, 300 + 900, 300 + 9_000))
    assert inside.until is None
    assert (inside.p, later.p, much.p) == (pytest.approx(0.99), pytest.approx(0.5), pytest.approx(1 / 1_024))


# ---- what is held


def test_nothing_is_warm_before_the_first_request_or_below_the_minimum() -> None:
    assert after(1, held=None) == Warm()
    assert cache.predict(HELD, NEXT, 500, CLAUDE, START) == Warm()
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
    assert cache.predict(HELD, FIRST, 15_000, CLAUDE, START).tokens == 15_000


def test_beyond_the_look_back_only_the_head_is_found() -> None:
    near, far = request(history(3 + 20)), request(history(3 + 21))
    assert after(1, near).likely == 19_990
    assert (after(1, far).tokens, after(1, far).likely) == (0, HEAD_OF_FIRST)
    assert after(1, far, rule=replace(CLAUDE, lookback=0)).likely == 19_990


# ---- the head


def test_a_summary_in_place_of_the_history_still_reads_the_head() -> None:
    compacted = after(1, request(history(1, seed=9)))
    assert (compacted.p, compacted.likely, compacted.p_head) == (0.0, HEAD_OF_FIRST, 0.93)
    assert after(600, request(history(1, seed=9))) == Warm()


def test_the_head_is_as_long_as_a_cold_request_has_read() -> None:
    cold = Usage(cache_read=12_496, cache_write=((FIVE_MINUTES, 9_000),))
    missed = cache.touch(HELD, NEXT, cold, START + 60, FIVE_MINUTES)
    assert missed.head == 12_496
    grown = cache.touch(missed, request(history(7)), Usage(cache_read=21_496), START + 90, FIVE_MINUTES)
    assert (grown.head, grown.cached) == (12_496, 21_496), "a warm request says nothing about the head"
    assert after(91, request(history(1, seed=9)), held=grown).likely == 12_496
    assert cache.touch(None, FIRST, replace(cold, cache_read=9_000), START, HOUR).head == 9_000, "another session's head"
    assert cache.touch(missed, replace(NEXT, tools=3), USAGE, START + 99, HOUR).head == 0, "other tools, another head"


def test_a_rewound_history_does_not_pass_for_a_head() -> None:
    back = cache.touch(HELD, request(history(1)), Usage(cache_read=19_069), START + 30, FIVE_MINUTES)
    assert back.head == 0


def test_a_head_that_another_session_keeps_warm_is_warm_here() -> None:
    elsewhere = Head(16_606, START + 900, FIVE_MINUTES)
    late = cache.predict(HELD, NEXT, 21_000, CLAUDE, START + 1_000, "turn", elsewhere=elsewhere)
    assert (late.p, late.head, late.p_head, late.until) == (0.0, 16_606, 0.93, START + 1_200)
    switch = cache.predict(None, NEXT, 21_000, CLAUDE, START + 1_000, elsewhere=elsewhere)
    assert (switch.likely, switch.p) == (16_606, 0.0)
    assert cache.predict(None, NEXT, 21_000, CLAUDE, START + 1_201, elsewhere=elsewhere) == Warm()


def test_only_a_prefix_that_should_have_been_read_teaches() -> None:
    hit, miss = Usage(cache_read=19_990, fresh=1_010), Usage(cache_read=16_496, cache_write=((FIVE_MINUTES, 4_504),))
    assert cache.was_warm(after(10), 20_000, hit) is True
    assert cache.was_warm(after(10), 22_000, replace(miss, cache_read=9_000)) is False
    assert cache.was_warm(after(10, request(history(1, seed=9))), 20_000, miss) is None
    assert cache.was_warm(after(10), 20_000, Usage()) is None


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
    st.sampled_from(("loop", "turn", "command")),
    st.sampled_from((CLAUDE, OLD_OPENAI, NEW_OPENAI)),
)
def test_a_prediction_is_within_the_prompt_and_is_a_probability(
    written: int, prompt: int, age: float, moment: Moment, rule: CacheRule
) -> None:
    held = cache.touch(None, FIRST, Usage(fresh=100, cache_write=((FIVE_MINUTES, written),)), START, FIVE_MINUTES)
    warm = cache.predict(held, NEXT, prompt, rule, START + age, moment)
    assert 0 <= warm.tokens <= prompt and 0.0 <= warm.p <= 1.0
    assert (warm.tokens == 0) == (warm.p == 0.0)
    assert warm.tokens % rule.block == 0


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
    assert rule.p_head == 0.93 and (rule.provider == "openai") == (rule.cold["turn"][0] == 0.1)
    assert rule.provider == "openai" or rule.cold == SEEN_COLD


def test_automatic_hits_are_not_promised(book: Book) -> None:
    assert book.rule("gemini-4-argon").p_hit < 1.0
    held = cache.touch(None, replace(FIRST, protocol="gemini"), Usage(fresh=20_000), START, FIVE_MINUTES)
    assert after(1, rule=book.rule("gemini-4-argon"), held=held).p == pytest.approx(0.8 * 0.99)


def test_other_tools_leave_what_was_held_under_the_old_ones_warm_beside_them() -> None:
    """A client that loads tools for one request and drops them again comes back to its prefix."""
    other = request(history(5), tools=9)
    held = cache.touch(HELD, other, Usage(fresh=10, cache_write=((FIVE_MINUTES, 25_000),)), START + 20, FIVE_MINUTES)
    assert held.branch is not None and held.branch.tools == 7
    back = cache.predict(held, NEXT, 21_000, CLAUDE, START + 40)
    assert back.tokens == 19_990 and cache.predict(replace(held, branch=None), NEXT, 21_000, CLAUDE, START + 40).tokens == 0


def test_under_an_hours_mark_lives_the_head_with_the_messages_before_it() -> None:
    said = (*history(2), replace(history(3)[2], mark_s=HOUR), *history(5)[3:])
    held = cache.touch(None, request(said, head_ttl_s=HOUR), Usage(cache_write=((FIVE_MINUTES, 19_990),)), START, FIVE_MINUTES)
    later = cache.predict(held, request((*said, *history(7)[5:])), 21_000, CLAUDE, START + 600)
    assert later.head == 19_990 * 43 // 45, "40,000 characters of the head and three messages of 1,000, of 45,000"


def test_a_mark_is_set_again_only_where_a_marked_cache_lies_out_of_reach() -> None:
    long = request(history(40))
    assert cache.recall(HELD, long, CLAUDE) == 3
    assert cache.recall(HELD, request(history(8)), CLAUDE) == 0, "a message is four positions at most"
    assert cache.recall(None, long, CLAUDE) == cache.recall(HELD, long, OLD_OPENAI) == 0
    assert cache.recall(HELD, request(history(40), ttl_s=None), CLAUDE) == 0, "the client asks for no cache"
    assert cache.recall(HELD, request(history(40), tools=9), CLAUDE) == 0, "nothing is there to be found"
    assert cache.recall(HELD, long, replace(CLAUDE, lookback=0)) == 0
