"""Sub-agents that their clients do not mark, over real HTTP: the conversation opens with what a model handed over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pointsman.core.events import Finished, Routed
from pointsman.core.types import Place
from pointsman.sandbox import Clock, Provider
from pointsman.sandbox.incoming import Incoming
from pointsman.sandbox.reply import Call, Reply, Text, say
from pointsman.settings import Settings
from pointsman.shell.gateway import Gateway
from shell.support import client, events
from shell.talking import Client

TASKS = ("Read calc.py and say whether add is right.", "Read test_calc.py and say what it tests.")
MAIN, HELPER = "You are Gemini CLI, an interactive agent. " * 40, "You are a generalist. " * 40


class Loop(Client):
    """gemini-cli's main loop or one of its agents: each has a system prompt and tools of its own, and no ids."""

    helper = False
    agent = "GeminiCLI/0.61.0"

    @property
    def headers(self) -> dict[str, str]:
        return {**super().headers, "user-agent": self.agent}

    def body(self) -> dict[str, Any]:
        names = ("shell", "complete_task") if self.helper else ("shell", "invoke_agent")
        tools = [{"name": name, "description": name, "parametersJsonSchema": {"type": "object"}} for name in names]
        return {**super().body(), "tools": [{"functionDeclarations": tools}]}


def script(request: Incoming) -> Reply:
    if "invoke_agent" not in request.tools:
        return say("It is.") if request.step else say("I look.", Call("shell", {"command": "cat calc.py"}))
    if request.step or "agent" not in request.prompt:
        return say("Done.")
    calls = [Call("invoke_agent", {"agent_name": "one", "prompt": f" {task}\n"}) for task in TASKS]
    return Reply((Text("I hand it over."), *calls))


@asynccontextmanager
async def stage(tmp_path: Path, stream: bool = True) -> AsyncIterator[tuple[Any, Path]]:
    async with Provider(script=script, clock=Clock()) as provider, client() as http:
        ledger = tmp_path / "ledger.db"
        async with Gateway(Settings(), upstream=provider.url, ledger=ledger, say=print, clock=provider.clock) as gateway:

            def loop(*, helper: bool = False) -> Loop:
                system = HELPER if helper else MAIN
                made = Loop(http, gateway.url, "gemini", "gemini-4-argon", stream=stream, system=system, clock=provider.clock)
                made.helper = helper
                return made

            yield loop, ledger


def places(ledger: Path) -> list[Place]:
    return [event.decision.place for event in events(ledger, Routed)]


@pytest.mark.parametrize("stream", [True, False])
async def test_agents_side_by_side_are_lanes_of_the_session_that_started_them(tmp_path: Path, stream: bool) -> None:
    async with stage(tmp_path, stream) as (loop, ledger):
        main, one, two = loop(), loop(helper=True), loop(helper=True)
        main.says("Have agents look at it.")
        asked = await main.send()
        one.says(TASKS[0])
        two.says(TASKS[1])
        first = [await one.send(), await two.send()]
        for helper, heard in zip((one, two), first, strict=True):
            helper.returns(heard.calls)
            await helper.send()
        main.returns(asked.calls)
        await main.send()
    found = places(ledger)
    assert len({place.session for place in found}) == 1 and {place.turn for place in found} == {1}
    assert [place.kind for place in found] == ["main", *["subagent"] * 4, "main"]
    assert [place.lane for place in found[1:5]] == [found[1].lane, found[2].lane] * 2 and found[1].lane != found[2].lane
    assert [place.relation for place in found] == ["new", "new", "new", "continue", "continue", "continue"]
    assert len(events(ledger, Finished)[0].handed) == 3, "two tasks, and the agent's name"


async def test_a_person_who_says_the_same_begins_a_session(tmp_path: Path) -> None:
    """Words alone prove nothing: a new session has the tools and the prompt of the main loop."""
    async with stage(tmp_path) as (loop, ledger):
        await loop().ask("Have agents look at it.", rounds=1)
        await loop().ask(TASKS[0], rounds=1)
        await loop(helper=True).ask("Something that nobody handed over.", rounds=1)
    found = places(ledger)
    assert len({place.session for place in found}) == 3 and {place.kind for place in found} == {"main"}


async def test_what_was_handed_over_long_ago_is_forgotten(tmp_path: Path) -> None:
    async with stage(tmp_path) as (loop, ledger):
        main = loop()
        await main.ask("Have agents look at it.", rounds=1)
        assert main.clock is not None
        main.clock.advance(4_000.0)
        await loop(helper=True).ask(TASKS[0], rounds=1)
    assert len({place.session for place in places(ledger)}) == 2


async def test_it_is_known_again_after_a_restart(tmp_path: Path) -> None:
    async with stage(tmp_path) as (loop, ledger):
        await loop().ask("Have agents look at it.", rounds=1)
    async with stage(tmp_path) as (loop, ledger):
        await loop(helper=True).ask(TASKS[0], rounds=1)
    found = places(ledger)
    assert len({place.session for place in found}) == 1 and [place.kind for place in found] == ["main", "subagent"]


async def test_a_program_that_nobody_knows_is_an_agent_only_while_its_giver_waits(tmp_path: Path) -> None:
    """Cline's agents have a system prompt that the model wrote, and no header that names them."""
    async with stage(tmp_path) as (loop, ledger):
        main, one, two = loop(), loop(helper=True), loop(helper=True)
        one.agent = two.agent = "ai-sdk/3.0"
        main.says("Have agents look at it.")
        asked = await main.send()
        await one.ask(TASKS[0], rounds=1)
        main.returns(asked.calls)
        await main.send()
        await two.ask(TASKS[1], rounds=1)
    found = places(ledger)
    assert [place.kind for place in found] == ["main", "subagent", "main", "main"]
    assert found[1].session == found[0].session != found[3].session
