"""What our prices say beside the bill, and the provider's own word: lines of ``why`` and of the timeline's panel."""

from __future__ import annotations

from pointsman.core.decisions import Decision
from pointsman.core.moves import DETOUR, outlook
from pointsman.core.rows import RequestRow
from pointsman.core.types import Diagnosis
from pointsman.tui.figures import Line, config_name, line_of, money, tokens, wrap


def _more(usd: float) -> str:
    """A modelled difference in words: a plus sign means "saved" elsewhere."""
    return f"{'cost' if usd > 0 else 'save'} {money(abs(usd), modelled=True)}"


def _labelled(label: str, text: str, width: int) -> list[Line]:
    """``text`` wrapped behind a label of nine cells."""
    return [line_of((part[:9], "dim"), part[9:]) for part in wrap(text, width, " " * 9, f"{label:<9}")]


def move_lines(decision: Decision, width: int) -> list[Line]:
    """What going to the cheapest other model would come to, for good or for a while, and what keeping this cache costs."""
    found = outlook(decision)
    if found is None:
        return []
    there, here = config_name(found.there), config_name(found.here)
    parts = []
    if found.come_back is None:
        many = "" if found.repaid == 1 else "s"
        when = "is never repaid" if found.repaid is None else f"is repaid after {found.repaid} request{many}"
        parts.append(f"to {there} for good, never back, {when}")
    else:
        parts.append(f"up to {there}: coming back beats staying there for at most {found.come_back} of {found.ahead} requests")
    parts.append(f"{DETOUR} of {found.ahead} requests there and back {_more(found.detour_usd)}")
    if found.summary_usd is not None:
        parts.append(f"moving right after this summary {_more(found.summary_usd)}")
    pays = "never pays" if found.keep_from is None else f"pays from a {found.keep_from:.0%} chance of coming back"
    parts.append(f"keeping {here} warm {money(found.keep_usd, modelled=True)} per {found.ttl_s // 60} min, {pays}")
    return _labelled("moves", " · ".join(parts), width)


def provider_says(diagnosis: Diagnosis) -> str:
    """The provider's own cache diagnosis, in words."""
    if diagnosis.reason == "no_difference":
        return "its own diagnosis: nothing changed since the request before"
    missed = f", ≈{tokens(diagnosis.missed)} tokens missed for it" if diagnosis.missed is not None else ""
    return f"its own diagnosis: {diagnosis.reason.replace('_', ' ')}{missed}"


def quota_lines(row: RequestRow | None, width: int) -> list[Line]:
    """That a subscription pays, so that no figure is a dollar."""
    if row is None or not row.quota:
        return []
    said = "a subscription pays: these are weights of its quota at list price, not dollars (settings: quota_weight)"
    return _labelled("quota", said, width)


def audit_lines(row: RequestRow | None, width: int) -> list[Line]:
    """How far the predicted input price was off, and what the provider says of its cache."""
    out: list[Line] = []
    if row is not None and row.input_usd and row.expected_usd is not None:
        off = (row.expected_usd - row.input_usd) / row.input_usd
        text = f"input {money(row.expected_usd, modelled=True)} predicted, {money(row.input_usd)} billed: off by {off:+.1%}"
        out += _labelled("error", text, width)
    if row is not None and row.diagnosis is not None:
        out += _labelled("provider", provider_says(row.diagnosis), width)
    return out
