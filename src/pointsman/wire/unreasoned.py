"""A Responses request without the reasoning of earlier answers, for an organization that cannot read it (WIRE.md 3)."""

from __future__ import annotations

from pointsman.core.types import Protocol
from pointsman.wire.converting import peek, without
from pointsman.wire.splice import elements, open_body, splice


def unreasoned(protocol: Protocol, body: bytes) -> bytes:
    """``body`` without its reasoning items; the same object where it has none, or is of another format.

    Raises WireError where the body cannot be taken apart.
    """
    if protocol != "responses":
        return body
    opened = open_body(body)
    raw = opened.fields.get("input")
    if raw is None or bytes(memoryview(raw)[:1]) != b"[":
        return body
    items = elements(body, opened.spans["input"][0], raw, "`input`")
    return splice(body, without([span for _, span in items], [peek(item).type == "reasoning" for item, _ in items]))
