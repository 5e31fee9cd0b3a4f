"""Where the gateway meets router and ledger: it asks for decisions, records what happened, and contains every error.

**Fail open in exactly one place**: ``Desk.contain``. Whatever goes wrong in our code, the agent's original bytes go to
the model it asked for; it is noted once per kind, and the request is counted as passed.
"""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pointsman.core.decisions import Advice
from pointsman.core.events import AdviceHow, AdviceOutcome, Event, Noted, Passed, Stop
from pointsman.core.types import Config, Place, Protocol, Usage
from pointsman.errors import PointsmanError, WireError
from pointsman.shell.ledger import Ledger
from pointsman.shell.streams import told_of

if TYPE_CHECKING:
    from pointsman.engine import Route, Router
    from pointsman.shell.failover.failures import Failed
    from pointsman.shell.failover.fallbacks import Fallback
    from pointsman.shell.pending import Pending

TEXT_AT_MOST = 300
"""Characters of a sentence that goes into the ledger: enough to act on, too short for anybody's prompt."""

HEADER_AT_MOST = 1_000
"""Characters of our response header: HTTP clients refuse an answer with long ones (Python's at 8 kB, Node at 16 kB in all)."""

CONSEQUENCE: Mapping[str, str] = {
    "fail_open": "the request goes to the model the agent asked for, unchanged",
    "answer_unread": "the answer is relayed unread, its usage is not known",
    "gateway_error": "the agent is told to ask again",
    "no_advice": "the agent's model goes on without advice",
}
"""What each kind of our own errors means for the agent; anything else means the same as ``fail_open``."""


@dataclass(frozen=True, slots=True)
class Said:
    """What came of asking ``config``: ``text`` is for the executor, whatever happened; ``usage`` None: no bill is known."""

    config: Config
    outcome: AdviceOutcome
    text: str
    usage: Usage | None = None
    seconds: float = 0.0
    why: str = ""


class Desk:
    """Router, ledger, clock and dice, used together. ``closing``: the gateway is going down."""

    def __init__(
        self, router: Router, ledger: Ledger, clock: Callable[[], float], dice: Callable[[], float],
        say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.router = router
        self.ledger = ledger
        self.clock = clock
        self.dice = dice
        self.say = say
        self.closing = False
        self.decided = 0
        self.passed = 0
        self.notes: dict[str, str] = {}

    def decide(
        self, path: str, headers: Mapping[str, str], body: bytes, now: float, run: str | None, upstream: str, counted: int = 0
    ) -> Route | str:
        """The route of a request, or the reason why it goes through undecided. ``counted``: its tokens, 0 where nobody did."""
        try:
            route = self.router.route(
                path=path, headers=headers, body=body, now=now, dice=self.dice(), run=run, upstream=upstream, counted=counted
            )
        except WireError as error:
            return self.contain("unreadable_request", error)
        except Exception as error:  # fail open: an error of ours must never stop the agent
            return self.contain("fail_open", error)
        self.decided += 1
        self.flush()
        return route

    def uncounted(
        self, path: str, headers: Mapping[str, str], body: bytes, now: float, run: str | None, upstream: str
    ) -> bool:
        """Whether a count of the request's tokens would tell more than is known of its lane."""
        try:
            return self.router.uncounted(path=path, headers=headers, body=body, now=now, run=run, upstream=upstream)
        except Exception:  # ``decide`` meets the same error next, and says so
            return False

    def refused(self, route: Route, status: int) -> Route | None:
        """The original request, after the provider refused our change of it."""
        try:
            return self.router.refuse(route.id, status, self.clock())
        except Exception as error:  # the original goes out all the same
            self.contain("fail_open", error)
            return None

    def unchanged(self, route: Route, error: Exception, code: str = "not_translated") -> Route | None:
        """The original request, because of an error of ours (``code``: which kind): nothing is held against what was chosen."""
        why = self.contain(code, error)
        try:
            return self.router.unchange(route.id, why, self.clock())
        except Exception as failure:  # the original goes out all the same
            self.contain("fail_open", failure)
            return None

    def failed_over(self, route: Route, to: Fallback, failed: Failed) -> Route | None:
        """The request for whoever takes over from a provider that failed; None: it cannot go there."""
        try:
            found = self.router.fail_over(
                route.id, self.clock(), upstream=to.base, why=failed.why[:TEXT_AT_MOST], status=failed.status, model=to.model,
                place=to.place, reached=failed.reached,
            )  # fmt: skip
        except Exception as error:  # the provider's own error goes out
            self.contain("fail_open", error)
            return None
        self.flush()
        return found

    def waits(self, route: Route, to: Fallback, failed: Failed) -> bool:
        """Whether the provider gets the seconds it asked for, because going on to ``to`` costs more."""
        try:
            found = self.router.wait_out(
                route.id, self.clock(), upstream=to.base, why=failed.why[:TEXT_AT_MOST], status=failed.status, model=to.model,
                place=to.place, seconds=failed.retry_after or 0.0,
            )  # fmt: skip
        except Exception as error:  # somebody else is asked at once
            self.contain("fail_open", error)
            return False
        self.flush()
        return found

    def advised(
        self, id: str, place: Place, advice: Advice | None, said: Said, how: AdviceHow, after: tuple[int, int] | None = None
    ) -> Route | None:  # fmt: skip
        """Record what an advisor said and cost; the request with it in its history. None: the request has ended."""
        try:
            route = self.router.advised(
                id, advice, place=place, config=said.config, how=how, outcome=said.outcome, now=self.clock(),
                seconds=said.seconds, usage=said.usage, after=after, why=said.why[:TEXT_AT_MOST],
            )  # fmt: skip
        except Exception as error:  # the executor goes on without
            self.contain("fail_open", error)
            return None
        self.flush()
        return route

    def finished(self, done: Pending, stop: Stop, status: int, error: str | None) -> asyncio.Future[None] | None:
        """Record the end of a request; the future resolves when it is on disk, None: do not wait for that."""
        now = self.clock()
        error = error and error[:TEXT_AT_MOST]
        if done.route is None:
            why = error or (f"{done.why}; the client hung up" if stop == "hangup" else done.why)
            self.count(done.request.method, done.target, status, why)
        else:
            self._finish(done, done.route, stop, status, error, now)
        written = asyncio.wrap_future(self.flush())
        written.add_done_callback(lambda done: done.cancelled() or done.exception())  # the ledger says itself what went wrong
        return None if self.ledger.trouble else written

    def _finish(
        self, done: Pending, route: Route, stop: Stop, status: int, error: str | None, now: float
    ) -> None:  # fmt: skip
        try:
            usage, model = done.heard.usage, done.heard.model
            self.router.finish(
                route.id, usage=usage, status=status, started=done.started, first_byte=done.first_byte, ended=now,
                stop=stop, model=model, resent=done.resent, error=error, told=told_of(done.heard),
            )  # fmt: skip
            if done.heard.problem:
                self.note("usage_unreadable", f"an answer's usage could not be read: {done.heard.problem}")
        except Exception as failure:  # the answer is under way to the agent: it must arrive
            why = self.contain("fail_open", failure)
            self._note(Passed(now, done.request.method, route.path, status, why, route.decision.place.session))

    def count(self, method: str, target: str, status: int, why: str) -> None:
        """Record a request that went through (or was answered) undecided. A query may carry a key: it is left out."""
        self.passed += 1
        self._note(Passed(self.clock(), method, target.partition("?")[0][:TEXT_AT_MOST], status, why))
        self.flush()

    def note(self, code: str, text: str, session: str | None = None) -> None:
        """Tell a person something, once per ``code``: on the terminal and in the ledger."""
        if code in self.notes:
            return
        self.notes[code] = text = text[:TEXT_AT_MOST]
        self.say(text)
        self._note(Noted(self.clock(), code, text, session))
        self.flush()

    def contain(self, code: str, error: Exception) -> str:
        """Note an error of ours once; returns the reason for the ledger. Foreign errors may quote a body: place only."""
        if isinstance(error, PointsmanError):
            why = f"{code}: {error}"
        else:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            why = f"{code}: {type(error).__name__} at {frame.filename.rpartition('/')[2]}:{frame.lineno}"
        self.note(code, f"{why}; {CONSEQUENCE.get(code, CONSEQUENCE['fail_open'])}")
        return why[:TEXT_AT_MOST]

    def flush(self) -> Future[None]:
        """Hand the router's new events to the ledger."""
        return self.ledger.append(self.router.events())

    def _note(self, event: Event) -> None:
        try:
            self.router.note(event)
        except Exception:  # a router that cannot even take a fact: the ledger still can
            self.ledger.append([event])


def header(route: Route | None, resent: bool) -> str:
    """What the response header says about the decision: model, action, reason, id, and the sentence of ``why``; ASCII."""
    if route is None:
        return "passed"
    if resent:
        return _ascii(f"{route.model}; stay; retry_asked; {route.id}")
    model = f"{route.model}:{route.effort}" if route.effort else route.model
    decision = route.decision
    return _ascii(f"{model}; {decision.action}; {decision.reason}; {route.id}; {decision.sentence.replace('≈', '~')}")


def _ascii(text: str) -> str:
    return "".join(c if " " <= c <= "~" else "?" for c in text[:HEADER_AT_MOST])


def error_body(protocol: Protocol | None, sentence: str) -> bytes:
    """An error in the form that the protocol's clients show and retry on."""
    text = f"pointsman: {sentence}"
    value: dict[str, Any]
    if protocol == "messages":
        value = {"type": "error", "error": {"type": "api_error", "message": text}}
    elif protocol == "gemini":
        value = {"error": {"code": 502, "message": text, "status": "UNAVAILABLE"}}
    else:
        value = {"error": {"message": text, "type": "server_error", "code": "upstream_unreachable", "param": None}}
    return json.dumps(value).encode()


def count_body(protocol: Protocol, tokens: int) -> dict[str, object]:
    """The answer to a token count in the form of the protocol."""
    if protocol == "gemini":
        return {"totalTokens": tokens}
    return {"input_tokens": tokens, **({"object": "response.input_tokens"} if protocol == "responses" else {})}
