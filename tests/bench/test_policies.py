"""What each policy is billed on recorded sessions, and the bounds that hold on every one of them."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from pointsman.bench.paths import BASELINES, Lane, by_first_prompt, enveloped, lane_of
from pointsman.bench.policies import POOLS, ROUTER, Block, equal_quality, measure, sessions_of
from pointsman.bench.policies_report import as_json, lines, promises
from pointsman.bench.report import Promise
from pointsman.cli import main
from pointsman.core.book import Book
from pointsman.core.hindsight import recorded
from pointsman.core.types import Config
from pointsman.shell.prices import load_book
from pointsman.shell.resources import folder
from samples import OPUS, SONNET, Story


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book()


def told(name: str, asked: Config, gaps: list[float]) -> Story:
    story = Story(name, asked=asked, title=name)
    for i, gap in enumerate(gaps):
        story.turn(requests=2 + i % 3, gap=gap, output=300 + 400 * (i % 2), grow=900)
    return story


@pytest.fixture(scope="module")
def blocks(book: Book) -> list[Block]:
    stories = [
        told("s-1", OPUS, [60, 60, 60, 60]), told("s-2", OPUS, [60, 900, 60, 60, 60]), told("s-3", SONNET, [30] * 6),
        told("s-4", OPUS, [60]), told("s-5", SONNET, [400, 400, 20]),
    ]  # fmt: skip
    return measure(sessions_of([story.events for story in stories], book), book, POOLS, seeds=2)


def lane(book: Book, gaps: list[float]) -> Lane:
    main_lane = recorded(told("s", OPUS, gaps).events, book, [Config("claude-haiku-5-5"), Config(OPUS.model)])[0]
    found = lane_of(main_lane, [Config("claude-haiku-5-5"), Config(OPUS.model)])
    assert found is not None
    return found


def test_every_promise_is_kept_on_every_session(blocks: list[Block]) -> None:
    assert [block.pool for block in blocks] == ["neighbour", "wide", "three", "crossing"]
    held = promises(blocks)
    assert held and all(promise.met for promise in held), [promise for promise in held if not promise.met]


def test_hindsight_undercuts_every_policy_that_moves_at_turn_starts(blocks: list[Block]) -> None:
    for block in blocks:
        usd = {row.name: row.usd for row in block.rows}
        for name, amount in usd.items():
            if name not in ("cheapest price, any request", "classifier per request", "stall rule"):
                assert usd["hindsight"] <= amount + 1e-9, name
        assert usd["cheapest price, any request"] <= min(usd.values()) + 1e-9


def test_the_router_as_installed_is_what_was_asked(blocks: list[Block]) -> None:
    for block in blocks[:3]:
        by_name = {row.name: row for row in block.rows}
        installed = by_name[f"{ROUTER}, as installed"]
        assert installed.usd == pytest.approx(by_name["always asked"].usd) and installed.moves == 0


def test_the_figures_are_shown_and_given_as_values(blocks: list[Block]) -> None:
    text = "\n".join(lines(blocks))
    assert "D/R of a turn" in text and "admitted in" in text and "worst session" in text and "random mix of equal cost" in text
    assert max(len(line) for line in text.splitlines()) < 180
    value = json.loads(json.dumps(as_json(blocks)))
    assert value["blocks"][0]["rows"] and all(promise["met"] for promise in value["promises"])


def test_equal_quality_is_equal(book: Book) -> None:
    twin = equal_quality(book)
    assert twin.ability("claude-haiku-5-5") == twin.ability("claude-opus-5-5")
    assert twin.steps("claude-haiku-5-5") == twin.steps("claude-opus-5-5") == 1.0
    assert twin.card("claude-haiku-5-5") == book.card("claude-haiku-5-5")


@pytest.mark.parametrize("name", BASELINES)
def test_each_baseline_names_a_config_for_every_request(name: str, book: Book) -> None:
    there = lane(book, [60, 60, 900, 60])
    path = list(BASELINES[name](there, Random(1)))
    assert len(path) == len(there.steps) and set(path) <= {0, 1}
    assert path == list(BASELINES[name](there, Random(1)))


def test_what_the_named_policies_do(book: Book) -> None:
    there = lane(book, [60, 60, 900, 60])
    dice = Random(1)
    assert set(BASELINES["always asked"](there, dice)) == {1} and set(BASELINES["always cheap"](there, dice)) == {0}
    assert len(set(BASELINES["coin per session (sticky first turn)"](there, dice))) == 1
    probe = list(BASELINES["probe of one turn"](there, dice))
    assert probe[:2] == [0, 0] and set(probe[2:]) == {1}
    assert set(by_first_prompt(1e9)(there, dice)) == {0} and set(by_first_prompt(0)(there, dice)) == {1}
    assert sum(there.free) == 1  # after the long pause the bill says that the prefix was still there


def test_the_envelope_alone_begins_as_asked_and_leaves_once_it_has_paid(book: Book) -> None:
    there = lane(book, [60] * 12)
    alone = enveloped(there, advised=False)
    assert alone.path[0] == 1 and alone.path[-1] == 0
    moved = next(i for i, (a, b) in enumerate(zip(alone.path, alone.path[1:], strict=False), 1) if a != b)
    assert there.steps[moved].moves and alone.trip > 0 and alone.d_over_r >= max(alone.turns, default=0.0) * 0.5
    assert set(enveloped(there).path) == {0}  # with the advice of the free point it begins where running is cheapest


def test_a_promise_that_is_missed_says_so() -> None:
    assert not Promise("x", 1, 0).met


def test_the_command_wants_files_that_exist(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["bench", "policies", str(tmp_path / "none.jsonl")]) == 2
    assert "there is no file" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["price", "policies", "difficulty"])
def test_measuring_data_that_is_not_there_is_named_with_what_to_do(
    kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:  # fmt: skip
    monkeypatch.setenv("POINTSMAN_DATA", str(tmp_path / "none"))
    assert main(["bench", kind]) == 2
    said = capsys.readouterr().err
    assert "there is no measuring data at" in said and "POINTSMAN_DATA" in said and said.count("\n") == 1


def test_a_recording_that_is_not_there_is_named_without_a_number_of_the_system(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "tokens", "none.jsonl"]) == 2
    assert capsys.readouterr().err == "pointsman bench: there is no file or folder none.jsonl\n"


def test_the_command_measures_recordings(capsys: pytest.CaptureFixture[str]) -> None:
    recording = str(folder("sessions") / "claude_code-sonnet-4-5-plain.jsonl")
    assert main(["bench", "policies", recording, "--pool", "neighbour", "--seeds", "1", "--json"]) == 0
    block = json.loads(capsys.readouterr().out)["blocks"][0]
    assert block["sessions"] == 1 and block["admitted"][0]["configs"][-1] == "claude-sonnet-4-5"
    assert all(row["minutes"] > 0 for row in block["rows"])
    assert main(["bench", "policies", recording, "--pool", "neighbour", "--seeds", "1"]) == 0
    assert "over asked" in capsys.readouterr().out
