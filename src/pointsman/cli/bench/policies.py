"""``bench policies``: every policy's exact bill on real session traces, and our bounds on every one of them."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace, _SubParsersAction
from pathlib import Path

from pointsman.cli import FAILED, OK
from pointsman.cli.bench.progress import progress
from pointsman.cli.files import measured, own_book
from pointsman.errors import SettingsError

NAMES = ("neighbour", "wide", "three", "crossing")


def add(kinds: _SubParsersAction[ArgumentParser]) -> None:
    """Add the measurement to ``bench``."""
    policies = kinds.add_parser("policies", help="every policy's bill on real traces, at equal quality, and our bounds",
                                allow_abbrev=False)  # fmt: skip
    policies.add_argument("files", nargs="*", type=Path, metavar="TRACES",
                          help="compact traces or transcripts; default: the traces in $POINTSMAN_DATA")
    policies.add_argument("--pool", action="append", choices=NAMES, help="only this set of admitted models (repeatable)")
    policies.add_argument("--seeds", type=int, default=3, metavar="N", help="independent draws of the policies that draw (3)")
    policies.add_argument("--json", action="store_true", help="everything measured as JSON")
    policies.set_defaults(measure=_policies)


def _policies(args: Namespace) -> int:
    from pointsman.bench import policies_report
    from pointsman.bench.data import traces
    from pointsman.bench.policies import POOLS, ROUTED, measure, sessions_of
    from pointsman.shell.history import readers as history

    files = measured(args.files, traces())
    if args.seeds < 1:
        raise SettingsError("--seeds is at least 1")
    try:
        kinds = [history.kind_of(path) for path in files]
    except ValueError as error:
        raise SettingsError(str(error)) from error
    book, troubles = own_book(), list[str]()
    pools = [pool for pool in POOLS if pool.name in (args.pool or NAMES)]
    say = progress(1 + sum(4 + len(ROUTED) * pool.routed for pool in pools))
    found = sessions_of(history.sessions(files, book, troubles), book)
    say(f"{len(found)} sessions read from {len(kinds)} files")
    print(*troubles, sep="\n", end="\n" if troubles else "", file=sys.stderr)
    blocks = measure(found, book, pools, args.seeds, say)
    if not blocks:
        print("pointsman bench policies: no session with a bill, a price and a weaker model to compare with", file=sys.stderr)
        return FAILED
    if args.json:
        print(json.dumps(policies_report.as_json(blocks), indent=2))
    else:
        print(*policies_report.lines(blocks), sep="\n")
    return OK
