"""The configs that take part in a decision: what was asked, what is pinned or scheduled, and the rungs around them."""

from __future__ import annotations

from functools import lru_cache

from pointsman.core import efforts, rules
from pointsman.core.book import Book
from pointsman.core.candidates import rungs, with_effort
from pointsman.core.policy import Policy
from pointsman.core.schedule import config_of, step_at
from pointsman.core.setting import Setting
from pointsman.core.types import Config, Place, Request

GUESSED = ("guessed", "unknown")
"""How the source of an ability begins that nobody has measured (``core.book``, data/abilities.toml)."""


def asked_of(request: Request, place: Place, book: Book, policy: Policy) -> Config:
    """What was asked: the settings' ``asked`` for the main lane and for names that are no model, else the request's own.

    Observing changes nothing, so there it is always the request's own.
    """
    named = policy.asked if policy.mode != "observe" and (place.kind == "main" or not book.has(request.model)) else None
    return Config(named or request.model, request.effort)


def configs_of(at: Setting) -> list[Config]:
    """The configs worth a row, weak to strong: the ladder around the asked one, what runs now, what is pinned; for
    housekeeping all weaker."""
    if at.request.purpose == "side" and not at.policy.pool:
        ladder = at.book.ladder(at.asked.model)
        models = ladder[: ladder.index(at.asked.model) + 1] if at.asked.model in ladder else ()
    else:
        models = rungs(at.asked.model, at.book, at.policy)
    found = [at.asked if m == at.asked.model else with_effort(m, at.asked.effort, at.book) for m in models] or [at.asked]
    if at.current not in found and at.request.purpose != "side":
        found.append(at.current)
    pinned = pinned_for(at)
    if pinned is not None and pinned not in found:
        found.append(pinned)
    for wanted in (scheduled_for(at), rules.preferred_config(at)):
        if isinstance(wanted, Config) and wanted not in found:
            found.append(wanted)
    found += [config for config in efforts.neighbours(at) if config not in found]
    return list(_by_strength(tuple(found), at.policy.pool or at.book.ladder(at.asked.model), at.book))


@lru_cache(maxsize=64)
def _by_strength(configs: tuple[Config, ...], order: tuple[str, ...], book: Book) -> tuple[Config, ...]:
    """``configs`` from weak to strong: along the pool or the ladder (``order``), else by ability; one model's along its efforts.

    The same at every turn of a session.
    """
    known = [(book.ability(model)[0], place) for place, model in enumerate(order)]

    def strength(config: Config) -> tuple[float, float, int]:
        theta = book.ability(config.model)[0]
        weaker = [place for ability, place in known if ability <= theta]
        place = float(order.index(config.model)) if config.model in order else max(weaker, default=-1) + 0.5
        target = book.target(config.model)
        effort = config.effort or target.default_effort
        return place, theta, target.efforts.index(effort) if effort in target.efforts else len(target.efforts)

    return tuple(sorted(configs, key=strength))


@lru_cache(maxsize=64)
def guessed(models: tuple[str, ...], book: Book) -> str:
    """What is to be said of those of ``models`` whose ability nobody has measured; empty where all are known."""
    said = [(model, book.ability(model)[2]) for model in dict.fromkeys(models)]
    return "".join([f"; how able {model} is, is {source}" for model, source in said if source.startswith(GUESSED)])


def pinned_for(at: Setting) -> Config | None:
    """The pinned config where a pin holds for this request: on the main lane. Others are never touched by a pin."""
    pin = at.session.pin
    if pin is None or at.place.kind != "main" or at.request.purpose == "side":
        return None
    if pin.config.effort:
        return pin.config
    return at.asked if pin.config.model == at.asked.model else with_effort(pin.config.model, at.asked.effort, at.book)


def scheduled_for(at: Setting) -> Config | str | None:
    """What the schedule wants of this request (a sentence where it cannot be meant): agent work on the main lane only."""
    if not at.policy.schedule or at.place.kind != "main" or at.request.purpose != "turn":
        return None
    step = step_at(at.policy.schedule, (at.lane.worked if at.lane else 0) + 1)
    return config_of(step, at.asked, at.book) if step else None
