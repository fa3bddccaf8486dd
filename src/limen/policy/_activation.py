"""When the inputs of a node make it ready, and when they end it."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, assert_never

from limen.errors import ConfigurationError
from limen.policy._checks import require_port
from limen.types import parse_duration_ns


class Activation(enum.Enum):
    """Which inputs a step needs; the value is its name in graph files.

    ALL joins: one message of every required input. ANY takes from one input at a time, the one
    whose front was pushed first. ``Trigger`` and ``Periodic`` are activations as well.
    """

    ALL = "all"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Trigger:
    """Step for every message of one input, or for every replacement of a latch; others are extras.

    Args:
        port: The input.
    """

    port: str

    def __post_init__(self) -> None:
        require_port("port", self.port, "name an input of the node")


@dataclass(frozen=True, slots=True)
class Periodic:
    """Step on a fixed grid of instants, whether or not anything has come.

    Periods that pass without a step are missed: counted, and not made up for.

    Args:
        period: Distance of the grid's instants: text with a unit. The first lies one period after
            the start.
    """

    period: str

    def __post_init__(self) -> None:
        if self.period_ns == 0:
            raise ConfigurationError("a period of 0", remedy="give a positive duration")

    @property
    def period_ns(self) -> int:
        """The period in nanoseconds."""
        return parse_duration_ns(self.period, what="period")


ActivationRule = Activation | Trigger | Periodic


class InputState(NamedTuple):
    """What readiness and ends see of one input.

    Attributes:
        ready: Whether a step could take from it: a message waits, its batch is full or closed; of
            a latch, a newer value waits.
        closed: Whether nothing waits and nothing more comes.
        primed: Of a latch, whether it has a value, be it one that no step has seen yet.
        latch: Whether it keeps its value.
        required: Whether ALL waits for it.
        feedback: Whether an initial token broke a cycle here.
        trigger: Whether it alone makes its node step.
    """

    ready: bool = False
    closed: bool = False
    primed: bool = False
    latch: bool = False
    required: bool = True
    feedback: bool = False
    trigger: bool = False


def inputs_ready(rule: ActivationRule, inputs: Sequence[InputState]) -> bool:
    """Say whether a step would have what it needs; latches alone never make a node ready. Pure.

    Of a periodic node, whether a period that is due can be used.
    """
    match rule:
        case Activation.ANY:
            return any(state.ready for state in inputs if not state.latch)
        case Activation.ALL:
            required = [state for state in inputs if state.required and not state.latch]
            return (
                bool(required)
                and all(state.ready for state in required)
                and _latches_primed(inputs)
            )
        case Trigger():
            return any(state.ready for state in inputs if state.trigger)
        case Periodic():
            return _latches_primed(inputs)
        case unreachable:
            assert_never(unreachable)


def inputs_ended(rule: ActivationRule, inputs: Sequence[InputState]) -> bool:
    """Say whether no further step can come; feedback inputs do not count. Pure."""
    forward = [state for state in inputs if not state.feedback]
    flows = [state for state in forward if not state.latch]
    match rule:
        case Activation.ANY:
            return bool(flows) and all(state.closed for state in flows)
        case Activation.ALL:
            return any(
                state.closed and not (state.latch and state.primed)
                for state in forward
                if state.required
            )
        case Trigger():
            return any(state.closed for state in forward if state.trigger)
        case Periodic():
            needed = flows or forward
            starved = any(
                state.closed and not state.primed
                for state in forward
                if state.latch and state.required
            )
            return starved or (bool(needed) and all(state.closed for state in needed))
        case unreachable:
            assert_never(unreachable)


def _latches_primed(inputs: Sequence[InputState]) -> bool:
    return all(state.primed for state in inputs if state.latch and state.required)


def next_period(due: int, period: int, now: int) -> tuple[int, int]:
    """Return the instants of the grid up to now, and the first one behind it. Pure.

    Args:
        due: The earliest instant not used yet; not ahead of ``now``.
        period: The grid's distance.
        now: The instant.
    """
    passed = (now - due) // period + 1
    return passed, due + passed * period
