"""What the screens read from: a ledger that grows, is missing, or is too new; the preview equals the end of the whole."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from pointsman.errors import LedgerError
from pointsman.shell.ledger import Ledger
from pointsman.tui import feed
from pointsman.tui.feed import EventSource, Feed, LedgerSource
from samples import Story, afternoon


def test_a_missing_ledger_is_empty_and_is_found_when_it_appears(tmp_path: Path) -> None:
    source = LedgerSource(tmp_path / "ledger.db")
    follower = Feed(source)
    follower.preview()
    assert follower.complete and not follower.timeline.sessions
    assert not follower.poll()
    with Ledger(tmp_path / "ledger.db") as ledger:
        ledger.append(Story("s").turn().events).result()
        assert follower.poll()
        assert len(follower.timeline.sessions["s"].turns) == 1
        ledger.append(Story("t").turn().events).result()
        assert follower.poll()
        assert not follower.poll()
    assert set(follower.timeline.sessions) == {"s", "t"}
    source.close()


def test_a_newer_ledger_is_an_error_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    Ledger(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(LedgerError, match="newer"):
        Feed(LedgerSource(path)).preview()


def test_the_preview_shows_the_newest_turns_and_the_whole_replaces_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "PREVIEW", 12)
    follower = Feed(EventSource(afternoon()))
    follower.preview()
    assert not follower.complete
    newest = follower.timeline.newest()[0]
    assert newest.turns[-1].n == 14 and newest.turns[0].n > 1
    follower.take(*follower.whole())
    assert follower.complete
    assert [turn.n for turn in follower.timeline.newest()[0].turns] == list(range(1, 15))
