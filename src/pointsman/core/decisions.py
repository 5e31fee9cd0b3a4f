"""The decision and everything in it: candidates, gates, rules, break-even points, additions to the history, advice."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from pointsman.core.later import Later
from pointsman.core.record import record
from pointsman.core.types import Belief, Config, FreePoint, Place, Rates, TaskKind

_config = lru_cache(maxsize=1024)(Config)
"""Configs are asked of their rows dozens of times a decision: the same pair gives the same object."""


@record(frozen=True, slots=True)
class Candidate:
    """One config priced for this request: USD, tokens and seconds; everything here is modelled.

    ``input_usd``: expected price of the prompt given ``p_warm``. ``toll_usd``: what its cold prefix costs above a warm
    one. ``way_back_usd``: expected price of returning to the config that runs now. ``round_trip_usd`` = own toll - the
    toll of staying + way back. ``fail``: P(failure), None when unknown. ``run_usd``: one warm request, output included.
    ``veto``: why it cannot be chosen, or None. ``warm_until``: epoch seconds at which its cache lapses, or None.
    ``rates``: the prices used, so that the row still explains itself when the map has changed. ``steps``: requests it needs for
    the work of one of the strongest tier's; ``risk_usd``: what one of those bears of failures, next tries and waiting.
    ``ttl_s``: seconds that its provider keeps what this request writes (0: not known).
    """

    model: str
    effort: str | None
    prompt: int = 0
    fresh: int = 0
    cache_read: int = 0
    cache_write: int = 0
    p_warm: float = 0.0
    input_usd: float | None = None
    output_usd: float | None = None
    run_usd: float | None = None
    toll_usd: float | None = None
    way_back_usd: float | None = None
    round_trip_usd: float | None = None
    fail: float | None = None
    wait_s: float | None = None
    total_usd: float | None = None
    warm_until: float | None = None
    veto: str | None = None
    rates: Rates | None = None
    steps: float = 1.0
    risk_usd: float | None = None
    ttl_s: int = 0

    @property
    def config(self) -> Config:
        """The config this row prices."""
        return _config(self.model, self.effort)


@record(frozen=True, slots=True)
class Gate:
    """One rule that was asked before choosing: ``ran`` False means it had nothing to look at, and ``said`` why."""

    name: str
    ran: bool
    said: str


@record(frozen=True, slots=True)
class Rule:
    """A user's rule that took part, with where it is written: ``origin`` is ``file:line``, ``pointsman pin`` or ``client``."""

    name: str
    origin: str


@record(frozen=True, slots=True)
class BreakEven:
    """The point at which the answer flips to ``config``.

    ``axis``: ``requests`` (still to come), ``difficulty`` (0..1) or ``minutes`` of the user per failure. ``at`` None
    means there is no such point. ``now``: where we stand. ``needed`` and ``uplift``: for difficulty, how much likelier
    it succeeds than what was chosen, there and where we stand (-1..1; None: not known).
    """

    model: str
    effort: str | None
    axis: Literal["requests", "difficulty", "minutes"]
    at: float | None
    now: float | None
    needed: float | None = None
    uplift: float | None = None


@record(frozen=True, slots=True)
class Meter:
    """What an admitted alternative would have saved since ``since`` (epoch seconds) beside what the switch costs, in USD."""

    model: str
    effort: str | None
    saved_usd: float
    switch_usd: float
    since: float

    @property
    def config(self) -> Config:
        """The alternative."""
        return _config(self.model, self.effort)


Action = Literal["stay", "switch", "escalate", "effort", "advise", "hold"]
"""``advise``: stay, with a stronger model's advice asked first; ``hold``: stay although a move pays, until a free point."""

EditKind = Literal["effort", "advice", "consult", "tool"]
"""An effort change; advice that nobody asked for (push); a call of the advisor by the model and its result (pull), which the
client never saw; the tool by which it calls, which stands at 0 among the client's own."""


@record(frozen=True, slots=True)
class Edit:
    """One addition to a lane's history that every later request repeats byte for byte (WIRE.md 3).

    It stands after ``at`` messages of the client's, the last of which hashes to ``after``: where that message is gone, so is
    the edit. ``value``: the effort's name, the id of an advice, or the tool's form. ``model``: only requests to it carry the
    edit; None: all. ``chars``: its size on the wire. ``into``: hash of the message that it divides or stands before (0: none, or
    not seen yet), ``skip`` messages further on.
    """

    kind: EditKind
    at: int
    after: int
    value: str
    model: str | None = None
    chars: int = 0
    into: int = 0
    skip: int = 0


@record(frozen=True, slots=True)
class Advice:
    """What an advisor said, and for a call by the model (pull) what must stand around it in the history.

    ``call``: the call's id, ``arguments``: its arguments as the model wrote them (JSON). ``parts``: the kinds of what the
    client saw of that answer before the call, ``words`` and ``thoughts`` the characters of text and reasoning in them.
    ``joined``: the model called tools of the client's in the same breath, so that the result stands among theirs.
    ``signature``: what the provider sealed the call with and wants to see again (Gemini).
    """

    text: str
    call: str = ""
    arguments: str = ""
    parts: tuple[str, ...] = ()
    words: int = 0
    thoughts: int = 0
    joined: bool = False
    signature: str = ""


@record(frozen=True, slots=True)
class Advisor:
    """What the user allows of advice: ``model`` is asked (push: when we think it pays; pull: when the working model asks).

    ``per_session``: consults at most; ``budget_usd``: modelled USD of one at most; ``digest_tokens`` and ``max_tokens``: its
    question and its answer. ``provider_tool``: Anthropic's own advisor tool where the pair allows it. ``timeout_s``: seconds
    after which the executor goes on without. ``keep_text``: the ledger keeps what was said.
    """

    model: str
    push: bool = True
    pull: bool = False
    per_session: int = 3
    budget_usd: float = 0.5
    digest_tokens: int = 15_000
    max_tokens: int = 2_048
    provider_tool: bool = False
    timeout_s: float = 90.0
    keep_text: bool = False


Reason = Literal[
    "asked",  # uncertified means the asked model
    "no_ladder",  # unknown asked name: nothing to compare with
    "unpriced",  # the asked model has no price
    "pin",  # the user said so
    "pin_refused",  # the user said so and it cannot be honoured
    "side",  # housekeeping goes to the cheapest that can do it
    "compaction",  # summarise on the model that holds the cache
    "retry",  # the same request again: the same decision again
    "retry_asked",  # the upstream refused our change: the asked model
    "subagent",  # a sub-agent keeps the model its client chose
    "sticky",  # took over earlier in this task, up or down
    "escalate",  # evidence of failure and uplift that pays
    "hand_down",  # the strong model failed too, and a weaker one is the better next try
    "free_point",  # cold anyway: follow the advice
    "count",  # a token count answers for the model that will run
    "schedule",  # a schedule given for a test or a demonstration
    "rule",  # a rule of the user's: protected work, a floor, a ceiling, a preference for this kind of task
    "budget",  # a budget of the user's is spent
    "envelope",  # what the move would have saved since has paid for the switch, or for half of it and the advice agrees
    "effort",  # another effort of the same model
    "advisor",  # a stronger model is asked for advice first
    "failover",  # the provider failed before its first byte: the next deployment or model
    "fail_open",  # an error of ours: the original request went to the asked model
]


@record(frozen=True, slots=True)
class Decision:
    """The answer for one request, with everything a person needs to check it.

    ``would``: what would have run without the pin (the counterfactual row). ``propensity``: probability with which this
    config was drawn among the candidates. ``notices``: what must be said before the next request (a pin that ends or
    cannot be honoured). ``kind``: what the turn is about. ``edits``: what is added to the history, of now and of before.
    ``consult``: the advisor to be asked before the request is sent. ``lapse``: P(the next pause outlasts the cache of what was
    chosen), by the user's own pauses (None: not known).
    ``breakevens``: a tuple, or one that is worked out when it is read (``core.later``).
    ``envelope``: the admitted alternatives, each with what it would have saved (core.envelope).
    """

    id: str
    place: Place
    asked: Config
    chosen: Config
    action: Action
    reason: Reason
    sentence: str
    candidates: tuple[Candidate, ...] = ()
    gates: tuple[Gate, ...] = ()
    rules: tuple[Rule, ...] = ()
    breakevens: tuple[BreakEven, ...] | Later[BreakEven] = ()
    belief: Belief = Belief()
    free_point: FreePoint | None = None
    would: Config | None = None
    propensity: float = 1.0
    policy_version: str = ""
    card_version: str = ""
    notices: tuple[str, ...] = ()
    kind: TaskKind | None = None
    edits: tuple[Edit, ...] = ()
    consult: Config | None = None
    lapse: float | None = None
    envelope: tuple[Meter, ...] = ()

    @property
    def moved(self) -> bool:
        """True when the chosen config is not the asked one."""
        return self.chosen != self.asked

    def row(self, config: Config) -> Candidate | None:
        """The candidate row of ``config``, or None."""
        return next((c for c in self.candidates if c.config == config), None)
