"""Which weave each protocol has; ``wire.weave`` says what one is."""

from __future__ import annotations

from pointsman.core.types import Protocol
from pointsman.wire.weave import Called, Weave
from pointsman.wire.weaving_gemini import GeminiWeave
from pointsman.wire.weaving_messages import MessagesWeave
from pointsman.wire.weaving_openai import ChatWeave, ResponsesWeave

__all__ = ["Called", "Weave", "weave_of"]


def weave_of(protocol: Protocol, client: str) -> Weave:
    """A fresh weave for an answer to ``client`` in ``protocol``."""
    if protocol == "messages":
        return MessagesWeave(parts=client == "claude")
    others: dict[Protocol, type[ChatWeave | ResponsesWeave | GeminiWeave]] = {
        "chat": ChatWeave, "responses": ResponsesWeave, "gemini": GeminiWeave,
    }  # fmt: skip
    return others[protocol]()
