"""Scrubbing: no vendor's sentence and nothing private survives, sizes stay, equal stays equal, markers stay."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.shell import recording, resources, scrub
from pointsman.shell.recording import Exchange, Recording, Response
from pointsman.shell.scrub import MARKERS, PATTERNS, TAGS, Scrubber, filler, is_filler, own_lines, residue, spoken
from pointsman.wire.dialects import DIALECTS

SESSIONS = sorted(resources.folder("sessions").glob("*.jsonl"))
VENDOR = "You are a careful assistant of the house.\nIMPORTANT: never say 42, and speak “softly” – naïve café 日本 🤖."
OWN = "The test fails: mend it.\n    return a + b"


def session(body: dict[str, object], *events: str) -> Recording:
    answer = Response(0.1, 0.2, 200, {"content-type": "text/event-stream", "date": "today"}, events)
    headers = {"authorization": "Bearer sk-secret-1", "x-api-key": "sk-secret-2", "user-agent": "tool/1.0 (Debian 12; box)",
               "x-made-up": "some words of theirs", "session-id": "0199-aa"}
    raw = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return Recording("claude", "1", "messages", "m", "plain", "2026-11-22",
                     (Exchange(1, 0.0, "POST", "/v1/messages?key=sk-3", headers, raw, answer),))


def delta(piece: str) -> str:
    """One event of a stream that brings a tool's arguments."""
    value = {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": piece}}
    return f"event: content_block_delta\ndata: {json.dumps(value, separators=(',', ':'))}\n\n"


@given(st.text())
def test_filler_keeps_length_utf8_size_and_json_size(text: str) -> None:
    text = text.encode("utf-8", "ignore").decode()
    done = Scrubber().text(text)
    assert len(done) == len(text)
    assert len(done.encode()) == len(text.encode())
    for ascii_only in (True, False):
        assert len(json.dumps(done, ensure_ascii=ascii_only)) == len(json.dumps(text, ensure_ascii=ascii_only))
    assert Scrubber().text(text) == done


@given(st.text(alphabet="abcdefghij \n", min_size=0, max_size=300), st.text(alphabet="xyz \n", max_size=40),
       st.text(alphabet="uvw \n", max_size=40))
def test_texts_that_begin_alike_stay_alike_up_to_the_line_where_they_part(start: str, one: str, two: str) -> None:
    kept = start[: start.rfind("\n") + 1]
    left, right = Scrubber().text(start + one), Scrubber().text(start + two)
    assert left[: len(kept)] == right[: len(kept)] == Scrubber().text(kept)


@given(st.lists(st.text(alphabet=st.characters(categories=["Ll", "Lu"], max_codepoint=127), min_size=16), min_size=2, max_size=8,
                unique=True))
def test_different_lines_get_different_filler(lines: list[str]) -> None:
    made = [filler(line) for line in lines]
    assert len(set(made)) == len(made)
    assert all(is_filler(line) for line in made)


def test_a_sentence_of_anyone_is_not_filler() -> None:
    for line in VENDOR.split("\n"):
        assert not is_filler(line)
        assert is_filler(Scrubber().text(line))
    assert not is_filler("naïve") and not is_filler("日本")


@pytest.mark.parametrize("marker", [m for m in MARKERS if re.search(r"\w", m)])
def test_a_marker_stays_where_it_stands(marker: str) -> None:
    done = Scrubber().text(f"before it {marker} and after")
    assert done[10 : 10 + len(marker)] == marker
    assert is_filler(done[:9]) and is_filler(done[10 + len(marker) :])
    assert len(marker) <= 80


def test_markers_with_a_value_stay() -> None:
    said = "x-anthropic-billing-header: cc_version=2.1.330.74b; cc_entrypoint=cli; cc_is_subagent=true;"
    assert Scrubber().text(said) == said
    assert Scrubber().text("Exit code 127").startswith("Exit code 127")
    assert Scrubber().text("<cwd>/home/me</cwd>").startswith("<cwd>/")
    assert "/home/me" not in Scrubber().text("<cwd>/home/me</cwd>")


def test_what_the_gateway_reads_of_recorded_clients_survives() -> None:
    kept = Scrubber()
    for client in DIALECTS:
        dialect = DIALECTS[client]
        for text in (*dialect.interrupts, *dialect.continued, *dialect.summarise, *dialect.plan, *dialect.folders):
            text = text.partition("\\n")[0]  # a marker in raw JSON may go over a line's end
            whole = text if text.endswith((" ", ">")) else f"{text} "
            padded = f"{text} by user]" if text == "[Request interrupted by user" else whole
            head = "[Request interrupted by user]" if padded.endswith("by user]") else padded
            if text == "This session is being continued from":
                head = "This session is being continued from a previous conversation"
            assert kept.text(head).startswith(text.strip()[:80]), text


def test_a_request_keeps_names_and_our_words_and_loses_theirs() -> None:
    tool = {"name": "Read", "description": VENDOR, "input_schema": {
        "type": "object", "$schema": "https://json-schema.org/draft/2020-12/schema", "required": ["file_path"],
        "properties": {"file_path": {"type": "string", "description": "The path of the file to read"},
                       "mode": {"enum": ["fast", "slow"], "default": "whatever they like"}}}}
    body = {
        "model": "claude-sonnet-4-5",
        "system": [{"type": "text", "text": VENDOR, "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "tools": [tool], "metadata": {"user_id": '{"device_id":"ab12cd","session_id":"5f-9"}'},
        "messages": [{"role": "user", "content": [{"type": "text", "text": f"<system-reminder>\n{VENDOR}\n</system-reminder>"},
                                                  {"type": "text", "text": OWN.split("\n")[0]}]},
                     {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "Read",
                                                        "input": {"file_path": "/home/alice/calc.py"}}]},
                     {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1",
                                                   "content": "     7→    return a + b\n<note>mind their words</note>"}]}],
    }  # fmt: skip
    raw = session(body, delta('{"file_path":"/home/ali'), delta('ce/calc.py"}'))
    done = scrub.scrub(raw, [OWN], ["/home/alice", "alice"])
    text = done.exchanges[0].body.decode()
    value = done.exchanges[0].json()
    assert len(text) == len(raw.exchanges[0].body.decode())
    for gone in ("careful", "IMPORTANT", "path of the file", "whatever", "their words", "alice", "ab12cd"):
        assert gone not in text, gone
    for kept in ("Read", "file_path", "fast", "slow", "claude-sonnet-4-5", "5f-9", "1h", "draft/2020-12", "<system-reminder>"):
        assert kept in text, kept
    assert value["messages"][0]["content"][1]["text"] == "The test fails: mend it."
    assert value["messages"][2]["content"][0]["content"].startswith("     7→    return a + b\n")
    path = value["messages"][1]["content"][0]["input"]["file_path"]
    assert path.endswith("/calc.py") and len(path) == len("/home/alice/calc.py")
    assert not list(residue(value, own_lines(done.own) | spoken(done.exchanges)))
    assert scrub.scrub(raw, [OWN], ["/home/alice", "alice"]) == done


def test_headers_lose_credentials_and_machines() -> None:
    done = scrub.scrub(session({"model": "m", "messages": []})).exchanges[0]
    assert done.headers["authorization"] == "Bearer fake-key"
    assert done.headers["x-api-key"] == "fake-key"
    assert done.headers["user-agent"].startswith("tool/1.0 (") and "Debian" not in done.headers["user-agent"]
    assert is_filler(done.headers["x-made-up"])
    assert done.headers["session-id"] == "0199-aa"
    assert "sk-3" not in done.path
    assert done.response is not None and "date" not in done.response.headers


def test_an_answer_that_repeats_the_request_is_emptied_there() -> None:
    event = json.dumps({"type": "response.created", "response": {"id": "r", "instructions": VENDOR, "tools": [{"name": "x"}]}})
    done = scrub.scrub(session({"model": "m", "input": []}, f"event: response.created\ndata: {event}\n\n"))
    response = done.exchanges[0].response
    assert response is not None
    value = json.loads(response.events[0].split("data: ")[1])
    assert value["response"] == {"id": "r", "instructions": None, "tools": []}


def test_mail_addresses_go_even_from_our_own_texts() -> None:
    done = Scrubber(own_lines(["write to me@example.org now"])).text("write to me@example.org now")
    assert "me@example.org" not in done and len(done) == len("write to me@example.org now")


@pytest.mark.parametrize("path", SESSIONS, ids=lambda path: path.stem)
def test_the_recordings_hold_nothing_but_filler_markers_and_our_own_words(path: Path) -> None:
    found = recording.load(path)
    own = own_lines(found.own) | spoken(found.exchanges)
    assert found.exchanges
    for exchange in found.exchanges:
        if exchange.body:
            assert not list(residue(exchange.json(), own)), (path.name, exchange.n)
        for secret in scrub.SECRET_HEADERS:
            assert exchange.headers.get(secret, scrub.SECRET_HEADERS[secret]) == scrub.SECRET_HEADERS[secret]


@pytest.mark.parametrize("path", SESSIONS, ids=lambda path: path.stem)
def test_scrubbing_a_recording_again_changes_only_filler(path: Path) -> None:
    """Sizes and shared prefixes of a scrubbed session are those of what was scrubbed."""
    found = recording.load(path)
    again = scrub.scrub(replace(found, exchanges=found.exchanges[:4]), found.own)
    for before, after in zip(found.exchanges[:4], again.exchanges, strict=True):
        assert len(before.body) == len(after.body)
    pairs = zip(found.exchanges[:4], found.exchanges[1:4], strict=False)
    for n, (one, two) in enumerate(pairs):
        assert shared(one.body, two.body) == shared(again.exchanges[n].body, again.exchanges[n + 1].body)


def shared(one: bytes, two: bytes) -> int:
    """Length of the common start of two bodies in whole lines of JSON text (a line break is two bytes there)."""
    length = next((n for n, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
    return one.rfind(b"\\n", 0, length)


def test_the_readme_lists_every_marker() -> None:
    text = (resources.folder("sessions") / "README.md").read_text(encoding="utf-8")
    assert all(marker in text for marker in MARKERS)
    assert all(f"`{tag}`" in text for tag in TAGS)
    assert all(f"`{pattern}`" in text for pattern in PATTERNS[:-1])
    assert all(path.stem in text for path in SESSIONS)
