"""What holds in every conversation: random ones, played through the router with the real price book."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pointsman import Settings, engine
from pointsman.core.book import Book
from pointsman.core.codec import decode, encode
from pointsman.core.events import Event, Finished, Pinned, Routed, Unpinned
from pointsman.core.evolve import fold
from pointsman.core.pricing import cost
from pointsman.core.types import Config
from pointsman.errors import SettingsError
from pointsman.shell.prices import load_book

BOOK = load_book()
OPUS, SONNET, HAIKU = "claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"
TOOLS = [{"name": "Bash", "input_schema": {"type": "object"}}]
MARK = {"type": "ephemeral"}
T0 = 1_800_000_000.0

Step = tuple[str, Any]
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("prompt"), st.integers(1, 4_000)),
    st.tuples(st.just("prompt"), st.integers(1, 4_000)),
    st.tuples(st.just("tool"), st.sampled_from(["1 failed, 3 passed in 0.1s", "4 passed in 0.1s", "ok"])),
    st.tuples(st.just("run"), st.sampled_from(["ls", "git push origin main", "vi db/migrations/1.sql"])),
    st.tuples(st.just("retry"), st.none()),
    st.tuples(st.just("rewind"), st.integers(1, 4)),
    st.tuples(st.just("side"), st.none()),
    st.tuples(st.just("agent"), st.sampled_from(["a1", "a2"])),
    st.tuples(st.just("count"), st.none()),
    st.tuples(st.just("pin"), st.tuples(st.sampled_from(["opus", "sonnet", "haiku:low", "fable", "gpt-6.1-sol"]),
                                        st.sampled_from(["turn", "task", "session", "always"]))),
    st.tuples(st.just("unpin"), st.none()),
    st.tuples(st.just("mark"), st.sampled_from(["good", "bad", "overkill"])),
    st.tuples(st.just("signal"), st.sampled_from(["check_failed", "check_passed", "commit"])),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 290.0, 400.0, 4_000.0, -900.0])),
    st.tuples(st.just("status"), st.sampled_from([200, 200, 429, 529])),
    st.tuples(st.just("model"), st.sampled_from([OPUS, SONNET, "my-finetune"])),
    st.tuples(st.just("effort"), st.sampled_from([None, "low", "high"])),
    st.tuples(st.just("refuse"), st.sampled_from([400, 403, 404])),
)  # fmt: skip
TALKS = st.lists(STEPS, min_size=1, max_size=24)
POLICIES = st.sampled_from(
    [
        Settings(),
        Settings(profile="saver", failure_usd=0),
        Settings(profile="balanced", check=True, consent_up=True, failure_usd=3),
        Settings(profile="fast", consent_up=True),
        Settings(pool=[HAIKU, OPUS], profile="saver", failure_usd=0.2),
        Settings(mode="observe"),
        Settings(asked=OPUS),
        Settings(profile="saver", failure_usd=0, kinds={"chat": "haiku"}, budget={"session": 0.05, "then": "cheapest"}),
    ]
)
FAST = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@dataclass
class Talk:
    """One client's session, step by step; ``routes`` holds each route with the pin that was in force."""

    settings: Settings
    book: Book = BOOK
    now: float = T0
    model: str = OPUS
    effort: str | None = None
    status: int = 200
    said: list[dict[str, Any]] = field(default_factory=list)
    routes: list[tuple[engine.Route, Pinned | None]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.router = engine.Router(self.settings.policy(), self.book)

    def play(self, steps: list[Step]) -> Talk:
        for name, value in steps:
            self.now += 7.0
            try:
                getattr(self, f"_{name}")(value)
            except SettingsError as error:  # a pin or mark that cannot be: said in words
                assert len(str(error)) > 10
            self.events += self.router.events()
        return self

    def _send(self, said: list[dict[str, Any]], agent: str | None = None, path: str = "/v1/messages", tools: bool = True,
              stop: str = "final", refuse: int | None = None) -> None:  # fmt: skip
        last = {**said[-1], "content": [{**said[-1]["content"][0], "cache_control": MARK}]} if tools else said[-1]
        body: dict[str, Any] = {"model": self.model, "max_tokens": 2_000, "messages": [*said[:-1], last],
                                "system": [{"type": "text", "text": "You help. " * 900, "cache_control": MARK}]}  # fmt: skip
        if tools:
            body["tools"] = TOOLS
        if self.effort:
            body["output_config"] = {"effort": self.effort}
        headers = {"x-claude-code-session-id": "s", "x-api-key": "k"} | ({"x-claude-code-agent-id": agent} if agent else {})
        raw = json.dumps(body).encode()
        route = self.router.route(path=path, headers=headers, body=raw, now=self.now, dice=0.5)
        self.routes.append((route, self._pin_in_force()))
        resent = refuse is not None and route.changed
        if resent:
            back = self.router.refuse(route.id, refuse or 0, self.now)
            assert back.body is raw and back.model == self.model and not back.changed
        prompt = len(raw) // 4
        usage = {"input_tokens": 3, "cache_read_input_tokens": prompt // 2, "cache_creation_input_tokens": prompt // 2,
                 "output_tokens": 50}  # fmt: skip
        ok = self.status < 400
        self.router.finish(
            route.id, usage=usage if ok else None, status=self.status, started=self.now, first_byte=self.now + 1,
            ended=self.now + 3, stop=stop if ok else "error", resent=resent,  # type: ignore[arg-type]
        )  # fmt: skip

    def _pin_in_force(self) -> Pinned | None:
        """The session's own pin, else the one that always holds; one that ends with this request still held for it."""
        held: dict[bool, Pinned | None] = {}
        new = [event for event in self.router._new if not isinstance(event, Unpinned)]
        for event in [*self.events, *new]:
            if isinstance(event, (Pinned, Unpinned)):
                held[event.session is None] = event if isinstance(event, Pinned) else None
        return held.get(False) or held.get(True)

    def _prompt(self, chars: int, **more: Any) -> None:
        if self.said and self.said[-1]["role"] == "user":
            self._answered()
        self.said.append({"role": "user", "content": [{"type": "text", "text": f"do {len(self.said)} " + "x" * chars}]})
        self._send(self.said, **more)

    def _answered(self, **given: str) -> None:
        self.said.append({"role": "assistant", "content": [{"type": "tool_use", "id": f"t{len(self.said)}", "name": "Bash",
                                                            "input": given}]})  # fmt: skip

    def _run(self, command: str) -> None:
        if self.said and self.said[-1]["role"] == "user":
            self._answered(command=command)
        self._tool("done")

    def _tool(self, text: str) -> None:
        if not self.said:
            return self._prompt(20, stop="tool")
        if self.said[-1]["role"] == "user":
            self._answered()
        self.said.append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": text}]})
        return self._send(self.said, stop="tool")

    def _retry(self, _: None) -> None:
        if self.said:
            self._send(self.said)

    def _rewind(self, back: int) -> None:
        del self.said[max(0, len(self.said) - 2 * back) :]
        self._prompt(30)

    def _side(self, _: None) -> None:
        self._send([{"role": "user", "content": [{"type": "text", "text": "Name it."}]}], tools=False)

    def _agent(self, name: str) -> None:
        self._send([{"role": "user", "content": [{"type": "text", "text": f"look {name}"}]}], agent=name)

    def _count(self, _: None) -> None:
        if self.said:
            self._send(self.said, path="/v1/messages/count_tokens")

    def _pin(self, what: tuple[str, Any]) -> None:
        self.router.pin(what[0], scope=what[1], session=None if what[1] == "always" else "s", now=self.now)

    def _unpin(self, _: None) -> None:
        self.router.unpin(session="s", now=self.now)

    def _mark(self, mark: Any) -> None:
        self.router.mark(session="s", turn=1, mark=mark, now=self.now)

    def _signal(self, kind: str) -> None:
        self.router.signal(session="s", kind=kind, now=self.now)

    def _wait(self, seconds: float) -> None:
        self.now += seconds

    def _status(self, status: int) -> None:
        self.status = status

    def _model(self, model: str) -> None:
        self.model = model

    def _effort(self, effort: str | None) -> None:
        self.effort = effort

    def _refuse(self, status: int) -> None:
        self._prompt(40, refuse=status)


@FAST
@given(TALKS, POLICIES)
def test_the_live_state_is_the_fold_of_the_ledger_as_it_is_written_and_read(steps: list[Step], policy: Settings) -> None:
    talk = Talk(policy).play(steps)
    read = [decode(type(e).__name__, json.loads(json.dumps(encode(e)))) for e in talk.events]
    assert read == talk.events
    for name, session in talk.router.sessions.items():
        assert fold(e for e in read if getattr(e, "session", None) == name) == session
    rebuilt = engine.Router(policy.policy(), BOOK, read)
    assert rebuilt.sessions == talk.router.sessions and rebuilt._known.learned == talk.router._known.learned
    assert rebuilt._known.user.told == talk.router._known.user.told and rebuilt._known.user.day == talk.router._known.user.day


@FAST
@given(TALKS, POLICIES)
def test_a_ledger_a_clock_and_dice_make_one_decision(steps: list[Step], policy: Settings) -> None:
    once, again = Talk(policy).play(steps), Talk(policy).play(steps)
    assert [replace(r.decision, id="") for r, _ in once.routes] == [replace(r.decision, id="") for r, _ in again.routes]
    assert [r.body for r, _ in once.routes] == [r.body for r, _ in again.routes]


@FAST
@given(TALKS, POLICIES)
def test_a_failed_check_never_makes_the_next_request_look_easier(steps: list[Step], policy: Settings) -> None:
    def next_one(said: Step) -> engine.Route:
        return Talk(policy).play([*steps, ("status", 200), ("prompt", 40), said, ("prompt", 40)]).routes[-1][0]

    bare, failed = next_one(("wait", 0.0)).decision, next_one(("signal", "check_failed")).decision
    if bare.place.new_task == failed.place.new_task and "retry" not in (bare.reason, failed.reason):
        assert failed.belief.mu >= bare.belief.mu - 1e-9


@FAST
@given(TALKS, POLICIES)
def test_what_is_vetoed_is_never_sent_and_a_pin_holds_or_says_that_it_cannot(steps: list[Step], policy: Settings) -> None:
    for route, held in Talk(policy).play(steps).routes:
        decision = route.decision
        row = decision.row(decision.chosen)
        if decision.reason not in ("retry", "count"):  # these repeat what an earlier request was told
            assert row is None or row.veto is None or decision.chosen == decision.asked
        if held is None or decision.place.kind != "main" or decision.reason == "count" or policy.mode == "observe":
            continue
        if decision.chosen.model != held.config.model:
            told = " ".join((*decision.notices, decision.sentence))
            assert decision.reason in ("pin_refused", "retry", "retry_asked", "fail_open"), decision
            assert decision.reason == "retry" or "cannot be honoured" in told or "could not" in told, told


@FAST
@given(TALKS, st.sampled_from([Settings(), Settings(profile="fast"), Settings(check=True), Settings(consent_up=True)]))
def test_by_default_a_persons_work_runs_on_the_model_that_was_asked(steps: list[Step], policy: Settings) -> None:
    """Pins and housekeeping apart. A failed check may go up where that was consented to, never down."""
    ladder = BOOK.ladder(OPUS)
    for route, held in Talk(policy).play(steps).routes:
        decision = route.decision
        if decision.place.kind == "side" or held is not None or decision.would is not None:
            continue
        if decision.reason in ("count", "compaction", "retry"):
            continue
        if decision.chosen.model != decision.asked.model:
            assert policy.consent_up and decision.reason in ("escalate", "sticky"), decision
            assert ladder.index(decision.chosen.model) > ladder.index(decision.asked.model)
        else:
            assert decision.chosen == decision.asked or decision.reason in ("escalate", "sticky")


@settings(FAST, max_examples=200)
@given(TALKS, POLICIES)
@example([("prompt", 100), ("run", "git push origin main"), ("prompt", 30)], Settings(profile="saver", failure_usd=0))
@example([("prompt", 1), ("pin", ("fable", "turn")), ("prompt", 1), ("prompt", 1)], Settings(consent_up=True))
def test_weaker_and_dearer_only_where_somebody_agreed_and_never_weaker_on_protected_work(
    steps: list[Step], policy: Settings
) -> None:
    """Pins, housekeeping, sub-agents and what repeats an earlier request apart. Less effort is weaker too."""
    down = policy.profile == "saver" or (policy.profile == "balanced" and policy.check is True)
    for route, held in Talk(policy).play(steps).routes:
        decision = route.decision
        if decision.place.kind != "main" or held is not None or decision.would is not None or decision.chosen == decision.asked:
            continue
        if decision.reason in ("count", "compaction", "retry"):
            continue
        order = [row.config for row in decision.candidates]
        if order.index(decision.chosen) < order.index(decision.asked):
            assert down, decision
            assert not any(rule.name.startswith("protect ") for rule in decision.rules), decision
        else:
            assert policy.consent_up and decision.reason in ("escalate", "sticky", "effort"), decision


@FAST
@given(TALKS, POLICIES)
def test_every_figure_adds_up_and_every_sentence_can_be_read(steps: list[Step], policy: Settings) -> None:
    talk = Talk(policy).play(steps)
    for route, _ in talk.routes:
        decision = route.decision
        assert decision.propensity == 1.0 and sum(row.config == decision.chosen for row in decision.candidates) <= 1
        for row in decision.candidates:
            if row.rates is None:
                continue
            assert row.fresh + row.cache_read + row.cache_write == row.prompt
            assert min(row.fresh, row.cache_read, row.cache_write) >= 0 and 0.0 <= row.p_warm <= 1.0
            money = (row.input_usd, row.output_usd, row.run_usd, row.toll_usd, row.way_back_usd)
            assert all(usd is None or usd >= 0.0 for usd in money), row
            assert row.total_usd is None or row.total_usd >= 0.0
            assert row.fail is None or 0.0 <= row.fail <= 1.0
        said = [decision.sentence, *decision.notices, *(gate.said for gate in decision.gates)]
        assert all(text and not {"None", "nan", "inf", "≈$-"} & set(text.replace(",", " ").split()) for text in said), said
        assert "$-" not in " ".join(said) and decision.sentence.endswith(".")
    for event in talk.events:
        if isinstance(event, Finished) and event.usage and event.rates:
            assert cost(event.usage, event.rates) >= 0.0
            if event.asked_usage and event.asked_rates:
                assert cost(event.asked_usage, event.asked_rates) >= 0.0
                assert min(event.asked_usage.fresh, event.asked_usage.cache_read, event.asked_usage.written) >= 0


@FAST
@given(TALKS, POLICIES)
def test_nothing_but_what_was_decided_differs_in_the_bytes(steps: list[Step], policy: Settings) -> None:
    for event in (e for e in Talk(policy).play(steps).events if isinstance(e, Routed)):
        assert event.decision.id == event.id and event.kept == event.decision.place.kept
    for route, _ in Talk(policy).play(steps).routes:
        sent = json.loads(route.body)
        assert sent["model"] == route.model and route.decision.chosen == Config(route.model, route.effort)
        assert sent["messages"] and sent["max_tokens"] == 2_000


@pytest.mark.parametrize("policy", [Settings(failure_usd=2), Settings(failure_usd=8, check=True)])
@pytest.mark.parametrize("chars", [400, 40_000, 400_000])
def test_the_requests_at_which_a_switch_is_repaid_are_the_ones_at_which_the_sums_cross(policy: Settings, chars: int) -> None:
    talk = Talk(policy).play([("prompt", chars), ("tool", "ok")])
    decision = talk.routes[-1][0].decision
    mine = decision.row(decision.chosen)
    assert mine is not None and mine.run_usd is not None and mine.toll_usd is not None
    points = [point for point in decision.breakevens if point.axis == "requests"]
    assert points
    for point in points:
        other = decision.row(Config(point.model, point.effort))
        assert other is not None and other.run_usd is not None and other.toll_usd is not None

        def gap(n: float, other: Any = other) -> float:
            more = other.steps / mine.steps  # type: ignore[union-attr]  # it needs so many requests for the work of one
            return (mine.toll_usd + n * mine.run_usd) - (other.toll_usd + n * more * other.run_usd)  # type: ignore[union-attr,operator]

        if point.at is None:
            assert gap(1e6) <= 0.0
        elif point.at > 0.0:
            assert gap(point.at * 0.98) < 0.0 < gap(point.at * 1.02)


@pytest.mark.parametrize("base", [{}, {"check": True}, {"profile": "fast"}])
@pytest.mark.parametrize("usd", [0.5, 3.0, 20.0])
def test_deciding_again_on_both_sides_of_the_users_minutes_finds_the_other_cheaper(base: dict[str, Any], usd: float) -> None:
    steps: list[Step] = [("prompt", 40_000), ("tool", "ok"), ("prompt", 400)]

    def gap(failure_usd: float, mine: Config, other: Config) -> float:
        decision = Talk(Settings(failure_usd=failure_usd, **base)).play(steps).routes[-1][0].decision
        a, b = decision.row(mine), decision.row(other)
        assert a is not None and b is not None and a.total_usd is not None and b.total_usd is not None
        return a.total_usd - b.total_usd

    decision = Talk(Settings(failure_usd=usd, **base)).play(steps).routes[-1][0].decision
    points = [point for point in decision.breakevens if point.axis == "minutes"]
    assert points and all(point.now == usd for point in points)
    for point in points:
        other = Config(point.model, point.effort)
        if point.at is None:
            assert gap(0.0, decision.chosen, other) * gap(60.0, decision.chosen, other) > 0.0
        else:
            below, above = gap(point.at * 0.95, decision.chosen, other), gap(point.at * 1.05, decision.chosen, other)
            assert below * above < 0.0, (point, below, above)
