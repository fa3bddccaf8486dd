"""When the inputs of a node make it ready, and when they end it."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import NamedTuple


class Activation(enum.Enum):
    """Which inputs a step needs; the value is its name in graph files.

    ALL joins: one message of every required input. ANY takes from one input at a time, the one
    whose front was pushed first.
    """

    ALL = "all"
    ANY = "any"


class InputState(NamedTuple):
    """What readiness and ends see of one input.

    Attributes:
        ready: Whether a step could take from it: a message waits, its batch is full or closed.
        closed: Whether nothing waits and nothing more comes.
        primed: Of a latch, whether it has a value, be it one that no step has seen yet.
        latch: Whether it keeps its value.
        required: Whether ALL waits for it.
        feedback: Whether an initial token broke a cycle here.
    """

    ready: bool = False
    closed: bool = False
    primed: bool = False
    latch: bool = False
    required: bool = True
    feedback: bool = False


def inputs_ready(activation: Activation, inputs: Sequence[InputState]) -> bool:
    """Say whether a step would have what it needs; latches alone never make a node ready. Pure."""
    flows = [state for state in inputs if not state.latch]
    if activation is Activation.ANY:
        return any(state.ready for state in flows)
    required = [state for state in flows if state.required]
    if not required or not all(state.ready for state in required):
        return False
    return all(state.primed for state in inputs if state.latch and state.required)


def inputs_ended(activation: Activation, inputs: Sequence[InputState]) -> bool:
    """Say whether no further step can come; feedback inputs do not count. Pure."""
    forward = [state for state in inputs if not state.feedback]
    flows = [state for state in forward if not state.latch]
    if activation is Activation.ANY:
        return bool(flows) and all(state.closed for state in flows)
    return any(
        state.closed and not (state.latch and state.primed) for state in forward if state.required
    )
