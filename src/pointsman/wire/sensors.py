"""Facts that show in texts: did a command fail, did tests pass or fail.

Only outputs of tools are read, only their beginning and their end, and only the summary line that a test runner prints
itself; the agent's own words ("all tests pass") are no evidence. One failing summary outweighs passing ones: runners
print one line per package.
"""

from __future__ import annotations

import re
from typing import Literal

HEAD_CHARS, TAIL_CHARS = 2_000, 8_000
"""How much of a long output is read: summaries stand at its end, exit codes at either end."""

_COUNTS = r"\d+ (?:failed|passed|errors?|skipped|xfailed|xpassed|deselected|warnings?|rerun|subtests passed|subtests failed)"
_FAILED = re.compile(
    "|".join(
        (
            rf"^(?:=+ )?(?:{_COUNTS}, )*\d+ (?:failed|errors?)(?:, {_COUNTS})* in [\d.]+ ?s",  # pytest
            r"^FAILED \S+(?: - |: )",  # pytest's short summary
            r"^FAILED \((?:failures|errors|unexpected successes)=\d+",  # unittest
            r"^FAIL\t\S+|^--- FAIL: \S+",  # go test
            r"^test result: FAILED\. |^ +Summary \[.*\b[1-9]\d* failed",  # cargo test, cargo nextest
            r"^Tests: +(?:\d+ \w+, )*[1-9]\d* failed, .*\d+ total",  # jest
            r"^ +Tests  +[1-9]\d* failed\b",  # vitest
            r"^ +[1-9]\d* failing$",  # mocha
            r"^(?:#|ℹ) fail [1-9]\d*$",  # node --test
            r"^(?:\[(?:ERROR|WARNING|INFO)\] +)?Tests run: \d+, (?:Failures: [1-9]\d*|Failures: 0, Errors: [1-9]\d*)",  # maven
            r"^\d+ tests? completed, [1-9]\d* failed|^> Task :\S*[tT]est\S* FAILED",  # gradle
            r"^ *Failed! +- Failed: +[1-9]\d*, Passed: |^Test Run Failed\.",  # dotnet
            r"^\d+% tests passed, [1-9]\d* tests? failed out of \d+",  # ctest
            r"^\d+ examples?, [1-9]\d* failures?",  # rspec
            r"^FAILURES!$|^Tests: \d+, Assertions: \d+, (?:Errors|Failures): [1-9]",  # phpunit
            r"^ *[1-9]\d* fail$",  # bun test
        )
    ),
    re.MULTILINE,
)
_PASSED = re.compile(
    "|".join(
        (
            rf"^(?:=+ )?(?:{_COUNTS}, )*\d+ passed(?:, {_COUNTS})* in [\d.]+ ?s",
            r"^[1-9]\d* passed$",
            r"^Ran [1-9]\d* tests? in [\d.]+s\s+^OK\b",
            r"^ok  ?\t?\S+\t(?:\(cached\)|[\d.]+s)",
            r"^test result: ok\. [1-9]\d* passed|^ +Summary \[.*\b[1-9]\d* passed",
            r"^Tests: +(?:\d+ (?:skipped|todo), )*[1-9]\d* passed, \d+ total",
            r"^ +Tests  +[1-9]\d* passed\b",
            r"^ +[1-9]\d* passing \(",
            r"^(?:#|ℹ) pass [1-9]\d*$",
            r"^(?:\[INFO\] +)?Tests run: [1-9]\d*, Failures: 0, Errors: 0",
            r"^ *Passed! +- Failed: +0, Passed: +[1-9]|^Test Run Successful\.",
            r"^100% tests passed, 0 tests failed out of [1-9]",
            r"^[1-9]\d* examples?, 0 failures",
            r"^OK \([1-9]\d* tests?, \d+ assertions?\)",
            r"^ *[1-9]\d* pass$",
        )
    ),
    re.MULTILINE,
)
_EXIT = re.compile(
    r"^(?:Process exited with code|Exit code:?|Exit Code:|Command failed with exit code:?) ?(-?\d+)"
    r"|<returncode>(-?\d+)</returncode>|\"(?:exit_code|returncode)\": ?(-?\d+)",
    re.MULTILINE,
)
_COLOUR = re.compile(r"\x1b\[[\d;]*m")


def ends(text: str) -> str:
    """The beginning and the end of a long text, colours removed; a short text whole."""
    if len(text) > HEAD_CHARS + TAIL_CHARS:
        text = text[:HEAD_CHARS] + "\n" + text[-TAIL_CHARS:]
    return _COLOUR.sub("", text) if "\x1b" in text else text


def test_report(text: str) -> Literal["tests_failed", "tests_passed"] | None:
    """What the summary line of a test runner in ``text`` says; None when there is none."""
    if _FAILED.search(text):
        return "tests_failed"
    return "tests_passed" if _PASSED.search(text) else None


def exit_code(text: str) -> int | None:
    """The exit code that an output's text states: Codex, OpenCode, mini-swe-agent, Gemini and Qwen write one; else None."""
    found = _EXIT.search(text)
    return int(next(group for group in found.groups() if group is not None)) if found else None
