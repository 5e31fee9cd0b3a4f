"""When advice is worth its price: after a failed check, failing hard in the loop, within the caps; and when it is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.test_decide import HAIKU, OPUS, SONNET, Play
from pointsman.core.advisor import GAIN, advised_try, shut
from pointsman.core.book import Book
from pointsman.core.candidates import check_odds, rows_of, setting
from pointsman.core.contenders import configs_of
from pointsman.core.decisions import Advisor, Decision
from pointsman.core.edits import provider_advisor
from pointsman.core.events import Advised, Signalled
from pointsman.core.lineage import locate
from pointsman.core.messages import Message
from pointsman.core.policy import Policy, Then
from pointsman.core.retries import next_tries
from pointsman.core.types import Config
from pointsman.shell.prices import load_book

PUSH = Policy(advisor=Advisor(OPUS), failure_usd=20.0, check=True, check_recall=0.8, check_false_alarm=0.1)


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book()


def gate(decision: Decision, name: str = "advisor") -> str:
    return next(g.said for g in decision.gates if g.name == name)


def fail_check(play: Play) -> None:
    play.tell(Signalled(play.now, "s1", "check_failed"))
    play.now += 1.0


def hard(play: Play, runs: int = 3) -> Decision:
    play.prompt(model=SONNET)
    for _ in range(runs - 1):
        play.tool("tests_failed", model=SONNET)
    return play.tool("tests_failed", model=SONNET)


def test_after_a_failed_check_advice_comes_before_another_try(book: Book) -> None:
    play = Play(book, PUSH)
    play.prompt(model=SONNET)
    fail_check(play)
    after = play.prompt(model=SONNET)
    assert (after.action, after.reason, after.chosen.model) == ("advise", "advisor", SONNET)
    assert after.consult == Config(OPUS) and "≈$" in gate(after)


def test_advice_closes_half_of_the_gap_to_the_stronger_models_own_try(book: Book) -> None:
    """The failure that is being answered counts once: in what either could mend, and not in the advisor's chance again."""
    play = Play(book, replace(PUSH, consent_up=True))
    play.prompt(model=SONNET)
    fail_check(play)
    lane, asked = play.session.lanes["main"], Config(SONNET, "high")
    assert lane.last_request is not None
    said = (*lane.messages, Message(98, "assistant", "assistant", 800), Message(99, "user", "prompt", 400))
    request = replace(lane.last_request, messages=said, body_hash=99)
    place = locate(request, play.session, play.now)
    at = setting(request, play.session, place, book, play.policy, asked, play.now, lane.belief)
    rows = rows_of(configs_of(at), at)
    found, _ = next_tries(at, rows, lane, play.session.failed, check_odds(play.policy, at.usual))
    mine, strong = (next(n for n in found if n.config == config) for config in (asked, Config(OPUS, "high")))
    others = [n for n in found if n is not strong]  # nobody consents to that one: advice is the only way up
    advised, _ = advised_try(at, next(row for row in rows if row.config == asked), others)
    assert advised is not None and advised.p == pytest.approx(mine.p + GAIN * (strong.p - mine.p), abs=0.005)


def test_failing_hard_in_the_loop_is_advised_once(book: Book) -> None:
    play = Play(book, PUSH)
    assert hard(play, 2).action != "advise"
    advised = play.tool("tests_failed", model=SONNET)
    assert advised.action == "advise" and "3 failing test runs in a row" in gate(advised)


def test_a_passing_run_between_them_ends_the_row(book: Book) -> None:
    play = Play(book, PUSH)
    hard(play, 2)
    play.tool("tests_passed", model=SONNET)
    assert play.tool("tests_failed", model=SONNET).action != "advise"


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (replace(PUSH, advisor=None), "no advisor is set"),
        (replace(PUSH, advisor=Advisor(OPUS, push=False, pull=True)), "only where the model asks"),
        (replace(PUSH, advisor=Advisor(HAIKU)), "no stronger than"),
        (replace(PUSH, advisor=Advisor(OPUS, per_session=0)), "as many as a session may have"),
        (replace(PUSH, advisor=Advisor(OPUS, budget_usd=0.001)), "above its budget"),
        (replace(PUSH, deny=(OPUS,)), "is denied"),
        (replace(PUSH, allow=(SONNET, HAIKU)), "is not among the models allowed"),
        (replace(PUSH, budget_session=0.0, budget_then="hold"), "budget of $0.00 is spent"),
        (replace(PUSH, failure_usd=0.01), "worth ≈$"),
    ],
)
def test_what_keeps_it_from_being_asked(book: Book, policy: Policy, said: str) -> None:
    found = hard(Play(book, policy))
    assert found.action != "advise" and said in gate(found)


def test_consults_are_counted_and_capped_by_session(book: Book) -> None:
    play = Play(book, replace(PUSH, advisor=Advisor(OPUS, per_session=1)))
    assert hard(play).action == "advise"
    play.tell(Advised(play.now, "s1", "r1", "main", Config(OPUS), "push", "failed"))
    again = play.tool("tests_failed", model=SONNET)
    assert again.action != "advise" and "1 consults" in gate(again)


@pytest.mark.parametrize("then", ["warn", "hold"])
def test_once_a_budget_holds_the_providers_own_advisor_is_taken_back(book: Book, then: Then) -> None:
    """It consults inside an answer, where nobody could refuse it."""
    own = replace(PUSH, advisor=Advisor(OPUS, push=False, pull=True, provider_tool=True))
    play = Play(book, own)
    first = play.prompt(model=SONNET, client="claude", needs=frozenset({"tools"})).edits
    assert provider_advisor(first) == OPUS
    play.policy = replace(own, budget_session=0.0, budget_then=then)
    later = play.prompt(model=SONNET, client="claude", needs=frozenset({"tools"})).edits
    assert (provider_advisor(later) is None) == (then == "hold")


def test_the_tool_is_offered_from_the_first_request_and_never_later(book: Book) -> None:
    pulling = replace(PUSH, advisor=Advisor(OPUS, pull=True))
    play = Play(book, PUSH)
    assert not play.prompt(model=SONNET, needs=frozenset({"tools"})).edits
    play.policy = pulling
    assert not play.prompt(model=SONNET, needs=frozenset({"tools"})).edits
    fresh = Play(book, pulling)
    first = fresh.prompt(model=SONNET, needs=frozenset({"tools"})).edits
    assert [(edit.kind, edit.value, edit.at) for edit in first] == [("tool", "consult_advisor", 0)]
    fresh.policy = PUSH  # taken off in the settings: the list of tools stays what it was
    assert fresh.prompt(model=SONNET, needs=frozenset({"tools"})).edits == first
    assert not Play(book, pulling).prompt(model=SONNET).edits, "a client without tools gets none"
    assert not Play(book, pulling).prompt(model=OPUS, needs=frozenset({"tools"})).edits, "nor one who works on the advisor itself"


def test_a_call_by_a_model_that_is_as_strong_by_now_is_not_answered(book: Book) -> None:
    play = Play(book, replace(PUSH, advisor=Advisor(OPUS, pull=True)))
    decision = play.prompt(model=SONNET)
    lane = play.session.lanes["main"]
    assert shut(decision, lane, Advisor(OPUS), book, play.now) is None
    escalated = replace(decision, chosen=Config(OPUS))
    assert "no stronger than" in (shut(escalated, lane, Advisor(OPUS), book, play.now) or "")
    assert "too full" in (shut(decision, lane, Advisor(OPUS, max_tokens=600_000), book, play.now) or "")


def test_the_providers_own_tool_where_the_pair_allows_it(book: Book) -> None:
    own = replace(PUSH, advisor=Advisor(OPUS, pull=True, provider_tool=True))
    edits = Play(book, own).prompt(model=SONNET, client="claude", needs=frozenset({"tools"})).edits
    assert edits[0].value.startswith("advisor_20260301|claude-opus-5-5") and edits[0].model == SONNET
    other = Play(book, own).prompt(model=SONNET, client="opencode", needs=frozenset({"tools"})).edits
    assert other[0].value == "consult_advisor", "only Claude Code is known to take its blocks"
