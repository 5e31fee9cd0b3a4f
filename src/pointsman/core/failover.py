"""What another deployment or model would mean for a request that its provider failed before the first content byte.

The order of the deployments and models is the user's (settings ``fallbacks``); here a hop is checked and priced. A pinned model
is never left for another one, only for another deployment of the same: a pin is a person's word.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pointsman.core.book import Book
from pointsman.core.candidates import price, setting, with_effort
from pointsman.core.decisions import Candidate, Decision
from pointsman.core.policy import Policy
from pointsman.core.sentences import short, usd
from pointsman.core.session import Session
from pointsman.core.types import Config, Request


@dataclass(frozen=True, slots=True)
class Hop:
    """Where a failed request goes next: ``decision`` for it, or None with the reason in ``why``.

    ``extra_usd``: modelled USD of the prompt there above what it would have cost where it failed; None: unknown.
    """

    decision: Decision | None
    why: str
    extra_usd: float | None = None


def hop(
    decision: Decision, request: Request, session: Session, book: Book, policy: Policy, now: float,
    model: str | None, place: str, why: str,
) -> Hop:  # fmt: skip
    """The decision for ``request`` after its provider failed with ``why``: on ``model`` (None: the same), at ``place``.

    ``session`` as it was when the request was decided. ``place``: the deployment's name, for people.
    """
    chosen = decision.chosen
    to = chosen if model in (None, chosen.model) else with_effort(model or chosen.model, request.effort, book)
    if to != chosen and decision.reason == "pin":
        return Hop(None, f"{chosen} is pinned: another model is not taken in its place")
    row, here = (_row(config, decision, request, session, book, policy, now) for config in (to, chosen))
    if to != chosen and row.veto is not None and to != decision.asked:
        return Hop(None, f"{to} cannot take it over: {row.veto}")
    extra = _extra(row, here, moved=to != chosen)
    cost = "" if extra is None else f", {'+' if extra >= 0 else '-'}{usd(abs(extra))} for the prompt"
    said = f"{short(chosen.model)} failed ({why}): {_where(to, chosen, place)}{cost}"
    rows = decision.candidates if decision.row(to) else (*decision.candidates, row)
    return Hop(
        replace(
            decision, chosen=to, action=decision.action if to == chosen else "switch", reason="failover",
            sentence=said + ".", candidates=rows, notices=(*decision.notices, said),
        ), said, extra,
    )  # fmt: skip


def _row(
    config: Config, decision: Decision, request: Request, session: Session, book: Book, policy: Policy, now: float
) -> Candidate:
    """The candidate row of ``config``: the decision's own where it has one."""
    known = decision.row(config)
    if known is not None:
        return known
    at = setting(request, session, decision.place, book, policy, decision.asked, now, decision.belief)
    return price(config, at)


def _extra(row: Candidate, here: Candidate, *, moved: bool) -> float | None:
    """USD above what the prompt would have cost: another deployment holds nothing, so all of it is written there."""
    if row.input_usd is None or here.input_usd is None or row.rates is None:
        return None
    if moved:
        return row.input_usd - here.input_usd
    return max(row.rates.fresh, *(rate for _, rate in row.rates.cache_write), 0.0) * row.prompt - here.input_usd


def _where(to: Config, chosen: Config, place: str) -> str:
    return f"on to {short(to.model)}{f' at {place}' if place else ''}" if to != chosen else f"the same model at {place}"
