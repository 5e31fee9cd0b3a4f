"""A check that cannot tell wrong work from right guards nothing, and what it says moves nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.test_decide import GUARDED, OPUS, SONNET, Play, failed_check
from pointsman.core.candidates import odds_of
from pointsman.core.checks import learned
from pointsman.core.codec import encode
from pointsman.core.events import Checked, RunStarted
from pointsman.core.policies import in_run
from pointsman.core.policy import CHECK_S
from pointsman.shell.controlled import run_event
from pointsman.shell.prices import load_book

BOOK = load_book()
RATES = st.floats(0.0, 1.0)


@pytest.mark.parametrize(("recall", "alarm", "model"), [(0.8, 0.1, SONNET), (0.5, 0.5, OPUS), (0.2, 0.5, OPUS), (0.0, 0.0, OPUS)])
def test_it_admits_nothing_weaker(recall: float, alarm: float, model: str) -> None:
    play = Play(BOOK, replace(GUARDED, check_recall=recall, check_false_alarm=alarm, failure_usd=0.0))
    assert play.prompt().chosen.model == model


@given(RATES, RATES)
def test_a_failure_never_makes_the_task_look_easier_whatever_its_rates(recall: float, alarm: float) -> None:
    play, other = (Play(BOOK, replace(GUARDED, check_recall=recall, check_false_alarm=alarm)) for _ in range(2))
    play.prompt()
    other.prompt()
    failed_check(play)
    assert play.prompt().belief.mu >= other.prompt().belief.mu - 1e-9


def test_a_check_is_priced_at_the_seconds_it_has_taken_here() -> None:
    """Three runs of three, four and nine minutes: in profile ``fast``, where a minute is a dollar, one costs $4."""
    ran = [Checked(1.0, "s", "pytest -q", "check_passed", "4 tests passed", seconds) for seconds in (180.0, 540.0, 240.0)]
    fast = replace(GUARDED, profile="fast", check=False)
    for before, seconds in (([], CHECK_S), (ran, 240.0)):
        run = run_event({"run": "r", "guard": encode(learned(before, "pytest -q").guard("pytest -q"))}, 0.0)
        assert isinstance(run, RunStarted)
        policy = in_run(fast, run, BOOK)
        assert policy.guarded and policy.check_s == seconds and odds_of(policy).check_usd == pytest.approx(seconds / 60.0)
