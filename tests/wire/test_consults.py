"""Consults in recorded sessions: every answer that was given is divided as if the model had called the advisor in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pointsman.core.book import Book
from pointsman.core.decisions import Advice
from pointsman.core.policy import Policy
from pointsman.core.types import Config, Protocol, Usage
from pointsman.engine import Route, Router
from pointsman.shell import recording
from pointsman.shell.prices import load_book
from pointsman.wire import protocol_of
from pointsman.wire.edits import HISTORY
from wire.test_edits import FILES, items, messages_of

ADVISER = Config("claude-fable-5-1")


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book()


def requests(file: Path) -> list[tuple[recording.Exchange, Protocol, bytes]]:
    found = []
    for exchange in recording.load(file).exchanges:
        protocol = protocol_of(exchange.method, exchange.path)
        if protocol in HISTORY and exchange.body is not None and exchange.response is not None:
            found.append((exchange, protocol, exchange.body if isinstance(exchange.body, bytes) else exchange.body.encode()))
    return found


def history(protocol: Protocol, body: bytes) -> list[Any]:
    found = json.loads(body).get(HISTORY[protocol], [])
    return found if isinstance(found, list) else []


def call_in(protocol: Protocol, before: list[Any], after: list[Any], part: int) -> Advice | None:
    """A consult made after ``part`` parts of the answer by which ``after`` goes on from ``before``; None: there is no answer."""
    if len(after) <= len(before):
        return None
    item, name = after[len(before)], f"call_{len(before)}"
    if protocol == "responses":
        answer = [i for i in after[len(before) :] if not str(i.get("type", "")).endswith("_output")]
        kinds = tuple(str(i.get("type") or "message") for i in answer[:part])
        return Advice("Do X.", name, "{}", kinds) if answer and item.get("role") != "user" else None
    if protocol == "gemini" and item.get("role") == "model":
        texts = [p["text"] for p in item["parts"] if "text" in p]
        return Advice("Do X.", "", '{"question":"?"}', (), min(len("".join(texts)), 7 * part), signature="c2ln")
    if item.get("role") != "assistant":
        return None
    if protocol == "messages":
        if not isinstance(item["content"], list):
            return None
        return Advice("Do X.", name, '{"question":"?"}', tuple(str(b["type"]) for b in item["content"][:part]))
    words = item.get("content")
    return Advice("Do X.", name, "{}", (), len(words[: 7 * part])) if isinstance(words, str) else None


@pytest.mark.parametrize("part", [0, 1, 2])
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_stands_at_its_place_and_is_repeated_byte_for_byte(file: Path, part: int, book: Book) -> None:
    router = Router(Policy(side=False), book)
    said: dict[str, int] = {}
    grew = False
    lanes: dict[tuple[str, str], tuple[Route, list[Any], int]] = {}
    found = requests(file)
    for n, (exchange, protocol, body) in enumerate(found):
        now = 1000.0 + exchange.t
        route = router.route(path=exchange.path, headers=exchange.headers, body=body, now=now, dice=0.5)
        place, own = route.decision.place, history(protocol, body)
        sent = items(route)
        before = lanes.get((place.session, place.lane))
        whole = before is not None and place.kept >= before[2]
        if before is not None and whole:
            assert sent[: len(before[1])] == before[1], f"the history of {before[0].id} was rewritten"
        for edit in route.decision.edits:
            said[edit.value] = json.dumps(sent).count("Do X.")
        if route.decision.reason != "count" and place.kind == "main":
            later = next(
                (b for e, p, b in found[n + 1 :] if p == protocol and history(p, b)[: len(own)] == own and len(b) > len(body)),
                None,
            )
            advice = call_in(protocol, own, history(protocol, later), part) if later is not None else None
            grew = grew or advice is not None
            if advice is not None and route.decision.place.relation != "retry":
                router.advised(route.id, advice, config=ADVISER, how="pull", outcome="given", now=now)
            lanes[place.session, place.lane] = (route, sent, messages_of(route, body))
        router.finish(route.id, usage=Usage(fresh=5_000), status=200, started=now, ended=now + 0.5)
    assert any(said.values()) or not grew, "none of them was seen again"
