"""Work that can be wrong: a scratch repository with a real test suite, a script that edits it, and a worker that obeys.

What the script writes depends on the model that serves: a weak one is wrong at its first "done", a strong one is right. The
kinds are the ways a check at "done" can go: ``caught`` (the strong one repairs it), ``slip`` (any model repairs it once
told), ``right`` (at once), ``hopeless`` (the strong one is wrong too), ``flaky`` (a test that fails every second run),
``before`` (a test that failed already), ``hang`` (a test that never ends).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from yarl import URL

from pointsman.sandbox.agent import http
from pointsman.sandbox.answers import content_of
from pointsman.sandbox.incoming import Incoming
from pointsman.sandbox.reply import Reply, say
from pointsman.sandbox.script import Housekeeping, Script
from pointsman.sandbox.tasks import use

Kind = Literal["caught", "slip", "right", "hopeless", "flaky", "before", "hang"]

PROMPT = "Let slug() join words with a single dash, however many spaces stand between them."
FIRST = 'def slug(title):\n    return title.strip().lower().replace(" ", "-")\n'
WRONG = 'def slug(title):\n    return "".join(title.lower().split())\n'
STILL_WRONG = 'def slug(title):\n    return "_".join(title.lower().split())\n'
RIGHT = 'def slug(title):\n    return "-".join(title.lower().split())\n'
TESTS = '''import unittest

from slugs import slug


class TestSlug(unittest.TestCase):
    def test_words(self):
        self.assertEqual(slug("Mend the points"), "mend-the-points")

    def test_edges(self):
        self.assertEqual(slug("  Signal box "), "signal-box")

    def test_one_word(self):
        self.assertEqual(slug("Points"), "points")
'''
FLAKY = '''

class TestWeather(unittest.TestCase):
    def test_every_second_time(self):
        from pathlib import Path

        count = Path(".cache")
        seen = int(count.read_text()) if count.exists() else 0
        count.write_text(str(seen + 1))
        self.assertEqual(seen % 2, 0)
'''
BEFORE = '''

class TestKnown(unittest.TestCase):
    def test_umlauts(self):
        self.assertEqual(slug("\\u00c4pfel"), "aepfel")
'''
HANG = '''

class TestSlow(unittest.TestCase):
    def test_ends(self):
        import time

        if slug("a  b") == "a-b":
            time.sleep(600)
'''
MORE: dict[Kind, str] = {"flaky": FLAKY, "before": BEFORE, "hang": HANG}


def lay_out(folder: Path, kind: Kind = "caught", *, git: bool = True) -> None:
    """Write the repository into ``folder`` and commit it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "slugs.py").write_text(FIRST, encoding="utf-8")
    (folder / "test_slugs.py").write_text(TESTS + MORE.get(kind, ""), encoding="utf-8")
    (folder / ".gitignore").write_text("__pycache__/\n.pytest_cache/\n.cache\n", encoding="utf-8")
    if not git:
        return
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    who = ("-c", "user.name=dev", "-c", "user.email=dev@localhost", "-c", "commit.gpgsign=false")
    for words in (("init", "-q"), ("add", "-A"), (*who, "commit", "-q", "-m", "slugs")):
        subprocess.run(["git", *words], cwd=folder, env=env, check=True, capture_output=True)


def script(kind: Kind, strong: Sequence[str]) -> Script:
    """What the provider answers. ``strong``: words in the names of models that are right where the kind has them right."""

    def work(request: Incoming) -> Reply:
        if request.step > 0:
            return say("slug() joins words with a single dash now, and all tests pass.")
        text = _text(kind, any(word in request.model for word in strong), again=request.turn > 1)
        call = use(request, "write", path="slugs.py", text=text)
        return say("I change slug().", call) if call is not None else say("Done.")

    return Housekeeping(work, title="Mend slug()")


def _text(kind: Kind, strong: bool, *, again: bool) -> str:
    """The file as this model writes it."""
    if kind == "hopeless":
        return STILL_WRONG if strong or again else WRONG
    if kind == "slip":
        return RIGHT if again else WRONG
    return RIGHT if strong or kind != "caught" else STILL_WRONG if again else WRONG


WRITE = {"name": "Write", "description": "Writes a file.", "input_schema": {
    "type": "object", "properties": {"file_path": {"type": "string"}, "content": {"type": "string"}},
    "required": ["file_path", "content"]}}  # fmt: skip
MARK = {"type": "ephemeral"}
MANUAL = "Work in small steps and keep the tests green. " * 400


async def work(
    url: str, folder: Path, session: str, model: str, done: Callable[[], Awaitable[str | None]], *,
    prompt: str = PROMPT, tick: Callable[[], Awaitable[None]] | None = None,
) -> list[str]:  # fmt: skip
    """A small agent: sends ``prompt``, writes the files it is told to, and ends when ``done`` has nothing to say.

    ``done`` is asked at every final answer; what it returns becomes the next words. ``tick`` is awaited before each
    request. Returns the final answers.
    """
    talk: list[dict[str, Any]] = [_user(prompt)]
    finals: list[str] = []
    target = URL(url.rstrip("/") + "/v1/messages?beta=true", encoded=True)
    headers = {"content-type": "application/json", "anthropic-version": "2023-06-01", "x-api-key": "sandbox",
               "user-agent": "claude-cli/2.1.330 (external, cli)", "x-claude-code-session-id": session}
    async with http() as client:
        while True:
            if tick is not None:
                await tick()
            body = {"model": model, "max_tokens": 8_000, "stream": True, "tools": [WRITE], "messages": _marked(talk),
                    "system": [{"type": "text", "text": MANUAL, "cache_control": MARK}]}
            async with client.post(target, json=body, headers=headers) as answer:
                said = content_of((await answer.read()).decode("utf-8", "replace"))
            talk.append({"role": "assistant", "content": said})
            calls = [block for block in said if block["type"] == "tool_use"]
            if calls:
                talk.append({"role": "user", "content": [_obey(folder, call) for call in calls]})
                continue
            finals.append("".join(block.get("text", "") for block in said))
            reason = await done()
            if reason is None:
                return finals
            talk.append(_user(reason))


def _user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": text}]}


def _marked(talk: list[dict[str, Any]]) -> list[dict[str, Any]]:
    last = talk[-1]
    return [*talk[:-1], {**last, "content": [*last["content"][:-1], {**last["content"][-1], "cache_control": MARK}]}]


def _obey(folder: Path, call: dict[str, Any]) -> dict[str, Any]:
    """Write the file, inside the folder only."""
    path = (folder / call["input"]["file_path"]).resolve()
    if not path.is_relative_to(folder.resolve()):
        return {"type": "tool_result", "tool_use_id": call["id"], "content": "outside the folder", "is_error": True}
    path.write_text(call["input"]["content"], encoding="utf-8")
    return {"type": "tool_result", "tool_use_id": call["id"], "content": f"{path.name} written"}
