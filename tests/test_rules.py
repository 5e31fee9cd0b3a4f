"""The user's own rules, each as a conversation with the real engine and price book."""

from __future__ import annotations

from typing import Any

import pytest

from playbook import Play, Step, again, check, escalate, pin, result, says, stay, subagent, switch, title, turn, unpin
from pointsman import Settings
from pointsman.core.book import Book
from pointsman.core.events import Advised
from pointsman.core.pricing import cost
from pointsman.core.types import Config, Usage
from pointsman.shell.prices import load_book

OPUS, SONNET, HAIKU, FABLE = "claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5", "claude-fable-5-1"
SAVER: dict[str, Any] = {"profile": "saver", "failure_usd": 0.0}


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book()


def run(command: str) -> Step:
    """The agent runs a shell command."""
    return result("done", given={"command": command})


def touch(path: str) -> Step:
    """The agent edits a file."""
    return result("edited", tool="Edit", given={"file_path": path, "old_string": "a", "new_string": "b"})


def rules(play: Play) -> list[str]:
    return [rule.name for rule in play.decision.rules]


# -- protected work ----------------------------------------------------------------------------------------------------


def test_touching_what_is_protected_brings_the_asked_model_back_at_once_and_holds_it_for_the_task(book: Book) -> None:
    play = Play(book, Settings(**SAVER), model="opus")
    play >> turn("tidy up") << switch("sonnet")
    play >> touch("/src/app/view.py") << stay("sonnet")
    play >> touch("/src/app/migrations/0042_users.py") << switch("opus", because="rule") << says("migrations")
    assert rules(play) == ["protect path migrations"]
    play >> run("ls") << stay("opus") >> turn("and the next file") << stay("opus")
    assert "protect path migrations" in rules(play), "it holds until the task ends"
    play >> turn("something else altogether", pause=9_000) << switch("sonnet")
    assert not rules(play)


def test_a_task_is_protected_in_all_its_lanes(book: Book) -> None:
    """What the main lane touched holds its sub-agents, and what one of them touches holds the main lane."""
    play = Play(book, Settings(**SAVER), model="opus")
    play >> turn("tidy up") << switch("sonnet") >> subagent("Look around.", "a") << switch("sonnet")
    play >> touch("/src/app/migrations/0042_users.py") << switch("opus", because="rule")
    play >> subagent("Look again.", "b") << stay("opus")
    assert rules(play) == ["protect path migrations"]
    other = Play(book, Settings(**SAVER), model="opus", session="s-2")
    other >> turn("tidy up") << switch("sonnet") >> subagent("Write db/migrations/0043_names.sql.") << stay("opus")
    other >> result("the sub-agent is done") << switch("opus", because="rule") << says("migrations")
    other >> turn("something else altogether", pause=9_000) << switch("sonnet")


@pytest.mark.parametrize("command", [
    "git push origin main", "cd api && rm -rf data", "kubectl delete pod x", "psql -c 'DROP TABLE users'", "npm run deploy",
    "vi db/migrations/1.sql",
])  # fmt: skip
def test_dangerous_commands_are_protected_by_default(book: Book, command: str) -> None:
    play = Play(book, Settings(**SAVER), model="opus")
    play >> turn("go") << switch("sonnet")
    play >> run(command) << switch("opus", because="rule")


@pytest.mark.parametrize("command", [
    "git status", "git commit -m 'deploy and git push later'", "pytest -q", "cat README.md", "rm x.tmp",
])  # fmt: skip
def test_ordinary_commands_are_not(book: Book, command: str) -> None:
    play = Play(book, Settings(**SAVER), model="opus")
    play >> turn("go") >> run(command) << stay("sonnet")


def test_a_path_in_the_prompt_counts_from_the_first_request_on(book: Book) -> None:
    play = Play(book, Settings(**SAVER, protect=["billing/**"]), model="opus")
    play >> turn("please mend src/billing/invoice.py") << stay("opus") << says("billing/**")


def test_a_project_rule_is_shown_with_file_and_line(book: Book) -> None:
    settings = Settings(**SAVER, protect={"paths": ["infra"]})
    settings._origins["path infra"] = "/p/.pointsman.toml:3"
    play = Play(book, settings, model="opus")
    play >> turn("go") >> touch("infra/net.py")
    assert [(r.name, r.origin) for r in play.decision.rules] == [("protect path infra", "/p/.pointsman.toml:3")]


def test_protection_off_is_the_users_word(book: Book) -> None:
    play = Play(book, Settings(**SAVER, protect=False), model="opus")
    play >> turn("go") >> run("git push") << stay("sonnet")


def test_a_failure_costs_more_where_work_is_protected(book: Book) -> None:
    plain, guarded = (Play(book, Settings(protect={"stakes": stakes}), model="opus") for stakes in (1, 10))
    for play in (plain, guarded):
        play >> turn("fix auth/login.py")
    totals = [play.decision.row(Config(play.asked)).total_usd for play in (plain, guarded)]  # type: ignore[union-attr]
    assert totals[1] is not None and totals[0] is not None and totals[1] > 1.5 * totals[0]


def test_no_text_of_a_call_is_kept(book: Book) -> None:
    play = Play(book, Settings(**SAVER), model="opus")
    play >> turn("go") >> run("git push https://very-secret@example.com/x")
    assert "very-secret" not in repr(play.router.events())


# -- floor, ceiling, kinds ---------------------------------------------------------------------------------------------


def test_a_floor_bounds_moves_and_never_what_is_asked(book: Book) -> None:
    play = Play(book, Settings(**SAVER, floor="sonnet", pool=["haiku", "sonnet", "opus"]), model="opus")
    play >> turn("go") << switch("sonnet")
    asked = Play(book, Settings(**SAVER, floor="opus"), model="haiku")
    asked >> turn("go") << stay("haiku")


@pytest.mark.parametrize("pool", [[], ["haiku", "sonnet", "opus"]])
def test_a_floor_bounds_housekeeping_too(book: Book, pool: list[str]) -> None:
    play = Play(book, Settings(floor="sonnet", pool=pool), model="opus")
    play >> turn("go") >> title() << switch("sonnet", because="side")
    assert any("haiku-5-5: below the floor claude-sonnet-5-5 in given" in gate.said for gate in play.decision.gates)
    asked = Play(book, Settings(floor="opus", pool=pool), model="haiku")
    asked >> turn("go") >> title() << stay("haiku")


def test_a_ceiling_bounds_escalation(book: Book) -> None:
    guarded = {"check": True, "consent_up": True, "failure_usd": 50.0, "up_cap_usd": None}
    free = Play(book, Settings(**guarded), model="sonnet")
    free >> turn("go") >> check(False) >> turn("again")
    assert free.decision.action == "escalate"
    held = Play(book, Settings(**guarded, ceiling="sonnet"), model="sonnet")
    held >> turn("go") >> check(False) >> turn("again") << stay("sonnet")


def test_a_kind_of_ones_own_is_shown_by_paths_and_followed_from_the_next_turn(book: Book) -> None:
    kinds = {"frontend": {"model": "haiku", "paths": ["web/**"]}}
    play = Play(book, Settings(kinds=kinds), model="opus")
    play >> turn("go") << stay("opus") >> touch("web/app.tsx") << stay("opus")
    play >> turn("and the button") << switch("haiku", because="rule")
    assert rules(play) == ["kinds: frontend = claude-haiku-5-5"]
    play >> run("ls") << stay("haiku")
    play >> turn("something else altogether", pause=9_000) << switch("opus")


def test_a_preference_follows_the_kinds_that_anybody_can_see(book: Book) -> None:
    play = Play(book, Settings(kinds={"chat": "haiku"}), model="opus")
    play >> turn("what is this?") << switch("haiku", because="rule")
    play >> touch("x.py") << stay("haiku"), "a turn ends on the model it began on"
    play >> again() << stay("haiku", because="retry") >> touch("y.py") << stay("haiku"), "sent again or not"


def test_protected_work_beats_a_preference(book: Book) -> None:
    play = Play(book, Settings(kinds={"frontend": {"model": "haiku", "paths": ["web/**"]}}), model="opus")
    play >> turn("go") >> touch("web/auth/login.tsx") >> turn("on") << stay("opus")


def test_a_preference_is_consent_for_a_stronger_model_too_and_its_price_is_no_up_move(book: Book) -> None:
    play = Play(book, Settings(kinds={"chat": "fable"}, up_cap_usd=0.0), model="opus")
    play >> turn("what is this?") << switch("fable", because="rule") >> turn("and this?") << stay("fable")


@pytest.mark.parametrize("profile", ["quality", "balanced", "fast"])
def test_less_effort_is_weaker_too(book: Book, profile: str) -> None:
    asks: dict[str, Any] = {"output_config": {"effort": "high"}}
    play = Play(book, Settings(profile=profile, failure_usd=0.0), model="opus")
    play >> turn("go", **asks) << stay("opus")
    play >> pin("opus:low") >> turn("more", **asks)
    assert play.decision.chosen == Config(OPUS, "low")
    play >> unpin() >> turn("and more", **asks)
    assert play.decision.chosen == Config(OPUS, "high")


# -- money -------------------------------------------------------------------------------------------------------------


def test_a_spent_budget_is_said_and_never_an_error(book: Book) -> None:
    play = Play(book, Settings(budget={"session": 0.01}), model="opus")
    play >> turn("go") << stay("opus") >> turn("more") << stay("opus") << says("the session's budget of $0.01 is spent")
    assert play.router.sessions[play.session].spent > 0.01


def test_a_spent_budget_goes_to_the_cheapest_that_is_admitted(book: Book) -> None:
    settings = {"budget": {"day": 0.01, "then": "cheapest"}}
    strict = Play(book, Settings(**settings), model="opus")
    strict >> turn("go") >> turn("more") << stay("opus", because="budget"), "nothing weaker is admitted"
    saver = Play(book, Settings(**settings, profile="saver", failure_usd=20.0), model="opus")
    saver >> turn("go") << stay("opus") >> turn("more") << switch("sonnet", because="budget")


def test_a_spent_budget_takes_sub_agents_to_the_cheapest_too(book: Book) -> None:
    """They spend the same money; where nothing weaker is admitted they keep what their client chose."""
    settings = {"budget": {"session": 0.01, "then": "cheapest"}, "failure_usd": 20.0}
    for profile, model in (("saver", "sonnet"), ("quality", "opus")):
        play = Play(book, Settings(**settings, profile=profile), model="opus")
        play >> turn("go") << stay("opus") >> subagent("Look around.", "a")
        assert play.routes[-1].model == play.named(model)


@pytest.mark.parametrize("then", ["hold", "cheapest"])
def test_a_budget_that_ends_inside_a_tool_loop_waits_for_its_end(book: Book, then: str) -> None:
    budget = {"session": 0.3, "then": then}
    play = Play(book, Settings(check=True, consent_up=True, failure_usd=50.0, up_cap_usd=None, budget=budget), model="sonnet")
    play >> turn("go") >> check(False) >> turn("again")
    assert play.decision.action == "escalate" and play.router.sessions[play.session].spent < 0.3
    up = play.decision.chosen
    for _ in range(60):
        play >> run("ls")
        assert play.decision.chosen == up
        if play.router.sessions[play.session].spent >= 0.3:
            break
    play >> run("ls")
    assert (play.decision.chosen, play.decision.place.in_loop) == (up, True)
    play >> turn("more") << switch("sonnet", because="budget")


def test_the_day_counts_all_sessions_and_ends(book: Book) -> None:
    play = Play(book, Settings(budget={"day": 0.01}), model="opus")
    play >> turn("go")
    other = Play(book, Settings(), model="opus", session="s-2")
    other.router, other.now = play.router, play.now
    other >> turn("hello") << says("the day's budget of $0.01 is spent")
    other.now += 90_000
    other >> turn("next day")
    assert not other.decision.notices


def test_a_consult_is_spent_from_the_budgets_and_none_is_asked_once_they_hold(book: Book) -> None:
    """The gateway asks an advisor in a request of its own, which the agent never sees: it is the user's money all the same."""
    play = Play(book, Settings(advisor="opus", budget={"day": 0.09, "then": "hold"}), model="sonnet")
    play >> turn("go")
    before, decision = play.router.sessions[play.session].spent, play.decision
    allowed = play.router.policy.advisor
    assert allowed is not None and before < 0.09
    assert play.router.no_advice(decision, allowed, play.now) is None
    usage = Usage(fresh=15_000, output=800)
    rates = book.card(OPUS).at(usage.prompt, play.now)
    play.router.note(Advised(play.now, play.session, decision.id, "main", Config(OPUS), "push", "given", 9.0, usage, rates))
    assert play.router.sessions[play.session].spent == pytest.approx(before + cost(usage, rates)) and cost(usage, rates) > 0.05
    assert "the day's budget of $0.09 is spent" in (play.router.no_advice(decision, allowed, play.now) or "")
    told = Play(book, Settings(advisor="opus", budget={"day": 0.09}), model="sonnet")
    told.router.note(Advised(told.now, "s-0", "x", "main", Config(OPUS), "push", "given", 9.0, usage, rates))
    told >> turn("go")
    assert told.router.no_advice(told.decision, allowed, told.now) is None, "a budget that only warns stops nothing"


def test_a_spent_budget_refuses_to_escalate(book: Book) -> None:
    budget = {"session": 0.01, "then": "hold"}
    play = Play(book, Settings(check=True, consent_up=True, failure_usd=50.0, budget=budget), model="sonnet")
    play >> turn("go") >> check(False) >> turn("again") << stay("sonnet")


def test_up_moves_end_at_the_cap_of_their_task(book: Book) -> None:
    play = Play(book, Settings(check=True, consent_up=True, failure_usd=50.0, up_cap_usd=0.3), model="sonnet")
    play >> turn("go") >> check(False) >> turn("again")
    assert play.decision.action == "escalate"
    for _ in range(90):
        play >> run("ls")
        if play.decision.chosen.model == play.asked:
            break
    assert play.decision.reason == "budget"
    session = play.router.sessions[play.session]
    step = max(c.run_usd or 0.0 for c in play.decision.candidates)
    assert 0.2 <= session.extra <= 0.3 + step, "one request over the cap at most, the way back included"


def test_what_a_pin_costs_is_no_up_move_of_ours(book: Book) -> None:
    """The cap bounds what the router spends beyond what was asked; what a person pins is theirs, its retries too."""
    play = Play(book, Settings(check=True, consent_up=True, failure_usd=50.0, up_cap_usd=2.0), model="sonnet")
    play >> turn("go", context=60_000) >> pin("fable") >> turn("on") >> again() >> turn("on") >> unpin()
    session = play.router.sessions[play.session]
    assert session.extra == 0.0 < session.spent
    play >> turn("and on")
    assert play.router.sessions[play.session].extra < 0.5, "the way back is ours"


def test_a_subscription_is_never_led_into_a_stronger_model(book: Book) -> None:
    settings, login = Settings(check=True, consent_up=True, failure_usd=50.0), "authorization: Bearer sk-ant-oat01-x"
    play = Play(book, settings, model="sonnet", key=login)
    play >> turn("go") >> check(False) >> turn("again") << stay("sonnet")
    low: dict[str, Any] = {"output_config": {"effort": "low"}}
    play = Play(book, settings, model="sonnet", key=login)
    play >> turn("go", **low) >> check(False) >> turn("again", **low) << escalate("sonnet") << says("at effort medium")


def test_where_no_model_is_likely_to_mend_it_the_advice_is_to_ask(book: Book) -> None:
    play = Play(book, Settings(check=True, consent_up=True, failure_usd=50.0), model="fable")
    play >> turn("fix it") >> check(False) >> turn("again", pause=5) << stay("fable")
    play << says("no model here is likely to solve it: re-scope or ask")
    assert play.decision.notices, "it is said before the next request, and in the screens"
    play >> turn("a smaller step", pause=5)
    assert not play.decision.notices, "it is said once"
