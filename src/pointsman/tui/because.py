"""The few words that stand for a decision in the timeline: stay, hold, escalate, pinned ... Pure, and needs no Textual."""

from __future__ import annotations

from pointsman.core.decisions import Decision
from pointsman.core.events import Verdict
from pointsman.core.rows import TurnRow
from pointsman.tui.figures import UNKNOWN, Style, money, nickname

VERDICTS: dict[Verdict, tuple[str, Style]] = {"check_passed": ("passed", "good"), "check_failed": ("failed", "bad"),
                                             "check_unsure": ("not clear", "warn")}  # fmt: skip
"""What a check said, in words and colour."""

FREE_POINTS = {
    "session_start": "session start", "idle": "idle", "compaction": "compaction", "clear": "clear",
    "subagent_start": "sub-agent start", "rewind": "rewind",
}  # fmt: skip


def because(turn: TurnRow) -> tuple[str, Style]:
    """The turn's reason in a few words; what needs a person's eye is coloured."""
    decision = turn.decision
    if decision is None:
        return UNKNOWN, "dim"
    if turn.refused:
        return f"{nickname(turn.refused[0].model)} refused by provider: asked model", "warn"
    newest = turn.newest
    if newest is not None and newest.failed:
        return f"provider error {newest.status}", "bad"
    text, style = _reason(turn, decision)
    if turn.check is not None:
        said = VERDICTS[turn.check.verdict]
        text, style = f"check {said[0]} · {text}", said[1] or style
    if newest is not None and newest.interrupted:
        return f"{text} (interrupted)" if newest.stop == "hangup" else f"{text} (stream broke off)", "warn"
    return text, style


WORDS: dict[str, tuple[str, Style]] = {
    "no_ladder": ("stay: no ladder known for this name", ""),
    "unpriced": ("stay: the asked model has no price", "warn"),
    "compaction": ("summary on {name}, which is warm", ""),
    "retry": ("retry: same decision", ""),
    "retry_asked": ("retry on the asked model", "warn"),
    "sticky": ("sticky: took the task over", ""),
    "escalate": ("escalate to {name}", "warn"),
    "budget": ("{name}: a budget is spent", "warn"),
    "hand_down": ("next try on {name}", "warn"),
    "schedule": ("{name}, as scheduled", ""),
    "advisor": ("advice asked first, then {name}", ""),
    "failover": ("provider failed: {name}", "warn"),
    "envelope": ("{name} from here: the switch is due", ""),
    "fail_open": ("an error of ours: original sent", "warn"),
}
"""Reasons whose words depend on the model at most."""


def _reason(turn: TurnRow, decision: Decision) -> tuple[str, Style]:
    name = nickname(decision.chosen.model)
    match decision.reason:
        case "asked":
            return _stay(turn, decision), ""
        case "pin":
            would = f", else {nickname(decision.would.model)}" if decision.would and decision.would != decision.chosen else ""
            return f"pinned {name}{would}", "pinned"
        case "pin_refused":
            return decision.notices[0] if decision.notices else "pin could not be honoured", "bad"
        case "free_point":
            at = f"{FREE_POINTS[decision.free_point]}: " if decision.free_point else ""
            return (f"stay on {name}" if decision.action == "stay" else f"{at}{name} from here"), ""
        case "rule":
            return (decision.rules[0].name if decision.rules else f"a rule of yours: {name}"), "warn"
        case "effort":
            return f"effort {decision.chosen.effort or 'as asked'}", ""
    text, style = WORDS.get(decision.reason, (f"{decision.reason}: {{name}}", ""))
    return text.format(name=name), style


def _stay(turn: TurnRow, decision: Decision) -> str:
    """``stay: asked model``, with what moving would cost where a cheaper alternative is held back by that."""
    here = decision.row(decision.chosen)
    if decision.action == "hold":
        return "hold until a free point"
    if turn.n <= 1 or here is None or here.run_usd is None:
        return "stay: asked model"
    most = max(decision.envelope, key=lambda meter: meter.saved_usd, default=None)
    if most is not None and most.saved_usd >= 0.0005:
        return f"stay: {nickname(most.model)} {money(most.saved_usd, modelled=True)} of {money(most.switch_usd, modelled=True)}"
    cheaper = [
        c for c in decision.candidates
        if c.veto is None and c.config != decision.chosen and c.run_usd is not None and c.run_usd < here.run_usd
        and c.round_trip_usd is not None and c.round_trip_usd > 0
    ]  # fmt: skip
    if not cheaper:
        return "stay: asked model"
    best = min(cheaper, key=lambda c: c.round_trip_usd or 0.0)
    return f"stay: {nickname(best.model)} round trip {money(best.round_trip_usd, modelled=True)}"
