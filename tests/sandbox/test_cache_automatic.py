"""Automatic prefix caches: OpenAI before and after 5.6, DeepSeek, Google; figures worked by hand."""

from __future__ import annotations

from typing import Any

import pytest


def turn(tokens: int, letter: str = "x", role: str = "user") -> dict[str, Any]:
    """A message of ``tokens`` tokens."""
    return {"role": role, "content": letter * (4 * tokens)}


async def chat(wire: Any, model: str, *messages: dict[str, Any], key: str = "key", **body: Any) -> tuple[int, int, int]:
    """(prompt, read, written) tokens of a Chat request."""
    usage = (await wire.post("/v1/chat/completions", {"model": model, "messages": list(messages), **body}, key))["usage"]
    details = usage["prompt_tokens_details"]
    return usage["prompt_tokens"], details["cached_tokens"], details.get("cache_write_tokens", 0)


async def test_steps_of_128_from_1024(wire: Any) -> None:
    """1,500 equal tokens: 11 whole steps are read (1,408); 1,100: 8 steps (1,024); 1,000: below the minimum."""
    for tokens, read in ((1_500, 1_408), (1_100, 1_024), (1_000, 0)):
        message = turn(tokens, chr(97 + tokens % 26))
        assert await chat(wire, "gpt-5", message) == (tokens, 0, 0)
        assert await chat(wire, "gpt-5", message) == (tokens, read, 0)


async def test_a_growing_history_reads_its_common_prefix(wire: Any) -> None:
    """1,300 shared tokens are 10 whole steps; what follows differs."""
    await chat(wire, "gpt-4o", turn(1_300), turn(400, "a", "assistant"))
    assert await chat(wire, "gpt-4o", turn(1_300), turn(400, "b", "assistant")) == (1_700, 1_280, 0)


async def test_lapses_when_idle(wire: Any) -> None:
    """Ten minutes without use and it is gone."""
    await chat(wire, "gpt-5", turn(1_500))
    wire.clock.advance(599)
    assert (await chat(wire, "gpt-5", turn(1_500)))[1] == 1_408
    wire.clock.advance(600)
    assert (await chat(wire, "gpt-5", turn(1_500)))[1] == 0


async def test_gpt_5_5_reports_blocks_of_512_less_128(wire: Any) -> None:
    """5,000 tokens: 10 x 512 - 128."""
    await chat(wire, "gpt-5.5", turn(5_000))
    assert await chat(wire, "gpt-5.5", turn(5_000)) == (5_000, 4_992, 0)


async def test_from_5_6_writes_are_reported_and_ends_count(wire: Any) -> None:
    """All 1,500 tokens are written; the next turn reads exactly those and writes its own 130."""
    assert await chat(wire, "gpt-6.1-sol", turn(1_500)) == (1_500, 0, 1_500)
    grown = (turn(1_500), turn(100, "a", "assistant"), turn(30, "b"))
    assert await chat(wire, "gpt-6.1-sol", *grown) == (1_630, 1_500, 130)
    wire.clock.advance(1_799)
    assert (await chat(wire, "gpt-6.1-sol", *grown))[1] == 1_630
    wire.clock.advance(1_800)
    assert (await chat(wire, "gpt-6.1-sol", *grown))[1] == 0


async def test_responses_names_the_lifetime_of_writes(wire: Any) -> None:
    """30 minutes unless 12 hours are asked for."""
    ask = {"model": "gpt-6.1-sol", "input": [{"type": "message", **turn(2_000)}]}
    details = (await wire.post("/v1/responses", ask))["usage"]["input_tokens_details"]
    assert details["cache_write_tokens_details"] == {"ttl_30m_tokens": 2_000, "ttl_12h_tokens": 0}
    long = await wire.post("/v1/responses", ask | {"prompt_cache_options": {"ttl": "12h"}, "prompt_cache_key": "b"})
    assert long["usage"]["input_tokens_details"]["cache_write_tokens_details"] == {"ttl_30m_tokens": 0, "ttl_12h_tokens": 2_000}


@pytest.mark.parametrize(
    "change",
    [
        {"prompt_cache_key": "other"},
        {"reasoning": {"effort": "high"}},
        {"service_tier": "flex"},
        {"text": {"verbosity": "low"}},
        {"parallel_tool_calls": False},
        {"model": "gpt-6-astra"},
        {"instructions": "Be brief."},
    ],
)
async def test_what_loses_the_prefix(wire: Any, change: dict[str, Any]) -> None:
    """Each listed reason of the vendor is a miss; without it all is read."""
    ask = {"model": "gpt-6.1-sol", "input": [{"type": "message", **turn(2_000)}], "prompt_cache_key": "a"}
    await wire.post("/v1/responses", ask)
    assert (await wire.post("/v1/responses", ask))["usage"]["input_tokens_details"]["cached_tokens"] == 2_000
    assert (await wire.post("/v1/responses", ask | change))["usage"]["input_tokens_details"]["cached_tokens"] == 0


async def test_an_effort_item_keeps_the_prefix(wire: Any) -> None:
    """GPT-6 takes the effort as an item of the history: what stood before it is read."""
    ask = {"model": "gpt-6.1-sol", "input": [{"type": "message", **turn(2_000)}]}
    await wire.post("/v1/responses", ask)
    update = {"type": "configuration_update", "reasoning": {"effort": "high"}}
    answer = await wire.post("/v1/responses", ask | {"input": [*ask["input"], update, {"type": "message", **turn(10)}]})  # type: ignore[misc]
    assert answer["usage"]["input_tokens_details"]["cached_tokens"] == 2_000


async def test_deepseek_hits_and_misses(wire: Any) -> None:
    """Its own fields add up to the prompt; units end where messages end."""
    await chat(wire, "deepseek-v4-pro", turn(500), turn(500, "a", "assistant"))
    ask = {"model": "deepseek-v4-pro", "messages": [turn(500), turn(500, "b", "assistant")]}
    usage = (await wire.post("/v1/chat/completions", ask))["usage"]
    assert (usage["prompt_cache_hit_tokens"], usage["prompt_cache_miss_tokens"]) == (500, 500)


async def test_google_counts_what_it_read(wire: Any) -> None:
    """5,000 tokens: 39 whole steps are read the second time (the parts' JSON counts too)."""
    ask = {"contents": [{"role": "user", "parts": [{"text": "x" * 20_000}]}]}
    path = "/v1beta/models/gemini-2.5-pro:generateContent"
    first = (await wire.post(path, ask))["usageMetadata"]
    assert "cachedContentTokenCount" not in first
    second = (await wire.post(path, ask))["usageMetadata"]
    assert second["cachedContentTokenCount"] == first["promptTokenCount"] // 128 * 128
