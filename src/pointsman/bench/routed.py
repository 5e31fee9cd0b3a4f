"""The router as a chooser: real Messages bodies through the public engine, its bills and its check signals handed back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any

from pointsman.bench.playing import Part, View
from pointsman.bench.worlds import CHECK_S, START, Rules
from pointsman.core.book import Book
from pointsman.core.events import Checked, Verdict
from pointsman.engine import Route, Router
from pointsman.settings import Settings

CHARS_PER_TOKEN = 3.3
MARK = {"type": "ephemeral"}
SYSTEM = [{"type": "text", "text": "You help with code. " * round(START * CHARS_PER_TOKEN / 20), "cache_control": MARK}]
TOOLS = [{"name": "Bash", "description": "runs a command", "input_schema": {"type": "object", "properties": {}}}]
TEXT_AT_MOST = 3_000
"""Characters of a made-up tool result: the engine re-anchors on billed tokens, so bodies may be small."""


def settings_for(models: Sequence[str], v: float, rules: Rules, **more: Any) -> Settings:
    """What a user of this pool would have set: the strongest is asked and consented, a check guards, ``v`` USD per failure."""
    values: dict[str, Any] = {
        "profile": "balanced", "asked": models[-1], "consent_up": True, "pool": tuple(models), "check": rules.check,
        "check_recall": rules.recall, "check_false_alarm": rules.alarm, "failure_usd": v, "titles": False,
    }  # fmt: skip
    return Settings(**{**values, **more})


def words(*key: object, count: int = 12) -> str:
    """Words that no other key has: a prompt says which task it is, and nothing of how hard it is."""
    dice = Random(f"{key}")
    letters = ("aeiou", "bdfglmnprstvz")
    return " ".join("".join(dice.choice(letters[i % 2]) for i in range(dice.randint(4, 9))) for _ in range(count))


class RouterChooser:
    """Asks ``Router.route`` and reports to ``finish`` and ``checked``; keeps the conversation of the session under way.

    ``retries``: how often a failed check may send the agent on in one task; the router says each time whether it does.
    """

    def __init__(self, settings: Settings, book: Book, name: str = "pointsman", retries: int = 1) -> None:
        self.name, self._settings, self._retries = name, settings, retries
        self._on = True
        self._router = Router(settings.policy(), book, titles=settings.titles)
        self._models = list(settings.pool)
        self._session = ""
        self._talk: list[dict[str, Any]] = []
        self._open: Route | None = None

    def choose(self, view: View) -> int | None:
        """One routed request: a prompt at a start, a tool result in the loop, the check's output after it failed."""
        if view.point == "retry" and not self._on:
            return None
        session = f"bench-{view.session}"
        if session != self._session:
            self._session, self._talk = session, []
        if view.cleared:
            self._talk = []
        self._say(view)
        headers = {"x-claude-code-session-id": session, "user-agent": "claude-cli/2.1.330 (external, cli)", "x-api-key": "k"}
        self._open = self._router.route(path="/v1/messages", headers=headers, body=self._body(), now=view.now, dice=0.5)
        return self._models.index(self._open.model)

    def _say(self, view: View) -> None:
        if self._talk:
            command = f"make {words(view.job.key, 'call', view.call, len(view.tried), count=1)}"
            call = {"type": "tool_use", "id": f"t{len(self._talk)}", "name": "Bash", "input": {"command": command}}
            answer: dict[str, Any] = call if view.point == "loop" else {"type": "text", "text": "Done."}
            self._talk.append({"role": "assistant", "content": [answer]})
        size = min(TEXT_AT_MOST, round(view.job.sizes[-1][0] * CHARS_PER_TOKEN))
        if view.point == "loop":
            text = f"{view.job.key} {view.call} " + "x" * size
            block: dict[str, Any] = {"type": "tool_result", "tool_use_id": f"t{len(self._talk) - 1}", "content": text}
        else:
            goal = words(view.job.key, "goal")
            again = f"The check failed:\n\nFAILED tests/test_{goal.split()[0]}.py - AssertionError\n1 failed, 30 passed in 1.2s"
            block = {"type": "text", "text": again if view.point == "retry" else f"Please {goal}."}
        self._talk.append({"role": "user", "content": [block]})

    def _body(self) -> bytes:
        *before, last = self._talk
        marked = {**last, "content": [*last["content"][:-1], {**last["content"][-1], "cache_control": MARK}]}
        value = {
            "model": self._settings.asked, "max_tokens": 8_000, "system": SYSTEM, "tools": TOOLS, "messages": [*before, marked],
        }  # fmt: skip
        return json.dumps(value).encode()

    def billed(self, view: View, part: Part, final: bool) -> None:
        """The bill of the latest call: what the cache holds now, and since when."""
        if self._open is None:
            return
        ended = part.started + 10.0
        self._router.finish(
            self._open.id, usage=part.usage, status=200, started=part.started, first_byte=part.started + 1.0, ended=ended,
            stop="final" if final else "tool",
        )  # fmt: skip
        self._open = None
        self._router.events()

    def checked(self, view: View, passed: bool) -> None:
        """The check's verdict, and whether the router sends the agent on after it."""
        verdict: Verdict = "check_passed" if passed else "check_failed"
        said = Checked(view.now, self._session, "bench", verdict, verdict, CHECK_S, sent_back=not passed)
        self._on = self._router.checked(said, self._retries).sent_back
        self._router.events()

    def points(self, calls: int) -> tuple[int, ...]:
        """Asked once more in the middle of a run and once before its last call."""
        return tuple(sorted({calls // 2, calls - 1} - {0}))
