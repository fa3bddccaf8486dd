"""Gain and offset."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from limen.errors import PortMismatchError
from limen.message import Message
from limen.node import CForm, CTable, NodePorts, Output, ProcessResult
from limen.node.contract import StepContext
from limen.nodes import _c
from limen.nodes._base import (
    NUMBERS,
    Array,
    Arrays,
    StreamNode,
    fitting_real,
    in_and_out,
    real_of,
    require_axis,
    require_tensor,
    slot_for,
    spec_at,
)
from limen.nodes._checks import require_index, require_reals
from limen.platform import PlatformClock
from limen.types import DataType, PayloadSpec, TensorSpec, describe_spec


class Affine(StreamNode):
    """Multiplies by a gain, then adds an offset: ``y = (x · gain) + offset``, rounded twice.

    It computes in f32 where that holds every value that can arrive (f32, and whole numbers of up to
    16 bits), else in f64; that is also what goes out.

    Args:
        gain: For all, or one a channel.
        offset: For all, or one a channel.
        axis: The axis along which the channels lie.
    """

    one_to_one = True
    writes_in_place = True

    def __init__(
        self,
        gain: float | list[float] = 1.0,
        offset: float | list[float] = 0.0,
        axis: int = -1,
    ) -> None:
        self.gain = require_reals("gain", gain)
        self.offset = require_reals("offset", offset)
        self.axis = require_index("axis", axis)

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        """Check the channels; what goes out is real."""
        arriving = require_tensor(inputs, "in", NUMBERS)
        real = real_of(arriving.dtype)
        shapes = {
            name: self._spread(arriving, name, values, real)
            for name, values in (("gain", self.gain), ("offset", self.offset))
        }
        dtype = real.numpy_dtype()
        self._arrays = Arrays(gain=(dtype, shapes["gain"]), offset=(dtype, shapes["offset"]))
        return in_and_out(arriving, TensorSpec(real, arriving.shape, arriving.labels))

    def _spread(
        self, arriving: TensorSpec, name: str, values: tuple[float, ...], real: DataType
    ) -> tuple[int, ...]:
        """Return the shape in which values stand along the axis of channels."""
        for value in values:
            fitting_real(name, value, real)
        if len(values) == 1:
            return ()
        axis = require_axis("in", arriving, self.axis)
        shape = arriving.fixed_shape
        if shape[axis] != len(values):
            raise PortMismatchError(
                f"in: {len(values)} values of {name} for the {shape[axis]} channels of "
                f"{describe_spec(arriving)}",
                remedy=f"give one for all, or {shape[axis]}",
            )
        return tuple(length if at == axis else 1 for at, length in enumerate(shape))

    def _allocated(self, arrays: dict[str, Array], clock: PlatformClock, ports: NodePorts) -> None:
        self._out = spec_at(ports, output=0)
        self._gain, self._offset = arrays["gain"], arrays["offset"]
        self._gain.reshape(-1)[:] = self.gain
        self._offset.reshape(-1)[:] = self.offset

    def _take(self, message: Message, ctx: StepContext) -> ProcessResult:
        out = slot_for(ctx, "out", self._out)
        x = np.asarray(message.payload)
        with np.errstate(all="ignore"):
            np.multiply(x, self._gain, out=out, dtype=out.dtype, casting="unsafe")
            np.add(out, self._offset, out=out)
        return Output(out)

    def c_form(self, ports: NodePorts, clock: PlatformClock) -> CForm:
        """Return a loop over the elements, along channels where each has numbers of its own."""
        arriving, leaving = _c.tensors("affine", ports)
        used, tables = {}, []
        for name, values in (("gain", self.gain), ("offset", self.offset)):
            used[name] = _c.literal(values[0], leaving.dtype)
            if len(values) > 1:
                numbers = np.array(values, leaving.dtype.numpy_dtype())
                tables.append(CTable(leaving.dtype.c_type, name, numbers))
                used[name] = f"{name}[channel]"
        count = _c.count_of(arriving)
        call = [_c.opened(0, leaving)]
        if not tables:
            call.append(_c.loop("i", count, *_scaled(arriving, leaving, _c.at("i", count), used)))
        else:
            shape, axis = arriving.fixed_shape, self.axis % len(arriving.shape)
            one = (*_scaled(arriving, leaving, "i", used), "i++;")
            behind = _c.loop("behind", math.prod(shape[axis + 1 :]), *one)
            channels = _c.loop("channel", shape[axis], behind)
            call += ["uint32_t i = 0;", _c.loop("before", math.prod(shape[:axis]), channels)]
        return CForm(call=_c.lines(*call, _c.DONE), tables=tuple(tables))


def _scaled(
    arriving: TensorSpec, leaving: TensorSpec, at: str, used: Mapping[str, str]
) -> tuple[str, str]:
    """Return what computes one element in C: each operation is rounded by itself."""
    real = leaving.dtype.c_type
    x = f"in[{at}]" if arriving.dtype is leaving.dtype else f"({real})in[{at}]"
    return (
        f"const {real} scaled = {x} * {used['gain']};",
        f"out[{at}] = scaled + {used['offset']};",
    )
