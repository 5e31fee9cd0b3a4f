"""The scripted agent and the scripted world, over real HTTP."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pointsman.sandbox import Clock, Provider, say, tool_task
from pointsman.sandbox.agent import play
from pointsman.sandbox.answers import reply_of
from pointsman.sandbox.recorded import Replies, load
from pointsman.sandbox.reply import Text
from pointsman.sandbox.world import Plot, World

HEAD = {
    "kind": "session",
    "format": 1,
    "client": "claude",
    "version": "1",
    "protocol": "messages",
    "model": "claude-opus-5-5",
    "scenario": "test",
    "recorded": "2026-11-22",
}
FIRST = {"model": "claude-opus-5-5", "max_tokens": 50, "stream": True, "messages": [{"role": "user", "content": "één"}]}


def request(n: int, t: float, **more: Any) -> dict[str, Any]:
    """A request line."""
    return {
        "kind": "request",
        "n": n,
        "t": t,
        "method": "POST",
        "path": "/v1/messages?beta=true",
        "headers": {"x-api-key": "fake-key"},
    } | more


def response(n: int, t: float, status: int = 200, **more: Any) -> dict[str, Any]:
    """A response line."""
    return {
        "kind": "response",
        "n": n,
        "t_first": t,
        "t_end": t + 1,
        "status": status,
        "headers": {},
        "stop": "end",
        "body": "{}",
    } | more


def recording(tmp_path: Path, *rows: dict[str, Any]) -> Path:
    """A session file of these lines."""
    path = tmp_path / "session.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (HEAD, *rows)), encoding="utf-8")
    return path


async def test_bytes_times_and_differences(wire: Any, tmp_path: Path) -> None:
    """A stored difference is sent as the whole body it stands for, in the client's own JSON style, at its time."""
    more = request(
        2,
        60.0,
        base=1,
        set={"model": "claude-sonnet-5-5"},
        keep=1,
        add=[{"role": "assistant", "content": "x"}, {"role": "user", "content": "two"}],
        style="spaced",
    )
    path = recording(tmp_path, request(1, 0.0, body=FIRST), response(1, 1.0), more, response(2, 61.0))
    started = wire.clock()
    heard = await play(path, wire.provider.url, wire.clock)
    one, two = wire.provider.requests
    assert one.raw == json.dumps(FIRST, separators=(",", ":"), ensure_ascii=False).encode()
    assert b'"model": "claude-sonnet-5-5"' in two.raw and [m["content"] for m in two.json["messages"]] == ["één", "x", "two"]
    assert two.started - started == 60.0
    assert [(h.status, h.model, h.whole) for h in heard] == [(200, "claude-opus-5-5", True), (200, "claude-sonnet-5-5", True)]
    assert heard[1].usage is not None and heard[1].usage["output_tokens"] == 1


async def test_recorded_failures_happen_again(wire: Any, tmp_path: Path) -> None:
    """A 529, a hang-up and a cut, each for the request that had it."""
    bodies = [FIRST | {"messages": [{"role": "user", "content": f"q{n}"}]} for n in range(4)]
    wire.script(lambda request: say("words " * 50))
    path = recording(
        tmp_path,
        request(1, 0.0, body=bodies[0]),
        response(1, 0.0, 529, body='{"type":"error"}'),
        request(2, 1.0, body=bodies[1]),
        response(2, 1.0, events=["event: x\n\n"] * 6, body=None, stop="hangup"),
        request(3, 2.0, body=bodies[2]),
        response(3, 2.0, events=["event: x\n\n"], body=None, stop="cut"),
        request(4, 3.0, body=bodies[3]),
        response(4, 3.0),
    )
    heard = await play(path, wire.provider.url, wire.clock, provider=wire.provider)
    assert [(h.status, h.whole, h.hung_up, h.error is None) for h in heard] == [
        (529, False, False, True),
        (200, False, True, True),
        (200, False, False, False),
        (200, True, False, True),
    ]


@pytest.mark.parametrize("line", ["{}", "no json", '{"kind": "request"}'])
def test_a_bad_recording_names_file_and_line(tmp_path: Path, line: str) -> None:
    """The sentence says where."""
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps(HEAD) + "\n" + line + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match="bad.jsonl:2"):
        load(path)


async def test_a_recording_answers_in_its_own_words(wire: Any, tmp_path: Path) -> None:
    """Replies are found by the history; what is not recorded goes to the script behind."""
    wire.script(lambda request: say("as recorded"))
    async with wire.http.post(wire.provider.url + "/v1/messages", json=FIRST) as answer:
        events = [part + "\n\n" for part in (await answer.text()).split("\n\n") if part]
    path = recording(tmp_path, request(1, 0.0, body=FIRST), response(1, 0.0, events=events, body=None))
    wire.script(Replies(load(path), otherwise=lambda request: say("unknown")))
    assert (await wire.messages(**FIRST | {"stream": False}))["content"][0]["text"] == "as recorded"
    other = FIRST | {
        "stream": False,
        "messages": [{"role": "user", "content": "?"}],
        "tools": [{"name": "x", "input_schema": {"type": "object"}}],
    }
    assert (await wire.messages(**other, beta=""))["content"][0]["text"] in ("as recorded", "unknown")
    assert reply_of("messages", "".join(events)) == say(Text("as recorded"))


SESSIONS = sorted((Path(__file__).parents[2] / "sessions").glob("*.jsonl"))


@pytest.mark.parametrize("path", SESSIONS, ids=lambda path: path.stem)
async def test_every_recorded_session_plays(wire: Any, path: Path) -> None:
    """Real clients' requests get the statuses and endings they had, and arrive byte for byte."""
    session = load(path)
    wire.script(Replies(session, otherwise=tool_task()))
    heard = await play(session, wire.provider.url, wire.clock, provider=wire.provider)
    for row, played, record in zip(heard, session.played, wire.provider.log, strict=True):
        assert record.raw == played.body
        assert (row.status, row.whole) == (played.status or 0, played.stop == "end" and played.status == 200), played.n


async def drawn(seed: int, plot: Plot, turns: int = 9) -> tuple[list[tuple[str, int, int]], Provider, Clock]:
    """(purpose, turn, status) of a world's requests."""
    clock = Clock()
    world = World(turns=turns, seed=seed, plot=plot)
    rows = []
    async with Provider(clock=clock, script=world.script, speed=1) as provider:
        async for sent, heard in world.play(provider.url, clock, provider=provider):
            rows.append((sent.purpose, sent.turn, heard.status))
    return rows, provider, clock


async def test_a_world_tells_its_whole_story() -> None:
    """Title, sub-agent, interrupt, idle gap, model change and summary all happen, without one refusal."""
    rows, provider, clock = await drawn(1, Plot(models=((8, "claude-sonnet-5-5"),), compact_chars=30_000))
    counts = Counter(purpose for purpose, _, _ in rows)
    assert counts["side"] == 1 and counts["subagent"] >= 2 and counts["compaction"] >= 1 and counts["turn"] > 20
    assert {status for _, _, status in rows} == {200}
    assert provider.cancelled == 1 and clock() - provider.log[0].started > 2_400
    main = [record for record in provider.requests if record.purpose == "main"]
    assert {record.model for record in main} == {"claude-opus-5-5", "claude-sonnet-5-5"}
    inside = [
        record
        for n, record in enumerate(main[1:], 1)
        if record.started - main[n - 1].started < 60 and record.model == main[n - 1].model
    ]
    warm = [record for record in inside if record.bill.read > 0]
    assert len(warm) >= len(inside) - counts["compaction"]


async def test_equal_seeds_tell_equal_stories() -> None:
    """Request for request, byte for byte; another seed tells another one."""
    plot = Plot(interrupt=())
    (one, first, _), (two, second, _), (three, _, _) = [await drawn(seed, plot, 4) for seed in (3, 3, 4)]
    assert one == two and [r.raw for r in first.requests] == [r.raw for r in second.requests]
    assert one != three
