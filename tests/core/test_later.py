"""What is worked out when it is read: the same as if it had been worked out at once, and nothing the request waits for."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest

from core.test_properties import HAIKU, OPUS, SONNET, Settings, Talk
from pointsman.core.codec import build, encode
from pointsman.core.decisions import BreakEven, Decision
from pointsman.core.later import Later
from pointsman.core.types import Config, Place

POINT = BreakEven("m", None, "requests", 3.0, 27.0)


def test_it_equals_the_tuple_that_it_becomes() -> None:
    asked: list[int] = []

    def make() -> tuple[int, ...]:
        asked.append(1)
        return (1, 2)

    later = Later(make)
    assert later.waits and not asked
    assert later == (1, 2) and (1, 2) == later and later == Later(lambda: (1, 2)) and later != (1, 3)
    assert hash(later) == hash((1, 2)) and repr(later) == "(1, 2)" and len(later) == 2 and later[1] == 2 and list(later) == [1, 2]
    assert not later.waits and asked == [1]
    assert type(copy.deepcopy(later)) is tuple


def test_the_ledger_reads_it_as_a_tuple() -> None:
    place, config = Place("s", "main", "main", "new"), Config("m")
    decision = Decision("d", place, config, config, "stay", "asked", "", breakevens=Later(lambda: (POINT,)))
    assert encode(decision)["breakevens"] == [{"model": "m", "effort": None, "axis": "requests", "at": 3.0, "now": 27.0}]
    assert build(Decision, encode(decision)) == decision


def decisions(settings: Settings) -> Iterator[Decision]:
    """Decisions of one conversation, as the client waits for them."""
    talk = Talk(settings, effort="high")
    for step in [("prompt", 40_000), *[("tool", "ok")] * 3, ("prompt", 300), ("tool", "ok"), ("prompt", 300), ("prompt", 300)]:
        talk.play([step])
        yield talk.routes[-1][0].decision


@pytest.mark.parametrize("settings", [Settings(), Settings(profile="balanced", check=True), Settings(pool=[HAIKU, SONNET, OPUS])])
def test_the_break_even_points_wait_until_the_request_is_sent_and_are_the_same_then(settings: Settings) -> None:
    seen = []
    for decision in decisions(settings):
        assert isinstance(decision.breakevens, Later) and decision.breakevens.waits
        seen.append(decision)
    at_once = [(decision, tuple(decision.breakevens)) for decision in decisions(settings)]  # read before the next request
    assert any(points for _, points in at_once)
    assert [(decision, tuple(decision.breakevens)) for decision in seen] == at_once
