"""``record`` is ``dataclass(frozen=True, slots=True)``: the same in every respect but the time that an object takes."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace

import pytest

from pointsman.core.decisions import Candidate, Decision
from pointsman.core.record import record


@dataclass(frozen=True, slots=True)
class Plain:
    """As Python makes it."""

    name: str
    size: int = 3
    parts: tuple[int, ...] = ()


@record(frozen=True, slots=True)
class Quick:
    """As we make it."""

    name: str
    size: int = 3
    parts: tuple[int, ...] = ()


def test_it_is_made_compared_and_shown_like_a_frozen_dataclass() -> None:
    plain, quick = Plain("a", parts=(1, 2)), Quick("a", parts=(1, 2))
    assert repr(quick) == repr(plain).replace("Plain", "Quick")
    assert [f.name for f in fields(quick)] == [f.name for f in fields(plain)]
    assert type(quick) is Quick and quick == Quick("a", 3, (1, 2)) and quick != Quick("b") and hash(quick) == hash(plain)
    assert replace(quick, size=4) == Quick("a", 4, (1, 2))
    assert copy.deepcopy(quick) == quick == pickle.loads(pickle.dumps(quick))


def test_it_takes_the_same_arguments() -> None:
    for given, named in (((), {}), (("a", 1, (), 2), {}), (("a",), {"other": 1})):
        with pytest.raises(TypeError):
            Plain(*given, **named)
        with pytest.raises(TypeError):
            Quick(*given, **named)


def test_nothing_in_it_can_be_changed() -> None:
    for made in (Quick("a"), replace(Quick("a"), size=4), copy.copy(Quick("a"))):
        with pytest.raises(FrozenInstanceError):
            made.name = "b"  # type: ignore[misc]
        with pytest.raises(FrozenInstanceError):
            del made.name
        assert made.name == "a" and not hasattr(made, "__dict__")


def test_a_default_made_anew_for_each_object_is_refused() -> None:
    with pytest.raises(AssertionError, match="default factory"):

        @record(frozen=True, slots=True)
        class _Wrong:
            names: list[str] = field(default_factory=list)


def test_the_nouns_of_a_decision_are_records() -> None:
    assert "opened" in Decision.__init__.__globals__ and "opened" in Candidate.__init__.__globals__
