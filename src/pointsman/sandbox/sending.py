"""Sending an answer: at its pace, with the fault that is due, and noticing at once when the client hangs up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from aiohttp import web

from pointsman.sandbox import speak_gemini
from pointsman.sandbox.answering import speaker
from pointsman.sandbox.clock import Clock
from pointsman.sandbox.faults import Fault, error_frames, split
from pointsman.sandbox.incoming import Incoming
from pointsman.sandbox.log import Record
from pointsman.sandbox.reply import Answer, Frame, compact, token

FIRST_TOKEN_S = 0.4
COLD_S_PER_TOKEN, WARM_S_PER_TOKEN = 1.1e-4, 1.0e-5
OUTPUT_S_PER_TOKEN = 1 / 70
"""Latencies at speed 1, seconds: a fit to the vendors' published first-token times of 2024 (10k: 1.6 cold, 1.1 warm;
100k: 11.5, 2.4); 70 output tokens a second. A prior for demos, not a claim about any model."""


@dataclass(slots=True)
class Sender:
    """One answer on its way out."""

    http: web.Request
    request: Incoming
    answer: Answer
    record: Record
    fault: Fault | None
    clock: Clock
    speed: float
    begun: Callable[[], None]

    async def send(self) -> web.StreamResponse:
        """Send the answer, whole or as a stream."""
        fault = self.fault
        if fault is not None and fault.kind == "hang" and fault.at == "headers":
            return await self._hang(None)
        if fault is not None and fault.kind == "cut" and fault.at == "headers":
            return self._drop(web.Response(status=0))
        if fault is not None and fault.kind == "slow":
            await self.clock.sleep(fault.seconds or 0.0)
        await self._pause(self.first_byte_s)
        return await self._stream() if self.request.stream else await self._whole()

    @property
    def first_byte_s(self) -> float:
        """Seconds to the first byte at speed 1: cold tokens take longer than warm ones."""
        bill = self.answer.bill
        return FIRST_TOKEN_S + COLD_S_PER_TOKEN * (bill.fresh + bill.write) + WARM_S_PER_TOKEN * bill.read

    @property
    def output_s(self) -> float:
        """Seconds the output takes at speed 1."""
        seconds = self.answer.reply.seconds
        return seconds if seconds is not None else OUTPUT_S_PER_TOKEN * self.answer.bill.output

    async def _pause(self, seconds: float) -> None:
        if self.speed > 0 and seconds > 0:
            await self.clock.sleep(seconds * self.speed)

    def _headers(self, content_type: str) -> dict[str, str]:
        """The response headers of the protocol."""
        request_id = "req_" + token(self.answer.seed, 20)
        headers = {"content-type": content_type}
        if self.request.protocol == "messages":
            return headers | {"request-id": request_id, "anthropic-organization-id": "00000000-0000-4000-8000-000000000000"}
        if self.request.protocol == "gemini":
            return headers
        extra = {"openai-model": self.answer.model} if self.request.protocol == "responses" else {}
        return headers | {"x-request-id": request_id, "openai-processing-ms": "12"} | extra

    async def _whole(self) -> web.StreamResponse:
        """One JSON body."""
        body = compact(speaker(self.request.protocol).body(self.answer)).encode()
        await self._pause(self.output_s)
        self.begun()
        response = web.StreamResponse(headers=self._headers("application/json") | {"content-length": str(len(body))})
        await response.prepare(self.http)
        if self.fault is not None and self.fault.kind in ("cut", "eof", "event", "hang"):
            await self._write(response, body[: len(body) // 2])
            return self._drop(response) if self.fault.kind != "hang" else await self._hang(response)
        for part in self._chopped([body]):
            await self._write(response, part)
        await response.write_eof()
        return response

    async def _stream(self) -> web.StreamResponse:
        """The events, one by one; the fault strikes where it is due."""
        frames = self._frames()
        stops = self.fault is not None and self.fault.kind in ("hang", "cut", "event", "eof")
        end = split(frames, self.fault.at) if stops and self.fault else len(frames)
        response = web.StreamResponse(headers=self._headers(self._content_type()) | {"cache-control": "no-cache"})
        await response.prepare(self.http)
        self.begun()
        await self._write_frames(response, frames[:end])
        if stops and self.fault is not None:
            return await self._strike(response, self.fault)
        await response.write_eof()
        return response

    async def _write_frames(self, response: web.StreamResponse, frames: list[Frame]) -> None:
        """At speed 0 the frames go out in few writes; otherwise each at its time."""
        chop = self.fault is not None and self.fault.kind == "chop"
        if self.speed <= 0 and not chop:
            for n in range(0, len(frames), 16):
                await self._write(response, b"".join(frame.data for frame in frames[n : n + 16]))
            return
        deltas = max(1, sum(frame.kind in ("text", "json", "thinking") for frame in frames))
        for part in self._chopped(frame.data for frame in frames) if chop else ():
            await self._write(response, part)
        for frame in () if chop else frames:
            await self._write(response, frame.data)
            if frame.kind in ("text", "json", "thinking"):
                await self._pause(self.output_s / deltas)

    async def _strike(self, response: web.StreamResponse, fault: Fault) -> web.StreamResponse:
        """What a fault does once its moment has come."""
        if fault.kind == "hang":
            return await self._hang(response)
        if fault.kind == "cut":
            return self._drop(response)
        if fault.kind == "event":
            for data in error_frames(self.request.protocol, fault.error):
                await self._write(response, data)
        await response.write_eof()
        return response

    async def _hang(self, response: web.StreamResponse | None) -> web.StreamResponse:
        """Say nothing until the time is up or the client hangs up (which cancels this handler)."""
        assert self.fault is not None
        if self.fault.seconds is None:
            await asyncio.Event().wait()
        await self.clock.sleep(self.fault.seconds or 0.0)
        return self._drop(response or web.Response(status=0))

    def _drop(self, response: web.StreamResponse) -> web.StreamResponse:
        """Break the connection without an ending."""
        if self.http.transport is not None:
            self.http.transport.abort()
        return response

    async def _write(self, response: web.StreamResponse, data: bytes) -> None:
        self.record.sent += len(data)
        await response.write(data)
        if self.speed > 0:
            await asyncio.sleep(0)

    def _chopped(self, parts: Iterator[bytes] | list[bytes]) -> Iterator[bytes]:
        """The bytes in pieces of the fault's size, or as they are."""
        if self.fault is None or self.fault.kind != "chop":
            yield from parts
            return
        data, size = b"".join(parts), max(1, self.fault.size)
        yield from (data[n : n + size] for n in range(0, len(data), size))

    def _content_type(self) -> str:
        whole = self.request.protocol == "gemini" and self.request.extra.get("alt") != "sse"
        return "application/json; charset=utf-8" if whole else "text/event-stream; charset=utf-8"

    def _frames(self) -> list[Frame]:
        """The protocol's frames; Google streams a JSON array unless events were asked for."""
        frames = (
            list(self._gemini_array())
            if "json" in self._content_type()
            else list(speaker(self.request.protocol).frames(self.answer))
        )
        if self.fault is not None and self.fault.kind == "huge":
            return [_inflated(frame, self.fault.size) if n == _first_text(frames) else frame for n, frame in enumerate(frames)]
        return frames

    def _gemini_array(self) -> Iterator[Frame]:
        for n, (chunk, kind) in enumerate(speak_gemini.chunks(self.answer)):
            yield Frame((b"[" if n == 0 else b",\r\n") + compact(chunk).encode(), kind)
        yield Frame(b"]", "terminal")


def _first_text(frames: list[Frame]) -> int:
    return next((n for n, frame in enumerate(frames) if frame.kind == "text"), -1)


def _inflated(frame: Frame, size: int) -> Frame:
    """A text frame whose longest string is grown to ``size`` characters."""
    head, _, rest = frame.data.partition(b"data: ")

    def grow(value: object, key: str = "") -> object:
        if isinstance(value, dict):
            return {k: grow(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [grow(v) for v in value]
        return (
            value * (size // max(1, len(value)) + 1) if isinstance(value, str) and key in ("text", "delta", "content") else value
        )

    return Frame(head + b"data: " + compact(grow(json.loads(rest))).encode() + b"\n\n", frame.kind)
