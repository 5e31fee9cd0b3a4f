"""``decide``: stay, or do something else, and what would each cost? The one decider; pure; clock and dice are arguments."""

from __future__ import annotations

from dataclasses import dataclass

from pointsman.core import difficulty, features, lineage, outcomes
from pointsman.core.book import Book
from pointsman.core.candidates import Setting, check_odds, compare, rungs, setting, with_effort
from pointsman.core.explain import breakevens, sentence
from pointsman.core.policy import Policy, admitted, choose
from pointsman.core.session import Lane, Session
from pointsman.core.types import (
    Action,
    Belief,
    Candidate,
    Config,
    Decision,
    FreePoint,
    Gate,
    Place,
    Reason,
    Request,
    Rule,
)

COLD = 0.5
"""Below this probability of a warm own cache, staying pays for the prefix as well: leaving is free."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was chosen, why, and what it would have been without the pin."""

    chosen: Config
    action: Action
    reason: Reason
    would: Config | None = None
    rules: tuple[Rule, ...] = ()
    notices: tuple[str, ...] = ()


def decide(request: Request, session: Session, book: Book, policy: Policy, now: float, dice: float) -> Decision:
    """The decision for ``request``. ``now``: epoch seconds; ``dice`` in [0, 1) is drawn by the caller (exploration; unused yet).

    The same ledger, clock and dice give the same decision. Never raises for an unpriced or unknown model: it stays.
    """
    place = lineage.locate(request, session, now)
    lane = session.lanes.get(place.lane)
    asked = Config(policy.asked or request.model, request.effort)
    again = _replayed(request, lane, place, asked)
    if again is not None:
        return again
    worker = lane.current.model if lane and lane.requests else asked.model
    before = lane.belief if lane else difficulty.PRIOR
    belief = difficulty.update(before, features.observe(request, place), book.ability(worker)[0], place)
    belief = _after_checks(belief, session, lane, book, policy)
    at = setting(request, session, place, book, policy, asked, now, belief)
    rows = compare(_configs(at), at)
    free = _free_point(at, rows)
    answer, gates = _answer(at, rows, free)
    return Decision(
        id="", place=place, asked=asked, chosen=answer.chosen, action=answer.action, reason=answer.reason,
        sentence=sentence(at, rows, answer.reason, answer.chosen, free, answer.notices),
        candidates=rows, gates=gates, rules=answer.rules, breakevens=breakevens(at, rows, answer.chosen), belief=belief,
        free_point=free, would=answer.would, propensity=1.0, policy_version=policy.version, card_version=book.version,
        notices=answer.notices,
    )  # fmt: skip


def _after_checks(belief: Belief, session: Session, lane: Lane | None, book: Book, policy: Policy) -> Belief:
    """The belief after the checks that ran since the lane's last request began: each judged the config that worked then."""
    if lane is None or lane.kind != "main" or not lane.requests:
        return belief
    theta, theta_sd, _ = book.ability(lane.current.model)
    for ts, kind in session.signals:
        if ts >= lane.last_start and kind in ("check_failed", "check_passed"):
            belief = outcomes.after_check(belief, theta, theta_sd, kind == "check_passed", check_odds(policy))
    return belief


def _replayed(request: Request, lane: Lane | None, place: Place, asked: Config) -> Decision | None:
    """A retry replays its decision, unless the upstream refused what we had changed: then the asked model (WIRE.md 1)."""
    if place.relation != "retry" or lane is None or lane.last_decision is None or lane.last_decision.asked != asked:
        return None
    last = lane.last_decision
    refused = lane.last_status >= 400 and last.moved
    chosen = asked if refused else last.chosen
    text = "Retry: the provider refused our change, so the model you asked for." if refused else "Retry: the same decision again."
    return Decision(
        id="", place=place, asked=asked, chosen=chosen, action="stay" if chosen == asked else last.action,
        reason="retry_asked" if refused else "retry", sentence=text, candidates=last.candidates,
        gates=(Gate("retry", True, text),), rules=last.rules, breakevens=last.breakevens, belief=last.belief,
        propensity=last.propensity, policy_version=last.policy_version, card_version=last.card_version,
    )  # fmt: skip


def _configs(at: Setting) -> list[Config]:
    """The configs worth a row: the ladder around the asked one, what runs now, what is pinned; for housekeeping all weaker."""
    if at.request.purpose == "side" and not at.policy.pool:
        ladder = at.book.ladder(at.asked.model)
        models = ladder[: ladder.index(at.asked.model) + 1] if at.asked.model in ladder else ()
    else:
        models = rungs(at.asked.model, at.book, at.policy)
    found = [at.asked if m == at.asked.model else with_effort(m, at.asked.effort, at.book) for m in models] or [at.asked]
    if at.current not in found and at.request.purpose != "side":
        found.append(at.current)
    pinned = _pinned(at)
    if pinned is not None and pinned not in found:
        found.append(pinned)
    return found


def _pinned(at: Setting) -> Config | None:
    """The pinned config where a pin holds for this request: on the main lane. Others are never touched by a pin."""
    pin = at.session.pin
    if pin is None or at.place.kind != "main" or at.request.purpose == "side":
        return None
    return pin.config if pin.config.effort else with_effort(pin.config.model, at.asked.effort, at.book)


def _answer(at: Setting, rows: tuple[Candidate, ...], free: FreePoint | None) -> tuple[Answer, tuple[Gate, ...]]:
    """The first rule that applies wins; every rule asked on the way leaves a gate."""
    gates: list[Gate] = []
    for name, rule in (
        ("mode", _observe), ("pin", _by_pin), ("side", _by_side), ("compaction", _by_compaction), ("lane", _by_lane),
        ("known", _by_knowledge), ("check", _by_check), ("sticky", _by_sticky), ("free_point", _by_free_point),
    ):  # fmt: skip
        answer, said = rule(at, rows, free)
        gates.append(Gate(name, True, said))
        if answer is not None:
            return answer, (*gates, *_skipped(len(gates)))
    return Answer(at.asked, "stay", "asked"), tuple(gates)


_NAMES = ("mode", "pin", "side", "compaction", "lane", "known", "check", "sticky", "free_point")


def _skipped(done: int) -> list[Gate]:
    return [Gate(name, False, "an earlier rule decided") for name in _NAMES[done:]]


_Ruled = tuple[Answer | None, str]


def _observe(at: Setting, rows: tuple[Candidate, ...], free: FreePoint | None) -> _Ruled:
    if at.policy.mode == "observe":
        return Answer(
            at.asked, "stay", "asked", rules=(Rule("observe", at.policy.origin("mode")),)
        ), "observing: nothing is changed"
    return None, "auto"


def _by_pin(at: Setting, rows: tuple[Candidate, ...], free: FreePoint | None) -> _Ruled:
    pin, pinned = at.session.pin, _pinned(at)
    if pin is None:
        return None, "no pin"
    if pinned is None:
        return None, "pinned, but a pin holds on the main lane only"
    rule = Rule(f"pin {pin.config} for this {pin.scope}" if pin.scope != "always" else f"pin {pin.config} always", pin.origin)
    free_answer = _by_free_point(at, rows, free)[0]
    would = free_answer.chosen if free_answer else at.asked
    row = next((r for r in rows if r.config == pinned), None)
    if row is not None and row.veto is not None:
        said = f"your pin on {pinned} cannot be honoured: {row.veto}"
        return Answer(at.asked, "stay", "pin_refused", would, (rule,), (said,)), said
    action: Action = "stay" if pinned == at.current else "switch"
    return Answer(pinned, action, "pin", would, (rule,)), f"pinned: {pinned}"


def _by_side(at: Setting, rows: tuple[Candidate, ...], free: FreePoint | None) -> _Ruled:
    if at.request.purpose != "side":
        return None, "not housekeeping"
    if not at.policy.side:
        rule = Rule("side = false", at.policy.origin("side"))
        return Answer(at.asked, "stay", "asked", rules=(rule,)), "housekeeping stays where it was asked"
    if not at.policy.pool and not at.book.ladder(at.asked.model):
        return Answer(at.asked, "stay", "no_ladder"), f"{at.asked.model}: nothing to compare with"
    fit = [r for r in rows if r.veto is None and r.input_usd is not None and r.output_usd is not None]
    if not fit:
        return Answer(at.asked, "stay", "unpriced"), "nothing here has a price"
    best = min(fit, key=lambda r: (r.input_usd or 0.0) + (r.output_usd or 0.0))
    action: Action = "stay" if best.config == at.asked else "switch"
    return Answer(best.config, action, "side"), f"cheapest that can do it: {best.config}"


def _by_compaction(at: Setting, rows: tuple[Candidate, ...], free: FreePoint | None) -> _Ruled:
    if at.request.purpose != "compaction":
        return None, "no summary asked"
    row = next((r for r in rows if r.config == at.current), None)
    if row is None or row.veto is not None:
        return Answer(at.asked, "stay", "compaction"), "the asked model summarises"
    return Answer(at.current, "stay", "compaction"), f"{at.current} holds the cache and summarises"


def _by_lane(at: Setting, rows: tuple[Candidate, ...], free: FreePoint | None) -> _Ruled:
    if at.place.kind != "subagent":
        return None, "main lane"
    return Answer(at.asked, "stay", "subagent"), "a sub-agent keeps the model its client chose"


def _by_knowledge(at: Setting, rows: tuple[Candidate, ...], free: FreePoint | None) -> _Ruled:
    if not at.book.has(at.asked.model):
        return Answer(at.asked, "stay", "no_ladder" if len(rows) < 2 else "unpriced"), f"{at.asked.model}: no price is known"
    if len(rows) < 2:
        return Answer(at.asked, "stay", "no_ladder"), f"{at.asked.model}: nothing to compare with"
    return None, f"{len(rows)} candidates"


def _by_check(at: Setting, rows: tuple[Candidate, ...], free: FreePoint | None) -> _Ruled:
    """After a failed check the next try goes where uplift pays: up to the asked model freely, further only by consent."""
    lane = at.lane
    if lane is None or at.place.kind != "main" or not at.session.failed:
        return None, "no failed check in this task"
    if not any(ts >= lane.last_start and kind == "check_failed" for ts, kind in at.session.signals):
        return None, "the failed check was acted on"
    p = {r.config: outcomes.REPEAT if r.config in at.session.failed else 1.0 - (r.fail or 0.0) for r in rows}
    here = at.current
    best, said = outcomes.next_try(rows, here, p, _allowed(at, rows) | {at.asked: True}, check_odds(at.policy))
    if best == here:
        return None, said
    order = [row.config for row in rows]
    down = here in order and order.index(best) < order.index(here)
    return Answer(best, "switch" if down else "escalate", "hand_down" if down else "escalate"), said


def _by_sticky(at: Setting, rows: tuple[Candidate, ...], free: FreePoint | None) -> _Ruled:
    sticky = at.lane.sticky if at.lane else None
    if sticky is None or at.place.new_task:
        return None, "not escalated"
    row = next((r for r in rows if r.config == sticky), None)
    if row is None or row.veto is not None:
        return None, f"escalated to {sticky}, which cannot serve this request"
    return Answer(sticky, "stay", "sticky"), f"escalated to {sticky} until the task ends"


def _by_free_point(at: Setting, rows: tuple[Candidate, ...], free: FreePoint | None) -> _Ruled:
    """At a free point follow the advice, inside what the user admits; anywhere else nothing moves in this first form."""
    here = at.current
    if free is None:
        stays = next((r for r in rows if r.config == here), None)
        if here != at.asked and stays is not None and stays.veto is None and _allowed(at, rows).get(here):
            return Answer(here, "stay", "free_point"), f"still on {here}: the way back is not free yet"
        return None, "the cache is warm: no free point"
    best = choose(rows, at.asked, _allowed(at, rows), free)
    if best is None:
        return None, f"{free}: nothing admitted is cheaper to go on with"
    return Answer(best, "stay" if best == here else "switch", "free_point"), f"{free}: {best} costs less to go on with"


def _allowed(at: Setting, rows: tuple[Candidate, ...]) -> dict[Config, bool]:
    """Which rows the policy admits. A model the client just changed to is a pin, and a pin admits nothing else."""
    order = [row.config for row in rows]
    base = order.index(at.asked) if at.asked in order else 0
    return {row.config: admitted(row, at.asked, i - base, at.policy) is None for i, row in enumerate(rows)}


def _free_point(at: Setting, rows: tuple[Candidate, ...]) -> FreePoint | None:
    """Which kind of free point this is, if any: the own cache is cold, or there is none yet (DECISION.md 5)."""
    place = at.place
    if at.request.purpose != "turn":
        return None
    if at.lane is None or at.lane.requests == 0:
        return "subagent_start" if place.kind == "subagent" else "session_start"
    if place.relation == "compacted":
        return "compaction"
    if place.relation == "new":
        return "clear"
    here = next((row for row in rows if row.config == at.current), None)
    if place.relation == "fork" and here is not None and here.cache_read * 2 < here.prompt:
        return "rewind"
    if here is not None and here.rates is not None and here.p_warm < COLD and at.lane.last_usage is not None:
        return "idle"
    return None
