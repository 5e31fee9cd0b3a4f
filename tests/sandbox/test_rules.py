"""Each row of the parameter table is a 400 when it is violated, and accepted when it is kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pointsman.sandbox import models
from pointsman.sandbox.models import Model

USER = {"role": "user", "content": "hi"}
TOOL = {"name": "t", "input_schema": {"type": "object"}}
BETA = "mid-conversation-output-config-2026-07-01"
CLAUDES = [row for row in models.table() if row.vendor == "anthropic"]
GPTS = [row for row in models.table() if row.vendor == "openai" and row.cache != "none"]


def off(row: Model) -> dict[str, Any]:
    """What turns thinking off on this model, where that can be."""
    return {"thinking": {"type": "disabled"}} if "disabled" in row.thinking else {}


def on(row: Model) -> dict[str, Any]:
    """What turns thinking on."""
    if "adaptive" in row.thinking:
        return {"thinking": {"type": "adaptive"}}
    return {"thinking": {"type": "enabled", "budget_tokens": 1_024}}


def claude_cases(row: Model) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """(rule, request fields, accepted?) for every column of a Claude row."""
    for kind in ("adaptive", "enabled", "disabled", "between_tools"):
        more = {"budget_tokens": 1_024} if kind == "enabled" else {}
        yield f"thinking {kind}", {"thinking": {"type": kind, **more}}, kind in row.thinking
    for kind, limit in row.up_to:
        for effort in row.efforts:
            fine = row.efforts.index(effort) <= row.efforts.index(limit)
            yield f"{kind} at {effort}", {"thinking": {"type": kind}, "output_config": {"effort": effort}}, fine
    for effort in ("low", "medium", "high", "xhigh", "max", "silly"):
        yield f"effort {effort}", {"output_config": {"effort": effort}}, effort in row.efforts
    off_possible = "disabled" in row.thinking
    for name, when, fields in (
        ("sampling", row.sampling, {"temperature": 0.5}),
        ("forced tool", row.forced_tool, {"tools": [TOOL], "tool_choice": {"type": "any"}}),
        ("prefill", row.prefill, {"messages": [USER, {"role": "assistant", "content": "I"}]}),
    ):
        yield f"{name}, thinking on", fields | on(row), when == "always"
        if off_possible:
            yield f"{name}, thinking off", fields | off(row), when != "never"
    yield "default sampling", {"temperature": 1}, True
    yield "system message", {"messages": [USER, {"role": "system", "content": "note"}]}, row.system_messages
    in_band = {"role": "system", "content": [], "output_config": {"effort": "low"}}
    yield "effort message", {"messages": [USER, in_band], "beta": BETA}, row.system_messages and row.effort_messages
    yield "effort message without its beta", {"messages": [USER, in_band]}, False
    yield "output at the limit", {"max_tokens": row.max_output}, True
    yield "output over the limit", {"max_tokens": row.max_output + 1}, False
    yield "prompt over the window", {"messages": [{"role": "user", "content": "x" * int(4 * row.window / row.factor + 8)}]}, False


@pytest.mark.parametrize("row", CLAUDES, ids=lambda row: row.names[0])
async def test_every_column_of_a_claude_row(wire: Any, row: Model) -> None:
    """Accepted and refused exactly as the row says."""
    wrong = []
    for rule, fields, accepted in claude_cases(row):
        answer = await wire.messages(**({"model": row.names[0], "max_tokens": 4_000, "messages": [USER]} | fields))
        if (answer["status"] == 200) is not accepted or (not accepted and answer["error"]["type"] != "invalid_request_error"):
            wrong.append((rule, accepted, answer.get("error")))
    assert wrong == []


@pytest.mark.parametrize("row", GPTS, ids=lambda row: row.names[0])
async def test_every_column_of_an_openai_row(wire: Any, row: Model) -> None:
    """Efforts, sampling, output limits and the window."""
    name = row.names[0].replace("-*", "-x").rstrip("*")
    row = models.find(name) or row  # what single models take beside their row counts
    cases: list[tuple[dict[str, Any], bool]] = [
        ({"reasoning_effort": e}, e in row.efforts) for e in ("none", "minimal", "low", "max", "silly")
    ]
    cases += [({"temperature": 0.2}, row.sampling == "always"), ({"max_tokens": 100}, row.sampling == "always")]
    cases += [({"max_completion_tokens": row.max_output}, True), ({"max_completion_tokens": row.max_output + 1}, False)]
    cases += [({"messages": [{"role": "user", "content": "x" * (4 * row.window + 4)}]}, False)]
    wrong = []
    for fields, accepted in cases:
        answer = await wire.post("/v1/chat/completions", {"model": name, "messages": [USER]} | fields)
        if (answer["status"] == 200) is not accepted:
            wrong.append((fields, accepted, answer.get("error")))
    assert wrong == []
    update = {
        "model": name,
        "input": [{"type": "message", **USER}, {"type": "configuration_update", "reasoning": {"effort": "low"}}],
    }
    assert ((await wire.post("/v1/responses", update))["status"] == 200) is row.effort_messages


async def test_five_marks_are_one_too_many(wire: Any) -> None:
    """Four are accepted; and an hour may not follow five minutes."""
    mark = {"cache_control": {"type": "ephemeral"}}
    blocks = [{"type": "text", "text": "x", **mark} for _ in range(5)]
    assert (await wire.messages(system=blocks[:4], messages=[USER]))["status"] == 200
    answer = await wire.messages(system=blocks, messages=[USER])
    assert answer["error"]["message"] == "A maximum of 4 blocks with cache_control may be provided. Found 5."
    hour = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    assert (await wire.messages(system=[hour, blocks[0]], messages=[USER]))["status"] == 200
    assert (await wire.messages(system=[blocks[0], hour], messages=[USER]))["status"] == 400


async def test_blocks_of_the_advisor_need_its_beta_and_its_tool(wire: Any) -> None:
    """Anthropic's own advisor leaves blocks in the history that are refused without it."""
    tool = {"type": "advisor_20260301", "name": "advisor", "model": "claude-opus-5-5"}
    advised = {"role": "assistant", "content": [
        {"type": "server_tool_use", "id": "s", "name": "advisor", "input": {}},
        {"type": "advisor_tool_result", "tool_use_id": "s", "content": {"type": "advisor_result", "text": "Do X."}},
        {"type": "text", "text": "So be it."}]}  # fmt: skip
    given = {"model": "claude-haiku-5-5", "messages": [USER, advised, USER]}
    beta = "advisor-tool-2026-03-01"
    assert (await wire.messages(**given, tools=[tool], beta=beta))["status"] == 200
    for left, more in (("beta", {"tools": [tool]}), ("tool", {"beta": beta})):
        assert f"need the {left}" in (await wire.messages(**given, **more))["error"]["message"]


async def test_calls_and_results_must_pair(wire: Any) -> None:
    """Orphans of either kind are refused, in both vendors' forms."""
    call = {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "t", "input": {}}]}
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "r"}]}
    assert (await wire.messages(messages=[USER, call, result]))["status"] == 200
    assert "without `tool_result`" in (await wire.messages(messages=[USER, call, USER]))["error"]["message"]
    assert (
        "unexpected `tool_use_id`"
        in (await wire.messages(messages=[USER, {"role": "assistant", "content": "x"}, result]))["error"]["message"]
    )
    output = {"type": "function_call_output", "call_id": "a", "output": "r"}
    ask = {"model": "gpt-5.4", "input": [{"type": "message", **USER}, output]}
    assert "No tool call found" in (await wire.post("/v1/responses", ask))["error"]["message"]
    ask["input"] = [{"type": "message", **USER}, {"type": "function_call", "call_id": "a", "name": "t", "arguments": "{}"}]
    assert "No tool output found" in (await wire.post("/v1/responses", ask))["error"]["message"]


async def test_encrypted_reasoning_belongs_to_its_organisation(wire: Any) -> None:
    """The same item under another key, or a foreign one, is refused by its code."""
    from pointsman.sandbox import Thinking, say

    wire.script(lambda request: say(Thinking("hm"), "ok"))
    ask: dict[str, Any] = {"model": "gpt-5.4", "input": [{"type": "message", **USER}]}
    item = (await wire.post("/v1/responses", ask))["output"][0]
    ask["input"] += [item, {"type": "message", "role": "assistant", "content": "ok"}, {"type": "message", **USER}]
    assert (await wire.post("/v1/responses", ask))["status"] == 200
    assert (await wire.post("/v1/responses", ask, "other"))["error"]["code"] == "invalid_encrypted_content"
    item["encrypted_content"] = "gAAAAfromelsewhere"
    assert (await wire.post("/v1/responses", ask))["error"]["code"] == "invalid_encrypted_content"


async def test_text_only_models_refuse_images(wire: Any) -> None:
    """DeepSeek takes none; OpenAI does."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    for model, status in (("deepseek-v4-pro", 400), ("gpt-5.4", 200)):
        ask = {"model": model, "messages": [{"role": "user", "content": [image]}]}
        assert (await wire.post("/v1/chat/completions", ask))["status"] == status


def test_rows_are_found_by_any_spelling() -> None:
    """Dates, window suffixes and vendor prefixes do not matter; unknown names have no row."""
    for name in ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5[1m]", "anthropic/claude-sonnet-4-5"):
        assert models.find(name) == models.find("claude-sonnet-4-5")
    assert models.find("router-auto") is None and models.find("claude-sonnet-9") is None
    assert models.find("gpt-6-luna") is not models.find("gpt-6-astra")


def test_every_row_names_its_source() -> None:
    """No fact without where it comes from and when it was read."""
    assert all("2026" in " ".join(row.source) or "other" in row.vendor for row in models.table())
    for row in models.table():
        assert row.ttl_s and row.window > 0 and row.factor > 0 and set(dict(row.up_to).values()) <= set(row.efforts)
