"""Which models a session's timeline draws as lanes, in which order and under which letter; and the glyphs drawn on them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pointsman.core.rows import Outcome, SessionRow, TurnRow
from pointsman.tui.figures import Segment, Style, short

RAN, ESCALATED, ADVISED, SHADOWED, PINNED, VETOED, BESIDE = "●", "◆", "◇", "○", "▣", "⊘", "•"
TRACK, ASKED_TRACK = "│", "┃"

OUTCOMES: Mapping[Outcome, tuple[str, Style]] = {
    "good": ("✓", "good"), "bad": ("✗", "bad"), "overkill": ("⌂", "warn"), "unknown": ("·", "dim"), "running": ("…", "accent"),
}  # fmt: skip

LEGEND: tuple[tuple[str, str], ...] = (
    (RAN, "ran"),
    (ESCALATED, "escalated (sticky)"),
    (ADVISED, "advisor asked"),
    (SHADOWED, "would have run without the pin"),
    (PINNED, "pinned by you"),
    (VETOED, "could not be used"),
    (BESIDE, "also ran: sub-agent, side traffic"),
    (f"‹s› {ASKED_TRACK}", "the model you asked for"),
    ("≠", "the what-if runs something else"),
)


@dataclass(frozen=True, slots=True)
class Lanes:
    """The models drawn, cheap to strong, each with its one-letter label; ``asked`` is the one the client asked for last."""

    models: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    asked: str = ""

    @property
    def width(self) -> int:
        """Columns the lanes take: three each."""
        return 3 * len(self.models)

    def head(self) -> tuple[Segment, ...]:
        """The letters above the lanes; the asked one between marks."""
        return tuple(
            Segment(f"‹{label}›", "title") if model == self.asked else Segment(f" {label} ", "dim")
            for model, label in zip(self.models, self.labels, strict=True)
        )


def lanes_of(session: SessionRow, limit: int = 4) -> Lanes:
    """At most ``limit`` lanes of a session: what was asked, what ran, then what was offered last."""
    newest = session.decision
    asked = session.newest.asked.model if session.newest else ""
    wanted = [asked, *sorted(session.ran, key=lambda model: -session.ran[model])]
    wanted += [candidate.model for candidate in newest.candidates] if newest else []
    chosen = list(dict.fromkeys(model for model in wanted if model))[:limit]
    ladder = [candidate.model for candidate in newest.candidates] if newest else []
    known = {model: session.prices.get(model, float("inf")) for model in chosen}
    chosen.sort(key=lambda model: (known[model], ladder.index(model) if model in ladder else len(ladder)))
    return Lanes(tuple(chosen), labels(tuple(chosen)), asked)


def labels(models: tuple[str, ...]) -> tuple[str, ...]:
    """A letter per model, from the word that tells its tier: haiku h, sonnet s, opus o; mini m beside a plain gpt g."""
    words = [re.findall(r"[a-z]+", short(model).lower()) for model in models]
    common = set.intersection(*(set(w) for w in words)) if len(words) > 1 else set()
    taken: list[str] = []
    for own in words:
        telling = [word for word in own if word not in common] or own
        letters = [*(word[0] for word in telling), *"".join(telling), *"abcdefghijklmnopqrstuvwxyz0123456789"]
        taken.append(next(letter for letter in letters if letter not in taken))
    return tuple(taken)


def marks(turn: TurnRow, lanes: Lanes) -> tuple[Segment, ...]:
    """The turn's cells on its lanes: position and glyph say what ran, colour repeats it."""
    asked = turn.asked.model if turn.asked else lanes.asked
    placed = _placed(turn)
    cells = []
    for model in lanes.models:
        track = (ASKED_TRACK, "asked") if model == asked else (TRACK, "dim")
        glyph, style = placed.get(model, track)
        cells.append(Segment(f" {glyph} ", style))  # type: ignore[arg-type]  # both sides are Style literals
    return tuple(cells)


def _placed(turn: TurnRow) -> dict[str, tuple[str, Style]]:
    """Glyph and style per model; the strongest statement wins."""
    out: dict[str, tuple[str, Style]] = {model: (BESIDE, "dim") for model in turn.models}
    decision = turn.decision
    for config in turn.refused:
        out[config.model] = (VETOED, "bad")
    if decision is None:
        return out
    if decision.would is not None and decision.would.model not in out:
        out[decision.would.model] = (SHADOWED, "dim")
    if decision.reason == "pin_refused" and turn.pin is not None and turn.pin.model != decision.chosen.model:
        out[turn.pin.model] = (VETOED, "bad")
    ran = turn.config.model if turn.config else decision.chosen.model
    out[ran] = glyph_of(turn)
    return out


def glyph_of(turn: TurnRow) -> tuple[str, Style]:
    """The glyph of what ran in the main lane."""
    decision = turn.decision
    if decision is None:
        return RAN, "ran"
    if decision.reason == "pin" and turn.config == decision.chosen:
        return PINNED, "pinned"
    if decision.action == "escalate":
        return ESCALATED, "warn"
    return RAN, "ran"
