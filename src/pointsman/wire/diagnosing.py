"""The providers' own cache diagnostics: asked for in a request, read from its answer.

Anthropic compares a request with the one whose answer is named in ``diagnostics.previous_message_id`` (null: only remember this
one), OpenAI with ``prompt_cache_options.comparison_response_id``. Both say the first thing that differs, and about how many
tokens could not be reused for it. Sources: platform.claude.com cache-diagnostics and developers.openai.com prompt-caching
diagnostics, September 2026 (Responses API, GPT-5.6 and later).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pointsman.core.types import Diagnosis, Protocol
from pointsman.wire.splice import open_body, open_object, put, splice

BETA = "cache-diagnosis-2026-04-07"

SAME = "no_difference"
"""Our word for an answer without a reason: the requests agree, so what was not read had lapsed or was on another machine."""


def diagnosed(protocol: Protocol, body: bytes, headers: Mapping[str, str], previous: str) -> tuple[bytes, Mapping[str, str]]:
    """Body and headers that ask for a comparison with the answer ``previous`` ("": none yet).

    Both come back as they were where the client asks for itself, or there is nothing to ask.
    """
    opened = open_body(body)
    if protocol == "messages":
        if "diagnostics" in opened.fields:
            return body, headers
        value = b'{"previous_message_id":' + msgspec.json.encode(previous or None) + b"}"
        name = next((key for key in headers if key.lower() == "anthropic-beta"), "anthropic-beta")
        betas = [beta.strip() for beta in headers.get(name, "").split(",") if beta.strip()]
        if BETA not in betas:
            headers = {**headers, name: ",".join([*betas, BETA])}
        return splice(body, [put(opened, "diagnostics", value)]), headers
    if protocol != "responses" or not previous:
        return body, headers
    wanted = msgspec.json.encode(previous)
    raw = opened.fields.get("prompt_cache_options")
    if raw is None or bytes(memoryview(raw)[:1]) != b"{":
        return splice(body, [put(opened, "prompt_cache_options", b'{"comparison_response_id":' + wanted + b"}")]), headers
    inner = open_object(opened.data, opened.spans["prompt_cache_options"][0], raw, "`prompt_cache_options`")
    if "comparison_response_id" in inner.fields:
        return body, headers
    return splice(body, [put(inner, "comparison_response_id", wanted)]), headers


def messages_diagnosis(message: Mapping[str, Any]) -> Diagnosis | None:
    """What a Messages answer says; None where it was not asked, or the comparison is still running."""
    if "diagnostics" not in message:
        return None
    found = message["diagnostics"]
    if found is None:
        return Diagnosis(SAME)
    reason = found.get("cache_miss_reason") if isinstance(found, dict) else None
    return _diagnosis(reason.get("type"), reason.get("cache_missed_input_tokens")) if isinstance(reason, dict) else None


def responses_diagnosis(response: Mapping[str, Any]) -> Diagnosis | None:
    """What a Responses answer says; None where it was not asked."""
    found = response.get("prompt_cache_diagnostics")
    if not isinstance(found, dict):
        return None
    if found.get("type") == "cache_hit":
        return Diagnosis(SAME)
    return _diagnosis(found.get("reason") or found.get("type"), found.get("cache_missed_tokens"))


def _diagnosis(reason: object, missed: object) -> Diagnosis | None:
    if not isinstance(reason, str) or not reason or not reason.isprintable():
        return None
    whole = isinstance(missed, int) and not isinstance(missed, bool) and missed >= 0
    return Diagnosis(reason[:60], missed if whole else None)  # type: ignore[arg-type]  # whole: an int
