"""More of what one model takes and another refuses: deferred tools, fast mode, Gemini's sampling."""

from __future__ import annotations

from pointsman.sandbox.errors import Refused
from pointsman.sandbox.incoming import Incoming
from pointsman.sandbox.models import Model
from pointsman.sandbox.prompt import as_blocks


def tool_search(request: Incoming, row: Model) -> None:
    """Deferred tools, and history with references to them, need a model with tool search (tool-search guide, 2026)."""
    if row.tool_search:
        return
    if any(tool.get("defer_loading") for tool in request.body.get("tools") or []):
        raise Refused(400, "tools: `defer_loading` is not supported on this model.")
    for n, message in enumerate(request.messages):
        for block in as_blocks(message.get("content")):
            inner = [block, *as_blocks(block.get("content"))]
            if any(part.get("type") == "tool_reference" for part in inner):
                raise Refused(400, f"messages.{n}: `tool_reference` blocks are not supported on this model.")


def speed(request: Incoming, row: Model) -> None:
    """Fast mode is offered on some models only."""
    if request.body.get("speed") == "fast" and not row.fast:
        raise Refused(400, "speed: 'fast' is not supported on this model.")


def betas(request: Incoming, row: Model) -> None:
    """Betas that only some models know (issues of Claude Code and of its proxies, 2026)."""
    given = {beta.strip() for beta in request.headers.get("anthropic-beta", "").split(",")}
    bound = {"effort-2025-11-24": bool(row.efforts), "fast-mode-2026-02-01": row.fast, "context-1m-2025-08-07": row.long_beta}
    wrong = sorted(beta for beta, known in bound.items() if beta in given and not known)
    if wrong:
        names = ", ".join(f"`{beta}`" for beta in wrong)
        raise Refused(400, f"Unexpected value(s) {names} for the `anthropic-beta` header.")


def gemini_sampling(request: Incoming, row: Model) -> None:
    """Newer Flash models take the default only."""
    config = request.body.get("generationConfig") or {}
    used = [name for name, usual in (("temperature", 1), ("topP", 1), ("topK", None)) if config.get(name, usual) != usual]
    if used and row.sampling == "never":
        raise Refused(400, f"{used[0]} is not supported for this model.")
