"""What a running gateway needs of the settings, as plain values: its process does without the validation that made them.

Theory of operation
    ``pointsman serve`` reads and validates the settings (pydantic alone takes 11 MB), then becomes the gateway's process by
    ``exec``: same process id, same terminal, nothing of the validation left. The values travel through a pipe, so they are
    seen by nobody and leave no file.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from pointsman.core.policy import SILENCE_S, Policy

if TYPE_CHECKING:
    from pointsman.settings import Settings


@dataclass(frozen=True, slots=True)
class Place:
    """A deployment: its base URL, whose API it speaks, and the environment variable with its key."""

    url: str
    vendor: str
    key_env: str | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """Validated settings. ``laws``: the policy; ``origins``: key to where it was set."""

    laws: Policy
    profile: str
    mode: str
    port: int
    titles: bool
    upstream: str | None
    deadline_s: float
    upstreams: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    deployments: dict[str, Place] = field(default_factory=dict)
    fallbacks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    prices: dict[str, dict[str, Any]] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    silence_s: float = SILENCE_S

    def policy(self) -> Policy:
        """The policy that the settings make."""
        return self.laws

    def origin(self, key: str) -> str:
        """Where ``key`` was set."""
        return self.origins.get(key, "default")


def served(settings: Settings) -> Served:
    """The plain values of validated settings."""
    places = {name: Place(str(d.url), d.vendor, d.key_env) for name, d in settings.deployments.items()}
    prices = {name: price.model_dump(exclude_none=True) for name, price in settings.prices.items()}
    origins = {key: settings.origin(key) for key in ("fallbacks", "deployments", "prices")}
    return Served(
        settings.policy(), settings.profile, settings.mode, settings.port, settings.titles, settings.upstream,
        settings.deadline_s, dict(settings.upstreams), dict(settings.keys), places, dict(settings.fallbacks), prices, origins,
        settings.silence_s,
    )  # fmt: skip


def become(settings: Settings, host: str) -> NoReturn:
    """Turn this process into the gateway of ``settings``; it does not return. Raises OSError when it cannot."""
    data = msgspec.json.encode(served(settings))
    ours, theirs = os.pipe()
    os.set_inheritable(ours, True)
    pour(data, ours, theirs)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", "pointsman.shell", str(ours), host])


def pour(data: bytes, ours: int, theirs: int) -> None:
    """Write ``data`` into the end ``theirs`` of a pipe that is read later, and close it.

    What the pipe takes at once goes in at once (Linux holds 64 kB, macOS 16 kB, another system perhaps 512 bytes); a process of
    its own writes the rest. ``ours``: the end that is read.
    """
    os.set_blocking(theirs, False)
    try:
        held = os.write(theirs, data)
    except BlockingIOError:
        held = 0
    if held < len(data) and os.fork() == 0:
        try:
            os.close(ours)  # so that the writing ends when nobody reads any more
            os.set_blocking(theirs, True)
            with os.fdopen(theirs, "wb") as out:
                out.write(data[held:])
        finally:
            os._exit(0)
    os.close(theirs)


def announce(settings: Settings | Served, url: str) -> None:
    """Say that the gateway listens on ``url``, and how to point an agent at it."""
    where = settings.upstream or "the vendors' public APIs"
    print(f"pointsman listens on {url} and forwards to {where}; profile {settings.profile}, mode {settings.mode}",
          flush=True)
    print(f"  ANTHROPIC_BASE_URL={url}  OPENAI_BASE_URL={url}/v1    (stop with ctrl-c)", flush=True)
