"""Tensors put together, and taken apart, along an axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from limen.errors import ConfigurationError, PortMismatchError
from limen.message import Message
from limen.node import CForm, NodeKind, NodePorts, Output, Outputs, Port, ProcessResult
from limen.node.contract import StepContext, StepResult
from limen.nodes import _c
from limen.nodes._base import (
    Array,
    LibraryNode,
    require_axis,
    require_tensor,
    slot_for,
    spec_at,
)
from limen.nodes._checks import require_index, require_names
from limen.platform import PlatformClock
from limen.types import PayloadSpec, TensorSpec, describe_spec, require_whole


class Concat(LibraryNode):
    """Puts one tensor of each input side by side along an axis, in the order of the inputs.

    It waits for all of them. Element types are equal, and so are the other axes.

    Args:
        inputs: Names of the inputs.
        axis: The axis that becomes longer.
    """

    kind = NodeKind.JOIN
    one_to_one = True
    writes_in_place = True

    def __init__(self, inputs: list[str], axis: int = 0) -> None:
        self.inputs = require_names("inputs", inputs, 2)
        self.axis = require_index("axis", axis)

    @property
    def input_names(self) -> tuple[str, ...]:
        """As given."""
        return self.inputs

    @property
    def output_names(self) -> tuple[str, ...]:
        """All together."""
        return ("out",)

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        """Add the lengths along the axis."""
        specs = [require_tensor(inputs, name) for name in self.inputs]
        ports = tuple(Port(n, s) for n, s in zip(self.inputs, specs, strict=True))
        return NodePorts(ports, (Port("out", concatenated(self.inputs, specs, self.axis)),))

    def _allocated(self, arrays: dict[str, Array], clock: PlatformClock, ports: NodePorts) -> None:
        self._out = spec_at(ports, output=0)
        axis = self.axis % len(self._out.shape)
        lengths = [spec_at(ports, into=i).fixed_shape[axis] for i in range(len(self.inputs))]
        self._slices = slices(lengths, axis)

    def _step(self, ctx: StepContext) -> StepResult:
        return ctx.pop_joined_and_process(lambda messages: self._take(messages, ctx))

    def _take(self, messages: tuple[Message | None, ...], ctx: StepContext) -> ProcessResult:
        out = slot_for(ctx, "out", self._out)
        for message, part in zip(messages, self._slices, strict=True):
            if message is not None:
                out[part] = np.asarray(message.payload)
        return Output(out)

    def c_form(self, ports: NodePorts, clock: PlatformClock) -> CForm:
        """Return a copy an input."""
        *arriving, leaving = _c.tensors("concat", ports)
        parts = zip(arriving, beginnings(arriving, self.axis), strict=True)
        copies = [
            _c.block(f"if (in_{name})", into_part(f"in_{name}", part, leaving, begin, self.axis))
            for name, (part, begin) in zip(self.inputs, parts, strict=True)
        ]
        call = _c.lines(_c.opened(0, leaving), *copies, _c.DONE)
        return CForm(call=call, headers=("string.h",))


class Split(LibraryNode):
    """Takes a tensor apart along an axis: so many entries for each output, in order.

    Args:
        sizes: Entries of each output; together they are the axis.
        outputs: Names of the outputs; ``out_0``, ``out_1``, … if not given.
        axis: The axis that becomes shorter.
    """

    kind = NodeKind.SPLIT

    def __init__(self, sizes: list[int], outputs: list[str] | None = None, axis: int = 0) -> None:
        if not isinstance(sizes, (list, tuple)) or len(sizes) < 2:
            raise ConfigurationError(f"sizes is {sizes!r}", remedy="give a list of at least 2")
        self.sizes = tuple(require_whole(f"sizes[{i}]", s) for i, s in enumerate(sizes))
        names = [f"out_{i}" for i in range(len(sizes))] if outputs is None else outputs
        self.outputs = require_names("outputs", names, 2)
        if len(self.outputs) != len(self.sizes):
            raise ConfigurationError(
                f"{len(self.outputs)} outputs for {len(self.sizes)} sizes",
                remedy="give one name a size",
            )
        self.axis = require_index("axis", axis)

    @property
    def input_names(self) -> tuple[str, ...]:
        """What is taken apart."""
        return ("in",)

    @property
    def output_names(self) -> tuple[str, ...]:
        """As given."""
        return self.outputs

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        """Check that the sizes are those of the axis; labels go with their entries."""
        arriving = require_tensor(inputs, "in")
        axis = require_axis("in", arriving, self.axis)
        shape = arriving.fixed_shape
        if sum(self.sizes) != shape[axis]:
            raise PortMismatchError(
                f"in: the sizes add up to {sum(self.sizes)}, axis {self.axis} of "
                f"{describe_spec(arriving)} is {shape[axis]}",
                remedy=f"give sizes that add up to {shape[axis]}",
            )
        labelled = bool(arriving.labels) and axis == len(shape) - 1
        ports, begin = [], 0
        for name, size in zip(self.outputs, self.sizes, strict=True):
            labels = arriving.labels[begin : begin + size] if labelled else arriving.labels
            part = (*shape[:axis], size, *shape[axis + 1 :])
            ports.append(Port(name, TensorSpec(arriving.dtype, part, labels)))
            begin += size
        return NodePorts((Port("in", arriving),), tuple(ports))

    def _allocated(self, arrays: dict[str, Array], clock: PlatformClock, ports: NodePorts) -> None:
        self._slices = slices(self.sizes, self.axis % len(spec_at(ports).shape))

    def _step(self, ctx: StepContext) -> StepResult:
        return ctx.pop_and_process("in", self._take)

    def _take(self, message: Message) -> ProcessResult:
        x = np.asarray(message.payload)
        parts = zip(self.outputs, self._slices, strict=True)
        return Outputs(tuple((name, x[part]) for name, part in parts))

    def c_form(self, ports: NodePorts, clock: PlatformClock) -> CForm:
        """Return a copy an output."""
        arriving, *leaving = _c.tensors("split", ports)
        parts = zip(leaving, beginnings(leaving, self.axis), strict=True)
        copies = []
        for port, (part, begin) in enumerate(parts):
            outer, length = strips(part, self.axis)
            whole = strips(arriving, self.axis)[1]
            name = f"out_{port}"
            strip = _c.at("strip", outer)
            to = _c.plus(name, _c.times(strip, length))
            source = _c.plus(_c.plus("in", _c.times(strip, whole)), begin)
            copies.append(_c.opened(port, part, name))
            copies.append(_c.loop("strip", outer, _c.copied(to, source, part, length)))
        return CForm(call=_c.lines(*copies, _c.DONE), headers=("string.h",))


def slices(lengths: Sequence[int], axis: int) -> tuple[tuple[slice, ...], ...]:
    """Return where parts of these lengths lie along an axis."""
    found, begin = [], 0
    for length in lengths:
        found.append((*[slice(None)] * axis, slice(begin, begin + length)))
        begin += length
    return tuple(found)


def strips(spec: TensorSpec, axis: int) -> tuple[int, int]:
    """Return how many strips of memory lie along an axis, and how many elements each has."""
    shape = spec.fixed_shape
    place = axis % len(shape)
    return math.prod(shape[:place]), math.prod(shape[place:])


def beginnings(parts: Sequence[TensorSpec], axis: int) -> list[int]:
    """Return where in a strip of all parts each of them begins."""
    found = [0]
    for part in parts:
        found.append(found[-1] + strips(part, axis)[1])
    return found[:-1]


def into_part(source: str, part: TensorSpec, leaving: TensorSpec, begin: int, axis: int) -> str:
    """Return what copies a tensor into its place in ``out``, in C."""
    outer, length = strips(part, axis)
    strip = _c.at("strip", outer)
    to = _c.plus(_c.plus("out", _c.times(strip, strips(leaving, axis)[1])), begin)
    return _c.loop(
        "strip", outer, _c.copied(to, _c.plus(source, _c.times(strip, length)), part, length)
    )


def concatenated(names: Sequence[str], specs: Sequence[TensorSpec], axis: int) -> TensorSpec:
    """Return the spec of tensors put side by side.

    Raises:
        GraphError: They do not fit; the message names the port.
    """
    first = specs[0]
    place = require_axis(names[0], first, axis)
    others = first.fixed_shape[:place] + first.fixed_shape[place + 1 :]
    for name, spec in zip(names[1:], specs[1:], strict=True):
        shape = spec.fixed_shape
        fits = len(shape) == len(first.shape) and shape[:place] + shape[place + 1 :] == others
        if not fits or spec.dtype is not first.dtype:
            raise PortMismatchError(
                f"{name}: {describe_spec(spec)} does not fit beside {describe_spec(first)} of "
                f"{names[0]}",
                remedy=f"cast {name} to {first.dtype.value}"
                if fits
                else f"they may differ in axis {axis} only",
            )
    total = sum(spec.fixed_shape[place] for spec in specs)
    labels = [spec.labels for spec in specs]
    merged = first.labels if all(one == first.labels for one in labels) else ()
    if place == len(first.shape) - 1:
        merged = tuple(x for one in labels for x in one) if all(labels) else ()
    return TensorSpec(first.dtype, (*first.shape[:place], total, *first.shape[place + 1 :]), merged)
