"""Real clients finish the same task through the gateway: same file, same answer, same prompt tokens, request by request."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from clients import real, scenarios
from pointsman.sandbox.clock import Clock
from pointsman.sandbox.incoming import Incoming
from pointsman.sandbox.log import Record
from pointsman.sandbox.provider import Provider
from pointsman.sandbox.reply import Bill, Reply, say
from pointsman.sandbox.tasks import tool_task
from pointsman.shell import clients, ports
from pointsman.shell.launching import own_command
from pointsman.shell.reading import read_events

pytestmark = pytest.mark.clients

MODELS = {
    "claude": ("claude-opus-5-5", "claude-sonnet-4-5"), "codex": ("gpt-5.5",),
    "opencode": ("anthropic/claude-sonnet-4-5", "openai/gpt-5.5"), "aider": ("claude-sonnet-4-5", "gpt-5.5"),
}
MATRIX = [(client, model) for client, models in MODELS.items() for model in models]
TEXT = "the points are set\n"
PROMPT = "Write note.txt with the words 'the points are set' and read it back."


@dataclass
class Outcome:
    """What one run of a client came to. ``prompts``: (model, prompt tokens, cache read) of each main request."""

    code: int
    note: str
    prompts: list[tuple[str, int, int]]


DRAFTS = ("the points\n", "the points are\n", TEXT)


def by_test(request: Incoming) -> Reply:
    """aider has no tools: its loop is edit, test, edit. Two drafts fail the test, the third passes."""
    n = min(max(request.nth, 1), 3) - 1
    return say(scenarios.edit("note.txt", DRAFTS[n - 1] if n else "", DRAFTS[n], "SEARCH/REPLACE" in request.system))


def executable(client: str) -> Path:
    """The client, or a skip that says why it cannot be had."""
    found, why = real.find(client)
    if found is None:
        pytest.skip(why)
    return found


async def outcome(client: str, model: str, folder: Path, through: bool, *, run: bool = False) -> Outcome:
    """Run the task in a fixed folder (its path is in the prompt), bare or through a gateway of its own."""
    shutil.rmtree(folder, ignore_errors=True)
    work, env = folder / "work", real.environment(folder / "home")
    work.mkdir(parents=True)
    env["POINTSMAN_HOME"] = str(folder / "pointsman")
    argv = real.headless(client, executable(client), model, PROMPT)
    if client == "aider":
        argv += ["--auto-test", "--test-cmd", "cat note.txt; grep -q set note.txt"]
    script = by_test if client == "aider" else tool_task(text=TEXT)
    async with Provider(script=script, clock=Clock(0.0)) as provider:
        async with gateway(provider.url, env) if through and not run else bare(provider.url) as url:
            if run:
                argv = [*own_command(), "run", "--port", "0", "--upstream", provider.url, "--", *argv]
                wrapped = clients.Wrapped(tuple(argv), {**env, "PYTHONPATH": os.environ.get("PYTHONPATH", "")})
            else:
                wrapped = clients.wrap(client, url, argv, env, cwd=work)
            process = await asyncio.create_subprocess_exec(
                *wrapped.argv, cwd=work, env=dict(wrapped.env), stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )
            output, _ = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, output.decode()[-3000:]
    note = work / "note.txt"
    return Outcome(process.returncode, note.read_text() if note.exists() else "",
                   [figures(record) for record in provider.requests if record.purpose == "main"])


def figures(record: Record) -> tuple[str, int, int]:
    """Model, prompt tokens and cache read of one request, as the provider billed it."""
    bill = record.bill or Bill()
    return record.model or "", bill.prompt, bill.read


@asynccontextmanager
async def bare(url: str) -> AsyncIterator[str]:
    """No gateway: the provider itself."""
    yield url


@asynccontextmanager
async def gateway(upstream: str, env: dict[str, str]) -> AsyncIterator[str]:
    """``pointsman serve --port P --upstream URL`` as a process of its own."""
    port = ports.free_port()
    process = await asyncio.create_subprocess_exec(
        *own_command(), "serve", "--port", str(port), "--upstream", upstream,
        env={**os.environ, "POINTSMAN_HOME": env["POINTSMAN_HOME"]}, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 30)
        assert b"listens on" in line, line
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.parametrize(("client", "model"), MATRIX)
async def test_same_result_and_same_prefix_tokens_through_serve(client: str, model: str, tmp_path: Path) -> None:
    without = await outcome(client, model, tmp_path / "run", False)
    wrapped = await outcome(client, model, tmp_path / "run", True)
    assert without.note == wrapped.note == TEXT
    assert len(without.prompts) == 3
    assert wrapped.prompts == without.prompts
    events = [event for _, event in read_events(tmp_path / "run" / "pointsman" / "ledger.db")]
    routed = [event for event in events if type(event).__name__ == "Routed"]
    assert len(routed) >= len(wrapped.prompts)
    print(f"\n{client} {model}: {wrapped.prompts}")


@pytest.mark.parametrize("client", ["claude", "codex", "opencode", "aider"])
async def test_run_wraps_the_client_and_prints_what_was_spent(client: str, tmp_path: Path) -> None:
    result = await outcome(client, MODELS[client][0], tmp_path / "run", True, run=True)
    assert result.note == TEXT
