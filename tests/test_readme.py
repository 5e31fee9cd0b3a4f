"""What the README shows is run: its commands, its Python, its SQL, and its picture is there."""

from __future__ import annotations

import io
import re
import sqlite3
import sys
from pathlib import Path

import pytest

from pointsman.cli import COMMANDS, main
from pointsman.shell.resources import folder

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with the demo's ledger in it."""
    folder = tmp_path_factory.mktemp("readme")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(folder))
        patch.setattr(sys, "stdin", io.StringIO())
        assert main(["demo", "--no-tui", "--keep"]) == 0
    return next(folder.glob("pointsman-demo-*"))


def test_the_two_commands_are_the_ones_that_ci_and_newcomers_run() -> None:
    assert "python3 -m venv .venv && .venv/bin/pip install -e . && .venv/bin/pointsman demo" in README
    assert "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/pytest" in README
    ci = (ROOT / ".ci" / "run").read_text()
    assert "pip\" install --quiet -e '.[test]'" in ci and "/pytest\"" in ci


def test_every_command_shown_exists() -> None:
    shown = set(re.findall(r"(?<!from )\bpointsman ([a-z]+)\b", README))
    assert shown <= set(COMMANDS), f"the README shows commands that do not exist: {shown - set(COMMANDS)}"


def test_the_why_shown_is_what_the_program_prints(home: Path, monkeypatch: pytest.MonkeyPatch,
                                                   capsys: pytest.CaptureFixture[str]) -> None:
    """Figures differ with the price map and gates come and go; the sentence, the models and the labels may not differ."""
    monkeypatch.setenv("POINTSMAN_HOME", str(home))
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["why", "4", "--session", "demo"]) == 0
    now, shown = capsys.readouterr().out, blocks("text")[0]

    def labels(text: str) -> list[str]:
        return [found for row in text.splitlines()[3:] if (found := row[:8].strip()) and not found.startswith("diff")]

    assert re.findall(r"[a-z]{3,}", " ".join(now.splitlines()[:7])) == re.findall(r"[a-z]{3,}", " ".join(shown.splitlines()[:7]))
    assert labels(now) == labels(shown)


def test_the_commands_that_look_at_the_past_run(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["replay", str(folder("sessions") / "claude_code-opus-5-5-plain.jsonl")], ["prices", "opus"], ["--help"]):
        assert main(words) == 0
    assert "same tokens" in capsys.readouterr().out


def test_the_python_shown_runs(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    exec(compile(blocks("python")[0], "README.md", "exec"), names)  # the README's own code is the subject of this test
    assert "claude-sonnet-5-5" in capsys.readouterr().out
    events = names["events"]
    assert isinstance(events, list)
    assert [type(event).__name__ for event in events] == ["Routed", "Finished", "Signalled", "Graded"]


def test_the_sql_shown_runs_on_a_ledger(home: Path) -> None:
    queries = blocks("sql")
    assert len(queries) == 3
    connection = sqlite3.connect(home / "ledger.db")
    try:
        for query in queries:
            assert connection.execute(query).fetchall(), query
    finally:
        connection.close()


def test_the_picture_is_a_picture_of_the_screens() -> None:
    names = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README)
    for name in names:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert text.startswith("<svg") and "Sessions" in text and "Why" in text
    assert names
