"""Another policy over recorded requests: what is the same costs the same, what differs has no known outcome."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pointsman.core.book import Book
from pointsman.core.decisions import Meter
from pointsman.core.evaluate import effective, mean_interval, snips
from pointsman.core.events import Event, Routed
from pointsman.core.hindsight import recorded, regret
from pointsman.core.policy import Policy
from pointsman.core.schedule import parse
from pointsman.core.whatif import Task, compared, replay, replay_best
from pointsman.shell.prices import load_book
from samples import HAIKU, OPUS, SONNET, Story


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book()


@pytest.fixture
def story() -> list[Event]:
    """Six turns on what was asked, one of them judged, with a sub-agent in between."""
    told = Story("s-1")
    for n in range(6):
        told.turn(requests=3)
        if n == 2:
            told.request(kind="subagent", lane="a1")
            told.mark(3, "good")
    return told.events


def test_the_same_path_costs_the_same_to_the_cent(story: list[Event], book: Book) -> None:
    found = replay(story, book, Policy())
    assert len(found.requests) == 18 and found.unknown == 0 and found.other_lanes > 0
    assert found.usd == pytest.approx(found.billed, abs=1e-12) and found.most == pytest.approx(found.usd)
    assert not any(request.differs for request in found.requests)
    assert [task.resolved for task in found.tasks] == [True]


def test_a_model_throughout_is_priced_with_its_own_caches_and_nothing_is_known_of_its_outcome(
    story: list[Event], book: Book
) -> None:
    found = replay(story, book, Policy(schedule=parse("1:haiku")))
    assert {request.now.chosen.model for request in found.requests} == {book.resolve("haiku", SONNET.model)}
    assert found.usd < found.billed and found.most >= found.usd
    assert found.moves == (0, 0)
    assert [(task.same, task.resolved) for task in found.tasks] == [(False, None)]


def test_a_detour_pays_its_way_back(story: list[Event], book: Book) -> None:
    stay, detour = (replay(story, book, Policy(schedule=parse(text))) for text in ("1:asked", "4:opus,7:asked"))
    at = {i: request.usd for i, request in enumerate(detour.requests)}
    was = {i: request.usd for i, request in enumerate(stay.requests)}
    assert at[3] > was[3] and at[6] > was[6]  # both prefixes are written
    assert all(at[i] == pytest.approx(was[i]) for i in (0, 1, 2, 8, 17))
    assert detour.moves == (0, 2)


def test_hindsight_is_the_cheapest_of_all(story: list[Event], book: Book) -> None:
    best = replay_best(story, book)
    for text in ("1:asked", "1:cheaper", "1:stronger", "1:haiku", "4:opus,7:asked"):
        assert best.usd <= replay(story, book, Policy(schedule=parse(text))).usd + 1e-9


def test_no_verdict_under_thirty_tasks_and_unknown_ones_stay_unknown() -> None:
    tasks = [Task("s", n, 1.0, 0.5, 0.8, n % 2 == 0, True if n % 4 == 0 else None, 1.0) for n in range(40)]
    known = compared(tasks)
    assert (known.tasks, known.same, known.unknown) == (40, 20, 30)
    assert known.net == pytest.approx(20.0) and known.net_least == pytest.approx(8.0)
    assert known.resolved.ess == 10 and not known.resolved.verdict and known.resolved.low < 0.8
    assert known.per_task == (pytest.approx(0.5), pytest.approx(0.5))
    assert compared(tasks[:29]).per_task is None and compared([]).resolved.value is None


def test_the_effective_sample_counts_rare_choices_for_less() -> None:
    assert effective([1.0] * 40) == 40 and effective([]) == 0.0
    assert effective([1.0] * 39 + [20.0]) < 10
    even, uneven = snips([(True, 1.0), (False, 1.0)]), snips([(True, 3.0), (False, 1.0)])
    assert even.value == 0.5 and uneven.value == 0.75 and uneven.ess < even.ess
    assert mean_interval([1.0] * 29) is None


def admitted(events: list[Event], *configs: object) -> list[Event]:
    """The same events, had the user admitted ``configs``."""
    meters = tuple(Meter(c.model, c.effort, 0.0, 1.0, 0.0) for c in configs)  # type: ignore[attr-defined]
    return [
        replace(e, decision=replace(e.decision, envelope=meters)) if isinstance(e, Routed) else e for e in events
    ]  # fmt: skip


def test_regret_is_nothing_where_nothing_else_was_admitted(story: list[Event], book: Book) -> None:
    found = regret(recorded(story, book))
    assert found.total == pytest.approx(0.0) and sum(found.ran.values()) == pytest.approx(sum(found.asked.values()))
    assert found.cheapest < sum(found.best.values())  # the cheapest price is no regret: nobody admitted it


def test_regret_is_signed_by_turn_and_splits_into_what_was_knowable_and_luck(story: list[Event], book: Book) -> None:
    found = regret(recorded(admitted(story, HAIKU), book))
    assert found.total > 0 and found.total == pytest.approx(found.knowable + found.afterwards)
    turns = found.cumulative()
    assert [turn for turn, _, _ in turns] == [1, 2, 3, 4, 5, 6]
    assert turns[-1][2] == pytest.approx(found.total)
    assert sum(own for _, own, _ in turns) == pytest.approx(found.total)


def test_a_session_that_ran_dearer_than_asked_shows_a_minus(book: Book) -> None:
    told = Story("s-2")
    for _ in range(3):
        told.turn(OPUS, requests=2)
    found = regret(recorded(told.events, book))
    dearer = sum(found.ran.values()) - sum(found.asked.values())
    assert dearer > 0 and found.total >= dearer - 1e-9


def test_what_ran_is_billed_as_it_was(story: list[Event], book: Book) -> None:
    for lane in recorded(story, book):
        assert sum(lane.way(lane.ran).usd) == pytest.approx(sum(lane.billed), rel=0.02)
