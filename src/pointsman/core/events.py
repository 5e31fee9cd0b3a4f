"""The events: facts in the order they happened. Everything a person sees is computed from them.

An event holds tokens, times, propensities, prices in force and the gates that ran; money is derived (tokens x rates).
``core.codec`` turns them into plain JSON values and back.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pointsman.core import abilities
from pointsman.core.decisions import Advice, Candidate, Decision, Edit
from pointsman.core.policy import RISK, Policy
from pointsman.core.types import Config, Diagnosis, Rates, Request, Usage

PinScope = Literal["turn", "task", "session", "always"]
Mark = Literal["good", "bad", "overkill"]

Stop = Literal["final", "tool", "length", "refusal", "cut", "hangup", "error"]
"""How a request ended: a final answer; tool calls to run; output limit; the model refused; the upstream broke off;
the client hung up; the upstream answered with an error."""

HUNG_UP = 499
"""The status of a request whose client left before any answer (nginx's number; never sent to anybody): nobody refused it."""


Verdict = Literal["check_passed", "check_failed", "check_unsure"]
"""What a check said of the work; ``check_unsure``: nothing that could be relied on."""


@dataclass(frozen=True, slots=True)
class Guard:
    """The check that guards "done" in a run: its label, its learned recall and false-alarm rate, from how many runs, and how
    many ``seconds`` one takes (None: it has not run yet).
    """

    label: str
    recall: float
    false_alarm: float
    runs: int = 0
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class RunStarted:
    """``pointsman run`` began to wrap an agent. ``upstreams``: vendor to base URL where the user had set one.

    ``guard``: the check that runs when the agent says it is done; None: nothing checks. ``own``: fields of ``policy`` that hold
    in this run whatever the gateway was started with: its flags, and the rules of the project in ``cwd``.
    """

    ts: float
    run: str
    client: str
    cwd: str
    interactive: bool
    upstreams: tuple[tuple[str, str], ...] = ()
    guard: Guard | None = None
    policy: Policy | None = None
    own: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The wrapped agent exited with ``code``."""

    ts: float
    run: str
    code: int


@dataclass(frozen=True, slots=True)
class Routed:
    """A request was decided. ``request.messages`` holds only the messages after the first ``kept`` of the lane's last request.

    ``rewritten``: its tools, system text or history went out in another form than the client's.
    """

    ts: float
    session: str
    id: str
    request: Request
    kept: int
    decision: Decision
    upstream: str = ""
    rewritten: bool = False


@dataclass(frozen=True, slots=True)
class Finished:
    """A routed request ended.

    ``usage`` is what the provider billed (None: it said nothing); ``asked_usage`` what the asked model would have used,
    modelled, or None where it is the model that ran. ``rates``/``asked_rates``: USD per token in force. Times are epoch
    seconds; ``first_byte`` None: no byte came. ``ttl_s``: how long the provider keeps what this request wrote or read.
    ``other_rates``: those of the models that billed sub-requests (advisor, compaction) ran on.
    ``unseen``: output tokens that a broken-off answer may have been billed for beyond ``usage``, modelled. ``answer_id`` and
    ``diagnosis``: where the user allows the provider's own cache diagnostics, what the next request is compared with, and
    what it said of this one.
    ``resent``: our change was refused, with the status ``refused``, and the original went to the asked model. ``handed``:
    hashes of the texts that its calls hand to sub-agents, where the client does not mark those.
    """

    ts: float
    session: str
    id: str
    status: int
    stop: Stop
    started: float
    ended: float
    first_byte: float | None = None
    usage: Usage | None = None
    served: Config | None = None
    reported_model: str | None = None
    rates: Rates | None = None
    asked_usage: Usage | None = None
    asked_rates: Rates | None = None
    card_version: str = ""
    ttl_s: int | None = None
    resent: bool = False
    refused: int | None = None
    error: str | None = None
    other_rates: tuple[tuple[str, Rates], ...] = ()
    unseen: int = 0
    answer_id: str = ""
    diagnosis: Diagnosis | None = None
    handed: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Pinned:
    """A person (or the client, by changing its requested model) took the wheel.

    ``session`` None with scope ``always``: holds for every session in ``cwd``, or everywhere when ``cwd`` is None too.
    ``about``: the kind of task that it was set for.
    """

    ts: float
    session: str | None
    config: Config
    scope: PinScope
    origin: str
    cwd: str | None = None
    about: str | None = None


@dataclass(frozen=True, slots=True)
class Unpinned:
    """A pin ended: by a person, or by its scope (``why`` says which, in words for the next line and screen)."""

    ts: float
    session: str | None
    scope: PinScope
    origin: str
    why: str
    cwd: str | None = None


@dataclass(frozen=True, slots=True)
class Marked:
    """A person judged a turn. ``undo`` takes the mark back."""

    ts: float
    session: str
    turn: int
    mark: Mark
    origin: str
    undo: bool = False


@dataclass(frozen=True, slots=True)
class Signalled:
    """Downstream evidence from a hook, a check or an embedder (``check_failed``, ``check_passed``, ``commit`` ...)."""

    ts: float
    session: str
    kind: str
    detail: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Checked:
    """A check ran on the work that ``config`` did in ``turn``. ``tree``: hash of the files; ``seconds``: all its runs.

    ``failed``: failing tests in all; ``new_failures``: names of those blamed on this work, the first few; ``known``:
    whether it was known what failed before. ``flake``: it disagreed with itself on an unchanged tree. ``changed``: files
    that changed while it ran. ``exit``: exit code, negative for a signal, None when it was stopped. ``sent_back``: the
    agent was told to go on instead of ending; ``stopped``: why it was not although another try was left. ``tests``: how many ran,
    where those that fail have names (None: not known).
    """

    ts: float
    session: str
    label: str
    verdict: Verdict
    why: str
    seconds: float
    tree: str = ""
    run: str | None = None
    turn: int = 0
    task: int = 0
    config: Config | None = None
    failed: int = 0
    new_failures: tuple[str, ...] = ()
    known: bool = True
    flake: bool = False
    changed: tuple[str, ...] = ()
    exit: int | None = None
    sent_back: bool = False
    stopped: str = ""
    tests: int | None = None


@dataclass(frozen=True, slots=True)
class FailedOver:
    """A provider failed before its first content byte, and the request went on elsewhere.

    ``config`` at the base URL ``upstream`` failed with ``status`` (None: no answer) and ``why``; ``to`` at ``to_upstream``
    takes over. ``extra_usd``: modelled USD of the prompt there above what it would have cost; None: unknown. ``at_most_usd``:
    what the one that failed may bill all the same, modelled: the truth lies between nothing and this (0: it refused, or was not
    reached). ``waited_s``: seconds that it asked for and gets, because going elsewhere costs more: it is asked again. ``row``:
    what ``to`` was predicted to cost at ``to_upstream``, whose caches are its own (None: nothing new was priced).
    """

    ts: float
    session: str
    id: str
    config: Config
    to: Config
    upstream: str
    to_upstream: str
    why: str
    status: int | None = None
    extra_usd: float | None = None
    at_most_usd: float = 0.0
    waited_s: float = 0.0
    row: Candidate | None = None


AdviceHow = Literal["push", "pull"]
AdviceOutcome = Literal["given", "failed", "timeout", "capped"]
"""``failed``/``timeout``: the executor goes on without; ``capped``: not asked, the session's consults are used up."""


@dataclass(frozen=True, slots=True)
class Advised:
    """A stronger model was asked for advice while the request ``id`` was under way; all of it is charged to the router.

    ``config`` was asked (``push``: by us; ``pull``: by the working model), at ``rates`` (USD per token), for ``seconds``;
    ``propensity``: probability with which we asked. ``edit``: what it added to the lane's history, None: nothing.
    ``advice``: its text, only where the user keeps texts; else it lives in memory. ``why`` says what went wrong.
    """

    ts: float
    session: str
    id: str
    lane: str
    config: Config
    how: AdviceHow
    outcome: AdviceOutcome
    seconds: float = 0.0
    usage: Usage | None = None
    rates: Rates | None = None
    propensity: float = 1.0
    edit: Edit | None = None
    advice: Advice | None = None
    why: str = ""

    @property
    def asked(self) -> bool:
        """Whether the advisor was really asked: capped consults cost nothing and do not count."""
        return self.outcome != "capped"


@dataclass(frozen=True, slots=True)
class Passed:
    """A request went through undecided (a path we do not route, or a body we could not read): counted, not judged."""

    ts: float
    method: str
    path: str
    status: int
    why: str
    session: str | None = None


@dataclass(frozen=True, slots=True)
class Noted:
    """Something a person should know once: an error of ours that was contained, a ledger that was locked, a refused pin."""

    ts: float
    code: str
    text: str
    session: str | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """A task that a weaker config than asked really served was judged, ``by`` a check, a mark, a commit, a revert or a complaint.

    ``about``: the kind of task ("": not known). ``predicted``: P(failure) when it was chosen. ``project``: its folder.
    ``void``: an earlier judgement of it is taken back. ``risk``: what certificates promised then.
    ``recall``, ``false_alarm``: of what judged it.
    """

    ts: float
    session: str
    task: int
    asked: Config
    served: Config
    about: str
    failed: bool
    predicted: float
    project: str
    by: str
    void: bool = False
    risk: float = RISK
    recall: float = 1.0
    false_alarm: float = 0.0


@dataclass(frozen=True, slots=True)
class Graded:
    """A check or a mark graded the main lane's work: what it teaches of models and tasks, once its session is no longer known."""

    ts: float
    session: str
    verdict: abilities.Verdict


Answer = Literal["", "accepted", "declined", "undone"]


@dataclass(frozen=True, slots=True)
class Proposed:
    """A pin of ``config``, repeated ``times`` times for tasks ``about`` this, is proposed as a rule.

    ``answer``: what the user said to it.
    """

    ts: float
    session: str | None
    about: str
    config: Config
    times: int
    answer: Answer = ""


Event = (
    RunStarted | RunEnded | Routed | Finished | Pinned | Unpinned | Marked | Signalled | Checked
    | FailedOver | Advised | Passed | Noted | Judged | Graded | Proposed
)

KINDS: Mapping[str, type[Any]] = {cls.__name__: cls for cls in typing.get_args(Event)}


def paired(events: Iterable[Event]) -> tuple[list[Routed], dict[str, Finished]]:
    """The routed requests in order, each with the upstream that was asked last, and what became of each by its id."""
    routed: list[Routed] = []
    upstreams: dict[str, str] = {}
    finished: dict[str, Finished] = {}
    for event in events:
        if isinstance(event, Routed):
            routed.append(event)
        elif isinstance(event, FailedOver):
            upstreams[event.id] = event.to_upstream
        elif isinstance(event, Finished):
            finished[event.id] = event
    if upstreams:
        routed = [replace(event, upstream=upstreams.get(event.id, event.upstream)) for event in routed]
    return routed, finished
