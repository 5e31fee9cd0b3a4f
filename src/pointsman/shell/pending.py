"""A request under way, as everybody sees it who serves it: what came in, where it goes, what has been heard of the answer.

``shell.exchange`` sends and relays it, ``shell.advising`` asks for advice on it, ``shell.translation.foreign`` asks another
vendor's model, ``shell.desk`` records how it ended.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from pointsman.core.types import Protocol
from pointsman.shell.bodies import Upload
from pointsman.shell.streams import Listener, Through
from pointsman.shell.upstream import Headers

if TYPE_CHECKING:
    from pointsman.engine import Route
    from pointsman.shell.translation.translator import Spoken


@dataclass(slots=True)
class Pending:
    """One request. ``target``: raw path and query under the upstream ``base``. ``body``: the client's own bytes.

    ``headers``: ready to be forwarded with those bytes; ``given``: the same as the engine saw them. ``route`` None: it goes
    through undecided, and ``why`` says so in the ledger. ``foreign``: asks another vendor's model where the route is for one.
    ``started``, ``first_byte``: epoch seconds. ``resent``: our change was refused, and the original went out.
    """

    request: web.BaseRequest
    base: str
    target: str
    headers: Headers
    given: Mapping[str, str]
    body: Upload
    protocol: Protocol | None = None
    route: Route | None = None
    why: str = "not a path we decide"
    foreign: Callable[[Pending, Route], Awaitable[Spoken]] | None = None
    started: float = 0.0
    first_byte: float | None = None
    resent: bool = False
    status: int = 0
    heard: Listener = field(default_factory=Through)
