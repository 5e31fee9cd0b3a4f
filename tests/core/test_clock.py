"""A clock that jumps back: what was said before a request stays before it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.test_decide import GUARDED, Play, failed_check
from pointsman.core.book import Book
from pointsman.core.boundaries import sent_on
from pointsman.core.events import Checked
from pointsman.core.messages import Message
from pointsman.core.types import Belief
from pointsman.shell.prices import load_book


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book()


def beliefs(book: Book, jump: float) -> list[Belief]:
    """What is believed in a tool loop after a failed check, the clock having gone back by ``jump`` seconds."""
    play = Play(book, replace(GUARDED, failure_usd=0.0))
    play.prompt()
    play.policy = GUARDED
    failed_check(play)
    play.now += 10.0
    play.prompt(stop="tool")
    play.now -= jump
    return [play.tool(stop="tool").belief for _ in range(4)]


@pytest.mark.parametrize("jump", [60.0, 3_600.0])
def test_a_check_is_not_heard_again_and_again(book: Book, jump: float) -> None:
    assert beliefs(book, jump) == beliefs(book, 0.0)


def test_a_sub_agent_after_the_jump_does_not_hear_it_in_the_main_lanes_place(book: Book) -> None:
    play = Play(book, GUARDED)
    play.prompt()
    failed_check(play)
    play.now -= 3_600.0
    play.send(agent="a", messages=(Message(7, "user", "prompt", 900),))
    assert play.prompt().belief.mu > 0.5


def test_a_person_is_not_taken_for_the_check_that_sent_the_agent_on(book: Book) -> None:
    play = Play(book, GUARDED)
    play.prompt()
    play.tell(Checked(play.now, "s1", "pytest -q", "check_failed", "1 newly failing", 1.0, sent_back=True))
    play.prompt()
    play.now -= 3_600.0
    play.prompt()
    assert not sent_on(play.session, play.session.lanes["main"], 30.0)
