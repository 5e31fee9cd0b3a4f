"""Names, ladders, near matches, abilities and speed: what the price book says about a model."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.core.book import Book, Override
from pointsman.core.types import Usage
from pointsman.errors import Unpriced
from pointsman.shell.prices import load_book, tables

TODAY = date(2026, 11, 22)


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book(today=TODAY)


def small(rows: Mapping[str, Mapping[str, Any]], today: date = TODAY, **overrides: Mapping[str, Any]) -> Book:
    """A book over a few rows of one's own."""
    return Book(rows, tables(), {k: Override(v, "pointsman.toml") for k, v in overrides.items()}, map_name="map 1", today=today)


def priced(fresh: float, output: float, **fields: object) -> dict[str, object]:
    return {"input_cost_per_token": fresh / 1e6, "output_cost_per_token": output / 1e6, "mode": "chat", **fields}


# ---- ladders


@pytest.mark.parametrize(
    ("asked", "ladder"),
    [
        ("claude-opus-5-5", ("claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5", "claude-fable-5-1")),
        ("claude-sonnet-4-5", ("claude-haiku-5-5", "claude-sonnet-4-5", "claude-opus-5-5", "claude-fable-5-1")),
        ("claude-opus-4-5-20251101", ("claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-4-5-20251101", "claude-fable-5-1")),
        ("claude-mythos-5-1", ("claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5", "claude-mythos-5-1")),
        (
            "anthropic/claude-haiku-4-5",
            (
                "anthropic/claude-haiku-4-5",
                "anthropic/claude-sonnet-5-5",
                "anthropic/claude-opus-5-5",
                "anthropic/claude-fable-5-1",
            ),
        ),
        ("gpt-5.5", ("gpt-6-luna", "gpt-5.6-terra", "gpt-5.5", "gpt-6-astra")),
        ("gpt-5.4-mini", ("gpt-6-luna", "gpt-5.4-mini", "gpt-6.1-sol", "gpt-6-astra")),
        ("gpt-5-nano", ("gpt-5-nano", "gpt-6.1-sol", "gpt-6-astra")),
        ("openai/gpt-6.1-sol", ("openai/gpt-6-luna", "openai/gpt-6.1-sol", "openai/gpt-6-astra")),
        ("gemini-3.8-flash", ("gemini-3.5-flash-lite", "gemini-3.8-flash", "gemini-4-argon")),
        ("deepseek-v4-pro", ("deepseek-v4-flash", "deepseek-v4-pro")),
        ("zai/glm-4.6", ("zai/glm-5.3-flash", "zai/glm-4.6")),
        ("kimi-k3", ("kimi-k2.7-code", "kimi-k3")),
        ("grok-4.7", ("grok-code-fast-1", "grok-4.7")),
        ("qwen3.8-max", ("qwen3.8-flash", "qwen3-coder-plus", "qwen3.8-max")),
        ("MiniMax-M2.5", ("MiniMax-M2.5",)),
    ],
)
def test_the_asked_model_stands_in_its_own_tier(book: Book, asked: str, ladder: tuple[str, ...]) -> None:
    assert book.ladder(asked) == ladder


@pytest.mark.parametrize(
    "asked", ["", "gpt-99", "claude-opus-9", "my-own-model", "openrouter/anthropic/claude-opus-5-5", "codex-mini-latest"]
)
def test_an_unknown_name_has_no_ladder(book: Book, asked: str) -> None:
    assert book.ladder(asked) == ()


def test_every_ladder_ascends_in_price_and_is_generally_available(book: Book) -> None:
    gated = ("preview", "mythos", "cyber", "-exp", "beta")
    for vendor in tables()["ladders"].values():
        for tier in vendor["tiers"]:
            for asked in tier["members"]:
                ladder = book.ladder(asked)
                prices = [book.card(name).base.fresh + book.card(name).base.output for name in ladder]
                assert prices == sorted(set(prices)), ladder
                assert (asked in ladder) == book.has(asked)
                others = [name for name in ladder if name != asked]
                assert not any(word in name for name in others for word in gated)
                assert not any(book.card(name).is_deprecated(TODAY) for name in others)


def test_a_deprecated_model_is_passed_over_from_its_day_on() -> None:
    rows = {
        "claude-haiku-5-5": priced(0.1, 0.5, deprecation_date="2026-12-01"), "claude-haiku-4-5": priced(1, 5),
        "claude-opus-5-5": priced(4, 20),
    }  # fmt: skip
    assert small(rows).ladder("claude-opus-5-5") == ("claude-haiku-5-5", "claude-opus-5-5")
    later = small(rows, date(2026, 12, 1))
    assert later.ladder("claude-opus-5-5") == ("claude-haiku-4-5", "claude-opus-5-5")
    assert later.ladder("claude-haiku-5-5") == ("claude-haiku-5-5", "claude-opus-5-5"), "the asked model stays, deprecated or not"


def test_a_weaker_rung_that_costs_more_is_left_out() -> None:
    """terra at 14 is dearer than sol at 12: nobody is offered it between luna and sol."""
    rows = {
        "gpt-6-luna": priced(0.1, 0.5),
        "gpt-5.6-terra": priced(2, 12),
        "gpt-6.1-sol": priced(2, 10),
        "gpt-6-astra": priced(10, 50),
    }
    found = small(rows)
    assert found.ladder("gpt-6-luna") == ("gpt-6-luna", "gpt-6.1-sol", "gpt-6-astra")
    assert found.ladder("gpt-6-astra") == ("gpt-6-luna", "gpt-6.1-sol", "gpt-6-astra")
    assert found.ladder("gpt-5.6-terra") == ("gpt-6-luna", "gpt-5.6-terra", "gpt-6-astra")


def test_newer_models_appear_as_soon_as_the_map_knows_them() -> None:
    rows = {"claude-fable-5-1": priced(10, 50), "claude-fable-5-2": priced(9, 45), "claude-opus-5-5": priced(4, 20)}
    assert small(rows).ladder("claude-opus-5-5")[-1] == "claude-fable-5-2"


# ---- names


@pytest.mark.parametrize(
    ("given", "asked", "found"),
    [
        ("opus", None, "claude-opus-5-5"),
        ("opus", "claude-opus-4-5-20251101", "claude-opus-4-5-20251101"),
        ("opus", "claude-sonnet-4-5", "claude-opus-5-5"),
        ("Sonnet", None, "claude-sonnet-5-5"),
        ("haiku", "anthropic/claude-opus-5-5", "anthropic/claude-haiku-5-5"),
        ("luna", None, "gpt-6-luna"),
        ("mini", None, "gpt-5.6-terra"),
        ("flash", None, "gemini-3.8-flash"),
        ("flash", "glm-5.3", "glm-5.3-flash"),
        ("pro", "deepseek-v4-flash", "deepseek-v4-pro"),
        ("asked", "my-own-model", "my-own-model"),
        ("asked", None, None),
        ("claude-opus-4-5-20251101", None, "claude-opus-4-5-20251101"),
        ("claude-sonnet-5-5", "anthropic/claude-opus-5-5", "anthropic/claude-sonnet-5-5"),
        ("anthropic/claude-sonnet-5-5", "claude-opus-5-5", "anthropic/claude-sonnet-5-5"),
        ("claude-opus-5-5[1m]", None, "claude-opus-5-5"),
        ("opus-5-5", None, "claude-opus-5-5"),
        ("Opus 5.5", None, "claude-opus-5-5"),
        ("6.1-sol", None, "gpt-6.1-sol"),
        ("GPT-6.1-Sol", None, "gpt-6.1-sol"),
        ("minimax-m3", None, "MiniMax-M3"),
        ("opsu", None, None),
        ("", None, None),
    ],
)
def test_a_name_means_a_model(book: Book, given: str, asked: str | None, found: str | None) -> None:
    assert book.resolve(given, asked) == found


@pytest.mark.parametrize(
    ("name", "vendor"),
    [
        ("claude-opus-5-5", "anthropic"),
        ("anthropic/claude-opus-4-5-20251101", "anthropic"),
        ("gpt-6.1-sol", "openai"),
        ("o3", "openai"),
        ("gemini/gemini-4-argon", "google"),
        ("deepseek-v4-pro", "deepseek"),
        ("glm-5.3", "zai"),
        ("kimi-k3", "moonshot"),
        ("xai/grok-4.7", "xai"),
        ("dashscope/qwen3.8-max", "qwen"),
        ("MiniMax-M3", "minimax"),
        ("my-own-model", ""),
        ("", ""),
    ],
)
def test_every_name_has_its_maker(book: Book, name: str, vendor: str) -> None:
    assert book.vendor(name) == vendor


def test_a_dated_or_prefixed_name_has_the_price_of_its_model(book: Book) -> None:
    plain = book.card("claude-opus-4-5").base
    for name in (
        "claude-opus-4-5-20251101",
        "anthropic/claude-opus-4-5",
        "claude-opus-4-5-20991231",
        "claude-opus-4-5[1m]",
        "claude-opus-4-5-latest",
    ):
        assert book.card(name).base == plain
        assert book.card(name).model == name
    assert book.card("deepseek-v4-pro").base == book.card("deepseek/deepseek-v4-pro").base


def test_a_model_without_a_price_is_unpriced_with_near_names(book: Book) -> None:
    with pytest.raises(Unpriced) as error:
        book.card("claude-opus-5.5")
    assert error.value.near[0] == "claude-opus-5-5"
    assert "claude-opus-5-5" in str(error.value)
    assert not book.has("claude-opus-5.5")
    with pytest.raises(Unpriced):
        small({"claude-opus-5-5": {"input_cost_per_token": 1e-6, "mode": "chat"}}).card("claude-opus-5-5")


def test_near_names_can_be_typed_as_they_are(book: Book) -> None:
    assert book.near("opsu") == ("opus",)
    assert book.near("zzzzzz") == ()
    for typo in ("claude-opsu-5-5", "gpt6-sol", "sonet", "gemini-4-argn", "claude-haiku-55"):
        near = book.near(typo)
        assert 1 <= len(near) <= 3
        for name in near:
            found = book.resolve(name)
            assert found is not None and not book.card(found).is_deprecated(TODAY)


@given(st.text(max_size=40))
def test_no_name_breaks_the_book(name: str) -> None:
    found = small({"claude-opus-5-5": priced(4, 20), "gpt-6.1-sol": priced(2, 10)})
    assert found.vendor(name) in {"", "anthropic", "openai", "google", "deepseek", "zai", "moonshot", "xai", "qwen", "minimax"}
    assert (found.resolve(name) is None) or found.has(found.resolve(name) or "")
    assert found.ladder(name) == () or name in found.ladder(name)
    assert found.rule(name).source and found.speed(name).output_tps > 0


# ---- the user's own prices


def test_a_models_own_price_makes_it_known() -> None:
    mine: dict[str, Any] = {"input": 0.2, "output": 0.8, "window": 32_000, "provider": "home"}
    found = small({}, **{"qwen-at-home": mine})
    assert found.has("qwen-at-home") and found.vendor("qwen-at-home") == "home"
    assert found.bill("qwen-at-home", Usage(fresh=1_000_000), 0.0) == pytest.approx(0.2)
    assert found.target("qwen-at-home").known and found.target("qwen-at-home").window == 32_000
    assert found.version != small({}).version
    assert "pointsman.toml.input" in dict(found.card("qwen-at-home").sources)["input"]


def test_an_override_changes_one_price_and_says_so() -> None:
    rows = {"claude-opus-5-5": priced(4, 20, cache_read_input_token_cost=2e-7)}
    mine: dict[str, Any] = {"cache_read": 0.4}
    found = small(rows, **{"claude-opus-5-5": mine})
    assert found.card("claude-opus-5-5").base.cache_read == pytest.approx(4e-7)
    assert found.card("anthropic/claude-opus-5-5").base.cache_read == pytest.approx(4e-7)
    assert found.card("claude-opus-5-5").base.fresh == pytest.approx(4e-6)
    assert found.card("claude-opus-5-5").version != small(rows).card("claude-opus-5-5").version


# ---- abilities and speed


def test_abilities_are_priors_with_a_source(book: Book) -> None:
    theta, sd, source = book.ability("claude-sonnet-4-5-20250929")
    assert (theta, sd) == (1.68, 0.2) and "Rasch" in source
    assert book.ability("claude-opus-5-5")[1] > 0.5, "nobody has measured it: a wide sd"


@pytest.mark.parametrize("asked", ["claude-opus-5-5", "gpt-6.1-sol", "deepseek-v4-pro", "glm-5.3", "kimi-k3"])
def test_a_stronger_rung_is_the_more_able_one(book: Book, asked: str) -> None:
    abilities = [book.ability(name)[0] for name in book.ladder(asked)]
    assert abilities == sorted(abilities)


def test_effort_moves_ability_where_the_model_takes_it(book: Book) -> None:
    low, high, top = (book.ability("claude-opus-5-5", effort)[0] for effort in ("low", "high", "max"))
    assert low < high < top
    assert book.ability("claude-haiku-4-5", "low") == book.ability("claude-haiku-4-5"), "it takes no effort"


def test_an_unknown_model_is_guessed_from_its_price_and_the_source_says_so() -> None:
    found = small({"a-model": priced(1, 5), "another": priced(0, 0)})
    theta, sd, source = found.ability("a-model")
    assert sd == 2.0 and "not measured" in source
    assert found.ability("another")[0] < theta
    assert found.ability("nameless") == (0.0, 2.5, "unknown model without a price: not measured")


def test_an_unmeasured_successor_is_guessed_from_its_tier_and_is_less_sure(book: Book) -> None:
    theta, sd, source = small({"claude-opus-9": priced(4, 20)}).ability("claude-opus-9")
    newest, known_sd, _ = book.ability("claude-opus-5-5")
    assert theta == newest and sd > known_sd and "guessed from the model before it" in source


def test_a_cold_prompt_waits_longer(book: Book) -> None:
    """100k cold tokens: about 12 s to the first token; the published pair of 2024 is 11.5 s cold and 2.4 s warm."""
    speed = book.speed("claude-opus-5-5")
    assert speed.wait(100_000, 0) == pytest.approx(12.1)
    assert speed.wait(0, 0) == pytest.approx(1.1)
    assert book.speed("claude-haiku-5-5").output_tps > speed.output_tps


def test_the_version_names_the_map(book: Book) -> None:
    assert book.version.startswith("litellm ") and book.card("gpt-6.1-sol").version.startswith(book.version)
