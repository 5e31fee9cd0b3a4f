"""What each model takes: forms of thinking, efforts, sampling, tools, window. Facts from the price map and data/targets.toml."""

from __future__ import annotations

from dataclasses import dataclass

from pointsman.core.types import Request


@dataclass(frozen=True, slots=True)
class Target:
    """The forms one model takes; ``source`` says where each fact is from. Lengths in tokens."""

    model: str
    vendor: str = ""
    known: bool = False
    thinking: tuple[str, ...] = ()
    always_on: bool = False
    efforts: tuple[str, ...] = ()
    default_effort: str | None = None
    sampling: bool = True
    forced_tool: bool = True
    prefill: bool = True
    system_messages: bool = True
    effort_messages: bool = False
    json_schema: bool = True
    tool_reference: bool = False
    vision: bool = True
    tools: bool = True
    fast: bool = False
    max_output: int | None = None
    window: int | None = None
    source: str = ""

    def accepts(self, request: Request, prompt: int) -> str | None:
        """Why ``request`` of ``prompt`` tokens cannot be sent to this model even after conversion; None: it can."""
        return None

    def conversions(self, request: Request, effort: str | None) -> tuple[str, ...]:
        """What must be changed in ``request`` so that this model takes it at ``effort``."""
        return ()
