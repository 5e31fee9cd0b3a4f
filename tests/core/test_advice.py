"""Advice over a task's life: cheap first under a check, the asked model after it, released when the check has passed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import log

import pytest

from pointsman.core import candidates, costing, explain
from pointsman.core.book import Book
from pointsman.core.decide import decide
from pointsman.core.decisions import BreakEven, Candidate, Decision
from pointsman.core.events import Finished, Routed, Signalled
from pointsman.core.evolve import evolve
from pointsman.core.messages import Message
from pointsman.core.policy import Policy
from pointsman.core.session import Session
from pointsman.core.setting import Setting
from pointsman.core.types import Belief, Config, Place, Request, Usage
from pointsman.shell.prices import load_book

OPUS, SONNET, HAIKU = "claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"
GUARDED = Policy(
    profile="balanced", pool=(HAIKU, SONNET, OPUS), check=True, check_recall=0.8, check_false_alarm=0.1, failure_usd=2.0
)


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book()


@dataclass
class Task:
    """A session of one lane; every request is answered and billed as it was predicted."""

    book: Book
    policy: Policy = GUARDED
    session: Session = field(default_factory=lambda: Session("s"))
    said: tuple[Message, ...] = ()
    now: float = 1_800_000_000.0
    n: int = 0

    def ask(self, kind: str = "prompt", *, start_over: bool = False) -> Decision:
        self.n += 1
        self.now += 20.0
        if self.said and not start_over:
            self.said += (Message(10 * self.n + 1, "assistant", "assistant", 900),)
        self.said = (() if start_over else self.said) + (Message(10 * self.n, "user", kind, 3_000),)  # type: ignore[arg-type]
        request = Request(
            "messages", "/v1/messages", OPUS, client="claude_code", session="s", system=1, tools=2, head_chars=60_000,
            ttl_s=300, messages=self.said, body_hash=self.n,
        )  # fmt: skip
        decision = replace(decide(request, self.session, self.book, self.policy, self.now, 0.5), id=f"r{self.n}")
        kept = decision.place.kept
        added = replace(request, messages=self.said[kept:])
        self._tell(Routed(self.now, "s", decision.id, added, kept, decision))
        row = decision.row(decision.chosen)
        assert row is not None
        usage = Usage(cache_read=row.cache_read, cache_write=((300, row.prompt - row.cache_read),), output=300)
        ended = self.now + 5.0
        self._tell(Finished(ended, "s", decision.id, 200, "final", self.now, ended, None, usage, decision.chosen, ttl_s=300))
        return decision

    def check(self, passed: bool, after: float = 10.0) -> None:
        self.now += after
        self._tell(Signalled(self.now, "s", "check_passed" if passed else "check_failed"))

    def _tell(self, event: Routed | Finished | Signalled) -> None:
        self.session = evolve(self.session, event) or self.session


def test_cheap_first_then_asked_then_released_by_the_check_that_passed(book: Book) -> None:
    task = Task(book)
    assert task.ask().chosen.model == HAIKU
    task.check(False)
    up = task.ask()
    assert (up.chosen.model, up.action, up.reason) == (OPUS, "escalate", "escalate")
    assert task.ask("tool_result").reason == "sticky"
    task.check(True)
    released = task.ask()
    assert released.place.new_task and (released.chosen.model, released.reason) == (HAIKU, "free_point")
    assert released.belief.n == 0 and task.session.failed == ()


def test_a_failed_check_is_acted_on_once(book: Book) -> None:
    """The check ends in the very second in which the next try begins."""
    task = Task(book)
    task.ask()
    task.now += 10.0
    task._tell(Signalled(task.now + 20.0, "s", "check_failed"))
    assert task.ask().reason == "escalate"
    assert [task.ask("tool_result").reason for _ in range(3)] == ["sticky"] * 3


def test_after_the_guard_has_spoken_the_asked_model_is_next_unless_it_costs_more_than_a_failure(book: Book) -> None:
    for usd, model in ((0.0, HAIKU), (0.3, HAIKU), (2.0, OPUS), (20.0, OPUS)):
        task = Task(book)
        assert task.ask().chosen.model == HAIKU
        task.policy = replace(GUARDED, failure_usd=usd)
        task.check(False)
        assert task.ask().chosen.model == model, usd


@pytest.mark.parametrize("usd", [0.0, 0.6, 2.0, 5.0, 10.0, 20.0])
def test_without_a_check_balanced_stays_whatever_a_failure_costs(book: Book, usd: float) -> None:
    task = Task(book, replace(GUARDED, check=False, check_recall=0.0, check_false_alarm=0.0, failure_usd=usd))
    assert task.ask().chosen.model == OPUS
    task.now += 10_000.0
    assert task.ask().chosen.model == OPUS and task.ask(start_over=True).chosen.model == OPUS


def test_the_dearer_a_failure_the_stronger_the_beginning(book: Book) -> None:
    order = [HAIKU, SONNET, OPUS]
    starts = [order.index(Task(book, replace(GUARDED, failure_usd=usd)).ask().chosen.model) for usd in (0, 1, 2, 5, 10, 20, 60)]
    assert starts == sorted(starts) and starts[0] == 0 and starts[-1] == 2


def test_consent_to_spend_more_covers_failures_and_not_beginnings(book: Book) -> None:
    policy = replace(GUARDED, pool=(HAIKU, OPUS, "claude-fable-5-1"), failure_usd=200.0, consent_up=True)
    assert Task(book, policy).ask().chosen.model == OPUS


def test_inside_a_loop_the_cost_to_go_stands_and_a_check_makes_it_new(book: Book) -> None:
    task = Task(book)
    first = task.ask()
    inside = task.ask("tool_result")
    assert [row.total_usd for row in inside.candidates] == [row.total_usd for row in first.candidates]
    assert [row.prompt for row in inside.candidates] != [row.prompt for row in first.candidates]
    task.check(False)
    judged = task.ask("tool_result")
    assert [row.total_usd for row in judged.candidates] != [row.total_usd for row in first.candidates]


def test_each_flip_in_minutes_is_one_when_decided_again_on_both_sides(book: Book) -> None:
    flips = 0
    for usd in (0.6, 5.0, 20.0):
        decision = Task(book, replace(GUARDED, failure_usd=usd)).ask()
        for point in decision.breakevens:
            if point.axis == "minutes" and point.at is not None:
                other = Config(point.model, point.effort)
                sides = [_gap(_decided(book, point.at * share), decision.chosen, other) for share in (0.95, 1.05)]
                assert sides[0] * sides[1] < 0.0, (usd, point)
                flips += 1
    assert flips >= 3


def _decided(book: Book, usd: float) -> tuple[Candidate, ...]:
    return Task(book, replace(GUARDED, failure_usd=usd)).ask().candidates


def _gap(rows: tuple[Candidate, ...], mine: Config, other: Config) -> float:
    found = {row.config: row.total_usd for row in rows}
    return (found[mine] or 0.0) - (found[other] or 0.0)


def test_each_flip_in_difficulty_is_one_when_priced_again_on_both_sides(book: Book) -> None:
    flips = 0
    for usd in (2.0, 5.0, 20.0):
        policy = replace(GUARDED, failure_usd=usd)
        at = _setting(book, policy)
        rows = costing.compare([Config(m) for m in policy.pool], at)
        best = min(rows, key=lambda row: row.total_usd or 0.0).config
        for point in explain.breakevens(at, rows, best):
            if point.axis == "difficulty" and point.at is not None and 0.02 < point.at < 0.98:
                sides = [_gap(_at(rows, at, point.at + off), best, Config(point.model, point.effort)) for off in (-0.03, 0.03)]
                assert sides[0] * sides[1] < 0.0, (usd, point)
                there = candidates.rows_of([row.config for row in rows], replace(at, belief=_belief(point.at)))
                assert point.needed == pytest.approx(_uplift(there, point, best), abs=0.02)
                assert point.uplift == pytest.approx(_uplift(rows, point, best), abs=0.02)
                flips += 1
    assert flips >= 3


def _setting(book: Book, policy: Policy) -> Setting:
    said = (Message(1, "user", "prompt", 3_000),)
    request = Request("messages", "/v1/messages", OPUS, session="s", head_chars=60_000, messages=said, ttl_s=300)
    place = Place("s", "main", "main", "new", new_turn=True, new_task=True)
    return candidates.setting(request, Session("s"), place, book, policy, Config(OPUS), 1_800_000_000.0, Belief())


def _at(rows: tuple[Candidate, ...], at: Setting, hard: float) -> tuple[Candidate, ...]:


    return costing.costed(rows, replace(at, belief=_belief(hard)))


def _belief(hard: float) -> Belief:
    return Belief(2.5 * log(hard / (1.0 - hard)))


def _uplift(rows: tuple[Candidate, ...], point: BreakEven, chosen: Config) -> float:
    """How much likelier the config of ``point`` succeeds than ``chosen``, by their rows."""
    fails = {row.config: row.fail or 0.0 for row in rows}
    return fails[chosen] - fails[Config(point.model, point.effort)]
