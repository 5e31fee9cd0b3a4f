"""``decide``: stay, or do something else, and what would each cost? The one decider; pure; clock and dice are arguments."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from pointsman.core import advisor, difficulty, efforts, features, lineage, outcomes, rules
from pointsman.core.book import Book
from pointsman.core.candidates import check_odds, odds_of, rows_of, setting, with_effort
from pointsman.core.contenders import asked_of, configs_of, guessed, pinned_for, scheduled_for
from pointsman.core.costing import allowed, costed, weigh
from pointsman.core.decisions import Action, Candidate, Decision, Gate, Reason, Rule
from pointsman.core.explain import breakevens
from pointsman.core.kinds import kind_of, unchecked
from pointsman.core.policy import Policy, choose
from pointsman.core.record import record
from pointsman.core.replayed import replayed
from pointsman.core.retries import check_failed, next_tries
from pointsman.core.sentences import sentence
from pointsman.core.session import Lane, Session, heard
from pointsman.core.setting import Setting
from pointsman.core.types import Belief, Config, FreePoint, Request
from pointsman.core.weighing import due, weighed

COLD = 0.5
"""Below this probability of a warm own cache, staying pays for the prefix as well: leaving is free."""


_gate = lru_cache(maxsize=1024)(Gate)
"""Most gates say the same at every request: the same words give the same object."""


@record(frozen=True, slots=True)
class Answer:
    """What was chosen, why, and what it would have been without the pin."""

    chosen: Config
    action: Action
    reason: Reason
    would: Config | None = None
    rules: tuple[Rule, ...] = ()
    notices: tuple[str, ...] = ()
    consult: Config | None = None


def decide(request: Request, session: Session, book: Book, policy: Policy, now: float, dice: float) -> Decision:
    """The decision for ``request``. ``now``: epoch seconds; ``dice`` in [0, 1) is drawn by the caller (exploration; unused yet).

    The same ledger, clock and dice give the same decision. Never raises for an unpriced or unknown model: it stays.
    """
    place = lineage.locate(request, session, now)
    lane = session.lanes.get(place.lane)
    asked = asked_of(request, place, book, policy)
    again = replayed(session, lane, place, asked, book)
    if again is not None:
        return replace(again, edits=advisor.additions(again, request, lane, book, policy))
    worker = lane.current.model if lane and lane.requests else asked.model
    before = lane.belief if lane else difficulty.PRIOR
    if place.new_task:  # a check judged the task before this one
        before = _after_checks(before, session, lane, book, policy)
    seen = features.observe(request, place, lane, session, book.steps(worker))
    pushed = difficulty.pushed_back(seen.progress)
    belief = difficulty.update(before, seen.now, difficulty.ability(worker, session, book), place, seen.past, pushed)
    kind = kind_of(request, place, lane, seen.progress)
    if not place.new_task:
        belief = _after_checks(belief, session, lane, book, policy)
    at = setting(request, session, place, book, policy, asked, now, belief, kind, unchecked(seen.progress, place, session, kind))
    version = policy.version
    last = _standing(at, version)
    rows = rows_of([row.config for row in last] if last else configs_of(at), at, last)
    free = _free_point(at, rows)
    now_weighed = None if last and free is None else weigh(rows, at)
    rows = costed(rows, at, now_weighed) if now_weighed else rows
    answer, gates = _answer(at, rows, free)
    notices = (*answer.notices, *[said for said in rules.notices(at, gates) if said not in answer.notices])
    decision = Decision(
        id="", place=place, asked=asked, chosen=answer.chosen, action=answer.action, reason=answer.reason,
        sentence=sentence(at, rows, answer.action, answer.reason, answer.chosen, free, notices, gates),
        candidates=rows, gates=gates, rules=(*answer.rules, *rules.shown(at)),
        breakevens=breakevens(at, rows, answer.chosen, now_weighed), belief=belief, free_point=free, would=answer.would,
        propensity=1.0, policy_version=version, card_version=book.version,
        notices=notices, envelope=weighed(at, rows, free), consult=answer.consult, kind=kind,
        lapse=next((session.learned.lapse(row.ttl_s) for row in rows if row.config == answer.chosen and row.ttl_s), None),
    )  # fmt: skip
    ours = advisor.additions(decision, request, lane, book, policy, at.ruling.over)
    return replace(decision, edits=ours) if ours else decision


def _standing(at: Setting, version: str) -> tuple[Candidate, ...]:
    """The rows of the lane's last decision where they stand: inside a tool loop, with no check, pin or model that is new.

    ``version``: of the policy in force.
    """
    lane, signals = at.lane, at.session.signals
    last = lane.last_decision if lane else None
    if last is None or lane is None or not at.place.in_loop or at.place.new_turn or last.asked != at.asked:
        return ()
    if at.ruling.fresh:  # what the task touches now changes what a failure costs
        return ()
    if last.policy_version != version or (signals and signals[-1][0] > lane.last_start):
        return ()
    found = [row.config for row in last.candidates]
    for wanted in (at.current, pinned_for(at), scheduled_for(at), rules.preferred_config(at)):
        if isinstance(wanted, Config) and wanted not in found:
            return ()
    return last.candidates


def _after_checks(belief: Belief, session: Session, lane: Lane | None, book: Book, policy: Policy) -> Belief:
    """The belief after the checks that ran since the lane's last request began: they judged the config that worked then.

    The same verdict said again, of the same work, says nothing more.
    """
    if lane is None or lane.kind != "main" or not lane.requests:
        return belief
    for kind in dict.fromkeys([kind for ts, kind in session.signals if ts > lane.last_start]):
        if kind in ("check_failed", "check_passed"):
            known = session.learned.abilities
            look = known.outlook(session.cwd or "", lane.opened_as)
            skill = known.skill(lane.current.model, *book.skill(lane.current))
            belief = outcomes.after_check(belief, *skill, kind == "check_passed", check_odds(policy, look), look)
    return belief


def _answer(at: Setting, rows: tuple[Candidate, ...], free: FreePoint | None) -> tuple[Answer, tuple[Gate, ...]]:
    """The first rule that applies wins; every rule asked on the way leaves a gate."""
    said: list[str] = []
    for _, rule in _RULES:
        answer, words = rule(at, rows, free)
        said.append(words)
        if answer is not None:
            return answer, _gates(tuple(said))
    return Answer(at.asked, _action(at, at.asked), "asked"), _gates(tuple(said))


@lru_cache(maxsize=1024)
def _gates(said: tuple[str, ...]) -> tuple[Gate, ...]:
    """The gates of all rules: of those that were asked what they ``said``; most say the same at every request."""
    asked = [_gate(name, True, words) for (name, _), words in zip(_RULES, said, strict=False)]
    return (*asked, *[_gate(name, False, "an earlier rule decided") for name, _ in _RULES[len(said) :]])


def _action(at: Setting, chosen: Config) -> Action:
    """What going to ``chosen`` is: nothing where it runs already, or where the client itself has changed what it asks for."""
    own = at.lane is not None and at.lane.asked != at.asked and chosen == at.asked
    if chosen == at.current or own:
        return "stay"
    return "effort" if chosen.model == at.current.model else "switch"


_Ruled = tuple[Answer | None, str]


def _ruled(at: Setting, found: rules.Ruled) -> _Ruled:
    """What a rule of the user's own comes to."""
    if found.chosen is None:
        return None, found.said
    action: Action = "hold" if found.hold else _action(at, found.chosen)
    return Answer(found.chosen, action, found.reason, rules=found.rules, notices=found.notices), found.said


def _by_protect(at: Setting, rows: tuple[Candidate, ...], free: FreePoint | None) -> _Ruled:
    if not at.ruling.touched:
        return None, "nothing protected is touched"
    return _ruled(at, rules.protected(at, rows))


def _by_budget(at: Setting, rows: tuple[Candidate, ...], free: FreePoint | None) -> _Ruled:
    return _ruled(at, rules.within_budget(at, rows, allowed(rows, at) if at.ruling.over else {}, free is not None))


def _by_kind(at: Setting, rows: tuple[Candidate, ...], free: FreePoint | None) -> _Ruled:
    if not at.policy.kinds:
        return None, "no preferences"
    return _ruled(at, rules.preferred_kind(at, rows, free is not None))


def _by_hold(at: Setting, rows: tuple[Candidate, ...], free: FreePoint | None) -> _Ruled:
    """A move that pays waits for a free point while the cache is warm."""
    if free is not None or at.place.in_loop or at.place.new_task or at.current != at.asked or at.place.kind != "main":
        return None, "nothing to wait for" if not at.place.in_loop else "inside a tool loop nothing moves"
    return _ruled(at, rules.hold(at, rows, allowed(rows, at)))


def _observe(at: Setting, rows: tuple[Candidate, ...], free: FreePoint | None) -> _Ruled:
    if at.policy.mode == "observe":
        pinned, rule = pinned_for(at), Rule("observe", at.policy.origin("mode"))
        told = () if pinned in (None, at.asked) else (f"your pin on {pinned} cannot be honoured: observing changes nothing",)
        return Answer(at.asked, "stay", "asked", rules=(rule,), notices=told), "observing: nothing is changed"
    return None, "auto"


def _by_schedule(at: Setting, rows: tuple[Candidate, ...], free: FreePoint | None) -> _Ruled:
    """Vetoed like any choice: what cannot take this request is said, and the asked model serves."""
    wanted = scheduled_for(at)
    if wanted is None:
        return None, "nothing is scheduled for this request" if at.policy.schedule else "no schedule"
    number, rule = (at.lane.worked if at.lane else 0) + 1, Rule("schedule", at.policy.origin("schedule"))
    row = next((r for r in rows if r.config == wanted), None)
    why = wanted if isinstance(wanted, str) else row.veto if row is not None else "it was not priced"
    if why is not None and wanted != at.asked:  # what was asked can always be sent
        said = f"the schedule cannot be kept at request {number}: {why if isinstance(wanted, str) else f'{wanted}: {why}'}"
        return Answer(at.asked, _action(at, at.asked), "schedule", rules=(rule,), notices=(said,)), said
    assert isinstance(wanted, Config)
    return Answer(wanted, _action(at, wanted), "schedule", rules=(rule,)), f"request {number} is scheduled for {wanted}"


def _by_pin(at: Setting, rows: tuple[Candidate, ...], free: FreePoint | None) -> _Ruled:
    pin, pinned = at.session.pin, pinned_for(at)
    if pin is None:
        return None, "no pin"
    if pinned is None:
        return None, "pinned, but a pin holds on the main lane only"
    rule = Rule(f"pin {pin.config} for this {pin.scope}" if pin.scope != "always" else f"pin {pin.config} always", pin.origin)
    free_answer = _by_free_point(at, rows, free)[0]
    would = free_answer.chosen if free_answer else at.asked
    row = next((r for r in rows if r.config == pinned), None)
    if row is not None and row.veto is not None and pinned != at.asked:  # what was asked can always be sent
        said = f"your pin on {pinned} cannot be honoured: {row.veto}"
        return Answer(at.asked, _action(at, at.asked), "pin_refused", would, (rule,), (said,)), said
    return Answer(pinned, _action(at, pinned), "pin", would, (rule,)), f"pinned: {pinned}"


def _by_side(at: Setting, rows: tuple[Candidate, ...], free: FreePoint | None) -> _Ruled:
    if at.request.purpose != "side":
        return None, "not housekeeping"
    if not at.policy.side:
        rule = Rule("side = false", at.policy.origin("side"))
        return Answer(at.asked, "stay", "asked", rules=(rule,)), "housekeeping stays where it was asked"
    if not at.policy.pool and not at.book.ladder(at.asked.model):
        return Answer(at.asked, "stay", "no_ladder"), f"{at.asked.model}: nothing to compare with"
    fit = [r for r in rows if r.veto is None and r.input_usd is not None and r.output_usd is not None]
    fit, left = rules.above_floor(fit, at)
    if not fit:
        return Answer(at.asked, "stay", "unpriced"), "nothing here has a price"
    best = min(fit, key=lambda r: (r.input_usd or 0.0) + (r.output_usd or 0.0))
    said = f"cheapest that can do it: {best.config}{left}"
    return Answer(best.config, "stay" if best.config == at.asked else "switch", "side"), said


def _by_compaction(at: Setting, rows: tuple[Candidate, ...], free: FreePoint | None) -> _Ruled:
    if at.request.purpose != "compaction":
        return None, "no summary asked"
    row = next((r for r in rows if r.config == at.current), None)
    if row is None or row.veto is not None:
        return Answer(at.asked, _action(at, at.asked), "compaction"), "the asked model summarises"
    return Answer(at.current, "stay", "compaction"), f"{at.current} holds the cache and summarises"


def _by_lane(at: Setting, rows: tuple[Candidate, ...], free: FreePoint | None) -> _Ruled:
    """A sub-agent is decided on its own where the user admits anything weaker than its client chose; else that is kept.

    So it is where the asked model is owed the next try at the task: what helps with that try began after the check had spoken.
    """
    if at.place.kind != "subagent":
        return None, "main lane"
    kept = Answer(at.asked, _action(at, at.asked), "subagent")
    if at.session.failed and at.current == at.asked and odds_of(at.policy).owed:
        return kept, "a check refused this task's work: a sub-agent keeps the model its client chose"
    weaker, may = True, allowed(rows, at)
    for row in rows:
        weaker = weaker and row.config != at.asked
        if weaker and row.veto is None and may.get(row.config):
            return None, "a sub-agent, decided on its own"
    return kept, "a sub-agent keeps the model its client chose"


def _by_knowledge(at: Setting, rows: tuple[Candidate, ...], free: FreePoint | None) -> _Ruled:
    if not at.book.has(at.asked.model):
        reason: Reason = "no_ladder" if len(rows) < 2 else "unpriced"
        return Answer(at.asked, _action(at, at.asked), reason), f"{at.asked.model}: no price is known"
    if len(rows) < 2:
        return Answer(at.asked, _action(at, at.asked), "no_ladder"), f"{at.asked.model}: nothing to compare with"
    return None, f"{len(rows)} candidates{guessed(tuple([row.model for row in rows if row.veto is None]), at.book)}"


def _by_advisor(at: Setting, rows: tuple[Candidate, ...], free: FreePoint | None) -> _Ruled:
    """Before another try or an escalation: advice of a stronger model, where that is cheaper to the end."""
    model, here = at.policy.advisor, next((row for row in rows if row.config == at.current), None)
    if model is None or at.lane is None or here is None or here.veto is not None or at.place.kind != "main":
        return None, "no advisor is set" if model is None else "nothing to advise on yet"
    rule, consult = Rule("advisor", at.policy.origin("advisor")), Config(model.model)
    asks = Answer(at.current, "advise", "advisor", rules=(rule,), consult=consult)
    if not check_failed(at, at.lane):
        hard, said = advisor.failing_hard(at, here, odds_of(at.policy, at.outlook))
        return (asks if hard else None), said
    found, owed = next_tries(at, rows, at.lane, (*at.session.failed,), check_odds(at.policy, at.usual))
    if owed is not None:
        return None, "the model you asked for is owed the next try"
    advised, said = advisor.advised_try(at, here, found)
    return (asks if advised is not None else None), said


def _by_check(at: Setting, rows: tuple[Candidate, ...], free: FreePoint | None) -> _Ruled:
    """After a failed check the next try goes where uplift pays: up to the asked model freely, further only by consent."""
    lane = at.lane
    if lane is None or at.place.kind != "main" or at.place.new_task or not at.session.failed:
        return None, "no failed check in this task"
    if not heard(at.session, lane, "check_failed"):
        return None, "the failed check was acted on"
    here, odds = at.current, check_odds(at.policy, at.usual)
    order = [row.config for row in rows]
    found, owed = next_tries(at, rows, lane, (*at.session.failed,), odds)
    best, said = outcomes.next_try(found, here, owed, odds)
    if best == here:
        return None, said
    down = here in order and order.index(best) < order.index(here)
    return Answer(best, "switch" if down else "escalate", "hand_down" if down else "escalate"), said


def _by_sticky(at: Setting, rows: tuple[Candidate, ...], free: FreePoint | None) -> _Ruled:
    sticky = at.lane.sticky if at.lane else None
    if sticky is None or at.place.new_task:
        return None, "nobody took this task over"
    row = next((r for r in rows if r.config == sticky), None)
    if row is None or row.veto is not None:
        return None, f"{sticky}, which took this task over, cannot serve this request"
    return Answer(sticky, "stay", "sticky"), f"{sticky} took this task over when a check had failed, and keeps it"


def _by_envelope(at: Setting, rows: tuple[Candidate, ...], free: FreePoint | None) -> _Ruled:
    meter, said = due(at, rows, free)
    return (Answer(meter.config, "switch", "envelope") if meter else None), said


def _by_effort(at: Setting, rows: tuple[Candidate, ...], free: FreePoint | None) -> _Ruled:
    config, said = efforts.chosen(at, rows, free)
    return (Answer(config, _action(at, config), "effort") if config is not None else None), said


def _by_free_point(at: Setting, rows: tuple[Candidate, ...], free: FreePoint | None) -> _Ruled:
    """At a free point, and where a new task begins, follow the advice inside what the user admits; anywhere else nothing moves.

    A new task is the moment at which an escalation is released: like any switch, it pays its toll.
    """
    if free is None and not at.place.new_task:
        here = _moved_earlier(at, rows)
        if here is not None:
            return Answer(here, "stay", "free_point"), f"still on {here}: the way back is not free yet"
        return None, "the cache is warm: no free point"
    best, where = _advice(at, rows), free or "new task"
    if best is None and at.place.in_loop and not rules.lossless(at.asked, at):
        here = _moved_earlier(at, rows)
        if here is not None:
            return Answer(here, "stay", "free_point"), f"{where}: still on {here}, whose reasoning would be lost"
    if best is None:
        return None, f"{where}: nothing admitted is cheaper to go on with; {rules.held_back(at, rows)}"
    return Answer(best, _action(at, best), "free_point"), f"{where}: {best} costs less to go on with"


def _moved_earlier(at: Setting, rows: tuple[Candidate, ...]) -> Config | None:
    """The weaker config that runs now, where the policy admits it still; None where what was asked runs, or has to."""
    here = with_effort(at.current.model, at.asked.effort, at.book)  # the client may have changed its effort
    own = at.place.client_move is not None  # where the client itself has gone, it is not called back
    order = [row.config for row in rows]  # what is stronger was a pin's and goes with it: money saved keeps nobody there
    weaker = here in order and at.asked in order and order.index(here) < order.index(at.asked)
    return here if weaker and not own and rows[order.index(here)].veto is None and allowed(rows, at).get(here) else None


def _advice(at: Setting, rows: tuple[Candidate, ...]) -> Config | None:
    """The admitted config that costs least to the end of the task; inside a tool loop only one that loses nothing on the way."""
    order, may = [row.config for row in rows], allowed(rows, at)
    up = order[order.index(at.asked) + 1 :] if at.asked in order else ()  # consent to spend more covers failures, not beginnings
    if at.place.in_loop:
        up = (*up, *[config for config, free in may.items() if free and config != at.asked and not rules.lossless(config, at)])
    return choose(rows, at.asked, {**may, **dict.fromkeys(up, False)}, at.current)


_RULES = (
    ("mode", _observe), ("schedule", _by_schedule), ("pin", _by_pin), ("side", _by_side), ("compaction", _by_compaction),
    ("lane", _by_lane), ("known", _by_knowledge), ("protect", _by_protect), ("budget", _by_budget), ("advisor", _by_advisor),
    ("check", _by_check), ("sticky", _by_sticky), ("kind", _by_kind), ("envelope", _by_envelope), ("effort", _by_effort),
    ("free_point", _by_free_point), ("hold", _by_hold),
)  # fmt: skip
"""The rules in the order in which they are asked: the name of each one's gate, and the rule."""


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
