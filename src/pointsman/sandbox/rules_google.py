"""What Google's models refuse, in the API's words; ``sandbox.rules`` asks these for a Gemini request."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

from pointsman.sandbox import takes
from pointsman.sandbox.errors import Refused
from pointsman.sandbox.incoming import Incoming
from pointsman.sandbox.models import Model

BYPASS = (
    "skip_thought_signature_validator",
    "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=",
    "context_engineering_is_the_way_to_go",
)
"""Documented values that stand in for a signature on calls another model made, plain and base64."""


def _call_signatures(request: Incoming, row: Model) -> None:
    """Function calls of the current turn carry a signature from the first of each step on."""
    if not row.signed_calls:
        return
    start = request.users[-1][0] if request.users else -1
    for n, content in enumerate(request.messages[start + 1 :], start + 1):
        calls: list[dict[str, Any]] = [part for part in content.get("parts", []) if "functionCall" in part]
        if content.get("role") != "model" or not calls:
            continue
        signature = calls[0].get("thoughtSignature") or calls[0].get("thought_signature")
        if not signature:
            raise Refused(400, f"Function call is missing a thought_signature in functionCall parts, contents.{n}.")
        if signature in BYPASS:
            continue
        try:
            known = base64.b64decode(str(signature), validate=True).startswith(b"pmg1|")
        except binascii.Error:
            known = False
        if not known:
            raise Refused(400, "Corrupted thought signature.")


def _gemini_pairs(request: Incoming, row: Model) -> None:
    """A turn of function calls is followed by as many responses, and responses stand nowhere else.

    More responses than calls are let through: gemini-cli 0.61 sends each of them twice in a resumed session.
    """
    open_calls = 0
    for n, content in enumerate(request.messages):
        parts = [part for part in content.get("parts") or [] if isinstance(part, dict)]
        answers = sum("functionResponse" in part for part in parts)
        if answers < open_calls or (answers and not open_calls):
            raise Refused(
                400,
                "Please ensure that the number of function response parts is equal to the number of function call parts of "
                f"the function call turn (contents.{n}).",
            )
        open_calls = sum("functionCall" in part for part in parts)


def _gemini_config(request: Incoming, row: Model) -> None:
    """Thinking has one of two forms, a level the model knows, and the output limit is the model's."""
    config = request.body.get("generationConfig") or {}
    thinking = config.get("thinkingConfig") or {}
    level = thinking.get("thinkingLevel")
    if level is not None and "thinkingBudget" in thinking:
        raise Refused(400, "You can only set only one of thinking budget and thinking level.")
    if level is not None and str(level).lower() not in row.efforts:
        raise Refused(400, f"Thinking level {level} is not supported for this model.")
    limit = config.get("maxOutputTokens")
    if isinstance(limit, int) and limit > row.max_output:
        raise Refused(400, f"maxOutputTokens: {limit} is over the limit of {row.max_output} for {request.model}.")


GEMINI: tuple[Callable[[Incoming, Model], None], ...] = (_call_signatures, _gemini_pairs, _gemini_config, takes.gemini_sampling)
