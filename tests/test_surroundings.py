"""Where commands are started: without a stream, in a folder that is odd or gone, and ended in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pointsman.cli import demo as demo_command
from pointsman.sandbox.clock import Clock
from pointsman.shell.ledger import Ledger
from samples import Story

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder with a session in its ledger."""
    with Ledger(tmp_path / "home" / "ledger.db") as ledger:
        ledger.append(Story("demo-session").turn().turn().events).result()
    return tmp_path / "home"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("words", ["prices opus", "line --client claude", "nonsense"])
def test_a_closed_stream_is_no_crash(words: str, closed: str, tmp_path: Path) -> None:
    """A cron job or a status bar may start us with fewer than three streams."""
    env = os.environ | {"POINTSMAN_HOME": str(tmp_path), "POINTSMAN_CONFIG": str(tmp_path / "c"), "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(f'exec "{sys.executable}" -m pointsman {words} {closed}', shell=True, env=env, input="",
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == (2 if words == "nonsense" else 0) and "Traceback" not in done.stderr


@pytest.mark.parametrize("given", [b"\xff\xfe\x00{", b"[" * 100_000, b"{}"])
@pytest.mark.parametrize("words", ["hook claude", "hook codex", "line --client claude"])
def test_a_hook_fed_garbage_says_nothing_and_ends_well(words: str, given: bytes, tmp_path: Path) -> None:
    env = os.environ | {"POINTSMAN_HOME": str(tmp_path), "POINTSMAN_CONFIG": str(tmp_path / "c"), "PYTHONPATH": str(ROOT / "src")}
    env |= {"PYTHONIOENCODING": "utf-8:strict", "POINTSMAN_CHECK": str(tmp_path / "gone.json")}
    done = subprocess.run([sys.executable, "-m", "pointsman", *words.split()], env=env, input=given, capture_output=True)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, b"", b"")


def test_a_terminal_that_is_not_utf8_gets_question_marks_and_a_folder_that_is_not_is_found_again(
    home: Path, tmp_path: Path
) -> None:  # fmt: skip
    env = os.environ | {"POINTSMAN_HOME": str(home), "POINTSMAN_CONFIG": str(tmp_path / "c"), "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "pointsman"]
    done = subprocess.run([*command, "why"], env=env | {"PYTHONIOENCODING": "ascii"}, cwd=tmp_path, capture_output=True)
    assert done.returncode == 0 and b"demo-" in done.stdout and b"?" in done.stdout and done.stderr == b""
    odd = os.fsencode(tmp_path) + b"/\xff\xfe"
    try:
        os.mkdir(odd)
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    done = subprocess.run([*command, "line"], env=env, cwd=odd, capture_output=True)
    assert done.returncode == 0 and done.stderr == b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_demo_that_is_ended_leaves_nothing_behind(number: signal.Signals, tmp_path: Path) -> None:
    env = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "pointsman", "demo", "--no-tui"]
    with subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as demo:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("pointsman-demo-*/*")):
            assert demo.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        demo.send_signal(number)
        _, errors = demo.communicate(timeout=60)
    assert demo.returncode == 130 and b"Traceback" not in errors, errors
    assert not list(tmp_path.glob("pointsman-*"))


async def test_a_demo_that_is_left_early_has_nothing_to_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTSMAN_HOME", str(tmp_path))
    over = threading.Event()
    over.set()
    await demo_command._play(Clock(), 0, demo_command.PAUSE_S, over)


def test_a_folder_that_is_gone_is_a_sentence(home: Path, tmp_path: Path) -> None:
    env = os.environ | {"POINTSMAN_HOME": str(home), "POINTSMAN_CONFIG": str(tmp_path / "c"), "PYTHONPATH": str(ROOT / "src")}
    for name in ("why", "config"):
        gone = f'mkdir gone; cd gone; rmdir ../gone; exec "{sys.executable}" -m pointsman {name}'
        done = subprocess.run(gone, shell=True, env=env, cwd=tmp_path, capture_output=True, text=True)
        said = f"pointsman {name}: the folder you are in is gone: change to one that exists\n"
        assert (done.returncode, done.stderr) == (1, said)
