"""Ports of this machine: who holds one, and which is free. Loopback only."""

from __future__ import annotations

import http.client
import json
import re
import socket
import subprocess
from pathlib import Path
from typing import Any

from pointsman.errors import SettingsError

LOOPBACK = "127.0.0.1"

PROC = Path("/proc")
"""Where Linux tells of its processes."""

LSOF_S = 3.0
"""Seconds that naming a listener may take: it is a help in a sentence, and no more."""

HEALTH_S = 5.0
"""Seconds a gateway may take to say how it is: where nobody listens the answer is there at once, and one that is only busy must
not be taken for one that is not there."""


class PortInUse(SettingsError):
    """A port that somebody else holds; ``free`` is one that nobody does."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.free = free_port()
        super().__init__(f"port {port} is in use by {holder(port)}: stop it, or take the free --port {self.free}")


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def health(port: int, timeout: float = HEALTH_S) -> dict[str, Any] | None:
    """What the gateway on ``port`` says about itself, or None when there is none."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=timeout)
    try:
        connection.request("GET", "/_pointsman/health")
        answer = connection.getresponse()
        said = json.loads(answer.read(65_536)) if answer.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return said if isinstance(said, dict) and said.get("pointsman") is True else None


def holder(port: int) -> str:
    """Who listens on ``port``, in words: a gateway of ours, a program with its process id, or "another program"."""
    ours = health(port, 1.0)  # whoever holds it may never answer
    if ours is not None:
        return f"pointsman {ours.get('version')} (process {ours.get('pid')}), which can be used as it is"
    found = _program(port)
    return f"{found[1]} (process {found[0]})" if found else "another program"


def _program(port: int) -> tuple[int, str] | None:
    """Process id and name of the listener on ``port``, from Linux's /proc, else from lsof; None where that cannot be told."""
    return _by_proc(port) if (PROC / "net" / "tcp").exists() else _by_lsof(port)


def _by_lsof(port: int) -> tuple[int, str] | None:
    """The listener as ``lsof -F`` tells it: a line p with the process id, then a line c with the name (macOS, BSD)."""
    command = ["lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=LSOF_S, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"^p(\d+)\nc(.+)$", said, re.MULTILINE)
    return (int(found[1]), found[2]) if found else None


def _by_proc(port: int) -> tuple[int, str] | None:
    sockets = {f"socket:[{inode}]" for inode in _listening(port)}
    if not sockets:
        return None
    for process in PROC.glob("[0-9]*"):
        try:
            if any(str(link.readlink()) in sockets for link in (process / "fd").iterdir()):
                return int(process.name), (process / "comm").read_text().strip()
        except OSError:
            continue
    return None


def _listening(port: int) -> set[str]:
    """Inodes of the sockets that listen on ``port`` (/proc/net/tcp: local address, state 0A, inode in column 10)."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = (PROC / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for columns in map(str.split, lines):
            if columns[3] == "0A" and int(columns[1].rpartition(":")[2], 16) == port:
                inodes.add(columns[9])
    return inodes
