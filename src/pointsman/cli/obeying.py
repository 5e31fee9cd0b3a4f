"""What a pin costs: the price of obeying, the way back, and what of the request would be converted. Everything is modelled."""

from __future__ import annotations

from dataclasses import replace

from pointsman.core import pins
from pointsman.core.book import Book
from pointsman.core.decide import decide
from pointsman.core.decisions import Candidate
from pointsman.core.policy import Policy
from pointsman.core.session import Pin, Session
from pointsman.core.types import Config, Request
from pointsman.tui.figures import config_name, money


def said(session: Session, name: str, book: Book, policy: Policy, now: float) -> str:
    """One or two sentences on pinning ``name`` now; empty before the first request. Raises SettingsError when it cannot be."""
    config = pins.parse(name, session, book, policy)
    lane = session.lanes.get("main")
    if lane is None or lane.last_request is None:
        return ""
    pinned = replace(session, pin=Pin(config, "session", "pointsman pin", now))
    request = replace(lane.last_request, messages=lane.messages, body_hash=0)  # the next request, as far as we know it
    decision = decide(request, pinned, book, policy, now, 0.0)
    row = next((c for c in decision.candidates if c.model == config.model and c.effort == decision.chosen.effort), None)
    here = decision.row(lane.current)
    words = [_cost(row, here, lane.current), _converted(request, config, book)]
    return " ".join(word for word in words if word)


def _cost(row: Candidate | None, here: Candidate | None, current: Config) -> str:
    if row is None or row.input_usd is None:
        return "What it costs is not known: this model has no price."
    if row.config == current:
        return f"It is what runs now, so obeying costs nothing extra: ≈{money(row.input_usd)} of input on the next request."
    staying = f" (staying: {money(here.input_usd, modelled=True)})" if here is not None and here.input_usd is not None else ""
    back = f"; the way back to {config_name(current)} {money(row.way_back_usd, modelled=True)}" if row.way_back_usd else ""
    return f"Obeying costs {money(row.input_usd, modelled=True)} of input on the next request{staying}{back}."


def _converted(request: Request, config: Config, book: Book) -> str:
    """What of the request the model takes in another form, or not at all."""
    found = book.target(config.model).conversions(request, config.effort)
    return f"Converted: {'; '.join(found)}." if found else ""
