"""Where a new task begins: at a prompt that is about something else. No word is understood; what counts is form and overlap.

Theory of operation. A start of its own (``/clear``), or a prompt after a check that passed, begins a task. For other prompts
signs are added up: how many different words it has (a new goal has to be described, a reply does not), how long the person was
away, how many of its words neither the last two prompts nor the answers to them have (as bits, so in any language), whether
the task has edits by now, a commit since the last prompt; and against it: that the prompt carries a failure, quotes, or asks
again, and that in the last turn the agent kept a list of what to do, or only talked. It will be wrong now and then, one turn
early or late; what is promised per task must hold up under that.

Weights: a logistic fit, rounded, to 50 beginnings among 496 prompts after the first of 86 sessions labelled by hand (24 of Claude
Code and 52 compact traces, entireio/cli; 10 of Codex, EntityProcess/agentv; all MIT). On 52 later sessions of entireio/cli (25
among 210 prompts) it ranks with AUC .85; taken as yes or no, F1 is .48 there (.32 to .48 wherever the line is drawn), and .82
with each session's first prompt: most new goals of a running session look, by their form, like one more remark on the old one.
"""

from __future__ import annotations

from math import log1p

from pointsman.core.messages import Message
from pointsman.core.progress import asks_again
from pointsman.core.session import Lane, Session
from pointsman.core.types import HOUR

TASK_GAP_S = float(HOUR)
"""A pause that speaks for a new task: 2.8 % of real gaps are longer (DECISION.md 1)."""

SHORT = 25
"""A prompt of fewer characters ("continue", "yes, please do") goes on, whatever else holds."""

WORDS, AWAY, PAUSED, NEW_WORDS, EDITED, COMMITTED = 0.55, 0.3, 0.7, 3.5, 0.4, 0.9
COMPLAINS, LISTED, TALKED, NEEDED = -3.5, -1.5, -0.7, 2.4
"""Weights in logits: per ten different words (of ``MOST`` at most), per e-fold of minutes away and for more than an hour, per
share of new words above the expected, and of the yes-or-no signs; ``NEEDED``: the sum from which a task begins. F1 is flat from
2.3 to 2.9, so it stands where a wholly new goal of twenty words is heard at once."""

MOST = 40
"""Different words from which a prompt is as good as long."""

EXPECTED, UNANSWERED, ENOUGH = 0.65, 0.8, 10
"""The share of new words in a prompt that goes on, the same where the words of the answers are not known, and the number of words
from which the share counts in full."""

AT_ONCE_S = 60.0
"""Seconds within which a client goes on by itself after its Stop hook told it to; a person who comes later speaks anew."""

SKETCH_BITS = 1_024
"""Bits of a sketch (``wire.prompts``)."""


def begins(session: Session, lane: Lane, new: tuple[Message, ...], gap_s: float) -> bool:
    """Whether the newest prompt among the ``new`` messages, ``gap_s`` seconds after the last request, begins a task."""
    if sent_on(session, lane, gap_s):
        return False
    prompt = next((message for message in reversed(new) if message.kind == "prompt"), None)
    complains = prompt is not None and _complains(prompt, lane)
    if _passed(session, lane) and not complains:
        return True
    if prompt is None or not prompt.said:
        return gap_s > TASK_GAP_S and not (prompt and "command" in prompt.facts)
    if prompt.said < SHORT:
        return False
    work = lane.progress
    commits = work.commits + any(call.kind == "commit" for message in new for call in message.calls)
    committed = commits or any(kind == "commit" for ts, kind in session.signals if ts > lane.last_start)
    paused = gap_s > TASK_GAP_S
    talked = not paused and not work.calls and not any(message.calls for message in new)
    sum_ = (
        _described(prompt, lane, new) + AWAY * log1p(max(0.0, gap_s) / 60.0) + PAUSED * paused
        + EDITED * work.edited + COMMITTED * bool(committed) + COMPLAINS * complains + LISTED * work.todo + TALKED * talked
    )  # fmt: skip
    return sum_ > NEEDED


def sent_on(session: Session, lane: Lane, gap_s: float) -> bool:
    """Whether a failed check has just sent the agent on by itself: the words that come next are the check's, no person's."""
    return session.sent_at > lane.last_start and lane.last_start + gap_s - session.sent_at < AT_ONCE_S


def _complains(prompt: Message, lane: Lane) -> bool:
    """Whether the prompt is about what was just done: it carries a failure, quotes, or asks the same again."""
    return "pasted_failure" in prompt.facts or "quotes" in prompt.facts or asks_again(prompt, lane.progress)


def _described(prompt: Message, lane: Lane, new: tuple[Message, ...]) -> float:
    """What the words say by their number, and by how many more or fewer of them are new than usual."""
    words = int(prompt.sketch, 16) if prompt.sketch else 0
    count, known, answered = words.bit_count(), lane.progress.words[0] | lane.progress.words[1], False
    for message in new:
        if message.kind == "assistant" and message.sketch:
            known, answered = known | int(message.sketch, 16), True
    described = WORDS * min(MOST, count) / 10.0
    if not count or not known:
        return described
    by_chance = known.bit_count() / SKETCH_BITS
    shared = max(0.0, ((words & known).bit_count() / count - by_chance) / (1.0 - by_chance))
    return described + NEW_WORDS * (1.0 - shared - (EXPECTED if answered else UNANSWERED)) * min(1.0, count / ENOUGH)


def _passed(session: Session, lane: Lane) -> bool:
    """Whether the check's last word on the lane's latest work was that it passes: its goal is reached."""
    said = [kind for ts, kind in session.signals if ts > lane.last_start and kind in ("check_passed", "check_failed")]
    return bool(said) and said[-1] == "check_passed"
