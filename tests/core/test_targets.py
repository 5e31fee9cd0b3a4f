"""What each model takes: refusals with a reason, and the conversions that the wire layer must make."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.core.book import Book
from pointsman.core.targets import EFFORTS, Target, read_target
from pointsman.core.types import Need, Request
from pointsman.shell.prices import load_book


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book(today=date(2026, 11, 22))


def request(*needs: Need, **fields: object) -> Request:
    values: dict[str, object] = {
        "protocol": "messages",
        "path": "/v1/messages",
        "model": "m",
        "needs": frozenset(needs),
        **fields,
    }
    return Request(**values)  # type: ignore[arg-type]  # a test's short hand


TABLE = [
    # model, thinking, efforts, default, sampling, forced tool, prefill, max output, window
    ("claude-fable-5-1", {"adaptive", "always_on"}, 5, "high", False, False, False, 128_000, 1_000_000),
    ("claude-fable-5", {"adaptive", "always_on"}, 5, "high", False, True, False, 128_000, 1_000_000),
    ("claude-mythos-5-1", {"adaptive", "always_on"}, 5, "high", False, False, False, 128_000, 1_000_000),
    ("claude-opus-5-5", {"adaptive", "always_on"}, 5, "medium", False, False, False, 128_000, 1_000_000),
    ("claude-sonnet-5-5", {"adaptive", "between_tools", "always_on"}, 5, "high", False, False, False, 128_000, 1_000_000),
    ("claude-haiku-5-5", {"adaptive", "none"}, 5, "medium", False, True, False, 128_000, 1_000_000),
    ("claude-opus-5", {"adaptive", "none"}, 5, "high", False, True, False, 128_000, 1_000_000),
    ("claude-opus-4-8", {"adaptive", "none"}, 5, "high", False, True, False, 128_000, 1_000_000),
    ("claude-opus-4-7", {"adaptive", "none"}, 5, "high", False, True, False, 128_000, 1_000_000),
    ("claude-sonnet-5", {"adaptive", "none"}, 5, "high", False, True, False, 128_000, 1_000_000),
    ("claude-opus-4-6", {"adaptive", "enabled", "none"}, 4, "high", True, True, False, 128_000, 1_000_000),
    ("claude-sonnet-4-6", {"adaptive", "enabled", "none"}, 4, "high", True, True, False, 128_000, 1_000_000),
    ("claude-opus-4-5", {"enabled", "none"}, 3, "high", True, True, True, 64_000, 200_000),
    ("claude-haiku-4-5", {"enabled", "none"}, 0, None, True, True, True, 64_000, 200_000),
    ("claude-sonnet-4-5", {"enabled", "none"}, 0, None, True, True, True, 64_000, 200_000),
]


@pytest.mark.parametrize(("model", "thinking", "efforts", "default", "sampling", "forced", "prefill", "output", "window"), TABLE)
def test_the_table_of_claude_targets(
    book: Book, model: str, thinking: set[str], efforts: int, default: str | None, sampling: bool, forced: bool, prefill: bool,
    output: int, window: int,
) -> None:  # fmt: skip
    found = book.target(model)
    assert set(found.thinking) == thinking
    assert (len(found.efforts), found.default_effort) == (efforts, default)
    assert (found.sampling, found.forced_tool, found.prefill) == (sampling, forced, prefill)
    assert (found.max_output, found.window) == (output, window)
    assert found.known and found.vendor == "anthropic" and found.source


def test_dated_and_prefixed_names_take_what_their_model_takes(book: Book) -> None:
    plain = book.target("claude-opus-4-5")
    for name in ("claude-opus-4-5-20251101", "anthropic/claude-opus-4-5"):
        found = book.target(name)
        assert (found.thinking, found.efforts, found.window) == (plain.thinking, plain.efforts, plain.window)


@pytest.mark.parametrize(
    ("model", "efforts"),
    [
        ("gpt-6.1-sol", ("low", "medium", "high", "xhigh", "max")),
        ("gpt-6-astra", ("low", "medium", "high", "xhigh", "max")),
        ("gpt-6-sol", ("none", "low", "medium", "high", "xhigh", "max")),
        ("gpt-5.5", ("none", "low", "medium", "high", "xhigh")),
        ("gpt-5.1", ("none", "low", "medium", "high")),
        ("gpt-5-mini", ("minimal", "low", "medium", "high")),
        ("gpt-4.1", ()),
        ("kimi-k3", ("low", "high", "max")),
    ],
)
def test_efforts_differ_by_model(book: Book, model: str, efforts: tuple[str, ...]) -> None:
    """Names by the map's flags: 6.1-sol and 6-astra take neither none nor minimal."""
    assert book.target(model).efforts == efforts


def test_effort_messages_start_with_gpt_6_and_opus_5(book: Book) -> None:
    models = ("gpt-6.1-sol", "gpt-5.6-sol", "claude-opus-5", "claude-opus-4-8", "claude-fable-5", "claude-haiku-5-5")
    takes = {name for name in models if book.target(name).effort_messages}
    assert takes == {"gpt-6.1-sol", "claude-opus-5", "claude-haiku-5-5"}


# ---- refusals


@pytest.mark.parametrize(
    ("model", "need", "reason"),
    [
        ("deepseek-v4-pro", "vision", "it does not see images"),
        ("claude-haiku-5-5", "tool_reference", "it does not take the deferred tools in this history"),
        ("claude-opus-5-5", "forced_tool", "it refuses a forced tool choice"),
        ("claude-sonnet-5-5", "forced_tool", "it refuses a forced tool choice"),
        ("claude-opus-5-5", "prefill", "it refuses an answer that the client has begun"),
        ("glm-5.3", "json_schema", "it does not promise answers in a JSON schema"),
    ],
)
def test_what_cannot_be_converted_is_refused_with_a_reason(book: Book, model: str, need: Need, reason: str) -> None:
    assert book.target(model).accepts(request(need, "tools"), 10_000) == reason
    assert book.target(model).accepts(request("tools"), 10_000) is None


def test_tools_that_the_vendor_runs_are_left_out_elsewhere_unless_they_are_the_whole_request(book: Book) -> None:
    sol = book.target("gpt-6.1-sol")
    assert sol.accepts(request("server_tools", "tools"), 10_000) is None
    assert sol.accepts(request("server_tools"), 10_000) == "the request uses tools that anthropic runs itself"


def test_what_can_be_converted_is_not_refused(book: Book) -> None:
    asked = request(
        "tools", "vision", "thinking_adaptive", "effort", "effort_messages", "sampling", "system_messages", "fast",
        effort="xhigh", max_output=128_000,
    )  # fmt: skip
    assert book.target("claude-haiku-4-5").accepts(asked, 10_000) is None


def test_an_undocumented_model_is_never_offered(book: Book) -> None:
    assert book.target("a-model-of-nobody").accepts(request(), 100) == "nothing is documented about what it takes"


def test_the_prompt_and_its_answer_must_fit_the_window(book: Book) -> None:
    haiku = book.target("claude-haiku-4-5")
    assert haiku.accepts(request(max_output=32_000), 160_000) is None
    assert haiku.accepts(request(max_output=32_000), 165_000) == (
        "about 165,000 prompt tokens and 32,000 for the answer do not fit its window of 200,000"
    )
    assert haiku.accepts(request(max_output=128_000), 130_000) is None, "an answer is at most 64,000 long there"
    assert haiku.accepts(request(), 193_000) is not None, "a margin of 2 per cent, and room for an answer"


def test_openai_windows_hold_the_prompt_alone(book: Book) -> None:
    sol = book.target("gpt-6.1-sol")
    assert sol.accepts(request(protocol="responses", max_output=128_000), 900_000) is None
    assert sol.accepts(request(protocol="responses"), 910_000) == "about 910,000 prompt tokens do not fit its window of 922,000"


# ---- conversions


def test_nothing_is_changed_where_nothing_must_be(book: Book) -> None:
    asked = request(
        "tools", "thinking_adaptive", "effort", "system_messages", "effort_messages", effort="high", max_output=64_000
    )
    for model in ("claude-opus-5-5", "claude-sonnet-5-5", "claude-fable-5-1", "claude-haiku-5-5"):
        assert book.target(model).conversions(asked, "high") == ()


def test_from_the_newest_claude_to_haiku_4_5(book: Book) -> None:
    asked = request(
        "thinking_adaptive", "effort", "effort_messages", "system_messages", "fast", effort="high", max_output=128_000
    )
    assert book.target("claude-haiku-4-5").conversions(asked, "high") == (
        "thinking adaptive becomes enabled",
        "effort high is dropped",
        "system messages in the history become user reminders",
        "effort messages in the history are dropped",
        "fast mode is dropped",
        "the answer limit becomes 64,000 tokens",
    )


def test_from_sonnet_4_5_to_the_newest_claude(book: Book) -> None:
    asked = request("thinking_enabled", "sampling")
    assert book.target("claude-opus-5-5").conversions(asked, None) == (
        "thinking enabled becomes adaptive",
        "sampling parameters are dropped",
    )
    off = request("thinking_disabled")
    assert book.target("claude-sonnet-5-5").conversions(off, None) == ("thinking none becomes between_tools",)
    assert book.target("claude-opus-5-5").conversions(off, None) == ("thinking none becomes adaptive",)
    assert book.target("claude-haiku-5-5").conversions(off, None) == ()


@pytest.mark.parametrize("model", ["claude-haiku-5-5", "claude-opus-5", "claude-sonnet-5-5"])
def test_thinking_cannot_be_off_at_the_highest_efforts(book: Book, model: str) -> None:
    found = book.target(model)
    assert found.thinking_for("none", "high") in ("none", "between_tools")
    assert found.thinking_for("none", "xhigh") == "adaptive"
    assert found.conversions(request("thinking_disabled", "effort", effort="max"), None) == ("thinking none becomes adaptive",)


@pytest.mark.parametrize(
    ("model", "effort", "nearest"),
    [
        ("claude-opus-4-6", "xhigh", "high"),
        ("claude-opus-4-5", "max", "high"),
        ("gpt-6.1-sol", "none", "low"),
        ("kimi-k3", "medium", "low"),
        ("gpt-5.5", "max", "xhigh"),
        ("claude-haiku-4-5", "high", None),
        ("claude-opus-5-5", "ludicrous", None),
        ("claude-opus-5-5", None, None),
    ],
)
def test_an_effort_it_does_not_take_becomes_the_next_weaker_one(
    book: Book, model: str, effort: str | None, nearest: str | None
) -> None:
    assert book.target(model).nearest_effort(effort) == nearest


@given(st.lists(st.sampled_from(EFFORTS), unique=True), st.sampled_from(EFFORTS))
def test_the_nearest_effort_is_one_the_model_takes(efforts: list[str], asked: str) -> None:
    listed = tuple(name for name in EFFORTS if name in efforts)
    found = Target("m", efforts=listed).nearest_effort(asked)
    assert found in listed if listed else found is None
    if asked in listed:
        assert found == asked


# ---- where the facts come from


def test_the_maps_own_fields_win_over_the_table() -> None:
    facts = {
        "thinking": ["enabled", "none"],
        "efforts": ["low", "high"],
        "sampling": True,
        "forced_tool": True,
        "source": "table",
    }
    row = {
        "supports_adaptive_thinking": True,
        "thinking_always_on": True,
        "supports_sampling_params": False,
        "supports_forced_tool_use": False,
        "supports_max_reasoning_effort": True,
        "supports_low_reasoning_effort": False,
    }
    found = read_target("m", "v", row, facts)
    assert set(found.thinking) == {"enabled", "adaptive", "always_on"}
    assert found.efforts == ("high", "max") and not found.sampling and not found.forced_tool
    assert found.source == "table; price map"


def test_what_nobody_documents_is_refused() -> None:
    found = read_target("m", "v", {"mode": "chat"}, None)
    assert found.known and not (found.tools or found.vision or found.json_schema or found.prefill or found.tool_reference)
    assert found.accepts(request("tools"), 100) == "it takes no tools"


def test_nonsense_in_the_map_is_ignored() -> None:
    row = {
        "supports_vision": "yes",
        "supports_sampling_params": None,
        "max_input_tokens": "many",
        "max_output_tokens": -1,
        "reasoning_effort_levels": "all",
    }
    found = read_target("m", "v", row, {"efforts": ["low"]})
    assert (found.vision, found.sampling, found.window, found.max_output, found.efforts) == (False, True, None, None, ("low",))
