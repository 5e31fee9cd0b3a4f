"""Faults on cue: what can go wrong between a provider and its client, queued for the requests they shall hit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pointsman.sandbox.incoming import Incoming
from pointsman.sandbox.reply import Frame, sse

Part = Literal["headers", "start", "text", "json", "thinking", "end"]
"""Where in an answer a fault strikes: before the headers, after the first event, in the middle of a text, of a tool's
JSON or of thinking, or before the terminal event (everything else was sent)."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; make it with the functions below. ``times``: how many matching requests it hits."""

    kind: Literal["status", "hang", "slow", "cut", "event", "eof", "chop", "huge"]
    at: Part = "headers"
    status: int = 0
    body: Mapping[str, Any] | str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    seconds: float | None = None
    error: str = ""
    size: int = 0
    times: int = 1


def status(code: int, *, retry_after: float | None = None, body: Mapping[str, Any] | str | None = None, times: int = 1) -> Fault:
    """Answer ``code`` (in the protocol's own error form unless ``body`` is given), with a retry-after in seconds if wanted."""
    headers = () if retry_after is None else (("retry-after", f"{retry_after:g}"),)
    return Fault("status", status=code, body=body, headers=headers, times=times)


def hang(at: Part = "headers", *, seconds: float | None = None, times: int = 1) -> Fault:
    """Say nothing more from ``at`` on: for ``seconds``, then break off; None: until the client hangs up."""
    return Fault("hang", at, seconds=seconds, times=times)


def slow(seconds: float, *, times: int = 1) -> Fault:
    """Wait ``seconds`` before the first byte, then answer as usual."""
    return Fault("slow", seconds=seconds, times=times)


def cut(at: Part = "text", *, times: int = 1) -> Fault:
    """Break the connection at ``at``."""
    return Fault("cut", at, times=times)


def error_event(error: str = "overloaded_error", at: Part = "text", *, times: int = 1) -> Fault:
    """Send an error event inside the stream at ``at``, then end it."""
    return Fault("event", at, error=error, times=times)


def quiet_end(at: Part = "end", *, times: int = 1) -> Fault:
    """End the stream cleanly at ``at``, without its terminal event."""
    return Fault("eof", at, times=times)


def chop(size: int = 1, *, times: int = 1) -> Fault:
    """Send the answer in pieces of ``size`` bytes, through the middle of events and of characters."""
    return Fault("chop", size=size, times=times)


def huge(size: int = 4_000_000, *, times: int = 1) -> Fault:
    """Make one text delta ``size`` characters long."""
    return Fault("huge", size=size, times=times)


@dataclass(slots=True)
class _Cue:
    fault: Fault
    nth: int | None
    when: Callable[[Incoming], bool] | None
    seen: int = 0
    hits: int = 0


@dataclass(slots=True)
class Faults:
    """The queue: each model request takes the first fault that is due for it."""

    cues: list[_Cue] = field(default_factory=list)

    def add(self, fault: Fault, *, nth: int | None = None, when: Callable[[Incoming], bool] | None = None) -> None:
        """Queue ``fault`` for the ``nth`` matching request from now on (None: the next ones); ``when`` says which match."""
        self.cues.append(_Cue(replace(fault), nth, when))

    def take(self, request: Incoming) -> Fault | None:
        """The fault that hits this request, if one is due; it is used up after its ``times``."""
        due = None
        for cue in self.cues:
            if cue.when is not None and not cue.when(request):
                continue
            cue.seen += 1
            if due is None and (cue.nth is None or cue.seen >= cue.nth):
                due = cue
        if due is None:
            return None
        due.hits += 1
        if due.hits >= due.fault.times:
            self.cues.remove(due)
        return due.fault


def split(frames: list[Frame], at: Part) -> int:
    """How many frames are sent before the fault: to the middle of the first run of ``at``, or all but the last."""
    if at == "headers":
        return 0
    if at == "start":
        return 1
    run = [n for n, frame in enumerate(frames) if frame.kind == at]
    if at == "end" or not run:
        return next((n for n, frame in enumerate(frames) if frame.kind in ("end", "terminal")), len(frames))
    last = next((n for n in run if n + 1 not in run), run[-1])
    return run[0] + max(1, (last - run[0] + 1) // 2)


def error_frames(protocol: str, error: str) -> Iterator[bytes]:
    """The in-stream error event of a protocol."""
    message = error.replace("_error", "").capitalize()
    match protocol:
        case "messages":
            yield sse({"type": "error", "error": {"type": error, "message": message}}, "error")
        case "responses":
            code = "server_is_overloaded" if error == "overloaded_error" else error
            failed = {"id": "resp_failed", "object": "response", "status": "failed", "error": {"code": code, "message": message}}
            yield sse({"type": "response.failed", "sequence_number": 99, "response": failed}, "response.failed")
        case "gemini":
            yield sse({"error": {"code": 503, "message": message, "status": "UNAVAILABLE"}})
        case _:
            yield sse({"error": {"message": message, "type": error, "code": None, "param": None}})
