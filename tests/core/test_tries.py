"""Cost to go against brute force, what one model's failure says about the next, and when no further try pays."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import exp
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.core.capability import HANDOVER, NOBODY, REPEAT, SQUEEZE, TASKS, Outlook, p_success
from pointsman.core.outcomes import RESCOPE, after_check, next_try, owed_to, worth
from pointsman.core.policy import Odds
from pointsman.core.tries import NODES, Next, Plan, Try, after_failure, by_difficulty, plans, resolved_usd, weights
from pointsman.core.types import Belief, Config

ORDINARY = Belief()
WEIGHTS = weights(NOBODY)


def a_try(
    name: str, theta: float, usd: float, *, allowed: bool = True, sd: float = 0.0, belief: Belief = ORDINARY, rank: int = 1,
) -> Try:  # fmt: skip
    edge, flat = theta - TASKS, (1.0 + SQUEEZE * sd * sd) ** -0.5
    return Try(
        Config(name), usd, usd * 1.3, usd * 0.9, allowed, rank, edge, edge - HANDOVER, flat, 0.0, True
    ).under(belief)  # fmt: skip


def totals(tries: list[Try], odds: Odds, resolved: float) -> list[float]:
    return [plan.total(odds.failure_usd, resolved) for plan in plans(tries, odds)]


def fails(t: Try) -> float:
    return 1.0 - sum(w * p for w, p in zip(WEIGHTS, t.p, strict=True))


def test_the_weights_are_a_distribution_and_nobody_solves_the_last() -> None:
    assert sum(WEIGHTS) == pytest.approx(1.0, abs=1e-6) and WEIGHTS[-1] == NOBODY
    assert a_try("m", 3.0, 1.0).p[-1] == 0.0 and len(WEIGHTS) == len(NODES) + 1


@given(st.floats(-3, 7), st.floats(-3, 3), st.floats(0.1, 2.6), st.floats(0.0, 1.5))
def test_the_chance_over_the_nodes_is_the_one_shown_in_the_row(theta: float, mu: float, sd: float, theta_sd: float) -> None:
    belief = Belief(mu, sd)
    shown = p_success(belief, theta, theta_sd, outlook=Outlook(common=0.0))
    assert 1.0 - fails(a_try("m", theta, 1.0, sd=theta_sd, belief=belief)) == pytest.approx(shown, abs=0.025)


@given(
    st.lists(st.tuples(st.floats(0, 6), st.floats(0.01, 2)), min_size=1, max_size=3), st.floats(0, 1), st.floats(0, 0.5),
    st.floats(0, 20),
)  # fmt: skip
def test_totals_equal_the_sum_over_every_branch(
    rungs: list[tuple[float, float]], recall: float, alarm: float, v: float
) -> None:
    tries = [a_try(f"m{i}", theta, usd) for i, (theta, usd) in enumerate(rungs)]
    odds = Odds(27.0, v, recall, alarm)
    price = resolved_usd(plans(tries, odds), v)
    for t, found in zip(tries, totals(tries, odds, price), strict=True):
        ways = [*tries, None] if recall or alarm else [None]
        assert found == pytest.approx(min(_branches(t, k, odds, v + price) for k in ways))


def _branches(first: Try, then: Try | None, odds: Odds, lost: float) -> float:
    """Every node, outcome and verdict by itself, with ``then`` after a refusal; None: nobody goes on."""
    usd = first.usd
    overs = then.over if then is not None else first.p
    for (w, p, over), right, refused in product(zip(WEIGHTS, first.p, overs, strict=True), (True, False), (True, False)):
        says = odds.false_alarm if right else odds.recall
        chance = w * (p if right else 1.0 - p) * (says if refused else 1.0 - says)
        if not refused or then is None:
            usd += chance * (0.0 if right else lost)
        else:
            solves = REPEAT if then is first else over
            usd += chance * ((first.again if then is first else then.later) + (0.0 if right else (1.0 - solves) * lost))
    return usd


def test_a_failure_speaks_against_the_next_model_as_measured() -> None:
    """SWE-bench Verified: Opus 4.5 solves 46 % of what GPT-5 mini failed, 28 % of Sonnet 4.5's; after it 16 and 12 %."""
    theta = {"mini": 0.73, "sonnet": 1.9, "opus": 2.5}
    found = {name: a_try(name, value + TASKS, 1.0) for name, value in theta.items()}

    def after(failed: str, then: str) -> float:
        wrong = [w * (1.0 - p) for w, p in zip(WEIGHTS, found[failed].p, strict=True)]
        return sum(x * p for x, p in zip(wrong, found[then].p, strict=True)) / sum(wrong)

    assert after("mini", "opus") == pytest.approx(0.46, abs=0.08)
    assert after("sonnet", "opus") == pytest.approx(0.28, abs=0.10)
    assert after("opus", "sonnet") == pytest.approx(0.16, abs=0.08)
    assert after("opus", "mini") == pytest.approx(0.12, abs=0.08)


def test_after_a_failure_the_strong_one_gains_and_a_repeat_hardly() -> None:
    tries = [a_try("cheap", 3.2, 0.03), a_try("strong", 5.5, 0.9)]
    none, cheap, strong = after_failure(tries, Config("cheap"), (Config("cheap"),), Odds(27.0, 2.0, 0.8, 0.1), 1.0)
    assert cheap.p == pytest.approx(REPEAT) and strong.p > 3 * cheap.p and strong.own == 0.9
    assert none.config is None and none.own == 0.0 and none.p == 0.0
    free = after_failure(tries, Config("cheap"), (Config("cheap"),), Odds(27.0, 0.0, 0.8, 0.1), 0.02)
    assert free[0].usd < free[1].usd < free[2].usd, "where a failure costs nothing, nothing pays"
    alone = after_failure([tries[0]], Config("cheap"), (), Odds(27.0, 2.0, 0.8, 0.1), 1.0)
    assert [n.config and n.config.model for n in alone] == [None, "cheap"]


@pytest.mark.parametrize(
    ("usd", "owed", "goes_on"), [(0.0, None, False), (0.1, None, False), (30.0, None, True), (2.0, "strong", True)]
)
def test_a_try_that_does_not_pay_is_refused_unless_the_asked_model_is_owed_one(
    usd: float, owed: str | None, goes_on: bool
) -> None:
    tries = [a_try("cheap", 3.2, 0.3), a_try("strong", 5.5, 0.9)]
    odds = Odds(27.0, usd, 0.8, 0.1)
    found = after_failure(tries, Config("cheap"), (Config("cheap"),), odds, resolved_usd(plans(tries, odds), usd))
    on, said = worth(found, owed_to(Config(owed), found, odds) if owed else None)
    assert on is goes_on and ("≈$" in said or owed), said


def test_the_asked_model_gets_the_try_it_is_owed_however_near_a_repeat_comes() -> None:
    """A repeat within the margin of the asked model's cost kept the task: a tenth of the failed checks on a pool of two."""
    cheap, strong = Config("cheap"), Config("strong")
    odds = Odds(27.0, 2.0, 0.8, 0.1)
    near = [Next(None, 2.51, 0.0, 0.0), Next(cheap, 2.223, 0.04, 0.13), Next(strong, 2.19, 0.825, 0.456)]
    assert next_try(near, cheap, None, odds)[0] == cheap, "owed nothing, it must win by the margin"
    assert next_try(near, cheap, owed_to(strong, near, odds), odds)[0] == strong
    dear = [near[0], near[1], replace(near[2], own=2.01)]
    assert owed_to(strong, dear, odds) is None, "it costs more than the failure"


def test_where_nobody_is_likely_money_moves_nothing_and_a_likely_one_that_does_not_pay_is_named() -> None:
    cheap, strong = Config("cheap"), Config("strong")
    odds = Odds(27.0, 2.0, 0.8, 0.1)
    hopeless = [Next(None, 2.5, 0.0, 0.0), Next(strong, 9.0, 6.0, 0.09), Next(cheap, 2.2, 0.1, 0.02)]
    assert next_try(hopeless, strong, None, odds) == (strong, RESCOPE), "a fourth of the price, and still for nothing"
    assert worth(hopeless, None) == (False, RESCOPE), "the agent is not sent on to burn the strong one"
    likely = [hopeless[0], replace(hopeless[1], p=0.13), replace(hopeless[2], p=0.4)]
    assert next_try(likely, strong, None, odds)[0] == cheap
    dear = [Next(None, 2.5, 0.0, 0.0), Next(cheap, 2.6, 0.1, 0.13), Next(strong, 4.0, 3.0, 0.5)]
    assert next_try(dear, cheap, None, odds) == (cheap, "the check failed, and no other try pays: 13% likely here")


def test_a_try_that_is_owed_is_made_though_it_does_not_pay_and_what_it_is_worth_is_said() -> None:
    cheap, strong = Config("cheap"), Config("strong")
    found = [Next(None, 2.5, 0.0, 0.0), Next(cheap, 2.7, 0.5, 0.13), Next(strong, 2.9, 0.7, 0.4)]
    on, said = worth(found, None)
    assert not on and said == "the best next try, cheap, 13% likely, costs ≈$0.500 and is worth ≈$0.300"
    assert worth(found, found[2])[0], "but owed it is"
    assert worth([], None)[0] and worth([found[0]], None) == (True, "nothing here has a price")


@pytest.mark.parametrize(("sd", "theta_sd", "passed"), [(2.5, 0.0, False), (2.5, 1.5, False), (0.4, 0.3, True), (2.5, 1.5, True)])
def test_the_belief_after_a_check_has_the_moments_of_the_posterior(sd: float, theta_sd: float, passed: bool) -> None:
    """Against ten thousand draws of the difficulty and the ability, by weight."""
    odds, look, dice = Odds(27.0, 2.0, 0.8, 0.1), Outlook(), Random(7)
    found = after_check(Belief(0.5, sd, 3, 0.2), 3.0, theta_sd, passed, odds, look)
    total = first = second = 0.0
    for _ in range(10_000):
        b, theta = dice.gauss(0.5, sd), dice.gauss(3.0, (theta_sd**2 + look.common**2) ** 0.5)
        p = (1.0 - NOBODY) / (1.0 + exp(b + TASKS - theta))
        fails = 0.8 * (1.0 - p) + 0.1 * p
        weight = 1.0 - fails if passed else fails
        total, first, second = total + weight, first + weight * b, second + weight * b * b
    assert found.mu == pytest.approx(first / total, abs=0.06)
    assert found.sd == pytest.approx((second / total - (first / total) ** 2) ** 0.5, abs=0.06)
    assert (found.n, found.pushed) == (4, 0.2)


def test_a_config_that_is_not_allowed_is_no_next_try() -> None:
    alone = [a_try("asked", 5.5, 0.9), a_try("up", 6.5, 0.9, allowed=False)]
    both = [a_try("asked", 5.5, 0.9), a_try("up", 6.5, 0.9)]
    odds = Odds(27.0, 10.0, 0.8, 0.1)
    assert totals(alone, odds, 5.0)[0] > totals(both, odds, 5.0)[0]


def test_a_weaker_config_owes_the_next_try_to_the_asked_one_where_that_costs_no_more_than_a_failure() -> None:
    tries = [a_try("cheap", 3.2, 0.03, rank=-1), a_try("strong", 5.5, 0.9, rank=0)]
    cheap, strong = plans(tries, Odds(27.0, 2.0, 0.8, 0.1))
    assert cheap.owed_usd == pytest.approx(tries[1].later) and strong.owed_usd == float("inf")
    assert [way for way in cheap.ways if way[1] <= cheap.owed[0][1]] == list(cheap.owed) and len(cheap.ways) == 3
    bare = Plan(cheap.config, True, cheap.usd, cheap.missed, cheap.ways, (), float("inf"))
    assert cheap.total(2.0, 1.0) >= bare.total(2.0, 1.0)
    free, _ = plans(tries, Odds(27.0, 2.0, 0.8, 0.1, owed=False))
    assert free.owed_usd == float("inf"), "who consents to anything is owed nothing"


@given(st.lists(st.tuples(st.floats(0, 6), st.floats(0.01, 2)), min_size=1, max_size=3), st.floats(0, 20))
def test_the_price_of_a_resolved_task_is_the_least_ratio_of_any_plan(rungs: list[tuple[float, float]], v: float) -> None:
    """Dinkelbach: at the right price the best plan's sum of dollars, failures and price x unresolved is that price."""
    found = plans([a_try(f"m{i}", theta, usd) for i, (theta, usd) in enumerate(rungs)], Odds(27.0, v, 0.8, 0.1))
    price = resolved_usd(found, v)
    ratios = [(p.usd + usd + v * (p.missed + left)) / (1 - p.missed - left) for p in found for usd, left in p.ways]
    assert price == pytest.approx(min(ratios), rel=1e-6)
    assert min(plan.total(v, price) for plan in found) == pytest.approx(price, rel=1e-6)


@given(st.floats(-3, 3), st.floats(0.05, 3))
def test_harder_tasks_never_cost_less(mu: float, step: float) -> None:
    odds = Odds(27.0, 5.0, 0.8, 0.1)
    here, there = ([a_try("m", 3.0, 0.1, belief=Belief(x)), a_try("n", 5.0, 1.0, belief=Belief(x))] for x in (mu, mu + step))
    assert all(b >= a - 1e-9 for a, b in zip(totals(here, odds, 1.0), totals(there, odds, 1.0), strict=True))


@given(
    st.lists(st.tuples(st.floats(0, 6), st.floats(0.01, 2), st.booleans()), min_size=1, max_size=3), st.floats(-6, 6),
    st.floats(0.3, 3), st.sampled_from([(0.8, 0.1), (0.0, 0.0)]),
)  # fmt: skip
def test_the_cost_by_difficulty_is_the_cost_under_each_belief(
    rungs: list[tuple[float, float, bool]], mu: float, sd: float, check: tuple[float, float]
) -> None:
    odds = Odds(27.0, 3.0, *check)
    tries = [
        replace(a_try(f"m{i}", theta, usd, sd=0.5, rank=i - 1), own=own, common=0.6) for i, (theta, usd, own) in enumerate(rungs)
    ]
    there = [t.under(Belief(mu, sd)) for t in tries]
    assert by_difficulty(tries, odds, sd, 1.5)(mu) == pytest.approx(totals(there, odds, 1.5))
