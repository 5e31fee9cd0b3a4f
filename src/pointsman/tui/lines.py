"""A widget that draws styled lines: every panel is one. Only the rows in sight are rendered (2 ms a frame at any length)."""

from __future__ import annotations

from collections.abc import Callable

from rich.segment import Segment as RichSegment
from rich.style import Style as RichStyle
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from pointsman.tui.figures import ANSI, Line, crop, width_of

STYLES = {f"lines--{name}" for name in (*ANSI, "cursor")}


class Lines(ScrollView, can_focus=False):
    """Lines of styled segments with an optional cursor row. Subclasses say how many rows there are and what each shows.

    ``head`` lines stay at the top while the rest scrolls.
    """

    COMPONENT_CLASSES = STYLES
    head = 0

    def rows(self) -> int:
        """How many rows there are, the head not counted."""
        return 0

    def row(self, index: int, width: int) -> Line:
        """The line of row ``index``; negative: head lines, from -head."""
        return ()

    def cursor(self) -> int | None:
        """The row under the cursor, or None."""
        return None

    def refit(self) -> None:
        """The rows have changed: fit the scrolling range and draw anew."""
        self.virtual_size = Size(max(1, self.scrollable_content_region.width), self.rows() + self.head)
        self.refresh()

    def on_resize(self) -> None:
        """Fit the scrolling range to the new size."""
        self.refit()

    def reveal(self, index: int) -> None:
        """Scroll so that row ``index`` is in sight, below the head."""
        width = max(1, self.scrollable_content_region.width)
        height = self.head + 1
        self.scroll_to_region(Region(0, index, width, height), animate=False, force=True)

    def render_line(self, y: int) -> Strip:
        """One line of the widget: a head line, a row, or blank below the last."""
        width = self.scrollable_content_region.width
        base = self.rich_style
        if y < self.head:
            return self._strip(self.row(y - self.head, width), width, base)
        index = self.scroll_offset.y + y - self.head
        if index >= self.rows():
            return Strip.blank(width, base)
        if index == self.cursor():
            base = base + self._style("cursor")
        return self._strip(self.row(index, width), width, base)

    def _strip(self, line: Line, width: int, base: RichStyle) -> Strip:
        line = crop(line, width)
        parts = [RichSegment(text, base + self._style(style)) if style else RichSegment(text, base) for text, style in line]
        parts.append(RichSegment(" " * max(0, width - width_of(line)), base))
        return Strip(parts, width)

    def _style(self, name: str) -> RichStyle:
        return self.get_component_rich_style(f"lines--{name}", partial=True)


class Text(Lines):
    """Lines that are set from outside."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._lines: list[Line] = []

    def show(self, lines: list[Line]) -> None:
        """Replace what is shown; nothing is drawn when it is the same."""
        if lines != self._lines:
            self._lines = lines
            self.refit()

    def fit(self, made: Callable[[int], list[Line]]) -> bool:
        """Show what ``made`` makes of the width, without the column of the scrollbar where one is needed; whether it is."""
        bar, room = self.styles.scrollbar_size_vertical, self.scrollable_content_region
        width = room.width + (bar if self.show_vertical_scrollbar else 0)
        if width <= bar:
            return False
        lines = made(width)
        scrolls = len(lines) > room.height
        self.show(made(width - bar) if scrolls else lines)
        return scrolls

    def rows(self) -> int:
        """How many lines were set."""
        return len(self._lines)

    def row(self, index: int, width: int) -> Line:
        """The line as it was set."""
        return self._lines[index]
