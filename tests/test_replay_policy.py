"""``replay --policy``, ``why`` and ``report``: what else would have been done, what it is worth, and what nobody knows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from playbook import Play, result, switch, turn
from pointsman import Settings
from pointsman.cli import main
from pointsman.cli.policy_names import HELP, named
from pointsman.cli.regrets import Regrets, regret_lines
from pointsman.core.book import Book
from pointsman.core.decisions import Meter
from pointsman.core.events import Event
from pointsman.core.hindsight import second_thoughts
from pointsman.errors import SettingsError
from pointsman.shell.prices import load_book
from pointsman.shell.resources import folder
from pointsman.tui.figures import plain
from samples import HAIKU, OPUS, Story

RECORDING = str(folder("sessions") / "claude_code-sonnet-4-5-plain.jsonl")


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    monkeypatch.setenv("POINTSMAN_HOME", str(tmp_path))
    monkeypatch.setenv("POINTSMAN_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book()


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["replay", RECORDING, *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_other_policies_stand_side_by_side_with_signed_nets_and_unknown_outcomes(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--policy", "asked", "--policy", "cheap", "--policy", "2:haiku,3:asked", "--policy", "hindsight")
    assert code == 0
    asked, cheap, detour, best = (out.index(f"· {name}:") for name in ("asked", "cheap", "2:haiku,3:asked", "hindsight"))
    assert asked < cheap < detour < best
    assert "net ≈$0.00" in out[asked:cheap] and "net ≈+$" in out[cheap:detour]
    assert "no verdict" in out and "effective sample" in out and "outcome unknown of 1" in out
    assert "per task: no verdict under 30 tasks (1)" in out


def test_the_same_as_values(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "--policy", "cheap", "--policy", "saver", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["policy"] for row in rows] == ["cheap", "saver", "cheap", "saver"]
    assert rows[0]["net_usd"] == pytest.approx(rows[0]["billed_usd"] - rows[0]["instead_usd"])
    assert rows[0]["net_least_usd"] <= rows[0]["net_usd"]
    assert rows[0]["resolved"] is None and rows[0]["verdict"] is False and rows[0]["outcomes_unknown"] == rows[0]["tasks"]
    assert rows[2]["sessions"] == 1


def test_a_policy_may_be_a_file(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    file = home / "mine.toml"
    file.write_text('profile = "saver"\nfailure_usd = 0\n')
    code, out, _ = run(capsys, "--policy", str(file), "--brief")
    assert code == 0 and str(file) in out and "net ≈+$" in out


@pytest.mark.parametrize(
    "name",
    ["asked", "always-asked", "cheap", "always-cheap", "strong", "cheaper", "stronger", "quality", "balanced", "saver", "fast",
     "haiku", "claude-sonnet-5-5:low", "2:haiku,5:asked", "profile=balanced,check=true,failure_usd=2", "settings", "hindsight"],
)  # fmt: skip
def test_every_name_in_the_help_is_understood(name: str, book: Book) -> None:
    assert named(name, book).name == name
    assert all(word in HELP for word in ("asked", "cheap", "hindsight", "settings", "schedule"))


@pytest.mark.parametrize(("name", "said"), [
    ("no-such-model", "--policy 'no-such-model' is no policy, model or settings file"),
    ("profile=nonsense", "--policy 'profile=nonsense': profile is 'nonsense'; it can be quality"),
    ("profil=saver", "--policy 'profil=saver': unknown setting 'profil' (did you mean 'profile'?)"),
    ("nothing.toml", "there is no settings file nothing.toml"),
    ("0:haiku", "'0:haiku' is not of the form"),
    ("1:opsu", "--policy '1:opsu': unknown model 'opsu'; did you mean opus"),
    ("claude-opus-5-5:hgih", "--policy 'claude-opus-5-5:hgih': claude-opus-5-5 has no effort 'hgih': it takes low"),
    ("pool=oups", "pool names 'oups', which has no price; did you mean opus"),
])  # fmt: skip
def test_what_is_no_policy_is_refused_with_a_sentence(name: str, said: str, book: Book) -> None:
    with pytest.raises(SettingsError) as caught:
        named(name, book)
    assert said in str(caught.value)


def story(admit: bool) -> list[Event]:
    told = Story("s-1", asked=OPUS)
    for _ in range(4):
        told.turn(requests=2)
    events = told.events
    if admit:
        from dataclasses import replace

        from pointsman.core.events import Routed

        meter = (Meter(HAIKU.model, None, 0.41, 0.38, 1_790_000_000.0),)
        events = [replace(e, decision=replace(e.decision, envelope=meter)) if isinstance(e, Routed) else e for e in events]
    return events


def test_why_says_the_regret_of_a_turn_and_of_the_session_so_far() -> None:
    quiet = plain(regret_lines(story(admit=False), 2))
    assert "against asked: this turn ≈$0.00, so far ≈$0.00" in quiet and "in hindsight: none" in quiet
    told = " ".join(plain(regret_lines(story(admit=True), 2)).split())
    assert "above the best path that you admit" in told and "knowable then" in told and "only afterwards" in told
    assert regret_lines(story(admit=False), 99) == []


def test_report_adds_regret_up_and_counts_what_people_overruled() -> None:
    found = Regrets()
    told = Story("s-2", asked=OPUS).turn().turn(HAIKU, action="switch").turn(HAIKU)
    told.mark(3, "bad")
    found.add(told.events)
    found.add(story(admit=True))
    text = "\n".join(found.lines())
    assert "against asked ≈+$" in text and "over 2 sessions" in text and "1 of 1 moves (100 per 100)" in text
    assert found.as_json()["moves"] == 1 and Regrets().lines() == []


def test_work_undone_soon_after_a_move_overrules_it(book: Book) -> None:
    """A revert that a hook reports, or the person rewinding the conversation; neither counts against a move of later."""
    told = Story("s-2", asked=OPUS).turn().turn(HAIKU, action="switch").turn(HAIKU)
    assert second_thoughts(told.events) == (1, 0)
    assert second_thoughts(told.signal("revert").events) == (1, 1)
    play = Play(book, Settings(profile="saver", failure_usd=0.0), model="opus")
    play >> turn("make the parser faster") << switch("sonnet") >> result("ok") >> turn("now the lexer") >> result("ok")
    assert second_thoughts(play.router.events()) == (1, 0)
    back = Play(book, Settings(profile="saver", failure_usd=0.0), model="opus")
    back >> turn("make the parser faster") << switch("sonnet") >> result("ok") >> turn("now the lexer") >> result("ok")
    back.talk = back.talk[:4]  # the person rewinds to before the second prompt
    back >> turn("leave the lexer, mend the writer")
    assert second_thoughts(back.router.events()) == (1, 1)


def test_the_commands_print_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", "--from", RECORDING]) == 0
    assert "regret   against asked" in capsys.readouterr().out
    assert main(["report", "--from", RECORDING, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["regret"]["sessions"] == 1
    assert main(["report", "--from", RECORDING]) == 0
    assert "regret       against asked" in capsys.readouterr().out


def test_the_meter_is_shown_with_its_clock_time_and_in_the_timeline() -> None:
    from pointsman.core.timeline import Timeline
    from pointsman.tui.because import because
    from pointsman.tui.reasons import why

    session = next(iter(Timeline(story(admit=True)).sessions.values()))
    turn = session.turns[-1]
    assert turn.decision is not None
    lines = plain(why(turn.decision, 100, turn=turn))
    assert "haiku-4-5 would have saved ≈$0.410 since " in lines and "the switch costs ≈$0.380" in lines
    assert because(turn)[0] == "stay: haiku ≈$0.410 of ≈$0.380"
