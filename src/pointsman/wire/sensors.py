"""Facts that show in outputs of tools: did a command fail, did tests pass or fail, what did a checker report.

Only outputs of tools are read, only their beginning and their end, and only the lines that a tool prints itself
(``wire.reports``); the agent's own words ("all tests pass") are no evidence. One failing summary outweighs passing ones:
runners print one line per package.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from pointsman.core.messages import Fact
from pointsman.wire import reports

HEAD_CHARS, TAIL_CHARS = 2_000, 8_000
"""How much of a long output is read: summaries stand at its end, exit codes at either end."""

_EXIT = re.compile(
    r"\n(?:Process exited with code|Exit code:?|Exit Code:|Command failed with exit code:?) ?(-?\d+)"
    r"|<returncode>(-?\d+)</returncode>|\"(?:exit_code|returncode)\": ?(-?\d+)"
)
_VALUE = re.compile(r'": ?"')
_FAILS = re.compile(r'"success": ?false')
_COLOUR = re.compile(r"\x1b\[[\d;]*m")


FRAMED = ("cline", "mini")
"""Clients that give what a command printed as JSON (Cline 3.0.65: a list of results; mini-swe-agent 2.4.6: one)."""

FRAMED_CHARS = 200_000
"""Longest output that is taken out of its frame."""

_LABEL = re.compile(r"^Output: (?=\S)", re.MULTILINE)


def unwrapped(text: str, client: str) -> str:
    """What a command printed, without the frame that its client puts around it: runners' lines begin where lines begin."""
    if client in FRAMED and text[:1] in ("{", "[") and len(text) <= FRAMED_CHARS:
        try:
            printed = "\n".join(_printed(msgspec.json.decode(text)))
        except (msgspec.DecodeError, UnicodeDecodeError, UnicodeEncodeError, RecursionError):
            return text
        return printed or text
    return _LABEL.sub("Output:\n", text)  # Qwen Code and Gemini CLI


def _printed(value: Any) -> Iterator[str]:
    """The texts of a framed output, and how it ended."""
    for row in value if isinstance(value, list) else [value]:
        if not isinstance(row, dict):
            continue
        yield from (row[name] for name in ("output", "result", "error") if isinstance(row.get(name), str))
        code = row.get("returncode")
        if isinstance(code, int) or row.get("success") is False:
            yield f"Exit code: {code if isinstance(code, int) else 1}"


def ends(text: str) -> str:
    """The beginning and the end of a long text, colours removed; a short text whole."""
    if len(text) > HEAD_CHARS + TAIL_CHARS:
        text = text[:HEAD_CHARS] + "\n" + text[-TAIL_CHARS:]
    text = _COLOUR.sub("", text) if "\x1b" in text else text
    if text.startswith(("{", "[{")):  # an output inside JSON: mini-swe-agent, Cline, scripts of Codex
        text = _VALUE.sub('":\n', text).replace("\\n", "\n")
    return text.replace("Output: ", "Output:\n", 1) if "Output: " in text else text  # Gemini CLI and Qwen Code


def test_report(text: str) -> Literal["tests_failed", "tests_passed"] | None:
    """What the summary line of a test runner in ``text`` says; None when there is none."""
    found = reports.found(text)
    return "tests_failed" if "tests_failed" in found else "tests_passed" if "tests_passed" in found else None


def facts_of(text: str, failed: bool) -> tuple[Fact, ...]:
    """What an output shows, from its ``ends``. ``failed``: the command failed, so that its passing packages prove nothing."""
    found = reports.found(text)
    facts: list[Fact] = []
    if "tests_failed" in found:
        facts.append("tests_failed")
    elif "tests_passed" in found and not failed:
        facts.append("tests_passed")
    if "type_error" in found:
        facts.append("type_error")
    if "lint_error" in found:
        facts.append("lint_error")
    return tuple(facts)


def exit_code(text: str) -> int | None:
    """The exit code that an output's text states: Codex, OpenCode, mini-swe-agent, Gemini and Qwen write one; else None."""
    if "code" not in text and "Code" not in text:
        return 1 if '"success"' in text and _FAILS.search(text) else None
    found = _EXIT.search("\n" + text)
    return int(next(group for group in found.groups() if group is not None)) if found else None
