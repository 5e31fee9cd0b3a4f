"""The price book: one immutable value that knows every model's prices, vendor, ladder, cache rule and limits.

Theory of operation. ``shell.prices.load_book`` hands in the rows of the installed price map, the tables of data/ and the
user's own prices; cards, rules and targets are read from them on first use and remembered. A model is found under its own
name, its vendor's row, or without its date; what is not found is ``Unpriced``, never free.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from difflib import get_close_matches
from fnmatch import fnmatchcase
from math import fsum, log
from typing import Any, TypeVar

from pointsman.core.cards import digest, read_card
from pointsman.core.images import ImageRule, read_rule
from pointsman.core.ladders import Name, Vendor, read_vendors, row_keys, take_apart
from pointsman.core.pricing import PriceCard, cost
from pointsman.core.sizes import CHARS_PER_TOKEN
from pointsman.core.speeds import TTFT_COLD_S_PER_KTOKEN, TTFT_WARM_S, Speed
from pointsman.core.targets import Target, read_target, refused_betas
from pointsman.core.types import Config, Usage
from pointsman.core.warmth import CacheRule, read_cache_rule
from pointsman.errors import Unpriced

T = TypeVar("T")

CHEAPEST = 0.05
"""USD per million output tokens below which price says nothing more about ability."""


@dataclass(frozen=True, slots=True)
class Override:
    """A user's own prices for one model (keys of ``core.cards.OVERRIDE_KEYS``), and where they are written."""

    values: Mapping[str, Any]
    origin: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that pricing one model needs, looked up once. ``card`` None: it has no price.

    ``steps`` and ``tokens``: see ``Book.steps`` and ``Book.token_factor``.
    """

    model: str
    card: PriceCard | None
    rule: CacheRule
    target: Target
    vendor: str
    chars_per_token: float
    theta: float
    theta_sd: float
    speed: Speed
    images: ImageRule
    steps: float
    tokens: float


class Book:
    """Prices and facts of every model, immutable; built by ``shell.prices.load_book``.

    ``rows``: model name to price-map row. ``tables``: the parsed files of data/ by name. ``map_name``: name and version of
    the price map. ``today``: the day that deprecation dates are read against.
    """

    def __init__(
        self,
        rows: Mapping[str, Mapping[str, Any]],
        tables: Mapping[str, Mapping[str, Any]],
        overrides: Mapping[str, Override] | None = None,
        *,
        map_name: str = "price map",
        today: date,
    ) -> None:
        self._rows, self._tables, self._overrides = rows, tables, dict(overrides or {})
        self._vendors = read_vendors(tables["ladders"])
        self.map_name, self.today = map_name, today
        mine = {name: dict(override.values) for name, override in self._overrides.items()}
        self.version = map_name + (f"+{digest(mine)}" if mine else "")
        self._names: dict[str, Name] = {}
        self._cards: dict[str, PriceCard | None] = {}
        self._facts: dict[str, Facts] = {}
        self._skills: dict[Config, tuple[float, float]] = {}
        self._known: dict[tuple[str, str], Any] = {}  # filled on first use; the answers never change

    # ---- prices

    def has(self, model: str) -> bool:
        """True when ``model`` has a price."""
        return self._card(model) is not None

    def card(self, model: str) -> PriceCard:
        """The price card of ``model``. Raises Unpriced with near names."""
        found = self._card(model)
        if found is None:
            raise Unpriced(model, self.near(model))
        return found

    def bill(self, model: str, usage: Usage, now: float, speed: str | None = None, tier: str | None = None) -> float:
        """USD of one finished request at ``now``, its advisor and compaction sub-requests at their own model's price.

        Raises Unpriced for a model, or a sub-request's model, without a price.
        """
        card = self.card(model)
        own = cost(usage, card.at(usage.prompt, now, speed, tier)) + usage.searches * card.search_usd
        parts = (self.bill(name, part, now) if name else self.bill(model, part, now, speed, tier) for name, part in usage.extra)
        return fsum([own, *parts])

    def near(self, name: str) -> tuple[str, ...]:
        """At most three priced, undeprecated model names or tier names like ``name``."""
        word = self._name(name).plain
        words = [n for vendor in self._vendors for tier in vendor.tiers for n in (tier.name, *tier.alias, *tier.members)]
        first = {w.lower(): w for w in [*words, *self._overrides, *(k for k in self._rows if "/" not in k and self.vendor(k))]}
        found = [first[w] for w in get_close_matches(word, first, 8, 0.6)]
        if not found:
            rest = {k.lower(): k for k in self._rows}
            found = [rest[w] for w in get_close_matches(name.lower(), rest, 8, 0.6)]
        return tuple(w for w in found if self._offered(w) or self._tier_named(w, None))[:3]

    def facts(self, model: str) -> Facts:
        """All that pricing needs of ``model`` (effort None), in one look-up."""
        found = self._facts.get(model)
        if found is None:
            theta, theta_sd, _ = self.ability(model)
            found = self._facts[model] = Facts(
                model, self._card(model), self.rule(model), self.target(model), self.vendor(model),
                self.chars_per_token(model), theta, theta_sd, self.speed(model), self.images(model), self._steps(model),
                self._tokens(model),
            )  # fmt: skip
        return found

    def table(self, name: str) -> Mapping[str, Any]:
        """A parsed file of data/ as it was read."""
        return self._tables[name]

    def with_tables(self, **tables: Mapping[str, Any]) -> Book:
        """The same prices with other tables of data/ in place of those named."""
        return Book(self._rows, {**self._tables, **tables}, self._overrides, map_name=self.map_name, today=self.today)

    # ---- names and ladders

    def vendor(self, model: str) -> str:
        """The maker of ``model`` (``anthropic``, ``openai`` ...), or an empty string."""
        mine = self._overrides.get(model)
        if mine is not None and mine.values.get("provider"):
            return str(mine.values["provider"])
        found = self._name(model).vendor
        return found.name if found else ""

    def resolve(self, name: str, asked: str | None = None) -> str | None:
        """The model that a person means by ``name``: a model, a tier (``opus``), or ``asked``; None when unknown.

        The vendor of ``asked`` breaks ties between tiers of the same name, and a prefix of ``asked`` is carried over.
        """
        word = name.strip()
        if word == "asked":
            return asked
        prefix = self._name(asked).prefix if asked and self.vendor(asked) == self.vendor(word) else ""
        if self.has(word):
            return self._spelled(word, prefix)
        tier = self._tier_named(word.lower(), asked)
        if tier is not None:
            return tier
        short = word.lower().replace(" ", "-")
        for vendor in self._vendors:
            for begin in vendor.names:
                for form in (begin + short, begin + short.replace(".", "-")):
                    if begin.endswith("-") and self.has(form):
                        return form
        return None

    def _spelled(self, word: str, prefix: str) -> str:
        """A known model as its vendor writes it (``GPT-6.1-sol`` becomes ``gpt-6.1-sol``), with the prefix that is in use."""
        name = self._name(word)
        if name.vendor is not None and not name.prefix and word not in self._rows and word not in self._overrides:
            same = name.bare.lower()
            members = {m.lower(): m for tier in name.vendor.tiers for m in tier.members}
            word = members.get(same, same)
        return word if "/" in word else prefix + word

    def ladder(self, model: str) -> tuple[str, ...]:
        """The vendor's models from cheap to strong, in strictly ascending price, with ``model`` in place of its own tier.

        Each tier is its newest generally available member that the map prices and that is not deprecated. Price is list
        price (fresh plus output token). Empty for a name that belongs to no tier.
        """
        found = self._known.get(("ladder", model))
        if found is None:
            found = self._known[("ladder", model)] = self._ladder(model)
        return tuple(found)

    def _ladder(self, model: str) -> tuple[str, ...]:
        name = self._name(model)
        place = self._place(name)
        if name.vendor is None or place is None or not self.has(model):
            return ()
        rungs: list[str | None] = [self._newest(name.vendor, i, name.prefix) for i in range(len(name.vendor.tiers))]
        weaker, last = [], self._list_price(model)
        for rung in reversed(rungs[:place]):
            if rung and self._list_price(rung) < last:
                weaker.append(rung)
                last = self._list_price(rung)
        stronger: list[str] = []
        for rung in rungs[place + 1 :]:
            if rung and self._list_price(rung) > self._list_price(model):
                stronger = [r for r in stronger if self._list_price(r) < self._list_price(rung)] + [rung]
        return (*reversed(weaker), model, *stronger)

    def _newest(self, vendor: Vendor, place: int, prefix: str = "") -> str | None:
        return next((prefix + m for m in vendor.tiers[place].members if self._offered(m)), None)

    def _list_price(self, model: str) -> float:
        base = self.card(model).base
        return base.fresh + base.output

    def _offered(self, model: str) -> bool:
        card = self._card(model)
        return card is not None and not card.is_deprecated(self.today)

    def _place(self, name: Name) -> int | None:
        if name.vendor is None:
            return None
        return name.vendor.tier(name.plain, any(key in self._rows for key in row_keys(name)))

    def _tier_named(self, word: str, asked: str | None) -> str | None:
        """The model that the tier name ``word`` stands for, seen from ``asked``."""
        own = self._name(asked) if asked else None
        for vendor in sorted(self._vendors, key=lambda v: own is None or v != own.vendor):
            place = vendor.named(word)
            if place is None:
                continue
            if own is not None and own.vendor == vendor and self._place(own) == place and self.has(own.given):
                return own.given
            found = self._newest(vendor, place, own.prefix if own and own.vendor == vendor else "")
            if found is not None:
                return found
        return None

    # ---- caches, forms, abilities, speed

    def rule(self, model: str) -> CacheRule:
        """How ``model``'s provider caches; the map's own minimum length wins over the table's."""
        return self._once("rule", model, self._rule)

    def _rule(self, model: str) -> CacheRule:
        rule = read_cache_rule(self._row_for("cache_rules", "rules", model), self._tables["cache_rules"]["prior"])
        row = self._row(model)[1]
        least = row.get("prompt_cache_min_tokens")
        if isinstance(least, (int, float)) and not isinstance(least, bool) and least > 0:
            return replace(rule, min_tokens=int(least), source=f"{rule.source}; minimum: {self.map_name}")
        return rule

    def target(self, model: str) -> Target:
        """The forms ``model`` takes."""
        return self._once("target", model, self._target)

    def _target(self, model: str) -> Target:
        mine = self._overrides.get(model)
        row = self._row(model)[1]
        if not row and mine is not None:
            row = {"supports_function_calling": True, "supports_assistant_prefill": False}
        facts = self._row_for("targets", "targets", model) if self._name(model).vendor or row else None
        found = read_target(model, self.vendor(model), row, facts)
        values = mine.values if mine else {}
        return replace(
            found, window=values.get("window") or found.window, max_output=values.get("max_output") or found.max_output,
            refuses=refused_betas(found, self._tables["targets"].get("betas", ())),
        )  # fmt: skip

    def token_factor(self, from_model: str, to_model: str) -> float:
        """Tokens on ``to_model`` per token on ``from_model`` for the same text (1.0 where nothing is known)."""
        if from_model == to_model:
            return 1.0
        return self.facts(to_model).tokens / self.facts(from_model).tokens

    def chars_per_token(self, model: str) -> float:
        """Characters on the wire per token before this user's own traffic has shown it."""
        return CHARS_PER_TOKEN / self._tokens(model)

    def images(self, model: str) -> ImageRule:
        """How ``model`` counts images and pages."""
        return self._once("images", model, lambda m: read_rule(self._row_for("targets", "images", m)))

    def _tokens(self, model: str) -> float:
        return self._once("tokens", model, lambda m: float((self._row_for("targets", "tokenizers", m) or {}).get("tokens", 1.0)))

    def ability(self, model: str, effort: str | None = None) -> tuple[float, float, str]:
        """Ability in logits, its standard deviation, and where the figure is from; an ``effort`` it takes shifts it."""
        theta, sd, source = self._once("ability", model, self._ability)
        if effort is None or effort not in self.target(model).efforts:
            return theta, sd, source
        shift = float(self._tables["abilities"]["efforts"].get(effort, 0.0))
        return theta + shift, sd, f"{source}; effort {effort}: {shift:+.1f}"

    def skill(self, config: Config) -> tuple[float, float]:
        """Prior ability of ``config`` and its standard deviation, in logits; one look-up."""
        found = self._skills.get(config)
        if found is None:
            found = self._skills[config] = self.ability(config.model, config.effort)[:2]
        return found

    def _ability(self, model: str) -> tuple[float, float, str]:
        table = self._tables["abilities"]
        row = self._row_for("abilities", "abilities", model)
        if row is not None:
            return float(row["theta"]), float(row["sd"]), str(table["sources"][row["from"]])
        unknown, card = table["unknown"], self._card(model)
        kin = self._kin(model)
        if kin is not None:
            said = f"guessed from the model before it in its tier ({kin['models'][0]})"
            return float(kin["theta"]), float(unknown["kin_sd"]), said
        if card is None:
            return 0.0, 2.5, "unknown model without a price: not measured"
        dollars = max(CHEAPEST, card.base.output * 1e6)
        return unknown["a"] + unknown["b"] * log(dollars), unknown["sd"], str(unknown["source"])

    def _kin(self, model: str) -> Mapping[str, Any] | None:
        """The row of the newest measured model of the same vendor and tier: a successor is about as able, and rarely less."""
        name = self._name(model)
        place = self._place(name)
        if name.vendor is None or place is None:
            return None
        rows = (self._row_for("abilities", "abilities", member) for member in name.vendor.tiers[place].members)
        return next((row for row in rows if row is not None), None)

    def effort_work(self, effort: str | None, like: str | None) -> tuple[float, float]:
        """Requests for a task, and output tokens of a request, at ``effort`` as multiples of those at ``like``."""
        if effort == like or effort is None or like is None:
            return 1.0, 1.0
        steps, output = self._tables["abilities"]["effort_steps"], self._tables["abilities"]["effort_output"]
        return float(steps.get(effort, 1.0) / steps.get(like, 1.0)), float(output.get(effort, 1.0) / output.get(like, 1.0))

    def speed(self, model: str) -> Speed:
        """How fast ``model`` answers: a prior, until the ledger knows."""
        return self._once("speed", model, self._speed)

    def steps(self, model: str) -> float:
        """Requests that ``model`` needs for the same work, as a multiple of the strongest tier's (1.0 where nothing is known)."""
        return self.facts(model).steps

    def _steps(self, model: str) -> float:
        return float((self._row_for("abilities", "steps", model) or {}).get("factor", 1.0))

    def _speed(self, model: str) -> Speed:
        row = self._row_for("abilities", "speeds", model) or {}
        return Speed(TTFT_WARM_S, TTFT_COLD_S_PER_KTOKEN, float(row.get("output_tps", 50.0)), str(row.get("source", "")))

    # ---- look-ups

    def _name(self, model: str) -> Name:
        found = self._names.get(model)
        if found is None:
            found = self._names[model] = take_apart(model, self._vendors)
        return found

    def _row(self, model: str) -> tuple[str, Mapping[str, Any]]:
        """The price-map row of ``model`` and the name it stands under; empty when the map has none."""
        for key in row_keys(self._name(model)):
            row = self._rows.get(key)
            if row is not None:
                return key, row
        return model, {}

    def _card(self, model: str) -> PriceCard | None:
        if model in self._cards:
            return self._cards[model]
        key, row = self._row(model)
        mine = self._overrides.get(model) or self._overrides.get(self._name(model).bare)
        card = None
        if row or mine:
            card = read_card(
                key, row, self.rule(model).writes, map_name=self.map_name,
                override=mine.values if mine else None, origin=mine.origin if mine else "settings",
            )  # fmt: skip
        self._cards[model] = replace(card, model=model) if card else None
        return self._cards[model]

    def _row_for(self, table: str, section: str, model: str) -> Mapping[str, Any] | None:
        """The first row of a table whose pattern the name matches."""
        tail = self._name(model).tail
        rows: list[Mapping[str, Any]] = self._tables[table][section]
        return next((row for row in rows if any(fnmatchcase(tail, pattern) for pattern in row["models"])), None)

    def _once(self, kind: str, model: str, make: Callable[[str], T]) -> T:
        key = (kind, model)
        if key not in self._known:
            self._known[key] = make(model)
        found: T = self._known[key]
        return found
