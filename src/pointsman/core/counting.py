"""Token counts: which model they must answer for, and how many tokens that is where its provider is not asked."""

from __future__ import annotations

from dataclasses import replace

from pointsman.core import lineage
from pointsman.core.book import Book
from pointsman.core.candidates import price, setting
from pointsman.core.contenders import asked_of, pinned_for, scheduled_for
from pointsman.core.decisions import Candidate
from pointsman.core.difficulty import PRIOR
from pointsman.core.policy import Policy
from pointsman.core.session import Session
from pointsman.core.types import Config, Request


def counted_for(request: Request, session: Session, book: Book, policy: Policy, now: float) -> tuple[Config, Candidate]:
    """The config that the next request would run on, with its row (prompt tokens are modelled there).

    What a person or a schedule has forced since the last request counts already; else it is what serves the lane now.
    """
    place = lineage.locate(request, session, now)
    lane = session.lanes.get(place.lane)
    asked = asked_of(request, place, book, policy)
    at = setting(replace(request, purpose="turn"), session, place, book, policy, asked, now, lane.belief if lane else PRIOR)
    forced = None if policy.mode == "observe" else scheduled_for(at) or pinned_for(at)
    if isinstance(forced, Config):
        row = price(forced, at)
        if row.veto is None or forced == asked:
            return forced, row
    chosen = asked
    if lane is not None and lane.asked.model == asked.model and lane.current.model and book.has(lane.current.model):
        chosen = Config(lane.current.model, request.effort and lane.current.effort)
    return chosen, price(chosen, at)
