"""OpenAI's own shell tool in a session that another vendor's model takes over, and the way back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pointsman.core.events import Noted
from pointsman.sandbox import Incoming, Reply, say
from pointsman.sandbox.answers import events as told
from pointsman.sandbox.reply import Call
from pointsman.wire import shelling
from pointsman.wire.foreign import for_other_vendor
from shell.speaking import Speaking
from shell.support import events
from shell.test_translate import both, keys, pin

__all__ = ["keys"]

COMMAND = {"command": ["pytest", "-q"], "working_directory": "/w", "timeout_ms": 9_000}


def script(request: Incoming) -> Reply:
    """Another vendor's model runs a command; the shell's own form is for OpenAI's models, which say words here."""
    if "claude" in request.model and request.step < 1:
        return say("I run it.", Call(shelling.NAME, dict(COMMAND)))
    return say(f"Turn {request.turn} is done.")


RAN = [
    {"type": "local_shell_call", "id": "lsh_1", "call_id": "call_1", "status": "completed",
     "action": {"type": "exec", "command": ["ls"], "env": {}, "working_directory": None}},
    {"type": "function_call_output", "call_id": "call_1", "output": "a.py"},
]  # fmt: skip
"""A call of the shell and its output, as Codex words it."""


@pytest.mark.parametrize("stream", [True, False])
async def test_the_shell_goes_there_and_comes_back(tmp_path: Path, stream: bool) -> None:
    async with both(tmp_path, script) as (provider, gateway, http):
        talk = Speaking(http, gateway.url, "responses", stream=stream, more={"tools": [{"type": "local_shell"}]})
        talk.history += [talk._prompt("look around"), *RAN]
        await talk.turn("first")
        await pin(gateway, talk.session, "claude-haiku-5-5")
        await talk.ask_prompt("second")
        there = provider.requests[-1]
        assert there.model == "claude-haiku-5-5" and there.status == 200
        blocks = [b for m in there.json["messages"] if isinstance(m["content"], list) for b in m["content"]]
        uses = [(b["id"], b["name"], b["input"]) for b in blocks if b["type"] == "tool_use"]
        assert uses == [("call_1", "local_shell", {"command": ["ls"]})]
        assert [b["tool_use_id"] for b in blocks if b["type"] == "tool_result"] == ["call_1"]
        assert [tool["name"] for tool in there.json["tools"]] == ["local_shell"]
        call = talk.history[-1]
        assert call["type"] == "local_shell_call" and call["action"] == {"type": "exec", "env": {}, **COMMAND}
        assert call["id"].startswith("lsh_") and call["status"] == "completed"
        kinds = [event.get("type") for event in told(talk.raw.decode())]
        assert not any(str(kind).startswith("response.function_call_arguments") for kind in kinds)
        talk.history.append({"type": "function_call_output", "call_id": call["call_id"], "output": "1 passed"})
        assert not await talk.ask() and talk.said.startswith("Turn")
        results = [b for m in provider.requests[-1].json["messages"] if isinstance(m["content"], list) for b in m["content"]
                   if b["type"] == "tool_result"]  # fmt: skip
        assert "1 passed" in json.dumps(results[-1])
        await pin(gateway, talk.session, None)
        assert await talk.turn("third") == "Turn 4 is done."
        assert provider.requests[-1].model == talk.model and set(talk.status) == {200}
    assert not {e.code for e in events(tmp_path / "ledger.db", Noted)} & {"not_translated", "refused_change", "fail_open"}


def test_the_apis_own_form_of_an_output_is_paired_by_its_id() -> None:
    own = [RAN[0], {"type": "local_shell_call_output", "id": "call_1", "output": "a.py"}]
    as_codex, as_api = (for_other_vendor("responses", {"model": "m", "input": items})["input"] for items in (RAN, own))
    assert as_codex == as_api and [item["type"] for item in as_api] == ["function_call", "function_call_output"]


def test_a_call_that_is_not_as_asked_for_is_still_a_call() -> None:
    made = shelling.as_shell({"id": "fc_1", "call_id": "c", "arguments": '{"command": "ls | wc"}'})
    assert made["action"]["command"] == ["bash", "-lc", "ls | wc"]
    for odd in ("not json", "[]", '{"command": null}', ""):
        assert shelling.as_shell({"id": "fc_1", "call_id": "c", "arguments": odd})["action"]["command"] == []
    assert shelling.as_function({"action": None}, "c")["arguments"] == "{}"
    assert not shelling.is_offered(None) and not shelling.is_offered("x") and shelling.is_offered([{"type": "local_shell"}])
