"""What a decision takes from the request before instead of working it out anew is the same to the bit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.core import cache, candidates, pricing, sizes
from pointsman.core.messages import Message
from pointsman.core.policy import Policy
from pointsman.core.session import Lane, Session
from pointsman.core.setting import Setting
from pointsman.core.types import Belief, Config, Place, Rates, Request, Usage
from pointsman.core.warmth import COLD, Warm
from pointsman.shell.prices import load_book

BOOK = load_book()
MODEL = "claude-opus-5-5"
USAGE = Usage(fresh=5, cache_read=100_000, cache_write=((300, 2_000),), output=300)


def message(i: int, chars: int = 900, mark_s: int | None = None) -> Message:
    return Message(i, "user" if i % 2 == 0 else "assistant", "prompt" if i % 2 == 0 else "assistant", chars, mark_s)


def request(messages: tuple[Message, ...]) -> Request:
    return Request("messages", "/v1/messages", MODEL, tools=1, system=2, head_chars=40_000, messages=messages, ttl_s=300)


def at(held: Request, new: Request) -> Setting:
    """The setting of ``new``, a few seconds after ``held`` was billed."""
    asked = Config(MODEL)
    lane = Lane(
        "main", "main", messages=held.messages, tools=1, system=2, requests=3, asked=asked, current=asked, last_usage=USAGE,
        last_model=MODEL, warm={asked: cache.touch(None, held, USAGE, 0.0, 300)}, ratios={MODEL: sizes.prior(2.6)},
    )  # fmt: skip
    session = Session("s", lanes={"main": lane})
    place = Place("s", "main", "main", "continue", kept=cache.common(held.messages, new.messages), turn=2, task=1)
    return candidates.setting(new, session, place, BOOK, Policy(), asked, 9.0, Belief())


@given(st.integers(1, 200), st.integers(0, 3), st.integers(0, 199), st.integers(0, 60), st.integers(-3, 40))
def test_the_size_of_a_prompt_is_counted_from_the_last_bill(
    count: int, added: int, marked: int, mark_chars: int, cut: int
) -> None:  # fmt: skip
    held = request(tuple([message(i) for i in range(count)]))
    said = list(held.messages)
    said[marked % count] = message(marked % count, 900 + mark_chars, 300)  # a mark has moved there: the same text, more to send
    said = said[: max(1, count - max(0, cut))] + [message(1_000 + i, 70) for i in range(added)]
    new = request(tuple(said))
    assert at(held, new).chars == new.chars == 40_000 + sum(m.chars for m in said)


def test_what_a_cache_holds_is_the_same_whoever_counts_the_common_messages() -> None:
    held = request(tuple([message(i) for i in range(90)]))
    warm = cache.touch(None, held, USAGE, 0.0, 300)
    for said in (held.messages, (*held.messages, message(90)), held.messages[:70], (message(7), *held.messages[1:])):
        new, rule = request(said), BOOK.rule(MODEL)
        known = cache.common(held.messages, said)
        assert cache.predict(warm, new, 102_000, rule, 9.0, same=known) == cache.predict(warm, new, 102_000, rule, 9.0)


@pytest.mark.parametrize("caches", [True, False])
def test_a_cold_prompt_costs_what_the_whole_formula_says(caches: bool) -> None:
    rates = Rates(3e-6, 3e-7, 15e-6, 15e-6, ((300, 3.75e-6), (3_600, 6e-6)))
    for prompt in (1, 1_023, 100_003):
        whole = pricing.expected_input(rates, 300, prompt, COLD.reckoned, 1.0, caches)
        assert pricing.forecast(rates, 300, prompt, COLD, caches) == whole
        assert pricing.forecast(rates, 300, prompt, replace(COLD, cell="loop"), caches) == whole
    head = Warm(0, 0.0, None, 900, 0.9)
    assert pricing.forecast(rates, 300, 1_000, head, caches) < pricing.forecast(rates, 300, 1_000, COLD, caches) or not caches


def test_beliefs_of_a_model_that_differ_only_in_their_spread_are_told_apart() -> None:
    """``Ratios`` hash by their means alone."""
    one, other = sizes.prior(3.0), replace(sizes.prior(3.0), cov=sizes.prior(2.0).cov)
    user = sizes.prior(2.5)
    assert hash(one) == hash(other) and one != other
    assert sizes.together(one, user) != sizes.together(other, user)
