"""Records sessions/ anew: real clients against the sandbox provider. Run it as a program; tests only import parts of it.

    python tests/clients/record_sessions.py                 all of them
    python tests/clients/record_sessions.py claude_code     those whose name begins so

Needs the clients (``real.find`` installs them). Works in a folder under the system's temporary one, with a home of
its own for each session; nothing of the user's is read.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2] / "src")]

from clients import real, scenarios  # noqa: E402  (a program sets its path first)
from pointsman.sandbox.provider import Provider  # noqa: E402
from pointsman.sandbox.script import Script  # noqa: E402
from pointsman.shell import recording, resources  # noqa: E402
from pointsman.shell.client import table as wrapping  # noqa: E402
from pointsman.shell.record import Recorder, session  # noqa: E402

ROOT = Path("/srv/points")  # stands in the recordings: a folder that says nothing about the machine they were made on
SPEED = 0.1
"""Factor on the provider's latencies: recordings keep an order of things without taking minutes."""

OPUS, SONNET, GPT, DEEPSEEK = "claude-opus-5-5", "claude-sonnet-4-5", "gpt-5.5", "deepseek-chat"
CHAT, GEMINI, ARGON, ASTRA = "gpt-4.1", "gemini-2.5-pro", "gemini-4-argon", "gpt-6-astra"


@dataclass
class Stage:
    """One recording under way: where the client works and what it talks to."""

    client: str
    model: str
    provider: Provider
    recorder: Recorder
    executable: Path
    folder: Path = ROOT / "calc"
    env: dict[str, str] = field(default_factory=dict)
    after: list[Callable[[], None]] = field(default_factory=list)

    async def run(self, *prompts: str, flags: Sequence[str] = (), resume: bool = False) -> None:
        """One headless process per prompt; all but the first continue the session."""
        for n, prompt in enumerate(prompts):
            argv = real.headless(self.client, self.executable, self.model, prompt, resume=resume or n > 0,
                                 home=Path(self.env["HOME"]))
            process = await self._start([*argv[:1], *flags, *argv[1:]], stdin=asyncio.subprocess.DEVNULL)
            output, _ = await asyncio.wait_for(process.communicate(), 120)
            self.tidy()
            if process.returncode:
                raise SystemExit(f"{self.client} exited with {process.returncode}: {output.decode()[-2000:]}")

    def tidy(self) -> None:
        """What is to be done when a client has ended."""
        while self.after:
            self.after.pop()()

    async def _start(self, argv: Sequence[str], **options: Any) -> asyncio.subprocess.Process:
        wrapped = wrapping.wrap(self.client, self.recorder.url, argv, self.env, cwd=self.folder)
        if wrapped.after is not None:
            self.after.append(wrapped.after)
        return await asyncio.create_subprocess_exec(
            *wrapped.argv, cwd=self.folder, env=dict(wrapped.env), stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT, **options,
        )

    @contextlib.asynccontextmanager
    async def conversation(self) -> AsyncIterator[Conversation]:
        """Claude Code in one process that takes prompt after prompt."""
        argv = real.headless(self.client, self.executable, self.model, "")
        argv = [argv[0], "-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose", *argv[3:]]
        process = await self._start(argv, stdin=asyncio.subprocess.PIPE, limit=1 << 24)
        try:
            yield Conversation(process)
            assert process.stdin is not None
            process.stdin.close()
            await asyncio.wait_for(process.wait(), 60)
        finally:
            if process.returncode is None:
                process.kill()

    async def typed(self, prompt: str, until: Callable[[], bool], *keys: str, flags: Sequence[str] = ()) -> None:
        """Claude Code in a terminal: starts with ``prompt``, waits until ``until``, types ``keys`` (one line each)."""
        ours, theirs = pty.openpty()
        wrapped = wrapping.wrap(self.client, self.recorder.url, [str(self.executable), prompt, "--model", self.model, *flags],
                                self.env, cwd=self.folder)
        process = subprocess.Popen(wrapped.argv, cwd=self.folder, env=dict(wrapped.env), stdin=theirs, stdout=theirs,
                                   stderr=theirs, start_new_session=True)
        os.close(theirs)
        loop = asyncio.get_running_loop()
        loop.add_reader(ours, lambda: _drain(ours, loop))
        try:
            await asyncio.wait_for(_until(until), 60)
            for key in keys:
                await asyncio.sleep(1.0)
                os.write(ours, key.encode())
                await asyncio.sleep(0.5)
                os.write(ours, b"\r")
            await asyncio.wait_for(asyncio.to_thread(process.wait), 30)
        finally:
            loop.remove_reader(ours)
            if process.poll() is None:
                process.kill()
            os.close(ours)


@dataclass
class Conversation:
    """A running Claude Code that reads prompts as JSON lines."""

    process: asyncio.subprocess.Process

    async def say(self, prompt: str) -> None:
        """Send a prompt and wait for its result."""
        await self.send({"type": "user", "message": {"role": "user", "content": prompt}})
        await self.wait("result")

    async def interrupt(self) -> None:
        """What Escape does in the terminal."""
        await self.send({"type": "control_request", "request_id": "1", "request": {"subtype": "interrupt"}})

    async def send(self, row: dict[str, Any]) -> None:
        """One JSON line to the client."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(row).encode() + b"\n")
        await self.process.stdin.drain()

    async def wait(self, kind: str) -> dict[str, Any]:
        """The next line of this type from the client."""
        assert self.process.stdout is not None
        while line := await asyncio.wait_for(self.process.stdout.readline(), 60):
            with contextlib.suppress(ValueError):
                row = json.loads(line)
                if isinstance(row, dict) and row.get("type") == kind:
                    return row
        raise SystemExit(f"the client ended before it sent {kind!r}")


async def _until(ready: Callable[[], bool]) -> None:
    while not ready():
        await asyncio.sleep(0.05)


def _drain(handle: int, loop: asyncio.AbstractEventLoop) -> None:
    try:
        os.read(handle, 65536)
    except OSError:
        loop.remove_reader(handle)


async def claude_plain(stage: Stage) -> None:
    """Three turns in one process: a repair, a new function with a slip on the way, a correction."""
    async with stage.conversation() as talk:
        for prompt in (scenarios.REPAIR, scenarios.GROW, scenarios.CORRECT):
            await talk.say(prompt)


async def claude_subagent(stage: Stage) -> None:
    """A turn in which a sub-agent reads the code."""
    async with stage.conversation() as talk:
        await talk.say(scenarios.REPAIR)
        await talk.say(scenarios.LOOK)
        await asyncio.sleep(1.0)  # a background agent reports by a message of its own


async def claude_compaction(stage: Stage) -> None:
    """A repair, /compact, and the next task from the summary."""
    await stage.run(scenarios.REPAIR, "/compact", scenarios.GROW)


async def claude_interrupt(stage: Stage) -> None:
    """The user breaks off a long answer and asks for something else."""
    async with stage.conversation() as talk:
        await talk.say(scenarios.REPAIR)
        stage.provider.speed = 0.5
        await talk.send({"type": "user", "message": {"role": "user", "content": scenarios.LONG}})
        seen = len(stage.provider.requests)
        await asyncio.wait_for(_until(lambda: len(stage.provider.requests) > seen), 30)
        await asyncio.sleep(3.0)
        await talk.interrupt()
        await talk.wait("result")
        stage.provider.speed = SPEED
        await talk.say(scenarios.AFTER)


async def claude_resume(stage: Stage) -> None:
    """The session goes on in a second process."""
    await stage.run(scenarios.REPAIR, scenarios.GROW)


async def claude_title(stage: Stage) -> None:
    """In a terminal, with the housekeeping that comes with it: probe, title, token counts."""
    stage.env.pop("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC")
    stage.env.pop("ANTHROPIC_API_KEY")
    stage.env["ANTHROPIC_AUTH_TOKEN"] = "fake-key"
    project = {"hasTrustDialogAccepted": True, "hasCompletedProjectOnboarding": True}
    (Path(stage.env["HOME"]) / ".claude.json").write_text(json.dumps({
        "hasCompletedOnboarding": True, "theme": "dark", "lastOnboardingVersion": real.VERSIONS["claude"],
        "projects": {str(stage.folder): project},
    }))
    await stage.typed(
        scenarios.REPAIR, lambda: any(e.response and "1 passed." in e.response.text for e in stage.recorder.exchanges),
        "/context", "/exit", flags=("--permission-mode", "acceptEdits", "--allowedTools", "Bash,Read,Edit,Write"),
    )


async def one(stage: Stage) -> None:
    """One headless turn."""
    await stage.run(scenarios.REPAIR)


async def three(stage: Stage) -> None:
    """Three turns, each in a process of its own."""
    await stage.run(scenarios.REPAIR, scenarios.GROW, scenarios.CORRECT)


async def hand_over(stage: Stage) -> None:
    """A turn in which an agent of the client's own reads the code."""
    await stage.run(scenarios.LOOK)


async def qwen_compaction(stage: Stage) -> None:
    """A repair, /compress, and the next task from the summary."""
    await stage.run(scenarios.REPAIR, "/compress", scenarios.GROW)


async def codex_subagent(stage: Stage) -> None:
    """An agent that Codex starts, and waits for."""
    await stage.run(scenarios.LOOK, flags=("--enable", "multi_agent_v2"))


async def codex_compaction(stage: Stage) -> None:
    """Codex summarises by itself once the provider's figures pass its limit."""
    await stage.run(scenarios.REPAIR, scenarios.GROW, flags=("-c", "model_auto_compact_token_limit=10200"))


async def opencode_custom(stage: Stage) -> None:
    """A provider of the user's own, OpenAI-compatible, with a small model for titles."""
    models = {name: {"limit": {"context": 128000, "output": 8000}} for name in (DEEPSEEK,)}
    stage.env["OPENCODE_CONFIG_CONTENT"] = json.dumps({
        "model": f"house/{DEEPSEEK}", "small_model": f"house/{DEEPSEEK}",
        "provider": {"house": {"npm": "@ai-sdk/openai-compatible", "models": models,
                               "options": {"baseURL": "http://127.0.0.1:9/v1", "apiKey": "fake-key"}}},
    })
    await stage.run(scenarios.REPAIR, scenarios.GROW, scenarios.CORRECT)


async def aider(stage: Stage) -> None:
    """Three turns typed into one process; every change is committed with a message by the weak model."""
    for words in (("init", "-q"), ("config", "user.name", "Dev"), ("config", "user.email", "dev@example.com"), ("add", "."),
                  ("commit", "-qm", "start")):
        subprocess.run(["git", *words], cwd=stage.folder, env=stage.env, check=True)
    name = f"anthropic/{stage.model}" if stage.model.startswith("claude") else f"openai/{stage.model}"
    argv = [str(stage.executable), "--model", name, "--weak-model", "anthropic/claude-haiku-4-5", "--yes-always",
            "--no-check-update", "--analytics-disable", "--no-show-model-warnings", "--map-tokens", "0", "--no-fancy-input",
            "--no-gitignore", "calc.py", "test_calc.py", "README.md"]
    process = await stage._start(argv, stdin=asyncio.subprocess.PIPE)
    assert process.stdin is not None
    for n, prompt in enumerate((scenarios.REPAIR, scenarios.GROW, scenarios.CORRECT), 1):
        process.stdin.write(prompt.encode() + b"\n")
        await asyncio.wait_for(_until(lambda turns=n: len(stage.provider.requests) >= 2 * turns), 60)
    process.stdin.write(b"/exit\n")
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    if process.returncode:
        raise SystemExit(output.decode()[-2000:])


Play = Callable[[Stage], Awaitable[None]]

SESSIONS: dict[str, tuple[str, str, Play, Callable[[], Script]]] = {
    "claude_code-opus-5-5-plain": ("claude", OPUS, claude_plain, scenarios.script),
    "claude_code-sonnet-4-5-plain": ("claude", SONNET, claude_plain, scenarios.script),
    "claude_code-opus-5-5-subagent": ("claude", OPUS, claude_subagent, scenarios.script),
    "claude_code-sonnet-4-5-subagent": ("claude", SONNET, claude_subagent, scenarios.script),
    "claude_code-opus-5-5-compaction": ("claude", OPUS, claude_compaction, scenarios.script),
    "claude_code-sonnet-4-5-compaction": ("claude", SONNET, claude_compaction, scenarios.script),
    "claude_code-opus-5-5-interrupt": ("claude", OPUS, claude_interrupt, scenarios.script),
    "claude_code-opus-5-5-resume": ("claude", OPUS, claude_resume, scenarios.script),
    "claude_code-sonnet-4-5-interrupt": ("claude", SONNET, claude_interrupt, scenarios.script),
    "claude_code-sonnet-4-5-resume": ("claude", SONNET, claude_resume, scenarios.script),
    "claude_code-opus-5-5-title": ("claude", OPUS, claude_title, scenarios.script),
    "codex-gpt-5-5-plain": ("codex", GPT, one, scenarios.script),
    "codex-gpt-5-5-resume": ("codex", GPT, three, scenarios.script),
    "codex-gpt-5-5-compaction": ("codex", GPT, codex_compaction, scenarios.script),
    "opencode-sonnet-4-5-plain": ("opencode", f"anthropic/{SONNET}", three, scenarios.script),
    "opencode-deepseek-compatible": ("opencode", f"house/{DEEPSEEK}", opencode_custom, scenarios.script),
    "codex-gpt-6-astra-plain": ("codex", ASTRA, one, scenarios.script),
    "codex-gpt-5-5-subagent": ("codex", GPT, codex_subagent, scenarios.script),
    "claude_sdk-sonnet-4-5-resume": ("claude-sdk", SONNET, three, scenarios.script),
    "qwen-gpt-4-1-resume": ("qwen", CHAT, three, scenarios.script),
    "qwen-gpt-4-1-subagent": ("qwen", CHAT, hand_over, scenarios.script),
    "qwen-gpt-4-1-compaction": ("qwen", CHAT, qwen_compaction, scenarios.script),
    "gemini-2-5-pro-resume": ("gemini", GEMINI, three, scenarios.script),
    "gemini-4-argon-plain": ("gemini", ARGON, one, scenarios.script),
    "gemini-4-argon-subagent": ("gemini", ARGON, hand_over, scenarios.script),
    "cline-gpt-4-1-plain": ("cline", CHAT, one, scenarios.script),
    "cline-gpt-5-5-plain": ("cline", GPT, one, scenarios.script),
    "cline-gpt-4-1-subagent": ("cline", CHAT, hand_over, scenarios.script),
    "cline-sonnet-4-5-plain": ("cline", SONNET, one, scenarios.script),
    "mini-gpt-4-1-plain": ("mini", CHAT, one, scenarios.script),
    "mini-sonnet-4-5-plain": ("mini", SONNET, one, scenarios.script),
    "aider-sonnet-4-5-plain": ("aider", SONNET, aider, scenarios.editing_script),
}


async def record(name: str, folder: Path) -> None:
    """Record one session and write its file into ``folder``."""
    client, model, play, script = SESSIONS[name]
    executable, why = real.find(client)
    if executable is None:
        raise SystemExit(why)
    shutil.rmtree(ROOT, ignore_errors=True)
    scenarios.lay_out(ROOT / "calc")
    env = real.environment(ROOT / "home")
    real.settle(client, model, ROOT / "home")
    async with Provider(script=script(), speed=SPEED) as provider, Recorder(provider.url) as recorder:
        stage = Stage(client, model, provider, recorder, executable, env=env)
        try:
            await play(stage)
        finally:
            stage.tidy()
    done = session(recorder.exchanges, client=client, version=real.VERSIONS[client], scenario=name.rsplit("-", 1)[1],
                   own=scenarios.own(), private=[socket.gethostname(), os.environ.get("HOME", "")])
    recording.save(done, folder / f"{name}.jsonl")
    print(f"{name}: {len(done.exchanges)} requests, {(folder / f'{name}.jsonl').stat().st_size // 1000} kB", flush=True)


async def main(prefixes: Sequence[str], folder: Path) -> None:
    """Record every session whose name begins with one of ``prefixes`` (all, if there are none)."""
    for name in SESSIONS:
        if not prefixes or name.startswith(tuple(prefixes)):
            await record(name, folder)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:], resources.folder("sessions")))
