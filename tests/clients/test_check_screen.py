"""OpenCode in its own screen: the plugin runs the check when the session falls idle, and the agent goes on by itself."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import signal
import struct
import sys
import termios
from pathlib import Path

import pytest

from clients import real
from clients.journeys import executable
from pointsman.core.events import Checked, Event, Routed
from pointsman.sandbox import repairs
from pointsman.sandbox.clock import Clock
from pointsman.sandbox.provider import Provider
from pointsman.shell.launching import own_command
from pointsman.shell.reading import read_events

pytestmark = pytest.mark.clients

MODEL = "anthropic/claude-sonnet-5-5"
ROWS, COLUMNS = 45, 150


class Screen:
    """A terminal of our own, with a program in it; what the program draws is read and kept."""

    def __init__(self, argv: list[str], cwd: Path, env: dict[str, str]) -> None:
        self.pid, self._handle = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.execvpe(argv[0], argv, env)
        fcntl.ioctl(self._handle, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.drawn = b""
        asyncio.get_running_loop().add_reader(self._handle, self._read)

    def _read(self) -> None:
        try:
            self.drawn += os.read(self._handle, 65536)
        except OSError:
            asyncio.get_running_loop().remove_reader(self._handle)

    def close(self) -> None:
        """End the program and what it started."""
        asyncio.get_running_loop().remove_reader(self._handle)
        os.killpg(self.pid, signal.SIGTERM)
        os.close(self._handle)
        os.waitpid(self.pid, 0)


def events(ledger: Path) -> list[Event]:
    """What the ledger has by now."""
    return [event for _, event in read_events(ledger)] if ledger.exists() else []


def checks(ledger: Path) -> list[Checked]:
    """The checks among it."""
    return [event for event in events(ledger) if isinstance(event, Checked)]


async def test_the_screen_of_opencode_goes_on_with_the_failing_tail(tmp_path: Path) -> None:
    work, env = tmp_path / "work", real.environment(tmp_path / "home")
    repairs.lay_out(work, "caught")
    config, ledger = tmp_path / "config.toml", tmp_path / "pointsman" / "ledger.db"
    config.write_text("profile = 'balanced'\nfailure_usd = 2.0\nconsent_up = false\n"
                      f"[check]\ncommand = '{sys.executable} -m pytest -q -p no:cacheprovider'\n")
    env |= {"POINTSMAN_HOME": str(ledger.parent), "POINTSMAN_CONFIG": str(config),
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""), **real.known_to_opencode(MODEL)}
    agent = [str(executable("opencode")), "-m", MODEL, "--prompt", repairs.PROMPT]
    async with Provider(script=repairs.script("caught", ("sonnet", "opus")), clock=Clock(0.0)) as provider:
        screen = Screen([*own_command(), "run", "--port", "0", "--upstream", provider.url, "--", *agent], work, env)
        try:
            async with asyncio.timeout(150):
                while len(checks(ledger)) < 2:
                    await asyncio.sleep(0.5)
        finally:
            screen.close()
        asked = [record for record in provider.requests if record.purpose == "main"]
    found = checks(ledger)
    assert [(check.verdict, check.sent_back) for check in found] == [("check_failed", True), ("check_passed", False)]
    assert (work / "slugs.py").read_text() == repairs.RIGHT
    tail = str(asked[-1].body["messages"])
    assert "FAILED test_slugs.py" in tail and "2 failed, 1 passed" in tail, "the agent was not told what failed"
    assert b"FAILED test_slugs.py" in screen.drawn, "the person was not shown it"
    reasons = [event.decision.reason for event in events(ledger) if isinstance(event, Routed)]
    assert reasons.count("escalate") == 1 and {record.model for record in asked} == {"claude-haiku-5-5", "claude-sonnet-5-5"}
