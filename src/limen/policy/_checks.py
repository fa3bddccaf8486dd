"""Checks that several policies share."""

from __future__ import annotations

from limen.errors import ConfigurationError


def require_type(name: str, value: object, kind: type, remedy: str) -> None:
    """Refuse a value that is not of the kind that a policy holds.

    Raises:
        ConfigurationError: The value is of another type.
    """
    if not isinstance(value, kind):
        raise ConfigurationError(f"{name} is {value!r}", remedy=remedy)
