"""Every recorded session of a real client through the engine: bytes that nothing moved are identical, places are as they were."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pointsman import Router, Settings
from pointsman.core.book import Book
from pointsman.engine import Route
from pointsman.shell.prices import load_book
from pointsman.shell.recording import Exchange, load
from pointsman.wire import Tap, protocol_of

SESSIONS = sorted((Path(__file__).parents[1] / "sessions").glob("*.jsonl"))
T0 = 1_800_000_000.0


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book()


def played(path: Path, router: Router, run: str | None = None) -> Iterator[tuple[Exchange, Route]]:
    """The decided requests of a recording, each finished as it was then."""
    for exchange in load(path).exchanges:
        if protocol_of(exchange.method, exchange.path) is None:
            continue
        at = T0 + exchange.t
        route = router.route(path=exchange.path, headers=exchange.headers, body=exchange.body, now=at, dice=0.5,
                             run=run)
        yield exchange, route
        status = exchange.response.status if exchange.response else 499
        stop = "final" if exchange.response and exchange.response.stop == "end" else "hangup"
        text = exchange.response.text if exchange.response else ""
        if stop == "final" and any(mark in text for mark in ('"tool_use"', '"function_call"', '"tool_calls"', '"functionCall"')):
            stop = "tool"
        tap = Tap(route.protocol)
        tap.feed(text.encode())
        router.finish(route.id, usage=None, status=status, started=at, ended=at + 1, stop=stop, told=tap.told)  # type: ignore[arg-type]


def test_there_are_recordings_of_every_client_that_is_promised() -> None:
    clients = Counter(load(path).client for path in SESSIONS)
    promised = {"claude", "claude-sdk", "codex", "opencode", "aider", "qwen", "gemini", "cline", "mini"}
    assert len(SESSIONS) >= 8 and promised <= set(clients)


@pytest.mark.parametrize("path", SESSIONS, ids=lambda p: p.stem)
def test_what_nothing_moved_is_byte_identical_and_else_only_decided_fields_differ(path: Path, book: Book) -> None:
    for exchange, route in played(path, Router(Settings(), book)):
        if route.decision.moved:
            before, after = json.loads(exchange.body), json.loads(route.body)
            changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
            assert route.decision.reason == "side" and "model" in changed, exchange.n
            assert changed <= {"model", "output_config", "thinking", "max_tokens"}
        else:
            assert route.body is exchange.body and route.path == exchange.path and not route.changed


@pytest.mark.parametrize(
    ("name", "turns", "lanes", "summaries"),
    [
        ("aider-sonnet-4-5-plain", 3, {"main", "side"}, 0),
        ("claude_code-opus-5-5-compaction", 2, {"main"}, 1),
        ("claude_code-opus-5-5-interrupt", 3, {"main"}, 0),
        ("claude_code-opus-5-5-plain", 3, {"main"}, 0),
        ("claude_code-opus-5-5-subagent", 2, {"main", "subagent"}, 0),
        ("claude_code-opus-5-5-title", 1, {"main", "side"}, 0),
        ("claude_code-sonnet-4-5-compaction", 2, {"main"}, 1),
        ("claude_code-opus-5-5-resume", 2, {"main"}, 0),
        ("claude_code-sonnet-4-5-interrupt", 3, {"main"}, 0),
        ("claude_code-sonnet-4-5-resume", 2, {"main"}, 0),
        ("claude_code-sonnet-4-5-subagent", 2, {"main", "subagent"}, 0),
        ("codex-gpt-5-5-compaction", 2, {"main"}, 1),
        ("codex-gpt-5-5-plain", 1, {"main"}, 0),
        ("codex-gpt-5-5-resume", 3, {"main"}, 0),
        ("codex-gpt-6-astra-plain", 1, {"main"}, 0),
        ("codex-gpt-5-5-subagent", 1, {"main", "subagent"}, 0),
        ("claude_sdk-sonnet-4-5-resume", 3, {"main"}, 0),
        ("qwen-gpt-4-1-resume", 3, {"main"}, 0),
        ("qwen-gpt-4-1-compaction", 2, {"main"}, 1),
        ("gemini-2-5-pro-resume", 2, {"main"}, 0),  # its first resume rewrites every message: that is another conversation
        ("gemini-4-argon-plain", 1, {"main"}, 0),
        ("cline-gpt-4-1-plain", 1, {"main"}, 0),
        ("cline-gpt-5-5-plain", 1, {"main"}, 0),
        ("cline-sonnet-4-5-plain", 1, {"main"}, 0),
        ("mini-gpt-4-1-plain", 1, {"main"}, 0),
        ("mini-sonnet-4-5-plain", 1, {"main"}, 0),
    ],
)
def test_sessions_turns_and_lanes_of_real_clients_are_recognised(
    name: str, turns: int, lanes: set[str], summaries: int, book: Book
) -> None:
    path = next(p for p in SESSIONS if p.stem == name)
    router = Router(Settings(), book)
    decisions = [route.decision for _, route in played(path, router)]
    newest = max(router.sessions.values(), key=lambda s: s.seen)
    places = [d.place for d in decisions if d.place.session == newest.id and d.reason != "count"]
    assert newest.turn == turns and {place.kind for place in places} == lanes
    assert [d.reason for d in decisions].count("compaction") == summaries
    assert [place.relation for place in places if place.lane == "main"].count("compacted") == summaries
    assert all(place.turn <= turns for place in places) and newest.task == 1


@pytest.mark.parametrize("run", ["r1", None])
@pytest.mark.parametrize("name", ["qwen-gpt-4-1-subagent", "gemini-4-argon-subagent", "cline-gpt-4-1-subagent"])
def test_an_agent_that_nothing_marks_is_a_lane_of_the_session_it_came_through(name: str, run: str | None, book: Book) -> None:
    path = next(p for p in SESSIONS if p.stem == name)
    places = [route.decision.place for _, route in played(path, Router(Settings(), book), run=run)]
    assert len({place.session for place in places}) == 1 and {place.turn for place in places} == {1}
    assert run is None or places[0].session == "run-r1"
    assert [place.kind for place in places].count("subagent") == 2 and places[0].kind == places[-1].kind == "main"
    assert len({place.lane for place in places}) == 2


def test_compaction_stays_on_the_lanes_model_even_where_housekeeping_is_moved(book: Book) -> None:
    for path in (p for p in SESSIONS if "compaction" in p.stem):
        summaries = [r for _, r in played(path, Router(Settings(), book)) if r.decision.reason == "compaction"]
        assert summaries and not any(route.changed for route in summaries)
