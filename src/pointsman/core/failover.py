"""What another deployment or model would mean for a request that its provider failed before the first content byte.

The order of the deployments and models is the user's (settings ``fallbacks``); here a hop is checked and priced. A pinned model
is never left for another one, only for another deployment of the same: a pin is a person's word. So are a floor, and what is
protected: a weaker model does not take such work over, and the provider's own error reaches the agent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pointsman.core import rules
from pointsman.core.book import Book
from pointsman.core.candidates import price, setting, with_effort
from pointsman.core.costing import compare
from pointsman.core.decisions import Candidate, Decision
from pointsman.core.foreign import is_foreign
from pointsman.core.policy import MINUTE_USD, Policy
from pointsman.core.sentences import short, usd
from pointsman.core.session import Session
from pointsman.core.types import Config, Request


@dataclass(frozen=True, slots=True)
class Hop:
    """Where a failed request goes next: ``decision`` for it, or None with the reason in ``why``.

    ``extra_usd``: modelled USD of the prompt there above what it would have cost where it failed; None: unknown. ``here``: the
    row of what failed.
    """

    decision: Decision | None
    why: str
    extra_usd: float | None = None
    here: Candidate | None = None


def hop(
    decision: Decision, request: Request, session: Session, there: Session, book: Book, policy: Policy, now: float,
    model: str | None, place: str, why: str,
) -> Hop:  # fmt: skip
    """The decision for ``request`` after its provider failed with ``why``: on ``model`` (None: the same), at ``place``.

    ``session`` as it was when the request was decided; ``there``: the same where the request would go, with the caches of that
    place; the same object where the place is the same. ``place``: the deployment's name, for people.
    """
    chosen = decision.chosen
    to = chosen if model in (None, chosen.model) else with_effort(model or chosen.model, request.effort, book)
    if to != chosen and session.pin is not None and session.pin.config.model == chosen.model:
        return Hop(None, f"{chosen} is pinned: another model is not taken in its place")
    other = to.model not in (chosen.model, decision.asked.model)
    if other and (barred := _barred(to, decision, request, session, book, policy, now)) is not None:
        return Hop(None, f"{to} does not take it over: {barred}")
    here = decision.row(chosen) or _row(chosen, decision, request, session, book, policy, now)
    known = decision.row(to) if there is session else None
    row = known or _row(to, decision, request, there, book, policy, now)
    unserved = there is not session and to in there.refused
    if row.veto is not None and (unserved or to not in (chosen, decision.asked)):
        return Hop(None, f"{to} cannot take it over: {row.veto}")
    if there is not session and _without_key(to, decision, request, book, policy):
        return Hop(None, f"{to} cannot take it over: the client's key belongs to another vendor, and no translation leads there")
    extra = None if row.input_usd is None or here.input_usd is None else row.input_usd - here.input_usd
    cost = "" if extra is None else f", {'+' if extra >= 0 else '-'}{usd(abs(extra))} for the prompt"
    said = f"{short(chosen.model)} failed ({why}): {_where(to, chosen, place)}{cost}"
    rows = (*(other for other in decision.candidates if other.config != to), row)
    return Hop(
        replace(
            decision, chosen=to, action=decision.action if to == chosen else "switch", reason="failover",
            sentence=said + ".", candidates=rows, notices=(*decision.notices, said),
        ), said, extra, here,
    )  # fmt: skip


def worth_waiting(
    found: Hop, decision: Decision, request: Request, session: Session, book: Book, policy: Policy, now: float, seconds: float
) -> str | None:  # fmt: skip
    """Why to wait ``seconds`` for the provider that asks for them instead of going on as ``found`` says; None: that is cheaper.

    The user's time at $60 an hour against what leaving costs: the prompt that is cold elsewhere, and with another model what the
    rest of the task is expected to cost more there, its failures included.
    """
    if found.decision is None or found.extra_usd is None:
        return None
    leaving, to = found.extra_usd, found.decision.chosen
    if to.model != decision.chosen.model:
        at = setting(request, session, decision.place, book, policy, decision.asked, now, decision.belief)
        rows = {row.config: row.total_usd for row in compare((decision.chosen, to), at)}
        here, there = rows.get(decision.chosen), rows.get(to)
        leaving = max(leaving, there - here if here is not None and there is not None else 0.0)
    waiting = seconds * MINUTE_USD / 60.0
    if leaving <= waiting:
        return None
    return f"it asks for {seconds:g} s: waiting costs {usd(waiting)} of your time, going to {short(to.model)} {usd(leaving)}"


def may_bill(here: Candidate | None, book: Book, seconds: float) -> float:
    """USD that a provider may bill for a request it took and never answered, at most, modelled.

    Its prompt, and what the model writes in ``seconds`` at its speed: providers bill what was generated until they notice.
    """
    if here is None or here.rates is None or here.input_usd is None:
        return 0.0
    return here.input_usd + max(0.0, seconds) * book.speed(here.model).output_tps * here.rates.output


def _row(
    config: Config, decision: Decision, request: Request, session: Session, book: Book, policy: Policy, now: float
) -> Candidate:
    """The candidate row of ``config`` in ``session``."""
    at = setting(request, session, decision.place, book, policy, decision.asked, now, decision.belief)
    return price(config, at)


def _barred(
    to: Config, decision: Decision, request: Request, session: Session, book: Book, policy: Policy, now: float
) -> str | None:
    """Which of the user's own rules keeps this work from ``to``, or None."""
    at = setting(request, session, decision.place, book, policy, decision.asked, now, decision.belief)
    low = rules.below_floor(to.model, at)
    if low is not None or not at.ruling.touched or not rules.weaker(to.model, decision.asked.model, at):
        return low
    rule = at.ruling.touched[0]
    return f"{rules.globbed(rule)} is protected ({policy.origin(rule)}): the model you asked for, or better"


def _without_key(to: Config, decision: Decision, request: Request, book: Book, policy: Policy) -> bool:
    """Whether ``to`` is of another vendor and would be asked in the client's own words: those carry the key of the client's."""
    vendor, home = book.vendor(to.model), book.vendor(decision.asked.model)
    return vendor != home and not is_foreign(request, home, vendor, policy)


def _where(to: Config, chosen: Config, place: str) -> str:
    return f"on to {short(to.model)}{f' at {place}' if place else ''}" if to != chosen else f"the same model at {place}"
