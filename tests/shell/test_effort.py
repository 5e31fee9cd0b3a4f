"""Effort as a lever: inside the history where that keeps the cache, in the request's own field elsewhere; seen upstream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pointsman.core.events import Finished, Routed
from pointsman.sandbox import Clock, Provider
from pointsman.sandbox.log import Record
from pointsman.sandbox.reply import Call, Thinking, say
from pointsman.sandbox.script import Steps
from pointsman.settings import Settings
from pointsman.shell.gateway import Gateway
from shell.support import client, events
from shell.talking import SESSION, Client

CLAUDE: dict[str, Any] = {"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}}


def work(tool: str = "Bash") -> Steps:
    """Two rounds of tools, then words."""
    return Steps(
        say(Thinking("look"), "I look.", Call(tool, {"command": "ls"})), say(Call(tool, {"command": "cat a"})),
        say("Done so far."),
    )  # fmt: skip


@asynccontextmanager
async def talking(tmp_path: Path, protocol: Any, model: str, **more: Any) -> AsyncIterator[tuple[Client, Gateway, Provider]]:
    tool = "Bash" if protocol == "messages" else "shell"
    async with Provider(script=work(tool), clock=Clock()) as provider, client() as http:
        clock = provider.clock
        async with Gateway(Settings(), upstream=provider.url, ledger=tmp_path / "l.db", say=print, clock=clock) as gateway:
            yield Client(http, gateway.url, protocol, model, clock=clock, **more), gateway, provider


def pin(gateway: Gateway, name: str) -> None:
    gateway.desk.router.pin(name, session=SESSION, now=gateway.desk.clock())


def tail(record: Record) -> Any:
    return (record.json.get("messages") or record.json.get("input"))[-1]


async def test_a_pinned_effort_goes_into_the_history_and_keeps_the_cache(tmp_path: Path) -> None:
    async with talking(tmp_path, "messages", "claude-opus-5-5", **CLAUDE) as (agent, gateway, provider):
        await agent.ask("begin")
        pin(gateway, "claude-opus-5-5:low")
        await agent.ask("go on")
        await agent.ask("and on")
        gateway.desk.router.unpin(session=SESSION, now=gateway.desk.clock())
        await agent.ask("back")
    found = provider.requests
    assert [record.status for record in found] == [200] * 12
    assert [record.effort for record in found] == ["medium"] * 3 + ["low"] * 6 + ["medium"] * 3
    assert {record.json["output_config"]["effort"] for record in found} == {"medium"}, "the request's own field never moves"
    for before, now in zip(found, found[1:], strict=False):
        assert before.bill is not None and now.bill is not None
        assert now.bill.read >= 0.97 * (before.bill.read + before.bill.write), "the prefix stays warm"
    ours = [m for m in found[-1].json["messages"] if m.get("output_config")]
    assert [m["output_config"]["effort"] for m in ours] == ["low", "medium"]
    ledger = tmp_path / "l.db"
    for routed, finished in zip(events(ledger, Routed), events(ledger, Finished), strict=True):
        row = routed.decision.row(routed.decision.chosen)
        assert (
            finished.usage.cache_read == 0 or abs(row.cache_read - finished.usage.cache_read) <= 0.05 * finished.usage.cache_read
        )


async def test_it_follows_the_clients_own_effort_message(tmp_path: Path) -> None:
    async with talking(tmp_path, "messages", "claude-opus-5-5", **CLAUDE) as (agent, gateway, provider):
        await agent.ask("begin")
        pin(gateway, "claude-opus-5-5:low")
        agent.says("go on")
        agent.history.append({"role": "system", "content": [{"type": "text", "text": "Mind the time."}],
                              "output_config": {"effort": "high"}})  # fmt: skip
        await agent.send()
    last = provider.requests[-1]
    assert last.status == 200 and last.effort == "low"
    assert [m["output_config"]["effort"] for m in last.json["messages"] if m.get("output_config")] == ["high", "low"]


async def test_inside_a_tool_loop_it_waits_for_the_user(tmp_path: Path) -> None:
    """There it would do nothing (effort-per-message page): it is said with the next words, and only once."""
    async with talking(tmp_path, "messages", "claude-opus-5-5", **CLAUDE) as (agent, gateway, provider):
        agent.says("begin")
        heard = await agent.send()
        pin(gateway, "claude-opus-5-5:high")
        agent.returns(heard.calls)
        heard = await agent.send()
        agent.returns(heard.calls)
        await agent.send()
        await agent.ask("next")
    found = provider.requests
    assert [record.effort for record in found] == ["medium"] * 3 + ["high"] * 3
    assert len([m for m in found[-1].json["messages"] if m.get("output_config")]) == 1


async def test_openai_takes_it_as_an_item_of_the_input(tmp_path: Path) -> None:
    async with talking(tmp_path, "responses", "gpt-6-astra", reasoning={"effort": "medium"}) as (agent, gateway, provider):
        await agent.ask("begin")
        pin(gateway, "gpt-6-astra:high")
        await agent.ask("go on")
    found = provider.requests
    assert [record.effort for record in found] == ["medium"] * 3 + ["high"] * 3
    assert {record.json["reasoning"]["effort"] for record in found} == {"medium"}
    assert found[3].bill is not None and found[3].bill.read > 0.9 * found[2].bill.prompt  # type: ignore[union-attr]
    kinds = [item["type"] for item in found[-1].json["input"]]
    assert kinds.count("configuration_update") == 1


async def test_where_a_model_takes_none_inside_the_history_the_field_changes_and_the_toll_is_paid(tmp_path: Path) -> None:
    async with talking(tmp_path, "messages", "claude-sonnet-5", **CLAUDE) as (agent, gateway, provider):
        await agent.ask("begin")
        pin(gateway, "claude-sonnet-5:low")
        await agent.ask("go on")
    found = provider.requests
    assert [record.effort for record in found] == ["medium"] * 3 + ["low"] * 3
    assert found[3].bill is not None and found[3].bill.read == 0, "a changed field loses the cache"
    routed = events(tmp_path / "l.db", Routed)[3].decision
    row = routed.row(routed.chosen)
    assert row.cache_read == 0 and row.toll_usd > 0, "and that was priced"


@pytest.mark.parametrize("betas", ["", "one"])
async def test_the_beta_is_added_and_the_clients_own_are_kept(tmp_path: Path, betas: str) -> None:
    async with talking(tmp_path, "messages", "claude-opus-5-5", **CLAUDE) as (agent, gateway, provider):
        own = agent.headers
        type(agent).headers = property(lambda self: {**own, **({"anthropic-beta": betas} if betas else {})})  # type: ignore[assignment]
        try:
            await agent.ask("begin")
            pin(gateway, "claude-opus-5-5:low")
            await agent.ask("go on")
        finally:
            type(agent).headers = _HEADERS  # type: ignore[assignment]
    beta = "mid-conversation-output-config-2026-07-01"
    assert provider.requests[-1].headers["anthropic-beta"] == (f"{betas},{beta}" if betas else beta)


_HEADERS = Client.headers
