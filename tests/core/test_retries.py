"""Whether a further try after a failed check is worth its price, before anybody is sent on: each as a short conversation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.test_decide import GUARDED, OPUS, SONNET, Play, failed_check
from pointsman.core.book import Book
from pointsman.core.events import Pinned
from pointsman.core.policy import Policy
from pointsman.core.retries import retry
from pointsman.core.session import Session
from pointsman.core.types import Config
from pointsman.shell.prices import load_book

SAVER = replace(GUARDED, profile="saver")


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book()


def worked(book: Book, policy: Policy) -> Play:
    """A turn on the weaker model, at whose end the check fails."""
    play = Play(book, replace(policy, failure_usd=0.0))
    assert play.prompt().chosen.model == SONNET
    play.policy = policy
    return play


def asks(play: Play) -> tuple[bool, str]:
    return retry(play.session, play.book, play.policy, play.now)


def test_a_failure_that_costs_nothing_is_not_mended_and_a_dear_one_is(book: Book) -> None:
    on, said = asks(worked(book, replace(SAVER, failure_usd=0.0)))
    assert not on and said.startswith("the best next try, ") and "costs ≈$" in said and "is worth ≈$" in said
    on, said = asks(worked(book, replace(SAVER, failure_usd=50.0)))
    assert on and "likely to mend it" in said


def test_the_asked_model_is_owed_its_try_once_and_only_after_a_weaker_one(book: Book) -> None:
    play = worked(book, GUARDED)
    assert asks(play) == (True, "the model you asked for is owed the next try")
    failed_check(play)
    assert play.prompt().chosen.model == OPUS
    on, said = asks(play)
    assert "is owed" not in said, "it has had it"
    play.policy = replace(GUARDED, failure_usd=0.001)
    assert not asks(play)[0]
    asked = Play(book, replace(GUARDED, failure_usd=500.0))
    assert asked.prompt().chosen.model == OPUS
    asked.policy = GUARDED
    assert "is owed" not in asks(asked)[1], "nobody weaker was tried"


def test_profiles_that_promise_the_asked_model_make_the_tries_that_were_set(book: Book) -> None:
    for profile in ("quality", "fast"):
        policy = replace(GUARDED, profile=profile, failure_usd=0.0)  # type: ignore[arg-type]
        play = Play(book, policy)
        play.prompt()
        assert asks(play) == (True, f"profile {profile} makes the tries you have set")


def test_under_a_pin_only_the_pinned_model_can_make_the_try(book: Book) -> None:
    play = worked(book, replace(GUARDED, failure_usd=50.0))
    play.tell(Pinned(play.now, "s1", Config(SONNET), "session", "pointsman pin"))
    on, said = asks(play)
    assert SONNET in said and OPUS not in said and "owed" not in said


def test_where_nothing_has_a_price_the_tries_that_were_set_are_made(book: Book) -> None:
    assert retry(Session("s1"), book, SAVER, 0.0) == (True, "nothing here has a price")
    play = Play(book, SAVER)
    play.prompt(model="a-model-nobody-knows", effort=None)
    assert asks(play) == (True, "what runs now has no price")
