"""What ``bench outcomes`` prints: a table per pool, a chart of the bill over the user's time, and what the product promises."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from pointsman.bench.calibration import Calibration
from pointsman.bench.outcomes import ASKED, CHECKED, FAST, ONCE, ROUTER, Block, Ratio, Row

SHOWN_V = 2.0
"""The value of a failure at which every policy is listed; the chart has them all."""

CHART_WIDTH = 40
HEAD = (
    f"{'policy':<28}{'$/task':>8}{'resolved':>10}{'visible':>9}{'bill':>9}{'min':>7}{'p50':>6}{'p95':>6}{'switches':>10}{'>10¢':>7}"
)


@dataclass(frozen=True, slots=True)
class Promise:
    """One figure with its limit: met when it is at most ``limit`` (at least, where ``least``)."""

    name: str
    value: float
    limit: float
    least: bool = False

    @property
    def met(self) -> bool:
        """Whether the figure keeps its limit; sums of floats are equal to nine places at best."""
        return self.value >= self.limit - 1e-9 if self.least else self.value <= self.limit + 1e-9


def ratio(block: Block, name: str) -> Ratio:
    """The router over policy ``name`` in this block."""
    return next(r for r in block.ratios if r.name == name)


def row(block: Block, name: str) -> Row:
    """The figures of policy ``name`` in this block."""
    return next(r for r in block.rows if r.name == name)


BILL = {"ladder": 0.80, "wide": 0.82, "near": 1.00}
DOLLARS = {"ladder": 0.60, "wide": 0.65}


def promises(blocks: Sequence[Block]) -> list[Promise]:
    """What the figures are held to (mode ``real``)."""
    found: list[Promise] = []
    for block in blocks:
        if block.mode != "real":
            continue
        where = f"{block.pool}, {'check' if block.check else 'no check'}, v = {block.v:g}"
        if block.check and block.v == SHOWN_V:
            found += _guarded(block, where)
        if not block.check and block.v >= 2:
            found.append(Promise(f"{where}: bill over always asked", ratio(block, ASKED).bill, 1.0))
        if block.check:
            found.append(Promise(f"{where}: bill over the best fixed policy ({block.best})", block.over_best, 1.03))
            same = row(block, ROUTER).bill / row(block, "cheap").bill
            found.append(Promise(f"{where}: bill over always cheap with the same check and retries on itself", same, 1.03))
    return found


def _guarded(block: Block, where: str) -> list[Promise]:
    mine, against, shown, plain = row(block, ROUTER), ratio(block, ONCE), ratio(block, CHECKED), ratio(block, ASKED)
    found = [
        Promise(f"{where}: bill over always asked with check and retry", against.bill, BILL[block.pool]),
        Promise(f"{where}: bill over always asked with check, its failure shown", shown.bill, BILL[block.pool]),
        Promise(f"{where}: resolved, points above always asked with check and retry", 100 * against.resolved, -2.0, least=True),
        Promise(f"{where}: resolved, points above always asked with check, its failure shown", 100 * shown.resolved, -2.0, True),
        Promise(f"{where}: switches a session", mine.switches, 2.5),
        Promise(f"{where}: share of sessions more than 10 cents dearer", mine.dearer, 0.08),
    ]
    if block.pool in DOLLARS:
        found += [
            Promise(f"{where}: dollars over always asked without check", plain.usd, DOLLARS[block.pool]),
            Promise(f"{where}: resolved, points above always asked without check", 100 * plain.resolved, -1.0, least=True),
        ]
    asked, quick = row(block, ONCE), row(block, FAST)
    found += [
        Promise(f"{where}: profile fast, minutes per resolved over always asked", quick.minutes / asked.minutes, 1.0),
        Promise(f"{where}: profile fast, resolved, points above asked", 100 * (quick.resolved - asked.resolved), 0.0, True),
    ]
    if block.pool == "ladder":
        found.append(Promise(f"{where}: minutes per resolved over always asked with check and retry", against.minutes, 0.9))
    return found


ECE = 0.05
"""Expected calibration error of P(success) at most, learned on 50 tasks and measured on 2,000 later ones (issue 5)."""


def reliability(found: Sequence[Calibration]) -> list[Promise]:
    """What P(success) is held to: the mean over the seeds of each pool."""
    pools = dict.fromkeys(c.pool for c in found if c.mode == "real")
    return [
        Promise(f"{pool}: calibration error of P(success), {own[0].learned} tasks learned, {own[0].measured:,} measured",
                sum(c.ece for c in own) / len(own), ECE)
        for pool in pools for own in ([c for c in found if c.pool == pool and c.mode == "real"],)
    ]  # fmt: skip


def as_json(blocks: Sequence[Block], calibrations: Sequence[Calibration] = ()) -> dict[str, object]:
    """Everything measured, as plain values."""
    return {
        "blocks": [asdict(block) for block in blocks],
        "calibration": [asdict(c) for c in calibrations],
        "promises": [{**asdict(promise), "met": promise.met} for promise in (*promises(blocks), *reliability(calibrations))],
    }


def lines(blocks: Sequence[Block], calibrations: Sequence[Calibration] = ()) -> Iterable[str]:
    """The report as text."""
    groups: dict[tuple[str, str, bool], list[Block]] = {}
    for block in blocks:
        groups.setdefault((block.mode, block.pool, block.check), []).append(block)
    for (mode, pool, check), found in groups.items():
        yield f"{pool}, {mode}, {'check at done' if check else 'no check'}: {found[0].tasks:,} tasks"
        shown = next((block for block in found if block.v == SHOWN_V), found[0])
        yield from _table(shown)
        yield from _chart(found)
        yield ""
    for c in calibrations:
        yield from _reliable(c)
    held = [*promises(blocks), *reliability(calibrations)]
    if held:
        yield "what the figures are held to (real outcomes)"
    for promise in held:
        sign = "at least" if promise.least else "at most"
        yield f"  {'met   ' if promise.met else 'missed'}  {promise.value:7.3f}  {sign} {promise.limit:g}  {promise.name}"
    yield ""
    yield "bill: (dollars + v x tasks that end unresolved) per resolved task, failed runs included."
    yield "Every policy with a check has the same one. Brackets: 95 %, paired bootstrap over sessions."


def _reliable(c: Calibration) -> Iterable[str]:
    """One reliability diagram: what was predicted, what came true, and the bar of what came true."""
    yield f"{c.pool}, {c.mode}, seed {c.seed}: P(success) learned on {c.learned} tasks, measured on {c.measured:,} later ones"
    for b in c.bins:
        bar = round(b.true * CHART_WIDTH)
        mark = min(CHART_WIDTH - 1, round(b.predicted * CHART_WIDTH))
        drawn = "".join("█" if i < bar else "·" for i in range(CHART_WIDTH))
        yield f"  said {b.predicted:4.0%} {drawn[:mark] + '|' + drawn[mark + 1 :]} came true {b.true:4.0%} ({b.n:,})"
    yield f"  expected calibration error {c.ece:.3f} (of the bare priors {c.before:.3f}), Brier score {c.brier:.3f}"
    yield ""


def _table(block: Block) -> Iterable[str]:
    yield f"  v = {block.v:g}"
    yield "  " + HEAD
    for r in sorted(block.rows, key=lambda r: r.bill):
        mark = "▸ " if r.name == ROUTER else "  "
        yield (
            f"{mark}{r.name:<28}{r.usd:>8.3f}{r.resolved:>10.1%}{r.visible:>9.1%}{r.bill:>9.3f}{r.minutes:>7.1f}{r.p50:>6.1f}"
            f"{r.p95:>6.1f}{r.switches:>10.2f}{r.dearer:>7.1%}"
        )


def _chart(found: Sequence[Block]) -> Iterable[str]:
    """The router's bill over always-asked's, with the same check and retry, at every v; the mark is where both are equal."""
    yield "  bill over always asked with the same check and retry (the mark is 1.00)"
    for block in found:
        r = ratio(block, ONCE)
        bar = round(min(1.5, r.bill) * CHART_WIDTH / 1.5)
        drawn = "".join("█" if i < bar else "·" for i in range(CHART_WIDTH))
        at = round(CHART_WIDTH / 1.5)
        drawn = drawn[:at] + "|" + drawn[at + 1 :]
        best = f"over the best fixed ({block.best}): {block.over_best:.3f}"
        yield f"  v = {block.v:>4g} {drawn} {r.bill:.3f} [{r.low:.3f}, {r.high:.3f}]  {best}"
