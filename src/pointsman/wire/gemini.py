"""What a Gemini request needs so that another Gemini model takes it: its generation config; the history stays as it is.

Signatures of thoughts go along: a model takes those of another one (ai.google.dev, thought signatures), and finds its own
again when it comes back.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pointsman.core.targets import Target
from pointsman.core.types import Config, Request
from pointsman.wire.digest import decode
from pointsman.wire.splice import Change, open_body, splice

SAMPLING = ("temperature", "topP", "topK")
FIELD = "generationConfig"

BYPASS = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="
"""Google's documented stand-in for the signature of a call that another model made (base64 of
``skip_thought_signature_validator``): without one, Gemini 3 and later refuse the current turn on the way back."""


def converted(body: bytes, request: Request, chosen: Config, target: Target) -> bytes:
    """``body`` with the config that ``target`` takes; the same object where nothing has to change."""
    opened = open_body(body)
    raw = opened.fields.get(FIELD)
    config = decode(raw, f"`{FIELD}`") if raw is not None else {}
    if not isinstance(config, dict):
        return body
    decided = chosen.effort if chosen.effort != request.effort else None
    wanted = _taken(config, target, decided, chosen.model != request.model)
    if wanted == config:
        return body
    change = Change(opened)
    change.set(FIELD, msgspec.json.encode(wanted))
    return splice(body, change.edits())


def _taken(config: dict[str, Any], target: Target, decided: str | None, moved: bool) -> dict[str, Any]:
    """The generation config as ``target`` takes it; ``decided``: an effort of ours, None where the client's holds."""
    wanted = dict(config)
    if moved and not target.sampling:
        wanted = {name: value for name, value in wanted.items() if name not in SAMPLING}
    limit = wanted.get("maxOutputTokens")
    if moved and isinstance(limit, int):
        wanted["maxOutputTokens"] = target.clamped(limit)
    thinking = wanted.get("thinkingConfig")
    thinking = dict(thinking) if isinstance(thinking, dict) else {}
    level = thinking.get("thinkingLevel")
    effort = target.nearest_effort(decided if decided is not None else level if isinstance(level, str) else None)
    if not target.efforts:
        thinking.pop("thinkingLevel", None)  # older models take a budget
    elif effort is not None and effort != level:
        thinking.pop("thinkingBudget", None)  # a request may set one of the two
        thinking["thinkingLevel"] = effort
    if thinking:
        wanted["thinkingConfig"] = thinking
    elif "thinkingConfig" in wanted:
        del wanted["thinkingConfig"]
    return wanted
