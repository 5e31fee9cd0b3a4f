"""A check that cannot tell wrong work from right guards nothing, and what it says moves nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.test_decide import GUARDED, OPUS, SONNET, Play, failed_check
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
