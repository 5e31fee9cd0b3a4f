"""What is on screen, as lines of text for a width: header, sessions, timeline, cost per turn, one-liner.

Pure, and needs no Textual: the terminal screens, ``line``, ``demo --no-tui`` and ``run``'s closing line use the same
functions, so that one formatter serves them all. ``why`` lives in ``pointsman.tui.reasons`` and is offered here too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pointsman.core.events import Pinned
from pointsman.core.rows import SessionRow, Totals, TurnRow
from pointsman.core.timeline import Timeline
from pointsman.core.types import Config
from pointsman.tui.because import VERDICTS, because
from pointsman.tui.certified import word
from pointsman.tui.figures import (
    UNKNOWN,
    Line,
    Segment,
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
    signed,
    span,
    width_of,
)
from pointsman.tui.lanes import OUTCOMES, Lanes, lanes_of, marks
from pointsman.tui.reasons import as_asked, failure, why

__all__ = ["Columns", "Status", "closing", "columns", "header", "line", "sessions", "timeline", "trend", "why"]

NARROW, MEDIUM, WIDE = 72, 100, 140
"""Terminal widths that the layouts were drawn for (design: 72, 100 and 140 columns)."""


@dataclass(frozen=True, slots=True)
class Status:
    """What the header says besides money. ``where``: the gateway's port, or what is being read; ``note``: work under way.

    ``past``: nothing more will come, so the sum of all is shown and not today's. ``advice``: texts in the gateway's memory.
    """

    live: bool = False
    where: str = ""
    mode: str = ""
    profile: str = ""
    certificate: str = ""
    note: str = ""
    past: bool = False
    advice: Mapping[str, str] = field(default_factory=dict)


def header(timeline: Timeline, now: float, status: Status, width: int) -> Line:
    """One line: where we read, the mode, today's bill, the same as asked, and the signed net. Parts drop out when narrow."""
    today = timeline.today(now)
    label, totals = ("today", today) if today.requests and not status.past else ("total", timeline.totals)
    light: tuple[str, Style] = (" ● live", "good") if status.live else (" ○", "dim")
    mode = "·".join(part for part in (status.mode, status.profile) if part)
    paid = money(totals.spent if totals.requests else None, at_least=bool(totals.bounded or totals.unknown))
    spent = f"{label} {'quota ' if all_quota(totals) else ''}{paid}"
    asked = f"as asked {as_asked(totals)}"
    certificate = status.certificate or word(timeline.user.record())
    parts: list[tuple[int, tuple[str | tuple[str, Style], ...]]] = [
        (0, (light, f" {status.where or ('' if status.live else 'reading')}".rstrip())),
        (3, (mode,)),
        (0, ((spent, "bold"), some_quota(totals), (f" ({totals.unknown} unknown)" if totals.unknown else "", "warn"))),
        (2, (asked,)),
        (0, ("net ", net(totals))),
        (4, ((certificate, "dim"),)),
        (1, ((status.note, "accent"),)),
    ]
    for drop in (5, 4, 3, 2, 1):
        made = _joined([part for rank, part in parts if rank < drop])
        if width_of(made) <= width:
            return made
    return crop(_joined([part for rank, part in parts if rank == 0]), width)


def _joined(parts: list[tuple[str | tuple[str, Style], ...]]) -> Line:
    out: list[Segment] = []
    for part in parts:
        made = line_of(*part)
        if made:
            out += [Segment(" │ ", "dim"), *made] if out else made
    return tuple(out)


def all_quota(totals: Totals) -> bool:
    """Whether a subscription pays for all of it: then it is weights of a quota at list price, and no dollars."""
    return totals.quota > 0.0 and totals.quota >= totals.spent - 1e-9


def some_quota(totals: Totals) -> str:
    """The part that a subscription pays, where a key pays the rest."""
    return f" ({money(totals.quota)} of it quota)" if totals.quota > 0.0 and not all_quota(totals) else ""


def net(totals: Totals) -> tuple[str, Style]:
    """The signed net against the asked model: plus was saved, minus was spent on top; ``–`` while nothing is billed."""
    if totals.requests - totals.unknown - totals.errors <= totals.unknown_asked:
        return UNKNOWN, "dim"
    text = signed(totals.net, modelled=totals.modelled)
    partly = f" ({totals.unknown_asked} unknown)" if totals.unknown_asked else ""
    return text + partly, "good" if totals.net >= 0.0005 else "bad" if totals.net <= -0.0005 else ""


def spent_cell(totals: Totals, running: bool = False) -> str:
    """Dollars of a table cell: ``…`` while nothing is in, ``–`` unknown, ``≥`` where a part is unknown."""
    if totals.requests == totals.unknown + totals.errors:
        return "…" if running else UNKNOWN
    return cell(totals.spent, at_least=bool(totals.unknown or totals.bounded))


def names(rows: Sequence[SessionRow]) -> dict[str, str]:
    """Session id to name; sessions of the same name are numbered in the order they were opened."""
    seen: dict[str, int] = {}
    out: dict[str, str] = {}
    for row in sorted(rows, key=lambda session: session.opened):
        count = seen[row.name] = seen.get(row.name, 0) + 1
        out[row.id] = row.name if count == 1 else f"{row.name} #{count}"
    return out


IDLE_S = 3_600.0
"""Seconds without a request after which a session counts as over."""


def light_of(session: SessionRow, now: float) -> tuple[str, Style]:
    """``●`` a request is running, ``◐`` waiting for its user, ``○`` over."""
    if session.running and now - session.seen < IDLE_S:
        return "●", "good"
    return ("○", "dim") if session.ended or now - session.seen > IDLE_S else ("◐", "warn")


def sessions(rows: Sequence[SessionRow], current: str | None, now: float, width: int) -> list[Line]:
    """One line per session: light, name, dollars spent; the current one is marked."""
    called = names(rows)
    out = []
    for row in rows:
        spent = spent_cell(row.totals, row.running)
        here = row.id == current
        name = fit(called[row.id], width - 5 - cells(spent))
        mark = Segment("▸", "accent") if here else Segment(" ")
        title = Segment(name, "bold") if here else Segment(name)
        out.append(line_of(mark, light_of(row, now), " ", title, " ", spent, " "))
    return out


Column = Literal["#", "kind", "hard", "lanes", "$", "cache", "ok", "wait", "fail", "saved", "why"]


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that fit a width, each with its own width in cells, the gap behind it included."""

    lanes: Lanes
    widths: tuple[tuple[Column, int], ...]
    outcomes: int = 0
    differs: frozenset[int] = frozenset()


def columns(session: SessionRow, width: int, outcomes: int = 0, differs: frozenset[int] = frozenset()) -> Columns:
    """Columns of the timeline for ``width`` cells. ``outcomes``: known ones, under 30 failure shows an interval.

    ``differs``: turns on which the what-if runs something else, marked ``≠``.
    """
    lanes = lanes_of(session, 3 if width < 74 else 4 if width < 100 else 6)
    digits = max(3, len(str(session.turns[-1].n)) + bool(differs)) if session.turns else 3
    fixed: list[tuple[Column, int]] = [("#", digits + 1), ("hard", 7), ("lanes", lanes.width + 1), ("$", 8), ("cache", 6)]
    if width >= 120 and any(turn.kind for turn in session.turns):
        fixed.insert(1, ("kind", 8))
    fixed.append(("ok", 4))
    if width >= 100:
        fixed += [("wait", 7), ("fail", 8), ("saved", 9)]
    rest = width - sum(size for _, size in fixed)
    return Columns(lanes, (*fixed, ("why", max(0, rest))), outcomes, differs)


_RIGHT = {"$", "cache", "wait", "fail", "saved"}


def timeline_head(cols: Columns) -> Line:
    """The line above the timeline."""
    out: list[Segment] = []
    for name, size in cols.widths:
        if name == "lanes":
            out += [*cols.lanes.head(), Segment(" ")]
        else:
            out.append(Segment(_cell(name, name, size), "dim"))
    return tuple(out)


def _cell(name: Column, text: str, size: int) -> str:
    if name == "why":
        return fit(text, size)
    if name == "ok":
        return fit(f" {text}", size)
    return fit(text, size - 1, "right") + " " if name in _RIGHT else fit(text, size - 1) + " "


def timeline_row(turn: TurnRow, cols: Columns) -> Line:
    """One turn of the timeline."""
    out: list[Segment] = []
    for name, size in cols.widths:
        if name == "lanes":
            out += [*marks(turn, cols.lanes), Segment(" ")]
            continue
        text, style = _value(name, turn, cols)
        out.append(Segment(_cell(name, text, size), style))
    return tuple(out)


def _value(name: Column, turn: TurnRow, cols: Columns) -> tuple[str, Style]:
    running = turn.outcome == "running"
    if name == "#":
        return (f"≠{turn.n}", "warn") if turn.n in cols.differs else (str(turn.n), "dim")
    if name == "kind":
        return turn.kind or UNKNOWN, "dim"
    if name == "hard":
        hard = turn.hard
        return (f"{bar(hard, 1.0)} {fraction(hard)}", "") if hard is not None else (f"  {UNKNOWN}", "dim")
    if name == "$":
        return spent_cell(turn.totals, running), "dim" if turn.totals.unknown else ""
    if name == "cache":
        return ("cold", "accent") if turn.cold else (share(turn.cache_share), "")
    if name == "ok":
        return OUTCOMES[turn.outcome]
    if name == "wait":
        return span(turn.wait_s), ""
    if name == "fail":
        return failure(turn.fail, turn.decision, cols.outcomes), ""
    if name == "saved":
        return _saved(turn)
    return because(turn)


def _saved(turn: TurnRow) -> tuple[str, Style]:
    """The turn's net against the asked model."""
    known = net(turn.totals)
    if known[0] == UNKNOWN:
        return known
    text = change(turn.totals.net)
    return (f"≈{text}" if turn.totals.modelled and text != "0" else text), known[1]


def timeline(session: SessionRow, width: int, outcomes: int = 0) -> list[Line]:
    """The whole timeline of a session: its head and one line per turn."""
    cols = columns(session, width, outcomes)
    return [timeline_head(cols), *(timeline_row(turn, cols) for turn in session.turns)]


_TREND = ("cost     ", "as asked ")


def trend(turns: Sequence[TurnRow], width: int) -> list[Line]:
    """Cost per turn, one cell each, newest at the right, and what the asked model would have cost under it, on one scale."""
    shown = _shown(turns, width)
    top = _top(shown)
    spent = "".join(_bar(turn, turn.totals.spent, top) for turn in shown)
    asked = "".join(_bar(turn, turn.totals.asked, top) for turn in shown)
    return [line_of((_TREND[0], "dim"), (spent, "accent")), line_of((_TREND[1], "dim"), asked)]


def scale(turns: Sequence[TurnRow], width: int) -> str:
    """What a full bar of the trend stands for."""
    return f"█ = {money(_top(_shown(turns, width)))}"


def _shown(turns: Sequence[TurnRow], width: int) -> Sequence[TurnRow]:
    room = width - len(_TREND[0])
    return turns[-room:] if room > 0 else ()


def _top(turns: Sequence[TurnRow]) -> float:
    return max((max(turn.totals.spent, turn.totals.asked) for turn in turns), default=0.0)


def _bar(turn: TurnRow, value: float, top: float) -> str:
    return bar(value, top) if turn.totals.requests > turn.totals.unknown + turn.totals.errors else "·"


def line(session: SessionRow, now: float) -> Line:
    """One line for a status bar: what runs, how hard, how warm, what was spent, and the same as asked."""
    newest = session.newest
    if newest is None:
        return line_of(("no request yet", "dim"))
    turn = session.turns[-1] if session.turns else None
    hard = turn.hard if turn else None
    model = _steered(session.pin, newest.ran)
    difficulty = f"{bar(hard, 1.0)}{fraction(hard)}" if hard is not None else UNKNOWN
    totals = session.totals
    parts: list[tuple[str | tuple[str, Style], ...]] = [
        ((model, "pinned" if session.pin else "ran"), f" {difficulty}"),
        (_warmth(session, now),),
        (("quota " if newest.quota else "", ""), (money(totals.spent, at_least=bool(totals.bounded or totals.unknown)), "bold")),
        (f"as asked {as_asked(totals)}",),
    ]
    check = turn.check if turn else None
    if check is not None:
        parts.append((("check " + VERDICTS[check.verdict][0], VERDICTS[check.verdict][1]),))
    decision = turn.decision if turn else None
    if turn is not None and decision is not None and (decision.reason in ("rule", "budget") or decision.action == "hold"):
        parts.append(((because(turn)[0], ""),))
    if session.notices:
        parts.append(((session.notices[-1], "warn"),))
    return _joined(parts)


def _steered(pin: Pinned | None, ran: Config) -> str:
    """What ran last, with the pin it ran under; a pin that has not run yet stands behind it, where it is going."""
    if pin is None:
        return config_name(ran)
    if pin.config.model == ran.model and pin.config.effort in (None, ran.effort):
        return f"▣ {config_name(ran)}"
    return f"{config_name(ran)} → ▣ {config_name(pin.config)}"


def _warmth(session: SessionRow, now: float) -> str:
    """``96% warm 3m12s``: the newest finished main request's cache share and how long its prefix stays."""
    done = next((row for turn in reversed(session.turns[-3:]) for row in reversed(turn.main) if row.usage), None)
    if done is None:
        return f"cache {UNKNOWN}"
    until = done.warm_until
    left = f" warm {span(until - now)}" if until is not None and until > now else " cold" if until is not None else ""
    return f"{share(done.cache_share)}{left}"


def closing(totals: Totals, interrupted: int = 0) -> Line:
    """What a run cost, against the asked model, signed: the last line of ``pointsman run``."""
    if not totals.requests:
        return line_of(("no request was routed", "dim"))
    extra = [f"{totals.unknown} unknown"] if totals.unknown else []
    extra += [f"{interrupted} interrupted"] if interrupted else []
    return line_of(
        f"{totals.requests} request{'s' if totals.requests != 1 else ''} · spent ",
        (money(totals.spent, at_least=bool(totals.bounded or totals.unknown)), "bold"),
        f" · as asked {as_asked(totals)} · net ",
        net(totals),
        (f" ({', '.join(extra)})" if extra else "", "warn"),
    )


def matching(turns: Iterable[TurnRow], words: str) -> list[TurnRow]:
    """The turns that show every word: in their reason, models, outcome or cache state. ``turn`` numbers match as ``#7``."""
    wanted = words.lower().split()
    return [turn for turn in turns if all(word in _haystack(turn) for word in wanted)] if wanted else list(turns)


def _haystack(turn: TurnRow) -> str:
    action = turn.decision.action if turn.decision else ""
    reason = turn.decision.reason if turn.decision else ""
    cold = "cold" if turn.cold else ""
    moved = "moved" if turn.totals.moved else ""
    return " ".join((f"#{turn.n}", because(turn)[0], *turn.models, turn.outcome, action, reason, cold, moved)).lower()
