"""The envelope in a session: the meter fills from bills, leaves when it has paid for the switch, and is silent otherwise."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.test_decide import HAIKU, OPUS, SONNET, Play
from pointsman.bench.policies import equal_quality
from pointsman.core.book import Book
from pointsman.core.decisions import Decision
from pointsman.core.envelope import EARLY
from pointsman.core.events import Pinned, Unpinned
from pointsman.core.policy import Policy
from pointsman.core.types import Config
from pointsman.shell.prices import load_book

BOOK = load_book()


@pytest.fixture(scope="module")
def book() -> Book:
    return BOOK


def long_turn(play: Play, chars: int = 9_000, requests: int = 30) -> Decision:
    """A turn of many tool calls, six seconds each, and the next prompt."""
    for i in range(requests):
        play.now -= 14.0
        play.tool(chars=chars, stop="tool" if i < requests - 1 else "final")
    play.now -= 14.0
    return play.prompt(chars=1_000)


SAVER = Policy(profile="saver", failure_usd=0.0, pool=(HAIKU, OPUS), efforts=False)


def grown(policy: Policy = SAVER) -> Play:
    """Equally able models; a pin held the dear one for the first turn, so that only prices speak for the other."""
    play = Play(equal_quality(BOOK), policy)
    play.tell(Pinned(play.now, "s1", Config(OPUS), "session", "pointsman pin"))
    assert play.prompt(chars=2_000).chosen == Config(OPUS, "high")
    play.tell(Unpinned(play.now, "s1", "session", "pointsman unpin", "unpinned by you"))
    long_turn(play, chars=300, requests=2)
    return play


def test_it_fills_from_bills_and_leaves_at_the_start_of_a_turn_once_the_switch_is_paid_for() -> None:
    play, decisions = grown(), []
    while not decisions or decisions[-1].reason != "envelope":
        decisions.append(long_turn(play, chars=300, requests=2))
        assert len(decisions) < 40
    *before, left = decisions
    saved = [decision.envelope[0].saved_usd for decision in decisions]
    assert before and saved == sorted(saved)
    assert all(decision.chosen == Config(OPUS, "high") for decision in before)
    assert "would have saved ≈$" in before[-1].sentence and "the switch and the way back cost ≈$" in before[-1].sentence
    assert left.chosen == Config(HAIKU, "high") and left.action == "switch" and not left.place.in_loop
    meter = left.envelope[0]
    assert meter.config == left.chosen and meter.saved_usd >= EARLY * meter.switch_usd
    half = EARLY * meter.switch_usd <= meter.saved_usd < meter.switch_usd
    assert half and "is cheaper to go on with and has paid for half of the switch" in left.sentence
    assert any(gate.name == "envelope" and "so it is due" in gate.said for gate in left.gates)
    after = long_turn(play, chars=300, requests=3)
    assert after.chosen == left.chosen and after.envelope[0].config == Config(OPUS, "high")
    assert after.envelope[0].saved_usd == 0.0


def test_a_switch_that_is_paid_for_whole_says_so() -> None:
    play = grown()
    long_turn(play, chars=300, requests=2)
    lane = play.session.lanes["main"]
    full = replace(lane, sums=replace(lane.sums, usd={config: 9.0 for config in lane.sums.usd}))
    play.session = replace(play.session, lanes={"main": full})
    assert play.prompt().sentence.startswith("haiku-5-5 from here, which has paid for the switch. ")


def test_nothing_admitted_nothing_weighed(book: Book) -> None:
    play = Play(book)
    play.prompt()
    assert long_turn(play, requests=3).envelope == ()
    assert not play.session.lanes["main"].sums.usd
    consented = Play(book, Policy(consent_up=True))  # spending more covers failures, not money saved
    consented.prompt()
    assert long_turn(consented, requests=3).envelope == ()


def test_a_pin_ends_the_sums_and_they_begin_anew_after_it() -> None:
    play = grown()
    assert play.session.lanes["main"].sums.usd[Config(HAIKU, "high")] > 0.0
    play.tell(Pinned(play.now, "s1", Config(OPUS), "session", "pointsman pin"))
    assert play.prompt().envelope == ()
    play.tell(Unpinned(play.now, "s1", "session", "pointsman unpin", "unpinned by you"))
    after = play.prompt()
    assert [meter.saved_usd for meter in after.envelope] == [0.0]


def test_what_runs_is_no_alternative_to_itself(book: Book) -> None:
    play = Play(equal_quality(book), SAVER)
    assert play.prompt(chars=2_000).chosen == Config(HAIKU, "high")
    warm = long_turn(play, chars=300, requests=2)
    assert warm.free_point is None and [meter.config for meter in warm.envelope] == [Config(OPUS, "high")]


def test_at_a_free_point_they_begin_anew() -> None:
    play = grown()
    play.now += 700.0
    decision = play.prompt()
    assert decision.free_point == "idle" and all(meter.saved_usd == 0.0 for meter in decision.envelope)


def test_a_veto_takes_its_alternative_out() -> None:
    play = grown()
    play.policy = replace(play.policy, deny=(HAIKU,))
    assert Config(HAIKU, "high") not in [meter.config for meter in play.prompt().envelope]


def test_an_escalation_is_never_weighed(book: Book) -> None:
    play = Play(book, Policy(profile="saver", efforts=False, pool=(HAIKU, SONNET, OPUS), asked=SONNET))
    play.prompt()
    lane = play.session.lanes["main"]
    play.session = replace(play.session, lanes={"main": replace(lane, sticky=Config(SONNET, "high"))})
    assert play.prompt().envelope == ()


def test_three_configs_each_have_a_sum() -> None:
    play = grown(replace(SAVER, pool=(HAIKU, SONNET, OPUS)))
    sums = play.session.lanes["main"].sums.usd
    assert set(sums) == {Config(HAIKU, "high"), Config(SONNET, "high")} and all(usd > 0.0 for usd in sums.values())


def test_a_retry_is_no_new_request_to_the_sums() -> None:
    play = grown()
    before = play.session.lanes["main"].sums
    play.n += 1
    play.said += play.said[-2:]
    first = play.send(answer=False)
    during = play.session.lanes["main"].sums
    assert play.send(answer=False).reason == "retry" and first.envelope
    assert play.session.lanes["main"].sums == during
    assert set(during.usd) == set(before.usd)


def test_after_a_retry_the_sums_go_on_where_they_were() -> None:
    play = grown()
    play.n += 1
    play.said += play.said[-2:]
    first = play.send(answer=False)
    again = play.send(stop="tool")
    assert (again.reason, again.kind, again.envelope) == ("retry", first.kind, first.envelope)
    before = play.session.lanes["main"].sums.usd
    assert play.tool(chars=300).envelope == first.envelope and before
    assert play.session.lanes["main"].sums.usd[Config(HAIKU, "high")] >= before[Config(HAIKU, "high")] > 0.0


def test_the_retry_of_a_move_that_was_due_is_weighed_from_where_it_went() -> None:
    play = grown()
    while (left := long_turn(play, chars=300, requests=2)).reason != "envelope":
        assert play.n < 400
    play.now += 1.0
    assert play.send(stop="tool").reason == "retry" and left.chosen == Config(HAIKU, "high")
    assert [meter.config for meter in play.tool(chars=300).envelope] == [Config(OPUS, "high")]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("prompt"), st.sampled_from([300, 40_000, 300_000])),
        st.tuples(st.just("tool"), st.sampled_from([300, 40_000])),
        st.tuples(st.just("done"), st.just(300)),
        st.tuples(st.just("wait"), st.sampled_from([100, 400, 4_000])),
        st.tuples(st.just("pin"), st.just(0)),
        st.tuples(st.just("unpin"), st.just(0)),
        st.tuples(st.just("deny"), st.just(0)),
    ),
    min_size=1, max_size=40,
)  # fmt: skip
POLICIES = st.sampled_from(
    [
        Policy(),
        Policy(profile="saver", failure_usd=0.5),
        Policy(profile="saver", efforts=False, pool=(HAIKU, SONNET, OPUS), failure_usd=2.0),
        Policy(profile="balanced", check=True, check_recall=0.8, check_false_alarm=0.1),
        Policy(consent_up=True),
    ]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, POLICIES)
def test_it_moves_only_where_it_may(steps: list[tuple[str, int]], policy: Policy) -> None:
    """Never inside a turn, never under a pin, never to what is vetoed or not admitted; and money is never counted below zero."""
    play = Play(BOOK, policy)
    decisions: list[tuple[Decision, bool]] = []
    for what, size in steps:
        pinned = play.session.pin is not None
        if what == "prompt":
            decisions.append((play.prompt(chars=size), pinned))
        elif what in ("tool", "done") and play.said:
            decisions.append((play.tool(chars=size, stop="tool" if what == "tool" else "final"), pinned))
        elif what == "wait":
            play.now += size
        elif what == "pin":
            play.tell(Pinned(play.now, "s1", Config(SONNET), "session", "pointsman pin"))
        elif what == "unpin":
            play.tell(Unpinned(play.now, "s1", "session", "pointsman unpin", "unpinned by you"))
        elif what == "deny":
            play.policy = replace(play.policy, deny=(HAIKU,))
    for decision, under_pin in decisions:
        row = decision.row(decision.chosen)
        assert all(meter.saved_usd >= 0.0 and meter.switch_usd >= 0.0 for meter in decision.envelope)
        assert not (decision.envelope and (under_pin or policy.profile == "quality"))
        if decision.reason == "envelope":
            assert decision.place.new_turn and not decision.place.in_loop and not under_pin
            assert row is not None and row.veto is None and decision.free_point is None
            assert decision.chosen in [meter.config for meter in decision.envelope]
