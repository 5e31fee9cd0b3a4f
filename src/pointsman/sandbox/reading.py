"""From an HTTP request to an ``Incoming``: which protocol it speaks, its body unpacked, who pays."""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aiohttp import web

from pointsman.sandbox.errors import WORDS, Refused
from pointsman.sandbox.incoming import Incoming, Protocol
from pointsman.sandbox.prompt import Piece, messages_pieces, openai_pieces

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def route(method: str, path: str) -> tuple[Protocol | None, bool]:
    """(protocol, is it a token count) of a request, by the end of its path: any prefix may stand before it."""
    if method != "POST":
        return None, False
    for ending, protocol, counting in (
        ("/messages", "messages", False),
        ("/messages/count_tokens", "messages", True),
        ("/chat/completions", "chat", False),
        ("/responses", "responses", False),
        ("/responses/input_tokens", "responses", True),
        (":generateContent", "gemini", False),
        (":streamGenerateContent", "gemini", False),
        (":countTokens", "gemini", True),
    ):
        if path.endswith(ending):
            return protocol, counting  # type: ignore[return-value]  # the table holds only protocol names
    return None, False


def read(http: web.Request, protocol: Protocol, raw: bytes, limit: int) -> Incoming:
    """The request, decoded; raises ``Refused`` (400, 413) for what is not a JSON object."""
    headers = {name.lower(): value for name, value in http.headers.items()}
    try:
        body = json.loads(unpack(raw, headers.get("content-encoding", ""), limit))
    except (ValueError, zlib.error, EOFError, OSError, zstd.ZstdError) as error:
        raise Refused(400, f"We could not parse the JSON body of your request: {error}") from error
    if not isinstance(body, dict):
        raise Refused(400, "The body of your request is not a JSON object.")
    if protocol == "gemini":
        model, _, verb = http.path.rsplit("/", 1)[-1].partition(":")
        stream = verb.startswith("stream")
    else:
        model, stream = str(body.get("model", "")), bool(body.get("stream"))
    return Incoming(
        protocol,
        http.path,
        model,
        stream,
        headers,
        body,
        credential(headers, http.query),
        extra={"alt": http.query.get("alt", "")},
    )


def unpack(raw: bytes, encoding: str, limit: int) -> bytes:
    """The body without its content encoding (gzip, deflate, zstd, or several in a row), at most ``limit`` bytes."""
    for name in reversed([part.strip().lower() for part in encoding.split(",") if part.strip()]):
        if name in ("gzip", "x-gzip"):
            raw = gzip.decompress(raw)
        elif name == "deflate":
            raw = zlib.decompress(raw)
        elif name == "zstd":
            raw = zstd.decompress(raw)
        elif name != "identity":
            raise Refused(415, f"Unsupported content encoding {name!r}.")
        if len(raw) > limit:
            raise Refused(413, f"Request exceeds the maximum size of {limit} bytes.")
    return raw


def credential(headers: Mapping[str, str], query: Mapping[str, str]) -> str:
    """A short hash of the key or login that pays: caches are kept apart by it."""
    key = headers.get("x-api-key") or headers.get("authorization") or headers.get("x-goog-api-key") or query.get("key", "")
    return hashlib.blake2b(key.removeprefix("Bearer ").encode(), digest_size=8).hexdigest()


def numbered(request: Incoming, nth: int) -> Incoming:
    """The request with its number in its session."""
    return replace(request, nth=nth)


def pieces(request: Incoming, skipped: frozenset[tuple[int, int]]) -> list[Piece]:
    """The prompt's pieces; ``skipped`` names thinking blocks that this model cannot read."""
    return messages_pieces(request, skipped) if request.protocol == "messages" else openai_pieces(request)


def words(status: int) -> str:
    """The usual sentence of an error status."""
    return WORDS.get(status, f"The request failed with status {status}.")


def as_json(raw: bytes, headers: Mapping[str, str]) -> Any:
    """The body as JSON, or None: for the log of requests that are not model calls."""
    try:
        return json.loads(unpack(raw, headers.get("content-encoding", ""), len(raw) * 200)) if raw else None
    except (ValueError, zlib.error, EOFError, OSError, zstd.ZstdError, Refused):
        return None
