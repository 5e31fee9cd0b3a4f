"""Where each protocol keeps what we read: model, history, system, tools, effort, limits. One function per protocol.

Field names: the vendors' API references and SDK types (anthropic 2.12, openai 2.54), November 2026.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pointsman.core.types import DAY, HALF_DAY, HALF_HOUR, Need, Protocol
from pointsman.errors import WireError
from pointsman.wire.blocks import lifetime
from pointsman.wire.fields import Fields, named
from pointsman.wire.protocols import gemini_span
from pointsman.wire.splice import split_array

OPENAI_TTLS = {"30m": HALF_HOUR, "12h": HALF_DAY, "24h": DAY}
"""``prompt_cache_options.ttl`` and ``prompt_cache_retention``, in seconds; ``in-memory`` asks for nothing longer."""


@dataclass(slots=True)
class Layout:
    """One request taken apart. ``shape`` holds the small fields besides the history that make two requests different, ``keyed``
    those of them by which its vendor keys its cache."""

    model: str
    history: list[msgspec.Raw]
    history_name: str
    skipped: int = 0
    system: list[msgspec.Raw] = field(default_factory=list)
    tools: msgspec.Raw | None = None
    stream: bool = False
    effort: str | None = None
    max_output: int | None = None
    speed: str | None = None
    tier: str | None = None
    region: str | None = None
    ttl_s: int | None = None
    cache_key: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    needs: set[Need] = field(default_factory=set)
    shape: dict[str, Any] = field(default_factory=dict)
    keyed: tuple[Any, ...] = ()


def layout_of(protocol: Protocol, path: str, fields: Fields) -> Layout:
    """A request of ``protocol`` taken apart. Raises WireError naming the field that is missing or wrong."""
    return _LAYOUTS[protocol](path, fields)


def _messages(path: str, fields: Fields) -> Layout:
    output = fields.object("output_config")
    thinking = fields.object("thinking")
    choice = fields.object("tool_choice")
    system = fields.raw("system")
    out = Layout(
        model=fields.model(),
        history=fields.items("messages"),
        history_name="messages",
        system=[] if system is None else [system],
        tools=fields.raw("tools"),
        stream=fields.flag("stream"),
        effort=_word(output.get("effort"), "output_config.effort"),
        max_output=fields.number("max_tokens"),
        speed=fields.word("speed"),
        tier=fields.word("service_tier"),
        region=fields.word("inference_geo"),
        metadata=fields.object("metadata"),
    )
    control = fields.object("cache_control")
    if control:
        out.ttl_s = lifetime(control)
    schema = output.get("format") or fields.value("output_format")
    form = {"enabled": "thinking_enabled", "adaptive": "thinking_adaptive", "disabled": "thinking_disabled"}.get(
        str(thinking.get("type"))
    )
    if form:
        out.needs.add(form)  # type: ignore[arg-type]  # all three are needs
    _add(out, "effort", out.effort is not None)
    _add(out, "sampling", _sampling(fields))
    _add(out, "forced_tool", choice.get("type") in ("any", "tool"))
    _add(out, "json_schema", bool(schema))
    _add(out, "fast", out.speed == "fast")
    out.shape = {"tool_choice": choice or None, "format": schema}
    out.keyed = (choice or None, {key: value for key, value in thinking.items() if key != "display"})
    return out


def _chat(path: str, fields: Fields) -> Layout:
    history = fields.items("messages")
    skipped = leading_system(history)
    effort = fields.word("reasoning_effort") or _word(fields.object("reasoning").get("effort"), "reasoning.effort")
    limit = fields.number("max_completion_tokens")
    out = Layout(
        model=fields.model(),
        history=history[skipped:],
        history_name="messages",
        skipped=skipped,
        system=history[:skipped],
        tools=fields.raw("tools") or fields.raw("functions"),
        stream=fields.flag("stream"),
        effort=effort,
        max_output=limit if limit is not None else fields.number("max_tokens"),
        tier=fields.word("service_tier"),
        metadata=_objects(fields.value("metadata")),
    )
    choice, form = fields.value("tool_choice"), _objects(fields.value("response_format"))
    _openai_needs(out, fields, choice, form.get("type") in ("json_schema", "json_object"))
    out.shape = {"tool_choice": choice, "format": form or None, "n": fields.value("n")}
    return out


def _responses(path: str, fields: Fields) -> Layout:
    source = fields.raw("input")
    if source is None:
        raise WireError("the body has no `input`")
    plain = bytes(memoryview(source)[:1]) == b'"'
    history = [_one_prompt(source)] if plain else split_array(source, "`input`")
    instructions = fields.raw("instructions")
    skipped = leading_system(history) if instructions is None else 0
    system = history[:skipped] if instructions is None else [instructions]
    reasoning, text = fields.object("reasoning"), fields.object("text")
    out = Layout(
        model=fields.model(),
        history=history[skipped:],
        history_name="input",
        skipped=skipped,
        system=system,
        tools=fields.raw("tools"),
        stream=fields.flag("stream"),
        effort=_word(reasoning.get("effort"), "reasoning.effort"),
        max_output=fields.number("max_output_tokens"),
        tier=fields.word("service_tier"),
        metadata=_objects(fields.value("client_metadata")) or _objects(fields.value("metadata")),
    )
    _add(out, "stored_history", bool(fields.value("previous_response_id") or fields.value("conversation")))
    choice, form = fields.value("tool_choice"), _objects(text.get("format"))
    _openai_needs(out, fields, choice, form.get("type") in ("json_schema", "json_object"))
    out.shape = {
        "tool_choice": choice, "format": form or None, "previous_response_id": fields.value("previous_response_id"),
    }  # fmt: skip
    if out.tools is None and instructions is None:
        _take_carried_tools(out)
    return out


def _take_carried_tools(out: Layout) -> None:
    """Codex 0.169 gives its newest models their tools in an item of their own in front of the history."""
    for n, raw in enumerate(out.system):
        try:
            item = _ADDITIONAL.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        if item.type == "additional_tools" and bytes(memoryview(item.tools)[:1]) == b"[":
            out.tools, out.system = item.tools, out.system[:n] + out.system[n + 1 :]
            return


def _gemini(path: str, fields: Fields) -> Layout:
    span = gemini_span(path)
    if span is None:
        raise WireError("the path of a gemini request does not name its model")
    config = fields.object("generationConfig")
    thinking = _objects(config.get("thinkingConfig"))
    system, limit = fields.raw("systemInstruction"), config.get("maxOutputTokens")
    out = Layout(
        model=named(path[span[0] : span[1]], "the model in the path"),
        history=fields.items("contents"),
        history_name="contents",
        system=[] if system is None else [system],
        tools=fields.raw("tools"),
        stream=":streamGenerateContent" in path,
        effort=_word(thinking.get("thinkingLevel"), "generationConfig.thinkingConfig.thinkingLevel"),
        max_output=limit if isinstance(limit, int) else None,
    )
    _add(out, "effort", out.effort is not None)
    _add(out, "sampling", any(config.get(name) not in (None, 1) for name in ("temperature", "topP", "topK")))
    _add(out, "json_schema", "responseSchema" in config or "responseJsonSchema" in config)
    calling = _objects(_objects(fields.value("toolConfig")).get("functionCallingConfig"))
    _add(out, "forced_tool", calling.get("mode") == "ANY")
    out.shape = {"tool_choice": calling or None, "format": config.get("responseSchema")}
    return out


_LAYOUTS: Mapping[Protocol, Callable[[str, Fields], Layout]] = {
    "messages": _messages,
    "chat": _chat,
    "responses": _responses,
    "gemini": _gemini,
}


def _openai_needs(out: Layout, fields: Fields, choice: Any, schema: bool) -> None:
    """What Chat Completions and Responses have in common."""
    options = _objects(fields.value("prompt_cache_options"))
    retention = options.get("ttl") or fields.value("prompt_cache_retention")
    out.ttl_s = OPENAI_TTLS.get(retention) if isinstance(retention, str) else None
    out.cache_key = fields.text("prompt_cache_key")
    out.keyed = (out.tier, out.cache_key)
    _add(out, "effort", out.effort is not None)
    _add(out, "sampling", _sampling(fields))
    _add(out, "forced_tool", choice == "required" or isinstance(choice, dict))
    _add(out, "json_schema", schema)


def _sampling(fields: Fields) -> bool:
    """Whether sampling is set to anything but the default, which every model takes."""
    return fields.value("temperature") not in (None, 1) or fields.value("top_p") not in (None, 1) or bool(fields.value("top_k"))


def _add(out: Layout, need: Need, really: bool) -> None:
    if really:
        out.needs.add(need)


class _Role(msgspec.Struct):
    role: str = ""


_ROLE = msgspec.json.Decoder(_Role)


class _Additional(msgspec.Struct):
    type: str = ""
    tools: msgspec.Raw = msgspec.Raw(b"")


_ADDITIONAL = msgspec.json.Decoder(_Additional)


def leading_system(history: list[msgspec.Raw]) -> int:
    """How many messages at the start are the system prompt."""
    for count, raw in enumerate(history):
        try:
            role = _ROLE.decode(raw).role
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return count
        if role not in ("system", "developer"):
            return count
    return len(history)


def _one_prompt(source: msgspec.Raw) -> msgspec.Raw:
    """A string ``input`` is one message of the user."""
    return msgspec.Raw(b'{"role":"user","content":' + bytes(source) + b"}")


def _objects(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _word(value: Any, name: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise WireError(f"`{name}` is not a string")
    return None if value is None else named(value, f"`{name}`")
