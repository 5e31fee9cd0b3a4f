"""``config accept``, ``decline`` and ``undo`` for proposed rules; and how far away a certificate is, in words."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointsman.core.certificate import Record
from pointsman.core.events import Answer
from pointsman.core.userrecord import REPEATED, proposal
from pointsman.errors import SettingsError
from pointsman.shell.userdata import open_proposals, user_record
from pointsman.tui.certified import slices

if TYPE_CHECKING:
    from pointsman.settings import Settings

ANSWERS: dict[str, Answer] = {"accept": "accepted", "decline": "declined", "undo": "undone"}


def answer(action: str, kind: str | None, settings: Settings, as_json: bool, own: Path | None = None) -> int:
    """Carry out ``accept``, ``decline`` or ``undo`` of the rule proposed for ``kind`` (None: the only one). SettingsError."""
    from pointsman.settings import answers_file
    from pointsman.shell.answers import settle

    kind = kind or _only(action, settings)
    config, path, done = settle(kind, ANSWERS[action], settings, time.time(), path=answers_file(own))
    if as_json:
        print(json.dumps({**(done.event or {}), "live": done.live, "file": str(path)}))
        return 0
    line = f"[kinds] {kind} = {json.dumps(str(config))}"
    said = {
        "accept": f"wrote {line} to {path}; {done.said}. `pointsman config undo {kind}` takes it back",
        "undo": f"took {line} out of {path}; {done.said}",
        "decline": f"{config} for {kind} tasks stays a pin of yours, and is not proposed again; {done.said}",
    }
    print(said[action])
    return 0


def _only(action: str, settings: Settings) -> str:
    """The kind that is meant where none is named: the one with an open proposal, or with an accepted rule to undo."""
    found = user_record(settings.policy())
    wanted = "accepted" if action == "undo" else ""
    kinds = sorted({p.about for p in found.proposed.values() if p.answer == wanted})
    if len(kinds) == 1:
        return kinds[0]
    if not kinds:
        if wanted:
            raise SettingsError("no rule was accepted, so there is nothing to undo")
        raise SettingsError(f"no rule is proposed: pin a model {REPEATED} times for one kind of task")
    raise SettingsError(f"which one? `pointsman config {action}` {' or '.join(kinds)}")


def proposals(settings: Settings) -> list[str]:
    """The open proposals, each as a sentence."""
    return [proposal(p.about, p.config, p.times) for p in open_proposals(user_record(settings.policy()))]


def certificates(record: Record) -> list[str]:
    """How far away certification is, one line per (asked, served, kind of task)."""
    return slices(record)


def as_json(record: Record) -> Sequence[dict[str, Any]]:
    """The same for programs."""
    return [
        {"asked": str(asked), "served": str(served), "kind": kind, "tasks": s.tasks, "failed": s.failed, "bound": s.bound,
         "missing": s.missing, "risk": s.risk, "certified": s.certified, "vetoed": s.vetoed}
        for (asked, served, kind), s in record.slices().items()
    ]  # fmt: skip
