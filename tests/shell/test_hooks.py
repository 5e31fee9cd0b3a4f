"""Claude Code's hooks: our commands without a model request, everything else untouched, never in the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pointsman.shell import resources
from pointsman.shell.client.claude import USER_LINE
from pointsman.shell.hooks import COMMANDS, claude, status_line

PLUGIN = resources.folder("plugins") / "claude_code"
calls: list[list[str]] = []


def main(arguments: list[str]) -> int:
    """A command line that says what it was given."""
    calls.append(arguments)
    if arguments[0] == "why":
        raise SystemExit(2)
    if arguments[0] == "unpin":
        raise RuntimeError("a slip of ours")
    print("pinned", *arguments[1:])
    return 0


def event(prompt: str, name: str = "UserPromptSubmit") -> str:
    return json.dumps({"hook_event_name": name, "session_id": "5f-9", "prompt": prompt, "prompt_id": "p"})


def test_a_command_is_answered_and_blocked() -> None:
    calls.clear()
    said = json.loads(claude(event("/pointsman:pin opus --scope turn"), main))
    assert calls == [["pin", "opus", "--scope", "turn", "--session", "5f-9"]]
    assert said == {"decision": "block", "reason": "pinned opus --scope turn --session 5f-9"}


def test_marks_and_errors_are_answered_too_and_never_sent_to_the_model() -> None:
    calls.clear()
    claude(event("/pointsman:overkill"), main)
    assert calls == [["mark", "overkill", "--session", "5f-9"]]
    for prompt, said in (("/pointsman:unpin", "a slip of ours"), ("/pointsman:why", "done"), ("/pointsman:pin 'x", "No closing"),
                         ("/pointsman:pim", "is not known: it is one of /pointsman:pin")):
        answer = json.loads(claude(event(prompt), main))
        assert answer["decision"] == "block" and said in answer["reason"]


OTHERS = [event("fix the test"), event("tell me about /pointsman:pin"), event("x", "Stop"), "", "{", "[]", "null", "[" * 100_000]


@pytest.mark.parametrize("text", OTHERS)
def test_everything_else_goes_on(text: str) -> None:
    assert claude(text, main) == ""


def test_the_end_of_a_session_without_a_gateway_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("POINTSMAN_HOME", str(tmp_path))
    assert claude(event("", "SessionEnd"), main) == ""


def test_the_users_status_line_stays_and_ours_is_under_it() -> None:
    text = json.dumps({"session_id": "5f-9"})
    env = {**os.environ, USER_LINE: "cat >/dev/null; printf 'mine\\n'"}
    assert status_line(text, lambda session: f"ours {session}", env) == "mine\nours 5f-9"
    assert status_line(text, lambda session: "ours", {}) == "ours"
    assert status_line("no json", lambda session: f"ours{session}", {**env, USER_LINE: "exit 3"}) == "ours"

    def broken(session: str) -> str:
        raise RuntimeError("a slip of ours")

    assert status_line(text, broken, env) == "mine"


def test_the_users_status_line_reads_what_claude_wrote() -> None:
    env = {**os.environ, USER_LINE: f"{sys.executable} -c 'import json,sys; print(json.load(sys.stdin)[\"model\"])'"}
    assert status_line(json.dumps({"model": "opus", "session_id": "s"}), lambda s: "ours", env) == "opus\nours"


def run_hook(text: str, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", str(PLUGIN / "bin" / "hook")], input=text, capture_output=True, text=True, check=False,
                          env={"PATH": os.environ["PATH"], "POINTSMAN_COMMAND": command})


def test_the_plugins_hook_script_passes_our_commands_on_and_swallows_its_own_errors() -> None:
    echo = f"{sys.executable} -c \"import sys; print(sys.argv[1:], sys.stdin.read())\""
    assert "['hook', 'claude']" in run_hook(event("/pointsman:pin opus"), echo).stdout
    quiet = run_hook(event("/pointsman:pin opus"), "no-such-command-at-all")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    other = run_hook(event("fix the test"), "no-such-command-at-all")
    assert (other.returncode, other.stdout) == (0, "")


def test_a_prompt_that_is_not_ours_starts_no_python() -> None:
    marker = "touch should-not-exist"
    assert run_hook(event("fix it"), marker).stdout == ""
    assert not Path("should-not-exist").exists()


def test_the_plugin_names_every_command_and_only_ours() -> None:
    assert json.loads((PLUGIN / ".claude-plugin" / "plugin.json").read_text())["name"] == "pointsman"
    assert {path.stem for path in (PLUGIN / "commands").glob("*.md")} == set(COMMANDS)
    for path in (PLUGIN / "commands").glob("*.md"):
        text = path.read_text()
        assert "disable-model-invocation: true" in text
        assert f"pointsman {' '.join(COMMANDS[path.stem])}" in text
    hooks = json.loads((PLUGIN / "hooks" / "hooks.json").read_text())["hooks"]
    assert set(hooks) == {"UserPromptSubmit", "Stop", "SessionEnd"}
