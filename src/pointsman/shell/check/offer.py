"""Which test command a project obviously has, and the person's answer to whether it may guard "done".

Nothing is executed here. The answer is remembered in the home folder, by folder and command: a command that comes with
somebody's repository runs only after its owner's yes, and is offered once.
"""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pointsman.shell.reading import home

ANSWERS = "answers.json"


def notice(folder: Path, which: Callable[[str], str | None] = shutil.which) -> str | None:
    """The test command of the project in ``folder``, or None where it is not obvious. ``which`` finds a program."""
    for look in (_pytest, _node, _cargo, _go, _make):
        command = look(folder)
        if command is not None and which(command.split()[0]) is not None:
            return command
    return None


def _pytest(folder: Path) -> str | None:
    settings = _toml(folder / "pyproject.toml")
    configured = "pytest" in (settings.get("tool") or {}) or (folder / "pytest.ini").is_file()
    tests = any((folder / name).is_dir() for name in ("tests", "test")) or any(folder.glob("test_*.py"))
    if not configured and not ((settings or (folder / "setup.py").is_file() or (folder / "setup.cfg").is_file()) and tests):
        return None
    own = folder / ".venv" / "bin" / "pytest"
    if own.is_file():
        return ".venv/bin/pytest -q"
    return "uv run pytest -q" if (folder / "uv.lock").is_file() else "pytest -q"


def _node(folder: Path) -> str | None:
    try:
        scripts = json.loads((folder / "package.json").read_text(encoding="utf-8")).get("scripts") or {}
    except (OSError, ValueError, AttributeError):
        return None
    test = scripts.get("test") if isinstance(scripts, dict) else None
    if not isinstance(test, str) or not test.strip() or "no test specified" in test:
        return None
    for lock, program in (("pnpm-lock.yaml", "pnpm"), ("yarn.lock", "yarn"), ("bun.lock", "bun"), ("bun.lockb", "bun")):
        if (folder / lock).is_file():
            return f"{program} run test"
    return "npm test --silent"


def _cargo(folder: Path) -> str | None:
    return "cargo test -q" if (folder / "Cargo.toml").is_file() else None


def _go(folder: Path) -> str | None:
    return "go test ./..." if (folder / "go.mod").is_file() else None


def _make(folder: Path) -> str | None:
    for names, program in ((("Makefile", "makefile", "GNUmakefile"), "make"), (("justfile", "Justfile", ".justfile"), "just")):
        for name in names:
            with suppress(OSError, UnicodeDecodeError):
                if re.search(r"^test\b[^:\n]*:(?!=)", (folder / name).read_text(encoding="utf-8"), re.M):
                    return f"{program} test"
    return None


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return {}


def answered(folder: Path, command: str) -> bool | None:
    """What the person said to running ``command`` in ``folder``; None: never asked."""
    said = _answers().get(str(folder), {})
    found = said.get(command) if isinstance(said, dict) else None
    return found if isinstance(found, bool) else None


def remember(folder: Path, command: str, yes: bool) -> None:
    """Keep the person's answer."""
    path = home() / "checks" / ANSWERS
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    answers = dict(_answers())
    known = answers.get(str(folder))
    answers[str(folder)] = {**(known if isinstance(known, dict) else {}), command: yes}
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(answers, indent=1), encoding="utf-8")
    draft.replace(path)


def ask(folder: Path, command: str, *, why: str, read: Callable[[str], str] = input) -> bool:
    """Ask once, and remember; no answer (end of input, interrupt) is no, and is asked again another time."""
    prompt = (f"{why}: `{command}`. Run it whenever the agent says it is done and files have changed, so that a failure is seen\n"
              f"before you see \"done\"? It is remembered for this folder. [y/N] ")
    try:
        yes = read(prompt).strip().lower() in ("y", "yes")
    except (EOFError, KeyboardInterrupt):
        return False
    remember(folder, command, yes)
    return yes


def _answers() -> Mapping[str, Any]:
    try:
        value = json.loads((home() / "checks" / ANSWERS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
