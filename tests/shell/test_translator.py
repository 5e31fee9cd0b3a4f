"""The gateway's side of translation without a gateway: answers that end, a worker that never answers."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from pointsman.core.targets import Target
from pointsman.errors import TranslationError
from pointsman.shell.streams import Through
from pointsman.shell.translation import translator
from pointsman.shell.translation.frames import Frame
from pointsman.shell.translation.translator import Spoken, Translator, job_of
from pointsman.shell.upstream import received
from shell.support import until


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
