"""Other efforts of the asked model: weaker is weaker, stronger needs a failure and consent, and moving costs nothing in-band."""

from __future__ import annotations

from typing import Any

import pytest

from core.test_decide import OPUS, SONNET, Play
from pointsman.core.book import Book
from pointsman.core.edits import effort_in_force
from pointsman.core.events import Signalled
from pointsman.core.policy import Policy
from pointsman.core.types import Config
from pointsman.shell.prices import load_book

SAVER = Policy(profile="saver", failure_usd=0.0)


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book()


def efforts(decision: Any, model: str = OPUS) -> list[str | None]:
    return [row.effort for row in decision.candidates if row.model == model]


def test_rows_for_efforts_stand_only_where_they_can_be_chosen(book: Book) -> None:
    assert efforts(Play(book).prompt()) == ["high"], "quality admits nothing weaker"
    assert efforts(Play(book, SAVER).prompt()) == ["medium", "high"], "weak to strong"
    assert efforts(Play(book, Policy(profile="balanced")).prompt()) == ["high"], "balanced needs a check"
    assert efforts(Play(book, SAVER).prompt(effort=None)) == [None], "what the client leaves to the provider is left alone"
    assert efforts(Play(book, SAVER).prompt(effort="low")) == ["low"], "there is nothing below"
    assert efforts(Play(book, Policy(profile="saver", efforts=False, failure_usd=0.0)).prompt()) == ["high"]


def test_at_a_turn_start_it_is_free_because_the_cache_is_shared(book: Book) -> None:
    play = Play(book, Policy(failure_usd=0.0))
    play.prompt(chars=400_000)
    play.tool()
    play.policy = Policy(profile="saver", failure_usd=0.0, pool=(OPUS,))
    turn = play.prompt()
    other, own = turn.row(Config(OPUS, "medium")), turn.row(Config(OPUS, "high"))
    assert other is not None and own is not None
    assert other.cache_read == own.cache_read > 0 and other.toll_usd == own.toll_usd
    assert (other.output_usd or 0.0) < (own.output_usd or 0.0) and (other.fail or 0.0) > (own.fail or 0.0)
    assert (turn.chosen, turn.action, turn.reason) == (Config(OPUS, "medium"), "effort", "effort")
    edit = turn.edits[-1]
    assert (edit.kind, edit.value, edit.model) == ("effort", "medium", OPUS)
    inside = play.tool()
    assert inside.chosen == turn.chosen and inside.edits == turn.edits, "repeated, not said again"


def test_after_a_failed_check_more_effort_is_weighed_against_a_stronger_model(book: Book) -> None:
    play = Play(book, Policy(consent_up=True, failure_usd=20.0))
    play.prompt(model=SONNET, effort="medium")
    play.tell(Signalled(play.now, "s1", "check_failed"))
    play.now += 1.0
    after = play.prompt(model=SONNET, effort="medium")
    assert "high" in efforts(after, SONNET) and OPUS in [row.model for row in after.candidates]
    assert after.chosen != Config(SONNET, "medium"), after.sentence


def test_more_effort_is_no_independent_try(book: Book) -> None:
    """It repeats the same model: what it solves beyond a repeat is what its own ability adds."""
    play = Play(book, Policy(consent_up=True, failure_usd=20.0))
    play.prompt(model=SONNET, effort="high")
    play.tell(Signalled(play.now, "s1", "check_failed"))
    play.now += 1.0
    after = play.prompt(model=SONNET, effort="high")
    assert after.chosen.model == OPUS, "xhigh adds 0.2 logits, another model far more"


def test_the_last_effort_set_holds_the_clients_or_ours(book: Book) -> None:
    play = Play(book, Policy(failure_usd=0.0))
    play.prompt(chars=40_000)
    play.policy = Policy(profile="saver", failure_usd=0.0, pool=(OPUS,))
    turn = play.prompt()
    lane = play.session.lanes["main"]
    assert lane.last_request is not None
    assert effort_in_force(lane.last_request, turn.edits, OPUS) == "medium"
    assert effort_in_force(lane.last_request, turn.edits, SONNET) == "high"
    assert effort_in_force(lane.last_request, (), OPUS) == "high"
