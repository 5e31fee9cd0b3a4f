"""Writing a decision into the client's request: the decided fields, what we add to the history, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pointsman import wire
from pointsman.core import cache, candidates, edits
from pointsman.core.decisions import Decision
from pointsman.core.foreign import is_foreign, native_of
from pointsman.core.session import Session
from pointsman.core.types import Config, Place, Protocol, Request
from pointsman.engine.route import Route
from pointsman.engine.state import State
from pointsman.errors import WireError


class Outgoing(State):
    """Turns decisions into what is sent."""

    def _written(
        self, decision: Decision, request: Request, path: str, headers: Mapping[str, str], body: bytes, upstream: str
    ) -> Route:
        """The route with the decision written into the body; what cannot be written stays as asked, and says so."""
        chosen, given = decision.chosen, headers
        added = new_body = body
        new_path, target = path, self.book.target(chosen.model)
        native = self._native(decision, request)
        try:
            if decision.edits:
                added, headers = self.additions.put(request.protocol, body, headers, decision.edits, chosen.model)
                new_body = added
            if native is None and request.protocol == "messages":
                added = new_body = self._recalled(decision, request, added)
            said = edits.written(request, chosen, target)
            if native is None and said != Config(request.model, request.effort):
                new_body, new_path = wire.write(request.protocol, path, added, request, said, target)
                if request.protocol == "messages" and said.model != request.model:
                    headers = wire.taken(headers, target.refuses)
        except WireError as error:
            why = f"{chosen} could not be written into this request ({error}): sent as asked"
            chosen, added, new_body, new_path, native = Config(request.model, request.effort), body, body, path, None
            headers = given
            decision = replace(
                decision, chosen=chosen, action="stay", reason="fail_open", sentence=why + ".", edits=(), consult=None,
                notices=(*decision.notices, why),
            )  # fmt: skip
        rewritten = request.protocol == "messages" and (wire.rewritten(added, new_body) or self._left_out(decision))
        if request.protocol == "messages" and self._after_detour(decision, request, rewritten):
            new_body, headers = wire.unbound(new_body, headers)
        if native is None and self._diagnoses(chosen, request, upstream):
            lane = self._lane(decision.place)
            new_body, headers = wire.diagnosed(request.protocol, new_body, headers, lane.answer_id if lane else "")
        changed = native is not None or new_body is not body or new_path != path
        return Route(
            decision.id, chosen.model, chosen.effort, new_body, headers, decision, upstream, new_path, request.protocol, changed,
            rewritten, native, request.stream,
        )  # fmt: skip

    def _recalled(self, decision: Decision, request: Request, body: bytes) -> bytes:
        """``body`` with a mark where the chosen model's cache ends, on the way back from a detour longer than its look-back.

        Only what we have moved is looked after: where the client itself has added much, its own marks are its word.
        """
        lane, chosen = self._lane(decision.place), decision.chosen
        if lane is None or not candidates.was_away(lane, chosen, decision.place):
            return body
        facts = self.book.facts(chosen.model)
        sent = edits.sent(request, decision.edits, chosen.model) if decision.edits else request
        at = cache.recall(candidates.held(lane, chosen, facts.target, request), sent, facts.rule)
        return wire.recalled(body, at) if at else body

    def _with_texts(self, session: Session, place: Place, request: Request, body: bytes) -> Session:
        """``session`` without the edits whose words are lost, and with new ones bound to the answer they happened in."""
        lane = session.lanes.get(place.lane)
        if lane is None or not lane.edits:
            return session
        known = self.additions.known(lane, request, body, place.kept)
        return session if known is lane else replace(session, lanes={**session.lanes, lane.id: known})

    def _diagnoses(self, chosen: Config, request: Request, upstream: str) -> bool:
        """Whether to ask the provider for its cache diagnostics: where the user allows it, on vendors' models that have them."""
        if not self._policy_in(request.run).diagnose or upstream in self._undiagnosed or request.purpose == "count":
            return False
        rule = self.book.rule(chosen.model)
        known = {"messages": rule.provider == "anthropic", "responses": rule.provider == "openai" and bool(rule.writes)}
        return known.get(request.protocol, False)

    def _native(self, decision: Decision, request: Request) -> Protocol | None:
        """The format of the chosen model's vendor where it is reached by translation only; None: the client's own."""
        vendor = self.book.vendor(decision.chosen.model)
        home = self.book.vendor(decision.asked.model)
        foreign = decision.moved and is_foreign(request, home, vendor, self._policy_in(request.run))
        return native_of(vendor) if foreign else None

    def _left_out(self, decision: Decision) -> bool:
        """Whether something that stood in this history is no longer sent: an edit whose words are lost, an advisor's blocks."""
        if edits.withheld(decision.edits, decision.chosen.model):
            return True
        lane, place = self._lane(decision.place), decision.place
        carried = {(edit.kind, edit.value) for edit in decision.edits}
        mine = edits.carried(lane.edits, decision.chosen.model) if lane is not None else ()
        return any(edit.at <= place.kept and (edit.kind, edit.value) not in carried for edit in mine)

    def _after_detour(self, decision: Decision, request: Request, rewritten: bool) -> bool:
        """Whether thinking blocks of the history were written after another form of it than the chosen model will see."""
        lane = self._lane(decision.place)
        if lane is None or not any("thinking" in message.facts for message in request.messages):
            return False
        return self.book.target(decision.chosen.model).binds and (lane.rewritten or rewritten)
