"""The best path in hindsight: exactly the cheapest one, by an independent walk over every set of caches."""

from __future__ import annotations

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.core import plan
from pointsman.core.plan import Step

GAPS = st.sampled_from([5.0, 60.0, 250.0, 400.0])
PRICES = st.floats(0.1, 5.0, allow_nan=False)


@st.composite
def lanes(draw: st.DrawFn, most: int = 6, configs: int = 3) -> tuple[list[Step], list[float]]:
    """A short lane: growing or rewritten prompts, gaps around the lifetimes, configs whose prices cross."""
    n = draw(st.integers(2, configs))
    ttls = draw(st.lists(st.sampled_from([300.0, 3_600.0]), min_size=n, max_size=n))
    steps, now, prompt = [], 0.0, 10_000
    for _ in range(draw(st.integers(1, most))):
        now += draw(GAPS)
        kept = draw(st.sampled_from([prompt, prompt, prompt, 3_000]))
        prompt = kept + draw(st.integers(0, 20_000))
        price = [draw(PRICES) * 1e-6 for _ in range(n)]
        alive = draw(st.sampled_from([None, None, True, False]))
        cold = tuple(1.25 * p * prompt + draw(st.floats(0.0, 0.05)) for p in price)
        steps.append(Step(now, prompt, kept, 2_000, alive, draw(st.booleans()), cold, tuple(1.15 * p for p in price)))
    return steps, ttls


def expanded(steps: list[Step], ttls: list[float], anywhere: bool) -> networkx.DiGraph:
    """The oracle: every step, config and history of visits is a node of its own, and nothing is pruned.

    It keeps whole histories and reads each cache off them, so that it shares no bookkeeping with what it checks.
    """
    graph = networkx.DiGraph()
    paths: list[tuple[int, ...]] = [()]
    for i, step in enumerate(steps):
        longer = []
        for path in paths:
            for j in range(len(ttls)) if i == 0 or anywhere or step.moves else (path[-1],):
                node = (*path, j)
                graph.add_edge(path or "start", node, weight=step.cold[j] - step.gain[j] * read(steps, ttls, node))
                longer.append(node)
        paths = longer
    for path in paths:
        graph.add_edge(path, "end", weight=0.0)
    return graph


def read(steps: list[Step], ttls: list[float], path: tuple[int, ...]) -> int:
    """Tokens that the last step of ``path`` reads: what all prompts since the last visit had in common with it."""
    i, j = len(path) - 1, path[-1]
    visits = [k for k in range(i) if path[k] == j]
    last = visits[-1] if visits else -1
    since = steps[max(0, last)].at
    alive = steps[i].at - since < ttls[j]
    if last == i - 1 and steps[i].alive is not None:
        alive = bool(steps[i].alive)
    held = min([steps[last].prompt if visits else steps[0].head, *(step.kept for step in steps[last + 1 : i])])
    return min(held, steps[i].kept if alive else steps[i].head)


@settings(max_examples=150, deadline=None)
@given(lanes(), st.booleans())
def test_it_is_the_shortest_path_of_the_expanded_graph(lane: tuple[list[Step], list[float]], anywhere: bool) -> None:
    steps, ttls = lane
    found = plan.best(steps, ttls, anywhere=anywhere)
    graph = expanded(steps, ttls, anywhere)
    assert found.total == pytest.approx(networkx.shortest_path_length(graph, "start", "end", weight="weight"))
    assert plan.bill(steps, ttls, found.path) == found


@settings(max_examples=60, deadline=None)
@given(lanes(most=20))
def test_the_graph_that_is_left_holds_the_best_path_and_its_runners_up_in_order(lane: tuple[list[Step], list[float]]) -> None:
    steps, ttls = lane
    best = plan.best(steps, ttls)
    assert best.total == pytest.approx(networkx.shortest_path_length(plan.graph(steps, ttls), "start", "end", weight="weight"))
    found = list(plan.runners_up(steps, ttls, 4))
    totals = [way.total for way in found]
    assert totals[0] == pytest.approx(best.total) and len({way.path for way in found}) == len(found)
    assert all(a <= b + 1e-9 for a, b in zip(totals, totals[1:], strict=False))


@settings(max_examples=60, deadline=None)
@given(lanes(most=40))
def test_no_fixed_config_is_cheaper_and_changes_stand_where_they_are_allowed(lane: tuple[list[Step], list[float]]) -> None:
    steps, ttls = lane
    found = plan.best(steps, ttls)
    for j in range(len(ttls)):
        assert found.total <= plan.bill(steps, ttls, [j] * len(steps)).total + 1e-9
    assert plan.best(steps, ttls, anywhere=True).total <= found.total + 1e-9
    moved = [i for i, (a, b) in enumerate(zip(found.path, found.path[1:], strict=False), 1) if a != b]
    assert all(steps[i].moves for i in moved)


def step(at: float, prompt: int, kept: int, cold: tuple[float, ...], gain: tuple[float, ...], alive: bool | None = None) -> Step:
    return Step(at, prompt, kept, 0, alive, True, cold, gain)


def test_a_switch_is_no_eviction_but_a_lapse_is() -> None:
    """Away for one request and back: the prefix of before is read within its lifetime, written again after it."""
    gain = (1e-6, 1e-6)
    for gap, read in ((100.0, 1_000), (200.0, 0)):
        steps = [step(i * gap, 1_000 * (i + 1), 1_000 * i, (1.0, 1.0), gain) for i in range(3)]
        assert 1.0 - plan.bill(steps, [300.0, 300.0], [0, 1, 0]).usd[2] == pytest.approx(read * 1e-6)


def test_what_the_provider_lost_or_kept_against_its_rule_holds_for_every_path() -> None:
    gain = (1e-6, 1e-6)
    lost = [step(0, 1_000, 0, (1.0, 1.0), gain), step(10, 2_000, 1_000, (1.0, 1.0), gain, alive=False)]
    late = [step(0, 1_000, 0, (1.0, 1.0), gain), step(900, 2_000, 1_000, (1.0, 1.0), gain, alive=True)]
    for j in (0, 1):
        assert plan.bill(lost, [300.0] * 2, [j, j]).usd[1] == 1.0
        assert plan.bill(late, [300.0] * 2, [j, j]).usd[1] == pytest.approx(1.0 - 1e-3)


def test_only_what_is_allowed_is_taken() -> None:
    steps = [step(i * 10, 1_000, 1_000, (2.0, 1.0), (0.0, 0.0)) for i in range(4)]
    assert plan.best(steps, [300.0] * 2).path == (1, 1, 1, 1)
    assert plan.best(steps, [300.0] * 2, lambda i, j: j == 0 or i == 2).path == (0, 0, 1, 0)
    assert plan.best(steps, [300.0] * 2, first=0).path == (0, 1, 1, 1)
    assert plan.best([], [300.0]).total == 0.0


def test_usd_by_turn() -> None:
    assert plan.by_turn([1, 1, 2], [0.5, 0.25, 1.0]) == {1: 0.75, 2: 1.0}
