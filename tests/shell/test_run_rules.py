"""One gateway, several runs: each holds to the flags it was given and to the rules of the project it runs in."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from pointsman.core.events import Judged, Proposed, Routed, Signalled
from pointsman.core.types import Config
from pointsman.errors import SettingsError
from pointsman.sandbox import Provider
from pointsman.settings import Settings, load
from pointsman.shell import control
from pointsman.shell.gateway import Gateway
from pointsman.shell.launch import own_rules
from pointsman.shell.ledger import Ledger, recent_events
from pointsman.shell.userdata import user_record
from shell.support import body, client, events, headers

TOOL = {"name": "Write", "description": "Write a file", "input_schema": {"type": "object", "properties": {}}}
OPUS, HAIKU = "claude-opus-4-5", "claude-haiku-4-5"


async def register(g: Gateway, run: str, settings: Settings) -> None:
    given = {"run": run, "client": "anthropic", "cwd": f"/{run}", "interactive": True, **own_rules(settings)}
    await asyncio.to_thread(control.call, g.found, "run", given)


async def ask(g: Gateway, run: str, session: str, text: str, **more: Any) -> tuple[str, str]:
    """The model that ran, and the decision header."""
    sent = {**headers("messages"), "x-claude-code-session-id": f"5b1a7c9e-0000-4000-8000-{session:0>12}"}
    data = body("messages", tools=[TOOL], text=text, model=OPUS, **more)
    async with client() as c, c.post(f"{g.url}/run/{run}/v1/messages", data=data, headers=sent) as answer:
        assert answer.status == 200
        await answer.read()
        said = answer.headers["x-pointsman-decision"]
        return said.partition(";")[0], said


async def test_each_run_holds_to_its_own_projects_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTSMAN_CONFIG", str(tmp_path / "config.toml"))
    for name, text in (("a", ""), ("b", 'floor = "opus"\n'), ("c", 'protect = ["billing"]\n')):
        (tmp_path / name).mkdir()
        (tmp_path / name / ".pointsman.toml").write_text(text)
    path, flags = tmp_path / "ledger.db", {"profile": "saver", "failure_usd": 0.0}
    async with Provider() as provider, Gateway(Settings(), upstream=provider.url, ledger=path, say=print) as g:
        for name in "abc":
            await register(g, name, load(cwd=tmp_path / name, flags=flags))
        await register(g, "plain", load(cwd=tmp_path))
        cheap = (await ask(g, "a", "1", "go"))[0]
        assert cheap != OPUS
        assert (await ask(g, "b", "2", "go"))[0] == OPUS, "its project's floor"
        assert (await ask(g, "c", "3", "mend billing/x.py"))[0] == OPUS, "its project's protected work"
        assert (await ask(g, "a", "4", "mend billing/x.py"))[0] == cheap, "and nobody else's"
        model, said = await ask(g, "plain", "5", "go")
        assert model == OPUS and "the model you asked for" in said, "a run that says nothing has the gateway's own settings"
    decided = [event.decision for event in events(path, Routed)]
    (rule,) = decided[2].rules
    assert (rule.name, rule.origin) == ("protect path billing", f"{tmp_path / 'c' / '.pointsman.toml'}:1")
    assert len({decision.policy_version for decision in decided}) == 4


async def test_a_gateway_that_does_not_know_a_policy_says_so(tmp_path: Path) -> None:
    async with Gateway(Settings(), upstream="http://127.0.0.1:1", ledger=tmp_path / "ledger.db", say=print) as g:
        with pytest.raises(SettingsError, match="policy is not one that this gateway knows.*restart it"):
            await asyncio.to_thread(control.call, g.found, "run", {"run": "x", "policy": {"newer": 1}, "own": ["newer"]})


async def test_a_proposed_rule_is_answered_through_the_gateway(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with Provider() as provider, Gateway(Settings(), upstream=provider.url, ledger=path, say=print) as g:
        for n in range(3):
            await ask(g, "r", str(n), f"what is this? {n}")
            session = list(g.desk.router.sessions)[-1]
            await asyncio.to_thread(control.call, g.found, "pin", {"model": HAIKU, "session": session})
            await asyncio.to_thread(control.call, g.found, "unpin", {"session": session})
        (proposed,) = events(path, Proposed)
        said = await asyncio.to_thread(control.call, g.found, "rule", {"kind": proposed.about, "answer": "accepted"})
        assert said["event"]["answer"] == "accepted"
        assert (await ask(g, "r", "9", "what is that?"))[0] == HAIKU
        with pytest.raises(SettingsError, match="answer is 'maybe'; it can be"):
            await asyncio.to_thread(control.call, g.found, "rule", {"kind": proposed.about, "answer": "maybe"})
    assert json.loads(json.dumps(said))["event"]["kind"] == "Proposed"


def test_judgements_are_read_however_long_ago(tmp_path: Path) -> None:
    path, month = tmp_path / "ledger.db", 30 * 86_400.0
    store = Ledger(path, say=print)
    old = Judged(1.0, "s", 1, Config(OPUS), Config(HAIKU), "edit", False, 0.2, "/p", "check_passed")
    store.append([old, Signalled(1.0, "s", "check_passed")])
    store.close(5)
    assert recent_events(path, month) == [old]
    assert user_record(None, path).record().slice(Config(OPUS), Config(HAIKU), "edit").tasks == 1
