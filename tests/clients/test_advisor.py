"""Real clients with an advisor: what it says reaches the working model, the client sees one answer, and no cache is lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from clients import scenarios
from clients.journeys import Result, Trip, journey
from pointsman.core.events import Advised
from pointsman.sandbox.incoming import Incoming
from pointsman.sandbox.reply import Call, Reply, Thinking, say
from pointsman.sandbox.script import Housekeeping, Script
from pointsman.sandbox.tasks import use

pytestmark = pytest.mark.clients

ADVICE = "Look at the sign in calc.py before you change anything else."
PAIRS = {
    "claude": ("claude-sonnet-5-5", "claude-opus-5-5"), "codex": ("gpt-5.5", "gpt-6-astra"),
    "opencode": ("anthropic/claude-sonnet-4-5", "claude-opus-5-5"), "opencode-responses": ("openai/gpt-5.5", "gpt-6-astra"),
    "gemini": ("gemini-2.5-pro", "gemini-4-argon"), "gemini-signed": ("gemini-4-argon", "claude-opus-5-5"),
}  # fmt: skip
"""What works and who advises; OpenCode speaks Messages to one vendor and Responses to the other. Gemini 4 refuses a call without
its signature."""

ASK = Call("consult_advisor", {"question": "Which sign is wrong?", "focus": "calc.py"})
RED = "printf '\\n==== short test summary info ====\\nFAILED test_calc.py::test_add\\n==== 1 failed in 0.01s ====\\n'; exit 1"


def script(kind: str) -> Script:
    """The working model's side: it asks for advice alone, or beside a tool of the client's, or fails its tests time and again."""

    def answer(request: Incoming) -> Reply:
        if "asked for advice" in request.system:
            return say(ADVICE)
        offered = "consult_advisor" in request.tools
        step = request.step - (1 if kind == "alone" and offered and request.step else 0)
        if kind == "alone" and offered and not request.step:
            return say(Thinking("unsure"), "I ask first.", ASK)
        if kind == "hard" and step < 4:
            return say(f"Try {step}.", *_used(request, "run", command=RED))
        if step == (4 if kind == "hard" else 1):
            return say("I mend it.", *_used(request, "write", path="calc.py", text=scenarios.MENDED))
        if step > (4 if kind == "hard" else 1):
            return say("Done.")
        asking = [ASK] if kind == "beside" and offered else []
        return say("I look.", *asking, *_used(request, "run", command="python3 test_calc.py"))

    return Housekeeping(answer)


def _used(request: Incoming, purpose: str, **values: str) -> list[Call]:
    call = use(request, purpose, **values)  # type: ignore[arg-type]
    return [call] if call is not None else []


async def advised(client: str, kind: str, folder: Path, flags: Sequence[str] = (), **env: str) -> Result:
    """Two prompts, the second in a process of its own."""
    model, adviser = PAIRS[client]
    mode = "push" if kind == "hard" else "pull"
    settings = f'failure_usd = 500.0\n[advisor]\nmodel = "{adviser}"\nmode = "{mode}"\nbudget_usd = 2.0\n'

    async def play(trip: Trip) -> None:
        trip.env |= env
        await trip.say("Mend calc.py, please.", *flags)
        await trip.say("Thanks. And now?", *flags, resume=True)

    return await journey(client.partition("-")[0], model, play, folder / "trip", script=script(kind), settings=settings)


CELLS = [(c, k) for c in PAIRS for k in ("alone", "beside", "hard") if (c, k) != ("gemini-signed", "hard")]
"""Opus is so little stronger than Gemini 4 that advice is not worth pushing."""


@pytest.mark.parametrize(("client", "kind"), CELLS)
async def test_advice_reaches_the_work_and_no_cache_is_lost(
    client: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "fake-key")  # for an advisor of another vendor than the client's
    result = await advised(client, kind, tmp_path)
    assert result.codes == [0, 0], result.output[-2_000:]
    assert result.files["calc.py"] == scenarios.MENDED
    asked = [event for event in result.events if isinstance(event, Advised)]
    how = "push" if kind == "hard" else "pull"
    assert asked and {(event.how, event.outcome) for event in asked} == {(how, "given")}
    work = [r for r in result.log if r.purpose == "main" and r.bill is not None and "asked for advice" not in json.dumps(r.json)]
    assert all(record.status == 200 for record in work) and ADVICE in json.dumps(work[-1].json)
    for before, now in zip(work, work[1:], strict=False):
        assert before.bill is not None and now.bill is not None
        assert now.bill.read >= 0.92 * before.bill.prompt, "gpt-5.5 counts prefixes in steps of 512 tokens"


EDGES: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "codex": (("-c", "model_auto_compact_token_limit=14000"), {}),
    "claude": ((), {"CLAUDE_CODE_AUTO_COMPACT_WINDOW": "200000", "CLAUDE_AUTOCOMPACT_PCT_OVERRIDE": "12"}),
}
"""How a user sets where the history is compacted: above the prompts here (10,500 and 16,500 tokens), below two of them."""


@pytest.mark.parametrize("client", list(EDGES))
async def test_an_answer_of_two_parts_is_not_taken_for_a_context_twice_as_large(client: str, tmp_path: Path) -> None:
    flags, env = EDGES[client]
    result = await advised(client, "alone", tmp_path, flags, **env)
    assert result.codes == [0, 0], result.output[-2_000:]
    assert {e.outcome for e in result.events if isinstance(e, Advised)} == {"given"}
    assert not [record for record in result.log if record.purpose == "compaction"]
    prompts = [record.bill.prompt for record in result.log if record.purpose == "main" and record.bill is not None]
    assert max(prompts) < (14_000 if client == "codex" else 21_600) < 2 * max(prompts), "the limit tells the two apart"
