"""``pointsman run``: gateway found, started, restarted and stopped; signals, exit codes, and the closing line.

The agent is a small program that sends real requests; how real clients are wrapped is shown in tests/clients.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import signal
import sys
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import pointsman
from pointsman.core.events import Finished, Noted, RunEnded, RunStarted
from pointsman.sandbox.provider import Provider
from pointsman.sandbox.reply import say
from pointsman.shell import control
from pointsman.shell.keeper import Keeper
from pointsman.shell.launch import closing, notes
from pointsman.shell.launching import own_command
from pointsman.shell.ledger import Ledger
from pointsman.shell.reading import read_events
from shell.support import until

AGENT = '''
import json, os, signal, sys, time, urllib.error, urllib.request as u
requests, wait, code = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
head = {"x-api-key": "k", "anthropic-version": "2023-06-01", "content-type": "application/json"}
signal.signal(signal.SIGINT, lambda *_: (os.write(1, b"interrupted\\n"), os._exit(41)))
signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b"terminated\\n"), os._exit(42)))
for n in range(requests):
    body = {"model": "claude-sonnet-4-5", "max_tokens": 20, "messages": [{"role": "user", "content": f"word {n}"}]}
    for attempt in range(1000):
        try:
            url = os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages"
            u.urlopen(u.Request(url, json.dumps(body).encode(), head), timeout=60).read()
            break
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    else:
        sys.exit(9)
    print("answered", n, flush=True)
    while wait != "-" and n == 0 and not os.path.exists(wait):
        time.sleep(0.02)
sys.exit(code)
'''


OWN_TERMINAL = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
"""A program that makes its standard input its controlling terminal, as a terminal window does for a shell."""


@dataclass
class Place:
    """A home for Pointsman, a provider, and an agent to wrap."""

    provider: Provider
    root: Path
    env: dict[str, str] = field(default_factory=dict)

    def argv(self, requests: int, *flags: str, wait: str = "-", code: int = 0) -> list[str]:
        """The command line that wraps the agent."""
        return [*own_command(), "run", "--port", "0", "--upstream", self.provider.url, "--client", "anthropic", *flags,
                "--", sys.executable, str(self.root / "agent.py"), str(requests), wait, str(code)]

    async def run(self, requests: int = 1, *flags: str, wait: str = "-", code: int = 0) -> asyncio.subprocess.Process:
        """``pointsman run`` as a process."""
        argv = self.argv(requests, *flags, wait=wait, code=code)
        return await asyncio.create_subprocess_exec(
            *argv, env=self.env, cwd=self.root, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, start_new_session=True,
        )

    @property
    def home(self) -> Path:
        return self.root / "pointsman"

    def gateway(self) -> control.Found | None:
        return control.find_gateway(self.home)

    def events(self) -> list[object]:
        return [event for _, event in read_events(self.home / "ledger.db")]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    (tmp_path / "agent.py").write_text(AGENT)
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "POINTSMAN_HOME": str(tmp_path / "pointsman"),
           "PYTHONPATH": str(Path(pointsman.__file__).parents[1]), "ANTHROPIC_BASE_URL": "https://elsewhere.example"}
    async with Provider(script=lambda request: say("A word.")) as provider:
        made = Place(provider, tmp_path, env)
        yield made
        if (left := made.gateway()) is not None:
            os.kill(left.pid, signal.SIGTERM)


async def line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 120)).decode().strip()


async def test_the_agents_code_is_returned_and_one_line_says_what_was_spent(place: Place) -> None:
    process = await place.run(3, code=7)
    _, errors = await process.communicate()
    assert process.returncode == 7
    last = errors.decode().strip().splitlines()[-1]
    assert last.startswith("pointsman: 3 requests, $0.") and "billed" in last and "as asked" in last
    assert len(place.provider.requests) == 3, "an --upstream of this run wins over the user's own base URL"
    started, ended = (next(e for e in place.events() if isinstance(e, kind)) for kind in (RunStarted, RunEnded))
    assert (started.client, started.cwd, started.interactive) == ("anthropic", str(place.root), False)
    assert (ended.run, ended.code) == (started.run, 7)
    assert place.gateway() is None, "the gateway that the run started is stopped"


async def test_two_runs_share_a_gateway_and_the_last_one_stops_it(place: Place) -> None:
    first = await place.run(1, wait="go-one")
    assert await line(first) == "answered 0"
    found = place.gateway()
    second = await place.run(1, wait="go-two")
    assert await line(second) == "answered 0"
    assert place.gateway() == found
    (place.root / "go-one").touch()
    await first.communicate()
    assert place.gateway() == found, "another run still uses it"
    (place.root / "go-two").touch()
    await second.communicate()
    assert place.gateway() is None


async def test_a_gateway_that_a_person_serves_is_used_and_left_running(place: Place) -> None:
    served = await asyncio.create_subprocess_exec(
        *own_command(), "serve", "--port", "0", env=place.env, stdout=asyncio.subprocess.DEVNULL,
    )
    await until(place.gateway)
    (place.root / "other.toml").write_text("")
    process = await place.run(1, "--mode", "observe", "--config", str(place.root / "other.toml"))
    _, errors = await process.communicate()
    assert process.returncode == 0
    assert "keeps its own settings: --config" in errors.decode()
    run = next(e for e in place.events() if isinstance(e, RunStarted))
    assert run.policy is not None and (run.policy.mode, run.own) == ("observe", ("mode",)), "flags hold for the run that has them"
    assert place.gateway() is not None
    served.terminate()
    assert await served.wait() == 0


async def test_a_gateway_that_dies_is_started_again_on_its_port_and_said_once(place: Place) -> None:
    process = await place.run(3, wait="go")
    assert await line(process) == "answered 0"
    before = place.gateway()
    assert before is not None
    os.kill(before.pid, signal.SIGKILL)
    await until(lambda: (now := place.gateway()) is not None and now.pid != before.pid)
    after = place.gateway()
    assert after is not None and after.port == before.port
    (place.root / "go").touch()
    _, errors = await process.communicate()
    assert process.returncode == 0
    assert errors.decode().count("started again on port") == 1
    assert "3 requests" in errors.decode()
    assert len([e for e in place.events() if isinstance(e, Finished)]) == 3, "a killed gateway loses no finished request"
    assert place.gateway() is None


@pytest.mark.parametrize(("number", "said", "code"), [(signal.SIGINT, "interrupted", 41), (signal.SIGTERM, "terminated", 42)])
async def test_a_signal_reaches_the_agent_and_the_run_ends_in_order(place: Place, number: int, said: str, code: int) -> None:
    process = await place.run(2, wait="never")
    assert await line(process) == "answered 0"
    process.send_signal(number)
    output, errors = await process.communicate()
    assert said in output.decode(), errors.decode()
    assert process.returncode == code
    assert "1 request," in errors.decode()
    assert place.gateway() is None


async def test_in_a_terminal_ctrl_c_reaches_the_agent_once(place: Place) -> None:
    master, worker = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWN_TERMINAL, *place.argv(2, wait="never"), env=place.env, cwd=place.root, stdin=worker,
        stdout=worker, stderr=worker,
        start_new_session=True,
    )
    os.close(worker)
    seen = bytearray()
    loop = asyncio.get_running_loop()

    def take() -> None:
        with contextlib.suppress(OSError):
            if piece := os.read(master, 65536):
                seen.extend(piece)
                return
        loop.remove_reader(master)

    loop.add_reader(master, take)
    await until(lambda: b"answered 0" in seen)
    os.write(master, b"\x03")
    assert await asyncio.wait_for(process.wait(), 120) == 41
    await until(lambda: b"pointsman: 1 request," in seen)
    assert bytes(seen).count(b"interrupted") == 1
    assert next(e for e in place.events() if isinstance(e, RunStarted)).interactive is True
    loop.remove_reader(master)
    os.close(master)


@pytest.mark.parametrize(("words", "said"), [
    (["vim"], "'vim' is no agent that we know how to wrap"),
    (["--client", "anthropic", "--", "no-such-agent-anywhere"], "is not in your PATH"),
])
async def test_what_cannot_be_started_is_a_sentence_and_code_2(place: Place, words: list[str], said: str) -> None:
    argv = [*own_command(), "run", "--port", "0", *(words if "--" in words else ["--", *words])]
    process = await asyncio.create_subprocess_exec(*argv, env=place.env, cwd=place.root, stderr=asyncio.subprocess.PIPE)
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert said in errors.decode() and "Traceback" not in errors.decode()
    assert place.gateway() is None


async def test_a_gateway_that_cannot_start_says_why(place: Place) -> None:
    (place.root / "bad.toml").write_text('profle = "quality"\n')
    argv = [*own_command(), "serve", "--port", "0", "--config", str(place.root / "bad.toml")]
    process = await asyncio.create_subprocess_exec(*argv, env=place.env, stderr=asyncio.subprocess.PIPE)
    _, errors = await process.communicate()
    assert process.returncode == 2 and b"profle" in errors


class _Interrupted(Keeper):
    """A keeper whose person presses Ctrl-C while the gateway starts."""

    def _answering(self, folder: Path) -> control.Found | None:
        raise KeyboardInterrupt


async def test_ctrl_c_while_the_gateway_starts_leaves_none_behind(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTSMAN_HOME", str(place.home))
    keeper = _Interrupted(0, (), print, place.env)
    with pytest.raises(KeyboardInterrupt):
        keeper.open()
    child = keeper._child
    assert child is not None and await asyncio.to_thread(child.wait, 30) is not None


async def test_settings_that_only_the_gateway_can_look_up_end_a_run_like_all_wrong_settings(place: Place) -> None:
    (place.root / "bad.toml").write_text('floor = "no-such-model"\n')
    argv = [*own_command(), "run", "--port", "0", "--config", str(place.root / "bad.toml"), "--client", "claude", "--", "true"]
    process = await asyncio.create_subprocess_exec(*argv, env=place.env, cwd=place.root, stderr=asyncio.subprocess.PIPE)
    _, errors = await process.communicate()
    assert process.returncode == 2 and b"bad.toml:1: floor names 'no-such-model'" in errors


def test_a_run_without_requests_says_so_and_what_was_noted_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with Ledger(path) as ledger:
        old, new = Noted(0.5, "locked", "an old trouble"), Noted(2.0, "fail_open", "a new trouble")
        ledger.append([old, RunStarted(1.0, "r1", "claude", "/x", True), new, new]).result(60)
        assert closing("r1", path) == "no model request came through in this run"
        assert closing("r1", path, whole=False) == "no request of this run is in the ledger"
        assert notes("r1", path) == ["a new trouble"]


async def test_a_home_that_cannot_be_written_is_a_sentence_with_the_mend(place: Place) -> None:
    (place.root / "file").write_text("x")
    env = {**place.env, "POINTSMAN_HOME": str(place.root / "file" / "home")}
    for words in (["run", "--client", "claude", "--", sys.executable, "-c", ""], ["serve", "--port", "0"]):
        process = await asyncio.create_subprocess_exec(*own_command(), *words, env=env, stderr=asyncio.subprocess.PIPE)
        _, errors = await process.communicate()
        said = errors.decode().strip().splitlines()[-1]
        assert process.returncode == 1 and "POINTSMAN_HOME" in said and "cannot write in the folder" in said


async def test_a_log_that_cannot_be_written_is_a_sentence_with_the_mend(place: Place) -> None:
    (place.home / "gateway.log").mkdir(parents=True)
    command = [*own_command(), "run", "--port", "0", "--client", "claude", "--", sys.executable, "-c", ""]
    process = await asyncio.create_subprocess_exec(*command, env=place.env, stderr=asyncio.subprocess.PIPE)
    _, errors = await process.communicate()
    assert process.returncode == 1 and b"cannot write in the folder" in errors and b"POINTSMAN_HOME" in errors


def test_the_closing_line_tells_a_refusal_from_a_provider_that_was_not_there(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    router = pointsman.Router(pointsman.Settings())
    body = b'{"model":"claude-sonnet-4-5","max_tokens":9,"messages":[{"role":"user","content":"hi %d"}]}'
    for n, (status, error) in enumerate(((502, "no answer"), (502, None), (429, None))):
        routed = router.route(path="/v1/messages", headers={}, body=body % n, now=10.0 + n, dice=0.5, run="r1")
        router.finish(routed.id, usage=None, status=status, started=10.0 + n, ended=10.5 + n, error=error)
    with Ledger(path) as ledger:
        ledger.append(router.events()).result(60)
    said = closing("r1", path)
    assert "2 refused by the provider · 1 without an answer" in said and "every request ran" not in said


async def test_a_run_that_was_killed_does_not_keep_the_next_gateway_alive(place: Place) -> None:
    with Ledger(place.home / "ledger.db") as ledger:
        ledger.append([RunStarted(time.time() - 60, "gone", "claude", "/x", True)]).result(60)
    process = await place.run()
    await process.communicate()
    assert process.returncode == 0 and place.gateway() is None


def test_a_gateway_that_another_run_has_just_stopped_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTSMAN_HOME", str(tmp_path))
    monkeypatch.setenv("POINTSMAN_CONFIG", str(tmp_path / "config.toml"))
    ending, beginning = (Keeper(0, ("--upstream", "http://127.0.0.1:9"), lambda sentence: None, os.environ) for _ in range(2))
    try:
        ending.open()
        ending.register({"run": "ending", "client": "codex", "cwd": "/"})
        found = beginning.open()
        assert found == ending.found
        ending.close(0)
        assert control.find_gateway(tmp_path) is None
        beginning.register({"run": "beginning", "client": "codex", "cwd": "/"})
        again = control.find_gateway(tmp_path)
        assert again is not None and again.port == found.port and control.call(again, "health")["runs"] == 1
    finally:
        beginning.close(0)
    assert control.find_gateway(tmp_path) is None


def test_runs_that_begin_at_once_share_one_gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTSMAN_HOME", str(tmp_path))
    monkeypatch.setenv("POINTSMAN_CONFIG", str(tmp_path / "config.toml"))
    keepers = [Keeper(0, ("--upstream", "http://127.0.0.1:9"), lambda sentence: None, os.environ) for _ in range(3)]
    try:
        with ThreadPoolExecutor(len(keepers)) as pool:
            found = list(pool.map(Keeper.open, keepers))
        assert len(set(found)) == 1 and sum(keeper._child is not None for keeper in keepers) == 1
    finally:
        for keeper in keepers:
            if keeper._child is not None:
                keeper._child.terminate()
                keeper._child.wait(60)
