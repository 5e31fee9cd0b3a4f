"""What advisors said and cost, for the why panel."""

from __future__ import annotations

from collections.abc import Mapping

from pointsman.core.events import Advised
from pointsman.core.pricing import cost
from pointsman.tui.figures import Line, Style, config_name, line_of, money, wrap

OUTCOMES: Mapping[str, tuple[str, Style]] = {
    "given": ("answered", ""), "failed": ("did not answer", "warn"), "timeout": ("was late", "warn"),
    "capped": ("was not asked", "dim"),
}  # fmt: skip


def advised(event: Advised, width: int, texts: Mapping[str, str]) -> list[Line]:
    """One consult: who was asked by whom, what came of it and what it cost; its text where somebody still has it.

    ``texts``: those that a running gateway has in memory, by id.
    """
    said, style = OUTCOMES[event.outcome]
    by = "asked by us" if event.how == "push" else "asked by the working model"
    usd = f", {money(cost(event.usage, event.rates))}" if event.usage is not None and event.rates is not None else ""
    took = f" after {event.seconds:.1f} s{usd}" if event.asked else ""
    head = f"advice of {config_name(event.config)}, {by}: {said}{took}{f': {event.why}' if event.why else ''}"
    text = event.advice.text if event.advice is not None else texts.get(event.edit.value, "") if event.edit is not None else ""
    out = [line_of((part, style)) for part in wrap(head, width, "  ")]
    for paragraph in text.splitlines() if event.outcome == "given" else ():
        out += [line_of((part, "dim")) for part in wrap(f"  {paragraph}", width, "  ")]
    return out
