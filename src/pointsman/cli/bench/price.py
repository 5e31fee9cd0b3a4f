"""``bench price`` and ``bench tokens``: predicted against billed dollars; a first estimate against a tokenizer's count."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace, _SubParsersAction
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pointsman.cli import FAILED, OK
from pointsman.cli.files import measured, own_book
from pointsman.errors import SettingsError

if TYPE_CHECKING:
    from pointsman.bench.price import Report

def add(kinds: _SubParsersAction[ArgumentParser]) -> None:
    """Add both measurements to ``bench``."""
    price = kinds.add_parser("price", help="predicted against billed input dollars, request by request", allow_abbrev=False)
    price.add_argument("files", nargs="*", type=Path, metavar="FILE",
                       help="compact traces (sizes given), or Claude Code and Codex transcripts (sizes estimated); "
                       "default: the traces in $POINTSMAN_DATA")
    price.add_argument("--json", action="store_true", help="the figures as JSON")
    price.add_argument("--speed", action="store_true", help="instead: microseconds that pricing one request takes")
    price.set_defaults(measure=_price)
    tokens = kinds.add_parser("tokens", help="a first request's estimate beside a tokenizer's count", allow_abbrev=False)
    tokens.add_argument("files", nargs="+", type=Path, metavar="FILE", help="recordings (sessions/*.jsonl)")
    tokens.add_argument("--json", action="store_true", help="the figures as JSON")
    tokens.set_defaults(measure=_tokens)


def _price(args: Namespace) -> int:
    from pointsman.bench.data import traces
    from pointsman.bench.price import measure
    from pointsman.shell.history import readers as history

    if args.speed:
        return _speed(args)
    files = measured(args.files, traces())
    kinds = {history.kind_of(path): path for path in files}
    if "recording" in kinds:
        raise SettingsError(f"{kinds['recording']} is a recording of ours: its texts are filler, which no price is measured on; "
                            f"give compact traces or transcripts")
    if "traces" in kinds and len(kinds) > 1:
        raise SettingsError("give either compact traces or transcripts: the sizes of one are given, of the other estimated")
    found = list(history.read_all(files))
    troubles = [trouble for transcript in found for trouble in transcript.troubles]
    report = measure(found, own_book(), estimate="traces" not in kinds, step=_progress())
    print(*troubles, sep="\n", end="\n" if troubles else "", file=sys.stderr)
    if not report.ours.billed:
        raise SettingsError(f"nothing to score in {', '.join(map(str, files))}: no billed request after a session's first")
    if args.json:
        print(json.dumps(report.as_json(), indent=2))
    else:
        print(*_lines(report), sep="\n")
    return FAILED if any("cut off or damaged" in trouble for trouble in troubles) else OK


def _progress() -> Callable[[int, int], None] | None:
    """Counts on the terminal while it runs; nothing where nobody looks."""
    if not sys.stderr.isatty():
        return None

    def say(done: int, of: int) -> None:
        print(f"\rbench price: {done:,} of {of:,} requests ", end="\r" if done < of else "\n", file=sys.stderr, flush=True)

    return say


def _tokens(args: Namespace) -> int:
    from dataclasses import asdict

    from pointsman.bench.tokens import firsts

    found = list(firsts(measured(args.files, Path()), own_book()))
    if not found:
        raise SettingsError(f"no model request in {', '.join(map(str, args.files))}")
    if args.json:
        print(json.dumps([asdict(one) for one in found], indent=2))
        return OK
    print(f"{'recording':<48}{'model':<20}{'ours':>9}{'counted':>9}{'off by':>9}{'ms':>7}")
    for one in found:
        off = one.ours / max(1, one.counted) - 1.0
        print(f"{one.file[:47]:<48}{one.model[:19]:<20}{one.ours:>9,}{one.counted:>9,}{off:>+9.1%}{one.millis:>7.1f}")
    return OK


def _speed(args: Namespace) -> int:
    from pointsman.bench.speed import micros

    found = micros(own_book())
    if args.json:
        print(json.dumps(found, indent=2))
    else:
        print(*(f"{us:8.1f} µs  {what}" for what, us in found.items()), sep="\n")
    return OK


def _lines(report: Report) -> list[str]:
    ours = report.ours.figures()
    sizes = "sizes estimated from the texts" if report.estimated else "sizes given"
    skipped = [f"{report.first:,} first requests left out"]
    if report.unbilled:
        skipped.append(f"{report.unbilled:,} without a bill")
    skipped += [f"{n:,} of {model}: no price is known" for model, n in report.unpriced.items()]
    out = [f"{ours['requests']:,} requests of {report.sessions:,} sessions, {sizes}; {'; '.join(skipped)}", ""]
    columns = {"ours": report.ours, **report.baselines}
    out.append(f"{'':<24}" + "".join(f"{name:>12}" for name in columns))
    for name in ours:
        if name != "requests":
            cells = (score.figures()[name] for score in columns.values())
            out.append(f"{name:<24}" + "".join(f"{_cell(name, cell):>12}" for cell in cells))
    mean = report.mean_abs_error
    out += ["", f"errors are fractions of billed input dollars; weighed by dollars, ours are off by {mean or 0.0:.1%}", ""]
    out.append("reliability of \"warm?\"     predicted   observed   requests")
    for band, (n, total, hits) in sorted(report.ours.bands.items()):
        out.append(f"  {band * 10:>3} to {band * 10 + 10:>3} %        {total / n:>9.1%}  {hits / n:>9.1%}  {n:>9,}")
    return out


def _cell(name: str, value: float | int | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:.4f}" if name.endswith("_warm") else f"{value:+.2%}" if name == "bias" else f"{value:.2%}"
