"""The envelope in a session: the meter fills from bills, leaves when it has paid for the switch, and is silent otherwise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.test_decide import HAIKU, OPUS, SONNET, Play
from pointsman.core.book import Book
from pointsman.core.envelope import EARLY
from pointsman.core.events import Pinned, Unpinned
from pointsman.core.policy import Policy
from pointsman.core.types import Config, Decision
from pointsman.shell.prices import load_book


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book()


def long_turn(play: Play, chars: int = 9_000, requests: int = 30) -> Decision:
    """A turn of many tool calls, six seconds each, and the next prompt."""
    for i in range(requests):
        play.now -= 14.0
        play.tool(chars=chars, stop="tool" if i < requests - 1 else "final")
    play.now -= 14.0
    return play.prompt(chars=1_000)


def saver(book: Book) -> Policy:
    """A failure costs just enough for the asked model to be worth its price at the start; in a grown context it no longer is."""
    for step in range(60):
        policy = Policy(profile="saver", failure_usd=0.1 * 1.15**step, pool=(HAIKU, OPUS))
        if Play(book, policy).prompt(chars=2_000).chosen == Config(OPUS, "high"):
            return policy
    raise AssertionError("no price of a failure makes the asked model worth it")


def grown(book: Book) -> Play:
    play = Play(book, saver(book))
    play.prompt(chars=2_000)
    for _ in range(6):
        long_turn(play)
    return play


def test_it_fills_from_bills_and_leaves_at_the_start_of_a_turn_once_the_switch_is_paid_for(book: Book) -> None:
    play, decisions = grown(book), []
    while not decisions or decisions[-1].reason != "envelope":
        decisions.append(long_turn(play, chars=300, requests=20))
        assert len(decisions) < 40
    *before, left = decisions
    assert all(decision.chosen == Config(OPUS, "high") for decision in before)
    assert "would have saved ≈$" in before[-1].sentence and "the switch and the way back cost ≈$" in before[-1].sentence
    assert left.chosen == Config(HAIKU, "high") and left.action == "switch" and not left.place.in_loop
    meter = left.envelope[0]
    assert meter.config == left.chosen and meter.saved_usd >= EARLY * meter.switch_usd
    assert "has paid for the switch" in left.sentence
    assert any(gate.name == "envelope" and "so it is due" in gate.said for gate in left.gates)
    after = long_turn(play, chars=300, requests=3)
    assert after.chosen == left.chosen and after.envelope[0].config == Config(OPUS, "high")
    assert after.envelope[0].saved_usd == 0.0


def test_nothing_admitted_nothing_weighed(book: Book) -> None:
    play = Play(book)
    play.prompt()
    assert long_turn(play, requests=3).envelope == ()
    assert not play.session.lanes["main"].sums.usd
    consented = Play(book, Policy(consent_up=True))  # spending more covers failures, not money saved
    consented.prompt()
    assert long_turn(consented, requests=3).envelope == ()


def test_a_pin_ends_the_sums_and_they_begin_anew_after_it(book: Book) -> None:
    play = grown(book)
    assert play.session.lanes["main"].sums.usd[Config(HAIKU, "high")] > 0.1
    play.tell(Pinned(play.now, "s1", Config(OPUS), "session", "pointsman pin"))
    assert play.prompt().envelope == ()
    play.tell(Unpinned(play.now, "s1", "session", "pointsman unpin", "unpinned by you"))
    after = play.prompt()
    assert [meter.saved_usd for meter in after.envelope] == [0.0]


def test_at_a_free_point_they_begin_anew(book: Book) -> None:
    play = grown(book)
    play.now += 700.0
    decision = play.prompt()
    assert decision.free_point == "idle" and all(meter.saved_usd == 0.0 for meter in decision.envelope)


def test_a_veto_takes_its_alternative_out(book: Book) -> None:
    play = grown(book)
    play.policy = replace(play.policy, deny=(HAIKU,))
    assert Config(HAIKU, "high") not in [meter.config for meter in play.prompt().envelope]


def test_an_escalation_is_never_weighed(book: Book) -> None:
    play = Play(book, Policy(profile="saver", pool=(HAIKU, SONNET, OPUS), asked=SONNET))
    play.prompt()
    lane = play.session.lanes["main"]
    play.session = replace(play.session, lanes={"main": replace(lane, sticky=Config(SONNET, "high"))})
    assert play.prompt().envelope == ()


def test_three_configs_each_have_a_sum(book: Book) -> None:
    play = Play(book, Policy(profile="saver", pool=(HAIKU, SONNET, OPUS), asked=OPUS, failure_usd=3.0))
    play.prompt(chars=2_000)
    decision = long_turn(play, requests=5)
    assert [meter.model for meter in decision.envelope] == [m for m in (HAIKU, SONNET, OPUS) if m != decision.chosen.model]


def test_a_retry_is_no_new_request_to_the_sums(book: Book) -> None:
    play = grown(book)
    before = play.session.lanes["main"].sums
    play.n += 1
    play.said += play.said[-2:]
    first = play.send(answer=False)
    during = play.session.lanes["main"].sums
    assert play.send(answer=False).reason == "retry" and first.envelope
    assert play.session.lanes["main"].sums == during
    assert set(during.usd) == set(before.usd)
