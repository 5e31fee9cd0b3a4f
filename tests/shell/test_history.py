"""Importers: other programs' transcripts become the same events as a ledger's, trouble by trouble."""

from __future__ import annotations

import csv
import gzip
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pointsman.bench.replay import report
from pointsman.core.book import Book
from pointsman.core.codec import decode, encode
from pointsman.core.events import Event, Finished, Routed
from pointsman.core.timeline import Timeline
from pointsman.shell.history import claude as history_claude
from pointsman.shell.history import codex as history_codex
from pointsman.shell.history import readers as history
from pointsman.shell.history import traces as history_traces
from pointsman.shell.history.transcript import Transcript
from pointsman.shell.prices import load_book

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("POINTSMAN_DATA") or ROOT.parent / "shared" / "data")
ABSENT = f"real sessions are read from {DATA} (POINTSMAN_DATA), absent here"
real = pytest.mark.skipif(not (DATA / "sessions").is_dir(), reason=ABSENT)


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book()


def write(path: Path, rows: Iterable[Any]) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def user(text: Any, second: int, uuid: str, parent: str | None = None, **more: Any) -> dict[str, Any]:
    return {"type": "user", "sessionId": "s-1", "cwd": "/project", "uuid": uuid, "parentUuid": parent,
            "timestamp": f"2026-02-11T02:00:{second:02d}Z", "message": {"role": "user", "content": text}, **more}


def said(own: str, second: int, uuid: str, block: dict[str, Any], usage: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    message = {"id": own, "model": "claude-opus-4-6", "content": [block], "usage": usage, "stop_reason": None}
    message |= more.pop("message", {})
    stamp = f"2026-02-11T02:00:{second:02d}Z"
    return {"type": "assistant", "sessionId": "s-1", "uuid": uuid, "timestamp": stamp, "message": message, **more}


def usage(fresh: int, read: int, written: int, output: int, hour: bool = False) -> dict[str, Any]:
    split = {"ephemeral_5m_input_tokens": 0 if hour else written, "ephemeral_1h_input_tokens": written if hour else 0}
    return {"input_tokens": fresh, "cache_read_input_tokens": read, "cache_creation_input_tokens": written,
            "cache_creation": split, "output_tokens": output}


TEXT = {"type": "text", "text": "x" * 250}
TOOL = {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "ls"}}
RESULT = [{"type": "tool_result", "tool_use_id": "t1", "content": "files", "is_error": True}]


def test_a_message_of_several_lines_counts_once(tmp_path: Path) -> None:
    path = write(tmp_path / "s.jsonl", [
        user("fix the test", 0, "u1"), said("m1", 3, "a1", TEXT, usage(3, 100, 900, 1)),
        said("m1", 4, "a2", TOOL, usage(3, 100, 900, 1)),
        user(RESULT, 5, "u2"), said("m2", 8, "a3", TEXT, usage(1, 1000, 50, 77), message={"stop_reason": "end_turn"}),
    ])
    found = history_claude.read(path)
    assert [(call.id, call.start % 60, call.end % 60, call.stop) for call in found.calls] == [
        ("m1", 0.0, 4.0, "tool"), ("m2", 5.0, 8.0, "final")]
    first, second = (call.usage for call in found.calls)
    assert first and second
    assert (first.fresh, first.cache_read, first.cache_write) == (3, 100, ((300, 900),))
    assert first.output == round((250 + len("Bash") + len(json.dumps(TOOL["input"]))) / 2.5) and found.calls[0].estimated
    assert second.output == 77 and not found.calls[1].estimated
    assert (found.session, found.cwd, found.title) == ("s-1", "/project", "fix the test")


def test_null_usage_synthetic_models_and_broken_lines_are_not_fatal(tmp_path: Path) -> None:
    path = write(tmp_path / "s.jsonl", [
        user("hi", 0, "u1"), "{broken", "[1, 2]", said("m1", 3, "a1", TEXT, None),
        said("m0", 4, "a2", TEXT, usage(0, 0, 0, 0), message={"model": "<synthetic>"}, isApiErrorMessage=True),
        said("m2", 5, "a3", TEXT, usage(-5, 0, 0, 0)), {"type": "user", "message": None}, {"type": "summary", "summary": "x"},
    ])
    found = history_claude.read(path)
    assert [(call.id, call.usage) for call in found.calls] == [("m1", None), ("m2", None)]
    assert [trouble.split(": ")[0].rsplit(":", 1)[1] for trouble in found.troubles] == ["2", "3", "6", "7"]
    assert "input_tokens is -5" in found.troubles[2]


def test_a_cut_off_file_keeps_what_came_before(tmp_path: Path) -> None:
    whole = "".join(json.dumps(row) + "\n" for row in [user("hi", 0, "u1"), said("m1", 3, "a1", TEXT, usage(3, 0, 900, 1))])
    packed = gzip.compress((whole * 200).encode())
    path = tmp_path / "s.jsonl.gz"
    path.write_bytes(packed[: len(packed) - 12])
    found = history_claude.read(path)
    assert found.calls and "cut off or damaged" in found.troubles[-1]
    plain = tmp_path / "cut.jsonl"
    plain.write_text(whole[:-40])
    assert "skipped, not JSON" in history_claude.read(plain).troubles[0]


def test_side_chains_are_lanes_of_their_own(tmp_path: Path, book: Book) -> None:
    path = write(tmp_path / "s.jsonl", [
        user("explore", 0, "u1"), said("m1", 2, "a1", TOOL, usage(3, 0, 9000, 1, hour=True)),
        user("look at x", 3, "v1", isSidechain=True),
        said("n1", 4, "b1", TEXT, usage(3, 0, 4000, 5), parentUuid="v1", isSidechain=True),
        user("look at y", 3, "w1", isSidechain=True, agentId="agent-7"),
        said("k1", 5, "c1", TEXT, usage(3, 0, 3000, 5), isSidechain=True, agentId="agent-7"),
        user(RESULT, 6, "u2"), said("m2", 8, "a2", TEXT, usage(1, 9000, 50, 5, hour=True)),
    ])
    found = history_claude.read(path)
    assert {call.lane for call in found.calls} == {"main", "sidechain-v1", "agent-7"}
    kinds = {e.decision.place.lane: e.decision.place.kind for e in history.events(found, book) if isinstance(e, Routed)}
    assert kinds == {"main": "main", "sidechain-v1": "subagent", "agent-7": "subagent"}


def test_compaction_is_a_free_point_whose_own_bill_is_unknown(tmp_path: Path, book: Book) -> None:
    path = write(tmp_path / "s.jsonl", [
        user("go", 0, "u1"), said("m1", 2, "a1", TEXT, usage(3, 0, 90_000, 5)),
        {"type": "system", "subtype": "compact_boundary", "uuid": "c1", "timestamp": "2026-02-11T02:00:20Z"},
        user("This session is being continued from ...", 20, "u2", isCompactSummary=True), user("go on", 21, "u3"),
        said("m2", 24, "a2", TEXT, usage(3, 0, 9_000, 5)),
    ])
    routed, finished = split(history.events(history_claude.read(path), book))
    assert [e.request.purpose for e in routed] == ["turn", "compaction", "turn"]
    assert [e.decision.free_point for e in routed] == ["session_start", None, "compaction"]
    assert finished[1].usage is None


def test_a_rewound_prompt_goes_on_from_where_it_stands(tmp_path: Path, book: Book) -> None:
    path = write(tmp_path / "s.jsonl", [
        user("one", 0, "u1"), said("m1", 1, "a1", TEXT, usage(3, 0, 9000, 5)), user("two", 2, "u2", "a1"),
        said("m2", 3, "a2", TEXT, usage(3, 9000, 90, 5)), user("other two", 4, "u3", "a1"),
        said("m3", 5, "a3", TEXT, usage(3, 9000, 80, 5)),
    ])
    calls = history_claude.read(path).calls
    assert [(call.kept, len(call.new)) for call in calls] == [(0, 1), (2, 1), (2, 1)]
    routed, _ = split(history.events(history_claude.read(path), book))
    assert routed[2].kept == 2 and len(routed[2].request.messages) == 1


def count(second: int, last: tuple[int, int, int, int] | None, total: int) -> dict[str, Any]:
    names = ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_output_tokens")
    if last is None:
        return item(second, "event_msg", type="token_count", info=None)
    info = {"last_token_usage": dict(zip(names, last, strict=True)), "total_token_usage": {"total_tokens": total}}
    return item(second, "event_msg", type="token_count", info=info)


def item(second: int, kind: str, **payload: Any) -> dict[str, Any]:
    return {"timestamp": f"2026-06-22T00:35:{second:02d}Z", "type": kind, "payload": payload}


def test_codex_bills_are_token_counts_and_repeats_are_none(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", [
        item(0, "session_meta", id="019-main", cwd="/project"),
        item(0, "turn_context", model="gpt-5.5", effort="high", turn_id="t1"),
        item(1, "response_item", type="message", role="user", content=[{"type": "input_text", "text": "fix it"}]),
        count(1, None, 0),
        item(3, "response_item", type="function_call", name="shell", arguments="{}", call_id="c1"),
        item(4, "response_item", type="function_call_output", call_id="c1", output="ok"), count(4, (10_000, 2_000, 300, 100), 1),
        count(5, (10_000, 2_000, 300, 100), 1),
        item(6, "response_item", type="message", role="assistant", content=[{"type": "output_text", "text": "done"}]),
        count(7, (10_400, 10_000, 50, 0), 2), item(8, "response_item", type="reasoning", summary=[]),
    ])
    found = history_codex.read(path)
    assert not found.troubles and found.session == "019-main" and found.title == "fix it"
    assert [(c.usage.fresh, c.usage.cache_read, c.usage.output, c.usage.reasoning) for c in found.calls if c.usage] == [
        (8_000, 2_000, 200, 100), (400, 10_000, 50, 0)]
    assert [call.stop for call in found.calls] == ["tool", "final", "cut"]
    assert {(call.effort, call.turn_id) for call in found.calls} == {("high", "t1")}


def test_codex_without_counts_is_unknown_not_free(tmp_path: Path, book: Book) -> None:
    path = write(tmp_path / "r.jsonl", [
        item(0, "session_meta", id="019-x", model="gpt-5"),
        item(1, "response_item", type="message", role="user", content="fix it"),
        item(2, "response_item", type="function_call", name="Read", arguments="{}"),
        item(3, "response_item", type="function_call_output", output={"a": 1}),
        item(4, "response_item", type="message", role="assistant", content=[{"type": "output_text", "text": "done"}]),
    ])
    out = report(history.events(history_codex.read(path), book), book)
    assert (out.requests, out.unknown, out.billed) == (2, 2, 0.0)


def test_codex_sub_agents_run_in_their_parents_session(tmp_path: Path) -> None:
    spawn = {"subagent": {"thread_spawn": {"parent_thread_id": "019-main", "depth": 1}}}
    path = write(tmp_path / "r.jsonl", [
        item(0, "session_meta", id="019-child", source=spawn, model="gpt-5.5"),
        item(1, "response_item", type="message", role="user", content="look"), item(2, "response_item", type="reasoning"),
        count(3, (100, 0, 5, 0), 1),
    ])
    found = history_codex.read(path)
    assert (found.session, found.calls[0].lane, found.calls[0].parent) == ("019-main", "019-child", "main")


def test_copies_in_a_resumed_file_count_once(tmp_path: Path) -> None:
    rows = [user("hi", 0, "u1"), said("m1", 3, "a1", TEXT, usage(3, 0, 900, 1))]
    one = write(tmp_path / "one.jsonl", rows)
    two = write(tmp_path / "two.jsonl", [*rows, user("more", 5, "u2"), said("m2", 8, "a2", TEXT, usage(3, 900, 90, 1))])
    first, second = history.read_all([one, two])
    assert [call.id for call in first.calls + second.calls] == ["m1", "m2"]
    assert "copies of an earlier file" in second.troubles[0]


@pytest.mark.parametrize("content", [b"", b"hello\n", b'{"a": 1}\n', b"\x1f\x8b\x08broken"])
def test_a_foreign_file_is_refused_with_what_was_expected(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.bin"):
        list(history.read_all([path]))
    with pytest.raises(ValueError, match="there is no file"):
        list(history.read_all([tmp_path / "nowhere.jsonl"]))


GOOD = [
    user("fix the test", 0, "u1"), said("m1", 3, "a1", TOOL, usage(3, 100, 900, 1)), user(RESULT, 5, "u2", "a1"),
    said("m2", 8, "a2", TEXT, usage(1, 1000, 50, 77)), {"type": "system", "subtype": "compact_boundary", "uuid": "c1"},
    user("go on", 9, "u3", "a1", isCompactSummary=True), item(0, "session_meta", id="019", source={"subagent": {"a": 1}}),
    item(0, "turn_context", model="gpt-5.5", effort="high", turn_id="t", cwd="/p"), count(4, (10_000, 2_000, 300, 100), 1),
    item(1, "response_item", type="message", role="user", content=[{"type": "input_text", "text": "fix it"}]),
    item(3, "response_item", type="function_call", name="shell", arguments="{}"), item(5, "compacted", message="summary"),
    item(4, "response_item", type="function_call_output", output="ok"), item(6, "event_msg", type="turn_aborted"),
    {"session": "t", "t0": 1.8e9, "events": [
        {"k": "prompt", "t": 0.0, "chars": 7}, {"k": "req", "t": 4.0, "m": "claude-opus-4-6", "i": 3, "cr": 9, "cw": 2, "oc": 9},
        {"k": "compact", "t": 5.0}, {"k": "req", "t": 9.0, "m": "claude-opus-4-6", "i": 3, "cw1": 2, "o": 1, "tools": ["a"]}]},
]
SPOILT = st.none() | st.booleans() | st.integers(-5, 10**20) | st.floats() | st.text(max_size=5) | st.just([1]) | st.just({})


def spoil(value: Any, place: int, by: Any) -> Any:
    """``value`` with one of its leaves (counted around) replaced."""
    leaves: list[tuple[Any, Any]] = []

    def visit(inner: Any) -> None:
        for key in list(inner) if isinstance(inner, dict) else range(len(inner)):
            leaves.append((inner, key))
            if isinstance(inner[key], (dict, list)):
                visit(inner[key])

    whole = json.loads(json.dumps(value))
    visit(whole)
    holder, key = leaves[place % len(leaves)]
    holder[key] = by
    return whole


@given(rows=st.lists(st.tuples(st.sampled_from(GOOD), st.integers(0, 60), SPOILT), min_size=1, max_size=12))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_line_is_fatal(rows: list[tuple[Any, int, Any]], tmp_path: Path, book: Book) -> None:
    """Whatever a line holds: it is read or named, never raised; what was read can be added up."""
    path = write(tmp_path / "any.jsonl", [*GOOD[:2], *(spoil(*row) for row in rows), *GOOD[6:9]])
    for found in (history_claude.read(path), history_codex.read(path), *history_traces.read(path)):
        report(history.events(found, book), book)


def split(events: Iterable[Event]) -> tuple[list[Routed], list[Finished]]:
    found = list(events)
    return [e for e in found if isinstance(e, Routed)], [e for e in found if isinstance(e, Finished)]


def transcripts(folder: str) -> list[Transcript]:
    return list(history.read_all(sorted((DATA / "sessions" / folder).glob("*.jsonl.gz"))))


@real
@pytest.mark.parametrize("folder", ["claude_code", "codex"])
def test_every_real_session_is_read_to_the_token(folder: str) -> None:
    """Requests and token totals equal the manifest's, which were counted independently."""
    with (DATA / "sessions" / "manifest.csv").open() as file:
        known = {row["file"]: row for row in csv.DictReader(file)}
    for found in transcripts(folder):
        row = known[f"{folder}/{Path(found.path).name}"]
        assert not found.troubles
        billed = [call.usage for call in found.calls if call.usage]
        assert sum(u.cache_read for u in billed) == int(row["cache_read"] or 0)
        fresh = sum(u.prompt if folder == "codex" else u.fresh for u in billed)
        assert fresh == int(row["input_tokens"] or 0)
        if folder == "claude_code":
            assert sum(call.purpose == "turn" for call in found.calls) == int(row["requests"])
            assert sum(u.written for u in billed) == int(row["cache_write"])


@real
def test_real_sessions_fold_into_a_timeline_and_back(book: Book) -> None:
    for found in transcripts("claude_code")[:4] + transcripts("codex")[:3]:
        events = list(history.events(found, book))
        assert [decode(type(e).__name__, encode(e)) for e in events] == events
        timeline = Timeline(events)
        row = timeline.sessions[found.session]
        assert row.totals.requests == len(found.calls)
        out = report(events, book)
        assert out.billed == pytest.approx(row.totals.spent)


@real
def test_most_input_of_real_claude_code_traffic_is_read_from_the_cache(book: Book) -> None:
    """95.8 % over 273 real sessions: the cache-read price ranks models at large context, not the list price."""
    prompt = read = calls = 0
    for found in history.read_all([DATA / "sessions" / "traces.jsonl.gz"]):
        assert not found.troubles
        for call in found.calls:
            assert call.usage is not None
            calls, prompt, read = calls + 1, prompt + call.usage.prompt, read + call.usage.cache_read
    assert calls == 17_453 and round(read / prompt, 3) == 0.958
