"""How each client is made to call us when it says that it is done: for this run only, nothing of the user's changes."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path

from pointsman.shell.client import table as clients
from pointsman.shell.client.codex import HOOK_KEY
from pointsman.shell.client.opencode import again

BASE = "http://127.0.0.1:4141/run/r"


def env(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"HOME": str(tmp_path), "ANTHROPIC_API_KEY": "k", "OPENAI_API_KEY": "k", **more}


def test_claude_code_gets_the_plugin_headless_too(tmp_path: Path) -> None:
    argv = ["claude", "-p", "words"]
    bare = clients.wrap("claude", BASE, argv, env(tmp_path), cwd=tmp_path)
    guarded = clients.wrap("claude", BASE, argv, env(tmp_path, POINTSMAN_CHECK="x"), cwd=tmp_path)
    assert "--plugin-dir" not in bare.argv
    assert guarded.argv[1] == "--plugin-dir" and guarded.argv[-2:] == ("-p", "words")


def test_codex_gets_a_stop_hook_that_is_trusted_for_exactly_what_it_is(tmp_path: Path) -> None:
    guarded = clients.wrap("codex", BASE, ["codex", "exec", "words"], env(tmp_path, POINTSMAN_CHECK="x"), cwd=tmp_path)
    flags = [guarded.argv[n + 1] for n, word in enumerate(guarded.argv) if word == "-c"]
    hook = tomllib.loads(next(flag for flag in flags if flag.startswith("hooks.Stop=")))["hooks"]["Stop"][0]["hooks"][0]
    assert hook["command"].endswith("hook codex")
    state = tomllib.loads(next(flag for flag in flags if flag.startswith("hooks.state=")))["hooks"]["state"]
    identity = json.dumps({"event_name": "stop", "hooks": [hook | {"async": False}]}, sort_keys=True, separators=(",", ":"))
    assert state == {HOOK_KEY: {"trusted_hash": "sha256:" + hashlib.sha256(identity.encode()).hexdigest()}}
    assert guarded.notes and "told to trust one hook" in guarded.notes[0], "what is done on a person's behalf is said"
    bare = clients.wrap("codex", BASE, ["codex"], env(tmp_path), cwd=tmp_path)
    assert not any("hooks" in word for word in bare.argv) and not bare.notes


def test_opencode_gets_the_plugin_beside_the_users_own(tmp_path: Path) -> None:
    given = env(tmp_path, POINTSMAN_CHECK="x", OPENCODE_CONFIG_CONTENT='{"plugin": ["mine"]}')
    wrapped = clients.wrap("opencode", BASE, ["opencode"], given, cwd=tmp_path, interactive=True)
    mine, ours = json.loads(wrapped.env["OPENCODE_CONFIG_CONTENT"])["plugin"]
    assert mine == "mine" and ours.startswith("file://") and ours.endswith("opencode/pointsman.js")
    headless = clients.wrap("opencode", BASE, ["opencode", "run", "x"], given, cwd=tmp_path)
    assert json.loads(headless.env["OPENCODE_CONFIG_CONTENT"])["plugin"] == ["mine"]


def test_a_headless_opencode_goes_on_in_its_session_with_its_own_options() -> None:
    argv = ["opencode", "run", "-m", "a/b", "--continue", "--title", "t", "--print-logs", "fix", "it"]
    assert again(argv, "ses_1", "the check fails") == [
        "opencode", "run", "-m", "a/b", "--print-logs", "--session", "ses_1", "the check fails",
    ]  # fmt: skip
    assert again(["opencode"], "ses_1", "x") is None
