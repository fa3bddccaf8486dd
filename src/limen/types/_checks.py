"""Checks that public constructors share."""

from __future__ import annotations

import operator

from limen.errors import ConfigurationError


def require_type(name: str, value: object, kind: type | tuple[type, ...], remedy: str) -> None:
    """Refuse a value that is not of the kind that is wanted.

    Raises:
        ConfigurationError: The value is of another type.
    """
    if not isinstance(value, kind):
        raise ConfigurationError(f"{name} is {value!r}", remedy=remedy)


def require_whole(name: str, value: object, least: int = 1) -> int:
    """Return a whole number; NumPy's count, truth values and floats do not.

    Raises:
        ConfigurationError: The value is no whole number, or below ``least``.
    """
    remedy = f"give a whole number of at least {least}"
    if isinstance(value, bool):
        raise ConfigurationError(f"{name} is {value!r}", remedy=remedy)
    try:
        whole = operator.index(value)  # type: ignore[arg-type] # what it is for
    except TypeError:
        raise ConfigurationError(f"{name} is {value!r}", remedy=remedy) from None
    if whole < least:
        raise ConfigurationError(f"{name} is {whole}", remedy=remedy)
    return whole
