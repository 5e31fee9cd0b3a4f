"""The library as an embedder uses it: bytes in, bytes and a decision out, usage in, events out; rebuilt from its own events."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from typing import Any

import pytest

from pointsman import Router, Settings, engine
from pointsman.core.book import Book
from pointsman.core.codec import decode, encode
from pointsman.core.events import Checked, Finished, Pinned, Routed, RunStarted, Unpinned
from pointsman.core.hindsight import recorded
from pointsman.core.policy import Policy
from pointsman.core.timeline import Timeline
from pointsman.errors import SettingsError, WireError
from pointsman.shell.prices import load_book

OPUS, SONNET = "claude-opus-5-5", "claude-sonnet-5-5"
T0 = 1_800_000_000.0


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book()


def body(*texts: str, model: str = OPUS, **more: Any) -> bytes:
    """A Messages body whose texts alternate between user and assistant; the last block carries the cache mark."""
    messages = [
        {"role": "user" if i % 2 == 0 else "assistant", "content": [{"type": "text", "text": text}]}
        for i, text in enumerate(texts)
    ]
    messages[-1]["content"][0]["cache_control"] = {"type": "ephemeral"}  # type: ignore[index]
    value = {
        "messages": messages, "model": model, "max_tokens": 1000, "stream": True,
        "system": [{"type": "text", "text": "You help. " * 800, "cache_control": {"type": "ephemeral"}}],
        "tools": [{"name": "Bash", "input_schema": {"type": "object", "properties": {"model": {"type": "string"}}}}],
        **more,
    }  # fmt: skip
    return json.dumps(value, separators=(",", ":")).encode()


HEADERS = {"X-Claude-Code-Session-Id": "s1", "User-Agent": "claude-cli/2.1.330 (external, cli)", "x-api-key": "k"}


class Talk:
    """One session with the router; every request is answered a few seconds later."""

    def __init__(self, router: Router) -> None:
        self.router, self.now = router, T0

    def send(self, *texts: str, model: str = OPUS, headers: dict[str, str] | None = None, **more: Any) -> Any:
        self.now += 30.0
        return self.router.route(
            path="/v1/messages", headers=headers or HEADERS, body=body(*texts, model=model, **more), now=self.now, dice=0.5
        )

    def answer(self, route: Any, *, read: int = 0, written: int = 3_000, stop: str = "final", status: int = 200) -> None:
        usage = {
            "input_tokens": 3, "cache_read_input_tokens": read, "cache_creation_input_tokens": written, "output_tokens": 40,
            "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
        }  # fmt: skip
        self.router.finish(
            route.id, usage=usage if status == 200 else None, status=status, started=self.now, first_byte=self.now + 1,
            ended=self.now + 4, stop=stop,  # type: ignore[arg-type]
        )  # fmt: skip


@pytest.fixture
def talk(book: Book) -> Talk:
    return Talk(Router(Settings(), book))


def test_what_is_not_decided_comes_back_as_the_very_same_bytes(talk: Talk) -> None:
    sent = body("hello")
    route = talk.router.route(path="/v1/messages?beta=true", headers=HEADERS, body=sent, now=T0, dice=0.1)
    assert route.body is sent and not route.changed
    assert (route.model, route.protocol, route.path) == (OPUS, "messages", "/v1/messages?beta=true")
    assert route.decision.reason == "asked" and route.decision.place.session == "s1"


def test_a_pin_changes_the_model_and_nothing_else_in_the_bytes(talk: Talk) -> None:
    talk.answer(talk.send("hello"))
    pinned = talk.router.pin("sonnet", session="s1", now=talk.now)
    assert pinned.config.model == SONNET
    sent = body("hello", "hi", "go on")
    route = talk.send("hello", "hi", "go on")
    assert route.model == SONNET and route.changed
    assert route.body == sent.replace(f'"model":"{OPUS}"'.encode(), f'"model":"{SONNET}"'.encode())


@pytest.mark.parametrize("typed", ["sonet", "claude-sonet-5-5", "gpt-banana"])
def test_a_typo_is_refused_with_near_matches(talk: Talk, typed: str) -> None:
    talk.answer(talk.send("hello"))
    with pytest.raises(SettingsError, match="unknown model"):
        talk.router.pin(typed, session="s1", now=talk.now)


def test_a_pin_for_a_turn_ends_with_the_final_answer_and_says_so(talk: Talk) -> None:
    talk.answer(talk.send("hello"))
    talk.router.pin("sonnet", scope="turn", session="s1", now=talk.now)
    talk.router.events()
    first = talk.send("hello", "hi", "go on")
    talk.answer(first, stop="tool")
    assert not [e for e in talk.router.events() if isinstance(e, Unpinned)]
    second = talk.send("hello", "hi", "go on", "run it", "and this")
    assert second.model == SONNET
    talk.answer(second)
    ended = [e for e in talk.router.events() if isinstance(e, Unpinned)]
    assert ended and "turn is over" in ended[0].why
    assert talk.send("hello", "hi", "go on", "run it", "and this", "ok", "next").model == OPUS


def test_a_pin_for_a_task_holds_until_the_next_task_and_its_end_is_announced_first(talk: Talk) -> None:
    talk.answer(talk.send("hello"))
    talk.router.pin("sonnet", scope="task", session="s1", now=talk.now)
    talk.answer(talk.send("hello", "hi", "go on"))
    talk.now += 10_000
    last = talk.send("hello", "hi", "go on", "done", "good morning, something new")
    assert last.model == SONNET and "ends with it" in last.decision.notices[0]
    talk.answer(last)
    assert talk.send("hello", "hi", "go on", "done", "good morning, something new", "yes", "more").model == OPUS


def test_changing_the_model_in_the_client_is_a_pin(talk: Talk) -> None:
    talk.answer(talk.send("hello"))
    talk.router.pin("sonnet", session="s1", now=talk.now)
    talk.answer(talk.send("hello", "hi", "go on"))
    route = talk.send("hello", "hi", "go on", "ok", "next", model="claude-fable-5-1")
    assert (route.model, route.decision.reason, route.changed) == ("claude-fable-5-1", "pin", False)
    assert [e.origin for e in talk.router.events() if isinstance(e, Pinned)][-1] == "the client's model menu"


def test_the_clients_own_fallback_after_an_error_is_no_pin(talk: Talk) -> None:
    first = talk.send("hello")
    talk.answer(first, status=529, stop="error")
    talk.now -= 28
    route = talk.send("hello", model="claude-haiku-4-5")
    assert route.model == "claude-haiku-4-5" and not [e for e in talk.router.events() if isinstance(e, Pinned)]


def test_a_pin_that_always_holds_here_covers_sessions_to_come(talk: Talk) -> None:
    talk.router.pin("sonnet", scope="always", now=talk.now)
    assert talk.send("hello").model == SONNET
    other = {**HEADERS, "X-Claude-Code-Session-Id": "s2"}
    assert talk.send("other work", headers=other).model == SONNET
    talk.router.unpin(now=talk.now)
    assert talk.send("yet another", headers={**HEADERS, "X-Claude-Code-Session-Id": "s3"}).model == OPUS


def test_a_refused_change_is_taken_back_and_not_tried_again(talk: Talk) -> None:
    talk.answer(talk.send("hello"))
    talk.router.pin("sonnet", session="s1", now=talk.now)
    sent = body("hello", "hi", "go on")
    route = talk.send("hello", "hi", "go on")
    back = talk.router.refuse(route.id, 400, talk.now)
    assert back.body == sent and back.model == OPUS and not back.changed
    talk.router.finish(route.id, usage=None, status=200, started=talk.now, ended=talk.now + 3, resent=True)
    later = talk.send("hello", "hi", "go on", "ok", "next")
    assert (later.model, later.decision.reason) == (OPUS, "pin_refused") and "refused" in later.decision.notices[0]


def test_a_model_an_upstream_does_not_know_is_offered_to_no_session_of_it_again(talk: Talk) -> None:
    talk.answer(talk.send("hello"))
    talk.router.pin("sonnet", scope="always", now=talk.now)
    route = talk.send("hello", "hi", "go on")
    talk.router.refuse(route.id, 404, talk.now)
    talk.router.finish(route.id, usage=None, status=200, started=talk.now, ended=talk.now + 3, resent=True)
    other = {**HEADERS, "X-Claude-Code-Session-Id": "s2"}
    refused = talk.send("elsewhere", headers=other)
    assert (refused.model, refused.decision.reason) == (OPUS, "pin_refused") and "404" in refused.decision.sentence
    args = {"path": "/v1/messages", "headers": other, "body": body("elsewhere", "hi", "on"), "now": talk.now + 9, "dice": 0.5}
    assert talk.router.route(upstream="https://another.example", **args).model == SONNET  # type: ignore[arg-type]


def test_a_count_answers_for_the_model_that_runs_and_opens_nothing(talk: Talk) -> None:
    talk.answer(talk.send("hello"))
    talk.router.pin("sonnet", session="s1", now=talk.now)
    talk.answer(talk.send("hello", "hi", "go on"))
    turns = talk.router.sessions["s1"].turn
    count = talk.router.route(
        path="/v1/messages/count_tokens", headers=HEADERS, body=body("hello", "hi", "go on"), now=talk.now, dice=0.1
    )
    assert count.model == SONNET and talk.router.sessions["s1"].turn == turns


def test_a_new_router_fed_with_the_events_goes_on_where_the_old_one_stopped(talk: Talk, book: Book) -> None:
    talk.answer(talk.send("hello"))
    talk.router.pin("sonnet", session="s1", now=talk.now)
    talk.answer(talk.send("hello", "hi", "go on"), read=3_000, written=100)
    rows = [(type(e).__name__, json.loads(json.dumps(encode(e)))) for e in talk.router.events()]
    rebuilt = Router(Settings(), book, [decode(kind, row) for kind, row in rows])
    assert rebuilt.sessions == talk.router.sessions
    args = {
        "path": "/v1/messages",
        "headers": HEADERS,
        "body": body("hello", "hi", "go on", "ok", "x"),
        "now": talk.now + 50,
        "dice": 0.5,
    }
    live, again = talk.router.route(**args), rebuilt.route(**args)  # type: ignore[arg-type]
    assert replace(live.decision, id="") == replace(again.decision, id="")


def test_a_session_from_long_ago_is_recalled_when_it_speaks_again(talk: Talk, book: Book) -> None:
    talk.answer(talk.send("hello"))
    talk.router.pin("sonnet", session="s1", now=talk.now)
    past = talk.router.events()
    asked_for: list[str] = []

    def recall(session: str) -> list[Any]:
        asked_for.append(session)
        return past if session == "s1" else []

    router = engine.Router(Settings().policy(), book, recall=recall)
    args = {"path": "/v1/messages", "headers": HEADERS, "now": talk.now + 50, "dice": 0.5}
    route = router.route(body=body("hello", "hi", "go on"), **args)  # type: ignore[arg-type]
    router.route(body=body("hello", "hi", "go on", "ok", "more"), **args)  # type: ignore[arg-type]
    assert route.model == SONNET and route.decision.place.turn == 2 and asked_for == ["s1"]
    assert not [e for e in router.events() if isinstance(e, Pinned)], "what was recalled is in the ledger already"


def test_contradictory_usage_is_unknown_and_noted_never_zero(talk: Talk) -> None:
    route = talk.send("hello")
    talk.router.finish(route.id, usage={"input_tokens": -5, "output_tokens": 1}, status=200, started=T0, ended=T0 + 1)
    events = talk.router.events()
    finished = next(e for e in events if isinstance(e, Finished))
    assert finished.usage is None and any(getattr(e, "code", "") == "usage_unreadable" for e in events)


@pytest.mark.parametrize(
    "broken", [b"", b"{", b"[]", b'{"model":7,"messages":[]}', b'{"messages":[]}', b"\xff\xfe", gzip.compress(b"{}")]
)
def test_a_body_that_cannot_be_read_is_said_to_be_so(talk: Talk, broken: bytes) -> None:
    with pytest.raises(WireError):
        talk.router.route(path="/v1/messages", headers=HEADERS, body=broken, now=T0, dice=0.5)
    with pytest.raises(WireError, match="not a path"):
        talk.router.route(path="/v1/embeddings", headers=HEADERS, body=b"{}", now=T0, dice=0.5)


@pytest.mark.parametrize(
    ("path", "sent", "usage"),
    [
        (
            "/v1/chat/completions",
            {"model": "gpt-6.1-sol", "messages": [{"role": "user", "content": "hello"}]},
            {"prompt_tokens": 2000, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 1024}},
        ),
        (
            "/v1/responses",
            {"model": "gpt-6.1-sol", "input": [{"type": "message", "role": "user", "content": "hello"}]},
            {"input_tokens": 2000, "output_tokens": 9, "input_tokens_details": {"cached_tokens": 1024}},
        ),
    ],
)  # fmt: skip
def test_the_openai_formats_are_decided_and_billed_alike(
    book: Book, path: str, sent: dict[str, Any], usage: dict[str, Any]
) -> None:
    router = Router(Settings(), book)
    route = router.route(path=path, headers={}, body=json.dumps(sent).encode(), now=T0, dice=0.5)
    router.finish(route.id, usage=usage, status=200, started=T0, first_byte=T0 + 1, ended=T0 + 2)
    assert [type(e) for e in router.events()] == [Routed, Finished]
    session = next(iter(router.sessions.values()))
    lane = session.lanes["main"]
    assert lane.last_usage is not None and lane.last_usage.cache_read == 1024 and lane.last_usage.prompt == 2000


def test_what_a_run_says_is_asked_makes_no_pin_of_what_its_client_names(talk: Talk) -> None:
    """A project's ``asked`` differs from the client's model in every request; only a change of that model is a person's."""
    talk.router.note(RunStarted(T0, "mine", "claude_code", "/x", True, policy=Policy(asked=OPUS), own=("asked",)))
    said: tuple[str, ...] = ()
    for i in range(3):
        said = (*said, f"prompt {i}")
        talk.now += 30.0
        route = talk.router.route(
            path="/v1/messages", headers=HEADERS, body=body(*said, model=SONNET), now=talk.now, dice=0.5, run="mine"
        )
        talk.answer(route)
        said = (*said, "Done.")
        assert (route.model, route.decision.reason) == (OPUS, "asked")
    assert talk.router.sessions["s1"].pin is None
    count = talk.router.route(
        path="/v1/messages/count_tokens", headers=HEADERS, body=body(*said[:-1], model=SONNET), now=talk.now, dice=0.5, run="mine"
    )
    assert (count.decision.asked.model, count.model) == (OPUS, OPUS)


def test_a_run_brings_its_own_diagnostics_and_deadline(talk: Talk) -> None:
    """A gateway serves many runs: what one of them asked for holds in it, and in no other."""
    policy = Settings(cache_diagnostics=True, deadline_s=60).policy()
    own = ("diagnose", "deadline_s")
    talk.router.note(RunStarted(T0, "mine", "claude_code", "/x", True, policy=policy, own=own))
    plain = talk.send("hello")
    assert b"diagnostics" not in plain.body
    talk.answer(plain)
    sent = body("hello", "hi", "go on")
    talk.now += 30.0
    asked = talk.router.route(path="/v1/messages", headers=HEADERS, body=sent, now=talk.now, dice=0.5, run="mine")
    assert b"diagnostics" in asked.body
    talk.answer(asked)
    failed = Checked(talk.now + 61, "s1", "tests", "check_failed", "1 failed", 2.0, sent_back=True)
    assert "60 seconds are over" in talk.router.checked(failed, retries=1).stopped


def test_what_cannot_be_written_goes_out_with_the_clients_own_headers(book: Book) -> None:
    """A field twice is read by everybody and spliced by nobody; a beta of ours may not stay behind."""
    router = Router(Settings(), book)
    once, twice = b'{"effort":"ultra"}', b'{"effort":"ultra","effort":"ultra"}'

    def ask(now: float, *texts: str) -> Any:
        sent = body(*texts, output_config={"effort": "ultra"}).replace(once, twice)
        return router.route(path="/v1/messages", headers=HEADERS, body=sent, now=now, dice=0.5), sent

    first, _ = ask(T0, "hi")
    router.finish(first.id, usage={"input_tokens": 9, "output_tokens": 9}, status=200, started=T0, ended=T0 + 1.0)
    router.pin("haiku:low", session="s1", now=T0 + 2.0)
    route, sent = ask(T0 + 3.0, "hi", "so", "on")
    assert (route.decision.reason, route.model, route.body) == ("fail_open", OPUS, sent)
    assert route.headers == HEADERS and not route.changed


@pytest.mark.parametrize("refused", [True, False])
def test_what_was_refused_or_lost_goes_out_with_the_clients_own_headers(book: Book, refused: bool) -> None:
    router = Router(Settings(), book)
    talk = Talk(router)
    talk.answer(talk.send("hi", output_config={"effort": "high"}))
    router.pin("haiku:low", session="s1", now=talk.now)
    more: dict[str, Any] = {"output_config": {"effort": "high"}}
    route = talk.send("hi", "so", "on", **more)
    assert route.changed and "anthropic-beta" in route.headers
    asked = router.refuse(route.id, 400, talk.now) if refused else router.unchange(route.id, "lost", talk.now)
    assert (asked.headers, asked.path, asked.body) == (HEADERS, "/v1/messages", body("hi", "so", "on", **more))


def test_a_client_that_left_before_any_answer_was_refused_by_nobody(talk: Talk) -> None:
    """It asks the same again: the pin still holds; and a model that it changes meanwhile is a person's word, no fallback."""
    talk.answer(talk.send("hello"))
    talk.router.pin("sonnet", session="s1", now=talk.now)
    for _ in range(2):
        route = talk.send("hello", "hi", "go on")
        assert (route.model, route.decision.notices) == (SONNET, ())
        talk.answer(route, status=499, stop="hangup")
    talk.router.unpin(session="s1", now=talk.now)
    talk.answer(talk.send("hello", "hi", "go on"), status=499, stop="hangup")
    moved = talk.send("hello", "hi", "go on", model="claude-haiku-5-5")
    assert moved.decision.place.client_move is None and moved.model == "claude-haiku-5-5"
    assert talk.router.sessions["s1"].pin is not None


def test_what_we_moved_and_nobody_answered_is_asked_of_the_model_that_was_wanted(book: Book) -> None:
    talk = Talk(Router(Settings(schedule="1:claude-haiku-5-5"), book))
    talk.answer(talk.send("hello"), status=499, stop="hangup")
    again = talk.send("hello")
    assert (again.model, again.decision.reason) == (OPUS, "retry_asked")
    said = "Retry: nothing had come from claude-haiku-5-5 when your client left, so the model you asked for."
    assert again.decision.sentence == said


@pytest.mark.parametrize(("status", "stop", "unknown"), [(499, "hangup", 1), (502, "error", 0)])
def test_what_a_client_left_is_unknown_and_what_a_provider_refused_is_free(
    talk: Talk, status: int, stop: str, unknown: int
) -> None:
    """The provider had the prompt, and may bill it: unknown is not nothing."""
    talk.answer(talk.send("hello"))
    talk.answer(talk.send("hello", "hi", "go on"), status=status, stop=stop)
    found = talk.router.events()
    assert Timeline(found).sessions["s1"].totals.unknown == unknown
    assert [lane.unknown for lane in recorded(found)] == [unknown]
