"""Real clients in a scratch repository with a real test suite: a wrong "done" is caught, sent back, repaired.

Every kind of work that a check can meet (``sandbox.repairs``) is done by each of the three clients that go on by themselves.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from clients import real
from clients.journeys import executable
from pointsman.core.events import Checked, Event, Finished, Routed
from pointsman.core.timeline import Timeline
from pointsman.sandbox import repairs
from pointsman.sandbox.clock import Clock
from pointsman.sandbox.provider import Provider
from pointsman.shell.launching import own_command
from pointsman.shell.reading import read_events

pytestmark = pytest.mark.clients

MODELS = {"claude": "claude-sonnet-5-5", "codex": "gpt-6-astra", "opencode": "anthropic/claude-sonnet-5-5"}
STRONG = {"claude": ("sonnet", "opus"), "codex": ("astra",), "opencode": ("sonnet", "opus")}
"""What is asked for, and which models are right where only a strong one is; a weaker one of the same vendor begins."""

FAILURE_USD = {"claude": 2.0, "codex": 5.0, "opencode": 2.0}
"""What a failure costs the user: enough that the second try is worth the asked model, too little for the first."""

CHECKS: dict[repairs.Kind, list[tuple[str, bool]]] = {
    "caught": [("check_failed", True), ("check_passed", False)],
    "slip": [("check_failed", True), ("check_passed", False)],
    "right": [("check_passed", False)],
    "hopeless": [("check_failed", True), ("check_failed", False)],
    "flaky": [("check_unsure", False)],
    "before": [("check_unsure", False)],
    "hang": [("check_unsure", False)],
}
"""What the check says of each kind of work, and whether the agent is sent back with it."""


@dataclass
class Outcome:
    """What a guarded run came to."""

    output: str
    text: str
    events: list[Event]

    @property
    def checks(self) -> list[Checked]:
        return [event for event in self.events if isinstance(event, Checked)]

    @property
    def work(self) -> list[Routed]:
        """The decisions on agent work, housekeeping left out."""
        return [event for event in self.events if isinstance(event, Routed) and event.request.purpose == "turn"]

    @property
    def models(self) -> list[str]:
        """The models that worked, in the order in which they began."""
        return list(dict.fromkeys(row.decision.chosen.model for row in self.work))

    def spent(self, id: str) -> float | None:
        """What a request was billed, in USD."""
        timeline = Timeline()
        for event in self.events:
            timeline.apply(event)
        row = timeline.request(id)
        return row.billed if row is not None else None


async def guarded(client: str, kind: repairs.Kind, folder: Path, *, timeout_s: float = 60.0) -> Outcome:
    """``pointsman run`` with a check around a headless client, and what the ledger says afterwards."""
    work, env = folder / "work", real.environment(folder / "home")
    repairs.lay_out(work, kind)
    config = folder / "config.toml"
    command = f"{sys.executable} -m pytest -q -p no:cacheprovider"
    config.write_text(f"profile = 'balanced'\nfailure_usd = {FAILURE_USD[client]}\n"
                      f"[check]\ncommand = '{command}'\ntimeout_s = {timeout_s}\n")
    env |= {"POINTSMAN_HOME": str(folder / "pointsman"), "POINTSMAN_CONFIG": str(config),
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""), **real.known_to_opencode(MODELS[client])}
    argv = real.headless(client, executable(client), MODELS[client], repairs.PROMPT)
    async with Provider(script=repairs.script(kind, STRONG[client]), clock=Clock(0.0)) as provider:
        process = await asyncio.create_subprocess_exec(
            *own_command(), "run", "--port", "0", "--upstream", provider.url, "--", *argv, cwd=work, env=env,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await asyncio.wait_for(process.communicate(), 180)
    assert process.returncode == 0, output.decode()[-3000:]
    events: list[Event] = [event for _, event in read_events(folder / "pointsman" / "ledger.db")]
    return Outcome(output.decode(), (work / "slugs.py").read_text(), events)


@pytest.mark.parametrize("client", MODELS)
@pytest.mark.parametrize("kind", CHECKS)
async def test_every_kind_of_work_is_judged_as_it_is(client: str, kind: repairs.Kind, tmp_path: Path) -> None:
    got = await guarded(client, kind, tmp_path, timeout_s=4.0 if kind == "hang" else 60.0)
    print(f"\n{client}, {kind}: {got.models}, checks {[(c.verdict, round(c.seconds, 2)) for c in got.checks]}")
    assert [(check.verdict, check.sent_back) for check in got.checks] == CHECKS[kind], got.output
    assert all(check.seconds > 0 and check.config is not None for check in got.checks)
    if kind in ("caught", "slip"):
        assert got.text == repairs.RIGHT and got.checks[0].known


@pytest.mark.parametrize("client", MODELS)
async def test_the_ledger_shows_two_configs_one_escalation_its_price_and_the_checks_time(client: str, tmp_path: Path) -> None:
    got = await guarded(client, "caught", tmp_path)
    escalations = [row for row in got.work if row.decision.reason == "escalate"]
    assert len(got.models) == 2 and len(escalations) == 1, got.models
    assert escalations[0].decision.chosen.model == got.models[1] == MODELS[client].rpartition("/")[2]
    price = next(c for c in escalations[0].decision.candidates if c.config == escalations[0].decision.chosen)
    assert price.toll_usd is not None and price.toll_usd > 0, "the switch is priced before it is made"
    assert (got.spent(escalations[0].id) or 0) > 0, "and billed"
    assert all(check.seconds > 0.05 for check in got.checks)
    assert got.checks[0].config != got.checks[1].config and got.checks[1].verdict == "check_passed"
    sticky = [row.decision.chosen.model for row in got.work[got.work.index(escalations[0]) :]]
    assert set(sticky) == {got.models[1]}, "it stays there for the task"
    assert all(event.status == 200 for event in got.events if isinstance(event, Finished))


def test_a_hook_with_nothing_to_do_is_quick(tmp_path: Path) -> None:
    """Prints what Claude Code waits at "done": without a check, and with one where no file has changed."""
    from pointsman.shell.check.checks import ENV, Guarded, Spec
    from pointsman.shell.resources import folder

    repairs.lay_out(tmp_path / "work")
    check = Guarded(Spec("true", str(tmp_path / "work")), "r", tmp_path / "checks")
    path = check.open()
    hook = str(folder("plugins") / "claude_code" / "bin" / "hook")
    for name, more in (("no check", {}), ("nothing changed", {ENV: str(path)})):
        env = {**os.environ, "POINTSMAN_COMMAND": f"{sys.executable} -P -m pointsman", **more}
        took = []
        for _ in range(11):
            begin = time.perf_counter()
            done = subprocess.run(["sh", hook], input='{"hook_event_name":"Stop","session_id":"s"}', env=env, text=True,
                                  capture_output=True, check=True)
            took.append((time.perf_counter() - begin) * 1000)
            assert done.stdout == ""
        print(f"\nhook, {name}: median {statistics.median(took):.1f} ms")
