"""A project's test command is noticed, offered once, and never run unasked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pointsman.core.checks import Learned
from pointsman.settings import load
from pointsman.shell.check import guarding
from pointsman.shell.check import offer as check_offer
from pointsman.shell.check.guarding import choose, sentence

PROJECTS = {
    "pytest": ({"pyproject.toml": "[tool.pytest.ini_options]\n"}, "pytest -q"),
    "tests": ({"pyproject.toml": "[project]\nname='x'\n", "tests/test_a.py": ""}, "pytest -q"),
    "uv": ({"pyproject.toml": "[tool.pytest.ini_options]\n", "uv.lock": ""}, "uv run pytest -q"),
    "npm": ({"package.json": '{"scripts": {"test": "jest"}}'}, "npm test --silent"),
    "pnpm": ({"package.json": '{"scripts": {"test": "vitest"}}', "pnpm-lock.yaml": ""}, "pnpm run test"),
    "npm-none": ({"package.json": '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}'}, None),
    "cargo": ({"Cargo.toml": ""}, "cargo test -q"),
    "go": ({"go.mod": ""}, "go test ./..."),
    "make": ({"Makefile": "all:\n\ntest: all\n\tpytest\n"}, "make test"),
    "make-none": ({"Makefile": "test := 1\nall:\n"}, None),
    "just": ({"justfile": "test filter='':\n  cargo test\n"}, "just test"),
    "broken": ({"pyproject.toml": "[", "package.json": "[1]"}, None),
    "nothing": ({"README.md": ""}, None),
}


def project(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTSMAN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("POINTSMAN_CONFIG", str(tmp_path / "config.toml"))


@pytest.mark.parametrize("name", PROJECTS)
def test_obvious_test_commands(tmp_path: Path, name: str) -> None:
    files, command = PROJECTS[name]
    assert check_offer.notice(project(tmp_path / "p", files), which=lambda word: word) == command
    assert check_offer.notice(tmp_path / "p", which=lambda word: None) is None


class Person:
    """Somebody who is asked, and how often."""

    def __init__(self, answer: bool) -> None:
        self.answer, self.asked = answer, 0

    def __call__(self, folder: Path, command: str, *, why: str) -> bool:
        self.asked += 1
        return check_offer.ask(folder, command, why=why, read=lambda prompt: "y" if self.answer else "n")


@pytest.mark.parametrize("answer", [True, False])
def test_it_is_offered_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bool) -> None:
    folder = project(tmp_path / "p", {"Makefile": "test:\n\ttrue\n"})
    monkeypatch.setattr(check_offer, "notice", lambda folder: "make test")
    person = Person(answer)
    for _ in range(2):
        guard = choose(load(cwd=folder), "r", "claude", interactive=True, flag=None, say=print, cwd=folder, ask=person)
        assert (guard is not None) is answer
    assert person.asked == 1
    assert choose(load(cwd=folder), "r", "claude", interactive=True, flag="", say=print, cwd=folder, ask=person) is None


def test_nobody_there_to_ask_means_no(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = project(tmp_path / "p", {"Makefile": "test:\n\ttrue\n"})
    monkeypatch.setattr(check_offer, "notice", lambda folder: "make test")
    person = Person(True)
    assert choose(load(cwd=folder), "r", "claude", interactive=False, flag=None, say=print, cwd=folder, ask=person) is None
    assert person.asked == 0


def test_an_interrupted_question_is_asked_again(tmp_path: Path) -> None:
    def interrupted(prompt: str) -> str:
        raise KeyboardInterrupt

    assert not check_offer.ask(tmp_path, "make test", why="tests", read=interrupted)
    assert check_offer.answered(tmp_path, "make test") is None


def test_a_check_that_comes_with_the_repository_needs_a_yes(tmp_path: Path) -> None:
    folder = project(tmp_path / "p", {".pointsman.toml": '[check]\ncommand = "make test"\ntimeout_s = 5\n'})
    said: list[str] = []
    settings = load(cwd=folder)
    assert choose(settings, "r", "claude", interactive=False, flag=None, say=said.append, cwd=folder) is None
    assert "say yes once" in said[0] and "make test" in said[0]
    guard = choose(settings, "r", "claude", interactive=True, flag=None, say=said.append, cwd=folder, ask=Person(True))
    assert guard is not None and guard.spec.timeout_s == 5


def test_the_users_own_check_needs_no_question(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('check = "pytest -q"\n')
    guard = choose(load(cwd=tmp_path), "r", "codex", interactive=False, flag=None, say=print, cwd=tmp_path)
    assert guard is not None and guard.spec.command == "pytest -q" and guard.spec.retries == 1
    flagged = choose(load(cwd=tmp_path), "r", "codex", interactive=False, flag="make test", say=print, cwd=tmp_path)
    assert flagged is not None and flagged.spec.command == "make test"


@pytest.mark.parametrize(("profile", "words"), [
    ("quality", "keeps the model you asked for"), ("balanced", "may begin on a weaker model"), ("fast", "keeps the model"),
])
def test_one_sentence_says_what_it_means(tmp_path: Path, profile: str, words: str) -> None:
    settings = load(cwd=tmp_path, flags={"profile": profile})
    guard = choose(settings, "r", "claude", interactive=False, flag="pytest -q", say=print, cwd=tmp_path)
    assert guard is not None
    text = sentence(guard, settings)
    assert words in text and "80%" in text and "10%" in text and "assumed until it has run here" in text
    assert guard.registration()["guard"]["recall"] == 0.8
    guard.learned = replace(guard.learned, seconds=12.4)
    assert "takes 12 s where noticing one yourself takes 5 min; " in sentence(guard, settings)
    assert guard.registration()["guard"]["seconds"] == 12.4


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[check]\ncommand = "x"\ncwd = "nowhere"\n')
    with pytest.raises(guarding.SettingsError, match="nowhere"):
        choose(load(cwd=tmp_path), "r", "claude", interactive=False, flag=None, say=print, cwd=tmp_path)


def test_a_check_that_blames_right_work_as_often_is_said_to_move_nothing(tmp_path: Path) -> None:
    settings = load(cwd=tmp_path, flags={"profile": "balanced"})
    guard = choose(settings, "r", "claude", interactive=False, flag="pytest -q", say=print, cwd=tmp_path)
    assert guard is not None
    guard.learned = Learned(runs=40, recall=0.3, false_alarm=0.4)
    text = sentence(guard, settings)
    assert "catches 30% of failures, blames 40% wrongly" in text
    assert text.endswith("cannot tell wrong work from right, and moves nothing")
