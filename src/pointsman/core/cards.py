"""Reads a PriceCard from one row of the LiteLLM price map, with the user's prices on top.

Theory of operation. A row spells every price as a field name: ``input_cost_per_token`` and its kin, then any of
``_above_1hr``, ``_above_272k_tokens`` and a service (``_priority``, ``_flex`` ...). All fields are first sorted into
``Prices``: {(service, above tokens): {kind: USD per token}}; the user's prices replace the standard ones and scale the
rest in proportion; then each (service, above) becomes one ``Rates``. What is not a number is treated as not given, and a
row without an input or output price gives no card: an honest "unknown", never a silent zero.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date
from math import isfinite
from typing import Any
from zlib import crc32

from pointsman.core.pricing import Hours, PriceCard, Schedule, times
from pointsman.core.types import FIVE_MINUTES, HOUR, Rates

Prices = dict[tuple[str, int], dict[str, float]]

KINDS = {
    "input_cost_per_token_cache_hit": "read_alias",
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "output_cost_per_reasoning_token": "reasoning",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
}
SERVICES = ("priority", "flex", "ultrafast", "balanced", "fast")
"""Services an agent can ask for; batches and decisions are other products."""

MULTIPLIERS = {"regional_processing_uplift_multiplier_eu": "eu", "regional_processing_uplift_multiplier_us": "us"}
PER_MILLION = ("input", "output", "cache_read", "cache_write", "cache_write_1h", "reasoning")
OVERRIDE_KEYS = (*PER_MILLION, "window", "max_output", "discount_factor", "quota_weight", "provider")
"""What ``[prices."model"]`` may say: USD per million tokens; lengths in tokens; ``discount_factor`` multiplies every
price (0.85 is 15 % off); ``quota_weight`` what a list dollar counts of a subscription's quota; ``provider`` names whose model
it is."""

ZONES = {"Asia/Shanghai": 8 * HOUR}
"""Seconds east of UTC of the calendars that the map names; none of them has summer time."""

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SUFFIX = re.compile(r"_above_1hr|_above_(\d+)k_tokens|_(" + "|".join(SERVICES) + r")(?=_|$)")


def number(value: Any) -> float | None:
    """A finite number of at least 0 as the map writes it (also as a string), else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except ValueError:
        return None
    return found if isfinite(found) and found >= 0.0 else None


def count(value: Any) -> int | None:
    """A positive whole number of tokens, else None."""
    found = number(value)
    return int(found) if found else None


def day(value: Any) -> date | None:
    """A date written YYYY-MM-DD, else None."""
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def digest(row: Mapping[str, Any]) -> str:
    """Eight hex digits that change with any value in ``row``."""
    return f"{crc32(json.dumps(row, sort_keys=True, default=str).encode()):08x}"


def read_card(
    model: str,
    row: Mapping[str, Any],
    writes: Sequence[tuple[int, float]] = (),
    *,
    map_name: str = "price map",
    override: Mapping[str, Any] | None = None,
    origin: str = "settings",
) -> PriceCard | None:
    """The card of ``row``, or None where it has no input or output price.

    ``writes``: (lifetime, multiple of the fresh price) pairs that the provider sells (data/cache_rules.toml); the map's
    own write prices belong to the first of them and to one hour. ``override``: the user's own prices, already checked.
    """
    mine = dict(override or {})
    prices = read_prices(row)
    off_peak, hours = _read_off_peak(row.get("off_peak_pricing"))
    _override(prices, off_peak, mine)
    standard = prices.get(("", 0), {})
    if "input" not in standard or "output" not in standard:
        return None
    schedules = {name: _schedule(name, prices, writes) for name in sorted({service for service, _ in prices})}
    schedules.update(_multiplied(row, schedules[""]))
    base = schedules.pop("")
    off_hours = _off_peak_schedule(off_peak, prices, writes) if hours and off_peak else None
    return PriceCard(
        model=model,
        provider=str(mine.get("provider") or row.get("litellm_provider") or ""),
        base=base.base,
        steps=base.steps,
        services=schedules,
        off_peak=(hours, off_hours) if off_hours else None,
        window=count(mine.get("window")) or count(row.get("max_input_tokens")) or count(row.get("max_tokens")),
        max_output=count(mine.get("max_output")) or count(row.get("max_output_tokens")),
        min_cache_tokens=count(row.get("prompt_cache_min_tokens")),
        version=f"{map_name} {digest(row)}" + (f"+{digest(mine)}" if mine else ""),
        source=f"{map_name}, row {model!r}" + (f", with {origin}" if mine else "") if row else origin,
        sources=_sources(standard, writes, mine, f"{map_name}, row {model!r}" if row else origin, origin),
        deprecated=day(row.get("deprecation_date")),
        quota_weight=number(mine.get("quota_weight", 1.0)) or 0.0,
        search_usd=_search_usd(row.get("search_context_cost_per_query")),
    )


def _search_usd(block: Any) -> float:
    """USD of one search; sizes of context differ for a few models, and requests rarely name one: the middle is the default."""
    return (number(block.get("search_context_size_medium")) if isinstance(block, Mapping) else None) or 0.0


def read_prices(row: Mapping[str, Any]) -> Prices:
    """Every token price of a row, sorted by service and step; ``tiered_pricing`` counts as steps."""
    prices: Prices = {}
    for name, value in row.items():
        price = number(value)
        field = next((f for f in KINDS if name.startswith(f)), None) if price is not None else None
        if field is None or price is None:
            continue
        kind, above, service, rest = KINDS[field], 0, "", name[len(field) :]
        while rest:
            found = _SUFFIX.match(rest)
            if found is None:
                break
            rest = rest[found.end() :]
            above = int(found[1]) * 1000 if found[1] else above
            service = found[2] or service
            kind = "cache_write_1h" if found[0] == "_above_1hr" and kind == "cache_write" else kind
        if not rest:
            prices.setdefault((service, above), {})[kind] = price
    _read_tiers(row.get("tiered_pricing"), prices)
    for found_prices in prices.values():
        alias = found_prices.pop("read_alias", None)
        if alias is not None:
            found_prices.setdefault("cache_read", alias)
    return prices


def _read_tiers(tiers: Any, prices: Prices) -> None:
    if not isinstance(tiers, (list, tuple)):
        return
    for tier in tiers:
        span = tier.get("range") if isinstance(tier, Mapping) else None
        low = number(span[0]) if isinstance(span, (list, tuple)) and span else None
        if low is None:
            continue
        plain = {name: value for name, value in tier.items() if name in KINDS}
        for (_, _), kinds in read_prices(plain).items():
            prices.setdefault(("", int(low)), {}).update(kinds)


def _override(prices: Prices, off_peak: dict[str, float], mine: Mapping[str, Any]) -> None:
    """Put the user's prices in place; steps, services and off-peak prices keep their proportion to the standard one."""
    standard = prices.setdefault(("", 0), {})
    factor = number(mine.get("discount_factor"))
    everywhere = [*prices.values(), off_peak]
    for kind in PER_MILLION:
        given = number(mine.get(kind))
        if given is None:
            continue
        old, new = standard.get(kind), given / 1e6
        for kinds in everywhere:
            if old and kind in kinds:
                kinds[kind] *= new / old
        standard[kind] = new
    if factor is not None:
        for kinds in everywhere:
            for kind in kinds:
                kinds[kind] *= factor


def _schedule(service: str, prices: Prices, writes: Sequence[tuple[int, float]]) -> Schedule:
    """One service's rates and steps; what it does not list follows the standard service in proportion."""
    standard = prices[("", 0)]
    base = _scaled(standard, prices.get((service, 0), {}))
    aboves = sorted({above for name, above in prices if above and name in ("", service)})
    steps = []
    for above in aboves:
        step = _scaled(standard, prices.get(("", above), {}))
        if service:
            step = {kind: price * _ratio(base, standard, kind) for kind, price in step.items()}
            step.update(prices.get((service, above), {}))
        steps.append((above, _rates(step, writes)))
    return Schedule(_rates(base, writes), tuple(steps))


def _scaled(standard: Mapping[str, float], given: Mapping[str, float]) -> dict[str, float]:
    """``given`` prices, completed from ``standard``: cache prices in proportion to the input, the rest unchanged."""
    ratio = _ratio(given, standard, "input")
    out = {kind: price * (ratio if kind.startswith("cache_") else 1.0) for kind, price in standard.items()}
    out.update(given)
    return out


def _ratio(new: Mapping[str, float], old: Mapping[str, float], kind: str) -> float:
    return new[kind] / old[kind] if kind in new and old.get(kind) else 1.0


def _rates(kinds: Mapping[str, float], writes: Sequence[tuple[int, float]]) -> Rates:
    """One set of rates. No cache-read price: reads cost the fresh price. No write price, or one below the fresh price
    (a rent or a discount put in the wrong field): writes cost the fresh price, never nothing.
    """
    fresh, output = kinds["input"], kinds["output"]
    write = kinds.get("cache_write", 0.0)
    costs_more = write > fresh * 1.001
    terms = [*(writes or ((FIVE_MINUTES, 1.0),))]
    if kinds.get("cache_write_1h") and all(ttl_s != HOUR for ttl_s, _ in terms):
        terms.append((HOUR, 1.0))
    pairs = []
    for place, (ttl_s, multiple) in enumerate(terms):
        listed = kinds.get("cache_write_1h", 0.0) if ttl_s == HOUR else write if place == 0 else 0.0
        sold = costs_more or terms[0][1] <= 1.0
        price = listed if listed > fresh * 1.001 else fresh * multiple if sold and place else fresh
        pairs.append((ttl_s, price))
    if all(price <= fresh for _, price in pairs):
        pairs = []
    reasoning = kinds.get("reasoning", output)
    return Rates(fresh, min(kinds.get("cache_read", fresh), fresh), output, reasoning, tuple(sorted(pairs)))


def _multiplied(row: Mapping[str, Any], base: Schedule) -> dict[str, Schedule]:
    """Services that the row gives as a multiple of every standard price: fast mode, regional processing."""
    found: dict[str, float] = {}
    entry = row.get("provider_specific_entry")
    for name, value in entry.items() if isinstance(entry, Mapping) else ():
        multiple = number(value)
        if multiple and name in ("fast", "us", "eu"):
            found[name] = multiple
    for name, service in MULTIPLIERS.items():
        multiple = number(row.get(name))
        if multiple:
            found[service] = multiple
    return {name: Schedule(times(base.base, x), tuple((a, times(r, x)) for a, r in base.steps)) for name, x in found.items()}


def _off_peak_schedule(off_peak: Mapping[str, float], prices: Prices, writes: Sequence[tuple[int, float]]) -> Schedule:
    standard = prices[("", 0)]
    lower: Prices = {("", 0): _scaled(standard, off_peak)}
    for (service, above), kinds in prices.items():
        if not service and above:
            lower[("", above)] = {kind: price * _ratio(lower[("", 0)], standard, kind) for kind, price in kinds.items()}
    return _schedule("", lower, writes)


def _read_off_peak(block: Any) -> tuple[dict[str, float], tuple[Hours, ...]]:
    """The off-peak prices of a row and the hours in which they hold; a window that cannot be read is left out."""
    if not isinstance(block, Mapping):
        return {}, ()
    prices = read_prices({name: value for name, value in block.items() if name in KINDS}).get(("", 0), {})
    offset = ZONES.get(str(block.get("weekday_timezone")), 0)
    hours = list(_hours(block.get("hours_utc"), None, offset))
    rules = block.get("windows")
    for rule in rules if isinstance(rules, (list, tuple)) else ():
        if isinstance(rule, Mapping):
            hours += _hours(rule.get("hours_utc"), rule.get("weekdays"), offset)
    return prices, tuple(hours)


def _hours(spans: Any, weekdays: Any, offset_s: int) -> list[Hours]:
    days: frozenset[int] = frozenset()
    if weekdays is not None:
        listed = weekdays if isinstance(weekdays, (list, tuple)) else ()
        days = frozenset(iso for item in listed if (iso := _weekday(item)))
        if not days:
            return []
    out = []
    for span in [spans] if isinstance(spans, str) else spans if isinstance(spans, (list, tuple)) else ():
        found = re.fullmatch(r"\s*([01]?\d|2[0-3]):([0-5]\d)\s*-\s*([01]?\d|2[0-4]):([0-5]\d)\s*", str(span))
        if found:
            start, end = int(found[1]) * 60 + int(found[2]), (int(found[3]) * 60 + int(found[4])) % 1440
            out.append(Hours(start, end, days, offset_s))
    return out


def _weekday(item: Any) -> int | None:
    if isinstance(item, str):
        name = item.strip().lower()[:3]
        return WEEKDAYS.index(name) + 1 if name in WEEKDAYS else None
    return item if isinstance(item, int) and not isinstance(item, bool) and 1 <= item <= 7 else None


def _sources(
    standard: Mapping[str, float], writes: Sequence[tuple[int, float]], mine: Mapping[str, Any], row: str, origin: str
) -> tuple[tuple[str, str], ...]:
    """Where each price of the standard service is from, one pair per price."""
    out = []
    for kind in PER_MILLION:
        if kind in mine:
            out.append((kind, f"{origin}.{kind}"))
        elif standard.get(kind) or (kind in standard and not kind.startswith("cache_write")):
            out.append((kind, row))
        elif kind in ("cache_read", "cache_write"):
            out.append((kind, f"{row}: none given, so the fresh price"))
    if "discount_factor" in mine:
        out.append(("discount_factor", f"{origin}.discount_factor"))
    for ttl_s, multiple in writes[1:]:
        if multiple > 1.0 and not (ttl_s == HOUR and standard.get("cache_write_1h")):
            out.append((f"cache_write_{ttl_s // HOUR}h", f"data/cache_rules.toml: {multiple:g} x the fresh price"))
    return tuple(out)
