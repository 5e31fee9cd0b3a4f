"""What a bill shows beside its totals: reasoning that rides along in a turn, and which machine of the provider answered.

Automatic caches live on the machine that served a request (data/cache_rules.toml, scope). A session that overflows to another
one finds a colder cache there; when it comes back, it finds what the first had seen last.
"""

from __future__ import annotations

from collections.abc import Iterable

from pointsman.core.messages import Message
from pointsman.core.types import Usage
from pointsman.core.warmth import Warmth

MOVED_TOKENS, MOVED_SHARE = 1_024, 0.05
"""An automatic cache that lacks more than both of the last prompt is another machine's; one that is a block behind is not."""


def spoken(new: Iterable[Message]) -> bool:
    """Whether ``new`` messages hold words in the user's name: reasoning before them is over."""
    return any(message.role == "user" and message.kind in ("prompt", "reminder") for message in new)


def reasoned(old: Warmth, new: tuple[Message, ...], usage: Usage) -> tuple[int, int]:
    """Reasoning tokens that a prompt carries from earlier answers of its turn, and its tokens before the first of them.

    The prompt was billed ``usage`` and adds ``new`` messages to ``old``. Clients of the Responses protocol send reasoning
    back; whether a provider then drops it is the rule's matter.
    """
    sent_back = old.reasoning if any("thinking" in message.facts for message in new) else 0
    if spoken(new) or not old.carried + sent_back:
        return 0, usage.prompt
    return old.carried + sent_back, old.settled if old.carried else old.prompt


def moved(old: Warmth, new: tuple[Message, ...], usage: Usage) -> bool:
    """Whether a request that adds ``new`` messages to ``old`` found a colder cache than that one had left."""
    least = old.settled if old.carried and spoken(new) else old.prompt
    return least - usage.cache_read > max(MOVED_TOKENS, MOVED_SHARE * least)


def left_on_other(old: Warmth, new: tuple[Message, ...], has_moved: bool) -> int:
    """Tokens that the machine which does not serve the lane now holds of its prompt, after ``new`` messages."""
    if old.carried and spoken(new):
        return min(old.other_machine, old.settled)
    return old.prompt if has_moved else old.other_machine
