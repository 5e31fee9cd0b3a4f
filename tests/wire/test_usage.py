"""Usage objects of four protocols as disjoint buckets; what cannot be true is refused by name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.core.types import Protocol, Usage
from pointsman.errors import WireError
from pointsman.wire import usage


def test_anthropic_input_is_only_what_follows_the_last_mark() -> None:
    payload = {
        "input_tokens": 12, "cache_read_input_tokens": 9_000, "cache_creation_input_tokens": 700, "output_tokens": 50,
        "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 500},
        "output_tokens_details": {"thinking_tokens": 30},
    }  # fmt: skip
    found = usage("messages", payload)
    assert found == Usage(fresh=12, cache_read=9_000, cache_write=((300, 200), (3_600, 500)), output=20, reasoning=30)
    assert found.prompt == 9_712


def test_anthropic_writes_without_a_split_are_five_minutes() -> None:
    assert usage("messages", {"input_tokens": 1, "cache_creation_input_tokens": 7}).cache_write == ((300, 7),)
    partly = {"cache_creation_input_tokens": 7, "cache_creation": {"ephemeral_1h_input_tokens": 3}}
    assert usage("messages", partly).cache_write == ((300, 4), (3_600, 3))


def test_sub_requests_of_the_provider_are_kept_at_their_own_model() -> None:
    advisor = {"type": "advisor_message", "model": "claude-opus-5-5", "input_tokens": 900, "output_tokens": 40}
    own = {"type": "message", "input_tokens": 5, "output_tokens": 6}
    summary = {"type": "compaction", "input_tokens": 30, "output_tokens": 4, "cache_creation_input_tokens": 2}
    found = usage("messages", {"input_tokens": 5, "output_tokens": 6, "iterations": [own, advisor, summary]})
    assert (found.fresh, found.output) == (5, 6)
    assert found.extra == (
        ("claude-opus-5-5", Usage(fresh=900, output=40)),
        ("", Usage(fresh=30, cache_write=((300, 2),), output=4)),
    )


def test_searches_of_the_web_are_counted_and_none_is_none() -> None:
    totals = {"input_tokens": 5, "output_tokens": 6}
    assert usage("messages", {**totals, "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1}}).searches == 2
    assert usage("messages", {**totals, "server_tool_use": None}) == Usage(5, output=6)
    with pytest.raises(WireError, match="web_search_requests is -1"):
        usage("messages", {**totals, "server_tool_use": {"web_search_requests": -1}})


def test_openai_totals_include_their_parts() -> None:
    payload = {
        "input_tokens": 10_000, "output_tokens": 300, "output_tokens_details": {"reasoning_tokens": 200},
        "input_tokens_details": {
            "cached_tokens": 6_000, "cache_write_tokens": 3_000,
            "cache_write_tokens_details": {"ttl_30m_tokens": 1_000, "ttl_12h_tokens": 2_000},
        },
    }  # fmt: skip
    found = usage("responses", payload)
    assert found == Usage(1_000, 6_000, ((1_800, 1_000), (43_200, 2_000)), 100, 200)
    assert found.prompt == 10_000


def test_chat_and_its_relatives() -> None:
    plain = {
        "prompt_tokens": 100,
        "completion_tokens": 9,
        "prompt_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 30},
    }
    assert usage("chat", plain) == Usage(6, 64, ((1_800, 30),), 9)
    deepseek = {"prompt_tokens": 100, "completion_tokens": 9, "prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36}
    assert usage("chat", deepseek) == Usage(36, 64, (), 9)
    kimi = {"prompt_tokens": 19, "completion_tokens": 13, "total_tokens": 32, "cached_tokens": 12}
    assert usage("chat", kimi) == Usage(7, 12, (), 13)
    assert usage("chat", {**kimi, "prompt_tokens_details": {"cached_tokens": 10}}) == Usage(9, 10, (), 13), "OpenAI's form holds"
    assert usage("chat", {**kimi, "prompt_tokens_details": {"cached_tokens": None}, "cached_tokens": None}).cache_reported


def test_grok_counts_thoughts_beside_the_answer_and_only_its_total_says_so() -> None:
    """As reported in vercel/ai 12425; OpenAI's own figures with the same details hold them inside."""
    thought = {"completion_tokens_details": {"reasoning_tokens": 317}}
    grok = {"prompt_tokens": 12, "completion_tokens": 2, "total_tokens": 331, "prompt_tokens_details": {"cached_tokens": 4}}
    assert usage("chat", {**grok, **thought}) == Usage(8, 4, (), 2, 317)
    assert usage("chat", {**grok, **thought, "completion_tokens": 319}) == Usage(8, 4, (), 2, 317)
    spoken = {"input_tokens": 12, "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 3}, "total_tokens": 17}
    assert usage("responses", {**spoken, "input_tokens_details": {"cached_tokens": 0}}) == Usage(12, 0, (), 2, 3)


def test_gemini_counts_thoughts_beside_the_answer() -> None:
    payload = {"promptTokenCount": 50, "cachedContentTokenCount": 40, "candidatesTokenCount": 7, "thoughtsTokenCount": 3}
    assert usage("gemini", payload) == Usage(fresh=10, cache_read=40, output=7, reasoning=3)


@pytest.mark.parametrize(
    ("protocol", "payload", "words"),
    [
        ("messages", {"input_tokens": -1}, "usage.input_tokens is -1"),
        ("messages", {"output_tokens": "9"}, "usage.output_tokens is '9'"),
        ("messages", {"output_tokens": 1.5}, "usage.output_tokens is 1.5"),
        ("messages", {"output_tokens": True}, "usage.output_tokens is True"),
        ("messages", {"cache_creation_input_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": 2}}, "more than cache_c"),
        ("messages", {"output_tokens": 1, "output_tokens_details": {"thinking_tokens": 2}}, "thinking_tokens is 2, more than"),
        ("messages", {"cache_creation": 3}, "usage.cache_creation is int"),
        (
            "responses",
            {"input_tokens": 5, "input_tokens_details": {"cached_tokens": 6}},
            "6 cached and 0 written tokens of only 5",
        ),
        ("chat", {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 3}}, "of only 5"),
        ("chat", {"completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 6}}, "reasoning_tokens is 6"),
        ("gemini", {"promptTokenCount": 5, "cachedContentTokenCount": 6}, "cachedContentTokenCount is 6"),
        ("chat", [], "usage of a chat answer is list"),
    ],
)
def test_contradictions_are_refused_by_name(protocol: Protocol, payload: Any, words: str) -> None:
    with pytest.raises(WireError, match=words):
        usage(protocol, payload)


COUNTS = st.integers(0, 10**9)


@given(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
def test_no_token_is_lost_or_counted_twice(fresh: int, read: int, half_hour: int, half_day: int, output: int) -> None:
    total = fresh + read + half_hour + half_day
    split = {"ttl_30m_tokens": half_hour, "ttl_12h_tokens": half_day}
    details = {"cached_tokens": read, "cache_write_tokens": half_hour + half_day, "cache_write_tokens_details": split}
    found = usage("responses", {"input_tokens": total, "output_tokens": output, "input_tokens_details": details})
    assert found.prompt == total and found.fresh == fresh and found.output + found.reasoning == output
    anthropic = {
        "input_tokens": fresh, "cache_read_input_tokens": read, "cache_creation_input_tokens": half_hour, "output_tokens": output,
    }  # fmt: skip
    assert usage("messages", anthropic).prompt == fresh + read + half_hour


@pytest.mark.parametrize("count", [10**13, 10**400])
def test_counts_that_no_request_can_have_are_refused(count: int) -> None:
    with pytest.raises(WireError, match="output_tokens is over 1,000,000,000,000"):
        usage("messages", {"input_tokens": 1, "output_tokens": count})
