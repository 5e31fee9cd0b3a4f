"""The Router's part in a failover: whoever takes over from a provider that failed, or the short wait that is cheaper."""

from __future__ import annotations

from dataclasses import replace

from pointsman.core import failover
from pointsman.core.decisions import Decision
from pointsman.core.events import FailedOver, Noted
from pointsman.core.session import Session
from pointsman.core.types import Config
from pointsman.engine.outgoing import Outgoing
from pointsman.engine.route import Open, Route


class Failing(Outgoing):
    """Prices a hop, writes the request for whoever takes over, and records what was left."""

    def fail_over(
        self, id: str, now: float, *, upstream: str, why: str, status: int | None = None, model: str | None = None,
        place: str = "", reached: bool = True,
    ) -> Route | None:  # fmt: skip
        """The provider failed before its first content byte: the same request for ``model`` (None: the same) at ``upstream``.

        ``place``: the deployment's name, for people; ``status`` None: no answer came; ``reached`` False: nor was it connected
        to, so nothing can be billed. None: it cannot go there, and a note says why. Raises DecisionError for an unknown or
        finished ``id``.
        """
        opened = self._opened(id)
        decision = _failed(opened)
        session, policy = self.sessions[decision.place.session], self._policy_in(opened.request.run)
        if session.sent_at > session.turn_began and now > session.turn_began + policy.deadline_s:
            said = f"a check sent this turn on, and its {policy.deadline_s:.0f} seconds are over: nobody takes over any more"
            self._emit(Noted(now, "no_failover", said, session.id))
            return None
        found = self._hop(opened, decision, now, upstream, model, place, why)
        if found.decision is None:
            self._emit(Noted(now, "no_failover", found.why, decision.place.session))
            return None
        onward = self._written(
            found.decision, opened.request, opened.original_path, opened.headers, opened.original, upstream
        )
        if onward.decision.chosen != found.decision.chosen:
            self._emit(Noted(now, "no_failover", onward.decision.sentence, decision.place.session))
            return None
        lost = failover.may_bill(found.here, self.book, now - self._asked_at(opened)) if reached and (status or 0) < 400 else 0.0
        self._emit(
            FailedOver(
                now, decision.place.session, id, decision.chosen, onward.decision.chosen, opened.upstream, upstream, why, status,
                found.extra_usd, lost, row=onward.decision.row(onward.decision.chosen),
            )  # fmt: skip
        )
        opened.route, opened.upstream = onward, upstream
        return onward

    def wait_out(
        self, id: str, now: float, *, upstream: str, why: str, seconds: float, status: int | None = None,
        model: str | None = None, place: str = "",
    ) -> bool:  # fmt: skip
        """Whether a provider that asks for ``seconds`` is asked again after them: they cost less than leaving its cache for
        ``model`` at ``upstream`` would. It is recorded then. Raises DecisionError for an unknown or finished ``id``.
        """
        opened = self._opened(id)
        decision, policy = _failed(opened), self._policy_in(opened.request.run)
        found = self._hop(opened, decision, now, upstream, model, place, why)
        said = failover.worth_waiting(found, decision, opened.request, opened.session, self.book, policy, now, seconds)
        if said is None:
            return False
        self._emit(
            FailedOver(
                now, decision.place.session, id, decision.chosen, decision.chosen, opened.upstream, opened.upstream,
                f"{why}; {said}", status, 0.0, 0.0, seconds,
            )  # fmt: skip
        )
        return True

    def _hop(
        self, opened: Open, decision: Decision, now: float, upstream: str, model: str | None, place: str, why: str
    ) -> failover.Hop:  # fmt: skip
        """What going to ``model`` at ``upstream`` would mean."""
        request = opened.request
        there: Session = opened.session
        if upstream != opened.upstream:
            there = self._known.laid_under(opened.session, request, upstream)
        return failover.hop(
            decision, request, opened.session, there, self.book, self._policy_in(request.run), now, model, place, why
        )

    def _asked_at(self, opened: Open) -> float:
        """Epoch seconds at which the provider that failed was asked."""
        session = self.sessions.get(opened.route.decision.place.session)
        pending = session.pending.get(opened.route.id) if session is not None else None
        return (pending.failed_over if pending is not None else 0.0) or opened.started


def _failed(opened: Open) -> Decision:
    """The decision that failed; the client's own request where our change had been refused before."""
    decision = opened.route.decision
    if opened.refused is None:
        return decision
    asked = Config(opened.request.model, opened.request.effort)
    return replace(decision, chosen=asked, action="stay", reason="retry_asked", edits=(), consult=None)
