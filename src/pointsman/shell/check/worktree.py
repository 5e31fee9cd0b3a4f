"""What the files of a folder are, in one comparable value: by git where there is git, else by size and time of each file.

A repository inside the repository (a submodule, a clone, another worktree) is one line to git: it is looked at on its own, so
that work inside it is seen. Nothing is written, in the folder or in its repository. Caches that tools leave behind are left
out everywhere.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

GIT_S = 20.0
"""Seconds git may take: a status of a very large repository on a cold disk."""

FILES_AT_MOST = 20_000
"""Files looked at where there is no git, and changed files where there is: beyond, any turn counts as a change."""

NESTED_AT_MOST = 20
"""Repositories inside a repository that are looked at: beyond, any turn counts as a change."""

CONTENT_AT_MOST = 4 << 20
"""Bytes of a changed file that are hashed; a larger one goes by size and time."""

CACHES = frozenset({
    "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".tox", ".nox", ".venv", "venv", "node_modules",
    ".git", ".hg", ".svn", ".gradle", ".coverage", ".nyc_output", ".cache", ".turbo", ".next", "htmlcov", ".DS_Store",
})  # fmt: skip
"""Names of folders and files that tools write for themselves."""


@dataclass(frozen=True, slots=True)
class Tree:
    """The state of a folder. ``head``: git's commit ("" without). ``files``: path to hash; of the changed ones with git,
    of all without. ``whole`` False: there were too many to look at, or git did not answer in time.
    """

    kind: Literal["git", "times"]
    head: str
    files: Mapping[str, str]
    whole: bool = True

    @property
    def hash(self) -> str:
        """A short name for exactly this state; equal states, equal names. Empty when the state is not wholly known."""
        if not self.whole:
            return ""
        found = hashlib.blake2b(f"{self.kind}\0{self.head}\0".encode(), digest_size=10)
        for path in sorted(self.files):
            found.update(f"{path}\0{self.files[path]}\n".encode("utf-8", "surrogateescape"))
        return found.hexdigest()

    def plain(self) -> dict[str, Any]:
        """This state as JSON values."""
        return {"kind": self.kind, "head": self.head, "files": dict(self.files), "whole": self.whole}


def from_plain(value: Any) -> Tree | None:
    """The state that ``plain`` wrote, or None for anything else."""
    try:
        kind = "git" if value["kind"] == "git" else "times"
        files = {str(path): str(name) for path, name in value["files"].items()}
        return Tree("git" if kind == "git" else "times", str(value["head"]), files, bool(value["whole"]))
    except (TypeError, KeyError, AttributeError):
        return None


def top(folder: Path) -> Path | None:
    """The top folder of the git checkout that ``folder`` is in; None without git."""
    said = _git(folder, "rev-parse", "--show-toplevel")
    return Path(os.fsdecode(said.rstrip(b"\n"))) if said else None


def state(folder: Path, root: Path | None, without: Collection[str] = ()) -> Tree:
    """The files as they are now. ``root``: what ``top`` said. ``without``: paths to leave out (what the check itself writes)."""
    return _by_git(root, without) if root is not None else _by_times(folder, without)


def changed(before: Tree, after: Tree, root: Path | None) -> tuple[str, ...]:
    """The paths that differ between two states, sorted; ("*",) where that cannot be told."""
    if not (before.whole and after.whole) or before.kind != after.kind:
        return ("*",)
    paths = {path for path in {*before.files, *after.files} if before.files.get(path) != after.files.get(path)}
    if before.head != after.head and root is not None:
        said = _git(root, "diff", "--name-only", "-z", before.head, after.head)
        if said is None:
            return ("*",)
        paths |= {os.fsdecode(path) for path in said.split(b"\0") if path}
    return tuple(sorted(path for path in paths if not _is_cache(path)))


def tracked(root: Path | None, paths: Iterable[str]) -> tuple[str, ...]:
    """Those of ``paths`` that git has under its care; without git all that were there."""
    listed = tuple(paths)
    if root is None or not listed or listed == ("*",):
        return listed
    said = _git(root, "--literal-pathspecs", "ls-files", "-z", "--", *listed[:200])
    return tuple(os.fsdecode(path) for path in (said or b"").split(b"\0") if path)


def wanted(paths: Iterable[str], patterns: Collection[str], folder: str = "") -> bool:
    """Whether any path matches a pattern such as ``src/**`` or ``*.py``; without patterns every path does.

    A pattern is read from the top of the repository, and from ``folder`` in it, where the check runs.
    """
    listed = tuple(paths)
    if not patterns or "*" in listed:
        return bool(listed)
    if folder:
        listed += tuple([path[len(folder) + 1 :] for path in listed if path.startswith(f"{folder}/")])
    return any(fnmatch(path, pattern) or fnmatch(path, f"{pattern.rstrip('/')}/*") for path in listed for pattern in patterns)


def _git(folder: Path, *words: str) -> bytes | None:
    """What git says, or None. Takes no lock and starts no monitor: the agent may be using the same repository."""
    env = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(["git", "-c", "core.fsmonitor=false", *words], cwd=folder, env=env, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=GIT_S, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None


def _by_git(root: Path, without: Collection[str], budget: Iterator[int] | None = None) -> Tree:
    """What git says of ``root`` and of the repositories in it; ``budget`` runs out after so many of those."""
    said = _git(root, "status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all", "--no-renames")
    unknown = Tree("git", "", {}, whole=False)
    if said is None:
        return unknown
    budget = budget or iter(range(NESTED_AT_MOST))
    entries = said.split(b"\0")
    head = next((entry[13:].decode() for entry in entries if entry.startswith(b"# branch.oid ")), "")
    pairs = [(entry, path) for entry in entries if (path := _path_of(entry)) is not None]
    pairs = [(entry, path) for entry, path in pairs if path not in without and not _is_cache(path)]
    if len(pairs) > FILES_AT_MOST:
        return unknown  # before any of them is read
    files: dict[str, str] = {}
    for entry, path in pairs:
        module = entry[:1] != b"?" and entry[5:6] == b"S"  # "1 .M SC..": a submodule, on another commit
        if (module or path.endswith("/")) and (root / path / ".git").exists():
            own = unknown if next(budget, None) is None else _by_git(root / path, (), budget)
            if not own.whole:
                return unknown
            name = path.rstrip("/")
            if not module or entry[6:7] == b"C":
                files[name] = f"commit {own.head}"
            files |= {f"{name}/{inner}": what for inner, what in own.files.items() if f"{name}/{inner}" not in without}
        else:
            files[path] = _content(root / path)
    return Tree("git", head, files) if len(files) <= FILES_AT_MOST else unknown


def _path_of(entry: bytes) -> str | None:
    """The path of one entry of ``git status --porcelain=v2 -z``, or None for another line."""
    fields = {b"1": 8, b"u": 10, b"?": 1}.get(entry[:1])
    if fields is None or entry[1:2] != b" ":
        return None
    parts = entry.split(b" ", fields)
    return os.fsdecode(parts[-1]) if len(parts) == fields + 1 else None


def _content(path: Path) -> str:
    """A short hash of a file's content and whether it can be run; of a link's target; "gone" for a deleted one."""
    try:
        if path.is_symlink():
            return "link " + os.readlink(path)
        status = path.stat()
        if path.is_dir():
            return "folder"
        if status.st_size > CONTENT_AT_MOST:
            return f"{status.st_size} {status.st_mtime_ns}"
        return f"{status.st_mode & 0o111:o} " + hashlib.blake2b(path.read_bytes(), digest_size=10).hexdigest()
    except OSError:
        return "gone"


def _by_times(folder: Path, without: Collection[str]) -> Tree:
    files: dict[str, str] = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in CACHES)
        for name in names:
            path = os.path.join(parent, name)
            short = os.path.relpath(path, folder)
            if short in without or _is_cache(short):
                continue
            if len(files) >= FILES_AT_MOST:
                return Tree("times", "", {}, whole=False)
            try:
                status = os.stat(path, follow_symlinks=False)
            except OSError:
                continue
            files[short] = f"{status.st_size} {status.st_mtime_ns}"
    return Tree("times", "", files)


def _is_cache(path: str) -> bool:
    return path.endswith(".pyc") or any(part in CACHES for part in path.split("/"))
