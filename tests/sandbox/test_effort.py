"""The provider's own rules for an effort inside the history: when it acts, and what refuses it."""

from __future__ import annotations

from typing import Any

import pytest

from pointsman.sandbox.effort import effort_of, misplaced
from pointsman.sandbox.errors import Refused
from pointsman.sandbox.incoming import Incoming
from pointsman.sandbox.models import find
from pointsman.sandbox.rules import check

BETA = {"anthropic-beta": "mid-conversation-output-config-2026-07-01"}
OPUS = find("claude-opus-5-5")
ASTRA = find("gpt-6-astra")


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def said(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def effort(name: str, content: Any = ()) -> dict[str, Any]:
    return {"role": "system", "content": content or [], "output_config": {"effort": name}}


CALL = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "Bash", "input": {}}]}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "ok"}]}


def incoming(*messages: dict[str, Any], headers: dict[str, str] = BETA, model: str = "claude-opus-5-5") -> Incoming:
    body = {"model": model, "max_tokens": 9, "messages": list(messages), "output_config": {"effort": "medium"}}
    return Incoming("messages", "/v1/messages", model, False, headers, body)


@pytest.mark.parametrize(
    ("messages", "holds"),
    [
        ((user("a"),), "medium"),
        ((user("a"), effort("low")), "low"),
        ((user("a"), effort("low"), effort("high")), "high"),
        ((user("a"), said("b"), effort("low"), user("c")), "low"),
        ((user("a"), CALL, RESULT, effort("low")), "medium"),
        ((user("a"), CALL, RESULT, effort("low"), said("b"), user("c")), "low"),
        ((user("a"), effort("low"), said("b"), user("c"), CALL, RESULT), "low"),
    ],
)
def test_when_an_effort_message_acts(messages: tuple[dict[str, Any], ...], holds: str) -> None:
    assert OPUS is not None
    request = incoming(*messages)
    check(request, OPUS)
    assert effort_of(request, OPUS) == holds


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (incoming(user("a"), effort("low"), headers={}), "Extra inputs"),
        (incoming(user("a"), effort("tiny")), "not supported"),
        (incoming(user("a"), {"role": "system", "content": []}), "must have content"),
        (incoming(user("a"), effort("low", "Mind."), user("b")), "must follow"),
        (incoming(user("a"), said("b"), effort("low", "Mind."), user("c")), "must follow"),
    ],
)
def test_what_is_refused(request_: Incoming, words: str) -> None:
    assert OPUS is not None
    with pytest.raises(Refused, match=words):
        check(request_, OPUS)


def test_openais_update_acts_where_it_stands_and_only_in_responses() -> None:
    assert ASTRA is not None
    update = {"type": "configuration_update", "reasoning": {"effort": "high"}}
    body = {"model": "gpt-6-astra", "input": [{"type": "message", "role": "user", "content": "a"}, update]}
    request = Incoming("responses", "/v1/responses", "gpt-6-astra", False, {}, body)
    check(request, ASTRA)
    assert effort_of(request, ASTRA) == "high"
    chat = Incoming("chat", "/v1/chat/completions", "gpt-6-astra", False, {}, {"model": "gpt-6-astra", "messages": [update]})
    with pytest.raises(Refused):
        check(chat, ASTRA)


def test_a_system_message_with_words_stands_behind_a_user_turn() -> None:
    note = {"role": "system", "content": "Mind."}
    assert misplaced([user("a"), note]) is None and misplaced([user("a"), note, said("b")]) is None
    assert misplaced([note, user("a")]) == 0 and misplaced([user("a"), note, user("b")]) == 1
