"""The gateway's own process: ``python -m pointsman.shell PIPE HOST`` is what ``pointsman serve`` becomes (``shell.served``)."""

from __future__ import annotations

import os
import sys

import msgspec

from pointsman.errors import PointsmanError, SettingsError
from pointsman.shell.served import Served, announce
from pointsman.shell.serving import serve


def main(argv: list[str]) -> int:
    """Run the gateway of the settings on the pipe ``argv[0]``, at host ``argv[1]``."""
    with os.fdopen(int(argv[0]), "rb") as pipe:
        settings = msgspec.json.decode(pipe.read(), type=Served)
    try:
        serve(settings, host=argv[1], ready=lambda gateway: announce(settings, gateway.url))
    except PointsmanError as error:
        print(f"pointsman serve: {error}", file=sys.stderr)
        return 2 if isinstance(error, SettingsError) else 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
