"""The user's own rules for one request: protected work, floor and ceiling, preferences by kind, budgets, the cap on up-moves.

Theory of operation. ``ruling`` gathers once what holds for a request: which ``protect`` rules its task has touched, what kind
of task it is, what is spent. ``refused`` then says of each candidate why the rules keep user-visible work from it, and
``protected``, ``within_budget``, ``preferred_kind`` and ``hold`` are rules of the decider's table. Pins beat all of them.
What the client asks for can always be sent: a floor or a ceiling bounds our moves, never the user's own choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pointsman.core.budgets import extra_of, over
from pointsman.core.decisions import Candidate, Gate, Reason, Rule
from pointsman.core.outcomes import RESCOPE
from pointsman.core.policy import MARGIN, REQUESTS_PER_TURN, Policy, admitted
from pointsman.core.record import record
from pointsman.core.setting import NOTHING, Ruling, Setting
from pointsman.core.types import HOUR, Config, Place, Request

if TYPE_CHECKING:
    from pointsman.core.session import Lane, Session

LIVE = 3
"""Configs of one lane whose caches are alive at most: each further one is a prefix to pay for (DECISION.md 6)."""

LIMITED = "a subscription may limit stronger models separately: pin one to use it"
"""Why nobody escalates to another model of a subscription unasked; more effort of the same one is in the same limit."""


@record(frozen=True, slots=True)
class Ruled:
    """What a rule chose, or None, and its sentence for the gate. ``hold``: it stays although a move would pay."""

    chosen: Config | None
    said: str
    reason: Reason = "rule"
    rules: tuple[Rule, ...] = ()
    notices: tuple[str, ...] = ()
    hold: bool = False


_UNTOUCHED = Ruled(None, "nothing protected is touched")
_UNPROTECTED = Ruled(None, "nothing is protected")
_WITHIN = Ruled(None, "within budget")
_UNLIMITED = Ruled(None, "no budget")
_NO_MOVE = Ruled(None, "no move pays")
_NO_KINDS = Ruled(None, "no preferences")


def ruling(
    policy: Policy, session: Session, lane: Lane | None, request: Request, place: Place, asked: Config, kind: str | None,
    now: float, unchecked: str | None = None,
) -> Ruling:  # fmt: skip
    """What holds for ``request``; ``NOTHING`` where no rule of the user's has anything to say.

    ``kind``: what the turn is about, by visible rules; ``unchecked``: what of it no check sees.
    """
    fresh: tuple[str, ...] = ()
    touched: tuple[str, ...] = ()
    if policy.protect or policy.kind_rules:
        fresh = tuple([name for message in request.messages[place.kept :] if message.rules for name in message.rules])
        touched = lane.touched if lane is not None and not place.new_task else ()
        main = session.lanes.get("main") if place.kind == "subagent" else None
        if main is not None and main.touched:  # a sub-agent works on the main lane's task
            touched = tuple(dict.fromkeys((*main.touched, *touched)))
        touched = tuple(dict.fromkeys((*touched, *fresh))) if fresh else touched
    name = next((n for n, _ in policy.kinds if n in touched), kind) if policy.kinds else kind
    preferred = next((model for n, model in policy.kinds if n == name), None) if policy.kinds else None
    found = over(policy, session, now) if policy.budget_session is not None or policy.budget_day is not None else ()
    no_up = None
    if found and policy.budget_then != "warn":
        no_up = found[0]
    elif request.auth == "subscription" and policy.consent_up:
        no_up = LIMITED
    told = session.record.told
    if policy.profile != "balanced" or not policy.guarded:
        unchecked = None  # nothing weaker is admitted for a check's sake
    if not (touched or preferred or found or no_up or told or unchecked):
        return NOTHING
    certified, vetoed = session.record.standing(asked, kind, session.cwd) if told else (NOTHING.certified, NOTHING.vetoed)
    guards = tuple([rule for rule in touched if rule in policy.protect]) if touched else ()
    new = tuple([rule for rule in fresh if rule in guards]) if fresh and guards else ()
    return Ruling(guards, new, name, preferred, found, no_up, unchecked, certified, vetoed)


def refused(row: Candidate, rank: int, at: Setting, base: Candidate | None) -> str | None:
    """Why ``row`` may not take user-visible work of this request, or None when it may.

    ``rank``: its place relative to the asked model, below 0 weaker, above 0 stronger; ``base``: the asked model's own row.
    """
    config, ruled, policy = row.config, at.ruling, at.policy
    if rank == 0 or config == at.asked:
        return None
    if ruled.vetoed and config in ruled.vetoed:
        return ruled.vetoed[config]
    if rank < 0:
        if ruled.touched:
            rule = ruled.touched[0]
            return f"{globbed(rule)} is protected ({policy.origin(rule)}): the model you asked for, or better"
        low = below_floor(config.model, at)
        if low is not None:
            return low
    for ceiling in policy.ceiling:
        if rank > 0 and weaker(ceiling, config.model, at):
            return f"above the ceiling {ceiling} in {policy.origin('ceiling')}"
    if ruled.preferred is not None and config == preferred_config(at):  # the user's own wish is consent
        said = ruled.over[0] if rank > 0 and ruled.over and policy.budget_then != "warn" else None
    else:
        said = admitted(row, at.asked, rank, policy, config in ruled.certified)
        if said is None and rank > 0:
            said = _up(row, at, base)
        elif said is None and ruled.unchecked is not None and config not in ruled.certified and not _goes_on(row, at):
            said = f"no check sees {ruled.unchecked}: the model you asked for"
    if said is None and at.lane is not None and len(at.lane.warm) >= LIVE and config != at.current:
        said = _one_too_many(config, at)
    return said


def below_floor(model: str, at: Setting) -> str | None:
    """Why the user's floor keeps every move from ``model``, housekeeping included; None: it does not."""
    floor = next((name for name in at.policy.floor if weaker(model, name, at)), None)
    return None if floor is None else f"below the floor {floor} in {at.policy.origin('floor')}"


def above_floor(rows: list[Candidate], at: Setting) -> tuple[list[Candidate], str]:
    """The rows that the user's floor leaves for housekeeping, and what is said of the others; what was asked stays."""
    low = {row.config: why for row in rows if row.config != at.asked and (why := below_floor(row.model, at)) is not None}
    return [row for row in rows if row.config not in low], "".join([f"; {config}: {why}" for config, why in low.items()])


def _goes_on(row: Candidate, at: Setting) -> bool:
    """Whether ``row`` has this task already, and warm: one answer about it does not pay for the way there and back."""
    return row.config == at.current and not at.place.new_task and (not at.place.new_turn or row.p_warm >= 0.5)


def refusals(rows: Sequence[Candidate], at: Setting) -> list[tuple[Candidate, int, str | None]]:
    """Each row with its place relative to the asked model, and why it may not take user-visible work (None: it may)."""
    order = [row.config for row in rows]
    base = order.index(at.asked) if at.asked in order else 0
    own = rows[base] if rows else None
    return [(row, i - base, refused(row, i - base, at, own)) for i, row in enumerate(rows)]


def _up(row: Candidate, at: Setting, base: Candidate | None) -> str | None:
    """Why the user's money does not reach for ``row``: a budget, a subscription, or the cap of this task."""
    if at.ruling.no_up is not None and not (at.ruling.no_up == LIMITED and row.model == at.asked.model):
        return at.ruling.no_up
    left = up_left(at)
    if left is None or row.config == at.current or base is None or row.run_usd is None or base.run_usd is None:
        return None
    more = (row.run_usd - base.run_usd) * REQUESTS_PER_TURN + (row.toll_usd or 0.0)
    if more <= left:
        return None
    return f"a turn of it costs ≈${more:.2f} more, and ≈${max(0.0, left):.2f} of this task's ${at.policy.up_cap_usd:.2f} are left"


def up_left(at: Setting) -> float | None:
    """USD that up-moves may still cost this task; None: there is no cap."""
    cap = at.policy.up_cap_usd
    return None if cap is None else cap - extra_of(at.session, at.place)


def _one_too_many(config: Config, at: Setting) -> str | None:
    assert at.lane is not None
    live = {held for held, warmth in at.lane.warm.items() if at.now - warmth.touched < HOUR} | {at.asked}
    return None if config in live or len(live) < LIVE else f"{LIVE} configs of this lane are alive already"


def weaker(model: str, than: str, at: Setting) -> bool:
    """Whether ``model`` is weaker than ``than``: by the pool or the ladder where both stand there, else by ability."""
    order: Sequence[str] = at.policy.pool or at.book.ladder(at.asked.model)
    if model in order and than in order:
        return order.index(model) < order.index(than)
    return model != than and at.book.ability(model)[0] < at.book.ability(than)[0]


def preferred_config(at: Setting) -> Config | None:
    """The config that the user wants for this kind of task, on the main lane; None: no preference holds."""
    name = at.ruling.preferred
    if name is None or at.place.kind != "main" or at.request.purpose != "turn":
        return None
    model, _, effort = (name, "", "") if at.book.has(name) else name.rpartition(":")
    if effort:
        return Config(model, effort)
    return at.asked if name == at.asked.model else Config(name, at.book.target(name).nearest_effort(at.asked.effort))


def globbed(rule: str) -> str:
    """A rule of ``core.globs`` for people: its glob alone."""
    return rule.partition(" ")[2] or rule


def shown(at: Setting) -> tuple[Rule, ...]:
    """The rules that this request's task touches, with where they are written."""
    return tuple([Rule(f"protect {name}", at.policy.origin(name)) for name in at.ruling.touched])


def notices(at: Setting, gates: Sequence[Gate]) -> tuple[str, ...]:
    """What a person must hear: a spent budget, where a turn begins; and that no model is likely to mend what a check refused."""
    if not at.ruling.over and not at.session.failed:
        return ()
    told = at.ruling.over if at.place.new_turn or at.lane is None else ()
    return (*told, *[RESCOPE for gate in gates if gate.name == "check" and gate.said == RESCOPE])


def protected(at: Setting, rows: tuple[Candidate, ...]) -> Ruled:
    """Where the task touches what is protected, a weaker config hands over to the asked model at once."""
    touched = at.ruling.touched
    if not touched:
        return _UNTOUCHED if at.policy.protect else _UNPROTECTED
    what = f"this task touches {', '.join(map(globbed, touched[:3]))}"
    order = [row.config for row in rows]
    weaker = at.current in order and at.asked in order and order.index(at.current) < order.index(at.asked)
    if not weaker or at.place.kind != "main":
        return Ruled(None, f"{what}: the model you asked for, or better")
    return Ruled(at.asked, f"{what}, so the model you asked for goes on")


def within_budget(at: Setting, rows: tuple[Candidate, ...], may: Mapping[Config, bool], free: bool) -> Ruled:
    """What a spent budget, or a spent cap on up-moves, does: as the user set it, and never an error to the agent."""
    policy, ruled = at.policy, at.ruling
    if at.current == at.asked and not ruled.over:
        return _WITHIN if policy.budget_session is not None or policy.budget_day is not None else _UNLIMITED
    order = [row.config for row in rows]
    above = at.current in order and at.asked in order and order.index(at.current) > order.index(at.asked)
    left = up_left(at) if above and at.current != preferred_config(at) else None
    back = next((r.toll_usd or 0.0 for r in rows if r.config == at.asked), 0.0)
    if left is not None and left <= max(0.0, back):
        said = f"up-moves, the way back included, cost this task its ${policy.up_cap_usd:.2f}"
        return Ruled(at.asked, said, "budget", (Rule("up_cap_usd", policy.origin("up_cap_usd")),), (said,))
    if not ruled.over:
        return _WITHIN
    said, rule = "; ".join(ruled.over), (Rule("budget", policy.origin("budget")),)
    notices = (said,) if at.place.new_turn or free else ()
    if policy.budget_then == "cheapest":
        fit = [r for r in rows if r.veto is None and r.run_usd is not None and (may.get(r.config) or r.config == at.asked)]
        best = min(fit, key=lambda r: (r.run_usd or 0.0, r.config != at.current), default=None)
        here, why = next((r for r in fit if r.config == at.current), None), "so the cheapest that you admit"
        if at.place.in_loop and best not in (None, here) and not (free and best is not None and lossless(best.config, at)):
            best, why = here, "and inside a tool loop nothing moves"  # by the other rules where it is not admitted any more
        if best is not None:
            return Ruled(best.config, f"{said}, {why}", "budget", rule, notices)
    if policy.budget_then != "warn" and above and not at.place.in_loop:
        return Ruled(at.asked, f"{said}, so nothing dearer than asked", "budget", rule, notices)
    return Ruled(None, said, "budget", rule, notices)


def preferred_kind(at: Setting, rows: tuple[Candidate, ...], free: bool) -> Ruled:
    """A preference of the user's for this kind of task: followed where a turn begins, kept while it lasts."""
    wanted = preferred_config(at)
    last = at.lane.last_decision if at.lane is not None else None
    here = next((r for r in rows if r.config == at.current and r.veto is None), None)
    if at.place.in_loop and here is not None and last is not None and last.chosen == at.current != wanted:
        kept = tuple([rule for rule in last.rules if rule.name.startswith("kinds: ")]) if last.reason in ("rule", "retry") else ()
        if kept:
            return Ruled(at.current, f"{at.current} began this turn by your wish and ends it", rules=kept)
    if wanted is None:
        return Ruled(None, f"no preference for {at.ruling.kind or 'this kind of task'}") if at.policy.kinds else _NO_KINDS
    rule = (Rule(f"kinds: {at.ruling.kind} = {at.ruling.preferred}", at.policy.origin(f"kinds.{at.ruling.kind}")),)
    row = next((r for r in rows if r.config == wanted), None)
    if row is None or row.veto is not None:
        why = row.veto if row is not None else "it was not priced"
        said = f"{wanted}, which you want for {at.ruling.kind}, cannot take this request: {why}"
        return Ruled(None, said, rules=rule, notices=(said,) if at.place.new_turn else ())
    why = next(why for found, _, why in refusals(rows, at) if found is row)
    if why is not None:
        return Ruled(None, f"you want {wanted} for {at.ruling.kind}, but {why}", rules=rule)
    if at.place.in_loop and at.current != wanted and not (free and lossless(wanted, at)):
        return Ruled(None, f"{wanted} is wanted for {at.ruling.kind}: from the next turn on, not inside a tool loop", rules=rule)
    return Ruled(wanted, f"you want {wanted} for {at.ruling.kind}", rules=rule)


def lossless(config: Config, at: Setting) -> bool:
    """Whether going to ``config`` inside this tool loop loses nothing: one vendor, and no reasoning since the user's prompt.

    Another model cannot read that reasoning; the provider drops it (WIRE.md 4).
    """
    if config.model == at.current.model:
        return True
    if at.book.vendor(config.model) != at.book.vendor(at.current.model):
        return False
    for message in reversed(at.request.messages):
        if message.kind == "prompt":
            break
        if "thinking" in message.facts:
            return False
    return True


def hold(at: Setting, rows: tuple[Candidate, ...], may: Mapping[Config, bool]) -> Ruled:
    """A move from the asked model that would pay at a free point, while its cache is warm: it waits, and both prices are said.

    Only to weaker configs: consent to spend more covers failures, not money saved.
    """
    here = next((r for r in rows if r.config == at.current), None)
    if here is None or here.total_usd is None:
        return _NO_MOVE
    best, most = None, MARGIN * here.total_usd
    for row in rows:
        if row is not here and row.veto is None and row.total_usd is not None and may.get(row.config):
            gain = here.total_usd - row.total_usd + (row.toll_usd or 0.0) - (here.toll_usd or 0.0)
            if gain > most:
                best, most = row, gain
        if row.config == at.asked:
            break
    if best is None or best.round_trip_usd is None or best.round_trip_usd <= 0.0:
        return _NO_MOVE
    trip = f"the switch now and the way back cost ≈${best.round_trip_usd:.2f}"
    said = f"{best.config} would then save ≈${most:.2f} to the end of the task; {trip}"
    return Ruled(at.current, said, "asked", hold=True)


def held_back(at: Setting, rows: tuple[Candidate, ...]) -> str:
    """Which cheaper or stronger configs the policy keeps user-visible work from, and why: for the gate."""
    found: dict[str, list[str]] = {}
    for row, _, why in refusals(rows, at):
        if why is not None and row.veto is None:
            found.setdefault(why, []).append(str(row.config))
    return "; ".join(f"{', '.join(names)}: {why}" for why, names in found.items()) or "all candidates"
