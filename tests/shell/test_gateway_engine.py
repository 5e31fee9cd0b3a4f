"""The gateway with the real engine: pins move requests, refusals move them back, counts follow, retries repeat."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pointsman.core.events import Finished, Noted, Passed, Routed
from pointsman.errors import SettingsError
from pointsman.sandbox import Provider, faults
from pointsman.settings import Settings
from pointsman.shell import control
from pointsman.shell.gateway import Gateway
from shell.support import PATHS, body, client, events, headers, only

SESSION = {"x-claude-code-session-id": "5b1a7c9e-0000-4000-8000-000000000001"}
TOOL = {"name": "Write", "description": "Write a file", "input_schema": {"type": "object", "properties": {}}}
ASKED, PINNED = "claude-sonnet-4-5", "claude-haiku-4-5"


async def ask(c: aiohttp.ClientSession, g: Gateway, path: str = PATHS["messages"], **more: Any) -> tuple[int, bytes, str]:
    """Status, body and decision header of one agent request."""
    sent = {**headers("messages"), **SESSION}
    async with c.post(g.url + path, data=body("messages", tools=[TOOL], **more), headers=sent) as answer:
        return answer.status, await answer.read(), answer.headers["x-pointsman-decision"]


async def pin(g: Gateway) -> None:
    session = next(iter(g.desk.router.sessions))
    await asyncio.to_thread(control.call, g.found, "pin", {"model": PINNED, "session": session})


def quiet(provider: Provider, path: Path) -> Gateway:
    return Gateway(Settings(), upstream=provider.url, ledger=path, say=lambda sentence: None)


async def test_a_pin_moves_the_next_request_and_only_its_model_differs(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with Provider() as provider, quiet(provider, path) as g, client() as c:
        assert (await ask(c, g))[2].startswith(f"{ASKED}; stay; asked")
        await pin(g)
        status, got, said = await ask(c, g, text="and now?")
        assert status == 200 and said.startswith(f"{PINNED}; switch; pin")
        assert json.loads(got.partition(b"data: ")[2].partition(b"\n")[0])["message"]["model"] == PINNED
        first, second = provider.requests
        assert first.raw == body("messages", tools=[TOOL])
        assert second.raw == body("messages", tools=[TOOL], text="and now?").replace(ASKED.encode(), PINNED.encode())
        counted = await ask(c, g, "/v1/messages/count_tokens", stream=False)
        assert counted[0] == 200 and provider.log[-1].json["model"] == PINNED
    with sqlite3.connect(path) as connection:
        found = connection.execute("SELECT asked_model, model, reason, usd > 0, as_asked_usd > 0 FROM requests").fetchall()
    connection.close()
    assert found == [(ASKED, ASKED, "asked", 1, 1), (ASKED, PINNED, "pin", 1, 1)]
    assert only(events(path, Passed)).why == "token count"


async def test_a_refused_pin_is_sent_as_asked_and_not_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with Provider() as provider, quiet(provider, path) as g, client() as c:
        await ask(c, g)
        await pin(g)
        provider.fault(faults.status(400))
        status, _, said = await ask(c, g, text="and now?")
        assert status == 200 and said.startswith(f"{ASKED}; stay; retry_asked")
        assert [record.model for record in provider.requests] == [ASKED, PINNED, ASKED]
        assert provider.requests[-1].raw == body("messages", tools=[TOOL], text="and now?")
    done = events(path, Finished)[-1]
    assert done.resent and done.served.model == ASKED
    assert any(note.code == "refused_change" for note in events(path, Noted))


async def test_a_retry_is_the_same_decision_and_no_new_turn(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with Provider() as provider, quiet(provider, path) as g, client() as c:
        provider.fault(faults.status(529))
        assert (await ask(c, g))[0] == 529
        assert (await ask(c, g))[0] == 200
    first, second = events(path, Routed)
    assert second.decision.place.relation == "retry" and second.decision.place.turn == first.decision.place.turn
    assert second.decision.chosen == first.decision.chosen


async def test_a_model_in_the_settings_that_nobody_knows_stops_it_before_serving(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="claude-opsu-4-5"):
        await Gateway(Settings(pool=("claude-opsu-4-5",)), ledger=tmp_path / "ledger.db").start()
