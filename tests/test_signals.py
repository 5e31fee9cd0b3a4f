"""What hooks and people say moves the difficulty, and more than what a text shows of the same thing."""

from __future__ import annotations

from typing import Any

import pytest

from playbook import Play, result, subagent, tests_red, turn
from pointsman.core.book import Book
from pointsman.core.difficulty import PRIOR
from pointsman.shell.prices import load_book


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book()


def begun(book: Book) -> Play:
    return Play(book) >> turn("make the parser faster") >> result("ok")


def moved(play: Play) -> float:
    """How far the difficulty has moved by the next request inside the loop."""
    play >> result("fine")
    before, after = play.routes[-2].decision.belief, play.decision.belief
    return after.mu - before.mu


@pytest.mark.parametrize(
    ("kind", "detail", "harder"),
    [
        ("revert", {}, True), ("commit", {}, False), ("tests_failed", {}, True), ("tests_passed", {}, False),
        ("post_tool_use", {"outcome": "tests_failed"}, True), ("post_tool_use", {"outcome": "tests_passed"}, False),
        ("interrupt", {}, True), ("session_end", {}, None), ("post_tool_use", {}, None), ("anything", {"outcome": "x"}, None),
    ],
)  # fmt: skip
def test_signals(book: Book, kind: str, detail: dict[str, str], harder: bool | None) -> None:
    play, silent = begun(book), begun(book)
    play.router.signal(session=play.session, kind=kind, now=play.now + 6, detail=detail)
    by = moved(play) - moved(silent)
    assert by == 0.0 if harder is None else (by > 0.05) == harder and abs(by) > 0.05


@pytest.mark.parametrize(("mark", "harder"), [("bad", True), ("good", False), ("overkill", False)])
def test_marks(book: Book, mark: Any, harder: bool) -> None:
    play, silent = begun(book), begun(book)
    play.router.mark(session=play.session, turn=1, mark=mark, now=play.now + 6)
    by = moved(play) - moved(silent)
    assert (by > 0.05) == harder and abs(by) > 0.05
    taken, again = begun(book), begun(book)
    taken.router.mark(session=taken.session, turn=1, mark=mark, now=taken.now + 6)
    taken.router.mark(session=taken.session, turn=1, mark=mark, now=taken.now + 7, undo=True)
    assert moved(taken) == pytest.approx(moved(again), abs=0.01), "taken back; what is known of the model may remain"


def test_a_mark_of_an_old_turn_says_nothing_of_the_task_at_hand(book: Book) -> None:
    play, silent = begun(book) >> turn("and the lexer too"), begun(book) >> turn("and the lexer too")
    play.router.mark(session=play.session, turn=1, mark="bad", now=play.now + 6)
    assert moved(play) == moved(silent)


def test_a_signal_counts_once_and_for_more_than_the_text(book: Book) -> None:
    told, shown = begun(book), begun(book)
    told.router.signal(session=told.session, kind="tests_failed", now=told.now + 6)
    told >> tests_red()
    shown >> tests_red()
    assert told.decision.belief.mu > shown.decision.belief.mu > PRIOR.mu
    assert told.decision.belief.n == shown.decision.belief.n, "the hook and the text tell of the same run"
    told, shown = told >> result("fine"), shown >> result("fine")
    assert told.decision.belief.n == shown.decision.belief.n, "and it is not heard again"


def test_sub_agents_hold_beliefs_of_their_own(book: Book) -> None:
    play = begun(book) >> tests_red()
    main = play.decision.belief
    play >> subagent("Look around.")
    assert play.decision.belief == PRIOR and main.mu != PRIOR.mu
    play >> result("fine")
    assert play.decision.belief.n >= main.n, "the main lane goes on where it was"
