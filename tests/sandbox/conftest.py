"""A provider on a virtual clock, and one plain HTTP client, for the sandbox's own tests."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from pointsman.sandbox import Clock, Provider, Script, say


@dataclass
class Wire:
    """A provider, its clock, and a client that posts JSON to it."""

    provider: Provider
    clock: Clock
    http: aiohttp.ClientSession

    async def post(self, path: str, body: Any, key: str = "key", **headers: str) -> dict[str, Any]:
        """Post ``body`` and return the JSON answer with its status under ``status``."""
        data = io.BytesIO(json.dumps(body).encode())
        named = {"authorization": f"Bearer {key}", **{name.replace("_", "-"): value for name, value in headers.items()}}
        async with self.http.post(self.provider.url + path, data=data, headers=named) as answer:
            return {**await answer.json(), "status": answer.status}

    async def messages(self, key: str = "key", beta: str = "", **body: Any) -> dict[str, Any]:
        """Post to the Messages API; a 400 comes back as a value."""
        return await self.post(
            "/v1/messages", {"model": "claude-sonnet-4-5", "max_tokens": 2_000, **body}, key, anthropic_beta=beta
        )

    async def used(self, key: str = "key", **body: Any) -> tuple[int, int, int]:
        """(fresh, read, written) tokens of a Messages request."""
        usage = (await self.messages(key, **body))["usage"]
        return usage["input_tokens"], usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]

    def script(self, script: Script) -> None:
        """Let the provider answer by ``script`` from now on."""
        self.provider.script = script


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    """A strict provider that says "ok", at virtual time."""
    clock = Clock()
    async with Provider(clock=clock, script=lambda request: say("ok"), seed=7) as provider, aiohttp.ClientSession() as http:
        yield Wire(provider, clock, http)
