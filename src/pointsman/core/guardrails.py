"""Vetoes: what can never be chosen for a request, each with its reason in words."""

from __future__ import annotations

from collections.abc import Mapping

from pointsman.core.foreign import home_of, is_foreign, refusal
from pointsman.core.policy import Policy
from pointsman.core.targets import Target
from pointsman.core.types import Config, Request


def veto(
    config: Config,
    asked: Config,
    request: Request,
    target: Target,
    vendor: str,
    refused: Mapping[Config, str],
    policy: Policy,
    prompt: int,
    asked_vendor: str = "",
) -> str | None:
    """Why ``config`` cannot serve this request, or None. The asked model is never vetoed: it is the user's own choice.

    ``vendor``: whose model it is, ``asked_vendor``: whose the asked one is. ``refused``: what this upstream would not take,
    and how it said so. ``prompt``: estimated size in the target's own tokens.
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
    if is_foreign(request, asked_vendor, vendor, policy):
        why = refusal(request, home_of(request, asked_vendor), vendor, policy)
        if why is not None:
            return why
    return target.accepts(request, prompt)
