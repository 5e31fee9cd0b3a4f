"""Where an answer would flip: every point that a decision names is one when it is decided again on both sides of it."""

from __future__ import annotations

from dataclasses import replace
from math import log

import pytest

from pointsman.core.book import Book
from pointsman.core.decide import decide
from pointsman.core.decisions import BreakEven, Decision
from pointsman.core.events import Finished, Routed
from pointsman.core.evolve import evolve
from pointsman.core.messages import Message
from pointsman.core.policy import Policy
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


def test_the_scale_of_difficulty_is_the_one_that_people_see() -> None:
    assert Belief(2.5 * log(0.62 / 0.38)).hard == pytest.approx(0.62)
