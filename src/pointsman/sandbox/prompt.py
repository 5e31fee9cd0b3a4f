"""The prompt as a sequence of segments with their hashes: what prefix caches compare.

A *segment* is one tool, one system block or one content block. Each has a hash of everything up to and including itself,
so equal prefixes have equal hashes; cache marks never count. What is not text but changes the prefix all the same (model,
credential, tool choice, thinking mode, effort, ...) is mixed in where it takes effect.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from pointsman.sandbox.incoming import Incoming
from pointsman.sandbox.models import Model
from pointsman.sandbox.reply import compact

Level = Literal["tools", "system", "messages"]


@dataclass(frozen=True, slots=True)
class Segment:
    """One position of the prompt. ``tokens`` counts the prompt up to here; ``group`` numbers look-back positions.

    ``mark_s`` is the lifetime that a mark on it asks for, or None; ``end`` says that a message ends here.
    """

    hash: bytes
    tokens: int
    level: Level
    group: int
    mark_s: int | None = None
    end: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """A segment before hashing: ``key`` is compared, ``counted`` is the text that is counted and billed."""

    level: Level
    key: str
    counted: str
    mark_s: int | None = None
    kind: str = "text"
    end: bool = False


def segments(pieces: list[Piece], salts: dict[Level, str], row: Model) -> list[Segment]:
    """The segments of a prompt: hashes chained, ``salts`` mixed in where their level begins, tokens summed up."""
    chain, chars, group, last, found = b"", 0, 0, "", []
    pending: list[Level] = ["tools", "system", "messages"]
    for piece in pieces:
        while pending and pending[0] != piece.level and piece.level in pending:
            chain = _mix(chain, salts[pending.pop(0)])
        if pending and pending[0] == piece.level:
            chain = _mix(chain, salts[pending.pop(0)])
        chain, chars = _mix(chain, piece.key), chars + len(piece.counted)
        if not (piece.kind == last and piece.kind in ("tool_use", "tool_result")):
            group += 1
        last = piece.kind
        found.append(Segment(chain, row.tokens(chars), piece.level, group, piece.mark_s, piece.end))
    return found


def _mix(chain: bytes, text: str) -> bytes:
    return hashlib.blake2b(chain + text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def messages_pieces(request: Incoming, skip: frozenset[tuple[int, int]] = frozenset()) -> list[Piece]:
    """The pieces of a Messages request: tools, system blocks, content blocks; ``skip`` names (message, block) left out.

    Deferred tools are no part of the prefix: adding or dropping one loses nothing (prompt-caching guide, August 2026).
    """
    body = request.body
    found = [_piece("tools", tool, "tool") for tool in body.get("tools") or [] if not tool.get("defer_loading")]
    found += [_piece("system", block, "system") for block in as_blocks(body.get("system"))]
    for n, message in enumerate(request.messages):
        rows = [(k, block) for k, block in enumerate(as_blocks(message.get("content"))) if (n, k) not in skip]
        extra = {k: v for k, v in message.items() if k not in ("role", "content")}
        if extra and not rows:
            rows = [(0, {"type": "text", "text": ""})]
        for k, block in rows:
            head = f"{message.get('role')}{compact(extra) if extra else ''}|"
            found.append(_piece("messages", block, str(block.get("type")), head, end=k == rows[-1][0]))
    automatic = mark_s(body)
    if automatic is not None and found:
        found[-1] = replace(found[-1], mark_s=automatic)
    return found


def as_blocks(content: Any) -> list[dict[str, Any]]:
    """Content as blocks: a string is one text block."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def mark_s(block: dict[str, Any]) -> int | None:
    """The lifetime in seconds that a block's cache mark asks for; None without a mark."""
    mark = block.get("cache_control")
    if not isinstance(mark, dict):
        return None
    return 3_600 if mark.get("ttl") == "1h" else 300


def plain(block: dict[str, Any]) -> dict[str, Any]:
    """A block without cache marks, its own and those of the blocks inside a tool result."""
    bare = {name: value for name, value in block.items() if name != "cache_control"}
    if isinstance(bare.get("content"), list):
        bare["content"] = [plain(inner) if isinstance(inner, dict) else inner for inner in bare["content"]]
    return bare


def _piece(level: Level, block: dict[str, Any], kind: str, head: str = "", end: bool = True) -> Piece:
    """A text block counts its text, any other its compact JSON; both without marks."""
    bare = plain(block)
    is_text = kind in ("text", "system") and isinstance(block.get("text"), str)
    key = head + json.dumps(bare, sort_keys=True, ensure_ascii=False)
    return Piece(level, key, block["text"] if is_text else compact(bare), mark_s(block), kind, end)


def openai_pieces(request: Incoming) -> list[Piece]:
    """The pieces of a Chat, Responses or Gemini request: tools, instructions, then one piece a history item."""
    body = request.body
    found = [_piece("tools", tool, "tool") for tool in body.get("tools") or [] if isinstance(tool, dict)]
    given = body.get("instructions") or body.get("systemInstruction")
    if given:
        found.append(_piece("system", {"type": "text", "text": given} if isinstance(given, str) else given, "system"))
    for row in request.messages:
        found.append(_item_piece(row))
    return found


def _item_piece(row: dict[str, Any]) -> Piece:
    """A plain text message counts its text, any other item its compact JSON."""
    mark = None
    content = row.get("content")
    if isinstance(content, list) and len(content) == 1 and isinstance(content[0], dict) and content[0].get("type") == "text":
        mark, content = mark_s(content[0]), content[0].get("text")  # proxies take marks on the texts of Chat messages
        row = {**row, "content": content}
    plain = isinstance(content, str) and set(row) <= {"role", "content", "type"}
    counted = content if plain and isinstance(content, str) else compact(row)
    return Piece("messages", json.dumps(row, sort_keys=True, ensure_ascii=False), counted, mark, "item", True)


def has_image(content: Any) -> bool:
    """Is there an image among these blocks, or among those of a tool result?"""
    return isinstance(content, list) and any(
        isinstance(block, dict) and (block.get("type") == "image" or has_image(block.get("content"))) for block in content
    )


def salts(request: Incoming, row: Model) -> dict[Level, str]:
    """What takes effect at each level besides text (the vendors' invalidation tables, read 2026-11-21)."""
    return _messages_salts(request, row) if request.protocol == "messages" else _openai_salts(request, row)


def _messages_salts(request: Incoming, row: Model) -> dict[Level, str]:
    body = request.body
    thinking = dict(body.get("thinking") or {})
    thinking.pop("display", None)
    mode = json.dumps(thinking or {"type": row.thinking[0] if row.thinking else None}, sort_keys=True)
    effort = str((body.get("output_config") or {}).get("effort") or row.default_effort)
    everything = effort if row.effort_drops == "all" else ""
    choice = json.dumps(body.get("tool_choice") or {"type": "auto"}, sort_keys=True)
    images = any(has_image(message.get("content")) for message in request.messages)
    return {
        "tools": f"{request.credential}|{request.model}|{everything}",
        "system": f"{body.get('speed') or 'standard'}",
        "messages": f"{choice}|{images}|{mode}|{effort if row.effort_drops != 'none' else ''}",
    }


def _openai_salts(request: Incoming, row: Model) -> dict[Level, str]:
    body = request.body
    text = body.get("text") or {}
    effort = (body.get("reasoning") or {}).get("effort") or body.get("reasoning_effort") or row.default_effort
    parts = (
        request.credential,
        request.model,
        body.get("prompt_cache_key"),
        body.get("service_tier") or "auto",
        body.get("parallel_tool_calls", True),
        text.get("format"),
        text.get("verbosity"),
        body.get("response_format"),
        effort if row.effort_drops == "all" else None,
    )
    return {"tools": json.dumps(parts, sort_keys=True, default=str), "system": "", "messages": ""}


def lookback(found: list[Segment], start: int, positions: int) -> Iterator[int]:
    """Indexes from ``start`` backwards over ``positions`` further positions; runs of tool blocks count as one."""
    first = found[start].group
    for n in range(start, -1, -1):
        if first - found[n].group > positions:
            return
        yield n
