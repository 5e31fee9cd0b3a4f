"""What the ledger holds of the user's own over all sessions: judged tasks and proposed rules. Standard library only."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from pointsman.core.codec import decode
from pointsman.core.events import Proposed
from pointsman.core.policy import Policy
from pointsman.core.userrecord import UserRecord
from pointsman.errors import LedgerError
from pointsman.shell.reading import ledger_path, reader


def user_record(policy: Policy | None = None, path: Path | None = None) -> UserRecord:
    """The fold of every judgement and proposal in the ledger; empty where there is none yet. ``policy``: what is promised."""
    found = UserRecord()
    if policy is not None:
        found.under(policy)
    query = "SELECT kind, body FROM event WHERE kind IN ('Judged', 'Proposed') ORDER BY seq"
    with suppress(LedgerError), reader(path or ledger_path()) as connection:
        for kind, body in connection.execute(query).fetchall():
            found.apply(decode(kind, json.loads(body)), None)
    return found


def open_proposals(found: UserRecord) -> list[Proposed]:
    """The rules that are proposed and not answered yet, oldest first."""
    return sorted((p for p in found.proposed.values() if not p.answer), key=lambda p: p.ts)
