"""The nouns. One frozen model per noun, shared by every layer; tokens are ints, money is USD, times are epoch seconds.

    Request   what the agent asked for, as read off the wire: digests and facts, never the text
    Usage     what one request consumed, in disjoint buckets
    Config    a model at an effort: what the router chooses between
    Candidate one config priced for one request's own prefix
    Decision  the answer to "stay, or do something else, and what would each cost?"

Session, Lane and Pin live in ``core.session``; events in ``core.events``; price cards in ``core.pricing``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

Protocol = Literal["messages", "chat", "responses", "gemini"]

Purpose = Literal["turn", "compaction", "side", "count"]
"""Why a request is made: agent work; a summary of the history; housekeeping (titles, commit messages, prewarm);
a token count. Only ``turn`` counts as a turn, sets a pin or moves the difficulty."""

LaneKind = Literal["main", "subagent", "side"]

Auth = Literal["key", "subscription", "none"]
"""How the client pays: an API key; a subscription login (stays with its vendor, marginal dollars are quota); nothing seen."""

FIVE_MINUTES, HALF_HOUR, HOUR, HALF_DAY, DAY = 300, 1_800, 3_600, 43_200, 86_400
"""The cache lifetimes that providers sell, in seconds."""


@dataclass(frozen=True, slots=True)
class Config:
    """A model at an effort. ``effort`` None means the provider's or the client's own default."""

    model: str
    effort: str | None = None

    def __str__(self) -> str:
        return f"{self.model}:{self.effort}" if self.effort else self.model


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request in disjoint buckets: every token is in exactly one.

    ``cache_write`` holds (TTL in seconds, tokens) pairs. ``output`` excludes ``reasoning``. ``complete`` is False when
    the stream was cut and the figures are a lower bound. ``extra`` holds server-side sub-requests (advisor, compaction)
    that are billed at their own model's price. ``cache_reported`` False: the provider has no fields for its cache, so that
    nothing read means nothing known.
    """

    fresh: int = 0
    cache_read: int = 0
    cache_write: tuple[tuple[int, int], ...] = ()
    output: int = 0
    reasoning: int = 0
    complete: bool = True
    extra: tuple[tuple[str, Usage], ...] = ()
    cache_reported: bool = True

    @property
    def written(self) -> int:
        """Tokens written to a cache, over all lifetimes."""
        return sum(tokens for _, tokens in self.cache_write)

    @property
    def prompt(self) -> int:
        """All input tokens: fresh, read and written."""
        return self.fresh + self.cache_read + self.written


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What the provider itself says about a prompt's cache, compared with the request before it.

    ``reason``: its own word for the first difference (``tools_changed``, ``model_changed`` ...), ``no_difference`` for none;
    ``missed``: about how many tokens could not be reused for it (None: it did not say).
    """

    reason: str
    missed: int | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What an answer says of itself besides usage and model: its id, and the cache diagnosis that was asked for."""

    id: str = ""
    diagnosis: Diagnosis | None = None


@dataclass(frozen=True, slots=True)
class Rates:
    """Prices in USD per token that hold for one request. ``cache_write`` holds (TTL in seconds, price) pairs."""

    fresh: float
    cache_read: float
    output: float
    reasoning: float
    cache_write: tuple[tuple[int, float], ...] = ()

    def write(self, ttl_s: int) -> float:
        """USD per token written for ``ttl_s`` seconds: that lifetime's price, else the next longer, else the dearest, else fresh.

        A map row without a write price writes at the fresh price: otherwise a cold switch looks free (DECISION.md 5).
        """
        for ttl, price in self.cache_write:
            if ttl >= ttl_s:
                return price
        return max([price for _, price in self.cache_write], default=self.fresh)


Fact = Literal[
    "tool_error",  # a tool result marked as an error
    "tests_failed",  # a tool result that reports failing tests
    "tests_passed",  # a tool result that reports passing tests
    "interrupt",  # the user broke off the previous answer
    "command",  # a slash command of the client
    "plan_mode",  # the client is in plan mode
    "continued",  # the history was replaced by a summary
    "summarise",  # the client asks for that summary
    "image",  # an image or document block
    "thinking",  # assistant reasoning that belongs to the model that wrote it
    "tool_reference",  # deferred tools that only some models take
    "server_tool",  # blocks of tools the provider itself ran
    "effort",  # an effort change inside the history
    "unknown_block",  # a block that only its own vendor understands
    "type_error",  # a tool result in which a compiler or type checker reports an error
    "lint_error",  # a tool result in which a linter reports an offence
    "pasted_failure",  # the user's words carry a failure that a tool printed
    "quotes",  # the user's words quote something said before
    "question",  # the user's words end with a question mark, in any script
    "praise",  # the user's words are a sign of approval, in no language
]
"""What a message shows without keeping its text."""

MessageKind = Literal["prompt", "tool_result", "reminder", "assistant", "system"]

CallKind = Literal[
    "read",  # looks at files, folders, pages
    "edit",  # changes files
    "test",  # runs tests
    "check",  # runs a compiler, type checker, linter or build
    "run",  # runs any other command
    "diff",  # looks at changes
    "commit",  # commits, pushes, opens or merges a pull request
    "undo",  # takes edits back (git checkout, restore, reset, stash)
    "todo",  # keeps a list of what is to do
    "plan",  # enters or leaves plan mode
    "agent",  # starts a sub-agent
    "ask",  # asks the user
    "other",
]
"""What a tool call does, by the tool's name and the programs it runs (wire.calls, wire.commands)."""


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call of the model as digests. ``same``: hash of the tool and what it was given.

    ``files``: hashes of the files it names, by their last two path parts. ``old``/``new``: hashes of the text an edit replaces
    and of what it puts there (0: none), so that an edit and its reverse are known as such. ``lines``: lines it changes.
    ``tests``: it edits a file of tests, by its name.
    """

    kind: CallKind
    same: int
    files: tuple[int, ...] = ()
    old: int = 0
    new: int = 0
    lines: int = 0
    tests: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """The digest of one message: enough for lineage, warmth and sensors, without the text.

    ``hash``: xxh3-64 of the canonical message, cache marks ignored. ``chars``: its size on the wire. ``mark_s``: the TTL of a
    cache mark on it, or None. A ``prompt`` holds words of the user; a ``reminder`` only the client's own. ``rules``: names of
    the user's rules that the paths, commands and tools in it match (``core.globs``). ``calls``: the tool calls in it.
    ``said``: length of the user's own words (``wire.prompts``), ``own`` their hash (0: none). ``sketch``: which words a
    prompt or an answer without calls holds, as bits of a hash in hexadecimal digits: enough to see that two texts share
    words, not to read them. ``mix``: how many of its characters are code, JSON and logs (empty: all prose). ``images``: their
    widths and heights in pixels, which ``chars`` leaves out; ``pages``: pages of documents.
    """

    hash: int
    role: str
    kind: MessageKind
    chars: int
    mark_s: int | None = None
    facts: tuple[Fact, ...] = ()
    rules: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    said: int = 0
    sketch: str = ""
    mix: tuple[int, ...] = ()
    images: tuple[tuple[int, int], ...] = ()
    pages: int = 0
    own: int = 0


Need = Literal[
    "vision",
    "thinking_enabled",
    "thinking_adaptive",
    "thinking_disabled",
    "effort",
    "effort_messages",
    "sampling",
    "forced_tool",
    "prefill",
    "json_schema",
    "system_messages",
    "tool_reference",
    "server_tools",
    "fast",
    "tools",
    "unknown_blocks",
    "stored_history",
]
"""What a request uses that some models refuse."""


@dataclass(frozen=True, slots=True)
class Request:
    """One model call as the client sent it.

    ``session``/``agent``/``parent``/``turn_id`` are the client's own ids where it sends them, else None (lineage then
    goes by message hashes). ``run`` is the id in ``/run/ID``. ``tools``/``system`` are hashes (0: none);
    ``head_chars`` is their size on the wire. ``body_hash`` is equal for retries: key order, ``stream`` and the output
    limit ignored. ``ttl_s`` is the cache lifetime the client asked for, read off its marks (None: no mark);
    ``head_ttl_s`` that of the marks on tools and system text.
    ``title``: the start of the first user prompt, for people; empty unless the settings allow it.
    """

    protocol: Protocol
    path: str
    model: str
    client: str = "unknown"
    purpose: Purpose = "turn"
    effort: str | None = None
    stream: bool = False
    session: str | None = None
    agent: str | None = None
    parent: str | None = None
    turn_id: str | None = None
    run: str | None = None
    interactive: bool | None = None
    cwd: str | None = None
    auth: Auth = "none"
    tools: int = 0
    system: int = 0
    head_chars: int = 0
    messages: tuple[Message, ...] = ()
    needs: frozenset[Need] = frozenset()
    ttl_s: int | None = None
    head_ttl_s: int | None = None
    max_output: int | None = None
    speed: str | None = None
    tier: str | None = None
    body_hash: int = 0
    size: int = 0
    title: str = ""

    @property
    def chars(self) -> int:
        """Size of the whole prompt on the wire: tools, system and messages."""
        return self.head_chars + sum([message.chars for message in self.messages])


Relation = Literal["new", "continue", "fork", "resume", "retry", "compacted"]
"""How a request stands to what its lane has seen: first of its lane; longer history; a shared start that then differs
(rewind, edit); continues after a restart or long pause; the same request again; begins from a summary."""


ClientMove = Literal["fallback", "limit", "opusplan", "fast", "resumed"]
"""A change of the requested model that no person made: a retry on the client's fallback model after an error, its
usage-limit fallback, plan mode of ``opusplan``, fast mode, or a resumed session that goes on with the model which the last
answer named (Claude Code 2.1: the one a pin ran, not the one that was asked for)."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request belongs. ``kept`` counts the leading messages it shares with the lane's last request.

    ``parent`` names the lane a fork or sub-agent came from. ``in_loop``: the last message is a tool result, so the agent is
    inside a tool loop. ``gap_s``: seconds since the lane's last request began (None: there was none). ``client_move``: the
    requested model changed, but by the client itself, so that it is no pin.
    """

    session: str
    lane: str
    kind: LaneKind
    relation: Relation
    kept: int = 0
    turn: int = 0
    task: int = 0
    new_turn: bool = False
    new_task: bool = False
    in_loop: bool = False
    gap_s: float | None = None
    parent: str | None = None
    retry_of: str | None = None
    client_move: ClientMove | None = None


TaskKind = Literal["plan", "explore", "edit", "debug", "test", "review", "commit", "chat"]
"""What a turn is about, by simple visible rules (core/kinds)."""

FreePoint = Literal["session_start", "idle", "compaction", "clear", "subagent_start", "rewind"]
"""Moments at which leaving costs (almost) nothing: the own cache is cold anyway, or was never written."""


@dataclass(frozen=True, slots=True)
class Belief:
    """Latent difficulty of the task as a Gaussian in logits: ``mu`` +- ``sd``; ``n`` observations moved it."""

    mu: float = 0.0
    sd: float = 2.5
    n: int = 0

    @property
    def hard(self) -> float:
        """Difficulty on a 0..1 scale for people: sigmoid(mu / 2.5), the pool's spread (notes/science.md 2)."""
        from math import exp

        return 1.0 / (1.0 + exp(-self.mu / 2.5))


_config = lru_cache(maxsize=1024)(Config)
"""Configs are asked of their rows dozens of times a decision: the same pair gives the same object."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One config priced for this request: USD, tokens and seconds; everything here is modelled.

    ``input_usd``: expected price of the prompt given ``p_warm``. ``toll_usd``: what its cold prefix costs above a warm
    one. ``way_back_usd``: expected price of returning to the config that runs now. ``round_trip_usd`` = own toll - the
    toll of staying + way back. ``fail``: P(failure), None when unknown. ``run_usd``: one warm request, output included.
    ``veto``: why it cannot be chosen, or None. ``warm_until``: epoch seconds at which its cache lapses, or None.
    ``rates``: the prices used, so that the row still explains itself when the map has changed. ``steps``: requests it needs for
    the work of one of the strongest tier's; ``risk_usd``: what one of those bears of failures, next tries and waiting.
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

    @property
    def config(self) -> Config:
        """The config this row prices."""
        return _config(self.model, self.effort)


@dataclass(frozen=True, slots=True)
class Gate:
    """One rule that was asked before choosing: ``ran`` False means it had nothing to look at, and ``said`` why."""

    name: str
    ran: bool
    said: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A user's rule that took part, with where it is written: ``origin`` is ``file:line``, ``pointsman pin`` or ``client``."""

    name: str
    origin: str


@dataclass(frozen=True, slots=True)
class BreakEven:
    """The point at which the answer flips to ``config``.

    ``axis``: ``requests`` (still to come), ``difficulty`` (0..1) or ``minutes`` of the user per failure. ``at`` None
    means there is no such point. ``now``: where we stand.
    """

    model: str
    effort: str | None
    axis: Literal["requests", "difficulty", "minutes"]
    at: float | None
    now: float | None


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Advice:
    """What an advisor said, and for a call by the model (pull) what must stand around it in the history.

    ``call``: the call's id, ``arguments``: its arguments as the model wrote them (JSON). ``parts``: the kinds of what the
    client saw of that answer before the call, ``words`` and ``thoughts`` the characters of text and reasoning in them.
    ``joined``: the model called tools of the client's in the same breath, so that the result stands among theirs.
    """

    text: str
    call: str = ""
    arguments: str = ""
    parts: tuple[str, ...] = ()
    words: int = 0
    thoughts: int = 0
    joined: bool = False


@dataclass(frozen=True, slots=True)
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
    "sticky",  # escalated earlier in this task
    "escalate",  # evidence of failure and uplift that pays
    "hand_down",  # the strong model failed too, and a weaker one is the better next try
    "free_point",  # cold anyway: follow the advice
    "count",  # a token count answers for the model that will run
    "schedule",  # a schedule given for a test or a demonstration
    "rule",  # a rule of the user's: protected work, a floor, a ceiling, a preference for this kind of task
    "budget",  # a budget of the user's is spent
    "envelope",  # what the move would have saved since has paid for the switch
    "effort",  # another effort of the same model
    "advisor",  # a stronger model is asked for advice first
    "failover",  # the provider failed before its first byte: the next deployment or model
    "fail_open",  # an error of ours: the original request went to the asked model
]


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer for one request, with everything a person needs to check it.

    ``would``: what would have run without the pin (the counterfactual row). ``propensity``: probability with which this
    config was drawn among the candidates. ``notices``: what must be said before the next request (a pin that ends or
    cannot be honoured). ``kind``: what the turn is about. ``edits``: what is added to the history, of now and of before.
    ``consult``: the advisor to be asked before the request is sent.
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
    breakevens: tuple[BreakEven, ...] = ()
    belief: Belief = field(default_factory=Belief)
    free_point: FreePoint | None = None
    would: Config | None = None
    propensity: float = 1.0
    policy_version: str = ""
    card_version: str = ""
    notices: tuple[str, ...] = ()
    kind: TaskKind | None = None
    edits: tuple[Edit, ...] = ()
    consult: Config | None = None
    envelope: tuple[Meter, ...] = ()

    @property
    def moved(self) -> bool:
        """True when the chosen config is not the asked one."""
        return self.chosen != self.asked

    def row(self, config: Config) -> Candidate | None:
        """The candidate row of ``config``, or None."""
        return next((c for c in self.candidates if c.config == config), None)
