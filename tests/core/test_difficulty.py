"""The belief moves with evidence, forgets on a new task, and never the wrong way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pointsman.core.capability import p_success
from pointsman.core.difficulty import PRIOR, update
from pointsman.core.features import ENDS, LASTS, SENSORS, SIGNALS, Sensor
from pointsman.core.types import Belief, Place

IN_LOOP = Place("s", "main", "main", "continue", kept=1, turn=1, task=1, in_loop=True)
NEXT_TASK = Place("s", "main", "main", "continue", kept=1, turn=9, task=2, new_turn=True, new_task=True)
FAILED, PASSED = SENSORS["tests_failed"], SENSORS["tests_passed"]
EVERY = (*SENSORS.values(), *SIGNALS.values(), LASTS, ENDS)


def test_failing_tests_make_the_task_harder_and_passing_ones_easier() -> None:
    worse = update(PRIOR, [FAILED], 1.0, IN_LOOP)
    assert worse.mu > PRIOR.mu and worse.sd < PRIOR.sd and worse.n == 1
    assert update(worse, [PASSED], 1.0, IN_LOOP).mu < worse.mu


def test_a_content_free_opener_moves_nothing() -> None:
    assert update(PRIOR, [], 1.0, NEXT_TASK) == PRIOR


def test_a_new_task_forgets_nearly_everything() -> None:
    worse = update(update(PRIOR, [FAILED], 1.0, IN_LOOP), [FAILED], 1.0, IN_LOOP)
    fresh = update(worse, [], 1.0, NEXT_TASK)
    assert abs(fresh.mu - PRIOR.mu) < 0.1 * abs(worse.mu - PRIOR.mu) and fresh.n == 0


beliefs = st.builds(Belief, st.floats(-5, 5), st.floats(0.1, 4), st.integers(1, 20))


@given(beliefs, st.floats(-3, 3), st.lists(st.sampled_from([s for s in EVERY if s.alpha > 0]), max_size=4))
def test_more_failure_evidence_never_lowers_the_difficulty(belief: Belief, theta: float, seen: list[Sensor]) -> None:
    assert update(belief, seen, theta, IN_LOOP).mu >= update(belief, [], theta, IN_LOOP).mu - 1e-12


@given(beliefs, st.floats(-3, 3), st.floats(0, 3))
def test_success_falls_with_difficulty_and_a_hand_over(belief: Belief, theta: float, sd: float) -> None:
    harder = Belief(belief.mu + 1.0, belief.sd, belief.n)
    assert p_success(harder, theta, sd) < p_success(belief, theta, sd) or p_success(belief, theta, sd) in (0.0, 1.0)
    assert p_success(belief, theta, sd, handover=True) <= p_success(belief, theta, sd)


@given(beliefs, st.floats(-3, 3), st.lists(st.sampled_from([s for s in EVERY if s.alpha < 0]), max_size=4))
def test_more_evidence_of_success_never_raises_the_difficulty(belief: Belief, theta: float, seen: list[Sensor]) -> None:
    assert update(belief, seen, theta, IN_LOOP).mu <= update(belief, [], theta, IN_LOOP).mu + 1e-12


@given(beliefs, st.floats(-3, 3), st.lists(st.sampled_from(EVERY), max_size=12))
def test_evidence_never_makes_the_belief_wild(belief: Belief, theta: float, seen: list[Sensor]) -> None:
    after = update(belief, seen, theta, IN_LOOP, seen)
    assert abs(after.mu) < 40 and 0 < after.sd < 8


def test_what_a_hook_says_counts_for_more_than_what_a_text_shows() -> None:
    for name in ("tests_failed", "tests_passed", "interrupt", "tool_error"):
        told, shown = (update(PRIOR, [one], 1.0, IN_LOOP).mu for one in (SIGNALS[name], SENSORS[name]))  # type: ignore[index]
        assert abs(told) > abs(shown) > 0


def test_evidence_of_the_turn_that_ended_is_weakened_by_the_step_to_the_next_task() -> None:
    known = Belief(0.0, 2.0, 3)
    past = update(known, [], 1.0, NEXT_TASK, [FAILED]).mu
    assert 0 < past < 0.1 * update(known, [FAILED], 1.0, NEXT_TASK).mu
