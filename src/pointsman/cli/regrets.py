"""What ``why`` and ``report`` say of regret: against the asked model first, then in hindsight, split. Standard library only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pointsman.core.events import Event, Routed
from pointsman.core.hindsight import Regret, recorded, regret, second_thoughts
from pointsman.tui.figures import Line, line_of, money, signed, wrap

SMALL = 0.0005
"""USD below which a regret is none: less than the last digit shown."""


def regret_lines(events: Sequence[Event], turn: int, width: int = 100) -> list[Line]:
    """Two paragraphs on one turn and the session up to its end: against what was asked, and against the best admitted path."""
    found = regret(recorded(events))
    if turn not in found.ran:
        return []
    own = {n: usd for n, usd, _ in found.cumulative()}
    so_far = next(total for n, _, total in found.cumulative() if n == turn)
    asked = found.asked.get(turn, 0.0) - found.ran[turn]
    until = sum(found.asked.get(n, 0.0) - usd for n, usd in found.ran.items() if n <= turn)
    head = f"against asked: this turn {signed(asked, modelled=True)}, so far {signed(until, modelled=True)}"
    out = [line_of(("regret   ", "dim"), head)]
    if abs(found.total) < SMALL:
        return [*out, line_of((" " * 9, "dim"), ("in hindsight: none, inside what you admit", "dim"))]
    text = (
        f"in hindsight: this turn {money(own[turn], modelled=True)}, so far {money(so_far, modelled=True)} above the best "
        f"path that you admit; in all {money(found.knowable, modelled=True)} knowable then, "
        f"{money(found.afterwards, modelled=True)} only afterwards"
    )
    return [*out, *[line_of((part, "dim")) for part in wrap(text, width, " " * 9, " " * 9)]]


class Regrets:
    """Sessions added up."""

    def __init__(self) -> None:
        self.sessions = 0
        self.ran = self.asked = self.knowable = self.afterwards = self.cheapest = 0.0
        self.unknown = self.moves = self.overruled = 0

    def add(self, events: Sequence[Event]) -> None:
        """Count one session."""
        found: Regret = regret(recorded(events))
        self.sessions += 1
        self.ran += sum(found.ran.values())
        self.asked += sum(found.asked.values())
        self.knowable += found.knowable
        self.afterwards += found.afterwards
        self.cheapest += found.cheapest
        self.unknown += found.unknown
        moves, overruled = second_thoughts(events)
        self.moves += moves
        self.overruled += overruled

    def lines(self) -> list[str]:
        """The section of the report."""
        if not self.ran:
            return []
        net = signed(self.asked - self.ran, modelled=True)
        left = f"; {self.unknown} requests without a bill are left out" if self.unknown else ""
        best = self.ran - self.knowable - self.afterwards
        said = [f"regret       against asked {net} over {self.sessions} session{'' if self.sessions == 1 else 's'}{left}"]
        if abs(self.knowable) + abs(self.afterwards) >= SMALL:
            said.append(
                f"hindsight    {money(self.ran - best, modelled=True)} above the best path that you admit: "
                f"{money(self.knowable, modelled=True)} knowable then, {money(self.afterwards, modelled=True)} only afterwards"
            )
        if self.moves:
            said.append(f"overruled    {self.overruled} of {self.moves} moves ({100 * self.overruled / self.moves:.0f} per 100): "
                        "a pin, a bad or overkill mark, or work undone, within two turns")
        return said

    def as_json(self) -> Mapping[str, object]:
        """The same for programs: modelled USD; ``against_asked_usd`` is signed, plus was saved."""
        return {
            "sessions": self.sessions, "against_asked_usd": self.asked - self.ran, "knowable_usd": self.knowable,
            "afterwards_usd": self.afterwards, "cheapest_price_usd": self.cheapest, "unknown_requests": self.unknown,
            "moves": self.moves, "overruled": self.overruled,
        }  # fmt: skip


def added_up(events: Iterable[Event], sessions: set[str]) -> Regrets:
    """The regret of ``sessions`` in ``events``."""
    by_session: dict[str, list[Event]] = {}
    for event in events:
        name = getattr(event, "session", None)
        if name in sessions:
            by_session.setdefault(name, []).append(event)
    found = Regrets()
    for own in by_session.values():
        if any(isinstance(event, Routed) for event in own):
            found.add(own)
    return found
