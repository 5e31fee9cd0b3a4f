"""The one HTTP client that takes requests to their providers.

Only hop-by-hop headers are dropped; nothing is added, decoded, quoted or redirected. A request is sent again once, and
only when nothing of an answer had been received (a kept-alive connection that the provider closed in the meantime).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Protocol as Shape
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from pointsman.errors import Unreached, UpstreamError
from pointsman.shell.bodies import Upload, sendable

CONNECT_S = 30.0
KEEP_ALIVE_S = 50.0
"""Seconds an idle connection is kept: below the 60 s after which common load balancers (AWS ALB) close theirs."""

HEADER_LIMIT = 256 * 1024
HEADERS_AT_MOST = 1_000

HOP_BY_HOP = frozenset((
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
))  # fmt: skip
"""RFC 9110 section 7.6.1, and the obsolete Proxy-Connection."""

AUTOMATIC = ("accept", "accept-encoding", "user-agent", "content-type")
"""Headers that aiohttp would add by itself."""

Headers = list[tuple[str, str]]


def forwardable(raw: Iterable[tuple[bytes, bytes]], also_drop: Iterable[str] = ()) -> Headers:
    """Raw headers without the hop-by-hop ones and ``also_drop`` (lower case); order, case and repeats are kept.

    A repeat is spelled like the first: aiohttp's client drops one that is spelled otherwise.
    """
    pairs = [(_text(name), _text(value)) for name, value in raw]
    drop = HOP_BY_HOP | set(also_drop)
    for name, value in pairs:
        if name.lower() == "connection":
            drop |= {token.strip().lower() for token in value.split(",")}
    spelled: dict[str, str] = {}
    return [(spelled.setdefault(name.lower(), name), value) for name, value in pairs if name.lower() not in drop]


def by_name(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers by lower-case name; one that stands on several lines is one list (RFC 9110 section 5.3)."""
    found: dict[str, str] = {}
    for name, value in pairs:
        key = name.lower()
        found[key] = f"{found[key]}, {value}" if key in found else value
    return found


def replaced(headers: Headers, name: str, value: str | None) -> Headers:
    """The headers with ``name`` (lower case) set to ``value`` in its first place, or left out when it is None."""
    out: Headers = []
    for key, old in headers:
        if key.lower() != name:
            out.append((key, old))
        elif value is not None:
            out.append((key, value))
            value = None  # further lines of it are in the value
    return out


REFUSALS = frozenset({400, 403, 404, 413, 422})
"""Answers that, to a request we changed, mean that our change was wrong (WIRE.md 1)."""


def resized(headers: Headers, size: int) -> Headers:
    """The headers of a body that we wrote: ``size`` bytes, under no content coding."""
    return replaced(replaced(headers, "content-encoding", None), "content-length", str(size))


def edited(headers: Headers, before: Mapping[str, str], after: Mapping[str, str]) -> Headers:
    """The headers with what differs between two mappings (lower-case keys) changed, left out, or added at the end."""
    if after is before:
        return headers
    after = {name.lower(): value for name, value in after.items()}
    for name in before.keys() | after.keys():
        if name not in before:
            headers = [*headers, (name, after[name])]
        elif before[name] != after.get(name):
            headers = replaced(headers, name, after.get(name))
    return headers


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


class _Place(Shape):
    @property
    def host(self) -> str | None:
        """Whose answer it is."""


class _Content(Shape):
    async def readany(self) -> bytes:
        """What has arrived, empty at the end."""


class Answer(Shape):
    """What the relay asks of an answer; aiohttp's own have it, and translated ones (``shell.translation.translator``)."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def reason(self) -> str | None:
        """The words beside it."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, looked up in any case."""

    @property
    def raw_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The headers as they came."""

    @property
    def url(self) -> _Place:
        """Where it came from."""

    @property
    def content(self) -> _Content:
        """The body, as it arrives."""

    def close(self) -> None:
        """Nobody reads on."""


class Outbound:
    """The HTTP client: one connection pool without limits, for the life of the gateway."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S, ttl_dns_cache=60),
            timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=CONNECT_S, sock_read=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=AUTOMATIC,
            max_line_size=HEADER_LIMIT,
            max_field_size=HEADER_LIMIT,
            max_headers=HEADERS_AT_MOST,
        )

    async def send(self, method: str, url: str, headers: Headers, body: Upload) -> aiohttp.ClientResponse:
        """The provider's answer, its body still to be read. Raises UpstreamError where there is none, Unreached where no line."""
        for attempt in (1, 2):
            try:
                return await self._send(method, url, headers, body)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                raise Unreached(f"{_place(url)} cannot be reached: {_words(error)}") from error
            except (aiohttp.ClientError, OSError, TimeoutError, UnicodeError) as error:
                lost = isinstance(error, (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError))
                if attempt == 2 or not lost or not body.whole:
                    raise UpstreamError(f"{_place(url)} gave no answer: {_words(error)}") from error
        raise AssertionError("two attempts either return or raise")

    async def _send(self, method: str, url: str, headers: Headers, body: Upload) -> aiohttp.ClientResponse:
        return await self._session.request(
            method, URL(url, encoded=True), headers=headers, data=sendable(body.head) if body.whole else body.pieces(),
            allow_redirects=False, proxy=_proxy(url),
        )  # fmt: skip

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()


async def received(answer: Answer) -> bytes:
    """The next chunk of an answer as it arrived, empty at its end. UpstreamError when the provider breaks off."""
    try:
        return await answer.content.readany()
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise UpstreamError(f"{answer.url.host} broke off in the middle of its answer: {_words(error)}") from error


@lru_cache(maxsize=64)
def _proxy_for(scheme: str, host: str) -> str | None:
    """The proxy that the environment names for a host, or None; never for this machine."""
    if host in ("localhost", "::1") or host.startswith("127.") or proxy_bypass(host):
        return None
    found = getproxies().get(scheme)
    return f"http://{found}" if found and "://" not in found else found


def _proxy(url: str) -> str | None:
    """The proxy for ``url``. Raises Unreached for one of another kind than HTTP's."""
    parts = urlsplit(url)
    found = _proxy_for(parts.scheme, parts.hostname or "")
    if found and not found.lower().startswith(("http://", "https://")):
        kind = found.partition("://")[0]
        raise Unreached(f"{_place(url)} cannot be reached: the environment names a {kind} proxy, and only HTTP's can be used")
    return found


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _words(error: BaseException) -> str:
    """What went wrong; without the URL, whose query may hold a key, and without what aiohttp quotes of the answer."""
    if isinstance(error, aiohttp.InvalidURL):
        return "the URL cannot be used"
    return unquoted(error.message if isinstance(error, aiohttp.ClientResponseError) else str(error)) or type(error).__name__


def unquoted(words: str) -> str:
    """What aiohttp says of bytes that are no HTTP, without the bytes: they stand on further lines, or behind "when reading"."""
    return words.partition("\n")[0].partition(" when reading: ")[0].rstrip(": ")
