"""What is on screen, as plain text: goldens for three widths, and the rules that the pictures must not break.

The goldens are files in ``goldens/``; ``POINTSMAN_GOLDENS=write pytest tests/tui`` writes them anew.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pointsman.core.certificate import Record, Served
from pointsman.core.decisions import BreakEven, Candidate, Meter, Rule
from pointsman.core.events import Routed
from pointsman.core.rows import SessionRow, Totals
from pointsman.core.timeline import Timeline
from pointsman.core.types import Belief, Config
from pointsman.tui import pinning, view
from pointsman.tui.because import because
from pointsman.tui.certified import slices
from pointsman.tui.figures import Line, plain, width_of
from pointsman.tui.guide import turns_title
from pointsman.tui.lanes import labels, lanes_of
from pointsman.tui.reasons import fail_interval, failure
from samples import HAIKU, LADDER, OPUS, SONNET, Story, afternoon, api_fix

GOLDENS = Path(__file__).parent / "goldens"
LIVE = view.Status(True, ":4141", "auto", "quality")
INNER = {72: 70, 100: 74, 140: 108}


def golden(name: str, text: str) -> None:
    """Compare with the golden file."""
    path = GOLDENS / f"{name}.txt"
    if os.environ.get("POINTSMAN_GOLDENS") == "write":
        path.write_text(text + "\n", encoding="utf-8")
    assert text + "\n" == path.read_text(encoding="utf-8")


def shown() -> tuple[Timeline, SessionRow, float]:
    events = afternoon()
    timeline = Timeline(events)
    return timeline, timeline.newest()[0], events[-1].ts + 20


@pytest.mark.parametrize("width", INNER)
def test_header_and_timeline(width: int) -> None:
    timeline, session, now = shown()
    lines = [view.header(timeline, now, LIVE, width), *view.timeline(session, INNER[width], timeline.outcomes)]
    lines += view.trend(session.turns, INNER[width])
    assert all(width_of(line) <= width for line in lines)
    golden(f"timeline-{width}", plain(lines))


@pytest.mark.parametrize("width", INNER)
@pytest.mark.parametrize("n", [14, 5])
def test_why(n: int, width: int) -> None:
    timeline, session, now = shown()
    turn = session.by_turn[n]
    assert turn.decision is not None
    lines = view.why(
        turn.decision, INNER[width], turn=turn, history=session.turns, outcomes=timeline.outcomes, now=now
    )
    assert all(width_of(line) <= INNER[width] for line in lines)
    golden(f"why-{n}-{width}", plain(lines))


def test_sessions_line_closing_and_pin_rows() -> None:
    timeline, session, now = shown()
    rows = pinning.pin_rows(session, timeline.outcomes, 66)
    lines: list[Line] = [*view.sessions(timeline.newest(), session.id, now, 22), view.line(session, now)]
    lines += [view.closing(session.totals, session.interrupted)]
    text = plain(lines) + "\n" + "\n".join(row.text.rstrip() for row in rows)
    text += "\n" + pinning.warm_note(session, now, 66).rstrip()
    golden("small", text)
    assert [row.running for row in rows] == [False, True, False]


@pytest.mark.parametrize("width", [20, 30, 40, 55, 72, 99, 200])
def test_nothing_is_wider_than_its_panel(width: int) -> None:
    timeline, session, now = shown()
    for turn in session.turns:
        assert turn.decision is not None
        lines = view.why(turn.decision, width, turn=turn, history=session.turns, now=now)
        assert all(width_of(line) <= width for line in lines)
    assert width_of(view.header(timeline, now, LIVE, width)) <= width
    if width >= 55:
        assert all(width_of(line) == width for line in view.timeline(session, width))


def test_a_narrow_header_keeps_today_and_net() -> None:
    timeline, _, now = shown()
    text = plain([view.header(timeline, now, LIVE, 60)])
    assert "today" in text and "net" in text


def test_what_a_subscription_pays_is_called_quota_in_the_header_and_over_the_turns() -> None:
    """Weights of a plan's quota at list price are no dollars, nor are they added up with dollars unsaid."""
    plan = Story("plan").turn()
    for i, event in enumerate(plan.events):
        if isinstance(event, Routed):
            plan.events[i] = replace(event, request=replace(event.request, auth="subscription"))
    alone, both = Timeline(plan.events), Timeline([*plan.events, *Story("key").turn().turn().events])

    def said(timeline: Timeline) -> str:
        return plain([view.header(timeline, plan.now, LIVE, 120)])

    paid = f"${alone.totals.spent:.3f}"
    assert f"today quota {paid} │" in said(alone) and "quota" not in said(Timeline(Story("key").turn().events))
    assert f"today ${both.totals.spent:.3f} ({paid} of it quota) │" in said(both)
    for timeline, id, word in ((alone, "plan", True), (both, "key", False)):
        assert (" · quota" in turns_title(timeline.sessions[id], {id: id}, 80)) is word


def test_a_negative_session_shows_a_minus_and_a_positive_one_a_plus() -> None:
    dear, cheap = (Timeline(Story("s").turn(config).events).totals for config in (OPUS, HAIKU))
    assert view.net(dear) == (f"≈−${abs(dear.net):.3f}", "bad")
    assert view.net(cheap)[0].startswith("≈+$")
    assert view.net(Timeline(Story("s").turn().events).totals) == ("$0.00", "")
    assert view.net(Totals())[0] == "–"


def test_a_pin_that_has_not_run_yet_is_shown_as_where_it_goes() -> None:
    story = Story("s").turn().pin(HAIKU)
    session = Timeline(story.events).sessions["s"]
    assert plain([view.line(session, story.now)]).startswith("sonnet-4-5·med → ▣ haiku-4-5")
    session = Timeline(story.turn(HAIKU).events).sessions["s"]
    assert plain([view.line(session, story.now)]).startswith("▣ haiku-4-5")


def test_turn_one_stays_on_the_asked_model() -> None:
    session = Timeline(Story("s").turn().events).sessions["s"]
    assert because(session.turns[0])[0] == "stay: asked model"


def test_fewer_than_thirty_outcomes_show_an_interval() -> None:
    timeline, session, _ = shown()
    decision = session.turns[-1].decision
    assert decision is not None
    assert "–" in failure(0.11, decision, 29)
    assert failure(0.11, decision, 30) == "11%"
    assert failure(None, decision, 30) == "–"
    low, high = fail_interval(0.11, decision.belief)
    assert low < 0.11 < high


def test_the_asked_lane_is_marked_and_the_pinned_one_shows_what_would_have_run() -> None:
    _, session, _ = shown()
    text = plain(view.timeline(session, 74))
    assert "h ‹s› o" in text
    assert "│  ○  ▣" in text


def test_a_moved_turn_draws_the_asked_models_track() -> None:
    story = Story("s").turn().turn(HAIKU)
    assert "●  ┃  │" in plain(view.timeline(Timeline(story.events).sessions["s"], 74))


def test_lane_letters_tell_the_tier_on_any_ladder() -> None:
    assert labels(tuple(config.model for config in LADDER)) == ("h", "s", "o")
    assert labels(("gpt-5.1-nano", "gpt-5.1-mini", "gpt-5.1")) == ("n", "m", "g")
    assert labels(("gemini-3-flash-lite", "gemini-3-flash", "gemini-3-pro")) == ("f", "l", "p")
    assert len(set(labels(("a-1", "a-2", "a-3", "a-4")))) == 4
    assert labels(()) == ()


def test_lanes_are_ordered_by_price_and_capped() -> None:
    _, session, _ = shown()
    assert lanes_of(session).models == tuple(config.model for config in LADDER)
    assert lanes_of(session, 2).models == (SONNET.model, OPUS.model)


def test_no_difficulty_is_an_answer() -> None:
    _, session, _ = shown()
    decision = session.turns[-1].decision
    assert decision is not None
    decision = replace(decision, breakevens=(BreakEven(HAIKU.model, None, "difficulty", None, 0.3),))
    assert "flips to haiku-4-5: at no difficulty" in plain(view.why(decision, 100))


def test_a_flip_in_difficulty_says_what_uplift_it_takes_and_what_there_is() -> None:
    (turn,) = Timeline(Story("s").turn(hard=Belief(-2.0, 1.0, 3)).events).sessions["s"].turns
    assert turn.decision is not None
    point = BreakEven(HAIKU.model, None, "difficulty", 0.62, Belief(-2.0).hard, 0.27, 0.09)
    decision = replace(turn.decision, breakevens=(point,))
    assert "difficulty above .62 (now .31; uplift +27 points there, +9 now)" in plain(view.why(decision, 100))


def test_a_flip_says_what_it_is_beside_where_the_belief_has_moved_inside_the_turn() -> None:
    """The costs stand as they were when the turn began: "above .60 (now .86)" would have flipped already."""
    (turn,) = Timeline(Story("s").turn(hard=Belief(4.5, 1.0, 3)).events).sessions["s"].turns
    assert turn.decision is not None
    decision = replace(turn.decision, breakevens=(BreakEven(HAIKU.model, None, "difficulty", 0.6, 0.5),))
    assert "difficulty above .60 (.50 when the turn began)" in plain(view.why(decision, 100))
    decision = replace(decision, breakevens=(BreakEven(HAIKU.model, None, "difficulty", 0.6, Belief(4.5).hard),))
    assert "difficulty below .60 (now .86)" in plain(view.why(decision, 100))


def test_an_alternative_that_is_cheaper_already_but_not_admitted_does_not_flip_to_itself() -> None:
    """"flips to opus: difficulty below .43 (now .49)" is where the model that was asked for becomes the cheaper one again."""
    (turn,) = Timeline(Story("s").turn(hard=Belief(0.0, 1.0, 3)).events).sessions["s"].turns
    decision = turn.decision
    assert decision is not None
    rows = tuple(replace(row, total_usd=2.0 if row.model == HAIKU.model else 3.0) for row in decision.candidates)
    points = (BreakEven(HAIKU.model, None, "requests", 0.0, 10.0), BreakEven(HAIKU.model, None, "difficulty", 0.43, 0.5))
    said = plain(view.why(replace(decision, candidates=rows, breakevens=points), 100))
    assert "flips to haiku-4-5: cheaper in all already, where you let it; no longer at difficulty below .43" in said
    alone = plain(view.why(replace(decision, candidates=rows, breakevens=points[:1]), 100))
    assert "cheaper in all already, where you let it" in alone and "no longer" not in alone


def test_a_veto_is_shown_with_its_reason_and_cannot_be_pinned_silently() -> None:
    story = Story("s").turn()
    timeline = Timeline(story.events)
    session = timeline.sessions["s"]
    decision = session.decision
    assert decision is not None and session.newest is not None
    vetoed = Candidate("claude-opus-4-5", "high", veto="its window is too small")
    session.newest.decision = replace(decision, candidates=(*decision.candidates[:2], vetoed))
    rows = pinning.pin_rows(session, 0, 66)
    assert rows[2].veto == "its window is too small"
    assert "⊘ its window is too small" in rows[2].text
    assert pinning.escalation(session) == (None, "opus-4-5·high cannot take this request: its window is too small")


def test_escalation_goes_one_rung_up_or_says_why_not() -> None:
    assert pinning.escalation(Timeline(Story("s").turn().events).sessions["s"])[0] == OPUS
    top = Timeline(Story("s", asked=OPUS).turn().events).sessions["s"]
    assert pinning.escalation(top) == (None, "opus-4-5·high is already the strongest model offered here")
    strange = Timeline(Story("s").turn().events).sessions["s"]
    assert strange.newest is not None
    strange.newest.served = Config("llama")
    assert "no ladder" in pinning.escalation(strange)[1]


def test_equal_names_are_numbered() -> None:
    events = Story("a", title="docs").turn().events + Story("b", title="docs", start=2e9).turn().events
    assert view.names(Timeline(events).newest()) == {"a": "docs", "b": "docs #2"}


def test_filter_words() -> None:
    _, session, _ = shown()
    assert [turn.n for turn in view.matching(session.turns, "opus")] == [5, 6, 7, 8]
    assert [turn.n for turn in view.matching(session.turns, "COLD pinned")] == [5]
    assert [turn.n for turn in view.matching(session.turns, "overkill")] == [8]
    assert [turn.n for turn in view.matching(session.turns, "bad")] == [4]
    assert len(view.matching(session.turns, " ")) == 14


def test_trouble_is_told_in_the_timeline() -> None:
    story = Story("s").turn().turn(HAIKU, status=529, error="overloaded")
    turn = Timeline(story.events).sessions["s"].turns[1]
    assert because(turn) == ("provider error 529", "bad")
    assert "overloaded" in plain(view.why(turn.decision, 90, turn=turn)) if turn.decision else False
    refused = Story("s").turn(reason="pin_refused", notices=("your pin on haiku cannot be honoured: images",))
    assert because(Timeline(refused.events).sessions["s"].turns[0])[0].startswith("your pin on haiku")


def test_a_session_without_a_finished_request_claims_nothing() -> None:
    session = Timeline(Story("s").turn(finish=False).events).sessions["s"]
    assert "$0.00" not in plain(view.timeline(session, 74))
    assert plain([view.closing(session.totals)]) == "no request was routed"
    assert view.line(session, 0.0)


def test_the_line_needs_the_standard_library_only() -> None:
    code = (
        "import sys; import pointsman.tui, pointsman.tui.view, pointsman.tui.reasons, pointsman.tui.guide; "
        "heavy = {'textual', 'rich', 'pydantic', 'msgspec', 'aiohttp', 'networkx', 'litellm'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_long_session_keeps_its_columns() -> None:
    story = api_fix()
    story.turn_number = 12_345
    story.turn()
    session = Timeline(story.events).sessions[story.session]
    lines = view.timeline(session, 74)
    assert all(width_of(line) == 74 for line in lines)
    assert "12346" in plain(lines)


def test_how_likely_the_person_corrects_a_turn_is_said_once_something_was_seen() -> None:
    session = shown()[1]
    turn = session.by_turn[14]
    assert turn.decision is not None and "correct" not in plain(view.why(turn.decision, 74, turn=turn))
    seen = replace(turn.decision, belief=replace(Belief(-1.0, 0.9, 12), pushed=0.234))
    for width in (60, 74, 108):
        lines = view.why(seen, width, turn=turn, history=session.turns, now=0.0)
        said = " ".join(plain(lines).split())
        assert "≈23% chance that you correct this turn" in said, "the line is wrapped, not cut"
        assert all(width_of(line) <= width for line in lines)


def test_a_certificate_for_another_effort_names_both() -> None:
    record = Record.of({("s", 1, Config("claude-sonnet-5-5", "low")): Served(
        Config("claude-sonnet-5-5", "high"), Config("claude-sonnet-5-5", "low"), "edit", False, 0.1, "/x")}, 0.1)  # fmt: skip
    (said,) = slices(record)
    assert said.startswith("sonnet-5-5·low for sonnet-5-5·high, edit tasks: 1 task served")


def test_two_certificates_that_only_their_efforts_tell_apart_do_not_read_the_same() -> None:
    told = {}
    for number, (asked, served) in enumerate((("claude-sonnet-5-5", "claude-haiku-5-5"), ("gpt-6-astra", "gpt-6-luna"))):
        for effort in (None, "medium") if number == 0 else (None,):
            key = Served(Config(asked, effort), Config(served, effort), "edit", False, 0.1, "/x")
            told[(f"s{number}{effort}", 1, key.served)] = key
    said = [line.partition(",")[0] for line in slices(Record.of(told, 0.1))]
    assert said == ["haiku-5-5 for sonnet-5-5", "haiku-5-5·med for sonnet-5-5·med", "gpt-6-luna for gpt-6-astra"]


@pytest.mark.parametrize("width", [38, 58, 70, 98])
def test_why_wraps_what_is_long_and_never_cuts_the_place_of_a_rule(width: int) -> None:
    _, session, now = shown()
    turn = session.turns[-2]
    assert turn.decision is not None
    place = "~/work/one/two/three/.pointsman.toml:14"
    veto = "vetoed: 3 of the 5 tasks it served on edit tasks failed, more than predicted"
    rows = (replace(turn.decision.candidates[0], veto=veto), *turn.decision.candidates[1:])
    meter = Meter("claude-opus-4-5", None, 0.123, 0.456, now - 600)
    decision = replace(turn.decision, candidates=rows, envelope=(meter,), rules=(Rule("protected: path src/sign_in/**", place),))
    text = plain(view.why(decision, width, turn=turn, history=session.turns, now=now))
    words = " ".join(text.split())
    assert veto in words and "; the switch costs ≈$0.456" in words and place in (words if width > 50 else place)
    assert "· net $" in words and "1 request" in words
