"""What each profile would have meant on the person's own sessions, for the one screen that asks for it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

from pointsman.core.policy import CHECK_FALSE_ALARM, CHECK_RECALL, Profile
from pointsman.core.whatif import Replayed, replay
from pointsman.errors import LedgerError
from pointsman.shell.prices import load_book
from pointsman.shell.reading import ledger_path
from pointsman.tui.figures import money

if TYPE_CHECKING:
    from pointsman.settings import Settings

SESSIONS, SECONDS = 12, 1.5
"""Newest sessions that are replayed, and seconds that it may take: somebody is waiting for their agent to start."""


def figures(settings: Settings) -> Mapping[str, str]:
    """By profile, what it would have cost on the newest sessions of the ledger, guarded by a check; nothing without any."""
    from pointsman.cli.files import by_session

    try:
        known = list(by_session(ledger_path(), None))[-SESSIONS:]
    except LedgerError:
        return {}
    book, until = load_book(settings.prices), time.monotonic() + SECONDS
    base = replace(settings.policy(), mode="auto", check=True, check_recall=CHECK_RECALL, check_false_alarm=CHECK_FALSE_ALARM)
    found: dict[Profile, list[Replayed]] = {name: [] for name in get_args(Profile)}
    for events in reversed(known):
        for name, replays in found.items():
            replays.append(replay(events, book, replace(base, profile=name)))
        if time.monotonic() > until:
            break
    return {name: sentence(replays) for name, replays in found.items() if any(one.requests for one in replays)}


def sentence(replays: Sequence[Replayed]) -> str:
    """The same requests under one profile, beside their bill; the range holds the further requests of weaker models."""
    priced = [one for one in replays if one.requests]
    low, high, billed = (sum(getattr(one, name) for one in priced) for name in ("usd", "most", "billed"))
    instead = money(low, modelled=True) + ("" if money(low) == money(high) else f" to {money(high, modelled=True)}")
    count = f"your last {len(priced)} sessions" if len(priced) > 1 else "your last session"
    return f"{instead} instead of {money(billed)} on {count}"
