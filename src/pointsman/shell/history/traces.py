"""Reads compact session traces: one JSON object a line, each a session of timed events without texts.

Keys of an event: ``k`` kind, ``t`` seconds, ``m`` model, ``i``/``cr``/``cw5``/``cw1``/``o`` tokens (input, cache read, 5 min and
1 h cache write, output), ``oc`` visible output characters. A ``req`` is timed by its first reply line; it began at the input
before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any

from pointsman.core.messages import Call as Tool
from pointsman.core.messages import Fact, MessageKind
from pointsman.core.types import FIVE_MINUTES, HOUR, Usage
from pointsman.shell.history.transcript import UNREADABLE, Call, Piece, Transcript, digest, estimate_output, objects, tokens
from pointsman.wire.calls import calls_of

HEARD: dict[str, tuple[MessageKind, tuple[Fact, ...]]] = {
    "prompt": ("prompt", ()), "command": ("prompt", ("command",)), "tool_result": ("tool_result", ()),
    "interrupt": ("reminder", ("interrupt",)), "notif": ("reminder", ()),
}


def read(path: Path) -> Iterator[Transcript]:
    """Every session in a traces file; a line that cannot be read becomes an empty transcript that says so."""
    troubles: list[str] = []
    for number, row in objects(path, troubles):
        out = Transcript(f"{path}:{number}", "claude", "messages", str(row.get("session") or f"trace-{number}"))
        try:
            _session(out, row)
        except UNREADABLE as error:
            out.troubles.append(f"{path}:{number}: skipped the rest, not a session trace: {error!r}")
        yield out
    if troubles:
        yield Transcript(str(path), "claude", "messages", "unreadable", troubles=troubles)


def _session(out: Transcript, row: dict[str, Any]) -> None:
    zero, heard, at, kept, ttl_s = float(row["t0"]), [], 0.0, 0, None
    talk = 0
    for n, event in enumerate(sorted(row["events"], key=lambda e: float(e["t"]))):
        kind, when = event["k"], zero + float(event["t"])
        if not isfinite(when):
            raise ValueError(f"event {n} has no time")
        if kind in HEARD:
            means, facts = HEARD[kind]
            if kind == "tool_result" and event.get("err"):
                facts = ("tool_error",)
            heard.append(_heard(event, means, facts, digest(out.session, n)))
            at = when
            if means == "prompt" and not out.title:
                out.title = " ".join(str(event.get("text", "")).split())[:60]
        elif kind == "compact":
            heard, kept, talk, at = [Piece("prompt", "user", 1, digest(out.session, n), ("continued",))], 0, 0, when
        elif kind == "req":
            call = _call(out, event, n, at or when, when)
            ttl_s = call.ttl_s = call.ttl_s or ttl_s
            call.kept, call.new = kept, heard
            talk = kept + len(heard) + 1
            heard, kept = [], talk
            out.calls.append(call)


def _heard(event: dict[str, Any], means: MessageKind, facts: tuple[Fact, ...], own: int) -> Piece:
    """What was heard. Of a prompt the first characters are there: enough for its form and its words."""
    piece = Piece(means, "user", max(1, int(event.get("chars") or 1)), own, facts)
    if means != "prompt":
        return piece
    seen = piece.showing("messages", "claude", {"role": "user", "content": str(event.get("text", ""))})
    return replace(seen, said=max(seen.said, piece.chars))


def _tools(event: dict[str, Any], own: int) -> tuple[Tool, ...]:
    """The calls by their tools' names alone: each is taken for a call of its own."""
    found = [call for name in event.get("tools") or () for call in calls_of(name, {})]
    return tuple(replace(call, same=own ^ (n + 1)) for n, call in enumerate(found))


def _call(out: Transcript, event: dict[str, Any], n: int, start: float, end: float) -> Call:
    five, hour = tokens(event, "cw5"), tokens(event, "cw1")
    five += max(0, tokens(event, "cw") - five - hour)
    writes = tuple((ttl, count) for ttl, count in ((FIVE_MINUTES, five), (HOUR, hour)) if count)
    chars, own = tokens(event, "oc"), digest(out.session, n)
    final = bool(event.get("stop"))
    output = tokens(event, "o") if final else estimate_output(tokens(event, "o"), chars)
    usage = Usage(tokens(event, "i"), tokens(event, "cr"), writes, output, complete=final)
    return Call(
        f"{out.session[:13]}-{n}", min(start, end), end, str(event["m"]), usage=usage, estimated=not final,
        answer=Piece("assistant", "assistant", max(1, chars), own, calls=_tools(event, own)),
        stop="tool" if event.get("tools") else "final", ttl_s=(HOUR if hour else FIVE_MINUTES) if writes else None,
    )
