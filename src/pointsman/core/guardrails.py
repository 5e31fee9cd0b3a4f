"""Vetoes: what can never be chosen for a request, each with its reason in words."""

from __future__ import annotations

from collections.abc import Mapping

from pointsman.core.policy import Policy
from pointsman.core.targets import Target
from pointsman.core.types import Config, Protocol, Request

SPEAKS: dict[Protocol, str] = {"messages": "anthropic", "responses": "openai", "gemini": "google"}
"""The vendor at home on each wire format; Chat Completions is spoken by many, so it is not listed."""


def veto(
    config: Config,
    asked: Config,
    request: Request,
    target: Target,
    vendor: str,
    refused: Mapping[Config, str],
    policy: Policy,
    prompt: int,
) -> str | None:
    """Why ``config`` cannot serve this request, or None. The asked model is never vetoed: it is the user's own choice.

    ``vendor``: whose model it is. ``refused``: what this upstream would not take, and how it said so. ``prompt``:
    estimated size in the target's own tokens.
    """
    if config == asked:
        return None
    if config in refused:
        return refused[config]
    if config.model in policy.deny:
        return f"denied in {policy.origin('deny')}"
    if policy.allow and config.model not in policy.allow:
        return f"not among the models allowed in {policy.origin('allow')}"
    if config.model == asked.model:
        return None
    home = SPEAKS.get(request.protocol, vendor)
    if vendor != home:
        return f"{vendor or 'its vendor'} does not speak this client's wire format"
    return target.accepts(request, prompt)
