"""What a move would come to, for one decision: the closed forms as people read them; quota weights; learned token factors."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from core.test_decide import Play
from pointsman.core import learned, pricing
from pointsman.core.book import Book
from pointsman.core.decisions import Candidate, Decision
from pointsman.core.events import Finished
from pointsman.core.messages import Message
from pointsman.core.moves import kept_from, outlook
from pointsman.core.types import FIVE_MINUTES, Config, Place, Rates, Request, Usage
from pointsman.shell.prices import load_book


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book(today=date(2026, 11, 22))


def rates(fresh: float, read: float, write: float, output: float) -> Rates:
    return Rates(fresh / 1e6, read / 1e6, output / 1e6, output / 1e6, ((FIVE_MINUTES, write / 1e6),))


OPUS, SONNET, KIMI = rates(4, 0.2, 5, 20), rates(2, 0.1, 2.5, 10), rates(2, 0.2, 2, 10)
PLACE = Place("s", "main", "main", "continue")


def row(model: str, prices: Rates, run_usd: float, **more: object) -> Candidate:
    return Candidate(model, None, prompt=100_000, rates=prices, run_usd=run_usd, **more)  # type: ignore[arg-type]


def decided(*rows: Candidate, chosen: str = "opus", **more: object) -> Decision:
    config = Config(chosen)
    return Decision("d", PLACE, config, config, "stay", "asked", "", rows, **more)  # type: ignore[arg-type]


def test_opus_to_sonnet_at_100k() -> None:
    """Repaid after 12 requests; 5 of 27 there and back lose; a ping costs $.02 and pays from 4.2 %."""
    found = outlook(decided(row("opus", OPUS, 0.037, cache_read=100_000), row("sonnet", SONNET, 0.019)))
    assert found is not None and found.there == Config("sonnet")
    assert (found.repaid, found.come_back, found.summary_usd) == (12, None, None)
    assert found.detour_usd > 0.18 and found.keep_usd == pytest.approx(0.02) and found.keep_from == pytest.approx(0.2 / 4.8)


def test_a_model_that_needs_more_requests_for_the_same_work_repays_later_or_never() -> None:
    """As at every other place where two models' running costs are compared (the cost to go, the envelope, the flips)."""
    opus = row("opus", OPUS, 0.037, cache_read=100_000)
    found = [outlook(decided(opus, row("sonnet", SONNET, 0.019, steps=steps))) for steps in (1.0, 1.25, 1.55, 2.0)]
    repaid = [one.repaid for one in found if one is not None]
    assert repaid[0] == 12 and repaid[3] is None
    assert repaid[1] is not None and repaid[2] is not None and 12 < repaid[1] < repaid[2]
    by_hand = pricing.break_even_requests(OPUS, SONNET, ttl_s=300, context=100_000, more=1.25)
    assert by_hand is not None
    one, other = (pricing.running_cost(r, 300, 100_000, 1_500, 500, by_hand) for r in (OPUS, SONNET))
    assert one - 1.25 * other == pytest.approx(pricing.toll(SONNET, 300, 100_000, 0))


def test_going_up_says_how_long_coming_back_still_pays() -> None:
    found = outlook(decided(row("sonnet", SONNET, 0.019, cache_read=100_000), row("opus", OPUS, 0.037), chosen="sonnet"))
    assert found is not None and found.repaid is None and found.come_back is not None and 8 <= found.come_back <= 24


def test_a_detour_is_priced_in_the_tokens_of_where_it_goes_and_with_what_is_warm_there() -> None:
    """A tokenizer with a third more tokens pays for them; a cache that is still there is not written again."""
    here, there = row("opus", OPUS, 0.037, cache_read=100_000), row("sonnet", SONNET, 0.019)
    plain, wordy, warm = (outlook(decided(here, replace(there, **more))) for more in (  # type: ignore[arg-type]
        {}, {"prompt": 130_000}, {"cache_read": 90_000}
    ))  # fmt: skip
    assert plain is not None and wordy is not None and warm is not None
    away = pricing.toll(SONNET, 300, 100_000, 0) + pricing.running_cost(SONNET, 300, 100_000, 1_500, 500, 5)
    assert wordy.detour_usd - plain.detour_usd == pytest.approx(0.3 * away)
    assert plain.detour_usd - warm.detour_usd == pytest.approx(90_000 * 2.4e-6)


def test_right_after_a_summary_the_context_drops_out() -> None:
    """15,000 of tools and system text read, 4,000 of summary: 15,000 x 4.9 + 4,000 x 2.5 a million."""
    here = replace(row("sonnet", SONNET, 0.01, cache_read=15_000), prompt=19_000)
    there = replace(row("opus", OPUS, 0.02), prompt=19_000)
    found = outlook(decided(here, there, chosen="sonnet", free_point="compaction"))
    assert found is not None and found.summary_usd == pytest.approx(0.0835)


def test_nothing_is_said_without_another_model_or_a_price() -> None:
    assert outlook(decided(row("opus", OPUS, 0.037))) is None
    assert outlook(decided(row("opus", OPUS, 0.037), row("sonnet", SONNET, 0.019, veto="refused"))) is None
    assert outlook(decided(replace(row("opus", OPUS, 0.037), rates=None), row("sonnet", SONNET, 0.019))) is None
    assert outlook(decided()) is None


def test_where_reading_costs_what_writing_does_keeping_never_pays() -> None:
    assert kept_from(rates(2, 2, 2, 10), FIVE_MINUTES) is None
    assert kept_from(KIMI, FIVE_MINUTES) == pytest.approx(0.2 / 1.8)


# ---- quota


def test_a_subscription_is_weighed_and_a_key_is_billed() -> None:
    """A model that counts five times of the plan's quota: $0.10 at list are 0.50 of quota, and $0.10 with a key."""
    weighed = load_book({"claude-opus-5-5": {"quota_weight": 5}}, today=date(2026, 11, 22))
    card, usage = weighed.card("claude-opus-5-5"), Usage(fresh=0, cache_read=500_000)
    for auth, expected in (("subscription", 0.5), ("key", 0.1), ("none", 0.1)):
        asked = Request("messages", "/v1/messages", "claude-opus-5-5", auth=auth)  # type: ignore[arg-type]
        assert pricing.cost(usage, pricing.rates_for(card, asked, 500_000, 0.0)) == pytest.approx(expected)
    assert card.quota_weight == 5 and weighed.card("claude-haiku-5-5").quota_weight == 1.0


def test_a_weight_of_nothing_counts_nothing() -> None:
    free = load_book({"claude-haiku-5-5": {"quota_weight": 0}}, today=date(2026, 11, 22))
    asked = Request("messages", "/v1/messages", "claude-haiku-5-5", auth="subscription")
    rated = pricing.rates_for(free.card("claude-haiku-5-5"), asked, 1_000, 0.0)
    assert pricing.cost(Usage(fresh=1_000, output=10), rated) == 0.0


# ---- learned factors between tokenizers


def said(i: int) -> Message:
    return Message(i, "user" if i % 2 else "assistant", "prompt" if i % 2 else "assistant", 300)


def test_a_switch_teaches_the_factor_between_two_tokenizers(book: Book) -> None:
    """20,000 + 100 tokens on Haiku 4.5, then 24,300 on Opus 5.5 with one new message: 1.2, not the table's 1.3."""
    asked = Request("messages", "/v1/messages", "claude-opus-5-5", messages=tuple(said(i) for i in range(1, 6)))
    last, old, new = Usage(fresh=20_000, output=100), "claude-haiku-4-5", "claude-opus-5-5"
    fresh = round(300 / (3.3 / 1.3 * 1.03))
    done = Finished(9.0, "s", "1", 200, "final", 1.0, 9.0, usage=Usage(fresh=round(20_100 * 1.2) + fresh), served=Config(new))
    taught = learned.learned_factor(learned.Learned(), old, last, asked, 3, 3, done, book)
    assert learned.Learned().factor(old, new, book) == pytest.approx(1.3)
    assert taught.factor(old, new, book) == pytest.approx((1.3 * 0.25 + 1.2) / 1.25, rel=0.002)
    assert taught.factor(new, old, book) == pytest.approx(1 / taught.factor(old, new, book))
    odd = replace(done, usage=Usage(fresh=900_000))
    assert learned.learned_factor(taught, old, last, asked, 3, 3, odd, book) == taught, "something else changed with the model"
    assert learned.learned_factor(taught, new, last, asked, 3, 3, done, book) == taught, "no switch"


@pytest.mark.parametrize(("ttl_s", "times"), [(300, 1.25), (3_600, 2.0)])
def test_the_lifetime_that_the_client_pays_for_is_the_one_that_is_reckoned_with(book: Book, ttl_s: int, times: float) -> None:
    """A login of Claude Code writes for an hour: its prefix is dearer to write, and kept by one read an hour."""
    play = Play(book)
    play.prompt(ttl_s=ttl_s)
    decision = play.prompt(ttl_s=ttl_s)
    found, here = outlook(decision), decision.row(decision.chosen)
    assert found is not None and here is not None and here.rates is not None
    read, fresh = here.rates.cache_read, here.rates.fresh
    assert (found.ttl_s, found.keep_from) == (ttl_s, pytest.approx(read / (times * fresh - read)))
