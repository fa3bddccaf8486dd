"""Faults of data: calls that fail, payloads and headers that are not what they should be."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from limen.errors import ConfigurationError, SensorError
from limen.message import Message
from limen.node import NodeKind, Output, Outputs, Produced
from limen.scheduling import NodePlan
from limen.testing._clock import DrillClock
from limen.testing._stand import Tap
from limen.testing.drills._fault import Fault, Mark
from limen.testing.drills._judge import Outcome
from limen.testing.drills._which import Which
from limen.types import (
    DataType,
    ObjectSpec,
    PayloadSpec,
    Ticks,
    describe_spec,
    nearest,
)

_HOUR_NS: Final = 3_600_000_000_000
_GARBAGE: Final = bytes.fromhex("00ff7f80fe0a1b5b32c328a0")
_OF_PAYLOADS: Final = ("dtype", "garbage", "nan", "shape")
_OF_SOURCES: Final = ("future_creation", "negative_deadline", "past_deadline", "unreadable")

CORRUPTIONS: Final = tuple(sorted((*_OF_PAYLOADS, *_OF_SOURCES)))
"""What ``corrupt_message`` can do to a message."""


class FailingCalls(Fault):
    """A node raises instead of being called."""

    may_halt = True

    def __init__(self, name: str, which: Which, error: Exception | None) -> None:
        self._name = name
        self._which = which
        self._error = error

    def taps(self, clock: DrillClock, mark: Mark) -> Mapping[str, Tap]:
        """Have it fail."""
        return {self._name: _Fails(self._name, self._which, self._error, mark)}

    def missed(self, run: Outcome) -> str:
        """There may have been fewer calls."""
        if run.happened_ns:
            return ""
        calls = next(node.calls for node in run.statistics.nodes if node.name == self._name)
        return (
            f"{self._name!r} was called {calls} times, and call {self._which.first} is the first "
            f"to fail; give a smaller number, or feed more messages"
        )


class _Fails(Tap):
    def __init__(self, name: str, which: Which, error: Exception | None, mark: Mark) -> None:
        self._name = name
        self._which = which
        self._error = error
        self._mark = mark
        self._calls = 0

    def call(self, process: Callable[[], object]) -> object:
        number = self._calls
        self._calls += 1
        if number not in self._which:
            return process()
        self._mark()
        if self._error is not None:
            # Another one each time: a traceback keeps the views of its frames alive.
            raise copy.copy(self._error)
        raise RuntimeError(f"the drill lets call {number} of {self._name!r} fail")


class Place(NamedTuple):
    """The output whose messages are corrupted.

    Attributes:
        node: The producer.
        port: Number of its output.
    """

    node: NodePlan
    port: int

    @property
    def spec(self) -> PayloadSpec:
        """What it emits."""
        return self.node.outputs[self.port].spec

    @property
    def name(self) -> str:
        """``node.port``."""
        return f"{self.node.name}.{self.node.outputs[self.port].name}"


class CorruptMessages(Fault):
    """Some messages of an output are not what they should be.

    Args:
        place: The output.
        what: What is wrong with them.
        which: Which ones.

    Raises:
        ConfigurationError: Messages of that output cannot be wrong in that way.
    """

    may_halt = True

    def __init__(self, place: Place, what: str, which: Which) -> None:
        if what not in CORRUPTIONS:
            raise ConfigurationError(
                f"corrupt_message: what is {what!r}", remedy=nearest(what, CORRUPTIONS)
            )
        is_source = place.node.kind is NodeKind.SOURCE
        if what in _OF_SOURCES and not is_source:
            raise ConfigurationError(
                f"corrupt_message: {place.node.name!r} is no source, and what={what!r} is what "
                f"sources state",
                remedy="name a source, or use one of " + ", ".join(_OF_PAYLOADS),
            )
        if place.node.kind is NodeKind.MODEL and what != "nan":
            raise ConfigurationError(
                f"corrupt_message: model {place.node.name!r} writes into slots of the right type",
                remedy="use what='nan'",
            )
        self._place = place
        self._what = what
        self._which = which
        if what in _OF_PAYLOADS:
            self._corrupt: Callable[[object], object] | None = _corruption(what, place.spec)
        else:
            self._corrupt = None

    def taps(self, clock: DrillClock, mark: Mark) -> Mapping[str, Tap]:
        """Corrupt them as they are emitted."""
        tap = _Corrupts(self._place, self._what, self._which, self._corrupt, mark)
        return {self._place.node.name: tap}

    def missed(self, run: Outcome) -> str:
        """There may have been fewer messages."""
        if run.happened_ns:
            return ""
        out = next(out for out in run.statistics.outputs if out.name == self._place.name)
        return (
            f"{out.name} emitted {out.emitted} messages, and message {self._which.first} is the "
            f"first to be corrupted; give a smaller number, or feed more messages"
        )


class _Corrupts(Tap):
    def __init__(
        self,
        place: Place,
        what: str,
        which: Which,
        corrupt: Callable[[object], object] | None,
        mark: Mark,
    ) -> None:
        self._port = place.node.outputs[place.port].name
        self._is_first = place.port == 0
        self._what = what
        self._which = which
        self._corrupt = corrupt
        self._mark = mark
        self._made = 0

    def produce(self, now: Ticks, make: Callable[[Ticks], object]) -> object:
        made = make(now)
        if not isinstance(made, Produced) or not self._strikes():
            return made
        replace = msgspec.structs.replace
        match self._what:
            case "unreadable":
                raise SensorError("the drill makes this message unreadable")
            case "past_deadline":
                return replace(made, deadline_ns=0)
            case "negative_deadline":
                return replace(made, deadline_ns=-1)
            case "future_creation":
                return replace(made, creation_tick=Ticks(now + _HOUR_NS))
            case _:
                return replace(made, payload=self._wrong(made.payload))

    def call(self, process: Callable[[], object]) -> object:
        result = process()
        match result:
            case Output(payload=payload) if self._is_first and self._strikes():
                return msgspec.structs.replace(result, payload=self._wrong(payload))
            case Outputs(messages=messages):
                changed = tuple(
                    (port, self._wrong(payload))
                    if port == self._port and self._strikes()
                    else (port, payload)
                    for port, payload in messages
                )
                return msgspec.structs.replace(result, messages=changed)
            case _:
                return result

    def wrote(self, out: NDArray[np.generic]) -> None:
        for item in range(len(out)):
            if self._strikes():
                out[item, ...] = np.nan

    def push(self, port: str, message: Message) -> Message:
        if port == self._port and self._strikes():
            return Message(message.header, self._wrong(message.payload))
        return message

    def _strikes(self) -> bool:
        number = self._made
        self._made += 1
        if number not in self._which:
            return False
        self._mark()
        return True

    def _wrong(self, payload: object) -> object:
        return payload if self._corrupt is None else self._corrupt(payload)


def _corruption(what: str, spec: PayloadSpec) -> Callable[[object], object]:
    """Return what makes a payload wrong.

    Raises:
        ConfigurationError: A payload of this type cannot be wrong in that way.
    """
    if what == "garbage":
        return lambda payload: _GARBAGE
    if isinstance(spec, ObjectSpec):
        if what == "nan" and issubclass(float, spec.type):
            return lambda payload: float("nan")
        raise _unfit(what, spec, "garbage")
    if what == "nan":
        if not spec.dtype.is_float:
            raise _unfit(what, spec, "shape, dtype or garbage")
        shape = spec.max_shape
        dtype = spec.dtype.numpy_dtype()
        return lambda payload: np.full(
            payload.shape if isinstance(payload, np.ndarray) else shape, np.nan, dtype
        )
    if what == "shape":
        shape = (*spec.max_shape[:-1], spec.max_shape[-1] + 1) if spec.shape else (2,)
        return lambda payload: np.zeros(shape, spec.dtype.numpy_dtype())
    other = DataType.F64 if spec.dtype is not DataType.F64 else DataType.S64
    shape = spec.max_shape
    return lambda payload: np.zeros(
        payload.shape if isinstance(payload, np.ndarray) else shape, other.numpy_dtype()
    )


def _unfit(what: str, spec: PayloadSpec, others: str) -> ConfigurationError:
    return ConfigurationError(
        f"corrupt_message: {describe_spec(spec)} cannot be wrong by what={what!r}",
        remedy=f"use {others}",
    )
