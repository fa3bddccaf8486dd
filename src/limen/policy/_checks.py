"""Checks that policies share."""

from __future__ import annotations

import operator

from limen.errors import ConfigurationError
from limen.types import require_type


def plain_int(value: object) -> object:
    """Return NumPy's whole number as the int it is, and anything else as it came."""
    if isinstance(value, (bool, str)):
        return value
    try:
        return operator.index(value)  # type: ignore[arg-type] # what it is for
    except TypeError:
        return value


def require_port(name: str, value: object, remedy: str) -> None:
    """Refuse what cannot be the name of a port.

    Raises:
        ConfigurationError: It is no text, or empty.
    """
    require_type(name, value, str, remedy)
    if not value:
        raise ConfigurationError(f"{name} is empty", remedy=remedy)
