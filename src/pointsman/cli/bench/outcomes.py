"""``bench outcomes`` and ``bench decide``: what the router is worth beside simpler policies; how long a decision takes."""

from __future__ import annotations

import json
from argparse import ArgumentParser, ArgumentTypeError, BooleanOptionalAction, Namespace, _SubParsersAction
from pathlib import Path

from pointsman.cli import OK
from pointsman.cli.bench.progress import progress
from pointsman.cli.files import own_book
from pointsman.errors import SettingsError

NAMES, MODE_NAMES = ("ladder", "wide", "near"), ("real", "irt", "adversarial")


def add(kinds: _SubParsersAction[ArgumentParser]) -> None:
    """Add both measurements to ``bench``."""
    outcomes = kinds.add_parser("outcomes", help="the router against every simpler policy, on real outcomes", allow_abbrev=False)
    outcomes.add_argument("file", nargs="?", type=Path, metavar="CSV",
                          help="model, task_id, resolved, cost_usd, api_calls; default: the outcomes in $POINTSMAN_DATA")
    outcomes.add_argument("--v", type=_numbers, metavar="USD,..", help="dollars that a visible failure costs (0,0.6,2,5,10,20)")
    outcomes.add_argument("--seeds", type=int, default=3, metavar="N", help="independent draws of tasks and luck (3)")
    outcomes.add_argument("--pool", action="append", choices=NAMES, help="only this pool (repeatable)")
    outcomes.add_argument("--mode", action="append", choices=MODE_NAMES, help="only this kind of world (repeatable)")
    outcomes.add_argument("--check", choices=("yes", "no", "both"), default="both", help="with a check at done, without, or both")
    outcomes.add_argument("--recall", type=float, default=0.8, help="share of failures that the check sees (0.8)")
    outcomes.add_argument("--alarm", type=float, default=0.1, help="share of right work that it refuses (0.1)")
    outcomes.add_argument("--retries", type=int, default=1, choices=(1, 2), help="automatic retries after a failed check (1)")
    outcomes.add_argument("--tasks", type=int, default=3, metavar="N", help="tasks in a session (3)")
    outcomes.add_argument("--calibration", action=BooleanOptionalAction, default=True,
                          help="how far P(success) can be believed, in the real world with a check")
    outcomes.add_argument("--json", action="store_true", help="everything measured as JSON")
    outcomes.set_defaults(measure=_outcomes)
    decide = kinds.add_parser("decide", help="microseconds of one decision at 10k, 100k and 200k tokens", allow_abbrev=False)
    decide.add_argument("--json", action="store_true", help="the figures as JSON")
    decide.set_defaults(measure=_decide)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(word) for word in text.split(","))
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no list of dollars such as 2,5") from error
    if any(not 0.0 <= value < 1e6 for value in found):
        raise ArgumentTypeError(f"{text!r} holds a value outside 0 to 1,000,000")
    return found


def _outcomes(args: Namespace) -> int:
    from pointsman.bench import report, worlds
    from pointsman.bench.calibration import calibrate
    from pointsman.bench.data import outcomes as outcomes_file
    from pointsman.bench.outcomes import VALUES, Plan, measure

    file = args.file or outcomes_file()
    if not file.is_file():
        raise SettingsError(f"there are no outcomes at {file}: name a CSV, or the folder of measuring data in POINTSMAN_DATA")
    if args.seeds < 1 or args.tasks < 1 or not (0 <= args.recall <= 1 and 0 <= args.alarm <= 1):
        raise SettingsError("--seeds and --tasks are at least 1, --recall and --alarm lie between 0 and 1")
    plan = Plan(
        pools=[pool for pool in worlds.POOLS if pool.name in (args.pool or NAMES)],
        modes=[mode for mode in worlds.MODES if mode in (args.mode or MODE_NAMES)],
        values=args.v or VALUES, checks={"yes": [True], "no": [False], "both": [True, False]}[args.check],
        seeds=range(1, args.seeds + 1), rules=worlds.Rules(recall=args.recall, alarm=args.alarm, retries=args.retries),
        per_session=args.tasks,
    )  # fmt: skip
    outcomes, book = worlds.read(file), own_book()
    runs = len(plan.pools) * len(plan.seeds) if args.calibration and True in plan.checks and "real" in plan.modes else 0
    step = progress(plan.steps + runs)
    blocks = list(measure(outcomes, book, plan, step))
    reliable = list(calibrate(outcomes, plan.pools, book, plan.seeds, plan.rules, step=step)) if runs else []
    if args.json:
        print(json.dumps(report.as_json(blocks, reliable), indent=2))
    else:
        print(*report.lines(blocks, reliable), sep="\n")
    return OK


def _decide(args: Namespace) -> int:
    from pointsman.bench.deciding import measure

    found = measure(own_book())
    if args.json:
        print(json.dumps(found, indent=2))
    else:
        for tokens, us in found.items():
            whole = f"all of it read {us['whole_p50_us']:6.1f} and {us['whole_p99_us']:6.1f} µs"
            print(f"{int(tokens):>8,} tokens   p50 {us['p50_us']:6.1f} µs   p99 {us['p99_us']:6.1f} µs   {whole}")
    return OK
