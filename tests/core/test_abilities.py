"""What outcomes teach: abilities, the mean of a user's tasks, hand-overs; without bias, as fast as a noisy check allows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.core.abilities import NOTHING, Abilities, Verdict
from pointsman.core.capability import HANDOVER, NOBODY, ORDINARY, TASKS, TASKS_SD, Outlook, after_failures, p_success, sigmoid
from pointsman.core.outcomes import after_check
from pointsman.core.policy import Odds
from pointsman.core.types import Belief

CHEAP, STRONG = ("cheap", 3.2, 0.8), ("strong", 5.5, 0.6)
RECALL, ALARM = 0.8, 0.1


def verdict(model: tuple[str, float, float], passed: bool, **more: object) -> Verdict:
    return replace(Verdict(*model, passed, Belief(), RECALL, ALARM), **more)  # type: ignore[arg-type]


def chance(known: Abilities, model: tuple[str, float, float]) -> float:
    return known.chance(verdict(model, True))


def test_nothing_seen_is_the_prior() -> None:
    assert NOTHING.outlook("p", "edit") == Outlook(TASKS, pytest.approx((TASKS_SD**2 + 2 * 0.5**2) ** 0.5))  # type: ignore[arg-type]
    assert NOTHING.outlook("", None) == NOTHING.outlook("", "chat") == ORDINARY
    assert NOTHING.skill(*CHEAP) == (3.2, 0.8)
    assert chance(NOTHING, CHEAP) == pytest.approx(p_success(Belief(), 3.2, 0.8))


@given(st.booleans(), st.floats(0.55, 1.0), st.floats(0.0, 0.4), st.floats(-3, 3), st.floats(0.2, 2.5))
def test_a_verdict_moves_every_part_its_own_way_and_makes_nothing_less_sure(
    passed: bool, recall: float, alarm: float, mu: float, sd: float
) -> None:
    more = {"belief": Belief(mu, sd), "project": "p", "kind": "edit"}
    seen = NOTHING.after(verdict(CHEAP, passed, recall=recall, false_alarm=alarm, **more))
    up = 1.0 if passed else -1.0
    assert seen.seen == 1 and up * seen.models["cheap"].mean >= 0.0 >= up * seen.tasks.mean
    assert up * seen.projects["p"].mean <= 0.0 and up * seen.kinds["edit"].mean <= 0.0
    assert seen.models["cheap"].sd <= CHEAP[2] and seen.tasks.sd <= TASKS_SD and 0.0 < seen.nobody.p < 1.0
    assert up * (chance(seen, CHEAP) - chance(NOTHING, CHEAP)) >= -1e-9
    assert up * (chance(seen, STRONG) - chance(NOTHING, STRONG)) >= -1e-9, "the tasks' mean is shared by all"


def test_a_check_that_cannot_tell_teaches_nothing() -> None:
    assert NOTHING.after(verdict(CHEAP, True, recall=0.3, false_alarm=0.3)) is NOTHING
    assert NOTHING.after(verdict(CHEAP, False, recall=0.1, false_alarm=0.6)) is NOTHING


def test_a_repeat_teaches_how_repeats_go_and_nothing_else() -> None:
    good, bad = (NOTHING.after(verdict(CHEAP, passed, before=("cheap",), first=0.5)) for passed in (True, False))
    assert bad.repeat.p < NOTHING.repeat.p < good.repeat.p
    assert good.models == {} and good.tasks == NOTHING.tasks


def _user(seed: int, tasks: int, cheap: float, strong: float, mean: float, kappa: float) -> Iterator[Verdict | None]:
    """Verdicts of a user whose cheap model works first, whose strong one takes over what a check refuses; None ends a task."""
    dice = Random(seed)
    for _ in range(tasks):
        b, solvable = dice.gauss(0.0, 2.5), dice.random() >= NOBODY
        right = solvable and dice.random() < sigmoid(cheap - mean - b)
        passed = dice.random() < (1.0 - ALARM if right else 1.0 - RECALL)
        yield verdict(CHEAP, passed)
        if not passed:
            right = right or (solvable and dice.random() < sigmoid(strong - mean - b - kappa))
            yield verdict(STRONG, dice.random() < (1.0 - ALARM if right else 1.0 - RECALL), before=("cheap",))
        yield None


def _taught(verdicts: Iterator[Verdict | None]) -> Abilities:
    """Abilities after the verdicts, each with the belief that the filter holds then."""
    known = NOTHING
    for found in verdicts:
        if found is None:
            continue
        if found.before:
            look, first = known.outlook("", None), chance(known, CHEAP)
            odds = Odds(27.0, 2.0, RECALL, ALARM, nobody=look.nobody)
            belief = after_check(Belief(), *known.skill(*CHEAP), False, odds, look)
            found = replace(found, belief=belief, first=first)
        known = known.after(found)
    return known


def test_where_the_priors_are_true_they_stay() -> None:
    ends = [_taught(_user(seed, 120, 3.2, 5.5, TASKS, HANDOVER)) for seed in range(12)]

    def mean(values: list[float]) -> float:
        return sum(values) / len(values)

    assert mean([chance(known, CHEAP) for known in ends]) == pytest.approx(chance(NOTHING, CHEAP), abs=0.03)
    assert mean([chance(known, STRONG) for known in ends]) == pytest.approx(chance(NOTHING, STRONG), abs=0.03)
    assert mean([known.slope.mean for known in ends]) == pytest.approx(1.0, abs=0.03)
    assert mean([known.nobody.p for known in ends]) == pytest.approx(NOBODY, abs=0.03)
    assert mean([known.handover.mean for known in ends]) == pytest.approx(HANDOVER, abs=0.06)


@pytest.mark.parametrize(("cheap", "mean"), [(5.2, TASKS), (1.2, TASKS), (3.2, TASKS - 2.0), (3.2, TASKS + 2.0)])
def test_where_a_model_or_the_tasks_are_other_than_believed_that_is_learned(cheap: float, mean: float) -> None:
    def p(theta: float) -> float:
        return p_success(Belief(), theta, 0.0, outlook=Outlook(tasks=mean, common=0.0))

    before = after = 0.0
    for seed in range(6):
        known = _taught(_user(seed, 150, cheap, 5.5, mean, HANDOVER))
        before += abs(chance(NOTHING, CHEAP) - p(cheap))
        after += abs(chance(known, CHEAP) - p(cheap))
    assert after < 0.5 * before, "half of the error is gone after 150 tasks"


def test_what_is_not_asked_any_more_is_forgotten_slowly() -> None:
    known = NOTHING
    for _ in range(60):
        known = known.after(verdict(CHEAP, False))
    low = chance(known, CHEAP)
    for _ in range(300):
        known = known.after(verdict(STRONG, True))
    assert low < chance(NOTHING, CHEAP) and chance(known, CHEAP) > low + 0.05, "nobody stays written off for ever"


@given(st.lists(st.tuples(st.floats(-1, 7), st.floats(0.1, 1.0)), min_size=1, max_size=4))
def test_every_failure_makes_it_likelier_that_nobody_solves_the_task(skills: list[tuple[float, float]]) -> None:
    shares = [after_failures(ORDINARY, skills[:n], RECALL, ALARM).nobody for n in range(len(skills) + 1)]
    assert shares[0] == NOBODY and shares == sorted(shares) and shares[-1] < 1.0
    odds = Odds(27.0, 2.0, RECALL, ALARM)
    belief = after_check(Belief(), *skills[0], False, odds, ORDINARY)
    assert belief.mu >= 0.0, "more failure evidence never lowers the difficulty"


@given(
    st.floats(-4, 4), st.floats(0.1, 2.7), st.floats(-1, 7), st.floats(0.0, 1.5), st.floats(0.1, 1.0), st.floats(0.0, 1.0),
    st.sampled_from([ORDINARY, Outlook(3.5, 0.2, 1.4, 0.0, 0.3, 0.5), Outlook(0.0, 1.2, 0.7)]),
)  # fmt: skip
def test_a_failed_check_never_lowers_the_difficulty_and_one_that_passed_never_raises_it(
    mu: float, sd: float, theta: float, theta_sd: float, recall: float, share: float, look: Outlook
) -> None:
    odds = Odds(27.0, 2.0, recall, recall * share, nobody=look.nobody)
    failed, passed = (after_check(Belief(mu, sd), theta, theta_sd, ok, odds, look) for ok in (False, True))
    assert failed.mu >= mu - 1e-9 and passed.mu <= mu + 1e-9
