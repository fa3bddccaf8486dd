"""The last samples as one tensor."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from limen.errors import Code, ConfigurationError, GraphError, NodeError, PortMismatchError
from limen.message import Message
from limen.node import (
    CallForm,
    CForm,
    Consumed,
    DirectCall,
    NodePorts,
    Output,
    Port,
    ProcessNode,
    ProcessResult,
)
from limen.node.contract import StepContext, StepResult
from limen.nodes import _c, _samples_c
from limen.platform import PlatformClock
from limen.types import PayloadSpec, TensorSpec, Ticks, describe_spec, require_whole

_CONSUMED = Consumed()


class Window(ProcessNode):
    """Emits the last ``size`` samples as one tensor, the oldest first.

    The first window goes out with the sample that fills it, the following ones every ``stride``
    samples. A window is as old as its oldest sample: its origin is the earliest of theirs.

    Args:
        size: Samples in a window.
        stride: Samples from one window to the next; ``size`` (no overlap) if not given.
    """

    writes_in_place = True

    def __init__(self, size: int, stride: int | None = None) -> None:
        size = require_whole("size", size)
        stride = size if stride is None else require_whole("stride", stride)
        if stride > size:
            raise ConfigurationError(
                f"stride {stride} is larger than size {size}: samples in between would be lost",
                remedy=f"give a stride of at most {size}",
            )
        self.size = size
        self.stride = stride
        self.first_needs = size
        self.then_needs = stride
        self.one_to_one = True
        self._state_bytes = 0
        self._ring: NDArray[np.generic] | None = None
        self._origins: list[Ticks] = []
        self._head = 0
        self._missing = size

    @property
    def input_names(self) -> tuple[str, ...]:
        """The samples."""
        return ("in",)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The windows."""
        return ("out",)

    def prepare(self) -> None:
        """Nothing to read: the ports follow from what arrives."""

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        """Put the window's axis before those of what arrives."""
        arriving = inputs.get("in")
        if arriving is None:
            raise GraphError(
                "in: nothing arrives, so the window's shape is unknown",
                code=Code.UNCONNECTED_PORT,
                remedy="connect a producer of tensors",
            )
        if not isinstance(arriving, TensorSpec) or not arriving.is_fixed:
            raise PortMismatchError(
                f"in: {describe_spec(arriving)} does not fit a tensor of known shape",
                remedy="connect a producer of fixed tensors, or convert before the window",
            )
        window = TensorSpec(arriving.dtype, (self.size, *arriving.shape))
        self._state_bytes = window.size_bytes
        return NodePorts((Port("in", arriving),), (Port("out", window),))

    @property
    def state_bytes(self) -> int:
        """Bytes of the samples kept."""
        return self._state_bytes

    def initialize(self, clock: PlatformClock, ports: NodePorts) -> None:
        """Allocate the ring of samples."""
        window = ports.outputs[0].spec
        if not isinstance(window, TensorSpec):
            raise ConfigurationError(f"a window of {describe_spec(window)}")
        self._ring = np.zeros(window.fixed_shape, window.dtype.numpy_dtype())
        self._state_bytes = self._ring.nbytes
        self._origins = [Ticks(0)] * self.size
        self.reset()

    def step(self, ctx: StepContext) -> StepResult:
        """Keep each sample that waits, and emit the windows they complete."""
        return ctx.pop_and_process("in", lambda message: self._take(message, ctx))

    def direct_call(self) -> DirectCall | None:
        """Return what handles one sample, where that is all that a step calls."""
        own = type(self)
        if own.step is not Window.step or own._take is not Window._take:
            return None
        return DirectCall(CallForm.MESSAGE, self._take)

    def reset(self) -> None:
        """Begin a new first window."""
        self._head = 0
        self._missing = self.size

    def _take(self, message: Message, ctx: StepContext) -> ProcessResult:
        ring = self._ring
        if ring is None:
            raise NodeError("the window is stepped before initialize", code=Code.WRONG_STATE)
        sample = np.asarray(message.payload)
        if sample.shape != ring.shape[1:] or (
            sample.dtype != ring.dtype and not np.can_cast(sample.dtype, ring.dtype, "safe")
        ):
            raise NodeError(
                f"sample {sample.dtype.name}{list(sample.shape)} does not fit a window of "
                f"{ring.dtype.name}{list(ring.shape[1:])}"
            )
        ring[self._head] = sample
        self._origins[self._head] = message.header.origin_tick
        self._head = (self._head + 1) % self.size
        self._missing -= 1
        if self._missing:
            return _CONSUMED
        self._missing = self.stride
        slot = ctx.out_slot("out")
        window = np.empty_like(ring) if slot is None else slot
        older = self.size - self._head
        window[:older] = ring[self._head :]
        window[older:] = ring[: self._head]
        return Output(window, origin_tick=min(self._origins))

    def c_form(self, ports: NodePorts, clock: PlatformClock) -> CForm:
        """Return a ring of samples, which two copies straighten; one where none overlap."""
        arriving, leaving = _c.tensors("window", ports)
        kind, count = arriving.dtype.c_type, _c.count_of(arriving)
        straight = [_c.copied("out", "self->ring", leaving)]
        if self.stride < self.size:
            straight = [
                f"const uint32_t older = {self.size} - self->head;",
                "memcpy(out, {}, {});".format(
                    _c.plus("self->ring", _c.times("self->head", count)),
                    _bytes_of("older", count, kind),
                ),
                "memcpy({}, self->ring, {});".format(
                    _c.plus("out", _c.times("older", count)),
                    _bytes_of("self->head", count, kind),
                ),
            ]
        ring = _samples_c.ring("window", arriving, self.size, self.stride)
        return CForm(
            call=_c.lines(ring.keep, _c.opened(0, leaving), *straight, _c.DONE),
            state=ring.state,
            start=ring.start,
            headers=("string.h",),
        )


def _bytes_of(samples: str, count: int, kind: str) -> str:
    return f"{_c.times(samples, count)} * sizeof({kind})"
