"""How far away a certificate is, in words: the same on every surface. Pure."""

from __future__ import annotations

from collections import Counter

from pointsman.core.certificate import ANY, Record, Standing
from pointsman.core.decisions import Decision
from pointsman.core.events import Proposed
from pointsman.core.types import Config
from pointsman.core.userrecord import UserRecord, proposal
from pointsman.tui.figures import config_name, short


def slices(record: Record) -> list[str]:
    """One line per (asked, served, kind of task) that has a judged task."""
    known = record.slices()
    alike = Counter((asked.model, served.model, kind) for asked, served, kind in known)
    return [line(asked, served, kind, standing, efforts=alike[asked.model, served.model, kind] > 1)
            for (asked, served, kind), standing in known.items()]


def line(asked: Config, served: Config, kind: str, standing: Standing, *, efforts: bool = False) -> str:
    """One slice in words: what was served, what that bounds now, and how many clean tasks more certify it.

    ``efforts``: name them, because only they tell this line from another one.
    """
    tasks = f"{standing.tasks} task{'s' if standing.tasks != 1 else ''} served, {standing.failed} failed"
    bounded = f"at most {standing.bound:.1%} failed routes (95 %)" if standing.bound is not None else "no bound yet"
    if standing.vetoed:
        verdict = "vetoed: it fails more often than predicted, so the model you ask for takes these"
    elif standing.certified:
        verdict = f"certified at {standing.risk:.0%}"
    else:
        verdict = f"{standing.missing} clean ones more certify {standing.risk:.0%}"
    who = f"{_name(served, asked, efforts)} for {_name(asked, served, efforts)}"
    return f"{who}, {kind or 'any'} tasks: {tasks}; {bounded}; {verdict}"


def _name(config: Config, other: Config, efforts: bool) -> str:
    """The model alone; with ``efforts``, and where only its effort tells it from the ``other``, with its effort."""
    return config_name(config) if efforts or config.model == other.model else short(config.model)


def more(user: UserRecord, decision: Decision) -> list[tuple[str, str]]:
    """What ``why`` adds to a decision: how far its weaker candidates are from a certificate, and the rules that are proposed."""
    lines = about(user.record(), decision)
    said = [(("certif." if i == 0 else ""), text) for i, text in enumerate(lines)]
    return said + [("proposed", proposal(p.about, p.config, p.times)) for p in user.proposed.values() if not p.answer]


def answerable(user: UserRecord) -> list[Proposed]:
    """The newest rule proposed for each kind of task, answered or not: open ones first, then the newest."""
    newest: dict[str, Proposed] = {}
    for one in sorted(user.proposed.values(), key=lambda p: p.ts):
        newest[one.about] = one
    return sorted(newest.values(), key=lambda p: (p.answer != "", -p.ts))


def about(record: Record, decision: Decision) -> list[str]:
    """What a decision's weaker candidates still need; nothing where it has none."""
    order = [candidate.config for candidate in decision.candidates]
    weaker = order[: order.index(decision.asked)] if decision.asked in order else []
    alike = Counter(config.model for config in weaker)
    found = []
    for config in weaker:
        efforts = alike[config.model] > 1
        key = (decision.asked, config, decision.kind or ANY)
        standing = record.slice(*key)
        kind = decision.kind or "any"
        needs = f"{standing.missing} clean ones certify {record.risk:.0%}"
        none = f"{_name(config, decision.asked, efforts)}, {kind} tasks: none judged yet; {needs}"
        found.append(line(*key, standing, efforts=efforts) if standing.tasks else none)
    return found


def word(record: Record) -> str:
    """The certificates in a word or two, for a header."""
    certified, vetoed = sum(map(len, record.certified.values())), sum(map(len, record.vetoed.values()))
    parts = [f"{certified} certified"] if certified else []
    parts += [f"{vetoed} vetoed"] if vetoed else []
    return ", ".join(parts) or "uncertified"
