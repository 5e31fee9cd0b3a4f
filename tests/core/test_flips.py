"""Where an answer would flip: every point that a decision names is one when it is decided again on both sides of it."""

from __future__ import annotations

from dataclasses import replace
from math import log

import pytest

from core.test_decide import Play
from pointsman.core.book import Book
from pointsman.core.decide import decide
from pointsman.core.decisions import BreakEven, Candidate, Decision
from pointsman.core.events import Finished, Pinned, Routed, Signalled
from pointsman.core.evolve import evolve
from pointsman.core.explain import _flip, _requests
from pointsman.core.messages import Message
from pointsman.core.policy import Odds, Policy
from pointsman.core.session import Session
from pointsman.core.types import Belief, Config, Request, Usage
from pointsman.shell.prices import load_book

OPUS, SONNET, HAIKU, FABLE = "claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5", "claude-fable-5-1"
NOW = 1_800_000_000.0
GUARDED = Policy(profile="balanced", check=True, check_recall=0.8, check_false_alarm=0.1)
POLICIES = {
    "guarded": replace(GUARDED, pool=(HAIKU, SONNET, OPUS)),
    "wide pair": replace(GUARDED, pool=(HAIKU, OPUS), consent_up=True),
    "saver": Policy(profile="saver", pool=(HAIKU, SONNET, OPUS)),
    "quality": Policy(pool=(SONNET, OPUS, FABLE)),
    "fast": Policy(profile="fast", check=True, check_recall=0.9, check_false_alarm=0.05, pool=(HAIKU, SONNET, OPUS)),
}


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book()


def request(said: tuple[Message, ...], n: int) -> Request:
    return Request(
        "messages", "/v1/messages", OPUS, client="claude_code", session="s", system=1, tools=2, head_chars=60_000, ttl_s=300,
        messages=said, body_hash=n,
    )  # fmt: skip


def begun(book: Book, policy: Policy) -> tuple[Session, tuple[Message, ...]]:
    """A session after one answered request, and what its next turn sends."""
    session, said = Session("s"), (Message(1, "user", "prompt", 6_000),)
    decision = replace(decide(request(said, 1), session, book, policy, NOW, 0.5), id="r1")
    session = evolve(session, Routed(NOW, "s", "r1", request(said, 1), 0, decision)) or session
    row = decision.row(decision.chosen)
    assert row is not None
    usage = Usage(cache_write=((300, row.prompt),), output=300)
    done = Finished(NOW + 5, "s", "r1", 200, "final", NOW, NOW + 5, None, usage, decision.chosen, ttl_s=300)
    session = evolve(session, done) or session
    return session, (*said, Message(2, "assistant", "assistant", 900), Message(3, "user", "prompt", 3_000))


def decided(book: Book, policy: Policy, usd: float | None = None) -> Decision:
    """The next turn's decision; ``usd``: what a failure costs from then on."""
    session, said = begun(book, policy)
    policy = policy if usd is None else replace(policy, failure_usd=usd)
    return decide(request(said, 2), session, book, policy, NOW + 30, 0.5)


def gap(decision: Decision, mine: Config, other: Config) -> float:
    a, b = decision.row(mine), decision.row(other)
    assert a is not None and b is not None and a.total_usd is not None and b.total_usd is not None
    return a.total_usd - b.total_usd


def points(decision: Decision, axis: str) -> list[BreakEven]:
    return [point for point in decision.breakevens if point.axis == axis]


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("usd", [0.6, 2.0, 5.0, 20.0])
def test_minutes(book: Book, name: str, usd: float) -> None:
    policy = replace(POLICIES[name], failure_usd=usd)
    base = decided(book, policy)
    assert points(base, "minutes")
    for point in points(base, "minutes"):
        other = Config(point.model, point.effort)
        if point.at is None:
            ways = (decided(book, policy, usd=at) for at in (0.01, 1.0, usd, 30.0, 59.0))
            assert len({gap(way, base.chosen, other) > 0 for way in ways}) == 1, point
        elif point.at > 0.01:
            low, high = (gap(decided(book, policy, usd=point.at * x), base.chosen, other) for x in (0.97, 1.03))
            assert low * high < 0.0, (point, low, high)


def test_minutes_of_protected_work_are_those_that_the_user_sets(book: Book) -> None:
    """A failure there costs three times as much; what is named is the figure in the settings, and what it would have to be."""
    policy = replace(POLICIES["saver"], failure_usd=5.0, protect=("path migrations",))

    def protected(usd: float) -> Decision:
        session, said = begun(book, policy)
        said = (*said[:-1], replace(said[-1], rules=("path migrations",)))
        return decide(request(said, 2), session, book, replace(policy, failure_usd=usd), NOW + 30, 0.5)

    base, looked = protected(5.0), 0
    for point in points(base, "minutes"):
        assert point.now == 5.0
        if point.at is not None and point.at > 0.01:
            low, high = (gap(protected(point.at * x), base.chosen, Config(point.model, point.effort)) for x in (0.97, 1.03))
            assert low * high < 0.0, (point, low, high)
            looked += 1
    assert looked


def inside(book: Book, policy: Policy, mu: float = 0.0) -> Decision:
    """A decision inside a turn, where what was believed is believed on. Another seed is another policy: all is priced anew."""
    session, said = begun(book, policy)
    lane = session.lanes["main"]
    assert lane.last_decision is not None
    lane = replace(lane, belief=Belief(mu, 1.5, 5), last_decision=replace(lane.last_decision, breakevens=()))
    said = (*said[:-1], Message(3, "user", "tool_result", 3_000))
    return decide(request(said, 2), replace(session, lanes={"main": lane}), book, replace(policy, seed=1), NOW + 30, 0.5)


def test_difficulty(book: Book) -> None:
    """Both models' failures move with it; "at no difficulty" is an answer."""
    looked = none = 0
    for policy in [replace(policy, failure_usd=usd) for policy in POLICIES.values() for usd in (2.0, 5.0, 20.0)]:
        base = inside(book, policy)
        ways = sorted((d.belief.hard, i, d) for i, d in enumerate(inside(book, policy, mu / 4) for mu in range(-28, 29)))
        for point in points(base, "difficulty"):
            curve = [(hard, gap(decision, base.chosen, Config(point.model, point.effort))) for hard, _, decision in ways]
            if point.at is None:
                assert len({side > 0 for _, side in curve}) == 1, (point, curve)
                none += 1
            elif curve[0][0] + 0.03 < point.at < curve[-1][0] - 0.03:
                below = [side for hard, side in curve if hard < point.at - 0.03][-1]
                above = next(side for hard, side in curve if hard > point.at + 0.03)
                assert below * above < 0.0, (policy, point, below, above)
                looked += 1
    assert looked >= 10 and none >= 1, (looked, none)


def test_inside_a_turn_they_are_those_of_what_is_believed_now(book: Book) -> None:
    """A failing test that a hook reports changes the belief, and every price and point with it."""
    play = Play(book, Policy(profile="saver", failure_usd=1.0))
    play.prompt(stop="tool")
    before = play.tool(stop="tool")
    play.tell(Signalled(play.now, "s1", "tests_failed"))
    play.now += 1.0
    after = play.tool(stop="tool")
    assert after.belief.mu > before.belief.mu and points(after, "difficulty")
    assert {point.now for point in points(after, "difficulty")} == {after.belief.hard}


def test_a_choice_that_changes_inside_a_turn_has_points_of_its_own(book: Book) -> None:
    """Its rows cost what they did, and what they are compared with is another one."""
    play = Play(book)
    play.prompt(stop="tool")
    asked = play.tool(stop="tool")
    play.tell(Pinned(play.now, "s1", Config(SONNET), "session", "pointsman pin"))
    pinned = play.tool(stop="tool")
    assert pinned.chosen.model == SONNET and {p.model for p in points(asked, "minutes")} == {SONNET, FABLE}
    assert {p.model for p in points(pinned, "minutes")} == {p.model for p in points(pinned, "difficulty")} == {OPUS, FABLE}


def test_what_is_vetoed_is_nowhere_flipped_to(book: Book) -> None:
    play = Play(book, Policy(deny=(SONNET,)))
    decision = play.prompt()
    assert decision.row(Config(SONNET, "high")) is not None and {p.model for p in decision.breakevens} == {FABLE}


def test_of_several_flips_the_nearest_is_named() -> None:
    def costs(x: float) -> list[float]:
        return [abs(x - 3.0), 2.0]

    curve = [(x, costs(x)) for x in (0.0, 3.0, 10.0)]
    for now, flip in ((0.0, 1.0), (2.5, 1.0), (4.0, 5.0), (9.0, 5.0)):
        assert _flip(curve, costs, 0, 1, now) == pytest.approx(flip)
    assert _flip([(x, [x, -1.0]) for x in (0.0, 60.0)], lambda x: [x, -1.0], 0, 1, 5.0) is None


def test_a_model_that_runs_at_the_same_price_never_repays_a_switch() -> None:
    here = Candidate("a", None, run_usd=0.1, toll_usd=0.0, fail=0.3)
    assert _requests(here, replace(here, model="b", toll_usd=0.5), Odds(27.0, 2.0)).at is None
    assert _requests(here, replace(here, model="b", toll_usd=0.5, run_usd=0.05), Odds(27.0, 2.0)).at == pytest.approx(10.0)
    slow = replace(here, model="b", toll_usd=0.5, run_usd=0.08, steps=1.5)
    assert _requests(here, slow, Odds(27.0, 2.0)).at is None, "half as many requests again eat up what each one saves"
    assert _requests(replace(here, steps=1.5), slow, Odds(27.0, 2.0)).at == pytest.approx(25.0)
    assert _requests(replace(here, toll_usd=0.6), replace(here, model="b", run_usd=0.05), Odds(27.0, 2.0)).at == 0.0


def test_the_scale_of_difficulty_is_the_one_that_people_see() -> None:
    assert Belief(2.5 * log(0.62 / 0.38)).hard == pytest.approx(0.62)
