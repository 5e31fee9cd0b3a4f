"""What can be pinned and what obeying costs: the rows of the pin dialog, and the next rung up. Pure, and needs no Textual."""

from __future__ import annotations

from dataclasses import dataclass

from pointsman.core.rows import SessionRow
from pointsman.core.types import Config
from pointsman.tui.figures import config_name, fit, money, short, span
from pointsman.tui.reasons import failure


@dataclass(frozen=True, slots=True)
class PinRow:
    """One config that can be pinned, with the modelled price of obeying.

    ``pins``: what is pinned: the model alone, which goes on following the effort that the client asks for, unless another row
    offers the same model at another effort.
    """

    config: Config
    text: str
    running: bool = False
    veto: str | None = None
    pins: Config = Config("")


def pin_rows(session: SessionRow, outcomes: int, width: int) -> list[PinRow]:
    """The configs of the newest decision, cheap to strong: price now, way back, chance of failure, or why it cannot run."""
    decision = session.decision
    if decision is None:
        return []
    current = session.newest.ran if session.newest else decision.chosen
    models = [candidate.model for candidate in decision.candidates]
    out = []
    for candidate in decision.candidates:
        running = candidate.config == current
        name = fit(config_name(candidate.config), 20)
        if candidate.veto:
            text = f"{name}⊘ {candidate.veto}"
        else:
            price = None if candidate.input_usd is None else candidate.input_usd + (candidate.output_usd or 0.0)
            back = "(running)" if running else f"way back {money(candidate.way_back_usd, modelled=True)}"
            fail = f"fail {failure(candidate.fail, decision, outcomes)}"
            text = f"{name}now {fit(money(price, modelled=True), 9)}{fit(back, 19)}{fail}"
        pins = candidate.config if models.count(candidate.model) > 1 else Config(candidate.model)
        out.append(PinRow(candidate.config, fit(text, width), running, candidate.veto, pins))
    return out


def warm_note(session: SessionRow, now: float, width: int) -> str:
    """How long the running model's prefix stays warm, and what coming back costs after that."""
    decision, newest = session.decision, session.newest
    if decision is None or newest is None:
        return ""
    here = decision.row(newest.ran)
    until = newest.warm_until or (here.warm_until if here else None)
    if here is None or until is None or here.rates is None:
        return ""
    refill = here.prompt * (here.rates.write(300) - here.rates.cache_read)
    name = short(here.model)
    if until <= now:
        return fit(f"{name} is cold by now: the next request refills {money(refill, modelled=True)} anyway", width)
    return fit(f"{name} stays warm {span(until - now)}; after that, back costs {money(refill, modelled=True)}", width)


def escalation(session: SessionRow) -> tuple[Config | None, str]:
    """The next stronger config than the one that runs, or why there is none."""
    decision, newest = session.decision, session.newest
    if decision is None or newest is None:
        return None, "no request has been decided yet, so there is nothing to escalate from"
    order = [candidate.config for candidate in decision.candidates]
    if newest.ran not in order:
        return None, f"{config_name(newest.ran)} is on no ladder we know, so no stronger model can be named; pin one with p"
    above = decision.candidates[order.index(newest.ran) + 1 :]
    usable = next((candidate for candidate in above if candidate.veto is None), None)
    if usable is not None:
        return usable.config, ""
    if above:
        return None, f"{config_name(above[0].config)} cannot take this request: {above[0].veto}"
    return None, f"{config_name(newest.ran)} is already the strongest model offered here"
