"""``pointsman serve`` becomes the gateway: the same process, its settings carried over, and little memory."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from pointsman.settings import load
from pointsman.shell.launching import own_command
from pointsman.shell.served import Served, served

MEMORY_MB = 60
"""What the gateway's process may take (issue 6)."""


def test_settings_survive_the_way(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(
        'pool = ["claude-haiku-5-5", "gpt-6-luna"]\n[keys]\nopenai = "MY_KEY"\n[upstreams]\nanthropic = "http://127.0.0.1:9/a"\n'
        '[deployments.spare]\nurl = "http://127.0.0.1:9/b"\nvendor = "anthropic"\n[fallbacks]\nanthropic = ["spare"]\n'
        '[prices."m"]\ninput = 1.0\noutput = 2.0\n'
    )
    given = load(file)
    plain = msgspec.json.decode(msgspec.json.encode(served(given)), type=Served)
    assert plain == served(given) and plain.policy() == given.policy()
    assert plain.keys == {"openai": "MY_KEY"} and plain.deployments["spare"].vendor == "anthropic"
    assert plain.fallbacks == {"anthropic": ("spare",)} and plain.prices["m"]["output"] == 2.0
    assert plain.origin("fallbacks") == given.origin("fallbacks")


POUR = """
import fcntl, os, sys
from pointsman.shell.served import pour
ours, theirs = os.pipe()
if hasattr(fcntl, "F_SETPIPE_SZ"):  # as small as another system's
    fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, 4096)
data = os.urandom(int(sys.argv[1]))
pour(data, ours, theirs)
with os.fdopen(ours, "rb") as pipe:
    sys.exit(0 if pipe.read() == data else 1)
"""


@pytest.mark.parametrize("size", [100, 20_000, 300_000])
def test_settings_go_through_a_pipe_of_any_size(size: int) -> None:
    subprocess.run([sys.executable, "-c", POUR, str(size)], check=True, timeout=60)


async def test_serve_is_one_process_and_small(tmp_path: Path) -> None:
    env = {**os.environ, "POINTSMAN_HOME": str(tmp_path), "POINTSMAN_CONFIG": str(tmp_path / "config.toml")}
    process = await asyncio.create_subprocess_exec(
        *own_command(), "serve", "--port", "0", "--upstream", "http://127.0.0.1:9", "--schedule", "2:cheaper", env=env,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None and process.stderr is not None
        line = await asyncio.wait_for(process.stdout.readline(), 120)
        assert b"listens on http://127.0.0.1:" in line, (line, await process.stderr.read())
        status = Path(f"/proc/{process.pid}/status")
        if not status.exists():
            pytest.skip("memory is read from /proc, which this system has not")
        fields = dict(row.split(":", 1) for row in status.read_text().splitlines())
        assert int(fields["VmRSS"].split()[0]) / 1024 < MEMORY_MB
        assert b"pointsman.shell" in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    finally:
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 120) == 0
