"""The command line: one table of commands, each imported only when it is called.

Exit codes: 0 done; 1 it failed, and one sentence on stderr says why; 2 wrong usage or settings; 130 interrupted.
``pointsman run`` ends with the code of the agent it wrapped.
"""

from __future__ import annotations

import os
import re
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import NamedTuple, NoReturn

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


class Command(NamedTuple):
    """One command: what it says of itself, its arguments, and what it does (returning an exit code)."""

    about: str
    examples: str
    arguments: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], int]


class Entry(NamedTuple):
    """Where a command lives, and its line in the overview (none: hidden)."""

    module: str
    line: str


COMMANDS = {
    "demo": Entry("demo", "watch a routed session without a key: everything runs on this machine"),
    "run": Entry("agents", "start a coding agent wrapped: pointsman run -- claude"),
    "serve": Entry("agents", "run the gateway by itself, for agents you start elsewhere"),
    "tui": Entry("look", "watch sessions live, or look at a ledger or recording afterwards"),
    "why": Entry("look", "one turn: what was decided, what it cost, what else was possible"),
    "line": Entry("look", "one line for a status bar or prompt"),
    "pin": Entry("steer", "take the wheel: this model, for a turn, task, session, or always here"),
    "unpin": Entry("steer", "give the wheel back"),
    "mark": Entry("steer", "judge a turn: good, bad, or overkill"),
    "replay": Entry("past", "what past sessions cost, and what a switch would have cost"),
    "report": Entry("report", "what the check caught, what checking took, and what was resolved by which model"),
    "bench": Entry("bench", "measure: prices predicted against billed, what routing is worth, how long a decision takes"),
    "record": Entry("past", "record a real agent's traffic as a session file"),
    "prices": Entry("setup", "what a model costs, and where the figure is from"),
    "config": Entry("setup", "show the settings in force and where each is written; init, check, path, accept"),
    "doctor": Entry("setup", "check this installation: versions, prices, ledger, gateway, agents"),
    "hook": Entry("hook", ""),
}

ABOUT = """\
Pointsman stands between your coding agent and its model. For every request it works out what staying and every
alternative would cost, prompt cache included, and then does what you asked for unless you allowed otherwise."""

FOOT = """\
first steps:
  pointsman demo                 see it work, no key needed
  pointsman run -- claude        your agent as always (also codex, opencode, aider, ...)
  pointsman tui                  in another pane: every decision, its price, its reason
  pointsman pin opus             take the wheel

`pointsman COMMAND --help` explains each with examples. POINTSMAN_HOME: folder of the ledger; POINTSMAN_CONFIG: settings file.
Exit codes: 0 done, 1 failed, 2 usage or settings, 130 interrupted; `run` ends with its agent's code."""


CHOICE = re.compile(r"argument ([^:]+): invalid choice: '?(.*?)'? \(choose from (.*)\)")
KIND = re.compile(r"argument ([^:]+): invalid (int|float) value: '(.*)'")
"""Two of argparse's complaints: a word that is none of the choices, and a text where a number is wanted."""

KINDS = {"int": "a whole number", "float": "a number"}


class Parser(ArgumentParser):
    """An argument parser whose errors are one sentence, with the near match of a mistyped option."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where the help is; exit 2."""
        if message.startswith("unrecognized arguments: "):
            word = message.split(": ", 1)[1].split()[0]
            message = f"unknown argument {word!r}{self._hint(word)}"
        elif found := CHOICE.fullmatch(message):
            name, word, listed = found.groups()
            known = [choice.strip("'") for choice in listed.split(", ")]
            message = f"{name} is {word!r}{near(word, known)}; it can be {', '.join(known)}"
        elif found := KIND.fullmatch(message):
            message = f"{found[1]} is {found[3]!r}; {KINDS[found[2]]} is wanted"
        print(f"{self.prog}: {message}; see `{self.prog} --help`", file=sys.stderr)
        raise SystemExit(USAGE)

    def _hint(self, word: str) -> str:
        known = [option for action in self._actions for option in action.option_strings]
        return near(word.split("=")[0], known)


def near(word: str, known: Sequence[str]) -> str:
    """`` (did you mean ...?)`` when something known is close to ``word``, else nothing."""
    from difflib import get_close_matches

    close = get_close_matches(word, known, 1, 0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


alone = False
"""Whether this process was started for one command, and may become another program for it (``serve``)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an error of ours is one sentence on stderr."""
    global alone
    if argv is None:
        alone = True
        _standard_streams()
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        return main([words[1], "--help"]) if len(words) > 1 and words[1] in COMMANDS else _overview()
    if words[0] in ("-V", "--version", "version"):
        return _version()
    name = words[0]
    if name not in COMMANDS:
        shown = [key for key, entry in COMMANDS.items() if entry.line]
        kind = "option" if name.startswith("-") else "command"
        print(f"pointsman: unknown {kind} {name!r}{near(name, shown)}; see `pointsman --help`", file=sys.stderr)
        return USAGE
    return _guarded(name, words[1:])


def _standard_streams() -> None:
    """Give this process the three streams it counts on, where it was started without one or with one that cannot take
    our signs or gets bytes that are no text.

    A stream that is closed (``>&-``) is /dev/null instead, for a file or a pipe of ours must not become number 0, 1 or 2.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def _guarded(name: str, words: list[str]) -> int:
    """The one place where errors become exit codes."""
    from pointsman.errors import PointsmanError, SettingsError

    try:
        command: Command = import_module(f"pointsman.cli.{COMMANDS[name].module}").COMMANDS[name]
        code = command.run(_parsed(name, command, words))
        sys.stdout.flush()  # a closed pipe shows here, not in the interpreter's last words
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `pointsman replay ... | head`: the reader has seen enough
        sys.stderr.close()
        return OK
    except SettingsError as error:
        return _say(name, str(error), USAGE)
    except (PointsmanError, OSError, ValueError) as error:
        return _say(name, _words(error), FAILED)


def _words(error: Exception) -> str:
    """An error in words: of the system's own the file and what is the matter with it, without its number."""
    if isinstance(error, FileNotFoundError) and error.filename is None:  # only the current folder has no name
        return "the folder you are in is gone: change to one that exists"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    return str(error) or repr(error)


def _say(name: str, sentence: str, code: int) -> int:
    print(f"pointsman {name}: {sentence}", file=sys.stderr)
    return code


def _parsed(name: str, command: Command, words: list[str]) -> Namespace:
    parser = Parser(
        prog=f"pointsman {name}", description=command.about, epilog="examples:\n" + command.examples,
        formatter_class=RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    command.arguments(parser)
    return parser.parse_args(words)


def _overview() -> int:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {entry.line}" for name, entry in COMMANDS.items() if entry.line]
    print("usage: pointsman COMMAND [options]\n", ABOUT, "", "commands:", *lines, "", FOOT, sep="\n")
    return OK


def _version() -> int:
    from pointsman import __version__

    print(f"pointsman {__version__}")
    return OK


if __name__ == "__main__":
    raise SystemExit(main())
