"""How long pricing takes: microseconds in plain Python, on a conversation of 600 messages."""

from __future__ import annotations

from time import process_time
from timeit import repeat

from pointsman.core import cache, candidates, costing, sizes
from pointsman.core.book import Book
from pointsman.core.messages import Message
from pointsman.core.policy import Policy
from pointsman.core.session import Lane, Session
from pointsman.core.setting import Setting
from pointsman.core.types import Belief, Config, Place, Request, Usage

MESSAGES, RUNS = 600, 500


def micros(book: Book, model: str = "claude-opus-5-5") -> dict[str, float]:
    """Microseconds of processor time by what is timed; the fastest of five rounds of ``RUNS``."""
    at = _setting(book, model)
    configs = [Config(name) for name in candidates.rungs(model, book, at.policy)]
    place = at.place
    timed = {
        f"pricing {len(configs)} configs of one request": lambda: candidates.rows_of(configs, at),
        "the same with cost to go": lambda: costing.compare(configs, at),
        "gathering what they share": lambda: candidates.setting(
            at.request, at.session, place, book, at.policy, at.asked, at.now, at.belief
        ),
    }
    return {what: min(repeat(run, number=RUNS, repeat=5, timer=process_time)) / RUNS * 1e6 for what, run in timed.items()}


def _setting(book: Book, model: str) -> Setting:
    """The 301st request of a session, one turn after a request that was billed 102,005 tokens."""
    history = tuple(_message(i) for i in range(MESSAGES + 2))
    asked = Config(model)
    old = Request(
        "messages", "/v1/messages", model, tools=1, system=2, head_chars=40_000, messages=history[:MESSAGES], ttl_s=300
    )  # fmt: skip
    new = Request("messages", "/v1/messages", model, tools=1, system=2, head_chars=40_000, messages=history, ttl_s=300)
    usage = Usage(fresh=5, cache_read=100_000, cache_write=((300, 2_000),), output=300)
    held = cache.touch(None, old, usage, 0.0, 300)
    lane = Lane(
        "main", "main", messages=old.messages, tools=1, system=2, requests=300, asked=asked, current=asked,
        last_usage=usage, last_model=model, warm={asked: held}, ratios={model: sizes.prior(2.6)},
    )  # fmt: skip
    session = Session("speed", lanes={"main": lane})
    place = Place("speed", "main", "main", "continue", kept=MESSAGES, turn=3, task=1)
    return candidates.setting(new, session, place, book, Policy(), asked, 100.0, Belief())


def _message(i: int) -> Message:
    role = "user" if i % 2 == 0 else "assistant"
    return Message(i * 7_919, role, "prompt" if i % 2 == 0 else "assistant", 900)
