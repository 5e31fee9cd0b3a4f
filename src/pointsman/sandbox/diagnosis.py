"""The provider's cache diagnostics: the request beside the one whose answer it names, and the first thing that differs.

Anthropic remembers a request that carries ``diagnostics``, OpenAI (Responses, from GPT-5.6 on) every response; fingerprints are
kept by the answer's id. Sources: the vendors' cache-diagnostics guides, September 2026. The missed tokens are an estimate there,
here those of everything from the difference on that the earlier prompt had.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from pointsman.sandbox.incoming import Incoming
from pointsman.sandbox.models import Model

PARTS = ("model", "tools", "system", "messages")
"""What is compared, in this order."""


RENAMED = {"system": "instructions", "messages": "input"}
"""OpenAI's words for two of them."""


@dataclass(slots=True)
class Diagnostics:
    """Fingerprints of answered requests by the answer's id."""

    known: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def compare(self, request: Incoming, row: Model) -> dict[str, Any]:
        """The field that the answer carries; empty where nothing was asked."""
        body = request.body
        if request.protocol == "messages" and isinstance(body.get("diagnostics"), dict):
            named = body["diagnostics"].get("previous_message_id")
            return {"diagnostics": self._messages(request, row, named) if named else None}
        named = (body.get("prompt_cache_options") or {}).get("comparison_response_id")
        if request.protocol == "responses" and named and row.cache == "ends":
            return {"prompt_cache_diagnostics": self._responses(request, row, named)}
        return {}

    def remember(self, request: Incoming, answer_id: str) -> None:
        """Keep the fingerprint of a request that may be compared with later."""
        if request.protocol == "responses" or isinstance(request.body.get("diagnostics"), dict):
            self.known[answer_id] = _fingerprint(request)

    def _messages(self, request: Incoming, row: Model, named: str) -> dict[str, Any] | None:
        old = self.known.get(named)
        if old is None:
            return {"cache_miss_reason": {"type": "previous_message_not_found"}}
        part, missed = _difference(old, _fingerprint(request), row)
        return {"cache_miss_reason": {"type": f"{part}_changed", "cache_missed_input_tokens": missed}} if part else None

    def _responses(self, request: Incoming, row: Model, named: str) -> dict[str, Any]:
        old = self.known.get(named)
        if old is None:
            return {"type": "unavailable"}
        part, missed = _difference(old, _fingerprint(request), row)
        if not part:
            return {"type": "cache_hit"}
        return {"type": "cache_miss", "reason": f"{RENAMED.get(part, part)}_changed", "cache_missed_tokens": missed}


def _fingerprint(request: Incoming) -> dict[str, list[str]]:
    """The parts of a request as texts; messages one by one, cache marks left out."""
    body = request.body
    system = body.get("system") if request.protocol == "messages" else body.get("instructions")
    rows = body.get("messages") or body.get("input") or []
    rows = rows if isinstance(rows, list) else [rows]
    return {
        "model": [request.model], "tools": [_text(body.get("tools") or [])], "system": [_text(system or "")],
        "messages": [_text(row) for row in rows],
    }  # fmt: skip


def _text(value: Any) -> str:
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if key != "cache_control"}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _difference(old: dict[str, list[str]], new: dict[str, list[str]], row: Model) -> tuple[str, int]:
    """The first part that differs, and the tokens of the old prompt from there on; ("", 0) where the new one goes on from it."""
    for n, part in enumerate(PARTS):
        before, now = old[part], new[part]
        same = next((i for i, text in enumerate(before) if i >= len(now) or now[i] != text), None)
        if same is not None:
            lost = before[same:] if part != "model" else []
            lost = lost + [text for later in PARTS[n + 1 :] for text in old[later]]
            return part, row.tokens(sum(map(len, lost)))
    return "", 0
