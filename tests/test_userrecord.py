"""What outlasts sessions: judged tasks certify or veto a weaker model, repeated pins become proposals; and what waits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from playbook import Play, check, pin, result, says, stay, subagent, switch, turn, unpin
from playbook import again as again_sent
from pointsman import Router, Settings
from pointsman.cli import main
from pointsman.core.book import Book
from pointsman.core.certificate import missing
from pointsman.core.codec import decode, encode
from pointsman.core.events import Event, Judged, Noted, Proposed
from pointsman.core.policy import Profile
from pointsman.core.types import Config
from pointsman.errors import SettingsError
from pointsman.settings import load
from pointsman.shell.answers import settle
from pointsman.shell.ledger import Ledger
from pointsman.shell.prices import load_book
from pointsman.shell.reading import recent_events
from pointsman.shell.userdata import user_record

OPUS, SONNET = "claude-opus-5-5", "claude-sonnet-5-5"
SAVER: dict[str, Any] = {"profile": "saver", "failure_usd": 0.0}


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book()


def judged(events: list[Event]) -> list[Judged]:
    return [event for event in events if isinstance(event, Judged)]


def served(play: Play, times: int, failed: bool = False) -> list[Event]:
    """So many tasks on the weaker model, each judged by a check."""
    events: list[Event] = []
    for i in range(times):
        other = Play(play.book, play.settings, model="opus", session=f"{play.session}-{i}")
        other.router, other.now = play.router, play.now
        other >> turn("explain") >> check(not failed)
        play.now = other.now + 1_000.0
        events += play.router.events()
    return events


def again(events: list[Event], settings: Settings, book: Book) -> Router:
    """A router that has only read the ledger."""
    return Router(settings, book, [decode(type(e).__name__, json.loads(json.dumps(encode(e)))) for e in events])


# -- judgements --------------------------------------------------------------------------------------------------------


def test_a_check_judges_the_weaker_model_that_really_served_and_nothing_else(book: Book) -> None:
    play = Play(book, Settings(**SAVER), model="opus")
    play >> turn("go") << switch("sonnet") >> check(True)
    (one,) = judged(play.router.events())
    assert (one.asked.model, one.served.model, one.failed, one.by, one.task) == (OPUS, SONNET, False, "check_passed", 1)
    assert 0.0 < one.predicted < 1.0
    stays = Play(book, Settings(), model="opus")
    stays >> turn("go") << stay("opus") >> check(False)
    pinned = Play(book, Settings(), model="opus")
    pinned >> turn("go") >> pin("haiku") >> turn("more") << switch("haiku") >> check(True)
    assert not judged(stays.router.events()) and not judged(pinned.router.events()), "people pin what they believe to be easy"


def test_a_weaker_sub_agent_answers_for_the_task_it_took_part_in_and_nobody_else_does(book: Book) -> None:
    play = Play(book, Settings(**SAVER), model="opus")
    play >> turn("go") >> pin("opus") >> turn("more") >> subagent() << switch("sonnet", because="free_point")
    play.router.events()
    play >> check(False)
    assert [(e.asked.model, e.served.model, e.failed) for e in judged(play.router.events())] == [(OPUS, SONNET, True)]
    assert play.router.learned.abilities.seen == 0, "whether Opus or its helper failed is not known"
    play.router.mark(session=play.session, turn=2, mark="good", now=play.now + 10)
    assert [e.failed for e in judged(play.router.events())] == [False], "a person says otherwise"


def test_a_check_that_runs_twice_on_the_same_work_teaches_once(book: Book) -> None:
    """It is no second try of that model, and its second verdict no second task."""
    once, twice = (Play(book, Settings(**SAVER), model="opus", session=f"s-{n}") for n in (1, 2))
    once >> turn("go") >> check(False)
    twice >> turn("go") >> check(False) >> check(False)
    assert twice.router.learned.abilities == once.router.learned.abilities
    assert twice.router.sessions["s-2"].failed == once.router.sessions["s-1"].failed
    twice >> turn("The check failed.") >> check(False)
    assert twice.router.learned.abilities.seen == once.router.learned.abilities.seen + 1, "another try is another verdict"


def test_a_pinned_request_that_is_sent_again_is_a_pinned_one_still(book: Book) -> None:
    play = Play(book, Settings(), model="opus")
    play >> turn("go") >> pin("haiku") >> turn("more") << switch("haiku") >> again_sent() << stay("haiku", because="retry")
    play >> check(True)
    assert not judged(play.router.events())


def test_what_a_check_refused_stays_refused_until_a_person_says_otherwise(book: Book) -> None:
    play = Play(book, Settings(**SAVER), model="opus")
    play >> turn("go") >> check(False) >> check(True)
    play.router.signal(session=play.session, kind="commit", now=play.now + 9)
    assert [e.failed for e in judged(play.router.events())] == [True]
    play.router.mark(session=play.session, turn=1, mark="good", now=play.now + 10)
    assert [e.failed for e in judged(play.router.events())] == [False]
    play.router.mark(session=play.session, turn=1, mark="good", now=play.now + 11, undo=True)
    assert [e.void for e in judged(play.router.events())] == [True]


def test_a_revert_takes_a_commit_back(book: Book) -> None:
    play = Play(book, Settings(**SAVER), model="opus")
    play >> turn("go")
    for kind in ("commit", "commit", "revert"):
        play.router.signal(session=play.session, kind=kind, now=play.now + 9)
    assert [(e.failed, e.by) for e in judged(play.router.events())] == [(False, "commit"), (True, "revert")]


def test_clean_tasks_certify_and_then_balanced_may_use_it_without_a_check(book: Book) -> None:
    need = missing([], 0.10, recall=0.8)  # what a check nobody knows is taken to see
    saver = Play(book, Settings(**SAVER), model="opus")
    events = served(saver, need)
    assert len(judged(events)) == need
    balanced = Settings(profile="balanced", failure_usd=0.0)
    fresh, known = Play(book, balanced, model="opus", session="a"), Play(book, balanced, model="opus", session="b")
    known.router = again(events, balanced, book)
    fresh >> turn("explain") << stay("opus")
    known.now = saver.now
    known >> turn("explain") << switch("sonnet")
    quality = Play(book, Settings(failure_usd=0.0), model="opus", session="c")
    quality.router, quality.now = again(events, Settings(failure_usd=0.0), book), saver.now
    quality >> turn("explain") << stay("opus"), "quality is the asked model, certified or not"
    assert any("profile quality keeps that" in gate.said for gate in quality.decision.gates)


@pytest.mark.parametrize(("profile", "effort"), [("balanced", "medium"), ("quality", "high")])
def test_clean_tasks_certify_a_weaker_effort_as_they_do_a_weaker_model(book: Book, profile: Profile, effort: str) -> None:
    asks: dict[str, Any] = {"output_config": {"effort": "high"}}
    saver = Play(book, Settings(**SAVER, pool=["opus"]), model="opus")
    events: list[Event] = []
    for i in range(missing([], 0.10, recall=0.8)):
        one = Play(book, saver.settings, model="opus", session=f"s-{i}")
        one.router, one.now = saver.router, saver.now
        one >> turn("explain", **asks) >> check(True)
        saver.now, events = one.now + 1_000.0, [*events, *saver.router.events()]
    assert {event.served for event in judged(events)} == {Config(OPUS, "medium")}
    settings = Settings(profile=profile, failure_usd=0.0, pool=["opus"])
    later = Play(book, settings, model="opus", session="later")
    later.router, later.now = again(events, settings, book), saver.now
    later >> turn("explain", **asks)
    assert later.decision.chosen == Config(OPUS, effort)


def test_a_veto_is_heard_over_any_saving_and_says_so(book: Book) -> None:
    play = Play(book, Settings(**SAVER), model="opus")
    events = served(play, 14, failed=True)
    other = Play(book, play.settings, model="opus", session="z")
    other.router, other.now = again(events, play.settings, book), play.now
    other >> turn("explain") << stay("opus")
    assert any("vetoed" in gate.said for gate in other.decision.gates)


# -- proposals ---------------------------------------------------------------------------------------------------------


def pinned_three_times(book: Book, model: str = "haiku") -> Play:
    play = Play(book, Settings(), model="opus")
    play >> turn("what is this?")
    for _ in range(3):
        play >> pin(model) >> turn("and this?") >> unpin()
    return play


def test_a_pin_repeated_for_a_kind_is_proposed_once_and_never_applied_by_itself(book: Book) -> None:
    play = pinned_three_times(book)
    events = play.router.events()
    (proposed,) = [e for e in events if isinstance(e, Proposed)]
    assert (proposed.about, proposed.config.model, proposed.times, proposed.answer) == ("chat", "claude-haiku-5-5", 3, "")
    (note,) = [e for e in events if isinstance(e, Noted)]
    assert '[kinds] chat = "claude-haiku-5-5"' in note.text and "pointsman config accept chat" in note.text
    play >> turn("and that?") << switch("opus", because="asked")
    play >> pin("haiku") >> unpin()
    assert not [e for e in play.router.events() if isinstance(e, Proposed)], "it is proposed once"


def test_an_accepted_rule_holds_at_once_and_undo_takes_it_back(book: Book) -> None:
    play = pinned_three_times(book)
    with pytest.raises(SettingsError, match="no rule is proposed for 'plan': proposed are rules for chat"):
        play.router.answer("plan", "accepted", play.now)
    with pytest.raises(SettingsError, match="nothing to undo"):
        play.router.answer("chat", "undone", play.now)
    play.router.answer("chat", "accepted", play.now)
    play >> turn("and now?") << stay("haiku", because="rule")
    assert [(r.name, r.origin) for r in play.decision.rules] == [("kinds: chat = claude-haiku-5-5", "pointsman config accept")]
    play.router.answer("chat", "undone", play.now)
    play >> turn("and then?", pause=9_000) << switch("opus")


def test_a_declined_rule_is_not_asked_again(book: Book) -> None:
    play = pinned_three_times(book)
    play.router.answer("chat", "declined", play.now)
    later = again(play.router.events(), play.settings, book)
    play.router = later
    play >> pin("haiku") >> unpin()
    assert not [e for e in later.events() if isinstance(e, Proposed)]


# -- hold, live configs, loops -----------------------------------------------------------------------------------------


def test_a_move_that_pays_is_held_while_the_cache_is_warm_and_says_its_price(book: Book) -> None:
    plain = Settings(profile="saver", failure_usd=20.0)
    play = Play(book, plain, model="opus")
    play >> turn("go", context=150_000) << stay("opus")
    play.router = again(play.router.events(), Settings(**SAVER), book)
    play >> turn("more", pause=30)
    assert play.decision.action == "hold" and play.decision.chosen == Config(OPUS) and not play.routes[-1].changed
    play << says("until a free point: claude-sonnet-5-5 would then save ≈$") << says("the switch now and the way back cost ≈$")
    play >> turn("much later", pause=3_000) << switch("sonnet")


def test_inside_a_tool_loop_nothing_moves_that_would_lose_reasoning(book: Book) -> None:
    play = Play(book, Settings(profile="saver", failure_usd=20.0), model="opus")
    play >> turn("go") << stay("opus")
    play.router = again(play.router.events(), Settings(**SAVER), book)
    play.now += 3_000  # the cache has lapsed while a tool ran: a free point, but inside the loop
    talk = play.talk
    talk[-1] = {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "s"}, *talk[-1]["content"]]}
    own = {"type": "tool_use", "id": "t1", "name": "Bash", "input": {}}
    talk[-1]["content"].append(own)
    talk.append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "ok"}]})
    play.send()
    assert play.decision.free_point == "idle" and play.decision.chosen.model == OPUS
    calm = Play(book, Settings(profile="saver", failure_usd=20.0), model="opus", session="s-2")
    calm >> turn("go")
    calm.router = again(calm.router.events(), Settings(**SAVER), book)
    calm.now += 3_000
    calm >> result("ok") << switch("sonnet")


def test_at_most_three_models_of_a_lane_are_alive(book: Book) -> None:
    """A fourth model of the lane is not begun while three are warm; later it may be."""
    wanted = Settings(kinds={"chat": "haiku"})
    play = Play(book, Settings(), model="fable")
    play >> turn("what is this?")
    for name in ("opus", "sonnet"):
        play >> pin(name) >> turn("and this?") >> unpin()
    play.router = again(play.router.events(), wanted, book)
    play >> turn("and that?") << switch("fable", because="asked")
    assert any("3 configs of this lane are alive already" in gate.said for gate in play.decision.gates)
    play >> turn("and that?", pause=4_000) << switch("haiku", because="rule")


# -- the command line --------------------------------------------------------------------------------------------------


def test_config_accept_undo_and_decline(
    book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was proposed is accepted into a file beside one's own, taken back, and declined, without a gateway."""
    monkeypatch.setenv("POINTSMAN_HOME", str(tmp_path))
    monkeypatch.setenv("POINTSMAN_CONFIG", str(tmp_path / "config.toml"))
    assert main(["config", "accept"]) == 2 and "pin a model 3 times" in capsys.readouterr().err
    store = Ledger(tmp_path / "ledger.db", say=print)
    store.append(pinned_three_times(book).router.events())
    store.close(5)
    assert main(["config"]) == 0
    assert 'proposed: you pinned claude-haiku-5-5 3 times for chat tasks' in capsys.readouterr().out
    assert main(["why"]) == 0 and "pointsman config accept chat" in " ".join(capsys.readouterr().out.split())
    assert main(["config", "accept"]) == 0
    assert '[kinds] chat = "claude-haiku-5-5"' in capsys.readouterr().out
    assert load().policy().kinds == (("chat", "claude-haiku-5-5"),)
    assert load().origin("kinds.chat") == f"{tmp_path / 'answers.toml'}:4"
    assert main(["config", "undo", "chat", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["answer"] == "undone" and load().policy().kinds == ()
    assert main(["config", "decline", "chat"]) == 0 and "is not proposed again" in capsys.readouterr().out
    assert main(["config", "undo"]) == 2 and "no rule was accepted" in capsys.readouterr().err


# -- second thoughts ---------------------------------------------------------------------------------------------------


def committed(play: Play) -> None:
    play.now += 9
    play.router.signal(session=play.session, kind="commit", now=play.now)


FAILURE = "FAILED tests/test_parser.py::test_tokens - assert 1 == 2"


def test_a_complaint_takes_back_what_a_commit_alone_had_said(book: Book) -> None:
    play = Play(book, Settings(**SAVER), model="opus")
    play >> turn("go") << switch("sonnet")
    committed(play)
    (good,) = judged(play.router.events())
    assert (good.by, good.failed) == ("commit", False)
    play >> turn(FAILURE)
    (back,) = judged(play.router.events())
    assert (back.by, back.void, back.task) == ("complaint", True, good.task), "not good, and not bad either: it is not known"
    assert not play.router._known.user.told
    play >> turn(FAILURE + "3")
    assert not judged(play.router.events()), "there is nothing left to take back"


def test_a_complaint_takes_nothing_back_from_a_check_or_a_mark(book: Book) -> None:
    for said in (check(True), lambda play: play.router.mark(session=play.session, turn=1, mark="good", now=play.now + 5)):
        play = Play(book, Settings(**SAVER), model="opus")
        play >> turn("go") >> said
        committed(play)
        assert len(judged(play.router.events())) == 1
        play >> turn(FAILURE)
        assert not judged(play.router.events()) and len(play.router._known.user.told) == 1


def test_a_revert_in_the_next_task_is_of_the_work_before_it(book: Book) -> None:
    play = Play(book, Settings(**SAVER), model="opus")
    play >> turn("go") << switch("sonnet")
    committed(play)
    play >> pin("opus", "session") >> turn("good morning, what about the release", pause=90_000.0)
    assert play.decision.place.task == 2
    play.router.events()
    play.router.signal(session=play.session, kind="revert", now=play.now + 9)
    (one,) = judged(play.router.events())
    assert (one.task, one.failed, one.by) == (1, True, "revert")


# -- what outcomes teach outlasts sessions -----------------------------------------------------------------------------


def test_what_outcomes_teach_is_known_after_their_sessions_are_forgotten(book: Book, tmp_path: Path) -> None:
    play = Play(book, Settings(**SAVER), model="opus")
    events = served(play, 3) + served(Play(book, Settings(**SAVER), model="opus", session="t"), 2, failed=True)
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.append(events)
    ledger.close(5.0)
    settings, last = Settings(**SAVER), max(event.ts for event in events)
    whole = Router(settings, book, recent_events(tmp_path / "ledger.db", 0.0))
    later = Router(settings, book, recent_events(tmp_path / "ledger.db", last + 1.0))
    assert len(whole.sessions) == 5 and not later.sessions
    assert whole.learned.abilities.seen == 5
    assert later.learned.abilities == whole.learned.abilities, "none is counted twice, and none is lost"


def test_a_rule_that_was_accepted_ends_when_it_is_declined(book: Book) -> None:
    play = pinned_three_times(book)
    play.router.answer("chat", "accepted", play.now)
    play >> turn("and now?") << stay("haiku", because="rule")
    play.router.answer("chat", "declined", play.now)
    assert play.router.policy.kinds == ()
    play >> turn("and then?", pause=9_000) << switch("opus")


def test_a_rule_that_cannot_be_kept_is_not_in_force(book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTSMAN_HOME", str(tmp_path))
    store = Ledger(tmp_path / "ledger.db", say=print)
    store.append(pinned_three_times(book).router.events())
    store.close(5)
    (tmp_path / "answers.new").mkdir()
    with pytest.raises(SettingsError, match="cannot be written"):
        settle("chat", "accepted", load(), 9e9, path=tmp_path / "answers.toml")
    assert [p.answer for p in user_record().proposed.values()] == ["undone"]
    (tmp_path / "answers.toml").write_text("no toml at all")
    with pytest.raises(SettingsError, match="mend it, or move it away"):
        settle("chat", "accepted", load(), 9e9, path=tmp_path / "answers.toml")
    assert [p.answer for p in user_record().proposed.values()] == ["undone"], "nothing was begun"
