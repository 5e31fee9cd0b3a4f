"""The screen that asks for a profile says what each would have meant on the person's own sessions."""

from __future__ import annotations

from pathlib import Path

import pytest

from playbook import Play, turn
from pointsman import Settings
from pointsman.cli.profiles import figures
from pointsman.shell.ledger import Ledger
from pointsman.shell.prices import load_book


def test_each_profile_is_priced_on_ones_own_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTSMAN_HOME", str(tmp_path))
    settings = Settings(failure_usd=0.0)
    assert figures(settings) == {}, "no ledger, no figures"
    store = Ledger(tmp_path / "ledger.db", say=print)
    for name in ("a", "b"):
        play = Play(load_book(), settings, model="opus", session=name)
        play >> turn("go") >> turn("more")
        store.append(play.router.events())
    store.close(5)
    said = figures(settings)
    assert set(said) == {"quality", "balanced", "fast", "saver"}
    billed = said["quality"].partition("instead of ")[2]
    assert said["quality"].startswith(f"≈{billed.split()[0]} instead of") and billed.endswith("on your last 2 sessions")
    cheaper = float(said["saver"].split("$")[1].split()[0])
    assert cheaper < float(billed.split("$")[1].split()[0])
