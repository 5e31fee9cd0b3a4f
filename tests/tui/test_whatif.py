"""The what-if: the recorded requests decided anew with everything admitted; nothing differs where nothing would."""

from __future__ import annotations

from pathlib import Path

import pytest

from pointsman.cli.files import events_in
from pointsman.core.events import Event
from pointsman.core.policy import Policy
from pointsman.core.timeline import Timeline
from pointsman.shell.prices import load_book
from pointsman.shell.resources import folder
from pointsman.tui.app import Screens
from pointsman.tui.feed import EventSource
from pointsman.tui.figures import plain, width_of
from pointsman.tui.replayed import POLICIES, STOPS, lines_of, slider, what_if
from pointsman.tui.timeline import Turns
from pointsman.tui.whatif import WhatIfPanel
from pointsman.tui.why import Why
from tui.test_app import until


@pytest.fixture(scope="module")
def recorded() -> list[Event]:
    return list(events_in(Path(folder("sessions")) / "claude_code-sonnet-4-5-plain.jsonl"))


def test_the_same_requests_are_compared_and_the_bill_is_the_bill(recorded: list[Event]) -> None:
    found = what_if(recorded, load_book({}), Policy(), 5.0)
    lanes = next(iter(Timeline(recorded).sessions.values())).lanes
    assert found.requests == lanes["main"].totals.requests
    assert found.run.spent == pytest.approx(lanes["main"].totals.spent)


def test_a_free_failure_never_costs_more_and_expects_no_fewer_failures_than_a_dear_one(recorded: list[Event]) -> None:
    book = load_book({})
    free, dear = (what_if(recorded, book, Policy(), usd) for usd in (STOPS[0], STOPS[-1]))
    assert free.instead.spent <= dear.instead.spent
    assert free.instead.failures >= dear.instead.failures
    assert free.differs <= free.turns


def test_where_only_the_asked_model_is_allowed_nothing_differs(recorded: list[Event]) -> None:
    asked = next(iter(Timeline(recorded).sessions.values())).turns[0].asked
    assert asked is not None
    found = what_if(recorded, load_book({}), Policy(allow=(asked.model,)), 0.0)
    assert not found.differs
    assert found.instead.spent == pytest.approx(found.run.spent)
    assert "Runs the same on every turn." in plain(lines_of(found, 0, 74))


@pytest.mark.parametrize("width", [50, 70, 108])
def test_the_panel_fits_and_says_how_far_to_trust_it(recorded: list[Event], width: int) -> None:
    found = what_if(recorded, load_book({}), Policy(), 0.0)
    lines = lines_of(found, 0, width)
    text = " ".join(plain(lines).split())
    assert all(width_of(line) <= max(width, 56) for line in lines)
    assert "not observed" in text and "effective sample" in text
    assert slider(0, width).index("●") < slider(5, width).index("●")


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_of_the_panel_replays(recorded: list[Event], name: str) -> None:
    found = what_if(recorded, load_book({}), Policy(), 2.0, name)
    text = plain(lines_of(found, 2, 90))
    assert name in text and found.run.spent > 0 and found.most >= found.instead.spent
    if name == "as asked":
        assert not found.differs and found.instead.spent == pytest.approx(found.run.spent)


def test_hindsight_undercuts_every_other_policy(recorded: list[Event]) -> None:
    book = load_book({})
    spent = {name: what_if(recorded, book, Policy(), 2.0, name).instead.spent for name in POLICIES}
    assert all(spent["best in hindsight"] <= usd + 1e-9 for usd in spent.values())


async def test_the_key_opens_moves_and_closes_it(recorded: list[Event]) -> None:
    app = Screens(EventSource(recorded, "recording"), clock=lambda: recorded[-1].ts)
    async with app.run_test(size=(100, 30)) as pilot:
        panel, turns = app.query_one("#whatif", WhatIfPanel), app.query_one("#turns", Turns)

        def says(row: int, words: str) -> bool:
            return panel.rows() > row and words in plain([panel.row(row, 74)])

        await pilot.press("w")
        await until(pilot, lambda: panel.rows() > 1 and says(0, "$5.00"))
        assert panel.display and not app.query_one("#why").display
        await pilot.press("left", "left", "left")
        await until(pilot, lambda: panel.rows() > 1 and says(0, "$0.00"))
        await until(pilot, lambda: "≠" in turns.render_line(1).text)
        await pilot.press("n")
        await until(pilot, lambda: says(1, POLICIES[1]))
        await pilot.press("escape")
        await until(pilot, lambda: app.query_one("#why").display and not panel.display)
        await until(pilot, lambda: "≠" not in turns.render_line(1).text and app.focused is turns)


@pytest.mark.parametrize("size", [(100, 30), (100, 24), (60, 20)])
async def test_nothing_is_cut_off_beside_a_scrollbar(recorded: list[Event], size: tuple[int, int]) -> None:
    """A panel that scrolls is a column narrower than it was when its lines were laid out."""
    app = Screens(EventSource(recorded, "recording"), clock=lambda: recorded[-1].ts)
    async with app.run_test(size=size) as pilot:
        for panel in (app.query_one("#why", Why), app.query_one("#whatif", WhatIfPanel)):
            await until(pilot, lambda panel=panel: panel.display and panel.rows() > 5)
            await until(pilot, lambda panel=panel: panel.show_vertical_scrollbar is (panel.rows() > panel.size.height))
            lines = [panel.row(index, 0) for index in range(6, panel.rows())]
            assert max(map(width_of, lines)) <= panel.scrollable_content_region.width
            assert size[0] < 100 or "…" not in plain(lines)
            await pilot.press("w")


async def test_a_replay_that_comes_late_is_not_shown_for_another_session(recorded: list[Event]) -> None:
    app = Screens(EventSource(recorded, "recording"), clock=lambda: recorded[-1].ts)
    async with app.run_test(size=(100, 30)) as pilot:
        panel = app.query_one("#whatif", WhatIfPanel)
        await pilot.press("w")
        await until(pilot, lambda: panel.rows() > 1)
        found, own = panel._found, app._current
        assert found is not None and own is not None
        panel._found = None
        app._replayed(found, "another one")
        assert panel._found is None
        app._replayed(found, own)
        assert panel._found is found
