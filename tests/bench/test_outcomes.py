"""The outcome bench in tiny worlds made here: honest bills, equal luck, and a router that earns its place or stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from pointsman.bench import data, outcomes, report
from pointsman.bench.baselines import Fixed, fixed, valued
from pointsman.bench.calibration import calibrate, ece
from pointsman.bench.deciding import measure as measure_speed
from pointsman.bench.playing import Part, View, play
from pointsman.bench.routed import RouterChooser, settings_for
from pointsman.bench.worlds import POOLS, Outcomes, Rules, Run, World, fit, luck, quantile, read
from pointsman.cli import main
from pointsman.core.book import Book
from pointsman.core.pricing import cost
from pointsman.core.types import Usage
from pointsman.errors import PointsmanError
from pointsman.shell.prices import load_book

LADDER = POOLS[0]
NAMES = {"GPT-5 mini (x)": (0.6, 12, 0.03), "Claude 4.5 Sonnet (x)": (0.71, 40, 0.5), "Claude 4.5 Opus (x)": (0.75, 30, 0.6)}


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book()


def made(tasks: int = 24, seed: int = 7) -> Outcomes:
    """Outcomes of three models on a few tasks of three repositories, difficulty shared."""
    found: dict[str, dict[str, Run]] = {name: {} for name in NAMES}
    for i in range(tasks):
        hard = Random(f"{seed} {i}").random()
        for name, (level, calls, usd) in NAMES.items():
            found[name][f"repo{i % 3}__{i}"] = Run(hard < level, calls + i % 5, usd * (1 + i % 3))
    return found


def world(book: Book, *, check: bool = True, mode: str = "real", per_session: int = 3, tasks: int = 24) -> World:
    return World(made(tasks), LADDER, book, seed=1, mode=mode, rules=Rules(check=check), per_session=per_session)  # type: ignore[arg-type]


class Noting(Fixed):
    """A fixed policy that keeps its bills."""

    def __init__(self, first: int, then: int | None = None) -> None:
        super().__init__("noting", first, then)
        self.parts: list[Part] = []

    def billed(self, view: View, part: Part, final: bool) -> None:
        self.parts.append(part)

    def points(self, calls: int) -> tuple[int, ...]:
        return tuple(range(1, calls))


def test_a_run_is_billed_as_its_calls_one_by_one(book: Book) -> None:
    here = world(book, check=False, per_session=1)
    closed, single = play(here, Fixed("asked", LADDER.top)), Noting(LADDER.top)
    stepped = play(here, single)
    for a, b in zip(closed, stepped, strict=True):
        assert a.usd == pytest.approx(b.usd) and a.minutes == pytest.approx(b.minutes, rel=0.02)
    rates = book.card(LADDER.rungs[-1].model).base
    billed = sum(cost(part.usage, rates) for part in single.parts)
    usd = sum(part.usd for part in single.parts)
    assert billed == pytest.approx(usd, rel=0.01), "the usage the router sees is what is billed"


def test_a_run_costs_what_it_cost_at_its_own_models_prices(book: Book) -> None:
    job, run = world(book).jobs[0], made()
    for j, rung in enumerate(LADDER.rungs):
        old = next(runs for name, runs in run.items() if name.startswith(rung.source))[job.task]
        rates, (growth, out), n = book.card(rung.card).base, job.sizes[j], job.calls[j]
        usage = [Usage(cache_write=((300, 8_000),), output=0)] + [
            Usage(cache_read=round(8_000 + growth * (k - 1)), cache_write=((300, round(growth)),)) for k in range(1, n)
        ]
        assert sum(cost(u, rates) for u in usage) + n * out * rates.output == pytest.approx(old.usd, rel=0.05)


def test_without_a_check_the_router_is_the_asked_model_to_the_cent(book: Book) -> None:
    here = world(book, check=False)
    models = [rung.model for rung in LADDER.rungs]
    for v in (0.0, 2.0, 20.0):
        routed = play(here, RouterChooser(settings_for(models, v, here.rules), book))
        for a, b in zip(routed, play(here, Fixed("asked", LADDER.top)), strict=True):
            assert (a.usd, a.resolved, a.switches, a.runs) == (pytest.approx(b.usd), b.resolved, 0, 1)


def test_with_a_check_it_begins_cheap_and_ends_on_the_asked_model_after_a_failure(book: Book) -> None:
    here = world(book, tasks=30)
    models = [rung.model for rung in LADDER.rungs]
    seen: list[tuple[str, tuple[int, ...], int | None]] = []

    class Watched(RouterChooser):
        def choose(self, view: View) -> int | None:
            chosen = super().choose(view)
            seen.append((view.point, view.tried, chosen))
            return chosen

    results = play(here, Watched(settings_for(models, 2.0, here.rules), book))
    starts = [chosen for point, _, chosen in seen if point == "start"]
    retries = [chosen for point, tried, chosen in seen if point == "retry" and tried == (0,)]
    assert starts.count(0) >= 0.9 * len(starts), "every new task is released to the cheap one"
    assert retries and retries.count(LADDER.top) >= 0.8 * len(retries), "unless that try costs more than the failure"
    assert all(chosen == tried_or for tried_or, chosen in _runs(seen)), "nothing moves inside a run"
    asked = play(here, Fixed("asked", LADDER.top, LADDER.top))
    assert sum(r.usd for r in results) < 0.8 * sum(r.usd for r in asked)


def _runs(seen: list[tuple[str, tuple[int, ...], int | None]]) -> Iterator[tuple[int | None, int | None]]:
    last: int | None = None
    for point, _, chosen in seen:
        if point == "loop":
            yield last, chosen
        last = chosen


def test_everybody_meets_the_same_luck_and_a_repeat_rarely_helps(book: Book) -> None:
    here = world(book)
    assert luck("a", 1) == luck("a", 1) != luck("a", 2)
    again = world(book)
    assert [job.solves for job in here.jobs] == [job.solves for job in again.jobs]
    failed = [job for job in here.jobs if not job.solves[0]]
    assert sum(here.succeeds(job, 0, (0,), False) for job in failed) <= len(failed) / 2
    assert not any(here.succeeds(job, 0, (), False) for job in failed)


def test_the_adversary_takes_what_only_the_weak_could_solve(book: Book) -> None:
    hard, plain = world(book, mode="adversarial"), world(book)
    for a, b in zip(hard.jobs, plain.jobs, strict=True):
        assert all(not solved or a.solves[-1] for solved in a.solves[:-1]) and a.solves[-1] == b.solves[-1]
        assert a.calls[0] == 2 * b.calls[0] and a.calls[-1] == b.calls[-1]


def test_the_fit_orders_models_and_centres_difficulty() -> None:
    theta, b = fit(made(60))
    assert sorted(theta, key=lambda name: theta[name]) == list(NAMES)
    assert abs(sum(b.values()) / len(b)) < 0.5
    assert quantile(0.0, ((0.5, 10.0), (1.0, 30.0))) == 5.0 and quantile(0.75, ((0.5, 10.0), (1.0, 30.0))) == 20.0


def test_every_baseline_plays_and_the_report_names_them_all(book: Book) -> None:
    plan = outcomes.Plan(pools=[LADDER], modes=["real"], values=[2.0], checks=[True], seeds=[1])
    said: list[str] = []
    blocks = list(outcomes.measure(made(), book, plan, said.append))
    assert len(said) == plan.steps == 1
    names = {row.name for row in blocks[0].rows}
    here = world(book)
    assert {c.name for c in (*fixed(here), *valued(here, 2.0))} < names
    assert {outcomes.ROUTER, outcomes.ASKED, outcomes.TWICE, outcomes.MIX} < names
    text = "\n".join(report.lines(blocks))
    assert all(name in text for name in names) and "▸" in text and "█" in text
    for row in blocks[0].rows:
        assert row.resolved + row.visible == pytest.approx(1.0)
        if row.resolved:
            assert row.bill == pytest.approx((row.usd + 2.0 * row.visible) / row.resolved)
    assert all(r.low <= r.bill <= r.high for r in blocks[0].ratios)
    hindsight, best = report.row(blocks[0], "hindsight"), max(row.resolved for row in blocks[0].rows)
    assert hindsight.usd < report.row(blocks[0], outcomes.ONCE).usd and best <= 1.0


def test_p_success_is_measured_on_tasks_that_it_did_not_learn_from(book: Book) -> None:
    said: list[str] = []
    found = list(calibrate(made(40), [LADDER], book, (1, 2), Rules(), learned=12, measured=60, step=said.append))
    assert len(said) == len(found) == 2 and found[0] != found[1]
    for c in found:
        assert sum(b.n for b in c.bins) >= 60 * len(LADDER.rungs) and c.ece == pytest.approx(ece(c.bins))
        assert 0.0 <= c.ece <= 1.0 and 0.0 <= c.brier <= 1.0 and c.before != c.ece, "it has learned something"
        assert all(0.0 <= b.predicted <= 1.0 and 0.0 <= b.true <= 1.0 for b in c.bins)
    text = "\n".join(report.lines([], found))
    assert "P(success) learned on 12 tasks, measured on 60 later ones" in text and "calibration error" in text
    assert report.reliability(found)[0].value == pytest.approx((found[0].ece + found[1].ece) / 2)


def test_a_session_keeps_the_choice_of_its_first_turn(book: Book) -> None:
    here = world(book)
    sticky = next(chooser for chooser in fixed(here) if chooser.name == "sticky first turn")
    picks: dict[int, set[int | None]] = {}
    for number, job in enumerate(here.jobs):
        for point in ("start", "loop", "retry"):
            view = View(number // 3, number, job, point, 0.0, (), None)  # type: ignore[arg-type]
            picks.setdefault(number // 3, set()).add(sticky.choose(view))
    assert all(len(picked) == 1 for picked in picks.values()) and len(set().union(*picks.values())) == 2


def csv_of(folder: Path) -> Path:
    rows = ["model,task_id,resolved,cost_usd,api_calls"]
    rows += [f"{m},{t},{int(r.resolved)},{r.usd},{r.calls}" for m, runs in made(9).items() for t, r in runs.items()]
    file = folder / "runs.csv"
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return file


def test_the_command_measures_a_file_and_says_it_in_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = csv_of(tmp_path)
    options = ["--seeds", "1", "--v", "2", "--pool", "ladder", "--mode", "real", "--check", "yes", "--no-calibration"]
    assert main(["bench", "outcomes", str(file), *options, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["blocks"][0]["tasks"] == 9 and {"name", "value", "limit", "met"} <= set(found["promises"][0])
    assert main(["bench", "outcomes", str(file), *options]) == 0
    assert "always asked" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["nowhere.csv"], "there are no outcomes at nowhere.csv"), (["--seeds", "0", "FILE"], "at least 1"), (["--v", "-1"], "--v")],
)
def test_wrong_use_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    file = str(csv_of(tmp_path))
    try:
        code = main(["bench", "outcomes", *[file if word == "FILE" else word for word in arguments]])
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    assert code == 2 and said in capsys.readouterr().err


def test_a_file_without_the_columns_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    file.write_text("model,task\nm,t\n", encoding="utf-8")
    with pytest.raises(PointsmanError, match="every row needs"):
        read(file)
    file.write_text("model,task_id,resolved,cost_usd,api_calls\n", encoding="utf-8")
    with pytest.raises(PointsmanError, match="holds no outcomes"):
        read(file)


def test_the_time_of_a_decision_is_measured_at_every_context(book: Book) -> None:
    found = measure_speed(book, (10_000, 100_000), runs=40)
    assert set(found) == {"10000", "100000"} and all(0 < us["p50_us"] <= us["p99_us"] for us in found.values())


@pytest.mark.slow
def test_on_real_outcomes_the_promised_figures_hold(book: Book) -> None:
    file = data.outcomes()
    if not file.is_file():
        pytest.skip(f"no measured outcomes at {file}; POINTSMAN_DATA names their folder")
    plan = outcomes.Plan(modes=["real"], values=[2.0])
    held = {promise.name: promise for promise in report.promises(list(outcomes.measure(read(file), book, plan)))}
    for pool in ("ladder", "wide", "near"):
        assert held[f"{pool}, check, v = 2: bill over always asked with check"].met
        assert held[f"{pool}, no check, v = 2: bill over always asked"].met
        assert held[f"{pool}, check, v = 2: switches a session"].met
    for pool in ("ladder", "wide"):
        assert held[f"{pool}, check, v = 2: dollars over always asked without check"].met
