"""Other vendors' models: when they may be asked, and how they are priced."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.test_decide import OPUS, Play
from pointsman.core.book import Book
from pointsman.core.foreign import native_of
from pointsman.core.policy import Policy
from pointsman.core.types import Config, Request
from pointsman.shell.prices import load_book

LUNA = "gpt-6-luna"
BOTH = Policy(pool=(LUNA, OPUS), vendors=("anthropic", "openai"))


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book()


def veto(book: Book, policy: Policy = BOTH, model: str = LUNA, **more: object) -> str | None:
    """Why the other vendor's model is barred from a first request."""
    made = Play(book, replace(policy, pool=(model, OPUS))).prompt(**more)
    row = next(row for row in made.candidates if row.model == model)
    return row.veto


def test_each_vendor_is_asked_in_its_own_format() -> None:
    assert [native_of(vendor) for vendor in ("anthropic", "openai", "google", "deepseek", "zai")] == [
        "messages", "responses", "gemini", "chat", "chat"]  # fmt: skip


def test_a_pool_may_name_other_vendors_where_they_can_be_reached(book: Book) -> None:
    assert veto(book) is None
    assert veto(book, Policy()) == "no upstream with a key of its own is set for openai"
    assert veto(book, auth="subscription") == "your subscription login stays with anthropic"


@pytest.mark.parametrize(("need", "why"), [
    ("unknown_blocks", "this history holds blocks that only its own vendor understands"),
    ("prefill", "it would not go on with the answer that the client has begun"),
    ("stored_history", "a part of this history is kept by anthropic only"),
    ("tool_reference", "it does not take the deferred tools in this history"),
])  # fmt: skip
def test_what_cannot_be_told_is_vetoed_with_its_reason(book: Book, need: str, why: str) -> None:
    assert veto(book, needs=frozenset({need, "tools"})) == why


def test_images_go_only_to_models_that_see(book: Book) -> None:
    reach = Policy(vendors=("anthropic", "openai", "deepseek"))
    assert veto(book, reach, "deepseek-v4-pro", needs=frozenset({"vision"})) == "it does not see images"
    assert veto(book, reach, LUNA, needs=frozenset({"vision"})) is None


def test_the_prompt_must_fit_in_the_targets_own_tokens(book: Book) -> None:
    """About 900,000 tokens on Opus 5.5, whose tokenizer makes more of the same text than OpenAI's: it fits there too."""
    size = {"head_chars": 2_300_000}
    assert veto(book, **size) is None
    haiku = veto(book, Policy(vendors=("anthropic", "openai")), "claude-haiku-4-5", **size)
    assert haiku is not None and "do not fit its window of 200,000" in haiku
    assert "do not fit its window of 922,000" in str(veto(book, head_chars=4_000_000))


def test_chat_behind_one_base_url_needs_no_translation(book: Book) -> None:
    chat = {"protocol": "chat", "path": "/v1/chat/completions", "model": "gpt-5.5", "effort": None, "ttl_s": None}
    policy = Policy(pool=("deepseek-v4-pro", "gpt-5.5"), one_upstream=True)
    made = Play(book, policy).prompt(**chat)
    assert made.row(Config("deepseek-v4-pro")) is not None and made.row(Config("deepseek-v4-pro")).veto is None  # type: ignore[union-attr]
    alone = Play(book, replace(policy, one_upstream=False)).prompt(**chat)
    assert "no upstream" in str(alone.row(Config("deepseek-v4-pro")).veto)  # type: ignore[union-attr]


def test_a_claude_reached_by_translation_is_priced_with_the_marks_that_we_set(book: Book) -> None:
    policy = Policy(pool=("claude-haiku-5-5", "gpt-6.1-sol"), vendors=("anthropic", "openai"))
    asked = {"protocol": "responses", "path": "/v1/responses", "model": "gpt-6.1-sol", "ttl_s": None, "effort": "medium"}
    made = Play(book, policy).prompt(**asked)
    row = made.row(Config("claude-haiku-5-5", "medium"))
    assert row is not None and row.cache_write > 10_000 and row.fresh == 0
    assert Request("responses", "/", "m").ttl_s is None
