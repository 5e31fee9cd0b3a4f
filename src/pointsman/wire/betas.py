"""The client's betas on the way to another model of its vendor: those that are known to be bound to some models stay behind.

Everything else goes along, known to us or not: a beta that is dropped takes the meaning of fields in the body with it, and a
model was measured to take the betas that a client sends to another (design notes, cache.md 3.1).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

NAME = "anthropic-beta"


def taken(headers: Mapping[str, str], refused: Collection[str]) -> Mapping[str, str]:
    """``headers`` without the ``refused`` betas; the same object where there are none."""
    name = next((key for key in headers if key.lower() == NAME), None)
    if name is None or not refused:
        return headers
    given = [beta.strip() for beta in headers[name].split(",") if beta.strip()]
    kept = [beta for beta in given if beta not in refused]
    if len(kept) == len(given):
        return headers
    rest = {key: value for key, value in headers.items() if key != name}
    return {**rest, name: ",".join(kept)} if kept else rest
