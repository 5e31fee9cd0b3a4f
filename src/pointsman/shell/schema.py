"""The ledger's tables and views, as ordered migrations, and the one place that applies them.

One table, ``event``, holds facts in the order they happened; it is append-only (triggers refuse UPDATE and DELETE).
Everything else is a view that anybody can query with ``sqlite3 ledger.db``:

    requests    one row per routed request: model, reason, tokens by bucket, USD, USD as asked, times, how it ended
    turns       one row per turn: requests, models, USD, USD as asked, the user's mark
    sessions    one row per session: client, folder, title, turns, requests, USD, USD as asked
    decisions   one row per decision: asked, chosen, action, reason, sentence, propensity, versions
    candidates  what each decision weighed: one row per candidate, with its prices and veto
    gates       the rules each decision asked, whether they ran, and what they said
    pins        pins and their ends
    passed      requests that went through undecided
    notes       what a person was told once

USD are tokens times the rates stored in the row, summed over disjoint buckets; they are NULL where the provider said
nothing or no price was known. ``as_asked_usd`` is modelled; it equals ``usd`` where the asked model is what ran.
Server-side sub-requests (``usage.extra``) are billed at another model's price, searches of the web (``usage.searches``) each;
they are not in ``usd``.

    SELECT model, count(*), sum(usd), sum(as_asked_usd) FROM requests GROUP BY model;
    SELECT turn, models, usd, as_asked_usd FROM turns WHERE session = '...' ORDER BY turn;
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from pointsman.errors import LedgerError

APPLICATION_ID = 0x504E5453
"""SQLite's application_id of our files ("PNTS"), so that another program's database is never written to."""

EVENT_TABLE = """
CREATE TABLE event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    ts REAL NOT NULL,
    kind TEXT NOT NULL,
    session TEXT,
    request TEXT,
    body TEXT NOT NULL
);
CREATE INDEX event_session ON event(session, seq) WHERE session IS NOT NULL;
CREATE INDEX event_request ON event(request, kind) WHERE request IS NOT NULL;
CREATE INDEX event_kind ON event(kind, seq);
CREATE TRIGGER event_no_update BEFORE UPDATE ON event
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: events are never changed'); END;
CREATE TRIGGER event_no_delete BEFORE DELETE ON event
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: events are never deleted'); END;
"""


def _usd(usage: str, rates: str) -> str:
    """SQL for tokens x rates; a write costs its lifetime's price, else the next longer, the dearest, the fresh one."""
    return f"""(
        coalesce(json_extract({usage}, '$.fresh'), 0) * json_extract({rates}, '$.fresh')
      + coalesce(json_extract({usage}, '$.cache_read'), 0) * json_extract({rates}, '$.cache_read')
      + coalesce(json_extract({usage}, '$.output'), 0) * json_extract({rates}, '$.output')
      + coalesce(json_extract({usage}, '$.reasoning'), 0) * json_extract({rates}, '$.reasoning')
      + coalesce((SELECT sum(json_extract(w.value, '$[1]') * coalesce(
            (SELECT json_extract(p.value, '$[1]') FROM json_each({rates}, '$.cache_write') p
              WHERE json_extract(p.value, '$[0]') >= json_extract(w.value, '$[0]') ORDER BY p.key LIMIT 1),
            (SELECT max(json_extract(p.value, '$[1]')) FROM json_each({rates}, '$.cache_write') p),
            json_extract({rates}, '$.fresh')))
          FROM json_each({usage}, '$.cache_write') w), 0))"""


REQUESTS_VIEW = f"""
CREATE VIEW requests AS
WITH pair AS (
    SELECT r.seq, r.ts, r.session, r.request AS id,
        json_extract(r.body, '$.request') AS q, json_extract(r.body, '$.decision') AS d,
        json_extract(r.body, '$.upstream') AS upstream, f.body AS f,
        json_extract(f.body, '$.usage') AS u, json_extract(f.body, '$.rates') AS p,
        json_extract(f.body, '$.asked_usage') AS au, json_extract(f.body, '$.asked_rates') AS ap
    FROM event r LEFT JOIN event f ON f.request = r.request AND f.kind = 'Finished'
    WHERE r.kind = 'Routed')
SELECT seq, ts, session, id,
    json_extract(d, '$.place.lane') AS lane, json_extract(d, '$.place.kind') AS lane_kind,
    coalesce(json_extract(d, '$.place.turn'), 0) AS turn, coalesce(json_extract(d, '$.place.task'), 0) AS task,
    coalesce(json_extract(q, '$.client'), 'unknown') AS client,
    coalesce(json_extract(q, '$.purpose'), 'turn') AS purpose,
    json_extract(q, '$.protocol') AS protocol, json_extract(q, '$.run') AS run, json_extract(q, '$.cwd') AS cwd,
    coalesce(json_extract(q, '$.title'), '') AS title,
    json_extract(d, '$.asked.model') AS asked_model, json_extract(d, '$.asked.effort') AS asked_effort,
    coalesce(json_extract(f, '$.served.model'), json_extract(d, '$.chosen.model')) AS model,
    coalesce(json_extract(f, '$.served.effort'), json_extract(d, '$.chosen.effort')) AS effort,
    json_extract(d, '$.action') AS action, json_extract(d, '$.reason') AS reason,
    json_extract(d, '$.sentence') AS sentence, upstream,
    json_extract(f, '$.status') AS status, json_extract(f, '$.stop') AS stop,
    json_extract(f, '$.started') AS started, json_extract(f, '$.first_byte') AS first_byte,
    json_extract(f, '$.ended') AS ended, coalesce(json_extract(f, '$.resent'), 0) AS resent,
    json_extract(f, '$.error') AS error,
    CASE WHEN u IS NOT NULL THEN coalesce(json_extract(u, '$.fresh'), 0) END AS fresh,
    CASE WHEN u IS NOT NULL THEN coalesce(json_extract(u, '$.cache_read'), 0) END AS cache_read,
    CASE WHEN u IS NOT NULL THEN coalesce((SELECT sum(json_extract(w.value, '$[1]'))
        FROM json_each(u, '$.cache_write') w), 0) END AS cache_write,
    CASE WHEN u IS NOT NULL THEN coalesce(json_extract(u, '$.output'), 0) END AS output,
    CASE WHEN u IS NOT NULL THEN coalesce(json_extract(u, '$.reasoning'), 0) END AS reasoning,
    CASE WHEN u IS NOT NULL AND p IS NOT NULL THEN {_usd("u", "p")} END AS usd,
    CASE WHEN au IS NOT NULL AND ap IS NOT NULL THEN {_usd("au", "ap")}
         WHEN au IS NULL AND u IS NOT NULL AND p IS NOT NULL
              AND json_extract(f, '$.served.model') = json_extract(d, '$.asked.model') THEN {_usd("u", "p")}
    END AS as_asked_usd
FROM pair;
"""

OTHER_VIEWS = """
CREATE VIEW turns AS
SELECT session, turn, min(ts) AS started, max(ended) AS ended, count(*) AS requests,
    group_concat(DISTINCT CASE WHEN purpose <> 'count' THEN model END) AS models,
    sum(usd) AS usd, sum(as_asked_usd) AS as_asked_usd,
    (SELECT CASE WHEN json_extract(m.body, '$.undo') THEN NULL ELSE json_extract(m.body, '$.mark') END FROM event m
        WHERE m.kind = 'Marked' AND m.session = r.session AND json_extract(m.body, '$.turn') = r.turn
        ORDER BY m.seq DESC LIMIT 1) AS mark
FROM requests r GROUP BY session, turn;

CREATE VIEW sessions AS
SELECT session, max(client) AS client, max(run) AS run, max(cwd) AS cwd,
    (SELECT json_extract(t.body, '$.request.title') FROM event t WHERE t.session = r.session AND t.kind = 'Routed'
        AND json_extract(t.body, '$.request.title') <> '' ORDER BY t.seq LIMIT 1) AS title,
    min(ts) AS opened, max(coalesce(ended, ts)) AS seen, max(turn) AS turns, count(*) AS requests,
    sum(usd) AS usd, sum(as_asked_usd) AS as_asked_usd
FROM requests r GROUP BY session;

CREATE VIEW decisions AS
WITH one AS (
    SELECT seq, ts, session, request AS id, json_extract(body, '$.decision') AS d FROM event WHERE kind = 'Routed')
SELECT seq, ts, session, id, coalesce(json_extract(d, '$.place.turn'), 0) AS turn,
    json_extract(d, '$.asked.model') AS asked_model, json_extract(d, '$.asked.effort') AS asked_effort,
    json_extract(d, '$.chosen.model') AS chosen_model, json_extract(d, '$.chosen.effort') AS chosen_effort,
    json_extract(d, '$.action') AS action, json_extract(d, '$.reason') AS reason,
    json_extract(d, '$.sentence') AS sentence, json_extract(d, '$.free_point') AS free_point,
    json_extract(d, '$.would.model') AS would_model, coalesce(json_extract(d, '$.propensity'), 1.0) AS propensity,
    coalesce(json_extract(d, '$.policy_version'), '') AS policy_version,
    coalesce(json_extract(d, '$.card_version'), '') AS card_version,
    json_extract(d, '$.chosen') <> json_extract(d, '$.asked') AS moved
FROM one;

CREATE VIEW candidates AS
SELECT e.seq, e.session, e.request AS id, c.key AS place,
    json_extract(c.value, '$.model') AS model, json_extract(c.value, '$.effort') AS effort,
    coalesce(json_extract(c.value, '$.prompt'), 0) AS prompt, coalesce(json_extract(c.value, '$.fresh'), 0) AS fresh,
    coalesce(json_extract(c.value, '$.cache_read'), 0) AS cache_read,
    coalesce(json_extract(c.value, '$.cache_write'), 0) AS cache_write,
    coalesce(json_extract(c.value, '$.p_warm'), 0.0) AS p_warm, json_extract(c.value, '$.input_usd') AS input_usd,
    json_extract(c.value, '$.output_usd') AS output_usd, json_extract(c.value, '$.toll_usd') AS toll_usd,
    json_extract(c.value, '$.way_back_usd') AS way_back_usd,
    json_extract(c.value, '$.round_trip_usd') AS round_trip_usd,
    json_extract(c.value, '$.fail') AS fail, json_extract(c.value, '$.wait_s') AS wait_s,
    json_extract(c.value, '$.total_usd') AS total_usd, json_extract(c.value, '$.veto') AS veto
FROM event e, json_each(e.body, '$.decision.candidates') c WHERE e.kind = 'Routed';

CREATE VIEW gates AS
SELECT e.seq, e.session, e.request AS id, json_extract(g.value, '$.name') AS name,
    json_extract(g.value, '$.ran') AS ran, json_extract(g.value, '$.said') AS said
FROM event e, json_each(e.body, '$.decision.gates') g WHERE e.kind = 'Routed';

CREATE VIEW pins AS
SELECT seq, ts, kind, session, json_extract(body, '$.config.model') AS model,
    json_extract(body, '$.config.effort') AS effort, json_extract(body, '$.scope') AS scope,
    json_extract(body, '$.origin') AS origin, json_extract(body, '$.cwd') AS cwd, json_extract(body, '$.why') AS why
FROM event WHERE kind IN ('Pinned', 'Unpinned');

CREATE VIEW passed AS
SELECT seq, ts, json_extract(body, '$.method') AS method, json_extract(body, '$.path') AS path,
    json_extract(body, '$.status') AS status, json_extract(body, '$.why') AS why, session
FROM event WHERE kind = 'Passed';

CREATE VIEW notes AS
SELECT seq, ts, json_extract(body, '$.code') AS code, json_extract(body, '$.text') AS text, session
FROM event WHERE kind = 'Noted';
"""

MIGRATIONS: tuple[str, ...] = (EVENT_TABLE + REQUESTS_VIEW + OTHER_VIEWS,)
"""Script n brings version n to n + 1. Released scripts are never edited: append a new one (views: DROP and CREATE)."""

VERSION = len(MIGRATIONS)


def check(connection: sqlite3.Connection, path: Path) -> int:
    """The schema version of an open ledger (0: empty). Raises LedgerError where it is newer, or not a ledger."""
    try:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        tables: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        # last, because another process may be making the tables just now
        owner: int = connection.execute("PRAGMA application_id").fetchone()[0]
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        raise LedgerError(f"{path} is not a ledger ({error}): move it away, and a new one is begun") from error
    if owner != APPLICATION_ID and (tables or version):
        raise LedgerError(f"{path} belongs to another program: name another file or set POINTSMAN_HOME")
    if version > VERSION:
        raise LedgerError(
            f"{path} was written by a newer pointsman (schema {version}, this one knows {VERSION}): upgrade pointsman"
        )
    return version


def migrate(connection: sqlite3.Connection, path: Path, migrations: tuple[str, ...] = MIGRATIONS) -> int:
    """Bring an open ledger to the newest schema; returns the version it had. A file with rows is copied aside first."""
    had = check(connection, path)
    if had >= len(migrations):
        return had
    if had:
        _copy_aside(connection, path.with_name(f"{path.name}.v{had}"))
    for number, script in enumerate(migrations[had:], had + 1):
        try:
            connection.executescript(
                f"BEGIN IMMEDIATE;\n{script}\nPRAGMA application_id = {APPLICATION_ID};\n"
                f"PRAGMA user_version = {number};\nCOMMIT;"
            )
        except sqlite3.OperationalError:
            connection.rollback()
            if check(connection, path) < number:  # else another process did the same step in between
                raise
    return had


def _copy_aside(connection: sqlite3.Connection, target: Path) -> None:
    """A private copy of the whole ledger in ``target``."""
    os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
    copy = sqlite3.connect(target)
    try:
        connection.backup(copy)
    finally:
        copy.close()
