"""Every recorded request of every real client, told to another vendor's model: none may be refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pointsman.core.events import Noted, Routed
from pointsman.shell.recording import load
from shell.support import events
from shell.test_translate import both, keys, script

SESSIONS = sorted((Path(__file__).resolve().parents[2] / "sessions").glob("*.jsonl"))
LEFT_OUT = ("host", "content-length", "content-encoding", "authorization", "connection", "transfer-encoding", "x-api-key",
            "accept-encoding")  # fmt: skip
ALLOWED = ("this history holds blocks that only its own vendor understands", "it does not see images",
           "does not promise answers in a JSON schema")  # fmt: skip

__all__ = ["keys"]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["gpt-6-luna", "claude-haiku-5-5", "deepseek-v4-pro", "gemini-4-argon"])
async def test_no_recorded_request_is_refused_by_another_vendor(model: str, tmp_path: Path) -> None:
    """What is vetoed says so before it is sent; everything else is accepted there, or answered by the asked model."""
    async with both(tmp_path, script, schedule=f"1:{model}") as (provider, gateway, http):
        for path in SESSIONS:
            for exchange in load(path).exchanges:
                try:
                    body = exchange.json()
                except ValueError:
                    continue
                named = isinstance(body, dict) and ("model" in body or "enerateContent" in exchange.path)
                if exchange.method != "POST" or not named:
                    continue
                sent = {name: value for name, value in exchange.headers.items() if name.lower() not in LEFT_OUT}
                sent |= {"content-type": "application/json"}
                sent["x-api-key" if "/messages" in exchange.path else "authorization"] = "Bearer sk-test"
                async with http.post(gateway.url + exchange.path, data=json.dumps(body), headers=sent) as answer:
                    assert answer.status == 200, (path.name, exchange.n, await answer.text())
        refused = [(r.model, r.path) for r in provider.requests if r.status != 200]
        assert refused == []
        assert sum(r.model == model for r in provider.requests) > 200
    said = {e.text for e in events(tmp_path / "ledger.db", Noted) if e.code in ("not_translated", "refused_change", "fail_open")}
    assert said == set()
    notices = {notice for e in events(tmp_path / "ledger.db", Routed) for notice in e.decision.notices}
    assert all(any(why in notice for why in ALLOWED) for notice in notices), notices
