"""Our own recordings (``sessions/*.jsonl``) as events: each request goes through the real engine, as an observer.

The recorded answers are what was billed. Times are seconds from the start of the recording; the day is the one it names.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pointsman.core.book import Book
from pointsman.core.events import Event, Stop
from pointsman.core.policy import Policy
from pointsman.core.types import Protocol, Usage
from pointsman.engine import Router
from pointsman.errors import WireError
from pointsman.shell.recording import Response, load
from pointsman.wire import Tap, read_json_response

STOPS: dict[str, Stop] = {"hangup": "hangup", "cut": "cut"}


def events(path: Path, book: Book, troubles: list[str], policy: Policy | None = None) -> Iterator[Event]:
    """The recording's events, oldest first. Requests we do not decide are left out and described in ``troubles``.

    ``policy``: what to judge under (default: observe, nothing is moved). Raises ValueError for what is no recording.
    """
    recording = load(path)
    start = datetime.fromisoformat(recording.recorded).replace(tzinfo=UTC).timestamp()
    router = Router(policy or Policy(mode="observe"), book)
    for exchange in sorted(recording.exchanges, key=lambda e: e.t):
        begun = start + exchange.t
        try:
            route = router.route(path=exchange.path, headers=exchange.headers, body=exchange.body, now=begun, dice=0.0)
        except WireError as error:
            where = f"request {exchange.n}, {exchange.method} {exchange.path.partition('?')[0]}"
            troubles.append(f"{path}: {where} is not decided: {error}")
            continue
        answer = exchange.response
        if answer is not None:
            usage, model, stop = answered(route.protocol, answer)
            router.finish(
                route.id, usage=usage, status=answer.status, started=begun, first_byte=start + answer.t_first,
                ended=start + answer.t_end, stop=stop, model=model,
            )  # fmt: skip
        yield from router.events()


def answered(protocol: Protocol, answer: Response) -> tuple[Usage | None, str | None, Stop]:
    """Usage, model and stop of a recorded answer. A client that hung up after the end has heard everything."""
    if answer.body is not None:
        return read_json_response(protocol, answer.body.encode()) if answer.status < 400 else (None, None, "error")
    tap = Tap(protocol)
    tap.feed(answer.text.encode())
    stop = tap.stop if tap.complete and tap.stop is not None else STOPS.get(answer.stop, "cut")
    return tap.usage, tap.model, stop
