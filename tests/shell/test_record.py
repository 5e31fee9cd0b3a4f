"""The recorder: what passes through is what arrives, what is written reads back to the very bytes, and nothing leaks."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pointsman
from pointsman.errors import SettingsError
from pointsman.sandbox.faults import cut
from pointsman.sandbox.provider import Provider
from pointsman.sandbox.reply import say
from pointsman.shell import recording, resources
from pointsman.shell.launching import own_command
from pointsman.shell.record import Recorder, own_texts, session
from pointsman.shell.recording import Exchange, Recording, Response
from shell.support import until

HEADERS = {"x-api-key": "sk-1", "anthropic-version": "2023-06-01", "content-type": "application/json"}
SESSIONS = sorted(resources.folder("sessions").glob("*.jsonl"))


def ask(text: str, *earlier: str) -> bytes:
    """A Messages request whose history has ``earlier`` words."""
    talk = [{"role": "assistant" if n % 2 else "user", "content": words} for n, words in enumerate((*earlier, text))]
    return json.dumps({"model": "claude-sonnet-4-5", "max_tokens": 64, "stream": True, "messages": talk},
                      separators=(",", ":"), ensure_ascii=False).encode()


def recorded(recorder: Recorder, *own: str) -> Recording:
    return session(recorder.exchanges, client="claude", version="2", scenario="plain", own=own, private=[])


async def test_a_stream_passes_unchanged_and_is_kept(tmp_path: Path) -> None:
    async with Provider(script=lambda request: say("Hello there.")) as provider, Recorder(provider.url) as recorder:
        async with aiohttp.ClientSession() as client:
            async with client.post(recorder.url + "/v1/messages?beta=true", data=ask("Hi."), headers=HEADERS) as answer:
                text = await answer.text()
    file = tmp_path / "x.jsonl"
    recording.save(recorded(recorder, "Hi."), file)
    found = recording.load(file)
    (exchange,) = found.exchanges
    assert exchange.response is not None
    assert exchange.response.text == text
    assert exchange.response.events[-1].startswith("event: message_stop") and exchange.response.stop == "end"
    assert exchange.path == "/v1/messages?beta=true" and exchange.body == ask("Hi.")
    assert exchange.headers["x-api-key"] == "fake-key"
    assert (found.protocol, found.model) == ("messages", "claude-sonnet-4-5")
    assert "sk-1" not in file.read_text()


async def test_a_compressed_body_is_kept_decoded() -> None:
    async with Provider() as provider, Recorder(provider.url) as recorder, aiohttp.ClientSession() as client:
        headers = {**HEADERS, "content-encoding": "gzip"}
        async with client.post(recorder.url + "/v1/messages", data=gzip.compress(ask("Hi.")), headers=headers) as answer:
            assert answer.status == 200
    assert recorder.exchanges[0].body == ask("Hi.")


async def test_a_provider_that_breaks_off_and_a_client_that_hangs_up_are_told_apart() -> None:
    async with Provider(script=lambda request: say("word " * 400, seconds=5.0)) as provider, Recorder(provider.url) as recorder:
        provider.fault(cut("text"))
        async with aiohttp.ClientSession() as client:
            with pytest.raises(aiohttp.ClientError):
                async with client.post(recorder.url + "/v1/messages", data=ask("One."), headers=HEADERS) as answer:
                    await answer.read()
            provider.speed = 1.0
            async with client.post(recorder.url + "/v1/messages", data=ask("Two."), headers=HEADERS) as answer:
                await answer.content.readany()
                answer.close()
        await until(lambda: recorder.exchanges[-1].response is not None)
    stops = [exchange.response.stop for exchange in recorder.exchanges if exchange.response]
    assert stops == ["cut", "hangup"]


async def test_a_websocket_is_refused_with_426_and_a_dead_provider_is_a_502() -> None:
    async with Recorder("http://127.0.0.1:9") as recorder, aiohttp.ClientSession() as client:
        headers = {"connection": "Upgrade", "upgrade": "websocket"}
        async with client.get(recorder.url + "/v1/responses", headers=headers) as answer:
            assert answer.status == 426
        async with client.post(recorder.url + "/v1/messages", data=ask("Hi."), headers=HEADERS) as answer:
            assert answer.status == 502 and "cannot reach" in await answer.text()
    assert [e.response.status for e in recorder.exchanges if e.response] == [426, 502]


def exchange(n: int, body: bytes) -> Exchange:
    return Exchange(n, float(n), "POST", "/v1/messages", {}, body, Response(n + 0.1, n + 0.2, 200, {}, ("data: x\n\n",)))


def written(tmp_path: Path, *bodies: bytes) -> tuple[Recording, list[dict[str, object]]]:
    """The recording of these bodies, read back, and the lines it was written as."""
    whole = Recording("c", "1", "messages", "m", "s", "2026-11-22", tuple(exchange(n, b) for n, b in enumerate(bodies, 1)))
    recording.save(whole, tmp_path / "x.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text(encoding="utf-8").split("\n")[:-1]]
    found = recording.load(tmp_path / "x.jsonl")
    assert found == whole
    return found, lines


def test_a_longer_history_is_written_as_what_was_added(tmp_path: Path) -> None:
    _, lines = written(tmp_path, ask("a" * 500), ask("c", "a" * 500, "b"))
    second = next(line for line in lines if line["kind"] == "request" and line["n"] == 2)
    assert second["base"] == 1 and second["keep"] == 1
    assert [row["content"] for row in second["add"]] == ["b", "c"]  # type: ignore[attr-defined]


def test_bodies_come_back_byte_by_byte_whatever_their_style(tmp_path: Path) -> None:
    value = {"model": "m", "messages": [{"role": "user", "content": "é \u2028 \\ \" 🤖"}], "z": 1.5, "a": None}
    styles = [json.dumps(value, **options).encode() for options in recording.STYLES.values()]
    turned = json.dumps({"a": None, **value}, separators=(",", ":"), ensure_ascii=False).encode()
    deep = turned.replace(b'{"role":"user","content"', b'{"content":1,"role":"user","was"')
    written(tmp_path, *styles, turned, deep, b"", b"no json", b"[1, 2]", b'{"model" : "odd"}')


@given(st.lists(st.dictionaries(st.sampled_from(["model", "messages", "tools", "x"]),
                                st.one_of(st.lists(st.integers(0, 3)), st.text(max_size=5), st.none())), max_size=5))
def test_any_bodies_come_back(values: list[dict[str, object]]) -> None:
    import tempfile

    bodies = [json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass") for value in values]
    with tempfile.TemporaryDirectory() as folder:
        written(Path(folder), *[body for body in bodies if b"\xed" not in body])


@pytest.mark.parametrize(
    "line", ['{"kind":"session","format":2}', '{"kind":"odd"}', "[]", '{"kind":"request","n":1,"base":7}', "{"]
)
def test_a_file_that_is_no_recording_is_named_with_its_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "x.jsonl").write_text(line + "\n")
    with pytest.raises(ValueError, match=r"x\.jsonl:1: not a recorded session line"):
        recording.load(tmp_path / "x.jsonl")


@pytest.mark.parametrize("path", SESSIONS, ids=lambda path: path.stem)
def test_each_recorded_session_is_whole(path: Path, tmp_path: Path) -> None:
    found = recording.load(path)
    assert found.client and found.version and found.model and found.exchanges
    assert all(e.response is not None and e.response.stop in ("end", "hangup") for e in found.exchanges)
    assert [e.n for e in found.exchanges] == list(range(1, len(found.exchanges) + 1))
    recording.save(found, tmp_path / "again.jsonl")
    assert recording.load(tmp_path / "again.jsonl") == found


def test_the_sessions_show_what_their_names_say() -> None:
    found = {path.stem: recording.load(path) for path in SESSIONS}
    assert len(found) >= 12
    bodies = {name: b"".join(e.body for e in one.exchanges) for name, one in found.items()}
    heads = {name: [e.headers for e in one.exchanges] for name, one in found.items()}
    for name, body in bodies.items():
        if name.startswith("claude_code"):
            assert ("compaction" in name) == (b"CRITICAL: Respond with TEXT ONLY" in body), name
            assert ("compaction" in name) == (b"This session is being continued" in body), name
            assert ("interrupt" in name) == (b"[Request interrupted by user]" in body), name
            assert ("subagent" in name) == any("x-claude-code-agent-id" in head for head in heads[name]), name
            assert ("title" in name) == any("count_tokens" in e.path for e in found[name].exchanges), name
    assert any('"request_kind":"compaction"' in head["x-codex-turn-metadata"] for head in heads["codex-gpt-5-5-compaction"])
    assert any("cold_resume" in head["x-codex-turn-metadata"] for head in heads["codex-gpt-5-5-resume"])
    assert b"You are a title generator" in bodies["opencode-sonnet-4-5-plain"]
    assert any(e.response and e.response.stop == "hangup" for e in found["claude_code-opus-5-5-interrupt"].exchanges)


def test_own_texts_must_be_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("ours")
    assert own_texts([tmp_path]) == ["ours"]
    (tmp_path / "b.bin").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="b.bin: cannot be read as text"):
        own_texts([tmp_path])


AGENT = """
import json, os, sys, urllib.request as u
body = json.dumps({"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": sys.argv[1]}]})
head = {"x-api-key": "sk-9", "anthropic-version": "2023-06-01", "content-type": "application/json"}
u.urlopen(u.Request(os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages", body.encode(), head)).read()
sys.exit(3)
"""


async def test_the_command_records_an_agent_and_returns_its_code(tmp_path: Path) -> None:
    agent = tmp_path / "agent.py"
    agent.write_text(AGENT)
    out = tmp_path / "out.jsonl"
    async with Provider() as provider:
        process = await asyncio.create_subprocess_exec(
            *own_command(), "record", "--upstream", provider.url, "--out", str(out), "--client", "anthropic",
            "--", sys.executable, str(agent), "say a word", stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(pointsman.__file__).parents[1])},
        )
        output, errors = await process.communicate()
    assert process.returncode == 3, errors.decode()
    assert b"1 requests written to" in errors or b"1 request written to" in errors
    found = recording.load(out)
    assert found.exchanges[0].json()["messages"][0]["content"] == "say a word"
    assert "sk-9" not in out.read_text()
