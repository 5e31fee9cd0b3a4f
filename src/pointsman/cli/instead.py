"""``replay --policy``: what another policy would have done over recorded sessions, and what nobody can know of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pointsman.cli.policy_names import named
from pointsman.core.book import Book
from pointsman.core.events import Event
from pointsman.tui.figures import config_name, many, money, share, short, signed

if TYPE_CHECKING:
    from pointsman.core.hindsight import Recorded
    from pointsman.core.plan import Way
    from pointsman.core.whatif import Comparison, Replayed


def run(sessions: Iterable[list[Event]], names: Sequence[str], book: Book, *, as_json: bool, brief: bool) -> int:
    """Print every session under each policy, and the totals; how many sessions there were."""
    policies, count = [named(name, book) for name in names], 0
    totals: dict[str, list[Replayed]] = {policy.name: [] for policy in policies}
    for events in sessions:
        count += 1
        for policy in policies:
            found = policy.of(events, book)
            totals[policy.name].append(found)
            if as_json:
                print(json.dumps(one_json(policy.name, found), ensure_ascii=False))
            elif not brief:
                print(*lines_of(policy.name, found), sep="\n")
                if policy.policy is None:
                    print(*way_lines(events, book), sep="\n")
        if not as_json and not brief:
            print()
    for name, sums in totals.items():
        if count and as_json:
            print(json.dumps({"policy": name, "sessions": count, **_figures(_together(sums))}, ensure_ascii=False))
        elif count:
            print(*total_lines(name, sums), sep="\n")
    if not as_json and count:
        print("net: signed, plus would have been saved. ≈ the recorded requests and answers; an outcome is known only where the")
        print("policy would have done the same for the whole task.")
    sys.stdout.flush()
    return count


def lines_of(name: str, found: Replayed) -> Iterator[str]:
    """One session under one policy."""
    from pointsman.core.whatif import compared

    if not found.requests:
        yield f"{found.session} · {name}: unknown, no request of it has a bill and a price"
        return
    models: dict[str, int] = {}
    for request in found.requests:
        now = request.now.chosen
        model = config_name(now) if now.model == request.ran.model and request.differs else short(now.model)  # another effort
        models[model] = models.get(model, 0) + 1
    ran = ", ".join(f"{model} ×{n}" for model, n in sorted(models.items(), key=lambda item: -item[1]))
    differs = sum(request.differs for request in found.requests)
    moves = found.moves
    yield f"{found.session} · {name}: {ran}; other on {differs} of {len(found.requests)} requests"
    yield f"  {_money(compared(found.tasks))} · switches {moves[1]} instead of {moves[0]}{_left_out(found.unknown)}"
    yield f"  {_outcomes(compared(found.tasks))}"


def way_lines(events: Sequence[Event], book: Book) -> Iterator[str]:
    """The best path in hindsight turn by turn, and how near the next ones come."""
    from pointsman.core.plan import runners_up
    from pointsman.core.whatif import on_ladder

    for lane in on_ladder(events, book):
        best = None
        for way in runners_up(lane.steps, lane.ttls):
            more: float | None = None if best is None else way.total - best
            gap = f"best {money(way.total, modelled=True)}" if more is None else f"{money(more, modelled=True)} more"
            best = way.total if best is None else best
            yield f"    {gap}: {_stretches(lane, way)}"


def _stretches(lane: Recorded, way: Way) -> str:
    """``turns 1 to 6 haiku, 7 to 9 opus``."""
    found: list[tuple[int, int, int]] = []
    for turn, j in zip(lane.turns, way.path, strict=True):
        if found and found[-1][2] == j:
            found[-1] = (found[-1][0], turn, j)
        else:
            found.append((turn, turn, j))
    said = [
        f"{first} to {last} {short(lane.configs[j].model)}" if first != last else f"{first} {short(lane.configs[j].model)}"
        for first, last, j in found
    ]
    return "turns " + ", ".join(said[:8]) + (" ..." if len(said) > 8 else "")


def _left_out(unknown: int) -> str:
    return f" · {many(unknown, 'request')} without a bill or price left out" if unknown else ""



def _money(known: Comparison) -> str:
    most = f" to {money(known.most, modelled=True)}" if known.most > known.usd + 0.0005 else ""
    least = f" to {signed(known.net_least, modelled=True)}" if known.most > known.usd + 0.0005 else ""
    return (
        f"billed {money(known.billed)} · instead {money(known.usd, modelled=True)}{most} · "
        f"net {signed(known.net, modelled=True)}{least}"
    )


def _outcomes(known: Comparison) -> str:
    """What is known of the outcomes, and how far that goes."""
    head = f"outcomes: {known.same} of {many(known.tasks, 'task')} would have run the same; outcome unknown of {known.unknown}"
    rate = known.resolved
    if rate.value is None:
        return f"{head}; no verdict: nothing is known of it (effective sample 0 of 30)"
    span = f"{share(rate.low)} to {share(rate.high)}"
    if not rate.verdict:
        return f"{head}; resolved {span}, no verdict (effective sample {rate.ess:.0f} of 30)"
    return f"{head}; resolved {share(rate.value)} [{span}] at an effective sample of {rate.ess:.0f}"


def _together(sums: Sequence[Replayed]) -> Comparison:
    from pointsman.core.whatif import compared

    return compared([task for found in sums for task in found.tasks])


def total_lines(name: str, sums: Sequence[Replayed]) -> Iterator[str]:
    """All sessions under one policy."""
    known = _together(sums)
    yield f"{name}: {many(len(sums), 'session')}, {many(known.tasks, 'task')}{_left_out(sum(found.unknown for found in sums))}"
    if not known.tasks:
        yield "  unknown: no request of theirs has a bill and a price"
        return
    yield f"  {_money(known)}"
    if known.per_task is not None:
        low, high = (signed(usd, modelled=True) for usd in known.per_task)
        yield f"  per task {signed(known.net / known.tasks, modelled=True)} [{low}, {high}] over {known.tasks} tasks"
    else:
        yield f"  per task: no verdict under 30 tasks ({known.tasks})"
    yield f"  {_outcomes(known)}"


def one_json(name: str, found: Replayed) -> Mapping[str, object]:
    """One session under one policy, as plain values; USD unrounded, all but ``billed_usd`` modelled."""
    from pointsman.core.whatif import compared

    return {
        "session": found.session, "policy": name, "requests": len(found.requests),
        "differs": sum(request.differs for request in found.requests), "switches": found.moves[1],
        "switches_as_run": found.moves[0], "unknown_requests": found.unknown, **_figures(compared(found.tasks)),
    }  # fmt: skip


def _figures(known: Comparison) -> Mapping[str, object]:
    rate = known.resolved
    return {
        "tasks": known.tasks, "billed_usd": known.billed, "instead_usd": known.usd, "instead_most_usd": known.most,
        "net_usd": known.net, "net_least_usd": known.net_least,
        "net_per_task_interval": list(known.per_task) if known.per_task else None, "tasks_same": known.same,
        "outcomes_unknown": known.unknown, "resolved": rate.value, "resolved_interval": [rate.low, rate.high],
        "effective_sample": rate.ess, "verdict": rate.verdict,
    }  # fmt: skip
