"""The gateway's side of translation without a gateway: answers that end, a worker that never answers."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from pointsman.core.targets import Target
from pointsman.errors import TranslationError, UpstreamError
from pointsman.shell.streams import Through
from pointsman.shell.translation import translator
from pointsman.shell.translation.frames import Frame, packed
from pointsman.shell.translation.translator import Spoken, Translator, job_of
from pointsman.shell.upstream import received
from shell.support import client, serving, until


async def test_an_answer_that_brings_nothing_after_its_beginning_ends() -> None:
    """What the translation had to say before the provider answered is followed by the end, and by nothing else."""
    arrived = asyncio.Queue[Frame]()
    arrived.put_nowait(Frame("end", 1))
    spoken = Spoken("host", True, Through(), b"event: message_start\n\n", arrived, lambda: None)
    async with asyncio.timeout(60):
        assert [await received(spoken), await received(spoken), await received(spoken)] == [b"event: message_start\n\n", b"", b""]


async def test_a_worker_that_never_answers_is_ended_before_another_one_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle = tmp_path / "idle"
    idle.write_text("#!/bin/sh\nexec sleep 60\n")
    idle.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(idle))
    monkeypatch.setattr(translator, "READY_S", 0.2)
    found = Translator()
    job = job_of("messages", "chat", Target("m"), stream=True, effort=None, cache_key="k", prompt=1, read=0)

    async def send(body: bytes) -> None:
        raise AssertionError("there is nothing to send")

    asked = [found.translate(job, b"{}", send) for _ in range(3)]  # type: ignore[arg-type]
    failed = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(error, TranslationError) and "in time" in str(error) for error in failed), failed
    process = found._process
    assert process is not None
    await until(lambda: process.returncode is not None)
    assert not found.started
    await found.close()


async def test_a_worker_that_is_being_started_ends_with_the_gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    idle = tmp_path / "idle"
    idle.write_text("#!/bin/sh\nexec sleep 600\n")
    idle.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(idle))
    for rounds in range(12):  # wherever in its start it is
        found = Translator()
        found.warm()
        for _ in range(rounds):
            await asyncio.sleep(0)
        await found.close()
        assert found._starting is not None and found._starting.done()
        assert found._process is None or found._process.returncode is not None


def silent(folder: Path, *frames: Frame) -> Path:
    """A worker that is ready, says these frames once it is told anything, and then nothing more."""
    (folder / "ready").write_bytes(packed(Frame("ready")))
    (folder / "frames").write_bytes(b"".join(map(packed, frames)))
    script = folder / "worker"
    script.write_text(f"#!/bin/sh\ncat {folder}/ready\nhead -c 1 > {folder}/heard\ncat {folder}/frames\nexec sleep 60\n")
    script.chmod(0o755)
    return script


JOB = job_of("messages", "chat", Target("m"), stream=True, effort=None, cache_key="k", prompt=1, read=0)


async def test_a_worker_that_hangs_is_ended_and_another_one_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(silent(tmp_path)))
    monkeypatch.setattr(translator, "TRANSLATE_S", 0.2)
    monkeypatch.setattr(translator, "LIVED_S", 0.0)
    monkeypatch.setattr(translator, "REHEARSES_S", 0.0)
    found = Translator()

    async def send(body: bytes) -> None:
        raise AssertionError("there is nothing to send")

    with pytest.raises(TranslationError, match="took longer"):
        await found.translate(JOB, b"{}", send)  # type: ignore[arg-type]  # it is never called
    first = found._process
    assert first is not None
    await until(lambda: first.returncode is not None)
    await until(lambda: found.pid not in (None, first.pid))
    await found.close()


async def test_an_answer_that_the_worker_never_ends_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider has said all; the worker sends the request and then hangs."""
    monkeypatch.setattr(sys, "executable", str(silent(tmp_path, Frame("send", 1, b"{}"))))
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=b"data: [DONE]\n\n", content_type="text/event-stream")

    found = Translator()
    async with serving(handler) as url, client() as c:

        async def send(body: bytes) -> aiohttp.ClientResponse:
            monkeypatch.setattr(translator, "TRANSLATE_S", 0.1)  # from here on: translating what was asked may take its time
            return await c.post(url, data=body)

        spoken = await found.translate(JOB, b"{}", send)
        with pytest.raises(UpstreamError, match="took longer"):
            await received(spoken)
        spoken.close()
    await found.close()
