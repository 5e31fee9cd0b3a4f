"""Anthropic's own advisor tool: billed at its own model, capped by session, and kept from models that would refuse it."""

from __future__ import annotations

import json
from pathlib import Path

from pointsman.core.events import Finished
from pointsman.sandbox.incoming import Incoming
from pointsman.sandbox.reply import Call, Reply, Thinking, consult, say
from shell.advised import ADVICE, stage
from shell.support import events
from shell.talking import SESSION


async def test_anthropics_own_advisor_is_billed_at_its_own_model(tmp_path: Path) -> None:
    def script(request: Incoming) -> Reply:
        if request.turn > 1:
            return say("Later.")
        if request.step == 0:
            return say("I ask.", *consult(ADVICE), "Now I know.", Call("Bash", {"command": "ls"}))
        return say("Done.")

    async with stage(tmp_path, "messages", script, provider_tool=True) as on:
        heard = await on.agent.ask("Mend calc.py.")
        await on.agent.ask("And now?")
        assert [r.status for r in on.provider.requests] == [200] * 3 and not on.asked
    tools = [[t for t in r.json["tools"] if t.get("type") == "advisor_20260301"] for r in on.work]
    assert tools[0] == tools[1] == tools[2] and tools[0][0]["model"] == "claude-opus-5-5"
    assert all("advisor-tool-2026-03-01" in r.headers["anthropic-beta"] for r in on.work)
    assert heard[0].text == "I ask.Now I know." and "advisor_tool_result" in heard[0].data.decode()
    first = events(on.ledger, Finished)[0]
    ((model, used),) = first.usage.extra
    assert model == "claude-opus-5-5" and used.fresh > 0 and dict(first.other_rates)[model].fresh > first.rates.fresh


def provider_consults(request: Incoming) -> Reply:
    """Asks Anthropic's own advisor in every step where it is offered."""
    step = request.step
    if step == 6:
        return say("Done.")
    asks = consult(ADVICE) if any(tool.get("type") == "advisor_20260301" for tool in request.body["tools"]) else ()
    return say(Thinking(f"step {step}"), f"Step {step}.", *asks, f"After {step}.", Call("Bash", {"command": f"ls {step}"}))


async def test_anthropics_own_advisor_is_capped_by_session_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with stage(tmp_path, "messages", provider_consults, provider_tool=True, per_session=2) as on:
        heard = await on.agent.ask("Mend calc.py.")
        heard += await on.agent.ask("And now?", rounds=1)
    assert [h.status for h in heard] == [200] * 8 and [r.status for r in on.provider.requests] == [200] * 8
    offered = [[t for t in r.json["tools"] if t.get("type") == "advisor_20260301"] for r in on.work]
    assert [len(tools) for tools in offered] == [1, 1, *[0] * 6] and offered[0] == offered[1]
    assert offered[0][0]["max_uses"] == 1
    assert sum(len(e.usage.extra) for e in events(on.ledger, Finished) if e.usage) == 2
    assert all("advisor" not in json.dumps(r.json["messages"]) for r in on.work[2:]), "its blocks are refused without it"
    assert all("After 0." in json.dumps(r.json["messages"]) for r in on.work[2:])
    for before, now in zip(on.work[2:], on.work[3:], strict=False):
        assert before.bill is not None and now.bill is not None and now.bill.read >= 0.9 * before.bill.prompt - 200


async def test_another_model_is_not_shown_what_anthropics_own_advisor_left(tmp_path: Path) -> None:
    async with stage(tmp_path, "messages", provider_consults, provider_tool=True, per_session=9) as on:
        await on.agent.ask("Mend calc.py.", rounds=2)
        on.agent.returns([("Bash", call["id"]) for call in on.agent.history[-1]["content"] if call["type"] == "tool_use"])
        router, now = on.gateway.desk.router, on.gateway.desk.clock
        router.pin("claude-opus-4-6", session=SESSION, now=now())
        there = await on.agent.send()
        on.agent.returns(there.calls)
        router.pin("claude-sonnet-5-5", session=SESSION, now=now())
        back = await on.agent.send()
    assert [r.status for r in on.provider.requests] == [200] * 4 and (there.status, back.status) == (200, 200)
    assert [r.model for r in on.work] == ["claude-sonnet-5-5"] * 2 + ["claude-opus-4-6", "claude-sonnet-5-5"]
    shown = ["advisor_tool_result" in json.dumps(r.json["messages"]) for r in on.work]
    assert shown == [False, True, False, True]
    before, after = on.work[1].bill, on.work[3].bill
    assert before is not None and after is not None and after.read >= 0.9 * before.prompt - 200, "the way back is warm"
