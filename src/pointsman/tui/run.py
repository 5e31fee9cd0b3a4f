"""Two ways to show the screens: in the terminal until the user quits, and as a picture without a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from pointsman.tui.actions import Actions
from pointsman.tui.app import Screens
from pointsman.tui.feed import Source
from pointsman.tui.view import Status


def run_app(
    source: Source, actions: Actions | None = None, *, follow: bool = True, session: str | None = None,
    status: Callable[[], Status] | None = None, clock: Callable[[], float] = time.time,
) -> None:  # fmt: skip
    """Show ``source`` until the user quits. Blocks; needs a terminal."""
    Screens(source, actions, follow=follow, session=session, status=status, clock=clock).run()


async def picture(app: Screens, size: tuple[int, int] = (100, 30), keys: Sequence[str] = ()) -> str:
    """The screens as an SVG document of ``size`` columns and rows, drawn without a terminal; ``keys`` are pressed first."""
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        await app.workers.wait_for_complete()
        await pilot.press(*keys)
        await app.workers.wait_for_complete()
        await pilot.pause()
        return app.export_screenshot(title="pointsman tui")
