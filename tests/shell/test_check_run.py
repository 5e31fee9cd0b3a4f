"""One command, really run: what it leaves behind, how long it may take, what it may print."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pointsman.shell.check.command import TAIL_BYTES, run

LINUX = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes that left the group are seen on Linux only")


def asleep(number: int) -> str:
    """A command that sleeps for hours, and that no other test run on this machine has."""
    return f"sleep {7100 + number}.{os.getpid()}"


def alive(word: str) -> bool:
    """Whether a process with ``word`` at the end of its command line runs."""
    return subprocess.run(["pgrep", "-f", f"{word}$"], capture_output=True, check=False).returncode == 0


def gone(word: str) -> bool:
    """Whether it is gone before long."""
    deadline = time.monotonic() + 60
    while alive(word) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(word)


def test_output_and_exit_code_come_back(tmp_path: Path) -> None:
    lines: list[str] = []
    done = run("echo one; echo two >&2; exit 3", tmp_path, 60, line=lines.append)
    assert (done.code, done.tail, done.timed_out, done.strays) == (3, "one\ntwo\n", False, 0)
    assert lines == ["one", "two"]


def test_a_command_that_is_not_there_says_127(tmp_path: Path) -> None:
    assert run("no-such-command-here", tmp_path, 60).code == 127


def test_a_folder_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        run("true", tmp_path / "missing", 10)


def test_a_flood_is_kept_to_its_end(tmp_path: Path) -> None:
    done = run("head -c 30000000 /dev/zero | tr '\\0' x; echo; echo the end", tmp_path, 60)
    assert done.code == 0 and done.tail.endswith("the end\n") and len(done.tail) <= TAIL_BYTES


def test_a_command_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    done = run(f"{asleep(1)} & {asleep(1)}", tmp_path, 0.3)
    assert done.timed_out and done.code is None and done.seconds < 60
    assert gone(asleep(1))


def test_one_that_ignores_the_polite_signal_is_killed_all_the_same(tmp_path: Path) -> None:
    assert run("trap '' TERM; while :; do sleep 0.1; done", tmp_path, 0.3).timed_out


@LINUX
def test_a_daemon_that_left_the_group_is_killed_too(tmp_path: Path) -> None:
    daemon = f"setsid sh -c 'touch it_has_left; exec {asleep(2)}' >/dev/null 2>&1 &"
    done = run(f"{daemon} until test -e it_has_left; do sleep 0.02; done", tmp_path, 60)
    assert done.code == 0 and done.strays == 1 and gone(asleep(2))


def test_a_daemon_that_holds_the_output_does_not_hold_us(tmp_path: Path) -> None:
    done = run(f"{asleep(3)} & echo started", tmp_path, 60)
    assert done.code == 0 and not done.timed_out and "started" in done.tail and gone(asleep(3))


def test_nobody_answers_a_question(tmp_path: Path) -> None:
    assert run("read answer || echo nothing to read", tmp_path, 60).tail == "nothing to read\n"
    assert run("(echo hello > /dev/tty) 2>/dev/null || echo no terminal", tmp_path, 60).tail == "no terminal\n"


def test_an_end_by_signal_is_told(tmp_path: Path) -> None:
    assert run("kill -SEGV $$", tmp_path, 60).code == -signal.SIGSEGV


def test_it_can_be_cancelled(tmp_path: Path) -> None:
    cancel = threading.Event()
    threading.Timer(0.2, cancel.set).start()
    done = run(asleep(4), tmp_path, 600, cancel=cancel)
    assert done.cancelled and not done.timed_out and gone(asleep(4))


def test_the_environment_is_the_users_with_ours_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "mine")
    assert run("echo $CI $TERM $OWN", tmp_path, 60, env={"OWN": "x"}).tail.split()[::2] == ["mine", "x"]


def test_it_does_not_outlive_us(tmp_path: Path) -> None:
    """A hook that is killed outright takes its check with it."""
    code = "from pointsman.shell.check.command import run; from pathlib import Path; "
    code += f"run({asleep(5)!r}, Path({str(tmp_path)!r}), 600)"
    process = subprocess.Popen([sys.executable, "-c", code], env=dict(os.environ))
    deadline = time.monotonic() + 60
    while not alive(asleep(5)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert alive(asleep(5))
    process.kill()
    process.wait()
    assert gone(asleep(5))


def test_many_open_files_do_not_matter(tmp_path: Path) -> None:
    held = [open(os.devnull) for _ in range(40)]
    try:
        assert run("echo fine", tmp_path, 60).tail == "fine\n"
    finally:
        for file in held:
            file.close()
