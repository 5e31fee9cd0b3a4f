"""The commands as a person types them: what they print, what they refuse, and how they exit."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pointsman.cli import COMMANDS, main
from pointsman.shell import control
from pointsman.shell.resources import folder

ROOT = Path(__file__).resolve().parents[1]
RECORDING = folder("sessions") / "claude_code-sonnet-4-5-plain.jsonl"


class Typed:
    """What one command came to."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: object) -> tuple[int, str, str]:
        """(exit code, standard output, standard error) of ``pointsman WORDS``."""
        try:
            code = main([str(word) for word in words])
        except SystemExit as ended:
            code = int(str(ended.code or 0))
        out, err = self._capsys.readouterr()
        return code, out, err


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Typed:
    """Commands in a home and a folder of their own."""
    monkeypatch.setenv("POINTSMAN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("POINTSMAN_CONFIG", str(tmp_path / "config.toml"))
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return Typed(capsys)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home folder that ``pointsman demo --no-tui --keep`` leaves behind."""
    temp = tmp_path_factory.mktemp("demo")
    env = os.environ | {"TMPDIR": str(temp), "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "pointsman", "demo", "--no-tui", "--keep"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    (temp / "said.txt").write_text(done.stdout)
    yield next(temp.glob("pointsman-demo-*"))


@pytest.fixture
def after_demo(typed: Typed, demo: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Typed:
    """Commands on a copy of the demo's ledger."""
    home = tmp_path / "home"
    home.mkdir()
    with sqlite3.connect(demo / "ledger.db") as source, sqlite3.connect(home / "ledger.db") as copy:
        source.backup(copy)
    source.close()
    copy.close()
    return typed


# -- help, usage and exit codes ----------------------------------------------------------------------------------------


def test_the_overview_names_every_command_and_the_exit_codes(typed: Typed) -> None:
    for words in ([], ["--help"], ["help"]):
        code, out, _ = typed(*words)
        assert code == 0 and "Exit codes" in out
        assert all(f"  {name} " in out for name, entry in COMMANDS.items() if entry.line)
        assert "  hook " not in out


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_help_text_teaches_with_examples(typed: Typed, name: str) -> None:
    code, out, _ = typed(name, "--help")
    assert code == 0 and "examples:" in out and f"pointsman {name}" in out


def test_version_says_the_package_version(typed: Typed) -> None:
    from pointsman import __version__

    assert typed("--version") == (0, f"pointsman {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["serv"], "did you mean 'serve'?"),
        (["--verison"], "unknown option"),
        (["why", "--sesion", "x"], "did you mean '--session'?"),
        (["mark", "god"], "mark is 'god' (did you mean 'good'?)"),
        (["pin"], "MODEL[:EFFORT]"),
        (["serve", "--host", "0.0.0.0"], "127.0.0.1 only"),
        (["serve", "--upstream", "x"], "not a base URL"),
        (["serve", "--upstream", "antropic=https://a.b"], "antropic"),
        (["run", "--"], "pointsman run -- claude"),
        (["run", "--", "nonesuch-agent"], "is no agent that we know how to wrap"),
        (["prices", "gtp-5.5"], "did you mean gpt-5.5"),
        (["tui", "nowhere.db"], "cannot be read"),
        (["replay", "nowhere.jsonl"], "cannot be read"),
    ],
)
def test_a_mistake_is_one_sentence_on_stderr_and_exit_2(typed: Typed, words: list[str], said: str) -> None:
    code, out, err = typed(*words)
    assert (code, out) == (2, "") and said in err and "Traceback" not in err
    assert err.startswith("pointsman") and err.count("\n") == 1


def test_a_typo_in_the_settings_stops_every_command_that_reads_them(typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('profil = "fast"\n')
    code, _, err = typed("serve")
    assert code == 2 and "config.toml:1: unknown setting 'profil' (did you mean 'profile'?)" in err
    (tmp_path / "config.toml").write_text('pool = ["claude-opsu-5-5"]\n')
    code, _, err = typed("serve")
    assert code == 2 and "pool names 'claude-opsu-5-5'" in err and "claude-opus-5-5" in err


def test_without_a_ledger_looking_says_how_to_get_one(typed: Typed) -> None:
    for name in ("why", "line", "replay"):
        code, _, err = typed(name)
        assert code == 1 and "there is no ledger" in err and "pointsman run" in err


# -- settings and health -----------------------------------------------------------------------------------------------


def test_config_shows_origins_and_writes_a_commented_file(typed: Typed, tmp_path: Path) -> None:
    assert typed("config", "path")[1].strip() == str(tmp_path / "config.toml")
    code, out, _ = typed("config", "init")
    assert code == 0 and "wrote" in out
    assert typed("config", "init")[0] == 2
    assert typed("config", "check")[0] == 0
    text = (tmp_path / "config.toml").read_text()
    (tmp_path / "config.toml").write_text(text.replace('# profile = "quality"', 'profile = "saver"'))
    line = text.splitlines().index(next(row for row in text.splitlines() if "profile = " in row)) + 1
    shown = json.loads(typed("config", "--json")[1])
    assert shown["profile"] == {"value": "saver", "origin": f"{tmp_path / 'config.toml'}:{line}"}
    assert shown["mode"]["origin"] == "default"


def test_every_line_of_the_written_file_is_valid_when_uncommented(tmp_path: Path) -> None:
    from pointsman.cli.template import TEMPLATE
    from pointsman.settings import load

    rows = [row.removeprefix("# ") for row in TEMPLATE.splitlines() if row.startswith("# ")]
    own = tmp_path / "all.toml"
    own.write_text("\n".join(row for row in rows if row.startswith("[") or row.split("=")[0].strip().isidentifier()) + "\n")
    settings = load(own, cwd=tmp_path)
    assert len(settings.model_fields_set) >= 14


def test_the_written_file_names_every_key_that_there_is() -> None:
    from pointsman.cli.template import TEMPLATE
    from pointsman.settings import Settings
    from pointsman.settings.complaints import TABLES

    tables = [Settings, *(model for key, model in TABLES.items())]
    missing = [f"{table.__name__}.{key}" for table in tables for key in table.model_fields
               if not re.search(rf"(?<![\w.]){key}(?!\w)", TEMPLATE)]
    assert not missing


def test_a_ledger_that_cannot_be_read_is_named_with_what_to_do(after_demo: Typed, tmp_path: Path) -> None:
    path = tmp_path / "home" / "ledger.db"
    sound = path.read_bytes()
    pages, rows = sound[:16_384] + b"\xa5" * (len(sound) - 16_384), sound.replace(b'"protocol":', b"\xa5" * 11)
    assert rows != sound
    for broken in (pages, rows):
        path.write_bytes(broken)
        for words in (["why"], ["report"], ["mark", "good"]):
            code, out, err = after_demo(*words)
            assert (code, out) == (1, "") and "malformed" in err and "move it away, and a new one is begun" in err, err
            assert '"ts"' not in err and "\n" not in err.strip(), "no row is quoted"
    path.unlink()
    path.mkdir()
    assert "is a folder and no ledger" in after_demo("why")[2]
    path.rmdir()
    path.touch()  # a gateway that was killed before it wrote anything
    code, out, _ = after_demo("doctor")
    assert code == 0 and "none yet at" in out


def test_doctor_looks_at_everything_and_finds_what_is_wrong(typed: Typed, tmp_path: Path) -> None:
    code, out, _ = typed("doctor", "--json")
    found = {row["what"]: row["state"] for row in json.loads(out)}
    whats = {"pointsman", "litellm", "settings", "certificate", "prices", "ledger", "gateway", "agents"}
    assert code == 0 and set(found) == whats
    assert "wrong" not in found.values()
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "ledger.db").write_bytes(b"no ledger at all, only words")
    code, out, _ = typed("doctor")
    assert code == 1 and "WRONG  ledger" in out


def test_fallbacks_that_lead_in_a_circle_are_found_by_doctor_too(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    path = tmp_path / "circle.toml"
    path.write_text('[fallbacks]\n"claude-opus-5-5" = ["claude-sonnet-5-5"]\n"claude-sonnet-5-5" = ["claude-opus-5-5"]\n')
    monkeypatch.setenv("POINTSMAN_CONFIG", str(path))
    code, out, _ = typed("doctor")
    assert code == 1 and "WRONG  settings" in out and "leads in a circle" in out and "ok     prices" in out
    code, _, error = typed("config", "check")
    assert code == 2 and "leads in a circle" in error


def test_prices_say_where_each_figure_is_from(typed: Typed) -> None:
    code, out, _ = typed("prices", "opus")
    assert code == 0 and "litellm" in out and "write 5 min" in out and "ladder" in out
    assert "service priority above 272,000" in typed("prices", "gpt-5.4")[1]
    out = typed("prices", "dashscope/qwen-turbo")[1]
    assert "output 0.2, reasoning 0.5\n" in out and "    reasoning       litellm" in out
    code, out, _ = typed("prices")
    assert code == 0 and out.splitlines()[0].startswith("anthropic")
    code, out, _ = typed("prices", "--json")
    assert code == 0 and json.loads(out)["ladders"]["anthropic"]


def test_serve_says_where_it_listens_and_ends_well(tmp_path: Path) -> None:
    own = {"POINTSMAN_HOME": str(tmp_path), "POINTSMAN_CONFIG": str(tmp_path / "none.toml"), "PYTHONPATH": str(ROOT / "src")}
    env = os.environ | own
    command = [sys.executable, "-m", "pointsman", "serve", "--port", "0", "--mode", "observe"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as gateway:
        assert gateway.stdout is not None
        assert "listens on http://127.0.0.1:" in gateway.stdout.readline()
        found = control.find_gateway(tmp_path)
        assert found is not None and control.call(found, "health")["pid"] == gateway.pid
        with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as second:
            assert second.stdout is not None and "listens on" in second.stdout.readline()
            second.terminate()
            said = second.communicate(timeout=120)[1]
        assert f"a gateway runs already at {found.url} (process {gateway.pid}) with the same ledger" in said
        gateway.terminate()
        _, err = gateway.communicate(timeout=120)
    assert (gateway.returncode, err) == (0, "")
    assert control.find_gateway(tmp_path) is None


# -- the demo and what is left to look at ------------------------------------------------------------------------------


def test_the_demo_prints_timelines_and_a_signed_total(demo: Path) -> None:
    said = (demo.parent / "said.txt").read_text()
    total = next(row for row in said.splitlines() if row.startswith("total: "))
    assert "net ≈−$" in total and "pinned opus" in said and "unknown" not in total


def test_why_explains_a_turn(after_demo: Typed) -> None:
    code, out, _ = after_demo("why", 4, "--session", "demo")
    assert code == 0 and "pinned by you" in out and "way back" in out and "gates" in out
    value = json.loads(after_demo("why", "4", "--session", "demo", "--json")[1])
    assert value["decision"]["reason"] == "pin" and value["net_usd"] < 0 and value["modelled"]
    assert after_demo("why", 99, "--session", "demo")[0] == 2
    assert after_demo("why", "x")[0] == 2


def test_line_is_one_line_also_under_a_users_own(after_demo: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    code, out, _ = after_demo("line", "--session", "demo")
    assert code == 0 and out.count("\n") == 1 and "as asked" in out
    monkeypatch.setenv("POINTSMAN_USER_STATUSLINE", "echo mine")
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"session_id": "demo-api-fix"}'))
    code, out, _ = after_demo("line", "--client", "claude")
    assert code == 0 and out.splitlines()[0] == "mine" and "sonnet" in out.splitlines()[1]


def test_pin_says_which_session_and_what_obeying_costs(after_demo: Typed) -> None:
    code, out, _ = after_demo("pin", "opus", "--session", "demo-api")
    assert code == 0 and "pinned claude-opus-5-5 for this session (demo-api-fix, named)" in out
    assert "Obeying costs ≈$" in out and "way back" in out
    code, out, _ = after_demo("unpin", "--session", "demo")
    assert code == 0 and "is gone" in out
    assert "there was no pin" in after_demo("unpin", "--session", "demo")[1]


@pytest.mark.parametrize(
    ("name", "said"),
    [("opsu", "did you mean opus"), ("gpt-5.5", "cannot take over this session"), ("opus:hihg", "has no effort 'hihg'")],
)
def test_a_pin_that_cannot_be_meant_is_refused_and_not_written(after_demo: Typed, name: str, said: str) -> None:
    code, _, err = after_demo("pin", name, "--session", "demo")
    assert code == 2 and said in err
    assert "there was no pin" in after_demo("unpin", "--session", "demo")[1]


def test_a_pin_can_hold_always_in_this_folder(after_demo: Typed) -> None:
    code, out, _ = after_demo("pin", "haiku", "--scope", "always")
    assert code == 0 and "every session in this folder" in out
    code, out, _ = after_demo("unpin")
    assert code == 0 and "always in this folder" in out


def test_a_pin_of_a_folder_without_sessions_is_given_back_there(
    typed: Typed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:  # fmt: skip
    assert typed("pin", "haiku", "--scope", "always")[0] == 0
    with sqlite3.connect(tmp_path / "home" / "ledger.db") as ledger:
        assert ledger.execute("SELECT count(*) FROM event WHERE kind = 'Pinned'").fetchone() == (1,)
    ledger.close()
    code, out, _ = typed("unpin")
    assert code == 0 and "always in this folder" in out
    code, _, err = typed("unpin")
    assert code == 2 and "no session has been routed yet" in err


def test_unpin_ends_this_folders_pin_before_that_of_another_folders_session(
    after_demo: Typed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:  # fmt: skip
    assert after_demo("pin", "opus", "--session", "demo-api")[0] == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert after_demo("pin", "haiku", "--scope", "always")[0] == 0
    assert "always in this folder" in after_demo("unpin")[1]
    assert "on demo-api-fix (named)" in after_demo("unpin", "--session", "demo-api")[1]


def test_marks_are_written_and_taken_back(after_demo: Typed) -> None:
    assert "marked turn 7 of demo-api-fix" in after_demo("mark", "overkill", "--session", "demo")[1]
    assert json.loads(after_demo("why", "--session", "demo", "--json")[1])["outcome"] == "overkill"
    assert after_demo("mark", "overkill", "7", "--undo", "--session", "demo")[0] == 0
    assert json.loads(after_demo("why", "--session", "demo", "--json")[1])["outcome"] == "unknown"
    code, _, err = after_demo("mark", "overkill", "7", "--undo", "--session", "demo")
    assert code == 2 and "has no mark of yours, so nothing was taken back" in err
    assert after_demo("mark", "bad", "7", "--session", "demo")[0] == 0
    code, _, err = after_demo("mark", "good", "7", "--undo", "--session", "demo")
    assert code == 2 and "is marked bad, not good: `pointsman mark bad 7 --undo`" in err
    assert after_demo("mark", "bad", "7", "--undo", "--session", "demo")[0] == 0
    code, _, err = after_demo("mark", "bad", "99", "--session", "demo")
    assert code == 2 and "no turn 99" in err


def test_replay_adds_up_the_ledger_as_the_timeline_does(after_demo: Typed) -> None:
    rows = [json.loads(row) for row in after_demo("replay", "--json")[1].splitlines()]
    assert len(rows) == 4
    own = next(row for row in rows if row["session"] == "demo-api-fix")
    assert own["billed_usd"] == pytest.approx(json.loads(after_demo("line", "--session", "demo", "--json")[1])["spent_usd"])
    assert own["free_points"]["idle"] == 1
    code, out, err = after_demo("replay", "--session", "nonesuch")
    assert code == 1 and "no session" in err


def test_recordings_can_be_replayed_explained_and_drawn(typed: Typed, tmp_path: Path) -> None:
    code, out, _ = typed("replay", RECORDING)
    assert code == 0 and "sonnet-4-5" in out and "free points: start" in out
    code, out, _ = typed("why", "--from", RECORDING)
    assert code == 0 and "the model you asked for" in out
    picture = tmp_path / "a.svg"
    code, _, _ = typed("tui", RECORDING, "--screenshot", picture, "--size", "100x30")
    assert code == 0 and picture.read_text().startswith("<svg")
    assert typed("tui", RECORDING, "--screenshot", picture, "--size", "big")[0] == 2


def test_a_hook_answers_only_to_its_own_words(after_demo: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    def said(prompt: str) -> str:
        event = {"hook_event_name": "UserPromptSubmit", "session_id": "demo-api-fix", "prompt": prompt}
        monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(event)))
        code, out, _ = after_demo("hook", "claude")
        assert code == 0
        return out

    assert said("fix the test") == ""
    answer = json.loads(said("/pointsman:pin opus"))
    assert answer["decision"] == "block" and "claude-opus-5-5" in answer["reason"]


@pytest.mark.parametrize(("words", "said"), [
    (("mark", "goood"), "mark is 'goood' (did you mean 'good'?); it can be good, bad, overkill"),
    (("run", "--port", "abc", "--", "claude"), "--port is 'abc'; a whole number is wanted"),
    (("run", "--port", "99999", "--", "claude"), "--port: input should be less than or equal to 65535, not 99999"),
    (("report", "--days", "x"), "--days is 'x'; a number is wanted"),
    (("report", "--days", "-3"), "--days is -3; it is a number of days above 0"),
    (("record", "--upstream", "ftp://x", "--out", "a.jsonl"), "--upstream is 'ftp://x'; it is a base URL such as"),
    (("record", "--upstream", "http://x", "--out", "no/such/folder.jsonl"), "there is no folder no/such"),
    (("tui",), "the screens need a terminal; `--screenshot now.svg` writes a picture"),
    (("tui", "--screenshot", "no/such/folder.svg"), "no/such/folder.svg cannot be written: No such file or directory"),
    (("tui", "--screenshot", "a.svg", "--size", "0x0"), "the screens take 20x10 to 1000x1000"),
])  # fmt: skip
def test_a_wrong_word_is_answered_with_what_is_wanted(typed: Typed, words: tuple[str, ...], said: str) -> None:
    code, _, error = typed(*words)
    assert code == 2 and said in error
