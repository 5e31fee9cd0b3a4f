"""What each model takes: forms of thinking, efforts, sampling, tools, window.

Facts come from the price map's own fields where it has them, else from data/targets.toml, else from plain caution: what
nobody has documented is refused, so that a switch never turns into the agent's error. ``accepts`` says what cannot be
converted at all; ``conversions`` names what the wire layer must change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from pointsman.core.cards import count
from pointsman.core.types import Need, Request

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""Effort names of all vendors, weakest first (notes/cache.md 3.1, 3.2)."""

MARGIN = 1.02
"""Prompt estimates are off by a few per cent: a prompt must fit with this factor to spare."""

ANSWER = 4_096
"""Tokens of room for an answer where the request names no limit."""

SERVER_TOOLS = {"messages": "anthropic", "responses": "openai", "gemini": "google"}
"""Whose server-side tools a request of each protocol can carry."""

FLAGS = {
    "supports_sampling_params": "sampling",
    "supports_forced_tool_use": "forced_tool",
    "supports_assistant_prefill": "prefill",
    "supports_mid_conversation_system": "system_messages",
    "supports_vision": "vision",
    "supports_function_calling": "tools",
    "supports_fast_mode": "fast",
}
"""Map fields that say one of our facts outright, true or false."""

UNCONVERTIBLE: Mapping[Need, str] = {
    "tools": "it takes no tools",
    "vision": "it does not see images",
    "tool_reference": "it does not take the deferred tools in this history",
    "forced_tool": "it refuses a forced tool choice",
    "prefill": "it refuses an answer that the client has begun",
    "json_schema": "it does not promise answers in a JSON schema",
}
"""What a request may need that no conversion helps with, by the field of ``Target`` that says whether a model takes it."""

THINKING_NEEDS = {"thinking_enabled": "enabled", "thinking_adaptive": "adaptive", "thinking_disabled": "none"}


@dataclass(frozen=True, slots=True)
class Target:
    """The forms one model takes; ``source`` says where the facts are from. Lengths in tokens.

    ``thinking`` holds ``adaptive``, ``enabled`` (with a budget), ``between_tools``, ``none`` (may be off) or
    ``always_on`` (cannot be off); ``thinking_off_up_to``: the highest effort at which it may be off or between tools.
    ``efforts``: names it takes, weakest first (empty: it takes none). ``system_messages``: role ``system`` inside the
    history; ``effort_messages``: an effort change there. ``refuses``: betas that it does not take. ``known`` False:
    nothing is documented about this model, so it is never offered. ``output_in_window``: the answer counts against ``window``.
    ``binds``: it refuses thinking blocks that were written after another form of the history.
    """

    model: str
    vendor: str = ""
    known: bool = False
    thinking: tuple[str, ...] = ()
    efforts: tuple[str, ...] = ()
    default_effort: str | None = None
    thinking_off_up_to: str | None = None
    sampling: bool = True
    forced_tool: bool = True
    prefill: bool = True
    system_messages: bool = False
    effort_messages: bool = False
    json_schema: bool = False
    tool_reference: bool = False
    vision: bool = False
    tools: bool = False
    fast: bool = False
    binds: bool = False
    max_output: int | None = None
    window: int | None = None
    output_in_window: bool = True
    source: str = ""
    refuses: tuple[str, ...] = ()

    def accepts(self, request: Request, prompt: int) -> str | None:
        """Why ``request`` of ``prompt`` tokens cannot be sent to this model even after conversion; None: it can.

        ``prompt`` counts this model's own tokens. The reason is a sentence fragment: "it does not see images".
        """
        if not self.known:
            return "nothing is documented about what it takes"
        for need, reason in UNCONVERTIBLE.items() if request.needs else ():
            if need in request.needs and not getattr(self, need):
                return reason
        owner = SERVER_TOOLS.get(request.protocol, self.vendor)
        if "server_tools" in request.needs and "tools" not in request.needs and owner != self.vendor:
            return f"the request uses tools that {owner} runs itself"
        return self._too_long(request, prompt)

    def _too_long(self, request: Request, prompt: int) -> str | None:
        if self.window is None:
            return None
        room = self.clamped(request.max_output) or ANSWER
        need = round(prompt * MARGIN) + (room if self.output_in_window else 0)
        if need <= self.window:
            return None
        said = f"about {prompt:,} prompt tokens" + (f" and {room:,} for the answer" if self.output_in_window else "")
        return f"{said} do not fit its window of {self.window:,}"

    def clamped(self, max_output: int | None) -> int | None:
        """The answer limit that this model takes instead of ``max_output``."""
        if max_output is None or self.max_output is None:
            return max_output
        return min(max_output, self.max_output)

    def nearest_effort(self, effort: str | None) -> str | None:
        """``effort`` itself, else the next weaker one it takes, else its weakest; None where it takes none."""
        if effort is None or not self.efforts or effort in self.efforts:
            return effort if self.efforts else None
        if effort not in EFFORTS:
            return None
        rank = EFFORTS.index(effort)
        weaker = [name for name in self.efforts if name in EFFORTS and EFFORTS.index(name) < rank]
        return weaker[-1] if weaker else self.efforts[0]

    def thinking_for(self, wanted: str, effort: str | None = None) -> str:
        """The form of thinking to send for ``adaptive``, ``enabled`` or ``none``; "" where the field must go.

        ``effort``: the one that will be sent; above ``thinking_off_up_to`` thinking cannot be off.
        """
        if wanted != "none":
            other = "adaptive" if wanted == "enabled" else "enabled"
            return next((form for form in (wanted, other) if form in self.thinking), "")
        forms = ("none", "between_tools", "adaptive") if self._may_be_off(effort or self.default_effort) else ("adaptive",)
        return next((form for form in forms if form in self.thinking), "")

    def _may_be_off(self, effort: str | None) -> bool:
        if self.thinking_off_up_to is None or effort not in EFFORTS:
            return True
        return EFFORTS.index(effort) <= EFFORTS.index(self.thinking_off_up_to)

    def conversions(self, request: Request, effort: str | None) -> tuple[str, ...]:
        """What must change in ``request`` so that this model takes it at ``effort``; empty when nothing must."""
        needs, out = request.needs, []
        wanted_effort = effort if effort is not None else request.effort
        taken = self.nearest_effort(wanted_effort)
        for need, wanted in THINKING_NEEDS.items():
            form = self.thinking_for(wanted, taken) if need in needs else wanted
            if form != wanted:
                out.append(f"thinking {wanted} becomes {form}" if form else f"thinking {wanted} is dropped")
        if wanted_effort is not None and taken != wanted_effort:
            out.append(f"effort {wanted_effort} becomes {taken}" if taken else f"effort {wanted_effort} is dropped")
        if "sampling" in needs and not self.sampling:
            out.append("sampling parameters are dropped")
        if "system_messages" in needs and not self.system_messages:
            out.append("system messages in the history become user reminders")
        if "effort_messages" in needs and not self.effort_messages:
            out.append("effort messages in the history are dropped")
        if "fast" in needs and not self.fast:
            out.append("fast mode is dropped")
        limit = self.clamped(request.max_output)
        if limit != request.max_output:
            out.append(f"the answer limit becomes {limit:,} tokens")
        return tuple(out)


def read_target(
    model: str, vendor: str, row: Mapping[str, Any], facts: Mapping[str, Any] | None, window: int | None = None
) -> Target:
    """The Target of one model from its price-map ``row`` and its ``facts`` in data/targets.toml (either may be missing).

    ``window``: the user's own figure, which wins.
    """
    facts = facts or {}
    if not row and not facts:
        return Target(model, vendor, window=window, source="unknown")
    known: dict[str, Any] = {
        name: facts[name]
        for name in ("sampling", "forced_tool", "prefill", "system_messages", "effort_messages", "tool_reference",
                     "fast", "binds", "output_in_window", "default_effort", "thinking_off_up_to")
        if name in facts
    }  # fmt: skip
    known.setdefault("prefill", False)
    known["vision"] = known["tools"] = not row and bool(facts)
    known.update({ours: row[field] for field, ours in FLAGS.items() if isinstance(row.get(field), bool)})
    schema = [row.get("supports_native_structured_output"), row.get("supports_response_schema")]
    known["json_schema"] = any(flag is True for flag in schema) or (not row and bool(facts))
    return Target(
        model=model,
        vendor=vendor,
        known=True,
        thinking=_thinking(row, tuple(facts.get("thinking", ("none",)))),
        efforts=_efforts(row, tuple(facts.get("efforts", ()))),
        max_output=count(row.get("max_output_tokens")),
        window=window or count(row.get("max_input_tokens")) or count(row.get("max_tokens")),
        source="; ".join(filter(None, (facts.get("source", ""), "price map" if row else ""))),
        **known,
    )


def _thinking(row: Mapping[str, Any], listed: tuple[str, ...]) -> tuple[str, ...]:
    """Forms of thinking: the listed ones, corrected by the map's adaptive, legacy and always-on flags."""
    forms = dict.fromkeys(listed)
    if row.get("supports_adaptive_thinking") is True:
        forms.setdefault("adaptive")
    if row.get("supports_legacy_thinking") is True:
        forms.setdefault("enabled")
    if row.get("thinking_always_on") is True:
        forms.pop("none", None)
        forms.setdefault("always_on")
    if row.get("thinking_always_on") is False:
        forms.pop("always_on", None)
        forms.setdefault("none")
    return tuple(forms)


def _efforts(row: Mapping[str, Any], listed: tuple[str, ...]) -> tuple[str, ...]:
    """Effort names, weakest first: the map's own list, else the listed ones corrected by its flags."""
    levels = row.get("reasoning_effort_levels")
    if isinstance(levels, list) and all(isinstance(level, str) for level in levels):
        return tuple(name for name in EFFORTS if name in levels)
    if not listed:
        return ()
    names = set(listed)
    for name in EFFORTS:
        flag = row.get(f"supports_{name}_reasoning_effort")
        if flag is True:
            names.add(name)
        elif flag is False:
            names.discard(name)
    return tuple(name for name in EFFORTS if name in names)


def refused_betas(target: Target, rows: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The betas among ``rows`` (of data/targets.toml) that are bound to other models than ``target``."""

    def takes(row: Mapping[str, Any]) -> bool:
        if "needs" in row:
            return bool(getattr(target, row["needs"]))
        return any(fnmatchcase(target.model.lower(), pattern) for pattern in row["models"])

    return tuple(row["beta"] for row in rows if target.vendor == "anthropic" and not takes(row))
