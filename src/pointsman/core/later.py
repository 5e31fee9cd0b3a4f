"""What is worked out when somebody reads it: a request need not wait for what only a person looks at.

Theory of operation. A decision is made while the agent waits, and written to the ledger by another thread once the request is on
its way. ``Later`` stands in it for a tuple that takes long to work out and decides nothing. Whoever reads it first works it out:
as a rule the ledger's writer. It equals that tuple from the start, so nothing can be told from when that was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


class Later(Sequence[T]):
    """A tuple that ``make`` gives, called when it is read. ``make`` must be pure: two threads may both call it.

    It is let go afterwards, and should hold no session: the decisions of a session would keep each other alive.
    """

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], tuple[T, ...]]) -> None:
        self._make: Callable[[], tuple[T, ...]] | None = make
        self._made: tuple[T, ...] = ()

    @property
    def waits(self) -> bool:
        """Whether nobody has read it yet."""
        return self._make is not None

    def _all(self) -> tuple[T, ...]:
        make = self._make
        if make is not None:
            self._made = make()
            self._make = None
        return self._made

    def __len__(self) -> int:
        return len(self._all())

    def __iter__(self) -> Iterator[T]:
        return iter(self._all())

    def __getitem__(self, index: Any) -> Any:
        return self._all()[index]

    def __eq__(self, other: object) -> bool:
        return self._all() == (other._all() if isinstance(other, Later) else other)

    def __hash__(self) -> int:
        return hash(self._all())

    def __repr__(self) -> str:
        return repr(self._all())

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple, (self._all(),)  # a copy is the tuple itself
