"""What another policy would have done over the recorded requests of a session. Pure; the screens and ``replay`` share it.

Theory of operation. The session is folded twice: as it was, and as it would have been. Each request of the main lane is decided
anew against the second fold, with the caches that path would have had. Pins are left out; sub-agents, summaries and housekeeping
stay as they were. Both paths are priced alike (core.plan); a request that would have cost the same is taken as it was billed, so
that the same path costs the same to the cent. Requests and answers are the recorded ones; ``most`` adds the further requests
that another model usually needs. Failures are not re-lived: from the request on at which the paths part, a task's outcome is
unknown, and its checks are not shown to the policy. What other sessions have taught (abilities, certificates, the day's
budget) is not in it: a session is replayed by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from pointsman.core.book import Book
from pointsman.core.decide import decide
from pointsman.core.decisions import Decision
from pointsman.core.evaluate import Estimate, mean_interval, snips
from pointsman.core.events import Checked, Event, Finished, Pinned, Routed, Signalled, Unpinned
from pointsman.core.evolve import evolve, taught
from pointsman.core.hindsight import Recorded, recorded
from pointsman.core.learned import Learned
from pointsman.core.policy import Policy
from pointsman.core.session import Session
from pointsman.core.timeline import Timeline
from pointsman.core.types import Config, Usage


@dataclass(frozen=True, slots=True)
class Instead:
    """One billed request of the main lane: what decided it, and what would have. USD as billed, instead, and at most."""

    was: Decision
    now: Decision
    ran: Config
    billed: float
    usd: float
    most: float

    @property
    def differs(self) -> bool:
        """Whether something else would have run."""
        return self.now.chosen != self.ran


@dataclass(frozen=True, slots=True)
class Task:
    """One task. ``resolved``: its known outcome, None where there is none or the policy would have done something else."""

    session: str
    number: int
    billed: float
    usd: float
    most: float
    same: bool
    resolved: bool | None
    propensity: float


@dataclass(slots=True)
class Replayed:
    """One session under another policy. ``other_lanes``: USD of sub-agents, which stay as they were; ``unknown``: unbilled."""

    session: str
    client: str = ""
    requests: list[Instead] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    other_lanes: float = 0.0
    unknown: int = 0

    @property
    def billed(self) -> float:
        """USD as billed."""
        return sum(request.billed for request in self.requests)

    @property
    def usd(self) -> float:
        """USD instead, for the same requests."""
        return sum(request.usd for request in self.requests)

    @property
    def most(self) -> float:
        """USD instead, with the further requests that other models usually need."""
        return sum(request.most for request in self.requests)

    @property
    def moves(self) -> tuple[int, int]:
        """How often the config changed, as it was and instead."""
        ran = [request.ran for request in self.requests]
        now = [request.now.chosen for request in self.requests]
        return _changes(ran), _changes(now)


def _changes(configs: Sequence[Config]) -> int:
    return sum(a != b for a, b in zip(configs, configs[1:], strict=False))


def replay(events: Iterable[Event], book: Book, policy: Policy) -> Replayed:
    """One session's events under ``policy``."""
    known = list(events)
    decided = _Folds(book, policy).over(known)
    return _priced(known, book, {id: now for id, (_, now) in decided.items()}, {id: was for id, (was, _) in decided.items()})


def replay_best(events: Iterable[Event], book: Book) -> Replayed:
    """One session's events along the cheapest path in hindsight over the whole ladder of what was asked, admitted or not.

    It changes where a turn begins only: a bound on prices, not on what anybody could have known or dared.
    """
    known = list(events)
    was = {event.id: event.decision for event in known if isinstance(event, Routed)}
    now: dict[str, Decision] = {}
    for lane in on_ladder(known, book):
        for id, served, j in zip(lane.ids, lane.served, lane.best(everything=True).path, strict=True):
            model = lane.configs[j].model
            effort = book.target(model).nearest_effort(was[id].asked.effort)
            now[id] = replace(was[id], chosen=served if served.model == model else Config(model, effort))
    return _priced(known, book, now, was)


def on_ladder(events: Sequence[Event], book: Book) -> list[Recorded]:
    """The main lanes, priced for the whole ladder of what was asked."""
    asked = dict.fromkeys(e.decision.asked for e in events if isinstance(e, Routed) and e.decision.place.kind == "main")
    ladder = [Config(model) for config in asked for model in book.ladder(config.model)]
    return [lane for lane in recorded(events, book, ladder) if lane.kind == "main"]


def end_of_ladder(events: Iterable[Event], book: Book, *, strongest: bool = False) -> str:
    """The model at the weak or the strong end of the ladder of what the session asked for; ``asked`` where it has none."""
    asked = next((e.decision.asked.model for e in events if isinstance(e, Routed) and e.decision.place.kind == "main"), None)
    ladder = book.ladder(asked) if asked else ()
    return (ladder[-1] if strongest else ladder[0]) if ladder else "asked"


class _Folds:
    """The two folds of one replay."""

    def __init__(self, book: Book, policy: Policy) -> None:
        self._book, self._policy = book, policy
        self._real: Session | None = None
        self._other: Session | None = None
        self._learned = Learned()
        self._decided: dict[str, tuple[Decision, Decision]] = {}
        self._parted = False
        self._parted_task: int | None = None

    def over(self, events: Iterable[Event]) -> dict[str, tuple[Decision, Decision]]:
        """Fold every event; the decisions of the main lane by request id, as they were and as they would have been."""
        for event in events:
            if isinstance(event, Routed):
                self._routed(event)
            elif isinstance(event, Finished):
                self._finished(event)
            else:
                self._real = evolve(self._real, event)
                judged = isinstance(event, (Checked, Signalled)) and self._real is not None
                unknown = judged and self._real is not None and self._real.task == self._parted_task
                if not isinstance(event, (Pinned, Unpinned)) and not unknown:
                    self._other = evolve(self._other, event)
        return self._decided

    def _routed(self, event: Routed) -> None:
        self._real = evolve(self._real, event)
        place = event.decision.place
        if self._real is None or place.kind != "main" or event.request.purpose == "count":
            self._other = evolve(self._other, event)
            return
        request = replace(event.request, messages=self._real.lanes[place.lane].messages)
        session = self._other or Session(id=event.session, client=request.client, cwd=request.cwd, run=request.run)
        session = replace(session, learned=self._learned)
        decision = replace(decide(request, session, self._book, self._policy, event.ts, 0.0), id=event.id)
        self._other = evolve(session, replace(event, decision=decision))
        self._decided[event.id] = (event.decision, decision)

    def _finished(self, event: Finished) -> None:
        if self._real is not None:
            self._learned = taught(self._learned, self._real, event, self._book)
        self._real = evolve(self._real, event)
        decided = self._decided.get(event.id)
        usage, rates = event.usage, event.rates
        if decided is None or usage is None or rates is None:
            self._other = evolve(self._other, event)
            return
        was, now = decided
        if now.chosen != (event.served or was.chosen):
            self._parted, self._parted_task = True, was.place.task
        row = now.row(now.chosen)
        if self._parted and row is not None and row.rates is not None:
            ttl_s = event.ttl_s or 300
            usage = Usage(row.fresh, row.cache_read, ((ttl_s, row.cache_write),), usage.output, usage.reasoning)
            rates = row.rates
        self._other = evolve(self._other, replace(event, usage=usage, rates=rates, served=now.chosen, asked_usage=None))


def _priced(events: Sequence[Event], book: Book, now: dict[str, Decision], was: dict[str, Decision]) -> Replayed:
    more = list(dict.fromkeys(decision.chosen for decision in now.values()))
    lanes = recorded(events, book, more)
    routed = next((event for event in events if isinstance(event, Routed)), None)
    out = Replayed(routed.session if routed else "", routed.request.client if routed else "")
    for lane in lanes:
        out.unknown += lane.unknown
        if lane.kind == "main":
            _lane(out, lane, book, now, was)
        else:
            out.other_lanes += sum(lane.billed)
    _tasks(out, events)
    return out


def _lane(out: Replayed, lane: Recorded, book: Book, now: dict[str, Decision], was: dict[str, Decision]) -> None:
    number = {config.model: j for j, config in enumerate(lane.configs)}
    path = [number.get(now[id].chosen.model, j) if id in now else j for id, j in zip(lane.ids, lane.ran, strict=True)]
    ran, other = lane.way(lane.ran).usd, lane.way(path).usd
    for i, id in enumerate(lane.ids):
        served, decision = lane.served[i], now.get(id, was[id])
        if decision.chosen.model != lane.configs[path[i]].model:
            decision = replace(decision, chosen=served)  # it has no price: taken as it ran
        usd = lane.billed[i] if other[i] == ran[i] else other[i]
        further = max(1.0, book.steps(decision.chosen.model) / book.steps(served.model))
        out.requests.append(Instead(was[id], decision, served, lane.billed[i], usd, usd * further))


def _tasks(out: Replayed, events: Sequence[Event]) -> None:
    """The tasks of the main lane with their outcomes: a person's last mark, else what a check or a commit said."""
    session = next(iter(Timeline(events).sessions.values()), None)
    known: dict[int, bool] = {}
    for turn in session.turns if session is not None else ():
        if turn.outcome in ("good", "bad", "overkill"):
            known[turn.task] = turn.outcome != "bad"
    by_task: dict[int, list[Instead]] = {}
    for request in out.requests:
        by_task.setdefault(request.was.place.task, []).append(request)
    for task, parts in by_task.items():
        same = not any(part.differs for part in parts)
        out.tasks.append(Task(
            out.session, task, sum(p.billed for p in parts), sum(p.usd for p in parts), sum(p.most for p in parts), same,
            known.get(task) if same else None, parts[0].was.propensity,
        ))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Comparison:
    """A policy against what was billed, over tasks; USD. ``per_task``: 95 % interval of the mean net, None under 30 tasks.

    ``net`` is signed: plus would have been saved; ``net_least`` with the further requests. ``resolved``: of the policy, over
    the tasks on which it would have done the same; ``unknown``: tasks of which nothing is known.
    """

    tasks: int
    billed: float
    usd: float
    most: float
    same: int
    unknown: int
    per_task: tuple[float, float] | None
    resolved: Estimate

    @property
    def net(self) -> float:
        """USD saved, for the same requests."""
        return self.billed - self.usd

    @property
    def net_least(self) -> float:
        """USD saved, with the further requests that other models usually need."""
        return self.billed - self.most


def compared(tasks: Sequence[Task]) -> Comparison:
    """All tasks added up."""
    weighed = [(t.resolved, 1.0 / max(0.05, t.propensity)) for t in tasks if t.resolved is not None]
    return Comparison(
        len(tasks), sum(t.billed for t in tasks), sum(t.usd for t in tasks), sum(t.most for t in tasks),
        sum(t.same for t in tasks), sum(t.resolved is None for t in tasks), mean_interval([t.billed - t.usd for t in tasks]),
        snips(weighed),
    )  # fmt: skip
