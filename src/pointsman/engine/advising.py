"""The Router's part in an advisor's consult: what the question is made of, and what its answer changes."""

from __future__ import annotations

from dataclasses import replace

from pointsman.core import advisor, budgets, edits
from pointsman.core.decisions import Advice, Advisor, Decision
from pointsman.core.events import AdviceHow, AdviceOutcome, Advised
from pointsman.core.types import Config, Place, Usage
from pointsman.engine.outgoing import Outgoing
from pointsman.engine.route import Route, UnderWay
from pointsman.errors import DecisionError


class Advising(Outgoing):
    """Takes what an advisor said into the history, and what it cost into the events."""

    def advised(
        self, id: str, advice: Advice | None, *, config: Config, how: AdviceHow, outcome: AdviceOutcome, now: float,
        place: Place | None = None, seconds: float = 0.0, usage: Usage | None = None, after: tuple[int, int] | None = None,
        why: str = "",
    ) -> Route | None:  # fmt: skip
        """An advisor was asked for the request ``id``: what it said goes into the history from now on, what it cost is ours.

        ``advice`` None: nothing is added. ``after``: the place of a call that was made in an earlier answer of the lane, as
        (messages, hash of the last). ``place``: of a request that may have ended by now; then only the cost is recorded, and the
        result is None. Raises DecisionError for an unknown ``id`` without a place.
        """
        opened = self._open.get(id)
        rates = self.book.card(config.model).at(usage.prompt, now) if usage and self.book.has(config.model) else None
        if opened is None:
            if place is None:
                raise DecisionError(f"no request {id!r} is under way: it was finished, or never routed here")
            self._emit(Advised(now, place.session, id, place.lane, config, how, outcome, seconds, usage, rates, why=why))
            return None
        route, request = opened.route, opened.request
        place = route.decision.place
        edit = None
        if advice is not None:
            self._count += 1
            name = f"{id}-{self._count:x}@{config.model}"
            edit = self.additions.edit(name, advice, request, place.kept, push=how == "push", after=after)
        allowed = self._policy_in(request.run).advisor
        kept = advice if edit is not None and allowed is not None and allowed.keep_text else None
        self._emit(
            Advised(
                now, place.session, id, place.lane, config, how, outcome, seconds, usage, rates,
                route.decision.propensity, edit, kept, why,
            )  # fmt: skip
        )
        if edit is None:
            return route
        decision = replace(route.decision, edits=(*route.decision.edits, edit))
        if how == "pull" and after is None:  # the answer is under way: the request is what it was
            opened.route = replace(route, decision=decision)
        else:
            session = self._with_texts(self.sessions[place.session], place, request, opened.original)
            lane = session.lanes[place.lane]
            decision = replace(decision, edits=edits.standing(lane.edits, request.messages, len(request.messages)))
            opened.route = self._written(decision, request, opened.original_path, route.headers, opened.original, opened.upstream)
        return opened.route

    def under_way(self, id: str) -> UnderWay:
        """What an advisor's question about a request is made of. Raises DecisionError for an unknown or finished ``id``."""
        opened = self._opened(id)
        messages = opened.request.messages
        end = (len(messages), messages[-1].hash) if messages else (0, 0)
        return UnderWay(opened.request, opened.original, self._policy_in(opened.request.run).advisor, end)

    def no_advice(self, decision: Decision, allowed: Advisor, now: float) -> str | None:
        """Why no advisor is asked for the request of ``decision``, in words; None: it may be."""
        session = self.sessions.get(decision.place.session)
        if session is not None:
            policy = self._policy_in(session.run)
            ruled_out = advisor.barred(allowed.model, policy, budgets.over(policy, self._known.user.laid_in(session), now))
            if ruled_out is not None:
                return ruled_out
        return advisor.shut(decision, self._lane(decision.place), allowed, self.book, now)
