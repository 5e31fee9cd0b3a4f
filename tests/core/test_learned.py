"""What bills teach: chances per provider and cell, heads shared by sessions, times; each shrunk to its prior."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.core import cache, learned
from pointsman.core.book import Book
from pointsman.core.events import Finished
from pointsman.core.learned import NOTHING, Learned, after
from pointsman.core.messages import Message
from pointsman.core.speeds import Speed
from pointsman.core.types import FIVE_MINUTES, HOUR, Config, Place, Request, Usage
from pointsman.core.warmth import Head
from pointsman.shell.prices import load_book

OPUS = "claude-opus-4-5"
START = 1_000_000.0
HISTORY = tuple(Message(i + 1, "user" if i % 2 == 0 else "assistant", "prompt", 1_000) for i in range(9))
PRIOR = Speed(1.0, 0.1, 50.0, "a prior")


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book(today=date(2026, 11, 22))


def request(n: int, **fields: object) -> Request:
    values: dict[str, object] = {
        "protocol": "messages", "path": "/v1/messages", "model": OPUS, "client": "claude", "tools": 7, "system": 8,
        "head_chars": 40_000, "messages": HISTORY[:n], "ttl_s": FIVE_MINUTES, **fields,
    }  # fmt: skip
    return Request(**values)  # type: ignore[arg-type]  # a test's short hand


def finished(usage: Usage | None, at: float = START, **fields: object) -> Finished:
    values: dict[str, object] = {
        "ts": at + 9, "session": "s", "id": "1", "status": 200, "stop": "final", "started": at, "ended": at + 9,
        "usage": usage, "served": Config(OPUS), "ttl_s": FIVE_MINUTES, **fields,
    }  # fmt: skip
    return Finished(**values)  # type: ignore[arg-type]  # a test's short hand


def place(kept: int, new_turn: bool = True) -> Place:
    return Place("s", "main", "main", "continue", kept=kept, new_turn=new_turn)


HELD = cache.touch(None, request(3), Usage(cache_write=((FIVE_MINUTES, 20_000),)), START, FIVE_MINUTES)
WARM, COLD = Usage(cache_read=20_000, cache_write=((FIVE_MINUTES, 500),)), Usage(cache_write=((FIVE_MINUTES, 20_500),))


def test_hits_and_misses_are_counted_in_their_cell(book: Book) -> None:
    known = NOTHING
    for usage in (WARM, WARM, COLD):
        known = after(known, request(5), place(3), HELD, finished(usage, START + 60), book)
    assert known.seen == {"anthropic": {"turn": (2, 1)}}
    inside = after(NOTHING, request(5), place(3, False), HELD, finished(WARM, START + 60), book)
    assert inside.seen == {"anthropic": {"loop": (1, 0)}}


@pytest.mark.parametrize(
    "event", [finished(None), finished(WARM, status=500), finished(Usage()), finished(WARM, served=None)]
)  # fmt: skip
def test_errors_and_missing_bills_teach_nothing(book: Book, event: Finished) -> None:
    assert after(NOTHING, request(5), place(3), HELD, event, book) is NOTHING


def test_how_often_a_pause_outlasts_a_cache_is_learned_from_the_users_own_pauses(book: Book) -> None:
    """Twenty pauses of one's own weigh as much as the real sessions' 26 % over five minutes and 2.8 % over an hour."""
    known = NOTHING
    for gap_s in [60.0] * 10 + [900.0] * 8 + [4_000.0] * 2:
        known = after(known, request(5), replace(place(3), gap_s=gap_s), HELD, finished(WARM, START + 60), book)
    assert known.lapse(FIVE_MINUTES) == pytest.approx((0.26 * 20 + 10) / 40)
    assert known.lapse(HOUR) == pytest.approx((0.028 * 20 + 2) / 40) and known.lapse(30) == 1.0
    for other in (replace(place(3, False), gap_s=900.0), replace(place(3), gap_s=900.0, kind="subagent"), place(3),
                  replace(place(3), gap_s=900.0, relation="fork")):  # fmt: skip
        assert after(known, request(5), other, HELD, finished(WARM, START + 60), book).gaps == known.gaps


def test_a_prefix_that_had_to_be_cold_teaches_nothing_about_chances(book: Book) -> None:
    late = after(NOTHING, request(5), place(3), HELD, finished(COLD, START + 5_000), book)
    other = after(NOTHING, request(5, tools=1), place(3), HELD, finished(COLD, START + 60), book)
    assert late.seen == other.seen == {}


def test_a_head_is_shared_by_the_sessions_of_a_client_with_the_same_tools(book: Book) -> None:
    first = Usage(cache_read=16_496, cache_write=((FIVE_MINUTES, 4_000),))
    known = after(NOTHING, request(3), place(0), None, finished(first), book)
    assert known.head(request(1), OPUS) == Head(16_496, START, FIVE_MINUTES)
    assert known.head(request(1, tools=9), OPUS) is None and known.head(request(1), "claude-haiku-4-5") is None
    assert known.head(request(1, client="aider"), OPUS) is None
    later = after(known, request(5), place(3), HELD, finished(WARM, START + 200), book)
    assert later.head(request(1), OPUS) == Head(16_496, START + 200, FIVE_MINUTES), "every read touches it"


def test_an_hour_is_not_shortened_by_five_minutes(book: Book) -> None:
    first = Usage(cache_read=16_496)
    known = after(NOTHING, request(3), place(0), None, finished(first, ttl_s=HOUR), book)
    again = after(known, request(3), place(0), None, finished(first, START + 60), book)
    assert again.head(request(1), OPUS) == Head(16_496, START, HOUR)


def test_only_so_many_heads_are_kept(book: Book) -> None:
    known = NOTHING
    for n in range(learned.HEADS_KEPT + 5):
        known = after(known, request(3, tools=n), place(0), None, finished(Usage(cache_read=9_000), START + n), book)
    assert len(known.heads) == learned.HEADS_KEPT and known.head(request(1, tools=0), OPUS) is None


# ---- time


def test_times_move_the_prior_by_how_often_they_were_seen(book: Book) -> None:
    """The prior is worth 5 requests: 5 warm first tokens after 2 s, then (5 + 10) / 10; 500 tokens in 5 s, (5 x 500 + ...)."""
    known = NOTHING
    for n in range(5):
        usage = replace(WARM, output=500)
        event = finished(usage, START + n, first_byte=START + n + 2, ended=START + n + 7)
        known = after(known, request(5), place(3), HELD, event, book)
    found = known.speed(OPUS, PRIOR)
    assert found.ttft_s_warm == pytest.approx(1.5)
    assert found.output_tps == pytest.approx(5_000 / (2_500 / 50 + 25))
    assert found.ttft_s_per_ktoken_cold == PRIOR.ttft_s_per_ktoken_cold and "5 first tokens" in found.source


def test_cold_prompts_teach_the_slope(book: Book) -> None:
    """Five cold prompts of 20.5 thousand tokens after 1 + 4.1 s: .2 s a thousand, halfway to it from .1."""
    known = NOTHING
    for n in range(5):
        known = after(known, request(5), place(3), HELD, finished(COLD, START + n, first_byte=START + n + 5.1), book)
    assert known.speed(OPUS, PRIOR).ttft_s_per_ktoken_cold == pytest.approx(0.15)


def test_unknown_models_and_odd_clocks_keep_the_prior(book: Book) -> None:
    assert NOTHING.speed(OPUS, PRIOR) is PRIOR
    cut = finished(replace(WARM, complete=False), first_byte=START + 1)
    for odd in (finished(WARM, first_byte=None), finished(WARM, first_byte=START - 1), cut):
        assert after(NOTHING, request(5), place(3), HELD, odd, book).speed(OPUS, PRIOR) is PRIOR


@given(st.lists(st.tuples(st.floats(0, 60), st.floats(0, 600), st.integers(0, 60_000), st.integers(0, 9_000)), max_size=12))
def test_learned_times_stay_sane(rows: list[tuple[float, float, int, int]]) -> None:
    times: dict[str, learned.Times] = {}
    for wait, say, read, output in rows:
        usage = Usage(fresh=30_000, cache_read=read, output=output)
        times = dict(learned.timed(times, OPUS, finished(usage, first_byte=START + wait, ended=START + wait + say), usage))
    found = Learned(times=times).speed(OPUS, PRIOR)
    assert 0 <= found.ttft_s_warm <= 60 and 0 <= found.ttft_s_per_ktoken_cold <= 61 and found.output_tps > 0
