"""A provider and an agent for tests and demos: prompt caches, faults on cue and a clock of their own.

It imports nothing of the engine, the wire or the core: an oracle that shares the code under test cannot fail.

    from pointsman.sandbox import Clock, Provider, faults, say, tool_task
"""

from pointsman.sandbox import faults
from pointsman.sandbox.clock import Clock
from pointsman.sandbox.incoming import Incoming
from pointsman.sandbox.provider import Provider
from pointsman.sandbox.reply import Call, Reply, Text, Thinking, say
from pointsman.sandbox.script import Housekeeping, Rules, Script, Steps, Turns
from pointsman.sandbox.tasks import tool_task, use

__all__ = [
    "Call",
    "Clock",
    "Housekeeping",
    "Incoming",
    "Provider",
    "Reply",
    "Rules",
    "Script",
    "Steps",
    "Text",
    "Thinking",
    "Turns",
    "faults",
    "say",
    "tool_task",
    "use",
]
