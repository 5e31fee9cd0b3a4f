"""A scripted coding session of any length: the agent's side and the model's side, deterministic by seed.

    world = World(turns=12, seed=1)
    async with Provider(clock=clock, script=world.script, speed=1) as p:
        async for heard in world.play(gateway_url, clock, provider=p): ...

Theory of operation. A ``World`` draws its turns beforehand. Its ``script`` is the model: it finds the turn by the newest
prompt in the history and the step by the tool rounds since, so it needs no memory and serves retries and any number of
worlds at once. ``play`` is the agent: it sends what a coding agent would send (with marks, session headers, a title
request, a sub-agent, a summary when the context is full), puts whatever came back into its history, and goes on.
"""

from __future__ import annotations

import io
import random
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from yarl import URL

from pointsman.sandbox import faults
from pointsman.sandbox.agent import Heard, http
from pointsman.sandbox.answers import content_of, ended, model_of, usage_of
from pointsman.sandbox.clock import Clock
from pointsman.sandbox.filler import Chore, chore, prose, tools
from pointsman.sandbox.incoming import Incoming
from pointsman.sandbox.provider import Provider
from pointsman.sandbox.reply import Call, Reply, compact, say
from pointsman.sandbox.script import SUMMARY, Housekeeping, Script
from pointsman.sandbox.tasks import with_thinking

INTERRUPTED = "[Request interrupted by user]"
CONTINUED = "This session is being continued from a previous conversation that ran out of context. The summary follows.\n\n"
SUMMARISE = (
    "CRITICAL: Respond with TEXT ONLY. Do NOT call any tools.\n\nYour task is to create a detailed summary of the conversation."
)
BETAS = "claude-code-20250219,interleaved-thinking-2025-05-14,effort-2025-11-24"


@dataclass(frozen=True, slots=True)
class Plot:
    """What happens besides plain work: turn numbers from 1 (0 or empty: never), pauses in seconds.

    ``compact_chars``: the history is summarised once it is longer than this. ``idle``: turns before which the user is
    away for ``idle_s``. ``models``: from this turn on the client asks for another model.
    """

    subagent: tuple[int, ...] = (3,)
    interrupt: tuple[int, ...] = (5,)
    correction: tuple[int, ...] = (6,)
    question: tuple[int, ...] = (2, 8)
    idle: tuple[int, ...] = (7,)
    idle_s: float = 2_400.0
    models: tuple[tuple[int, str], ...] = ()
    title: bool = True
    compact_chars: int = 240_000
    pause_s: tuple[float, float] = (20.0, 200.0)
    tool_s: tuple[float, float] = (0.5, 12.0)


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it goes out: who makes it and what it says. ``hang_up``: break it off in mid-answer."""

    purpose: str
    turn: int
    headers: dict[str, str]
    body: dict[str, Any]
    hang_up: bool = False


@dataclass
class World:
    """One coding session of ``turns`` turns on ``model``; equal seeds give equal sessions."""

    turns: int = 12
    seed: int = 0
    model: str = "claude-opus-5-5"
    plot: Plot = field(default_factory=Plot)
    effort: str | None = None

    def __post_init__(self) -> None:
        """Draw the turns, the tools and the system prompt."""
        self._dice = random.Random(f"world {self.seed}")
        self.session = str(uuid.UUID(int=self._dice.getrandbits(128), version=4))
        self._tools = tools(self._dice)
        self._manual = prose(self._dice, 6_000)
        self._notes = [prose(self._dice, 2_000) for _ in range(2)]
        self.chores = [chore(self._dice, n, kind=self._kind(n)) for n in range(1, self.turns + 1)]
        self._errand = chore(self._dice, 0, kind="question")
        self._by_prompt = {c.prompt: (n, c) for n, c in enumerate((self._errand, *self.chores))}
        self._messages: list[dict[str, Any]] = []

    def _kind(self, n: int) -> str:
        plot = self.plot
        return "correction" if n in plot.correction else "question" if n in plot.question else "work"

    # ---- the model's side
    @property
    def script(self) -> Script:
        """What the provider answers in this world."""
        return Housekeeping(self._answer, title=f"Project work {self.seed}", summary=SUMMARY)

    def _answer(self, request: Incoming) -> Reply:
        """The reply that is due in the turn of the newest prompt."""
        lines = request.prompt.splitlines()
        turn, found = self._by_prompt.get(lines[-1] if lines else "", (0, None))
        if found is None:
            return say("I am ready.")
        calls = [Call(planned.name, planned.arguments) for planned in found.rounds]
        if turn in self.plot.subagent:
            arguments = {"description": "Look around", "prompt": self._errand.prompt, "subagent_type": "general-purpose"}
            calls.insert(0, Call("Agent", arguments))
        return _round(request, found, calls)

    # ---- the agent's side
    async def play(
        self, base_url: str, clock: Clock | None = None, *, provider: Provider | None = None
    ) -> AsyncIterator[tuple[Sent, Heard]]:
        """Send the session's requests to ``base_url`` and yield each with what came back.

        Pauses pass on ``clock`` (virtual) and take no real time. Interrupts need ``provider``, to hold the answer back.
        """
        self._messages, self._dice = [], random.Random(f"pauses {self.seed}")
        async with http() as client:
            for turn, work in enumerate(self.chores, 1):
                self._wait(clock, turn)
                async for sent, heard in self._turn(client, base_url, clock, provider, turn, work):
                    yield sent, heard

    def _wait(self, clock: Clock | None, turn: int) -> None:
        """The user reads, thinks, or is away."""
        pause = self.plot.idle_s if turn in self.plot.idle else self._dice.uniform(*self.plot.pause_s)
        if clock is not None and turn > 1:
            clock.advance(pause)

    async def _turn(
        self, client: aiohttp.ClientSession, url: str, clock: Clock | None, provider: Provider | None, turn: int, work: Chore
    ) -> AsyncIterator[tuple[Sent, Heard]]:
        """One prompt, its tool rounds, and what the plot adds to them."""
        if turn == 1 and self.plot.title:
            sent = self._title(work.prompt)
            yield sent, await _post(client, url, sent)
        if sum(len(compact(m)) for m in self._messages[-400:]) > self.plot.compact_chars:
            sent = self._summarise(turn)
            heard = await _post(client, url, sent)
            yield sent, heard
            self._continue(heard)
        self._prompt(work.prompt)
        if turn in self.plot.interrupt and provider is not None:
            provider.fault(faults.hang("text"), when=lambda request: request.session == self.session)
            sent = self._main(turn, hang_up=True)
            yield sent, await _post(client, url, sent)
            self._messages += [_assistant("I began with"), _user(INTERRUPTED)]
            return
        async for sent, heard in self._loop(client, url, clock, turn, work):
            yield sent, heard

    async def _loop(
        self, client: aiohttp.ClientSession, url: str, clock: Clock | None, turn: int, work: Chore
    ) -> AsyncIterator[tuple[Sent, Heard]]:
        """Ask, run the tools that the answer calls, ask again, until there are none; a refusal ends the turn too."""
        while True:
            sent = self._main(turn)
            heard = await _post(client, url, sent)
            yield sent, heard
            answer = content_of(heard.data.decode("utf-8", "replace")) if heard.whole else []
            if not answer:
                return
            self._messages.append({"role": "assistant", "content": answer})
            calls = [block for block in answer if block["type"] == "tool_use"]
            if not calls:
                return
            results = []
            for call in calls:
                if call["name"] == "Agent":
                    async for inner in self._errands(client, url, turn):
                        yield inner
                results.append(self._result(work, call))
            self._messages.append({"role": "user", "content": results})
            if clock is not None:
                clock.advance(self._dice.uniform(*self.plot.tool_s))

    async def _errands(self, client: aiohttp.ClientSession, url: str, turn: int) -> AsyncIterator[tuple[Sent, Heard]]:
        """A sub-agent's own loop: its own history, the same session."""
        history = [_user(self._errand.prompt)]
        while True:
            sent = self._subagent(turn, history)
            heard = await _post(client, url, sent)
            yield sent, heard
            answer = content_of(heard.data.decode("utf-8", "replace")) if heard.whole else []
            calls = [block for block in answer if block["type"] == "tool_use"]
            if not calls:
                return
            history.append({"role": "assistant", "content": answer})
            history.append({"role": "user", "content": [self._result(self._errand, call) for call in calls]})

    def _continue(self, heard: Heard) -> None:
        """The history is replaced by its summary; without one the agent keeps what it has."""
        summary = (
            "".join(block.get("text", "") for block in content_of(heard.data.decode("utf-8", "replace"))) if heard.whole else ""
        )
        if summary:
            self._messages = [_user(CONTINUED + summary), _assistant("I will go on from there.")]

    def _prompt(self, text: str) -> None:
        """The user's words; after an interrupt they stand in the same message as its notice."""
        if self._messages and self._messages[-1]["role"] == "user":
            last = self._messages[-1]
            self._messages[-1] = {"role": "user", "content": [*last["content"], {"type": "text", "text": text}]}
        else:
            self._messages.append(_user(text))

    def _result(self, work: Chore, call: dict[str, Any]) -> dict[str, Any]:
        """What the tool says to this call."""
        for planned in work.rounds:
            if planned.name == call["name"] and planned.arguments == call["input"]:
                error = {"is_error": True} if planned.error else {}
                return {"type": "tool_result", "tool_use_id": call["id"], "content": planned.result, **error}
        return {"type": "tool_result", "tool_use_id": call["id"], "content": self._errand.final}

    # ---- requests
    def _asked(self, turn: int) -> str:
        """The model the client asks for at this turn."""
        return next((name for start, name in reversed(self.plot.models) if turn >= start), self.model)

    def _headers(self, agent: str | None = None) -> dict[str, str]:
        headers = {
            "content-type": "application/json",
            "accept": "application/json",
            "user-agent": "claude-cli/2.1.330 (external, cli)",
            "x-app": "cli",
            "anthropic-version": "2023-06-01",
            "anthropic-beta": BETAS,
            "x-api-key": "fake-key",
            "x-claude-code-session-id": self.session,
        }
        return headers | ({"x-claude-code-agent-id": agent} if agent else {})

    def _body(self, turn: int, messages: list[dict[str, Any]], *, agent: bool = False) -> dict[str, Any]:
        """The request an agent makes of this history: marks on the system blocks and on the newest block."""
        suffix = "sub" if agent else "0f1"
        line = f"x-anthropic-billing-header: cc_version=2.1.330.{suffix}; cc_entrypoint=cli;" + (
            " cc_is_subagent=true;" if agent else ""
        )
        system = [
            {"type": "text", "text": line},
            *(
                {"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}
                for text in ("You are an agent in a scripted world.", self._manual)
            ),
        ]
        user = compact({"device_id": "0" * 64, "account_uuid": "", "session_id": self.session})
        body: dict[str, Any] = {
            "model": self._asked(turn),
            "messages": _marked(messages),
            "system": system,
            "tools": self._tools,
            "metadata": {"user_id": user},
            "max_tokens": 32_000,
            "stream": True,
        }
        if not any(old in body["model"] for old in ("-4-5", "-3-")):
            body["thinking"] = {"type": "adaptive"}
            body["output_config"] = {"effort": self.effort or "medium"}
        return body

    def _main(self, turn: int, *, hang_up: bool = False) -> Sent:
        return Sent("turn", turn, self._headers(), self._body(turn, self._messages), hang_up)

    def _subagent(self, turn: int, history: list[dict[str, Any]]) -> Sent:
        return Sent("subagent", turn, self._headers(f"agent-{self.seed}-{turn}"), self._body(turn, history, agent=True))

    def _summarise(self, turn: int) -> Sent:
        """The same tools, system and model; one more text in the last message."""
        return Sent("compaction", turn, self._headers(), self._body(turn, [*self._messages, _user(SUMMARISE)]))

    def _title(self, prompt: str) -> Sent:
        """The housekeeping request for a title, on the main model."""
        schema = {
            "type": "object",
            "properties": {"title": {"type": "string"}},
            "required": ["title"],
            "additionalProperties": False,
        }
        body = {
            "model": self.model,
            "messages": [_user(f"<session>\n{prompt}\n</session>")],
            "max_tokens": 4_000,
            "stream": True,
            "system": [{"type": "text", "text": "Generate a concise, sentence-case title for this session."}],
            "output_config": {"format": {"type": "json_schema", "schema": schema}},
        }
        return Sent("side", 1, self._headers(), body)


def _round(request: Incoming, work: Chore, calls: list[Call]) -> Reply:
    """The call of this step, or the final words after the last one."""
    if request.step >= len(calls):
        return say(work.final)
    call = calls[request.step]
    words = f"I will use {call.name} for this."
    return with_thinking(request, work.thought, words, call) if request.step == 0 else say(words, call)


def _user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": text}]}


def _assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


def _marked(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The history with a cache mark on its last block."""
    *before, last = messages
    *blocks, end = last["content"]
    return [*before, last | {"content": [*blocks, end | {"cache_control": {"type": "ephemeral"}}]}]


async def _post(client: aiohttp.ClientSession, url: str, sent: Sent) -> Heard:
    """Send one request and read its stream; hang up after the first words where the plot says so."""
    target = URL(url.rstrip("/") + "/v1/messages?beta=true", encoded=True)
    payload = io.BytesIO(compact(sent.body).encode())
    data, error, hung_up = bytearray(), None, False
    try:
        async with client.post(target, data=payload, headers=sent.headers) as answer:
            async for chunk in answer.content.iter_any():
                data += chunk
                if sent.hang_up and b"text_delta" in data:
                    hung_up = True
                    answer.close()
                    break
            status, headers = answer.status, {name.lower(): value for name, value in answer.headers.items()}
    except aiohttp.ClientError as broken:
        return Heard(0, "/v1/messages", 0, error=f"{type(broken).__name__}: {broken}", data=bytes(data))
    text = data.decode("utf-8", "replace")
    return Heard(
        0,
        "/v1/messages",
        status,
        model_of("messages", text),
        usage_of("messages", text),
        ended("messages", text) and status == 200,
        hung_up,
        error,
        headers,
        bytes(data),
    )
