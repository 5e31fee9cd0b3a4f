"""Additions to recorded histories: appended, then repeated byte for byte, and gone where the history before them is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pointsman.core.book import Book
from pointsman.core.decisions import Advice, Advisor, Edit
from pointsman.core.edits import standing
from pointsman.core.events import Advised
from pointsman.core.policy import Policy
from pointsman.core.types import Config, Usage
from pointsman.engine import Route, Router
from pointsman.errors import WireError
from pointsman.shell import recording
from pointsman.shell.prices import load_book
from pointsman.wire import protocol_of
from pointsman.wire.edits import EFFORT_BETA, HISTORY, apply, bind

FOLDER = Path(__file__).parents[2] / "sessions"
FILES = sorted(FOLDER.glob("*.jsonl"))
ADVISER = Config("claude-fable-5-1")
WORDS = Advice("Read the failing assertion before you edit again.")


@pytest.fixture(scope="module")
def book() -> Book:
    """The price book of the installed map."""
    return load_book()


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def file(request: pytest.FixtureRequest) -> Path:
    """One recorded session."""
    path: Path = request.param
    return path


def items(route: Route) -> list[Any]:
    """The history that goes out, cache marks left out."""
    value = json.loads(route.body)
    return [_unmarked(item) for item in value.get(HISTORY[route.protocol], [])]


def _unmarked(value: Any) -> Any:
    if isinstance(value, dict):
        bare = {k: _unmarked(v) for k, v in value.items() if k != "cache_control"}
        if ("role" in bare or "tool_use_id" in bare) and isinstance(
            bare.get("content"), str
        ):  # clients write one text block as a text once it has no mark
            bare["content"] = [{"type": "text", "text": bare["content"]}]
        return bare
    return [_unmarked(v) for v in value] if isinstance(value, list) else value


def played(file: Path, router: Router, advise: int = 3) -> list[tuple[Route, bytes]]:
    """The decided requests of a recording; every ``advise``-th main request of agent work gets advice pushed (0: none)."""
    found, count = [], 0
    for exchange in recording.load(file).exchanges:
        protocol = protocol_of(exchange.method, exchange.path)
        if protocol is None or exchange.body is None or exchange.response is None:
            continue
        body = exchange.body if isinstance(exchange.body, bytes) else exchange.body.encode()
        route = router.route(path=exchange.path, headers=exchange.headers, body=body, now=1000.0 + exchange.t, dice=0.5)
        if route.decision.reason != "count" and route.decision.place.kind == "main":
            count += 1
            if advise and count % advise == 0:
                usage = Usage(fresh=9_000, output=600)
                route = router.advised(
                    route.id, WORDS, config=ADVISER, how="push", outcome="given", now=1000.0 + exchange.t, usage=usage
                )
        found.append((route, body))
        router.finish(route.id, usage=Usage(fresh=5_000), status=200, started=1000.0 + exchange.t, ended=1000.5 + exchange.t)
    return found


def test_additions_are_repeated_byte_for_byte_in_every_recorded_session(file: Path, book: Book) -> None:
    """Within a lane, what went out is the start of what goes out next, wherever that held for the client's own history."""
    pulling = Policy(advisor=Advisor("claude-fable-5-1", pull=True))
    lanes: dict[tuple[str, str], tuple[Route, list[Any], int]] = {}
    added = 0
    for route, body in played(file, Router(pulling, book)):
        place, sent = route.decision.place, items(route)
        own = len(json.loads(body).get(HISTORY[route.protocol], []))
        added += len(sent) - own
        before = lanes.get((place.session, place.lane))
        if before is not None and place.kept >= before[2]:
            assert sent[: len(before[1])] == before[1], f"{file.stem}: the history of {before[0].id} was rewritten"
            if json.loads(body).get("tools"):
                assert json.loads(route.body)["tools"] == json.loads(before[0].body)["tools"]
        if route.decision.reason != "count":
            lanes[place.session, place.lane] = (route, sent, messages_of(route, body))
    assert added > 0 or not lanes


def messages_of(route: Route, body: bytes) -> int:
    """Messages of the request as we count them: the leading system prompt left out."""
    value = json.loads(body)[HISTORY[route.protocol]]
    led = route.protocol == "chat" or (route.protocol == "responses" and not json.loads(body).get("instructions"))
    skipped = next((n for n, m in enumerate(value) if m.get("role") not in ("system", "developer")), len(value)) if led else 0
    return len(value) - skipped


def test_without_edits_the_same_bytes_go_out(file: Path, book: Book) -> None:
    for route, body in played(file, Router(Policy(side=False), book), advise=0):
        assert route.body is body or route.decision.moved


def test_an_edit_falls_with_the_history_before_it(file: Path, book: Book) -> None:
    """After a compaction or a rewind nothing of what was added before is left."""
    router = Router(Policy(side=False), book)
    for route, _ in played(file, router):
        for edit in route.decision.edits:
            assert edit.at <= route.decision.place.kept or edit.at <= messages_of(route, route.body)
    for session in router.sessions.values():
        for lane in session.lanes.values():
            assert standing(lane.edits, lane.messages, len(lane.messages)) == lane.edits


@pytest.mark.parametrize("protocol", ["messages", "chat", "responses", "gemini"])
def test_advice_in_each_protocol(protocol: Any) -> None:
    history = {
        "messages": [{"role": "user", "content": "a"}],
        "chat": [{"role": "system", "content": "s"}, {"role": "user", "content": "a"}],
        "responses": [{"type": "message", "role": "user", "content": "a"}],
        "gemini": [{"role": "user", "parts": [{"text": "a"}]}],
    }[protocol]  # fmt: skip
    value = {"model": "m", HISTORY[protocol]: history, "tail": {"model": "deep", "messages": []}}
    if protocol == "responses":
        value["instructions"] = "be good"
    body = json.dumps(value).encode()
    out, headers = apply(protocol, body, {}, [Edit("advice", 1, 1, "x@claude-opus-5-5")], {"x@claude-opus-5-5": WORDS}, {})
    sent = json.loads(out)
    assert sent["tail"] == value["tail"] and sent[HISTORY[protocol]][:-1] == history and headers == {}
    assert "claude-opus-5-5" in json.dumps(sent[HISTORY[protocol]][-1]) and WORDS.text in json.dumps(sent[HISTORY[protocol]][-1])
    start = out.index(b"<advice")
    assert out.replace(out[out.rindex(b",{", 0, start) : out.index(b"</advice>")], b"") != body  # one insertion, nothing else
    assert len(out) - len(body) == len(json.dumps(sent[HISTORY[protocol]][-1], separators=(",", ":")).encode()) + 1


def test_effort_messages_stand_in_order_and_bring_their_beta() -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user",
                       "content": "c"}]}).encode()  # fmt: skip
    out, headers = apply(
        "messages", body, {"Anthropic-Beta": "one"}, [Edit("effort", 1, 0, "low", "m"), Edit("effort", 3, 0, "high", "m")], {}, {}
    )
    sent = json.loads(out)["messages"]
    assert [m.get("output_config") for m in sent] == [None, {"effort": "low"}, None, None, {"effort": "high"}]
    assert headers == {"Anthropic-Beta": f"one,{EFFORT_BETA}"}
    responses = json.dumps({"instructions": "x", "input": [{"role": "user", "content": "a"}]}).encode()
    out, _ = apply("responses", responses, {}, [Edit("effort", 1, 0, "high", "m")], {}, {})
    assert json.loads(out)["input"][1] == {"type": "configuration_update", "reasoning": {"effort": "high"}}


def call(**more: Any) -> Advice:
    """A consult the model made after thinking and two words."""
    return Advice("Do X.", "call_1", '{"question":"how?"}', ("thinking", "text"), 9, 2, **more)


def test_a_consult_divides_the_answer_as_the_provider_saw_it() -> None:
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "c"}, {"type": "text", "text": "I'll ask."},
        {"type": "text", "text": "Now"}, {"type": "tool_use", "id": "t1", "name": "Bash", "input": {}},
    ]  # fmt: skip
    rest = [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "ok"}]}]
    body = json.dumps({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": blocks}, *rest]}).encode()
    edit = Edit("consult", 1, 0, "x", into=7)
    sent = json.loads(apply("messages", body, {}, [edit], {"x": call()}, {})[0])["messages"]
    assert [m["role"] for m in sent] == ["user", "assistant", "user", "assistant", "user"]
    assert [b["type"] for b in sent[1]["content"]] == ["thinking", "text", "tool_use"] and sent[3]["content"] == blocks[2:]
    assert sent[2]["content"] == [{"type": "tool_result", "tool_use_id": "call_1", "content": "Do X."}] and sent[4:] == rest


def test_a_consult_beside_tools_of_the_client_goes_back_among_them() -> None:
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "c"}, {"type": "text", "text": "I'll ask."},
        {"type": "tool_use", "id": "t1", "name": "Bash", "input": {}},
    ]  # fmt: skip
    rest = [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "ok"}]}]
    body = json.dumps({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": blocks}, *rest]}).encode()
    sent = json.loads(apply("messages", body, {}, [Edit("consult", 1, 0, "x", into=7)], {"x": call(joined=True)}, {})[0])[
        "messages"
    ]
    assert [b.get("id") for b in sent[1]["content"]] == [None, None, "call_1", "t1"]
    assert [b["tool_use_id"] for b in sent[2]["content"]] == ["call_1", "t1"]


def test_a_consult_in_chat_divides_the_words() -> None:
    tool = {"id": "t1", "type": "function", "function": {"name": "shell", "arguments": "{}"}}
    answer = {"role": "assistant", "content": "I'll ask.Now", "reasoning_content": "hmok", "tool_calls": [tool]}
    body = json.dumps({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "a"}, answer,
                                    {"role": "tool", "tool_call_id": "t1", "content": "ok"}]}).encode()  # fmt: skip
    sent = json.loads(apply("chat", body, {}, [Edit("consult", 1, 0, "x", into=7)], {"x": call()}, {})[0])["messages"]
    assert [m["role"] for m in sent] == ["system", "user", "assistant", "tool", "assistant", "tool"]
    assert (sent[2]["content"], sent[2]["reasoning_content"]) == ("I'll ask.", "hm")
    assert (sent[4]["content"], sent[4]["reasoning_content"], sent[4]["tool_calls"]) == ("Now", "ok", [tool])
    joined = json.loads(apply("chat", body, {}, [Edit("consult", 1, 0, "x", into=7)], {"x": call(joined=True)}, {})[0])[
        "messages"
    ]
    assert [m["role"] for m in joined] == ["system", "user", "assistant", "tool", "tool"]
    assert [c["id"] for c in joined[2]["tool_calls"]] == ["call_1", "t1"] and joined[3]["tool_call_id"] == "call_1"


def test_a_consult_in_responses_stands_between_two_items(book: Book) -> None:
    router = Router(Policy(), book)
    first = {"model": "gpt-6-astra", "instructions": "i", "input": [{"type": "message", "role": "user", "content": "a"}]}
    headers = {"session-id": "s", "originator": "codex_exec", "user-agent": "codex_exec/0.169.0"}
    route = router.route(path="/v1/responses", headers=headers, body=json.dumps(first).encode(), now=1.0, dice=0.1)
    advice = Advice("Do X.", "call_1", "{}", ("reasoning", "message"))
    router.advised(route.id, advice, config=ADVISER, how="pull", outcome="given", now=2.0)
    router.finish(route.id, usage=Usage(fresh=50), status=200, started=1.0, ended=2.0)
    shown = [{"type": "message", "role": "assistant", "content": []},  # this client leaves reasoning out
             {"type": "function_call", "call_id": "c2", "name": "shell", "arguments": "{}"},
             {"type": "function_call_output", "call_id": "c2", "output": "ok"}]  # fmt: skip
    second = {**first, "input": [*first["input"], *shown]}
    for now in (3.0, 4.0):
        route = router.route(path="/v1/responses", headers=headers, body=json.dumps(second).encode(), now=now, dice=0.1)
        kinds = [item["type"] for item in json.loads(route.body)["input"]]
        assert kinds == ["message", "message", "function_call", "function_call_output", "function_call", "function_call_output"]
        router.finish(route.id, usage=Usage(fresh=50), status=200, started=now, ended=now)


@pytest.mark.parametrize(
    "answer",
    [
        {"role": "assistant", "content": "I'll ask.Now"}, {"role": "assistant", "content": [{"type": "text", "text": "other"}]},
        {"role": "user", "content": [{"type": "text", "text": "I changed my mind"}]}, {"role": "assistant", "content": []},
    ],
)  # fmt: skip
def test_an_answer_that_is_shown_otherwise_leaves_the_consult_out(answer: dict[str, Any], book: Book) -> None:
    router = Router(Policy(), book)
    headers = {"x-claude-code-session-id": "s", "user-agent": "claude-cli/2.1.330 (external, cli)"}
    first = {"model": "claude-sonnet-5-5", "max_tokens": 99, "messages": [{"role": "user", "content": "a"}]}
    route = router.route(path="/v1/messages", headers=headers, body=json.dumps(first).encode(), now=1.0, dice=0.1)
    router.advised(route.id, call(), config=ADVISER, how="pull", outcome="given", now=2.0)
    router.finish(route.id, usage=Usage(fresh=50), status=200, started=1.0, ended=2.0)
    body = json.dumps({**first, "messages": [*first["messages"], answer, {"role": "user", "content": "go on"}]}).encode()
    route = router.route(path="/v1/messages", headers=headers, body=body, now=3.0, dice=0.1)
    assert route.body is body and not route.decision.edits


def test_after_a_restart_an_advice_without_words_is_left_out_and_its_cache_is_cold_from_there(book: Book) -> None:
    headers = {"x-claude-code-session-id": "s", "user-agent": "claude-cli/2.1.330 (external, cli)"}
    mark = {"cache_control": {"type": "ephemeral"}}
    talk: list[dict[str, Any]] = [{"role": "user", "content": [{"type": "text", "text": "word " * 4_000, **mark}]}]
    given = {"model": "claude-opus-5-5", "max_tokens": 99, "messages": talk}

    def ask(router: Router, now: float) -> Route:
        route = router.route(path="/v1/messages", headers=headers, body=json.dumps(given).encode(), now=now, dice=0.1)
        return route

    def reads(route: Route) -> int:
        row = route.decision.row(route.decision.chosen)
        assert row is not None
        return row.cache_read

    for keep in (False, True):
        router = Router(Policy(advisor=Advisor(ADVISER.model, keep_text=keep)), book)
        del talk[1:]
        route = ask(router, 1.0)
        router.advised(route.id, WORDS, config=ADVISER, how="push", outcome="given", now=1.5)
        router.finish(route.id, usage=Usage(cache_write=((300, 8_000),)), status=200, started=1.0, ended=2.0)
        talk += [{"role": "assistant", "content": [{"type": "text", "text": "done"}]},
                 {"role": "user", "content": [{"type": "text", "text": "more " * 4_000, **mark}]}]  # fmt: skip
        route = ask(router, 10.0)
        router.finish(route.id, usage=Usage(cache_read=8_000, cache_write=((300, 8_000),)), status=200, started=10.0, ended=11.0)
        events = router.events()
        assert all(event.advice is None for event in events if isinstance(event, Advised)) is not keep
        talk += [{"role": "assistant", "content": [{"type": "text", "text": "done"}]},
                 {"role": "user", "content": [{"type": "text", "text": "and more", **mark}]}]  # fmt: skip
        live, again = ask(router, 20.0), ask(Router(router.policy, book, events), 20.0)
        assert b"<advice" in live.body and reads(live) >= 15_900
        assert (b"<advice" in again.body) is keep
        assert reads(again) == reads(live) if keep else 7_000 < reads(again) < 9_000


def test_a_refused_addition_is_not_tried_again(book: Book) -> None:
    router = Router(Policy(), book)
    headers = {"x-claude-code-session-id": "s", "user-agent": "claude-cli/2.1.330 (external, cli)"}
    body = json.dumps({"model": "claude-opus-5-5", "max_tokens": 9, "messages": [{"role": "user", "content": "a"}]}).encode()
    route = router.route(path="/v1/messages", headers=headers, body=body, now=1.0, dice=0.1)
    route = router.advised(route.id, WORDS, config=ADVISER, how="push", outcome="given", now=1.5)
    assert route.changed and b"<advice" in route.body
    asked = router.refuse(route.id, 400, 1.6)
    assert asked.body is body
    router.finish(route.id, usage=Usage(fresh=9), status=200, started=1.0, ended=2.0, resent=True)
    route = router.route(path="/v1/messages", headers=headers, body=body, now=3.0, dice=0.1)
    assert route.body is body and not route.decision.edits
    assert router.sessions["s"].lanes["main"].unedited


@pytest.mark.parametrize("body", [b'{"input":"text"}', b'{"input":[]}', b"{}"])
def test_a_history_without_the_place_is_an_error_and_no_guess(body: bytes) -> None:
    with pytest.raises(WireError):
        apply("responses", body, {}, [Edit("effort", 1, 0, "low")], {}, {})


def test_binding_needs_the_message_before() -> None:
    assert bind("messages", b"{}", Edit("advice", 1, 5, "x"), WORDS, (), 0) == Edit("advice", 1, 5, "x")
