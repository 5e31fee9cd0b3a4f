"""What ``bench policies`` prints: a table and a chart per pool, the envelope against its bound, and the worst sessions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict

from pointsman.bench.policies import ASKED, ENVELOPE, ROUTER, Block
from pointsman.bench.report import Promise

CHART_WIDTH, CHART_TOP = 40, 1.25
"""Columns of a bar, and the ratio to always asked at which it is full."""

MEDIAN = 1.2
"""Largest median ratio to hindsight that is promised for two admitted configs at equal quality."""

HEAD = (
    f"{'policy':<38}{'$/session':>10}{'over asked':>11}{'':>16}{'hindsight':>10}{'p50':>7}{'p90':>7}{'max':>8}{'moves':>7}"
    f"{'>10¢':>7}{'min':>7}{'p95':>7}"
)


def promises(blocks: Sequence[Block]) -> list[Promise]:
    """What the figures are held to."""
    found: list[Promise] = []
    for block in blocks:
        for bound in block.bounds:
            outside = bound.sessions - bound.within
            found.append(Promise(f"{block.pool}: sessions outside the bound, {bound.name}", outside, 0))
            if bound.name == ENVELOPE and block.pool != "three":
                found.append(Promise(f"{block.pool}: median ratio to hindsight, {bound.name}", bound.p50, MEDIAN))
        for row in block.rows:
            if row.name == ROUTER and block.pool != "three":
                found.append(Promise(f"{block.pool}: median ratio to hindsight, {row.name}", row.p50, MEDIAN))
        for worst in block.worst:
            over = worst.sessions - worst.kept
            found.append(Promise(f"{block.pool}: sessions dearer than asked and a round trip per move, {worst.name}", over, 0))
    return found


def as_json(blocks: Sequence[Block]) -> dict[str, object]:
    """Everything measured, as plain values."""
    plain = []
    for block in blocks:
        values = asdict(block)
        values["admitted"] = [{"configs": list(names), "sessions": n} for names, n in block.admitted.items()]
        plain.append(values)
    return {"blocks": plain, "promises": [{**asdict(promise), "met": promise.met} for promise in promises(blocks)]}


def lines(blocks: Sequence[Block]) -> Iterable[str]:
    """The report as text."""
    for block in blocks:
        yield (
            f"{block.pool}: {block.sessions} sessions, {block.requests:,} requests; what ran, priced by us: {block.check:+.2%} "
            "against its bill"
        )
        for names, n in block.admitted.items():
            yield f"  admitted in {n} sessions: {', '.join(names)}"
        yield from _table(block)
        yield from _chart(block)
        yield from _bounds(block)
        yield ""
    held = promises(blocks)
    yield "what the figures are held to"
    for promise in held:
        yield f"  {'met   ' if promise.met else 'missed'}  {promise.value:7.3f}  at most {promise.limit:g}  {promise.name}"
    yield ""
    yield "Equal quality: the same requests and answers on every model, so this says nothing about failures (bench outcomes"
    yield "does). Brackets: 95 %, paired bootstrap over sessions. hindsight: ratio to the best admitted path, changes at turn"
    yield "starts; p50, p90 and max: the same per session. min, p95: minutes of waiting for the models in a session, modelled."
    yield "strong twice is 2.000 of always asked; kNN needs outcomes."


def _table(block: Block) -> Iterable[str]:
    yield "  " + HEAD
    for r in sorted(block.rows, key=lambda r: r.usd):
        mark = "▸ " if r.name.startswith(ROUTER) else "  "
        span = f"[{r.low:.3f}, {r.high:.3f}]"
        yield (
            f"{mark}{r.name:<38}{r.usd:>10.3f}{r.over_asked:>11.3f}{span:>16}{r.over_best:>10.3f}{r.p50:>7.2f}{r.p90:>7.2f}"
            f"{r.worst:>8.2f}{r.moves:>7.2f}{r.dearer:>7.1%}{r.minutes:>7.1f}{r.minutes_p95:>7.1f}"
        )
    if block.mix is not None:
        yield f"  random mix of equal cost: asked in {block.mix:.1%} of sessions, always cheap in the others"


def _chart(block: Block) -> Iterable[str]:
    yield "  dollars over always asked (the mark is 1.00)"
    at = round(CHART_WIDTH / CHART_TOP)
    for r in sorted(block.rows, key=lambda r: r.usd):
        if r.name == ASKED:
            continue
        bar = round(min(CHART_TOP, r.over_asked) * CHART_WIDTH / CHART_TOP)
        drawn = "".join("█" if i < bar else "·" for i in range(CHART_WIDTH))
        yield f"    {r.name:<38}{drawn[:at]}|{drawn[at + 1 :]} {r.over_asked:.3f}"


def _bounds(block: Block) -> Iterable[str]:
    n = len(next(iter(block.admitted)))
    law = "3 + 2 D/R" if n == 2 else f"{2 * n - 1} + {2 * (n - 1)} D/R"
    for b in block.bounds:
        yield (
            f"  {b.name}: {b.within} of {b.sessions} sessions within {law} and a constant x R after each free point, "
            f"{b.within_ratio} within {law} alone"
        )
        yield (
            f"    D/R of a turn: median {b.turns[0]:.2f}, 99 % {b.turns[1]:.2f}; of a session (widest turn, smallest R): median "
            f"{b.d_over_r[0]:.2f}, largest {b.d_over_r[1]:.2f}"
        )
        yield (
            f"    ratio to hindsight: median {b.p50:.3f}, largest {b.worst:.3f}; to the cheapest price (not bounded): median "
            f"{b.price:.3f}"
        )
    for w in block.worst:
        yield (
            f"  worst session, {w.name}: {w.kept} of {w.sessions} at most asked + a round trip per move + $0 of consented "
            f"caps; nearest: {w.above:+.3f} USD against asked, {w.allowed:.3f} allowed"
        )
