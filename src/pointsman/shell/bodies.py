"""Request and response bodies: reading them under a limit, decoding a copy, sending large ones in pieces.

The gateway always forwards the bytes it received; what is decoded here is a copy for the engine or for the tap, under a
limit, so that a few kilobytes that unpack to gigabytes cost nothing.
"""

from __future__ import annotations

import asyncio
import sys
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import payload
from aiohttp.abc import AbstractStreamWriter

from pointsman.errors import WireError

if TYPE_CHECKING:
    from aiohttp.streams import StreamReader

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MIB = 1 << 20
BODY_LIMIT = 64 * MIB
"""Bytes of a request, packed or unpacked, up to which it is decided; a larger one is streamed through undecided."""

LARGE = MIB
"""aiohttp warns about plain bytes above this size, because they are written in one go."""

IN_THREAD = MIB // 4
"""Bytes of a packed body from which unpacking leaves the event loop (about 1 ms of work)."""

PIECE, FEED = 256 * 1024, 64 * 1024
"""Bytes that are written, and unpacked, at a time."""

CODINGS = ("identity", "gzip", "x-gzip", "deflate", "zstd")
"""Content codings that we can decode."""


@dataclass(slots=True)
class Upload:
    """A request body: all of it in ``head``, or its first part there and the rest still to come from ``more``."""

    head: bytes
    more: StreamReader | None = None

    @property
    def whole(self) -> bool:
        """True when nothing is left to read, so the body can be decided on and sent again."""
        return self.more is None

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body from its start, as it arrives."""
        if self.head:
            yield self.head
        if self.more is not None:
            async for chunk in self.more.iter_any():
                yield chunk


async def collect(content: StreamReader, length: int | None, limit: int) -> Upload:
    """The request body, read up to ``limit`` bytes. ``length``: what Content-Length says, None when unknown."""
    if length is not None and length > limit:
        return Upload(b"", content)
    found: list[bytes] = []
    size = 0
    async for chunk in content.iter_any():
        found.append(chunk)
        size += len(chunk)
        if size > limit:
            return Upload(b"".join(found), content)
    return Upload(found[0] if len(found) == 1 else b"".join(found))


class Decoder:
    """Undoes one content coding piece by piece. Raises WireError.

    ``limit``: bytes that may come out in all; ``at_once``: of ``FEED`` bytes that go in.
    """

    def __init__(self, coding: str, limit: int = BODY_LIMIT, at_once: int = BODY_LIMIT) -> None:
        self.coding = coding
        self._limit, self._at_once = limit, at_once
        self._made = 0
        self._inner: Any = None
        self._started = False

    @property
    def done(self) -> bool:
        """True at the end of a frame: stopping here means nothing is missing."""
        return self._inner is None

    def feed(self, data: bytes) -> bytes:
        """What ``data`` unpacks to, after what was fed before."""
        if len(data) > FEED:  # what follows a frame is copied once per frame: in small pieces that stays cheap
            return b"".join(self.feed(data[start : start + FEED]) for start in range(0, len(data), FEED))
        made: list[bytes] = []
        end = min(self._limit, self._made + self._at_once)
        while data:
            if self._inner is None:
                if self._started and not data.strip(b"\0"):
                    break  # padding behind the last frame
                self._inner = self._fresh(data)
                self._started = True
            room = end - self._made + 1
            try:
                out = self._inner.decompress(data, room)
            except (zlib.error, zstd.ZstdError) as error:
                raise WireError(f"the {self.coding} body is damaged: {error}") from error
            self._made += len(out)
            if self._made > end:
                most = self._limit if self._made > self._limit else self._at_once
                raise WireError(f"the {self.coding} body unpacks to more than {most // MIB} MiB")
            made.append(out)
            data = self._inner.unused_data if self._inner.eof else b""
            if self._inner.eof:
                self._inner = None
        return made[0] if len(made) == 1 else b"".join(made)

    def _fresh(self, data: bytes) -> Any:
        if self.coding in ("gzip", "x-gzip"):
            return zlib.decompressobj(zlib.MAX_WBITS | 16)
        if self.coding == "deflate":  # the name means zlib, but some senders leave its two-byte head out
            with_head = data[0] & 0x0F == 8 and (len(data) < 2 or int.from_bytes(data[:2], "big") % 31 == 0)
            return zlib.decompressobj(zlib.MAX_WBITS if with_head else -zlib.MAX_WBITS)
        return zstd.ZstdDecompressor()


def codings(header: str) -> list[str]:
    """The codings of a Content-Encoding header in the order they were applied. Raises WireError for an unknown one."""
    found = [name.strip().lower() for name in header.split(",") if name.strip()]
    for name in found:
        if name not in CODINGS:
            raise WireError(f"content-encoding {name!r} is not one we can read ({', '.join(CODINGS[1:])})")
    return [name for name in found if name != "identity"]


async def plain(body: bytes, header: str, limit: int = BODY_LIMIT) -> bytes:
    """A decoded copy of a request body, or the body itself when it is not packed. Raises WireError."""
    applied = codings(header)
    if not applied:
        return body
    if len(body) < IN_THREAD:
        return _undo(body, applied, limit)
    return await asyncio.to_thread(_undo, body, applied, limit)


def _undo(body: bytes, applied: list[str], limit: int) -> bytes:
    for coding in reversed(applied):
        decoder = Decoder(coding, limit)
        body = decoder.feed(body)
        if not decoder.done:
            raise WireError(f"the {coding} body ends early")
    return body


def readable(accept_encoding: str) -> str:
    """An Accept-Encoding header without codings that we could not read usage from (``br``); otherwise unchanged."""
    parts = accept_encoding.split(",")
    kept = [part for part in parts if part.partition(";")[0].strip().lower() in (*CODINGS, "*", "")]
    return accept_encoding if len(kept) == len(parts) else (",".join(kept).strip() or "identity")


class LargeBody(payload.Payload):
    """A large body in memory, written in pieces so that the event loop keeps turning; can be sent again."""

    def __init__(self, value: bytes) -> None:
        super().__init__(value)
        self._size = len(value)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The body as text."""
        return bytes(self._value).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write all of it."""
        view = memoryview(self._value)
        for start in range(0, len(view), PIECE):
            await writer.write(bytes(view[start : start + PIECE]))

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write all of it: its length is always the announced one."""
        await self.write(writer)


def sendable(body: bytes) -> bytes | LargeBody | None:
    """A body in the form in which aiohttp sends it without warning or delay; None for an empty one."""
    if not body:
        return None
    return body if len(body) < LARGE else LargeBody(body)
