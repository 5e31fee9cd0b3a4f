"""Values are changed by address: only the one that is meant, whatever else the body holds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.core.targets import Target
from pointsman.core.types import Config
from pointsman.errors import WireError
from pointsman.wire import read, write
from pointsman.wire.splice import Change, elements, open_body, splice

NAMES = st.sampled_from(["model", "messages", "input", "a", "é", "тест", "\u2028", " ", "x" * 30, "model ", "Model"])
TEXTS = st.text(max_size=12) | st.sampled_from(['"model":"x"', '\\"model\\":', "}", "],", "\\", '{"model": 1}'])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=10
)
STYLES = st.sampled_from(
    [{}, {"separators": (",", ":")}, {"indent": 2}, {"ensure_ascii": False}, {"ensure_ascii": False, "indent": "\t"}]
)
ANY = Target("claude-sonnet-5-5", known=True, tools=True, system_messages=True, effort_messages=True, tool_reference=True)


def spelled(fields: dict[str, Any], style: dict[str, Any]) -> bytes:
    """A body whose own keys carry no escapes, as no client writes them."""
    return json.dumps(fields, **{**style, "ensure_ascii": False}).encode(errors="surrogatepass")


@given(st.dictionaries(NAMES, VALUES, max_size=6), st.integers(0, 6), TEXTS, STYLES)
def test_only_the_addressed_value_differs(others: dict[str, Any], place: int, new: str, style: dict[str, Any]) -> None:
    items = [(name, value) for name, value in others.items() if name != "model"]
    items.insert(place, ("model", "claude-opus-5-5"))
    body = spelled(dict(items), style)
    opened = open_body(body)
    change = Change(opened)
    change.set("model", json.dumps(new).encode())
    out = splice(body, change.edits())
    start, end = opened.spans["model"]
    assert out[:start] == body[:start] and out[len(out) - (len(body) - end) :] == body[end:]
    assert json.loads(out) == {**dict(items), "model": new}


@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=6), st.sets(NAMES), st.dictionaries(NAMES, VALUES, max_size=3), STYLES)
def test_fields_go_and_come_with_their_commas(
    fields: dict[str, Any], gone: set[str], new: dict[str, Any], style: dict[str, Any]
) -> None:
    body = spelled(fields, style)
    change = Change(open_body(body))
    change.gone += [name for name in gone if name not in new]
    for name, value in new.items():
        change.set(name, json.dumps(value).encode())
    kept = {name: value for name, value in fields.items() if name not in gone or name in new}
    if not kept and new:
        return  # every field replaced by new ones: no body of ours is emptied
    assert json.loads(splice(body, change.edits())) == {**kept, **new}


@given(st.lists(VALUES, max_size=6), STYLES)
def test_elements_of_an_array_have_addresses_too(items: list[Any], style: dict[str, Any]) -> None:
    body = spelled({"x": 1, "messages": items}, style)
    opened = open_body(body)
    found = elements(body, opened.spans["messages"][0], opened.fields["messages"], "`messages`")
    assert [json.loads(body[start:end]) for _, (start, end) in found] == items


@given(st.lists(st.dictionaries(NAMES, VALUES, max_size=3), max_size=3), st.booleans(), STYLES)
def test_a_tool_argument_named_model_is_never_hit(arguments: list[dict[str, Any]], first: bool, style: dict[str, Any]) -> None:
    calls = [{"type": "tool_use", "id": "t", "name": "Task", "input": {"model": "claude-opus-5-5", **a}} for a in arguments]
    history = {"messages": [{"role": "user", "content": "go"}, {"role": "assistant", "content": calls}]}
    model = {"model": "claude-opus-5-5"}
    body = spelled({**model, **history, "max_tokens": 9} if first else {"max_tokens": 9, **history, **model}, style)
    request = read("messages", "/v1/messages", {}, body)
    out, path = write("messages", "/v1/messages", body, request, Config("claude-sonnet-5-5"), ANY)
    assert path == "/v1/messages"
    assert json.loads(out) == {**json.loads(body), "model": "claude-sonnet-5-5"}
    assert len(out) - len(body) == len("claude-sonnet-5-5") - len("claude-opus-5-5")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"model":"a","messages":[],"model":"b"}', "'model' twice"),
        (b'{"model":"aaa","messages":[],"model":"b"}', "'model' twice"),
        (b'{"mod\\u0065l":"a","messages":[]}', "with escapes"),
        (b'{"messages":[],"messages":[1]}', "'messages' twice"),
        (b"", "empty"),
        (b"[]", "not a JSON object"),
        (b'{"model":"a"', "not valid JSON"),
        (b'{"model":"a"} {}', "not valid JSON"),
        (b"\x1f\x8b\x08", "not valid JSON"),
    ],
)
def test_an_ambiguous_or_broken_body_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(WireError, match=words):
        open_body(body)


def test_nothing_to_change_gives_the_same_object_back() -> None:
    body = b'{"model": "a"}'
    assert splice(body, []) is body
