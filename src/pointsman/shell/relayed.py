"""The response that a client gets: the provider's headers, and one of ours that says what was decided."""

from __future__ import annotations

from aiohttp import web

DECISION_HEADER = "x-pointsman-decision"


class Relayed(web.StreamResponse):
    """A response that carries the provider's headers and none of aiohttp's own."""

    async def _prepare_headers(self) -> None:
        given = {name.lower() for name in self.headers}
        await super()._prepare_headers()
        for name in ("Content-Type", "Date", "Server"):
            if name.lower() not in given and name in self.headers:
                del self.headers[name]
