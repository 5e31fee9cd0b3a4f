"""Clients that send no ids, in what no recording shows: qwen-code 0.24.4, cline 3.0.65, mini-swe-agent 2.4.6, as on the wire."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pointsman import Router, Settings
from pointsman.core.book import Book
from pointsman.core.events import Pinned
from pointsman.core.types import Place
from pointsman.shell.prices import load_book

T0 = 1_800_000_000.0
Message = dict[str, Any]


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book()


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def calls(n: int) -> Message:
    call = {"id": f"call_{n}", "type": "function", "function": {"name": "run", "arguments": '{"model":"x"}'}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def result(n: int, text: str = "ok") -> Message:
    return {"role": "tool", "tool_call_id": f"call_{n}", "content": text}


def said(text: str) -> Message:
    return {"role": "assistant", "content": text}


def tools(count: int) -> list[Message]:
    return [{"type": "function", "function": {"name": f"tool_{n}", "parameters": {"type": "object"}}} for n in range(count)]


class Client:
    """One installation of a client, speaking Chat Completions through one router."""

    def __init__(self, book: Book, agent: str, system: str, count: int) -> None:
        self.router = Router(Settings(), book)
        self.agent, self.system, self.count, self.model = agent, system, count, "gpt-6.1-sol"
        self.run: str | None = None
        self.now = T0

    def sends(self, *talk: Message, stop: str = "final", system: str = "", count: int | None = None, pause: float = 5.0,
              status: int = 200, **more: Any) -> Place:  # fmt: skip
        self.now += pause
        opening = {"role": "system", "content": system or self.system}
        body = {"model": self.model, "messages": [opening, *talk], "stream": True, **more}
        if count is None:
            count = self.count
        if count:
            body["tools"] = tools(count)
        route = self.router.route(
            path="/v1/chat/completions", headers={"User-Agent": self.agent, "Authorization": "Bearer k"},
            body=json.dumps(body).encode(), now=self.now, dice=0.5, run=self.run,
        )  # fmt: skip
        usage = {"prompt_tokens": 3_000, "completion_tokens": 9}
        self.router.finish(route.id, usage=usage, status=status, started=self.now, ended=self.now + 2, stop=stop)  # type: ignore[arg-type]
        assert route.decision.place.kind != "main" or not route.changed
        return route.decision.place


@pytest.fixture
def qwen(book: Book) -> Client:
    return Client(book, "QwenCode/0.24.4 (linux; x64)", "You are Qwen Code, an interactive CLI agent.", 17)


@pytest.fixture
def cline(book: Book) -> Client:
    return Client(book, "ai-sdk/openai-compatible/1.0", "You are Cline, a highly skilled software engineer.", 9)


@pytest.fixture
def mini(book: Book) -> Client:
    return Client(book, "OpenAI/Python 2.54.0", "You are a helpful assistant that can interact with a computer.", 0)


CONTEXT = user("This is the Qwen Code. We are setting up the context for our chat.\nToday's date is ...")
READY = said("Got it. Thanks for the context!")


def where(place: Place) -> tuple[str, int, bool, str]:
    return place.kind, place.turn, place.new_turn, place.relation


def test_qwen_turns_are_counted_by_the_words_of_its_user(qwen: Client) -> None:
    talk = [CONTEXT, READY, user("fix the test")]
    first = qwen.sends(*talk, stop="tool")
    assert where(first) == ("main", 1, True, "new")
    loop = qwen.sends(*talk, calls(1), result(1))
    assert where(loop) == ("main", 1, False, "continue") and loop.in_loop and loop.session == first.session
    second = qwen.sends(*talk, calls(1), result(1), said("Done."), user("now the docs"))
    assert where(second) == ("main", 2, True, "continue") and second.session == first.session


def test_qwens_unmarked_sub_agent_is_a_lane_of_its_own(qwen: Client) -> None:
    qwen.run = "r1"
    talk = [CONTEXT, READY, user("fix the test")]
    main = qwen.sends(*talk, stop="tool")
    helper = qwen.sends(user("search the tree"), system="You are a search specialist.", count=14, stop="tool")
    again = qwen.sends(user("search the tree"), calls(7), result(7), system="You are a search specialist.", count=14)
    assert (helper.kind, helper.turn, again.lane, again.session) == ("subagent", 1, helper.lane, main.session)
    back = qwen.sends(*talk, calls(1), result(1, "found"))
    assert (back.kind, back.lane, back.turn, back.relation) == ("main", "main", 1, "continue")
    assert not [event for event in qwen.router.events() if isinstance(event, Pinned)]


def test_qwens_next_speaker_check_is_housekeeping_and_counts_as_no_turn(qwen: Client) -> None:
    talk = [CONTEXT, READY, user("fix the test")]
    first = qwen.sends(*talk)
    schema = {"response_format": {"type": "json_schema", "json_schema": {"name": "next", "schema": {"type": "object"}}}}
    check = qwen.sends(*talk, said("Done."), user("Who should speak next?"), count=0, **schema)
    assert (check.kind, check.new_turn, check.session) == ("side", False, first.session)
    assert qwen.sends(*talk, said("Done."), user("thanks, next")).turn == 2


def test_qwen_started_twice_with_the_same_words_is_two_sessions_when_its_history_differs(qwen: Client) -> None:
    one = qwen.sends(CONTEXT, READY, user("fix the test"))
    other = qwen.sends(user("Today is another day."), READY, user("write a poem"))
    assert one.session != other.session


def test_clines_environment_is_no_prompt_and_its_session_goes_on(cline: Client) -> None:
    begin = user("<task>\nfix the test\n</task>\n<environment_details>\n# Files\ncalc.py\n</environment_details>")
    first = cline.sends(begin, stop="tool")
    loop = cline.sends(begin, calls(1), result(1), stop="tool")
    aside = cline.sends(begin, calls(1), result(1), calls(2), result(2), user("<environment_details>\nx\n</environment_details>"))
    assert where(first) == ("main", 1, True, "new") and where(loop) == ("main", 1, False, "continue")
    assert where(aside) == ("main", 1, False, "continue") and aside.session == first.session


def test_clines_outputs_as_text_are_results(cline: Client) -> None:
    begin = user("<task>\nfix the test\n</task>")
    cline.sends(begin, stop="final")
    place = cline.sends(begin, said("<execute_command>ls</execute_command>"), user("[execute_command for 'ls'] Result:\ncalc.py"))
    assert where(place) == ("main", 1, False, "continue") and place.in_loop


def test_a_mini_task_is_one_session_and_one_turn_however_many_rounds_it_takes(mini: Client) -> None:
    talk = [user("Please solve this issue: the sum is wrong.")]
    places = [mini.sends(*talk)]
    for n in range(6):
        talk += [said(f"THOUGHT: {n}\n```bash\nls {n}\n```"), user(f"<returncode>0</returncode>\n<output>\n{n}\n</output>")]
        places.append(mini.sends(*talk))
    assert {place.session for place in places} == {places[0].session}
    assert [place.turn for place in places] == [1] * 7 and all(place.in_loop for place in places[1:])
    other = mini.sends(user("Please solve another issue."))
    assert other.session != places[0].session


def test_a_retry_of_a_client_without_ids_is_no_turn(cline: Client) -> None:
    begin = user("<task>\nfix the test\n</task>")
    first = cline.sends(begin)
    assert where(cline.sends(begin, pause=1.0)) == ("main", 1, False, "retry") and first.turn == 1


def test_a_request_with_tools_is_work_even_where_it_wants_json(qwen: Client) -> None:
    schema = {"response_format": {"type": "json_schema", "json_schema": {"name": "plan", "schema": {"type": "object"}}}}
    assert where(qwen.sends(CONTEXT, READY, user("plan it"), **schema)) == ("main", 1, True, "new")


def test_two_conversations_that_begin_with_hi_are_two_sessions(cline: Client) -> None:
    one = cline.sends(user("hi"))
    cline.sends(user("hi"), said("Hello!"), user("mend the test"))
    other = cline.sends(user("hi"), pause=300.0)
    assert other.session != one.session and where(other) == ("main", 1, True, "new")
    goes_on = cline.sends(user("hi"), said("Hi there."), user("write the docs"))
    assert goes_on.session == other.session and goes_on.turn == 2
    back = cline.sends(user("hi"), said("Hello!"), user("mend the test"), said("Done."), user("thanks"))
    assert back.session == one.session and back.turn == 3


def test_the_first_request_again_after_an_error_is_a_retry_however_late(cline: Client) -> None:
    first = cline.sends(user("hi"), status=500, stop="error")
    assert where(cline.sends(user("hi"), pause=300.0)) == ("main", 1, False, "retry") and first.turn == 1
