"""The nouns. One frozen model per noun, shared by every layer; tokens are ints, money is USD, times are epoch seconds.

    Request   what the agent asked for, as read off the wire: digests and facts, never the text
    Usage     what one request consumed, in disjoint buckets
    Config    a model at an effort: what the router chooses between

Messages are in ``core.messages``; candidates and decisions in ``core.decisions``. Session, Lane and Pin
live in ``core.session``; events in ``core.events``; price cards in ``core.pricing``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from weakref import WeakValueDictionary

from pointsman.core.messages import Message
from pointsman.core.record import record

Protocol = Literal["messages", "chat", "responses", "gemini"]

Purpose = Literal["turn", "compaction", "side", "count"]
"""Why a request is made: agent work; a summary of the history; housekeeping (titles, commit messages, prewarm);
a token count. Only ``turn`` counts as a turn, sets a pin or moves the difficulty."""

LaneKind = Literal["main", "subagent", "side"]

Auth = Literal["key", "subscription", "none"]
"""How the client pays: an API key; a subscription login (stays with its vendor, marginal dollars are quota); nothing seen."""

FIVE_MINUTES, HALF_HOUR, HOUR, HALF_DAY, DAY = 300, 1_800, 3_600, 43_200, 86_400
"""The cache lifetimes that providers sell, in seconds."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True, init=False)
class Config:
    """A model at an effort. ``effort`` None means the provider's or the client's own default.

    Equal configs are the same object: a decision compares and looks up dozens of them, and comparing by fields takes 20 of
    its microseconds.
    """

    model: str
    effort: str | None = None

    def __new__(cls, model: str, effort: str | None = None) -> Config:
        """The one config of this model and effort."""
        known = _CONFIGS.get((model, effort))
        if known is None:
            known = object.__new__(cls)
            object.__setattr__(known, "model", model)
            object.__setattr__(known, "effort", effort)
            _CONFIGS[model, effort] = known
        return known

    def __reduce__(self) -> tuple[type[Config], tuple[str, str | None]]:
        """Made again by its fields, so that a copy is the same object."""
        return Config, (self.model, self.effort)

    def __str__(self) -> str:
        return f"{self.model}:{self.effort}" if self.effort else self.model


_CONFIGS: WeakValueDictionary[tuple[str, str | None], Config] = WeakValueDictionary()


@record(frozen=True, slots=True)
class Usage:
    """Tokens of one request in disjoint buckets: every token is in exactly one.

    ``cache_write`` holds (TTL in seconds, tokens) pairs. ``output`` excludes ``reasoning``. ``complete`` is False when
    the stream was cut and the figures are a lower bound. ``extra`` holds server-side sub-requests (advisor, compaction)
    that are billed at their own model's price (``""``: the model that answered). ``cache_reported`` False: the provider has
    no fields for its cache, so that nothing read means nothing known. ``searches``: of the web, by the provider, billed each.
    """

    fresh: int = 0
    cache_read: int = 0
    cache_write: tuple[tuple[int, int], ...] = ()
    output: int = 0
    reasoning: int = 0
    complete: bool = True
    extra: tuple[tuple[str, Usage], ...] = ()
    cache_reported: bool = True
    searches: int = 0

    @property
    def written(self) -> int:
        """Tokens written to a cache, over all lifetimes."""
        return sum([tokens for _, tokens in self.cache_write])

    @property
    def prompt(self) -> int:
        """All input tokens: fresh, read and written."""
        return self.fresh + self.cache_read + self.written


@record(frozen=True, slots=True)
class Diagnosis:
    """What the provider itself says about a prompt's cache, compared with the request before it.

    ``reason``: its own word for the first difference (``tools_changed``, ``model_changed`` ...), ``no_difference`` for none;
    ``missed``: about how many tokens could not be reused for it (None: it did not say).
    """

    reason: str
    missed: int | None = None


@record(frozen=True, slots=True)
class Told:
    """What an answer says of itself besides usage and model: its id, and the cache diagnosis that was asked for.

    ``handed``: hashes of the texts that its calls hand to sub-agents (``wire.handing``). ``service``: the service tier or speed
    that the provider says it used, which is what it bills; empty where it does not say.
    """

    id: str = ""
    diagnosis: Diagnosis | None = None
    handed: tuple[int, ...] = ()
    service: str = ""


@record(frozen=True, slots=True)
class Rates:
    """Prices in USD per token that hold for one request. ``cache_write`` holds (TTL in seconds, price) pairs; ``search`` is USD
    per search of the web, given where there was one.
    """

    fresh: float
    cache_read: float
    output: float
    reasoning: float
    cache_write: tuple[tuple[int, float], ...] = ()
    search: float = 0.0

    def write(self, ttl_s: int) -> float:
        """USD per token written for ``ttl_s`` seconds: that lifetime's price, else the next longer, else the dearest, else fresh.

        A map row without a write price writes at the fresh price: otherwise a cold switch looks free (DECISION.md 5).
        """
        for ttl, price in self.cache_write:
            if ttl >= ttl_s:
                return price
        return max([price for _, price in self.cache_write], default=self.fresh)


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


@record(frozen=True, slots=True)
class Request:
    """One model call as the client sent it.

    ``session``/``agent``/``parent``/``turn_id`` are the client's own ids where it sends them, else None (lineage then
    goes by message hashes). ``run`` is the id in ``/run/ID``. ``tools``/``system`` are hashes (0: none);
    ``head_chars`` is their size on the wire. ``body_hash`` is equal for retries: key order, ``stream`` and the output
    limit ignored. ``ttl_s`` is the cache lifetime the client asked for, read off its marks (None: no mark);
    ``head_ttl_s`` that of the marks on tools and system text.
    ``title``: the start of the first user prompt, for people; empty unless the settings allow it. ``counted``: tokens of a first
    request's text by OpenAI's o200k, where a worker counted them in time (0: nobody did).
    ``region``: where it has to be processed, by the body or by the base URL it goes to (None: anywhere). ``mode``: hash of
    what besides its texts is in its vendor's cache key: tool choice, thinking and images, or service tier and cache key (0:
    unknown). ``key``: sixteen bits of a hash of the API key, to tell that another one is used; 1: a subscription's login (0:
    none). Caches are not shared between organisations or workspaces.
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
    counted: int = 0
    region: str | None = None
    mode: int = 0
    key: int = 0

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


@record(frozen=True, slots=True)
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


@record(frozen=True, slots=True)
class Belief:
    """Latent difficulty of the task as a Gaussian in logits: ``mu`` +- ``sd``; ``n`` observations moved it.

    ``pushed``: P(the person breaks this turn off or corrects it at its end); at first the share of real turns that were.
    """

    mu: float = 0.0
    sd: float = 2.5
    n: int = 0
    pushed: float = 0.09

    @property
    def hard(self) -> float:
        """Difficulty on a 0..1 scale for people: sigmoid(mu / 2.5), the pool's spread (notes/science.md 2)."""
        from math import exp

        return 1.0 / (1.0 + exp(-self.mu / 2.5))
