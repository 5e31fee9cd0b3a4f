"""Keeping a gateway alive for wrapped agents: found or started, restarted on its port when it dies, stopped after the last.

A gateway that ``pointsman run`` started is a process in a session of its own, so that Ctrl-C in the terminal reaches the
agent only; what it says goes to ``gateway.log`` in the home folder. A file beside it names the gateway that a run
started: the last run that ends stops that one, and never one that a person started with ``pointsman serve``.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from pointsman.errors import PointsmanError, SettingsError, UpstreamError
from pointsman.shell import control, ports
from pointsman.shell.control import Found
from pointsman.shell.launching import own_command
from pointsman.shell.reading import home, made_home, unusable

START_S = 60.0
"""Seconds a gateway may take to answer after its start: a slow disk and a cold price map together take a few, on a busy machine
several times that. One that ended instead is noticed at once."""

STOP_S = 15.0
"""Seconds a gateway may take to stop: nobody uses it any more, so it has only its ledger to close."""

LOOK_S = 0.1
"""Seconds between two looks at the gateway's process: a restart has to be over within a second."""

RESTARTS = 5
"""Restarts in one run: a gateway that dies more often is broken, and says why in its log."""

USAGE = 2
"""The exit code of ``pointsman serve`` where what the person wrote is wrong, in a flag or in the settings."""

MARKER, LOCK = "gateway.run", "gateway.lock"


class Keeper:
    """The gateway of one run. ``flags``: arguments of ``pointsman serve``; ``say`` takes sentences for the person.

    ``trouble``: why the gateway could not write its ledger when the run ended, or None.
    """

    def __init__(self, port: int, flags: Sequence[str], say: Callable[[str], None], env: Mapping[str, str]) -> None:
        self._wanted = port
        self._flags = tuple(flags)
        self._say = say
        self._env = dict(env)
        self._child: subprocess.Popen[bytes] | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._registration: dict[str, Any] | None = None
        self.found: Found | None = None
        self.restarts = 0
        self.trouble: str | None = None

    def open(self) -> Found:
        """A gateway that answers: the one that runs, else a new one. Raises SettingsError or UpstreamError in a sentence."""
        with _in_turn(made_home() / LOCK):
            found = control.find_gateway()
            if found is None:
                self.found = self._start(self._wanted if self._wanted and _is_free(self._wanted) else 0)
                return self.found
        if self._flags:
            self._say(f"a gateway runs already on port {found.port} and keeps its own settings: {' '.join(self._flags)} "
                      f"has no effect until it is stopped")
        self.found = found
        return found

    def register(self, arguments: Mapping[str, Any]) -> None:
        """Tell the gateway about the run, and watch over it from now on. Raises UpstreamError in a sentence."""
        assert self.found is not None
        self._registration = dict(arguments)
        try:
            control.call(self.found, "run", arguments)
        except UpstreamError:  # the run that it was there for has ended meanwhile, and stopped it
            self.found = self._start(self.found.port)
            control.call(self.found, "run", arguments)
        self._thread = threading.Thread(target=self._watch, name="gateway-keeper", daemon=True)
        self._thread.start()

    def close(self, code: int) -> None:
        """End the run; stop the gateway if a run started it and this was the last one."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(START_S)
        if self.found is None:
            return
        if self._registration is not None:
            with suppress(PointsmanError):
                control.call(self.found, "run", {"run": self._registration["run"], "code": code})
        self.trouble = (ports.health(self.found.port) or {}).get("trouble")
        self._stop_if_last(self.found)

    def _start(self, port: int) -> Found:
        """Start a gateway on ``port`` (0: a free one) and wait until it answers. Raises SettingsError where it cannot serve what
        was written, UpstreamError where it does not start.
        """
        folder = made_home()
        log = folder / "gateway.log"
        with _opened(log) as output:
            begin = output.tell()
            self._child = subprocess.Popen(
                [*own_command(), "serve", "--no-project", "--port", str(port), *self._flags],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=self._env, start_new_session=True,
            )
        found = None
        try:
            found = self._answering(folder)
        finally:
            if found is None:  # too slow, or Ctrl-C while it starts: nobody would know it as ours and stop it
                self._child.terminate()
        if found is not None:
            return found
        words = _last_words(log, begin) or (f"the disk of {folder} is full" if _full(folder) else f"see {log}")
        kind = SettingsError if self._child.returncode == USAGE else UpstreamError
        raise kind(f"the gateway did not start: {words}")

    def _answering(self, folder: Path) -> Found | None:
        """The gateway that answers, in time: the one just started, or that of another run that was quicker; None: none does."""
        assert self._child is not None
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            found = control.find_gateway()
            if found is not None:
                if found.pid == self._child.pid:
                    (folder / MARKER).write_text(str(found.pid))
                return found
            if self._child.poll() is not None:
                break
            time.sleep(0.02)
        return None

    def _watch(self) -> None:
        """Restart the gateway on its port when its process ends before the run does."""
        while not self._over.wait(LOOK_S):
            if self.found is not None and not self._lives(self.found):
                if self.restarts >= RESTARTS:
                    self._say(f"the gateway ended {RESTARTS} times and is not started again: see {home() / 'gateway.log'}")
                    return
                self._revive(self.found.port)

    def _lives(self, found: Found) -> bool:
        if self._child is not None and self._child.pid == found.pid:
            return self._child.poll() is None
        try:
            os.kill(found.pid, 0)
        except OSError:
            return False
        return True

    def _revive(self, port: int) -> None:
        self.restarts += 1
        try:
            self.found = self._start(port)
            if self._registration is not None:
                control.call(self.found, "run", self._registration)
        except PointsmanError as error:
            self._say(str(error))
            return
        if self.restarts == 1:
            self._say(f"the gateway ended by itself and was started again on port {port}: the agent goes on")

    def _stop_if_last(self, found: Found) -> None:
        marker = home() / MARKER
        with suppress(OSError, ValueError):
            if int(marker.read_text()) != found.pid:
                return
            said = ports.health(found.port)
            if said is None or said.get("runs"):
                return
            marker.unlink(missing_ok=True)
            os.kill(found.pid, signal.SIGTERM)
            self._see_off(found)

    def _see_off(self, found: Found) -> None:
        """Wait until it has taken its name down, and has ended where it is ours: whoever looks next finds none."""
        deadline = time.monotonic() + STOP_S
        while control.announced() == found and self._lives(found) and time.monotonic() < deadline:
            time.sleep(0.02)
        if self._child is not None and self._child.pid == found.pid:
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(max(0.0, deadline - time.monotonic()))


@contextmanager
def _in_turn(lock: Path) -> Iterator[None]:
    """Runs that begin at once look for a gateway one after the other: the second finds the one that the first has started."""
    with ExitStack() as stack:
        with suppress(OSError):  # where nothing can be locked, each run looks for itself
            file = stack.enter_context(open(lock, "a", opener=_private))
            deadline = time.monotonic() + START_S
            while not _locked(file.fileno()) and time.monotonic() < deadline:
                time.sleep(0.02)
        yield


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_free(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ports.LOOPBACK, port))
        except OSError:
            return False
    return True


def _opened(log: Path) -> BinaryIO:
    try:
        return open(log, "ab", opener=_private)
    except OSError as error:
        raise unusable(log.parent, error) from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _full(folder: Path) -> bool:
    """Whether not even a sentence can be written to the folder's disk."""
    return shutil.disk_usage(folder).free < 4_096


def _last_words(log: Path, begin: int) -> str:
    """What a gateway that failed to start said last."""
    with suppress(OSError), log.open("rb") as file:
        file.seek(begin)
        lines = file.read().decode("utf-8", "replace").strip().splitlines()
        ours = [line for line in lines if line.startswith("pointsman")] or lines
        return ours[-1].removeprefix("pointsman serve: ") if ours else ""
    return ""
