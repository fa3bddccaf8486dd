"""The largest entries along an axis."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np

from limen.errors import PortMismatchError
from limen.message import Message
from limen.node import CForm, NodeKind, NodePorts, Output, Outputs, Port, ProcessResult
from limen.node.contract import StepContext, StepResult
from limen.nodes import _c
from limen.nodes._base import (
    NUMBERS,
    REALS,
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

    def c_form(self, ports: NodePorts, clock: PlatformClock) -> CForm:
        """Return a search along the axis for each of the others' places."""
        arriving, leaving = _c.tensors("argmax", ports)
        shape = arriving.fixed_shape
        axis = self.axis % len(shape)
        outer, inner = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
        row, column = _c.at("row", outer), _c.at("column", inner)
        begin = _c.plus(_c.plus("in", _c.times(row, shape[axis] * inner)), column)
        place = " + ".join(p for p in (_c.times(row, inner), column) if p != "0") or "0"
        search = _c.lines(
            f"const {arriving.dtype.c_type} *x = {begin};",
            "int32_t best = 0;",
            _c.block(
                f"for (int32_t k = 1; k < {shape[axis]}; k++)",
                _c.block(
                    "if ({})".format(
                        beats(
                            f"x[{_c.times('k', inner)}]",
                            f"x[{_c.times('best', inner)}]",
                            arriving.dtype,
                        )
                    ),
                    "best = k;",
                ),
            ),
            f"out[{place}] = best;",
        )
        loops = _c.loop("row", outer, _c.loop("column", inner, search))
        return CForm(call=_c.lines(_c.opened(0, leaving), loops, _c.DONE))


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

    def c_form(self, ports: NodePorts, clock: PlatformClock) -> CForm:
        """Return a search that puts each entry in its place among the largest so far."""
        arriving, values, indices = _c.tensors("top_k", ports)
        kind, count = arriving.dtype.c_type, arriving.fixed_shape[-1]
        rows = _c.count_of(arriving) // count
        row = _c.at("row", rows)
        before = beats("entry", "most[place - 1]", arriving.dtype)
        search = _c.lines(
            f"const {kind} *x = {_c.plus('in', _c.times(row, count))};",
            f"{kind} *most = {_c.plus('values', _c.times(row, self.k))};",
            f"int32_t *where = {_c.plus('indices', _c.times(row, self.k))};",
            "int32_t found = 0;",
            _c.block(
                f"for (int32_t i = 0; i < {count}; i++)",
                f"const {kind} entry = x[i];",
                "int32_t place = found;",
                _c.block(f"while (place > 0 && ({before}))", "place--;"),
                _c.block(f"if (place == {self.k})", "continue;"),
                _c.block(f"if (found < {self.k})", "found++;"),
                _c.block(
                    "for (int32_t k = found - 1; k > place; k--)",
                    "most[k] = most[k - 1];",
                    "where[k] = where[k - 1];",
                ),
                "most[place] = entry;",
                "where[place] = i;",
            ),
        )
        call = _c.lines(
            _c.opened(0, values, "values"),
            _c.opened(1, indices, "indices"),
            _c.loop("row", rows, search),
            _c.DONE,
        )
        return CForm(call=call)


def beats(one: str, other: str, dtype: DataType) -> str:
    """Return whether an entry ranks above another that comes before it, in C."""
    larger = f"{one} > {other}"
    return f"{larger} || ({one} != {one} && {other} == {other})" if dtype in REALS else larger
