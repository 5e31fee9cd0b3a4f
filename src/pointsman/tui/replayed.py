"""What if another policy had held, and a failure cost you this much? The panel over ``core.whatif``. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from pointsman.core.book import Book
from pointsman.core.decisions import Decision
from pointsman.core.events import Event
from pointsman.core.policy import CHECK_FALSE_ALARM, CHECK_RECALL, Policy
from pointsman.core.schedule import Step
from pointsman.core.whatif import Comparison, Replayed, compared, end_of_ladder, replay, replay_best
from pointsman.tui.figures import UNKNOWN, Line, Style, line_of, money, signed, wrap
from pointsman.tui.reasons import fail_interval

STOPS = (0.0, 0.6, 2.0, 5.0, 10.0, 20.0)
"""USD that a failure costs the user: the sweep of every evaluation here (DECISION.md 9)."""


POLICIES = ("everything admitted", "balanced, checked", "as asked", "always the cheapest", "best in hindsight")
"""What the panel can replay, in the order in which the key goes through them."""


@dataclass(slots=True)
class Way:
    """A way through the same requests: USD spent and spent on refills, expected failures (low, high), by turn."""

    spent: float = 0.0
    refills: float = 0.0
    fails: dict[int, tuple[float, float]] = field(default_factory=dict)

    @property
    def failures(self) -> tuple[float, float]:
        """Failures expected over all turns, low and high."""
        return sum(low for low, _ in self.fails.values()), sum(high for _, high in self.fails.values())

    def add(self, decision: Decision, usd: float) -> None:
        """Count one request."""
        self.spent += usd
        row = decision.row(decision.chosen)
        if row is not None:
            self.refills += row.toll_usd or 0.0
            if row.fail is not None:
                self.fails[decision.place.turn] = fail_interval(row.fail, decision.belief)


@dataclass(slots=True)
class WhatIf:
    """Both paths over the ``requests`` that were billed, and the turns on which they run something else.

    ``most``: USD of the other path with the further requests that its models usually need; ``known``: over its tasks.
    """

    failure_usd: float
    policy: str = POLICIES[0]
    run: Way = field(default_factory=Way)
    instead: Way = field(default_factory=Way)
    requests: int = 0
    most: float = 0.0
    turns: set[int] = field(default_factory=set)
    differs: set[int] = field(default_factory=set)
    known: Comparison = field(default_factory=lambda: compared(()))


def what_if(
    events: Iterable[Event], book: Book, policy: Policy, failure_usd: float, name: str = POLICIES[0]
) -> WhatIf:
    """Replay one session's events under the policy ``name`` of ``POLICIES``, laid over ``policy``; USD per visible failure."""
    known = list(events)
    found = WhatIf(failure_usd, name)
    replayed = _replayed(known, book, replace(policy, mode="auto", failure_usd=failure_usd), name)
    for request in replayed.requests:
        turn = request.was.place.turn
        found.requests += 1
        found.turns.add(turn)
        found.run.add(request.was, request.billed)
        found.instead.add(request.now, request.usd)
        found.most += request.most
        if request.differs:
            found.differs.add(turn)
    found.known = compared(replayed.tasks)
    return found


def _replayed(events: list[Event], book: Book, policy: Policy, name: str) -> Replayed:
    if name == "best in hindsight":
        return replay_best(events, book)
    if name == "as asked":
        return replay(events, book, replace(policy, schedule=(Step(1, "asked"),)))
    if name == "always the cheapest":
        return replay(events, book, replace(policy, schedule=(Step(1, end_of_ladder(events, book)),)))
    if name == "balanced, checked":
        checked = replace(policy, profile="balanced", check=True, check_recall=CHECK_RECALL, check_false_alarm=CHECK_FALSE_ALARM)
        return replay(events, book, checked)
    return replay(events, book, replace(policy, profile="saver", consent_up=True))


def slider(stop: int, width: int) -> str:
    """``cheaper ───●─── safer``: where the price of a failure stands among the stops."""
    room = max(len(STOPS), min(40, width - 46))
    at = round(stop * (room - 1) / (len(STOPS) - 1))
    return f"cheaper {'─' * at}●{'─' * (room - 1 - at)} safer"


def lines_of(found: WhatIf, stop: int, width: int) -> list[Line]:
    """The what-if panel: the slider, both ways side by side, what differs, and how far to trust it."""
    run, instead = found.run, found.instead
    saved = signed(run.spent - instead.spent, modelled=True)
    style: Style = "good" if run.spent - instead.spent > 0.0005 else "bad" if instead.spent - run.spent > 0.0005 else ""
    more = f" to {money(found.most, modelled=True)} with the further requests its models usually need"
    out = [
        line_of((slider(stop, width), "accent"), "  a failure costs you ", (f"${found.failure_usd:.2f}", "bold")),
        line_of(("policy     ", "dim"), (found.policy, "accent"), ("   n: the next one", "dim")),
        line_of((f"{'main lane':<11}{'spent':>10}{'refills':>11}{'failures':>11}", "dim")),
        line_of(f"{'as run':<11}{money(run.spent):>10}{money(run.refills, modelled=True):>11}{_failures(run):>11}"),
        line_of(f"{'what if':<11}{money(instead.spent, modelled=True):>10}", f"{money(instead.refills, modelled=True):>11}",
                f"{_failures(instead):>11}"),
        line_of(f"{'saved':<11}", (f"{saved:>10}", style), f"{signed(run.refills - instead.refills, modelled=True):>11}"),
    ]  # fmt: skip
    differs = sorted(found.differs)
    named = " ".join(str(turn) for turn in differs[:12]) + (" …" if len(differs) > 12 else "")
    said = f"Runs something else on turns {named} (marked ≠)." if differs else "Runs the same on every turn."
    if found.most > instead.spent + 0.0005:
        said += f" What if: {money(instead.spent, modelled=True)}{more}."
    known = found.known.resolved
    hint = (
        "Pins left out; the recorded requests and output, with the caches that way would have had. "
        f"Failures are modelled, not observed: effective sample {known.ess:.0f} of {found.known.tasks} tasks with a known "
        f"outcome on the same models, {'enough to go by' if known.verdict else 'too few for a verdict (30)'}; a hint."
    )
    out += [line_of(part) for part in wrap(said, width)]
    return out + [line_of((part, "dim")) for part in wrap(hint, width)]


def _failures(way: Way) -> str:
    """Expected failures as an interval; ``–`` where no turn has an estimate."""
    low, high = way.failures
    return f"{low:.1f}–{high:.1f}" if way.fails else UNKNOWN
