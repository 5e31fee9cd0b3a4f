"""How many tokens a prompt has: what was billed last, new text by learned ratios, images by their provider's rule."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.core import sizes
from pointsman.core.book import Book
from pointsman.core.images import ImageRule
from pointsman.core.messages import Message
from pointsman.core.sizes import Chars, Ratios
from pointsman.core.types import FIVE_MINUTES, Request, Usage
from pointsman.shell.prices import load_book


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book(today=date(2026, 11, 22))


def said(i: int, chars: int = 1_000, **more: object) -> Message:
    role = "user" if i % 2 == 0 else "assistant"
    return Message(i + 1, role, "prompt" if role == "user" else "assistant", chars, **more)  # type: ignore[arg-type]


def request(*messages: Message, head_chars: int = 40_000) -> Request:
    return Request(
        "messages", "/v1/messages", "m", tools=7, system=8, head_chars=head_chars, messages=messages, ttl_s=FIVE_MINUTES
    )  # fmt: skip


def ratio(chars_per_token: float) -> Ratios:
    """The same ratio for every kind of text."""
    mean = (1 / chars_per_token,) * len(sizes.KINDS)
    return Ratios(mean, sizes.prior().cov)


TALK = tuple(said(i) for i in range(5))
FIRST, NEXT = request(*TALK[:3]), request(*TALK)
USAGE = Usage(fresh=10, cache_write=((FIVE_MINUTES, 19_990),), output=300)


def test_a_later_prompt_is_what_was_billed_and_what_is_new() -> None:
    """20,000 billed, 300 answered, and one message of 1,000 characters at 2.5 each."""
    assert sizes.prompt_tokens(NEXT, 3, USAGE, "m", "m", {"m": ratio(2.5)}, before=3) == 20_000 + 300 + 400


def test_thinking_counts_only_where_it_is_sent_back() -> None:
    usage = replace(USAGE, reasoning=700)
    thought = request(*TALK[:3], replace(TALK[3], facts=("thinking",)), TALK[4])
    assert sizes.prompt_tokens(NEXT, 3, usage, "m", "m", {"m": ratio(2.5)}, before=3) == 20_700
    assert sizes.prompt_tokens(thought, 3, usage, "m", "m", {"m": ratio(2.5)}, before=3) == 21_400


def test_an_answer_of_several_items_counts_once() -> None:
    """A Responses answer is a reasoning item, a text and two calls: 1,000 billed tokens, whatever their characters."""
    items = (said(3, 9_000, facts=("thinking",)), said(5, 400), said(7, 300), said(9, 300))
    asked = request(*TALK[:3], *items, said(10), said(12))
    usage = replace(USAGE, output=300, reasoning=700)
    assert sizes.prompt_tokens(asked, 3, usage, "m", "m", {"m": ratio(2.0)}, before=3) == 20_000 + 1_000 + 1_000


def test_reasoning_that_is_dropped_leaves_the_prompt() -> None:
    """20,000 billed, of which 4,000 reasoning of this turn; the user speaks: 16,000 stay, 300 answered, 400 new."""
    thought = request(*TALK[:3], replace(TALK[3], facts=("thinking",)), TALK[4])
    usage = replace(USAGE, reasoning=700)
    assert sizes.prompt_tokens(thought, 3, usage, "m", "m", {"m": ratio(2.5)}, before=3, dropped=4_000) == 16_700


def test_another_tokenizer_counts_otherwise(book: Book) -> None:
    factor = book.token_factor("claude-haiku-4-5", "claude-opus-5-5")
    assert factor == pytest.approx(1.3)
    assert book.token_factor("claude-opus-5-5", "claude-haiku-4-5") == pytest.approx(1 / 1.3)
    assert book.token_factor("claude-opus-5-5", "claude-sonnet-5-5") == 1.0
    old, new = "claude-haiku-4-5", "claude-opus-5-5"
    same = sizes.prompt_tokens(NEXT, 3, USAGE, old, old, {}, factor, believed=sizes.prior(3.3), before=3)
    other = sizes.prompt_tokens(NEXT, 3, USAGE, old, new, {}, factor, believed=sizes.prior(3.3 / 1.3), before=3)
    assert other == pytest.approx(same * 1.3, abs=1)


def test_a_first_prompt_goes_by_its_characters(book: Book) -> None:
    """40,000 of tools and system text at 3.3 characters a token, and 3,000 of prose at 1.03 times that."""
    assert sizes.prompt_tokens(FIRST, 0, None, None, "m", {}) == round(40_000 / 3.3 + 3_000 / (3.3 * 1.03))
    believed = sizes.prior(book.chars_per_token("claude-opus-5-5"))
    assert sizes.prompt_tokens(FIRST, 0, None, None, "m", {}, believed=believed) == round(
        1.3 * (40_000 / 3.3 + 3_000 / (3.3 * 1.03))
    )
    assert sizes.prompt_tokens(request(head_chars=0), 0, None, None, "m", {}) == 1


def test_a_fork_goes_by_the_characters_it_keeps() -> None:
    fork = request(TALK[0], said(40))
    known = {"m": ratio(2.15)}
    assert sizes.prompt_tokens(fork, 1, USAGE, "m", "m", known, before=3) == round(41_000 / 2.15 + 1_000 / 2.15)
    assert sizes.prompt_tokens(fork, 1, USAGE, "m", "m", {"m": ratio(1.0)}, before=3) == 21_000, "never more than was billed"


def test_a_fork_still_shows_the_images_that_it_keeps() -> None:
    rule, known = ImageRule(side=28), {"m": ratio(10.0)}
    plain, shown = (request(said(0, images=images), said(40)) for images in ((), ((750, 1_000),)))
    found = [sizes.prompt_tokens(fork, 1, USAGE, "m", "m", known, before=3, images=rule) for fork in (plain, shown)]
    assert found[1] - found[0] == 27 * 36


def test_a_retry_has_the_tokens_it_had() -> None:
    assert sizes.prompt_tokens(FIRST, 3, USAGE, "m", "m", {}, before=3) == 20_000


# ---- ratios


def test_logs_have_fewer_characters_a_token_than_code() -> None:
    believed = sizes.prior()
    counted = [believed.tokens(tuple(3_300 if i == kind else 0 for i in range(5))) for kind in range(5)]  # type: ignore[arg-type]
    assert counted == pytest.approx([971, 1_000, 943, 1_538, 1_000], abs=1)


def test_a_mix_is_counted_kind_by_kind() -> None:
    mixed = said(0, 10_000, mix=(2_000, 3_000, 4_000))
    assert sizes.chars_of((mixed, said(2, 500)), head=70) == (1_500, 2_000, 3_000, 4_000, 70)


def test_the_scale_of_a_model_is_learned_from_any_kind() -> None:
    """A first prompt of 66,000 characters of code billed as 26,000 tokens: 1.3 times the prior, for JSON as well."""
    chars: Chars = (0, 66_000, 0, 0, 0)
    learned = sizes.learn(sizes.prior(), chars, 26_000)
    assert learned.tokens(chars) == pytest.approx(26_000, rel=0.07)
    json: Chars = (0, 0, 66_000, 0, 0)
    assert learned.tokens(json) / sizes.prior().tokens(json) == pytest.approx(1.15, abs=0.05), "the kind stays open"


def test_kinds_are_learned_apart() -> None:
    """Code at 4 characters a token and logs at 2, in turn: each is found within 5 %."""
    ratios = sizes.prior()
    for _ in range(12):
        ratios = sizes.learn(ratios, (0, 20_000, 0, 0, 0), 5_000)
        ratios = sizes.learn(ratios, (0, 0, 0, 20_000, 0), 10_000)
    assert 1 / ratios.mean[1] == pytest.approx(4.0, rel=0.05) and 1 / ratios.mean[3] == pytest.approx(2.0, rel=0.05)
    assert ratios.chars_per_token == pytest.approx(4.0, rel=0.05)


def test_one_odd_bill_moves_little() -> None:
    ratios = sizes.prior()
    for _ in range(10):
        ratios = sizes.learn(ratios, (0, 20_000, 0, 0, 0), 6_000)
    odd = sizes.learn(ratios, (0, 20_000, 0, 0, 0), 60_000)
    assert odd.mean[1] / ratios.mean[1] < 1.35


def test_a_session_and_its_users_average_are_weighed_by_how_sure_they_are() -> None:
    """One bill of a session moves it a little away from what hundreds of others have shown; twenty, all the way."""
    user = session = sizes.prior()
    for _ in range(50):
        user = sizes.learn(user, (0, 20_000, 0, 0, 0), 6_000)
    session = sizes.learn(session, (0, 20_000, 0, 0, 0), 7_500)
    early = sizes.together(session, user)
    for _ in range(20):
        session = sizes.learn(session, (0, 20_000, 0, 0, 0), 7_500)
    late = sizes.together(session, user)
    assert early is not None and late is not None
    assert user.mean[1] < early.mean[1] < late.mean[1] <= session.mean[1]
    assert late.tokens((0, 20_000, 0, 0, 0)) == pytest.approx(7_500, rel=0.08)
    assert sizes.together(None, user) is user and sizes.together(session, None) is session and sizes.together(None, None) is None


@given(
    st.lists(
        st.tuples(st.tuples(*[st.integers(0, 10**7)] * 5), st.integers(-5, 10**7)), max_size=20
    )
)  # fmt: skip
def test_ratios_stay_sane_whatever_is_billed(bills: list[tuple[Chars, int]]) -> None:
    ratios = sizes.prior()
    for chars, tokens in bills:
        ratios = sizes.learn(ratios, chars, tokens)
    assert all(1 / 12 <= mean <= 1.0 for mean in ratios.mean)
    assert all(ratios.cov[i][i] >= 0.0 for i in range(len(sizes.KINDS)))


def test_new_text_is_what_the_bill_adds_beyond_the_answer() -> None:
    """20,000 billed and 300 answered; then 21,000: the new message of 1,000 characters was 700 tokens."""
    bill = Usage(cache_read=20_000, fresh=1_000)
    assert sizes.new_text(NEXT, 3, USAGE, 3, bill) == ((1_000, 0, 0, 0, 0), 700)
    lower = sizes.new_text(NEXT, 3, replace(USAGE, complete=False), 3, bill)
    assert lower == ((2_000, 0, 0, 0, 0), 1_000), "a lower bound: the answer counts by its characters"
    assert sizes.new_text(NEXT, 2, USAGE, 3, bill) is None and sizes.new_text(NEXT, 3, None, 3, bill) is None
    assert sizes.new_text(NEXT, 3, USAGE, 3, Usage(fresh=20_100)) is None
    seen = request(*TALK[:4], said(4, images=((800, 600),)))
    assert sizes.new_text(seen, 3, USAGE, 3, bill) is None, "an image is billed by its pixels"


# ---- images and documents


@pytest.mark.parametrize(
    ("model", "size", "tokens"),
    [
        ("claude-haiku-4-5", (1_000, 750), 36 * 27),  # squares of 28 pixels
        ("claude-haiku-4-5", (3_136, 3_136), 39 * 39),  # scaled to 1,568: 56 x 56, of which 1,568 at most
        ("claude-opus-5-5", (3_136, 1_000), 92 * 30),  # scaled to 2,576 x 821
        ("gpt-5.5", (1_024, 1_024), 1_229),  # 32 x 32 squares times 1.2
        ("gpt-5.5", (1_440, 1_000), 1_728),  # two of them were billed 3,489 with 33 tokens around them
        ("gpt-5.4", (2_048, 2_048), 3_000),  # 50 x 50 squares
        ("gpt-5.5", (2_048, 2_048), 4_915),  # 64 x 64: as it is, up to 10,000
        ("gpt-6-astra", (4_096, 4_096), 19_661),
        ("gpt-5-mini", (1_024, 1_024), 1_659),  # 1,024 times 1.62
        ("gpt-5-mini", (1_800, 2_400), 2_352),  # the guide's example: 33 x 44 squares
        ("gpt-5", (1_024, 1_024), 70 + 4 * 140),  # short side 768: 2 x 2 squares of 512
        ("gpt-4.1", (1_024, 1_024), 85 + 4 * 170),
        ("gemini-4-argon", (1_000, 700), 1_120),
        ("gemini-2.5-pro", (1_000, 700), 2 * 258),
        ("gpt-5.5", (0, 0), 1_700),  # a link: its size is not known
        ("grok-4.5", (1_000, 700), 1_600),  # no rule is known
    ],
)
def test_an_image_counts_by_its_providers_rule(book: Book, model: str, size: tuple[int, int], tokens: int) -> None:
    assert book.images(model).tokens(*size) == tokens


def test_images_and_pages_are_added_to_the_text(book: Book) -> None:
    rule = book.images("claude-opus-5-5")
    seen = request(*TALK[:4], said(4, images=((750, 1_000), (0, 0)), pages=3))
    found = sizes.prompt_tokens(seen, 3, USAGE, "m", "m", {"m": ratio(2.5)}, before=3, images=rule)
    assert found == 20_700 + 27 * 36 + 1_600 + 3 * 3_000
    alone = sizes.prompt_tokens(request(said(0, images=((750, 1_000),)), head_chars=0), 0, None, None, "m", {}, images=rule)
    assert alone == round(1_000 / (3.3 * 1.03) + 27 * 36)


@given(st.integers(1, 20_000), st.integers(1, 20_000))
def test_squares_never_exceed_their_limit(width: int, height: int) -> None:
    rule = ImageRule(long_edge=2_048, side=32, each=1.2, most=3_000)
    assert 1 <= rule.tokens(width, height) <= 3_000
