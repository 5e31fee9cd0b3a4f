"""Which part of a prompt a provider still holds.

Theory of operation. A provider keeps the prefix of a prompt for a while after the *start* of the request that wrote or
read it. For each config of a lane we keep one ``Warmth``: the messages of its last request, the tokens its provider
billed, and when. ``predict`` compares it with a new request: what is common from the start, inside the lifetime and above
the provider's minimum, is warm with some probability; the rest must be written again. ``touch`` re-anchors on the billed
figures, so that estimates never build on estimates. A request whose prefix turns out cold still reads a *head* as a rule:
tools and system text, which other sessions of the same client keep warm, and which survive a compaction. So a prediction is
a mixture: the whole prefix with probability ``p``, else the head with probability ``p_head``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Literal

from pointsman.core import machines
from pointsman.core.machines import spoken
from pointsman.core.messages import Message
from pointsman.core.types import HOUR, Request, Usage
from pointsman.core.warmth import COLD, NOTHING_SEEN, WARM_SHARE, CacheRule, Head, Warm, Warmth

P_OTHER_MACHINE = 0.7
"""Chance that a session which moved finds the machine it came from: 14 of 20 in the same sessions; else only the head."""

STEADY = 10
"""Requests after which a session has settled on a machine: of 374 loop requests of real Codex sessions that were nearer to a
move or to the session's start, 13 % found a colder cache, of 666 others 2 %."""

IDLE_S = 300.0
"""An hour's entry that lay idle for longer is cold more often (16 against 9 % of turn starts, real sessions)."""

Moment = Literal["loop", "turn", "command"]
"""When a request is made: inside a tool loop, at the start of a turn, or by a slash command (which changes the prompt)."""

_CHUNK = 64


def common(old: tuple[Message, ...], new: tuple[Message, ...]) -> int:
    """How many leading messages are the same text; cache marks may have moved.

    Whole chunks of the very same objects are compared in C (600 messages in 5 microseconds), others hash by hash (13).
    """
    limit = min(len(old), len(new))
    for at in range(0, limit, _CHUNK):
        end = min(at + _CHUNK, limit)
        if old[at] is new[at] and old[at:end] == new[at:end]:
            continue
        for index in range(at, end):
            if old[index].hash != new[index].hash:
                return index
    return limit


def moment_of(new: Iterable[Message], new_turn: bool) -> Moment:
    """When a request is made, by the messages it adds."""
    if not new_turn:
        return "loop"
    return "command" if any("command" in message.facts for message in new) else "turn"


def cell(moment: Moment, age: float, ttl_s: int, steady: int | None = None) -> str | None:
    """The observations that a prefix idle for ``age`` seconds is counted with; None when it is gone.

    Few and wide, so that each is seen often. ``late``: a short lifetime is over by less than its own length, and one in six
    is read all the same (120 real requests). ``steady``: requests on the machine that served last, where that is the provider's
    choice (an automatic cache).
    """
    if age < ttl_s:
        if moment == "loop" and steady is not None and age < HOUR:
            return "loop new" if steady < STEADY else "loop settled"
        if moment != "turn":
            return moment if age < HOUR else "turn day idle"
        if ttl_s < HOUR:
            return "turn"
        return "turn 1h" if age < IDLE_S else "turn 1h idle" if age < HOUR else "turn day idle"
    return "late" if ttl_s < HOUR and age < 2 * ttl_s else None


def touch(old: Warmth | None, request: Request, usage: Usage, started: float, ttl_s: int) -> Warmth:
    """What the provider holds after it billed ``usage`` for ``request``, which started at ``started``.

    The billed figures replace every estimate. A Messages request without a cache mark leaves what was there before. A request
    that does not go on from ``old`` (a rewind, a fork) leaves that branch warm beside its own.
    """
    cached = usage.cache_read + usage.written
    unmarked = request.protocol == "messages" and request.ttl_s is None
    if old is not None and unmarked and not cached and 0 <= started - old.touched < old.ttl_s:
        return old
    goes_on = old is not None and _goes_on(old, request)
    new = request.messages[len(old.messages) :] if old is not None and goes_on else ()
    found = Warmth(
        messages=request.messages, tools=request.tools, system=request.system, head_chars=request.head_chars,
        chars=request.chars, prompt=usage.prompt, cached=cached, written=usage.written, touched=started, ttl_s=ttl_s,
        head=head_read(old, request, usage), reasoning=usage.reasoning, settled=usage.prompt, marks=lifetimes(request),
        mode=request.mode, speed=request.speed, key=request.key, keys_share=_keys_share(old, request, usage),
    )  # fmt: skip
    if old is None:
        return found
    if not goes_on:
        return replace(found, branch=_kept_branch(replace(old, branch=None), started))
    has_moved = usage.cache_reported and machines.moved(old, new, usage)
    carried, settled = machines.reasoned(old, new, usage)
    return replace(
        found, carried=carried, settled=settled, other_machine=machines.left_on_other(old, new, has_moved),
        steady=0 if has_moved else old.steady + 1, branch=_kept_branch(old.branch, started),
    )  # fmt: skip


def _keys_share(old: Warmth | None, request: Request, usage: Usage) -> bool:
    """Whether two keys are known to share one cache here: what the other one had left was read (one workspace's keys)."""
    if old is None or old.keys_share or old.key == request.key:
        return old is not None and old.keys_share
    held = min(_shared(old, request, None), usage.prompt)
    return bool(held) and usage.cache_read >= WARM_SHARE * held


def recall(warmth: Warmth | None, request: Request, rule: CacheRule) -> int:
    """After how many messages of ``request`` a mark finds what the provider holds of it; 0: the client's own marks are enough.

    For a marked cache that looks back over so many positions only (``rule.lookback``): a message is one to a few of them.
    """
    if warmth is None or not rule.explicit or not rule.lookback or request.ttl_s is None:
        return 0
    if (warmth.tools, warmth.system) != (request.tools, request.system):
        return 0
    same = common(warmth.messages, request.messages)
    return same if len(request.messages) - same > rule.lookback // 4 else 0


def _goes_on(old: Warmth, request: Request) -> bool:
    """Whether ``request`` holds all that ``old`` saw."""
    same_head = (old.tools, old.system) == (request.tools, request.system)
    return same_head and common(old.messages, request.messages) == len(old.messages)


def _kept_branch(branch: Warmth | None, now: float) -> Warmth | None:
    """The branch that was left, while it lives: one is remembered."""
    return branch if branch is not None and 0.0 <= now - branch.touched < max(branch.ttl_s, longest(branch.marks)) else None


def lifetime(request: Request, rule: CacheRule) -> int:
    """Seconds for which a provider keeps what ``request`` writes: the client's choice where it sells lifetimes, else its own."""
    return request.ttl_s if rule.explicit and request.ttl_s else rule.ttl_s


def lifetimes(request: Request) -> tuple[tuple[int, int], ...]:
    """The marks of a request with more than one lifetime, as (messages covered, seconds); empty for one lifetime or none.

    A mark on tools or system text covers no message. Longer lifetimes stand before shorter ones (Anthropic).
    """
    if request.head_ttl_s is None or request.ttl_s is None:
        return ()
    marks = [(0, request.head_ttl_s)]
    if request.head_ttl_s == request.ttl_s and not any(m.mark_s not in (None, request.ttl_s) for m in request.messages):
        return ()
    marks += [(i + 1, m.mark_s) for i, m in enumerate(request.messages) if m.mark_s is not None]
    return tuple(marks)


def longest(marks: tuple[tuple[int, int], ...]) -> int:
    """The longest lifetime among ``marks``, in seconds; 0 without any."""
    return max([ttl_s for _, ttl_s in marks], default=0)


def outliving(request: Request, prompt: int) -> tuple[int, int]:
    """Tokens of the prompt that a longer lifetime than its last mark's covers, and that lifetime; (0, 0) where there is none."""
    marks = [(count, ttl_s) for count, ttl_s in lifetimes(request) if ttl_s > (request.ttl_s or 0)]
    if not marks or not request.chars:
        return 0, 0
    count, ttl_s = max(marks)
    chars = request.head_chars + sum([message.chars for message in request.messages[:count]])
    return prompt * chars // request.chars, ttl_s


def dropped(warmth: Warmth | None, new: Iterable[Message], rule: CacheRule) -> int | None:
    """Reasoning tokens of the last prompt that ``new`` messages make the provider drop; None: it keeps them."""
    return None if warmth is None or rule.keeps_reasoning or not spoken(new) else warmth.carried


def head_read(old: Warmth | None, request: Request, usage: Usage) -> int:
    """Tokens of the head after a bill: what a first request, or one whose history was cold, read; else what was known.

    ``old``: what was held before it. 0: unknown.
    """
    known = old.head if old is not None and (old.tools, old.system) == (request.tools, request.system) else 0
    if not usage.cache_read:
        return known
    if old is None or not common(old.messages, request.messages):
        return usage.cache_read
    shared = min(_shared(old, request, None), usage.prompt)
    if usage.cache_read >= WARM_SHARE * shared:
        return known
    return min(known, usage.cache_read) if known and old.other_machine else usage.cache_read


def predict(
    warmth: Warmth | None,
    request: Request,
    prompt: int,
    rule: CacheRule,
    now: float,
    moment: Moment = "loop",
    *,
    seen: Mapping[str, tuple[int, int]] = NOTHING_SEEN,
    elsewhere: Head | None = None,
    same: int | None = None,
) -> Warm:
    """The prefix of ``request`` (``prompt`` tokens of this model) that its provider will read from the cache.

    ``seen``: (warm, cold) counts of this provider per cell; ``elsewhere``: the head as other lanes and sessions of the
    client have left it; ``same``: ``common(warmth.messages, request.messages)`` where the caller knows it. A clock that jumped
    back counts as no time passed. A request without a mark reads nothing from a marked cache.
    """
    if prompt < rule.min_tokens or (rule.explicit and request.ttl_s is None) or (warmth is None and elsewhere is None):
        return COLD
    found = _predicted(warmth, request, prompt, rule, now, moment, seen, elsewhere, same)
    if warmth is None or warmth.branch is None:
        return found
    back = _predicted(warmth.branch, request, prompt, rule, now, moment, seen, elsewhere, None)
    return back if back.expected > found.expected else found


def _predicted(
    warmth: Warmth | None, request: Request, prompt: int, rule: CacheRule, now: float, moment: Moment,
    seen: Mapping[str, tuple[int, int]], elsewhere: Head | None, same: int | None,
) -> Warm:  # fmt: skip
    """The hit to expect from one branch."""
    head, p_head, lasts = _head(warmth, request, rule, now, elsewhere)
    head = _held(head, prompt, rule) if p_head else 0
    if not head:
        p_head, lasts = 0.0, None
    if warmth is None:
        return Warm(0, 0.0, lasts, head, p_head)
    shared = _shared(warmth, request, rule, same)
    settled = shared and bool(dropped(warmth, request.messages[len(warmth.messages) :], rule))
    if settled:
        shared = min(shared, warmth.settled)
    if warmth.other_machine and not rule.explicit and shared:
        other = _held(min(warmth.other_machine, shared), prompt, rule)
        if other > head:
            head, p_head = other, P_OTHER_MACHINE
    age = max(0.0, now - warmth.touched)
    if warmth.marks and age >= warmth.ttl_s:
        longer = _held(_longer(warmth, request, age, shared), prompt, rule)
        if longer > head:
            head, p_head = longer, 1.0 - p_cold(rule, "turn 1h idle", seen)
            lasts = warmth.touched + longest(warmth.marks)
    alive, where = _alive(age, warmth.ttl_s, rule), cell(moment, age, warmth.ttl_s, None if rule.explicit else warmth.steady)
    if where is not None and (rule.explicit or age < warmth.ttl_s):
        alive = 1.0 - p_cold(rule, where, seen)
    tokens = _held(shared, prompt, rule) if alive > 0.0 else 0
    if not tokens or alive <= 0.0:
        return Warm(0, 0.0, lasts, head, p_head)
    until = min(now, warmth.touched) + warmth.ttl_s if rule.explicit else None
    return Warm(tokens, alive, until, min(head, tokens), p_head, where, bool(settled))


def p_cold(rule: CacheRule, where: str, seen: Mapping[str, tuple[int, int]] = NOTHING_SEEN) -> float:
    """Chance that a prefix is cold although it should be there: the prior of its cell, moved by what was seen."""
    prior, weight = rule.cold.get(where, (0.0, 1.0))
    prior = 1.0 - rule.p_hit * (1.0 - prior)
    warm, cold = seen.get(where, (0, 0))
    return (prior * weight + cold) / (weight + warm + cold)


def was_warm(warm: Warm, before: int, usage: Usage) -> bool | None:
    """Whether the prefix that ``warm`` predicted was read; None where the bill says nothing about a cell.

    ``before``: prompt tokens of the request before it. Only a prefix that should have been read whole teaches.
    """
    least = WARM_SHARE * (warm.tokens if warm.settled else min(before, usage.prompt))
    if warm.cell is None or not usage.prompt or not usage.cache_reported or warm.tokens < least:
        return None
    return usage.cache_read >= least


def _held(tokens: int, prompt: int, rule: CacheRule) -> int:
    """``tokens`` as the provider counts a cached prefix of ``prompt``: whole blocks above its minimum."""
    tokens = min(tokens, prompt)
    tokens -= (tokens + rule.margin) % rule.block
    return tokens if tokens >= max(1, rule.min_tokens) else 0


def _head(
    warmth: Warmth | None, request: Request, rule: CacheRule, now: float, elsewhere: Head | None
) -> tuple[int, float, float | None]:
    """Tokens of the head, the chance that it is warm, and until when.

    Its size is what a cold request of this lane read, else one elsewhere, else the share of tools and system in the
    characters. It is as fresh as its latest touch anywhere.
    """
    own = warmth
    if own is None or (own.tools, own.system, own.speed) != (request.tools, request.system, request.speed):
        own = None
    tokens = own.head if own is not None else 0
    if not tokens and elsewhere is not None:
        tokens = elsewhere.tokens
    if not tokens and own is not None and own.chars:
        tokens = min(_kept(own, rule), own.prompt * own.head_chars // own.chars)
    touches = [(t.touched, t.ttl_s) for t in (own, elsewhere) if t is not None]
    if not tokens or not touches:
        return 0, 0.0, None
    p, until = max([(_alive(max(0.0, now - touched), ttl_s, rule), touched + ttl_s) for touched, ttl_s in touches])
    return tokens, p * rule.p_head, until if rule.explicit and p > 0.0 else None


def _kept(warmth: Warmth, rule: CacheRule) -> int:
    """Tokens that the provider kept: those it billed as read or written, or all, where it caches without billing writes."""
    return warmth.cached if rule.explicit or warmth.written else warmth.prompt


def _alive(age: float, ttl_s: int, rule: CacheRule) -> float:
    """Probability that an entry last used ``age`` seconds ago still exists."""
    if age < ttl_s:
        return 1.0
    if rule.explicit or rule.half_life_s <= 0:
        return 0.0
    return rule.p_hit * float(0.5 ** ((age - ttl_s) / rule.half_life_s))


def _shared(warmth: Warmth, request: Request, rule: CacheRule | None, same: int | None = None) -> int:
    """Tokens of the common prefix that the provider can find again (``rule`` None: without its limits).

    Other tools lose everything. So does another system text: what tools alone hold is unknown, and clients put their
    marks after both. Where the history differs, billed tokens are shared out by characters. 0 where only the head is left:
    nothing in common, what is common lies past the look-back of a marked cache, or the history's key is another one.
    """
    if warmth.tools != request.tools or warmth.system != request.system:
        return 0
    if rule is not None and _rekeyed(warmth, request, rule):
        return 0
    if same is None:
        same = common(warmth.messages, request.messages)
    if rule is not None and rule.lookback and len(request.messages) - same > rule.lookback:
        return 0
    held = warmth.cached if rule is None else _kept(warmth, rule)
    if same == len(warmth.messages):
        return held
    if not same or not warmth.chars:
        return 0
    chars = warmth.head_chars + sum(message.chars for message in warmth.messages[:same])
    return min(held, warmth.prompt * chars // warmth.chars)


def _rekeyed(warmth: Warmth, request: Request, rule: CacheRule) -> bool:
    """Whether something besides the texts changed that the provider keys its history by (WIRE.md 2).

    Anthropic: tool choice, thinking, whether there are images, speed. OpenAI: service tier, ``prompt_cache_key``. All: the
    workspace or organisation, which another API key belongs to until a bill shows that it does not.
    """
    if rule.explicit and warmth.speed != request.speed:
        return True
    own = rule.explicit == (request.protocol == "messages")  # in translation none of the client's fields is the provider's
    if own and warmth.key and request.key and warmth.key != request.key and not warmth.keys_share:
        return True
    return own and bool(warmth.mode and request.mode) and warmth.mode != request.mode


def _longer(warmth: Warmth, request: Request, age: float, shared: int) -> int:
    """Tokens under a mark whose longer lifetime is not over, of the prefix that ``request`` shares."""
    same = common(warmth.messages, request.messages)
    covered = [count for count, ttl_s in warmth.marks if age < ttl_s and count <= same]
    if not covered or not shared or not warmth.chars:
        return 0
    chars = warmth.head_chars + sum([message.chars for message in warmth.messages[: max(covered)]])
    return min(shared, warmth.prompt * chars // warmth.chars)
