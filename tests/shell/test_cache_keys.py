"""What besides the texts is in a provider's cache key: each change is predicted cold before the bill says so (WIRE.md 2)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pointsman.core.events import Finished, Routed
from pointsman.sandbox import Incoming, Provider, Reply, say
from pointsman.settings import Settings
from pointsman.shell.gateway import Gateway
from shell.speaking import Speaking
from shell.support import client, events

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
LONG = "Look at every file of the project and say what each of them is for. " * 300


def talking(request: Incoming) -> Reply:
    return say(f"Turn {request.turn} is done.")


@asynccontextmanager
async def session(tmp_path: Path, protocol: str, **more: Any) -> AsyncIterator[Speaking]:
    """A conversation of two turns, warm; every change after it is predicted by the gateway and billed by the provider."""
    async with Provider(script=talking) as provider, client() as http:
        gateway = Gateway(Settings(mode="observe"), upstream=provider.url, ledger=tmp_path / "l.db", say=lambda sentence: None)
        async with gateway:
            talk = Speaking(http, gateway.url, protocol, **more)
            await talk.turn(LONG)
            await talk.turn("second")
            yield talk


def last(tmp_path: Path) -> tuple[int, int, int]:
    """Tokens read as predicted and as billed for the last request, and its prompt."""
    routed, done = events(tmp_path / "l.db", Routed)[-1], events(tmp_path / "l.db", Finished)[-1]
    row = routed.decision.row(routed.decision.chosen)
    assert row is not None and done.status == 200
    return row.cache_read, done.usage.cache_read, done.usage.prompt


@pytest.mark.parametrize(
    "change", [{"tool_choice": {"type": "none"}}, {"thinking": {"type": "enabled", "budget_tokens": 2_048}}],
    ids=["tool_choice", "thinking"],
)  # fmt: skip
async def test_a_change_of_tool_choice_or_thinking_keeps_tools_and_system_alone(tmp_path: Path, change: dict[str, Any]) -> None:
    async with session(tmp_path, "messages", model="claude-sonnet-4-6") as talk:
        predicted, billed, prompt = last(tmp_path)
        assert billed > 0.9 * prompt and predicted == pytest.approx(billed, rel=0.02), "nothing changed so far"
        talk.more |= change
        await talk.turn("third")
        predicted, billed, prompt = last(tmp_path)
        assert billed < 0.6 * prompt and predicted == pytest.approx(billed, rel=0.1), "the history is written again"
        await talk.turn("fourth")
        predicted, billed, prompt = last(tmp_path)
        assert billed > 0.9 * prompt and predicted == pytest.approx(billed, rel=0.02), "and is warm under the new key"


async def test_the_first_image_loses_the_history(tmp_path: Path) -> None:
    async with session(tmp_path, "messages", model="claude-opus-5-5") as talk:
        picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
        prompt_ = talk._prompt("what is this?")
        text = prompt_["content"] if isinstance(prompt_["content"], list) else [{"type": "text", "text": prompt_["content"]}]
        talk.history.append({"role": "user", "content": [picture, *text]})
        await talk.ask()
        predicted, billed, prompt = last(tmp_path)
        assert billed < 0.6 * prompt and predicted == pytest.approx(billed, rel=0.1)


async def test_another_speed_shares_nothing_but_tools(tmp_path: Path) -> None:
    async with session(tmp_path, "messages", model="claude-opus-5-5") as talk:
        talk.more |= {"speed": "fast"}
        talk.sent |= {"anthropic-beta": "fast-mode-2026-02-01"}
        await talk.turn("third")
        predicted, billed, prompt = last(tmp_path)
        assert billed < 0.3 * prompt and predicted <= billed


async def test_a_change_of_the_cache_key_is_cold_with_openai(tmp_path: Path) -> None:
    async with session(tmp_path, "responses", model="gpt-6.1-sol", more={"prompt_cache_key": "a"}) as talk:
        predicted, billed, prompt = last(tmp_path)
        assert billed > 0.9 * prompt and predicted == pytest.approx(billed, rel=0.02)
        talk.more |= {"prompt_cache_key": "b"}
        await talk.turn("third")
        predicted, billed, prompt = last(tmp_path)
        assert billed < 0.6 * prompt and predicted < 0.6 * prompt
