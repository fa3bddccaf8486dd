"""Checks that the constructors of this library share."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from numbers import Real

import numpy as np

from limen.errors import ConfigurationError
from limen.types import parse_duration_ns


def require_real(name: str, value: object) -> float:
    """Return a finite number; truth values, NaN and infinities are none.

    Raises:
        ConfigurationError: The value is something else, or too large for a float.
    """
    remedy = "give a finite number"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise ConfigurationError(f"{name} is {value!r}", remedy=remedy)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ConfigurationError(f"{name} is {value!r}", remedy=remedy)
    return number


def require_reals(name: str, value: object) -> tuple[float, ...]:
    """Return one finite number or several; one is a tuple of one.

    Raises:
        ConfigurationError: There is none, or one that is not finite.
    """
    if isinstance(value, np.ndarray) and value.ndim == 1:
        value = value.tolist()
    if not isinstance(value, (list, tuple)):
        return (require_real(name, value),)
    if not value:
        raise ConfigurationError(f"{name} is empty", remedy="give a number, or one a channel")
    return tuple(require_real(f"{name}[{i}]", one) for i, one in enumerate(value))


def require_choice(name: str, value: object, choices: Sequence[str]) -> str:
    """Return one of some words.

    Raises:
        ConfigurationError: The value is none of them.
    """
    if not isinstance(value, str) or value not in choices:
        words = " or ".join(f'"{choice}"' for choice in choices)
        raise ConfigurationError(f"{name} is {value!r}", remedy=f"give {words}")
    return value


def require_index(name: str, value: object) -> int:
    """Return a whole number of either sign.

    Raises:
        ConfigurationError: The value is no whole number.
    """
    remedy = "give a whole number"
    if isinstance(value, (bool, np.bool_)):
        raise ConfigurationError(f"{name} is {value!r}", remedy=remedy)
    try:
        return operator.index(value)  # type: ignore[arg-type] # what it is for
    except TypeError:
        raise ConfigurationError(f"{name} is {value!r}", remedy=remedy) from None


def require_flag(name: str, value: object) -> bool:
    """Return a truth value.

    Raises:
        ConfigurationError: The value is something else.
    """
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name} is {value!r}", remedy="give true or false")
    return value


def require_names(name: str, value: object, least: int) -> tuple[str, ...]:
    """Return names of ports, all different; ``verify`` judges how they are spelt.

    Raises:
        ConfigurationError: There are too few, or two are equal.
    """
    remedy = f"give a list of at least {least} different names"
    if not isinstance(value, (list, tuple)):
        raise ConfigurationError(f"{name} is {value!r}", remedy=remedy)
    for one in value:
        if not isinstance(one, str):
            raise ConfigurationError(f"{name} has {one!r} in it", remedy=remedy)
    if len(value) < least:
        raise ConfigurationError(f"{name} has {len(value)} in it", remedy=remedy)
    twice = [one for one in value if value.count(one) > 1]
    if twice:
        raise ConfigurationError(f"{name} has {twice[0]!r} twice", remedy=remedy)
    return tuple(value)


def require_duration_ns(name: str, value: object) -> int:
    """Return a duration above zero in nanoseconds.

    Raises:
        ConfigurationError: It is no text with a unit, or nothing.
    """
    duration_ns = parse_duration_ns(value, what=name)  # type: ignore[arg-type] # it checks
    if duration_ns == 0:
        raise ConfigurationError(f"{name} is {value!r}", remedy='give more than nothing, as "10ms"')
    return duration_ns
