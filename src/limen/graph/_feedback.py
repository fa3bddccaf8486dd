"""Initial tokens of feedback edges."""

from __future__ import annotations

import numpy as np

from limen.errors import Code, GraphError
from limen.graph._spec import EdgeSpec
from limen.node import match_spec
from limen.types import DataType, ObjectSpec, PayloadSpec, TensorSpec, describe_spec


def initial_spec(edge: EdgeSpec) -> PayloadSpec | None:
    """Return what a feedback edge carries by its first token; None where that does not say."""
    first = edge.initial[0]
    if isinstance(first, np.ndarray):
        return TensorSpec(DataType.from_name(first.dtype.name), first.shape)
    return None


def check_feedback(edge: EdgeSpec, emitted: PayloadSpec, arriving: PayloadSpec) -> None:
    """Check both ends of a feedback edge against each other.

    Raises:
        GraphError: INCOMPATIBLE_PORTS.
    """
    match_spec(edge.consumer.port or edge.consumer.node, arriving, emitted)


def initial_token(number: int, value: object, spec: PayloadSpec) -> object:
    """Return the payload of an initial token as the edge's output would emit it.

    Raises:
        GraphError: INVALID_VALUE: it is of another type or shape.
    """
    if isinstance(spec, ObjectSpec):
        numeric = spec.type is float and isinstance(value, int)
        if not isinstance(value, spec.type) and not numeric:
            raise _wrong(number, type(value).__qualname__, spec)
        return value
    wanted = spec.dtype.numpy_dtype()
    try:
        given = np.asarray(value)
        array = given.astype(wanted)
        exact = np.array_equal(array.astype(given.dtype), given, equal_nan=given.dtype.kind == "f")
    except (ValueError, TypeError, OverflowError) as error:
        raise _wrong(number, type(value).__qualname__, spec) from error
    # Files know no f32: what they say is rounded to it, but integers must stay what they are.
    if given.shape != spec.fixed_shape or (not exact and wanted.kind not in "fV"):
        raise _wrong(number, f"{given.dtype.name}{list(given.shape)}", spec)
    return array


def _wrong(number: int, what: str, spec: PayloadSpec) -> GraphError:
    return GraphError(
        f"initial token {number} is {what}, the edge carries {describe_spec(spec)}",
        code=Code.INVALID_VALUE,
        remedy="give a payload that the output could have emitted",
    )
