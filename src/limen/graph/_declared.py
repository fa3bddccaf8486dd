"""Payloads that a graph declares: initial tokens, defaults, failsafe messages."""

from __future__ import annotations

import numpy as np

from limen.errors import Code, GraphError
from limen.types import ObjectSpec, PayloadSpec, describe_spec


def declared_payload(what: str, value: object, spec: PayloadSpec) -> object:
    """Return a payload that a graph declares as the output would emit it.

    Args:
        what: What it is for, named in the error.
        value: As the user wrote it.
        spec: What the output emits.

    Raises:
        GraphError: INVALID_VALUE: it is of another type or shape.
    """
    if isinstance(spec, ObjectSpec):
        numeric = spec.type is float and isinstance(value, int)
        if not isinstance(value, spec.type) and not numeric:
            raise _wrong(what, type(value).__qualname__, spec)
        return value
    wanted = spec.dtype.numpy_dtype()
    try:
        given = np.asarray(value)
        array = given.astype(wanted)
        exact = np.array_equal(array.astype(given.dtype), given, equal_nan=given.dtype.kind == "f")
    except (ValueError, TypeError, OverflowError) as error:
        raise _wrong(what, type(value).__qualname__, spec) from error
    # Files know no f32: what they say is rounded to it, but integers must stay what they are.
    if not spec.admits(given.shape) or (not exact and wanted.kind not in "fV"):
        raise _wrong(what, f"{given.dtype.name}{list(given.shape)}", spec)
    return array


def _wrong(what: str, given: str, spec: PayloadSpec) -> GraphError:
    return GraphError(
        f"{what} is {given}, the output emits {describe_spec(spec)}",
        code=Code.INVALID_VALUE,
        remedy="give a payload that the output could have emitted",
    )
