"""What gateway and translation worker say to each other over a pair of pipes: length-prefixed frames, many requests at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from pointsman.core.types import Protocol

HEAD = 4
"""Bytes of a frame's length, big-endian."""

LARGEST = 128 << 20


class Frame(msgspec.Struct, array_like=True):
    """One message about request ``id``.

    Gateway to worker: ``job`` (``facts``: a Job, ``data``: the client's body), ``head`` (status and type of the provider's
    answer), ``data``, ``end``, ``lost`` (the provider broke off), ``cancel``, ``warm`` (``facts["natives"]``: rehearse them),
    ``count`` (``data``: a body of ``facts["protocol"]``).
    Worker to gateway: ``ready``, ``send`` (``data`` is for the provider), ``data`` and ``end`` (for the client), ``error``,
    ``counting`` (it can count from now on), ``counted`` (``facts["tokens"]``).
    """

    kind: str
    id: int = 0
    data: bytes = b""
    facts: dict[str, Any] = {}


class Job(msgspec.Struct):
    """A request to translate. ``client`` and ``native``: the wire formats; ``target``: the model's row as a mapping.

    ``prompt``: estimated tokens in the target's own, ``read`` those of them that its cache holds; ``cache_key``: an opaque name
    of the session.
    """

    client: Protocol
    native: Protocol
    vendor: str
    stream: bool
    effort: str | None
    target: dict[str, Any]
    cache_key: str
    prompt: int
    read: int = 0


def packed(frame: Frame) -> bytes:
    """The bytes of a frame."""
    body = msgspec.msgpack.encode(frame)
    return len(body).to_bytes(HEAD, "big") + body


async def frames(reader: asyncio.StreamReader) -> AsyncIterator[Frame]:
    """The frames of a pipe until it ends."""
    decoder = msgspec.msgpack.Decoder(Frame)
    while True:
        try:
            size = int.from_bytes(await reader.readexactly(HEAD), "big")
            if size > LARGEST:
                raise ValueError(f"a frame of {size} bytes: the pipe is out of step")
            yield decoder.decode(await reader.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError):
            return
