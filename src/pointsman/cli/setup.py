"""``config``, ``doctor`` and ``prices``: what is in force here, and is it sound."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pointsman.cli import FAILED, OK, Command
from pointsman.cli.template import TEMPLATE
from pointsman.core.certificate import missing
from pointsman.core.policy import CHECK_RECALL
from pointsman.errors import PointsmanError, SettingsError

if TYPE_CHECKING:
    from pointsman.core.book import Book
    from pointsman.settings import Settings

KNOWN_BAD = {"1.82.7": "a compromised release", "1.82.8": "a compromised release", "1.107.0": "a compromised release"}
"""litellm releases that must not be installed (WIRE.md 5); 1.107.* is excluded as a whole."""


def _config_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", default="show",
                        choices=("show", "path", "check", "init", "accept", "decline", "undo"),
                        help="show (default): values and where they are written; path; check; init: write a commented file; "
                             "accept, decline, undo: a rule proposed after repeated pins")
    parser.add_argument("kind", nargs="?", help="accept, decline, undo: the kind of task (left out: the only one)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="another settings file than your own")
    parser.add_argument("--json", action="store_true", help="show: as JSON")
    parser.add_argument("--project", action="store_true", help="init: write .pointsman.toml in this folder instead")


def _config(args: Namespace) -> int:
    from pointsman import settings
    from pointsman.cli import rules

    own = args.config or settings.user_file()
    if args.action == "path":
        print(own)
        return OK
    if args.action == "init":
        return _init(Path.cwd() / settings.PROJECT_FILE if args.project else own)
    found = settings.load(args.config)
    if args.action in ("accept", "decline", "undo"):
        from pointsman.cli.rules import answer

        return answer(args.action, args.kind, found, args.json, own)
    if args.action == "check":
        from pointsman.shell.prices import load_book

        _sound(found, load_book(found.prices))
        print("settings are sound: " + (", ".join(str(p) for p in _files(own) if p.is_file()) or "defaults only"))
        return OK
    rows = {key: (found.model_dump(mode="json")[key], found.origin(key)) for key in type(found).model_fields}
    if args.json:
        print(json.dumps({key: {"value": value, "origin": origin} for key, (value, origin) in rows.items()}, indent=2))
        return OK
    for key, (value, origin) in rows.items():
        print(f"{key:<18}{json.dumps(value):<28} {origin}")
    policy = found.policy()
    print(f"\npolicy version {policy.version}")
    print(f"protected: {', '.join(policy.protect) or 'nothing'}")
    for sentence in rules.proposals(found):
        print(f"proposed: {sentence}")
    return OK


def _sound(found: Settings, book: Book) -> None:
    """Every model and fallback in the settings can be meant. Raises PointsmanError."""
    from pointsman.settings import verify
    from pointsman.shell.failover.fallbacks import Fallbacks
    from pointsman.shell.vendors import Upstreams

    verify(found, book)
    Fallbacks(found, Upstreams(found.upstream, found.upstreams), time.time, book.vendor, resolve=book.resolve)


def _files(own: Path) -> Iterator[Path]:
    from pointsman import settings

    yield settings.answers_file(own)
    yield own
    project = settings.project_file(Path.cwd())
    if project is not None and project != own:
        yield project


def _init(path: Path) -> int:
    if path.exists():
        raise SettingsError(f"{path} is there already: edit it, or move it away first")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(TEMPLATE, encoding="utf-8")
    print(f"wrote {path}: every line is a comment until you take the # away")
    return OK


def _prices_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", nargs="?", help="a model, or a tier such as opus; none: the vendors' ladders")
    parser.add_argument("--json", action="store_true", help="as JSON")


def _prices(args: Namespace) -> int:
    from pointsman.cli.pricelist import card_lines, card_of, ladder_lines, ladders

    if args.model is None:
        print(json.dumps(ladders(), indent=2) if args.json else "\n".join(ladder_lines()))
        return OK
    book, card = card_of(args.model)
    if args.json:
        from pointsman.core.codec import encode

        print(json.dumps(encode(card), indent=2, default=str))
    else:
        print(*card_lines(book, card), sep="\n")
    return OK


class Finding(NamedTuple):
    """One thing that ``doctor`` looked at. ``state``: ok, note, or wrong."""

    state: str
    what: str
    said: str


def _doctor_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE",
                        help="look for what breaks prompt caches in a ledger, a recording or a transcript instead")
    parser.add_argument("--json", action="store_true", help="as JSON")


def _doctor(args: Namespace) -> int:
    looks = (_python, _packages, _settings, _certificates, _price_map, _ledger, _gateway, _agents, _caches)
    findings = list(_breakers(args.file)) if args.file else [finding for look in looks for finding in look()]
    if args.json:
        print(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        signs = {"ok": "ok   ", "note": "note ", "wrong": "WRONG"}
        print(*(f"{signs[f.state]}  {f.what:<10} {f.said}" for f in findings), sep="\n")
    return FAILED if any(finding.state == "wrong" for finding in findings) else OK


def _python() -> Iterator[Finding]:
    import platform

    from pointsman import __version__

    where = f"Python {platform.python_version()} on {platform.system()}"
    yield Finding("wrong" if platform.system() == "Windows" else "ok", "pointsman", f"{__version__}, {where}"
                  + (": run it inside WSL" if platform.system() == "Windows" else ""))


def _packages() -> Iterator[Finding]:
    from importlib.metadata import PackageNotFoundError, version

    try:
        found = version("litellm")
    except PackageNotFoundError:
        yield Finding("wrong", "litellm", "not installed, so there is no price map: pip install pointsman again")
        return
    bad = KNOWN_BAD.get(found) or ("a line with a compromised release" if found.startswith("1.107.") else "")
    if bad:
        yield Finding("wrong", "litellm", f"{found} is {bad}: pip install 'litellm>=1.106.2,!=1.107.*', then change your keys")
    else:
        yield Finding("ok", "litellm", f"{found} (only its price map is read; it is not imported)")


def _settings() -> Iterator[Finding]:
    from pointsman import settings

    try:
        found = settings.load()
    except SettingsError as error:
        yield Finding("wrong", "settings", str(error))
        return
    files = [str(path) for path in _files(settings.user_file()) if path.is_file()]
    yield Finding("ok", "settings", f"profile {found.profile}, mode {found.mode}, from {', '.join(files) or 'defaults only'}")


def _certificates() -> Iterator[Finding]:
    from pointsman import settings
    from pointsman.cli import rules
    from pointsman.shell.userdata import user_record

    try:
        found = settings.load()
    except SettingsError:
        return  # said above
    lines = rules.certificates(user_record(found.policy()).record())
    for line in lines:
        yield Finding("note" if "vetoed" in line else "ok", "certificate", line)
    if not lines:
        yield Finding("ok", "certificate", f"none: no weaker model has served a task that was judged; {found.risk:.0%} takes "
                      f"{missing([], found.risk, recall=CHECK_RECALL)} clean tasks of one kind, judged by a check like most")
    for sentence in rules.proposals(found):
        yield Finding("note", "proposal", sentence)


def _price_map() -> Iterator[Finding]:
    from pointsman import settings
    from pointsman.shell.prices import load_book

    what = "prices"
    try:
        found = settings.load()
        book = load_book(found.prices)
        yield Finding("ok", what, f"version {book.version}")
        what = "settings"
        _sound(found, book)
    except PointsmanError as error:
        yield Finding("wrong", what, str(error))


def _ledger() -> Iterator[Finding]:
    from pointsman.shell.reading import ledger_path, reader

    path = ledger_path()
    if not path.exists() or (path.is_file() and not path.stat().st_size):
        yield Finding("note", "ledger", f"none yet at {path}: the first session makes it")
        return
    try:
        with reader(path) as connection:
            events, sessions = connection.execute("SELECT count(*), count(DISTINCT session) FROM event").fetchone()
            sound = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except PointsmanError as error:
        yield Finding("wrong", "ledger", str(error))
        return
    size = path.stat().st_size / 1e6
    state = "ok" if sound == "ok" else "wrong"
    yield Finding(state, "ledger", f"{path}: {events} events of {sessions} sessions, {size:.1f} MB"
                  + ("" if sound == "ok" else f"; damaged: {sound}; move it away, and a new one is begun"))


def _gateway() -> Iterator[Finding]:
    from pointsman.shell import control

    gateway = control.find_gateway()
    if gateway is None:
        yield Finding("note", "gateway", "not running: `pointsman run` starts one, `pointsman serve` keeps one")
    else:
        yield Finding("ok", "gateway", f"running at {gateway.url}")


def _agents() -> Iterator[Finding]:
    import shutil

    from pointsman.shell.client.table import CLIENTS

    commands = [command for client in CLIENTS.values() for command in client.commands]
    found = [command for command in commands if shutil.which(command)]
    if found:
        yield Finding("ok", "agents", f"{', '.join(found)}: start with `pointsman run -- {found[0]}`")
    else:
        yield Finding("note", "agents", f"none of {', '.join(commands)} is in your PATH")


def _caches() -> Iterator[Finding]:
    """What breaks prompt caches in the own ledger; one that cannot be read was reported already."""
    from pointsman.cli.files import is_ledger
    from pointsman.shell.reading import ledger_path

    path = ledger_path()
    try:
        yield from _found(path) if path.exists() and is_ledger(path) else ()
    except PointsmanError:
        return


def _breakers(path: Path) -> Iterator[Finding]:
    """What breaks prompt caches in one file, or that nothing does."""
    found = list(_found(path))
    yield from found or [Finding("ok", "cache", f"nothing in {path} breaks prompt caches")]


def _found(path: Path) -> Iterator[Finding]:
    from pointsman.cli.files import events_in, is_ledger, own_book
    from pointsman.core.audit import audit
    from pointsman.core.findings import findings
    from pointsman.core.volatile import volatile
    from pointsman.shell.history.readers import kind_of

    audited = audit(events_in(path))
    if audited is not None:
        said = f"predicted for {audited.requests:,} prompts: sum off by {audited.bias:+.1%}, half within {audited.p50:.1%}, "
        yield Finding("ok", "prices", said + f"nine in ten within {audited.p90:.0%}")
    for one in findings(events_in(path), own_book()):
        cost = "" if one.usd is None else f", ≈${one.usd:.2f}"
        yield Finding("note", "cache", f"{one.said} ({one.requests:,} of {one.of:,} requests{cost})")
    if not is_ledger(path) and kind_of(path) == "recording":
        from pointsman.shell.bodies_sent import sent

        yield from (Finding("note", "prefix", said) for said in volatile(sent(path)))


COMMANDS = {
    "config": Command(
        "The settings in force and where each is written (file:line, flag, or default).",
        "  pointsman config                  every value with its origin\n"
        "  pointsman config init             write your settings file, every line explained\n"
        "  pointsman config init --project   write .pointsman.toml here\n"
        "  pointsman config check            exit 2 when a key or model is wrong\n"
        "  pointsman config accept debug     the model that you keep pinning for debug tasks becomes a rule; undo takes it back",
        _config_arguments, _config,
    ),
    "doctor": Command(
        "Look over this installation, and for what breaks prompt caches in your ledger or in one file: other tools, volatile\n"
        "system texts, missing marks, lifetimes too short for your pauses, changing keys; with what each cost.\n"
        "Exit 1 when something is wrong; notes are no errors.",
        "  pointsman doctor\n  pointsman doctor sessions/claude_code-opus-5-5-plain.jsonl\n"
        "  pointsman doctor old-ledger.db --json",
        _doctor_arguments, _doctor,
    ),
    "prices": Command(
        "What a model costs per million tokens, cache reads and writes included, and where each figure is from.",
        "  pointsman prices                  the vendors' ladders, cheap to strong\n"
        "  pointsman prices opus\n  pointsman prices gpt-5.5 --json",
        _prices_arguments, _prices,
    ),
}  # fmt: skip
