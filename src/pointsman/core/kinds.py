"""What a turn is about, by simple visible rules on what was done in it: the first that applies.

    plan      the client is in plan mode, or the agent has only made a list of what to do
    commit    it commits, pushes or opens a pull request, and edits nothing after that
    debug     it edits, or is about to, while tests fail or the prompt carried a failure
    test      it runs tests without editing, or edits nothing but files of tests
    edit      it edits files
    review    it looks at changes and edits nothing
    explore   it uses other tools, and edits nothing
    chat      it uses no tools

A turn that has used no tool yet goes on with what its task was about before, unless it only asks a question.
"""

from __future__ import annotations

from pointsman.core.progress import NOTHING, Progress
from pointsman.core.session import Lane, Session
from pointsman.core.types import Place, Request, TaskKind

AFTER: dict[TaskKind, TaskKind] = {"plan": "edit", "commit": "edit"}
"""What a task goes on with after a plan, and after a commit."""


def kind_of(request: Request, place: Place, lane: Lane | None, progress: Progress) -> TaskKind | None:
    """The kind of the turn as far as it has come; ``progress`` with this request. None for what is no agent work."""
    if request.purpose != "turn" or place.kind == "side":
        return None
    p = progress
    if p.plan:
        return "plan"
    if not p.calls:
        return _unused(request, place, lane, p)
    if p.commits and p.committed or (p.commits and not p.edits):
        return "commit"
    if p.edits and (p.red or p.broken) or (p.red and p.tests):
        return "debug"
    if p.edits:
        return "test" if p.test_edits == p.edits else "edit"
    if p.tests:
        return "test"
    if p.diffs:
        return "review"
    return "plan" if p.todo and not p.reads else "explore"


def unchecked(progress: Progress, place: Place, session: Session, kind: TaskKind | None = None) -> str | None:
    """What the turn is about where no check sees its result (a question, a plan, a review, documents); None: one may.

    A question that turns into edits is work: files change, so that a check runs. A sub-agent works on the main lane's turn.
    ``kind``: of the turn; a review that was asked for in words is one by what was done in it, or in the turn before.
    """
    if place.kind != "main":
        main = session.lanes.get("main")
        progress = main.progress if main is not None else NOTHING
        kind = main.last_decision.kind if main is not None and main.last_decision is not None else None
    if progress.plan:
        return "a plan"
    if progress.edits != progress.doc_edits:
        return None
    return progress.unchecked or ("a review" if kind == "review" else None)


def _unused(request: Request, place: Place, lane: Lane | None, p: Progress) -> TaskKind:
    """A turn without a tool call so far."""
    if p.broken:
        return "debug"
    last = lane.last_decision.kind if lane is not None and lane.last_decision is not None else None
    asks = any(message.kind == "prompt" and "question" in message.facts for message in request.messages[place.kept :])
    return AFTER.get(last, last) if last is not None and not place.new_task and not asks else "chat"
