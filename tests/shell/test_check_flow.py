"""From "done" to the next decision: real gateway, real files, real test runs; with a hook, without one, and in trouble."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pointsman.core.events import Checked, Event, Routed
from pointsman.sandbox import repairs
from pointsman.sandbox.provider import Provider
from pointsman.settings import Settings
from pointsman.shell import control, hooks
from pointsman.shell.check import guarding, lock
from pointsman.shell.check import watch as check_watch
from pointsman.shell.check.checks import ENV
from pointsman.shell.check.guarding import RunGuard, Spec
from pointsman.shell.gateway import Gateway
from pointsman.shell.launching import own_command
from pointsman.shell.reading import ledger_path, read_events

UNITTEST = f"{sys.executable} -m unittest -q"
MODEL, STRONG, WEAK, S = "claude-sonnet-5-5", "claude-sonnet-5-5", "claude-haiku-5-5", "flow-session"


@dataclass
class Flow:
    """A gateway with a guarded run in a scratch repository."""

    gateway: Gateway
    provider: Provider
    guard: RunGuard
    folder: Path

    async def work(self, done: Callable[[], str | None]) -> list[str]:
        """The agent's task; ``done`` is asked, in a thread, at every final answer."""

        async def ask() -> str | None:
            return await asyncio.to_thread(done)

        return await repairs.work(f"{self.gateway.url}/run/{self.guard.guarded.run}", self.folder, S, MODEL, ask)

    def events(self, kind: type[Event]) -> list[Event]:
        """What the ledger holds of one kind."""
        return [event for _, event in read_events(ledger_path()) if isinstance(event, kind)]

    @property
    def checks(self) -> list[Checked]:
        return [event for event in self.events(Checked) if isinstance(event, Checked)]

    @property
    def ran(self) -> list[tuple[str, str]]:
        """(model, reason) of every routed request."""
        rows = [event for event in self.events(Routed) if isinstance(event, Routed)]
        return [(row.decision.chosen.model, row.decision.reason) for row in rows]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("POINTSMAN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    yield


@asynccontextmanager
async def flow(
    tmp_path: Path, kind: repairs.Kind = "caught", *, client: str = "claude", command: str = UNITTEST, retries: int = 1,
    timeout_s: float = 300.0,
) -> AsyncIterator[Flow]:  # fmt: skip
    """Everything running; the run registered with its check, as ``run`` does it."""
    folder = tmp_path / "repo"
    repairs.lay_out(folder, kind)
    settings = Settings(profile="balanced", failure_usd=2.0)
    async with (
        Provider(script=repairs.script(kind, ("sonnet",))) as provider,
        Gateway(settings, upstream=provider.url, announced=True) as gateway,
    ):
        guard = RunGuard(Spec(command, str(folder), timeout_s, retries=retries), "flow1", client, False)
        environment = await asyncio.to_thread(guard.open)
        os.environ.update(environment)
        try:
            found = control.find_gateway
            assert await asyncio.to_thread(found) is not None
            registration = {"run": "flow1", "client": client, "cwd": str(folder), **guard.registration()}
            await asyncio.to_thread(control.call, gateway.found, "run", registration)
            yield Flow(gateway, provider, guard, folder)
        finally:
            os.environ.pop(ENV, None)
            guard.close()


def hook() -> str | None:
    """What Claude Code's Stop hook says: the reason to go on, or None."""
    answer = hooks.claude(json.dumps({"hook_event_name": "Stop", "session_id": S}), lambda words: 0)
    said = json.loads(answer) if answer else {}
    return said["reason"] if said.get("decision") == "block" else None


def under_way(on: Flow) -> None:
    """Wait until a check of this run has begun."""
    deadline = time.monotonic() + 60
    while lock.busy(on.guard.guarded.lock) is None:
        assert time.monotonic() < deadline, "no check has begun"
        time.sleep(0.01)


def recorded(on: Flow) -> None:
    """Wait until the ledger holds a check of this run."""
    deadline = time.monotonic() + 60
    while not on.checks:
        assert time.monotonic() < deadline, "no check was recorded"
        time.sleep(0.02)


async def watched(
    on: Flow, done: Callable[[], str | None], say: Callable[[str], None] = lambda sentence: None
) -> list[str]:  # fmt: skip
    """The same with ``run``'s watch over the turns, and what it tells the person at the end."""
    on.guard.begin(lambda: on.gateway.found)
    try:
        return await on.work(done)
    finally:
        await asyncio.to_thread(on.guard.after, 0, ["agent"], say)


async def test_a_wrong_done_is_caught_escalated_and_repaired(tmp_path: Path) -> None:
    async with flow(tmp_path) as on:
        told: list[str] = []
        finals = await watched(on, hook, told.append)
        assert not told, "what was repaired is no news"
        first, second = on.checks
        assert len(finals) == 2
        assert (first.verdict, first.sent_back, first.config and first.config.model) == ("check_failed", True, WEAK)
        assert (second.verdict, second.sent_back, second.config and second.config.model) == ("check_passed", False, STRONG)
        assert [reason for _, reason in on.ran].count("escalate") == 1 and (STRONG, "escalate") in on.ran
        assert (on.folder / "slugs.py").read_text() == repairs.RIGHT


async def test_right_work_passes_at_once(tmp_path: Path) -> None:
    async with flow(tmp_path, "right") as on:
        finals = await watched(on, hook)
        assert len(finals) == 1 and [check.verdict for check in on.checks] == ["check_passed"]


async def test_when_the_strong_model_fails_too_the_person_sees_it(tmp_path: Path) -> None:
    async with flow(tmp_path, "hopeless") as on:
        told: list[str] = []
        finals = await watched(on, hook, told.append)
        assert len(finals) == 2
        assert len(told) == 1 and "still fails" in told[0] and "test_slugs.TestSlug" in told[0]
        assert [(check.verdict, check.sent_back) for check in on.checks] == [("check_failed", True), ("check_failed", False)]


@pytest.mark.parametrize("kind", ["flaky", "before"])
async def test_what_is_not_the_agents_fault_sends_nobody_back(tmp_path: Path, kind: repairs.Kind) -> None:
    async with flow(tmp_path, kind) as on:
        finals = await watched(on, hook)
        assert len(finals) == 1 and [check.verdict for check in on.checks] == ["check_unsure"]
        assert on.checks[0].flake is (kind == "flaky")


async def test_a_hanging_check_lets_the_agent_go(tmp_path: Path) -> None:
    async with flow(tmp_path, "hang", timeout_s=1.5) as on:
        finals = await watched(on, hook)
        assert len(finals) == 1 and "did not end" in on.checks[0].why


async def test_without_retries_nobody_is_sent_back(tmp_path: Path) -> None:
    async with flow(tmp_path, retries=0) as on:
        await watched(on, hook)
        assert [(check.verdict, check.sent_back) for check in on.checks] == [("check_failed", False)]


async def test_a_client_without_hooks_is_checked_after_its_turn(tmp_path: Path) -> None:
    said_after: list[bool] = []

    async with flow(tmp_path, client="aider") as on:

        def person() -> str | None:
            """Waits for the verdict, then says what it says."""
            if said_after:
                return None
            recorded(on)
            said_after.append(True)
            return "The tests fail, please look again."

        await watched(on, person)
        assert [check.verdict for check in on.checks] == ["check_failed", "check_passed"]
        assert (STRONG, "escalate") in on.ran and not on.checks[0].sent_back


async def test_the_agent_going_on_stops_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarding, "BASELINE_S", 0.2)
    go = tmp_path / "go"
    async with flow(tmp_path, client="aider", command=f"until test -e {go}; do sleep 0.05; done", timeout_s=900.0) as on:
        words = iter([(under_way, "And one more thing."), (recorded, None)])

        def person() -> str | None:
            wait, said = next(words)
            wait(on)
            return said

        on.guard.begin(lambda: on.gateway.found)
        await on.work(person)
        go.touch()
        await asyncio.to_thread(on.guard.after, 0, ["agent"], lambda sentence: None)
        assert on.checks[0].verdict == "check_unsure" and "went on working" in on.checks[0].why


async def test_a_hook_that_stays_silent_is_stood_in_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_watch, "HOOK_S", 0.2)
    async with flow(tmp_path) as on:
        await watched(on, lambda: time.sleep(2.0))
        assert [check.verdict for check in on.checks] == ["check_failed"]


def told(guard: RunGuard, go: Path, over: threading.Event) -> None:
    """Let the check go on, as often as it asks, once the hook waits for its result."""
    waiting = False
    while not over.wait(0.01):
        if not waiting:
            with guard.guarded.session(S) as row:
                waiting = bool(row.get("waiting"))
        if waiting:
            go.touch()


async def test_a_hook_that_was_only_slow_takes_over_the_check_begun_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a loaded machine `run` had begun the check when the hook came: the agent must still hear of the failure, once."""
    monkeypatch.setattr(check_watch, "HOOK_S", 0.0)
    go = tmp_path / "go"
    go.touch()

    async with flow(tmp_path, command=f"until test -e {go}; do sleep 0.05; done; rm {go}; {UNITTEST}") as on:

        def late() -> str | None:
            under_way(on)
            over = threading.Event()
            waits = threading.Thread(target=told, args=(on.guard, go, over))
            waits.start()
            try:
                return hook()
            finally:
                over.set()
                waits.join()
                go.unlink(missing_ok=True)

        await watched(on, late)
        assert [(check.verdict, check.sent_back) for check in on.checks][0] == ("check_failed", True)
        assert (STRONG, "escalate") in on.ran and on.checks[-1].verdict == "check_passed" and len(on.checks) == 2


async def test_headless_opencode_is_started_again_with_the_failure(tmp_path: Path) -> None:
    async with flow(tmp_path, client="opencode") as on:
        on.guard.begin(lambda: on.gateway.found)
        await on.work(lambda: None)
        said: list[str] = []
        more = await asyncio.to_thread(on.guard.after, 0, ["opencode", "run", "-m", "x", "words"], said.append)
        assert more is not None and more[:6] == ["opencode", "run", "-m", "x", "--session", S]
        assert "Mend this before you finish" in more[-1] and "failed" in said[0]


async def test_the_loop_guard_of_the_client_is_honoured(tmp_path: Path) -> None:
    async with flow(tmp_path) as on:

        def active() -> str | None:
            answer = hooks.other(json.dumps({"hook_event_name": "Stop", "session_id": S, "stop_hook_active": True}))
            assert "systemMessage" in json.loads(answer) and "decision" not in json.loads(answer)
            return None

        await watched(on, active)
        assert [check.sent_back for check in on.checks] == [False]


async def test_a_hook_without_a_gateway_says_nothing(tmp_path: Path) -> None:
    async with flow(tmp_path) as on:
        await watched(on, lambda: None)
    os.environ[ENV] = str(on.guard.guarded.file)
    on.guard.guarded.open()
    (on.folder / "slugs.py").write_text("x = 1\n")
    assert hook() is None


@pytest.mark.parametrize("text", [
    "", "[]", "garbage", '{"hook_event_name": "Stop"}', '{"hook_event_name": "Stop", "session_id": 7}',
    '{"hook_event_name": "Stop", "session_id": "unknown"}',
])  # fmt: skip
def test_a_hook_fed_garbage_says_nothing(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(ENV, str(tmp_path / "missing.json"))
    assert hooks.claude(text, lambda words: 0) == "" and hooks.other(text) == ""


def test_the_hook_as_a_process_is_silent_when_there_is_nothing_to_do(tmp_path: Path) -> None:
    repairs.lay_out(tmp_path / "repo")
    guard = RunGuard(Spec("true", str(tmp_path / "repo")), "r", "claude", True)
    environment = {**os.environ, **guard.open()}
    payload = json.dumps({"hook_event_name": "Stop", "session_id": S})
    for client in ("claude", "codex", "opencode"):
        done = subprocess.run([*own_command(), "hook", client], input=payload, env=environment, text=True, capture_output=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_report_and_the_screens_show_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pointsman.cli import main

    async def once() -> None:
        async with flow(tmp_path) as on:
            await watched(on, hook)

    asyncio.run(once())
    assert main(["report"]) == 0
    told = capsys.readouterr().out
    assert "2 runs: 1 passed, 1 failed" in told and "caught       1" in told and "1 repaired" in told
    assert "of waiting at $60 an hour, against ≈$5.00 of noticing what it caught yourself" in told
    assert main(["report", "--json"]) == 0
    figures = json.load(io.StringIO(capsys.readouterr().out))
    assert figures["caught"] == 1 and figures["repair_usd"] > 0 and figures["noticing_usd"] == 5.0
    assert figures["tasks"] == [{"config": WEAK, "escalated": True, "resolved": 1, "unresolved": 0, "unknown": 0}]
    assert main(["why", "--session", S, "1"]) == 0
    assert "failed on haiku-5-5's work" in capsys.readouterr().out
    assert main(["line", "--session", S]) == 0
    assert "check passed" in capsys.readouterr().out
