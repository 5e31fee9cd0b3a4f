"""A router that has dropped and recalled sessions is in the state that its ledger comes to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from playbook import Play, Step, check, turn
from pointsman import Settings, engine
from pointsman.core import sessions
from pointsman.core.book import Book
from pointsman.core.events import Event
from pointsman.shell.prices import load_book

SETTINGS = Settings(profile="saver", failure_usd=0.0)


class Office:
    """Many sessions through one router, with a ledger from which it recalls those that it has dropped."""

    def __init__(self, book: Book) -> None:
        self.book, self.now, self.plays = book, 1_800_000_000.0, dict[str, Play]()
        self.ledger: list[Event] = []
        self.router = self.made([])

    def made(self, past: list[Event]) -> engine.Router:
        return engine.Router(SETTINGS.policy(), self.book, past, recall=self.recalled)

    def recalled(self, session: str) -> Iterator[Event]:
        return (event for event in self.ledger if getattr(event, "session", None) == session)

    def speak(self, name: str, *steps: Step) -> None:
        play = self.plays.setdefault(name, Play(self.book, SETTINGS, model="opus", session=name))
        play.router, play.now = self.router, self.now
        for step in steps:
            play >> step
            self.ledger += self.router.events()
        self.now = play.now


def test_the_live_state_is_the_fold_of_the_ledger_where_sessions_were_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "SESSIONS_KEPT", 8)
    office = Office(load_book())
    office.speak("first", turn("go"), turn("more"), turn("again"))
    for n in range(20):
        office.speak(f"other-{n}", turn(f"hello {n}"))
    assert "first" not in office.router.sessions, "it was dropped"
    office.speak("first", turn("and on"), check(False), turn("more"))
    again = office.made(list(office.ledger))
    assert again.sessions["first"] == office.router.sessions["first"]
    assert again.sessions["first"].turn == 5 and len(again.sessions) <= 8
    assert again.learned == office.router.learned
    assert again._known.user.told == office.router._known.user.told
