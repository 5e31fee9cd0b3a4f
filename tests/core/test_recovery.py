"""How long a bad turn takes to be put right, by what people and checks said of the turns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pointsman.cli import main
from pointsman.core.recovery import Recoveries, recoveries
from pointsman.core.timeline import Timeline
from pointsman.shell.ledger import Ledger
from samples import Story


def found(*stories: Story) -> Recoveries:
    events = [event for story in stories for event in story.events]
    return recoveries(Timeline(events).sessions.values())


def test_the_minutes_run_from_the_bad_turn_to_the_end_of_the_good_one() -> None:
    story = Story("s").turn().signal("check_failed").turn(gap=300.0).turn(gap=240.0).signal("check_passed")
    (minutes,) = found(story).minutes
    assert minutes == pytest.approx((300.0 + 240.0) / 60.0, abs=0.5)
    assert found(Story("t").turn().turn()) == Recoveries()


def test_bad_turns_in_a_row_are_one_trouble_and_a_night_away_is_no_work() -> None:
    story = Story("s").turn().mark(1, "bad").turn(gap=120.0).mark(2, "bad").turn(gap=50_000.0).turn(gap=180.0).mark(4, "good")
    assert found(story).minutes == (pytest.approx((120.0 + 180.0) / 60.0, abs=0.5),)


def test_what_was_never_put_right_is_counted_and_not_guessed() -> None:
    bad = Story("s").turn().mark(1, "bad").turn()
    assert found(bad) == Recoveries((), 1) and found(bad).median is None
    both = found(bad, Story("t").turn().mark(1, "bad").turn(gap=600.0).mark(2, "overkill"))
    assert both.never == 1 and both.median == pytest.approx(10.0, abs=0.5)


def test_the_report_says_it_beside_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("POINTSMAN_HOME", str(tmp_path))
    monkeypatch.setenv("POINTSMAN_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text("failure_usd = 3.0\n")
    story = Story("s").turn().mark(1, "bad").turn(gap=600.0).mark(2, "good")
    with Ledger(tmp_path / "ledger.db") as ledger:
        ledger.append(story.events)
    assert main(["report"]) == 0
    said = capsys.readouterr().out
    assert "1 bad turn put right in 10 min (median); failure_usd $3.00 stands for 3 min at $60 an hour" in said
    assert main(["report", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["recovery"]["recovered"] == 1
