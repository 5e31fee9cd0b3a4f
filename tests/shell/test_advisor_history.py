"""What advice adds to a history, when that is compacted, the gateway is started again, or an agent works beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pointsman.sandbox import Clock, Provider
from pointsman.sandbox.incoming import Incoming
from pointsman.sandbox.reply import Reply, Thinking, say
from pointsman.settings import Settings
from pointsman.shell.gateway import Gateway
from shell.advised import ADVICE, PAIRS, TOOL, consults_once, is_advisor, shell_of, stage
from shell.support import client
from shell.talking import Client

SUMMARY = "This session is being continued from a previous conversation that ran out of context. We mended calc.py."


@pytest.mark.parametrize("keep_text", [True, False])
@pytest.mark.parametrize("protocol", ["messages", "responses", "chat", "gemini"])
async def test_a_restarted_gateway_repeats_the_advice_it_may_keep(tmp_path: Path, protocol: str, keep_text: bool) -> None:
    """Where the text is kept the cache is; where it is not, the history is the client's own, and nothing is refused."""
    executor, adviser, more = PAIRS[protocol]
    script = consults_once(shell_of(protocol))

    def both(request: Incoming) -> Reply:
        return say(Thinking("hm"), ADVICE) if is_advisor(request) else script(request)

    settings = Settings(advisor={"mode": "pull", "model": adviser, "keep_text": keep_text}, titles=False)
    ledger = tmp_path / "ledger.db"
    async with Provider(script=both, clock=Clock()) as provider, client() as http:
        system = "You are an agent. " * 1_200
        agent = Client(http, "", protocol, executor, system=system, clock=provider.clock, **more)  # type: ignore[arg-type]
        for prompt in ("Mend calc.py.", "And now?", "And then?"):
            async with Gateway(settings, upstream=provider.url, ledger=ledger, say=print, clock=provider.clock) as gateway:
                agent._url = gateway.url
                heard = await agent.ask(prompt)
                assert [h.status for h in heard] == [200] * len(heard)
        work = [r for r in provider.requests if "asked for advice" not in json.dumps(r.json)]
    assert [r.status for r in work] == [200] * 5 and all(TOOL in json.dumps(r.json) for r in work)
    assert [ADVICE in json.dumps(r.json) for r in work[3:]] == [keep_text] * 2
    before, now = work[2].bill, work[3].bill
    assert before is not None and now is not None
    assert now.read >= before.prompt - 600 or not keep_text, "the cache holds over the restart, blocks of 512 tokens apart"
    last, first = work[-1].bill, work[-2].bill
    assert last is not None and first is not None and last.read >= 0.9 * first.prompt - 200, "from there on the cache holds again"


@pytest.mark.parametrize("protocol", ["messages", "responses", "chat", "gemini"])
async def test_a_compacted_history_holds_no_advice_and_still_the_tool(tmp_path: Path, protocol: str) -> None:
    async with stage(tmp_path, protocol, consults_once(shell_of(protocol))) as on:
        await on.agent.ask("Mend calc.py.")
        on.agent.history.clear()
        on.agent.says(SUMMARY)
        heard = [await on.agent.send()]
        on.agent.returns(heard[-1].calls)
        heard += await on.agent.ask("Go on.", rounds=1) if not heard[-1].calls else []
    assert [r.status for r in on.provider.requests] == [200] * len(on.provider.requests)
    assert TOOL in json.dumps(on.work[3].json) and ADVICE not in json.dumps(on.work[3].json)


async def test_an_agent_beside_the_main_loop_is_offered_no_advisor(tmp_path: Path) -> None:
    async with stage(tmp_path, "messages", consults_once("Bash")) as on:
        helper = Helper(on.agent._http, on.gateway.url, "messages", on.agent.model, clock=on.agent.clock, **on.agent.more)
        await on.agent.ask("Mend calc.py.", rounds=1)
        heard = await helper.ask("Look around.")
        calls = [("Bash", block["id"]) for block in on.agent.history[-1]["content"] if block["type"] == "tool_use"]
        on.agent.returns(calls)
        await on.agent.send()
    assert heard[0].text == "No tool." and [r.status for r in on.provider.requests] == [200] * len(on.provider.requests)
    assert [TOOL in json.dumps(r.json) for r in on.work] == [True, True, False, True] and ADVICE in json.dumps(on.work[-1].json)


class Helper(Client):
    """A sub-agent of Claude Code: the session's id, and one of its own."""

    @property
    def headers(self) -> dict[str, str]:
        return {**super().headers, "x-claude-code-agent-id": "a1b2"}
