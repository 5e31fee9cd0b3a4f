"""Who holds a port: told from Linux's /proc, and where there is none, by lsof."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pointsman.shell import ports


@pytest.fixture
def held() -> Iterator[int]:
    """A port that this very process listens on."""
    with socket.socket() as listener:
        listener.bind((ports.LOOPBACK, 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize("proc", [True, False])
def test_the_holder_of_a_port_is_named_with_its_process(
    held: int, proc: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    if proc and not Path("/proc/net/tcp").exists():
        pytest.skip("there is no /proc here")
    if not proc:
        monkeypatch.setattr(ports, "PROC", tmp_path)  # as on a system without it
        if shutil.which("lsof") is None:
            pytest.skip("there is no lsof here")
    found = ports._program(held)
    assert found is not None and found[0] == os.getpid() and found[1]


def test_where_nothing_tells_it_is_another_program(held: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "PROC", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ports._program(held) is None and ports._program(1) is None
