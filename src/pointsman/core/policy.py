"""The policy in force: what the user allows, compiled from the settings; and the choice among priced candidates.

The first form is small on purpose (DECISION.md 6): the asked model unless a pin, housekeeping, or a free point together
with the user's consent says otherwise. *Uncertified means the asked model.*
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Literal

from pointsman.core.capability import NOBODY, REPEAT
from pointsman.core.decisions import Advisor, Candidate
from pointsman.core.record import record
from pointsman.core.schedule import Step
from pointsman.core.types import Config

Profile = Literal["quality", "balanced", "fast", "saver"]
Mode = Literal["auto", "observe"]
Then = Literal["warn", "hold", "cheapest"]
"""What a spent budget does: it is said; nothing dearer than asked is used; the cheapest that the policy admits takes over."""

FAILURE_USD = 5.0
"""USD that a visible failure costs the user by default: five minutes at $60 an hour (DECISION.md 1)."""

CHECK_RECALL, CHECK_FALSE_ALARM = 0.8, 0.1
"""What a check at "done" is taken to catch, and to blame wrongly, until its own record says otherwise (DECISION.md 1)."""

REQUESTS_PER_TURN = 10.0
"""Requests still to come, on average, at the start of a turn: 17,453 requests in 1,727 real turns (DECISION.md 1)."""

REQUESTS_AHEAD = 27.0
"""Requests until the next free point (a gap of over five minutes) or the end, on average, from any point: 26.9 at the start and
27 to 33 after any number of requests, over 273 real sessions (entireio/cli, MIT): it does not depend on what has passed."""

MINUTE_USD = 1.0
"""USD that a minute of waiting costs in profile ``fast``: the user's time at $60 an hour (DECISION.md 1). Elsewhere nothing: the
person does something else meanwhile, and a failure's minutes are in ``failure_usd``."""

CHECK_S = 30.0
"""Seconds of one run of the check, until its own record says otherwise (assumed)."""

DEADLINE_S = 1_800.0
"""Seconds after which nothing is begun by itself (assumed: half an hour): no failover of a request, no retry in a turn, and no
failover in a turn that a failed check sent on."""

SILENCE_S = 120.0
"""Seconds for which a provider that is asked for a stream may say nothing before somebody else is asked (assumed). Clients give
up after 300 s (Codex's ``stream_idle_timeout_ms``; Node's fetch): whoever takes over needs the rest."""

STAKES = 3.0
"""By how much a failure costs more where the work is protected (assumed: a bad migration, login or release is undone by hand)."""

UP_CAP_USD = 2.0
"""USD that up-moves may cost a task beyond the asked model, until the user says otherwise (assumed)."""

RISK = 0.10
"""Share of failed routes that a certificate promises at most. 5 % takes 59 clean tasks at the very least, 10 % takes 29."""

MARGIN = 0.02
"""A move must win by this share of the asked config's cost to go, else we abstain: estimates are not that exact."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the router may do, in one frozen value; ``version`` names it in every decision.

    ``pool``: models to choose between, cheap to strong (empty: the asked model's ladder). ``asked``: the baseline when it
    is not the model named in the request. ``allow``/``deny``: model names. ``side``: housekeeping may go cheap.
    ``consent_up``: the user agreed to spend more after failures. ``failure_usd``: USD per failure the user sees.
    ``check``: a check guards "done", with its recall, false-alarm rate and seconds. ``origins``: key to ``file:line``.
    ``deadline_s``: seconds after which nothing new is started by itself.
    ``schedule``: configs forced from given requests on (``core.schedule``). ``vendors``: whose models can be reached by
    translation, with a key of their own; ``one_upstream``: one base URL serves every vendor.

    ``protect`` and ``kind_rules``: globs on what a task touches (``core.globs``); the first hold the asked model or better and
    make a failure cost ``stakes_usd`` times as much; the second name kinds of the user's own. ``kinds``: preferences,
    (kind, ``MODEL[:effort]``). ``floor``/``ceiling``: models that no move may go below or above. ``budget_*``: USD of a session
    and of a day, and what happens then; ``day_offset_s``: seconds that the user's clock is ahead of UTC. ``up_cap_usd``: USD that
    up-moves may cost one task. ``risk``: what a certificate promises. ``stakes``: the multiplier in force for one request's task;
    it is set by the decider and is no part of the version. ``advisor``: whose advice may be asked, None: nobody's.
    ``efforts``: other efforts of the asked model are candidates.
    ``diagnose``: the provider's own cache diagnostics are asked for.
    """

    profile: Profile = "quality"
    mode: Mode = "auto"
    asked: str | None = None
    pool: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    side: bool = True
    consent_up: bool = False
    failure_usd: float = FAILURE_USD
    check: bool = False
    check_recall: float = 0.0
    check_false_alarm: float = 0.0
    check_s: float = CHECK_S
    deadline_s: float = DEADLINE_S
    seed: int = 0
    schedule: tuple[Step, ...] = ()
    vendors: tuple[str, ...] = ()
    one_upstream: bool = False
    protect: tuple[str, ...] = ()
    stakes_usd: float = STAKES
    kinds: tuple[tuple[str, str], ...] = ()
    kind_rules: tuple[str, ...] = ()
    floor: tuple[str, ...] = ()
    ceiling: tuple[str, ...] = ()
    budget_session: float | None = None
    budget_day: float | None = None
    budget_then: Then = "warn"
    day_offset_s: int = 0
    up_cap_usd: float | None = None
    risk: float = RISK
    stakes: float = 1.0
    advisor: Advisor | None = None
    efforts: bool = True
    diagnose: bool = False
    origins: tuple[tuple[str, str], ...] = ()

    def __hash__(self) -> int:
        """Quick: every decision looks up the version of its policy, and there are few policies."""
        return hash((self.profile, self.failure_usd, self.pool))

    @property
    def version(self) -> str:
        """A short name for exactly these rules: equal values, equal name. Where a rule is written does not count."""
        return _version(self)

    @property
    def guarded(self) -> bool:
        """Whether a check guards "done" that can tell: it refuses wrong work more often than right work."""
        return self.check and self.check_recall > self.check_false_alarm

    def origin(self, key: str) -> str:
        """Where ``key`` was set: ``file:line``, or ``default``."""
        return dict(self.origins).get(key, "default")


@lru_cache(maxsize=64)
def _version(policy: Policy) -> str:
    """Every decision names its policy, and hashing one takes longer than pricing a model."""
    values = [(f.name, getattr(policy, f.name)) for f in fields(policy) if f.name not in ("origins", "stakes")]
    return "first-" + hashlib.sha256(repr(values).encode()).hexdigest()[:8]


@record(frozen=True, slots=True)
class Odds:
    """What the cost to go needs to know beside the prices.

    ``requests`` still to come; USD per failure the user sees; the check's rates (0, 0: none) and seconds; USD per minute that
    somebody waits. ``nobody``: share of tasks that no model solves; ``repeat``: P(success) of a config that has failed the task.
    ``owed``: where a weaker config fails the check, the asked model is owed the next try.
    """

    requests: float
    failure_usd: float
    recall: float = 0.0
    false_alarm: float = 0.0
    minute_usd: float = 0.0
    check_s: float = 0.0
    nobody: float = NOBODY
    repeat: float = REPEAT
    owed: bool = True

    @property
    def check_usd(self) -> float:
        """USD of waiting for one run of the check."""
        return self.minute_usd * self.check_s / 60.0


def admitted(candidate: Candidate, asked: Config, rank: int, policy: Policy, certified: bool = False) -> str | None:
    """Why ``candidate`` may not take user-visible work under this policy, or None when it may.

    ``rank``: its place relative to the asked model: below 0 weaker, above 0 stronger, in model or effort. ``certified``: the
    user's own outcomes bound its failures here (``core.certificate``).
    """
    if candidate.config == asked or rank == 0:
        return None
    if rank > 0:
        return None if policy.consent_up else "up-moves spend your money: not consented"
    if policy.profile == "saver" or certified and policy.profile != "quality":
        return None
    if policy.profile == "balanced" and policy.guarded:
        return None
    if certified:
        return "weaker than what you asked for: profile quality keeps that, though your own tasks certify this one"
    return "uncertified: weaker than what you asked for"


def choose(
    rows: tuple[Candidate, ...], asked: Config, allowed: dict[Config, bool], here: Config | None = None
) -> Config | None:  # fmt: skip
    """The admitted config with the lowest cost to go, if it beats the asked one by the margin; else None.

    Ties and near-ties stay: a router must not create regret out of nothing. ``here``: what runs now; among several configs
    that beat the asked one it keeps the work while it is within the margin of the best, so that near-equals never take turns.
    """
    base = next((row for row in rows if row.config == asked), None)
    if base is None or base.total_usd is None:
        return None
    best, best_usd = None, base.total_usd * (1.0 - MARGIN)
    for row in rows:
        if row.veto is None and allowed.get(row.config) and row.total_usd is not None and row.total_usd < best_usd:
            best, best_usd = row.config, row.total_usd
    if best is None or here is None or here in (best, asked) or not allowed.get(here):
        return best
    mine = next((row for row in rows if row.config == here), None)
    if mine is None or mine.veto is not None or mine.total_usd is None:
        return best
    stays = mine.total_usd * (1.0 - MARGIN) <= best_usd and mine.total_usd < base.total_usd * (1.0 - MARGIN)
    return here if stays else best
