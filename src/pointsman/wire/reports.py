"""What the outputs of test runners, type checkers and linters say: structural lines that the tools print themselves.

Nothing is read but the form of a line that a tool prints about its own run (a count, a path with a position, a code): no
words of people or models, in no language. Each pattern begins at the beginning of a line. One pass over a text finds all.

Sources: the printing code or documentation of each tool named beside its pattern, November 2026.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

Report = Literal["tests_failed", "tests_passed", "type_error", "lint_error", "crash"]

_COUNTS = r"\d+ (?:failed|passed|errors?|skipped|xfailed|xpassed|deselected|warnings?|rerun|subtests passed|subtests failed)"
_FAILED = (
    rf"(?:=+ )?(?:{_COUNTS}, ){{0,9}}\d+ (?:failed|errors?)(?:, {_COUNTS}){{0,9}} in [\d.]+ ?s",  # pytest
    r"FAILED \S+(?: - |: )",  # pytest's short summary
    r"FAILED \((?:failures|errors|unexpected successes)=\d+",  # unittest, django
    r"FAIL\t\S+|--- FAIL: \S+",  # go test
    r"test result: FAILED\. | +Summary \[.*\b[1-9]\d* failed|error: test failed, to rerun pass",  # cargo test, cargo nextest
    r"Tests: +(?:\d+ \w+, ){0,9}[1-9]\d* failed, .*\d+ total",  # jest
    r" +Tests  +[1-9]\d* failed\b",  # vitest
    r" +[1-9]\d* failing$",  # mocha
    r" +[1-9]\d* failed$",  # playwright
    r" +[1-9]\d* tests? failed$",  # ava
    r"# fail [1-9]\d*$|ℹ fail [1-9]\d*$|not ok [1-9]\d* ",  # node --test, TAP
    r"Tests run: \d+, +Failures: (?:[1-9]|0, +Errors: [1-9])",  # junit
    r"\[(?:ERROR|WARNING|INFO)\] +Tests run: \d+, +Failures: (?:[1-9]|0, +Errors: [1-9])",  # maven
    r"\d+ tests? completed, [1-9]\d* failed|> Task :\S*[tT]est\S* FAILED",  # gradle
    r"\[ +[1-9]\d* tests failed +\]",  # junit console launcher
    r" *Failed! +- Failed: +[1-9]\d*, Passed: |Test Run Failed\.|Test summary: total: \d+, failed: [1-9]",  # dotnet
    r"\d+% tests passed, [1-9]\d* tests? failed out of \d+",  # ctest
    r"\[  FAILED  \] ",  # googletest
    r"test cases: +\d+ \|.*\b[1-9]\d* failed",  # catch2, doctest
    r"\d+ examples?, [1-9]\d* failures?",  # rspec
    r"\d+ (?:runs|tests), \d+ assertions, (?:[1-9]\d* failures|0 failures, [1-9]\d* errors)",  # minitest, rails, test-unit
    r"FAILURES!$|ERRORS!$|Tests: \d+, Assertions: \d+, (?:Errors|Failures): [1-9]",  # phpunit
    r" +Tests: +[1-9]\d* failed",  # pest
    r" *[1-9]\d* fail$",  # bun test
    r"FAILED \| \d+ passed",  # deno test
    r"(?:\d+ (?:doctests?|properties|property), ){0,9}\d+ tests?, [1-9]\d* failures?",  # mix test (ExUnit)
    r"\t +Executed \d+ tests?, with [1-9]| *Executed \d+ tests?, with [1-9]|\*\* TEST FAILED \*\*",  # swift, xcodebuild
    r"✘ Test run with \d+ tests? failed",  # swift testing
    r"\d\d:\d\d \+\d+(?: ~\d+)? -[1-9]\d*: Some tests failed",  # dart, flutter
    r"\[info\] Tests: succeeded \d+, failed [1-9]|\[error\] Failed: Total \d+, Failed [1-9]",  # scalatest, sbt
    r"//\S+ +FAILED in \d|Executed \d+ out of \d+ tests?: .*\bfails? ",  # bazel
    r"Result: FAIL$",  # prove
)
_PASSED = (
    rf"(?:=+ )?(?:{_COUNTS}, ){{0,9}}\d+ passed(?:, {_COUNTS}){{0,9}} in [\d.]+ ?s",
    r"[1-9]\d* passed$",
    r" +[1-9]\d* passed \([\d.]+m?s\)",
    r"Ran [1-9]\d* tests? in [\d.]+s\s+OK\b",
    r"ok  ?\t?\S+\t(?:\(cached\)|[\d.]+s)",
    r"test result: ok\. [1-9]\d* passed| +Summary \[.*\b[1-9]\d* passed",
    r"Tests: +(?:\d+ (?:skipped|todo), ){0,9}[1-9]\d* passed, \d+ total",
    r" +Tests  +[1-9]\d* passed\b",
    r" +[1-9]\d* passing \(",
    r" +[1-9]\d* tests? passed$",
    r"# pass [1-9]\d*$|ℹ pass [1-9]\d*$",
    r"Tests run: [1-9]\d*, +Failures: 0, +Errors: 0|\[INFO\] +Tests run: [1-9]\d*, +Failures: 0, +Errors: 0",
    r"OK \([1-9]\d* tests?\)",
    r"> Task :\S*[tT]est\b[^\n]*(?:\n(?!> Task :\S*[tT]est\S* FAILED)[^\n]*){0,40}?\nBUILD SUCCESSFUL in ",
    r" *Passed! +- Failed: +0, Passed: +[1-9]|Test Run Successful\.|Test summary: total: [1-9]\d*, failed: 0",
    r"100% tests passed, 0 tests failed out of [1-9]",
    r"\[  PASSED  \] [1-9]\d* tests?",
    r"All tests passed \([1-9]|test cases: +[1-9]\d* \| +[1-9]\d* passed \| +0 failed",
    r"[1-9]\d* examples?, 0 failures",
    r"[1-9]\d* (?:runs|tests), \d+ assertions, 0 failures, 0 errors",
    r"OK \([1-9]\d* tests?, \d+ assertions?\)",
    r" +Tests: +[1-9]\d* passed",
    r" *[1-9]\d* pass$",
    r"ok \| [1-9]\d* passed",
    r"(?:\d+ (?:doctests?|properties|property), ){0,9}[1-9]\d* tests?, 0 failures",
    r"\t +Executed [1-9]\d* tests?, with 0 | *Executed [1-9]\d* tests?, with 0 |\*\* TEST SUCCEEDED \*\*",
    r"✔ Test run with [1-9]\d* tests? passed",
    r"\d\d:\d\d \+[1-9]\d*(?: ~\d+)?: All tests passed!",
    r"\[info\] Tests: succeeded [1-9]\d*, failed 0|\[info\] Passed: Total [1-9]",
    r"Executed \d+ out of \d+ tests?: \d+ tests? pass",
    r"Result: PASS$",
)
_PLACE = r"(?:vet: )?[^\s:()]+(?::\d+){1,2}"
_TYPES = (
    rf"{_PLACE}: (?:fatal )?error: ",  # mypy, gcc, clang, javac, swiftc
    r"(?:vet: )?[^\s:()]+\.go:\d+:\d+: (?![^\n]*\([\w-]+\)$)",  # go build, go vet
    r"[^\s()]+\(\d+,\d+\): error [A-Z]+\d+: ",  # tsc, csc
    rf"{_PLACE} - error(?: TS\d+)?: | +/[^\s:]+:\d+:\d+ - error: ",  # tsc --pretty, pyright
    r"Found [1-9]\d* errors? in \d+ files?",  # mypy
    r"[1-9]\d* errors?, \d+ warnings?, \d+ (?:informations?|notes?)",  # pyright
    r"error\[E\d{4}\]: |error: could not compile ",  # rustc, cargo
    r"\[ERROR\] COMPILATION ERROR|\[ERROR\] [^\s:]+:\[\d+,\d+\] ",  # maven
    r"e: (?:file://)?[^\s:]+:\d+:\d+ ",  # kotlinc
    r"error: \[?[\w-]+\]?(?:\[[\w-]+\])?:? .*\n +(?:-->|┌─) \S+:\d+:\d+",  # ty, pyrefly, elm-like reports
)
_LINTS = (
    r"[^\s:()]+:\d+:\d+: [A-Z]{1,5}\d{2,5}\b",  # ruff, flake8, pylint
    r"[^\s:()]+:\d+:\d+: [CWEF]: ",  # rubocop
    r"[^\s:()]+\.go:\d+(?::\d+)?: [^\n]*\([\w-]+\)$",  # golangci-lint
    r"Found [1-9]\d* errors?\.$",  # ruff, biome
    r"[A-Z]{1,5}\d{2,5} (?:\[\*\] )?[^\n]*\n +--> \S+:\d+:\d+",  # ruff, full form
    r"✖ [1-9]\d* problems?\b",  # eslint, stylelint
    r" +\d+:\d+ +(?:error|warning) +\S",  # eslint's lines
    r" += (?:note|help): .*\bclippy::",  # clippy
    r"\d+ files? inspected, [1-9]\d* offenses? detected",  # rubocop
    r"\[warn\] Code style issues|would reformat \S|[1-9]\d* files? would be reformatted",  # prettier, black, ruff format
    r"In \S+ line \d+:$",  # shellcheck
    r"\S+:\d+:\d+: (?:error|warning): [^\n]*\([a-z_]+\)$",  # swiftlint
)
_CRASHES = (
    r"Traceback \(most recent call last\):",  # python
    r" +at .+[(/\\][^()\s]+:\d+(?::\d+)?\)?$",  # javascript, java, .net
    r"panic: |goroutine \d+ \[running\]:|thread '[^']*' (?:\(\d+\) )?panicked at ",  # go, rust
    r"Exception in thread \"|Caused by: \w+\.\w+",  # java
    r"\w*(?:Error|Exception)(?: \[\w+\])?: \S",  # python's last line, node, ruby
    r"npm (?:ERR!|error) |error Command failed with exit code [1-9]",  # npm, yarn
    r"(?:fatal|error|Error|ERROR): \S",  # git and most command lines
    r"Process completed with exit code [1-9]",  # GitHub actions
    r"\t?(?:from )?\S+:\d+:in [`']",  # ruby
    r"Segmentation fault|Aborted \(core dumped\)",
)

_PLACED = r"(?=(?:vet: )?[^\s()]+[:(]\d)"
"""A line that begins with a path and a position: told once for all patterns that do."""


def _one_of(names: Mapping[Report, tuple[str, ...]]) -> re.Pattern[str]:
    """One pattern for all; its groups are named after the report and a number.

    A literal line feed first makes the search jump from line to line, and lines are told by their first characters before any
    pattern is tried: twice as fast.
    """
    buckets: dict[str, dict[Report, list[str]]] = {}
    for name, patterns in names.items():
        for pattern in (one for many in patterns for one in _alternatives(many)):
            gate, rest = _gate(pattern)
            buckets.setdefault(gate, {}).setdefault(name, []).append(rest)
    out = []
    for n, (gate, kinds) in enumerate(buckets.items()):
        firsts = {_first(pattern) for found in kinds.values() for pattern in found}
        gate += f"(?=[{''.join(sorted(firsts))}])" if "" not in firsts else ""
        out.append(gate + "(?:" + "|".join(f"(?P<{name}_{n}>{'|'.join(found)})" for name, found in kinds.items()) + ")")
    return re.compile(rf"\n(?:{'|'.join(out)})", re.MULTILINE)


def _gate(pattern: str) -> tuple[str, str]:
    """What a line must begin with for ``pattern`` to be tried, and what is left of the pattern behind it."""
    if pattern.startswith((" +", " *")):
        return pattern[:2] + "+", pattern[2:]
    if pattern.startswith("(?:=+ )?"):
        return r"(?=[=\d])", pattern
    if pattern.startswith((r"\d", "[1-9]", r"(?:\d")):
        return r"(?=\d)", pattern
    if pattern.startswith((_PLACE, "(?:vet: )?", r"[^\s", r"\S+:")):
        return _PLACED, pattern
    if _first(pattern):
        return "(?:)", pattern
    return ("(?=[A-Z])" if pattern.startswith("[A-Z]") else ""), pattern


def _first(pattern: str) -> str:
    """What a match begins with, as a member of a character class; empty where that is not one character or digit."""
    if pattern.startswith((r"\d", "[1-9]", r"(?:\d")):
        return r"\d"
    if pattern.startswith((r"\t", r"\*", r"\[")):
        return pattern[:2]
    return pattern[0] if pattern[0].isalnum() or pattern[0] in "=✖✘✔#/>" else r"\-" if pattern[0] == "-" else ""


def _alternatives(pattern: str) -> list[str]:
    """The alternatives of a pattern that stand outside all brackets."""
    out, depth, at, i = [], 0, 0, 0
    while i < len(pattern):
        sign = pattern[i]
        if sign == "\\":
            i += 1
        elif sign == "[":
            i = pattern.index("]", i + 2)
        elif sign in "()":
            depth += 1 if sign == "(" else -1
        elif sign == "|" and not depth:
            out.append(pattern[at:i])
            at = i + 1
        i += 1
    return [*out, pattern[at:]]


_TOOLS = _one_of({"tests_failed": _FAILED, "tests_passed": _PASSED, "lint_error": _LINTS, "type_error": _TYPES})
_REPORTS: dict[str, Report] = {
    group: group.rpartition("_")[0] for group in _TOOLS.groupindex  # type: ignore[misc]  # they are named after it
}
_PASTED = _one_of({"tests_failed": _FAILED, "type_error": _TYPES, "lint_error": _LINTS, "crash": _CRASHES})


def found(text: str) -> frozenset[Report]:
    """What the lines of a tool's output report. Failing and passing summaries may both stand in it: one per package."""
    return frozenset(_REPORTS[match.lastgroup] for match in _TOOLS.finditer("\n" + text) if match.lastgroup)


def pasted(text: str) -> bool:
    """Whether a person's words carry a failure that a tool printed: a failing test, an error with its place, a stack trace."""
    return _PASTED.search("\n" + text) is not None
