"""What was resolved by which config: marks, then the check's word, then what others report; the rest is unknown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pointsman.core.events import Checked
from pointsman.core.tally import tally
from pointsman.core.timeline import Timeline
from samples import SONNET, Story


def outcome(story: Story) -> str:
    (row,) = tally(Timeline(story.events).sessions.values()).solved.values()
    return "resolved" if row.resolved else "unresolved" if row.unresolved else "unknown"


@pytest.mark.parametrize(("signals", "said"), [
    ((), "unknown"), (("check_passed",), "resolved"), (("commit",), "resolved"), (("commit", "revert"), "unresolved"),
    (("check_failed",), "unresolved"), (("check_unsure",), "unknown"), (("interrupt",), "unknown"),
])
def test_commits_and_an_embedders_own_check_count_where_no_check_of_ours_ran(signals: tuple[str, ...], said: str) -> None:
    story = Story("s").turn()
    for kind in signals:
        story.signal(kind)
    assert outcome(story) == said


def test_a_mark_comes_before_a_check_and_a_check_before_a_commit() -> None:
    story = Story("s").turn()
    failed = Checked(story.now, "s", "pytest -q", "check_failed", "1 newly failing", 2.0, turn=1, task=1, config=SONNET)
    story.events.append(failed)
    story.signal("check_failed").signal("commit")
    assert outcome(story) == "unresolved"
    story.events.append(replace(failed, verdict="check_unsure"))
    assert outcome(story) == "unresolved", "the last clear word"
    assert outcome(story.mark(1, "good")) == "resolved"
