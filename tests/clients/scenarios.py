"""What the recorded sessions are about: a small repair, a new function, a correction, told by our own scripted provider.

Every text here is ours, so the recordings keep it. A dialogue is chosen by the user's words, not by counting prompts:
after a compaction the visible history begins anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pointsman.sandbox.incoming import Incoming
from pointsman.sandbox.reply import Call, Part, Reply, Text, say
from pointsman.sandbox.script import Housekeeping, Script, Step, Steps, answer
from pointsman.sandbox.tasks import Purpose, use, with_thinking

BROKEN = "def add(a, b):\n    return a - b\n"
MENDED = "def add(a, b):\n    return a + b\n"
GROWN = MENDED + "\n\ndef mul(a, b):\n    return a * b\n"
WRONG = MENDED + "\n\ndef mul(a, b):\n    return a + b\n"
TEST = '''import calc


def check(name, got, wanted):
    if got != wanted:
        raise SystemExit(f"FAILED {name}: got {got}, wanted {wanted}")


check("add", calc.add(2, 3), 5)
print("1 passed")
'''
TEST_TWO = TEST.replace('print("1 passed")', 'check("mul", calc.mul(2, 3), 6)\nprint("2 passed")')
FILES: Mapping[str, str] = {"calc.py": BROKEN, "test_calc.py": TEST, "README.md": "# calc\n\nA small example.\n"}

REPAIR = "The test fails: run python3 test_calc.py, find out why, and mend it."
GROW = "Now add mul(a, b) with a check of its own in test_calc.py."
CORRECT = "No, that is not what I asked for: say in the README what mul does, in one line."
LOOK = "Have an agent look at calc.py and tell me in one sentence whether add and mul are right."
LONG = "Explain slowly what calc.py does."
AFTER = "Stop explaining. Just run the tests once more."
THANKS = "Thanks. Is there anything left to do?"
README = FILES["README.md"] + "\n`mul(a, b)` multiplies two numbers.\n"

OUTPUTS = ("FAILED add: got -1, wanted 5", "FAILED mul: got 5, wanted 6", "1 passed", "2 passed", "Current diff of calc.py")
"""What the commands print."""

EXPLANATION = " ".join(
    f"Step {n}: calc.py is read line by line, and what each line does is said in plain words." for n in range(1, 60)
)


def own() -> list[str]:
    """Every text of ours that a client may send back."""
    prompts = (REPAIR, GROW, CORRECT, LOOK, ERRAND, LONG, AFTER, THANKS, "/compact")
    return [*prompts, *FILES.values(), MENDED, GROWN, WRONG, TEST_TWO, README, *OUTPUTS]


def lay_out(folder: Path) -> None:
    """Write the scenario's files into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")


def do(words: str, purpose: Purpose, thought: str = "", **values: str) -> Step:
    """A step that says ``words`` and uses the client's own tool for ``purpose``."""

    def step(request: Incoming) -> Reply:
        call = use(request, purpose, **values)
        parts: list[Part | str] = [Text(words)] if words else []
        if call is not None:
            parts.append(call)
        return with_thinking(request, thought, *parts) if thought else say(*parts)

    return step


RUN = do("", "run", command="python3 test_calc.py")


def write(name: str, text: str, words: str = "") -> Step:
    """A step that writes one file of the workspace."""
    return do(words, "write", path=name, text=text)


def read(name: str, words: str = "", thought: str = "") -> Step:
    """A step that reads one file of the workspace."""
    return do(words, "read", thought, path=name)


ERRAND = "Read calc.py and say whether add and mul are right."
ANSWERED = "The agent has answered: add and mul are right."


def reported(request: Incoming) -> Reply:
    """Codex starts an agent and goes on: there the answer has to be waited for."""
    call = use(request, "wait")
    return say("I wait for its answer.", call) if call is not None else say(ANSWERED)


AGENT = Steps(read("calc.py", "I read it."), "add adds and mul multiplies: both are right.")

DIALOGUE: Mapping[str, Step] = {
    REPAIR: Steps(
        do("I run the test first.", "run", "Run the failing test, then read the code.", command="python3 test_calc.py"),
        read("calc.py", "It subtracts, or the test is wrong. I read the code."),
        write("calc.py", MENDED, "add() subtracts: I mend it."), RUN,
        "add() returned a - b. It adds now, and the test passes: 1 passed.",
    ),
    GROW: Steps(
        read("calc.py", "I look at both files first."), read("test_calc.py"),
        write("calc.py", WRONG, "I add mul()."), write("test_calc.py", TEST_TWO, "Then its check."), RUN,
        read("calc.py", "The new check fails. I look at what I wrote.", "mul() adds: a slip of mine."),
        write("calc.py", GROWN, "mul() added instead of multiplying."), RUN, "mul(a, b) is there and checked: 2 passed.",
    ),
    CORRECT: Steps(
        read("README.md", "You are right. I read the README."), write("README.md", README, "One line on mul."),
        "The README says what mul does.",
    ),
    LONG: EXPLANATION,
    AFTER: Steps(RUN, "The tests pass."),
    THANKS: "Nothing is left: the tests pass and the README is up to date.",
    ERRAND: AGENT,
    LOOK: Steps(do("I hand this to an agent.", "agent", prompt=ERRAND), reported, ANSWERED),
}
"""The user's words to what the provider does about them."""

NUDGE_CHARS = 300
"""A prompt up to this length that is not ours is the client's own word to go on (Claude Code after a cut): so it does."""

GO_ON = Steps(RUN, "I went on from the summary, and the test passes.")
"""For a prompt that is not ours: the summary after a compaction in the middle of a turn."""


def dialogue(request: Incoming) -> Reply:
    """The reply that belongs to the newest words of the user; a client without tools (aider) gets edits in its answer."""
    if not request.tools and request.client in ("aider", "other"):
        return editing(request)
    if request.agent:
        return answer(AGENT, request)
    prompts = [text for _, text in reversed(request.users)]
    if len(request.prompt) > NUDGE_CHARS:
        prompts = prompts[:1]
    step = next((step for prompt in prompts for words, step in DIALOGUE.items() if words in prompt), GO_ON)
    return answer(step, request)


TOOL, ADVICE = "consult_advisor", "Look at the sign in calc.py before anything else."
"""The tool that a gateway offers the working model, and what the advisor says."""


def consulting(request: Incoming) -> Reply:
    """The dialogue of a model that asks for advice first, where there is somebody to ask."""
    if "asked for advice" in request.system:
        return say(ADVICE)
    told = [row for row in request.messages if ADVICE in str(row)]
    if TOOL in request.tools and not told:
        return say("I ask first.", Call(TOOL, {"question": "Which sign?", "focus": "calc.py"}))
    if told:
        request.__dict__["step"] = request.step - 1  # the round in which the advice came is not the client's
    return dialogue(request)


FAILING = do("", "run", command="printf '\\n===== 1 failed, 1 passed in 0.12s =====\\n'; exit 1")
STUBBORN = Steps(*[FAILING] * 5, write("calc.py", MENDED, "add() subtracts: I mend it."), RUN, "The test passes: 1 passed.")
"""A model that runs its failing tests again and again before it mends them."""


def stubborn(request: Incoming) -> Reply:
    """Work that goes in circles; an advisor that is asked about it has an answer."""
    return say(ADVICE) if "asked for advice" in request.system else answer(STUBBORN, request)


def stubborn_script() -> Script:
    """``stubborn``, with titles and summaries answered properly."""
    return Housekeeping(stubborn, title="Mend the failing test", summary=SUMMARY)


def consulting_script() -> Script:
    """``consulting``, with titles and summaries answered properly."""
    return Housekeeping(consulting, title="Mend the failing test", summary=SUMMARY)


def script() -> Script:
    """The dialogue, with titles and summaries answered properly."""
    return Housekeeping(dialogue, title="Mend the failing test", summary=SUMMARY)


SUMMARY = (
    "<analysis>\nThe test failed because add() subtracted; it was mended.\n</analysis>\n\n<summary>\n"
    "1. Primary request: mend the failing test of calc.py.\n2. Files: calc.py (add adds now), test_calc.py.\n"
    "3. Done: add() mended, 1 passed.\n4. Pending: what the user asks next.\n</summary>"
)

_EDITS: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    REPAIR: (("calc.py", BROKEN, MENDED),),
    GROW: (("calc.py", MENDED, GROWN), ("test_calc.py", TEST, TEST_TWO)),
    CORRECT: (("README.md", FILES["README.md"], README),),
}


def editing(request: Incoming) -> Reply:
    """For clients without tools (aider): edits in the form that the client's own prompt asks for."""
    for words, edits in _EDITS.items():
        if words in request.prompt:
            blocks = "SEARCH/REPLACE" in request.system
            return say("I change this.\n\n" + "\n".join(edit(name, old, new, blocks) for name, old, new in edits))
    return say("Nothing is left to do.")


def edit(name: str, old: str, new: str, blocks: bool) -> str:
    """One change in aider's form: a search/replace block, or the whole file."""
    if blocks:
        return f"{name}\n```python\n<<<<<<< SEARCH\n{old}=======\n{new}>>>>>>> REPLACE\n```\n"
    return f"{name}\n```\n{new}```\n"


def editing_script() -> Script:
    """The edits, with commit messages answered."""
    return Housekeeping(editing)
