"""Which protocol a request speaks, told by method and path alone.

Bases differ (``/v1``, ``/api/paas/v4``, ``/backend-api/codex``, ``/run/ID/v1``), so paths are read from their end.
"""

from __future__ import annotations

from collections.abc import Mapping

from pointsman.core.types import Protocol

HISTORY: Mapping[Protocol, str] = {"messages": "messages", "chat": "messages", "responses": "input", "gemini": "contents"}
"""The field of a request's body that holds its history."""

OPENAI_HOST = ".api.openai.com"

GEMINI_METHODS = ("generateContent", "streamGenerateContent", "countTokens")
"""Gemini names the action after a colon: ``/v1beta/models/NAME:generateContent``."""


def protocol_of(method: str, path: str) -> Protocol | None:
    """The protocol of a request, or None for a path that we do not read (it is passed through and counted)."""
    if method.upper() != "POST":
        return None
    plain = bare(path)
    if plain.endswith(("/v1/messages", "/v1/messages/count_tokens")) or plain == "/messages":
        return "messages"
    if plain.endswith("/chat/completions"):
        return "chat"
    if plain.endswith(("/responses", "/responses/input_tokens")):
        return "responses"
    if gemini_span(plain) is not None:
        return "gemini"
    return None


def is_count(path: str) -> bool:
    """True for a request that counts tokens and generates nothing."""
    return bare(path).endswith(("/messages/count_tokens", "/responses/input_tokens", ":countTokens"))


def region_of(base: str) -> str | None:
    """The region that a base URL of OpenAI's names, or None: ``https://eu.api.openai.com/v1`` (data residency guide, 2026)."""
    host = base.partition("://")[2].partition("/")[0].lower()
    return host.removesuffix(OPENAI_HOST) if host.endswith(OPENAI_HOST) else None


def bare(path: str) -> str:
    """The path without query and fragment."""
    return path.partition("#")[0].partition("?")[0]


def gemini_span(path: str) -> tuple[int, int] | None:
    """Where the model name stands in a Gemini path, as (start, end); None when this is not a Gemini call."""
    plain = bare(path)
    start = plain.rfind("/models/")
    end = plain.rfind(":")
    if start < 0 or end < start or plain[end + 1 :] not in GEMINI_METHODS:
        return None
    start += len("/models/")
    return (start, end) if start < end and "/" not in plain[start:end] else None
