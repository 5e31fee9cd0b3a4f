"""Control over loopback: who may ask, what the answers are, and what happens when no gateway runs."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pointsman.core.events import Marked, Pinned, Signalled, Unpinned
from pointsman.engine import Router
from pointsman.errors import LedgerError, SettingsError, UpstreamError
from pointsman.sandbox import Provider
from pointsman.settings import Settings
from pointsman.shell import control
from pointsman.shell.gateway import Gateway
from pointsman.shell.ledger import Ledger
from pointsman.shell.prices import load_book
from shell.support import PATHS, body, client, events, gateway, headers, only, serving


def engine() -> Router:
    return Router(Settings().policy(), load_book())


def raw(port: int, method: str, path: str, sent: dict[str, str], data: bytes | None = None) -> tuple[int, Any]:
    """One request with exactly these headers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in {**sent, "content-length": str(len(data or b""))}.items():
        connection.putheader(name, value)
    connection.endheaders(data)
    answer = connection.getresponse()
    said = json.loads(answer.read())
    connection.close()
    return answer.status, said


async def one_turn(g: Gateway) -> str:
    """Send one request of an agent with tools; returns the id of its session."""
    tool = {"name": "Write", "description": "Write a file", "input_schema": {"type": "object", "properties": {}}}
    async with client() as c:
        sent = {**headers("messages"), "x-claude-code-session-id": "5b1a7c9e-0000-4000-8000-000000000001"}
        async with c.post(g.url + PATHS["messages"], data=body("messages", tools=[tool]), headers=sent) as answer:
            await answer.read()
    return str(next(iter(g.desk.router.sessions)))


async def test_only_this_machine_and_only_with_the_token(tmp_path: Path) -> None:
    async with gateway(tmp_path, "http://127.0.0.1:1", engine()) as g:
        local, key = f"127.0.0.1:{g.port}", f"Bearer {g.token}"

        async def ask(method: str, action: str, sent: dict[str, str]) -> tuple[int, Any]:
            return await asyncio.to_thread(raw, g.port, method, control.PREFIX + action, sent)

        status, said = await ask("GET", "health", {"host": local})
        assert status == 200 and said["pointsman"] is True and said["pid"] == os.getpid() and said["trouble"] is None
        assert (await ask("GET", "health", {"host": "evil.example"}))[0] == 403
        assert (await ask("GET", "health", {"host": f"127.0.0.1.evil.example:{g.port}"}))[0] == 403
        for action in ("pin", "unpin", "mark", "signal", "run"):
            assert (await ask("POST", action, {"host": local}))[0] == 401
            assert (await ask("POST", action, {"host": local, "authorization": "Bearer no"}))[0] == 401
            assert (await ask("POST", action, {"host": "evil.example", "authorization": key}))[0] == 403
        assert (await ask("GET", "sessions", {"host": local}))[0] == 401
        assert (await ask("GET", "sessions", {"host": f"localhost:{g.port}", "authorization": key}))[0] == 200
        assert (await ask("GET", "pin", {"host": local, "authorization": key}))[0] == 404
        assert (await ask("POST", "nothing", {"host": local, "authorization": key}))[0] == 404
    assert not events(tmp_path / "ledger.db")


async def test_pins_marks_and_signals_are_events_on_disk(tmp_path: Path) -> None:
    async with Provider() as provider, gateway(tmp_path, provider.url, engine()) as g:
        session = await one_turn(g)

        async def call(action: str, **given: Any) -> Any:
            return await asyncio.to_thread(control.call, g.found, action, given)

        said = await call("pin", model="claude-opus-4-5", session=session)
        assert said["event"]["kind"] == "Pinned" and said["ledger"] is None
        assert only(events(tmp_path / "ledger.db", Pinned)).config.model == "claude-opus-4-5"
        known = (await asyncio.to_thread(control.call, g.found, "sessions"))["sessions"]
        assert known[-1]["session"] == session and known[-1]["pin"] == "claude-opus-4-5"
        await call("unpin", session=session)
        assert only(events(tmp_path / "ledger.db", Unpinned)).session == session
        await call("mark", session=session, turn=1, mark="bad")
        assert only(events(tmp_path / "ledger.db", Marked)).mark == "bad"
        await call("signal", session=session, kind="check_failed", detail={"command": "pytest", "code": 1})
        assert only(events(tmp_path / "ledger.db", Signalled)).detail == (("code", "1"), ("command", "pytest"))
        for action, given, sentence in (
            ("pin", {"model": "claude-opus-9000-typo", "session": session}, "claude-opus-9000-typo"),
            ("pin", {"model": "claude-opus-4-5", "scope": "forever"}, "scope is 'forever'; it can be turn, task"),
            ("pin", {"modell": "x"}, "does not take 'modell'"), ("pin", {}, "model is missing"),
            ("mark", {"session": session, "turn": 99, "mark": "bad"}, "turn 99"),
            ("mark", {"session": session, "turn": "1", "mark": "bad"}, "turn is '1'"),
            ("mark", {"session": session, "turn": 1, "mark": "meh"}, "good, bad, overkill"),
            ("run", {"run": "../x"}, "letters, digits"), ("run", {"run": "x", "upstreams": {"openai": "ftp:x"}}, "base URL"),
        ):  # fmt: skip
            with pytest.raises(SettingsError, match=sentence):
                await call(action, **given)
        status, said = await asyncio.to_thread(
            raw, g.port, "POST", control.PREFIX + "pin",
            {"host": "localhost", "authorization": f"Bearer {g.token}"}, b"{not json",
        )  # fmt: skip
        assert status == 400 and "not JSON" in said["error"]


async def test_a_restarted_gateway_knows_its_sessions_pins_and_runs(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with Provider() as provider:
        async with Gateway(Settings(), upstream=provider.url, ledger=path) as g:
            session = await one_turn(g)
            await asyncio.to_thread(control.call, g.found, "pin", {"model": "claude-opus-4-5", "session": session})
            await asyncio.to_thread(control.call, g.found, "run", {"run": "r1", "client": "codex", "cwd": "/code"})
        async with Gateway(Settings(), upstream=provider.url, ledger=path) as g:
            assert g.desk.router.sessions[session].pin.config.model == "claude-opus-4-5"
            assert g.runs["r1"].cwd == "/code"


def test_without_a_gateway_a_pin_goes_into_the_ledger_and_says_so(tmp_path: Path) -> None:
    done = control.perform(
        "pin", {"model": "claude-opus-4-5", "scope": "always", "cwd": str(tmp_path), "session": None}, Settings(), 5.0,
        folder=tmp_path,
    )  # fmt: skip
    assert not done.live and "no gateway is running" in done.said and done.event is not None
    assert only(events(tmp_path / "ledger.db", Pinned)).cwd == str(tmp_path)
    with pytest.raises(SettingsError, match="no turn 1"):
        control.perform("mark", {"session": "s", "turn": 1, "mark": "bad"}, Settings(), 5.0, folder=tmp_path)


async def test_without_a_gateway_a_session_of_weeks_ago_can_still_be_pinned(tmp_path: Path) -> None:
    async with Provider() as provider, gateway(tmp_path, provider.url, engine()) as g:
        session = await one_turn(g)
        later = g.desk.clock() + 40 * 86_400
    done = control.perform("pin", {"model": "claude-opus-4-5", "session": session}, Settings(), later, folder=tmp_path)
    assert not done.live and only(events(tmp_path / "ledger.db", Pinned)).session == session
    with pytest.raises(SettingsError, match="no session"):
        control.perform("pin", {"model": "claude-opus-4-5", "session": "never"}, Settings(), later, folder=tmp_path)


async def test_with_a_gateway_it_goes_there(tmp_path: Path) -> None:
    async with gateway(tmp_path, "http://127.0.0.1:1", engine()) as g:
        control.announce(g.found, tmp_path)
        given = {"model": "claude-opus-4-5", "scope": "always"}
        done = await asyncio.to_thread(control.perform, "pin", given, Settings(), 5.0, folder=tmp_path)
        assert done.live and "running gateway" in done.said
        control.withdraw(replace(g.found, pid=1), tmp_path)  # another's announcement stays
        assert (tmp_path / control.GATEWAY_FILE).exists()
        control.withdraw(g.found, tmp_path)
        assert not (tmp_path / control.GATEWAY_FILE).exists()


async def test_a_gateway_that_is_only_busy_is_found(tmp_path: Path) -> None:
    """A second one beside it, or a pin in the ledger that it never reads, would be worse than the wait."""

    async def busy(request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(1.5)
        return web.json_response({"pointsman": True, "pid": os.getpid()})

    async with serving(busy) as url:
        found = control.Found(int(url.rpartition(":")[2]), os.getpid(), "t", "0", 0.0)
        control.announce(found, tmp_path)
        assert await asyncio.to_thread(control.find_gateway, tmp_path) == found


def test_a_locked_ledger_refuses_a_direct_pin_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlite3

    Ledger(tmp_path / "ledger.db").close()
    monkeypatch.setattr(control, "WAIT_S", 0.2)
    other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerError, match="locked.*nothing was changed"):
        control.perform("pin", {"model": "claude-opus-4-5", "scope": "always"}, Settings(), 5.0, folder=tmp_path)
    other.close()


def test_stale_and_damaged_announcements_are_no_gateway(tmp_path: Path) -> None:
    assert control.find_gateway(tmp_path) is None
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    control.announce(control.Found(1, gone.pid, "t", "0", 0.0), tmp_path)
    assert control.find_gateway(tmp_path) is None
    control.announce(control.Found(1, os.getpid(), "t", "0", 0.0), tmp_path)  # alive, but not listening
    assert control.find_gateway(tmp_path, timeout=0.2) is None
    (tmp_path / control.GATEWAY_FILE).write_text("{")
    assert control.find_gateway(tmp_path) is None
    with pytest.raises(UpstreamError, match="does not answer"):
        control.call(control.Found(1, 1, "t", "0", 0.0), "sessions")


def test_the_commands_side_needs_the_standard_library_only() -> None:
    script = (
        "import sys, pointsman.shell.control\n"
        "print(*sorted({'aiohttp', 'pydantic', 'msgspec', 'asyncio', 'platformdirs'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
