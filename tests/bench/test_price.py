"""``bench price``: what it scores, how it counts, and that the real traces are predicted as promised."""

from __future__ import annotations

import gzip
import json
import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.bench.price import Guess, Report, Score, measure, quantile
from pointsman.bench.simple_prices import SIMPLE, Known
from pointsman.cli import main
from pointsman.core.book import Book
from pointsman.core.types import FIVE_MINUTES, HOUR, Usage
from pointsman.shell.history import readers as history
from pointsman.shell.prices import load_book

DATA = Path(os.environ.get("POINTSMAN_DATA") or "../shared/data")
TRACES = DATA / "sessions" / "traces.jsonl.gz"
FIGURES = ("requests", "bias", "abs_error_p50", "abs_error_p90", "cache_read_within_5pct", "brier_warm", "log_loss_warm")
OPUS = "claude-opus-4-5-20251101"


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book(today=date(2026, 11, 22))


def prompt(t: float) -> dict[str, Any]:
    return {"k": "prompt", "t": t, "chars": 100, "text": "fix it"}


def req(t: float, read: int, written: int, fresh: int = 3, model: str = OPUS) -> dict[str, Any]:
    return {"k": "req", "t": t, "m": model, "i": fresh, "cr": read, "cw5": written, "cw1": 0, "cw": written, "o": 100,
            "oc": 250, "tools": ["Bash"], "stop": "tool_use", "side": 0}  # fmt: skip


def result(t: float) -> dict[str, Any]:
    return {"k": "tool_result", "t": t, "err": 0}


def traces(path: Path, *sessions: list[dict[str, Any]]) -> Path:
    rows = [{"session": f"s{n}", "t0": 1_770_000_000.0 + 1e5 * n, "events": events} for n, events in enumerate(sessions)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def scored(path: Path, book: Book) -> Report:
    return measure(history.read_all([path]), book, estimate=False)


# ---- what is scored


def test_a_warm_loop_is_predicted_to_the_token(tmp_path: Path, book: Book) -> None:
    """20,000 written, then read with 1,000 new: 20,000 at .5 and 1,000 at 6.25 a million, the 3 fresh ones apart."""
    path = traces(tmp_path / "t.jsonl", [prompt(0), req(5, 0, 20_000), result(9), req(12, 20_000, 1_000)])
    report = scored(path, book)
    figures = report.ours.figures()
    assert (figures["requests"], report.first, figures["cache_read_within_5pct"]) == (1, 1, 1.0)
    assert report.ours.billed == pytest.approx([(20_000 * 0.5 + 1_000 * 6.25 + 3 * 5) / 1e6])
    assert report.ours.guessed == pytest.approx([(20_000 * 0.5 + 1_003 * 6.25) / 1e6])
    assert figures["bias"] == pytest.approx(3 * 1.25 / 16_265, rel=1e-6)


def test_a_lapsed_prefix_is_paid_for_and_the_head_is_learned(tmp_path: Path, book: Book) -> None:
    """Three cold turns: the head that the second read is expected of the third, whose session another one kept warm."""
    cold = [prompt(0), req(5, 0, 40_000)]
    for n in (1, 2):
        cold += [prompt(2_000.0 * n), req(2_000.0 * n + 4, 16_000, 26_000)]
    keeper = [e for n in range(40) for e in (result(1_000 + 100.0 * n), req(1_001 + 100.0 * n, 16_000, 2_000))]
    first, _ = history.read_all([traces(tmp_path / "a.jsonl", cold, [prompt(0), req(1, 0, 9_000)])])
    report = measure([first], book, estimate=False)
    assert report.ours.within == 0, "nothing keeps the head warm for an hour and a half"
    rows = [
        {"session": "cold", "t0": 1_770_000_000.0, "events": cold},
        {"session": "keeper", "t0": 1_770_000_000.0, "events": keeper},
    ]
    (tmp_path / "b.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    both = scored(tmp_path / "b.jsonl", book)
    assert both.sessions == 2 and both.ours.within == 2


def test_a_rewritten_history_shares_only_its_head(tmp_path: Path, book: Book) -> None:
    loop = [prompt(0), req(5, 16_000, 90_000), result(9), req(12, 106_000, 1_000), result(15), req(18, 16_000, 60_000)]
    report = scored(traces(tmp_path / "t.jsonl", loop), book)
    assert report.ours.within == 2 and report.ours.guessed[1] == pytest.approx(report.ours.billed[1], rel=0.05)


def test_unpriced_and_unbilled_requests_are_counted_and_not_scored(tmp_path: Path, book: Book) -> None:
    unknown = [result(6), req(9, 0, 0, 0), result(10), req(12, 9_000, 5, model="m-9")]
    report = scored(traces(tmp_path / "t.jsonl", [prompt(0), req(5, 0, 9_000), *unknown]), book)
    assert (report.unbilled, report.unpriced, report.ours.figures()["requests"]) == (1, {"m-9": 1}, 0)
    assert all(report.ours.figures()[name] is None for name in FIGURES[1:]), "nothing measured is unknown, not 0"


# ---- how it counts


def test_the_figures_are_worked_by_hand() -> None:
    """Bills of 1, 2 and 4 dollars guessed at 1, 3 and 2: bias -1/7, errors 0, .5 and .5; reads within 5 %: two of three."""
    score = Score()
    score.add(Guess(1.0, 100, 1.0), 1.0, 104, True)
    score.add(Guess(3.0, 0, 0.25), 2.0, 0, False)
    score.add(Guess(2.0, 100, 0.5), 4.0, 90, True)
    figures = score.figures()
    assert figures["bias"] == pytest.approx(-1 / 7)
    assert (figures["abs_error_p50"], figures["abs_error_p90"]) == (0.5, 0.5)
    assert figures["cache_read_within_5pct"] == pytest.approx(2 / 3)
    assert figures["brier_warm"] == pytest.approx((0 + 0.0625 + 0.25) / 3)
    assert figures["log_loss_warm"] == pytest.approx((0.0010005 + 0.2876821 + 0.6931472) / 3, rel=1e-5)
    assert score.bands == {9: (1, 1.0, 1), 2: (1, 0.25, 0), 5: (1, 0.5, 1)}


def test_the_simple_predictors() -> None:
    inside, outside = Known(21_000, 20_000, 299.0, 300, 84_000), Known(21_000, 20_000, 300.0, 300, 84_000)
    warm = Usage(cache_read=20_000, cache_write=((300, 1_000),))
    assert SIMPLE["all_warm"](outside) == (warm, 1.0)
    assert SIMPLE["ttl_rule"](inside) == (warm, 1.0)
    assert SIMPLE["ttl_rule"](outside) == (Usage(cache_write=((300, 21_000),)), 0.0)
    assert SIMPLE["whole_len4"](inside) == (Usage(cache_read=21_000), 1.0)


@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=30), st.floats(0, 1))
def test_a_quantile_lies_between_the_extremes(values: list[float], q: float) -> None:
    found = quantile(sorted(values), q)
    assert found is not None and min(values) <= found <= max(values) * (1 + 1e-12)


# ---- the command


def test_the_json_holds_exactly_the_promised_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = traces(tmp_path / "t.jsonl", [prompt(0), req(5, 0, 20_000), result(9), req(12, 20_000, 1_000)])
    assert main(["bench", "price", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert tuple(found) == (*FIGURES, "baselines")
    assert list(found["baselines"]) == ["all_warm", "ttl_rule", "whole_len4"]
    assert all(tuple(figures) == FIGURES for figures in found["baselines"].values())


def test_a_cut_off_file_is_said_to_be_cut_off_and_what_was_read_is_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loop = [e for n in range(400) for e in (result(9 + n), req(9.5 + n, 20_000 + 7 * n, 7 + n % 13))]
    plain = traces(tmp_path / "t.jsonl", *([[prompt(0), req(5, 0, 20_000), *loop]] * 30))
    packed = gzip.compress(plain.read_bytes())
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(packed[: len(packed) * 3 // 4])
    assert main(["bench", "price", str(cut)]) == 1
    said = capsys.readouterr()
    assert "cut off or damaged" in said.err and f"{cut}:" in said.err
    assert "requests of" in said.out


def test_a_broken_line_is_named_and_the_rest_is_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = traces(tmp_path / "t.jsonl", [prompt(0), req(5, 0, 20_000), result(9), req(12, 20_000, 1_000)])
    bad = [prompt(0), req(5, -3, 20_000)]
    broken = '{"session": "x", "t0": 0, "events": [\n' + json.dumps({"session": "y", "t0": 0.0, "events": bad})
    path.write_text(path.read_text() + broken)
    assert main(["bench", "price", str(path), "--json"]) == 0
    said = capsys.readouterr()
    assert f"{path}:2: skipped, not JSON" in said.err and f"{path}:3: skipped the rest" in said.err and "cr is -3" in said.err
    assert json.loads(said.out)["requests"] == 1


@pytest.mark.parametrize("text", ["", "not json\n", '{"k": 1}\n'])
def test_what_is_no_trace_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(text)
    assert main(["bench", "price", str(path)]) == 1
    assert str(path) in capsys.readouterr().err


def test_nothing_to_score_is_an_error_not_a_zero(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = traces(tmp_path / "t.jsonl", [prompt(0), req(5, 0, 20_000)])
    assert main(["bench", "price", str(path), "--json"]) == 2
    assert "nothing to score" in capsys.readouterr().err


def test_the_speed_of_pricing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "price", "--speed", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "pricing 3 configs of one request" in found and all(us > 0 for us in found.values())


# ---- the real traces (read in place, never copied)


@pytest.mark.skipif(not TRACES.exists(), reason=f"no real traces at {TRACES} (set POINTSMAN_DATA)")
def test_real_traces_are_priced_within_the_promised_errors(book: Book) -> None:
    figures = scored(TRACES, book).as_json()
    baselines: Any = figures["baselines"]
    bias, median, tail, reads = (figures[name] for name in FIGURES[1:5])
    assert isinstance(bias, float) and abs(bias) <= 0.02
    assert isinstance(median, float) and median <= 0.005
    assert isinstance(tail, float) and tail <= 0.05
    assert isinstance(reads, float) and reads >= 0.975
    for name in ("brier_warm", "log_loss_warm"):
        ours = figures[name]
        assert isinstance(ours, float) and ours < baselines["ttl_rule"][name]


@pytest.mark.skipif(not TRACES.exists(), reason=f"no real transcripts beside {TRACES} (set POINTSMAN_DATA)")
@pytest.mark.parametrize(
    ("clients", "most"), [(("claude_code",), 0.03), (("claude_code", "codex"), 0.03), (("codex",), 0.05)],
    ids=["claude_code", "all", "codex"],
)  # fmt: skip
def test_real_transcripts_are_sized_and_priced_within_the_promised_errors(
    book: Book, clients: tuple[str, ...], most: float
) -> None:
    """A bias of 3 % over all of them is promised; eleven Codex sessions alone miss it by half a percent (core/warmth.py)."""
    files = sorted(file for client in clients for file in (DATA / "sessions" / client).glob("*.gz"))
    figures = measure(history.read_all(files), book, estimate=True).ours.figures()
    bias, median, tail = (figures[name] for name in FIGURES[1:4])
    assert bias is not None and abs(bias) <= most
    assert median is not None and median <= 0.05
    assert tail is not None and tail <= 0.20


def test_lifetimes_are_read_off_the_bill(tmp_path: Path, book: Book) -> None:
    """An hour's entry is read after ten minutes; five minutes' is not expected to be."""

    def turns(key: str) -> list[dict[str, Any]]:
        first, later = req(5, 0, 20_000), req(606, 20_000, 500)
        for event in (first, later):
            event["cw5"], event[key] = 0, event["cw"]
        return [prompt(0), first, prompt(600), later]

    hour = scored(traces(tmp_path / "h.jsonl", turns("cw1")), book)
    five = scored(traces(tmp_path / "f.jsonl", turns("cw5")), book)
    assert (hour.ours.within, five.ours.within) == (1, 0)
    assert HOUR > 600 > FIVE_MINUTES
