"""Where the measuring data lies: the folder that ``POINTSMAN_DATA`` names, else ``shared/data`` beside the checkout."""

from __future__ import annotations

import os
from pathlib import Path

BESIDE = Path("../shared/data")


def folder() -> Path:
    """The folder of measuring data."""
    return Path(os.environ.get("POINTSMAN_DATA") or BESIDE)


def sessions() -> Path:
    """Real sessions: whole transcripts and compact traces."""
    return folder() / "sessions"


def traces() -> Path:
    """Compact traces of real sessions, every request with its bill."""
    return sessions() / "traces.jsonl.gz"


def outcomes() -> Path:
    """Measured outcomes: which model solved which task."""
    return folder() / "outcomes" / "swebench_verified_part.csv.gz"
