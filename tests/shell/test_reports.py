"""Names of failing tests, in the words of the runners themselves."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pointsman.shell.check.reports import NAMES_AT_MOST, Report, junit_files

PYTEST = """\
=========================== short test summary info ============================
FAILED tests/test_a.py::test_one - AssertionError: assert 1 == 2
FAILED tests/test_a.py::TestB::test_two[x - y]
ERROR tests/test_c.py - ModuleNotFoundError: No module named 'x'
3 failed, 4 passed, 1 error in 0.12s
"""
UNITTEST = """\
======================================================================
FAIL: test_edges (test_slugs.TestSlug.test_edges)
----------------------------------------------------------------------
Ran 3 tests in 0.001s

FAILED (failures=1)
"""
GO_JSON = """\
{"Time":"2026-11-01T00:00:00Z","Action":"run","Package":"example.com/m","Test":"TestA"}
{"Time":"2026-11-01T00:00:00Z","Action":"fail","Package":"example.com/m","Test":"TestA","Elapsed":0}
{"Time":"2026-11-01T00:00:00Z","Action":"pass","Package":"example.com/m","Test":"TestB","Elapsed":0}
{"Time":"2026-11-01T00:00:00Z","Action":"fail","Package":"example.com/m","Elapsed":0.1}
{"Action": broken
"""
GO = "--- FAIL: TestA (0.00s)\n    --- FAIL: TestA/sub (0.00s)\nFAIL\n"
GO_PACKAGES = """\
--- FAIL: TestA (0.00s)
FAIL
FAIL\tm/a\t0.003s
--- FAIL: TestA (0.00s)
FAIL
FAIL\tm/b\t0.003s
ok  \tm/d\t0.002s
# m/c
c/c.go:3:1: syntax error
FAIL\tm/c [build failed]
FAIL
"""
CARGO = """\
test tests::adds ... ok
test tests::parses ... FAILED
test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
"""
CARGO_QUIET = """\
running 3 tests
.F.
failures:

---- tests::parses stdout ----
thread 'tests::parses' panicked at src/lib.rs:9:5:
    left: 1

failures:
    tests::parses
    src/lib.rs - parse (line 3)

test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
"""
JEST = """\
  \x1b[1m● \x1b[22mslug › joins words
    expect(received).toBe(expected)
Tests:       1 failed, 2 passed, 3 total
"""


@pytest.mark.parametrize(("text", "names", "tests"), [
    (PYTEST, {"tests/test_a.py::test_one", "tests/test_a.py::TestB::test_two[x - y]", "tests/test_c.py"}, 8),
    (UNITTEST, {"test_slugs.TestSlug.test_edges"}, 3),
    (GO_JSON, {"example.com/m.TestA", "example.com/m"}, 2),
    (GO, {"TestA", "TestA/sub"}, 2),
    (GO_PACKAGES, {"m/a.TestA", "m/b.TestA", "m/c"}, 2),
    (CARGO, {"tests::parses"}, 2),
    (CARGO_QUIET, {"tests::parses", "src/lib.rs - parse (line 3)"}, 3),
    (JEST, {"slug › joins words"}, 3),
    ("no tests ran in 0.01s\n", set(), 0),
    ("============ 12 passed in 3.40s ============\n", set(), 12),
    ("12 passed, 2 warnings in 3.40s\n", set(), 12),
    ("make: *** [test] Error 1\n", set(), None),
])
def test_names_and_counts(text: str, names: set[str], tests: int | None) -> None:
    report = Report()
    for line in text.splitlines():
        report.feed(line)
    assert (report.failed, report.tests) == (names, tests)


def test_names_are_bounded() -> None:
    report = Report()
    for n in range(NAMES_AT_MOST * 2):
        report.feed(f"FAILED tests/test_a.py::test_{n}{'x' * 999}")
    assert len(report.failed) == NAMES_AT_MOST and max(map(len, report.failed)) <= 200


def test_junit_reports_written_by_this_run_are_read(tmp_path: Path) -> None:
    path = tmp_path / "out.xml"
    path.write_text(
        '<testsuites><testsuite><testcase classname="pkg.A" name="bad"><failure/></testcase>'
        '<testcase classname="pkg.A" name="good"/></testsuite></testsuites>'
    )
    report = Report()
    report.take_junit(junit_files("gotestsum --junitfile out.xml", tmp_path), 0.0)
    assert (report.failed, report.tests) == ({"pkg.A.bad"}, 2)
    old = Report()
    old.take_junit([path], time.time() + 60)
    path.write_text("<broken")
    old.take_junit([path, tmp_path / "missing.xml"], 0.0)
    assert (old.failed, old.tests) == (set(), None)
