"""What a shell command does, by the programs it names: tests, checks, commits, undoes, shows a diff, edits, reads, or else runs.

Only the first words of each simple command are looked at; text in quotes and here-documents is not. Sources: the manuals of
the programs named here.
"""

from __future__ import annotations

import re

from pointsman.core.messages import CallKind

LONGEST = 600
"""Characters of a command that are looked at: programs stand at its beginning, long arguments behind."""

_PARTS = re.compile(r"\|\||&&|[;\n|(){}]|\$\(|`")
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"?|'[^']*'?")
_ASSIGNED = re.compile(r"\w+=\S*$")
_TEST_WORD = re.compile(
    r"(?:test|tests|spec|specs|nextest|unittest|e2e|t|integration)(?:$|[:_\-/.])|(?:.*:)?test[A-Z]\w*$"
    r"|.*[:_\-](?:test|tests|spec|e2e)(?:$|[:_\-])"
)
_CHECK_WORD = re.compile(
    r"(?:lint|typecheck|type-check|check|clippy|vet|build|compile|tsc|fmt|format|verify|analyze|doc)(?:$|[:_\-])"
)

WRAPPERS = frozenset(
    "sudo time nice timeout env npx bunx pnpx uvx xvfb-run nohup command exec then do else if while until ! poetry uv pipenv"
    " hatch bundle rye pdm coverage dotenv doas stdbuf arch".split()
)
"""Words that stand before the program that does the work; their options and numbers are skipped too."""

_WRAPPED_BY = frozenset(("run", "exec", "dlx", "x", "tool", "--"))
TESTERS = frozenset(
    "pytest py.test unittest nose2 nosetests tox nox gotestsum jest vitest mocha ava tap jasmine karma playwright cypress ctest"
    " rspec phpunit pest prove busted bats behave cucumber cargo-nextest minitest stestr testem qunit".split()
)
RUNNERS = frozenset(
    "npm pnpm yarn bun deno node make gmake just mise task rake rails mvn mvnw gradle gradlew go cargo dotnet swift mix bazel sbt"
    " lein stack cabal zig flutter dart xcodebuild nx turbo lerna composer php python python3 py ninja meson hatch invoke inv tap"
    " clojure elixir ant buck pants poe".split()
)
CHECKERS = frozenset(
    "mypy pyright basedpyright tsc ruff eslint flake8 pylint black isort prettier biome golangci-lint staticcheck rubocop"
    " shellcheck stylelint gofmt goimports rustfmt clippy-driver javac gcc g++ clang cc rustc kotlinc swiftc ktlint swiftlint ty"
    " pyrefly cmake phpstan psalm credo dialyzer bandit vulture tflint hadolint yamllint markdownlint oxlint standard xo".split()
)
READERS = frozenset(
    "ls cat head tail grep rg ag ack find fd tree wc pwd which file stat du df less more bat sed awk cut sort uniq jq yq diff cmp"
    " echo printf date whoami uname ps env printenv type readlink realpath nl tac xxd hexdump strings column test true cd sleep"
    " man".split()
)
WRITERS = frozenset(("patch", "apply_patch", "applypatch", "tee", "ed"))
_GIT_READS = frozenset(
    "add fetch status log blame branch remote rev-parse ls-files grep describe config reflog rev-list shortlog ls-tree".split()
)
_IN_PLACE = re.compile(r"-\w*i")
_STRONGEST: tuple[CallKind, ...] = ("commit", "test", "undo", "edit", "check", "diff", "run", "read")


def kinds_of(command: str) -> tuple[CallKind, ...]:
    """The kinds of work a command line does, strongest first, each once; a command that only reads is ``read``."""
    bare, _, heredoc = command.partition("<<")
    text = _QUOTED.sub(" '' ", bare[:LONGEST])
    found: set[CallKind] = set()
    for part in _PARTS.split(text):
        words = part.split()
        kind = _kind(words) if words else None
        if kind is not None:
            found.add(kind)
    if heredoc and (">" in bare.replace("2>", "") or "*** Begin Patch" in heredoc):
        found.add("edit")
    if len(found) > 1:
        found.discard("read")
    return tuple(kind for kind in _STRONGEST if kind in found) or ("run",)


def _kind(words: list[str]) -> CallKind | None:
    """The kind of one simple command; None for words that are none."""
    words = _program_first(words)
    if not words:
        return None
    name, rest = words[0].rpartition("/")[2], words[1:]
    if name.endswith((".sh", ".bat")) or name.startswith("gradlew") or name == "mvnw":
        name = name.removesuffix(".sh").removesuffix(".bat")
    if name == "git":
        return _git(rest)
    if name == "gh":
        return _gh(rest)
    if name in TESTERS or _TEST_WORD.match(name) and name not in READERS:
        return "test"
    if name in RUNNERS or name.startswith("python"):
        return _runner(name, rest)
    if name in CHECKERS:
        return "check"
    if name in READERS and _writes(rest):
        return "edit"
    if name in WRITERS or (name in ("sed", "perl") and any(_IN_PLACE.match(word) for word in rest[:2])):
        return "edit"
    return "read" if name in READERS else "run"


def _writes(rest: list[str]) -> bool:
    """Whether the output goes into a file: ``echo x > a.py``. Into nowhere or another stream is no file."""
    for i, word in enumerate(rest):
        if word.startswith(">") and not word.startswith(">&"):
            target = word.lstrip(">") or (rest[i + 1] if i + 1 < len(rest) else "")
            return bool(target) and not target.startswith(("/dev/", "&"))
    return False


def _program_first(words: list[str]) -> list[str]:
    """The words from the program on: assignments, wrappers and their options left out."""
    i, wrapped = 0, False
    while i < len(words):
        word = words[i]
        if _ASSIGNED.match(word) or (wrapped and (word.startswith("-") or word[0].isdigit() or word in _WRAPPED_BY)):
            i += 1
        elif word in WRAPPERS and i + 1 < len(words):
            i, wrapped = i + 1, True
        else:
            break
    return words[i:]


def _runner(name: str, rest: list[str]) -> CallKind:
    """A program that runs what its arguments name: a script, a target, a module."""
    plain = [word.rpartition("/")[2].lstrip(":") for word in rest if not word.startswith("-") or word == "--test"][:6]
    if "--test" in rest or any(word in TESTERS for word in plain[:3]):
        return "test"
    if name.startswith(("python", "py", "node", "php", "elixir")):
        if any(_TEST_WORD.match(word) for word in plain[:2]):
            return "test"
        return "check" if any(word in CHECKERS for word in plain[:1]) and "-m" in rest else "run"
    java = name in ("mvn", "mvnw", "gradle", "gradlew")
    if any(_TEST_WORD.match(word) for word in plain) or (java and {"verify", "check"} & set(plain)):
        return "test"
    builds = java or (not plain and name in ("make", "gmake", "ninja"))
    return "check" if builds or any(_CHECK_WORD.match(word) or word in CHECKERS for word in plain) else "run"


def _git(rest: list[str]) -> CallKind:
    words = [word for word in rest if not word.startswith("-")]
    verb = words[0] if words else ""
    if rest[:1] == ["-C"]:
        verb = words[1] if len(words) > 1 else ""
    if verb in ("commit", "push", "merge", "tag"):
        return "commit"
    if verb == "restore" and "--staged" not in rest or verb == "revert" or verb == "clean":
        return "undo"
    if verb == "checkout" and ("--" in rest or any("." in word.rpartition("/")[2] for word in words[1:])):
        return "undo"
    if verb == "reset" and "--hard" in rest:
        return "undo"
    if verb == "stash" and not {"pop", "apply", "list", "show"} & set(words):
        return "undo"
    if verb in ("diff", "show", "range-diff") or (verb == "log" and "-p" in rest):
        return "diff"
    if verb in _GIT_READS:
        return "read"
    return "edit" if verb in ("apply", "am", "cherry-pick", "rebase") else "run"


def _gh(rest: list[str]) -> CallKind:
    words = [word for word in rest if not word.startswith("-")][:2]
    if words in (["pr", "create"], ["pr", "merge"]):
        return "commit"
    if words in (["pr", "diff"], ["pr", "view"], ["pr", "checks"]):
        return "diff"
    return "read" if words[1:] in (["view"], ["list"], ["status"]) else "run"


def undone(command: str) -> tuple[str, ...]:
    """The paths that an undoing git command names, as they are written; empty where it names none (then all are meant)."""
    words = command[:LONGEST].split()
    return tuple(word.strip("'\"") for word in words if "/" in word or "." in word.strip("."))[:8]
