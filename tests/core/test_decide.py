"""Stay, or do something else: the rules of the first form, each as a short conversation with the real price book."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from pointsman.core import accounting
from pointsman.core.book import Book
from pointsman.core.decide import _RULES, decide
from pointsman.core.decisions import Decision
from pointsman.core.events import Event, Finished, Pinned, Routed, Signalled, Unpinned
from pointsman.core.evolve import evolve
from pointsman.core.messages import Message
from pointsman.core.policy import Policy
from pointsman.core.session import Pin, Session
from pointsman.core.types import Config, Request, Usage
from pointsman.shell.prices import load_book

OPUS, SONNET, HAIKU, FABLE = "claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5", "claude-fable-5-1"


@pytest.fixture(scope="module")
def book() -> Book:
    return load_book()


@dataclass
class Play:
    """One session played against the decider; every request is answered with a bill of ``usage``."""

    book: Book
    policy: Policy = field(default_factory=Policy)
    session: Session = field(default_factory=lambda: Session("s1"))
    now: float = 1_800_000_000.0
    said: tuple[Message, ...] = ()
    n: int = 0

    def tell(self, event: Event) -> None:
        self.session = evolve(self.session, event) or self.session

    def prompt(self, text: str = "more", chars: int = 4_000, **more: Any) -> Decision:
        """The user speaks (after the agent's last answer) and the request is decided and answered."""
        self.n += 1
        if self.said:
            self.said += (Message(self.n * 10 + 1, "assistant", "assistant", 800),)
        self.said += (Message(self.n * 10, "user", "prompt", chars),)
        return self.send(**more)

    def tool(self, *facts: str, chars: int = 3_000, **more: Any) -> Decision:
        """A tool result comes back inside the turn."""
        self.n += 1
        self.said += (
            Message(self.n * 10 + 1, "assistant", "assistant", 400),
            Message(self.n * 10, "user", "tool_result", chars, facts=facts),  # type: ignore[arg-type]
        )
        return self.send(**more)

    def send(self, *, stop: str = "final", status: int = 200, answer: bool = True, **more: Any) -> Decision:
        values: dict[str, Any] = {
            "protocol": "messages", "path": "/v1/messages", "model": OPUS, "client": "claude_code", "session": "s1",
            "system": 1, "tools": 2, "head_chars": 60_000, "ttl_s": 300, "messages": self.said, "body_hash": self.n,
            "effort": "high",
        }  # fmt: skip
        request = Request(**{**values, **more})
        decision = replace(decide(request, self.session, self.book, self.policy, self.now, 0.5), id=f"r{self.n}")
        kept = decision.place.kept
        self.tell(Routed(self.now, "s1", decision.id, replace(request, messages=request.messages[kept:]), kept, decision))
        if answer:
            self._answer(request, decision, stop, status)
        self.now += 20.0
        return decision

    def _answer(self, request: Request, decision: Decision, stop: str, status: int) -> None:
        prompt = request.chars // 4
        usage = Usage(fresh=3, cache_read=0, cache_write=((300, prompt - 3),), output=300)
        lane = self.session.lanes[decision.place.lane]
        held = lane.warm.get(decision.chosen)
        if held and self.now - held.touched < 300:
            usage = Usage(fresh=3, cache_read=held.cached, cache_write=((300, max(0, prompt - 3 - held.cached)),), output=300)
        account = accounting.account(self.session, request, decision, decision.chosen, usage, self.book, self.now)
        self.tell(
            Finished(
                self.now + 5,
                "s1",
                decision.id,
                status,
                stop,
                self.now,
                self.now + 5,
                self.now + 1,  # type: ignore[arg-type]
                usage if status == 200 else None,
                decision.chosen,
                ttl_s=300,
                asked_usage=account.asked_usage,
            )  # fmt: skip
        )


def test_uncertified_means_the_asked_model_and_the_alternatives_are_priced(book: Book) -> None:
    play = Play(book)
    first = play.prompt("fix the flaky test")
    assert (first.chosen, first.action, first.reason, first.free_point) == (
        Config(OPUS, "high"),
        "stay",
        "asked",
        "session_start",
    )
    assert [c.model for c in first.candidates] == [SONNET, OPUS, FABLE]
    assert all(c.input_usd and c.run_usd and c.total_usd for c in first.candidates)
    later = play.prompt()
    opus = later.row(Config(OPUS, "high"))
    sonnet = later.row(Config(SONNET, "high"))
    assert opus and opus.cache_read > 10_000 and opus.p_warm == pytest.approx(0.965)
    assert sonnet and sonnet.p_warm == 0.0 and (sonnet.toll_usd or 0) > (opus.toll_usd or 0)
    assert (sonnet.way_back_usd or 0) > 0 and (sonnet.round_trip_usd or 0) > (sonnet.toll_usd or 0) * 0.9
    assert "the model you asked for" in later.sentence and "≈$" in later.sentence


def test_every_rule_leaves_a_gate_whether_it_ran_or_not(book: Book) -> None:
    names = [name for name, _ in _RULES]
    decision = Play(book).prompt()
    assert [g.name for g in decision.gates] == names
    assert all(g.said for g in decision.gates)
    side = Play(book).prompt(purpose="side")
    assert [g.name for g in side.gates if not g.ran] == names[names.index("side") + 1 :]


def test_a_pin_holds_on_the_main_lane_until_it_is_taken_off(book: Book) -> None:
    play = Play(book)
    play.prompt()
    play.tell(Pinned(play.now, "s1", Config(SONNET), "session", "pointsman pin"))
    pinned = play.prompt()
    assert (pinned.chosen, pinned.reason, pinned.would) == (Config(SONNET, "high"), "pin", Config(OPUS, "high"))
    assert pinned.rules[0].origin == "pointsman pin"
    assert play.prompt(purpose="side").reason == "side"
    helper = play.prompt(agent="a1")
    assert (helper.reason, helper.chosen.model) == ("subagent", OPUS)
    assert play.prompt().chosen.model == SONNET
    play.tell(Unpinned(play.now, "s1", "session", "pointsman unpin", "unpinned by you"))
    assert play.prompt().chosen.model == OPUS


def test_a_pin_that_cannot_be_honoured_says_so_at_once(book: Book) -> None:
    play = Play(book)
    play.tell(Pinned(play.now, "s1", Config("gpt-6.1-sol"), "session", "pointsman pin"))
    decision = play.prompt()
    assert decision.reason == "pin_refused" and decision.chosen.model == OPUS
    assert "cannot be honoured" in decision.notices[0] and "cannot be honoured" in decision.sentence
    moved = Play(book, Policy(profile="saver", failure_usd=0.0, pool=(HAIKU, OPUS), efforts=False))
    assert moved.prompt().chosen.model != OPUS
    moved.tell(Pinned(moved.now, "s1", Config("gpt-6.1-sol"), "session", "pointsman pin"))
    back = moved.prompt()
    assert (back.chosen.model, back.reason, back.action) == (OPUS, "pin_refused", "switch"), "it leaves what ran"
    assert moved.prompt().action == "stay"


def test_housekeeping_goes_to_the_cheapest_that_can_do_it_unless_the_user_says_no(book: Book) -> None:
    assert Play(book).prompt(purpose="side", effort=None).chosen.model == HAIKU
    assert Play(book, Policy(side=False)).prompt(purpose="side").chosen.model == OPUS
    assert Play(book, Policy(deny=(HAIKU,))).prompt(purpose="side", effort=None).chosen.model == SONNET


def test_compaction_stays_on_the_model_that_holds_the_cache(book: Book) -> None:
    play = Play(book)
    play.prompt()
    play.tell(Pinned(play.now, "s1", Config(SONNET), "turn", "pointsman pin"))
    play.prompt()
    play.tell(Unpinned(play.now, "s1", "turn", "scope", "the turn is over"))
    summary = play.send(purpose="compaction", body_hash=99)
    assert (summary.chosen.model, summary.reason) == (SONNET, "compaction")


@pytest.mark.parametrize("model", ["router-auto", "my-finetune"])
def test_an_unknown_name_has_no_ladder_and_stays(book: Book, model: str) -> None:
    decision = Play(book).prompt(model=model)
    assert (decision.chosen.model, decision.reason, decision.action) == (model, "no_ladder", "stay")


def test_a_retry_replays_its_decision_and_a_refused_change_is_taken_back(book: Book) -> None:
    play = Play(book)
    play.tell(Pinned(play.now, "s1", Config(SONNET), "session", "pointsman pin"))
    first = play.prompt()
    again = play.send()
    assert (again.reason, again.chosen, again.place.new_turn) == ("retry", first.chosen, False)
    play.send(status=529, stop="error")
    after = play.send()
    assert (after.reason, after.chosen.model) == ("retry_asked", OPUS)


def test_only_the_saver_moves_uncertified_work_and_only_at_a_free_point(book: Book) -> None:
    saver = Play(book, Policy(profile="saver", efforts=False, failure_usd=0.0))
    first = saver.prompt()
    assert (first.reason, first.chosen.model, first.free_point) == ("free_point", SONNET, "session_start")
    warm = Play(book, Policy(failure_usd=0.0))
    warm.prompt()
    warm.policy = Policy(profile="saver", efforts=False, failure_usd=0.0)
    assert warm.prompt().chosen.model == OPUS
    warm.now += 3_000.0
    idle = warm.prompt()
    assert (idle.free_point, idle.chosen.model) == ("idle", SONNET)


def test_inside_a_tool_loop_not_even_a_cold_cache_loses_the_reasoning(book: Book) -> None:
    """A tool that runs for a quarter of an hour is a free point, and yet the asked model could not read what was thought."""
    play = Play(book, Policy(profile="saver", failure_usd=0.5, efforts=False))
    assert play.prompt(stop="tool").chosen.model == SONNET
    play.policy = replace(play.policy, failure_usd=500.0)
    assert play.tool("thinking", stop="tool").chosen.model == SONNET
    play.now += 900.0
    slow = play.tool("thinking", stop="tool")
    assert (slow.free_point, slow.chosen.model, slow.action) == ("idle", SONNET, "stay")
    assert slow.sentence.startswith("sonnet-5-5, moved earlier.")
    plain = Play(book, replace(play.policy, failure_usd=0.5))
    plain.prompt(stop="tool")
    plain.policy = play.policy
    plain.now += 900.0
    assert plain.tool(stop="tool").chosen.model == OPUS, "nothing was thought, so nothing is lost"


def test_a_pin_set_or_taken_off_before_a_retry_is_heard_first(book: Book) -> None:
    play = Play(book)
    play.prompt(status=529)
    play.tell(Pinned(play.now, "s1", Config(SONNET), "session", "pointsman pin"))
    assert (play.send(status=529).reason, play.send(status=529).chosen) == ("pin", Config(OPUS, "high"))
    play.tell(Unpinned(play.now, "s1", "session", "pointsman unpin", "unpinned by you"))
    freed = play.send()
    assert (freed.place.relation, freed.reason, freed.chosen.model) == ("retry", "asked", OPUS)


def test_a_retry_of_a_pinned_request_is_pinned_though_its_pin_ended_with_it(book: Book) -> None:
    """Its scope was over, nobody took it off: the same request again is the same decision again."""
    play = Play(book)
    play.prompt()
    play.tell(Pinned(play.now, "s1", Config(SONNET), "turn", "pointsman pin"))
    assert play.prompt().reason == "pin"
    play.tell(Unpinned(play.now, "s1", "turn", "scope", "the turn is over"))
    assert (play.send().reason, play.session.lanes["main"].current.model) == ("retry", SONNET)


@pytest.mark.parametrize(("age", "reason"), [(-5.0, "pin"), (60.0, "retry")])
def test_a_pin_that_always_holds_is_heard_by_a_retry_if_it_is_newer(book: Book, age: float, reason: str) -> None:
    play = Play(book)
    play.prompt(status=529)
    since = play.session.lanes["main"].last_start - age
    play.session = replace(play.session, pin=Pin(Config(SONNET), "always", "pointsman pin", since))
    assert play.send().reason == reason


@pytest.mark.parametrize(("status", "reason"), [(400, "retry_asked"), (200, "retry")])
def test_a_change_that_was_answered_is_kept_by_a_retry_and_one_that_was_refused_is_not(
    book: Book, status: int, reason: str
) -> None:
    play = Play(book, Policy(profile="saver", failure_usd=0.0, efforts=False))
    assert play.prompt(status=status).chosen.model == SONNET
    again = play.send()
    assert (again.reason, again.chosen.model) == (reason, OPUS if status == 400 else SONNET)


def test_rules_name_the_pin_that_holds_and_how_long(book: Book) -> None:
    for scope, name in (("session", "pin claude-sonnet-5-5 for this session"), ("always", "pin claude-sonnet-5-5 always")):
        play = Play(book)
        play.session = replace(play.session, pin=Pin(Config(SONNET), scope, "here.toml:3", 0.0))  # type: ignore[arg-type]
        (rule,) = play.prompt().rules
        assert (rule.name, rule.origin) == (name, "here.toml:3")


def test_what_was_moved_to_and_is_denied_since_goes_back_at_once(book: Book) -> None:
    play = Play(book, Policy(profile="saver", failure_usd=0.0, efforts=False))
    assert (play.prompt().chosen.model, play.prompt().reason) == (SONNET, "free_point")
    play.policy = replace(play.policy, deny=(SONNET,))
    assert (play.prompt().chosen.model, play.session.lanes["main"].current.model) == (OPUS, OPUS)


def test_a_pin_on_what_was_asked_is_never_refused(book: Book) -> None:
    play = Play(book, Policy(deny=(OPUS,)))
    play.prompt()
    play.tell(Pinned(play.now, "s1", Config(OPUS), "session", "pointsman pin"))
    assert (play.prompt().reason, play.prompt().chosen.model) == ("pin", OPUS)


def test_a_new_task_releases_an_escalation_while_its_cache_is_warm(book: Book) -> None:
    play = Play(book, replace(GUARDED, failure_usd=0.0))
    play.prompt()
    play.policy = GUARDED
    failed_check(play)
    assert play.prompt().reason == "escalate"
    play.tell(Signalled(play.now, "s1", "check_passed"))
    play.policy = replace(GUARDED, failure_usd=0.0)
    play.now += 1.0
    fresh = play.prompt("now the next thing")
    assert (fresh.place.new_task, fresh.free_point, fresh.chosen.model) == (True, None, SONNET)
    assert "for this new task" in fresh.sentence


def test_an_escalation_to_what_cannot_serve_any_more_is_said_and_not_kept(book: Book) -> None:
    play = Play(book, replace(GUARDED, failure_usd=0.0))
    play.prompt()
    play.policy = GUARDED
    failed_check(play)
    assert play.prompt().reason == "escalate"
    assert play.prompt().reason == "sticky"
    lane = play.session.lanes["main"]
    play.session = replace(play.session, lanes={"main": replace(lane, sticky=Config(SONNET, "high"))})
    play.policy = replace(GUARDED, deny=(SONNET,))
    decision = play.prompt()
    assert decision.chosen.model == OPUS and decision.reason != "sticky"
    assert any(gate.name == "sticky" and "cannot serve this request" in gate.said for gate in decision.gates)


def test_going_back_far_is_a_free_point_and_going_back_a_step_is_not(book: Book) -> None:
    play = Play(book)
    for _ in range(8):
        play.prompt(chars=40_000)
    whole = play.said
    play.n += 1
    play.said = (*whole[:1], Message(9_001, "user", "prompt", 400_000))
    far = play.send()
    assert (far.place.relation, far.free_point) == ("fork", "rewind")
    play = Play(book, said=whole, session=Session("s1"))
    play.send()
    play.n += 1
    play.said = (*whole[:-4], Message(9_002, "user", "prompt", 400))
    near = play.send()
    assert (near.place.relation, near.free_point) == ("fork", None)


def test_a_guarded_task_admits_weaker_configs_in_balanced_and_never_in_quality(book: Book) -> None:
    cheap = {"failure_usd": 0.0, "check": True, "check_recall": 0.8}
    assert Play(book, Policy(profile="balanced", efforts=False, **cheap)).prompt().chosen.model == SONNET  # type: ignore[arg-type]
    assert Play(book, Policy(profile="balanced", efforts=False, failure_usd=0.0)).prompt().chosen.model == OPUS
    assert Play(book, Policy(profile="quality", **cheap)).prompt().chosen.model == OPUS  # type: ignore[arg-type]


def test_observing_changes_nothing_even_under_a_pin(book: Book) -> None:
    play = Play(book, Policy(mode="observe"))
    play.prompt()
    play.tell(Pinned(play.now, "s1", Config(SONNET), "session", "pointsman pin"))
    assert play.prompt().chosen.model == OPUS and play.prompt(purpose="side").chosen.model == OPUS


def test_the_same_ledger_clock_and_dice_give_the_same_decision(book: Book) -> None:
    assert Play(book).prompt() == Play(book).prompt()


def test_break_even_points_come_with_every_alternative(book: Book) -> None:
    play = Play(book)
    play.prompt()
    decision = play.prompt()
    points = {(b.model, b.axis): b for b in decision.breakevens}
    assert set(points) == {(m, a) for m in (SONNET, FABLE) for a in ("requests", "minutes", "difficulty")}
    repaid = points[(SONNET, "requests")].at
    assert repaid is not None and 1.0 < repaid < 100.0
    assert points[(FABLE, "requests")].at is None


def test_the_bill_as_asked_knows_the_cache_the_asked_model_would_have_kept(book: Book) -> None:
    play = Play(book)
    play.prompt()
    play.tell(Pinned(play.now, "s1", Config(SONNET), "turn", "pointsman pin"))
    play.prompt()
    play.tell(Unpinned(play.now, "s1", "turn", "scope", "the turn is over"))
    back = play.prompt(answer=False)
    lane = play.session.lanes["main"]
    request = play.session.pending[back.id].request
    usage = Usage(fresh=3, cache_write=((300, request.chars // 4),), output=100)
    account = accounting.account(play.session, request, back, back.chosen, usage, book, play.now)
    assert account.asked_usage is not None and account.asked_usage.cache_read > 0.8 * lane.last_usage.prompt  # type: ignore[union-attr]


def failed_check(play: Play) -> None:
    """The check at "done" failed, a moment after the answer."""
    play.tell(Signalled(play.now, "s1", "check_failed"))


GUARDED = Policy(profile="balanced", efforts=False, check=True, check_recall=0.8, check_false_alarm=0.1, failure_usd=2.0)


def test_a_failed_check_escalates_to_the_asked_model_for_the_rest_of_the_task(book: Book) -> None:
    play = Play(book, replace(GUARDED, failure_usd=0.0))
    assert play.prompt().chosen.model == SONNET
    play.policy = GUARDED
    failed_check(play)
    decision = play.prompt()
    assert (decision.chosen.model, decision.reason, decision.action) == (OPUS, "escalate", "escalate")
    assert decision.belief.mu > 0 and any(g.name == "check" and "check failed" in g.said for g in decision.gates)
    assert (play.prompt().reason, play.prompt().chosen.model) == ("sticky", OPUS)
    play.now += 9_000
    assert play.prompt().reason != "sticky"


def test_after_the_asked_model_failed_too_it_is_not_simply_repeated(book: Book) -> None:
    play = Play(book)
    play.prompt()
    play.policy = GUARDED
    failed_check(play)
    handed = play.prompt()
    assert (handed.reason, handed.chosen.model) == ("hand_down", SONNET)
    strict = Play(book, Policy(failure_usd=2.0))
    strict.prompt()
    failed_check(strict)
    assert strict.prompt().chosen.model == OPUS, "quality never hands a retry down without consent"
    consented = Play(book, Policy(failure_usd=20.0, consent_up=True))
    consented.prompt()
    failed_check(consented)
    assert consented.prompt().chosen.model == FABLE


def test_a_check_that_runs_twice_on_the_same_work_says_it_once(book: Book) -> None:
    """A hook and then a person run it: the work is no worse for that, and nobody has tried again."""
    once, twice = Play(book, GUARDED), Play(book, GUARDED)
    for play, times in ((once, 1), (twice, 2)):
        play.prompt()
        for _ in range(times):
            failed_check(play)
            play.now += 1.0
    play.now = once.now
    assert twice.session.failed == once.session.failed
    assert twice.prompt().belief == once.prompt().belief


def test_a_passed_check_and_a_stale_failure_escalate_nothing(book: Book) -> None:
    play = Play(book, Policy(consent_up=True, failure_usd=20.0))
    play.prompt()
    play.tell(Signalled(play.now, "s1", "check_passed"))
    decision = play.prompt()
    assert decision.chosen.model == OPUS and decision.belief.mu < 0


def test_when_a_failure_costs_nothing_nobody_escalates(book: Book) -> None:
    play = Play(book, replace(GUARDED, failure_usd=0.0))
    play.prompt()
    failed_check(play)
    assert play.prompt().chosen.model == SONNET
