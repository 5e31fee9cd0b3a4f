"""Events as plain JSON values and back: what the ledger holds.

An unknown field or kind raises LedgerError, so that a ledger written by a newer Pointsman is never half-read in silence.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Hashable, Mapping
from functools import cache
from typing import Any

from pointsman.core.events import KINDS, Event
from pointsman.core.later import Later
from pointsman.errors import LedgerError


def encode(value: Any) -> Any:
    """A frozen model as plain JSON values: models become objects, tuples lists, sets sorted lists; defaults are left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        out: dict[str, Any] = {}
        for name, default in _defaults(type(value)):
            item = getattr(value, name)
            if item != default or default is dataclasses.MISSING:
                out[name] = encode(item)
        return out
    if isinstance(value, (tuple, list, Later)):
        return [encode(item) for item in value]
    if isinstance(value, frozenset):
        return sorted(value)
    return value


def decode(kind: str, value: Mapping[str, Any]) -> Event:
    """The event of ``kind`` from plain JSON values. Raises LedgerError for an unknown kind, field or shape."""
    cls: Any = KINDS.get(kind)
    if cls is None:
        raise LedgerError(f"unknown event {kind!r}: this ledger was written by a newer pointsman; upgrade to read it")
    try:
        event: Event = _builder(cls)(value)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise LedgerError(f"cannot read a {kind} event: {error}") from error
    return event


def build(cls: Any, value: Any) -> Any:
    """A frozen model of type ``cls`` from what ``encode`` made of it."""
    return _builder(cls)(value)


@cache
def _defaults(cls: type[Any]) -> tuple[tuple[str, Any], ...]:
    found = []
    for f in dataclasses.fields(cls):
        default = f.default
        if f.default_factory is not dataclasses.MISSING:
            default = f.default_factory()
        found.append((f.name, default))
    return tuple(found)


@cache
def _builder(hint: Hashable) -> Callable[[Any], Any]:
    """A function that builds values of the type ``hint``; made once per type."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _model_builder(hint)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return _tuple_builder(args)
    if origin is frozenset:
        return frozenset
    if origin in (typing.Union, types.UnionType):
        inner = [a for a in args if a is not type(None) and typing.get_origin(a) is not Later]
        if len(inner) == 1:
            make = _builder(inner[0])
            return lambda value: None if value is None else make(value)
    return _same


def _same(value: Any) -> Any:
    return value


def _model_builder(cls: type[Any]) -> Callable[[Any], Any]:
    hints = typing.get_type_hints(cls)
    makers: dict[str, Callable[[Any], Any]] = {}

    def make(value: Any) -> Any:
        if not makers:  # filled on first use: models may refer to themselves
            makers.update({name: _builder(hint) for name, hint in hints.items()})
        return cls(**{name: makers[name](item) for name, item in value.items()})

    return make


def _tuple_builder(args: tuple[Any, ...]) -> Callable[[Any], Any]:
    if len(args) == 2 and args[1] is Ellipsis:
        make = _builder(args[0])
        return lambda value: tuple(make(item) for item in value)
    makers = tuple(_builder(arg) for arg in args)
    return lambda value: tuple(m(item) for m, item in zip(makers, value, strict=True))
