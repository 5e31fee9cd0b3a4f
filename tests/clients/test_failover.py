"""Real clients while their provider fails before its first content: another deployment takes over, and they never notice."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients import scenarios
from clients.journeys import Trip, journey
from clients.test_matrix import main, task
from pointsman.core.events import FailedOver
from pointsman.sandbox import faults
from pointsman.sandbox.clock import Clock
from pointsman.sandbox.provider import Provider

pytestmark = pytest.mark.clients

MODELS = {
    "claude": ("claude-sonnet-4-5", "anthropic"), "codex": ("gpt-5.5", "openai"), "qwen": ("gpt-4.1", "openai"),
    "opencode": ("anthropic/claude-sonnet-4-5", "anthropic"), "gemini": ("gemini-2.5-pro", "google"),
}  # fmt: skip
"""What is asked for, and whose API the spare deployment speaks: every wire once, Messages twice."""

FAULTS = {"overloaded": faults.status(529), "in the stream": faults.error_event(at="start"), "lost": faults.cut("start"),
          "silent": faults.hang("headers")}  # fmt: skip
FIRST = {"in the stream": faults.error_event(at="headers"), "lost": faults.cut("headers", times=2)}
"""Gemini's first event has content in it, so nothing may have been sent before the fault."""


@pytest.mark.parametrize("how", FAULTS)
@pytest.mark.parametrize("client", MODELS)
async def test_the_work_goes_on_at_the_spare_deployment(client: str, how: str, tmp_path: Path) -> None:
    model, vendor = MODELS[client]
    plain = await journey(client, model, task, tmp_path / "there", "bare")

    async def failing(trip: Trip) -> None:
        fault = FIRST.get(how, FAULTS[how]) if client == "gemini" else FAULTS[how]
        trip.provider.fault(fault, nth=2, when=main)
        await trip.say(scenarios.REPAIR)

    async with Provider(script=scenarios.script(), clock=Clock(0.0)) as spare:
        settings = (
            f'silence_s = 2\n[deployments.spare]\nurl = "{spare.url}"\nvendor = "{vendor}"\n'
            f'[fallbacks]\n{vendor} = ["spare"]\n'
        )
        ours = await journey(client, model, failing, tmp_path / "there", settings=settings)
        assert (ours.codes, ours.files) == (plain.codes, plain.files), ours.output
        assert len([record for record in spare.requests if record.purpose == "main"]) == 1
    assert [event.to_upstream for event in ours.events if isinstance(event, FailedOver)] == [spare.url]
    assert all(event.status == 200 for event in ours.finished)
