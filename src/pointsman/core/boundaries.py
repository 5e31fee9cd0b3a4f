"""Where a new task begins: at a prompt that is about something else. No word is understood; what counts is form and overlap.

Theory of operation. A start of its own (``/clear``), or a prompt after a check that passed, begins a task. For other prompts
five signs are added up: how long the prompt is (a new goal has to be described, a reply does not), how many of its words
neither the last two prompts nor the answers to them have (as bits, so in any language; short prompts hardly count), a pause of
more than an hour, a commit since the last prompt, and against it: that the prompt carries a failure, quotes, or asks again,
or that the last turn was only talk. It will be wrong now and then, one turn early or late; what is promised per task
must hold up under that.

Weights: a logistic fit to 28 beginnings among 160 prompts after the first of 34 sessions (24 of Claude Code, entireio/cli; 10 of
Codex, EntityProcess/agentv; both MIT), labelled by hand, rounded. Leaving each session out in turn the fit ranks with AUC .77.
"""

from __future__ import annotations

from math import log

from pointsman.core.messages import Message
from pointsman.core.progress import asks_again
from pointsman.core.session import Lane, Session
from pointsman.core.types import HOUR

TASK_GAP_S = float(HOUR)
"""A pause that speaks for a new task: 2.8 % of real gaps are longer (DECISION.md 1)."""

SHORT = 25
"""A prompt of fewer characters ("continue", "yes, please do") goes on, whatever else holds."""

USUAL = 60.0
LONGER, NEW_WORDS, PAUSED, COMMITTED, COMPLAINS, TALKED, NEEDED = 0.7, 1.2, 1.5, 0.6, -2.2, -0.8, 1.0
"""Weights in logits: per e-fold of characters over ``USUAL``, per share of new words above ``EXPECTED``, and of the yes-or-no
signs; ``NEEDED``: the sum from which a task begins, at a probability of about 30 % (F1 is best there)."""

EXPECTED, ENOUGH = 0.6, 10
"""The share of new words in a prompt that goes on, and the number of words from which the share counts in full."""

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
    commits = lane.progress.commits + any(call.kind == "commit" for message in new for call in message.calls)
    committed = commits or any(kind == "commit" for ts, kind in session.signals if ts > lane.last_start)
    talked = gap_s <= TASK_GAP_S and not lane.progress.calls and not any(message.calls for message in new)
    sum_ = (
        LONGER * log(prompt.said / USUAL) + _novelty(prompt, lane, new) + PAUSED * (gap_s > TASK_GAP_S)
        + COMMITTED * bool(committed) + COMPLAINS * complains + TALKED * talked
    )  # fmt: skip
    return sum_ > NEEDED


def sent_on(session: Session, lane: Lane, gap_s: float) -> bool:
    """Whether a failed check has just sent the agent on by itself: the words that come next are the check's, no person's."""
    return session.sent_at > lane.last_start and lane.last_start + gap_s - session.sent_at < AT_ONCE_S


def _complains(prompt: Message, lane: Lane) -> bool:
    """Whether the prompt is about what was just done: it carries a failure, quotes, or asks the same again."""
    return "pasted_failure" in prompt.facts or "quotes" in prompt.facts or asks_again(prompt, lane.progress)


def _novelty(prompt: Message, lane: Lane, new: tuple[Message, ...]) -> float:
    """What the words say: more that are new than usual speak for a new task, fewer against it."""
    words = int(prompt.sketch, 16) if prompt.sketch else 0
    known = lane.progress.words[0] | lane.progress.words[1]
    for message in new:
        if message.kind == "assistant" and message.sketch:
            known |= int(message.sketch, 16)
    count = words.bit_count()
    if not count or not known:
        return 0.0
    by_chance = known.bit_count() / SKETCH_BITS
    shared = max(0.0, ((words & known).bit_count() / count - by_chance) / (1.0 - by_chance))
    return NEW_WORDS * (1.0 - shared - EXPECTED) * min(1.0, count / ENOUGH)


def _passed(session: Session, lane: Lane) -> bool:
    """Whether the check's last word on the lane's latest work was that it passes: its goal is reached."""
    said = [kind for ts, kind in session.signals if ts > lane.last_start and kind in ("check_passed", "check_failed")]
    return bool(said) and said[-1] == "check_passed"
