"""The rows of the read model: totals, requests, lanes, turns and sessions, as ``core.timeline`` folds them from events.

Money is USD, times are epoch seconds, durations seconds. Rows are changed by the fold only; readers treat them as values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pointsman.core.decisions import Action, Decision, Reason
from pointsman.core.events import HUNG_UP, Advised, Checked, FailedOver, Mark, Pinned, Stop
from pointsman.core.types import Config, Diagnosis, LaneKind, Purpose, TaskKind, Usage

Outcome = Literal["good", "bad", "overkill", "unknown", "running"]
"""What is known of a turn: a person's mark, else a check or commit; ``unknown`` is a value of its own, never imputed."""

COLD_SHARE = 0.05
"""Below this share of the prompt read from the cache, a turn's first request counts as cold."""


@dataclass(slots=True, eq=False)
class Totals:
    """Money of many requests in USD. ``net`` is as asked minus spent over the requests that have both: plus means saved.

    ``unknown``: finished requests nobody billed visibly; ``unknown_asked``: billed ones without an as-asked figure;
    ``bounded``: bills that are lower bounds; ``moved``: requests that ran on something else than was asked, so that
    ``asked`` and ``net`` are modelled. ``quota``: the part of ``spent`` that a subscription pays: weights, no dollars.
    """

    requests: int = 0
    spent: float = 0.0
    quota: float = 0.0
    asked: float = 0.0
    net: float = 0.0
    unknown: int = 0
    unknown_asked: int = 0
    bounded: int = 0
    moved: int = 0
    errors: int = 0

    def add(self, row: RequestRow, sign: int = 1) -> None:
        """Count ``row`` in (``sign`` 1) or out (-1)."""
        self.requests += sign
        self.errors += sign * row.failed
        self.unknown += sign * row.unknown
        self.moved += sign * row.modelled
        if row.billed is None:
            return
        self.spent += sign * row.billed
        self.quota += sign * row.billed if row.quota else 0.0
        self.bounded += sign * row.at_least
        if row.asked_usd is None:
            self.unknown_asked += sign
        else:
            self.asked += sign * row.asked_usd
            self.net += sign * (row.asked_usd - row.billed)

    @property
    def modelled(self) -> bool:
        """Whether ``asked`` and ``net`` contain a modelled figure (they need an ``≈``)."""
        return self.moved > 0


@dataclass(slots=True, eq=False)
class RequestRow:
    """One model call: what was asked, what ran, and what it cost in USD, tokens and seconds.

    ``billed`` None: not finished, or the provider said nothing. ``asked_usd`` None: no counterfactual is known.
    ``at_least``: the bill is a lower bound (broken off, or a sub-request without a price); ``at_most``: with what a broken-off
    answer, or one that never came, may have been billed beyond it, modelled, None where the bill is no bound.
    ``predicted``: (prompt, cache read, cache write) tokens we expected of the config that ran, None without a row.
    ``diagnosis``: what the provider itself says of the cache, where it was asked.
    ``quota``: a subscription pays, so that its figures are quota weights and no dollars.
    ``expected_usd`` and ``input_usd``: what its prompt was predicted to cost and was billed, None where either is unknown.
    ``failovers``: what failed before somebody answered; ``at_most_usd``: what those may bill all the same. ``advice``:
    advisors that were asked while it was under way; their ``advice_usd`` is in ``billed``, and never in ``asked_usd``.
    ``decision`` is kept while it decides a turn or is its lane's newest; else None (a timeline with ``keep`` keeps all).
    """

    id: str
    session: str
    lane: str
    kind: LaneKind
    purpose: Purpose
    turn: int
    ts: float
    asked: Config
    chosen: Config
    action: Action
    reason: Reason
    predicted: tuple[int, int, int] | None = None
    expected_usd: float | None = None
    input_usd: float | None = None
    decision: Decision | None = None
    finished: bool = False
    lost: bool = False
    served: Config | None = None
    status: int = 0
    stop: Stop | None = None
    usage: Usage | None = None
    billed: float | None = None
    at_least: bool = False
    at_most: float | None = None
    asked_usd: float | None = None
    modelled: bool = False
    wait_s: float | None = None
    duration_s: float | None = None
    started: float = 0.0
    warm_until: float | None = None
    resent: bool = False
    error: str | None = None
    diagnosis: Diagnosis | None = None
    quota: bool = False
    failovers: tuple[FailedOver, ...] = ()
    at_most_usd: float = 0.0
    advice: tuple[Advised, ...] = ()
    advice_usd: float = 0.0

    @property
    def ran(self) -> Config:
        """The config that served the request, or the chosen one while it runs."""
        return self.served or self.chosen

    @property
    def running(self) -> bool:
        """Whether it has neither finished nor been given up."""
        return not self.finished and not self.lost

    @property
    def failed(self) -> bool:
        """Whether the upstream answered with an error instead of an answer: nobody bills that."""
        return self.finished and self.usage is None and self.status >= 400 and self.status != HUNG_UP

    @property
    def unknown(self) -> bool:
        """Whether it should have a bill and has none. Token counts are free, errors are not billed."""
        done = self.finished or self.lost
        return done and self.billed is None and not self.failed and self.purpose != "count"

    @property
    def interrupted(self) -> bool:
        """Whether the answer broke off: the client hung up, or the upstream did."""
        return self.stop in ("hangup", "cut")

    @property
    def cache_share(self) -> float | None:
        """Share of the prompt that was read from the cache, 0..1; None when unknown."""
        return self.usage.cache_read / self.usage.prompt if self.usage and self.usage.prompt else None


@dataclass(slots=True, eq=False)
class LaneRow:
    """One agent loop of a session with its totals; ``newest`` is its last request."""

    id: str
    kind: LaneKind
    totals: Totals = field(default_factory=Totals)
    newest: RequestRow | None = None
    open: dict[str, RequestRow] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class TurnRow:
    """One turn: from a user prompt to the agent's final answer, with everything that ran in it.

    ``decision`` is the one that decided the turn: its first in the main lane, or the last that moved away from it.
    ``newest`` is the main lane's last request in it. ``pin``: the pin in force; ``refused``: changes of ours that the
    upstream refused. ``checks``: runs of the check on this turn's work, oldest first.
    """

    n: int
    session: str
    task: int
    ts: float
    requests: list[RequestRow] = field(default_factory=list)
    totals: Totals = field(default_factory=Totals)
    decision: Decision | None = None
    newest: RequestRow | None = None
    first: RequestRow | None = None
    mark: Mark | None = None
    label: Outcome = "unknown"
    notices: list[str] = field(default_factory=list)
    pin: Config | None = None
    refused: list[Config] = field(default_factory=list)
    checks: list[Checked] = field(default_factory=list)
    kind: TaskKind | None = None

    @property
    def check(self) -> Checked | None:
        """The last word of a check on this turn's work, None when none ran."""
        return self.checks[-1] if self.checks else None

    @property
    def outcome(self) -> Outcome:
        """The person's mark, else what a check said, else ``running`` or ``unknown``."""
        if self.mark is not None:
            return self.mark
        if self.label != "unknown":
            return self.label
        return "running" if any(row.running for row in self.requests) else "unknown"

    @property
    def main(self) -> list[RequestRow]:
        """The requests of the main lane, oldest first."""
        return [row for row in self.requests if row.kind == "main" and row.purpose != "count"]

    @property
    def config(self) -> Config | None:
        """The config the main lane ran last in this turn."""
        return self.newest.ran if self.newest else None

    @property
    def asked(self) -> Config | None:
        """What the client asked for in this turn."""
        return self.newest.asked if self.newest else None

    @property
    def models(self) -> tuple[str, ...]:
        """Every model that served a request in this turn, first use first."""
        return tuple(dict.fromkeys(row.ran.model for row in self.requests))

    @property
    def hard(self) -> float | None:
        """Difficulty 0..1 believed when the turn was last decided; None while nothing has been observed."""
        belief = self.decision.belief if self.decision else None
        return belief.hard if belief and belief.n else None

    @property
    def cold(self) -> bool:
        """Whether the turn's first request found next to nothing in the cache."""
        share = self.first.cache_share if self.first else None
        return share is not None and share < COLD_SHARE

    @property
    def cache_share(self) -> float | None:
        """Share of the main lane's prompt tokens read from the cache, 0..1; None when unknown."""
        known = [row.usage for row in self.main if row.usage]
        prompt = sum(usage.prompt for usage in known)
        return sum(usage.cache_read for usage in known) / prompt if prompt else None

    @property
    def wait_s(self) -> float | None:
        """Seconds the main lane's requests took, waiting and answering together; None when none has finished."""
        known = [row.duration_s for row in self.main if row.duration_s is not None]
        return sum(known) if known else None

    @property
    def fail(self) -> float | None:
        """P(failure) that was estimated for the config that was chosen; None when unknown."""
        row = self.decision.row(self.decision.chosen) if self.decision else None
        return row.fail if row else None


@dataclass(slots=True, eq=False)
class SessionRow:
    """One conversation of a client: its turns, lanes and totals. ``pin``: in force, also one that holds everywhere here.

    ``prices``: every model that was a candidate, with its output price (USD per token, inf: unknown), for a cheap-to-strong
    order; ``ran``: main-lane requests per model; ``notices``: what must be said before the next main request.
    """

    id: str
    client: str = "unknown"
    run: str | None = None
    cwd: str | None = None
    title: str = ""
    opened: float = 0.0
    seen: float = 0.0
    ended: bool = False
    turns: list[TurnRow] = field(default_factory=list)
    by_turn: dict[int, TurnRow] = field(default_factory=dict)
    early: list[RequestRow] = field(default_factory=list)
    lanes: dict[str, LaneRow] = field(default_factory=dict)
    totals: Totals = field(default_factory=Totals)
    interrupted: int = 0
    pin: Pinned | None = None
    newest: RequestRow | None = None
    notices: list[str] = field(default_factory=list)
    prices: dict[str, float] = field(default_factory=dict)
    ran: dict[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What people call it: its title, else its folder, else the head of its id."""
        folder = (self.cwd or "").replace("\\", "/").rstrip("/").rpartition("/")[2]
        return self.title or folder or self.id[:12]

    @property
    def running(self) -> bool:
        """Whether a request is under way."""
        return not self.ended and any(row.running for lane in self.lanes.values() for row in lane.open.values())

    @property
    def decision(self) -> Decision | None:
        """The main lane's newest decision."""
        return self.newest.decision if self.newest else None
