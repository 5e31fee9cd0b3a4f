"""The check of one ``pointsman run``, from the offer at its start to the last verdict at its end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointsman.core.checks import USER_USD_PER_MINUTE, Learned, learned
from pointsman.core.codec import decode, encode
from pointsman.core.events import Event
from pointsman.errors import LedgerError, SettingsError
from pointsman.shell.check import hook as check_hook
from pointsman.shell.check import offer as check_offer
from pointsman.shell.check.checks import ENV, Guarded, Spec
from pointsman.shell.check.watch import Watch
from pointsman.shell.control import Found
from pointsman.shell.reading import ledger_path, reader

if TYPE_CHECKING:
    from pointsman.settings import Settings

HOOKED = ("claude", "codex")
"""Clients that call our hook when they are done, in interactive use and headless; OpenCode calls it in interactive use."""

BASELINE_S = 10.0
"""Seconds a headless run may wait, before its agent starts, to learn what fails already."""

Say = Callable[[str], None]


class RunGuard:
    """The check of run ``run``: its environment for the agent, its registration, the watch over its turns."""

    def __init__(self, spec: Spec, run: str, client: str, interactive: bool, ledger: Path | None = None) -> None:
        self._ledger = ledger or ledger_path()
        self.learned = history(spec.label, self._ledger)
        self.spec = replace(spec, distrust=self.learned.distrust)
        self.guarded = Guarded(self.spec, run)
        self._client, self._interactive = client, interactive
        self._hooked = client in HOOKED or (client == "opencode" and interactive)
        self._continues = client == "opencode" and not interactive
        self._watch: Watch | None = None

    def open(self) -> dict[str, str]:
        """Write down where the work begins; what to add to the agent's environment."""
        path = self.guarded.open()
        if not self._interactive:
            self.guarded.measure(limit_s=BASELINE_S)
        return {ENV: str(path)}

    def registration(self) -> dict[str, Any]:
        """What the gateway is told, so that it decides with this check's own record. A distrusted check guards nothing."""
        if self.learned.distrust is not None:
            return {}
        return {"guard": encode(self.learned.guard(self.spec.label))}

    def begin(self, found: Callable[[], Found | None]) -> None:
        """Watch the agent that is about to start."""
        self._watch = Watch(self.guarded, self._ledger, found, hooked=self._hooked,
                            retries=self.spec.retries if self._continues else 0)
        self._watch.start(measure=self._interactive)

    def after(self, code: int, argv: Sequence[str], say: Say) -> list[str] | None:
        """The agent has exited with ``code``: the command to go on with where the check sends it back, else None."""
        assert self._watch is not None
        said = self._watch.finish()
        event = self._watch.event
        if said is None:
            shown = self._hooked and self._interactive  # without a screen of the agent's nobody has seen the hook's words
            if self._watch.standing and not shown:
                say(self._watch.standing)
            return None
        say(check_hook.sentence(said, str(event.get("stopped", ""))).removeprefix("pointsman: "))
        if not event.get("sent_back") or code != 0:
            return None
        from pointsman.shell.client.opencode import again

        more = again(argv, str(event["session"]), said.reason())
        if more is not None:
            say("OpenCode goes on by itself, with the failure as its task")
        return more

    def close(self) -> None:
        """Forget what only this run needs."""
        self.guarded.close()


def history(label: str, path: Path) -> Learned:
    """What the ledger says about this check; nothing where it cannot be read."""
    with suppress(LedgerError):
        return learned(_events(path), label)
    return Learned()


def _events(path: Path) -> Iterator[Event]:
    with reader(path) as connection:
        query = "SELECT kind, body FROM event WHERE kind IN ('Checked', 'Marked', 'Signalled') ORDER BY seq"
        rows = connection.execute(query).fetchall()
    yield from (decode(kind, json.loads(body)) for kind, body in rows)


def choose(
    settings: Settings, run: str, client: str, *, interactive: bool, flag: str | None, say: Say,
    cwd: Path | None = None, ask: Callable[..., bool] = check_offer.ask,
) -> RunGuard | None:  # fmt: skip
    """The check of this run, or None. ``flag``: the command given with ``--check``; "" with ``--no-check``.

    A command of the person's own (flag, own settings) runs; one that comes with the project, or that we noticed, runs
    after the person's yes, which is asked for once and in interactive use only. Raises SettingsError for a folder that
    is not there.
    """
    cwd = cwd or Path.cwd()
    if flag == "" or settings.check is True or settings.mode == "observe":
        return None
    told = settings.checking
    if flag:
        spec = replace(_spec(told, cwd), command=flag) if told else Spec(flag, str(cwd))
    elif told:
        spec = _spec(told, cwd)
        if settings.shared("check") and not _allowed(cwd, spec.command, "this project names a check", interactive, say, ask):
            return None
    else:
        noticed = check_offer.notice(cwd)
        if noticed is None or not _allowed(cwd, noticed, "this project has tests", interactive, None, ask):
            return None
        spec = Spec(noticed, str(cwd))
    if not Path(spec.cwd).is_dir():
        raise SettingsError(f"{settings.origin('check')}: check.cwd is {spec.cwd}, which is not a folder")
    return RunGuard(spec, run, client, interactive)


def _spec(told: Any, cwd: Path) -> Spec:
    where = (cwd / Path(told.cwd).expanduser()) if told.cwd else cwd
    return Spec(told.command, str(where), told.timeout_s, told.paths, tuple(told.env.items()), told.retries)


def _allowed(
    cwd: Path, command: str, why: str, interactive: bool, say: Say | None, ask: Callable[..., bool]
) -> bool:  # fmt: skip
    """Whether the person lets this command run here: as answered before, else asked now where somebody can answer."""
    known = check_offer.answered(cwd, command)
    if known is not None:
        return known
    if interactive:
        return ask(cwd, command, why=why)
    if say is not None:
        say(f"{why}: `{command}`. It does not run before you say yes once: start an interactive run here, or give --check")
    return False


def sentence(guard: RunGuard, settings: Settings) -> str:
    """What the check means for this person's profile, in one sentence, with their own numbers."""
    known = guard.learned
    if known.distrust is not None:
        return f"the check `{guard.spec.label}` is not believed: {known.distrust}; it runs, and moves nothing"
    basis = f"from {known.runs} run{'' if known.runs == 1 else 's'} of yours" if known.runs else "assumed until it has run here"
    minutes = settings.failure_usd / USER_USD_PER_MINUTE
    took = f", takes {known.seconds:.0f} s where noticing one yourself takes {minutes:g} min" if known.seconds is not None else ""
    rates = f"catches {known.recall:.0%} of failures, blames {known.false_alarm:.0%} wrongly ({basis}){took}"
    if known.recall <= known.false_alarm:
        means = "so it cannot tell wrong work from right, and moves nothing"
    elif settings.profile in ("balanced", "saver"):
        kept = "; questions, plans and reviews, which no check sees, stay" if settings.profile == "balanced" else ""
        means = (f"so at ${settings.failure_usd:g} per failure you see, a task may begin on a weaker model where that costs "
                 f"less in all, and a failed check moves it to the one you asked for{kept}")
    elif settings.consent_up:
        means = f"profile {settings.profile} keeps the model you asked for; a failed check may move the task to a stronger one"
    else:
        means = f"profile {settings.profile} keeps the model you asked for; a failure goes back to it before you see it"
    return f"the check `{guard.spec.label}` runs when the agent is done and files changed: {rates}; {means}"
