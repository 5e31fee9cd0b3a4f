"""Nine real clients, each on every journey, bare and through Pointsman: the same result, and no refusal that is ours.

``JOURNEYS`` is the table of what happens, ``MODELS`` the one of who does it; ``WITHOUT`` says which pairs there are not, and
why. Every journey is played without Pointsman first: that is what it is held against.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from clients import scenarios
from clients.journeys import Play, Result, Trip, Way, journey
from pointsman.core.events import Advised
from pointsman.sandbox import faults
from pointsman.sandbox.incoming import Incoming
from pointsman.sandbox.script import Script

pytestmark = pytest.mark.clients

MODELS: Mapping[str, tuple[str, ...]] = {
    "claude": ("claude-opus-5-5", "claude-sonnet-4-5"),
    "claude-sdk": ("claude-sonnet-4-5",),
    "codex": ("gpt-5.5", "gpt-6-astra"),
    "opencode": ("anthropic/claude-sonnet-4-5", "openai/gpt-5.5"),
    "aider": ("claude-sonnet-4-5", "gpt-5.5"),
    "qwen": ("gpt-4.1", "claude-sonnet-4-5"),
    "gemini": ("gemini-2.5-pro", "gemini-4-argon"),
    "cline": ("gpt-4.1", "claude-sonnet-4-5", "gpt-5.5"),
    "mini": ("gpt-4.1", "claude-sonnet-4-5"),
}
"""Each client with a model for every wire it speaks; the journeys but the first take the first model."""

Proof = Callable[[Result, Result], None]
"""What holds for a journey besides the same result: (bare, ours)."""


@dataclass(frozen=True)
class Journey:
    """One journey.

    ``play`` is what happens; ``way`` how it comes through Pointsman; ``serve``: flags; ``away``: to another vendor and back;
    ``settings``: TOML; ``proof``: what else holds. ``same_requests``: as many requests are made as without Pointsman;
    ``slow``: the provider takes its time; ``script``: what it answers.
    """

    play: Play
    way: Way = "serve"
    serve: tuple[str, ...] = ()
    away: bool = False
    settings: str = ""
    proof: Proof | None = None
    same_requests: bool = True
    slow: bool = False
    script: Callable[[], Script] = scenarios.script


def main(request: Incoming) -> bool:
    """Agent work, no housekeeping."""
    return request.purpose == "main"


async def task(trip: Trip) -> None:
    """One task: a failing test is mended."""
    await trip.say(scenarios.REPAIR)


async def two_turns(trip: Trip) -> None:
    """A second task in the same session, by another process."""
    await trip.say(scenarios.REPAIR)
    await trip.say(scenarios.GROW, resume=True)


def failing(fault: faults.Fault, nth: int = 2) -> Play:
    """The task, and the provider fails at its ``nth`` request."""

    async def play(trip: Trip) -> None:
        trip.provider.fault(fault, nth=nth if trip.client != "aider" else 1, when=main)
        await trip.say(scenarios.REPAIR)

    return play


async def interrupted(trip: Trip) -> None:
    """Ctrl-C in the middle of a long answer; then another prompt."""
    trip.provider.speed = 1.0
    process, after = await trip.start(scenarios.LONG)
    await trip.until(lambda: any(record.sent > 600 for record in trip.provider.requests if record.purpose == "main"), 60)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    await trip.end(process, after)
    trip.provider.speed = 0.0
    await trip.say(scenarios.REPAIR)


def broken_off(bare: Result, ours: Result) -> None:
    """The provider saw the hang-up, and the ledger has it."""
    assert any(record.hung_up for record in ours.log), "the provider went on for nobody"
    assert any(event.stop == "hangup" for event in ours.finished)


def goes_on(bare: Result, ours: Result) -> None:
    """One session, its turns counted, where the client sends what tells that."""
    turns = [event.decision.place for event in ours.routed if event.decision.place.kind == "main"]
    if ours.client == "gemini":  # it rewrites every message of a resumed session, and sends no id
        assert turns[-1].session != turns[0].session
        return
    assert {place.session for place in turns} == {turns[0].session} and turns[-1].turn == 2


async def handed_over(trip: Trip) -> None:
    """An agent of the client's own does a part of the work."""
    await trip.say(scenarios.LOOK, *(("--enable", "multi_agent_v2") if trip.client == "codex" else ()))


def own_lane(bare: Result, ours: Result) -> None:
    """The agent's requests are a lane of their own in the same session, and count as no turn."""
    places = [event.decision.place for event in ours.routed]
    helpers = [place for place in places if place.kind == "subagent"]
    assert helpers and {place.session for place in helpers} == {places[-1].session}
    assert {place.turn for place in places if place.kind == "main"} == {1}


async def summarised(trip: Trip) -> None:
    """The history is replaced by a summary: by the user's command, with Codex by its own limit."""
    if trip.client == "codex":
        for n, prompt in enumerate((scenarios.REPAIR, scenarios.GROW)):
            await trip.say(prompt, "-c", "model_auto_compact_token_limit=10200", resume=n > 0)
        return
    for n, prompt in enumerate((scenarios.REPAIR, COMPACT.get(trip.client, "/compact"), scenarios.GROW)):
        await trip.say(prompt, resume=n > 0)


COMPACT = {"qwen": "/compress", "gemini": "/compress"}
"""How a user asks for a summary, where not by /compact."""


def told(bare: Result, ours: Result) -> None:
    """The request for a summary is housekeeping of the main lane, and what follows begins from it."""
    assert any(event.request.purpose == "compaction" for event in ours.routed)
    if ours.client == "gemini":  # it keeps a history that is not longer than its summary would be
        return
    assert any(event.decision.place.relation == "compacted" for event in ours.routed)


SWITCH = ("--schedule", "2:cheaper,4:asked")


def down_and_back(bare: Result, ours: Result) -> None:
    """Another model served requests 2 and 3, the asked one found its cache again, and the client went on undisturbed."""
    models = [model for model, _, _ in ours.prompts]
    asked = models[0]
    if len(models) < 4:  # aider does its task in one request
        assert len(models) == 1
        return
    assert models[1] == models[2] != asked and set(models[3:]) == {asked}
    assert ours.prompts[3][2] >= 0.99 * bare.prompts[1][2], f"read {ours.prompts[3][2]} of {bare.prompts[1][2]}"
    assert "HighRisk" not in ours.output


def for_other_vendor(model: str) -> tuple[str, ...]:
    """The schedule that sends a model's requests 2 and 3 to another vendor."""
    there = "gpt-6-luna" if "claude" in model else "claude-haiku-5-5"
    return ("--schedule", f"2:{there},4:asked")


def kept(bare: Result, ours: Result) -> None:
    """Thinking, reasoning and signatures come back to the provider as often as without Pointsman."""
    assert thoughts(ours.bodies[-1]) == thoughts(bare.bodies[-1])


def thoughts(value: Any) -> int:
    """Thinking blocks, reasoning items and call signatures in a request."""
    if isinstance(value, list):
        return sum(map(thoughts, value))
    if not isinstance(value, dict):
        return 0
    own = value.get("type") in ("thinking", "redacted_thinking", "reasoning") or "thoughtSignature" in value
    return bool(own) + sum(map(thoughts, value.values()))


PULL = "[advisor]\nmodel = '{adviser}'\nmode = 'pull'\n"
"""Settings in which the working model may ask a stronger one."""


def adviser(model: str) -> str:
    """A stronger model of the same vendor."""
    return "claude-fable-5-1" if "claude" in model else "gemini-4-argon" if "gemini" in model else "gpt-6-astra"


def advised(bare: Result, ours: Result) -> None:
    """The working model asked, was answered inside its own answer, and the client saw neither the call nor the advisor."""
    found = [event for event in ours.events if isinstance(event, Advised)]
    assert [(event.how, event.outcome) for event in found] == [("pull", "given")]
    assert scenarios.ADVICE in str(ours.bodies[-1]) and scenarios.ADVICE not in ours.output
    assert "I ask first." in ours.output or "I ask first." in str(ours.bodies[-1])


PUSH = "failure_usd = 200.0\n[advisor]\nmodel = '{adviser}'\nmode = 'push'\n"
"""Settings in which a stronger one speaks up where the work goes in circles."""


def unasked(bare: Result, ours: Result) -> None:
    """The advice stands in the history from then on, at the same place with the same words, and the prompt's start is read."""
    found = [event for event in ours.events if isinstance(event, Advised)]
    assert [(event.how, event.outcome) for event in found] == [("push", "given")]
    told = [str(body) for body in ours.bodies if scenarios.ADVICE in str(body) and "asked for advice" not in str(body)]
    assert len(told) >= 2 and scenarios.ADVICE not in ours.output


def moved_effort(bare: Result, ours: Result) -> None:
    """The second and third request ran at another effort, and the prompt's start stayed readable."""
    chosen = [event.decision.chosen.effort for event in ours.routed if event.decision.place.kind == "main"]
    assert chosen[1] == chosen[2] == "low" != chosen[0] and chosen[3] == chosen[0]


JOURNEYS: Mapping[str, Journey] = {
    "task": Journey(task),
    "run": Journey(task, way="run"),
    "resume": Journey(two_turns, proof=goes_on),
    "interrupt": Journey(interrupted, proof=broken_off, same_requests=False, slow=True),
    "429": Journey(failing(faults.status(429, retry_after=1))),
    "500": Journey(failing(faults.status(500))),
    "529": Journey(failing(faults.status(529))),
    "cut in text": Journey(failing(faults.cut("text")), same_requests=False),  # how much arrived before the cut is chance
    "cut in call": Journey(failing(faults.cut("json")), same_requests=False),
    "thinking": Journey(task, proof=kept),
    "sub-agent": Journey(handed_over, proof=own_lane, same_requests=False),
    "compaction": Journey(summarised, proof=told),
    "switch": Journey(task, serve=SWITCH, proof=down_and_back),
    "vendor": Journey(task, away=True, proof=down_and_back),
    "advice": Journey(task, settings=PUSH, proof=unasked, same_requests=False, script=scenarios.stubborn_script),
    "advisor": Journey(task, settings=PULL, proof=advised, same_requests=False, script=scenarios.consulting_script),
    "effort": Journey(task, serve=("--schedule", "2:asked:low,4:asked"), proof=moved_effort),
}

WITHOUT: Mapping[tuple[str, str], str] = {
    ("aider", "sub-agent"): "aider has no agents of its own",
    ("mini", "sub-agent"): "mini-swe-agent has no agents of its own",
    ("cline", "resume"): "cline 3.0.65 resumes in its screen only",
    ("mini", "resume"): "mini-swe-agent does one task and ends",
    ("aider", "compaction"): "aider summarises by its own count of 1,024 tokens and more, in the background",
    ("mini", "compaction"): "mini-swe-agent has none",
    ("opencode", "compaction"): "opencode run has no /compact",
    ("cline", "compaction"): "cline compacts near its window only",
    ("mini", "interrupt"): "mini-swe-agent does not stream: an interrupt ends it between requests",
    ("aider", "interrupt"): "aider asks for a second Ctrl-C, also where nobody can type one",
    ("opencode", "interrupt"): "opencode run does not end at an interrupt",
    ("aider", "advisor"): "aider offers no tools, so there is none to ask with",
    ("qwen", "advice"): "qwen-code takes a command that is repeated so often for a loop, and ends",
    ("aider", "advice"): "aider runs no tools that could fail",
    ("aider", "effort"): "aider sends no effort",
    ("mini", "effort"): "mini-swe-agent sends no effort",
    ("qwen", "effort"): "gpt-4.1 has no effort",
    ("gemini", "effort"): "gemini-2.5-pro takes a budget, no effort",
    ("cline", "effort"): "gpt-4.1 has no effort",
    ("claude-sdk", "effort"): "claude-sonnet-4-5 has no effort",
    ("opencode", "effort"): "claude-sonnet-4-5 has no effort",
}
"""What a client does not do, and why."""


def cells() -> list[Any]:
    """Every client on every journey; on the first with every wire it speaks."""
    found = []
    for name in JOURNEYS:
        for client, models in MODELS.items():
            if (client, name) in WITHOUT:
                continue
            chosen = models if name in ("task", "switch", "thinking", "vendor") else models[:1]
            if name == "advice":  # gpt-4.1's ability is a guess from newer ones: advice for it never pays
                chosen = tuple(model for model in models if model != "gpt-4.1")[:1]
            found += [pytest.param(client, model, name, id=f"{name}-{client}-{model.rpartition('/')[2]}") for model in chosen]
    return found


@pytest.mark.parametrize(("client", "model", "name"), cells())
async def test_the_same_result_with_and_without(client: str, model: str, name: str, tmp_path: Path) -> None:
    told_of, folder = JOURNEYS[name], tmp_path / "run"
    bare = await journey(client, model, told_of.play, folder, "bare", slow=told_of.slow, script=told_of.script())
    serve = for_other_vendor(model) if told_of.away else told_of.serve
    settings = told_of.settings.format(adviser=adviser(model))
    ours = await journey(client, model, told_of.play, folder, told_of.way, serve=serve, settings=settings,
                         slow=told_of.slow, script=told_of.script())  # fmt: skip
    print(f"\n{name} {client} {model}: {ours.codes}, {len(ours.prompts)} requests, {ours.prompts}")
    assert ours.codes == bare.codes, ours.output[-3000:]
    assert ours.files == bare.files, ours.output[-3000:]
    assert ours.refused <= bare.refused, f"refused: {ours.refused}, without Pointsman {bare.refused}"
    assert not any(event.resent for event in ours.finished), "a request that we changed was refused"
    if told_of.same_requests:
        assert len(ours.prompts) == len(bare.prompts)
        if not serve:
            assert all(map(alike, ours.prompts, bare.prompts)), f"the provider counted other prompts: {bare.prompts}"
    if told_of.proof is not None:
        told_of.proof(bare, ours)


def alike(ours: tuple[str, int, int], bare: tuple[str, int, int]) -> bool:
    """The same request: Qwen Code and Gemini CLI tell the model process ids, which have more digits some times than others."""
    return ours[0] == bare[0] and abs(ours[1] - bare[1]) <= 8 and abs(ours[2] - bare[2]) <= 128


def test_the_table_is_whole() -> None:
    """Nine clients, and a reason for every pair that is left out."""
    assert len(MODELS) == 9
    assert all(client in MODELS and name in JOURNEYS for client, name in WITHOUT)
