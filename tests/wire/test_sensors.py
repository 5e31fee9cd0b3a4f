"""Summary lines of test runners, exit codes, and texts that only look like them."""

from __future__ import annotations

import pytest

from pointsman.wire import sensors
from pointsman.wire.sensors import ends, exit_code

FAILED = {
    "pytest": "FAILED tests/test_a.py::test_b - assert 1 == 2\n==== 2 failed, 3 passed, 1 warning in 0.12s ====",
    "pytest -q": "1 failed, 2 passed in 0.05s",
    "pytest error": "=== 1 error in 0.40s ===",
    "unittest": "Ran 3 tests in 0.002s\n\nFAILED (failures=1, errors=1)",
    "go": "--- FAIL: TestAdd (0.00s)\nFAIL\nFAIL\tcalc\t0.003s\nok  \tcalc/sub\t0.2s",
    "cargo": "test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.02s",
    "jest": "Tests:       1 failed, 4 passed, 5 total",
    "vitest": " Test Files  1 failed (1)\n      Tests  1 failed | 3 passed (4)",
    "mocha": "  3 passing (20ms)\n  1 failing",
    "node": "# tests 3\n# pass 2\n# fail 1",
    "maven": "[ERROR] Tests run: 7, Failures: 1, Errors: 0, Skipped: 0",
    "gradle": "12 tests completed, 2 failed",
    "dotnet": "Failed!  - Failed:     1, Passed:     4, Skipped:     0, Total:     5",
    "ctest": "92% tests passed, 1 tests failed out of 13",
    "rspec": "10 examples, 2 failures",
    "phpunit": "FAILURES!\nTests: 3, Assertions: 3, Failures: 1.",
    "bun": " 2 pass\n 1 fail",
}
PASSED = {
    "pytest": "============== 5 passed, 1 skipped in 2.03s ==============",
    "pytest -q": "5 passed in 2.03s",
    "unittest": "Ran 3 tests in 0.002s\n\nOK",
    "go": "ok  \tcalc\t0.003s\nok  \tcalc/sub\t(cached)",
    "cargo": "test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.02s",
    "jest": "Tests:       5 passed, 5 total",
    "vitest": "      Tests  4 passed (4)",
    "mocha": "  3 passing (20ms)",
    "node": "# pass 3\n# fail 0",
    "maven": "[INFO] Tests run: 7, Failures: 0, Errors: 0, Skipped: 0",
    "dotnet": "Passed!  - Failed:     0, Passed:     5, Skipped:     0, Total:     5",
    "ctest": "100% tests passed, 0 tests failed out of 13",
    "rspec": "10 examples, 0 failures",
    "phpunit": "OK (3 tests, 3 assertions)",
    "bun": " 3 pass\n 0 fail",
}
NEITHER = [
    "The tests passed in my head.",
    "def test_failed(): ...",
    "12:FAILED (failures=1)",
    "I ran it: 3 passed in 1s, honest",
    "okay then",
    "pass",
    "FAIL",
    "collected 0 items",
    "no tests ran in 0.01s",
    "Ran 0 tests in 0.000s\n\nOK",
    "test result unknown",
    "2 failures",
]


@pytest.mark.parametrize("runner", FAILED)
def test_failing_summaries_are_seen(runner: str) -> None:
    assert sensors.test_report(FAILED[runner]) == "tests_failed"


@pytest.mark.parametrize("runner", PASSED)
def test_passing_summaries_are_seen(runner: str) -> None:
    assert sensors.test_report(PASSED[runner]) == "tests_passed"


@pytest.mark.parametrize("text", NEITHER)
def test_other_texts_say_nothing(text: str) -> None:
    assert sensors.test_report(text) is None


def test_only_the_ends_of_a_long_output_are_read() -> None:
    long = "x\n" * 50_000
    assert sensors.test_report(ends(long + "1 failed in 0.1s")) == "tests_failed"
    assert sensors.test_report(ends(long + "\n1 failed in 0.1s\n" + long)) is None
    assert len(ends(long)) < 11_000


@pytest.mark.parametrize("text", [
    '{"returncode": 1, "output": "collected 3\\nFAILED tests/a.py::b - x"}', '{"output":"1 failed in 0.1s"}',
    '[{"query":"pytest","result":"==== 1 failed in 0.1s ====\\n","success":false}]',
    "Command: pytest\nOutput: FAILED (failures=1)\nExit Code: 1", "Output: 1 failed in 0.1s",
])  # fmt: skip
def test_reports_inside_other_forms_are_read(text: str) -> None:
    assert sensors.test_report(ends(text)) == "tests_failed"


def test_colours_do_not_hide_a_summary() -> None:
    assert sensors.test_report(ends("\x1b[31m\x1b[1m1 failed\x1b[0m, 2 passed\x1b[31m in 0.1s\x1b[0m")) == "tests_failed"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Chunk ID: 1\nProcess exited with code 2\nOutput:", 2),
        ("Exit code: 127\nnot found", 127),
        ("<returncode>1</returncode>", 1),
        ('{"output":"x","metadata":{"exit_code":3}}', 3),
        ('[{"result":"","success":false}]', 1),
        ("Process exited with code 0", 0),
        ("the exit code: 5 was odd", None),
        ("", None),
    ],
)
def test_exit_codes(text: str, code: int | None) -> None:
    assert exit_code(text) == code
