"""The read model: money by request, turn, session and day; unknown is counted and never 0; incremental equals afresh."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.core.codec import decode, encode
from pointsman.core.events import Event, Finished, Noted, Passed, Pinned, Routed, RunEnded, Unpinned
from pointsman.core.evolve import fold
from pointsman.core.pricing import billed_usd, cost
from pointsman.core.rows import SessionRow, Totals
from pointsman.core.timeline import Timeline
from pointsman.core.types import DAY, Config, Usage
from samples import HAIKU, OPUS, RATES, SONNET, START, Story, afternoon, api_fix


def session_of(story: Story) -> SessionRow:
    return Timeline(story.events).sessions[story.session]


def test_a_request_on_the_asked_model_costs_the_same_as_asked() -> None:
    session = session_of(Story("s").turn().turn())
    bill = [cost(row.usage, RATES[SONNET.model]) for turn in session.turns for row in turn.requests if row.usage]
    assert session.totals.spent == pytest.approx(sum(bill)) == pytest.approx(session.totals.asked)
    assert session.totals.net == pytest.approx(0.0)
    assert not session.totals.modelled


def test_a_cheaper_model_saves_and_a_dearer_one_shows_a_minus() -> None:
    cheap = session_of(Story("s").turn(HAIKU)).totals
    dear = session_of(Story("s").turn(OPUS)).totals
    assert cheap.net > 0 > dear.net
    assert cheap.modelled and dear.modelled
    assert cheap.net == pytest.approx(cheap.asked - cheap.spent)


def test_a_request_without_usage_is_unknown_and_never_zero() -> None:
    session = session_of(Story("s").turn().turn(billed=False))
    assert session.totals.unknown == 1
    assert session.turns[1].requests[0].billed is None
    assert session.turns[1].requests[0].unknown
    assert session.turns[1].cache_share is None


def test_an_error_of_the_provider_is_neither_billed_nor_unknown() -> None:
    totals = session_of(Story("s").turn(status=529, error="overloaded")).totals
    assert (totals.errors, totals.unknown, totals.spent) == (1, 0, 0.0)


def test_a_cut_stream_is_a_lower_bound() -> None:
    session = session_of(Story("s").turn(usage=Usage(fresh=100, output=5, complete=False)))
    assert session.totals.bounded == 1
    assert session.turns[0].requests[0].at_least


def test_server_side_requests_are_billed_at_their_own_models_price() -> None:
    inner, outer = Usage(fresh=1_000), Usage(fresh=10)
    usage = replace(outer, extra=((OPUS.model, inner),))
    expected = cost(outer, RATES[SONNET.model]) + cost(inner, RATES[OPUS.model])
    assert billed_usd(usage, RATES[SONNET.model], RATES) == (pytest.approx(expected), False)
    assert billed_usd(usage, RATES[SONNET.model], {})[1], "without a price for it the bill is only a lower bound"


def test_a_move_without_a_counterfactual_leaves_net_to_what_is_known() -> None:
    story = Story("s").turn().turn(HAIKU)
    last = story.events[-1]
    assert isinstance(last, Finished)
    story.events[-1] = replace(last, asked_usage=None, asked_rates=None)
    totals = session_of(story).totals
    assert totals.unknown_asked == 1
    assert totals.net == pytest.approx(0.0)
    assert totals.asked < totals.spent + 1e-9


def test_side_traffic_and_sub_agents_belong_to_their_turn_and_open_none() -> None:
    story = Story("s")
    story.request(HAIKU, kind="side", lane="side", purpose="side", reason="side", grow=0)
    story.turn(requests=2).request(HAIKU, kind="subagent", lane="agent-1", reason="subagent", grow=0)
    session = session_of(story)
    assert [turn.n for turn in session.turns] == [1]
    assert [row.kind for row in session.turns[0].requests] == ["side", "main", "main", "subagent"]
    assert session.turns[0].totals.spent == pytest.approx(session.totals.spent)
    assert set(session.lanes) == {"side", "main", "agent-1"}
    assert session.turns[0].models == (HAIKU.model, SONNET.model)


def test_compaction_opens_no_turn() -> None:
    session = session_of(Story("s").turn().request(purpose="compaction", reason="compaction"))
    assert len(session.turns) == 1
    assert len(session.turns[0].requests) == 2


def test_the_turns_decision_is_its_first_unless_a_later_one_moves() -> None:
    story = Story("s").turn(requests=2)
    turn = session_of(story).turns[0]
    assert turn.decision is not None and turn.decision.id == "s-1"
    story.request(OPUS, action="escalate", reason="escalate").request(OPUS, reason="sticky")
    turn = session_of(story).turns[0]
    assert turn.decision is not None and turn.decision.reason == "escalate"
    assert turn.config == OPUS


def test_decisions_that_nobody_asks_for_are_let_go_unless_kept() -> None:
    story = Story("s").turn(requests=4).turn()
    kept = [row.decision is not None for turn in session_of(story).turns for row in turn.requests]
    assert kept == [True, False, False, False, True]
    every = Timeline(story.events, keep=True).sessions["s"]
    assert all(row.decision for turn in every.turns for row in turn.requests)


def test_marks_beat_checks_and_undo_brings_the_check_back() -> None:
    story = Story("s").turn().signal("check_passed")
    assert session_of(story).turns[0].outcome == "good"
    assert session_of(story.mark(1, "bad")).turns[0].outcome == "bad"
    assert session_of(story.mark(1, "bad", undo=True)).turns[0].outcome == "good"


def test_a_turn_is_running_until_its_request_ends() -> None:
    story = Story("s").turn().turn(finish=False)
    timeline = Timeline(story.events)
    session = timeline.sessions["s"]
    assert [turn.outcome for turn in session.turns] == ["unknown", "running"]
    assert session.running
    assert timeline.outcomes == 0


def test_a_request_its_lane_left_behind_is_unknown_until_a_late_answer() -> None:
    story = Story("s").turn(finish=False)
    routed = story.events[-1]
    story.turn()
    timeline = Timeline(story.events)
    assert timeline.sessions["s"].totals.unknown == 1
    late = Finished(story.now, "s", "s-1", 200, "final", START, START + 9, usage=Usage(fresh=10), rates=RATES[SONNET.model])
    timeline.apply(late)
    assert isinstance(routed, Routed)
    assert timeline.sessions["s"].totals.unknown == 0
    assert timeline.sessions["s"].totals.requests == 2


def test_the_end_of_a_run_gives_up_what_is_open() -> None:
    story = Story("s").run("r1").turn(finish=False)
    timeline = Timeline([*story.events, RunEnded(story.now, "r1", 0)])
    session = timeline.sessions["s"]
    assert session.ended and not session.running
    assert session.totals.unknown == 1


def test_a_refused_change_is_remembered_and_billed_once() -> None:
    story = Story("s").turn(HAIKU)
    last = story.events[-1]
    assert isinstance(last, Finished)
    story.events[-1] = replace(last, served=SONNET, rates=RATES[SONNET.model], resent=True, asked_usage=None, asked_rates=None)
    turn = session_of(story).turns[0]
    assert turn.refused == [HAIKU]
    assert turn.config == SONNET
    assert turn.totals.net == pytest.approx(0.0)


def test_finishing_twice_counts_the_last_word_only() -> None:
    story = Story("s").turn()
    once = session_of(story).totals.spent
    story.events.append(story.events[-1])
    assert session_of(story).totals.spent == pytest.approx(once)
    assert session_of(story).totals.requests == 1


def test_days_split_where_the_day_function_says() -> None:
    story = Story("s", start=DAY * 20_000 - 120).turn().turn(gap=3_600)
    timeline = Timeline(story.events)
    first, second = timeline.today(DAY * 20_000 - 1), timeline.today(DAY * 20_000 + 4_000)
    assert first.requests == second.requests == 1
    assert first.spent + second.spent == pytest.approx(timeline.totals.spent)
    assert timeline.today(0.0).requests == 0


def test_pins_of_a_session_and_pins_that_always_hold() -> None:
    story = Story("s", cwd="/a").turn()
    timeline = Timeline([*story.events, Pinned(story.now, None, OPUS, "always", "pointsman pin", "/a")])
    session = timeline.sessions["s"]
    assert session.pin is not None and session.pin.config == OPUS
    for event in Story("later", cwd="/a", start=story.now).turn().events:
        timeline.apply(event)
    assert timeline.sessions["later"].pin is session.pin
    for event in Story("elsewhere", cwd="/b", start=story.now).turn().events:
        timeline.apply(event)
    assert timeline.sessions["elsewhere"].pin is None
    timeline.apply(Unpinned(story.now, None, "always", "pointsman unpin", "unpinned by you", "/a"))
    assert session.pin is None
    assert session.notices[-1] == "unpinned by you"


def test_interrupted_answers_are_counted() -> None:
    story = Story("s").turn()
    last = story.events[-1]
    assert isinstance(last, Finished)
    story.events[-1] = replace(last, stop="hangup")
    assert session_of(story).interrupted == 1


def test_wait_cold_and_cache_share() -> None:
    session = session_of(Story("s").turn().turn())
    first, second = session.turns
    assert first.cold and not second.cold
    assert second.cache_share is not None and 0.8 < second.cache_share < 1
    assert second.requests[0].wait_s == pytest.approx(0.8)
    assert second.wait_s == second.requests[0].duration_s


def test_names_fall_back_from_title_to_folder_to_id() -> None:
    long = "abcdefghijklmnop"
    stories = Story(long, title="api-fix"), Story("s", cwd="/home/ada/api/"), Story(long, cwd="")
    assert [session_of(story.turn()).name for story in stories] == ["api-fix", "api", "abcdefghijkl"]


def test_a_session_is_named_by_its_person_and_not_by_housekeeping_that_came_first() -> None:
    story = Story("s", title="Generate a title for this conversation:")
    story.turn().request(HAIKU, kind="side", lane="side", purpose="side", reason="side", grow=0)
    routed = [event for event in story.events if isinstance(event, Routed)]
    own = replace(routed[0], request=replace(routed[0].request, title="mend the parser"))
    first, second = routed[-1], own
    assert first.decision.place.kind == "side" and second.decision.place.kind == "main"
    assert Timeline([first, second]).sessions["s"].name == "mend the parser"
    found = fold([first, second])
    assert found is not None and found.title == "mend the parser"


def test_events_without_a_session_are_counted_or_kept() -> None:
    timeline = Timeline([Passed(START, "GET", "/v1/models", 200, "not ours"), Noted(START, "locked", "the ledger is locked")])
    assert timeline.passed == 1
    assert timeline.notes[0].code == "locked"
    assert timeline.apply(Finished(START, "nobody", "x", 200, "final", START, START)) is None


def test_a_timeline_of_the_newest_events_only_still_stands() -> None:
    events = api_fix().events
    for start in range(0, len(events), 7):
        session = Timeline(events[start:]).sessions.get(api_fix().session)
        assert session is None or session.turns == [] or session.turns[-1].n == 14


def test_what_the_ledger_stores_folds_to_the_same_figures() -> None:
    stored: list[Event] = [decode(type(event).__name__, encode(event)) for event in afternoon()]
    assert figures(Timeline(stored)) == figures(Timeline(afternoon()))


def figures(timeline: Timeline) -> list[tuple[float, ...]]:
    groups = [timeline.totals, *(s.totals for s in timeline.newest()), *(t.totals for s in timeline.newest() for t in s.turns)]
    return [(t.requests, t.unknown, t.errors, round(t.spent, 9), round(t.asked, 9), round(t.net, 9)) for t in groups]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["asked", "cheap", "dear", "open", "unbilled", "error", "side", "agent"]), max_size=25))
def test_totals_are_the_sum_of_their_rows_whatever_happened(steps: list[str]) -> None:
    story = Story("s")
    for step in steps:
        match step:
            case "side":
                story.request(HAIKU, kind="side", lane="side", purpose="side", reason="side", grow=0)
            case "agent":
                story.request(kind="subagent", lane="agent", reason="subagent", grow=0)
            case "error":
                story.turn(status=500)
            case _:
                target: dict[str, Config] = {"cheap": HAIKU, "dear": OPUS}
                story.turn(target.get(step), finish=step != "open", billed=step != "unbilled")
    timeline = Timeline(story.events)
    session = timeline.sessions.get("s")
    rows = [row for turn in session.turns for row in turn.requests] + session.early if session else []
    afresh = Totals()
    for row in rows:
        if not row.running:
            afresh.add(row)
    assert timeline.totals.spent == pytest.approx(afresh.spent)
    assert timeline.totals.net == pytest.approx(afresh.net)
    assert (timeline.totals.requests, timeline.totals.unknown) == (afresh.requests, afresh.unknown)
    if session:
        by_lane = sum(lane.totals.spent for lane in session.lanes.values())
        assert session.totals.spent == pytest.approx(by_lane)
