"""``bench difficulty``: what the belief before each request says of how the turn goes, on real sessions."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, Namespace, _SubParsersAction
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pointsman.cli import FAILED, OK
from pointsman.cli.files import measured, own_book
from pointsman.errors import SettingsError

ABOUT = """From the belief held before each request of a session's main loop predict (a) that the turn ends in a correction or an
interrupt, (b) that more than 20 requests of the turn are still to come; beside it a constant, the step count and the last error.
Each is turned into a probability by a link fitted on other sessions; for (a) the belief gives one itself. Log-loss is better when
lower, AUC when higher (.5: a coin); "belief saves" is the log-loss by which the belief beats a baseline, with its 95 % interval
over sessions."""

LABELS = """hand labels, JSON: {"SESSION": {"tasks": [turns that begin a task], "corrected": [turns whose end was corrected or
interrupted]}}. SESSION is an id or its start; turns are counted as `pointsman replay` and the screens count them. With them the
task boundaries are scored, and "corrected" replaces what the person did next"""


def add(kinds: _SubParsersAction[ArgumentParser]) -> None:
    """Add the measurement to ``bench``."""
    parser = kinds.add_parser("difficulty", help="does the belief foresee corrections and long turns? task boundaries",
                              description=ABOUT, allow_abbrev=False)
    parser.add_argument("files", nargs="*", type=Path, metavar="FOLDER",
                        help="folders or files of transcripts (Claude Code, Codex), compact traces or our recordings; "
                        "default: the sessions in $POINTSMAN_DATA")
    parser.add_argument("--labels", type=Path, metavar="FILE", help=LABELS)
    parser.add_argument("--folds", type=int, default=5, metavar="N", help="parts the sessions are split into (5)")
    parser.add_argument("--json", action="store_true", help="everything measured as JSON")
    parser.set_defaults(measure=_measure)


def _measure(args: Namespace) -> int:
    from pointsman.bench import difficulty
    from pointsman.bench.data import sessions
    from pointsman.shell.history import readers as history

    if args.folds < 2:
        raise SettingsError("--folds is at least 2: what is measured on a session must not have been fitted on it")
    files = list(_files(measured(args.files, sessions())))
    if not files:
        raise SettingsError("no session files (*.jsonl, *.jsonl.gz) there: name a folder of transcripts, or set POINTSMAN_DATA")
    try:
        labels = difficulty.parse_labels(_labels(args.labels)) if args.labels else {}
    except ValueError as error:
        raise SettingsError(f"{args.labels}: {error}") from error
    reading, book = difficulty.Reading(), own_book()
    troubles: list[str] = []
    seen: set[str] = set()
    for n, file in enumerate(files, 1):
        for events in difficulty.unique(history.sessions([file], book, troubles), seen):
            difficulty.read(reading, events, labels)
            _progress(n, len(files), reading.sessions)
    _progress(len(files), len(files), reading.sessions, end="\n")
    print(*troubles, sep="\n", end="\n" if troubles else "", file=sys.stderr)
    if not reading.points:
        raise SettingsError(f"no request to score in {', '.join(map(str, args.files)) or 'the sessions there'}")
    found = difficulty.report(reading, args.folds)
    print(json.dumps(found, indent=2) if args.json else "\n".join(_lines(found)))
    return FAILED if any("cut off or damaged" in trouble for trouble in troubles) else OK


def _files(paths: list[Path]) -> Iterator[Path]:
    """The session files under ``paths``, whole transcripts before compact traces: a session counts once, in its fullest form."""
    found = [p for path in paths for p in (sorted(path.rglob("*.jsonl*")) if path.is_dir() else [path])]
    yield from sorted(found, key=lambda p: ("traces" in p.name, os.fspath(p)))


def _labels(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise SettingsError(f"{path} is not JSON: {error}") from error


def _progress(n: int, of: int, sessions: int, end: str = "") -> None:
    """A count on the terminal while it runs; nothing where nobody looks."""
    if sys.stderr.isatty():
        print(f"\rbench difficulty: file {n:,} of {of:,}, {sessions:,} sessions ", end=end, file=sys.stderr, flush=True)


def _lines(found: dict[str, Any]) -> list[str]:
    from pointsman.bench.difficulty import PREDICTORS, QUESTIONS

    out = [f"{found['sessions']:,} sessions, {found['turns']:,} turns, {found['requests']:,} requests, {found['tasks']:,} tasks"]
    for name, words in QUESTIONS.items():
        rows = found[name]
        if "trouble" in rows:
            out += ["", f"{words}: {rows['trouble']}"]
            continue
        out += ["", f"{words}: {rows['rate']:.1%} of {rows['requests']:,} requests"]
        out += [f"{'':<14}{'log-loss':>10}{'AUC':>8}{'ECE':>8}   belief saves"]
        for who in PREDICTORS:
            row = rows[who]
            saves = "" if row["belief_saves"] is None else "{:+.4f} to {:+.4f}".format(*row["belief_saves"])
            auc = "none" if row["auc"] is None else f"{row['auc']:.3f}"
            out.append(f"{who:<14}{row['log_loss']:>10.4f}{auc:>8}{row['ece']:>8.3f}   {saves}")
    if "boundaries" in found:
        b = found["boundaries"]
        cell = {key: "none" if b[key] is None else f"{b[key]:.2f}" for key in ("f1", "f1_after_first")}
        out += ["", f"task beginnings in {b['sessions']} labelled sessions: F1 {cell['f1']}; without each session's first prompt "
                f"{cell['f1_after_first']} ({b['hit']} found of {b['labelled']}, {b['found'] - b['hit']} too many)"]
    return out
