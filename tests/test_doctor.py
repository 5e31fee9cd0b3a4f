"""``doctor FILE``: each thing that breaks prompt caches, found in a ledger and in a recorded session, with its price."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.test_findings import Log
from pointsman.core.types import FIVE_MINUTES, HOUR, Usage
from pointsman.shell.ledger import Ledger
from pointsman.shell.recording import Exchange, Recording, Response, save
from test_cli import Typed, typed

__all__ = ["typed"]

MODEL = "claude-sonnet-4-5"
MARK = {"cache_control": {"type": "ephemeral"}}


class Recorded:
    """A session as a recording: every request is 10,000 tokens longer than the one before it, and reads what that one wrote."""

    def __init__(self, *, ids: bool = True) -> None:
        self.exchanges: list[Exchange] = []
        self.t, self.prompt = 0.0, 20_000
        self.talk: list[dict[str, Any]] = []
        self.headers = {"user-agent": "claude-cli/2.1.330 (external, cli)", "content-type": "application/json", "x-api-key": "k"}
        if ids:
            self.headers["x-claude-code-session-id"] = "5b1a7c9e-0000-4000-8000-000000000077"

    def body(self, system: str, tools: tuple[str, ...], mark: bool) -> dict[str, Any]:
        last = {"role": "user", "content": [{"type": "text", "text": f"say {len(self.talk)}", **(MARK if mark else {})}]}
        plain = [{"name": name, "description": name, "input_schema": {"type": "object"}} for name in tools]
        return {"model": MODEL, "max_tokens": 100, "system": system, "tools": plain, "messages": [*self.talk, last]}

    def ask(
        self, *, warm: bool = True, gap: float = 20.0, life: int = FIVE_MINUTES, fresh: int = 0, mark: bool = True,
        system: str = "Be brief.\nToday is Monday.", tools: tuple[str, ...] = ("read", "write"), counted: int | None = None,
    ) -> Recorded:  # fmt: skip
        self.t += gap
        first = not self.exchanges
        read = self.prompt if warm and not first else 0
        self.prompt += 0 if first else 10_000
        body = self.body(system, tools, mark)
        if counted is not None:
            said = {key: body[key] for key in ("model", "system", "tools", "messages")}
            self._add("/v1/messages/count_tokens", said, {"input_tokens": counted})
        written = self.prompt - read - fresh if mark else 0
        name = "ephemeral_1h_input_tokens" if life == HOUR else "ephemeral_5m_input_tokens"
        usage = {
            "input_tokens": self.prompt - read - written, "cache_read_input_tokens": read, "cache_creation_input_tokens": written,
            "cache_creation": {name: written}, "output_tokens": 9,
        }  # fmt: skip
        content = [{"type": "text", "text": "done"}]
        answer = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": content,
                  "stop_reason": "end_turn", "usage": usage}  # fmt: skip
        self._add("/v1/messages", body, answer)
        self.talk = [{**m, "content": [{"type": "text", "text": m["content"][0]["text"]}]} for m in body["messages"]]
        self.talk.append({"role": "assistant", "content": content})
        return self

    def _add(self, path: str, body: dict[str, Any], answer: dict[str, Any]) -> None:
        response = Response(self.t + 1, self.t + 2, 200, {"content-type": "application/json"}, body=json.dumps(answer))
        n, sent = len(self.exchanges) + 1, json.dumps(body, separators=(",", ":")).encode()
        self.exchanges.append(Exchange(n, self.t, "POST", path, self.headers, sent, response))

    def saved(self, path: Path) -> Path:
        save(Recording("claude_code", "2.1.330", "messages", MODEL, "own", "2026-11-22", tuple(self.exchanges)), path)
        return path


def ledger(log: Log, path: Path) -> Path:
    with Ledger(path) as kept:
        kept.append(log.events).result()
    return path


PAUSES: dict[str, Any] = {"warm": False, "gap": 600.0}

LEDGERS: list[tuple[str, Log, str]] = [
    ("system", Log().ask().ask().ask(warm=False, system=9), "the system text changed inside a session"),
    ("tools", Log().ask().ask().ask(warm=False, tools=9), "the tools changed inside a session"),
    ("marks", Log().ask().ask().ask(warm=False, ttl_s=None), "requests without a cache mark"),
    ("tail", Log().ask().ask(usage=Usage(fresh=15_000, cache_read=20_000)).ask(usage=Usage(fresh=15_000, cache_read=20_000)),
     "the last cache mark stands far before the end"),
    ("lifetime", Log().ask().ask(**PAUSES).ask(**PAUSES).ask(**PAUSES), "a lifetime of an hour would have saved ≈$"),
    ("key", Log().ask().ask().ask(warm=False, key=9), "another API key or login took the session over"),
    ("hop", Log().ask().ask(warm=False).ask(warm=False).ask(), "do several keys, workspaces or deployments take turns?"),
    ("upstream", Log().ask().ask().ask(warm=False, upstream="https://other"), "another upstream served the session"),
    ("ids", Log().ask(session=None, client="aider").ask(), "no session id (aider)"),
]  # fmt: skip


@pytest.mark.parametrize(("log", "said"), [row[1:] for row in LEDGERS], ids=[row[0] for row in LEDGERS])
def test_in_a_ledger(typed: Typed, tmp_path: Path, log: Log, said: str) -> None:
    code, out, _ = typed("doctor", str(ledger(log, tmp_path / "l.db")))
    assert code == 0 and said in out and "requests" in out


RECORDINGS: list[tuple[str, Recorded, str]] = [
    ("system", Recorded().ask().ask(warm=False, system="Be brief.\nToday is Tuesday."),
     "line 2 of 2 (1 new lines): 'Today is Tuesday.'"),
    ("tools", Recorded().ask().ask(warm=False, tools=("write", "read")), "the same tools come in another order"),
    ("marks", Recorded().ask().ask().ask(warm=False, mark=False), "requests without a cache mark"),
    ("tail", Recorded().ask().ask(fresh=9_500).ask(fresh=9_500), "the last cache mark stands far before the end"),
    ("lifetime", Recorded().ask().ask(**PAUSES).ask(**PAUSES).ask(**PAUSES), "a lifetime of an hour would have saved ≈$"),
    ("hop", Recorded().ask().ask(warm=False).ask(warm=False).ask(), "do several keys, workspaces or deployments take turns?"),
    ("count", Recorded().ask().ask(counted=24_000), "counted 24,000 tokens in request 2, billed 30,000"),
    ("ids", Recorded(ids=False).ask().ask(), "no session id (claude"),
]  # fmt: skip


@pytest.mark.parametrize(("recorded", "said"), [row[1:] for row in RECORDINGS], ids=[row[0] for row in RECORDINGS])
def test_in_a_recorded_session(typed: Typed, tmp_path: Path, recorded: Recorded, said: str) -> None:
    code, out, _ = typed("doctor", str(recorded.saved(tmp_path / "recorded.jsonl")))
    assert code == 0 and said in out


def test_a_sound_recording_has_nothing_to_find_and_its_prediction_error_is_said(typed: Typed, tmp_path: Path) -> None:
    sound = Recorded()
    for _ in range(12):
        sound.ask(counted=sound.prompt if not sound.exchanges else sound.prompt + 10_000)
    code, out, _ = typed("doctor", str(sound.saved(tmp_path / "recorded.jsonl")))
    assert code == 0 and "note" not in out and "predicted for 11 prompts" in out
