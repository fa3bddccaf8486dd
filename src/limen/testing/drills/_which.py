"""Which calls or messages a fault strikes, counted from 0."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from limen.errors import ConfigurationError
from limen.types import require_whole

Numbers = int | Iterable[int]


@dataclass(frozen=True, slots=True)
class Which:
    """Some of the numbers from 0 on.

    Attributes:
        at: These.
        every: Or the last of so many, again and again; 0 for none.
    """

    at: frozenset[int]
    every: int

    def __contains__(self, number: int) -> bool:
        return number in self.at or (self.every > 0 and number % self.every == self.every - 1)

    @property
    def first(self) -> int:
        """The smallest of them."""
        return min([*self.at, *([self.every - 1] if self.every else [])])


def read_which(drill: str, at: Numbers | None, every: int | None, what: str) -> Which:
    """Read which ones are meant.

    Args:
        drill: For the error.
        at: A number, or several.
        every: Or each of so many.
        what: What is counted: ``calls`` or ``messages``.

    Raises:
        ConfigurationError: None, or both, or no whole numbers.
    """
    remedy = f"say which {what}: at=3, at=[3, 4] or every=10"
    if (at is None) == (every is None):
        both = "both at and every" if at is not None else "neither at nor every"
        raise ConfigurationError(f"{drill} was given {both}", remedy=remedy)
    if every is not None:
        return Which(frozenset(), require_whole("every", every))
    numbers: Collection[object] = list(at) if isinstance(at, Iterable) else [at]
    found = frozenset(require_whole("at", number, 0) for number in numbers)
    if not found:
        raise ConfigurationError(f"{drill} was given no number", remedy=remedy)
    return Which(found, 0)
