"""The largest entries along an axis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from limen.errors import PortMismatchError
from limen.message import Message
from limen.node import NodeKind, NodePorts, Output, Outputs, Port, ProcessResult
from limen.node.contract import StepContext, StepResult
from limen.nodes._base import (
    NUMBERS,
    Array,
    LibraryNode,
    StreamNode,
    in_and_out,
    require_axis,
    require_tensor,
    slot_for,
    spec_at,
)
from limen.nodes._checks import require_index
from limen.platform import PlatformClock
from limen.types import DataType, PayloadSpec, TensorSpec, describe_spec, require_whole

_RANKED: Final = (DataType.BOOLEAN, *NUMBERS)


class ArgMax(StreamNode):
    """The place of the largest entry along an axis, as s32; that axis is gone.

    Of equal entries the first counts. A NaN ranks above everything, so that it shows: the first one
    is the answer, as in NumPy.

    Args:
        axis: The axis along which the entries lie.
    """

    one_to_one = True
    writes_in_place = True

    def __init__(self, axis: int = -1) -> None:
        self.axis = require_index("axis", axis)
        self._along = 0

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        """Remove the axis."""
        arriving = require_tensor(inputs, "in", _RANKED)
        axis = self._along = require_axis("in", arriving, self.axis)
        shape = arriving.shape[:axis] + arriving.shape[axis + 1 :]
        return in_and_out(arriving, TensorSpec(DataType.S32, shape))

    def _allocated(self, arrays: dict[str, Array], clock: PlatformClock, ports: NodePorts) -> None:
        self._out = spec_at(ports, output=0)

    def _take(self, message: Message, ctx: StepContext) -> ProcessResult:
        out = slot_for(ctx, "out", self._out)
        out[...] = np.argmax(np.asarray(message.payload), axis=self._along)
        return Output(out)


class TopK(LibraryNode):
    """The ``k`` largest entries along the last axis, the largest first: ``values``, ``indices``.

    Of equal entries the one with the lower index is first (-0 and +0 are equal). A NaN ranks above
    everything, so that it shows; several are in order of their indices. Indices are s32.

    Args:
        k: How many.
    """

    kind = NodeKind.SPLIT
    writes_in_place = True

    def __init__(self, k: int) -> None:
        self.k = require_whole("k", k)

    @property
    def input_names(self) -> tuple[str, ...]:
        """The entries."""
        return ("in",)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The largest of them, and where they were."""
        return ("values", "indices")

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        """Shorten the last axis to ``k``."""
        arriving = require_tensor(inputs, "in", _RANKED)
        require_axis("in", arriving, -1)
        count = arriving.fixed_shape[-1]
        if self.k > count:
            raise PortMismatchError(
                f"in: k is {self.k}, of the {count} entries of {describe_spec(arriving)}",
                remedy=f"give a k of at most {count}",
            )
        shape = (*arriving.shape[:-1], self.k)
        return NodePorts(
            (Port("in", arriving),),
            (
                Port("values", TensorSpec(arriving.dtype, shape)),
                Port("indices", TensorSpec(DataType.S32, shape)),
            ),
        )

    def _allocated(self, arrays: dict[str, Array], clock: PlatformClock, ports: NodePorts) -> None:
        self._values = spec_at(ports, output=0)
        self._indices = spec_at(ports, output=1)

    def _step(self, ctx: StepContext) -> StepResult:
        return ctx.pop_and_process("in", lambda message: self._take(message, ctx))

    def _take(self, message: Message, ctx: StepContext) -> ProcessResult:
        x = np.asarray(message.payload)
        # A stable sort of the reversed entries, read backwards: equal ones keep their order.
        order = np.argsort(x[..., ::-1], axis=-1, kind="stable")
        places = (x.shape[-1] - 1 - order)[..., ::-1][..., : self.k]
        values = slot_for(ctx, "values", self._values)
        indices = slot_for(ctx, "indices", self._indices)
        values[...] = np.take_along_axis(x, places, axis=-1)
        indices[...] = places
        return Outputs((("values", values), ("indices", indices)))
