"""Read a table of a graph file field by field; what is wrong becomes a Problem each."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TypeVar

from limen.errors import Code, ConfigurationError, LimenError
from limen.graph._problems import Problem
from limen.types import nearest

_E = TypeVar("_E", bound=Enum)
_T = TypeVar("_T")


class Reader:
    """Collects what one table says, and what is wrong with it.

    Args:
        place: Where it stands in the file.
        table: What stands there.
        known: The keys it may have.
    """

    def __init__(self, place: str, table: object, known: tuple[str, ...]) -> None:
        self.place = place
        self.problems: list[Problem] = []
        self.table: dict[str, object] = {}
        if not isinstance(table, dict):
            self._report(
                Code.INVALID_VALUE, place, f"is {table!r}, no table", "write policy = { … }"
            )
            return
        for key, value in table.items():
            if key in known:
                self.table[key] = value
            else:
                where = f"{place}.{key}"
                self._report(
                    Code.UNKNOWN_KEY, where, f"unknown key {key!r}", nearest(str(key), known)
                )

    def _report(self, code: Code, place: str, message: str, remedy: str) -> None:
        self.problems.append(Problem(code, place, message, remedy))

    def build(self, make: Callable[[], _T], default: _T, *, key: str = "") -> _T:
        """Return what is made; the default, and a Problem more, where that raises LimenError."""
        try:
            return make()
        except LimenError as error:
            place = f"{self.place}.{key}" if key else self.place
            self.problems.append(Problem.from_error(place, error))
            return default

    def enum(self, key: str, kind: type[_E], default: _E | None) -> _E | None:
        """Return the member that a key names; the default where it is absent or names none."""
        if key not in self.table:
            return default
        names = {spelling(member): member for member in kind}
        value = self.table[key]
        if isinstance(value, str) and value in names:
            return names[value]
        self._report(
            Code.INVALID_VALUE,
            f"{self.place}.{key}",
            f"unknown {key} {value!r}",
            nearest(str(value), names),
        )
        return default


def spelling(member: Enum) -> str:
    """Return how a graph file spells an enum's member."""
    return member.value if isinstance(member.value, str) else member.name.lower()


def require_known(table: dict[str, object], known: tuple[str, ...]) -> None:
    """Refuse keys that a table inside a field must not have.

    Raises:
        ConfigurationError: UNKNOWN_KEY, with the key that was probably meant.
    """
    for key in table:
        if key not in known:
            raise ConfigurationError(
                f"unknown key {key!r}", code=Code.UNKNOWN_KEY, remedy=nearest(key, known)
            )


def member(what: str, value: object, kind: type[_E], also: str = "") -> _E:
    """Return the member that a value inside a field names.

    Args:
        what: The field.
        value: What stands in the file.
        kind: The members.
        also: What else could stand there, for the remedy.

    Raises:
        ConfigurationError: INVALID_VALUE: it names none.
    """
    names = {spelling(one): one for one in kind}
    if isinstance(value, str) and value in names:
        return names[value]
    remedy = nearest(str(value), names) + (f"; or {also}" if also else "")
    raise ConfigurationError(f"unknown {what} {value!r}", code=Code.INVALID_VALUE, remedy=remedy)
