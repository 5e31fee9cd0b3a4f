"""Advice that fails, is late, is capped or is lost: the working model goes on, and what was asked is told and charged."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from pointsman.core.events import Finished
from pointsman.sandbox import faults
from pointsman.sandbox.incoming import Incoming
from pointsman.sandbox.reply import Reply, say
from shell.advised import ADVICE, ASKS, TOOL, consults_once, is_advisor, shell_of, stage
from shell.support import events, until


async def test_an_advisor_that_fails_or_is_late_never_stops_the_work(tmp_path: Path) -> None:
    for n, (fault, outcome, timeout_s) in enumerate((
        (faults.status(500), "failed", 60.0), (faults.cut("text"), "failed", 60.0), (faults.hang("headers"), "timeout", 0.3),
    )):  # fmt: skip
        path = tmp_path / str(n)
        path.mkdir()
        async with stage(path, "messages", consults_once("Bash"), timeout_s=timeout_s) as on:
            on.provider.fault(fault, when=is_advisor)
            heard = await on.agent.ask("Mend calc.py.")
            assert [h.status for h in heard] == [200, 200] and heard[-1].text == "Done."
        assert [a.outcome for a in on.advised()] == [outcome]
        assert "did not answer" in json.dumps(on.work[1].json)


async def test_caps_hold_and_say_so(tmp_path: Path) -> None:
    def script(request: Incoming) -> Reply:
        done = [
            m for m in request.messages if "consult" in json.dumps(m) or ADVICE in json.dumps(m) or "No advice" in json.dumps(m)
        ]
        return say("One more.", ASKS) if len(done) < 6 else say("Done.")

    async with stage(tmp_path, "messages", script, per_session=2) as on:
        heard = await on.agent.ask("Go.")
    assert [h.status for h in heard] == [200] and heard[0].text == "One more." * 3 + "Done."
    assert [a.outcome for a in on.advised()] == ["given", "given", "capped"] and len(on.asked) == 2
    assert "No advice can be had now" in json.dumps(on.work[-1].json)


async def test_a_budget_too_small_asks_nobody(tmp_path: Path) -> None:
    async with stage(tmp_path, "messages", consults_once("Bash"), budget_usd=0.0001) as on:
        await on.agent.ask("Mend calc.py.")
    assert not on.asked and [a.outcome for a in on.advised()] == ["capped"]


async def test_a_refused_continuation_drops_the_answer_and_the_retry_goes_as_asked(tmp_path: Path) -> None:
    async with stage(tmp_path, "messages", consults_once("Bash")) as on:
        on.provider.fault(faults.status(400), when=lambda request: "tool_result" in json.dumps(request.messages))
        on.agent.says("Mend calc.py.")
        with pytest.raises(Exception, match=r"."):
            await on.agent.send()
        heard = await on.agent.send()
    assert heard.status == 200 and heard.text == "No tool."
    assert TOOL not in json.dumps(on.work[-1].json)


@pytest.mark.parametrize("protocol", ["messages", "responses", "chat", "gemini"])
async def test_the_client_is_kept_alive_while_the_advisor_thinks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    monkeypatch.setattr("pointsman.shell.advising.PING_S", 0.02)
    async with stage(tmp_path, protocol, consults_once(shell_of(protocol)), timeout_s=1.5) as on:
        on.provider.fault(faults.hang("headers"), when=is_advisor)
        heard = await on.agent.ask("Mend calc.py.")
    sign = {"messages": b"event: ping", "gemini": b"\n\n\n\n"}.get(protocol, b": keep-alive")
    assert heard[0].data.count(sign) >= 3 and heard[-1].text == "Done."
    assert [a.outcome for a in on.advised()] == ["timeout"]


async def test_a_client_that_hangs_up_while_we_ask_leaves_a_row_and_a_bill(tmp_path: Path) -> None:
    async with stage(tmp_path, "messages", consults_once("Bash")) as on:
        on.provider.fault(faults.hang("headers"), when=is_advisor)
        on.agent.says("Mend calc.py.")
        task = asyncio.ensure_future(on.agent.send())
        await until(lambda: on.asked)
        task.cancel()
        await until(lambda: on.advised())
    assert [(a.outcome, a.why) for a in on.advised()] == [("failed", "the client hung up")]
    assert events(on.ledger, Finished)[0].stop == "hangup"


async def test_without_a_key_another_vendors_advisor_is_not_asked_with_the_clients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    async with stage(tmp_path, "messages", consults_once("Bash"), split=True, model="gpt-6-astra") as on:
        heard = await on.agent.ask("Mend calc.py.")
    assert heard[-1].text == "Done." and not on.asked
    assert [(a.outcome, "OPENAI_API_KEY" in a.why) for a in on.advised()] == [("failed", True)]


@pytest.mark.parametrize("protocol", ["messages", "responses", "chat", "gemini"])
async def test_an_answer_that_is_lost_after_the_advice_takes_its_call_with_it(tmp_path: Path, protocol: str) -> None:
    """The client asks again and the model answers anew: what it called for the first time is no part of that answer."""
    async with stage(tmp_path, protocol, consults_once(shell_of(protocol))) as on:
        on.provider.fault(faults.status(503), when=lambda request: ADVICE in json.dumps(request.messages))
        on.agent.says("Mend calc.py.")
        with pytest.raises(Exception, match=r"."):
            await on.agent.send()
        heard = [await on.agent.send()]
        on.agent.returns(heard[-1].calls)
        await on.agent.send()
    assert heard[0].text == "I ask first.Now I know." and len(on.asked) == 1, "the advice is not paid for twice"
    assert [(a.outcome, a.usage is not None) for a in on.advised()] == [("given", True), ("given", False)]
    assert [r.status for r in on.work] == [200, 503, 200, 200, 200]
    assert json.dumps(on.work[-1].json).count(ADVICE) == 1, "the call of the lost answer is not told"
    assert on.work[-1].bill is not None and on.work[-2].bill is not None
    assert on.work[-1].bill.read >= 0.9 * on.work[-2].bill.prompt - 200


@pytest.mark.parametrize("protocol", ["messages", "responses", "chat", "gemini"])
async def test_a_client_that_leaves_while_the_advice_is_awaited_finds_it_when_it_asks_again(
    tmp_path: Path, protocol: str
) -> None:
    async with stage(tmp_path, protocol, consults_once(shell_of(protocol), joined=True), timeout_s=3.0) as on:
        on.provider.fault(faults.hang("headers"), when=is_advisor)
        on.agent.says("Mend calc.py.")
        on.agent.returns((await on.agent.send()).calls)
        left = asyncio.ensure_future(on.agent.send())
        await until(lambda: on.asked)
        await asyncio.sleep(0.1)
        left.cancel()
        heard = await on.agent.send()
    assert heard.status == 200 and [(a.how, a.outcome) for a in on.advised()] == [("pull", "timeout")]
    assert len(on.asked) == 1 and "did not answer" in json.dumps(on.work[-1].json), "what came of it was waited for again"


async def test_a_gateway_that_stops_records_the_advice_it_still_waits_for(tmp_path: Path) -> None:
    async with stage(tmp_path, "messages", consults_once("Bash", joined=True)) as on:
        on.provider.fault(faults.hang("headers"), when=is_advisor)
        on.agent.says("Mend calc.py.")
        await on.agent.send()
        await until(lambda: on.asked)
    assert [(a.how, a.outcome, a.why) for a in on.advised()] == [("pull", "failed", "the gateway was stopped")]


async def test_an_advice_that_breaks_off_in_an_error_is_none(tmp_path: Path) -> None:
    async with stage(tmp_path, "messages", consults_once("Bash")) as on:
        on.provider.fault(faults.error_event("overloaded_error", at="end"), when=is_advisor)
        heard = await on.agent.ask("Mend calc.py.")
    assert [h.status for h in heard] == [200, 200] and [a.outcome for a in on.advised()] == ["failed"]
    assert ADVICE not in json.dumps(on.work[1].json) and "did not answer" in json.dumps(on.work[1].json)


async def test_an_advice_that_joins_nothing_is_charged_all_the_same(tmp_path: Path) -> None:
    """The client asks for the same answer again: the first one's call is gone, and what it cost is not."""
    async with stage(tmp_path, "messages", consults_once("Bash", joined=True)) as on:
        on.agent.says("Mend calc.py.")
        await on.agent.send()
        on.agent.history.pop()  # the answer never arrived there
        heard = await on.agent.send()
        on.agent.returns(heard.calls)
        await on.agent.send()
        await until(lambda: len(on.advised()) == 2)
    assert len(on.asked) == 2 and all(a.usage is not None for a in on.advised())
    assert sorted(a.edit is None for a in on.advised()) == [False, True]
    assert [r.status for r in on.work] == [200] * 3 and json.dumps(on.work[-1].json).count(ADVICE) == 1
