"""Automatic caches: reasoning that leaves the prompt with the user's words, and sessions that change machines."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pointsman.core import cache, machines, pricing
from pointsman.core.messages import Message
from pointsman.core.types import Rates, Request, Usage
from pointsman.core.warmth import CacheRule, Warm, Warmth

COLD = {"loop settled": (0.01, 100.0), "loop new": (0.1, 100.0), "turn 1h": (0.1, 20.0), "turn day idle": (0.7, 4.0)}
FORGETS = CacheRule("openai", ttl_s=86_400, block=512, margin=128, explicit=False, cold=COLD, p_head=0.93, keeps_reasoning=False)
KEEPS = replace(FORGETS, keeps_reasoning=True)
RATES = Rates(5e-6, 0.5e-6, 30e-6, 30e-6)


def user(n: int) -> Message:
    return Message(n, "user", "prompt", 400)


def result(n: int) -> Message:
    return Message(n, "tool", "tool_result", 400)


def answer(n: int, *facts: str) -> Message:
    return Message(n, "assistant", "assistant", 200, facts=facts)  # type: ignore[arg-type]


def asked(*messages: Message) -> Request:
    return Request("responses", "/v1/responses", "gpt-5.5", tools=1, system=2, head_chars=4_000, messages=messages)


def talk(*bills: tuple[tuple[Message, ...], Usage]) -> Warmth:
    """What is held after requests that each add messages and are billed."""
    said: tuple[Message, ...] = ()
    held = None
    for n, (added, usage) in enumerate(bills):
        said += added
        held = cache.touch(held, asked(*said), usage, 10.0 * n, 86_400)
    assert held is not None
    return held


TURN = talk(
    ((user(1),), Usage(fresh=20_000, output=100, reasoning=300)),
    ((answer(2, "thinking"), result(3)), Usage(fresh=1_000, cache_read=19_840, output=50, reasoning=200)),
    ((answer(4, "thinking"), result(5)), Usage(fresh=1_300, cache_read=20_352, output=80)),
)
"""A turn of three requests: the first two answers thought, so 500 reasoning tokens ride along from the second request on."""


def test_reasoning_that_rides_along_is_counted_and_the_prompt_before_it_remembered() -> None:
    assert (TURN.carried, TURN.settled, TURN.prompt) == (500, 20_000, 21_652)
    plain = talk(((user(1),), Usage(fresh=20_000, output=100, reasoning=300)), ((answer(2), result(3)), Usage(fresh=20_500)))
    assert (plain.carried, plain.settled) == (0, 20_500), "a client that does not send it back carries none"


def test_the_users_words_end_the_prefix_where_reasoning_began() -> None:
    """20,000 tokens stood before the first reasoning: 39 blocks of 512 less 128 are read, not 21,652."""
    said = (*TURN.messages, answer(6), user(7))
    assert cache.predict(TURN, asked(*said), 21_500, FORGETS, 40.0, "turn").tokens == 39 * 512 - 128
    assert cache.predict(TURN, asked(*said), 21_500, KEEPS, 40.0, "turn").tokens == 42 * 512 - 128
    loop = (*TURN.messages, answer(6), result(7))
    assert cache.predict(TURN, asked(*loop), 22_000, FORGETS, 40.0).tokens == 42 * 512 - 128


@pytest.mark.parametrize(("new", "rule", "tokens"), [
    ((answer(6), user(7)), FORGETS, 500), ((answer(6), user(7)), KEEPS, None), ((answer(6), result(7)), FORGETS, None),
])  # fmt: skip
def test_what_is_dropped(new: tuple[Message, ...], rule: CacheRule, tokens: int | None) -> None:
    assert cache.dropped(TURN, new, rule) == tokens and cache.dropped(None, new, rule) is None


def test_a_session_that_moves_finds_what_the_other_machine_saw_last() -> None:
    """Machine A saw 21,000; B, at first, only the head of 2,432; back on A at 23,000, it reads A's 21,000 again."""
    first = ((user(1),), Usage(fresh=20_000))
    second = ((answer(2), result(3)), Usage(fresh=1_160, cache_read=19_840))
    moved = talk(first, second, ((answer(4), result(5)), Usage(fresh=19_568, cache_read=2_432)))
    assert (moved.other_machine, moved.steady) == (21_000, 0)
    warm = cache.predict(moved, asked(*moved.messages, answer(6), result(7)), 23_000, FORGETS, 40.0)
    assert (warm.tokens, warm.head, warm.cell) == (43 * 512 - 128, 41 * 512 - 128, "loop new")
    assert warm.p == pytest.approx(0.9) and warm.p_head == cache.P_OTHER_MACHINE


def test_a_block_behind_is_no_other_machine() -> None:
    old = talk(((user(1),), Usage(fresh=20_000)))
    assert not machines.moved(old, (answer(2), result(3)), Usage(fresh=2_000, cache_read=19_328))
    assert machines.moved(old, (answer(2), result(3)), Usage(fresh=3_000, cache_read=18_304))


def test_a_session_settles_after_ten_requests() -> None:
    bills = [((user(1),), Usage(fresh=20_000))]
    bills += [((answer(2 * n), result(2 * n + 1)), Usage(fresh=100, cache_read=20_000)) for n in range(1, 12)]
    held = talk(*bills)
    assert held.steady == 11
    assert cache.predict(held, asked(*held.messages, answer(90), result(91)), 20_300, FORGETS, 200.0).cell == "loop settled"


def test_a_forecast_bears_a_little_of_what_is_rare() -> None:
    """20,000 tokens read cost $0.01, cold $0.10. One in fifty adds at most 3.7 %, one in ten 8.8 %, a half all."""
    sure = 20_000 * RATES.cache_read
    for cell, p, usd in (
        ("loop", 0.9975, sure),
        ("loop settled", 0.9975, sure * (1 + 9 * 0.0025)),
        ("loop settled", 0.98, sure * 1.037),
        ("loop new", 0.9, sure * 1.088),
        ("loop new", 0.5, 0.5 * sure + 0.5 * 20_000 * RATES.fresh),
        ("turn", 0.9, 0.9 * sure + 0.1 * 20_000 * RATES.fresh),
    ):
        found = pricing.forecast(RATES, 300, 20_000, Warm(20_000, p, cell=cell), caches=True)
        assert found == pytest.approx(usd, rel=1e-9), cell


def test_a_day_idle_is_a_case_of_its_own() -> None:
    """A documented lifetime of a day is not relied on: after an hour another cell is learned from."""
    assert cache.cell("turn", 3_599, 86_400, 20) == "turn 1h idle"
    assert cache.cell("turn", 3_600, 86_400, 20) == cache.cell("loop", 3_600, 86_400, 20) == "turn day idle"
