"""Sessions made of real events, for tests of what people see: three models, a cache, and a price for every candidate.

``Story`` writes the events that the engine would write, with figures from one small bookkeeping: each model reads what it
read before and writes the rest. Deterministic: the clock is a field.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pointsman.core.decisions import Action, BreakEven, Candidate, Decision, Gate, Reason, Rule
from pointsman.core.events import Event, Finished, Mark, Marked, Pinned, Routed, RunStarted, Signalled, Unpinned
from pointsman.core.pricing import cost
from pointsman.core.types import Belief, Config, LaneKind, Place, Purpose, Rates, Request, Usage

MILLION = 1e6
HAIKU, SONNET, OPUS = Config("claude-haiku-4-5"), Config("claude-sonnet-4-5", "medium"), Config("claude-opus-4-5", "high")
RATES = {
    HAIKU.model: Rates(1 / MILLION, 0.1 / MILLION, 5 / MILLION, 5 / MILLION, ((300, 1.25 / MILLION), (3600, 2 / MILLION))),
    SONNET.model: Rates(3 / MILLION, 0.3 / MILLION, 15 / MILLION, 15 / MILLION, ((300, 3.75 / MILLION), (3600, 6 / MILLION))),
    OPUS.model: Rates(5 / MILLION, 0.5 / MILLION, 25 / MILLION, 25 / MILLION, ((300, 6.25 / MILLION), (3600, 10 / MILLION))),
}
LADDER = (HAIKU, SONNET, OPUS)
START = 1_790_000_000.0
ABILITY = {HAIKU.model: 0.7, SONNET.model: 2.0, OPUS.model: 2.6}
GATES = (
    Gate("mode", True, "auto"), Gate("pin", True, "no pin"), Gate("side", True, "not housekeeping"),
    Gate("known", True, "3 candidates"), Gate("free_point", False, "an earlier rule decided"),
)  # fmt: skip


class Story:
    """Writes one session's events. ``now`` is its clock in epoch seconds; ``events`` is what it wrote."""

    def __init__(self, session: str, *, start: float = START, client: str = "claude-code", cwd: str = "/home/ada/api",
                 title: str = "", asked: Config = SONNET, prompt: int = 18_000) -> None:  # fmt: skip
        self.session, self.client, self.cwd, self.title, self.asked = session, client, cwd, title, asked
        self.now, self.turn_number, self.prompt = start, 0, prompt
        self.count = 0
        self.read: dict[str, int] = {}
        self.current = asked
        self.belief = Belief()
        self.events: list[Event] = []

    def run(self, run: str = "r1") -> Story:
        self.events.append(RunStarted(self.now, run, self.client, self.cwd, True))
        return self

    def turn(self, config: Config | None = None, *, requests: int = 1, grow: int = 2_400, output: int = 700,
             hard: Belief | None = None, gap: float = 90.0, **more: Any) -> Story:  # fmt: skip
        """One turn of ``requests`` main requests on ``config`` (default: what was asked)."""
        self.turn_number += 1
        self.now += gap
        self.belief = hard or self.belief
        for i in range(requests):
            self.request(config, new_turn=i == 0, grow=grow, output=output, **more)
        return self

    def request(self, config: Config | None = None, *, new_turn: bool = False, grow: int = 1_200, output: int = 500,
                action: Action | None = None, reason: Reason | None = None, kind: LaneKind = "main", lane: str = "main",
                purpose: Purpose = "turn", would: Config | None = None, finish: bool = True, usage: Usage | None = None,
                status: int = 200, notices: tuple[str, ...] = (), billed: bool = True, **finished: Any) -> Story:  # fmt: skip
        chosen = config or self.asked
        self.count += 1
        id = f"{self.session}-{self.count}"
        self.prompt += grow if kind == "main" else 0
        moved = chosen != self.asked
        decision = Decision(
            id=id, place=Place(self.session, lane, kind, "continue" if self.count > 1 else "new", turn=self.turn_number,
                               task=1, new_turn=new_turn, in_loop=not new_turn, gap_s=90.0),
            asked=self.asked, chosen=chosen, action=action or ("switch" if chosen != self.current else "stay"),
            reason=reason or ("free_point" if moved else "asked"), sentence=self._sentence(chosen, reason),
            candidates=self._candidates(chosen), gates=GATES, rules=self._rules(reason), breakevens=self._breakevens(chosen),
            belief=self.belief, would=would, propensity=1.0, policy_version="first-1c2d3e4f", card_version="litellm-1.106.2",
            notices=notices,
        )  # fmt: skip
        request = Request(
            "messages", "/v1/messages", self.asked.model, self.client, purpose, self.asked.effort, session=self.session,
            run="r1", cwd=self.cwd, title=self.title,
        )  # fmt: skip
        self.events.append(Routed(self.now, self.session, id, request, 0, decision))
        if not finish:
            return self
        started, self.now = self.now, self.now + 3.0 + output / 80
        mine = usage or self._usage(chosen, output, kind)
        if kind == "main" and purpose == "turn":
            self.current = chosen
        asked = self._usage(self.asked, output, kind, shadow=True) if moved else None
        ok = status < 400
        self.events.append(Finished(
            self.now, self.session, id, status, "final" if ok else "error", started, self.now, started + 0.8,
            usage=mine if ok and billed else None, served=chosen, rates=RATES[chosen.model],
            asked_usage=asked if ok and billed else None, asked_rates=RATES[self.asked.model] if moved else None, ttl_s=300,
            **finished,
        ))  # fmt: skip
        return self

    def mark(self, turn: int, mark: Mark, undo: bool = False) -> Story:
        self.events.append(Marked(self.now, self.session, turn, mark, "tui", undo))
        return self

    def signal(self, kind: str) -> Story:
        self.events.append(Signalled(self.now, self.session, kind))
        return self

    def pin(self, config: Config) -> Story:
        self.events.append(Pinned(self.now, self.session, config, "session", "pointsman pin"))
        return self

    def unpin(self) -> Story:
        self.events.append(Unpinned(self.now, self.session, "session", "pointsman unpin", "unpinned by you"))
        return self

    def _usage(self, config: Config, output: int, kind: LaneKind, shadow: bool = False) -> Usage:
        if kind != "main":
            return Usage(fresh=1_500, output=60)
        key = f"asked {config.model}" if shadow else config.model
        read = self.read.get(key, self.read.get(config.model, 0)) if shadow else self.read.get(key, 0)
        self.read[key] = self.prompt
        return Usage(fresh=3, cache_read=read, cache_write=((300, self.prompt - read),), output=output)

    def _candidates(self, chosen: Config) -> tuple[Candidate, ...]:
        rows = []
        for config in LADDER:
            rates, warm = RATES[config.model], self.read.get(config.model, 0)
            usage = Usage(cache_read=warm, cache_write=((300, self.prompt - warm),))
            hot = Usage(cache_read=max(0, self.prompt - 1_200), cache_write=((300, 1_200),), output=500)
            fail = 1 / (1 + 2.718 ** ((ABILITY[config.model] - self.belief.mu) / (1 + 0.39 * self.belief.sd**2) ** 0.5))
            toll = (rates.write(300) - rates.cache_read) * max(0, self.prompt - 1_200 - warm)
            back = (RATES[chosen.model].write(300) - RATES[chosen.model].cache_read) * self.prompt * 0.8
            run = cost(hot, rates)
            rows.append(Candidate(
                config.model, config.effort, prompt=self.prompt, cache_read=warm, cache_write=self.prompt - warm,
                p_warm=0.97 if warm else 0.0, input_usd=cost(usage, rates), output_usd=500 * rates.output, run_usd=run,
                toll_usd=toll, way_back_usd=0.0 if config == chosen else back, round_trip_usd=toll + back, fail=fail,
                wait_s=4.0 + 1e6 * rates.output * 0.4, total_usd=toll + 10 * run + fail * 5.0,
                warm_until=self.now + 252 if warm else None, rates=rates,
            ))  # fmt: skip
        return tuple(rows)

    @staticmethod
    def _sentence(chosen: Config, reason: Reason | None) -> str:
        name = chosen.model.removeprefix("claude-")
        if reason == "pin":
            return f"{name}, pinned by you. sonnet-4-5 would cost ≈$0.021 less a request."
        if reason == "escalate":
            return f"Escalate to {name} for the rest of the task."
        return (
            f"Stay on {name}, the model you asked for. haiku-4-5 would save ≈$0.013 a request; "
            "the switch and the way back cost ≈$0.139."
        )

    @staticmethod
    def _rules(reason: Reason | None) -> tuple[Rule, ...]:
        return (Rule("pin claude-opus-4-5:high for this session", "pointsman pin"),) if reason == "pin" else ()

    def _breakevens(self, chosen: Config) -> tuple[BreakEven, ...]:
        if chosen != SONNET:
            return ()
        return (
            BreakEven(HAIKU.model, None, "requests", 10.6, 10.0), BreakEven(HAIKU.model, None, "difficulty", None, 0.31),
            BreakEven(OPUS.model, "high", "requests", None, 10.0), BreakEven(OPUS.model, "high", "difficulty", 0.62, 0.31),
            BreakEven(OPUS.model, "high", "minutes", 14.2, 5.0),
        )  # fmt: skip


def api_fix(start: float = START) -> Story:
    """Fourteen turns: asked model, corrections, an escalation by pin, marks, side traffic, a sub-agent, one still running."""
    s = Story("5f0c2f6e-api-fix", start=start, title="api-fix").run()
    s.turn().request(HAIKU, kind="side", lane="side", purpose="side", reason="side", grow=0)
    s.turn(requests=2, hard=Belief(-3.1, 1.4, 2)).turn(hard=Belief(-2.9, 1.3, 3)).signal("check_passed")
    s.turn(requests=3, hard=Belief(-1.5, 1.2, 4)).mark(4, "bad")
    s.pin(OPUS).turn(OPUS, hard=Belief(0.7, 1.1, 6), reason="pin", would=SONNET, requests=2).signal("check_passed")
    s.turn(OPUS, hard=Belief(0.5, 1.0, 7), reason="pin", would=SONNET).turn(OPUS, reason="pin", would=SONNET)
    s.turn(OPUS, hard=Belief(-0.6, 1.0, 8), reason="pin", would=SONNET).mark(8, "overkill").unpin()
    s.turn(hard=Belief(1.1, 0.9, 9), requests=2).request(HAIKU, kind="subagent", lane="agent-1", reason="subagent", grow=0)
    s.turn(hard=Belief(0.2, 0.9, 10)).mark(10, "good").turn(billed=False).turn(hard=Belief(-0.7, 0.9, 11))
    s.turn(requests=2, hard=Belief(-1.3, 0.8, 12)).signal("commit")
    return s.turn(hard=Belief(-2.0, 0.8, 13), finish=False)


def interleaved(stories: Iterable[Story]) -> list[Event]:
    """The events of several stories in the order of their times."""
    return sorted((event for story in stories for event in story.events), key=lambda event: event.ts)


def afternoon() -> list[Event]:
    """Three sessions of one afternoon, the newest running."""
    docs = Story("c1b7-docs", start=START - 5_000, title="docs").turn().turn().turn()
    spike = Story("77aa-spike", start=START - 9_000, title="spike", asked=OPUS, client="opencode")
    spike.turn(HAIKU, reason="free_point").turn(HAIKU, reason="free_point", status=529, error="overloaded")
    return interleaved([docs, spike, api_fix()])
