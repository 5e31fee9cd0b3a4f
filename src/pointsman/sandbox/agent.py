"""The scripted agent: plays a recorded session over real HTTP against any base URL.

It sends each recorded request as it was recorded (bytes, headers, path), at its time on the clock, reads the answer to
its end and notes what came back. Where the record says that the client hung up, it hangs up. Given the provider it plays
against, it also has the recorded failures happen again (a status, a cut).
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from pointsman.sandbox import faults
from pointsman.sandbox.answers import ended, events, model_of, usage_of
from pointsman.sandbox.clock import Clock
from pointsman.sandbox.incoming import Incoming
from pointsman.sandbox.provider import Provider
from pointsman.sandbox.recorded import Played, RecordedSession, load

LOCAL = ("host", "content-length", "connection", "accept-encoding", "transfer-encoding", "keep-alive")
"""Headers that belong to one connection and are made anew."""

HANG_UP_S = 0.2
"""Real seconds to wait for a byte before hanging up where the recorded client hung up on silence."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What came back for one request. ``status`` 0: no answer at all (``error`` says why).

    ``whole``: the answer reached its proper end. ``hung_up``: we closed the connection, as recorded. ``data``: the body.
    """

    n: int
    path: str
    status: int
    model: str | None = None
    usage: dict[str, Any] | None = None
    whole: bool = False
    hung_up: bool = False
    error: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    data: bytes = b""


@asynccontextmanager
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that changes nothing: no automatic headers worth naming, no decoding, no time limit."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        timeout=timeout, connector=connector, auto_decompress=False, skip_auto_headers=("User-Agent", "Accept", "Content-Type")
    ) as session:
        yield session


async def play(
    recording: Path | str | RecordedSession,
    base_url: str,
    clock: Clock | None = None,
    *,
    provider: Provider | None = None,
    pace: float = 0.0,
    heard: Callable[[Heard], None] | None = None,
) -> list[Heard]:
    """Play a recording and return what came back, one row per request.

    ``clock``: a virtual clock that is moved to each recorded time. Without one, pauses take ``pace`` times their recorded
    length in real seconds (0: none). ``provider``: makes recorded failures and interrupts happen again. ``heard`` is
    called after each request.
    """
    session = recording if isinstance(recording, RecordedSession) else load(recording)
    origin = clock() if clock is not None else 0.0
    rows: list[Heard] = []
    before = 0.0
    async with http() as client:
        for played in session.played:
            if clock is not None:
                clock.advance_to(origin + played.t)
            elif pace:
                await asyncio.sleep(max(0.0, played.t - before) * pace)
            before = played.t_end or played.t
            if provider is not None:
                _cue(provider, played)
            row = await _send(client, base_url, played)
            if clock is not None and played.t_end is not None:
                clock.advance_to(origin + played.t_end)
            rows.append(row)
            if heard is not None:
                heard(row)
    return rows


def _cue(provider: Provider, played: Played) -> None:
    """Have the provider fail as it did when this request was recorded."""
    protocol = played.protocol
    if protocol is None:
        return
    recorded = Incoming(protocol, played.path, "", False, dict(played.headers), played.value or {})

    def same(request: Incoming) -> bool:
        return request.body == recorded.body or request.session == recorded.session

    if played.stop == "hangup":
        provider.fault(faults.hang("text" if played.events else "headers"), when=same)
    elif played.stop == "cut":
        provider.fault(faults.cut("text" if played.events else "headers"), when=same)
    elif played.status is not None and played.status >= 400:
        retry = played.answer_headers.get("retry-after")
        body = next(events(played.text), None)
        provider.fault(faults.status(played.status, retry_after=float(retry) if retry else None, body=body), when=same)


async def _send(client: aiohttp.ClientSession, base_url: str, played: Played) -> Heard:
    """Send one recorded request and read what comes back."""
    headers = {name: value for name, value in played.headers.items() if name.lower() not in LOCAL}
    url = URL(base_url.rstrip("/") + played.path, encoded=True)
    try:
        return await asyncio.wait_for(
            _exchange(client, played, url, headers), HANG_UP_S if played.stop == "hangup" and not played.events else None
        )
    except TimeoutError:
        return Heard(played.n, played.path, 0, hung_up=True)
    except aiohttp.ClientError as error:
        return Heard(played.n, played.path, 0, error=f"{type(error).__name__}: {error}")


async def _exchange(client: aiohttp.ClientSession, played: Played, url: URL, headers: Mapping[str, str]) -> Heard:
    """One request and its answer; hangs up after the first events where the recorded client did."""
    data, error, hung_up = bytearray(), None, False
    async with client.request(
        played.method, url, data=io.BytesIO(played.body) if played.body else None, headers=headers, allow_redirects=False
    ) as answer:
        try:
            async for chunk in answer.content.iter_any():
                data += chunk
                if played.stop == "hangup" and data.count(b"\n\n") >= max(1, len(played.events) // 2):
                    hung_up = True
                    answer.close()
                    break
        except aiohttp.ClientError as broken:
            error = f"{type(broken).__name__}: {broken}"
        return _heard(played, answer, bytes(data), error, hung_up)


def _heard(played: Played, answer: aiohttp.ClientResponse, data: bytes, error: str | None, hung_up: bool) -> Heard:
    protocol = played.protocol
    text = data.decode("utf-8", "replace") if protocol is not None else ""
    return Heard(
        played.n,
        played.path,
        answer.status,
        model_of(protocol, text) if protocol else None,
        usage_of(protocol, text) if protocol else None,
        ended(protocol, text) if protocol else error is None,
        hung_up,
        error,
        {name.lower(): value for name, value in answer.headers.items()},
        data,
    )
