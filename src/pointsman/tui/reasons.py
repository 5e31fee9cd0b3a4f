"""Why: one decision explained in lines of text for a width.

Pure, and needs no Textual: the why panel and ``pointsman why`` show the same lines. Everything about candidates is
modelled; what was billed stands beside what was predicted.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from math import exp, log, pi, sqrt

from pointsman.core.decisions import BreakEven, Candidate, Decision
from pointsman.core.difficulty import PRIOR
from pointsman.core.events import Checked, FailedOver
from pointsman.core.rows import RequestRow, Totals, TurnRow
from pointsman.core.types import Belief, Config
from pointsman.tui.advice import advised
from pointsman.tui.audited import audit_lines, move_lines, quota_lines
from pointsman.tui.because import FREE_POINTS, VERDICTS
from pointsman.tui.figures import (
    UNKNOWN,
    Line,
    Style,
    bar,
    cell,
    cells,
    change,
    config_name,
    crop,
    fit,
    fraction,
    line_of,
    money,
    share,
    short,
    signed,
    span,
    tokens,
    wrap,
)

ENOUGH = 30
"""Outcomes under which failure is shown as an interval and never as a bare number (design rule 3)."""

def _checked(check: Checked) -> str:
    """One run of the check: what it said, of whose work, and what it took."""
    names = f" ({', '.join(check.new_failures[:3])}{' ...' if len(check.new_failures) > 3 else ''})" if check.new_failures else ""
    of = f" on {config_name(check.config)}'s work" if check.config else ""
    more = "; the agent was sent back" if check.sent_back else f"; no further try: {check.stopped}" if check.stopped else ""
    return f"check `{check.label}` {VERDICTS[check.verdict][0]}{of} after {check.seconds:.1f} s: {check.why}{names}{more}"


def fail_interval(fail: float, belief: Belief) -> tuple[float, float]:
    """P(failure) if the task is one standard deviation of the belief easier or harder.

    core.capability turned around, as if all of the failure came of the difficulty: tasks that nobody solves are not told apart.
    """
    edge = min(max(fail, 1e-6), 1 - 1e-6)
    ability = -log(edge / (1 - edge)) * sqrt(1 + pi / 8 * belief.sd * belief.sd)
    return 1 / (1 + exp(ability + belief.sd)), 1 / (1 + exp(ability - belief.sd))


def failure(fail: float | None, decision: Decision | None, outcomes: int) -> str:
    """P(failure) for people: ``11%`` once enough outcomes are known, else an interval ``2–38%``; ``–`` where unknown."""
    if fail is None or decision is None:
        return UNKNOWN
    if outcomes >= ENOUGH:
        return f"{round(fail * 100)}%"
    low, high = fail_interval(fail, decision.belief)
    return f"{round(low * 100)}–{round(high * 100)}%"


def why(
    decision: Decision, width: int, *, turn: TurnRow | None = None, request: RequestRow | None = None,
    history: Sequence[TurnRow] = (), outcomes: int = 0, now: float | None = None, more: Sequence[tuple[str, str]] = (),
    advice: Mapping[str, str] | None = None,
) -> list[Line]:  # fmt: skip
    """The decision explained: sentence, notices, candidates, flips, belief, predicted against billed, rules, gates.

    ``turn``/``request`` add what was billed; ``history``: turns whose difficulty is drawn, up to ``turn``; ``now`` tells
    how long a cache stays warm; ``more``: further lines, each with its word; ``advice``: texts that a
    gateway has in memory, by id. ``width`` in cells.
    """
    out: list[Line] = [line_of((text, "bold")) for text in wrap(decision.sentence, width)]
    for notice in decision.notices:
        if notice not in decision.sentence:
            out += [line_of((text, "warn")) for text in wrap(f"! {notice}", width, "  ")]
    for check in turn.checks if turn else ():
        out += [line_of((text, VERDICTS[check.verdict][1])) for text in wrap(_checked(check), width, "  ")]
    for row in turn.requests if turn else ():
        for asked in row.advice:
            out += advised(asked, width, advice or {})
    for failed in request.failovers if request else ():
        out += [line_of((text, "warn")) for text in wrap(_failed_over(failed), width, "  ")]
    if decision.candidates:
        out += _table(decision, width, outcomes)
    out += _envelope(decision, width)
    for word, text in more:
        out += [line_of((part[:9], "dim"), part[9:]) for part in wrap(text, width, " " * 9, f"{word:<9}")]
    out += _flips(decision, width)
    out += move_lines(decision, width)
    past = [t for t in history[-500:] if turn is None or t.n <= turn.n] if history else history
    out += _belief(decision, past, now, width)
    if turn is not None:
        out += _billed(turn, request, width)
    out += _origins(decision, width)
    return [crop(line, width) for line in out]


def _failed_over(event: FailedOver) -> str:
    """What failed and who took over, with what the move adds to the prompt's price; or for what it was waited."""
    if event.waited_s:
        return f"{config_name(event.config)} failed ({event.why}): asked again"
    to = f"{config_name(event.to)} at {event.to_upstream}" if event.to == event.config else config_name(event.to)
    extra = "" if event.extra_usd is None else f", {change(event.extra_usd)} for the prompt"
    return f"{config_name(event.config)} failed ({event.why}): on to {to}{extra}"


def _table(decision: Decision, width: int, outcomes: int) -> list[Line]:
    """The candidates, the chosen one first, then by what they cost until the task is done."""
    rows = sorted(decision.candidates, key=lambda c: (c.config != decision.chosen, c.veto is not None, _total(c)))
    base = decision.row(decision.chosen)
    name_width = max(17, min(28, max(cells(config_name(c.config)) for c in rows) + 3))
    heads = _heads(width - name_width - 3)
    head = fit("", 3) + fit("candidate", name_width) + "".join(fit(h, size - 2, "right") + "  " for h, size in heads)
    out = [line_of((head.rstrip(), "dim"))]
    for candidate in rows:
        mark, style = _mark(candidate, decision)
        name = config_name(candidate.config)
        name = f"‹{name}›" if candidate.config == decision.asked else f" {name}"
        parts: list[tuple[str, Style]] = [(f" {mark} ", style), (fit(name, name_width), style)]
        if candidate.veto:
            first, *rest = wrap(candidate.veto, max(10, width - name_width - 3))
            out += [line_of(*parts, (first, "dim")), *(line_of((" " * (name_width + 3) + text, "dim")) for text in rest)]
            continue
        figures = (_figure(h, candidate, base, decision, outcomes) for h, _ in heads)
        shown = "".join(fit(f, size - 2, "right") + "  " for f, (_, size) in zip(figures, heads, strict=True))
        out.append(line_of(*parts, (shown.rstrip(), "")))
    return out


def _total(candidate: Candidate) -> float:
    return candidate.total_usd if candidate.total_usd is not None else float("inf")


def _mark(candidate: Candidate, decision: Decision) -> tuple[str, Style]:
    if candidate.config == decision.chosen:
        return ("▣", "pinned") if decision.reason == "pin" else ("▶", "ran")
    if candidate.veto:
        return "⊘", "bad"
    return ("○", "") if candidate.config == decision.would else (" ", "")


COLUMNS = (
    ("now ≈$", 8), ("refill ≈$", 11), ("fail", 8), ("wait", 8), ("total ≈$", 10), ("vs ▶", 8), ("way back", 10),
    ("warm", 6), ("prompt", 8),
)  # fmt: skip
"""Heads and sizes of the candidate table; ``≈`` says that all is modelled, in USD where there is a dollar sign."""

EXTRA = ("prompt", "warm", "way back", "wait", "vs ▶", "refill ≈$", "now ≈$")
"""What is left out first when the table does not fit."""


def _heads(width: int) -> list[tuple[str, int]]:
    """The columns that fit beside the names."""
    heads = list(COLUMNS)
    for extra in EXTRA:
        if sum(size for _, size in heads) - 2 <= width:
            break
        heads = [head for head in heads if head[0] != extra]
    return heads


def _figure(head: str, candidate: Candidate, base: Candidate | None, decision: Decision, outcomes: int) -> str:
    match head:
        case "now ≈$":
            now = None if candidate.input_usd is None else candidate.input_usd + (candidate.output_usd or 0.0)
            return cell(now)
        case "refill ≈$":
            return cell(candidate.toll_usd)
        case "fail":
            return failure(candidate.fail, decision, outcomes)
        case "wait":
            return span(candidate.wait_s)
        case "total ≈$":
            return cell(candidate.total_usd)
        case "way back":
            return cell(candidate.way_back_usd) if candidate is not base else UNKNOWN
        case "warm":
            return share(candidate.p_warm) if candidate.cache_read else "no"
        case "prompt":
            return tokens(candidate.prompt) if candidate.prompt else UNKNOWN
        case _:
            if base is None or candidate is base or base.total_usd is None or candidate.total_usd is None:
                return UNKNOWN
            return change(candidate.total_usd - base.total_usd)


def _envelope(decision: Decision, width: int) -> list[Line]:
    """What each admitted alternative would have saved since when, beside what the switch costs."""
    out: list[Line] = []
    twice = [candidate.model for candidate in decision.candidates]
    for i, meter in enumerate(decision.envelope):
        name = config_name(meter.config) if twice.count(meter.model) > 1 else short(meter.model)
        saved, switch = money(meter.saved_usd, modelled=True), money(meter.switch_usd, modelled=True)
        since = f" since {time.strftime('%H:%M', time.localtime(meter.since))}" if meter.saved_usd >= 0.0005 else ""
        style: Style = "warn" if meter.saved_usd >= meter.switch_usd > 0 else ""
        said = f"{name} would have saved {saved}{since}; the switch costs {switch}"
        for part in wrap(said, width, " " * 9, "envelope " if i == 0 else " " * 9):
            out.append(line_of((part[:9], "dim"), (part[9:], style)))
    return out


def _flips(decision: Decision, width: int) -> list[Line]:
    """Where the answer would flip to each alternative. ``at no difficulty`` is an answer."""
    by_config: dict[Config, list[BreakEven]] = {}
    for point in decision.breakevens:
        by_config.setdefault(Config(point.model, point.effort), []).append(point)
    twice = [candidate.model for candidate in decision.candidates]
    out: list[Line] = []
    for i, (config, points) in enumerate(by_config.items()):
        name = config_name(config) if twice.count(config.model) > 1 else short(config.model)
        for text in wrap(f"{name}: {_flip_to(config, points, decision)}", width, " " * 11, "      to " if i else "flips to "):
            out.append(line_of((text[:9], "dim"), text[9:]))
    return out


def _flip_to(config: Config, points: Sequence[BreakEven], decision: Decision) -> str:
    """The points of one alternative; one that is cheaper in all already (not admitted, or a pin holds) flips away at them."""
    mine, row = decision.row(decision.chosen), decision.row(config)
    if mine is None or row is None or mine.total_usd is None or row.total_usd is None or row.total_usd >= mine.total_usd:
        return " · ".join([_flip(point, decision.belief) for point in points])
    ends = [_flip(point, decision.belief) for point in points if point.axis != "requests" and point.at is not None]
    said = "cheaper in all already, where you let it"
    return said + ("; no longer " + " · ".join([f"at {end.removeprefix('at ')}" for end in ends]) if ends else "")


def _flip(point: BreakEven, belief: Belief) -> str:
    """One point in words. Inside a turn the costs stand as they were when it began, and with them what a point is beside."""
    if point.axis == "difficulty":
        now = f"now {fraction(belief.hard)}" if belief.n else "nothing observed yet"
        if point.now is not None and fraction(point.now) != fraction(belief.hard):
            now = f"{fraction(point.now)} when the turn began"
        if point.at is None:
            return "at no difficulty"
        side = "above" if point.now is None or point.at >= point.now else "below"
        return f"difficulty {side} {fraction(point.at)} ({now}{_uplift(point)})"
    if point.axis == "requests":
        if point.at is None:
            return "never repaid by its price"
        if point.at < 0.5:
            return "repaid at once"
        return f"repaid after {point.at:,.0f} requests ({point.now or 0:,.0f} expected)"
    if point.at is None:
        return "at no price of your time"
    return f"at {_minutes(point.at)} of yours per failure" + (f" (set: {_minutes(point.now)})" if point.now is not None else "")


def _uplift(point: BreakEven) -> str:
    """How many points likelier to succeed the other one is at the flip, and now; minus where it is less likely."""
    if point.needed is None or point.uplift is None:
        return ""
    needed, have = (f"{round(100 * share):+d}".replace("-", "−") for share in (point.needed, point.uplift))
    return f"; uplift {needed} points there, {have} now"


def _minutes(minutes: float) -> str:
    if minutes < 10:
        return f"{minutes:.1f} min"
    return f"{minutes:,.0f} min" if minutes < 600 else f"{minutes / 60:,.0f} h"


def _belief(decision: Decision, history: Sequence[TurnRow], now: float | None, width: int) -> list[Line]:
    """Difficulty with its history, what the turn is about, propensity, warmth, and how likely you correct it."""
    belief = decision.belief
    if belief.n:
        wings = (Belief(belief.mu + belief.sd).hard - Belief(belief.mu - belief.sd).hard) / 2
        hard = f"{fraction(belief.hard)}±{fraction(wings)} "
    else:
        hard = f"{UNKNOWN} (nothing observed yet) "
    seen = any(t.hard is not None for t in history)
    drawn = "".join(bar(t.hard, 1.0) if t.hard is not None else "·" for t in history[-14:]) if seen else ""
    row = decision.row(decision.chosen)
    until = row.warm_until if row else None
    about = history[-1].kind if history and history[-1].decision is decision else decision.kind
    parts = [*([about] if about else []), f"propensity {decision.propensity:.2f}".replace("0.", ".")]
    if until is not None and now is not None:
        parts.append(f"warm {span(until - now)}" if until > now else "cold by now")
    if decision.free_point:
        parts.append(f"free point: {FREE_POINTS[decision.free_point]}")
    if belief.pushed != PRIOR.pushed:
        parts.append(f"≈{share(belief.pushed)} chance that you correct this turn")
    head = f"hard     {hard}{drawn}{' · ' if drawn else '· '}"
    first, *rest = wrap(" · ".join(parts), width, " " * 9, head)
    return [line_of(("hard     ", "dim"), hard, (drawn, "accent"), first[len(hard) + len(drawn) + 9 :]), *map(line_of, rest)]


def _billed(turn: TurnRow, request: RequestRow | None, width: int) -> list[Line]:
    """What the turn was billed, beside what was predicted for the request at hand."""
    totals = turn.totals
    row = request or turn.first
    known = totals.requests - totals.unknown - totals.errors
    paid = money(totals.spent if known else None, at_least=bool(totals.unknown or totals.bounded))
    gain = signed(totals.net if known > totals.unknown_asked else None, modelled=totals.modelled)
    if known == 0 and any(row.running for row in turn.requests):
        return [line_of(("billed   ", "dim"), f"nothing yet: {_requests(turn)} under way")]
    said = f"{paid} · as asked {as_asked(totals)} · net {gain} · {_requests(turn)}"
    first, *rest = wrap(said, width, " " * 9, "billed   ")
    out = [line_of(("billed   ", "dim"), (paid, "bold"), first[9 + len(paid) :]), *map(line_of, rest)]
    out += quota_lines(row, width)
    if row is not None and row.usage is not None:
        usage = row.usage
        text = f"read {tokens(usage.cache_read) if usage.cache_reported else 'unknown: the provider does not say'}"
        if row.predicted is not None:
            text += f" (predicted {tokens(row.predicted[1])})"
        text += f" · written {tokens(usage.written)}"
        if row.predicted is not None:
            text += f" (predicted {tokens(row.predicted[2])})"
        text += f" · fresh {tokens(usage.fresh)} · out {tokens(usage.output + usage.reasoning)}"
        if row.wait_s is not None:
            text += f" · first byte {span(row.wait_s)}"
        if row.at_most is not None:
            why = "broken off" if row.interrupted else "left without an answer"
            text += f" · {why}: at most {money(row.at_most, modelled=True)}"
        out += [line_of((part[:9], "dim"), part[9:]) for part in wrap(text, width, " " * 9, "tokens   ")]
    out += audit_lines(row, width)
    if row is not None and row.error:
        out += [line_of((part, "bad")) for part in wrap(row.error, width)]
    return out


def as_asked(totals: Totals) -> str:
    """What the asked model would have cost: ``≈`` where a part is modelled, ``≥`` where the bill itself is a lower bound."""
    known = totals.requests - totals.unknown - totals.errors > totals.unknown_asked
    return money(totals.asked if known else None, modelled=totals.modelled, at_least=bool(totals.bounded))


def _requests(turn: TurnRow) -> str:
    kinds = {"main": 0, "subagent": 0, "side": 0}
    for row in turn.requests:
        kinds[row.kind] += 1
    parts = [f"{kinds['main']} request{'s' if kinds['main'] != 1 else ''}"]
    parts += [f"{kinds['subagent']} by sub-agents"] if kinds["subagent"] else []
    parts += [f"{kinds['side']} housekeeping"] if kinds["side"] else []
    return ", ".join(parts)


def _origins(decision: Decision, width: int) -> list[Line]:
    """Rules with where they are written, the gates that ran, those that did not, and the versions in force."""
    out: list[Line] = []
    for rule in decision.rules:
        named, place = wrap(rule.name, width, " " * 9, "rule     "), f"from {rule.origin}"
        lines = [line_of((part[:9], "dim"), part[9:]) for part in named]
        if cells(named[-1]) + 2 + cells(place) <= width:
            lines[-1] = (*lines[-1], *line_of((f"  {place}", "dim")))
        else:  # the place is what a person goes to: a line of its own rather than half of it
            lines += [line_of((part, "dim")) for part in wrap(place, width, " " * 9, " " * 9)]
        out += lines
    ran = [f"{gate.name}: {gate.said}" for gate in decision.gates if gate.ran]
    idle = [gate for gate in decision.gates if not gate.ran]
    for text in wrap(" · ".join(ran), width, " " * 9, "gates    ") if ran else []:
        out.append(line_of((text, "dim")))
    if idle:
        said = dict.fromkeys(gate.said for gate in idle)
        text = ", ".join(gate.name for gate in idle) + f" ({'; '.join(said)})"
        out += [line_of((part, "dim")) for part in wrap(text, width, " " * 9, "not run  ")]
    versions = [f"prices {decision.card_version}" if decision.card_version else ""]
    versions += [f"policy {decision.policy_version}" if decision.policy_version else ""]
    versions += [f"decision {decision.id}" if decision.id else ""]
    text = " · ".join(part for part in versions if part)
    return [*out, *(line_of((part, "dim")) for part in wrap(text, width, " " * 9, "from     "))]
