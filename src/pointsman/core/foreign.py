"""Another vendor's models: which format they speak, and when a request may be translated for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pointsman.core.policy import Policy
from pointsman.core.types import Protocol, Request
from pointsman.core.warmth import CacheRule

SPEAKS: Mapping[Protocol, str] = {"messages": "anthropic", "responses": "openai", "gemini": "google"}
"""The vendor at home on each wire format; Chat Completions is spoken by many, so it is not listed."""

NATIVE: Mapping[str, Protocol] = {"anthropic": "messages", "openai": "responses", "google": "gemini"}
"""The format in which each vendor is asked; whoever is not listed speaks Chat Completions."""

def native_of(vendor: str) -> Protocol:
    """The wire format in which ``vendor`` is asked."""
    return NATIVE.get(vendor, "chat")


def home_of(request: Request, asked_vendor: str) -> str:
    """Who serves this request where nothing is changed: the maker of the asked model, else the vendor of its format."""
    return asked_vendor or SPEAKS.get(request.protocol, "")


def is_foreign(request: Request, asked_vendor: str, vendor: str, policy: Policy) -> bool:
    """Whether a model of ``vendor`` is reached by translation only.

    Chat Completions behind one base URL for everything (a proxy) needs none: any model is asked there in the same words.
    """
    home = home_of(request, asked_vendor)
    if not home or vendor == home:
        return False
    return not (request.protocol == "chat" and policy.one_upstream)


def refusal(request: Request, home: str, vendor: str, policy: Policy) -> str | None:
    """Why ``request`` may not be translated for a model of ``vendor``, or None. ``home``: whose client it is."""
    if request.auth == "subscription":
        return f"your subscription login stays with {home}"
    if vendor not in policy.vendors:
        return f"no upstream with a key of its own is set for {vendor or 'its vendor'}"
    if "unknown_blocks" in request.needs:
        return "this history holds blocks that only its own vendor understands"
    if "prefill" in request.needs:
        return "it would not go on with the answer that the client has begun"
    if "stored_history" in request.needs:
        return f"a part of this history is kept by {home} only"
    return None


def marked_for(request: Request, rule: CacheRule) -> Request:
    """``request`` as it is sent to another vendor: with that vendor's cache marks at its default lifetime, or with none."""
    return replace(request, ttl_s=rule.ttl_s if rule.explicit else None, head_ttl_s=None)
