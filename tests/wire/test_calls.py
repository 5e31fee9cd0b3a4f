"""Tool calls as digests in all four protocols: the same work gives the same facts, and no text is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pointsman.core.messages import Call, Message
from pointsman.core.types import Protocol
from pointsman.wire import read
from pointsman.wire.calls import calls_of, written_in
from pointsman.wire.commands import kinds_of

COMMANDS = {
    "test": [
        "pytest -q", "python -m pytest tests", "uv run pytest -k foo", "cd app && npm run test:unit -- --watch=false", "npm t",
        "go test ./... 2>&1 | tail -5", "cargo nextest run", "make test", "./gradlew :app:testDebug", "mvn -q verify",
        "dotnet test --no-build", "ctest --output-on-failure", "bundle exec rspec", "vendor/bin/phpunit", "FOO=1 bun test",
        "node --test", "python manage.py test", "timeout 60 yarn jest", "npx vitest run", "mise run test:ci", "deno test -A",
        "xcodebuild test -scheme App", "mix test", "swift test", "bazel test //...", "flutter test",
    ],
    "check": ["mypy src", "cargo clippy --all", "npx tsc --noEmit", "ruff check .", "npm run lint", "go vet ./...",
              "go build ./...", "make", "poetry run mypy src", "golangci-lint run", "gcc -c a.c", "mvn package -DskipTests"],
    "commit": ["git commit -m 'fix the tests'", "git add -A && git commit -m \"npm test\" && git push", "gh pr create -f"],
    "undo": ["git checkout -- a.py", "git restore src/a.py", "git reset --hard HEAD~1", "git stash", "git checkout src/app.py"],
    "diff": ["git diff HEAD~1", "git show abc123", "gh pr diff 12", "git log -p -2"],
    "edit": ["sed -i s/a/b/ x.py", "cat > a.py <<EOF\npytest\nEOF", "perl -pi -e s/a/b/ x", "git apply x.patch",
             "printf %s 'def add(a, b):\n    return a + b\n' > calc.py", "echo x >> notes.md", "cat a b >c"],
    "read": ["ls -la | grep test", "sed -n 1,20p a.py", "cat tests/test_a.py", "git status", "grep -rn \"pytest\" .",
             "git add -A", "ls 2>&1", "cat x > /dev/null", "test -f a && echo 1", "rg 'npm test' docs", "cd /repo"],
    "run": ["docker compose up -d", "python manage.py migrate", "npm install", "git checkout main", "./bin/server", "curl -s x"],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "command"), [(kind, command) for kind, all_ in COMMANDS.items() for command in all_])
def test_what_a_command_does_is_told_by_its_programs(kind: str, command: str) -> None:
    assert kinds_of(command)[0] == kind


def test_a_command_that_does_several_things_is_each_of_them_and_one_call() -> None:
    calls = calls_of("Bash", {"command": "pytest -q && git commit -am done", "description": "test and commit"})
    assert [call.kind for call in calls] == ["commit", "test"] and [bool(call.same) for call in calls] == [True, False]
    assert calls_of("Bash", {"command": "pytest -q && git commit -am done", "description": "again", "timeout": 9}) == calls
    assert calls_of("shell", {"command": ["bash", "-lc", "pytest -q && git commit -am done"]}) == calls
    assert calls_of("exec_command", {"cmd": "bash -lc 'pytest -q && git commit -am done'"}) == calls
    assert calls_of("run_commands", {"commands": ["pytest -q && git commit -am done"]}) == calls
    script = 'const done = await tools.exec_command({"cmd": "pytest -q && git commit -am done"});\ntext(done);'
    assert calls_of("exec", script) == calls
    assert calls_of("exec", script.replace("-q", "-x"))[0].same != calls[0].same
    patch = 'await tools.apply_patch("*** Begin Patch\\n*** Update File: a.py\\n-x = 1\\n+x = 2\\n*** End Patch")'
    assert [(call.kind, call.old) for call in calls_of("exec", patch)] == [("edit", calls_of(*EDITS[0])[0].old)]


EDITS: list[tuple[str, Any]] = [
    ("Edit", {"file_path": "/repo/src/a.py", "old_string": "x = 1", "new_string": "x = 2"}),
    ("edit", {"filePath": "src/a.py", "oldString": "x = 1", "newString": "x = 2"}),
    ("replace", {"file_path": "/home/u/src/a.py", "old_string": "x = 1", "new_string": "x = 2"}),
    ("str_replace_based_edit_tool", {"command": "str_replace", "path": "src/a.py", "old_str": "x = 1", "new_str": "x = 2"}),
    ("MultiEdit", {"file_path": "src/a.py", "edits": [{"old_string": "x = 1", "new_string": "x = 2"}]}),
    ("apply_patch", "*** Begin Patch\n*** Update File: src/a.py\n@@\n-x = 1\n+x = 2\n*** End Patch"),
    ("apply_patch", json.dumps({"input": "*** Begin Patch\n*** Update File: src/a.py\n@@\n-x = 1\n+x = 2\n*** End Patch"})),
    ("shell", {"command": ["apply_patch", "*** Begin Patch\n*** Update File: src/a.py\n-x = 1\n+x = 2\n*** End Patch"]}),
    ("replace_in_file", {"path": "src/a.py", "diff": "<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n>>>>>>> REPLACE"}),
]


@pytest.mark.parametrize(("name", "arguments"), EDITS)
def test_an_edit_is_the_same_change_of_the_same_file_in_every_agents_words(name: str, arguments: Any) -> None:
    found = next(call for call in calls_of(name, arguments) if call.kind == "edit")
    first = calls_of(*EDITS[0])[0]
    assert (found.old, found.new, found.files, found.lines) == (first.old, first.new, first.files, 1)


def test_other_tools() -> None:
    kinds = {
        "Read": "read", "mcp__linear__get_issue": "read", "read_many_files": "read", "TodoWrite": "todo", "update_plan": "todo",
        "ExitPlanMode": "plan", "Task": "agent", "AskUserQuestion": "ask", "mcp__linear__create_issue": "other", "": "other",
    }  # fmt: skip
    for name, kind in kinds.items():
        assert [call.kind for call in calls_of(name, {"file_path": "a/b.py"})] == [kind]
    for broken in ("{\"command\": \"pyt", "[1, 2]", None, 7, {"command": {"a": 1}}, {"file_path": 3, "old_string": None}):
        for tool in ("Bash", "Edit", "Read"):
            assert calls_of(tool, broken)


def test_tests_are_told_by_their_files() -> None:
    for path in ("tests/test_a.py", "src/a_test.go", "web/a.spec.ts", "app/src/test/java/FooTest.java", "spec/a_spec.rb"):
        assert calls_of("Write", {"file_path": path, "content": "x"})[0].tests, path
    for path in ("src/a.py", "src/latest.py", "contest/a.go", "attestation.ts"):
        assert not calls_of("Write", {"file_path": path, "content": "x"})[0].tests, path


def test_agents_that_write_their_calls_into_the_answer() -> None:
    aider = "a.py\n```python\n<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n>>>>>>> REPLACE\n```"
    first = calls_of(*EDITS[0])[0]
    assert [(call.old, call.new) for call in written_in(aider)] == [(first.old, first.new)]
    assert [call.kind for call in written_in("THOUGHT: run them.\n\n```bash\npytest -q\n```")] == ["test"]
    cline = "<execute_command><command>npm test</command><requires_approval>false</requires_approval></execute_command>"
    assert [call.kind for call in written_in(cline)] == ["test"]
    assert written_in("Use `pytest`. ```python\nx\n``` </b>") == ()


FAILED = "==== 1 failed, 2 passed in 0.10s ===="
BODIES: dict[Protocol, tuple[str, dict[str, Any]]] = {
    "messages": ("/v1/messages", {"model": "m", "messages": [
        {"role": "user", "content": "make it faster?"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "Bash", "input": {"command": "pytest -q"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "is_error": True, "content": FAILED}]},
        {"role": "assistant", "content": "It is done, I think."},
    ]}),
    "chat": ("/v1/chat/completions", {"model": "m", "messages": [
        {"role": "user", "content": "make it faster?"},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "bash", "arguments": "{\"command\": \"pytest -q\"}"}}]},
        {"role": "tool", "tool_call_id": "1", "content": FAILED + "\nExit code: 1"},
        {"role": "assistant", "content": "It is done, I think."},
    ]}),
    "responses": ("/v1/responses", {"model": "m", "input": [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "make it faster?"}]},
        {"type": "function_call", "call_id": "1", "name": "exec_command", "arguments": "{\"cmd\": \"pytest -q\"}"},
        {"type": "function_call_output", "call_id": "1", "output": f"Process exited with code 1\n{FAILED}"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "It is done, I think."}]},
    ]}),
    "gemini": ("/v1beta/models/m:generateContent", {"contents": [
        {"role": "user", "parts": [{"text": "make it faster?"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "run_shell_command", "args": {"command": "pytest -q"}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "run_shell_command", "response": {
            "output": f"Exit Code: 1\n{FAILED}"}}}]},
        {"role": "model", "parts": [{"text": "It is done, I think."}]},
    ]}),
}  # fmt: skip


@pytest.mark.parametrize("protocol", BODIES)
def test_the_same_work_shows_the_same_in_every_protocol(protocol: Protocol) -> None:
    path, body = BODIES[protocol]
    asked, ran, came, said = _digests(protocol, path, body)
    first = _digests("messages", *BODIES["messages"])
    assert asked.kind == "prompt" and "question" in asked.facts and (asked.said, asked.sketch) == (first[0].said, first[0].sketch)
    assert ran.calls == first[1].calls == calls_of("Bash", {"command": "pytest -q"}) and ran.sketch == ""
    assert came.kind == "tool_result" and {"tests_failed", "tool_error"} == set(came.facts)
    assert said.sketch == first[3].sketch != "" and said.calls == ()


def _digests(protocol: Protocol, path: str, body: dict[str, Any]) -> tuple[Message, ...]:
    return read(protocol, path, {}, json.dumps(body).encode()).messages


def test_no_text_is_kept() -> None:
    body = {"model": "m", "messages": [
        {"role": "user", "content": "the password is swordfish"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "Bash",
                                           "input": {"command": "echo swordfish"}}]},
    ]}  # fmt: skip
    assert "swordfish" not in repr(_digests("messages", "/v1/messages", body))
    assert isinstance(_digests("messages", "/v1/messages", body)[1].calls[0], Call)


@pytest.mark.parametrize("piece", ["=======\n", "<<<<<<< SEARCH\n", "<", "<read_file>", "<read_file><path>", "```bash\n"])
def test_unfinished_blocks_cost_one_pass(piece: str) -> None:
    """With a search for each end, such a text took hours; here it only has to come back, with nothing found."""
    text = "<<<<<<< SEARCH\nx\n" + piece * (400_000 // len(piece)) + "</"
    assert not [call for call in written_in(text) if call.kind == "edit"]
