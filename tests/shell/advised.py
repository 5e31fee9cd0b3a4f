"""A stage for tests of advice: an agent, the gateway, and a provider that serves both the working model and its advisor."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointsman.core.events import Advised
from pointsman.sandbox import Clock, Provider
from pointsman.sandbox.incoming import Incoming
from pointsman.sandbox.log import Record
from pointsman.sandbox.reply import Call, Reply, Thinking, say
from pointsman.settings import Settings
from pointsman.shell.gateway import Gateway
from shell.support import client, events
from shell.talking import SESSION, Client

ADVICE = "Look at the sign in calc.py before anything else."
CLAUDE: dict[str, Any] = {"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}}
PAIRS = {
    "messages": ("claude-sonnet-5-5", "claude-opus-5-5", CLAUDE), "responses": ("gpt-6-luna", "gpt-6-astra", {}),
    "chat": ("gpt-5.5", "gpt-6-astra", {}), "gemini": ("gemini-3.6-flash", "gemini-4-argon", {}),
}  # fmt: skip
TOOL = "consult_advisor"
ASKS = Call(TOOL, {"question": "Which sign?", "focus": "calc.py"})


def is_advisor(request: Incoming) -> bool:
    """Whether this is a question to an advisor: it is told so in its system text."""
    return "asked for advice" in request.system


@dataclass
class Stage:
    """Everything running: the agent, the gateway, and the provider behind it."""

    agent: Client
    gateway: Gateway
    provider: Provider
    ledger: Path

    @property
    def work(self) -> list[Record]:
        """The executor's requests."""
        return [record for record in self.provider.requests if not self._asks(record)]

    @property
    def asked(self) -> list[Record]:
        """The questions to the advisor."""
        return [record for record in self.provider.requests if self._asks(record)]

    @staticmethod
    def _asks(record: Record) -> bool:
        return "asked for advice" in json.dumps(record.json)

    def advised(self) -> list[Advised]:
        return events(self.ledger, Advised)

    def fails_a_check(self) -> None:
        assert self.agent.clock is not None
        self.agent.clock.advance(1.0)
        router, now = self.gateway.desk.router, self.gateway.desk.clock()
        router.signal(session=SESSION, kind="check_failed", now=now, detail={"by": "test"})


@asynccontextmanager
async def stage(
    tmp_path: Path, protocol: Any, script: Callable[[Incoming], Reply], mode: str = "pull", *, stream: bool = True,
    executor: str | None = None, split: bool = False, **advisor: Any,
) -> AsyncIterator[Stage]:  # fmt: skip
    usual, adviser, more = PAIRS[protocol]
    advisor.setdefault("model", adviser)

    def both(request: Incoming) -> Reply:
        return say(Thinking("hm"), ADVICE) if is_advisor(request) else script(request)

    given = Settings(advisor={"mode": mode, **advisor}, failure_usd=200.0, check=True, titles=False)
    async with Provider(script=both, clock=Clock()) as provider, client() as http:
        ledger = tmp_path / "ledger.db"
        place: dict[str, Any] = {"upstream": provider.url}
        if split:  # each vendor at a place of its own, so that no credential is shared
            place = {"upstreams": {"anthropic": provider.url, "openai": provider.url + "/openai"}}
        async with Gateway(given, ledger=ledger, say=print, clock=provider.clock, **place) as gateway:
            system = "You are an agent. " * 1_200  # Gemini holds no prefix below 2,048 tokens
            agent = Client(
                http, gateway.url, protocol, executor or usual, stream=stream, system=system, clock=provider.clock, **more
            )
            yield Stage(agent, gateway, provider, ledger)


def consults_once(shell: str, *, joined: bool = False) -> Callable[[Incoming], Reply]:
    """Asks for advice in the first round, then works one round, then says done."""

    def script(request: Incoming) -> Reply:
        if TOOL not in request.tools:
            return say("No tool.")
        if request.turn > 1:
            return say(f"Turn {request.turn}.")
        if request.step == 0:
            extra = [Call(shell, {"command": "ls"})] if joined else []
            return say(Thinking("unsure"), "I ask first.", ASKS, *extra)
        if request.step == 1:
            return say(Thinking("so"), "Now I know.", Call(shell, {"command": "cat calc.py"}))
        return say("Done.")

    return script


def shell_of(protocol: str) -> str:
    return "Bash" if protocol == "messages" else "shell"
