"""What real clients' recordings show: the same work gives the same evidence, whatever the client, protocol and history form.

In every recording the agent runs a failing test, reads, edits, and runs it again. Outputs of cline and mini-swe-agent, and of the
Codex that writes scripts, are scrubbed beyond reading; their calls are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pointsman.core import progress
from pointsman.core.book import Book
from pointsman.core.events import Event, Routed
from pointsman.core.evolve import evolve
from pointsman.core.messages import CallKind
from pointsman.core.progress import NOTHING, Evidence
from pointsman.core.session import Session
from pointsman.shell.history import readers as history
from pointsman.shell.prices import load_book

RECORDINGS = sorted((Path(__file__).parents[1] / "sessions").glob("*.jsonl"))
SCRUBBED = ("cline", "mini", "codex-gpt-6")
NEVER: set[Evidence] = {"reasked", "rewound", "repeated", "alternating", "reverted", "corrected", "praise"}


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book()


def shown(events: Sequence[Event]) -> tuple[list[Evidence], list[CallKind]]:
    """The evidence and the calls of a session's main lane, in order."""
    session: Session | None = None
    found: list[Evidence] = []
    calls: list[CallKind] = []
    for event in events:
        if isinstance(event, Routed) and event.decision.place.kind == "main" and event.request.purpose == "turn":
            place = event.decision.place
            lane = session.lanes.get(place.lane) if session else None
            before = lane.messages[: event.kept] if lane else ()
            whole = replace(event.request, messages=(*before, *event.request.messages))
            found += progress.after(lane.progress if lane else NOTHING, whole, place, lane.last_stop if lane else "")[1]
            calls += [call.kind for message in progress.added(whole, place) for call in message.calls]
        session = evolve(session, event)
    return found, calls


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_a_recorded_session_shows_its_work_and_no_trouble_that_there_was_not(path: Path, book: Book) -> None:
    evidence, calls = [], []
    for events in history.sessions([path], book, []):
        found, made = shown(events)
        evidence += found
        calls += made
    assert not NEVER & set(evidence), evidence
    assert ("interrupt" in evidence) == ("interrupt" in path.stem)
    if "subagent" not in path.stem and "aider" not in path.stem:
        assert {"test", "read", "edit"} <= set(calls), calls
        if not path.stem.startswith(SCRUBBED):
            assert [name for name in evidence if name.startswith("tests_")][:2] == ["tests_red", "tests_passed"], evidence
