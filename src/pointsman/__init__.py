"""Pointsman: a session-aware router for the turns of coding agents. It prices the prompt cache before it moves.

    from pointsman import Router, Settings

    router = Router(Settings(profile="quality"))
    routed = router.route(path="/v1/messages", headers=headers, body=body, now=time.time(), dice=random.random())
    ...send routed.body to routed.model's provider...
    router.finish(routed.id, usage=usage, status=200, started=t0, first_byte=t1, ended=t2)

Names are resolved on first use, so that ``import pointsman`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pointsman.core.book import Book as Book
    from pointsman.core.decide import decide as decide
    from pointsman.core.decisions import Candidate as Candidate
    from pointsman.core.decisions import Decision as Decision
    from pointsman.core.events import Event as Event
    from pointsman.core.evolve import evolve as evolve
    from pointsman.core.policy import Policy as Policy
    from pointsman.core.session import Lane as Lane
    from pointsman.core.session import Pin as Pin
    from pointsman.core.session import Session as Session
    from pointsman.core.types import Belief as Belief
    from pointsman.core.types import Config as Config
    from pointsman.core.types import Request as Request
    from pointsman.core.types import Usage as Usage
    from pointsman.engine import Route as Route
    from pointsman.errors import PointsmanError as PointsmanError
    from pointsman.library import Router as Router
    from pointsman.settings import Settings as Settings
    from pointsman.shell.prices import load_book as load_book

__version__ = "0.1.0"

_HOMES = {
    "Belief": "core.types", "Book": "core.book", "Candidate": "core.decisions", "Config": "core.types",
    "Decision": "core.decisions", "Event": "core.events", "Lane": "core.session", "Pin": "core.session",
    "PointsmanError": "errors", "Policy": "core.policy", "Request": "core.types", "Route": "engine",
    "Router": "library", "Session": "core.session", "Settings": "settings", "Usage": "core.types",
    "decide": "core.decide", "evolve": "core.evolve", "load_book": "shell.prices",
}  # fmt: skip

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    """The public name, imported from its home on first use."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'pointsman' has no attribute {name!r}")
    value = getattr(import_module(f"pointsman.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
