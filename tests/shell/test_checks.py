"""The check of a run on real files: when it is due, what it is compared with, what it remembers, what it never does."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pointsman.sandbox import repairs
from pointsman.shell.check import lock
from pointsman.shell.check.checks import ENV, Guarded, Said, Spec, found
from pointsman.shell.check.handover import hand_over, taken_over
from pointsman.shell.check.watch import Watch

PYTEST = f"{sys.executable} -m pytest -q -p no:cacheprovider"
UNITTEST = f"{sys.executable} -m unittest -q"
WRONG = ("test_slugs.TestSlug.test_edges", "test_slugs.TestSlug.test_words")
S = "session-1"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POINTSMAN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # two edits of one size within a second would run the old bytecode
    return tmp_path / "home"


def guard(folder: Path, kind: repairs.Kind = "caught", *, git: bool = True, command: str = UNITTEST, **more: object) -> Guarded:
    """A repository laid out, and its check, opened as ``run`` does."""
    repairs.lay_out(folder, kind, git=git)
    guarded = Guarded(Spec(command, str(folder), **more), "run1")  # type: ignore[arg-type]  # tests name single fields
    guarded.open()
    return guarded


def write(guarded: Guarded, text: str, name: str = "slugs.py") -> None:
    (guarded.cwd / name).write_text(text)


def check(guarded: Guarded, cancel: threading.Event | None = None) -> Said:
    """The check where one is due."""
    due = guarded.due(S)
    assert due is not None
    said = guarded.check(S, *due, cancel=cancel)
    assert said is not None
    return said


def test_a_check_that_passes_says_nothing_of_documents_and_one_that_fails_does(home: Path, tmp_path: Path) -> None:
    guarded = guard(tmp_path / "repo")
    guarded.turn_began(S, 1)
    write(guarded, "# Slugs\n", "NOTES.md")
    said = check(guarded)
    assert said.verdict == "check_unsure" and "only documents were changed" in said.event.why
    assert guarded.due(S) is None, "and it is not run again"
    write(guarded, repairs.WRONG)
    assert check(guarded).verdict == "check_failed"
    write(guarded, repairs.RIGHT)
    assert check(guarded).verdict == "check_passed", "code has changed, too"


@pytest.mark.parametrize("git", [True, False])
def test_wrong_work_is_caught_and_right_work_passes(home: Path, tmp_path: Path, git: bool) -> None:
    guarded = guard(tmp_path / "repo", git=git, command=PYTEST)
    assert guarded.measure()
    guarded.turn_began(S, 1)
    assert guarded.due(S) is None
    write(guarded, repairs.WRONG)
    said = check(guarded)
    assert said.verdict == "check_failed" and said.event.known and not said.event.flake
    assert said.event.new_failures == ("test_slugs.py::TestSlug::test_edges", "test_slugs.py::TestSlug::test_words")
    assert "signal-box" in said.tail and "Mend this" in said.reason() and said.event.new_failures[0] in said.reason()
    assert guarded.due(S) is None and "still fails" in (guarded.standing(S) or "")
    guarded.sent_back(S)
    guarded.turn_began(S, 2)
    write(guarded, repairs.RIGHT)
    assert check(guarded).verdict == "check_passed" and guarded.standing(S) is None


def test_work_that_stays_wrong_in_the_next_turn_is_still_blamed(home: Path, tmp_path: Path) -> None:
    guarded = guard(tmp_path / "repo")
    guarded.measure()
    guarded.turn_began(S, 1)
    write(guarded, repairs.WRONG)
    check(guarded)
    guarded.turn_began(S, 2)  # a person speaks: the tree that the turn begins with fails already, by this agent's work
    write(guarded, repairs.STILL_WRONG)
    assert check(guarded).verdict == "check_failed"


def test_what_failed_before_is_not_blamed(home: Path, tmp_path: Path) -> None:
    guarded = guard(tmp_path / "repo", "before")
    assert guarded.measure()
    guarded.turn_began(S, 1)
    write(guarded, repairs.RIGHT)
    said = check(guarded)
    assert said.verdict == "check_unsure" and "as before" in said.event.why and said.event.failed == 1
    assert said.event.tests is not None and said.event.tests > said.event.failed
    write(guarded, repairs.WRONG)
    assert check(guarded).event.new_failures == WRONG


def test_an_unknown_baseline_is_said(home: Path, tmp_path: Path) -> None:
    guarded = guard(tmp_path / "repo", "before")
    guarded.turn_began(S, 1)
    write(guarded, repairs.RIGHT)
    said = check(guarded)
    assert said.verdict == "check_failed" and not said.event.known and "not known" in said.reason()


def test_a_flaky_test_is_run_again_and_not_blamed(home: Path, tmp_path: Path) -> None:
    guarded = guard(tmp_path / "repo", "flaky")
    assert guarded.measure()  # its first run passes, the second fails, the third passes
    guarded.turn_began(S, 1)
    write(guarded, repairs.RIGHT)
    said = check(guarded)
    assert (said.verdict, said.event.flake) == ("check_unsure", True)
    write(guarded, repairs.RIGHT + "\n")
    assert check(guarded).verdict == "check_unsure"  # the name is known now


def test_a_hanging_check_ends_at_its_limit(home: Path, tmp_path: Path) -> None:
    guarded = guard(tmp_path / "repo", "hang", timeout_s=2.5)
    guarded.turn_began(S, 1)
    write(guarded, repairs.RIGHT)
    said = check(guarded)
    assert said.verdict == "check_unsure" and "did not end within 2.5 s" in said.event.why and said.event.exit is None


@pytest.mark.parametrize(("command", "words"), [
    ("no-such-command", "cannot be run"), ("exit 0", "cannot fail"), ("kill -SEGV $$", "signal 11"),
    ("echo FAILED tests/a.py::b; true", "cannot fail"), ("echo no tests ran; exit 5", "no test"),
])
def test_a_check_that_says_nothing_moves_nothing(home: Path, tmp_path: Path, command: str, words: str) -> None:
    guarded = guard(tmp_path / "repo", command=command)
    guarded.turn_began(S, 1)
    write(guarded, repairs.WRONG)
    said = check(guarded)
    assert said.verdict == "check_unsure" and words in said.event.why


def test_a_tree_that_changes_meanwhile_makes_it_unsure(home: Path, tmp_path: Path) -> None:
    guarded = guard(tmp_path / "repo", command="echo '# more' >> slugs.py")
    guarded.turn_began(S, 1)
    write(guarded, repairs.RIGHT)
    said = check(guarded)
    assert said.verdict == "check_unsure" and "slugs.py" in said.event.why and said.event.changed == ("slugs.py",)


def test_what_the_check_itself_writes_is_learned_and_left_out(home: Path, tmp_path: Path) -> None:
    guarded = guard(tmp_path / "repo", command="date +%N > report.txt")
    guarded.turn_began(S, 1)
    write(guarded, repairs.RIGHT)
    said = check(guarded)
    assert said.verdict == "check_passed" and said.event.changed == ("report.txt",)
    guarded.turn_began(S, 2)
    assert guarded.due(S) is None
    (guarded.cwd / "report.txt").write_text("anew")
    assert guarded.due(S) is None


def test_only_matching_paths_trigger_it(home: Path, tmp_path: Path) -> None:
    guarded = guard(tmp_path / "repo", paths=("*.py",))
    guarded.turn_began(S, 1)
    write(guarded, "words", "README.md")
    assert guarded.due(S) is None
    write(guarded, repairs.RIGHT)
    assert guarded.due(S) is not None


def test_paths_are_read_from_the_folder_of_the_check_too(home: Path, tmp_path: Path) -> None:
    repo = guard(tmp_path / "repo").cwd
    (repo / "api" / "src").mkdir(parents=True)
    guarded = Guarded(Spec(UNITTEST, str(repo / "api"), paths=("src/**",)), "run2")
    guarded.open()
    write(guarded, "words", "../src.py")
    assert guarded.due(S) is None
    write(guarded, "x = 1", "src/a.py")
    assert guarded.due(S) is not None


def test_two_folders_of_one_repository_have_each_a_memory(home: Path, tmp_path: Path) -> None:
    """The same command says something else in each: what fails in one is no baseline of the other."""
    repo = guard(tmp_path / "repo").cwd
    (repo / "api").mkdir()
    (repo / "web").mkdir()
    (repo / "api" / "fails").touch()
    api, web = (Guarded(Spec("! test -f fails", str(repo / name)), name) for name in ("api", "web"))
    api.open()
    assert api.measure() and web.measure()
    known = [json.loads(each.memory.read_text())["last"] for each in (api, web)]
    assert known == [["exit code 1"], []] and api.lock == web.lock


@pytest.mark.parametrize("same", [True, False])
def test_two_agents_in_one_tree_do_not_check_at_once(home: Path, tmp_path: Path, same: bool) -> None:
    go = tmp_path / "go"
    guarded = guard(tmp_path / "repo", command=f"until test -e {go}; do sleep 0.05; done")
    other = Guarded(guarded.spec if same else replace(guarded.spec, command="true"), "run2")
    other.open()
    for each in (guarded, other):
        each.turn_began(S, 1)
    write(guarded, repairs.RIGHT)
    due = guarded.due(S)
    assert due is not None
    thread = threading.Thread(target=guarded.check, args=(S, *due))
    thread.start()
    deadline = time.monotonic() + 60
    while lock.busy(other.lock) is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert other.check(S, *due) is None
    go.touch()
    thread.join()
    assert lock.busy(other.lock) is None


def test_somebody_who_only_looks_at_the_lock_stops_no_check(tmp_path: Path) -> None:
    """On a busy machine a look lasts as long as the one who looks gets no time."""
    path = tmp_path / "tree.lock"
    path.touch()
    with path.open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(2 * lock.LOCK_S, fcntl.flock, (looking, fcntl.LOCK_UN)).start()
        with lock.alone(path, "run1") as alone:
            assert alone and lock.busy(path) == "run1"
            with lock.alone(path, "run2") as second:
                assert not second


def test_an_interrupt_ends_it(home: Path, tmp_path: Path) -> None:
    guarded = guard(tmp_path / "repo", command="sleep 60")
    guarded.turn_began(S, 1)
    write(guarded, repairs.RIGHT)
    cancel = threading.Event()
    threading.Timer(0.3, cancel.set).start()
    said = check(guarded, cancel)
    assert said.verdict == "check_unsure" and "interrupted" in said.event.why
    assert guarded.due(S) is not None  # nothing was learned of this tree


def test_a_turn_seen_late_begins_where_the_last_one_ended(home: Path, tmp_path: Path) -> None:
    guarded = guard(tmp_path / "repo")
    write(guarded, repairs.RIGHT)
    guarded.turn_began(S, 1, late=lambda: True)
    assert guarded.due(S) is not None  # the run began with other files


def test_the_agents_hook_finds_the_check_by_the_environment(home: Path, tmp_path: Path) -> None:
    guarded = guard(tmp_path / "repo", paths=("*.py",), env=(("A", "b"),), retries=2)
    again = found({ENV: str(guarded.file)})
    assert again is not None and again.spec == guarded.spec and again.memory == guarded.memory
    assert guarded.file.stat().st_mode & 0o077 == 0
    guarded.file.write_text("garbage")
    assert found({ENV: str(guarded.file)}) is None and found({}) is None and found({ENV: "/nowhere"}) is None
    guarded.close()
    assert not guarded.file.exists()


def test_broken_memory_is_no_memory(home: Path, tmp_path: Path) -> None:
    guarded = guard(tmp_path / "repo")
    guarded.turn_began(S, 1)
    guarded.memory.write_text('{"trees": [')
    write(guarded, repairs.RIGHT)
    assert check(guarded).verdict == "check_passed"
    assert json.loads(guarded.memory.read_text())["last"] == []


def test_a_commit_does_not_lose_what_is_known(home: Path, tmp_path: Path) -> None:
    guarded = guard(tmp_path / "repo", "before")
    guarded.measure()
    guarded.turn_began(S, 1)
    write(guarded, repairs.RIGHT)
    assert check(guarded).event.failed == 1
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    who = ("-c", "user.name=d", "-c", "user.email=d@localhost")
    subprocess.run(["git", *who, "commit", "-qam", "x"], cwd=guarded.cwd, env=env, check=True)
    guarded.turn_began(S, 2)
    write(guarded, repairs.WRONG)
    said = check(guarded)
    assert said.event.known and "test_umlauts" not in "".join(said.event.new_failures)


def test_a_result_handed_over_as_the_hook_gives_up_is_not_lost_and_not_kept(home: Path, tmp_path: Path) -> None:
    guarded = guard(tmp_path / "tree")
    write(guarded, "def slug(text):\n    return text\n")
    said = check(guarded)

    class GivesUp(threading.Event):
        """Cancelled, just as the other process hands its result over."""

        def is_set(self) -> bool:
            assert hand_over(guarded, "s", said)
            return True

    with lock.alone(guarded.lock, guarded.run):
        handed = taken_over(guarded, "s", GivesUp())
    assert handed is not None and handed.event == said.event
    assert not hand_over(guarded, "s", said), "nobody waits any more"
    with lock.alone(guarded.lock, guarded.run):
        cancel = threading.Event()
        cancel.set()
        assert taken_over(guarded, "s", cancel) is None, "an old result is not taken for a new one"


def test_an_agent_without_hooks_is_checked_once_the_others_check_is_over(home: Path, tmp_path: Path) -> None:
    guarded = guard(tmp_path / "repo", command="true")
    watch = Watch(guarded, tmp_path / "ledger.db", lambda: None, hooked=False)
    watch._done[S] = 0.0
    with lock.alone(guarded.lock, "run2"):
        watch._begin_due()
        assert watch._check is None and S in watch._done
    watch._begin_due()
    assert watch._check is not None
    watch._check.join()


def test_where_an_agent_is_left_unchecked_its_person_is_told(home: Path, tmp_path: Path) -> None:
    guarded = guard(tmp_path / "repo", command="true")
    watch = Watch(guarded, tmp_path / "ledger.db", lambda: None, hooked=False)
    write(guarded, "x = 1")
    with lock.alone(guarded.lock, "run2"):
        watch._run(S)
    assert watch.said is None and watch.standing == guarded.elsewhere
