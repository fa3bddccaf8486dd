"""Another element type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import numpy as np

from limen.message import Message
from limen.node import CForm, NodePorts, Output, ProcessResult
from limen.node.contract import StepContext
from limen.nodes import _cast_c
from limen.nodes._base import (
    BOOL,
    WHOLES,
    Array,
    Arrays,
    StreamNode,
    in_and_out,
    require_tensor,
    slot_for,
    spec_at,
)
from limen.nodes._checks import require_choice
from limen.platform import PlatformClock
from limen.types import DataType, PayloadSpec, TensorSpec, require_type

_ROUND: Final[Mapping[str, np.ufunc]] = {
    "nearest": np.rint,
    "down": np.floor,
    "up": np.ceil,
    "zero": np.trunc,
}
_SMALL: Final = (DataType.F16, DataType.BF16)


class Cast(StreamNode):
    """Converts to another element type; whole numbers saturate, nothing wraps around.

    - real to whole: rounded as ``rounding`` says, then held within the type; NaN becomes 0.
    - whole to whole: held within the type.
    - to a real type: to nearest, ties to even; what is too large becomes infinite.
    - to bool: whether it differs from zero (NaN does). From bool: 0 and 1.

    bf16 is reached and left through f32.

    Args:
        dtype: The short name of the type, as ``"f32"``.
        rounding: How reals become whole: to the nearest (ties to even), down, up, or to zero.
    """

    one_to_one = True
    writes_in_place = True

    def __init__(
        self, dtype: str, rounding: Literal["nearest", "down", "up", "zero"] = "nearest"
    ) -> None:
        require_type("dtype", dtype, str, 'give the name of a type, as "f32"')
        self.dtype = DataType.from_name(dtype)
        self.rounding = require_choice("rounding", rounding, tuple(_ROUND))

    def prepare(self) -> None:
        """Find the type's NumPy form, which for bf16 another package brings."""
        self.dtype.numpy_dtype()

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        """Keep the shape, and say how much scratch the conversion needs."""
        arriving = require_tensor(inputs, "in")
        shape = arriving.fixed_shape
        whole = self.dtype in WHOLES
        if whole and arriving.dtype in WHOLES:
            self._arrays = Arrays(held=(arriving.dtype.numpy_dtype(), shape))
        elif whole and arriving.dtype is not DataType.BOOLEAN:
            wide = _computed(arriving.dtype).numpy_dtype()
            self._arrays = Arrays(held=(wide, shape), over=(BOOL, shape), under=(BOOL, shape))
        elif DataType.BF16 in (self.dtype, arriving.dtype):
            self._arrays = Arrays(held=(np.dtype(np.float32), shape))
        else:
            self._arrays = Arrays()
        return in_and_out(arriving, TensorSpec(self.dtype, arriving.shape, arriving.labels))

    def _allocated(self, arrays: dict[str, Array], clock: PlatformClock, ports: NodePorts) -> None:
        self._out = spec_at(ports, output=0)
        self._scratch = arrays
        if self.dtype not in WHOLES:
            return
        limits = np.iinfo(self.dtype.numpy_dtype().name)
        self._low, self._high = limits.min, limits.max
        arriving = spec_at(ports).dtype
        if arriving in WHOLES:
            source = np.iinfo(arriving.numpy_dtype().name)
            kind = arriving.numpy_dtype().type
            self._least = kind(max(self._low, source.min))
            self._most = kind(min(self._high, source.max))

    def _take(self, message: Message, ctx: StepContext) -> ProcessResult:
        out = slot_for(ctx, "out", self._out)
        x = np.asarray(message.payload)
        held = self._scratch.get("held")
        with np.errstate(all="ignore"):
            if held is None:
                self._plainly(x, out)
            elif len(self._scratch) > 1:
                self._to_whole(x, held, out)
            elif self.dtype in WHOLES:
                np.maximum(x, self._least, out=held)
                np.minimum(held, self._most, out=held)
                np.copyto(out, held, casting="unsafe")
            else:
                np.copyto(held, x, casting="unsafe")
                self._plainly(held, out)
        return Output(out)

    def c_form(self, ports: NodePorts, clock: PlatformClock) -> CForm:
        """Return a loop over the elements."""
        return _cast_c.form(ports, self.rounding)

    def _plainly(self, x: Array, out: Array) -> None:
        if self.dtype is DataType.BOOLEAN:
            np.not_equal(x, 0, out=out)
        else:
            np.copyto(out, x, casting="unsafe")

    def _to_whole(self, x: Array, held: Array, out: Array) -> None:
        """Round, then replace what the type does not hold; the limits are powers of two, exact."""
        over, under = self._scratch["over"], self._scratch["under"]
        real = held.dtype.type
        np.copyto(held, x, casting="unsafe")
        _ROUND[self.rounding](held, out=held)
        np.not_equal(held, held, out=under)
        np.copyto(held, 0, where=under)
        np.greater_equal(held, real(float(self._high + 1)), out=over)
        np.less(held, real(float(self._low)), out=under)
        np.copyto(held, 0, where=over)
        np.copyto(held, 0, where=under)
        np.copyto(out, held, casting="unsafe")
        np.copyto(out, self._high, where=over, casting="unsafe")
        np.copyto(out, self._low, where=under, casting="unsafe")


def _computed(dtype: DataType) -> DataType:
    """Return the type a real is rounded in; f32 holds the small ones exactly."""
    return DataType.F32 if dtype in _SMALL else dtype
