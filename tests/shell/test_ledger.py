"""The ledger: nothing is lost, nothing is changed, anybody can read it."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pointsman.core.decisions import Candidate, Decision, Gate
from pointsman.core.events import Finished, Marked, Noted, Passed, Pinned, Routed, RunStarted, Signalled
from pointsman.core.later import Later
from pointsman.core.types import Config, Place, Rates, Request, Usage
from pointsman.errors import LedgerError
from pointsman.shell import schema
from pointsman.shell.ledger import Ledger, home, latest_session, read_events, recent_events

RATES = Rates(3e-6, 3e-7, 15e-6, 15e-6, ((300, 3.75e-6), (3600, 6e-6)))
CHEAP = Rates(1e-6, 1e-7, 5e-6, 5e-6)


def routed(ts: float, id: str, session: str = "s1", turn: int = 1, chosen: str = "opus", cwd: str = "/code") -> Routed:
    request = Request("messages", "/v1/messages", "opus", client="claude_code", session=session, cwd=cwd, title="fix it")
    place = Place(session, "main", "main", "continue", turn=turn)
    rows = (Candidate("opus", None, prompt=1000, rates=RATES), Candidate("haiku", None, veto="uncertified"))
    decision = Decision(
        id, place, Config("opus"), Config(chosen), "stay" if chosen == "opus" else "switch", "asked", "As asked.", rows,
        gates=(Gate("pin", False, "no pin"),),
    )  # fmt: skip
    return Routed(ts, session, id, request, 0, decision)


def finished(ts: float, id: str, session: str = "s1", model: str = "opus", **more: object) -> Finished:
    usage = Usage(10, 1000, ((300, 100), (7200, 7)), 50, 5)
    values: dict[str, object] = {"usage": usage, "served": Config(model), "rates": RATES, **more}
    return Finished(ts, session, id, 200, "final", ts - 1, ts, ts - 0.5, **values)  # type: ignore[arg-type]


USD = 10 * 3e-6 + 1000 * 3e-7 + 50 * 15e-6 + 5 * 15e-6 + 100 * 3.75e-6 + 7 * 6e-6  # 7200 s: the dearest write


def waits(true: Callable[[], bool]) -> None:
    """Wait for what the writer's thread does."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.01)


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(path) as connection:
        found = connection.execute(query).fetchall()
    connection.close()
    return found


def test_what_is_appended_is_read_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "new" / "ledger.db"
    events = [routed(1, "r1"), finished(2, "r1"), Noted(3, "x", "größer ≈ \ud800?", "s2"), Marked(4, "s1", 1, "good", "me")]
    with Ledger(path) as ledger:
        ledger.append(events[:2]).result(60)
        ledger.append(events[2:]).result(60)
        ledger.append([]).result(0)
        assert [event for _, event in read_events(path, session="s1")] == [events[0], events[1], events[3]]
    everything = list(read_events(path))
    assert [seq for seq, _ in everything] == [1, 2, 3, 4]
    assert [event for _, event in everything][:2] == events[:2]
    assert [seq for seq, _ in read_events(path, after=2)] == [3, 4]
    assert [seq for seq, _ in read_events(path, after=1, limit=2)] == [2, 3]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_events_are_never_changed_or_deleted(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with Ledger(path) as ledger:
        ledger.append([Noted(1, "a", "b")]).result(60)
    for statement in ("UPDATE event SET ts = 0", "DELETE FROM event"):
        connection = sqlite3.connect(path)
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute(statement)
        connection.close()


def test_views_answer_in_plain_sql(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    as_asked = Usage(20, 0, ((300, 1000),), 40)
    with Ledger(path) as ledger:
        ledger.append([
            RunStarted(0, "run1", "claude_code", "/code", True),
            routed(1, "r1"), finished(2, "r1"),
            routed(3, "r2", turn=2, chosen="haiku"),
            finished(4, "r2", model="haiku", rates=CHEAP, asked_usage=as_asked, asked_rates=RATES),
            routed(5, "r3", turn=2), Finished(6, "s1", "r3", 529, "error", 5, 6),
            Marked(7, "s1", 1, "bad", "me"), Marked(8, "s1", 2, "good", "me"), Marked(9, "s1", 2, "good", "me", undo=True),
            Passed(10, "GET", "/v1/models", 200, "not a path we decide"), Noted(11, "locked", "text"),
            Pinned(12, "s1", Config("opus", "high"), "session", "me"),
        ]).result(60)  # fmt: skip
    cheap_usd = 10 * 1e-6 + 1000 * 1e-7 + 50 * 5e-6 + 5 * 5e-6 + 107 * 1e-6
    asked_usd = 20 * 3e-6 + 1000 * 3.75e-6 + 40 * 15e-6
    assert rows(path, "SELECT id, turn, model, fresh, cache_read, cache_write, output, reasoning FROM requests") == [
        ("r1", 1, "opus", 10, 1000, 107, 50, 5), ("r2", 2, "haiku", 10, 1000, 107, 50, 5),
        ("r3", 2, "opus", None, None, None, None, None),
    ]  # fmt: skip
    money = rows(path, "SELECT usd, as_asked_usd FROM requests")
    assert money[0] == pytest.approx((USD, USD))
    assert money[1] == pytest.approx((cheap_usd, asked_usd))
    assert money[2] == (None, None)
    assert rows(path, "SELECT turn, requests, models, mark FROM turns") == [(1, 1, "opus", "bad"), (2, 2, "haiku,opus", None)]
    assert rows(path, "SELECT session, client, cwd, title, turns, requests FROM sessions") == [
        ("s1", "claude_code", "/code", "fix it", 2, 3)
    ]
    assert rows(path, "SELECT id, chosen_model, action, moved, propensity FROM decisions")[1] == ("r2", "haiku", "switch", 1, 1)
    assert rows(path, "SELECT model, prompt, veto FROM candidates WHERE id = 'r1'") == [
        ("opus", 1000, None), ("haiku", 0, "uncertified")
    ]  # fmt: skip
    assert rows(path, "SELECT name, ran, said FROM gates WHERE id = 'r1'") == [("pin", 0, "no pin")]
    assert rows(path, "SELECT path, status, why FROM passed") == [("/v1/models", 200, "not a path we decide")]
    assert rows(path, "SELECT code, text FROM notes") == [("locked", "text")]
    assert rows(path, "SELECT model, effort, scope FROM pins") == [("opus", "high", "session")]


def test_a_locked_ledger_keeps_every_row_and_says_it_once(tmp_path: Path) -> None:
    path, said = tmp_path / "ledger.db", []
    with Ledger(path, say=said.append) as ledger:
        ledger.append([Noted(0, "first", "")]).result(60)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        pending = [ledger.append([Noted(n, "while locked", "")]) for n in range(1, 50)]
        with pytest.raises(TimeoutError):
            pending[0].result(0.6)  # several attempts
        waits(lambda: ledger.trouble is not None)
        assert "locked" in (ledger.trouble or "")
        other.execute("ROLLBACK")
        other.close()
        for future in pending:
            future.result(60)
        assert ledger.trouble is None
    assert [event.ts for _, event in read_events(path)] == list(range(50))
    assert len(said) == 2 and "locked" in said[0] and "again" in said[1]


def test_closing_while_locked_says_what_could_not_be_written(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = Ledger(path, say=lambda sentence: None)
    ledger.append([Noted(0, "first", "")]).result(60)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    ledger.append([Noted(1, "a", ""), Noted(1, "b", "")])
    with pytest.raises(LedgerError, match="2 events could not be written"):
        ledger.close(timeout=0.2)
    other.close()
    with pytest.raises(LedgerError, match="closed"):
        ledger.append([Noted(2, "late", "")]).result(0)


UNPRIVILEGED = """
    import os, sys, time
    from pathlib import Path
    from pointsman.core.events import Noted
    from pointsman.shell.ledger import Ledger, read_events
    folder, path = Path(sys.argv[1]), Path(sys.argv[1]) / "ledger.db"
    with Ledger(path) as ledger:
        ledger.append([Noted(1, "before", "")]).result(60)
    if os.getuid() == 0:
        for entry in (folder, path):
            os.chown(entry, 65534, 65534)
        os.setuid(65534)
    path.chmod(0o400)
    folder.chmod(0o500)
    print([event.code for _, event in read_events(path)])
    said = []
    ledger = Ledger(path, say=said.append)
    kept = ledger.append([Noted(2, "kept", "")])
    while not said:
        time.sleep(0.01)
    try:
        kept.result(0.5)
    except TimeoutError:
        print(len(said), said[0])
    folder.chmod(0o700)
    path.chmod(0o600)
    kept.result(60)
    ledger.close()
    print([event.code for _, event in read_events(path)], len(said))
"""


def subprocess_lines(script: str, *arguments: str) -> list[str]:
    """What a fresh interpreter prints."""
    code = textwrap.dedent(script)
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def open_folder(tmp_path: Path) -> Path:
    """A folder that a process without privileges can reach too."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and folder.name.startswith(("pytest-", "test_")):
            folder.chmod(0o755)
    return tmp_path


def test_a_read_only_ledger_can_be_read_and_rows_wait_for_better_times(open_folder: Path) -> None:
    folder = open_folder / "home"
    folder.mkdir()
    first, second, third = subprocess_lines(UNPRIVILEGED, str(folder))
    assert first == "['before']"
    assert second.startswith("1 cannot write the ledger") and "tried again" in second
    assert third == "['before', 'kept'] 2"


FULL_DISK = """
    import resource, signal, sys, time
    from pathlib import Path
    from pointsman.core.events import Noted
    from pointsman.shell.ledger import Ledger, read_events
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    path, said = Path(sys.argv[1]), []
    ledger = Ledger(path, say=said.append)
    ledger.append([Noted(0, "before", "")]).result(60)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    kept = [ledger.append([Noted(n, "x", "y" * 1000)]) for n in range(1, 1001)]
    while not said:
        time.sleep(0.01)
    try:
        kept[-1].result(1.0)
    except TimeoutError:
        print(len(said), said[0])
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    kept[-1].result(60)
    ledger.close()
    print(sum(1 for _ in read_events(path)), [int(e.ts) for _, e in read_events(path)] == list(range(1001)), len(said))
"""


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    first, second = subprocess_lines(FULL_DISK, str(tmp_path / "ledger.db"))
    assert first.startswith("1 cannot write the ledger")
    assert second == "1001 True 2"


def test_a_ledger_of_a_newer_version_is_refused_with_the_mend(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    Ledger(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    connection.close()
    with pytest.raises(LedgerError, match="newer pointsman.*upgrade"):
        Ledger(path)
    with pytest.raises(LedgerError, match="newer pointsman.*upgrade"):
        list(read_events(path))
    said: list[str] = []
    patient = Ledger(path, patient=True, say=said.append)
    patient.append([Noted(1, "a", "b")])
    waits(lambda: bool(said))
    with pytest.raises(LedgerError, match="an event could not be written"):
        patient.close(0.3)
    assert len(said) == 1 and "upgrade" in said[0]


def test_other_files_are_never_touched(tmp_path: Path) -> None:
    text, foreign = tmp_path / "notes.txt", tmp_path / "other.db"
    text.write_text("not a database at all, " * 100)
    connection = sqlite3.connect(foreign)
    connection.execute("CREATE TABLE mine (x)")
    connection.close()
    before = text.read_bytes(), foreign.read_bytes()
    with pytest.raises(LedgerError, match="not a ledger"):
        Ledger(text)
    with pytest.raises(LedgerError, match="another program"):
        Ledger(foreign)
    assert (text.read_bytes(), foreign.read_bytes()) == before
    with pytest.raises(LedgerError, match="no ledger at"):
        list(read_events(tmp_path / "missing.db"))


def test_a_migration_copies_the_ledger_aside_first(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with Ledger(path) as ledger:
        ledger.append([Noted(1, "a", "b")]).result(60)
    connection = sqlite3.connect(path, isolation_level=None)
    later = (*schema.MIGRATIONS, "CREATE VIEW extra AS SELECT count(*) AS n FROM event;")
    assert schema.migrate(connection, path, later) == schema.VERSION
    assert connection.execute("SELECT n FROM extra").fetchone() == (1,)
    connection.close()
    copy = tmp_path / f"ledger.db.v{schema.VERSION}"
    assert [event for _, event in read_events(copy)] == [Noted(1, "a", "b")]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


def test_a_failed_migration_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    Ledger(path).close()
    connection = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(sqlite3.OperationalError):
        schema.migrate(connection, path, (*schema.MIGRATIONS, "CREATE TABLE half (x); SELECT * FROM nowhere;"))
    assert schema.check(connection, path) == schema.VERSION
    assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'half'").fetchone() == (0,)
    connection.close()


def test_many_writers_of_one_file_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"

    def write(who: int) -> None:
        with Ledger(path, say=lambda sentence: None) as ledger:
            for n in range(100):
                ledger.append([Noted(n, str(who), "")])

    threads = [threading.Thread(target=write, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = [event for _, event in read_events(path)]
    assert len(events) == 400
    for who in range(4):
        assert [event.ts for event in events if event.code == str(who)] == list(range(100))


def test_a_ledger_moved_away_is_followed_by_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with Ledger(path) as ledger:
        ledger.append([Noted(1, "old", "")]).result(60)
        path.rename(tmp_path / "archive.db")
        (tmp_path / "ledger.db-wal").rename(tmp_path / "archive.db-wal")
        ledger.append([Noted(2, "new", "")]).result(60)
    assert [event.code for _, event in read_events(path)] == ["new"]
    assert [event.code for _, event in read_events(tmp_path / "archive.db")] == ["old"]


def test_the_newest_session_of_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with Ledger(path) as ledger:
        ledger.append([routed(1, "r1", "s1", cwd="/a"), routed(2, "r2", "s2", cwd="/b"), routed(3, "r3", "s3", cwd="/a")])
    assert latest_session(path) == "s3"
    assert latest_session(path, "/b") == "s2"
    assert latest_session(path, "/c") is None


def test_recent_events_are_those_a_router_needs(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    always = Pinned(1, None, Config("opus"), "always", "me")
    old, new = routed(2, "r1", "old"), routed(3, "r2", "both")
    newest = finished(100, "r2", "both")
    with Ledger(path) as ledger:
        ledger.append([always, old, new, Noted(4, "x", "y"), newest])
    assert recent_events(path, since=50) == [always, new, newest]


def test_home_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("POINTSMAN_HOME", str(tmp_path))
    assert home() == tmp_path
    monkeypatch.delenv("POINTSMAN_HOME")
    assert home().name == "pointsman"


@pytest.mark.parametrize(
    "make", [lambda: {}["gone"], lambda: [][1], lambda: next(iter(())), dict().popitem], ids=["key", "index", "stop", "empty"]
)
def test_an_event_that_cannot_be_written_costs_no_other(tmp_path: Path, make: Callable[[], tuple[str, ...]]) -> None:
    """Decisions hold parts that are worked out by the writer: what goes wrong there may not end its thread."""
    said: list[str] = []
    spoilt = Signalled(2, "s1", "x", Later(make))  # type: ignore[arg-type]  # it stands for a tuple
    with Ledger(tmp_path / "ledger.db", say=said.append) as ledger:
        lost = ledger.append([Noted(1, "a", "before"), spoilt, Noted(3, "b", "behind")])
        again = ledger.append([spoilt])
        with pytest.raises(LedgerError, match="a Signalled event cannot be written"):
            lost.result(60)
        with pytest.raises(LedgerError):
            again.result(60)
        ledger.append([Noted(4, "c", "later")]).result(60)
        assert [event.ts for _, event in read_events(ledger.path)] == [1, 3, 4]
    assert len(said) == 1


def test_a_session_that_is_no_text_is_written_too(tmp_path: Path) -> None:
    """JSON can hold half of a surrogate pair, and hooks hand on what their client says."""
    with Ledger(tmp_path / "ledger.db") as ledger:
        ledger.append([Signalled(1, "s\ud800", "commit")]).result(60)
        assert rows(ledger.path, "SELECT session FROM event") == [("s?",)]
