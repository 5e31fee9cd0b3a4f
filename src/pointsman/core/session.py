"""Session state: a session, its lanes, its pin and its requests under way. ``core.evolve`` is its only writer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pointsman.core import envelope, sizes
from pointsman.core.certificate import EMPTY, Record, Weaker
from pointsman.core.decisions import Decision, Edit
from pointsman.core.events import (
    PinScope,
)
from pointsman.core.learned import NOTHING, Learned
from pointsman.core.messages import Message
from pointsman.core.progress import NOTHING as NO_PROGRESS
from pointsman.core.progress import Progress
from pointsman.core.types import Belief, ClientMove, Config, LaneKind, Request, TaskKind, Usage
from pointsman.core.warmth import Warmth


@dataclass(frozen=True, slots=True)
class Pin:
    """A model a person chose, and how long it holds. ``turn``/``task``: the first turn and task that ran under it."""

    config: Config
    scope: PinScope
    origin: str
    since: float
    turn: int | None = None
    task: int | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """A request that was routed and has not finished. ``before``: messages of the lane's last request.

    ``failed_over``: epoch seconds at which whoever took over from a failed provider was asked; 0: nobody had to.
    """

    lane: str
    request: Request
    decision: Decision
    started: float
    upstream: str = ""
    before: int = 0
    failed_over: float = 0.0


@dataclass(frozen=True, slots=True)
class Lane:
    """One agent loop of a session: the main loop, a sub-agent, or housekeeping.

    ``messages`` are those of its last request; ``warm`` maps each config to the prefix its provider holds;
    ``shadow`` is the prefix the asked model would hold had it served everything (for "as asked").
    ``opened_as``: what its task was about when it began. ``ratios`` of characters to tokens are learned per model from
    billed usage.
    ``touched``: names of the user's rules that its task matches.
    ``worked``: requests for agent work, retries left out.
    ``moved_to``: the model that the client itself went to (``moved_by``) while ``asked`` is still what a
    person asked for. ``rewritten``: some of its history was answered in
    another form than the client's. ``upstream``: the base URL that served it last; ``elsewhere``: what other deployments hold.
    ``sums``: what each admitted alternative would have saved. ``edits``: what we add to its history; ``unedited``: the provider
    refused that, so nothing more is added. ``consults``: times an advisor was asked. ``handed``: hashes of the texts that its
    last answers handed to sub-agents.
    """

    id: str
    kind: LaneKind
    parent: str | None = None
    messages: tuple[Message, ...] = ()
    tools: int = 0
    system: int = 0
    turn: int = 0
    task: int = 0
    requests: int = 0
    touched: tuple[str, ...] = ()
    worked: int = 0
    last_start: float = 0.0
    last_end: float = 0.0
    asked: Config = Config("")
    current: Config = Config("")
    sticky: Config | None = None
    last_id: str = ""
    last_body: int = 0
    last_status: int = 0
    last_stop: str = ""
    last_usage: Usage | None = None
    last_model: str | None = None
    last_decision: Decision | None = None
    last_request: Request | None = None
    turn_id: str | None = None
    moved_to: str | None = None
    moved_by: ClientMove | None = None
    speed: str | None = None
    plan: bool = False
    rewritten: bool = False
    opened_as: TaskKind | None = None
    belief: Belief = field(default_factory=Belief)
    progress: Progress = NO_PROGRESS
    warm: Mapping[Config, Warmth] = field(default_factory=dict)
    shadow: Warmth | None = None
    ratios: Mapping[str, sizes.Ratios] = field(default_factory=dict)
    answer_id: str = ""
    refused: Mapping[Config, str] = field(default_factory=dict)
    upstream: str = ""
    elsewhere: Mapping[str, Mapping[Config, Warmth]] = field(default_factory=dict)
    sums: envelope.Sums = envelope.NOTHING
    edits: tuple[Edit, ...] = ()
    unedited: bool = False
    consults: int = 0
    handed: tuple[int, ...] = ()

    def at(self, upstream: str) -> Lane:
        """The lane at the base URL ``upstream``: each deployment holds caches of its own."""
        if upstream == self.upstream:
            return self
        if not self.upstream and not self.warm:
            return replace(self, upstream=upstream)
        left = {**self.elsewhere, self.upstream: self.warm}
        return replace(self, upstream=upstream, warm=left.pop(upstream, {}), elsewhere=left)


@dataclass(frozen=True, slots=True)
class Session:
    """One conversation of a client: its lanes, its pin, its requests under way.

    ``refused``: configs that this upstream does not serve, laid in for one decision. ``signals``: the latest (time, kind)
    pairs; ``failed``: the configs whose work a check refused in this task. ``spent``: USD billed in all lanes; ``extra``: USD by
    which this task's requests cost more than the asked model's would have, but for those that a person's word moved; ``day``:
    (day, USD billed in all sessions) and ``record``: what outcomes say of weaker configs, both laid in for one decision.
    ``weaker``: who worked for the asked model.
    ``released``: when a person last took a pin off. ``sent_at``: when a failed check last sent the agent on by itself.
    ``turn_began``: when the person last asked for something; what a failed check sent back goes on with that turn.
    """

    id: str
    client: str = "unknown"
    run: str | None = None
    cwd: str | None = None
    interactive: bool | None = None
    title: str = ""
    opened: float = 0.0
    seen: float = 0.0
    turn: int = 0
    turn_began: float = 0.0
    task: int = 0
    pin: Pin | None = None
    released: float = 0.0
    lanes: Mapping[str, Lane] = field(default_factory=dict)
    pending: Mapping[str, Pending] = field(default_factory=dict)
    refused: Mapping[Config, str] = field(default_factory=dict)
    signals: tuple[tuple[float, str], ...] = ()
    failed: tuple[Config, ...] = ()
    sent_back: int = 0
    sent_at: float = 0.0
    marks: Mapping[int, str] = field(default_factory=dict)
    learned: Learned = NOTHING
    spent: float = 0.0
    extra: float = 0.0
    day: tuple[int, float] = (0, 0.0)
    weaker: tuple[Weaker, ...] = ()
    record: Record = EMPTY


def heard(session: Session, lane: Lane, kind: str) -> bool:
    """Whether the signal ``kind`` was heard of the lane's latest work already: whoever says it again says nothing new."""
    return any(ts > lane.last_start and known == kind for ts, known in session.signals)


SCOPE = "scope"
"""The origin of an ``Unpinned`` that no person made: the pin's scope was over."""
