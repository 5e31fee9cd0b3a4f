"""Who is speaking: sessions, lanes, turns, tasks, retries, forks, resumes and compaction, with and without client ids."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pointsman.core.lineage import Index, find, locate
from pointsman.core.messages import Message
from pointsman.core.session import Lane, Session
from pointsman.core.types import Config, Place, Request


def said(text: str, *facts: str) -> Message:
    """Words of the user."""
    return Message(hash(text) & 0xFFFF_FFFF, "user", "prompt", len(text), facts=facts)  # type: ignore[arg-type]


def answer(text: str) -> Message:
    return Message(hash(("a", text)) & 0xFFFF_FFFF, "assistant", "assistant", len(text))


def result(text: str, *facts: str) -> Message:
    return Message(hash(("r", text)) & 0xFFFF_FFFF, "user", "tool_result", len(text), facts=facts)  # type: ignore[arg-type]


def ask(*messages: Message, **more: object) -> Request:
    values: dict[str, object] = {
        "protocol": "messages", "path": "/v1/messages", "model": "claude-opus-5-5", "client": "claude_code",
        "session": "s1", "system": 11, "tools": 22, "messages": messages, "body_hash": hash(messages),
    }  # fmt: skip
    return Request(**{**values, **more})  # type: ignore[arg-type]


def after(
    session: Session | None, request: Request, place: Place, *, stop: str = "final", status: int = 200, at: float = 0.0
) -> Session:
    """The session as it is once ``request`` has been answered."""
    session = session or Session(id=place.session)
    lane = session.lanes.get(place.lane) or Lane(place.lane, place.kind)
    lane = replace(
        lane, messages=request.messages, tools=request.tools, system=request.system, requests=lane.requests + 1,
        asked=Config(request.model), current=Config(request.model), last_body=request.body_hash, last_id="x",
        last_stop=stop, last_status=status, last_start=at, turn=place.turn, task=place.task, turn_id=request.turn_id,
        speed=request.speed, plan=any("plan_mode" in m.facts for m in request.messages),
    )  # fmt: skip
    return replace(
        session, turn=place.turn, task=place.task, seen=at, client=request.client, run=request.run,
        lanes={**session.lanes, place.lane: lane},
    )  # fmt: skip


HELLO, DONE = said("fix the test"), answer("done")


def opened(**more: object) -> tuple[Session, Request]:
    first = ask(HELLO, **more)
    return after(None, first, locate(first, Session("s1"), 0.0)), first


def test_the_first_prompt_opens_turn_and_task() -> None:
    place = locate(ask(HELLO), Session("s1"), 5.0)
    assert (place.lane, place.relation, place.turn, place.task, place.new_turn) == ("main", "new", 1, 1, True)


def test_a_tool_result_continues_the_turn_and_a_prompt_opens_the_next() -> None:
    first = ask(HELLO)
    session = after(None, first, locate(first, Session("s1"), 0.0), stop="tool")
    loop = ask(HELLO, answer("run"), result("ok"))
    place = locate(loop, session, 10.0)
    assert (place.relation, place.turn, place.new_turn, place.in_loop, place.kept) == ("continue", 1, False, True, 1)
    session = after(session, loop, place, stop="final")
    place = locate(ask(*loop.messages, DONE, said("and the docs")), session, 20.0)
    assert (place.turn, place.new_turn, place.in_loop, place.task) == (2, True, False, 1)


def test_words_slipped_into_a_running_loop_steer_it_and_an_interrupt_opens_a_turn() -> None:
    first = ask(HELLO)
    session = after(None, first, locate(first, Session("s1"), 0.0), stop="tool")
    steer = ask(HELLO, answer("run"), said("use pytest please"))
    assert not locate(steer, session, 10.0).new_turn
    broken = ask(HELLO, answer("run"), said("stop, other file", "interrupt"))
    assert locate(broken, session, 10.0).new_turn


def test_an_equal_body_is_a_retry_and_no_new_turn() -> None:
    session, first = opened()
    place = locate(replace(first, stream=True), session, 3.0)
    assert (place.relation, place.turn, place.new_turn, place.retry_of) == ("retry", 1, False, "x")


def test_a_rewind_is_a_fork_and_a_summary_is_a_compaction() -> None:
    first = ask(HELLO, answer("1"), result("1"), answer("2"), result("2"), answer("3"), result("3"))
    session = after(None, first, locate(first, Session("s1"), 0.0), stop="final")
    assert locate(ask(HELLO, answer("1"), said("no, differently")), session, 5.0).relation == "fork"
    summary = ask(said("This session is being continued", "continued"))
    assert locate(summary, session, 5.0).relation == "compacted"


def test_another_start_in_the_same_session_is_a_clear_and_a_new_task() -> None:
    session, _ = opened()
    place = locate(ask(said("something else")), session, 60.0)
    assert (place.relation, place.turn, place.task) == ("new", 2, 2)


def test_a_long_pause_resumes_and_begins_a_new_task() -> None:
    session, first = opened()
    place = locate(ask(HELLO, DONE, said("good morning")), session, 9_000.0)
    assert (place.relation, place.new_task, place.task) == ("resume", True, 2)


def test_sub_agents_and_housekeeping_have_lanes_of_their_own_and_open_no_turn() -> None:
    session, _ = opened()
    helper = locate(ask(said("look around"), agent="a7"), session, 5.0)
    assert (helper.lane, helper.kind, helper.turn, helper.new_turn, helper.parent) == ("a7", "subagent", 1, False, "main")
    title = locate(ask(said("title please"), purpose="side"), session, 5.0)
    assert (title.lane, title.kind, title.turn, title.new_turn) == ("side", "side", 1, False)


def test_a_title_before_the_first_prompt_does_not_open_the_first_turn() -> None:
    title = ask(said("title please"), purpose="side")
    session = after(None, title, locate(title, Session("s1"), 0.0))
    assert locate(ask(HELLO), session, 1.0).turn == 1


@pytest.mark.parametrize(
    ("status", "stop", "changes", "move"),
    [
        (503, "error", {}, "fallback"),
        (429, "error", {}, "limit"),
        (200, "final", {"speed": "fast"}, "fast"),
        (200, "final", {"facts": ("plan_mode",)}, "opusplan"),
        (200, "final", {}, None),
    ],
)
def test_whose_move_a_changed_model_is(status: int, stop: str, changes: dict[str, object], move: str | None) -> None:
    first = ask(HELLO)
    session = after(None, first, locate(first, Session("s1"), 0.0), status=status, stop=stop)
    facts = changes.pop("facts", ())
    again = replace(first, model="claude-haiku-4-5", **changes)  # type: ignore[arg-type]
    if status == 200:
        again = replace(again, messages=(HELLO, DONE, said("next", *facts)), body_hash=7)  # type: ignore[misc]
    assert locate(again, session, 1.0).client_move == move


@pytest.mark.parametrize(("run", "model", "move"), [
    ("r2", "claude-opus-5-5", "resumed"), ("r1", "claude-opus-5-5", None), ("r2", "claude-haiku-4-5", None),
])  # fmt: skip
def test_a_resumed_client_that_goes_on_with_the_pinned_model_makes_no_pin(run: str, model: str, move: str | None) -> None:
    session, first = opened(model="claude-sonnet-5-5", run="r1")
    lane = replace(session.lanes["main"], current=Config("claude-opus-5-5"))
    session = replace(session, lanes={"main": lane})
    again = replace(first, run=run, model=model, messages=(HELLO, DONE, said("next")), body_hash=7)
    assert locate(again, session, 1.0).client_move == move


def test_a_client_without_ids_is_found_by_its_words() -> None:
    index, sessions = Index(), {}
    first = ask(HELLO, session=None, client="qwen")
    name = find(first, index, sessions)
    sessions[name] = after(None, first, replace(locate(first, Session(name), 0.0), session=name))
    index.add(first, name)
    assert find(ask(HELLO, DONE, said("more"), session=None, client="qwen"), index, sessions) == name
    other = find(ask(said("unrelated"), session=None, client="qwen"), index, sessions)
    assert other != name
    same_words = find(ask(HELLO, session=None, client="aider"), index, sessions)
    assert same_words != name


def test_housekeeping_without_an_id_goes_to_the_newest_session_of_its_run() -> None:
    index, sessions = Index(), {}
    for at, (name, run) in enumerate((("s1", "r1"), ("s2", "r2"))):
        first = ask(HELLO, session=name, client="codex", run=run)
        sessions[name] = after(None, first, locate(first, Session(name), 0.0), at=float(at))
    title = ask(said("title please"), session=None, client="codex", purpose="side", run="r1")
    assert find(title, index, sessions) == "s1"
    assert find(replace(title, run=None), index, sessions) == "s2"
    assert find(replace(title, run="r3"), index, sessions) == "run-r3"


def test_an_unmarked_sub_agent_is_told_by_its_system_prompt_and_tools() -> None:
    first = ask(HELLO, session=None, client="qwen", run="r1")
    assert find(first, Index(), {}) == "run-r1"
    session = after(None, first, locate(first, Session("run-r1"), 0.0), stop="tool")
    helper = ask(said("search the tree"), session=None, client="qwen", run="r1", system=77, tools=5)
    place = locate(helper, session, 1.0)
    assert (place.kind, place.turn) == ("subagent", 1)
    session = after(session, helper, place)
    back = locate(ask(HELLO, answer("ok"), result("found"), session=None, client="qwen", run="r1"), session, 2.0)
    assert (back.lane, back.relation) == ("main", "continue")


def test_codex_turns_go_by_their_ids() -> None:
    first = ask(HELLO, client="codex", turn_id="t1")
    session = after(None, first, locate(first, Session("s1"), 0.0), stop="tool")
    assert not locate(ask(HELLO, result("x"), turn_id="t1"), session, 1.0).new_turn
    assert locate(ask(HELLO, DONE, said("b"), turn_id="t2"), session, 1.0).new_turn


def test_a_client_that_moves_its_history_in_front_of_its_files_goes_on_in_its_session() -> None:
    """aider sends [files, prompt], then [prompt, answer, files, next prompt]: no shared start, but the user's own words."""
    files, index = Message(5, "user", "reminder", 400), Index()
    first = ask(files, HELLO, session=None, client="aider", tools=0)
    name = find(first, index, {})
    sessions = {name: after(None, first, replace(locate(first, Session(name), 0.0), session=name))}
    index.add(first, name)
    second = ask(HELLO, DONE, files, said("now the docs"), session=None, client="aider", tools=0)
    assert find(second, index, sessions) == name
    place = locate(second, sessions[name], 30.0)
    assert (place.lane, place.relation, place.turn, place.task) == ("main", "fork", 2, 1)


def test_a_summary_inside_a_turn_keeps_the_turn() -> None:
    first = ask(HELLO, client="codex", turn_id="t1")
    session = after(None, first, locate(first, Session("s1"), 0.0), stop="tool")
    opening = (Message(3, "user", "reminder", 9), Message(4, "user", "reminder", 9), Message(6, "user", "reminder", 9), HELLO)
    place = locate(ask(*opening, said("what was done", "continued"), client="codex", turn_id="t1"), session, 9.0)
    assert (place.relation, place.turn, place.new_task) == ("compacted", 1, False)


def test_the_last_words_said_again_alone_are_a_new_start() -> None:
    first = ask(HELLO, DONE, said("more"))
    session = after(None, first, locate(first, Session("s1"), 0.0))
    assert locate(ask(said("more")), session, 9.0).relation == "new"
