"""The canonical hash: what clients vary does not change it, what the model sees does. And the memo that saves decoding."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.core.types import Protocol
from pointsman.wire import Memo, digest, read
from pointsman.wire.digest import canonical_hash

TEXTS = st.text(max_size=20)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)
TEXT_BLOCKS = st.fixed_dictionaries({"type": st.just("text"), "text": TEXTS})
CALLS = st.fixed_dictionaries(
    {"type": st.just("tool_use"), "id": TEXTS, "name": TEXTS, "input": st.dictionaries(TEXTS, VALUES, max_size=3)}
)
RESULTS = st.fixed_dictionaries(
    {"type": st.just("tool_result"), "tool_use_id": TEXTS, "content": TEXTS | st.lists(TEXT_BLOCKS, max_size=2)}
)
MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant"]), "content": st.lists(TEXT_BLOCKS | CALLS | RESULTS, max_size=4)}
)


def shuffled(value: Any) -> Any:
    """The same JSON with every object's keys in reverse order."""
    if isinstance(value, dict):
        return {name: shuffled(value[name]) for name in reversed(value)}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


def marked(message: dict[str, Any]) -> dict[str, Any]:
    """The same message with cache marks wherever a client may set one."""
    mark = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    blocks = []
    for block in message["content"]:
        inner = block.get("content")
        nested = {"content": [{**part, **mark} for part in inner]} if isinstance(inner, list) else {}
        blocks.append({**block, **nested, **mark})
    return {**message, "content": blocks}


@given(MESSAGES)
def test_marks_and_key_order_do_not_change_the_hash(message: dict[str, Any]) -> None:
    assert canonical_hash("messages", shuffled(marked(message))) == canonical_hash("messages", message)


@given(TEXTS, st.sampled_from(["messages", "chat", "responses"]), st.sampled_from(["user", "assistant"]))
def test_a_string_is_one_text_block(text: str, protocol: Protocol, role: str) -> None:
    kind = "text" if protocol != "responses" else "output_text" if role == "assistant" else "input_text"
    block = {"role": role, "content": [{"type": kind, "text": text}]}
    assert canonical_hash(protocol, {"role": role, "content": text}) == canonical_hash(protocol, block)


@given(MESSAGES, MESSAGES)
def test_other_messages_have_other_hashes(one: dict[str, Any], other: dict[str, Any]) -> None:
    def seen(message: dict[str, Any]) -> str:
        blocks = []
        for block in message["content"]:
            inner = block.get("content")
            blocks.append({**block, "content": [{"type": "text", "text": inner}]} if isinstance(inner, str) else block)
        return json.dumps({**message, "content": blocks}, sort_keys=True)

    assert (canonical_hash("messages", one) == canonical_hash("messages", other)) == (seen(one) == seen(other))


def test_arguments_of_a_call_are_the_models_own_words() -> None:
    def call(**arguments: Any) -> dict[str, Any]:
        return {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "Edit", "input": arguments}]}

    assert canonical_hash("messages", call(cache_control="a")) != canonical_hash("messages", call(cache_control="b"))


def test_tools_and_system_ignore_marks_too(claude: Any) -> None:
    plain = claude.says("hi").read()
    claude.body["tools"][0]["cache_control"] = {"type": "ephemeral"}
    claude.body["system"][1].pop("cache_control")
    marked_too = claude.read()
    assert (marked_too.tools, marked_too.system) == (plain.tools, plain.system)
    claude.body["tools"][0]["description"] = "Run two commands."
    assert claude.read().tools != plain.tools


def test_a_moving_mark_keeps_the_prefix(claude: Any) -> None:
    first = claude.says("fix it").marks_last().read()
    second = claude.calls().returns("ok").marks_last().read()
    assert [m.hash for m in second.messages[:1]] == [m.hash for m in first.messages]
    assert first.messages[0].mark_s == 300 and second.messages[0].mark_s is None


def test_only_new_messages_are_decoded(claude: Any) -> None:
    claude.says("fix it")
    for turn in range(20):
        claude.calls(f"pytest -k {turn}").returns("ok " * turn)
    claude.read()
    known = len(claude.memo.messages)
    claude.read()
    assert len(claude.memo.messages) == known == 41
    claude.calls("ls").returns("new").read()
    assert len(claude.memo.messages) == known + 2


def test_the_memo_changes_nothing_but_time(claude: Any) -> None:
    claude.says("fix it").calls().returns("1 failed in 0.1s", error=True).marks_last()
    fresh = read(claude.protocol, claude.path, claude.headers, claude.bytes(), titles=True)
    assert claude.read(titles=True) == claude.read(titles=True) == fresh


def test_one_memo_serves_clients_that_speak_differently(claude: Any, chat: Any) -> None:
    claude.memo = chat.memo = Memo()
    claude.body[claude.history] = chat.messages[1:]
    text = "<task-notification>done</task-notification>"
    assert claude.says(text).read().messages[-1].kind == "reminder"
    chat.messages.append(claude.messages[-1])
    assert chat.read().messages[-1].kind == "prompt"


@given(st.lists(st.integers(0, 50), max_size=200), st.integers(2, 20))
@settings(max_examples=50)
def test_a_memo_is_bounded_and_never_wrong(keys: list[int], size: int) -> None:
    kept: digest.Generations[int] = digest.Generations(size)
    for key in keys:
        found = kept.get(key)
        assert found is None or found == key * 7
        kept.put(key, key * 7)
        assert len(kept) <= size + 1 and kept.get(key) == key * 7


def test_a_responses_item_without_a_type_is_a_message(codex: Any) -> None:
    codex.says("fix it")
    named = codex.read().messages[-1].hash
    codex.body[codex.history][-1] = {k: v for k, v in codex.body[codex.history][-1].items() if k != "type"}
    assert codex.read().messages[-1].hash == named
    codex.body[codex.history][-1]["type"] = "message"
    assert codex.read().messages[-1].hash == named
