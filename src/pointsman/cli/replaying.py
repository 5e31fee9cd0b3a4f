"""The lines that ``replay`` prints. Plain figures are billed, ``≈`` figures are modelled, signs say who gained: plus is saved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pointsman.bench.replay import Neighbour, Point, Report, middle
from pointsman.tui.figures import UNKNOWN, money, share, short, signed

FREE_NAMES = {"session_start": "start", "subagent_start": "sub-agent start", "idle": "idle beyond the cache's lifetime",
              "compaction": "compaction", "clear": "clear", "rewind": "rewind"}
HEAD = ("switch to", "same tokens", "net", "at", "toll", "way back", "round trip", "to the end", "pays at")
WIDTHS = (24, 12, 12, 14, 11, 11, 11, 11, 0)


def lines_of(report: Report) -> list[str]:
    """One session: what it cost, its free points, and the neighbours' prices at them and elsewhere."""
    ran = ", ".join(f"{short(name)} ×{n}" for name, n in report.models.most_common())
    head = f"{report.session} · {report.client} · {_n(report.turns, 'turn')} · {_n(report.requests, 'request')} · {ran}"
    out = [head, f"  billed {billed(report)} · {share(report.cached)} of the input read from the cache{_notes(report)}"]
    out.append("  free points: " + (", ".join(f"{FREE_NAMES[name]} ×{n}" for name, n in report.free.most_common()) or "none"))
    if report.neighbours:
        out.append("  " + _row(HEAD))
    for neighbour in report.neighbours.values():
        out += ["  " + row for row in _neighbour(neighbour)]
    return out


def billed(report: Report) -> str:
    """The bill: ``≈`` where output was estimated, ``≥`` where requests are missing, unknown where nothing is known."""
    if report.unknown + report.unpriced >= report.requests:
        return "unknown"
    if report.unknown or report.unpriced:
        return ("≈" if report.estimated else "") + money(report.billed, at_least=True)
    return money(report.billed, modelled=report.estimated > 0)


def _notes(report: Report) -> str:
    notes = []
    if report.estimated:
        notes.append(f"output of {report.estimated} requests estimated from visible characters (≈)")
    if report.unknown:
        notes.append(f"{_n(report.unknown, 'request')} without a recorded bill")
    if report.unpriced:
        notes.append(f"{_n(report.unpriced, 'request')} of a model without a price")
    return "".join(f" · {note}" for note in notes)


def _neighbour(found: Neighbour) -> Iterable[str]:
    """Two rows: at free points, and elsewhere."""
    name, cells = short(found.model), (money(found.there, modelled=True), signed(found.net, modelled=True))
    for free in (True, False):
        points = found.some(free)
        if points:
            where = f"{len(points)} free" if free else f"{len(points)} others"
            yield _row((name, *cells, where, *_figures(points)))
            name, cells = "", ("", "")


def _figures(points: Sequence[Point]) -> tuple[str, ...]:
    """Medians over the points. A toll is what the move costs above staying; to the end: saved from there on, toll paid."""
    rest = [point.rest for point in points if point.rest is not None]
    pays = sum(value > 0 for value in rest)
    prices = ([p.toll - p.own_toll for p in points], [p.way_back for p in points], [p.round_trip for p in points])
    return (
        *(money(middle(usd), modelled=True) for usd in prices), signed(middle(rest), modelled=True),
        f"{pays}/{len(rest)}" if rest else UNKNOWN,
    )  # fmt: skip


def _row(cells: Sequence[str]) -> str:
    return "".join(f"{cell:<{width}}" for cell, width in zip(cells, WIDTHS, strict=True)).rstrip()


def total_lines(reports: Sequence[Report]) -> list[str]:
    """All sessions added up; neighbours by model, over the sessions in which they stood beside what ran."""
    requests, spent = sum(r.requests for r in reports), sum(r.billed for r in reports)
    unknown, unpriced = sum(r.unknown for r in reports), sum(r.unpriced for r in reports)
    estimated = any(r.estimated for r in reports)
    prompt, read = sum(r.prompt for r in reports), sum(r.cache_read for r in reports)
    cached = share(read / prompt if prompt else None)
    bill = ("≈" if estimated else "") + money(spent, at_least=bool(unknown or unpriced))
    free = sum(sum(r.free.values()) for r in reports)
    out = [
        f"total: {_n(len(reports), 'session')}, {_n(requests, 'request')}, billed {bill}; {cached} "
        f"of the input read from the cache; {_n(free, 'free point')}"
        + (f"; {_n(unknown, 'request')} without a recorded bill" if unknown else "")
        + (f"; {_n(unpriced, 'request')} without a price" if unpriced else "")
    ]
    merged: dict[str, Neighbour] = {}
    for report in reports:
        for name, found in report.neighbours.items():
            into = merged.setdefault(name, Neighbour(name))
            into.billed, into.there = into.billed + found.billed, into.there + found.there
            into.points += found.points
    if merged:
        out.append("  " + _row(HEAD))
    for neighbour in merged.values():
        out += ["  " + row for row in _neighbour(neighbour)]
    out.append("  net: signed, plus is saved against what ran; ≈ same tokens, so it says nothing about failures or extra steps.")
    return out


def _n(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
