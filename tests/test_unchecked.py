"""Turns whose result no check can see (questions, plans, reviews, documents) stay on the model that was asked for."""

from __future__ import annotations

from typing import Any

import pytest

from playbook import Play, Step, check, escalate, result, says, stay, subagent, switch, turn
from pointsman import Settings
from pointsman.core.book import Book
from pointsman.shell.prices import load_book

GUARDED: dict[str, Any] = {"profile": "balanced", "check": True, "failure_usd": 0.2, "pool": ["haiku", "opus"]}
REVIEW = "<command-message>security-review is running</command-message>\n<command-name>/security-review</command-name>\nLook."
PLAN = "<system-reminder>Plan mode is active. Do not edit.</system-reminder>\nmake the parser faster"


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book()


def edits(path: str) -> Step:
    return result("edited", tool="Edit", given={"file_path": path, "old_string": "a", "new_string": "b"})


@pytest.mark.parametrize(("prompt", "about"), [
    ("why does the parser drop the last line?", "a question"), ("パーサーはなぜ最後の行を落としますか？", "a question"),
    (PLAN, "a plan"), (REVIEW, "a review"),
])  # fmt: skip
def test_a_turn_that_no_check_sees_stays_where_work_would_have_gone_cheap(book: Book, prompt: str, about: str) -> None:
    work = Play(book, Settings(**GUARDED), model="opus")
    work >> turn("make the parser keep the last line") << switch("haiku")
    play = Play(book, Settings(**GUARDED), model="opus")
    play >> turn(prompt) << stay("opus") << says(f"no check sees {about}")
    play >> result("def parse(): ...", tool="Read", given={"file_path": "/w/parse.py"}) << stay("opus")


def test_a_question_that_carries_a_failure_is_work(book: Book) -> None:
    play = Play(book, Settings(**GUARDED), model="opus")
    play >> turn("FAILED tests/test_parse.py::test_last - AssertionError\n1 failed, 3 passed in 0.1s\n\ncan you mend it?")
    play << switch("haiku")


def test_a_question_about_work_under_way_stays_with_its_warm_cache_and_goes_back_once_that_is_cold(book: Book) -> None:
    """There and back would cost two prefixes for one answer; after the cache has lapsed it costs nothing more."""
    play = Play(book, Settings(**GUARDED), model="opus")
    play >> turn("make the parser keep the last line", context=40_000) << switch("haiku") >> edits("/w/parse.py")
    play >> turn("does that hold for empty files?") << stay("haiku")
    play >> turn("and for long ones?", pause=1_200) << switch("opus") << says("no check sees a question")


def test_after_documents_were_edited_the_next_turn_of_the_task_is_the_asked_models(book: Book) -> None:
    play = Play(book, Settings(**GUARDED), model="opus")
    play >> turn("say so in the guide", pause=10) >> edits("/w/docs/guide.md") >> edits("/w/README")
    play >> turn("shorter", pause=1_200) << switch("opus") << says("no check sees documents")
    play >> edits("/w/src/parse.py") >> turn("now the code as well", pause=1_200) << switch("haiku")


def test_a_review_asked_for_in_words_is_one_by_what_is_done_until_files_are_edited(book: Book) -> None:
    play = Play(book, Settings(**GUARDED), model="opus")
    play >> turn("look over what this branch changes", pause=10) << switch("haiku")
    play >> result("diff --git a/x.py b/x.py", given={"command": "git diff main"}) << stay("haiku")
    play >> turn("and the writer", pause=10) << stay("haiku"), "warm: one answer does not pay for the way"
    play >> turn("and the reader", pause=1_200) << switch("opus") << says("no check sees a review")
    play >> subagent("Look at the callers.") << stay("opus")
    play >> edits("/w/src/parse.py") >> turn("now the tests", pause=1_200) << switch("haiku")


def test_the_words_of_a_failed_check_are_no_question(book: Book) -> None:
    play = Play(book, Settings(**{**GUARDED, "failure_usd": 2.0}), model="opus")
    play >> turn("make the parser keep the last line") << switch("haiku") >> edits("/w/parse.py") >> check(False)
    play >> turn("The check failed:\n1 failed, 3 passed in 0.1s\nwhat now?", pause=2) << escalate("opus")


def test_a_sub_agent_of_a_question_keeps_the_asked_model_whatever_it_was_told(book: Book) -> None:
    asks = Play(book, Settings(**GUARDED), model="opus") >> turn("why is the build slow?") >> subagent("Look through the build.")
    assert asks.routes[-1].model == asks.asked
    work = Play(book, Settings(**GUARDED), model="opus") >> turn("make the build fast") >> subagent("What is slow in the build?")
    assert work.routes[-1].model == work.named("haiku"), "what a model asks its helper is no question of the user's"


@pytest.mark.parametrize("profile", ["saver", "quality"])
def test_other_profiles_never_asked_for_a_check(book: Book, profile: str) -> None:
    settings = Settings(**{**GUARDED, "profile": profile, "failure_usd": 0.0})
    asks, works = (Play(book, settings, model="opus") >> turn(f"keep the last line{end}") for end in ("?", "."))
    assert asks.routes[-1].model == works.routes[-1].model
