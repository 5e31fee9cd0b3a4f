"""The check at "done": when it runs, against what it compares, and what is remembered between runs.

Two processes share this: ``pointsman run``, which watches its agent's turns, and the hook that the agent itself calls.
Both find the same files in the home folder's ``checks``: ``run-ID.json`` (the check of a run, the files as they were when
each turn began) and ``tree-KEY.json`` (what is known of this command in this folder: failures by tree hash, tests that
disagreed with themselves, files the check itself writes). A lock keeps two checks, of whatever command, from running in one
tree.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointsman.shell.check import lock, worktree
from pointsman.shell.check.worktree import Tree

if TYPE_CHECKING:  # a hook that has nothing to do must not pay for what a check needs
    from pointsman.core.checks import Judged, Trial
    from pointsman.core.events import Checked, Verdict

ENV = "POINTSMAN_CHECK"
"""Environment variable with the path of the run's file: the agent's hooks find their check there."""

TIMEOUT_S = 300.0
AGAIN_S = 60.0
"""A failed check is run a second time, to tell a flaky one, only when it took less than this many seconds."""

TREES_KEPT = 60
"""Trees whose failures are remembered per folder and command."""

LABEL_AT_MOST = 60
BACK_S = 30.0
"""Seconds within which an agent that was sent back has begun its next request: later words are a person's."""

REASON_LINES = 40
"""Lines of the failing tail that are handed to the agent."""


@dataclass(frozen=True, slots=True)
class Spec:
    """A check: a shell ``command`` run in ``cwd`` for at most ``timeout_s`` seconds, when a changed file matches ``paths``
    (none: any). ``env`` is added to the environment. ``retries``: how often a failure sends the agent on, per task.
    ``distrust``: why its record is not believed, or None.
    """

    command: str
    cwd: str
    timeout_s: float = TIMEOUT_S
    paths: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    retries: int = 1
    distrust: str | None = None

    @property
    def label(self) -> str:
        """What the ledger and the screens call this check."""
        return self.command if len(self.command) <= LABEL_AT_MOST else self.command[: LABEL_AT_MOST - 1] + "…"


@dataclass(frozen=True, slots=True)
class Said:
    """What a check came to: the event (without turn and config), and the end of its output. ``overhead_s``: our own
    seconds around the command."""

    event: Checked
    tail: str
    overhead_s: float

    @property
    def verdict(self) -> Verdict:
        """What it says of the work."""
        return self.event.verdict

    def reason(self) -> str:
        """The failure as the agent is told it: what failed, the end of the output."""
        event = self.event
        names = "\n".join(f"  {name}" for name in event.new_failures)
        lines = self.tail.strip().splitlines()[-REASON_LINES:]
        known = "" if event.known else " (whether before your changes too is not known)"
        return (f"The check `{event.label}` fails after your changes{known}. Mend this before you finish:\n{names}\n\n"
                + "\n".join(lines))


class Guarded:
    """One run's check, from whichever process: ``run`` names the run, ``folder`` is the home folder's ``checks``."""

    def __init__(self, spec: Spec, run: str, folder: Path | None = None) -> None:
        self.spec = spec
        self.run = run
        if folder is None:
            from pointsman.shell.reading import home

            folder = home() / "checks"
        self.folder = folder
        self.cwd = Path(spec.cwd)
        self.root = worktree.top(self.cwd)
        here, root = self.cwd.resolve(), (self.root or self.cwd).resolve()
        self.memory = self.folder / f"tree-{_key(str(here), spec.command)}.json"
        self.lock = self.folder / f"tree-{_key(str(root))}.lock"  # held while a check runs in this tree
        self._inside = here.relative_to(root).as_posix() if here != root and here.is_relative_to(root) else ""
        self.file = self.folder / f"run-{run}.json"

    # -- what is written down ------------------------------------------------------------------------------------------

    def open(self) -> Path:
        """Write the run's file, with the files as they are now; its path goes into the agent's environment."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(self.file, {"spec": asdict(self.spec), "run": self.run, "begin": self.tree().plain(), "sessions": {}})
        return self.file

    def close(self) -> None:
        """Forget the run's file."""
        self.file.unlink(missing_ok=True)
        self.file.with_suffix(".lock").unlink(missing_ok=True)

    def tree(self) -> Tree:
        """The files as they are now, without what the check itself writes."""
        return worktree.state(self.cwd, self.root, _read(self.memory).get("own") or ())

    def turn_began(self, session: str, turn: int, *, late: Callable[[], bool] = lambda: False) -> None:
        """A person spoke: what the files are now is where this turn's work begins.

        ``late`` is asked after they were looked at: whether the agent may have worked already. Then the files as they were
        after the turn before are what counts.
        """
        seen = self.tree()
        now = None if late() else seen
        with self.session(session) as row:
            if time.time() - float(row.pop("sent_back", 0.0)) < BACK_S:
                return  # the agent goes on after a failed check: the work began before that
            if now is None and (end := row.get("end")) is not None:
                row["start"] = end
            elif now is not None:
                row["start"] = now.plain()
            row["turn"] = turn

    @contextmanager
    def session(self, session: str) -> Iterator[dict[str, Any]]:
        """This session's row of the run's file, written back at the end; one process at a time."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.file.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            value = _read(self.file)
            row = value.setdefault("sessions", {}).setdefault(session, {})
            yield row
            _write(self.file, value)

    # -- the check -----------------------------------------------------------------------------------------------------

    def due(self, session: str) -> tuple[Tree, Tree] | None:
        """(files at the turn's start, files now) when a check has something to look at, else None."""
        value = _read(self.file)
        row = value.get("sessions", {}).get(session, {})
        start = worktree.from_plain(row.get("start")) or worktree.from_plain(value.get("begin"))
        if start is None:
            return None
        now = self.tree()
        if now.hash and now.hash in (start.hash, row.get("checked")):
            return None
        if now.hash and row.get("flaked") == now.hash and time.time() - float(row.get("flaked_at", 0.0)) < AGAIN_S:
            return None  # another process of this run has just seen it disagree with itself
        paths = worktree.changed(start, now, self.root)
        return (start, now) if worktree.wanted(paths, self.spec.paths, self._inside) else None

    def check(
        self, session: str, start: Tree, now: Tree, *, cancel: threading.Event | None = None, hooked: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> Said | None:  # fmt: skip
        """Run it and judge; None when a check runs in this tree already. ``hooked``: the agent waits for the answer."""
        from pointsman.core.checks import judge

        begin = time.monotonic()
        with lock.alone(self.lock, self.run) as alone:
            if not alone:
                return None
            memory = _read(self.memory)
            first, tail = self._trial(cancel)
            again = None
            if first.code not in (0, None) and first.seconds < AGAIN_S and (cancel is None or not cancel.is_set()):
                again, _ = self._trial(cancel)
            ran = first.seconds + (again.seconds if again else 0.0)
            after = self.tree()
            moved = worktree.changed(now, after, self.root) if now.whole and after.whole else ()
            foreign = self._foreign(memory, now, moved)
            with self.session(session) as row:
                judged = judge(
                    first, again, self._baseline(memory, start), blamed=row.get("blamed") or (),
                    flaky=memory.get("flaky") or (), moved=foreign, work=worktree.changed(start, now, self.root),
                    distrust=self._distrust(),
                )  # fmt: skip
                event = self._event(session, judged, first, again, now, moved, hooked, clock())
                self._remember(memory, row, event, judged, first, again, after, moved, foreign)
        return Said(event, tail, time.monotonic() - begin - ran)

    def standing(self, session: str) -> str | None:
        """The failure that still stands because nothing has changed since it was found, in one sentence; else None."""
        row = _read(self.file).get("sessions", {}).get(session, {})
        if row.get("verdict") != "check_failed" or row.get("checked") != self.tree().hash:
            return None
        names = ", ".join((row.get("blamed") or [])[:3])
        return f"the check `{self.spec.label}` still fails, no file has changed since: {names}"

    @property
    def elsewhere(self) -> str:
        """Why nothing was checked where ``check`` says None."""
        return f"a check runs in this tree already: `{self.spec.label}` was not started"

    def sent_back(self, session: str) -> None:
        """The agent goes on by itself: its next words open no new work."""
        with self.session(session) as row:
            row["sent_back"] = time.time()

    def measure(self, cancel: threading.Event | None = None, limit_s: float | None = None) -> bool:
        """Learn what fails before any work, unless this tree is known; whether it is known now."""
        now = self.tree()
        if now.hash and now.hash in (_read(self.memory).get("trees") or {}):
            return True
        with lock.alone(self.lock, self.run) as alone:
            if not alone:
                return False
            trial, _ = self._trial(cancel, limit_s)
            memory = _read(self.memory)
            if trial.code is None or trial.code in (126, 127) or trial.tests == 0:
                return False
            after = self.tree()
            memory["own"] = sorted({*(memory.get("own") or ()), *worktree.changed(now, after, self.root)})[:200]
            self._keep(memory, (self.tree().hash, now.hash, after.hash), trial.names)
            _write(self.memory, memory)
        now = self.tree()  # once more, without what the check itself writes
        memory = _read(self.memory)
        self._keep(memory, (now.hash,), trial.names)
        _write(self.memory, memory)
        return True

    def _trial(self, cancel: threading.Event | None, limit_s: float | None = None) -> tuple[Trial, str]:
        from pointsman.core.checks import Trial
        from pointsman.shell.check import command as check_run
        from pointsman.shell.check.reports import Report, junit_files

        report, since = Report(), time.time() - 1.0
        limit = self.spec.timeout_s if limit_s is None else min(limit_s, self.spec.timeout_s)
        try:
            ran = check_run.run(self.spec.command, self.cwd, limit, env=dict(self.spec.env), cancel=cancel, line=report.feed)
        except OSError as error:
            return Trial(127, 0.0, limit_s=limit), f"the check cannot be started in {self.cwd}: {error.strerror}"
        report.take_junit(junit_files(self.spec.command, self.cwd), since)
        trial = Trial(ran.code, ran.seconds, frozenset(report.failed), report.tests, ran.timed_out, ran.cancelled, limit)
        return trial, ran.tail

    def _foreign(self, memory: dict[str, Any], now: Tree, moved: tuple[str, ...]) -> tuple[str, ...]:
        """Those of the files that changed during a run which make it worthless: git's own, and those that were there before.

        A file outside git that changed during the run before this one too is written by the check itself.
        """
        tracked = set(worktree.tracked(self.root, moved)) if self.root is not None else set()
        suspects = {path for path in moved if path in now.files and path not in tracked}
        known = set(memory.get("suspects") or ()) if self.root is not None else set()
        memory["suspects"] = sorted(suspects)[:200]
        return tuple(sorted(tracked | (suspects - known)))

    def _baseline(self, memory: Mapping[str, Any], start: Tree) -> frozenset[str] | None:
        """What failed on the files the work began with; else on the tree that was looked at last; else not known."""
        known = (memory.get("trees") or {}).get(start.hash)
        if known is None:
            known = memory.get("last")
        return None if known is None else frozenset(known)

    def _distrust(self) -> str | None:
        from pointsman.core.checks import cannot_fail

        if cannot_fail(self.spec.command):
            return "its command ends with success whatever happens: it cannot fail"
        return self.spec.distrust

    def _event(
        self, session: str, judged: Judged, first: Trial, again: Trial | None, now: Tree, moved: tuple[str, ...],
        hooked: bool, ts: float,
    ) -> Checked:  # fmt: skip
        from pointsman.core.checks import NAMES_KEPT
        from pointsman.core.events import Checked

        return Checked(
            ts=ts, session=session, label=self.spec.label, verdict=judged.verdict, why=judged.why,
            seconds=round(first.seconds + (again.seconds if again else 0.0), 3), tree=now.hash, run=self.run,
            failed=len(first.names), new_failures=judged.new[:NAMES_KEPT], known=judged.known, flake=judged.flake,
            changed=moved[:NAMES_KEPT], exit=first.code, sent_back=hooked, tests=first.tests if first.failed else None,
        )  # fmt: skip

    def _remember(
        self, memory: dict[str, Any], row: dict[str, Any], event: Checked, judged: Judged, first: Trial,
        again: Trial | None, after: Tree, moved: tuple[str, ...], foreign: tuple[str, ...],
    ) -> None:  # fmt: skip
        """What the next check must know: failures by tree, flaky names, own files, and what is blamed on this work."""
        if judged.flake and again is not None:
            memory["flaky"] = sorted({*(memory.get("flaky") or ()), *(first.names ^ again.names)})[:200]
        own = [path for path in moved if path not in foreign]
        memory["own"] = sorted({*(memory.get("own") or ()), *own})[:200]
        row["end"] = after.plain()
        if event.verdict == "check_passed":
            row["blamed"] = []
        elif event.verdict == "check_failed":
            row["blamed"] = sorted({*(row.get("blamed") or ()), *judged.new})[:200]
        if event.verdict != "check_unsure" or (first.code is not None and not foreign and not judged.flake):
            row["checked"] = event.tree
            row["verdict"] = event.verdict
            names = first.names & again.names if again is not None and again.code is not None else first.names
            self._keep(memory, (event.tree, after.hash), names - frozenset(memory.get("flaky") or ()))
        elif judged.flake:
            row["flaked"], row["flaked_at"] = event.tree, event.ts
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(self.memory, memory)

    @staticmethod
    def _keep(memory: dict[str, Any], trees: tuple[str, ...], failed: frozenset[str]) -> None:
        known: dict[str, list[str]] = memory.get("trees") or {}
        for tree in filter(None, trees):
            known.pop(tree, None)
            known[tree] = sorted(failed)
        memory["trees"] = dict(list(known.items())[-TREES_KEPT:])
        memory["last"] = sorted(failed)


def found(environment: Mapping[str, str]) -> Guarded | None:
    """The check of the run that this process belongs to, or None: no run, no check, or a file that cannot be read."""
    path = environment.get(ENV)
    if not path:
        return None
    value = _read(Path(path))
    try:
        given = value["spec"]
        spec = replace(
            Spec(str(given["command"]), str(given["cwd"])), timeout_s=float(given["timeout_s"]), paths=tuple(given["paths"]),
            env=tuple((str(k), str(v)) for k, v in given["env"]), retries=int(given["retries"]), distrust=given["distrust"],
        )  # fmt: skip
        return Guarded(spec, str(value["run"]), Path(path).parent)
    except (KeyError, TypeError, ValueError):
        return None


def _key(*words: str) -> str:
    """A short name for a folder, or a folder and a command."""
    return hashlib.blake2b("\0".join(words).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def _read(path: Path) -> dict[str, Any]:
    """A file of ours; empty where it is missing or broken: then nothing is remembered."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _write(path: Path, value: Mapping[str, Any]) -> None:
    """Replace a file of ours at once, readable by its owner only."""
    draft = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}")
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(value, file)
    with suppress(OSError):
        draft.replace(path)
