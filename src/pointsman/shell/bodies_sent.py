"""The bodies of a recording with what each was billed or counted, for ``core.volatile``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from pointsman import wire
from pointsman.core.volatile import Sent
from pointsman.errors import WireError
from pointsman.shell.history.recorded import answered
from pointsman.shell.recording import Exchange, load


def sent(path: Path) -> Iterator[Sent]:
    """Every model request and token count of the recording, in order; bodies that are no JSON objects are left out."""
    for exchange in load(path).exchanges:
        try:
            body = exchange.json()
        except ValueError:
            continue
        if isinstance(body, dict):
            counted = wire.is_count(exchange.path)
            yield Sent(exchange.n, body, _counted(exchange) if counted else _billed(exchange), counted)


def _counted(exchange: Exchange) -> int | None:
    answer = exchange.response
    if answer is None or answer.status >= 400:
        return None
    try:
        found = json.loads(answer.text)
    except ValueError:
        return None
    tokens = found.get("input_tokens", found.get("totalTokens")) if isinstance(found, dict) else None
    return tokens if isinstance(tokens, int) else None


def _billed(exchange: Exchange) -> int | None:
    protocol = wire.protocol_of(exchange.method, exchange.path)
    if protocol is None or exchange.response is None:
        return None
    try:
        usage = answered(protocol, exchange.response)[0]
    except WireError:
        return None
    return usage.prompt if usage is not None else None
