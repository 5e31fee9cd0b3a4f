"""Anthropic's explicit cache: every figure here is worked by hand (four characters a token on claude-sonnet-4-5)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pointsman.sandbox import faults

MARK = {"cache_control": {"type": "ephemeral"}}
HOUR = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}


def block(tokens: int, letter: str = "x", **more: Any) -> dict[str, Any]:
    """A text block of ``tokens`` tokens."""
    return {"type": "text", "text": letter * (4 * tokens), **more}


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    """A user message."""
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: dict[str, Any]) -> dict[str, Any]:
    """An assistant message."""
    return {"role": "assistant", "content": list(blocks)}


async def test_written_once_read_while_it_lives_and_refreshed_by_each_hit(wire: Any) -> None:
    """2,000 marked tokens: written, read after 200 s, and 299 s after that; gone 300 s after the last hit."""
    ask = {"system": [block(2_000, **MARK)], "messages": [user(block(100))]}
    assert await wire.used(**ask) == (100, 0, 2_000)
    wire.clock.advance(200)
    assert await wire.used(**ask) == (100, 2_000, 0)
    wire.clock.advance(299)
    assert await wire.used(**ask) == (100, 2_000, 0)
    wire.clock.advance(300)
    assert await wire.used(**ask) == (100, 0, 2_000)


async def test_an_hour_costs_its_own_bucket_and_lasts(wire: Any) -> None:
    """System for an hour, the message for five minutes: 2,000 in the one bucket, 1,000 in the other."""
    ask = {"system": [block(2_000, **HOUR)], "messages": [user(block(1_000, **MARK))]}
    usage = (await wire.messages(**ask))["usage"]
    assert usage["cache_creation"] == {"ephemeral_5m_input_tokens": 1_000, "ephemeral_1h_input_tokens": 2_000}
    wire.clock.advance(3_599)
    assert await wire.used(**ask) == (0, 2_000, 1_000)


@pytest.mark.parametrize(("model", "minimum"), [("claude-sonnet-4-5", 1_024), ("claude-haiku-4-5", 4_096)])
async def test_shorter_prefixes_than_the_minimum_are_not_cached(wire: Any, model: str, minimum: int) -> None:
    """One token below the minimum nothing is written; at the minimum all of it is."""
    short = {"model": model, "system": [block(minimum - 1, **MARK)], "messages": [user(block(10))]}
    assert await wire.used(**short) == (minimum + 9, 0, 0)
    enough = {"model": model, "system": [block(minimum, **MARK)], "messages": [user(block(10))]}
    assert await wire.used(**enough) == (10, 0, minimum)


async def test_newer_models_count_a_third_more(wire: Any) -> None:
    """Factor 1.3: 4,000 characters are 1,300 tokens on claude-opus-5-5."""
    assert await wire.used(model="claude-opus-5-5", system=[block(1_000, **MARK)], messages=[user(block(100))]) == (130, 0, 1_300)


async def test_a_moved_mark_keeps_the_prefix(wire: Any) -> None:
    """The mark is no part of the prefix: the next turn reads all that the last one wrote and writes only what is new."""
    first = [user(block(1_500, "a", **MARK))]
    assert await wire.used(messages=first) == (0, 0, 1_500)
    second = [user(block(1_500, "a")), assistant(block(50, "b")), user(block(30, "c", **MARK))]
    assert await wire.used(messages=second) == (0, 1_500, 80)


async def test_a_mark_looks_back_twenty_positions(wire: Any) -> None:
    """The old entry is found 20 positions before the mark and missed at 21."""
    start = [block(1_500, "a")]
    assert await wire.used(messages=[user(*start[:-1], start[0] | MARK)]) == (0, 0, 1_500)
    near = [*start, *(block(1, "b") for _ in range(19)), block(1, "c", **MARK)]
    assert await wire.used(messages=[user(*near)]) == (0, 1_500, 20)
    far = [*start, *(block(1, "d") for _ in range(20)), block(1, "e", **MARK)]
    assert await wire.used(messages=[user(*far)]) == (0, 0, 1_521)


async def test_a_run_of_tool_results_is_one_position(wire: Any) -> None:
    """Thirty results in a row count once, so the entry before them is still found."""
    calls = [{"type": "tool_use", "id": f"t{n}", "name": "Read", "input": {}} for n in range(30)]
    results = [{"type": "tool_result", "tool_use_id": f"t{n}", "content": "r"} for n in range(30)]
    assert await wire.used(messages=[user(block(1_500, **MARK))]) == (0, 0, 1_500)
    _, read, _ = await wire.used(messages=[user(block(1_500)), assistant(*calls), user(*results[:-1], results[-1] | MARK)])
    assert read == 1_500


TOOLS = [{"name": "Read", "description": "d" * 5_000, "input_schema": {"type": "object"}, **MARK}]


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({}, "all"),
        ({"tools": [TOOLS[0] | {"name": "Write"}]}, "nothing"),
        ({"model": "claude-sonnet-4-6"}, "nothing"),
        ({"system": [block(1_400, "t", **MARK)]}, "tools"),
        ({"tool_choice": {"type": "none"}}, "system"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1_024}}, "system"),
    ],
)
async def test_what_each_change_loses(wire: Any, change: dict[str, Any], kept: str) -> None:
    """The vendor's invalidation table: tools lose all, system keeps tools, tool choice and thinking keep both."""
    ask: dict[str, Any] = {"tools": TOOLS, "system": [block(1_500, "s", **MARK)], "messages": [user(block(1_000, "m", **MARK))]}
    _, _, whole = await wire.used(**ask)
    tools = whole - 2_500
    assert tools > 1_024
    _, read, _ = await wire.used(**(ask | change))
    assert read == {"all": whole, "nothing": 0, "tools": tools, "system": tools + 1_500}[kept]


async def test_deferred_tools_are_not_in_the_prefix(wire: Any) -> None:
    """One more deferred tool loses nothing and costs nothing."""
    ask: dict[str, Any] = {"system": [block(1_500, **MARK)], "messages": [user(block(1))]}
    _, _, whole = await wire.used(tools=TOOLS, **ask)
    deferred = {"name": "Rare", "description": "r" * 9_000, "input_schema": {"type": "object"}, "defer_loading": True}
    assert await wire.used(tools=[*TOOLS, deferred], **ask) == (1, whole, 0)


@pytest.mark.parametrize(("model", "keeps"), [("claude-opus-5-5", True), ("claude-sonnet-5-5", True), ("claude-sonnet-5", False)])
async def test_a_top_level_effort_change(wire: Any, model: str, keeps: bool) -> None:
    """Opus and Sonnet 5.5 keep the system prefix; Sonnet 5 rewrites everything."""
    ask = {"model": model, "system": [block(1_000, **MARK)], "messages": [user(block(1_000, "m", **MARK))]}
    assert await wire.used(**ask, output_config={"effort": "low"}) == (0, 0, 2_600)
    assert (await wire.used(**ask, output_config={"effort": "high"}))[1] == (1_300 if keeps else 0)


async def test_an_effort_inside_the_history_keeps_everything(wire: Any) -> None:
    """In band, effort is only one more position: the earlier prefix is read."""
    ask = {"model": "claude-opus-5-5", "beta": "mid-conversation-output-config-2026-07-01"}
    assert (await wire.messages(**ask, messages=[user(block(1_000, **MARK))]))["usage"]["cache_creation_input_tokens"] == 1_300
    more = [
        user(block(1_000)),
        {"role": "system", "content": [], "output_config": {"effort": "high"}},
        user(block(10, "y", **MARK)),
    ]
    usage = (await wire.messages(**ask, messages=more))["usage"]
    assert (usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]) == (1_300, 13)


async def test_images_come_and_go_at_the_messages_level(wire: Any) -> None:
    """An image in the history loses the messages and keeps the system."""
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
    ask = {"system": [block(1_500, **MARK)]}
    await wire.used(**ask, messages=[user(block(1_000, "m", **MARK))])
    _, read, _ = await wire.used(**ask, messages=[user(block(1_000, "m")), assistant(block(1)), user(image, block(1, **MARK))])
    assert read == 1_500


async def test_credentials_do_not_share(wire: Any) -> None:
    """What one key wrote, another does not read."""
    ask = {"system": [block(2_000, **MARK)], "messages": [user(block(1))]}
    assert (await wire.used("key", **ask))[2] == (await wire.used("other", **ask))[2] == 2_000
    assert (await wire.used("key", **ask))[1] == 2_000


async def test_readable_only_once_the_writer_has_begun_to_answer(wire: Any) -> None:
    """A request that hangs before its headers holds nothing; a parallel twin pays the write too."""
    ask = {"system": [block(2_000, **MARK)], "messages": [user(block(1))]}
    wire.provider.fault(faults.hang("headers"))
    first = asyncio.create_task(wire.used(**ask))
    while not wire.provider.requests:
        await asyncio.sleep(0.01)
    assert await wire.used(**ask) == (1, 0, 2_000)
    first.cancel()
    assert await wire.used(**ask) == (1, 2_000, 0)


async def test_lifetimes_count_from_the_start_of_the_request(wire: Any) -> None:
    """An answer that takes 120 s leaves its entry 180 s."""
    ask = {"system": [block(2_000, **MARK)], "messages": [user(block(1))]}
    wire.provider.fault(faults.slow(120))
    await wire.used(**ask)
    wire.clock.advance(179)
    assert (await wire.used(**ask))[1] == 2_000
    wire.provider.cache.clear()
    wire.provider.fault(faults.slow(120))
    await wire.used(**ask)
    wire.clock.advance(180)
    assert (await wire.used(**ask))[1] == 0


async def test_back_to_the_first_model_finds_its_cache(wire: Any) -> None:
    """A detour is not an eviction: within the lifetime the first model reads all it wrote."""
    ask = {"system": [block(2_000, **MARK)], "messages": [user(block(1))]}
    await wire.used(**ask, model="claude-opus-5-5")
    assert (await wire.used(**ask, model="claude-sonnet-5-5"))[1] == 0
    assert (await wire.used(**ask, model="claude-opus-5-5"))[1] == 2_600


async def test_a_top_level_mark_is_one_on_the_last_block(wire: Any) -> None:
    """Automatic caching marks the end of the prompt."""
    assert await wire.used(messages=[user(block(1_500))], **MARK) == (0, 0, 1_500)


async def test_prefix_counter(wire: Any) -> None:
    """The provider counts the prefix tokens it served from the cache, per model."""
    ask = {"system": [block(2_000, **MARK)], "messages": [user(block(1))]}
    for _ in range(3):
        await wire.used(**ask)
    assert wire.provider.prefix_read == {"claude-sonnet-4-5": 4_000}
