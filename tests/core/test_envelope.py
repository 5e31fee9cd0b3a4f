"""The bounds of DECISION.md 6, against adversaries that choose costs, growth, lapses and advice; over the product's functions.

``Table`` plays the envelope; ``best`` is the cheapest schedule in hindsight. Two kinds of adversary: random ones (hypothesis),
and one that knows every state of the algorithm on a grid of costs, so that the worst ratio there is found exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.core import envelope

Costs = Mapping[str, float]


@dataclass
class Table:
    """One lane under the envelope: what it runs, its sums, what it has paid. ``tolls``: USD of entering each config."""

    tolls: dict[str, float]
    early: float = 1.0
    late: float = 1.0
    at: str = "a"
    sums: dict[str, float] = field(default_factory=dict)
    paid: float = 0.0
    path: list[str] = field(default_factory=list)
    pairwise: bool = False

    def serve(self, costs: Costs, advice: str | None = None) -> None:
        """Pay for a request, then move if the envelope says so."""
        self.path.append(self.at)
        self.paid += costs[self.at]
        others = {j: costs[j] for j in self.tolls if j != self.at}
        tolls = {j: self.tolls[j] for j in others}
        if self.pairwise:
            self.sums = {j: max(0.0, self.sums.get(j, 0.0) + costs[self.at] - usd) for j, usd in others.items()}
        else:
            self.sums = envelope.add(self.sums, costs[self.at], others, tolls)
        trips = {j: tolls[j] + self.tolls[self.at] for j in others}
        to = envelope.leave(self.sums, trips, tolls, advice, self.early, self.late)
        if to is not None:
            self.paid += self.tolls[to]
            self.sums = {j: 0.0 for j in self.sums} if self.pairwise else envelope.moved(self.sums, self.at, to, tolls)
            self.at = to

    def free(self, to: str, refill: float) -> None:
        """A free point: every cache is cold, the advice is followed, the sums begin anew."""
        self.paid += refill
        self.at, self.sums = to, {}


def best(rows: Sequence[Costs], tolls: Sequence[Mapping[str, float]], free: Mapping[int, float] | None = None) -> float:
    """The cheapest schedule in hindsight from config a: ``tolls`` of entering before a request; at ``free`` ones all refill."""
    cost = {j: 0.0 if j == "a" else tolls[0][j] for j in tolls[0]}
    for i, row in enumerate(rows):
        if free and i in free:
            cost = dict.fromkeys(cost, min(cost.values()) + free[i])
        cost = {j: min(cost[j], min(cost[k] + tolls[i][j] for k in cost)) + row[j] for j in cost}
    return min(cost.values())


USD = st.floats(0.0, 1.0, allow_nan=False)
TOLLS = st.floats(0.01, 2.0, allow_nan=False)
PLAYS = settings(max_examples=200, deadline=None)


def rows_of(names: str, least: int = 1, most: int = 120) -> st.SearchStrategy[list[Costs]]:
    """Costs per request: each config's any, or only one of them charged, as adversaries like it."""
    any_of = st.fixed_dictionaries({name: USD for name in names})
    one = st.builds(lambda who, usd: {n: usd if n == who else 0.0 for n in names}, st.sampled_from(names), USD)
    return st.lists(st.one_of(any_of, one), min_size=least, max_size=most)


def widest(rows: Sequence[Costs]) -> float:
    """D: the largest cost difference between two configs on one request."""
    return max(max(row.values()) - min(row.values()) for row in rows)


@PLAYS
@given(rows_of("ab"), TOLLS, TOLLS)
def test_two_configs_stay_within_three_plus_two_d_over_r(rows: list[Costs], toll_a: float, toll_b: float) -> None:
    tolls = {"a": toll_a, "b": toll_b}
    table = Table(tolls)
    for row in rows:
        table.serve(row)
    r, d = toll_a + toll_b, widest(rows)
    assert table.paid <= (3.0 + 2.0 * d / r) * best(rows, [tolls] * len(rows)) + 2.0 * (r + d) + 1e-9


@PLAYS
@given(st.data(), rows_of("ab"), TOLLS, TOLLS)
def test_with_a_growing_context_the_last_round_trip_is_the_constant(
    data: st.DataObject, rows: list[Costs], toll_a: float, toll_b: float
) -> None:
    table, tolls = Table({"a": toll_a, "b": toll_b}), []
    for row in rows:
        tolls.append(dict(table.tolls))
        table.serve(row)
        grow = data.draw(st.sampled_from([1.0, 1.0, 1.02, 1.1]))
        table.tolls = {j: usd * grow for j, usd in table.tolls.items()}
    first, last, d = sum(tolls[0].values()), sum(table.tolls.values()), widest(rows)
    assert table.paid <= (3.0 + 2.0 * d / first) * best(rows, tolls) + 3.0 * (last + d) + 1e-9


@PLAYS
@given(st.data(), rows_of("ab"), TOLLS, TOLLS)
def test_after_each_free_point_there_is_one_constant_more(
    data: st.DataObject, rows: list[Costs], toll_a: float, toll_b: float
) -> None:
    tolls = {"a": toll_a, "b": toll_b}
    table, free = Table(tolls), {}
    for i, row in enumerate(rows):
        if i and data.draw(st.integers(0, 9)) == 0:  # a lifetime lapses; the advice there is the adversary's
            free[i] = data.draw(USD)
            table.free(data.draw(st.sampled_from("ab")), free[i])
        table.serve(row)
    r, d = toll_a + toll_b, widest(rows)
    bound = (3.0 + 2.0 * d / r) * best(rows, [tolls] * len(rows), free) + (1 + len(free)) * 2.0 * (r + d)
    assert table.paid <= bound + 1e-9


@PLAYS
@given(rows_of("abc"), TOLLS, TOLLS, TOLLS)
def test_three_configs_stay_within_two_n_minus_one(rows: list[Costs], a: float, b: float, c: float) -> None:
    tolls = {"a": a, "b": b, "c": c}
    table = Table(tolls)
    for row in rows:
        table.serve(row)
    smallest = a + b + c - max(a, b, c)
    d = widest(rows)
    bound = (5.0 + 4.0 * d / smallest) * best(rows, [tolls] * len(rows)) + 5.0 * (a + b + c + d)
    assert table.paid <= bound + 1e-9


def cruel(table: Table, requests: int, usd: float) -> list[Costs]:
    """Charge only the config that runs."""
    rows = []
    for _ in range(requests):
        rows.append({j: usd if j == table.at else 0.0 for j in table.tolls})
        table.serve(rows[-1])
    return rows


@pytest.mark.parametrize(("names", "limit"), [("ab", 3.0), ("abc", 5.0), ("abcd", 7.0)])
def test_the_cruel_adversary_reaches_the_limit_and_not_more(names: str, limit: float) -> None:
    tolls = dict.fromkeys(names, 0.5)
    table = Table(tolls)
    rows = cruel(table, 60_000, 0.005)
    ratio = table.paid / best(rows, [tolls] * len(rows))
    assert limit - 0.05 < ratio <= limit + 2.0 * (len(names) - 1) * 0.005


def test_pairwise_sums_are_unbounded_and_work_functions_are_not() -> None:
    tolls = {"a": 0.5, "b": 0.5, "c": 0.5}

    def played(pairwise: bool) -> tuple[float, float]:
        table, rows = Table(tolls, pairwise=pairwise), []
        for _ in range(3_000):  # the third config costs nothing, but a moment's hint makes the second look better
            hint = 1e-3 if not any(table.sums.values()) else 0.0
            rows.append({j: 1.0 if j == table.at else hint if j == "c" else 0.0 for j in "abc"})
            table.serve(rows[-1])
        return table.paid, best(rows, [tolls] * len(rows))

    paid, cheapest = played(pairwise=True)
    assert paid > 3_000 and cheapest < 5
    paid, cheapest = played(pairwise=False)
    assert paid <= 5.0 * (1 + 1.0) * cheapest + 10


# -- advice: the worst ratio on a grid, found exactly --------------------------------------------------------------------------

GRID = 8
"""Requests of the adversary's fill a round trip in this many steps, so D/R is 1/8."""


def worst_ratio(early: float, late: float, followed: bool, share: float = 0.5, low: float = 1.0, high: float = 40.0) -> float:
    """The largest long-run ratio to a path that the adversary chooses: the advised one (``followed``), else any.

    A cycle of states in which paid - ratio x path is positive can be repeated without end; bisection on the ratio.
    """
    edges = transitions(early, late, followed, share)
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (middle, high) if gains(edges, middle) else (low, middle)
    return high


State = tuple[str, int, str]
Edge = tuple[int, int, float, float]


def transitions(early: float, late: float, followed: bool, share: float) -> list[Edge]:
    """Every step from every state (runs, sum in steps, path's config): USD that the envelope and the path pay."""
    tolls = {"a": share, "b": 1.0 - share}
    step, levels = 1.0 / GRID, range(int(late * GRID) + 2)
    states = {state: i for i, state in enumerate(product("ab", levels, "ab"))}
    edges = []
    for (at, level, on), i in states.items():
        for charged, goes, advice in product("ab", "ab", "ab"):
            if followed and advice != goes:
                continue
            costs = {j: step if j == charged else 0.0 for j in "ab"}
            table = Table(tolls, early, late, at, {j: level * step for j in "ab" if j != at})
            table.serve(costs, advice)
            other = "b" if table.at == "a" else "a"
            to = states[table.at, round(table.sums[other] / step), goes]
            path = costs[goes] + (tolls[goes] if goes != on else 0.0)
            edges.append((i, to, table.paid, path))
    return edges


def gains(edges: Sequence[Edge], ratio: float) -> bool:
    """Whether some cycle has paid - ratio x path above zero (Bellman-Ford: it still improves after every state was passed)."""
    best = [0.0] * (1 + max(max(i, j) for i, j, _, _ in edges))
    steps = [(i, j, paid - ratio * path) for i, j, paid, path in edges]
    for _ in range(len(best) + 1):
        improved = False
        for i, j, usd in steps:
            if best[i] + usd > best[j] + 1e-9:
                best[j], improved = best[i] + usd, True
        if not improved:
            return False
    return True


def robust(early: float, late: float) -> float:
    return max(1 + (late + 1) / early, 1 + 2 * late)


def consistent(early: float, late: float) -> float:
    return max(1 + 2 * early, 1 + (1 + early) / late)


SHARES = [(1.0, 1.0, 0.5), (0.5, 1.5, 0.5), (0.5, 1.0, 0.9), (0.25, 2.0, 0.5), (1.0, 2.0, 0.1)]


@pytest.mark.parametrize(("early", "late", "share"), SHARES)
def test_bad_advice_costs_no_more_than_its_bound(early: float, late: float, share: float) -> None:
    d = 1.0 / GRID
    worst = worst_ratio(early, late, followed=False, share=share)
    assert worst <= robust(early, late) + 2 * d * max(1.0, 1.0 / early) + 0.01
    assert worst >= robust(early, late) - 0.01  # the bound is met: no smaller one would hold


@pytest.mark.parametrize(("early", "late", "share"), SHARES)
def test_beside_the_advised_path_it_costs_no_more_than_its_bound(early: float, late: float, share: float) -> None:
    d = 1.0 / GRID
    worst = worst_ratio(early, late, followed=True, share=share)
    assert worst <= consistent(early, late) + 2 * d * max(1.0, 1.0 / late) + 0.01
    assert worst >= consistent(early, late) - 0.01


def test_without_advice_the_worst_ratio_of_two_configs_is_three() -> None:
    assert 3.0 - 0.01 <= worst_ratio(1.0, 1.0, followed=False) <= 3.0 + 2.0 / GRID + 0.01


@PLAYS
@given(st.data(), rows_of("ab"), TOLLS, TOLLS, st.sampled_from([(0.5, 1.5), (1.0, 1.0), (0.25, 2.0)]))
def test_any_advice_stays_within_both_bounds(
    data: st.DataObject, rows: list[Costs], toll_a: float, toll_b: float, shares: tuple[float, float]
) -> None:
    early, late = shares
    tolls, advised = {"a": toll_a, "b": toll_b}, "a"
    table, path = Table(tolls, early, late), 0.0
    for row in rows:
        advice = data.draw(st.sampled_from("aabb"))
        path += row[advice] + (tolls[advice] if advice != advised else 0.0)
        advised = advice
        table.serve(row, advice)
    r, d = toll_a + toll_b, widest(rows)
    constant = 2.0 * (1.0 + late) * (r + d)
    worst = robust(early, late) + 2.0 * d / r * max(1.0, 1.0 / early)
    assert table.paid <= worst * best(rows, [tolls] * len(rows)) + constant + 1e-9
    followed = consistent(early, late) + 2.0 * d / r * max(1.0, 1.0 / late)
    assert table.paid <= followed * path + constant + 1e-9


@PLAYS
@given(rows_of("ab"), TOLLS, TOLLS, st.floats(0.0, 0.4), st.data())
def test_estimates_that_are_off_inflate_the_ratio_by_no_more_than_their_error(
    rows: list[Costs], toll_a: float, toll_b: float, eta: float, data: st.DataObject
) -> None:
    tolls = {"a": toll_a, "b": toll_b}
    seen = [{j: usd * data.draw(st.floats(1.0 - eta, 1.0 + eta)) for j, usd in row.items()} for row in rows]
    table, paid = Table(tolls), 0.0
    for believed, row in zip(seen, rows, strict=True):
        before, moved = table.at, table.paid
        table.serve(believed)
        paid += row[before] + (table.paid - moved - believed[before])
    r, d = toll_a + toll_b, widest(seen)
    inflated = (1.0 + eta) / (1.0 - eta)
    bound = inflated * ((3.0 + 2.0 * d / r) * best(rows, [tolls] * len(rows)) + 2.0 * (r + d))
    assert paid <= bound + 1e-9


def test_a_sum_never_falls_below_zero_and_says_since_when() -> None:
    assert envelope.add({"b": 0.2}, 0.1, {"b": 0.5}, {"b": 1.0}) == {"b": 0.0}
    assert envelope.add({"b": 0.2}, 0.5, {"b": 0.1}, {"b": 1.0}) == {"b": pytest.approx(0.6)}


def test_a_move_keeps_the_lead_of_the_others() -> None:
    """After a to b, what c had beyond b's own lead is still there; the way back to a begins at zero."""
    after = envelope.moved({"b": 1.0, "c": 0.9}, "a", "b", {"b": 0.5, "c": 0.5})
    assert after == {"a": 0.0, "c": pytest.approx(0.4)}


