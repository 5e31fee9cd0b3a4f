"""Where requests go: the vendors' public APIs, the base URLs put in their place, and whose API a path is."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from pointsman.errors import SettingsError

VENDORS: Mapping[str, str] = {
    "anthropic": "https://api.anthropic.com",
    "openai": "https://api.openai.com",
    "google": "https://generativelanguage.googleapis.com",
    "chatgpt": "https://chatgpt.com",
    "deepseek": "https://api.deepseek.com",
    "zai": "https://api.z.ai/api/paas/v4",
    "moonshot": "https://api.moonshot.ai/v1",
    "xai": "https://api.x.ai/v1",
    "qwen": "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
    "minimax": "https://api.minimax.io/v1",
}
"""The vendors' public APIs: where requests go unless settings or the run say otherwise."""


OPENAI_PATHS = ("/chat/completions", "/responses", "/completions", "/embeddings")
"""Paths that only APIs of OpenAI's kind have, under whatever base."""


class Upstreams:
    """Which base URL serves which vendor: of the run, else of the settings, else one for all, else the public API."""

    def __init__(self, all: str | None = None, by_vendor: Mapping[str, str] | None = None) -> None:
        unknown = sorted(set(by_vendor or {}) - set(VENDORS))
        if unknown:
            raise SettingsError(f"upstreams names {unknown[0]!r}; it can name {', '.join(VENDORS)}")
        self.all = checked(all) if all else None
        self.by_vendor = {vendor: checked(url) for vendor, url in (by_vendor or {}).items()}

    def base(self, vendor: str, run: Mapping[str, str] | None = None) -> str:
        """The base URL for requests of ``vendor``, with the upstreams that the run's user had set."""
        return (run or {}).get(vendor) or self.by_vendor.get(vendor) or self.all or VENDORS[vendor]

    def every(self) -> list[str]:
        """All base URLs in use."""
        return [self.base(vendor) for vendor in VENDORS]


def checked(url: str) -> str:
    """``url`` as a base URL, without a final slash. Raises SettingsError when it is none, or carries a password."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise SettingsError(f"the upstream {url!r} is not a base URL such as https://api.anthropic.com")
    if parts.username or parts.password:
        raise SettingsError(f"the upstream on {parts.hostname} carries a password: keys travel in the client's headers")
    return url.rstrip("/")


def vendor_of(path: str, headers: Mapping[str, str]) -> str:
    """Whose API a request speaks, told by path, then by headers (lower-case keys): a key of ``VENDORS``."""
    if path.startswith(("/backend-api", "/wham", "/ps/")):
        return "chatgpt"
    if path.startswith(("/v1beta", "/v1alpha", "/upload/")) or "x-goog-api-key" in headers:
        return "google"
    if path.startswith("/v1/messages"):
        return "anthropic"
    if path.endswith(OPENAI_PATHS):
        return "openai"  # whatever the header is called that its key travels in
    if path.startswith("/api/"):
        return "anthropic"
    if "anthropic-version" in headers or "x-api-key" in headers or "anthropic-beta" in headers:
        return "anthropic"
    agent = headers.get("user-agent", "").lower()
    return "anthropic" if "claude" in agent or "anthropic" in agent else "openai"


def join(base: str, target: str) -> str:
    """The URL of ``target`` (raw path and query) under ``base``; a version segment that both name stands once.

    OpenAI-style base URLs end in ``/v1`` and their paths begin with it.
    """
    last = base.rpartition("/")[2]
    first = target.partition("?")[0].split("/")[1] if target.startswith("/") else ""
    if first and last == first and first.startswith("v") and first[1:2].isdigit():
        base = base[: -len(last) - 1]
    return base + target
