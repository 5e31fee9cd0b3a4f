"""``bench decide``: microseconds that one decision takes on a warm session of three configs, in tool loops and at new turns.

What nobody waits for is timed besides: the gateway's ledger reads the whole decision in its own thread while the request is on
its way (``core.later``), so ``whole`` is the decision with all that is worked out when it is read.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import replace
from statistics import quantiles
from time import thread_time_ns

from pointsman.core.accounting import account
from pointsman.core.book import Book
from pointsman.core.decide import decide
from pointsman.core.events import Finished, Routed
from pointsman.core.evolve import evolve, taught
from pointsman.core.messages import Call, Message, MessageKind
from pointsman.core.policy import Policy
from pointsman.core.session import Session
from pointsman.core.types import Request, Usage

CONTEXTS = (10_000, 100_000, 200_000)
MODEL, HEAD, PER_MESSAGE, CHARS = "claude-opus-5-5", 60_000, 600, 3.3
RUNS = 1_500
PER_TURN = 10
"""One decision in ten opens a turn: 17,453 requests in 1,727 real turns."""


def measure(book: Book, contexts: tuple[int, ...] = CONTEXTS, runs: int = RUNS) -> dict[str, dict[str, float]]:
    """``p50_us`` and ``p99_us`` by prompt tokens, ``whole_..`` with all of the decision read; one in ten opens a turn.

    Processor time of this thread, collections of garbage included: what other processes take is no part of a decision.
    """
    return {str(tokens): _timed(book, tokens, runs) for tokens in contexts}


def _timed(book: Book, tokens: int, runs: int) -> dict[str, float]:
    policy = Policy(profile="balanced", check=True, check_recall=0.8, check_false_alarm=0.1, consent_up=True, efforts=False)
    inside, ended, said, now = _warm(book, policy, tokens)
    decided: list[float] = []
    whole: list[float] = []
    gc.collect()
    gc.freeze()  # what was loaded before is not the decision's garbage
    for i, request in enumerate(_next(said, runs)):
        session = inside if i % PER_TURN else ended
        began = thread_time_ns()
        decision = decide(request, session, book, policy, now + i % PER_TURN, 0.5)
        decided.append((thread_time_ns() - began) / 1_000)
        tuple(decision.breakevens)
        whole.append((thread_time_ns() - began) / 1_000)
    gc.unfreeze()
    p, all_ = quantiles(decided, n=100, method="inclusive"), quantiles(whole, n=100, method="inclusive")
    return {"p50_us": p[49], "p99_us": p[98], "whole_p50_us": all_[49], "whole_p99_us": all_[98]}


def _warm(book: Book, policy: Policy, tokens: int) -> tuple[Session, Session, tuple[Message, ...], float]:
    """A session whose last request had ``tokens`` prompt tokens, billed a few seconds ago: in a tool loop, and after its turn."""
    session, now = Session("bench"), 1_800_000_000.0
    count = max(2, round((tokens * CHARS - HEAD) / (PER_MESSAGE * CHARS)) // 2 * 2)
    said = tuple(
        _message(i, "prompt" if i == 0 else "assistant" if i % 2 else "tool_result") for i in range(max(1, count - 3))
    )
    for n in range(2):
        said += () if n == 0 else (_message(10_000, "assistant"), _message(10_001, "tool_result"))
        request = _request(said, n)
        decision = replace(decide(request, session, book, policy, now, 0.5), id=f"r{n}")
        tuple(decision.breakevens)  # as the ledger does
        kept = decision.place.kept
        added = replace(request, messages=said[kept:])
        session = evolve(session, Routed(now, "bench", decision.id, added, kept, decision)) or session
        usage = Usage(cache_read=tokens - 1_000 if n else 0, cache_write=((300, 1_000 if n else tokens),), output=300)
        known = account(session, request, decision, decision.chosen, usage, book, now)
        finished = Finished(
            now + 5, "bench", decision.id, 200, "tool", now, now + 5, now + 1, usage, decision.chosen, ttl_s=300,
            asked_usage=known.asked_usage,
        )  # fmt: skip
        session = replace(session, learned=taught(session.learned, session, finished, book))
        ended = evolve(session, replace(finished, stop="final")) or session
        session = evolve(session, finished) or session
        now += 10
    return session, ended, said, now


def _next(said: tuple[Message, ...], runs: int) -> Iterator[Request]:
    """Requests that go on from ``said``: a tool result, and one time in ten a new prompt."""
    for i in range(runs):
        kind: MessageKind = "prompt" if i % PER_TURN == 0 else "tool_result"
        yield _request((*said, _message(20_000 + 2 * i, "assistant"), _message(20_001 + 2 * i, kind)), 10 + i)


def _message(n: int, kind: MessageKind) -> Message:
    """A message of ``PER_MESSAGE`` tokens; those of the model hold a tool call."""
    if kind == "assistant":
        return Message(n, "assistant", kind, round(PER_MESSAGE * CHARS), calls=(Call("read", n),))
    return Message(n, "user", kind, round(PER_MESSAGE * CHARS))


def _request(said: tuple[Message, ...], n: int) -> Request:
    return Request(
        protocol="messages", path="/v1/messages", model=MODEL, client="claude_code", session="bench", system=1, tools=2,
        head_chars=HEAD, ttl_s=300, messages=said, body_hash=n + 1, effort="high",
    )  # fmt: skip
