"""The house rules that a machine can check: layers, imports, sizes, docstrings, what lies where."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src" / "pointsman"
MODULES = sorted(SRC.rglob("*.py"))

RANK = {
    "errors": 0, "core": 1, "wire": 2, "settings": 2, "engine": 3, "sandbox": 4, "shell": 4, "library": 5, "plugins": 5,
    "tui": 5, "bench": 5, "cli": 6,
}
"""cli -> tui, bench -> sandbox, shell -> engine -> wire -> core. Only what stands lower, or its own part."""

TOP_LEVEL = {"pyproject.toml", "README.md", "LICENSE", "src", "tests", "plugins", "sessions"}
SYSTEM_MODULES = {"asyncio", "os", "pathlib", "socket", "time", "random", "logging", "subprocess", "io", "threading"}
LINES_AT_MOST = 450
HEAVY = "textual litellm networkx aiohttp pydantic msgspec xxhash asyncio"

ONLY_IN = {
    "textual": ("tui",),
    "aiohttp": ("shell", "sandbox", "bench"),
    "uvloop": ("shell", "sandbox", "bench", "cli"),
    "pydantic": ("settings", "core/pricing", "shell/prices", "shell/control"),
    "msgspec": ("wire", "shell", "sandbox"),
    "networkx": ("core/plan", "shell/failover/cycles"),
    "litellm": ("shell/translation/worker",),
    "tiktoken": ("shell/translation/counting",),
    "tokenizers": (),
}
"""Heavy packages and the only places that may import them (ARCHITECTURE.md, "Who may import whom")."""


def part(path: Path) -> str:
    """The part of the program a file belongs to: ``core``, ``wire`` ..., or the module's own name."""
    return path.relative_to(SRC).parts[0].removesuffix(".py")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every module name that ``path`` imports, anywhere in the file, with its line."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno}: imports are absolute"
            yield node.lineno, node.module or ""
            if node.module == "pointsman":
                for alias in node.names:
                    yield node.lineno, f"pointsman.{alias.name}"


def relative(path: Path) -> str:
    return path.relative_to(SRC).as_posix()


def test_every_part_has_its_layer() -> None:
    parts = {part(path) for path in MODULES} - {"__init__", "__main__"}
    assert parts <= set(RANK), f"give these parts a layer: {parts - set(RANK)}"


def test_nobody_imports_upward() -> None:
    wrong = []
    for path in MODULES:
        own = part(path)
        if own in ("__init__", "__main__"):
            continue
        for line, name in imports(path):
            if not name.startswith("pointsman."):
                continue
            other = name.split(".")[1]
            if other != own and RANK.get(other, -1) >= RANK[own]:
                wrong.append(f"{relative(path)}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_sandbox_shares_no_code_with_what_it_tests() -> None:
    shared = {"engine", "wire", "core", "shell", "settings"}
    wrong = [
        f"{relative(path)}:{line} imports {name}"
        for path in MODULES if part(path) == "sandbox"
        for line, name in imports(path) if name.startswith("pointsman.") and name.split(".")[1] in shared
    ]
    assert not wrong, "an oracle that shares the code under test cannot fail:\n" + "\n".join(wrong)


def test_core_and_wire_are_pure() -> None:
    wrong = []
    for path in MODULES:
        if part(path) not in ("core", "wire"):
            continue
        wrong += [f"{relative(path)}:{line} imports {name}" for line, name in imports(path)
                  if name.split(".")[0] in SYSTEM_MODULES]
        calls = (node for node in ast.walk(tree(path)) if isinstance(node, ast.Call))
        wrong += [f"{relative(path)}:{node.lineno} calls {node.func.id}" for node in calls
                  if isinstance(node.func, ast.Name) and node.func.id in ("open", "print")]
    assert not wrong, "\n".join(wrong)


def test_heavy_packages_stay_where_they_belong() -> None:
    wrong = []
    for path in MODULES:
        where = relative(path).removesuffix(".py")
        for line, name in imports(path):
            allowed = ONLY_IN.get(name.split(".")[0])
            if allowed is not None and not any(where == a or where.startswith(a + "/") or where.startswith(a + "_")
                                               for a in allowed):
                wrong.append(f"{relative(path)}:{line} imports {name}, which only {', '.join(allowed)} may")
    assert not wrong, "\n".join(wrong)


def loaded(code: str, watched: str) -> set[str]:
    """Which of the packages in ``watched`` a fresh interpreter has loaded after ``code``."""
    script = f"import sys\n{code}\nprint('loaded:', *sorted(set({watched.split()!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT / "src", timeout=300)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split("loaded:")[-1].split())


def test_importing_the_cli_is_cheap() -> None:
    assert not loaded("import pointsman.cli", HEAVY + " sqlite3")


def test_importing_the_library_is_cheap() -> None:
    assert not loaded("import pointsman", HEAVY + " sqlite3")


@pytest.mark.parametrize("command", ["line", "why", "hook"])
def test_prompt_line_commands_use_the_standard_library(command: str, tmp_path: Path) -> None:
    code = (
        f"import os, io; os.environ['POINTSMAN_HOME'] = {str(tmp_path)!r}; sys.stdin = io.StringIO('{{}}')\n"
        f"from pointsman.cli import main\n"
        f"try: main([{command!r}])\n"
        f"except SystemExit: pass"
    )
    assert not loaded(code, HEAVY)


def test_the_gateway_process_stays_light() -> None:
    code = "import pointsman.shell.gateway, pointsman.engine, pointsman.shell.ledger\n" \
           "from pointsman.shell.prices import load_book; load_book()"
    assert not loaded(code, "litellm networkx tokenizers tiktoken textual pydantic")


def test_files_can_be_read_in_one_sitting() -> None:
    files = [*MODULES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]
    long = {path.name: n for path in files if (n := len(path.read_text(encoding="utf-8").splitlines())) > LINES_AT_MOST}
    assert not long, f"split along a seam: {long}"


def undocumented(path: Path) -> Iterator[str]:
    """Public names in ``path`` without a docstring; handlers that a framework names by convention are exempt."""
    module = tree(path)
    if ast.get_docstring(module) is None and path.read_text(encoding="utf-8").strip():
        yield f"{relative(path)}: no module docstring"
    for node in module.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            if ast.get_docstring(node) is None:
                yield f"{relative(path)}:{node.lineno}: {node.name} has no docstring"


def test_public_names_have_docstrings() -> None:
    wrong = [line for path in MODULES for line in undocumented(path)]
    assert not wrong, "\n".join(wrong)


def tracked() -> list[str]:
    """The files of the checkout, without what .gitignore leaves out; skips where this is not a git checkout."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: which files belong to the project cannot be told")
    listing = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                             capture_output=True, text=True, check=True)
    return [name for name in listing.stdout.splitlines() if (ROOT / name).is_file()]


def test_top_level_is_as_agreed() -> None:
    names = {name.split("/")[0] for name in tracked()}
    assert {n for n in names if not n.startswith(".")} <= TOP_LEVEL
    assert TOP_LEVEL - names == set()


def test_no_paths_of_one_machine() -> None:
    pattern = re.compile(r"(?<![\w.~-])/(?:work|farm|root|tmp)/(?!points?\b)[a-z.]")  # recordings: the neutral folder "points"
    wrong = []
    for name in tracked():
        if name.endswith((".gz", ".png")):
            continue
        for number, line in enumerate((ROOT / name).read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if found := pattern.search(line):
                wrong.append(f"{name}:{number}: {found.group()}")
    assert not wrong, "\n".join(wrong[:20])


def test_no_loose_ends() -> None:
    pattern = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X)\b")
    wrong = [
        f"{relative(path)}:{number}: {line.strip()}"
        for path in MODULES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1) if pattern.search(line)
    ]
    assert not wrong, "\n".join(wrong)
