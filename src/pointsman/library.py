"""The library: ``Router`` for people who embed the engine, with the installed price map loaded for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pointsman import engine
from pointsman.core.book import Book
from pointsman.core.events import Event
from pointsman.engine import Route
from pointsman.settings import Settings, verify
from pointsman.shell.prices import load_book
from pointsman.shell.vendors import Upstreams, vendor_of


class Router(engine.Router):
    """The sans-I/O engine configured by ``Settings``.

    ``book`` None loads the installed price map with the settings' own prices on top; ``events`` rebuild earlier sessions.
    Raises SettingsError when the price map is missing, a price cannot be read, or the settings name a model without one.

    >>> router = Router(Settings(profile="quality"))                                            # doctest: +SKIP
    >>> routed = router.route(path="/v1/messages", headers={}, body=body, now=0.0, dice=0.5)     # doctest: +SKIP
    """

    def __init__(self, settings: Settings | None = None, book: Book | None = None, events: Iterable[Event] = ()) -> None:
        chosen = settings if settings is not None else Settings()
        found = book if book is not None else load_book(chosen.prices)
        verify(chosen, found)
        self._upstreams = Upstreams(chosen.upstream, chosen.upstreams)
        super().__init__(chosen.policy(), found, events, titles=chosen.titles)

    def route(
        self, *, path: str, headers: Mapping[str, str], body: bytes, now: float, dice: float,
        run: str | None = None, upstream: str = "", counted: int = 0,
    ) -> Route:  # fmt: skip
        """As in the engine; ``upstream`` left out is the settings' base URL for this path, else the vendor's public API."""
        lower = {name.lower(): value for name, value in headers.items()}
        base = upstream or self._upstreams.base(vendor_of(path, lower))
        return super().route(
            path=path, headers=headers, body=body, now=now, dice=dice, run=run, upstream=base, counted=counted
        )
