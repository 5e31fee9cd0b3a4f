"""Tests that read as conversations: what the agent does goes in with ``>>``, what must be decided is claimed with ``<<``.

    play >> turn("fix the flaky test", context=12_000) << stay("sonnet") >> tests_red() << stay() >> turn() << stay()

Behind it are the real engine and price book, Claude-Code-like Messages requests, and a provider's bill from a small cache of
its own (a prefix stays warm for five minutes from the start of a request). Time passes only as the steps say.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pointsman import Router, Settings
from pointsman.core.book import Book
from pointsman.core.decisions import Action, Decision
from pointsman.core.types import Config, FreePoint
from pointsman.engine import Route

CHARS_PER_TOKEN, TTL_S, START = 3.6, 300.0, 1_800_000_000.0
MARK = {"type": "ephemeral"}
TOOLS = [{"name": "Bash", "description": "runs a command", "input_schema": {"type": "object", "properties": {}}}]

Step = Callable[["Play"], None]
Claim = Callable[["Play"], None]


@dataclass
class Play:
    """One session with the router. ``model``: what the client asks for, a tier name or a model."""

    book: Book
    settings: Settings = field(default_factory=Settings)
    model: str = "sonnet"
    session: str = "s-1"
    key: str = "x-api-key: k"

    def __post_init__(self) -> None:
        self.router = Router(self.settings, self.book)
        self.asked = self.book.resolve(self.model) or self.model
        self.now = START
        self.talk: list[dict[str, Any]] = []
        self.context = 8_000
        self.warm: dict[str, tuple[int, float]] = {}
        self.routes: list[Route] = []
        self.status = 200

    def __rshift__(self, step: Step) -> Play:
        step(self)
        return self

    def __lshift__(self, claim: Claim) -> Play:
        claim(self)
        return self

    @property
    def decision(self) -> Decision:
        """The newest decision."""
        return self.routes[-1].decision

    def named(self, name: str) -> str:
        """The model that a tier name means, seen from what is asked."""
        return self.book.resolve(name, self.asked) or name

    def send(self, *, talk: list[dict[str, Any]] | None = None, agent: str | None = None, tools: bool = True,
             stop: str = "final", **more: Any) -> Route:  # fmt: skip
        """One request and its answer, thirty seconds later than the last."""
        self.now += 30.0
        messages = self.talk if talk is None else talk
        value: dict[str, Any] = {
            "model": self.asked, "max_tokens": 4_000, "messages": _marked(messages) if tools else messages,
            "system": [{"type": "text", "text": "x " * int(self.context * CHARS_PER_TOKEN / 2), "cache_control": MARK}], **more,
        }
        if tools:
            value["tools"] = TOOLS
        else:
            value["system"] = [{"type": "text", "text": "Name this conversation."}]
        headers = {"x-claude-code-session-id": self.session, "user-agent": "claude-cli/2.1.330 (external, cli)"}
        header, _, value_of = self.key.partition(": ")
        headers[header] = value_of
        if agent:
            headers["x-claude-code-agent-id"] = agent
        body = json.dumps(value).encode()
        route = self.router.route(path="/v1/messages", headers=headers, body=body, now=self.now, dice=0.5)
        self.routes.append(route)
        self._answer(route, len(body), f"{agent}/{route.model}", stop)
        return route

    def _answer(self, route: Route, size: int, cache: str, stop: str) -> None:
        prompt = round(size / CHARS_PER_TOKEN)
        held, since = self.warm.get(cache, (0, 0.0))
        read = min(held, prompt) if self.now - since < TTL_S else 0
        usage = {"input_tokens": 2, "cache_read_input_tokens": read, "cache_creation_input_tokens": prompt - read,
                 "output_tokens": 200}
        ok = self.status < 400
        if ok:
            self.warm[cache] = (prompt, self.now)
        self.router.finish(
            route.id, usage=usage if ok else None, status=self.status, started=self.now, first_byte=self.now + 1,
            ended=self.now + 5, stop="final" if stop == "final" and ok else "tool" if ok else "error",
        )  # fmt: skip


def _marked(talk: list[dict[str, Any]]) -> list[dict[str, Any]]:
    last = talk[-1]
    return [*talk[:-1], {**last, "content": [*last["content"][:-1], {**last["content"][-1], "cache_control": MARK}]}]


def _text(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text}]}


# -- what the agent does -----------------------------------------------------------------------------------------------


def turn(prompt: str = "Go on.", *, context: int | None = None, pause: float = 60.0, **more: Any) -> Step:
    """The user types ``prompt`` after ``pause`` seconds; the model answers. ``context``: tokens of system text from here on.

    ``more``: fields of the request.
    """

    def step(play: Play) -> None:
        play.context = context or play.context
        play.now += pause
        play.talk.append(_text("user", prompt))
        play.send(**more)
        play.talk.append(_text("assistant", "Done."))

    return step


def correction() -> Step:
    """The user pushes back."""
    return turn("No, that is not it.")


def result(text: str, *, failed: bool = False, tool: str = "Bash", given: dict[str, Any] | None = None) -> Step:
    """The agent runs a tool inside a turn, with what it was ``given``, and sends what it printed."""

    def step(play: Play) -> None:
        own = f"toolu_{len(play.talk)}"
        play.talk[-1] = {"role": "assistant", "content": [{"type": "tool_use", "id": own, "name": tool, "input": given or {}}]}
        block: dict[str, Any] = {"type": "tool_result", "tool_use_id": own, "content": text}
        play.talk.append({"role": "user", "content": [block | {"is_error": True} if failed else block]})
        play.send()
        play.talk.append(_text("assistant", "Done."))

    return step


def tests_red() -> Step:
    """The agent runs the tests; one fails."""
    return result("==== 1 failed, 41 passed in 0.61s ====", failed=True)


def tests_green() -> Step:
    """The agent runs the tests; all pass."""
    return result("==== 42 passed in 0.61s ====")


def title() -> Step:
    """The client asks for a name of the conversation: housekeeping."""
    schema = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"], "additionalProperties": False}
    form = {"format": {"type": "json_schema", "schema": schema}}

    def step(play: Play) -> None:
        play.send(talk=[_text("user", "Fix the test.")], tools=False, output_config=form)

    return step


def subagent(prompt: str = "Look around.", agent: str = "agent-1") -> Step:
    """The client starts a sub-agent, which makes one request."""
    return lambda play: _ignore(play.send(talk=[_text("user", prompt)], agent=agent))


def compaction() -> Step:
    """The client has the history summarised, and goes on from the summary with a prompt."""

    def step(play: Play) -> None:
        ask = "CRITICAL: Respond with TEXT ONLY. Your task is to create a detailed summary of the conversation so far."
        play.send(talk=[*play.talk, _text("user", ask)])
        play.talk = [_text("user", "This session is being continued from a previous conversation. Summary: we fixed a test.")]

    return step


def clear() -> Step:
    """The user clears the conversation in the same session."""
    return lambda play: play.talk.clear()


def pin(name: str, scope: Any = "session") -> Step:
    """The user pins a model."""
    return lambda play: _ignore(play.router.pin(name, scope=scope, session=play.session, now=play.now))


def unpin() -> Step:
    """The user gives the wheel back."""
    return lambda play: _ignore(play.router.unpin(session=play.session, now=play.now))


def client_asks(name: str) -> Step:
    """The user picks another model in the client's own menu."""

    def step(play: Play) -> None:
        play.asked = play.named(name)

    return step


def check(passed: bool) -> Step:
    """The user's own check at "done" reports its verdict."""
    kind = "check_passed" if passed else "check_failed"
    return lambda play: play.router.signal(session=play.session, kind=kind, now=play.now + 6)


def upstream_says(status: int) -> Step:
    """From here on the provider answers with this status."""

    def step(play: Play) -> None:
        play.status = status

    return step


def again() -> Step:
    """The client sends the last request again."""

    def step(play: Play) -> None:
        answer = play.talk.pop()
        play.send()
        play.talk.append(answer)

    return step


def _ignore(_: object) -> None:
    """Steps return nothing."""


# -- what must have been decided ---------------------------------------------------------------------------------------


def _claim(action: Action | None, name: str | None, because: str | None, free: FreePoint | None) -> Claim:
    def claim(play: Play) -> None:
        decision = play.decision
        said = f"{decision.action} {decision.chosen} because {decision.reason}: {decision.sentence}"
        assert action is None or decision.action == action, said
        assert name is None or decision.chosen.model == play.named(name), said
        assert because is None or decision.reason == because, said
        assert free is None or decision.free_point == free, f"free point {decision.free_point}; {said}"

    return claim


def stay(name: str | None = None, *, because: str | None = None, free: FreePoint | None = None) -> Claim:
    """What runs goes on running."""
    return _claim("stay", name, because, free)


def switch(name: str, *, because: str | None = None, free: FreePoint | None = None) -> Claim:
    """Another model takes over."""
    return _claim("switch", name, because, free)


def escalate(name: str, *, because: str | None = None) -> Claim:
    """A stronger model takes over for the rest of the task."""
    return _claim("escalate", name, because, None)


def says(words: str) -> Claim:
    """The decision announces something."""

    def claim(play: Play) -> None:
        told = " ".join((*play.decision.notices, play.decision.sentence))
        assert words in told, told

    return claim


def turns(count: int) -> Claim:
    """So many turns were counted."""

    def claim(play: Play) -> None:
        assert play.router.sessions[play.session].turn == count

    return claim


def harder() -> Claim:
    """The newest evidence moved the difficulty up."""

    def claim(play: Play) -> None:
        before, after = play.routes[-2].decision.belief, play.decision.belief
        assert after.n > before.n and after.mu > before.mu

    return claim


def unmoved() -> Claim:
    """The request went out as the very bytes that came in."""

    def claim(play: Play) -> None:
        assert not play.routes[-1].changed and play.decision.chosen == Config(play.asked)

    return claim
