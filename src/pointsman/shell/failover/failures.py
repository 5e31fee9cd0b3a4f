"""How a provider fails before its first content byte: what it says, and whether somebody else should be asked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pointsman.core.types import Protocol
from pointsman.errors import PointsmanError, Unreached, UpstreamError
from pointsman.shell.bodies import BODY_LIMIT, plain
from pointsman.shell.upstream import REFUSALS, Answer, Headers, forwardable, received

HOP_STATUS = frozenset({500, 502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 529})
"""The provider's own failures; 429 counts too, unless it asks for a wait that is shorter than ``PATIENCE_S``."""

PATIENCE_S = 10.0
"""Seconds of retry-after that are short: a client that is limited (429) keeps them itself, and for a provider that fails they are
waited out where leaving its cache costs more."""

WORDS_S = 10.0
"""Seconds that a provider which failed gets to say why."""


@dataclass(frozen=True, slots=True)
class Failed:
    """How a provider failed before its first content byte: in words, with its ``status`` (None: no answer came).

    ``retry_after``: seconds that it asked for. ``reached`` False: there was no connection.
    """

    why: str
    status: int | None = None
    retry_after: float | None = None
    reached: bool = True


@dataclass(frozen=True, slots=True)
class Failure:
    """A provider's answer that says it failed, kept to be relayed verbatim. ``retry_after`` in seconds.

    ``final``: the client's own request was wrong, and nobody else is asked.
    """

    status: int
    reason: str | None
    headers: Headers
    body: bytes
    retry_after: float | None
    final: bool = False

    @property
    def failed(self) -> Failed:
        """The same for the ledger."""
        return Failed(f"answered {self.status}", self.status, self.retry_after)


def broke(error: UpstreamError) -> Failed:
    """A connection that failed, or was never made."""
    return Failed(str(error), reached=not isinstance(error, Unreached))


async def failure_of(answer: Answer, gone: bool, now: float, protocol: Protocol) -> Failure | None:
    """An answer as a failure that somebody else, or another form of the request, may make good; None: it is relayed as it comes.

    Whoever took over (``gone``) and refuses the request fails it: its client did not ask there. Raises UpstreamError.
    """
    retry_after = seconds(answer.headers.get("Retry-After"), now)
    refused = gone and answer.status in REFUSALS | {401, 402}
    final = not refused and not hops(answer.status, retry_after)
    if final and not (protocol == "responses" and answer.status == 400):  # those may be about reasoning that we sent elsewhere
        return None
    pieces, size = [], 0
    try:
        async with asyncio.timeout(WORDS_S):
            while (chunk := await received(answer)) and size <= BODY_LIMIT:
                pieces.append(chunk)
                size += len(chunk)
    except TimeoutError:
        raise UpstreamError(f"{answer.url.host} answered {answer.status} and said no more") from None
    if size > BODY_LIMIT:
        raise UpstreamError(f"{answer.url.host} answered {answer.status} and said too much")
    return Failure(answer.status, answer.reason, forwardable(answer.raw_headers), b"".join(pieces), retry_after, final)


async def unread(failure: Failure) -> bool:
    """Whether a provider of OpenAI's models says that it cannot read encrypted reasoning: it is bound to an organization."""
    if failure.status != 400:
        return False
    encoding = next((value for name, value in failure.headers if name.lower() == "content-encoding"), "")
    try:
        return b"invalid_encrypted_content" in await plain(failure.body, encoding, BODY_LIMIT)
    except PointsmanError:
        return False


def hops(status: int, retry_after: float | None) -> bool:
    """Whether an answer with ``status`` means that somebody else should be asked."""
    if status == 429:
        return retry_after is None or retry_after > PATIENCE_S
    return status in HOP_STATUS


def seconds(value: str | None, now: float) -> float | None:
    """A Retry-After header in seconds: a number, or an HTTP date; None where it is neither."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (TypeError, ValueError, OverflowError):
        return None
