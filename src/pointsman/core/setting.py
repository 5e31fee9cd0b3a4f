"""What all candidates of one request share: the facts, the session as it stands, and what the user's own rules say of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pointsman.core import cache
from pointsman.core.book import Book
from pointsman.core.capability import ORDINARY, Outlook
from pointsman.core.decisions import Edit
from pointsman.core.policy import Policy
from pointsman.core.record import record
from pointsman.core.session import Lane, Session
from pointsman.core.types import Belief, Config, Place, Request


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the user's rules say of one request.

    ``touched``: the ``protect`` rules that its task has touched, ``fresh`` those of this very request. ``kind``: what the turn
    is about, the user's own names first. ``preferred``: the config the user wants for that kind. ``over``: budgets that are
    spent, each as a sentence. ``no_up``: why nothing stronger may be used now.
    ``unchecked``: what the turn is about where no check sees its result.
    ``certified``: weaker configs that the user's own outcomes certify here; ``vetoed``: those they speak against, and why.
    """

    touched: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    kind: str | None = None
    preferred: str | None = None
    over: tuple[str, ...] = ()
    no_up: str | None = None
    unchecked: str | None = None
    certified: frozenset[Config] = frozenset()
    vetoed: Mapping[Config, str] = field(default_factory=dict)


NOTHING = Ruling()


@record(frozen=True, slots=True)
class Setting:
    """What all candidates of one request share.

    ``new_share``: share of the prompt that this request adds, by characters; ``chars``: its size; ``moment``: when it is made.
    ``current``: the config that holds the lane's cache: what ran last, or the asked one at the start.
    ``refused``: configs that this upstream refused, for this lane's history or altogether. ``edits``: ours that still stand.
    ``ruling``: what the user's own rules say of it. ``base``: the prompt in tokens of the model that ran last (None: unknown).
    ``outlook``: how the user's tasks are, and this one may be after the checks that failed in it; ``usual``: before them.
    ``vendor``: whose model the asked one is.
    """

    request: Request
    session: Session
    lane: Lane | None
    place: Place
    book: Book
    policy: Policy
    asked: Config
    now: float
    belief: Belief
    new_share: float
    chars: int
    moment: cache.Moment
    current: Config
    refused: Mapping[Config, str]
    edits: tuple[Edit, ...] = ()
    ruling: Ruling = NOTHING
    outlook: Outlook = ORDINARY
    base: float | None = None
    usual: Outlook = ORDINARY
    vendor: str = ""

    def skill(self, config: Config) -> tuple[float, float]:
        """Ability of ``config`` and its standard deviation in logits: its prior, moved by the user's own outcomes."""
        return self.session.learned.abilities.skill(config.model, *self.book.skill(config))
