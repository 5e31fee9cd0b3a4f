"""Settings: TOML files and flags become one validated, frozen value that remembers where each rule is written.

Order, later wins: defaults, the user's file, the project's ``.pointsman.toml`` (nearest parent), the command line.
A project's file comes with somebody's repository, so it may not say where your keys are sent or spend your money: the
keys in ``OWN_FILE_ONLY`` belong in your own file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from pointsman.core import decisions, globs, schedule
from pointsman.core.policy import (
    CHECK_FALSE_ALARM,
    CHECK_RECALL,
    DEADLINE_S,
    FAILURE_USD,
    RISK,
    SILENCE_S,
    STAKES,
    UP_CAP_USD,
    Mode,
    Policy,
    Profile,
)
from pointsman.core.types import TaskKind
from pointsman.errors import SettingsError
from pointsman.settings.complaints import sentence
from pointsman.settings.layers import Layers, as_table, lines_of, place_of, read
from pointsman.settings.sections import (
    Advisor,
    Budget,
    Check,
    Deployment,
    Flag,
    Globs,
    Kind,
    Models,
    Names,
    Number,
    Price,
    Protect,
    Share,
    Url,
    Whole,
)

PROJECT_FILE = ".pointsman.toml"
ANSWERS_FILE = "answers.toml"
"""Beside your own file: what you have answered to Pointsman's questions. Your own file has the last word over it."""

OWN_FILE_ONLY = frozenset(
    {
        "upstream", "upstreams", "keys", "deployments", "fallbacks", "port", "prices", "schedule",  # where keys and money go
        "silence_s",  # how soon a request is paid for twice
        "consent_up", "up_cap_usd", "advisor", "asked", "pool", "kinds", "risk",  # what spends your money or weakens what you get
        "check_recall", "check_false_alarm",  # how far a check is believed
    }
)  # fmt: skip
PORT = 4141

_NOT_SHARED = (
    (("profile",), "saver", "the profile saver", "it consents to weaker models for unguarded work"),
    (("check",), True, "check = true", "it says that work is guarded, which admits weaker models"),
    (("budget", "then"), "cheapest", "budget.then = cheapest", "it sends work to weaker models"),
)
"""Values that a project's file may not have, under keys that it may: path, value, its name in a sentence, and why."""


def _schedule(value: str) -> str:
    try:
        schedule.parse(value)
    except SettingsError as error:
        raise ValueError(str(error)) from error
    return value


class Settings(BaseModel):
    """Everything a user may say. An unknown keyword or a wrong value raises SettingsError with the near match.

    ``pool``: models to choose between, cheap to strong (empty: the asked model's vendor ladder). ``asked``: the baseline
    where it is not the model named in the request. ``failure_usd``: USD that one failure seen by you costs you (0 allowed).
    ``check``: a command (or a table with one) that ``run`` runs when the agent says it is done; true: something outside
    guards "done" and reports ``check_passed`` or ``check_failed``. ``upstream``: one base
    URL for every protocol; ``upstreams``: vendor to base URL; ``keys``: vendor to the environment variable with its
    key. ``side``: housekeeping requests may go to the cheapest model that can do them. ``cache_diagnostics``: the providers are
    asked why a cache was missed. ``deployments`` and
    ``fallbacks``: who takes over when a provider fails; ``deadline_s``: seconds after which nothing new is started by
    itself; ``silence_s``: for how long a provider may say nothing at the start of a stream before another one is asked.
    ``titles``: keep the first words of a session in the ledger. ``schedule``: configs forced from given
    requests on (``core.schedule``), for tests and demonstrations.

    ``consent_up``: may a stronger model than asked be used after failures (left out: you are asked once); ``up_cap_usd``: what
    that may cost one task. ``protect``: globs of work that holds the asked model or better. ``floor``, ``ceiling``: the weakest
    and the strongest model that we may go to; what you ask for is always sent. ``kinds``: a model for a kind of task. ``budget``:
    USD per session and day. ``risk``: share of failed tasks under which a weaker model counts as certified. ``advisor``: a model
    that is asked for advice (or a table with one). ``efforts``: the effort you ask for may be changed like a model.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    profile: Profile = "quality"
    mode: Mode = "auto"
    asked: str | None = None
    pool: Models = ()
    allow: Models = ()
    deny: Models = ()
    side: Flag = True
    cache_diagnostics: Flag = False
    consent_up: Flag | None = None
    up_cap_usd: Annotated[Number, Field(ge=0)] | None = UP_CAP_USD
    floor: Names = ()
    ceiling: Names = ()
    protect: Flag | Globs | Protect = True
    kinds: dict[str, str | Kind] = {}
    budget: Budget = Budget()
    risk: Annotated[Number, Field(ge=0.01, le=0.5)] = RISK
    failure_usd: Annotated[Number, Field(ge=0)] = FAILURE_USD
    check: Flag | str | Check = False
    check_recall: Share = CHECK_RECALL
    check_false_alarm: Share = CHECK_FALSE_ALARM
    seed: Whole = 0
    schedule: Annotated[str, AfterValidator(_schedule)] | None = None
    titles: Flag = True
    port: Annotated[Whole, Field(ge=0, le=65535)] = PORT
    upstream: Url | None = None
    upstreams: dict[str, Url] = {}
    keys: dict[str, str] = {}
    deployments: dict[str, Deployment] = {}
    fallbacks: dict[str, Models] = {}
    deadline_s: Annotated[Number, Field(gt=0)] = DEADLINE_S
    silence_s: Annotated[Number, Field(gt=0)] = SILENCE_S
    prices: dict[str, Price] = {}
    advisor: str | Advisor | None = None
    efforts: Flag = True

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    if not TYPE_CHECKING:  # type checkers see the fields; at run time pydantic's error becomes our sentence

        def __init__(self, **values: Any) -> None:
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise SettingsError(sentence(error, lambda path: "Settings", list(type(self).model_fields))) from error

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        both = sorted(set(self.allow) & set(self.deny))
        if both:
            raise ValueError(f"{', '.join(both)} is in both allow and deny: take it out of one")
        for name, wanted in self.kinds.items():
            shows = isinstance(wanted, Kind) and (wanted.paths or wanted.commands or wanted.tools)
            if name not in get_args(TaskKind) and not shows:
                raise ValueError(
                    f"kinds: {name!r} is none of {', '.join(get_args(TaskKind))}; a kind of your own needs paths, commands or "
                    f"tools that show it: [kinds.{name}]"
                )
            if name in globs.WHATS or not name.replace("-", "_").isidentifier():
                raise ValueError(f"kinds: {name!r} cannot name a kind: letters, digits, - and _; not {', '.join(globs.WHATS)}")
        return self

    def origin(self, key: str) -> str:
        """Where ``key`` was set: ``file:line``, ``--flag``, or ``default``."""
        return self._origins.get(key, "given" if key in self.model_fields_set else "default")

    @property
    def written(self) -> tuple[str, ...]:
        """The keys that somebody set: in a file, an answer or a flag."""
        return tuple(key for key in type(self).model_fields if self.origin(key) != "default")

    def shared(self, key: str) -> bool:
        """Whether a project's file, which comes with somebody's repository, is what set ``key``."""
        return PROJECT_FILE in self.origin(key)

    @property
    def checking(self) -> Check | None:
        """The check that ``run`` runs, however it was written; None: there is none, or something outside checks."""
        if isinstance(self.check, str):
            return Check(command=self.check) if self.check.strip() else None
        return self.check if isinstance(self.check, Check) else None

    def policy(self) -> Policy:
        """These settings as the decider's policy, with the place where each rule is written."""
        checked = self.check is True  # a command guards the runs that run it; the gateway is told with each
        return Policy(
            profile=self.profile, mode=self.mode, asked=self.asked, pool=self.pool, allow=self.allow, deny=self.deny,
            side=self.side, consent_up=bool(self.consent_up), failure_usd=self.failure_usd, check=checked,
            check_recall=self.check_recall if checked else 0.0,
            check_false_alarm=self.check_false_alarm if checked else 0.0,
            deadline_s=self.deadline_s, seed=self.seed, schedule=schedule.parse(self.schedule) if self.schedule else (),
            protect=self.protected, stakes_usd=self.protect.stakes if isinstance(self.protect, Protect) else STAKES,
            kinds=tuple((name, k if isinstance(k, str) else k.model) for name, k in self.kinds.items()),
            kind_rules=self._kind_rules(), floor=self.floor, ceiling=self.ceiling, budget_session=self.budget.session,
            budget_day=self.budget.day, budget_then=self.budget.then,
            day_offset_s=_clock_offset_s() if self.budget.day is not None else 0, up_cap_usd=self.up_cap_usd, risk=self.risk,
            advisor=self._advisor(), efforts=self.efforts, diagnose=self.cache_diagnostics,
            origins=tuple(sorted({**{key: self.origin(key) for key in self.model_fields_set}, **self._origins}.items())),
        )

    def _advisor(self) -> decisions.Advisor | None:
        """What the user allows of advice; None: nothing."""
        given = Advisor(model=self.advisor) if isinstance(self.advisor, str) else self.advisor
        if given is None or given.mode == "off":
            return None
        values = given.model_dump(exclude={"mode"})
        return decisions.Advisor(**values, push=given.mode in ("push", "both"), pull=given.mode in ("pull", "both"))

    @property
    def protected(self) -> tuple[str, ...]:
        """What is protected, as the rules of ``core.globs``: the built-in list unless it is taken off, and the user's own."""
        protect = self.protect
        table = protect.model_dump() if isinstance(protect, Protect) else as_table(protect) or {}
        own = [f"{what[:-1]} {glob}" for what in ("paths", "commands", "tools") for glob in table.get(what, ())]
        return tuple(dict.fromkeys((*(globs.DEFAULTS if table.get("defaults", True) else ()), *own)))

    def _kind_rules(self) -> tuple[str, ...]:
        """The globs that show kinds of the user's own, each with the kind's name before it."""
        tables = [(name, k) for name, k in self.kinds.items() if isinstance(k, Kind)]
        return tuple(
            f"{name} {what[:-1]} {glob}"
            for name, k in tables for what in ("paths", "commands", "tools") for glob in getattr(k, what)
        )  # fmt: skip


def load(
    path: Path | None = None, *, cwd: Path | None = None, flags: Mapping[str, Any] | None = None, projects: bool = True
) -> Settings:  # fmt: skip
    """The settings in force in ``cwd`` (None: the current folder).

    ``path`` replaces the user's own file and must exist. ``flags``: values from the command line, None left out. ``projects``:
    the project's file counts. Raises SettingsError that names file, line, key and near match.
    """
    if path is not None and not path.is_file():
        raise SettingsError(f"there is no settings file {path}: `pointsman config init` writes one with comments")
    layers, own = Layers(), path or user_file()
    files = [(answers_file(own), False), (own, False)]
    project = project_file(cwd or Path.cwd()) if projects else None
    if project is not None and project != own:
        files.append((project, True))
    for file, shared in files:
        layers.add(file, *_read(file, shared), shared)
    values, origins = layers.values, layers.origins
    for key, value in (flags or {}).items():
        if value is not None:
            values[key] = value
            origins[key] = "--" + key.replace("_", "-")
    settings = _validated(values, lambda path: origins.get(path[0] if path else "", "settings"))
    settings._origins.update(origins)
    return settings


def user_file() -> Path:
    """The user's own settings file: ``POINTSMAN_CONFIG``, else config.toml in the platform's configuration folder."""
    named = os.environ.get("POINTSMAN_CONFIG")
    if named:
        return Path(named).expanduser()
    from platformdirs import user_config_path

    return user_config_path("pointsman", appauthor=False) / "config.toml"


def answers_file(own: Path | None = None) -> Path:
    """Where your answers are kept: beside your own settings file."""
    return (own or user_file()).with_name(ANSWERS_FILE)


def project_file(folder: Path) -> Path | None:
    """The ``.pointsman.toml`` of the nearest folder at or above ``folder``, or None."""
    return next((p for f in (folder, *folder.parents) if (p := f / PROJECT_FILE).is_file()), None)


class Prices(Protocol):
    """What ``verify`` asks of a price book."""

    def resolve(self, name: str, asked: str | None = None) -> str | None:
        """The model a name means, or None."""

    def near(self, name: str) -> tuple[str, ...]:
        """Known names like ``name``."""


def verify(settings: Settings, book: Prices) -> None:
    """Raise SettingsError for a model in the settings that the price book does not know: before serving, not during."""
    named = [(key, name) for key in ("pool", "allow", "deny", "floor", "ceiling") for name in getattr(settings, key)]
    for kind, model in settings.policy().kinds:
        known = book.resolve(model) is not None
        named.append((f"kinds.{kind}", model if known or ":" not in model else model.rpartition(":")[0]))
    if settings.asked:
        named.append(("asked", settings.asked))
    advisor = settings.policy().advisor
    if advisor is not None:
        named.append(("advisor", advisor.model))
    for step in schedule.parse(settings.schedule) if settings.schedule else ():
        name = schedule.taken_apart(step.name, book.resolve(step.name) is not None)[0]
        if name != "asked" and name not in schedule.WORDS:
            named.append(("schedule", name))
    for key, name in named:
        if book.resolve(name) is None and name not in settings.prices:
            near = book.near(name)
            hint = f"did you mean {' or '.join(near[:3])}?" if near else f"add its price under [prices.{name!r}]"
            raise SettingsError(f"{settings.origin(key)}: {key} names {name!r}, which has no price; {hint}")


def _clock_offset_s() -> int:
    """Seconds that this machine's clock is ahead of UTC today."""
    offset = datetime.now().astimezone().utcoffset()
    return round(offset.total_seconds()) if offset is not None else 0


def _read(file: Path, shared: bool) -> tuple[dict[str, Any], str]:
    """The values in ``file``, each allowed there and sound by itself, and its text; nothing where there is no such file."""
    values, text = read(file)
    lines = lines_of(text)
    refused = sorted(OWN_FILE_ONLY & set(values)) if shared else []
    if refused:
        key = refused[0]
        raise SettingsError(
            f"{file}:{lines.get(key, 1)}: {key} may not be set by a project, because a repository must not choose where your "
            f"keys go, spend your money, or choose your models; put it in {user_file()}"
        )
    for path, barred, name, why in _NOT_SHARED if shared else ():
        if _at(values, path) == barred:
            raise SettingsError(
                f"{file}:{lines.get(path[0], 1)}: a project may not set {name}, because {why}, and only you can do that; "
                f"put it in {user_file()}"
            )
    _validated(values, lambda path: f"{file}:{place_of(text, lines, path)}")
    return values, text


def _at(values: Any, path: tuple[str, ...]) -> Any:
    """The value at ``path`` of nested tables; None where there is none."""
    for key in path:
        values = values.get(key) if isinstance(values, dict) else None
    return values


def _validated(values: dict[str, Any], where: Callable[[Sequence[str]], str]) -> Settings:
    """Settings from ``values``; an error names the place that ``where`` gives for the path."""
    try:
        return Settings(**values)
    except SettingsError as error:
        if isinstance(error.__cause__, ValidationError):
            raise SettingsError(sentence(error.__cause__, where, list(Settings.model_fields))) from error.__cause__
        raise
