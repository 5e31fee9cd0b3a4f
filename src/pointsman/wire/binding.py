"""Thinking blocks that the newest Claude models bind to what was sent before them.

Such a model refuses a history whose tools, system text or earlier messages differ from those a block was written after
(400 "The block is bound to a different conversation", notes/cache.md 3.0). A detour to a model that needs the history in
another form leaves blocks of that kind behind, so after it the server is asked to drop what does not match, unbilled.
"""

from __future__ import annotations

from collections.abc import Mapping

from pointsman.wire.splice import open_body, open_object, put, splice

BETA = "thinking-binding-controls-2026-08-01"
"""The beta that knows ``thinking.block_binding`` (WIRE.md 3)."""

BOUND = ("tools", "system", "messages")
"""Fields of a Messages body that a thinking block is bound to."""

_DROP = b'{"prefix_mismatch_behavior":"drop_block"}'


def rewritten(before: bytes, after: bytes) -> bool:
    """Whether two Messages bodies differ in what thinking blocks are bound to."""
    if before is after:
        return False
    old, new = open_body(before).fields, open_body(after).fields
    return any(bytes(old.get(name, b"")) != bytes(new.get(name, b"")) for name in BOUND)


def unbound(body: bytes, headers: Mapping[str, str]) -> tuple[bytes, Mapping[str, str]]:
    """Body and headers that have the server drop thinking blocks written after another history instead of refusing them.

    Both come back as they were when the body has no ``thinking`` object or says itself what is to happen.
    """
    opened = open_body(body)
    raw = opened.fields.get("thinking")
    if raw is None or bytes(memoryview(raw)[:1]) != b"{":
        return body, headers
    inner = open_object(opened.data, opened.spans["thinking"][0], raw, "`thinking`")
    if "block_binding" in inner.fields:
        return body, headers
    name = next((key for key in headers if key.lower() == "anthropic-beta"), "anthropic-beta")
    betas = [beta for beta in headers.get(name, "").split(",") if beta.strip()]
    if BETA not in (beta.strip() for beta in betas):
        headers = {**headers, name: ",".join([*betas, BETA])}
    return splice(body, [put(inner, "block_binding", _DROP)]), headers
