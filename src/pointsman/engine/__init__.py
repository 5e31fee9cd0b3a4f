"""Router: the sans-I/O engine. Bytes of a request in, bytes and a decision out; usage in, events out.

Theory of operation. ``route`` reads the request (wire), finds its session (core.lineage), decides (core.decide) and writes
the decided fields back into the body. ``finish`` takes what the provider billed. Both append events and fold them into
the sessions with ``evolve``; the caller drains ``events()`` into a ledger. Nothing here reads a clock, draws a random
number or does I/O, so the gateway, a LiteLLM plugin, replay and a test run the same code. One thread at a time.
"""

from __future__ import annotations

from pointsman.engine.route import Route, UnderWay
from pointsman.engine.router import Router

__all__ = ["Route", "Router", "UnderWay"]
