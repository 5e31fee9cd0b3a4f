"""A decision into bytes: the body as it came, with only the decided fields changed.

Theory of operation
    Where nothing was decided the very same bytes object goes back. Otherwise the model is spliced in by address, and
    with it what the chosen model cannot take in the client's form (``core.targets`` says what; ``wire.converting`` how,
    for Anthropic). Every change is a pure function of the field or message it changes: the same message is always
    rewritten to the same bytes, or the rewritten history would not be the prefix that the provider has cached.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from pointsman.core.targets import Target
from pointsman.core.types import Config, Protocol, Request
from pointsman.errors import WireError
from pointsman.wire import converting, gemini
from pointsman.wire.digest import decode
from pointsman.wire.protocols import gemini_span
from pointsman.wire.recalling import chat_marks
from pointsman.wire.splice import Change, Opened, drop, open_body, open_object, put, splice

SAMPLING = ("temperature", "top_p", "top_k")


def write(protocol: Protocol, path: str, body: bytes, request: Request, chosen: Config, target: Target) -> tuple[bytes, str]:
    """Body and path that ask ``chosen`` for what ``request`` asked; ``target`` is what the chosen model takes.

    Both come back as they were, the same objects, when ``chosen`` is what was asked (effort None keeps the client's).
    ``target.accepts`` must have agreed: what it refuses is not converted here. Raises WireError when an address in the
    body is ambiguous (a field twice, or its name written with escapes).
    """
    same_model = chosen.model == request.model
    if same_model and chosen.effort in (None, request.effort):
        return body, path
    if protocol == "gemini":
        return gemini.converted(body, request, chosen, target), path if same_model else _gemini_path(path, chosen)
    taken = target.nearest_effort(chosen.effort) if target.efforts else chosen.effort
    if same_model and taken in (None, request.effort):
        return body, path  # the nearest effort that this model takes is the one it has
    opened = open_body(body)
    change = Change(opened)
    if same_model:
        _effort(protocol, change, taken)
        rewrite = converting.history if protocol == "messages" else converting.updates
        change.inner += rewrite(opened, request, target, chosen.effort, same_model=True)
    else:
        change.set("model", _json(chosen.model))
        _CONVERT[protocol](change, request, chosen, target)
    return splice(body, change.edits()), path


def _gemini_path(path: str, chosen: Config) -> str:
    span = gemini_span(path)
    if span is None:
        raise WireError("the path of a gemini request does not name its model")
    return path[: span[0]] + chosen.model + path[span[1] :]


def _to_messages(change: Change, request: Request, chosen: Config, target: Target) -> None:
    """Anthropic Messages: effort, thinking, limits, sampling, and system messages inside the history."""
    effort = _convert_effort("messages", change, request, chosen, target)
    limit = _limit(change, request, target, ("max_tokens",))
    if "fast" in request.needs and not target.fast:
        change.gone.append("speed")
    if converting.thinking(change, request, target, effort, limit):  # sampling and thinking exclude each other (Anthropic)
        change.gone += [name for name in SAMPLING if name in change.opened.spans and "sampling" in request.needs]
    decided = chosen.effort if chosen.effort != request.effort else None
    change.inner += converting.history(change.opened, request, target, decided)
    change.inner += converting.placeholder(change.opened, target)


def _to_chat(change: Change, request: Request, chosen: Config, target: Target) -> None:
    """OpenAI Chat Completions."""
    _convert_effort("chat", change, request, chosen, target)
    spans = change.opened.spans
    if target.vendor == "anthropic":
        change.inner += chat_marks(change.opened)
    if target.vendor == "openai" and not target.sampling and "max_tokens" in spans and "max_completion_tokens" not in spans:
        limit = _limit(change, request, target, ())  # OpenAI's reasoning models know the limit by its newer name only
        change.gone.append("max_tokens")
        change.set("max_completion_tokens", bytes(change.opened.fields["max_tokens"]) if limit is None else _json(limit))
    else:
        _limit(change, request, target, ("max_completion_tokens", "max_tokens"))


def _to_responses(change: Change, request: Request, chosen: Config, target: Target) -> None:
    """OpenAI Responses; effort changes inside the input go where the target does not take them."""
    _convert_effort("responses", change, request, chosen, target)
    _limit(change, request, target, ("max_output_tokens",))
    decided = chosen.effort if chosen.effort != request.effort else None
    change.inner += converting.updates(change.opened, request, target, decided)


_CONVERT: Mapping[Protocol, Callable[[Change, Request, Config, Target], None]] = {
    "messages": _to_messages,
    "chat": _to_chat,
    "responses": _to_responses,
}

_EFFORT_FIELD: Mapping[Protocol, str] = {"messages": "output_config", "responses": "reasoning"}
"""Objects that hold ``effort``; Chat Completions has ``reasoning_effort`` of its own (OpenRouter: ``reasoning``)."""


def _convert_effort(protocol: Protocol, change: Change, request: Request, chosen: Config, target: Target) -> str | None:
    """Set the effort field to the decided effort, else to the client's, each as the nearest that the target takes.

    The field may differ from ``request.effort``, which an effort message inside the history overrules. Returns the effort
    that will hold.
    """
    field = _field_effort(protocol, change.opened)
    decided = chosen.effort if chosen.effort != request.effort else None
    taken = target.nearest_effort(decided if decided is not None else field)
    if taken != field:
        _effort(protocol, change, taken)
    return target.nearest_effort(decided if decided is not None else request.effort)


def _field_effort(protocol: Protocol, opened: Opened) -> str | None:
    """The effort in the body's own field."""
    if protocol == "chat" and "reasoning_effort" in opened.fields:
        value = decode(opened.fields["reasoning_effort"], "`reasoning_effort`")
        return value if isinstance(value, str) else None
    name = _EFFORT_FIELD.get(protocol, "reasoning")
    config = decode(opened.fields[name], f"`{name}`") if name in opened.fields else None
    value = config.get("effort") if isinstance(config, dict) else None
    return value if isinstance(value, str) else None


def _effort(protocol: Protocol, change: Change, effort: str | None) -> None:
    """Set the effort, or take it out where the target has none."""
    opened = change.opened
    if protocol == "chat" and ("reasoning_effort" in opened.spans or "reasoning" not in opened.spans):
        change.put("reasoning_effort", None if effort is None else _json(effort))
        return
    name = _EFFORT_FIELD.get(protocol, "reasoning")
    raw = opened.fields.get(name)
    if raw is None or bytes(raw) == b"null":
        if effort is not None:
            change.set(name, b'{"effort":' + _json(effort) + b"}")
        return
    inner = open_object(opened.data, opened.spans[name][0], raw, f"`{name}`")
    if effort is not None:
        change.inner.append(put(inner, "effort", _json(effort)))
    elif set(inner.spans) <= {"effort"}:
        change.gone.append(name)
    else:
        change.inner += drop(inner, ["effort"])


def _limit(change: Change, request: Request, target: Target, names: tuple[str, ...]) -> int | None:
    """Clamp the answer limit to what the target takes and leave out sampling that it refuses; returns the limit."""
    change.gone += _sampling(change.opened, request, target)
    limit = target.clamped(request.max_output)
    if limit is not None and limit != request.max_output:
        for name in names:
            if name in change.opened.spans:
                change.set(name, _json(limit))
    return limit


def _sampling(opened: Opened, request: Request, target: Target) -> list[str]:
    if "sampling" not in request.needs or target.sampling:
        return []
    return [name for name in SAMPLING if name in opened.spans]


def _json(value: str | int) -> bytes:
    return msgspec.json.encode(value)
