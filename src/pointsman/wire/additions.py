"""The texts behind a lane's edits: kept in memory, bound to the history that shows them, put into bodies. No I/O.

The ledger knows an edit's place and size, and its text only where the user keeps texts. So after a restart an advice may have
lost its words: its edit is then left out, and the cache written with it counts as cold from there on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from pointsman.core import edits as core
from pointsman.core.decisions import Advice, Edit
from pointsman.core.events import Advised, Event
from pointsman.core.messages import Message
from pointsman.core.session import Lane
from pointsman.core.types import Protocol, Request
from pointsman.errors import WireError
from pointsman.wire import consulting
from pointsman.wire.edits import apply, bind, size

TEXTS_KEPT = 1_000
"""Texts of advice held in memory; the oldest is forgotten first."""


class Additions:
    """The advice given in this process's sessions, by id."""

    def __init__(self) -> None:
        self._said: dict[str, Advice] = {}

    @property
    def said(self) -> Mapping[str, Advice]:
        """The advice in memory, by id, oldest first."""
        return self._said

    def keep(self, id: str, advice: Advice) -> None:
        """Remember what was said."""
        self._said[id] = advice
        if len(self._said) > TEXTS_KEPT:
            del self._said[next(iter(self._said))]

    def edit(
        self, name: str, advice: Advice, request: Request, kept: int, *, push: bool, after: tuple[int, int] | None = None
    ) -> Edit | None:  # fmt: skip
        """The edit, called ``name``, that puts ``advice`` into the history of ``request``; None where there is no place for it.

        ``kept``: leading messages that were sent before; ``after``: the place of a call in an earlier answer, as (messages, hash
        of the last). The text is remembered.
        """
        messages = request.messages
        at = core.place_of(messages, kept) if push else after[0] if after is not None else len(messages)
        if not at:
            return None
        edit = Edit("advice" if push else "consult", at, after[1] if after is not None else messages[at - 1].hash, name)
        self.keep(name, advice)
        return replace(edit, chars=size(request.protocol, edit, advice))

    def heard(self, event: Event) -> None:
        """Take in a text that the ledger kept."""
        if isinstance(event, Advised) and event.edit is not None and event.advice is not None:
            self.keep(event.edit.value, event.advice)

    def hearing(self, recall: Callable[[str], Iterable[Event]]) -> Callable[[str], Iterator[Event]]:
        """``recall``, with the texts of what it gives remembered on the way."""

        def events(session: str) -> Iterator[Event]:
            for event in recall(session):
                self.heard(event)
                yield event

        return events

    def known(self, lane: Lane, request: Request, body: bytes, kept: int) -> Lane:
        """``lane`` with those of its edits whose text is there, each bound to the history where this request first shows it."""
        found = []
        for edit in lane.edits:
            advice = self._said.get(edit.value)
            if edit.kind in ("advice", "consult") and advice is None:
                continue
            now: Edit | None = edit
            if advice is not None and edit.kind == "consult":
                now = self._bound(edit, advice, request.protocol, body, request.messages, kept)
            if now is not None:
                found.append(now)
        return lane if len(found) == len(lane.edits) and tuple(found) == lane.edits else replace(lane, edits=tuple(found))

    @staticmethod
    def _bound(
        edit: Edit, advice: Advice, protocol: Protocol, body: bytes, messages: tuple[Message, ...], kept: int
    ) -> Edit | None:  # fmt: skip
        try:
            return bind(protocol, body, edit, advice, messages, kept)
        except WireError:
            return None

    def put(
        self, protocol: Protocol, body: bytes, headers: Mapping[str, str], edits: tuple[Edit, ...], model: str
    ) -> tuple[bytes, Mapping[str, str]]:  # fmt: skip
        """Body and headers with those ``edits`` in place that a request to ``model`` carries; the same objects when none does.

        A consult whose answer the client has not shown yet is left out. Raises WireError where a place is not there.
        """
        mine = [e for e in core.carried(edits, model) if (e.kind != "consult" or e.into) and e.value != core.WITHDRAWN]
        if core.withheld(edits, model):  # without the tool its blocks are refused
            mine = [Edit("tool", 0, 0, core.WITHDRAWN), *mine]
        if not mine:
            return body, headers
        tools = {e.value: tool_of(protocol, e.value) for e in mine if e.kind == "tool" and e.value != core.WITHDRAWN}
        return apply(protocol, body, headers, mine, self._said, tools)


def tool_of(protocol: Protocol, value: str) -> bytes:
    """The JSON of the tool that an edit's ``value`` names."""
    if not value.startswith(core.PROVIDER_TOOL):
        return consulting.tool(protocol)
    _, model, uses, tokens = value.split("|")
    return consulting.provider_tool(model, int(uses), int(tokens))
