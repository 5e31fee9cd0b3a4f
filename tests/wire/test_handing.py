"""What an answer hands to sub-agents, in every protocol, streamed or not, whatever chunks it comes in."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from pointsman.core.types import Protocol
from pointsman.sandbox.answering import SPEAKERS
from pointsman.sandbox.reply import Answer, Bill, Call, Reply, Text, Thinking
from pointsman.wire import Tap, told_by
from pointsman.wire.calls import hash_of
from pointsman.wire.handing import LARGEST, Handing

TASK = "Read calc.py, über and out, and say whether add is right."
PROTOCOLS: tuple[Protocol, ...] = ("messages", "chat", "responses", "gemini")


def answer(protocol: Protocol, *parts: Any) -> Answer:
    vendor = {"messages": "anthropic", "gemini": "google"}.get(protocol, "openai")
    return Answer(Reply(parts), Bill(fresh=10, output=20), "m", vendor, "s", 1)


PARTS = (
    Thinking("hm"), Text("I hand it over."), Call("spawn_agent", {"systemPrompt": "Be brief.", "task": f"{TASK}\n", "n": 3}),
    Call("run_shell_command", {"command": "ls"}), Call("agent", {"prompt": TASK}),
)  # fmt: skip


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_texts_of_calls_that_start_an_agent_are_hashed(protocol: Protocol) -> None:
    data = b"".join(frame.data for frame in SPEAKERS[protocol].frames(answer(protocol, *PARTS)))
    wanted = (hash_of("Be brief."), hash_of(TASK))
    for seed in range(10):
        dice, tap, at = random.Random(seed), Tap(protocol), 0
        while at < len(data):
            end = at + dice.randint(1, 200)
            tap.feed(data[at:end])
            at = end
        assert tap.told.handed == wanted
    assert told_by(protocol, json.dumps(SPEAKERS[protocol].body(answer(protocol, *PARTS))).encode()).handed == wanted


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_other_calls_hand_nothing_over(protocol: Protocol) -> None:
    tap = Tap(protocol)
    tap.feed(b"".join(f.data for f in SPEAKERS[protocol].frames(answer(protocol, Text("a"), Call("shell", {"command": "ls"})))))
    assert tap.told.handed == ()


def test_what_cannot_be_read_or_is_endless_hands_nothing_over() -> None:
    handing = Handing()
    handing.begun(0, "agent")
    handing.goes_on(0, '{"prompt": "cut')
    handing.begun(1, "task")
    for _ in range(30):
        handing.goes_on(1, "x" * 10_000)
    handing.goes_on(7, "of no call")
    handing.whole("agent", ["no", "object"])
    handing.whole(None, {"prompt": "a"})
    assert handing.texts == () and all(sum(map(len, pieces)) <= LARGEST for pieces in handing._pieces.values())


def test_what_is_cut_off_is_not_patched_together() -> None:
    handing = Handing()
    handing.begun(0, "agent")
    for piece in ("{" + " " * (LARGEST - 20), '"left out": "too long"' * 9, '"prompt": "a"}'):
        handing.goes_on(0, piece)
    assert handing.texts == ()


def test_an_index_that_is_no_number_stops_nothing() -> None:
    call = {"index": {"a": 1}, "id": "c", "type": "function", "function": {"name": "agent", "arguments": "{}"}}
    chunk = {"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": "stop"}]}
    tap = Tap("chat")
    tap.feed(b"data: " + json.dumps(chunk).encode() + b"\n\n")
    assert (tap.stop, tap.told.handed) == ("final", ())
