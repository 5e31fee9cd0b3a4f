"""Real clients in a scratch repository with a real test suite: a wrong "done" is caught, sent back, repaired."""

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
from clients.test_matrix import executable
from pointsman.core.events import Checked, Event, Routed
from pointsman.sandbox import repairs
from pointsman.sandbox.clock import Clock
from pointsman.sandbox.provider import Provider
from pointsman.shell.launching import own_command
from pointsman.shell.reading import read_events

pytestmark = pytest.mark.clients

MODELS = {"claude": "claude-sonnet-5-5", "codex": "gpt-5.5", "opencode": "anthropic/claude-opus-4-5"}
STRONG = {"claude": ("sonnet", "opus"), "codex": ("gpt-5.5",), "opencode": ("opus",)}
KINDS: tuple[repairs.Kind, ...] = ("right", "hopeless", "flaky", "before", "hang")


@dataclass
class Outcome:
    """What a guarded run came to."""

    output: str
    text: str
    checks: list[Checked]
    routed: list[Routed]


async def guarded(client: str, kind: repairs.Kind, folder: Path, *, timeout_s: float = 60.0) -> Outcome:
    """``pointsman run`` with a check around a headless client, and what the ledger says afterwards."""
    work, env = folder / "work", real.environment(folder / "home")
    repairs.lay_out(work, kind)
    config = folder / "config.toml"
    command = f"{sys.executable} -m pytest -q -p no:cacheprovider"
    config.write_text(f"profile = 'balanced'\nfailure_usd = 2.0\n[check]\ncommand = '{command}'\ntimeout_s = {timeout_s}\n")
    env |= {"POINTSMAN_HOME": str(folder / "pointsman"), "POINTSMAN_CONFIG": str(config),
            "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    argv = real.headless(client, executable(client), MODELS[client], repairs.PROMPT)
    async with Provider(script=repairs.script(kind, STRONG[client]), clock=Clock(0.0)) as provider:
        process = await asyncio.create_subprocess_exec(
            *own_command(), "run", "--port", "0", "--upstream", provider.url, "--", *argv, cwd=work, env=env,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await asyncio.wait_for(process.communicate(), 180)
    assert process.returncode == 0, output.decode()[-3000:]
    events: list[Event] = [event for _, event in read_events(folder / "pointsman" / "ledger.db")]
    return Outcome(output.decode(), (work / "slugs.py").read_text(), [e for e in events if isinstance(e, Checked)],
                   [e for e in events if isinstance(e, Routed)])


@pytest.mark.parametrize(("client", "kind"), [("claude", "caught"), ("claude", "slip"), ("codex", "slip"), ("opencode", "slip")])
async def test_a_wrong_done_is_caught_and_repaired(client: str, kind: repairs.Kind, tmp_path: Path) -> None:
    got = await guarded(client, kind, tmp_path)
    models = list(dict.fromkeys(row.decision.chosen.model for row in got.routed if row.request.purpose == "turn"))
    print(f"\n{client}: {models}, checks {[(c.verdict, c.seconds) for c in got.checks]}")
    assert [check.verdict for check in got.checks] == ["check_failed", "check_passed"], got.output
    assert got.checks[0].sent_back and got.checks[0].known
    if kind == "caught":  # only a stronger model can: the escalation is the decider's, and its pair of models allows it
        assert len(models) == 2 and [row.decision.reason for row in got.routed].count("escalate") == 1
    assert got.text == repairs.RIGHT


@pytest.mark.parametrize("kind", KINDS)
async def test_claude_code_in_every_kind_of_trouble(kind: repairs.Kind, tmp_path: Path) -> None:
    got = await guarded("claude", kind, tmp_path, timeout_s=4.0 if kind == "hang" else 60.0)
    wanted = {
        "right": [("check_passed", False)], "hopeless": [("check_failed", True), ("check_failed", False)],
        "flaky": [("check_unsure", False)], "before": [("check_unsure", False)], "hang": [("check_unsure", False)],
    }  # fmt: skip
    assert [(check.verdict, check.sent_back) for check in got.checks] == wanted[kind], got.output


def test_a_hook_with_nothing_to_do_is_quick(tmp_path: Path) -> None:
    """Prints what Claude Code waits at "done": without a check, and with one where no file has changed."""
    from pointsman.shell.checks import ENV, Guarded, Spec
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
