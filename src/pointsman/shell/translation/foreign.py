"""Requests to another vendor's model: where they go, whose key they carry, and the answer in the client's own format.

Credentials stay at home: another vendor gets its own key, from the environment variable that belongs to it, or, where one base
URL serves every vendor, what the client sends there anyway. A subscription login goes nowhere else.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import aiohttp

from pointsman.core.foreign import native_of
from pointsman.core.types import Protocol
from pointsman.errors import TranslationError
from pointsman.shell.bodies import Upload
from pointsman.shell.translation.counting import COUNT_AT_MOST, COUNT_S
from pointsman.shell.translation.translator import Spoken, Translator, job_of
from pointsman.shell.upstream import Headers, Outbound
from pointsman.shell.vendors import VENDORS, Upstreams, join
from pointsman.wire.asking import PATHS

if TYPE_CHECKING:
    from pointsman.engine import Route, Router
    from pointsman.shell.desk import Desk
    from pointsman.shell.pending import Pending

KEYS: Mapping[str, str] = {
    "anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY", "google": "GEMINI_API_KEY", "deepseek": "DEEPSEEK_API_KEY",
    "zai": "ZAI_API_KEY", "moonshot": "MOONSHOT_API_KEY", "xai": "XAI_API_KEY", "qwen": "DASHSCOPE_API_KEY",
    "minimax": "MINIMAX_API_KEY",
}  # fmt: skip
"""The environment variable in which each vendor's own documentation puts its key."""

CREDENTIALS = ("x-api-key", "x-goog-api-key", "authorization")
ANTHROPIC_VERSION = "2023-06-01"
CONVERSATION: Mapping[str, str] = {"xai": "x-grok-conv-id"}
"""Headers that keep a conversation on the server which holds its cache (docs.x.ai, cached prompts; design notes, cache.md 1);
OpenAI's is a field of the body, ``prompt_cache_key``."""


class ForeignRoutes:
    """The way to other vendors. ``keys``: vendor to environment variable, before the usual ones.

    ``count_s``: seconds that a session's first request waits at most for its tokens to be counted.
    """

    def __init__(
        self, upstreams: Upstreams, keys: Mapping[str, str], environ: Mapping[str, str] = os.environ
    ) -> None:
        self.translator = Translator()
        self.count_s = COUNT_S
        self._upstreams = upstreams
        self._keys = {**KEYS, **keys}
        self._environ = environ

    @property
    def vendors(self) -> tuple[str, ...]:
        """The vendors that can be reached: those with a key, or all where one base URL serves them."""
        everywhere = self._upstreams.all is not None and not self._upstreams.by_vendor
        return tuple(vendor for vendor in VENDORS if vendor != "chatgpt" and (everywhere or self._key(vendor)))

    @property
    def one_upstream(self) -> bool:
        """Whether one base URL serves every vendor."""
        return self._upstreams.all is not None and not self._upstreams.by_vendor

    def attach(self, router: Router, out: Outbound) -> None:
        """``router`` knows the models and the sessions, ``out`` sends."""
        self._router, self._out = router, out

    def prepare(self, model: str = "", session: str | None = None) -> None:
        """Have the worker ready where the settings, ``model`` and what ``session`` asks for are of more than one vendor."""
        if self.translator.started or not hasattr(self._router, "book"):
            return
        policy, book, known = self._router.policy, self._router.book, self._router.sessions.get(session or "")
        names = {*policy.pool, *(step.name for step in policy.schedule), model}
        names |= {lane.asked.model for lane in known.lanes.values()} if known else set()
        reached = {book.vendor(book.resolve(name) or name) for name in names if name} & set(self.vendors)
        if len(reached) > 1:
            self.translator.warm({native_of(vendor) for vendor in reached})

    async def counted(self, desk: Desk, pending: Pending, path: str, body: bytes, run: str | None) -> int:
        """Tokens of a session's first request by the worker, where one runs and answers at once; else 0."""
        protocol = pending.protocol
        if not self.translator.counts or protocol is None or len(body) > COUNT_AT_MOST:
            return 0
        if not desk.uncounted(path, pending.given, body, pending.started, run, pending.base):
            return 0
        return await self.translator.count(protocol, body, self.count_s)

    def _key(self, vendor: str) -> str:
        return self._environ.get(self._keys.get(vendor, ""), "").strip()

    async def answer(self, bases: Mapping[str, str], home: str, pending: Pending, route: Route) -> Spoken:
        """The answer of ``route``'s model in the client's format.

        ``bases``: vendor to base URL, of the client's run; ``home``: the base URL of the client's own vendor.

        Raises TranslationError (Refused: the provider's error) and UpstreamError.
        """
        target, stream = self._router.book.target(route.model), route.stream
        native = route.native or native_of(target.vendor)
        base = self._upstreams.base(target.vendor, bases)
        headers = self._headers(target.vendor, native, base, home, pending.given)
        url = join_native(base, native, target.model, stream)
        place, row = route.decision.place, route.decision.row(route.decision.chosen)
        key = _name(place.session, place.lane)
        if target.vendor in CONVERSATION:
            headers = [*headers, (CONVERSATION[target.vendor], key)]
        job = job_of(
            route.protocol, native, target, stream=stream, effort=route.effort, cache_key=key,
            prompt=row.prompt if row else 0, read=row.cache_read if row else 0,
        )  # fmt: skip

        async def send(body: bytes) -> aiohttp.ClientResponse:
            return await self._out.send("POST", url, headers, Upload(body))

        return await self.translator.translate(job, route.body, send)

    def door(
        self, vendor: str, model: str, run: Mapping[str, str] | None, *, home: str, given: Mapping[str, str]
    ) -> tuple[str, Headers]:  # fmt: skip
        """URL and headers of a streamed request of our own to ``vendor``. Raises TranslationError where its key is not set."""
        native, base = native_of(vendor), self._upstreams.base(vendor, run)
        return join_native(base, native, model, True), self._headers(vendor, native, base, home, given)

    def _headers(self, vendor: str, native: Protocol, base: str, home: str, given: Mapping[str, str]) -> Headers:
        key = self._key(vendor)
        if not key and base == home:
            key = next((given[name].removeprefix("Bearer ").strip() for name in CREDENTIALS if given.get(name)), "")
        if not key:
            raise TranslationError(f"the key of {vendor} belongs in the variable {self._keys.get(vendor, '')}, which is not set")
        headers = [("content-type", "application/json"), ("accept", "*/*"), ("accept-encoding", "identity")]
        if native == "messages":
            return [*headers, ("x-api-key", key), ("anthropic-version", ANTHROPIC_VERSION)]
        if native == "gemini":
            return [*headers, ("x-goog-api-key", key)]
        return [*headers, ("authorization", f"Bearer {key}")]


def join_native(base: str, native: Protocol, model: str, stream: bool) -> str:
    """The URL at which a vendor is asked; the version segment of ``base`` stands for ours."""
    if native == "gemini":
        action = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return join(base, f"/v1beta/models/{model}:{action}")
    last = base.rpartition("/")[2]
    versioned = last.startswith("v") and last[1:2].isdigit()
    return base + PATHS[native].removeprefix("/v1") if versioned else base + PATHS[native]


def _name(session: str, lane: str) -> str:
    """An opaque name of a conversation: steers the vendor's cache, tells it nothing."""
    return "pm-" + hashlib.blake2b(f"{session}/{lane}".encode(), digest_size=12).hexdigest()
