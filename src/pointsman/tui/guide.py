"""Words for the screens that have no data to show: help, the empty ledger, trouble. Pure, and needs no Textual."""

from __future__ import annotations

from pointsman.tui.figures import Line, line_of, wrap
from pointsman.tui.lanes import LEGEND, OUTCOMES

KEYS: tuple[tuple[str, str], ...] = (
    ("j k", "next, previous turn (arrows, page keys, home and end work too)"),
    ("tab", "next panel"),
    ("[ ]", "previous, next session"),
    ("p u", "pin a model, with the price of obeying shown · unpin"),
    ("e", "escalate: one model up for this task, priced before you say yes"),
    ("g b o", "mark the turn good, bad, overkill (a lesser model could have done it)"),
    ("z", "take the mark of this turn back"),
    ("f", "follow the newest turn"),
    ("/", "show only turns with these words: cold, moved, bad, opus, #7 ..."),
    ("^p q", "palette with every action · quit"),
)

OUTCOME_WORDS = {"good": "good", "bad": "bad", "overkill": "overkill", "unknown": "unknown", "running": "running"}


def help_lines(width: int) -> list[Line]:
    """Keys, glyphs, and how to read the figures."""
    out: list[Line] = []
    for keys, text in KEYS:
        for i, part in enumerate(wrap(text, width - 8)):
            out.append(line_of((f"{keys if i == 0 else '':<6}  ", "accent"), part))
    out.append(())
    for glyph, text in LEGEND:
        out.append(line_of((f"{glyph:<6}  ", "bold"), text))
    outcomes = "  ".join(f"{glyph} {OUTCOME_WORDS[name]}" for name, (glyph, _) in OUTCOMES.items())
    out.append(line_of(("ok      ", "bold"), outcomes))
    out.append(())
    for text in (
        "Plain figures are billed. ≈ is modelled, ≥ a lower bound, – unknown (never 0).",
        "Net is against the model you asked for: plus was saved, minus was spent on top.",
        "Failure is an interval until 30 outcomes are known. cold: the turn began without its cache.",
    ):
        out += [line_of((part, "dim")) for part in wrap(text, width)]
    return out


def empty_lines(where: str, width: int) -> list[Line]:
    """What to do when no request has been routed yet."""
    out = [line_of(("No request has been routed yet.", "bold")), ()]
    for command, text in (
        ("pointsman run -- claude", "work as always, in another pane (or codex, opencode, aider)"),
        ("pointsman demo", "watch a recorded session being routed, without a key"),
        ("pointsman tui FILE", "look at a ledger or a recorded session"),
    ):
        out.append(line_of(("  " + command, "accent")))
        out += [line_of(("    " + part, "dim")) for part in wrap(text, width - 4)]
    out.append(())
    out += [line_of((part, "dim")) for part in wrap(f"Reading {where}; the first turn appears here by itself.", width)]
    return out


def trouble_lines(text: str, width: int) -> list[Line]:
    """An error, in its own words, and what can be done here."""
    out = [line_of(("This cannot be shown.", "bold")), ()]
    out += [line_of((part, "bad")) for part in wrap(text, width)]
    out.append(())
    out += [line_of((part, "dim")) for part in wrap("It is tried again every second. q quits.", width)]
    return out
