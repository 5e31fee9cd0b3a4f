"""The names of failing tests in what a test runner writes: pytest, unittest, go test -json, cargo, jest, and JUnit XML.

Read line by line while the output streams by, so that a flood costs no memory. Names are bounded in number and length.
A runner that is not known gives no names; then only the exit code speaks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

NAMES_AT_MOST = 500
NAME_AT_MOST = 200
XML_AT_MOST = 32 << 20
"""Bytes of a JUnit report that are read."""

_PYTEST = re.compile(r"^(?:FAILED|ERROR) (\S+?\.py(?:::[^\[]*?(?:\[.*?\])?)?)(?: - .*)?$")
_PYTEST_END = re.compile(r"^=* ?(?:(\d+) failed)?.*?(?:(\d+) passed)?.*? in [\d.]+s")
_COUNTS = re.compile(r"(\d+) (passed|failed|errors?|xpassed|xfailed)\b")
_UNITTEST = re.compile(r"^(?:FAIL|ERROR): (\S+) \(([\w.]+)\)")
_UNITTEST_END = re.compile(r"^Ran (\d+) tests? in ")
_CARGO = re.compile(r"^test (\S.*?) \.\.\. (ok|FAILED)$")
_CARGO_LISTED = re.compile(r"^    (\S.*)$")
_CARGO_END = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed")
_JEST_CASE = re.compile(r"^\s*●\s+(?!Console)(.+?)\s*$")
_JEST_END = re.compile(r"^Tests:\s+(.*?)(\d+) total")
_GO = re.compile(r"^\s*--- (FAIL|PASS): (\S+)")
_GO_PACKAGE = re.compile(r"^(?:FAIL|ok  )\t(\S+)")
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Report:
    """What one run said. ``failed``: names of failing tests; ``tests``: how many ran, None when it did not say."""

    def __init__(self) -> None:
        self.failed: set[str] = set()
        self.tests: int | None = None
        self._cargo = 0
        self._listing = False
        self._unplaced: set[str] = set()

    def feed(self, line: str) -> None:
        """Take one line of output."""
        line = _ANSI.sub("", line.rstrip("\r"))
        listed = _CARGO_LISTED.match(line) if self._listing else None
        self._listing = line == "failures:" or listed is not None  # ``cargo test -q`` names what failed in this list alone
        if listed:
            self._fail(listed[1])
        elif line.startswith("{") and '"Action"' in line:
            self._go_json(line)
        elif found := _PYTEST.match(line):
            self._fail(found[1])
        elif found := _UNITTEST.match(line):
            self._fail(found[2] if found[2].endswith(f".{found[1]}") else f"{found[2]}.{found[1]}")
        elif found := _CARGO.match(line):
            self._count(1)
            if found[2] == "FAILED":
                self._fail(found[1])
        elif found := _GO.match(line):
            self._count(1)
            if found[1] == "FAIL" and found[2] not in self.failed:
                self._fail(found[2])
                self._unplaced.add(found[2])
        elif found := _GO_PACKAGE.match(line):
            self._go_package(found[1], failed=line.startswith("FAIL"))
        elif found := _JEST_CASE.match(line):
            self._fail(found[1])
        else:
            self._ending(line)

    def _ending(self, line: str) -> None:
        """The line in which a runner sums up."""
        if found := _UNITTEST_END.match(line) or _JEST_END.match(line):
            self.tests = int(found[found.re.groups])
        elif found := _CARGO_END.match(line):
            self._cargo += int(found[1]) + int(found[2])
            self.tests = self._cargo
        elif _PYTEST_END.match(line) and (counts := _COUNTS.findall(line)):
            self.tests = sum(int(number) for number, _ in counts)
        elif "no tests ran" in line or line.startswith("collected 0 items"):
            self.tests = 0

    def _go_json(self, line: str) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            return
        if not isinstance(event, dict) or event.get("Action") not in ("pass", "fail"):
            return
        test, package = event.get("Test"), str(event.get("Package") or "")
        if test:
            self._count(1)
        if event["Action"] == "fail":
            self._fail(f"{package}.{test}" if test else package)

    def _go_package(self, package: str, failed: bool) -> None:
        """Go names the package after its tests: two packages may have tests of one name, and one that does not build has none."""
        if failed:
            names = {f"{package}.{name}" for name in self._unplaced} or {package}
            self.failed -= self._unplaced
            for name in sorted(names):
                self._fail(name)
        self._unplaced = set()

    def _count(self, more: int) -> None:
        self.tests = (self.tests or 0) + more

    def _fail(self, name: str) -> None:
        if len(self.failed) < NAMES_AT_MOST:
            self.failed.add(name[:NAME_AT_MOST])

    def take_junit(self, paths: Iterable[Path], since: float) -> None:
        """Add the failing tests of the JUnit reports that were written after ``since`` (epoch seconds)."""
        for path in paths:
            try:
                if path.stat().st_mtime < since or path.stat().st_size > XML_AT_MOST:
                    continue
                root = ElementTree.fromstring(path.read_bytes())
            except (OSError, ElementTree.ParseError, ValueError):
                continue
            cases = list(root.iter("testcase"))
            self.tests = max(self.tests or 0, len(cases))
            for case in cases:
                if case.find("failure") is not None or case.find("error") is not None:
                    name = case.get("name", "")
                    group = case.get("classname", "")
                    if not any(known.endswith(f"::{name}") for known in self.failed):
                        self._fail(f"{group}.{name}" if group else name)


def junit_files(command: str, cwd: Path) -> list[Path]:
    """Where ``command`` says that it writes JUnit XML, and where Maven and Gradle always do."""
    named = re.findall(r"(?:--junit-?xml|--junitfile|--outputFile)[= ](\S+)", command)
    found = [cwd / name.strip("'\"") for name in named]
    for pattern in ("target/surefire-reports/*.xml", "build/test-results/*/*.xml"):
        found += sorted(cwd.glob(pattern))[:200]
    return found
