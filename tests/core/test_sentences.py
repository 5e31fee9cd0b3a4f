"""The one sentence says what was decided, and nothing that is not so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.test_decide import GUARDED, OPUS, SONNET, Play, failed_check
from pointsman.core.book import Book
from pointsman.core.events import Pinned
from pointsman.core.policy import Policy
from pointsman.core.types import Config
from pointsman.shell.prices import load_book


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book()


def pinned(play: Play, model: str) -> Play:
    play.tell(Pinned(play.now, "s1", Config(model), "session", "pointsman pin"))
    return play


def test_a_pin_that_ends_in_the_asked_model_does_not_say_stay(book: Book) -> None:
    play = Play(book)
    play.prompt()
    assert pinned(play, SONNET).prompt().chosen.model == SONNET
    play.policy = Policy(deny=(SONNET,))
    assert play.prompt().sentence.startswith("Back to opus-5-5: your pin on claude-sonnet-5-5")
    assert play.prompt().sentence.startswith("Stay on opus-5-5: your pin on claude-sonnet-5-5")


def test_whoever_summarises_holds_the_cache_only_where_it_does(book: Book) -> None:
    play = Play(book, replace(GUARDED, failure_usd=0.0))
    assert play.prompt().chosen.model == SONNET
    assert play.prompt(purpose="compaction").sentence.startswith("Summarise on sonnet-5-5, which holds the cache")
    play.policy = replace(play.policy, deny=(SONNET,))
    assert play.prompt(purpose="compaction").sentence.startswith("Summarise on opus-5-5, the model you asked for")


def test_too_is_said_of_a_second_failure_only(book: Book) -> None:
    play = Play(book)
    play.prompt()
    play.policy = GUARDED
    failed_check(play)
    assert play.prompt().sentence.startswith("The next try goes to sonnet-5-5: opus-5-5 failed the check.")


def test_where_the_move_is_made_now_the_other_one_is_priced_beside_it(book: Book) -> None:
    """Under a pin that has just been set both leave what runs: what the pinned one costs to go to is spent either way."""
    play = Play(book)
    play.prompt(model=SONNET)
    play.prompt(model=SONNET)
    moved = pinned(play, OPUS).prompt(model=SONNET)
    mine, other = moved.row(moved.chosen), min(moved.candidates, key=lambda row: row.run_usd or 9.0)
    assert mine is not None and (mine.round_trip_usd or 0.0) > (other.round_trip_usd or 0.0) > 0.0
    assert "would save" in moved.sentence and "way back" not in moved.sentence
    assert "the switch and the way back cost ≈$" in play.prompt(model=SONNET).sentence


def test_one_model_at_two_efforts_is_told_apart(book: Book) -> None:
    play = Play(book, Policy(kinds=(("chat", f"{SONNET}:low"),)))
    play.prompt()
    play.tell(Pinned(play.now, "s1", Config(SONNET, "high"), "session", "pointsman pin"))
    assert play.prompt().chosen == Config(SONNET, "high")
    play.policy = Policy(kinds=(("chat", f"{SONNET}:low"),), pool=(SONNET, OPUS), deny=("claude-haiku-5-5",))
    said = play.prompt().sentence
    assert said.startswith("sonnet-5-5, pinned by you. sonnet-5-5 at effort low would save ≈$"), said
