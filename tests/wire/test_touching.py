"""What an agent touches is told from its calls in every protocol, by name only."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pointsman.core.globs import Watch, taken_apart
from pointsman.core.types import Protocol, Request
from pointsman.wire import Memo, read

RULES = ("path migrations", "path web/**", "command git push", "tool mcp__prod__*", "frontend path *.tsx")
WATCH = Watch(RULES)


def sent(protocol: Protocol, path: str, history: list[dict[str, Any]], watch: Watch | None = WATCH) -> Request:
    key = {"messages": "messages", "chat": "messages", "responses": "input", "gemini": "contents"}[protocol]
    body = {"model": "m", key: history}
    return read(protocol, path, {"user-agent": "x"}, json.dumps(body).encode(), watch=watch, memo=Memo())


def rules(request: Request) -> list[str]:
    return [name for message in request.messages for name in message.rules]


def claude(name: str, given: dict[str, Any]) -> list[dict[str, Any]]:
    call = {"type": "tool_use", "id": "t", "name": name, "input": given}
    return [{"role": "user", "content": "go"}, {"role": "assistant", "content": [call]}]


def chat(name: str, given: Any) -> list[dict[str, Any]]:
    call = {"id": "t", "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
    return [{"role": "user", "content": "go"}, {"role": "assistant", "content": None, "tool_calls": [call]}]


def responses(item: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": "go"}, item]


def gemini(name: str, given: dict[str, Any]) -> list[dict[str, Any]]:
    call = {"functionCall": {"name": name, "args": given}}
    return [{"role": "user", "parts": [{"text": "go"}]}, {"role": "model", "parts": [call]}]


PATCH = "*** Begin Patch\n*** Update File: db/migrations/2.sql\n@@\n-a\n+b\n*** End Patch"


@pytest.mark.parametrize(("protocol", "path", "history", "expected"), [
    ("messages", "/v1/messages", claude("Edit", {"file_path": "/home/me/p/migrations/1.sql"}), ["path migrations"]),
    ("messages", "/v1/messages", claude("Bash", {"command": "cd x && git push origin main"}), ["command git push"]),
    ("messages", "/v1/messages", claude("mcp__prod__restart", {}), ["tool mcp__prod__*"]),
    ("messages", "/v1/messages", claude("MultiEdit", {"edits": [{"file_path": "web/a.tsx"}]}), ["path web/**", "frontend"]),
    ("messages", "/v1/messages", claude("Grep", {"pattern": "migrations"}), []),
    ("chat", "/v1/chat/completions", chat("bash", {"command": "git push"}), ["command git push"]),
    ("chat", "/v1/chat/completions", chat("write_file", {"path": "web/x/y.css"}), ["path web/**"]),
    ("responses", "/v1/responses", responses({"type": "function_call", "name": "shell", "call_id": "c", "arguments":
                                              json.dumps({"command": ["bash", "-lc", "git push -f"]})}), ["command git push"]),
    ("responses", "/v1/responses", responses({"type": "custom_tool_call", "name": "apply_patch", "call_id": "c", "input": PATCH}),
     ["path migrations"]),
    ("responses", "/v1/responses", responses({"type": "local_shell_call", "call_id": "c", "action": {"type": "exec", "command":
                                              ["cat", "app/migrations/1.sql"]}}), ["path migrations"]),
    ("gemini", "/v1beta/models/m:generateContent", gemini("run_shell_command", {"command": "git push"}), ["command git push"]),
    ("gemini", "/v1beta/models/m:generateContent", gemini("replace", {"file_path": "/p/web/b.ts"}), ["path web/**"]),
])  # fmt: skip
def test_the_calls_of_every_protocol_are_seen(
    protocol: Protocol, path: str, history: list[dict[str, Any]], expected: list[str]
) -> None:  # fmt: skip
    assert rules(sent(protocol, path, history)) == expected
    assert rules(sent(protocol, path, history, None)) == []


def test_a_prompt_counts_with_the_paths_it_names_and_an_output_does_not() -> None:
    told = [{"role": "user", "content": "see db/migrations/7.sql and https://example.com/web/x"}]
    assert rules(sent("messages", "/v1/messages", told)) == ["path migrations"]
    output = {"type": "tool_result", "tool_use_id": "t", "content": "db/migrations/7.sql: ok"}
    history = [*claude("Bash", {"command": "ls"}), {"role": "user", "content": [output]}]
    assert rules(sent("messages", "/v1/messages", history)) == []


def test_an_agent_without_tools_names_the_file_before_the_block() -> None:
    edit = "Here:\n\ndb/migrations/3.sql\n```sql\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n```\n"
    answer = {"role": "assistant", "content": edit}
    assert rules(sent("chat", "/v1/chat/completions", [{"role": "user", "content": "go"}, answer])) == ["path migrations"]


def test_a_line_without_end_is_read_once_and_not_once_per_slash() -> None:
    """A divider or a base64 text in an answer once took minutes: every slash in it was tried as the beginning of a name."""
    edit = "/" * 300_000 + "\n\ndb/migrations/3.sql\n```sql\na\n```\nauth.\n```\n"
    answer = {"role": "assistant", "content": edit}
    assert rules(sent("chat", "/v1/chat/completions", [{"role": "user", "content": "go"}, answer])) == ["path migrations"]


def test_another_set_of_rules_looks_again_at_what_is_known() -> None:
    memo, body = Memo(), json.dumps({"model": "m", "messages": claude("Bash", {"command": "git push"})}).encode()
    for watch, expected in ((None, []), (WATCH, ["command git push"]), (Watch(("command git",)), ["command git"]), (None, [])):
        assert rules(read("messages", "/v1/messages", {}, body, watch=watch, memo=memo)) == expected


@pytest.mark.parametrize(("rule", "yes", "no"), [
    ("path web/**", ["web/a", "/x/web/a/b"], ["web", "cobweb/a"]),
    ("path *.tf", ["main.tf", "a/b/main.tf"], ["main.tfx"]),
    ("path auth", ["auth/x.py", "src/auth"], ["author.py", "oauth/x"]),
    ("path src/**/gen.py", ["src/gen.py", "src/a/b/gen.py"], ["src/gen.pyc"]),
    ("command rm -r*", ["rm -rf x", "sudo rm  -r x", "x; rm -r y"], ["rm x", "farm -r x", "git commit -m 'rm -rf x'"]),
    ("command git push", ["git push", "(git push)"], ["git pushx", "git stash push"]),
])  # fmt: skip
def test_globs(rule: str, yes: list[str], no: list[str]) -> None:
    watch, is_path = Watch((rule,)), rule.startswith("path")
    for text in yes:
        assert watch.names(*(((text,), ()) if is_path else ((), (text,)))), text
    for text in no:
        assert not watch.names(*(((text,), ()) if is_path else ((), (text,)))), text


def test_a_rule_of_no_known_form_is_refused() -> None:
    assert taken_apart("frontend path *.tsx") == ("frontend", "path", "*.tsx")
    with pytest.raises(ValueError, match="is no rule of the form"):
        taken_apart("files *.tsx")
