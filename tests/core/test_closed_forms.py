"""The closed forms of switching against a bookkeeper that bills request by request, and the tables of the design notes.

The bookkeeper shares no code with them: it keeps, per model, how many leading tokens its provider holds and until when.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.test_decide import OPUS as OPUS_55
from core.test_decide import Play
from pointsman.core import pricing
from pointsman.core.candidates import NEW_TOKENS, OUTPUT_TOKENS
from pointsman.core.policy import Policy
from pointsman.core.types import FIVE_MINUTES, Config, Rates
from pointsman.core.warmth import Head
from pointsman.shell.prices import load_book


def rates(fresh: float, read: float, write: float, output: float) -> Rates:
    """Rates in USD per million tokens, as price lists print them."""
    return Rates(fresh / 1e6, read / 1e6, output / 1e6, output / 1e6, ((FIVE_MINUTES, write / 1e6),))


FABLE, OPUS, SONNET = rates(10, 0.25, 12.5, 50), rates(4, 0.2, 5, 20), rates(2, 0.1, 2.5, 10)
HAIKU, HAIKU_LONG = rates(0.1, 0.01, 0.125, 0.5), rates(0.5, 0.05, 0.625, 2.5)
ASTRA, SOL = rates(10, 1, 12.5, 50), rates(2, 0.1, 2.5, 10)
NEW, OUTPUT = 1_500, 500
SIZES = (20_000, 100_000, 200_000)


@dataclass
class Bookkeeper:
    """One conversation served by any models: ``held`` per model, (leading tokens, until second)."""

    context: int
    now: float = 0.0
    usd: float = 0.0
    answer: int = 0
    held: dict[int, tuple[int, float]] = field(default_factory=dict)

    def warm(self, model: Rates) -> Bookkeeper:
        self.held[id(model)] = (self.context, self.now + FIVE_MINUTES)
        return self

    def ask(self, model: Rates, new: int = NEW, output: int = OUTPUT, seconds: float = 10.0) -> Bookkeeper:
        """One request: what the model holds is read, the rest is written; then the answer joins the context."""
        prompt = self.context + self.answer + new
        tokens, until = self.held.get(id(model), (0, 0.0))
        read = min(tokens, prompt) if self.now < until else 0
        self.usd += read * model.cache_read + (prompt - read) * model.cache_write[0][1] + output * model.output
        self.held[id(model)] = (prompt, self.now + FIVE_MINUTES)
        self.context, self.answer = prompt, output
        self.now += seconds
        return self


def simulated(home: Rates, away: Rates, context: int, k: int, n: int, expired: bool) -> float:
    """USD of k requests away and n - k at home, above n at home."""
    gone, stayed = Bookkeeper(context).warm(home), Bookkeeper(context).warm(home)
    for _ in range(k):
        gone.ask(away)
    if expired and k < n:
        gone.now += 10_000
        for model, (tokens, until) in gone.held.items():
            gone.held[model] = (tokens, until + 10_000 if model == id(away) else until)
    for _ in range(n - k):
        gone.ask(home)
    for _ in range(n):
        stayed.ask(home)
    return gone.usd - stayed.usd


PRICES = st.builds(
    lambda fresh, read, write, output: rates(fresh, fresh * read, fresh * write, output),
    st.floats(0.1, 15), st.floats(0.01, 0.5), st.floats(1.0, 2.0), st.floats(0.5, 75),
)  # fmt: skip


# ---- excursions


@given(PRICES, PRICES, st.integers(10_000, 400_000), st.integers(1, 20), st.integers(0, 20))
def test_an_excursion_is_the_bookkeepers_difference(home: Rates, away: Rates, context: int, k: int, more: int) -> None:
    """With a warm return, up to the answer before each change of model: it is written, where the closed form reads it."""
    n = min(k + more, 28)  # the lifetime at home is not over while away: 28 x 10 s
    closed = pricing.excursion(home, away, ttl_s=FIVE_MINUTES, context=context, requests=k, of=n, p_lapse=0.0) if k <= n else 0.0
    slack = 2 * OUTPUT * (home.write(FIVE_MINUTES) + away.write(FIVE_MINUTES))
    assert k > n or closed == pytest.approx(simulated(home, away, context, k, n, False), abs=slack)


def test_an_excursion_worked_by_hand() -> None:
    """Opus to Sonnet for one of two requests at 20k: the toll, one request there, the way back of 2,000 tokens, one at home."""
    found = pricing.excursion(OPUS, SONNET, ttl_s=FIVE_MINUTES, context=20_000, requests=1, of=2, p_lapse=0.0)
    there = 20_000 * 2.4e-6 + 20_000 * 0.1e-6 + 1_500 * 2.5e-6 + 500 * 10e-6
    home = 22_000 * 0.2e-6 + 1_500 * 5e-6 + 500 * 20e-6
    both = 20_000 * 0.2e-6 + 1_500 * 5e-6 + 500 * 20e-6 + (21_500 * 0.2e-6 + 2_000 * 5e-6 + 500 * 20e-6)
    assert found == pytest.approx(there + 2_000 * 4.8e-6 + home - both)


@pytest.mark.parametrize(
    ("home", "away", "warm", "expired"),
    [
        (SONNET, OPUS, (15, 16, 17), (12, 7, 4)),
        (SONNET, FABLE, (18, 18, 18), (17, 14, 12)),
        (SOL, ASTRA, (19, 19, 19), (18, 18, 17)),
    ],
)
def test_when_coming_back_down_beats_staying_on_the_strong_model(
    home: Rates, away: Rates, warm: tuple[int, ...], expired: tuple[int, ...]
) -> None:
    """The up-excursion table of the design notes: after how many of 20 hard requests returning still pays (one either way)."""
    for context, k, gone in zip(SIZES, warm, expired, strict=True):
        for p_lapse, most in ((0.0, k), (1.0, gone)):
            found = pricing.longest_excursion(home, away, ttl_s=FIVE_MINUTES, context=context, of=20, p_lapse=p_lapse)
            assert abs(found - most) <= 1, (context, p_lapse, found)


@pytest.mark.parametrize(
    ("context", "warm", "sticky"), [(20_000, 0.179, 0.372), (100_000, 0.603, 0.916), (200_000, 1.133, 1.596)]
)  # fmt: skip
def test_going_up_for_five_of_twenty_requests(context: int, warm: float, sticky: float) -> None:
    five, all_of_them = (
        pricing.excursion(SONNET, OPUS, ttl_s=FIVE_MINUTES, context=context, requests=k, of=20, p_lapse=0.0) for k in (5, 20)
    )  # fmt: skip
    assert five == pytest.approx(warm, abs=0.0025) and all_of_them == pytest.approx(sticky, abs=0.0025)


@given(PRICES, PRICES, st.integers(10_000, 400_000), st.integers(2, 20))
def test_the_longest_excursion_is_where_the_curves_cross(home: Rates, away: Rates, context: int, n: int) -> None:
    k = pricing.longest_excursion(home, away, ttl_s=FIVE_MINUTES, context=context, of=n, p_lapse=0.5)
    cost = [
        pricing.excursion(home, away, ttl_s=FIVE_MINUTES, context=context, requests=i, of=n, p_lapse=0.5)
        for i in range(1, n + 1)
    ]  # fmt: skip
    assert 0 <= k < n and all(later >= cost[-1] for later in cost[k:-1]) and (k == 0 or cost[k - 1] < cost[-1])


# ---- free points


def test_moving_after_a_compaction_pays_for_head_and_summary_alone() -> None:
    """15k of tools and system, 4k of summary, Sonnet to Opus: 15,000 x 4.9 + 4,000 x 2.5 a million = $.0835 at any context."""
    found = pricing.compaction_toll(SONNET, OPUS, FIVE_MINUTES, 15_000, 4_000)
    assert found == pytest.approx(0.0835)
    blocks = (OPUS.write(FIVE_MINUTES) - SONNET.write(FIVE_MINUTES)) * 2_000
    assert found + blocks == pytest.approx(0.089, abs=5e-4), "with the next blocks"


@given(PRICES, PRICES, st.integers(0, 40_000), st.integers(0, 20_000))
def test_a_compaction_toll_is_the_bookkeepers_difference(current: Rates, other: Rates, head: int, summary: int) -> None:
    moved, stayed = Bookkeeper(head).warm(current), Bookkeeper(head).warm(current)
    moved.ask(other, summary, 0)
    stayed.ask(current, summary, 0)
    found = pricing.compaction_toll(current, other, FIVE_MINUTES, head, summary)
    assert found == pytest.approx(moved.usd - stayed.usd, rel=1e-9, abs=1e-12)


@given(PRICES, PRICES, st.integers(1_000, 400_000))
def test_after_an_idle_gap_both_write_everything(current: Rates, other: Rates, context: int) -> None:
    moved, stayed = Bookkeeper(context).ask(other, 0, 0), Bookkeeper(context).ask(current, 0, 0)
    there, here = (pricing.toll(model, FIVE_MINUTES, context, 0) for model in (other, current))
    reading = (other.cache_read - current.cache_read) * context
    assert pricing.round_trip(there, here, 0.0) + reading == pytest.approx(moved.usd - stayed.usd, rel=1e-9, abs=1e-12)


# ---- keep-alive, effort, advice


@given(PRICES, st.integers(1_000, 400_000), st.integers(1, 10))
def test_keeping_a_prefix_alive_is_a_read_per_lifetime(model: Rates, context: int, times: int) -> None:
    kept = Bookkeeper(context).warm(model)
    for _ in range(times):
        kept.now += FIVE_MINUTES - 1
        kept.ask(model, 0, 0, seconds=0.0)
    assert pricing.keep_alive(model, context, times) == pytest.approx(kept.usd)


def test_keeping_alive_pays_when_the_return_is_likely_enough() -> None:
    """Opus 5.5 at 100k: a ping costs $.02 and saves $.48; at 4.2 % of returns they are even."""
    ping, saved = pricing.keep_alive(OPUS, 100_000, 1), pricing.toll(OPUS, FIVE_MINUTES, 100_000, 0)
    assert (ping, saved) == (pytest.approx(0.02), pytest.approx(0.48))
    assert pricing.keep_alive_pays(OPUS, FIVE_MINUTES, ping / saved + 1e-6)
    assert not pricing.keep_alive_pays(OPUS, FIVE_MINUTES, ping / saved - 1e-6)


@given(PRICES, st.integers(20_000, 400_000), st.integers(0, 20_000))
def test_an_effort_change_is_the_bookkeepers_difference(model: Rates, context: int, kept: int) -> None:
    changed, same = Bookkeeper(context), Bookkeeper(context).warm(model)
    changed.held[id(model)] = (kept, 1e9)
    found = pricing.toll(model, FIVE_MINUTES, context, kept)
    assert found == pytest.approx(changed.ask(model).usd - same.ask(model).usd, rel=1e-9, abs=1e-12)


@given(PRICES, PRICES, st.integers(1_000, 50_000), st.integers(0, 4_000), st.integers(0, 2_000), st.integers(1, 30))
def test_advice_is_asked_answered_written_once_and_read_ever_after(
    advisor: Rates, executor: Rates, digest: int, answer: int, carried: int, requests: int
) -> None:
    with_advice, without = Bookkeeper(20_000).warm(executor), Bookkeeper(20_000).warm(executor)
    for n in range(requests):
        with_advice.ask(executor, NEW + (carried if n == 0 else 0), 0, seconds=1.0)
        without.ask(executor, NEW, 0, seconds=1.0)
    consult = digest * advisor.fresh + answer * advisor.output
    found = pricing.advice(advisor, executor, FIVE_MINUTES, digest, answer, carried, requests)
    assert found == pytest.approx(consult + with_advice.usd - without.usd, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("executor", "advisor", "sticky", "equal"),
    [
        (SONNET, OPUS, (0.372, 0.916, 1.596), (3.3, 2.1, 1.9)),
        (SONNET, FABLE, (1.156, 2.376, 3.901), (4.1, 2.2, 1.9)),
        (SOL, ASTRA, (1.718, 4.078, 7.028), (6.1, 3.8, 3.4)),
    ],
)
def test_how_many_consults_cost_what_going_up_for_good_costs(
    executor: Rates, advisor: Rates, sticky: tuple[float, ...], equal: tuple[float, ...]
) -> None:
    for context, dollars, consults in zip(SIZES, sticky, equal, strict=True):
        up = pricing.excursion(executor, advisor, ttl_s=FIVE_MINUTES, context=context, requests=20, of=20, p_lapse=0.0)
        consult = pricing.advice(advisor, executor, FIVE_MINUTES, context, 1_600, 550, 1)
        assert up == pytest.approx(dollars, abs=0.003) and up / consult == pytest.approx(consults, abs=0.06)


# ---- what the decider uses


def test_an_effort_changes_toll_in_the_decider_is_the_closed_form() -> None:
    """Opus 5.5 at 100,000 tokens, 15,000 of them tools and system text that are read with .93: 86,050 x $4.80 a million."""
    book = load_book()
    play = Play(book)
    play.prompt(chars=340_000)
    head = Head(15_000, play.now, FIVE_MINUTES)
    play.session = replace(play.session, learned=replace(play.session.learned, heads={("claude_code", OPUS_55, 2): head}))
    changed = play.prompt(chars=400, effort="low").row(Config(OPUS_55, "low"))
    assert changed is not None and changed.rates is not None and changed.toll_usd is not None
    context = changed.prompt * 400_000 / 401_200  # all but the last answer and the new prompt, by characters
    closed = pricing.toll(changed.rates, FIVE_MINUTES, round(context), round(0.93 * 15_000))
    assert changed.toll_usd == pytest.approx(closed, rel=1e-3) and closed == pytest.approx((context - 13_950) * 4.8e-6, rel=1e-3)


def test_an_effort_change_inside_the_history_has_the_toll_of_staying() -> None:
    """Whatever is expected to be cold anyway is the same for both."""
    play = Play(load_book(), Policy(failure_usd=0.0))
    play.prompt(chars=340_000)
    play.policy = Policy(profile="saver", failure_usd=0.0, pool=(OPUS_55,))
    turn = play.prompt(chars=400)
    other, own = turn.row(Config(OPUS_55, "medium")), turn.row(Config(OPUS_55, "high"))
    assert other is not None and own is not None and other.toll_usd == own.toll_usd
    assert other.round_trip_usd == 0.0, "and nothing is lost on the way back"


def test_a_requests_running_price_in_the_decider_is_the_closed_form() -> None:
    """Every row: its whole prompt read, a typical request's new blocks written, a typical answer."""
    play = Play(load_book())
    play.prompt(chars=340_000)
    for row in play.prompt(chars=400).candidates:
        assert row.rates is not None
        one = pricing.running_cost(row.rates, FIVE_MINUTES, row.prompt, NEW_TOKENS, OUTPUT_TOKENS, 1)
        assert row.run_usd == pytest.approx(one)
