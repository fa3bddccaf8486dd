"""On above a threshold, off below another."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from limen.errors import Code, ConfigurationError, GraphError
from limen.message import Message
from limen.node import CField, CForm, Consumed, NodePorts, Output, ProcessResult
from limen.node.contract import StepContext
from limen.nodes import _c
from limen.nodes._base import (
    BOOL,
    NUMBERS,
    REALS,
    Array,
    Arrays,
    StreamNode,
    fitting_real,
    in_and_out,
    require_tensor,
    slot_for,
    spec_at,
)
from limen.nodes._checks import require_flag, require_real
from limen.platform import PlatformClock
from limen.types import DataType, PayloadSpec, TensorSpec

_CONSUMED = Consumed()


class Threshold(StreamNode):
    """Says of each element whether it is on: from ``x >= high`` until ``x < low``.

    In between, and at a NaN, it stays what it was; it begins off. Thresholds are compared in the
    type of what arrives: rounded to nearest for reals, up for whole numbers, which changes no
    answer. The message that comes decides that a state stays, so origins are its own.

    Args:
        high: At or above it an element turns on.
        low: Below it an element turns off; ``high`` if not given.
        only_changes: Whether a message goes out only when some element has changed.
    """

    writes_in_place = True

    def __init__(self, high: float, low: float | None = None, only_changes: bool = False) -> None:
        self.high = require_real("high", high)
        self.low = self.high if low is None else require_real("low", low)
        if self.low > self.high:
            raise ConfigurationError(
                f"low {self.low} is above high {self.high}",
                remedy=f"give a low of at most {self.high}",
            )
        self.only_changes = require_flag("only_changes", only_changes)
        self.one_to_one = not self.only_changes

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        """Check that the thresholds can be reached."""
        arriving = require_tensor(inputs, "in", NUMBERS)
        for name, value in (("high", self.high), ("low", self.low)):
            comparable(name, value, arriving.dtype)
        shape = arriving.fixed_shape
        self._arrays = Arrays(on=(BOOL, shape), before=(BOOL, shape), crossed=(BOOL, shape))
        return in_and_out(arriving, TensorSpec(DataType.BOOLEAN, arriving.shape, arriving.labels))

    def reset(self) -> None:
        """Turn every element off."""
        if self._ready:
            self._on.fill(False)

    def _allocated(self, arrays: dict[str, Array], clock: PlatformClock, ports: NodePorts) -> None:
        self._out = spec_at(ports, output=0)
        arriving = spec_at(ports).dtype
        kind = arriving.numpy_dtype().type
        self._high = kind(comparable("high", self.high, arriving))
        self._low = kind(comparable("low", self.low, arriving))
        self._on, self._before, self._crossed = arrays["on"], arrays["before"], arrays["crossed"]

    def _take(self, message: Message, ctx: StepContext) -> ProcessResult:
        on, crossed = self._on, self._crossed
        x = np.asarray(message.payload)
        self._before[...] = on
        np.greater_equal(x, self._high, out=crossed)
        np.copyto(on, True, where=crossed)
        np.less(x, self._low, out=crossed)
        np.copyto(on, False, where=crossed)
        if self.only_changes and np.array_equal(on, self._before):
            return _CONSUMED
        out = slot_for(ctx, "out", self._out)
        out[...] = on
        return Output(out)

    def c_form(self, ports: NodePorts, clock: PlatformClock) -> CForm:
        """Return two comparisons an element."""
        arriving, leaving = _c.tensors("threshold", ports)
        count = _c.count_of(arriving)
        at = _c.at("i", count)
        high, low = (
            _c.literal(comparable(name, value, arriving.dtype), arriving.dtype)
            for name, value in (("high", self.high), ("low", self.low))
        )
        watched = self.only_changes
        call = _c.lines(
            "int changed = 0;" if watched else "",
            _c.loop(
                "i",
                count,
                f"const uint8_t before = self->on[{at}];" if watched else "",
                _c.block(f"if (in[{at}] >= {high})", f"self->on[{at}] = 1;"),
                _c.block(f"if (in[{at}] < {low})", f"self->on[{at}] = 0;"),
                _c.block(f"if (self->on[{at}] != before)", "changed = 1;") if watched else "",
            ),
            _c.block("if (!changed)", _c.DONE) if watched else "",
            _c.sent(0, "self->on", leaving),
            _c.DONE,
        )
        return CForm(
            call=call,
            state=(CField("uint8_t", "on", (count,)),),
            start="memset(self->on, 0, sizeof self->on);",
            headers=("string.h",),
        )


def comparable(name: str, value: float, dtype: DataType) -> float | int:
    """Return the bound in a type, so that ``x >= bound`` says the same of every x of that type.

    Raises:
        GraphError: No value of the type lies below it, or none at or above.
    """
    if dtype in REALS:
        return fitting_real(name, value, dtype)
    bound = math.ceil(value)
    limits = np.iinfo(dtype.numpy_dtype().name)
    if limits.min < bound <= limits.max:
        return bound
    side = "at or above" if bound > limits.max else "below"
    raise GraphError(
        f"{name} {value}: no {dtype.value} lies {side} it",
        code=Code.INVALID_VALUE,
        remedy=f"give more than {limits.min} and at most {limits.max}",
    )
