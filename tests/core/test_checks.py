"""What a run of the check means, what a check is worth, and what is counted: pure, on tables and properties."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.core.checks import ALWAYS_FAILED, NEVER_FAILED, Trial, cannot_fail, judge, learned
from pointsman.core.codec import decode, encode
from pointsman.core.events import Checked, Marked, Signalled, Verdict

NAMES = st.frozensets(st.sampled_from(["a", "b", "c", "d", "e"]))


def failed(*names: str, code: int = 1) -> Trial:
    return Trial(code, 1.0, frozenset(names), 9)


PASSED = Trial(0, 1.0, frozenset(), 9)


def test_a_pass_is_a_pass_and_says_how_many() -> None:
    assert judge(PASSED, None, frozenset()).verdict == "check_passed"
    assert judge(PASSED, None, None).why == "9 tests passed"


def test_only_newly_failing_tests_are_blamed() -> None:
    said = judge(failed("old", "new"), failed("old", "new"), frozenset({"old"}))
    assert (said.verdict, said.new, said.known) == ("check_failed", ("new",), True)


def test_what_failed_before_is_not_blamed() -> None:
    said = judge(failed("old"), failed("old"), frozenset({"old", "older"}))
    assert said.verdict == "check_unsure" and "as before" in said.why and said.new == ()


def test_an_unknown_baseline_is_said() -> None:
    said = judge(failed("a"), None, None)
    assert said.verdict == "check_failed" and not said.known and "not known" in said.why


def test_what_this_work_broke_stays_blamed_though_the_last_tree_had_it() -> None:
    assert judge(failed("mine"), None, frozenset({"mine"}), blamed=("mine",)).verdict == "check_failed"


def test_without_names_the_exit_code_speaks() -> None:
    assert judge(failed(code=2), None, frozenset()).new == ("exit code 2",)
    assert judge(failed(code=2), None, frozenset({"exit code 2"})).verdict == "check_unsure"


def test_two_runs_that_disagree_are_a_flake() -> None:
    said = judge(failed("a"), PASSED, frozenset())
    assert said.verdict == "check_unsure" and said.flake
    steady = judge(failed("a", "b"), failed("b"), frozenset())
    assert (steady.verdict, steady.new, steady.flake) == ("check_failed", ("b",), True)
    assert judge(failed("a"), failed("a"), frozenset(), flaky=("a",)).verdict == "check_unsure"


@pytest.mark.parametrize(("run", "words"), [
    (replace(PASSED, code=None, timed_out=True, limit_s=5), "within 5 s"),
    (replace(PASSED, code=None, cancelled=True), "stopped"),
    (Trial(127, 0.1), "not there"),
    (Trial(126, 0.1), "not executable"),
    (Trial(-9, 0.1), "signal 9"),
    (Trial(139, 0.1), "signal 11"),
    (Trial(5, 0.1, tests=0), "no test"),
    (Trial(0, 0.1, frozenset({"a"}), 3), "cannot fail"),
])
def test_a_run_that_says_nothing_is_unsure(run: Trial, words: str) -> None:
    said = judge(run, None, frozenset())
    assert said.verdict == "check_unsure" and words in said.why and said.new == ()


def test_a_code_that_no_signal_has_is_a_failure() -> None:
    """PHP ends a fatal error with 255."""
    said = judge(Trial(255, 1.0), Trial(255, 1.0), frozenset())
    assert (said.verdict, said.new) == ("check_failed", ("exit code 255",))


def test_files_that_move_under_it_make_it_worthless() -> None:
    assert judge(PASSED, None, frozenset(), moved=("src/a.py",)).verdict == "check_unsure"


def test_a_distrusted_check_moves_nothing() -> None:
    assert judge(failed("a"), None, frozenset(), distrust="it has failed always").why == "it has failed always"


@given(NAMES, NAMES, NAMES, NAMES)
def test_blame_is_within_what_failed_and_outside_the_baseline(
    now: frozenset[str], before: frozenset[str], blamed: frozenset[str], flaky: frozenset[str]
) -> None:  # fmt: skip
    said = judge(Trial(1, 1.0, now, 9), None, before, blamed=blamed, flaky=flaky)
    assert set(said.new) <= Trial(1, 1.0, now, 9).names - (before - blamed) - flaky
    assert (said.verdict == "check_failed") == bool(said.new)


@pytest.mark.parametrize(("command", "answer"), [
    ("pytest -q || true", True), ("true", True), ("npm test; true", True), ("pytest; exit 0", True), ("pytest -q", False),
    ("make test", False), ("true && pytest", False),
])  # fmt: skip
def test_a_command_that_cannot_fail_is_known(command: str, answer: bool) -> None:
    assert cannot_fail(command) is answer


def ran(n: int, verdict: Verdict, *, task: int = 1, code: int | None = None, flake: bool = False) -> Checked:
    code = (0 if verdict == "check_passed" else 1) if code is None else code
    return Checked(float(n), "s", "pytest", verdict, "", 2.0, tree=f"t{n}", turn=n, task=task, exit=code, flake=flake)


def test_without_runs_the_priors_hold() -> None:
    known = learned([], "pytest")
    assert (known.recall, known.false_alarm, known.runs, known.seconds) == (0.8, 0.1, 0, None)


def test_a_failure_that_was_then_repaired_was_real() -> None:
    events = [ran(1, "check_failed"), ran(2, "check_passed")]
    assert learned(events, "pytest").recall == pytest.approx(9 / 11)
    assert learned(events, "another").runs == 0


def test_a_pass_that_a_person_marks_bad_was_missed() -> None:
    events = [ran(1, "check_passed"), Marked(2.0, "s", 1, "bad", "x")]
    known = learned(events, "pytest")
    assert known.recall == pytest.approx(8 / 11) and known.false_alarm == pytest.approx(0.1)
    undone = [*events, Marked(3.0, "s", 1, "bad", "x", undo=True)]
    assert learned(undone, "pytest").recall == 0.8


def test_a_revert_is_a_miss_too() -> None:
    assert learned([ran(1, "check_passed"), Signalled(2.0, "s", "revert")], "pytest").recall < 0.8


def test_a_failure_that_a_person_marks_good_was_a_false_alarm() -> None:
    known = learned([ran(1, "check_failed"), Marked(2.0, "s", 1, "good", "x")], "pytest")
    assert known.false_alarm == pytest.approx(2 / 11)


def test_flakes_raise_the_false_alarm_rate() -> None:
    known = learned([ran(1, "check_unsure", flake=True), ran(2, "check_passed")], "pytest")
    assert known.flake == 0.5 and known.false_alarm > 0.1


def test_a_check_that_always_fails_is_distrusted() -> None:
    events = [ran(n, "check_failed", task=n) for n in range(ALWAYS_FAILED)]
    assert learned(events[:-1], "pytest").distrust is None
    assert "every one of" in (learned(events, "pytest").distrust or "")
    assert learned([*events, ran(99, "check_passed")], "pytest").distrust is None


def test_a_project_that_begins_with_failing_tests_keeps_its_check() -> None:
    """Three known failures among forty tests: a fourth one is seen by its name. Where nothing passes, nothing is seen."""
    events = [replace(ran(n, "check_unsure", task=n, code=1), failed=3, tests=40) for n in range(2 * ALWAYS_FAILED)]
    assert learned(events, "pytest").distrust is None
    assert "every one of" in (learned([replace(event, tests=3) for event in events], "pytest").distrust or "")


def test_a_check_that_never_fails_is_distrusted_in_the_end() -> None:
    events = [ran(n, "check_passed", task=n) for n in range(NEVER_FAILED)]
    assert learned(events[:-1], "pytest").distrust is None
    assert "may not be able to fail" in (learned(events, "pytest").distrust or "")


def test_the_event_survives_the_ledger() -> None:
    event = replace(ran(1, "check_failed"), new_failures=("a", "b"), changed=("x",), sent_back=True)
    assert decode("Checked", encode(event)) == event
