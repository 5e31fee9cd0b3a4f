"""Which additions to a lane's history are in force, and the prompt as its provider sees it with them. Pure.

Theory of operation. The client sends its own history and never learns of ours. What a request carries beyond it (an effort
change, advice, a call of the advisor) is an ``Edit`` with a place in the client's messages. It is made at the end of what has
been sent, and every later request repeats it there, byte for byte: otherwise we would destroy the very cache we price
(WIRE.md 3). An edit falls where the history before it is no longer the one it was made after. Warmth is reckoned on ``sent``,
the messages with the edits among them, so that a config whose cache was written without an edit is found to differ there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b

from pointsman.core.decisions import Edit
from pointsman.core.messages import Message
from pointsman.core.targets import Target
from pointsman.core.types import Config, Protocol, Request

IN_BAND: Mapping[Protocol, str] = {"messages": "anthropic", "responses": "openai"}
"""The wire formats that have an effort change inside the history, and whose models read it there: no translation carries it."""

TOOL, PROVIDER_TOOL, WITHDRAWN = "consult_advisor", "advisor_20260301", "withdrawn"
"""The forms of the tool by which a model asks for advice: ours, Anthropic's own, and that one taken back with what it left in the
history: the API refuses its blocks without the tool (advisor-tool page, August 2026)."""

EFFORT_CHARS = 60
"""Characters of an effort message on the wire, either form."""


def standing(edits: tuple[Edit, ...], messages: tuple[Message, ...], kept: int) -> tuple[Edit, ...]:
    """The edits that still stand: the first ``kept`` of ``messages`` are those of the lane's last request.

    One that divides a message (``into``) needs that message too, once it has been seen: until then it stands only where a
    message follows that could be it, for the same request again gets an answer of its own.
    """
    if not edits:
        return edits
    return tuple([edit for edit in edits if _stands(edit, messages, kept)])


def _stands(edit: Edit, messages: tuple[Message, ...], kept: int) -> bool:
    if edit.at == 0:
        return True
    if edit.at > kept or edit.at > len(messages) or messages[edit.at - 1].hash != edit.after:
        return False
    if edit.kind == "consult" and not edit.into and edit.at == len(messages):
        return False  # the answer it was made in is asked for anew
    there = edit.at + edit.skip
    return not edit.into or (there < len(messages) and messages[there].hash == edit.into)


def carried(edits: Iterable[Edit], model: str) -> tuple[Edit, ...]:
    """The edits that a request to ``model`` carries, in the order in which they stand."""
    return tuple(sorted((edit for edit in edits if edit.model in (None, model)), key=lambda edit: edit.at))


def sent(request: Request, edits: tuple[Edit, ...], model: str) -> Request:
    """``request`` as ``model``'s provider sees it: the edits stand among the messages, and the tool among the tools."""
    mine = carried(edits, model) if edits else ()
    if not mine:
        return request
    messages = list(request.messages)
    tools, head_chars = request.tools, request.head_chars
    for edit in reversed(mine):
        if edit.kind == "tool":
            if "tools" not in request.needs:
                continue
            tools, head_chars = tools ^ _name(edit), head_chars + edit.chars
        elif edit.at + edit.skip <= len(messages):
            messages.insert(edit.at + edit.skip, as_message(edit))
    return replace(request, messages=tuple(messages), tools=tools, head_chars=head_chars)


@lru_cache(maxsize=4096)
def as_message(edit: Edit) -> Message:
    """An edit as the message it is on the wire; the same object each time, so that equal histories compare fast."""
    return Message(_name(edit), "system", "reminder", edit.chars)


def provider_advisor(edits: Iterable[Edit]) -> str | None:
    """The model behind Anthropic's own advisor tool among ``edits``; None: it is not offered."""
    values = (edit.value.split("|") for edit in edits if edit.kind == "tool")
    return next((parts[1] for parts in values if parts[0] == PROVIDER_TOOL), None)


def withheld(edits: Iterable[Edit], model: str) -> bool:
    """Whether a request to ``model`` goes without what Anthropic's advisor left in the history."""
    return any(edit.kind == "tool" and (edit.value == WITHDRAWN or edit.model not in (None, model)) for edit in edits)


def withdrawn(edits: tuple[Edit, ...]) -> tuple[Edit, ...]:
    """``edits`` with Anthropic's advisor taken back; the same where it is not offered."""
    if provider_advisor(edits) is None:
        return edits
    own = PROVIDER_TOOL + "|"
    return tuple([Edit("tool", 0, 0, WITHDRAWN) if edit.value.startswith(own) else edit for edit in edits])


def _name(edit: Edit) -> int:
    """A hash that only this edit has. Where it goes is known later than what it is: ``into`` does not count."""
    text = f"{edit.kind}|{edit.at}|{edit.after}|{edit.value}|{edit.model}"
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def place_of(messages: tuple[Message, ...], kept: int) -> int | None:
    """After how many messages advice belongs: behind the last words of the user or of a tool, before system messages.

    None where that place lies in what was sent before (``kept`` messages): the middle of a history is never edited.
    """
    at = len(messages)
    while at and messages[at - 1].role in ("system", "developer"):
        at -= 1
    if not at or at < kept or messages[at - 1].role == "assistant":
        return None
    return at


def chars(edits: Iterable[Edit], model: str) -> int:
    """Characters that the edits add to a request to ``model``."""
    return sum(edit.chars for edit in carried(edits, model))


# -- effort ------------------------------------------------------------------------------------------------------------


def in_band(request: Request, target: Target) -> bool:
    """Whether effort can be changed inside this history, so that the cache is kept."""
    return target.effort_messages and IN_BAND.get(request.protocol) == target.vendor and bool(target.efforts)


def effort_in_force(request: Request, edits: Iterable[Edit], model: str) -> str | None:
    """The effort that ``model`` works at with these edits: the last one set holds, the client's or ours."""
    own = next((i for i in range(len(request.messages) - 1, -1, -1) if "effort" in request.messages[i].facts), -1)
    ours = [edit for edit in carried(edits, model) if edit.kind == "effort"]
    return ours[-1].value if ours and ours[-1].at > own else request.effort


def effort_edit(request: Request, edits: tuple[Edit, ...], chosen: Config, target: Target, *, in_loop: bool) -> Edit | None:
    """The effort message that has ``chosen`` work at its effort from here on; None where nothing need or can be said.

    Anthropic's acts from the next words of the user: it goes right behind them, after the client's own, and never into a tool
    loop, where it would do nothing (effort-per-message page, November 2026). OpenAI's update acts at once.
    """
    if not request.messages or not in_band(request, target):
        return None
    holds = effort_in_force(request, edits, chosen.model)
    ours = any(edit.kind == "effort" for edit in carried(edits, chosen.model))
    wanted = target.nearest_effort(chosen.effort or (target.default_effort if ours else None))
    if wanted is None or wanted == target.nearest_effort(holds):
        return None
    if request.messages[-1].role == "assistant" or (in_loop and request.protocol == "messages"):
        return None
    return Edit("effort", len(request.messages), request.messages[-1].hash, wanted, chosen.model, EFFORT_CHARS)


def written(request: Request, chosen: Config, target: Target) -> Config:
    """``chosen`` as the body's own fields must say it: where effort is set inside the history, they keep the client's."""
    return Config(chosen.model, request.effort) if in_band(request, target) else chosen
