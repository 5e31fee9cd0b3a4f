"""Thinking blocks in the history: who wrote them, after which prefix, and who may read them.

A block's signature names its writer, the prefix it was written after (tools, system, earlier messages without thinking)
and the thinking block before it. So a changed prefix is seen, oldest blocks may be left out, middle ones may not (the
vendor's preserved-thinking rules, September 2026).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

from pointsman.sandbox.incoming import Incoming
from pointsman.sandbox.prompt import as_blocks, plain
from pointsman.sandbox.speak_messages import signature_id


@dataclass(frozen=True, slots=True)
class Seal:
    """What a signature says: the writer, the prefix's name, the name of the thinking block before (or empty)."""

    model: str
    prefix: str
    link: str
    name: str


def seal(signature: object) -> Seal | None:
    """A signature read back; None when this provider did not write it."""
    try:
        plain = base64.b64decode(str(signature), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    parts = plain.split("|")
    if len(parts) != 5 or parts[0] != "pms1":
        return None
    return Seal(parts[1], parts[2], parts[3], signature_id(str(signature)))


def thinking_blocks(request: Incoming) -> Iterator[tuple[int, int, dict[str, object]]]:
    """(message, block, value) of every thinking block in the history."""
    for n, message in enumerate(request.messages):
        for k, block in enumerate(as_blocks(message.get("content"))):
            if block.get("type") == "thinking":
                yield n, k, block


def prefix_names(request: Incoming) -> list[str]:
    """A short name for tools, system and the first n messages, thinking left out, for every n from 0 on."""
    known: list[str] | None = request.extra.get("prefix_names")
    if known is not None:
        return known
    body = request.body
    chain = _chained(b"", [[plain(tool) for tool in body.get("tools") or []], [plain(b) for b in as_blocks(body.get("system"))]])
    names = [chain.hex()]
    for message in request.messages:
        chain = _chained(chain, [message.get("role"), *(plain(b) for b in as_blocks(message.get("content")) if _spoken(b))])
        names.append(chain.hex())
    request.extra["prefix_names"] = names
    return names


def _chained(before: bytes, value: object) -> bytes:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(before + text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _spoken(block: dict[str, object]) -> bool:
    return block.get("type") not in ("thinking", "redacted_thinking")


def last_link(request: Incoming) -> str:
    """The name of the newest thinking block of the history, or an empty string."""
    names = [signature_id(str(block.get("signature", ""))) for _, _, block in thinking_blocks(request)]
    return names[-1] if names else ""
