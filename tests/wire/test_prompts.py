"""What a person's own words show, whatever the language; lines of checkers and more test runners."""

from __future__ import annotations

import pytest

from pointsman.core.progress import _alike
from pointsman.wire import reports
from pointsman.wire.prompts import BITS, WORDS, facts_of, sketch_of

PASTED = [
    "it still fails:\nTraceback (most recent call last):\n  File \"a.py\", line 1\nValueError: x",
    "das geht nicht\n--- FAIL: TestAdd (0.00s)",
    "还是不行\nsrc/a.ts(3,5): error TS2322: Type 'string' is not assignable",
    "TypeError: Cannot read properties of undefined (reading 'x')\n    at run (/app/a.js:3:9)",
    "сломалось\nerror[E0308]: mismatched types",
    "panic: runtime error: index out of range",
    "fatal: not a git repository",
    "FAILED tests/test_a.py::test_b - assert 1 == 2",
]
NOT_PASTED = [
    "please handle the error case in the parser", "why does the test fail?", "add a panic button", "Fehler bei 3: bitte prüfen",
    "note: errors should be logged", "no, that is wrong", "1. error handling\n2. tests",
]  # fmt: skip


@pytest.mark.parametrize("text", PASTED)
def test_a_pasted_failure_is_told_by_its_lines_in_any_language(text: str) -> None:
    assert "pasted_failure" in facts_of(text)


@pytest.mark.parametrize("text", NOT_PASTED)
def test_words_about_failures_are_none(text: str) -> None:
    assert "pasted_failure" not in facts_of(text)


def test_questions_quotes_and_approval_have_no_language() -> None:
    for text in ("why?", "为什么？", "لماذا؟", "¿por qué?", "(right?)"):
        assert facts_of(text) == ("question",)
    assert facts_of("> it is done\nnot so") == ("quotes",)
    for text in ("👍", " 🎉🎉 ", "👍🏽!", "+1", "❤️"):
        assert facts_of(text) == ("praise",)
    for text in ("thanks", "👍 and now the other one, please", "no", "", "+1 on the second"):
        assert facts_of(text) == ()


TWICE = {
    "en": ("make the parser faster for large files", "please make the parser faster for large files!"),
    "de": ("mach den Parser schneller bei großen Dateien", "bitte mach den Parser schneller bei großen Dateien"),
    "zh": ("请让解析器在处理大文件时更快", "让解析器在处理大文件时更快"),
    "ja": ("大きなファイルでパーサーを速くして", "大きなファイルでパーサーを速くしてください"),
    "ru": ("ускорь разбор больших файлов", "ускорь, пожалуйста, разбор больших файлов"),
    "hi": ("बड़ी फ़ाइलों के लिए पार्सर को तेज़ बनाओ", "कृपया बड़ी फ़ाइलों के लिए पार्सर को तेज़ बनाओ"),
    "th": ("ทำให้ตัวแยกวิเคราะห์เร็วขึ้น", "ทำให้ตัวแยกวิเคราะห์เร็วขึ้นหน่อย"),
    "non-native": ("parser is slow with the big file, make more fast", "parser is slow with big file, please make more fast"),
}  # fmt: skip


@pytest.mark.parametrize("language", TWICE)
def test_sketches_tell_the_same_words_from_others_in_every_language(language: str) -> None:
    one, other = map(_bits, TWICE[language])
    assert _alike(one, other)
    for name, (text, _) in TWICE.items():
        if {name, language} not in ({name}, {"en", "non-native"}):
            assert not _alike(one, _bits(text))


def _bits(text: str) -> int:
    return int(sketch_of(text), 16)


def test_words_with_vowel_signs_and_scripts_without_spaces_are_words_too() -> None:
    for text, count in (("वेब क्लाइंट धीमा है", 3), ("שָׁלוֹם עוֹלָם", 2), ("កម្មវិធីយឺត", 8), ("ပရိုဂရမ်", 5)):
        assert _bits(text).bit_count() >= count, text


def test_a_sketch_is_small_whatever_the_text() -> None:
    for text in ("word%d " * 5_000 % tuple(range(5_000)), "字" * 50_000, "a" * 90_000, "\ud800 \x00"):
        sketch = sketch_of(text)
        assert len(sketch) <= BITS // 4 and (not sketch or int(sketch, 16).bit_count() <= WORDS)
    assert sketch_of("") == sketch_of("?? !! 12") == ""


REPORTS = {
    "mypy": ("a.py:3: error: Incompatible types  [assignment]\nFound 1 error in 1 file (checked 2 source files)", "type_error"),
    "tsc": ("src/a.ts(3,5): error TS2322: Type 'string' is not assignable to type 'number'.", "type_error"),
    "tsc pretty": ("src/a.ts:3:5 - error TS2322: Type 'string' is not assignable.", "type_error"),
    "pyright": ("  /x/a.py:3:5 - error: Type \"int\" is not assignable (reportReturnType)\n1 error, 0 warnings, 0 informations",
                "type_error"),
    "rustc": ("error[E0308]: mismatched types\n --> src/main.rs:2:5", "type_error"),
    "javac": ("src/A.java:3: error: cannot find symbol", "type_error"),
    "go vet": ("# app\nvet: ./a.go:3:5: undefined: x", "type_error"),
    "go build": ("./a.go:3:5: cannot use x (variable of type int) as string value", "type_error"),
    "gcc": ("a.c:3:5: error: expected ';' before 'return'", "type_error"),
    "csc": ("a.cs(3,5): error CS0029: Cannot implicitly convert type", "type_error"),
    "maven compiler": ("[ERROR] COMPILATION ERROR : ", "type_error"),
    "ruff": ("src/a.py:1:8: F401 [*] `os` imported but unused\nFound 1 error.", "lint_error"),
    "ruff full": ("F401 [*] `os` imported but unused\n --> src/a.py:1:8", "lint_error"),
    "eslint": ("/x/a.js\n  3:5  error  'x' is not defined  no-undef\n\n✖ 1 problem (1 error, 0 warnings)", "lint_error"),
    "golangci": ("a.go:3:5: ineffectual assignment to x (ineffassign)", "lint_error"),
    "clippy": ("warning: unneeded `return`\n  = help: see clippy::needless_return", "lint_error"),
    "rubocop": ("a.rb:3:5: C: Style/StringLiterals: Prefer single quotes\n1 file inspected, 1 offense detected", "lint_error"),
    "black": ("would reformat src/a.py", "lint_error"),
    "exunit": ("3 doctests, 12 tests, 1 failure", "tests_failed"), "exunit ok": ("12 tests, 0 failures", "tests_passed"),
    "swift": ("\t Executed 3 tests, with 1 failure (0 unexpected) in 0.1 seconds", "tests_failed"),
    "xcodebuild ok": ("** TEST SUCCEEDED **", "tests_passed"),
    "dart": ("00:02 +3 -1: Some tests failed.", "tests_failed"),
    "dart ok": ("00:02 +3: All tests passed!", "tests_passed"),
    "sbt": ("[info] Tests: succeeded 3, failed 1, canceled 0", "tests_failed"),
    "deno": ("FAILED | 3 passed | 1 failed (12ms)", "tests_failed"),
    "deno ok": ("ok | 3 passed | 0 failed (12ms)", "tests_passed"),
    "gtest": ("[  FAILED  ] Add.Works", "tests_failed"),
    "gtest ok": ("[  PASSED  ] 3 tests.", "tests_passed"),
    "catch2": ("test cases: 3 | 2 passed | 1 failed", "tests_failed"),
    "minitest": ("3 runs, 5 assertions, 1 failures, 0 errors", "tests_failed"),
    "minitest ok": ("3 runs, 5 assertions, 0 failures, 0 errors, 0 skips", "tests_passed"),
    "tap": ("not ok 2 - adds", "tests_failed"),
    "gradle ok": ("> Task :app:test\n\nBUILD SUCCESSFUL in 3s", "tests_passed"),
    "playwright": ("  1 failed\n  2 passed (3.2s)", "tests_failed"),
    "dotnet 9": ("Test summary: total: 3, failed: 1, succeeded: 2", "tests_failed"),
    "prove": ("Result: FAIL", "tests_failed"),
    "bazel": ("//app:test      FAILED in 1.2s", "tests_failed"),
    "pest": ("  Tests:    1 failed, 2 passed (5 assertions)", "tests_failed"),
}  # fmt: skip


@pytest.mark.parametrize("tool", REPORTS)
def test_reports_of_tools(tool: str) -> None:
    text, report = REPORTS[tool]
    assert report in reports.found(text) and report in reports.found("some lines\nbefore it\n" + text + "\nand after")


@pytest.mark.parametrize("text", [
    "def error(a: int) -> None: ...", "12: error handling", "see src/a.py:3 for the error", "Found nothing", "| a | b | failed |",
    "error: something happened", "const x = { failed: 1 }", "0 errors, 0 warnings, 0 informations",
    "Success: no issues found in 3 files",
    "All checks passed!",
    "http://host:80/a: error", "const fail = 1 failing test", "test result: unknown",
])  # fmt: skip
def test_texts_that_report_nothing(text: str) -> None:
    assert reports.found(text) == frozenset()
