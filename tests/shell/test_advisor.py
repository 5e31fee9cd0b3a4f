"""A stronger model's advice over real HTTP: pushed before a request, or called for by the working model, in each protocol."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pointsman.core.events import Advised, Finished, Routed
from pointsman.core.tally import tally
from pointsman.core.timeline import Timeline
from pointsman.sandbox import Clock, Provider
from pointsman.sandbox.incoming import Incoming
from pointsman.sandbox.reply import Call, Reply, Thinking, say
from pointsman.settings import Settings
from pointsman.shell.gateway import Gateway
from pointsman.tui.reasons import why
from shell.advised import ADVICE, PAIRS, TOOL, consults_once, is_advisor, shell_of, stage
from shell.speaking import Speaking
from shell.support import client, events
from shell.talking import SESSION, Client


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("protocol", ["messages", "responses", "chat", "gemini"])
async def test_a_call_of_the_advisor_is_answered_inside_one_answer(tmp_path: Path, protocol: str, stream: bool) -> None:
    async with stage(tmp_path, protocol, consults_once(shell_of(protocol)), stream=stream) as on:
        heard = await on.agent.ask("Mend calc.py.")
        later = await on.agent.ask("And now?")
        assert [record.status for record in on.provider.requests] == [200] * len(on.provider.requests)
        assert (len(on.asked), len(on.work)) == (1, 4)
    assert [h.status for h in (*heard, *later)] == [200, 200, 200]
    assert heard[0].text.startswith("I ask first.Now I know.") and [name for name, _ in heard[0].calls] == [shell_of(protocol)]
    assert TOOL.encode() not in heard[0].data.replace(b'"tools"', b"") or protocol == "responses"
    question = json.dumps(on.asked[0].json)
    assert "Which sign?" in question and "Mend calc.py." in question and on.asked[0].model == PAIRS[protocol][1]
    for before, now in zip(on.work, on.work[1:], strict=False):
        assert before.bill is not None and now.bill is not None
        assert now.bill.read >= 0.9 * (before.bill.read + before.bill.write + before.bill.fresh) - 200, "the cache is kept"
    assert ADVICE in json.dumps(on.work[1].json) and ADVICE in json.dumps(on.work[-1].json)
    advised = on.advised()
    assert [(a.how, a.outcome, a.advice) for a in advised] == [("pull", "given", None)]
    assert advised[0].usage is not None and advised[0].usage.output > 0 and advised[0].rates is not None
    first = events(on.ledger, Finished)[0]
    assert len(first.usage.extra) == 1 and first.usage.extra[0][0] == PAIRS[protocol][0]


@pytest.mark.parametrize("protocol", ["messages", "responses", "chat", "gemini"])
async def test_beside_tools_of_the_client_the_advice_joins_their_results(tmp_path: Path, protocol: str) -> None:
    async with stage(tmp_path, protocol, consults_once(shell_of(protocol), joined=True)) as on:
        heard = await on.agent.ask("Mend calc.py.")
        await on.agent.ask("And now?")
    assert [name for h in heard for name, _ in h.calls] == [shell_of(protocol)] * 2
    assert (len(on.asked), [r.status for r in on.work]) == (1, [200] * 4)
    assert ADVICE not in json.dumps(on.work[0].json) and all(ADVICE in json.dumps(r.json) for r in on.work[1:])
    assert [(a.how, a.outcome) for a in on.advised()] == [("pull", "given")]


@pytest.mark.parametrize("protocol", ["messages", "responses", "chat", "gemini"])
async def test_without_a_call_not_a_byte_of_the_answer_changes(tmp_path: Path, protocol: str) -> None:
    def script(request: Incoming) -> Reply:
        return (
            say(Thinking("a"), "Words. " * 50, Call(shell_of(protocol), {"command": "ls"})) if not request.step else say("Done.")
        )

    async with stage(tmp_path, protocol, script) as on:
        through = await on.agent.ask("Go.")
        direct = Client(on.agent._http, on.provider.url, on.agent.protocol, on.agent.model, **on.agent.more)
        on.provider.log.clear()
        on.provider.cache.clear()
        alone = await direct.ask("Go.")
    kinds = [
        [(e.get("type"), e.get("index"), e.get("output_index"), e.get("sequence_number")) for e in h.events] for h in through
    ]
    assert kinds == [
        [(e.get("type"), e.get("index"), e.get("output_index"), e.get("sequence_number")) for e in h.events] for h in alone
    ]


async def test_one_start_one_ending_and_the_usage_of_both(tmp_path: Path) -> None:
    async with stage(tmp_path, "messages", consults_once("Bash")) as on:
        heard = (await on.agent.ask("Mend calc.py."))[0]
    kinds = [e["type"] for e in heard.events]
    assert kinds.count("message_start") == kinds.count("message_delta") == kinds.count("message_stop") == 1
    starts = [(e["index"], e["content_block"]["type"]) for e in heard.events if e["type"] == "content_block_start"]
    assert starts == [(0, "thinking"), (1, "text"), (2, "thinking"), (3, "text"), (4, "tool_use")]
    usage = next(e["usage"] for e in heard.events if e["type"] == "message_delta")
    bills = [record.bill for record in on.work[:2]]
    assert usage["output_tokens"] == sum(b.output for b in bills if b)
    assert usage["cache_read_input_tokens"] == sum(b.read for b in bills if b)
    assert [part["type"] for part in usage["iterations"]] == ["message", "message"]
    assert usage["iterations"][1]["cache_read_input_tokens"] == bills[1].read  # type: ignore[union-attr]


@pytest.mark.parametrize("protocol", ["messages", "responses", "chat"])
async def test_a_failed_check_is_advised_before_the_next_try(tmp_path: Path, protocol: str) -> None:
    def script(request: Incoming) -> Reply:
        return say(f"Answer {len(request.messages)}.")

    async with stage(tmp_path, protocol, script, "push") as on:
        await on.agent.ask("Mend calc.py.")
        on.fails_a_check()
        await on.agent.ask("The check failed: 1 failed, test_add.")
        await on.agent.ask("Thanks.")
        decisions = [e.decision for e in events(on.ledger, Routed)]
    assert [d.action for d in decisions] == ["stay", "advise", "stay"], [d.sentence for d in decisions]
    assert decisions[1].consult is not None and decisions[1].consult.model == PAIRS[protocol][1]
    assert len(on.asked) == 1 and "test_add" in json.dumps(on.asked[0].json)
    assert ADVICE not in json.dumps(on.work[0].json)
    assert all(ADVICE in json.dumps(r.json) for r in on.work[1:]) and [r.status for r in on.work] == [200] * 3
    key = "input" if protocol == "responses" else "messages"
    before, after = on.work[1].json[key], on.work[2].json[key]
    assert json.dumps(before[-1]) in json.dumps(after), "the advice is repeated as it was"


async def test_the_text_is_kept_only_where_the_user_says_so(tmp_path: Path) -> None:
    async with stage(tmp_path, "messages", consults_once("Bash"), keep_text=True) as on:
        await on.agent.ask("Mend calc.py.")
    kept = on.advised()[0].advice
    assert kept is not None and kept.text == ADVICE


async def test_an_advisor_of_another_vendor_gets_its_own_key_and_nobody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
    async with stage(tmp_path, "messages", consults_once("Bash"), executor="claude-haiku-5-5", model="gpt-6-astra") as on:
        heard = await on.agent.ask("Mend calc.py.")
    assert [h.status for h in heard] == [200, 200]
    question = on.asked[0]
    assert question.path.endswith("/responses") and question.model == "gpt-6-astra"
    assert question.credential != on.work[0].credential and "x-api-key" not in question.headers
    assert ADVICE in json.dumps(on.work[1].json) and [a.outcome for a in on.advised()] == ["given"]


async def test_a_beta_that_the_advisor_does_not_take_stays_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, sent = Client.headers.fget, "fast-mode-2026-02-01,some-beta-2026-01-01"  # type: ignore[attr-defined]
    monkeypatch.setattr(Client, "headers", property(lambda self: {**plain(self), "anthropic-beta": sent}))
    executor = "claude-opus-5-5"
    async with stage(tmp_path, "messages", consults_once("Bash"), executor=executor, model="claude-fable-5-1") as on:
        await on.agent.ask("Mend calc.py.")
        assert [(record.model, record.status) for record in on.asked] == [("claude-fable-5-1", 200)]
        assert on.asked[0].headers["anthropic-beta"] == "some-beta-2026-01-01"
        assert on.work[0].headers["anthropic-beta"] == sent


async def test_what_was_asked_is_charged_to_us_and_told(tmp_path: Path) -> None:
    async with stage(tmp_path, "messages", consults_once("Bash")) as on:
        await on.agent.ask("Mend calc.py.")
        text = control_advice(on.gateway)
    timeline = Timeline(events(on.ledger))
    session = timeline.sessions[SESSION]
    row = session.turns[0].requests[0]
    assert row.advice_usd > 0 and row.billed is not None and row.asked_usd is not None
    assert row.billed - row.asked_usd > 0.9 * row.advice_usd and session.totals.net < 0
    found = tally([session]).advice[("claude-opus-5-5", "pull")]
    assert (found.asked, found.given, found.usd) == (1, 1, pytest.approx(row.advice_usd))
    assert list(text.values()) == [ADVICE]
    decision = session.turns[0].decision
    assert decision is not None
    shown = "\n".join("".join(part if isinstance(part, str) else part[0] for part in line) for line in
                      why(decision, 100, turn=session.turns[0], advice=text))  # fmt: skip
    assert "asked by the working model: answered" in shown and ADVICE in shown


def control_advice(gateway: Gateway) -> dict[str, str]:
    return dict(gateway._shown("advice")["advice"])


def gate_of(event: Routed) -> str:
    return next((gate.said for gate in event.decision.gates if gate.name == "advisor"), "")


async def test_a_gemini_client_gets_pushed_advice_too(tmp_path: Path) -> None:
    def script(request: Incoming) -> Reply:
        return say(ADVICE) if is_advisor(request) else say(f"Answer {len(request.messages)}.")

    given = Settings(advisor={"model": "claude-opus-5-5"}, failure_usd=500.0, check=True)
    async with Provider(script=script, clock=Clock()) as provider, client() as http:
        ledger = tmp_path / "ledger.db"
        async with Gateway(given, upstream=provider.url, ledger=ledger, say=print, clock=provider.clock) as gateway:
            agent = Speaking(http, gateway.url, "gemini", model="gemini-3.6-flash")
            await agent.turn("Mend calc.py.")
            provider.clock.advance(2.0)
            router = gateway.desk.router
            session = next(iter(router.sessions))
            router.signal(session=session, kind="check_failed", now=provider.clock(), detail={"by": "test"})
            provider.clock.advance(2.0)
            await agent.turn("The check failed: test_add.")
            await agent.turn("Thanks.")
            assert agent.status == [200] * 3
    work = [r for r in provider.requests if r.protocol == "gemini"]
    assert [ADVICE in json.dumps(r.json) for r in work] == [False, True, True], [gate_of(e) for e in events(ledger, Routed)]
    assert [(a.how, a.outcome) for a in events(ledger, Advised)] == [("push", "given")]
    assert work[2].json["contents"][: len(work[1].json["contents"])] == work[1].json["contents"]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_model_of_another_vendor_asks_through_the_translation(tmp_path: Path, stream: bool) -> None:
    async with stage(tmp_path, "messages", consults_once("Bash"), stream=stream, model="claude-fable-5-1") as on:
        await on.agent.ask("Hello.")
        on.gateway.desk.router.pin("gpt-6-luna", session=SESSION, now=on.gateway.desk.clock())
        on.agent.history.clear()
        heard = await on.agent.ask("Mend calc.py.")
        await on.agent.ask("And now?")
    assert heard[0].text == "I ask first.Now I know." and heard[-1].text == "Done."
    work = [record for record in on.work if record.model == "gpt-6-luna"]
    assert [(r.protocol, r.status) for r in work] == [("responses", 200)] * 4
    assert all(ADVICE in json.dumps(r.json) for r in work[1:])
    assert events(on.ledger, Finished)[2].usage.extra[0][0] == "gpt-6-luna"


async def test_a_gemini_key_in_the_query_goes_with_the_question(tmp_path: Path) -> None:
    class Keyed(Client):
        headers = {"content-type": "application/json", "user-agent": "python-requests/2.32"}  # noqa: RUF012 - in place of a property

        @property
        def path(self) -> str:
            return super().path + "&key=sk-in-query"

    async with stage(tmp_path, "gemini", consults_once("shell")) as on:
        agent = Keyed(on.agent._http, on.gateway.url, "gemini", on.agent.model, system=on.agent.system, clock=on.agent.clock)
        heard = await agent.ask("Mend calc.py.")
    assert heard[-1].text == "Done." and [a.outcome for a in on.advised()] == ["given"]
    assert all("key=sk-in-query" in record.path for record in on.provider.requests)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_gemini_client_whose_model_is_another_vendors_is_advised_too(tmp_path: Path, stream: bool) -> None:
    async with stage(tmp_path, "gemini", consults_once("shell"), stream=stream, model="claude-fable-5-1") as on:
        router = on.gateway.desk.router
        router.pin("claude-haiku-5-5", now=on.gateway.desk.clock(), scope="always")
        on.agent.history.clear()
        heard = await on.agent.ask("Mend calc.py.")
        await on.agent.ask("And now?")
    assert heard[0].text == "I ask first.Now I know." and heard[-1].text == "Done."
    work = [record for record in on.work if record.model == "claude-haiku-5-5"]
    assert [(r.protocol, r.status) for r in work] == [("messages", 200)] * 4, [r.model for r in on.work]
    assert all(ADVICE in json.dumps(r.json) for r in work[1:])
