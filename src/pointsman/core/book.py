"""The price book: one immutable value that knows every model's prices, vendor, ladder, cache rule and limits."""

from __future__ import annotations

from dataclasses import dataclass

from pointsman.core.cache import CacheRule
from pointsman.core.pricing import PriceCard
from pointsman.core.targets import Target
from pointsman.errors import Unpriced


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a model answers: seconds to the first token and output tokens per second."""

    ttft_s_warm: float
    ttft_s_per_ktoken_cold: float
    output_tps: float
    source: str


class Book:
    """Prices and facts of every model; built by ``shell.prices.load_book``."""

    version: str = ""

    def has(self, model: str) -> bool:
        """True when ``model`` has a price."""
        return False

    def card(self, model: str) -> PriceCard:
        """The price card of ``model``. Raises Unpriced with near names."""
        raise Unpriced(model, self.near(model))

    def near(self, name: str) -> tuple[str, ...]:
        """Priced names and tier names like ``name``."""
        return ()

    def vendor(self, model: str) -> str:
        """The maker of ``model``, or an empty string."""
        return ""

    def resolve(self, name: str, asked: str | None = None) -> str | None:
        """The model that ``name`` or a tier name means; None when unknown."""
        return None

    def ladder(self, model: str) -> tuple[str, ...]:
        """The vendor's models, cheap to strong, with ``model`` in place of its own tier."""
        return ()

    def rule(self, model: str) -> CacheRule:
        """How ``model``'s provider caches."""
        return CacheRule("")

    def target(self, model: str) -> Target:
        """The forms ``model`` takes."""
        return Target(model)

    def token_factor(self, from_model: str, to_model: str) -> float:
        """Tokens on ``to_model`` per token on ``from_model`` for the same text."""
        return 1.0

    def ability(self, model: str) -> tuple[float, float, str]:
        """Ability in logits, its standard deviation, and where the figure is from."""
        return 0.0, 2.0, ""

    def speed(self, model: str) -> Speed:
        """How fast ``model`` answers."""
        return Speed(1.0, 0.11, 60.0, "")
