"""``report``: what the check at "done" was worth, and what is regretted. Standard library only."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path

from pointsman.cli import OK, Command, rules
from pointsman.cli.regrets import added_up
from pointsman.core.certificate import Record
from pointsman.core.checks import USER_USD_PER_MINUTE, Learned, learned
from pointsman.core.events import Checked, Event, Judged
from pointsman.core.recovery import Recoveries, recoveries
from pointsman.core.tally import Tally, tally
from pointsman.core.timeline import Timeline
from pointsman.core.userrecord import UserRecord
from pointsman.errors import SettingsError
from pointsman.shell.reading import ledger_path, read_events
from pointsman.tui.checked import checking, solved
from pointsman.tui.figures import many


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--days", type=float, metavar="N", help="only sessions seen in the last N days")
    parser.add_argument("--from", dest="source", metavar="FILE", type=Path, help="another ledger, or a recording")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")


def _report(args: Namespace) -> int:
    if args.days is not None and not args.days > 0:
        raise SettingsError(f"--days is {args.days:g}; it is a number of days above 0")
    events = list(_events(args.source))
    timeline = Timeline(events)
    since = time.time() - args.days * 86_400 if args.days is not None else 0.0
    sessions = [session for session in timeline.sessions.values() if session.seen >= since]
    found, troubles = tally(sessions), recoveries(sessions)
    labels = dict.fromkeys(event.label for event in events if isinstance(event, Checked))
    rates = {label: learned(events, label) for label in labels}
    regrets = added_up(events, {session.id for session in sessions})
    record, failure = _record(events), _failure_usd() if found.caught or troubles.minutes else 0.0
    if args.json:
        more = {"regret": regrets.as_json(), "certificates": rules.as_json(record), "recovery": _recovery(troubles)}
        print(json.dumps({**as_json(found, rates, failure), **more}, indent=2, ensure_ascii=False))
    else:
        print("\n".join([*regrets.lines(), *_recovered(troubles, failure), *lines(found, rates, failure), *_certified(record)]))
    return OK


def _record(events: list[Event]) -> Record:
    """What the judged tasks in ``events`` certify, under what the settings promise."""
    user = UserRecord()
    judged = [event for event in events if isinstance(event, Judged)]
    if judged:
        from pointsman.settings import load

        user.under(load().policy())
    for event in judged:
        user.apply(event, None)
    return user.record()


def _failure_usd() -> float:
    """What the user says that a failure costs who has to notice it."""
    from pointsman.settings import load

    return load().failure_usd


def _recovered(found: Recoveries, failure_usd: float) -> list[str]:
    """How long bad turns took to be put right, beside what the settings say of one."""
    if found.median is None:
        return []
    never = f"; {found.never} never were" if found.never else ""
    said = f"{many(len(found.minutes), 'bad turn')} put right in {found.median:.0f} min (median){never}"
    beside = f"failure_usd ${failure_usd:.2f} stands for {failure_usd / USER_USD_PER_MINUTE:.0f} min at $60 an hour"
    return [f"recovery     {said}; {beside}"]


def _recovery(found: Recoveries) -> dict[str, object]:
    return {"recovered": len(found.minutes), "never": found.never, "median_minutes": found.median}


def _certified(record: Record) -> list[str]:
    """Which weaker configs the user's own tasks certify, and how far the others are from it."""
    found = rules.certificates(record)
    return ["", "weaker models on tasks that were judged:", *[f"  {line}" for line in found]] if found else []


def _events(source: Path | None) -> Iterator[Event]:
    if source is None:
        yield from (event for _, event in read_events(ledger_path()))
    else:
        from pointsman.cli.files import events_in

        yield from events_in(source)


def lines(found: Tally, rates: dict[str, Learned], failure_usd: float) -> list[str]:
    """The report for people. ``failure_usd``: USD of a failure that a person has to notice."""
    said = checking(found, failure_usd)
    for label, known in rates.items():
        doubt = f"; not believed: {known.distrust}" if known.distrust else ""
        said.append(f"`{label}`: catches ≈{known.recall:.0%}, blames ≈{known.false_alarm:.0%} wrongly, from "
                    f"{many(known.runs, 'run')} and the priors{doubt}")
    if found.kinds:
        said += ["", f"{'what turns were about':<32}{'turns':>8}{'requests':>10}{'billed':>11}"]
    for kind, (turns, requests, usd) in sorted(found.kinds.items(), key=lambda item: -item[1][2]):
        said.append(f"{kind:<32}{turns:>8,}{requests:>10,}{f'${usd:,.4f}':>11}")
    for (model, how), asked in sorted(found.advice.items()):
        by = "asked by us" if how == "push" else "asked by the working model"
        capped = f", {asked.capped} not asked: caps" if asked.capped else ""
        said.append(f"advice       {model}, {by}: {asked.given} of {asked.asked} answered in {asked.seconds:.0f} s, "
                    f"${asked.usd:.4f} billed{capped}")
    return said + (["", *solved(found)] if found.solved else [])


def as_json(found: Tally, rates: dict[str, Learned], failure_usd: float) -> dict[str, object]:
    """The same figures for programs. USD, seconds, counts; ``waiting_usd`` and ``noticing_usd`` are modelled."""
    return {
        "checks": {"runs": found.runs, "passed": found.passed, "failed": found.failed, "unsure": found.unsure,
                   "flaky": found.flaky},
        "caught": found.caught, "shown": found.shown, "repaired": found.repaired, "false_alarms": found.false_alarms,
        "seconds": round(found.seconds, 3), "waiting_usd": found.waiting_usd,
        "noticing_usd": found.caught * failure_usd, "repair_usd": found.repair_usd,
        "advice": [
            {"model": model, "how": how, "asked": row.asked, "given": row.given, "capped": row.capped, "usd": row.usd,
             "seconds": round(row.seconds, 3)}
            for (model, how), row in sorted(found.advice.items())
        ],
        "rates": [
            {"label": label, "runs": known.runs, "recall": known.recall, "false_alarm": known.false_alarm, "flake": known.flake,
             "median_s": known.seconds, "distrust": known.distrust}
            for label, known in rates.items()
        ],
        "kinds": {
            kind: {"turns": turns, "requests": requests, "billed_usd": usd}
            for kind, (turns, requests, usd) in found.kinds.items()
        },
        "tasks": [
            {"config": str(config), "escalated": escalated, "resolved": row.resolved, "unresolved": row.unresolved,
             "unknown": row.unknown}
            for (config, escalated), row in found.solved.items()
        ],
    }  # fmt: skip


COMMANDS = {
    "report": Command(
        "What the check at \"done\" was worth: failures caught before you saw them, false alarms, minutes and dollars of\n"
        "checking, and what was resolved by the model a task began on, with and without escalation. Tasks that nothing\n"
        "judged are unknown. ≈ marks modelled figures.",
        "  pointsman report\n  pointsman report --days 30\n  pointsman report --json | jq .tasks",
        _arguments, _report,
    ),
}  # fmt: skip
