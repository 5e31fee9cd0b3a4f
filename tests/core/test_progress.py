"""What a lane's work shows: calls repeated, edits taken back, tests after edits, and what the person did next."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import count

import pytest

from pointsman.core.difficulty import PRIOR, pushed_back, update
from pointsman.core.features import SENSORS, SIGNALS, observe, sensors_of
from pointsman.core.kinds import kind_of
from pointsman.core.messages import Call, CallKind, Fact, Message
from pointsman.core.progress import NOTHING, Evidence, Progress, after
from pointsman.core.session import Lane, Session
from pointsman.core.types import Config, Place, Request, TaskKind
from pointsman.wire.prompts import sketch_of

NEXT = count(1)


def call(
    kind: CallKind, same: int = 0, old: int = 0, new: int = 0, lines: int = 1, files: tuple[int, ...] = (), **more: bool
) -> Call:  # fmt: skip
    return Call(kind, same or next(NEXT) + 1_000_000, files, old, new, lines, **more)


def answer(*calls: Call, words: str = "") -> Message:
    return Message(next(NEXT), "assistant", "assistant", 9, calls=calls, sketch=sketch_of(words) if words else "")


def result(*facts: Fact) -> Message:
    return Message(next(NEXT), "user", "tool_result", 9, facts=facts)


def prompt(text: str, *facts: Fact) -> Message:
    return Message(next(NEXT), "user", "prompt", 9, facts=facts, said=len(text), sketch=sketch_of(text))


@dataclass
class Work:
    """One lane at work. ``shown``: the evidence of its newest request."""

    progress: Progress = NOTHING
    messages: tuple[Message, ...] = ()
    shown: tuple[Evidence, ...] = ()
    stop: str = ""
    turn: int = 0
    places: list[Place] = field(default_factory=list)
    kinds: list[TaskKind | None] = field(default_factory=list)

    def send(
        self, *new: Message, relation: str = "continue", task: bool = False, kept: int | None = None, **more: object
    ) -> Work:  # fmt: skip
        opens = new[-1].kind == "prompt"
        self.turn += opens
        place = Place("s", "main", "main", relation, len(self.messages) if kept is None else kept, self.turn, 1,  # type: ignore[arg-type]
                      new_turn=opens, new_task=task, in_loop=not opens)  # fmt: skip
        self.messages = (*self.messages[: place.kept], *new)
        request = Request("messages", "/v1/messages", "m", messages=self.messages, **more)  # type: ignore[arg-type]
        self.progress, self.shown = after(self.progress, request, place, self.stop)
        lane = Lane("main", "main", requests=len(self.kinds)) if not self.kinds else None
        self.kinds.append(kind_of(request, place, lane, self.progress))
        self.stop = "final" if opens else "tool"
        return self


def work(first: str = "please make the parser faster") -> Work:
    return Work().send(prompt(first), relation="new", task=True)


def test_a_content_free_opener_shows_nothing_in_any_language() -> None:
    for words in ("hi", "hola", "привет", "继续", "続けて", "계속", "مرحبا", "weiter", "นี่"):
        assert work(words).shown == ()
    again = work("hi").send(answer(words="Hello! What shall we do?"), prompt("continue"))
    assert again.shown == (), "a turn without tools went neither well nor badly"


def test_the_same_call_counts_as_repeated_only_where_nothing_was_edited_in_between() -> None:
    run = call("test", 7)
    at = work().send(answer(run), result()).send(answer(run), result())
    assert at.shown == ("repeated",)
    at = work().send(answer(run), result()).send(answer(call("edit", old=1, new=2)), result()).send(answer(run), result())
    assert "repeated" not in at.shown, "tests run again after an edit are what one does"
    at.send(answer(call("todo", 9)), result()).send(answer(call("todo", 9)), result())
    assert at.shown == ()


def test_two_calls_in_turn_are_seen_although_files_change_in_between() -> None:
    a, b = call("edit", 1, old=1, new=2), call("test", 2)
    at = work().send(answer(a), result()).send(answer(b), result()).send(answer(a), result())
    assert "alternating" not in at.shown
    assert "alternating" in at.send(answer(b), result()).shown


def test_an_edit_put_back_or_taken_back_by_git_is_a_revert() -> None:
    at = work().send(answer(call("edit", old=5, new=6, files=(3,))), result())
    assert at.send(answer(call("edit", old=6, new=5, files=(3,))), result()).shown == ("reverted",)
    at = work().send(answer(call("edit", old=5, new=6, files=(3,))), result())
    assert "reverted" not in at.send(answer(call("undo", files=(4,))), result()).shown, "another file"
    assert "reverted" in at.send(answer(call("undo", files=(3,))), result()).shown
    assert work().send(answer(call("undo")), result()).shown == (), "nothing was edited"
    at = work().send(answer(call("edit", new=6)), result()).send(answer(call("edit", new=6)), result())
    assert "reverted" not in at.shown, "a file written twice undoes nothing"


def test_tests_count_after_an_edit_and_only_where_something_ran() -> None:
    at = work().send(answer(call("test")), result("tests_failed"))
    assert at.shown == ("tests_red",)
    at.send(answer(call("edit", old=1, new=2)), result()).send(answer(call("test")), result("tests_failed", "tool_error"))
    assert at.shown == ("tests_failed",) and at.progress.red
    at.send(answer(call("read")), result("tests_passed"))
    assert at.shown == () and at.progress.red, "a log that was read reports on nothing that was run"
    at.send(answer(call("test")), result("tests_passed"))
    assert at.shown == ("tests_passed",) and not at.progress.red


def test_compilers_and_linters_outweigh_the_exit_code_they_come_with() -> None:
    at = work().send(answer(call("check")), result("type_error", "tool_error"))
    assert at.shown == ("type_error",)
    at.send(answer(call("read")), result("lint_error", "type_error"))
    assert at.shown == ()
    assert at.send(answer(call("run")), result("tool_error")).shown == ("tool_error",)


def test_done_without_a_run_and_done_while_red() -> None:
    edit = call("edit", old=1, new=2)
    at = work().send(answer(edit), result()).send(answer(words="All done and working."), prompt("now the documentation"))
    assert at.shown == ("unrun", "accepted")
    at = work().send(answer(edit), result()).send(answer(call("check")), result())
    assert at.send(answer(words="done"), prompt("now the documentation")).shown == ("accepted",)
    at = work().send(answer(edit), result()).send(answer(call("test")), result("tests_failed"))
    assert "ended_red" in at.send(answer(words="done"), prompt("now the documentation")).shown


@pytest.mark.parametrize(
    ("again", "facts", "shown"),
    [
        ("please make the parser faster!", (), "reasked"),
        ("E   assert 1 == 2", ("pasted_failure",), "corrected"),
        ("> faster now\nwhere", ("quotes",), "corrected"),
        ("👍", ("praise",), "praise"),
        ("now write the changelog", (), "accepted"),
    ],
)
def test_what_the_person_does_next(again: str, facts: tuple[Fact, ...], shown: Evidence) -> None:
    at = work().send(answer(call("edit", old=1, new=2)), result()).send(answer(call("test")), result())
    at.send(answer(words="It is faster now."), prompt(again, *facts))
    assert shown in at.shown and (shown in ("accepted", "praise")) == ("accepted" in at.shown)


@pytest.mark.parametrize("words", [
    ("mach den Parser bitte deutlich schneller", "mach den Parser deutlich schneller bitte!"),
    ("パーサーをもっと速くしてください", "パーサーをもっと速くして"),
    ("请把解析器改得更快一些", "请把解析器改得更快"),
    ("сделай парсер быстрее пожалуйста", "пожалуйста, сделай парсер быстрее"),
    ("اجعل المحلل أسرع من فضلك", "من فضلك اجعل المحلل أسرع"),
])  # fmt: skip
def test_asking_again_is_heard_in_every_language(words: tuple[str, str]) -> None:
    at = work(words[0]).send(answer(call("edit", old=1, new=2)), result()).send(answer(words="..."), prompt(words[1]))
    assert "reasked" in at.shown


def test_an_interrupt_is_no_tool_error_and_a_rewind_is_seen() -> None:
    at = work().send(answer(call("edit", old=1, new=2)), result("tool_error", "interrupt"), prompt("not that file"))
    assert "interrupt" in at.shown and "tool_error" not in at.shown and "accepted" not in at.shown
    at = work().send(answer(call("edit", old=1, new=2)), result()).send(answer(words="done"), prompt("and the lexer"))
    at.send(prompt("rather the printer"), relation="fork", kept=2)
    assert "rewound" not in at.shown, "no work was lost"
    at = work().send(answer(call("edit", old=1, new=2)), result()).send(answer(call("test")), result())
    assert "rewound" in at.send(prompt("rather the printer"), relation="fork", kept=2).shown


def test_a_cut_off_answer_counts_as_an_interrupt_when_the_person_goes_on() -> None:
    at = work().send(answer(call("edit", old=1, new=2)), result())
    at.stop = "hangup"
    assert "interrupt" in at.send(prompt("stop, the other one")).shown


def test_growth_and_lists_are_noted_once_per_level_and_turn() -> None:
    at = work().send(answer(call("todo")), result())
    assert at.shown == ("todo",)
    assert at.send(answer(call("todo"), call("edit", new=2, lines=200)), result()).shown == ("grown",)
    assert at.send(answer(call("edit", new=3, lines=200)), result()).shown == ()
    assert at.send(answer(call("edit", new=4, lines=300)), result()).shown == ("grown",)


def test_retries_housekeeping_and_summaries_show_nothing() -> None:
    at = work().send(answer(call("test", 5)), result("tests_failed"))
    before = at.progress
    at.send(answer(call("test", 5)), result("tests_failed"), relation="retry", kept=1)
    assert at.shown == () and at.progress == before
    at.send(answer(call("test", 5)), result("tests_failed"), purpose="compaction")
    assert at.shown == () and at.progress == before
    at.send(prompt("the summary of all", "continued"), relation="compacted", kept=0)
    assert "reasked" not in at.shown


def test_what_a_client_rewrites_at_its_tail_is_not_counted_twice() -> None:
    at = work().send(answer(call("test", 5)), result("tests_failed"))
    rewritten = replace(at.messages[-1], hash=99)
    at.send(rewritten, answer(call("read", 6)), result(), kept=2)
    assert at.shown == () and at.progress.tests == 1
    again = prompt("please make the parser faster")
    at = Work().send(again, relation="new", task=True)
    at.send(replace(again, hash=98), answer(call("read", 6)), result(), kept=0)
    assert at.shown == () and at.progress.reads == 1


@pytest.mark.parametrize(
    ("calls", "facts", "kind"),
    [
        ([call("read")], (), "explore"), ([call("run")], (), "explore"), ([call("todo")], (), "plan"),
        ([call("edit", new=1)], (), "edit"), ([call("edit", new=1, tests=True)], (), "test"), ([call("test")], (), "test"),
        ([call("edit", new=1), call("test")], ("tests_failed",), "debug"), ([call("diff"), call("read")], (), "review"),
        ([call("edit", new=1), call("commit")], (), "commit"), ([call("commit"), call("edit", new=1)], (), "edit"),
        ([], (), "chat"),
    ],
)  # fmt: skip
def test_kinds(calls: list[Call], facts: tuple[Fact, ...], kind: TaskKind) -> None:
    assert work().send(answer(*calls), result(*facts)).kinds[-1] == kind


def test_kinds_at_the_beginning_of_a_turn() -> None:
    assert work().kinds[-1] == "chat"
    assert Work().send(prompt("do it", "plan_mode"), relation="new", task=True).kinds[-1] == "plan"
    assert Work().send(prompt("E  assert", "pasted_failure"), relation="new", task=True).kinds[-1] == "debug"
    assert Work().send(prompt("name it"), relation="new", task=True, purpose="side").kinds[-1] is None


def test_hooks_count_for_more_than_texts_and_only_once() -> None:
    both = sensors_of(("tests_failed", "tool_error"), ("tests_failed", "session_end"))
    assert both == (SIGNALS["tests_failed"], SENSORS["tool_error"])
    lane = Lane("main", "main", requests=3, last_start=100.0, asked=Config("m"), last_stop="tool")
    session = Session("s", lanes={"main": lane}, signals=((90.0, "commit"), (120.0, "revert"), (121.0, "mark_bad")))
    request = Request("messages", "/v1/messages", "m", messages=(result(),))
    seen = observe(request, Place("s", "main", "main", "continue", 0, 1, 1, in_loop=True), lane, session, 1.0)
    assert [sensor.name for sensor in seen.now] == ["revert", "mark_bad"]
    helper = replace(lane, id="a7", kind="subagent")
    seen = observe(request, Place("s", "a7", "subagent", "continue", 0, 1, 1, in_loop=True), helper, session, 1.0)
    assert seen.now == (), "hooks speak of the main lane"


def test_a_turn_that_lasts_is_harder_and_one_that_ends_soon_easier() -> None:
    """The number of requests is a weak sensor: each doubling moves the belief less than half as far as a failing test."""
    lane, belief = Lane("main", "main", requests=1, last_stop="tool"), PRIOR
    place = Place("s", "main", "main", "continue", 0, 1, 1, in_loop=True)
    for _ in range(12):
        request = Request("messages", "/v1/messages", "m", messages=(answer(call("read")), result()))
        seen = observe(request, place, lane, Session("s"), 1.0)
        belief, lane = update(belief, seen.now, 2.0, place), replace(lane, progress=seen.progress)
    failed = update(PRIOR, [SENSORS["tests_failed"]], 2.0, place)
    assert 0 < belief.mu / 3 < failed.mu / 2 and belief.n == 3
    ends = Place("s", "main", "main", "continue", 0, 2, 1, new_turn=True)
    seen = observe(Request("messages", "/v1/messages", "m", messages=(answer(), prompt("next"))), ends, lane, Session("s"), 1.0)
    assert [sensor.name for sensor in seen.past] == ["accepted", "ends"]
    assert update(belief, seen.now, 2.0, ends, seen.past).mu < belief.mu


def test_who_pushed_back_before_is_likelier_to_do_it_again() -> None:
    calm, cross = work(), work()
    assert pushed_back(calm.progress) == PRIOR.pushed, "nothing is known yet"
    for words in ("now the lexer", "rename those helpers", "write the changelog", "ship it tomorrow"):
        calm.send(answer(call("edit")), result()).send(answer(), prompt(words))
        cross.send(answer(call("edit")), result()).send(answer(), prompt(words, "pasted_failure"))
    assert pushed_back(calm.progress) < PRIOR.pushed < 0.3 < pushed_back(cross.progress) < 0.5
    for _ in range(20):
        cross.send(answer(call("edit")), result()).send(answer(), prompt("yes"))
    assert pushed_back(cross.progress) < PRIOR.pushed, "what was long ago counts less and less"


def test_failures_in_a_turn_make_push_back_likelier_until_it_ends() -> None:
    one = work().send(answer(call("run")), result("tool_error"))
    failing = pushed_back(one.progress)
    assert failing > PRIOR.pushed
    more = pushed_back(one.send(answer(call("test")), result("tests_failed")).progress)
    assert more > failing and pushed_back(one.send(answer(call("read")), result()).progress) == more
    assert pushed_back(one.send(answer(), prompt("and the other half of the parser as well")).progress) < PRIOR.pushed


def test_what_a_check_sends_back_is_no_persons_word() -> None:
    """It carries a failure, and neither counts as push-back nor ends the person's turn."""
    done = work().send(answer(call("edit")), result("tool_error"))
    messages = (*done.messages, answer(), prompt("FAILED tests/test_a.py: assert 1 == 2", "pasted_failure"))
    place = Place("s", "main", "main", "continue", len(done.messages), 2, 1, new_turn=True)
    request = Request("messages", "/v1/messages", "m", messages=messages)
    before, (sent, _), (said, _) = done.progress, after(done.progress, request, place, "final", True), after(
        done.progress, request, place, "final"
    )
    assert (sent.answered, sent.pushed, sent.failures) == (before.answered, before.pushed, before.failures)
    assert (said.answered, said.pushed, said.failures) == (1.0, 1.0, 0)


def test_the_belief_keeps_what_was_said_of_push_back() -> None:
    place = Place("s", "main", "main", "continue", kept=1, turn=1, task=1, in_loop=True)
    belief = update(PRIOR, [SENSORS["tool_error"]], 1.0, place, (), 0.25)
    assert belief.pushed == 0.25 and update(belief, [], 1.0, place).pushed == 0.25
