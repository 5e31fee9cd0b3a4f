"""The tables of the settings file, and the kinds of value that several of them share."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails

from pointsman.core.policy import STAKES, Then


def _base_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"{value!r} is not a base URL such as https://api.anthropic.com")
    return value.rstrip("/")


def _model_names(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(value)) != len(value) or not all(name.strip() for name in value):
        raise ValueError("model names must be different and not empty")
    return value


Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Whole = Annotated[int, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]
"""A text is no number and 1 is not true: of values of different kinds nobody can tell which one is the stricter word."""

Url = Annotated[str, AfterValidator(_base_url)]
Models = Annotated[tuple[str, ...], AfterValidator(_model_names), BeforeValidator(lambda v: (v,) if isinstance(v, str) else v)]
Share = Annotated[Number, Field(ge=0.0, le=1.0)]
Names = Annotated[tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]
"""One name, or several of which all hold."""


def _globs(value: tuple[str, ...]) -> tuple[str, ...]:
    if not all(glob.strip() for glob in value):
        raise ValueError("a glob must not be empty: it would match everything")
    return tuple(" ".join(glob.split()) for glob in value)


Globs = Annotated[tuple[str, ...], AfterValidator(_globs)]


class Price(BaseModel):
    """What a model costs you, in USD per million tokens, where the installed price map is wrong, silent, or not your price.

    What is left out stays as the map has it; where the map has no row, ``input`` and ``output`` are needed, and cache prices left
    out are the input price. ``discount_factor`` multiplies every price (0.85: 15 % off); ``quota_weight``: what a list dollar
    counts of a subscription's quota; ``window`` and ``max_output`` in tokens.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Annotated[Number, Field(ge=0)] | None = None
    output: Annotated[Number, Field(ge=0)] | None = None
    cache_read: Annotated[Number, Field(ge=0)] | None = None
    cache_write: Annotated[Number, Field(ge=0)] | None = None
    cache_write_1h: Annotated[Number, Field(ge=0)] | None = None
    reasoning: Annotated[Number, Field(ge=0)] | None = None
    discount_factor: Annotated[Number, Field(ge=0)] | None = None
    quota_weight: Annotated[Number, Field(ge=0)] | None = None
    window: Annotated[Whole, Field(ge=1)] | None = None
    max_output: Annotated[Whole, Field(ge=1)] | None = None
    provider: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _both(cls, given: Any) -> Any:
        """An input price without an output price (or the other way round) is half a price: say which half is missing."""
        if isinstance(given, dict) and ("input" in given) != ("output" in given):
            name = "output" if "input" in given else "input"
            half = InitErrorDetails(type="missing", loc=(name,), input=given)
            raise ValidationError.from_exception_data(cls.__name__, [half])
        return given


class Check(BaseModel):
    """The check that guards "done": a shell command, run when the agent says it is done and files have changed.

    ``cwd``: where it runs (default: where ``run`` was called). ``timeout_s``: seconds it may take. ``paths``: only changes
    of files that match (``src/**``, ``*.py``) trigger it. ``env``: added to its environment. ``retries``: how often in one
    task a failure sends the agent on by itself.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: Annotated[str, Field(min_length=1)]
    cwd: str | None = None
    timeout_s: Annotated[Number, Field(gt=0, le=3_600)] = 300.0
    paths: tuple[str, ...] = ()
    env: dict[str, str] = {}
    retries: Annotated[Whole, Field(ge=0, le=10)] = 1


class Protect(BaseModel):
    """Work that holds the asked model or better, and where a failure costs ``stakes`` times as much.

    ``paths``, ``commands``, ``tools``: globs (``core.globs``); ``defaults``: the built-in list counts as well.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    paths: Globs = ()
    commands: Globs = ()
    tools: Globs = ()
    defaults: Flag = True
    stakes: Annotated[Number, Field(ge=1, le=100)] = STAKES


class Kind(BaseModel):
    """A kind of task: the ``model`` wanted for it (``MODEL[:effort]``), and for a kind of your own what shows it by globs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Annotated[str, Field(min_length=1)]
    paths: Globs = ()
    commands: Globs = ()
    tools: Globs = ()


class Budget(BaseModel):
    """USD that a ``session`` and a ``day`` may cost, and what happens ``then``; it never fails a request.

    ``warn``: it is said. ``hold``: nothing dearer than what you asked for. ``cheapest``: the cheapest that your profile admits.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    session: Annotated[Number, Field(gt=0)] | None = None
    day: Annotated[Number, Field(gt=0)] | None = None
    then: Then = "warn"


class Advisor(BaseModel):
    """A stronger model that is asked for advice: ``mode`` push (when we think it pays), pull (when the working model asks), both.

    ``per_session``: consults at most; ``budget_usd``: what one may cost; ``digest_tokens``, ``max_tokens``: its question and its
    answer; ``timeout_s``: then the work goes on without; ``keep_text``: the ledger keeps what was said; ``provider_tool``: prefer
    Anthropic's own advisor tool where the two models allow it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Annotated[str, Field(min_length=1)]
    mode: Literal["off", "push", "pull", "both"] = "push"
    per_session: Annotated[Whole, Field(ge=0, le=100)] = 3
    budget_usd: Annotated[Number, Field(ge=0)] = 0.5
    digest_tokens: Annotated[Whole, Field(ge=500, le=200_000)] = 15_000
    max_tokens: Annotated[Whole, Field(ge=256, le=32_000)] = 2_048
    timeout_s: Annotated[Number, Field(gt=0, le=900)] = 90.0
    keep_text: Flag = False
    provider_tool: Flag = False


class Deployment(BaseModel):
    """Another place that serves a vendor's models: ``url`` its base URL, ``vendor`` whose API it speaks.

    ``key_env``: the environment variable with its key; left out: it gets the credential that the client sent.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Url
    vendor: Literal["anthropic", "openai", "google"]
    key_env: Annotated[str, Field(min_length=1)] | None = None
