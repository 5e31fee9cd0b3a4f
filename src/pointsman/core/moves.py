"""What a move away from the chosen model would come to, and what keeping its cache costs: the closed forms, for one decision.

Everything is modelled, in USD, from the rates and prompts that the decision's rows keep.
"""

from __future__ import annotations

from dataclasses import dataclass

from pointsman.core import pricing
from pointsman.core.decisions import Candidate, Decision
from pointsman.core.learned import NOTHING
from pointsman.core.policy import REQUESTS_AHEAD
from pointsman.core.types import FIVE_MINUTES, Config, Rates

DETOUR = 5
"""Requests of the detour that is priced: a short excursion, as in notes/cache.md 5.3."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """Moves from ``here`` to ``there``, in USD and requests.

    ``repaid``: requests until a lasting move is repaid (None: never). ``detour_usd``: what ``DETOUR`` requests there and the way
    back cost above staying, of ``ahead`` requests. ``come_back``: after at most how many of them returning beats staying there
    (None where it is not dearer). ``summary_usd``: what moving costs above staying right after a compaction (None: there was
    none). ``keep_usd``: reading the prompt once per ``ttl_s`` to keep it; ``keep_from``: the chance of a return from which that
    pays (None: it never does).
    """

    here: Config
    there: Config
    repaid: int | None
    detour_usd: float
    ahead: int
    come_back: int | None
    summary_usd: float | None
    keep_usd: float
    keep_from: float | None
    ttl_s: int


def outlook(decision: Decision) -> Outlook | None:
    """The moves to the cheapest other row that can be chosen; None where there is none, or no price."""
    here = decision.row(decision.chosen)
    if here is None or here.rates is None or not here.prompt:
        return None
    others = [row for row in decision.candidates if row is not here and row.veto is None and row.rates is not None]
    there = min(others, key=lambda row: row.run_usd or 0.0, default=None)
    if there is None or there.rates is None:
        return None
    home, away, ttl_s, ahead = here.rates, there.rates, _lifetime(here), round(REQUESTS_AHEAD)
    factor = there.prompt / here.prompt
    same_text = pricing.times(away, factor)  # per token of the model here
    gone = {"ttl_s": ttl_s, "context": here.prompt, "warm": round(there.cache_read / factor) if factor else 0}
    more = there.steps / here.steps
    dearer, never = ((there.run_usd or 0.0) * x > (here.run_usd or 0.0) for x in (1.0, more))
    repaid = pricing.break_even_requests(
        home, away, ttl_s=ttl_s, context=here.prompt, warm=there.cache_read, factor=factor,
        other_ttl_s=_lifetime(there), more=more,
    )  # fmt: skip
    p_lapse = NOTHING.lapse(ttl_s) if decision.lapse is None else decision.lapse
    return Outlook(
        here.config, there.config, None if never else pricing.whole_requests(repaid),
        pricing.excursion(home, same_text, requests=DETOUR, of=ahead, p_lapse=p_lapse, **gone), ahead,
        pricing.longest_excursion(home, same_text, of=ahead, p_lapse=p_lapse, **gone) if dearer else None,
        _after_summary(decision, here, same_text, ttl_s), pricing.keep_alive(home, here.prompt, 1), kept_from(home, ttl_s), ttl_s,
    )  # fmt: skip


def kept_from(rates: Rates, ttl_s: int) -> float | None:
    """The chance of a return within the next lifetime from which keeping a prefix warm pays; None: it never does."""
    if not pricing.keep_alive_pays(rates, ttl_s, 1.0):
        return None
    return rates.cache_read / (rates.write(ttl_s) - rates.cache_read)


def _after_summary(decision: Decision, here: Candidate, away: Rates, ttl_s: int) -> float | None:
    if decision.free_point != "compaction" or here.rates is None:
        return None
    head = here.cache_read
    return pricing.compaction_toll(here.rates, away, ttl_s, head, here.prompt - head)


def _lifetime(row: Candidate) -> int:
    """Seconds: what the row was priced for; in older ledgers, where it does not stand, the shortest that is sold."""
    if row.ttl_s or row.rates is None:
        return row.ttl_s or FIVE_MINUTES
    return row.rates.cache_write[0][0] if row.rates.cache_write else FIVE_MINUTES
