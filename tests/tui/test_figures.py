"""Figures for people: what is unknown, modelled, a bound, or signed is always told apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.core.types import Config
from pointsman.tui import figures
from pointsman.tui.figures import ansi, cells, crop, fit, line_of, money, plain, signed, span, tokens, width_of, wrap


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (None, "–"), (0.0, "$0.00"), (0.0412, "$0.041"), (0.0001, "<$0.001"), (0.9999, "$1.00"), (4.123, "$4.12"),
        (1234.5, "$1,234"), (-0.2, "−$0.200"),
    ],
)  # fmt: skip
def test_money(usd: float | None, text: str) -> None:
    assert money(usd) == text


def test_money_says_what_is_modelled_and_what_is_a_bound() -> None:
    assert money(0.2, modelled=True) == "≈$0.200"
    assert money(0.2, at_least=True) == "≥$0.200"


@pytest.mark.parametrize(
    ("usd", "text"), [(None, "–"), (0.51, "+$0.510"), (-0.51, "−$0.510"), (0.0, "$0.00"), (-0.0001, "$0.00"), (12.0, "+$12.00")]
)
def test_a_net_is_signed_and_a_negative_one_shows_a_minus(usd: float | None, text: str) -> None:
    assert signed(usd) == text
    assert signed(usd, modelled=True) == (text if usd is None else f"≈{text}")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0.04, "0.0s"), (0.8, "0.8s"), (59.7, "1m00s"), (108, "1m48s"), (7_500, "2h05m"), (273_600, "3d04h")],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert span(seconds) == text


def test_tokens_shares_and_fractions() -> None:
    assert [tokens(n) for n in (None, 830, 12_400, 999_999, 1_200_000)] == ["–", "830", "12.4k", "1.00M", "1.20M"]
    assert [figures.share(s) for s in (None, 0.0, 0.963, 0.999, 1.0)] == ["–", "0%", "96%", "99%", "100%"]
    assert [figures.fraction(f) for f in (None, 0.0, 0.31, 0.999)] == ["–", ".00", ".31", "1.0"]


def test_names_of_models() -> None:
    assert figures.short("anthropic/claude-haiku-4-5-20251001") == "haiku-4-5"
    assert figures.short("gpt-5.1-mini") == "gpt-5.1-mini"
    assert figures.nickname("claude-opus-4-5") == "opus"
    assert figures.nickname("claude-3-5-sonnet") == "3-5-sonnet"
    assert figures.config_name(Config("claude-sonnet-4-5", "medium")) == "sonnet-4-5·med"


def test_wide_characters_and_control_characters_keep_the_columns_straight() -> None:
    assert cells("日本") == 4
    assert fit("日本語", 5) == "日本…"
    assert fit("a\tb\x1b[31m", 8) == "a b [31m"
    assert fit("abc", 6, "right") == "   abc"


@given(st.text(max_size=40), st.integers(min_value=1, max_value=30))
def test_fit_is_exact(text: str, width: int) -> None:
    assert cells(fit(text, width)) == width


@given(st.lists(st.text(alphabet="ab日 ", max_size=8), max_size=5), st.integers(min_value=1, max_value=20))
def test_crop_never_exceeds_the_width(parts: list[str], width: int) -> None:
    assert width_of(crop(line_of(*parts), width)) <= width


def test_wrap_begins_as_told() -> None:
    assert wrap("one two three", 9, "    ", "a: ") == ["a: one", "    two", "    three"]
    assert wrap("", 9) == []


def test_colour_is_added_only_where_asked_for() -> None:
    lines = [line_of(("✓", "good"), " fine")]
    assert plain(lines) == "✓ fine"
    assert ansi(lines) == "\x1b[32m✓\x1b[0m fine"
