"""Initial tokens of feedback edges."""

from __future__ import annotations

import numpy as np

from limen.graph._spec import EdgeSpec
from limen.node import match_spec
from limen.types import DataType, PayloadSpec, TensorSpec


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
