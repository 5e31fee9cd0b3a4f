"""Whole conversations against the real engine and price book (``playbook`` is the language they are written in)."""

from __future__ import annotations

from typing import Any

import pytest

from playbook import (
    Play,
    again,
    check,
    clear,
    client_asks,
    compaction,
    correction,
    escalate,
    harder,
    pin,
    says,
    stay,
    subagent,
    switch,
    tests_green,
    tests_red,
    title,
    turn,
    turns,
    unmoved,
    unpin,
    upstream_says,
)
from pointsman import Settings
from pointsman.core.book import Book
from pointsman.shell.prices import load_book
from pointsman.tui.reasons import why


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book()


@pytest.fixture
def play(book: Book) -> Play:
    return Play(book)


def test_uncertified_means_the_asked_model(play: Play) -> None:
    play >> turn("fix the flaky test", context=12_000) << stay("sonnet", because="asked", free="session_start") << unmoved()
    play >> tests_red() << stay("sonnet") << harder() << unmoved()
    play >> correction() << stay("sonnet") >> tests_green() << stay("sonnet") << turns(2)


def test_a_pin_holds_until_it_is_taken_back(play: Play) -> None:
    play >> turn() << stay("sonnet") >> pin("opus") >> turn() << switch("opus", because="pin")
    play >> tests_red() << stay("opus", because="pin") >> turn() << stay("opus", because="pin")
    play >> unpin() >> turn() << switch("sonnet", because="asked") << says("Back to") >> turn() << stay("sonnet")


def test_a_turns_pin_ends_with_its_turn_and_says_so(play: Play) -> None:
    play >> turn() >> pin("opus", "turn") >> turn() << switch("opus", because="pin")
    play >> turn() << switch("sonnet", because="asked") << turns(3)
    assert play.router.sessions[play.session].pin is None


def test_a_model_changed_in_the_client_is_a_pin(play: Play) -> None:
    play >> turn() << stay("sonnet") >> client_asks("opus") >> turn()
    assert play.decision.chosen.model == play.named("opus") and play.decision.reason == "pin"
    play << unmoved()


def test_housekeeping_goes_to_the_cheapest_and_counts_as_nothing(play: Play) -> None:
    play >> title() << switch("haiku", because="side") >> turn() << stay("sonnet", because="asked") << turns(1)


def test_housekeeping_stays_when_the_user_says_so(book: Book) -> None:
    Play(book, Settings(side=False)) >> title() << stay("sonnet") << unmoved()


def test_a_pin_does_not_touch_housekeeping_or_sub_agents(play: Play) -> None:
    play >> turn() >> pin("opus") >> title() << switch("haiku", because="side")
    play >> subagent() << stay("sonnet", because="subagent")


def test_a_sub_agent_is_decided_on_its_own_where_weaker_models_are_admitted(book: Book) -> None:
    play = Play(book, Settings(profile="saver", failure_usd=0), model="opus")
    play >> turn() >> pin("opus") >> turn() << switch("opus", because="pin")
    play >> subagent() << switch("sonnet", because="free_point", free="subagent_start")
    play >> turn() << stay("opus", because="pin")
    dear = Play(book, Settings(profile="saver", failure_usd=500), model="opus")
    dear >> turn() >> subagent() << stay("opus", because="asked", free="subagent_start")


def test_once_a_check_has_refused_the_work_sub_agents_are_not_weaker_than_asked_either(book: Book) -> None:
    """The asked model is owed the next try, with all that helps it; only ``saver`` owes nobody anything."""
    guarded = Play(book, Settings(profile="balanced", check=True, failure_usd=0.2), model="opus")
    guarded >> turn("go") << switch("sonnet") >> subagent() << switch("sonnet", because="free_point")
    guarded >> check(False) >> turn("The check failed.") << escalate("opus")
    guarded >> subagent("Mend it.", "agent-2") << stay("opus", because="subagent")
    guarded >> check(True) >> turn("Now the next thing, please.") >> subagent("Look.", "agent-3")
    assert any(gate.said == "a sub-agent, decided on its own" for gate in guarded.decision.gates), "a new task owes nothing"
    saver = Play(book, Settings(profile="saver", check=True, failure_usd=0.2), model="opus")
    saver >> turn("go") >> check(False) >> turn("The check failed.") >> subagent("Mend it.", "agent-2")
    assert any(gate.said == "a sub-agent, decided on its own" for gate in saver.decision.gates)


def test_a_sub_agent_that_touches_what_is_protected_goes_back_to_what_its_client_chose(book: Book) -> None:
    play = Play(book, Settings(profile="saver", failure_usd=0), model="opus")
    asked: list[dict[str, Any]] = [{"role": "user", "content": [{"type": "text", "text": "Look."}]}]
    play >> turn()
    play.send(talk=asked, agent="agent-1", stop="tool")
    play << switch("sonnet", because="free_point")
    given = {"file_path": "src/auth/login.py", "old_string": "a", "new_string": "b"}
    edit = {"type": "tool_use", "id": "t1", "name": "Edit", "input": given}
    done = {"type": "tool_result", "tool_use_id": "t1", "content": "ok"}
    talk = [*asked, {"role": "assistant", "content": [edit]}, {"role": "user", "content": [done]}]
    play.send(talk=talk, agent="agent-1", stop="tool")
    play << switch("opus", because="subagent") << says("back on opus-5-5, as its client chose")
    assert [rule.name for rule in play.decision.rules] == ["protect path auth"]


def test_compaction_runs_where_the_cache_is_and_frees_the_way(play: Play) -> None:
    play >> turn(context=20_000) >> tests_green() >> compaction() << stay("sonnet", because="compaction")
    play >> turn("Go on from there.") << stay("sonnet", free="compaction")


def test_clearing_and_long_pauses_are_free_points(play: Play) -> None:
    play >> turn() >> turn() << stay("sonnet") >> turn(pause=900) << stay("sonnet", free="idle")
    play >> clear() >> turn("something else") << stay("sonnet", free="clear")


def test_saver_follows_the_advice_at_a_free_point_and_comes_back_for_nothing_less(book: Book) -> None:
    play = Play(book, Settings(profile="saver", failure_usd=0), model="opus")
    play >> turn(context=40_000) << switch("sonnet", because="free_point", free="session_start")
    play >> tests_green() << stay("sonnet") >> turn() << stay("sonnet")


def test_failures_that_cost_the_user_keep_even_saver_where_it_is(book: Book) -> None:
    play = Play(book, Settings(profile="saver", failure_usd=500), model="opus")
    play >> turn() << stay("opus") >> tests_red() << stay("opus")


def test_observing_changes_nothing_and_prices_everything(book: Book) -> None:
    play = Play(book, Settings(mode="observe"))
    play >> title() << stay("sonnet") << unmoved() >> turn() << unmoved()
    assert len(play.decision.candidates) == 3


def test_a_retry_gets_the_same_decision_and_is_no_new_turn(play: Play) -> None:
    play >> turn() >> upstream_says(529) >> turn("again") << stay("sonnet")
    play >> again() << stay("sonnet", because="retry") << turns(2)


def test_a_retry_after_a_refused_pin_goes_to_the_asked_model(play: Play) -> None:
    play >> turn() >> pin("opus") >> upstream_says(529) >> turn() << switch("opus", because="pin")
    play >> again() << switch("sonnet", because="retry_asked") << says("refused") << says("cannot be honoured now: 529")


def test_a_failed_check_escalates_by_consent_and_stays_there(book: Book) -> None:
    play = Play(book, Settings(check=True, consent_up=True, failure_usd=3))
    play >> turn("fix it") << stay("sonnet") >> tests_green() >> check(passed=False)
    play >> turn("still broken") << escalate("opus", because="escalate") >> tests_green() << stay("opus", because="sticky")


def test_a_failed_check_spends_nothing_without_consent(book: Book) -> None:
    play = Play(book, Settings(check=True, failure_usd=20))
    play >> turn("fix it") >> check(passed=False) >> turn("still broken") << stay("sonnet") << unmoved()


def test_a_model_that_nobody_has_measured_is_called_a_guess() -> None:
    """Its ability comes of its price, with a wide spread; whoever reads why it was passed over, or taken, reads that too."""
    prices = {"nova-large": {"input": 1.0, "output": 4.0, "provider": "anthropic"}}
    known = load_book(prices)
    play = Play(known, Settings(prices=prices, pool=("haiku", "nova-large", "opus")), model="opus")
    play >> turn("make the parser faster")
    gate = next(gate for gate in play.decision.gates if gate.name == "known")
    assert gate.said == "3 candidates; how able nova-large is, is guessed from its price: not measured"
    shown = " ".join(text for line in why(play.decision, 400) for text, _ in line)
    assert gate.said in shown and "how able claude-haiku-5-5" not in shown


def test_a_task_that_was_handed_down_is_not_called_escalated(book: Book) -> None:
    settings = Settings(profile="balanced", check=True, failure_usd=1.0, pool=("haiku", "opus"))
    play = Play(book, settings, model="opus")
    play >> turn("do it") << switch("haiku") >> check(False) >> turn("again", pause=2) << escalate("opus")
    play >> check(False) >> turn("again", pause=2) << switch("haiku", because="hand_down")
    play >> turn("go on", pause=2) << stay("haiku", because="sticky") << says("took this task over when a check had failed")
    assert "escalated" not in play.decision.sentence


def test_an_answer_asked_for_anew_is_evidence_and_a_clients_own_retry_is_none(book: Book) -> None:
    """Where an answer had come whole only a person sends the same request again; where it failed, the client does."""
    play = Play(book, Settings(), model="opus")
    play >> turn("make the parser faster") >> again() << stay("opus", because="retry") << harder()
    failed = Play(book, Settings(), model="opus")
    failed >> upstream_says(529) >> turn("make the parser faster") >> upstream_says(200) >> again()
    failed << stay("opus", because="retry")
    assert failed.decision.belief == failed.routes[-2].decision.belief
