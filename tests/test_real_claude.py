"""The quick part of the matrix: a real Claude Code does its task through a gateway, and through a switch down and back.

Claude Code and the Node it is installed with come from npm, once, into the user's cache; where they cannot be had the tests
are skipped, and say why. Everything else is ``pytest -m clients``.
"""

from __future__ import annotations

from pathlib import Path

from clients import scenarios
from clients.journeys import Result, Trip, journey

MODEL = "claude-opus-5-5"


async def task(trip: Trip) -> None:
    """One task: a failing test is mended."""
    await trip.say(scenarios.REPAIR)


def done(result: Result) -> None:
    """The task came to its end, and nobody was refused anything."""
    assert result.codes == [0], result.output[-3000:]
    assert result.files["calc.py"] == scenarios.MENDED
    assert not result.refused and not any(event.resent for event in result.finished)


async def test_claude_code_does_its_task_through_a_gateway(tmp_path: Path) -> None:
    result = await journey("claude", MODEL, task, tmp_path / "run", "run")
    done(result)
    assert [model for model, _, _ in result.prompts] == [MODEL] * 5
    assert "every request ran on the model that was asked for" in result.output
    assert all(read == before for (_, _, read), (_, before, _) in zip(result.prompts[1:], result.prompts, strict=False))


async def test_claude_code_is_switched_down_and_back(tmp_path: Path) -> None:
    result = await journey("claude", MODEL, task, tmp_path / "run", serve=("--schedule", "2:cheaper,4:asked"))
    done(result)
    assert [model for model, _, _ in result.prompts] == [MODEL, "claude-sonnet-5-5", "claude-sonnet-5-5", MODEL, MODEL]
    assert result.prompts[3][2] >= 0.99 * result.prompts[0][1], "the asked model found its cache again"
    assert [event.decision.reason for event in result.routed if event.decision.moved] == ["schedule", "schedule"]
