"""Whether fallbacks form a cycle: asked once when settings are read, in a process of its own (networkx takes 24 MB)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping

from pointsman.errors import SettingsError

LIMIT_S = 20.0


def refuse_cycles(fallbacks: Mapping[str, Iterable[str]], origin: str) -> None:
    """Raise SettingsError that shows a cycle in ``fallbacks`` (name to the names that take over); ``origin``: file and line."""
    if not fallbacks:
        return
    edges = [[name, other] for name, others in fallbacks.items() for other in others]
    try:
        found = subprocess.run(
            [sys.executable, "-P", "-m", "pointsman.shell.failover.cycles"],
            input=json.dumps(edges), capture_output=True, text=True,
            timeout=LIMIT_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SettingsError(f"{origin}: the fallbacks could not be checked: {error}; start again") from error
    if found.returncode:
        raise SettingsError(f"{origin}: the fallbacks could not be checked: {found.stderr.strip().rpartition(chr(10))[2]}")
    cycle = json.loads(found.stdout)
    if cycle:
        way = " → ".join([*cycle, cycle[0]])
        raise SettingsError(f"{origin}: fallbacks leads in a circle, {way}: take one of them out")


def _main() -> None:
    import networkx  # type: ignore[import-untyped]  # it ships no types

    graph = networkx.DiGraph(json.load(sys.stdin))
    try:
        cycle = [str(a) for a, _ in networkx.find_cycle(graph)]
    except networkx.NetworkXNoCycle:
        cycle = []
    print(json.dumps(cycle))


if __name__ == "__main__":
    _main()
