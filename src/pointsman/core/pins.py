"""Pins: reading what a person typed, and when a pin ends. A pin ends only by its scope, and its end is said beforehand."""

from __future__ import annotations

from pointsman.core.book import Book
from pointsman.core.decisions import Decision
from pointsman.core.events import Stop
from pointsman.core.guardrails import veto
from pointsman.core.policy import Policy
from pointsman.core.session import Pin, Session
from pointsman.core.types import Config
from pointsman.errors import SettingsError


def parse(name: str, session: Session | None, book: Book, policy: Policy) -> Config:
    """The config meant by ``MODEL[:effort]``. Raises SettingsError with near matches, or with why it cannot run here."""
    model, _, effort = (name, "", "") if ":" not in name or book.has(name) else name.rpartition(":")  # some names hold a colon
    lane = session.lanes.get("main") if session else None
    asked = lane.asked.model if lane else policy.asked
    found = asked if model == "asked" else book.resolve(model, asked)
    if not found:
        near = book.near(model)
        hint = f"; did you mean {' or '.join(near)}?" if near else "; `pointsman prices` lists the models we know"
        raise SettingsError(f"unknown model {model!r}{hint}")
    target = book.target(found)
    if effort and target.efforts and effort not in target.efforts:
        raise SettingsError(f"{found} has no effort {effort!r}: it takes {', '.join(target.efforts)}")
    if effort and not target.efforts:
        raise SettingsError(f"{found} takes no effort setting; pin it without {':' + effort!r}")
    config = Config(found, effort or None)
    request = lane.last_request if lane else None
    if request is not None and lane is not None:
        prompt = lane.last_usage.prompt if lane.last_usage else 0
        whose = book.vendor(lane.asked.model)
        why = veto(config, lane.asked, request, target, book.vendor(found), lane.refused, policy, prompt, whose)
        if why:
            raise SettingsError(f"{found} cannot take over this session: {why}")
    return config


def ends_with_request(pin: Pin | None, decision: Decision) -> str:
    """The announcement when this request shows that a pin's scope is over: it still holds now, and not for the next one."""
    place = decision.place
    if pin is None or place.kind != "main" or pin.turn is None or pin.task is None:
        return ""
    if pin.scope == "task" and place.new_task and place.task > pin.task:
        return f"a new task seems to begin: the pin on {pin.config} holds for this request and ends with it"
    if pin.scope == "turn" and place.new_turn and place.turn > pin.turn:
        return f"the pinned turn is over: the pin on {pin.config} holds for this request and ends with it"
    return ""


def ends_after(pin: Pin, decision: Decision, stop: Stop) -> str:
    """Why a pin ends after this request finished, or an empty text: a turn's pin ends with its final answer."""
    if pin.scope == "turn" and pin.turn == decision.place.turn and stop == "final":
        return f"the turn is over, and with it the pin on {pin.config}"
    return ""
