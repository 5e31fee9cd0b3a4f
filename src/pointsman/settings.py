"""Settings: TOML files and flags become one validated, frozen value that remembers where each rule is written.

Order, later wins: defaults, the user's file, the project's ``.pointsman.toml`` (nearest parent), the command line.
A project's file comes with somebody's repository, so it may not say where your keys are sent or spend your money: the
keys in ``OWN_FILE_ONLY`` belong in your own file.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from pointsman.core.policy import CHECK_FALSE_ALARM, CHECK_RECALL, FAILURE_USD, Mode, Policy, Profile
from pointsman.errors import SettingsError

PROJECT_FILE = ".pointsman.toml"
OWN_FILE_ONLY = frozenset({"upstream", "upstreams", "port", "prices", "consent_up"})
PORT = 4141


def _base_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"{value!r} is not a base URL such as https://api.anthropic.com")
    return value.rstrip("/")


def _model_names(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(value)) != len(value) or not all(name.strip() for name in value):
        raise ValueError("model names must be different and not empty")
    return value


Url = Annotated[str, AfterValidator(_base_url)]
Models = Annotated[tuple[str, ...], AfterValidator(_model_names)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Price(BaseModel):
    """What a model costs, in USD per million tokens, where the installed price map is wrong or silent.

    ``cache_read`` and ``cache_write`` left out: the input price (no cache discount, no write premium).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Annotated[float, Field(ge=0)]
    output: Annotated[float, Field(ge=0)]
    cache_read: Annotated[float, Field(ge=0)] | None = None
    cache_write: Annotated[float, Field(ge=0)] | None = None
    cache_write_1h: Annotated[float, Field(ge=0)] | None = None
    provider: str | None = None


class Check(BaseModel):
    """The check that guards "done": a shell command, run when the agent says it is done and files have changed.

    ``cwd``: where it runs (default: where ``run`` was called). ``timeout_s``: seconds it may take. ``paths``: only changes
    of files that match (``src/**``, ``*.py``) trigger it. ``env``: added to its environment. ``retries``: how often in one
    task a failure sends the agent on by itself.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: Annotated[str, Field(min_length=1)]
    cwd: str | None = None
    timeout_s: Annotated[float, Field(gt=0, le=3_600)] = 300.0
    paths: tuple[str, ...] = ()
    env: dict[str, str] = {}
    retries: Annotated[int, Field(ge=0, le=10)] = 1


class Settings(BaseModel):
    """Everything a user may say. An unknown keyword or a wrong value raises SettingsError with the near match.

    ``pool``: models to choose between, cheap to strong (empty: the asked model's vendor ladder). ``asked``: the baseline
    where it is not the model named in the request. ``failure_usd``: USD that one failure seen by you costs you (0 allowed).
    ``check``: a command (or a table with one) that ``run`` runs when the agent says it is done; true: something outside
    guards "done" and reports ``check_passed`` or ``check_failed``. ``upstream``: one base
    URL for every protocol; ``upstreams``: vendor to base URL. ``side``: housekeeping requests may go to the cheapest
    model that can do them. ``titles``: keep the first words of a session in the ledger.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    profile: Profile = "quality"
    mode: Mode = "auto"
    asked: str | None = None
    pool: Models = ()
    allow: Models = ()
    deny: Models = ()
    side: bool = True
    consent_up: bool = False
    failure_usd: Annotated[float, Field(ge=0, allow_inf_nan=False)] = FAILURE_USD
    check: bool | str | Check = False
    check_recall: Share = CHECK_RECALL
    check_false_alarm: Share = CHECK_FALSE_ALARM
    seed: int = 0
    titles: bool = True
    port: Annotated[int, Field(ge=0, le=65535)] = PORT
    upstream: Url | None = None
    upstreams: dict[str, Url] = {}
    prices: dict[str, Price] = {}

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    if not TYPE_CHECKING:  # type checkers see the fields; at run time pydantic's error becomes our sentence

        def __init__(self, **values: Any) -> None:
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise SettingsError(_sentence(error, lambda key: "Settings")) from error

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        both = sorted(set(self.allow) & set(self.deny))
        if both:
            raise ValueError(f"{', '.join(both)} is in both allow and deny: take it out of one")
        return self

    def origin(self, key: str) -> str:
        """Where ``key`` was set: ``file:line``, ``--flag``, or ``default``."""
        return self._origins.get(key, "given" if key in self.model_fields_set else "default")

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
            side=self.side, consent_up=self.consent_up, failure_usd=self.failure_usd, check=checked,
            check_recall=self.check_recall if checked else 0.0,
            check_false_alarm=self.check_false_alarm if checked else 0.0,
            seed=self.seed, origins=tuple((key, self.origin(key)) for key in sorted(self.model_fields_set)),
        )


def load(path: Path | None = None, *, cwd: Path | None = None, flags: Mapping[str, Any] | None = None) -> Settings:
    """The settings in force in ``cwd`` (None: the current folder).

    ``path`` replaces the user's own file and must exist. ``flags``: values from the command line, None left out.
    Raises SettingsError that names file, line, key and near match.
    """
    if path is not None and not path.is_file():
        raise SettingsError(f"there is no settings file {path}: `pointsman config init` writes one with comments")
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    layers: list[tuple[Path, bool]] = [(path or user_file(), False)]
    project = project_file(cwd or Path.cwd())
    if project is not None and project != layers[0][0]:
        layers.append((project, True))
    for file, shared in layers:
        found, lines = _read(file, shared)
        values.update(found)
        origins.update({key: f"{file}:{lines.get(key, 1)}" for key in found})
    for key, value in (flags or {}).items():
        if value is not None:
            values[key] = value
            origins[key] = "--" + key.replace("_", "-")
    settings = _validated(values, lambda key: origins.get(key, "settings"))
    settings._origins.update(origins)
    return settings


def user_file() -> Path:
    """The user's own settings file: ``POINTSMAN_CONFIG``, else config.toml in the platform's configuration folder."""
    named = os.environ.get("POINTSMAN_CONFIG")
    if named:
        return Path(named).expanduser()
    from platformdirs import user_config_path

    return user_config_path("pointsman", appauthor=False) / "config.toml"


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
    named = [(key, name) for key in ("pool", "allow", "deny") for name in getattr(settings, key)]
    if settings.asked:
        named.append(("asked", settings.asked))
    for key, name in named:
        if book.resolve(name) is None and name not in settings.prices:
            near = book.near(name)
            hint = f"did you mean {' or '.join(near[:3])}?" if near else f"add its price under [prices.{name!r}]"
            raise SettingsError(f"{settings.origin(key)}: {key} names {name!r}, which has no price; {hint}")


def _read(file: Path, shared: bool) -> tuple[dict[str, Any], dict[str, int]]:
    """The values in ``file`` and the line of each top-level key; nothing where there is no such file."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}, {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} cannot be read: {error}") from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file} is not valid TOML: {error}") from error
    lines = _lines(text)
    refused = sorted(OWN_FILE_ONLY & set(values)) if shared else []
    if refused:
        key = refused[0]
        raise SettingsError(
            f"{file}:{lines.get(key, 1)}: {key} may not be set by a project, because a repository must not choose where "
            f"your keys go or spend your money; put it in {user_file()}"
        )
    if shared and values.get("profile") == "saver":
        raise SettingsError(
            f"{file}:{lines.get('profile', 1)}: a project may not set the profile saver, because it consents to weaker models "
            f"for unguarded work, and only you can do that; put it in {user_file()}"
        )
    _validated(values, lambda key: f"{file}:{lines.get(key, 1)}")
    return values, lines


def _validated(values: dict[str, Any], where: Callable[[str], str]) -> Settings:
    """Settings from ``values``; an error names the place that ``where`` gives for the key."""
    try:
        return Settings(**values)
    except SettingsError as error:
        if isinstance(error.__cause__, ValidationError):
            raise SettingsError(_sentence(error.__cause__, where)) from error.__cause__
        raise


def _lines(text: str) -> dict[str, int]:
    """The line on which each top-level key or table of a TOML text begins; tomllib does not tell."""
    found: dict[str, int] = {}
    in_table = False
    for number, line in enumerate(text.splitlines(), 1):
        if table := re.match(r"\s*\[\[?\s*[\"']?([\w-]+)", line):
            in_table = True
            found.setdefault(table.group(1), number)
        elif not in_table and (key := re.match(r"\s*[\"']?([\w-]+)[\"']?\s*[.=]", line)):
            found.setdefault(key.group(1), number)
    return found


def _sentence(error: ValidationError, where: Callable[[str], str]) -> str:
    """Every complaint as ``place: what is wrong; what to do``, the unions of one field said once."""
    said: dict[str, None] = {}
    for item in error.errors():
        path = [str(part) for part in item["loc"]]
        top = path[0] if path else ""
        said[f"{where(top)}: {_complaint(item['type'], path, item['input'], item['msg'])}"] = None
    return "; ".join(said)


def _complaint(kind: str, path: list[str], value: object, message: str) -> str:
    key = ".".join(path)
    if kind == "extra_forbidden":
        tables: dict[str, type[BaseModel]] = {"prices": Price, "check": Check}
        known = tables.get(path[0] if len(path) > 1 else "", Settings).model_fields
        return f"unknown setting {key!r}{_near(path[-1], list(known))}"
    choices = {"profile": get_args(Profile), "mode": get_args(Mode)}.get(key)
    if kind == "literal_error" and choices:
        return f"{key} is {value!r}{_near(str(value), list(choices))}; it can be {', '.join(choices)}"
    if kind == "missing":
        return f"{key} is missing"
    text = message.removeprefix("Value error, ")
    text = text[:1].lower() + text[1:]
    return f"{key}: {text}" + ("" if kind == "value_error" else f", not {value!r}") if key else text


def _near(word: str, known: list[str]) -> str:
    close = get_close_matches(word.replace("-", "_"), known, 1, 0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""
