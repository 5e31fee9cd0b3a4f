"""What checking came to, in words: the same in ``report`` and on the screens. Pure."""

from __future__ import annotations

from pointsman.core.tally import Tally
from pointsman.tui.figures import Line, config_name, fit, line_of, many, wrap


def checking(found: Tally, failure_usd: float) -> list[str]:
    """Runs, failures caught before the person saw them, false alarms, minutes and dollars, one line each.

    ``failure_usd``: USD that a failure costs a person who has to notice it.
    """
    if not found.runs:
        return ["no check has run yet: `pointsman run --check \"pytest -q\" -- claude` sees a failure before you do"]
    noticing = f", against ≈${found.caught * failure_usd:.2f} of noticing what it caught yourself" if found.caught else ""
    return [
        f"checks       {many(found.runs, 'run')}: {found.passed} passed, {found.failed} failed, {found.unsure} not clear"
        + (f", {found.flaky} disagreed with themselves" if found.flaky else ""),
        f"caught       {many(found.caught, 'failure')} went back to the agent before you saw \"done\", {found.shown} you "
        f"were told of; {found.repaired} repaired",
        f"false alarms {found.false_alarms} (failures of work that you marked good)",
        f"took         {found.seconds / 60:.1f} min of checking, ≈${found.waiting_usd:.2f} of waiting at $60 an hour{noticing}; "
        f"${found.repair_usd:.4f} billed for repairs",
    ]


def solved(found: Tally, width: int = 67) -> list[str]:
    """Tasks by the config they began on and whether they were escalated: a table, empty without a task."""
    if not found.solved:
        return []
    name = width - 35
    out = [f"{'began on':<{name}}{'escalated':<11}{'resolved':>9}{'not':>6}{'unknown':>9}"]
    for (config, escalated), row in sorted(found.solved.items(), key=lambda item: (str(item[0][0]), item[0][1])):
        shown = str(config) if len(str(config)) < name else config_name(config)
        out.append(f"{fit(shown, name)}{'yes' if escalated else 'no':<11}{row.resolved:>9}{row.unresolved:>6}{row.unknown:>9}")
    return out


def page(found: Tally, failure_usd: float, width: int) -> list[Line]:
    """All of it for a panel ``width`` columns wide."""
    out = [line_of(part) for text in checking(found, failure_usd) for part in wrap(text, width, " " * 13)]
    head, *rest = solved(found, width) or [""]
    return [*out, *([(), line_of((head, "dim")), *map(line_of, rest)] if head else [])]
