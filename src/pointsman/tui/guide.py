"""Words around the data: panel titles, help, the palette, the empty ledger, trouble. Pure, and needs no Textual."""

from __future__ import annotations

from collections.abc import Mapping

from pointsman.core.rows import SessionRow
from pointsman.tui.figures import Line, cells, config_name, fit, line_of, wrap
from pointsman.tui.lanes import LEGEND, OUTCOMES

KEYS: tuple[tuple[str, str], ...] = (
    ("j k", "next, previous turn (arrows, page keys, home and end work too)"),
    ("tab", "next panel"),
    ("[ ]", "previous, next session"),
    ("p u", "pin a model, with the price of obeying shown · unpin"),
    ("e", "escalate: one model up for this task, priced before you say yes"),
    ("w", "what if every model were admitted, or another policy held, and a failure cost you more or less"),
    ("g b o", "mark the turn good, bad, overkill (a lesser model could have done it)"),
    ("z", "take the mark of this turn back"),
    ("r", "rules proposed from repeated pins: accept, decline, undo"),
    ("c", "what the check caught and took, and what was resolved by which model"),
    ("f", "follow the newest turn"),
    ("/", "show only turns with these words: cold, moved, bad, opus, #7 ..."),
    ("^p q", "palette with every action · quit"),
)

PALETTE: tuple[tuple[str, str, str], ...] = (
    ("Pin a model", "choose a model and how long it holds, with its price", "pin"),
    ("Unpin", "end the pin of this session", "unpin"),
    ("Escalate", "one model up for this task, with its price", "escalate"),
    ("What if", "replay this session under another policy", "whatif"),
    ("Mark good", "this turn did what it should", "mark('good')"),
    ("Mark bad", "this turn failed", "mark('bad')"),
    ("Mark overkill", "a lesser model could have done this turn", "mark('overkill')"),
    ("Undo mark", "take the mark of this turn back", "unmark"),
    ("Rules", "accept, decline or undo a rule proposed from repeated pins", "rule"),
    ("Checks", "what the check caught and took, and what was resolved by which model", "checks"),
    ("Follow", "follow the newest turn, or stop", "follow"),
    ("Filter turns", "show only turns with these words", "filter"),
    ("Next session", "the session below in the list", "session(1)"),
    ("Previous session", "the session above in the list", "session(-1)"),
)
"""Title, help and action of every entry in the palette."""

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


def empty_lines(where: str, width: int, missing: str | None = None) -> list[Line]:
    """What to do when no request has been routed yet, or when the session asked for is not there (``missing``)."""
    if missing:
        text = f"There is no session {missing!r} in {where}. [ and ] go through the sessions there are."
        return [line_of((part, "warn")) for part in wrap(text, width)]
    out = [line_of(("No request has been routed yet.", "bold")), ()]
    for command, text in (
        ("pointsman run -- claude", "work as always, in another pane (or codex, opencode, aider)"),
        ("pointsman demo", "watch sessions being routed, without a key"),
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


def turns_title(session: SessionRow | None, names: Mapping[str, str], width: int) -> str:
    """The timeline's title for a panel ``width`` columns wide: session, client, and the pin in force."""
    if session is None:
        return "Turns"
    pin = f" · ▣ {config_name(session.pin.config)} ({session.pin.scope})" if session.pin else ""
    rest = f" · {session.client}{' · quota' if session.totals.quota > 0.0 else ''}{pin}"
    name = names[session.id]
    room = width - len("Turns · ") - cells(rest) - 6
    return f"Turns · {fit(name, max(8, min(room, cells(name)))).rstrip()}{rest}"
