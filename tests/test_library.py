"""The library's promises to an embedder: names, pools, steering, long-gone sessions, and what misuse is told."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable
from typing import Any

import pytest

from playbook import (
    TOOLS,
    Play,
    again,
    check,
    client_asks,
    pin,
    says,
    stay,
    subagent,
    switch,
    turn,
    turns,
    unmoved,
    unpin,
    upstream_says,
)
from pointsman import Router, Settings, engine
from pointsman.core import sessions
from pointsman.core.book import Book
from pointsman.core.candidates import check_odds
from pointsman.core.events import Checked, Event, Finished, Noted, Pinned, RunStarted, Signalled
from pointsman.core.policy import CHECK_FALSE_ALARM, CHECK_RECALL
from pointsman.core.types import Config
from pointsman.errors import DecisionError, SettingsError, WireError
from pointsman.shell.prices import load_book

OPUS, SONNET, HAIKU = "claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"
T0 = 1_800_000_000.0


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book()


def chat(*texts: str, model: str = OPUS, **more: Any) -> dict[str, Any]:
    """Arguments of a route: a plain Messages conversation of a client that nobody knows."""
    talk = [{"role": "user" if i % 2 == 0 else "assistant", "content": text} for i, text in enumerate(texts)]
    body = json.dumps({"model": model, "max_tokens": 500, "messages": talk, **more}).encode()
    return {"path": "/v1/messages", "headers": {}, "body": body, "now": T0, "dice": 0.5}


def test_the_calls_are_as_documented() -> None:
    route = set(inspect.signature(Router.route).parameters)
    finish = set(inspect.signature(Router.finish).parameters)
    assert {"path", "headers", "body", "now", "dice"} <= route
    assert {"id", "usage", "status", "started", "first_byte", "ended"} <= finish
    assert list(inspect.signature(Router).parameters) == ["settings", "book", "events"]


def test_every_setting_of_the_library_is_taken_and_a_typo_is_an_error(book: Book) -> None:
    Router(
        Settings(pool=[HAIKU, SONNET, OPUS], asked=OPUS, profile="balanced", consent_up=True, failure_usd=0, check=True,
                 check_recall=0.8, check_false_alarm=0.0, seed=7), book,
    )  # fmt: skip
    with pytest.raises(SettingsError, match=r"failure_usd"):
        Settings(failure_us=1.0)  # type: ignore[call-arg]


@pytest.mark.parametrize("wrong", [{"pool": ["claude-hiaku-5-5"]}, {"asked": "no-such-model"}, {"deny": ["opsu"]}])
def test_settings_that_name_no_model_are_refused_at_once(book: Book, wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="has no price"):
        Router(Settings(**wrong), book)


def test_a_route_says_where_it_goes_and_its_candidates_what_they_cost(book: Book) -> None:
    router = Router(Settings(), book)
    routed = router.route(**{**chat("hello"), "headers": {"X-API-Key": "k", "User-Agent": "x"}})
    assert (routed.model, routed.protocol, routed.path, routed.effort) == (OPUS, "messages", "/v1/messages", None)
    assert isinstance(routed.id, str) and isinstance(routed.upstream, str) and isinstance(routed.body, bytes)
    assert routed.upstream == "https://api.anthropic.com"
    own = Router(Settings(upstreams={"anthropic": "https://proxy.example/v1"}), book).route(**chat("hello"))
    assert own.upstream == "https://proxy.example/v1"
    for row in routed.decision.candidates:
        assert row.model and row.input_usd is not None and row.cache_read >= 0 and row.cache_write >= 0 and 0 <= row.p_warm <= 1


@pytest.mark.parametrize("dice", [1.0, -0.1, float("nan"), float("inf")])
def test_dice_out_of_range_are_refused(book: Book, dice: float) -> None:
    with pytest.raises(DecisionError, match="dice"):
        Router(Settings(), book).route(**{**chat("hello"), "dice": dice})


def test_a_body_that_is_text_is_refused_in_words(book: Book) -> None:
    with pytest.raises(WireError, match="not bytes"):
        Router(Settings(), book).route(**{**chat("hello"), "body": "{}"})


def test_finishing_twice_or_something_unknown_changes_nothing(book: Book) -> None:
    router = Router(Settings(), book)
    routed = router.route(**chat("hello"))
    for id in (routed.id, routed.id, "never-routed"):
        router.finish(id, usage={"input_tokens": 900, "output_tokens": 9}, status=200, started=T0, ended=T0 + 1)
    assert len([event for event in router.events() if isinstance(event, Finished)]) == 1
    with pytest.raises(DecisionError, match="not|never|finished"):
        router.refuse(routed.id, 400, T0)


def test_a_signal_for_a_session_that_never_spoke_is_recorded_and_said_to_move_nothing(book: Book) -> None:
    router = Router(Settings(), book)
    router.signal(session="nobody", kind="check_failed", now=T0)
    events = router.events()
    assert [type(event) for event in events] == [Noted, Signalled] and "nobody" in events[0].text  # type: ignore[union-attr]
    assert not router.sessions


def test_tier_names_in_the_settings_mean_models(book: Book) -> None:
    router = Router(Settings(deny=["fable"], pool=["haiku", "opus"], consent_up=True), book)
    assert (router.policy.pool, router.policy.deny) == ((HAIKU, OPUS), ("claude-fable-5-1",))


def test_an_asked_model_outside_the_pool_stands_where_its_ability_puts_it(book: Book) -> None:
    play = Play(book, Settings(pool=["haiku", "opus"]), model="sonnet")
    play >> turn() << stay("sonnet")
    assert [row.model for row in play.decision.candidates] == [HAIKU, SONNET, OPUS]


def test_a_pool_of_one_and_a_pool_of_two_vendors_stay(book: Book) -> None:
    alone = Play(book, Settings(pool=[OPUS]), model="opus")
    alone >> turn() << stay("opus", because="no_ladder") << unmoved()
    mixed = Play(book, Settings(pool=["gpt-6-luna", OPUS], profile="saver", failure_usd=0), model="opus")
    mixed >> turn() << stay("opus") << unmoved()
    assert "no upstream with a key of its own" in (mixed.decision.candidates[0].veto or "")


def test_a_requested_name_that_is_no_model_stays_even_with_a_pool(book: Book) -> None:
    play = Play(book, Settings(pool=[HAIKU, OPUS]), model="router-auto")
    play >> turn() << stay(because="unpriced") << unmoved()


def test_the_asked_model_of_the_settings_replaces_the_main_lanes_only(book: Book) -> None:
    play = Play(book, Settings(asked="opus"), model="haiku")
    play >> turn()
    assert play.routes[-1].model == OPUS and play.routes[-1].changed
    play >> subagent() << stay("haiku", because="subagent") << unmoved()


def test_observing_sends_the_very_bytes_whatever_the_settings_ask(book: Book) -> None:
    play = Play(book, Settings(asked="opus", mode="observe"), model="haiku")
    play >> turn() << unmoved() >> pin("opus") >> turn() << unmoved() << says("observing changes nothing")


def test_consent_to_go_up_does_not_admit_the_weaker_model_that_a_pin_left_behind(book: Book) -> None:
    play = Play(book, Settings(consent_up=True), model="opus")
    play >> turn() >> pin("haiku") >> turn() << switch("haiku", because="pin")
    play >> unpin() >> turn() << switch("opus", because="asked") << says("Back to opus")


def test_a_model_nobody_prices_chosen_in_the_client_is_honoured(book: Book) -> None:
    play = Play(book, Settings(), model="opus")
    play >> turn() >> client_asks("my-finetune") >> turn() << stay("my-finetune", because="pin") << unmoved()
    assert not play.decision.notices


def test_a_pin_set_between_a_failure_and_its_retry_is_heard(book: Book) -> None:
    play = Play(book, Settings(), model="opus")
    play >> turn() >> upstream_says(529) >> turn() << stay("opus") >> pin("sonnet") >> again() << switch("sonnet", because="pin")
    play >> unpin() >> again() << switch("opus", because="asked")


def test_a_pin_for_a_turn_that_cannot_be_honoured_ends_with_its_turn_too(book: Book) -> None:
    play = Play(book, Settings(), model="opus")
    play >> turn()
    play.router.note(Pinned(play.now, play.session, Config("gpt-6.1-sol"), "turn", "pointsman pin"))
    play >> turn() << stay("opus", because="pin_refused") >> turn() << stay("opus", because="asked")


def test_the_fallback_that_a_client_goes_on_with_is_never_taken_for_a_pin(book: Book) -> None:
    play = Play(book, Settings(), model="opus")
    play >> turn() >> upstream_says(529) >> turn()
    play >> client_asks("haiku") >> upstream_says(200) >> again() >> turn() >> turn()
    assert not [event for event in play.router.events() if isinstance(event, Pinned)]
    assert play.decision.chosen.model == HAIKU and play.decision.reason == "asked"
    play >> client_asks("sonnet") >> turn() << stay("sonnet", because="pin")


def test_what_asks_for_json_is_work_unless_its_client_is_known(book: Book) -> None:
    schema = {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}
    routed = Router(Settings(), book).route(**chat("Extract the name.", **schema))
    assert (routed.model, routed.decision.reason) == (OPUS, "asked")


def remembering(book: Book) -> tuple[engine.Router, dict[str, list[Event]], list[str]]:
    """A router with a ledger beside it, the ledger, and the names that were recalled."""
    ledger: dict[str, list[Event]] = {}
    recalled: list[str] = []

    def recall(name: str) -> Iterable[Event]:
        recalled.append(name)
        return list(ledger.get(name, ()))

    return engine.Router(Settings().policy(), book, recall=recall), ledger, recalled


def talk(router: engine.Router, ledger: dict[str, list[Event]], now: float, *texts: str, **more: Any) -> engine.Route:
    """One request and its answer; its events go to the ledger."""
    routed = router.route(**{**chat(*texts, **more), "now": now})
    router.finish(routed.id, usage={"input_tokens": 2_000, "output_tokens": 9}, status=200, started=now, ended=now + 2)
    for event in router.events():
        ledger.setdefault(event.session or "", []).append(event)  # type: ignore[union-attr]
    return routed


def test_only_so_many_sessions_are_held_and_the_rest_are_recalled(book: Book) -> None:
    router, ledger, _ = remembering(book)
    many = sessions.SESSIONS_KEPT * 3
    first = talk(router, ledger, T0, "task number 0").decision.place.session
    for n in range(1, many):
        talk(router, ledger, T0 + n * 10, f"task number {n}")
    assert len(router.sessions) <= sessions.SESSIONS_KEPT and len(ledger) == many and first not in router.sessions
    later = T0 + many * 10
    assert router.pin("sonnet", session=first, now=later).session == first
    routed = talk(router, ledger, later + 1, "task number 0", "done", "and now this")
    assert (routed.decision.place.session, routed.decision.place.turn, routed.model) == (first, 2, SONNET)


def test_of_conversations_that_began_alike_the_one_that_goes_on_is_recalled(book: Book) -> None:
    router, ledger, _ = remembering(book)
    first = talk(router, ledger, T0, "hi").decision.place.session
    talk(router, ledger, T0 + 5, "hi", "Hello.", "fix the test")
    second = talk(router, ledger, T0 + 9, "hello").decision.place.session
    fresh, own, recalled = remembering(book)
    own.update(ledger)
    routed = talk(fresh, own, T0 + 90_000, "hi", "Hello.", "fix the test", "Done.", "and the docs")
    assert routed.decision.place.session == first != second and recalled[0] == first
    assert (routed.decision.place.turn, routed.decision.place.kept) == (3, 3)


def test_requests_that_are_never_finished_do_not_pile_up(book: Book) -> None:
    router = Router(Settings(), book)
    for n in range(300):
        router.route(**{**chat(f"task {n}"), "now": T0 + n * 60})
    assert len(router._open) <= sessions.LOST_S / 60 + 2
    for n in range(300, 300 + sessions.SESSIONS_KEPT * 2):
        router.route(**{**chat(f"task {n}"), "now": T0 + n * 60})
    assert len(router.sessions) <= sessions.SESSIONS_KEPT


def test_a_moved_session_follows_the_effort_its_client_asks_for_now(book: Book) -> None:
    router = Router(Settings(profile="saver", failure_usd=0, efforts=False), book)
    headers = {"x-claude-code-session-id": "s", "user-agent": "claude-cli/2.1.330"}
    tools = {"tools": [{"name": "Bash", "input_schema": {"type": "object"}}], "output_config": {"effort": "high"}}
    first = router.route(**{**chat("do it", **tools), "headers": headers})
    router.finish(first.id, usage={"input_tokens": 9_000, "output_tokens": 9}, status=200, started=T0, ended=T0 + 1)
    later = {**chat("do it", "ok", "next", **{**tools, "output_config": {"effort": "low"}}), "headers": headers, "now": T0 + 9}
    second = router.route(**later)
    assert (first.model, first.effort, second.model, second.effort) == (SONNET, "high", SONNET, "low")
    assert "$-" not in second.decision.sentence


def test_a_run_tells_what_its_client_does_not(book: Book) -> None:
    router = Router(Settings(), book)
    router.note(RunStarted(T0, "r1", "aider", "/home/dev/calc", False))
    router.note(RunStarted(T0, "r2", "aider", "/home/dev/other", False))
    silent = router.route(**chat("hello"), run="r1").decision.place.session
    assert (router.sessions[silent].cwd, router.sessions[silent].interactive, silent) == ("/home/dev/calc", False, "run-r1")
    headers = {"x-claude-code-session-id": "s", "user-agent": "claude-cli/2.1.330 (external, cli)"}
    router.route(**{**chat("hello"), "headers": headers}, run="r1")
    assert router.sessions["s"].interactive is True, "what the client says of itself counts more"


def test_a_refused_change_is_noted_with_who_refused_it(book: Book) -> None:
    play = Play(book, Settings(), model="opus")
    play >> turn() >> pin("sonnet")
    play.talk.append({"role": "user", "content": [{"type": "text", "text": "go on"}]})
    body = json.dumps({"model": OPUS, "max_tokens": 9, "messages": play.talk, "tools": TOOLS}).encode()
    for upstream in ("https://proxy.example", ""):
        routed = engine.Router.route(
            play.router, path="/v1/messages", headers={"x-claude-code-session-id": play.session}, body=body, now=play.now + 60,
            dice=0.5, upstream=upstream,
        )  # fmt: skip
        play.router.refuse(routed.id, 400, play.now + 61)
        noted = [event for event in play.router.events() if isinstance(event, Noted)][-1]
        assert noted.text.startswith(f"{upstream or 'the provider'} refused {SONNET}") and noted.text.endswith(OPUS)


def test_a_pin_that_cannot_be_meant_says_what_could(book: Book) -> None:
    play = Play(book, Settings(), model="opus")
    play >> turn()
    with pytest.raises(SettingsError, match="did you mean .*sonnet"):
        play.router.pin("sonet", session=play.session, now=play.now)
    with pytest.raises(SettingsError, match="`pointsman prices`"):
        play.router.pin("zzzzqqqq", session=play.session, now=play.now)
    with pytest.raises(SettingsError, match="no effort 'warp': it takes"):
        play.router.pin("opus:warp", session=play.session, now=play.now)
    with pytest.raises(SettingsError, match="no session 'nobody'"):
        play.router.pin("opus", session="nobody", now=play.now)


def test_a_pins_rule_says_how_long_it_holds(book: Book) -> None:
    for scope, said in (("session", "for this session"), ("turn", "for this turn"), ("always", "always")):
        play = Play(book, Settings(), model="opus")
        play >> turn() >> pin("sonnet", scope) >> turn()
        assert play.decision.rules[0].name == f"pin {SONNET} {said}" and play.decision.rules[0].origin == "pointsman pin"


def test_a_failed_check_may_send_the_agent_on_only_so_often_in_one_task(book: Book) -> None:
    play = Play(book, Settings(check=True), model="opus")
    play >> turn("fix it")

    def checked(verdict: Any = "check_failed") -> bool:
        play.now += 9
        event = Checked(play.now, play.session, "tests", verdict, "1 failed", 2.0, sent_back=True)
        return play.router.checked(event, retries=1).sent_back

    assert not checked("check_unsure") and checked() and not checked()
    play >> turn("Now for something else: write the notes for the release of next week.", pause=9_000) << turns(2)
    assert checked(), "a new task starts the count again"


@pytest.mark.parametrize(("usd", "back"), [(0.0, False), (0.02, False), (50.0, True)])
def test_a_next_try_that_is_not_worth_its_price_is_not_made_and_says_why(book: Book, usd: float, back: bool) -> None:
    play = Play(book, Settings(profile="balanced", check=True, failure_usd=usd), model="opus")
    play >> turn("fix it", context=60_000)
    event = Checked(play.now + 9, play.session, "tests", "check_failed", "1 failed", 2.0, sent_back=True)
    said = play.router.checked(event, retries=1)
    assert said.sent_back is back
    assert ("is worth ≈$" in said.stopped) is not back, said.stopped
    assert play.router.sessions[play.session].sent_back == back
    plain = Play(book, Settings(check=True, failure_usd=usd), model="opus") >> turn("fix it", context=60_000)
    event = Checked(plain.now + 9, plain.session, "tests", "check_failed", "1 failed", 2.0, sent_back=True)
    assert plain.router.checked(event, retries=1).sent_back, "profile quality makes the tries that are set"


def test_what_checks_say_is_learned_and_read_again_from_the_ledger(book: Book) -> None:
    play = Play(book, Settings(check=True, check_recall=0.9, check_false_alarm=0.05), model="opus")
    for n in range(6):
        play >> turn(f"fix number {n}, which is something else altogether") >> check(False)
    known = play.router.learned.abilities
    assert known.seen == 6 and known.models[OPUS].mean < 0.0 < known.tasks.mean
    events = play.router.events()
    told = [dict(e.detail) for e in events if isinstance(e, Signalled)]
    assert told and all((d["recall"], d["false_alarm"]) == ("0.9", "0.05") for d in told)
    assert Router(Settings(check=True), book, events).learned == play.router.learned


def test_a_pin_that_always_holds_in_a_folder_holds_in_no_other(book: Book) -> None:
    router = Router(Settings(), book)
    for run, folder in (("r1", "/a"), ("r2", "/b")):
        router.note(RunStarted(T0, run, "aider", folder, True))
    router.pin("sonnet", scope="always", cwd="/a", now=T0)
    assert router.route(**chat("one"), run="r1").model == SONNET
    assert router.route(**chat("two"), run="r2").model == OPUS
    router.pin("haiku", scope="always", now=T0)
    assert router.route(**chat("three"), run="r2").model == HAIKU
    assert router.route(**chat("four"), run="r1").model == SONNET, "the pin of the folder is nearer"
    assert router.unpin(cwd="/a", now=T0 + 1) is not None and router.unpin(cwd="/a", now=T0 + 2) is not None
    assert router.unpin(cwd="/a", now=T0 + 3) is None


def test_a_model_whose_own_name_holds_a_colon_can_be_pinned(book: Book) -> None:
    named = {"qwen3:8b": {"input": 0.1, "output": 0.2}}
    router = Router(Settings(prices=named), load_book(Settings(prices=named).prices))
    assert router.pin("qwen3:8b", scope="always", now=T0).config == Config("qwen3:8b")
    with pytest.raises(SettingsError, match="takes no effort"):
        router.pin("qwen3:8b:high", scope="always", now=T0)


def test_a_model_chosen_in_the_client_gets_the_clients_own_bytes_even_with_an_effort_we_do_not_know(book: Book) -> None:
    router = Router(Settings(), book)
    headers = {"x-claude-code-session-id": "s", "user-agent": "claude-cli/2.1.330"}
    more = {"tools": TOOLS, "output_config": {"effort": "ultra"}}
    first = router.route(**{**chat("do it", **more), "headers": headers})
    router.finish(first.id, usage={"input_tokens": 9_000, "output_tokens": 9}, status=200, started=T0, ended=T0 + 1)
    second = router.route(**{**chat("do it", "ok", "next", model="claude-haiku-4-5", **more), "headers": headers, "now": T0 + 9})
    assert second.decision.reason == "pin" and not second.changed and not second.decision.moved


def test_a_client_that_falls_back_is_not_called_back_by_consent(book: Book) -> None:
    play = Play(book, Settings(consent_up=True), model="opus")
    play >> upstream_says(429) >> turn() >> upstream_says(200) >> client_asks("sonnet") >> turn() << stay("sonnet") << unmoved()


def test_a_pin_without_a_session_to_hold_in_is_refused_unless_it_always_holds(book: Book) -> None:
    router = Router(Settings(), book)
    with pytest.raises(SettingsError, match="no session to pin in /a: start one, or use --scope always"):
        router.pin("opus", cwd="/a", now=T0)
    assert router.pin("opus", scope="always", cwd="/a", now=T0).cwd == "/a"


def test_a_pin_that_always_holds_and_is_refused_gives_way_on_the_retry_and_one_set_since_is_heard(book: Book) -> None:
    play = Play(book, Settings(), model="opus")
    play >> turn() >> pin("sonnet", "always") >> turn() << switch("sonnet", because="pin") >> upstream_says(529) >> turn()
    play >> again() << switch("opus", because="retry_asked") << says("cannot be honoured now: 529")
    play.now += 1
    play >> pin("haiku", "always") >> again() << switch("haiku", because="pin")


def test_what_bills_teach_is_learned_once_also_by_a_recalled_session(book: Book) -> None:
    router, ledger, _ = remembering(book)
    for n in range(3):
        routed = router.route(**{**chat("do it" + "!" * n), "now": T0 + n})
        usage = {"input_tokens": 2_000, "output_tokens": 90}
        router.finish(routed.id, usage=usage, status=200, started=T0 + n, first_byte=T0 + n + 1, ended=T0 + n + 3)
        name = routed.decision.place.session
        ledger.setdefault(name, []).extend(router.events())
    before = router._known.learned
    assert before.times[OPUS].warm_n == 3
    del router._known.held[name]
    router.signal(session=name, kind="commit", now=T0 + 9)
    assert router._known.learned == before and name in router.sessions


def test_only_allowed_models_are_offered_and_the_asked_one_always_is(book: Book) -> None:
    play = Play(book, Settings(allow=["haiku", "sonnet"]), model="opus")
    play >> turn() << stay("opus", because="asked")
    assert [(row.model, row.veto is None) for row in play.decision.candidates if row.model != "claude-fable-5-1"] == [
        (SONNET, True), (OPUS, True),
    ]  # fmt: skip
    assert "not among the models allowed" in (play.decision.candidates[-1].veto or "")


def test_a_pinned_effort_is_written_into_the_body(book: Book) -> None:
    router = Router(Settings(), book)
    headers = {"x-claude-code-session-id": "s", "user-agent": "claude-cli/2.1.330"}
    more = {"tools": TOOLS, "output_config": {"effort": "high"}}
    first = router.route(**{**chat("do it", **more), "headers": headers})
    router.finish(first.id, usage={"input_tokens": 9_000, "output_tokens": 9}, status=200, started=T0, ended=T0 + 1)
    router.pin("sonnet:low", session="s", now=T0 + 2)
    second = router.route(**{**chat("do it", "ok", "next", **more), "headers": headers, "now": T0 + 9})
    sent = json.loads(second.body)
    assert (sent["model"], sent["output_config"], second.effort) == (SONNET, {"effort": "high"}, "low")
    assert sent["messages"][-1] == {"role": "system", "content": [], "output_config": {"effort": "low"}}, "inside the history"


def test_a_check_that_never_blames_wrongly_is_taken_at_its_word_and_an_unannounced_one_at_the_usual_rates() -> None:
    stated = check_odds(Settings(check=True, check_recall=0.9, check_false_alarm=0).policy())
    assert (stated.recall, stated.false_alarm) == (0.9, 0.0)
    usual = check_odds(Settings().policy())
    assert (usual.recall, usual.false_alarm) == (CHECK_RECALL, CHECK_FALSE_ALARM)
