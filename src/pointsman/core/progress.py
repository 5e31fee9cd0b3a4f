"""How a lane's work goes, from digests alone: what was edited, run, repeated, taken back, and what the person did next.

Theory of operation. ``after`` folds the messages that a request adds into the lane's ``Progress`` and says what evidence they
hold, each kind at most once per request. It is the same function in ``decide`` (which needs the evidence) and in ``evolve``
(which keeps the progress), so live state is the fold of the ledger. Nothing here looks at words: what counts is which calls
were made and made again, whether tests ran after the last edit and what they reported, and what the next prompt did: it came
after an interrupt, said nearly the same again, carried a failure that a tool printed, quoted, rewound, or simply went on.

Report lines count only where something was run: a file that is read may hold anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pointsman.core.messages import Call, CallKind, Message
from pointsman.core.record import record
from pointsman.core.types import Place, Request

Evidence = Literal[
    "tool_error",
    "tests_failed",  # after an edit of this task
    "tests_red",  # before any edit: the task began with it
    "tests_passed",  # after an edit
    "tests_green",  # before any
    "type_error",
    "lint_error",
    "repeated",  # the same call again, nothing edited in between
    "alternating",  # two calls in turn, twice
    "reverted",  # an edit undone by its reverse, or by git
    "grown",  # the turn has changed many lines
    "todo",  # the agent keeps a list: the work is long
    "planning",  # plan mode
    "corrected",  # the next prompt carries a failure, or quotes what was said
    "reasked",  # the next prompt says nearly the same again
    "rewound",  # the person went back and asked otherwise
    "interrupt",
    "unrun",  # the turn ended with edits that no test, check or command has run on
    "ended_red",  # the turn ended while its last test report was a failure
    "accepted",  # work was done and the next prompt goes on: no sign of trouble
    "committed",  # what was edited is committed
    "question",  # only a question so far
    "praise",
]

RUNS: frozenset[CallKind] = frozenset(("run", "test", "check", "commit", "agent", "other"))
"""Calls whose output may report on tests."""

FREE: frozenset[CallKind] = frozenset(("other", "todo", "agent", "ask", "plan"))
"""Calls that are made again for good reason."""

TRAIL, RECENT, UNDOABLE, FILES = 4, 12, 16, 16
GROWN = (150, 600, 2_400)
"""Lines changed in one turn at which the diff counts as grown: each a further sign. 150 is about the mean size of a reviewed
change (Google's engineering practices call 100 lines reasonable and 1,000 too large)."""

REASKED = 0.6
"""Share of the words of two prompts that are the same, from which the second is the first asked again."""

REASK_WORDS = 3
"""A prompt of fewer different words is too short to be told from another."""

FAILED: frozenset[Evidence] = frozenset(("tool_error", "tests_failed", "tests_red", "type_error", "lint_error"))
"""Evidence that something a tool did failed."""

PUSHED_BACK: frozenset[Evidence] = frozenset(("interrupt", "corrected", "reasked", "rewound"))
"""Evidence that the person was not content with how a turn went."""

FADES = 0.9
"""How much of what is known of a person's answers each further turn leaves: the last ten count (assumed)."""


@record(frozen=True, slots=True)
class Progress:
    """One lane's work so far. Counts are of the turn, unless the name says otherwise.

    ``calls``: tool calls. ``unrun``: edits since something last ran on them. ``red``: the last test report is a failure.
    ``edited``: the task has edits. ``trail``: hashes of the latest calls; ``since``: of those since the last edit.
    ``undoable``: (old, new) of the latest edits. ``files``: those the task has edited. ``asked``: sketches of the latest
    prompts. ``broken``: the turn began with a failure: in its prompt, or in tests before its first edit. ``test_edits``: edits
    of files of tests, ``doc_edits``: of documents. ``unchecked``: what the turn is about where no check sees its result (a
    question, a review, documents), by its prompt and the turn before. ``failures``: requests of the turn before which something
    failed.
    ``words``: words of this turn's and of the last turn's prompt and answer, as bits.
    ``answered``: turns of the session that the person has answered, and ``pushed``: of those, how many they broke off or
    corrected; earlier ones count less and less.
    """

    requests: int = 0
    calls: int = 0
    reads: int = 0
    edits: int = 0
    test_edits: int = 0
    doc_edits: int = 0
    tests: int = 0
    diffs: int = 0
    commits: int = 0
    lines: int = 0
    unrun: int = 0
    red: bool = False
    todo: bool = False
    plan: bool = False
    broken: bool = False
    edited: bool = False
    committed: bool = False
    trail: tuple[int, ...] = ()
    since: tuple[int, ...] = ()
    undoable: tuple[tuple[int, int], ...] = ()
    files: tuple[int, ...] = ()
    asked: tuple[int, ...] = ()
    words: tuple[int, int] = (0, 0)
    failures: int = 0
    answered: float = 0.0
    pushed: float = 0.0
    unchecked: str = ""


NOTHING = Progress()


def after(
    before: Progress, request: Request, place: Place, stop: str, sent_on: bool = False
) -> tuple[Progress, tuple[Evidence, ...]]:  # fmt: skip
    """The progress once ``request`` is made, and the evidence it shows. ``stop``: how the lane's last request ended.

    ``sent_on``: a failed check speaks, no person. Housekeeping, retries and summaries of the history show nothing.
    """
    if request.purpose != "turn" or place.relation == "retry":
        return before, ()
    work = _Work(before)
    if place.relation != "compacted":
        for message in added(request, place, before):
            work.take(message)
    if place.new_turn:
        work.close(_prompt(request, place), place, stop, rewound(request.messages[place.kept :], place), sent_on)
    elif place.new_task:
        work.edited = False
    elif work.seen and not FAILED.isdisjoint(work.seen):
        work.failures += 1
    work.requests += 1
    return work.frozen(), tuple(work.seen)


def added(request: Request, place: Place, before: Progress = NOTHING) -> Iterator[Message]:
    """What the last answer and its tools added: from the last answer on. What stands before it was said before and rewritten.

    aider, which has no tools, puts its file messages behind the last answer: there it is what follows the last prompt.
    """
    new = request.messages[place.kept :]
    end = len(new)
    while end and new[end - 1].kind != "assistant":
        end -= 1
    start = end
    while start and new[start - 1].kind == "assistant":
        start -= 1
    if place.relation == "fork":
        asked = [i for i in range(end) if new[i].kind == "prompt" and new[i].sketch and int(new[i].sketch, 16) in before.asked]
        if asked and all(message.kind != "tool_result" for message in new[asked[-1] :]):
            start = asked[-1] + 1
    return iter(new[start:])


def _prompt(request: Request, place: Place) -> Message | None:
    """The newest words of the person among what is new."""
    return next((m for m in reversed(request.messages[place.kept :]) if m.kind == "prompt"), None)


def rewound(new: tuple[Message, ...], place: Place) -> bool:
    """Whether the person went back: history is gone, and nothing but ``new`` words stands there. Clients that write their history
    anew put it back."""
    return place.relation == "fork" and place.kept > 0 and all(m.kind != "assistant" for m in new)


class _Work:
    """A ``Progress`` while it changes, and the evidence seen on the way."""

    __slots__ = (*Progress.__dataclass_fields__, "ran", "seen")

    def __init__(self, p: Progress) -> None:
        self.requests, self.calls, self.reads, self.edits, self.tests = p.requests, p.calls, p.reads, p.edits, p.tests
        self.test_edits, self.doc_edits, self.broken, self.unchecked = p.test_edits, p.doc_edits, p.broken, p.unchecked
        self.diffs, self.commits, self.lines, self.unrun, self.red = p.diffs, p.commits, p.lines, p.unrun, p.red
        self.todo, self.plan, self.edited, self.committed = p.todo, p.plan, p.edited, p.committed
        self.trail, self.since, self.undoable, self.files = p.trail, p.since, p.undoable, p.files
        self.asked, self.words, self.failures, self.answered, self.pushed = p.asked, p.words, p.failures, p.answered, p.pushed
        self.seen: dict[Evidence, None] = {}
        self.ran: bool | None = None

    def frozen(self) -> Progress:
        return Progress(
            self.requests, self.calls, self.reads, self.edits, self.test_edits, self.doc_edits, self.tests, self.diffs,
            self.commits, self.lines, self.unrun, self.red, self.todo, self.plan, self.broken, self.edited, self.committed,
            self.trail, self.since, self.undoable, self.files, self.asked, self.words, self.failures, self.answered, self.pushed,
            self.unchecked,
        )  # fmt: skip

    def take(self, message: Message) -> None:
        """One message of what is new: calls, then what came of them."""
        if message.calls:
            ran = bool(self.ran)
            for call in message.calls:
                self.call(call)
                ran = ran or call.kind in RUNS
            self.ran = ran
        if message.sketch and message.kind == "assistant":
            self.words = (self.words[0] | int(message.sketch, 16), self.words[1])
        if message.facts and message.kind != "assistant":
            self.facts(message)

    def call(self, call: Call) -> None:
        """Count a call; tell a repeated one, two in turn, an edit taken back."""
        kind, same = call.kind, call.same
        if same:
            self.calls += 1
            trail = (*self.trail[-TRAIL + 1 :], same)
            if len(trail) == TRAIL and trail[0] == trail[2] != trail[1] == trail[3]:
                self.seen["alternating"] = None
            self.trail = trail
        if kind == "edit":
            self.edit(call)
            return
        if kind == "read":
            self.reads += 1
        elif kind == "test":
            self.tests, self.unrun = self.tests + 1, 0
        elif kind in ("check", "run"):
            self.unrun = 0
        elif kind == "diff":
            self.diffs += 1
        elif kind == "commit":
            self.commits += 1
            if self.edited and not self.committed:
                self.seen["committed"] = None
            self.committed = True
        elif kind == "todo" and not self.todo:
            self.todo = True
            self.seen["todo"] = None
        elif kind == "undo" and self.edited and not self.committed and (not call.files or set(call.files) & set(self.files)):
            self.seen["reverted"] = None
        if same and kind not in FREE:
            if same in self.since:
                self.seen["repeated"] = None
            self.since = (*self.since[-RECENT + 1 :], same)

    def edit(self, call: Call) -> None:
        """Count an edit. One that puts back what another replaced is a revert; one made twice did not do it."""
        self.edits, self.unrun, self.since = self.edits + 1, self.unrun + 1, ()
        grown = self.lines + call.lines
        if grown >= GROWN[0] and any(self.lines < level <= grown for level in GROWN):
            self.seen["grown"] = None
        self.lines, self.edited, self.committed = grown, True, False
        self.test_edits, self.doc_edits = self.test_edits + call.tests, self.doc_edits + call.docs
        if call.old:
            change = (call.old, call.new)
            if (call.new, call.old) in self.undoable:
                self.seen["reverted"] = None
            elif change in self.undoable:
                self.seen["repeated"] = None
            self.undoable = (*self.undoable[-UNDOABLE + 1 :], change)
        if call.files and call.files[0] not in self.files:
            self.files = (*call.files, *self.files)[:FILES]

    def facts(self, message: Message) -> None:
        """What tools reported. A failing test is no generic error besides."""
        facts, seen = message.facts, self.seen
        told = False
        if self.ran is not False:  # None: calls that we cannot see
            if "tests_failed" in facts:
                seen["tests_failed" if self.edited else "tests_red"] = None
                self.red = told = True
                self.broken = self.broken or not self.edits
            elif "tests_passed" in facts:
                seen["tests_passed" if self.edited else "tests_green"] = None
                self.red = False
            if "tests_failed" in facts or "tests_passed" in facts:
                self.unrun = 0
        if "type_error" in facts and (self.ran is not False or self.edits):
            seen["type_error"], told = None, True
        if "lint_error" in facts and self.ran is not False:
            seen["lint_error"], told = None, True
        if "tool_error" in facts and not told and "interrupt" not in facts:
            seen["tool_error"] = None
        if "interrupt" in facts:
            seen["interrupt"] = None
            seen.pop("tool_error", None)

    def close(self, prompt: Message | None, place: Place, stop: str, rewound: bool, sent_on: bool) -> None:
        """A person spoke: what that says of the turn before, and the new turn's beginning."""
        worked, seen, facts = self.calls > 0, self.seen, prompt.facts if prompt else ()
        if stop in ("hangup", "cut"):
            seen["interrupt"] = None
        if rewound and worked:
            seen["rewound"] = None
        if worked and ("pasted_failure" in facts or "quotes" in facts):
            seen["corrected"] = None
        sketch = int(prompt.sketch, 16) if prompt and prompt.sketch else 0
        if sketch and any(_alike(sketch, old) for old in self.asked) and "rewound" not in seen:
            seen["reasked"] = None
        trouble = not PUSHED_BACK.isdisjoint(seen)
        if self.requests and not sent_on:
            self.answered, self.pushed, self.failures = FADES * self.answered + 1.0, FADES * self.pushed + trouble, 0
        if worked and not trouble:
            if self.edits and self.red:
                seen["ended_red"] = None
            elif self.edits and self.unrun and not self.commits:
                seen["unrun"] = None
            if not place.new_task or self.committed or not self.red:
                seen["accepted"] = None
        if "praise" in facts:
            seen["praise"] = None
        self.begin(sketch, facts, place, sent_on)

    def begin(self, sketch: int, facts: tuple[str, ...], place: Place, sent_on: bool) -> None:
        """Counts of the turn start anew; those of the task where a new one begins."""
        self.unchecked = "" if sent_on else self._unchecked(facts, place)
        if "question" in facts and "pasted_failure" not in facts:
            self.seen["question"] = None
        self.plan = "plan_mode" in facts
        if self.plan:
            self.seen["planning"] = None
        self.broken = "pasted_failure" in facts
        self.requests = self.calls = self.reads = self.edits = self.tests = self.diffs = self.commits = self.lines = 0
        self.test_edits = self.doc_edits = 0
        self.todo, self.since, self.trail = False, (), ()
        if place.new_task:
            self.edited = self.committed = self.red = False
            self.undoable, self.files, self.unrun = (), (), 0
        if sketch:
            self.asked = (sketch, *self.asked)[:3]
        self.words = (sketch, self.words[0])

    def _unchecked(self, facts: tuple[str, ...], place: Place) -> str:
        """What the turn that begins is about, where no check will see what comes of it."""
        if "review" in facts:
            return "a review"
        if "question" in facts and "pasted_failure" not in facts:
            return "a question"
        return "documents" if not place.new_task and 0 < self.edits == self.doc_edits else ""


def asks_again(prompt: Message, progress: Progress) -> bool:
    """Whether a prompt says nearly the same as one of the latest."""
    return bool(prompt.sketch) and any(_alike(int(prompt.sketch, 16), old) for old in progress.asked)


def _alike(one: int, other: int) -> bool:
    """Whether two sketches share most of their words."""
    both = one | other
    return one.bit_count() >= REASK_WORDS and (one & other).bit_count() >= REASKED * both.bit_count()
