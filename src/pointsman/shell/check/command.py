"""Runs one command that checks the work: bounded in time and output, without a terminal, ended with everything it started.

The command runs under ``sh -c`` in a session and process group of its own, standard input closed. At its limit, when it is
cancelled, or when it is over, the whole group is killed. Processes that left the group (daemons that call setsid) are found
by a mark in their environment where there is a ``/proc`` (Linux); elsewhere they are out of reach, and ``strays`` is None.
Should this very process be killed, a pipe closes and a small shell in the group kills the group: no check outlives us.
"""

from __future__ import annotations

import os
import secrets
import selectors
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TAIL_BYTES = 16_384
"""Bytes of output that are kept: the end, where test runners say what failed."""

LINE_AT_MOST = 65_536
"""Bytes of one line handed to the reader of names: a flood without line ends must not fill the memory."""

GRACE_S = 0.3
"""Seconds between the polite signal and the one that cannot be refused."""

LOOK_S = 0.05
"""Seconds between two looks at the clock, the process and the cancel flag."""

MARK = "POINTSMAN_CHECK_RUN"
"""Environment variable by which everything the command started is known."""

QUIET = {"CI": "1", "TERM": "dumb", "NO_COLOR": "1", "PAGER": "cat", "GIT_TERMINAL_PROMPT": "0", "PYTHONUNBUFFERED": "1"}
"""What tells common tools that nobody is there to answer or to watch; the user's own values win."""

WATCHED = "exec 3<&0 </dev/null; (cat <&3; kill -KILL 0) >/dev/null 2>&1 & exec 3<&-; exec sh -c \"$0\""
"""The shell around the command: a helper in its group waits for our end of a pipe to close, then kills the group."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of one run. ``code``: exit code, negative for a signal, None when it was stopped by us.

    ``strays``: processes killed outside the group, None where they cannot be seen. ``tail``: the end of the output.
    """

    code: int | None
    seconds: float
    tail: str
    timed_out: bool = False
    cancelled: bool = False
    strays: int | None = 0


def run(
    command: str, cwd: Path, timeout_s: float, *, env: Mapping[str, str] | None = None,
    cancel: threading.Event | None = None, line: Callable[[str], None] | None = None,
) -> Ran:  # fmt: skip
    """Run ``command`` in ``cwd`` for at most ``timeout_s`` seconds. ``line`` is given every line of output as it comes.

    Raises OSError when the folder is not there or no shell can be started.
    """
    mark = secrets.token_hex(8)
    surroundings = {**QUIET, **os.environ, **(env or {}), MARK: mark}
    begin = time.monotonic()
    inner, outer = os.pipe()
    try:
        process = subprocess.Popen(
            ["sh", "-c", WATCHED, command], cwd=cwd, env=surroundings, stdin=inner, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    except BaseException:
        os.close(outer)
        raise
    finally:
        os.close(inner)
    output = _Output(process, line or _ignore)
    try:
        timed_out, cancelled = _attend(process, output, begin + timeout_s, cancel)
        code = None if timed_out or cancelled else process.wait()
        seconds = time.monotonic() - begin
    finally:
        strays = _end(process, mark)
        output.close()
        os.close(outer)
    return Ran(code, seconds, output.text, timed_out, cancelled, strays)


def _ignore(line: str) -> None:
    return


class _Output:
    """The command's output: lines to the reader, the end kept."""

    def __init__(self, process: subprocess.Popen[bytes], line: Callable[[str], None]) -> None:
        assert process.stdout is not None
        self._pipe = process.stdout
        os.set_blocking(self._pipe.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._pipe, selectors.EVENT_READ)
        self._line = line
        self._kept: deque[bytes] = deque()
        self._size = 0
        self._part = b""
        self.open = True

    @property
    def text(self) -> str:
        """The end of the output as text."""
        return b"".join(self._kept)[-TAIL_BYTES:].decode("utf-8", "replace")

    def read(self, wait_s: float) -> None:
        """Take what is there, waiting at most ``wait_s`` seconds for it."""
        if not self.open:
            time.sleep(wait_s)
            return
        if not self._selector.select(wait_s):
            return
        try:
            chunk = os.read(self._pipe.fileno(), 65_536)
        except BlockingIOError:
            return
        if chunk:
            self._take(chunk)
        else:
            self.open = False

    def _take(self, chunk: bytes) -> None:
        self._kept.append(chunk)
        self._size += len(chunk)
        while self._size - len(self._kept[0]) >= TAIL_BYTES:
            self._size -= len(self._kept.popleft())
        *lines, self._part = (self._part + chunk).split(b"\n")
        for line in lines:
            self._line(line[:LINE_AT_MOST].decode("utf-8", "replace"))
        if len(self._part) > LINE_AT_MOST:
            self._part = self._part[:LINE_AT_MOST]

    def close(self) -> None:
        """Take the rest that is there already, and let go of the pipe (a daemon may still hold its other end)."""
        for _ in range(64):
            if not self.open or not self._selector.select(0):
                break
            self.read(0)
        if self._part:
            self._line(self._part.decode("utf-8", "replace"))
        self._selector.close()
        self._pipe.close()


def _attend(
    process: subprocess.Popen[bytes], output: _Output, deadline: float, cancel: threading.Event | None
) -> tuple[bool, bool]:  # fmt: skip
    """Read until the command is over; (it ran into its limit, it was cancelled)."""
    while process.poll() is None:
        left = deadline - time.monotonic()
        if left <= 0:
            return True, False
        if cancel is not None and cancel.is_set():
            return False, True
        output.read(min(LOOK_S, left))
    return False, False


def _end(process: subprocess.Popen[bytes], mark: str) -> int | None:
    """Kill the group and what left it; how many strays there were, None where that cannot be seen."""
    if process.poll() is None:
        _signal_group(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
    _signal_group(process.pid, signal.SIGKILL)
    process.wait()
    return _kill_marked(mark, process.pid)


def _signal_group(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _kill_marked(mark: str, group: int) -> int | None:
    """Kill every process of ours that carries the mark of this run; how many had left its ``group``."""
    folder = Path("/proc")
    if not (folder / "self" / "environ").exists():
        return None
    wanted = f"{MARK}={mark}".encode()
    killed = 0
    for entry in os.scandir(folder):
        if not entry.name.isdigit():
            continue
        try:
            data = Path(entry.path, "environ").read_bytes()
            state, _, its_group = Path(entry.path, "stat").read_bytes().rpartition(b")")[2].split()[:3]
        except (OSError, ValueError):
            continue
        if wanted in data and state != b"Z":
            with suppress(ProcessLookupError, PermissionError):
                os.kill(int(entry.name), signal.SIGKILL)
                killed += int(its_group) != group
    return killed
