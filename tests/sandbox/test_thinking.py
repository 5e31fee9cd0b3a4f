"""Thinking blocks: bound to their model and their prefix."""

from __future__ import annotations

from typing import Any

import pytest

from pointsman.sandbox import Thinking, say


def told(n: int) -> dict[str, Any]:
    """A user message."""
    return {"role": "user", "content": f"question {n}"}


async def talk(wire: Any, model: str, turns: int) -> list[dict[str, Any]]:
    """A history of ``turns`` answered questions, each answer with thinking."""
    wire.script(lambda request: say(Thinking("a long thought " * 20), "ok"))
    history: list[dict[str, Any]] = []
    for n in range(turns):
        history.append(told(n))
        answer = await wire.messages(model=model, messages=history)
        history.append({"role": "assistant", "content": answer["content"]})
    return [*history, told(turns)]


async def test_an_unchanged_history_is_accepted_and_counted(wire: Any) -> None:
    """The writer reads its own blocks: they are part of the prompt."""
    history = await talk(wire, "claude-opus-5-5", 2)
    kept = await wire.messages(model="claude-opus-5-5", messages=history)
    assert kept["status"] == 200 and "input_transformations" not in kept
    assert kept["usage"]["input_tokens"] > 200


async def test_another_model_drops_them_unbilled_and_back_they_are_read_again(wire: Any) -> None:
    """Sonnet 5.5 reads no block of Opus 5.5: fewer tokens, said in the answer; Opus still does afterwards."""
    history = await talk(wire, "claude-opus-5-5", 2)
    at_home = (await wire.messages(model="claude-opus-5-5", messages=history))["usage"]["input_tokens"]
    away = await wire.messages(model="claude-sonnet-5-5", messages=history)
    assert [row["path"] for row in away["input_transformations"]] == ["messages.1.content.0", "messages.3.content.0"]
    assert away["usage"]["input_tokens"] < at_home - 100
    assert (await wire.messages(model="claude-opus-5-5", messages=history))["usage"]["input_tokens"] == at_home


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda h: h[0].update(content="another question"), 400),
        (lambda h: h[1]["content"].pop(0), 200),
        (lambda h: h[3]["content"].pop(0), 400),
        (lambda h: h[3]["content"][0].update(signature="Zm9yZWlnbg=="), 400),
    ],
    ids=["an edited prompt", "the oldest block left out", "a middle block left out", "a foreign signature"],
)
async def test_what_breaks_the_binding(wire: Any, change: Any, status: int) -> None:
    """Edits before a block, and holes in the middle, are refused; leaving out the oldest is allowed."""
    history = await talk(wire, "claude-opus-5-5", 3)
    change(history)
    assert (await wire.messages(model="claude-opus-5-5", messages=history))["status"] == status


async def test_dropping_can_be_asked_for(wire: Any) -> None:
    """With drop_block a changed prefix is no error."""
    history = await talk(wire, "claude-opus-5-5", 1)
    history[0] = told(9)
    binding = {"thinking": {"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "drop_block"}}}
    assert (await wire.messages(model="claude-opus-5-5", messages=history, **binding))["status"] == 200
    assert (await wire.messages(model="claude-opus-5-5", messages=history))["status"] == 400


async def test_a_switch_in_the_middle_and_back(wire: Any) -> None:
    """Opus, then Sonnet, then Opus again over one history: no refusal."""
    history = await talk(wire, "claude-opus-5-5", 1)
    for model in ("claude-sonnet-5-5", "claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-5-5", "claude-opus-5-5"):
        answer = await wire.messages(model=model, messages=history)
        assert answer["status"] == 200, answer
        history += [{"role": "assistant", "content": answer["content"]}, told(len(history))]
