"""A stronger model's advice over real HTTP: pushed before a request, or called for by the working model, in each protocol."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pointsman.core.events import Advised, Finished, Routed
from pointsman.core.tally import tally
from pointsman.core.timeline import Timeline
from pointsman.sandbox import Clock, Provider, faults
from pointsman.sandbox.incoming import Incoming
from pointsman.sandbox.log import Record
from pointsman.sandbox.reply import Call, Reply, Thinking, consult, say
from pointsman.settings import Settings
from pointsman.shell.gateway import Gateway
from pointsman.tui.reasons import why
from shell.speaking import Speaking
from shell.support import client, events, until
from shell.talking import SESSION, Client

ADVICE = "Look at the sign in calc.py before anything else."
CLAUDE: dict[str, Any] = {"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}}
PAIRS = {
    "messages": ("claude-sonnet-5-5", "claude-opus-5-5", CLAUDE), "responses": ("gpt-6-luna", "gpt-6-astra", {}),
    "chat": ("gpt-5.5", "gpt-6-astra", {}),
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
            agent = Client(http, gateway.url, protocol, executor or usual, stream=stream, clock=provider.clock, **more)
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


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("protocol", ["messages", "responses", "chat"])
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


@pytest.mark.parametrize("protocol", ["messages", "responses", "chat"])
async def test_beside_tools_of_the_client_the_advice_joins_their_results(tmp_path: Path, protocol: str) -> None:
    async with stage(tmp_path, protocol, consults_once(shell_of(protocol), joined=True)) as on:
        heard = await on.agent.ask("Mend calc.py.")
        await on.agent.ask("And now?")
    assert [name for h in heard for name, _ in h.calls] == [shell_of(protocol)] * 2
    assert (len(on.asked), [r.status for r in on.work]) == (1, [200] * 4)
    assert ADVICE not in json.dumps(on.work[0].json) and all(ADVICE in json.dumps(r.json) for r in on.work[1:])
    assert [(a.how, a.outcome) for a in on.advised()] == [("pull", "given")]


@pytest.mark.parametrize("protocol", ["messages", "responses", "chat"])
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


async def test_an_advisor_that_fails_or_is_late_never_stops_the_work(tmp_path: Path) -> None:
    for n, (fault, outcome) in enumerate(
        ((faults.status(500), "failed"), (faults.cut("text"), "failed"), (faults.hang("headers"), "timeout"))
    ):
        path = tmp_path / str(n)
        path.mkdir()
        async with stage(path, "messages", consults_once("Bash"), timeout_s=0.3) as on:
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


async def test_the_text_is_kept_only_where_the_user_says_so(tmp_path: Path) -> None:
    async with stage(tmp_path, "messages", consults_once("Bash"), keep_text=True) as on:
        await on.agent.ask("Mend calc.py.")
    kept = on.advised()[0].advice
    assert kept is not None and kept.text == ADVICE


async def test_a_refused_continuation_drops_the_answer_and_the_retry_goes_as_asked(tmp_path: Path) -> None:
    async with stage(tmp_path, "messages", consults_once("Bash")) as on:
        on.provider.fault(faults.status(400), when=lambda request: "tool_result" in json.dumps(request.messages))
        on.agent.says("Mend calc.py.")
        with pytest.raises(Exception, match=r"."):
            await on.agent.send()
        heard = await on.agent.send()
    assert heard.status == 200 and heard.text == "No tool."
    assert TOOL not in json.dumps(on.work[-1].json)


@pytest.mark.parametrize("protocol", ["messages", "responses", "chat"])
async def test_the_client_is_kept_alive_while_the_advisor_thinks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    monkeypatch.setattr("pointsman.shell.advising.PING_S", 0.02)
    async with stage(tmp_path, protocol, consults_once(shell_of(protocol)), timeout_s=0.4) as on:
        on.provider.fault(faults.hang("headers"), when=is_advisor)
        heard = await on.agent.ask("Mend calc.py.")
    sign = b"event: ping" if protocol == "messages" else b": keep-alive"
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


async def test_without_a_key_another_vendors_advisor_is_not_asked_with_the_clients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    async with stage(tmp_path, "messages", consults_once("Bash"), split=True, model="gpt-6-astra") as on:
        heard = await on.agent.ask("Mend calc.py.")
    assert heard[-1].text == "Done." and not on.asked
    assert [(a.outcome, "OPENAI_API_KEY" in a.why) for a in on.advised()] == [("failed", True)]


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
