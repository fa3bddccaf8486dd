"""Statistics over the last samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import numpy as np

from limen.errors import ConfigurationError
from limen.message import Message
from limen.node import CForm, Consumed, NodePorts, Output, ProcessResult
from limen.node.contract import StepContext
from limen.nodes import _moving_c
from limen.nodes._base import (
    BOOL,
    F64,
    NUMBERS,
    REALS,
    TICKS,
    Array,
    Arrays,
    StreamNode,
    in_and_out,
    real_of,
    require_tensor,
    slot_for,
    spec_at,
)
from limen.nodes._checks import require_choice
from limen.platform import PlatformClock
from limen.types import PayloadSpec, TensorSpec, Ticks, require_whole

Statistic = Literal["mean", "variance", "min", "max", "rms"]
_STATISTICS: Final = ("mean", "variance", "min", "max", "rms")
# The accumulators and scratch of each, one f64 an element.
_SCRATCH: Final[Mapping[str, str]] = {
    "mean": "xs",
    "variance": "xsqde",
    "rms": "xq",
    "min": "",
    "max": "",
}
_CONSUMED = Consumed()


class Moving(StreamNode):
    """Statistics of each element over the last ``size`` samples.

    As with ``Window``, the first result goes out with the sample that fills the window, the
    following ones every ``stride`` samples, and its origin is the earliest of the window.

    All are computed anew for each result, in one pass over the samples from the oldest to the
    newest, in f64 (extremes in the type of the samples), and rounded once at the end:

    - mean: ``s = s + x``; then ``s / n``.
    - variance: ``d = x - m; m = m + d / k; q = q + d · (x - m)`` for the k-th sample; then
      ``q / (n - ddof)``.
    - rms: ``q = q + x · x``; then the root of ``q / n``.
    - min, max: of equal samples the oldest. A NaN anywhere in the window gives NaN.

    The result is f32 for f32 and whole numbers of up to 16 bits, else f64; where only extremes are
    asked for, the samples' own type.

    Args:
        statistics: One, or a list: then a first axis has an entry for each, in that order.
        size: Samples in a window.
        stride: Samples from one result to the next.
        ddof: What the variance divides by is ``size - ddof``.
    """

    one_to_one = True
    writes_in_place = True

    def __init__(
        self,
        statistics: Statistic | list[Statistic],
        size: int,
        stride: int = 1,
        ddof: int = 0,
    ) -> None:
        self._single = isinstance(statistics, str)
        wanted = (statistics,) if isinstance(statistics, str) else statistics
        if not isinstance(wanted, (list, tuple)) or not wanted:
            require_choice("statistics", statistics, _STATISTICS)
        self.statistics = tuple(require_choice("statistics", w, _STATISTICS) for w in wanted)
        self.size = require_whole("size", size)
        self.stride = require_whole("stride", stride)
        if self.stride > self.size:
            raise ConfigurationError(
                f"stride {stride} is larger than size {size}: samples in between would be lost",
                remedy=f"give a stride of at most {size}",
            )
        self.ddof = require_whole("ddof", ddof, 0)
        if self.ddof >= self.size:
            raise ConfigurationError(
                f"ddof {ddof} leaves nothing of {size} samples to divide by",
                remedy=f"give a ddof of at most {self.size - 1}",
            )
        self.first_needs = self.size
        self.then_needs = self.stride
        self._head = 0
        self._missing = self.size

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        """Choose the type of the results."""
        arriving = require_tensor(inputs, "in", NUMBERS)
        shape, dtype = arriving.fixed_shape, arriving.dtype.numpy_dtype()
        sums = any(_SCRATCH[name] for name in self.statistics)
        leaving = real_of(arriving.dtype) if sums else arriving.dtype
        needed = {"ring": (dtype, (self.size, *shape)), "origins": (TICKS, (self.size,))}
        for name in self.statistics:
            for scratch in _SCRATCH[name]:
                needed[scratch] = (F64, shape)
            if name in ("min", "max"):
                needed |= {"best": (dtype, shape), "better": (BOOL, shape), "nan": (BOOL, shape)}
        self._arrays = Arrays(**needed)
        front = () if self._single else (len(self.statistics),)
        result = TensorSpec(leaving, (*front, *shape), arriving.labels)
        return in_and_out(arriving, result)

    def reset(self) -> None:
        """Begin a new first window."""
        self._head = 0
        self._missing = self.size

    def _allocated(self, arrays: dict[str, Array], clock: PlatformClock, ports: NodePorts) -> None:
        self._out = spec_at(ports, output=0)
        self._has_nan = spec_at(ports).dtype in REALS
        self._of = arrays

    def _take(self, message: Message, ctx: StepContext) -> ProcessResult:
        ring, origins = self._of["ring"], self._of["origins"]
        ring[self._head] = np.asarray(message.payload)
        origins[self._head] = message.header.origin_tick
        self._head = (self._head + 1) % self.size
        self._missing -= 1
        if self._missing:
            return _CONSUMED
        self._missing = self.stride
        out = slot_for(ctx, "out", self._out)
        with np.errstate(all="ignore"):
            if self._single:
                self._compute(self.statistics[0], out)
            else:
                for place, name in enumerate(self.statistics):
                    self._compute(name, out[place, ...])
        return Output(out, origin_tick=Ticks(int(origins.min())))

    def c_form(self, ports: NodePorts, clock: PlatformClock) -> CForm:
        """Return a ring of samples, and one pass over it an element."""
        return _moving_c.form(ports, self.statistics, self.size, self.stride, self.ddof)

    def _compute(self, name: str, out: Array) -> None:
        match name:
            case "mean":
                self._mean(out)
            case "variance":
                self._variance(out)
            case "rms":
                self._rms(out)
            case "min":
                self._extreme(np.less, out)
            case _:
                self._extreme(np.greater, out)

    def _row(self, place: int) -> Array:
        """Return a sample of the window; 0 is the oldest, under the head."""
        row: Array = self._of["ring"][(self._head + place) % self.size, ...]
        return row

    def _mean(self, out: Array) -> None:
        x, s = self._of["x"], self._of["s"]
        s.fill(0)
        for place in range(self.size):
            np.copyto(x, self._row(place), casting="unsafe")
            np.add(s, x, out=s)
        np.divide(s, float(self.size), out=s)
        np.copyto(out, s, casting="unsafe")

    def _variance(self, out: Array) -> None:
        x, m, q, d = self._of["x"], self._of["s"], self._of["q"], self._of["d"]
        step = self._of["e"]
        m.fill(0)
        q.fill(0)
        for place in range(self.size):
            np.copyto(x, self._row(place), casting="unsafe")
            np.subtract(x, m, out=d)
            np.divide(d, float(place + 1), out=step)
            np.add(m, step, out=m)
            np.subtract(x, m, out=x)
            np.multiply(d, x, out=d)
            np.add(q, d, out=q)
        np.divide(q, float(self.size - self.ddof), out=q)
        np.copyto(out, q, casting="unsafe")

    def _rms(self, out: Array) -> None:
        x, q = self._of["x"], self._of["q"]
        q.fill(0)
        for place in range(self.size):
            np.copyto(x, self._row(place), casting="unsafe")
            np.multiply(x, x, out=x)
            np.add(q, x, out=q)
        np.divide(q, float(self.size), out=q)
        np.sqrt(q, out=q)
        np.copyto(out, q, casting="unsafe")

    def _extreme(self, beats: np.ufunc, out: Array) -> None:
        best, better, nan = self._of["best"], self._of["better"], self._of["nan"]
        best[...] = self._row(0)
        for place in range(1, self.size):
            row = self._row(place)
            beats(row, best, out=better)
            if self._has_nan:
                np.not_equal(row, row, out=nan)
                np.logical_or(better, nan, out=better)
            np.copyto(best, row, where=better)
        np.copyto(out, best, casting="unsafe")
