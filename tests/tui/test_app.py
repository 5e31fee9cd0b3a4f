"""The screens, driven by keys over real ledgers and the real control route; and three pictures of them."""

from __future__ import annotations

import asyncio
import os
import time
import tomllib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input

from pointsman.core.events import Checked, Event, Mark, Proposed
from pointsman.core.rows import SessionRow, TurnRow
from pointsman.errors import LedgerError
from pointsman.settings import Settings
from pointsman.shell.gateway import Gateway
from pointsman.shell.ledger import Ledger
from pointsman.tui.actions import Reading, Wheel, gateway_status
from pointsman.tui.app import Screens
from pointsman.tui.dialogs import ChecksDialog, HelpDialog, PinDialog, RuleDialog
from pointsman.tui.feed import EventSource, LedgerSource
from pointsman.tui.run import picture
from pointsman.tui.sessions import Sessions
from pointsman.tui.timeline import Turns
from pointsman.tui.view import Status
from pointsman.tui.why import Why
from samples import OPUS, START, Story, afternoon, api_fix

Snap = Callable[..., bool]
LIVE = Status(True, ":4141", "auto", "quality")


def app_over(events: list[Event], **more: Any) -> Screens:
    now = events[-1].ts + 20 if events else START
    return Screens(EventSource(events, "afternoon.jsonl"), clock=lambda: now, status=lambda: LIVE, **more)


def turn_of(app: Screens) -> TurnRow:
    turn = app.query_one("#turns", Turns).turn
    assert turn is not None
    return turn


def shown(app: Screens, dialog: type[Screen[Any]], part: str) -> str:
    """What a part of the open dialog says; empty while another one is open, or none."""
    if not isinstance(app.screen, dialog) or not app.screen.is_mounted:
        return ""
    return str(app.screen.query_one(part).render())


def title_of(app: Screens) -> str:
    return str(app.query_one("#turns").border_title)


def toasts(app: Screens) -> str:
    return "\n".join(note.message for note in app._notifications)


def text_of(widget: Any) -> str:
    return "\n".join(widget.render_line(y).text.rstrip() for y in range(widget.size.height))


async def until(pilot: Pilot[Any], true: Callable[[], bool]) -> None:
    """Let the app work until something holds; a test that waits in vain fails. A key's effect takes several rounds of messages,
    and Textual's own pause takes a process that gets no time for one that has nothing to do.
    """
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "it never came about"
        await pilot.pause(0.02)


async def settled(pilot: Pilot[Any]) -> None:
    """Wait for what workers look up: a picture shows the end of it."""
    app = pilot.app
    assert isinstance(app, Screens)
    await until(pilot, lambda: app._known is not None and "api-fix" in title_of(app))
    await app.workers.wait_for_complete()
    await pilot.pause()


async def pinning(pilot: Pilot[Any]) -> None:
    """Open the pin dialog, and choose the next model for ever: each key finds what the one before has opened."""
    await settled(pilot)
    app = pilot.app
    assert isinstance(app, Screens)
    await pilot.press("p")
    await until(pilot, lambda: "‹session›" in shown(app, PinDialog, "#scopes"))
    before = shown(app, PinDialog, "#rows")
    await pilot.press("down")
    await until(pilot, lambda: shown(app, PinDialog, "#rows") != before)
    await pilot.press("right")
    await until(pilot, lambda: "‹always here›" in shown(app, PinDialog, "#scopes"))


@pytest.mark.parametrize(("width", "height"), [(72, 20), (100, 30), (140, 40)])
def test_pictures(snap_compare: Snap, width: int, height: int) -> None:
    assert snap_compare(app_over(afternoon()), terminal_size=(width, height), run_before=settled)


def test_picture_of_the_pin_dialog(snap_compare: Snap) -> None:
    assert snap_compare(app_over(afternoon()), terminal_size=(100, 30), run_before=pinning)


async def test_keys_move_and_follow() -> None:
    app = app_over(afternoon())
    async with app.run_test(size=(100, 30)) as pilot:
        turns = app.query_one("#turns", Turns)
        await until(pilot, lambda: turn_of(app).n == 14 and turns.following)
        await pilot.press("k", "k")
        await until(pilot, lambda: turn_of(app).n == 12 and not turns.following)
        await until(pilot, lambda: "turn 12" in str(app.query_one("#why", Why).border_title))
        await pilot.press("j")
        await until(pilot, lambda: turn_of(app).n == 13)
        await pilot.press("home")
        await until(pilot, lambda: turn_of(app).n == 1 and "stay: asked model" in text_of(turns))
        await pilot.press("f")
        await until(pilot, lambda: turn_of(app).n == 14 and turns.following and "Following" in toasts(app))


async def test_tab_goes_through_the_panels_and_brackets_change_the_session() -> None:
    app = app_over(afternoon())
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: app.focused is not None)
        seen = [app.focused]
        for _ in range(2):
            await pilot.press("tab")
            await until(pilot, lambda: app.focused is not seen[-1])
            seen.append(app.focused)
        assert {panel.id for panel in seen if panel} == {"turns", "why", "sessions"}
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "docs" in title_of(app))
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: "api-fix" in title_of(app))


async def test_the_filter_shows_matching_turns_and_escape_ends_it() -> None:
    app = app_over(afternoon())
    async with app.run_test(size=(100, 30)) as pilot:
        turns, line = app.query_one("#turns", Turns), app.query_one("#filter", Input)
        await pilot.press("slash")
        await until(pilot, lambda: app.focused is line)
        await pilot.press(*"opus")
        await until(pilot, lambda: turns.rows() == 4)
        await pilot.press("enter")
        await until(pilot, lambda: not line.has_class("open") and "4 turns match" in toasts(app))
        await until(pilot, lambda: app.focused is turns)
        await pilot.press("escape")
        await until(pilot, lambda: turns.rows() == 14)
        await pilot.press("slash")
        await until(pilot, lambda: app.focused is line)
        await pilot.press("#", "1", "3", "enter")
        await until(pilot, lambda: "1 turn matches '#13'" in toasts(app))


async def test_what_cannot_be_done_says_why() -> None:
    app = app_over(afternoon())
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("u")
        await until(pilot, lambda: "Nothing is pinned" in toasts(app))
        await pilot.press("z")
        await until(pilot, lambda: "no mark of yours" in toasts(app))
        await pilot.press("g")
        await until(pilot, lambda: "only read here" in toasts(app))


async def test_an_error_of_ours_is_said_and_the_screens_stay() -> None:
    class Broken(Reading):
        def mark(self, session: SessionRow, turn: int, mark: Mark, undo: bool) -> str:
            raise RuntimeError("a bug")

    app = app_over(afternoon(), actions=Broken("x"))
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("g")
        await until(pilot, lambda: "An error of ours (RuntimeError): a bug" in toasts(app))
        await pilot.press("k")
        await until(pilot, lambda: turn_of(app).n == 13)


async def test_a_session_is_found_by_the_start_of_its_id_or_missed_in_words() -> None:
    app = app_over(afternoon(), session="c1b7")
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "docs" in title_of(app))
    app = app_over(afternoon(), session="nobody")
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "There is no session 'nobody'" in text_of(app.query_one("#why", Why)))
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "api-fix" in title_of(app))


async def test_the_mouse_selects_turns_and_sessions() -> None:
    app = app_over(afternoon())
    async with app.run_test(size=(100, 30)) as pilot:
        turns = app.query_one("#turns", Turns)
        await until(pilot, lambda: turns.size.height > 3)
        await pilot.click("#turns", offset=(10, 3))
        await until(pilot, lambda: not turns.following and turn_of(app).n == turns.scroll_offset.y + 2)
        await pilot.click("#sessions", offset=(5, 3))
        await until(pilot, lambda: "spike" in title_of(app))


async def test_help_opens_and_closes() -> None:
    app = app_over(afternoon())
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpDialog))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, HelpDialog))


async def test_what_the_check_was_worth_is_a_key_away() -> None:
    """Failures caught, false alarms, minutes, dollars, what was resolved with and without escalation: as ``report`` says."""
    story = Story("5f0c2f6e-guarded", title="guarded").run().turn()
    failed = Checked(
        story.now, story.session, "pytest -q", "check_failed", "2 newly failing", 90.0, turn=1, task=1, sent_back=True
    )  # fmt: skip
    story.events.append(failed)
    story.request(OPUS, reason="escalate")
    passed = replace(failed, ts=story.now, verdict="check_passed", why="4 tests passed", seconds=30.0, sent_back=False)
    story.events.append(passed)
    app = app_over(story.events)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, ChecksDialog) and app.screen.is_mounted)
        await until(pilot, lambda: "took" in text_of(app.screen.query_one("#page")))
        said = " ".join(text_of(app.screen.query_one("#page")).split())
        assert "2 runs: 1 passed, 1 failed, 0 not clear" in said and "1 failure went back to the agent before you saw" in said
        assert "false alarms 0" in said and "2.0 min of checking, ≈$2.00 of waiting" in said and "billed for repairs" in said
        assert "against ≈$5.00 of noticing what it caught" in said
        assert "began on escalated resolved not unknown" in said and "med yes 1 0 0" in said.replace("medium", "med")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, ChecksDialog))
    app = app_over(afternoon())
    async with app.run_test(size=(72, 20)) as pilot:
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, ChecksDialog) and app.screen.is_mounted)
        await until(pilot, lambda: "no check has run yet" in text_of(app.screen.query_one("#page")))


async def test_the_pin_dialog_preselects_session_and_what_runs() -> None:
    app = app_over(afternoon())
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("p")
        await until(pilot, lambda: "‹session›" in shown(app, PinDialog, "#scopes"))
        assert "▸ sonnet-4-5·med" in shown(app, PinDialog, "#rows")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, PinDialog))
        await pilot.press("e")
        await until(pilot, lambda: "‹this task›" in shown(app, PinDialog, "#scopes"))
        assert "▸ opus-4-5·high" in shown(app, PinDialog, "#rows")


async def test_an_empty_ledger_says_how_to_start(tmp_path: Path) -> None:
    app = Screens(LedgerSource(tmp_path / "ledger.db"), clock=lambda: START)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "pointsman run -- claude" in text_of(app.query_one("#why", Why)))
        assert "pointsman demo" in text_of(app.query_one("#why", Why))
        await pilot.press("p", "e", "g")
        await until(pilot, lambda: "Nothing can be pinned yet" in toasts(app))
        with Ledger(tmp_path / "ledger.db") as ledger:
            ledger.append(Story("s", title="first").turn().events).result()
            await until(pilot, lambda: "first" in title_of(app))


async def test_trouble_is_a_screen_with_a_sentence_that_heals() -> None:
    class Flaky(EventSource):
        broken = True

        def version(self) -> int:
            if self.broken:
                raise LedgerError("this ledger was written by a newer pointsman; upgrade to read it")
            return 2

    source = Flaky(afternoon(), "x")
    app = Screens(source, clock=lambda: START)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "newer pointsman" in text_of(app.query_one("#why", Why)))
        source.broken = False
        await until(pilot, lambda: app.query_one("#turns", Turns).rows() == 14)


@pytest.mark.parametrize(("width", "sessions", "trend"), [(72, False, False), (100, True, False), (140, True, True)])
async def test_narrow_terminals_hide_sessions_and_wide_ones_show_the_trend(width: int, sessions: bool, trend: bool) -> None:
    app = app_over(afternoon())
    async with app.run_test(size=(width, 30)) as pilot:
        left, below = app.query_one("#left"), app.query_one("#trend")
        await until(pilot, lambda: left.display is sessions and below.display is trend)


async def test_a_message_that_comes_in_while_the_app_is_leaving_is_no_error() -> None:
    app = app_over(afternoon())
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: app._current is not None)
        session, line = app._current, app.query_one("#filter", Input)
    assert session is not None
    app.on_turns_moved(Turns.Moved(None))
    app.on_sessions_chosen(Sessions.Chosen(session))
    app.on_input_changed(Input.Changed(line, "opus"))
    app.on_input_submitted(Input.Submitted(line, "opus"))
    app.on_what_if_panel_closed()
    app.on_resize()
    app._looked(LIVE)
    app._loaded(app._timeline, 0)


async def test_an_app_that_has_left_does_not_open_its_ledger_again(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.db") as ledger:
        ledger.append(Story("s", title="first").turn().events).result()
    source = LedgerSource(tmp_path / "ledger.db")
    app = Screens(source, clock=lambda: START)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "first" in title_of(app))
        assert source._connection is not None
    app._poll()  # its timer had rung already
    assert source._connection is None


async def test_a_gateway_that_takes_its_time_is_asked_once_at_a_time_and_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pointsman.tui.app.LOOK_S", 0.02)
    asking, most, told = 0, 0, 0

    def slow() -> Status:
        nonlocal asking, most, told
        asking += 1
        most = max(most, asking)
        time.sleep(0.2)
        asking -= 1
        told += 1
        return LIVE

    app = Screens(EventSource(afternoon(), "x"), clock=lambda: START, status=slow)
    async with app.run_test(size=(100, 30)) as pilot:
        await app.workers.wait_for_complete()  # raises where a look was given up for the next one
        await until(pilot, lambda: told >= 3)
    assert most == 1 and app._known == LIVE


async def test_a_new_decision_appears_and_a_new_session_takes_over_when_the_old_one_is_over(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    story = Story("s", title="old").turn()
    with Ledger(path) as ledger:
        ledger.append(story.events).result()
        now = [story.now]
        app = Screens(LedgerSource(path), clock=lambda: now[0])
        async with app.run_test(size=(100, 30)) as pilot:
            story.events.clear()
            ledger.append(story.turn(finish=False).events).result()
            await until(pilot, lambda: turn_of(app).n == 2)
            now[0] += 4_000
            ledger.append(Story("t", title="new", start=now[0]).turn().events).result()
            await until(pilot, lambda: "new" in title_of(app))


async def test_pins_and_marks_go_through_the_control_route(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    events = api_fix().events
    with Ledger(path) as ledger:
        ledger.append(events).result()

    async def played(step: Callable[[Screens, Pilot[Any]], Awaitable[None]]) -> None:
        settings = Settings()
        status = gateway_status(tmp_path, settings)
        app = Screens(LedgerSource(path), Wheel(path, settings, lambda: START), clock=lambda: START + 2_000, status=status)
        async with app.run_test(size=(100, 30)) as pilot:
            await step(app, pilot)

    async def drive(app: Screens, pilot: Pilot[Any]) -> None:
        await pilot.press("b")
        await until(pilot, lambda: turn_of(app).outcome == "bad")
        await pilot.press("z")
        await until(pilot, lambda: turn_of(app).mark is None)
        await until(pilot, lambda: "marked bad" in toasts(app) and "taken back" in toasts(app))
        await pilot.press("p")
        await until(pilot, lambda: bool(shown(app, PinDialog, "#rows")))
        await pilot.press("down", "enter")
        await until(pilot, lambda: "▣ opus-4-5 (session)" in title_of(app))
        await until(pilot, lambda: "Pinned opus-4-5 for this session" in toasts(app))
        await pilot.press("u")
        await until(pilot, lambda: "▣" not in title_of(app))

    os.environ["POINTSMAN_HOME"] = str(tmp_path)
    try:
        gateway = Gateway(Settings(), ledger=path, clock=lambda: START, announced=True, say=lambda text: None)
        async with gateway:
            status = gateway_status(tmp_path, Settings())
            while not (await asyncio.to_thread(status)).live:  # it does not wait long for an answer
                pass
            await played(drive)
        await played(drive)  # nothing runs now: the same keys write into the ledger
    finally:
        del os.environ["POINTSMAN_HOME"]


async def test_a_proposed_rule_is_accepted_undone_and_declined_with_a_key(tmp_path: Path) -> None:
    path, answers = tmp_path / "ledger.db", tmp_path / "own" / "answers.toml"
    with Ledger(path) as ledger:
        ledger.append([*api_fix().events, Proposed(START + 900, None, "debug", OPUS, 3)]).result()
    wheel = Wheel(path, Settings(), lambda: START + 1_000, answers)

    def answer(app: Screens) -> str:
        return app._timeline.user.proposed[("debug", OPUS)].answer

    app = Screens(LedgerSource(path), wheel, clock=lambda: START + 2_000)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("r")
        await until(pilot, lambda: "debug tasks: opus-4-5·high, pinned 3 times" in shown(app, RuleDialog, "#rows"))
        await pilot.press("u")
        await until(pilot, lambda: "nothing to undo" in toasts(app))
        await pilot.press("a")
        await until(pilot, lambda: answer(app) == "accepted")
        await until(pilot, lambda: "is a rule from the next turn on" in toasts(app))
        assert tomllib.loads(answers.read_text())["kinds"] == {"debug": str(OPUS)}
        await pilot.press("r")
        await until(pilot, lambda: "accepted: in force" in shown(app, RuleDialog, "#rows"))
        await pilot.press("u")
        await until(pilot, lambda: answer(app) == "undone")
        await until(pilot, lambda: "no rule any more" in toasts(app))
        assert "kinds" not in tomllib.loads(answers.read_text())
        await pilot.press("r")
        await until(pilot, lambda: bool(shown(app, RuleDialog, "#rows")))
        await pilot.press("d")
        await until(pilot, lambda: answer(app) == "declined")


async def test_where_no_rule_is_proposed_the_key_says_so() -> None:
    app = app_over(afternoon())
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("r")
        await until(pilot, lambda: "No rule is proposed: one is when a model was pinned 3 times" in toasts(app))


async def test_the_picture_for_the_readme() -> None:
    svg = await picture(app_over(afternoon()), size=(100, 30), keys=("k",))
    assert svg.startswith("<svg") and "api-fix" in svg.replace("&#160;", " ")
    assert OPUS.model.removeprefix("claude-") in svg
