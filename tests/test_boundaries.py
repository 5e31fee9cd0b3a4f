"""Every promise made per task, run again with the boundaries one turn early and one turn late.

A boundary is a guess (``core.boundaries``). Late: the person has begun something else in few words, and the next prompt is the
one that shows it. Early: the person has described more of the same at length. What is promised must hold either way.
"""

from __future__ import annotations

import pytest

from playbook import Play, check, pin, result, turn
from pointsman import Settings, load_book
from pointsman.core.book import Book
from pointsman.core.events import Checked

WORK = "Make the parser faster for large files, please."
SAME = "And the tokens of the parser too."
OTHER = (
    "The upload dialog of the web client loses its state when the window is resized. Keep the chosen folder and the progress "
    "bar in the store, show an explanation under the button while the upload waits for the network, and write a story for it."
)
MORE = (
    "Besides, whenever somebody opens an archive from the menu, measure how long reading its directory takes on a slow disk, "
    "write the figures into the profile, and draw them as a histogram in the developer panel beside the memory usage."
)
SMALL = "Now the menu colours, please."
SHIFTS = {
    "on time": [WORK, SAME, OTHER, SMALL],  # the third prompt begins the second task, and is seen
    "late": [WORK, SAME, SMALL, OTHER],  # the third begins it in few words; the fourth is seen
    "early": [WORK, OTHER, MORE, SMALL],  # the second is more of the same, at length: seen one turn too soon
}
SEEN_AT = {"on time": [3], "late": [4], "early": [2, 3]}
"""The turns at which a new task is seen."""


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book()


def settings() -> Settings:
    return Settings(check=True, consent_up=True, failure_usd=3)


@pytest.mark.parametrize("shift", SHIFTS)
def test_boundaries_are_seen_where_the_table_says(book: Book, shift: str) -> None:
    play, seen = Play(book, settings(), model="sonnet"), []
    for n, prompt in enumerate(SHIFTS[shift], 1):
        play >> turn(prompt)
        if n > 1 and play.decision.place.new_task:
            seen.append(n)
        play >> result("ok")
    assert seen == SEEN_AT[shift]


@pytest.mark.parametrize("shift", SHIFTS)
def test_an_escalation_holds_until_a_task_is_seen_and_never_past_it(book: Book, shift: str) -> None:
    """Sticky from the failed check on; released at the boundary that is seen, wherever that lies."""
    play = Play(book, settings(), model="sonnet")
    play >> turn(SHIFTS[shift][0]) >> result("ok") >> check(False)
    strong: str | None = None
    for n, prompt in enumerate(SHIFTS[shift][1:], 2):
        play >> turn(prompt)
        decision = play.decision
        if decision.place.new_task:
            assert decision.reason not in ("sticky", "escalate"), f"turn {n}: released with its task"
            strong = None
        elif decision.reason == "escalate":
            strong = decision.chosen.model
        elif strong is not None:
            assert (decision.chosen.model, decision.reason) == (strong, "sticky"), f"turn {n}: held within its task"
        play >> result("ok")
        if strong is not None:
            assert play.decision.chosen.model == strong
    reasons = [route.decision.reason for route in play.routes]
    assert ("escalate" in reasons) == (shift != "early"), "a boundary seen too soon lets the failure of its task go"
    assert reasons.count("sticky") >= {"on time": 1, "late": 3, "early": 0}[shift]
    assert play.router.sessions[play.session].lanes["main"].sticky is None


@pytest.mark.parametrize("shift", SHIFTS)
def test_a_new_failure_after_a_shifted_boundary_is_acted_on_again(book: Book, shift: str) -> None:
    play = Play(book, settings(), model="sonnet")
    acted = []
    for prompt in SHIFTS[shift]:
        play >> turn(prompt) >> result("ok") >> check(False)
        before = play.router.sessions[play.session]
        assert play.decision.chosen in before.failed, "what failed is known to have failed, whatever the task is counted as"
        acted.append(play.decision.reason)
        assert len(before.failed) <= len(acted), "each check that failed counts once"
    assert play.router.sessions[play.session].task <= len(SHIFTS[shift])


@pytest.mark.parametrize("retries", [0, 1, 2])
@pytest.mark.parametrize("shift", SHIFTS)
def test_a_failed_check_never_sends_the_agent_on_more_often_than_allowed(book: Book, shift: str, retries: int) -> None:
    """At most ``retries`` times between two boundaries; and what it sends begins no task, so it cannot allow itself more."""
    play, sent, tasks = Play(book, settings(), model="opus"), 0, 0
    for prompt in SHIFTS[shift]:
        play >> turn(prompt) >> result("ok")
        tasks = play.router.sessions[play.session].task
        for n in range(retries + 3):
            play.now += 9
            event = Checked(play.now, play.session, "tests", "check_failed", "1 failed", 2.0, sent_back=True)
            back = play.router.checked(event, retries=retries).sent_back
            sent += back
            if not back:
                break
            feedback = f"The check failed, run {n}. {OTHER} {MORE}"
            play >> turn(feedback, pause=1.0) >> result("ok")
            assert play.router.sessions[play.session].task == tasks, "the check's own words are no person's"
    assert sent <= retries * tasks


@pytest.mark.parametrize("shift", SHIFTS)
def test_a_pin_for_a_task_ends_where_its_task_is_seen_to_end_and_says_so_first(book: Book, shift: str) -> None:
    play = Play(book, settings(), model="sonnet")
    play >> turn(SHIFTS[shift][0]) >> result("ok") >> pin("opus", "task")
    pinned = True
    for prompt in SHIFTS[shift][1:]:
        play >> turn(prompt)
        decision, ended = play.decision, play.router.sessions[play.session].pin is None
        if pinned:
            assert decision.reason == "pin" and decision.chosen.model == play.named("opus")
            assert ended == any("ends" in notice for notice in decision.notices), "never dropped in silence"
            pinned = not ended
        else:
            assert decision.reason != "pin"
        play >> result("ok")
    assert not pinned


@pytest.mark.parametrize("shift", SHIFTS)
def test_up_moves_never_cost_a_task_more_than_its_cap_wherever_its_boundaries_are_seen(book: Book, shift: str) -> None:
    """The cap holds between two boundaries that are seen, so a boundary too many costs one cap at most."""
    cap = 0.3
    play = Play(book, Settings(check=True, consent_up=True, failure_usd=50.0, up_cap_usd=cap), model="sonnet")
    spent: dict[int, float] = {}
    moved, ended, step = set[int](), set[int](), 0.0
    for prompt in SHIFTS[shift]:
        play >> turn(prompt)
        for n in range(60 if play.decision.chosen.model != play.asked else 1):
            play >> result(f"ok {n}")
            session = play.router.sessions[play.session]
            spent[session.task] = session.extra
            step = max(step, *[row.run_usd or 0.0 for row in play.decision.candidates])
            if play.decision.reason == "budget":
                ended.add(session.task)
            if play.decision.chosen.model != play.asked:
                assert session.task not in ended, "whom the cap sent back stays back"
                moved.add(session.task)
        play >> check(False)
    assert moved and bool(ended) == (shift == "late"), "a failed check leads up; the longest task reaches its cap"
    assert all(usd <= cap + step for usd in spent.values()), "one request over the cap at most"
    assert len(spent) == len(SEEN_AT[shift]) + 1


@pytest.mark.parametrize("shift", SHIFTS)
def test_what_failed_is_forgotten_with_the_task_that_is_seen_to_end(book: Book, shift: str) -> None:
    """And not before: no config that a check refused counts as untried within what is seen as one task."""
    play, failed = Play(book, settings(), model="sonnet"), 0
    for prompt in SHIFTS[shift]:
        play >> turn(prompt)
        failed = 0 if play.decision.place.new_task else failed
        assert len(play.router.sessions[play.session].failed) == failed
        play >> result("ok") >> check(False)
        failed += 1


@pytest.mark.parametrize("shift", SHIFTS)
def test_protected_work_is_held_while_its_task_lasts_and_whatever_touches_it_again(book: Book, shift: str) -> None:
    """A boundary too soon lets go what was touched before it, and the first request that touches it again brings it back."""
    play = Play(book, Settings(profile="saver", failure_usd=0.0), model="opus")
    held = False
    for n, prompt in enumerate(SHIFTS[shift], 1):
        play >> turn(prompt)
        held = held and not play.decision.place.new_task
        assert (play.decision.chosen.model == play.asked) == held, f"turn {n}"
        if n in (1, 3):  # what each of the two tasks really does
            play >> result("edited", tool="Edit", given={"file_path": f"/w/db/migrations/{n}.sql"})
            held = True
        play >> result("ok")
        assert (play.decision.chosen.model == play.asked) == held, f"turn {n}"
        assert held == any(rule.name.startswith("protect") for rule in play.decision.rules)


@pytest.mark.parametrize("shift", SHIFTS)
def test_what_no_check_sees_is_the_asked_models_at_the_next_free_point_of_its_task(book: Book, shift: str) -> None:
    """Documents were edited: the next turn of the task is of documents. A boundary too soon makes it work again; no later one."""
    guarded = Settings(profile="balanced", check=True, failure_usd=0.2, pool=("haiku", "opus"))
    play = Play(book, guarded, model="opus")
    for n, prompt in enumerate(SHIFTS[shift], 1):
        play >> turn(prompt, pause=1_200)
        new = n == 1 or play.decision.place.new_task
        assert (play.decision.chosen.model == play.asked) == (not new), f"turn {n}"
        play >> result("edited", tool="Edit", given={"file_path": "/w/docs/guide.md"})
