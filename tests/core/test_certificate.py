"""The certificate holds whenever it is read, takes as many tasks as mathematics wants, and the veto hears what goes wrong."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.core.certificate import ALARM, ANY, GRID, Judgement, Record, Served, alarm, bound, missing, won
from pointsman.core.policy import CHECK_RECALL
from pointsman.core.types import Config

OPUS, HAIKU = Config("opus"), Config("haiku")
ALONE = (0.0, 0.0, 1.0)
"""No task of another kind, and a label that sees everything."""


def clean(n: int) -> list[Judgement]:
    return [(False, *ALONE)] * n


@pytest.mark.parametrize(("promise", "least"), [(0.05, 59), (0.10, 29), (0.20, 14)])
def test_so_many_clean_tasks_at_the_very_least(promise: float, least: int) -> None:
    """No bet can win sooner: with q = 0 throughout, (1 - m)^-n >= 20."""
    assert (1.0 - promise) ** -(least - 1) < ALARM <= (1.0 - promise) ** -least * 1.0001
    need = missing([], promise)
    assert least <= need <= 1.35 * least
    assert not won(clean(least - 1), promise) and not won(clean(need - 1), promise) and won(clean(need), promise)
    known = [(False, 0.0, 200.0, 1.0)] * least
    assert won(known, promise) or missing(known, promise) <= 2, "clean elsewhere: hardly more than the least"


@pytest.mark.parametrize("truth", [0.05, 0.08, 0.10, 0.13])
def test_a_false_certificate_is_rare_however_often_it_is_read(truth: float) -> None:
    """Read after each of 400 tasks, over 1,000 users whose weaker model truly fails as often as the promise excludes."""
    random, wrong = Random(7), 0
    for _ in range(1_000):
        tasks = [(random.random() < truth, *ALONE) for _ in range(400)]
        wrong += won(tasks, truth)
    assert wrong <= 68, "5 % of 1,000, and three standard deviations"


def test_what_other_kinds_show_leaves_the_promise_as_it_is() -> None:
    """The other kinds are all clean, this one is not: borrowed confidence makes the bet bolder, and no more often wrong."""
    random, wrong, truth = Random(11), 0, 0.10
    for _ in range(1_000):
        tasks = [(random.random() < truth, 0.0, 3.0 * i, 1.0) for i in range(300)]
        wrong += won(tasks, truth)
    assert wrong <= 68


@pytest.mark.parametrize("recall", [0.6, 0.8])
def test_what_a_check_does_not_see_is_not_certified_away(recall: float) -> None:
    """The model fails as often as the promise excludes; the check passes some of that, and blames good work now and then."""
    random, wrong, truth = Random(13), 0, 0.10
    for _ in range(1_000):
        fails = [random.random() < truth for _ in range(400)]
        wrong += won([(random.random() < (recall if f else 0.01), 0.0, 0.0, recall) for f in fails], truth)
    assert wrong <= 68
    assert missing([], 0.10, recall=0.8) > missing([], 0.10), "a label that sees less takes more tasks"


def test_a_good_model_is_certified_and_a_fixed_look_would_not_have_been_enough() -> None:
    random, found = Random(3), 0
    for _ in range(300):
        found += won([(random.random() < 0.02, *ALONE) for _ in range(200)], 0.10)
    assert found >= 285, "a model that fails 2 % is certified at 10 % within 200 tasks, nearly always"


@given(st.lists(st.booleans(), max_size=120), st.sampled_from(GRID))
@settings(max_examples=80, deadline=None)
def test_a_certificate_once_read_stays_and_more_failures_never_help(failures: list[bool], promise: float) -> None:
    tasks = [(failed, *ALONE) for failed in failures]
    if won(tasks, promise):
        assert won([*tasks, (True, *ALONE)], promise)
    more = [(True, *ALONE) if i % 7 == 0 else task for i, task in enumerate(tasks)]
    assert won(tasks, promise) or not won(more, promise)
    low = bound(tasks)
    excluded = [won(tasks, m) for m in GRID]
    if low is None:
        assert not excluded[-1]
    else:
        at = GRID.index(low)
        assert all(excluded[at:]) and (at == 0 or not excluded[at - 1])


@given(st.lists(st.booleans(), max_size=60))
@settings(max_examples=60, deadline=None)
def test_missing_says_how_many(failures: list[bool]) -> None:
    tasks = [(failed, *ALONE) for failed in failures]
    more = missing(tasks, 0.2)
    assert won([*tasks, *clean(more)], 0.2)
    assert more == 0 or not won([*tasks, *clean(more - 1)], 0.2)


# -- the veto ----------------------------------------------------------------------------------------------------------


def test_an_alarm_without_cause_is_rare_however_long_one_listens() -> None:
    random, false = Random(5), 0
    for _ in range(1_000):
        predicted = [0.15 + 0.3 * random.random() for _ in range(150)]
        false += alarm([(random.random() < p, p) for p in predicted]) >= ALARM
    assert false <= 68


def test_a_model_that_fails_twice_as_often_as_predicted_is_heard() -> None:
    random, heard = Random(9), 0
    for _ in range(200):
        heard += alarm([(random.random() < 0.6, 0.3) for _ in range(60)]) >= ALARM
    assert heard >= 190


def record(outcomes: list[bool], kind: str = "edit", project: str = "/p", predicted: float = 0.2) -> Record:
    told = {("s", i, HAIKU): Served(OPUS, HAIKU, kind, failed, predicted, project) for i, failed in enumerate(outcomes)}
    return Record.of(told, 0.10)


def test_a_slice_is_certified_for_its_kind_only() -> None:
    found = record([False] * 45)
    assert found.standing(OPUS, "edit", "/p") == (frozenset({HAIKU}), {})
    assert found.standing(OPUS, "debug", "/p")[0] == frozenset()
    assert found.standing(HAIKU, "edit", "/p")[0] == frozenset()


def test_a_vetoed_slice_is_vetoed_by_kind_anywhere_and_by_project_for_every_kind() -> None:
    found = record([True] * 12)
    certified, vetoed = found.standing(OPUS, "edit", "/elsewhere")
    assert not certified and "12 of the 12" in vetoed[HAIKU]
    assert HAIKU in found.standing(OPUS, "plan", "/p")[1]
    assert HAIKU not in found.standing(OPUS, "plan", "/elsewhere")[1]


def test_a_veto_on_tasks_of_no_kind_is_not_taken_for_that_of_a_folder() -> None:
    found = record([True] * 12, kind=ANY, project="")
    assert HAIKU in found.standing(OPUS, None, None)[1]
    assert found.standing(OPUS, "plan", None)[1] == {}
    assert found.standing(OPUS, "plan", "")[1] == {}


def test_the_slices_say_how_far_away_they_are() -> None:
    ((key, slice_),) = record([False] * 10).slices().items()
    assert key == (OPUS, HAIKU, "edit")
    assert (slice_.tasks, slice_.failed, slice_.certified, slice_.vetoed) == (10, 0, False, False)
    assert slice_.missing == missing(clean(10), 0.10) and slice_.bound == 0.3


def test_a_check_that_blames_wrongly_does_not_veto() -> None:
    """One task in ten is blamed though nothing fails: what a check is known to do wrong is expected of it."""
    random, false = Random(21), 0
    for _ in range(300):
        blamed = [random.random() < 0.1 + 0.9 * 0.1 for _ in range(80)]
        told = {("s", i, HAIKU): Served(OPUS, HAIKU, "edit", x, 0.1, "/p", 1.0, 0.1) for i, x in enumerate(blamed)}
        false += bool(Record.of(told, 0.05).vetoed)
    assert false <= 2 * 27, "two slices look, each wrong in 5 % at most"


def test_a_kind_without_a_task_yet_says_what_the_others_do_for_it() -> None:
    """As many clean tasks as it says do certify it, and fewer do not."""
    known = {("s", i, HAIKU): Served(OPUS, HAIKU, "edit", False, 0.2, "/p") for i in range(60)}
    need = Record.of(known, 0.10).slice(OPUS, HAIKU, "debug").missing
    assert need < missing([], 0.10, recall=CHECK_RECALL)
    more = {("d", i, HAIKU): Served(OPUS, HAIKU, "debug", False, 0.2, "/p", CHECK_RECALL) for i in range(need)}
    assert Record.of({**known, **more}, 0.10).slice(OPUS, HAIKU, "debug").certified
    more.popitem()
    assert Record.of({**known, **more}, 0.10).slice(OPUS, HAIKU, "debug").missing == 1


@pytest.mark.parametrize("false_alarm", [0.0, 0.1])
def test_a_label_that_sees_nothing_certifies_nothing_and_breaks_nothing(false_alarm: float) -> None:
    told = {("s", i, HAIKU): Served(OPUS, HAIKU, "edit", i % 3 == 0, 0.2, "/p", 0.0, false_alarm) for i in range(90)}
    found = Record.of(told, 0.10)
    assert not found.certified and found.slice(OPUS, HAIKU, "edit").bound is None
