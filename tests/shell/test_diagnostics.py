"""The provider's own cache diagnostics: asked for only where the user allows it, kept in the ledger, shown beside our number."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pointsman.core.events import Finished, Noted
from pointsman.core.findings import findings
from pointsman.core.timeline import Timeline
from pointsman.core.types import Diagnosis
from pointsman.sandbox import Provider, faults
from pointsman.settings import Settings
from pointsman.shell.gateway import Gateway
from pointsman.shell.prices import load_book
from pointsman.tui.figures import plain
from pointsman.tui.reasons import why
from shell.support import PATHS, client, events, headers, only

SESSION = {"x-claude-code-session-id": "5b1a7c9e-0000-4000-8000-000000000002", "session-id": "s-2"}
MARK = {"cache_control": {"type": "ephemeral"}}
READ, WRITE = ({"name": name, "description": name, "input_schema": {"type": "object"}} for name in ("Read", "Write"))


def conversation(n: int) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = []
    for i in range(n):
        said.append({"role": "user", "content": [{"type": "text", "text": f"step {i}: " + "look at the code " * 200}]})
        if i < n - 1:
            said.append({"role": "assistant", "content": [{"type": "text", "text": "done"}]})
    return said


def messages(n: int, tools: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    said = conversation(n)
    said[-1]["content"][0] |= MARK
    return {"model": "claude-sonnet-4-5", "max_tokens": 64, "stream": True, "tools": tools, "messages": said, **more}


def responses(n: int, tools: list[dict[str, Any]]) -> dict[str, Any]:
    rows = [{"type": "message", "role": row["role"], "content": row["content"][0]["text"]} for row in conversation(n)]
    kinds = [{"type": "function", "name": tool["name"], "parameters": tool["input_schema"]} for tool in tools]
    return {"model": "gpt-5.6-terra", "stream": True, "instructions": "Be brief.", "tools": kinds, "input": rows}


def gateway(provider: Provider, path: Path, allowed: bool) -> Gateway:
    return Gateway(Settings(cache_diagnostics=allowed), upstream=provider.url, ledger=path, say=lambda sentence: None)


async def ask(c: aiohttp.ClientSession, g: Gateway, protocol: str, value: dict[str, Any]) -> int:
    sent = {**headers(protocol), **SESSION}
    async with c.post(g.url + PATHS[protocol], data=json.dumps(value).encode(), headers=sent) as answer:
        await answer.read()
        return answer.status


@pytest.mark.parametrize("protocol", ["messages", "responses"])
async def test_changed_tools_are_named_by_the_provider(tmp_path: Path, protocol: str) -> None:
    """Three requests: the first, one that goes on, one with other tools; the answers of the last two are diagnosed."""
    path, make = tmp_path / "ledger.db", messages if protocol == "messages" else responses
    async with Provider() as provider, gateway(provider, path, True) as g, client() as c:
        for n, tools in ((1, [READ]), (2, [READ]), (3, [READ, WRITE])):
            assert await ask(c, g, protocol, make(n, tools)) == 200
        sent = [record.json for record in provider.requests]
    found = events(path, Finished)
    if protocol == "messages":
        assert [body["diagnostics"]["previous_message_id"] for body in sent] == [None, *[f.answer_id for f in found[:2]]]
        assert all("cache-diagnosis-2026-04-07" in record.headers["anthropic-beta"] for record in provider.requests)
    else:
        assert "prompt_cache_options" not in sent[0]
        assert sent[1]["prompt_cache_options"] == {"comparison_response_id": found[0].answer_id}
    assert found[1].diagnosis == Diagnosis("no_difference")
    assert found[2].diagnosis is not None and found[2].diagnosis.reason == "tools_changed"
    assert 500 < (found[2].diagnosis.missed or 0) < 3_000

    timeline = Timeline(events(path))
    session = only(list(timeline.sessions.values()))
    row = session.turns[-1].requests[-1]
    shown = plain(why(row.decision, 120, turn=session.turns[-1], request=row))
    assert "its own diagnosis: tools changed, ≈" in shown and "tokens missed for it" in shown
    assert "error    input ≈$" in shown and "billed: off by" in shown
    said = [one.said for one in findings(events(path), load_book(today=date(2026, 11, 22))) if one.cause == "provider"]
    assert len(said) == 1 and said[0].startswith("the provider's own diagnosis: tools changed, about ")


@pytest.mark.parametrize("protocol", ["messages", "responses"])
async def test_nothing_is_asked_without_the_users_word(tmp_path: Path, protocol: str) -> None:
    path, make = tmp_path / "ledger.db", messages if protocol == "messages" else responses
    async with Provider() as provider, gateway(provider, path, False) as g, client() as c:
        value = make(1, [READ])
        assert await ask(c, g, protocol, value) == 200
        assert only(provider.requests).raw == json.dumps(value).encode()
    done = only(events(path, Finished))
    assert done.diagnosis is None and done.answer_id == ""


async def test_a_client_that_asks_for_itself_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with Provider() as provider, gateway(provider, path, True) as g, client() as c:
        value = messages(1, [READ], diagnostics={"previous_message_id": "msg_unknown"})
        assert await ask(c, g, "messages", value) == 200
        assert only(provider.requests).raw == json.dumps(value).encode()
    assert only(events(path, Finished)).diagnosis == Diagnosis("previous_message_not_found")


async def test_an_upstream_that_does_not_know_them_is_not_asked_again(tmp_path: Path) -> None:
    """A 400 to what we added: the original goes out at once, and later requests go as they came."""
    path = tmp_path / "ledger.db"
    async with Provider() as provider, gateway(provider, path, True) as g, client() as c:
        provider.fault(faults.status(400))
        assert await ask(c, g, "messages", messages(1, [READ])) == 200
        assert await ask(c, g, "messages", messages(2, [READ])) == 200
        sent = [record.json for record in provider.requests]
    assert ["diagnostics" in body for body in sent] == [True, False, False]
    assert any(note.code == "refused_change" for note in events(path, Noted))
