"""Transcripts of other programs, and our own recordings, as the same events a ledger holds.

Theory of operation. Each importer yields model calls (``transcript.Call``). Here every call becomes a Request of digests, is put
through the real ``decide`` as an observer (nothing moved, so the asked model is the one that ran), and is finished with what
the transcript says was billed. So timeline, ``why``, ``replay`` and the screens work on them as on a ledger. Texts in
transcripts are often cut while their token counts are exact: characters are scaled to the billed tokens, so that every
candidate is priced for the prompt that was really sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from pointsman.core import accounting
from pointsman.core.book import Book
from pointsman.core.decide import decide
from pointsman.core.events import Event, Finished, Routed
from pointsman.core.evolve import evolve, taught
from pointsman.core.messages import Message
from pointsman.core.policy import Policy
from pointsman.core.session import Session
from pointsman.core.sizes import CHARS_PER_TOKEN
from pointsman.core.types import Request
from pointsman.shell.history import claude as history_claude
from pointsman.shell.history import codex as history_codex
from pointsman.shell.history import recorded as history_recording
from pointsman.shell.history import traces as history_traces
from pointsman.shell.history.transcript import Call, Piece, Transcript, lines

PATHS = {"messages": "/v1/messages", "responses": "/v1/responses", "chat": "/v1/chat/completions", "gemini": "/v1beta/models"}
OBSERVER = Policy(mode="observe")
"""What a transcript is judged under: nothing was moved, everything is priced."""


def sessions(paths: Iterable[Path], book: Book, troubles: list[str]) -> Iterator[list[Event]]:
    """The events of every session in transcripts and recordings, a session at a time; empty ones are left out.

    ``troubles`` collects sentences about what was skipped. Raises ValueError as ``read_all`` does.
    """
    files = list(paths)
    recordings = [path for path in files if kind_of(path) == "recording"]
    for path in recordings:
        found = list(history_recording.events(path, book, troubles))
        for name in dict.fromkeys(event.session for event in found if isinstance(event, Routed)):
            yield [event for event in found if getattr(event, "session", None) == name]
    for transcript in read_all(path for path in files if path not in recordings):
        troubles += transcript.troubles
        if transcript.calls:
            yield list(events(transcript, book))


def read_all(paths: Iterable[Path]) -> Iterator[Transcript]:
    """Every transcript in the files, in their order. A message seen in an earlier file (a resumed copy) counts once.

    Raises ValueError for a file that is missing or of a kind we do not know; single bad lines are in ``troubles``.
    """
    seen: set[str] = set()
    for path in paths:
        for found in read(path):
            fresh = [call for call in found.calls if call.id not in seen]
            if len(fresh) < len(found.calls):
                copies = len(found.calls) - len(fresh)
                found.troubles.append(f"{found.path}: {copies} calls are copies of an earlier file's and count there")
            found.calls = fresh
            seen.update(call.id for call in fresh)
            yield found


def read(path: Path) -> Iterator[Transcript]:
    """The sessions of one file: a Claude Code transcript, a Codex rollout or compact traces, told apart by their first line."""
    kind = kind_of(path)
    if kind == "traces":
        yield from history_traces.read(path)
    elif kind == "codex":
        yield history_codex.read(path)
    elif kind == "claude":
        yield history_claude.read(path)
    else:
        raise ValueError(f"{path} is one of our recordings, not a transcript")


def kind_of(path: Path) -> str:
    """``recording``, ``codex``, ``traces`` or ``claude``. Raises ValueError with what was expected."""
    try:
        for _, line in lines(path):
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if not isinstance(row, dict):
                continue
            if row.get("kind") == "session":
                return "recording"
            if "events" in row and "t0" in row:
                return "traces"
            if "payload" in row and "type" in row:
                return "codex"
            if "type" in row:
                return "claude"
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from error
    raise ValueError(
        f"{path} is none of: a Claude Code transcript, a Codex rollout, compact traces, one of our recordings; plain or gzip'd"
    )


def events(transcript: Transcript, book: Book) -> Iterator[Event]:
    """The transcript as events, oldest first: a Routed and a Finished per call."""
    session = Session(id=transcript.session, cwd=transcript.cwd)
    talks: dict[str, _Talk] = {}
    for number, call in enumerate(sorted(transcript.calls, key=lambda c: c.start), 1):
        talk = talks.setdefault(call.lane, _Talk())
        request = _request(transcript, call, talk.messages(call))
        decision = decide(request, session, book, OBSERVER, call.start, 0.0)
        decision = replace(decision, id=f"{transcript.session[:8]}-{number}")
        place = decision.place
        kept = place.kept if place.lane in session.lanes else 0
        routed = Routed(call.start, session.id, decision.id, replace(request, messages=request.messages[kept:]), kept, decision)
        session = evolve(session, routed) or session
        finished = _finished(call, decision.id, session, request, routed, book)
        learned = taught(session.learned, session, finished, book)
        session = replace(evolve(session, finished) or session, learned=learned)
        talk.answered(call)
        yield routed
        yield finished


def _finished(call: Call, id: str, session: Session, request: Request, routed: Routed, book: Book) -> Finished:
    decision = routed.decision
    account = accounting.account(session, request, decision, decision.asked, call.usage, book, call.start)
    return Finished(
        ts=call.end, session=session.id, id=id, status=200, stop=call.stop, started=call.start, ended=call.end,
        usage=call.usage, served=decision.asked, rates=account.rates, asked_usage=account.asked_usage,
        asked_rates=account.asked_rates, card_version=book.version, ttl_s=call.ttl_s or account.ttl_s,
        other_rates=account.others,
    )  # fmt: skip


def _request(transcript: Transcript, call: Call, messages: tuple[Message, ...]) -> Request:
    """The call as a request of digests. ``head_chars``: what the billed prompt holds beyond the conversation we saw."""
    seen = sum(message.chars for message in messages)
    whole = round(call.usage.prompt * CHARS_PER_TOKEN) if call.usage else seen
    return Request(
        protocol=transcript.protocol, path=PATHS[transcript.protocol], model=call.model, client=transcript.client,
        purpose=call.purpose, effort=call.effort, stream=True, session=transcript.session,
        agent=None if call.lane == "main" else call.lane, parent=call.parent, turn_id=call.turn_id, interactive=True,
        cwd=transcript.cwd, tools=1, system=1, head_chars=max(0, whole - seen), messages=messages,
        needs=frozenset({"tools"}), ttl_s=call.ttl_s, body_hash=0, size=whole, title=transcript.title,
    )  # fmt: skip


class _Talk:
    """The conversation of one lane, its characters scaled to the tokens that were billed."""

    def __init__(self) -> None:
        self._sent: list[Message] = []
        self._head: int | None = None

    def messages(self, call: Call) -> tuple[Message, ...]:
        """All messages of ``call``: those kept and the new ones, which share the billed tokens the kept ones do not explain."""
        del self._sent[len(self._sent) if call.kept is None else call.kept :]
        scale = self._scale(call)
        self._sent += [_message(piece, max(1, round(piece.chars * scale))) for piece in call.new]
        return tuple(self._sent)

    def _scale(self, call: Call) -> float:
        seen = sum(piece.chars for piece in call.new)
        if call.usage is None or not seen:
            return 1.0
        whole = call.usage.prompt * CHARS_PER_TOKEN
        if self._head is None:  # the first request: tools and system text are in the prompt and not in the transcript
            self._head = max(0, round(whole - seen))
            return 1.0
        before = self._head + sum(message.chars for message in self._sent)
        return max(0.0, whole - before) / seen

    def answered(self, call: Call) -> None:
        """Add what the model said, at the size of its billed output."""
        if call.answer is None or call.purpose == "compaction":
            return
        said = call.usage.output + call.usage.reasoning if call.usage else 0
        chars = round(said * CHARS_PER_TOKEN) if said else call.answer.chars
        self._sent.append(_message(call.answer, max(1, chars)))


def _message(piece: Piece, chars: int) -> Message:
    return Message(
        piece.hash, piece.role, piece.kind, chars, None, piece.facts, calls=piece.calls, said=piece.said, sketch=piece.sketch,
    )  # fmt: skip
