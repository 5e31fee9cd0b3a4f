"""How far a measurement has come, on a terminal; nothing where nobody looks."""

from __future__ import annotations

import sys
from collections.abc import Callable


def progress(steps: int) -> Callable[[str], None]:
    """A bar on the terminal while it runs; nothing where nobody looks."""
    done = 0

    def say(what: str) -> None:
        nonlocal done
        done += 1
        if sys.stderr.isatty():
            bar = "█" * round(30 * done / steps)
            print(f"\r{bar:<30} {done}/{steps} {what:<50}", end="\n" if done == steps else "", file=sys.stderr, flush=True)

    return say
