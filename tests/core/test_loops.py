"""Inside a tool loop: what a person's rules may move there, and what they may not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.test_decide import HAIKU, OPUS, Play
from pointsman.core.book import Book
from pointsman.core.policy import Policy
from pointsman.shell.prices import load_book


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book()


@pytest.mark.parametrize("policy", [
    Policy(profile="saver", failure_usd=500.0, budget_session=0.01, budget_then="cheapest"), Policy(kinds=(("chat", HAIKU),)),
])  # fmt: skip
@pytest.mark.parametrize("facts", [(), ("thinking",)])
def test_neither_a_budget_nor_a_wish_loses_the_reasoning_inside_a_tool_loop(
    book: Book, policy: Policy, facts: tuple[str, ...]
) -> None:  # fmt: skip
    play = Play(book)
    play.prompt(stop="tool")
    play.policy, play.session = policy, replace(play.session, spent=1.0)
    play.now += 900.0
    slow = play.tool(*facts)
    assert slow.free_point == "idle" and (slow.chosen.model == OPUS) == bool(facts)
    assert play.prompt().chosen.model != OPUS, "at the next prompt there is nothing to lose"


def test_a_wish_that_cannot_take_the_request_any_more_is_not_followed_to_the_end_of_the_turn() -> None:
    play = Play(load_book({HAIKU: {"window": 40_000}}), Policy(kinds=(("chat", HAIKU),)))
    assert play.prompt(stop="tool").chosen.model == HAIKU
    assert play.tool(stop="tool").chosen.model == HAIKU
    long = play.tool(chars=200_000, stop="tool")
    row = next(row for row in long.candidates if row.model == HAIKU)
    assert long.chosen.model == OPUS and "window" in (row.veto or "")
