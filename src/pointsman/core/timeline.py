"""The read model: events folded into sessions, turns and requests with their money, for every surface a person looks at.

Theory of operation. ``Timeline.apply(event)`` costs the same whatever came before: each request is one row, and every
total (lane, turn, session, day) is adjusted by what changed in that row. *Billed* is what the provider's usage costs at
the rates in force; *as asked* is what the asked model would have cost, which is the bill itself where it is the model
that ran. A request the provider said nothing about is ``unknown``: it is counted and never taken for 0. ``net`` compares
only requests that have both figures, so that it never mixes them. Side traffic and sub-agents belong to the turn in
which they ran and never open one. No text is stored beyond the title that the events hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pointsman.core.audit import input_usd, predicted
from pointsman.core.decisions import Candidate, Decision
from pointsman.core.events import (
    Advised,
    Checked,
    Event,
    FailedOver,
    Finished,
    Judged,
    Mark,
    Marked,
    Noted,
    Passed,
    Pinned,
    Proposed,
    Routed,
    RunEnded,
    RunStarted,
    Signalled,
    Unpinned,
)
from pointsman.core.pricing import billed_usd
from pointsman.core.rows import LaneRow, Outcome, RequestRow, SessionRow, Totals, TurnRow
from pointsman.core.types import DAY, Config, Rates
from pointsman.core.userrecord import UserRecord

SIGNAL_OUTCOMES: Mapping[str, Outcome] = {
    "check_passed": "good", "check_failed": "bad", "commit": "good", "revert": "bad",
}  # fmt: skip
"""Downstream signals that label a turn (DECISION.md 7). A correction is a noisy sensor and labels nothing."""


def utc_day(ts: float) -> int:
    """The day number of an epoch second, in UTC."""
    return int(ts // DAY)


class Timeline:
    """Every session, turn and request, folded from events. ``day`` maps epoch seconds to a day number (default: UTC).

    ``keep``: every request keeps its decision (10,000 turns then take some hundred megabytes).
    """

    def __init__(self, events: Iterable[Event] = (), *, day: Callable[[float], int] = utc_day, keep: bool = False) -> None:
        self.sessions: dict[str, SessionRow] = {}
        self.totals = Totals()
        self.days: dict[int, Totals] = {}
        self.runs: dict[str, RunStarted] = {}
        self.always: list[Pinned] = []
        self.notes: list[Noted] = []
        self.passed = 0
        self.user = UserRecord()
        self._day = day
        self._keep = keep
        self._rows: dict[str, RequestRow] = {}
        self._marked: set[tuple[str, int]] = set()
        for event in events:
            self.apply(event)

    def today(self, now: float) -> Totals:
        """The totals of the day that ``now`` falls in."""
        return self.days.get(self._day(now)) or Totals()

    @property
    def outcomes(self) -> int:
        """How many turns have a known outcome: under 30, no bare failure figure is shown."""
        return len(self._marked)

    def newest(self) -> list[SessionRow]:
        """Sessions, the most recently seen first."""
        return sorted(self.sessions.values(), key=lambda session: session.seen, reverse=True)

    def request(self, id: str) -> RequestRow | None:
        """The row of one request id, or None."""
        return self._rows.get(id)

    def apply(self, event: Event) -> SessionRow | None:
        """Fold one event in; the session it changed, or None. Unknown ids (a tail without its head) change nothing."""
        match event:
            case Routed():
                return self._routed(event)
            case Finished():
                return self._finished(event)
            case FailedOver():
                return self._failed_over(event)
            case Advised():
                return self._advised(event)
            case Pinned():
                return self._pinned(event)
            case Unpinned():
                return self._unpinned(event)
            case Marked():
                return self._label(event.session, event.turn, None if event.undo else event.mark)
            case Signalled():
                return self._signalled(event)
            case Checked():
                return self._checked(event)
            case RunStarted():
                self.runs[event.run] = event
            case RunEnded():
                self._run_ended(event)
            case Passed():
                self.passed += 1
            case Noted():
                return self._noted(event)
            case Judged() | Proposed():
                self.user.apply(event, None)
        return None

    def _routed(self, event: Routed) -> SessionRow:
        session = self._session(event)
        request, decision, place = event.request, event.decision, event.decision.place
        row = self._rows.get(event.id)
        if row is None:
            row = RequestRow(
                event.id, event.session, place.lane, place.kind, request.purpose, place.turn, event.ts, decision.asked,
                decision.chosen, decision.action, decision.reason, started=event.ts, quota=request.auth == "subscription",
            )  # fmt: skip
            self._rows[event.id] = row
            lane = session.lanes.setdefault(place.lane, LaneRow(place.lane, place.kind))
            if row.kind == "main" and row.purpose != "count" and place.relation != "retry":
                self._give_up(session, lane)
            lane.open[event.id] = row
            self._place(session, row, decision)
            if row.kind == "main":
                session.notices.clear()
        else:  # the upstream refused our change and the request was decided again
            self._refused(session, row, decision.chosen)
            row.chosen, row.action, row.reason = decision.chosen, decision.action, decision.reason
        self._decided(session, row, decision)
        return session

    def _session(self, event: Routed) -> SessionRow:
        request = event.request
        session = self.sessions.get(event.session)
        if session is None:
            session = self.sessions[event.session] = SessionRow(event.session, request.client, opened=event.ts)
        run = self.runs.get(request.run) if request.run else None
        session.run = request.run or session.run
        session.cwd = request.cwd or session.cwd or (run.cwd if run else None)
        session.client = request.client if request.client != "unknown" else run.client if run else session.client
        if event.decision.place.kind == "main":  # housekeeping asks in words of its client's
            session.title = session.title or request.title
        session.seen = event.ts
        session.ended = False
        if session.pin is None or session.pin.session is None:
            session.pin = self._always_pin(session.cwd)
        return session

    def _always_pin(self, cwd: str | None) -> Pinned | None:
        """The pin that always holds in ``cwd``, else the one that holds everywhere; the newest of each."""
        here = [pin for pin in self.always if pin.cwd is not None and pin.cwd == cwd]
        everywhere = [pin for pin in self.always if pin.cwd is None]
        return next(reversed(here or everywhere), None)

    def _place(self, session: SessionRow, row: RequestRow, decision: Decision) -> None:
        """Put a new row into its turn; only a person's prompt in the main lane opens one."""
        place = decision.place
        turn = session.by_turn.get(place.turn)
        if row.kind == "main" and row.purpose == "turn" and (turn is None or (place.new_turn and turn is not session.turns[-1])):
            turn = TurnRow(place.turn, session.id, place.task, row.ts)
            session.turns.append(turn)
            session.by_turn[place.turn] = turn
            turn.requests.extend(session.early)
            for early in session.early:
                early.turn = turn.n
                if not early.running:
                    turn.totals.add(early)
            session.early = []
        if turn is None:
            turn = session.turns[-1] if session.turns else None
        if turn is None:
            session.early.append(row)
        else:
            row.turn = turn.n
            turn.requests.append(row)

    def _decided(self, session: SessionRow, row: RequestRow, decision: Decision) -> None:
        """Attach the decision; keep it where a person may ask for it."""
        _predict(row, decision.row(decision.chosen))
        row.decision = decision
        session.notices.extend(notice for notice in decision.notices if notice not in session.notices)
        lane, turn = session.lanes[row.lane], session.by_turn.get(row.turn)
        before, lane.newest = lane.newest, row
        _remember_prices(session, decision)
        if row.kind != "main" or row.purpose == "count":
            return
        session.newest = row
        session.ran[decision.chosen.model] = session.ran.get(decision.chosen.model, 0) + 1
        if turn is not None:
            turn.pin = session.pin.config if session.pin else turn.pin
            turn.newest, turn.first = row, turn.first or row
            turn.kind = decision.kind or turn.kind
            turn.notices.extend(decision.notices)
            old = turn.decision
            acted = decision.action != "stay" and old is not None and decision.action != old.action
            if old is None or acted or decision.chosen != old.chosen:
                turn.decision = decision
        if before is not None and before is not row and not self._keep:
            self._forget(session, before)

    @staticmethod
    def _forget(session: SessionRow, row: RequestRow) -> None:
        turn = session.by_turn.get(row.turn)
        if turn is None or turn.decision is not row.decision:
            row.decision = None

    def _finished(self, event: Finished) -> SessionRow | None:
        row, session = self._rows.get(event.id), self.sessions.get(event.session)
        if row is None or session is None:
            return None
        if row.finished or row.lost:
            self._count(session, row, -1)
            row.lost = False
        others = {c.model: c.rates for c in row.decision.candidates if c.rates} if row.decision else {}
        others |= dict(event.other_rates)
        row.finished, row.status, row.stop = True, event.status, event.stop
        row.error, row.resent = event.error, event.resent
        row.served = event.served or (row.asked if event.resent else row.chosen)
        if event.resent:
            self._refused(session, row, row.served)
        row.usage, row.started, row.diagnosis = event.usage, event.started, event.diagnosis
        row.wait_s = max(0.0, event.first_byte - event.started) if event.first_byte is not None else None
        row.duration_s = max(0.0, event.ended - event.started)
        row.warm_until = event.started + event.ttl_s if event.ttl_s else None
        _price(row, event, others)
        session.lanes[row.lane].open.pop(row.id, None)
        session.seen = max(session.seen, event.ts)
        self._count(session, row, 1)
        return session

    @staticmethod
    def _refused(session: SessionRow, row: RequestRow, instead: Config) -> None:
        """Remember that the upstream refused what was chosen and ``instead`` went out."""
        turn = session.by_turn.get(row.turn)
        if turn is not None and row.chosen != instead and row.chosen not in turn.refused:
            turn.refused.append(row.chosen)

    def _count(self, session: SessionRow, row: RequestRow, sign: int) -> None:
        """Add the row to (or take it out of) every total it belongs to."""
        turn = session.by_turn.get(row.turn)
        day = self.days.setdefault(self._day(row.started), Totals())
        for totals in (self.totals, day, session.totals, session.lanes[row.lane].totals):
            totals.add(row, sign)
        if turn is not None:
            turn.totals.add(row, sign)
        session.interrupted += sign * row.interrupted

    def _give_up(self, session: SessionRow, lane: LaneRow) -> None:
        """Those still open will not answer any more: the lane has gone on (a late answer still corrects this)."""
        for row in [row for row in lane.open.values() if row.purpose != "count"]:
            row.lost = True
            self._count(session, row, 1)
            del lane.open[row.id]

    def _run_ended(self, event: RunEnded) -> None:
        for session in self.sessions.values():
            if session.run == event.run:
                session.ended = True
                for lane in session.lanes.values():
                    self._give_up(session, lane)

    def _pinned(self, event: Pinned) -> SessionRow | None:
        if event.session is None:
            self.always.append(event)
            for here in self.sessions.values():
                if event.cwd in (None, here.cwd):
                    here.pin = event
            return None
        session = self.sessions.get(event.session)
        if session is not None:
            session.pin = event
        return session

    def _unpinned(self, event: Unpinned) -> SessionRow | None:
        if event.session is not None:
            one = self.sessions.get(event.session)
            if one is not None:
                one.pin = None
                one.notices.append(event.why)
            return one
        self.always = [pin for pin in self.always if pin.cwd != event.cwd]
        for held in self.sessions.values():
            if held.pin and held.pin.session is None and held.pin.cwd == event.cwd:
                held.pin = self._always_pin(held.cwd)
                held.notices.append(event.why)
        return None

    def _label(self, id: str, n: int, mark: Mark | None) -> SessionRow | None:
        session = self.sessions.get(id)
        turn = session.by_turn.get(n) if session else None
        if turn is not None:
            turn.mark = mark
            self._known(turn)
        return session

    def _signalled(self, event: Signalled) -> SessionRow | None:
        session, label = self.sessions.get(event.session), SIGNAL_OUTCOMES.get(event.kind)
        if session is not None and session.turns and label is not None:
            session.turns[-1].label = label
            self._known(session.turns[-1])
        return session

    def _checked(self, event: Checked) -> SessionRow | None:
        session = self.sessions.get(event.session)
        turn = session.by_turn.get(event.turn) if session else None
        if turn is not None:
            turn.checks.append(event)
        return session

    def _known(self, turn: TurnRow) -> None:
        known = turn.mark is not None or turn.label != "unknown"
        (self._marked.add if known else self._marked.discard)((turn.session, turn.n))

    def _failed_over(self, event: FailedOver) -> SessionRow | None:
        session, row = self.sessions.get(event.session), self._rows.get(event.id)
        if session is not None and row is not None:
            row.failovers = (*row.failovers, event)
            row.chosen = event.to
            row.at_most_usd += event.at_most_usd
        return session

    def _advised(self, event: Advised) -> SessionRow | None:
        """A consult is billed to the request it was made for: all of it is the router's doing."""
        session, row = self.sessions.get(event.session), self._rows.get(event.id)
        if session is None or row is None:
            return session
        counted = row.finished or row.lost
        if counted:
            self._count(session, row, -1)
        usd = billed_usd(event.usage, event.rates, {})[0] if event.usage is not None and event.rates is not None else 0.0
        row.advice, row.advice_usd = (*row.advice, event), row.advice_usd + usd
        if row.billed is not None:
            row.billed += usd
        row.at_least = row.at_least or (event.asked and event.usage is None)
        row.modelled = row.modelled or usd > 0.0
        if counted:
            self._count(session, row, 1)
        return session

    def _noted(self, event: Noted) -> SessionRow | None:
        self.notes.append(event)
        session = self.sessions.get(event.session) if event.session else None
        if session is not None:
            session.notices.append(event.text)
        return session


def _remember_prices(session: SessionRow, decision: Decision) -> None:
    for config in (decision.asked, decision.chosen):
        session.prices.setdefault(config.model, float("inf"))
    for candidate in decision.candidates:
        if candidate.rates is not None:
            session.prices[candidate.model] = candidate.rates.output


def _predict(row: RequestRow, candidate: Candidate | None) -> None:
    """What was expected of the config that runs: compared with the bill when it comes."""
    row.predicted = (candidate.prompt, candidate.cache_read, candidate.cache_write) if candidate else None
    row.expected_usd = candidate.input_usd if candidate else None


def _price(row: RequestRow, event: Finished, others: Mapping[str, Rates]) -> None:
    """Fill the row's billed and as-asked USD from the usage and the rates in force."""
    row.billed = row.asked_usd = None
    row.input_usd = input_usd(event)
    over = next((hop for hop in reversed(row.failovers) if hop.row is not None), None)
    if over is not None or event.resent or event.served != row.chosen:
        _predict(row, predicted(row.decision, event, over))
    row.at_least = row.modelled = False
    if event.usage is not None and event.rates is not None:
        row.billed, row.at_least = billed_usd(event.usage, event.rates, others)
        if event.unseen or row.at_most_usd:
            row.at_most = row.billed + event.unseen * event.rates.output + row.at_most_usd
    if event.asked_usage is not None:
        row.modelled = True
        if event.asked_rates is not None:
            row.asked_usd = billed_usd(event.asked_usage, event.asked_rates, others)[0]
    elif row.served == row.asked:
        row.asked_usd = row.billed
    else:
        row.modelled = True
    if row.billed is not None and row.advice:
        row.billed += row.advice_usd
        row.modelled = row.modelled or row.advice_usd > 0.0
        row.at_least = row.at_least or any(event.asked and event.usage is None for event in row.advice)
