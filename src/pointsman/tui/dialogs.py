"""The dialogs: pin a model with its price shown, escalate by one rung, answer a proposed rule, checks, help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text as RichText
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from pointsman.core.events import Answer, PinScope, Proposed
from pointsman.core.tally import Tally
from pointsman.core.types import Config
from pointsman.tui import checked
from pointsman.tui.figures import Line, config_name, fit
from pointsman.tui.guide import help_lines
from pointsman.tui.lines import Text
from pointsman.tui.pinning import PinRow

SCOPES: tuple[tuple[PinScope, str], ...] = (
    ("turn", "this turn"), ("task", "this task"), ("session", "session"), ("always", "always here"),
)  # fmt: skip

PAGE_WIDTH = 66
"""Columns of a page beside its scrollbar."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What the user chose to pin, and for how long."""

    config: Config
    scope: PinScope


class PinDialog(ModalScreen[Choice | None]):
    """Choose a config and how long it holds. The price of obeying is shown; nothing is refused here but what cannot run."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "row(1)", "Next"),
        Binding("up,k", "row(-1)", "Previous"),
        Binding("right,l", "scope(1)", "Longer"),
        Binding("left,h", "scope(-1)", "Shorter"),
        Binding("enter", "pin", "Pin"),
        Binding("escape,q", "dismiss(None)", "Cancel"),
    ]

    def __init__(self, title: str, rows: list[PinRow], note: str, *, at: Config | None, scope: PinScope = "session") -> None:
        super().__init__()
        self._title, self._rows, self._note = title, rows, note
        self._at = next((i for i, row in enumerate(rows) if row.config == at), 0)
        self._scope = next(i for i, (name, _) in enumerate(SCOPES) if name == scope)

    def compose(self) -> ComposeResult:
        """Rows, scopes, and how long the running model stays warm."""
        with Vertical(id="dialog") as box:
            box.border_title = self._title
            box.border_subtitle = "enter pin · ←→ scope · esc cancel"
            yield Static(id="rows")
            yield Static("─" * 68, id="rule")
            yield Static(id="scopes")
            yield Static(self._note, id="note")

    def on_mount(self) -> None:
        """Draw the first state."""
        self._draw()

    def _draw(self) -> None:
        text = RichText()
        for i, row in enumerate(self._rows):
            here = i == self._at
            style = "dim" if row.veto else "bold reverse" if here else ""
            text.append(f"{'▸' if here else ' '} ", "bold")
            text.append(row.text.rstrip() if not here else row.text, style)
            text.append("\n" if i < len(self._rows) - 1 else "")
        self.query_one("#rows", Static).update(text)
        scopes = RichText("hold for:  ")
        for i, (_, label) in enumerate(SCOPES):
            here = i == self._scope
            scopes.append(fit(f"‹{label}›" if here else f" {label} ", len(label) + 4), "bold" if here else "")
        self.query_one("#scopes", Static).update(scopes)

    def action_row(self, by: int) -> None:
        """Another model."""
        self._at = (self._at + by) % len(self._rows)
        self._draw()

    def action_scope(self, by: int) -> None:
        """Hold it longer or shorter."""
        self._scope = max(0, min(self._scope + by, len(SCOPES) - 1))
        self._draw()

    def action_pin(self) -> None:
        """Pin what is selected; a model that cannot take the request says why instead."""
        row = self._rows[self._at]
        if row.veto:
            self.app.notify(f"{config_name(row.config)} cannot be pinned: {row.veto}", severity="warning")
            return
        self.dismiss(Choice(row.pins, SCOPES[self._scope][0]))


RULE_WORDS: dict[str, str] = {"": "proposed", "accepted": "accepted: in force", "declined": "declined", "undone": "taken back"}
"""What a person has said to a proposed rule, in words."""


class RuleDialog(ModalScreen[tuple[str, Answer] | None]):
    """The rules proposed from repeated pins: accept, decline, or take one back. Gives a kind of task and the answer."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "row(1)", "Next"),
        Binding("up,k", "row(-1)", "Previous"),
        Binding("a", "answer('accepted')", "Accept"),
        Binding("d", "answer('declined')", "Decline"),
        Binding("u", "answer('undone')", "Undo"),
        Binding("escape,q", "dismiss(None)", "Cancel"),
    ]

    def __init__(self, rules: list[Proposed]) -> None:
        super().__init__()
        self._rules, self._at = rules, 0

    def compose(self) -> ComposeResult:
        """The rules, and what accepting one means."""
        with Vertical(id="dialog") as box:
            box.border_title = "Rules from your pins"
            box.border_subtitle = "a accept · d decline · u undo · esc"
            yield Static(id="rows")
            yield Static("─" * 68, id="rule")
            yield Static(id="note")

    def on_mount(self) -> None:
        """Draw the first state."""
        self._draw()

    def _draw(self) -> None:
        text = RichText()
        for i, rule in enumerate(self._rules):
            here = i == self._at
            said = f"{rule.about} tasks: {config_name(rule.config)}, pinned {rule.times} times"
            text.append(f"{'▸' if here else ' '} ", "bold")
            text.append(fit(said, 46) + RULE_WORDS[rule.answer], "bold reverse" if here else "")
            text.append("\n" if i < len(self._rules) - 1 else "")
        self.query_one("#rows", Static).update(text)
        rule = self._rules[self._at]
        line = f"kinds.{rule.about} = {str(rule.config)!r}"
        self.query_one("#note", Static).update(RichText(f"Accepted, it holds from the next turn on, written as {line}."))

    def action_row(self, by: int) -> None:
        """Another rule."""
        self._at = (self._at + by) % len(self._rules)
        self._draw()

    def action_answer(self, answer: Answer) -> None:
        """Answer the rule that is selected; what has been said already, or cannot be undone, is said instead."""
        rule = self._rules[self._at]
        if answer == rule.answer:
            self.app.notify(f"It is {RULE_WORDS[answer]} already.", severity="warning")
        elif answer == "undone" and rule.answer != "accepted":
            self.app.notify("It was not accepted, so there is nothing to undo.", severity="warning")
        else:
            self.dismiss((rule.about, answer))


class PageDialog(ModalScreen[None]):
    """One scrolling page of lines."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark,enter", "dismiss(None)", "Close")]

    def __init__(self, title: str, lines: list[Line]) -> None:
        super().__init__()
        self._title, self._lines = title, lines

    def compose(self) -> ComposeResult:
        """The page, as far as it fits."""
        with VerticalScroll(id="dialog") as box:
            box.border_title = self._title
            box.border_subtitle = "esc close"
            yield Text(id="page")

    def on_mount(self) -> None:
        """Fill the page."""
        text = self.query_one("#page", Text)
        text.styles.height = len(self._lines)
        text.show(self._lines)


class HelpDialog(PageDialog):
    """Keys, glyphs, and how to read the figures."""

    def __init__(self) -> None:
        super().__init__("Help", help_lines(PAGE_WIDTH))


class ChecksDialog(PageDialog):
    """What checking came to over every session of the ledger."""

    def __init__(self, found: Tally, failure_usd: float) -> None:
        super().__init__("What the check was worth", checked.page(found, failure_usd, PAGE_WIDTH))
