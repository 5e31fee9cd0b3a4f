"""``bench``: measurements on real sessions; each kind adds its own words to the command."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from pointsman.cli import Command
from pointsman.cli.bench import difficulty, outcomes, policies, price


def _arguments(parser: ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    for kind in (price, outcomes, policies, difficulty):
        kind.add(kinds)


def _bench(args: Namespace) -> int:
    code: int = args.measure(args)
    return code


COMMANDS = {
    "bench": Command(
        "Measure: how well prices are predicted, what routing is worth beside simpler policies, how long a decision takes.",
        "  pointsman bench price                                  the real traces in $POINTSMAN_DATA\n"
        "  pointsman bench price ~/.claude/projects/*/*.jsonl     your own past sessions, sizes estimated\n"
        "  pointsman bench price --json\n  pointsman bench price --speed\n"
        "  pointsman bench tokens sessions/*.jsonl                what a tokenizer would mend in a first request\n"
        "  pointsman bench outcomes --v 2,5 --seeds 1             what routing is worth, on real outcomes\n"
        "  pointsman bench policies --pool neighbour              every policy's bill on real traces, and our bounds\n"
        "  pointsman bench decide                                 microseconds of one decision\n"
        "  pointsman bench difficulty ~/.claude/projects          does the belief foresee corrections and long turns?",
        _arguments, _bench,
    ),
}  # fmt: skip
